"""Sessions that ask for approval: what they wait for, and who decides. The client is the independent peer
where it says more than the program's own would."""
import base64
import contextlib
import fcntl
import json
import re
import signal
import socket
import time
from datetime import datetime, timedelta, timezone

import pytest

import peer
import test_control
from harness import DENIED, OTHER, USAGE, forwards, spx, wait_for
from peer import LISTEN, RESET, Gone, Reader, Refused, frame, open_frame, string, u16
from servers import greet
from test_peer import peer_client, target
from test_permit import Office
from test_permit_sessions import SCOPE, authority, with_authority
from test_rules import reload

ACCESS, WAITING, GRANTED, NOT_PERMITTED = 0x0A, 1, 2, 4
CODE = re.compile(r"[23456789FHJKLMQRTWXY]{4}")
USERS = {"alice": "tcp:127.0.0.1:*", "bob": "tcp:127.0.0.1:*"}

directory, site = test_control.directory, test_control.site


class Asking(peer.Session):
    """Of a client that can wait, with a reason."""

    def __init__(self, reason="case 4711", takes=3):
        super().__init__()
        self.reason, self.takes, self.waits = reason, takes, None

    def payload1(self, agent, streams=0, number=None):
        told = super().payload1(agent, streams, number)
        if self.takes:
            told += u16(16) + u16(1) + bytes([self.takes])
        reason = self.reason.encode()
        return told + (u16(17) + u16(len(reason)) + reason if reason else b"")

    def read_payload2(self, reader):
        self.waits = b"\0\x10\0\x01\x01" in reader.data
        return super().read_payload2(reader)


def access(circuit, state):
    """The next ACCESS, which is of this state: its time and text."""
    reader = Reader(circuit.expect(ACCESS).payload)
    assert reader.number(1) == state
    return reader.number(8), reader.text()


class Waiting:
    """A session that waits."""

    def __init__(self, world, user="alice", **session):
        self.client = peer_client(world, user)
        self.circuit = self.client.connect(Asking(**session))
        assert self.circuit.session.waits
        self.until, self.code = access(self.circuit, WAITING)
        assert CODE.fullmatch(self.code)

    def granted(self, echo, stream=1):
        """The text of the grant, after which a stream works."""
        text = access(self.circuit, GRANTED)[1]
        self.circuit.open(target(echo), stream)
        assert self.circuit.ask(b"hello", stream) == b"hello"
        return text

    def closed(self):
        """The code and text of the CLOSE that ended it."""
        code = self.circuit.wait_end()
        return code, getattr(self.circuit, "close_text", None)

    def back(self):
        self.circuit = self.client.connect(self.circuit.session)


def configure(site, access="ask", **more):
    return site.start(Access=access, users=USERS, Audit=site.world.directory / "audit", **more)


def requests(site):
    return site.lines("requests")


def audited(site, event, count=1):
    """The audit's entries of an event, once so many are written."""
    path = site.world.directory / "audit"

    def found():
        lines = map(json.loads, path.read_text().splitlines() if path.exists() else [])
        return [line for line in lines if line["event"] == event]

    wait_for(lambda: len(found()) >= count, 10, f"{event} is in the audit")
    return found()


def test_approve(world, site, echo):
    """A request is told without its code, which goes to the client alone; approved by that, the session
    works. While it waits nothing is opened."""
    agent = configure(site)
    begun = time.time()
    waiting = Waiting(world, reason='case "4711"')
    assert begun + 890 < waiting.until < time.time() + 910
    (request,) = requests(site)
    assert (request["request"], request["user"], request["state"]) == (1, "alice", "connected")
    assert request["reason"] == 'case "4711"' and request["key"] == world.key("alice").fingerprint
    assert request["relay"] == world.relay_address and 890 < request["left_s"] <= 900
    circuit = waiting.circuit
    for stream, what in ((1, target(echo)), (3, "spx:targets")):
        circuit.send(open_frame(stream, what))
        reader = Reader(circuit.expect(RESET, stream=stream).payload)
        assert (reader.number(2), reader.text()) == (NOT_PERMITTED, "the session waits for approval")
    circuit.send(frame(LISTEN, 5, string("127.0.0.1:0")))
    assert Reader(circuit.expect(RESET, stream=5).payload).number(2) == NOT_PERMITTED
    assert not agent.lines("connected, stream|listening on") and site.lines("sessions") == []
    typed = f"{waiting.code[:2]}-{waiting.code[2:].lower()}"
    assert site.ask("approve", typed) == "request 1 of alice is approved: session 1\n"
    waiting.granted(echo, stream=7)
    (session,) = site.lines("sessions", kind="session")
    assert session["session"] == 1 and session["reason"] == 'case "4711"'
    assert requests(site) == []
    (asked,), (approved,) = audited(site, "session_asked"), audited(site, "session_approved")
    assert asked["reason"] == 'case "4711"' and asked["session"] == approved["session"]
    assert re.fullmatch(r"\S+ \d*\s?\(process \d+\)", approved["by"]), approved
    assert agent.lines(r"request 1: user alice asks for approval within 15 min, and says \"case '4711'\"")
    assert agent.lines(r"session of user alice has begun, who says .*; it waits for approval")
    assert agent.lines(r"request 1 of user alice: approved by .+\(process \d+\)")
    told = agent.log() + (world.directory / "audit").read_text()
    assert waiting.code not in told
    waiting.circuit.finish()


def test_tables(world, site):
    """For people: the user's words stand in quotes."""
    agent = configure(site)
    assert site.ask("requests") == "no request\n" and site.ask("approvals") == "no approval\n"
    assert re.search(r"^alice +0 +after approval$", site.ask("status"), re.MULTILINE)
    waiting = Waiting(world)
    heading, row, says = site.ask("requests").splitlines()
    assert heading.split()[:3] == ["REQUEST", "CIRCUIT", "USER"] and row.split()[0] == "1"
    assert says == '    says "case 4711"' and waiting.code not in site.ask("--json", "requests")
    assert "1 request for approval waits" in site.ask("status")
    agent.signal(signal.SIGUSR1)
    agent.expect("0 sessions, 1 request for approval$")
    site.ask("approve", waiting.code, "--for", "4h")
    heading, row = site.ask("approvals").splitlines()
    assert heading.split()[0] == "APPROVAL" and row.split()[:2] == ["1", "alice"]
    assert re.search(r"^alice +1 +yes, approved for \d h", site.ask("status"), re.MULTILINE)
    assert '    says "case 4711"' in site.ask("sessions")


def test_check(world):
    """--check says who has to ask, and what for."""
    conf = world.agent_conf(users=USERS, Access="ask", ReasonRequired="yes")
    conf.write_text(conf.read_text() + "Access = always\nReasonRequired = no\n")  # bob's
    rows = [" ".join(row.split()) for row in spx("agent", "-c", conf, "--check").stdout.splitlines()]
    for row in ("connect ask", "wait for 15 min", "with reason yes", "connect now after approval"):
        assert f"alice {row}" in rows
    assert not [row for row in rows if row.startswith("bob") and "connect to" not in row]


def test_deny(world, site):
    """By number; the user reads why, and may not ask for five minutes, then for ten."""
    agent = configure(site)
    waiting = Waiting(world)
    assert site.ask("deny", "1", "--why", "not tonight") == "request 1 is denied\n"
    assert waiting.closed() == (peer.DENIED, "denied by the agent's owner: not tonight")
    with pytest.raises(Refused) as refused:
        Waiting(world)
    assert refused.value.code == peer.DENIED
    assert refused.value.text == "the request before was denied; ask again in 5 min"
    alice, bob = (line for line in site.lines("status") if line["kind"] == "user")
    assert re.fullmatch("the request before was denied; ask again in (5 min|4 min .*)", alice["reason"])
    assert alice["asks"] and "reason" not in bob
    assert re.search(r"^alice +0 +the request before was denied; ask again in ", site.ask("status"), re.M)
    (denied,) = audited(site, "session_denied")
    assert denied["reason"] == "not tonight" and "process" in denied["by"]
    assert "not tonight" in audited(site, "session_ended")[0]["reason"]
    assert agent.lines(r"request 1 of user alice: denied by .+: not tonight; .* in 5 min")
    Waiting(world, user="bob")
    assert "no request has the number 1" in site.ask("deny", "1", code=OTHER)


def test_lapse(world, site, echo):
    """Nobody answers in time; that is no denial."""
    agent = configure(site, AskTimeout="10 s")
    waiting = Waiting(world)
    assert waiting.closed() == (peer.DENIED, "nobody approved the request within 10 s")
    agent.expect("request 1 of user alice: nobody approved the request within 10 s")
    audited(site, "session_lapsed")
    again = Waiting(world)
    site.ask("approve", again.code)
    again.granted(echo)


def test_wrong_codes(world, site, echo):
    """Five within a minute: then nothing is approved for a minute, the right one neither."""
    agent = configure(site)
    waiting = Waiting(world)
    for wrong in ("2222", "0000", "x", waiting.code[:3]):
        if wrong != waiting.code:
            assert "no request waits with this code" in site.ask("approve", wrong, code=OTHER)
    site.ask("approve", waiting.code)
    waiting.granted(echo)
    other = Waiting(world, user="bob")
    assert "again in 1 min" in site.ask("approve", waiting.code, code=OTHER)  # used
    assert "too many wrong codes" in site.ask("approve", other.code, code=OTHER)
    assert len(agent.lines("approves nothing: no request waits")) == 4
    assert len(agent.lines("approves nothing: too many wrong codes")) == 1
    assert len(audited(site, "approval_refused", 5)) == 5  # that nothing is looked at is told to the asker
    site.ask("deny", "2")  # goes on


def test_client_that_does_not_hold_back(world, site, echo):
    """Whoever is not approved fills no audit: what asks for streams while it waits is sent away."""
    agent = configure(site)
    waiting = Waiting(world)
    with contextlib.suppress(Gone):
        for first in range(1, 2000, 100):
            waiting.circuit.send(*(open_frame(n, target(echo)) for n in range(first, first + 100, 2)))
            waiting.circuit.receive()
    agent.expect("ended: the peer opens streams though the session waits")
    assert len(audited(site, "stream_refused", 256)) == 256 and not agent.lines("connected, stream")
    Waiting(world, user="bob")


def test_clients_that_cannot_ask(world, site):
    """Refused in message 2, in words: one that cannot wait, and one without the reason that is wanted."""
    configure(site, ReasonRequired="yes")
    for session, why in (
        (Asking(takes=1), "which this client cannot wait for"),
        (Asking(takes=0), "which this client cannot wait for"),
        (Asking(reason=""), "a reason has to be given, with --reason"),
    ):
        with pytest.raises(Refused) as refused:
            peer_client(world).connect(session)
        assert refused.value.code == peer.DENIED and why in refused.value.text
        assert refused.value.agents_word
    assert requests(site) == []


def test_reason_alone(world, site, echo):
    """It can be required of those who need not ask."""
    configure(site, "always", ReasonRequired="yes")
    session = Asking()
    circuit = peer_client(world).connect(session)
    assert session.waits is False
    circuit.open(target(echo))
    (listed,) = site.lines("sessions", kind="session")
    assert listed["reason"] == "case 4711"
    assert audited(site, "session_began")[0]["reason"] == "case 4711"


def test_a_recording_asks_nobody(world, site):
    """A message 1 makes no request, however often it comes: START does."""
    configure(site)
    client = peer_client(world)
    _, message1 = client.message1(Asking())
    for _ in range(3):
        hop, _ = client.ask(message1)
        hop.close()
    client.connect(Asking(), start=False)
    assert requests(site) == []
    Waiting(world)
    assert [request["request"] for request in requests(site)] == [1]


def test_places(world, site, echo):
    """Two wait of a user, sixteen in all; they take no places of sessions."""
    users = {f"user{n}": "tcp:127.0.0.1:*" for n in range(9)}
    world.start_relay(users={user: "*" for user in users})
    world.start_agent(conf=site.configure(users=users, Access="ask"))
    waiting = [Waiting(world, user=f"user{n % 8}") for n in range(16)]
    full = {"user0": "2 requests of this user wait for approval", "user8": "too many requests wait for approval at this agent"}
    for user, text in full.items():
        with pytest.raises(Refused) as refused:
            Waiting(world, user=user)
        assert (refused.value.code, refused.value.text) == (peer.FULL, text)
    assert len({one.code for one in waiting}) == 16 == len(requests(site))
    assert site.lines("status")[0]["sessions"] == 0
    site.ask("approve", waiting[0].code)
    waiting[0].granted(echo)
    Waiting(world, user="user8")


def test_places_for_those_admitted_before(world, site):
    """Many may be admitted before the first of them starts; no more wait than may."""
    configure(site)
    client = peer_client(world)
    circuits = [client.connect(Asking(), start=False) for _ in range(3)]
    for circuit in circuits[:2]:
        access(circuit.start().read_start(), WAITING)
    assert circuits[2].start().wait_end() == peer.FULL
    assert len(requests(site)) == 2


def test_away(world, site, echo):
    """Without a circuit a request lives on, and is granted when its client is back, once that has been
    approved; it gives way to its key's next one."""
    agent = configure(site)
    waiting, other = Waiting(world), Waiting(world, user="bob")
    for one in (waiting, other):
        one.circuit.close()
    wait_for(lambda: [r["state"] for r in requests(site)] == ["away"] * 2, 10, "both are away")
    told = site.ask("approve", waiting.code)
    assert told == "request 1 of alice is approved, and granted when its client is back\n"
    assert [r["state"] for r in requests(site)] == ["approved, away", "away"]
    assert "is approved, and granted" in site.ask("approve", waiting.code, code=OTHER)
    assert site.lines("sessions") == []
    waiting.back()
    waiting.granted(echo)
    again = Waiting(world, user="bob")
    assert [r["request"] for r in requests(site)] == [3]
    assert agent.lines("ended: it was away, and its user asks anew")
    with pytest.raises(Refused):
        other.back()
    assert "no request waits" in site.ask("approve", other.code, code=OTHER)
    site.ask("approve", again.code)
    again.granted(echo)


def test_approval_while_the_relay_is_down(world, site, echo):
    """It works on the machine itself, and takes effect when the client finds its way back."""
    relay_conf = world.relay_conf(users={"alice": "*", "bob": "*"})
    relay = world.start_relay(conf=relay_conf)
    agent = world.start_agent(conf=site.configure(users=USERS, Access="ask"))
    waiting = Waiting(world)
    relay.kill()
    wait_for(lambda: requests(site)[0]["state"] == "away", 10, "it is away")
    assert "when its client is back" in site.ask("approve", waiting.code)
    world.start_relay(conf=relay_conf, name="relay2")
    agent.expect(r"online", count=2, seconds=40)
    waiting.back()
    waiting.granted(echo)


def test_resumed_while_it_waits(world, site, echo):
    configure(site)
    waiting = Waiting(world)
    waiting.circuit.close()
    waiting.back()
    wait_for(lambda: requests(site)[0]["state"] == "connected", 10, "it is back")
    site.ask("approve", waiting.code)
    waiting.granted(echo)


def test_approval_for_a_time(world, site, echo):
    """The key need not ask meanwhile, nor wait; each use is in the audit. Withdrawn, it asks again, and
    what has begun goes on. Nobody else's key is covered."""
    configure(site)
    waiting = Waiting(world)
    told = site.ask("approve", waiting.code, "--for", "4h")
    assert told == "request 1 of alice is approved: session 1; the key of alice need not ask for 4 h: approval 1\n"
    waiting.granted(echo)
    session = Asking()
    circuit = peer_client(world).connect(session)
    assert session.waits is False
    circuit.open(target(echo))
    peer_client(world).connect(Asking(takes=1)).open(target(echo))  # nor need it be able to
    Waiting(world, user="bob")
    (approval,) = site.lines("approvals")
    assert (approval["approval"], approval["user"], approval["uses"]) == (1, "alice", 2)
    assert 4 * 3600 - 60 < approval["left_s"] <= 4 * 3600
    used = audited(site, "approval_used", count=2)
    assert used[0]["by"] == approval["by"]
    assert "withdrawn" in site.ask("withdraw", "1")
    assert "no approval has the number 1" in site.ask("withdraw", "1", code=OTHER)
    assert audited(site, "approval_ended")[0]["reason"] == "withdrawn"
    Waiting(world)
    assert circuit.ask(b"still") == b"still"


def ended_approval(site, agent, reason):
    assert site.lines("approvals") == []
    assert audited(site, "approval_ended")[-1]["reason"] == reason
    assert agent.lines("approval 1, of user alice: ended by")


@pytest.mark.parametrize("change", ["Listeners = 3", "Hours = 00:00-24:00", "MaxSession = 1 h"])
def test_policy_change(world, site, change):
    """Whatever of a user changes ends what was approved and what waits; another user's stays."""
    agent = configure(site)
    approved, waiting = Waiting(world, user="bob"), Waiting(world)
    site.ask("approve", approved.code, "--for", "4h")
    text = site.conf.read_text()
    reload(agent, site.conf, text)
    assert len(requests(site)) == len(site.lines("approvals")) == 1
    reload(agent, site.conf, text + change + "\n")  # bob's, who is the last
    assert site.lines("approvals") == [] and len(requests(site)) == 1
    assert audited(site, "approval_ended")[-1]["by"] == "reload"
    alice, bob = text.split("[User]")[1:]
    reload(agent, site.conf, text.replace(alice, alice.rstrip() + f"\n{change}\n\n"))
    assert waiting.closed()[1] == "what the user may do here has changed: ask again"
    assert requests(site) == []


def test_key_change(world, site):
    """An approval is a key's, not a name's."""
    agent = configure(site)
    waiting = Waiting(world)
    site.ask("approve", waiting.code, "--for", "4h")
    text = site.conf.read_text()
    other = text.replace(world.key("alice").public, world.key("carol").public)
    reload(agent, site.conf, other)
    assert waiting.closed()[0] == peer.REVOKED
    reload(agent, site.conf, text)
    Waiting(world)
    assert site.lines("approvals") == []


def test_lock(world, site):
    """It denies what waits, and ends approvals."""
    agent = configure(site)
    approved, waiting = Waiting(world), Waiting(world, user="bob")
    site.ask("approve", approved.code, "--for", "4h")
    site.ask("lock", "--why", "inventory")
    assert waiting.closed() == (peer.DENIED, "the agent is locked: inventory")
    assert requests(site) == []
    ended_approval(site, agent, "the agent is locked: inventory")
    site.ask("unlock")
    Waiting(world)


def test_end_of_all(world, site):
    configure(site)
    waiting = Waiting(world)
    assert site.ask("end", "alice", "--why", "enough") == "1 session ended\n"
    assert waiting.closed() == (peer.DENIED, "ended by the agent's owner: enough")
    Waiting(world)  # that was no denial


def test_never(world, site):
    """A rule that comes to forbid it ends what waits."""
    agent = configure(site, "always")
    text = site.conf.read_text()
    reload(agent, site.conf, text.replace("Access = always", "Access = ask"))
    waiting = Waiting(world)
    reload(agent, site.conf, text.replace("Access = always", "Access = never"))
    assert waiting.closed()[0] == peer.DENIED
    assert requests(site) == []


def test_approved_while_it_starts(world, site, echo):
    """Message 2 says that it waits, and by START its key is approved: the client is told."""
    configure(site)
    first = Waiting(world)
    late = peer_client(world).connect(Asking(), start=False)
    assert late.session.waits
    site.ask("approve", first.code, "--for", "1h")
    late.start().read_start()
    access(late, GRANTED)
    late.open(target(echo))


def test_asks_only_when_it_starts(world, site, echo):
    """The other way round: the approval is gone by START."""
    configure(site)
    first = Waiting(world)
    site.ask("approve", first.code, "--for", "1h")
    late, old = (
        peer_client(world).connect(Asking(takes=takes), start=False) for takes in (3, 1)
    )
    assert late.session.waits is False
    site.ask("withdraw", "1")
    late.start().read_start()
    _, code = access(late, WAITING)
    late.send(open_frame(1, target(echo)))
    assert Reader(late.expect(RESET).payload).number(2) == NOT_PERMITTED
    old.start().read_start()
    assert old.wait_end() == peer.DENIED
    site.ask("approve", code)
    access(late, GRANTED)


def test_longest_session_counts_from_the_grant(world, site, echo):
    """And a near end is told after the grant, never in its place."""
    configure(site, MaxSession="4 s")
    waiting = Waiting(world)
    wait_for(lambda: requests(site)[0]["for_s"] >= 5, 10, "it waits for longer than it may last")
    begun = time.monotonic()
    site.ask("approve", waiting.code)
    assert "MaxSession" in waiting.granted(echo)
    assert waiting.circuit.wait_end() == peer.DENIED
    assert time.monotonic() - begun > 3


def test_client_that_ends(world, site):
    """A request goes with its client's CLOSE."""
    configure(site)
    Waiting(world).circuit.finish()
    wait_for(lambda: requests(site) == [], 10, "the request is gone")
    assert audited(site, "session_ended")[0]["by"] == "client"


def test_stop(world, site):
    """An agent that ends tells those who wait."""
    agent = configure(site)
    waiting = Waiting(world)
    agent.signal(signal.SIGTERM)
    assert waiting.closed()[1] == "the agent is ending"
    agent.wait_exit(0)


@pytest.mark.parametrize(
    "words, code, why",
    [
        (["approve"], USAGE, "missing argument: CODE"),
        (["approve", "7F3K", "--for", "32d"], USAGE, "from 1 to 2678400"),
        (["approve", "7F3K", "--why", "x"], USAGE, "--why does not go with 'approve'"),
        (["approve", "7F3K"], OTHER, "no request waits with this code: it has 4 signs of 23456789FHJKLMQRTWXY, "),
        (["deny"], USAGE, "missing argument: NUMBER"),
        (["deny", "x"], USAGE, "'x' is not a number"),
        (["deny", "1"], OTHER, "no request has the number 1"),
        (["deny", "1", "--why", "x" * 91], USAGE, "the reason is too long"),
        (["withdraw", "1"], OTHER, "no approval has the number 1"),
    ],
)
def test_wrong_orders(world, site, words, code, why):
    world.start_agent(conf=site.configure(), online=False)
    wait_for(site.path.exists, 10, "the socket is there")
    assert why in site.ask(*words, code=code)


def test_watch(world, site):
    """A line for each request and what became of it."""
    agent = configure(site)
    watch = site.watch("watch")
    wait_for(lambda: agent.signal(signal.SIGUSR1) or "status" in watch.output(), 10, "it watches")
    first = Waiting(world, user="bob")
    Waiting(world)
    site.ask("approve", first.code)
    site.ask("deny", "2", "--why", "not now")
    for line in (
        r'request 1: user bob asks for approval within 15 min, and says "case 4711"',
        r"request 1 of user bob: approved by \S+ .*\(process \d+\)",
        r"request 2 of user alice: denied by .*: not now; the key may ask again in 5 min",
    ):
        wait_for(lambda: re.search(line, watch.output()), 10, line)
    assert first.code not in watch.output()


def test_events(world, site, echo):
    """Requests and grants are told to the owner's program, without the code."""
    book = world.directory / "book"
    program = world.write("program", f'#!/bin/sh\n{{ echo "$(cat)"; }} >> {book}\n')
    program.chmod(0o755)
    configure(site, OnEvent=program)
    waiting = Waiting(world, reason="case 4711")
    site.ask("approve", waiting.code, "--for", "1h")
    peer_client(world).connect(Asking())

    def told():
        return book.read_text().splitlines() if book.exists() else []

    wait_for(lambda: len(told()) == 3, 20, "all are told")
    events = {one["event"]: one for one in map(json.loads, told())}
    assert set(events) == {"session_asked", "session_approved", "approval_used"}
    asked, approved = events["session_asked"], events["session_approved"]
    assert (asked["kind"], asked["request"], asked["user"]) == ("request", "1", "alice")
    assert asked["reason"] == "case 4711" and asked["session"] == approved["session"]
    assert approved["kind"] == "granted" and "process" in approved["by"]
    assert events["approval_used"]["kind"] == "granted"
    assert waiting.code not in book.read_text()


# ---- To permit waits for the disk. ----


class Approving:
    """An approval on its way to a disk that does not answer: somebody else holds the audit's lock."""

    def __init__(self, world, site):
        self.site = site
        self.waiting = Waiting(world)
        audited(site, "session_asked")
        self.audit = (world.directory / "audit").open("rb")
        fcntl.flock(self.audit, fcntl.LOCK_EX)
        self.asker = socket.socket(socket.AF_UNIX)
        self.asker.settimeout(20)
        self.asker.connect(str(site.path))
        order = {"verb": "approve", "code": self.waiting.code}
        self.asker.sendall(json.dumps(order).encode() + b"\n")
        again = site.ask("approve", self.waiting.code, code=OTHER)
        assert "request" in again and "is being approved already" in again

    def still_waits(self, echo, stream):
        circuit = self.waiting.circuit
        circuit.send(open_frame(stream, target(echo)))
        assert Reader(circuit.expect(RESET, stream=stream).payload).number(2) == NOT_PERMITTED
        assert len(requests(self.site)) == 1

    def release(self):
        """The answer's result and text; None: the agent has gone."""
        self.audit.close()
        with self.asker, self.asker.makefile() as answers:
            line = answers.readline()
        return (json.loads(line)["result"], json.loads(line)["text"]) if line else None


def test_approval_waits_for_the_disk(world, site, echo):
    """And takes effect once it is there; nothing else waits meanwhile."""
    agent = configure(site)
    bob = Waiting(world, user="bob")
    site.ask("approve", bob.code)
    bob.granted(echo)
    approving = Approving(world, site)
    approving.still_waits(echo, 1)
    assert bob.circuit.ask(b"still", 1) == b"still"
    assert not agent.lines("request 2 of user alice: approved")
    assert approving.release() == ("done", "request 2 of alice is approved: session 2")
    approving.waiting.granted(echo, stream=3)


def test_killed_between_decision_and_effect(world, site, echo):
    """Nothing was granted that is not in the audit."""
    agent = configure(site)
    approving = Approving(world, site)
    approving.still_waits(echo, 1)
    agent.kill()
    assert approving.release() is None
    entries = [json.loads(line) for line in (world.directory / "audit").read_text().splitlines()]
    assert "session_approved" not in [entry["event"] for entry in entries]
    world.start_agent(conf=site.conf, name="again")
    assert requests(site) == [] and site.lines("sessions") == []
    with pytest.raises(Refused):
        approving.waiting.back()


@pytest.mark.parametrize("order", [["deny", "1"], ["lock"]])
def test_forbidding_overtakes(world, site, echo, order):
    """To forbid does not wait: the approval comes too late, and says so."""
    configure(site)
    approving = Approving(world, site)
    site.ask(*order)
    assert approving.waiting.closed()[0] == peer.DENIED
    assert approving.release() == ("failed", "request 1 is over")
    assert requests(site) == [] and site.lines("sessions") == []


def test_rules_are_looked_at_again(world, site):
    """A date that comes while the disk is waited for, like hours that close, lets nothing begin."""
    end = datetime.now(timezone.utc) + timedelta(seconds=5)
    configure(site, NotAfter=f"{end:%Y-%m-%dT%H:%M:%SZ}")
    approving = Approving(world, site)
    wait_for(lambda: datetime.now(timezone.utc) > end, 10, "the date is over")
    result, text = approving.release()
    assert result == "failed" and text.endswith("is over")  # the date, or the request by now
    assert approving.waiting.closed() == (peer.DENIED, "NotAfter is over")
    assert site.lines("sessions") == []


def test_asker_that_does_not_wait(world, site, echo):
    """An approval that was begun is not taken back because its asker has gone."""
    configure(site)
    approving = Approving(world, site)
    approving.asker.close()
    approving.audit.close()
    approving.waiting.granted(echo)


def test_audit_that_cannot_be_written(world, site):
    """Then nothing is approved."""
    configure(site)
    waiting = Waiting(world)
    audited(site, "session_asked")
    with (world.directory / "audit").open("rb") as audit:
        fcntl.flock(audit, fcntl.LOCK_EX)

        def is_refused():
            try:
                peer_client(world, "bob").connect(Asking(), start=False).close()
            except Refused as refused:
                return "cannot be written" in refused.text

        wait_for(is_refused, 20, "the disk is given up")
        assert "the agent's audit cannot be written" in site.ask("approve", waiting.code, code=OTHER)
    wait_for(lambda: world.programs[-1].lines("is written again"), 10, "it is written again")
    site.ask("approve", waiting.code)


def test_not_after(world, site):
    """A date that comes while it waits ends it."""
    end = datetime.now(timezone.utc) + timedelta(seconds=4)
    configure(site, NotAfter=f"{end:%Y-%m-%dT%H:%M:%SZ}")
    waiting = Waiting(world)
    assert waiting.closed() == (peer.DENIED, "NotAfter is over")
    assert "no request waits" in site.ask("approve", waiting.code, code=OTHER)


def test_no_place_for_what_would_be_granted(world, site, echo):
    """Places of sessions are looked at when it is approved."""
    configure(site)
    first = Waiting(world)
    site.ask("approve", first.code, "--for", "1h")
    circuits = [peer_client(world).connect(Asking()) for _ in range(7)]
    site.ask("withdraw", "1")
    waiting = Waiting(world)
    told = site.ask("approve", waiting.code, code=OTHER)
    assert "request 2: too many sessions are open: end one first" in told
    circuits[0].finish()
    wait_for(lambda: len(site.lines("sessions", kind="session")) == 7, 10, "one has ended")
    site.ask("approve", waiting.code)
    waiting.granted(echo)


# ---- Users by permit. ----


def test_approval_by_permit(world, site, echo):
    """Who comes by a permit asks as others do; an approval for a time covers that permit, and not another
    one of the same key."""
    office = Office(world.directory)
    office.user = world.key("alice").public
    conf = with_authority(world, authority(office, Access="ask"), ControlSocket=site.path)
    site.conf = conf
    world.start_relay()
    world.start_agent(conf=conf)
    allow = ("--allow", f"tcp:127.0.0.1:{echo.port}")
    first, second = (office.issue(*SCOPE, *allow, name=name) for name in ("first", "second"))

    def client(name, permit):
        return world.start_client(*forwards(echo.port), connected=False, name=name, Permit=permit)

    waits = r"waiting for approval at lab-1: request (\w{4})"
    one = client("one", first)
    site.ask("approve", one.expect(waits)[1], "--for", "1h")
    one.expect("the session may last")
    greet(one).close()
    again = client("again", first)
    again.connected()
    greet(again).close()
    other = client("other", second)
    other.expect(waits)
    (approval,) = site.lines("approvals")
    assert approval["user"].startswith("alice (support, permit ") and approval["uses"] == 1
    (request,) = requests(site)
    assert request["user"] != approval["user"] and request["key"] == approval["key"]
    agent = world.programs[1]
    reload(agent, conf, conf.read_text())
    assert len(site.lines("approvals")) == len(requests(site)) == 1
    reload(agent, conf, conf.read_text().replace("Access = ask", "Access = ask\nStreams = 3"))
    assert site.lines("approvals") == requests(site) == []
    other.wait_exit(DENIED)


class Guest(Asking):
    """A session of a client that shows a permit."""

    def __init__(self, path):
        super().__init__()
        lines = path.read_text().splitlines()
        self.permit = base64.b64decode("".join(line for line in lines if not line.startswith("-----")))

    def payload1(self, agent, streams=0, number=None):
        return super().payload1(agent, streams, number) + u16(32) + string(self.permit)


def test_places_of_users_by_permit(world, site):
    """Users by permit leave places to those of the file, also when many were admitted before the first of
    them has started, and when one is approved."""
    office, other = Office(world.directory / "office"), Office(world.directory / "other")
    users = [f"user-{n}" for n in range(7)]
    world.start_relay(users={user: "*" for user in users})
    site.conf = with_authority(
        world, authority(office), authority(other, "ask", Access="ask"), ControlSocket=site.path
    )
    world.start_agent(conf=site.conf)

    def begin(office, user, **options):
        office.user = world.key(user).public
        permit = office.issue(*SCOPE, "--allow", "tcp:127.0.0.1:9", name=f"{user}.permit")
        return peer_client(world, user).connect(Guest(permit), **options)

    waiting = begin(other, users[6])
    code = access(waiting, WAITING)[1]
    for n in range(47):
        begin(office, users[n % 6])
    last, over = begin(office, users[5], start=False), begin(office, users[6], start=False)
    last.start().read_start()
    assert over.start().wait_end() == peer.FULL
    assert over.close_text == "too many sessions by permit are open at this agent"
    told = site.ask("approve", code, code=OTHER)
    assert "too many sessions by permit are open at this agent: end one first" in told
    site.ask("end", "1")
    site.ask("approve", code)
    assert len(site.lines("sessions", kind="session")) == 48
