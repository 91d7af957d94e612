"""TLS through three HAProxies: the first encrypts, the second forwards, the third decrypts."""
from peers import haproxy
from peers.certificate import make_certificate


class Peer(haproxy.Peer):
    title = "HAProxy, TLS from end to end"
    encrypted = True

    def serve(self, bind_more="", settings=""):
        _, self.certificate, both = make_certificate(self.directory)
        super().serve(f" ssl crt {both}", settings)

    def client(self, server_more="", settings=""):
        more = f" ssl verify required ca-file {self.certificate} sni str(bench) verifyhost bench"
        return super().client(more, settings)
