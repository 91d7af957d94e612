"""Noise IK and the records behind it, written from docs/PROTOCOL.md section 2 and revision 34 of the
Noise Protocol Framework, with the primitives of python3-cryptography."""
import base64
import hashlib
import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AES, CHACHA = 1, 2  # suites
HOP, SESSION = 1, 2  # purposes
NAMES = {AES: b"Noise_IK_25519_AESGCM_SHA256", CHACHA: b"Noise_IK_25519_ChaChaPoly_SHA256"}
REKEY_EVERY = 1 << 20


class NotAuthentic(Exception):
    """Bytes that do not verify."""


class Pair:
    """A key pair; without a file a new one."""

    def __init__(self, path=None):
        raw = base64.b64decode(Path(path).read_text()) if path else os.urandom(32)
        self.private = X25519PrivateKey.from_private_bytes(raw)
        self.public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def exchange(self, public):
        return self.private.exchange(X25519PublicKey.from_public_bytes(public))


class Cipher:
    """Noise's CipherState; each record of a direction is one message."""

    def __init__(self, suite, key):
        self.suite, self.key, self.counter = suite, key, 0
        self.aead = (AESGCM if suite == AES else ChaCha20Poly1305)(key)

    def nonce(self, counter):
        return bytes(4) + counter.to_bytes(8, "big" if self.suite == AES else "little")

    def next_nonce(self):
        if self.counter and self.counter % REKEY_EVERY == 0:
            key = self.aead.encrypt(self.nonce(2**64 - 1), bytes(32), b"")[:32]
            self.aead, self.key = type(self.aead)(key), key
        self.counter += 1
        return self.nonce(self.counter - 1)

    def seal(self, plaintext, data=b""):
        return self.aead.encrypt(self.next_nonce(), bytes(plaintext), data)

    def open(self, ciphertext, data=b""):
        try:
            return self.aead.decrypt(self.next_nonce(), bytes(ciphertext), data)
        except InvalidTag:
            raise NotAuthentic from None


def hkdf(chaining_key, material, count):
    key = hmac.digest(chaining_key, material, "sha256")
    out, last = [], b""
    for i in range(1, count + 1):
        last = hmac.digest(key, last + bytes([i]), "sha256")
        out.append(last)
    return out


class Noise:
    """One handshake of Noise IK."""

    def __init__(self, suite, prologue, own, responder_public, initiator):
        name = NAMES[suite]
        self.suite, self.own, self.initiator = suite, own, initiator
        self.peer = responder_public if initiator else None
        self.ephemeral, self.peer_ephemeral, self.cipher = Pair(), None, None
        self.h = self.ck = name.ljust(32, b"\0") if len(name) <= 32 else hashlib.sha256(name).digest()
        self.mix_hash(prologue)
        self.mix_hash(responder_public)

    def mix_hash(self, data):
        self.h = hashlib.sha256(self.h + data).digest()

    def mix_key(self, material):
        self.ck, key = hkdf(self.ck, material, 2)
        self.cipher = Cipher(self.suite, key)

    def seal(self, plaintext):
        ciphertext = self.cipher.seal(plaintext, self.h)
        self.mix_hash(ciphertext)
        return ciphertext

    def open(self, ciphertext):
        plaintext = self.cipher.open(ciphertext, self.h)
        self.mix_hash(ciphertext)
        return plaintext

    def write_first(self, payload):
        self.mix_hash(self.ephemeral.public)  # e
        self.mix_key(self.ephemeral.exchange(self.peer))  # es
        sealed_key = self.seal(self.own.public)  # s
        self.mix_key(self.own.exchange(self.peer))  # ss
        return self.ephemeral.public + sealed_key + self.seal(payload)

    def read_first(self, message):
        self.peer_ephemeral = message[:32]
        self.mix_hash(self.peer_ephemeral)
        self.mix_key(self.own.exchange(self.peer_ephemeral))
        self.peer = self.open(message[32:80])
        self.mix_key(self.own.exchange(self.peer))
        return self.open(message[80:])

    def write_second(self, payload):
        self.mix_hash(self.ephemeral.public)  # e
        self.mix_key(self.ephemeral.exchange(self.peer_ephemeral))  # ee
        self.mix_key(self.ephemeral.exchange(self.peer))  # se
        return self.ephemeral.public + self.seal(payload)

    def read_second(self, message):
        peer_ephemeral = message[:32]
        self.mix_hash(peer_ephemeral)
        self.mix_key(self.ephemeral.exchange(peer_ephemeral))
        self.mix_key(self.own.exchange(peer_ephemeral))
        return self.open(message[32:])

    def split(self):
        """(for sending, for receiving)"""
        ciphers = [Cipher(self.suite, key) for key in hkdf(self.ck, b"", 2)]
        return ciphers if self.initiator else ciphers[::-1]


# The first message: header, Noise message 1, mac1.


def header(suite, purpose, size):
    return b"SPX1" + bytes([suite, purpose]) + size.to_bytes(2, "big")


def mac1(responder_public, covered):
    key = hashlib.sha256(b"spx1 mac1" + responder_public).digest()
    return hmac.digest(key, covered, "sha256")[:16]


def framed(suite, purpose, message, responder_public):
    """A first message around any bytes, with a right mac1."""
    covered = header(suite, purpose, len(message)) + message
    return covered + mac1(responder_public, covered)


def write_first_message(suite, purpose, own, responder_public, payload):
    """(the handshake, the first message)"""
    noise = Noise(suite, header(suite, purpose, 0)[:6], own, responder_public, initiator=True)
    return noise, framed(suite, purpose, noise.write_first(payload), responder_public)


def read_first_message(message, purpose, own):
    """(the handshake, its payload)"""
    suite = message[4]
    if message[:4] != b"SPX1" or suite not in NAMES or message[5] != purpose:
        raise NotAuthentic
    if message[-16:] != mac1(own.public, message[:-16]):
        raise NotAuthentic
    noise = Noise(suite, message[:6], own, own.public, initiator=False)
    return noise, noise.read_first(message[8:-16])
