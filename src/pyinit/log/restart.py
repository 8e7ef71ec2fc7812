"""The records of restarts: a run is over and another follows, or does not (--restart)."""

from __future__ import annotations

from pyinit.log.event import END_KNOWN, PROCESS, PROCESS_KNOWN, Event
from pyinit.log.parts import add_end, add_errno, add_process, in_seconds, name_of, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.log.parts import Facts, Keys, Look

# What a run came to where no end of a process says it.
_OVER = {
    "restart": "a restart was asked for",
    "start": "main could not be started again",
}
# Why no other run follows although one was wanted.
_GIVEN_UP = {
    "limit": "there were {count} restarts within {window}, and --restart-limit allows no more",
    "left": "somebody of the last run is still there, and cannot be killed",
}
_LIMIT = ("pyinit.restart.count", "pyinit.restart.limit", "pyinit.restart.window_s")


def _add_limit(keys: Keys, facts: Facts) -> None:
    keys["pyinit.restart.count"] = facts.get("count", 0)
    keys["pyinit.restart.limit"] = facts.get("limit", 0)
    keys["pyinit.restart.window_s"] = facts.get("window_s", 0.0)


def _restarting(facts: Facts, look: Look) -> tuple[str, Keys]:
    reason, status, delay_s = str(facts.get("reason", "?")), facts.get("status", 0), facts.get("delay_s", 0.0)
    process, end = facts.get("process"), facts.get("end")
    asked = bool(facts.get("asked"))
    keys: Keys = {}
    if process is not None and end is not None:
        add_process(keys, process, look)
        told = f"{reason} {name_of(process)} {add_end(keys, end)}"
    else:
        told = f"{_OVER.get(reason, f'the run is over: {reason}')} (status {status})"
    keys["pyinit.exit.status"] = status
    keys["pyinit.reason"] = reason
    keys["pyinit.restart.delay_s"] = round(delay_s, 6)
    keys["pyinit.restart.asked"] = asked
    _add_limit(keys, facts)
    if asked:
        why = "as asked"
    else:
        limit, window = keys["pyinit.restart.limit"], in_seconds(keys["pyinit.restart.window_s"])
        why = f"restart {keys['pyinit.restart.count']} of at most {limit} within {window} (--restart-limit)"
    return f"{told}: main is started again in {in_seconds(delay_s)}, {why}", keys


def _restarted(facts: Facts, look: Look) -> tuple[str, Keys]:
    main, number = facts.get("main"), facts.get("restarts", 1)
    keys: Keys = {"pyinit.restart.number": number}
    add_process(keys, main, look)
    return f"started main {name_of(main)} again: restart {number}", keys


def _start_failed(facts: Facts, look: Look) -> tuple[str, Keys]:
    del look
    status, errno, reason = facts.get("status", 125), facts.get("errno") or 0, text_of(facts.get("reason", "?"))
    keys: Keys = {"pyinit.exit.status": status, "error.message": reason}
    if errno:
        add_errno(keys, errno)
    return f"could not start main again: {reason}; that counts as status {status}", keys


def _given_up(facts: Facts, look: Look) -> tuple[str, Keys]:
    del look
    reason, status = str(facts.get("reason", "?")), facts.get("status", 125)
    keys: Keys = {"pyinit.exit.status": status, "pyinit.reason": reason}
    _add_limit(keys, facts)
    window = in_seconds(keys["pyinit.restart.window_s"])
    why = _GIVEN_UP.get(reason, "{reason}").format(reason=reason, count=keys["pyinit.restart.count"], window=window)
    return f"main is not started again: {why}; leaving with status {status}", keys


EVENTS = {
    "service.restarting": Event(
        "warning",
        _restarting,
        ("pyinit.exit.status", "pyinit.reason", "pyinit.restart.delay_s", "pyinit.restart.asked", *_LIMIT),
        (*PROCESS, *PROCESS_KNOWN, *END_KNOWN),
    ),
    "service.restarted": Event("info", _restarted, (*PROCESS, "pyinit.restart.number"), PROCESS_KNOWN),
    "service.start_failed": Event(
        "warning", _start_failed, ("pyinit.exit.status", "error.message"), ("pyinit.errno", "error.type")
    ),
    "service.given_up": Event("error", _given_up, ("pyinit.exit.status", "pyinit.reason", *_LIMIT)),
}
