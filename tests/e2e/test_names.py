"""Names of targets and relays: name servers with faults, /etc/hosts, and names that nobody may ask
for."""
import subprocess
from pathlib import Path

import pytest

import peer
import servers
from harness import DENIED, LOOPBACK, OTHER, SPX, has_ipv6, is_sanitized
from name_server import (
    A,
    AAAA,
    NOTIMP,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    NameServer,
    loopback_address,
    mounted,
)

NAME = "db.site.example"


@pytest.fixture(autouse=True)
def namespaces():
    if subprocess.run(["unshare", "-rm", "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("mount namespaces are not permitted here")


@pytest.fixture
def target(serve):
    return serve(servers.Target, lambda connection: connection.sendall(b"by name"))


def start_agent(world, *name_servers, allow="tcp:*:*", hosts="", search="."):
    """Relay and agent; the agent asks these name servers alone. Returns the agent."""
    lines = [f"nameserver {server.address}" for server in name_servers] + [f"search {search}"]
    world.start_relay()
    plain = world.binary
    world.binary = [
        *mounted(world, resolv_conf="\n".join(lines) + "\n", hosts=hosts),
        *world.binary,
    ]
    agent = world.start_agent(users={"alice": allow})
    world.binary = plain
    return agent


def reach(world, port, name=NAME):
    assert world.run_pipe(f"{name}:{port}").stdout == "by name"


@pytest.mark.parametrize(
    "fault, tries",
    [(NXDOMAIN, 1), (SERVFAIL, 4), (REFUSED, 4), (NOTIMP, 4), ("drop", 0)],
    ids="nxdomain servfail refused notimp drop".split(),
)
def test_trouble_with_ipv6(world, serve, target, fault, tries):
    """Whatever a name server makes of the question for IPv6, the answer for IPv4 is used: when it
    comes after the other, and at once when there is no other."""
    server = serve(NameServer, {NAME: [LOOPBACK]}, {AAAA: fault}, ipv6_first=tries)
    start_agent(world, server)
    reach(world, target.port)
    assert server.types(NAME).count(A) <= 4
    if fault == "drop":  # the second time comes after half a second, the last after seven
        assert server.types(NAME).count(AAAA) <= 2


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_trouble_with_ipv4(world, serve):
    """And the other way round."""
    target = serve(servers.Target, lambda connection: connection.sendall(b"by name"), "::1")
    server = serve(NameServer, {NAME: ["::1"]}, {A: "drop"})
    start_agent(world, server)
    reach(world, target.port)
    assert server.types(NAME).count(A) <= 2


@pytest.mark.parametrize("kinds", [(A,), (A, AAAA)])
def test_truncated_answer(world, serve, target, kinds):
    """An answer that was cut off is asked for again over TCP."""
    server = serve(NameServer, {NAME: [LOOPBACK]}, dict.fromkeys(kinds, "truncate"))
    start_agent(world, server)
    reach(world, target.port)
    assert (NAME, A, "udp") in server.asked and (NAME, A, "tcp") in server.asked


def test_answer_of_many_records(world, serve, target):
    """Of thousands only the first are looked at: all of them would take as long as 40 ms, in which the
    agent serves nobody."""
    server = serve(NameServer, {NAME: [LOOPBACK] * 4000}, {A: "truncate"})
    start_agent(world, server)
    reach(world, target.port)
    server.names[NAME] = [LOOPBACK]
    server.aliases = 127
    reach(world, target.port)
    server.aliases = 128
    assert "no address" in world.run_pipe(f"{NAME}:9", code=OTHER).stderr


def test_memory_of_look_ups(world, serve):
    """They do not each take fresh memory from the system, which is most of what one would cost."""
    server = serve(NameServer, {NAME: ["192.0.2.1"]})
    agent = start_agent(world, server, allow="tcp:10.0.0.0/8:*")
    alice = peer.Client(
        peer.Pair(world.key("alice").path), world.relay_address, world.key("relay").raw, "lab-1",
        world.key("lab-1").raw,
    )  # fmt: skip
    circuit = alice.connect()

    def look_up(first, count=50):
        before = agent.page_faults()
        for stream in range(first, first + 2 * count, 2):
            with pytest.raises(peer.Refused, match="not permitted"):
                circuit.open(f"tcp:{NAME}:9", stream)
        return (agent.page_faults() - before) / count

    look_up(1)
    assert look_up(101) < (20 if is_sanitized(SPX) else 10)  # sanitizers keep what is freed
    assert server.types(NAME).count(A) == 100
    circuit.finish()


class NoServer:
    """Nothing listens here."""

    def __init__(self):
        self.address = loopback_address()


def test_first_server_is_silent(world, serve, target):
    """The second one is asked."""
    dead = serve(NameServer, {}, {A: "drop", AAAA: "drop"})
    server = serve(NameServer, {NAME: [LOOPBACK]})
    start_agent(world, dead, server)
    reach(world, target.port)
    assert dead.types(NAME) and server.types(NAME)


def test_first_server_is_not_there(world, serve, target):
    server = serve(NameServer, {NAME: [LOOPBACK]})
    start_agent(world, NoServer(), server)
    reach(world, target.port)


@pytest.mark.parametrize("fault", [SERVFAIL, REFUSED, NOTIMP])
def test_first_server_cannot_answer(world, serve, target, fault):
    server = serve(NameServer, {NAME: [LOOPBACK]})
    start_agent(world, serve(NameServer, {}, {A: fault, AAAA: fault}), server)
    reach(world, target.port)


def test_reasons(world, serve):
    """A wrong name is told of in words; a server that cannot be asked is not blamed on
    the name."""
    server = serve(NameServer, {NAME: []})
    start_agent(world, server)
    silent = "no answer from the name servers in time"
    for name, faults, reason in (
        ("absent.example", {}, "no such host name"),
        (NAME, {}, "the name has no address"),
        (NAME, {A: SERVFAIL, AAAA: SERVFAIL}, "the name servers cannot answer"),
        (NAME, {A: SERVFAIL, AAAA: NXDOMAIN}, "the name servers cannot answer"),
        (NAME, {A: NXDOMAIN, AAAA: SERVFAIL}, "no such host name"),
        (NAME, {A: "drop", AAAA: "drop"}, silent),
        (NAME, {A: "cut"}, "the name servers cannot answer"),
    ):
        server.faults = faults
        server.names[NAME] = [LOOPBACK] if "cut" in faults.values() else []
        assert reason in world.run_pipe(f"{name}:9", code=OTHER).stderr


def test_no_name_server(world):
    start_agent(world, NoServer())
    done = world.run_pipe(f"{NAME}:9", code=OTHER)
    assert "the name servers cannot answer" in done.stderr


@pytest.mark.parametrize("name", ["only-there.example", "Only-There.Example", "ONLY-THERE.EXAMPLE"])
def test_hosts_without_regard_to_case(world, serve, target, name):
    """/etc/hosts is asked first, and its letters may be of either case."""
    server = serve(NameServer)
    hosts = f"# {LOOPBACK} comment.example\n192.0.2.1 other\n{LOOPBACK}\tfirst Only-there.EXAMPLE # x\n"
    start_agent(world, server, hosts=hosts)
    reach(world, target.port, name)
    assert not server.asked


def test_configuration_changes(world, serve, target):
    """resolv.conf and hosts count as they are now."""
    old, new = serve(NameServer), serve(NameServer, {NAME: [LOOPBACK]})
    start_agent(world, old)
    world.run_pipe(f"{NAME}:{target.port}", code=OTHER)
    world.write("etc-resolv.conf", f"nameserver {new.address}\nsearch .\n")
    reach(world, target.port)
    assert new.types(NAME)
    world.write("etc-hosts", f"{LOOPBACK} added.example\n")
    reach(world, target.port, "added.example")


def bytes_read(program):
    return int(Path(f"/proc/{program.pid}/io").read_text().split()[1])


def test_long_files(world, serve, target):
    """However long hosts and resolv.conf are, they are read once, and not for each look-up. (One that
    has just changed is read again.)"""
    server = serve(NameServer, {NAME: [LOOPBACK]})
    many = "".join(f"192.0.2.1 blocked-{i}.example\n" for i in range(50000))
    agent = start_agent(world, server, hosts=f"{many}{LOOPBACK} last.example\n", search=".\n" + "# \n" * 50000)
    reach(world, target.port)
    reach(world, target.port, "last.example")
    before = bytes_read(agent)
    for _ in range(3):
        reach(world, target.port)
        reach(world, target.port, "last.example")
    assert bytes_read(agent) - before < 100000


def test_search_list(world, serve, target):
    """The names of the search list are tried, also while each question for IPv6 fails; not beyond a
    name that could not be asked for."""
    server = serve(NameServer, {NAME: [LOOPBACK]}, {AAAA: SERVFAIL})
    start_agent(world, server, search="first.example site.example last.example")
    reach(world, target.port, "db")
    assert not server.types("db") and not server.types("db.last.example")
    server.faults = {A: SERVFAIL, AAAA: NXDOMAIN}
    assert "cannot answer" in world.run_pipe("db:9", code=OTHER).stderr
    assert server.types("db.last.example") == []


def test_relay_by_name(world, serve, target):
    """Client and agent find their relay although the question for IPv6 is not answered."""
    server = serve(NameServer, {"relay.example": [LOOPBACK]}, {AAAA: "drop"})
    conf = f"nameserver {server.address}\nsearch .\n"
    world.start_relay()
    port = world.relay_address.rpartition(":")[2]
    world.binary = [*mounted(world, resolv_conf=conf, hosts=""), *world.binary]
    world.start_agent(relay=f"relay.example:{port}")
    done = world.run_pipe(f"{LOOPBACK}:{target.port}", relay=f"relay.example:{port}")
    assert done.stdout == "by name"
    asked = server.types("relay.example")
    assert 2 <= asked.count(A) and asked.count(AAAA) <= 2 * asked.count(A)


def refusal(world, name, port):
    done = world.run_pipe(f"{name}:{port}", code=DENIED)
    return done.stderr.partition(" error ")[2].replace(name, "NAME")


def test_names_that_no_rule_could_allow(world, serve, target):
    """Who may reach ports of the agent's own machine alone sends no question to the site's name
    servers, and does not learn which names there are, there or in /etc/hosts."""
    server = serve(NameServer, {NAME: [LOOPBACK], "other.example": ["192.0.2.1"]})
    hosts = f"{LOOPBACK} self.example\n192.0.2.1 near.example\n"
    allow = f"tcp:{LOOPBACK}:{target.port}, tcp:[::1]:9, tcp:named.example:9, udp:*:*"
    start_agent(world, server, allow=allow, hosts=hosts)
    names = (NAME, "other.example", "absent.example", "near.example", "named.example")
    said = [refusal(world, name, target.port) for name in names]
    assert said == [said[0]] * len(names) and "not permitted" in said[0]
    for name in ("self.example", "localhost", "app.localhost"):
        reach(world, target.port, name)
    assert not server.asked


def test_names_that_a_rule_could_allow(world, serve, target):
    """A rule of other addresses may allow any name, which is looked up; what it is there is not
    told."""
    server = serve(NameServer, {NAME: ["192.0.2.77"]})
    agent = start_agent(world, server, allow="tcp:10.0.0.0/8:*")
    assert "192.0.2.77" not in refusal(world, NAME, 9)
    agent.expect(r"192\.0\.2\.77:9: not allowed")
    assert server.types(NAME)
