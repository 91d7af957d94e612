"""Where spx's processor time goes while it carries bulk, if the machine has perf."""
import re
import shutil

from parts import bulk
from peers import spx
from rig import ROOT, Failed, run

WITH_SYMBOLS = ROOT / "build" / "release" / "spx.full"
SECONDS = 3
LARGEST = 10


def report(data, pid):
    said = run(
        *("perf", "report", "-i", data, "--stdio", "--no-children", "--pid", pid),
        *("--sort", "symbol", "--percentage", "relative"),
    )
    found = re.findall(r"^\s*([\d.]+)%\s+\[(.)\]\s+(\S+)", said, re.MULTILINE)
    return [(float(share), f"[{where}] {name}") for share, where, name in found[:LARGEST]]


def run_part(bench):
    if not shutil.which("perf"):
        raise Failed("there is no perf on this machine")
    tunnel = spx.Peer(bench.rig, bench.network, bench.rig.port())
    tunnel.binary = WITH_SYMBOLS
    tunnel.start()
    data = tunnel.directory / "perf.data"
    pids = ",".join(str(pid) for pid in tunnel.pids())
    recorder = bench.rig.spawn(
        "perf",
        [
            "perf",
            "record",
            "-e",
            "cpu-clock",
            "-F",
            "999",
            "-p",
            pids,
            "-o",
            data,
            "--",
            "sleep",
            SECONDS,
        ],
    )
    bulk.iperf(tunnel, SECONDS)
    recorder.wait(SECONDS + 10)
    return {site: report(data, tunnel.pids(site)[0]) for site in tunnel.processes}
