"""Who meets whom: the three-party connect, its refusals and their exit codes."""
import re
import socket
import ssl
import time

import pytest

import noise
import peer
from harness import (
    DENIED,
    LOOPBACK,
    NETWORK,
    NO_AGENT,
    NOT_AUTHENTICATED,
    Program,
    SLOWNESS,
    TIMED_OUT,
    endpoint,
    forwards,
    free_port,
    has_ipv6,
    run,
    spx,
    stays_false,
    wait_for,
)
from proxy import DOWN, UP, Proxy
from servers import EchoServer, Sshd, Target, WebServer, ask

pytestmark = pytest.mark.usefixtures("steady")

WARNING = r"Z warn(ing)? +"
CIRCUIT = r"circuit ([0-9a-fA-F]{8}): user (\S+) to agent (\S+), "


def assert_echoes(client, text=b"hello", index=0):
    with client.dial(index) as connection:
        assert ask(connection, text) == text


def test_three_logs_name_one_circuit(world, echo):
    """Relay, agent and client log the same circuit id, and who is who, so that the logs can be read
    together."""
    relay, agent, client = world.start_all(echo.port)
    circuit = client.connected()
    assert_echoes(client)
    relay.expect(r"agent lab-1 online from 127\.0\.0\.1:\d+")
    relay.expect(r"user alice connected from 127\.0\.0\.1:\d+")
    relay.expect(rf"circuit {circuit}: user alice to agent lab-1, over a ")
    relay.expect(rf"circuit {circuit}: joined")
    accepted = agent.expect(
        rf"circuit {circuit}: accepted user alice \(key (\S+)\), from (\S+) according to the relay"
    )
    assert accepted[1] == world.key("alice").fingerprint
    assert accepted[2].startswith("127.0.0.1:")
    agent.expect(rf"online at relay {world.relay_address} as lab-1")
    assert client.expect(client.CONNECTED)[1] == "lab-1"
    client.stop()
    relay.expect(rf"circuit {circuit}: ended: ")
    agent.expect(rf"circuit {circuit}: ended: ")


def test_ticket_when_no_hop_is_parked(world, echo, serve):
    """Without a parked hop the offer goes over the control hop, and the agent comes with its
    ticket: the proxy holds the hop that the agent parks after the first circuit, so the second one
    has to use a ticket."""
    relay = world.start_relay()
    proxy = serve(Proxy, world.relay_address)
    world.start_agent(relay=proxy.address)
    proxy.wait_proven(2)
    proxy.hold_new = {UP, DOWN}
    first = world.start_client(*forwards(echo.port))
    relay.expect(
        rf"circuit {first.connected()}: user alice to agent lab-1, over a connection kept ready"
    )
    wait_for(lambda: len(proxy.connections) == 3, 10, "the agent tries to park the next hop")
    proxy.hold_new = set()
    second = world.start_client(*forwards(echo.port))
    relay.expect(rf"circuit {second.connected()}: user alice to agent lab-1, over a new connection")
    assert_echoes(first)
    assert_echoes(second)


def test_many_clients_at_once(world, echo):
    """Two users with four clients each connect at the same moment: every one gets a circuit of its
    own, however its offer went."""
    users = ("alice", "bob")
    relay = world.start_relay(users={user: "*" for user in users})
    world.start_agent(users={user: "tcp:127.0.0.1:*" for user in users})
    confs = [world.client_conf(user) for user in users] * 4
    clients = [
        world.start_client(*forwards(echo.port), conf=conf, connected=False) for conf in confs
    ]
    circuits = [client.connected(seconds=30) for client in clients]
    assert len(set(circuits)) == len(circuits)
    for client in clients:
        assert_echoes(client)
    offered = {found[1]: found[2] for found in relay.lines(CIRCUIT)}
    assert set(circuits) <= set(offered)


def test_client_before_its_agent(world, echo):
    """A CONNECT waits for an agent that is just coming back, and then goes on by itself."""
    relay = world.start_relay()
    client = world.start_client(*forwards(echo.port), connected=False)
    relay.expect(r"user alice connected from")
    world.start_agent()
    client.connected(seconds=20)
    assert_echoes(client)


def test_agent_before_its_relay(world, echo):
    """An agent and a client that cannot reach their relay try again until it is there."""
    agent = world.start_agent(online=False)
    client = world.start_client(*forwards(echo.port), connected=False)
    agent.expect(
        WARNING + r"agent: cannot connect to relay \S+: connection refused; retrying now"
    )
    client.expect(WARNING + r"client: .*refused")
    world.start_relay()
    agent.expect(r"online at relay", seconds=30)
    client.connected(seconds=40)
    assert_echoes(client)


def test_agent_offline(world):
    """A permitted agent that is not there: exit code 6 and the reason, after the relay has waited for
    it."""
    world.start_relay()
    begun = time.monotonic()
    failed = world.run_pipe(code=NO_AGENT, seconds=40)
    assert 15 < time.monotonic() - begun
    assert "warn  client: lab-1 is offline; waiting up to 20 s (Ctrl-C ends)" in failed.stderr
    assert "the agent is offline" in failed.stderr


def test_unknown_and_not_permitted_agents_look_alike(world):
    """An agent that the relay does not know and one that the user may not reach give exit code 6
    and the same words, at once; so a user cannot find out which agents there are."""
    relay = world.start_relay(users={"alice": "lab-1"}, agents={"lab-1": {}, "secret": {}})
    world.start_agent("secret")
    conf = world.client_conf(agents=("lab-1", "secret"))
    conf.write_text(
        conf.read_text() + f"[Agent]\nName = nobody\nPublicKey = {world.key('nobody').public}\n"
    )
    unknown = world.run_pipe(agent="nobody", conf=conf, code=NO_AGENT, seconds=10)
    secret = world.run_pipe(agent="secret", conf=conf, code=NO_AGENT, seconds=10)

    def words(failed, name):
        return [
            re.sub(r"^\S+Z |, [0-9.]+ \S+$", "", line).replace(name, "NAME")
            for line in failed.stderr.splitlines()
        ]

    assert words(unknown, "nobody") == words(secret, "secret")
    assert not relay.lines(CIRCUIT)


def test_forwarding_client_ends_on_a_final_refusal(world):
    """A client with -L that never connected does not go on trying what will not change."""
    world.start_relay(users={"alice": "other-*"})
    client = world.start_client(*forwards(9), connected=False)
    client.wait_exit(NO_AGENT)


def test_user_unknown_to_the_relay(world):
    """A key that the relay does not have is refused: exit code 4, for a pipe and for a forwarding
    client."""
    relay = world.start_relay()
    world.run_pipe(user="mallory", code=NOT_AUTHENTICATED)
    world.start_client(*forwards(9), user="mallory", connected=False).wait_exit(NOT_AUTHENTICATED)
    assert "mallory" not in relay.log()
    assert not relay.lines(r"user \S+ connected")


def test_user_not_allowed_by_the_agent(world, echo):
    """The relay lets the user through, the agent does not have the key: exit code 5; the agent's
    word is the last, and a user that it does have gets through."""
    relay = world.start_relay(users={"alice": "*", "mallory": "*"})
    agent = world.start_agent()
    world.run_pipe(user="mallory", code=DENIED)
    refused = agent.expect(r"circuit ([0-9a-fA-F]{8}): refused: ")[1]
    relay.expect(rf"circuit {refused}: refused: ")
    world.start_client(*forwards(9), user="mallory", connected=False).wait_exit(DENIED)
    assert world.run_pipe(f"{LOOPBACK}:{echo.port}", input="hello").stdout == "hello"


def test_wrong_role(world):
    """A relay does not take an agent's key for a user's, nor a user's for an agent's."""
    relay = world.start_relay(agents={"lab-1": {}, "lab-2": {}})
    conf = world.client_conf(key="lab-2")
    world.run_pipe(conf=conf, code=NOT_AUTHENTICATED)
    agent = world.start_agent(key="alice", users={}, online=False)
    agent.expect(WARNING + r"agent: refused by relay \S+: this key is a user's")
    assert not relay.lines(r"agent \S+ online")
    assert not relay.lines(r"user \S+ connected")


def test_agent_unknown_to_the_relay(world):
    """An agent whose key the relay does not have says so and does not come online."""
    relay = world.start_relay(agents={})
    agent = world.start_agent(online=False)
    agent.expect(
        WARNING + r"agent: refused by relay \S+: this key is not in the relay's configuration: "
        f"{re.escape(world.key('lab-1').fingerprint)}, 'spx agent --check' shows the public key; retrying"
    )
    assert not relay.lines(r"agent \S+ online")


def test_wrong_relay_key(world):
    """With another public key for the relay than its own the client gets no answer: exit code 8
    after some seconds, and the text says where to look."""
    relay = world.start_relay()
    failed = world.run_pipe(relay_key="stranger", code=TIMED_OUT, seconds=40)
    assert re.search(r"no answer to the handshake within 5 s: check PublicKey in \[Relay\]", failed.stderr)
    assert not relay.lines(r"connected from")


NOT_A_RELAY = r"relay {}: {} listens there, not an spx relay: check Address in \[Relay\]"
CLOSED = (
    r"relay {}: no answer to the handshake: the connection (was closed|failed: .*): something other "
    r"than an spx relay may listen there, such as a TLS server"
)


def at(port):
    return endpoint(LOOPBACK, port)


def test_ssh_server_at_the_relays_address(world, tmp_path):
    """A real sshd: list and -W fail and name it; the agent and a client with forwards say so as well
    and go on, and are connected once a relay listens there."""
    sshd = Sshd(tmp_path)
    text = NOT_A_RELAY.format(re.escape(at(sshd.port)), "an SSH server")
    try:
        listed = run(*world.argv("client", world.client_conf(relay=at(sshd.port)), "list"), code=NETWORK)
        assert re.search(text, listed.stderr)
        assert re.search(text, world.run_pipe(relay=at(sshd.port), code=NETWORK).stderr)
        agent = world.start_agent(relay=at(sshd.port), online=False)
        client = world.start_client(*forwards(9), relay=at(sshd.port), connected=False)
        agent.expect(WARNING + "agent: " + text + "; retrying")
        client.expect(WARNING + "client: " + text + "; retrying in", count=2)
        assert not client.lines("client: retrying")  # a try has one line
    finally:
        sshd.close()
    world.start_relay(listen=at(sshd.port))
    client.connected(seconds=40)


def test_web_server_at_the_relays_address(world, serve, tmp_path):
    """Python's waits for the end of a line, which not every first message has: then it is silent. To
    a line that is no request it answers with a page alone."""
    server = serve(WebServer, tmp_path)
    for _ in range(16):
        failed = world.run_pipe(relay=at(server.port), code=None)
        if failed.returncode == NETWORK:
            break
        assert failed.returncode == TIMED_OUT
    assert re.search(NOT_A_RELAY.format(re.escape(at(server.port)), "a web server"), failed.stderr)


def start_tls(connection):
    """A TLS server's part, with a certificate that does not come into it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ssl.SSLError):
        context.wrap_socket(connection, server_side=True)


def test_tls_server_at_the_relays_address(world, serve):
    """OpenSSL closes the connection of whom it takes for no TLS client at all, and says nothing."""
    server = serve(Target, start_tls)
    failed = world.run_pipe(relay=at(server.port), code=NETWORK)
    assert re.search(CLOSED.format(re.escape(at(server.port))), failed.stderr)
    server.outcome()


STRANGERS = {
    "a TLS server": b"\x15\x03\x01\0\x02\x02\x46",
    "a web server": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a mail or FTP server": b"220 mail.example.com ESMTP\r\n",
    "another program": b"RFB 003.008\n",
}


@pytest.mark.parametrize("what", STRANGERS)
def test_something_else_at_the_relays_address(world, serve, what):
    """A program that speaks first, or answers in its own way, is named if its first bytes tell."""
    server = serve(Target, lambda connection: (connection.sendall(STRANGERS[what]), connection.recv(999)))
    failed = world.run_pipe(relay=at(server.port), code=NETWORK)
    assert re.search(NOT_A_RELAY.format(re.escape(at(server.port)), what), failed.stderr)


def test_wrong_relay_key_at_the_agent(world):
    """The same for an agent: it does not come online, says where to look, and tries again."""
    relay = world.start_relay()
    agent = world.start_agent(relay_key="stranger", online=False)
    agent.expect(
        WARNING + r"agent: relay \S+: no answer to the handshake within 5 s: check PublicKey in "
        r"\[Relay\], .*; retrying now"
    )
    assert not relay.lines(r"agent \S+ online")


def test_wrong_agent_key(world):
    """The relay lists another key for the agent than the client has: exit code 4, both fingerprints
    shown, and no circuit is made; the same for a forwarding client."""
    relay = world.start_relay()
    world.start_agent()
    failed = world.run_pipe(agents={"lab-1": "impostor"}, code=NOT_AUTHENTICATED)
    for name in ("impostor", "lab-1"):
        assert world.key(name).fingerprint in failed.stderr
    world.start_client(*forwards(9), agents={"lab-1": "impostor"}, connected=False).wait_exit(
        NOT_AUTHENTICATED
    )
    assert not relay.lines(r"circuit \S+: joined")


def test_relay_that_lists_a_wrong_agent(world):
    """The relay has the key of one machine under the name of another: the agent that is asked by a
    name not its own refuses, which is how cloned controllers are found."""
    world.start_relay(agents={"lab-1": {}})
    agent = world.start_agent(called="lab-2", online=False)
    agent.expect(r"online at relay")
    failed = world.run_pipe(code=NOT_AUTHENTICATED)
    assert "this is agent 'lab-2'" in failed.stderr
    agent.expect(r"circuit \S+: refused: this is agent 'lab-2'")


def test_relay_out_of_reach(world):
    """Nobody listens at the relay's address: a pipe ends with exit code 7 and names the address."""
    failed = world.run_pipe(code=NETWORK)
    assert world.relay_address in failed.stderr


def test_second_relay_is_tried(world, echo):
    """A client with two relays uses the second when the first cannot be reached."""
    world.start_relay()
    world.start_agent()
    conf = world.client_conf()
    text = conf.read_text()
    dead = endpoint(LOOPBACK, free_port())
    first = f"[Relay]\nAddress = {dead}\nPublicKey = {world.key('dead-relay').public}\n\n"
    conf.write_text(text.replace("[Relay]", first + "[Relay]", 1))
    assert world.run_pipe(f"{LOOPBACK}:{echo.port}", conf=conf, input="hello").stdout == "hello"


def test_two_agents_with_one_key(world, echo):
    """A second agent with the same key takes the place of the first. Each comes back once; then the
    first says so loudly and does not push the second one off in turn."""
    relay = world.start_relay()
    first = world.start_agent()
    conf = world.agent_conf()
    second = world.start_agent(conf=conf, name="lab-1-clone", options=["-v"])
    first.expect(r"Z error +agent: another agent with this agent's key is online at relay \S+: stop")
    first.expect(WARNING + r"agent: lost relay \S+: .*; retrying in 1 min( 0 s)?")
    second.expect(r"online at relay", count=2)
    second.expect(r"a circuit hop is parked")  # before, one of the first would be taken
    client = world.start_client(*forwards(echo.port))
    assert_echoes(client)
    second.expect(r"accepted user alice")
    assert len(relay.lines(r"agent lab-1 online")) == 4
    assert not first.lines(r"accepted user")


def test_second_agent_by_mistake(world):
    """An agent that has been online for a while is back within seconds of the start of a second one
    with its key, which comes back once, is told, and gives way."""
    relay = world.start_relay()
    first = world.start_agent()
    stays_false(lambda: first.lines("lost relay"), 10.5, "it is not left alone")
    second = world.start_agent(conf=world.agent_conf(), name="lab-1-clone")
    first.expect("online at relay", count=3, seconds=12)
    second.expect(r"Z error +agent: another agent with this agent's key is online at relay")
    second.expect(r"lost relay .*; retrying in 1 min( 0 s)?")
    assert not first.lines("Z error")
    stays_false(lambda: len(first.lines("lost relay")) > 2, 3, "the second one comes back at once")
    relay.expect("two agents with its key take turns")


def test_remains_of_an_earlier_hop(world):
    """A hop of the agent's from before it lost its power comes to the relay after its new one, and ends:
    the agent is back within seconds, and nobody is told of another one."""
    world.start_relay()
    agent = world.start_agent()
    own, relay = peer.Pair(world.key("lab-1").path), world.key("relay").raw
    late = peer.Agent(own, "lab-1", world.relay_address, relay)
    hop = late.hop(peer.CONTROL)
    agent.expect(r"lost relay \S+: .*; retrying in 2(\.\d)? s")
    hop.close()
    agent.expect("online at relay", count=2, seconds=6)
    assert not agent.lines("Z error")


def test_list_shows_what_the_user_may_reach(world):
    """`client list` shows the agents this user may reach, with their state, and no other; a query
    narrows it."""
    world.start_relay(
        users={"alice": "lab-*", "bob": "*"}, agents={"lab-1": {}, "lab-2": {}, "plant-9": {}}
    )
    world.start_agent("lab-1")
    world.start_agent("plant-9")
    alice = world.list_agents()
    assert re.search(r"^.*\blab-1\b.*\bonline\b", alice, re.MULTILINE)
    assert re.search(r"^.*\blab-2\b.*\boffline\b", alice, re.MULTILINE)
    assert "plant-9" not in alice
    assert "plant-9" in world.list_agents(user="bob")
    narrowed = world.list_agents("lab-2")
    assert "lab-2" in narrowed and "lab-1" not in narrowed


@pytest.mark.parametrize("listen", ["127.0.0.1:{}", "[::1]:{}", "[::]:{}"])
def test_ipv4_and_ipv6(world, serve, listen):
    """Relay, client and agent over the one and the other: the relay on an IPv4, an IPv6 and an
    any-address, with an IPv6 target where there is IPv6."""
    if ":" in listen.replace(":{}", "") and not has_ipv6():
        pytest.skip("this machine has no IPv6: ::1 cannot be bound")
    port = free_port()
    host = "::1" if "[" in listen else LOOPBACK
    echo = serve(EchoServer, host)
    reach = endpoint(host, port)
    world.start_relay(listen=listen.format(port))
    agent = world.start_agent(relay=reach, users={"alice": f"tcp:{endpoint(host, '*')}"})
    client = world.start_client(*forwards(echo.port, host=host), relay=reach)
    assert client.address()[0] == host
    assert_echoes(client)
    accepted = agent.expect(r"accepted user alice \(key \S+\), from (\S+) according to the relay")
    assert accepted[1].startswith("[::1]:" if host == "::1" else "127.0.0.1:")
    conf = world.client_conf(relay=reach)
    assert world.run_pipe(endpoint(host, echo.port), conf=conf, input="hello").stdout == "hello"


def test_any_address_takes_ipv4_too(world, echo):
    """A relay that listens on [::] is reached over IPv4, and says the plain IPv4 address."""
    if not has_ipv6():
        pytest.skip("this machine has no IPv6: ::1 cannot be bound")
    port = free_port()
    relay = world.start_relay(listen=f"[::]:{port}")
    reach = endpoint(LOOPBACK, port)
    world.start_agent(relay=reach)
    assert_echoes(world.start_client(*forwards(echo.port), relay=reach))
    relay.expect(r"agent lab-1 online from 127\.0\.0\.1:\d+")


@pytest.mark.parametrize("without", ["relay", "agent", "client"])
def test_processor_without_aes(world, echo, serve, monkeypatch, without):
    """A party whose processor has no AES instructions asks for ChaCha20-Poly1305 and takes what
    others ask for: all three understand one another, whoever it is."""
    can_aes = "AES instructions in use" in spx("--version").stdout

    def start(name, function, *arguments, **options):
        if name == without:
            monkeypatch.setenv("SPX_PORTABLE", "1")
        started = function(*arguments, **options)
        monkeypatch.delenv("SPX_PORTABLE", raising=False)
        return started

    start("relay", world.start_relay)
    proxies = {name: serve(Proxy, world.relay_address) for name in ("agent", "client")}
    start("agent", world.start_agent, relay=proxies["agent"].address)
    client = start(
        "client", world.start_client, *forwards(echo.port), relay=proxies["client"].address
    )
    assert_echoes(client, b"hello" * 10000)
    for name, proxy in proxies.items():
        suites = {connection.first_message()[4] for connection in proxy.connections}
        assert suites == {noise.AES if can_aes and name != without else noise.CHACHA}


def test_relay_on_a_port_the_system_chooses(world):
    """A relay that listens on port 0 says the real one."""
    relay = world.start_relay(listen="127.0.0.1:0")
    port = int(relay.expect(r"listening on 127\.0\.0\.1:(\d+)")[1])
    assert port > 0
    world.start_agent(relay=endpoint(LOOPBACK, port))


def test_listening_port_in_use(world, echo):
    """A forward whose port is taken ends the client with the address and the reason, before it
    connects."""
    relay = world.start_relay()
    client = world.start_client("-L", f"{echo.port}:127.0.0.1:9", connected=False)
    client.wait_exit(NETWORK, seconds=10)
    address = rf"127\.0\.0\.1:{echo.port}"
    client.expect(rf"cannot listen on {address}: address (already )?in use \(another program ")
    assert not relay.lines(r"user alice connected")


def test_connect_is_quick(world, echo):
    """From its start to the first answer a client needs well under a second."""
    world.start_relay()
    world.start_agent()
    begun = time.monotonic()
    assert world.run_pipe(f"{LOOPBACK}:{echo.port}", input="hello").stdout == "hello"
    assert time.monotonic() - begun < 1 * SLOWNESS
