"""Permits: issued, shown and checked on the command line."""
import base64
import re
import shlex

import pytest

from harness import CONFIG, DENIED, NOT_AUTHENTICATED, OTHER, SPX, SPX_GLIBC, USAGE, is_sanitized, run, spx
from test_rules import FAKETIME

pytestmark = pytest.mark.usefixtures("steady")


class Office:
    """An authority and a user, and permits in files."""

    def __init__(self, directory):
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.key = directory / "authority.key"
        self.public = spx("key", "new", "--authority", self.key).stdout.strip()
        self.user = spx("key", "new", directory / "user.key").stdout.strip()

    def issue(self, *words, name="permit"):
        path = self.directory / name
        said = spx("permit", "issue", "--authority", self.key, "--user", "alice", "--key", self.user, *words)
        path.write_text(said.stdout)
        return path

    def check(self, path, *words, code=0):
        return spx("permit", "check", "--authority", self.public, *words, path, code=code)


def forge(permit):
    """A bit of its signature is another: whoever does not look at that is none the wiser."""
    begin, *lines, end = permit.read_text().splitlines()
    data = bytearray(base64.b64decode("".join(lines)))
    data[2 + int.from_bytes(data[:2], "big") + 5] ^= 1
    text = base64.b64encode(data).decode()
    permit.write_text("\n".join([begin, *re.findall(".{1,64}", text), end]) + "\n")
    return permit


@pytest.fixture
def office(world):
    return Office(world.directory)


BOSTON = ("--agents", "boston-*", "--scope", "acme")
THERE = ("--agent", "boston-1", "--scope", "acme")


def test_authority_key(world, office):
    """The file is private, its public key has 88 characters and can be shown again; it is no key of
    a party, and that of a party none of an authority."""
    assert re.fullmatch(r"[A-Za-z0-9+/]{86}==", office.public)
    assert office.key.stat().st_mode & 0o777 == 0o600
    assert spx("key", "public", office.key).stdout.strip() == office.public
    assert run("sh", "-c", f"{shlex.quote(str(SPX))} key public < {shlex.quote(str(office.key))}").stdout.strip() == office.public
    before = office.key.read_text()
    spx("key", "new", "--authority", office.key, code=OTHER)
    assert office.key.read_text() == before
    failed = spx(
        "permit", "issue", "--authority", world.directory / "user.key", "--user", "alice",
        "--key", office.user, *BOSTON, code=CONFIG,
    )  # fmt: skip
    assert "holds no authority's private key" in failed.stderr
    office.key.chmod(0o644)
    assert "chmod 600" in spx("key", "public", office.key, code=CONFIG).stderr


def test_damaged_authority_key(office):
    for content in ("authority:", "authority:AAAA\n", "authority:" + "A" * 43 + "=\n"):
        office.key.write_text(content)
        assert "is damaged" in spx("key", "public", office.key, code=CONFIG).stderr


def test_issue_and_show(office):
    """A permit shows what it was issued with."""
    path = office.issue(
        *BOSTON, "--agents", "lyon-1,paris-?", "--agent-key", office.user, "--allow",
        "tcp:127.0.0.1:22, udp:*:53", "--listen", "default", "--for", "2 h", "--session", "30min",
        "--reason", "case 4711",
    )  # fmt: skip
    shown = spx("permit", "show", path).stdout
    lines = dict(re.split(r"  +", line, maxsplit=1) for line in shown.splitlines() if line[0] != " ")
    assert re.fullmatch("[0-9a-f]{32}", lines["permit"])
    assert lines["user"] == "alice"
    assert lines["key"] == office.user
    assert lines["scope"] == "acme"
    assert lines["agents' keys"] == office.user
    assert lines["listen"] == "default"
    assert lines["longest session"] == "30 min"
    assert lines["reason"] == "case 4711"
    assert re.search(r"\(in (2 h|1 h 59 min|1 h 60 min)\)$", lines["good until"])
    for word in ("boston-*", "lyon-1", "paris-?", "tcp:127.0.0.1:22", "udp:*:53"):
        assert re.search(rf"  {re.escape(word)}$", shown, re.MULTILINE)


def test_two_permits_differ(office):
    """The same twice has two salts, and so two ids."""
    first, second = office.issue(*BOSTON, name="a"), office.issue(*BOSTON, name="b")
    assert first.read_text() != second.read_text()


def test_check(office):
    path = office.issue(*BOSTON)
    assert "good for agent boston-1 until" in office.check(path, *THERE).stdout
    elsewhere = office.check(path, "--agent", "boston-1", "--scope", "other", code=DENIED)
    assert "the permit is not for agent boston-1 of scope other" in elsewhere.stderr
    office.check(path, "--agent", "lyon-1", "--scope", "acme", code=DENIED)
    office.check(path, "--agent", "boston-1", code=DENIED)
    by_key = office.issue("--agent-key", office.user, name="by-key")
    office.check(by_key, "--agent", "any", "--agent-key", office.user)
    office.check(by_key, "--agent", "any", code=DENIED)


def test_check_of_another_authority(world, office):
    path = office.issue(*BOSTON)
    office.check(forge(office.issue(*BOSTON, name="forged")), *THERE, code=NOT_AUTHENTICATED)
    other = spx("key", "new", "--authority", world.directory / "other.key").stdout.strip()
    failed = spx("permit", "check", "--authority", other, *THERE, path, code=NOT_AUTHENTICATED)
    assert "this authority has not signed the permit" in failed.stderr


def test_check_of_times(office):
    path = office.issue(*BOSTON, "--from", "2099-01-01", "--for", "1h")
    failed = office.check(path, *THERE, code=DENIED)
    assert "is not good before Thu 2099-01-01 00:00 +00:00; the clock here shows" in failed.stderr


@pytest.mark.skipif(not FAKETIME or is_sanitized(SPX_GLIBC), reason="needs libfaketime alone")
def test_check_later(office):
    path = office.issue(*BOSTON, "--for", "1h")
    late = run(
        "env", f"LD_PRELOAD={FAKETIME[0]}", "FAKETIME=+2h", SPX_GLIBC, "permit", "check",
        "--authority", office.public, *THERE, path, code=DENIED,
    )  # fmt: skip
    assert "the permit was good until" in late.stderr


def test_in_a_mail(office):
    """A mail around a permit does no harm; damage is told."""
    path = office.issue(*BOSTON)
    text = path.read_text()
    path.write_text("Dear Alice,\r\n\r\n" + re.sub("^", "> ", text, flags=re.M).replace("\n", "\r\n"))
    office.check(path, *THERE)
    assert spx("permit", "show", "-", code=CONFIG, input="").stderr.strip().endswith(
        "standard input: holds no permit; expected a line '-----BEGIN SPX PERMIT-----' and what follows it"
    )
    path.write_text(text.replace("A", "B", 1))
    assert re.search("damaged|malformed|belong", spx("permit", "show", path, code=CONFIG).stderr)
    path.write_text(text + text)
    assert "there are two" in spx("permit", "show", path, code=CONFIG).stderr


def test_too_long(office):
    """A permit has at most 2,048 bytes."""
    targets = ",".join(f"tcp:host-{n:058}:22" for n in range(30))
    failed = spx(
        "permit", "issue", "--authority", office.key, "--user", "alice", "--key", office.user,
        *BOSTON, "--allow", targets, code=USAGE,
    )  # fmt: skip
    assert "would have more than 2048 bytes" in failed.stderr
