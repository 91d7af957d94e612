"""The command line: applets by word and by name, help, version, usage errors; the log's two forms.
"""
import json
import os
import pwd
import re
import resource
import socket
import subprocess
from pathlib import Path

import pytest

from harness import (
    CONFIG, LOOPBACK, NETWORK, OTHER, ROOT, SPX, USAGE, forwards, free_port, has_ipv6, run, spx, wait_for,
)  # fmt: skip
from servers import ask, read_exactly

pytestmark = pytest.mark.usefixtures("steady")

APPLETS = ("client", "relay", "agent", "key", "permit", "audit")
VERBS = {"client": ["list", "targets", "take"], "agent": ["call"], "key": ["new", "public"],
         "permit": ["issue", "show", "check", "revoke", "agent"], "audit": ["verify", "show", "compare"]}  # fmt: skip


def test_version():
    """--version tells version, commit, the libraries' versions, the compiler, and whether AES
    instructions are used."""
    done = spx("--version")
    assert re.search(r"\b\d+\.\d+\.\d+\b", done.stdout)
    for word in ("BearSSL", "c-ares", "http_parser", "gcc", "AES"):
        assert word.lower() in done.stdout.lower()
    assert re.search(r"\b([0-9a-f]{12}|unknown)\b", done.stdout)
    assert done.stderr == ""


def test_version_without_aes_instructions(monkeypatch):
    """--version tells when the processor's AES instructions are left alone."""
    monkeypatch.setenv("SPX_PORTABLE", "1")
    assert "AES instructions not in use\n" in spx("--version").stdout


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


@pytest.mark.parametrize("option", ["--help", "-h"])
@pytest.mark.parametrize("applet, verb", [(a, v) for a, verbs in VERBS.items() for v in verbs])
def test_help_of_a_verb(applet, verb, option):
    """APPLET VERB --help shows that verb's usage and options, and none of another verb; so it does
    when the option comes first."""
    text = spx(applet, verb, option).stdout
    assert re.match(rf"usage: spx {applet}( \[options\])? {verb} ", text)
    assert ("--watch" in text) == (verb == "list") and "HOST:PORT" not in text
    assert spx(applet, option, verb).stdout == text
    assert re.search(rf"^  {verb} ", spx(applet, option).stdout, re.MULTILINE)


@pytest.mark.parametrize("applet", [a for a in APPLETS if a != "relay"])
def test_commands_in_the_manual_page(applet):
    """The synopsis of an applet's manual page has each command that its help has."""
    shown = re.findall(r"^(?:usage:|      ) spx \w+(?: \[options\])? ([a-z]+)", spx(applet, "--help").stdout, re.M)
    page = (ROOT / f"docs/spx-{applet}.1").read_text()
    synopsis = page[page.index(".Sh SYNOPSIS") : page.index(".Sh DESCRIPTION")]
    named = {word for line in re.findall(r"^\.Cm (.*)", synopsis, re.M) for word in line.split(" | ")}
    assert shown and not set(shown) - {word.split()[0] for word in named}


def test_one_list_of_applets():
    """The table in spx.c, from which make takes the list, has the applets that the help shows."""
    shown = re.findall(r"^  ([a-z]+) ", spx("--help").stdout, re.MULTILINE)
    listed = run("env", "-u", "MAKEFLAGS", "make", "-s", "-C", ROOT, "applets").stdout.split()
    assert sorted(shown) == sorted(listed) == sorted(APPLETS)


@pytest.mark.parametrize("name", ["list", "help"])
def test_agent_whose_name_is_a_verb(world, echo, name):
    """After "--" a word is an agent's name, whatever verbs there are."""
    world.start_relay(agents={name: {}})
    world.start_agent(name)
    conf = world.client_conf(agents=(name,))
    target = f"127.0.0.1:{echo.port}"
    done = run(SPX, "client", "-c", conf, "-W", target, "--", name, input="hello")
    assert done.stdout == "hello"


@pytest.mark.parametrize("applet", ["client", "relay", "agent"])
def test_no_configuration(world, applet):
    """Without a file at the default place the way to one is told, with exit code 3."""
    place = f"/etc/spx/{applet}.conf"
    if applet == "client":
        place = f"{world.directory}/spx/client.conf"
    elif Path(place).exists():
        pytest.skip(f"there is a {place}")
    home = f"XDG_CONFIG_HOME={world.directory}"
    failed = run("env", home, SPX, applet, "--check", code=CONFIG)
    assert failed.stderr.endswith(
        f"no configuration at {place}: see spx-{applet}.conf(5) for an example, or name a file "
        "with -c\n"
    )


def test_configuration_that_a_command_cannot_read(world):
    """Who may use the agent's ControlSocket need not be able to read its configuration: it says how."""
    conf = world.agent_conf()
    conf.write_text(conf.read_text() + "Nonsense = 1\n")
    way = "; with --socket PATH no configuration is read\n"
    assert spx("agent", "-c", conf, "status", code=CONFIG).stderr.endswith(way)
    assert way not in spx("agent", "-c", conf, "--check", code=CONFIG).stderr


@pytest.mark.parametrize(
    "words",
    [
        ["--help"], ["--version"], ["key", "public"], ["client", "list", "--help"],
        *([applet, "--help"] for applet in APPLETS),
        *([applet, "--check"] for applet in ("client", "relay", "agent")),
    ],
    ids=" ".join,
)  # fmt: skip
def test_output_that_cannot_be_written(world, words):
    """A full disk under standard output is told of, with exit code 1."""
    key = world.key("alice").path.read_text()
    if "--check" in words:
        words = [*words, "-c", getattr(world, f"{words[0]}_conf")()]
    failed = run("sh", "-c", 'exec "$@" >/dev/full', "sh", SPX, *words, code=OTHER, input=key)
    assert failed.stderr == "spx: cannot write to standard output: no space left on device\n"


def test_session_output_that_cannot_be_written(world, echo):
    """-W and list say that it is standard output which fails, and end with exit code 1; a list that
    goes on with changes does not go on without anybody to read them."""
    world.start_relay()
    world.start_agent()
    conf = world.client_conf()
    full = ["sh", "-c", 'exec "$@" >/dev/full', "sh"]
    reason = "cannot write to standard output: no space left on device"
    argv = world.pipe_argv(f"127.0.0.1:{echo.port}", conf=conf)
    failed = run(*full, *argv, code=OTHER, input="hello")
    assert reason in failed.stderr and "target" not in failed.stderr
    for words in (["list"], ["-w", "list"]):
        failed = run(*full, *world.argv("client", conf, *words), code=OTHER)
        assert reason in failed.stderr


def test_closed_standard_streams(world, echo):
    """Standard streams that are closed at the start are /dev/null: nothing of the program's own takes
    their place."""
    world.start_relay()
    world.start_agent()
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    run(*closed, SPX, "key", "new", world.directory / "new.key")
    assert len((world.directory / "new.key").read_text().split()) == 1
    port = free_port()
    argv = [*closed, SPX, "client", "-c", world.client_conf(), "lab-1", "-L", f"{port}:127.0.0.1:{echo.port}"]
    with subprocess.Popen([str(word) for word in argv]) as client:

        def works():
            try:
                with socket.create_connection((LOOPBACK, port), timeout=20) as connection:
                    return ask(connection, b"hello") == b"hello"
            except ConnectionRefusedError:
                return False

        try:
            wait_for(works, 20, "a stream through the client")
            if os.geteuid() == 0:
                assert [os.readlink(f"/proc/{client.pid}/fd/{n}") for n in range(3)] == ["/dev/null"] * 3
        finally:
            client.terminate()


def test_configuration_without_home(world, echo):
    """Where HOME is missing, as under cron, the user's own directory is looked up; a key file may
    begin with a byte order mark."""
    key = world.key("alice").path
    key.write_bytes(b"\xef\xbb\xbf" + key.read_bytes())
    assert run(SPX, "key", "public", key).stdout.strip() == world.key("alice").public
    home = pwd.getpwuid(os.geteuid()).pw_dir
    failed = run("env", "-u", "HOME", "-u", "XDG_CONFIG_HOME", SPX, "client", "--check", code=None)
    assert failed.returncode == 0 or home in failed.stderr


def both_loopbacks(client):
    """The two addresses that the client says it listens on."""
    first = client.expect(r"forwarding 127\.0\.0\.1:(\d+) to")[1]
    client.expect(rf"forwarding \[::1\]:{first} to")
    return [(LOOPBACK, int(first)), ("::1", int(first))]


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
@pytest.mark.parametrize("option", ["-L", "-D"])
def test_localhost_is_both_loopbacks(world, echo, option):
    """localhost in front of the port: on 127.0.0.1 and on ::1, one port, as with ssh. A program on
    ::1 is not what localhost should reach: the client does not start beside it."""
    world.start_relay()
    world.start_agent()
    target = "" if option == "-D" else f":127.0.0.1:{echo.port}"
    client = world.start_client(option, f"localhost:0{target}")
    for address in both_loopbacks(client):
        with socket.create_connection(address, timeout=20) as connection:
            if option == "-D":
                connection.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % echo.port)
                assert read_exactly(connection, 39).startswith(b"HTTP/1.1 200 ")
            assert ask(connection, b"hello") == b"hello"
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]
        failed = run(SPX, "client", "-c", world.client_conf(), "lab-1", option, f"localhost:{port}{target}", code=NETWORK)
    assert f"cannot listen on [::1]:{port}: " in failed.stderr


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


UNKNOWN = "unknown option '--nonsense'"
TWICE = "-c is given twice"
FORWARD_RULE = (
    "is not [ADDRESS:]PORT:HOST:PORT (IPv6 in brackets, * or nothing before the first colon for all "
    "addresses; /PATH of a UNIX socket instead of [ADDRESS:]PORT or HOST:PORT)"
)
DYNAMIC_RULE = (
    "is not [ADDRESS:]PORT (IPv6 in brackets, * or nothing before the first colon for all addresses)"
)
LONG_PATH = "/x:/" + "y" * 108

# Command lines, and what is said of each.
KEY = "5woZ8Eg8WAYmg5M2smmoMsFEg6hqBkoP1+piWKKVnV4="
ISSUE = ("permit", "issue", "--authority", "a", "--user", "alice", "--key", KEY)

USAGE_ERRORS = [
    ([], "usage: spx APPLET [options]"),
    (["nonsense"], "spx: unknown command 'nonsense'"),
    (["agnet"], "spx: unknown command 'agnet'; did you mean 'agent'?"),
    (["--nonsense"], "spx: unknown option '--nonsense'"),
    (["--verson"], "spx: unknown option '--verson'; did you mean '--version'?"),
    (["-x"], "spx: unknown option '-x'"),
    (["relay", "extra"], "spx relay: unexpected argument 'extra'"),
    (["relay", "--", "extra"], "spx relay: unexpected argument 'extra'"),
    (["relay", "--nonsense"], UNKNOWN),
    (["relay", "-c"], "spx relay: missing argument: -c FILE"),
    (["relay", "-c", "a", "-c", "b"], TWICE),
    (["agent", "extra"], "spx agent: unknown command 'extra'"),
    (["agent", "-v", "clal", "1", "x"], "spx agent: unknown command 'clal'; did you mean 'call'?"),
    (["agent", "--socket", "x", "statsu"], "spx agent: unknown command 'statsu'; did you mean 'status'?"),
    (["agent", "--why", "x"], "spx agent: --why goes with commands only, such as 'deny'"),
    (["agent", "call"], "spx agent call: missing argument: SEVERITY [TEXT|NUMBER]"),
    (["agent", "call", "1", "x", "y"], "spx agent call: unexpected argument 'y'"),
    (["agent", "call", "--watch"], "spx agent call: unknown option '--watch'"),
    (["agent", "--chekc"], "spx agent: unknown option '--chekc'; did you mean '--check'?"),
    (["agent", "--jsn=x"], "spx agent: unknown option '--jsn'; did you mean '--json'?"),
    (["agent", "--json=x"], "spx agent: --json takes no argument"),
    (["agent", "--c"], "spx agent: ambiguous option '--c'"),
    (["agent", "--config"], "spx agent: missing argument: -c FILE"),
    (["agent", "-vx"], "spx agent: unknown option '-x'"),
    (["agent", "--nonsense"], UNKNOWN),
    (["agent", "-c", "a", "-c", "b"], TWICE),
    (["client"], "spx client: no agent is given; 'spx client list' shows them"),
    (["client", "-L", "1:h:1"], "spx client: no agent is given; 'spx client list' shows them"),
    (["client", "lab-1", "list"],
        "unexpected argument 'list': a command stands first: spx client list lab-1"),
    (["client", "--nonsense"], UNKNOWN),
    (["client", "-c", "a", "-c", "b", "lab-1", "-L", "1:h:1"], TWICE),
    (["client", "Lab_1", "-L", "1:h:1"], "'Lab_1' is not a name: 1 to 64 of a-z 0-9 . _ -"),
    (["client", "lab-1", "-L"], "spx client: missing argument: -L [ADDR:]PORT:HOST:PORT"),
    (["client", "--verbos", "--vrebose"], "unknown option '--vrebose'; did you mean '--verbose'?"),
    (["client", "list", "--wacth"], "spx client list: unknown option '--wacth'; did you mean '--watch'?"),
    *(
        (["client", "lab-1", "-L", forward], f"'{forward}' {FORWARD_RULE}")
        for forward in (
            "", "1", "1:h", "1:h:0", "x:h:1", "1:h:65536", "65536:h:1", "1:::1:1",
            "relay.example.com:1:h:1", "/x", LONG_PATH, "1:x/y",
        )
    ),
    (["client", "lab-1", "-R", "1"], f"'1' {FORWARD_RULE}"),
    (["client", "lab-1", "-U", "/x:h:1"], "'/x:h:1' is not [ADDRESS:]PORT:HOST:PORT"),
    (["client", "lab-1", "-D"], "spx client: missing argument: -D [ADDR:]PORT"),
    *(
        (["client", "lab-1", "-D", forward], f"'{forward}' {DYNAMIC_RULE}")
        for forward in ("x", "1:h:1", "/x")
    ),
    (["client", "lab-1", "-W", "h"], "'h' is not HOST:PORT (a name or an address"),
    (["client", "lab-1", "-W", ":1"], "':1' is not HOST:PORT (a name or an address"),
    (["client", "lab-1", "-W", "h:1", "-W", "h:2"], "-W is given twice"),
    (["client", "lab-1", "-W", "h:1", "-L", "1:h:1"], "-W cannot be combined with -L, -D, -R or -U"),
    (["client", "lab-1", "-W", "h:1", "-D", "1"], "-W cannot be combined with -L, -D, -R or -U"),
    (["client", "lab-1", "-w", "-L", "1:h:1"], "spx client: -w goes with 'list' only"),
    (["client", "list", "-W", "h:1"], "spx client list: -W does not go with 'list'"),
    (["client", "-L", "1:h:1", "list"], "spx client list: -L does not go with 'list'"),
    (["client", "list", "-D", "1"], "spx client list: -D does not go with 'list'"),
    (["client", "list", "a", "b"], "spx client list: unexpected argument 'b'"),
    (["key"], "spx key: missing command"),
    (["key", "nonsense"], "spx key: unknown command 'nonsense'"),
    (["key", "pubilc"], "spx key: unknown command 'pubilc'; did you mean 'public'?"),
    (["key", "new"], "spx key new: missing argument: FILE"),
    (["key", "new", "a", "b"], "spx key new: unexpected argument 'b'"),
    (["key", "new", "-"], "spx key new: a new key goes to a file, never to standard output"),
    (["key", "public", "a", "b"], "spx key public: unexpected argument 'b'"),
    (["key", "--nonsense"], UNKNOWN),
    (["permit"], "spx permit: missing command"),
    (["permit", "issue"], "spx permit issue: missing option: --authority FILE"),
    (["permit", "issue", "--authority", "a", "--authority", "b"], "--authority is given twice"),
    (["permit", "issue", "--agents", "A*"], "spx permit issue: 'A*' is not a pattern of names"),
    (["permit", "issue", "--allow", "ssh"], "spx permit issue: 'ssh' is not a target to allow"),
    (["permit", "issue", "--listen", "x:1"], "'x:1' is not where listening can be allowed"),
    (["permit", "issue", "--agent-key", "x"], "spx permit issue: 'x' is not a public key"),
    *(
        ([*ISSUE, *words], f"spx permit issue: {reason}")
        for words, reason in (
            ([], "missing option: --agents PATTERN or --agent-key KEY"),
            (["--agents", "a"], "--agents needs --scope NAME"),
            (["--agent-key", KEY, "--scope", "a"], "--scope goes with --agents only"),
            (["--agents", "a", "--scope", "A"], "'A' is not a name"),
            (["--agent-key", KEY, "--for", "0"], "'0'"),
            (["--agent-key", KEY, "--from", "noon"], "'noon' is not a date"),
            (["--agent-key", KEY, "--session", "400d"], "'400d'"),
            (["--agent-key", KEY, "--reason", "a" * 257], "the reason is longer than 256 bytes"),
            (["--agent-key", KEY, "--reason", "a\nb"], "the reason holds control characters"),
        )
    ),
    (["permit", "revoke"], "spx permit revoke: missing option: --authority FILE"),
    (["permit", "revoke", "--permit", "3f21"], "'3f21' is not a permit's id: 32 hexadecimal digits"),
    (["permit", "revoke", "--key", "3f21"], "'3f21' is not a public key"),
    (["permit", "revoke", "--authority", "a", "--before", "noon"], "'noon' is not a date"),
    (["permit", "agent"], "spx permit agent: missing option: --authority FILE"),
    (["permit", "agent", "--authority", "a", "--name", "A", "--key", KEY], "'A' is not a name"),
    (["permit", "agent", "--authority", "a", "--name", "a", "--key", "k"], "'k' is not a public key"),
    (["permit", "show"], "spx permit show: missing argument: FILE"),
    (["permit", "check", "p"], "spx permit check: missing option: --authority KEY"),
    (["permit", "check", "--authority", KEY, "--agent", "a", "p"], "is not an authority's public key"),
    (["audit"], "spx audit: missing command"),
    (["audit", "verify"], "spx audit verify: missing argument: FILE"),
    (["audit", "compare", "a"], "spx audit compare: missing argument: FILE"),
    (["audit", "compare", "a", "b", "c", "d"], "spx audit compare: unexpected argument 'd'"),
    (["audit", "show", "--user", "a", "--user", "b", "f"], "spx audit show: --user is given twice"),
    (["audit", "show", "--since", "2026-01", "f"], "spx audit show: malformed time '2026-01'"),
]


@pytest.mark.parametrize(
    "words, reason", USAGE_ERRORS, ids=[" ".join(words)[:60] for words, _ in USAGE_ERRORS]
)
def test_usage_error(world, words, reason):
    """A command line that is not right: exit code 2, the reason first on standard error, nothing on
    standard output, and nothing is made."""
    failed = spx(*words, code=USAGE, seconds=10, cwd=world.directory)
    assert failed.stdout == ""
    assert reason in failed.stderr.splitlines()[0]
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


def test_json_log_of_a_text_with_quotes(world):
    """Quotes and backslashes of a text are escaped: the line is an object still."""
    missing = world.directory / 'the "first" \\ relay.conf'
    failed = spx("relay", "--json", "-c", missing, "--check", code=CONFIG)
    assert str(missing) in json.loads(failed.stderr)["text"]


def test_status_line_on_a_terminal(world, echo):
    """On a terminal the client keeps one line up to date at the bottom: the state, the round trip, the
    streams, and what was carried; below a line of the log that tells another state it shows that state
    already. Through a pipe there is no such line."""
    world.start_relay()
    world.start_agent()
    client = world.start_client(*forwards(echo.port), terminal=True)
    client.expect(r"connected to agent lab-1 .*\n.*lab-1: (\w+) ")
    assert client.lines(r"connected to agent lab-1 .*\n.*?lab-1: (\w+) ")[0][1] == "connected"
    with client.dial() as connection:
        ask(connection, b"x" * 3000)
        client.expect(
            r"\r\x1b\[Klab-1: connected \| round trip [\d.]+ [mu]?s \| 1 stream \| "
            r"3\.0 KB up, 3\.0 KB down \| "
        )
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
    assert re.search(r"ended: interrupted\r?$", client.log(), re.M)
    assert client.log().endswith("\n")


def test_no_core_dump(world, echo):
    """None of the three leaves its memory, in which keys are, in a file when it crashes, also where
    other programs do."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    if before[1] == 0:
        pytest.skip("this system permits no core dumps: the hard limit is 0")
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        programs = world.start_all(echo.port)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    for program in programs:
        limits = Path(f"/proc/{program.pid}/limits").read_text()
        assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE), limits
