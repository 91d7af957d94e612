"""Two relays behave as one: which of them has the agent is none of the engineer's business."""
import re
import signal
import time

import pytest

import peer
from harness import (
    INTERRUPTED,
    LOOPBACK,
    NOT_AUTHENTICATED,
    NO_AGENT,
    SLOWNESS,
    Program,
    endpoint,
    forwards,
    free_port,
    run,
    wait_for,
)
from servers import Target, ask, read_to_end

OFFLINE = r"warn +client: lab-1 is offline; waiting up to 20 s \(Ctrl-C ends\)"


class Pair:
    """Two relays that know the same users and agents; a client's file names first, then second."""

    def __init__(self, world):
        self.world = world
        self.first, self.second = world.relay_address, endpoint(LOOPBACK, free_port())
        self.conf = world.client_conf(more_relays=[(self.second, "relay2")])

    def start(self, which):
        name, address = (("relay", self.first), ("relay2", self.second))[which - 1]
        return self.world.start_relay(name=name, listen=address)

    def start_agent(self, *which, name="lab-1", **options):
        relays = [((self.first, "relay"), (self.second, "relay2"))[n - 1] for n in which]
        conf = self.world.agent_conf(
            name, relay=relays[0][0], relay_key=relays[0][1], more_relays=relays[1:]
        )
        return self.world.start_agent(name, conf=conf, **options)

    def start_client(self, *arguments, **options):
        return self.world.start_client(*arguments, conf=self.conf, **options)

    def pipe(self, port, **options):
        return self.world.run_pipe(f"{LOOPBACK}:{port}", conf=self.conf, **options)


@pytest.fixture
def pair(world):
    return Pair(world)


def test_agent_is_at_the_second_relay(pair, echo):
    """The first one says that the agent is offline: the second is asked at once."""
    pair.start(1), pair.start(2)
    pair.start_agent(2)
    begun = time.monotonic()
    done = pair.pipe(echo.port, input="hello")
    assert done.stdout == "hello" and "offline" not in done.stderr
    assert time.monotonic() - begun < 5 * SLOWNESS


@pytest.mark.parametrize("where", [1, 2])
def test_agent_comes_to_either_relay(pair, echo, where):
    """Nobody has the agent: the client says so and waits, and is there when the agent comes to either
    relay."""
    pair.start(1), pair.start(2)
    client = pair.start_client(*forwards(echo.port), connected=False)
    client.expect(OFFLINE)
    pair.start_agent(where)
    client.connected(seconds=8)
    assert client.expect(client.CONNECTED)[2] == (pair.first, pair.second)[where - 1]
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
    assert len(client.lines("is offline; waiting")) == 1


def test_agent_comes_to_both_at_once(pair, echo):
    """The client, stopped meanwhile, learns in one moment that the agent is at the other relay and
    that it has accepted here: it has one session, and that one works."""
    relays = [pair.start(1), pair.start(2)]
    client = pair.start_client(*forwards(echo.port), connected=False)
    client.expect(OFFLINE)
    client.signal(signal.SIGSTOP), relays[1].signal(signal.SIGSTOP)
    pair.start_agent(1, 2, online=False)
    relays[0].expect("agent lab-1 online")  # the first to say so
    relays[1].signal(signal.SIGCONT)
    relays[1].expect("joined")  # where it waits, the last that it has asked
    client.signal(signal.SIGCONT)
    client.connected(seconds=8)
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"


def test_other_relay_is_down(pair, echo):
    """The agent is waited for at the relay that there is, whatever the order."""
    pair.start(1)
    client = pair.start_client(*forwards(echo.port), connected=False)
    client.expect(OFFLINE)
    pair.start_agent(1)
    client.connected(seconds=8)
    assert client.expect(client.CONNECTED)[2] == pair.first


class Liar(peer.Relay):
    """Lists the agent as online and then refuses to connect, or says nothing."""

    def __init__(self, own, silent, **options):
        self.silent = silent
        super().__init__(own, **options)

    def connected(self, hop, name, message1):
        if not self.silent:
            hop.send(peer.REFUSED, peer.refusal(peer.OFFLINE, "it is offline after all"))


@pytest.mark.parametrize("silent", [False, True], ids=["refuses", "silent"])
@pytest.mark.parametrize("first", [False, True], ids=["second", "first"])
def test_relay_that_lies(pair, serve, echo, silent, first):
    """A relay that says that the agent is there, and it is not, does not keep the client from the one
    where it then comes: the client goes back there, and is fooled once."""
    world = pair.world
    liar = serve(
        Liar, peer.Pair(world.key("liar").path), silent, agents={"lab-1": world.key("lab-1").raw}
    )
    pair.start(1)
    relays = [(pair.first, "relay"), (liar.address, "liar")]
    (address, key), other = relays[::-1] if first else relays
    pair.conf = world.client_conf(relay=address, relay_key=key, more_relays=[other])
    client = pair.start_client(*forwards(echo.port), connected=False)
    wait_for(lambda: liar.connects == 2, 15, "the client is fooled")
    pair.start_agent(1)
    client.connected()


def test_agent_is_at_neither_relay(pair):
    """The wait has an end, and the reason is the agent's absence."""
    pair.start(1)
    failed = pair.pipe(9, code=NO_AGENT, seconds=40)
    assert "the agent is offline" in failed.stderr.splitlines()[-1]
    assert "did you mean" not in failed.stderr  # the name is right


def test_silent_way_to_the_agent(pair, echo):
    """The first relay still lists an agent that has gone without a word: the second is asked before the
    first has noticed."""
    pair.start(1), pair.start(2)
    pair.start_agent(1).signal(19)
    pair.world.programs[-1].stop_signal = 9
    pair.world.programs[-1].stop_code = -9
    pair.start_agent(2)
    begun = time.monotonic()
    assert pair.pipe(echo.port, input="hello").stdout == "hello"
    assert time.monotonic() - begun < 12 * SLOWNESS


def test_session_goes_on_at_the_other_relay(pair, echo):
    """The agent has lost the first relay, which the client still reaches: its session resumes through
    the second at once."""
    first = pair.start(1)
    pair.start(2)
    pair.start_agent(1, 2)
    client = pair.start_client(*forwards(echo.port))
    with client.dial() as connection:
        assert ask(connection, b"before") == b"before"
        first.kill()
        assert client.resumed(seconds=10)[0] == pair.second
        assert ask(connection, b"after") == b"after"


# Lists.


def listed(text):
    """[(name, state)] as printed."""
    return re.findall(r"^(\S+) +(\S+) +\d.*$", text, re.MULTILINE)


def test_list_asks_both(pair):
    """Each relay has one of the agents, and one agent is at neither: each is listed once, in the state in
    which it can be reached."""
    agents = {"lab-1": {}, "lab-2": {}, "lab-3": {}}
    for name, listen in (("relay", pair.first), ("relay2", pair.second)):
        pair.world.start_relay(name=name, listen=listen, agents=agents)
    pair.start_agent(1), pair.start_agent(2, name="lab-2")
    shown = run(*pair.world.argv("client", pair.conf, "list"))
    assert listed(shown.stdout) == [("lab-1", "online"), ("lab-2", "online"), ("lab-3", "offline")]
    assert not shown.stderr


def test_list_without_one_relay(pair):
    """The other one answers: its list is shown, and who is missing is said."""
    pair.start(2)
    shown = run(*pair.world.argv("client", pair.conf, "list"))
    assert listed(shown.stdout) == [("lab-1", "offline")]
    assert re.search(rf"warn +client: .*{pair.first}.*refused", shown.stderr)


def test_list_with_a_silent_relay(pair, serve):
    """The other one's list is not kept waiting for long, and it is said that something may be missing."""
    pair.start(1)
    silent = serve(Target, read_to_end)
    pair.conf = pair.world.client_conf(more_relays=[(endpoint(LOOPBACK, silent.port), "relay2")])
    begun = time.monotonic()
    shown = run(*pair.world.argv("client", pair.conf, "list"))
    assert listed(shown.stdout) == [("lab-1", "offline")]
    assert re.search(rf"warn +client: relay {LOOPBACK} has not answered", shown.stderr)
    assert time.monotonic() - begun < 4.5 * SLOWNESS


def test_relays_list_different_keys(pair):
    """A key that only one relay lists is not shown to be confirmed."""
    pair.start(1)
    conf = pair.world.relay_conf(name="relay2", listen=pair.second)
    conf.write_text(conf.read_text().replace(pair.world.key("lab-1").public, pair.world.key("x").public))
    pair.world.start_relay(name="relay2", conf=conf)
    nobody = pair.world.client_conf(agents=(), more_relays=[(pair.second, "relay2")])
    failed = pair.world.run_pipe(conf=nobody, code=NOT_AUTHENTICATED)
    assert "the relays list different keys for it" in failed.stderr


def test_watch_survives_a_relay(pair):
    """`list -w` goes on when its relay is restarted, and with two shows nothing while the other one still
    has the agent."""
    first = pair.start(1)
    agent = pair.start_agent(1)
    alone = pair.world.client_conf()
    watch = Program(
        "watch",
        pair.world.argv("client", alone, "list", "-w"),
        pair.world.directory,
        stop_signal=signal.SIGINT,
        stop_code=INTERRUPTED,
    )
    pair.world.start(watch)
    wait_for(lambda: listed(watch.output()) == [("lab-1", "online")], 10, "the list is there")
    first.kill()
    watch.expect(r"warn +client: relay .*; asking again")
    pair.start(1)
    watch.expect(r"info +client: relay \S+ answers again", 40)
    agent.expect("online at relay", 40, count=2)
    agent.stop()
    wait_for(lambda: listed(watch.output())[-1] == ("lab-1", "offline"), 10, "its end is seen")


def test_watch_of_two_relays(pair):
    """One of them goes: the agent is still there for the other, and nothing is printed of it."""
    first = pair.start(1)
    pair.start(2)
    agent = pair.start_agent(1, 2)
    agent.expect("online at relay", count=2)
    argv = pair.world.argv("client", pair.conf, "list", "-w")
    watch = Program("watch", argv, pair.world.directory, stop_signal=signal.SIGINT, stop_code=INTERRUPTED)
    pair.world.start(watch)
    wait_for(lambda: listed(watch.output()), 10, "the list is there")
    first.kill()
    watch.expect("asking again")
    agent.stop()
    wait_for(lambda: len(listed(watch.output())) == 2, 10, "its end is seen")
    assert listed(watch.output()) == [("lab-1", "online"), ("lab-1", "offline")]
