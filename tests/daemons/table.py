"""Makes the tables of docs/daemons.md from results.json.

    python tests/daemons/table.py [--check]

`--check` writes nothing, and fails when the document is not what it would write.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shlex
import sys
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from daemons import recipes

if TYPE_CHECKING:
    from daemons.recipes import Recipe


RESULTS = recipes.HERE / "results.json"
DOCUMENT = recipes.HERE.parent.parent / "docs" / "daemons.md"
MODES = ("pid1", "subreaper")
SHORTEST_S = 0.01
"""What took less is told as less than this."""

HEAD = (
    "| family | program | command | option | up after the launcher | stop, s | status | crash noticed, s "
    "| all gone after, s | status |"
)
STEERED_HEAD = (
    "| family | program | command | ready, told after, s | reload, s | stop, s | status | crash noticed, s "
    "| all gone after, s | status |"
)
READY_BY = {"pid-file": "PID file", "notify": "`READY=1`", "handover": "handover", "": "not told"}


def seconds(value: float | None) -> str:
    """Return a time in seconds as the table gives it."""
    if value is None:
        return "never"
    return f"< {SHORTEST_S:g}" if value < SHORTEST_S else f"{value:.2f}"


def pair(values: list[str]) -> str:
    """Return the values of both modes: one where they are the same."""
    return values[0] if len(set(values)) == 1 else " / ".join(values)


def both(row: dict[str, Any], end: str, key: str) -> list[Any]:
    """Return the value of *key* after *end* (stop, crash) in each mode, None where there is none."""
    return [row[mode].get(end, {}).get(key) for mode in MODES]


def up(row: dict[str, Any], mode: str) -> str:
    """Return whether the service was up after its launcher had ended."""
    if row[mode]["problem"] or "stop" not in row[mode]:
        return "**no**"
    return "yes" if row[mode]["handover"] else "yes, stays"


def table_row(recipe: Recipe, row: dict[str, Any]) -> str:
    """Return one line of the table."""
    cells = [
        recipe.family,
        recipe.name,
        f"`{shlex.join(recipe.command)}`".replace("|", "\\|"),
        f"`{shlex.join(recipe.options)}`" if recipe.options else "",
        pair([up(row, mode) for mode in MODES]),
        pair([seconds(value) for value in both(row, "stop", "seconds")]),
        pair([str(value) for value in both(row, "stop", "status")]),
        pair([seconds(value) for value in both(row, "crash", "noticed_s")]),
        pair([seconds(value) for value in both(row, "crash", "seconds")]),
        pair([str(value) for value in both(row, "crash", "status")]),
    ]
    return "| " + " | ".join(cells) + " |"


def ready_cell(row: dict[str, Any]) -> str:
    """Return by what, and how long after main's start, pyinit was told that the service is ready."""
    told = [READY_BY[row[mode]["told"]] for mode in MODES]
    times = [seconds(row[mode]["told_s"]) if row[mode]["told"] else "" for mode in MODES]
    if len(set(told)) == 1:
        return f"{told[0]}, {pair(times)}" if all(times) else told[0]
    return " / ".join(f"{word}, {time}".removesuffix(", ") for word, time in zip(told, times, strict=True))


def reload_cell(row: dict[str, Any]) -> str:
    """Return how long a reload took to show, and whether the service is another process after it."""
    reloads = [row[mode].get("reload") for mode in MODES]
    if not any(reloads):
        return ""
    if any(one is None or one["refused"] or one["status"] for one in reloads):
        return "**no**"
    who = pair(["a new process" if one["moved"] else "the same process" for one in reloads])
    return f"{pair([seconds(one['seconds']) for one in reloads])}, {who}"


def steered_row(recipe: Recipe, row: dict[str, Any]) -> str:
    """Return one line of the table of those that pyinit is told more about."""
    bad = any(row[mode]["problem"] or "stop" not in row[mode] for mode in MODES)
    revived = all(both(row, "crash", "revived"))
    cells = [
        recipe.family,
        recipe.name,
        f"`{shlex.join(recipe.command)}`".replace("|", "\\|"),
        "**no**" if bad else ready_cell(row),
        reload_cell(row),
        pair([seconds(value) for value in both(row, "stop", "seconds")]),
        pair([str(value) for value in both(row, "stop", "status")]),
        pair([seconds(value) for value in both(row, "crash", "noticed_s")]),
        "it goes on" if revived else pair([seconds(value) for value in both(row, "crash", "seconds")]),
        "" if revived else pair([str(value) for value in both(row, "crash", "status")]),
    ]
    return "| " + " | ".join(cells) + " |"


def table_of(head: str, lines: list[str]) -> str:
    """Return a table with a *head*."""
    return "\n".join([head, "|" + " --- |" * (head.count("|") - 1), *lines])


def results_table(rows: list[Recipe], results: dict[str, Any]) -> str:
    """Return the table of those that pyinit is told nothing about."""
    return table_of(HEAD, [table_row(recipe, results[recipe.name]) for recipe in rows if not recipe.steered])


def steered_table(rows: list[Recipe], results: dict[str, Any]) -> str:
    """Return the table of those that pyinit is told more about."""
    return table_of(STEERED_HEAD, [steered_row(recipe, results[recipe.name]) for recipe in rows if recipe.steered])


def options_table(rows: list[Recipe], results: dict[str, Any]) -> str:
    """Return the table of those that need an option although pyinit is told nothing about them."""
    del results
    return reasons([recipe for recipe in rows if recipe.options and not recipe.steered])


def steering_table(rows: list[Recipe], results: dict[str, Any]) -> str:
    """Return the table of what pyinit is told, and why."""
    del results
    return reasons([recipe for recipe in rows if recipe.options and recipe.steered])


def reasons(rows: list[Recipe]) -> str:
    """Return a table of options and of the reasons for them."""
    lines = [f"| {recipe.name} | `{shlex.join(recipe.options)}` | {recipe.why} |" for recipe in rows]
    return table_of("| program | options | why |", lines)


def helped_table(rows: list[Recipe], results: dict[str, Any]) -> str:
    """Return the table of those to whose processes pyinit had to send more than the first signal."""
    lines = []
    for recipe in rows:
        for end, words in (("stop", "SIGTERM to pyinit"), ("crash", "SIGKILL to the daemon")):
            escalated, killed = (
                sorted({name for names in both(results[recipe.name], end, key) for name in names or ()})
                for key in ("escalated", "killed")
            )
            if escalated or killed:
                lines.append(f"| {recipe.name} | {words} | {', '.join(escalated)} | {', '.join(killed)} |")
    return table_of("| program | after | further signals | SIGKILL, after the grace |", lines)


def counts(rows: list[Recipe], results: dict[str, Any]) -> str:
    """Return the first table in one sentence."""
    rows = [recipe for recipe in rows if not recipe.steered]
    trials = [(results[recipe.name][mode], recipe) for recipe in rows for mode in MODES]
    held = sum("stop" in row and not row["problem"] for row, _ in trials)
    stopped = sum(row.get("stop", {}).get("seconds") is not None and not row["stop"]["killed"] for row, _ in trials)
    noticed = sum((row.get("crash", {}).get("noticed_s") or 9) < 1 for row, _ in trials)
    honest = sum(row.get("crash", {}).get("status") == recipe.crash for row, recipe in trials)
    left = sum(len(row.get(end, {}).get("left", ())) for row, _ in trials for end in ("stop", "crash"))
    return (
        f"{len(rows)} programs, {len(trials)} runs of each kind: up after the launcher in {held}; "
        f"stopped by the signal alone, inside the grace, in {stopped}; the crash noticed within a second in {noticed}, "
        f"with its status in {honest}; processes left behind: {left}."
    )


def steered_counts(rows: list[Recipe], results: dict[str, Any]) -> str:
    """Return the second table in one sentence."""
    rows = [recipe for recipe in rows if recipe.steered]
    trials = [(results[recipe.name][mode], recipe, mode) for recipe in rows for mode in MODES]
    up = sum("stop" in row and not row["problem"] for row, *_ in trials)
    stops = [row.get("stop", {}) for row, *_ in trials]
    stops += [row["reload"].get("stop", {}) for row, *_ in trials if "reload" in row]
    stopped = sum(stop.get("seconds") is not None and not stop["killed"] and not stop["status"] for stop in stops)
    commands = [stop["command"] for stop in stops if "command" in stop]
    reloads = [row.get("reload") for row, recipe, _ in trials if recipe.reload]
    reloaded = sum(one is not None and not one["refused"] and not one["status"] for one in reloads)
    moved = sum(one is not None and one["moved"] for one in reloads)
    noticed = sum((row.get("crash", {}).get("noticed_s") or 9) < 1 for row, *_ in trials)
    left = sum(len(stop.get("left", ())) for stop in [*stops, *(row.get("crash", {}) for row, *_ in trials)])
    return (
        f"{len(rows)} ways to start a daemon, {len(trials)} runs of each kind: "
        f"up, and told to be ready for the reason that the options give, in {up}; "
        f"reloaded in {reloaded} of {len(reloads)}, in {moved} of them by another process in the place of the service; "
        f"stopped inside the grace with status 0, and nobody killed, in {stopped} of {len(stops)}; "
        f"stop commands that ended with status 0: {commands.count(0)} of {len(commands)}; "
        f"the crash noticed within a second in {noticed}; processes left behind: {left}."
    )


PARTS = {
    "counts": counts,
    "results": results_table,
    "options": options_table,
    "steered counts": steered_counts,
    "steered": steered_table,
    "steering": steering_table,
    "helped": helped_table,
}


def fill(document: str, rows: list[Recipe], results: dict[str, Any]) -> str:
    """Return *document* with each part between its `<!-- NAME -->` and `<!-- /NAME -->` made anew."""
    for name, make in PARTS.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, _, rest = document.partition(begin)
        _, _, after = rest.partition(end)
        document = f"{before}{begin}\n{make(rows, results)}\n{end}{after}"
    return document


def main() -> int:
    """Write the document, or check it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail when something would change")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    options = parser.parse_args()
    results = json.loads(options.results.read_text(encoding="utf-8"))
    rows = [recipe for recipe in recipes.read() if recipe.name in results]
    now = DOCUMENT.read_text(encoding="utf-8")
    made = fill(now, rows, results)
    if options.check:
        if made != now:
            print(f"{DOCUMENT.name} is not what results.json gives: run tests/daemons/table.py", file=sys.stderr)
        return int(made != now)
    DOCUMENT.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
