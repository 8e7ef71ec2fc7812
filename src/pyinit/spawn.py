"""Starts main: its process group, session and terminal, its signals, its environment, and the exec.

Imported before main runs: built-in modules only. All that a command gets from pyinit is decided in this module.
"""

from __future__ import annotations

import _signal
import posix

from pyinit import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

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
# What execvp(3) takes when there is no PATH at all.
_DEFAULT_PATH = b"/bin:/usr/bin"
_SHELL = b"/bin/sh"

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
    """Main could not be started: `status` is 125, 126 or 127; `errno` says why; `reason` says it to people."""

    def __init__(self, status: int, errno: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.errno = errno
        self.reason = reason


class Terminal:
    """pyinit's controlling terminal, if it has one.

    Attributes:
        fd: a descriptor of /dev/tty, or -1 without a controlling terminal.
        foreground: True when pyinit's process group is the terminal's foreground group, and so can give it away.
    """

    __slots__ = ("fd", "foreground")

    def __init__(self) -> None:
        self.foreground = False
        try:
            self.fd = posix.open("/dev/tty", posix.O_RDWR | posix.O_CLOEXEC | posix.O_NOCTTY)
        except OSError:  # ENXIO: no controlling terminal; ENOENT: no /dev
            self.fd = -1
            return
        try:
            self.foreground = posix.tcgetpgrp(self.fd) == posix.getpgrp()
        except OSError:  # ENOTTY: hung up since
            self.foreground = False

    def give(self, pgid: int) -> None:
        """Make a process group the foreground group, if the foreground is ours (tcsetpgrp(3))."""
        if self.fd >= 0 and self.foreground:
            try:
                posix.tcsetpgrp(self.fd, pgid)
            except OSError:
                # ENOTTY, ENXIO: the terminal has gone; EPERM, ESRCH: the group has. Neither stops a run.
                return

    def take_back(self) -> None:
        """Make pyinit's own process group the foreground group again."""
        self.give(posix.getpgrp())


def spawn(
    command: Sequence[bytes], changes: Mapping[bytes, bytes | None], inherited: Inherited, terminal: Terminal
) -> int:
    """Start the command in its own process group, and in its own session where there is no terminal.

    It gets the environment of this process entry by entry, odd ones too, but for the changes: names with the value
    they get, or None for those that are taken out.

    Returns its PID. Raises SpawnError: 127 when it is not found, 126 when it is found and cannot be executed, 125
    when there can be no new process (fork(2): EAGAIN, ENOMEM).
    """
    told, tell = posix.pipe2(posix.O_CLOEXEC)
    try:
        pid = posix.fork()
    except OSError as error:
        posix.close(told)
        posix.close(tell)
        raise _failure(command[0], error.errno or kernel.EAGAIN) from None
    if pid == 0:
        _become(command, changes, inherited, terminal, tell)
    posix.close(tell)
    if terminal.fd >= 0:
        try:  # noqa: SIM105  # contextlib is not to be imported before main runs
            posix.setpgid(pid, pid)
        except OSError:
            pass  # EACCES: it has done so itself, and is past its exec; ESRCH: it has ended already
        terminal.give(pid)
    said = posix.read(told, 16)
    posix.close(told)
    if said:
        posix.waitpid(pid, 0)
        terminal.take_back()
        raise _failure(command[0], int(said))
    return pid


def _candidates(name: bytes) -> Iterator[bytes]:
    """Yield the paths that a name may stand for, as execvp(3) looks for it."""
    if b"/" in name:
        yield name
        return
    for folder in posix.environ.get(b"PATH", _DEFAULT_PATH).split(b":"):
        yield (folder or b".") + b"/" + name


def _failure(name: bytes, errno: int) -> SpawnError:
    text = name.decode("utf-8", "backslashreplace")
    why = posix.strerror(errno)
    if errno in {kernel.EAGAIN, kernel.ENOMEM}:
        return SpawnError(NOT_STARTED, errno, f"no new process can be made ({why})")
    if errno in _NOT_HERE:
        hint = "is not there, or its interpreter is not" if b"/" in name else "was not found in PATH"
        return SpawnError(NOT_FOUND, errno, f"{text} {hint} ({why})")
    return SpawnError(NOT_EXECUTABLE, errno, f"{text} cannot be executed ({why})")


def _try_each(command: Sequence[bytes], execute: Callable[[bytes, list[bytes]], object]) -> None:
    """Execute the command at the first place where it is, as execvp(3) does.

    A file in no format that the kernel knows is a script for /bin/sh. Raises SpawnError.
    """
    errno = _ENOENT
    for path in _candidates(command[0]):
        try:
            execute(path, list(command))
        except OSError as error:
            failed = error.errno or _ENOENT
        if failed == _ENOEXEC:
            try:
                execute(_SHELL, [_SHELL, path, *command[1:]])
            except OSError as error:
                raise _failure(command[0], error.errno or _ENOENT) from None
        if failed == _EACCES:
            errno = _EACCES  # go on as execvp(3) does, and remember that there was one
        elif failed not in _NOT_HERE:
            raise _failure(command[0], failed)
    raise _failure(command[0], errno)


def _become(
    command: Sequence[bytes],
    changes: Mapping[bytes, bytes | None],
    inherited: Inherited,
    terminal: Terminal,
    tell: int,
) -> None:
    """In the child: turn into the command, or say errno through the pipe. Does not return."""
    errno = _ENOENT
    try:
        if terminal.fd < 0:
            posix.setsid()
        else:
            posix.setpgid(0, 0)
            terminal.give(posix.getpid())
        for signo in _CHANGED:
            ignored = inherited.ignored >> (signo - 1) & 1
            _signal.signal(signo, _signal.SIG_IGN if ignored else _signal.SIG_DFL)
        for fd in range(3):
            if inherited.closed >> fd & 1:
                posix.close(fd)
        mask = [signo for signo in kernel.ALL_SIGNALS if inherited.mask >> (signo - 1) & 1]
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
        for name, value in changes.items():
            if value is None:
                posix.unsetenv(name)
            else:
                posix.putenv(name, value)
        _try_each(command, posix.execv)
    except SpawnError as error:
        errno = error.errno
    except OSError as error:
        errno = error.errno or _ENOENT
    finally:
        try:
            posix.write(tell, b"%d" % errno)
        finally:
            posix._exit(NOT_STARTED)  # noqa: SLF001  # in a forked child nothing else is right
