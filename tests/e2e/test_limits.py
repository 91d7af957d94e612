"""Each limit of docs/PROTOCOL.md section 6 is gone over: what is too much is refused or pushed out,
and whoever stays within the limits notices nothing."""
import re
import resource
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import noise
import peer
from harness import LOOPBACK, SLOWNESS, endpoint, forwards, free_port, stays_false, wait_for
from peer import (
    DATA, OPEN, OPENED, RESET, Gone, Refused, frame, open_frame, string, u16, u32,
)  # fmt: skip
from servers import ask, read_to_end

FLOOD = Path(__file__).with_name("flood.py")
FLOOD_S = 3
FLOOD_RATE = 5000 // SLOWNESS  # connections a second
MIB = 1 << 20


def pair(world, name):
    return peer.Pair(world.key(name).path)


def user_client(world, user="alice", agent="lab-1", source=None):
    return peer.Client(
        pair(world, user), world.relay_address, world.key("relay").raw, agent,
        world.key(agent).raw, source=source,
    )  # fmt: skip


def tcp(server):
    return f"tcp:{LOOPBACK}:{server.port}"


class Crowd:
    """A relay, an agent, and so many users."""

    def __init__(self, world, count, **config):
        self.names = [f"user-{i}" for i in range(count)]
        self.relay = world.start_relay(users=dict.fromkeys(self.names, "*"), **config)
        self.agent = world.start_agent(users=dict.fromkeys(self.names, "tcp:127.0.0.1:*"))
        self.clients = [user_client(world, name) for name in self.names]


def refusal_of(call, *arguments, **options):
    """The code of the refusal that a call raises."""
    with pytest.raises(Refused) as refused:
        call(*arguments, **options)
    return refused.value.code


# Floods.


class Flood:
    """One that runs while it is the context."""

    def __init__(self, world, kind, sources, address=None, key="relay"):
        self.argv = [
            sys.executable, str(FLOOD), kind, address or world.relay_address,
            world.key(key).raw.hex(), str(FLOOD_S), str(FLOOD_RATE), str(sources),
        ]  # fmt: skip

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdout=subprocess.PIPE, text=True)
        return self

    def runs(self):
        return self.process.poll() is None

    def opened(self):
        """How many connections it made; waits for it to say so."""
        return int(self.process.stdout.readline())

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()


def connect_times(clients, flood):
    """How long each connect to the agent takes, one after the other, as long as the flood runs."""
    times = []
    for turn in range(10 * len(clients)):  # as many as the relay lets a user do at once
        if not flood.runs():
            break
        begun = time.monotonic()
        circuit = clients[turn % len(clients)].connect()
        times.append(time.monotonic() - begun)
        circuit.finish()
    return sorted(times)


@pytest.mark.parametrize("sources", [1, 5000], ids=["one source", "many sources"])
@pytest.mark.parametrize("kind", ["silent", "wrong", "garbage"])
def test_flood(world, kind, sources):
    """Whatever is thrown at the relay, those who have a key get through in less than a second, and
    its memory stays within what 8,192 strangers and 1,024 handshakes may take."""
    crowd = Crowd(world, 16)
    before = crowd.relay.peak_memory_bytes()
    crowd.clients[0].connect().finish()
    with Flood(world, kind, sources) as flood:
        times = connect_times(crowd.clients, flood)
        memory = crowd.relay.peak_memory_bytes() - before
        opened = flood.opened()
    print(f"{opened} connections; {len(times)} connects, the slowest in {times[-1]:.3f} s; "
          f"{memory // 1024} KiB more")  # fmt: skip
    assert opened > 3000 // SLOWNESS
    assert len(times) >= 20
    assert times[int(len(times) * 0.99)] < 1 * SLOWNESS
    assert memory < 64 * MIB
    assert not crowd.relay.lines(r"Z error ")
