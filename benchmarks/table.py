"""Makes tables of the results: `python -m benchmarks.table [--check]` writes those of docs/performance.md."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.inits import ALONE, REAP_LOG

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS = Path(__file__).parent / "results.json"
DOCUMENT = Path("docs/performance.md")
BEGIN, END = "<!-- made by benchmarks/table.py: begin -->\n", "<!-- made by benchmarks/table.py: end -->\n"

Row = dict[str, dict[str, float]]
MODES = {"pid1": "PID 1", "sub": "subreaper"}

# figure, value, heading, unit, less the direct exec, ratio to tini
VALUES = (
    ("start", "start_ms", "Start: exec of the init to the command's first instruction, less a direct exec", "ms", True),
    ("start", "life_ms", "Whole life of a command that ends at once, less a direct exec", "ms", True),
    ("exit", "exit_ms", "Exit latency: the command's end to the init's, less a direct exec", "ms", True),
    ("idle", "pss_mb", "Memory, idle: proportional set size (PSS)", "MB", False),
    ("idle", "uss_mb", "Memory, idle: its own alone (USS)", "MB", False),
    ("idle", "rss_mb", "Memory, idle: resident (RSS)", "MB", False),
    ("idle", "wakeups_per_min", "Wake-ups in an idle minute", "", False),
    ("idle", "cpu_us_per_min", "Processor time in an idle minute", "µs", False),
    ("signal", "p50_us", "Signal latency, median", "µs", False),
    ("signal", "p99_us", "Signal latency, 99th percentile", "µs", False),
    ("signal", "cpu_us", "Processor time for a signal", "µs", False),
    ("status of 10,000", "answer_ms", "Status of 10,000 children of one process: time to its last byte", "ms", False),
    ("status of 10,000", "p50_us", "Signal latency while that answer is made, median", "µs", False),
    ("status of 10,000", "p99_us", "Signal latency while that answer is made, 99th percentile", "µs", False),
    ("storm", "wall_us", "Fork storm: time for each orphan, from the first fork to the last reap", "µs", False),
    ("storm", "zombies", "Fork storm: most children of the init at once, dead or alive (8 live at a time)", "", False),
    ("storm", "cpu_us", "Fork storm: processor time for each reap", "µs", False),
    ("storm", "records_missing", "Fork storm: ends without a record in the log", "", False),
    ("storm, at once", "zombies", "The same storm at once, while pyinit loads: most children at once", "", False),
    ("storm, 10,000 live", "cpu_us", "The same beside 10,000 live orphans: processor time for each reap", "µs", False),
    ("storm, 10,000 live", "records_missing", "The same: ends without a record in the log", "", False),
    ("mass end", "wall_ms", "Mass end: 5,000 orphans killed with one call, until the last is reaped", "ms", False),
    ("mass end", "cpu_us", "Mass end: processor time for each", "µs", False),
    ("stop of 1,000", "wall_ms", "Stop of 1,000 descendants in own sessions: SIGTERM to the init's end", "ms", False),
    ("stop of 1,000", "left", "The same: processes left behind", "", False),
    ("stop of 5,000", "wall_ms", "Stop of 5,000 descendants in own sessions: SIGTERM to the init's end", "ms", False),
    ("stop of 5,000", "left", "The same: processes left behind", "", False),
)  # fmt: skip


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _cell(value: dict[str, float], less: float) -> str:
    text = _number(value["median"] - less)
    if value["runs"] > 1 and value["high"] > value["low"]:
        text += f" ({_number(value['low'] - less)} to {_number(value['high'] - less)})"
    return text


def _ratio(median: float, tinis: float | None) -> str:
    return f"{median / tinis:.2f}" if tinis is not None and tinis > 0 else ""


def one(figures: dict[str, Any], figure: str, value: str, *, net: bool) -> list[list[str]]:
    """Return the rows of one table: init, then for each mode the value and its ratio to tini's."""
    found = figures.get(figure, {})
    names: dict[str, None] = {}
    for row in found:
        name = row.split(" | ")[0]
        if value in found[row] and not (net and name == "direct"):
            names[name] = None
    rows = []
    for name in names:
        cells = [name]
        for mode in MODES:
            mine = found.get(f"{name} | {mode}", {}).get(value)
            direct = found.get(f"direct | {mode}", {}).get(value, {}).get("median", 0.0) if net else 0.0
            tini = found.get(f"tini | {mode}", {}).get(value)
            if mine is None:
                cells += ["", ""]
                continue
            tinis = None if tini is None else tini["median"] - direct
            cells += [_cell(mine, direct), _ratio(mine["median"] - direct, tinis)]
        rows.append(cells)
    return rows


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]

    def put(row: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"

    return "\n".join([put(head), "| " + " | ".join("-" * width for width in widths) + " |", *map(put, rows)])


def everything(result: dict[str, Any]) -> str:
    """Return all tables, as Markdown."""
    parts = [f"### What was to be reached\n\n{aims(result)}\n"]
    parts.append(f"### Beside supervisord\n\n{beside_supervisord(result)}\n")
    for figure, value, title, unit, net in VALUES:
        rows = one(result["figures"], figure, value, net=net)
        if not rows:
            continue
        name = f" ({unit})" if unit else ""
        head = ["init", "PID 1", "to tini", "subreaper", "to tini"]
        parts.append(f"### {title}{name}\n\n{_lines(head, rows)}\n")
    if "walk_ms" in result:
        parts.append(f"pyinit's walk of a tree of 10,000 processes: {result['walk_ms']} ms (median of five).\n")
    return "\n".join(parts)


# What was to be reached: what, figure, value, init, mode, less the direct exec, in ratios to tini's or in itself,
# must, goal, unit.
AIMS = (
    ("Start, wheel, to tini's", "start", "start_ms", "pyinit", "pid1", True, True, 9, 6.5, ""),
    ("Start, image, to tini's", "start", "start_ms", "pyinit, image", "pid1", True, True, 9, 6.5, ""),
    ("Storm, wall time, reap log on, to tini's", "storm", "wall_us", REAP_LOG, "pid1", False, True, 1.15, 1.02, ""),
    ("Storm, most children at once, to tini's", "storm", "zombies", REAP_LOG, "pid1", False, True, 10, 1, ""),
    ("Storm, processor time of a reap and its record", "storm", "cpu_us", REAP_LOG, "pid1", False, False, 20, 10, "µs"),
    ("Signal latency, median, to tini's", "signal", "p50_us", "pyinit", "pid1", False, True, 1.6, 1.2, ""),
    ("Signal latency, 99th percentile, to tini's", "signal", "p99_us", "pyinit", "pid1", False, True, 1.0, 0.5, ""),
    ("Exit latency", "exit", "exit_ms", "pyinit", "pid1", True, False, 2, 0.5, "ms"),
    ("Memory, idle, log on (PSS, image)", "idle", "pss_mb", "pyinit, image", "pid1", False, False, 12, 7, "MB"),
    ("Idle wake-ups in a minute", "idle", "wakeups_per_min", "pyinit", "pid1", False, False, 0, 0, ""),
    ("Stop of 5,000, to tini's", "stop of 5,000", "wall_ms", "pyinit", "pid1", False, True, 1.5, 1.1, ""),
)


def _median(figures: dict[str, Any], figure: str, row: str, value: str, *, net: bool) -> float | None:
    """Return a median, less that of a direct exec where it is wanted so."""
    found = figures.get(figure, {})
    mine = found.get(row, {}).get(value)
    if mine is None:
        return None
    mode = row.split(" | ")[1]
    direct = found.get(f"direct | {mode}", {}).get(value, {"median": 0.0})
    return float(mine["median"]) - (direct["median"] if net else 0.0)


def aims(result: dict[str, Any]) -> str:
    """Return what was to be reached, and what is."""
    rows = []
    for what, figure, value, init, mode, net, relative, must, goal, unit in AIMS:
        mine = _median(result["figures"], figure, f"{init} | {mode}", value, net=net)
        tini = _median(result["figures"], figure, f"tini | {mode}", value, net=net)
        least = _median(result["figures"], figure, f"{ALONE} | {mode}", value, net=net) if init == REAP_LOG else None
        row = [what, f"{must} {unit}".strip(), f"{goal} {unit}".strip()]
        if mine is None or (relative and not tini):
            rows.append([*row, "not measured", "", ""])
            continue
        by = tini if relative and tini else 1.0
        found = mine / by
        reached = "goal" if found <= goal else "must" if found <= must else "**no**"
        alone = "" if least is None else f"{least / by:.2f} {unit}".strip()
        rows.append([*row, f"{found:.2f} {unit}".strip(), reached, alone])
    return _lines(["figure, as PID 1", "must", "goal", "measured", "reached", ALONE], rows)


def beside_supervisord(result: dict[str, Any]) -> str:
    """Return by how much pyinit is better than supervisord, figure by figure."""
    rows = []
    for figure, value, title, unit, net in VALUES:
        if value in {"left", "records_missing", "rss_mb"}:
            continue
        mine = _median(result["figures"], figure, "pyinit | pid1", value, net=net)
        theirs = _median(result["figures"], figure, "supervisord | pid1", value, net=net)
        if mine is None or theirs is None:
            continue
        factor = f"{theirs / mine:.1f}" if mine > 0 else "none against some" if theirs > 0 else "both none"
        rows.append(
            [title.replace(", less a direct exec", ""), f"{_number(mine)} {unit}", f"{_number(theirs)} {unit}", factor]
        )
    return _lines(["figure, as PID 1", "pyinit", "supervisord", "times better"], rows)


def place(result: dict[str, Any]) -> str:
    """Return the sentence on the machine."""
    machine = result["machine"]
    virtual = "a virtual machine" if machine["virtual"] else "a machine"
    peers = ", ".join(f"{name} {version}" for name, version in sorted(result["packages"].items()))
    fewer = result.get("fewer", 1)
    sizes = f" A storm had {20_000 // fewer:,} orphans, other figures {fewer} times fewer rounds." if fewer > 1 else ""
    sizes = f" {result['note']}" if "note" in result else sizes
    failed = result.get("failed", [])
    missing = f" Without a result, because it took too long: {'; '.join(failed)}." if failed else ""
    noise = (
        " **Other work kept the processors busy meanwhile: these are no figures of a quiet machine, and what needs a"
        " processor to itself comes off worst.**"
        if machine["load_before"] > machine["processors"] / 2  # behind it is the load of the benchmark itself
        else ""
    )
    return (
        f"Measured on {virtual} with {machine['processors']} processors ({machine['architecture']}) and"
        f" {machine['memory_gib']} GiB, Linux {machine['kernel']}, CPython {machine['python']}; load before"
        f" {machine['load_before']:.2f}, behind {result['load_after']:.2f}. Peers, from Debian: {peers}."
        f"{sizes}{missing}{noise}\n"
    )


def main() -> None:
    """Write the tables into docs/performance.md; with --check only say whether they are those of results.json."""
    result = json.loads(RESULTS.read_text())
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    made = before + BEGIN + "\n" + place(result) + "\n" + everything(result) + "\n" + END + after
    if "--check" in sys.argv:
        sys.exit(0 if made == text else f"{DOCUMENT} is not made from {RESULTS}: run python -m benchmarks.table")
    DOCUMENT.write_text(made)


if __name__ == "__main__":
    main()
