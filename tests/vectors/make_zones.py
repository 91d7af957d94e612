#!/usr/bin/python3
"""Writes zones.txt: files of the system's zone database and when their offsets change.

The changes are found by asking Python's zoneinfo, which reads the same bytes; nothing of spx is used.
"""
import io
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

DATABASE = Path("/usr/share/zoneinfo")
ZONES = [
    "America/Nuuk", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe", "Europe/Berlin",
    "Europe/Dublin", "Pacific/Apia",
]
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
LAST = int((datetime(2060, 1, 1, tzinfo=timezone.utc) - EPOCH).total_seconds())
DAY = 86400


def offset(zone, second):
    return int((EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset().total_seconds())


def change_within(zone, low, high):
    """The first second with the offset that there is at the high one, but not at the low one."""
    while high - low > 1:
        middle = (low + high) // 2
        if offset(zone, middle) == offset(zone, low):
            low = middle
        else:
            high = middle
    return high


def write_zone(name):
    data = (DATABASE / name).read_bytes()
    zone = ZoneInfo.from_file(io.BytesIO(data))
    print(f"zone {name}")
    for i in range(0, len(data), 48):
        print(f"data {data[i:i + 48].hex()}")
    print(f"from 0 {offset(zone, 0)}")
    for day in range(0, LAST, DAY):
        if offset(zone, day) != offset(zone, day + DAY):
            at = change_within(zone, day, day + DAY)
            print(f"from {at} {offset(zone, at)}")
    print(f"until {LAST} 0")


if __name__ == "__main__":
    print("# Written by make_zones.py; see README.md.")
    for zone_name in sys.argv[1:] or ZONES:
        write_zone(zone_name)
