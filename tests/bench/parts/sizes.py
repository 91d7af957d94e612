"""Sizes on disk, of a peer's programs and of the shared libraries that they need."""
import re
import shutil
import subprocess
from pathlib import Path

from peers import peer_class


def size(path):
    """Of the file that a path leads to."""
    return Path(path).resolve().stat().st_size


def libraries(program):
    """The shared libraries of a program; none of a static one, which ldd refuses or says so."""
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    return re.findall(r"(/\S+) \(0x", done.stdout)


def measure(programs):
    paths = [shutil.which(one, path="/usr/bin:/usr/sbin") or str(one) for one in programs]
    needed = {str(Path(lib).resolve()) for path in paths for lib in libraries(path)}
    return {
        "program": sum(size(path) for path in paths),
        "libraries": {lib: size(lib) for lib in sorted(needed)},
    }


def run_part(bench):
    programs = {row: peer_class(row).programs for row in bench.rows}
    return {row: measure(some) for row, some in programs.items() if some}
