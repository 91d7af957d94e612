"""Emergency codes: a list made beforehand, each code once in place of an approval."""
import fcntl
import json
import re
import stat

import pytest

import test_control
from harness import DENIED, OTHER, USAGE, forwards, spx, wait_for
from peer import RESET, Reader, open_frame, u16
from servers import greet
from test_ask import GRANTED, NOT_PERMITTED, WAITING, Asking, Waiting, access
from test_peer import peer_client, target

directory, site = test_control.directory, test_control.site

CODE = r"[2-9FHJKLMQRTWXY]{4}(?:-[2-9FHJKLMQRTWXY]{4}){3}"


@pytest.fixture
def kept(site, world):
    """A site whose agent keeps its codes in a directory."""
    site.state = world.directory / "state"
    site.state.mkdir(mode=0o700)
    return site


def make(kept, count=5):
    return re.findall(rf"^ ?\d+  ({CODE})$", kept.ask("codes", "new", count), re.MULTILINE)


def test_list(world, kept):
    """They are shown once, and kept as hashes, over a restart too; a new list replaces the old."""
    agent = kept.start(StateDirectory=kept.state)
    assert kept.ask("codes") == "no emergency code was made\n" and kept.lines("codes") == []
    codes = make(kept)
    assert len(set(codes)) == 5
    agent.expect(r"5 emergency codes made by \w+.*\(process \d+\); those before count no more")
    file = kept.state / "codes"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for code in codes:
        assert code not in file.read_text() and code.replace("-", "") not in file.read_text()
        assert code not in agent.log()
    assert kept.ask("codes").startswith("5 of 5 emergency codes left, made ")
    agent.kill()
    agent = world.start_agent(conf=kept.conf, name="second")
    listed, *each = kept.lines("codes")
    assert (listed["codes"], listed["left"]) == (5, 5) and "process" in listed["by"]
    assert [(code["number"], code["state"]) for code in each] == [(n, "left") for n in range(1, 6)]
    assert len(make(kept, 2)) == 2
    assert kept.lines("codes")[0]["left"] == 2
    assert kept.lines("status")[0]["codes_left"] == 2
    assert "\n2 emergency codes left\n" in kept.ask("status")
    assert kept.ask("codes", "new", 0) == "no emergency code counts any more\n"
    assert kept.ask("codes").startswith("0 of 0 emergency codes left, made ")


def test_no_state_directory(site):
    site.start()
    assert "without StateDirectory emergency codes cannot be kept" in site.ask(
        "codes", "new", 5, code=OTHER
    )


def test_directory_that_fails(kept):
    """A list that cannot be kept is none, and the old one goes on."""
    kept.start(StateDirectory=kept.state)
    make(kept, 3)
    kept.state.rename(kept.state.with_name("gone"))
    told = kept.ask("codes", "new", 5, code=OTHER)
    assert "the codes cannot be kept, and none is new: cannot create " in told
    assert not re.search(CODE, told)
    assert kept.lines("codes")[0]["left"] == 3


def test_file_that_is_none(world, kept):
    agent = kept.start(StateDirectory=kept.state)
    make(kept)
    agent.kill()
    (kept.state / "codes").write_text("nonsense")
    agent = world.start_agent(conf=kept.conf, name="second")
    agent.expect("codes: no JSON object.*: no emergency code counts until spx agent codes new")
    assert kept.lines("codes") == []
    assert len(make(kept)) == 5


@pytest.mark.parametrize(
    "words, why",
    [
        (["old"], "expected codes, or codes new COUNT"),
        (["new"], "codes new takes a COUNT"),
        (["new", "21"], "21"),
        (["new", "x"], "x"),
    ],
)
def test_wrong_words(kept, words, why):
    kept.start(StateDirectory=kept.state)
    assert why in kept.ask("codes", *words, code=USAGE)


# ---- Used. ----


@pytest.fixture
def asking(world, kept):
    """Sessions wait for approval; the audit is kept."""
    kept.agent = kept.start(
        StateDirectory=kept.state, Access="ask", Audit=world.directory / "audit",
        users={user: "tcp:127.0.0.1:*" for user in ("alice", "bob")},
    )  # fmt: skip
    return kept


def entries(world, event):
    lines = (world.directory / "audit").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["event"] == event]


def connect(world, code, port=9, user="alice", name=None):
    """A client that begins by a code, and is granted that."""
    client = world.start_client(
        "--emergency-code", code, *forwards(port), user=user, name=name or f"{user}-{code[:4]}"
    )
    client.expect("giving the emergency code at lab-1: request [2-9A-Z]{4} ")
    client.expect("approved after")
    assert not client.lines("waiting for approval")
    return client


def refused(world, code, why, user="alice"):
    options = ["--emergency-code", code]
    conf = world.client_conf(user=user)
    done = spx("client", "-c", conf, *options, "-W", "127.0.0.1:9", "lab-1", code=DENIED)
    assert done.stderr.count(why) == 1, done.stderr


def test_use(world, asking, echo):
    """A code stands in place of an approval, as it is typed, once, and everybody is told."""
    codes = make(asking)
    client = connect(world, codes[1].lower().replace("-", " "), echo.port)
    greet(client)
    (used,) = [code for code in asking.lines("codes")[1:] if code["state"] == "used"]
    assert (used["number"], used["user"]) == (2, "alice")
    assert asking.lines("codes")[0]["left"] == 4
    asking.agent.expect(r"user alice used emergency code 2; 4 are left")
    wait_for(lambda: entries(world, "session_approved"), 10, "it is in the audit")
    assert entries(world, "session_approved")[0]["by"] == "emergency code 2"
    (entry,) = entries(world, "code_used")
    assert entry["session"] == entries(world, "session_approved")[0]["session"]
    assert entry["user"] == "alice" and entry["reason"] == "emergency code 2; 4 are left"
    assert not [code for code in codes if code in (world.directory / "audit").read_text()]
    refused(world, codes[1], "the emergency code was used before")
    greet(client)
    asking.agent.kill()
    asking.agent = world.start_agent(conf=asking.conf, name="second")
    assert asking.lines("codes")[0]["left"] == 4
    refused(world, codes[1], "the emergency code was used before")


def test_wrong_codes(world, asking, echo):
    """After three a key may not try for a while, even the right one; others may."""
    (code,) = make(asking, 1)
    refused(world, "7F3K", "an emergency code has 16 signs of 23456789FHJKLMQRTWXY, as in ")
    for wrong in ("2222-2222-2222-2222", "3333-3333-3333-3333"):
        refused(world, wrong, "the emergency code is none of this agent's")
    refused(world, code, "too many wrong emergency codes: try again in 15 min")
    wait_for(lambda: len(entries(world, "code_refused")) == 4, 10, "it is in the audit")
    assert asking.lines("codes")[0]["left"] == 1
    greet(connect(world, code, echo.port, user="bob"))


def test_lock_and_rules_count(world, asking):
    """A code replaces an approval and nothing else; what is refused does not use it up."""
    (code,) = make(asking, 1)
    asking.ask("lock")
    refused(world, code, "the agent is locked")
    assert asking.lines("codes")[0]["left"] == 1


def test_no_place(world, asking):
    """Nor does a session that would find no place, however right the code is."""
    (code,) = make(asking, 1)
    first = Waiting(world)
    asking.ask("approve", first.code, "--for", "1h")
    others = [peer_client(world).connect(Asking()) for _ in range(7)]
    asking.ask("withdraw", 1)
    refused(world, code, "too many sessions are open: end one first")
    assert asking.lines("codes")[0]["left"] == 1
    first.circuit.finish()
    wait_for(lambda: len(asking.lines("sessions", kind="session")) == len(others), 10, "a place is free")
    connect(world, code)


def test_disk_that_fails(world, asking):
    """That it was used must be on disk before anything follows from it."""
    codes = make(asking, 2)
    asking.state.rename(asking.state.with_name("gone"))
    refused(world, codes[0], "that the emergency code was used cannot be kept")
    asking.state.with_name("gone").rename(asking.state)
    refused(world, codes[0], "the emergency code was used before")
    assert not entries(world, "session_approved")


def test_no_approval_needed(world, kept, echo):
    """Where none is, a code is not used up."""
    kept.start(StateDirectory=kept.state)
    (code,) = make(kept, 1)
    greet(world.start_client("--emergency-code", code, *forwards(echo.port)))
    assert kept.lines("codes")[0]["left"] == 1


def test_granted_client_gives_it_no_more(world, asking, echo):
    """A session that begins anew, since the agent was started again, asks as others do."""
    (code,) = make(asking, 1)
    client = connect(world, code, echo.port)
    greet(client)
    asking.agent.kill()
    asking.agent = world.start_agent(conf=asking.conf, name="second")
    wait_for(lambda: asking.lines("requests"), 30, "it asks")
    assert not asking.agent.lines("in vain") and not client.ended()


class Emergency(Asking):
    """Of a client that gives a code."""

    def __init__(self, code):
        super().__init__()
        self.code = code.encode()

    def payload1(self, agent, streams=0, number=None):
        told = super().payload1(agent, streams, number)
        return told + u16(20) + u16(len(self.code)) + self.code


def test_message_that_is_never_started(world, asking, echo):
    """Anybody can send a copy of it, which uses up no code: that is START's."""
    (code,) = make(asking, 1)
    client = peer_client(world)
    client.connect(Emergency(code), start=False)
    assert asking.lines("codes")[0]["left"] == 1
    circuit = client.connect(Emergency(code))
    wait_for(lambda: asking.lines("codes")[0]["left"] == 0, 10, "it is used")
    assert access(circuit, WAITING)[1] and access(circuit, GRANTED)


def test_killed_before_it_is_in_the_audit(world, asking, echo):
    """A code that was used is so for good, and nothing is granted that is not in the audit, whose disk
    does not answer: somebody else holds its lock."""
    (code,) = make(asking, 1)
    with (world.directory / "audit").open("rb") as audit:
        fcntl.flock(audit, fcntl.LOCK_EX)
        circuit = peer_client(world).connect(Emergency(code))
        assert access(circuit, WAITING)
        wait_for(lambda: asking.lines("codes")[0]["left"] == 0, 10, "it is used")
        circuit.send(open_frame(1, target(echo)))
        assert Reader(circuit.expect(RESET, stream=1).payload).number(2) == NOT_PERMITTED
        wait_for(lambda: '"used_s":0' not in (asking.state / "codes").read_text(), 10, "it is kept")
        asking.agent.kill()
    world.start_agent(conf=asking.conf, name="second")
    assert asking.lines("codes")[0]["left"] == 0 and not entries(world, "session_approved")
    refused(world, code, "the emergency code was used before")


@pytest.mark.parametrize("words, why", [([""], "is no emergency code"), (["x" * 65], "is no emergency code")])
def test_wrong_option(world, words, why):
    conf = world.client_conf()
    assert why in spx("client", "-c", conf, "lab-1", "--emergency-code", *words, code=USAGE).stderr
    told = spx("client", "-c", conf, "lab-1", "lab-2", "--emergency-code", "7F3K", code=USAGE)
    assert "--emergency-code is for one agent" in told.stderr
