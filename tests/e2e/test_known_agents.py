"""The client's own file of agents' keys: first use, confirmation, and a key that has changed."""
import re
import signal

import pytest

from harness import INTERRUPTED, NOT_AUTHENTICATED, forwards, run, wait_for
from servers import ask


@pytest.fixture
def site(world):
    """A relay and an agent, and the file that a client without a key for the agent keeps."""
    world.start_relay()
    world.start_agent()
    return world.directory / "known"


def test_first_use_without_a_terminal_is_refused(world, site):
    """Nobody can confirm the key: exit code 4, the fingerprint and what to do are shown, nothing is
    kept."""
    failed = world.run_pipe(agents=(), known=site, code=NOT_AUTHENTICATED)
    assert world.key("lab-1").fingerprint in failed.stderr
    assert "add" in failed.stderr.lower()
    assert not site.exists()


def test_first_use_is_confirmed_on_a_terminal(world, site, echo):
    """The fingerprint is shown, "yes" keeps the key and connects; the next time nothing is asked."""
    client = world.start_client(
        *forwards(echo.port), agents=(), known=site, terminal=True, connected=False
    )
    client.expect(r"\(yes/no\)")
    assert world.key("lab-1").fingerprint in client.log()
    assert not site.exists()
    client.type("yes\n")
    client.connected()
    client.expect(rf"the key of lab-1 is known from now on: it stands in {site}")
    with client.dial() as connection:
        assert ask(connection, b"hello") == b"hello"
    lines = [line.split() for line in site.read_text().splitlines() if not line.startswith("#")]
    assert ["lab-1", world.key("lab-1").public] in lines
    assert (
        world.run_pipe(f"127.0.0.1:{echo.port}", agents=(), known=site, input="again").stdout
        == "again"
    )


def test_first_use_that_cannot_be_kept(world, echo):
    """A file that cannot be written is warned of, with what to do; the session goes on, and the next
    one asks again."""
    world.start_relay()
    world.start_agent()
    for _ in range(2):
        client = world.start_client(*forwards(echo.port), agents=(), known="/proc/spx/known_agents", terminal=True, connected=False)
        client.expect(r"\(yes/no\)")
        client.type("yes\n")
        client.connected()
        told = client.expect(r"warn +client: the key of lab-1 counts for this session only: .*/proc/spx: .*")[0]
        assert "KnownAgents" in told and f"PublicKey = {world.key('lab-1').public}" in told
        with client.dial() as connection:
            assert ask(connection, b"hello") == b"hello"
        client.stop()


def test_first_use_is_declined_on_a_terminal(world, site):
    """ "no" ends the client with exit code 4, and nothing is kept."""
    client = world.start_client(*forwards(9), agents=(), known=site, terminal=True, connected=False)
    client.expect(r"\(yes/no\)")
    client.type("no\n")
    client.wait_exit(NOT_AUTHENTICATED)
    assert not site.exists() or "lab-1" not in site.read_text()


def test_interrupted_question(world, site):
    """Ctrl-C at the question ends the client, as a shell sees it with 130, and nothing is kept."""
    client = world.start_client(*forwards(9), agents=(), known=site, terminal=True, connected=False)
    client.expect(r"\(yes/no\)")
    client.type("\x03")
    wait_for(client.ended, 5, "the client ends")
    client.collected = True
    assert client.process.returncode in (INTERRUPTED, -signal.SIGINT)
    assert not site.exists()


def test_key_that_has_changed(world, site):
    """The kept key and the listed one differ: exit code 4, both fingerprints and the file are
    named, on a terminal too, where nothing is asked."""
    site.write_text(f"# kept by hand\nlab-1 {world.key('before').public}\n")
    failed = world.run_pipe(agents=(), known=site, code=NOT_AUTHENTICATED)
    for name in ("before", "lab-1"):
        assert failed.stderr.count(world.key(name).fingerprint) == 1, failed.stderr
    assert f"stands at {site}:2;" in failed.stderr
    client = world.start_client(*forwards(9), agents=(), known=site, terminal=True, connected=False)
    client.wait_exit(NOT_AUTHENTICATED)
    assert "yes/no" not in client.log()
    assert site.read_text().count("lab-1") == 1
    run("sh", "-c", mending_command(failed.stderr))
    assert site.read_text() == "# kept by hand\n"


def mending_command(log):
    """The one that the client names, at the end of its line."""
    return re.search(r": (sed -i .*)$", log, re.MULTILINE)[1]


def test_key_that_has_changed_in_the_configuration(world, site, echo):
    """The command that the client names puts the listed key in the place of the configured one, also in a
    file with an odd name."""
    odd = world.directory / "it's my client.conf"
    odd.write_text(world.client_conf(agents={"lab-1": "before"}).read_text())
    failed = world.run_pipe(conf=odd, code=NOT_AUTHENTICATED)
    assert re.search(rf"stands at {odd}:\d+; ", failed.stderr)
    run("sh", "-c", mending_command(failed.stderr))
    assert world.run_pipe(f"127.0.0.1:{echo.port}", conf=odd, input="hello").stdout == "hello"


def test_key_in_the_configuration_comes_first(world, site, echo):
    """A key in the configuration is used without a look at what was kept, and nothing is added to
    that."""
    kept = f"lab-1 {world.key('before').public}\n"
    site.write_text(kept)
    conf = world.client_conf(known=site)
    assert world.run_pipe(f"127.0.0.1:{echo.port}", conf=conf, input="hello").stdout == "hello"
    assert site.read_text() == kept


def test_file_that_is_not_right(world, site):
    """A broken line in the file stops the client with file and line: exit code 3."""
    site.write_text("# a comment\nlab-1 thisisnokey\n")
    failed = world.run_pipe(agents=(), known=site, code=3)
    assert f"{site}:2: " in failed.stderr
