"""How a stream begins and ends: an application sees what it would see without the tunnel."""
import signal
import socket
import time

import pytest

import servers
from harness import DENIED, LOOPBACK, OK, forwards, free_port, run, stays_false, wait_for
from proxy import DOWN, Proxy
from servers import Target, ask, read_exactly, read_to_end, receive_stream, reset, send_stream

pytestmark = pytest.mark.usefixtures("steady")

MIB = 1 << 20


def assert_reset(client, index=0):
    """A connection to this forward is reset, perhaps as soon as it is there."""
    try:
        with client.dial(index) as connection:
            assert read_to_end(connection) == (b"", "reset")
    except ConnectionResetError:
        pass


def test_application_closes_its_half_first(world, serve):
    """After the application's end of file the target still answers, at length, and then ends
    cleanly."""

    def answer(connection):
        size, checksum = receive_stream(connection)
        connection.sendall(b"%d %s\n" % (size, checksum.encode()))
        send_stream(connection, 4 * MIB, 1)
        return size, checksum

    target = serve(servers.Target, answer)
    client = world.start_all(target.port)[2]
    with client.dial() as connection:
        checksum = send_stream(connection, 2 * MIB, 2)
        answered, how = read_to_end(connection)
    assert target.outcome() == (2 * MIB, checksum)
    line, _, rest = answered.partition(b"\n")
    assert line == b"%d %s" % (2 * MIB, checksum.encode())
    assert (len(rest), how) == (4 * MIB, "eof")


def test_target_closes_its_half_first(world, serve):
    """After the target's end of file the application still sends, at length, and the target gets
    all of it."""

    def greet_and_listen(connection):
        connection.sendall(b"I have said everything\n")
        connection.shutdown(socket.SHUT_WR)
        return receive_stream(connection)

    target = serve(servers.Target, greet_and_listen)
    client = world.start_all(target.port)[2]
    with client.dial() as connection:
        assert read_to_end(connection) == (b"I have said everything\n", "eof")
        checksum = send_stream(connection, 4 * MIB, 3)
        assert target.outcome() == (4 * MIB, checksum)


def test_end_of_file_without_a_byte(world, serve):
    """A connection that says nothing in either direction ends cleanly."""
    target = serve(servers.Target, read_to_end)
    client = world.start_all(target.port)[2]
    with client.dial() as connection:
        connection.shutdown(socket.SHUT_WR)
        assert read_to_end(connection) == (b"", "eof")
    assert target.outcome() == (b"", "eof")


def test_target_refuses(world, echo):
    """A target port without a listener gives the application a reset, with the reason in the
    client's log; the session goes on."""
    client = world.start_all(free_port(), echo.port)[2]
    assert_reset(client)
    client.expect(r"refused")
    with client.dial(1) as connection:
        assert ask(connection, b"still here") == b"still here"


def full_listener():
    """A listener whose queue is full, so that the kernel answers no further connection; and what
    fills it."""
    listener = socket.create_server((LOOPBACK, 0), backlog=0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    time_up = time.monotonic() + 0.5
    wait_for(lambda: time.monotonic() > time_up, 2, "the connections that fit are made")
    return listener, fillers


def test_target_hangs(world, echo):
    """A target that does not answer the connect: the application gets a reset when the agent's
    limit of 15 s is over; until then other streams of the session work."""
    listener, fillers = full_listener()
    client = world.start_all(listener.getsockname()[1], echo.port)[2]
    begun = time.monotonic()
    with client.dial(0, seconds=30) as hanging, client.dial(1) as other:
        hanging.sendall(b"is anybody there?")
        assert ask(other, b"meanwhile") == b"meanwhile"
        assert read_to_end(hanging) == (b"", "reset")
        assert 10 < time.monotonic() - begun < 25
        assert ask(other, b"and after") == b"and after"
    client.expect(r"time")
    for one in (listener, *fillers):
        one.close()


def test_target_is_silent(world, serve):
    """A target that takes the connection and says nothing: the connection stays open, both ways."""
    target = serve(servers.Target, read_to_end)
    client = world.start_all(target.port)[2]
    with client.dial() as connection:
        connection.sendall(b"hello?")
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert target.outcome() == (b"hello?", "eof")


def test_target_resets(world, serve):
    """A reset by the target is a reset for the application, never an end of file, even after data."""

    def break_off(connection):
        read_exactly(connection, 5)
        connection.sendall(b"part of an ans")
        reset(connection)

    target = serve(servers.Target, break_off)
    client = world.start_all(target.port)[2]
    for _ in range(20):
        with client.dial() as connection:
            connection.sendall(b"quest")
            data, how = read_to_end(connection)
        assert how == "reset"
        assert b"part of an ans".startswith(data)


def test_application_resets(world, serve):
    """A reset by the application is a reset for the target."""

    def answer_and_listen(connection):
        read_exactly(connection, 3)
        connection.sendall(b"yes")
        return read_to_end(connection)

    target = serve(servers.Target, answer_and_listen)
    client = world.start_all(target.port)[2]
    for _ in range(20):
        connection = client.dial()
        assert ask(connection, b"yes") == b"yes"
        connection.sendall(b"never mi")
        reset(connection)
        data, how = target.outcome()
        assert how == "reset"
        assert b"never mi".startswith(data)


def test_target_not_permitted(world, echo, serve):
    """A target that the agent does not allow: curl fails with a reset, nothing reaches the target,
    the client's log says 'not permitted', and what is allowed goes on."""
    forbidden = serve(servers.Target, read_to_end)
    world.start_relay()
    world.start_agent(users={"alice": f"tcp:127.0.0.1:{echo.port}"})
    client = world.start_client(*forwards(forbidden.port, echo.port))
    failed = run("curl", "-sS", "http://%s:%d/" % client.address(0), code=None)
    assert failed.returncode in (7, 56), failed.stderr  # reset as soon as connected, or later
    client.expect(r"not permitted")
    assert_reset(client)
    assert forbidden.connections == []
    with client.dial(1) as connection:
        assert ask(connection, b"hello") == b"hello"


@pytest.mark.parametrize(
    "allow, host, permitted",
    [
        (None, "127.0.0.1", False),
        ("tcp:10.0.0.0/8:*", "127.0.0.1", False),
        ("tcp:10.0.0.0/8:*", "localhost", False),
        ("tcp:127.0.0.0/8:*", "localhost", True),
        ("tcp:127.0.0.1:1-1023", "127.0.0.1", False),
        ("tcp:localhost:*", "127.0.0.1", False),
        ("udp:*:*", "127.0.0.1", False),
        ("tcp:*:*", "localhost", True),
    ],
)
def test_what_a_policy_means(world, echo, allow, host, permitted):
    """A target that is not allowed is denied, an address that a name stands for too: -W ends with 5 and
    nothing has reached the target."""
    world.start_relay()
    world.start_agent(users={"alice": allow})
    code = OK if permitted else DENIED
    done = world.run_pipe(f"{host}:{echo.port}", input="hello", code=code)
    assert done.stdout == ("hello" if permitted else "")
    assert permitted or "not permitted" in done.stderr
    assert echo.accepted == permitted


def test_target_by_name(world, serve):
    """A target given by name is looked up at the agent."""
    target = serve(servers.Target, lambda connection: connection.sendall(b"by name"))
    world.start_relay()
    world.start_agent(users={"alice": "tcp:localhost:*"})
    client = world.start_client("-L", f"0:localhost:{target.port}")
    with client.dial() as connection:
        assert read_to_end(connection) == (b"by name", "eof")


def test_bytes_sent_before_the_circuit_is_there(world, echo, serve):
    """Bytes that an application sends before the client has reached its agent wait and arrive in order."""
    world.start_relay()
    world.start_agent()
    proxy = serve(Proxy, world.relay_address)
    proxy.hold_new = {DOWN}
    client = world.start_client(*forwards(echo.port), relay=proxy.address, connected=False)
    with client.dial() as connection:
        data = bytes(range(256)) * 200
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        proxy.hold()
        assert read_to_end(connection) == (data, "eof")
    client.connected()


def test_early_bytes_do_not_wait_for_opened(world, serve):
    """The first bytes of a stream travel with its OPEN: the target has them although nothing has
    come back to the client yet, so that a connection costs one round trip and not two."""
    target = serve(servers.Target, lambda connection: read_exactly(connection, 1000))
    world.start_relay()
    world.start_agent()
    proxy = serve(Proxy, world.relay_address)
    client = world.start_client(*forwards(target.port), relay=proxy.address)
    proxy.hold(DOWN)
    with client.dial() as connection:
        connection.sendall(b"e" * 1000)
        assert target.outcome() == b"e" * 1000
        proxy.hold()


def test_more_early_bytes_than_the_early_credit(world, serve, echo):
    """Bytes beyond the early credit wait for OPENED; all arrive once and in order."""
    world.start_relay()
    world.start_agent()
    proxy = serve(Proxy, world.relay_address)
    client = world.start_client(*forwards(echo.port), relay=proxy.address)
    proxy.hold(DOWN)
    data = bytes(range(251)) * 5000
    with client.dial() as connection:
        sending = servers.Task(connection.sendall, data)
        wait_for(lambda: echo.bytes > 0, 10, "early bytes are at the target")
        stays_false(lambda: echo.bytes >= len(data), 0.5, "the whole arrives before OPENED")
        proxy.hold()
        assert read_exactly(connection, len(data)) == data
        sending.result(10)


def test_server_speaks_first(world, serve):
    """A banner comes before the application has said anything."""
    target = serve(servers.Target, lambda connection: connection.sendall(b"220 ready\r\n"))
    client = world.start_all(target.port)[2]
    with client.dial() as connection:
        assert read_to_end(connection) == (b"220 ready\r\n", "eof")


def test_several_forwards_in_one_session(world, serve):
    """Each -L reaches its own target."""
    targets = [
        serve(servers.Target, lambda connection, n=n: connection.sendall(b"%d" % n))
        for n in range(5)
    ]
    client = world.start_all(*(target.port for target in targets))[2]
    for number in (3, 1, 4, 0, 2):
        with client.dial(number) as connection:
            assert read_to_end(connection) == (b"%d" % number, "eof")
    assert len(client.lines(client.CONNECTED)) == 1


URGENT = b"bytes before\xff\xf2", b"!", b"and after", b"?", b""  # every second one is urgent


def send_urgent(connection):
    for i, piece in enumerate(URGENT * 200):
        connection.send(piece, socket.MSG_OOB if i % 5 in (1, 3) else 0)
    connection.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("option", ["-L", "-R", "-D"])
def test_urgent_data(world, serve, option):
    """Urgent data, as telnet and rlogin send it, keeps its bytes and their order in both
    directions; nothing waits for it."""

    def answer(connection):
        got, end = read_to_end(connection)
        send_urgent(connection)
        return got, end

    target = serve(Target, answer)
    world.start_relay()
    conf = world.agent_conf()
    conf.write_text(conf.read_text() + "Listen = default\n")
    world.start_agent(conf=conf)
    address = "0" if option == "-D" else f"0:127.0.0.1:{target.port}"
    client = world.start_client(option, address)
    if option == "-R":
        port = int(client.expect(r"forwarding \S+:(\d+) at the agent")[1])
        connection = socket.create_connection((LOOPBACK, port), timeout=20)
    else:
        connection = client.dial()
    if option == "-D":
        connection.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % target.port)
        assert read_exactly(connection, 39).startswith(b"HTTP/1.1 200 ")
    send_urgent(connection)
    assert target.outcome() == (b"".join(URGENT * 200), "eof")
    assert read_to_end(connection) == (b"".join(URGENT * 200), "eof")
    connection.close()


def test_urgent_data_that_waited(world, echo):
    """A read stops before an urgent byte, and what lies behind it in the socket is read too, though no
    more comes."""
    _, _, client = world.start_all(echo.port)
    with client.dial() as connection:
        assert ask(connection, b"open") == b"open"
        client.signal(signal.SIGSTOP)
        connection.sendall(b"before")
        connection.send(b"!", socket.MSG_OOB)
        connection.sendall(b"after")
        client.signal(signal.SIGCONT)
        assert read_exactly(connection, 12) == b"before!after"
