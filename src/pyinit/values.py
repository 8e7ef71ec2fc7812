"""Durations, signals, statuses and the like: from the text that a person writes to a value.

Each function raises ValueError with one line that says what the text is not and what to write
instead; the caller puts the text itself and the name of the option or variable in front.
"""

from pyinit import signames

DURATION_MAX_S = 24 * 60 * 60
STATUS_MAX = 255
RESTARTS_MAX = 1000
# From limits.h, with the byte that ends it.
PATH_MAX = 4096

# In the order in which they may follow one another; milliseconds each.
_UNITS_MS = (("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
_DIGITS = "0123456789"
# More digits than any bound needs; it keeps absurd input away from int().
_DIGITS_MAX = 9

_NO_DURATION = "not a duration; write for example 8, 8s, 500ms or 1m30s"
_TOO_LONG = "too long; the longest duration is 24h"
_NO_REWRITE = "not a rewrite; write FROM:TO, for example TERM:QUIT, or HUP:0 to swallow it"
_NO_COMMAND = "not a command; write what sh -c can run, for example 'postfix stop'"
_NO_STATUS = "not an exit status; write a number from 0 to 255"
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")

_NEVER_SEEN = {
    9: "not possible: SIGKILL cannot be caught; write another signal",
    17: "not possible: SIGCHLD tells pyinit of ends; write another signal",
    19: "not possible: SIGSTOP cannot be caught; write another signal",
}

_NO_LIMIT = "not a limit; write so many restarts in so long a time, for example 5/5m"

_NO_STEP = "not a signal and how long it has; write for example QUIT:20s,TERM:5s"
_NO_TIME = "no time at all; write for example QUIT:20s, or leave the signal out"
_NO_END = "not a signal that ends anything; write another one"
# CHLD, CONT and the four that stop a process without ending it: which signal, and why not.
NEVER_STOPS = dict.fromkeys((17, 18, 19, 20, 21, 22), _NO_END)
NEVER_STOPS[9] = "not possible: SIGKILL comes by itself at the end of the grace; write another one, or a shorter grace"

# What C calls space, and the range of its long and int.
_C_SPACE = " \t\n\v\f\r"
_LONG_MAX = 2**63 - 1
_INT_SIGN = 2**31
_LONG_DIGITS_MAX = 19


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


def limit(text: str) -> "tuple[int, float]":
    """Return how many there may be and the seconds in which, of `5/5m`; 1 to 1000 in at most 24 hours."""
    number, slash, window = text.partition("/")
    if not slash or not number.isascii() or not number.isdigit() or len(number) > _DIGITS_MAX:
        raise ValueError(_NO_LIMIT)
    if not 1 <= int(number) <= RESTARTS_MAX:
        message = f"not a limit; write 1 to {RESTARTS_MAX} restarts, for example 5/5m"
        raise ValueError(message)
    try:
        window_s = duration(window)
    except ValueError:
        raise ValueError(_NO_LIMIT) from None
    if not window_s:
        message = "no time at all; write for example 5/5m"
        raise ValueError(message)
    return int(number), window_s


def signal(text: str) -> int:
    """Return the number, 1 to 64, of a signal such as `TERM`, `SIGTERM`, `15` or `RTMIN+3`."""
    return signames.number(text)


def stop_request(text: str) -> int:
    """Return the number of a signal that can be a stop request; 0 for `none`, which is no signal."""
    if text.lower() == "none":
        return 0
    number = signal(text)
    if number in _NEVER_SEEN:
        raise ValueError(_NEVER_SEEN[number])
    return number


def step(text: str) -> "tuple[int, float | None]":
    """Return one signal of a schedule and the seconds that it has: `QUIT:20s`; None for a signal alone."""
    before, colon, after = text.partition(":")
    number = signal(before)
    if number in NEVER_STOPS:
        raise ValueError(NEVER_STOPS[number])
    if not colon:
        return number, None
    try:
        seconds = duration(after)
    except ValueError:
        raise ValueError(_NO_STEP) from None
    if not seconds:
        raise ValueError(_NO_TIME)
    return number, seconds


def rewrite(text: str) -> "tuple[int, int]":
    """Return the two signals of `FROM:TO`; TO is 0 when FROM is to be swallowed."""
    before, _, after = text.partition(":")
    try:
        numbers = signal(before), 0 if after == "0" else signal(after)
    except ValueError:
        raise ValueError(_NO_REWRITE) from None
    if numbers[0] in _NEVER_SEEN:
        raise ValueError(_NEVER_SEEN[numbers[0]])
    return numbers


def level(verbosity: int) -> str:
    """Return the log level that tells as much as tini's verbosity, which is 1 unless asked for more."""
    return ("error", "warning", "info", "debug")[min(max(verbosity, 0), 3)]


def c_long(text: str) -> "tuple[int, str]":
    """Read a long from the start of `text` as strtol(3) does, for the peers' numbers; return it and the rest.

    Where no number begins, it is 0 and the rest is all of `text`.
    """
    rest = text.lstrip(_C_SPACE)
    sign = rest[:1] if rest[:1] in ("+", "-") else ""
    after = rest[len(sign) :].lstrip(_DIGITS)
    digits = rest[len(sign) : len(rest) - len(after)]
    if not digits:
        return 0, text
    digits = digits.lstrip("0") or "0"
    number = int(digits) if len(digits) <= _LONG_DIGITS_MAX else _LONG_MAX + 1
    return max(-number, -_LONG_MAX - 1) if sign == "-" else min(number, _LONG_MAX), after


def c_int(number: int) -> int:
    """Return what is left of a long in an int."""
    return (number + _INT_SIGN) % (2 * _INT_SIGN) - _INT_SIGN


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


def command(text: str) -> str:
    """Return `text` where a shell can be given it as a command; whether that can be run is not looked at."""
    if not text.strip() or "\0" in text:
        raise ValueError(_NO_COMMAND)
    return text


def path(text: str) -> str:
    """Return `text` where it can name a file; the file itself is not looked at."""
    if text == "-":
        message = "not a path here; write the whole name of a file, such as /dev/stdout"
        raise ValueError(message)
    if not text or "\0" in text or len(text) >= PATH_MAX:
        message = "not a path; write the name of a file"
        raise ValueError(message)
    return text
