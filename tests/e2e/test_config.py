"""Configuration files: every kind of mistake is told with file, line and what is expected; --check
tells it first."""
import base64
import re

import pytest

from harness import CONFIG, LOOPBACK, Key, spx

RELAY = """\
[Relay]
Listen = 127.0.0.1:7443
KeyFile = relay.key
Keepalive = 20

[User]
Name = alice
PublicKey = {alice}
Agents = lab-*, lab-?

[Agent]
Name = lab-1
PublicKey = {lab-1}
Labels = site=boston model=vmax
Dial = tcp:10.1.2.3:7444
"""

AGENT = """\
[Agent]
Name = lab-1
KeyFile = lab-1.key
Labels = site=boston

[Relay]
Address = relay.example.com:7443
PublicKey = {relay}

[User]
Name = alice
PublicKey = {alice}
Allow = tcp:127.0.0.1:22, tcp:10.0.0.0/8:*, tcp:[fd00::]/8:8000-8099, unix:/run/x
"""

CLIENT = """\
[Client]
KeyFile = alice.key

[Relay]
Address = [2001:db8::1]
PublicKey = {relay}

[Agent]
Name = lab-1
PublicKey = {lab-1}
"""

FILES = {"relay": RELAY, "agent": AGENT, "client": CLIENT}
ZERO_KEY = base64.b64encode(bytes(32)).decode()
HIGH_KEY = base64.b64encode(
    bytes(31) + b"\x89"
).decode()  # bit 255 set: a second spelling of another key

NAME_RULE = "is not a name: 1 to 64 of a-z 0-9 . _ -, first a letter or digit, no two dots in a row"
KEY_RULE = "is not a public key: 44 characters of base64, as 'spx key public FILE' shows it"
LISTEN_RULE = (
    "is not an address to listen on: PORT, ADDRESS:PORT, [IPV6]:PORT or *:PORT, the address in numbers "
    "or localhost"
)
ENDPOINT_RULE = (
    "is not HOST or HOST:PORT (a name or an address, IPv6 in brackets: [2001:db8::1]:22; the port from "
    "1 to 65535)"
)
TARGET_RULE = (
    "is not a target: tcp:HOST:PORT, udp:HOST:PORT or unix:/PATH (IPv6 in brackets, a path under 108 "
    "bytes)"
)
ALLOW_RULE = (
    "is not a target to allow: tcp:HOST:PORTS or udp:HOST:PORTS (HOST a name, an address, 10.0.0.0/8, "
    "[fd00::]/8 or *; PORTS 22, 8000-8099 or *) or unix:/PATH"
)

LISTEN_PATTERN_RULE = (
    "is not where listening can be allowed: ADDRESS:PORTS (ADDRESS in numbers, 127.0.0.0/8, [fd00::]/8 "
    "or *; PORTS 8080, 8000-8099 or *) or unix:/PATH"
)
FORWARD_RULE = "is not a forward: -L, -D, -R or -U with its value, such as -L 8080:localhost:80"
LOCAL_RULE = (
    "is not [ADDRESS:]PORT:HOST:PORT (IPv6 in brackets, * or nothing before the first colon for all "
    "addresses; /PATH of a UNIX socket instead of [ADDRESS:]PORT or HOST:PORT)"
)

# Role; what is replaced in its good file, and by what; the message after the file's name.
MISTAKES = [
    # Lines.
    ("relay", "[User]", "[User", ":6: '[User' has no ']' at its end; expected [Section]"),
    ("relay", "[User]", "[ ]", ":6: '[]' names no section; expected [Section]"),
    (
        "relay",
        "Name = alice",
        "Name alice",
        ":7: 'Name alice' is not understood; expected [Section] or Key = Value",
    ),
    ("relay", "Name = alice", "= alice", ":7: there is no key before '='; expected Key = Value"),
    ("relay", "Name = alice", "Name =", ":7: 'Name' has no value; expected Name = Value"),
    (
        "relay",
        "Name = alice",
        "Name = # alice",
        ":7: 'Name' has no value; expected Name = Value",
    ),
    (
        "relay",
        "[Relay]\n",
        "Keepalive = 9\n[Relay]\n",
        ":1: 'Keepalive' stands before the first section; expected [Section] first",
    ),
    ("relay", "site=boston", "site=\udcff", ":14: not text; expected UTF-8"),
    ("relay", "site=boston", "site=\0", ":14: not text; expected UTF-8"),
    # Sections and keys.
    (
        "relay",
        "[User]",
        "[Users]",
        ":6: unknown section [Users]; known are [Relay], [User], [Agent], [Authority]",
    ),
    (
        "agent",
        "[User]",
        "[Client]",
        ":10: unknown section [Client]; known are [Agent], [Relay], [User], [Authority]",
    ),
    (
        "client",
        "[Agent]",
        "[User]",
        ":8: unknown section [User]; known are [Client], [Relay], [Agent], [Authority]",
    ),
    (
        "relay",
        "Listen",
        "Lisen",
        ":2: unknown key 'Lisen' in [Relay]; known are Listen, KeyFile, User, Group, Keepalive, Workers, Audit, AuditSize",
    ),
    (
        "relay",
        "Agents",
        "Allow",
        ":9: unknown key 'Allow' in [User]; known are Name, PublicKey, Agents",
    ),
    (
        "agent",
        "Allow",
        "Agents",
        ":13: unknown key 'Agents' in [User]; known are Name, PublicKey, Allow, Listen, Listeners, Streams, Access, Hours, NotBefore, NotAfter, MaxSession, IdleEnd, AskTimeout, ReasonRequired",
    ),
    (
        "client",
        "KeyFile",
        "Key",
        ":2: unknown key 'Key' in [Client]; known are KeyFile, Permit, KnownAgents, Audit, AuditSize",
    ),
    ("relay", RELAY, "", ": there is no section [Relay]; it is required"),
    (
        "agent",
        "[Relay]\nAddress = relay.example.com:7443\nPublicKey = {relay}\n",
        "",
        ": there is no section [Relay]; it is required",
    ),
    (
        "client",
        "[Relay]\nAddress = [2001:db8::1]\nPublicKey = {relay}\n",
        "",
        ": there is no section [Relay]; it is required",
    ),
    (
        "relay",
        "Dial",
        "[Relay]\nDial",
        ":15: [Relay] is given twice, first at line 1",
    ),
    (
        "client",
        "[Agent]",
        "[client]",
        ":8: [Client] is given twice, first at line 1",
    ),
    (
        "relay",
        "Keepalive = 20",
        "KeyFile = relay.key",
        ":4: KeyFile is given twice in [Relay], first at line 3",
    ),
    (
        "relay",
        "Agents",
        "name = bob\nAgents",
        ":9: Name is given twice in [User], first at line 7",
    ),
    # Keys and sections that are missing.
    (
        "relay",
        "Listen = 127.0.0.1:7443\n",
        "",
        ":1: [Relay] has no Listen; expected Listen = Value",
    ),
    (
        "relay",
        "KeyFile = relay.key\n",
        "",
        ":1: [Relay] has no KeyFile; expected KeyFile = Value",
    ),
    ("relay", "Name = alice\n", "", ":6: [User] has no Name; expected Name = Value"),
    (
        "relay",
        "PublicKey = {alice}\n",
        "",
        ":6: [User] has no PublicKey; expected PublicKey = Value",
    ),
    (
        "relay",
        "PublicKey = {lab-1}\n",
        "",
        ":11: [Agent] has no PublicKey; expected PublicKey = Value",
    ),
    ("agent", "Name = lab-1\n", "", ":1: [Agent] has no Name; expected Name = Value"),
    (
        "agent",
        "PublicKey = {relay}\n",
        "",
        ":6: [Relay] has no PublicKey; expected PublicKey = Value",
    ),
    (
        "agent",
        "Address = relay.example.com:7443\n",
        "",
        ":6: [Relay] has no Address; expected Address = HOST:PORT, or Listen in [Agent] for a relay that dials this "
        "agent",
    ),
    (
        "client",
        "KeyFile = alice.key\n",
        "",
        ":1: [Client] has no KeyFile; expected KeyFile = Value",
    ),
    (
        "client",
        "Address = [2001:db8::1]\n",
        "",
        ":4: [Relay] has no Address; expected Address = Value",
    ),
    # Who is there twice.
    (
        "relay",
        "[Agent]",
        "[User]\nName = alice\nPublicKey = {bob}\n[Agent]",
        ":11: [User] with the name 'alice' is given twice, first at line 6",
    ),
    (
        "relay",
        "[Agent]",
        "[User]\nName = bob\nPublicKey = {alice}\n[Agent]",
        ":11: the PublicKey of this [User] is that of the [User] at line 6; expected one key for each",
    ),
    (
        "relay",
        "{lab-1}",
        "{alice}",
        ":11: the PublicKey of this [Agent] is that of the [User] at line 6; expected one key for each",
    ),
    (
        "relay",
        "{alice}",
        "{relay}",
        ":6: the PublicKey of this [User] is the key of this relay itself; expected the other party's",
    ),
    (
        "agent",
        "{relay}",
        "{lab-1}",
        ":6: the PublicKey of this [Relay] is the key of this agent itself; expected the other party's",
    ),
    (
        "agent",
        "{alice}",
        "{relay}",
        ":10: the PublicKey of this [User] is that of the [Relay] at line 6; expected one key for each",
    ),
    (
        "client",
        "{lab-1}",
        "{alice}",
        ":8: the PublicKey of this [Agent] is the key of this client itself; expected the other party's",
    ),
    (
        "agent",
        "[User]",
        "[User]\nName = bob\nPublicKey = {bob}\n[User]\nName = bob\nPublicKey = {alice}\n[User]",
        ":13: [User] with the name 'bob' is given twice, first at line 10",
    ),
    (
        "client",
        "PublicKey = {lab-1}",
        "[Agent]\nName = lab-1",
        ":10: [Agent] with the name 'lab-1' is given twice, first at line 8",
    ),
    # Names and keys.
    ("relay", "alice\n", "Alice\n", f":7: Name: 'Alice' {NAME_RULE}"),
    ("relay", "alice\n", "-alice\n", f":7: Name: '-alice' {NAME_RULE}"),
    ("agent", "lab-1\n", "lab..1\n", f":2: Name: 'lab..1' {NAME_RULE}"),
    ("client", "lab-1\n", "l" * 65 + "\n", f":9: Name: '{'l' * 65}' {NAME_RULE}"),
    ("client", "lab-1\n", "the lab\n", f":9: Name: 'the lab' {NAME_RULE}"),
    ("relay", "{alice}", "abc", f":8: PublicKey: 'abc' {KEY_RULE}"),
    ("relay", "{alice}", ZERO_KEY, f":8: PublicKey: '{ZERO_KEY}' {KEY_RULE}"),
    ("agent", "{relay}", HIGH_KEY, f":8: PublicKey: '{HIGH_KEY}' {KEY_RULE}"),
    ("client", "{relay}", "{relay}=", f":6: PublicKey: '{{relay}}=' {KEY_RULE}"),
    (
        "relay",
        "lab-*, lab-?",
        "lab-*,, lab-?",
        ":9: Agents: 'lab-*,, lab-?' has an empty item; expected items with commas between them",
    ),
    (
        "relay",
        "lab-*, lab-?",
        "lab-*, Plant-1",
        ":9: Agents: 'Plant-1' is not a pattern of names: 1 to 64 of a-z 0-9 . _ - and * (any characters) and ? (any "
        "one)",
    ),
    # Addresses and targets.
    ("relay", "127.0.0.1:7443", "127.0.0.1", f":2: Listen: '127.0.0.1' {LISTEN_RULE}"),
    (
        "relay",
        "127.0.0.1:7443",
        "relay.example.com:7443",
        f":2: Listen: 'relay.example.com:7443' {LISTEN_RULE}",
    ),
    ("relay", "127.0.0.1:7443", "::1:7443", f":2: Listen: '::1:7443' {LISTEN_RULE}"),
    ("relay", "127.0.0.1:7443", "*:65536", f":2: Listen: '*:65536' {LISTEN_RULE}"),
    ("relay", "20", "4", ":4: Keepalive: '4' is not a number of seconds from 5 to 60; s, min, h or d may follow it"),
    ("relay", "20", "61", ":4: Keepalive: '61' is not a number of seconds from 5 to 60; s, min, h or d may follow it"),
    ("relay", "20", "20 m", ":4: Keepalive: '20 m' is not a number of seconds from 5 to 60; s, min, h or d may follow it"),
    ("relay", "tcp:10.1.2.3:7444", "10.1.2.3:7444", f":15: Dial: '10.1.2.3:7444' {TARGET_RULE}"),
    (
        "relay",
        "tcp:10.1.2.3:7444",
        "udp:10.1.2.3:7444",
        ":15: Dial: 'udp:10.1.2.3:7444' cannot be dialled; expected tcp:HOST:PORT",
    ),
    (
        "relay",
        "tcp:10.1.2.3:7444",
        "unix:/run/spx",
        ":15: Dial: 'unix:/run/spx' cannot be dialled; expected tcp:HOST:PORT",
    ),
    (
        "agent",
        "relay.example.com:7443",
        "relay.example.com:0",
        f":7: Address: 'relay.example.com:0' {ENDPOINT_RULE}",
    ),
    (
        "agent",
        "relay.example.com:7443",
        "https://relay.example.com",
        f":7: Address: 'https://relay.example.com' {ENDPOINT_RULE}",
    ),
    ("client", "[2001:db8::1]", "2001:db8::1", f":5: Address: '2001:db8::1' {ENDPOINT_RULE}"),
    ("agent", "tcp:127.0.0.1:22,", "127.0.0.1:22,", f":13: Allow: '127.0.0.1:22' {ALLOW_RULE}"),
    ("agent", "tcp:127.0.0.1:22,", "tcp:127.0.0.1,", f":13: Allow: 'tcp:127.0.0.1' {ALLOW_RULE}"),
    (
        "agent",
        "tcp:127.0.0.1:22,",
        "tcp:127.0.0.1:0,",
        f":13: Allow: 'tcp:127.0.0.1:0' {ALLOW_RULE}",
    ),
    ("agent", "10.0.0.0/8", "10.0.0.0/33", f":13: Allow: 'tcp:10.0.0.0/33:*' {ALLOW_RULE}"),
    ("agent", "8000-8099", "8099-8000", f":13: Allow: 'tcp:[fd00::]/8:8099-8000' {ALLOW_RULE}"),
    ("agent", "unix:/run/x", "unix:run/x", f":13: Allow: 'unix:run/x' {ALLOW_RULE}"),
    ("agent", "KeyFile", "Listen = x:7444\nKeyFile", f":3: Listen: 'x:7444' {LISTEN_RULE}"),
    ("agent", "Allow", "Listen = x:80\nAllow", f":13: Listen: 'x:80' {LISTEN_PATTERN_RULE}"),
    ("agent", "Allow", "Listen = 8080\nAllow", f":13: Listen: '8080' {LISTEN_PATTERN_RULE}"),
    (
        "client",
        "Name = lab-1",
        "Name = lab-1\nForward = 8080:h:80",
        f":10: Forward: '8080:h:80' {FORWARD_RULE}",
    ),
    (
        "client",
        "Name = lab-1",
        "Name = lab-1\nForward = -L 80:h",
        f":10: Forward: '80:h' {LOCAL_RULE}",
    ),
    # Numbers and texts.
    (
        "agent",
        "KeyFile",
        "ResumeWindow = 86401\nKeyFile",
        ":3: ResumeWindow: '86401' is not a number of seconds from 0 to 86400; s, min, h or d may follow it",
    ),
    (
        "agent",
        "Allow",
        "Listeners = 257\nAllow",
        ":13: Listeners: '257' is not a number from 1 to 256",
    ),
    # Rules for sessions.
    ("agent", "Allow", "Access = maybe\nAllow", ":13: Access: 'maybe' is not always, ask or never"),
    (
        "agent",
        "Allow",
        "Hours = Mon-Fri 8:00-18:00\nAllow",
        ":13: Hours: 'Mon-Fri 8:00-18:00' are not hours such as Mon-Fri 08:00-18:00, Sat 09:00-12:00: "
        "expected, at '8:00-18:00', a time, 00:00 to 23:59",
    ),
    (
        "agent",
        "KeyFile",
        "NotAfter = 31.12.2026\nKeyFile",
        ":3: NotAfter: '31.12.2026' is not a date such as 2026-12-31",
    ),
    (
        "agent",
        "KeyFile",
        "NotBefore = 2026-12-31T18:00\nKeyFile",
        ":3: NotBefore: '2026-12-31T18:00' is not a date and time such as 2026-12-31T18:00:00+01:00",
    ),
    (
        "agent",
        "Allow",
        "MaxSession = 367 d\nAllow",
        ":13: MaxSession: '367 d' is not a number of seconds from 0 to 31622400; s, min, h or d may follow it",
    ),
    (
        "agent",
        "Allow",
        "IdleEnd = soon\nAllow",
        ":13: IdleEnd: 'soon' is not a number of seconds from 0 to 31622400; s, min, h or d may follow it",
    ),
    (
        "agent",
        "KeyFile",
        "TimeZone = Europe/Berln\nKeyFile",
        ":3: TimeZone: no time zone 'Europe/Berln' in /usr/share/zoneinfo/; expected a name there, such as "
        "Europe/Berlin, or a POSIX string such as CET-1CEST,M3.5.0,M10.5.0/3",
    ),
    (
        "agent",
        "KeyFile",
        "TimeZone = CET-1CEST,M13.5.0,M10.5.0\nKeyFile",
        ":3: TimeZone: 'CET-1CEST,M13.5.0,M10.5.0' is not a time zone: expected, at '13.5.0,M10.5.0', "
        "when summer time begins and ends: two of ,Mm.w.d ,Jn or ,n, with /HOURS after it",
    ),
    (
        "agent",
        "KeyFile",
        "TimeZone = ../../../etc/passwd\nKeyFile",
        ":3: TimeZone: '../../../etc/passwd' is not a time zone: expected, at '../../../etc/passwd', "
        "a name: at least 3 letters, or <+03>",
    ),
    (
        "agent",
        "KeyFile",
        "TimeZone = right/Europe/Berlin\nKeyFile",
        ":3: TimeZone: /usr/share/zoneinfo/right/Europe/Berlin: it counts leap seconds, as no clock here does",
    ),
    (
        "agent",
        "KeyFile",
        "CallSocket = /" + "s" * 107 + "\nKeyFile",
        f":3: CallSocket: '/{'s' * 107}' is too long for a socket; expected under 108 bytes",
    ),
    (
        "relay",
        "site=boston",
        "site=" + "b" * 2048,
        ":14: Labels: too long: 2064 bytes; expected at most 2047",
    ),
    (
        "relay",
        "site=boston",
        "site=\x1b[31mboston",
        ":14: Labels: 'site=?[31mboston model=vmax' holds control characters; expected words such as "
        "site=boston",
    ),
    (
        "agent",
        "Name = alice",
        "Name = all",
        ":10: a user cannot be named 'all', which spx agent end takes for everybody",
    ),
    # Key files.
    (
        "relay",
        "relay.key",
        "nothing.key",
        ":3: KeyFile: no key at {dir}/nothing.key: 'spx key new {dir}/nothing.key' makes one",
    ),
    (
        "agent",
        "lab-1.key",
        "open.key",
        ":3: KeyFile: {dir}/open.key: its mode 0644 gives others access to a secret; run: chmod 600 {dir}/open.key",
    ),
    ("client", "alice.key", ".", ":2: KeyFile: {dir}/.: not a regular file"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with the keys of the good files, made once."""
    directory = tmp_path_factory.mktemp("config")
    keys = {
        name: Key(directory / f"{name}.key").public for name in ("relay", "alice", "bob", "lab-1")
    }
    (directory / "open.key").write_text((directory / "bob.key").read_text())
    (directory / "open.key").chmod(0o644)
    return directory, keys


def fill(text, place):
    directory, keys = place
    for name, public in keys.items():
        text = text.replace("{%s}" % name, public)
    return text.replace("{dir}", str(directory))


def write(role, text, place):
    path = place[0] / f"{role}.conf"
    path.write_bytes(fill(text, place).encode("utf-8", "surrogateescape"))
    return path


def words_of(role):
    return ["lab-1", "-L", "0:127.0.0.1:22"] if role == "client" else []


@pytest.mark.parametrize("role", FILES)
def test_good_file(place, role):
    """The files that the mistakes below are made in are right: --check says so and ends with 0."""
    conf = write(role, FILES[role], place)
    done = spx(role, "-c", conf, "--check")
    assert done.stdout.startswith(f"{conf}: OK\n")
    assert done.stderr == ""


@pytest.mark.parametrize("role", FILES)
def test_check_shows_the_own_key(world, role):
    """--check shows the public key that the others need, and its fingerprint."""
    conf = getattr(world, f"{role}_conf")()
    key = world.key({"relay": "relay", "agent": "lab-1", "client": "alice"}[role])
    shown = spx(role, "-c", conf, "--check").stdout
    assert f"public key {key.public}\nfingerprint {key.fingerprint}\n" in shown


def test_check_shows_the_relays_policy(world):
    """A relay's --check has each user's key, a line for each permission with the number of agents that
    it is for, and a warning for those that are for none."""
    agents = {"lab-1": {}, "lab-2": {}, "attic": {}}
    conf = world.relay_conf(users={"alice": "lab-*, att?c", "bob": "lba-*"}, agents=agents)
    with open(conf, "a") as file:
        file.write(f"[User]\nName = carol\nPublicKey = {world.key('carol').public}\n")
    done = spx("relay", "-c", conf, "--check")
    for name in ("alice", "bob", "carol"):
        assert f"user {name}, key {world.key(name).fingerprint}\n" in done.stdout
    table = done.stdout[done.stdout.index("USER") :].splitlines()
    assert [re.split(r"  +", line) for line in table] == [
        ["USER", "MAY REACH", "AGENTS"],
        ["alice", "lab-*", "2"],
        ["alice", "att?c", "1"],
        ["bob", "lba-*", "0"],
        ["carol", "nothing"],
    ]
    warnings = [line.split(" relay: ")[1] for line in done.stderr.splitlines()]
    assert warnings == ["user bob: Agents = lba-*: no agent of this file has such a name"]


def test_check_shows_the_agents_parties(world):
    """An agent's --check has the keys of its relays and users, and warns if there is no user."""
    done = spx("agent", "-c", world.agent_conf(), "--check")
    relay, user = world.key("relay").fingerprint, world.key("alice").fingerprint
    assert re.search(rf"^relay {LOOPBACK} port \d+, key {re.escape(relay)}$", done.stdout, re.M)
    assert f"user alice, key {user}\n" in done.stdout
    assert done.stderr == ""
    done = spx("agent", "-c", world.agent_conf(users={}), "--check")
    assert "warn  agent: no [User]: nobody may have a session" in done.stderr
    assert "USER" not in done.stdout


def test_check_shows_the_policy(world):
    """An agent's --check has a line for each permission, and a warning for those that are for every
    host or every address."""
    conf = world.agent_conf(users={"alice": "tcp:127.0.0.1:22, tcp:*:*"})
    with open(conf, "a") as file:
        file.write(f"""Listen = default, *:8080
[User]
Name = bob
PublicKey = {world.key("bob").public}
""")
    done = spx("agent", "-c", conf, "--check")
    table = done.stdout[done.stdout.index("USER") :].splitlines()
    assert [re.split(r"  +", line.strip()) for line in table] == [
        ["USER", "MAY", "WHERE"],
        ["alice", "connect to", "tcp:127.0.0.1:22"],
        ["alice", "connect to", "tcp:*:*"],
        ["alice", "listen on", "127.0.0.0/8:1024-65535"],
        ["alice", "listen on", "[::1]:1024-65535"],
        ["alice", "listen on", "*:8080"],
        ["bob", "nothing"],
    ]
    warnings = [line.split(" agent: ")[1] for line in done.stderr.splitlines()]
    assert warnings == [
        "user alice: Allow = tcp:*:*: every host that this machine reaches: name the targets one by one",
        "user alice: Listen = *:8080: everybody who reaches this machine may connect: name an address",
    ]


def test_check_warns_of_directories(world):
    """Those that have to be there at the start, and are not, or are closed to the agent's user."""
    conf, gone = world.agent_conf(), world.directory / "gone"
    keys = f"ControlSocket = {gone}/control\nStateDirectory = {gone}\nAudit = {gone}/audit\n"
    conf.write_text(conf.read_text().replace("[Agent]\n", "[Agent]\n" + keys, 1))
    warnings = [line.split(" agent: ")[1] for line in spx("agent", "-c", conf, "--check").stderr.splitlines()]
    why = "no such file or directory"
    assert warnings == [
        f"StateDirectory: {gone}: nothing can be kept there: {why}",
        f"ControlSocket: {gone}/control: cannot be made in its directory: {why}",
        f"Audit: {gone}/audit: cannot be made in its directory: {why}",
    ]
    gone.mkdir(mode=0o700)
    assert spx("agent", "-c", conf, "--check").stderr == ""


@pytest.mark.parametrize("role", FILES)
def test_spelling_that_is_taken(place, role):
    """Sections and keys in any case, comments, white space, CR LF and a byte order mark change
    nothing."""
    lines = [
        f"  {line.lower() if line.startswith('[') else line} # remark \r" if line else line
        for line in FILES[role].splitlines()
    ]
    text = "\ufeff# a file\r\n" + "\n".join(lines).replace("KeyFile =", "keyfile=") + "\n"
    spx(role, "-c", write(role, text, place), "--check")


@pytest.mark.parametrize(
    "role, old, new, message", MISTAKES, ids=[f"{m[0]}-{n}" for n, m in enumerate(MISTAKES)]
)
def test_mistake(place, role, old, new, message):
    """The mistake is told exactly, on one line, with exit code 3; by --check and by the program
    itself."""
    assert old in FILES[role]
    conf = write(role, FILES[role].replace(old, new, 1), place)
    expected = f"{conf}{fill(message, place)}"
    for words in (["--check"], words_of(role)):
        failed = spx(role, "-c", conf, *words, code=CONFIG, seconds=10)
        assert failed.stdout == ""
        told = failed.stderr.splitlines()
        assert len(told) == 1
        assert told[0].endswith(expected), f"expected: {expected}\ntold:     {told[0]}"


@pytest.mark.parametrize("role", FILES)
def test_file_that_cannot_be_read(place, role):
    """A file that is not there, and one that is none."""
    missing = place[0] / "missing.conf"
    failed = spx(role, "-c", missing, "--check", code=CONFIG)
    assert f"cannot open {missing}: no such file or directory" in failed.stderr
    failed = spx(role, "-c", place[0], "--check", code=CONFIG)
    assert f"{place[0]}: not a regular file" in failed.stderr


KEY_FILES = {
    "empty": ("", "holds no key; make one with: spx key new FILE"),
    "words": (
        "not a key\n",
        "is not a private key: 9 characters, expected one line of 44 characters of base64",
    ),
    "joined": (
        "{bob}{bob}\n",
        "is not a private key: 88 characters, expected one line of 44 characters of base64",
    ),
    "two": (
        "{bob}\n{bob}\n",
        "is not a private key: 89 characters, expected one line of 44 characters of base64",
    ),
    "not base64": ("{bob", "is not a private key: not canonical base64 of 32 bytes"),
    "zeros": (ZERO_KEY, "is not a private key: all zero"),
    "long": ("A" * 5000, "larger than 1024 bytes"),
}


@pytest.mark.parametrize("content, reason", KEY_FILES.values(), ids=KEY_FILES)
def test_key_file_that_holds_no_key(place, content, reason):
    """A key file without exactly one key is refused, with the reason, and its content is not
    shown."""
    bob = (place[0] / "bob.key").read_text().strip()
    text = content.replace("{bob}", bob).replace("{bob", "*" + bob[1:])
    broken = place[0] / "broken.key"
    broken.write_text(text)
    broken.chmod(0o600)
    conf = write("client", CLIENT.replace("alice.key", "broken.key"), place)
    failed = spx("client", "-c", conf, "--check", code=CONFIG)
    assert failed.stderr.rstrip("\n").endswith(f"{conf}:2: KeyFile: {broken}: {reason}")
    assert not text.strip() or text.strip()[:20] not in failed.stderr


def test_file_that_is_too_large(place):
    """A configuration file of more than 16 MiB is not read."""
    conf = place[0] / "large.conf"
    conf.write_text("# remark\n" * (2 << 20))
    failed = spx("relay", "-c", conf, "--check", code=CONFIG)
    assert f"{conf}: larger than 16777216 bytes" in failed.stderr
