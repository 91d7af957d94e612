"""UDP through -U: real programs, many peers, policy, and what a lost circuit does to it."""
import json
import os
import shutil
import socket
import threading

import pytest
import socks

import proxy
import servers
from harness import LOOPBACK, NETWORK, SLOWNESS, Program, endpoint, free_port, has_ipv6, run, wait_for

PEERS_MAX = 256


class UdpEcho:
    """Sends back each datagram, with how many senders it has seen."""

    def __init__(self, host=LOOPBACK):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((host, 0))
        self.port = self.socket.getsockname()[1]
        self.senders = {}
        self.closing = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            data, sender = self.socket.recvfrom(65536)
            if self.closing:
                return
            self.senders[sender] = self.senders.get(sender, 0) + 1
            self.socket.sendto(data, sender)

    def close(self):
        self.closing = True
        with socket.socket(self.socket.family, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self.socket.getsockname())
        self.thread.join(10)
        self.socket.close()


class Application:
    """A local UDP socket that talks to a forward."""

    def __init__(self, address):
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.connect(address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def answer(self, seconds=0.0):
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(65536)
        except (TimeoutError, BlockingIOError):
            return None

    def ask(self, data, seconds=10 * SLOWNESS):
        """Sends once; the answer to it."""
        self.socket.send(data)
        answer = self.answer(seconds)
        assert answer == data, f"{len(data)} bytes sent, the answer is {answer!r:.60}"

    def ask_until_answered(self, data, seconds=40):
        """Sends again and again, as programs over UDP do."""

        def asked():
            self.socket.send(data)
            return self.answer(0.1) == data

        wait_for(asked, seconds, "an answer")


def udp(*ports, host=LOOPBACK):
    listen = "[::1]" if ":" in host else LOOPBACK
    return [part for port in ports for part in ("-U", f"{listen}:0:{endpoint(host, port)}")]


@pytest.fixture
def start(world):
    """Starts relay, agent and a client with these arguments; returns the client."""

    def start_all(*arguments, allow="udp:127.0.0.1:*, tcp:127.0.0.1:*"):
        world.start_relay()
        world.agent = world.start_agent(users={"alice": allow})
        return world.start_client(*arguments)

    return start_all


@pytest.fixture
def udp_echo(serve):
    return serve(UdpEcho)


def test_datagrams_keep_their_size(start, udp_echo):
    """Datagrams of every size come through whole, the empty and the largest too."""
    client = start(*udp(udp_echo.port))
    with Application(client.address()) as app:
        for size in (0, 1, 100, 1472, 1473, 9000, 16384, 40000, 65507):
            app.ask(bytes(i * 31 % 251 for i in range(size)))
    assert len(udp_echo.senders) == 1


def test_first_datagram_is_not_lost(start, udp_echo):
    """Each program's first question is answered, also while its name is being looked up."""
    client = start(*udp(udp_echo.port, host="localhost"), allow=f"udp:localhost:{udp_echo.port}")
    for _ in range(20):
        with Application(client.address()) as app:
            app.ask(b"first")


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_ipv6_on_both_sides(start, serve):
    echo = serve(UdpEcho, "::1")
    client = start(*udp(echo.port, host="::1"), allow="udp:[::1]:*")
    with Application(client.address()) as app:
        app.ask(b"six")


def told(program, pattern):
    """How many such lines there were, those that were left out included."""
    more = program.lines(pattern + r".*\((\d+) more like this left out")
    return len(program.lines(pattern)) + sum(int(found[1]) for found in more)


def test_many_peers(start, world, udp_echo):
    """Each local program has a source of its own at the target and gets its own answers; beyond the
    limit the one idle longest goes, and comes back when it speaks."""
    client = start(*udp(udp_echo.port))
    apps = [Application(client.address()) for _ in range(PEERS_MAX + 50)]
    try:
        for number, app in enumerate(apps):
            app.ask(b"%d" % number)
        apps[280].ask(b"spoke not long ago")
        for number in reversed(range(len(apps))):
            apps[number].ask(b"again %d" % number)
        apps[60].ask(b"used a moment ago")
    finally:
        for app in apps:
            app.socket.close()
    # On the way back those of the limit are known, the others are new and take the places of those
    # that spoke first then.
    client.stop()
    expected = 2 * len(apps) - PEERS_MAX
    wait_for(lambda: told(world.agent, "open for datagrams") >= expected, 15, "all are told of")
    assert told(world.agent, "open for datagrams") == expected


def test_target_not_permitted(start, udp_echo, world):
    """The agent's policy is asked for udp targets of their own; a tcp one permits no udp."""
    client = start(*udp(udp_echo.port), allow=f"tcp:*:*, udp:127.0.0.1:{udp_echo.port % 60000 + 1}")
    with Application(client.address()) as app:
        app.socket.send(b"may I?")
        client.expect(rf"target udp:127.0.0.1:{udp_echo.port} at lab-1: not permitted")
        world.agent.expect(rf"udp:127.0.0.1:{udp_echo.port}: not permitted")
        assert app.answer() is None
    assert not udp_echo.senders


def test_address_checked_after_look_up(start, udp_echo):
    """A name is allowed by the addresses it has, when the policy is of addresses."""
    client = start(*udp(udp_echo.port, host="localhost"), allow="udp:10.0.0.0/8:*")
    with Application(client.address()) as app:
        app.socket.send(b"may I?")
        client.expect(r"target udp:localhost:\d+ at lab-1: not permitted")
    assert not udp_echo.senders


def test_service_that_is_not_there_yet(start, world, serve):
    """A refused datagram ends nothing: once the service runs the next one reaches it."""
    port = free_port()
    client = start(*udp(port))
    with Application(client.address()) as app:

        def refused():
            app.socket.send(b"too early")
            return world.agent.lines(rf"udp:127.0.0.1:{port}: connection refused; datagrams go on")

        wait_for(refused, 10, "the agent says that it is refused")
        late = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with late:
            late.bind((LOOPBACK, port))
            late.settimeout(10 * SLOWNESS)
            app.socket.send(b"now")
            data, sender = late.recvfrom(100)
            while data == b"too early":
                data, sender = late.recvfrom(100)
            late.sendto(data, sender)
        assert app.answer(10 * SLOWNESS) == b"now"


def test_goes_on_after_a_lost_circuit(serve, world, udp_echo):
    """Datagrams of the time without a circuit are lost, later ones pass, from the same source."""
    between = serve(proxy.Proxy, world.relay_address)
    world.start_relay()
    world.start_agent(users={"alice": "udp:127.0.0.1:*"})
    client = world.start_client(*udp(udp_echo.port), relay=between.address)
    with Application(client.address()) as app:
        app.ask(b"before")
        between.cut()
        client.lost()
        app.ask_until_answered(b"after")
        client.resumed()
    assert len(udp_echo.senders) == 1


def test_relay_restarts(world, udp_echo):
    """Later datagrams pass when the relay is back."""
    relay = world.start_relay()
    world.start_agent(users={"alice": "udp:127.0.0.1:*"})
    client = world.start_client(*udp(udp_echo.port))
    with Application(client.address()) as app:
        app.ask(b"before")
        relay.kill()
        client.lost()
        for _ in range(200):
            app.socket.send(b"dropped")
        world.start_relay()
        app.ask_until_answered(b"after")
    assert len(udp_echo.senders) == 1


def test_beside_a_bulk_transfer(start, udp_echo, echo):
    """Datagrams get through while a stream takes all it can."""
    client = start(*udp(udp_echo.port), "-L", f"{LOOPBACK}:0:{LOOPBACK}:{echo.port}")
    bulk = client.dial(1)
    task = servers.Task(servers.exchange, bulk, 256 << 20, 1)
    answered = 0
    with Application(client.address()) as app:
        while not task.done:
            app.socket.send(b"%d" % answered)
            answered += app.answer(1) is not None
    sent, size, received = task.result(60)
    assert (size, received) == (256 << 20, sent)
    assert answered > 20


def test_client_configuration_has_it(world, udp_echo):
    """-U as a Forward line of the agent's section."""
    world.start_relay()
    world.start_agent(users={"alice": "udp:127.0.0.1:*"})
    conf = world.client_conf()
    conf.write_text(conf.read_text() + f"Forward = -U 127.0.0.1:0:127.0.0.1:{udp_echo.port}\n")
    client = world.start_client(conf=conf)
    with Application(client.address()) as app:
        app.ask(b"configured")


def test_port_in_use(world, udp_echo):
    """The client says which address it cannot have."""
    world.start_relay()
    world.start_agent()
    taken = f"127.0.0.1:{udp_echo.port}:127.0.0.1:9"
    client = world.start_client("-U", taken, connected=False)
    client.wait_exit(NETWORK)
    assert client.lines(rf"cannot listen on 127.0.0.1:{udp_echo.port}: address (already )?in use")


# SOCKS 5 UDP ASSOCIATE, by PySocks.


@pytest.fixture
def associate(start):
    """Starts a client with -D; makes applications' sockets that use it."""
    opened = []

    def new(client):
        made = socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.append(made)
        made.settimeout(10 * SLOWNESS)
        made.set_proxy(socks.SOCKS5, *client.address())
        made.bind((LOOPBACK, 0))
        return made

    yield new
    for made in opened:
        made.close()


def socks_ask(application, data, target, named=None):
    """An answer bears the name that the question had."""
    application.sendto(data, target)
    answer, sender = application.recvfrom(65536)
    assert (answer, sender) == (data, named or target)


def test_associate(start, serve, udp_echo, associate):
    """One application asks two targets by address and by name, another one the first of them."""
    other = serve(UdpEcho)
    client = start("-D", "0", allow="udp:127.0.0.1:*")
    first, second = associate(client), associate(client)
    for turn in range(3):
        socks_ask(first, b"one %d" % turn, (LOOPBACK, udp_echo.port))
        socks_ask(first, b"two %d" % turn, (LOOPBACK, other.port))
        socks_ask(second, b"three %d" % turn, (LOOPBACK, udp_echo.port))
    socks_ask(first, bytes(60000), (LOOPBACK, udp_echo.port))
    assert len(udp_echo.senders) == 2 and len(other.senders) == 1


def test_associate_ends_with_its_connection(start, world, udp_echo, associate):
    """The streams of an application that is gone are reset; its place is free again."""
    client = start("-D", "0", allow="udp:127.0.0.1:*")
    for _ in range(200):  # one after the other: far more than may be at once
        application = associate(client)
        socks_ask(application, b"hello", (LOOPBACK, udp_echo.port))
        application.close()
    assert sum(udp_echo.senders.values()) == 200


def test_associate_at_most(start, udp_echo, associate):
    """The sixty-fifth is refused, and has a place when another one ends."""
    client = start("-D", "0", allow="udp:127.0.0.1:*")
    applications = [associate(client) for _ in range(64)]
    with pytest.raises(socks.ProxyError):
        associate(client).sendto(b"one too many", (LOOPBACK, udp_echo.port))
    for application in applications:
        socks_ask(application, b"here", (LOOPBACK, udp_echo.port))
    applications[7].close()

    def taken():
        try:
            return associate(client)
        except socks.ProxyError:
            return None

    application = wait_for(taken, 10, "a place for one more")
    socks_ask(application, b"now", (LOOPBACK, udp_echo.port))


# Real programs.


def find(program):
    path = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin")
    assert path, f"no {program}: make test-deps installs it"
    return path


@pytest.fixture
def dns(world):
    """A DNS server on loopback: its port."""
    port = free_port()
    conf = world.write(
        "dnsmasq.conf",
        "\n".join(
            [
                f"port={port}",
                f"listen-address={LOOPBACK}",
                "bind-interfaces",
                "no-resolv",
                "no-hosts",
                "address=/controller.example/192.0.2.17",
                "edns-packet-max=4096",
                *(f"txt-record=large.example,{number}{'x' * 200}" for number in range(12)),
                "",
            ]
        ),
    )
    argv = [find("dnsmasq"), "--keep-in-foreground", f"--conf-file={conf}", "--log-facility=-"]
    argv += ["--user=", "--group=", f"--pid-file={world.directory}/dnsmasq.pid"]
    world.start(Program("dnsmasq", argv, world.directory)).expect(r"started")
    return port


def dig(address, *question):
    host, port = address
    # One try: a datagram that is lost fails the test.
    return run("dig", f"@{host}", "-p", port, "+tries=1", "+time=10", *question, seconds=20).stdout


def test_dig(start, dns):
    """Questions to a real DNS server, with small answers and with large ones."""
    client = start(*udp(dns))
    for _ in range(10):
        assert dig(client.address(), "+short", "controller.example").strip() == "192.0.2.17"
    large = dig(client.address(), "+bufsize=4096", "+ignore", "large.example", "TXT")
    assert large.count("x" * 200) == 12 and "status: NOERROR" in large


def test_iperf3(world, start):
    """iperf3 -u both ways; its control connection comes by -L of the same port."""
    port, local = free_port(), free_port()
    argv = [find("iperf3"), "-s", "-B", LOOPBACK, "-p", port, "--forceflush"]
    server = world.start(Program("iperf3", argv, world.directory, stop_code=1))
    wait_for(lambda: "Server listening" in server.output(), 10, "iperf3 listens")
    forward = f"{LOOPBACK}:{local}:{LOOPBACK}:{port}"
    start("-L", forward, "-U", forward)
    for direction in ([], ["-R"]):
        load = ["-u", "-b", "10M", "-l", 1200, "-t", 3, "-J", *direction]
        told = run("iperf3", "-c", LOOPBACK, "-p", local, *load)
        sent, received = (json.loads(told.stdout)["end"][f"sum_{n}"] for n in ("sent", "received"))
        assert sent["packets"] > 2500
        assert received["packets"] > 2500 and received["lost_percent"] < 5


def test_snmp(world, start):
    """snmpget and snmpwalk of a real SNMP agent."""
    port = free_port()
    conf = world.write(
        "snmpd.conf",
        f"agentAddress udp:{LOOPBACK}:{port}\nrocommunity lab 127.0.0.1\nsysLocation rack 7\n",
    )
    argv = [find("snmpd"), "-f", "-C", "-c", conf, "-Lo", "-p", world.directory / "snmpd.pid"]
    server = world.start(Program("snmpd", argv, world.directory))
    wait_for(lambda: "NET-SNMP version" in server.output(), 10, "snmpd runs")
    client = start(*udp(port))
    address = "udp:%s:%d" % client.address()
    once = ["-v2c", "-c", "lab", "-t", 5, "-r", 0]  # what is lost fails the test
    location = run("snmpget", *once, "-Oqv", address, ".1.3.6.1.2.1.1.6.0").stdout
    assert location.strip().strip('"') == "rack 7"
    assert "rack 7" in run("snmpwalk", *once, address, ".1.3.6.1.2.1.1").stdout


TFTP_HOST = "127.6.9.69"  # the port is 69


@pytest.fixture
def tftp(world):
    """A real TFTP server, which answers from another port for each transfer: its file's bytes."""
    if os.geteuid() != 0:
        pytest.skip("port 69 needs root")
    root = world.directory / "tftp"
    root.mkdir()
    data = bytes(range(256)) * 300
    (root / "image").write_bytes(data)
    conf = world.write(
        "dnsmasq.conf",
        f"port=0\nenable-tftp\ntftp-root={root}\nlisten-address={TFTP_HOST}\nbind-interfaces\n",
    )
    argv = [find("dnsmasq"), "--keep-in-foreground", f"--conf-file={conf}", "--log-facility=-"]
    argv += ["--user=root", "--group=", f"--pid-file={world.directory}/dnsmasq.pid"]
    world.start(Program("dnsmasq", argv, world.directory)).expect(r"TFTP root is")
    return data


def test_tftp(start, tftp):
    """curl fetches files by TFTP, twice from one port, where the agent takes answers from any port of
    the host."""
    client = start("-U", f"0:{TFTP_HOST}:69", allow=f"udp:{TFTP_HOST}:69 any-port")
    url = f"tftp://{endpoint(*client.address())}/image"
    for _ in range(2):
        assert run("curl", "-sS", "-m", "20", url, text=False, seconds=30).stdout == tftp


class Elsewhere:
    """Answers a datagram from another port of its host, or from another host; tells what comes to
    that port."""

    def __init__(self, host):
        self.socket, self.other = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
        self.socket.bind((LOOPBACK, 0))
        self.other.bind((host, 0))
        self.port = self.socket.getsockname()[1]
        for each in (self.socket, self.other):
            each.settimeout(10 * SLOWNESS)

    def answer(self, data):
        asked, peer = self.socket.recvfrom(100)
        self.other.sendto(data, peer)
        return asked, peer

    def close(self):
        self.socket.close()
        self.other.close()


@pytest.mark.parametrize(
    "words,host,taken",
    [(" any-port", LOOPBACK, True), ("", LOOPBACK, False), (" any-port", "127.0.0.2", False)],
)
def test_answers_from_another_port(start, serve, words, host, taken):
    """They come through where the policy says so, and only from the target's host; what follows goes
    to the port that has answered."""
    target = serve(Elsewhere, host)
    client = start(*udp(target.port), allow=f"udp:127.0.0.1:*{words}")
    application = Application(client.address())
    application.socket.send(b"question")
    asked, peer = target.answer(b"from elsewhere")
    assert asked == b"question"
    target.socket.sendto(b"from the port itself", peer)
    if taken:
        assert application.answer(10 * SLOWNESS) == b"from elsewhere"
    assert application.answer(10 * SLOWNESS) == b"from the port itself"
    target.other.sendto(b"again", peer)
    if taken:
        assert application.answer(10 * SLOWNESS) == b"again"
    application.socket.send(b"more")
    assert (target.other if taken else target.socket).recv(100) == b"more"
