"""Real programs at work while what carries them is cut and stalled at random on both sides of the
relay: none of them sees an error, and not one byte is different."""
import hashlib
import random
import subprocess
import threading
import time

import pytest

import servers
from harness import LOOPBACK, SLOWNESS, forwards, run, wait_for
from proxy import DOWN, UP, Proxy
from servers import Task

MIB = 1 << 20
RATE = 3 * MIB  # bytes a second of a copy


class Chaos:
    """For some seconds something happens to one of the proxies every now and then."""

    def __init__(self, proxies, dice, seconds):
        self.proxies, self.dice, self.seconds = proxies, dice, seconds
        self.done = []
        self.over = threading.Event()
        self.things = [
            self.cut_later,
            self.cut_later,
            self.cut_one,
            self.stall_one,
            self.stall_all,
            self.stall_one_way,
        ]

    def run(self):
        try:
            end = time.monotonic() + self.seconds
            while time.monotonic() < end:
                thing, proxy = self.dice.choice(self.things), self.dice.choice(self.proxies)
                self.done.append(thing.__name__)
                thing(proxy)
                self.over.wait(self.dice.uniform(0.1, 1))
        finally:
            for proxy in self.proxies:
                proxy.fuse = None
                proxy.hold()

    def cut_later(self, proxy):
        """At any byte of what comes next."""
        how, offset = self.dice.choice(["fin", "reset"]), self.dice.randrange(MIB)
        proxy.cut_after(self.dice.choice([UP, DOWN]), offset, how)

    def one(self, proxy, act):
        live = proxy.live()
        if live:
            proxy.thread.call(act, self.dice.choice(live))

    def cut_one(self, proxy):
        self.one(proxy, lambda c: c.cut("reset"))

    def stall_one(self, proxy):
        """Until all of them are let go."""
        self.one(proxy, lambda c: c.hold(UP, DOWN))

    def stall_all(self, proxy):
        proxy.hold(UP, DOWN)
        self.over.wait(self.dice.uniform(0.1, 2))
        proxy.hold()

    def stall_one_way(self, proxy):
        proxy.hold(self.dice.choice([UP, DOWN]))
        self.over.wait(self.dice.uniform(0.1, 2))
        proxy.hold()


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Copies:
    """scp of a file to the target and of another one from it, at the same time."""

    def __init__(self, directory, sshd, options, size):
        self.pairs = []
        self.tasks = []
        for name in ("up", "down"):
            here, there = directory / f"{name}-here", directory / f"{name}-there"
            source, copy = (here, there) if name == "up" else (there, here)
            source.write_bytes(random.Random(name).randbytes(size))
            remote = f"{LOOPBACK}:{there}"
            words = [here, remote] if name == "up" else [remote, here]
            argv = ["scp", "-l", RATE * 8 // 1000, *options, "-P", sshd.port, *words]
            self.pairs.append((source, copy))
            self.tasks.append(Task(lambda argv=argv: run(*argv, seconds=300)))

    def have_begun(self):
        return all(copy.exists() and copy.stat().st_size for _, copy in self.pairs)

    def check(self):
        for task in self.tasks:
            task.result(200)
        for source, copy in self.pairs:
            assert sha256(source) == sha256(copy)


class Downloads:
    """curl again and again, until it is told to stop."""

    def __init__(self, url, file, copy):
        self.url, self.file, self.copy = url, file, copy
        self.count = 0
        self.stop = False
        self.task = Task(self.run)

    def run(self):
        expected = sha256(self.file)
        while not self.stop:
            run("curl", "-sS", "--fail", "-o", self.copy, self.url, seconds=200)
            assert sha256(self.copy) == expected
            self.count += 1

    def check(self):
        self.stop = True
        self.task.result(200)
        assert self.count > 1


class Typing:
    """Lines typed into an ssh session, each of which comes back, until it is told to stop."""

    def __init__(self, sshd, options):
        self.count = 0
        self.stop = False
        self.ssh = subprocess.Popen(
            ["ssh", *options, "-p", str(sshd.port), LOOPBACK, "cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self.task = Task(self.run)

    def run(self):
        while not self.stop:
            line = b"line %d of what is typed\n" % self.count
            self.ssh.stdin.write(line)
            self.ssh.stdin.flush()
            assert self.ssh.stdout.readline() == line
            self.count += 1

    def check(self):
        self.stop = True
        self.task.result(200)
        self.ssh.stdin.close()
        assert self.ssh.stdout.read() == b""
        assert self.ssh.wait(60) == 0

    def close(self):
        self.ssh.kill()
        self.ssh.wait()
        for end in (self.ssh.stdin, self.ssh.stdout):
            end.close()


class Bench:
    """pgbench for some seconds over four connections."""

    def __init__(self, postgres, address, seconds):
        self.postgres = postgres
        words = ["--client=4", "--jobs=2", f"--time={seconds}", "--no-vacuum"]
        self.task = Task(
            lambda: postgres.run("pgbench", *words, address=address, seconds=seconds + 200)
        )

    def check(self):
        """Every transaction that pgbench counts is in the database, and no other."""
        said = self.task.result(300).stdout
        assert "number of failed transactions: 0 (0.000%)" in said, said
        done = int(said.split("number of transactions actually processed: ")[1].split()[0])
        assert done == self.postgres.count("pgbench_history") > 0


@pytest.mark.parametrize("party", ["client", "agent"])
def test_killed_process_is_no_end_of_file(world, serve, party):
    """SIGKILL while a file is on its way: what the process was connected to sees a reset, since half
    a file must not pass for a whole one."""
    world.start_relay()
    agent = world.start_agent(ResumeWindow=2)
    far = serve(servers.Target, lambda connection: servers.read_to_end(connection)[1])
    client = world.start_client(*forwards(far.port))
    with client.dial() as near:
        near.sendall(bytes(100000))
        wait_for(lambda: far.connections, 5, "the target is connected")
        if party == "client":
            client.kill()
            assert servers.read_to_end(near) == (b"", "reset")
        else:
            agent.kill()
            assert far.outcome() == "reset"
            world.start_agent()
            assert servers.read_to_end(near) == (b"", "reset")


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(10, marks=pytest.mark.time_limit(150)),
        pytest.param(60, marks=[pytest.mark.soak, pytest.mark.time_limit(600)]),
    ],
)
def test_chaos(world, serve, dice, seconds):
    """scp both ways, curl again and again, typing into ssh, and pgbench."""
    site = world.directory / "site"
    site.mkdir()
    (site / "file").write_bytes(random.Random(1).randbytes(2 * MIB))
    web = serve(servers.WebServer, site)
    sshd = serve(servers.Sshd, world.directory)
    postgres = serve(servers.Postgres)
    world.start_relay()
    far = serve(Proxy, world.relay_address, recording=False)
    near = serve(Proxy, world.relay_address, recording=False)
    world.start_agent(relay=far.address)
    client = world.start_client(*forwards(web.port, postgres.port), relay=near.address)
    options = sshd.options(world.pipe_argv("127.0.0.1:PORT", relay=near.address))
    copies = Copies(world.directory, sshd, options, seconds * RATE // SLOWNESS)
    typing = serve(Typing, sshd, options)
    url = "http://%s:%d/file" % client.address(0)
    downloads = Downloads(url, site / "file", world.directory / "copy")
    bench = Bench(postgres, client.address(1), seconds)
    wait_for(
        lambda: copies.have_begun() and typing.count and downloads.count, 30, "all are at work"
    )
    chaos = Chaos([near, far], dice, seconds)
    chaos.run()
    print(chaos.done)
    for load in (typing, downloads, bench, copies):
        load.check()
    assert client.lines(client.RESUMED)
    assert len(client.lines(client.CONNECTED)) == 1
