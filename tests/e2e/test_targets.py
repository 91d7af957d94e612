"""`client targets`: what the agent says that this user may open there, and where listen."""
import json

import pytest

from harness import DENIED, NO_AGENT, OK, USAGE, run, spx

ALLOW = "tcp:127.0.0.1:22, tcp:10.0.0.0/8:8000-8099, udp:ntp.site:123, tcp:[fd00::]/8:*, unix:/run/x.sock"


def targets(world, *words, user="alice", agent="lab-1", code=OK):
    return run(
        *world.argv("client", world.client_conf(user), *words, "targets", agent), code=code, seconds=40
    )


@pytest.fixture
def site(world):
    world.start_relay(users={"alice": "*", "bob": "*", "eve": "*"})
    conf = world.agent_conf(users={"bob": None, "alice": ALLOW})
    conf.write_text(conf.read_text() + "Listen = default, 192.0.2.1:80\nListeners = 3\n")
    return world.start_agent(conf=conf)


def test_table(world, site):
    """The permissions as the agent's file has them, and no others."""
    shown = targets(world)
    assert [line.split(maxsplit=2) for line in shown.stdout.splitlines()] == [
        ["YOU", "MAY", "WHERE"],
        *[["connect", "to", target] for target in ALLOW.split(", ")],
        ["listen", "on", "127.0.0.0/8:1024-65535"],
        ["listen", "on", "[::1]:1024-65535"],
        ["listen", "on", "192.0.2.1:80"],
        ["listen", "3", "at a time"],
    ]
    assert not shown.stderr


def test_json(world, site):
    lines = [json.loads(line) for line in targets(world, "--json").stdout.splitlines()]
    assert lines[:5] == [{"allow": target} for target in ALLOW.split(", ")]
    assert lines[5:] == [
        {"listen": "127.0.0.0/8:1024-65535"},
        {"listen": "[::1]:1024-65535"},
        {"listen": "192.0.2.1:80"},
        {"listeners": 3},
    ]


def test_nothing(world, site):
    """A user without any permission."""
    assert targets(world, user="bob").stdout == "agent lab-1 permits you nothing\n"


def test_who_is_refused(world, site):
    """A user whom the agent does not know learns nothing; nor does one who asks for another agent."""
    assert targets(world, user="eve", code=DENIED).stdout == ""
    assert "no such agent, or not permitted" in targets(world, agent="lab-1x", code=NO_AGENT).stderr


def test_many(world):
    """An answer of many records arrives whole, and in order."""
    allowed = [f"tcp:h{i}.a-name-that-takes-some-room.example.com:{i}" for i in range(1, 3000)]
    world.start_relay()
    world.start_agent(users={"alice": ", ".join(allowed)})
    shown = targets(world).stdout.splitlines()
    assert shown[1:] == [f"connect to   {target}" for target in allowed]


def test_command_line(world):
    conf = world.client_conf()
    assert "missing argument: AGENT\n" in spx("client", "-c", conf, "targets", code=USAGE).stderr
    assert "-L does not go with 'targets'" in spx("client", "targets", "a", "-L", "1:h:1", code=USAGE).stderr
