"""The ground of the benchmark: a temporary directory, processes that are all stopped by their id
however it ends, the network they are in, and what proc(5) tells of them."""
import contextlib
import ctypes
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "bench"
SPX = ROOT / "spx"
PROBE = BUILD / "probe"
START_S = 30
PR_SET_PDEATHSIG = 1
IDLE_S, IDLE_BUSY, IDLE_WAIT_S = 0.1, 0.1, 4
CPUCLOCK_SCHED = 2  # a process's own clock, by its id: see clock_getcpuclockid(3)
CLK_TCK = os.sysconf("SC_CLK_TCK")
CONTROL = "/proc/sys/net/ipv4/tcp_congestion_control"

libc = ctypes.CDLL(None)


class Failed(Exception):
    """Something that is measured does not work; told in the results, not hidden."""


def wait_for(condition, what, seconds=START_S):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.005)
    return value


def run(*argv, seconds=60, check=True):
    """Runs a program to its end; what it wrote on standard output."""
    argv = [str(a) for a in argv]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as late:
        raise Failed(str(late)) from None
    if check and done.returncode != 0:
        raise Failed(
            f"{argv[0]} ended with {done.returncode}: {done.stderr[-500:]}{done.stdout[-500:]}"
        )
    return done.stdout


class Network:
    """Where the three sites are. Here all are this namespace's loopback."""

    delay_ms = 0
    relay_seen_by_client = relay_seen_by_agent = agent_seen_by_relay = "127.0.0.1"

    def enter(self, _site):
        """The words before a command that is to run at a site: client, relay or agent."""
        return []


class DelayedNetwork(Network):
    """A namespace for each site, and a link with a delay on either side of the relay's."""

    relay_seen_by_client, relay_seen_by_agent, agent_seen_by_relay = (
        "10.9.1.2",
        "10.9.2.2",
        "10.9.2.3",
    )

    def __init__(self, rig, delay_ms, mbit, control):
        self.delay_ms, self.mbit = delay_ms, mbit
        self.process = rig.spawn("delay", [BUILD / "delay", delay_ms, mbit, control])
        said = wait_for(lambda: self._said(rig.log(self.process)), "the delaying network")
        self.namespaces = {site: f"/proc/{self.process.pid}/fd/{fd}" for site, fd in said.items()}

    def _said(self, log):
        return "ready" in log and dict(re.findall(r"^(\w+) (\d+)$", log, re.MULTILINE))

    def enter(self, site):
        return ["nsenter", f"--net={self.namespaces[site]}"]


class Rig:
    """The directory and processes of one run."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="spx-bench."))
        self.processes = []
        self.last_port = 10000
        self.started = 0
        BUILD.mkdir(parents=True, exist_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            self._end(process)
        shutil.rmtree(self.directory)

    def port(self):
        """A port that nothing else here uses: below those the namespace gives to connections."""
        self.last_port += 1
        return self.last_port

    def make(self, name):
        """A new directory in the temporary one."""
        return Path(tempfile.mkdtemp(prefix=f"{name}.", dir=self.directory))

    def spawn(self, name, argv, prefix=(), stdin=subprocess.DEVNULL):
        """Starts a program; what it says goes to a log of its own."""
        self.started += 1
        name = f"{self.started}-{name}"
        with open(self.directory / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                [str(a) for a in (*prefix, *argv)],
                stdin=stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env={
                    "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
                    "HOME": str(self.directory),
                    "LC_ALL": "C",
                },
                preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
            )
        process.name = name
        self.processes.append(process)
        return process

    @contextlib.contextmanager
    def scope(self):
        """Processes that are started inside and still run are stopped at the end."""
        before = list(self.processes)
        try:
            yield
        finally:
            for process in [one for one in reversed(self.processes) if one not in before]:
                self.stop(process)

    def stop(self, process):
        self._end(process)
        self.processes.remove(process)

    @staticmethod
    def _end(process):
        if process.stdin:
            process.stdin.close()
        family = descendants(process.pid)
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(sign)
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    continue
        for pid, started in family:
            if start_time(pid) == started:
                os.kill(pid, signal.SIGTERM)

    def log(self, process):
        return (self.directory / f"{process.name}.log").read_text("utf-8", "replace")

    def await_log(self, process, pattern, seconds=START_S):
        def seen():
            ended = process.poll() is not None
            if re.search(pattern, self.log(process)):
                return True
            if ended:
                raise Failed(f"{process.name} ended: {self.log(process)[-500:]}")
            return False

        wait_for(seen, f"{process.name} says {pattern!r}", seconds)

    def await_listening(self, process, port):
        def listening():
            if process.poll() is not None:
                raise Failed(f"{process.name} ended: {self.log(process)[-500:]}")
            return port in listening_ports(process.pid)

        wait_for(listening, f"{process.name} listens")


def listening_ports(pid):
    """The TCP ports that somebody listens on in the namespace of a process."""
    ports = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A":
                ports.add(int(fields[1].rsplit(":", 1)[1], 16))
    return ports


# ---- Processes as proc(5) shows them. ----


def stat(pid):
    """The fields of /proc/PID/stat from the state on; None when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None


def start_time(pid):
    fields = stat(pid)
    return fields and fields[19]


def descendants(root):
    """(pid, start time) of all processes below one."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := stat(entry)):
            children.setdefault(int(fields[1]), []).append((int(entry), fields[19]))
    found, todo = [], [root]
    while todo:
        more = children.get(todo.pop(), [])
        found += more
        todo += [pid for pid, _ in more]
    return found


def families(roots):
    """The processes and all below them."""
    return [pid for root in roots for pid in (root, *(pid for pid, _ in descendants(root)))]


def cpu_seconds(pid):
    """(all, user, system) of a process so far, of all its threads, ended ones too; None when it is
    gone. The sum is exact (the process's own clock); the parts come from clock ticks."""
    fields = stat(pid)
    try:
        exact = time.clock_gettime((~pid << 3) | CPUCLOCK_SCHED)
    except OSError:
        return None
    if fields is None:
        return None
    return (exact, int(fields[11]) / CLK_TCK, int(fields[12]) / CLK_TCK)


def busy_ticks():
    """Of all processors, since the machine's start."""
    user, nice, system, _idle, _iowait, irq, softirq = (
        int(ticks) for ticks in Path("/proc/stat").read_text().split("\n")[0].split()[1:8]
    )
    return user + nice + system + irq + softirq


def await_idle():
    """Until what ran before has come to rest: some peers go on for a while with what they still hold
    of a run that is over. Not for ever: the machine may be busy with other work."""
    deadline = time.monotonic() + IDLE_WAIT_S
    while time.monotonic() < deadline:
        before = busy_ticks()
        time.sleep(IDLE_S)
        if busy_ticks() - before <= IDLE_BUSY * IDLE_S * CLK_TCK * os.cpu_count():
            return


class Cpu:
    """The resources that some processes use between its making and done()."""

    def __init__(self, roots):
        self.before = [(pid, cpu) for pid in families(roots) if (cpu := cpu_seconds(pid))]

    def done(self):
        """(all, user, system) seconds; user and system share the exact sum as their ticks do."""
        total = user = system = 0.0
        for pid, before in self.before:
            delta = [b - a for a, b in zip(before, cpu_seconds(pid) or before)]
            total, user, system = total + delta[0], user + delta[1], system + delta[2]
        ticks = user + system
        return (
            (total, total * user / ticks, total * system / ticks) if ticks else (total, 0.0, total)
        )


def memory(pid):
    """Of one process, in bytes: its part of what it shares (pss), its own alone (private)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    value = {k: int(v) * 1024 for k, v in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    return {"pss": value["Pss"], "private": value["Private_Clean"] + value["Private_Dirty"]}


def resident(pid):
    """(now, at most so far) in bytes."""
    text = Path(f"/proc/{pid}/status").read_text()
    return tuple(
        int(re.search(rf"{key}:\s+(\d+) kB", text)[1]) * 1024 for key in ("VmRSS", "VmHWM")
    )


def set_congestion_control(name):
    """Of this namespace, which is the benchmark's own."""
    Path(CONTROL).write_text(name)


def congestion_control():
    return Path(CONTROL).read_text().strip()


def congestion_controls():
    """Those to measure under: this namespace's own, and cubic if it may have that. A namespace takes
    none that the machine has not allowed (net.ipv4.tcp_allowed_congestion_control)."""
    own = congestion_control()
    try:
        set_congestion_control("cubic")
    except PermissionError:
        return [own]
    set_congestion_control(own)
    return list(dict.fromkeys((own, "cubic")))


def raise_descriptor_limit(count):
    """For this process and those it starts: as far as it may."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(count, hard), max(count, hard)))
    except ValueError:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def descriptor_limit():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
