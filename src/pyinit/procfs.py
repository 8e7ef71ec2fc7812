"""Reads /proc: who our children are, what a process is, and who is below us.

Nothing here raises for a process that is gone: it is left out, or None. Imported before main runs: built-in modules
only.
"""

from __future__ import annotations

import posix
import time

from pyinit import kernel
from pyinit.core.events import View
from pyinit.core.model import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_RDONLY = posix.O_RDONLY | posix.O_CLOEXEC
_CHUNK = 1 << 16
_MAX_ARGS = 4096  # bytes of a command line that are kept
_CLOCK_BOOTTIME = 7
_PAGE: int = posix.sysconf("SC_PAGESIZE")
_SEEK_SET = 0  # lseek(2)
_SYSCTL = "/proc/sys/kernel/"
_RESERVED = 300  # not given out a second time
PID_MAX = 1 << 15  # the kernel's own choice (proc_sys_kernel(5), pid_max)

# A bit of the core dump filter that no dump needs (core(5): "dump DAX shared mappings"). Children inherit the filter
# over fork and exec, and everybody may read it; a process that the container's runtime brings in has its own.
_MARK = 0x100


class Used:
    """What a living process uses: seconds of all its threads, bytes of memory (RSS, proc_pid_stat(5)), threads."""

    __slots__ = ("cpu_s", "rss_bytes", "threads")

    def __init__(self, cpu_s: float, rss_bytes: int, threads: int) -> None:
        self.cpu_s = cpu_s
        self.rss_bytes = rss_bytes
        self.threads = threads


def _read_once(path: str | bytes, size: int = _CHUNK, at: int | None = None) -> bytes | None:
    """Read what one read(2) gives: enough for the files that the kernel makes in one piece (stat, status)."""
    try:
        fd = posix.open(path, _RDONLY, dir_fd=at)
    except OSError:
        return None
    try:
        return posix.read(fd, size)
    except OSError:
        return None
    finally:
        posix.close(fd)


def _fields(stat: bytes) -> tuple[bytes, list[bytes]]:
    """Split a stat into the name and the fields behind it, as far as they are told of: the state is number 0."""
    # The name is free text in parentheses: whatever it holds, the last one closes it.
    start, end = stat.find(b"("), stat.rfind(b")")
    return stat[start + 1 : end], stat[end + 2 :].split(None, 22)


def read_all(path: str) -> bytes:
    """Read a file to its end: lists come a page at a time. Empty when it cannot be read."""
    try:
        fd = posix.open(path, _RDONLY)
    except OSError:
        return b""
    parts = []
    try:
        while part := posix.read(fd, _CHUNK):
            parts.append(part)
    except OSError:
        pass  # the process, or the control group, has gone while we read: what was read is what there is
    finally:
        posix.close(fd)
    return b"".join(parts)


def _numbers(path: str) -> list[int]:
    """List the entries of a folder of /proc that are numbers."""
    try:
        return [int(name) for name in posix.listdir(path) if name.isdigit()]
    except OSError:
        return []


class Proc:
    """/proc as it is here. Degrades by what it finds, not by version.

    Attributes:
        usable: False when /proc is not mounted, or shows another PID namespace.
        lists_children: False when the kernel has no `children` files (CONFIG_PROC_CHILDREN).
    """

    def __init__(self, pid: int, *, show_args: bool = False) -> None:
        self._pid = pid
        self._show_args = show_args
        self._filter: int | None = None
        self._children_fd = -1
        self._highest = pid
        try:
            self.usable = posix.readlink("/proc/self") == str(pid)
        except OSError:
            self.usable = False
        if self.usable:
            try:
                self._children_fd = posix.open(f"/proc/self/task/{pid}/children", _RDONLY)
            except OSError:
                self._children_fd = -1
        self.lists_children = self._children_fd >= 0
        self._ticks_per_s: int = posix.sysconf("SC_CLK_TCK")
        self._monotonic_behind_boot = time.clock_gettime(_CLOCK_BOOTTIME) - time.monotonic()

    @property
    def fd(self) -> int:
        """The descriptor that is kept open, or -1."""
        return self._children_fd

    # -- our children -------------------------------------------------------------------------------------------

    def children(self, late: Callable[[], bool] | None = None) -> list[int]:
        """List our children, dead ones that are not reaped included, until it is `late`.

        Exact when it never was: only we take entries off this list, of which the kernel gives a page at a time.
        """
        if self._children_fd >= 0:
            parts, at = [], 0
            try:
                while part := posix.pread(self._children_fd, _CHUNK, at):
                    parts.append(part)
                    at += len(part)
                    if late is not None and late():
                        break
            except OSError:
                self._children_fd = -1
                return self.children()
            return [int(pid) for pid in b"".join(parts).split()]
        if self.usable:
            found = (self.describe(pid) for pid in _numbers("/proc"))
            return [process.pid for process in found if process is not None and process.ppid == self._pid]
        return self._probe()

    def newcomers(self, *, from_start: bool) -> list[int]:
        """List the next of our children, or `from_start` the first: a page of them, none at the end.

        The kernel appends to the list, and only we take entries off it: as long as we reap nobody, who is new stands
        behind what has been read. To find him takes microseconds, however many dead stand before him. Without such a
        list all children are listed each time.
        """
        if self._children_fd < 0:
            return self.children()
        try:
            if from_start:
                posix.lseek(self._children_fd, 0, _SEEK_SET)
            return [int(pid) for pid in posix.read(self._children_fd, _CHUNK).split()]
        except OSError:
            return self.children()

    def newest_pids(self, count: int) -> Iterable[int]:
        """List so many numbers of our PID namespace, that which was given out last first; none if nobody says which.

        The kernel gives them out upwards, and from 300 on again when it has come to the end (proc_sys_kernel(5)).
        """
        last, end = (_read_once(_SYSCTL + name) if self.usable else None for name in ("ns_last_pid", "pid_max"))
        if not last or not end:
            return []
        newest, lowest = int(last), _RESERVED if int(last) > _RESERVED else 1
        below = range(newest, max(lowest, newest - count), -1)
        highest = int(end) - 1
        return [*below, *range(highest, max(newest, highest - (count - len(below))), -1)] if lowest > 1 else below

    def _probe(self) -> list[int]:
        """Find our children without /proc: ask the kernel for each PID up to the newest whether it is ours."""
        try:
            last = self._highest = max(self._highest, kernel.newest_pid())
        except OSError:
            # EAGAIN, ENOMEM: nobody can make a process, we neither. Who came since we last could has a higher number.
            last = max(2 * self._highest, PID_MAX)
        return [pid for pid in range(2, last + 1) if pid != self._pid and kernel.is_child(pid)]

    # -- one process --------------------------------------------------------------------------------------------

    def describe(self, pid: int) -> Process | None:
        """Describe a process, a zombie too (proc_pid_stat(5)); None when it is gone."""
        data = _read_once(f"/proc/{pid}/stat", 4096) if self.usable else None
        return self._process(pid, *_fields(data)) if data else None

    def last_of(self, pid: int) -> tuple[bytes, int, int, int, int] | None:
        """Say of a zombie its name, and the numbers ppid, pgid, sid and start_ticks, as `describe` does; None likewise.

        For those who end by the thousand: a `Process` that nobody asks for takes as long as to read this.
        """
        data = _read_once(b"/proc/%d/stat" % pid, 4096) if self.usable else None
        if not data:
            return None
        name, fields = _fields(data)
        return name, int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19])

    def measure(self, pid: int) -> tuple[Process, Used] | None:
        """Describe a process, and say what it uses; None when it cannot be read."""
        try:
            return self.measured(pid, *self.read(pid)) if self.usable else None
        except OSError:
            return None

    def read(self, pid: int, at: int | None = None) -> tuple[bytes, int]:
        """Read of a process what `measured` needs: its stat, and the uid of its owner.

        `at`: /proc as a descriptor. For many processes to look for /proc each time is a tenth of the work.

        Raises:
            OSError: ENOENT or ESRCH when it is gone, or hidden from us (hidepid=, proc(5)); EMFILE and the like.

        """
        folder = f"/proc/{pid}" if at is None else str(pid)
        fd = posix.open(f"{folder}/stat", _RDONLY, dir_fd=at)
        try:
            data = posix.read(fd, 4096)
        finally:
            posix.close(fd)
        return data, posix.stat(folder, dir_fd=at).st_uid

    def measured(self, pid: int, data: bytes, uid: int) -> tuple[Process, Used]:
        """Say of a process that was read what it is, and what it used."""
        name, fields = _fields(data)
        process = self._process(pid, name, fields)
        process.uid = uid
        cpu_s = process.used_ticks / self._ticks_per_s
        return process, Used(cpu_s, max(0, int(fields[21])) * _PAGE, int(fields[17]))

    def _process(self, pid: int, name: bytes, fields: list[bytes]) -> Process:
        ticks = int(fields[19])
        # A leader whose other threads go on shows as a zombie too, but has more than the one thread.
        dead = fields[0] in (b"Z", b"X") and int(fields[17]) <= 1
        return Process(
            pid,
            ppid=int(fields[1]),
            pgid=int(fields[2]),
            sid=int(fields[3]),
            start_ticks=ticks,
            born_s=ticks / self._ticks_per_s - self._monotonic_behind_boot,
            name=name.decode("utf-8", "backslashreplace"),
            state=chr(fields[0][0]),
            used_ticks=int(fields[11]) + int(fields[12]),
            alive=not dead,
        )

    def child(self, pid: int) -> Process:
        """Describe a child of ours, from whatever there is to know: it is pinned, so the number itself is true."""
        process = self.describe(pid)
        if process is None:
            try:
                process = Process(pid, ppid=self._pid, pgid=posix.getpgid(pid), sid=posix.getsid(pid))
            except OSError:
                process = Process(pid, ppid=self._pid)
            process.alive = kernel.peek_at(pid) is None
        if process.alive and self.usable:
            try:
                process.uid = posix.stat(f"/proc/{pid}").st_uid
            except OSError:
                process.uid = -1
            if self._show_args:
                process.args = self.command_line(pid)
            process.foreign = self._is_foreign(pid)
        return process

    def command_line(self, pid: int) -> tuple[str, ...]:
        """Read the arguments of a process, at most 4096 bytes of them."""
        data = (_read_once(f"/proc/{pid}/cmdline", _MAX_ARGS) or b"").rstrip(b"\0")
        return tuple(part.decode("utf-8", "backslashreplace") for part in data.split(b"\0")) if data else ()

    def same(self, process: Process) -> bool:
        """Say whether the PID still means this very process: the start time is the same."""
        now = self.describe(process.pid)
        return now is not None and now.start_ticks == process.start_ticks

    # -- who came from main -------------------------------------------------------------------------------------

    def mark_descendants(self) -> bool:
        """Mark what is born below us from now on, so that orphans from elsewhere can be told; False if impossible."""
        data = _read_once("/proc/self/coredump_filter") if self.usable else None
        if not data:
            return False
        own = int(data, 16)
        try:
            fd = posix.open("/proc/self/coredump_filter", posix.O_WRONLY | posix.O_CLOEXEC)
            try:
                posix.write(fd, b"%#x" % (own ^ _MARK))
            finally:
                posix.close(fd)
        except OSError:
            return False
        changed = _read_once("/proc/self/coredump_filter")
        if not changed or int(changed, 16) != own ^ _MARK:
            return False
        self._filter = own
        return True

    def have_marked(self, own: int | None) -> bool:
        """Take it that the mark is there, and that `own` is the filter without it; None: there is no mark."""
        self._filter = own
        return own is not None

    def _is_foreign(self, pid: int) -> bool:
        """Say whether it is proven that a process is not from below us: it has the filter that we came with."""
        if self._filter is None:
            return False
        data = _read_once(f"/proc/{pid}/coredump_filter")
        try:
            return bool(data) and int(data or b"0", 16) == self._filter
        except ValueError:
            return False

    # -- below us -----------------------------------------------------------------------------------------------

    def view(self, process: Process, signo: int) -> View | None:
        """Look again at a process: what it is now, the signals that it ignores; None when it is gone.

        With its children where it ignores the signal `signo`, which is to go to them then.
        """
        ignored = 0
        for line in (_read_once(f"/proc/{process.pid}/status") or b"").split(b"\n"):
            if line.startswith(b"SigIgn:"):
                ignored = int(line.split()[1], 16)
        below = self.children_of(process.pid) if ignored << 1 >> signo & 1 else []
        children = [child for pid in below if (child := self.describe(pid)) is not None]
        # Looked at last: had the PID been handed on in between, all of the above would be somebody else's.
        now = self.describe(process.pid) if self.usable else process
        if now is None or now.start_ticks != process.start_ticks:
            return None
        return View(now, ignored, children)

    def walk(self, late: Callable[[], bool]) -> tuple[list[Process], bool]:
        """List every descendant, nearest first, until it is `late`, and say whether none can be hidden from us.

        Exact for those that neither fork nor lose a parent meanwhile. What hangs below a child that cannot be looked at
        (no /proc, or one with hidepid=, proc(5)) is hidden.
        """
        if not self.usable:
            return [self.child(pid) for pid in self.children()], False
        complete = True
        seen: set[int] = set()
        found: list[Process] = []
        pids = self.children(late)
        while pids:
            below: list[int] = []
            for pid in pids:
                if late():
                    return found, complete
                if pid in seen:
                    continue
                seen.add(pid)
                process = self.describe(pid)
                if process is not None:
                    found.append(process)
                    below += self.children_of(pid)
                elif kernel.is_child(pid):
                    found.append(self.child(pid))
                    complete = False
                elif kernel.exists(pid):
                    complete = False
            pids = below
        return found, complete

    def children_of(self, pid: int, threads: int = 0) -> list[int]:
        """List the children of any process: they hang off the thread that forked them. One thread has its PID."""
        if not self.usable:
            return []
        if not self.lists_children:
            everybody = (self.describe(other) for other in _numbers("/proc"))
            return [process.pid for process in everybody if process is not None and process.ppid == pid]
        return [
            int(child)
            for thread in ([pid] if threads == 1 else _numbers(f"/proc/{pid}/task"))
            for child in read_all(f"/proc/{pid}/task/{thread}/children").split()
        ]

    def children_exist_before_main(self) -> list[int]:
        """List the children that this process was born with: whoever exec'd pyinit had started them."""
        try:
            kernel.peek()
        except kernel.NoChildren:
            return []
        return self.children()
