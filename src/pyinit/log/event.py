"""What one kind of record is, and the groups of keys that several kinds share."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyinit.log.parts import Facts, Keys, Look

# What is said of one process: the first two always, the others where they are known.
PROCESS = ("process.pid", "process.executable.name")
PROCESS_KNOWN = (
    "process.parent_pid",
    "process.group_leader.pid",
    "process.session_leader.pid",
    "process.creation.time",
    "process.user.id",
    "process.command_line",
)
END = ("pyinit.exit.status",)
END_KNOWN = ("process.exit.code", "pyinit.exit.signal", "pyinit.exit.signal_number", "pyinit.exit.core_dumped")
SIGNAL = ("pyinit.signal.name", "pyinit.signal.number")
CLIENT = ("pyinit.control.client.pid", "pyinit.control.client.uid")
SENDER = ("pyinit.signal.sender.pid", "pyinit.signal.sender.uid")


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
