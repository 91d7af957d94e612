"""The events of a log in JSON: each has the fields that spx(1) lists for it, and they say what
happened, to the byte."""
import contextlib
import json
import re
import signal
import socket
import subprocess

import pytest

from harness import (
    DENIED,
    LOOPBACK,
    NO_AGENT,
    NOT_AUTHENTICATED,
    OK,
    ROOT,
    fingerprint,
    forwards,
    free_port,
    run,
    spx,
    wait_for,
)
from proxy import Proxy
from servers import Target, ask, echo_to_end, greet, read_to_end

REFUSED, NOT_PERMITTED = 1, 4  # RESET's codes
UNKNOWN_KEY, REVOKED, NO_SUCH_AGENT, AGENT_DENIES, DONE, NETWORK_FAILURE = 1, 3, 7, 10, 21, 23


def documented():
    """event -> its members, as the table in spx(1) has them."""
    page = (ROOT / "docs" / "spx.1").read_text()
    rows = re.findall(r"^\.It Li (\w+) Ta ([\w, ]+) Ta (.*)$", page, re.MULTILINE)
    counts = {"bytes_up", "bytes_down", "duration_ms"}
    members = {event: set(re.findall(r"\w+", names)) for event, _, names in rows}
    return {
        event: names - {"counts"} | (counts if "counts" in names else set())
        for event, names in members.items()
    }


DOCUMENTED = documented()


def events(program, event):
    """The lines of this event so far, without what every line has. None has what spx(1) does not
    tell of."""
    lines = [json.loads(line) for line in program.log().split("\n")[:-1]]
    common = {"time", "level", "role", "text", "event"}
    told = [line for line in lines if "event" in line]
    for line in told:
        assert line.keys() - common <= DOCUMENTED[line["event"]], line
    return [
        {name: line[name] for name in line.keys() - common}
        for line in told
        if line["event"] == event
    ]


def event(program, name, count=1, **fields):
    """Waits for the count-th line of this event with these values; returns its fields."""

    def found():
        lines = [e for e in events(program, name) if fields.items() <= e.items()]
        return lines[count - 1 : count]

    try:
        return wait_for(found, 15, f"{program.name} logs {name}, {fields}")[0]
    except AssertionError as late:
        raise AssertionError(f"{late}\n{program.tail()}") from None


def start_all(world, *words, relay=None, agent=None, **client):
    """All three log in JSON."""
    json_log = ["--json"]
    return (
        world.start_relay(options=json_log, **(relay or {})),
        world.start_agent(options=json_log, **(agent or {})),
        world.start_client(*words, options=json_log, **client),
    )


def answer_with(size):
    def handler(connection):
        got = read_to_end(connection)
        connection.sendall(b"a" * size)
        connection.shutdown(socket.SHUT_WR)
        return got

    return handler


def carry(address, size):
    """Sends so many bytes and then the end; returns how many come back."""
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(b"q" * size)
        connection.shutdown(socket.SHUT_WR)
        data, end = read_to_end(connection)
        assert end == "eof"
        return len(data)


def test_session_and_its_streams(world, serve):
    """The three logs of one session are joined by its circuit, and count what it carried exactly."""
    target = serve(Target, answer_with(54321))
    relay, agent, client = start_all(world, *forwards(target.port))
    circuit = client.connected()
    who = {"circuit": circuit, "user": "alice", "agent": "lab-1"}
    at_client = {"circuit": circuit, "agent": "lab-1"}
    assert carry(client.address(), 1234567) == 54321
    bytes_of_stream = {"bytes_up": 1234567, "bytes_down": 54321}
    name = f"tcp:127.0.0.1:{target.port}"

    assert event(relay, "agent_online")["agent"] == "lab-1"
    assert event(agent, "agent_online", agent="lab-1")["relay"].startswith(world.relay_address)
    assert event(relay, "hop_connected", user="alice")["address"].startswith("127.0.0.1:")
    event(relay, "circuit_asked", **who)
    event(relay, "circuit_joined", **who)
    event(agent, "circuit_accepted", **who, key=fingerprint(world.key("alice").public))
    event(agent, "session_began", **who)
    began = event(client, "session_began", **at_client)
    assert began["relay"].startswith(world.relay_address)
    opened = event(agent, "stream_opened", **who, target=name)
    assert opened["address"] == f"127.0.0.1:{target.port}"
    ended = event(agent, "stream_ended", **who, target=name, stream=opened["stream"])
    assert ended.items() >= bytes_of_stream.items()
    assert not {"code", "reason"} & set(ended) and ended["duration_ms"] >= 0

    assert carry(client.address(), 7) == 54321
    event(agent, "stream_ended", count=2)
    client.stop()
    total = {"streams": 2, "bytes_up": 1234574, "bytes_down": 2 * 54321}
    event(agent, "session_ended", **who, **total, code=DONE, reason="ended by the user")
    ended = event(client, "client_ended", **at_client, **total, reason="interrupted")
    assert "code" not in ended
    joined = event(relay, "circuit_ended", **who)
    for direction in ("bytes_up", "bytes_down"):
        assert total[direction] < joined[direction] < 1.02 * total[direction] + 20000


def is_reset(client, index, sends):
    """True if a connection is, which can be before its application knows that there is one."""
    try:
        with client.dial(index) as connection:
            connection.sendall(sends)
            return read_to_end(connection) == (b"", "reset")
    except ConnectionResetError:
        return True


def test_stream_refused_or_reset(world, serve):
    """Codes and reasons of streams that did not come to be, and of one that the target resets."""
    target = serve(Target, lambda connection: connection.recv(1) and reset(connection))
    closed = free_port()
    _, agent, client = start_all(
        world,
        *forwards(target.port, closed, 9),
        agent={"users": {"alice": f"tcp:127.0.0.1:{target.port}, tcp:127.0.0.1:{closed}"}},
    )
    who = {"circuit": client.connected(), "agent": "lab-1"}
    for index, (port, code) in enumerate(
        ((target.port, None), (closed, REFUSED), (9, NOT_PERMITTED))
    ):
        name = f"tcp:127.0.0.1:{port}"
        assert is_reset(client, index, b"" if code else b"x")
        if code:
            refused = event(agent, "stream_refused", **who, user="alice", target=name, code=code)
            assert refused["reason"] and refused["stream"] % 2 == 1
            assert event(client, "stream_failed", **who, target=name, code=code)["reason"]
        else:
            ended = event(agent, "stream_ended", **who, target=name, bytes_up=1, bytes_down=0)
            assert ended["code"] and ended["reason"]
    assert len(events(agent, "stream_opened")) == 1


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def test_remote_listener(world, serve):
    """A listener at the agent, and a connection to it: up is from the client, also here."""
    target = serve(Target, answer_with(11))
    conf = world.agent_conf()
    conf.write_text(conf.read_text() + "Listen = default\n")
    port = free_port()
    _, agent, client = start_all(
        world, "-R", f"{port}:127.0.0.1:{target.port}", agent={"conf": conf}
    )
    at = f"127.0.0.1:{port}"
    who = {"circuit": client.connected(), "agent": "lab-1"}
    event(client, "listener_opened", **who, address=at, target=f"tcp:127.0.0.1:{target.port}")
    event(agent, "listener_opened", **who, user="alice", address=at)
    assert carry((LOOPBACK, port), 22222) == 11
    opened = event(agent, "connection_opened", **who, user="alice", target=at)
    assert opened["address"].startswith("127.0.0.1:")
    event(
        agent,
        "connection_ended",
        **who,
        target=at,
        address=opened["address"],
        bytes_up=11,
        bytes_down=22222,
    )
    client.stop()
    event(agent, "listener_closed", **who, address=at)
    event(agent, "session_ended", **who, bytes_up=11, bytes_down=22222)


def test_session_lost_and_resumed(world, serve):
    """A session that moves to another circuit names the one before."""
    target = serve(Target, echo_to_end)
    world.start_relay(options=["--json"])
    agent = world.start_agent(options=["--json"])
    with_proxy = serve(Proxy, world.relay_address)
    client = world.start_client(
        *forwards(target.port),
        conf=world.client_conf(relay=with_proxy.address),
        options=["--json"],
    )
    first = client.connected()
    with greet(client) as connection:
        with_proxy.cut()
        second = client.resumed()[1]
        assert ask(connection, b"still here") == b"still here"
    for program in (client, agent):
        assert event(program, "session_lost", circuit=first, agent="lab-1")["reason"]
        event(program, "session_resumed", circuit=second, resumes=first, agent="lab-1")
    event(agent, "stream_ended", circuit=second, user="alice")
    assert len(events(agent, "session_began")) == len(events(client, "session_began")) == 1


def test_who_is_refused(world):
    """An unknown key, an agent that is not the user's, and a user whom the agent does not allow."""
    relay = world.start_relay(
        users={"alice": "lab-1", "bob": "lab-1"}, agents={"lab-1": {}}, options=["--json"]
    )
    agent = world.start_agent(options=["--json"])
    world.run_pipe(user="mallory", code=NOT_AUTHENTICATED)
    refused = event(relay, "hop_refused", code=UNKNOWN_KEY)
    assert refused["key"] == fingerprint(world.key("mallory").public)
    assert refused["address"].startswith("127.0.0.1:") and "not in" in refused["reason"]
    world.run_pipe(agent="lab-9", agents={"lab-9": "lab-1"}, code=NO_AGENT)
    refused = event(relay, "circuit_refused", user="alice", agent="lab-9", code=NO_SUCH_AGENT)
    assert refused["address"].startswith("127.0.0.1:")
    world.list_agents("lab-8")
    asked = event(relay, "list_refused", user="alice", agent="lab-8", code=NO_SUCH_AGENT)
    assert asked["address"].startswith("127.0.0.1:")
    world.run_pipe(user="bob", code=DENIED)
    denied = event(agent, "circuit_refused", user="bob", agent="lab-1", code=AGENT_DENIES)
    assert denied["key"] == fingerprint(world.key("bob").public)
    event(relay, "circuit_refused", circuit=denied["circuit"], user="bob", code=AGENT_DENIES)


def refusal(done):
    """The code and the agent of the line about a client's end."""
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    (ended,) = [line for line in lines if line.get("event") == "client_ended"]
    assert ended["level"] == "error" and ended["reason"]
    assert ended.keys() - {"time", "level", "role", "text", "event"} <= DOCUMENTED["client_ended"]
    return ended["code"], ended.get("agent")


def test_refusal_that_ends_the_client(world):
    """The line about its end has the code, whoever refuses and at whichever step: the first question to a relay
    whose agent is not known, a list, a connect, the agent's policy."""
    world.start_relay(users={"alice": "lab-1", "bob": "lab-1"}, agents={"lab-1": {}})
    world.start_agent()

    def client(*words, code, **conf):
        return refusal(run(*world.argv("client", world.client_conf(**conf), "--json", *words), code=code))

    def pipe(agent, code, **conf):
        return client(agent, "-W", "127.0.0.1:9", code=code, **conf)

    assert client("list", user="mallory", code=NOT_AUTHENTICATED) == (UNKNOWN_KEY, None)
    assert pipe("lab-1", NOT_AUTHENTICATED, user="mallory", agents=()) == (UNKNOWN_KEY, "lab-1")
    assert pipe("lab-1", NOT_AUTHENTICATED, user="mallory") == (UNKNOWN_KEY, "lab-1")
    assert pipe("lab-9", NO_AGENT, agents=()) == (NO_SUCH_AGENT, "lab-9")
    assert pipe("lab-9", NO_AGENT, agents={"lab-9": "lab-1"}) == (NO_SUCH_AGENT, "lab-9")
    assert pipe("lab-1", DENIED, user="bob") == (AGENT_DENIES, "lab-1")


def test_session_that_ends_the_client(world, echo):
    """So has the line about the end of -W whose session the agent ends."""
    world.start_relay()
    agent = world.start_agent()
    argv = world.pipe_argv(f"{LOOPBACK}:{echo.port}")
    argv = [str(word) for word in (*argv[:2], "--json", *argv[2:])]
    with subprocess.Popen(argv, **dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)) as client:
        client.stdin.write(b"x"), client.stdin.flush()
        assert client.stdout.read(1) == b"x"
        revoke(world, agent)
        assert client.wait(20) == DENIED
        (ended,) = [line for line in client.stderr.read().splitlines() if b"client_ended" in line]
    assert json.loads(ended)["code"] == REVOKED


def test_relay_out_of_reach(world, echo):
    """Hops that fail, and one that the relay refuses."""
    agent = world.start_agent(online=False, options=["--json"])
    client = world.start_client(*forwards(echo.port), connected=False, options=["--json"])
    for program in (agent, client):
        failed = event(program, "hop_failed", agent="lab-1", code=NETWORK_FAILURE)
        assert failed["relay"] == world.relay_address and "refused" in failed["reason"]
    world.start_relay(agents={})
    refused = event(agent, "hop_refused", agent="lab-1", code=UNKNOWN_KEY)
    assert refused["relay"].startswith(world.relay_address)
    ended = event(client, "client_ended", agent="lab-1", bytes_up=0, bytes_down=0)
    assert "no such agent" in ended["reason"] and "circuit" not in ended
    assert ended["code"] == NO_SUCH_AGENT
    client.wait_exit(NO_AGENT)


def test_reload_call_and_offline(world):
    """Reloads, calls for help, states, and an agent that goes."""
    relay = world.start_relay(options=["--json"])
    conf = world.agent_conf(ControlSocket=world.directory / "call")
    agent = world.start_agent(conf=conf, options=["--json"])
    spx("agent", "-c", conf, "call", "3", 'the "fan" \\ 2', code=OK)
    for program in (agent, relay):
        event(program, "call", agent="lab-1", severity=3, reason='the "fan" \\ 2')
    spx("agent", "-c", conf, "call", "0", code=OK)
    for program in (agent, relay):
        assert "severity" not in event(program, "call_over", agent="lab-1")
    for program in (agent, relay):
        program.signal(signal.SIGUSR1)
        event(program, "status")
    world.agent_conf(users={"bob": "tcp:127.0.0.1:22"}, ControlSocket=world.directory / "call")
    for program in (agent, relay):
        program.signal(signal.SIGHUP)
        event(program, "reloaded")
    for user, what in (("bob", "added"), ("alice", "removed")):
        key = fingerprint(world.key(user).public)
        event(agent, "user_changed", user=user, key=key, reason=what)
    event(agent, "permission_changed", user="bob", target="tcp:127.0.0.1:22", reason="added")
    world.relay_conf(
        users={"bob": "lab-*"}, agents={"lab-1": {"Labels": "site=boston"}, "lab-2": {}}
    )
    relay.signal(signal.SIGHUP)
    for user, what in (("bob", "added"), ("alice", "removed")):
        key = fingerprint(world.key(user).public)
        event(relay, "user_changed", user=user, key=key, reason=what)
    event(relay, "permission_changed", user="bob", agent="lab-*", reason="added")
    for name, what in (("lab-1", "Labels changed"), ("lab-2", "added")):
        key = fingerprint(world.key(name).public)
        event(relay, "agent_changed", agent=name, key=key, reason=what)
    conf.write_text("[Nonsense]\n")
    agent.signal(signal.SIGHUP)
    assert "agent-lab-1.conf" in event(agent, "reload_refused")["reason"]
    agent.stop()
    assert event(relay, "agent_offline", agent="lab-1")["reason"]


def revoke(world, agent):
    world.agent_conf(users={})
    agent.signal(signal.SIGHUP)


ENDS = {
    "stopped": lambda world, agent: agent.signal(signal.SIGTERM),
    "killed": lambda world, agent: agent.kill(),
    "revoked": revoke,
}


def send_without_end(connection):
    try:
        while True:
            connection.sendall(b"x" * 65536)
    except OSError:
        return "over"


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("how", ENDS)
def test_end_that_the_agent_made(world, serve, how, busy):
    """Nobody says that the client has closed what the agent has ended, be bytes on their way or
    not."""
    target, flood = serve(Target, echo_to_end), serve(Target, send_without_end)
    relay, agent, client = start_all(world, *forwards(target.port, flood.port))
    circuit = client.connected()
    with greet(client) as connection, contextlib.ExitStack() as more:
        if busy:
            assert more.enter_context(client.dial(1)).recv(1) == b"x"
        ENDS[how](world, agent)
        ended = event(relay, "circuit_ended", circuit=circuit)
        if how == "killed":
            lost = event(client, "session_lost", circuit=circuit)
        else:
            assert read_to_end(connection) == (b"", "reset")
            lost = event(client, "session_ended", circuit=circuit)
            event(agent, "session_ended", circuit=circuit, code=lost["code"], bytes_up=5)
    for told in (ended, lost):
        assert "client" not in told["reason"]
    if how == "stopped":
        agent.wait_exit(OK)
    elif how == "revoked":
        client.wait_exit(DENIED)
        assert lost["code"] == REVOKED  # and what it then hears
        assert event(client, "client_ended")["code"] == AGENT_DENIES
