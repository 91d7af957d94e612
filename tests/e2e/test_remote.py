"""-R: the agent listens, and what connects there reaches a service at the client's side."""
import itertools
import re
import signal
import socket

import pytest

import peer
from harness import (
    DENIED,
    LOOPBACK,
    OTHER,
    forwards,
    free_port,
    has_ipv6,
    run,
    stays_false,
    wait_for,
)
from proxy import Proxy
from servers import (
    EchoServer,
    Target,
    WebServer,
    ask,
    echo_to_end,
    exchange,
    read_exactly,
    read_to_end,
)

LISTENING = r"forwarding (\S+) at the agent to (\S+)"


def listening_agent(world, listen="default", **config):
    """An agent whose user may listen there; None: nowhere."""
    conf = world.agent_conf(**config)
    if listen:
        conf.write_text(conf.read_text() + f"Listen = {listen}\n")
    return world.start_agent(conf=conf)


def start(world, *remotes, listen="default", forwards=(), **config):
    """Relay, agent and a client with these -R, and other forwards."""
    options = [*forwards, *(word for remote in remotes for word in ("-R", remote))]
    return (
        world.start_relay(),
        listening_agent(world, listen),
        world.start_client(*options, **config),
    )


def bound(client, target, count=1):
    """Where the agent listens for the target ("tcp:127.0.0.1:80"): (host, port)."""
    found = client.expect(
        rf"forwarding (\S+):(\d+) at the agent to {re.escape(target)}$", 15, count
    )
    return found[1].strip("[]"), int(found[2])


def dial(client, port, host=LOOPBACK):
    """Connects at the agent's side to what goes to this port at the client's."""
    return socket.create_connection(bound(client, f"tcp:{host}:{port}"), timeout=20)


def refuses(address):
    """True if nobody listens there."""
    try:
        socket.create_connection(address, timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_web_server_at_the_client(world, serve, tmp_path):
    """curl at the agent's side fetches a file from a web server at the client's side."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "file").write_bytes(bytes(range(256)) * 40000)
    web = serve(WebServer, site)
    _, agent, client = start(world, f"0:{LOOPBACK}:{web.port}")
    host, port = bound(client, f"tcp:{LOOPBACK}:{web.port}")
    assert host == LOOPBACK
    got = tmp_path / "got"
    run("curl", "-sS", "-o", got, f"http://{host}:{port}/file")
    assert got.read_bytes() == (site / "file").read_bytes()
    agent.expect(rf"alice: listening on {host}:{port} for the client")
    agent.expect(rf"alice: {host}:{port}: connection from 127\.0\.0\.1:\d+")


def test_both_ways_and_half_closed(world, serve):
    """Megabytes both ways; each half ends by itself."""
    target = serve(Target, echo_to_end)
    _, _, client = start(world, f"127.0.0.1:0:localhost:{target.port}")
    with dial(client, target.port, "localhost") as connection:
        sent, size, received = exchange(connection, 20_000_000, 7)
        assert (size, received) == (20_000_000, sent)
    assert target.outcome() == "eof"


def test_server_speaks_first(world, serve):
    """Nothing is sent by the agent before the client's target is connected, and nothing need be."""
    target = serve(Target, lambda connection: connection.sendall(b"hello"))
    _, _, client = start(world, f"0:{LOOPBACK}:{target.port}")
    with dial(client, target.port) as connection:
        assert read_to_end(connection) == (b"hello", "eof")


def test_several_beside_a_local_one(world, serve, echo):
    """Each -R goes to its own target, and -L works beside them."""
    targets = [serve(Target, lambda c, n=n: c.sendall(b"%d" % n)) for n in range(3)]
    options = [w for t in targets for w in ("-R", f"0:{LOOPBACK}:{t.port}")]
    world.start_relay()
    listening_agent(world)
    client = world.start_client(*forwards(echo.port), *options)
    ports = set()
    for n, target in enumerate(targets):
        ports.add(bound(client, f"tcp:{LOOPBACK}:{target.port}")[1])
        with dial(client, target.port) as connection:
            assert read_to_end(connection) == (b"%d" % n, "eof")
    assert len(ports) == 3
    with client.dial() as connection:
        assert ask(connection, b"local") == b"local"


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6")
def test_ipv6(world, serve):
    echo = serve(EchoServer, "::1")
    _, _, client = start(world, f"[::1]:0:[::1]:{echo.port}")
    with dial(client, echo.port, "[::1]") as connection:
        assert connection.getpeername()[0] == "::1"
        assert ask(connection, b"six") == b"six"


def test_unix_sockets(world, tmp_path, serve):
    """A UNIX socket on either side; the agent's file is gone afterwards."""
    local, remote = tmp_path / "local.sock", tmp_path / "remote.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(local))
    listener.listen()
    accepted = []
    _, agent, client = start(world, f"{remote}:{local}", listen=f"unix:{remote}")
    client.expect(rf"forwarding unix:{remote} at the agent to unix:{local}")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(remote))
        accepted.append(listener.accept()[0])
        connection.sendall(b"ping")
        assert read_exactly(accepted[0], 4) == b"ping"
        accepted[0].sendall(b"pong")
        assert read_exactly(connection, 4) == b"pong"
        accepted[0].close()
        assert read_to_end(connection) == (b"", "eof")
    client.signal(signal.SIGINT)
    client.wait_exit(130)
    agent.expect(rf"no longer listening on unix:{remote}")
    assert not remote.exists()
    listener.close()


@pytest.mark.parametrize("side", ["agent", "client"])
def test_unix_socket_on_one_side(world, tmp_path, serve, side):
    """The other side's is TCP."""
    path = tmp_path / "socket"
    if side == "agent":
        target = serve(Target, echo_to_end)
        _, _, client = start(world, f"{path}:{LOOPBACK}:{target.port}", listen=f"unix:{path}")
        client.expect(rf"forwarding unix:{path} at the agent to tcp:{LOOPBACK}:{target.port}")
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(str(path))
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        target = serve(Target, echo_to_end, listener=listener)
        _, _, client = start(world, f"0:{path}")
        connection = socket.create_connection(bound(client, f"unix:{path}"), timeout=20)
    with connection:
        sent, size, received = exchange(connection, 1_000_000, 3)
        assert (size, received) == (1_000_000, sent)
    assert target.outcome() == "eof"


class Opening(peer.Site):
    """Relay and agent: grants the client's LISTEN and opens streams for it, so many as `count`, each
    with an address of its own choice; keeps what each was answered with."""

    count, address, codes = 300, "", None

    def session(self, circuit):
        listen = circuit.expect(peer.LISTEN).stream
        circuit.send(peer.frame(peer.LISTENING, listen, peer.string("127.0.0.1:1")))
        head = peer.u32(1 << 18) + peer.u32(listen) + peer.string(self.address)
        for i in range(self.count):
            circuit.send(peer.frame(peer.OPEN, 2 * i + 2, head))
        codes = []
        while len(codes) < self.count:
            got = circuit.expect(peer.OPENED, peer.RESET)
            codes.append(0 if got.kind == peer.OPENED else int.from_bytes(got.payload[:2], "big"))
        self.codes = codes
        circuit.wait_end()


def test_agent_that_opens_what_it_likes(world, serve, echo):
    """Whatever address an agent names, the client connects its own target and nothing else; beyond
    256 it refuses."""
    victim = serve(Target, echo_to_end)
    agent = peer.Agent(peer.Pair(world.key("lab-1").path), "lab-1")
    key = peer.Pair(world.key("relay").path)
    site = serve(Opening, key, agent, address=world.relay_address)
    site.address = f"{LOOPBACK}:{victim.port}"
    client = world.start_client("-R", f"0:{LOOPBACK}:{echo.port}")
    wait_for(lambda: site.codes, 20, "every OPEN is answered")
    assert sorted(site.codes) == [0] * 256 + [peer.RESET_LIMIT] * 44
    wait_for(lambda: echo.open_connections() == 256, 10, "256 connections are taken")
    assert not victim.connections
    client.stop()


# The agent's permissions.


@pytest.mark.parametrize(
    "listen, wanted",
    [
        (None, "127.0.0.1:18080"),
        (None, "0"),
        ("default", "127.0.0.1:1023"),
        ("default", "0.0.0.0:18080"),
        ("default", "*:0"),
        ("127.0.0.1:18000-18010", "127.0.0.1:18011"),
        ("127.0.0.1:18000-18010", "127.0.0.1:17999"),
        ("127.0.0.1:18000-18010", "127.0.0.2:18000"),
        ("127.0.0.1:*", "/tmp/spx-not-permitted.sock"),
        ("unix:/tmp/spx-permitted.sock", "/tmp/spx-not-permitted.sock"),
        ("unix:/tmp/spx-permitted.sock", "127.0.0.1:18000"),
    ],
)
def test_not_permitted(world, listen, wanted):
    """A listener that the agent's file does not permit is refused; a client with nothing else ends, with the
    exit code of a denial."""
    world.start_relay()
    agent = listening_agent(world, listen)
    client = world.start_client("-R", f"{wanted}:{LOOPBACK}:9")
    client.wait_exit(DENIED)
    assert client.lines(r"error .*agent cannot listen on \S+: not permitted")
    assert not client.lines("asking again")
    assert client.lines(r"ended: agent cannot listen: not permitted")
    agent.expect(r"alice: refused to listen on \S+: not permitted by this agent's configuration")
    assert not agent.lines(r"listening on \S+ for the client")


def test_one_of_two_is_refused(world, echo):
    """The others go on."""
    _, _, client = start(world, f"0.0.0.0:0:{LOOPBACK}:9", f"0:{LOOPBACK}:{echo.port}")
    client.expect(r"agent cannot listen on 0\.0\.0\.0:0: not permitted.*; asking again in 1 s")
    with dial(client, echo.port) as connection:
        assert ask(connection, b"hello") == b"hello"


def test_refused_beside_a_local_one(world, echo):
    world.start_relay()
    world.start_agent()
    client = world.start_client(*forwards(echo.port), "-R", f"0:{LOOPBACK}:9")
    client.expect(r"agent cannot listen on 127\.0\.0\.1:0: not permitted")
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"


def test_port_in_use(world, serve):
    """Somebody else listens there at the agent: the client says so once, goes on, and gets the port when
    it is free."""
    target = serve(Target, echo_to_end)
    world.start_relay()
    agent = listening_agent(world)
    other = socket.create_server((LOOPBACK, 0))
    port = other.getsockname()[1]
    client = world.start_client("-R", f"{port}:{LOOPBACK}:{target.port}")
    in_use = rf"{LOOPBACK}:{port}: address (already )?in use \(another program .*\)"
    client.expect(rf"error +client: agent cannot listen on {in_use}; asking again in 1 s$")
    agent.expect(rf"refused to listen on {in_use}$")
    other.close()
    with dial(client, target.port) as connection:
        assert ask(connection, b"hello") == b"hello"
    assert len(client.lines("agent cannot listen")) == 1


@pytest.mark.parametrize("kind", ["port", "path"])
def test_after_a_crash(world, serve, kind):
    """The agent still keeps the session of a client that was killed: its listener gives way to the same
    user's next client."""
    target = serve(Target, echo_to_end)
    path = world.directory / "listen.sock"
    listen, permitted = (f"{free_port()}", "default") if kind == "port" else (path, f"unix:{path}")
    _, agent, first = start(world, f"{listen}:{LOOPBACK}:{target.port}", listen=permitted)
    first.expect(LISTENING)
    first.kill()
    agent.expect("the session of alice waits up to")
    second = world.start_client("-R", f"{listen}:{LOOPBACK}:{target.port}")
    second.expect(LISTENING)
    assert not second.lines("cannot listen")
    if kind == "port":
        with dial(second, target.port) as connection:
            assert ask(connection, b"hello") == b"hello"
    else:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            assert ask(connection, b"hello") == b"hello"


def test_own_session_that_lives(world, echo):
    """Two clients of one user want the same port: the second hears which session has it, and gets it when
    the first one ends."""
    remote = f"{free_port()}:{LOOPBACK}:{echo.port}"
    _, _, first = start(world, remote)
    first.expect(LISTENING)
    second = world.start_client("-R", remote)
    second.expect(
        rf"error .*cannot listen on \S+: another session of yours listens there, "
        rf"with circuit {first.connected()}; asking again"
    )
    first.stop()
    second.expect(LISTENING)


def test_session_of_another_user(world, echo):
    """Nobody's session gives way to another user, nor is its user told."""
    remote = f"{free_port()}:{LOOPBACK}:{echo.port}"
    users = ("alice", "bob")
    world.start_relay(users=dict.fromkeys(users, "*"))
    conf = world.agent_conf(users=dict.fromkeys(users, "tcp:127.0.0.1:*\nListen = default"))
    agent = world.start_agent(conf=conf)
    first = world.start_client("-R", remote)
    first.expect(LISTENING)
    first.kill()
    agent.expect("the session of alice waits up to")
    second = world.start_client("-R", remote, user="bob")
    second.expect("cannot listen on .*: a session of another user listens there; asking again")
    assert "alice" not in second.log()


def test_crashed_client_was_not_dead(world, serve, echo):
    """A session that has given way resumes, is told, and asks again."""
    world.start_relay()
    agent = listening_agent(world)
    proxy = serve(Proxy, world.relay_address)
    remote = f"{free_port()}:{LOOPBACK}:{echo.port}"
    first = world.start_client("-R", remote, relay=proxy.address)
    first.expect(LISTENING)
    first.signal(signal.SIGSTOP)
    proxy.cut()
    agent.expect("the session of alice waits up to")
    second = world.start_client("-R", remote)
    second.expect(LISTENING)
    first.signal(signal.SIGCONT)
    first.resumed()
    first.expect("cannot listen on .*: a newer session of this user listens there; asking again")
    second.stop()
    first.expect(LISTENING, 40, count=2)


def test_any_port_of_the_permitted_ones(world, echo):
    """Port 0: the agent chooses among those that are permitted, as long as one is free."""
    first = free_port()
    while not (1024 < first < 65000 and refuses((LOOPBACK, first + 1))):
        first = free_port()
    any_port = f"0:{LOOPBACK}:{echo.port}"
    _, _, client = start(
        world, any_port, any_port, any_port, listen=f"127.0.0.1:{first}-{first + 1}"
    )
    target = f"tcp:{LOOPBACK}:{echo.port}"
    ports = [bound(client, target, count)[1] for count in (1, 2)]
    assert sorted(ports) == [first, first + 1]
    client.expect(r"agent cannot listen on 127\.0\.0\.1:0: ")
    for port in ports:
        with socket.create_connection((LOOPBACK, port), timeout=20) as connection:
            assert ask(connection, b"hello") == b"hello"


def test_more_than_the_agent_allows(world, echo):
    """The client hears which of its -R are too many; the others go on."""
    world.start_relay()
    listening_agent(world, "default\nListeners = 2")
    options = [w for _ in range(3) for w in ("-R", f"0:{LOOPBACK}:{echo.port}")]
    client = world.start_client(*options)
    client.expect(r"agent cannot listen on 127\.0\.0\.1:0: too many listeners")
    for count in (1, 2):
        address = bound(client, f"tcp:{LOOPBACK}:{echo.port}", count)
        with socket.create_connection(address, timeout=20) as connection:
            assert ask(connection, b"hello") == b"hello"


def test_too_many(world):
    """No agent can be asked for more than 256."""
    world.start_relay()
    listening_agent(world)
    options = [w for _ in range(257) for w in ("-R", f"0:{LOOPBACK}:9")]
    client = world.start_client(*options, connected=False)
    client.wait_exit(OTHER)
    assert client.lines(r"too many -R: an agent listens for at most 256")


@pytest.mark.parametrize("listen", ["nothing", "127.0.0.1", "localhost:80", "127.0.0.1:0", "*:9-8"])
def test_file_is_not_right(world, listen):
    """A permission that makes no sense is an error with its line."""
    conf = world.agent_conf()
    conf.write_text(conf.read_text() + f"Listen = {listen}\n")
    agent = run(*world.binary, "agent", "-c", conf, "--check", code=3)
    assert re.search(rf"{conf}:\d+: .*not where listening can be allowed", agent.stderr)


def test_permission_is_taken_away(world, echo):
    """After SIGHUP without a Listen what listened ends, with its connections; the session goes on."""
    _, agent, client = start(
        world, f"0:{LOOPBACK}:{echo.port}", forwards=forwards(echo.port)
    )
    address = bound(client, f"tcp:{LOOPBACK}:{echo.port}")
    with socket.create_connection(address, timeout=20) as connection, client.dial() as other:
        ask(connection, b"hello")
        ask(other, b"hello")
        world.agent_conf()
        agent.signal(signal.SIGHUP)
        assert read_to_end(connection) == (b"", "reset")
        wait_for(lambda: refuses(address), 5, "the agent no longer listens")
        agent.expect(r"user alice: removed: Listen 127\.0\.0\.0/8:1024-65535$")
        client.expect(r"agent cannot listen on \S+: no longer permitted")
        assert ask(other, b"still here") == b"still here"


def test_permission_is_taken_away_from_all(world, echo):
    """The same for a client that has nothing else: it ends with the exit code of a denial."""
    _, agent, client = start(world, f"0:{LOOPBACK}:{echo.port}")
    bound(client, f"tcp:{LOOPBACK}:{echo.port}")
    world.agent_conf()
    agent.signal(signal.SIGHUP)
    client.wait_exit(DENIED)


def test_another_permission_is_loaded(world, echo):
    """After SIGHUP with another Listen, listeners where it allows them are not disturbed; nor are
    their connections."""
    _, agent, client = start(world, f"0:{LOOPBACK}:{echo.port}")
    address = bound(client, f"tcp:{LOOPBACK}:{echo.port}")
    with socket.create_connection(address, timeout=20) as connection:
        ask(connection, b"hello")
        conf = world.directory / "agent-lab-1.conf"
        conf.write_text(conf.read_text().replace("Listen = default", "Listen = *:*"))
        agent.signal(signal.SIGHUP)
        agent.expect(r"user alice: added: Listen \*:\*$")
        assert ask(connection, b"still here") == b"still here"


def may_listen(circuit, ids):
    stream = next(ids)
    circuit.send(peer.frame(peer.LISTEN, stream, peer.string("127.0.0.1:0")))
    return circuit.expect(peer.LISTENING, peer.RESET, stream=stream).kind == peer.LISTENING


def test_permission_and_number_come_at_once(world):
    """In a session that was begun without: after SIGHUP its client may listen, as often as it is
    allowed then, and gets the connections; with a smaller number what listens goes on."""
    world.start_relay()
    agent = listening_agent(world, None)
    client = peer.Client(
        peer.Pair(world.key("alice").path), world.relay_address, world.key("relay").raw, "lab-1",
        world.key("lab-1").raw,
    )  # fmt: skip
    circuit, ids = client.connect(streams=8), itertools.count(1, 2)
    assert not may_listen(circuit, ids)
    conf = world.directory / "agent-lab-1.conf"
    before = conf.read_text()
    for count, (number, answers) in enumerate([(2, [True, True, False]), (3, [True, False])], 1):
        conf.write_text(f"{before}Listen = default\nListeners = {number}\n")
        agent.signal(signal.SIGHUP)
        agent.expect("configuration reloaded", count=count)
        assert [may_listen(circuit, ids) for _ in answers] == answers
    conf.write_text(f"{before}Listen = default\nListeners = 1\n")
    agent.signal(signal.SIGHUP)
    agent.expect(r"user alice: Listeners changed from 3 to 1")
    assert not may_listen(circuit, ids)
    port = int(agent.expect(r"alice: listening on 127\.0\.0\.1:(\d+) for the client")[1])
    with socket.create_connection((LOOPBACK, port), timeout=20):
        assert circuit.expect(peer.OPEN).kind == peer.OPEN


# Breaks.


def test_target_refuses(world, echo):
    """Nobody listens at the client's target: the application at the agent sees a reset, the next
    one is served when somebody does."""
    port = free_port()
    _, _, client = start(world, f"0:{LOOPBACK}:{port}")
    with dial(client, port) as connection:
        assert read_to_end(connection) == (b"", "reset")
    client.expect(rf"warn +client: target tcp:{LOOPBACK}:{port} at the client: connection refused")
    listener = socket.create_server((LOOPBACK, port))
    with dial(client, port) as connection, listener:
        accepted = listener.accept()[0]
        accepted.sendall(b"now")
        assert read_exactly(connection, 3) == b"now"
        accepted.close()


def test_target_resets(world, serve):
    """A reset is a reset on the other side too, both ways."""
    target = serve(Target, lambda c: (read_exactly(c, 1), _reset(c)))
    _, _, client = start(world, f"0:{LOOPBACK}:{target.port}")
    with dial(client, target.port) as connection:
        connection.sendall(b"x")
        assert read_to_end(connection) == (b"", "reset")
    echo = serve(Target, echo_to_end)
    other = world.start_client("-R", f"0:{LOOPBACK}:{echo.port}")
    connection = dial(other, echo.port)
    ask(connection, b"x")
    _reset(connection)
    assert echo.outcome() == "reset"


def _reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def test_relay_is_restarted(world, serve):
    """The listener outlives the circuit: open connections go on, one that comes while there is no
    circuit is served afterwards."""
    target = serve(Target, echo_to_end)
    relay, agent, client = start(world, f"0:{LOOPBACK}:{target.port}")
    with dial(client, target.port) as connection:
        ask(connection, b"before")
        relay.kill()
        client.lost()
        agent.expect(r"lost: .+; the session of alice waits")
        with dial(client, target.port) as meanwhile:
            meanwhile.sendall(b"meanwhile")
            accepted = r": connection from "
            stays_false(lambda: len(agent.lines(accepted)) > 1, 0.3, "it is accepted")
            world.start_relay(conf=world.relay_conf())
            client.resumed()
            assert ask(connection, b"after") == b"after"
            assert read_exactly(meanwhile, 9) == b"meanwhile"
        with dial(client, target.port) as another:
            assert ask(another, b"another") == b"another"
    assert [target.outcome() for _ in range(3)] == ["eof"] * 3
    assert len(client.lines(LISTENING)) == 1


def test_agent_is_restarted(world, echo):
    """Another session asks again."""
    _, agent, client = start(world, f"0:{LOOPBACK}:{echo.port}")
    target = f"tcp:{LOOPBACK}:{echo.port}"
    bound(client, target)
    agent.kill()
    listening_agent(world)
    client.connected(count=2, seconds=40)
    address = bound(client, target, 2)
    with socket.create_connection(address, timeout=20) as connection:
        assert ask(connection, b"hello") == b"hello"


def test_ends_with_the_client(world, serve):
    """Ctrl-C: applications at the agent see a reset, nobody listens there any more."""
    target = serve(Target, echo_to_end)
    _, agent, client = start(world, f"0:{LOOPBACK}:{target.port}")
    address = bound(client, f"tcp:{LOOPBACK}:{target.port}")
    with dial(client, target.port) as connection:
        ask(connection, b"hello")
        client.signal(signal.SIGINT)
        client.wait_exit(130)
        assert read_to_end(connection) == (b"", "reset")
    assert target.outcome() == "reset"
    agent.expect(rf"no longer listening on {address[0]}:{address[1]}")
    assert refuses(address)


def test_more_connections_than_may_be_open(world, echo):
    """256 streams are open at once; what comes above waits until one ends, and none is lost."""
    _, _, client = start(world, f"0:{LOOPBACK}:{echo.port}")
    connections = [dial(client, echo.port) for _ in range(300)]
    for connection in connections:
        connection.sendall(b"hello")
    for connection in connections[:200]:
        assert read_exactly(connection, 5) == b"hello"
        connection.close()
    for connection in connections[200:]:
        assert read_exactly(connection, 5) == b"hello"
        connection.close()


def test_from_the_configuration(world, echo):
    """Forward = -R … in the client's file."""
    world.start_relay()
    listening_agent(world)
    conf = world.client_conf()
    conf.write_text(conf.read_text() + f"Forward = -R 0:{LOOPBACK}:{echo.port}\n")
    client = world.start_client(conf=conf)
    with dial(client, echo.port) as connection:
        assert ask(connection, b"hello") == b"hello"
