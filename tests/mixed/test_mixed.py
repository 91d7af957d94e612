"""Thousands of agents are never upgraded in one night: the release before, in one or two of the three
roles, with today's program in the others.

The two releases may word their logs differently, so nothing here reads a log: what counts is which
bytes arrive, what a list shows, and how a program ends.
"""
import itertools
import re
import signal
import socket

import pytest
import socks

from harness import (
    DENIED,
    INTERRUPTED,
    LOOPBACK,
    NOT_APPROVED,
    NOT_AUTHENTICATED,
    NO_AGENT,
    OK,
    OTHER,
    SLOWNESS,
    SPX,
    Program,
    endpoint,
    free_port,
    run,
    wait_for,
)
from proxy import DOWN, UP, Proxy
from servers import Target, ask, exchange
from test_resume import MIB, Transfer
from test_udp import Application, UdpEcho

ROLES = ("client", "relay", "agent")
MIXES = [mix for few in (1, 2) for mix in itertools.combinations(ROLES, few)]


@pytest.fixture(autouse=True, params=MIXES, ids=lambda mix: "old-" + "-".join(mix))
def mix(request, world, old):
    """Which roles the release before has."""
    world.binary_of = {role: [old if role in request.param else SPX] for role in ROLES}


def dial(address, seconds=20):
    """Connects as soon as someone listens there."""
    host, _, port = address.rpartition(":")

    def connected():
        try:
            return socket.create_connection((host, int(port)), timeout=seconds * SLOWNESS)
        except ConnectionRefusedError:
            return None

    return wait_for(connected, 20, f"someone listens on {address}")


class Door:
    """A port of this test where a client or an agent listens, once the session is there."""

    def __init__(self):
        self.port = free_port()
        self.address = endpoint(LOOPBACK, self.port)

    def dial(self, seconds=20):
        return dial(self.address, seconds)

    def to(self, port):
        """The value of -L, -R or -U: from here to this port of loopback."""
        return f"{self.address}:{endpoint(LOOPBACK, port)}"


class Site:
    """Relay, agent and clients of this mix; each is ready when others can see it."""

    def __init__(self, world):
        self.world = world

    def start_relay(self, **config):
        conf = self.world.relay_conf(**config)
        relay = self.world.start(
            Program("relay", self.world.argv("relay", conf), self.world.directory)
        )
        dial(self.world.relay_address).close()
        return relay

    def start_agent(self, listens_for_user="", **config):
        """listens_for_user: the agent's Listen for -R."""
        conf = self.world.agent_conf(**config)
        if listens_for_user:
            conf.write_text(conf.read_text() + f"Listen = {listens_for_user}\n")
        agent = self.world.start_agent(conf=conf, online=False)
        watch = self.start_watch()
        self.wait_shown(watch, lambda text: state(text) == "online")
        watch.stop()
        return agent

    def start_client(self, *arguments, **config):
        return self.world.start_client(*arguments, connected=False, **config)

    def state(self):
        """The agent's line of a list."""
        return state(self.world.list_agents())

    def start_watch(self):
        name = f"watch-{len(self.world.programs)}"
        argv = self.world.argv("client", self.world.client_conf(), "list", "-w")
        options = dict(stop_signal=signal.SIGINT, stop_code=INTERRUPTED)
        return self.world.start(Program(name, argv, self.world.directory, **options))

    def wait_shown(self, watch, condition):
        wait_for(lambda: condition(watch.output()), 15, "list -w shows it")

    def refused(self, code, proxy, *arguments, agent="lab-1", **config):
        """A client that asks through the proxy for what it does not get: it ends in time with this
        exit code, says why, and has not asked again and again."""
        asked = len(proxy.connections)
        conf = self.world.client_conf(relay=proxy.address, **config)
        argv = self.world.argv("client", conf, agent, *arguments)
        failed = run(*argv, code=code, seconds=10)
        assert re.search(r"error client: .*([a-z]+,? ){3}", failed.stderr), failed.stderr
        lists = code == NO_AGENT  # once more, for a name that may have been meant
        assert 1 <= len(proxy.connections) - asked <= 1 + lists, failed.stderr


def state(text):
    """The last state of the agent in the output of a list, or None."""
    found = re.findall(r"^lab-1 +(\w+) ", text, re.MULTILINE)
    return found[-1] if found else None


@pytest.fixture
def site(world):
    return Site(world)


# ---- What is carried. ----


def test_local_forward(site, serve):
    """-L: megabytes both ways at once, each half ends by itself, and the client's end is an orderly
    one for all."""
    door, size = Door(), 8 * MIB
    target = serve(Target, lambda connection: exchange(connection, size, 1))
    site.start_relay()
    site.start_agent()
    client = site.start_client("-L", door.to(target.port))
    with door.dial() as connection:
        sent, received, checksum = exchange(connection, size, 2)
    assert target.outcome() == (checksum, size, sent) and received == size
    client.signal(signal.SIGINT)
    client.wait_exit(INTERRUPTED)


def test_standard_input_and_output(world, site, echo):
    """-W, whose end of file is the target's too."""
    site.start_relay()
    site.start_agent()
    text = "hello " * 100000
    assert world.run_pipe(f"{LOOPBACK}:{echo.port}", input=text).stdout == text


def holds(path, text):
    return path.exists() and text in path.read_text()


def test_heads_of_audits(world, site, echo, old):
    """Who keeps an audit gives others heads of it, which the release before ignores; whoever knows them
    takes them."""
    new = [role for role in ROLES if world.binary_of[role] != [old]]
    audits = {role: world.directory / f"{role}.audit" for role in new}
    config = {role: {"Audit": audits[role]} if role in new else {} for role in ROLES}
    site.start_relay(**config["relay"])
    site.start_agent(**config["agent"])
    door = Door()
    client = site.start_client("-L", door.to(echo.port), conf=world.client_conf(**config["client"]))
    with door.dial() as connection:
        assert ask(connection, b"before") == b"before"
        for role in new:
            wait_for(lambda: holds(audits[role], "head_signed"), 10, f"{role} has signed a head")
        if len(new) == 2 and "client" in new and "agent" in new:
            wait_for(lambda: holds(audits["client"], "head_received"), 10, "the agent's head is here")
        assert ask(connection, b"behind") == b"behind"
    client.signal(signal.SIGINT)
    client.wait_exit(INTERRUPTED)
    for path in audits.values():
        run(SPX, "audit", "verify", path)


def test_reason_and_wait(world, site, echo, old):
    """An agent of the release before passes over both: it makes nobody wait."""
    if world.binary_of["client"] == [old]:
        pytest.skip("a client of the release before has no such options")
    site.start_relay()
    site.start_agent()
    argv = world.pipe_argv(f"{LOOPBACK}:{echo.port}")
    assert run(*argv, "--reason", "case 4711", "--wait", "9", input="hello").stdout == "hello"


def test_remote_forward(site, echo):
    """-R: the agent listens, and what connects there reaches the client's side."""
    door = Door()
    site.start_relay()
    site.start_agent(listens_for_user="default")
    site.start_client("-R", door.to(echo.port))
    with door.dial() as connection:
        assert ask(connection, b"hello" * 100000) == b"hello" * 100000


def test_proxy(site, echo):
    """-D: a SOCKS request by name."""
    door = Door()
    site.start_relay()
    site.start_agent(users={"alice": f"tcp:localhost:{echo.port}"})
    site.start_client("-D", door.address)
    door.dial().close()
    with socks.socksocket() as connection:
        connection.set_proxy(socks.SOCKS5, LOOPBACK, door.port, rdns=True)
        connection.settimeout(20 * SLOWNESS)
        connection.connect(("localhost", echo.port))
        assert ask(connection, b"hello" * 100000) == b"hello" * 100000


def answers(application):
    """True if a datagram comes back: not before someone listens."""
    try:
        application.socket.send(b"first")
        return application.answer(0.1) == b"first"
    except ConnectionRefusedError:
        return False


def test_datagrams(site, serve):
    """-U: datagrams of many sizes come whole."""
    door, target = Door(), serve(UdpEcho)
    site.start_relay()
    site.start_agent(users={"alice": "udp:127.0.0.1:*"})
    site.start_client("-U", door.to(target.port))
    with Application((LOOPBACK, door.port)) as application:
        wait_for(lambda: answers(application), 20, "the first answer")
        for size in (0, 1, 1473, 65507):
            application.ask(bytes(i * 31 % 251 for i in range(size)))


def test_relay_dials_its_agent(site, echo):
    """An agent that only listens; the list says so, also while it carries a session."""
    door, place = Door(), endpoint(LOOPBACK, free_port())
    site.start_relay(agents={"lab-1": {"Dial": f"tcp:{place}"}})
    site.world.start_agent(online=False, relay="", listen=place)
    dial(place).close()
    site.start_client("-L", door.to(echo.port))
    with door.dial() as connection:
        assert ask(connection, b"hello" * 100000) == b"hello" * 100000
        assert site.state() == "dialled"


# ---- What a session survives: the application's connection goes on. ----


@pytest.mark.parametrize("side, direction", [("client", UP), ("agent", DOWN)])
def test_path_cut(world, site, serve, side, direction):
    """The client's or the agent's path is reset in the middle of a transfer."""
    door, transfer = Door(), Transfer(serve, 32 * MIB)
    site.start_relay()
    proxy = serve(Proxy, world.relay_address, recording=False)
    through = {side: {"relay": proxy.address}}
    site.start_agent(**through.get("agent", {}))
    site.start_client("-L", door.to(transfer.target.port), **through.get("client", {}))
    proxy.cut_after(direction, 8 * MIB)
    transfer.start(door)
    transfer.check()
    assert not proxy.fuse, "the path was never cut"


def test_relay_killed(site, serve):
    """The relay is killed without a word in the middle of a transfer, and started again."""
    door, transfer = Door(), Transfer(serve, 128 * MIB // SLOWNESS)
    relay = site.start_relay()
    site.start_agent()
    site.start_client("-L", door.to(transfer.target.port))
    transfer.start(door)
    transfer.wait_part(0.2)
    relay.kill()
    assert not transfer.task.done
    site.start_relay()
    transfer.check()


# ---- What users see of agents. ----


def test_list_and_watch(world, site):
    """A list has state and labels of the agent, and -w goes on with what changes."""
    site.start_relay(agents={"lab-1": {"Labels": "site=boston"}})
    assert site.state() == "offline"
    watch = site.start_watch()
    site.wait_shown(watch, lambda text: state(text) == "offline")
    agent = site.start_agent(Labels="model=vmax")
    for query, shown in {"site=boston": "online", "model=v*": "online", "site=berlin": None}.items():
        assert state(world.list_agents(query)) == shown
    assert "site=boston model=vmax" in world.list_agents()
    site.wait_shown(watch, lambda text: state(text) == "online")
    agent.kill()
    site.wait_shown(watch, lambda text: state(text) == "offline")


def test_call_for_help(world, site):
    """The agent's call is told to who watches, and listed."""
    site.start_relay()
    site.start_agent(CallSocket=world.directory / "call")
    watch = site.start_watch()
    site.wait_shown(watch, lambda text: state(text) == "online")
    conf = world.directory / "agent-lab-1.conf"
    run(*world.argv("agent", conf, "call", "3", "fan 2 has failed"))
    site.wait_shown(watch, lambda text: "fan 2 has failed" in text)
    assert "fan 2 has failed" in world.list_agents()


def test_gravest_call(world, site):
    """Of several calls everybody sees the gravest one, whichever role is of the release before: where
    that is the agent, the last one."""
    site.start_relay()
    site.start_agent(CallSocket=world.directory / "call")
    conf = world.directory / "agent-lab-1.conf"
    run(*world.argv("agent", conf, "call", "1", "dust"))
    site.wait_shown(site.start_watch(), lambda text: "dust" in text)
    run(*world.argv("agent", conf, "call", "9", "no power"))
    wait_for(lambda: "no power" in world.list_agents("lab-1"), 20, "the grave one is listed")


def test_take(world, site, mix, old):
    """A call is taken at the agent; one of the release before cannot be asked for it."""
    if world.binary_of["client"] == [old]:
        pytest.skip("a client of the release before cannot take a call")
    site.start_relay()
    site.start_agent(CallSocket=world.directory / "call")
    run(*world.argv("agent", world.directory / "agent-lab-1.conf", "call", "3", "a fan"))
    is_old = world.binary_of["agent"] == [old]
    taken = run(
        *world.argv("client", world.client_conf(), "take", "lab-1"), code=OTHER if is_old else OK
    )
    if is_old:
        assert "lab-1 is of a version of spx that cannot be asked for this" in taken.stderr
    else:
        assert taken.stdout == "call 1 is yours, severity 3: a fan\n"


def test_what_may_be_reached(world, site, mix, old):
    """The agent says what it permits this user; one of the release before cannot, which is told in
    words."""
    if world.binary_of["client"] == [old]:
        pytest.skip("a client of the release before cannot ask")
    site.start_relay()
    site.start_agent(users={"alice": "tcp:127.0.0.1:22"})
    is_old = world.binary_of["agent"] == [old]
    shown = run(
        *world.argv("client", world.client_conf(), "targets", "lab-1"), code=OTHER if is_old else OK
    )
    if is_old:
        assert "lab-1 is of a version of spx that cannot be asked for this" in shown.stderr
    else:
        assert "tcp:127.0.0.1:22" in shown.stdout


# ---- What is refused: in words, and neither by a hang nor by a loop of attempts. ----

REFUSALS = {
    "key-unknown-to-the-relay": (NOT_AUTHENTICATED, dict(user="mallory")),
    "key-unknown-to-the-agent": (DENIED, dict(user="bob")),
    "agent-not-for-this-user": (NO_AGENT, dict(agent="lab-2", agents=("lab-1", "lab-2"))),
}


@pytest.fixture
def denying(world, site, serve):
    """A site that permits little, and a proxy to its relay."""
    site.start_relay(users={"alice": "lab-1", "bob": "*"}, agents={"lab-1": {}, "lab-2": {}})
    site.start_agent(users={"alice": "tcp:127.0.0.1:10"})
    return serve(Proxy, world.relay_address)


@pytest.mark.parametrize("code, config", REFUSALS.values(), ids=REFUSALS)
def test_session_refused(site, denying, code, config):
    """A client that goes on trying whatever may help does not go on here, whoever refuses."""
    site.refused(code, denying, "-L", Door().to(9), **config)


def test_target_refused(site, denying):
    """The session is there, the target is not permitted."""
    site.refused(DENIED, denying, "-W", "127.0.0.1:9")


def test_permission_that_ends(world, site, echo):
    """The agent's configuration loses a user: the session ends with the code for that."""
    door = Door()
    site.start_relay()
    agent = site.start_agent()
    client = site.start_client("-L", door.to(echo.port))
    with door.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
        world.agent_conf(users={"bob": "tcp:127.0.0.1:*"})
        agent.signal(signal.SIGHUP)
        client.wait_exit(DENIED)


def test_session_ended_by_a_rule(world, site, echo, old):
    """Today's agent announces the end to a client that takes that, and ends the session of either with
    the code for that."""
    if world.binary_of["agent"] == [old]:
        pytest.skip("an agent of the release before has no rules")
    door = Door()
    site.start_relay()
    site.start_agent(MaxSession="4 s")
    client = site.start_client("-L", door.to(echo.port))
    with door.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
        client.wait_exit(DENIED)


def test_session_that_would_wait(world, site, old):
    """A client of the release before cannot wait for approval, and is told so in words; today's does."""
    if world.binary_of["agent"] == [old]:
        pytest.skip("an agent of the release before asks nobody")
    site.start_relay()
    site.start_agent(Access="ask", ControlSocket=world.directory / "control")
    argv = world.pipe_argv(f"{LOOPBACK}:9")
    if world.binary_of["client"] == [old]:
        assert "approv" in run(*argv, code=DENIED, seconds=10).stderr
    else:
        told = run(*argv, "--wait", "1", code=NOT_APPROVED, seconds=10).stderr
        assert "waiting for approval at lab-1: request" in told
