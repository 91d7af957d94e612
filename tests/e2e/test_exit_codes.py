"""Every exit code of the README, for every applet that can end with it, by a situation that gives it;
and the reason why each other one cannot be."""
import contextlib
import re
import signal
import socket

import pytest

from audits import Chain
from harness import (
    ALTERED,
    CONFIG,
    DENIED,
    INTERRUPTED,
    LOOPBACK,
    NETWORK,
    NOT_APPROVED,
    NOT_AUTHENTICATED,
    NOT_SEEN,
    NO_AGENT,
    OK,
    OTHER,
    ROOT,
    SPX,
    TIMED_OUT,
    USAGE,
    endpoint,
    forwards,
    free_port,
    run,
    spx,
)
from test_waiting import approver

APPLETS = ("client", "relay", "agent", "key", "audit")


def taken_port(kind=socket.SOCK_STREAM):
    """A socket whose port nobody else can have; nobody answers there."""
    taken = socket.socket(socket.AF_INET, kind)
    taken.bind((LOOPBACK, 0))
    if kind == socket.SOCK_STREAM:
        taken.listen()
    return taken, endpoint(LOOPBACK, taken.getsockname()[1])


def full(code, *words):
    """Standard output is a full disk."""
    run("sh", "-c", 'exec "$@" >/dev/full', "sh", SPX, *words, code=code)


# Client.


def client_lists(world, code):
    world.start_relay()
    world.list_agents(code=code)


def client_pipes_to_a_closed_port(world, code):
    world.start_relay()
    world.start_agent()
    world.run_pipe(endpoint(LOOPBACK, free_port()), code=code)


def client_without_an_agent(world, code):
    spx("client", "-c", world.client_conf(), code=code)


def client_without_anything_to_do(world, code):
    spx("client", "-c", world.client_conf(), "lab-1", code=code)


def client_with_a_wrong_file(world, code):
    spx("client", "-c", world.write("client.conf", "[Client]\n"), "lab-1", code=code)


def client_without_a_file(world, code):
    run("env", f"XDG_CONFIG_HOME={world.directory}", SPX, "client", "list", code=code)


def client_unknown_to_the_relay(world, code):
    world.start_relay()
    world.run_pipe(user="mallory", code=code)


def client_with_another_key_for_the_agent(world, code):
    world.start_relay()
    world.start_agent()
    world.run_pipe(agents={"lab-1": "impostor"}, code=code)


def client_denied_by_the_agent(world, code):
    world.start_relay(users={"mallory": "*"})
    world.start_agent()
    world.run_pipe(user="mallory", code=code)


def client_denied_a_target(world, code):
    world.start_relay()
    world.start_agent(users={"alice": "tcp:127.0.0.1:22"})
    world.run_pipe("127.0.0.1:23", code=code)


def client_asks_for_an_unknown_agent(world, code):
    world.start_relay(agents={"lab-2": {}})
    world.run_pipe(code=code)


def client_without_a_relay(world, code):
    world.run_pipe(code=code)


def client_lists_without_a_relay(world, code):
    world.list_agents(code=code)


def client_with_a_taken_port(world, code):
    taken, address = taken_port()
    with taken:
        run(*world.argv("client", world.client_conf(), "lab-1", "-L", f"{address}:h:1"), code=code)


def client_with_a_taken_udp_port(world, code):
    taken, address = taken_port(socket.SOCK_DGRAM)
    with taken:
        run(*world.argv("client", world.client_conf(), "lab-1", "-U", f"{address}:h:1"), code=code)


def client_at_a_silent_relay(world, code):
    silent, address = taken_port()
    with silent:
        world.run_pipe(relay=address, code=code, seconds=40)


def client_that_waits_for_approval(world, code):
    with contextlib.closing(approver(world)):
        run(*world.pipe_argv(endpoint(LOOPBACK, 9)), "--wait", "1", code=code)


def client_interrupted(world, code):
    world.start_relay()
    world.start_agent()
    client = world.start_client(*forwards(9))
    client.signal(signal.SIGINT)
    client.wait_exit(code)


# Relay and agent.


def relay_stopped(world, code):
    relay = world.start_relay()
    relay.signal(signal.SIGTERM)
    relay.wait_exit(code)


def relay_interrupted(world, code):
    relay = world.start_relay()
    relay.signal(signal.SIGINT)
    relay.wait_exit(code)


def relay_checks_into_a_full_disk(world, code):
    full(code, "relay", "-c", world.relay_conf(), "--check")


def relay_with_a_word(world, code):
    spx("relay", "-c", world.relay_conf(), "now", code=code)


def relay_with_a_wrong_file(world, code):
    spx("relay", "-c", world.write("relay.conf", "[Relay]\n"), code=code)


def relay_with_a_taken_port(world, code):
    taken, address = taken_port()
    with taken:
        failed = spx("relay", "-c", world.relay_conf(listen=address), code=code)
    assert f"ended: cannot listen on {address}: " in failed.stderr


def agent_stopped(world, code):
    agent = world.start_agent(online=False)
    agent.expect("cannot")  # it has no relay, and tries on
    agent.signal(signal.SIGTERM)
    agent.wait_exit(code)


def agent_calls_where_none_runs(world, code):
    conf = world.agent_conf(ControlSocket=world.directory / "call")
    spx("agent", "-c", conf, "call", "3", "a fan", code=code)


def agent_with_a_word(world, code):
    spx("agent", "-c", world.agent_conf(), "now", code=code)


def agent_calls_without_a_text(world, code):
    spx("agent", "-c", world.agent_conf(), "call", "3", code=code)


def agent_with_a_wrong_file(world, code):
    spx("agent", "-c", world.write("agent.conf", "[Agent]\n"), code=code)


def agent_with_a_taken_port(world, code):
    taken, address = taken_port()
    with taken:
        failed = spx("agent", "-c", world.agent_conf(listen=address), code=code)
    assert f"ended: cannot listen on {address}: " in failed.stderr


# Key.


def key_new(world, code):
    spx("key", "new", world.directory / "new.key", code=code)


def key_new_over_another(world, code):
    spx("key", "new", world.key("alice").path, code=code)


def key_without_a_verb(world, code):
    spx("key", code=code)


def key_of_a_file_others_can_write(world, code):
    path = world.key("alice").path
    path.chmod(0o666)
    spx("key", "public", path, code=code)


# Audit.


def audit_of(world, name, role="agent"):
    return Chain(role, agent="lab-1").add("started", key=f"SHA256:{name}").save(world.directory / name)


def audit_verified(world, code):
    spx("audit", "verify", audit_of(world, "a"), code=code)


def audit_into_a_full_disk(world, code):
    full(code, "audit", "show", audit_of(world, "a"))


def audit_without_a_verb(world, code):
    spx("audit", code=code)


def audit_that_is_not_there(world, code):
    spx("audit", "verify", world.directory / "nothing", code=code)


def audit_that_is_none(world, code):
    spx("audit", "verify", world.key("alice").path, code=code)


def audits_of_which_one_knows_more(world, code):
    agent = audit_of(world, "a")
    client = Chain("client").add("session_began", session="5" * 32, agent="lab-1").save(world.directory / "c")
    spx("audit", "compare", agent, client, code=code)


SITUATIONS = [
    ("client", OK, client_lists),
    ("client", OTHER, client_pipes_to_a_closed_port),
    ("client", USAGE, client_without_an_agent),
    ("client", USAGE, client_without_anything_to_do),
    ("client", CONFIG, client_with_a_wrong_file),
    ("client", CONFIG, client_without_a_file),
    ("client", NOT_AUTHENTICATED, client_unknown_to_the_relay),
    ("client", NOT_AUTHENTICATED, client_with_another_key_for_the_agent),
    ("client", DENIED, client_denied_by_the_agent),
    ("client", DENIED, client_denied_a_target),
    ("client", NO_AGENT, client_asks_for_an_unknown_agent),
    ("client", NETWORK, client_without_a_relay),
    ("client", NETWORK, client_lists_without_a_relay),
    ("client", NETWORK, client_with_a_taken_port),
    ("client", NETWORK, client_with_a_taken_udp_port),
    ("client", TIMED_OUT, client_at_a_silent_relay),
    ("client", NOT_APPROVED, client_that_waits_for_approval),
    ("client", INTERRUPTED, client_interrupted),
    ("relay", OK, relay_stopped),
    ("relay", OK, relay_interrupted),
    ("relay", OTHER, relay_checks_into_a_full_disk),
    ("relay", USAGE, relay_with_a_word),
    ("relay", CONFIG, relay_with_a_wrong_file),
    ("relay", NETWORK, relay_with_a_taken_port),
    ("agent", OK, agent_stopped),
    ("agent", OTHER, agent_calls_where_none_runs),
    ("agent", USAGE, agent_with_a_word),
    ("agent", USAGE, agent_calls_without_a_text),
    ("agent", CONFIG, agent_with_a_wrong_file),
    ("agent", NETWORK, agent_with_a_taken_port),
    ("key", OK, key_new),
    ("key", OTHER, key_new_over_another),
    ("key", USAGE, key_without_a_verb),
    ("key", CONFIG, key_of_a_file_others_can_write),
    ("audit", OK, audit_verified),
    ("audit", OTHER, audit_into_a_full_disk),
    ("audit", USAGE, audit_without_a_verb),
    ("audit", CONFIG, audit_that_is_not_there),
    ("audit", NOT_SEEN, audits_of_which_one_knows_more),
    ("audit", ALTERED, audit_that_is_none),
]

SERVES = "what a peer does ends its connection, never the service"
ENDS = "it is told to end, and has: 0"
NO_NETWORK = "it connects to nobody"
IMPOSSIBLE = {
    **{("relay", code): SERVES for code in (NOT_AUTHENTICATED, DENIED, NO_AGENT, TIMED_OUT, NOT_APPROVED)},
    **{("agent", code): SERVES for code in (NOT_AUTHENTICATED, DENIED, NO_AGENT, TIMED_OUT, NOT_APPROVED)},
    ("relay", INTERRUPTED): ENDS,
    ("agent", INTERRUPTED): ENDS,
    **{
        ("key", code): NO_NETWORK
        for code in (NOT_AUTHENTICATED, DENIED, NO_AGENT, NETWORK, TIMED_OUT, NOT_APPROVED)
    },
    **{
        ("audit", code): NO_NETWORK
        for code in (NOT_AUTHENTICATED, DENIED, NO_AGENT, NETWORK, TIMED_OUT, NOT_APPROVED)
    },
    **{
        (applet, code): "it reads no audits"
        for code in (NOT_SEEN, ALTERED) for applet in ("client", "relay", "agent", "key")
    },
    ("audit", INTERRUPTED): "the signal ends it, as it does any program that does not handle it",
    ("key", INTERRUPTED): "the signal ends it, as it does any program that does not handle it",
}


@pytest.mark.parametrize(
    "applet, code, situation",
    SITUATIONS,
    ids=[f"{code}-{situation.__name__}" for _, code, situation in SITUATIONS],
)
def test_exit_code(world, applet, code, situation):
    """The situation ends the applet with the code."""
    situation(world, code)


def test_every_code_has_its_place():
    """The README's codes, for every applet: each is reached above, or cannot be."""
    rows = re.search(r"^\| exit code .*?\n\n", (ROOT / "README.md").read_text(), re.M | re.S)[0]
    codes = {int(code) for code in re.findall(r"\| (\d+) \|", rows)}
    reached = {(applet, code) for applet, code, _ in SITUATIONS}
    assert reached.isdisjoint(IMPOSSIBLE)
    assert reached | IMPOSSIBLE.keys() == {(applet, code) for applet in APPLETS for code in codes}
