"""The agents as a user sees them: `client list`, its queries and --watch."""
import json
import re
import signal

import pytest

import peer
from harness import INTERRUPTED, NO_AGENT, OTHER, SPX, USAGE, Program, run, spx, wait_for


def rows(text):
    """name -> (state, what follows FOR) of the last line of each agent."""
    found = re.findall(r"^(\S+) +(\S+) +(\d.*?)(?:  +(.*))?$", text, re.MULTILINE)
    return {name: (state, rest) for name, state, _, rest in found}


@pytest.fixture
def labelled(world):
    """A relay with two agents; the one that is online brings labels of its own."""
    world.start_relay(
        agents={"lab-1": {"Labels": "site=boston rack=7"}, "lab-2": {"Labels": "site=berlin"}}
    )
    world.start_agent(Labels="model=vmax rack=8")


def test_labels(world, labelled):
    """Each line has the agent's labels, the relay's first; where both have one the relay's counts."""
    assert rows(world.list_agents()) == {
        "lab-1": ("online", "site=boston rack=7 model=vmax"),
        "lab-2": ("offline", "site=berlin"),
    }


@pytest.mark.parametrize(
    "query, names",
    [
        ("site=boston", {"lab-1"}),
        ("site=b*", {"lab-1", "lab-2"}),
        ("model=vmax lab-?", {"lab-1"}),
        ("model=vmax lab-2", set()),
        ("rack=8", set()),
        ("lab", {"lab-1", "lab-2"}),
        ("ab-1", {"lab-1"}),
        ("lab site=berlin", {"lab-2"}),
        ("lab?", set()),
        ("*-2", {"lab-2"}),
    ],
)
def test_query(world, labelled, query, names):
    """All words of a query must match, names and labels, as patterns."""
    assert set(rows(world.list_agents(query))) == names


def test_order_and_state(world):
    """By name, whatever the relay's order; --state leaves out the others."""
    names = ["lab-3", "lab-1", "lab-10", "lab-2"]
    world.start_relay(agents={name: {} for name in names})
    world.start_agent("lab-10")
    assert list(rows(world.list_agents())) == sorted(names)
    assert list(rows(world.list_agents("--state", "online"))) == ["lab-10"]
    assert list(rows(world.list_agents("-s", "offline", "lab-1"))) == ["lab-1"]  # and not lab-10, which has it in its name
    both = world.list_agents("-s", "offline", "-s", "online")
    assert list(rows(both)) == sorted(names)
    wrong = spx("client", "-c", world.client_conf(), "list", "-s", "away", code=USAGE)
    assert "'away' is no state; expected is offline, online, dialled or duplicate" in wrong.stderr


def test_json(world, labelled):
    """An object a line, which a script reads."""
    shown = [json.loads(line) for line in world.list_agents("--json").splitlines()]
    assert [(a["agent"], a["state"], a["labels"]) for a in shown] == [
        ("lab-1", "online", {"site": "boston", "rack": "7", "model": "vmax"}),
        ("lab-2", "offline", {"site": "berlin"}),
    ]
    assert [a["key"] for a in shown] == [world.key(name).public for name in ("lab-1", "lab-2")]
    assert all(a["severity"] == 0 and a["call"] == "" and a["for_s"] >= 0 for a in shown)


def test_age(world):
    """JSON has how long an agent has been in its state."""
    world.start_relay()
    world.start_agent()
    wait_for(lambda: json.loads(world.list_agents("--json", "lab-1"))["for_s"] >= 1, 10, "a second passes")


def test_nothing_to_list(world):
    """It is said why there is no line: of a query that nothing matches, and of a user without agents."""
    world.start_relay(users={"alice": "*", "bob": "plant-*"})
    for user, query, text in (
        ("alice", ["plant"], "no agent that you may reach matches 'plant'"),
        ("bob", [], "you may reach no agent"),
    ):
        shown = run(*world.argv("client", world.client_conf(user), "list", *query))
        assert not rows(shown.stdout)
        assert re.search(rf"info +client: {text}$", shown.stderr, re.MULTILINE)


@pytest.mark.parametrize(
    "name, meant",
    [("lap-1", "lab-1"), ("boston", "boston-vmax-01"), ("emc", None), ("plant", None)],
)
def test_misspelt_name(world, name, meant):
    """A name that nobody has, of those that this user may see: what was meant is told, and nothing of
    others."""
    agents = ("lab-1", "lab-22", "boston-vmax-01", "lab-emc-south", "lab-emc-north", "plant-9")
    world.start_relay(users={"alice": "lab-*, boston-*"}, agents={agent: {} for agent in agents})
    failed = world.run_pipe(agent=name, code=NO_AGENT)
    found = re.findall(r"did you mean '(.*)'\?", failed.stderr)
    assert found == ([meant] if meant else [])
    assert "plant-9" not in failed.stderr


def start_watch(world, *query, conf=None, name="watch"):
    words = ["client", "-c", conf or world.client_conf(), "list", "--watch", *query]
    watch = Program(
        name, [SPX, *words], world.directory, stop_signal=signal.SIGINT, stop_code=INTERRUPTED
    )
    return world.start(watch)


def test_watch(world):
    """--watch goes on with what changes, of the agents that the query is about and no others, until
    Ctrl-C ends it with 130."""
    agents = ("lab-1", "lab-2", "plant-9")
    world.start_relay(users={"alice": "lab-*"}, agents={name: {} for name in agents})
    watch = start_watch(world, "lab-1")

    def shows(state):
        wait_for(lambda: rows(watch.output()).get("lab-1", ("", ""))[0] == state, 10, state)

    shows("offline")
    started = [world.start_agent(name) for name in agents]
    shows("online")
    started[0].kill()
    shows("offline")
    assert set(rows(watch.output())) == {"lab-1"}
    watch.stop()


def test_watch_of_a_reload(world):
    """Watchers see what the relay's new configuration says of agents: other labels, also of one that is
    online, an agent that is dialled from now on (as one was before, or the relay has given up dialling),
    and a new one."""
    dialled = {"Dial": f"tcp:{world.relay_address}"}
    agents = {name: {"Labels": "site=boston"} for name in ("lab-1", "lab-2", "lab-3")}
    relay = world.start_relay(agents={**agents, "lab-5": dialled})
    world.start_agent(Labels="model=vmax")
    watch = start_watch(world)
    before = {
        "lab-1": ("online", "site=boston model=vmax"),
        "lab-2": ("offline", "site=boston"),
        "lab-3": ("offline", "site=boston"),
        "lab-5": ("dialled", ""),
    }
    wait_for(lambda: rows(watch.output()) == before, 10, "the list")
    world.relay_conf(
        agents={
            "lab-1": {"Labels": "site=berlin"},
            "lab-2": {**dialled, "Labels": "site=boston"},
            "lab-3": {"Labels": "site=boston"},
            "lab-4": {"Labels": "site=paris"},
            "lab-5": dialled,
        }
    )
    relay.signal(signal.SIGHUP)
    after = {
        "lab-1": ("online", "site=berlin model=vmax"),
        "lab-2": ("dialled", "site=boston"),
        "lab-3": ("offline", "site=boston"),
        "lab-4": ("offline", "site=paris"),
        "lab-5": ("dialled", ""),
    }
    wait_for(lambda: rows(watch.output()) == after, 10, "what has changed")
    assert len(re.findall("^lab-3", watch.output(), re.MULTILINE)) == 1
    watch.stop()


def unlisted(watch, *names):
    """These agents, and no others, were shown in that state last."""
    return {name for name, (state, _) in rows(watch.output()).items() if state == "unlisted"} == set(names)


def test_watch_of_agents_no_longer_listed(world):
    """Watchers see that an agent is no longer in the relay's configuration, no longer permitted, or has
    other labels than were asked for; and which ones come instead. Nobody is told of an agent that they
    could not reach."""
    labels = {"lab-1": "site=boston", "lab-2": "site=boston", "lab-3": "site=boston", "plant-1": "site=boston"}

    def configure(users, labels):
        return {"users": users, "agents": {name: {"Labels": text} for name, text in labels.items()}}

    relay = world.start_relay(**configure({"alice": "lab-*", "bob": "lab-2"}, labels))
    alice, site = start_watch(world), start_watch(world, "site=boston", name="site")
    bob = start_watch(world, conf=world.client_conf("bob"), name="bob")
    wait_for(lambda: all("lab-2" in watch.output() for watch in (alice, site, bob)), 10, "the lists")
    other = {"lab-2": "site=berlin", "lab-3": "site=boston", "plant-1": "site=boston"}
    world.relay_conf(**configure({"alice": "lab-2, plant-*", "bob": "lab-2"}, other))
    relay.signal(signal.SIGHUP)
    wait_for(lambda: unlisted(alice, "lab-1", "lab-3"), 10, "one removed, one forbidden")
    wait_for(lambda: unlisted(site, "lab-1", "lab-2", "lab-3"), 10, "and one with other labels")
    wait_for(lambda: rows(bob.output()) == {"lab-2": ("offline", "site=berlin")}, 10, "other labels")
    for watch in (alice, site):
        assert rows(watch.output())["plant-1"] == ("offline", "site=boston")
    world.relay_conf(**configure({"alice": "lab-2, plant-*", "bob": "lab-2"}, labels))
    relay.signal(signal.SIGHUP)
    wait_for(lambda: rows(site.output())["lab-2"] == ("offline", "site=boston"), 10, "it is back")
    assert set(rows(bob.output())) == {"lab-2"}
    for watch in (alice, site, bob):
        watch.stop()


def test_watch_of_an_agent_with_other_labels(world):
    """Of an agent that brings other labels than were asked for, and of none that never had them."""
    world.start_relay(agents={"lab-1": {}, "lab-2": {}})
    agent = world.start_agent(Labels="rack=7")
    watch = start_watch(world, "rack=7")
    wait_for(lambda: "lab-1" in watch.output(), 10, "the list")
    world.start_agent("lab-2", Labels="rack=9")
    world.agent_conf(Labels="rack=8")
    agent.signal(signal.SIGHUP)
    wait_for(lambda: unlisted(watch, "lab-1"), 10, "it is no longer what was asked for")
    assert set(rows(watch.output())) == {"lab-1"}
    watch.stop()


def test_watch_of_a_relay_that_has_fewer(world):
    """A relay that is lost and comes back without an agent: the watch says so."""
    relay = world.start_relay(agents={"lab-1": {}, "lab-2": {}})
    watch = start_watch(world)
    wait_for(lambda: "lab-2" in watch.output(), 10, "the list")
    relay.stop()
    world.start_relay(agents={"lab-1": {}})
    wait_for(lambda: unlisted(watch, "lab-2"), 40, "it is not listed any more")
    assert len(re.findall("^lab-1", watch.output(), re.MULTILINE)) == 1
    watch.stop()


class SilentRelay(peer.Relay):
    """Takes every question and answers none."""

    def serve_client(self, hop):
        while True:
            hop.receive()


def test_interrupted_while_it_waits(world, serve):
    """Ctrl-C ends a list at once, also one of a word that may be a name, which is asked for first."""
    relay = serve(SilentRelay, peer.Pair(world.key("relay").path), world.relay_address)
    argv = world.argv("client", world.client_conf(), "list", "lab-1")
    listing = world.start(Program("list", argv, world.directory))
    wait_for(lambda: relay.pipes, 10, "the relay is asked")
    listing.signal(signal.SIGINT)
    listing.wait_exit(INTERRUPTED, seconds=3)


class WrongRelay(peer.Relay):
    """Answers a question with what is none, and keeps the connection."""

    answers = ()

    def serve_client(self, hop):
        hop.receive()
        for message in self.answers:
            hop.send(*message)
        hop.wait_end()


@pytest.mark.parametrize(
    "answers, why",
    [
        ([(peer.CONNECTED, b"x")], "CONNECTED was not asked for"),
        ([(peer.REFUSED, peer.refusal(peer.DENIED, "no"))], "REFUSED was not asked for"),
        ([(peer.END, b"x")], "malformed END"),
    ],
)
def test_wrong_answers(world, serve, answers, why):
    """An answer that is no list ends the hop at once: nobody waits until no list has come."""
    relay = serve(WrongRelay, peer.Pair(world.key("relay").path), world.relay_address)
    relay.answers = answers
    shown = spx("client", "-c", world.client_conf(), "list", code=OTHER)
    assert f"relay {world.relay_address}: {why}" in shown.stderr


@pytest.mark.parametrize("again", ["END", "AGENT"])
def test_second_list(world, serve, again):
    """A list ends once: a second END ends a watch's hop. AGENT belongs to a watch then."""
    relay = serve(WrongRelay, peer.Pair(world.key("relay").path), world.relay_address)
    entry = peer.agent_entry("lab-1", world.key("lab-1").raw)
    relay.answers = [(peer.END, b""), {"END": (peer.END, b""), "AGENT": (peer.AGENT, entry)}[again]]
    watch = start_watch(world)
    if again == "END":
        watch.wait_exit(OTHER)
        assert f"relay {world.relay_address}: END was not asked for" in watch.log()
    else:
        wait_for(lambda: "lab-1" in rows(watch.output()), 10, "the change is shown")
        watch.stop()
