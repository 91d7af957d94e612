"""A session outlives what carries it: applications see a pause, and no byte is lost, doubled or put
elsewhere; and where it cannot be carried on, they never take its end for the end of their data."""
import ctypes
import os
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

import servers
from harness import (
    DENIED,
    LOOPBACK,
    OK,
    SLOWNESS,
    SPX,
    TIMED_OUT,
    endpoint,
    forwards,
    free_port,
    run,
    stays_false,
    wait_for,
)
from proxy import DOWN, UP, Proxy
from servers import Count, Target, Task, ask, echo_to_end, exchange, read_exactly, read_to_end

MIB = 1 << 20
soak = pytest.mark.soak


class Transfer:
    """Size bytes go each way at the same time through a client's first forward; check() waits for
    the end and compares both checksums."""

    def __init__(self, serve, size):
        self.size = size
        self.seen = Count()
        self.target = serve(Target, lambda c: exchange(c, size, 1), seconds=300)

    def start(self, client):
        self.connection = client.dial(seconds=300)
        self.task = Task(exchange, self.connection, self.size, 2, self.seen)

    def wait_part(self, part):
        """Waits until this part of it has come back."""
        wait_for(
            lambda: self.seen.bytes >= part * self.size or self.task.done,
            120,
            f"{part:.0%} of the transfer is done",
        )
        assert not self.task.done, "the transfer is done before anything happened to it"

    def check(self, seconds=100):
        sent, size, received = self.task.result(seconds)
        assert (sent, self.size, received) == self.expected(size)
        self.connection.close()

    def expected(self, size):
        sent, got, received = self.target.outcome()
        assert (size, got) == (self.size, self.size)
        return received, self.size, sent


@pytest.fixture
def target(serve):
    return serve(Target, echo_to_end)


@pytest.fixture
def near(world, serve):
    """A relay, an agent, and a proxy on the client's side of the relay."""
    world.start_relay()
    world.agent = world.start_agent()
    return serve(Proxy, world.relay_address, recording=False)


def cut_off(proxy, client, count=1):
    """Cuts the client's link and lets it build no other."""
    proxy.refusing = True
    proxy.cut()
    client.lost(count)


# ---- What a session survives. ----


@pytest.mark.parametrize(
    "size, kills",
    [
        pytest.param(256 * MIB, 3, id="256-MiB", marks=pytest.mark.time_limit(120)),
        pytest.param(2048 * MIB, 10, id="2-GiB", marks=[soak, pytest.mark.time_limit(900)]),
    ],
)
def test_relay_killed_during_a_transfer(world, serve, dice, size, kills):
    """The relay is killed without a word and started again while data goes both ways."""
    transfer = Transfer(serve, size // SLOWNESS)
    relay, _, client = world.start_all(transfer.target.port)
    transfer.start(client)
    for kill in range(kills):
        transfer.wait_part((kill + dice.random()) / (kills + 1))
        relay.kill()
        relay = world.start_relay(conf=world.directory / "relay.conf")
        client.resumed(kill + 1, seconds=90)
    transfer.check()
    assert len(client.lines(client.CONNECTED)) == 1


@pytest.mark.parametrize("direction", [UP, DOWN])
@pytest.mark.parametrize("side", ["client", "agent"])
def test_link_cut_at_random_offsets(world, serve, dice, side, direction):
    """The client's or the agent's link breaks at any byte, orderly or not."""
    transfer = Transfer(serve, 64 * MIB)
    world.start_relay()
    proxy = serve(Proxy, world.relay_address, recording=False)
    world.start_agent(relay=proxy.address if side == "agent" else None)
    client = world.start_client(
        *forwards(transfer.target.port), relay=proxy.address if side == "client" else None
    )
    transfer.start(client)
    for cut in range(3):
        proxy.cut_after(direction, dice.randrange(12 * MIB), dice.choice(["fin", "reset"]))
        client.resumed(cut + 1)
    transfer.check()


@pytest.mark.parametrize("side", ["client", "agent"])
def test_link_cut_again_while_resuming(world, serve, dice, side):
    """The link breaks again within the handshakes of the next circuit, or just behind them."""
    transfer = Transfer(serve, 32 * MIB)
    world.start_relay()
    proxy = serve(Proxy, world.relay_address, recording=False)
    world.start_agent(relay=proxy.address if side == "agent" else None)
    client = world.start_client(
        *forwards(transfer.target.port), relay=proxy.address if side == "client" else None
    )
    transfer.start(client)
    transfer.wait_part(0.1)
    proxy.cut()
    for _ in range(3):
        proxy.cut_after(dice.choice([UP, DOWN]), 1 + dice.randrange(900), "reset")
        wait_for(lambda: not proxy.fuse, 30, "the link has been cut again")
    transfer.check()


def two_relays(world):
    """Two relays, (address, name of the key) of each, and their processes."""
    places = [(world.relay_address, "relay"), (endpoint(LOOPBACK, free_port()), "relay-2")]
    return places, [world.start_relay(name=key, listen=address) for address, key in places]


def test_next_relay_takes_over(world, target):
    """Client and agent know two relays: when the one in use is killed the session goes on through
    the other, there and back again."""
    places, relays = two_relays(world)
    agent = world.start_agent(more_relays=places[1:])
    agent.expect(r"online at relay", count=2)
    client = world.start_client(*forwards(target.port), more_relays=places[1:])
    with client.dial() as connection:
        assert ask(connection, b"first") == b"first"
        relays[0].kill()
        assert ask(connection, b"second") == b"second"
        assert client.resumed()[0] == places[1][0]
        world.start_relay(conf=world.directory / "relay.conf")
        agent.expect(r"online at relay", count=3, seconds=40)
        relays[1].kill()
        assert ask(connection, b"first again") == b"first again"
        assert client.resumed(2)[0] == places[0][0]
    assert target.outcome() == "eof"


def test_relay_that_refuses(world, target):
    """The relay in use does not know the agent any more: the session goes on through the other."""
    places, relays = two_relays(world)
    agent = world.start_agent(more_relays=places[1:])
    agent.expect(r"online at relay", count=2)
    client = world.start_client(*forwards(target.port), more_relays=places[1:])
    with client.dial() as connection:
        assert ask(connection, b"first") == b"first"
        world.relay_conf(agents={})
        relays[0].signal(signal.SIGHUP)
        assert ask(connection, b"second") == b"second"
        assert client.resumed()[0] == places[1][0]


def test_relay_is_removed_at_the_agent(world, target):
    """The agent's configuration has the relay in use no longer: its circuit ends within a second,
    and the session waits for another."""
    places, relays = two_relays(world)
    agent = world.start_agent(more_relays=places[1:])
    agent.expect(r"online at relay", count=2)
    client = world.start_client(*forwards(target.port), more_relays=places[1:])
    with client.dial() as connection:
        assert ask(connection, b"first") == b"first"
        world.agent_conf(relay=places[1][0], relay_key=places[1][1])
        agent.signal(signal.SIGHUP)
        agent.expect("lost: its relay is no longer in the configuration", seconds=1)
        relays[0].expect("ended: (agent|both sides) closed")
        client.lost()


@soak
@pytest.mark.time_limit(90)
def test_relay_that_lost_the_agent(world, serve, target):
    """The agent is cut off from the relay in use, and on another one still: the session goes on
    there when the first one has waited for the agent in vain."""
    places, _ = two_relays(world)
    proxy = serve(Proxy, places[0][0])
    agent = world.start_agent(relay=proxy.address, more_relays=places[1:])
    agent.expect(r"online at relay", count=2)
    client = world.start_client(*forwards(target.port), more_relays=places[1:])
    with client.dial(seconds=60) as connection:
        assert ask(connection, b"first") == b"first"
        proxy.refusing = True
        proxy.cut()
        assert ask(connection, b"second") == b"second"
        assert client.resumed()[0] == places[1][0]


@pytest.mark.parametrize(
    "seconds",
    [5, pytest.param(60, marks=[soak, pytest.mark.time_limit(180)])],
)
def test_client_stopped_and_continued(world, serve, seconds):
    """The client does not run for a while, as on a computer that sleeps, during a transfer. The
    circuit outlives a short while, and not a long one."""
    transfer = Transfer(serve, 96 * MIB)
    _, agent, client = world.start_all(transfer.target.port)
    transfer.start(client)
    transfer.wait_part(0.3)
    client.signal(signal.SIGSTOP)
    try:
        stays_false(lambda: transfer.task.done, seconds, "the transfer goes on without its client")
    finally:
        client.signal(signal.SIGCONT)
    transfer.check()
    if seconds > 30:
        agent.expect(r"lost: .*; the session of alice waits")
        client.resumed()
    assert len(client.lines(client.CONNECTED)) == 1


def test_client_stopped_while_its_link_is_cut(world, serve, near):
    """The same when the network has forgotten the computer that sleeps."""
    transfer = Transfer(serve, 96 * MIB)
    client = world.start_client(*forwards(transfer.target.port), relay=near.address)
    transfer.start(client)
    transfer.wait_part(0.3)
    client.signal(signal.SIGSTOP)
    try:
        near.cut()
        world.agent.expect(r"lost: .*; the session of alice waits")
        assert not transfer.task.done
    finally:
        client.signal(signal.SIGCONT)
    transfer.check()
    client.resumed()
    assert len(client.lines(client.CONNECTED)) == 1


def ask_forever(connection, answers):
    """Asks and is answered, one short text after the other."""
    for number in range(1 << 30):
        text = b"%d\n" % number
        connection.sendall(text)
        assert read_exactly(connection, len(text)) == text
        answers(1)


def test_stalled_link(world, target, near):
    """The bytes under way are held without being closed, as by a firewall that has forgotten the
    connections: the client does not wait for the end but builds the next circuit beside the old
    one, and answers come again within 10 s."""
    client = world.start_client(*forwards(target.port), relay=near.address)
    answers = Count()
    with client.dial() as connection:
        asking = Task(ask_forever, connection, answers)
        wait_for(lambda: answers.bytes > 10, 10, "answers come")
        near.stall()
        begun = time.monotonic()
        client.expect(r"opening another circuit", seconds=5)
        before = answers.bytes
        wait_for(lambda: answers.bytes > before + 10, 10, "answers come again")
        assert 2.9 < time.monotonic() - begun < 10 * SLOWNESS
        client.resumed()
        assert not asking.done


def test_stalled_link_of_the_agent(world, serve, target):
    """Everything that the agent has to the relay is held: it asks on its circuit and then on its
    control hop, replaces that one, and answers come again long before any keepalive."""
    world.start_relay()
    far = serve(Proxy, world.relay_address, recording=False)
    world.start_agent(relay=far.address)
    client = world.start_client(*forwards(target.port))
    answers = Count()
    with client.dial(seconds=40) as connection:
        asking = Task(ask_forever, connection, answers)
        wait_for(lambda: answers.bytes > 10, 10, "answers come")
        far.stall()
        stays_false(lambda: asking.done, 1, "the connection ends")
        before = answers.bytes
        wait_for(lambda: answers.bytes > before + 10, 20, "answers come again")


def test_control_hop_is_looked_at_after_a_circuit(world, serve, target):
    """The agent's circuit ends, and its control hop is held without being closed: the agent finds
    that out within 3 s, and has another one long before any keepalive. A control hop on which its
    question is answered stays."""
    world.start_relay()
    far = serve(Proxy, world.relay_address)
    agent = world.start_agent(relay=far.address)
    far.wait_proven(2)
    client = world.start_client(*forwards(target.port))
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
        far.wait_proven(3)
        control, circuit, parked = far.connections
        before = dict(control.passed)
        far.cut(only=[circuit])
        client.resumed()
        wait_for(lambda: all(control.passed[w] > before[w] for w in before), 2, "it is asked")
        stays_false(lambda: agent.lines("lost relay"), 4, "a hop that answers is given up")
        assert ask(connection, b"again") == b"again"
        far.stall(control)
        begun = time.monotonic()
        far.cut(only=[parked])
        agent.expect(r"lost relay \S+: no answer from the relay, silent for", seconds=5)
        assert 2.9 < time.monotonic() - begun < 5 * SLOWNESS
        agent.expect(r"online at relay", count=2, seconds=2)
        client.resumed(2)
        assert ask(connection, b"and again") == b"and again"


@pytest.mark.parametrize("side", ["client", "agent"])
def test_stalled_download(world, serve, side):
    """A download whose link is held goes on over another circuit within 20 s, although the client
    has nothing to say that anybody could leave unacknowledged."""
    got = Count()
    size = 96 * MIB // SLOWNESS
    source = serve(Target, lambda c: servers.send_stream(c, size, 1))
    world.start_relay()
    proxy = serve(Proxy, world.relay_address, recording=False)
    world.start_agent(relay=proxy.address if side == "agent" else None)
    client = world.start_client(
        *forwards(source.port), relay=proxy.address if side == "client" else None
    )
    with client.dial(seconds=40) as connection:
        receiving = Task(servers.receive_stream, connection, got)
        wait_for(lambda: got.bytes > 2 * MIB, 20, "the download has begun")
        proxy.stall()
        client.expect(r"opening another circuit", seconds=8)
        assert receiving.result(20) == (size, source.outcome())
    client.resumed()


def ticks(connection):
    """Sends a short line again and again, and never hears anything."""
    pause = threading.Event()
    for number in range(1 << 30):
        connection.sendall(b"%d\n" % number)
        pause.wait(0.02)


@pytest.mark.parametrize("side", ["client", "agent"])
def test_stalled_trickle(world, serve, side):
    """Of a download so small that the client has nothing to say, not even WINDOW, more comes within
    20 s all the same."""
    got = Count()
    source = serve(Target, ticks)
    world.start_relay()
    proxy = serve(Proxy, world.relay_address, recording=False)
    world.start_agent(relay=proxy.address if side == "agent" else None)
    client = world.start_client(
        *forwards(source.port), relay=proxy.address if side == "client" else None
    )
    with client.dial(seconds=40) as connection:
        Task(servers.receive_stream, connection, got)
        wait_for(lambda: got.bytes > 100, 20, "the first lines come")
        proxy.stall()
        client.expect(r"opening another circuit", seconds=8)
        client.resumed(seconds=12)
        before = got.bytes
        wait_for(lambda: got.bytes > before + 100, 5, "more lines come")


@pytest.mark.parametrize("side", ["client", "agent"])
def test_stalled_upload(world, serve, side):
    """The same for what the client sends."""
    size = 96 * MIB // SLOWNESS
    seen = Count()
    sink = serve(Target, lambda c: servers.receive_stream(c, seen))
    world.start_relay()
    proxy = serve(Proxy, world.relay_address, recording=False)
    world.start_agent(relay=proxy.address if side == "agent" else None)
    client = world.start_client(
        *forwards(sink.port), relay=proxy.address if side == "client" else None
    )
    with client.dial(seconds=40) as connection:
        sending = Task(servers.send_stream, connection, size, 1)
        wait_for(lambda: seen.bytes > 2 * MIB, 20, "the upload has begun")
        proxy.stall()
        assert (size, sending.result(20)) == sink.outcome(20)
    client.resumed()


# ---- Where it ends, and that it is told. ----


def test_circuit_breaks_behind_the_clients_close(world, target, near):
    """The user is finished, and the circuit breaks before the agent has read it: the client comes
    back once to say so, and the agent does not keep the session for its resume window."""
    client = world.start_client(*forwards(target.port), relay=near.address)
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
        near.stall()
        client.signal(signal.SIGINT)
        assert read_to_end(connection) == (b"", "reset")
    near.cut()
    client.wait_exit(130, seconds=2)
    world.agent.expect(r"ended: ended by the user; user alice", seconds=3)
    assert target.outcome() == "reset"


def test_circuit_breaks_behind_the_agents_close(world, target, near):
    """The agent is told to end, and the circuit breaks before the client has read it: the agent
    stays until the client has come back and heard it."""
    client = world.start_client(*forwards(target.port), relay=near.address)
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
        near.stall()
        world.agent.signal(signal.SIGTERM)
        assert target.outcome() == "reset"
        near.cut()
        assert read_to_end(connection) == (b"", "reset")
    client.expect(r"the session has ended: .*the agent is ending")
    world.agent.wait_exit(OK, seconds=2)


def test_no_way_back_for_a_close(world, target, near):
    """The agent cannot be told: both ends give up after a moment."""
    client = world.start_client(*forwards(target.port), relay=near.address)
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
        near.stall()
        client.signal(signal.SIGINT)
        assert read_to_end(connection) == (b"", "reset")
    near.refusing = True
    near.cut()
    client.wait_exit(130, seconds=2)
    world.agent.signal(signal.SIGTERM)
    world.agent.wait_exit(OK, seconds=2)


def test_resume_window_over(world, serve, target, near):
    """Without a circuit for as long as the agent keeps a session, application and target see a
    reset; the client says why, and begins another session when it can."""
    world.agent_conf(ResumeWindow=2)
    world.agent.stop()
    agent = world.start_agent(conf=world.directory / "agent-lab-1.conf")
    client = world.start_client(*forwards(target.port), relay=near.address)
    first = client.connected()
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
        cut_off(near, client)
        begun = time.monotonic()
        assert read_to_end(connection) == (b"", "reset")
        assert 1.5 < time.monotonic() - begun < 4 * SLOWNESS
    assert target.outcome() == "reset"
    client.expect(r"the session has ended: not resumed within the resume window of 2 s")
    agent.expect(rf"circuit {first}: ended: no circuit came back within the resume window")
    near.refusing = False
    client.connected(count=2, seconds=40)
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"


def test_resume_window_over_with_a_pipe(world, target, near):
    """-W ends with the exit code for too long a time, and with the reason."""
    world.agent_conf(ResumeWindow=2)
    world.agent.stop()
    world.start_agent(conf=world.directory / "agent-lab-1.conf")
    client = world.start_client(
        "-W",
        endpoint(LOOPBACK, target.port),
        relay=near.address,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        connected=False,
    )
    client.process.stdin.write(b"hello")
    client.process.stdin.flush()
    assert client.process.stdout.read(5) == b"hello"
    cut_off(near, client)
    client.wait_exit(TIMED_OUT)
    client.expect(r"ended: .*not resumed within the resume window of 2 s")
    assert target.outcome() == "reset"


def talk_without_end(connection):
    """Sends and reads in turn, nothing of any length known before; returns how it ended. One thread
    does both, since an error is told only once, to the first call that meets it."""
    try:
        while True:
            if select.select([connection], [], [], 0.01)[0]:
                if not connection.recv(65536):
                    return "eof"
            connection.sendall(b"and on it goes\n")
    except ConnectionResetError:
        return "reset"
    except BrokenPipeError:  # an end of file came before the reset
        return "eof"


@pytest.mark.parametrize("kind", ["-L", "-D", "-R"])
@pytest.mark.parametrize("killed", ["client", "agent"])
def test_killed_while_applications_talk(world, serve, killed, kind):
    """SIGKILL leaves no time to say anything, so it is the kernel that resets the connections of the
    one that is killed: on neither side does an application take it for the end of the data."""
    target = serve(Target, talk_without_end)
    world.start_relay()
    agent = world.start_agent(ResumeWindow=2, users=None)
    if kind == "-R":
        world.agent_conf(ResumeWindow=2)
        path = world.directory / "agent-lab-1.conf"
        path.write_text(path.read_text().rstrip() + "\nListen = default\n")
        agent.signal(signal.SIGHUP)
        agent.expect("configuration reloaded")
        client = world.start_client("-R", f"127.0.0.1:0:{endpoint(LOOPBACK, target.port)}")
        found = client.expect(r"forwarding (\S+):(\d+) at the agent to")
        connection = socket.create_connection((found[1], int(found[2])), timeout=20)
    elif kind == "-D":
        client = world.start_client("-D", f"{LOOPBACK}:0")
        connection = socket.create_connection(client.address(), timeout=20)
        connection.sendall(
            b"CONNECT %s HTTP/1.1\r\n\r\n" % endpoint(LOOPBACK, target.port).encode()
        )
        assert b" 200 " in connection.recv(4096)
    else:
        client = world.start_client(*forwards(target.port))
        connection = client.dial()
    with connection:
        talking = Task(talk_without_end, connection)
        wait_for(lambda: target.connections, 10, "the target has its connection")
        stays_false(lambda: talking.done, 0.3, "the talk ends by itself")
        (client if killed == "client" else agent).kill()
        if killed == "agent":
            world.start_agent(conf=world.directory / "agent-lab-1.conf")
        assert talking.result(20) == "reset"
    assert target.outcome() == "reset"


def page_without_length(connection):
    """A web server's answer that ends with the connection, and does not come to its end."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * MIB)
    return read_to_end(connection)[1]


def end_agent(world, agent, number):
    """Ends the agent, and has the next one started."""
    if number == signal.SIGKILL:
        agent.kill()
    else:
        agent.signal(number)
        agent.wait_exit(OK)
    world.start_agent(conf=world.directory / "agent-lab-1.conf")


REASONS = {
    signal.SIGKILL: "the session is not known: the agent was restarted",
    signal.SIGTERM: "the agent is ending",
}
both_ends = pytest.mark.parametrize("number", REASONS, ids=["killed", "ended"])


@both_ends
def test_agent_restarted_during_a_download(world, serve, number):
    """curl reports an error for a file that it has in part, also when nothing but the end of the
    connection tells where the file ends."""
    _, agent, client = world.start_all(serve(Target, page_without_length).port)
    copy = world.directory / "copy"
    url = "http://%s:%d/" % client.address()
    curl = Task(lambda: run("curl", "-sS", "--fail", "-o", copy, url, code=None))
    wait_for(lambda: copy.exists() and copy.stat().st_size > MIB // 2, 10, "curl has a part")
    end_agent(world, agent, number)
    done = curl.result(30)
    assert (done.returncode, "reset" in done.stderr) == (56, True), done
    client.expect(rf"the session has ended: .*{REASONS[number]}")


@both_ends
def test_agent_restarted_during_a_copy(world, serve, number):
    """scp reports an error for a file that is on the other side in part, and the client the
    reason."""
    world.start_relay()
    agent = world.start_agent()
    sshd = serve(servers.Sshd, world.directory)
    options = sshd.options(world.pipe_argv("127.0.0.1:PORT"))
    file, there = world.directory / "file", world.directory / "there"
    file.write_bytes(bytes(32 * MIB))
    words = ["scp", "-l", 80000, *options, "-P", sshd.port, file, f"{LOOPBACK}:{there}"]
    scp = Task(lambda: run(*words, code=None))
    wait_for(lambda: there.exists() and there.stat().st_size > MIB, 20, "scp has copied a part")
    end_agent(world, agent, number)
    done = scp.result(30)
    assert done.returncode != 0
    assert there.stat().st_size < file.stat().st_size
    assert REASONS[number] in done.stderr


def test_session_ends_while_the_next_circuit_is_on_its_way(world, target, near):
    """The client's bytes are held, so it tries another circuit beside the one that stalls; on that
    one comes the end of the session, and the attempt has no session any more."""
    client = world.start_client(*forwards(target.port), relay=near.address)
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
        near.hold(UP)
        connection.sendall(b"x")
        client.expect(r"opening another circuit")
        world.agent.signal(signal.SIGTERM)
        assert read_to_end(connection) == (b"", "reset")
    client.expect(r"the session has ended: .*the agent is ending")
    world.agent.wait_exit(OK)
    world.start_agent()
    near.hold()
    client.connected(count=2, seconds=40)
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"


def test_user_removed_at_the_agent_during_the_pause(world, target, near):
    """The agent ends the session of a user that it allows no more, though it has no circuit; the
    client that comes back is refused, and ends with that."""
    client = world.start_client(*forwards(target.port), relay=near.address)
    first = client.connected()
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
        cut_off(near, client)
        world.agent_conf(users={})
        world.agent.signal(signal.SIGHUP)
        world.agent.expect(rf"circuit {first}: ended: the user is no longer allowed at this agent")
        assert target.outcome() == "reset"
        near.refusing = False
        assert read_to_end(connection) == (b"", "reset")
    client.expect(r"the session has ended: this agent does not allow the user's key")
    client.wait_exit(DENIED)


def test_permissions_changed_during_the_pause(world, serve, target, near):
    """The session stays. What its user may no longer reach is reset at once at the agent, and for the
    client when it comes back."""
    kept = serve(Target, echo_to_end)
    client = world.start_client(*forwards(target.port, kept.port), relay=near.address)
    with client.dial() as connection, client.dial(1) as other:
        for each in (connection, other):
            assert ask(each, b"hello") == b"hello"
        cut_off(near, client)
        world.agent_conf(users={"alice": f"tcp:127.0.0.1:{kept.port}"})
        world.agent.signal(signal.SIGHUP)
        assert target.outcome() == "reset"
        near.refusing = False
        assert read_to_end(connection) == (b"", "reset")
        assert ask(other, b"still here") == b"still here"
    assert len(client.lines(client.CONNECTED)) == 1


# ---- A network of its own. ----


class Uplink:
    """Two network namespaces with one cable between them: the agent's at one end, the relay and the
    client at the other. Nothing of the machine's own network is touched."""

    ADDRESS, PORT = "192.0.2.1", 7443
    FAR, NEXT_FAR = "192.0.2.2", "192.0.2.3"  # the agent's

    def __init__(self):
        self.near, self.far = f"spx-near-{os.getpid()}", f"spx-far-{os.getpid()}"
        for name in (self.near, self.far):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        self.ip(self.near, "link add cable type veth peer name cable netns " + self.far)
        for name, address in ((self.near, self.ADDRESS), (self.far, self.FAR)):
            self.ip(name, f"address add {address}/29 dev cable")
            self.ip(name, "link set cable up")

    @staticmethod
    def ip(name, words):
        run("ip", "-n", name, *words.split())

    def set(self, state):
        """The relay's end of the cable, "up" or "down"."""
        self.ip(self.near, f"link set cable {state}")

    def forget(self):
        """While the cable is cut, the relay's packets for the agent meet someone who knows none of
        these connections and resets them, as a middlebox does that was started anew; the agent's
        meet the same when the cable is back, by then at the relay's end."""
        self.ip(self.near, f"address add {self.FAR}/32 dev lo")

    def stop_forgetting(self):
        self.ip(self.near, f"address del {self.FAR}/32 dev lo")

    def move(self):
        """The agent has another address; what it sends for the old one's connections goes nowhere,
        and so does what comes for them."""
        self.ip(self.far, f"address del {self.FAR}/29 dev cable")
        self.ip(self.far, f"address add {self.NEXT_FAR}/29 dev cable")

    @staticmethod
    def enter(name, function):
        """Calls a function in a namespace; sockets made there stay in it."""
        made = []

        def inside():
            with open(f"/run/netns/{name}") as place:
                if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), 0):
                    raise OSError(ctypes.get_errno(), "setns")
            made.append(function())

        thread = threading.Thread(target=inside)  # a namespace is a thread's own
        thread.start()
        thread.join()
        return made[0]

    def close(self):
        for name in (self.near, self.far):
            run("ip", "netns", "del", name)  # the cable goes with them


@pytest.fixture
def uplink(serve):
    if os.geteuid() != 0:
        pytest.skip("only root can make a network namespace")
    try:
        return serve(Uplink)
    except (AssertionError, FileNotFoundError) as why:
        pytest.skip(f"no network namespace can be made here: {why}")


def across(world, serve, uplink, behave=echo_to_end):
    """A relay and a client at one end of the cable, an agent and a target at the other: the client."""
    listener = uplink.enter(uplink.far, lambda: socket.create_server((LOOPBACK, 0)))
    target = serve(Target, behave, listener=listener)
    world.relay_address = endpoint(uplink.ADDRESS, uplink.PORT)
    world.binary = ["ip", "netns", "exec", uplink.near, SPX]
    world.start_relay()
    client = world.start_client(*forwards(target.port), connected=False)
    world.binary = ["ip", "netns", "exec", uplink.far, SPX]
    world.start_agent()
    client.connected()
    return client


def test_uplink_down_for_three_seconds(world, serve, uplink):
    """The agent's network is away for 3 s, and the connections over it outlive that: answers come
    again within 6 s of its return."""
    client = across(world, serve, uplink)
    answers = Count()
    with uplink.enter(uplink.near, client.dial) as connection:
        asking = Task(ask_forever, connection, answers)
        wait_for(lambda: answers.bytes > 10, 10, "answers come")
        uplink.set("down")
        before = answers.bytes
        stays_false(lambda: answers.bytes > before + 1, 3, "answers come through a cut cable")
        before = answers.bytes
        uplink.set("up")
        wait_for(lambda: answers.bytes > before + 10, 6, "answers come again")
        assert not asking.done
    assert len(client.lines(client.CONNECTED)) == 1


def read_ticks(connection, seen):
    """Reads what ticks() has sent, of which no line may be missing, doubled or out of order."""
    with connection.makefile("rb") as lines:
        for number, line in enumerate(lines):
            assert line == b"%d\n" % number
            seen(1)


@pytest.mark.parametrize("how", ["reset", "readdressed"])
def test_uplink_comes_back_without_its_connections(world, serve, uplink, how):
    """The agent's network is away for 3 s, and what was connected over it is not when it comes back:
    the session goes on over another circuit, within 6 s of the return, and no byte is missing."""
    client = across(world, serve, uplink)
    first, seen = client.connected(), Count()
    with uplink.enter(uplink.near, client.dial) as connection:
        Task(ticks, connection)
        reading = Task(read_ticks, connection, seen)
        wait_for(lambda: seen.bytes > 10, 10, "lines come back")
        uplink.set("down")
        if how == "reset":
            uplink.forget()
            client.lost(seconds=2)
        else:
            uplink.move()
        before = seen.bytes
        stays_false(lambda: seen.bytes > before, 3, "lines come through a cut cable")
        if how == "reset":
            uplink.stop_forgetting()
        uplink.set("up")
        wait_for(lambda: seen.bytes > before + 10, 6, "lines come back again")
        assert client.resumed(seconds=0)[1] != first
        assert not reading.done, reading.error
    assert len(client.lines(client.CONNECTED)) == 1


def test_uplink_comes_back_to_an_agent_that_only_receives(world, serve, uplink):
    """The same when nothing that the agent said could stay without an acknowledgement: it asks on
    its circuit and on its control hop at the same time."""
    seen = Count()
    client = across(world, serve, uplink, lambda c: servers.receive_stream(c, seen))
    with uplink.enter(uplink.near, client.dial) as connection:
        Task(ticks, connection)
        wait_for(lambda: seen.bytes > 100, 10, "lines come")
        uplink.set("down")
        uplink.move()
        before = seen.bytes
        stays_false(lambda: seen.bytes > before, 3, "lines come through a cut cable")
        uplink.set("up")
        wait_for(lambda: seen.bytes > before + 100, 6, "lines come again")
    client.resumed(seconds=0)
