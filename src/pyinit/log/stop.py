"""The records of signals that pyinit passes on, and of the stop."""

from __future__ import annotations

from pyinit.log.event import CLIENT, END, END_KNOWN, PROCESS, PROCESS_KNOWN, SENDER, SIGNAL, Event
from pyinit.log.parts import (
    LISTED,
    TOLD,
    add_client,
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
    from pyinit.log.parts import Facts, Keys, Look


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
    "request": "a stop was asked for through the control socket{asked}",
    "restart": "a restart was asked for through the control socket{asked}",
    "start": "main could not be started again",
}


def _stop_begun(facts: Facts, look: Look) -> tuple[str, Keys]:
    reason, process, end = facts.get("reason", "?"), facts.get("process"), facts.get("end")
    signo, grace_s = facts.get("stop_signal", 15), facts.get("grace_s", 0)
    keys: Keys = {"pyinit.stop.reason": reason}
    asked = ""
    if facts.get("signal"):
        asked = add_signal(keys, facts["signal"])
    asked += add_client(keys, facts) if reason in {"request", "restart"} else add_sender(keys, facts)
    add_process(keys, process, look)
    happened = add_end(keys, end)
    keys["pyinit.stop.signal.name"] = name = signal_name(signo)
    keys["pyinit.stop.signal.number"] = signo
    keys["pyinit.grace_s"] = grace_s
    first = ""
    if facts.get("command"):
        keys["pyinit.stop.command"] = True
        first = "the stop command first (--stop-command), then "
    why = _WHY.get(reason, "{reason}").format(reason=reason, who=name_of(process), happened=happened, asked=asked)
    after = f"and with SIGKILL after {in_seconds(grace_s)} (--grace)"
    return f"{why}: {first}stopping what is left with {name}, {after}", keys


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


# So many seconds, and what is more, are told as this: a thousand years. JSON has no infinity.
_FOR_EVER_S = 3.2e10


def _stop_extended(facts: Facts, look: Look) -> tuple[str, Keys]:
    del look
    asked_s = min(facts.get("asked_s", 0.0), _FOR_EVER_S)
    until_s, limited = facts.get("until_s", 0.0), bool(facts.get("limited"))
    keys: Keys = {"pyinit.asked_s": round(asked_s, 6), "pyinit.grace_s": round(until_s, 6), "pyinit.limited": limited}
    limit = ", which is all that --grace-max allows" if limited else ""
    return (
        f"the service asked for {in_seconds(asked_s)} more to stop (EXTEND_TIMEOUT_USEC): "
        f"SIGKILL comes {in_seconds(until_s)} after the stop began{limit}"
    ), keys


EVENTS = {
    "signal.forwarded": Event("debug", _forwarded, (*SIGNAL, "pyinit.signal.targets", "pyinit.count"), SENDER),
    "signal.undeliverable": Event(
        "warning", _undeliverable, (*PROCESS, *SIGNAL, "pyinit.errno", "error.type"), PROCESS_KNOWN
    ),
    "stop.begun": Event(
        "info",
        _stop_begun,
        ("pyinit.stop.reason", "pyinit.stop.signal.name", "pyinit.stop.signal.number", "pyinit.grace_s"),
        ("pyinit.stop.command", *SIGNAL, *SENDER, *CLIENT, *PROCESS, *PROCESS_KNOWN, *END, *END_KNOWN),
    ),
    "stop.repeated": Event("info", _stop_repeated, SIGNAL, SENDER),
    "stop.extended": Event("info", _stop_extended, ("pyinit.asked_s", "pyinit.grace_s", "pyinit.limited")),
    "stop.escalated": Event("info", _stop_escalated, (*SIGNAL, "pyinit.processes", "pyinit.count", "pyinit.after_s")),
    "stop.killing": Event("warning", _stop_killing, ("pyinit.processes", "pyinit.count", "pyinit.grace_s")),
    "stop.unkillable": Event("error", _unkillable, (*PROCESS, "pyinit.reason"), PROCESS_KNOWN),
}
