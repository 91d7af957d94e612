"""Calls for help: several stand, none is lost, whoever takes one is seen by all."""
import json
import re
import signal

import pytest

import peer
from harness import (
    CONFIG,
    DENIED,
    INTERRUPTED,
    LOOPBACK,
    NETWORK,
    NO_AGENT,
    OK,
    OTHER,
    USAGE,
    Program,
    endpoint,
    free_port,
    run,
    spx,
    wait_for,
)


class Site:
    """An agent with a call socket and a state directory."""

    def __init__(self, world):
        self.world, self.state = world, world.directory / "state"
        self.state.mkdir()
        self.conf = self.configure()

    def configure(self, **more):
        return self.world.agent_conf(
            ControlSocket=self.world.directory / "call", StateDirectory=self.state, **more
        )

    def start(self, **options):
        return self.world.start_agent(conf=self.conf, **options)

    def call(self, *words, code=OK):
        """The command's output."""
        done = run(*self.world.argv("agent", self.conf, "call", *map(str, words)), code=code)
        return done.stdout.strip() or done.stderr.strip()

    def take(self, *words, user="alice", code=OK):
        conf = self.world.client_conf(user)
        done = run(*self.world.argv("client", conf, "take", "lab-1", *words), code=code, seconds=40)
        return done.stdout.strip() or done.stderr.strip()

    def listed(self, user="alice"):
        """(number, severity, taken by, text) of each call that the list has, in its order. Of one agent
        by its name: other lists have a rate."""
        conf = self.world.client_conf(user)
        lines = run(*self.world.argv("client", conf, "--json", "list", "lab-1")).stdout.splitlines()
        return [
            (c["number"], c["severity"], c["taken_by"], c["call"])
            for c in json.loads(lines[0])["calls"]
        ]


@pytest.fixture
def site(world):
    return Site(world)


def shown(text):
    """The lines about calls of a list, without their ages."""
    return re.findall(r"^    (CALL.*)$", re.sub(r", [^,]* ago", "", text), re.MULTILINE)


def test_call_for_help(world, site):
    """`agent call` reaches the relay through the agent that runs, and says that it did: those who
    list and watch see severity and text, and all three logs have it."""
    relay = world.start_relay()
    agent = site.start()
    watch = world.start(
        Program(
            "watch", world.argv("client", world.client_conf(), "list", "-w"), world.directory,
            stop_signal=signal.SIGINT, stop_code=INTERRUPTED,
        )  # fmt: skip
    )
    wait_for(lambda: "lab-1" in watch.output(), 10, "the list is there")
    assert site.call(3, "fan 2 has failed") == f"call 1 stands; relay {world.relay_address} has heard it"
    agent.expect(r"the storage system calls for help, severity 3: fan 2 has failed")
    relay.expect(r"agent lab-1 calls for help, severity 3: fan 2 has failed")
    wait_for(lambda: shown(watch.output()), 10, "the watcher is told")
    assert shown(watch.output()) == ["CALL 1, severity 3: fan 2 has failed"]
    assert shown(world.list_agents()) == ["CALL 1, severity 3: fan 2 has failed"]
    watch.stop()


def test_several(world, site):
    """A minor call hides no grave one; the same one again is no other; each can end alone."""
    relay = world.start_relay()
    site.start()
    assert "call 1 stands;" in site.call(3, "disk 14")
    assert "call 2 stands;" in site.call(9, "no power")
    assert "call 3 stands;" in site.call(1, "dust")
    assert "call 1 stands already;" in site.call(3, "disk 14")
    assert site.listed() == [(2, 9, "", "no power"), (1, 3, "", "disk 14"), (3, 1, "", "dust")]
    assert shown(world.list_agents()) == [
        "CALL 2, severity 9: no power", "CALL 1, severity 3: disk 14", "CALL 3, severity 1: dust",
    ]  # fmt: skip
    assert "no call 7 stands" in site.call(0, 7, code=OTHER)
    assert f"call 2 is over; relay {world.relay_address} has heard it" == site.call(0, 2)
    assert site.listed() == [(1, 3, "", "disk 14"), (3, 1, "", "dust")]
    relay.expect("agent lab-1: a call of severity 9 is over")
    assert "all calls are over;" in site.call(0)
    assert site.listed() == [] and "no call stood" in site.call(0)
    relay.expect("agent lab-1 no longer calls for help")


def test_full(world, site):
    """More calls than can stand: who calls hears that, unless the call is graver than another."""
    world.start_relay()
    agent = site.start()
    for number in range(1, 17):
        site.call(4, f"call {number}")
    assert "16 calls stand, none less grave" in site.call(4, "one more", code=OTHER)
    assert "call 17 stands in place of call 16, the least grave;" in site.call(5, "fire")
    agent.expect("16 calls for help stand: the least grave one gives way, severity 4: call 16")
    assert [number for number, *_ in site.listed()] == [17, *range(1, 16)]


def test_no_relay_is_there(world, site):
    """A call that finds no relay is kept, which the command says, and sent when one is there; so is
    its end. A relay that was started anew learns all calls again."""
    site.start(online=False).expect("retrying")
    kept = "no relay is there: it is kept and sent when one is"
    assert site.call(3, "a fan") == f"call 1 stands; {kept}"
    assert site.call(8, "a disk") == f"call 2 stands; {kept}"
    relay = world.start_relay()
    relay.expect("calls for help, severity 8: a disk", seconds=40)
    assert site.listed() == [(2, 8, "", "a disk"), (1, 3, "", "a fan")]
    relay.kill()
    wait_for(lambda: kept in site.call(0, 2), 15, "the agent knows that the relay is lost")
    relay = world.start_relay()
    relay.expect("calls for help, severity 3: a fan", seconds=40)
    assert site.listed() == [(1, 3, "", "a fan")]


def test_restart_of_the_agent(world, site):
    """Killed right after a call it knows it when it starts again, and who took it; a number is not
    used again. Without a state directory the calls are gone, and the relay hears that."""
    world.start_relay()
    agent = site.start()
    site.call(3, "a fan"), site.call(5, "a disk"), site.call(7, "over")
    site.call(0, 3)
    assert "call 1 is yours, severity 3: a fan" in site.take("1")
    agent.kill()
    agent = site.start()
    agent.expect("still calling for help, severity 5: a disk")
    wait_for(
        lambda: site.listed() == [(2, 5, "", "a disk"), (1, 3, "alice", "a fan")], 15, "both stand"
    )
    assert "call 4 stands;" in site.call(1, "new")
    assert (site.state / "calls").stat().st_mode & 0o777 == 0o600
    agent.stop()
    site.conf = world.agent_conf(ControlSocket=world.directory / "call")
    site.start()
    wait_for(lambda: site.listed() == [], 15, "the relay has heard that none stands")


def test_units_state_directory(world, site):
    """The directory that systemd gives the unit counts where none is configured."""
    world.start_relay()
    site.conf = world.agent_conf(ControlSocket=world.directory / "call")
    argv = ["env", f"STATE_DIRECTORY={site.state}", *world.argv("agent", site.conf)]
    agent = world.start(Program("agent", argv, world.directory))
    agent.expect("online at relay")
    site.call(3, "a fan")
    assert "a fan" in (site.state / "calls").read_text()


def test_state_that_cannot_be_read(world, site):
    """A file that is none of this version is put aside, and said; a directory that cannot be written
    is an error of the configuration."""
    world.start_relay()
    (site.state / "calls").write_text("spx calls 2\nnext 1\n")
    (site.state / "calls").chmod(0o600)
    agent = site.start()
    agent.expect("not calls for help as this version writes them; moved to calls.bad")
    assert (site.state / "calls.bad").read_text() == "spx calls 2\nnext 1\n"
    agent.stop()
    (site.state / "calls").write_bytes(b"spx calls 1\nnext 1\n" + bytes(100))
    agent = site.start()
    agent.expect("holds zeros: not calls for help; moved to calls.bad")
    agent.stop()
    site.state = world.directory / "missing"
    site.conf = site.configure()
    site.start(online=False).wait_exit(CONFIG)


def test_state_that_cannot_be_written(world, site):
    """The call counts all the same, and the command says what it would not outlive."""
    world.start_relay()
    agent = site.start()
    site.state.rename(world.directory / "elsewhere")
    said = site.call(3, "a fan")
    assert "has heard it; it would not outlive the agent's process: cannot create" in said
    agent.expect("calls for help would not outlive this process")
    assert site.listed() == [(1, 3, "", "a fan")]


def test_take(world, site):
    """Whoever takes a call is seen by all who may see the agent, and who is refused takes none."""
    relay = world.start_relay(users={"alice": "*", "bob": "*", "eve": "*", "mallory": "other-*"})
    site.conf = site.configure(users={"alice": "tcp:127.0.0.1:*", "bob": None})
    agent = site.start()
    assert "no call stands that nobody has taken" in site.take(code=OTHER)
    site.call(3, "a fan"), site.call(5, "a disk")
    assert "this agent does not allow the user's key" in site.take(user="eve", code=DENIED)
    site.take(user="mallory", code=NO_AGENT)
    assert site.listed() == [(2, 5, "", "a disk"), (1, 3, "", "a fan")]
    assert site.take("1", user="bob") == "call 1 is yours, severity 3: a fan"
    agent.expect("user bob has taken call for help 1")
    relay.expect("agent lab-1: user bob has taken the call: a fan")
    wait_for(lambda: site.listed()[1] == (1, 3, "bob", "a fan"), 10, "all see who has taken it")
    assert site.take() == "call 2 is yours, severity 5: a disk"
    assert "no call of this number stands" in site.take("9", code=OTHER)
    wait_for(
        lambda: shown(world.list_agents(user="bob"))
        == ["CALL 2, severity 5, taken by alice: a disk", "CALL 1, severity 3, taken by bob: a fan"],
        10,
        "the list shows both",
    )
    assert "alice" not in run(
        *world.argv("client", world.client_conf("mallory"), "list"), code=OK
    ).stdout
    assert site.take("1") == "call 1 is yours, severity 3: a fan"
    wait_for(lambda: site.listed()[1] == (1, 3, "alice", "a fan"), 10, "it has changed hands")


def test_two_relays(world, site):
    """Each relay of an agent knows its calls; one that is heard by one of them is heard."""
    second = endpoint(LOOPBACK, free_port())
    site.conf = site.configure(more_relays=[(second, "relay2")])
    world.start_relay(name="relay2", listen=second)
    site.start()
    assert site.call(3, "a fan") == f"call 1 stands; relay {second} has heard it"
    world.start_relay().expect("agent lab-1 calls for help, severity 3: a fan", seconds=40)


class MuteRelay(peer.Relay):
    """Says that it takes CALLS, and does not answer them until it is told to."""

    def welcome(self, hop):
        hop.flags = 2
        return super().welcome(hop)

    def on_control(self, hop, kind, reader):
        if kind == peer.CALLS:
            self.revision = reader.number(4)
            self.hop = hop


def test_relay_that_does_not_hear(world, site, serve):
    """A relay that is there and says nothing of the call: the command waits a little, and says so."""
    relay = serve(MuteRelay, peer.Pair(world.key("relay").path), world.relay_address)
    site.start()
    relay.wait_control()
    wait_for(lambda: hasattr(relay, "revision"), 10, "it is told that no call stands")
    said = site.call(3, "a fan")
    assert said == (
        f"call 1 stands; relay {world.relay_address} has not heard it yet: it is kept and told again"
    )
    first = relay.revision
    relay.hop.send(peer.HEARD, peer.u32(first))
    wait_for(lambda: relay.revision != first, 10, "it is told more when it has heard that")


def test_call_socket_in_use(world):
    """A second agent with the same socket does not start, and the first one still hears calls; a
    socket that a killed agent left is replaced."""
    world.start_relay()
    path = world.directory / "call"
    conf = world.agent_conf(ControlSocket=path)
    first = world.start_agent(conf=conf)
    second = world.start_agent(conf=conf, name="second", online=False)
    second.expect(f"ControlSocket = {path}: in use: another agent")
    second.wait_exit(NETWORK)
    spx("agent", "-c", conf, "call", "3", "fan 2", code=OK)
    first.expect("calls for help, severity 3: fan 2")
    first.kill()
    assert path.exists()
    third = world.start_agent(conf=conf, name="third")
    spx("agent", "-c", conf, "call", "4", "fan 3", code=OK)
    third.expect("calls for help, severity 4: fan 3")


def test_call_socket_without_its_directory(world):
    """The agent does not start, and says what is missing."""
    path = world.directory / "none" / "call"
    agent = world.start_agent(conf=world.agent_conf(ControlSocket=path), online=False)
    agent.wait_exit(CONFIG)
    assert agent.lines(f"ControlSocket = {path}: .*no such file or directory")


@pytest.mark.parametrize(
    "words, code, reason",
    [
        (["3", "text"], OTHER, "nothing runs with this control socket"),
        (["256", "text"], USAGE, "'256' is not a number from 0 to 255"),
        (["3"], USAGE, "a call has a TEXT"),
        (["0", "text"], USAGE, "'text' is not a number from 1"),
        (["0", "0"], USAGE, "'0' is not a number from 1"),
        ([], USAGE, "missing argument: SEVERITY [TEXT|NUMBER]"),
        (["3", "x" * 1025], USAGE, "a text of 1025 bytes: expected at most 1024"),
    ],
)
def test_call_that_is_not_right(world, words, code, reason):
    """Nobody hears the call, or it is none."""
    conf = world.agent_conf(ControlSocket=world.directory / "call")
    assert reason in spx("agent", "-c", conf, "call", *words, code=code).stderr


def test_call_without_a_socket(world):
    """The configuration says of no socket."""
    failed = spx("agent", "-c", world.agent_conf(), "call", "3", "text", code=CONFIG)
    assert "no ControlSocket in [Agent]" in failed.stderr


def test_earlier_name_of_the_socket(world):
    """CallSocket is what ControlSocket was called: it works, and the log says so."""
    world.start_relay()
    conf = world.agent_conf(CallSocket=world.directory / "call")
    agent = world.start_agent(conf=conf)
    assert agent.lines("CallSocket in .Agent. is called ControlSocket now")
    assert "call 1 stands" in spx("agent", "-c", conf, "call", "3", "fan 2").stdout
    said = spx("agent", "-c", conf, "--json", "call", "0", "1").stdout
    assert json.loads(said)["text"].startswith("call 1 is over; ")
