"""Starts main: its process group, session and terminal, its signals, its environment, and the exec.

Imported before main runs: built-in modules only. All that a command gets from pyinit is decided in this module.
"""

from __future__ import annotations

import _signal
import posix

from pyinit import kernel
from pyinit.terminal import own_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pyinit.child.plan import Child
    from pyinit.child.step import Step
    from pyinit.terminal import Terminal

_ENOEXEC = 8
_EACCES = 13
_ENOENT = 2
_ENOTDIR = 20
# execvp(3) goes on to the next folder of PATH after these: not there, not a folder, a stale or missing device, a
# time-out of a network file system.
_NOT_HERE = frozenset((_ENOENT, _ENOTDIR, 19, 110, 116))
_SIGCHLD = 17
# Whose dispositions pyinit does not leave as they were: the interpreter ignores SIGPIPE and SIGXFSZ, the launcher takes
# SIGCHLD back. (posix_spawn(3) would be quicker, and leaves glibc's signals 32 and 33 ignored in the child.)
_CHANGED = (_SIGCHLD, 13, 25)
_INTERNAL = 0b11 << 31  # 32 and 33 in a mask: the C library's own, which its functions never block
# What execvp(3) takes when there is no PATH at all.
_DEFAULT_PATH = b"/bin:/usr/bin"
_SHELL = b"/bin/sh"

SESSION_AUTO = "auto"
SESSION_OWN = "own"
SESSION_NEW = "new"
SESSION_KEEP = "keep"

NOT_STARTED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127


class Inherited:
    """What pyinit was started with, and main gets back.

    mask and ignored are bit sets (bit N-1 for signal N); closed has bit N set when descriptor N of 0 to 2 was
    closed at the start, and holds a place-holder now; lc_ctype is the value of LC_CTYPE, or None when it was not set.
    """

    __slots__ = ("closed", "ignored", "lc_ctype", "mask")

    def __init__(self, *, mask: int, ignored: int, closed: int, lc_ctype: bytes | None) -> None:
        self.mask = mask
        self.ignored = ignored
        self.closed = closed
        self.lc_ctype = lc_ctype


class SpawnError(Exception):
    """Main could not be started.

    `status` is 125, 126 or 127, `errno` says why, `reason` says it to people, `pid` is the child's or 0; `step` is the
    one that has failed, where an option asked for too much.
    """

    def __init__(self, status: int, errno: int, reason: str, step: Step | None = None) -> None:
        super().__init__(reason)
        self.pid = 0
        self.step = step
        self.status = status
        self.errno = errno
        self.reason = reason


class Plan:
    """How main is started, apart from what it inherits.

    Attributes:
        own_group: False: main stays in pyinit's process group and session.
        session: SESSION_AUTO: a session of its own where there is no controlling terminal; SESSION_NEW: always;
            SESSION_OWN: always, and the terminal of descriptor 0 becomes its own; SESSION_KEEP: never.
        unblock_signals: True: main starts with no signal blocked, whatever pyinit was started with.
        child: what else the options ask for, or None.
    """

    __slots__ = ("child", "own_group", "session", "unblock_signals")

    def __init__(
        self,
        *,
        own_group: bool = True,
        session: str = SESSION_AUTO,
        unblock_signals: bool = False,
        child: Child | None = None,
    ) -> None:
        self.child = child
        self.own_group = own_group
        self.session = session
        self.unblock_signals = unblock_signals


def spawn(  # noqa: PLR0913, PLR0917  # all that main is made of
    command: Sequence[bytes],
    changes: Mapping[bytes, bytes | None],
    inherited: Inherited,
    terminal: Terminal,
    plan: Plan,
    home: int,
    meanwhile: Callable[[], None],
) -> int:
    """Start the command in its own process group, and in its own session where there is no terminal (see Plan).

    It gets the environment of this process entry by entry, odd ones too, but for the changes: names with the value
    they get, or None for those that are taken out. `home` is a descriptor of its working directory, or -1. `meanwhile`
    is called as soon as the new process is there, while that turns into the command.

    Returns its PID. Raises SpawnError: 127 when it is not found, 126 when it is found and cannot be executed, 125
    when there can be no new process (fork(2): EAGAIN, ENOMEM), or when it cannot be as the options want it.
    """
    told, tell = posix.pipe2(posix.O_CLOEXEC)
    try:
        pid = posix.fork()
    except OSError as error:
        posix.close(told)
        posix.close(tell)
        raise _failure(command[0], error.errno or kernel.EAGAIN) from None
    if pid == 0:
        _become(command, changes, inherited, terminal, plan, home, tell)
    posix.close(tell)
    meanwhile()
    if _shares_session(terminal, plan):
        try:  # noqa: SIM105  # contextlib is not to be imported before main runs
            posix.setpgid(pid, pid)
        except OSError:
            pass  # EACCES: it has done so itself, and is past its exec; ESRCH: it has ended already
        terminal.give(pid)
    said = posix.read(told, 32)
    posix.close(told)
    if said:
        posix.waitpid(pid, 0)
        terminal.take_back(pid)
        errno, at = map(int, said.split())
        if at < 0 or plan.child is None:
            failure = _failure(command[0], errno, executed=True)
        else:
            failure = _refused(plan.child.steps[at], errno)
        failure.pid = pid
        raise failure
    return pid


def leave_working_directory() -> int:
    """Go to the root, before main can look where we are; return a descriptor of where we were, for main, or -1.

    Where that cannot be opened, or the root not be entered, we stay.
    """
    try:
        home = posix.open(".", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError:
        return -1
    try:
        posix.chdir("/")
    except OSError:
        posix.close(home)
        return -1
    return home


def _shares_session(terminal: Terminal, plan: Plan) -> bool:
    """Say whether main gets a process group of its own in our session."""
    return plan.own_group and (plan.session == SESSION_KEEP or (plan.session == SESSION_AUTO and terminal.fd >= 0))


def _candidates(name: bytes, path: bytes) -> Iterator[bytes]:
    """Yield the paths that a name may stand for, as execvp(3) looks for it in these folders."""
    if b"/" in name:
        yield name
        return
    for folder in path.split(b":"):
        yield (folder or b".") + b"/" + name


def _failure(name: bytes, errno: int, *, executed: bool = False) -> SpawnError:
    """Say why there is no process, or, where it was `executed`, why that has failed."""
    text = name.decode("utf-8", "backslashreplace")
    why = posix.strerror(errno)
    if executed and errno == kernel.EAGAIN:  # what setuid(2) lets pass and counts here, execve(2)
        return SpawnError(NOT_STARTED, errno, f"its user has more processes than the limit NPROC allows ({why})")
    if errno in {kernel.EAGAIN, kernel.ENOMEM}:
        return SpawnError(NOT_STARTED, errno, f"no new process can be made ({why})")
    if errno in _NOT_HERE:
        hint = "is not there, or its interpreter is not" if b"/" in name else "was not found in PATH"
        return SpawnError(NOT_FOUND, errno, f"{text} {hint} ({why})")
    return SpawnError(NOT_EXECUTABLE, errno, f"{text} cannot be executed ({why})")


def _refused(step: Step, errno: int) -> SpawnError:
    from pyinit.child import failures  # needed for a message only

    return SpawnError(NOT_STARTED, errno, failures.tell(step, errno), step)


def try_each(command: Sequence[bytes], path: bytes, execute: Callable[[bytes, list[bytes]], object]) -> None:
    """Execute the command at the first place where it is, as execvp(3) does.

    A file in no format that the kernel knows is a script for /bin/sh. Raises SpawnError.
    """
    errno = _ENOENT
    for place in _candidates(command[0], path):
        try:
            execute(place, list(command))
        except OSError as error:
            failed = error.errno or _ENOENT
        if failed == _ENOEXEC:
            try:
                execute(_SHELL, [_SHELL, place, *command[1:]])
            except OSError as error:
                raise _failure(command[0], error.errno or _ENOENT) from None
        if failed != _EACCES and failed not in _NOT_HERE:
            raise _failure(command[0], failed)
        if errno != _EACCES:  # go on as execvp(3) does, and remember that there was one that is not for us
            errno = failed
    raise _failure(command[0], errno)


def _become(  # noqa: PLR0913, PLR0917  # all that main is made of
    command: Sequence[bytes],
    changes: Mapping[bytes, bytes | None],
    inherited: Inherited,
    terminal: Terminal,
    plan: Plan,
    home: int,
    tell: int,
) -> None:
    """In the child: turn into the command, or say errno through the pipe. Does not return."""
    progress = _Progress()
    errno = _ENOENT
    try:
        _enter_session(terminal, plan)
        if home >= 0:
            posix.fchdir(home)
        if plan.child is not None:
            progress.take(plan.child.steps)
        restore_signals(inherited, 0 if plan.unblock_signals else inherited.mask)
        for fd in range(3):
            if inherited.closed >> fd & 1 and not (plan.child is not None and plan.child.replaced >> fd & 1):
                posix.close(fd)
        path, execute = change_environment(changes, clear=plan.child is not None and plan.child.clear)
        try_each(command, path, execute)
    except SpawnError as error:
        errno = error.errno
    except OSError as error:
        errno = error.errno or _ENOENT
    except MemoryError:
        errno = kernel.ENOMEM  # a limit that not even this fits in
    finally:
        try:
            posix.write(tell, b"%d %d" % (errno, progress.at))
        finally:
            posix._exit(NOT_STARTED)  # noqa: SLF001  # in a forked child nothing else is right


def _enter_session(terminal: Terminal, plan: Plan) -> None:
    """Make the process group and the session that main is to have."""
    if _shares_session(terminal, plan):
        posix.setpgid(0, 0)
        terminal.give(posix.getpid())
    elif plan.own_group:
        posix.setsid()
        if plan.session == SESSION_OWN:
            own_terminal()


class _Progress:
    """The number of the step that is being taken; -1 before the first one and behind the last one."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = -1

    def take(self, steps: Sequence[Step]) -> None:
        """Take all steps. Raises OSError."""
        for self.at, step in enumerate(steps):
            step.call()
        self.at = -1


def search_path(changes: Mapping[bytes, bytes | None], *, clear: bool = False) -> bytes:
    """Return the PATH of main's environment, in which the command is looked for."""
    found = changes.get(b"PATH", None if clear else posix.environ.get(b"PATH"))
    return _DEFAULT_PATH if found is None else found


def change_environment(
    changes: Mapping[bytes, bytes | None], *, clear: bool = False
) -> tuple[bytes, Callable[[bytes, list[bytes]], object]]:
    """Make the environment of this process main's; return its PATH, and what executes a file in that environment.

    Descriptors that were passed to us are main's now, so LISTEN_PID becomes its PID (sd_listen_fds(3)), and so does
    WATCHDOG_PID (sd_watchdog_enabled(3)). With `clear` there is nothing in it but what the changes set.
    """
    present = {} if clear else posix.environ
    changes = dict(changes)
    for name in (b"LISTEN_PID", b"WATCHDOG_PID"):
        if changes.get(name, present.get(name)) == b"%d" % posix.getppid():
            changes[name] = b"%d" % posix.getpid()
            if name == b"LISTEN_PID":
                changes[b"LISTEN_PIDFDID"] = None  # it names the same process by another number
    path = search_path(changes, clear=clear)
    if clear:
        fresh = {name: value for name, value in changes.items() if value is not None}
        return path, lambda file, words: posix.execve(file, words, fresh)
    for name, value in changes.items():
        if value is None:
            posix.unsetenv(name)
        else:
            posix.putenv(name, value)
    return path, posix.execv


def restore_signals(inherited: Inherited, mask: int) -> None:
    """Give back the dispositions that pyinit was started with, and set the mask (bit N-1 for signal N)."""
    for signo in _CHANGED:
        ignored = inherited.ignored >> (signo - 1) & 1
        _signal.signal(signo, _signal.SIG_IGN if ignored else _signal.SIG_DFL)
    blocked = [signo for signo in kernel.ALL_SIGNALS if mask >> (signo - 1) & 1]
    if mask & _INTERNAL == _INTERNAL:
        # A mask that the C library sets lets 32 and 33 through. The launcher has blocked them: they are left alone.
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, kernel.ALL_SIGNALS.difference(blocked))
    else:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, blocked)
