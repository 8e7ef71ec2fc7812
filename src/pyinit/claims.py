"""Proves that a number that somebody names is a living process below pyinit."""

from __future__ import annotations

import posix
from errno import EINVAL, ENOENT, errorcode

from pyinit import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.core.model import Process
    from pyinit.procfs import Proc

# So often the climb begins again because a parent ended meanwhile: its orphans are a step nearer to us then.
ATTEMPTS = 8
# So many generations are climbed at most.
GENERATIONS = 1024
_HIGHEST = 2**31 - 1  # what fits into a pid_t


class Located:
    """Where a number leads.

    Attributes:
        process: the process, or None where nothing is proven.
        root: the PID of pyinit's child that it is or hangs below; 0 without a process.
        reason: why nothing is proven, for people ("names PID 77, which has ended"); "" with a process.
    """

    __slots__ = ("process", "reason", "root")

    def __init__(self, process: Process | None, root: int, reason: str) -> None:
        self.process = process
        self.root = root
        self.reason = reason


def locate(proc: Proc, pid: int) -> Located:
    """Find a process below us by a number from a source that is not trusted.

    A child is proven by the kernel: until it is reaped, nobody else gets its number. Any other process is held by a
    descriptor (pidfd_open(2)), which the number of a thread does not give, and its parents are followed up to us.
    Without /proc only a child can be proven. Never raises for what a process does meanwhile.
    """
    if pid == posix.getpid():
        return _refused("names pyinit itself")
    if not 0 < pid <= _HIGHEST:
        return _refused(f"names PID {pid}, which no process has")
    if kernel.is_child(pid):
        child = proc.child(pid)
        return Located(child, pid, "") if child.alive else _ended(pid)
    if not proc.usable:
        return _refused(f"names PID {pid}, which is no child of pyinit; without /proc no other process is proven")
    return _locate_deeper(proc, pid)


def below(proc: Proc, pid: int) -> bool:
    """Say whether a PID means a process below us: its parents lead to us, and did so all the time."""
    for _ in range(ATTEMPTS):
        line = _climb(proc, pid)
        if _confirm(proc, line) is not None:
            return line[-1].ppid == posix.getpid()
    return False


def _locate_deeper(proc: Proc, pid: int) -> Located:
    try:
        fd = kernel.pidfd(pid)
    except OSError as error:
        if error.errno not in (EINVAL, ENOENT):
            name = errorcode.get(error.errno or 0, str(error.errno))
            return _refused(f"names PID {pid}, which cannot be held on to ({name})")
        # The kernel says EINVAL, from 6.15 on ENOENT; and so it may of a process that is just being reaped.
        return _ended(pid) if proc.describe(pid) is None else _refused("names a thread")
    if fd is None:
        return _refused(f"names PID {pid}, which no process has")
    try:
        return _locate_held(proc, pid, fd)
    finally:
        kernel.close(fd)


def _locate_held(proc: Proc, pid: int, fd: int) -> Located:
    for _ in range(ATTEMPTS):
        line = _climb(proc, pid)
        process = _confirm(proc, line)
        # Asked last: as long as the process is there, dead or alive, its number was nobody else's above.
        if kernel.send_pidfd(fd, 0) == kernel.GONE or (process is not None and not process.alive):
            return _ended(pid)
        if not line:
            return _refused(f"names PID {pid}, which /proc does not show")
        top = line[-1]
        if process is not None and top.ppid == posix.getpid():
            return Located(process, top.pid, "")
        if process is not None and top.ppid == 0:
            return _refused(f"names PID {pid}, which is not below pyinit")
    return _refused(f"names PID {pid}, whose parents cannot be followed up to pyinit")


def _climb(proc: Proc, pid: int) -> list[Process]:
    """List a process and its parents up to our child, or to where the PID namespace ends (parent 0).

    The line ends early where a parent vanishes, or is hidden (hidepid, proc(5)).
    """
    line: list[Process] = []
    while len(line) < GENERATIONS and (process := proc.describe(pid)) is not None:
        line.append(process)
        if process.ppid in (0, posix.getpid()):
            break
        pid = process.ppid
    return line


def _confirm(proc: Proc, line: list[Process]) -> Process | None:
    """Look again at a line of parents, the eldest first; return the process at its lower end if nothing changed.

    Who still has the parent that it had has had it all the time. So the parent that was read, and read again, in
    between was that parent, and nobody who got its number; and so on upwards.
    """
    now = None
    for process in reversed(line):
        now = proc.describe(process.pid)
        if now is None or (now.start_ticks, now.ppid) != (process.start_ticks, process.ppid):
            return None
    return now


def _ended(pid: int) -> Located:
    return _refused(f"names PID {pid}, which has ended")


def _refused(reason: str) -> Located:
    return Located(None, 0, reason)
