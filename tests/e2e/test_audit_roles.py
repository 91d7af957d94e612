"""Audit = FILE in each role: what was done stands there, to the byte; three files agree, whatever happens
to the circuits; and while the agent's cannot be written nothing new begins."""
import contextlib
import hashlib
import json
import random
import re
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from audits import entries_of
from harness import (
    ALTERED,
    DENIED,
    LOOPBACK,
    NOT_SEEN,
    OK,
    OTHER,
    USAGE,
    fingerprint,
    forwards,
    run,
    spx,
    wait_for,
)
from servers import ask, greet

UNWRITABLE = "the agent's audit cannot be written"


def file_of(world, role):
    return world.directory / f"{role}.audit"


def start_audited(world, **agent):
    """Relay and agent that keep audits."""
    relay = world.start_relay(Audit=file_of(world, "relay"))
    return relay, world.start_agent(Audit=file_of(world, "agent"), **agent)


def audited_conf(world):
    return world.client_conf(Audit=file_of(world, "client"))


def compare(world, *codes):
    done = spx("audit", "compare", *(file_of(world, role) for role in ("client", "relay", "agent")), code=None)
    assert done.returncode in codes, done.stdout + done.stderr
    return done.stdout


def verify(world, *roles):
    for role in roles:
        spx("audit", "verify", file_of(world, role), code=OK)


def one(entries, event, **fields):
    found = [e for e in entries if e["event"] == event and fields.items() <= e.items()]
    assert len(found) == 1, (event, fields, [e["event"] for e in entries])
    return found[0]


def connect(client):
    return socket.create_connection((LOOPBACK, int(client.expect(r"forwarding 127\.0\.0\.1:(\d+) to")[1])), 20)


def end(connection):
    """Cleanly, both ways."""
    connection.shutdown(socket.SHUT_WR)
    assert connection.recv(1) == b""


def test_three_audits_of_a_session(world, echo):
    """All that each says of a session and its streams; the circuit's name begins with the log's label."""
    relay, agent = start_audited(world)
    client = world.start_client("-L", f"0:127.0.0.1:{echo.port}", conf=audited_conf(world))
    with connect(client) as connection:
        assert ask(connection, b"x" * 70000) == b"x" * 70000
        end(connection)
    agent.expect(r"ended, stream")
    label = agent.expect(r"circuit (\w{8}): session of user alice has begun")[1]
    for program in (client, agent, relay):
        program.stop()
    verify(world, "client", "relay", "agent")
    assert compare(world, OK).splitlines()[-1].endswith(" 0 not seen by one, 0 contradicted")
    by_role = {role: entries_of(file_of(world, role)) for role in ("client", "relay", "agent")}
    target = f"tcp:127.0.0.1:{echo.port}"
    for role in ("client", "agent"):
        entries = by_role[role]
        assert stat.S_IMODE(file_of(world, role).stat().st_mode) == 0o600
        began, ended = one(entries, "session_began"), one(entries, "session_ended")
        assert began["circuit"].startswith(label)
        assert began["key"] == fingerprint(world.key("alice").public)
        assert began["relay"] == fingerprint(world.key("relay").public)
        assert (ended["bytes_up"], ended["bytes_down"], ended["by"]) == (70000, 70000, "client")
        opened = one(entries, "stream_opened")
        assert (opened["target"], opened["session"]) == (target, began["session"])
        closed = one(entries, "stream_ended")
        assert [closed[f] for f in ("sent", "acknowledged", "received")] == [70000] * 3
        assert one(entries, "started")["key"] == fingerprint(world.key("alice" if role == "client" else "lab-1").public)
        assert entries[-1]["event"] == "ended" and entries[0]["event"] == "chain_began"
    joined = one(by_role["relay"], "circuit_joined")
    assert joined["circuit"] == began["circuit"] and joined["key"] == began["key"]
    assert one(by_role["relay"], "circuit_ended")["bytes_up"] > 70000
    assert "target" not in "".join(by_role["relay"][-1])


def test_what_is_refused(world):
    """A target by the policy, at client and agent; a key that nobody knows, counted."""
    relay, agent = start_audited(world, users={"alice": "tcp:127.0.0.1:1"})
    world.run_pipe("127.0.0.1:9", code=None, conf=audited_conf(world))
    world.run_pipe("127.0.0.1:9", code=None, user="mallory")
    relay.expect("refused client")
    for program in (agent, relay):
        program.stop()
    verify(world, "client", "relay", "agent")
    compare(world, OK)
    for role in ("client", "agent"):
        refused = one(entries_of(file_of(world, role)), "stream_refused")
        assert (refused["target"], refused["code"], refused["by"]) == ("tcp:127.0.0.1:9", 4, "agent")
    strange = one(entries_of(file_of(world, "relay")), "hop_refused")
    assert strange["count"] == 1 and "key" not in strange


def test_policy_changes(world):
    """A reload tells what it adds and removes."""
    relay, agent = start_audited(world)
    world.agent_conf(users={"alice": "tcp:127.0.0.1:22", "bob": "tcp:127.0.0.1:23"}, Audit=file_of(world, "agent"))
    world.relay_conf(users={"bob": "lab-*"}, Audit=file_of(world, "relay"))
    for program in (agent, relay):
        program.process.send_signal(signal.SIGHUP)
        program.expect("configuration reloaded")
        program.stop()
    verify(world, "relay", "agent")
    said = entries_of(file_of(world, "agent"))
    one(said, "permission_changed", user="alice", target="tcp:127.0.0.1:22", reason="added", by="reload")
    one(said, "permission_changed", user="alice", target="tcp:127.0.0.1:*", reason="removed")
    one(said, "user_changed", user="bob", reason="added", key=fingerprint(world.key("bob").public))
    said = entries_of(file_of(world, "relay"))
    one(said, "user_changed", user="alice", reason="removed")
    one(said, "permission_changed", user="bob", agent="lab-*", reason="added")


def test_circuits_that_break(world, echo):
    """The relay is killed again and again under load: the sessions resume, and nothing that the three
    have written is contradicted."""
    relay, agent = start_audited(world)
    client = world.start_client("-L", f"0:127.0.0.1:{echo.port}", conf=audited_conf(world))
    data = random.randbytes(200000)
    with connect(client) as connection:
        for number in range(4):
            relay.process.send_signal(signal.SIGKILL)
            relay.process.wait()
            world.programs.remove(relay)
            relay = world.start_relay(Audit=file_of(world, "relay"))
            client.expect(r"resumed after")
            assert ask(connection, data) == data
        end(connection)
    agent.expect("ended, stream")
    for program in (client, agent, relay):
        program.stop()
    verify(world, "client", "relay", "agent")
    compare(world, OK, NOT_SEEN)
    resumed = [e for e in entries_of(file_of(world, "agent")) if e["event"] == "session_resumed"]
    assert len(resumed) == 4 and len({e["session"] for e in resumed}) == 1


@pytest.mark.parametrize("role, field", [("agent", "target"), ("client", "received"), ("relay", "agent")])
def test_tampering_is_contradicted(world, echo, role, field):
    """Who makes the whole chain anew to hide something is contradicted by the others."""
    relay, agent = start_audited(world)
    target = f"127.0.0.1:{echo.port}"
    assert world.run_pipe(target, input="hello", conf=audited_conf(world)).stdout == "hello"
    for program in (agent, relay):
        program.stop()
    compare(world, OK)
    lines, previous = [], "0" * 64
    for entry in entries_of(file_of(world, role)):
        if field in entry and entry["event"] != "started":
            entry[field] = 10**6 if field == "received" else "tcp:127.0.0.1:1"
        entry["previous"] = previous
        lines.append(json.dumps(entry, separators=(",", ":")))
        previous = hashlib.sha256(lines[-1].encode()).hexdigest()
    file_of(world, role).write_text("\n".join(lines) + "\n")
    verify(world, role)
    assert "contradicted: " in compare(world, ALTERED)


def test_nothing_new_while_it_cannot_be_written(world, echo):
    """A file that is no audit: no session. It turns into one under a session: no stream. Then both."""
    path = file_of(world, "agent")
    path.write_text("something else\n")
    world.start_relay()
    agent_conf = world.agent_conf(Audit=path)
    agent_conf.write_text(agent_conf.read_text() + "Listen = default\n")
    agent = world.start_agent(conf=agent_conf)
    agent.expect("error agent: audit: .* move it away; no new session and no new stream")
    target = f"127.0.0.1:{echo.port}"
    conf = audited_conf(world)
    assert UNWRITABLE in world.run_pipe(target, input="hello", conf=conf, code=None).stderr
    agent.expect(f"refused: {UNWRITABLE}")
    path.unlink()
    agent.expect("is written again")
    client = world.start_client(
        "-L", f"0:127.0.0.1:{echo.port}", "-R", f"0:127.0.0.1:{echo.port}", conf=conf
    )
    there = int(client.expect(r"forwarding 127\.0\.0\.1:(\d+) at the agent to")[1])
    with connect(client) as connection:
        assert ask(connection, b"hello") == b"hello"
        (world.directory / "aside").hardlink_to(path)
        strange = world.write("other", "something else\n")
        strange.rename(path)  # in one step: who writes meanwhile finds the one or the other
        agent.process.send_signal(signal.SIGHUP)
        agent.expect("no new session and no new stream", count=2)
        assert UNWRITABLE in world.run_pipe(target, input="x", conf=conf, code=None).stderr
        with pytest.raises(ConnectionResetError), connect(client) as other:
            other.recv(1)
        with pytest.raises(ConnectionResetError):
            socket.create_connection((LOOPBACK, there), 20).recv(1)
        client.expect(UNWRITABLE)
        assert ask(connection, b"hello") == b"hello"
        path.unlink()
        agent.expect("is written again", count=2)
        with connect(client) as other, socket.create_connection((LOOPBACK, there), 20) as back:
            assert ask(other, b"hello") == ask(back, b"hello") == b"hello"
    for program in (client, agent):
        program.stop()
    spx("audit", "verify", world.directory / "aside", path)


def test_going_on_without_it(world, echo):
    """AuditFailure = continue: sessions go on, the log is loud."""
    path = file_of(world, "agent")
    path.write_text("something else\n")
    world.start_relay()
    agent = world.start_agent(Audit=path, AuditFailure="continue")
    agent.expect("error agent: audit: .* move it away; entries wait")
    assert world.run_pipe(f"127.0.0.1:{echo.port}", input="hello").stdout == "hello"
    agent.stop()
    assert "entries were not written" in agent.log()


def test_files_of_a_size(world, echo):
    """AuditSize: the file is put aside, and all of them are one chain."""
    world.start_relay()
    agent = world.start_agent(Audit=file_of(world, "agent"), AuditSize="1")
    client = world.start_client("-L", f"0:127.0.0.1:{echo.port}")
    aside = lambda: list(world.directory.glob("agent.audit.*Z"))  # noqa: E731
    address = (LOOPBACK, int(client.expect(r"forwarding 127\.0\.0\.1:(\d+) to")[1]))
    while not aside():
        for _ in range(100):
            with socket.create_connection(address, 20) as connection:
                assert ask(connection, b"x") == b"x"
    for program in (client, agent):
        program.stop()
    spx("audit", "verify", file_of(world, "agent"), *aside())


def test_killed(world, echo):
    """kill -9 of the agent: what was written is whole, and the next goes on."""
    world.start_relay()
    agent = world.start_agent(Audit=file_of(world, "agent"))
    path = file_of(world, "agent")
    for number in range(1, 4):
        assert world.run_pipe(f"127.0.0.1:{echo.port}", input="hello").stdout == "hello"
        wait_for(lambda: path.exists() and path.read_text().count('"session_ended"') == number, 20, "the end is on disk")
        agent.process.kill()
        agent.process.wait()
        world.programs.remove(agent)
        agent = world.start_agent(Audit=file_of(world, "agent"))
    agent.stop()
    verify(world, "agent")
    assert [e["event"] for e in entries_of(file_of(world, "agent"))].count("started") == 4


def test_a_user_who_floods_the_audit(world, echo):
    """AuditQuota: the sessions of a user who has caused so many entries end, and no other begins, in
    words; another user goes on."""
    world.start_relay(users={"alice": "*", "bob": "*"})
    agent = world.start_agent(
        users={"alice": "tcp:127.0.0.1:*", "bob": "tcp:127.0.0.1:*"}, Audit=file_of(world, "agent"), AuditQuota="40"
    )
    bob = world.start_client("-L", f"0:127.0.0.1:{echo.port}", user="bob")
    with connect(bob) as kept:
        client = world.start_client("-L", f"0:127.0.0.1:{echo.port}")
        address = (LOOPBACK, int(client.expect(r"forwarding 127\.0\.0\.1:(\d+) to")[1]))
        while not client.ended():
            try:
                with socket.create_connection(address, 20) as connection:
                    ask(connection, b"x")
            except OSError:
                pass
        client.wait_exit(DENIED)
        client.expect("has caused 40 entries of the agent's audit, as many as are allowed in a day")
        said = world.run_pipe(f"127.0.0.1:{echo.port}", input="x", code=DENIED).stderr
        assert re.search("entries of the agent's audit.*; try again in 2[34] h", said)
        assert ask(kept, b"hello") == b"hello"
    bob.stop()
    agent.stop()
    verify(world, "agent")
    entries = entries_of(file_of(world, "agent"))
    assert one(entries, "quota_reached", user="alice")["count"] == 40
    assert 40 <= sum(e.get("user") == "alice" and e["event"] != "circuit_refused" for e in entries) < 50


def test_a_full_disk_has_room_for_decisions(world, echo, tmp_path_factory):
    """Nothing new begins and nothing is written; but a lock acts, and stands in the audit at once."""
    if subprocess.run(["unshare", "-rm", "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("mount namespaces are not permitted here")
    disk, control = world.directory / "disk", tmp_path_factory.mktemp("control") / "socket"
    disk.mkdir()
    inside = f'mount -t tmpfs -o size=2m tmpfs {disk} && exec "$@"'
    world.start_relay()
    conf = world.agent_conf(Audit=disk / "audit", ControlSocket=control)
    plain, world.binary = world.binary, ["unshare", "-rm", "sh", "-c", inside, "sh", *world.binary]
    agent = world.start_agent(conf=conf)
    world.binary = plain
    client = world.start_client("-L", f"0:127.0.0.1:{echo.port}")
    seen = Path(f"/proc/{agent.process.pid}/root{disk}")
    with connect(client) as connection:
        assert ask(connection, b"x") == b"x"
        path = seen / "audit"
        wait_for(lambda: path.exists() and b'"session_began"' in path.read_bytes(), 10, "there is a reserve")
        with pytest.raises(OSError), (seen / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        for _ in range(2000):  # what was taken beyond the reserve is used up
            if agent.lines("no new session and no new stream"):
                break
            with contextlib.suppress(OSError), socket.create_connection(connection.getpeername(), 20) as other:
                ask(other, b"x")
        agent.expect("audit: cannot write .*no space left on device; no new session and no new stream")
        spx("agent", "--config", conf, "lock", "--why", "the disk is full")
        wait_for(lambda: b'"event":"locked"' in (seen / "audit").read_bytes(), 10, "the lock is written")
        client.wait_exit(DENIED)
    (seen / "filler").unlink()
    agent.expect("is written again")
    kept = world.directory / "kept"
    wait_for(lambda: b'"session_ended"' in (seen / "audit").read_bytes(), 10, "all is written")
    kept.write_bytes((seen / "audit").read_bytes())
    agent.stop()
    spx("audit", "verify", kept)
    locked = one(entries_of(kept), "locked")
    assert locked["reason"] == "the disk is full"


def test_last_entries_at_the_control_socket(world, echo, tmp_path):
    """spx agent audit: the last entries for those who cannot read the file, also those of before the start."""
    control = tmp_path / "control"
    conf = world.agent_conf(Audit=file_of(world, "agent"), ControlSocket=control)
    world.start_relay()
    agent = world.start_agent(conf=conf)
    connection = greet(world.start_client(*forwards(echo.port)))  # a stream that has not ended

    def told(*words):
        done = run(*world.argv("agent", conf, "--json", "audit", *words))
        return [json.loads(line) for line in done.stdout.splitlines()]

    def last():
        """Of a session; heads are signed meanwhile."""
        return [e for e in told("100") if not e["event"].startswith("head_")][-2:]

    wait_for(lambda: last() and last()[-1]["event"] == "stream_opened", 10, "the stream's entry")
    began, opened = last()
    assert (began["event"], began["user"]) == ("session_began", "alice")
    assert opened["target"] == f"tcp:127.0.0.1:{echo.port}"
    assert {e["kind"] for e in told()} == {"entry"} and "salt" not in opened
    assert len(told("2")) == 2
    table = run(*world.argv("agent", conf, "audit")).stdout.splitlines()
    assert table[0].split()[:3] == ["TIME", "EVENT", "USER"]
    assert ["session_began", "alice"] in [line.split()[1:3] for line in table]
    connection.close()
    agent.stop()
    world.start_agent(conf=conf)
    wait_for(lambda: sum(e["event"] == "started" for e in told("100")) == 2, 10, "both starts")
    assert "stream_opened" in [e["event"] for e in told("100")]
    assert "1 to 100" in run(*world.argv("agent", conf, "audit", "101"), code=USAGE).stderr


def test_no_audit_at_the_control_socket(world, tmp_path):
    """An agent without an audit says so."""
    conf = world.agent_conf(ControlSocket=tmp_path / "control")
    world.start_relay()
    world.start_agent(conf=conf)
    assert "Audit is not configured" in run(*world.argv("agent", conf, "audit"), code=OTHER).stderr
