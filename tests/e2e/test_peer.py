"""The peer that was written from docs/PROTOCOL.md alone talks to the real program, in each of the
three roles: the document says enough, and the program does what it says."""
import pytest

import peer
from harness import LOOPBACK, forwards
from noise import AES, CHACHA
from servers import ask

SUITES = pytest.mark.parametrize("suite", [AES, CHACHA], ids=["AES-GCM", "ChaCha20-Poly1305"])


def pair(world, name):
    return peer.Pair(world.key(name).path)


def peer_client(world, user="alice", suite=CHACHA):
    return peer.Client(
        pair(world, user), world.relay_address, world.key("relay").raw, "lab-1",
        world.key("lab-1").raw, suite=suite,
    )  # fmt: skip


def target(echo):
    return f"tcp:{LOOPBACK}:{echo.port}"


@SUITES
def test_as_client(world, echo, suite):
    """Lists, connects, opens a stream, resumes on another circuit, closes; the three parties call
    the circuit by one name."""
    relay, agent = world.start_relay(), world.start_agent()
    client = peer_client(world, suite=suite)
    assert client.list() == ["lab-1"]
    circuit = client.connect()
    name = peer.circuit_name(circuit.message1)
    relay.expect(rf"circuit {name}: joined")
    agent.expect(rf"circuit {name}: accepted user alice")
    assert circuit.open(target(echo)) >= circuit.session.early_credit
    assert circuit.ask(b"hello") == b"hello"
    circuit.close()
    circuit = client.connect(circuit.session)
    assert circuit.ask(b"again") == b"again"
    circuit.finish()
    agent.expect(rf"circuit {peer.circuit_name(circuit.message1)}: ended: finished")


@SUITES
@pytest.mark.parametrize("way", ["parked", "ticket"])
def test_as_agent(world, suite, way):
    """Calls home, takes a session of a real client on its parked hop, or by a ticket, and serves
    it."""
    world.start_relay()
    agent = peer.Agent(
        pair(world, "lab-1"), "lab-1", world.relay_address, world.key("relay").raw, suite
    )
    control = agent.hop(peer.CONTROL)
    assert control.name == "lab-1"
    parked = agent.hop(peer.AGENT_CIRCUIT) if way == "parked" else None
    client = world.start_client(*forwards(9), connected=False)
    circuit = agent.take_offer(parked) if parked else agent.take_ticket(control)
    serving = peer.threading.Thread(target=peer.serve_echo, args=(circuit,), daemon=True)
    serving.start()
    assert client.connected() == peer.circuit_name(circuit.message1)
    with client.dial() as connection:
        assert ask(connection, b"hello" * 1000) == b"hello" * 1000
    client.stop()
    serving.join(10)
    assert not serving.is_alive()
    control.close()


def test_as_relay(world, serve, echo):
    """Joins a real client and a real agent, and a session that is resumed."""
    relay = serve(
        peer.Relay, pair(world, "relay"), world.relay_address,
        agents={"lab-1": world.key("lab-1").raw},
    )  # fmt: skip
    world.start_agent()
    client = world.start_client(*forwards(echo.port))
    with client.dial() as connection:
        assert ask(connection, b"hello" * 100000) == b"hello" * 100000
        relay.cut()
        client.resumed()
        assert ask(connection, b"again") == b"again"


def test_as_relay_and_agent(world, serve):
    """One process that is both, for the tests of a client."""
    site = serve(
        peer.Site, pair(world, "relay"), peer.Agent(pair(world, "lab-1"), "lab-1"),
        address=world.relay_address,
    )  # fmt: skip
    client = world.start_client(*forwards(9))
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
        site.cut()
        client.resumed()
        assert ask(connection, b"again") == b"again"
