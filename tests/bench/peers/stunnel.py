"""stunnel client - HAProxy tcp - stunnel server: TLS from end to end."""
from peers import haproxy
from peers.certificate import make_certificate

CONFIGURATION = """
foreground = yes
pid =
syslog = no
debug = err
[bench]
client = {client}
accept = {accept}
connect = {connect}
"""


class Peer(haproxy.Peer):
    title = "stunnel - HAProxy - stunnel"
    encrypted = True
    package = ("stunnel4", "haproxy")
    programs = ("stunnel", "haproxy")

    def stunnel(self, name, more, **values):
        return ["stunnel", self.write(f"{name}.conf", CONFIGURATION.format(**values) + more)]

    def serve(self, bind_more="", settings=""):
        key, self.certificate, _ = make_certificate(self.directory)
        self.relay_port, port = self.rig.port(), self.rig.port()
        agent = self.stunnel(
            "agent",
            f"key = {key}\ncert = {self.certificate}\n",
            client="no",
            accept=f"0.0.0.0:{port}",
            connect=f"127.0.0.1:{self.target}",
        )
        self.spawn("agent", agent, listens=port)
        next_hop = f"{self.network.agent_seen_by_relay}:{port}"
        self.spawn(
            "relay", self.argv("relay", f"*:{self.relay_port}", next_hop), listens=self.relay_port
        )

    def client(self, server_more="", settings=""):
        return self.stunnel(
            "client",
            f"CAfile = {self.certificate}\nverifyPeer = yes\n",
            client="yes",
            accept=f"127.0.0.1:{self.port}",
            connect=f"{self.network.relay_seen_by_client}:{self.relay_port}",
        )
