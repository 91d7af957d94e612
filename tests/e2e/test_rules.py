"""Rules for sessions at the agent: Access, Hours, NotBefore, NotAfter, MaxSession, IdleEnd."""
import glob
import select
import signal
import time
from datetime import datetime, timedelta, timezone

import pytest

import peer
from harness import DENIED, SLOWNESS, SPX_GLIBC, forwards, is_sanitized, spx
from servers import ask, read_to_end
from test_peer import peer_client, target

DAY = "%a"
FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")


def utc(**later):
    return datetime.now(timezone.utc) + timedelta(**later)


def with_rules(world, text, **config):
    """The agent's configuration with more lines in the section of its last user."""
    conf = world.agent_conf(**config)
    conf.write_text(conf.read_text() + text)
    return conf


def reload(agent, conf, text):
    count = len(agent.lines("configuration reloaded"))
    conf.write_text(text)
    agent.signal(signal.SIGHUP)
    agent.expect("configuration reloaded", count=count + 1)


def test_hours_that_are_closed(world):
    """The client is told in words which rule is in the way and when it opens, in the agent's zone."""
    there = utc(days=3)
    relay = world.start_relay()
    agent = world.start_agent(
        conf=with_rules(world, f"Hours = {there:%a} 08:00-18:00\n", TimeZone="AAA-1")
    )
    told = f"outside Hours ({there:%a} 08:00-18:00); opens {there:%a %Y-%m-%d} 08:00 +01:00"
    assert f"agent lab-1: {told}" in world.run_pipe(code=DENIED).stderr
    assert told in agent.expect(r"circuit \w+: refused: (outside Hours.+); the")[1]
    assert relay.expect(r"circuit \w+: refused: (.+)")[1] == "the agent does not allow this user"


@pytest.mark.parametrize(
    "rule, told",
    [
        ("Access = never", "Access is never"),
        ("NotBefore = 2199-12-31", "NotBefore is not reached; opens Tue 2199-12-31 00:00 +00:00"),
        ("NotAfter = 2020-01-01", "NotAfter is over"),
    ],
)
def test_other_rules_for_the_begin(world, rule, told):
    """They hold for one user, and for no other."""
    world.start_relay(users={"alice": "*", "bob": "*"})
    users = {"bob": "tcp:127.0.0.1:*", "alice": "tcp:127.0.0.1:*"}
    world.start_agent(conf=with_rules(world, rule + "\n", users=users))
    assert f"agent lab-1: {told}\n" in world.run_pipe(code=DENIED).stderr
    world.start_client(*forwards(9), user="bob")


def test_hours_that_are_open(world, echo):
    world.start_relay()
    world.start_agent(conf=with_rules(world, "Hours = 00:00-24:00\n", TimeZone="Pacific/Apia"))
    client = world.start_client(*forwards(echo.port))
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"


def test_longest_session(world, echo):
    """It ends in the middle of its work; both logs say why, and the agent's that it will. The next
    session is a new one."""
    world.start_relay()
    agent = world.start_agent(MaxSession="3 s")
    client = world.start_client(*forwards(echo.port))
    begun = time.monotonic()
    with client.dial() as connection:
        ask(connection, b"hello")
        agent.expect(r"session of user alice ends in 3 s, at .+, by MaxSession \(3 s\)")
        client.expect(r"the agent ends the session at .+ \+00:00, by MaxSession \(3 s\)")
        assert read_to_end(connection) == (b"", "reset")
    assert 2 < time.monotonic() - begun < 5 * SLOWNESS
    client.expect(r"the session has ended: ended by MaxSession \(3 s\)")
    client.wait_exit(DENIED)
    agent.expect(r"circuit \w+: ended: ended by MaxSession \(3 s\); user alice")
    world.start_client(*forwards(echo.port)).kill()


def test_session_that_starts_too_late(world, echo):
    """Accepted while the rules let it in, started when they no longer do: nothing that comes with its
    START is served."""
    world.start_relay()
    conf = world.agent_conf()
    agent = world.start_agent(conf=conf)
    circuit = peer_client(world).connect(start=False)
    reload(agent, conf, conf.read_text() + "Access = never\n")
    start = peer.frame(peer.START, 0, peer.u64(0))
    circuit.records.send(start + peer.open_frame(1, target(echo)))
    circuit.owed = None
    got = circuit.receive()
    while got.kind != peer.CLOSE:
        assert got.kind != peer.OPENED
        got = circuit.receive()
    assert got.payload == peer.u16(peer.DENIED) + peer.string("Access is never")
    agent.expect("ended: Access is never; user alice")
    assert not agent.lines("connected, stream")


def test_session_that_is_idle(world, echo):
    """While bytes are carried it goes on; a stream that is open and silent does not keep it."""
    world.start_relay()
    agent = world.start_agent(IdleEnd="3 s")
    client = world.start_client(*forwards(echo.port))
    begun = time.monotonic()
    with client.dial() as connection:
        while time.monotonic() - begun < 7:
            assert ask(connection, b"hello") == b"hello"
            assert not client.ended()
            assert not select.select([connection], [], [], 0.2)[0]  # nor does it end
        assert read_to_end(connection) == (b"", "reset")
    client.wait_exit(DENIED)
    agent.expect(r"circuit \w+: ended: ended by IdleEnd \(3 s\); user alice")


def test_last_second(world, echo):
    """NotAfter as a date and time, to the second."""
    last = utc(seconds=4).replace(microsecond=0)
    world.start_relay()
    agent = world.start_agent(conf=with_rules(world, f"NotAfter = {last:%Y-%m-%dT%H:%M:%SZ}\n"))
    client = world.start_client(*forwards(echo.port))
    agent.expect(rf"session of user alice ends in \d+ s, at {last:%a %Y-%m-%d %H:%M}.*, by NotAfter")
    client.wait_exit(DENIED)
    assert last <= utc() < last + timedelta(seconds=3 * SLOWNESS)
    client.expect("the session has ended: ended by NotAfter")
    assert "agent lab-1: NotAfter is over\n" in world.run_pipe(code=DENIED).stderr


def test_end_while_the_relay_is_away(world, echo):
    """A session without a circuit ends all the same; its client is told when it comes back."""
    relay = world.start_relay()
    agent = world.start_agent(MaxSession="3 s")
    client = world.start_client(*forwards(echo.port))
    relay.stop()
    client.lost()
    agent.expect(r"circuit \w+: ended: ended by MaxSession \(3 s\); user alice")
    world.start_relay()
    client.expect(r"the session has ended: ended by MaxSession \(3 s\)", seconds=40)
    client.wait_exit(DENIED)
    assert len(client.lines(client.CONNECTED)) == 1


def test_reload(world, echo):
    """New rules count at once for sessions that there are, and the log tells of each."""
    conf = world.agent_conf()
    before = conf.read_text()
    world.start_relay()
    agent = world.start_agent(conf=conf)
    client = world.start_client(*forwards(echo.port))
    reload(agent, conf, before + "MaxSession = 1 h\nIdleEnd = 20 min\n")
    agent.expect(r"user alice: MaxSession changed from no limit to 1 h")
    agent.expect(r"user alice: IdleEnd changed from no limit to 20 min")
    client.expect(r"the session may last until .+, by MaxSession \(1 h\)")
    client.signal(signal.SIGUSR1)
    client.expect(rf"status: lab-1: connected until {utc(hours=1):%a} [-\d]+ [\d:]+ \+00:00 \| round trip")
    reload(agent, conf, before + "IdleEnd = 20 min\n")
    client.expect("the session may last without an end")
    client.signal(signal.SIGUSR1)
    client.expect(r"status: lab-1: connected \| round trip")
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
    reload(agent, conf, before + f"MaxSession = 1 h\nHours = {utc(days=3):%a} 10:00-11:00\n")
    agent.expect(r"user alice: IdleEnd changed from 20 min to no limit")
    agent.expect(rf"user alice: Hours changed from always to {utc(days=3):%a} 10:00-11:00")
    client.expect(rf"the session has ended: ended by Hours \({utc(days=3):%a} 10:00-11:00\)")
    client.wait_exit(DENIED)
    reload(agent, conf, before + "Access = never\n")
    agent.expect(r"user alice: Access changed from always to never")
    reload(agent, conf, before)
    world.start_client(*forwards(echo.port))


def rules_shown(conf):
    """Those of --check: (user, verb, value) without the targets; the line about the time zone."""
    shown = spx("agent", "-c", conf, "--check").stdout
    table = shown[shown.index("USER") :].splitlines()
    rows = [tuple(line.split(None, 1)) for line in table[1:-1]]
    return [(user, " ".join(rest.split())) for user, rest in rows if "tcp:" not in rest], table[-1]


def test_check_shows_the_rules(world):
    """[Agent]'s hold for users that have none of their own; 0 is none."""
    users = {"alice": "tcp:127.0.0.1:*", "bob": "tcp:127.0.0.1:*"}
    defaults = {
        "TimeZone": "CET-1CEST,M3.5.0,M10.5.0/3",
        "Hours": "00:00-24:00",
        "MaxSession": "8 h",
        "IdleEnd": 600,
        "NotBefore": "2026-01-01",
        "NotAfter": "2199-12-31T12:00:00Z",
    }
    rules = "Access = never\nMaxSession = 0\nIdleEnd = 1 min\nHours = Mon 08:00-09:00\n"
    conf = with_rules(world, rules, users=users, **defaults)
    rows, zone = rules_shown(conf)
    assert rows == [
        ("alice", "during 00:00-24:00"),
        ("alice", "from Thu 2026-01-01"),
        ("alice", "until Tue 2199-12-31 13:00 +01:00"),
        ("alice", "stay for 8 h"),
        ("alice", "idle for 10 min"),
        ("alice", "connect now yes"),
        ("bob", "connect never"),
        ("bob", "during Mon 08:00-09:00"),
        ("bob", "from Thu 2026-01-01"),
        ("bob", "until Tue 2199-12-31 13:00 +01:00"),
        ("bob", "idle for 1 min"),
        ("bob", "connect now Access is never"),
    ]
    assert zone.startswith("time zone CET-1CEST,M3.5.0,M10.5.0/3, where it is ")


@pytest.mark.skipif(not FAKETIME or is_sanitized(SPX_GLIBC), reason="needs libfaketime alone")
class TestClock:
    """An agent whose wall clock is set while it runs."""

    @pytest.fixture
    def clock(self, world):
        file = world.directory / "clock"

        def set_clock(when):
            new = world.directory / "clock.new"
            new.write_text(f"{when:@%Y-%m-%d %H:%M:%S}\n")
            new.rename(file)

        set_clock(utc())
        world.binary_of["agent"] = [
            "env",
            f"LD_PRELOAD={FAKETIME[0]}",
            f"FAKETIME_TIMESTAMP_FILE={file}",
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            "TZ=UTC0",
            SPX_GLIBC,
        ]
        return set_clock

    def test_jump_out_of_the_hours(self, world, echo, clock):
        """A session does not outlive its hours when the clock jumps over their end; after a jump
        back there is a next one."""
        clock(datetime(2027, 3, 1, 12, 0, 0))  # a Monday
        world.start_relay()
        agent = world.start_agent(conf=with_rules(world, "Hours = Mon 08:00-18:00\n"))
        client = world.start_client(*forwards(echo.port))
        client.expect(r"the session may last until Mon 2027-03-01 18:00 \+00:00, by Hours")
        clock(datetime(2027, 3, 1, 17, 57, 0))
        agent.expect(r"session of user alice ends in \d+ min.*, at Mon 2027-03-01 18:00 \+00:00, by")
        client.expect(r"the agent ends the session at Mon 2027-03-01 18:00 \+00:00, by Hours")
        assert not client.ended()
        clock(datetime(2027, 3, 1, 18, 0, 1))
        client.wait_exit(DENIED)
        client.expect(r"the session has ended: ended by Hours \(Mon 08:00-18:00\)")
        clock(datetime(2027, 3, 1, 9, 0, 0))
        world.start_client(*forwards(echo.port))

    def test_clock_before_the_build(self, world, echo, clock):
        """A clock that cannot be right allows nothing that needs it, and nothing else is touched."""
        clock(datetime(1970, 1, 2, 3, 4, 0))
        users = {"bob": "tcp:127.0.0.1:*", "alice": "tcp:127.0.0.1:*"}
        world.start_relay(users={"alice": "*", "bob": "*"})
        world.start_agent(conf=with_rules(world, "Hours = 00:00-24:00\n", users=users))
        told = world.run_pipe(code=DENIED).stderr
        assert "agent lab-1: the agent's clock is wrong (Fri 1970-01-02 03:04" in told
        world.start_client(*forwards(echo.port), user="bob")
        clock(utc())
        client = world.start_client(*forwards(echo.port))
        clock(datetime(1970, 1, 2, 3, 4, 0))
        client.expect(r"the session has ended: ended by a wrong clock at the agent")
        client.wait_exit(DENIED)
