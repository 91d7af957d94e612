"""Audit files as docs/AUDIT.md describes them, written and read without spx."""
import hashlib
import json
import secrets

FIELDS = (
    "chain number time role event session circuit user key agent relay address target stream severity "
    "count bytes_up bytes_down sent acknowledged received duration_ms code reason by head torn salt previous"
).split()
START = "0" * 64


def hash_of(line):
    return hashlib.sha256(line.encode()).hexdigest()


def written(fields):
    """The line of an entry, in its one spelling."""
    ordered = {name: fields[name] for name in FIELDS if fields.get(name) is not None}
    return json.dumps(ordered, separators=(",", ":"), ensure_ascii=False)


class Chain:
    """An audit that grows: its lines."""

    def __init__(self, role, **common):
        self.common = {"role": role, **common}
        self.lines, self.name, self.number, self.hash = [], secrets.token_hex(16), 0, START
        self.add("chain_began")

    def add(self, event, **fields):
        self.number += 1
        second = self.number % 60
        line = written({
            "chain": self.name, "number": self.number, "time": f"2026-01-31T12:00:{second:02}.000Z",
            **self.common, "event": event, **fields,
            "salt": secrets.token_hex(16), "previous": self.hash,
        })  # fmt: skip
        self.lines.append(line)
        self.hash = hash_of(line)
        return self

    def mend(self, torn):
        """Behind these bytes, which are no entry, the chain of whoever finds them."""
        self.name, self.number = secrets.token_hex(16), 0
        return self.add("chain_mended", torn=hash_of(torn))

    def text(self, first=0, last=None):
        return "".join(line + "\n" for line in self.lines[first:last])

    def save(self, path):
        path.write_text(self.text())
        return path


def entries_of(path):
    """All entries of an audit file, each held to its one spelling and to the hash before."""
    previous, found = None, []
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        assert written(entry) == line
        if previous:
            assert entry["previous"] == previous
        previous = hash_of(line)
        found.append(entry)
    return found
