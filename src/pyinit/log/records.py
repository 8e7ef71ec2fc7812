"""Turns what the core and the shell report into records: severity, a sentence for people, keys for machines.

EVENTS is the closed list of events. A new kind of record is a function and a row here, a branch in the JSON Schema
and a section in docs/log-schema.md; a test compares the three.
"""

from __future__ import annotations

import time
from errno import errorcode

from pyinit.signames import name as signal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from pyinit.core.model import End, Process, Usage

    Facts = Mapping[str, Any]
    Keys = dict[str, Any]

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

# More of a command line than this, in characters, has no room in any record.
_ARGS_MAX = 4000

# Lists of processes name this many; their last item says how many more there are.
LISTED = 20
# A sentence names this many of them.
_TOLD = 5


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


class Look:
    """How processes are shown: where their start time counts from, and whether their arguments may be told.

    boot_unix_s is the time of boot in seconds since 1970, ticks_per_s the unit of start times, 0 where unknown.
    """

    __slots__ = ("boot_unix_s", "second", "show_args", "ticks_per_s", "written")

    def __init__(self, boot_unix_s: float, ticks_per_s: int, *, show_args: bool) -> None:
        self.boot_unix_s = boot_unix_s
        self.ticks_per_s = ticks_per_s
        self.show_args = show_args
        self.second = -1
        self.written = ""

    def creation_time(self, start_ticks: int) -> str:
        """Return the start time of a process as RFC 3339 text, UTC. Its resolution is one clock tick, often 10 ms."""
        micros = int((self.boot_unix_s + start_ticks / self.ticks_per_s) * 1e6)
        second = micros // 1_000_000
        if second != self.second:
            # Most processes of a storm start in the same second.
            self.written = seconds_text(second)
            self.second = second
        return f"{self.written}.{micros - second * 1_000_000:06d}Z"


def seconds_text(second: int) -> str:
    """Return whole seconds since 1970 as RFC 3339 text in UTC, without the zone."""
    year, month, day, hour, minute, second = time.gmtime(second)[:6]
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}"


# -- the parts of a record -------------------------------------------------------------------------------------------


def _who(process: Process | None) -> str:
    return "an unknown process" if process is None else f"{process.name}[{process.pid}]"


def _list(processes: Iterable[Process], count: int = 0, most: int = LISTED) -> list[str]:
    """Return `name[pid]` of the first processes, and how many more there are when `count` says so."""
    shown = [_who(process) for process in processes]
    more = max(len(shown), count) - most
    if len(shown) > most:
        del shown[most:]
    else:
        more = count - len(shown)
    if more > 0:
        shown.append(f"and {more} more")
    return shown


def _tell(processes: Sequence[Process], count: int = 0) -> str:
    return ", ".join(_list(processes, count, _TOLD))


def _add_process(keys: Keys, process: Process | None, look: Look) -> None:
    if process is None:
        return
    keys["process.pid"] = process.pid
    keys["process.executable.name"] = process.name
    if process.ppid:
        keys["process.parent_pid"] = process.ppid
    if process.pgid:
        keys["process.group_leader.pid"] = process.pgid
    if process.sid:
        keys["process.session_leader.pid"] = process.sid
    if process.start_ticks and look.ticks_per_s:
        keys["process.creation.time"] = look.creation_time(process.start_ticks)
    if process.uid >= 0:
        keys["process.user.id"] = process.uid
    if look.show_args and process.args:
        text = " ".join(process.args)
        keys["process.command_line"] = text if len(text) <= _ARGS_MAX else text[:_ARGS_MAX] + CUT


def _add_end(keys: Keys, end: End | None) -> str:
    """Add the keys of an end; return what happened, to follow the name of the process."""
    if end is None:
        return "ended"
    value = end.value
    if end.kind == "exited":
        keys["process.exit.code"] = value
        keys["pyinit.exit.status"] = value
        return f"exited with status {value}"
    keys["pyinit.exit.status"] = end.status
    keys["pyinit.exit.signal"] = text = signal_name(value)
    keys["pyinit.exit.signal_number"] = value
    keys["pyinit.exit.core_dumped"] = dumped = end.kind == "dumped"
    return f"was killed by {text}, core dumped" if dumped else f"was killed by {text}"


def _add_signal(keys: Keys, signo: int) -> str:
    keys["pyinit.signal.name"] = text = signal_name(signo)
    keys["pyinit.signal.number"] = signo
    return text


def _add_sender(keys: Keys, facts: Facts) -> str:
    """Add who sent a signal; return it for the sentence, with " from " before it."""
    pid = facts.get("sender_pid")
    uid = facts.get("sender_uid")
    if uid is not None:
        keys["pyinit.signal.sender.uid"] = uid
    if pid is None:
        return ""
    keys["pyinit.signal.sender.pid"] = pid
    # si_pid of a sender that our PID namespace does not contain, see sigaction(2).
    return f" from PID {pid}" if pid else " from outside of the PID namespace"


def _add_errno(keys: Keys, number: int) -> str:
    keys["pyinit.errno"] = number
    keys["error.type"] = text = errorcode.get(number, f"E{number}")
    return text


def _seconds(value_s: float) -> str:
    return f"{round(value_s, 3):g} s"


# -- the events ------------------------------------------------------------------------------------------------------


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
    _add_process(keys, main, look)
    role = "as PID 1" if mode == "pid1" else "as a subreaper"
    version = keys["pyinit.version"]
    return f"pyinit {version} started main {_who(main)} {role}, until {until}, grace {_seconds(grace_s)}", keys


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
    _add_errno(keys, facts.get("errno") or 0)
    keys["error.message"] = reason
    return f"could not start {command}: {reason}; leaving with status {status}", keys


def _adopted(facts: Facts, look: Look) -> tuple[str, Keys]:
    process, escaped, role = facts.get("process"), facts.get("escaped", ()), facts.get("role", "adopted")
    foreign = role == "foreign" or (process is not None and process.foreign)
    keys: Keys = {"pyinit.role": role, "pyinit.foreign": foreign, "pyinit.escaped": escaped}
    _add_process(keys, process, look)
    who = _who(process)
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
    _add_process(keys, process, look)
    happened = _add_end(keys, end)
    usage: Usage | None = facts.get("usage")
    if usage is not None:
        keys["pyinit.usage.user_s"] = round(usage.user_s, 6)
        keys["pyinit.usage.system_s"] = round(usage.system_s, 6)
        keys["pyinit.usage.max_rss_bytes"] = usage.max_rss_bytes
    if end.good or role not in {"main", "successor"}:
        return f"{role} {process.name}[{process.pid}] {happened}", keys
    status = end.status
    return f"{role} {_who(process)} {happened} (status {status}; --ok-exit {status} counts that as 0)", keys


def _handover(facts: Facts, look: Look) -> tuple[str, Keys]:
    main, successors, until = facts.get("main"), facts.get("successors", ()), facts.get("until", "service")
    keys: Keys = {"pyinit.successors": _list(successors), "pyinit.until": until}
    _add_process(keys, main, look)
    carry = "the run goes on until nothing is left" if until == "all" else "they carry on as the service"
    told = _tell(successors) or "other processes"
    hint = f"(--until {until}; --until main would end the run here)"
    return f"main {_who(main)} has ended and left {told}: {carry} {hint}", keys


def _inherited(facts: Facts, look: Look) -> tuple[str, Keys]:
    process, successors = facts.get("process"), facts.get("successors", ())
    keys: Keys = {"pyinit.successors": _list(successors)}
    _add_process(keys, process, look)
    return f"successor {_who(process)} exited with status 0 and {_tell(successors)} took its place", keys


def _forwarded(facts: Facts, look: Look) -> tuple[str, Keys]:
    del look
    keys: Keys = {}
    name = _add_signal(keys, facts.get("signal", 0))
    sender = _add_sender(keys, facts)
    targets = list(facts.get("targets", ()))
    told = ", ".join(f"process group {-pid}" if pid < 0 else f"PID {pid}" for pid in targets[:_TOLD]) or "nobody"
    if len(targets) > _TOLD:
        told += f" and {len(targets) - _TOLD} more"
    keys["pyinit.signal.targets"] = targets[:LISTED]
    keys["pyinit.count"] = len(targets)
    return f"forwarded {name}{sender} to {told}", keys


def _undeliverable(facts: Facts, look: Look) -> tuple[str, Keys]:
    process = facts.get("process")
    keys: Keys = {}
    name = _add_signal(keys, facts.get("signal", 0))
    error = _add_errno(keys, facts.get("errno", 0))
    _add_process(keys, process, look)
    if error == "EPERM":
        owner = f"uid {process.uid}" if process is not None and process.uid >= 0 else "another uid"
        hint = f": it belongs to {owner}, and pyinit has no CAP_KILL; run pyinit as that uid or with --cap-add KILL"
    else:
        hint = ""
    return f"could not send {name} to {_who(process)} ({error}){hint}", keys


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
        asked = _add_signal(keys, facts["signal"])
    asked += _add_sender(keys, facts)
    _add_process(keys, process, look)
    happened = _add_end(keys, end)
    keys["pyinit.stop.signal.name"] = name = signal_name(signo)
    keys["pyinit.stop.signal.number"] = signo
    keys["pyinit.grace_s"] = grace_s
    why = _WHY.get(reason, "{reason}").format(reason=reason, who=_who(process), happened=happened, asked=asked)
    return f"{why}: stopping what is left with {name}, and with SIGKILL after {_seconds(grace_s)} (--grace)", keys


def _stop_repeated(facts: Facts, look: Look) -> tuple[str, Keys]:
    del look
    keys: Keys = {}
    name = _add_signal(keys, facts.get("signal", 0))
    sender = _add_sender(keys, facts)
    return f"{name}{sender} asks for a stop again: it is under way, and SIGKILL comes after the grace (--grace)", keys


def _stop_escalated(facts: Facts, look: Look) -> tuple[str, Keys]:
    del look
    processes, after_s = facts.get("processes", ()), facts.get("after_s", 0.0)
    count = facts.get("count", len(processes))
    keys: Keys = {}
    name = _add_signal(keys, facts.get("signal", 0))
    keys["pyinit.processes"] = _list(processes, count)
    keys["pyinit.count"] = count
    keys["pyinit.after_s"] = round(after_s, 6)
    return f"still there {_seconds(after_s)} after the stop began: {_tell(processes, count)}; {name} to each", keys


def _stop_killing(facts: Facts, look: Look) -> tuple[str, Keys]:
    del look
    processes, grace_s = facts.get("processes", ()), facts.get("grace_s", 0)
    count = facts.get("count", len(processes))
    keys: Keys = {"pyinit.processes": _list(processes, count), "pyinit.count": count, "pyinit.grace_s": grace_s}
    told = _tell(processes, count) or "what is left"
    return (
        f"the grace of {_seconds(grace_s)} is over: SIGKILL to {told}; "
        "--grace gives more time, --stop-signal another signal than SIGTERM"
    ), keys


def _unkillable(facts: Facts, look: Look) -> tuple[str, Keys]:
    process, reason = facts.get("process"), str(facts.get("reason", "?"))
    keys: Keys = {"pyinit.reason": reason}
    _add_process(keys, process, look)
    return f"{_who(process)} is left behind: {reason}", keys


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


def _exited(facts: Facts, look: Look) -> tuple[str, Keys]:
    status, reason = facts.get("status", 125), str(facts.get("reason", "?"))
    process, end = facts.get("process"), facts.get("end")
    keys: Keys = {}
    if process is not None and end is not None:
        _add_process(keys, process, look)
        happened = _add_end(keys, end)
        told = f"{reason} {_who(process)} {happened}"
    else:
        told = reason
    keys["pyinit.exit.status"] = status
    keys["pyinit.reason"] = reason
    for name in ("reaped", "adopted", "forwarded", "killed", "dropped"):
        keys[f"pyinit.totals.{name}"] = facts.get(name, 0)
    keys["pyinit.duration_s"] = round(facts.get("duration_s", 0.0), 6)
    reaped, duration = keys["pyinit.totals.reaped"], _seconds(keys["pyinit.duration_s"])
    return f"pyinit leaves with status {status} after {duration}: {told}; processes reaped: {reaped}", keys


EVENTS = {
    "pyinit.started": Event(
        "info",
        _started,
        ("pyinit.pid", "pyinit.version", "pyinit.mode", "pyinit.until", "pyinit.grace_s", *_PROCESS),
        _PROCESS_KNOWN,
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


# -- cutting ---------------------------------------------------------------------------------------------------------

# What a text that was cut ends in.
CUT = "..."

_PLAIN = range(0x20, 0x7F)
_BMP_END = 0x10000
_SHORT_ESCAPES = frozenset('"\\\b\f\n\r\t')


def cut(record: Keys, budget: int) -> Keys:
    r"""Return a copy of the record in which each text takes at most `budget` bytes of ASCII JSON.

    A longer text ends in `...`. Lone surrogates, which stand for bytes that are no UTF-8 and which JSON has no way
    to say, become `\xff` and the like.
    """
    result: Keys = {}
    for key, value in record.items():
        if isinstance(value, str):
            result[key] = _cut_text(value, budget)
        elif isinstance(value, (list, tuple)):
            result[key] = [_cut_text(item, budget) if isinstance(item, str) else item for item in value]
        else:
            result[key] = value
    return result


def _cut_text(text: str, budget: int) -> str:
    shown: list[str] = []
    size = kept = 0
    for char in text:
        code = ord(char)
        if code in _PLAIN and char not in _SHORT_ESCAPES:
            cost = 1
        elif char in _SHORT_ESCAPES:
            cost = 2
        elif code >= _BMP_END:
            cost = 12
        else:
            cost = 6
            if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004  (surrogateescape of PEP 383)
                char, cost = f"\\x{code - 0xDC00:02x}", 5  # noqa: PLW2901
            elif 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004
                char = "\ufffd"  # noqa: PLW2901
        size += cost
        if size > budget:
            return "".join(shown[:kept]) + CUT
        shown.append(char)
        if size <= budget - len(CUT):
            kept = len(shown)
    return "".join(shown)
