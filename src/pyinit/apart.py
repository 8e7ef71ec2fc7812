"""Reaps those who stand apart, in a row: from whose end nothing follows but a record like one before it, or none."""

from __future__ import annotations

from pyinit import kernel
from pyinit.core.model import EXITED, KILLED, SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Hashable

    from pyinit.core.lives import Lives
    from pyinit.core.machine import Machine
    from pyinit.core.model import End
    from pyinit.log import Log
    from pyinit.oom import OomKills
    from pyinit.procfs import Proc

# So many forms are kept at hand; then all are let go: names are free text, and each session has a number of its own.
KEPT = 256


class Apart:
    """Reaps those who stand apart, and writes the records of their ends by a form: with few calls for each."""

    def __init__(self, machine: Machine | Lives, proc: Proc, log: Log) -> None:
        self._machine = machine
        self._proc = proc
        self._log = log
        self._forms: dict[Hashable, bytes] = {}
        self._basis: tuple[object, ...] = ()  # what the forms depend on besides

    def reap(
        self, reaped: list[int], spared: Container[int], limit: int, oom: OomKills | None, *, by_hand: bool
    ) -> tuple[int, End] | None:
        """Reap zombie children as far as the first who is to be told of by himself; nothing is done to that one.

        That is whom the core follows, or anybody while it follows all; who is `spared`; of whose end a record tells
        that is unlike those before it; and who may have been killed for want of memory.

        Args:
            reaped: takes the PIDs of those who have been reaped, also where this raises; to be told as `Passed`.
            spared: the PIDs of those who are foreign.
            limit: so many at most.
            oom: knows of the kills for want of memory.
            by_hand: something is told of each end that is no record.

        Returns what `kernel.peek` says then: who is next and how he ended, or None when every child lives.
        Raises kernel.NoChildren.

        """
        peek, bury = kernel.peek, kernel.bury
        seen = peek()
        followed = self._machine.followed
        if by_hand or seen is None or followed is None:
            return seen
        known, claimed = followed
        quiet = not self._log.tells_reaps
        formed = self._renew()
        while seen is not None and limit:
            pid, end = seen
            if pid in known or pid == claimed or pid in spared:
                break
            if quiet and end.kind == EXITED and not end.value:
                bury(pid)
            elif not (formed and self._reaped_by_form(pid, end, oom)):
                break
            reaped.append(pid)
            limit -= 1
            seen = peek()
        return seen

    def _renew(self) -> bool:
        """Let go the forms where they may be others now; say whether there are any."""
        log = self._log
        basis = self._machine.roster.main, log.level, log.reaps
        if basis != self._basis or len(self._forms) > KEPT:
            self._basis = basis
            self._forms.clear()
        return log.formed

    def _reaped_by_form(self, pid: int, end: End, oom: OomKills | None) -> bool:
        """Reap a zombie and write its record, if that is like another before it; else do nothing, and return False."""
        if end.value == SIGKILL and end.kind == KILLED and oom is not None and oom.any_untold():
            return False
        last = self._proc.last_of(pid)
        if last is None or not last[-1]:
            return False  # when it was born is not known, and a form says when
        name, ppid, pgid, sid, ticks = last
        kind = name, ppid, pgid, sid, end
        form = self._forms.get(kind)
        if form is None:
            told = self._machine.told_of(pgid, sid, end)
            form = self._log.form_of_reap(name, (ppid, pgid, sid), end, *told)
            if form is None:
                return False
            self._forms[kind] = form
        usage = kernel.reap(pid)
        if usage is None:
            return False
        self._log.fill(form, (pid, pgid, sid, ticks), usage)
        return True
