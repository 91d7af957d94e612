"""ssh -L through -J: the relay's sshd connects to the agent's."""
from peers.openssh import Openssh


class Peer(Openssh):
    title = "ssh -L through -J"
    encrypted = True

    def serve(self):
        self.make_keys()
        self.relay_port, self.agent_port = self.rig.port(), self.rig.port()
        self.sshd("relay", self.relay_port)
        self.sshd("agent", self.agent_port)

    def client(self):
        hosts = {
            "relay": (self.network.relay_seen_by_client, self.relay_port),
            "agent": (self.network.agent_seen_by_relay, self.agent_port),
        }
        return self.ssh("client", hosts, *self.forward(self.target), "-J", "relay", "agent")
