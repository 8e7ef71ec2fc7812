"""pyinitctl status: asks for the status, and shows it in the way that was asked for."""

from __future__ import annotations

import json
import posix
import select

from pyinit.ctl.main import YES, ask, request, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyinit.ctl.connection import Connection
    from pyinit.ctl.words import Words

_AGAIN_MS = 2000
_CLEAR = "\033[H\033[J"


def show(asked: Words, connection: Connection) -> int:
    """Write the status once, or again and again until pyinit ends; return the exit status."""
    how = asked.given.get("format", "text")
    terminal = posix.isatty(1)
    watch = asked.given.get("watch") == "yes"
    while True:
        answer = ask(connection, request("status", tree=True))
        if how == "json":
            write(answer + b"\n")
        else:
            text = _text(json.loads(answer), how, terminal=terminal)
            write((_CLEAR if watch and terminal else "") + text)
        if not watch:
            return YES
        more = select.poll()
        more.register(connection.fileno(), select.POLLIN)
        if more.poll(_AGAIN_MS):
            return YES  # pyinit has closed the connection


def _text(told: dict[str, Any], how: str, *, terminal: bool) -> str:
    if how == "openmetrics":
        from pyinit.ctl import metrics

        return metrics.text(told)
    from pyinit.ctl import screen

    colours = terminal and not posix.environ.get(b"NO_COLOR") and posix.environ.get(b"TERM") != b"dumb"
    width = posix.get_terminal_size(1).columns if terminal else 0
    return screen.text(told, colours=colours, width=width)
