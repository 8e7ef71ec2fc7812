"""The records of pyinit itself, and of the beginning and the end of processes."""

from __future__ import annotations

from pyinit.log.event import END, END_KNOWN, PROCESS, PROCESS_KNOWN, Event
from pyinit.log.parts import add_end, add_errno, add_process, in_seconds, name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.core.model import Usage
    from pyinit.log.parts import Facts, Keys, Look


def _started(facts: Facts, look: Look) -> tuple[str, Keys]:
    main = facts.get("main")
    mode, until, grace_s = facts.get("mode", "subreaper"), facts.get("until", "service"), facts.get("grace_s", 0)
    keys: Keys = {
        "pyinit.pid": facts.get("pid", 0),
        "pyinit.version": facts.get("version", "?"),
        "pyinit.mode": mode,
        "pyinit.until": until,
        "pyinit.grace_s": grace_s,
    }
    role = "as PID 1" if mode == "pid1" else "as a subreaper"
    version = keys["pyinit.version"]
    if main is None:
        return f"pyinit {version} waits {role}, and reaps until it is asked to stop (--pause)", keys
    add_process(keys, main, look)
    return f"pyinit {version} started main {name_of(main)} {role}, until {until}, grace {in_seconds(grace_s)}", keys


def _degraded(facts: Facts, look: Look) -> tuple[str, Keys]:
    del look
    feature, reason, effect = (str(facts.get(fact, "?")) for fact in ("feature", "reason", "effect"))
    keys = {"pyinit.feature": feature, "pyinit.reason": reason, "pyinit.effect": effect}
    return f"{feature} does not work here ({reason}): {effect}", keys


def _unknown_variable(facts: Facts, look: Look) -> tuple[str, Keys]:
    del look
    variable, suggestion = facts.get("variable", "?"), facts.get("suggestion")
    keys: Keys = {"pyinit.variable": variable}
    hint = "pyinit --help lists those that there are"
    if suggestion:
        keys["pyinit.suggestion"] = suggestion
        hint = f"did you mean {suggestion}?"
    return f"the variable {variable} means nothing to pyinit and was ignored: {hint}", keys


def _spawn_failed(facts: Facts, look: Look) -> tuple[str, Keys]:
    del look
    command, reason, status = facts.get("command", "?"), facts.get("reason", "?"), facts.get("status", 125)
    if not isinstance(command, str):
        command = command[0] if command else "?"
    keys: Keys = {"process.command": command, "pyinit.exit.status": status}
    add_errno(keys, facts.get("errno") or 0)
    keys["error.message"] = reason
    if facts.get("option"):
        keys["pyinit.option"] = facts["option"]
        keys["pyinit.value"] = facts.get("value") or ""
    return f"could not start {command}: {reason}; leaving with status {status}", keys


def _adopted(facts: Facts, look: Look) -> tuple[str, Keys]:
    process, escaped, role = facts.get("process"), facts.get("escaped", ()), facts.get("role", "adopted")
    foreign = role == "foreign" or (process is not None and process.foreign)
    keys: Keys = {"pyinit.role": role, "pyinit.foreign": foreign, "pyinit.escaped": escaped}
    add_process(keys, process, look)
    who = name_of(process)
    if foreign:
        return f"adopted {who}, a foreign orphan: it never came from main", keys
    left = [thing for thing in escaped if thing != "adopted"]
    if left:
        return f"adopted {who}: its parent has ended, and it left main's {' and '.join(left)}", keys
    return f"adopted {who}: its parent has ended", keys


def _reaped(facts: Facts, look: Look) -> tuple[str, Keys]:
    # The one record that comes by the thousand: what it costs is measured.
    process, role, end = facts["process"], facts["role"], facts["end"]
    keys: Keys = {
        "pyinit.role": role,
        "pyinit.foreign": process.foreign or role == "foreign",
        "pyinit.escaped": facts.get("escaped", ()),
    }
    add_process(keys, process, look)
    happened = add_end(keys, end)
    if facts.get("oom_killed"):
        keys["pyinit.exit.oom_killed"] = True
        happened += " for want of memory"
    usage: Usage | None = facts.get("usage")
    if usage is not None:
        keys["pyinit.usage.user_s"] = round(usage.user_s, 6)
        keys["pyinit.usage.system_s"] = round(usage.system_s, 6)
        keys["pyinit.usage.max_rss_bytes"] = usage.max_rss_bytes
    if end.good or role not in {"main", "successor"}:
        return f"{role} {process.name}[{process.pid}] {happened}", keys
    status = end.status
    return f"{role} {name_of(process)} {happened} (status {status}; --ok-exit {status} counts that as 0)", keys


def _dropped(facts: Facts, look: Look) -> tuple[str, Keys]:
    del look
    count = facts.get("count", 0)
    records = "record was" if count == 1 else "records were"
    return f"{count} log {records} dropped here: nobody read the log, or there was no room for it", {
        "pyinit.count": count
    }


def _error(facts: Facts, look: Look) -> tuple[str, Keys]:
    del look
    where, error = str(facts.get("where", "?")), str(facts.get("error", "?"))
    keys = {"pyinit.where": where, "error.message": error}
    return f"an error in pyinit itself ({where}), which goes on: {error}", keys


# Why a run was over when no end of a process decided it.
_LEFT = {
    "signal": "stopped as asked",
    "request": "stopped as asked",
    "pause": "nothing was to be run",
    "start": "main could not be started again",
}


def _exited(facts: Facts, look: Look) -> tuple[str, Keys]:
    status, reason = facts.get("status", 125), str(facts.get("reason", "?"))
    process, end = facts.get("process"), facts.get("end")
    keys: Keys = {}
    if process is not None and end is not None:
        add_process(keys, process, look)
        happened = add_end(keys, end)
        told = f"{reason} {name_of(process)} {happened}"
    else:
        told = _LEFT.get(reason, reason)
    keys["pyinit.exit.status"] = status
    keys["pyinit.reason"] = reason
    for name in ("reaped", "adopted", "forwarded", "killed", "dropped"):
        keys[f"pyinit.totals.{name}"] = facts.get(name, 0)
    if "restarts" in facts:
        keys["pyinit.totals.restarts"] = facts["restarts"]
    keys["pyinit.duration_s"] = round(facts.get("duration_s", 0.0), 6)
    reaped, duration = keys["pyinit.totals.reaped"], in_seconds(keys["pyinit.duration_s"])
    return f"pyinit leaves with status {status} after {duration}: {told}; processes reaped: {reaped}", keys


BEGINNING = {
    "pyinit.started": Event(
        "info",
        _started,
        ("pyinit.pid", "pyinit.version", "pyinit.mode", "pyinit.until", "pyinit.grace_s"),
        (*PROCESS, *PROCESS_KNOWN),
    ),
    "pyinit.degraded": Event("warning", _degraded, ("pyinit.feature", "pyinit.reason", "pyinit.effect")),
    "config.unknown_variable": Event("warning", _unknown_variable, ("pyinit.variable",), ("pyinit.suggestion",)),
    "spawn.failed": Event(
        "error",
        _spawn_failed,
        ("process.command", "pyinit.exit.status", "pyinit.errno", "error.type", "error.message"),
        ("pyinit.option", "pyinit.value"),
    ),
    "process.adopted": Event(
        "info", _adopted, (*PROCESS, "pyinit.role", "pyinit.foreign", "pyinit.escaped"), PROCESS_KNOWN
    ),
    "process.reaped": Event(
        "debug",
        _reaped,
        (*PROCESS, "pyinit.role", "pyinit.foreign", "pyinit.escaped", *END),
        (
            *PROCESS_KNOWN,
            *END_KNOWN,
            "pyinit.exit.oom_killed",
            "pyinit.usage.user_s",
            "pyinit.usage.system_s",
            "pyinit.usage.max_rss_bytes",
        ),
    ),
}

ENDING = {
    "log.dropped": Event("warning", _dropped, ("pyinit.count",)),
    "pyinit.error": Event("error", _error, ("pyinit.where", "error.message")),
    "pyinit.exited": Event(
        "info",
        _exited,
        (
            "pyinit.exit.status",
            "pyinit.reason",
            "pyinit.totals.reaped",
            "pyinit.totals.adopted",
            "pyinit.totals.forwarded",
            "pyinit.totals.killed",
            "pyinit.totals.dropped",
            "pyinit.duration_s",
        ),
        (*PROCESS, *PROCESS_KNOWN, *END_KNOWN, "pyinit.totals.restarts"),
    ),
}
