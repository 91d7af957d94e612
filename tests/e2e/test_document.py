"""Sentences of docs/PROTOCOL.md that an independent peer holds against the program: who is answered
when refused and who is not, where a session begins, and what of it stays the same."""
import signal

import pytest

import noise
import peer
from harness import OK, forwards, wait_for
from noise import CHACHA
from peer import Gone, Refused, string, u32
from servers import ask, read_to_end
from test_peer import pair, peer_client, target

CRITICAL = b"\x80\x01\0\0"  # an extension that must be understood
UNSUPPORTED, WRONG_ROLE, UNKNOWN_KEY, VERSION = 6, 2, 1, 5
SILENCE_S = 1


def greet(world, key, payload):
    """A relay's answer to a first message with this HELLO: the code of its WELCOME, "closed", or
    "silence". A refusal is the end: nothing follows."""
    pipe = peer.Pipe.dial(world.relay_address)
    handshake, message = noise.write_first_message(
        CHACHA, noise.HOP, pair(world, key), world.key("relay").raw, payload
    )
    pipe.write(message)
    pipe.sock.settimeout(SILENCE_S)
    try:
        peer.read_message2(handshake, pipe.read(int.from_bytes(pipe.read(2), "big")))
        return 0
    except Refused as refused:
        assert refused.text
        assert pipe.read_to_end() == b""
        return refused.code
    except Gone:
        return "closed"
    except TimeoutError:
        return "silence"
    finally:
        pipe.close()


# Section 2.2: refused in WELCOME, by the rules of 3.1, 3.3, 3.4 and 4. The key, HELLO, the code.
REFUSED_IN_WELCOME = {
    "version 0": ("alice", peer.hello(peer.CLIENT, version=0), VERSION),
    "a relay": ("alice", peer.hello(peer.RELAY), WRONG_ROLE),
    "an agent's key in a client's role": ("lab-1", peer.hello(peer.CLIENT), WRONG_ROLE),
    "a user's key in an agent's role": ("alice", peer.hello(peer.CONTROL), WRONG_ROLE),
    "a key that is not known": ("mallory", peer.hello(peer.CLIENT), UNKNOWN_KEY),
    "an extension that must be understood": (
        "alice", peer.hello(peer.CLIENT) + CRITICAL, UNSUPPORTED,
    ),
    "a ticket of no OFFER": (
        "lab-1", peer.hello(peer.AGENT_CIRCUIT, b"?" * 32), peer.BAD_TICKET,
    ),
}  # fmt: skip

# Section 2.1: as for one that is not authentic, so that whoever has recorded it learns nothing.
MALFORMED_HELLO = {
    "role 0": peer.hello(0),
    "a role that does not exist": peer.hello(5),
    "a byte too many": peer.hello(peer.CLIENT) + b"x",
    "a byte too few": peer.hello(peer.CLIENT)[:-1],
    "half an extension": peer.hello(peer.CLIENT) + b"\0\x01\0\x05x",
}

WELCOMED = {
    "a version to come": ("alice", peer.hello(peer.CLIENT, version=9)),
    "another extension": ("alice", peer.hello(peer.CLIENT) + b"\0\x01\0\x01x"),
    "a ticket in a role without one": ("alice", peer.hello(peer.CLIENT, b"?" * 32)),
}


def test_hello_that_is_answered(world):
    world.start_relay()
    for what, (key, payload, code) in REFUSED_IN_WELCOME.items():
        assert greet(world, key, payload) == code, what
    for what, (key, payload) in WELCOMED.items():
        assert greet(world, key, payload) == 0, what


def test_hello_that_is_met_with_silence(world):
    world.start_relay()
    for what, payload in MALFORMED_HELLO.items():
        assert greet(world, "alice", payload) == "silence", what


def test_failed_handshakes_lock_out_nobody(world):
    """Section 6: they cost multiplications, of which a source has 600 at once; many more than were a
    limit of failures once fail here, and an honest hop opens after them."""
    world.start_relay()
    client = peer_client(world)
    for _ in range(60):
        greeted(world).close()
    assert client.hop().is_alive()


# Section 2.2: what comes first on a hop and is not a right INFO, and what breaks section 3 later.
NOT_INFO = {
    "LIST": (peer.LIST, string("")),
    "an unknown type that could be ignored later": (200, b""),
    "INFO with a byte too many": (peer.INFO, peer.info() + b"x"),
    "INFO with an extension that must be understood": (peer.INFO, peer.info() + CRITICAL),
    "INFO above 4,096 bytes": (peer.INFO, peer.info() + b"\0\x01" + string(b"x" * 4096)),
}
FAULTS = {
    "an unknown type": (16, b""),
    "OFFER of a client": (peer.OFFER, b""),
    "a second INFO": (peer.INFO, peer.info()),
    "LIST with a byte too many": (peer.LIST, string("") + b"x"),
    "LIST that is not UTF-8": (peer.LIST, string(b"\xff")),
    "a query above 256 bytes": (peer.LIST, string("x" * 257)),
    "a name that is none": (peer.CONNECT, string("No Name") + b"x"),
    "PING of one byte": (peer.PING, b"x"),
}


def greeted(world):
    return peer.Hop.greet(
        world.relay_address, pair(world, "alice"), world.key("relay").raw, peer.CLIENT
    )


def test_first_record_that_only_closes(world):
    """Nothing is read before the end, not even BYE."""
    world.start_relay()
    for what, (kind, body) in NOT_INFO.items():
        hop = greeted(world)
        hop.send(kind, body)
        assert hop.pipe.read_to_end() == b"", what
    hop = greeted(world)
    hop.send(peer.INFO, peer.info(flags=0xFFFF, labels="a=b") + b"\0\x01\0\x01x")
    assert hop.receive()[0] == peer.INFO


def test_fault_on_a_hop_that_only_closes(world):
    world.start_relay()
    client = peer_client(world)
    for what, (kind, body) in FAULTS.items():
        hop = client.hop()
        hop.send(kind, body)
        assert hop.pipe.read_to_end() == b"", what
    hop = client.hop()
    hop.send(200, b"?")  # ignored
    assert hop.is_alive()


def test_known_party_that_is_removed(world, echo):
    """Section 4: BYE(3) ends its hops; its circuit ends without a word between the two ends."""
    relay, _ = world.start_relay(), world.start_agent()
    client = peer_client(world)
    hop, circuit = client.hop(), client.connect()
    world.relay_conf(users={"kim": "*"})
    relay.signal(signal.SIGHUP)
    assert hop.wait_end() == peer.REVOKED
    assert circuit.wait_end() is None


# Section 4 and 5.1: a client is refused in message 2 whenever message 1 was authentic.


def refuse_session(world, payload, user="alice"):
    """(the code in message 2, its text) of a session message 1 with this payload."""
    client = peer_client(world, user=user)
    handshake, message1 = noise.write_first_message(
        client.suite, noise.SESSION, client.own, client.agent_public, payload
    )
    hop = client.hop()
    with pytest.raises(Refused) as relays:
        client.ask(message1, hop)
    assert hop.refusal2, "there is no message 2"
    with pytest.raises(Refused) as agents:
        peer.read_message2(handshake, hop.refusal2)
    assert agents.value.code == relays.value.code
    hop.close()
    return agents.value.code


def payload1(circuit=1, position=0, agent="lab-1"):
    session = peer.Session()
    session.received = position
    return session.payload1(agent, number=circuit)


REFUSED_IN_MESSAGE_2 = {
    "an extension that must be understood": (payload1() + CRITICAL, UNSUPPORTED),
    "a byte too many": (payload1() + b"x", peer.PROTOCOL),
    "nothing": (b"\x01", peer.PROTOCOL),
    "version 0": (b"\0" + payload1()[1:], VERSION),
    "another agent": (payload1(agent="lab-2"), 11),
    "circuit number 0 of a new session": (payload1(circuit=0), peer.PROTOCOL),
    "a position above 0 of a new session": (payload1(position=1), peer.PROTOCOL),
}


@pytest.mark.parametrize("what", REFUSED_IN_MESSAGE_2)
def test_session_refused_in_message_2(world, what):
    world.start_relay(), world.start_agent()
    payload, code = REFUSED_IN_MESSAGE_2[what]
    assert refuse_session(world, payload) == code


def test_new_session_with_a_later_circuit_number(world, echo):
    """The number is raised for each message 1, also for those that came to nothing."""
    world.start_relay(), world.start_agent()
    circuit = peer_client(world).connect(number=9)
    circuit.open(target(echo))
    assert circuit.ask(b"hello") == b"hello"
    circuit.finish()


def start_site(world, serve):
    return serve(
        peer.Site, pair(world, "relay"), peer.Agent(pair(world, "lab-1"), "lab-1"),
        address=world.relay_address,
    )  # fmt: skip


@pytest.mark.parametrize("code", [UNSUPPORTED, VERSION])
def test_client_that_the_agent_cannot_understand(world, serve, code):
    """Told so in message 2 a client ends, and does not try again."""
    site = start_site(world, serve)
    client = world.start_client(*forwards(9))
    with client.dial() as connection:
        ask(connection, b"hello")
        site.agent.payload2 = lambda session: peer.u16(code) + string("too old")
        site.cut()
        assert read_to_end(connection)[1] == "reset"
    wait_for(client.ended, 10, "the client ends")
    client.collected = True
    assert client.process.returncode > OK


class EarlySite(peer.Site):
    """Leaves the streams but the first unanswered, and keeps the early data of each."""

    early = {}  # before the first circuit

    def session(self, circuit):
        self.early = {}
        try:
            while True:
                got = circuit.receive()
                if got.kind == peer.OPEN and got.stream == 1:
                    answer = u32(peer.MIB) + string("127.0.0.1:7")
                    circuit.send(peer.frame(peer.OPENED, got.stream, answer))
                elif got.kind == peer.DATA:
                    early = self.early.get(got.stream, b"") + got.payload
                    self.early[got.stream] = early
        except (Gone, OSError):
            pass


@pytest.mark.parametrize("later", [0, 1000, 1 << 20])
def test_early_credit_is_the_first_that_was_told(world, serve, later):
    """Section 5.1: another one in the message 2 of a resume changes nothing."""
    first = 5000
    site = serve(
        EarlySite, pair(world, "relay"), peer.Agent(pair(world, "lab-1"), "lab-1"),
        address=world.relay_address,
    )  # fmt: skip
    site.agent.payload2 = lambda session: session.payload2(early=first)
    client = world.start_client(*forwards(9))
    site.agent.payload2 = lambda session: session.payload2(early=later)
    site.cut()
    client.resumed()
    with client.dial() as connection, client.dial() as second:
        for one in (connection, second):
            one.sendall(b"x" * 100000)
        wait_for(lambda: len(site.early.get(3, b"")) >= first, 10, "the early data")
        assert len(site.early[3]) == first
