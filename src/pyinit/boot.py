"""From the first statement to the running command: read the options, become what orphans come to, start main.

Where the launcher has started main already, only what comes behind that is done. All that happens here delays the
command, so it imports next to nothing; `pyinit.run` takes over behind the spawn.
"""

from __future__ import annotations

import posix
import sys
import time

from pyinit import holdon, kernel, options, spawn
from pyinit.core.model import SIGCONT, SIGHUP, SIGKILL
from pyinit.procfs import Proc
from pyinit.terminal import Terminal, let_go_of_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyinit.child.plan import Child
    from pyinit.core.model import Process
    from pyinit.notify import Inbox
    from pyinit.oom import OomKills
    from pyinit.options import Settings
    from pyinit.pidfile import PidFile

_LAUNCHER = "2:"  # the version of what the launcher hands over
_CHANGED_BY_PYTHON = frozenset((13, 25))  # SIGPIPE, SIGXFSZ: the interpreter ignores them


class Handed:
    """What the launcher hands over, or what can be found out without it.

    Attributes:
        inherited: what pyinit was started with.
        name, arguments: what pyinit was called by, and the words behind that.
        signals_fd: the descriptor that signals are read from; -1: there is no launcher.
        main_pid: the PID of main, where the launcher has started it; else 0.
        started_at: when it did so (monotonic seconds).
        filter: the core dump filter before what is born below us got a mark in it, or None.
        oom_kills: how many OOM kills our control group had seen before main was started; -1: look now.
    """

    __slots__ = ("arguments", "filter", "inherited", "main_pid", "name", "oom_kills", "signals_fd", "started_at")

    def __init__(self, inherited: spawn.Inherited, name: str, arguments: list[str]) -> None:
        self.inherited = inherited
        self.name = name
        self.arguments = arguments
        self.signals_fd = -1
        self.main_pid = 0
        self.started_at = 0.0
        self.filter: int | None = None
        self.oom_kills = -1


class Launch:
    """Main is running, its PID is `main_pid`: all that the rest of pyinit needs to know of how it came to that.

    Attributes:
        settings: what the command line asked for.
        command, plan: what main is, and how it is started.
        main_pid: the PID of main, 0 where there is none (--pause).
        started_at: when main was started (monotonic seconds).
        proc: /proc as it was opened.
        terminal: the controlling terminal.
        signals_fd: the descriptor that signals are read from.
        log_fd: the descriptor of --log-file, or -1.
        before: PIDs of children that pyinit had before it started main.
        pid1: True when pyinit is the init of its PID namespace.
        oom: the count of OOM kills before main was one, or None.
        marked: False when orphans from elsewhere cannot be told from main's.
        inherited: what pyinit was started with.
        changes: what is different in main's environment.
        home: a descriptor of main's working directory, or -1.
        pid_file: the PID file as it was found, or None.
        uncleaned: why a stale PID file could not be removed, or None.
        inbox: the notify socket, or None.
        passed: the descriptors above 2 that were passed on to main, where another main is to get them (--restart).
    """

    __slots__ = (
        "before",
        "changes",
        "command",
        "home",
        "inbox",
        "inherited",
        "log_fd",
        "main_pid",
        "marked",
        "oom",
        "passed",
        "pid1",
        "pid_file",
        "plan",
        "proc",
        "settings",
        "signals_fd",
        "started_at",
        "terminal",
        "uncleaned",
    )

    def __init__(  # noqa: PLR0913  # what is known before main is started
        self,
        settings: Settings,
        inherited: spawn.Inherited,
        plan: spawn.Plan,
        proc: Proc,
        terminal: Terminal,
        *,
        pid1: bool,
    ) -> None:
        self.settings = settings
        self.command = [_encode(argument) for argument in settings.command]
        self.plan = plan
        self.inherited = inherited
        self.proc = proc
        self.terminal = terminal
        self.pid1 = pid1
        self.main_pid = 0
        self.started_at = 0.0
        self.log_fd = -1
        self.signals_fd = -1
        self.before: list[int] = []
        self.marked = False
        self.oom: OomKills | None = None
        self.changes: dict[bytes, bytes | None] = {}
        self.home = -1
        self.pid_file: PidFile | None = None
        self.uncleaned: str | None = None
        self.inbox: Inbox | None = None
        self.passed: list[int] = []

    def start_main(self, meanwhile: Callable[[], None]) -> None:
        """Start main; `meanwhile` is called while it starts. Raises SpawnError, and OSError (pipe2(2): EMFILE)."""
        self.main_pid = spawn.spawn(
            self.command, self.changes, self.inherited, self.terminal, self.plan, self.home, meanwhile
        )

    def main(self) -> Process:
        """Describe main, which has just been started."""
        main = self.proc.child(self.main_pid)
        main.foreign = False
        return main

    def count_oom_kills(self, before: int = -1) -> None:
        """Count the OOM kills of our control group before main can be one of them; `before`: how many there were."""
        try:
            from pyinit.oom import OomKills

            self.oom = OomKills(before)
        except Exception:  # noqa: BLE001  # main is there already: nothing that goes wrong here may cost it
            self.oom = None


def main() -> None:
    """Run pyinit on this process's command line; does not return."""
    kernel.block_signals()
    handed = None
    try:
        handed = _handed_over(sys.argv)
        _start(handed)
    except Exception as error:  # noqa: BLE001  # say it in one line, whatever it is
        problem = f"{type(error).__name__}: {error}"
        if handed is not None and handed.main_pid:
            _hold_on(handed.main_pid, problem, Proc(posix.getpid()).children)
        _complain(f"cannot start: {problem}. Install pyinit again, or raise its limits.")


def _start(handed: Handed) -> None:
    """Start main, where the launcher has not, and hold it; does not return."""
    settings = _settings(handed)
    plan = _plan(settings, handed.inherited)
    pid = posix.getpid()
    proc = Proc(pid, show_args=settings.log_args)
    launch = Launch(settings, handed.inherited, plan, proc, Terminal(), pid1=pid == 1)
    launch.signals_fd = handed.signals_fd
    failure = None
    if handed.main_pid:
        _take_over(launch, handed)
    else:
        failure = _launch(launch, handed)
    try:
        from pyinit import run  # main is running: now there is time to import the rest

        status = run.run(launch) if failure is None else run.refuse(launch, failure)
    except BaseException as error:  # noqa: BLE001  # no memory, no descriptor, a file gone: main must not pay for it
        if failure is not None:
            _write(2, f"{settings.name}: {failure.reason}\n")
            _leave(failure.status)
        if launch.inbox is not None:
            launch.inbox.close()  # nobody reads it: who sends is to hear that, and not to wait
        first = settings.stop_signal[0][0] if settings.stop_signal else None
        problem = f"{type(error).__name__}: {error}"
        _hold_on(launch.main_pid, problem, proc.children, settings.grace_s, first)
    _leave(status)


def _hold_on(
    main_pid: int, problem: str, children: Callable[[], list[int]], grace_s: float = 8.0, stop_signal: int | None = None
) -> NoReturn:
    """Hold main with the least that there is, and leave with its status."""
    _write(2, f"pyinit: going on without a log: {problem}\n")
    _leave(holdon.hold_on(main_pid, grace_s, children, stop_signal))


def _take_over(launch: Launch, handed: Handed) -> None:
    """Take over main, which the launcher has started: as `_launch` would have left it."""
    launch.main_pid, launch.started_at = handed.main_pid, handed.started_at
    launch.marked = launch.pid1 and launch.proc.have_marked(handed.filter)
    launch.count_oom_kills(handed.oom_kills)
    launch.home = spawn.leave_working_directory()


def _launch(launch: Launch, handed: Handed) -> spawn.SpawnError | None:
    """Make all ready for main, and start it; return why it could not be started, or None."""
    settings = launch.settings
    launch.log_fd = _open_log_file(settings)
    if settings.pdeathsig is not None:
        kernel.set_pdeathsig(settings.pdeathsig)
    if not launch.pid1 and settings.subreaper:
        _become_subreaper(settings)
    elif not launch.pid1:
        settings.subreaper = kernel.is_subreaper()  # who exec'd us may have made us one
    launch.before = launch.proc.children_exist_before_main()
    launch.marked = launch.pid1 and (launch.proc.have_marked(handed.filter) or launch.proc.mark_descendants())
    _prepare_service(launch)
    launch.home = spawn.leave_working_directory()
    launch.started_at = time.monotonic()
    try:
        if not settings.pause:
            launch.start_main(launch.count_oom_kills)
    except spawn.SpawnError as error:
        return error
    return None


def _plan(settings: Settings, inherited: spawn.Inherited) -> spawn.Plan:
    """Return how main is started, and let go of a terminal that it is to have; leave where it cannot be as asked."""
    plan = spawn.Plan(
        own_group=settings.main_group == "own",
        session=settings.main_session,
        unblock_signals=settings.unblock_signals,
    )
    plan.child = _child(settings, inherited)
    if plan.child is not None and plan.child.own_session is not None:
        plan.session = spawn.SESSION_NEW if plan.child.own_session else spawn.SESSION_KEEP
    terminal = plan.child.terminal if plan.child is not None else -1
    if plan.session == spawn.SESSION_OWN:
        terminal = 0
    if terminal >= 0 and let_go_of_terminal(terminal):
        kernel.take_pending((SIGHUP, SIGCONT))  # the kernel's word to who leads a session, and nobody's wish
    return plan


def _child(settings: Settings, inherited: spawn.Inherited) -> Child | None:
    """Return what the options make of main, or None where none is given; leave where it cannot be as asked."""
    if not settings.for_command:
        return None
    from pyinit.child.plan import prepare

    environ = dict(posix.environ)
    if inherited.lc_ctype is None:
        environ.pop(b"LC_CTYPE", None)
    else:
        environ[b"LC_CTYPE"] = inherited.lc_ctype
    try:
        return prepare(settings, environ)
    except options.UsageError as error:
        _complain(str(error), settings)


def _prepare_service(launch: Launch) -> None:
    """Make what tells us of the service: its environment, the notify socket, what the PID file holds so far."""
    settings = launch.settings
    launch.changes = _changes(settings, launch.inherited, launch.plan.child)
    if settings.pid_file is not None:
        from pyinit.pidfile import PidFile

        launch.pid_file = PidFile(settings.pid_file)
        if settings.clean_pid_file and launch.pid1:
            launch.uncleaned = launch.pid_file.clean()
    if settings.notify:
        from pyinit.notify import Inbox

        try:
            launch.inbox = Inbox()
        except OSError as error:
            text = f"--notify: no socket can be made ({error.strerror}). Leave the option out."
            _complain(text, settings)
        launch.changes[b"NOTIFY_SOCKET"] = launch.inbox.address
    if settings.termination_log is not None:
        _open_file("--termination-log", settings.termination_log, settings, keep=False)


def _settings(handed: Handed) -> Settings:
    """Read the command line as the program that we are called by does; leave where there is nothing to run."""
    name, arguments, inherited = handed.name, handed.arguments, handed.inherited
    try:
        if name.rpartition("/")[2] in options.PEERS:
            from pyinit import peers

            settings = peers.parse(name, arguments, posix.environ)
        else:
            settings = options.parse(arguments, posix.environ)
    except options.UsageError as error:
        if handed.main_pid:  # a launcher that is not of this pyinit: it starts nothing that we refuse
            kernel.send_group(handed.main_pid, SIGKILL)
            posix.waitpid(handed.main_pid, 0)
        _complain(str(error))
    if settings.action == "print":
        _write(settings.print_fd, settings.print_text)
        _leave(settings.exit_status)
    if settings.action != "run":
        from pyinit import reports  # --check, --dry-run

        child = _child(settings, inherited)
        changes = _changes(settings, inherited, child)
        main_uid = child.uid if child is not None else None
        text, status = reports.made(settings, inherited, changes, main_uid, launcher=handed.signals_fd >= 0)
        _write(1, text)
        _leave(status)
    return settings


def _handed_over(arguments: list[str]) -> Handed:
    """Take what the launcher wrote down, or find out what can be found out without it."""
    if not arguments or not arguments[0].startswith(_LAUNCHER):
        return Handed(_looked_up(), "pyinit", arguments)
    mask, ignored, closed, signals, has_lc_ctype, main_pid, started_ns, marked, oom = arguments[0].split(":")[1:10]
    inherited = spawn.Inherited(
        mask=int(mask, 16),
        ignored=int(ignored, 16),
        closed=int(closed),
        lc_ctype=_encode(arguments[1]) if has_lc_ctype == "1" else None,
    )
    handed = Handed(inherited, arguments[2], arguments[3:])
    handed.signals_fd = int(signals)
    if handed.signals_fd >= 0:
        posix.set_inheritable(handed.signals_fd, False)  # noqa: FBT003  # the only way to say it
    handed.main_pid, handed.started_at = int(main_pid), int(started_ns) / 1e9
    handed.filter = None if marked == "-" else int(marked, 16)
    handed.oom_kills = int(oom)
    return handed


def _looked_up() -> spawn.Inherited:
    """Look for ourselves, without the launcher (python -I -m pyinit).

    The interpreter has been here before us: what it always changes is taken to have been the default.
    """
    import _signal

    closed = 0
    for fd in range(3):
        try:
            posix.fstat(fd)
        except OSError:
            posix.open("/dev/null", posix.O_RDWR)
            closed |= 1 << fd
    ignored = 0
    for signo in kernel.ALL_SIGNALS - _CHANGED_BY_PYTHON:
        if _signal.getsignal(signo) == _signal.SIG_IGN:
            ignored |= 1 << (signo - 1)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    return spawn.Inherited(mask=0, ignored=ignored, closed=closed, lc_ctype=posix.environ.get(b"LC_CTYPE"))


def _changes(settings: Settings, inherited: spawn.Inherited, child: Child | None) -> dict[bytes, bytes | None]:
    """Return what is different in main's environment: our own variables go, LC_CTYPE is what it was (PEP 538)."""
    changes: dict[bytes, bytes | None] = dict.fromkeys(settings.own_variables)
    if posix.environ.get(b"LC_CTYPE") != inherited.lc_ctype:
        changes[b"LC_CTYPE"] = inherited.lc_ctype
    if child is not None:
        changes.update(child.changes)
    return changes


def _encode(argument: str) -> bytes:
    """Return the bytes that an argument of ours was made of."""
    return argument.encode(sys.getfilesystemencoding(), "surrogateescape")


def _open_log_file(settings: Settings) -> int:
    if settings.log_file is None:
        return -1
    return _open_file("--log-file", settings.log_file, settings)


def _open_file(option: str, path: str, settings: Settings, *, keep: bool = True) -> int:
    """Open a file to write to it, or leave with a complaint; return the descriptor, -1 when it is not to be kept."""
    flags = posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY
    if not keep:
        flags |= posix.O_NOFOLLOW  # as it will be written: by then main could have put a link there
    try:
        fd = posix.open(path, flags, 0o640)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        _complain(file_problem(option, path, why), settings)
    if keep:
        return fd
    posix.close(fd)
    return -1


def file_problem(option: str, path: str, why: str) -> str:
    """Return the complaint about a file that cannot be opened to write to it."""
    shown = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return f"{option} {shown}: {why}. Name a file that can be written, or leave the option out."


def _become_subreaper(settings: Settings) -> None:
    try:
        kernel.become_subreaper()
    except OSError as error:
        _complain(
            f"cannot become a subreaper ({error.strerror}): orphans would get away."
            " Run pyinit as PID 1, or where prctl(2) is allowed.",
            settings,
        )


def _complain(text: str, settings: Settings | None = None) -> NoReturn:
    """Say in one line what is wrong, by the name that we were called by, and leave: nothing has been started."""
    name, status = ("pyinit", spawn.NOT_STARTED) if settings is None else (settings.name, settings.error_status)
    _write(2, f"{name}: {text}\n")
    _leave(status)


def _write(fd: int, text: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    try:
        while data:
            data = data[posix.write(fd, data) :]
    except OSError:
        return  # nobody is there to read it; the status says it too


def _leave(status: int) -> NoReturn:
    """Leave at once: there is nothing that the interpreter should do first."""
    posix._exit(status)  # noqa: SLF001  # sys.exit would run what has no place here


if TYPE_CHECKING:
    from typing import NoReturn
