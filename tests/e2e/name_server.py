"""A name server with faults, and programs that ask it alone."""
import random
import socket
import struct
import threading

import pytest

A, CNAME, AAAA = 1, 5, 28
SAME_NAME = b"\xc0\x0c"  # as in the question
NOERROR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 2, 3, 4, 5
TRUNCATED = 0x0200
PORT = 53


def loopback_address():
    """One that others do not have."""
    return "127.%d.%d.%d" % tuple(random.randint(1, 254) for _ in range(3))


class NameServer:
    """Answers over UDP and TCP. names: name -> addresses. faults: type of a question -> the code of
    the answer to it, or "drop", "truncate" (over UDP) or "cut" (its last bytes are missing).
    ipv6_first: answers for IPv4 wait until it was asked for IPv6 so often. aliases: so many CNAME
    records stand before the addresses."""

    def __init__(self, names=None, faults=None, ipv6_first=0, aliases=0):
        self.names = names or {}
        self.faults = faults or {}
        self.ipv6_first = ipv6_first
        self.aliases = aliases
        self.asked = []  # (name, type, "udp" or "tcp")
        self.waiting = []
        self.address = loopback_address()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.udp.bind((self.address, PORT))
        except PermissionError:
            pytest.skip("name servers' port is not permitted here")
        self.tcp = socket.create_server((self.address, PORT))
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def types(self, name):
        """The types that were asked for, as often as they were."""
        return [kind for asked, kind, _ in self.asked if asked == name]

    def close(self):
        for listener in (self.udp, self.tcp):
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()

    def _serve_udp(self):
        while True:
            try:
                question, sender = self.udp.recvfrom(512)
                answer = self._answer(question, "udp") if question else None
                if answer:
                    self.waiting.append((self.asked[-1][1], answer, sender))
                self._send()
            except OSError:
                return

    def _send(self):
        kinds = [kind for _, kind, _ in self.asked]
        for wait in list(self.waiting):
            kind, answer, sender = wait
            if kind == AAAA or kinds.count(AAAA) >= self.ipv6_first:
                self.waiting.remove(wait)
                self.udp.sendto(answer, sender)

    def _serve_tcp(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                while len(size := stream.read(2)) == 2:
                    answer = self._answer(stream.read(*struct.unpack("!H", size)), "tcp")
                    if answer:
                        connection.sendall(struct.pack("!H", len(answer)) + answer)

    def _answer(self, message, transport):
        labels, at = [], 12
        while message[at]:
            labels.append(message[at + 1 : at + 1 + message[at]].decode())
            at += 1 + message[at]
        question = message[12 : at + 5]
        (kind,) = struct.unpack("!H", message[at + 1 : at + 3])
        name = ".".join(labels).lower()
        self.asked.append((name, kind, transport))
        return self._reply(message[:2], question, name, kind, transport)

    def _reply(self, number, question, name, kind, transport):
        fault = self.faults.get(kind)
        code = fault if isinstance(fault, int) else NOERROR
        family = {A: socket.AF_INET, AAAA: socket.AF_INET6}[kind]
        found = [a for a in self.names.get(name, ()) if (":" in a) == (kind == AAAA)]
        flags = 0x8180
        if fault == "drop":
            return None
        if fault == "truncate" and transport == "udp":
            found, flags = [], flags | TRUNCATED
        elif code != NOERROR:
            found = []
        elif name not in self.names:
            code = NXDOMAIN
        records = [(CNAME, SAME_NAME)] * self.aliases
        records += [(kind, socket.inet_pton(family, address)) for address in found]
        head = number + struct.pack("!HHHHH", flags | code, 1, len(records), 0, 0)
        answer = head + question + b"".join(
            SAME_NAME + struct.pack("!HHIH", of, 1, 0, len(data)) + data for of, data in records
        )
        return answer[: -3 if fault == "cut" and records else None]


def mounted(world, **files):
    """The words before a program's command line, for it to have these files in /etc."""
    mounts = []
    for name, text in files.items():
        name = name.replace("_", ".")
        mounts.append(f"mount --bind {world.write('etc-' + name, text)} /etc/{name}")
    return ["unshare", "-rm", "sh", "-c", " && ".join([*mounts, 'exec "$@"']), "sh"]
