"""The common part of the peers made of OpenSSH: keys, sshd, and a client's configuration."""
import os

from peers.base import Tunnel
from rig import run

SSHD = """
Port {port}
HostKey {host_key}
PidFile none
AuthorizedKeysFile {user_key}.pub
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
MaxStartups 200
MaxSessions 200
"""
HOST = """
Host {name}
    HostName {address}
    Port {port}
    HostKeyAlias bench
"""
ALL = """
Host *
    IdentityFile {user_key}
    IdentitiesOnly yes
    UserKnownHostsFile {known_hosts}
    StrictHostKeyChecking yes
    BatchMode yes
    Ciphers aes128-gcm@openssh.com
    LogLevel ERROR
    ExitOnForwardFailure yes
"""


class Openssh(Tunnel):
    package = ("openssh-server", "openssh-client")
    programs = ("ssh", "sshd")

    def make_keys(self):
        self.host_key, self.user_key = self.directory / "host", self.directory / "user"
        for key in (self.host_key, self.user_key):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
        public = self.host_key.with_suffix(".pub").read_text()
        self.known_hosts = self.write("known_hosts", f"bench {public}")

    def sshd(self, site, port):
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        text = SSHD.format(port=port, host_key=self.host_key, user_key=self.user_key)
        conf = self.write(f"sshd-{site}", text)
        self.spawn(site, ["/usr/sbin/sshd", "-D", "-e", "-f", conf], listens=port)

    def ssh(self, name, hosts, *arguments):
        """hosts: name -> (address, port) of those that the command line names."""
        text = "".join(
            HOST.format(name=host, address=address, port=port)
            for host, (address, port) in hosts.items()
        ) + ALL.format(user_key=self.user_key, known_hosts=self.known_hosts)
        return ["ssh", "-F", self.write(f"ssh-{name}", text), "-N", "-T", *arguments]

    def forward(self, target):
        return ["-L", f"127.0.0.1:{self.port}:127.0.0.1:{target}"]
