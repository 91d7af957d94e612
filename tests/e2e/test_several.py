"""Several agents at once in one client, each with the options behind its name."""
import re
import signal
import socket

import pytest

from harness import (
    INTERRUPTED,
    LOOPBACK,
    NETWORK,
    NO_AGENT,
    USAGE,
    forwards,
    free_port,
    run,
    spx,
    stays_false,
    wait_for,
)
from servers import EchoServer, ask

NAMES = ("lab-1", "lab-2")


@pytest.fixture
def site(world, serve):
    """A relay and two agents, each of which permits a target of its own: name -> the target's port."""
    world.start_relay(agents={name: {} for name in NAMES})
    ports = {name: serve(EchoServer).port for name in NAMES}
    for name in NAMES:
        world.start_agent(name, users={"alice": f"tcp:127.0.0.1:{ports[name]}"})
    return ports


def start(world, *arguments, first="lab-1", **options):
    return world.start_client(*arguments, agent=first, agents=NAMES, connected=False, **options)


def forward_of(client, port):
    """Where the client listens for this target."""
    found = client.expect(rf"forwarding {LOOPBACK}:(\d+) to tcp:{LOOPBACK}:{port}$")
    return LOOPBACK, int(found[1])


def assert_echoes(client, port):
    with socket.create_connection(forward_of(client, port), timeout=20) as connection:
        assert ask(connection, b"hello") == b"hello"


def test_each_has_its_own(world, site):
    """Each forward goes to the agent before it, and every line of the log says whose it is."""
    client = start(world, *forwards(site["lab-1"]), "lab-2", *forwards(site["lab-2"]))
    for name in NAMES:
        client.expect(rf"client: connected to agent {name} through relay")
        client.expect(rf"client: {name}: forwarding \S+ to tcp:{LOOPBACK}:{site[name]}")
        assert_echoes(client, site[name])
    client.signal(signal.SIGUSR1)
    for name in NAMES:
        client.expect(rf"status: {name}: connected")
    client.signal(signal.SIGINT)
    client.wait_exit(INTERRUPTED)
    for name in NAMES:
        client.expect(rf"client: {name}: ended: interrupted; 1 stream")


def test_options_before_the_first_name(world, site):
    """They belong to the first agent; -v and the like to all."""
    first = f"-L{LOOPBACK}:0:{LOOPBACK}:{site['lab-1']}"
    client = start(world, "lab-1", "-v", "lab-2", *forwards(site["lab-2"]), first=first)
    for name in NAMES:
        client.expect(rf"connected to agent {name}")
        assert_echoes(client, site[name])


def test_forwards_of_the_configuration(world, site):
    """An agent without options on the command line has those of the file."""
    conf = world.client_conf(agents=NAMES)
    conf.write_text(conf.read_text() + f"Forward = -L {LOOPBACK}:0:{LOOPBACK}:{site['lab-2']}\n")
    client = world.start_client(*forwards(site["lab-1"]), "lab-2", conf=conf, connected=False)
    for name in NAMES:
        assert_echoes(client, site[name])


def test_one_ends(world, site):
    """The end of one of them ends no other; the exit code in the end is the first one's."""
    client = world.start_client(
        *forwards(site["lab-1"]),
        "nobody",
        *forwards(9),
        agents=("lab-1", "nobody"),
        connected=False,
    )
    client.expect(r"error +client: nobody: ended: .*no such agent, or not permitted")
    assert_echoes(client, site["lab-1"])
    stays_false(client.ended, 0.3, "the client ends")
    client.signal(signal.SIGINT)
    client.wait_exit(INTERRUPTED)


def test_all_end(world, site):
    """Nobody is left: the client ends."""
    client = world.start_client(
        *forwards(9),
        "nobody",
        *forwards(9),
        agent="someone",
        agents=("someone", "nobody"),
        connected=False,
    )
    client.wait_exit(NO_AGENT)
    assert len(client.lines("ended: ")) == 2


def test_port_in_use(world, site):
    """A forward that cannot be opened ends all before any connection."""
    port = free_port()
    twice = ["-L", f"{port}:{LOOPBACK}:9"]
    client = start(world, *twice, "lab-2", *twice)
    client.wait_exit(NETWORK)
    assert client.lines(rf"lab-2: ended: .*{port}.*in use") and not client.lines("connected to")
    assert client.lines(r"error +client: lab-1: ended: not all forwards can be opened$")


def test_start_line(world, site):
    """Once, as a relay and an agent have it, when all listeners are open and before the first
    connection."""
    client = start(world, *forwards(site["lab-1"]), "lab-2", *forwards(site["lab-2"]))
    client.expect(r"lab-2 through relay"), client.expect(r"lab-1 through relay")
    shape = r"info +{}: started: spx [\d.]+$"
    for program, role in ((world.programs[0], "relay"), (world.programs[1], "agent"), (client, "client")):
        lines = program.log().splitlines()
        assert len([line for line in lines if re.search(shape.format(role), line)]) == 1, lines
    words = re.findall(r"(forwarding |started:|connected to agent)", client.log())
    assert words == 2 * ["forwarding "] + ["started:"] + 2 * ["connected to agent"]


def test_no_start_line(world, site):
    """Neither where only warnings are wanted nor where nothing has started."""
    assert not world.run_pipe(f"127.0.0.1:{site['lab-1']}").stderr
    busy = ("-L", f"{site['lab-1']}:127.0.0.1:9")
    failed = run(*world.argv("client", world.client_conf(), "lab-1", *busy), code=NETWORK)
    assert "cannot listen on" in failed.stderr and "started" not in failed.stderr


def test_status_lines(world, site):
    """On a terminal each agent has a line of its own."""
    client = start(
        world, *forwards(site["lab-1"]), "lab-2", *forwards(site["lab-2"]), terminal=True
    )
    both = r"lab-1: connected \| [^\n]*\r\nlab-2: connected \| "
    wait_for(lambda: re.search(both, client.log()), 10, "two lines, one below the other")
    client.stop()


@pytest.mark.parametrize(
    "words, text",
    [
        (["a", "-L", "1:h:1", "a"], "agent 'a' is given twice"),
        (["a", "b", "-W", "h:1"], "-W is for one agent"),
        (["a", "B", "-L", "1:h:1"], "'B' is not a name"),
        (["a", "-L", "1:h:1", "list"], "unexpected argument 'list'"),
    ],
)
def test_usage(words, text):
    assert text in spx("client", *words, code=USAGE).stderr
