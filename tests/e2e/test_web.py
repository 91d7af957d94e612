"""The agent's page over HTTP: who gets in, what it shows and orders, and what it does not let happen."""
import grp
import json
import os
import re
import shutil
import signal
import socket
import stat
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import CONFIG, DENIED, LOOPBACK, NETWORK, SPX, USAGE, forwards, run, spx, stays_false, wait_for
from servers import greet, reset
from web import Page, Told, Web, list_until, next_list


@pytest.fixture
def site(world, tmp_path):
    """An agent with a control socket and an audit, and its page."""
    return Site(world, tmp_path)


class Site:
    def __init__(self, world, directory):
        self.world, self.control = world, directory / "control"
        self.audit = world.directory / "agent.audit"

    def start(self, *options, **more):
        self.conf = self.world.agent_conf(ControlSocket=self.control, Audit=self.audit, **more)
        self.world.start_relay(users={"alice": "*", "bob": "*"})
        self.agent = self.world.start_agent(conf=self.conf)
        self.web = self.world.start(Web(self.world, self.conf, *options))
        return self.web

    def page(self):
        return Page(self.web).enter(self.web.next_token())


def test_files(site):
    """The page is there for everybody, in one piece with nothing from elsewhere, and says so to the browser."""
    site.start()
    page = Page(site.web)
    for path, kind in (("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")):
        status, text = page.ask("GET", path, Sec_Fetch_Site="cross-site")
        assert status == 200 and page.headers["Content-Type"].startswith(kind)
        assert not re.search(r"(?:src|href|url|import)\W+https?:|//[a-z]+\.[a-z]+/", text.replace("www.w3.org", ""))
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "*" not in policy
        assert "frame-ancestors 'none'" in policy and page.headers["Cache-Control"] == "no-store"
        assert page.headers["Cross-Origin-Resource-Policy"] == "same-origin" and "Set-Cookie" not in page.headers
    html = page.ask("GET", "/")[1]
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", html)


def test_signing_in(site):
    """A token is good once; the next one takes its place; a bearer is good until it signs out."""
    site.start()
    first = site.web.token()
    page = Page(site.web)
    assert page.ask("GET", "/live")[0] == 401 and page.headers["WWW-Authenticate"] == "Bearer"
    assert page.ask("POST", "/enter", {"token": "0" * 32})[0] == 403
    page.enter(first)
    assert page.bearer not in (first, None)
    other = Page(site.web)
    assert other.ask("POST", "/enter", {"token": first})[0] == 403
    second, third = site.web.next_token(), site.web.next_token()
    assert other.ask("POST", "/enter", {"token": second})[0] == 403
    other.enter(third)
    with page.live() as lines:
        next_list(lines, "status")
        assert page.ask("POST", "/leave")[0] == 200
        with pytest.raises(AssertionError, match="has ended"):
            list_until(lines, "status", lambda items: False)
    assert page.ask("GET", "/live")[0] == 401
    assert page.ask("POST", "/order", {"verb": "lock"})[0] == 401
    with other.live() as lines:
        next_list(lines, "status")
    site.web.expect("a page has signed in", count=2)
    site.web.expect("a page shows a token that is wrong")
    assert first not in site.web.log() and page.bearer not in site.web.log()


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:80", "Origin": "http://evil.example:80"}, 421),
        ({"Host": None}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": None}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Authorization": None}, 401),
        ({"Authorization": "Bearer " + "0" * 32}, 401),
        ({"Authorization": "Basic eDp5"}, 401),
    ],
)
def test_orders_of_others(site, headers, status):
    """Another page in the same browser, a name that leads here, a form: none of them orders anything."""
    site.start()
    page = site.page()
    assert page.ask("POST", "/order", {"verb": "lock"}, **headers)[0] == status
    assert page.ask("POST", "/order", {"verb": "unlock"}, Host=f"localhost:{site.web.host.split(':')[1]}",
                    Origin=f"http://localhost:{site.web.host.split(':')[1]}")[0] == 200  # fmt: skip
    with page.live() as lines:
        (agent,) = [i for i in next_list(lines, "status")[0] if i["kind"] == "agent"]
    assert not agent["locked"]


@pytest.mark.parametrize("verb", ["watch", "status", "call", "audit", "codes", "", 'lock"}\n{"verb":"lock'])
def test_other_verbs(site, verb):
    """A verb that is not for a page is not handed on, nor are two lines."""
    site.start()
    status, text = site.page().ask("POST", "/order", {"verb": verb})
    assert (status, text) == (400, "this is no order")


def test_two_lines(site):
    """One line goes to the agent, and no longer one than it reads."""
    site.start()
    page = site.page()
    assert page.ask("POST", "/order", b'{"verb":"unlock"}\n{"verb":"lock"}')[0] == 400
    assert page.ask("POST", "/order", b'{"verb":"lock"' + b" " * 5000 + b"}")[0] == 413
    assert page.ask("POST", "/order", b'{"verb":\n"lock"}')[0] == 400
    assert page.ask("POST", "/order", b"")[0] == 400


def test_lists(site, echo):
    """A page sees the agent, its relays, users, sessions and their streams, and the audit; and each event."""
    site.start()
    page = site.page()
    with page.live() as lines:
        assert next(lines) == {"web": "agent", "here": False, "text": "the agent is being asked"}
        assert next(lines) == {"web": "agent", "here": True}
        items, _ = next_list(lines, "status")
        assert [i["kind"] for i in items] == ["agent", "relay", "user"]
        assert next_list(lines, "sessions")[0] == []
        client = site.world.start_client(*forwards(echo.port))
        connection = greet(client)
        session, stream = list_until(lines, "sessions", lambda items: len(items) == 2)
        assert session["user"] == "alice" and stream["target"] == f"tcp:{LOOPBACK}:{echo.port}"
        entries = list_until(lines, "audit", lambda items: "stream_opened" in [i["event"] for i in items])
        assert entries[0]["event"] == "started"
        page.order("end", what="alice", why="enough")
        line = next(line for line in lines if line.get("event") == "session_ended" and "text" in line)
    assert "enough" in line["text"]
    reset(connection)
    client.wait_exit(DENIED)


def test_orders(site, echo):
    """Lock, unlock and end, with what the agent says to them; who ordered stands in the agent's log."""
    site.start()
    page = site.page()
    client = site.world.start_client(*forwards(echo.port))
    connection = greet(client)
    assert page.order("end", what="carol")["result"] == "failed"
    assert page.order("end", what="1", why="done here")["text"] == "1 session ended"
    reset(connection)
    client.wait_exit(DENIED)
    assert page.order("lock", why="night")["result"] == "done"
    with page.live() as lines:
        agent = list_until(lines, "status", lambda items: items)[0]
        assert agent["locked"] and agent["reason"] == "night"
        assert page.order("unlock", for_s=3600)["result"] == "done"
        agent = list_until(lines, "status", lambda items: not items[0]["locked"])[0]
        assert 3500 < agent["open_for_s"] <= 3600
    assert page.order("unlock", for_s="soon")["code"] == USAGE
    site.agent.expect(r"locked by (root|uid \d+) \(process \d+\): night")


def test_agent_restarted(site):
    """The page outlives the agent: it says that it is away, and goes on when it is there again."""
    site.start()
    page = site.page()
    with page.live() as lines:
        next_list(lines, "audit")
        site.agent.stop()
        next(line for line in lines if line.get("web") == "agent" and not line["here"])
        status, text = page.ask("POST", "/order", {"verb": "lock"})
        assert status == 502 and "cannot be reached" in text
        site.agent = site.world.start_agent(conf=site.conf)
        up = list_until(lines, "status", lambda items: items)[0]["up_s"]
        assert up < 30
        assert page.order("lock")["result"] == "done"


def test_privileges(site):
    """The process that a browser talks to is nobody's when root starts it, gains nothing by any program, and
    holds no key of the agent."""
    site.start()

    def facts(pid):
        text = Path(f"/proc/{pid}/status").read_text()
        return {name: value.split() for name, value in re.findall(r"^(\w+):\t(.*)$", text, re.MULTILINE)}

    own = facts(site.web.pid)
    assert own["NoNewPrivs"] == ["1"]
    if os.geteuid() == 0:
        assert set(own["Uid"]) == set(own["Gid"]) == {"65534"} and set(own["Groups"]) <= {"65534"}
    assert own["CapEff"] == own["CapPrm"] == ["0" * 16]
    argv = Path(f"/proc/{site.web.pid}/cmdline").read_bytes().split(b"\0")
    assert argv[1:5] == [b"agent", b"web", b"--socket", str(site.control).encode()]
    assert site.web.token().encode() not in b"".join(argv)
    open_files = [os.readlink(f"/proc/{site.web.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{site.web.pid}/fd")]
    assert not any(name.endswith((".key", ".conf", ".audit")) for name in open_files)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which takes root")
def test_other_users(world):
    """A member of ControlGroup may have a page, and is the one who decides; nobody else gets one."""
    directory = Path(tempfile.mkdtemp(prefix="spx-web-"))
    directory.chmod(0o755)
    conf = world.agent_conf(ControlSocket=directory / "control", ControlGroup="nogroup")
    world.start_relay()
    agent = world.start_agent(conf=conf)
    shutil.copy(SPX, directory / "spx")
    group = grp.getgrnam("nogroup").gr_gid
    argv = [directory / "spx", "agent", "web", "--socket", directory / "control"]

    def becoming(uid, gid):
        return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", *argv]

    web = world.start(Web(world, None, argv=becoming(4711, group)))
    assert Page(web).enter().order("lock")["result"] == "done"
    agent.expect(r"locked by uid 4711 \(process \d+\)")
    done = run(*becoming(4711, 4711), code=DENIED, cwd=directory)
    assert "the control socket is closed to this user" in done.stderr and done.stdout == ""
    shutil.rmtree(directory)


def test_before_the_agent(world, tmp_path):
    """The page may be started before the agent, and says so."""
    control = tmp_path / "control"
    conf = world.agent_conf(ControlSocket=control)
    web = world.start(Web(world, conf))
    web.expect("the agent is not there: no such file or directory; the page waits for it")
    with Page(web).enter().live() as lines:
        next(line for line in lines if line.get("text") == "the agent does not run")
        world.start_relay()
        world.start_agent(conf=conf)
        next(line for line in lines if line.get("here"))


def test_opener_ends(site):
    """When the process that opens connections is killed the page ends, and says why."""
    site.start()
    (opener,) = Path(f"/proc/{site.web.pid}/task/{site.web.pid}/children").read_text().split()
    os.kill(int(opener), signal.SIGKILL)
    site.web.wait_exit(1)
    site.web.expect("the process that opens connections to the agent has ended")


def test_end(site):
    """It ends when told to, and its other process with it."""
    site.start()
    (opener,) = Path(f"/proc/{site.web.pid}/task/{site.web.pid}/children").read_text().split()
    page = site.page()
    with page.live() as lines:
        next_list(lines, "status")
        site.web.stop()
    wait_for(lambda: not Path(f"/proc/{opener}").exists() or "Z" in Path(f"/proc/{opener}/stat").read_text(),
             10, "the opener's end")  # fmt: skip


def test_unix_socket(site, tmp_path):
    """On a UNIX socket, which nobody else can connect to; behind a tunnel any port may be named."""
    path = tmp_path / "page"
    site.start("--listen", str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        content = json.dumps({"token": site.web.token()})
        s.sendall(
            "POST /enter HTTP/1.1\r\nHost: localhost:8042\r\nOrigin: http://localhost:8042\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n{content}".encode()
        )
        assert b'{"bearer":"' in s.recv(4096)


@pytest.mark.parametrize("listen", ["0.0.0.0:8042", "192.0.2.1:80", "localhost:80", "8042", "127.0.0.1", "[::]:1"])
def test_listen_elsewhere(site, listen):
    """An address that others could reach is refused before anything else."""
    assert "a loopback address" in spx("agent", "web", "--listen", listen, code=USAGE).stderr


def test_address_in_use(site):
    site.start()
    done = run(*site.world.argv("agent", site.conf, "web", "--listen", site.web.host), code=NETWORK)
    assert "in use" in done.stderr


def test_no_control_socket(world):
    conf = world.agent_conf()
    assert "no ControlSocket" in run(*world.argv("agent", conf, "web"), code=CONFIG).stderr


def test_terminal(site):
    """Enter prints another address."""
    site.start()
    web = site.world.start(Web.on_terminal(site.world, site.conf))
    web.expect(r"http://127\.0\.0\.1:\d+/#[0-9a-f]{32}")
    web.type("\n")
    web.expect(r"http://127\.0\.0\.1:\d+/#[0-9a-f]{32}", count=2)


def test_slow_and_silent(site):
    """Strangers who open all connections and say nothing keep out nobody who has signed in, nor a newcomer."""
    site.start()
    page = site.page()
    with page.live() as lines:
        strangers = []
        for _ in range(100):
            s = socket.create_connection(site.web.address)
            s.sendall(b"GET / HTTP/1.1\r\n")
            strangers.append(s)
        assert Page(site.web).ask("GET", "/")[0] == 200
        next_list(lines, "status")
        next_list(lines, "status")
        for s in strangers:
            s.close()


def test_slow(site):
    """Whoever is silent, or sends a request byte by byte, has ten seconds for it, however it goes on."""
    site.start()
    begun = time.monotonic()
    head = f"POST /enter HTTP/1.1\r\nHost: {site.web.host}\r\n"
    ways = {"": b"", head: b"X: y\r\n", head + "Content-Length: 1000\r\n\r\n": b"x"}
    open_ones = {}
    for first, more in ways.items():
        s = socket.create_connection(site.web.address)
        s.sendall(first.encode())
        s.settimeout(0.2)
        open_ones[s] = more

    def all_closed():
        for s, more in list(open_ones.items()):
            try:
                s.sendall(more)
                ended = s.recv(1000) == b""
            except TimeoutError:
                ended = False
            except OSError:
                ended = True
            if ended:
                assert 9 < time.monotonic() - begun
                del open_ones[s]
        return not open_ones

    wait_for(all_closed, 15, "the end of the slow ones")


def test_unread_stream(site):
    """A page that does not read its stream holds up no other."""
    site.start()
    page = site.page()
    with socket.create_connection(site.web.address) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(f"GET /live HTTP/1.1\r\nHost: {site.web.host}\r\nAuthorization: Bearer {page.bearer}\r\n\r\n".encode())
        with page.live() as lines:
            for _ in range(3):
                next_list(lines, "audit")


def test_too_many_pages(site):
    site.start()
    page = site.page()
    streams = [page.live() for _ in range(8)]
    lines = [stream.__enter__() for stream in streams]
    for each in lines:
        next(each)
    status, text = page.ask("GET", "/live")
    assert status == 503 and "too many pages" in text
    for stream in streams:
        stream.__exit__(None, None, None)
    wait_for(page.can_look, 10, "a free place")


def test_nobody_looks(told):
    """When the last page has signed out the agent is asked nothing more."""
    with told.page.live() as lines:
        next_list(lines, "audit")
        assert told.page.ask("POST", "/leave")[0] == 200
        wait_for(lambda: told.watchers[0].fileno() < 0, 10, "the end of the question for events")
        stays_false(lambda: len(told.watchers) > 1, 2, "another question")


@pytest.fixture
def told(world, tmp_path):
    """A page before lists that the test sets."""
    running = Told(tmp_path / "control", status=[], sessions=[], requests=[], approvals=[], audit=[])
    running.page = Page(world.start(Web(world, world.agent_conf(ControlSocket=tmp_path / "control")))).enter()
    yield running
    running.close()


def test_list_without_end(told):
    """Of a list that is too long the rest is left out, and that is told; the other lists are whole."""
    row = {"kind": "session", "session": 1, "reason": "x" * 200}
    told.lists["sessions"] = [row] * 30000
    told.lists["audit"] = [{"kind": "entry", "event": "ended"}] * 2
    with told.page.live() as lines:
        items, end = next_list(lines, "sessions")
        assert end["cut"] and 5000 < len(items) < 30000 and set(map(str, items)) == {str(row)}
        items, end = next_list(lines, "audit")
        assert len(items) == 2 and "cut" not in end


def test_agent_of_another_release(told):
    """Lists that an agent does not have are told to be missing; what is no answer is an agent that is lost."""
    told.lists["approvals"] = Told.Failed("unknown command 'approvals'")
    with told.page.live() as lines:
        items, end = next_list(lines, "approvals")
        assert items == [] and end["text"] == "unknown command 'approvals'"
        next_list(lines, "audit")
        told.lists["audit"] = ["nonsense"]
        away = next(line for line in lines if line.get("web") == "agent" and not line["here"])
        assert away["text"] == "the agent is lost: its answer is not understood"


def test_silent_agent(told):
    """An agent that does not answer holds up no page, and is told of."""
    told.lists["status"] = Told.SILENT
    told.lists["lock"] = Told.SILENT
    with told.page.live() as lines, ThreadPoolExecutor() as threads:
        ordered = threads.submit(told.page.ask, "POST", "/order", {"verb": "lock"})
        line = next(line for line in lines if line.get("text") == "the agent does not answer")
        assert line["here"] is False
        status, text = ordered.result()
    assert status == 504 and "whether it has heard is not known" in text
    assert told.page.ask("GET", "/")[0] == 200


def test_request_by_json(site):
    """--json: the address as an object."""
    site.start()
    web = site.world.start(Web(site.world, site.conf, "--json", name="other", url=r'"url":"http://([^/]+)/#([0-9a-f]{32})"'))
    assert json.loads(web.output())["good_s"] == 60
