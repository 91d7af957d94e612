"""The agent's owner at its control socket: how it stands, who is there, and no at once."""
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import stat
import tempfile
import time
from pathlib import Path

import pytest

from harness import (
    CONFIG,
    DENIED,
    LOOPBACK,
    NETWORK,
    OK,
    OTHER,
    SPX,
    TIMED_OUT,
    USAGE,
    Program,
    forwards,
    raise_descriptor_limit,
    run,
    spx,
    wait_for,
)
from servers import greet, reset


class Site:
    """An agent with a control socket."""

    def __init__(self, world, directory):
        self.world, self.path = world, directory / "control"

    def configure(self, **more):
        self.conf = self.world.agent_conf(ControlSocket=self.path, **more)
        return self.conf

    def start(self, **more):
        self.world.start_relay(users={"alice": "*", "bob": "*"})
        return self.world.start_agent(conf=self.configure(**more))

    def ask(self, *words, code=OK, text=False):
        """The output of a command."""
        done = run(*self.world.argv("agent", self.conf, *map(str, words)), code=code)
        return done.stdout if code == OK else done.stderr

    def lines(self, *words, kind=None):
        """The lines of an answer as objects."""
        told = [json.loads(line) for line in self.ask("--json", *words).splitlines()]
        return [line for line in told if not kind or line["kind"] == kind]

    def watch(self, name, *options):
        argv = self.world.argv("agent", self.conf, *options, "watch")
        return self.world.start(
            Program(name, argv, self.world.directory, stop_signal=signal.SIGTERM, stop_code=-15)
        )


@pytest.fixture
def directory():
    """Where another user of this machine may look for the socket, as in /run."""
    made = Path(tempfile.mkdtemp(prefix="spx-control-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def site(world, directory):
    return Site(world, directory)


def test_status(world, site):
    """Relays, and who may connect now, for people and for programs."""
    site.start(users={"alice": "tcp:127.0.0.1:22", "bob": "tcp:127.0.0.1:23"})
    agent, relay, *users = site.lines("status")
    assert agent["agent"] == "lab-1" and agent["sessions"] == 0 and agent["up_s"] < 60
    assert relay["relay"] == world.relay_address and relay["state"] == "online"
    assert relay["key"] == world.key("relay").fingerprint
    assert [(u["user"], u["may_connect"], u["key"]) for u in users] == [
        ("alice", True, world.key("alice").fingerprint),
        ("bob", True, world.key("bob").fingerprint),
    ]
    text = site.ask("status")
    assert re.search(r"^agent lab-1: up for \S+ \w+, 0 sessions$", text, re.MULTILINE)
    assert re.search(rf"^{re.escape(world.relay_address)} +online ", text, re.MULTILINE)
    assert re.search(r"^alice +0 +yes$", text, re.MULTILINE)


def test_status_of_closed_hours(world, site):
    """A relay that is not there, and a user whose rules say no, and why."""
    world.start_agent(conf=site.configure(Access="never"), online=False).expect("retrying")
    _, relay, user = site.lines("status")
    assert relay["state"] == "not connected" and "for_s" not in relay
    assert not user["may_connect"] and "Access" in user["reason"]
    assert re.search(r"^alice +0 .*Access", site.ask("status"), re.MULTILINE)


def test_sessions(world, site, echo):
    """Each session with its user, its relay and where the client is, and what it has open."""
    site.start()
    assert site.ask("sessions") == "no session\n" and site.lines("sessions") == []
    client = world.start_client(*forwards(echo.port))
    connection = greet(client)
    session, stream = site.lines("sessions")
    assert (session["session"], session["user"], session["state"]) == (1, "alice", "connected")
    assert session["key"] == world.key("alice").fingerprint
    assert session["relay"] == world.relay_address and session["from"].startswith(f"{LOOPBACK}:")
    assert client.lines(session["circuit"])
    assert stream["session"] == 1 and stream["target"] == f"tcp:{LOOPBACK}:{echo.port}"
    assert (stream["bytes_up"], stream["bytes_down"]) == (5, 5)
    text = site.ask("sessions").splitlines()
    assert text[0].split()[:3] == ["SESSION", "CIRCUIT", "USER"]
    assert text[1].split()[:3] == ["1", session["circuit"], "alice"]
    assert re.fullmatch(
        rf"    tcp:{LOOPBACK}:{echo.port} at {LOOPBACK}:{echo.port}, 5 B up, 5 B down, .*", text[2]
    )
    connection.close()
    wait_for(lambda: site.lines("sessions", kind="stream") == [], 10, "the stream is gone")
    client.stop()
    wait_for(lambda: site.ask("sessions") == "no session\n", 10, "the session is gone")


def test_remote_connections(world, site, echo):
    """Connections to what the client listens on are listed too."""
    site.configure()
    site.conf.write_text(site.conf.read_text() + "Listen = default\n")
    world.start_relay()
    agent = world.start_agent(conf=site.conf)
    world.start_client("-R", f"{LOOPBACK}:0:{LOOPBACK}:{echo.port}")
    port = int(agent.expect(r"listening on 127\.0\.0\.1:(\d+) for the client")[1])
    with socket.create_connection((LOOPBACK, port), 10) as connection:
        connection.sendall(b"hello")
        assert connection.recv(5) == b"hello"
        told = site.lines("sessions", kind="connection")
        assert [(t["target"], t["bytes_up"], t["bytes_down"]) for t in told] == [
            (f"{LOOPBACK}:{port}", 5, 5)
        ]


def test_idle(world, site, echo):
    """How long its streams have carried nothing, which any byte ends."""
    site.start()
    client = world.start_client(*forwards(echo.port))
    connection = greet(client)

    def idle():
        return site.lines("sessions", kind="session")[0]["idle_s"]

    wait_for(lambda: idle() >= 6, 30, "it is idle")
    connection.sendall(b"x")
    assert connection.recv(1) == b"x" and idle() <= 1
    connection.close()


@pytest.mark.time_limit(120)
def test_many_streams(world, site, echo):
    """A thousand connections are listed, each once, while they work."""
    raise_descriptor_limit()
    site.start()
    client = world.start_client(*forwards(echo.port))
    connections = [client.dial() for _ in range(1000)]
    wait_for(lambda: len(site.lines("sessions", kind="stream")) == 1000, 60, "all are there")
    told = [line["stream"] for line in site.lines("sessions", kind="stream")]
    assert len(set(told)) == 1000
    for connection in connections:
        connection.close()


def ended(client, connection, why):
    """The application's connection is reset, and the user reads why."""
    assert client.wait_exit(DENIED) is None
    assert client.lines(re.escape(why)), client.tail()
    with pytest.raises(ConnectionResetError):
        assert connection.recv(100) == b"" and None


def test_end(world, site, echo):
    """A session, those of a user, or all, end at once; others go on; who ordered it is logged."""
    agent = site.start(users={user: "tcp:127.0.0.1:*" for user in ("alice", "bob")})
    alice, bob, other = (
        world.start_client(*forwards(echo.port), user=user, name=name)
        for user, name in (("alice", "alice"), ("bob", "bob"), ("alice", "other"))
    )
    open_ = {client: greet(client) for client in (alice, bob, other)}
    number = {line["circuit"]: line["session"] for line in site.lines("sessions", kind="session")}
    circuit = next(c for c in number if other.lines(f"circuit {c}"))
    assert site.ask("end", number[circuit], "--why", "that is enough") == "1 session ended\n"
    ended(other, open_[other], "ended by the agent's owner: that is enough")
    assert agent.lines(rf"\(process \d+\) ends {number[circuit]} \(1 session\): that is enough")
    assert greet(alice)
    assert site.ask("end", "bob") == "1 session ended\n"
    ended(bob, open_[bob], "ended by the agent's owner")
    assert greet(alice)
    assert site.ask("end", "bob") == "0 sessions ended\n"
    assert site.ask("end", "all") == "1 session ended\n"
    ended(alice, open_[alice], "ended by the agent's owner")
    world.start_client(*forwards(echo.port), name="again")  # nothing forbids it


@pytest.mark.parametrize(
    "words, code, why",
    [
        (["end", "carol"], OTHER, "no session has the number 'carol', and no user has this name"),
        (["end", "7"], OTHER, "no session has the number '7'"),
        (["end", "all", "--why", "x" * 91], USAGE, "the reason is too long: expected at most 90 bytes"),
        (["end"], USAGE, "missing argument: SESSION"),
        (["end", "all", "alice"], USAGE, "unexpected argument 'alice'"),
        (["status", "--why", "x"], USAGE, "--why does not go with 'status'"),
    ],
)
def test_wrong_orders(world, site, words, code, why):
    world.start_agent(conf=site.configure(), online=False)
    wait_for(site.path.exists, 10, "the socket is there")
    assert why in site.ask(*words, code=code)


def test_end_under_load(world, site, echo):
    """While a session carries as much as it can, its end takes effect within a second."""
    site.start()
    client = world.start_client(*forwards(echo.port))
    connection = greet(client)
    connection.setblocking(False)

    def pump():
        try:
            connection.send(bytes(1 << 16))
        except BlockingIOError:
            pass
        return site.lines("sessions", kind="stream")[0]["bytes_up"] > 1 << 20

    wait_for(pump, 20, "a megabyte went up")
    assert site.ask("end", "all") == "1 session ended\n"

    def is_reset():
        try:
            while connection.recv(1 << 20):
                pass
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True
        raise AssertionError("an end of file")

    wait_for(is_reset, 1, "the application's connection is reset")
    client.wait_exit(DENIED)


def test_watch(world, site, echo):
    """Each event as it happens, the last ones of an agent that ends too."""
    agent = site.start()
    text, lines = site.watch("text"), site.watch("lines", "--json")

    def both_watch():
        agent.signal(signal.SIGUSR1)
        return all("status" in watcher.output() for watcher in (text, lines))

    wait_for(both_watch, 10, "they watch")
    client = world.start_client(*forwards(echo.port), name="before")
    wait_for(lambda: "has begun" in text.output(), 10, "it watches")
    greet(client).close()
    wait_for(lambda: "stream_ended" in lines.output(), 10, "the stream's end is told")
    client.stop()
    wait_for(lambda: "session_ended" in lines.output(), 10, "the session's end is told")
    agent.stop()
    wait_for(lambda: '"session_ended"' in lines.output(), 10, "it is told")
    told = [json.loads(line)["event"] for line in lines.output().splitlines()]
    expected = ["session_began", "stream_opened", "stream_ended", "session_ended"]
    assert [event for event in told if event in expected] == expected
    text.wait_exit(NETWORK), lines.wait_exit(NETWORK)


def test_socket_of_a_killed_agent(world, site):
    """A second agent does not take the socket; one that a killed agent left is replaced."""
    first = site.start()
    assert stat.S_IMODE(site.path.stat().st_mode) == 0o600
    second = world.start_agent(conf=site.conf, name="second", online=False)
    second.expect(f"ControlSocket = {site.path}: in use: another agent")
    second.wait_exit(NETWORK)
    site.ask("status")
    first.kill()
    assert site.path.exists()
    assert "nothing runs with this control socket" in site.ask("status", code=OTHER)
    third = world.start_agent(conf=site.conf, name="third")
    site.ask("status")
    third.stop()
    assert not site.path.exists() and not list(site.path.parent.iterdir())
    assert "no such file" in site.ask("status", code=OTHER)


def test_no_control_socket(world):
    conf = world.agent_conf()
    for verb in (["status"], ["sessions"], ["watch"], ["end", "all"]):
        assert "no ControlSocket in [Agent]" in spx("agent", "-c", conf, *verb, code=CONFIG).stderr
    conf = world.agent_conf(ControlSocket="/run/x", ControlGroup="no-such-group")
    assert "no group 'no-such-group'" in spx("agent", "-c", conf, "--check", code=CONFIG).stderr


def as_user(directory, *words, group="65534", code):
    """The same by a user of this machine who is not the agent's, and cannot read its configuration."""
    program = directory / "spx"
    if not program.exists():
        shutil.copy(SPX, program)
        program.chmod(0o755)
    other = ["setpriv", "--reuid=65534", f"--regid={group}", "--clear-groups"]
    return run(*other, program, "agent", *words, code=code, cwd="/")


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which takes root")
def test_another_user(world, site, directory):
    """Others of this machine have no access, and members of ControlGroup have."""
    site.start(ControlGroup="54321")
    assert stat.S_IMODE(site.path.stat().st_mode) == 0o660
    refused = as_user(directory, "status", "--socket", site.path, code=DENIED)
    assert "permission denied" in refused.stderr
    shown = as_user(directory, "status", "--socket", site.path, group="54321", code=OK)
    assert "agent lab-1" in shown.stdout
    asked = as_user(directory, "end", "--socket", site.path, "all", group="54321", code=OK)
    assert asked.stdout == "0 sessions ended\n"
    world.programs[-1].expect(r"uid 65534 \(process \d+\) ends all \(0 sessions\)")


# ---- The lock. ----


@pytest.fixture
def kept(site, world):
    """A site whose agent keeps its lock in a directory."""
    site.state = world.directory / "state"
    site.state.mkdir(mode=0o700)
    return site


def refused(world, why="the agent is locked"):
    failed = world.run_pipe("127.0.0.1:9", code=DENIED)
    assert why in failed.stderr, failed.stderr


def test_lock(world, kept, echo):
    """It ends everything at once and lets nobody in, also when the agent is killed and starts again;
    unlocking revives nothing, and is kept too."""
    agent = kept.start(StateDirectory=kept.state)
    client = world.start_client(*forwards(echo.port))
    connection = greet(client)
    assert kept.ask("lock", "--why", "that is odd") == "the agent is locked; 1 session ended\n"
    ended(client, connection, "the agent is locked: that is odd")
    assert agent.lines(r"locked by \w+.*\(process \d+\): that is odd")
    assert kept.lines("status")[0]["locked"] and "locked: that is odd\n" in kept.ask("status")
    assert re.search(r"^alice +0 +the agent is locked$", kept.ask("status"), re.MULTILINE)
    refused(world)
    agent.kill()
    agent = world.start_agent(conf=kept.conf, name="second")
    assert "locked: that is odd\n" in kept.ask("status")
    refused(world)
    assert kept.ask("unlock") == "the agent is open\n"
    assert not kept.lines("status")[0]["locked"]
    greet(world.start_client(*forwards(echo.port), name="again"))
    agent.kill()
    world.start_agent(conf=kept.conf, name="third")
    assert not kept.lines("status")[0]["locked"]


def test_locked_at_the_first_start(world, kept):
    """RemoteAccess counts until there is a state that is kept."""
    agent = kept.start(StateDirectory=kept.state, RemoteAccess="locked")
    refused(world)
    kept.ask("unlock")
    agent.kill()
    world.start_agent(conf=kept.conf, name="second")
    assert not kept.lines("status")[0]["locked"]


def test_unlock_for_a_time(world, kept, echo):
    """It locks itself again, which ends what there is."""
    agent = kept.start(StateDirectory=kept.state, RemoteAccess="locked")
    assert kept.ask("unlock", "--for", "3 s") in ("the agent is open for 3 s\n", "the agent is open for 2 s\n")
    client = world.start_client(*forwards(echo.port))
    connection = greet(client)
    assert 0 < kept.lines("status")[0]["open_for_s"] <= 3
    ended(client, connection, "the agent is locked: the time that it was open for is over")
    assert agent.lines("locked by itself: the time that it was open for is over")
    refused(world)


def test_time_that_passed_while_the_agent_did_not_run(world, kept):
    agent = kept.start(StateDirectory=kept.state)
    kept.ask("unlock", "--for", "1 h")
    agent.kill()
    file = kept.state / "lock"
    told = json.loads(file.read_text())
    told.update(until_s=told["written_s"] - 1)
    file.write_text(json.dumps(told, separators=(",", ":")))
    world.start_agent(conf=kept.conf, name="second").expect("locked by itself")


def test_clock_that_was_set_back_meanwhile(world, kept):
    """The time since the machine's start counts too, as long as that is the same."""
    agent = kept.start(StateDirectory=kept.state)
    kept.ask("unlock", "--for", "1 h")
    agent.kill()
    file = kept.state / "lock"
    told = json.loads(file.read_text())
    boot_us = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
    assert 3500e6 < told["until_boot_us"] - boot_us <= 3600e6
    told.update(until_boot_us=boot_us)
    file.write_text(json.dumps(told, separators=(",", ":")))
    world.start_agent(conf=kept.conf, name="second").expect("locked by itself")


def test_clock_that_was_set_back_before_the_machine_started_again(world, kept):
    """Then only the wall clock is left; an agent that ends has written how late it was."""
    agent = kept.start(StateDirectory=kept.state)
    kept.ask("unlock", "--for", "1 h")
    file = kept.state / "lock"
    written = json.loads(file.read_text())["written_s"]
    wait_for(lambda: time.time() >= written + 1, 10, "a second has passed")
    agent.stop()
    told = json.loads(file.read_text())
    assert told["written_s"] > written
    told.update(boot="another", until_boot_us=0)
    file.write_text(json.dumps(told, separators=(",", ":")))
    agent = world.start_agent(conf=kept.conf, name="second")
    assert 3000 < kept.lines("status")[0]["open_for_s"] < 3600
    agent.stop()
    told = json.loads(file.read_text())
    file.write_text(json.dumps({**told, "written_s": told["written_s"] + 60}, separators=(",", ":")))
    world.start_agent(conf=kept.conf, name="third").expect("written later than the clock says")


def test_directory_of_another_agent(world, kept):
    """Only one agent keeps its state there; one that was killed has left nothing in the way."""
    first = kept.start(StateDirectory=kept.state)
    conf = world.directory / "second.conf"
    conf.write_text(kept.conf.read_text().replace(str(kept.path), str(kept.path) + "2"))
    second = world.start_agent(conf=conf, name="second", online=False)
    second.expect(f"StateDirectory {kept.state}: another agent uses it")
    second.wait_exit(NETWORK)
    first.kill()
    world.start_agent(conf=kept.conf, name="third")


@pytest.mark.parametrize(
    "change, why",
    [
        (lambda told: "nonsense", "no JSON object"),
        (lambda told: "", "no JSON object"),
        (lambda told: json.dumps({**told, "version": 2}), "not a state that this release knows"),
        (lambda told: json.dumps({**told, "written_s": 1 << 40}), "written later than the clock says"),
        (lambda told: json.dumps({**told, "state": 1}), "not a state that this release knows"),
    ],
)
def test_unreadable_state(world, kept, change, why):
    """A state that cannot be understood, or comes from the future, locks."""
    agent = kept.start(StateDirectory=kept.state)
    kept.ask("unlock")
    agent.kill()
    file = kept.state / "lock"
    file.write_text(change(json.loads(file.read_text())))
    agent = world.start_agent(conf=kept.conf, name="second")
    agent.expect(f"{file}: {why}: the agent is locked until spx agent unlock")
    refused(world)
    kept.ask("unlock")
    assert not kept.lines("status")[0]["locked"]


def test_audit_that_does_not_answer(world, kept, echo):
    """Somebody else holds the audit's lock, in place of a disk that hangs. The lock acts at once all the
    same, sessions carry what they carry, and it is written afterwards who ordered it."""
    path = world.directory / "audit"
    kept.start(StateDirectory=kept.state, Audit=path)
    client = world.start_client(*forwards(echo.port))
    connection = greet(client)
    with path.open("rb") as audit:
        fcntl.flock(audit, fcntl.LOCK_EX)
        for _ in range(100):
            connection.sendall(b"still")
            assert connection.recv(5) == b"still"
        assert kept.ask("lock", "--why", "now") == "the agent is locked; 1 session ended\n"
        ended(client, connection, "the agent is locked: now")
        refused(world)
        assert '"locked"' not in path.read_text()
    wait_for(lambda: '"event":"locked"' in path.read_text(), 10, "it is written")


def test_disk_that_fails(world, kept):
    """Locking works all the same, and says what a restart would not know; unlocking does not."""
    kept.start(StateDirectory=kept.state)
    kept.state.rename(kept.state.with_name("gone"))
    told = kept.ask("lock")
    assert told.startswith("the agent is locked; a restart would not know: cannot create ")
    assert "still locked, as a new state cannot be kept: cannot create " in kept.ask("unlock", code=OTHER)
    assert kept.lines("status")[0]["locked"]
    refused(world)


def test_open_agent_whose_disk_fails(world, kept):
    """A time that cannot be kept is not taken, and nothing else is said."""
    kept.start(StateDirectory=kept.state)
    kept.state.rename(kept.state.with_name("gone"))
    assert "still open as before, as a new state" in kept.ask("unlock", "--for", "4h", code=OTHER)
    assert not kept.lines("status")[0]["locked"]


def test_state_that_cannot_be_read(world, kept):
    """Only a file that is not there is the first start's: a link that leads to itself locks."""
    agent = kept.start(StateDirectory=kept.state)
    file = kept.state / "lock"
    wait_for(file.exists, 10, "the state is kept")
    agent.kill()
    file.unlink()
    file.symlink_to("lock")
    agent = world.start_agent(conf=kept.conf, name="second")
    agent.expect(f"{file}.*: the agent is locked until spx agent unlock")
    refused(world)


def test_agent_that_is_stopped(kept):
    """Its queue of those who ask is full: told as no answer in time."""
    agent = kept.start(StateDirectory=kept.state)
    agent.signal(signal.SIGSTOP)
    waiting = []
    while True:
        waiting.append(socket.socket(socket.AF_UNIX))
        waiting[-1].settimeout(0.2)
        try:
            waiting[-1].connect(str(kept.path))
        except OSError:
            break
    assert "no answer in time" in kept.ask("status", code=TIMED_OUT)
    for one in waiting:
        one.close()
    agent.signal(signal.SIGCONT)


def test_lock_without_a_state_directory(world, site):
    site.start()
    assert site.ask("lock") == "the agent is locked; without StateDirectory a restart does not know\n"
    refused(world)
    assert site.ask("unlock") == "the agent is open; without StateDirectory a restart does not know\n"
    world.run_pipe("127.0.0.1:9", code=OTHER)  # it came in, and nothing listens there


def test_wrong_lock_orders(world, kept):
    kept.start(StateDirectory=kept.state)
    assert "never" in kept.ask("unlock", "--for", "never", code=USAGE)
    assert "--why does not go with 'unlock'" in kept.ask("unlock", "--why", "x", code=USAGE)
    assert "unexpected argument 'alice'" in kept.ask("lock", "alice", code=USAGE)
    assert "the reason is too long" in kept.ask("lock", "--why", "x" * 91, code=USAGE)
    assert not kept.lines("status")[0]["locked"]
