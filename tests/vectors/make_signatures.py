#!/usr/bin/python3
"""Writes signatures.txt: ECDSA over P-256 with SHA-256, deterministic (RFC 6979), and signatures that
are none. The curve is pyca/cryptography's, which also checks what is written; nothing of spx is used.
"""

import hashlib
import hmac

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# RFC 6979, A.2.5.
RFC_KEY = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721


def number(n):
    return n.to_bytes(32, "big")


def point(key):
    n = key.public_key().public_numbers()
    return number(n.x) + number(n.y)


def mac(key, data):
    return hmac.digest(key, data, "sha256")


def nonce(private, digest):
    """RFC 6979, section 3.2."""
    seed = number(private) + number(int.from_bytes(digest, "big") % ORDER)
    v, k = b"\1" * 32, bytes(32)
    for step in (b"\0", b"\1"):
        k = mac(k, v + step + seed)
        v = mac(k, v)
    while True:
        v = mac(k, v)
        n = int.from_bytes(v, "big")
        if 0 < n < ORDER:
            return n
        k = mac(k, v + b"\0")
        v = mac(k, v)


def sign(key, message):
    """r and s, as the standard gives them: s is of either half."""
    private = key.private_numbers().private_value
    digest = hashlib.sha256(message).digest()
    n = nonce(private, digest)
    r = ec.derive_private_key(n, ec.SECP256R1()).public_key().public_numbers().x % ORDER
    s = pow(n, -1, ORDER) * (int.from_bytes(digest, "big") + r * private) % ORDER
    der = utils.encode_dss_signature(r, s)
    key.public_key().verify(der, message, ec.ECDSA(hashes.SHA256()))
    return r, s


def low(s):
    return min(s, ORDER - s)


def case(name, public, message, r, s, **more):
    print(f"case={name}")
    for field, value in more.items():
        print(f"{field}={value.hex()}")
    print(f"public={public.hex()}")
    print(f"hash={hashlib.sha256(message).hexdigest()}")
    print(f"signature={(number(r) + number(s)).hex()}\n")


def good(private, message):
    key = ec.derive_private_key(private, ec.SECP256R1())
    r, s = sign(key, message)
    case("good", point(key), message, r, low(s), private=number(private))


def main():
    print("# Written by make_signatures.py; see README.md.\n")
    for message in (b"sample", b"test"):
        good(RFC_KEY, message)
    for private in (1, 2, ORDER - 1, ORDER // 2, 3**150 % ORDER):
        good(private, b"key %d" % (private % 1000))
    # One with a zero in front of a number, which a shorter encoding would leave out.
    message = 0
    key = ec.derive_private_key(RFC_KEY, ec.SECP256R1())
    while min(sign(key, b"%d" % message)[0], low(sign(key, b"%d" % message)[1])) >= 2**248:
        message += 1
    good(RFC_KEY, b"%d" % message)

    public = point(key)
    r, s = sign(key, b"bad")
    s = low(s)
    case("high s", public, b"bad", r, ORDER - s)
    case("other message", public, b"good", r, s)
    case("other key", point(ec.derive_private_key(5, ec.SECP256R1())), b"bad", r, s)
    case("swapped", public, b"bad", low(s), low(r))
    for name, value in (("zero", 0), ("one", 1), ("order", ORDER), ("all ones", 2**256 - 1)):
        case(f"r is {name}", public, b"bad", value, s)
        case(f"s is {name}", public, b"bad", r, value)
        case(f"both are {name}", public, b"bad", value, value)
    case("r beyond the order", public, b"bad", (r + ORDER) % 2**256, s)
    case("no point", public[:63] + bytes([public[63] ^ 1]), b"bad", r, s)
    case("zero point", bytes(64), b"bad", r, s)
    case("coordinate of all ones", b"\xff" * 32 + public[32:], b"bad", r, s)
    other = ec.derive_private_key(RFC_KEY, ec.SECP256K1())
    r, s = utils.decode_dss_signature(other.sign(b"bad", ec.ECDSA(hashes.SHA256())))
    case("another curve", point(other), b"bad", r, low(s))


if __name__ == "__main__":
    main()
