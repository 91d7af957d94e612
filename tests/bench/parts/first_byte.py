"""From starting the client to the first byte back, and one more connection through a running client:
without a delay, and with one on either side of the relay, where it is also counted in round trips of
the whole path."""
import time

from parts.delayed_bulk import delayed_network
from rig import PROBE, run

SETTLE_S = 0.2  # an agent parks its next hop
DELAYED_ROUNDS = 3
CONNECTS_S = 1


def first(tunnel):
    argv = tunnel.client() or ["sleep", "60"]
    enter = tunnel.network.enter("client")
    time.sleep(SETTLE_S)
    return float(run(*enter, PROBE, "first", tunnel.port, *argv)) / 1000


def one_more(tunnel):
    enter = tunnel.network.enter("client")
    said = run(*enter, PROBE, "connects", tunnel.port, CONNECTS_S, 1).split()
    return float(said[3]) / 1000


def measure(bench, network, rows, rounds):
    """Milliseconds of each round."""
    results = {row: {"first_ms": [], "one_more_ms": []} for row in rows}
    with bench.echo(network) as port:
        with bench.tunnels(rows, port, network, start="serve") as tunnels:
            for _ in range(rounds):
                for row, tunnel in list(tunnels.items()):
                    with bench.tolerates(row, tunnels):
                        results[row]["first_ms"].append(first(tunnel))
        with bench.tunnels(rows, port, network) as tunnels:
            for row, tunnel in list(tunnels.items()):
                with bench.tolerates(row, tunnels):
                    results[row]["one_more_ms"].append(one_more(tunnel))
    return results


def run_part(bench):
    results = {"0": measure(bench, bench.network, bench.rows, bench.rounds)}
    with delayed_network(bench) as network:
        rows = [row for row in bench.rows if row != "direct"]
        results[str(network.delay_ms)] = measure(bench, network, rows, DELAYED_ROUNDS)
    return results
