"""The records of the commands that pyinit runs itself: --stop-command and --reload-command."""

from __future__ import annotations

from pyinit.log.event import END, END_KNOWN, PROCESS, PROCESS_KNOWN, Event
from pyinit.log.parts import add_end, add_errno, add_process, name_of, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.log.parts import Facts, Keys, Look

# What it means that a command failed.
_FAILED = {
    "stop": "what is left gets the stop signal now (--stop-command, --stop-signal)",
    "reload": "the service may still have what it had before (--reload-command)",
}


def _command_started(facts: Facts, look: Look) -> tuple[str, Keys]:
    kind, process, errno = facts.get("kind", "?"), facts.get("process"), facts.get("errno") or 0
    keys: Keys = {"pyinit.command.kind": kind}
    add_process(keys, process, look)
    if errno:
        error = add_errno(keys, errno)
        return f"the {kind} command could not be started ({error}): {_FAILED.get(kind, 'it did not run')}", keys
    return f"the {kind} command runs as {name_of(process)} (--{kind}-command)", keys


def _command_output(facts: Facts, look: Look) -> tuple[str, Keys]:
    del look
    kind, text = facts.get("kind", "?"), text_of(facts.get("text", ""))
    return f"the {kind} command wrote: {text}", {"pyinit.command.kind": kind, "pyinit.command.output": text}


def _command_ended(facts: Facts, look: Look) -> tuple[str, Keys]:
    kind, process, end = facts.get("kind", "?"), facts.get("process"), facts.get("end")
    keys: Keys = {"pyinit.command.kind": kind}
    add_process(keys, process, look)
    told = f"the {kind} command {name_of(process)} {add_end(keys, end)}"
    if end is None or end.good or facts.get("signalled"):
        return told, keys
    return f"{told}: {_FAILED.get(kind, 'it failed')}", keys


EVENTS = {
    "command.started": Event(
        "info",
        _command_started,
        ("pyinit.command.kind",),
        (*PROCESS, *PROCESS_KNOWN, "pyinit.errno", "error.type"),
    ),
    "command.output": Event("info", _command_output, ("pyinit.command.kind", "pyinit.command.output")),
    "command.ended": Event(
        "info", _command_ended, (*PROCESS, "pyinit.command.kind", *END), (*PROCESS_KNOWN, *END_KNOWN)
    ),
}
