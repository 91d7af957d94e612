"""The agents as a user sees them: `client list`, its queries and --watch, and an agent's call for
help."""
import json
import re
import signal

import pytest

from harness import CONFIG, INTERRUPTED, NETWORK, NO_AGENT, OK, OTHER, SPX, USAGE, Program, run, spx, wait_for


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


def test_call_socket_in_use(world):
    """A second agent with the same CallSocket does not start, and the first one still hears calls; a
    socket that a killed agent left is replaced."""
    world.start_relay()
    path = world.directory / "call"
    conf = world.agent_conf(CallSocket=path)
    first = world.start_agent(conf=conf)
    second = world.start_agent(conf=conf, name="second", online=False)
    second.expect(f"CallSocket = {path}: in use: another agent")
    second.wait_exit(NETWORK)
    spx("agent", "-c", conf, "call", "3", "fan 2", code=OK)
    first.expect("calls for help, severity 3: fan 2")
    first.kill()
    assert path.exists()
    third = world.start_agent(conf=conf, name="third")
    spx("agent", "-c", conf, "call", "4", "fan 3", code=OK)
    third.expect("calls for help, severity 4: fan 3")


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


@pytest.mark.parametrize("name, meant", [("lap-1", "lab-1"), ("boston", "boston-vmax-01"), ("plant", None)])
def test_misspelt_name(world, name, meant):
    """A name that nobody has, of those that this user may see: what was meant is told, and nothing of
    others."""
    agents = ("lab-1", "lab-22", "boston-vmax-01", "plant-9")
    world.start_relay(users={"alice": "lab-*, boston-*"}, agents={agent: {} for agent in agents})
    failed = world.run_pipe(agent=name, code=NO_AGENT)
    found = re.findall(r"did you mean '(.*)'\?", failed.stderr)
    assert found == ([meant] if meant else [])
    assert "plant-9" not in failed.stderr


def start_watch(world, *query, conf=None):
    words = ["client", "-c", conf or world.client_conf(), "list", "--watch", *query]
    watch = Program(
        "watch", [SPX, *words], world.directory, stop_signal=signal.SIGINT, stop_code=INTERRUPTED
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


def test_call_for_help(world):
    """`agent call` reaches the relay through the agent that runs: those who list and watch see
    severity and text, and all three logs have it."""
    relay = world.start_relay()
    conf = world.agent_conf(CallSocket=world.directory / "call")
    agent = world.start_agent(conf=conf)
    watch = start_watch(world)
    wait_for(lambda: "lab-1" in rows(watch.output()), 10, "the list is there")
    run(SPX, "agent", "-c", conf, "call", "3", "fan 2 has failed")
    agent.expect(r"the storage system calls for help, severity 3: fan 2 has failed")
    relay.expect(r"agent lab-1 calls for help, severity 3: fan 2 has failed")
    wait_for(lambda: "CALL 3: fan 2 has failed" in watch.output(), 10, "the watcher is told")
    assert "CALL 3: fan 2 has failed" in world.list_agents()


def test_call_is_said_to_a_relay_that_comes_back(world):
    """A relay that was started anew hears of the call, and that a call is over."""
    relay = world.start_relay()
    conf = world.agent_conf(CallSocket=world.directory / "call")
    agent = world.start_agent(conf=conf)
    for number, (call, shown) in enumerate(((("3", "a fan"), True), (("0",), False)), 2):
        run(SPX, "agent", "-c", conf, "call", *call)
        agent.expect("calls for help, severity 3" if shown else "the call for help is over")
        relay.kill()
        relay = world.start_relay()
        agent.expect("online at relay", count=number)

        def listed():
            return ("CALL 3: a fan" in world.list_agents("lab-1")) == shown

        wait_for(listed, 15, "the call is listed or not")


@pytest.mark.parametrize(
    "words, code, reason",
    [
        (["3", "text"], OTHER, "is the agent running with this CallSocket?"),
        (["256", "text"], USAGE, "'256' is not a number from 0 to 255"),
        (["3"], USAGE, "a call has a TEXT"),
        (["0", "text"], USAGE, "text"),
        (["0", "0"], USAGE, "0"),
        ([], USAGE, "missing argument: SEVERITY [TEXT]"),
        (["3", "x" * 1025], USAGE, "the path or the text is too long (text: at most 1024 bytes)"),
    ],
)
def test_call_that_is_not_right(world, words, code, reason):
    """Nobody hears the call, or it is none."""
    conf = world.agent_conf(CallSocket=world.directory / "call")
    assert reason in spx("agent", "-c", conf, "call", *words, code=code).stderr


def test_call_without_a_socket(world):
    """The configuration says of no socket."""
    failed = spx("agent", "-c", world.agent_conf(), "call", "3", "text", code=CONFIG)
    assert "no CallSocket in [Agent]" in failed.stderr
