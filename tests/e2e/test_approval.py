"""The program's own client at the program's own agent that asks: from the request to what was asked for.
What the agent does beside that is in test_ask.py, the client in test_waiting.py."""
import re
import subprocess

import pytest

import servers
import test_control
from audits import entries_of
from harness import DENIED, LOOPBACK, OK, OTHER, forwards, spx, wait_for
from servers import ask
from test_waiting import is_refused

CODE = r"waiting for approval at lab-1: request ([23456789FHJKLMQRTWXY]{4});"

directory, site = test_control.directory, test_control.site


def asking(site, **more):
    return site.start(Access="ask", users={"alice": "tcp:127.0.0.1:*"}, **more)


def approve(site, client, *options, count=1):
    site.ask("approve", client.expect(CODE, count=count)[1], *options)
    client.expect("approved after", count=count)


def audit_of(world, role):
    return world.directory / f"{role}.audit"


def test_from_request_to_audit(world, site, echo):
    """The code goes by telephone; then all that was asked for works. The audits of the two agree, and say
    who asked, why, and who approved."""
    agent = asking(site, Audit=audit_of(world, "agent"))
    client = world.start_client(
        *forwards(echo.port), "--reason", "case 4711", Audit=audit_of(world, "client")
    )
    client.expect(CODE)
    wait_for(lambda: is_refused(client.address()), 5, "the listener is shut")
    (request,) = site.lines("requests")
    assert (request["user"], request["reason"]) == ("alice", "case 4711")
    approve(site, client)
    with client.dial() as connection:
        assert ask(connection, b"hello" * 1000) == b"hello" * 1000
    client.stop()
    agent.expect("ended: ended by the user")
    agent.stop()
    files = audit_of(world, "client"), audit_of(world, "agent")
    spx("audit", "compare", *files, code=OK)
    for path, granted in zip(files, ("session_granted", "session_approved")):
        events = [e["event"] for e in entries_of(path)]
        begun = events.index("session_began")
        assert events[begun : begun + 3] == ["session_began", "session_asked", granted]
        assert entries_of(path)[begun + 1]["reason"] == "case 4711"


def test_ssh_that_waits(world, site, serve):
    """ssh waits for its ProxyCommand, which tells the code on standard error; then it is as ever."""
    sshd = serve(servers.Sshd, world.directory)
    asking(site)
    argv = ["ssh", *sshd.options(world.pipe_argv("127.0.0.1:PORT")), "-p", str(sshd.port), LOOPBACK, "echo done"]
    ssh = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        told = ssh.stderr.readline()
        assert not site.lines("sessions")
        site.ask("approve", re.search(CODE, told)[1])
        out, rest = ssh.communicate(timeout=30)
        assert (out, ssh.returncode) == ("done\n", 0), rest
    finally:
        ssh.kill()


@pytest.mark.parametrize("way", ["-L", "-W"])
def test_denied(world, site, way):
    """The owner's words reach the user, and the exit code says that it was policy."""
    asking(site)
    if way == "-L":
        client = world.start_client(*forwards(9))
    else:
        client = world.start_client("-W", "127.0.0.1:9", connected=False)
    client.expect(CODE)
    site.ask("deny", "1", "--why", "not tonight")
    client.wait_exit(DENIED)
    assert "denied by the agent's owner: not tonight" in client.log()
    assert "ask again in 5 min" in world.run_pipe(code=DENIED).stderr


def test_agent_restarted_while_it_waits(world, site, echo):
    """The request is gone with the agent: another one takes its place, under another code."""
    agent = asking(site)
    client = world.start_client(*forwards(echo.port))
    first = client.expect(CODE)[1]
    agent.kill()
    world.start_agent(conf=site.conf)
    second = client.expect(CODE, 60, 2)[1]
    assert second != first and is_refused(client.address())
    site.ask("approve", first, code=OTHER)
    site.ask("approve", second)
    client.expect("approved after")
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"


def test_approved_for_a_time(world, site, echo):
    """Whoever is covered by an approval does not wait: nothing is said of it, and nothing shut."""
    asking(site)
    client = world.start_client(*forwards(echo.port))
    approve(site, client, "--for", "1h")
    client.stop()
    again = world.start_client(*forwards(echo.port))
    with again.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
    assert not again.lines("approv")
    assert world.run_pipe(f"{LOOPBACK}:{echo.port}", input="hello").stdout == "hello"


def test_reason_that_is_required(world, site):
    """It is refused in words that name the option."""
    asking(site, ReasonRequired="yes")
    assert "--reason" in world.run_pipe(code=DENIED).stderr
    client = world.start_client(*forwards(9), "--reason", "case 4711")
    client.expect(CODE)


def test_question_that_waits(world, site):
    """`targets` answers once its session is approved."""
    asking(site)
    argv = world.argv("client", world.client_conf(), "targets", "lab-1")
    asked = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        site.ask("approve", re.search(CODE, asked.stderr.readline())[1])
        out, _ = asked.communicate(timeout=20)
        assert "tcp:127.0.0.1:*" in out and asked.returncode == 0
    finally:
        asked.kill()


def test_grant_while_the_client_is_away(world, site, echo):
    """Approved while the relay is down, it is granted with the next circuit."""
    asking(site)
    client = world.start_client(*forwards(echo.port))
    code = client.expect(CODE)[1]
    (relay,) = [p for p in world.programs if p.name.startswith("relay")]
    relay.kill()
    client.lost()
    wait_for(lambda: site.lines("requests")[0]["state"] == "away", 20, "the session is away")
    site.ask("approve", code)
    assert is_refused(client.address())
    world.start_relay(users={"alice": "*", "bob": "*"})
    client.expect("approved after", 60)
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
