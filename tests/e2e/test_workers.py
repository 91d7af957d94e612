"""The relay's threads: circuits and handshakes are spread over them, and what the relay decides
reaches every circuit wherever it is carried."""
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


import pytest

from harness import forwards, wait_for
from servers import ask, read_to_end

MIB = 1 << 20
WORKERS = 4
ALLOW = {"alice": "tcp:127.0.0.1:*", "bob": "tcp:127.0.0.1:*"}


def threads_s(relay):
    """The CPU seconds of each thread of the relay's own, which begin after it listens."""
    relay.expect("started: spx")
    tasks = Path(f"/proc/{relay.pid}/task").iterdir()
    fields = [
        (task / "stat").read_text().rsplit(")", 1)[1].split()
        for task in tasks
        if task.name == str(relay.pid) or "worker" in (task / "comm").read_text()
    ]
    return [(int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK") for f in fields]


def pump(connection, data):
    """Sends all and gets all back."""
    with ThreadPoolExecutor(1) as sender:
        sent = sender.submit(connection.sendall, data)
        received = 0
        while received < len(data):
            part = connection.recv(1 << 18)
            assert part, f"ended after {received} bytes"
            assert part == data[received : received + len(part)]
            received += len(part)
        sent.result()


@pytest.mark.parametrize("workers", [1, WORKERS])
def test_number_of_threads(world, workers):
    relay = world.start_relay(Workers=workers)
    assert len(threads_s(relay)) == workers


def test_a_thread_for_each_processor(world):
    relay = world.start_relay()
    assert len(threads_s(relay)) == min(64, len(os.sched_getaffinity(relay.pid)))


def test_circuits_are_spread(world, echo):
    """Circuits of four clients at work together: each is carried by a thread of its own."""
    relay = world.start_relay(Workers=WORKERS)
    world.start_agent()
    clients = [world.start_client(*forwards(echo.port)) for _ in range(WORKERS)]
    data = os.urandom(8 * MIB)
    connections = [client.dial() for client in clients]

    def all_worked():
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(lambda connection: pump(connection, data), connections))
        return all(s > 0 for s in threads_s(relay))

    wait_for(all_worked, 40, "every thread has carried something")
    for connection in connections:
        connection.close()


@pytest.mark.parametrize("workers", [1, WORKERS])
def test_revoked_on_every_thread(world, echo, workers):
    """Alice's circuits end on all threads, Bob's go on."""
    users = {"alice": "*", "bob": "*"}
    relay = world.start_relay(users=users, Workers=workers)
    world.start_agent(users=ALLOW)
    alice = [world.start_client(*forwards(echo.port), user="alice") for _ in range(WORKERS)]
    bob = [world.start_client(*forwards(echo.port), user="bob") for _ in range(3)]
    connections = [client.dial() for client in bob]
    for connection in connections:
        ask(connection, b"hello")
    world.relay_conf(users={"bob": "*"}, Workers=workers)
    relay.signal(signal.SIGHUP)
    for client in alice:
        client.lost()
    relay.expect("ended: no longer permitted", count=WORKERS)
    for connection in connections:
        assert ask(connection, b"still here") == b"still here"
        connection.close()
    assert not any(client.lines("circuit lost") for client in bob)
    relay.signal(signal.SIGHUP)  # once more, when those circuits are gone
    relay.expect("configuration reloaded", count=2)


def test_stop_with_circuits(world, echo):
    """The relay ends with circuits on every thread; it says so for each of them, and all sessions
    resume through the next relay."""
    relay = world.start_relay(Workers=WORKERS)
    world.start_agent()
    clients = [world.start_client(*forwards(echo.port)) for _ in range(WORKERS)]
    connections = [client.dial() for client in clients]
    for connection in connections:
        ask(connection, b"hello")
    relay.stop()
    assert len(relay.lines("ended: the relay is shutting down")) == WORKERS
    world.start_relay(Workers=WORKERS)
    for client, connection in zip(clients, connections):
        client.resumed()
        assert ask(connection, b"again") == b"again"
        connection.close()


def test_another_number_needs_a_start(world):
    relay = world.start_relay(Workers=1)
    world.relay_conf(Workers=2)
    relay.signal(signal.SIGHUP)
    relay.expect(r"Workers in \[Relay\]: takes effect at the next start")
    assert len(threads_s(relay)) == 1


def test_a_stream_ends_cleanly_through_a_thread(world, echo):
    """Half-close both ways through a circuit that another thread carries."""
    world.start_relay(Workers=2)
    world.start_agent()
    client = world.start_client(*forwards(echo.port))
    data = os.urandom(MIB)
    with client.dial() as connection, ThreadPoolExecutor(1) as sender:
        def send():
            connection.sendall(data)
            connection.shutdown(1)

        sent = sender.submit(send)
        assert read_to_end(connection) == (data, "eof")
        sent.result()
