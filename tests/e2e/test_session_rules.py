"""Sentences of docs/PROTOCOL.md sections 5.2 to 5.8 that an independent peer holds against the program,
beside what it does to peers that break them (test_hostile.py)."""
import os
import select
import socket
import struct

import pytest

import peer
import test_limits
from harness import LOOPBACK, endpoint, forwards, free_port, stays_false, wait_for
from peer import (
    ACK, CLOSE, DATA, DATAGRAM, EOF, FRAME_PING, FRAME_PONG, LISTEN, LISTENING, MIB, OPEN, OPENED, PAD,
    RESET, START, WINDOW, Gone, Refused, frame, open_frame, string, u16, u32, u64,
)  # fmt: skip
from servers import Target, ask, read_exactly
from test_hostile import Unacknowledging
from test_peer import pair, peer_client, target

REFUSED, NOT_PERMITTED, NO_NAME, BY_TARGET, UNSUPPORTED = 1, 4, 5, 6, 8  # of RESET
EARLY = 8192

full_listener = test_limits.full_listener


@pytest.fixture
def client(world):
    world.start_relay()
    world.start_agent(users={"alice": "tcp:127.0.0.1:*, udp:127.0.0.1:*"})
    return peer_client(world)


def reset_code(circuit, stream):
    return peer.Reader(circuit.expect(RESET, stream=stream).payload).number(2)


def settle(circuit):
    """All that was sent has been taken, and the session goes on: the types of the frames that came
    meanwhile, without ACK."""
    circuit.send(frame(FRAME_PING, 0, b"still on"))
    kinds = []
    while (got := circuit.receive()).kind != FRAME_PONG or got.payload != b"still on":
        assert got.kind != CLOSE, got
        kinds += [got.kind] if got.kind != ACK else []
    return kinds


def assert_ended(circuit):
    assert circuit.wait_end() == peer.PROTOCOL


# 5.2: frames.


def test_what_is_ignored_must_be_a_frame(client):
    """An ignored type has any length and any stream, but its reserved byte is zero, as every other's."""
    circuit = client.connect()
    circuit.send(*(frame(kind, 7, bytes(size)) for kind in (PAD, 0xC1, 0xFF) for size in (0, 1, 60)))
    circuit.send(frame(PAD, 0, bytes(65511)))
    settle(circuit)
    circuit.send(frame(PAD, 0, b"x", reserved=1))
    assert_ended(circuit)


def hang_up(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_codes_of_resets(world, serve):
    """5.5: each reason has its code."""
    world.start_relay(), world.start_agent(users={"alice": "tcp:*:*"})
    resetting = serve(Target, hang_up)
    circuit = peer_client(world).connect()
    cases = {
        f"tcp:{LOOPBACK}:{free_port()}": REFUSED,
        f"udp:{LOOPBACK}:9": NOT_PERMITTED,
        "unix:/nothing": NOT_PERMITTED,
        "tcp:no.such.invalid:1": NO_NAME,
        "nonsense": UNSUPPORTED,
        "tcp:host": UNSUPPORTED,
        "tcp:::1:80": UNSUPPORTED,  # IPv6 stands in brackets
        "sctp:127.0.0.1:1": UNSUPPORTED,
        target(resetting): BY_TARGET,
    }
    for number, (wanted, code) in enumerate(cases.items()):
        circuit.send(open_frame(2 * number + 1, wanted))
        assert reset_code(circuit, 2 * number + 1) == code, wanted
    last = 2 * len(cases) + 1
    critical = u32(1) + string(f"tcp:{LOOPBACK}:9") + b"\x80\x01\0\0"
    circuit.send(frame(OPEN, last, critical))
    assert reset_code(circuit, last) == UNSUPPORTED
    circuit.finish()


# 5.3: positions.


def receive_all(circuit, size):
    """The sequenced frames that come, as bytes: at least so many."""
    got = b""
    while len(got) < size:
        one = circuit.receive()
        if one.kind < 0x80:
            got += frame(one.kind, one.stream, one.payload)
    return got


def test_exactly_the_same_bytes_are_sent_again(client, echo, monkeypatch):
    """All that was not acknowledged comes again on the next circuit, byte for byte, and from where the peer
    says that it has it."""
    monkeypatch.setattr(peer, "Circuit", Unacknowledging)
    circuit = client.connect()
    circuit.send(open_frame(1, target(echo)), frame(DATA, 1, os.urandom(5000)))
    first = receive_all(circuit, 5000)
    for keep in (0, 8 + int.from_bytes(first[2:4], "big")):
        circuit.close()
        circuit.session.received = keep
        circuit = client.connect(circuit.session, start=False).start()
        assert circuit.receive()[::2] == (START, u64(keep))
        assert receive_all(circuit, len(first) - keep)[: len(first) - keep] == first[keep:]
    circuit.finish()


def test_position_below_what_was_acknowledged(client, echo):
    """Told in a message 1 it has no effect: the agent goes on from the last ACK."""
    circuit = client.connect()
    circuit.open(target(echo))
    circuit.ask(b"hello")
    settle(circuit)  # and has read the ACKs
    circuit.close()
    received, circuit.session.received = circuit.session.received, 0
    circuit = client.connect(circuit.session, start=False)
    circuit.session.received = received
    assert circuit.start().receive()[::2] == (START, u64(received))
    assert circuit.ask(b"again") == b"again"
    circuit.finish()


# 5.4: resume.


class Numbers(peer.Site):
    """Keeps the number of each message 1 of the client, and lets every second come to nothing."""

    def __init__(self, *arguments, **options):
        self.numbers = []
        super().__init__(*arguments, **options)

    def connected(self, hop, name, message1):
        _, make = self.agent.answer(message1)
        self.numbers.append(make(hop.pipe).number)
        if len(self.numbers) % 2 == 0:
            hop.send(peer.REFUSED, peer.refusal(8, "not now"))
        else:
            super().connected(hop, name, message1)


def test_client_raises_the_circuit_number(world, serve):
    """With each message 1 of a session, also when the last came to nothing; START, the first frame, is
    there at once."""
    site = serve(
        Numbers, pair(world, "relay"), peer.Agent(pair(world, "lab-1"), "lab-1"),
        address=world.relay_address,
    )  # fmt: skip
    client = world.start_client(*forwards(9))
    with client.dial() as connection:
        for turn in (1, 2, 3):
            assert ask(connection, b"hello") == b"hello"
            site.cut()
            client.resumed(count=turn)
    assert site.numbers == list(range(1, 8))


# 5.5: streams.


def test_frames_for_what_is_forgotten(client, echo):
    """After a RESET, which nothing answers, frames that were on their way are dropped, whatever they
    are; the credit of dropped DATA is the next stream's, also of more streams than the pool has
    windows for."""
    circuit, windows = client.connect(), set()
    for stream in range(1, 601, 2):
        windows.add(circuit.open(target(echo), stream))
        circuit.send(frame(RESET, stream, u16(1) + string("enough")))
        dropped = [frame(DATA, stream, bytes(1000)), frame(WINDOW, stream, u32(1))]
        dropped += [frame(RESET, stream, u16(1) + string("")), frame(DATAGRAM, stream)]
        circuit.send(*dropped, frame(EOF, stream))
        answers = settle(circuit)
        assert RESET not in answers and CLOSE not in answers
    assert windows == {1 << 18}
    circuit.open(target(echo), 601)
    assert circuit.ask(b"hello", 601) == b"hello"
    circuit.finish()


def test_reset_before_the_answer(client, echo, full_listener):
    """By the opener: nothing is answered, and the next stream is served."""
    circuit = client.connect()
    circuit.send(
        open_frame(1, f"tcp:{LOOPBACK}:{full_listener}"), frame(RESET, 1, u16(1) + string("")),
        open_frame(3, target(echo)),
    )  # fmt: skip
    assert circuit.expect(OPENED, RESET).stream == 3
    assert settle(circuit) == []
    circuit.finish()


def test_window_of_nothing(client, serve):
    """An initial window of 0 keeps the target's bytes until WINDOW, which says how many may come."""
    source = serve(Target, lambda connection: (connection.sendall(b"0123456789"), connection.recv(1)))
    circuit = client.connect()
    circuit.open(target(source), window=0)
    wait_for(lambda: source.connections, 5, "the target is connected")
    assert DATA not in settle(circuit)
    for credit in (1, 4):
        circuit.send(frame(WINDOW, 1, u32(credit)))
        assert len(circuit.expect(DATA, stream=1).payload) == credit
        assert DATA not in settle(circuit)
    circuit.finish()


@pytest.fixture
def listening(world):
    """A circuit of a client that may have the agent listen, where its first listener is, and the
    agent."""
    world.start_relay()
    conf = world.agent_conf()
    conf.write_text(conf.read_text() + "Listen = default\n")
    agent = world.start_agent(conf=conf)
    circuit = peer_client(world).connect(streams=2)
    circuit.send(frame(LISTEN, 1, string(f"{LOOPBACK}:0")))
    bound = peer.Reader(circuit.expect(LISTENING, stream=1).payload).text()
    return circuit, (LOOPBACK, int(bound.rpartition(":")[2])), agent


def test_stream_that_the_agent_opens(listening):
    """It names the LISTEN and who came, and carries nothing before OPENED; EOF on the LISTEN ends
    that, and not the stream."""
    circuit, address, _ = listening
    with socket.create_connection(address) as application:
        application.sendall(b"at once")
        reader = peer.Reader(circuit.expect(OPEN, stream=2).payload)
        window, listener, who = reader.number(4), reader.number(4), reader.text()
        assert listener == 1 and who == "{}:{}".format(*application.getsockname())
        assert DATA not in settle(circuit)
        circuit.send(frame(OPENED, 2, u32(1000) + string("")))
        assert circuit.expect(DATA, stream=2).payload == b"at once"
        circuit.send(frame(EOF, 1))

        def refused():
            with socket.socket() as another:
                return another.connect_ex(address) != 0

        wait_for(refused, 5, "nobody listens there any more")
        assert window >= 3
        circuit.send(frame(DATA, 2, b"yes"))
        assert read_exactly(application, 3) == b"yes"
    circuit.finish()


def test_streams_that_the_client_lets_the_agent_open(listening):
    """No more at once than payload 1 says; the next one waits."""
    circuit, address, _ = listening
    applications = [socket.create_connection(address) for _ in range(3)]
    ids = [circuit.expect(OPEN).stream for _ in range(2)]
    assert ids == [2, 4]
    assert OPEN not in settle(circuit)
    circuit.send(frame(RESET, 2, u16(1) + string("no")))
    assert circuit.expect(OPEN).stream == 6
    for application in applications:
        application.close()
    circuit.finish()


def test_listener_without_a_circuit(world, listening):
    """It is kept, and accepts once there is one again."""
    circuit, address, agent = listening
    circuit.close()
    agent.expect("lost: .*; the session of alice waits")
    with socket.create_connection(address) as application:  # by the system
        application.sendall(b"x")
        again = peer_client(world).connect(circuit.session, streams=2)
        assert again.expect(OPEN).stream == 2
        again.finish()


def test_datagram_streams(client, serve):
    """Windows of 0 or anything; datagrams of no byte and of the most that there may be, either way."""
    with socket.socket(type=socket.SOCK_DGRAM) as service:
        service.bind((LOOPBACK, 0))
        service.settimeout(10)
        circuit = client.connect()
        circuit.send(open_frame(1, f"udp:{LOOPBACK}:{service.getsockname()[1]}", 12345))
        circuit.send(frame(DATAGRAM, 1, b"early"))
        opened = circuit.expect(OPENED, stream=1)
        assert opened.payload[:4] == u32(0)
        assert service.recv(100) == b"early"
        for size in (0, 1, 65507):
            circuit.send(frame(DATAGRAM, 1, bytes(size)))
            data, who = service.recvfrom(1 << 16)
            assert len(data) == size
            service.sendto(data, who)
            assert len(circuit.expect(DATAGRAM, stream=1).payload) == size
        circuit.send(frame(RESET, 1, u16(1) + string("")), frame(DATAGRAM, 1, b"late"))
        settle(circuit)
        circuit.finish()
        assert not select.select([service], [], [], 0)[0]


# 5.6: credit.


@pytest.mark.parametrize("more", [0, 1])
def test_early_credit_of_the_agent(client, full_listener, more):
    """So much may come before OPENED, and not a byte more."""
    circuit = client.connect()
    assert circuit.session.early_credit == EARLY
    circuit.send(open_frame(1, f"tcp:{LOOPBACK}:{full_listener}"), frame(DATA, 1, bytes(EARLY)))
    if not more:
        settle(circuit)
        circuit.finish()
        return
    circuit.send(frame(DATA, 1, bytes(more)))
    assert_ended(circuit)


class Counting(peer.Site):
    """Counts the bytes of the client's first stream, and answers it once the early ones are there;
    each time that its credit is used up it gives one byte more, ten times."""

    got = 0

    def session(self, circuit):
        window = 0
        try:
            while True:
                got = circuit.receive()
                self.got += len(got.payload) if got.kind == DATA else 0
                if got.kind == DATA and self.got == EARLY:
                    window = EARLY + 100
                    circuit.send(frame(OPENED, 1, u32(window) + string("")))
                elif got.kind == DATA and window <= self.got < EARLY + 110:
                    window += 1
                    circuit.send(frame(WINDOW, 1, u32(1)))
        except (Gone, OSError):
            pass


def test_window_of_opened_counts_from_the_first_byte(world, serve):
    """A client that sent the early credit has the window less it; WINDOW adds to that."""
    site = serve(
        Counting, pair(world, "relay"), peer.Agent(pair(world, "lab-1"), "lab-1"),
        address=world.relay_address,
    )  # fmt: skip
    client = world.start_client(*forwards(9))
    with client.dial() as connection:
        connection.sendall(bytes(100000))
        wait_for(lambda: site.got >= EARLY + 110, 10, "all that has credit came")
        stays_false(lambda: site.got > EARLY + 110, 0.3, "more than its credit came")


def test_limits_that_are_told(world, client, serve):
    """The limits that the two programs tell in their payloads."""
    agents = client.connect().session
    assert (agents.peer_limit, agents.peer_ring) == (65 * MIB, MIB)
    assert (agents.peer_streams, agents.early_credit, agents.resume_window) == (1024, EARLY, 600)
    address = endpoint(LOOPBACK, free_port())
    site = serve(
        peer.Site, pair(world, "relay"), peer.Agent(pair(world, "lab-1"), "lab-1"), address=address
    )
    for more, streams in ([], 0), (["-R", f"{LOOPBACK}:0:{LOOPBACK}:9"], 256):
        site.agent.sessions.clear()
        world.start_client(*forwards(9), *more, relay=address)
        (clients,) = site.agent.sessions.values()
        assert (clients.peer_limit, clients.peer_ring) == (64 * MIB, 8 * MIB)
        assert clients.peer_streams == streams


# 5.8: the end.


def test_close_is_acknowledged(client, echo):
    """Then the circuit is closed, and a resume is told the reason."""
    circuit = client.connect()
    circuit.open(target(echo))
    circuit.send(frame(CLOSE, 0, u16(peer.DONE) + string("that was all")))
    while circuit.session.sent:
        assert circuit.receive().kind in (ACK, WINDOW)
    with pytest.raises(Gone):
        while circuit.receive().kind != CLOSE:
            pass
    with pytest.raises(Refused) as refused:
        client.connect(circuit.session)
    assert refused.value.code in (peer.ENDED, peer.DONE) and refused.value.text == "that was all"
