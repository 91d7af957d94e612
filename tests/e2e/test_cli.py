"""The command line: applets by word and by name, help, version, usage errors; the log's two forms.
"""
import json
import re

import pytest

from harness import SPX, USAGE, forwards, has_ipv6, is_sanitized, run, spx
from servers import ask

APPLETS = ("client", "relay", "agent", "key")


def test_version():
    """--version tells version, commit, BearSSL's version, the compiler, and whether AES
    instructions are used."""
    done = spx("--version")
    assert re.search(r"\b\d+\.\d+\.\d+\b", done.stdout)
    for word in ("BearSSL", "gcc", "AES"):
        assert word.lower() in done.stdout.lower()
    assert re.search(r"\b([0-9a-f]{12}|unknown)\b", done.stdout)
    assert done.stderr == ""


def test_help():
    """--help goes to standard output and names every applet."""
    done = spx("--help")
    for applet in APPLETS:
        assert re.search(rf"\b{applet}\b", done.stdout)
    assert done.stderr == ""


@pytest.mark.parametrize("option", ["--help", "-h"])
@pytest.mark.parametrize("applet", APPLETS)
def test_help_of_an_applet(applet, option):
    """APPLET --help goes to standard output, with usage and exit code 0."""
    done = spx(applet, option)
    assert done.stdout.startswith("usage: spx")
    assert applet in done.stdout.splitlines()[0]
    assert done.stderr == ""


def test_help_names_the_options():
    """The client's help names its options, and every applet with a configuration says -c and
    --check."""
    for option in ("-L", "-W", "--json", "--verbose"):
        assert option in spx("client", "--help").stdout
    for applet in ("client", "relay", "agent"):
        text = spx(applet, "--help").stdout
        assert "-c" in text and "--check" in text


@pytest.mark.parametrize(
    "link, applet",
    [(form.format(applet), applet) for applet in APPLETS for form in ("spx-{}", "{}")],
)
def test_applet_by_the_name_of_a_link(world, link, applet):
    """A link named spx-APPLET or APPLET is that applet."""
    path = world.directory / link
    path.symlink_to(SPX)
    assert run(path, "--help").stdout == spx(applet, "--help").stdout
    failed = run(path, "--no-such-option", code=USAGE)
    assert failed.stderr


def test_binary_under_another_name(world):
    """Under a name that is no applet the first word says what to do."""
    path = world.directory / "something"
    path.symlink_to(SPX)
    assert run(path, "key", "--help").stdout == spx("key", "--help").stdout


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["--nonsense"],
        ["relay", "extra"],
        ["relay", "--nonsense"],
        ["relay", "-c"],
        ["relay", "-c", "a", "-c", "b"],
        ["agent", "extra"],
        ["agent", "--nonsense"],
        ["agent", "-c", "a", "-c", "b"],
        ["client"],
        ["client", "lab-1", "extra", "-L", "1:h:1"],
        ["client", "--nonsense"],
        ["client", "-c", "a", "-c", "b", "lab-1", "-L", "1:h:1"],
        ["client", "Lab_1", "-L", "1:h:1"],
        ["client", "lab-1", "-L", "1"],
        ["client", "lab-1", "-L", "1:h"],
        ["client", "lab-1", "-L", "1:h:0"],
        ["client", "lab-1", "-L", "x:h:1"],
        ["client", "lab-1", "-L", "1:h:65536"],
        ["client", "lab-1", "-L", "65536:h:1"],
        ["client", "lab-1", "-L", "1:::1:1"],
        ["client", "lab-1", "-L", "relay.example.com:1:h:1"],
        ["client", "lab-1", "-L", ""],
        ["client", "lab-1", "-L"],
        ["client", "lab-1", "-L", "/x"],
        ["client", "lab-1", "-L", "/x:/" + "y" * 108],
        ["client", "lab-1", "-L", "1:x/y"],
        ["client", "lab-1", "-D", "x"],
        ["client", "lab-1", "-D", "1:h:1"],
        ["client", "lab-1", "-D", "/x"],
        ["client", "lab-1", "-D"],
        ["client", "list", "-D", "1"],
        ["client", "lab-1", "-W", "h:1", "-D", "1"],
        ["client", "lab-1", "-W", "h"],
        ["client", "lab-1", "-W", ":1"],
        ["client", "lab-1", "-W", "h:1", "-W", "h:2"],
        ["client", "lab-1", "-W", "h:1", "-L", "1:h:1"],
        ["client", "list", "-W", "h:1"],
        ["client", "list", "-L", "1:h:1"],
        ["client", "list", "a", "b"],
        ["key"],
        ["key", "nonsense"],
        ["key", "new"],
        ["key", "new", "a", "b"],
        ["key", "public", "a", "b"],
        ["key", "--nonsense"],
    ],
    ids=" ".join,
)
def test_usage_error(world, words):
    """A command line that is not right: exit code 2, the reason on standard error, nothing on
    standard output, and nothing is made."""
    failed = spx(*words, code=USAGE, seconds=10, cwd=world.directory)
    assert failed.stdout == ""
    assert failed.stderr
    assert list(world.directory.iterdir()) == []


@pytest.mark.parametrize(
    "forward",
    [
        "0:127.0.0.1:22",
        "127.0.0.1:0:127.0.0.1:22",
        "[::1]:0:[::1]:22",
        "*:0:host.example.com:22",
        ":0:host:22",
        "localhost:0:a-b_c.example:22",
    ],
)
def test_forward_that_is_taken(world, forward):
    """Every way to write a forward is taken: the client says where it listens and for what."""
    if "[" in forward and not has_ipv6():
        pytest.skip("this machine has no IPv6: ::1 cannot be bound")
    client = world.start_client("-L", forward, connected=False)
    target = forward.split(":0:", 1)[-1] if ":0:" in forward else forward[2:]
    client.expect(r"forwarding \S+:[1-9]\d* to tcp:" + re.escape(target))


def test_text_log(world, echo):
    """Every log line has its time in UTC, a level and the role."""
    line = re.compile(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warn(ing)?|info|debug) +(relay|agent|client): \S.*"
    )
    for program in world.start_all(echo.port):
        for text in program.log().splitlines():
            assert line.fullmatch(text), text
        assert program.output() == ""


def test_verbose_log(world, echo):
    """-v adds lines of the level debug, which are not there without it."""
    relay = world.start_relay(options=["-v"])
    agent = world.start_agent(options=["-v"])
    client = world.start_client(*forwards(echo.port), options=("-v",))
    with client.dial() as connection:
        ask(connection, b"hello")
    for program in (relay, agent, client):
        program.expect(r"Z debug +(relay|agent|client): ")
    quiet = world.start_client(*forwards(echo.port), name="client-quiet")
    assert not quiet.lines(r"Z debug ")


def test_json_log(world, echo):
    """With --json every line is one object with time, level, role and text."""
    relay = world.start_relay(options=["--json"])
    agent = world.start_agent(options=["--json"])
    client = world.start_client(*forwards(echo.port), options=("--json",))
    with client.dial() as connection:
        ask(connection, b"hello")
    client.stop()
    for role, program in (("relay", relay), ("agent", agent), ("client", client)):
        lines = [json.loads(line) for line in program.log().splitlines()]
        assert lines
        for line in lines:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
            assert line["level"] in ("error", "warning", "info", "debug")
            assert line["role"] == role
            assert isinstance(line["text"], str) and line["text"]


def test_status_line_on_a_terminal(world, echo):
    """On a terminal the client keeps one line up to date at the bottom: the state, and what was
    carried; through a pipe there is no such line."""
    world.start_relay()
    world.start_agent()
    client = world.start_client(*forwards(echo.port), terminal=True)
    with client.dial() as connection:
        ask(connection, b"x" * 3000)
        client.expect(r"\r[^\n]*1 stream")
        client.expect(r"\r[^\n]*(ms|µs)")
    piped = world.start_client(*forwards(echo.port), name="client-piped")
    assert "\r" not in piped.log() and "\x1b" not in piped.log()


def test_ctrl_c_on_a_terminal(world, echo):
    """Ctrl-C typed on the terminal ends the client with 130, and the summary stands on a line of
    its own."""
    world.start_relay()
    world.start_agent()
    client = world.start_client(*forwards(echo.port), terminal=True)
    client.type("\x03")
    client.wait_exit(130)
    assert re.search(r"ended: .+; 0 streams, .+ up, .+ down, ", client.log())
    assert client.log().endswith("\n")


def test_nothing_is_dynamic():
    """The product is one static binary (a build with sanitizers is not)."""
    if is_sanitized(SPX):
        pytest.skip("a build with sanitizers is linked dynamically")
    done = run("ldd", SPX, code=None)
    told = done.stdout + done.stderr
    assert "not a dynamic executable" in told or "statically linked" in told
