"""Durations, signals and statuses: from the text that a person writes to a value.

Each function raises ValueError with one line that says what the text is not and what to write
instead; the caller puts the text itself and the name of the option or variable in front.
"""

from pyinit import signames

DURATION_MAX_S = 24 * 60 * 60
STATUS_MAX = 255
# From limits.h, with the byte that ends it.
PATH_MAX = 4096

# In the order in which they may follow one another; milliseconds each.
_UNITS_MS = (("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
_DIGITS = "0123456789"
# More digits than any bound needs; it keeps absurd input away from int().
_DIGITS_MAX = 9

_NO_DURATION = "not a duration; write for example 8, 8s, 500ms or 1m30s"
_TOO_LONG = "too long; the longest duration is 24h"
_NO_STATUS = "not an exit status; write a number from 0 to 255"
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")


def duration(text: str) -> float:
    """Return the seconds that `text` says: `8`, `8s`, `500ms`, `1m30s`, `2h`; at most 24 hours.

    A number alone is in seconds. Units are h, m, s and ms, each at most once, the larger first.
    """
    if not text or not text.isascii():
        raise ValueError(_NO_DURATION)
    rest = text + "s" if text.isdigit() else text
    total_ms = 0
    for unit, unit_ms in _UNITS_MS:
        # The number in front; `5m` is not the beginning of `5ms`.
        number = rest[: len(rest) - len(rest.lstrip(_DIGITS))]
        after = rest[len(number) :]
        if not after.startswith(unit) or after[len(unit) :][:1].isalpha():
            continue
        if not number or len(number) > _DIGITS_MAX:
            raise ValueError(_NO_DURATION)
        total_ms += int(number) * unit_ms
        rest = after[len(unit) :]
    if rest:
        raise ValueError(_NO_DURATION)
    if total_ms > DURATION_MAX_S * 1000:
        raise ValueError(_TOO_LONG)
    return total_ms / 1000


def signal(text: str) -> int:
    """Return the number, 1 to 64, of a signal such as `TERM`, `SIGTERM`, `15` or `RTMIN+3`."""
    return signames.number(text)


def status(text: str) -> int:
    """Return the exit status, 0 to 255, that `text` says in decimal."""
    if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX:
        number = int(text)
        if number <= STATUS_MAX:
            return number
    raise ValueError(_NO_STATUS)


def truth(text: str) -> bool:
    """Return what a yes-or-no variable says: 1, true, yes or on; 0, false, no or off."""
    lower = text.lower()
    if lower in _TRUE:
        return True
    if lower in _FALSE:
        return False
    message = "neither yes nor no; write 1, true, yes or on, or 0, false, no or off"
    raise ValueError(message)


def path(text: str) -> str:
    """Return `text` where it can name a file; the file itself is not looked at."""
    if text == "-":
        message = "not a path here; write /dev/stdout or /dev/stderr"
        raise ValueError(message)
    if not text or "\0" in text or len(text) >= PATH_MAX:
        message = "not a path; write the name of a file"
        raise ValueError(message)
    return text
