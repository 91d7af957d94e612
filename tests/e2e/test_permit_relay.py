"""Permits at the relay: users whom no [User] names, at the relay and at the agent."""
import base64
import re
import signal

import pytest

import peer
from harness import (
    CONFIG, DENIED, NETWORK, NO_AGENT, NOT_AUTHENTICATED, SPX_GLIBC, forwards, is_sanitized, spx,
)  # fmt: skip
from test_peer import pair
from test_permit import Office, forge
from test_permit_sessions import SCOPE, authority, connect, echoes, revoke, with_authority
from test_rules import FAKETIME

ANY = ("--allow", "tcp:*:*")


@pytest.fixture
def office(world):
    office = Office(world.directory)
    office.user = world.key("alice").public
    return office


def relay_file(world, *offices, users=None, agents=None, name="relay", **keys):
    """A relay's file with these authorities, support-0 and so on."""
    conf = world.relay_conf(users=users or {}, agents=agents)
    sections = [
        "".join(
            f"{key} = {value}\n"
            for key, value in {"Name": f"support-{n}", "PublicKey": office.public, **keys}.items()
        )
        for n, office in enumerate(offices)
    ]
    conf.write_text(conf.read_text() + "".join(f"\n[Authority]\n{section}" for section in sections))
    return conf


def start(world, office, **keys):
    """Relay and agent with the authority, neither with a [User]."""
    relay = world.start_relay(conf=relay_file(world, office, **keys))
    return relay, world.start_agent(conf=with_authority(world, authority(office)))


def test_connect(world, office, echo):
    """The user is in no file but the client's own: list, connect, resume. The relay's log names the
    permit, once."""
    relay, _ = start(world, office)
    permit = office.issue(*SCOPE, *ANY)
    client = connect(world, permit, *forwards(echo.port))
    echoes(client)
    relay.expect(rf"user alice, key SHA256:\S+, from \S+: by permit [0-9a-f]{{32}} of support-0")
    listed = spx("client", "-c", world.directory / "client-alice.conf", "list").stdout
    assert "lab-1" in listed
    relay.kill()
    world.start_relay(conf=world.directory / "relay.conf")
    client.resumed()
    echoes(client)
    assert len(relay.lines("by permit")) == 2  # by each of the two, once


def test_only_what_the_permit_names(world, office):
    """Agents that the permit does not name are not listed, and are none for this user."""
    agents = {"lab-1": {}, "paris-1": {}}
    world.start_relay(conf=relay_file(world, office, agents=agents))
    permit = office.issue("--agents", "lab-*", "--scope", "acme")
    conf = world.client_conf(Permit=permit, agents=("lab-1", "paris-1"))
    assert re.findall(r"\S+-1", spx("client", "-c", conf, "list").stdout) == ["lab-1"]
    client = world.start_client(*forwards(9), conf=conf, agent="paris-1", connected=False)
    client.wait_exit(NO_AGENT)


def test_agent_by_its_key(world, office, echo):
    start(world, office)
    permit = office.issue("--agent-key", world.key("lab-1").public, *ANY)
    echoes(connect(world, permit, *forwards(echo.port)))


def refused(world, permit, why, **options):
    conf = world.client_conf(Permit=permit, **options)
    failed = spx("client", "-c", conf, "list", code=None)
    assert failed.returncode in (DENIED, NOT_AUTHENTICATED, NETWORK), failed.stderr
    assert re.search(why, failed.stderr), failed.stderr


def test_refused(world, office):
    """Who is not let in, and with which words; nobody else's permit opens anything."""
    relay, _ = start(world, office)
    stranger = Office(world.directory / "stranger")
    stranger.user = office.user
    refused(world, stranger.issue(*SCOPE), "not in the relay's configuration, nor the authority of the permit")
    permit = forge(office.issue(*SCOPE))
    refused(world, permit, "the permit is not signed by the authority that it names")
    refused(world, office.issue(*SCOPE, "--from", "2099-01-01"), "one of the two|is not good before")
    assert not relay.lines("by permit")


def test_without_a_permit(world, office):
    start(world, office)
    conf = world.client_conf()
    assert "not in the relay's configuration" in spx("client", "-c", conf, "list", code=None).stderr


def test_user_of_the_file(world, office, echo):
    """A key that a [User] of the relay has needs no permit there, and one changes nothing."""
    relay = world.start_relay(conf=relay_file(world, office, users={"alice": "paris-*"}))
    world.start_agent(conf=with_authority(world, authority(office)))
    client = connect(world, office.issue(*SCOPE, *ANY), *forwards(echo.port), connected=False)
    client.wait_exit(NO_AGENT)
    assert not relay.lines("by permit")


def test_reload_without_the_authority(world, office, echo):
    """All that is there by its permits ends at once: hops and circuits."""
    relay, _ = start(world, office)
    client = connect(world, office.issue(*SCOPE, *ANY), *forwards(echo.port))
    echoes(client)
    relay_file(world)
    relay.signal(signal.SIGHUP)
    relay.expect("authority support-0: removed")
    relay.expect("user alice: removed")
    client.lost()
    client.expect("not in the relay's configuration")


def test_reload_with_a_user(world, office, echo):
    """A [User] of the same key takes the place of the permit; the session resumes by it."""
    relay, _ = start(world, office)
    client = connect(world, office.issue(*SCOPE, *ANY), *forwards(echo.port))
    relay_file(world, office, users={"alice": "*"})
    relay.signal(signal.SIGHUP)
    relay.expect("user alice: added")
    client.resumed()
    echoes(client)


def test_revoked(world, office, echo):
    """A list that takes the permit back ends hops and circuits at the relay, without a signal; the
    user is not let in again. At the start a list that cannot be read is an error."""
    path = revoke(office)
    relay, _ = start(world, office, Revocations=path)
    permit = office.issue(*SCOPE, *ANY)
    client = connect(world, permit, *forwards(echo.port))
    echoes(client)
    revoke(office, "--key", office.user)
    relay.expect("revocations 2: 0 permits, 1 key")
    client.lost(seconds=15)
    client.expect("the authority has revoked the user's key")
    refused(world, permit, "the authority has revoked the user's key")
    path.write_text("")
    relay.expect("holds no list of revocations.*: the revocations that were read before count")
    relay.stop()
    failed = spx("relay", "-c", world.directory / "relay.conf", code=CONFIG)
    assert "holds no list of revocations" in failed.stderr


def test_reload_with_a_list_that_cannot_be_read(world, office, echo):
    """The relay stays as it was, and lets the user in."""
    relay, _ = start(world, office)
    relay_file(world, office, Revocations="none")
    relay.signal(signal.SIGHUP)
    relay.expect(r"cannot open .*none: .*; the old configuration stays in effect")
    assert not relay.lines("configuration reloaded")


def test_two_permits_of_one_user(world, office, echo):
    """Two programs of a user with two permits do not take each other's agents away."""
    agents = {"lab-1": {}, "lab-2": {}}
    world.start_relay(conf=relay_file(world, office, agents=agents))
    for name in agents:
        world.start_agent(name, conf=with_authority(world, authority(office), name=name))
    both = {"agents": ("lab-1", "lab-2")}
    one = office.issue("--agents", "lab-1", "--scope", "acme", *ANY, name="one")
    two = office.issue("--agents", "lab-2", "--scope", "acme", *ANY, name="two")
    first = connect(world, one, *forwards(echo.port), **both)
    second = world.start_client(*forwards(echo.port), conf=world.client_conf(Permit=two, **both), agent="lab-2")
    echoes(first)
    echoes(second)
    conf = world.client_conf(Permit=one, **both)
    assert len(re.findall(r"lab-\d", spx("client", "-c", conf, "list").stdout)) == 2


def statement(office, world, *words, name="lab-1", key="lab-1"):
    path = office.directory / "statement"
    path.write_text(
        spx("permit", "agent", "--authority", office.key, "--name", name, "--key", world.key(key).public,
            *words).stdout
    )  # fmt: skip
    return path


def trusting(world, *offices, user="bob"):
    """The file of a client that knows no agent, and has a file of its own for them."""
    conf = world.client_conf(user, agents=(), known=world.directory / f"known-{user}-{len(offices)}")
    sections = [f"\n[Authority]\nName = a{n}\nPublicKey = {o.public}\n" for n, o in enumerate(offices)]
    conf.write_text(conf.read_text() + "".join(sections))
    return conf


def test_agents_that_are_vouched_for(world, office):
    """A client that trusts the authority asks nobody about an agent that it vouches for, and knows it
    from then on; other clients ask, and so does one whom the relay shows another's word."""
    agents = {"lab-1": {"Statement": statement(office, world)}}
    world.start_relay(users={"bob": "*"}, agents=agents)
    world.start_agent(users={"bob": "tcp:127.0.0.1:*"})
    stranger = Office(world.directory / "stranger")
    for conf in (trusting(world), trusting(world, stranger)):
        failed = spx("client", "-c", conf, "targets", "lab-1", code=NOT_AUTHENTICATED)
        assert "its key is not known yet" in failed.stderr
    conf = trusting(world, stranger, office)
    first = spx("client", "-v", "-c", conf, "targets", "lab-1")
    assert "tcp:127.0.0.1:*" in first.stdout
    assert "the authority a1 vouches for the key of lab-1" in first.stderr
    assert "vouches" not in spx("client", "-v", "-c", conf, "targets", "lab-1").stderr


def test_statements_of_no_use(world, office):
    """A statement about another agent, or another key, is an error of the relay's file; one whose
    time is over convinces nobody."""
    wrong = [statement(office, world, name="lab-2"), "about another agent, or another key of it"]
    conf = world.relay_conf(users={"bob": "*"}, agents={"lab-1": {"Statement": wrong[0]}})
    assert wrong[1] in spx("relay", "-c", conf, "--check", code=CONFIG).stderr
    statement(office, world, key="lab-2")
    assert wrong[1] in spx("relay", "-c", conf, "--check", code=CONFIG).stderr
    wrong[0].write_text("nothing")
    assert "holds no statement about an agent" in spx("relay", "-c", conf, "--check", code=CONFIG).stderr
    statement(office, world)
    spx("relay", "-c", conf, "--check")


class LyingRelay(peer.Relay):
    """Shows its own key for an agent, with the authority's statement about the agent's."""

    def entry(self, name):
        return super().entry(name) + peer.u16(32) + peer.u16(len(self.vouch)) + self.vouch


def test_a_relay_cannot_lie_about_an_agent(world, office, serve):
    lines = statement(office, world).read_text().splitlines()
    agents = {"lab-1": pair(world, "mallory").public}
    relay = serve(LyingRelay, pair(world, "relay"), world.relay_address, agents=agents)
    relay.vouch = base64.b64decode("".join(lines[1:-1]))
    conf = trusting(world, office)
    failed = spx("client", "-c", conf, "targets", "lab-1", code=NOT_AUTHENTICATED)
    assert "its key is not known yet" in failed.stderr


class KeepingRelay(peer.Relay):
    """Keeps all that it can read."""

    def __init__(self, *arguments, **options):
        self.read = []
        super().__init__(*arguments, **options)

    def welcome(self, hop):
        self.read.append(hop.hello)
        return super().welcome(hop)

    def connected(self, hop, name, message1):
        self.read += [name.encode(), message1]
        super().connected(hop, name, message1)

    def forward(self, circuit, up, data):
        self.read.append(data)
        return data


def test_a_relay_learns_neither_targets_nor_reason(world, office, echo, serve):
    """In all that a relay can decrypt there is the permit's outer part, and nothing of the inner."""
    relay = serve(
        KeepingRelay,
        pair(world, "relay"),
        world.relay_address,
        agents={"lab-1": pair(world, "lab-1").public},
    )
    world.start_agent(conf=with_authority(world, authority(office)))
    permit = office.issue(*SCOPE, "--allow", f"tcp:127.0.0.1:{echo.port}", "--reason", "case 4711")
    client = connect(world, permit, *forwards(echo.port))
    echoes(client)
    whole = b"\0".join(relay.read)
    assert base64.b64decode(office.user) in whole and b"spx permit 1" in whole and b"lab-*" in whole
    for secret in (b"case 4711", b"127.0.0.1:%d" % echo.port, b"spx permit inner"):
        assert secret not in whole


@pytest.mark.skipif(not FAKETIME or is_sanitized(SPX_GLIBC), reason="needs libfaketime alone")
def test_after_the_end(world, office, echo):
    """An expired permit lets in for a resume, until its end and the longest session, and no longer."""

    def start_relay(days):
        """One whose clock is so many days ahead; more than the system is up, for libfaketime's timers."""
        world.binary_of["relay"] = [
            "env", f"LD_PRELOAD={FAKETIME[0]}", f"FAKETIME=+{days}d", "FAKETIME_DONT_FAKE_MONOTONIC=1",
            SPX_GLIBC,
        ]  # fmt: skip
        return world.start_relay(conf=relay_file(world, office, MaxSession="366 d"))

    relay, _ = start(world, office)
    permit = office.issue(*SCOPE, *ANY, "--for", "1h")
    client = connect(world, permit, *forwards(echo.port))
    relay.kill()
    relay = start_relay(300)
    client.resumed()
    echoes(client)
    relay.kill()
    start_relay(400)
    client.expect("the permit and the longest session after it ended at")
    refused(world, permit, "the permit and the longest session after it ended at")
