#!/usr/bin/python3
"""Measures spx beside its peers and writes RESULTS.md. `make bench` builds what it needs and runs it.

Everything happens in a network namespace of its own (so that the machine's settings stay as they
are), in a temporary directory, with keys and configurations made there. Needs root, for namespaces.
"""
import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import machine  # noqa: E402
import report  # noqa: E402
from parts import PARTS, part  # noqa: E402
from peers import ROWS, peer_class  # noqa: E402
from rig import BUILD, PROBE, Failed, Network, Rig, raise_descriptor_limit, run  # noqa: E402

HERE = Path(__file__).resolve().parent
INSIDE = "SPX_BENCH_NAMESPACE"
DESCRIPTORS = 60000


class Bench:
    """One run: its rig, what is to be measured, and what was."""

    def __init__(self, rig, options):
        self.rig, self.rows = rig, options.rows
        self.rounds, self.seconds = options.rounds, options.seconds
        self.network = Network()
        self.failures = []

    @contextlib.contextmanager
    def tolerates(self, row, tunnels=None):
        """A peer that fails is told in the results and left out; the others go on."""
        try:
            yield
        except (Failed, OSError, ValueError, KeyError) as failure:
            self.failures.append(f"{row}: {failure}")
            print(f"    {row}: {failure}", file=sys.stderr)
            if tunnels and row in tunnels:
                tunnels.pop(row).stop()

    @contextlib.contextmanager
    def tunnels(self, rows, target, network=None, start="start"):
        """The peers of these rows, all running; start="serve": all but their clients."""
        started = {}
        for row in rows:
            tunnel = peer_class(row)(self.rig, network or self.network, target)
            started[row] = tunnel
            with self.tolerates(row, started):
                getattr(tunnel, start)()
        try:
            yield started
        finally:
            for tunnel in started.values():
                tunnel.stop()

    @contextlib.contextmanager
    def echo(self, network=None):
        """The echo server at the agent's site; its port."""
        port = self.rig.port()
        prefix = (network or self.network).enter("agent")
        server = self.rig.spawn("echo", [PROBE, "echo", port], prefix=prefix)
        self.rig.await_listening(server, port)
        try:
            yield port
        finally:
            self.rig.stop(server)

    def measure(self, parts):
        results = {}
        for name in parts:
            began = time.monotonic()
            print(f"  {name} ...", flush=True)
            with self.tolerates(name), self.rig.scope():
                results[name] = part(name).run_part(self)
            print(f"  {name}: {time.monotonic() - began:.0f} s", flush=True)
        return results


def enter_namespace():
    """Goes on as root in a network namespace of its own, whose loopback is up."""
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    if prefix and not shutil.which("sudo"):
        sys.exit("bench.py: it needs root, for network namespaces, and there is no sudo")
    argv = ["unshare", "--net", "env", f"{INSIDE}=1", sys.executable, *sys.argv]
    os.execvp((prefix + argv)[0], prefix + argv)


def prepare_namespace():
    run("ip", "link", "set", "lo", "up")
    for name, value in {"ip_local_port_range": "25000 65535", "tcp_tw_reuse": "1"}.items():
        Path(f"/proc/sys/net/ipv4/{name}").write_text(value)
    raise_descriptor_limit(DESCRIPTORS)


def names(known):
    """The type of an option that lists some of these names; empty: all."""

    def parse(text):
        chosen = text.replace(",", " ").replace("-", "_").split() or known
        for name in chosen:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of: {' '.join(known)}")
        return [name for name in known if name in chosen]

    return parse


def parse_options():
    parser = argparse.ArgumentParser(description="Measures spx beside its peers.")
    parser.add_argument("--rows", type=names(ROWS), default=ROWS, help=" ".join(ROWS))
    parser.add_argument("--parts", type=names(PARTS), default=PARTS, help=" ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each bulk run")
    parser.add_argument("--output", type=Path, help="default: RESULTS.md here, of a part in build")
    options = parser.parse_args()
    if not options.output:
        whole = options.rows == ROWS and options.parts == PARTS
        options.output = (HERE if whole else BUILD) / "RESULTS.md"
    return options


def save(path, text):
    """Writes a file that belongs to who owns its directory, also when root runs this."""
    path.write_text(text)
    owner = path.parent.stat()
    os.chown(path, owner.st_uid, owner.st_gid)


def main():
    options = parse_options()
    if not os.environ.get(INSIDE):
        enter_namespace()
    prepare_namespace()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    with Rig() as rig:
        bench = Bench(rig, options)
        results = {"machine": machine.describe(bench.rows), **bench.measure(options.parts)}
    results["failures"] = bench.failures
    results["took_s"] = time.monotonic() - began
    results["how"] = {"rounds": options.rounds, "seconds": options.seconds, "rows": options.rows}
    save(BUILD / "results.json", json.dumps(results, indent=1))
    save(options.output, report.markdown(results))
    print(f"{options.output}: after {results['took_s']:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
