"""What --check and --dry-run print: gathers, renders as text for people or as JSON, and gives the exit status.

Imported only for these two; main is never started behind it.
"""

from __future__ import annotations

import json
import posix

from pyinit import __version__, spawn
from pyinit.options import CHECK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyinit.settings import Settings
    from pyinit.spawn import Inherited

# The version of the shape of both; docs/check.md has its description and its JSON Schema.
SCHEMA = 1

_STDOUT = 1
_COLUMNS = 80
_COLUMNS_MIN = 60
_COLUMNS_MAX = 120
_COLOURS = {"ok": "32", "degraded": "33", "missing": "31"}


def made(
    settings: Settings,
    inherited: Inherited,
    changes: Mapping[bytes, bytes | None],
    main_uid: int | None,
    *,
    launcher: bool,
) -> tuple[str, int]:
    """Return what the report that `settings` ask for says, with its last newline, and the exit status.

    `changes` is what would be different in main's environment; `main_uid` is the user that main would become, or None;
    `launcher` says whether the launcher started us.
    """
    # Nothing is to be kept from a signal here, and `pyinit --check | head` ends as every program does.
    spawn.restore_signals(inherited, inherited.mask)
    if settings.action == CHECK:
        from pyinit.reports import checkup, place

        rows = checkup.rows(place.gathered(settings, inherited, changes, main_uid, launcher=launcher))
        status = checkup.status(rows)
        facts: dict[str, object] = {"status": status, "checks": [row._asdict() for row in rows]}
        text = "" if settings.report == "json" else checkup.table(rows, page())
    else:
        from pyinit.reports import dryrun

        # The interpreter's own LC_CTYPE (PEP 538) is nobody's business: main has it as pyinit was given it.
        own = {name: value for name, value in changes.items() if (name, value) != (b"LC_CTYPE", inherited.lc_ctype)}
        facts, status = dryrun.facts(settings, own)
        text = "" if settings.report == "json" else dryrun.text(facts, page())
    return text or as_json(settings.action, facts), status


def as_json(report: str, facts: Mapping[str, object]) -> str:
    """Return the facts of a report as JSON, with its last newline."""
    whole = {"report": report, "schema": SCHEMA, "version": __version__, **facts}
    return json.dumps(whole, indent=2) + "\n"


class Page:
    """What text is laid out for: its width in columns, and whether there are colours."""

    __slots__ = ("_wrap", "colours", "columns")

    def __init__(self, columns: int = _COLUMNS, *, colours: bool = False) -> None:
        from textwrap import wrap

        self.columns = min(max(columns, _COLUMNS_MIN), _COLUMNS_MAX)
        self.colours = colours
        self._wrap = wrap

    def coloured(self, text: str, state: str) -> str:
        """Return `text` in the colour of a state: ok, degraded, missing; others are bold."""
        return f"\033[{_COLOURS.get(state, '1')}m{text}\033[0m" if self.colours else text

    def row(self, cells: Iterable[tuple[str, int]], text: str) -> list[str]:
        """Return the lines of a row: cells with their widths, and `text` wrapped behind them."""
        first = "".join([f"{cell:<{width}}" for cell, width in cells])
        left = sum([width for _, width in cells])
        wrapped = self._wrap(text, max(self.columns - left, _COLUMNS_MIN // 2), break_on_hyphens=False) or [""]
        if len(first) > left:  # a cell that is too long has a line of its own
            return [first.rstrip(), *[" " * left + line for line in wrapped]]
        return [(first + wrapped[0]).rstrip(), *[" " * left + line for line in wrapped[1:]]]


def page() -> Page:
    """Return the page that standard output is: colours only on a terminal, and not where NO_COLOR is set."""
    if not posix.isatty(_STDOUT):
        return Page()
    try:
        columns = posix.get_terminal_size(_STDOUT).columns
    except OSError:
        columns = _COLUMNS
    return Page(columns or _COLUMNS, colours=not posix.environ.get(b"NO_COLOR"))
