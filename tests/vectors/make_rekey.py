#!/usr/bin/python3
"""Writes rekey.txt: messages around nonces 2^20 and 2^21 with a REKEY before each of the two.

The ciphers, their nonces included, are dissononce's; nothing of spx is used.
"""

from dissononce.cipher.aesgcm import AESGCMCipher
from dissononce.cipher.chachapoly import ChaChaPolyCipher

INTERVAL = 1 << 20
NONCES = [
    0, INTERVAL - 2, INTERVAL - 1, INTERVAL, INTERVAL + 1,
    2 * INTERVAL - 1, 2 * INTERVAL, 2 * INTERVAL + 1,
]
SUITES = {1: AESGCMCipher(), 2: ChaChaPolyCipher()}


def rekey(cipher, key):
    """REKEY of Noise revision 34, section 4.2. (dissononce's own forgets to cut the tag off.)"""
    return cipher.encrypt(key, 2**64 - 1, b"", bytes(32))[:32]


def write_messages(suite, cipher):
    key = bytes(range(suite, suite + 32))
    print(f"suite={suite}\nkey={key.hex()}\n")
    epoch = 0
    for index, nonce in enumerate(NONCES):
        if nonce // INTERVAL > epoch:
            epoch += 1
            key = rekey(cipher, key)
        ad = bytes(range(index))
        plaintext = bytes((index + i) % 256 for i in range(7 * index))
        print(f"nonce={nonce:016x}\nad={ad.hex()}\nplaintext={plaintext.hex()}")
        print(f"ciphertext={cipher.encrypt(key, nonce, ad, plaintext).hex()}\n")


if __name__ == "__main__":
    print("# Written by make_rekey.py; see README.md.\n")
    for number, noise_cipher in SUITES.items():
        write_messages(number, noise_cipher)
