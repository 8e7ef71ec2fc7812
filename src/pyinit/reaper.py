"""Takes the ends of children, and tells the core of each before its number can be somebody else's."""

from __future__ import annotations

import time

from pyinit import kernel
from pyinit.core import events
from pyinit.looks import Looks, Urgent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyinit.core.lives import Lives
    from pyinit.core.machine import Machine
    from pyinit.core.model import End, Process
    from pyinit.effects import Effects
    from pyinit.procfs import Proc
    from pyinit.sources import Storm

# So many ends are taken before signals and deadlines are looked at again.
BATCH = 256
# And of those whom nobody is told of so many.
BURIED = 1024
# Whether something is more urgent is asked before each of so many ends.
ENDS = 32


class Reaper:
    """Takes what has become of the children.

    Attributes:
        more: children may have ended or come.
        looks: the looks for those who have come.
    """

    def __init__(
        self, machine: Machine | Lives, effects: Effects, proc: Proc, *, before: Iterable[int], storm: Storm
    ) -> None:
        """`before`: the PIDs of children that were there before main; `storm` is told how many have ended."""
        self._machine = machine
        self._effects = effects
        self._proc = proc
        self._before = set(before)
        self._storm = storm
        self._urgent = Urgent(effects.late)
        self.looks = Looks(machine, effects, proc, foreign=self._before, storm=storm, urgent=self._urgent)
        self.more = True  # children may have ended or come before we listened
        self._passed: list[int] = []  # children that were reaped, and have not been told yet
        self._covered: set[int] = set()  # deciders that were dead when the last look was made
        self._looked = False  # such a look was made in this batch of ends
        self._taken = 0  # so many ends were taken in it

    def children(self) -> None:
        """Take the ends that are there, look who was adopted, and say that all is told."""
        self.more = False
        if self._holds_the_dead():
            return
        urgent = self._urgent
        urgent.off = False
        childless = self._take_ends()
        self._tell_passed()
        if not (childless or self.more or urgent.off) and self.looks.look_if_due() and kernel.anyone_dead():
            # What was found may be what it left behind: its end is taken before these count as settled.
            self.more = True
            return
        if urgent.off:
            self.more = True
            return
        urgent.allow()
        if not self._proc.usable and not childless and not self.more:
            self.more = kernel.anyone_dead()  # a look without /proc can swallow a SIGCHLD
        self._take(events.Settled(childless=childless))

    def _take(self, event: events.Event) -> None:
        self._effects.take(event, time.monotonic())

    def _take_ends(self) -> bool:
        """Take the ends that are there, some hundreds at most; say whether the kernel says that no child is left."""
        buries = self._machine.killing and not self._effects.tells_reaps
        self._taken = asked = buried = 0
        self._looked = False
        try:
            while self._taken < BATCH:
                if self._taken >= asked:
                    if self._urgent.breaks_off():
                        return False
                    asked = min(self._taken + ENDS, BATCH)
                if buries:
                    buried += self._bury(BURIED - buried)
                    if buried == BURIED:
                        return False
                if not self._take_row(asked):
                    return False
        except kernel.NoChildren:
            return True
        finally:
            now = time.monotonic()
            self._storm.took(self._taken, now)
            if self._taken:
                self.looks.busy(now)
        self.more = True
        return False

    def _take_row(self, until: int) -> bool:
        """Take the ends of those who stand apart and of one behind them, `until` so many are taken; False: no more now.

        Raises kernel.NoChildren.
        """
        passed = len(self._passed)
        try:
            seen = self._effects.reap_apart(self._passed, self._before, until - self._taken)
        finally:
            self._taken += len(self._passed) - passed
        if seen is None or self._taken == until:
            return seen is not None
        pid, end = seen
        tells_reaps = self._effects.tells_reaps
        if not tells_reaps and self._machine.passes(pid, end):
            kernel.bury(pid)
            self._passed.append(pid)
            self._forget(pid)
        else:
            self._tell_passed()
            if self._machine.leaves_heirs(pid) and not self._heirs_told(pid):
                return False
            process = self._at_its_end(pid, end, tells_reaps=tells_reaps)
            try:
                self._take(events.Ended(process, end))
            finally:
                self._forget(pid)  # it has been reaped, whatever else has failed
        self._taken += 1
        return True

    def _heirs_told(self, pid: int) -> bool:
        """Tell of what a decider that is dead has left behind, if nobody has yet; False: something is more urgent."""
        if pid not in self._covered:
            # Where one of them has ended others may have. To ask of each takes a while: not for one alone.
            covered = self._dead_deciders() if self._looked else {pid}
            self._looked = True
            self.looks.look(whole=True)
            if self._urgent.off:
                return False
            self._covered |= covered
        return True

    def _tell_passed(self) -> None:
        """Tell of those that have been reaped without a word to the core, and forget their numbers."""
        if self._passed:
            passed, self._passed = self._passed, []
            self.looks.dead.difference_update(passed)
            self._covered.difference_update(passed)
            self._take(events.Passed(passed))

    def _bury(self, limit: int) -> int:
        """Reap the dead whom nobody knows and of whom no record tells, as far as the first who is known; say how many.

        After the final kill of fork chains there are tens of thousands of them.
        """
        pids, killed = kernel.bury_dead(self._machine.roster.pids, limit)
        if pids:
            self.more = True
            self._effects.final_kill.reaped(*pids)
            for numbers in (self.looks.dead, self._covered, self._before):
                numbers.difference_update(pids)
            self._take(events.Buried(len(pids), killed))
        return len(pids)

    def _forget(self, pid: int) -> None:
        """Forget a number: it may be a later child's as soon as this one has been reaped."""
        self.looks.dead.discard(pid)
        self._covered.discard(pid)
        self._before.discard(pid)

    def _holds_the_dead(self) -> bool:
        """In the final kill: kill who has come, and say whether the dead must keep their places still."""
        final_kill = self._effects.final_kill
        if final_kill.holds_the_dead:
            self._take(events.Settled(childless=False))
        self.more = self.more or (final_kill.holds_the_dead and final_kill.came)
        return final_kill.holds_the_dead

    def _at_its_end(self, pid: int, end: End, *, tells_reaps: bool) -> Process:
        """Describe a zombie: /proc still has its last name, its group and its session."""
        roster = self._machine.roster
        known = roster.get(pid)
        if known is not None and not (tells_reaps or roster.decides(pid)) and (end.good or self.looks.stopping):
            return known  # nobody will hear of it
        last = self._proc.describe(pid)
        if last is None:
            return known or self._proc.child(pid)
        if known is not None:
            last.args, last.uid, last.foreign = known.args, known.uid, known.foreign
        last.foreign = last.foreign or pid in self._before
        return last

    def _dead_deciders(self) -> set[int]:
        """Return main and the successors that are zombies now.

        The kernel hands on the children of a process and makes it a zombie in one step: whoever sees that it is dead
        finds all that it left behind in the next look.
        """
        return {pid for pid in self._machine.roster.deciders if kernel.is_zombie(pid)}
