"""A small spx peer, written from docs/PROTOCOL.md alone: client, agent and relay, each made to be
misused.

It does what a test tells it to, sends what it is given, and forgives nothing that it reads. Calls
block, with a time limit. `Client`, `Agent` and `Relay` are the three parties; a `Hop` speaks control
messages (section 3), a `Circuit` frames (section 5).
"""
import contextlib
import hashlib
import os
import socket
import struct
import threading
from collections import namedtuple

import noise
from harness import LOOPBACK, SLOWNESS, endpoint
from noise import CHACHA, NotAuthentic

# Roles.
CLIENT, CONTROL, AGENT_CIRCUIT, RELAY = 1, 2, 3, 4

# Control messages.
INFO, LIST, WATCH, AGENT, END, CONNECT, OFFER, ACCEPT = range(1, 9)
REFUSE, CONNECTED, REFUSED, CALL, PING, PONG, BYE = range(9, 16)
CALLS, HEARD, HEAD = 128, 129, 130

# Frames.
OPEN, OPENED, DATA, EOF, RESET, WINDOW, LISTEN, LISTENING, CLOSE, ACCESS = range(1, 11)
START, ACK, FRAME_PING, FRAME_PONG, DATAGRAM, PAD, FRAME_HEAD = 0x80, 0x81, 0x82, 0x83, 0x84, 0xC0, 0xC1

# Codes.
REVOKED, FULL, NO_AGENT, OFFLINE, TIMEOUT, DENIED = 3, 4, 7, 8, 9, 10
NO_SESSION, ENDED, STALE = 12, 13, 14
PROTOCOL, REPLACED, BAD_HANDSHAKE, BAD_TICKET, DONE = 15, 17, 19, 20, 21
RESET_LIMIT = 7

# Of ACCESS.
WAITING, GRANTED, ENDING = 1, 2, 3

Pair = noise.Pair

NEW = bytes(16)  # the id of a session that is to be
NO_TICKET = bytes(32)
MIB = 1 << 20


class Gone(Exception):
    """The other side has closed the connection: "eof" or "reset"."""


class Refused(Exception):
    """The other side does not want it: code and text; agents_word: from session message 2."""

    def __init__(self, code, text, agents_word=False):
        super().__init__(code, text)
        self.code, self.text, self.agents_word = code, text, agents_word


def u16(n):
    return struct.pack(">H", n)


def u32(n):
    return struct.pack(">I", n)


def u64(n):
    return struct.pack(">Q", n)


def string(text):
    """A string, name or blob: bytes as they are, text as UTF-8."""
    data = text.encode() if isinstance(text, str) else bytes(text)
    return u16(len(data)) + data


class Reader:
    """Reads fields off a body; each is there whole or the test fails."""

    def __init__(self, data):
        self.data = bytes(data)

    def take(self, size):
        assert size <= len(self.data), f"{size} bytes are wanted, {len(self.data)} are there"
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def blob(self):
        return self.take(self.number(2))

    def text(self):
        return self.blob().decode()

    def rest(self):
        return self.take(len(self.data))

    def extensions(self):
        found = {}
        while self.data:
            kind = self.number(2)
            found[kind] = self.blob()
        return found


class Pipe:
    """A connected socket that is read in pieces of a known size."""

    def __init__(self, sock, seconds=10):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(seconds * SLOWNESS)
        self.sock, self.buffer = sock, bytearray()

    @classmethod
    def dial(cls, address, source=None):
        """address: "host:port"; source: the loopback address to come from."""
        host, _, port = address.rpartition(":")
        return cls(
            socket.create_connection(
                (host.strip("[]"), int(port)), 10, source_address=(source, 0) if source else None
            )
        )

    def peek(self, size):
        """Bytes that stay to be read; TimeoutError loses none."""
        while len(self.buffer) < size:
            try:
                data = self.sock.recv(1 << 16)
            except ConnectionError:
                raise Gone("reset") from None
            if not data:
                raise Gone("eof")
            self.buffer += data
        return bytes(self.buffer[:size])

    def read(self, size):
        taken = self.peek(size)
        del self.buffer[:size]
        return taken

    def write(self, data):
        try:
            self.sock.sendall(data)
        except ConnectionError:
            raise Gone("reset") from None

    def read_first_message(self):
        start = self.read(8)
        return start + self.read(int.from_bytes(start[6:8], "big") + 16)

    def read_to_end(self):
        """The rest, as long as any comes."""
        got = bytearray()
        while True:
            try:
                got += self.read(1)
            except Gone:
                return bytes(got)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        """Also wakes a thread that reads."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()


class Records:
    """Both directions' records over a pipe (section 2.4)."""

    def __init__(self, pipe, ciphers):
        self.pipe = pipe
        self.sending, self.receiving = ciphers
        self.turn = threading.Lock()  # of those who send

    def seal(self, plaintext):
        ciphertext = self.sending.seal(plaintext)
        return u16(len(ciphertext)) + ciphertext

    def send(self, *plaintexts):
        """A record of each, in one write."""
        with self.turn:
            self.pipe.write(b"".join(map(self.seal, plaintexts)))

    def receive(self):
        """A record, whole: one that has not all come in time stays to be read."""
        size = int.from_bytes(self.pipe.peek(2), "big")
        self.pipe.peek(2 + size)
        return self.receiving.open(self.pipe.read(2 + size)[2:])


def hello(role, ticket=NO_TICKET, version=1):
    return bytes([version, role]) + ticket


def welcome(name="", keepalive=15, code=0, text=""):
    body = u16(code) + string(text)
    return body if code else body + bytes([1]) + string(name) + u16(keepalive)


def info(version="peer", flags=0, labels=""):
    return string(version) + u16(flags) + string(labels)


def refusal(code, text, retry=0, message2=b""):
    """REFUSED; after a ticket REFUSE."""
    return u16(code) + string(text) + u16(retry) + message2


def bye(code, text, retry=0):
    return u16(code) + string(text) + u32(retry)


def agent_entry(name, public_key, labels="", state=1, severity=0, call_text=""):
    return (
        string(name) + public_key + u16(0) + string(labels) + bytes([state]) + u32(1)
        + bytes([severity]) + string(call_text)
    )  # fmt: skip


def calls(revision, *all_calls):
    """CALLS; each call: number, severity, age, taken by, text."""
    body = u32(revision) + bytes([len(all_calls)])
    for number, severity, age, taken_by, text in all_calls:
        body += u32(number) + bytes([severity]) + u32(age) + string(taken_by) + string(text)
    return body


def read_message2(handshake, message2):
    """The payload of the answer to a first message: refuses as it says, else leaves the rest."""
    reader = Reader(handshake.read_second(message2))
    code, text = reader.number(2), reader.text()
    if code:
        raise Refused(code, text, agents_word=True)
    return reader


class Hop:
    """An open hop, or, before WELCOME or the first record, one on its way."""

    def __init__(self, pipe, own=None):
        self.pipe, self.own = pipe, own
        self.records = self.peer_key = self.hello = self.role = self.ticket = self.name = None
        self.pings, self.refused = 0, []  # what came while nobody asked
        self.flags = 0  # of its INFO as a responder

    @classmethod
    def open(cls, address, own, peer_public, role, ticket=NO_TICKET, suite=CHACHA, source=None,
             first=INFO, body=None):  # fmt: skip
        """As the initiator; ends with the peer's INFO read. first, body: the first record."""
        hop = cls.greet(address, own, peer_public, role, ticket, suite, source)
        hop.send(first, info() if body is None else body)
        assert hop.receive()[0] == INFO
        return hop

    @classmethod
    def greet(cls, address, own, peer_public, role, ticket=NO_TICKET, suite=CHACHA, source=None):
        """As the initiator, up to WELCOME."""
        hop = cls(Pipe.dial(address, source), own)
        handshake, message = noise.write_first_message(
            suite, noise.HOP, own, peer_public, hello(role, ticket)
        )
        hop.pipe.write(message)
        reader = read_message2(handshake, hop.pipe.read(int.from_bytes(hop.pipe.read(2), "big")))
        assert reader.number(1) == 1
        hop.name, hop.keepalive = reader.text(), reader.number(2)
        reader.extensions()
        hop.records = Records(hop.pipe, handshake.split())
        return hop

    def accept(self, answer):
        """As the responder. answer: called with this hop once the peer's key and role are known;
        returns WELCOME. True: the hop is open."""
        handshake, payload = noise.read_first_message(
            self.pipe.read_first_message(), noise.HOP, self.own
        )
        self.peer_key, self.hello, reader = handshake.peer, payload, Reader(payload)
        assert reader.number(1) >= 1
        self.role, self.ticket = reader.number(1), reader.take(32)
        payload = answer(self)
        message2 = handshake.write_second(payload)
        self.pipe.write(u16(len(message2)) + message2)
        if payload[:2] != u16(0):
            return False
        self.records = Records(self.pipe, handshake.split())
        assert self.receive()[0] == INFO
        self.send(INFO, info(flags=self.flags))
        return True

    def send(self, kind, body=b""):
        self.records.send(bytes([kind]) + body)

    def send_together(self, *messages):
        """Several messages, (type, body) each, in one write."""
        self.records.send(*(bytes([kind]) + body for kind, body in messages))

    def receive(self):
        """The next message that is not PING, which is answered: (type, reader of its body)."""
        while True:
            plaintext = self.records.receive()
            if plaintext[0] != PING:
                return plaintext[0], Reader(plaintext[1:])
            self.pings += 1
            self.send(PONG, plaintext[1:])

    def expect(self, *kinds):
        """The next message, which is one of these."""
        kind, reader = self.receive()
        if kind == BYE and BYE not in kinds:
            raise Refused(reader.number(2), reader.text())
        assert kind in kinds, f"message {kind} came, not {kinds}"
        return reader if len(kinds) == 1 else (kind, reader)

    def is_alive(self):
        """True if the other side still answers."""
        try:
            self.send(PING, b"are you?")
            while self.receive()[0] != PONG:
                pass
            return True
        except (Gone, NotAuthentic):
            return False

    def wait_end(self):
        """Reads until the other side closes; the code of its BYE, or None."""
        code = None
        try:
            while True:
                kind, reader = self.receive()
                code = reader.number(2) if kind == BYE else code
        except Gone:
            return code

    def close(self):
        self.pipe.close()


Frame = namedtuple("Frame", "kind stream payload")


def frame(kind, stream=0, payload=b"", reserved=0, length=None):
    size = len(payload) if length is None else length
    return struct.pack(">BBHI", kind, reserved, size, stream) + payload


def access_frame(state, until=0, text=""):
    return frame(ACCESS, 0, bytes([state]) + u64(until) + string(text))


def open_frame(stream, target, window=1 << 18):
    return frame(OPEN, stream, u32(window) + string(target))


class Session:
    """The part that outlives a circuit: id, positions, and what was sent and is not acknowledged."""

    def __init__(self):
        self.id, self.circuit_number, self.received = NEW, 0, 0
        self.sent, self.acknowledged = b"", 0  # sent: from position `acknowledged` on
        self.peer_streams = self.early_credit = self.peer_limit = self.peer_ring = None
        self.extensions = []  # of each payload of the other side

    def limits(self, streams=0, limit=8 * MIB, ring=MIB):
        return u64(self.received) + u32(limit) + u32(ring) + u16(streams)

    def payload1(self, agent, streams=0, number=None):
        """The client's payload of session message 1; number: instead of the next."""
        self.circuit_number += 1
        number = self.circuit_number if number is None else number
        return bytes([1]) + u16(0) + string(agent) + self.id + u32(number) + self.limits(streams)

    def payload2(self, streams=1024, early=8192, window=600):
        """The agent's."""
        limits = self.limits(streams)
        return u16(0) + string("") + bytes([1]) + self.id + limits + u32(early) + u32(window)

    def read_payload2(self, reader):
        """Returns the position the agent told."""
        assert reader.number(1) == 1
        self.id, told = reader.take(16), reader.number(8)
        self.peer_limit, self.peer_ring, self.peer_streams = (reader.number(n) for n in (4, 4, 2))
        self.early_credit, self.resume_window = reader.number(4), reader.number(4)
        self.extensions.append(reader.extensions())
        return told

    def read_payload1(self, reader):
        """Returns the agent's name, the session's id, the circuit's number and the position told."""
        assert reader.number(1) >= 1
        reader.number(2)
        name, session_id, number, told = (
            reader.text(),
            reader.take(16),
            reader.number(4),
            reader.number(8),
        )
        self.peer_limit, self.peer_ring, self.peer_streams = (reader.number(n) for n in (4, 4, 2))
        self.extensions.append(reader.extensions())
        return name, session_id, number, told

    def acknowledge(self, position):
        if position > self.acknowledged:
            self.sent = self.sent[position - self.acknowledged :]
            self.acknowledged = position


class Circuit:
    """One circuit of a session: counts positions, acknowledges, answers PING, and no more."""

    def __init__(self, session, pipe, ciphers, told):
        self.session, self.pipe, self.told = session, pipe, told
        self.records = Records(pipe, ciphers)
        self.waiting, self.skip, self.number = [], 0, None
        self.owed = []  # what waits for the own START; None: it is out

    def start(self, position=None):
        """Sends START and what the peer does not have."""
        self.session.acknowledge(self.told)
        position = self.session.acknowledged if position is None else position
        self.records.send(frame(START, 0, u64(position)))
        owed, self.owed = [*self.owed, self.session.sent], None
        for frames in filter(None, owed):
            self.records.send(frames)
        return self

    def _say(self, answer):
        """ACK or PONG, but not before the own START. What came is good also when the other side has
        gone meanwhile and takes no answer."""
        if self.owed is None:
            with contextlib.suppress(Gone):
                self.records.send(answer)
        else:
            self.owed.append(answer)

    def read_start(self):
        first = self.receive()
        assert first.kind == START, f"the first frame is {first}"
        return self

    def send(self, *frames):
        """Frames in one record."""
        for one in frames:
            if one[0] < 0x80:
                self.session.sent += one
        self.records.send(b"".join(frames))

    def receive(self):
        """The next frame, whatever it is."""
        while not self.waiting:
            reader = Reader(self.records.receive())
            while reader.data:
                kind, reserved, size = (reader.number(n) for n in (1, 1, 2))
                assert reserved == 0
                self._take(Frame(kind, reader.number(4), reader.take(size)))
        return self.waiting.pop(0)

    def _take(self, got):
        if got.kind < 0x80:
            size = 8 + len(got.payload)
            if self.skip:
                assert size <= self.skip, "a frame that begins below the position ends above it"
                self.skip -= size
                return
            self.session.received += size
            self._say(frame(ACK, 0, u64(self.session.received)))
        elif got.kind == START:
            position = int.from_bytes(got.payload, "big")
            assert position <= self.session.received, "a gap"
            self.skip = self.session.received - position
        elif got.kind == FRAME_PING:
            self._say(frame(FRAME_PONG, 0, got.payload))
        elif got.kind == ACK:
            self.session.acknowledge(int.from_bytes(got.payload, "big"))
        self.waiting.append(got)

    def expect(self, *kinds, stream=None):
        """The next frame of these kinds (and this stream); others are passed over, but not CLOSE."""
        while True:
            got = self.receive()
            if got.kind in kinds and stream in (None, got.stream):
                return got
            assert got.kind != CLOSE, f"CLOSE: {got.payload}"

    def open(self, target, stream=1, window=1 << 18):
        """Opens a stream and waits until it is."""
        self.send(open_frame(stream, target, window))
        answer = self.expect(OPENED, RESET, stream=stream)
        if answer.kind == RESET:
            reader = Reader(answer.payload)
            raise Refused(reader.number(2), reader.text(), agents_word=True)
        return int.from_bytes(answer.payload[:4], "big")

    def ask(self, data, stream=1):
        """Sends to a stream that echoes and reads as much back."""
        self.send(frame(DATA, stream, data))
        got = b""
        while len(got) < len(data):
            got += self.expect(DATA, stream=stream).payload
        return got

    def finish(self):
        """Ends the session in an orderly way."""
        self.send(frame(CLOSE, 0, u16(DONE) + string("finished")))
        try:
            while self.session.sent:
                self.receive()
        except Gone:
            pass
        self.close()

    def wait_end(self):
        """Reads until the other side closes; the code of its CLOSE, or None, and its close_text."""
        code = None
        try:
            while True:
                got = self.receive()
                if got.kind == CLOSE:
                    reader = Reader(got.payload)
                    code, self.close_text = reader.number(2), reader.text()
        except Gone:
            return code

    def close(self):
        self.pipe.close()


def circuit_name(message1):
    """The circuit's label, by which all three parties call it in their logs."""
    return hashlib.sha256(message1).digest()[:4].hex()


class Client:
    """A user of one agent through one relay."""

    def __init__(self, own, relay_address, relay_public, agent, agent_public, source=None,
                 suite=CHACHA):  # fmt: skip
        self.own, self.relay_address, self.relay_public = own, relay_address, relay_public
        self.agent, self.agent_public = agent, agent_public
        self.source, self.suite = source, suite

    def hop(self):
        return Hop.open(
            self.relay_address, self.own, self.relay_public, CLIENT, suite=self.suite,
            source=self.source,
        )  # fmt: skip

    def list(self, query=""):
        """The names of the agents, by one LIST on a hop of its own."""
        hop = self.hop()
        hop.send(LIST, string(query))
        names = []
        while True:
            kind, reader = hop.expect(AGENT, END)
            if kind == END:
                hop.close()
                return names
            names.append(reader.text())

    def message1(self, session, streams=0, number=None, agent=None):
        """(the handshake, session message 1)"""
        payload = session.payload1(agent or self.agent, streams, number)
        return noise.write_first_message(
            self.suite, noise.SESSION, self.own, self.agent_public, payload
        )

    def ask(self, message1, hop=None):
        """CONNECT with any bytes, and LIST before it: the hop and session message 2."""
        hop = hop or self.hop()
        hop.send_together((LIST, string(self.agent)), (CONNECT, string(self.agent) + message1))
        while True:
            kind, reader = hop.expect(AGENT, END, CONNECTED, REFUSED)
            if kind == CONNECTED:
                return hop, reader.rest()
            if kind == REFUSED:
                code, text, _ = reader.number(2), reader.text(), reader.number(2)
                hop.refusal2 = reader.rest()
                raise Refused(code, text)

    def connect(self, session=None, streams=0, number=None, start=True, agent=None):
        """A circuit of a new session, or of one that is resumed. start: send START and read the
        agent's."""
        session = session or Session()
        handshake, message1 = self.message1(session, streams, number, agent)
        hop = self.hop()
        try:
            _, message2 = self.ask(message1, hop)
        except Refused as refused:
            hop.close()
            if hop.refusal2:
                read_message2(handshake, hop.refusal2)
            raise refused
        told = session.read_payload2(read_message2(handshake, message2))
        circuit = Circuit(session, hop.pipe, handshake.split(), told)
        circuit.number, circuit.message1 = session.circuit_number, message1
        return circuit.start().read_start() if start else circuit


class Agent:
    """An agent's two hops at a relay; sessions are taken by a call each, or by serve()."""

    def __init__(self, own, name, relay_address=None, relay_public=None, suite=CHACHA):
        self.own, self.name, self.suite = own, name, suite
        self.relay_address, self.relay_public = relay_address, relay_public
        self.sessions = {}

    def hop(self, role, ticket=NO_TICKET):
        return Hop.open(
            self.relay_address, self.own, self.relay_public, role, ticket, suite=self.suite
        )

    def payload2(self, session):
        return session.payload2()

    def answer(self, message1):
        """Reads session message 1: (session message 2, what makes the circuit of a pipe)."""
        handshake, payload = noise.read_first_message(message1, noise.SESSION, self.own)
        session = Session()
        name, session_id, number, told = session.read_payload1(Reader(payload))
        assert name == self.name
        if session_id != NEW:
            self.sessions[session_id].extensions += session.extensions
            session = self.sessions[session_id]
        else:
            session.id = os.urandom(16)
            self.sessions[session.id] = session
        message2 = handshake.write_second(self.payload2(session))

        def make(pipe):
            circuit = Circuit(session, pipe, handshake.split(), told)
            circuit.number, circuit.message1 = number, message1
            return circuit

        return message2, make

    def take_offer(self, hop):
        """The next OFFER on a parked hop, accepted: its circuit, both STARTs done."""
        reader = hop.expect(OFFER)
        reader.take(32), reader.text(), reader.take(32), reader.text()
        message2, make = self.answer(reader.blob())
        reader.extensions()
        hop.send(ACCEPT, message2)
        return begin(make(hop.pipe))

    def take_ticket(self, control):
        """The next OFFER on the control hop, accepted on a hop of its own."""
        reader = control.expect(OFFER)
        ticket, _, _, _ = reader.take(32), reader.text(), reader.take(32), reader.text()
        message2, make = self.answer(reader.blob())
        hop = self.hop(AGENT_CIRCUIT, ticket)
        hop.send(ACCEPT, message2)
        return begin(make(hop.pipe))


def begin(circuit):
    """The agent's part in the beginning of a circuit: the client's START comes first."""
    circuit.read_start()
    return circuit.start()


def serve_echo(circuit):
    """Serves every stream of a circuit as a target that echoes, until the circuit ends."""
    circuit.pipe.sock.settimeout(None)
    try:
        while True:
            got = circuit.receive()
            if got.kind == OPEN:
                circuit.send(frame(OPENED, got.stream, u32(MIB) + string("127.0.0.1:7")))
            elif got.kind == DATA:
                credit = frame(WINDOW, got.stream, u32(len(got.payload)))
                circuit.send(frame(DATA, got.stream, got.payload), credit)
            elif got.kind == EOF:
                circuit.send(frame(EOF, got.stream))
            elif got.kind == CLOSE:
                break
    except (Gone, OSError):
        pass
    circuit.close()


class Listener:
    """Accepts connections, each handled in a thread of its own."""

    def __init__(self, address=None):
        host, _, port = (address or f"{LOOPBACK}:0").rpartition(":")
        self.listener = socket.create_server((host, int(port)), backlog=256)
        self.address = endpoint(host, self.listener.getsockname()[1])
        self.pipes, self.threads, self.problems, self.closing = [], [], [], False
        self._run(self._accept)

    def _run(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:  # closed
                return
            pipe = Pipe(sock)
            pipe.sock.settimeout(None)
            self.pipes.append(pipe)
            self._run(self._handle, pipe)

    def _handle(self, pipe):
        try:
            self.handle(pipe)
        except (Gone, NotAuthentic, OSError):
            pass
        except Exception as problem:  # told at the end of the test
            self.problems.append(problem)
        if not getattr(pipe, "kept", False):
            pipe.close()

    def cut(self):
        """Ends every connection there is."""
        for pipe in list(self.pipes):
            pipe.close()

    def close(self):
        self.closing = True
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()
        for thread in list(self.threads):
            thread.join(10)
        if self.problems:
            raise self.problems[0]


class Relay(Listener):
    """A relay for whoever knows its key. It joins what it is asked to join, unless a test says
    otherwise in one of its hooks."""

    def __init__(self, own, address=None, agents=(), keepalive=15):
        """agents: name -> public key, for LIST; without any AGENT is left out."""
        self.own, self.agents, self.keepalive = own, dict(agents), keepalive
        self.parked, self.controls, self.joined = [], [], []
        self.came = threading.Condition()
        self.connects = 0
        super().__init__(address)

    # Hooks.

    def welcome(self, hop):
        return welcome("peer", self.keepalive)

    def on_control(self, hop, kind, reader):
        """A message other than REFUSE came on a control hop."""

    def entry(self, name):
        return agent_entry(name, self.agents[name])

    def listed(self, hop, query):
        """LIST or WATCH came on this client's hop."""
        for name in self.agents:
            if query in ("", name):
                hop.send(AGENT, self.entry(name))
        hop.send(END)

    def connected(self, hop, name, message1):
        """CONNECT came on this client's hop."""
        parked = self.next_parked()
        ticket = os.urandom(32)
        parked.send(
            OFFER, ticket + string("peer") + hop.peer_key + string("127.0.0.1:1") + string(message1)
        )
        kind, reader = parked.expect(ACCEPT, REFUSE)
        if kind == REFUSE:
            assert reader.take(32) == ticket
            hop.send(REFUSED, reader.rest())
            self.park(parked)
            return
        hop.send(CONNECTED, reader.rest())
        self.join(hop.pipe, parked.pipe)

    def forward(self, circuit, up, data):
        """Bytes of a circuit (the first one is 1), from the client when up: what is passed on."""
        return data

    # Its actions.

    def handle(self, pipe):
        hop = Hop(pipe, self.own)
        if not hop.accept(self.welcome):
            return
        if hop.role == CLIENT:
            self.serve_client(hop)
        else:
            pipe.kept = True
            self.park(hop)

    def park(self, hop):
        with self.came:
            (self.controls if hop.role == CONTROL else self.parked).append(hop)
            self.came.notify_all()
        if hop.role == CONTROL:
            while True:
                kind, reader = hop.receive()
                if kind == REFUSE:
                    hop.refused.append(reader.rest())
                else:
                    self.on_control(hop, kind, reader)

    def next_parked(self, seconds=15):
        with self.came:
            assert self.came.wait_for(lambda: self.parked, seconds * SLOWNESS), "no parked hop"
            return self.parked.pop()

    def wait_control(self, seconds=15):
        with self.came:
            assert self.came.wait_for(lambda: self.controls, seconds * SLOWNESS), "no control hop"
            return self.controls[-1]

    def serve_client(self, hop):
        while True:
            kind, reader = hop.receive()
            if kind in (LIST, WATCH):
                self.listed(hop, reader.text())
            elif kind == CONNECT:
                self.connects += 1
                self.connected(hop, reader.text(), reader.rest())
                if getattr(hop.pipe, "kept", False):
                    return

    def cut_circuits(self):
        """Ends those there are; the agents' hops stay."""
        for pipe in self.joined:
            pipe.close()

    def join(self, client, agent):
        client.kept = agent.kept = True
        self.joined += [client, agent]
        number = self.connects
        self._run(self._carry, client, agent, number, True)
        self._run(self._carry, agent, client, number, False)

    def _carry(self, source, sink, number, up):
        try:
            while True:
                data, source.buffer = bytes(source.buffer), bytearray()
                data = data or source.sock.recv(1 << 16)
                if not data:
                    break
                sink.sock.sendall(self.forward(number, up, data))
        except OSError:
            pass
        source.close()
        sink.close()


class Site(Relay):
    """Relay and agent in one: the other end of a real client's session. Each circuit is given to
    `session`, by default one that echoes."""

    def __init__(self, own, agent, **options):
        """agent: an Agent without a relay."""
        self.agent = agent
        super().__init__(own, agents={agent.name: agent.own.public}, **options)

    def begin(self, circuit):
        circuit.start()

    def session(self, circuit):
        serve_echo(circuit)

    def connected(self, hop, name, message1):
        message2, make = self.agent.answer(message1)
        hop.send(CONNECTED, message2)
        circuit = make(hop.pipe).read_start()
        self.begin(circuit)
        self.session(circuit)
        hop.pipe.kept = True
