"""The programs people use through a tunnel: curl, ssh, scp, rsync, and pipes."""
import array
import fcntl
import hashlib
import random
import re
import socket
import subprocess
import termios

import pytest

import servers
from harness import LOOPBACK, OTHER, free_port, run, spx, wait_for

pytestmark = pytest.mark.usefixtures("steady")

MIB = 1 << 20


def write_random(path, size, seed):
    path.write_bytes(random.Random(seed).randbytes(size))
    return path


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.fixture
def site(world, serve):
    """A directory served over HTTP and the server's port."""
    directory = world.directory / "site"
    directory.mkdir()
    (directory / "page.html").write_text("<p>the service processor is well</p>\n")
    return directory, serve(servers.WebServer, directory).port


@pytest.fixture
def ssh_server(world, serve):
    """An sshd behind an agent, and ssh's options to reach it with -W."""
    sshd = serve(servers.Sshd, world.directory)
    world.start_relay()
    world.start_agent()
    return sshd, sshd.options(world.pipe_argv("127.0.0.1:PORT"))


def test_curl_fetches_page_and_file(world, site):
    """A page and a 64 MiB file come through -L as they are on the server."""
    directory, port = site
    write_random(directory / "large", 64 * MIB, 1)
    client = world.start_all(port)[2]
    url = "http://%s:%d" % client.address()
    assert (
        run("curl", "-sS", "--fail", f"{url}/page.html").stdout
        == (directory / "page.html").read_text()
    )
    run("curl", "-sS", "--fail", "-o", world.directory / "copy", f"{url}/large", seconds=60)
    assert sha256(world.directory / "copy") == sha256(directory / "large")


def test_curl_fetches_many_at_once(world, site):
    """Forty downloads in parallel over one session: none fails, each is whole."""
    directory, port = site
    write_random(directory / "part", MIB, 2)
    client = world.start_all(port)[2]
    url = "http://%s:%d/part" % client.address()
    out = world.directory / "copy"
    run(
        "curl",
        "-sS",
        "--fail",
        "--parallel",
        "--parallel-max",
        "40",
        *[word for i in range(40) for word in ("-o", f"{out}-{i}", f"{url}?{i}")],
        seconds=60,
    )
    assert {sha256(f"{out}-{i}") for i in range(40)} == {sha256(directory / "part")}


def test_ssh_runs_a_command(ssh_server):
    """ssh with `spx client -W %h:%p` as its ProxyCommand runs a command and brings its exit code."""
    sshd, options = ssh_server
    done = run("ssh", *options, "-p", sshd.port, LOOPBACK, "echo from the target; exit 42", code=42)
    assert done.stdout == "from the target\n"
    assert done.stderr == ""


def test_ssh_carries_standard_input(world, ssh_server):
    """8 MiB of standard input reach the command, and its output comes back after standard input
    ended."""
    sshd, options = ssh_server
    data = random.Random(3).randbytes(8 * MIB)
    command = ["ssh", *options, "-p", sshd.port, LOOPBACK, "sha256sum"]
    done = run(*command, input=data, text=False)
    assert done.stderr == b""
    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


@pytest.mark.time_limit(120)
def test_scp_100_mib_there_and_back(world, ssh_server):
    """scp copies 100 MiB to the target and back; the checksums agree."""
    sshd, options = ssh_server
    file = write_random(world.directory / "file", 100 * MIB, 4)
    there, back = world.directory / "there", world.directory / "back"
    words = ["scp", *options, "-P", sshd.port]
    for source, copy in ((file, f"{LOOPBACK}:{there}"), (f"{LOOPBACK}:{there}", back)):
        assert run(*words, source, copy, seconds=60).stderr == ""
    assert sha256(there) == sha256(back) == sha256(file)


def test_rsync_copies_a_tree_and_then_only_changes(world, ssh_server):
    """rsync over ssh makes the same tree, and a second run carries only the one file changed since."""
    sshd, options = ssh_server
    tree, copy = world.directory / "tree", world.directory / "copy"
    for i in range(50):
        (tree / f"d{i % 5}").mkdir(parents=True, exist_ok=True)
        write_random(tree / f"d{i % 5}" / f"f{i}", 20000 + i, i)
    shell = " ".join(
        ["ssh", *("'" + o.replace("'", '"') + "'" for o in options), "-p", str(sshd.port)]
    )

    def files_sent():
        words = ["-a", "--checksum", "--itemize-changes", "-e", shell]
        done = run("rsync", *words, f"{tree}/", f"{LOOPBACK}:{copy}/")
        assert done.stderr == ""
        return [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("<f")]

    assert len(files_sent()) == 50
    run("diff", "-r", tree, copy)
    (tree / "d0" / "f0").write_text("changed\n")
    assert files_sent() == ["d0/f0"]
    run("diff", "-r", tree, copy)


def test_pipe_carries_standard_input_and_output(world, echo):
    """-W between pipes: everything from standard input comes back on standard output, nothing else
    is there, and after both ends of file the exit code is 0."""
    world.start_relay()
    world.start_agent()
    data = random.Random(5).randbytes(3 * MIB)
    done = run(*world.pipe_argv(f"{LOOPBACK}:{echo.port}"), input=data, text=False)
    assert done.stdout == data


def start_pipe(world, port):
    """A client with -W whose standard input and output are pipes of the test."""
    world.start_relay()
    world.start_agent()
    return world.start_client(
        "-W",
        f"{LOOPBACK}:{port}",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        connected=False,
    )


@pytest.mark.time_limit(20)
def test_pipe_is_interactive(world, echo):
    """Bytes written into the pipe are answered at once, while the pipe stays open: the client never
    waits inside a read of its standard input."""
    client = start_pipe(world, echo.port)
    for number in range(20):
        text = b"line %d\n" % number
        client.process.stdin.write(text)
        client.process.stdin.flush()
        assert client.process.stdout.read1(100) == text
    client.process.stdin.close()
    assert client.process.stdout.read() == b""
    client.wait_exit(0)


def bytes_in(pipe):
    """How many bytes wait in a pipe to be read."""
    waiting = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    return waiting[0]


def test_pipe_half_closed(world, serve):
    """Each half of -W ends by itself: the standard output at the target's end while the standard
    input goes on, and the other way round."""

    def ends_first(connection):
        connection.sendall(b"that was all")
        connection.shutdown(socket.SHUT_WR)
        return servers.read_to_end(connection)

    def answers_the_end(connection):
        data = servers.read_to_end(connection)
        connection.sendall(b"all of it")
        return data

    target = serve(servers.Target, ends_first)
    client = start_pipe(world, target.port)
    assert client.process.stdout.read() == b"that was all"
    client.process.stdin.write(b"still here")
    client.process.stdin.close()
    client.wait_exit(0)
    assert target.outcome() == (b"still here", "eof")
    target = serve(servers.Target, answers_the_end)
    assert world.run_pipe(f"{LOOPBACK}:{target.port}", input="so much").stdout == "all of it"
    assert target.outcome() == (b"so much", "eof")


def test_pipe_whose_output_is_full(world, serve):
    """While nobody reads the client's standard output, what comes on its standard input still
    reaches the target; the output is whole when it is read at last."""
    size = 4 * MIB

    def talk(connection):
        sending = servers.Task(servers.send_stream, connection, size, 6)
        received = servers.receive_stream(connection)
        return sending.result(30), received

    target = serve(servers.Target, talk)
    client = start_pipe(world, target.port)
    wait_for(lambda: bytes_in(client.process.stdout) > 60000, 10, "the output's pipe is full")
    data = random.Random(7).randbytes(size)
    writing = servers.Task(client.process.stdin.write, data)
    wait_for(lambda: writing.done, 20, "the target takes the standard input")
    client.process.stdin.close()
    output = client.process.stdout.read()
    client.wait_exit(0)
    sent, received = target.outcome()
    assert received == (size, hashlib.sha256(data).hexdigest())
    assert hashlib.sha256(output).hexdigest() == sent


def test_pipe_ends_when_its_reader_goes(world, serve):
    """-W whose standard output is closed ends, as every program in a pipe does, and does not hang."""

    def talk(connection):
        try:
            while True:
                connection.sendall(bytes(65536))
        except OSError:
            return "stopped"

    target = serve(servers.Target, talk)
    client = start_pipe(world, target.port)
    assert client.process.stdout.read(1000)
    client.process.stdout.close()
    client.process.stdout = None
    assert target.outcome() == "stopped"
    wait_for(client.ended, 10, "the client ends")
    client.collected = True


@pytest.mark.parametrize(
    "target, reason",
    [
        ("127.0.0.1:{}", "connection refused"),
        ("no-such-host.invalid:{}", "no such host name"),
    ],
)
def test_pipe_to_a_target_that_is_not_there(world, target, reason):
    """-W to a target that cannot be reached ends with 1 and the agent's reason."""
    world.start_relay()
    world.start_agent(users={"alice": "tcp:*:*"})
    failed = world.run_pipe(target.format(free_port()), code=OTHER)
    assert failed.stdout == ""
    assert re.search(rf"ended: target tcp:\S+ at lab-1: {reason}", failed.stderr)


def test_pipe_options_stand_before_or_after_the_agent(world, echo):
    """`client -W TARGET AGENT` and `client AGENT -W TARGET` are the same."""
    world.start_relay()
    world.start_agent()
    target = f"{LOOPBACK}:{echo.port}"
    conf = world.client_conf()
    for words in (["-W", target, "lab-1"], ["lab-1", "-W", target]):
        assert spx("client", "-c", conf, *words, input="hello").stdout == "hello"
