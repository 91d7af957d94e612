"""Someone on the network: what they see and can do by recordings, replays, probes."""
import base64
import os
import selectors
import socket
import time
import zlib

import pytest

from harness import LOOPBACK, endpoint, forwards, free_port, stays_false
from proxy import DOWN, UP, Proxy
from servers import ask

pytestmark = pytest.mark.usefixtures("steady")


class Recorded:
    """Relay, agent and client with a recording proxy in front of each that listens."""

    USER, AGENT = "alice-of-the-vendor", "boston-vmax-01"

    def __init__(self, world, serve, mode, port):
        allow = {self.USER: "tcp:127.0.0.1:*"}
        if mode == "dial":
            address = endpoint(LOOPBACK, free_port())
            inner = serve(Proxy, address)
            self.relay = world.start_relay(
                users={self.USER: "*"}, agents={self.AGENT: {"Dial": f"tcp:{inner.address}"}}
            )
            self.agent = world.start_agent(
                self.AGENT, users=allow, relay="", listen=address, online=False
            )
            self.agent.expect("listening on")
        else:
            self.relay = world.start_relay(users={self.USER: "*"}, agents={self.AGENT: {}})
            inner = serve(Proxy, world.relay_address)
            self.agent = world.start_agent(self.AGENT, users=allow, relay=inner.address)
        outer = serve(Proxy, world.relay_address)
        self.proxies = {"relay": outer, "agent": inner}
        self.client = world.start_client(
            *forwards(port),
            agent=self.AGENT,
            user=self.USER,
            agents=(self.AGENT,),
            relay=outer.address,
        )


@pytest.mark.parametrize("mode", ["call-home", "dial"])
def test_nothing_readable_passes(world, serve, echo, mode):
    """Of what the proxies recorded on both sides of the relay, nothing is the application's: not
    one of its bytes' patterns, no static public key (raw or as text), no name of a user, agent or
    target; and it cannot be compressed. That the proxies saw the whole is shown by the amount."""
    secret = os.urandom(24)
    text = b"user=root password=" + base64.b64encode(secret)
    site = Recorded(world, serve, mode, echo.port)
    with site.client.dial() as connection:
        for size in (1, 100, 5000, 300000):
            data = text * (size // len(text) + 1)
            assert ask(connection, data) == data
    sent = echo.bytes
    site.client.stop()
    forbidden = {
        "application": text,
        "half of it": text[:16],
        "secret": secret,
        "other half": text[-16:],
    }
    for name in ("relay", site.USER, site.AGENT):
        key = world.key(name)
        forbidden[f"key of {name}"] = key.raw
        forbidden[f"key of {name} as text"] = key.public.encode()
        forbidden[f"key of {name} backwards"] = key.raw[::-1]
    forbidden.update(
        {
            "user": site.USER.encode(),
            "agent": site.AGENT.encode(),
            "target": b"tcp:127",
            "port": str(echo.port).encode() + b"\0",
        }
    )
    for where, proxy in site.proxies.items():
        pieces = proxy.recorded()
        assert sum(len(c.recorded[UP]) for c in proxy.connections) > sent
        assert sum(len(c.recorded[DOWN]) for c in proxy.connections) > sent
        for connection in proxy.connections:
            assert connection.recorded[UP][:4] == b"SPX1"
        for what, bytes_of_it in forbidden.items():
            assert not any(
                bytes_of_it in piece for piece in pieces
            ), f"{what} passed in front of the {where}"
        whole = b"".join(pieces)
        assert len(zlib.compress(whole, 6)) > 0.995 * len(whole)


def test_same_bytes_look_nothing_alike(world, serve, echo):
    """The same application bytes again and again give a recording in which no 16 bytes are there
    twice, wherever they begin."""
    site = Recorded(world, serve, "call-home", echo.port)
    with site.client.dial() as connection:
        for _ in range(6):
            ask(connection, b"the same bytes..." * 180)
    proxy = site.proxies["relay"]
    for way in (UP, DOWN):
        recorded = bytes(proxy.connections[0].recorded[way])[8:]
        windows = [recorded[i : i + 16] for i in range(len(recorded) - 15)]
        assert len(windows) > 6 * 3000 and len(set(windows)) == len(windows)


def assert_unanswered(sock):
    """Not a byte comes back."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        stays_false(lambda: selector.select(0), 0.3, "a repeated first message is answered")


def test_replayed_message_of_a_live_agent(world, serve, echo):
    """Someone who recorded the agent's hops sends their first message, and then all of it, to the
    relay again: the live agent stays online, the relay logs no change, a circuit through the hop it
    had parked works."""
    site = Recorded(world, serve, "call-home", echo.port)
    inner = site.proxies["agent"]
    inner.wait_proven(3)  # control hop, circuit, and the next parked hop
    before = [line for line in site.relay.log().splitlines() if "agent" in line]
    sockets = []
    for connection in inner.connections[:3]:
        first = connection.first_message()
        for data in (first, bytes(connection.recorded[UP]), first):
            sock = socket.create_connection(inner.target, timeout=10)
            sock.sendall(data)
            sockets.append(sock)
    for sock in sockets:
        assert_unanswered(sock)  # its ephemeral key was there a moment ago

    def changed():
        lines = [line for line in site.relay.log().splitlines() if "agent" in line]
        return [line for line in lines[len(before) :] if "online" in line or "offline" in line]

    stays_false(changed, 1, "the relay takes a replay for the agent")
    for sock in sockets:
        sock.close()
    stays_false(changed, 0.5, "the end of a replay touches the agent")
    second = world.start_client(
        *forwards(echo.port), agent=site.AGENT, user=site.USER, agents=(site.AGENT,)
    )
    site.relay.expect(
        rf"circuit {second.connected()}: user \S+ to agent {site.AGENT}, over a connection kept ready"
    )
    with second.dial() as connection, site.client.dial() as old:
        assert ask(connection, b"hello") == b"hello"
        assert ask(old, b"hello") == b"hello"


def test_replayed_connect_of_a_client(world, serve, echo):
    """The recorded bytes of a whole client connection, CONNECT and all, make no circuit, neither
    while the client is there nor after it has gone."""
    site = Recorded(world, serve, "call-home", echo.port)
    recorded = bytes(site.proxies["relay"].connections[0].recorded[UP])

    def circuits():
        return len(site.relay.lines(r"circuit [0-9a-fA-F]{8}: user"))

    count = circuits()
    for _ in range(2):
        with socket.create_connection(site.proxies["relay"].target, timeout=10) as sock:
            sock.sendall(recorded)
            stays_false(lambda: circuits() != count, 0.5, "a replay makes a circuit")
        if not site.client.ended():
            site.client.stop()
    assert len(site.agent.lines(r"accepted user")) == count


def test_replayed_message_of_a_relay(world, serve, echo):
    """In dial mode the recorded bytes of the relay's connection give no circuit at the agent."""
    site = Recorded(world, serve, "dial", echo.port)
    inner = site.proxies["agent"]
    replayed = inner.connections[0]
    for data in (replayed.first_message(), bytes(replayed.recorded[UP])):
        with socket.create_connection(inner.target, timeout=10) as sock:
            sock.sendall(data)
            assert_unanswered(sock)
            stays_false(
                lambda: len(site.agent.lines(r"accepted user")) != 1,
                0.5,
                "a replay makes a circuit",
            )
    with site.client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"


# Probes: what a stranger may send, and nothing comes back.


def header(suite=1, purpose=1, size=96):
    return b"SPX1" + bytes([suite, purpose]) + size.to_bytes(2, "big")


CLIENT_HELLO = (
    bytes.fromhex("16030100f8010000f40303")
    + bytes(range(32))
    + bytes([32])
    + bytes(range(32))
    + bytes.fromhex("0002130101000096")
)

PROBES = {
    "nothing": b"",
    "one byte": b"S",
    "half a header": b"SPX1\x01\x01",
    "garbage": bytes((i * 73 + 41) % 256 for i in range(700)),
    "much garbage": bytes((i * 37 + 11) % 256 for i in range(100000)),
    "zeros": bytes(5000),
    "a TLS ClientHello": CLIENT_HELLO + bytes(200),
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: relay.example.com\r\n\r\n",
    "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "an SSH banner": b"SSH-2.0-OpenSSH_9.2\r\n",
    "another version": b"SPX2" + header()[4:] + os.urandom(112),
    "a wrong mac1": header() + os.urandom(96 + 16),
    "a wrong mac1, the longest message": header(size=4096) + os.urandom(4096 + 16),
    "a wrong mac1 and more behind it": header() + os.urandom(96 + 16 + 1000),
    "a message too short to be one": header(size=95) + os.urandom(95 + 16),
    "a message too long to be one": header(size=4097) + os.urandom(4097 + 16),
    "a length of zero": header(size=0) + os.urandom(16),
    "an unknown suite": header(suite=77) + os.urandom(96 + 16),
    "another purpose": header(purpose=2) + os.urandom(96 + 16),
    "a message that does not end": header(size=4096) + os.urandom(50),
}


def probe(addresses, probes):
    """Sends every probe to every address at once; returns {(address, probe): (bytes answered,
    seconds open)}."""
    selector = selectors.DefaultSelector()
    begun, results = {}, {}
    for address in addresses:
        for name, data in probes.items():
            sock = socket.create_connection(address, timeout=5)
            begun[address, name] = time.monotonic()
            sock.sendall(data)
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ, (address, name))
            results[address, name] = (0, None)
    until = time.monotonic() + 12
    while selector.get_map() and time.monotonic() < until:
        for key, _ in selector.select(0.2):
            answered, _ = results[key.data]
            try:
                got = len(key.fileobj.recv(65536))
            except ConnectionResetError:
                got = 0
            results[key.data] = (
                answered + got,
                None if got else time.monotonic() - begun[key.data],
            )
            if not got:
                selector.unregister(key.fileobj)
                key.fileobj.close()
    for key in list(selector.get_map().values()):
        key.fileobj.close()
    selector.close()
    return results


def test_silence_to_a_prober(world, serve, echo):
    """Whatever a stranger sends to the relay or to an agent that listens, no byte comes back, and
    the connection is closed when its 5 s are over, neither at once (which would tell where the
    reading stopped) nor never. A recorded first message with one bit changed is such a probe too.
    Meanwhile and after it a user gets through as ever."""
    site = Recorded(world, serve, "dial", echo.port)
    addresses = {proxy.target: name for name, proxy in site.proxies.items()}
    probes = dict(PROBES)
    for name, proxy in site.proxies.items():
        genuine = proxy.connections[0].first_message()
        for what, at in (
            ("header", 5),
            ("ephemeral key", 20),
            ("payload", 60),
            ("mac1", len(genuine) - 1),
        ):
            flipped = bytearray(genuine)
            flipped[at] ^= 1
            probes[f"a bit flipped in the {what} of a message for the {name}"] = bytes(flipped)
        probes[f"a genuine message for the {name} without its last byte"] = genuine[:-1]
    answered, wrong_time = [], []
    for (address, name), (size, seconds) in probe(addresses, probes).items():
        where = f"{name} to the {addresses[address]}"
        if size:
            answered.append((where, size))
        if seconds is None or not 4.5 < seconds < 8:
            wrong_time.append((where, seconds))
    assert answered == []
    assert wrong_time == []
    with site.client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
    for program in (site.relay, site.agent):
        assert not program.lines(r"Z error ")


def test_a_message_for_one_party_is_silence_for_another(world, serve, echo):
    """A genuine first message to the relay gets no answer from an agent that listens, and the other
    way round: each answers only to those who know its own key."""
    site = Recorded(world, serve, "dial", echo.port)
    genuine = {name: proxy.connections[0].first_message() for name, proxy in site.proxies.items()}
    for name, other in (("relay", "agent"), ("agent", "relay")):
        with socket.create_connection(site.proxies[other].target, timeout=5) as sock:
            sock.sendall(genuine[name])
            sock.settimeout(1)
            with pytest.raises(TimeoutError):
                sock.recv(1)


def test_probers_do_not_shut_users_out(world, echo):
    """A hundred silent connections from one address leave the relay open for a user from the same
    address."""
    world.start_relay()
    world.start_agent()
    host, _, port = world.relay_address.rpartition(":")
    silent = [socket.create_connection((host, int(port)), timeout=5) for _ in range(100)]
    for sock in silent[::2]:
        sock.sendall(b"SPX1")
    assert world.run_pipe(f"{LOOPBACK}:{echo.port}", input="hello", seconds=10).stdout == "hello"
    for sock in silent:
        sock.close()
