"""A TCP proxy to stand between the parties: it records what passes, and can slow it, hold it back or
cut it."""
import asyncio
import socket
import struct

from harness import LOOPBACK, endpoint, wait_for
from servers import LoopThread

UP, DOWN = "up", "down"  # from the side that connected, and to it

# The first message on a connection (docs/PROTOCOL.md section 2).
HEADER_BYTES = 8
MAC1_BYTES = 16


class _Side(asyncio.Protocol):
    """One socket of a connection; what it reads goes to the other one."""

    def __init__(self, connection, direction):
        self.connection = connection
        self.direction = direction
        self.transport = None
        self.other = None
        self.full = False  # the other side cannot take more
        self.due = 0  # when the last byte of a slow proxy's queue is out
        self.at_end = False  # it has said its end of file

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.connection.proxy.refusing:
            self.connection.cut("reset")
        # Not here: a transport starts to read after this has returned, paused or not.
        asyncio.get_running_loop().call_soon(self.connection.update)

    def data_received(self, data):
        fuse = self.connection.proxy.burn(self.direction, len(data))
        if fuse:
            data = data[: fuse.passing]
        self.connection.passed[self.direction] += len(data)
        if self.connection.proxy.recording:
            self.connection.recorded[self.direction] += data
        if self.connection.proxy.bytes_per_s:
            self.queue(data)
        else:
            self.other.transport.write(data)
        if fuse:
            self.connection.proxy.cut_now(fuse.how)

    def queue(self, data):
        """Passes it on when all before it has had its time."""
        loop = asyncio.get_running_loop()
        seconds = len(data) / self.connection.proxy.bytes_per_s
        self.due = max(self.due, loop.time()) + seconds
        loop.call_at(self.due, self.other.transport.write, data)

    def eof_received(self):
        self.at_end = True
        if self.other.at_end:
            self.other.transport.close()
            return False
        self.other.transport.write_eof()
        return True

    def pause_writing(self):
        self.other.full = True
        self.connection.update()

    def resume_writing(self):
        self.other.full = False
        self.connection.update()

    def connection_lost(self, error):
        self.connection.lost(self, error)


class Connection:
    """One connection through the proxy: bytes by direction, whole when the proxy records."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.index = len(proxy.connections)
        self.passed = {UP: 0, DOWN: 0}
        self.recorded = {UP: bytearray(), DOWN: bytearray()}
        self.held = set(proxy.hold_new)
        self.ended = False
        self.sides = {UP: _Side(self, UP), DOWN: _Side(self, DOWN)}
        self.sides[UP].other, self.sides[DOWN].other = self.sides[DOWN], self.sides[UP]

    def update(self):
        """Reads from a side when both are there, nothing is held, and the other side can take it."""
        if not all(side.transport for side in self.sides.values()):
            if self.sides[UP].transport:
                self.sides[UP].transport.pause_reading()
            return
        for side in self.sides.values():
            if side.transport.is_closing():
                continue
            if side.full or side.direction in self.held:
                side.transport.pause_reading()
            else:
                side.transport.resume_reading()

    def hold(self, *directions):
        """Called in the proxy's loop: lets nothing pass in these directions any more."""
        self.held = set(directions)
        self.update()

    def lost(self, side, error):
        """One socket is gone: the other one goes the same way, with a reset after a reset."""
        self.ended = True
        other = side.other.transport
        if other and not other.is_closing():
            if error:
                _reset(other)
            else:
                other.close()

    def first_message(self):
        """The first message of the side that connected, whole: header, Noise message, mac1."""
        recorded = self.recorded[UP]
        if len(recorded) < HEADER_BYTES:
            return None
        assert recorded[:4] == b"SPX1"
        size = HEADER_BYTES + int.from_bytes(recorded[6:8], "big") + MAC1_BYTES
        return bytes(recorded[:size]) if len(recorded) >= size else None

    def proven(self):
        """True if the side that connected was answered and has sent its first record: it has proven
        its key then."""
        message = self.first_message()
        return message and self.passed[DOWN] and self.passed[UP] > len(message)

    def cut(self, how):
        """Ends both sides: "reset", or "fin" in the way an orderly close looks."""
        for side in self.sides.values():
            if side.transport and not side.transport.is_closing():
                _reset(side.transport) if how == "reset" else side.transport.close()


def _reset(transport):
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


class Fuse:
    """Cuts all connections when so many more bytes have passed in one direction."""

    def __init__(self, direction, offset, how):
        self.direction = direction
        self.left = offset
        self.how = how
        self.passing = 0  # of the last piece


class Proxy:
    """Listens on loopback and passes every connection on to one address."""

    def __init__(self, target_address, recording=True, bytes_per_s=None):
        """bytes_per_s: of each connection and direction; like a router with a large buffer it takes
        all that comes, and passes it on late."""
        host, _, port = target_address.rpartition(":")
        self.target = host.strip("[]"), int(port)
        self.recording = recording
        self.bytes_per_s = bytes_per_s
        self.connections = []
        self.hold_new = set()  # directions held from the start on connections to come
        self.refusing = False
        self.fuse = None
        self.thread = LoopThread()
        self.server = self.thread.run(self._listen())
        self.port = self.server.sockets[0].getsockname()[1]
        self.address = endpoint(LOOPBACK, self.port)

    async def _listen(self):
        return await asyncio.get_running_loop().create_server(
            self._connection, LOOPBACK, 0, backlog=256
        )

    def _connection(self):
        connection = Connection(self)
        self.connections.append(connection)
        asyncio.get_running_loop().create_task(self._dial(connection))
        return connection.sides[UP]

    async def _dial(self, connection):
        if self.refusing:
            return  # reset as soon as it is there
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: connection.sides[DOWN], *self.target
            )
        except OSError:
            connection.cut("reset")

    def hold(self, *directions):
        """Lets nothing pass in these directions any more, on the connections that are there and on
        those to come; without directions everything passes again."""

        def change():
            self.hold_new = set(directions)
            for connection in self.connections:
                connection.hold(*directions)

        self.thread.call(change)

    def stall(self, *only):
        """Holds both ways of every connection there is, or of these only, without closing it; those
        to come pass."""
        self.thread.call(lambda: [c.hold(UP, DOWN) for c in only or self.connections])

    def cut(self, how="reset", only=()):
        """Ends every connection there is, or these only."""
        self.thread.call(self.cut_now, how, only)

    def cut_now(self, how, only=()):
        """Called in the proxy's loop."""
        for connection in only or self.connections:
            connection.cut(how)

    def cut_after(self, direction, offset, how="reset"):
        """Ends every connection when so many more bytes have passed in a direction, in the middle
        of whatever stands there."""
        self.fuse = Fuse(direction, offset, how)

    def burn(self, direction, size):
        """The fuse, if it is this piece that burns it up."""
        fuse = self.fuse
        if not fuse or fuse.direction != direction:
            return None
        if size < fuse.left:
            fuse.left -= size
            return None
        fuse.passing, self.fuse = fuse.left, None
        return fuse

    def live(self):
        return [c for c in self.connections if not c.ended]

    def wait_proven(self, count):
        """Waits until so many connections are hops whose initiator has proven its key; with an
        agent that calls, the second is its parked hop."""
        wait_for(
            lambda: sum(bool(c.proven()) for c in self.connections) >= count,
            15,
            f"{count} hops through the proxy are open",
        )

    def total(self):
        """All bytes that have passed so far."""
        return sum(sum(c.passed.values()) for c in self.connections)

    def recorded(self):
        """Everything recorded, one piece a connection and direction."""
        return [bytes(c.recorded[d]) for c in self.connections for d in (UP, DOWN)]

    def close(self):
        def end():
            self.server.close()
            for connection in self.connections:
                connection.cut("reset")

        self.thread.call(end)
        self.thread.close()
