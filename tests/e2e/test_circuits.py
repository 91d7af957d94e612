"""How a circuit comes about and ends, hop by hop (docs/PROTOCOL.md section 4): what each party says and
when it says nothing, seen by a peer that was written from the document."""
import os
import re
import select
import signal
import socket
import time
import types

import pytest

import peer
from harness import LOOPBACK, OTHER, SLOWNESS, endpoint, forwards, free_port, wait_for
from peer import Refused, string
from servers import ask

PING_BODY = b"are you?"


@pytest.fixture
def lab(world):
    """A relay, and both sides of it played by peers: (a hop of the user, the agent)."""
    world.start_relay(Keepalive=5)
    agent = peer.Agent(
        peer.Pair(world.key("lab-1").path), "lab-1", world.relay_address, world.key("relay").raw
    )
    return user(world).hop(), agent


def user(world, name="alice"):
    return peer.Client(
        peer.Pair(world.key(name).path), world.relay_address, world.key("relay").raw, "lab-1",
        world.key("lab-1").raw,
    )  # fmt: skip


def ask_for_a_circuit(hop):
    hop.send(peer.CONNECT, string("lab-1") + os.urandom(200))


def take_ticket(control):
    return control.expect(peer.OFFER).take(32)


def assert_silent(hop, seconds):
    hop.pipe.sock.settimeout(seconds)
    with pytest.raises(TimeoutError):
        hop.pipe.read(1)
    hop.pipe.sock.settimeout(10 * SLOWNESS)


def assert_joined(hop, circuit_hop):
    """CONNECTED comes, and what is then said on either side arrives at the other, and nothing else."""
    assert hop.expect(peer.CONNECTED).rest() == b"message 2"
    assert_carries(hop, circuit_hop)


def assert_carries(hop, circuit_hop):
    for one, other in ((hop, circuit_hop), (circuit_hop, hop)):
        one.pipe.write(b"the first bytes")
        assert other.pipe.read(15) == b"the first bytes"


def test_relay_is_quiet_until_the_answer(lab):
    """From CONNECT and OFFER until the answer the relay sends no PING on these hops, although its
    keepalive is over, and answers none: it would be the first bytes of the circuit."""
    hop, agent = lab
    parked = agent.hop(peer.AGENT_CIRCUIT)
    ask_for_a_circuit(hop)
    parked.expect(peer.OFFER)
    for one in (hop, parked):
        one.send(peer.PING, PING_BODY)
    assert_silent(hop, 6)
    assert_silent(parked, 0.1)
    parked.send(peer.ACCEPT, b"message 2")
    assert_joined(hop, parked)


class PingingRelay(peer.Relay):
    """Sends the client a PING in the time in which it is to be quiet, and waits for more than its
    keepalive."""

    def welcome(self, hop):
        return peer.welcome("peer", keepalive=5 if hop.role == peer.CLIENT else 60)

    def connected(self, hop, name, message1):
        hop.send(peer.PING, PING_BODY)
        assert_silent(hop, 6)
        hop.pipe.sock.settimeout(None)
        super().connected(hop, name, message1)


def test_client_is_quiet_until_the_answer(world, serve, echo):
    """The client neither sends a PING between CONNECT and CONNECTED nor answers one."""
    serve(
        PingingRelay, peer.Pair(world.key("relay").path), world.relay_address,
        agents={"lab-1": world.key("lab-1").raw},
    )  # fmt: skip
    world.start_agent()
    with world.start_client(*forwards(echo.port)).dial() as connection:
        assert ask(connection, b"hello") == b"hello"


class HastyRelay(peer.Relay):
    """Answers CONNECT as it should be, and LIST otherwise."""

    list_answers = ()

    def serve_client(self, hop):
        assert hop.receive()[0] == peer.LIST
        for kind, body in self.list_answers:
            hop.send(kind, body)
        kind, reader = hop.receive()
        assert kind == peer.CONNECT
        self.connected(hop, reader.text(), reader.rest())


@pytest.mark.parametrize("order", ["", "AE", "AAE", "EA", "EE", "A"])
def test_relay_answers_in_order(world, serve, echo, order):
    """The client takes AGENT and END before CONNECTED, and nothing out of turn: a key that the relay
    tells too late, or not before the list is over, was never compared."""
    relay = serve(HastyRelay, peer.Pair(world.key("relay").path), world.relay_address)
    entry = peer.agent_entry("lab-1", world.key("lab-1").raw)
    relay.list_answers = [{"A": (peer.AGENT, entry), "E": (peer.END, b"")}[letter] for letter in order]
    world.start_agent()
    client = world.start_client(*forwards(echo.port), connected=False)
    wrong = {"": "CONNECTED", "A": "CONNECTED", "EA": "AGENT", "EE": "END"}.get(order)
    client.expect(f"{wrong} out of turn" if wrong else "connected to agent lab-1")
    if wrong:
        client.wait_exit(OTHER)


def test_hop_after_a_refusal(lab):
    """After REFUSED the client's hop is as before: PING is answered again, and the next CONNECT is
    offered, on the hop that the agent had refused on."""
    hop, agent = lab
    parked = agent.hop(peer.AGENT_CIRCUIT)
    ask_for_a_circuit(hop)
    ticket = parked.expect(peer.OFFER).take(32)
    parked.send(peer.REFUSE, ticket + peer.refusal(peer.DENIED, "not you", message2=b"message 2"))
    reader = hop.expect(peer.REFUSED)
    assert (reader.number(2), reader.text()) == (peer.DENIED, "not you")
    assert hop.is_alive()
    ask_for_a_circuit(hop)
    parked.expect(peer.OFFER)
    parked.send(peer.ACCEPT, b"message 2")
    assert_joined(hop, parked)


def test_offer_is_made_again_on_a_new_control_hop(lab):
    """An OFFER that is not answered when the agent's control hop is replaced is made on the new one,
    with another ticket; the old one is good for nothing."""
    hop, agent = lab
    first = agent.hop(peer.CONTROL)
    ask_for_a_circuit(hop)
    old = take_ticket(first)
    ticket = take_ticket(agent.hop(peer.CONTROL))
    with pytest.raises(Refused) as refused:
        agent.hop(peer.AGENT_CIRCUIT, old)
    assert refused.value.code == peer.BAD_TICKET
    circuit_hop = agent.hop(peer.AGENT_CIRCUIT, ticket)
    circuit_hop.send(peer.ACCEPT, b"message 2")
    assert_joined(hop, circuit_hop)


@pytest.mark.parametrize("end", ["replaced", "lost"])
def test_hops_parked_beside_a_control_hop_that_ends(lab, end):
    """They are most likely as dead as that one, and go; one parked just now stays, and has the next
    OFFER."""
    hop, agent = lab
    control, old = agent.hop(peer.CONTROL), agent.hop(peer.AGENT_CIRCUIT)
    begun = time.monotonic()
    wait_for(lambda: old.is_alive() and time.monotonic() - begun > 5.5, 10, "it is 5 s old")
    young = agent.hop(peer.AGENT_CIRCUIT)
    if end == "replaced":
        agent.hop(peer.CONTROL)
        assert control.wait_end() == peer.REPLACED
    else:
        control.close()
    assert old.wait_end() == peer.DONE
    assert young.is_alive()
    ask_for_a_circuit(hop)
    young.expect(peer.OFFER)


def test_offer_on_a_parked_hop_that_is_lost(lab):
    """When the hop that an OFFER went out on is lost before the answer, the OFFER goes another way."""
    hop, agent = lab
    control, parked = agent.hop(peer.CONTROL), agent.hop(peer.AGENT_CIRCUIT)
    ask_for_a_circuit(hop)
    parked.expect(peer.OFFER)
    parked.close()
    circuit_hop = agent.hop(peer.AGENT_CIRCUIT, take_ticket(control))
    circuit_hop.send(peer.ACCEPT, b"message 2")
    assert_joined(hop, circuit_hop)


def test_bytes_behind_accept(lab):
    """Bytes that come from the agent in one piece with its ACCEPT are the circuit's, and go first."""
    hop, agent = lab
    parked = agent.hop(peer.AGENT_CIRCUIT)
    ask_for_a_circuit(hop)
    parked.expect(peer.OFFER)
    parked.pipe.write(parked.records.seal(bytes([peer.ACCEPT]) + b"message 2") + b"at once, ")
    assert hop.expect(peer.CONNECTED).rest() == b"message 2"
    parked.pipe.write(b"and later")
    assert hop.pipe.read(18) == b"at once, and later"


@pytest.mark.parametrize("first", ["client", "agent"])
def test_circuit_drains(lab, first):
    """When one side's stream ends, all that it said arrives with the end of file, the other direction
    is carried for 5 s more, and then both are closed."""
    hop, agent = lab
    parked = agent.hop(peer.AGENT_CIRCUIT)
    ask_for_a_circuit(hop)
    parked.expect(peer.OFFER)
    parked.send(peer.ACCEPT, b"message 2")
    assert_joined(hop, parked)
    one, other = (hop.pipe, parked.pipe) if first == "client" else (parked.pipe, hop.pipe)
    one.write(b"l" * 300000)
    one.sock.shutdown(socket.SHUT_WR)
    begun = time.monotonic()
    assert other.read_to_end() == b"l" * 300000
    other.write(b"still")
    assert one.read(5) == b"still"
    assert one.read_to_end() == b""
    assert 4 < time.monotonic() - begun < 8 * SLOWNESS


CIRCUITS_MOST = 32


@pytest.mark.time_limit(90)
def test_circuits_of_a_user_to_an_agent(world):
    """A user and an agent that work together hold 32 circuits at the relay: with each one more the
    oldest ends, for the rate of CONNECTs alone would give them every descriptor."""
    world.start_relay(Keepalive=60)  # nothing but an OFFER comes on the control hop
    agent = peer.Agent(
        peer.Pair(world.key("lab-1").path), "lab-1", world.relay_address, world.key("relay").raw
    )
    control = agent.hop(peer.CONTROL)

    def offered(hop):
        """Asks for a circuit; whether the relay offers it, which the rate of CONNECTs decides."""
        ask_for_a_circuit(hop)
        ready = select.select([hop.pipe.sock, control.pipe.sock], [], [], 10 * SLOWNESS)[0]
        if control.pipe.sock in ready:
            return True
        assert hop.expect(peer.REFUSED).number(2) == peer.FULL
        return False

    def join():
        hop = user(world).hop()
        wait_for(lambda: offered(hop), 10, "the rate allows one more")
        circuit_hop = agent.hop(peer.AGENT_CIRCUIT, take_ticket(control))
        circuit_hop.send(peer.ACCEPT, b"message 2")
        assert_joined(hop, circuit_hop)
        return hop, circuit_hop

    circuits = [join() for _ in range(CIRCUITS_MOST)]
    for circuit in circuits:
        assert_carries(*circuit)
    for _ in range(2):
        circuits.append(join())
        for side in circuits.pop(0):
            assert side.pipe.read_to_end() == b""
    for circuit in circuits:
        assert_carries(*circuit)


def assert_end_within_a_second(relay, *hops):
    """After SIGHUP these are closed."""
    relay.signal(signal.SIGHUP)
    until = time.monotonic() + 1 * SLOWNESS
    for hop in hops:
        hop.pipe.sock.settimeout(max(0.01, until - time.monotonic()))
        hop.pipe.read_to_end()  # TimeoutError: it is not


def test_revoked_within_a_second(world):
    """All that a relay has of a user, and then of an agent, ends within a second after their removal:
    idle hops, circuits (both sides), a CONNECT under way, a dial under way, and hops that have not
    finished their handshake. Others are not touched."""
    users, agents = {"alice": "*", "bob": "*"}, {"lab-1": {}}
    dialled = socket.create_server((LOOPBACK, 0))
    dial = {"Dial": f"tcp:{LOOPBACK}:{dialled.getsockname()[1]}"}
    relay = world.start_relay(users=users, agents={"lab-1": {}, "lab-2": dial})
    address, public = world.relay_address, world.key("relay").raw
    own = peer.Pair(world.key("lab-1").path)
    agent = peer.Agent(own, "lab-1", address, public)
    alice, bob = user(world), user(world, "bob")

    def circuit(of):
        hop, parked = of.hop(), agent.hop(peer.AGENT_CIRCUIT)
        ask_for_a_circuit(hop)
        parked.expect(peer.OFFER)
        parked.send(peer.ACCEPT, b"message 2")
        assert_joined(hop, parked)
        return hop, parked

    def dials(of):
        hop = of.hop()
        hop.send(peer.CONNECT, string("lab-2") + os.urandom(200))
        connection = peer.Pipe(dialled.accept()[0])
        connection.read_first_message()
        return hop, types.SimpleNamespace(pipe=connection)

    alices, bobs = circuit(alice), circuit(bob)
    idle, waits = alice.hop(), alice.hop()
    greeted = peer.Hop.greet(address, alice.own, public, peer.CLIENT)
    dialling = dials(alice)
    control = agent.hop(peer.CONTROL)
    ask_for_a_circuit(waits)
    offered = control.expect(peer.OFFER)
    world.relay_conf(users={"bob": "*"}, agents={"lab-1": {}, "lab-2": dial})
    assert_end_within_a_second(relay, *alices, idle, waits, greeted, *dialling)
    assert offered and control.is_alive()
    assert_carries(*bobs)

    parked, greeted = agent.hop(peer.AGENT_CIRCUIT), peer.Hop.greet(address, own, public, peer.CONTROL)
    dialling, idle = dials(bob), bob.hop()
    world.relay_conf(users={"bob": "*"}, agents={"lab-3": {}})
    assert_end_within_a_second(relay, *bobs, control, parked, greeted, dialling[1])
    assert idle.is_alive()
    dialled.close()


class NamingRelay(peer.Relay):
    """Offers with the key of another user than the one that connects."""

    def connected(self, hop, name, message1):
        hop.peer_key = self.named
        super().connected(hop, name, message1)


def test_relay_that_names_another_user(world, serve):
    """A relay that says of one user's CONNECT that it is another's, allowed as well, gets a refusal:
    the agent goes by the key that is proven."""
    relay = serve(NamingRelay, peer.Pair(world.key("relay").path), world.relay_address)
    relay.named = world.key("bob").raw
    agent = world.start_agent(users={"alice": "tcp:*:*", "bob": "tcp:*:*"})
    with pytest.raises(Refused) as refused:
        user(world).connect()
    assert refused.value.agents_word and refused.value.code == peer.DENIED
    assert refused.value.text == "the relay names another key than the user proves"
    agent.expect(r"refused: the relay names .*the key is " + re.escape(world.key("alice").fingerprint))
    relay.named = world.key("alice").raw
    user(world).connect().finish()
    agent.expect(r"accepted user alice")


CARRIER_OPTIONS = {
    (socket.IPPROTO_TCP, socket.TCP_NODELAY): 1,
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE): 1,
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): 30,
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): 10,
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): 3,
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT): 20000,
    (socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT): 128 << 10,
}


@pytest.mark.parametrize("dialled", [False, True], ids=["calls home", "is dialled"])
def test_kernel_watches_every_carrier(world, dialled):
    """Hops and both halves of a circuit, at all three parties, while nothing is forwarded: each
    connection has the options of section 4."""
    address = endpoint(LOOPBACK, free_port())
    agents = {"lab-1": {"Dial": f"tcp:{address}"} if dialled else {}}
    relay = world.start_relay(agents=agents)
    agent = world.start_agent(
        online=not dialled, relay="" if dialled else None, listen=address if dialled else None
    )
    client = world.start_client(*forwards(9))
    expected = {relay: 2, agent: 1, client: 1} if dialled else {relay: 4, agent: 3, client: 1}
    for program, count in expected.items():

        def all_watched():
            """A connection has its options once its peer is known, a moment after it is there."""
            found = program.connections()
            options = [{option: one.getsockopt(*option) for option in CARRIER_OPTIONS} for one in found]
            for one in found:
                one.close()
            return options == [CARRIER_OPTIONS] * count

        wait_for(all_watched, 10, f"{program.name} has {count} connections, all with the options")
