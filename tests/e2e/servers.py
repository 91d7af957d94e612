"""Real TCP servers for tests to reach, and what an application does at its end of a connection."""
import asyncio
import functools
import hashlib
import http.server
import os
import queue
import random
import shutil
import signal
import socket
import struct
import tempfile
import threading
from pathlib import Path

from harness import LOOPBACK, Program, free_port, run, wait_for

CHUNK = 1 << 20


class LoopThread:
    """An asyncio event loop in a thread of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def call(self, function, *arguments):
        """Calls a function in the loop and returns what it returns."""

        async def inside():
            return function(*arguments)

        return self.run(inside())

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


class _Echo(asyncio.Protocol):
    def __init__(self, server):
        self.server = server

    def connection_made(self, transport):
        self.transport = transport
        self.server.accepted += 1
        self.server.transports.add(transport)

    def data_received(self, data):
        self.server.bytes += len(data)
        self.transport.write(data)

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()

    def eof_received(self):
        return False  # what is left is sent, then the connection is closed

    def connection_lost(self, error):
        self.server.transports.discard(self.transport)


class EchoServer:
    """Sends back what it gets, for thousands of connections at once."""

    def __init__(self, host=LOOPBACK):
        self.thread = LoopThread()
        self.transports = set()
        self.accepted = 0  # connections so far
        self.bytes = 0
        self.server = self.thread.run(self._listen(host))
        self.port = self.server.sockets[0].getsockname()[1]

    async def _listen(self, host):
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: _Echo(self), host, 0, backlog=2048)

    def open_connections(self):
        return len(self.transports)

    def close(self):
        def end():
            self.server.close()
            for transport in list(self.transports):
                transport.abort()

        self.thread.call(end)
        self.thread.close()


class Target:
    """A TCP server whose connections are each handled by a function in a thread of its own.

    The function's result or exception is kept; outcome() hands it to the test.
    """

    def __init__(self, handler, host=LOOPBACK, seconds=60, listener=None):
        """seconds: how long the handler's calls may wait; listener: a socket that is there."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.handler = handler
        self.seconds = seconds
        self.outcomes = queue.Queue()
        self.connections = []
        self.closing = False
        self.listener = listener or socket.create_server((host, 0), family=family, backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:  # closed
                return
            connection.settimeout(self.seconds)
            self.connections.append(connection)
            thread = threading.Thread(target=self._handle, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _handle(self, connection):
        try:
            with connection:
                self.outcomes.put((self.handler(connection), None))
        except BaseException as error:
            if not self.closing:
                self.outcomes.put((None, error))

    def outcome(self, seconds=15):
        """The result of the next connection's handler; raises what it raised."""
        value, error = wait_for(self._take, seconds, "a connection of the target is done")
        if error:
            raise error
        return value

    def _take(self):
        try:
            return self.outcomes.get_nowait()
        except queue.Empty:
            return None

    def close(self):
        self.closing = True
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self.listener.close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join(10)


class WebServer:
    """Serves a directory over HTTP/1.1."""

    class _Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

    class _Server(http.server.ThreadingHTTPServer):
        request_queue_size = 256

    def __init__(self, directory, host=LOOPBACK):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        kind = type("Server", (self._Server,), {"address_family": family})
        self.server = kind((host, 0), functools.partial(self._Handler, directory=str(directory)))
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


class Sshd:
    """A real OpenSSH server of the current user on loopback, with its own host key and one allowed
    key."""

    def __init__(self, directory):
        self.directory = directory / "sshd"
        self.directory.mkdir()
        self.user_key = self._keygen("user_key")
        host_key = self._keygen("host_key")
        self.port = free_port()
        self.known_hosts = self.directory / "known_hosts"
        self.known_hosts.write_text(
            f"[{LOOPBACK}]:{self.port} {host_key.with_suffix('.pub').read_text()}"
        )
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        conf = self.directory / "sshd_config"
        conf.write_text(
            "\n".join(
                [
                    f"Port {self.port}",
                    f"ListenAddress {LOOPBACK}",
                    f"HostKey {host_key}",
                    "PidFile none",
                    f"AuthorizedKeysFile {self.user_key}.pub",
                    "PubkeyAuthentication yes",
                    "PermitRootLogin yes",
                    "PasswordAuthentication no",
                    "KbdInteractiveAuthentication no",
                    "StrictModes no",
                    "UsePAM no",
                    "PrintMotd no",
                    "Subsystem sftp internal-sftp",
                    "",
                ]
            )
        )
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))
        assert sshd, "no sshd: install openssh-server"
        self.program = Program("sshd", [sshd, "-D", "-e", "-f", conf], directory)
        self.program.expect(r"Server listening on")

    def _keygen(self, name):
        path = self.directory / name
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
        return path

    def options(self, proxy_argv):
        """ssh's options to reach this server through a ProxyCommand."""
        command = " ".join("'" + a.replace("127.0.0.1:PORT", "%h:%p") + "'" for a in proxy_argv)
        return [
            "-F",
            "none",
            "-i",
            str(self.user_key),
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            f"UserKnownHostsFile={self.known_hosts}",
            "-o",
            "LogLevel=ERROR",
            "-o",
            f"ProxyCommand={command}",
        ]

    def close(self):
        self.program.stop()


class Postgres:
    """A PostgreSQL server with a cluster of its own on loopback, made for pgbench."""

    def __init__(self):
        versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        assert versions, "no PostgreSQL: install postgresql"
        self.bin = versions[-1]
        # Not in the test's directory: that is for its own user only.
        self.directory = Path(tempfile.mkdtemp(prefix="spx-postgres-"))
        self.port = free_port()
        self.user = []
        if os.geteuid() == 0:  # which PostgreSQL refuses to run as
            shutil.chown(self.directory, "postgres", "postgres")
            self.user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        data = self.directory / "data"
        words = ["--username=bench", "--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8"]
        run(*self.user, self.bin / "initdb", *words, data, cwd=self.directory)
        settings = [
            f"port={self.port}",
            f"listen_addresses={LOOPBACK}",
            f"unix_socket_directories={self.directory}",
            "fsync=off",
        ]
        self.program = Program(
            "postgres",
            [*self.user, self.bin / "postgres", "-D", data, *(f"--{s}" for s in settings)],
            self.directory,
            cwd=self.directory,
            stop_signal=signal.SIGINT,
        )
        self.program.expect(r"ready to accept connections")
        self.run("pgbench", "--initialize", "--quiet")

    def run(self, program, *words, address=None, **options):
        """Runs a PostgreSQL program against the server, or through another address."""
        host, port = address or (LOOPBACK, self.port)
        place = ["-h", host, "-p", port, "-U", "bench"]
        return run(self.bin / program, *place, *words, "postgres", **options)

    def count(self, table):
        return int(self.run("psql", "-Atc", f"SELECT count(*) FROM {table}").stdout)

    def close(self):
        self.program.stop()
        shutil.rmtree(self.directory)


# The ways in which an application ends.


def read_to_end(connection):
    """Reads until the connection ends: (what came, "eof" or "reset")."""
    parts = []
    while True:
        try:
            data = connection.recv(65536)
        except ConnectionResetError:
            return b"".join(parts), "reset"
        if not data:
            return b"".join(parts), "eof"
        parts.append(data)


def greet(client, index=0):
    """A connection through a client to a target that echoes, open and tried."""
    connection = client.dial(index)
    assert ask(connection, b"hello") == b"hello"
    return connection


def assert_works(client, target):
    """A connection works, and ends cleanly at the target."""
    with greet(client):
        pass
    assert target.outcome() == "eof"


def echo_to_end(connection):
    """A target's side: sends back what comes; returns how the connection ended: "eof" or "reset"."""
    while True:
        try:
            data = connection.recv(65536)
            if not data:
                return "eof"
            connection.sendall(data)
        except (ConnectionResetError, BrokenPipeError):
            return "reset"


def read_exactly(connection, size):
    parts = bytearray()
    while len(parts) < size:
        data = connection.recv(min(65536, size - len(parts)))
        assert data, f"the connection ended after {len(parts)} of {size} bytes"
        parts += data
    return bytes(parts)


def reset(connection):
    """Closes with a TCP reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def ask(connection, data):
    """Sends to an echo server and reads as much back."""
    connection.sendall(data)
    return read_exactly(connection, len(data))


def send_stream(connection, size, seed):
    """Sends size bytes that repeat nowhere in step, then ends its half; returns their SHA-256."""
    pattern = memoryview(random.Random(seed).randbytes(2 * CHUNK))
    digest = hashlib.sha256()
    sent = 0
    while sent < size:
        start = (sent // CHUNK * 7919) % CHUNK
        part = pattern[start : start + min(CHUNK, size - sent)]
        connection.sendall(part)
        digest.update(part)
        sent += len(part)
    connection.shutdown(socket.SHUT_WR)
    return digest.hexdigest()


def receive_stream(connection, seen=lambda got: None):
    """Reads to the end of file: (size, SHA-256). A reset raises. seen is told of every piece."""
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    digest = hashlib.sha256()
    size = 0
    while True:
        got = connection.recv_into(buffer)
        if not got:
            return size, digest.hexdigest()
        digest.update(view[:got])
        size += got
        seen(got)


def exchange(connection, size, seed, seen=lambda got: None):
    """Sends and receives at the same time: (checksum sent, size received, checksum received)."""
    sending = Task(send_stream, connection, size, seed)
    received, checksum = receive_stream(connection, seen)
    return sending.result(100), received, checksum


class Count:
    """Adds up what it is called with."""

    def __init__(self):
        self.bytes = 0

    def __call__(self, got):
        self.bytes += got


class Task:
    """A function running in a thread; result() waits for it and raises what it raised."""

    def __init__(self, function, *arguments):
        self.value = self.error = None
        self.done = False
        self.thread = threading.Thread(target=self._run, args=(function, *arguments), daemon=True)
        self.thread.start()

    def _run(self, function, *arguments):
        try:
            self.value = function(*arguments)
        except BaseException as error:
            self.error = error
        self.done = True

    def result(self, seconds):
        wait_for(lambda: self.done, seconds, "the transfer is done")
        if self.error:
            raise self.error
        return self.value
