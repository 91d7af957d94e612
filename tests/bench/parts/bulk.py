"""Bulk with iperf3: one stream up, one down, eight up; and the processor time of the tunnel's
processes. Once under the machine's own congestion control, once more under cubic."""
import json

from rig import (
    Cpu,
    Failed,
    await_idle,
    congestion_control,
    congestion_controls,
    run,
    set_congestion_control,
)

DIRECTIONS = {"up": [], "down": ["-R"], "eight": ["-P", "8"]}
EVERY_ROUND = ("direct", "haproxy", "haproxy_tls", "stunnel", "spx")
MB = 1e6
GB = 1e9


def iperf(tunnel, seconds, *options):
    """(bytes that arrived, over how many seconds). The server is new every time, so that no run has
    to do with the one before."""
    rig, network = tunnel.rig, tunnel.network
    client = ["iperf3", "-c", "127.0.0.1", "-p", tunnel.port, "-t", seconds, "-J", *options]
    with rig.scope():
        server = rig.spawn("iperf3", ["iperf3", "-s", "-p", tunnel.target], network.enter("agent"))
        rig.await_listening(server, tunnel.target)
        said = run(*network.enter("client"), *client, seconds=seconds + 30, check=False)
    said = json.loads(said)
    if "error" in said:
        raise Failed(f"iperf3: {said['error']}")
    arrived = said["end"]["sum_received"]
    return arrived["bytes"], arrived["seconds"]


def measure(tunnel, seconds, *options):
    """One run, as the JSON keeps it: MB/s, and processor seconds a GB by site."""
    sites = {site: Cpu(tunnel.pids(site)) for site in tunnel.processes}
    count, took = iperf(tunnel, seconds, *options)
    used = {site: cpu.done() for site, cpu in sites.items()}
    result = {"mb_s": count / took / MB}
    for i, what in enumerate(("all", "user", "system")):
        result[what] = sum(one[i] for one in used.values()) / (count / GB)
    for site, one in used.items():
        result[site] = one[0] / (count / GB)
    return result


def rounds_of(bench, tunnels, directions):
    """Interleaved: a round is once through all of them, each round from another one on. The slow ones, which are far from the rest,
    have every second round only, and shorter runs."""
    results = {row: {d: [] for d in directions} for row in tunnels}
    for i in range(bench.rounds):
        for direction, options in directions.items():
            order = list(tunnels.items())
            for row, tunnel in order[i % len(order) :] + order[: i % len(order)]:
                slow = row not in EVERY_ROUND
                if slow and i % 2:
                    continue
                seconds = max(1, bench.seconds // 2) if slow else bench.seconds
                await_idle()
                with bench.tolerates(row, tunnels):
                    results[row][direction].append(measure(tunnel, seconds, *options))
    return results


def run_once(bench):
    with bench.tunnels(bench.rows, bench.rig.port()) as tunnels:
        return rounds_of(bench, tunnels, DIRECTIONS)


def run_part(bench):
    own = congestion_control()
    results = {}
    for control in congestion_controls():
        set_congestion_control(control)
        results[control] = run_once(bench)
    set_congestion_control(own)
    return results
