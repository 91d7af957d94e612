"""The task of every peer: carry connections from a port at the client's site to one at the agent's."""


class Tunnel:
    """A peer says how its relay and agent sides are started (serve), and what its client's command
    line is (client); the rest is here."""

    title = ""
    encrypted = False  # from end to end: the relay's site cannot read it
    call_home = False  # the agent's side needs no open port
    package = ()  # Debian's packages whose versions are told
    programs = ()  # all that must be installed for it

    def __init__(self, rig, network, target):
        """target: a port on loopback at the agent's site; port: the one to connect to, at the
        client's."""
        self.rig, self.network, self.target = rig, network, target
        self.directory = rig.make(type(self).__module__.rsplit(".", 1)[-1])
        self.port = rig.port()
        self.processes = {"client": [], "relay": [], "agent": []}

    def serve(self):
        """Starts the relay's and the agent's side; returns when both can be used."""

    def client(self):
        """The command line that makes port lead to the target; None: no program is needed."""

    def start(self):
        self.serve()
        if argv := self.client():
            self.spawn("client", argv, listens=self.port)

    def stop(self):
        for running in self.processes.values():
            while running:
                self.rig.stop(running.pop())

    def spawn(self, site, argv, listens=None, says=None, prefix=()):
        """Starts one of the peer's programs at a site, and waits for what shows that it is ready."""
        process = self.rig.spawn(
            f"{self.directory.name}-{site}", argv, prefix=[*self.network.enter(site), *prefix]
        )
        self.processes[site].append(process)
        if listens:
            self.rig.await_listening(process, listens)
        if says:
            self.rig.await_log(process, says)
        return process

    def pids(self, site=None):
        sites = [site] if site else self.processes
        return [process.pid for one in sites for process in self.processes[one]]

    def write(self, name, text, mode=0o600):
        path = self.directory / name
        path.write_text(text)
        path.chmod(mode)
        return path
