"""Signed heads of audits: exchanged, pinned, and held against files that somebody has changed."""
import base64
import hashlib
import json
import shutil

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

import peer
import test_control
from audits import entries_of
from harness import ALTERED, LOOPBACK, OK, fingerprint, spx, wait_for
from servers import ask
from test_approval import approve, asking, audit_of
from test_ask import Asking
from test_limits import pair, user_client
from test_audit_roles import audited_conf, compare, connect, end, file_of, one, start_audited, verify

directory, site = test_control.directory, test_control.site

ROLES = ("client", "relay", "agent")
EXCHANGED = (("agent", "client"), ("client", "agent"), ("relay", "agent"), ("agent", "relay"))
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
CONTEXT = b"spx audit head\0"


def key_of(world, role):
    return world.directory / f".{role}.audit.key"


def events(path, event, **fields):
    return [e for e in entries_of(path) if e["event"] == event and fields.items() <= e.items()]


def has_head(world, role, by):
    """While it is written."""
    path = file_of(world, role)

    def kept():
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return any(e["event"] == "head_received" and e["by"] == by for e in map(json.loads, lines))

    wait_for(kept, 10, f"{role} has a head of the {by}'s")


def session(world, echo, options=()):
    """A session in which each has got the heads that it is owed; then all have ended."""
    relay, agent = start_audited(world)
    client = world.start_client("-L", f"0:127.0.0.1:{echo.port}", conf=audited_conf(world))
    with connect(client) as connection:
        assert ask(connection, b"x") == b"x"
        for role, by in EXCHANGED:
            has_head(world, role, by)
        end(connection)
    for program in (client, agent, relay):
        program.stop()


class Key:
    """The audit key of a party, as a thief would use it."""

    def __init__(self, path):
        word, text = path.read_text().split()
        assert word == "spx-audit-key"
        number = int.from_bytes(base64.b64decode(text), "big")
        self.private = ec.derive_private_key(number, ec.SECP256R1())
        point = self.private.public_key().public_numbers()
        self.public = point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")

    def sign(self, head):
        """head: up to the signature."""
        digest = hashlib.sha256(CONTEXT + head).digest()
        der = self.private.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        r, s = utils.decode_dss_signature(der)
        return head + r.to_bytes(32, "big") + min(s, ORDER - s).to_bytes(32, "big")


def forged(role, number=7):
    """Right in all but its signature."""
    return bytes([1, role]) + bytes(64) + bytes(16) + number.to_bytes(8, "big") + bytes(8) + bytes(32) + bytes(64)


class Head:
    """A head as AUDIT.md describes it, and its signature right."""

    def __init__(self, text):
        data = bytes.fromhex(text)
        assert len(data) == 194 and data[0] == 1
        self.role, self.key, self.chain = data[1], data[2:66], data[66:82].hex()
        self.number, self.time_ms = (int.from_bytes(data[at : at + 8], "big") for at in (82, 90))
        self.hash, signature = data[98:130].hex(), data[130:]
        point = ec.EllipticCurvePublicNumbers(
            int.from_bytes(self.key[:32], "big"), int.from_bytes(self.key[32:], "big"), ec.SECP256R1()
        )
        r, s = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
        assert s <= ORDER // 2
        point.public_key().verify(
            utils.encode_dss_signature(r, s),
            hashlib.sha256(CONTEXT + data[:130]).digest(),
            ec.ECDSA(utils.Prehashed(hashes.SHA256())),
        )


def rewrite(path, change, key=None):
    """The whole chain anew, with other entries; key: heads are signed anew as well."""
    lines, previous, of = [], "0" * 64, {}
    for entry in entries_of(path):
        change(entry)
        if key and entry["event"] == "head_signed":
            head = bytes.fromhex(entry["head"])
            number = int.from_bytes(head[82:90], "big")
            entry["head"] = key.sign(head[:98] + bytes.fromhex(of[number])).hex()
        entry["previous"] = previous
        lines.append(json.dumps(entry, separators=(",", ":")))
        previous = of[entry["number"]] = hashlib.sha256(lines[-1].encode()).hexdigest()
    path.write_text("\n".join(lines) + "\n")


def change_target(entry):
    if "target" in entry:
        entry["target"] = "tcp:127.0.0.1:1"


def test_exchanged_and_pinned(world, echo):
    """Each has what the others were told to be owed, signed over an entry that is there; and the keys
    are shown by --check."""
    session(world, echo)
    verify(world, *ROLES)
    said = compare(world, OK).splitlines()
    assert said[-2].endswith("of one in another's audit agree; 0 older than the file it is of")
    shown = {}
    for role in ROLES:
        own = [Head(e["head"]) for e in events(file_of(world, role), "head_signed")]
        lines = {e["number"]: line for e, line in zip(
            entries_of(file_of(world, role)), file_of(world, role).read_text().splitlines())}  # fmt: skip
        for head in own:
            assert hashlib.sha256(lines[head.number].encode()).hexdigest() == head.hash
        shown[role] = "SHA256:" + base64.b64encode(hashlib.sha256(own[0].key).digest()).decode().rstrip("=")
        assert key_of(world, role).stat().st_mode & 0o777 == 0o600
    for role, by in EXCHANGED:
        first = events(file_of(world, role), "head_received", by=by)[0]
        assert first["reason"] == f"the first one: audit key {shown[by]}"
    checked = spx("agent", "--config", world.directory / "agent-lab-1.conf", "--check").stdout
    assert f"audit key {shown['agent']}\n" in checked
    assert f"audit key of client {fingerprint(world.key('alice').public)}: {shown['client']}\n" in checked
    assert f"audit key of relay {fingerprint(world.key('relay').public)}: {shown['relay']}\n" in checked
    checked = spx("relay", "--config", world.directory / "relay.conf", "--check").stdout
    assert f"audit key of agent {fingerprint(world.key('lab-1').public)}: {shown['agent']}\n" in checked


@pytest.mark.parametrize("role", ROLES)
def test_a_file_that_was_cut_back(world, echo, role):
    """verify sees nothing, who has a head of it does."""
    session(world, echo)
    path = file_of(world, role)
    path.write_text("".join(path.read_text().splitlines(True)[:2]))
    verify(world, role)
    assert "it was cut off" in compare(world, ALTERED)


@pytest.mark.parametrize("role", ["client", "agent"])
def test_a_file_that_was_rewritten(world, echo, role):
    """With the audit key in the thief's hands; without, verify knows by itself."""
    session(world, echo)
    path = file_of(world, role)
    copy = path.read_text()
    rewrite(path, lambda entry: entry.update(reason="spx 9") if entry["event"] == "started" else None)
    assert "is not the one that is signed here" in spx("audit", "verify", path, code=ALTERED).stdout
    path.write_text(copy)
    key = Key(key_of(world, role))
    rewrite(path, lambda entry: entry.update(reason="spx 9") if entry["event"] == "started" else None, key)
    verify(world, role)
    assert "is another one in" in compare(world, ALTERED)


def test_another_file_in_its_place(world, echo):
    """A chain of which nobody has heard, that begins before the heads which others have."""
    session(world, echo)
    path = file_of(world, "agent")
    rewrite(path, lambda entry: entry.update(chain="0" * 32) if entry["event"] != "head_signed" else None)
    lines = [line for line in path.read_text().splitlines() if "head_signed" not in line]
    path.write_text("")
    previous = "0" * 64
    for number, line in enumerate(lines, 1):
        entry = {**json.loads(line), "number": number, "previous": previous}
        text = json.dumps(entry, separators=(",", ":"))
        previous = hashlib.sha256(text.encode()).hexdigest()
        path.write_text(path.read_text() + text + "\n")
    verify(world, "agent")
    assert "it is newer than the beginning of" in compare(world, ALTERED)


def test_a_fork_of_two_files(world, echo):
    session(world, echo)
    path, copy = file_of(world, "agent"), world.directory / "copy"
    shutil.copy(path, copy)
    spx("audit", "verify", path, copy)
    world.start_relay()
    for name in (path, copy):
        world.start_agent(Audit=name).stop()
    spx("audit", "verify", path)
    assert "is another one in each" in spx("audit", "verify", path, copy, code=ALTERED).stdout


def test_old_files_may_go(world, echo):
    """logrotate(8) moves it away: the next one begins with a checkpoint; without the old one verify says
    what vouches for what was before, and the end of an old one that is cut off is missed."""
    world.start_relay()
    path, old = file_of(world, "agent"), world.directory / "old"
    agent = world.start_agent(Audit=path)
    assert world.run_pipe(f"127.0.0.1:{echo.port}", input="hello").stdout == "hello"
    wait_for(lambda: path.exists() and '"session_ended"' in path.read_text(), 10, "all is written")
    path.rename(old)
    assert world.run_pipe(f"127.0.0.1:{echo.port}", input="hello").stdout == "hello"
    agent.stop()
    spx("audit", "verify", path, old)
    first = entries_of(path)[0]
    assert first["event"] == "head_signed" and first["number"] == entries_of(old)[-1]["number"] + 1
    said = spx("audit", "verify", path).stdout
    assert f"goes on behind entry {first['number'] - 1} by a checkpoint of audit key SHA256:" in said
    old.write_text("".join(old.read_text().splitlines(True)[:-2]))
    spx("audit", "verify", path, old, code=ALTERED)


def test_another_key_is_told(world, echo):
    """Who loses the key, or is somebody else, is not believed."""
    session(world, echo)
    key_of(world, "agent").unlink()
    relay, agent = start_audited(world)
    relay.expect(r"warn +relay: audit: heads: agent SHA256:.* signs its audit with another key than before")
    client = world.start_client("-L", f"0:127.0.0.1:{echo.port}", conf=audited_conf(world))
    connect(client).close()
    client.expect("signs its audit with another key than before")
    for program in (client, agent, relay):
        program.stop()
    refused = one(entries_of(file_of(world, "client")), "head_refused", by="agent")
    assert "but SHA256:" in refused["reason"]
    assert "signed with audit key" in spx("audit", "verify", file_of(world, "agent"), code=ALTERED).stdout


def test_without_a_key(world, echo):
    """A key that cannot be read is told of; the audit goes on."""
    key_of(world, "agent").write_text("hello\n")
    key_of(world, "agent").chmod(0o600)
    relay, agent = start_audited(world)
    agent.expect(r"warn +agent: audit: heads: .*/.agent.audit.key: is not an audit key")
    assert world.run_pipe(f"127.0.0.1:{echo.port}", input="hello", conf=audited_conf(world)).stdout == "hello"
    for program in (agent, relay):
        program.stop()
    compare(world, OK)


def test_a_client_that_sends_many(world, echo):
    """Heads that are none, of another role or not signed end nothing; of those that can be judged a few
    are, and stand in the audit; the others are dropped."""
    relay, agent = start_audited(world)
    circuit = user_client(world).connect()
    circuit.open(f"tcp:{LOOPBACK}:{echo.port}")
    bad = [b"", b"x", bytes(194), forged(1)[:-1], forged(1) + b"x", forged(2), forged(1, number=0), bytes(9000)]
    for payload in bad:
        circuit.send(peer.frame(peer.FRAME_HEAD, 0, payload))
    circuit.send(peer.frame(peer.FRAME_HEAD, 1, forged(1)))
    for number in range(1, 2001):
        circuit.send(peer.frame(peer.FRAME_HEAD, 0, forged(1, number)))
    assert circuit.ask(b"hello") == b"hello"
    path = file_of(world, "agent")
    wait_for(lambda: path.exists() and path.read_text().count('"head_refused"') >= 6, 10, "those of the burst are judged")
    agent.stop()
    refused = events(path, "head_refused", by="client")
    assert len(refused) <= 7
    assert {e["reason"] for e in refused} == {"the signature is wrong"}
    verify(world, "agent")


@pytest.mark.parametrize("role, name, number", [(1, "alice", 1), (2, "lab-1", 3)], ids=["client", "agent"])
def test_heads_over_the_hop(world, echo, role, name, number):
    """The same at the relay, whose rate is the user's, not the hop's."""
    relay = world.start_relay(Audit=file_of(world, "relay"))
    for _ in range(3):
        hop = peer.Hop.open(world.relay_address, pair(world, name), world.key("relay").raw, role)
        for body in (b"", b"x", forged(2), bytes(60000), *(forged(number, n) for n in range(1, 20))):
            hop.send(peer.HEAD, body)
        hop.send(peer.PING, b"all read")
        hop.expect(peer.PONG)
        hop.close()
    path = file_of(world, "relay")
    wait_for(lambda: path.exists() and path.read_text().count('"head_refused"') >= 6, 10, "those of the burst are judged")
    relay.stop()
    assert len(events(path, "head_refused")) <= 7


def test_a_session_that_waits(world, site, echo):
    """Whoever is not approved has no audit key believed: the agent takes no head of the session, and the
    client gives it one as soon as it is granted."""
    agent = asking(site, Audit=audit_of(world, "agent"))
    thief = user_client(world).connect(Asking())
    thief.send(peer.frame(peer.FRAME_HEAD, 0, forged(1)))
    wait_for(lambda: site.lines("requests"), 10, "the thief asks")
    client = world.start_client("-L", f"0:{LOOPBACK}:{echo.port}", conf=audited_conf(world))
    wait_for(lambda: len(site.lines("requests")) == 2, 10, "the user asks too")
    assert not audit_of(world, "agent").with_name(".agent.audit.peers").exists()
    approve(site, client)
    has_head(world, "agent", "client")
    has_head(world, "client", "agent")
    client.stop()
    agent.stop()
    assert not events(file_of(world, "agent"), "head_refused")
    assert len(events(file_of(world, "agent"), "head_received", by="client")) == 1


def test_compare_with_files_put_aside(world, echo):
    """Heads of files that were put aside are told of, and contradict nothing; joined they are
    one again."""
    relay, agent = start_audited(world)
    path, old = file_of(world, "agent"), world.directory / "old"
    client = world.start_client("-L", f"0:127.0.0.1:{echo.port}", conf=audited_conf(world))
    with connect(client) as connection:
        assert ask(connection, b"x") == b"x"
        has_head(world, "client", "agent")
        path.rename(old)
        end(connection)
    for program in (client, agent, relay):
        program.stop()
    said = spx("audit", "compare", *(file_of(world, role) for role in ROLES), code=None)
    assert "contradicted:" not in said.stdout and not said.stdout.splitlines()[-2].endswith("; 0 older than the file it is of")
    path.write_text(old.read_text() + path.read_text())
    verify(world, "agent")
    assert compare(world, OK).splitlines()[-2].endswith("; 0 older than the file it is of")


def test_a_user_with_two_computers(world, echo):
    """One key, two audits: each is held against the agent's, and neither contradicts the other."""
    relay, agent = start_audited(world)
    audits = [world.directory / "client.audit", world.directory / "laptop.audit"]

    def kept():
        lines = file_of(world, "agent").read_text().split("\n")[:-1]
        return sum(e["event"] == "head_received" and e["by"] == "client" for e in map(json.loads, lines))

    for count, path in enumerate(audits, 1):
        client = world.start_client("-L", f"0:127.0.0.1:{echo.port}", conf=world.client_conf(Audit=path))
        with connect(client) as connection:
            assert ask(connection, b"x") == b"x"
            wait_for(lambda: kept() >= count, 10, "the agent has its head")
            end(connection)
        client.stop()
    for program in (agent, relay):
        program.stop()
    assert not events(file_of(world, "agent"), "head_refused")
    for path in audits:
        said = spx("audit", "compare", path, file_of(world, "agent"), code=None).stdout
        assert "contradicted:" not in said and "of another audit of the same user" in said
