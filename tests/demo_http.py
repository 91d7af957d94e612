#!/usr/bin/python3
"""The demonstration's web service: serves one directory on a loopback port that the system chooses.

    demo_http.py DIRECTORY

The port is the first line on standard output; one line a connection and one a request follow, as the
service sees them.
Files go out with sendfile(2), so that the service is not what a measurement measures.
"""
import functools
import http.server
import sys


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # one connection may carry many requests
    disable_nagle_algorithm = True

    def copyfile(self, source, outputfile):
        outputfile.flush()
        self.connection.sendfile(source)

    def log_request(self, code="-", size="-"):
        peer = self.client_address
        status = getattr(code, "value", code)
        print(f"{peer[0]} \"{self.requestline}\" {status}", flush=True)


class Server(http.server.ThreadingHTTPServer):
    def verify_request(self, request, client_address):
        print(f"{client_address[0]} connected", flush=True)
        return True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # who asked has gone
            super().handle_error(request, client_address)


def main():
    handler = functools.partial(Handler, directory=sys.argv[1])
    with Server(("127.0.0.1", 0), handler) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


main()
