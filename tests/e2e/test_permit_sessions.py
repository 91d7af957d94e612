"""Sessions by permit: what permit and agent allow together, for how long, and who is refused."""
import re
import signal
from datetime import datetime, timedelta, timezone

import pytest

from harness import CONFIG, DENIED, SPX_GLIBC, forwards, is_sanitized, run, spx
from servers import ask
from test_permit import Office, forge
from test_rules import FAKETIME, utc

SCOPE = ("--agents", "lab-*", "--scope", "acme")


@pytest.fixture
def office(world):
    office = Office(world.directory)
    office.user = world.key("alice").public
    return office


def authority(office, name="support", **keys):
    keys = {"Name": name, "PublicKey": office.public, "Allow": "tcp:127.0.0.1:*", **keys}
    return "".join(f"{key} = {value}\n" for key, value in {"[Authority]\n#": "", **keys}.items())


def with_authority(world, *sections, users=None, **more):
    """An agent's file without a [User], unless it is given."""
    conf = world.agent_conf(users=users or {}, Scope="acme", **more)
    conf.write_text(conf.read_text() + "\n" + "\n".join(sections))
    return conf


def start(world, office, *sections, **more):
    world.start_relay()
    return world.start_agent(conf=with_authority(world, *(sections or [authority(office)]), **more))


def connect(world, permit, *arguments, **options):
    return world.start_client(*arguments, Permit=permit, **options)


def echoes(client, index=0):
    with client.dial(index) as connection:
        assert ask(connection, b"hello") == b"hello"


def is_refused(client, index=0):
    """The connection is reset, be it before anything was read."""
    with pytest.raises(ConnectionResetError):
        with client.dial(index) as connection:
            connection.recv(1)


def refuse(world, permit, why, port=9):
    """The agent refuses a session by this permit, for this reason."""
    client = connect(world, permit, *forwards(port), connected=False)
    client.wait_exit(DENIED)
    client.expect(why)


def test_connect(world, office, echo):
    """A session begins by a permit; log, sessions and audit name user, authority and permit, and the
    audit the reason."""
    agent = start(world, office, Audit="audit", ControlSocket="control")
    permit = office.issue(*SCOPE, "--allow", f"tcp:127.0.0.1:{echo.port}", "--reason", "case 4711")
    id_ = spx("permit", "show", permit).stdout.split()[1][:8]
    client = connect(world, permit, *forwards(echo.port))
    client.expect(rf"permit {id_} is good until")
    echoes(client)
    shown = f"alice (support, permit {id_})"
    agent.expect(rf"accepted user {shown}".replace("(", r"\(").replace(")", r"\)"))
    conf = world.directory / "agent-lab-1.conf"
    assert f'"user":"{shown}"' in spx("agent", "-c", conf, "sessions", "--json").stdout
    heading, row, *_ = spx("agent", "-c", conf, "sessions").stdout.splitlines()
    at = heading.index("FOR")
    assert row[:at].endswith(f" {shown} ") and re.match(r"\d", row[at:]), heading + "\n" + row
    status = spx("agent", "-c", conf, "status").stdout
    assert re.search(r"^USER .*\npermits of support +1 +yes$", status, re.M), status
    client.stop()
    agent.stop()
    audit = (world.directory / "audit").read_text()
    assert '"event":"permit_used"' in audit and re.search(r'"reason":"permit [0-9a-f]{32}: case 4711"', audit)
    assert audit.count(f'"user":"{shown}"') >= 3


def test_both_have_to_allow(world, office, echo, serve):
    """A target is reached if permit and section allow it, and never by one of them alone."""
    other, third = serve(type(echo)), serve(type(echo))
    start(world, office, authority(office, Allow=f"tcp:127.0.0.1:{echo.port}, tcp:127.0.0.1:{other.port}"))
    permit = office.issue(
        *SCOPE, "--allow", f"tcp:*:{echo.port}", "--allow", f"tcp:localhost:{third.port}"
    )
    client = connect(world, permit, *forwards(echo.port, other.port, third.port))
    echoes(client)
    for index in (1, 2):
        is_refused(client, index)
        client.expect("not permitted", count=index)
    told = spx("client", "-c", world.directory / "client-alice.conf", "targets", "lab-1").stdout
    assert f"tcp:127.0.0.1:{echo.port}" in told
    assert str(other.port) not in told and str(third.port) not in told


def test_refused(world, office):
    """Who is refused, and with which words."""
    start(world, office)
    elsewhere = Office(world.directory / "elsewhere")
    refuse(world, office.issue("--agents", "paris-*", "--scope", "acme"), "the permit is not for this agent")
    refuse(world, office.issue("--agents", "lab-*", "--scope", "other"), "the permit is not for this agent")
    elsewhere.user = office.user
    refuse(world, elsewhere.issue(*SCOPE), "of an authority that this agent does not trust")
    refuse(world, office.issue(*SCOPE, "--from", "2099-01-01"), r"the permit is for .+ from its issue; MaxPermit here is 24 h")
    refuse(world, office.issue(*SCOPE, "--for", "25h"), "MaxPermit here is 24 h")
    refuse(world, forge(office.issue(*SCOPE)), "the permit is not signed by the authority that it names")


def test_without_a_permit(world, office):
    """A key that is in no [User] and has no permit is refused as ever."""
    start(world, office)
    client = world.start_client(*forwards(9), connected=False)
    client.wait_exit(DENIED)
    client.expect("this agent does not allow the user's key")


def test_another_users_permit(world, office):
    """The client says so; so does an agent to a client that does not."""
    start(world, office)
    office.user = world.key("bob").public
    permit = office.issue(*SCOPE)
    client = connect(world, permit, *forwards(9), connected=False)
    client.wait_exit(CONFIG)
    client.expect("the permit is for another key than the one of KeyFile")


def test_agent_by_its_key(world, office, echo):
    """A permit may name an agent by its key, and then needs no scope."""
    start(world, office)
    permit = office.issue("--agent-key", world.key("lab-1").public, "--allow", "tcp:*:*")
    echoes(connect(world, permit, *forwards(echo.port)))


def test_two_authorities(world, office, echo):
    """For a change-over two are trusted at once, and each has its own section."""
    second = Office(world.directory / "second")
    second.user = office.user
    start(world, office, authority(office, "old", Allow="tcp:127.0.0.1:9"), authority(second, "new"))
    allow = ("--allow", "tcp:*:*")
    echoes(connect(world, second.issue(*SCOPE, *allow), *forwards(echo.port)))
    client = connect(world, office.issue(*SCOPE, *allow), *forwards(echo.port))
    is_refused(client)


def test_two_sessions_by_two_permits(world, office, echo, serve):
    """Each session has what its own permit allows, also those of one key."""
    other = serve(type(echo))
    start(world, office)
    first = office.issue(*SCOPE, "--allow", f"tcp:*:{echo.port}", name="first")
    second = office.issue(*SCOPE, "--allow", f"tcp:*:{other.port}", name="second")
    one = connect(world, first, *forwards(echo.port), user="alice")
    conf = world.client_conf(Permit=second)
    two = world.start_client(*forwards(other.port), conf=conf)
    echoes(one)
    echoes(two)


def test_user_section_governs(world, office, echo, serve):
    """A key that stands in [User] is governed by that section alone, whatever a permit says."""
    other = serve(type(echo))
    agent = start(world, office, users={"alice": f"tcp:127.0.0.1:{echo.port}"})
    permit = office.issue(*SCOPE, "--allow", "tcp:*:*")
    client = connect(world, permit, *forwards(echo.port, other.port))
    agent.expect(r"accepted user alice \(key")
    echoes(client)
    is_refused(client, 1)


def test_rules_of_the_section(world, office):
    """The section's rules hold for users by permit, and the shorter of the two longest sessions."""
    agent = start(world, office, authority(office, MaxSession="2h"))
    client = connect(world, office.issue(*SCOPE, "--session", "1h"), *forwards(9))
    client.expect(r"the session may last until .+, by MaxSession \(1 h\)")
    with_authority(world, authority(office, Access="never"))
    agent.signal(signal.SIGHUP)
    agent.expect("configuration reloaded")
    client.wait_exit(DENIED)


def test_reload_without_the_authority(world, office, echo):
    """An authority that is removed takes all sessions by its permits with it; one that is narrowed
    narrows them."""
    agent = start(world, office)
    permit = office.issue(*SCOPE, "--allow", "tcp:*:*")
    client = connect(world, permit, *forwards(echo.port))
    echoes(client)
    with_authority(world, authority(office, Allow="tcp:127.0.0.1:9"))
    agent.signal(signal.SIGHUP)
    agent.expect("configuration reloaded")
    is_refused(client)
    with_authority(world)
    agent.signal(signal.SIGHUP)
    agent.expect("configuration reloaded", count=2)
    client.expect("the user is no longer allowed at this agent")
    client.wait_exit(DENIED)


def revoke(office, *words, before=None):
    """A list of revocations in the file that agents read, replaced at once."""
    path = office.directory / "lists" / "revoked"  # not beside the configuration
    path.parent.mkdir(exist_ok=True)
    old = ("--list", path) if path.exists() else ()
    new = path.with_suffix(".new")
    new.write_text(spx("permit", "revoke", "--authority", office.key, *old, *words).stdout)
    new.rename(path)
    return path


def test_revoked(world, office, echo):
    """A list that takes a permit back ends its sessions within a second, without a signal, with the
    reason; others go on. None begins by it."""
    path = revoke(office)
    agent = start(world, office, authority(office, Revocations=path))
    kept = office.issue(*SCOPE, "--allow", "tcp:*:*", name="kept")
    taken = office.issue(*SCOPE, "--allow", "tcp:*:*", name="taken")
    staying = connect(world, kept, *forwards(echo.port))
    going = world.start_client(*forwards(echo.port), conf=world.client_conf(Permit=taken))
    revoke(office, "--permit", spx("permit", "show", taken).stdout.split()[1])
    agent.expect(r"revocations 2: 1 permit, 0 keys")
    going.wait_exit(DENIED, seconds=5)
    going.expect("the session has ended: the authority has revoked the permit")
    echoes(staying)
    refuse(world, taken, "the authority has revoked the permit")
    revoke(office, "--key", office.user)
    staying.wait_exit(DENIED, seconds=5)
    refuse(world, kept, "the authority has revoked the (permit|user's key)")


def test_reload_with_a_list_that_cannot_be_read(world, office, echo):
    """Nobody comes in by permits of whom nobody knows which are taken back: all stays as it was."""
    agent = start(world, office)
    permit = office.issue(*SCOPE, "--allow", "tcp:*:*")
    client = connect(world, permit, *forwards(echo.port))
    with_authority(world, authority(office, Allow="tcp:127.0.0.1:9", Revocations="none"))
    agent.signal(signal.SIGHUP)
    agent.expect(r"cannot open .*none: .*; the old configuration stays in effect")
    assert not agent.lines("configuration reloaded")
    echoes(client)


def test_revoked_by_time(world, office):
    """All permits of before a time."""
    path = revoke(office, "--before", "2099-01-01")
    start(world, office, authority(office, Revocations=path))
    refuse(world, office.issue(*SCOPE), "the authority has revoked all permits of that time")


def test_revocations_only_grow(world, office):
    """An older list, one of another authority, a damaged one and none leave the one before; at the
    start they are an error."""
    first = revoke(office).read_text()
    path = revoke(office, "--key", office.user)
    second = path.read_text()
    conf = with_authority(world, authority(office, Revocations=path))
    checked = spx("agent", "-c", conf, "--check").stderr
    path.rename(path.with_name("away"))
    assert ("Revocations: cannot open " + str(path)) in spx("agent", "-c", conf, "--check").stderr
    path.with_name("away").rename(path)
    assert "Revocations" not in checked
    world.start_relay()
    agent = world.start_agent(conf=conf)
    permit = office.issue(*SCOPE)
    stranger = Office(world.directory / "stranger")
    for n, (text, why) in enumerate((
        (first, "revocations 1 are older than 2"),
        (revoke(stranger).read_text(), "no list of this authority's revocations, or it is damaged"),
        (second.replace("A", "B", 3), "damaged"),
        ("", "holds no list of revocations"),
    )):  # fmt: skip
        path.write_text(text)
        agent.expect(rf"{why}.*: the revocations that were read before count")
    refuse(world, permit, "the authority has revoked the user's key")
    path.write_text(second)
    agent.signal(signal.SIGHUP)
    agent.expect("configuration reloaded")
    refuse(world, permit, "the authority has revoked the user's key")
    agent.stop()
    path.unlink()
    assert "cannot open" in spx("agent", "-c", conf, code=CONFIG).stderr


def test_renewed_file(world, office, echo):
    """The client reads the file anew for each connect: a new session has the new permit."""
    agent = start(world, office)
    permit = office.issue(*SCOPE, "--allow", "tcp:127.0.0.1:9")
    client = connect(world, permit, *forwards(echo.port))
    first = agent.expect(r"permit ([0-9a-f]{8})\)")[1]
    office.issue(*SCOPE, "--allow", "tcp:*:*")
    agent.kill()
    agent = world.start_agent(conf=world.directory / "agent-lab-1.conf")
    client.connected(count=2, seconds=40)
    assert agent.expect(r"accepted user alice \(support, permit ([0-9a-f]{8})\)")[1] != first
    echoes(client)


def test_broken_file(world, office):
    """A file that is no permit is told at the start; one that breaks later leaves the one before."""
    start(world, office)
    permit = office.issue(*SCOPE)
    good = permit.read_text()
    permit.write_text("nothing")
    client = connect(world, permit, *forwards(9), connected=False)
    client.wait_exit(CONFIG)
    client.expect("permit: holds no permit")
    permit.write_text(good)
    assert "missing" in spx("client", "-c", world.client_conf(), "--permit", world.directory / "missing",
                            "lab-1", "-L", "0:127.0.0.1:9", code=CONFIG).stderr


@pytest.mark.skipif(not FAKETIME or is_sanitized(SPX_GLIBC), reason="needs libfaketime alone")
class TestClock:
    """Agents whose clocks show something else."""

    @pytest.fixture
    def clock(self, world):
        """Sets the agent's clock so much later; at first it is right."""
        file = world.directory / "clock"

        def shift(**more):
            new = world.directory / "clock.new"
            new.write_text(f"{utc() + timedelta(**more):@%Y-%m-%d %H:%M:%S}\n")
            new.rename(file)

        shift()
        world.binary_of["agent"] = [
            "env", f"LD_PRELOAD={FAKETIME[0]}", f"FAKETIME_TIMESTAMP_FILE={file}", "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1", "TZ=UTC0", SPX_GLIBC,
        ]  # fmt: skip
        return shift

    def test_wrong_clocks(self, world, office, clock):
        """An hour and a year off, both ways: refused, with both times; minutes do no harm."""
        start(world, office)
        permit = office.issue(*SCOPE, "--for", "30min")
        for off, why in (
            ({"hours": -1}, "the permit was issued at"),
            ({"days": -365}, "the permit was issued at"),
            ({"hours": 1}, "the permit was good until"),
            ({"days": 365}, "the permit was good until"),
        ):
            clock(**off)
            shows = datetime.now(timezone.utc) + timedelta(**off)
            refuse(world, permit, rf"{why} .+; the clock here shows {shows:%a %Y-%m-%d}")
        clock(minutes=34)
        connect(world, permit, *forwards(9))
        clock(minutes=-4)
        connect(world, permit, *forwards(9))

    def test_clock_set_back(self, world, office, clock):
        """After a later permit was accepted a clock that is set back revives no older one, also not
        over a restart."""
        agent = start(world, office, StateDirectory=world.directory)
        old = office.issue(*SCOPE, "--for", "30min", name="old")
        connect(world, old, *forwards(9)).stop()
        clock(hours=2)
        refuse(world, old, "the permit was good until")
        late = world.directory / "late"  # issued by a clock that is ahead as the agent's is
        late.write_text(
            run(
                "env", f"LD_PRELOAD={FAKETIME[0]}", "FAKETIME=+2h", SPX_GLIBC, "permit", "issue",
                "--authority", office.key, "--user", "alice", "--key", office.user, *SCOPE,
            ).stdout
        )  # fmt: skip
        connect(world, late, *forwards(9)).stop()
        clock()
        refuse(world, old, "which is wrong: see to it")
        agent.stop()
        world.start_agent(conf=world.directory / "agent-lab-1.conf")
        refuse(world, old, "which is wrong: see to it")

    def test_resume_after_the_end(self, world, office, echo, clock):
        """A session that began goes on after its permit's end, over a lost circuit; none begins."""
        start(world, office)
        relay = world.programs[0]
        permit = office.issue(*SCOPE, "--allow", "tcp:*:*", "--for", "10min")
        client = connect(world, permit, *forwards(echo.port))
        clock(days=3650)  # by less than the system is up, libfaketime's timers never come
        relay.kill()
        world.start_relay()
        client.resumed()
        echoes(client)
        refuse(world, permit, "the permit was good until")
