"""Relay, agent and client under valgrind: no invalid access, no leak, and no byte sent that was never
set, over a connect, 100 streams, a clean end, and against peers that break the protocol."""
import re
import shutil
import signal
from pathlib import Path

import pytest

import harness
import peer
import test_hostile
from harness import LOOPBACK, SPX_GLIBC, endpoint, forwards, free_port, is_sanitized, wait_for
from servers import ask, read_to_end
from test_hostile import pair, user_client
from test_limits import SlowRelay

# A fault that it tells is looked into with --track-origins=yes, which takes a quarter more time.
VALGRIND = [
    "valgrind",
    f"--error-exitcode={harness.SANITIZER_CODE}",
    "--leak-check=full",
    "--errors-for-leak-kinds=definite,possible",
    "--show-leak-kinds=definite,possible",
]


@pytest.fixture
def checked(world, monkeypatch):
    """A world whose programs run under valgrind, from the build with glibc."""
    if not shutil.which("valgrind"):
        pytest.skip("valgrind is not there: install it")
    if is_sanitized(SPX_GLIBC) or is_sanitized(harness.SPX):
        pytest.skip("the build has sanitizers, which do not run under valgrind")
    assert Path(SPX_GLIBC).exists(), f"{SPX_GLIBC} is not there: make it, or name it in SPX_GLIBC"
    monkeypatch.setattr(harness, "SLOWNESS", 6)
    world.binary = [*VALGRIND, SPX_GLIBC]
    return world


def assert_clean(program):
    """Its summary is there and tells of no error and no lost memory."""
    assert "ERROR SUMMARY: 0 errors" in program.log(), program.tail(60)
    for kind in ("definitely", "indirectly", "possibly"):
        found = re.search(rf"{kind} lost: ([\d,]+) bytes", program.log())
        assert not found or found[1] == "0", program.tail(60)


def hundred_streams(client):
    """100 streams, open at once, each with an answer; most end cleanly, some with a reset."""
    connections = [client.dial() for _ in range(100)]
    for number, connection in enumerate(connections):
        connection.sendall(b"%d" % number * 50)
    for number, connection in enumerate(connections):
        if number % 10 == 9:
            continue
        connection.shutdown(harness.socket.SHUT_WR)
        assert read_to_end(connection) == (b"%d" % number * 50, "eof")
    for connection in connections:
        connection.close()


@pytest.mark.time_limit(150)
def test_connect_streams_and_end(checked, echo, serve):
    """Relay, agent and client: connect, 100 streams of which ten are broken off, a target that
    refuses, a second client that is refused, the client's end by Ctrl-C, the others' by SIGTERM."""
    world = checked
    relay, agent = world.start_relay(), world.start_agent()
    client = world.start_client(*forwards(echo.port, harness.free_port()))
    hundred_streams(client)
    with client.dial(1) as connection:
        assert read_to_end(connection)[1] == "reset"
    refused = world.start_client(*forwards(echo.port), user="mallory", connected=False)
    refused.wait_exit(harness.NOT_AUTHENTICATED)
    client.signal(signal.SIGINT)
    client.wait_exit(harness.INTERRUPTED)
    for program in (agent, relay):
        program.signal(signal.SIGTERM)
        program.wait_exit(harness.OK)
    for program in (relay, agent, client, refused):
        assert_clean(program)


@pytest.mark.time_limit(120)
def test_circuit_lost_and_made_again(checked, echo):
    """The relay is restarted: agent and client lose their circuit and carry the session on over the
    next, and no memory is lost, or touched after it was freed; SIGHUP reads the files again."""
    world = checked
    relay, agent = world.start_relay(), world.start_agent()
    client = world.start_client(*forwards(echo.port))
    with client.dial() as connection:
        ask(connection, b"hello")
        relay.signal(signal.SIGTERM)
        relay.wait_exit(harness.OK)
        again = world.start_relay()
        ask(connection, b"hello again")
        client.resumed()
    for program in (again, agent):
        program.signal(signal.SIGHUP)
    with client.dial() as connection:
        ask(connection, b"hello")
    for program, number, code in (
        (client, signal.SIGINT, 130),
        (agent, signal.SIGTERM, 0),
        (again, signal.SIGTERM, 0),
    ):
        program.signal(number)
        program.wait_exit(code)
        assert_clean(program)
    assert_clean(relay)


def test_relays_change_while_a_circuit_is_on_its_way(checked, serve):
    """An agent of two relays loads another configuration while the hop for an OFFER that it has
    accepted waits at the second one: both relays' hops are given up, and the session is without its
    circuit then."""
    world, second = checked, endpoint(LOOPBACK, free_port())
    more = [(second, "relay-2")]
    serve(SlowRelay, pair(world, "relay"), world.relay_address)
    relay = serve(SlowRelay, pair(world, "relay-2"), second)
    agent = world.start_agent(more_relays=more)
    client, control = user_client(world), relay.wait_control()
    relay.next_parked()
    _, message1 = client.message1(peer.Session())
    offer = b"a ticket".ljust(32) + peer.string("alice") + client.own.public
    control.send(peer.OFFER, offer + peer.string("127.0.0.1:1") + peer.string(message1))
    wait_for(lambda: relay.tickets, 20, "the hop for it waits")
    world.agent_conf(more_relays=more, Labels="rack=9")
    agent.signal(signal.SIGHUP)
    agent.expect("its connection to the relay was lost")
    agent.expect("online at relay", count=4)
    agent.signal(signal.SIGTERM)
    agent.wait_exit(harness.OK)
    assert_clean(agent)


# Hostile peers: every third case of test_hostile's tables, which is what the time allows. Nothing that
# is sent to such a peer, above all no text, holds a byte that was never set.

EACH = 3
HOSTILE = [
    test_hostile.test_frames_to_an_agent,
    test_hostile.test_payloads_to_an_agent,
    test_hostile.test_messages_to_a_relay,
    test_hostile.test_messages_to_an_agent,
]


def serves_a_peer(world, echo, user="alice"):
    """As test_hostile's, without one more program under valgrind."""
    circuit = user_client(world, user).connect()
    circuit.open(test_hostile.tcp(echo))
    assert circuit.ask(b"hello") == b"hello"
    circuit.finish()


@pytest.fixture
def fewer(monkeypatch):
    monkeypatch.setattr(test_hostile, "assert_serves", serves_a_peer)
    for name, table in vars(test_hostile).copy().items():
        if name.isupper() and isinstance(table, dict):
            monkeypatch.setattr(test_hostile, name, dict(list(table.items())[::EACH]))


def assert_all_clean(world):
    for program in world.programs:
        if not program.ended():
            program.signal(signal.SIGTERM)
            wait_for(program.ended, 20, f"{program.log_path.stem} ends")
        program.collected = True
        assert_clean(program)


@pytest.mark.time_limit(150)
@pytest.mark.parametrize("attack", HOSTILE, ids=lambda test: test.__name__[len("test_") :])
def test_hostile_peers(checked, echo, fewer, attack):
    attack(checked, echo)
    assert_all_clean(checked)


site = test_hostile.site


@pytest.mark.time_limit(150)
def test_hostile_agent(checked, site):
    test_hostile.test_frames_to_a_client(checked, site, "OPEN without LISTEN")
    assert_all_clean(checked)
