"""spiped client - HAProxy tcp - spiped server, with one shared key."""
import os

from peers import haproxy


class Peer(haproxy.Peer):
    title = "spiped - HAProxy - spiped"
    encrypted = True
    package = ("spiped", "haproxy")
    programs = ("spiped", "haproxy")

    def spiped(self, direction, source, target):
        pid_file = self.directory / f"pid{direction}"
        return [
            *("spiped", direction, "-F", "-n", "1000", "-p", pid_file, "-k", self.key),
            *("-s", source, "-t", target),
        ]

    def serve(self, bind_more="", settings=""):
        self.key = self.directory / "key"
        self.key.write_bytes(os.urandom(32))
        self.key.chmod(0o600)
        self.relay_port, port = self.rig.port(), self.rig.port()
        agent = self.spiped("-d", f"[0.0.0.0]:{port}", f"[127.0.0.1]:{self.target}")
        self.spawn("agent", agent, listens=port)
        next_hop = f"{self.network.agent_seen_by_relay}:{port}"
        self.spawn(
            "relay", self.argv("relay", f"*:{self.relay_port}", next_hop), listens=self.relay_port
        )

    def client(self, server_more="", settings=""):
        relay = f"[{self.network.relay_seen_by_client}]:{self.relay_port}"
        return self.spiped("-e", f"[127.0.0.1]:{self.port}", relay)
