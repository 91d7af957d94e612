"""The measurements: one file for each part, with run(bench), which returns the part's raw numbers."""
import importlib

PARTS = [
    "bulk",
    "relay_alone",
    "pingpong",
    "connects",
    "audit",
    "first_byte",
    "delayed_bulk",
    "memory",
    "agents",
    "sizes",
    "profile",
]


def part(name):
    return importlib.import_module(f"parts.{name}")
