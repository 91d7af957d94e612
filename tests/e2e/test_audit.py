"""spx audit: what it finds in files that are as they were written, in files that are not, and between
the files of several parties."""
import random
import re

import pytest

from audits import Chain
from harness import ALTERED, CONFIG, NOT_SEEN, OK, USAGE, spx

ALICE, RELAY = "SHA256:" + "a" * 43, "SHA256:" + "r" * 43
SESSION, CIRCUIT, OTHER_CIRCUIT = "5" * 32, "c" * 32, "d" * 32


def save(world, name, text):
    path = world.directory / name
    path.write_text(text)
    return path


def some(count=8):
    chain = Chain("agent", agent="boston")
    for number in range(count):
        chain.add("stream_opened", user=f"user-{number % 3}", target=f"tcp:h:{number}", stream=number + 1)
    return chain


def verify(*paths, code=OK):
    return spx("audit", "verify", *paths, code=code).stdout


def test_verify_what_was_written(world):
    chain = some()
    said = verify(chain.save(world.directory / "audit"))
    assert said == f"{world.directory}/audit: OK: 9 entries, up to entry 9 of chain {chain.name}\n"


def test_every_byte_counts(world):
    """A byte that is another is found, wherever it is but in the last line, whose hash nobody has
    yet: and there, unless it is another entry."""
    chain = some()
    text, guarded = chain.text(), len(chain.text(0, -1))
    for at in random.sample(range(guarded), 120):
        changed = chr(ord(text[at]) ^ 1) if text[at] != "\n" else " "
        path = save(world, "changed", text[:at] + changed + text[at + 1 :])
        assert re.search(r"changed:\d+: ", verify(path, code=ALTERED)), at


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda lines: lines[:3] + lines[4:], ":4: entry 4 is missing"),
        (lambda lines: lines[:3] + [lines[4], lines[3]] + lines[5:], ":4: entry 4 is missing"),
        (lambda lines: lines[:3] + [lines[2]] + lines[3:], ":4: entry 3 stands behind entry 3"),
        (lambda lines: lines[:3] + ["hello"] + lines[3:], ":4: not an entry"),
        (lambda lines: lines[:3] + [""] + lines[3:], ":4: not an entry"),
        (lambda lines: lines + ["hello"], ":10: not an entry"),
        (lambda lines: lines[:3] + some().lines, ":4: entry 1 of another chain"),
        (lambda lines: lines[:3] + some().lines[3:], ":4: entry 4 of another chain"),
        (lambda lines: [lines[0].replace("12:00", "13:00")] + lines[1:], ":2: this entry or the one before"),
        (lambda lines: lines[:3] + [lines[3].replace(',"number"', ', "number"')] + lines[4:], ":4: not an"),
    ],
    ids="removed swapped twice put-in empty at-the-end another-chain its-end first-line space".split(),
)  # fmt: skip
def test_tampering_is_found(world, change, says):
    """The other lines are still held against each other: one change is one finding, or two where a
    line was moved."""
    path = save(world, "audit", "".join(line + "\n" for line in change(some().lines)))
    said = verify(path, code=ALTERED)
    assert f"{path}{says}" in said
    assert len(said.splitlines()) <= 4


def test_torn_lines(world):
    """A last line that was not finished is told and is no finding; once an entry behind it has its
    hash it is none either, but a change of it is, and of what was before."""
    chain = some()
    torn = some().lines[-1][:77]
    path = save(world, "audit", chain.text() + torn)
    assert "audit: ends within a line, after 77 bytes of it\n" in verify(path)
    assert ":1: not an entry" in verify(save(world, "audit", torn), code=ALTERED)  # alone it proves nothing
    before = chain.text()
    chain.mend(torn).add("started")
    mended = before + torn + "\n" + chain.text(-2)
    assert "OK: 11 entries, up to entry 2" in verify(save(world, "audit", mended))
    assert ":10: not an entry" in verify(save(world, "audit", mended.replace(torn, torn[:-1])), code=ALTERED)
    assert "torn line before it, which is not" in verify(
        save(world, "audit", mended.replace(torn + "\n", "")), code=ALTERED
    )
    shorter = chain.text(0, 8) + torn + "\n" + chain.text(-2)
    assert "before the torn one were altered or removed" in verify(save(world, "audit", shorter), code=ALTERED)


def test_files_that_were_put_aside(world):
    """In any order; the oldest may be gone, one between others not."""
    chain = some(20)
    parts = [save(world, f"audit.{n}", chain.text(5 * n, 5 * n + 5)) for n in range(4)]
    verify(*parts)
    verify(*reversed(parts))
    said = verify(*parts[1:])
    assert f"{parts[1]}: what came before entry 6 is not among the files" in said
    said = verify(parts[3], parts[0], parts[1], code=ALTERED)
    assert f"{parts[3]}: entries 11 to 15, between {parts[1]} and it, are missing" in said
    save(world, "audit.1", chain.text(5, 10).replace("user-2", "user-1"))
    assert f"{parts[2]}: its first entry, or the last of {parts[1]}, was altered" in verify(*parts, code=ALTERED)
    verify(save(world, "joined", chain.text(0, 5) + chain.text(5)))
    verify(some().save(world.directory / "one"), some().save(world.directory / "two"))
    assert verify(save(world, "empty", "")).endswith("empty: no entry\n")


def test_files_that_cannot_be_read(world):
    failed = spx("audit", "verify", world.directory / "nothing", code=CONFIG)
    assert failed.stderr.endswith("nothing: no such file or directory\n")
    spx("audit", "show", world.directory / "nothing", code=CONFIG)
    good = some().save(world.directory / "audit")
    spx("audit", "compare", good, world.directory / "nothing", code=CONFIG)
    assert "no entry" in spx("audit", "compare", good, save(world, "empty", ""), code=CONFIG).stderr


def test_show(world):
    chain = some()
    chain.add("stream_ended", user="user-1", target="tcp:h:2", stream=2, circuit=CIRCUIT, sent=7, acknowledged=6,
              received=5, duration_ms=1500, code=6, reason='the "target"', by="client")  # fmt: skip
    path = chain.save(world.directory / "audit")

    def show(*options):
        return spx("audit", "show", *options, path).stdout.splitlines()

    table = show()
    assert table[0].split()[:6] == ["TIME", "ROLE", "EVENT", "USER", "AGENT", "CIRCUIT,"]
    assert len(table) == 11
    assert re.sub(" +", " ", table[-1]) == (
        "2026-01-31T12:00:10.000Z agent stream_ended user-1 boston cccccccc target tcp:h:2 stream 2 sent 7 B "
        '(acknowledged 6 B) received 5 B for 1.5 s by client code 6: the "target"'
    )
    assert show("--json") == chain.lines
    assert len(show("--user", "user-1")) == 1 + 4
    assert len(show("--user", "*-1", "--since", "2026-01-31T12:00:07")) == 1 + 2
    assert len(show("--until", "2026-01-31T12:00:03", "--json")) == 2
    assert len(show("--agent", "b*", "--since", "2026-01-31")) == 11
    assert show("--agent", "x") == show("--user", "user-1 (*") == ["no entry"]
    assert show("--agent", "x", "--json") == []
    chain.add("session_began", user="bob (support, permit 1f00ab34)")
    chain.save(path)
    for pattern in ("bob", "b?b", "bob (support*"):
        assert len(show("--user", pattern)) == 2
    assert "malformed time 'noon'" in spx("audit", "show", "--since", "noon", path, code=USAGE).stderr
    path.write_text("hello\n" + chain.text())
    assert spx("audit", "show", path, code=ALTERED).stderr == f"spx audit: {path}:1: not an entry: 1 such line\n"


# Three parties of one session; and each way in which one of them may say something else.


def parties(**changes):
    """The lines of client, relay and agent: ROLE_EVENT=dict changes fields of an entry, None leaves it
    out."""
    chains = {
        "client": Chain("client"), "relay": Chain("relay"), "agent": Chain("agent", agent="boston"),
    }  # fmt: skip

    def add(role, event, **fields):
        change = changes.pop(f"{role}_{event}", {})
        if change is not None:
            chains[role].add(event, **{**fields, **change})

    circuit = {"circuit": CIRCUIT, "key": ALICE, "agent": "boston", "relay": RELAY}
    add("client", "started", key=ALICE)
    add("relay", "started", key=RELAY)
    add("agent", "started", key="SHA256:" + "b" * 43)
    add("relay", "circuit_joined", user="alice", **circuit)
    add("agent", "circuit_accepted", user="alice", **circuit)
    add("client", "session_began", session=SESSION, **circuit)
    add("agent", "session_began", session=SESSION, user="alice", **circuit)
    stream = {"session": SESSION, "circuit": CIRCUIT, "key": ALICE, "agent": "boston", "stream": 1,
              "target": "tcp:h:22"}  # fmt: skip
    add("agent", "stream_opened", **stream)
    add("client", "stream_opened", **stream)
    add("agent", "stream_ended", **stream, sent=500, acknowledged=480, received=90, duration_ms=9)
    add("client", "stream_ended", **stream, sent=100, acknowledged=90, received=490, duration_ms=9)
    add("client", "session_ended", session=SESSION, **circuit, bytes_up=100, bytes_down=490, duration_ms=9, by="client")
    add("agent", "session_ended", session=SESSION, **circuit, bytes_up=90, bytes_down=500, duration_ms=9, by="client")
    add("relay", "circuit_ended", **circuit, bytes_up=300, bytes_down=900, duration_ms=9)
    assert not changes
    return chains


def compare(world, chains, *roles, code):
    paths = [chains[role].save(world.directory / role) for role in roles]
    return spx("audit", "compare", *paths, code=code).stdout.splitlines()


def test_three_agree(world):
    assert compare(world, parties(), "client", "relay", "agent", code=OK) == [
        "5 agree, 0 not seen by one, 0 contradicted"
    ]
    assert compare(world, parties(), "agent", "client", code=OK)[-1].startswith("3 agree")


@pytest.mark.parametrize(
    "change, says",
    [
        ({"agent_stream_ended": {"received": 101}}, "agent has 101 bytes received, {}/client only 100 sent"),
        ({"agent_stream_ended": {"received": 89}}, "client has 90 bytes acknowledged, {}/agent only 89 received"),
        ({"client_stream_ended": {"received": 501}}, "client has 501 bytes received, {}/agent only 500 sent"),
        ({"client_stream_ended": {"received": 479}}, "agent has 480 bytes acknowledged, {}/client only 479"),
        ({"agent_stream_opened": {"target": "tcp:h:23"}}, "the target is"),
        ({"client_session_began": {"key": RELAY}}, "the user's key is"),
        ({"relay_circuit_joined": {"agent": "lyon"}}, "the agent is"),
        ({"agent_session_began": {"session": "6" * 32}}, "the session is"),
    ],
    ids="more-up less-up more-down less-down target key agent session".split(),
)  # fmt: skip
def test_contradictions(world, change, says):
    said = compare(world, parties(**change), "client", "relay", "agent", code=ALTERED)
    assert any(line.startswith("contradicted: ") and says.format(world.directory) in line for line in said), said


def test_opened_and_refused(world):
    chains = parties(agent_stream_opened=None, agent_stream_ended=None, client_stream_ended=None)
    chains["agent"].add("stream_refused", session=SESSION, stream=1, code=1, target="tcp:h:22", by="agent")
    said = compare(world, chains, "client", "agent", code=ALTERED)
    assert f"opened in {world.directory}/client, refused in {world.directory}/agent" in said[0]


def test_unanswered_is_not_refused(world):
    """A client whose session ends before the answer has not been refused."""
    chains = parties(agent_stream_ended=None, client_stream_opened=None, client_stream_ended=None)
    chains["client"].add("stream_refused", session=SESSION, stream=1, code=10, target="tcp:h:22")
    compare(world, chains, "client", "agent", code=OK)


def test_who_gives_up_counts_no_further(world):
    """Bytes that are on their way when a party resets a stream are acknowledged, and counted by nobody."""
    changes = {"agent_stream_ended": {"received": 10, "by": "agent", "code": 11}}
    compare(world, parties(**changes), "client", "agent", code=OK)
    changes["agent_stream_ended"].update(by=None, code=10)
    compare(world, parties(**changes), "client", "agent", code=OK)
    changes["agent_stream_ended"]["by"] = "client"
    compare(world, parties(**changes), "client", "agent", code=ALTERED)


def test_not_seen(world):
    """By a party that must have seen it; what is not for its eyes it need not have."""
    changes = {"agent_stream_opened": None, "agent_stream_ended": None}
    said = compare(world, parties(**changes), "client", "relay", "agent", code=NOT_SEEN)
    assert said == [
        f"not seen by {world.directory}/agent: stream {SESSION}/1, which is in {world.directory}/client: "
        "crash, or not in its role",
        "4 agree, 1 not seen by one, 0 contradicted",
    ]
    chains = parties()
    elsewhere = {"circuit": OTHER_CIRCUIT, "session": "6" * 32, "agent": "lyon", "key": ALICE}
    chains["client"].add("session_began", relay="SHA256:" + "x" * 43, **elsewhere)
    chains["agent"].add("circuit_accepted", circuit="e" * 32, key="SHA256:" + "z" * 43, relay="SHA256:" + "x" * 43)
    compare(world, chains, "client", "relay", "agent", code=OK)
    chains["relay"].add("circuit_joined", circuit="f" * 32, key=ALICE, agent="boston")
    said = compare(world, chains, "client", "relay", "agent", code=NOT_SEEN)
    assert [line.split(":")[1].split(",")[0] for line in said[:-1]] == [" circuit " + "f" * 32] * 2


def test_a_broken_chain_is_no_agreement(world):
    chains = parties()
    chains["agent"].lines.pop(3)
    said = compare(world, chains, "client", "agent", code=ALTERED)
    assert "agent:4: entry 4 is missing" in said[0]
    assert said[-2] == "1 finding of a file that is not as it was written"


def test_parties_that_cannot_be_compared(world):
    one, two = some().save(world.directory / "one"), some().save(world.directory / "two")
    assert "have one role, agent" in spx("audit", "compare", one, two, code=CONFIG).stderr
    chains = parties()
    mixed = save(world, "mixed", chains["client"].text() + chains["relay"].text())
    assert "of a relay, and what is before it of a client" in spx("audit", "compare", one, mixed, code=CONFIG).stderr


def test_not_seen_without_the_start(world):
    """After a file was put aside its party is known by other entries; if it is not, that is told."""
    changes = {"agent_stream_opened": None, "agent_stream_ended": None}
    started = {f"{role}_started": None for role in ("client", "agent")}
    said = compare(world, parties(**changes, **started), "client", "agent", code=NOT_SEEN)
    assert said[0].startswith(f"not seen by {world.directory}/agent: stream {SESSION}/1")
    changes = {"client_stream_opened": None, "client_stream_ended": None}
    said = compare(world, parties(**changes, **started), "client", "agent", code=NOT_SEEN)
    assert said[0].startswith(f"not seen by {world.directory}/client: stream {SESSION}/1")
    said = compare(world, parties(relay_started=None), "relay", "agent", code=OK)
    assert f"{world.directory}/relay: says of no key that it is its own: what it has not seen cannot be told" in said
