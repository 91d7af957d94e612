"""The round trip of 64 bytes over an open stream."""
from rig import PROBE, run

COUNT = 3000


def run_part(bench):
    results = {row: [] for row in bench.rows}
    with bench.echo() as port, bench.tunnels(bench.rows, port) as tunnels:
        for _ in range(bench.rounds):
            for row, tunnel in list(tunnels.items()):
                with bench.tolerates(row, tunnels):
                    median, p99 = run(PROBE, "pingpong", tunnel.port, COUNT).split()
                    results[row].append({"median": float(median), "p99": float(p99)})
    return results
