"""Keys: `spx key new`, `spx key public`, and the same files with WireGuard's tools."""
import base64
import re
import shutil
import stat

import pytest

from harness import CONFIG, OTHER, SPX, Key, run, spx

KEY_LINE = re.compile(r"[A-Za-z0-9+/]{43}=\n")


def test_new_key(world):
    """The file is private, holds one key, and the public key is printed, nothing else."""
    path = world.directory / "new.key"
    done = spx("key", "new", path)
    assert KEY_LINE.fullmatch(done.stdout)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KEY_LINE.fullmatch(path.read_text())
    assert path.read_text() != done.stdout
    assert spx("key", "public", path).stdout == done.stdout
    assert path.read_text().strip() not in done.stdout + done.stderr


def test_new_key_under_a_strict_or_wide_umask(world):
    """The mode is 0600 whatever the umask."""
    for umask in ("000", "777"):
        path = world.directory / f"umask-{umask}.key"
        run("sh", "-c", f'umask {umask}; exec "$0" key new "$1"', SPX, path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_new_key_does_not_overwrite(world):
    """A file that is there is left as it is, also when it is a link to nowhere."""
    path = world.directory / "kept.key"
    path.write_text("kept\n")
    failed = spx("key", "new", path, code=OTHER)
    assert f"{path}: already exists; not overwritten" in failed.stderr
    assert failed.stdout == ""
    assert path.read_text() == "kept\n"
    link, target = world.directory / "link.key", world.directory / "nowhere"
    link.symlink_to(target)
    spx("key", "new", link, code=OTHER)
    assert not target.exists()


def test_new_keys_differ(world):
    """Twenty keys are twenty different ones."""
    publics = {Key(world.directory / f"{n}.key").public for n in range(20)}
    assert len(publics) == 20


def test_new_key_where_nothing_can_be_written(world):
    """A directory that is not there is named."""
    path = world.directory / "missing" / "new.key"
    assert (
        f"cannot create {path}: no such file or directory"
        in spx("key", "new", path, code=OTHER).stderr
    )


def test_public_key_from_standard_input(world):
    """Without a file the private key comes from standard input, with or without a newline."""
    key = Key(world.directory / "a.key")
    private = key.path.read_text()
    for text in (private, private.strip(), f"\n  {private}\n"):
        assert spx("key", "public", input=text).stdout == key.public + "\n"


@pytest.mark.parametrize(
    "text",
    ["", "\n", "nonsense\n", "A" * 44, "A" * 42 + "B=", base64.b64encode(bytes(31)).decode()],
)
def test_public_key_of_what_is_no_key(text):
    """A key that is not 44 characters of canonical base64 is refused, and not shown."""
    failed = spx("key", "public", input=text, code=None)
    assert failed.returncode in (1, 3)
    assert failed.stdout == ""
    assert failed.stderr
    assert not text.strip() or text.strip() not in failed.stderr


# A public key whose low bits are not those of a private one.
PUBLIC = base64.b64encode(b"\x01" + bytes(31)).decode()


def test_public_key_of_a_public_key(world):
    """A file that everybody may read and that holds a public key is not to be hidden; whatever does not
    look like a private key is said to."""
    path = world.directory / "a.pub"
    path.write_text(PUBLIC + "\n")
    path.chmod(0o644)
    refused = spx("key", "public", path, code=CONFIG)
    assert refused.stderr == f"spx key: {path}: seems to hold a public key; expected a private key\n"
    path.chmod(0o600)
    assert "is it a public key?" in spx("key", "public", path).stderr
    assert "is it a public key?" in spx("key", "public", input=PUBLIC).stderr
    path.write_text("nonsense\n")
    path.chmod(0o644)
    assert "run: chmod 600" in spx("key", "public", path, code=CONFIG).stderr


def test_public_key_of_a_file_others_can_read(world):
    """A private key that others can read is refused."""
    key = Key(world.directory / "a.key")
    key.path.chmod(0o644)
    failed = spx("key", "public", key.path, code=3)
    assert "chmod 600" in failed.stderr
    assert failed.stdout == ""


@pytest.mark.parametrize(
    "private, public",
    [
        (
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
        ),
        (
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        ),
    ],
)
def test_known_key_pair(private, public):
    """The key pairs of RFC 7748 section 6.1."""
    text = base64.b64encode(bytes.fromhex(private)).decode()
    assert base64.b64decode(spx("key", "public", input=text).stdout) == bytes.fromhex(public)


@pytest.mark.skipif(not shutil.which("wg"), reason="wg is not there: install wireguard-tools")
class TestWireguard:
    """The text of keys is WireGuard's."""

    def test_wg_makes_keys_for_spx(self, world):
        """A key of `wg genkey` is a key for spx, with the same public key as `wg pubkey` gives."""
        for number in range(10):
            private = run("wg", "genkey").stdout
            path = world.directory / f"wg-{number}.key"
            path.write_text(private)
            path.chmod(0o600)
            public = run("wg", "pubkey", input=private).stdout
            assert spx("key", "public", path).stdout == public
            assert spx("key", "public", input=private).stdout == public

    def test_spx_makes_keys_for_wg(self, world):
        """A key of `spx key new` gives the same public key with `wg pubkey`."""
        for number in range(10):
            key = Key(world.directory / f"{number}.key")
            assert run("wg", "pubkey", input=key.path.read_text()).stdout == key.public + "\n"
