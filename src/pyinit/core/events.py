"""What can happen: the facts that the shell brings to the core, each one class."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyinit.core.model import Claim, End, Process


class Started:
    """Main is running; None: there is no main, only what comes to be adopted (--pause)."""

    __slots__ = ("main",)

    def __init__(self, main: Process | None) -> None:
        self.main = main


class Stopped:
    """Main has been stopped by a signal (waitid(2), CLD_STOPPED). Only told where there is a terminal."""

    __slots__ = ("signo",)

    def __init__(self, signo: int) -> None:
        self.signo = signo


class Signalled:
    """pyinit was sent a signal; sender_pid is 0 for a sender outside of the PID namespace, KERNEL for the kernel."""

    __slots__ = ("sender_pid", "sender_uid", "signo")

    def __init__(self, signo: int, sender_pid: int = 0, sender_uid: int = 0) -> None:
        self.signo = signo
        self.sender_pid = sender_pid
        self.sender_uid = sender_uid


class NotStarted:
    """The answer to `Respawn` where there is no new main: the status and the errno of that, and why, for people."""

    __slots__ = ("errno", "reason", "status")

    def __init__(self, status: int, errno: int, reason: str) -> None:
        self.status = status
        self.errno = errno
        self.reason = reason


class Adopted:
    """A living child was found that pyinit did not start."""

    __slots__ = ("process",)

    def __init__(self, process: Process) -> None:
        self.process = process


class Ended:
    """A child is a zombie. It has not been reaped, so its PID still means it, and nothing else."""

    __slots__ = ("end", "process")

    def __init__(self, process: Process, end: End) -> None:
        self.process = process
        self.end = end


class Passed:
    """Children have ended and been reaped from whose ends nothing follows, as the machine has said.

    Either nothing is told of them (`Machine.passes`), or their records have been written (`Machine.stands_apart`).
    """

    __slots__ = ("pids",)

    def __init__(self, pids: Sequence[int]) -> None:
        self.pids = pids


class Came:
    """Many living or dead children are there that nobody knows, and that nobody has looked at: their PIDs and groups.

    Told while stopping; who is still there when that has calmed down is told as `Adopted`.
    """

    __slots__ = ("children",)

    def __init__(self, children: Sequence[tuple[int, int]]) -> None:
        self.children = children


class Settled:
    """All that was there to see has been told; `childless` when the kernel says that no child is left (ECHILD).

    Until it comes, the children that a main or a successor left behind are told before its `Ended`, and count as new.
    """

    __slots__ = ("childless",)

    def __init__(self, *, childless: bool) -> None:
        self.childless = childless


class TimeUp:
    """The deadline that the core had set has been reached."""

    __slots__ = ()


class Dying:
    """The final kill is getting on: somebody new was killed, or somebody is dead of it and has not been reaped yet."""

    __slots__ = ()


class Buried:
    """In the final kill so many zombies that nobody knew were reaped, of which no record tells: `killed` by SIGKILL."""

    __slots__ = ("count", "killed")

    def __init__(self, count: int, killed: int) -> None:
        self.count = count
        self.killed = killed


class View:
    """One process as `Inspect` saw it: the signals that it ignores (bit N-1 for signal N), and its children."""

    __slots__ = ("children", "ignored", "process")

    def __init__(self, process: Process, ignored: int, children: Sequence[Process]) -> None:
        self.process = process
        self.ignored = ignored
        self.children = children

    def ignores(self, signo: int) -> bool:
        """Say whether the process ignores the signal (SIG_IGN; a blocked signal is not an ignored one)."""
        return bool(self.ignored >> (signo - 1) & 1)


class Inspected:
    """The answer to `Inspect`; processes that were gone are missing."""

    __slots__ = ("views",)

    def __init__(self, views: Sequence[View]) -> None:
        self.views = views


class Walked:
    """The answer to `Walk`: every descendant that could be seen, children first; `complete` if none can be hidden."""

    __slots__ = ("complete", "processes")

    def __init__(self, processes: Sequence[Process], *, complete: bool = True) -> None:
        self.processes = processes
        self.complete = complete


class Undeliverable:
    """A signal could not be sent to a process that is there: errno says why (EPERM)."""

    __slots__ = ("errno", "process", "signo")

    def __init__(self, process: Process, signo: int, errno: int) -> None:
        self.process = process
        self.signo = signo
        self.errno = errno


class Claimed:
    """The answer to `ReadPidFile`: which process is the service, if that is proven."""

    __slots__ = ("claim",)

    def __init__(self, claim: Claim) -> None:
        self.claim = claim


class Located:
    """The answer to `Locate`."""

    __slots__ = ("claim",)

    def __init__(self, claim: Claim) -> None:
        self.claim = claim


class Notified:
    """A message came in on the notify socket (sd_notify(3)).

    Attributes:
        sender: who sent it, proven to be below pyinit; None when that is not proven.
        reason: why the sender is not believed; empty when it is.
        fields: what it says, by the names of sd_notify(3).
        claim: what its MAINPID comes to; None without one.
    """

    __slots__ = ("claim", "fields", "reason", "sender")

    def __init__(
        self, sender: Process | None, fields: Mapping[str, str], *, claim: Claim | None = None, reason: str = ""
    ) -> None:
        self.sender = sender
        self.fields = fields
        self.claim = claim
        self.reason = reason


class ServiceGone:
    """A service that is no child of pyinit has ended: its parent knows how."""

    __slots__ = ("process",)

    def __init__(self, process: Process) -> None:
        self.process = process


class CommandStarted:
    """The answer to `RunCommand`: its process, or None and the errno of why there is none."""

    __slots__ = ("errno", "kind", "process")

    def __init__(self, kind: str, process: Process | None, errno: int = 0) -> None:
        self.kind = kind
        self.process = process
        self.errno = errno


class Asked:
    """Somebody who may has asked for something through the control socket; `Answer` is the answer.

    Attributes:
        kind: what is asked for: ASKED_STOP, ASKED_RELOAD, ASKED_SIGNAL or ASKED_RESTART.
        sender_pid, sender_uid: who asked, as the kernel says.
        signo: the signal that is to be sent; 0 where none is.
        target: whom to: AT_SERVICE, AT_MAIN, AT_TREE or AT_PROCESS.
        process: with AT_PROCESS: the process, proven to be below pyinit.
    """

    __slots__ = ("kind", "process", "sender_pid", "sender_uid", "signo", "target")

    def __init__(  # noqa: PLR0913  # what a request holds
        self,
        kind: str,
        sender_pid: int,
        sender_uid: int,
        *,
        signo: int = 0,
        target: str = "",
        process: Process | None = None,
    ) -> None:
        self.kind = kind
        self.sender_pid = sender_pid
        self.sender_uid = sender_uid
        self.signo = signo
        self.target = target
        self.process = process


if TYPE_CHECKING:
    Event = (
        Started
        | Stopped
        | Signalled
        | Asked
        | NotStarted
        | Adopted
        | Ended
        | Passed
        | Came
        | Settled
        | TimeUp
        | Inspected
        | Walked
        | Undeliverable
        | Dying
        | Buried
        | Claimed
        | Located
        | Notified
        | ServiceGone
        | CommandStarted
        | Asked
    )
