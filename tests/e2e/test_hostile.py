"""Peers that break the protocol, on purpose and with the right keys: each loses what it broke, a
hop, a circuit or a session, and the process it did that to goes on to serve an honest one."""
import itertools
import json
import multiprocessing
import os
import re
import select
import signal
import socket
import threading
import time

import pytest

import harness
import noise
import peer
from harness import LOOPBACK, OK, endpoint, forwards, free_port, stays_false, wait_for
from peer import (
    ACK, CLOSE, DATA, DATAGRAM, EOF, FRAME_PING, FRAME_PONG, LISTEN, LISTENING, OPEN, OPENED, PAD,
    RESET, START, WINDOW, Gone, Refused, frame, open_frame, string, u16, u32, u64,
)  # fmt: skip
from servers import Target, ask, exchange, read_to_end

BEYOND = (1 << 31) - 1  # with any credit that is there


def pair(world, name):
    return peer.Pair(world.key(name).path)


def user_client(world, user="alice"):
    return peer.Client(
        pair(world, user), world.relay_address, world.key("relay").raw, "lab-1",
        world.key("lab-1").raw,
    )  # fmt: skip


def tcp(server):
    return f"tcp:{LOOPBACK}:{server.port}"


def assert_serves(world, echo, user="alice"):
    """An honest client of the same relay and agent gets through."""
    assert world.run_pipe(f"{LOOPBACK}:{echo.port}", input="hello", user=user).stdout == "hello"


def assert_no_raw_bytes(program):
    """Nothing in the log would do anything to a terminal."""
    raw = program.log_path.read_bytes()
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", raw.replace(b"\r\n", b"\n")), raw
    text = raw.decode("utf-8")  # it is valid
    assert not re.search("[\x80-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", text)


# Frames. Each case is what is sent after START on a session with one open stream, 1; the sender's
# next id is 3 (a client's) or 2 (an agent's).

WELL_FORMED_OPEN = u32(1000) + string("tcp:127.0.0.1:9")
EITHER = {
    "an unknown sequenced type": [frame(0x0A, 0)],
    "type 0": [frame(0, 0)],
    "the last sequenced type": [frame(0x7F, 0)],
    "an unknown type that is not sequenced": [frame(0x85, 0)],
    "a reserved byte": [frame(DATA, 1, b"x", reserved=1)],
    "a frame over the end of its record": [frame(DATA, 1, b"x", length=2)],
    "a part of a header": [frame(DATA, 1, b"x") + b"\x03\x00\x00"],
    "START twice": [frame(START, 0, u64(0))],
    "DATA without bytes": [frame(DATA, 1)],
    "DATA on the session": [frame(DATA, 0, b"x")],
    "DATA for an id that was not opened": [frame(DATA, 99, b"x")],
    "DATA for the peer's next id": [frame(DATA, 98, b"x")],
    "DATA after EOF": [frame(EOF, 1), frame(DATA, 1, b"x")],
    "EOF twice": [frame(EOF, 1), frame(EOF, 1)],
    "EOF with a payload": [frame(EOF, 1, b"x")],
    "EOF for an id that was not opened": [frame(EOF, 99)],
    "RESET for an id that was not opened": [frame(RESET, 99, u16(1) + string("x"))],
    "RESET without a text": [frame(RESET, 1, u16(1))],
    "RESET with a text too long": [frame(RESET, 1, u16(1) + string("x" * 1025))],
    "RESET with a text that is not UTF-8": [frame(RESET, 1, u16(1) + string(b"\xc0\x80"))],
    "RESET and a byte more": [frame(RESET, 1, u16(1) + string("x") + b"x")],
    "WINDOW of zero": [frame(WINDOW, 1, u32(0))],
    "WINDOW of 2^31": [frame(WINDOW, 1, u32(1 << 31))],
    "WINDOW that adds up to 2^31 and more": [frame(WINDOW, 1, u32(BEYOND))] * 2,
    "WINDOW for an id that was not opened": [frame(WINDOW, 99, u32(1))],
    "WINDOW too short": [frame(WINDOW, 1, b"\0\0\1")],
    "ACK above what was sent": [frame(ACK, 0, u64(1 << 40))],
    "ACK too short": [frame(ACK, 0, b"\0")],
    "ACK for a stream": [frame(ACK, 1, u64(0))],
    "PING too short": [frame(FRAME_PING, 0, b"1234567")],
    "PING for a stream": [frame(FRAME_PING, 1, b"12345678")],
    "PONG too long": [frame(FRAME_PONG, 0, b"123456789")],
    "CLOSE for a stream": [frame(CLOSE, 1, u16(21) + string(""))],
    "CLOSE with a text that is not UTF-8": [frame(CLOSE, 0, u16(21) + string(b"\xff"))],
    "CLOSE with a text too long": [frame(CLOSE, 0, u16(21) + string("x" * 1025))],
    "CLOSE that is cut": [frame(CLOSE, 0, u16(21) + u16(5) + b"x")],
    "OPENED for what was not opened": [frame(OPENED, 99, u32(1) + string(""))],
    "DATAGRAM for an id that was not opened": [frame(DATAGRAM, 99, b"x")],
    "DATAGRAM for a stream of bytes": [frame(DATAGRAM, 1, b"x")],
}
BY_CLIENT = {
    "OPEN with an even id": [frame(OPEN, 2, WELL_FORMED_OPEN)],
    "OPEN with a gap": [frame(OPEN, 5, WELL_FORMED_OPEN)],
    "OPEN with an id used before": [frame(OPEN, 1, WELL_FORMED_OPEN)],
    "OPEN with id 0": [frame(OPEN, 0, WELL_FORMED_OPEN)],
    "OPEN with a window of 2^31": [open_frame(3, "tcp:127.0.0.1:9", 1 << 31)],
    "OPEN with a target too long": [open_frame(3, "tcp:" + "x" * 269)],
    "OPEN with a target that is not UTF-8": [open_frame(3, b"tcp:\xff:1")],
    "OPEN that is cut": [frame(OPEN, 3, u32(1000))],
    "OPEN with half an extension": [frame(OPEN, 3, WELL_FORMED_OPEN + b"\0\1\0\5x")],
    "OPENED by the opener": [frame(OPENED, 1, u32(1000) + string(""))],
    "LISTENING by a client": [frame(LISTENING, 1, string("127.0.0.1:1"))],
    "LISTEN with an even id": [frame(LISTEN, 2, string("127.0.0.1:0"))],
    "LISTEN with an address too long": [frame(LISTEN, 3, string("x" * 129))],
    "DATA beyond the credit": [frame(DATA, 1, b"x" * 65000)] * 300,
    "DATA for a stream of datagrams": [open_frame(3, "udp:127.0.0.1:9"), frame(DATA, 3, b"x")],
    "EOF for a stream of datagrams": [open_frame(3, "udp:127.0.0.1:9"), frame(EOF, 3)],
    "WINDOW for a stream of datagrams": [open_frame(3, "udp:127.0.0.1:9"), frame(WINDOW, 3, u32(1))],
    "a datagram too large": [open_frame(3, "udp:127.0.0.1:9"), frame(DATAGRAM, 3, bytes(65508))],
    "DATA for a listener": [frame(LISTEN, 3, string("127.0.0.1:0")), frame(DATA, 3, b"x")],
    "WINDOW for a listener": [frame(LISTEN, 3, string("127.0.0.1:0")), frame(WINDOW, 3, u32(1))],
    "DATAGRAM for a listener": [frame(LISTEN, 3, string("127.0.0.1:0")), frame(DATAGRAM, 3, b"x")],
    "OPEN with a listener's id": [frame(LISTEN, 3, string("127.0.0.1:0")), open_frame(3, "tcp:a:1")],
    "LISTEN without an address": [frame(LISTEN, 3)],
    "LISTEN that is not UTF-8": [frame(LISTEN, 3, string(b"\xff"))],
}
BY_AGENT = {
    "OPEN without LISTEN": [frame(OPEN, 2, u32(1000) + u32(1) + string("127.0.0.1:1"))],
    "OPEN for LISTEN 0": [frame(OPEN, 2, u32(1000) + u32(0) + string("127.0.0.1:1"))],
    "OPEN for a LISTEN to come": [frame(OPEN, 2, u32(1000) + u32(3) + string("127.0.0.1:1"))],
    "OPEN as a client's": [frame(OPEN, 2, WELL_FORMED_OPEN)],
    "OPEN with a client's id": [frame(OPEN, 3, u32(1000) + u32(1) + string("127.0.0.1:1"))],
    "OPENED twice": [frame(OPENED, 1, u32(100000) + string(""))],
    "LISTEN by an agent": [frame(LISTEN, 2, string("127.0.0.1:0"))],
    "LISTENING for a stream": [frame(LISTENING, 1, string("127.0.0.1:1"))],
    "DATA beyond the credit": [frame(DATA, 1, b"x" * 65000)] * 300,
}
# Sent instead of OPENED.
UNANSWERED = {
    "DATA before OPENED": [frame(DATA, 1, b"x")],
    "EOF before OPENED": [frame(EOF, 1)],
    "WINDOW before OPENED": [frame(WINDOW, 1, u32(1))],
    "an initial window below the early data": [frame(OPENED, 1, u32(4) + string(""))],
    "OPENED with a window of 2^31": [frame(OPENED, 1, u32(1 << 31) + string(""))],
    "OPENED with an address too long": [frame(OPENED, 1, u32(100000) + string("x" * 129))],
    "OPENED with an address that is not UTF-8": [frame(OPENED, 1, u32(100000) + string(b"\xed\xa0\x80"))],
}  # fmt: skip
# Sent by an agent whose client has a listener, 1, and before that LISTENING.
CAME = string("127.0.0.1:1")
TO_LISTENER = {
    "LISTENING twice": [frame(LISTENING, 1, string("127.0.0.1:1"))],
    "OPENED for a listener": [frame(OPENED, 1, u32(1) + string(""))],
    "DATA for a listener": [frame(DATA, 1, b"x")],
    "WINDOW for a listener": [frame(WINDOW, 1, u32(1))],
    "DATAGRAM for a listener": [frame(DATAGRAM, 1, b"x")],
    "OPEN with a gap": [frame(OPEN, 4, u32(1) + u32(1) + CAME)],
    "OPEN with a window of 2^31": [frame(OPEN, 2, u32(1 << 31) + u32(1) + CAME)],
    "OPEN with an address too long": [frame(OPEN, 2, u32(1) + u32(1) + string("x" * 129))],
    "DATA before OPENED": [frame(OPEN, 2, u32(1) + u32(1) + CAME) + frame(DATA, 2, b"x")],
}
TO_LISTENER["OPENED for its own stream"] = [
    frame(OPEN, 2, u32(1) + u32(1) + CAME) + frame(OPENED, 2, u32(100000) + string(""))
]
BEFORE_LISTENING = {
    "OPENED instead of LISTENING": [frame(OPENED, 1, u32(100000) + string(""))],
    "OPEN before LISTENING": [frame(OPEN, 2, u32(1) + u32(1) + CAME)],
    "LISTENING with an address too long": [frame(LISTENING, 1, string("x" * 129))],
    "LISTENING that is not UTF-8": [frame(LISTENING, 1, string(b"\xff"))],
}
# Sent by an agent whose client has a stream of datagrams, 1, and before that OPENED.
TO_DATAGRAMS = {
    "DATA for a stream of datagrams": [frame(DATA, 1, b"x")],
    "EOF for a stream of datagrams": [frame(EOF, 1)],
    "WINDOW for a stream of datagrams": [frame(WINDOW, 1, u32(1))],
    "a datagram too large": [frame(DATAGRAM, 1, bytes(65508))],
}
DATAGRAM_BEFORE_OPENED = {"DATAGRAM before OPENED": [frame(DATAGRAM, 1, b"x")]}
# Instead of START, and with another position in it.
FIRST_FRAMES = {
    "PING": frame(FRAME_PING, 0, b"12345678"),
    "PAD": frame(PAD, 0, b"x"),
    "START above what was received": frame(START, 0, u64(1)),
    "START for a stream": frame(START, 1, u64(0)),
    "START too short": frame(START, 0, b"\0"),
}
HARMLESS = [
    frame(PAD, 0, b"x" * 1000),
    frame(0xFF, 12345, b"x"),
    frame(PAD, 1),
    frame(FRAME_PONG, 0, b"anything"),
    frame(ACK, 0, u64(0)),
]


class Users:
    """Eight users take turns: a relay lets each connect only so often."""

    NAMES = [f"user-{i}" for i in range(8)]

    def __init__(self, world):
        self.relay = world.start_relay(users=dict.fromkeys(self.NAMES, "*"))
        conf = world.agent_conf(users=dict.fromkeys(self.NAMES, "tcp:127.0.0.1:*, udp:127.0.0.1:*"))
        conf.write_text(conf.read_text().replace("\nAllow", "\nListen = default\nAllow"))
        self.agent = world.start_agent(conf=conf)
        self.clients = [user_client(world, name) for name in self.NAMES]
        self.turn = 0

    def next(self):
        self.turn += 1
        return self.clients[self.turn % len(self.clients)]


def send_all(circuit, frames):
    """Each in a record of its own; the other side may have ended it before the last one."""
    try:
        for one in frames:
            circuit.records.send(one)
    except Gone:
        pass


def test_frames_to_an_agent(world, echo):
    """Every violation of section 5 by a client ends its session at the agent, which says why, in
    its log and with CLOSE; a session beside it and new ones are not touched."""
    users = Users(world)
    beside = users.next().connect()
    beside.open(tcp(echo))
    for number, (what, frames) in enumerate({**EITHER, **BY_CLIENT}.items(), 1):
        circuit = users.next().connect()
        circuit.open(tcp(echo))
        send_all(circuit, frames)
        assert circuit.wait_end() == peer.PROTOCOL, what
        logged = users.agent.expect(r"circuit \S+: ended: (.*?); user ", count=number)[1]
        assert circuit.close_text == logged[:127], what
    assert beside.ask(b"still here") == b"still here"
    send_all(beside, HARMLESS)
    assert beside.ask(b"still here") == b"still here"
    assert_serves(world, echo, "user-0")


def test_texts_of_resets(world):
    """A RESET tells the client what the agent's log says."""
    users = Users(world)
    circuit = users.next().connect()
    targets = [f"tcp:{LOOPBACK}:{free_port()}", "tcp:192.0.2.1:80", "nonsense", "tcp:no.such.invalid:1",
               f"tcp:{LOOPBACK}:{free_port()}", "unix:/nothing"]  # fmt: skip
    for stream, target in enumerate(targets):
        circuit.send(open_frame(2 * stream + 1, target))
        text = reset_text(circuit)
        assert text == users.agent.expect(rf": user-1: {re.escape(target)}: (.*)$")[1]
    for stream, address in enumerate(["192.0.2.1:1", "nonsense", "unix:/nothing"], len(targets)):
        circuit.send(frame(LISTEN, 2 * stream + 1, string(address)))
        text = reset_text(circuit)
        assert text == users.agent.expect(rf"refused to listen on {re.escape(address)}: (.*)$")[1]
    circuit.finish()


def reset_text(circuit):
    """Of the RESET that comes next; not empty."""
    reader = peer.Reader(circuit.expect(RESET).payload)
    assert reader.number(2) and (text := reader.text())
    return text


def test_first_frames_to_an_agent(world, echo):
    """A circuit that does not begin with a proper START is no circuit of the session; with START it
    is, and hears what was wrong with its position."""
    users = Users(world)
    for what, first in FIRST_FRAMES.items():
        client = users.next()
        circuit = client.connect(start=False)
        circuit.records.send(first)
        told = peer.PROTOCOL if what == "START above what was received" else None
        assert circuit.wait_end() == told, what
    assert_serves(world, echo, "user-0")


def flipped(circuit):
    """A record that would do, but for one bit."""
    record = circuit.records.seal(frame(DATA, 1, b"never"))
    return record[:-1] + bytes([record[-1] ^ 1])


BROKEN_RECORDS = {
    "flipped": flipped,
    "too short": lambda circuit: u16(16) + bytes(16),
    "empty": lambda circuit: u16(0),
    "authentic, with nothing in it": lambda circuit: circuit.records.seal(b""),
    "garbage": lambda circuit: bytes(range(256)) * 300,
}


def test_records_to_an_agent(world, echo):
    """A record that does not verify, or is too short to be one, ends the circuit only: the session
    can be resumed, and nothing of what the record held was looked at."""
    users = Users(world)
    for what, broken in BROKEN_RECORDS.items():
        client = users.next()
        circuit = client.connect()
        circuit.open(tcp(echo))
        circuit.pipe.write(broken(circuit))
        assert circuit.wait_end() is None, what
        circuit = client.connect(circuit.session)
        assert circuit.ask(b"hello") == b"hello", what
        circuit.close()


class HostileSite(peer.Site):
    """The other end of a real client: its first session begins with `first` instead of START, or is
    given to `attack`; others are served."""

    attack = first = None

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.attacked = threading.Event()

    def begin(self, circuit):
        first, self.first = self.first, None
        if first:
            circuit.records.send(first)
        else:
            circuit.start()

    def session(self, circuit):
        attack, self.attack = self.attack, None
        if attack:
            try:
                attack(circuit)
            finally:
                self.attacked.set()
        peer.serve_echo(circuit)


@pytest.fixture
def site(world, serve):
    agent = peer.Agent(pair(world, "lab-1"), "lab-1")
    return serve(HostileSite, pair(world, "relay"), agent, address=world.relay_address)


def opened(circuit, early=b""):
    """Waits for the client's first stream."""
    circuit.expect(OPEN, stream=1)
    got = b""
    while len(got) < len(early):
        got += circuit.expect(DATA, stream=1).payload
    return circuit


def attack_client(world, site, what, attack, ends="reset"):
    """A real client whose first session is attacked: the application is reset, the client says why,
    lives, and has another session that works."""
    site.attack = attack
    client = world.start_client(*forwards(9))
    with client.dial() as connection:
        connection.sendall(b"12345")
        assert site.attacked.wait(30 * harness.SLOWNESS)  # reading earlier would make room
        assert read_to_end(connection)[1] == ends, what
    client.expect(r"the session has ended: ")
    client.connected(count=2)
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello", what
    client.stop()
    return client


@pytest.mark.parametrize("what", [*EITHER, *BY_AGENT])
def test_frames_to_a_client(world, site, what):
    """Every violation by an agent ends the client's session, not the process."""
    frames = {**EITHER, **BY_AGENT}[what]

    def attack(circuit):
        opened(circuit, b"12345")
        circuit.send(frame(OPENED, 1, u32(100000) + string("127.0.0.1:7")))
        send_all(circuit, frames)
        assert circuit.wait_end() == peer.PROTOCOL

    clean = frames[0] == frame(EOF, 1)  # what came before the violation stands
    attack_client(world, site, what, attack, "eof" if clean else "reset")


@pytest.mark.parametrize("what", UNANSWERED)
def test_frames_to_a_client_before_opened(world, site, what):
    def attack(circuit):
        opened(circuit, b"12345")
        send_all(circuit, UNANSWERED[what])
        assert circuit.wait_end() == peer.PROTOCOL

    attack_client(world, site, what, attack)


def lose_session(world, site, *arguments, attack, work=None):
    """The first session of a client with these arguments is attacked: it ends, the client lives and
    has another one."""
    site.attack = attack
    client = world.start_client(*arguments)
    if work:
        work(client)
    client.expect(r"the session has ended: .*for stream|the session has ended: .*credit")
    client.connected(count=2)
    client.stop()


def then(frames, first=None, answer=None):
    """An attack: waits for a frame of the client, answers it, and breaks the protocol."""

    def attack(circuit):
        if first:
            circuit.expect(first, stream=1)
        if answer:
            circuit.send(answer)
        send_all(circuit, frames)
        assert circuit.wait_end() == peer.PROTOCOL

    return attack


def test_frames_to_a_client_that_listens(world, site):
    remote = ["-R", f"{LOOPBACK}:0:{LOOPBACK}:9"]
    listening = frame(LISTENING, 1, string("127.0.0.1:1"))
    for frames in TO_LISTENER.values():
        lose_session(world, site, *remote, attack=then(frames, LISTEN, listening))
    for frames in BEFORE_LISTENING.values():
        lose_session(world, site, *remote, attack=then(frames, LISTEN))


def test_frames_to_a_client_with_datagrams(world, site):
    def ask_once(client):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as application:
            application.sendto(b"question", client.address())

    local = ["-U", f"{LOOPBACK}:0:{LOOPBACK}:9"]
    opened_frame = frame(OPENED, 1, u32(0) + string("127.0.0.1:9"))
    for frames in TO_DATAGRAMS.values():
        attack = then(frames, OPEN, opened_frame)
        lose_session(world, site, *local, attack=attack, work=ask_once)
    for frames in DATAGRAM_BEFORE_OPENED.values():
        lose_session(world, site, *local, attack=then(frames, OPEN), work=ask_once)


class Source:
    """Sends to whoever connects, without end."""

    def __call__(self, connection):
        try:
            while True:
                connection.sendall(bytes(1 << 16))
        except OSError:
            pass


def test_last_word_behind_a_download(world, serve):
    """The fault comes while the agent sends as fast as the circuit takes it: CLOSE comes behind what
    was on its way, and the agent holds nothing of the session meanwhile."""
    users = Users(world)
    source = serve(Target, Source())
    circuit = users.next().connect()
    circuit.open(tcp(source), window=8 << 20)
    for _ in range(40):
        circuit.expect(DATA)
    circuit.send(frame(EOF, 99))
    assert circuit.wait_end() == peer.PROTOCOL
    users.agent.expect(r"circuit \S+: ended: EOF for stream 99")


def test_first_frames_to_a_client(world, site):
    for first in FIRST_FRAMES.values():
        site.first, site.attack = first, peer.Circuit.wait_end
        client = world.start_client(*forwards(9))
        client.expect(r"the session has ended: ")
        client.connected(count=2)
        with client.dial() as connection:
            assert ask(connection, b"hello") == b"hello"
        client.stop()


# Positions.


class Unacknowledging(peer.Circuit):
    """Leaves what comes unacknowledged."""

    def _say(self, answer):
        if answer[0] != ACK:
            super()._say(answer)


@pytest.mark.parametrize("resumes", [False, True], ids=["stays", "resumes"])
def test_close_that_is_not_acknowledged(world, echo, resumes):
    """A client whose user is taken away, and who never acknowledges the CLOSE that says so, has lost
    session and circuit three seconds later, also when it has resumed meanwhile."""
    world.start_relay()
    agent, client = world.start_agent(), user_client(world)
    first = circuit = client.connect()
    circuit.open(tcp(echo))
    circuit._say = lambda answer: None
    received = circuit.session.received
    world.agent_conf(users={})
    agent.signal(signal.SIGHUP)
    begun = time.monotonic()
    if resumes:
        while first.receive().kind != CLOSE:
            pass
        first.session.received = received
        world.agent_conf()  # the user is there again, for a session of their own
        agent.signal(signal.SIGHUP)
        agent.expect("configuration reloaded", count=2)
        circuit = client.connect(first.session, start=False)
        circuit._say = lambda answer: None
        circuit.start()
    assert circuit.wait_end() == peer.REVOKED
    assert 2.5 < time.monotonic() - begun < 3 + 2 * harness.SLOWNESS
    agent.expect("ended: the user is no longer allowed at this agent")


def test_positions_to_an_agent(world, echo, monkeypatch):
    """A position that cannot be, or lies inside a frame, ends the session, whether it is told in the handshake,
    in START or in ACK; the client that comes back hears that it has ended."""
    users = Users(world)

    def inside_in_ack(circuit):
        circuit.records.send(frame(ACK, 0, u64(5)))

    def inside_in_start(circuit):
        circuit.close()
        circuit = client.connect(circuit.session, start=False)
        circuit.start(circuit.told - 3)
        circuit.records.send(frame(DATA, 1, b"x"))
        return circuit

    def gap_in_start(circuit):
        circuit.close()
        circuit = client.connect(circuit.session, start=False)
        return circuit.start(circuit.told + 8)

    def told(change):
        def resume(circuit):
            circuit.close()
            circuit.session.received += change
            circuit = client.connect(circuit.session, start=False).start()
            circuit.session.received -= change
            return circuit

        return resume

    cases = {
        "ACK inside a frame": (inside_in_ack, "part of a frame"),
        "START inside a frame": (inside_in_start, "starts inside a frame"),
        "START above what was received": (gap_in_start, "bytes were lost"),
        "a position above what was sent": (told(1000), "above what was sent"),
        "a position inside a frame": (told(-3), "part of a frame"),
    }
    monkeypatch.setattr(peer, "Circuit", Unacknowledging)
    for what, (break_it, why) in cases.items():
        client = users.next()
        circuit = client.connect()
        circuit.open(tcp(echo))
        circuit = break_it(circuit) or circuit
        # Where the position told cannot be right there is none to say the last word at.
        assert circuit.wait_end() == (None if what.startswith("a position") else peer.PROTOCOL), what
        users.agent.expect(rf"ended: .*{why}")
        with pytest.raises(Refused) as refused:
            client.connect(circuit.session)
        assert refused.value.code == peer.ENDED and why in refused.value.text, what
    monkeypatch.undo()
    assert_serves(world, echo, "user-0")


def test_start_inside_a_frame_to_a_client(world, site):
    """On the circuit of a resume."""
    client = world.start_client(*forwards(9))
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
        (session,) = site.agent.sessions.values()
        wait_for(lambda: not session.sent, 5, "the client has acknowledged everything")
        site.first = frame(START, 0, u64(session.acknowledged - 3))
        site.attack = then([frame(WINDOW, 1, u32(1))])
        site.cut()
        client.expect("the session has ended: .*starts inside a frame")
        assert read_to_end(connection)[1] == "reset"


# Session payloads.


def hello2(session, **changed):
    """Payload 2 with fields changed."""
    fields = {
        "code": u16(0), "text": string(""), "version": bytes([1]), "id": session.id,
        "position": u64(session.received), "limit": u32(1 << 23), "ring": u32(1 << 20),
        "streams": u16(100), "early": u32(8192), "window": u32(600), "rest": b"",
    }  # fmt: skip
    return b"".join({**fields, **changed}.values())


PAYLOADS_2 = {
    "a session without an id": {"id": bytes(16)},
    "an early credit of 2^31": {"early": u32(1 << 31)},
    "version 0": {"version": bytes([0])},
    "version 2": {"version": bytes([2])},
    "half an extension": {"rest": b"\0\1\0\5x"},
    "an extension that must be understood": {"rest": b"\x80\1\0\0"},
    "one field missing": {"window": b""},
    "a text too long": {"code": u16(3), "text": string("x" * 1025)},
    "a text that is not UTF-8": {"code": u16(3), "text": string(b"\xff")},
    "a refusal and more behind it": {"code": u16(3), "text": string("x")},
}


@pytest.mark.parametrize("what", PAYLOADS_2)
def test_payloads_to_a_client(world, site, what):
    """Payload 2 of a new session, authentic and wrong: the client says that the agent's answer is
    not right, and ends as it does after a refusal."""
    site.agent.payload2 = lambda session: hello2(session, **PAYLOADS_2[what])
    client = world.start_client(*forwards(9), connected=False)
    wait_for(client.ended, 10, "the client ends")
    client.collected = True
    assert client.process.returncode > OK
    assert not client.lines(client.CONNECTED)
    assert client.lines(r"answer from the agent|the agent answers|the agent's answer")


def test_position_above_what_was_sent(world, site):
    """Told in the handshake: it ends the session as an ACK does."""
    site.agent.payload2 = lambda session: hello2(session, position=u64(1 << 40))
    client = world.start_client(*forwards(9))
    client.expect(r"the session has ended: .*above what was sent")
    del site.agent.payload2
    client.connected(count=2)


def test_resume_answered_for_another_session(world, site):
    """An agent that answers a resume with the id of another session has ended this one."""
    client = world.start_client(*forwards(9))
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
        site.agent.payload2 = lambda session: hello2(session, id=b"another session!")
        site.cut()
        assert read_to_end(connection)[1] == "reset"
    client.expect(r"the session has ended: .*another session")


PAYLOADS_1 = {
    "nothing": b"",
    "version 0": bytes([0]),
    "a name that is none": lambda c, s: s.payload1("Lab 1"),
    "a byte too many": lambda c, s: s.payload1("lab-1") + b"x",
    "an extension that must be understood": lambda c, s: s.payload1("lab-1") + b"\x80\1\0\0",
}


def test_payloads_to_an_agent(world, echo):
    users = Users(world)
    for what, payload in PAYLOADS_1.items():
        client = users.next()
        payload = payload(client, peer.Session()) if callable(payload) else payload
        handshake, message1 = peer.noise.write_first_message(
            client.suite, peer.noise.SESSION, client.own, client.agent_public, payload
        )
        hop = client.hop()
        with pytest.raises(Refused) as refused:
            client.ask(message1, hop)
        assert refused.value.code in (peer.PROTOCOL, 5, 6), what
        logged = users.agent.expect(
            rf"circuit {peer.circuit_name(message1)}: refused: (.*?); the relay names user"
        )
        with pytest.raises(Refused) as refused_in_message2:
            peer.read_message2(handshake, hop.refusal2)
        assert refused_in_message2.value.text == logged[1], what
    # Not authentic at all: any bytes, another purpose, a wrong mac1, another agent's key.
    client = users.next()
    genuine = client.message1(peer.Session())[1]
    hop_message = peer.noise.write_first_message(
        client.suite, peer.noise.HOP, client.own, client.agent_public, peer.hello(peer.CLIENT)
    )[1]
    for message1 in (b"x", bytes(4120), genuine[:-1], genuine[:-1] + b"x", genuine[:100] + b"x" +
                     genuine[101:], genuine + b"x", hop_message):  # fmt: skip
        with pytest.raises(Refused) as refused:
            users.next().ask(message1)
        assert refused.value.code == peer.BAD_HANDSHAKE
    assert_serves(world, echo, "user-0")


# Recordings.


class RecordingRelay(peer.Relay):
    """Keeps session message 1 of every CONNECT, and what the client sent first on its circuit."""

    def __init__(self, *arguments, **options):
        self.messages, self.first_bytes, self.held = [], {}, []
        super().__init__(*arguments, **options)

    def connected(self, hop, name, message1):
        self.messages.append((hop.peer_key, message1))
        super().connected(hop, name, message1)

    def forward(self, circuit, up, data):
        if up:
            self.first_bytes.setdefault(circuit, data)
        return data

    def replay(self, index, records=b"", user_key=None, hold=False):
        """Offers a recorded message 1 on the next parked hop: the code of the agent's REFUSE, or
        None when it accepts; then the circuit is given records, and dropped unless hold. user_key:
        another than the one that is proven."""
        proven_key, message1 = self.messages[index]
        user_key = user_key or proven_key
        hop = self.next_parked()
        body = string("alice") + user_key + string("127.0.0.1:1") + string(message1)
        hop.send(peer.OFFER, bytes(32) + body)
        kind, reader = hop.expect(peer.ACCEPT, peer.REFUSE)
        if kind == peer.ACCEPT:
            hop.pipe.write(records)
            if hold:
                self.held.append(hop)
            else:
                hop.close()
            return None
        reader.take(32)
        self.park(hop)
        return reader.number(2)


@pytest.fixture
def recording(world, serve):
    return serve(
        RecordingRelay, pair(world, "relay"), world.relay_address,
        agents={"lab-1": world.key("lab-1").raw},
    )  # fmt: skip


REPLAYS = [200, pytest.param(10000, marks=[pytest.mark.soak, pytest.mark.time_limit(600)])]


@pytest.mark.parametrize("times", REPLAYS)
def test_replayed_message_1_of_a_new_session(world, recording, echo, times):
    """Whoever sends it again, with or without the records that followed, opens no target and
    disturbs no session; the agent's memory does not grow with it."""
    agent = world.start_agent()
    client = world.start_client(*forwards(echo.port))
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
        first = recording.first_bytes[1]
        assert first  # START and OPEN
        before = agent.peak_memory_bytes()
        codes = {recording.replay(0, first if i % 2 else b"") for i in range(times)}
        assert codes == {peer.STALE}
        assert ask(connection, b"again") == b"again"
        assert echo.open_connections() == 1
        if harness.SLOWNESS == 1:  # a sanitizer keeps what was freed
            assert agent.peak_memory_bytes() < before + 20 * peer.MIB
    assert len(agent.lines(r"connected, stream")) == 1
    assert not client.lines("circuit lost|the session has ended")


@pytest.mark.parametrize("times", REPLAYS)
def test_replayed_message_1_of_a_resume(world, recording, echo, times):
    """A recorded resume moves nothing: neither after the client has gone on with a later circuit,
    nor before its own START."""
    agent = world.start_agent()
    client = world.start_client(*forwards(echo.port))
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
        recording.cut_circuits()
        client.resumed()
        assert ask(connection, b"again") == b"again"
        assert len(recording.messages) == 2
        codes = {recording.replay(1, recording.first_bytes[2]) for i in range(times)}
        assert codes == {peer.STALE}
        assert recording.replay(0) == peer.STALE
        assert ask(connection, b"and again") == b"and again"
        assert echo.open_connections() == 1
    assert len(client.lines(client.RESUMED)) == 1
    assert len(agent.lines("resumes the session")) == 1


def test_another_key_than_is_proven(world, recording):
    """Whom the relay names counts for nothing: the agent refuses a message 1 of another key than the
    OFFER's, also when it knows both, and one of a key that it does not know, whoever is named."""
    agent = world.start_agent(users={"alice": "tcp:127.0.0.1:*", "bob": "tcp:127.0.0.1:*"})
    user_client(world, "alice").connect(start=False)  # of one that has started no copy is read
    with pytest.raises(Refused) as refused:
        user_client(world, "mallory").connect()
    assert refused.value.code == peer.DENIED and refused.value.agents_word
    alice, bob, mallory = (world.key(name).raw for name in ("alice", "bob", "mallory"))
    assert recording.replay(0, user_key=alice) is None
    assert recording.replay(0, user_key=bob) == peer.DENIED
    assert recording.replay(0, user_key=mallory) == peer.DENIED
    assert recording.replay(1, user_key=alice) == peer.DENIED
    assert len(agent.lines("names another key than the user proves")) == 2


def test_resume_with_another_users_key(world, echo):
    """Whoever learns a session's id cannot carry it on, nor learn that it is there or was: the agent
    answers as for an id that it never gave."""
    users = {"alice": "tcp:127.0.0.1:*", "bob": "tcp:127.0.0.1:*"}
    world.start_relay(users=dict.fromkeys(users, "*"))
    agent = world.start_agent(users=users)
    alice, bob = user_client(world), user_client(world, "bob")

    def refused_to_bob():
        stolen = peer.Session()
        stolen.id, stolen.circuit_number = mine.id, mine.circuit_number + 10
        with pytest.raises(Refused) as refused:
            bob.connect(stolen)
        assert refused.value.agents_word
        return refused.value.code

    first = alice.connect()
    mine = first.session
    first.open(tcp(echo))
    assert refused_to_bob() == peer.NO_SESSION
    assert first.ask(b"still here") == b"still here"
    first.close()
    agent.expect("lost: ")
    assert refused_to_bob() == peer.NO_SESSION
    second = alice.connect(mine)
    assert second.ask(b"back again") == b"back again"
    second.finish()
    agent.expect("ended: finished")
    assert refused_to_bob() == peer.NO_SESSION
    with pytest.raises(Refused) as refused:
        alice.connect(mine)
    assert refused.value.code == peer.ENDED


def test_message_1_alone_moves_nothing(world, echo):
    """A resume that the agent has accepted leaves the session on its circuit until START."""
    world.start_relay()
    agent = world.start_agent()
    client = user_client(world)
    first = client.connect()
    first.open(tcp(echo))
    second = client.connect(first.session, start=False)
    agent.expect("accepted user alice", count=2)
    assert first.ask(b"still here") == b"still here"
    second.close()
    assert first.ask(b"still") == b"still"
    third = client.connect(first.session)
    assert third.ask(b"moved") == b"moved"
    assert first.wait_end() is None
    assert len(agent.lines("resumes the session")) == 1


def test_resume_that_the_relay_sends_first(world, recording, echo):
    """The relay offers a resume's message 1 many times while the client waits for its answer: each
    one could begin a circuit, none moves the session, and the client's own comes through."""
    agent = world.start_agent()
    client = world.start_client(*forwards(echo.port))
    real, forward_it = recording.connected, threading.Event()

    def hold(hop, name, message1):
        recording.messages.append((hop.peer_key, message1))
        assert {recording.replay(1) for _ in range(20)} == {None}
        forward_it.set()
        recording.connected = real
        real(hop, name, message1)

    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
        recording.connected = hold
        recording.cut_circuits()
        client.resumed()
        assert forward_it.is_set()
        assert ask(connection, b"again") == b"again"
    assert len(agent.lines("resumes the session")) == 1


def replay_for_ever(world, place, key, messages):
    """A relay with a valid key that offers the same recordings as fast as the agent answers."""
    relay = RecordingRelay(pair(world, key), place, agents={"lab-1": world.key("lab-1").raw})
    relay.messages = messages
    for i in itertools.count():
        relay.replay(i % len(messages), hold=True)
        for hop in relay.held[:-200]:
            hop.close()
        del relay.held[:-200]


def seconds_of(connect):
    begin = time.monotonic()
    connect().finish()
    return time.monotonic() - begin


def p99_s(clients, rounds):
    times = sorted(seconds_of(client.connect) for _ in range(rounds) for client in clients)
    return times[len(times) * 99 // 100]


@pytest.mark.parametrize("distinct", [1, 80])
def test_replays_at_one_relay_and_connects_through_another(world, serve, distinct):
    """A relay offers recordings of several users without a pause: nobody is kept out through another
    relay, and 99 of 100 connects there take at most twice as long as before (and 100 ms is enough). A
    busy machine may need several tries."""
    users = [f"user-{i}" for i in range(8)]
    bad = endpoint(LOOPBACK, free_port())
    serve(peer.Relay, pair(world, "relay"), world.relay_address)
    agent = world.start_agent(
        users=dict.fromkeys(users, "tcp:127.0.0.1:*"), more_relays=[(bad, "relay-2")]
    )
    clients = [user_client(world, user) for user in users]
    messages = [
        (client.own.public, client.message1(peer.Session())[1])
        for _ in range(distinct)
        for client in clients
    ][:distinct]  # fmt: skip
    measured = []
    for attempt in range(1, 4):
        idle = p99_s(clients, 12)
        thief = multiprocessing.Process(
            target=replay_for_ever, args=(world, bad, "relay-2", messages), daemon=True
        )
        thief.start()
        try:
            agent.expect("online at relay", count=1 + attempt, seconds=60)
            agent.expect("accepted user", count=20)
            busy = p99_s(clients, 12)
        finally:
            thief.kill()
            thief.join()
        measured.append(f"p99 {idle * 1000:.1f} ms idle, {busy * 1000:.1f} ms with replays")
        if busy < max(2 * idle, 0.1 * harness.SLOWNESS):
            break
    else:
        pytest.fail("; ".join(measured))
    print(measured[-1])


# Words of a relay.


UNITS_S = {"us": 1e-6, "ms": 0.001, "s": 1, "min": 60, "h": 3600}


def duration_s(text):
    """A duration in a log, in seconds."""
    return sum(float(n) * UNITS_S[unit] for n, unit in zip(text.split()[::2], text.split()[1::2]))


def waits_s(program, count=1):
    """How long a program says for the count-th time that it waits."""
    return duration_s(program.expect(r"(?:trying again|retrying) in (.*)$", count=count)[1])


# A relay's wait -> what is taken for it, in seconds.
KEEPALIVES = [
    (0, 5), (4, 5), pytest.param(65535, 60, marks=[pytest.mark.soak, pytest.mark.time_limit(90)])
]  # fmt: skip


@pytest.mark.parametrize("keepalive, taken", KEEPALIVES)
def test_keepalive_of_a_relay(world, serve, keepalive, taken):
    """0 is taken as 5 s, not as never and not as all the time; 65,535 as 60 s."""
    relay = serve(peer.Relay, pair(world, "relay"), world.relay_address, keepalive=keepalive)
    world.start_agent()
    control, begun = relay.wait_control(), time.monotonic()
    wait_for(lambda: control.pings, taken + 2, f"a PING comes after {taken} s")
    assert time.monotonic() - begun > taken - 0.5
    assert control.pings == 1


@pytest.mark.parametrize("keepalive", [0, 65535])
def test_any_keepalive_works(world, serve, keepalive):
    site = serve(
        HostileSite, pair(world, "relay"), peer.Agent(pair(world, "lab-1"), "lab-1"),
        address=world.relay_address, keepalive=keepalive,
    )  # fmt: skip
    client = world.start_client(*forwards(9))
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
    world.start_agent()
    site.wait_control()


@pytest.mark.parametrize("retry", [(1 << 32) - 1, 1 << 31, 3601])
def test_bye_of_a_relay_for_years(world, serve, retry):
    """An agent takes what BYE says as an hour at most."""
    relay = serve(peer.Relay, pair(world, "relay"), world.relay_address)
    agent = world.start_agent()
    relay.wait_control().send(peer.BYE, peer.bye(18, "for years", retry))
    assert waits_s(agent) == 3600


def test_welcome_that_refuses(world, serve):
    """A refusal in WELCOME has no time in it: the agent comes back by itself."""
    relay = serve(peer.Relay, pair(world, "relay"), world.relay_address)
    relay.welcome = lambda hop: peer.welcome(code=1, text="go away")
    agent = world.start_agent(online=False)
    agent.expect("refused by relay .*go away.*; retrying")
    del relay.welcome
    agent.expect(r"online at relay")


REFUSALS = [1, 3, 7, 8, 10, 11, 12, 13, 14, 15, 19, 999]


def test_refusals_during_a_resume(world, site):
    """Whatever a relay answers while a session waits for its next circuit (REFUSED in its own words,
    BYE, a refusal in WELCOME), for however long it asks to wait: the session waits, half a minute
    at most, and goes on."""
    client = world.start_client(*forwards(9))
    refusals = iter(REFUSALS)

    def refuse(hop, name, message1):
        code = next(refusals, None)
        if code:
            hop.send(peer.REFUSED, peer.refusal(code, "so says the relay", 0))
        elif not client.lines("so says its BYE"):
            hop.send(peer.BYE, peer.bye(18, "so says its BYE", (1 << 32) - 1))
        hop.close()

    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
        site.connected = refuse
        site.cut()
        client.expect("so says the relay", count=2)
        refusals = iter([])
        client.expect("so says its BYE", seconds=20)
        assert waits_s(client, count=len(client.lines("(trying again|retrying) in"))) == 30
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert not client.lines("the session has ended")


def test_listed_key_during_a_resume(world, site):
    """Another key for the agent in a relay's list is never used, and ends no session."""
    client = world.start_client(*forwards(9))
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
        site.entry = lambda name: peer.agent_entry(name, bytes(range(32)))
        site.cut()
        client.expect("agent lab-1 has another key here")
        del site.entry
        client.resumed()
        assert ask(connection, b"again") == b"again"


@pytest.mark.parametrize("retry", [301, 65535])
def test_refusal_of_a_relay_for_hours(world, site, retry):
    """Without a session to lose a client waits as a refusal says, five minutes at most."""
    site.connected = lambda hop, name, message1: hop.send(
        peer.REFUSED, peer.refusal(peer.FULL, "later", retry)
    )
    assert waits_s(world.start_client(*forwards(9), connected=False)) == 300


def test_refused_resumes_go_on(world, site):
    """With every code there is, in the relay's words: each of many clients is refused with one of
    them, and its session goes on."""
    codes = [*range(24), 999]
    clients = [world.start_client(*forwards(9)) for _ in codes]
    connections = [client.dial() for client in clients]
    for connection in connections:
        assert ask(connection, b"hello") == b"hello"
    left, real = list(codes), site.connected

    def refuse(hop, name, message1):
        try:
            code = left.pop()
        except IndexError:
            real(hop, name, message1)
            return
        hop.send(peer.REFUSED, peer.refusal(code, "so says the relay", 0))

    site.connected = refuse
    site.cut()
    for client, connection in zip(clients, connections):
        client.resumed()
        assert ask(connection, b"again") == b"again"
        connection.close()
    assert not left
    assert sum(len(client.lines("so says the relay")) for client in clients) == len(codes)


# Control messages. Each case is a list of (type, body) on an open hop, the last of which ends it.

NAMES = ["", "Lab", "-lab", ".lab", "la b", "a..b", "l\u00e4b", "x" * 65, "lab/1", "lab\n"]
BY_ANY = {
    "type 0": [(0, b"")],
    "an unknown type": [(16, b"")],
    "the last type that is not ignored": [(127, b"")],
    "INFO twice": [(peer.INFO, peer.info())],
    "PING too short": [(peer.PING, b"1234567")],
    "PING too long": [(peer.PING, b"123456789")],
    "PONG too short": [(peer.PONG, b"")],
    "BYE that is cut": [(peer.BYE, u16(18) + string("x"))],
    "BYE and a byte more": [(peer.BYE, peer.bye(18, "x") + b"x")],
    "BYE with a text too long": [(peer.BYE, peer.bye(18, "x" * 1025))],
    "BYE with a text that is not UTF-8": [(peer.BYE, peer.bye(18, b"\xff"))],
}
TO_RELAY_BY_CLIENT = {
    "LIST with a query too long": [(peer.LIST, string("x" * 257))],
    "LIST that is not UTF-8": [(peer.LIST, string(b"\x80"))],
    "LIST and a byte more": [(peer.LIST, string("") + b"x")],
    "WATCH with a query too long": [(peer.WATCH, string("x" * 257))],
    "WATCH that is not UTF-8": [(peer.WATCH, string(b"\xc0\x80"))],
    "CONNECT without message 1": [(peer.CONNECT, string("lab-1"))],
    "CONNECT with a message 1 too long": [(peer.CONNECT, string("lab-1") + bytes(4121))],
    **{f"CONNECT to {name!r}": [(peer.CONNECT, string(name) + bytes(100))] for name in NAMES},
    "AGENT": [(peer.AGENT, peer.agent_entry("lab-1", bytes(32)))],
    "OFFER": [(peer.OFFER, bytes(32) + string("a") + bytes(32) + string("") + string("x"))],
    "ACCEPT": [(peer.ACCEPT, b"x")],
    "REFUSED": [(peer.REFUSED, peer.refusal(1, ""))],
    "CALL": [(peer.CALL, bytes([1]) + string("help"))],
    "CALLS": [(peer.CALLS, peer.calls(1))],
}
TO_RELAY_BY_CONTROL = {
    "LIST": [(peer.LIST, string(""))],
    "CONNECT": [(peer.CONNECT, string("lab-1") + b"x")],
    "ACCEPT": [(peer.ACCEPT, b"x")],
    "CALL with a text too long": [(peer.CALL, bytes([1]) + string("x" * 1025))],
    "CALL that is over and has a text": [(peer.CALL, bytes([0]) + string("x"))],
    "CALL that is not UTF-8": [(peer.CALL, bytes([1]) + string(b"\xf4\x90\x80\x80"))],
    "CALLS with a text too long": [(peer.CALLS, peer.calls(1, (1, 1, 0, "", "x" * 1025)))],
    "CALLS with a call of no severity": [(peer.CALLS, peer.calls(1, (1, 0, 0, "", "x")))],
    "CALLS with a taker whose name is none": [(peer.CALLS, peer.calls(1, (1, 1, 0, "A b", "x")))],
    "CALLS with one call too many": [
        (peer.CALLS, peer.calls(1, *((n, 1, 0, "", "x") for n in range(17))))
    ],
    "CALLS that are cut": [(peer.CALLS, peer.calls(1, (1, 1, 0, "", "x"))[:-1])],
    "HEARD": [(peer.HEARD, bytes(4))],
    "REFUSE that is cut": [(peer.REFUSE, bytes(32) + u16(1))],
    "REFUSE that is not UTF-8": [(peer.REFUSE, bytes(32) + peer.refusal(1, b"\xed\xa0\x80"))],
    "REFUSE with a message 2 too long": [(peer.REFUSE, bytes(32) + peer.refusal(1, "", 0, bytes(4097)))],
}  # fmt: skip
TO_RELAY_BY_PARKED = {
    "ACCEPT without an OFFER": [(peer.ACCEPT, bytes(100))],
    "REFUSE without an OFFER": [(peer.REFUSE, bytes(32) + peer.refusal(1, ""))],
    "CALL": [(peer.CALL, bytes([1]) + string("help"))],
}
FIRST_RECORDS = {
    "PING": (peer.PING, b"12345678"),
    "an unknown type that is ignored later": (200, b""),
    "a version too long": (peer.INFO, peer.info("x" * 65)),
    "a version that is not UTF-8": (peer.INFO, peer.info(b"\xff")),
    "labels too long": (peer.INFO, peer.info(labels="x" * 2049)),
    "labels that are not UTF-8": (peer.INFO, peer.info(labels=b"\xff")),
    "an extension that must be understood": (peer.INFO, peer.info() + b"\x80\1\0\0"),
    "half an extension": (peer.INFO, peer.info() + b"\0\1\0"),
    "a record too long": (peer.INFO, peer.info() + b"\0\1" + string(bytes(4100))),
}


class Quiet:
    """Messages that a client must not send between CONNECT and the answer, in the same write as CONNECT."""

    MESSAGES = {
        "LIST": bytes([peer.LIST]) + string(""),
        "CONNECT": bytes([peer.CONNECT]) + string("lab-1") + b"x",
    }


def test_quiet_rule_to_a_relay(world, echo):
    """Whoever says something between CONNECT and its answer loses the hop, also when it is a part of
    a record; a PING there has no PONG, which would be the first bytes of the circuit."""
    relay = world.start_relay()
    world.start_agent()
    client = user_client(world)
    for more in (*Quiet.MESSAGES.values(), None):
        hop = client.hop()
        _, message1 = client.message1(peer.Session())
        sealed = hop.records.seal(bytes([peer.CONNECT]) + string("lab-1") + message1)
        hop.pipe.write(sealed + (hop.records.seal(more) if more else u16(100) + b"part"))
        assert hop.wait_end() is None
    session = peer.Session()
    handshake, message1 = client.message1(session)
    hop = client.hop()
    hop.send_together(
        (peer.CONNECT, string("lab-1") + message1), (peer.PING, b"no PONG!"), (250, b"is ignored")
    )
    message2 = hop.expect(peer.CONNECTED).rest()
    told = session.read_payload2(peer.read_message2(handshake, message2))
    circuit = peer.Circuit(session, hop.pipe, handshake.split(), told).start().read_start()
    circuit.open(tcp(echo))
    assert circuit.ask(b"hello") == b"hello"
    assert len(relay.lines("joined")) == 1


def test_quiet_rule_to_a_client(world, site):
    """A client that is asked between CONNECT and CONNECTED does not answer: START is the first that
    comes behind CONNECT."""
    real = site.connected

    def ask_first(hop, name, message1):
        hop.send_together(*[(peer.PING, b"no PONG!")] * 3)
        real(hop, name, message1)

    site.connected = ask_first
    client = world.start_client(*forwards(9))
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"


def test_pings_without_end(world, echo):
    """Whoever asks and asks and reads no answer fills nobody's memory, on a hop or in a session."""
    relay, agent = world.start_relay(), world.start_agent()
    client = user_client(world)
    before = [program.peak_memory_bytes() for program in (relay, agent)]
    hop, circuit = client.hop(), client.connect()
    hop.pipe.sock.settimeout(1)
    circuit.pipe.sock.settimeout(1)
    with pytest.raises(TimeoutError):  # the relay stops reading
        while True:
            hop.send_together(*[(peer.PING, b"8 bytes.")] * 1000)
    for _ in range(200):  # the agent goes on
        circuit.records.send(frame(FRAME_PING, 0, b"8 bytes.") * 4000)
    assert_serves(world, echo)
    if harness.SLOWNESS == 1:  # a sanitizer keeps what was freed
        for program, had in zip((relay, agent), before):
            assert program.peak_memory_bytes() < had + 8 * peer.MIB


def assert_hop_ends(hop, messages, what):
    try:
        for kind, body in messages:
            hop.send(kind, body)
    except Gone:
        pass
    assert hop.wait_end() is None, what
    hop.close()


def first_message(world, to, role, key, payload):
    return noise.write_first_message(noise.CHACHA, noise.HOP, key, world.key(to).raw, payload)[1]


def assert_all_silent(address, probes):
    """None of these is answered or closed until the time is over; then all end in the same way."""
    host, _, port = address.rpartition(":")
    begun, socks = time.monotonic(), {}
    for what, data in probes.items():
        socks[what] = socket.create_connection((host, int(port)), 10)
        socks[what].sendall(data)
    ready, _, _ = select.select(list(socks.values()), [], [], 4 - (time.monotonic() - begun))
    assert not ready, [what for what, sock in socks.items() if sock in ready]
    for what, sock in socks.items():
        sock.settimeout(3 * harness.SLOWNESS)
        assert sock.recv(1) == b"", what
        assert time.monotonic() - begun < 6.5 * harness.SLOWNESS, what
        sock.close()


@pytest.mark.time_limit(60)
def test_probes(world):
    """Whatever is wrong with a first message, the prober learns nothing: neither from garbage behind a
    right mac1 of any length, with and without bytes behind it, nor from a malformed HELLO, a message
    with bytes behind it, or a recording; at a relay and at an agent that is dialled."""
    world.start_relay()
    address = endpoint(LOOPBACK, free_port())
    world.start_agent("lab-2", relay="", listen=address, online=False).expect("listening on")
    for to, at, role, key in (
        ("relay", world.relay_address, peer.CLIENT, pair(world, "alice")),
        ("lab-2", address, peer.RELAY, pair(world, "relay")),
    ):
        public = world.key(to).raw
        good = first_message(world, to, role, key, peer.hello(role))
        probes = {
            "nothing": b"",
            "a wrong mac1": good[:-1] + bytes([good[-1] ^ 1]),
            "HELLO cut": first_message(world, to, role, key, peer.hello(role)[:-1]),
            "HELLO with half an extension": first_message(
                world, to, role, key, peer.hello(role) + b"\0\1\0\5x"
            ),
            "HELLO of a role that does not exist": first_message(world, to, role, key, peer.hello(9)),
        }
        for size in (96, 97, 114, 130, 1000, 4096):
            for more in (0, 1, 2, 100, 5000):
                garbage = noise.framed(
                    noise.CHACHA, noise.HOP, peer.Pair().public + os.urandom(size - 32), public
                )
                probes[f"garbage of {size} and {more} more"] = garbage + bytes(more)
        assert_all_silent(at, probes)


@pytest.mark.time_limit(30)
def test_recording_of_a_hop(world):
    """A first message that is replayed while its handshake may be under way is met with silence, and
    does no harm to whom it is from."""
    world.start_relay()
    alice = pair(world, "alice")
    good = first_message(world, "relay", peer.CLIENT, alice, peer.hello(peer.CLIENT))
    pipe = peer.Pipe.dial(world.relay_address)
    pipe.write(good)
    assert pipe.read(2)
    assert_all_silent(world.relay_address, {f"replay {i}": good for i in range(5)})
    assert user_client(world).list() == ["lab-1"]


def test_messages_to_a_relay(world, echo):
    """Whoever breaks the protocol on a hop loses that hop; a client and an agent beside are not
    touched."""
    agents = {"lab-1": {}, "lab-2": {}}
    relay = world.start_relay(agents=agents)
    world.start_agent()
    beside = user_client(world).hop()
    address, key = world.relay_address, world.key("relay").raw
    lab_2, alice = pair(world, "lab-2"), pair(world, "alice")
    roles = (
        (alice, peer.CLIENT, {**BY_ANY, **TO_RELAY_BY_CLIENT}),
        (lab_2, peer.CONTROL, {**BY_ANY, **TO_RELAY_BY_CONTROL}),
        (lab_2, peer.AGENT_CIRCUIT, {**BY_ANY, **TO_RELAY_BY_PARKED}),
    )
    for own, role, cases in roles:
        for what, messages in cases.items():
            hop = peer.Hop.open(address, own, key, role)
            assert_hop_ends(hop, [(250, b"is ignored"), *messages], f"{what}, role {role}")
        for broken in BROKEN_RECORDS.values():
            hop = peer.Hop.open(address, own, key, role)
            if broken is not flipped:  # of frames
                hop.pipe.write(broken(hop))
                assert hop.wait_end() is None
        for what, (kind, body) in FIRST_RECORDS.items():
            source = f"127.0.0.{role + 1}"  # from each only so many may fail in a second
            hop = peer.Hop.greet(address, own, key, role, source=source)
            assert_hop_ends(hop, [(kind, body)], f"{what}, role {role}")
    assert beside.is_alive()
    assert_serves(world, echo)
    assert not relay.lines("Z error ")


def offer(user="alice", address="127.0.0.1:1", message1=b"x", key=bytes(32), ticket=bytes(32)):
    return ticket + string(user) + key + string(address) + string(message1)


TO_AGENT = {
    "LIST": [(peer.LIST, string(""))],
    "ACCEPT": [(peer.ACCEPT, b"x")],
    "CALL": [(peer.CALL, bytes([1]) + string("help"))],
    "CONNECTED": [(peer.CONNECTED, b"x")],
    "OFFER of a user that is none": [(peer.OFFER, offer(user="Alice"))],
    "OFFER with an address too long": [(peer.OFFER, offer(address="x" * 129))],
    "OFFER with an address that is not UTF-8": [(peer.OFFER, offer(address=b"\xc3"))],
    "OFFER without message 1": [(peer.OFFER, offer(message1=b""))],
    "OFFER with a message 1 too long": [(peer.OFFER, offer(message1=bytes(4121)))],
    "OFFER that is cut": [(peer.OFFER, bytes(32))],
}


def test_messages_to_an_agent(world, echo):
    """A relay that breaks the protocol loses the hop, and not the agent: one that is dialled is
    given each case on a hop of its own."""
    address = endpoint(LOOPBACK, free_port())
    world.start_relay(agents={"lab-1": {"Dial": f"tcp:{address}"}})
    agent = world.start_agent(relay="", listen=address, online=False)
    agent.expect("listening on")
    relay, key = pair(world, "relay"), world.key("lab-1").raw
    for what, messages in {**BY_ANY, **TO_AGENT}.items():
        hop = peer.Hop.open(address, relay, key, peer.RELAY)
        assert_hop_ends(hop, [(250, b"is ignored"), *messages], what)
    for what, (kind, body) in FIRST_RECORDS.items():
        hop = peer.Hop.greet(address, relay, key, peer.RELAY)
        assert_hop_ends(hop, [(kind, body)], what)
    for role in (peer.CLIENT, peer.CONTROL, peer.AGENT_CIRCUIT):
        with pytest.raises(Refused) as refused:
            peer.Hop.open(address, relay, key, role)
        assert refused.value.code == 2
    assert_serves(world, echo)


def test_offers_without_end_in_the_log(world, recording):
    """However often a relay offers what is refused, the agent's log shows the first ones, then one a
    second, and how many it left out."""
    agent, count = world.start_agent(), 500
    control, begun = recording.wait_control(), time.monotonic()
    for sent in range(10, count + 1, 10):
        for _ in range(10):
            control.send(peer.OFFER, offer(ticket=os.urandom(32)))
        wait_for(lambda: len(control.refused) == sent, 10, f"{sent} are refused")
    most = 51 + time.monotonic() - begun
    agent.stop()
    shown = len(agent.lines(r": refused: .*; the relay names user"))
    more = sum(int(found[1]) for found in agent.lines(r"(\d+) more like this left out"))
    assert shown + more == count
    assert 50 <= shown <= most


def test_messages_to_an_agent_that_calls_home(world, recording, echo):
    """The control hop that broke the protocol is replaced, and an OFFER with an extension that must
    be understood is refused, not the hop."""
    agent = world.start_agent()
    control = recording.wait_control()
    control.send(peer.OFFER, offer(ticket=bytes(31) + b"x") + b"\x80\1\0\0")
    wait_for(lambda: control.refused, 5, "REFUSE")
    assert control.refused[0][:34] == bytes(31) + b"x" + u16(6)
    for body in (offer(user="Alice"), offer() + b"x"):
        recording.controls.clear()
        control.send(peer.OFFER, body)
        control = recording.wait_control()
    agent.expect("online at relay", count=3)
    assert_serves(world, echo)


TWO_OF_ONE_NUMBER = peer.calls(1, (7, 1, 0, "", "a fan"), (7, 2, 0, "", "a disk"))[4:]
TO_CLIENT = {
    **BY_ANY,
    "OFFER": [(peer.OFFER, offer())],
    "CONNECT": [(peer.CONNECT, string("lab-1") + b"x")],
    "AGENT with a name that is none": [(peer.AGENT, peer.agent_entry("Lab", bytes(32)))],
    "AGENT with labels too long": [(peer.AGENT, peer.agent_entry("l", bytes(32), "x" * 2049))],
    "AGENT with labels that are not UTF-8": [
        (peer.AGENT, peer.agent_entry("l", bytes(32), b"\xff"))
    ],
    "AGENT with a call that is not UTF-8": [
        (peer.AGENT, peer.agent_entry("l", bytes(32), severity=1, call_text=b"\xff"))
    ],
    "AGENT with calls that are cut": [
        (peer.AGENT, peer.agent_entry("l", bytes(32)) + u16(16) + string(bytes([1])))
    ],
    "AGENT with its calls twice": [
        (peer.AGENT, peer.agent_entry("l", bytes(32)) + 2 * (u16(16) + string(bytes([0]))))
    ],
    "AGENT with a text and no call": [(peer.AGENT, peer.agent_entry("l", bytes(32), call_text="x"))],
    "AGENT with a number for two calls": [
        (peer.AGENT, peer.agent_entry("l", bytes(32)) + u16(16) + string(TWO_OF_ONE_NUMBER))
    ],
    "END with a body": [(peer.END, b"x")],
    "CONNECTED without message 2": [(peer.CONNECTED, b"")],
    "CONNECTED with a message 2 too long": [(peer.CONNECTED, bytes(4097))],
    "REFUSED that is cut": [(peer.REFUSED, u16(1))],
    "REFUSED with a text too long": [(peer.REFUSED, peer.refusal(1, "x" * 1025))],
    "REFUSED with a text that is not UTF-8": [(peer.REFUSED, peer.refusal(1, b"\xff"))],
}
ANSWERS = {  # that are well formed and not authentic
    "CONNECTED with anything": (peer.CONNECTED, bytes(100)),
    "CONNECTED with too little": (peer.CONNECTED, b"x"),
    "REFUSED with anything for message 2": (peer.REFUSED, peer.refusal(12, "x", 0, bytes(100))),
}  # fmt: skip


def test_messages_to_a_client(world, site):
    """A relay that breaks a session's next circuit while it is made costs the client a try, and
    the session nothing; the same for answers that are not the agent's. Each of many clients is
    given one case."""
    cases = {**TO_CLIENT, **{what: [answer] for what, answer in ANSWERS.items()}}
    clients = [world.start_client(*forwards(9)) for _ in cases]
    connections = [client.dial() for client in clients]
    for connection in connections:
        assert ask(connection, b"hello") == b"hello"
    left = list(cases.values())

    def attack(hop, name, message1):
        messages = left.pop()
        if not left:
            del site.connected, site.listed
        for kind, body in messages:
            hop.send(kind, body)
        hop.wait_end()

    def attack_list(hop, query):
        """AGENT and END have no other place."""
        if left and left[-1][0][0] in (peer.AGENT, peer.END):
            attack(hop, query, None)
        else:
            list_agents(hop, query)

    list_agents = site.listed
    site.connected, site.listed = attack, attack_list
    site.cut()
    for client, connection in zip(clients, connections):
        client.resumed()
        assert ask(connection, b"again") == b"again"
        connection.close()
    assert not left
    # Clients come in any order: a list's answer may be given where none was asked for.
    broken = (
        r"malformed|not well formed|unknown message|came twice|out of turn|from a relay to a client"
    )
    assert sum(len(client.lines(broken)) for client in clients) == len(TO_CLIENT)


# Texts.

NASTY = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202egpj.exe\u2066\r\nZ error relay: faked\x00\x7f\u2028end"


def test_texts_of_a_relay(world, site):
    """In a list on a terminal, in every refusal, in BYE: nothing of it is shown as it is."""
    conf = world.client_conf()
    site.entry = lambda name: peer.agent_entry(name, bytes(32), f"a={NASTY}", 1, 3, NASTY)
    argv = [harness.SPX, "client", "-c", conf, "list"]
    listed = world.start(harness.Program("list", argv, world.directory, terminal=True))
    listed.wait_exit(OK)
    wait_for(lambda: listed.lines(r"CALL, severity 3: .*gpj.exe"), 5, "the list is there")
    assert_no_raw_bytes(listed)
    del site.entry

    def refused(expected, **hooks):
        vars(site).update(hooks)
        client = world.start_client(
            *forwards(9), options=("-v",), terminal=True, connected=False, conf=conf
        )
        client.expect(expected)
        for hook in hooks:
            delattr(site, hook)
        client.kill()
        assert_no_raw_bytes_on_terminal(client)

    def say(kind, body):
        return lambda hop, name, message1: hop.send(kind, body)

    refused("gpj.exe", connected=say(peer.REFUSED, peer.refusal(8, NASTY)))
    refused("gpj.exe", connected=say(peer.BYE, peer.bye(18, NASTY)))
    refused("gpj.exe", welcome=lambda hop: peer.welcome(code=3, text=NASTY))
    refused("malformed WELCOME", welcome=lambda hop: peer.welcome(code=3, text=b"\xff\x1b[2J"))


def assert_no_raw_bytes_on_terminal(client):
    """The client's own status line is all that moves the cursor."""
    raw = client.log_path.read_bytes().replace(b"\r\x1b[K", b"").replace(b"\r\n", b"\n")
    client.log_path.write_bytes(raw)
    assert_no_raw_bytes(client)


@pytest.mark.parametrize("option", ["-v", "--json"])
def test_texts_of_an_agent(world, site, option):
    """OPENED, RESET, LISTENING, OPEN, CLOSE, and a refusal in payload 2."""

    def attack(circuit):
        """Answers the LISTEN and the first streams, and closes the session."""
        listen = circuit.expect(LISTEN)
        circuit.send(frame(LISTENING, listen.stream, string(NASTY)))
        came = u32(1000) + u32(listen.stream) + string(NASTY)
        circuit.send(frame(OPEN, 2, came), frame(RESET, 2, u16(6) + string(NASTY)))
        one = circuit.expect(OPEN).stream
        circuit.send(frame(OPENED, one, u32(100000) + string(NASTY)))
        circuit.send(frame(RESET, one, u16(4) + string(NASTY)))
        two = circuit.expect(OPEN).stream
        circuit.send(frame(RESET, two, u16(999) + string(NASTY)))
        site.agent.payload2 = lambda session: u16(10) + string(NASTY)  # for the next one
        circuit.send(frame(CLOSE, 0, u16(18) + string(NASTY)))

    site.attack = attack
    conf = world.client_conf()
    client = world.start_client(
        *forwards(9), "-R", "127.0.0.1:0:127.0.0.1:9", conf=conf, options=(option,)
    )
    for _ in range(2):
        try:
            with client.dial() as connection:
                assert read_to_end(connection)[1] == "reset"
        except ConnectionResetError:
            pass  # it came before the connect had returned
    client.expect("the session has ended: .*gpj.exe")
    wait_for(client.ended, 20, "the client ends")
    client.collected = True
    assert_no_raw_bytes(client)
    assert_json(client, option)


def assert_json(program, option):
    if option == "--json":
        for line in program.log().splitlines():
            json.loads(line)


@pytest.mark.parametrize(
    "words, shown",
    [
        (["targets"], r"connect to +tcp:.*gpj\.exe.*\n(.*\n)*listen on .*gpj\.exe"),
        (["--json", "targets"], r'^{"allow":"tcp:.*gpj\.exe.*\n(.*\n)*{"listen":".*gpj\.exe'),
        (["take"], r"call 1 is yours, severity 3: .*gpj\.exe"),
    ],
    ids=["targets", "targets in JSON", "take"],
)
def test_answers_of_an_agent(world, site, words, shown):
    """The answer of an agent to a question, shown on a terminal: each line is made safe, and one with a
    word that is not known is left out."""
    lines = [f"{word} tcp:{NASTY}\n" for word in ("allow", "listen", "listeners", NASTY)]
    answer = "".join([*lines, f"taken 1 3 {NASTY}\n"]).encode() + b"allow \xff\x1b[2J\xc2\n\x1b[2J\x9b"

    def attack(circuit):
        question = circuit.expect(OPEN).stream
        circuit.send(frame(OPENED, question, u32(100000) + string(NASTY)))
        circuit.send(frame(DATA, question, answer), frame(EOF, question))

    site.attack = attack
    argv = world.argv("client", world.client_conf(), *words, "lab-1")
    client = world.start(harness.Program("client", argv, world.directory, terminal=True))
    client.wait_exit(OK)
    assert_no_raw_bytes_on_terminal(client)
    assert re.search(shown, client.log(), re.MULTILINE)
    assert "Z error" not in client.log()
    assert_json(client, words[0])


@pytest.mark.parametrize("option", ["-v", "--json"])
def test_texts_of_clients_agents_and_relays(world, recording, echo, option):
    """All that a client and a relay can put into an agent's log, and what a client and an agent can put
    into a relay's."""
    agent = world.start_agent(options=(option,))
    client = user_client(world)
    circuit = client.connect()
    circuit.send(open_frame(1, f"tcp:{NASTY}:1"), open_frame(3, f"udp:{NASTY}"))
    circuit.send(open_frame(5, NASTY), frame(LISTEN, 7, string(NASTY)))
    circuit.open(tcp(echo), 9)
    circuit.send(frame(RESET, 9, u16(6) + string(NASTY)))
    circuit.send(frame(CLOSE, 0, u16(21) + string(NASTY)))
    agent.expect("ended: .*gpj.exe")
    hop = recording.next_parked()
    hop.send(peer.OFFER, offer(address=NASTY[:60]))
    hop.expect(peer.REFUSE)
    hop.send(peer.BYE, peer.bye(18, NASTY))
    recording.wait_control().send(peer.BYE, peer.bye(18, NASTY, 1))
    agent.expect("lost relay .*gpj.exe")
    assert_no_raw_bytes(agent)
    assert_json(agent, option)
    agent.stop()


@pytest.mark.parametrize("option", ["-v", "--json"])
def test_texts_to_a_relay(world, option):
    relay = world.start_relay(options=(option,))
    key = world.key("relay").raw
    control = peer.Hop.open(
        world.relay_address, pair(world, "lab-1"), key, peer.CONTROL,
        body=peer.info(NASTY[:30], labels=f"a={NASTY} b"),
    )  # fmt: skip
    control.send(peer.CALL, bytes([3]) + string(NASTY))
    relay.expect("calls for help.*gpj.exe")
    client = user_client(world)
    hop = client.hop()
    hop.send(peer.LIST, string(NASTY))
    hop.expect(peer.END)
    hop.send(peer.LIST, string(""))
    listed = hop.expect(peer.AGENT)
    hop.expect(peer.END)
    assert not re.search("[\x07\x1b\x7f\x9b\u202e]", listed.data[2 + len("lab-1") + 32 :].decode("utf-8", "replace"))
    hop.send(peer.CONNECT, string("lab-1") + b"not a message 1")
    reader = control.expect(peer.OFFER)
    control.send(peer.REFUSE, reader.take(32) + peer.refusal(999, NASTY))
    assert hop.expect(peer.REFUSED).number(2) == 999
    relay.expect("refused: .*gpj.exe")
    hop.send(peer.BYE, peer.bye(18, NASTY))
    control.send(peer.BYE, peer.bye(18, NASTY))
    relay.expect("offline: .*gpj.exe")
    assert_no_raw_bytes(relay)
    assert_json(relay, option)


# A relay that tampers with the bytes of a circuit.


class Tampering:
    """A relay's way with the records of one direction: passes them on until the n-th."""

    def __init__(self, how, n):
        self.how, self.n, self.count, self.buffer, self.kept = how, n, 0, b"", b""

    def __call__(self, data):
        self.buffer += data
        out = b""
        while len(self.buffer) >= 2:
            size = 2 + int.from_bytes(self.buffer[:2], "big")
            if len(self.buffer) < size:
                break
            record, self.buffer = self.buffer[:size], self.buffer[size:]
            self.count += 1
            out += self.change(record)
        return out

    def change(self, record):
        if self.count != self.n:
            before, self.kept = (self.kept, b"") if self.count == self.n + 1 else (b"", self.kept)
            return record + before
        if self.how == "flips a bit":
            return record[:-5] + bytes([record[-5] ^ 1]) + record[-4:]
        if self.how == "swaps two":
            self.kept = record
            return b""
        if self.how == "sends twice":
            return record + record
        if self.how == "leaves out":
            return b""
        if self.how == "makes longer":
            return record[:-1] + bytes(1) + record[-1:]
        if self.how == "puts in":
            return u16(100) + bytes(100) + record
        if self.how == "says a wrong length":
            return bytes([record[0] ^ 0x10]) + record[1:]
        assert self.how == "cuts"
        raise OSError


HOW = ["flips a bit", "swaps two", "sends twice", "leaves out", "makes longer", "puts in",
       "says a wrong length", "cuts"]  # fmt: skip


@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
@pytest.mark.parametrize("how", HOW)
def test_relay_that_tampers(world, recording, echo, how, up):
    """The session goes on over another circuit, and not one byte is wrong; nothing looks like an end
    of file."""
    world.start_agent()
    tampering = Tampering(how, 12)
    recording.forward = lambda circuit, upwards, data: (
        tampering(data) if circuit == 1 and upwards == up else data
    )
    client = world.start_client(*forwards(echo.port))
    with client.dial() as connection:
        sent, received, checksum = exchange(connection, 3 * peer.MIB, 1)
        assert received == 3 * peer.MIB and checksum == sent
    client.resumed()
    assert not client.lines("the session has ended")


@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
def test_relay_that_turns_records_round(world, recording, echo, up):
    """Records of the other direction, and those of a circuit before, verify nowhere."""
    world.start_agent()
    seen = {}

    def forward(circuit, upwards, data):
        seen.setdefault((circuit, upwards), data)
        if circuit == 1 and upwards == up and seen.get((1, not up)) and not seen.get("turned"):
            seen["turned"] = True
            return seen[1, not up]
        if circuit == 2 and upwards == up and not seen.get("old"):
            seen["old"] = True
            return seen[1, up] + data
        return data

    recording.forward = forward
    client = world.start_client(*forwards(echo.port))
    with client.dial() as connection:
        sent, received, checksum = exchange(connection, peer.MIB, 1)
        assert received == peer.MIB and checksum == sent
    assert seen["turned"] and seen["old"]
    client.resumed(count=2)


@pytest.mark.soak
@pytest.mark.time_limit(300)
def test_relay_that_tampers_with_every_circuit(world, recording, echo, dice):
    """The first circuits of a transfer are each spoilt at some record of its own."""
    world.start_agent()
    spoilt = {}

    def forward(circuit, up, data):
        if circuit > 6:
            return data
        made = Tampering(dice.choice(HOW), dice.randrange(8, 200))
        return spoilt.setdefault((circuit, up), made)(data)

    recording.forward = forward
    client = world.start_client(*forwards(echo.port))
    with client.dial() as connection:
        connection.settimeout(120)
        sent, received, checksum = exchange(connection, 64 * peer.MIB, 1)
        assert received == 64 * peer.MIB and checksum == sent
    assert len(client.lines(client.RESUMED)) >= 6
