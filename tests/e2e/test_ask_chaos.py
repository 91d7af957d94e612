"""Users who ask, resume and ask for streams at any time, and an owner who approves, locks, reloads and
changes its mind meanwhile: whatever overtakes what, nothing is opened that nobody has approved."""
import contextlib
import hashlib
import json
import random
import signal
import socket
import threading
import time
from collections import Counter

import pytest

import test_control
from audits import entries_of
from harness import SLOWNESS, spx, wait_for
from peer import ACCESS, CLOSE, DONE, OPENED, START, Gone, Reader, Refused, frame, open_frame, string, u16, u64
from test_ask import WAITING, Asking
from test_codes import Emergency
from test_peer import peer_client, target

SECONDS = 8
USERS = {f"user-{n}": "tcp:127.0.0.1:*" for n in range(12)}

directory, site = test_control.directory, test_control.site


def order(path, verb, **more):
    """The rows and the result of one order; ConnectionError: the agent is not there."""
    with socket.socket(socket.AF_UNIX) as asker:
        asker.settimeout(20 * SLOWNESS)
        try:
            asker.connect(str(path))
        except FileNotFoundError:
            raise ConnectionError from None
        asker.sendall(json.dumps({"verb": verb, **more}).encode() + b"\n")
        asker.shutdown(socket.SHUT_WR)
        rows = [json.loads(line) for line in iter(asker.makefile().readline, "") if line.endswith("\n")]
        if not rows:
            raise ConnectionError
        return rows[:-1], rows[-1]


class User:
    """Asks again and again until the time is over."""

    def __init__(self, chaos, name, seed):
        self.chaos, self.dice, self.opened = chaos, random.Random(seed), Counter()
        self.client, self.path = peer_client(chaos.world, name), chaos.site.path

    def run(self):
        while time.monotonic() < self.chaos.until:
            with contextlib.suppress(Refused, Gone, ConnectionError, BrokenPipeError):
                self.ask()
            time.sleep(self.dice.random() * 0.1)  # at any time

    def ask(self):
        code = self.chaos.codes and self.dice.random() < 0.2
        session = Emergency(self.dice.choice(self.chaos.codes)) if code else Asking()
        circuit = self.client.connect(session, start=False)
        begin = [frame(START, 0, u64(0))]
        self.next_stream = 1
        if self.dice.random() < 0.5:
            begin.append(self.open_frame())
        circuit.owed = None
        circuit.send(*begin)
        for _ in range(self.dice.randrange(40)):
            circuit = self.step(circuit)
            if not circuit:
                return
        if self.dice.random() < 0.5:
            circuit.send(frame(CLOSE, 0, u16(DONE) + string("enough")))
        circuit.close()

    def open_frame(self):
        self.next_stream += 2
        return open_frame(self.next_stream - 2, target(self.chaos.echo))

    def step(self, circuit):
        """The circuit to go on with; None: the session is over."""
        circuit.pipe.sock.settimeout(0.03)
        with contextlib.suppress(TimeoutError):
            got = circuit.receive()
            if got.kind == CLOSE:
                return None
            if got.kind == OPENED:
                self.opened[hashlib.sha256(circuit.session.id).digest()[:16].hex()] += 1
            if got.kind == ACCESS:
                self.decide(Reader(got.payload))
        chance = self.dice.random()
        if chance < 0.2:
            circuit.send(self.open_frame())
        elif chance < 0.3:
            circuit.close()
            circuit = self.client.connect(circuit.session)
        return circuit

    def decide(self, access):
        """The owner hears the code."""
        if access.number(1) != WAITING or self.dice.random() < 0.3:
            return
        access.number(8)
        for_s = {"for_s": 2} if self.dice.random() < 0.2 else {}
        order(self.path, "approve", code=access.text(), **for_s)


class Chaos:
    """An agent, its users and its owner."""

    def __init__(self, world, site, echo, dice):
        self.world, self.site, self.echo, self.dice, self.codes = world, site, echo, dice, []
        state = world.directory / "state"
        state.mkdir(mode=0o700)
        world.start_relay(users={name: "*" for name in USERS})
        self.audit = world.directory / "audit"
        conf = site.configure(Access="ask", users=USERS, Audit=self.audit, StateDirectory=state)
        self.text, self.agent = conf.read_text(), world.start_agent(conf=conf)
        self.until = time.monotonic() + SECONDS * SLOWNESS
        self.users = [User(self, name, dice.random()) for name in USERS]

    def run(self, kills):
        threads = [threading.Thread(target=user.run) for user in self.users]
        for thread in threads:
            thread.start()
        acts = [self.lock, self.reload, self.withdraw, self.end, self.make_codes] + [self.kill] * kills
        while time.monotonic() < self.until:
            self.dice.choice(acts)()
            time.sleep(self.dice.random() * 0.3)  # at any time
        for thread in threads:
            thread.join(60 * SLOWNESS)

    def order(self, verb, **more):
        return order(self.site.path, verb, **more)

    def lock(self):
        self.order("lock")
        self.order("unlock", **({"for_s": 1} if self.dice.random() < 0.2 else {}))

    def reload(self):
        name = f"Name = {self.dice.choice(list(USERS))}\n"
        change = f"{name}MaxSession = {self.dice.randrange(60, 90)}\n"
        self.site.conf.write_text(self.text.replace(name, change))
        self.agent.signal(signal.SIGHUP)

    def withdraw(self):
        for row in self.order("approvals")[0]:
            self.order("withdraw", number=row["approval"])

    def end(self):
        self.order("end", what=self.dice.choice([*USERS, "all"]))

    def make_codes(self):
        rows, result = self.order("codes", new=20)
        if result["result"] == "done":
            self.codes = [row["code"] for row in rows]

    def kill(self):
        """All that was ordered before is as it was."""
        locks = self.dice.random() < 0.5
        self.order("lock" if locks else "unlock")
        self.agent.kill()
        self.agent = self.world.start_agent(conf=self.site.conf)
        assert self.order("status")[0][0]["locked"] == locks
        self.order("unlock")


@pytest.mark.parametrize("kills", [False, True], ids=["orders", "kills"])
def test_nothing_without_an_approval(world, site, echo, dice, kills):
    """Neither as the users see it nor as the audit has it; and in the end every place is free again."""
    chaos = Chaos(world, site, echo, dice)
    chaos.run(kills)
    site.ask("unlock")
    site.ask("end", "all")
    wait_for(lambda: not site.lines("requests") and not site.lines("sessions"), 10, "all have ended")
    chaos.agent.stop()
    approved, locked = set(), False
    for entry in entries_of(chaos.audit):
        if entry["event"] in ("session_approved", "approval_used"):
            approved.add(entry["session"])
        elif entry["event"] in ("locked", "unlocked"):
            locked = entry["event"] == "locked"
        elif entry["event"] == "stream_opened":
            assert entry["session"] in approved and not (locked and not kills), entry
    opened = {session for user in chaos.users for session in user.opened}
    assert opened and opened <= approved
    spx("audit", "verify", chaos.audit)
