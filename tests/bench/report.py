"""Writes the results of a run as Markdown."""
from figures import added_us, at, audited, figures, median, medians, ratio, relay_growth, round_trips
from peers import peer_class

KIB = 1024
BUSY_LOAD = 0.25  # a core, before the run


def title(row):
    return peer_class(row).title


def number(value, digits=0):
    return "–" if value is None else f"{value:,.{digits}f}"


def spread(values, digits=0):
    """median (min to max)"""
    values = list(values or [])
    if not values:
        return "–"
    return f"{number(median(values), digits)} ({number(min(values), digits)} to {number(max(values), digits)})"


def of(rounds, key):
    return [one[key] for one in rounds or []]


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- " + "| ---: " * (len(head) - 1) + "|"]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return lines + [""]


def times_spx(value, spx):
    """A peer's number as a multiple of spx's."""
    return number(ratio(value, spx), 2)


# ---- The sections. ----


def section_machine(results):
    m, how = results["machine"], results["how"]
    busy = ["- **The machine was busy with other work: the numbers are noisy.**"]
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
    return [
        "# spx beside its peers",
        "",
        "Written by `make bench`. Every number is of this one run; rounds of all peers are interleaved, and a",
        "cell has the median with the smallest and the largest round. Everything runs on one machine, the two",
        "ends of every tunnel and what measures too, so that tunnels and measuring share the processor.",
        "",
        f"- {m['date']}, {m['processor']}, {m['cores']} cores, {m['memory_gb']:.0f} GB, {m['kernel']}, "
        f"congestion control {m['congestion_control']}, load before {m['load']:.1f}",
        f"- {m['spx']}; {versions}",
        f"- {how['rounds']} rounds, bulk runs of {how['seconds']} s; all of it took {results['took_s']:.0f} s",
        *(busy if m["load"] > BUSY_LOAD * m["cores"] else []),
        "",
    ]


def section_figures(results):
    def word(one):
        return {True: "reached", False: "**not reached**", None: "not measured"}[one.reached]

    rows = [(f"{f.number}. {f.what}", f.wanted, f.measured, word(f)) for f in figures(results)]
    return ["## Figures to reach", ""] + table(["figure", "wanted", "measured", ""], rows)


DIRECTIONS = ("up", "down", "eight")


def bulk_speeds(runs_of):
    head = ["peer", "one stream up", "one down", "eight up"]
    head += ["up / spx", "down / spx", "eight / spx"]
    rows = []
    for row, runs in runs_of.items():
        cells = [title(row)] + [spread(of(runs[d], "mb_s")) for d in DIRECTIONS]
        for d in DIRECTIONS:
            spx = medians(at(runs_of, "spx", d), "mb_s")
            cells.append(times_spx(medians(runs[d], "mb_s"), spx))
        rows.append(cells)
    return table(head, rows)


def bulk_costs(runs_of):
    def cost(rounds):
        parts = " + ".join(number(medians(rounds, key), 2) for key in ("user", "system"))
        return f"{spread(of(rounds, 'all'), 2)}; {parts}"

    rows = []
    for row, runs in runs_of.items():
        spx = medians(at(runs_of, "spx", "up"), "all")
        cells = [title(row)] + [cost(runs[d]) for d in DIRECTIONS]
        rows.append(cells + [times_spx(medians(runs["up"], "all"), spx)])
    rows = [cells for cells in rows if cells[0] != title("direct")]
    return table(["peer", "up; user + system", "down", "eight", "up / spx"], rows)


def bulk_roles(runs):
    rows = [
        [site] + [spread(of(runs[d], site), 3) for d in DIRECTIONS]
        for site in ("client", "relay", "agent")
    ]
    return table(["of spx, s/GB", "up", "down", "eight"], rows)


def section_bulk(results):
    lines = []
    for control, measured in results.get("bulk", {}).items():
        lines += [f"## Bulk under {control}: MB/s with iperf3 (figure 1)", ""]
        lines += bulk_speeds(measured)
        lines += [f"Processor seconds a GB under {control}, of all the tunnel's processes:", ""]
        lines += bulk_costs(measured)
        if "spx" in measured:
            lines += bulk_roles(measured["spx"])
    return lines


def section_relay_alone(results):
    lines = []
    for control, measured in results.get("relay_alone", {}).items():
        lines += [f"## The relay alone under {control}: MB/s (figure 1)", ""]
        lines += [
            "The same sender and receiver of plain bytes, with nothing, spx's relay (a joined circuit) or a",
            "HAProxy between them.",
            "",
        ]
        direct = medians(measured.get("direct"), "mb_s")
        rows = [
            (
                name,
                spread(of(rounds, "mb_s")),
                number(ratio(medians(rounds, "mb_s"), direct), 2),
                spread(of(rounds, "cpu_s_gb"), 3),
            )
            for name, rounds in measured.items()
        ]
        lines += table(["between", "MB/s", "/ direct", "CPU s/GB of what is between"], rows)
    return lines


def section_delayed_bulk(results):
    if not (delayed := results.get("delayed_bulk")):
        return []
    lines = ["## Bulk at 25 ms one way on either side of the relay, 1 Gbit/s: MB/s (figure 1)", ""]
    rows = []
    for row, runs in delayed.items():
        cells = [title(row)] + [spread(of(runs[d], "mb_s"), 1) for d in ("up", "down")]
        for d in ("up", "down"):
            cells.append(
                times_spx(medians(runs[d], "mb_s"), medians(at(delayed, "spx", d), "mb_s"))
            )
        rows.append(cells)
    return lines + table(["peer", "up", "down", "up / spx", "down / spx"], rows)


def section_pingpong(results):
    if not (measured := results.get("pingpong")):
        return []
    rows = []
    for row, rounds in measured.items():
        cells = [title(row), spread(of(rounds, "median"), 1), spread(of(rounds, "p99"), 1)]
        cells += [
            number(added_us(results, row), 1),
            times_spx(added_us(results, row), added_us(results, "spx")),
        ]
        rows.append(cells)
    head = ["peer", "median, µs", "99th percentile, µs", "added to direct, µs", "added / spx"]
    return ["## Round trip of 64 bytes over an open stream (figure 2)", ""] + table(head, rows)


def section_first_byte(results):
    if not (measured := results.get("first_byte")):
        return []
    delay = next((d for d in measured if d != "0"), None)
    lines = [
        f"## Connecting, without a delay and at {delay} ms one way on either side of the relay (figure 3)",
        "",
    ]
    lines += [
        "From starting the client to the first byte back, and one more connection through a running client. Round",
        "trips are of the whole path: what the delay adds, TCP's own handshakes included. The links are TUN devices",
        "between network namespaces, so that kernels do TCP as over a real path.",
        "",
    ]
    rows = []
    for row in measured["0"]:
        cells = [title(row)]
        for key in ("first_ms", "one_more_ms"):
            cells += [spread(at(measured, d, row, key), 1) for d in ("0", delay)]
            cells.append(number(round_trips(results, row, key), 2))
        rows.append(cells)
    head = [
        "peer",
        "first byte, ms",
        f"at {delay} ms",
        "round trips",
        "one more, ms",
        f"at {delay} ms",
        "round trips",
    ]
    return lines + table(head, rows)


def section_connects(results):
    if not (measured := results.get("connects")):
        return []
    rows = []
    for row, runs in measured.items():
        cells = [title(row)]
        for inflight in runs:
            cells.append(spread(of(runs[inflight], "per_s")))
            cells.append(
                times_spx(
                    medians(runs[inflight], "per_s"),
                    medians(at(measured, "spx", inflight), "per_s"),
                )
            )
        cells.append(sum(one["failed"] for rounds in runs.values() for one in rounds))
        rows.append(cells)
    head = ["peer", "one at a time", "/ spx", "16 in flight", "/ spx", "failed"]
    return ["## Connections a second through a running tunnel (figure 3)", ""] + table(head, rows)


def section_audit(results):
    if not (measured := results.get("audit")):
        return []
    rows = []
    for inflight, name in (("1", "one at a time"), ("16", "16 in flight")):
        runs = [measured[kind][inflight] for kind in ("without", "with")]
        failed = sum(one["failed"] for rounds in runs for one in rounds)
        rows.append([name, *(spread(of(rounds, "per_s")) for rounds in runs), spread(audited(measured, inflight), 2), failed])
    head = ["connections a second", "without audits", "with audits at all three", "ratio", "failed"]
    return ["## The cost of audits (figure 7)", ""] + table(head, rows)


def section_memory(results):
    if not (measured := results.get("memory")):
        return []
    lines = ["## Memory (figure 4)", ""]
    if spx := measured.get("spx"):
        rows = [
            (f"spx {site}", number(m["idle"] / 1e6, 2), number(m["load"] / 1e6, 2))
            for site, m in spx.items()
        ]
        lines += table(["resident, MB", "idle", "at most under bulk"], rows)
    rows = [
        (
            title(row),
            m["count"],
            number(m["private"] / m["count"] / KIB, 1),
            number(m["pss"] / m["count"] / KIB, 1),
        )
        for row, m in measured.get("relays", {}).items()
    ]
    if rows:
        lines += [
            "The relay's side for an idle agent that has called home: the growth, divided by their number.",
            "",
        ]
        lines += table(["peer", "agents", "private, KiB an agent", "PSS, KiB an agent"], rows)
    return lines


def section_agents(results):
    if not (measured := results.get("agents")):
        return []
    lines = ["## Agents at one spx relay (figures 4 and 5)", ""]
    lines += [
        "Simulated by one program with the real engines; each has a control hop and a parked hop. The growth is from",
        "a relay that knows all of them from its configuration and that none has called yet.",
        "",
    ]
    rows = [
        (
            s["agents"],
            number(s["pss"] / 1e6, 2),
            number(relay_growth(s) / KIB, 3),
            number(s["private_growth"] / s["agents"] / KIB, 3),
            number(s["pss"] / s["agents"] / KIB, 3),
        )
        for s in measured["stages"]
    ]
    lines += table(
        ["idle agents", "relay's PSS, MB", "growth, KiB an agent", "private", "all of it"], rows
    )
    back = measured["back"]
    rows = [
        ("time until all are back, s", spread(of(back, "seconds"), 2)),
        ("relay's CPU, ms an agent", spread(of(back, "relay_cpu_ms"), 3)),
        (
            "agents a second and core of the relay",
            spread([1000 / one["relay_cpu_ms"] for one in back]),
        ),
        (
            "handshakes a second and core of the relay",
            spread([2000 / one["relay_cpu_ms"] for one in back]),
        ),
        ("what simulates them: CPU, ms an agent", spread(of(back, "generator_cpu_ms"), 3)),
    ]
    if back:
        lines += table(
            [f"{back[0]['agents']} agents come back after the relay's restart", ""], rows
        )
    return lines


def section_sizes(results):
    if not (measured := results.get("sizes")):
        return []
    rows = [
        (
            title(name),
            number(s["program"] / 1e3, 1),
            len(s["libraries"]),
            number((s["program"] + sum(s["libraries"].values())) / 1e3, 1),
        )
        for name, s in measured.items()
    ]
    return ["## Size on disk (figure 6)", ""] + table(
        ["programs", "KB", "shared libraries", "KB with them"], rows
    )


def section_profile(results):
    if not (measured := results.get("profile")):
        return []
    lines = [
        "## Where spx's processor time goes",
        "",
        "perf, one bulk stream up; the largest of each role. Without the processor's own",
        "counters (in most virtual machines) samples of the kernel fall where it allows interrupts again.",
        "",
    ]
    for site, symbols in measured.items():
        lines += table([site, "%"], [(f"`{name}`", number(share, 1)) for share, name in symbols])
    return lines


def section_failures(results):
    if not results["failures"]:
        return []
    return ["## What could not be measured", "", *(f"- {one}" for one in results["failures"]), ""]


SECTIONS = [
    section_machine,
    section_figures,
    section_bulk,
    section_relay_alone,
    section_delayed_bulk,
    section_pingpong,
    section_first_byte,
    section_connects,
    section_audit,
    section_memory,
    section_agents,
    section_sizes,
    section_profile,
    section_failures,
]


def markdown(results):
    return "\n".join(line for section in SECTIONS for line in section(results)).rstrip() + "\n"
