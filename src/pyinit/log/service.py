"""The records of the service: which process it is, when it is ready, and what it says of itself."""

from __future__ import annotations

from pyinit.log.event import PROCESS, PROCESS_KNOWN, Event
from pyinit.log.parts import (
    add_process,
    errno_name,
    in_seconds,
    list_of,
    name_of,
    names_of,
    number_of,
    shown,
    text_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyinit.log.parts import Facts, Keys, Look

# What a source is on the command line.
_OPTION = {"pid-file": "--pid-file", "notify": "MAINPID=, --notify"}


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


# What makes a run ready: `who` is the service.
_READY = {
    "notify": "{who} said so (READY=1, --notify)",
    "pid-file": "the PID file names {who} (--pid-file)",
    "handover": "main has ended and {who} carries on",
}


def _ready(facts: Facts, look: Look) -> tuple[str, Keys]:
    process, reason, after_s = facts.get("process"), str(facts.get("reason", "?")), facts.get("after_s", 0.0)
    keys: Keys = {"pyinit.reason": reason, "pyinit.after_s": round(after_s, 6)}
    add_process(keys, process, look)
    who = "the service" if process is None else name_of(process)
    why = _READY.get(reason, "{reason}").format(reason=reason, who=who)
    return f"ready after {in_seconds(after_s)}: {why}", keys


def _identified(facts: Facts, look: Look) -> tuple[str, Keys]:
    process, root, previous = facts.get("process"), facts.get("root"), facts.get("previous")
    source = facts.get("source", "?")
    keys: Keys = {"pyinit.source": source}
    add_process(keys, process, look)
    where = before = ""
    decides = "its end"
    if root is not None:
        keys["pyinit.root"] = above = name_of(root)
        where, decides = f" below {above}", f"the end of {above}"
    if previous is not None:
        keys["pyinit.previous"] = former = name_of(previous)
        before = f" and no longer {former}"
    told = f"the service is {name_of(process)}{where}{before} ({_OPTION.get(source, source)})"
    return f"{told}: once main has ended, {decides} alone decides the run", keys


# What is said of a claim that is not believed, and what becomes of it.
_REFUSED = {
    "pid-file": "{claim} {reason}: the PID file is not believed, and all that main leaves behind is the service "
    "(--pid-file-timeout gives the file more time, --clean-pid-file removes a stale one)",
    "notify": "message {claim}: {reason}; that is ignored (--notify takes what processes below pyinit say of processes "
    "below pyinit)",
}


def _refused(facts: Facts, look: Look) -> tuple[str, Keys]:
    del look
    source = facts.get("source", "?")
    claim, reason = text_of(facts.get("claim", "?")), text_of(facts.get("reason", "?"))
    keys: Keys = {"pyinit.source": source, "pyinit.claim": claim, "pyinit.reason": reason}
    told = _REFUSED.get(source, "{claim} {reason}: not believed")
    return told.format(claim=shown(claim), reason=shown(reason)), keys


# The most that each number of a notification can be; what is more is nonsense, and is left out.
_NUMBERS = {
    "errno": 4095,  # MAX_ERRNO of the kernel
    "exit_status": 255,
    "extend_timeout_usec": 2**63 - 1,  # what the integers of a log's readers hold
    "mainpid": 2**22,  # PID_MAX_LIMIT of the kernel
}
_FLAGS = {"ready": "it is ready", "reloading": "it is reloading", "stopping": "it is stopping"}


def _notified(facts: Facts, look: Look) -> tuple[str, Keys]:
    process, notify = facts.get("process"), facts.get("notify", {})
    keys: Keys = {}
    add_process(keys, process, look)
    told = _add_notification(keys, notify)
    return f"{name_of(process)} says: {'; '.join(told) or 'nothing that pyinit knows'}", keys


def _add_notification(keys: Keys, notify: Mapping[str, object]) -> list[str]:
    """Add what a message of sd_notify(3) says, as far as it makes sense; return that for the sentence."""
    told = []
    for name, words in _FLAGS.items():
        if notify.get(name) == "1":
            keys[f"pyinit.notify.{name}"] = True
            told.append(words)
    numbers = {}
    for name, most in _NUMBERS.items():
        number = number_of(notify.get(name), most)
        if number is not None:
            keys[f"pyinit.notify.{name}"] = numbers[name] = number
    if "mainpid" in numbers:
        told.append(f"its main process is PID {numbers['mainpid']}")
    if "errno" in numbers:
        told.append(f"error {errno_name(numbers['errno'])}" if numbers["errno"] else "no error")
    if "exit_status" in numbers:
        told.append(f"exit status {numbers['exit_status']}")
    if "extend_timeout_usec" in numbers:
        told.append(f"it needs {in_seconds(numbers['extend_timeout_usec'] / 1e6)} more (--grace-max is the most)")
    if "status" in notify:
        keys["pyinit.notify.status"] = text = text_of(notify["status"])
        told.append(f"status: {text}")
    return told


EVENTS = {
    "service.handover": Event("info", _handover, (*PROCESS, "pyinit.successors", "pyinit.until"), PROCESS_KNOWN),
    "service.inherited": Event("info", _inherited, (*PROCESS, "pyinit.successors"), PROCESS_KNOWN),
    "service.identified": Event(
        "info", _identified, (*PROCESS, "pyinit.source"), (*PROCESS_KNOWN, "pyinit.root", "pyinit.previous")
    ),
    "service.refused": Event("warning", _refused, ("pyinit.source", "pyinit.claim", "pyinit.reason")),
    "service.notified": Event(
        "info",
        _notified,
        (),
        (
            *PROCESS,
            *PROCESS_KNOWN,
            "pyinit.notify.ready",
            "pyinit.notify.reloading",
            "pyinit.notify.stopping",
            "pyinit.notify.status",
            "pyinit.notify.errno",
            "pyinit.notify.exit_status",
            "pyinit.notify.extend_timeout_usec",
            "pyinit.notify.mainpid",
        ),
    ),
    "pyinit.ready": Event("info", _ready, ("pyinit.reason", "pyinit.after_s"), (*PROCESS, *PROCESS_KNOWN)),
}
