"""ssh -R and ssh -L that meet at the relay's sshd: call-home; the relay sees what passes."""
from peers.openssh import Openssh


class Peer(Openssh):
    title = "ssh -R and ssh -L"
    call_home = True

    def serve_relay(self):
        self.make_keys()
        self.relay_port = self.rig.port()
        self.sshd("relay", self.relay_port)

    def call_home_to(self, target):
        """An agent's side: a meeting port at the relay leads to the target."""
        self.meeting = self.rig.port()
        hosts = {"relay": (self.network.relay_seen_by_agent, self.relay_port)}
        back = f"127.0.0.1:{self.meeting}:127.0.0.1:{target}"
        self.spawn("agent", self.ssh("agent", hosts, "-R", back, "relay"))
        self.rig.await_listening(self.processes["relay"][0], self.meeting)

    def serve(self):
        self.serve_relay()
        self.call_home_to(self.target)

    def client(self):
        hosts = {"relay": (self.network.relay_seen_by_client, self.relay_port)}
        return self.ssh("client", hosts, *self.forward(self.meeting), "relay")
