"use strict";
/* The page: shows the lists that come over /live, and sends orders. All text goes into the page as
 * text: whatever a user or relay has written stays text. */

const $ = (id) => document.getElementById(id);
const EVENTS_SHOWN = 100;

/* ---- Words. ---- */

function bytes(n) {
  const units = ["B", "KB", "MB", "GB", "TB", "PB"];
  let i = 0;
  for (; n >= 1000 && i < units.length - 1; i++) n /= 1000;
  return (i && n < 99.95 ? n.toFixed(1) : Math.round(n)) + " " + units[i];
}

function time(s) {
  if (s === undefined) return "";
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + " min " + (s % 60 ? (s % 60) + " s" : "");
  if (s < 86400) return Math.floor(s / 3600) + " h " + Math.floor((s % 3600) / 60) + " min";
  return Math.floor(s / 86400) + " d " + Math.floor((s % 86400) / 3600) + " h";
}

function when(text) {
  const t = new Date(text), two = (n) => String(n).padStart(2, "0");
  if (isNaN(t)) return text || "";
  return t.getFullYear() + "-" + two(t.getMonth() + 1) + "-" + two(t.getDate()) + " " +
    two(t.getHours()) + ":" + two(t.getMinutes()) + ":" + two(t.getSeconds());
}

const roundTrip = (us) => us === undefined ? "" : (us < 10000 ? (us / 1000).toFixed(1) : Math.round(us / 1000)) + " ms";
const plural = (n, word) => n + " " + word + (n === 1 ? "" : "s");

/* ---- Tables: rows stay the same elements while they stand, so that focus stays where it is. ---- */

function make(name, text, className) {
  const e = document.createElement(name);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

function show(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

class Table {
  /* columns: [text of a row, class or function of a row]; act: makes the last cell's buttons of a key. */
  constructor(body, columns, act) {
    this.body = body;
    this.columns = columns;
    this.act = act;
    this.rows = new Map();
  }

  add(key) {
    const tr = make("tr");
    for (let i = 0; i < this.columns.length; i++) tr.append(make("td"));
    const row = { tr, key };
    if (this.act) {
      const td = make("td", undefined, "act");
      td.append(...this.act(row));
      tr.append(td);
    }
    this.rows.set(key, row);
    return row;
  }

  fill(row, item) {
    row.item = item;
    this.columns.forEach(([text, kind], i) => {
      const td = row.tr.cells[i];
      show(td, String(text(item) ?? ""));
      const name = typeof kind === "function" ? kind(item) : kind || "";
      if (td.className !== name) td.className = name;
    });
  }

  /* items: [key, item] in the order that is shown. */
  set(items) {
    const keys = new Set(items.map(([key]) => key));
    for (const [key, row] of this.rows) {
      if (keys.has(key)) continue;
      row.below?.remove();
      row.tr.remove();
      this.rows.delete(key);
    }
    let at = this.body.firstChild;
    for (const [key, item] of items) {
      const row = this.rows.get(key) || this.add(key);
      this.fill(row, item);
      if (row.tr === at) at = at.nextSibling;
      else this.body.insertBefore(row.tr, at);
      if (row.below) {
        if (row.below === at) at = at.nextSibling;
        else row.tr.after(row.below);
      }
    }
  }
}

/* ---- Telling. ---- */

let toldTimer;
function tell(text, bad) {
  const told = $("told");
  told.className = bad ? "bad" : "";
  told.textContent = text;
  clearTimeout(toldTimer);
  toldTimer = setTimeout(() => { told.textContent = ""; }, bad ? 20000 : 8000);
}

function mark(element, text, kind) {
  show(element, text);
  element.className = "mark " + kind;
  element.hidden = !text;
}

/* ---- Signing in. ---- */

let bearer = sessionStorage.getItem("bearer");
let stream; /* aborts the one that runs */

function showEntrance(why) {
  stream?.abort();
  bearer = null;
  sessionStorage.removeItem("bearer");
  $("enter-why").textContent = why || "";
  for (const id of ["main", "acts"]) $(id).hidden = true;
  if ($("ask").open) $("ask").close();
  mark($("here"), "not signed in", "");
  $("lock").hidden = true;
  $("enter").hidden = false;
  $("skip").href = "#enter";
  $("token").focus();
}

async function enter(token) {
  let answer;
  try {
    answer = await fetch("/enter", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }),
    });
    if (!answer.ok) return showEntrance((await answer.text()) + ".");
    bearer = (await answer.json()).bearer;
  } catch {
    return showEntrance("spx agent web does not run any more.");
  }
  sessionStorage.setItem("bearer", bearer);
  begin();
}

/* The token is taken out of the address, so that it stands in no history. */
function takeToken() {
  const token = location.hash.slice(1);
  if (!/^[0-9a-f]{32}$/.test(token)) return false;
  history.replaceState(null, "", location.pathname);
  enter(token);
  return true;
}

function begin() {
  $("enter").hidden = true;
  for (const id of ["main", "acts"]) $(id).hidden = false;
  $("skip").href = "#main";
  live();
}

async function leave() {
  try {
    await fetch("/leave", { method: "POST", headers: { Authorization: "Bearer " + bearer } });
  } catch { /* it is gone */ }
  showEntrance("Signed out.");
}

/* ---- Orders. ---- */

async function order(what) {
  let text, good = false;
  try {
    const answer = await fetch("/order", {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: "Bearer " + bearer },
      body: JSON.stringify(what),
    });
    if (answer.status === 401) return showEntrance("The time of this page was over.");
    if (answer.ok) {
      const result = await answer.json();
      good = result.result === "done";
      text = result.text || "done";
    } else {
      text = await answer.text();
    }
  } catch {
    text = "spx agent web does not answer: whether the agent has heard is not known";
  }
  tell(text, !good);
  return good;
}

/* Asks in a dialog; yes gets the reason and the time. */
function ask({ title, text, button, bad, why, time, yes }) {
  const opener = document.activeElement;
  $("ask-title").textContent = title;
  $("ask-text").textContent = text;
  $("ask-why-part").hidden = !why;
  $("ask-for-part").hidden = !time;
  $("ask-why").value = "";
  $("ask-for").value = "0";
  $("ask-yes").textContent = button;
  $("ask-yes").className = bad ? "no" : "yes";
  $("ask-form").onsubmit = (event) => {
    event.preventDefault();
    const reason = $("ask-why").value.trim(), s = Number($("ask-for").value);
    $("ask").close();
    yes(reason ? { why: reason } : {}, s ? { for_s: s } : {});
  };
  $("ask").onclose = () => { if (opener?.isConnected) opener.focus(); };
  $("ask").showModal();
}

function button(text, className, act) {
  const b = make("button", text, className);
  b.type = "button";
  b.addEventListener("click", act);
  return b;
}

/* ---- What is shown. ---- */

const requests = new Table($("requests"), [
  [(r) => r.request, "fixed"],
  [(r) => r.user],
  [(r) => r.reason, "said"],
  [(r) => time(r.for_s) + (r.state === "connected" ? "" : ", " + r.state), "fixed"],
  [(r) => time(r.left_s), "fixed"],
  [(r) => r.from],
  [(r) => r.key, "key"],
], (row) => [button("Deny…", "no", () => ask({
  title: "Deny request " + row.item.request + " of " + row.item.user + "?",
  text: "The user reads the reason. The same key has to wait before it may ask again.",
  button: "Deny", bad: true, why: true,
  yes: (why) => order({ verb: "deny", number: row.item.request, ...why }),
}))]);

const streamColumns = [
  [(s) => s.target],
  [(s) => (s.kind === "connection" ? "from " : "at ") + s.address],
  [(s) => bytes(s.bytes_up) + " up", "number"],
  [(s) => bytes(s.bytes_down) + " down", "number"],
  [(s) => time(s.for_s), "fixed"],
];

/* A row below the session's own, with a table of its streams. */
function unfold(row, open) {
  row.toggle.setAttribute("aria-expanded", String(open));
  row.below?.remove();
  row.below = row.streams = null;
  if (!open) return;
  const td = make("td", undefined, "streams"), table = make("table"), body = make("tbody");
  td.colSpan = 11;
  table.append(body);
  td.append(table);
  row.below = make("tr");
  row.below.append(td);
  row.streams = new Table(body, streamColumns);
  row.none = make("p", "Nothing is open.", "none");
  td.append(row.none);
  row.tr.after(row.below);
  fillStreams(row);
}

function fillStreams(row) {
  const streams = row.item.open;
  row.streams.set(streams.map((s, i) => [s.stream ?? "from " + s.target + s.address + i, s]));
  row.none.hidden = streams.length > 0;
}

const sessions = new Table($("sessions"), [
  [(s) => s.session, "fixed"],
  [(s) => s.user],
  [(s) => s.reason, "said"],
  [(s) => time(s.for_s), "fixed"],
  [(s) => time(s.idle_s), "fixed"],
  [(s) => bytes(s.bytes_up), "number"],
  [(s) => bytes(s.bytes_down), "number"],
  [(s) => s.state],
  [(s) => s.relay],
  [(s) => s.from],
], (row) => {
  row.toggle = button("", "", () => unfold(row, !row.streams));
  row.toggle.setAttribute("aria-expanded", "false");
  return [row.toggle, " ", button("End…", "no", () => ask({
    title: "End session " + row.item.session + " of " + row.item.user + "?",
    text: "Every connection in it is reset at once. It forbids nothing: lock the agent to keep people out.",
    button: "End it", bad: true, why: true,
    yes: (why) => order({ verb: "end", what: String(row.item.session), ...why }),
  }))];
});

const approvals = new Table($("approvals"), [
  [(a) => a.approval, "fixed"], [(a) => a.user], [(a) => time(a.left_s), "fixed"],
  [(a) => a.uses, "number"], [(a) => a.by], [(a) => a.key, "key"],
], (row) => [button("Withdraw", "no", () => order({ verb: "withdraw", number: row.item.approval }))]);

const relays = new Table($("relays"), [
  [(r) => r.relay],
  [(r) => r.state, (r) => r.state === "online" ? "good" : "bad"],
  [(r) => time(r.for_s), "fixed"],
  [(r) => roundTrip(r.round_trip_us), "fixed"],
]);

function mayConnect(u) {
  if (!u.may_connect) return u.reason;
  if (u.left_s !== undefined) return "yes, approved for " + time(u.left_s);
  return u.asks ? u.reason || "when approved" : "yes";
}

const users = new Table($("users"), [
  [(u) => u.user], [(u) => u.sessions, "number"],
  [mayConnect, (u) => u.may_connect ? "good" : ""],
  [(u) => u.key, "key"],
]);

const audit = new Table($("audit"), [
  [(e) => when(e.time), "fixed"],
  [(e) => e.event.replaceAll("_", " "), "fixed"],
  [(e) => e.user],
  [(e) => e.target],
  [(e) => e.bytes_up === undefined ? "" : bytes(e.bytes_up), "number"],
  [(e) => e.bytes_down === undefined ? "" : bytes(e.bytes_down), "number"],
  [(e) => e.by],
  [(e) => e.reason],
]);

function some(name, count) {
  $(name + "-some").hidden = count === 0;
  $(name + "-none").hidden = count > 0;
}

/* The user's words and all else that is in the row. */
function filter() {
  const wanted = $("filter").value.trim().toLowerCase();
  let shown = 0;
  for (const row of sessions.rows.values()) {
    const s = row.item;
    const text = [s.user, s.relay, s.from, s.reason, s.state, s.session, ...s.open.map((o) => o.target + o.address)];
    const fits = !wanted || text.join("\n").toLowerCase().includes(wanted);
    row.tr.hidden = !fits;
    if (row.below) row.below.hidden = !fits;
    shown += fits;
  }
  const all = sessions.rows.size;
  show($("sessions-count"), all === 0 ? "" : shown === all ? String(all) : shown + " of " + all);
}

function showAgent(a) {
  document.title = a.agent + (a.requests ? " (" + plural(a.requests, "request") + ")" : "");
  show($("agent"), a.agent);
  mark($("lock"), a.locked ? "locked" + (a.reason ? ": " + a.reason : "") :
    "open" + (a.open_for_s ? " for " + time(a.open_for_s) : ""), a.locked ? "bad" : "good");
  $("close").hidden = a.locked;
  $("unlock").hidden = !a.locked;
}

const lists = {
  status(items) {
    const of = (kind) => items.filter((i) => i.kind === kind);
    of("agent").forEach(showAgent);
    relays.set(of("relay").map((r) => [r.relay + r.key, r]));
    users.set([
      ...of("user"), ...of("authority").map((a) => ({ ...a, user: "permits of " + a.authority })),
    ].map((u) => [u.key, u]));
  },
  sessions(items) {
    const found = new Map();
    for (const i of items) {
      if (i.kind === "session") found.set(i.session, { ...i, open: [] });
      else found.get(i.session)?.open.push(i);
    }
    sessions.set([...found]);
    for (const row of sessions.rows.values()) {
      show(row.toggle, plural(row.item.open.length, "stream"));
      if (row.streams) fillStreams(row);
    }
    some("sessions", found.size);
    filter();
  },
  requests(items) {
    const fresh = items.filter((r) => !requests.rows.has(r.request));
    if (fresh.length) tell(fresh.map((r) => r.user + " asks to come in: request " + r.request).join("; "));
    requests.set(items.map((r) => [r.request, r]));
    some("requests", items.length);
    show($("requests-count"), items.length ? String(items.length) : "");
  },
  approvals(items) {
    approvals.set(items.map((a) => [a.approval, a]));
    $("approvals-part").hidden = items.length === 0;
  },
  /* The newest first, without the heads that parties sign and exchange all the time; equal entries are told apart
     by their count. */
  audit(all, why) {
    const seen = new Map(), items = all.filter((e) => e.event !== "head_signed" && e.event !== "head_received");
    const keyed = items.map((e) => {
      const text = JSON.stringify(e), n = (seen.get(text) || 0) + 1;
      seen.set(text, n);
      return [text + n, e];
    });
    audit.set(keyed.reverse());
    some("audit", items.length);
    show($("audit-none"), why ? why.charAt(0).toUpperCase() + why.slice(1) + "." : "No entry.");
  },
};

function showEvent(e) {
  const li = make("li"), t = make("time", when(e.time));
  t.dateTime = e.time;
  li.append(t, e.text);
  $("events").prepend(li);
  $("events-none").hidden = true;
  if ($("events").childElementCount > EVENTS_SHOWN) $("events").lastChild.remove();
}

/* ---- What comes. ---- */

let coming = null; /* a list */

function take(line) {
  const o = JSON.parse(line);
  if (o.web === "begin") {
    coming = { name: o.list, items: [] };
  } else if (o.web === "end") {
    lists[coming.name]?.(coming.items, o.text);
    if (o.cut) tell("There is more than this page can show: " + coming.name + ".", true);
    coming = null;
  } else if (o.web === "agent") {
    mark($("here"), o.here ? "agent is there" : o.text, o.here ? "good" : "bad");
    document.body.classList.toggle("stale", !o.here);
    if (!o.here) $("lock").hidden = true; /* nobody knows */
  } else if (coming) {
    coming.items.push(o);
  } else {
    showEvent(o);
  }
}

async function read(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  coming = null;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    lines.forEach(take);
  }
}

async function live() {
  stream?.abort();
  const own = stream = new AbortController();
  for (let pause = 500; stream === own && bearer; pause = Math.min(2 * pause, 10000)) {
    try {
      const answer = await fetch("/live", { headers: { Authorization: "Bearer " + bearer }, signal: own.signal });
      if (answer.status === 401) return showEntrance("The time of this page was over.");
      if (!answer.ok) throw new Error(await answer.text());
      pause = 500;
      await read(answer.body);
    } catch (e) {
      if (own.signal.aborted) return;
      console.warn(e);
    }
    if (own.signal.aborted) return;
    mark($("here"), "spx agent web does not answer", "bad");
    $("lock").hidden = true;
    document.body.classList.add("stale");
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/* ---- Keys and buttons. ---- */

$("approve").addEventListener("submit", async (event) => {
  event.preventDefault();
  const s = Number($("approve-for").value);
  if (!await order({ verb: "approve", code: $("code").value, ...(s ? { for_s: s } : {}) })) return $("code").select();
  $("code").value = "";
  $("approve-for").value = "0";
});
$("enter-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const found = $("token").value.match(/[0-9a-f]{32}$/);
  $("token").value = "";
  if (found) enter(found[0]);
  else $("enter-why").textContent = "This is not such an address.";
});
$("filter").addEventListener("input", filter);
$("leave").addEventListener("click", leave);
$("close").addEventListener("click", () => ask({
  title: "Lock the agent?",
  text: "All sessions end at once, what waits is denied, and nobody comes in until it is unlocked, also after a restart.",
  button: "Lock", bad: true, why: true, yes: (why) => order({ verb: "lock", ...why }),
}));
$("unlock").addEventListener("click", () => ask({
  title: "Unlock the agent?", text: "Users come in again as the configuration allows. No session is revived.",
  button: "Unlock", time: true, yes: (why, s) => order({ verb: "unlock", ...s }),
}));
$("end-all").addEventListener("click", () => ask({
  title: "End all sessions?", text: "Every connection of every user is reset at once.",
  button: "End all", bad: true, why: true, yes: (why) => order({ verb: "end", what: "all", ...why }),
}));
$("ask-no").addEventListener("click", () => $("ask").close());
addEventListener("hashchange", takeToken);

if (!takeToken()) {
  if (bearer) begin();
  else showEntrance();
}
