"""Idle agents at one relay: what each costs it in memory, and in processor time when they all come
back after its restart. One program (agents.c) is all of them."""
import subprocess

from peers import spx
from rig import BUILD, Cpu, Failed, descriptor_limit, memory, run, wait_for

AGENTS = BUILD / "agents"
STAGES = (100, 1000, 10000)
SPARE_DESCRIPTORS = 100
ROUNDS = 2
ONLINE_S = 300


class Agents:
    """The program that simulates them."""

    def __init__(self, bench, peer, count):
        self.rig = bench.rig
        argv = [AGENTS, "run", peer.relay_port, peer.keys["relay"], count]
        self.process = bench.rig.spawn("agents", argv, stdin=subprocess.PIPE)
        self.answers = 0
        self.await_answer()

    def await_answer(self, seconds=ONLINE_S):
        def answered():
            if self.process.poll() is not None:
                raise Failed(f"agents ended: {self.rig.log(self.process)[-500:]}")
            lines = self.rig.log(self.process).splitlines()
            return lines[self.answers] if len(lines) > self.answers else None

        answer = wait_for(answered, "an answer of the simulated agents", seconds)
        self.answers += 1
        return answer

    def ask(self, command):
        self.process.stdin.write(f"{command}\n".encode())
        self.process.stdin.flush()
        return self.await_answer()

    def go(self):
        """(agents, seconds, own processor seconds, failures)"""
        word, *numbers = self.ask("go").split()
        if word != "online":
            raise Failed(f"agents: {word}")
        return [float(one) for one in numbers]


def start_relay(peer):
    return peer.spawn(
        "relay", [peer.binary, "relay", "-c", peer.conf["relay"]], says="listening on"
    )


def stages(agents, relay, count):
    empty = memory(relay.pid)
    results = []
    for wanted in sorted({min(one, count) for one in STAGES}):
        agents.ask(f"prepare {wanted}")
        agents.go()
        now = memory(relay.pid)
        results.append(
            {
                "agents": wanted,
                "pss": now["pss"],
                "empty_pss": empty["pss"],
                "private_growth": now["private"] - empty["private"],
            }
        )
    return results


def come_back(agents, peer, relay, count):
    """The relay ends; everything is lost; it is there again, and so are they."""
    peer.processes["relay"].remove(relay)
    peer.rig.stop(relay)
    agents.ask("lost")
    agents.ask(f"prepare {count}")
    relay = start_relay(peer)
    cpu = Cpu([relay.pid])
    _, seconds, own, failures = agents.go()
    return relay, {
        "agents": count,
        "seconds": seconds,
        "relay_cpu_ms": cpu.done()[0] * 1000 / count,
        "generator_cpu_ms": own * 1000 / count,
        "failures": failures,
    }


def run_part(bench):
    count = min(STAGES[-1], (descriptor_limit() - SPARE_DESCRIPTORS) // 2)
    peer = spx.Peer(bench.rig, bench.network, 1)
    peer.configure()
    with open(peer.conf["relay"], "a", encoding="ascii") as conf:
        conf.write(run(AGENTS, "conf", count))
    results = {"back": []}
    with bench.rig.scope():
        relay = start_relay(peer)
        agents = Agents(bench, peer, count)
        results["stages"] = stages(agents, relay, count)
        for _ in range(ROUNDS):
            relay, measured = come_back(agents, peer, relay, count)
            results["back"].append(measured)
    return results
