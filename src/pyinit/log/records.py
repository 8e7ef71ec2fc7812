"""Turns what the core and the shell report into records: severity, a sentence for people, keys for machines.

EVENTS is the closed list of events. A new kind of record is a function and a row here, a branch in the JSON Schema
and a section in docs/log-schema.md; a test compares the three.
"""

from __future__ import annotations

from pyinit.log.parts import (
    LISTED,
    TOLD,
    add_end,
    add_errno,
    add_process,
    add_sender,
    add_signal,
    in_seconds,
    list_of,
    name_of,
    names_of,
)
from pyinit.signames import name as signal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyinit.core.model import Usage
    from pyinit.log.parts import Facts, Keys, Look

# The version of the schema; it changes when a key or an event goes or changes its meaning, not when one is added.
SCHEMA = 1

SEVERITIES = {"debug": 10, "info": 20, "warning": 30, "error": 40}

# The keys that every record begins with, in this order.
COMMON = ("timestamp", "severity", "message", "event.name", "pyinit.schema")

# What is said of one process: the first two always, the others where they are known.
_PROCESS = ("process.pid", "process.executable.name")
_PROCESS_KNOWN = (
    "process.parent_pid",
    "process.group_leader.pid",
    "process.session_leader.pid",
    "process.creation.time",
    "process.user.id",
    "process.command_line",
)
_END = ("pyinit.exit.status",)
_END_KNOWN = ("process.exit.code", "pyinit.exit.signal", "pyinit.exit.signal_number", "pyinit.exit.core_dumped")
_SIGNAL = ("pyinit.signal.name", "pyinit.signal.number")
_SENDER = ("pyinit.signal.sender.pid", "pyinit.signal.sender.uid")


class Event:
    """One kind of record.

    Attributes:
        severity: the one that it has unless the caller knows better.
        build: makes the sentence and the keys of its own from the facts.
        required, optional: the keys of its own.

    """

    __slots__ = ("build", "optional", "required", "severity")

    def __init__(
        self,
        severity: str,
        build: Callable[[Facts, Look], tuple[str, Keys]],
        required: Sequence[str],
        optional: Sequence[str] = (),
    ) -> None:
        self.severity = severity
        self.build = build
        self.required = tuple(required)
        self.optional = tuple(optional)


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


def _handover(facts: Facts, look: Look) -> tuple[str, Keys]:
    main, successors, until = facts.get("main"), facts.get("successors", ()), facts.get("until", "service")
    keys: Keys = {"pyinit.successors": list_of(successors), "pyinit.until": until}
    add_process(keys, main, look)
    carry = "the run goes on until nothing is left" if until == "all" else "they carry on as the service"
    told = names_of(successors) or "other processes"
    hint = f"(--until {until}; --until main would end the run here)"
    return f"main {name_of(main)} has ended and left {told}: {carry} {hint}", keys


def _inherited(facts: Facts, look: Look) -> tuple[str, Keys]:
    process, successors = facts.get("process"), facts.get("successors", ())
    keys: Keys = {"pyinit.successors": list_of(successors)}
    add_process(keys, process, look)
    return f"successor {name_of(process)} exited with status 0 and {names_of(successors)} took its place", keys


def _forwarded(facts: Facts, look: Look) -> tuple[str, Keys]:
    del look
    keys: Keys = {}
    name = add_signal(keys, facts.get("signal", 0))
    sender = add_sender(keys, facts)
    targets = list(facts.get("targets", ()))
    told = ", ".join(f"process group {-pid}" if pid < 0 else f"PID {pid}" for pid in targets[:TOLD]) or "nobody"
    if len(targets) > TOLD:
        told += f" and {len(targets) - TOLD} more"
    keys["pyinit.signal.targets"] = targets[:LISTED]
    keys["pyinit.count"] = len(targets)
    return f"forwarded {name}{sender} to {told}", keys


def _undeliverable(facts: Facts, look: Look) -> tuple[str, Keys]:
    process = facts.get("process")
    keys: Keys = {}
    name = add_signal(keys, facts.get("signal", 0))
    error = add_errno(keys, facts.get("errno", 0))
    add_process(keys, process, look)
    if error == "EPERM":
        owner = f"uid {process.uid}" if process is not None and process.uid >= 0 else "another uid"
        hint = f": it belongs to {owner}, and pyinit has no CAP_KILL; run pyinit as that uid or with --cap-add KILL"
    else:
        hint = ""
    return f"could not send {name} to {name_of(process)} ({error}){hint}", keys


# Why a stop begins: `who` ended, `happened` says how; `asked` is the signal that asked for it, and who sent that.
_WHY = {
    "signal": "{asked} asks for a stop",
    "main": "main {who} {happened}",
    "successor": "successor {who} {happened}, and half a service is no service",
    "service": "the last successor has ended",
    "until-main": "main {who} {happened} (--until main)",
    "request": "a stop was asked for through the control socket",
}


def _stop_begun(facts: Facts, look: Look) -> tuple[str, Keys]:
    reason, process, end = facts.get("reason", "?"), facts.get("process"), facts.get("end")
    signo, grace_s = facts.get("stop_signal", 15), facts.get("grace_s", 0)
    keys: Keys = {"pyinit.stop.reason": reason}
    asked = ""
    if facts.get("signal"):
        asked = add_signal(keys, facts["signal"])
    asked += add_sender(keys, facts)
    add_process(keys, process, look)
    happened = add_end(keys, end)
    keys["pyinit.stop.signal.name"] = name = signal_name(signo)
    keys["pyinit.stop.signal.number"] = signo
    keys["pyinit.grace_s"] = grace_s
    why = _WHY.get(reason, "{reason}").format(reason=reason, who=name_of(process), happened=happened, asked=asked)
    return f"{why}: stopping what is left with {name}, and with SIGKILL after {in_seconds(grace_s)} (--grace)", keys


def _stop_repeated(facts: Facts, look: Look) -> tuple[str, Keys]:
    del look
    keys: Keys = {}
    name = add_signal(keys, facts.get("signal", 0))
    sender = add_sender(keys, facts)
    return f"{name}{sender} asks for a stop again: it is under way, and SIGKILL comes after the grace (--grace)", keys


def _stop_escalated(facts: Facts, look: Look) -> tuple[str, Keys]:
    del look
    processes, after_s = facts.get("processes", ()), facts.get("after_s", 0.0)
    count = facts.get("count", len(processes))
    keys: Keys = {}
    name = add_signal(keys, facts.get("signal", 0))
    keys["pyinit.processes"] = list_of(processes, count)
    keys["pyinit.count"] = count
    keys["pyinit.after_s"] = round(after_s, 6)
    return f"still there {in_seconds(after_s)} after the stop began: {names_of(processes, count)}; {name} to each", keys


def _stop_killing(facts: Facts, look: Look) -> tuple[str, Keys]:
    del look
    processes, grace_s = facts.get("processes", ()), facts.get("grace_s", 0)
    count = facts.get("count", len(processes))
    keys: Keys = {"pyinit.processes": list_of(processes, count), "pyinit.count": count, "pyinit.grace_s": grace_s}
    told = names_of(processes, count) or "what is left"
    return (
        f"the grace of {in_seconds(grace_s)} is over: SIGKILL to {told}; "
        "--grace gives more time, --stop-signal another signal than SIGTERM"
    ), keys


def _unkillable(facts: Facts, look: Look) -> tuple[str, Keys]:
    process, reason = facts.get("process"), str(facts.get("reason", "?"))
    keys: Keys = {"pyinit.reason": reason}
    add_process(keys, process, look)
    return f"{name_of(process)} is left behind: {reason}", keys


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
_LEFT = {"signal": "stopped as asked", "pause": "nothing was to be run"}


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
    keys["pyinit.duration_s"] = round(facts.get("duration_s", 0.0), 6)
    reaped, duration = keys["pyinit.totals.reaped"], in_seconds(keys["pyinit.duration_s"])
    return f"pyinit leaves with status {status} after {duration}: {told}; processes reaped: {reaped}", keys


EVENTS = {
    "pyinit.started": Event(
        "info",
        _started,
        ("pyinit.pid", "pyinit.version", "pyinit.mode", "pyinit.until", "pyinit.grace_s"),
        (*_PROCESS, *_PROCESS_KNOWN),
    ),
    "pyinit.degraded": Event("warning", _degraded, ("pyinit.feature", "pyinit.reason", "pyinit.effect")),
    "config.unknown_variable": Event("warning", _unknown_variable, ("pyinit.variable",), ("pyinit.suggestion",)),
    "spawn.failed": Event(
        "error",
        _spawn_failed,
        ("process.command", "pyinit.exit.status", "pyinit.errno", "error.type", "error.message"),
    ),
    "process.adopted": Event(
        "info", _adopted, (*_PROCESS, "pyinit.role", "pyinit.foreign", "pyinit.escaped"), _PROCESS_KNOWN
    ),
    "process.reaped": Event(
        "debug",
        _reaped,
        (*_PROCESS, "pyinit.role", "pyinit.foreign", "pyinit.escaped", *_END),
        (
            *_PROCESS_KNOWN,
            *_END_KNOWN,
            "pyinit.exit.oom_killed",
            "pyinit.usage.user_s",
            "pyinit.usage.system_s",
            "pyinit.usage.max_rss_bytes",
        ),
    ),
    "service.handover": Event("info", _handover, (*_PROCESS, "pyinit.successors", "pyinit.until"), _PROCESS_KNOWN),
    "service.inherited": Event("info", _inherited, (*_PROCESS, "pyinit.successors"), _PROCESS_KNOWN),
    "signal.forwarded": Event("debug", _forwarded, (*_SIGNAL, "pyinit.signal.targets", "pyinit.count"), _SENDER),
    "signal.undeliverable": Event(
        "warning", _undeliverable, (*_PROCESS, *_SIGNAL, "pyinit.errno", "error.type"), _PROCESS_KNOWN
    ),
    "stop.begun": Event(
        "info",
        _stop_begun,
        ("pyinit.stop.reason", "pyinit.stop.signal.name", "pyinit.stop.signal.number", "pyinit.grace_s"),
        (*_SIGNAL, *_SENDER, *_PROCESS, *_PROCESS_KNOWN, *_END, *_END_KNOWN),
    ),
    "stop.repeated": Event("info", _stop_repeated, _SIGNAL, _SENDER),
    "stop.escalated": Event("info", _stop_escalated, (*_SIGNAL, "pyinit.processes", "pyinit.count", "pyinit.after_s")),
    "stop.killing": Event("warning", _stop_killing, ("pyinit.processes", "pyinit.count", "pyinit.grace_s")),
    "stop.unkillable": Event("error", _unkillable, (*_PROCESS, "pyinit.reason"), _PROCESS_KNOWN),
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
        (*_PROCESS, *_PROCESS_KNOWN, *_END_KNOWN),
    ),
}


def severity_of(event: str, facts: Facts) -> str:
    """Return the severity of a record that the caller gave none."""
    if event == "process.adopted":
        process = facts.get("process")
        if facts.get("role") == "foreign" or (process is not None and process.foreign):
            # A health check every few seconds leaves one each time.
            return "debug"
    return EVENTS[event].severity
