"""Describes every process below pyinit, a step at a time."""

from __future__ import annotations

import posix
import time

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


class _Parent:
    """Somebody whose children are looked at.

    Attributes:
        mains: whether it came from main.
        waiting: those of its children that are still to be looked at, the last one first.
        again: its list is to be read, for the first time or because it may have been incomplete.
        looks: so often it may be.
    """

    __slots__ = ("again", "looks", "mains", "pid", "threads", "waiting")

    def __init__(self, pid: int, threads: int, *, mains: bool) -> None:
        self.pid = pid
        self.threads = threads
        self.mains = mains
        self.waiting: list[int] = []
        self.again = True
        self.looks = LOOKS


class Tree:
    """Walks the tree of our descendants.

    Exact for those that neither fork nor lose their parent meanwhile; who comes to us during the walk is found at its
    end. Without /proc only our children are known, and little of them. `reaped` says how many pyinit has reaped.
    """

    def __init__(self, proc: Proc, roster: Roster, reaped: Callable[[], int]) -> None:
        self._proc = proc
        self._roster = roster
        self._reaped = reaped
        self._pid = posix.getpid()
        self._now = time.monotonic()

    def rows(self) -> Iterator[Row | None]:
        """Yield the processes, parents before their children, and None behind each step of the work that brought none.

        A step is some 30 µs: a process that was read is described, or a list of children is read to its end, and then
        the next process. Each piece of a long list is a step, too.
        """
        if not self._proc.usable:
            for process in self._roster.alive:
                ended = self._roster.get(process.pid) is not process
                yield None if ended else self._row(process, None, self._roster.role(process), ())
        elif self._proc.lists_children:
            try:
                at = posix.open("/proc", posix.O_PATH | posix.O_CLOEXEC)
            except OSError:
                at = None  # no descriptor left: it takes longer
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
                reaped, read = self._reaped() if ours else 0, self._proc.read(pid, at)
                yield None
                if ours and self._reaped() != reaped:  # its number may be somebody else's by now
                    read = self._proc.read(pid, at)
                yield self._next_child(line, seen, pid, read)
            elif not parent.again or not parent.looks:
                line.pop()
                continue
            else:
                parent.looks -= 1
                reaped = self._reaped()
                for piece in children.pieces(parent.pid, parent.threads, at):
                    yield None
                    parent.waiting += [pid for pid in piece if pid not in seen]
                    yield None
                parent.waiting.reverse()
                # Our own list is the one that orphans come to while we look elsewhere, and we reap whom it has.
                parent.again = ours and (bool(parent.waiting) or self._reaped() != reaped)

    def _next_child(self, line: list[_Parent], seen: set[int], pid: int, read: tuple[bytes, int] | None) -> Row | None:
        """Return the row of a child of the last in the line, if it is there, and go on with what is below it."""
        parent = line[-1]
        found = self._proc.measured(pid, *read) if read is not None else None
        if found is None or found[0].ppid not in (parent.pid, self._pid):
            parent.again = True
        if found is None or not (found[0].ppid == self._pid or found[0].ppid in seen):
            return None  # it has gone, and perhaps its number is a stranger's now
        seen.add(pid)
        process, used = found
        row, mains = self._describe(process, used, mains=parent.mains)
        line.append(_Parent(pid, used.threads, mains=mains))
        return row

    def _scan(self) -> Iterator[Row | None]:
        """Do the same where the kernel has no lists of children: look at everybody, and keep who is below us."""
        below: dict[int, list[tuple[Process, Used]]] = {}
        with posix.scandir("/proc") as entries:
            for entry in entries:
                found = self._proc.measure(int(entry.name)) if entry.name.isdigit() else None
                if found is not None:
                    below.setdefault(found[0].ppid, []).append(found)
                yield None
        waiting = [(process, used, True) for process, used in reversed(below.pop(self._pid, []))]
        while waiting:
            process, used, mains = waiting.pop()
            row, mains = self._describe(process, used, mains=mains)
            waiting += [(*child, mains) for child in reversed(below.pop(process.pid, []))]
            yield row

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
