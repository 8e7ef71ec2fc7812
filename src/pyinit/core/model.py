"""The things that the core reasons about: processes, their ends, what they used, and the policy of a run."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The signals that have a meaning for the core. Numbers of signal(7) for x86 and ARM; the shell checks at its
# start that they are the running kernel's.
SIGHUP = 1
SIGINT = 2
SIGQUIT = 3
SIGKILL = 9
SIGTERM = 15
SIGCHLD = 17
SIGCONT = 18
SIGSTOP = 19
SIGTSTP = 20
SIGTTIN = 21
SIGTTOU = 22

# Who sent a signal that no process sent.
KERNEL = -1

# Why a process is no longer there, as waitid(2) says it in si_code.
EXITED = "exited"
KILLED = "killed"
DUMPED = "dumped"

# What a root is to the run (DESIGN: words).
MAIN = "main"
SUCCESSOR = "successor"
ADOPTED = "adopted"
FOREIGN = "foreign"
COMMAND = "command"

# pyinit's own commands.
STOP_COMMAND = "stop"
RELOAD_COMMAND = "reload"

# What can be asked for through the control socket, and whom a signal can be sent to there.
ASKED_STOP = "stop"
ASKED_RELOAD = "reload"
ASKED_SIGNAL = "signal"
ASKED_RESTART = "restart"
AT_SERVICE = "service"
AT_MAIN = "main"
AT_TREE = "tree"
AT_PROCESS = "process"

# Whether the service is ready: it said or showed so; it is still awaited; nothing here could ever say so.
READY = "yes"
NOT_READY = "no"
READY_UNKNOWN = "unknown"

# Who says which process is the service.
FROM_PID_FILE = "pid-file"
FROM_NOTIFY = "notify"

# When a run is over.
UNTIL_MAIN = "main"
UNTIL_SERVICE = "service"
UNTIL_ALL = "all"

# Which ends of a run are followed by another one.
RESTART_NO = "no"
RESTART_ON_FAILURE = "on-failure"
RESTART_ALWAYS = "always"

# Whom a signal is forwarded to while main lives.
TO_MAIN = "main"
TO_GROUP = "group"
TO_ROOTS = "roots"
TO_TREE = "tree"

# What becomes of what is left when main ends and pyinit is neither PID 1 nor a subreaper.
REST_STOP = "stop"
REST_SIGNAL = "signal"
REST_LEAVE = "leave"

# pyinit's controlling terminal: none; one that a shell above manages; its own (it is a session leader, or PID 1).
NO_TERMINAL = "none"
SHELL_TERMINAL = "shell"
OWN_TERMINAL = "own"


class Process:
    """One process below pyinit, as /proc/PID/stat described it when it was looked at.

    Identity is (pid, start_ticks): a PID alone may be somebody else's by now.

    Attributes:
        pid, ppid, pgid, sid: numbers of pyinit's PID namespace; 0 where unknown or outside of it.
        start_ticks: start time after boot in clock ticks, field 22 of proc_pid_stat(5); 0 where unknown.
        name: the command name (comm), at most 15 bytes in the kernel, decoded for people.
        state: the state letter of proc_pid_stat(5), "Z" for a zombie; "?" where unknown.
        used_ticks: the CPU time that it has used so far, all its threads, in clock ticks.
        uid: the owner, or -1 where unknown.
        args: the command line, or None where it was not read.
        born_s: the same moment on the clock that the core is given (monotonic seconds); -1.0 where unknown.
        foreign: True when it is proven that it never came from main.
        alive: False when it was first seen as a zombie.
    """

    __slots__ = (
        "alive",
        "args",
        "born_s",
        "foreign",
        "name",
        "pgid",
        "pid",
        "ppid",
        "sid",
        "start_ticks",
        "state",
        "uid",
        "used_ticks",
    )

    def __init__(  # noqa: PLR0913  # what /proc/PID/stat holds
        self,
        pid: int,
        *,
        ppid: int = 0,
        pgid: int = 0,
        sid: int = 0,
        start_ticks: int = 0,
        born_s: float = -1.0,
        name: str = "?",
        state: str = "?",
        used_ticks: int = 0,
        uid: int = -1,
        args: tuple[str, ...] | None = None,
        foreign: bool = False,
        alive: bool = True,
    ) -> None:
        self.pid = pid
        self.ppid = ppid
        self.pgid = pgid
        self.sid = sid
        self.start_ticks = start_ticks
        self.born_s = born_s
        self.name = name
        self.state = state
        self.used_ticks = used_ticks
        self.uid = uid
        self.args = args
        self.foreign = foreign
        self.alive = alive

    @property
    def identity(self) -> tuple[int, int]:
        """What tells this process from a later one with the same PID."""
        return (self.pid, self.start_ticks)

    def __repr__(self) -> str:
        return f"Process({self.pid}, {self.name!r})"


class End:
    """How a process ended: `kind` is EXITED, KILLED or DUMPED; `value` the exit status or the signal's number."""

    __slots__ = ("kind", "value")

    def __init__(self, kind: str, value: int) -> None:
        self.kind = kind
        self.value = value

    @property
    def status(self) -> int:
        """The exit status a shell would show: N, or 128 + the signal's number."""
        return self.value if self.kind == EXITED else 128 + self.value

    @property
    def good(self) -> bool:
        """True when the process exited with status 0."""
        return self.kind == EXITED and self.value == 0

    def __repr__(self) -> str:
        return f"End({self.kind!r}, {self.value})"


class Usage:
    """What a process used, itself and the children it waited for (getrusage(2), as wait4(2) returns it).

    user_s and system_s in seconds, max_rss_bytes in bytes.
    """

    __slots__ = ("max_rss_bytes", "system_s", "user_s")

    def __init__(self, user_s: float, system_s: float, max_rss_bytes: int) -> None:
        self.user_s = user_s
        self.system_s = system_s
        self.max_rss_bytes = max_rss_bytes


class Claim:
    """Somebody's word on which process is the service, as the shell has checked it.

    Attributes:
        source: FROM_PID_FILE or FROM_NOTIFY.
        process: the process, proven to be below pyinit and alive; None when it is not proven.
        root: the child of pyinit that it hangs below; None when it is a child itself.
        text: what was claimed, for people.
        reason: why it is not believed; empty when it is.
    """

    __slots__ = ("process", "reason", "root", "source", "text")

    def __init__(
        self,
        source: str,
        process: Process | None = None,
        *,
        root: Process | None = None,
        text: str = "",
        reason: str = "",
    ) -> None:
        self.source = source
        self.process = process
        self.root = root
        self.text = text
        self.reason = reason


class Policy:
    """What the command line asks of the core.

    Attributes:
        until: when the run is over: UNTIL_MAIN, UNTIL_SERVICE or UNTIL_ALL.
        grace_s: seconds between the stop signal and SIGKILL.
        schedule: the signals that a stop sends in turn, each with the seconds that it has before the next (None: the
            rest of the grace); empty: the one the stop was asked for with, else SIGTERM.
        grace_max_s: how far the service may lengthen the grace; None: not at all.
        stop_on: the signals that ask for a stop.
        ok_exits: statuses that count as 0.
        pid1: True when pyinit is the init of its PID namespace.
        rewrite: what a signal that comes becomes before anything else is done with it; 0 swallows it.
        forward_to: TO_MAIN, TO_GROUP, TO_ROOTS or TO_TREE.
        terminal: NO_TERMINAL, SHELL_TERMINAL or OWN_TERMINAL.
        rest: REST_STOP, REST_SIGNAL or REST_LEAVE.
        self_stop: True when pyinit stops itself after it has forwarded a terminal stop signal.
        pid_file: True when a PID file says which process is the service.
        pid_file_timeout_s: how long to wait for that file.
        notify: True when the service says by itself that it is ready.
        stop_command: True when a command stops the service.
        reload_command: True when a command is run at SIGHUP.
        restart: RESTART_NO, RESTART_ON_FAILURE or RESTART_ALWAYS.
        restart_limit: so many restarts there may be within so many seconds.
        restart_delay_s: how long the first of them waits; each further one twice as long as the one before.
        restart_delay_max_s: no restart waits longer.
    """

    __slots__ = (
        "forward_to",
        "grace_max_s",
        "grace_s",
        "notify",
        "ok_exits",
        "pid1",
        "pid_file",
        "pid_file_timeout_s",
        "reload_command",
        "rest",
        "restart",
        "restart_delay_max_s",
        "restart_delay_s",
        "restart_limit",
        "rewrite",
        "schedule",
        "self_stop",
        "stop_command",
        "stop_on",
        "terminal",
        "until",
    )

    def __init__(  # noqa: PLR0913  # one for each option
        self,
        *,
        until: str = UNTIL_SERVICE,
        grace_s: float = 8.0,
        grace_max_s: float | None = None,
        schedule: Iterable[tuple[int, float | None]] = (),
        stop_on: Iterable[int] = (SIGTERM, SIGINT, SIGQUIT),
        ok_exits: Iterable[int] = (),
        pid1: bool = False,
        rewrite: Mapping[int, int] | None = None,
        forward_to: str = TO_GROUP,
        terminal: str = NO_TERMINAL,
        rest: str = REST_STOP,
        self_stop: bool = False,
        pid_file: bool = False,
        pid_file_timeout_s: float = 60.0,
        notify: bool = False,
        stop_command: bool = False,
        reload_command: bool = False,
        restart: str = RESTART_NO,
        restart_limit: tuple[int, float] = (5, 300.0),
        restart_delay_s: float = 1.0,
        restart_delay_max_s: float = 60.0,
    ) -> None:
        self.until = until
        self.grace_s = grace_s
        self.grace_max_s = grace_s if grace_max_s is None else max(grace_s, grace_max_s)
        self.schedule = tuple(schedule)
        self.stop_on = frozenset(stop_on)
        self.ok_exits = frozenset(ok_exits)
        self.pid1 = pid1
        self.rewrite = dict(rewrite or {})
        self.forward_to = forward_to
        self.terminal = terminal
        self.rest = rest
        self.self_stop = self_stop
        self.pid_file = pid_file
        self.pid_file_timeout_s = pid_file_timeout_s
        self.notify = notify
        self.stop_command = stop_command
        self.reload_command = reload_command
        self.restart = restart
        self.restart_limit = restart_limit
        self.restart_delay_s = restart_delay_s
        self.restart_delay_max_s = restart_delay_max_s


def whole_number(text: str, digits: int) -> int | None:
    """Return the number that a text from elsewhere says in at most so many decimal digits, or None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None
