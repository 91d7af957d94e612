"""The machine that the results were measured on."""
import os
import platform
import re
import time
from pathlib import Path

from peers import peer_class
from rig import SPX, congestion_control, run


def processor():
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def debian_version(package):
    return run("dpkg-query", "-W", "-f", "${Version}", package)


def describe(rows):
    packages = sorted({name for row in rows for name in peer_class(row).package} | {"iperf3"})
    memory_kb = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1])
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gb": memory_kb / 1e6,
        "kernel": f"{platform.system()} {platform.release()}",
        "congestion_control": congestion_control(),
        "load": os.getloadavg()[0],
        "spx": ", ".join(run(SPX, "--version").splitlines()[:2]),
        "versions": {name: debian_version(name) for name in packages},
    }
