"""A plain forwarder in three hops: HAProxy at each site, splicing."""
from peers.base import Tunnel

DEFAULTS = """
global
    maxconn 4000
{settings}
defaults
    mode tcp
    maxconn 4000
    option splice-auto
    timeout connect 10s
    timeout client 1h
    timeout server 1h
listen bench
    bind {bind}
    server next {server}
"""


class Peer(Tunnel):
    title = "HAProxy, three plain hops (splice)"
    package = ("haproxy",)
    programs = ("haproxy",)

    def argv(self, name, bind, server, settings=""):
        text = DEFAULTS.format(bind=bind, server=server, settings=settings)
        return ["haproxy", "-db", "-f", self.write(f"{name}.cfg", text)]

    def serve(self, bind_more="", settings=""):
        self.relay_port, agent_port = self.rig.port(), self.rig.port()
        agent = self.argv(
            "agent", f"*:{agent_port}{bind_more}", f"127.0.0.1:{self.target}", settings
        )
        self.spawn("agent", agent, listens=agent_port)
        relay = self.argv(
            "relay", f"*:{self.relay_port}", f"{self.network.agent_seen_by_relay}:{agent_port}"
        )
        self.spawn("relay", relay, listens=self.relay_port)

    def client(self, server_more="", settings=""):
        server = f"{self.network.relay_seen_by_client}:{self.relay_port}{server_more}"
        return self.argv("client", f"127.0.0.1:{self.port}", server, settings)
