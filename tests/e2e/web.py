"""The agent's page as a program sees it: `spx agent web`, and HTTP to it."""
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import threading

from harness import USAGE, Program, wait_for

URL = r"^http://([^/]+)/#([0-9a-f]{32})$"


class Web(Program):
    """A running `spx agent web`."""

    def __init__(self, world, conf, *options, name="web", url=URL, argv=None, **more):
        self.url = url
        argv = argv or world.argv("agent", conf, "web", *options)
        super().__init__(name, argv, world.directory, **more)
        if not self.terminal:
            self.wait_urls(1)

    @classmethod
    def on_terminal(cls, world, conf):
        return cls(world, conf, name="terminal", terminal=True)

    def wait_urls(self, count):
        wait_for(lambda: len(self.urls()) >= count, 15, f"address number {count} of the page")

    def urls(self):
        return re.findall(self.url, self.output(), re.MULTILINE)

    def token(self):
        """One that is good: the last that was printed."""
        return self.urls()[-1][1]

    def next_token(self):
        """Has another one printed."""
        count = len(self.urls())
        self.signal(signal.SIGUSR1)
        self.wait_urls(count + 1)
        return self.token()

    @property
    def host(self):
        return self.urls()[0][0]

    @property
    def address(self):
        host, port = self.host.split(":")
        return host, int(port)


class Page:
    """A page that is open, as a browser would be."""

    def __init__(self, web):
        self.web, self.bearer = web, None
        self.connection = http.client.HTTPConnection(web.host, timeout=20)

    def ask(self, method, path, body=None, **headers):
        """Status and text of an answer. Headers are named with _ for -; None takes one away."""
        sent = {"Host": self.web.host, "Sec-Fetch-Site": "same-origin"}
        if method == "POST":
            sent["Origin"] = f"http://{self.web.host}"
            sent["Content-Type"] = "application/json"
        if self.bearer:
            sent["Authorization"] = f"Bearer {self.bearer}"
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        sent = {name: value for name, value in sent.items() if value is not None}
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        self.connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            self.connection.putheader(name, value)
        self.connection.putheader("Content-Length", str(len(content or b"")))
        self.connection.endheaders(content)
        answer = self.connection.getresponse()
        self.headers = answer.headers
        return answer.status, answer.read().decode()

    def enter(self, token=None):
        status, text = self.ask("POST", "/enter", {"token": token or self.web.token()})
        assert status == 200, text
        self.bearer = json.loads(text)["bearer"]
        return self

    def order(self, verb, **more):
        status, text = self.ask("POST", "/order", {"verb": verb, **more})
        assert status == 200, text
        return json.loads(text)

    def can_look(self):
        """True if there is a place for one more stream."""
        try:
            with self.live():
                return True
        except AssertionError:
            return False

    @contextlib.contextmanager
    def live(self):
        """The lines of the stream as objects, as they come."""
        connection = http.client.HTTPConnection(self.web.host, timeout=20)
        connection.request("GET", "/live", headers={"Authorization": f"Bearer {self.bearer}"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        try:
            yield (json.loads(line) for line in iter(answer.readline, b""))
        finally:
            answer.close()
            connection.close()


def next_list(lines, name):
    """The items of the next list of this name, and its end."""
    items = None
    for line in lines:
        if line.get("web") == "begin" and line["list"] == name:
            items = []
        elif line.get("web") == "end" and line["list"] == name:
            return items, line
        elif items is not None:
            items.append(line)
    raise AssertionError(f"the stream has ended before the list {name}")


def list_until(lines, name, condition):
    """The items of the first list of this name for which the condition holds."""
    while True:
        items, _ = next_list(lines, name)
        if condition(items):
            return items


class Told:
    """A control socket that tells what it is given, in place of an agent: lists that no test could make in
    reasonable time, and texts that no agent would."""

    SILENT = object()  # in place of a list: no answer

    class Failed(str):
        """In place of a list: why there is none."""

    def __init__(self, path, **lists):
        self.lists, self.orders, self.watchers = lists, [], []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        os.chmod(path, 0o600)
        self.listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection:
            for line in connection.makefile():
                asked = json.loads(line)
                if asked["verb"] == "watch":
                    self.watchers.append(connection)
                    continue
                answer = self.lists.get(asked["verb"])
                if answer is self.SILENT:
                    continue
                if answer is None:
                    self.orders.append(asked)
                    answer, end = [], {"result": "done", "text": "done so"}
                elif isinstance(answer, self.Failed):
                    answer, end = [], {"result": "failed", "code": USAGE, "text": answer}
                else:
                    end = {"result": "done"}
                connection.sendall("".join(json.dumps(row) + "\n" for row in [*answer, end]).encode())

    def tell(self, **event):
        for connection in self.watchers:
            connection.sendall((json.dumps(event) + "\n").encode())

    def close(self):
        self.listener.close()
