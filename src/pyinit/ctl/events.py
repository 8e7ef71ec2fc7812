"""pyinitctl events: the last records of the log, and those that come."""

from __future__ import annotations

import time

from pyinit import values
from pyinit.ctl.main import NO, WRONG, YES, ask, request, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.ctl.connection import Connection
    from pyinit.ctl.words import Words

_STAMP = b'timestamp":"'
_STAMP_LENGTH = 27
_LOST = b'{"v":1,"lost":'
_FORM = "0000-00-00T00:00:00.000000"
_DATE_LEAST = 7  # fewer digits are seconds


def show(asked: Words, connection: Connection) -> int:
    """Write the records, one JSON line each; return the exit status."""
    follow = "follow" in asked.given and asked.given["follow"] == "yes"
    since = b""
    if "since" in asked.given:
        moment = earliest(asked.given["since"], time.time())
        if moment is None:
            text = asked.given["since"].encode("ascii", "backslashreplace").decode()
            write(f"pyinitctl: --since: {text} is no moment; write for example 10m, or 2026-11-27T16:00\n", 2)
            return WRONG
        since = moment
    head = ask(connection, request("events", follow=follow))
    left = int(head.partition(b'"records":')[2].partition(b",")[0])
    if follow:
        connection.patience(None)
    elif not left:
        return YES
    for line in connection.lines():
        if line.startswith(_LOST):
            number = line[len(_LOST) :].rstrip(b"}").decode()
            write(f"pyinitctl: {number} records came faster than they were taken, and are missing here\n", 2)
        else:
            if stamp_of(line) >= since:
                write(line + b"\n")
            left -= 1
        if left <= 0 and not follow:
            return YES
    return YES if follow else NO


def stamp_of(line: bytes) -> bytes:
    """Return the time that a record tells."""
    return line.partition(_STAMP)[2][:_STAMP_LENGTH]


def earliest(text: str, now: float) -> bytes | None:
    """Return the time that `10m` (ago) or the beginning of an RFC 3339 time in UTC means, None where it is neither."""
    try:
        at = now - values.duration(text)
    except ValueError:
        plain = text.replace(" ", "T").rstrip("Z")
        fits = _DATE_LEAST <= len(plain) <= len(_FORM) and all(
            char.isdigit() if mark == "0" else char == mark for char, mark in zip(plain, _FORM, strict=False)
        )
        return plain.encode() if fits and text.isascii() else None
    year, month, day, hour, minute, second = time.gmtime(at)[:6]
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}".encode()
