"""Writes the rows of launcher/plain.c: the options that are plain, and their values that are sure to be right.

    python -IB plain_options.py FILE

Plain is an option that says nothing about how main is started, and nothing that depends on another option. The build of
the wheel runs this, and it needs nothing but the sources beside it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyinit.option_table import Option

# Settings that `pyinit.rules` or the start of main depends on, or that name a file.
NOT_PLAIN = ("pause", "restart", "restart_delay_s", "restart_delay_max_s")
GROUPS = ("life", "signals", "log")


def words_of(option: Option, stop_signals: Iterable[str]) -> str | None:
    """Return the kind of a row and the words that it takes, as C has them; None where the option is not plain."""
    kinds = {"switch": "SWITCH, NULL", "duration": "DURATION, NULL", "statuses": "STATUS, NULL"}
    if option.group not in GROUPS or option.setting in NOT_PLAIN or not option.name:
        return None
    if option.kind in kinds:
        return kinds[option.kind]
    words = {"choice": option.choices, "schedule": tuple(stop_signals)}.get(option.kind)
    return None if words is None else 'CHOICE, " {} "'.format(" ".join(words))


def rows(options: Iterable[Option], stop_signals: Iterable[str]) -> Iterator[str]:
    """Yield a row for each plain option."""
    for option in options:
        words = words_of(option, stop_signals)
        if words is not None:
            yield f'    {{"{option.name}", {words}}},'


def main() -> None:
    """Write them into the file that is named on the command line."""
    sys.path.insert(0, str(HERE.parent / "src"))
    from pyinit.option_table import OPTIONS
    from pyinit.signames import NUMBERS
    from pyinit.values import NEVER_STOPS

    names = [name for name, number in NUMBERS.items() if number not in NEVER_STOPS]
    words = [spelled for name in names for spelled in (name, "SIG" + name)]
    Path(sys.argv[1]).write_text("\n".join(rows(OPTIONS, words)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
