"""The agent's page in a real browser: Chromium, driven by Selenium. With SPX_PICTURES, a folder, what was seen is
kept there."""
import http.server
import os
import re
import threading
import time
from pathlib import Path

import pytest

from browser import Keys, Tab, start_browser
from harness import DENIED, forwards, stays_false, wait_for
from servers import greet, reset
from test_web import site  # noqa: F401
from web import Told, Web

KEY = "SHA256:S22miIcRbDrFpdBfTdSd/3dj8lwFHDG8bd8bqX0EPWM"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = start_browser(tmp_path_factory.mktemp("browser"))
    yield driver
    driver.quit()


@pytest.fixture
def tab(browser, request):
    return Tab(browser, getattr(request, "param", "light"))


def url(web):
    return f"http://{web.host}/#{web.next_token()}"


def picture(tab, name):
    if os.environ.get("SPX_PICTURES"):
        tab.driver.save_screenshot(str(Path(os.environ["SPX_PICTURES"]) / f"{name}.png"))


def open_page(site, tab, **more):
    site.start(**more)
    tab.open(url(site.web))
    tab.expect("#here", "agent is there")


def test_signing_in_and_out(site, tab):
    """The token leaves the address at once; a reload keeps the page, another tab has none; used addresses are told."""
    site.start()
    first = url(site.web)
    tab.open(first)
    tab.expect("#here", "agent is there")
    assert tab.driver.current_url == f"http://{site.web.host}/"
    assert tab.driver.execute_script("return document.cookie") == "" and tab.text("#agent") == "lab-1"
    tab.driver.refresh()
    tab.expect("#here", "agent is there")
    tab.click("#leave")
    tab.expect("#enter-why", "Signed out.")
    assert not tab.shown("#main") and tab.focus() == "token"
    tab.driver.refresh()
    wait_for(lambda: tab.shown("#enter"), 10, "the entrance")
    tab.find("#token").send_keys(first, Keys.ENTER)
    tab.expect("#enter-why", "this address was used, or is too old.")
    tab.find("#token").send_keys("nonsense", Keys.ENTER)
    tab.expect("#enter-why", "This is not such an address.")
    picture(tab, "entrance")
    tab.find("#token").send_keys(url(site.web), Keys.ENTER)
    tab.expect("#here", "agent is there")
    tab.driver.switch_to.new_window("tab")
    tab.open(f"http://{site.web.host}/")
    wait_for(lambda: tab.shown("#enter"), 10, "the other tab's entrance")
    tab.driver.get(url(site.web))  # only the part behind the # changes
    tab.expect("#here", "agent is there")


def test_sessions(site, tab, echo):
    """A session with its streams; ending it, with a reason that the user reads; the audit and the events of it."""
    open_page(site, tab)
    assert tab.text("#sessions-none") == "Nobody is there."
    client = site.world.start_client(*forwards(echo.port))
    connection = greet(client)
    tab.expect("#sessions", "alice")
    tab.expect("#sessions", "1 stream")
    tab.click("#sessions button[aria-expanded]")
    tab.expect("#sessions .streams", f"tcp:127.0.0.1:{echo.port}")
    tab.expect("#audit", "stream opened")
    tab.expect("#events", "session of user alice has begun")
    picture(tab, "sessions")
    tab.click("#sessions button.no")
    assert tab.text("#ask-title") == "End session 1 of alice?"
    tab.find("#ask-why").send_keys("<b>done</b> here")
    tab.click("#ask-yes")
    tab.expect("#told", "1 session ended")
    reset(connection)
    client.expect("ended by the agent's owner: <b>done</b> here")
    client.wait_exit(DENIED)
    wait_for(lambda: tab.shown("#sessions-none"), 20, "nobody is shown")
    tab.expect("#audit", "<b>done</b> here")
    assert tab.complaints() == []


def test_lock(site, tab):
    """Lock and unlock, each asked for once more; what the agent says is shown."""
    open_page(site, tab)
    tab.click("#close")
    tab.click("#ask-no")
    assert not tab.shown("#ask") and tab.text("#lock") == "open"
    tab.click("#close")
    tab.find("#ask-why").send_keys("night")
    tab.click("#ask-yes")
    tab.expect("#lock", "locked: night")
    assert tab.shown("#unlock") and not tab.shown("#close")
    tab.expect("#users", "lock")
    tab.click("#unlock")
    tab.find("#ask-for").send_keys("4")
    tab.click("#ask-yes")
    tab.expect("#lock", "open for 3 h 59 min")


def test_keyboard_only(site, tab):
    """All that can be done is done from the keyboard, with the focus in sight and back where it was."""
    open_page(site, tab)
    body = tab.find("body")
    body.send_keys(Keys.TAB)
    assert tab.focus() == "skip" and tab.find("#skip").location["x"] >= 0
    tab.press(Keys.TAB)
    assert tab.focus() == "close"
    outline = tab.driver.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    tab.press(Keys.ENTER)
    wait_for(lambda: tab.shown("#ask"), 5, "the dialog")
    assert tab.focus() == "ask-why"
    tab.press(Keys.ESCAPE)
    wait_for(lambda: not tab.shown("#ask"), 5, "the dialog's end")
    assert tab.focus() == "close"
    tab.press(Keys.ENTER)
    wait_for(lambda: tab.focus() == "ask-why", 5, "the dialog")
    tab.press("night", Keys.ENTER)
    tab.expect("#lock", "locked: night")
    body.send_keys(Keys.TAB)
    for _ in range(20):
        if tab.focus() == "unlock":
            break
        tab.press(Keys.TAB)
    tab.press(Keys.SPACE)
    wait_for(lambda: tab.focus() == "ask-for", 5, "the dialog")
    tab.press(Keys.TAB, Keys.TAB)
    tab.press(Keys.ENTER)
    tab.expect("#lock", "open")


def test_focus_stays(site, tab, echo):
    """Lists that come in while somebody is at a button leave the focus there."""
    open_page(site, tab)
    client = site.world.start_client(*forwards(echo.port))
    connection = greet(client)
    tab.expect("#sessions", "1 stream")
    tab.driver.execute_script("document.querySelector('#sessions button.no').focus()")
    before = tab.text("#sessions td:nth-child(4)")
    wait_for(lambda: tab.text("#sessions td:nth-child(4)") != before, 20, "a change in the row")
    assert tab.focus() == "End…"
    connection.close()


def test_agent_restarted(site, tab):
    """The page says that the agent is away, and goes on by itself."""
    open_page(site, tab)
    site.agent.stop()
    tab.expect("#here", "the agent")
    tab.expect("#here", "does not run")
    assert not tab.shown("#lock")
    picture(tab, "away")
    tab.click("#close")
    tab.click("#ask-yes")
    tab.expect("#told", "the agent cannot be reached")
    site.agent = site.world.start_agent(conf=site.conf)
    tab.expect("#here", "agent is there")
    tab.click("#close")
    tab.click("#ask-yes")
    tab.expect("#lock", "locked")


def test_page_restarted(site, tab):
    """When `spx agent web` ends the page says so; another one at its address does not know the bearer."""
    open_page(site, tab)
    host = site.web.host
    site.web.stop()
    tab.expect("#here", "spx agent web does not answer")
    site.web = site.world.start(Web(site.world, site.conf, "--listen", host, name="again"))
    tab.expect("#enter-why", "The time of this page was over.")
    tab.driver.get(url(site.web))
    tab.expect("#here", "agent is there")


def test_approve_and_deny(site, tab, echo):
    """A session waits; a wrong code approves nothing; the code that the user is told does; another is denied. No page
    and no stream ever shows a code."""
    open_page(site, tab, Access="ask", users={"alice": "tcp:127.0.0.1:*", "bob": "tcp:127.0.0.1:*"})
    client = start_waiting(site, echo, "case 4711: <failed> drive")
    code = waiting_code(client)
    tab.expect("#requests", "case 4711: <failed> drive")
    tab.expect("#told", "alice asks to come in: request 1")
    assert "(1 request)" in tab.driver.title
    tab.find("#code").send_keys(other_code(code), Keys.ENTER)
    wait_for(lambda: tab.find("#told").get_attribute("class") == "bad", 10, "what the agent says")
    tab.find("#code").clear()
    tab.find("#code").send_keys(code.lower(), Keys.ENTER)
    tab.expect("#told", "approved")
    connection = greet(client)
    tab.expect("#sessions", "case 4711: <failed> drive")
    wait_for(lambda: tab.shown("#requests-none"), 10, "no request any more")
    second = start_waiting(site, echo, "and one more", user="bob")
    hidden = waiting_code(second)
    tab.expect("#requests", "and one more")
    tab.click("#requests button")
    tab.find("#ask-why").send_keys("not today")
    tab.click("#ask-yes")
    second.expect("not today")
    second.wait_exit(DENIED)
    tab.expect("#audit", "session denied")
    picture(tab, "approved")
    source = tab.driver.page_source.upper()
    assert not any(re.search(rf"\b{c}\b", source) for c in (code, hidden))
    connection.close()


def start_waiting(site, echo, reason, user="alice"):
    conf = site.world.client_conf(user=user)
    return site.world.start_client(
        *forwards(echo.port), conf=conf, options=["--reason", reason], name=f"client-{user}", connected=False
    )


def waiting_code(client):
    return client.expect(r"request ([2-9A-Z]{4})\b").group(1)


def other_code(code):
    return code[:-1] + ("2" if code[-1] != "2" else "3")


# A page from elsewhere: what it tries, and how that ends.
EVIL = """<!DOCTYPE html><title>evil</title><iframe src="TARGET/"></iframe>
<form id="form" method="post" action="TARGET/order" enctype="text/plain" target="frame">
<input name='{"verb":"lock","why":"' value='"}'></form><iframe name="frame"></iframe>
<script>
const post = (more) => fetch("TARGET/order", { method: "POST", body: '{"verb":"lock"}', ...more });
const script = () => new Promise((yes, no) => { const s = document.createElement("script");
  s.onload = () => yes("ran"); s.onerror = () => no(Error("blocked")); s.src = "TARGET/page.js";
  document.head.append(s); });
const tries = {
  simple: () => post({ mode: "no-cors" }),
  credentials: () => post({ mode: "no-cors", credentials: "include" }),
  json: () => post({ headers: { "Content-Type": "application/json", Authorization: "Bearer 0" } }),
  read: () => fetch("TARGET/"),
  live: () => fetch("TARGET/live"),
  script,
  frame: async () => { const text = document.querySelector("iframe").contentDocument.body.innerText;
    if (!text) throw Error("empty"); return text; },
};
form.submit();
const results = {};
Promise.all(Object.entries(tries).map(([name, f]) => f().then((r) => { results[name] = r.type || r; },
  (e) => { results[name] = "blocked"; }))).then(() => { document.title = "tried"; });
</script>"""


@pytest.fixture
def elsewhere():
    """Serves a page of somebody else; its url on another port of this machine, under a name of its own."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(server.page.encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.page = ""
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("name", ["127.0.0.1", "evil.example"])
def test_another_page(site, tab, elsewhere, name):
    """A page from elsewhere in the same browser, while the agent's page is open and signed in, orders nothing and
    reads nothing; nor does one whose name leads here."""
    open_page(site, tab)
    elsewhere.page = EVIL.replace("TARGET", f"http://{site.web.host}")
    own = tab.driver.current_window_handle
    tab.driver.switch_to.new_window("tab")
    tab.open(f"http://{name}:{elsewhere.server_port}/")
    wait_for(lambda: tab.driver.title == "tried", 20, "all that it tries")
    results = tab.driver.execute_script("return results")
    assert results.pop("simple") in ("opaque", "blocked") and results.pop("credentials") in ("opaque", "blocked")
    assert results == {"json": "blocked", "read": "blocked", "live": "blocked", "script": "blocked", "frame": "blocked"}
    assert any("frame" in m["message"].lower() for m in tab.driver.get_log("browser"))
    if name == "evil.example":
        tab.open(f"http://{name}:{site.web.address[1]}/")
        assert tab.text("body") == "this is not what that name stands for"
    tab.driver.switch_to.window(own)
    tab.expect("#lock", "open")
    assert not site.agent.lines("locked by") and not site.web.lines("orders")


# ---- Lists that are told. ----


def agent_row(**more):
    return {"kind": "agent", "agent": "boston-vmax-01", "version": "spx 0.1.0", "up_s": 90000, "sessions": 2,
            "requests": 1, "ending": False, "locked": False, **more}  # fmt: skip


def session_row(number, user="alice", **more):
    return {"kind": "session", "session": number, "circuit": "5a22f5f5", "user": user, "key": KEY, "state": "connected",
            "for_s": 60 * number, "idle_s": 2, "relay": "relay.example.com:7443", "from": "192.0.2.17:50112", "streams": 2,
            "bytes_up": 12345 * number, "bytes_down": 6789012 * number, **more}  # fmt: skip


def stream_row(session, stream, port=22):
    return {"kind": "stream", "session": session, "stream": stream, "target": f"tcp:127.0.0.1:{port}",
            "address": f"127.0.0.1:{port}", "bytes_up": 5, "bytes_down": 7, "for_s": 3}  # fmt: skip


def a_working_day():
    """Lists as an officer could find them in the morning."""
    at = "2026-11-30T08:{:02}:12.000Z".format
    return {
        "status": [
            agent_row(),
            {"kind": "relay", "relay": "relay.example.com:7443", "state": "online", "for_s": 86000,
             "round_trip_us": 23400, "key": KEY},
            {"kind": "relay", "relay": "relay-2.example.com:7443", "state": "not connected", "key": KEY[::-1]},
            {"kind": "user", "user": "alice", "key": KEY, "sessions": 0, "may_connect": True, "asks": True},
            {"kind": "user", "user": "carol", "key": KEY[1:], "sessions": 1, "may_connect": True, "left_s": 13800},
            {"kind": "user", "user": "bob", "key": KEY[:-1], "sessions": 0, "may_connect": False,
             "reason": "not now: Hours allow it again on Mon at 13:00"},
            {"kind": "authority", "authority": "support", "key": KEY[2:], "sessions": 1, "may_connect": True},
        ],
        "requests": [
            {"kind": "request", "request": 12, "circuit": "77aa01bc", "user": "alice", "key": KEY, "state": "connected",
             "reason": "case 4711: failed drive in bay 14", "for_s": 40, "left_s": 860, "from": "192.0.2.17:50120"},
        ],
        "sessions": [
            session_row(10, "carol", reason="case 4698: firmware 5978"), stream_row(10, 1), stream_row(10, 2, 5432),
            session_row(11, "dave", state="waiting for its client"),
        ],
        "approvals": [
            {"kind": "approval", "approval": 3, "user": "carol", "key": KEY, "by": "uid 1000 (process 812)",
             "for_s": 600, "left_s": 13800, "uses": 1},
        ],
        "audit": [
            {"kind": "entry", "time": at(1), "role": "agent", "event": "session_approved", "user": "carol",
             "by": "uid 1000 (process 812)", "reason": "case 4698: firmware 5978"},
            {"kind": "entry", "time": at(1), "role": "agent", "event": "head_signed", "head": "x" * 200},
            {"kind": "entry", "time": at(2), "role": "agent", "event": "stream_opened", "user": "carol",
             "target": "tcp:127.0.0.1:22"},
            {"kind": "entry", "time": at(9), "role": "agent", "event": "stream_ended", "user": "carol",
             "target": "tcp:127.0.0.1:443", "bytes_up": 48112, "bytes_down": 9123456, "by": "client"},
        ],
    }  # fmt: skip


@pytest.fixture
def told(world, tmp_path):
    """A page before lists that the test sets."""
    running = Told(tmp_path / "control", status=[agent_row()], sessions=[], requests=[], approvals=[], audit=[])
    running.web = world.start(Web(world, world.agent_conf(ControlSocket=tmp_path / "control")))
    yield running
    running.close()


# The contrast of each text with its ground, and what is wider than the window (WCAG 2.1: 4.5 to 1, reflow).
CONTRASTS = """
const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map((v) => {
  v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ground = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if (!/, 0\\)$/.test(c)) return c; } return 'rgb(255, 255, 255)'; };
const found = [];
for (const e of document.querySelectorAll('body *')) {
  if (!e.checkVisibility() || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
  const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
  found.push([(a + 0.05) / (b + 0.05), e.tagName + ' ' + e.textContent.trim().slice(0, 30)]);
}
return found;
"""


@pytest.mark.parametrize("tab", ["light", "dark"], indirect=True)
def test_looks(told, tab, request):
    """Light and dark: all text stands out from its ground; on a narrow screen nothing is cut off."""
    scheme = request.node.callspec.params["tab"]
    told.lists.update(a_working_day())
    tab.open(url(told.web))
    tab.expect("#requests", "case 4711")
    tab.expect("#lock", "open")
    tab.expect("#audit", "session approved")
    assert "head" not in tab.text("#audit")
    tab.expect("#users tr:nth-child(1)", "when approved")
    tab.expect("#users tr:nth-child(2)", "yes, approved for 3 h 50 min")
    tab.expect("#users tr:nth-child(4)", "permits of support")
    tab.find("#code").send_keys("7f3k")
    tab.driver.set_window_size(1180, 860)
    picture(tab, f"agent-page-{scheme}")  # docs/agent-page.png is the light one
    tab.driver.set_window_size(1280, 1000)
    contrasts = tab.driver.execute_script(CONTRASTS)
    assert len(contrasts) > 60
    assert [c for c in contrasts if c[0] < 4.5] == []
    tab.click("#requests button")
    assert tab.driver.execute_script("return document.querySelector('#ask').matches(':modal')")
    assert [c for c in tab.driver.execute_script(CONTRASTS) if c[0] < 4.5] == []
    picture(tab, f"deny-{scheme}")
    tab.click("#ask-no")
    told.lists["status"] = [agent_row(locked=True, reason="maintenance until 14:00")]
    tab.expect("#lock", "locked: maintenance")
    assert [c for c in tab.driver.execute_script(CONTRASTS) if c[0] < 4.5] == []
    tab.driver.set_window_size(500, 900)
    picture(tab, f"narrow-{scheme}")
    wide = tab.driver.execute_script("return document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0 and tab.complaints() == []


def test_orders_that_are_sent(told, tab):
    """Each button sends its order, and nothing else."""
    told.lists.update(a_working_day())
    tab.open(url(told.web))
    tab.expect("#requests", "case 4711")
    tab.find("#code").send_keys("7f3k", Keys.ENTER)
    tab.expect("#told", "done so")
    assert tab.find("#code").get_attribute("value") == ""
    tab.find("#code").send_keys("22AA")
    tab.find("#approve-for").send_keys("this key for 4 hours")
    tab.click("#approve button")
    wait_for(lambda: len(told.orders) == 2, 10, "the second approval")
    tab.click("#requests button")
    tab.find("#ask-why").send_keys("wrong case")
    tab.click("#ask-yes")
    wait_for(lambda: len(told.orders) == 3, 10, "the denial")
    tab.click("#approvals button")
    wait_for(lambda: len(told.orders) == 4, 10, "the withdrawal")
    tab.click("#end-all")
    tab.click("#ask-yes")
    wait_for(lambda: len(told.orders) == 5, 10, "the end of all")
    assert told.orders == [
        {"verb": "approve", "code": "7f3k"},
        {"verb": "approve", "code": "22AA", "for_s": 14400},
        {"verb": "deny", "number": 12, "why": "wrong case"},
        {"verb": "withdraw", "number": 3},
        {"verb": "end", "what": "all"},
    ]


def test_hostile_texts(told, tab):
    """Texts of users, relays and the log stay text, wherever they stand."""
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'&amp;"
    told.lists["status"] = [
        agent_row(agent=evil, locked=True, reason=evil),
        {"kind": "relay", "relay": evil, "state": evil, "key": evil},
        {"kind": "user", "user": evil, "key": evil, "sessions": 1, "may_connect": False, "reason": evil},
    ]
    told.lists["sessions"] = [session_row(1, evil, reason=evil, state=evil, relay=evil, **{"from": evil}),
                              {**stream_row(1, 1), "target": evil, "address": evil}]  # fmt: skip
    told.lists["requests"] = [{"kind": "request", "request": 1, "user": evil, "key": evil, "state": evil,
                               "reason": evil, "for_s": 1, "left_s": 1, "from": evil}]  # fmt: skip
    told.lists["audit"] = [{"kind": "entry", "time": evil, "event": evil, "user": evil, "target": evil, "by": evil,
                            "reason": evil}]  # fmt: skip
    tab.open(url(told.web))
    for selector in ("#agent", "#lock", "#relays", "#users", "#sessions", "#requests", "#audit"):
        tab.expect(selector, evil)
    told.tell(time=evil, event="x", text=evil)
    tab.expect("#events", evil)
    tab.click("#sessions button[aria-expanded]")
    tab.expect(".streams", evil)
    tab.click("#requests button")
    tab.expect("#ask-title", evil)
    assert tab.driver.execute_script("return document.querySelectorAll('img, main script').length") == 0
    assert tab.complaints() == []


def test_thousand_sessions(told, tab):
    """All are there, found by a word, and the page stays quick while they change."""
    def rows(turn):
        return [row for n in range(1, 1001) for row in (session_row(n, f"user{n}", for_s=n + turn), stream_row(n, n),
                                                        stream_row(n, n + 5000, 2000 + n))]  # fmt: skip

    told.lists["sessions"] = rows(0)
    tab.open(url(told.web))
    tab.expect("#sessions-count", "1000")
    picture(tab, "thousand")
    assert len(tab.find_all("#sessions > tr")) == 1000
    for turn in range(1, 4):
        told.lists["sessions"] = rows(turn)
        tab.expect("#sessions td:nth-child(4)", f"{1 + turn} s")
    tab.find("#filter").send_keys("user77")
    tab.expect("#sessions-count", "11 of 1000")
    tab.find("#filter").clear()
    tab.find("#filter").send_keys(":2777")
    tab.expect("#sessions-count", "1 of 1000")
    began = time.monotonic()
    tab.click("#sessions tr:not([hidden]) button.no")
    assert tab.text("#ask-title") == "End session 777 of user777?" and time.monotonic() - began < 3
    tab.click("#ask-yes")
    tab.expect("#told", "done so")
    assert told.orders == [{"verb": "end", "what": "777"}]
    told.lists["sessions"] = []
    wait_for(lambda: tab.shown("#sessions-none"), 30, "nobody is shown")
    costs = tab.driver.execute_script("return performance.memory.usedJSHeapSize")
    assert costs < 100e6


def test_nobody_looks(told, tab):
    """While nobody looks on the agent is asked nothing."""
    tab.open(url(told.web))
    tab.expect("#here", "agent is there")
    wait_for(lambda: told.watchers, 10, "the page's question for events")
    tab.open("about:blank")
    wait_for(lambda: told.watchers[0].fileno() < 0, 10, "its end")
    stays_false(lambda: len(told.watchers) > 1, 1, "another question")
