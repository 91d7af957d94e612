"""The programs that spx is measured beside: one file for each, found by its name."""
import importlib

ROWS = [
    "direct",
    "haproxy",
    "haproxy_tls",
    "stunnel",
    "spiped",
    "ssh_jump",
    "ssh_home",
    "ssh_home_jump",
    "dropbear",
    "spx",
]


def peer_class(row):
    return importlib.import_module(f"peers.{row}").Peer
