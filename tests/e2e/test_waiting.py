"""A client whose session waits for approval, at an agent that is a peer of the tests (section 5.10 of
docs/PROTOCOL.md)."""
import errno
import fcntl
import signal
import socket
import struct
import subprocess
import termios

import pytest

import peer
from audits import entries_of
from harness import DENIED, INTERRUPTED, LOOPBACK, NETWORK, NOT_APPROVED, USAGE, forwards, run, spx, wait_for
from peer import CLOSE, DONE, GRANTED, WAITING, access_frame, frame
from servers import ask, read_to_end
from test_peer import pair

TAKES, REASON, WAITS = 16, 17, 16
ASKED = r"waiting for approval at lab-1: request 7F3K; read the code to the customer"


class Asking(peer.Agent):
    """Its sessions wait; hint: says so in message 2."""

    hint = True

    def payload2(self, session):
        waits = peer.u16(WAITS) + peer.string(b"\1")
        return session.payload2() + (waits if self.hint else b"")


class Approver(peer.Site):
    """Each session waits until `decide`, over as many circuits as it takes; then it echoes."""

    code = "7F3K"

    def __init__(self, own, agent, **options):
        self.decided, self.heard, self.circuits, self.told = None, [], [], set()
        super().__init__(own, agent, **options)

    def decide(self, *frames):
        """The agent sends these frames, in place of waiting on; without any it waits again."""
        self.decided = frames or None

    def begin(self, circuit):
        circuit.start()
        if circuit.session.id not in self.told:
            circuit.send(access_frame(WAITING, 0, self.code))
        self.told.add(circuit.session.id)
        self.circuits.append(circuit)

    def session(self, circuit):
        circuit.pipe.sock.settimeout(0.05)
        session = circuit.session
        while not self.decided and not getattr(session, "decided", False):
            try:
                got = circuit.receive()
            except TimeoutError:
                continue
            self.heard.append(got)
            if got.kind == CLOSE:
                circuit.pipe.sock.settimeout(None)
                return circuit.close()
        circuit.pipe.sock.settimeout(None)
        if not getattr(session, "decided", False):
            session.decided = True
            circuit.send(*self.decided)
        peer.serve_echo(circuit)

    def of_streams(self):
        """All that the client asked for while it waited."""
        return [got for got in self.heard if got.stream != 0]


def approver(world):
    agent = Asking(pair(world, "lab-1"), "lab-1")
    return Approver(pair(world, "relay"), agent, address=world.relay_address)


@pytest.fixture
def site(world, serve):
    return serve(approver, world)


def is_refused(address):
    with socket.socket() as probe:
        return probe.connect_ex(address) != 0


def unread_of(pipe):
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]


def grant(site, client=None, until=0, text="", count=1):
    site.decide(access_frame(GRANTED, until, text))
    if client:
        client.expect(r"approved after \S+ m?s: the session may last", count=count)


def test_listeners_open_with_the_grant(world, site):
    """While the session waits nothing is asked for and nothing listens; then all that was wanted is
    there. The audit has both, and never the code."""
    audit = world.directory / "client.audit"
    client = world.start_client(
        *forwards(9), "-R", f"0:{LOOPBACK}:9", "--reason", 'case 4711: "drive"', Audit=audit
    )
    client.expect(ASKED)
    wait_for(lambda: is_refused(client.address()), 5, "the listener is shut")
    client.signal(signal.SIGUSR1)
    client.expect(r"status: waiting for approval at lab-1: request 7F3K, since \d+ m?s$")
    assert not site.of_streams()
    grant(site, client, 1796018066, "Mon 18:00, by Hours")
    client.expect("the session may last until Mon 18:00, by Hours")
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
    assert not client.lines(" (?:error) ")
    client.stop()
    (session,) = site.agent.sessions.values()
    assert session.extensions[0] == {TAKES: b"\3", REASON: b'case 4711: "drive"'}
    events = {e["event"]: e for e in entries_of(audit)}
    assert events["session_asked"]["reason"] == 'case 4711: "drive"'
    assert events["session_granted"]["reason"] == "Mon 18:00, by Hours"
    assert "7F3K" not in audit.read_text()


def test_agent_that_cannot_decide(world, site):
    """Granted once it waits no more, however often an agent says so: neither the audit nor what listens
    goes with it."""
    audit = world.directory / "client.audit"
    client = world.start_client(*forwards(9), Audit=audit)
    client.expect(ASKED)
    back_and_forth = [access_frame(GRANTED, 0, "now"), access_frame(WAITING, 0, "7F3K")] * 500
    site.decide(*back_and_forth, access_frame(GRANTED, 0, "at last"))
    client.expect("the session may last until (?:now|at last)")
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
    client.stop()
    events = [e["event"] for e in entries_of(audit)]
    assert events.count("session_asked") == events.count("session_granted") == 1


def test_standard_input_waits(world, site):
    """With -W the one line is on standard error, nothing of standard input is read, and what comes in it
    goes out after the grant. A log of warnings has nothing else."""
    program = subprocess.Popen(
        world.pipe_argv("127.0.0.1:9"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        program.stdin.write(b"hello")
        program.stdin.flush()
        assert ASKED.encode() in program.stderr.readline()
        assert not site.of_streams()
        assert unread_of(program.stdin) == 5
        grant(site)
        out, rest = program.communicate(timeout=20)
        assert (out, rest, program.returncode) == (b"hello", b"", 0)
    finally:
        program.kill()


def test_no_longer_than_the_user_waits(world, site):
    """--wait ends it with an exit code of its own, and the agent is told."""
    argv = [*world.pipe_argv("127.0.0.1:9"), "--wait", "1s"]
    got = run(*argv, code=NOT_APPROVED, input="")
    assert "ended: not approved within 1 s" in got.stderr
    close = wait_for(
        lambda: [one for one in site.heard if one.kind == CLOSE], 5, "the agent is told"
    )
    assert close[0].payload == peer.u16(DONE) + peer.string("not approved within 1 s")
    assert not site.of_streams()


def test_time_to_wait_ends_with_the_grant(world, site):
    client = world.start_client(*forwards(9), "--wait", "2 s")
    client.expect(ASKED)
    grant(site, client)
    with client.dial() as connection:
        for _ in range(5):
            assert ask(connection, b"hello") == b"hello"
            assert not client.lines("not approved")


@pytest.mark.parametrize("way", ["-L", "-W"])
def test_denied(world, site, way):
    """The agent's words, and the exit code of what a policy denies."""
    site.decide(frame(CLOSE, 0, peer.u16(peer.DENIED) + peer.string("denied: not tonight")))
    if way == "-W":
        assert "denied: not tonight" in world.run_pipe(code=DENIED).stderr
    else:
        client = world.start_client(*forwards(9))
        client.expect("the session has ended: denied: not tonight")
        client.wait_exit(DENIED)
    assert not site.of_streams()


def test_cut_while_it_waits(world, site):
    """The session waits on over the next circuit, tells its code once, and is granted there. The reason
    went with the first message 1 alone."""
    client = world.start_client(*forwards(9), "--reason", "case 4711")
    client.expect(ASKED)
    for count in (1, 2):
        site.cut()
        client.resumed(count)
        assert is_refused(client.address())
    grant(site, client)
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
    assert len(client.lines(ASKED)) == 1
    (session,) = site.agent.sessions.values()
    assert [REASON in one for one in session.extensions] == [True, False, False]


def test_a_new_session_waits_again(world, site):
    """When a granted session is lost the next one waits, and what listened is shut meanwhile."""
    client = world.start_client(*forwards(9))
    client.expect(ASKED)
    grant(site, client)
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
        site.decide()
        site.code = "Q9XY"
        site.circuits[-1].send(frame(CLOSE, 0, peer.u16(18) + peer.string("restarted")))
        client.expect("waiting for approval at lab-1: request Q9XY")
        assert read_to_end(connection) == (b"", "reset")
    assert is_refused(client.address())
    grant(site, client, count=2)
    with client.dial() as connection:
        assert ask(connection, b"again") == b"again"
    assert len(site.agent.sessions) == 2


def test_unix_socket(world, site, tmp_path):
    """Its file is there, and refuses, until the grant; it is removed at the end."""
    path = tmp_path / "local"
    client = world.start_client("-L", f"{path}:{LOOPBACK}:9")
    client.expect(ASKED)

    def dial():
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        return connection, connection.connect_ex(str(path))

    wait_for(lambda: dial()[1] == errno.ECONNREFUSED, 5, "it refuses")
    grant(site, client)
    connection, error = dial()
    assert error == 0
    with connection:
        assert ask(connection, b"hello") == b"hello"
    client.stop()
    assert not path.exists()


def test_port_that_is_taken_meanwhile(world, site):
    """Another program that listens first has it: the client says so and ends, after telling the agent."""
    client = world.start_client(*forwards(9))
    client.expect(ASKED)
    wait_for(lambda: is_refused(client.address()), 5, "the listener is shut")
    with socket.create_server(client.address()):
        grant(site)
        client.expect(r"ended: cannot listen on 127\.0\.0\.1:\d+: address (already )?in use")
        client.wait_exit(NETWORK)


def test_interrupted_while_it_waits(world, site):
    client = world.start_client(*forwards(9))
    client.expect(ASKED)
    client.stop()  # with 130
    assert site.heard[-1].payload == peer.u16(DONE) + peer.string("ended by the user")


def test_pipe_interrupted_while_it_waits(world, site):
    client = world.start_client("-W", "127.0.0.1:9", connected=False, stdin=subprocess.PIPE)
    client.expect(ASKED)
    client.signal(signal.SIGINT)
    client.wait_exit(INTERRUPTED)


def test_questions_wait_too(world, site):
    """The answer comes after the grant, or --wait ends it."""
    argv = world.argv("client", world.client_conf(), "targets", "--reason", "look", "--wait", "1 s", "lab-1")
    got = spx(*argv[1:], code=NOT_APPROVED)
    assert "request 7F3K" in got.stderr and not site.of_streams()
    (session,) = site.agent.sessions.values()
    assert session.extensions[0][REASON] == b"look"


@pytest.mark.parametrize("words", [forwards(9), ["-W", "127.0.0.1:9"]], ids=["-L", "-W"])
def test_on_a_terminal(world, site, words):
    """A line of state tells how long it has waited, also with -W, which has none otherwise."""
    client = world.start_client(*words, terminal=True, connected=False)
    client.expect(r"\r\x1b\[Kwaiting for approval at lab-1: request 7F3K, since [1-9] s")
    grant(site)
    if words[0] == "-L":
        client.expect(r"\r\x1b\[Klab-1: connected \| ")
        client.type("\x03")
        client.wait_exit(INTERRUPTED)
    else:
        wait_for(lambda: client.log().endswith("\r\x1b[K"), 5, "the line is gone")
        client.type("\x04")
        client.wait_exit(0)


def test_an_agent_without_the_hint(world, site):
    """It can still make the session wait: what was asked for before is its to refuse."""
    site.agent.hint = False
    client = world.start_client(*forwards(9))
    client.expect(ASKED)
    wait_for(lambda: is_refused(client.address()), 5, "the listener is shut")
    grant(site, client)
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"


def test_request_without_a_code(world, site):
    """An agent may keep its code to itself; the client says that it waits all the same, once."""
    site.code = ""
    client = world.start_client(*forwards(9))
    client.expect(r"waiting for approval at lab-1 \(Ctrl-C ends\)$")
    site.cut()
    client.resumed()
    grant(site, client)
    assert len(client.lines("waiting for approval")) == 1


def test_log_in_json(world, site):
    client = world.start_client(*forwards(9), options=("--json",), connected=False)
    client.expect(r'"event":"session_asked".*"agent":"lab-1".*"request":"7F3K"')
    grant(site)
    client.expect(r'"event":"session_granted".*the session may last without an end')


@pytest.mark.parametrize(
    "words, why",
    [
        (["--reason", ""], "1 to 256 bytes"),
        (["--reason", "x" * 257], "1 to 256 bytes"),
        (["--reason", "two\nlines"], "of one line"),
        (["--reason", "a", "--reason", "b"], "--reason is given twice"),
        (["--wait", "0"], "'0'"),
        (["--wait", "soon"], "'soon'"),
        (["--wait", "8 d"], "'8 d'"),
    ],
)
def test_wrong_options(world, words, why):
    argv = world.argv("client", world.client_conf(), "lab-1", "-W", "127.0.0.1:9", *words)
    assert why in spx(*argv[1:], code=USAGE).stderr
