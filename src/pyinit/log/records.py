"""The closed list of events, and what all records have in common.

A new kind of record is a function and a row in the module of its group (life, service, restart, stop, command or
control), a branch in the JSON Schema and a section in docs/log-schema.md; a test compares the three. A new group is a
module and a name in EVENTS.
"""

from __future__ import annotations

from pyinit.log import command, control, life, restart, service, stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.log.parts import Facts

# The version of the schema; it changes when a key or an event goes or changes its meaning, not when one is added.
SCHEMA = 1

SEVERITIES = {"debug": 10, "info": 20, "warning": 30, "error": 40}

# The keys that every record begins with, in this order.
COMMON = ("timestamp", "severity", "message", "event.name", "pyinit.schema")

EVENTS = life.BEGINNING | service.EVENTS | restart.EVENTS | stop.EVENTS | command.EVENTS | control.EVENTS | life.ENDING

# The events that tell how the run came out: one of them is its last word.
LAST = frozenset(("pyinit.exited", "spawn.failed"))


def severity_of(event: str, facts: Facts) -> str:
    """Return the severity of a record that the caller gave none."""
    if event == "process.adopted":
        process = facts.get("process")
        if facts.get("role") == "foreign" or (process is not None and process.foreign):
            # A health check every few seconds leaves one each time.
            return "debug"
    return EVENTS[event].severity
