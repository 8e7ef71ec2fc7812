"""Looks at processes through /proc, without asking pyinit."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from support.waiting import DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Callable

PR_SET_CHILD_SUBREAPER = 36
# epoll_wait, epoll_pwait and epoll_pwait2, on x86-64 and arm64; the fourth argument of the first two is the timeout.
_EPOLL_WAITS = {"x86_64": {"232", "281", "441"}, "aarch64": {"22", "441"}}[os.uname().machine]
_FOR_EVER = 0xFFFFFFFF

_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """Orphans below this process come to it (PR_SET_CHILD_SUBREAPER, prctl(2))."""
    if _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def children(pid: int) -> list[int]:
    """Return the direct children of `pid`, those of all its threads; [] when it is gone."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    except OSError:
        pass
    return found


def descendants(pid: int) -> list[int]:
    """Everything below `pid`, parents before their children."""
    found = children(pid)
    for child in found:
        found += [grandchild for grandchild in children(child) if grandchild not in found]
    return found


def stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third one (state) on; [] when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].decode().split()
    except OSError:
        return []


def describe(pid: int) -> str:
    """Describe the process for a person: number, name, state."""
    try:
        name = Path(f"/proc/{pid}/comm").read_bytes().rstrip(b"\n").decode(errors="replace")
    except OSError:
        return f"{pid} (gone)"
    return f"{pid} ({name}, state {(stat(pid) or ['?'])[0]})"


def status_field(pid: int, name: str) -> str:
    """One field of /proc/PID/status, "" when it is not there."""
    try:
        for line in Path(f"/proc/{pid}/status").read_bytes().decode(errors="replace").splitlines():
            if line.startswith(f"{name}:"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return ""


def namespace_pid(pid: int) -> int:
    """Return the number that `pid` has in its own PID namespace."""
    return int((status_field(pid, "NSpid") or "0").split()[-1])


def wakeups(pid: int) -> int:
    """How often the threads of `pid` have been scheduled so far: their context switches."""
    count = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if "ctxt_switches" in line:
                count += int(line.split()[1])
    return count


def asleep(pid: int, *, for_ever: bool = False) -> bool:
    """Say whether pyinit sleeps in its one place: then it has dealt with all that has happened so far.

    `for_ever`: and whether nothing but an event will wake it up. No one file in /proc says so: by its state a process
    sleeps also where it looks for zombies; its system call is told as soon as it is off the CPU, and that it is as well
    in the moment in which it has been woken and waits for another CPU to take it (TASK_WAKING: state R).
    """
    if not _sleeps(pid) or int(status_field(pid, "ShdPnd") or "1", 16):
        return False
    try:
        call = Path(f"/proc/{pid}/syscall").read_text().split()
    except OSError:
        return False
    waits = call[0] in _EPOLL_WAITS and (not for_ever or int(call[4], 16) & _FOR_EVER == _FOR_EVER)
    return waits and _sleeps(pid)


def _sleeps(pid: int) -> bool:
    return stat(pid)[:1] == ["S"]


def wait_until_asleep(
    pid: int, over: Callable[[], bool] = lambda: False, *, for_ever: bool = False, timeout_s: float = DEADLINE_S
) -> None:
    """Wait until `asleep`, or `over`. Nothing tells this, so it is looked at again and again, without a pause."""
    end = time.monotonic() + timeout_s
    while not over() and not asleep(pid, for_ever=for_ever):
        assert time.monotonic() < end, f"{describe(pid)} has not come to rest within {timeout_s} s"
        os.sched_yield()


def reap_orphans() -> list[int]:
    """Reap every zombie child of this process; their numbers."""
    reaped = []
    try:
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            reaped.append(pid)
    except ChildProcessError:
        pass
    return reaped
