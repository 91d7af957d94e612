"""OnEvent: a program of the owner's is run for each event, and nothing waits for it."""
import json
import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest

from harness import CONFIG, forwards, spx, wait_for
from servers import greet
from test_ask import GRANTED, Asking, Waiting, access
from test_peer import peer_client


class Told:
    """An agent whose owner's program writes down what it gets."""

    def __init__(self, world):
        self.world, self.path = world, world.directory / "control"
        self.book = world.directory / "book"
        self.book.touch()

    def program(self, text, name="program"):
        """A script; BOOK in it is the file that it writes to."""
        path = self.world.write(name, "#!/bin/sh\n" + text.replace("BOOK", str(self.book)) + "\n")
        path.chmod(0o755)
        return path

    def start(self, text='{ echo "$1 $(cat)"; } >> BOOK', **more):
        more.setdefault("OnEvent", self.program(text))
        self.conf = self.world.agent_conf(ControlSocket=self.path, **more)
        self.agent = self.world.start_agent(conf=self.conf, online=False)
        wait_for(self.path.exists, 10, "the socket is there")
        return self.agent

    def order(self, verb, times=1, **members):
        """The same again and again, over the socket itself."""
        with socket.socket(socket.AF_UNIX) as asker:
            asker.settimeout(20)
            asker.connect(str(self.path))
            answers = asker.makefile()
            for _ in range(times):
                asker.sendall(json.dumps({"verb": verb, **members}).encode() + b"\n")
                assert json.loads(answers.readline())["result"] == "done"

    def lines(self):
        return self.book.read_text().splitlines()

    def wait_for(self, count):
        wait_for(lambda: len(self.lines()) >= count, 20, f"{count} lines are there")
        return self.lines()

    def events(self, count):
        """All that was told, by the time of the event: programs overtake each other."""
        events = [line.split(" ", 1) for line in self.wait_for(count)]
        for kind, text in events:
            assert json.loads(text)["kind"] == kind
            json.loads(text, object_pairs_hook=each_once)
        return sorted((json.loads(text) for _, text in events), key=lambda event: event["time"])

    def keeper(self):
        """The number of the process that starts the runner, and another one when it is killed."""
        return child(self.agent.pid)

    def runner(self):
        """The number of the process that runs the programs."""
        return child(self.keeper())


def each_once(members):
    assert len(dict(members)) == len(members), members


def child(pid):
    """The number of a process's only child, once it is there."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return int(wait_for(path.read_text, 10, "it has a child"))


@pytest.fixture
def told(world):
    return Told(world)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_events(world, told, echo):
    """The lock and the end of a session, with what the log and the audit know of them."""
    world.start_relay()
    told.start().expect("online")
    client = world.start_client(*forwards(echo.port))
    greet(client).close()
    client.stop()
    (ended,) = told.events(1)
    assert ended["kind"] == "ended" and ended["event"] == "session_ended"
    assert (ended["user"], ended["agent"], ended["by"]) == ("alice", "lab-1", "client")
    assert ended["key"] == world.key("alice").fingerprint
    assert ended["relay"] == world.key("relay").fingerprint
    assert (ended["streams"], ended["bytes_up"], ended["bytes_down"]) == (1, 5, 5)
    assert client.lines(ended["circuit"]) and len(ended["session"]) == 32
    assert ended["text"].startswith("the session of user alice has ended: ")
    told.order("lock")
    told.wait_for(2)
    told.order("unlock")
    locked, unlocked = told.events(3)[1:]
    assert (locked["kind"], locked["event"]) == ("lock", "locked")
    assert (unlocked["kind"], unlocked["event"]) == ("lock", "unlocked")
    assert re.fullmatch(r"(root|uid \d+) \(process \d+\)", locked["by"])
    assert locked["text"] == f"locked by {locked['by']}"


def test_requests(world, told):
    """A request for approval, its grant by whom, the session that began by an approval, a denial; never
    the code."""
    world.start_relay()
    told.start(Access="ask").expect("online")
    waiting = Waiting(world)
    told.wait_for(1)
    told.order("approve", code=waiting.code, for_s=3600)
    assert access(waiting.circuit, GRANTED)
    asked, approved = told.events(2)
    assert (asked["kind"], asked["event"], asked["request"]) == ("request", "session_asked", "1")
    assert (asked["user"], asked["reason"]) == ("alice", "case 4711")
    assert (approved["kind"], approved["event"]) == ("granted", "session_approved")
    assert "(process " in approved["by"] and approved["session"] == asked["session"]
    again = peer_client(world).connect(Asking())
    used = told.events(3)[2]
    assert (used["kind"], used["event"], used["request"]) == ("granted", "approval_used", "1")
    assert used["by"] == approved["by"]
    told.order("withdraw", number=1)
    denied = Waiting(world)
    told.wait_for(4)
    told.order("deny", number=2, why="not tonight")
    *_, ended = told.events(5)
    assert (ended["kind"], ended["event"]) == ("ended", "session_ended")
    assert "denied by the agent's owner: not tonight" in ended["text"]
    assert waiting.code not in told.book.read_text() and denied.code not in told.book.read_text()
    again.pipe.close()


def test_surroundings(told):
    """A program has a path, its three descriptors and nothing else of the agent."""
    told.start("{ env | grep -v '^_=\\|^PWD='; pwd; ulimit -n; } > BOOK; exec ls /proc/self/fd >> BOOK")
    told.order("lock")
    path, *rest = told.wait_for(7)
    assert path.startswith("PATH=/usr/") and ":" in path
    assert rest == ["/", "1024", "0", "1", "2", "3"]  # the last is the directory that ls reads


def test_audit_that_fails(world, told):
    (world.directory / "audits").write_text("in the way")
    agent = told.start(Audit=world.directory / "audits" / "audit")
    (event,) = told.events(1)
    assert (event["kind"], event["event"]) == ("audit_failure", "audit_failing")
    assert event["reason"] and agent.lines(re.escape(event["reason"]))
    (world.directory / "audits").unlink()
    (world.directory / "audits").mkdir()
    assert told.events(2)[1]["event"] == "audit_written"


def test_program_that_fails(told):
    """How it ended and what it said is in the log, and nothing else comes of it."""
    agent = told.start("cat >/dev/null; echo so loud; echo no mail today >&2; exit 7")
    told.order("lock")
    agent.expect(r"OnEvent: \S+/program lock: exit code 7: no mail today$")
    told.program("kill -KILL $$")
    told.order("unlock")
    agent.expect(r"OnEvent: \S+/program lock: ended by signal 9$")
    told.program("").unlink()
    told.order("lock")
    agent.expect(r"OnEvent: \S+/program lock: cannot run it: no such file or directory$")


def test_program_that_writes_without_end(told):
    """It neither fills the log nor waits, and what it has left running goes with it."""
    agent = told.start(
        "sleep 1000 & echo $! >> BOOK; head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1"
    )
    told.order("lock")
    assert len(agent.expect(r"OnEvent: \S+/program lock: exit code 1: (x+)$")[1]) < 1000
    wait_for(lambda: not is_alive(told.lines()[0]), 10, "it is gone")


@pytest.mark.time_limit(120)
def test_slow_programs(told):
    """Four run at a time; the rest waits, and of what is too much a count is told; after 30 s they
    are killed. The agent does not mind."""
    agent = told.start(
        f"case $(wc -l < BOOK) in 0|1|2|3) echo slow $$ >> BOOK; exec sleep 1000;; *) {{ cat; }} >> BOOK; esac"
    )
    for slow in range(4):  # one by one: they count lines
        told.order("lock" if slow % 2 else "unlock")
        told.wait_for(slow + 1)
    begun = time.monotonic()
    told.order("lock", 300)
    assert time.monotonic() - begun < 10
    agent.expect("OnEvent: too many events wait for the program: one is left out: lock")
    pids = [line.split()[1] for line in told.lines()]
    assert all(map(is_alive, pids)) and len(pids) == 4
    agent.expect(r"program lock: killed after 30 s", seconds=60, count=4)
    assert not any(map(is_alive, pids))
    events = [json.loads(line) for line in told.wait_for(4 + 256)[4:]]
    assert len(events) == 256
    told.order("unlock")
    last = json.loads(told.wait_for(4 + 257)[-1])
    assert (last["event"], last["left_out"]) == ("unlocked", 300 - 256)
    agent.expect("OnEvent: 43 more like this left out")


def test_runner_that_is_killed(told):
    """It is told, and another one begins."""
    agent = told.start("cat >> BOOK; exec sleep 1000")
    told.order("lock")
    told.wait_for(1)
    os.kill(told.runner(), signal.SIGKILL)
    agent.expect("OnEvent: the process that runs its program has ended, with 1 event: it is started again")
    told.order("unlock")
    assert json.loads(told.wait_for(2)[1])["left_out"] == 1


def test_keeper_that_is_killed(told):
    """Nobody can start the runner again then: it goes, too, and the agent says so and goes on."""
    agent = told.start()
    runner = told.runner()
    os.kill(told.keeper(), signal.SIGKILL)
    agent.expect("has ended: the program is run no more: restart needed")
    wait_for(lambda: not is_alive(runner), 10, "the runner has ended")
    told.order("lock", 300)
    assert told.lines() == []


def test_end(world, told, echo):
    """The last events are told when the agent has ended; then the runner and its programs end too."""
    world.start_relay()
    agent = told.start('{ echo "$1 $(cat)"; } >> BOOK; echo $$ >> BOOK.pids; exec sleep 1000')
    agent.expect("online")
    client = world.start_client(*forwards(echo.port))
    greet(client)
    runner = told.runner()
    agent.stop()
    (event,) = told.events(1)
    assert "the agent is ending" in event["text"]
    wait_for(lambda: not is_alive(runner), 10, "the runner has ended")
    (pid,) = Path(f"{told.book}.pids").read_text().split()
    wait_for(lambda: not is_alive(pid), 10, "its program has ended")


def test_agent_that_is_killed(told):
    agent = told.start("echo $$ >> BOOK; exec sleep 1000")
    told.order("lock", 10)
    told.wait_for(4)
    runner = told.runner()
    agent.kill()
    wait_for(lambda: not is_alive(runner), 10, "the runner has ended")
    wait_for(lambda: not any(map(is_alive, told.lines())), 10, "its programs have ended")


def test_reload(world, told):
    """Another program, and one where there was none, wait for the next start: who takes the agent's
    process over must not choose it."""
    agent = told.start("echo first >> BOOK")
    world.agent_conf(ControlSocket=told.path, OnEvent=told.program("echo second >> BOOK", "other"))
    agent.signal(signal.SIGHUP)
    agent.expect(r"OnEvent in \[Agent\]: takes effect at the next start")
    agent.expect("configuration reloaded")
    told.order("lock")
    assert told.wait_for(1) == ["first"]
    agent.stop()
    told.start("echo third >> BOOK")
    told.order("unlock")
    assert told.wait_for(2) == ["first", "third"]


@pytest.mark.parametrize(
    "mode, why",
    [
        (None, "no such file or directory"),
        (0o644, "not a program that can be run; run: chmod +x {path}"),
        (0o775, "its mode 0775 lets others change it; run: chmod go-w {path}"),
    ],
)
def test_program_that_cannot_be_run(world, told, mode, why):
    """Told by --check, at the start and by a reload, with the line."""
    path = told.program("true")
    path.chmod(mode) if mode else path.unlink()
    conf = world.agent_conf(OnEvent=path)
    message = f"{conf}:4: OnEvent: {path}: {why.format(path=path)}"
    for words in (["--check"], []):
        assert message in spx("agent", "-c", conf, *words, code=CONFIG).stderr
