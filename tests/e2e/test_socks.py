"""-D: SOCKS 5 and HTTP, by curl and by hand."""
import os
import re
import select
import socket
import struct
import subprocess
import time

import pytest

import peer
from harness import LOOPBACK, NETWORK, SLOWNESS, endpoint, free_port, has_ipv6, run, wait_for
from servers import EchoServer, Target, WebServer, ask, read_exactly, read_to_end, reset

GREETING = b"\x05\x01\x00"
CURL_PROXY = 97  # curl's exit code when a SOCKS proxy refuses
CURL_HTTP = 22  # with --fail, when an HTTP proxy refuses


@pytest.fixture
def site(world, serve):
    """A directory served over HTTP and the server's port."""
    directory = world.directory / "site"
    directory.mkdir()
    (directory / "page.html").write_text("<p>the service processor is well</p>\n")
    return directory, serve(WebServer, directory).port


def start(world, allow="tcp:127.0.0.1:*", options=("-D", "0"), **config):
    world.start_relay()
    agent = world.start_agent(users={"alice": allow})
    return agent, world.start_client(*options, **config)


def curl(client, url, *options, proxy="socks5h", code=0, **more):
    return run(
        "curl", "-sS", "--fail", "-x", f"{proxy}://{endpoint(*client.address())}", *options, url,
        code=code, **more,
    )  # fmt: skip


def request(host, port, command=1):
    """A SOCKS request by name."""
    name = host.encode()
    return struct.pack("!BBBBB", 5, command, 0, 3, len(name)) + name + struct.pack("!H", port)


def socks(client, host, port, more=b"", index=0):
    """Asks for a target by hand; returns the connection and the reply's code."""
    connection = client.dial(index)
    connection.sendall(GREETING + request(host, port) + more)
    answer = read_exactly(connection, 12)
    assert answer[:3] == b"\x05\x00\x05" and answer[4:] == b"\x00\x01" + bytes(6)
    return connection, answer[3]


def test_curl_by_every_protocol(world, site):
    """curl fetches a page by SOCKS with the name or the address, by HTTP CONNECT and by plain
    HTTP, all on one port."""
    directory, port = site
    _, client = start(world)
    page = (directory / "page.html").read_text()
    url = f"http://127.0.0.1:{port}/page.html"
    for proxy, options in (("socks5h", ()), ("socks5", ()), ("http", ("--proxytunnel",)), ("http", ())):
        assert curl(client, url, *options, proxy=proxy).stdout == page
    run("curl", "-sS", "--fail", "--socks5-hostname", endpoint(*client.address()), url)


def test_names_are_resolved_at_the_agent(world, site):
    """A name that only the agent's computer knows is reached; its log says that it was a name."""
    if subprocess.run(["unshare", "-rm", "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("mount namespaces are not permitted here")
    directory, port = site
    hosts = world.write("hosts", "127.0.0.1 only-there.example\n")
    inside = f"mount --bind {hosts} /etc/hosts && exec \"$@\""
    world.start_relay()
    plain, world.binary = world.binary, ["unshare", "-rm", "sh", "-c", inside, "sh", *world.binary]
    agent = world.start_agent()
    world.binary = plain
    client = world.start_client("-D", "0")
    page = (directory / "page.html").read_text()
    url = f"http://only-there.example:{port}/page.html"
    assert curl(client, url).stdout == page
    assert curl(client, url, "--proxytunnel", proxy="http").stdout == page
    agent.expect(rf"tcp:only-there\.example:{port}: connected", count=2)
    curl(client, url, proxy="socks5", code=None)  # resolves here: cannot
    assert len(agent.lines(r"tcp:only-there\.example:\d+: (?!ended)")) == 2


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_ipv6(world, serve):
    """IPv6 targets as addresses, and the proxy itself on IPv6."""
    echo = serve(EchoServer, "::1")
    _, client = start(world, allow="tcp:[::1]:*", options=("-D", "[::1]:0"))
    connection = client.dial()
    address = socket.inet_pton(socket.AF_INET6, "::1")
    connection.sendall(GREETING + b"\x05\x01\x00\x04" + address + struct.pack("!H", echo.port))
    assert read_exactly(connection, 4) == b"\x05\x00\x05\x00"
    read_exactly(connection, 8)
    assert ask(connection, b"hello") == b"hello"
    connection.close()
    connection = client.dial()
    connection.sendall(b"CONNECT [::1]:%d HTTP/1.1\r\n\r\n" % echo.port)
    assert read_exactly(connection, 39).startswith(b"HTTP/1.1 200 ")
    assert ask(connection, b"hello") == b"hello"
    connection.close()


def test_many_connections_at_once(world, site):
    """A hundred connections at the same time, as a browser and more: each gets its page."""
    directory, port = site
    for i in range(100):
        (directory / f"{i}.txt").write_text(f"page {i}\n" * 1000)
    _, client = start(world)
    urls = [f"http://127.0.0.1:{port}/{i}.txt" for i in range(100)]
    out = world.directory / "out"
    options = ["--parallel", "--parallel-immediate", "--parallel-max", "100", "--remote-name-all"]
    curl(client, urls[0], *options, "--output-dir", out, "--create-dirs", *urls[1:])
    for i in range(100):
        assert (out / f"{i}.txt").read_text() == f"page {i}\n" * 1000


def test_hundred_open_at_once(world, echo):
    """A hundred connections are open together, whichever protocol asked for them."""
    _, client = start(world)
    connections = []
    for i in range(100):
        connection = client.dial()
        if i % 2:
            connection.sendall(GREETING + request(LOOPBACK, echo.port))
            assert read_exactly(connection, 12)[3] == 0
        else:
            connection.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % echo.port)
            assert read_exactly(connection, 39).startswith(b"HTTP/1.1 200 ")
        connections.append(connection)
    wait_for(lambda: echo.open_connections() == 100, 10, "all are open")
    for i, connection in enumerate(connections):
        assert ask(connection, b"%d" % i) == b"%d" % i
        connection.close()
    wait_for(lambda: echo.open_connections() == 0, 10, "all are closed")


def test_pipelined_bytes_go_to_the_target(world, echo):
    """Bytes behind the request in the same packet are the target's, also megabytes of them."""
    _, client = start(world)
    connection, reply = socks(client, LOOPBACK, echo.port, b"early")
    assert reply == 0
    assert read_exactly(connection, 5) == b"early"
    connection.close()
    data = os.urandom(300000)
    connection = client.dial()
    connection.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % echo.port + data[:100000])
    connection.sendall(data[100000:])
    connection.shutdown(socket.SHUT_WR)
    got, end = read_to_end(connection)
    assert end == "eof"
    assert got.split(b"\r\n\r\n", 1)[1] == data
    connection.close()


def test_refused_target(world):
    """Nobody listens: SOCKS reply 5, HTTP 502, and curl says so; the answer comes whole and the
    connection ends cleanly."""
    agent, client = start(world)
    port = free_port()
    connection, reply = socks(client, LOOPBACK, port, b"these bytes go nowhere" * 1000)
    assert reply == 5
    assert read_to_end(connection) == (b"", "eof")
    connection.close()
    url = f"http://127.0.0.1:{port}/"
    assert "(5)" in curl(client, url, code=CURL_PROXY).stderr
    failed = curl(client, url, "--proxytunnel", proxy="http", code=CURL_HTTP)
    assert "502" in failed.stderr
    client.expect(rf"warn +client: target tcp:127\.0\.0\.1:{port} at lab-1: connection refused$", count=3)
    agent.expect(rf"alice: tcp:127\.0\.0\.1:{port}: connection refused$", count=3)


def test_not_permitted(world, echo):
    """A target that the agent's configuration does not allow: SOCKS reply 2, HTTP 403 with the reason."""
    _, client = start(world, allow=f"tcp:127.0.0.1:{echo.port}")
    connection, reply = socks(client, LOOPBACK, free_port())
    assert reply == 2
    assert read_to_end(connection) == (b"", "eof")
    connection.close()
    connection = client.dial()
    connection.sendall(b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n")
    got, end = read_to_end(connection)
    assert got.startswith(b"HTTP/1.1 403 Forbidden\r\n") and b"not permitted" in got
    assert end == "eof"
    connection.close()
    connection, reply = socks(client, LOOPBACK, echo.port)  # the session is well
    assert reply == 0 and ask(connection, b"x") == b"x"
    connection.close()


def test_no_such_name(world):
    """A name that does not exist: reply 4."""
    _, client = start(world, allow="tcp:*:*")
    connection, reply = socks(client, "nowhere.invalid", 80)
    assert reply == 4
    connection.close()


class Refusing(peer.Site):
    """Relay and agent that reset every stream to port 1000 + n with code n."""

    def session(self, circuit):
        while True:
            got = circuit.receive()
            if got.kind == peer.OPEN:
                reader = peer.Reader(got.payload)
                reader.take(4)
                code = int(reader.text().rpartition(":")[2]) - 1000
                text = peer.u16(code) + peer.string("so says the agent")
                circuit.send(peer.frame(peer.RESET, got.stream, text))


# RESET's code -> SOCKS reply (RFC 1928 section 6), HTTP status (RFC 9110 section 15).
REPLIES = {
    0: (1, 502), 1: (5, 502), 2: (4, 502), 3: (6, 504), 4: (2, 403), 5: (4, 502), 6: (1, 502),
    7: (1, 503), 8: (8, 502), 9: (1, 502), 10: (1, 502), 999: (1, 502),
}  # fmt: skip


def test_reply_for_each_code(world, serve):
    """Each reason for which a stream is reset has its answer in SOCKS and in HTTP, unknown ones
    too; each answer comes whole and is followed by a clean end."""
    agent = peer.Agent(peer.Pair(world.key("lab-1").path), "lab-1")
    serve(Refusing, peer.Pair(world.key("relay").path), agent, address=world.relay_address)
    client = world.start_client("-D", "0")
    for code, (reply, status) in REPLIES.items():
        connection, got = socks(client, LOOPBACK, 1000 + code)
        assert (got, read_to_end(connection)) == (reply, (b"", "eof")), f"RESET({code})"
        connection.close()
        with client.dial() as connection:
            connection.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % (1000 + code))
            answer, end = read_to_end(connection)
        assert answer.startswith(b"HTTP/1.1 %d " % status) and end == "eof", f"RESET({code})"
        assert b"so says the agent" in answer
    assert len(client.lines("so says the agent")) == 2 * len(REPLIES)


def test_authentication_and_address_kinds(world):
    """No method but none at all is taken (0xff), no kind of address but three (reply 8)."""
    _, client = start(world)
    with client.dial() as connection:
        connection.sendall(b"\x05\x02\x01\x02")
        assert read_to_end(connection) == (b"\x05\xff", "eof")
    for kind in (0, 2, 5, 255):
        with client.dial() as connection:
            connection.sendall(GREETING + bytes([5, 1, 0, kind]) + bytes(300))
            answer, end = read_to_end(connection)
        assert (answer[:4], end) == (b"\x05\x00\x05\x08", "eof")


NASTY_HOSTS = [b"127.0.0.1\x00.example", b"\x1b[2J", b"a\nb", b"\xc2\x9b31m", b"\xff\xfe", b"\xe2\x80\xaegpj", b"a\x00b", b"", b" "]


def test_names_that_are_none(world):
    """Bytes that would do something to a terminal reach no log as they are, and the application has
    an answer."""
    _, client = start(world, allow="tcp:*:*", options=("-D", "0"))
    for host in NASTY_HOSTS:
        name = bytes([5, 1, 0, 3, len(host)]) + host + b"\0\x50"
        with client.dial() as connection:
            connection.sendall(GREETING + name)
            answer, end = read_to_end(connection)
        assert len(answer) == 12 and answer[3] in (4, 8) and end == "eof", host
        with client.dial() as connection:
            connection.sendall(b"CONNECT %s:80 HTTP/1.1\r\n\r\n" % host)
            answer, end = read_to_end(connection)
        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 502 ")) and end == "eof", host
    for program in world.programs:
        raw = program.log_path.read_bytes()
        assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", raw)
        assert not re.search("[\x80-\x9f\u202e]", raw.decode("utf-8"))


@pytest.mark.parametrize("command", [2, 0, 255])
def test_other_commands(world, command):
    """BIND and unknown commands: reply 7."""
    _, client = start(world)
    connection = client.dial()
    connection.sendall(GREETING + request(LOOPBACK, 80, command))
    assert read_exactly(connection, 4) == b"\x05\x00\x05\x07"
    connection.close()


def answer_http(connection):
    """A web server that answers one request with what it got, and stays open for another."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += connection.recv(65536)
    head, _, body = got.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while (length and len(body) < int(length[1])) or (b"chunked" in head and not body.endswith(b"0\r\n\r\n")):
        body += connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    rest, _ = read_to_end(connection)
    return head, body + rest


def test_plain_http_requests(world, site, serve):
    """http:// pages through -D as the HTTP proxy of curl, as browsers use it: several in a row, with
    bodies of both kinds; the server gets a request as if there were no proxy."""
    directory, port = site
    (directory / "other.html").write_text("other")
    _, client = start(world)
    url = f"http://127.0.0.1:{port}"
    page = (directory / "page.html").read_text()
    assert curl(client, f"{url}/other.html", f"{url}/page.html", proxy="http").stdout == page + "other"
    target = serve(Target, answer_http)
    body = os.urandom(200000).hex()
    file = world.write("body", body)
    for options, framing in (("--data-binary", f"@{file}"), b"Content-Length: 400000"), (("-T", "-"), b"Transfer-Encoding: chunked"):
        got = curl(client, f"http://127.0.0.1:{target.port}/up?x", *options, "-m", "20", proxy="http", input=body)
        assert got.stdout == "hello"
        head, sent = target.outcome()
        assert re.match(rb"(POST|PUT) /up\?x HTTP/1\.1\r\nHost: 127\.0\.0\.1:%d\r\n" % target.port, head)
        assert framing in head and b"Proxy-" not in head and head.endswith(b"\r\nConnection: close")
        assert body.encode() in sent or framing != b"Content-Length: 400000"
        assert len(sent) >= len(body)


def test_plain_http_refused(world):
    """A failure is answered in HTTP, with its reason."""
    _, client = start(world)
    port = free_port()
    failed = curl(client, f"http://127.0.0.1:{port}/", proxy="http", code=CURL_HTTP)
    assert "502" in failed.stderr
    with client.dial() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        got, end = read_to_end(connection)
    assert got.startswith(b"HTTP/1.1 400 ") and b"this is a proxy" in got and end == "eof"
    client.expect("this is a proxy, not a web server")


def test_second_request_goes_nowhere(world, serve):
    """The next request on a plain request's connection may be for another server: the first gets none
    of it, sent at once or later."""
    _, client = start(world)
    target = serve(Target, answer_http)
    first = b"GET http://127.0.0.1:%d/ HTTP/1.1\r\n\r\n" % target.port
    second = b"GET http://secret.example/ HTTP/1.1\r\nCookie: secret\r\n\r\n"
    for at_once in (True, False):
        with client.dial() as connection:
            connection.sendall(first + second if at_once else first)
            if not at_once:
                assert read_exactly(connection, 43).endswith(b"hello")
                connection.sendall(second)
            read_to_end(connection)
        head, rest = target.outcome()
        assert head.startswith(b"GET / HTTP/1.1\r\n") and rest == b""


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_ipv6_as_programs_name_it(world, serve):
    """python3's urllib asks for CONNECT ::1:PORT, others give SOCKS an address in brackets as a
    name."""
    target = serve(Target, lambda connection: connection.recv(1), "::1")
    _, client = start(world, allow="tcp:[::1]:*")
    script = "import sys, urllib.request as u; u.build_opener(u.ProxyHandler({'https': sys.argv[1]})).open(sys.argv[2])"
    run("python3", "-c", script, f"http://{endpoint(*client.address())}", f"https://[::1]:{target.port}/", code=1)
    assert target.outcome() == b"\x16"  # of TLS
    for host in ("[::1]", "::1"):
        connection, reply = socks(client, host, target.port, b"x")
        assert reply == 0
        assert target.outcome() == b"x"
        connection.close()


def test_real_reasons(world):
    """Log and answer say what was wrong with the request."""
    _, client = start(world, allow="tcp:*:*")
    connection, reply = socks(client, "web.example", 0)
    assert reply == 1
    connection.close()
    client.expect("the application asks for port 0 of web.example$")
    connection, reply = socks(client, "a" * 254, 80)
    assert reply == 4
    connection.close()
    client.expect("names a host of more than 253 characters: aaa")
    with client.dial() as connection:
        connection.sendall(b"CONNECT web.example:0 HTTP/1.1\r\n\r\n")
        got, _ = read_to_end(connection)
    assert got.startswith(b"HTTP/1.1 400 ") and got.endswith(b"\r\n\r\nthe application asks for port 0 of web.example\n")


def test_final_dots(world, echo):
    """An absolute name is the name: on the command line, in files, by the proxy."""
    world.start_relay()
    world.start_agent(users={"alice": "tcp:localhost.:*"})
    client = world.start_client("-D", "0", "-L", f"localhost.:0:localhost.:{echo.port}")
    for connection in (client.dial(1), socks(client, "localhost.", echo.port)[0]):
        assert ask(connection, b"x") == b"x"
        connection.close()


@pytest.mark.parametrize(
    "first", [b"\x00", b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", b"\x16\x03\x01", b"\xff" * 5000]
)
def test_garbage(world, echo, first):
    """A request of neither protocol ends at once, and disturbs nobody."""
    _, client = start(world)
    with client.dial() as connection:
        connection.sendall(first)
        assert read_to_end(connection)[0] == b""
    connection, reply = socks(client, LOOPBACK, echo.port)
    assert reply == 0 and ask(connection, b"x") == b"x"
    connection.close()


def test_too_long_header(world):
    """A header that does not end within 8 KiB is refused."""
    _, client = start(world)
    with client.dial() as connection:
        connection.sendall(b"CONNECT a:1 HTTP/1.1\r\nX: " + b"x" * 8200)
        got, end = read_to_end(connection)
    assert got.startswith(b"HTTP/1.1 431 ") and end == "eof"


def test_slow_requests(world, echo):
    """A request byte by byte is taken; one that is not whole after 10 s is ended, and bytes that
    trickle do not keep it alive."""
    _, client = start(world)
    with client.dial() as connection:
        for byte in GREETING + request(LOOPBACK, echo.port):
            connection.sendall(bytes([byte]))
        assert read_exactly(connection, 12)[3] == 0
    silent, trickle = client.dial(), client.dial()
    begun = time.monotonic()
    trickle.sendall(b"CONNECT a:1 HTTP/1.1\r\nX: ")

    def ended():
        try:
            trickle.sendall(b"x")
            time.sleep(0.2)
        except OSError:
            return True
        return False

    wait_for(ended, 20, "the trickle is ended")
    assert 9 < time.monotonic() - begun < 14 * SLOWNESS
    assert read_to_end(silent)[0] == b""
    client.expect(r"no request from the application within 10 s", count=2)
    silent.close()
    trickle.close()


def test_refused_application_that_stays(world):
    """One that has been told why, and goes on talking, has two seconds to read it."""
    _, client = start(world)
    with client.dial() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert read_to_end(connection)[0].startswith(b"HTTP/1.1 400 ")
        begun = time.monotonic()

        def ended():
            try:
                connection.sendall(b"x")
                return False
            except OSError:
                return True

        wait_for(ended, 5, "the connection is closed")
        assert 1.5 < time.monotonic() - begun


def test_half_done_requests_are_bounded(world, echo):
    """As many connections without a whole request as there may be streams: one more takes the place of
    the oldest, and is served at once; what the client keeps is bounded."""
    _, client = start(world)
    before = client.peak_memory_bytes()
    silent = [client.dial() for _ in range(1024)]
    for connection in silent[::2]:
        connection.sendall(b"CONNECT ")
    late = client.dial()
    late.sendall(GREETING + request(LOOPBACK, echo.port))
    late.settimeout(5 * SLOWNESS)
    assert read_exactly(late, 12)[3] == 0
    assert ask(late, b"x") == b"x"
    poll = select.poll()
    for connection in silent:
        poll.register(connection, select.POLLIN)
    ended = [fd for fd, _ in poll.poll(5000)]
    assert ended == [silent[0].fileno()]  # well before the time for a request is over
    assert read_to_end(silent[0]) == (b"", "reset")
    client.expect("too many connections without a request: the oldest is closed")
    assert client.peak_memory_bytes() - before < 16 << 20
    for connection in [late, *silent]:
        connection.close()


def test_refused_requests_hold_up_nobody(world, echo):
    """As many connections whose request was refused as there may be without a stream: one more is
    served at once, in the place of the one that was refused first, also when others follow it."""
    _, client = start(world)
    refused = [client.dial() for _ in range(1024)]
    for connection in refused:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
    for connection in refused:
        assert connection.recv(12) == b"HTTP/1.1 400"
    begun = time.monotonic()
    late = client.dial()
    late.sendall(GREETING)
    assert read_exactly(late, 2) == b"\5\0"
    others = [client.dial() for _ in range(8)]
    late.sendall(request(LOOPBACK, echo.port))
    assert read_exactly(late, 10)[1] == 0
    assert ask(late, b"x") == b"x"
    assert time.monotonic() - begun < 1 * SLOWNESS  # half the time that a refused one has
    for connection in [late, *others, *refused]:
        connection.close()


def test_target_reset_after_open(world, serve):
    """After the answer a reset stays a reset: no end of file for a cut transfer."""

    def cut(connection):
        connection.sendall(b"half a tr")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.recv(1)

    target = serve(Target, cut)
    _, client = start(world)
    connection, reply = socks(client, LOOPBACK, target.port, b"")
    assert reply == 0
    assert read_exactly(connection, 9) == b"half a tr"
    connection.sendall(b"x")
    assert read_to_end(connection) == (b"", "reset")
    connection.close()


def test_goes_on_after_a_new_session(world, echo):
    """The proxy's port stays open while the agent restarts; requests wait and then succeed, those
    of connections that were there before and those of new ones."""
    agent, client = start(world)
    connection, _ = socks(client, LOOPBACK, echo.port)
    before = client.dial()
    before.sendall(GREETING)
    assert read_exactly(before, 2) == b"\x05\x00"
    agent.stop()
    assert read_to_end(connection)[1] == "reset"
    connection.close()
    client.expect("the session has ended")
    before.sendall(request(LOOPBACK, echo.port))
    after = client.dial()
    after.sendall(GREETING + request(LOOPBACK, echo.port))
    world.start_agent()
    for waiting, size in ((before, 10), (after, 12)):
        waiting.settimeout(40 * SLOWNESS)
        assert read_exactly(waiting, size)[size - 9] == 0
        assert ask(waiting, b"x") == b"x"
        waiting.close()


def test_client_ends_before_the_answer(world, echo):
    """Who waits for an answer when the client ends sees a reset: one whose request is half done, one
    that was not even accepted."""
    agent, client = start(world)
    connection, _ = socks(client, LOOPBACK, echo.port)  # the session has begun at the agent too
    connection.close()
    half = client.dial()
    half.sendall(GREETING)
    assert read_exactly(half, 2) == b"\x05\x00"
    agent.stop()
    client.expect("the session has ended")
    waiting = client.dial()
    waiting.sendall(b"CONNECT 127.0.0.1:9 HTTP/1.1\r\n\r\n")
    client.stop()
    for connection in (half, waiting):
        assert read_to_end(connection)[1] == "reset"
        connection.close()


# Forward lines.


def test_forward_lines(world, echo):
    """The agent's Forward lines are enough; what the command line says takes their place."""
    world.start_relay()
    world.start_agent()
    lines = [f"-L 0:127.0.0.1:{echo.port}", "-D  0"]
    client = world.start_client(forward=lines)
    with client.dial(0) as connection:
        assert ask(connection, b"x") == b"x"
    with client.dial(1) as connection:
        connection.sendall(GREETING + request(LOOPBACK, echo.port))
        assert read_exactly(connection, 12)[3] == 0
    other = world.start_client("-L", "0:127.0.0.1:1", forward=lines)
    assert len(other.lines("forwarding ")) == 1
    taken = [f"-L {client.address(0)[1]}:127.0.0.1:1"]  # with -W nothing listens
    world.run_pipe(f"127.0.0.1:{echo.port}", forward=taken, input="x")


def test_nothing_to_do(world):
    """Neither options nor Forward lines: a usage error, before anything is connected."""
    failed = run(world.binary[0], "client", "-c", world.client_conf(), "lab-1", code=2)
    assert "nothing to do: give -L, -D, -R, -U or -W, or Forward lines" in failed.stderr
    assert "did you mean" not in failed.stderr
    for words, meant in ((["lsit"], "list"), (["target", "lab-1"], "targets")):
        failed = run(world.binary[0], "client", "-c", world.client_conf(), *words, code=2)
        assert failed.stderr.endswith(f"did you mean the command '{meant}'?\n")
    failed = run(
        world.binary[0], "client", "-c", world.client_conf(forward=["-L 1"]), "lab-1", code=3
    )
    assert "Forward" in failed.stderr


# UNIX sockets.


def unix_echo(serve, path):
    """An echo server on a UNIX socket; keeps what each connection's end was like."""

    def handle(connection):
        parts = []
        while True:
            data = connection.recv(65536)
            if not data:
                return b"".join(parts)
            parts.append(data)
            connection.sendall(data)

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)
    return serve(Target, handle, listener=listener)


def unix_dial(path):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20 * SLOWNESS)
    connection.connect(str(path))
    return connection


@pytest.fixture
def sockets(world, tmp_path_factory):
    """A directory whose name is short enough for sockets."""
    return tmp_path_factory.mktemp("s")


def test_unix_sockets_on_both_sides(world, serve, sockets):
    """-L with a path on either side and on both; the local file is its owner's alone and gone at
    the end."""
    there, here = sockets / "there", sockets / "here"
    target = unix_echo(serve, there)
    echo = serve(EchoServer)
    world.start_relay()
    world.start_agent(users={"alice": f"unix:{there}, tcp:127.0.0.1:{echo.port}"})
    client = world.start_client("-L", f"{here}:{there}", "-L", f"{here}2:127.0.0.1:{echo.port}",
                                "-L", f"0:{there}")  # fmt: skip
    assert here.stat().st_mode & 0o777 == 0o600
    with unix_dial(here) as connection:
        data = os.urandom(1 << 20)
        connection.settimeout(20)
        for i in range(0, len(data), 65536):
            assert ask(connection, data[i : i + 65536]) == data[i : i + 65536]
        connection.shutdown(socket.SHUT_WR)
        assert read_to_end(connection) == (b"", "eof")
    assert target.outcome() == data
    with unix_dial(f"{here}2") as connection:
        assert ask(connection, b"x") == b"x"
    connection = socket.create_connection(client.address(0), timeout=20)
    assert ask(connection, b"x") == b"x"
    connection.close()
    client.stop()
    assert not here.exists() and not (sockets / "here2").exists()


def test_unix_many_at_once(world, serve, sockets):
    """More connections at once than the target's queue holds: all get through."""
    there, here = sockets / "there", sockets / "here"
    unix_echo(serve, there)
    world.start_relay()
    world.start_agent(users={"alice": f"unix:{there}"})
    world.start_client("-L", f"{here}:{there}")
    connections = [unix_dial(here) for _ in range(60)]
    for i, connection in enumerate(connections):
        assert ask(connection, b"%d" % i) == b"%d" % i
    for connection in connections:
        connection.close()


def test_unix_end_that_is_not_clean(world, serve, sockets):
    """An application on a UNIX socket that has sent anything gets ECONNRESET, after all bytes, when
    the stream is cut; a clean end stays clean."""
    there, here = sockets / "there", sockets / "here"
    target = unix_echo(serve, there)
    world.start_relay()
    agent = world.start_agent(users={"alice": f"unix:{there}"})
    world.start_client("-L", f"{here}:{there}")
    clean, cut, later = (unix_dial(here) for _ in range(3))
    for connection in (clean, cut, later):
        assert ask(connection, b"1234") == b"1234"
    clean.shutdown(socket.SHUT_WR)
    assert read_to_end(clean) == (b"", "eof")
    assert target.outcome() == b"1234"
    later.sendall(b"5")
    wait_for(lambda: later.recv(1, socket.MSG_PEEK) == b"5", 10, "it is there")
    agent.stop()
    assert read_to_end(cut) == (b"", "reset")
    assert read_to_end(later) == (b"5", "reset")
    for connection in (clean, cut, later):
        connection.close()


def test_unix_target_sees_a_cut_stream(world, serve, sockets):
    """The other way round: a target on a UNIX socket."""
    there = sockets / "there"
    outcomes = []

    def handle(connection):
        connection.sendall(b"hello")
        outcomes.append(read_to_end(connection))

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(there))
    listener.listen(5)
    serve(Target, handle, listener=listener)
    world.start_relay()
    world.start_agent(users={"alice": f"unix:{there}"})
    client = world.start_client("-L", f"0:{there}")
    connection = socket.create_connection(client.address(0), timeout=20)
    connection.sendall(b"x")
    assert read_exactly(connection, 5) == b"hello"
    reset(connection)
    wait_for(lambda: outcomes, 10, "the target sees the end")
    assert outcomes == [(b"x", "reset")]


def test_unix_policy(world, serve, sockets):
    """A path that is not allowed is not connected to; one where nobody is, neither."""
    there = sockets / "there"
    unix_echo(serve, there)
    world.start_relay()
    agent = world.start_agent(users={"alice": f"tcp:*:*, unix:{sockets}/absent"})
    client = world.start_client(
        "-L", f"{sockets}/a:{there}", "-L", f"{sockets}/b:{sockets}/absent"
    )
    with unix_dial(sockets / "a") as connection:
        assert read_to_end(connection)[0] == b""
    agent.expect(rf"unix:{there}: not permitted")
    with unix_dial(sockets / "b") as connection:
        assert read_to_end(connection)[0] == b""
    client.expect(rf"unix:{sockets}/absent at lab-1: target unreachable: no such file or directory$")
    agent.expect(rf"alice: unix:{sockets}/absent: no such file or directory$")


def test_unix_file_of_a_killed_client(world, echo, sockets):
    """A socket file that nobody listens on is replaced; one in use, or another kind of file, is
    not."""
    here = sockets / "here"
    world.start_relay()
    world.start_agent()
    first = world.start_client("-L", f"{here}:127.0.0.1:{echo.port}")
    conf = world.client_conf()
    second = run(world.binary[0], "client", "-c", conf, "lab-1", "-L", f"{here}:h:1", code=NETWORK)
    assert "another program listens there: stop it or choose another path" in second.stderr
    third = [f"{sockets}/none/here:h:1"]
    third = run(world.binary[0], "client", "-c", conf, "lab-1", "-L", *third, code=NETWORK)
    assert "no such file or directory (its directory must exist)" in third.stderr
    first.kill()
    assert here.exists()
    world.start_client("-L", f"{here}:127.0.0.1:{echo.port}")
    with unix_dial(here) as connection:
        assert ask(connection, b"x") == b"x"
    file = world.write("file", "kept")
    run(world.binary[0], "client", "-c", conf, "lab-1", "-L", f"{file}:h:1", code=NETWORK)
    assert file.read_text() == "kept"
