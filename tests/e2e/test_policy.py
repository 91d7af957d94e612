"""Permissions that end: SIGHUP at the relay and at the agent."""
import signal
import time

import pytest

import peer
from harness import (
    DENIED,
    LOOPBACK,
    NOT_AUTHENTICATED,
    NO_AGENT,
    OK,
    OTHER,
    SLOWNESS,
    endpoint,
    forwards,
    free_port,
)
from servers import EchoServer, ask, read_exactly, read_to_end
from test_udp import Application, UdpEcho

USERS = {"alice": "*", "bob": "*"}
ALLOW = {"alice": "tcp:127.0.0.1:*", "bob": "tcp:127.0.0.1:*"}


class Site:
    """Two users, each with a client and an open connection."""

    def __init__(self, world, echo):
        self.relay = world.start_relay(users=USERS)
        self.agent = world.start_agent(users=ALLOW)
        self.alice = world.start_client(*forwards(echo.port), user="alice")
        self.bob = world.start_client(*forwards(echo.port), user="bob")
        self.connections = [self.alice.dial(), self.bob.dial()]
        for connection in self.connections:
            ask(connection, b"hello")


@pytest.fixture
def site(world, echo):
    made = Site(world, echo)
    yield made
    for connection in made.connections:
        connection.close()


def assert_undisturbed(client, connection):
    """The connection works on, on the same circuit."""
    assert ask(connection, b"still here") == b"still here"
    assert len(client.lines(client.CONNECTED)) == 1
    assert not client.lines(r"circuit lost")


def assert_bob_goes_on(site):
    assert_undisturbed(site.bob, site.connections[1])


def assert_both_go_on(site):
    assert_undisturbed(site.alice, site.connections[0])
    assert_undisturbed(site.bob, site.connections[1])


def assert_only_bob_goes_on(site):
    """Alice's connection is reset within two seconds or so."""
    begun = time.monotonic()
    assert read_to_end(site.connections[0]) == (b"", "reset")
    assert time.monotonic() - begun < 3 * SLOWNESS
    assert_bob_goes_on(site)


def assert_waits(client, connection, why):
    """The client has lost its circuit and is told why it gets no other; its session waits, since a
    relay's word ends none: the application's connection is silent, and neither ended nor reset."""
    client.lost()
    client.expect(why)
    connection.sendall(b"x")
    connection.settimeout(0.5)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    connection.settimeout(20 * SLOWNESS)


def assert_goes_on(client, connection):
    assert read_exactly(connection, 1) == b"x"
    client.resumed()
    assert len(client.lines(client.CONNECTED)) == 1


def test_user_removed_at_the_relay(world, site):
    """After SIGHUP the relay ends the removed user's hops and circuits, and takes none of theirs
    any more; the session goes on when the user is back."""
    circuit = site.alice.connected()
    world.relay_conf(users={"bob": "*"})
    site.relay.signal(signal.SIGHUP)
    site.relay.expect(rf"circuit {circuit}: ended: ")
    assert_waits(site.alice, site.connections[0], r"this key is not in the relay's")
    world.run_pipe(user="alice", code=NOT_AUTHENTICATED)
    assert_bob_goes_on(site)
    world.relay_conf(users=USERS)
    site.relay.signal(signal.SIGHUP)
    assert_goes_on(site.alice, site.connections[0])


def test_user_missing_for_a_while_at_the_relay(world, echo):
    """A client that was connected goes on trying when the relay does not know its key, also once its
    session is over: the key may be back soon. One that was not is told at once (test_connect.py)."""
    relay = world.start_relay()
    world.start_agent(ResumeWindow=1)
    client = world.start_client(*forwards(echo.port))
    world.relay_conf(users={"bob": "*"})
    reload(relay)
    client.expect(r"the session has ended: not resumed")
    before = len(client.lines(r"this key is not in the relay's"))
    client.expect(r"this key is not in the relay's", count=before + 1)
    world.relay_conf()
    relay.signal(signal.SIGHUP)
    client.connected(2, seconds=40)


def test_agent_taken_from_a_user_at_the_relay(world, site):
    """The user stays, but may not reach this agent any more: the circuit ends, and a new one is
    refused."""
    world.relay_conf(users={"alice": "other-*", "bob": "*"})
    site.relay.signal(signal.SIGHUP)
    assert_waits(site.alice, site.connections[0], r"no such agent, or not permitted")
    assert_bob_goes_on(site)
    world.run_pipe(user="alice", code=NO_AGENT)


def test_agent_removed_at_the_relay(world, site):
    """An agent that is taken from the relay's file loses its hops and its circuits; its sessions go
    on when it is back."""
    world.relay_conf(users=USERS, agents={})
    site.relay.signal(signal.SIGHUP)
    for client, connection in zip((site.alice, site.bob), site.connections):
        assert_waits(client, connection, r"no such agent, or not permitted")
    site.relay.expect(r"agent lab-1 offline: ")
    site.agent.expect(r"this key is not in the relay's", seconds=20)
    world.relay_conf(users=USERS)
    site.relay.signal(signal.SIGHUP)
    for client, connection in zip((site.alice, site.bob), site.connections):
        assert_goes_on(client, connection)


def test_user_removed_at_the_agent(world, site):
    """After SIGHUP the agent ends the removed user's session within a second or two, whatever the
    relay still permits, and says why."""
    circuit = site.alice.connected()
    world.agent_conf(users={"bob": "tcp:127.0.0.1:*"})
    site.agent.signal(signal.SIGHUP)
    assert_only_bob_goes_on(site)
    site.agent.expect(rf"circuit {circuit}: ended: ")
    site.alice.expect(r"the session has ended: the user is no longer allowed at this agent")
    site.alice.wait_exit(DENIED)
    world.run_pipe(user="alice", code=DENIED)


def is_refused(client, index=0):
    """True if a new connection to this forward ends without a byte."""
    try:
        with client.dial(index) as connection:
            connection.sendall(b"x")
            return not connection.recv(1)
    except OSError:
        return True


def test_target_taken_at_the_agent(world, serve):
    """After SIGHUP streams to a target that is no longer allowed are reset, and it is not reached any
    more; nothing else of the session is disturbed. A target that comes is there at once."""
    kept, taken, udp = serve(EchoServer), serve(EchoServer), serve(UdpEcho)
    allow = f"tcp:127.0.0.1:{kept.port}"
    world.start_relay()
    agent = world.start_agent(
        users={"alice": f"{allow}, tcp:127.0.0.1:{taken.port}, udp:127.0.0.1:{udp.port}"}
    )
    client = world.start_client(
        *forwards(kept.port, taken.port), "-U", f"{LOOPBACK}:0:{LOOPBACK}:{udp.port}"
    )
    with client.dial(0) as good, client.dial(1) as bad, Application(client.address(2)) as app:
        for connection in (good, bad):
            assert ask(connection, b"hello") == b"hello"
        app.ask(b"hello")
        world.agent_conf(users={"alice": allow})
        agent.signal(signal.SIGHUP)
        assert read_to_end(bad) == (b"", "reset")
        for target in (f"tcp:127.0.0.1:{taken.port}", f"udp:127.0.0.1:{udp.port}"):
            agent.expect(rf"user alice: removed: Allow {target}$")
            agent.expect(rf": alice: {target}: no longer permitted by this .*, stream \d+")
        assert is_refused(client, 1)
        assert_undisturbed(client, good)
        world.agent_conf(users={"alice": f"{allow}, tcp:127.0.0.0/8:*"})
        reload(agent)
        agent.expect(r"user alice: added: Allow tcp:127\.0\.0\.0/8:\*$")
        with client.dial(1) as again:
            assert ask(again, b"hello") == b"hello"
        assert_undisturbed(client, good)


def test_target_added_at_the_agent(world, site):
    """Running connections notice nothing of a permission more."""
    world.agent_conf(users={**ALLOW, "alice": "tcp:127.0.0.1:*, tcp:192.0.2.1:22"})
    reload(site.agent)
    assert_both_go_on(site)


def test_reload_tells_what_has_changed(world, site):
    """Users, relays and permissions that a reload of the agent adds and removes are in its log."""
    key, second = r"key SHA256:\S+$", endpoint(LOOPBACK, free_port())
    users = {"alice": "tcp:127.0.0.1:*, unix:/run/x, udp:[fd00::]/8:53", "carol": "tcp:*:1-9"}
    world.agent_conf(users=users, more_relays=[(second, "relay-2")])
    reload(site.agent)
    site.bob.wait_exit(DENIED)
    site.agent.expect(rf"user carol: added, {key}")
    assert len(site.agent.lines(rf"user bob: removed, {key}")) == 1
    assert len(site.agent.lines(r"user carol: added: Allow tcp:\*:1-9$")) == 1
    assert len(site.agent.lines(r"user alice: added: Allow unix:/run/x$")) == 1
    assert len(site.agent.lines(r"user alice: added: Allow udp:\[fd00::\]/8:53$")) == 1
    assert not site.agent.lines(r"user alice: removed")
    port = second.rpartition(":")[2]
    assert len(site.agent.lines(rf"relay 127\.0\.0\.1 port {port}: added, {key}")) == 1
    conf = world.agent_conf(users=users)
    conf.write_text(conf.read_text() + "Streams = 5\n")
    site.agent.signal(signal.SIGHUP)
    site.agent.expect(rf"relay 127\.0\.0\.1 port {port}: removed, {key}")
    site.agent.expect("user carol: Streams changed from 1024 to 5, for sessions that begin after this$")
    assert_undisturbed(site.alice, site.connections[0])


def test_another_relay_at_the_agent(world, site):
    """A reload that adds or removes one relay leaves the hops at the other as they are."""
    users = {name: "tcp:127.0.0.1:*" for name in ("alice", "bob")}
    address = endpoint(LOOPBACK, free_port())
    second = world.start_relay(name="relay-2", listen=address)
    world.agent_conf(users=users, more_relays=[(address, "relay-2")])
    reload(site.agent)
    second.expect("agent lab-1 online")
    world.agent_conf(users=users)
    reload(site.agent)
    second.expect("agent lab-1 offline")
    assert len(site.relay.lines("agent lab-1 online")) == 1
    assert not site.relay.lines("agent lab-1 offline")
    assert_both_go_on(site)


@pytest.mark.parametrize("party", ["relay", "agent"])
def test_broken_file_changes_nothing(world, site, echo, party):
    """SIGHUP with a file that is not right: the error is logged with its line, and all goes on as
    it was."""
    program = getattr(site, party)
    conf = world.directory / ("relay.conf" if party == "relay" else "agent-lab-1.conf")
    conf.write_text(conf.read_text() + "\nNonsense = 1\n")
    program.signal(signal.SIGHUP)
    program.expect(rf"(error|warn(ing)?) +{party}: .*{conf}:\d+: ")
    assert_both_go_on(site)
    world.run_pipe(f"{LOOPBACK}:{echo.port}", conf=world.client_conf("bob"), code=OK)


def test_user_added_at_relay_and_agent(world, site, echo):
    """A user added to both files can connect after SIGHUP; nobody else is disturbed."""
    world.relay_conf(users={**USERS, "carol": "lab-*"})
    world.agent_conf(users={**ALLOW, "carol": f"tcp:127.0.0.1:{echo.port}"})
    for program in (site.relay, site.agent):
        program.signal(signal.SIGHUP)
        program.expect(r"read|reload|configuration")
    assert world.run_pipe(f"127.0.0.1:{echo.port}", user="carol", input="hello").stdout == "hello"
    assert_both_go_on(site)


def reload(program):
    program.signal(signal.SIGHUP)
    program.expect(r"configuration reloaded")


def test_relay_tells_what_a_reload_changes(world):
    """A line for each user, agent and permission that comes or goes, and for no other. Another name or
    key makes another party."""
    changes = r" relay: ((user|agent) \S+: (added|removed|Dial|Labels).*)"
    keys = {name: world.key(name).fingerprint for name in ("bob", "carol", "lab-1", "lab-2", "lab-3")}
    attic = {"Labels": "a=b", "Dial": "tcp:127.0.0.1:9"}  # or the relay has given up dialling
    before = {"lab-1": {}, "lab-2": {}, "attic": attic}
    relay = world.start_relay(users={"alice": "lab-*, lab-1", "bob": "*"}, agents=before)
    assert not relay.lines(changes)
    after = {"lab-1": {"Dial": "tcp:127.0.0.1:9"}, "lab-3": {}, "attic": attic}
    world.relay_conf(users={"alice": "lab-1, other-*", "carol": "lab-*"}, agents=after)
    reload(relay)
    relay.expect(r"agent lab-2: removed")
    assert sorted(line[1] for line in relay.lines(changes)) == sorted(
        [
            "user alice: added: Agents other-*",
            "user alice: removed: Agents lab-*",
            f"user bob: removed, key {keys['bob']}",
            f"user carol: added, key {keys['carol']}",
            "user carol: added: Agents lab-*",
            f"agent lab-1: Dial changed, key {keys['lab-1']}",
            f"agent lab-2: removed, key {keys['lab-2']}",
            f"agent lab-3: added, key {keys['lab-3']}",
        ]
    )


def test_keepalive_is_loaded_again(world):
    """After SIGHUP the relay tells those who come the new number of seconds."""

    def told():
        hop = peer.Hop.open(
            world.relay_address,
            peer.Pair(world.key("alice").path),
            world.key("relay").raw,
            peer.CLIENT,
        )
        hop.close()
        return hop.keepalive

    relay = world.start_relay(Keepalive=20)
    assert told() == 20
    world.relay_conf(Keepalive=30)
    reload(relay)
    assert told() == 30


def test_what_a_relay_does_not_load_again(world, site):
    """Another Listen or KeyFile is for the next start: the relay says so and goes on."""
    world.relay_conf(users=USERS, listen="127.0.0.1:0")
    conf = world.directory / "relay.conf"
    conf.write_text(conf.read_text().replace("relay.key", world.key("relay-2").path.name))
    reload(site.relay)
    for key in ("KeyFile", "Listen"):
        site.relay.expect(rf"warn +relay: {key} in \[Relay\]: takes effect at the next start")
    assert_both_go_on(site)


def test_what_an_agent_does_not_load_again(world, site):
    """The same for an agent's name, key, listeners and call socket, at each SIGHUP until the file is
    as it was."""
    keys = ("Name", "KeyFile", "Listen", "CallSocket")
    more = {"listen": "127.0.0.1:0", "CallSocket": world.directory / "call"}
    world.agent_conf(users=ALLOW, called="lab-2", key="lab-2", **more)
    for count in (1, 2):
        site.agent.signal(signal.SIGHUP)
        site.agent.expect("configuration reloaded", count=count)
        for key in keys:
            line = rf"warn +agent: {key} in \[Agent\]: takes effect at the next start"
            assert len(site.agent.lines(line)) == count
    world.agent_conf(users=ALLOW)
    site.agent.signal(signal.SIGHUP)
    site.agent.expect("configuration reloaded", count=3)
    assert len(site.agent.lines("takes effect")) == 2 * len(keys)
    assert_both_go_on(site)
    world.run_pipe("127.0.0.1:9", user="bob", code=OTHER)  # the agent takes it as lab-1


def test_labels_and_relays_of_an_agent_are_loaded_again(world, site):
    """An agent with other labels and one relay more tells its relay the labels and comes online at
    the other one; sessions that are there go on, and it is never offline."""
    second = endpoint(LOOPBACK, free_port())
    other = world.start_relay(name="relay-2", users=USERS, listen=second)
    world.agent_conf(users=ALLOW, more_relays=[(second, "relay-2")], Labels="rack=9")
    reload(site.agent)
    other.expect(r"agent lab-1 online")
    site.relay.expect(r"agent lab-1 online", count=2)
    assert "rack=9" in world.list_agents(user="bob")
    assert not site.relay.lines("agent lab-1 offline")
    assert not site.relay.lines("take turns")
    assert_both_go_on(site)


def alice(world):
    return peer.Client(
        peer.Pair(world.key("alice").path), world.relay_address, world.key("relay").raw, "lab-1",
        world.key("lab-1").raw,
    )  # fmt: skip


def test_reload_of_an_agent_that_stops(world):
    """SIGHUP does nothing any more while sessions are being closed."""
    world.start_relay()
    agent = world.start_agent()
    circuit = alice(world).connect()
    agent.signal(signal.SIGTERM)
    circuit.expect(peer.CLOSE)
    world.agent_conf(users={})
    agent.signal(signal.SIGHUP)
    circuit.close()
    agent.wait_exit(OK)
    assert not agent.lines("reloaded")


def test_agent_itself_is_no_target(world, echo):
    """Whatever Allow and Listen say, nobody reaches the agent's own address or its control socket
    through it, by whatever spelling; others on the machine are reached."""
    port, call = free_port(), world.directory / "call"
    other_name = world.directory / "other-name"
    other_name.symlink_to(call)
    allow = f"tcp:*:*, unix:{call}, unix:{other_name}"
    world.start_relay()
    agent = world.start_agent(
        users={"alice": allow}, listen=f"0.0.0.0:{port}", ControlSocket=call
    )
    circuit = alice(world).connect()
    hosts = [LOOPBACK, "127.0.0.2", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]"]
    own = [f"tcp:{host}:{port}" for host in hosts] + [f"unix:{path}" for path in (call, other_name)]
    for i, target in enumerate(own):
        with pytest.raises(peer.Refused) as refused:
            circuit.open(target, stream=2 * i + 1)
        assert refused.value.code == 4, target
    circuit.open(f"tcp:{LOOPBACK}:{echo.port}", stream=2 * len(own) + 1)
    circuit.finish()
    assert len(agent.lines("not allowed|not permitted")) == len(own)


def listen_code(circuit, stream, address):
    """The code of the RESET that answers this LISTEN; None: LISTENING."""
    circuit.send(peer.frame(peer.LISTEN, stream, peer.string(address)))
    answer = circuit.expect(peer.LISTENING, peer.RESET, stream=stream)
    return peer.Reader(answer.payload).number(2) if answer.kind == peer.RESET else None


def test_agent_itself_is_no_listener(world):
    """Nor does it listen there for a client: refused as not permitted, before the system is asked.
    Other addresses are listened on, with the same port too."""
    port, other, call = free_port(), free_port(), world.directory / "call"
    world.start_relay()
    conf = world.agent_conf(listen=f"{LOOPBACK}:{port}", CallSocket=call)
    conf.write_text(conf.read_text() + f"Listen = *:*, unix:{call}, unix:{call}-too\n")
    agent = world.start_agent(conf=conf)
    circuit = alice(world).connect()
    own = [f"{LOOPBACK}:{port}", f"0.0.0.0:{port}", f"[::]:{port}", f"unix:{call}"]
    codes = [listen_code(circuit, 2 * i + 1, address) for i, address in enumerate(own)]
    assert codes == [4] * len(own)
    stream = 2 * len(own) + 1
    for i, address in enumerate((f"127.0.0.2:{port}", f"{LOOPBACK}:{other}", f"unix:{call}-too")):
        assert listen_code(circuit, stream + 2 * i, address) is None, address
    assert call.is_socket()
    circuit.finish()
    assert len(agent.lines("refused to listen on .*: not permitted")) == len(own)
