"""The ground of the end-to-end tests: waiting, keys, configuration files, and the processes of one
test.

Nothing here knows what a test wants to prove. A test gets a `World` (fixtures.py): a temporary
directory with keys, configurations and logs, and the relay, agents and clients started in it; all
of them are stopped when the test ends, however it ends, and each must end the way its contract
says.
"""
import base64
import ctypes
import errno
import hashlib
import os
import pty
import random
import re
import resource
import signal
import socket
import stat
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SPX = str(Path(os.environ.get("SPX", "./spx")).absolute())
SPX_GLIBC = str(Path(os.environ.get("SPX_GLIBC", "build/test/spx")).absolute())

LOOPBACK = "127.0.0.1"

# Exit codes (modules/base/exits.h).
OK, OTHER, USAGE, CONFIG, NOT_AUTHENTICATED, DENIED, NO_AGENT, NETWORK, TIMED_OUT, NOT_APPROVED = range(10)
NOT_SEEN, ALTERED, INTERRUPTED = 10, 11, 130

SYS_PIDFD_GETFD = 438  # on every architecture

SANITIZER_CODE = 99
SANITIZER_TEXT = re.compile(
    r"ERROR: \w+Sanitizer|runtime error:|ERROR SUMMARY: [1-9]|SUMMARY: \w+Sanitizer|stack smashing"
    r"|was refused to this process"
)


def is_sanitized(binary):
    """True if a binary was built with a sanitizer that slows it."""
    path = Path(binary)
    built = path.read_bytes() if path.exists() else b""
    return b"__asan_init" in built or b"__tsan_init" in built


# A build with checks is slower, and so is a program under valgrind: this stretches all deadlines.
SLOWNESS = 4 if is_sanitized(SPX) else 1


class Late(AssertionError):
    """A condition did not come true in time."""


def wait_for(condition, seconds, what):
    """Returns the condition's first true value; the only place that sleeps."""
    deadline = time.monotonic() + seconds * SLOWNESS
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise Late(f"not within {seconds * SLOWNESS} s: {what}")
        time.sleep(0.005)


def stays_false(condition, seconds, what):
    """Watches for so many seconds that the condition does not come true."""
    try:
        wait_for(condition, seconds / SLOWNESS, what)
    except Late:
        return
    raise AssertionError(f"happened, and must not: {what}")


def free_port(host=LOOPBACK):
    """A port that was free a moment ago, below those that Linux gives to whoever names none: it stays
    free, whatever connects meanwhile."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        port = random.randrange(10000, 32768)
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((host, port))
                return port
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise


def has_ipv6():
    try:
        free_port("::1")
    except OSError:
        return False
    return True


def endpoint(host, port):
    """host:port as configuration files and logs write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def raise_descriptor_limit():
    """Lets this process, and those it starts, hold some thousand sockets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 20000 if hard == resource.RLIM_INFINITY else min(hard, 20000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def environment():
    """The same for every program: no journal, no colours, sanitizers that end with a code of their
    own."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if k not in ("JOURNAL_STREAM", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK")
        and not k.startswith("LC_")
    }
    kept.update(
        LANG="C",
        NO_COLOR="1",
        TERM="xterm",
        ASAN_OPTIONS=f"exitcode={SANITIZER_CODE}:detect_leaks=1",
        TSAN_OPTIONS=f"exitcode={SANITIZER_CODE}:halt_on_error=1",
        UBSAN_OPTIONS=f"exitcode={SANITIZER_CODE}:halt_on_error=1:print_stacktrace=1",
    )
    return kept


def run(*argv, code=OK, input=None, seconds=30, text=True, **options):
    """Runs a program to its end and checks its exit code; returns the finished process with what it
    wrote. When it takes too long it is killed, with all that it has started."""
    argv = [str(a) for a in argv]
    process = subprocess.Popen(
        argv,
        env=environment(),
        stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=text,
        start_new_session=True,  # no terminal to ask on, wherever the tests run
        **options,
    )
    try:
        out, err = process.communicate(input, seconds * SLOWNESS)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    shown = err if text else err.decode("utf-8", "replace")
    told = f"$ {' '.join(argv)}\nexit code {process.returncode}\n{shown}"
    assert not SANITIZER_TEXT.search(shown), told
    if code is not None:
        assert process.returncode == code, f"exit code {code} expected\n{told}{out if text else ''}"
    return subprocess.CompletedProcess(argv, process.returncode, out, err)


def spx(*arguments, **options):
    return run(SPX, *arguments, **options)


def fingerprint(public_key):
    """A public key's fingerprint as spx and ssh show it."""
    digest = hashlib.sha256(base64.b64decode(public_key)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


class Key:
    """A private key file and its public key as text."""

    def __init__(self, path):
        self.path = path
        self.public = spx("key", "new", path).stdout.strip()
        self.raw = base64.b64decode(self.public)
        self.fingerprint = fingerprint(self.public)


class Program:
    """A started process. Its standard error goes to a file: its log."""

    def __init__(
        self,
        name,
        argv,
        directory,
        *,
        stop_signal=signal.SIGTERM,
        stop_code=OK,
        stdin=subprocess.DEVNULL,
        stdout=None,
        terminal=False,
        cwd=None,
    ):
        self.name = name
        self.argv = [str(a) for a in argv]
        self.log_path = Path(directory) / f"{name}.log"
        self.out_path = Path(directory) / f"{name}.out"
        self.stop_signal = stop_signal
        self.stop_code = stop_code
        self.collected = False  # the test has taken the exit code
        self.terminal = None
        self.log_start = (
            self.log_path.stat().st_size if self.log_path.exists() else 0
        )  # one started again appends
        options = dict(env=environment(), cwd=cwd)
        if terminal:
            self._start_on_terminal(options)
        else:
            with open(self.log_path, "ab") as log, open(self.out_path, "ab") as out:
                self.process = subprocess.Popen(
                    self.argv,
                    stdin=stdin,
                    stdout=out if stdout is None else stdout,
                    stderr=log,
                    start_new_session=True,
                    **options,
                )
        self.pid = self.process.pid

    def _start_on_terminal(self, options):
        """Gives the process a controlling terminal of its own; what it writes there becomes the
        log."""
        self.terminal, slave = pty.openpty()
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *self.argv], stdin=slave, stdout=slave, stderr=slave, **options
        )
        os.close(slave)
        self.copier = threading.Thread(target=self._copy_terminal, daemon=True)
        self.copier.start()

    def _copy_terminal(self):
        with open(self.log_path, "ab", buffering=0) as log:
            while True:
                try:
                    data = os.read(self.terminal, 4096)
                except OSError:  # the last process has closed the other side
                    return
                log.write(data)

    def type(self, text):
        os.write(self.terminal, text.encode())

    def log(self):
        if not self.log_path.exists():
            return ""
        return self.log_path.read_bytes()[self.log_start :].decode("utf-8", "replace")

    def output(self):
        return self.out_path.read_text("utf-8", "replace") if self.out_path.exists() else ""

    def lines(self, pattern):
        """All matches of a pattern in the log so far."""
        return list(re.finditer(pattern, self.log(), re.MULTILINE))

    def expect(self, pattern, seconds=15, count=1):
        """Waits until the log has the pattern count times; returns the last of these matches."""

        def seen():
            ended = self.log_is_whole()  # before the log is read
            found = self.lines(pattern)
            if len(found) >= count:
                return found[count - 1]
            assert (
                not ended
            ), f"{self.name} ended ({self.process.returncode}), never logged {pattern!r}\n{self.tail()}"
            return None

        try:
            return wait_for(seen, seconds, f"{self.name} logs {pattern!r} ({count} times)")
        except Late as late:
            raise Late(f"{late}\n{self.tail()}") from None

    def log_is_whole(self):
        """True if the program has ended, and what it wrote to a terminal is copied."""
        copying = self.terminal is not None and self.copier.is_alive()
        return self.process.poll() is not None and not copying

    def tail(self, lines=30):
        return f"--- last lines of {self.name} ---\n" + "\n".join(self.log().splitlines()[-lines:])

    def ended(self):
        return self.process.poll() is not None

    def wait_exit(self, code, seconds=15):
        """Waits for the process to end by itself and checks its exit code."""
        wait_for(self.log_is_whole, seconds, f"{self.name} ends")
        self.collected = True
        assert (
            self.process.returncode == code
        ), f"{self.name} ended with {self.process.returncode}, not {code}\n{self.tail()}"
        assert not SANITIZER_TEXT.search(self.log()), self.tail()

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """Ends it without giving it a chance to say so."""
        self.process.kill()
        self.process.wait()
        self.collected = True

    def stop(self):
        """Ends the process if it runs; fails when its end was not the one its contract says."""
        problem = self._end()
        if self.process.stdin:
            self.process.stdin.close()
        if self.process.stdout:
            self.process.stdout.close()
        if self.terminal is not None:
            self.copier.join(5)
            os.close(self.terminal)
            self.terminal = None
        if not problem and SANITIZER_TEXT.search(self.log()):
            problem = "a sanitizer's report"
        assert not problem, f"{self.name}: {problem}\n{self.tail(60)}"

    def _end(self):
        if self.collected:
            return None
        if self.ended():
            self.collected = True
            return f"ended by itself with {self.process.returncode}"
        self.signal(self.stop_signal)
        self.collected = True
        try:
            wait_for(self.ended, 10, "it ends")
        except Late:
            self.process.kill()
            self.process.wait()
            return f"did not end within 10 s of {self.stop_signal.name}"
        if self.process.returncode != self.stop_code:
            got, name = self.process.returncode, self.stop_signal.name
            return f"ended with {got} after {name}, not {self.stop_code}"
        return None

    # The costs of the process (proc(5)).

    def _costs(self):
        return Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()

    def page_faults(self):
        """Pages that the system has given to it, without those from disk."""
        return int(self._costs()[7])

    def cpu_seconds(self):
        fields = self._costs()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_memory_bytes(self):
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024

    def descriptors(self):
        """How many it has open; only root may look into a process that permits no core dump."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def connections(self):
        """Copies of its TCP sockets that are connected (pidfd_getfd(2)): as descriptors()."""
        call = ctypes.CDLL(None, use_errno=True).syscall
        process, copies = os.pidfd_open(self.pid), []
        for number in os.listdir(f"/proc/{self.pid}/fd"):
            copy = call(SYS_PIDFD_GETFD, process, int(number), 0)
            if copy >= 0 and stat.S_ISSOCK(os.fstat(copy).st_mode):
                copies.append(socket.socket(fileno=copy))
            elif copy >= 0:
                os.close(copy)
        os.close(process)
        return [copy for copy in copies if is_connected_tcp(copy)]


def is_connected_tcp(sock):
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != socket.SOCK_STREAM:
        return False
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == b"\x01"  # TCP_ESTABLISHED


class Says:
    """The lines of logs that the harness itself waits for: every such pattern stands here."""

    LISTENING = r"listening on "
    ONLINE = r"online at relay .+ as "
    FORWARDING = r"forwarding \[?([0-9a-fA-F.:]+?)\]?:(\d+) to (\S+)"
    CONNECTED = r"connected to agent (\S+) through relay (.+), circuit ([0-9a-fA-F]{8})"
    LOST = r"(?:circuit|link) lost: (.+); resuming"
    RESUMED = r"resumed after (.+), nothing lost: through relay (.+), circuit ([0-9a-f]{8})"


class Client(Program):
    """A client with -L: what its log says of where it listens and of its circuit."""

    CONNECTED, RESUMED = Says.CONNECTED, Says.RESUMED

    def connected(self, count=1, seconds=15):
        """Waits for the count-th connection; returns the circuit's id."""
        return self.expect(self.CONNECTED, seconds, count)[3]

    def lost(self, count=1, seconds=15):
        """Waits until the client says for the count-th time that its circuit is gone."""
        return self.expect(Says.LOST, seconds, count)[1]

    def resumed(self, count=1, seconds=40):
        """Waits until the session has moved to its count-th further circuit; returns the relay's
        address and the circuit's id."""
        found = self.expect(self.RESUMED, seconds, count)
        return found[2], found[3]

    def address(self, index=0):
        """Where the forward of this index listens, as (host, port)."""
        found = self.expect(Says.FORWARDING, 10, index + 1)
        return found[1], int(found[2])

    def dial(self, index=0, seconds=20):
        """Connects to a forward as an application does."""
        connection = socket.create_connection(self.address(index), timeout=seconds * SLOWNESS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


def ini(*sections):
    """The text of a configuration file: (name, {key: value}) in order; a value None is left out,
    a list is a line for each."""
    lines = []
    for name, keys in sections:
        lines.append(f"[{name}]")
        for key, value in keys.items():
            values = value if isinstance(value, list) else [value]
            lines += [f"{key} = {one}" for one in values if one is not None]
        lines.append("")
    return "\n".join(lines)


class World:
    """The directory, keys, configurations and processes of one test."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.programs = []
        self.keys = {}
        self.relay_address = endpoint(LOOPBACK, free_port())
        self.binary = [SPX]
        self.binary_of = {}  # role -> what it runs instead

    def key(self, name):
        """The key of a party, made when it is first asked for."""
        if name not in self.keys:
            self.keys[name] = Key(self.directory / f"{name}.key")
        return self.keys[name]

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return path

    # Configuration files. A dictionary of users or agents maps a name to what is particular to it.

    def relay_conf(self, users=None, agents=None, listen=None, name="relay", **more):
        """users: name -> the agents allowed; agents: name -> further keys of its section."""
        users = {"alice": "*"} if users is None else users
        agents = {"lab-1": {}} if agents is None else agents
        sections = [
            (
                "Relay",
                {"Listen": listen or self.relay_address, "KeyFile": self.key(name).path, **more},
            )
        ]
        sections += [
            ("User", {"Name": user, "PublicKey": self.key(user).public, "Agents": allowed})
            for user, allowed in users.items()
        ]
        sections += [
            ("Agent", {"Name": agent, "PublicKey": self.key(agent).public, **keys})
            for agent, keys in agents.items()
        ]
        return self.write(f"{name}.conf", ini(*sections))

    def agent_conf(
        self,
        name="lab-1",
        users=None,
        relay=None,
        relay_key="relay",
        called=None,
        listen=None,
        key=None,
        more_relays=(),
        **more,
    ):
        """users: name -> the targets allowed; relay "": the relay dials; called: a name other than
        the key's; more_relays: (address, name of the key) of each."""
        users = {"alice": "tcp:127.0.0.1:*"} if users is None else users
        address = self.relay_address if relay is None else relay or None
        sections = [
            (
                "Agent",
                {
                    "Name": called or name,
                    "KeyFile": self.key(key or name).path,
                    "Listen": listen,
                    **more,
                },
            ),
            *self.relay_sections((address, relay_key), *more_relays),
        ]
        sections += [
            ("User", {"Name": user, "PublicKey": self.key(user).public, "Allow": allow})
            for user, allow in users.items()
        ]
        return self.write(f"agent-{name}.conf", ini(*sections))

    def relay_sections(self, *relays):
        return [
            ("Relay", {"Address": address, "PublicKey": self.key(key).public})
            for address, key in relays
        ]

    def client_conf(
        self,
        user="alice",
        relay=None,
        relay_key="relay",
        agents=("lab-1",),
        known=None,
        key=None,
        more_relays=(),
        forward=None,
        **more,
    ):
        """agents: those whose key stands in the file, as names or name -> name of the key;
        more_relays: (address, name of the key) of each; forward: the Forward lines of each
        agent."""
        agents = agents if isinstance(agents, dict) else {agent: agent for agent in agents}
        known = self.directory / f"known-{user}" if known is None else known
        sections = [
            ("Client", {"KeyFile": self.key(key or user).path, "KnownAgents": known, **more}),
            *self.relay_sections((relay or self.relay_address, relay_key), *more_relays),
        ]
        sections += [
            ("Agent", {"Name": agent, "PublicKey": self.key(of).public, "Forward": forward})
            for agent, of in agents.items()
        ]
        return self.write(f"client-{user}.conf", ini(*sections))

    # Processes. Each is stopped when the test ends, the last one started first.

    def argv(self, role, conf, *words):
        """The command line of a role."""
        return [*self.binary_of.get(role, self.binary), role, "-c", str(conf), *words]

    def start(self, program):
        self.programs.append(program)
        return program

    def start_relay(self, *, conf=None, name="relay", options=(), **config):
        conf = conf or self.relay_conf(name=name, **config)
        relay = self.start(Program(name, self.argv("relay", conf, *options), self.directory))
        relay.expect(Says.LISTENING)
        return relay

    def start_agent(self, name="lab-1", *, conf=None, online=True, options=(), **config):
        conf = conf or self.agent_conf(name, **config)
        agent = self.start(
            Program(f"agent-{name}", self.argv("agent", conf, *options), self.directory)
        )
        if online:
            agent.expect(Says.ONLINE)
        return agent

    def start_client(
        self,
        *arguments,
        conf=None,
        agent="lab-1",
        name=None,
        connected=True,
        terminal=False,
        stdin=subprocess.DEVNULL,
        stdout=None,
        options=(),
        **config,
    ):
        """arguments: the forwards and what else follows the agent's name; options: what stands
        before it."""
        conf = conf or self.client_conf(**config)
        name = name or f"client-{sum(isinstance(p, Client) for p in self.programs) + 1}"
        client = self.start(
            Client(
                name,
                self.argv("client", conf, *options, agent, *arguments),
                self.directory,
                stop_signal=signal.SIGINT,
                stop_code=INTERRUPTED,
                terminal=terminal,
                stdin=stdin,
                stdout=stdout,
            )
        )
        if connected:
            client.connected()
        return client

    def start_all(self, *ports, host=LOOPBACK, **client):
        """A relay, an agent, and a client that forwards to these ports of the host."""
        relay, agent = self.start_relay(), self.start_agent()
        return relay, agent, self.start_client(*forwards(*ports, host=host), **client)

    def pipe_argv(self, target, agent="lab-1", conf=None, **config):
        """The command line of a client that carries its standard input and output to a target."""
        return self.argv("client", conf or self.client_conf(**config), "-W", target, agent)

    def run_pipe(self, target="127.0.0.1:9", code=OK, input="", seconds=30, **config):
        return run(*self.pipe_argv(target, **config), code=code, input=input, seconds=seconds)

    def list_agents(self, *query, user="alice", code=OK):
        return run(*self.argv("client", self.client_conf(user), "list", *query), code=code).stdout

    def stop_all(self):
        """Stops what still runs; all of it, before the first problem is told."""
        problems = []
        for program in reversed(self.programs):
            try:
                program.stop()
            except AssertionError as problem:
                problems.append(str(problem))
        assert not problems, "\n".join(problems)

    def tails(self):
        """(title, text) of every log, each once."""
        logs = sorted({program.log_path for program in self.programs})
        return [
            (path.name, "\n".join(path.read_text("utf-8", "replace").splitlines()[-40:]))
            for path in logs
            if path.exists()
        ]


def forwards(*ports, host=LOOPBACK):
    """-L options that listen on ports the system chooses."""
    listen = "[::1]" if ":" in host else LOOPBACK
    options = []
    for port in ports:
        options += ["-L", f"{listen}:0:{endpoint(host, port)}"]
    return options
