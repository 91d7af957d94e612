"""A user who asks for as much work as the protocol lets one ask for; a program of its own, so that it
does not slow the test that measures.

greedy.py KIND KEY-FILE RELAY RELAY-KEY AGENT AGENT-KEY TARGET: goes on until it is stopped, and says
"begun" when its work is under way. KIND: `listen` and `open` send LISTEN or OPEN and its RESET in
pairs, `datagrams` sends datagrams of no bytes, `eight` sends datagrams in eight sessions at once,
`ends` opens many streams, and ends the session when it is told to; `list` asks for lists with a query that is hard to match, as often as the relay answers.
"""
import resource
import socket
import sys
import time

import peer
from peer import DATAGRAM, FRAME_PING, FRAME_PONG, LISTEN, OPENED, RESET, frame, open_frame, string, u16

AT_ONCE = 250  # pairs before an answer is awaited
OPENS_AT_ONCE = 4000  # each costs the agent a socket and a connect, together far more than a turn may
OPENS_IN_RECORD = 1000
STREAMS = 4000
HARD = f"x=*{'a' * 240}b"


def settle(circuit):
    """All that was sent has been taken, and what came back is acknowledged."""
    circuit.send(frame(FRAME_PING, 0, b"settled?"))
    circuit.expect(FRAME_PONG)


def pairs(circuit, make):
    stream = 1
    while True:
        frames = []
        for stream in range(stream, stream + 2 * AT_ONCE, 2):
            frames += [make(stream), frame(RESET, stream, u16(1) + string(""))]
        stream += 2
        circuit.send(*frames)
        settle(circuit)
        yield


def listen(client, target):
    return pairs(client.connect(streams=16), lambda i: frame(LISTEN, i, string("127.0.0.1:0")))


def opens(client, target):
    circuit, stream = client.connect(), 1
    reset = u16(1) + string("")
    while True:
        for _ in range(OPENS_AT_ONCE // OPENS_IN_RECORD):
            ids = range(stream, stream + 2 * OPENS_IN_RECORD, 2)
            pieces = [open_frame(i, f"tcp:{target}") + frame(RESET, i, reset) for i in ids]
            circuit.records.send(b"".join(pieces))
            stream = ids.stop
        settle(circuit)
        yield


def connect_in_time(client):
    """A user may connect ten times at once, and then each second once."""
    while True:
        try:
            return client.connect()
        except peer.Refused as refused:
            if refused.code != peer.FULL:
                raise
            time.sleep(1)


def flood(client, target, sessions):
    circuits = [connect_in_time(client) for _ in range(sessions)]
    many = frame(DATAGRAM, 1) * 8000
    for circuit in circuits:
        circuit.open(f"udp:{target}")
    while True:
        for _ in range(16 // sessions):
            for circuit in circuits:
                circuit.records.send(many)
        for circuit in circuits:
            settle(circuit)
        yield


def datagrams(client, target):
    return flood(client, target, 1)


def eight(client, target):
    return flood(client, target, 8)


def ends(client, target):
    """A session that ends with all its streams open, on a word: each of their targets is reset."""
    return many_streams(client, lambda circuit: circuit.finish())


def cut(client, target):
    """The same streams, which the agent cuts after the word, since its policy has changed."""
    return many_streams(client, lambda circuit: None)


def many_streams(client, end):
    circuit, connections = client.connect(), []
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with socket.create_server(("127.0.0.1", 0), backlog=STREAMS) as server:
        port = server.getsockname()[1]
        for first in range(1, 2 * STREAMS, 2 * OPENS_IN_RECORD):
            ids = range(first, first + 2 * OPENS_IN_RECORD, 2)
            circuit.send(*(open_frame(i, f"tcp:127.0.0.1:{port}") for i in ids))
            for _ in ids:
                connections.append(server.accept()[0])
                circuit.expect(OPENED)
    yield
    yield
    sys.stdin.readline()
    end(circuit)
    for connection in connections:
        try:
            raise AssertionError(f"{connection.recv(1)} is no reset")
        except ConnectionResetError:
            pass
    print("over", flush=True)
    sys.stdin.readline()


def lists(client, target):
    hop = client.hop()
    while True:
        try:
            hop.send(peer.LIST, string(HARD))
            hop.expect(peer.END)
        except (peer.Gone, peer.Refused):
            hop.close()
            time.sleep(1)  # as the BYE asks
            hop = client.hop()
        yield


KINDS = {"listen": listen, "open": opens, "datagrams": datagrams, "eight": eight, "ends": ends, "cut": cut, "list": lists}


def main(kind, key_file, relay, relay_key, agent, agent_key, target):
    client = peer.Client(
        peer.Pair(key_file), relay, bytes.fromhex(relay_key), agent, bytes.fromhex(agent_key)
    )
    for turn, _ in enumerate(KINDS[kind](client, target)):
        if turn == 1:
            print("begun", flush=True)


main(*sys.argv[1:])
