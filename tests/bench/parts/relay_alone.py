"""The relay alone: plain bytes through a circuit that it has joined, from a sender and to a receiver
that do the hops' handshakes and then nothing more; beside the same two with nothing between them and
with one HAProxy."""
from peers import haproxy, spx
from rig import BUILD, Cpu, congestion_control, congestion_controls, run, set_congestion_control

PUMP = BUILD / "pump"
SECONDS = 1
GB = 1e9
MB = 1e6


class Direct:
    between = ()

    def __init__(self, bench):
        self.port = bench.rig.port()
        self.sink = bench.rig.spawn("sink", [PUMP, "sink", self.port])
        bench.rig.await_listening(self.sink, self.port)

    def argv(self):
        return [PUMP, "push", self.port, SECONDS]


class Haproxy(Direct):
    """Only the one in the middle of the three-hop forwarder."""

    def __init__(self, bench):
        super().__init__(bench)
        peer = haproxy.Peer(bench.rig, bench.network, self.port)
        self.port = bench.rig.port()
        process = bench.rig.spawn(
            "haproxy", peer.argv("one", f"*:{self.port}", f"127.0.0.1:{peer.target}")
        )
        bench.rig.await_listening(process, self.port)
        self.between = (process.pid,)


class Relay:
    def __init__(self, bench):
        self.peer = peer = spx.Peer(bench.rig, bench.network, 1)
        peer.configure()
        relay = peer.spawn(
            "relay", [peer.binary, "relay", "-c", peer.conf["relay"]], says="listening on"
        )
        agent = [PUMP, "agent", peer.relay_port, peer.keys["relay"], peer.directory / "agent.key"]
        peer.spawn("agent", agent, says="parked")
        self.between = (relay.pid,)

    def argv(self):
        peer = self.peer
        key = peer.directory / "client.key"
        return [PUMP, "client", peer.relay_port, peer.keys["relay"], key, "bench", SECONDS]


def measure(pump):
    cpu = Cpu(pump.between)
    count, seconds = (float(one) for one in run(*pump.argv()).split())
    return {"mb_s": count / seconds / MB, "cpu_s_gb": cpu.done()[0] / (count / GB)}


def run_part(bench):
    own = congestion_control()
    results = {}
    for control in congestion_controls():
        set_congestion_control(control)
        with bench.rig.scope():
            pumps = {"direct": Direct(bench), "haproxy": Haproxy(bench), "spx": Relay(bench)}
            results[control] = {name: [] for name in pumps}
            for _ in range(bench.rounds):
                for name, pump in pumps.items():
                    results[control][name].append(measure(pump))
    set_congestion_control(own)
    return results
