"""Memory: of spx's client and agent, idle and after bulk; and what an idle agent costs the relay's
side of the peers that call home. (Of spx's relay: agents.py, with thousands.)"""
from parts import bulk
from peers import peer_class, spx
from rig import families, memory, resident

AGENTS = 20  # of a peer whose relay has a process for each
SITES = ("client", "agent")
EIGHT_STREAMS = ("-P", "8")


def spx_roles(bench):
    with bench.tunnels(["spx"], bench.rig.port()) as tunnels:
        tunnel = tunnels["spx"]
        bench.rig.await_log(tunnel.processes["client"][0], spx.CONNECTED)
        pids = {site: tunnel.pids(site)[0] for site in SITES}
        idle = {site: resident(pid)[0] for site, pid in pids.items()}
        for direction in ((), ("-R",)):
            bulk.iperf(tunnel, 1, *EIGHT_STREAMS, *direction)
        return {site: {"idle": idle[site], "load": resident(pid)[1]} for site, pid in pids.items()}


def total(pids):
    each = [memory(pid) for pid in families(pids)]
    return {key: sum(one[key] for one in each) for key in ("pss", "private")}


def relay_side(bench, row):
    """The growth of the relay's side by so many idle agents."""
    tunnel = peer_class(row)(bench.rig, bench.network, bench.rig.port())
    tunnel.serve_relay()
    before = total(tunnel.pids("relay"))
    for _ in range(AGENTS):
        tunnel.call_home_to(tunnel.target)
    after = total(tunnel.pids("relay"))
    tunnel.stop()
    return {"count": AGENTS, **{key: after[key] - before[key] for key in after}}


def run_part(bench):
    results = {"relays": {}}
    if "spx" in bench.rows:
        results["spx"] = spx_roles(bench)
    for row in bench.rows:
        if "serve_relay" in vars(peer_class(row)):  # not inherited: that would be the same relay
            with bench.tolerates(row):
                results["relays"][row] = relay_side(bench, row)
    return results
