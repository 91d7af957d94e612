"""Connections a second through a running tunnel: one at a time, and 16 in flight."""
from rig import PROBE, run

INFLIGHT = (1, 16)
SECONDS = 0.7
ROUNDS = 3


def measure(tunnel, inflight):
    said = run(PROBE, "connects", tunnel.port, SECONDS, inflight).split()
    count, failed, seconds, median = (float(one) for one in said)
    return {"per_s": count / seconds, "failed": int(failed), "median_us": median}


def run_part(bench):
    results = {row: {str(n): [] for n in INFLIGHT} for row in bench.rows}
    with bench.echo() as port, bench.tunnels(bench.rows, port) as tunnels:
        for _ in range(min(ROUNDS, bench.rounds)):
            for inflight in INFLIGHT:
                for row, tunnel in list(tunnels.items()):
                    with bench.tolerates(row, tunnels):
                        results[row][str(inflight)].append(measure(tunnel, inflight))
    return results
