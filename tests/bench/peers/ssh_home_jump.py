"""ssh -R to the relay's sshd, and ssh -L through -J to the agent's sshd behind it: call-home, and
encrypted from end to end."""
from peers import ssh_home


class Peer(ssh_home.Peer):
    title = "ssh -L through -J to an ssh -R"
    encrypted = True

    def serve(self):
        agent_port = self.rig.port()
        self.serve_relay()
        self.call_home_to(agent_port)
        self.sshd("agent", agent_port)

    def client(self):
        hosts = {
            "relay": (self.network.relay_seen_by_client, self.relay_port),
            "agent": ("127.0.0.1", self.meeting),
        }
        return self.ssh("client", hosts, *self.forward(self.target), "-J", "relay", "agent")
