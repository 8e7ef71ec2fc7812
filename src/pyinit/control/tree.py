"""Describes every process below pyinit, a few at a time."""

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
# So long one slice of the work takes (seconds): a signal that comes meanwhile is late by no more.
SLICE_S = 0.001
# Who loses its parent while we look comes to us: so often is looked again.
LOOKS = 8
# A piece of a list with more children than this is a slice's work by itself.
LONG = 100


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
        self._now = time.monotonic()

    def rows(self) -> Iterator[list[Row]]:
        """Yield the processes in slices, parents before their children, each slice a millisecond's work."""
        if not self._proc.usable:
            yield [self._row(process, None, self._roster.role(process), ()) for process in self._roster.alive]
        elif self._proc.lists_children:
            yield from self._walk()
        else:
            yield from self._scan()

    def _walk(self) -> Iterator[list[Row]]:
        """Go down the tree, parents before their children.

        A list that is read in pieces is exact unless somebody on it is reaped meanwhile. Who is listed is looked at
        afterwards: whoever has gone by then may have made us miss another, and the list is read again.
        """
        seen: set[int] = set()
        rows: list[Row] = []
        line = [_Parent(posix.getpid(), threads=1, mains=True)]
        until = time.monotonic() + SLICE_S
        while line:
            parent = line[-1]
            if parent.waiting:
                rows += self._next_child(line, seen)
            elif not parent.again or not parent.looks:
                line.pop()
                continue
            else:
                parent.looks -= 1
                reaped = self._reaped()
                for piece in children.pieces(parent.pid, parent.threads):
                    parent.waiting += [pid for pid in piece if pid not in seen]
                    if len(piece) > LONG or time.monotonic() >= until:
                        yield rows
                        rows = []
                        until = time.monotonic() + SLICE_S
                parent.waiting.reverse()
                # Our own list is the one that orphans come to while we look elsewhere, and we reap whom it has.
                ours = len(line) == 1
                parent.again = ours and (bool(parent.waiting) or self._reaped() != reaped)
            if time.monotonic() >= until:
                yield rows
                rows = []
                until = time.monotonic() + SLICE_S
        yield rows

    def _next_child(self, line: list[_Parent], seen: set[int]) -> list[Row]:
        """Return the row of the next child of the last in the line, if it is there, and go on with what is below it."""
        parent = line[-1]
        pid = parent.waiting.pop()
        if pid in seen:
            return []
        found = self._proc.measure(pid)
        if found is None or found[0].ppid not in (parent.pid, posix.getpid()):
            parent.again = True
        if found is None or not (found[0].ppid == posix.getpid() or found[0].ppid in seen):
            return []  # it has gone, and perhaps its number is a stranger's now
        seen.add(pid)
        process, used = found
        row, mains = self._describe(process, used, mains=parent.mains)
        line.append(_Parent(pid, used.threads, mains=mains))
        return [row]

    def _scan(self) -> Iterator[list[Row]]:
        """Do the same where the kernel has no lists of children: look at everybody, and keep who is below us."""
        below: dict[int, list[tuple[Process, Used]]] = {}
        until = time.monotonic() + SLICE_S
        with posix.scandir("/proc") as entries:
            for entry in entries:
                found = self._proc.measure(int(entry.name)) if entry.name.isdigit() else None
                if found is not None:
                    below.setdefault(found[0].ppid, []).append(found)
                if time.monotonic() >= until:
                    yield []
                    until = time.monotonic() + SLICE_S
        rows: list[Row] = []
        waiting = [(process, used, True) for process, used in reversed(below.pop(posix.getpid(), []))]
        while waiting:
            process, used, mains = waiting.pop()
            row, mains = self._describe(process, used, mains=mains)
            rows.append(row)
            waiting += [(*child, mains) for child in reversed(below.pop(process.pid, []))]
            if time.monotonic() >= until:
                yield rows
                rows = []
                until = time.monotonic() + SLICE_S
        yield rows

    def _describe(self, process: Process, used: Used, *, mains: bool) -> tuple[Row, bool]:
        """Return the row of a process, and whether what is below it came from main."""
        known = self._roster.get(process.pid)
        if known is not None:
            process.foreign = known.foreign
            role = self._roster.role(known)
            escaped = self._roster.escaped(process)
            return self._row(process, used, role, escaped), role not in {FOREIGN, COMMAND}
        if process.ppid == posix.getpid():  # it has come since the loop last looked
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
