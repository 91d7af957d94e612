"""Bulk over links with a delay: whether a window limits it."""
import contextlib

from parts import bulk
from rig import DelayedNetwork, congestion_control

DELAY_MS = 25
MBIT = 1000
ROWS = ["haproxy", "stunnel", "spx"]
DIRECTIONS = {"up": [], "down": ["-R"]}
ROUNDS = 2
SECONDS = 3
SLOW_START_S = 2  # left out


@contextlib.contextmanager
def delayed_network(bench):
    network = DelayedNetwork(bench.rig, DELAY_MS, MBIT, congestion_control())
    try:
        yield network
    finally:
        bench.rig.stop(network.process)


def run_part(bench):
    rows = [row for row in ROWS if row in bench.rows]
    results = {row: {d: [] for d in DIRECTIONS} for row in rows}
    with delayed_network(bench) as network:
        with bench.tunnels(rows, bench.rig.port(), network) as tunnels:
            for _ in range(ROUNDS):
                for direction, options in DIRECTIONS.items():
                    for row, tunnel in list(tunnels.items()):
                        with bench.tolerates(row, tunnels):
                            measured = bulk.measure(tunnel, SECONDS, "-O", SLOW_START_S, *options)
                            results[row][direction].append(measured)
    return results
