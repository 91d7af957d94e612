"""A flood of connections that never become a hop; a program of its own, so that it does not slow the
test that measures.

flood.py KIND ADDRESS PUBLIC-KEY SECONDS RATE SOURCES: opens RATE connections a second, coming from so
many loopback addresses (127.1.0.1 and up), says that it begins, and in the
end how many. KIND: `silent` sends nothing,
`wrong` a first message whose mac1 is wrong, `garbage` one whose mac1 is right, `partial` most of a
long first message, `unknown` a good one of a key that the relay does not know, each time another.
"""
import errno
import os
import resource
import socket
import sys
import time
from collections import deque

import noise

ABOUT_TO_CONNECT = (0, errno.EINPROGRESS)


def first_bytes(kind, public_key):
    if kind == "silent":
        return b""
    if kind == "garbage":  # an ephemeral key, and then nothing that would verify
        return noise.framed(noise.CHACHA, noise.HOP, noise.Pair().public + os.urandom(82), public_key)
    if kind == "partial":
        return noise.header(noise.CHACHA, noise.HOP, 4096) + os.urandom(4000)
    return noise.header(noise.CHACHA, noise.HOP, 114) + os.urandom(114 + 16)


def good_messages(public_key, count):
    """Of one key that nobody knows."""
    own, hello = noise.Pair(), bytes([1, 1]) + bytes(32)
    return [
        noise.write_first_message(noise.CHACHA, noise.HOP, own, public_key, hello)[1]
        for _ in range(count)
    ]


def source(number):
    return f"127.1.{number >> 8 & 255}.{number & 255}"


def open_one(address, from_address):
    """A connection on its way, or None when there is no port or descriptor left for it."""
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
    try:
        sock.bind((from_address, 0))
        if sock.connect_ex(address) in ABOUT_TO_CONNECT:
            return sock
    except OSError:
        pass
    sock.close()
    return None


def say(sock, data):
    try:
        sock.send(data)
    except OSError:  # not connected yet, or thrown out
        pass


def flood(kind, address, public_key, seconds, rate, sources, open_at_once):
    """Keeps as many open as it may; the oldest goes for the next one."""
    if kind == "unknown":
        messages = good_messages(public_key, int(seconds * rate) + 1)
    else:
        messages = [first_bytes(kind, public_key)]
    print("begun", flush=True)
    opened, begun, held = 0, time.monotonic(), deque()
    while time.monotonic() < begun + seconds:
        if len(held) >= open_at_once:
            held.popleft().close()
        early = opened > rate * (time.monotonic() - begun)
        sock = None if early else open_one(address, source(1 + opened % sources))
        if not sock:
            time.sleep(0.001)
            continue
        say(sock, messages[opened % len(messages)])
        held.append(sock)
        opened += 1
    return opened, held


def main(kind, address, public_key, seconds, rate, sources):
    host, _, port = address.rpartition(":")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    opened, held = flood(
        kind, (host, int(port)), bytes.fromhex(public_key), float(seconds), int(rate),
        int(sources), hard - 100,
    )  # fmt: skip
    print(opened, flush=True)
    for sock in held:
        sock.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
