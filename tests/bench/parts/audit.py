"""Connections a second through spx with audits at all three, and without: in turn, on one disk."""
from parts.connects import INFLIGHT, measure
from peers import spx, spx_audit

ROUNDS = 5  # so few that the user stays within the burst of entries that an agent takes at once

KINDS = {"without": spx.Peer, "with": spx_audit.Peer}


def run_part(bench):
    results = {kind: {str(n): [] for n in INFLIGHT} for kind in KINDS}
    with bench.echo() as port:
        tunnels = {kind: peer(bench.rig, bench.network, port) for kind, peer in KINDS.items()}
        try:
            for tunnel in tunnels.values():
                tunnel.start()
            for _ in range(min(ROUNDS, bench.rounds)):
                for inflight in INFLIGHT:
                    for kind, tunnel in tunnels.items():
                        results[kind][str(inflight)].append(measure(tunnel, inflight))
        finally:
            for tunnel in tunnels.values():
                tunnel.stop()
    return results
