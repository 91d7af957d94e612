#!/usr/bin/python3
"""Writes permits.txt: permits, good and bad, written from docs/PROTOCOL.md section 7 alone. They are
signed by pyca/cryptography; nothing of spx is used.
"""

import hashlib

from make_signatures import number, point, sign, low, ORDER
from cryptography.hazmat.primitives.asymmetric import ec

AUTHORITY = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
DEFAULTS = {
    "purpose": b"spx permit 1",
    "authority": hashlib.sha256(point(AUTHORITY)).digest(),
    "user": b"alice",
    "user_key": bytes(range(32)),
    "times": (1_800_000_000, 1_800_000_060, 1_800_043_200),
    "scope": b"acme",
    "patterns": [b"boston-*"],
    "keys": [],
    "extensions": b"",
    "inner_purpose": b"spx permit inner 1",
    "salt": bytes(range(16)),
    "longest": 3600,
    "reason": "case 4711".encode(),
    "allow": [b"tcp:127.0.0.1:22"],
    "listen": [b"127.0.0.1:8000-8099"],
    "inner_extensions": b"",
}


def blob(data):
    return len(data).to_bytes(2, "big") + data


def strings(items):
    return bytes([len(items)]) + b"".join(blob(i) for i in items)


def extension(kind, value):
    return kind.to_bytes(2, "big") + blob(value)


def inner_of(f):
    return (
        blob(f["inner_purpose"]) + f["salt"] + f["longest"].to_bytes(4, "big") + blob(f["reason"])
        + strings(f["allow"]) + strings(f["listen"]) + f["inner_extensions"]
    )


def outer_of(f, inner):
    keys = bytes([len(f["keys"])]) + b"".join(f["keys"])
    times = b"".join(t.to_bytes(8, "big") for t in f["times"])
    return (
        blob(f["purpose"]) + f["authority"] + blob(f["user"]) + f["user_key"] + times
        + blob(f["scope"]) + strings(f["patterns"]) + keys + hashlib.sha256(inner).digest()
        + f["extensions"]
    )


def signature_of(outer):
    r, s = sign(AUTHORITY, outer)
    return number(r) + number(low(s))


def permit(**changed):
    f = {**DEFAULTS, **changed}
    inner = inner_of(f)
    outer = outer_of(f, inner)
    return blob(outer) + signature_of(outer) + blob(inner)


def case(name, data, verdict):
    """verdict: good; malformed, unsupported: not to be decoded; forged: decoded, and not signed."""
    print(f"case={name}\nverdict={verdict}\npermit={data.hex()}\n")


LIST = {
    "purpose": b"spx revocations 1",
    "authority": DEFAULTS["authority"],
    "number": 7,
    "issued": 1_800_000_000,
    "before": 1_700_000_000,
    "permits": [bytes(range(16)), bytes(16)],
    "keys": [bytes(range(32))],
    "rest": b"",
}


def revocations(**changed):
    f = {**LIST, **changed}
    numbers = b"".join(f[n].to_bytes(8, "big") for n in ("number", "issued", "before"))
    body = blob(f["purpose"]) + f["authority"] + numbers
    for items in (f["permits"], f["keys"]):
        body += len(items).to_bytes(2, "big") + b"".join(items)
    body += f["rest"]
    return blob(body) + signature_of(body)


def lists():
    """Only good ones are to be read."""
    good = revocations()
    case("list: good", good, "good")
    case("list: nothing in it", revocations(before=0, permits=[], keys=[]), "good")
    bad = {
        "another purpose": {"purpose": b"spx permit 1"},
        "another authority": {"authority": bytes(32)},
        "number 0": {"number": 0},
        "half a key": {"keys": [bytes(31)]},
        "a byte too many": {"rest": b"\0"},
    }
    for name, changed in bad.items():
        case(f"list: {name}", revocations(**changed), "malformed")
    case("list: a byte behind", good + b"\0", "malformed")
    case("list: high s", flipped_high(good), "forged")
    case("list: another's signature", good[:-64] + revocations(number=8)[-64:], "forged")


def vouch(**changed):
    f = {"purpose": b"spx agent 1", "authority": DEFAULTS["authority"], "name": b"lab-1",
         "key": bytes(range(32)), "issued": 1_800_000_000, "until": 1_900_000_000, "rest": b"",
         **changed}
    times = f["issued"].to_bytes(8, "big") + f["until"].to_bytes(8, "big")
    body = blob(f["purpose"]) + f["authority"] + blob(f["name"]) + f["key"] + times + f["rest"]
    return blob(body) + signature_of(body)


def statements():
    """About agent lab-1, judged in 2027."""
    good = vouch()
    case("agent: good", good, "good")
    for name, changed, verdict in (
        ("another purpose", {"purpose": b"spx permit 1"}, "malformed"),
        ("no name", {"name": b"Lab"}, "malformed"),
        ("ends when it is issued", {"until": 1_800_000_000}, "malformed"),
        ("a byte too many", {"rest": b"\0"}, "malformed"),
        ("another authority", {"authority": bytes(32)}, "forged"),
        ("another agent", {"name": b"lab-2"}, "forged"),
        ("another key", {"key": bytes(32)}, "forged"),
        ("over", {"issued": 1_700_000_000, "until": 1_800_000_000}, "forged"),
    ):
        case(f"agent: {name}", vouch(**changed), verdict)
    case("agent: a byte behind", good + b"\0", "malformed")
    case("agent: high s", flipped_high(good), "forged")
    case("agent: another's signature", good[:-64] + vouch(name=b"lab-2")[-64:], "forged")


def flipped_high(data):
    """The same signature with the other s."""
    outer_len = int.from_bytes(data[:2], "big")
    at = 2 + outer_len + 32
    s = ORDER - int.from_bytes(data[at : at + 32], "big")
    return data[:at] + number(s) + data[at + 32 :]


def main():
    print("# Written by make_permits.py; see README.md.\n")
    print(f"case=authority\nverdict=key\npermit={point(AUTHORITY).hex()}\n")
    key = bytes(range(100, 132))
    case("good", permit(), "good")
    case("keys alone", permit(scope=b"", patterns=[], keys=[key, key[::-1]]), "good")
    case("keys and patterns", permit(keys=[key]), "good")
    case("nothing but the outer's needs", permit(reason=b"", allow=[], listen=[], longest=0), "good")
    case("32 patterns", permit(patterns=[b"a-%d" % n for n in range(32)]), "good")
    case("an unknown extension", permit(extensions=extension(7, b"x") + extension(9, b"")), "good")
    case("one in the inner part", permit(inner_extensions=extension(7, b"x")), "good")
    case("longest name, pattern, reason",
         permit(user=b"a" * 64, scope=b"b" * 64, patterns=[b"*" * 64], reason=b"r" * 256), "good")

    critical = extension(0x8001, b"x")
    case("must be understood", permit(extensions=critical), "unsupported")
    case("must be understood inside", permit(inner_extensions=critical), "unsupported")

    twice = extension(7, b"x") * 2
    bad = {
        "another purpose": {"purpose": b"spx permit 2"},
        "no purpose": {"purpose": b""},
        "another inner purpose": {"inner_purpose": b"spx permit 1"},
        "no user": {"user": b""},
        "user is no name": {"user": b"Alice"},
        "user too long": {"user": b"a" * 65},
        "begins before its issue": {"times": (10, 9, 20)},
        "ends when it begins": {"times": (10, 20, 20)},
        "ends never": {"times": (10, 20, 2**40 + 1)},
        "scope is no name": {"scope": b"ac me"},
        "scope without a pattern": {"patterns": [], "keys": [key]},
        "pattern without a scope": {"scope": b"", "keys": [key]},
        "no agents": {"scope": b"", "patterns": []},
        "33 patterns": {"patterns": [b"a-%d" % n for n in range(33)]},
        "33 keys": {"keys": [key] * 33},
        "empty pattern": {"patterns": [b""]},
        "pattern too long": {"patterns": [b"a" * 65]},
        "pattern of capitals": {"patterns": [b"A*"]},
        "an extension twice": {"extensions": twice},
        "extensions in another order": {"extensions": extension(9, b"x") + extension(7, b"x")},
        "half an extension": {"extensions": extension(7, b"xyz")[:-1]},
        "a byte too many": {"extensions": b"\0"},
        "longest above a year": {"longest": 366 * 86400 + 1},
        "reason too long": {"reason": b"r" * 257},
        "reason is no UTF-8": {"reason": b"\xff"},
        "empty target": {"allow": [b""]},
        "target too long": {"allow": [b"t" * 273]},
        "33 targets": {"allow": [b"t"] * 33},
        "place to listen too long": {"listen": [b"p" * 129]},
        "an inner extension twice": {"inner_extensions": twice},
        "an inner byte too many": {"inner_extensions": b"\0"},
    }
    for name, changed in bad.items():
        case(name, permit(**changed), "malformed")
    good = permit()
    case("a byte behind", good + b"\0", "malformed")
    case("without its inner part", good[: -len(inner_of(DEFAULTS)) - 2], "malformed")
    large = permit(keys=[key] * 32, reason=b"r" * 256, allow=[b"t" * 200] * 4)
    case(f"too large: {len(large)} bytes", large, "malformed")
    other = permit(reason=b"case 4712")
    outer_len = int.from_bytes(good[:2], "big") + 2 + 64
    case("another's inner part", good[:outer_len] + other[outer_len:], "malformed")

    case("high s", flipped_high(good), "forged")
    case("another authority", permit(authority=bytes(32)), "forged")
    case("another's signature", good[: outer_len - 64] + other[outer_len - 64 : outer_len]
         + good[outer_len:], "forged")


if __name__ == "__main__":
    main()
    lists()
    statements()
