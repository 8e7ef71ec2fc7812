"""How a run is stopped: whom to signal, in which order, and when the grace is over."""

from __future__ import annotations

from pyinit.core.actions import (
    Inspect,
    KillChildren,
    Report,
    SignalChild,
    SignalDescendant,
    SignalEveryone,
    SignalGroup,
    Walk,
)
from pyinit.core.model import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyinit.core.actions import Action
    from pyinit.core.events import View
    from pyinit.core.model import Process
    from pyinit.core.roster import Roster

# The rest of the tree is signalled when this part of the grace is over: managers had their time to stop their own
# workers, and what they left still has two thirds of the grace.
HEADS_ALONE = 1 / 3
# Then the tree is walked again this often, for what is born late (seconds).
WALK_EVERY_S = 0.25
# After SIGKILL: how long the kernel may need with no end in sight before the rest is named and left, and in all.
KILL_PATIENCE_S = 1.0
KILL_LIMIT_S = 10.0
# A start time in /proc is rounded down by up to one clock tick.
TICK_S = 0.01
# Records name at most this many processes.
NAMED = 10


class Stop:
    """The time between the stop signal and SIGKILL.

    Every process gets the signal once: the heads at once, all that is left after a third of the grace, and what is
    adopted from now on when it comes.
    """

    def __init__(  # noqa: PLR0913  # what the policy says of a stop
        self,
        roster: Roster,
        signo: int,
        grace_s: float,
        now: float,
        *,
        instead: int | None = None,
        to_main: bool = False,
    ) -> None:
        self._roster = roster
        self._to_main = to_main or not roster.main_leads
        self.signo = signo
        # What a process gets that ignores the signal: background jobs of a script ignore SIGINT and SIGQUIT.
        self._instead = instead
        self._begun = now
        self._walk_at = now + grace_s * HEADS_ALONE
        self.kill_at = now + grace_s
        self._grace_s = grace_s
        self._signalled: set[tuple[int, int]] = set()
        self._group: int | None = None
        self._group_at = 0.0
        self._escalated = False
        self._walking = False

    @property
    def deadline(self) -> float:
        """When `tick` wants to be called next."""
        return min(self._walk_at, self.kill_at)

    def heads(self, now: float) -> list[Action]:
        """Signal main's group while main lives (or is a zombie that pins the number), else each root."""
        main = self._roster.main
        if self._roster.main_alive and main is not None:
            if self._to_main:
                return [self._signal(main), Inspect([main])]
            self._signalled.add(main.identity)
            return [*self.group(now), Inspect([main])]
        return self.roots()

    def group(self, now: float) -> list[Action]:
        """Signal main's process group, once."""
        main = self._roster.main
        if main is None or self._group is not None or self._to_main:
            return []
        self._group = main.pid
        self._group_at = now
        return [SignalGroup(main.pid, self.signo, cont=True)]

    def roots(self) -> list[Action]:
        """Signal each root that has not had the signal, and look which of them ignore it."""
        left = [process for process in self._roster.alive if process.identity not in self._signalled]
        actions = [self._signal(process) for process in left if not self._has_it(process)]
        if left:
            actions.append(Inspect(left))
        return actions

    def adopted(self, process: Process) -> list[Action]:
        """Signal a process that came while stopping, and look whether it ignores that."""
        if self._has_it(process):
            return []
        return [self._signal(process), Inspect([process])]

    def inspected(self, views: Iterable[View]) -> list[Action]:
        """Hand the signal on to the children of those that ignore it, and give these the other one if there is one."""
        actions: list[Action] = []
        deeper: list[Process] = []
        for view in views:
            if not self._has_it(view.process):
                # It was on file with main's group, and has left it since.
                actions.append(self._signal(view.process))
            if view.ignores(self.signo):
                if self._instead is not None and not view.ignores(self._instead):
                    actions.append(self._signal(view.process, self._instead))
                for child in view.children:
                    if not self._has_it(child):
                        actions.append(self._signal(child))
                    deeper.append(child)
        if deeper:
            actions.append(Inspect(deeper))
        return actions

    def walked(self, processes: Iterable[Process], now: float) -> list[Action]:
        """Signal everybody who is left and has not had the signal, if that is what the walk was for."""
        if not self._walking:
            return []
        self._walking = False
        chosen = [process for process in processes if process.alive and not self._has_it(process)]
        actions = [self._signal(process) for process in chosen]
        if chosen and not self._escalated:
            self._escalated = True
            facts: dict[str, object] = {
                "signal": self.signo,
                "processes": chosen[:NAMED],
                "count": len(chosen),
                "after_s": now - self._begun,
            }
            actions.insert(0, Report("stop.escalated", facts))
        if chosen and self._instead is not None:
            actions.append(Inspect(chosen))
        return actions

    def tick(self, now: float) -> list[Action]:
        """Walk the tree when its time has come."""
        if now < self._walk_at:
            return []
        self._walk_at = now + WALK_EVERY_S
        self._walking = True
        return [Walk()]

    def _has_it(self, process: Process) -> bool:
        """Say whether the signal has gone to this process already, to itself or with main's group."""
        if process.identity in self._signalled:
            return True
        return self._group is not None and process.pgid == self._group and 0 <= process.born_s < self._group_at - TICK_S

    def _signal(self, process: Process, signo: int | None = None) -> Action:
        self._signalled.add(process.identity)
        kind = SignalChild if process.pid in self._roster else SignalDescendant
        return kind(process, signo or self.signo, cont=True)


class Kill:
    """The end of the grace: SIGKILL, without exception.

    The init of a PID namespace kills all of it in one call. A subreaper kills its children, and the children that their
    deaths bring, again and again until the kernel says that none is left.
    """

    def __init__(self, now: float, *, pid1: bool) -> None:
        self._pid1 = pid1
        self._limit = now + KILL_LIMIT_S
        self.deadline = now + KILL_PATIENCE_S
        self._walking = False
        self._looked_deeper = pid1

    def everybody(self) -> list[Action]:
        """Kill everybody that can be reached now."""
        return [SignalEveryone(SIGKILL) if self._pid1 else KillChildren()]

    def ended(self, now: float) -> None:
        """Give the kernel more time: it is getting on."""
        self.deadline = min(now + KILL_PATIENCE_S, self._limit)

    def undeliverable(self) -> list[Action]:
        """Look below a child that may not be killed: its own descendants may be killed all the same."""
        if self._walking:
            return []
        self._walking = True
        return [Walk()]

    def look_deeper(self) -> list[Action]:
        """Walk the tree once before giving up: what hangs below a child that does not die can be killed."""
        if self._looked_deeper:
            return []
        self._looked_deeper = True
        self._limit += KILL_PATIENCE_S
        self.deadline += KILL_PATIENCE_S
        return [Walk()]

    def walked(self, processes: Iterable[Process], roster: Roster) -> list[Action]:
        """Kill the descendants that hide behind a child that may not be killed."""
        return [SignalDescendant(process, SIGKILL) for process in processes if process.pid not in roster]
