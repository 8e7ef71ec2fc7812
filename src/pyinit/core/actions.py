"""What the core asks of the shell, each one class. They are carried out in their order, at once."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyinit.core.model import End, Process


class SignalGroup:
    """Send a signal to main's process group (killpg(3)), or to main alone when it has left that.

    `pgid` is main's PID: main is the leader, and has not been reaped. `cont`: with SIGCONT behind it.
    """

    __slots__ = ("cont", "pgid", "signo")

    def __init__(self, pgid: int, signo: int, *, cont: bool = False) -> None:
        self.pgid = pgid
        self.signo = signo
        self.cont = cont


class SignalChild:
    """Send a signal to an unreaped child: its PID is pinned and means nobody else."""

    __slots__ = ("cont", "process", "signo")

    def __init__(self, process: Process, signo: int, *, cont: bool = False) -> None:
        self.process = process
        self.signo = signo
        self.cont = cont


class SignalDescendant:
    """Send a signal to a deeper descendant, through a pidfd that is proven to be the process that was meant."""

    __slots__ = ("cont", "process", "signo")

    def __init__(self, process: Process, signo: int, *, cont: bool = False) -> None:
        self.process = process
        self.signo = signo
        self.cont = cont


class SignalUnseen:
    """Send a signal to unreaped children that nobody has looked at, with SIGCONT behind it."""

    __slots__ = ("pids", "signo")

    def __init__(self, pids: Sequence[int], signo: int) -> None:
        self.pids = pids
        self.signo = signo


class SignalEveryone:
    """Send a signal to all of the PID namespace, kill(-1, …). Only ever asked for by the init of the namespace."""

    __slots__ = ("signo",)

    def __init__(self, signo: int) -> None:
        self.signo = signo


class KillChildren:
    """Send SIGKILL to every child, and to every child that this brings, until a look finds no new one."""

    __slots__ = ()


class GiveTerminal:
    """Make main's process group the terminal's foreground group, if the foreground is pyinit's."""

    __slots__ = ()


class TakeTerminal:
    """Make pyinit's process group the terminal's foreground group again, if the foreground is main's."""

    __slots__ = ()


class StopSelf:
    """Stop pyinit; it goes on when SIGCONT comes, which is then taken as any other signal.

    `whole_job`: with its process group, by SIGTSTP, as the terminal stops a job; else itself alone, by SIGSTOP.
    """

    __slots__ = ("whole_job",)

    def __init__(self, *, whole_job: bool) -> None:
        self.whole_job = whole_job


class Inspect:
    """Look at these processes; `Inspected` is the answer.

    It tells the children of those that ignore the signal `signo`, and of no others; 0: of nobody.
    """

    __slots__ = ("processes", "signo")

    def __init__(self, processes: Sequence[Process], signo: int = 0) -> None:
        self.processes = processes
        self.signo = signo


class Walk:
    """Look at every descendant; `Walked` is the answer."""

    __slots__ = ()


class ReadPidFile:
    """Read the PID file, and prove what it says; `Claimed` is the answer."""

    __slots__ = ()


class Locate:
    """Prove that a process that was the service is there still, and where it hangs; `Located` is the answer."""

    __slots__ = ("process", "source")

    def __init__(self, process: Process, source: str) -> None:
        self.process = process
        self.source = source


class Follow:
    """Watch a process that is no child; `ServiceGone` comes at its end."""

    __slots__ = ("process",)

    def __init__(self, process: Process) -> None:
        self.process = process


class PassOn:
    """Tell whoever supervises pyinit, in the fields of sd_notify(3)."""

    __slots__ = ("fields",)

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = fields


class RunCommand:
    """Run one of pyinit's own commands; `CommandStarted` is the answer.

    Attributes:
        kind: STOP_COMMAND or RELOAD_COMMAND.
        service: the process that it is for, or None where no single one is.
        signo: the signal that asked for it; 0 where none did.
        left_s: the seconds that are left of the grace.
    """

    __slots__ = ("kind", "left_s", "service", "signo")

    def __init__(self, kind: str, service: Process | None, signo: int, left_s: float = 0.0) -> None:
        self.kind = kind
        self.service = service
        self.signo = signo
        self.left_s = left_s


class ReadOutput:
    """Tell what a command of pyinit's has written, up to now: it has ended."""

    __slots__ = ("process",)

    def __init__(self, process: Process) -> None:
        self.process = process


class Reap:
    """Collect the wait status of a zombie and write its record."""

    __slots__ = ("end", "escaped", "process", "role", "severity")

    def __init__(
        self,
        process: Process,
        end: End,
        role: str,
        escaped: tuple[str, ...],
        severity: str | None = None,
    ) -> None:
        self.process = process
        self.end = end
        self.role = role
        self.escaped = escaped
        self.severity = severity


class Report:
    """Write a record; `facts` are those of the event's row in the schema, severity None means the event's own."""

    __slots__ = ("event", "facts", "severity")

    def __init__(self, event: str, facts: dict[str, object], severity: str | None = None) -> None:
        self.event = event
        self.facts = facts
        self.severity = severity


class Answer:
    """Tell who asked through the control socket that it is done, or the reason why it is not."""

    __slots__ = ("refused",)

    def __init__(self, refused: str = "") -> None:
        self.refused = refused


class CloseRun:
    """Put away what belonged to the run that is over, of which nobody is left; another one may follow."""

    __slots__ = ()


class Respawn:
    """Start main again, as it was started first; `Started` or `NotStarted` is the answer."""

    __slots__ = ()


class Exit:
    """Leave with this status."""

    __slots__ = ("status",)

    def __init__(self, status: int) -> None:
        self.status = status


if TYPE_CHECKING:
    Action = (
        SignalGroup
        | SignalChild
        | SignalDescendant
        | SignalUnseen
        | SignalEveryone
        | KillChildren
        | GiveTerminal
        | TakeTerminal
        | StopSelf
        | Inspect
        | Walk
        | ReadPidFile
        | Locate
        | Follow
        | PassOn
        | RunCommand
        | ReadOutput
        | Reap
        | Report
        | Answer
        | CloseRun
        | Respawn
        | Exit
    )
