"""`make install` and `make uninstall`, and what the README says of the file that is installed."""
import os
import re
import shutil
import stat

import pytest

from harness import CONFIG, ROOT, SPX, is_sanitized, run, spx

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
    for applet in ("client", "relay", "agent", "key", "permit", "audit"):
        link = binaries / f"spx-{applet}"
        assert os.readlink(link) == "spx"
        assert run(link, "--help").stdout == spx(applet, "--help").stdout
    for page in (ROOT / "docs").glob("*.[15]"):
        assert (place / "share" / "man" / f"man{page.suffix[1:]}" / page.name).exists()
    for shell in ("bash-completion/completions/{}", "fish/vendor_completions.d/{}.fish"):
        for name in ("spx", "spx-client", "spx-relay", "spx-agent", "spx-key", "spx-permit", "spx-audit"):
            assert (place / "share" / shell.format(name)).read_text().startswith("# Completions of spx")
    assert (place / "share/zsh/site-functions/_spx").exists()
    for unit in ("relay", "agent"):
        text = (units / f"spx-{unit}.service").read_text()
        assert re.findall("^ExecStart=.*", text, re.MULTILINE) == [
            f'ExecStart="{PREFIX}/bin/spx" {unit} -c /etc/spx/{unit}.conf'
        ]
        assert "/usr/local" not in text
        assert re.findall("^ExecReload=.*", text, re.MULTILINE) == [
            f'ExecReload="{PREFIX}/bin/spx" {unit} -c /etc/spx/{unit}.conf --check',
            "ExecReload=/bin/kill -HUP $MAINPID",
        ]
    make(world, "uninstall")
    assert files_of(root) == set()


def test_user_and_directory_of_the_units(world):
    """systemd makes the units' user and /etc/spx from what is installed; files that are there can be
    read by that user, and by root alone be written."""
    if os.geteuid() or not shutil.which("systemd-sysusers") or not shutil.which("systemd-tmpfiles"):
        pytest.skip("needs root and systemd's programs")
    root = world.directory / "the root"
    make_with = ["env", "-u", "MAKEFLAGS", "make", "-s", "-C", ROOT, "install"]
    run(*make_with, f"DESTDIR={root}", "PREFIX=/usr", seconds=60)
    (root / "etc").mkdir()
    run("systemd-sysusers", f"--root={root}")
    user = re.search("^spx:x:([0-9]+):([0-9]+):", (root / "etc/passwd").read_text(), re.MULTILINE)
    (root / "etc/spx").mkdir()
    for name in ("relay.conf", "relay.key"):
        (root / "etc/spx" / name).touch()
    run("systemd-tmpfiles", f"--root={root}", "--create", "spx.conf")
    for name, mode in {".": 0o750, "relay.conf": 0o640, "relay.key": 0o640}.items():
        status = os.stat(root / "etc/spx" / name)
        assert (status.st_uid, status.st_gid) == (0, int(user[2])), name
        assert stat.S_IMODE(status.st_mode) == mode, name
    for unit in ("relay", "agent"):
        assert "\nUser=spx\n" in (root / f"usr/lib/systemd/system/spx-{unit}.service").read_text()


@pytest.mark.parametrize("role", ["relay", "agent", "client"])
def test_examples_are_right(world, role):
    """With keys in them, and also with each line that is only shown taken in; together they have every
    key that the manual page explains. As they stand they are refused: the keys are nobody's."""
    text = (ROOT / "share" / f"{role}.conf").read_text()
    world.directory.joinpath(f"{role}.key").write_bytes(world.key(role).path.read_bytes())
    world.directory.joinpath(f"{role}.key").chmod(0o600)
    refused = spx(role, "--check", "-c", world.write(f"{role}.conf", text), code=CONFIG)
    assert re.search(r":\d+: PublicKey: 'PUBLIC/KEY/OF/\S+' stands for a key; put here what", refused.stderr)
    authority = spx("key", "new", "--authority", world.directory / "authority.key").stdout.strip()
    text = re.sub("PUBLIC/KEY/OF/THE/AUTHORITY/HERE\\S+", authority, text)
    text = re.sub("PUBLIC/KEY/OF/([A-Z0-9/]+)/HERE\\S+", lambda found: world.key(found[1].replace("/", "-").lower()).public, text)
    assert "PUBLIC/KEY" not in text
    whole = re.sub("^#([A-Z][A-Za-z]* = |\\[)", r"\1", text, flags=re.MULTILINE)
    assert whole != text
    # The user of the units, whom this machine need not have.
    whole = re.sub("^(User|Group) = spx$", r"\1 = root", whole, flags=re.MULTILINE)
    whole = re.sub("^OnEvent = .*", f"OnEvent = {os.path.realpath('/bin/true')}", whole, flags=re.MULTILINE)
    vouched = world.directory / "statement"
    vouched.write_text(
        spx("permit", "agent", "--authority", world.directory / "authority.key", "--name",
            "boston-vmax-01", "--key", world.key("boston-vmax-01").public).stdout
    )  # fmt: skip
    whole = re.sub("^Statement = .*", f"Statement = {vouched}", whole, flags=re.MULTILINE)
    for example in (text, whole):
        checked = spx(role, "--check", "-c", world.write(f"{role}.conf", example))
        assert ".conf: OK\n" in checked.stdout
    page = (ROOT / "docs" / f"spx-{role}.conf.5").read_text()
    explained = set(re.findall(r"^\.It Cm ([A-Z]\w+)$", page, re.MULTILINE))
    earlier = {"CallSocket"}  # a name that is still taken, and not shown
    assert explained - earlier == set(re.findall("^([A-Z][A-Za-z]*) = ", whole, re.MULTILINE))


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
