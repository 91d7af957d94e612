"""spx: relay, an agent that calls home and keeps a hop parked, a client with -L."""
from peers.base import Tunnel
from rig import SPX, run

RELAY = """
[Relay]
Listen = *:{port}
KeyFile = relay.key
[User]
Name = alice
PublicKey = {client}
Agents = *
[Agent]
Name = bench
PublicKey = {agent}
"""
AGENT = """
[Agent]
Name = bench
KeyFile = agent.key
[Relay]
Address = {address}:{port}
PublicKey = {relay}
[User]
Name = alice
PublicKey = {client}
Allow = tcp:127.0.0.1:{target}
"""
CLIENT = """
[Client]
KeyFile = client.key
[Relay]
Address = {address}:{port}
PublicKey = {relay}
[Agent]
Name = bench
PublicKey = {agent}
"""
CONNECTED = "connected to agent"


class Peer(Tunnel):
    title = "spx"
    encrypted = call_home = True
    binary = SPX
    programs = (SPX,)

    def configure(self):
        self.relay_port = self.rig.port()
        self.keys = {
            role: run(self.binary, "key", "new", self.directory / f"{role}.key").strip()
            for role in ("relay", "agent", "client")
        }
        values = {"port": self.relay_port, "target": self.target, **self.keys}
        network = self.network
        self.conf = {
            "relay": self.write("relay.conf", RELAY.format(**values)),
            "agent": self.write(
                "agent.conf", AGENT.format(address=network.relay_seen_by_agent, **values)
            ),
            "client": self.write(
                "client.conf", CLIENT.format(address=network.relay_seen_by_client, **values)
            ),
        }

    def serve(self):
        self.configure()
        self.spawn("relay", [self.binary, "relay", "-c", self.conf["relay"]], says="listening on")
        self.spawn(
            "agent", [self.binary, "agent", "-c", self.conf["agent"]], says="online at relay"
        )

    def client(self):
        forward = f"127.0.0.1:{self.port}:127.0.0.1:{self.target}"
        return [self.binary, "client", "-c", self.conf["client"], "bench", "-L", forward]
