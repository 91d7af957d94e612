"""The program guards itself: what its processes give up once they run, and what a reload makes of it."""
import os
import re
import shutil
import signal
import socket
import tempfile
from pathlib import Path

import pytest

import harness
from harness import CONFIG, LOOPBACK, forwards, run, spx, wait_for
from servers import greet
from test_permit import Office
from test_permit_relay import relay_file
from test_permit_sessions import authority, revoke, with_authority

NOBODY = 65534  # of user and group; Debian calls them nobody and nogroup

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which takes root")


def facts(pid, thread=None):
    """The system's words about a process, or of one of its threads (proc(5))."""
    path = Path(f"/proc/{pid}/task/{thread}/status" if thread else f"/proc/{pid}/status")
    return dict(line.split(":\t", 1) for line in path.read_text().splitlines() if ":\t" in line)


def threads(pid):
    return os.listdir(f"/proc/{pid}/task")


def low_port():
    """A port below 1024 that is free."""
    for port in range(1023, 600, -1):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
                return port
            except OSError:
                continue
    raise AssertionError("no port below 1024 is free")


@pytest.fixture
def open_world(request, time_limit):
    """A world whose files another user can read, where the keys permit it."""
    directory = Path(tempfile.mkdtemp(prefix="spx-guard-", dir="/tmp"))
    directory.chmod(0o755)
    made = harness.World(directory)
    request.node.world = made
    yield made
    made.stop_all()
    shutil.rmtree(directory)


def give_keys(world):
    """As sysusers and tmpfiles leave them: root's, and readable for the group."""
    for key in world.keys.values():
        os.chown(key.path, 0, NOBODY)
        key.path.chmod(0o640)


def assert_given_up(program, uid, capabilities=0):
    """All its threads have, and those of them that the system has are on."""
    for thread in threads(program.pid):
        told = facts(program.pid, thread)
        assert told["Uid"].split() == [str(uid)] * 4, told["Uid"]
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            expected = capabilities if name in ("CapPrm", "CapEff") else 0
            assert int(told[name], 16) == expected, (name, told[name])
        assert told["NoNewPrivs"] == "1"
    assert facts(program.pid)["Umask"].strip() == "0077"


@as_root
def test_user(open_world, echo):
    """Started as root, relay and agent listen on ports that only root can, and become a user who has
    nothing left but what the configuration needs; a reload works as before."""
    world = open_world
    port = low_port()
    world.relay_address = f"{LOOPBACK}:{port}"
    conf = world.relay_conf(User=NOBODY, Group=NOBODY, Workers=2)
    agent_conf = world.agent_conf(User="nobody")
    give_keys(world)
    relay, agent = world.start_relay(conf=conf), world.start_agent(conf=agent_conf)
    client = world.start_client(*forwards(echo.port))
    greet(client).close()
    assert_given_up(relay, NOBODY)
    assert_given_up(agent, NOBODY)
    assert agent.expect(r"guarded: user nobody, no capabilities")
    for program in (relay, agent):
        assert not program.lines("would be refused|runs as root")
        program.signal(signal.SIGHUP)
        program.expect("configuration reloaded")


@as_root
def test_user_who_cannot_read(open_world):
    """A user who may not read the key runs, since root has read it; that a reload cannot be is said
    at the start, by --check, and by the reload itself."""
    world = open_world
    conf = world.relay_conf(User=NOBODY, Group=NOBODY)
    relay = world.start_relay(conf=conf)
    warned = r"a reload would be refused, and need a restart: .*relay.key: permission denied"
    relay.expect(warned)
    assert re.search(warned, spx("relay", "-c", conf, "--check").stderr)
    relay.signal(signal.SIGHUP)
    relay.expect("relay.key: permission denied; the old configuration stays in effect")
    give_keys(world)
    relay.signal(signal.SIGHUP)
    relay.expect("configuration reloaded")
    assert "refused" not in spx("relay", "-c", conf, "--check").stderr


@as_root
def test_group_of_the_control_socket(open_world):
    """The user need not be in ControlGroup: root has made the process a member."""
    world = open_world
    place = world.directory / "run"
    place.mkdir()
    os.chown(place, NOBODY, NOBODY)
    conf = world.agent_conf(User=NOBODY, ControlSocket=place / "control", ControlGroup="54321")
    agent = world.start_agent(conf=conf, online=False)
    agent.expect("started")
    assert (place / "control").stat().st_gid == 54321
    assert (place / "control").stat().st_uid == NOBODY
    shown = run(harness.SPX, "agent", "-c", conf, "status").stdout
    assert "agent lab-1" in shown
    agent.signal(signal.SIGTERM)
    agent.wait_exit(harness.OK)
    assert not (place / "control").exists()


@as_root
def test_root(world):
    """Root without a User is told so, and keeps no capability either; User = root says that it is
    meant."""
    relay = world.start_relay()
    relay.expect(r"warn .*: runs as root: name a user in User of \[Relay\]")
    assert_given_up(relay, 0)
    agent = world.start_agent(User="root")
    assert not agent.lines("runs as root")
    assert_given_up(agent, 0)


@as_root
def test_low_ports_of_listeners(open_world):
    """The agent keeps the one capability that a user's Listen needs, and says when it has given it up
    and a reload asks for it."""
    world = open_world

    def write(listen):
        conf = world.agent_conf(User=NOBODY, users={"alice": "tcp:127.0.0.1:*"})
        conf.write_text(conf.read_text() + f"Listen = 127.0.0.1:{listen}\n")
        return conf

    conf = write("1-65535")
    give_keys(world)
    world.start_relay()
    agent = world.start_agent(conf=conf)
    assert_given_up(agent, NOBODY, 1 << 10)
    port = low_port()
    client = world.start_client("-R", f"{LOOPBACK}:{port}:{LOOPBACK}:9")
    client.expect("forwarding .* at the agent")
    client.stop()
    agent.stop()
    conf = write("1024-65535")
    agent = world.start_agent(conf=conf)
    assert_given_up(agent, NOBODY)
    write("80-65535")
    agent.signal(signal.SIGHUP)
    agent.expect("allows ports below 1024, which this process has given up: restart needed")


@as_root
def test_program_for_events(open_world):
    """It runs as the user, too, and never as root."""
    world = open_world
    book = world.directory / "book"
    book.touch()
    os.chown(book, NOBODY, NOBODY)
    program = world.write("program", f"#!/bin/sh\nid -u >> {book}; id -G >> {book}\n")
    program.chmod(0o755)
    place = world.directory / "run"
    place.mkdir()
    os.chown(place, NOBODY, NOBODY)
    conf = world.agent_conf(User=NOBODY, OnEvent=program, ControlSocket=place / "control")
    world.start_agent(conf=conf, online=False).expect("started")
    run(harness.SPX, "agent", "-c", conf, "lock")
    wait_for(lambda: book.read_text().count("\n") == 2, 10, "it has run")
    assert book.read_text() == f"{NOBODY}\n{NOBODY}\n"


@as_root
@pytest.mark.parametrize(
    "keys, said",
    [
        ({"User": "no such"}, "User: no user 'no such' on this system"),
        ({"Group": "no such"}, "Group: no group 'no such' on this system"),
        ({"User": 54321}, r"User = 54321 in \[Relay\] is a number without a name here: add Group"),
    ],
)
def test_nobody_of_that_name(world, keys, said):
    failed = spx("relay", "-c", world.relay_conf(**keys), code=CONFIG)
    assert re.search(said, failed.stderr)


@as_root
def test_only_root_changes(open_world):
    """Another user can name itself there, and nobody else."""
    world = open_world
    program = world.directory / "spx"
    shutil.copy(harness.SPX, program)
    program.chmod(0o755)
    world.binary_of["relay"] = [
        *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
        program,
    ]
    conf = world.relay_conf(User="root")
    give_keys(world)
    failed = run(*world.argv("relay", conf), code=CONFIG)
    assert "only root can change them, and this process is user 65534 of group 65534" in failed.stderr
    relay = world.start_relay(conf=world.relay_conf(User="nobody", Group="nogroup"))
    assert_given_up(relay, NOBODY)


# ---- Files, ports and system calls. ----


def has_landlock():
    return "Landlock not" not in spx("--version", "-v").stdout


needs_landlock = pytest.mark.skipif(not has_landlock(), reason="this kernel has no Landlock")


def test_what_is_on_is_told(world):
    """In the log, by status, and for the system by --version; every thread has the filter."""
    there = spx("--version", "-v").stdout
    assert re.search(r"^Landlock (\d+|not to be had here)", there, re.MULTILINE)
    assert re.search(r"^seccomp (not )?to be had", there, re.MULTILINE)
    relay = world.start_relay(Workers=2, Audit=world.directory / "audit")
    conf = world.agent_conf(ControlSocket=world.directory / "control")
    agent = world.start_agent(conf=conf)
    for program in (relay, agent):
        said = program.expect(r"guarded: (user \S+, no capabilities.*)")[1]
        assert ("files by Landlock" in said) and ("system calls by seccomp" in said)
        assert ("not to be had here" in said) == (not has_landlock())
        for thread in threads(program.pid):
            filtered = facts(program.pid, thread)["Seccomp"].strip() == "2"
            assert filtered == ("seccomp to be had" in there)
    status = run(harness.SPX, "agent", "-c", conf, "status")
    assert f"guarded: {said}\n" in status.stdout


@needs_landlock
def test_files_that_moved(world):
    """A reload reads what lies in the folders that it was started with, also what took a file's
    place, and tells that a restart may help where it does not."""
    if harness.is_sanitized(harness.SPX):
        pytest.skip("sanitizers read everywhere")
    keys, conf = world.directory / "keys", world.relay_conf()
    relay = world.start_relay(conf=conf)
    keys.mkdir()
    again = world.write("again", conf.read_text() + "[User]\nName = bob\nPublicKey = " + world.key("bob").public + "\n")
    again.rename(conf)
    relay.signal(signal.SIGHUP)
    relay.expect("configuration reloaded: 2 users")
    key = world.key("relay").path
    shutil.copy(key, keys / "relay.key")
    elsewhere = Path(tempfile.mkdtemp(prefix="spx-guard-"))
    shutil.copy(key, elsewhere / "relay.key")
    text = conf.read_text()
    for place, said in (
        (keys, "configuration reloaded"),
        (elsewhere, "permission denied; the old configuration stays in effect; if the file may be read, this process has given that up: restart needed"),
    ):
        conf.write_text(text.replace(str(key), str(place / "relay.key")))
        relay.signal(signal.SIGHUP)
        relay.expect(said, count=2 if place == keys else 1)
    relay.stop()
    world.start_relay(conf=conf)
    shutil.rmtree(elsewhere)


def test_relay_that_dials_after_a_reload(world, echo):
    """One that dialled nobody has given up connecting, says so, and dials after a restart."""
    relay = world.start_relay()
    port = harness.free_port()
    world.start_agent(relay="", listen=f"{LOOPBACK}:{port}", online=False)
    conf = world.relay_conf(agents={"lab-1": {"Dial": f"tcp:{LOOPBACK}:{port}"}})
    relay.signal(signal.SIGHUP)
    relay.expect("Dial of agent lab-1: this process has given up connecting to others: takes effect at the next start")
    relay.expect("configuration reloaded")
    assert re.search(r"^lab-1 +offline", world.list_agents(), re.MULTILINE)
    relay.stop()
    world.start_relay(conf=conf)
    assert world.run_pipe(f"{LOOPBACK}:{echo.port}", input="hello").stdout == "hello"


@needs_landlock
def test_sockets_of_listeners(world):
    """-R makes its sockets in the folders that the agent was started with; of others a reload says
    that they take a restart."""
    places = [world.directory / name for name in ("first", "second")]
    for place in places:
        place.mkdir()

    def write(*allowed):
        conf = world.agent_conf()
        listen = ", ".join(f"unix:{path}" for path in allowed)
        conf.write_text(conf.read_text() + f"Listen = {listen}\n")
        return conf

    world.start_relay()
    agent = world.start_agent(conf=write(places[0] / "a"))
    write(places[0] / "b", places[1] / "c")
    agent.signal(signal.SIGHUP)
    agent.expect("configuration reloaded")
    closed = agent.lines(r"Listen in \[User\]: unix:(\S+): this process has given up making sockets")
    assert [found[1] for found in closed] == [str(places[1] / "c")]
    client = world.start_client("-R", f"{places[0] / 'b'}:{LOOPBACK}:9")
    client.expect(f"forwarding unix:{places[0] / 'b'} at the agent")
    agent.expect(f"listening on unix:{places[0] / 'b'}")
    client.stop()
    wait_for(lambda: not list(places[0].iterdir()), 10, "the socket and its lock are gone")


@as_root
def test_container_with_nothing_in_it(world):
    """Without /etc, /proc and users' names, as an image has it that holds the one file alone."""
    if harness.is_sanitized(harness.SPX):
        pytest.skip("a build with sanitizers needs libraries")
    root = world.directory / "root"
    (root / "spx").mkdir(parents=True)
    shutil.copy(harness.SPX, root / "program")
    conf = world.relay_conf(User=NOBODY, Group=NOBODY)
    key = world.key("relay").path
    shutil.copy(key, root / "spx" / "relay.key")
    os.chown(root / "spx" / "relay.key", 0, NOBODY)
    (root / "spx" / "relay.key").chmod(0o640)
    (root / "spx" / "relay.conf").write_text(conf.read_text().replace(str(key), "relay.key"))
    for path in (root, root / "spx"):
        path.chmod(0o755)
    argv = ["chroot", root, "/program", "relay", "-c", "/spx/relay.conf"]
    relay = world.start(harness.Program("relay", argv, world.directory))
    relay.expect("guarded: user 65534, no capabilities")
    relay.expect("started")
    world.start_agent()
    relay.signal(signal.SIGHUP)
    relay.expect("configuration reloaded")


@as_root
def test_page(open_world):
    """The agent's page, which browsers speak to, has as little."""
    world = open_world
    conf = world.agent_conf(ControlSocket=world.directory / "control")
    world.start_agent(conf=conf, online=False).expect("started")
    argv = [harness.SPX, "agent", "-c", conf, "web"]
    page = world.start(harness.Program("web", argv, world.directory))
    said = page.expect("guarded: user nobody, no capabilities(.*)")[1]
    assert has_landlock() == ("files by Landlock, TCP by Landlock" in said)
    wait_for(page.output, 10, "its address is told")
    assert_given_up(page, NOBODY)


@needs_landlock
def test_revocations_in_a_folder_of_their_own(world):
    """They are read again there while the process runs, and in no other folder, which a reload says."""
    if harness.is_sanitized(harness.SPX):
        pytest.skip("sanitizers read everywhere")
    office, other = (Office(Path(tempfile.mkdtemp(prefix="spx-guard-"))) for _ in range(2))
    path, closed = revoke(office), revoke(other)
    relay = world.start_relay(conf=relay_file(world, office, Revocations=path))
    agent = world.start_agent(conf=with_authority(world, authority(office, Revocations=path)), online=False)
    revoke(office, "--before", "2020-01-01")
    relay_file(world, other, Revocations=closed)
    with_authority(world, authority(other, Revocations=closed))
    for program in (relay, agent):
        program.expect("revoked: revocations 2:")
        program.signal(signal.SIGHUP)
        program.expect(r"cannot open \S+/revoked: permission denied.* this process has given that up: restart needed")
    for one in (office, other):
        shutil.rmtree(one.directory)


# ---- Every key at a reload. ----


LATER = {
    "relay": ("Listen", "KeyFile", "User", "Group", "Workers", "Audit", "AuditSize"),
    "agent": (
        *("Name", "KeyFile", "User", "Group", "Listen", "ControlSocket", "ControlGroup"),
        *("RemoteAccess", "StateDirectory", "Audit", "AuditSize", "AuditFailure", "OnEvent"),
    ),
}  # fmt: skip


def reload_all(program, role):
    """Each of these keys is told of, and nothing is refused."""
    program.signal(signal.SIGHUP)
    program.expect("configuration reloaded")
    told = program.lines(rf"warn .*: (\w+) in \[{role.capitalize()}\]: takes effect at the next start")
    assert sorted(found[1] for found in told) == sorted(LATER[role])


@as_root
def test_every_key_of_a_relay(world):
    relay = world.start_relay()
    other = world.key("other").path
    conf = world.relay_conf(
        listen=f"{LOOPBACK}:{harness.free_port()}", User="root", Group="root", Keepalive=7, Workers=3,
        Audit=world.directory / "audit", AuditSize=7,
        users={"alice": "lab-*", "bob": "*"}, agents={"lab-1": {"Labels": "a=b"}, "lab-2": {}},
    )  # fmt: skip
    conf.write_text(conf.read_text().replace(str(world.key("relay").path), str(other)))
    reload_all(relay, "relay")
    relay.expect(r"Keepalive in \[Relay\]: takes effect with the next connection")
    relay.expect("user bob: added")


@as_root
def test_every_key_of_an_agent(world):
    """Also those whose values lie in files of the system: a zone, a group."""
    world.start_relay()
    agent = world.start_agent()
    other = world.key("other").path
    program = world.write("program", "#!/bin/sh\n")
    program.chmod(0o755)
    state = world.directory / "state"
    state.mkdir()
    zone = "Europe/Berlin" if Path("/usr/share/zoneinfo/Europe/Berlin").exists() else "CET-1"
    conf = world.agent_conf(
        called="lab-7", User="root", Group="root", listen=f"{LOOPBACK}:{harness.free_port()}",
        ControlSocket=world.directory / "control", ControlGroup="root", RemoteAccess="locked",
        StateDirectory=state, Audit=world.directory / "audit", AuditSize=7, AuditFailure="continue",
        OnEvent=program, Labels="c=d", TimeZone=zone, ResumeWindow=9, AuditQuota=9,
        users={"alice": "tcp:*:*", "bob": "unix:/run/x"},
    )  # fmt: skip
    conf.write_text(conf.read_text().replace(str(world.key("lab-1").path), str(other)))
    reload_all(agent, "agent")
    agent.expect(r"ResumeWindow in \[Agent\]: takes effect with the next session")
    agent.expect("user bob: added")
