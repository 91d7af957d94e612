"""Completions, in the shells that people type in: each runs on a terminal, and the key Tab is pressed."""
import fcntl
import os
import pty
import re
import select
import shlex
import shutil
import struct
import subprocess
import termios
import time

import pytest

from harness import ROOT, SPX, environment, run

PROMPT = "ready> "
SHARE = shlex.quote(str(ROOT / "share"))
TAB, HOME, ENTER = b"\t", b"\x01", b"\r"

# How each shell starts without the user's files, and what it is told first.
SHELLS = {
    "bash": (
        ["bash", "--noprofile", "--norc", "-i"],
        "bind 'set bell-style none'; source {share}/completion.bash; PS1='{prompt}'",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        "autoload -U compinit; fpath=({functions} $fpath); compinit -D -u; bindkey -e; PS1='{prompt}'",
    ),
    "fish": (
        ["fish", "--no-config", "-i"],
        "source {share}/completion.fish; function fish_prompt; echo -n '{prompt}'; end; "
        "function fish_title; end; set -g fish_greeting; set -g fish_autosuggestion_enabled 0",
    ),
}


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, argv, env, directory):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        self.shell = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, env=env, cwd=directory,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(slave)
        self.text = ""

    def type(self, keys):
        os.write(self.master, keys.encode() if isinstance(keys, str) else keys)

    def read_until(self, pattern, seconds=20):
        """The match of what comes from now on, which is then used up."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text)):
            left = end - time.monotonic()
            assert left > 0, f"no {pattern!r} in {self.text!r}"
            if select.select([self.master], [], [], left)[0]:
                self.text += os.read(self.master, 4096).decode("utf-8", "replace")
        self.text = self.text[found.end() :]
        return found

    def close(self):
        self.shell.kill()
        self.shell.wait()
        os.close(self.master)


@pytest.fixture
def installed(world, tmp_path):
    """The program as make install puts it, and a client's configuration that names agents."""
    root = tmp_path / "root"
    run("env", "-u", "MAKEFLAGS", "make", "-s", "-C", ROOT, "install", f"DESTDIR={root}", "PREFIX=/usr", seconds=60)
    home = tmp_path / "home"
    (home / ".config/spx").mkdir(parents=True, mode=0o700)
    conf = world.client_conf(agents=("boston-vmax-01", "lyon-2"), known=home / ".config/spx/known_agents")
    shutil.copy(conf, home / ".config/spx/client.conf")
    (home / ".config/spx/known_agents").write_text(f"berlin-7 {world.key('berlin-7').public}\n")
    (home / "paper-1.key").touch()
    (home / "with space.key").touch()
    shutil.copy(world.client_conf("other", agents=("lisbon-3",)), home / "other.conf")
    return root / "usr", home


# A line as it is typed before Tab, and as Tab completes it.
LINES = {
    "an applet": ("spx cl", "spx client "),
    "an applet by its link": ("spx-client li", "spx-client list "),
    "a verb": ("spx agent ca", "spx agent call "),
    "a long option": ("spx relay --chec", "spx relay --check "),
    "an option of a verb": ("spx client list --wat", "spx client list --watch "),
    "an option's value": ("spx client list -s dia", "spx client list -s dialled "),
    "an agent of the configuration": ("spx client lyo", "spx client lyon-2 "),
    "a known agent": ("spx-client -v ber", "spx-client -v berlin-7 "),
    "a second agent": ("spx client lyon-2 -L 1:h:2 bos", "spx client lyon-2 -L 1:h:2 boston-vmax-01 "),
    "an option's value in one word": ("spx client list --state=dia", "spx client list --state=dialled "),
    "an agent behind that": ("spx client list --state=online lyo", "spx client list --state=online lyon-2 "),
    "a file": ("spx agent -c pap", "spx agent -c paper-1.key "),
    "a file in one word": ("spx agent --config=pap", "spx agent --config=paper-1.key "),
    "a file with a space": ("spx agent -c with", "spx agent -c with space.key "),
    "an agent of another configuration": ("spx client -c ~/other.conf lisb", "spx client -c {home}/other.conf lisbon-3 "),
    "what cannot be completed": ("spx client lyon-2 -W pap", "spx client lyon-2 -W pap"),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes(installed, shell):
    """Whatever the tables of the command line have: applets, verbs, options, and names of agents."""
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    place, home = installed
    argv, setup = SHELLS[shell]
    env = {
        **environment(), "HOME": str(home), "PATH": f"{place}/bin:{os.environ['PATH']}", "TERM": "dumb",
        "XDG_CONFIG_HOME": f"{home}/.config",
    }  # fmt: skip
    terminal = Terminal(argv, env, home)
    try:
        setup = setup.format(share=SHARE, functions=place / "share/zsh/site-functions", prompt=PROMPT)
        terminal.type(setup.encode() + ENTER)
        terminal.read_until("\n[^\n]*" + PROMPT)
        for what, (typed, line) in LINES.items():
            terminal.type(typed.encode() + TAB + HOME + b"echo '<' " + ENTER)
            # The line itself is shown as it is typed; its result stands alone behind it.
            echoed = terminal.read_until(r"\n[^\n]*?< (spx[^\r\n]*)")[1]
            assert echoed.rstrip() == line.format(home=home).rstrip(), what
            terminal.read_until(PROMPT)
    finally:
        terminal.close()


# The words, the last of them begun, and the words offered for it.
OFFERS = {
    "nothing yet": ("''", "agent audit client key permit relay"),
    "options without an applet": ("--", "--help --version"),
    "verbs and agents": ("client l", "list lyon-2"),
    "agents behind --": ("client -- l", "lyon-2"),
    "agents behind another": ("client lyon-2 b", "berlin-7 boston-vmax-01"),
    "words behind a value in one word": ("client lyon-2 -L1:h:2 bos", "boston-vmax-01"),
    "words behind a long option's value": ("client list --state=online bos", "boston-vmax-01"),
    "the value that an option waits for": ("client list -ws o", "offline online"),
    "a value that nobody knows": ("client lyon-2 -L ''", ""),
    "the same for a query": ("client list bos", "boston-vmax-01"),
    "no word too many": ("client list bos bos", ""),
    "a configuration that is not there": ("client -c /nowhere bos", ""),
    "another configuration": ("client -c other.conf l", "lisbon-3 list"),
    "a file": ("key new a", ":files"),
    "a permit": ("permit check a", ":files"),
    "a file after others": ("audit verify a b", ":files"),
    "the value of -c": ("relay -c ''", ":files"),
    "a role without words": ("relay ''", ""),
    "an unknown applet": ("agnet ''", ""),
}


def test_offers(installed, world):
    place, home = installed
    world.client_conf(user="other", agents=("lisbon-3",))
    shutil.copy(world.directory / "client-other.conf", home / "other.conf")
    for what, (words, offered) in OFFERS.items():
        said = run(
            "env", f"XDG_CONFIG_HOME={home}/.config", place / "bin/spx", "--complete",
            *shlex.split(words), cwd=home,
        )  # fmt: skip
        assert sorted(line.split("\t")[0] for line in said.stdout.splitlines()) == offered.split(), what
        assert not said.stderr, what


@pytest.mark.parametrize("command", ["client", "client list", "relay", "agent", "agent call", "key", "key new", "permit", "permit issue", "audit", "audit show"])
def test_options_are_those_of_the_help(command):
    told = run(SPX, *command.split(), "--help").stdout
    shown = re.findall(r"^  (?:(-\w)(?:, )?)?(?:    )?(--[a-z-]+)?", told, re.MULTILINE)
    words = [*command.split(), "-"]
    offered = run(SPX, "--complete", *words).stdout.splitlines()
    assert [line.split("\t")[0] for line in offered] == [o for pair in shown for o in pair if o]


def test_bash_lists_the_applets(installed):
    """All that may follow is offered, not only what is unique."""
    place, _ = installed
    script = f"source {SHARE}/completion.bash; COMP_WORDS=(spx ''); COMP_CWORD=1; _spx spx; echo ${{COMPREPLY[@]}}"
    said = run("env", f"PATH={place}/bin:{os.environ['PATH']}", "bash", "-c", script).stdout.split()
    assert sorted(said) == sorted(run("make", "-s", "-C", ROOT, "applets").stdout.split())


def test_completions_are_registered_for_every_applet():
    applets = run("make", "-s", "-C", ROOT, "applets").stdout.split()
    names = {"spx", *(f"spx-{applet}" for applet in applets)}
    for shell, pattern in {"bash": r"^complete -F _spx (.*)", "zsh": "^#compdef (.*)", "fish": "^for name in (.*)"}.items():
        text = (ROOT / "share" / f"completion.{shell}").read_text()
        assert set(re.search(pattern, text, re.MULTILINE)[1].split()) == names, shell
