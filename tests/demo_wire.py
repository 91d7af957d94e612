#!/usr/bin/python3
"""The bytes on a wire: a TCP proxy that keeps every byte, and a search in what it kept.

    demo_wire.py record ADDRESS:PORT FILE     the port it listens on is its first line of output
    demo_wire.py count FILE WORD...           how often each word occurs in FILE, a line each
    demo_wire.py count FILE --key KEY...      the same for public keys: as text or as 32 raw bytes
"""
import base64
import pathlib
import socket
import sys
import threading


def carry(source, sink, kept, lock):
    """Copies one direction to its end."""
    try:
        while data := source.recv(1 << 16):
            with lock:
                kept.write(data)
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:  # one side is gone: the other one goes too
        for side in (source, sink):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def record(target, path):
    host, _, port = target.rpartition(":")
    lock = threading.Lock()
    with open(path, "wb", buffering=0) as kept, socket.create_server(("127.0.0.1", 0)) as door:
        print(door.getsockname()[1], flush=True)
        while True:
            near, _ = door.accept()
            far = socket.create_connection((host, int(port)))
            for side in (near, far):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for pair in ((near, far), (far, near)):
                threading.Thread(target=carry, args=(*pair, kept, lock), daemon=True).start()


def count(path, words):
    data = pathlib.Path(path).read_bytes()
    if words[0] == "--key":
        for key in words[1:]:
            print(data.count(key.encode()) + data.count(base64.b64decode(key)))
    else:
        for word in words:
            print(data.count(word.encode()))


def main():
    if sys.argv[1] == "record":
        record(*sys.argv[2:])
    else:
        count(sys.argv[2], sys.argv[3:])


main()
