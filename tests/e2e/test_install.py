"""`make install` and `make uninstall`, and what the README says of the file that is installed."""
import os
import re
import stat

import pytest

from harness import ROOT, SPX, is_sanitized, run, spx

PREFIX = "/opt/a place"


def make(world, target):
    settings = [f"DESTDIR={world.directory / 'the root'}", f"PREFIX={PREFIX}"]
    run("env", "-u", "MAKEFLAGS", "make", "-s", "-C", ROOT, target, *settings, seconds=60)
    return world.directory / "the root"


def files_of(root):
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def test_install_and_uninstall(world):
    """Program, links, manual pages and units go under DESTDIR and PREFIX, also with a space in them;
    the links are the applets, the units name the program, and uninstall takes all of it away."""
    root = make(world, "install")
    place = root / PREFIX.lstrip("/")
    binaries, units = place / "bin", place / "lib" / "systemd" / "system"
    assert stat.S_IMODE((binaries / "spx").stat().st_mode) == 0o755
    for applet in ("client", "relay", "agent", "key"):
        link = binaries / f"spx-{applet}"
        assert os.readlink(link) == "spx"
        assert run(link, "--help").stdout == spx(applet, "--help").stdout
    for page in (ROOT / "docs").glob("*.[15]"):
        assert (place / "share" / "man" / f"man{page.suffix[1:]}" / page.name).exists()
    for unit in ("relay", "agent"):
        text = (units / f"spx-{unit}.service").read_text()
        assert re.findall("^ExecStart=.*", text, re.MULTILINE) == [
            f'ExecStart="{PREFIX}/bin/spx" {unit} -c /etc/spx/{unit}.conf'
        ]
        assert re.findall("^ExecReload=.*", text, re.MULTILINE) == [
            f'ExecReload="{PREFIX}/bin/spx" {unit} -c /etc/spx/{unit}.conf --check',
            "ExecReload=/bin/kill -HUP $MAINPID",
        ]
    make(world, "uninstall")
    assert files_of(root) == set()


def test_program_is_one_small_static_file():
    """The program needs no other file, has no symbols, and is as small as the README says."""
    if is_sanitized(SPX):
        pytest.skip("a build with sanitizers is linked dynamically, and large")
    ldd = run("ldd", SPX, code=None)
    assert re.search("not a dynamic executable|statically linked", ldd.stdout + ldd.stderr)
    size = os.stat(SPX).st_size
    told = re.search(r"static file of (under|about) (\d+) KB", (ROOT / "README.md").read_text())
    assert size < 1000 * int(told[2]) * (1 if told[1] == "under" else 1.05)
    with open(SPX, "rb") as file:
        assert b".symtab\0" not in file.read()
