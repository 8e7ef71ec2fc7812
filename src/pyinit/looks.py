"""Looks for the children that the core does not know yet: they were adopted, and nothing else tells of them."""

from __future__ import annotations

import time

from pyinit import kernel
from pyinit.core import events
from pyinit.core.machine import KILLING, STOPPING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from pyinit.core.lives import Lives
    from pyinit.core.machine import Machine
    from pyinit.effects import Effects
    from pyinit.procfs import Proc
    from pyinit.sources import Storm

# A look that decides nothing is made again at the earliest after this many times its own cost: however many children
# live, the looking takes at most a twentieth of the time.
LOOK_SHARE = 20
# In a storm that is at the earliest after so long (seconds): who is found alive there is about to end, and to get to
# know him costs several times a reap.
STORM_LOOK_S = 0.01
# While stopping orphans may come without a signal: look this often (seconds).
STOPPING_LOOK_S = 0.1
# So often a look is repeated when it finds somebody new.
LOOKS = 8
# Signals are let in before each batch of so many newcomers.
BATCH = 256
# Whether something is more urgent is asked before each of so many who are looked at.
ASK = 32
# While everybody is being stopped, so many who come at once are signalled before anybody looks at one of them.
CROWD = 64
# Who of them is still there is looked at when nobody has ended for so long, and after so long anyway (seconds).
CALM_S = 0.02
CROWD_S = 0.5


class Urgent:
    """Says whether something is more urgent than to look on at children: SIGKILL is due, or a signal waits.

    However many signals come, between two of them that break off a turn all ends are taken and all children looked at,
    or a batch of those who are new.

    Attributes:
        off: this turn has been broken off.
    """

    def __init__(self, late: Callable[[], bool]) -> None:
        """`late` says whether SIGKILL is due."""
        self._late = late
        self._may = True
        self.off = False

    def breaks_off(self) -> bool:
        """Say whether the turn is broken off, now or before."""
        if not self.off and (self._late() or (self._may and kernel.signals_wait())):
            self.off = True
            self._may = False
        return self.off

    def allow(self) -> None:
        """Let the next signal break off again."""
        self._may = True


class Looks:
    """Makes the looks.

    Attributes:
        dead: children that were seen to be zombies, and have not been told yet.
        at: when one is to be made that was put off (monotonic seconds), or None.
    """

    def __init__(  # noqa: PLR0913  # everything that a look has to do with
        self,
        machine: Machine | Lives,
        effects: Effects,
        proc: Proc,
        *,
        foreign: Container[int],
        storm: Storm,
        urgent: Urgent,
    ) -> None:
        """`foreign`: the PIDs of children that are no orphans of main's."""
        self._machine = machine
        self._effects = effects
        self._proc = proc
        self._foreign = foreign
        self._storm = storm
        self._urgent = urgent
        self.dead: set[int] = set()
        self.at: float | None = None
        self._again = 0.0
        self._listing_s = 0.0  # what the last look has spent on listing
        self._calm_at = 0.0
        self._crowd_until = 0.0

    @property
    def stopping(self) -> bool:
        """True while everybody is being stopped, or killed."""
        return self._machine.phase in {STOPPING, KILLING}

    def know(self, pids: Iterable[int]) -> bool:
        """Say whether all of these children are known, or seen to be dead."""
        return all(pid in self._machine.roster or pid in self.dead for pid in pids)

    def due(self) -> bool:
        """Say whether one that was put off is due now; from then on it is none."""
        if self.at is None or time.monotonic() < self.at:
            return False
        self.at = None
        return True

    def go_on(self) -> None:
        """While stopping: see to it that there is another one, soon where a crowd was signalled unseen."""
        if self.at is None:
            self.at = time.monotonic() + (CALM_S if self._machine.unseen else STOPPING_LOOK_S)

    def anew(self) -> None:
        """Make the next look when it is wanted, however dear the last one was."""
        self._again = 0.0

    def busy(self, now: float) -> None:
        """Note that children have ended."""
        self._calm_at = now + CALM_S

    def look_if_due(self) -> bool:
        """Look, unless the last look was too dear to be made again so soon; say whether somebody new was found."""
        now = time.monotonic()
        if now < self._again:
            self.at = min(self.at or self._again, self._again)
            return False
        found = self.look()
        done = time.monotonic()
        # While stopping, who comes is to be signalled: only what a look costs that finds nobody counts.
        pause = (self._listing_s if self.stopping else done - now) * LOOK_SHARE
        if self._storm.lasts and not self.stopping:
            pause = max(pause, STORM_LOOK_S)
        self._again = 0.0 if self._urgent.off else done + pause  # that one is made anew at once, and to its end
        return found

    def look(self, *, whole: bool = False) -> bool:
        """Tell the core of living children that it does not know; say whether there were any.

        Looks again while a look finds somebody new: what dies while it is described leaves children too. Not for ever:
        who forks faster than we look is not to keep us from a deadline. The dead are told at their end, and only
        noted here. `whole`: signals have it break off once at most, and not once in each batch of newcomers.
        """
        found = False
        self._listing_s = 0.0
        for _ in range(LOOKS):
            new = self._newcomers()
            if not new:
                break
            for number, pid in enumerate(new):
                if number and not (whole or number % BATCH):
                    self._urgent.allow()
                if not number % ASK and self._urgent.breaks_off():
                    return found
                # To ask the kernel costs a fiftieth of a description, which a zombie gets at its end.
                process = self._proc.child(pid) if kernel.is_alive(pid) else None
                if process is None or not process.alive:
                    self.dead.add(pid)
                    continue
                process.foreign = process.foreign or pid in self._foreign
                self._take(events.Adopted(process))
                found = True
        return found

    def _take(self, event: events.Event) -> None:
        self._effects.take(event, time.monotonic())

    def _newcomers(self) -> list[int]:
        """List the children that the core does not know, and that are to be looked at.

        While stopping, a crowd has its signal first. Who is in it is left alone for a while: most are about to end.
        """
        begun = time.monotonic()
        known, dead = self._machine.roster.pids, self.dead
        listed = self._proc.children(self._urgent.breaks_off)
        new = [pid for pid in listed if pid not in known and pid not in dead]
        now = time.monotonic()
        self._listing_s += now - begun
        if not self.stopping:
            return new
        unseen = self._machine.unseen
        if len(new) - len(unseen) > CROWD:
            if not unseen:
                self._crowd_until = now + CROWD_S
            self._take(events.Came(self._crowd(pid for pid in new if pid not in unseen)))
            unseen = self._machine.unseen
            self.busy(time.monotonic())
        if now >= min(self._calm_at, self._crowd_until):
            return new
        return [pid for pid in new if pid not in unseen and pid not in dead]

    def _crowd(self, pids: Iterable[int]) -> list[tuple[int, int]]:
        """List who of them lives, (PID, process group) each, until something is more urgent."""
        living = []
        for number, pid in enumerate(pids):
            if not number % ASK and self._urgent.breaks_off():
                break
            if kernel.is_alive(pid):
                living.append((pid, kernel.process_group(pid)))
            else:
                self.dead.add(pid)
        return living
