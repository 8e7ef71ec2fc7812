"""What a process is, asked from outside: /proc, and the calls that tell of another one."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path
from typing import NamedTuple

from support import procs

_IOPRIO_GET = {"x86_64": 252, "aarch64": 31}
_libc = ctypes.CDLL(None, use_errno=True)


class Outside(NamedTuple):
    """One look at a process.

    Attributes:
        status: /proc/PID/status, field by field.
        limits: soft and hard of each limit, by the name that the kernel writes.
        nice, session, group, terminal: from /proc/PID/stat.
        ioprio: class and level, ioprio_get(2).
        oom_score_adj, filter: OOM score adjustment and core dump filter.
        cwd: the working directory.
        environ: the environment, entry by entry.
        fds: where each descriptor leads.

    """

    status: dict[str, str]
    limits: dict[str, tuple[str, str]]
    nice: int
    group: int
    session: int
    terminal: int
    ioprio: tuple[int, int]
    oom_score_adj: int
    filter: str
    cwd: str
    environ: list[bytes]
    fds: dict[int, str]


def look(pid: int) -> Outside:
    """Look at a process that lives."""
    proc = Path(f"/proc/{pid}")
    status = {}
    for line in (proc / "status").read_text(errors="replace").splitlines():
        name, _, value = line.partition(":")
        status[name] = " ".join(value.split())
    limits = {}
    for line in (proc / "limits").read_text().splitlines()[1:]:
        soft, hard = line[26:].split()[:2]
        limits[line[:26].strip()] = (soft, hard)
    stat = procs.stat(pid)
    prio = _libc.syscall(_IOPRIO_GET[platform.machine()], 1, pid)
    return Outside(
        status=status,
        limits=limits,
        nice=int(stat[16]),
        group=int(stat[2]),
        session=int(stat[3]),
        terminal=int(stat[4]),
        ioprio=(prio >> 13, prio & 0x1FFF),
        oom_score_adj=int((proc / "oom_score_adj").read_text()),
        filter=(proc / "coredump_filter").read_text().strip(),
        cwd=str((proc / "cwd").readlink()),
        environ=[entry for entry in (proc / "environ").read_bytes().split(b"\0") if entry],
        fds={int(name): os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(proc / "fd")},  # noqa: PTH115, PTH208
    )


def capabilities(text: str) -> set[int]:
    """Return the numbers of a set of capabilities as /proc writes it."""
    bits = int(text, 16)
    return {number for number in range(64) if bits >> number & 1}
