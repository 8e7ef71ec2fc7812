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


def results_table(rows: list[Recipe], results: dict[str, Any]) -> str:
    """Return the table of all that was measured."""
    rule = "|" + " --- |" * (HEAD.count("|") - 1)
    lines = [table_row(recipe, results[recipe.name]) for recipe in rows]
    return "\n".join([HEAD, rule, *lines])


def options_table(rows: list[Recipe], results: dict[str, Any]) -> str:
    """Return the table of those that need an option."""
    del results
    lines = [f"| {recipe.name} | `{shlex.join(recipe.options)}` | {recipe.why} |" for recipe in rows if recipe.options]
    return "\n".join(["| program | option | why |", "| --- | --- | --- |", *lines])


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
    head = "| program | after | signal again, after a third of the grace | SIGKILL, after the grace |"
    return "\n".join([head, "| --- | --- | --- | --- |", *lines])


def counts(rows: list[Recipe], results: dict[str, Any]) -> str:
    """Return the table in one sentence."""
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


PARTS = {"counts": counts, "results": results_table, "options": options_table, "helped": helped_table}


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
