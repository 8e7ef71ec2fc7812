"""Describes every process below pyinit, a step at a time."""

from __future__ import annotations

import posix
import time
from errno import EPERM, errorcode

from pyinit import kernel
from pyinit.control import children
from pyinit.core.model import ADOPTED, COMMAND, FOREIGN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyinit.core.model import Process
    from pyinit.core.roster import Roster
    from pyinit.procfs import Proc, Used

    Row = dict[str, object]

DESCENDANT = "descendant"
# Who loses its parent while we look comes to us: so often is looked again.
LOOKS = 8
# So many of our children are passed over in one step.
SKIPPED = 500

# Why somebody is missing.
NO_PROC = "/proc is not there, or of another PID namespace: whoever is no child of pyinit cannot be seen"
HIDDEN = "/proc hides other users' processes (hidepid=)"


class _Parent:
    """Somebody whose children are looked at.

    Attributes:
        mains: whether it came from main.
        waiting: those of its children that are still to be looked at, the last one first.
        again: its list is to be read, for the first time or because it may have been incomplete.
        looks: so often it may be.
        unread: children that could not be read. Who has gone is not on the list any more when it is read again.
        failed: its list could not be read.
    """

    __slots__ = ("again", "failed", "looks", "mains", "pid", "threads", "unread", "waiting")

    def __init__(self, pid: int, threads: int, *, mains: bool) -> None:
        self.pid = pid
        self.threads = threads
        self.mains = mains
        self.waiting: list[int] = []
        self.again = True
        self.looks = LOOKS
        self.unread: set[int] = set()
        self.failed = False


class Tree:
    """Walks the tree of our descendants.

    Exact for those that neither fork nor lose their parent meanwhile; who comes to us during the walk is found at its
    end. Without /proc only our children are known, and little of them. `reaped` says how many pyinit has reaped.

    Attributes:
        unread: so many processes were there and could not be read; nobody knows who is below them.
        why: why anybody may be missing, each reason once; empty: nobody is.
    """

    def __init__(self, proc: Proc, roster: Roster, reaped: Callable[[], int]) -> None:
        self._proc = proc
        self._roster = roster
        self._reaped = reaped
        self._pid = posix.getpid()
        self._now = time.monotonic()
        self.unread = 0
        self.why: list[str] = []

    def rows(self) -> Iterator[Row | None]:
        """Yield the processes, parents before their children, and None behind each step of the work that brought none.

        A step is some 30 µs: a process that was read is described, or a list of children is read to its end, and then
        the next process. Each piece of a long list is a step, too.
        """
        if not self._proc.usable:
            self.why.append(NO_PROC)
            for process in self._roster.alive:
                ended = self._roster.get(process.pid) is not process
                yield None if ended else self._row(process, None, self._roster.role(process), ())
        elif self._proc.lists_children:
            at = _open_proc()
            try:
                yield from self._walk(at)
            finally:
                if at is not None:
                    posix.close(at)
        else:
            yield from self._scan()

    def _walk(self, at: int | None) -> Iterator[Row | None]:
        """Go down the tree, parents before their children, with /proc open `at` a descriptor.

        A list that is read in pieces is exact unless somebody on it is reaped meanwhile. Who is listed is looked at
        afterwards: whoever has gone by then may have made us miss another, and the list is read again.
        """
        seen: set[int] = set()
        line = [_Parent(self._pid, threads=1, mains=True)]
        while line:
            parent, ours = line[-1], len(line) == 1
            if parent.waiting:
                pid = parent.waiting.pop()
                if pid in seen:
                    continue
                reaped, read = self._reaped() if ours else 0, self._read(pid, at)
                yield None
                if ours and self._reaped() != reaped:  # its number may be somebody else's by now
                    read = self._read(pid, at)
                yield self._next_child(line, seen, pid, read)
            elif not parent.again or not parent.looks:
                line.pop()
                continue
            else:
                parent.looks -= 1
                reaped = self._reaped()
                failed: list[OSError] = []
                for piece in children.pieces(parent.pid, parent.threads, at, failed.append):
                    yield None
                    parent.waiting += [pid for pid in piece if pid not in seen]
                    yield None
                parent.waiting.reverse()
                # Our own list is the one that orphans come to while we look elsewhere, and we reap whom it has.
                parent.again = ours and (bool(parent.waiting) or self._reaped() != reaped)
                if failed and not parent.failed:
                    parent.failed = parent.again = True  # once more: somebody may have closed what he had open
                elif failed:
                    self._note(failed[0])
        if self.why:
            yield from self._rest(seen)

    def _read(self, pid: int, at: int | None = None) -> tuple[bytes, int] | OSError:
        try:
            return self._proc.read(pid, at)
        except OSError as error:
            return error

    def _note(self, error: OSError) -> None:
        """Note why somebody who is there is missing."""
        errno = error.errno or 0
        hidden = errno in (EPERM, *children.GONE)
        why = HIDDEN if hidden else f"{error.strerror} ({errorcode.get(errno, errno)})"
        if why not in self.why:
            self.why.append(why)

    def _rest(self, seen: set[int]) -> Iterator[Row | None]:
        """Tell of those children of ours that we know, and that were on no list or could not be read."""
        for number, process in enumerate(self._roster.alive):
            if process.pid in seen:
                if not number % SKIPPED:
                    yield None
                continue
            read = self._read(process.pid)
            if isinstance(read, OSError):
                yield self._known(process, read)
            elif self._roster.get(process.pid) is process:
                yield self._describe(*self._proc.measured(process.pid, *read), mains=True)[0]

    def _known(self, process: Process, error: OSError) -> Row | None:
        """Return the row of a child of ours that cannot be read, if it lives: what we have known of it."""
        if not kernel.is_alive(process.pid) or self._roster.get(process.pid) is not process:
            return None
        self._note(error)
        self.unread += 1
        return self._row(process, None, self._roster.role(process), self._roster.escaped(process))

    def _unread_child(self, parent: _Parent, seen: set[int], pid: int, error: OSError) -> Row | None:
        """Look again for a child that was listed and could not be read; who is there then is left out, and told so."""
        if pid not in parent.unread and parent.looks:
            parent.unread.add(pid)
            parent.again = True
            return None
        if not kernel.exists(pid):
            return None
        seen.add(pid)
        known = self._roster.get(pid)
        if known is not None:
            return self._known(known, error)
        self._note(error)
        self.unread += 1
        return None

    def _next_child(
        self, line: list[_Parent], seen: set[int], pid: int, read: tuple[bytes, int] | OSError
    ) -> Row | None:
        """Return the row of a child of the last in the line, if it is there, and go on with what is below it."""
        parent = line[-1]
        if isinstance(read, OSError):
            return self._unread_child(parent, seen, pid, read)
        found = self._proc.measured(pid, *read)
        if found[0].ppid not in (parent.pid, self._pid):
            parent.again = True
        if not (found[0].ppid == self._pid or found[0].ppid in seen):
            return None  # it has gone, and perhaps its number is a stranger's now
        seen.add(pid)
        process, used = found
        row, mains = self._describe(process, used, mains=parent.mains)
        line.append(_Parent(pid, used.threads, mains=mains))
        return row

    def _scan(self) -> Iterator[Row | None]:
        """Do the same where the kernel has no lists of children: look at everybody, and keep who is below us."""
        below: dict[int, list[tuple[Process, Used]]] = {}
        for name in self._everybody():
            read = self._read(int(name)) if name.isdigit() else None
            if isinstance(read, tuple):
                found = self._proc.measured(int(name), *read)
                below.setdefault(found[0].ppid, []).append(found)
            elif read is not None and read.errno not in children.GONE:
                self._note(read)
            yield None
        waiting = [(process, used, True) for process, used in reversed(below.pop(self._pid, []))]
        ours = {process.pid for process, _, _ in waiting}
        while waiting:
            process, used, mains = waiting.pop()
            row, mains = self._describe(process, used, mains=mains)
            waiting += [(*child, mains) for child in reversed(below.pop(process.pid, []))]
            yield row
        yield from self._rest(ours)

    def _everybody(self) -> Iterator[str]:
        try:
            with posix.scandir("/proc") as entries:
                for entry in entries:
                    yield entry.name
        except OSError as error:
            self._note(error)

    def _describe(self, process: Process, used: Used, *, mains: bool) -> tuple[Row, bool]:
        """Return the row of a process, and whether what is below it came from main."""
        known = self._roster.get(process.pid)
        if known is not None:
            process.foreign = known.foreign
            role = self._roster.role(known)
            escaped = self._roster.escaped(process)
            return self._row(process, used, role, escaped), role not in {FOREIGN, COMMAND}
        if process.ppid == self._pid:  # it has come since the loop last looked
            process.foreign = self._proc.child(process.pid).foreign
            role = FOREIGN if process.foreign else ADOPTED
            return self._row(process, used, role, self._roster.escaped(process)), role == ADOPTED
        return self._row(process, used, DESCENDANT, self._roster.strayed(process) if mains else ()), mains

    def _row(self, process: Process, used: Used | None, role: str, escaped: tuple[str, ...]) -> Row:
        row: Row = {
            "pid": process.pid,
            "ppid": process.ppid,
            "pgid": process.pgid,
            "sid": process.sid,
            "name": process.name,
            "state": process.state,
            "role": role,
            "escaped": escaped,
        }
        if process.uid >= 0:
            row["uid"] = process.uid
        if process.start_ticks:
            row["start_ticks"] = process.start_ticks
            row["age_s"] = round(max(0.0, self._now - process.born_s), 2)
        if used is not None:
            row["cpu_s"] = round(used.cpu_s, 2)
            row["memory_bytes"] = used.rss_bytes
            row["threads"] = used.threads
        return row


def _open_proc() -> int | None:
    """Return /proc as a descriptor, for what is below it; None where another one would not be left to read with."""
    try:
        at = posix.open("/proc", posix.O_PATH | posix.O_CLOEXEC)
    except OSError:
        return None
    try:
        posix.close(posix.dup(at))
    except OSError:
        posix.close(at)
        return None
    return at
