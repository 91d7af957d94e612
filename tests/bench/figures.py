"""The figures that spx is to reach, and whether the numbers of a run reach them. Everything here is
computed from the raw results; what was not measured is said to be so."""
import statistics
from dataclasses import dataclass

ROUND_TRIP_MS_A_MS = 4  # of the whole path: two links, there and back
KIB = 1024


@dataclass
class Figure:
    number: int
    what: str
    wanted: str
    measured: str
    reached: bool | None  # None: not measured


def median(values):
    values = list(values)
    return statistics.median(values) if values else None


def medians(rounds, key):
    """Of what one key has in all rounds."""
    return median(one[key] for one in rounds or [])


def at(results, *path):
    """The value if it is there, or None."""
    for key in path:
        if not isinstance(results, dict) or key not in results:
            return None
        results = results[key]
    return results


def ratio(a, b):
    return a / b if a is not None and b else None


def least(*values):
    """The smallest; None when one of them was not measured."""
    return None if not values or None in values else min(values)


def most(*values):
    return None if not values or None in values else max(values)


def figure(number, what, value, limit, at_least=True, show="{:.2f}", unit=""):
    sign = "at least" if at_least else "at most"
    wanted = f"{sign} {show.format(limit)}{unit}"
    if value is None:
        return Figure(number, what, wanted, "not measured", None)
    reached = value >= limit if at_least else value <= limit
    return Figure(number, what, wanted, show.format(value) + unit, reached)


# ---- 1: bulk. ----


def speed(results, control, row, direction):
    return medians(at(results, "bulk", control, row, direction), "mb_s")


def faster(results, control, row):
    """How many times as fast as a peer spx is, in the direction where it is less so."""
    return least(
        *(
            ratio(speed(results, control, "spx", d), speed(results, control, row, d))
            for d in ("up", "down")
        )
    )


def spx_cost(results, control, key):
    rounds = at(results, "bulk", control, "spx") or {}
    return most(*(medians(rounds.get(d), key) for d in ("up", "down")))


def bulk(results):
    for control in results.get("bulk", {}):
        beside = [
            ("stunnel", 1.4, "the stunnel chain"),
            ("haproxy_tls", 1.3, "the TLS HAProxy chain"),
        ]
        beside += [
            (
                "ssh_home_jump",
                5.0,
                "ssh through -J to an ssh -R (calls home, encrypted from end to end)",
            )
        ]
        for row, limit, name in beside:
            yield figure(
                1, f"{control}: one stream, times {name}", faster(results, control, row), limit
            )
        yield figure(
            1,
            f"{control}: CPU of all three",
            spx_cost(results, control, "all"),
            1.25,
            False,
            unit=" s/GB",
        )
        yield figure(
            1,
            f"{control}: CPU of the relay",
            spx_cost(results, control, "relay"),
            0.10,
            False,
            unit=" s/GB",
        )
        eight = ratio(speed(results, control, "spx", "eight"), speed(results, control, "spx", "up"))
        yield figure(1, f"{control}: eight streams, times one", eight, 1.0)
    for control in results.get("relay_alone", {}):
        alone = results["relay_alone"][control]
        times = ratio(medians(at(alone, "spx"), "mb_s"), medians(at(alone, "direct"), "mb_s"))
        yield figure(1, f"{control}: the relay alone, times direct", times, 0.95)
    if delayed := results.get("delayed_bulk"):
        sides = [
            ratio(
                medians(at(delayed, "spx", d), "mb_s"), medians(at(delayed, "haproxy", d), "mb_s")
            )
            for d in ("up", "down")
        ]
        yield figure(1, "25 ms a leg: one stream, times the plain forwarder", least(*sides), 0.95)


# ---- 2: the round trip. ----


def added_us(results, row):
    """The part of the round trip on loopback that a tunnel adds."""
    times = [medians(at(results, "pingpong", one), "median") for one in (row, "direct")]
    return None if None in times else times[0] - times[1]


def pingpong(results):
    if "pingpong" not in results:
        return
    added = ratio(added_us(results, "spx"), added_us(results, "haproxy"))
    tail = ratio(*(medians(at(results, "pingpong", row), "p99") for row in ("spx", "haproxy")))
    yield figure(2, "ping-pong: median added, times what three plain hops add", added, 1.05, False)
    yield figure(2, "ping-pong: 99th percentile, times that of three plain hops", tail, 1.3, False)


# ---- 3: connecting. ----


def round_trips(results, row, key):
    """The time that a connection waits longer because of a delay, in round trips of the whole path."""
    first = results.get("first_byte", {})
    delay = next((d for d in first if d != "0"), None)
    there, here = (median(at(first, d, row, key) or []) for d in (delay, "0"))
    if there is None or here is None:
        return None
    return (there - here) / (float(delay) * ROUND_TRIP_MS_A_MS)


def connecting(results):
    if "first_byte" in results:
        for key, what, limit in (
            ("first_ms", "first byte after starting the client", 3.0),
            ("one_more_ms", "one more connection", 1.0),
        ):
            trips = round_trips(results, "spx", key)
            trips = None if trips is None else round(trips, 1)
            yield figure(3, what, trips, limit, False, "{:.1f}", " round trips")
        here = median(at(results, "first_byte", "0", "spx", "first_ms") or [])
        yield figure(3, "first byte without a delay", here, 15, False, "{:.1f}", " ms")
    if "connects" in results:
        for inflight, limit, what in (("1", 3000, "one at a time"), ("16", 10000, "16 in flight")):
            rate = medians(at(results, "connects", "spx", inflight), "per_s")
            yield figure(3, f"connections a second, {what}", rate, limit, show="{:.0f}")
        rounds = [
            one for several in (at(results, "connects", "spx") or {}).values() for one in several
        ]
        failed = sum(one["failed"] for one in rounds) if rounds else None
        yield figure(3, "connections that failed", failed, 0, False, "{:.0f}")


# ---- 4 to 6: memory, coming back, size. ----


def relay_growth(stage):
    """Bytes that an idle agent costs the relay."""
    return (stage["pss"] - stage["empty_pss"]) / stage["agents"]


def memory(results):
    if "agents" in results:
        stages = results["agents"]["stages"]
        value = relay_growth(stages[-1]) / KIB if stages else None
        count = stages[-1]["agents"] if stages else 0
        what = f"relay's memory for an idle agent, of {count}"
        yield figure(4, what, value, 4, False, "{:.3f}", " KiB")
    if "memory" in results:
        for site in ("agent", "client"):
            value = at(results, "memory", "spx", site)
            value = value and value["idle"] / 1e6
            yield figure(4, f"the {site}'s memory while idle", value, 1.5, False, unit=" MB")


def coming_back(results):
    if "agents" in results:
        value = medians(results["agents"]["back"], "relay_cpu_ms")
        yield figure(5, "relay's CPU for an agent that comes back", value, 0.4, False, unit=" ms")


def size(results):
    if sizes := results.get("sizes"):
        yield figure(6, "the program", sizes["spx"]["program"] / 1e3, 350, False, "{:.1f}", " KB")
        yield figure(6, "shared libraries", len(sizes["spx"]["libraries"]), 0, False, "{:.0f}")


# ---- 7: audits. ----


def audited(measured, inflight):
    """How many times as many connections as without, of each round: the two are measured one right
    after the other."""
    pairs = zip(measured["with"][inflight], measured["without"][inflight])
    return [ratio(with_them["per_s"], without["per_s"]) for with_them, without in pairs]


def audit(results):
    if measured := results.get("audit"):
        times = [median(audited(measured, inflight)) for inflight in measured["with"]]
        yield figure(7, "connections a second with audits, times without", least(*times), 0.8)


def figures(results):
    found = []
    for group in (bulk, pingpong, connecting, memory, coming_back, size, audit):
        found += group(results)
    return found
