"""Lost circuits, relays, agents and clients come back by themselves. A session outlives its
circuits; what cannot be carried on ends with a reset, never with an end of file."""
import signal
import subprocess

import pytest

import peer
from harness import LOOPBACK, OK, endpoint, forwards, stays_false, wait_for
from proxy import Proxy
from servers import EchoServer, Target, ask, assert_works, echo_to_end, greet, read_to_end

WAITS = r"circuit {}: lost: .+; the session of alice waits up to {} s for its client"


@pytest.fixture
def target(serve):
    return serve(Target, echo_to_end)


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("side", ["client", "agent"])
def test_circuit_is_cut(world, target, serve, side, how):
    """The link of the client or of the agent breaks, orderly or not: the session goes on over the
    next circuit, application and target notice nothing, and both ends and their logs agree."""
    world.start_relay()
    proxy = serve(Proxy, world.relay_address)
    agent = world.start_agent(relay=proxy.address if side == "agent" else None)
    client = world.start_client(
        *forwards(target.port), relay=proxy.address if side == "client" else None
    )
    first = client.connected()
    with greet(client) as connection:
        proxy.cut(how)
        assert ask(connection, b"after the cut") == b"after the cut"
        client.lost()
        agent.expect(WAITS.format(first, 600))
        circuit = client.resumed()[1]
        agent.expect(
            rf"circuit {circuit}: resumes the session of circuit {first}, user alice, after "
        )
    assert target.outcome() == "eof"
    assert_works(client, target)
    assert len(client.lines(client.CONNECTED)) == 1


def test_circuit_is_lost_before_its_start(world, target):
    """The client has the agent's answer, and the circuit ends before its START has come: it may hold
    what applications have said, so it finds its session again."""
    world.start_relay()
    agent = world.start_agent()
    client = peer.Client(
        peer.Pair(world.key("alice").path), world.relay_address, world.key("relay").raw, "lab-1",
        world.key("lab-1").raw,
    )  # fmt: skip
    sessions = [peer.Session() for _ in range(2)]
    for number, session in enumerate(sessions, 1):
        client.connect(session, start=False).close()
        agent.expect(WAITS.format(r"\S+", 600), count=number)
    for session in sessions:
        circuit = client.connect(session)
        circuit.open(f"tcp:{LOOPBACK}:{target.port}")
        assert circuit.ask(b"hello") == b"hello"
        circuit.finish()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["ended", "killed"])
def test_relay_restarted(world, target, number):
    """The relay ends, or is killed, and comes back: the agent comes online again, the client has
    its next circuit, and open connections go on, all of it without a hand."""
    relay, agent, client = world.start_all(target.port)
    with greet(client) as connection:
        if number == signal.SIGTERM:
            relay.signal(number)
            relay.wait_exit(OK)
        else:
            relay.kill()
        client.lost()
        relay = world.start_relay(conf=world.relay_conf())
        relay.expect(r"agent lab-1 online", seconds=40)
        agent.expect(r"online at relay", count=2)
        client.resumed()
        assert ask(connection, b"after the restart") == b"after the restart"
    assert target.outcome() == "eof"
    assert_works(client, target)


def test_relay_restarted_under_eight_sessions(world, serve):
    """Eight -W of one user are all without a circuit at once when the relay is killed: each of them
    goes on when it is back."""
    relay, agent = world.start_relay(), world.start_agent()
    echo, conf, pipes = serve(EchoServer), world.client_conf(), []

    def answers(client, text):
        client.process.stdin.write(text)
        client.process.stdin.flush()
        assert client.process.stdout.read(len(text)) == text

    for _ in range(8):
        pipes.append(
            world.start_client(
                "-W", endpoint(LOOPBACK, echo.port), connected=False, conf=conf,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )
        )  # fmt: skip
        answers(pipes[-1], b"before")
    relay.kill()
    agent.expect(r"lost: .+; the session of alice waits", count=8)
    world.start_relay(conf=world.relay_conf())
    for client in pipes:
        answers(client, b"after the restart")
        client.process.stdin.close()
        client.wait_exit(OK)


def test_agent_killed(world, target):
    """The agent dies: the target sees a reset, and the relay says that it is offline. Started anew it
    does not know the session: the application sees a reset, the client says why and begins another
    session."""
    relay, agent, client = world.start_all(target.port)
    with greet(client) as connection:
        agent.kill()
        relay.expect(r"agent lab-1 offline: ")
        client.lost()
        world.start_agent()
        assert read_to_end(connection) == (b"", "reset")
    assert target.outcome() == "reset"
    client.expect(r"the session has ended: .*the agent was restarted")
    client.connected(count=2, seconds=40)
    assert_works(client, target)


def test_agent_ends(world, target):
    """An agent that is told to end says so: the application sees a reset at once, the client says
    why, and begins another session when the agent is back."""
    relay, agent, client = world.start_all(target.port)
    with greet(client) as connection:
        agent.signal(signal.SIGTERM)
        assert read_to_end(connection) == (b"", "reset")
    agent.wait_exit(OK)
    relay.expect(r"agent lab-1 offline: ")
    client.expect(r"the session has ended: .*the agent is ending")
    assert target.outcome() == "reset"
    world.start_agent()
    client.connected(count=2, seconds=40)


def test_client_killed(world, target):
    """The client dies: the relay ends the circuit, the agent keeps the session for its resume
    window, then the target sees a reset; the next client is served meanwhile."""
    relay = world.start_relay()
    agent = world.start_agent(ResumeWindow=2)
    client = world.start_client(*forwards(target.port))
    circuit = client.connected()
    connection = greet(client)
    client.kill()
    relay.expect(rf"circuit {circuit}: ended: ")
    agent.expect(WAITS.format(circuit, 2))
    connection.close()
    with greet(world.start_client(*forwards(target.port))):
        assert target.outcome() == "reset"
    agent.expect(rf"circuit {circuit}: ended: no circuit came back within the resume window")
    assert target.outcome() == "eof"


def test_client_interrupted(world, target):
    """Ctrl-C: exit code 130, one line that says why it ended and what was carried; application and
    target see a reset; relay and agent say that the user ended it."""
    relay, agent, client = world.start_all(target.port)
    circuit = client.connected()
    connection = greet(client)
    client.signal(signal.SIGINT)
    client.wait_exit(130)
    assert read_to_end(connection) == (b"", "reset")
    assert target.outcome() == "reset"
    summary = client.expect(
        r"ended: (.+); (\d+) streams?, (\S+(?: \S+)?) up, (\S+(?: \S+)?) down, (\S+.*)$"
    )
    assert summary[2] == "1"
    assert summary[3].startswith("5") and summary[4].startswith("5")
    relay.expect(rf"circuit {circuit}: ended: ")
    agent.expect(rf"circuit {circuit}: ended: ")


def test_interrupted_before_it_connected(world):
    """Ctrl-C while the client still tries to reach its relay: exit code 130 at once."""
    client = world.start_client(*forwards(9), connected=False)
    client.address()
    client.signal(signal.SIGINT)
    client.wait_exit(130, seconds=3)
    assert client.lines(r"ended: ")


def test_idle_costs_nothing(world, echo, serve):
    """With nothing to carry nothing passes between the parties between two keepalives, but for one
    PING 3 s after the last bytes, and none of the three uses the processor."""
    world.start_relay()
    proxy = serve(Proxy, world.relay_address)
    agent = world.start_agent(relay=proxy.address)
    client = world.start_client(*forwards(echo.port), relay=proxy.address)
    with client.dial() as connection:
        ask(connection, b"hello" * 1000)
        seen = [-1]

        def settled():
            before, seen[0] = seen[0], proxy.total()
            return before == seen[0]

        stays_false(lambda: False, 4.5, "acknowledgements pass, and a PING after the silence")
        wait_for(settled, 5, "all that is owed has passed")
        programs = [program for program in world.programs]
        before = [program.cpu_seconds() for program in programs]
        total = proxy.total()
        stays_false(lambda: proxy.total() != total, 5, "bytes pass although nothing is carried")
        for program, used in zip(programs, before):
            assert program.cpu_seconds() - used <= 0.05, program.name
        assert ask(connection, b"after") == b"after"
        assert agent.pid and client.pid


def test_keepalive_keeps_hops_and_circuit(world, echo, serve):
    """With a keepalive of 5 s, pings pass on the agent's idle hops; nothing goes offline, the
    circuit stays, and a hop parked meanwhile is still good for the next circuit."""
    relay = world.start_relay(Keepalive=5)
    proxy = serve(Proxy, world.relay_address)
    world.start_agent(relay=proxy.address)
    proxy.wait_proven(2)
    client = world.start_client(*forwards(echo.port))
    with client.dial() as connection:
        ask(connection, b"hello")
        proxy.wait_proven(3)
        control, circuit, parked = proxy.connections
        before = [dict(hop.passed) for hop in (control, parked)]

        def pinged_twice():
            now = [hop.passed for hop in (control, parked)]
            return all(n[way] >= b[way] + 40 for n, b in zip(now, before) for way in b)

        wait_for(pinged_twice, 20, "pings and their answers pass on the control and parked hop")
        assert not circuit.ended
        assert ask(connection, b"still") == b"still"
    assert not relay.lines(r"offline")
    second = world.start_client(*forwards(echo.port))
    relay.expect(rf"circuit {second.connected()}: .*over a connection kept ready")
    with second.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
