"""Describes every process below pyinit, a few at a time."""

from __future__ import annotations

import posix
import time

from pyinit.core.model import ADOPTED, COMMAND, FOREIGN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyinit.core.model import Process
    from pyinit.core.roster import Roster
    from pyinit.procfs import Proc, Used

    Row = dict[str, object]

DESCENDANT = "descendant"
# So long one slice of the work takes (seconds): a signal that comes meanwhile is late by no more.
SLICE_S = 0.001
# Who loses its parent while we look comes to us: so often is looked again.
LOOKS = 8


class Tree:
    """Walks the tree of our descendants.

    Exact for those that neither fork nor lose their parent meanwhile; who comes to us during the walk is found at its
    end. Without /proc only our children are known, and little of them.
    """

    def __init__(self, proc: Proc, roster: Roster) -> None:
        self._proc = proc
        self._roster = roster
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
        seen: set[int] = set()
        rows: list[Row] = []
        until = time.monotonic() + SLICE_S
        for _ in range(LOOKS):
            ours = set(self._proc.children())
            # A stack of what is still to be looked at, each with whether it came from main.
            waiting = [(pid, True) for pid in sorted(ours - seen, reverse=True)]
            if not waiting:
                break
            while waiting:
                pid, mains = waiting.pop()
                if pid in seen:
                    continue
                seen.add(pid)
                found = self._proc.measure(pid)
                if found is not None:
                    process, used = found
                    row, mains = self._describe(process, used, mains=mains)
                    rows.append(row)
                    below = self._proc.children_of(pid, used.threads)
                    waiting += [(child, mains) for child in reversed(below)]
                if time.monotonic() >= until:
                    yield rows
                    rows = []
                    until = time.monotonic() + SLICE_S
        yield rows

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
