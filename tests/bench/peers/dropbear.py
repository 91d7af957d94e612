"""dropbear's -R and -L that meet at a dropbear server: call-home; the relay sees what passes. It
compresses, which its client has no option against, and its client's jump host needs the user's own
files, so that this is where it can be compared."""
import pwd

from peers.base import Tunnel
from rig import run

WINDOW = ("-W", "10485760")


class Peer(Tunnel):
    title = "dropbear -R and -L"
    call_home = True
    package = ("dropbear-bin",)
    programs = ("dropbear", "dbclient")

    def dbclient(self, address, *arguments):
        fixed = [*"dbclient -y -y -N -T".split(), *WINDOW]
        own = ["-i", self.key, "-p", self.relay_port]
        return [*fixed, *own, *arguments, f"root@{address}"]

    def make_keys(self):
        """A home of its own for the server's user, which only the server sees."""
        self.key, self.host_key, self.home = (self.directory / n for n in ("user", "host", "home"))
        for key in (self.key, self.host_key):
            run("dropbearkey", "-t", "ed25519", "-f", key)
        public = run("dropbearkey", "-y", "-f", self.key)
        ssh = self.home / ".ssh"
        ssh.mkdir(parents=True)
        line = next(one for one in public.splitlines() if one.startswith("ssh-"))
        (ssh / "authorized_keys").write_text(line + "\n")
        for path in (self.home, ssh, ssh / "authorized_keys"):
            path.chmod(0o700)

    def serve_relay(self):
        self.make_keys()
        self.relay_port = self.rig.port()
        home = pwd.getpwuid(0).pw_dir
        files = ["-r", self.host_key, "-P", self.directory / "pid"]
        server = [*"dropbear -F -E -s".split(), *WINDOW, *files, "-p", self.relay_port]
        with_home = 'mount --bind "$0" "$1" && shift && exec "$@"'
        private_home = [*"unshare --mount sh -c".split(), with_home, self.home, home]
        self.spawn("relay", server, listens=self.relay_port, prefix=private_home)

    def call_home_to(self, target):
        """An agent's side: a meeting port at the relay leads to the target."""
        self.meeting = self.rig.port()
        back = f"127.0.0.1:{self.meeting}:127.0.0.1:{target}"
        self.spawn("agent", self.dbclient(self.network.relay_seen_by_agent, "-R", back))
        self.rig.await_listening(self.processes["relay"][0], self.meeting)

    def serve(self):
        self.serve_relay()
        self.call_home_to(self.target)

    def client(self):
        forward = f"127.0.0.1:{self.port}:127.0.0.1:{self.meeting}"
        return self.dbclient(self.network.relay_seen_by_client, "-L", forward)
