"""The effects of signals, with peers that answer and peers that do not."""
import re
import signal
import time

import pytest

from harness import INTERRUPTED, OK, stays_false
from servers import Target, ask, assert_works, echo_to_end, greet, read_to_end


@pytest.fixture
def target(serve):
    return serve(Target, echo_to_end)


@pytest.mark.parametrize(
    "number, why", [(signal.SIGTERM, "told to end"), (signal.SIGINT, "interrupted")]
)
@pytest.mark.parametrize("role", ["relay", "agent"])
def test_first_and_last_line(world, role, number, why):
    """A service tells in the same words that it has started, and why it has ended."""
    relay, agent = world.start_relay(), world.start_agent()
    service = relay if role == "relay" else agent
    service.expect(r"info +%s: started: spx \d" % role)
    service.signal(number)
    service.wait_exit(OK)
    assert re.search(r"info +%s: ended: %s$" % (role, why), service.log().rstrip().split("\n")[-1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_client_ended_by_another_signal(world, target, number):
    """SIGTERM, and SIGHUP (with which ssh tells its ProxyCommand that it is done), do what Ctrl-C
    does. The connections that this ends are told of, without a warning."""
    agent, client = world.start_all(target.port)[1:]
    connection = greet(client)
    client.signal(number)
    client.wait_exit(INTERRUPTED)
    assert read_to_end(connection) == (b"", "reset")
    assert client.lines(r"info .*target \S+ at lab-1: the session is over: ended by the user")
    assert not client.lines(r" (warn|error) ")
    agent.expect(r"circuit \S+: ended: ended by the user")


def test_client_under_nohup(world, target):
    """A client that was started with SIGHUP ignored, as under nohup, goes on."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        client = world.start_all(target.port)[2]
    finally:
        signal.signal(signal.SIGHUP, before)
    with greet(client) as connection:
        client.signal(signal.SIGHUP)
        assert ask(connection, b"still here") == b"still here"
        stays_false(client.ended, 0.3, "the client ends")


@pytest.mark.parametrize("times", [1, 2])
def test_client_interrupted_while_the_agent_is_silent(world, target, times):
    """The agent does not acknowledge the end: the client waits 3 s for it, or ends at once when it is
    interrupted again."""
    agent, client = world.start_all(target.port)[1:]
    assert_works(client, target)
    agent.signal(signal.SIGSTOP)
    begun = time.monotonic()
    client.signal(signal.SIGINT)
    stays_false(client.ended, 0.5, "the client does not wait for its agent")
    if times == 2:
        client.signal(signal.SIGINT)
    client.wait_exit(INTERRUPTED, seconds=8)
    assert (time.monotonic() - begun < 2.5) == (times == 2)
    agent.signal(signal.SIGCONT)


def test_agent_ended_while_a_client_is_silent(world, target):
    """A client does not acknowledge the end of its session: the agent ends after 3 s all the same."""
    agent, client = world.start_all(target.port)[1:]
    assert_works(client, target)
    client.signal(signal.SIGSTOP)
    agent.signal(signal.SIGTERM)
    stays_false(agent.ended, 1.5, "the agent does not wait for its client")
    agent.wait_exit(OK, seconds=8)
    client.signal(signal.SIGCONT)


def test_status(world, target):
    """SIGUSR1 has each role write its status to the log, and end by nothing."""
    relay, agent, client = world.start_all(target.port)
    circuit = client.connected()
    with greet(client) as connection:
        for program, line in [
            (relay, r"status: 1 of 1 users connected, 1 of 1 agents online, circuits: 1, connects "),
            (agent, r"status: online at 1 of 1 relays called, 1 session$"),
            (agent, rf"status: circuit {circuit}: user alice, connected, 1 stream opened, "),
            (client, r"status: lab-1: connected \| round trip .* \| 1 stream \| "),
        ]:
            program.signal(signal.SIGUSR1)
            program.expect(rf" info +\S+: {line}")
        assert ask(connection, b"still here") == b"still here"
