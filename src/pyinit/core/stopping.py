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
    SignalUnseen,
    Walk,
)
from pyinit.core.model import SIGCONT, SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Set as AbstractSet

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


def plan(schedule: Sequence[tuple[int, float | None]], grace_s: float, *, command: bool) -> list[float]:
    """Divide the grace: return the seconds before the first signal, and those that each signal has.

    A command has what the schedule leaves of the grace, or half of that where the last signal has the rest. Without a
    command the last signal has the rest.
    """
    lengths = [length_s or 0.0 for _, length_s in schedule]
    rest_s = max(0.0, grace_s - sum(lengths))
    share_s = 0.0
    if command:
        share_s = rest_s / 2 if schedule[-1][1] is None else rest_s
    lengths[-1] += rest_s - share_s
    return [share_s, *lengths]


class Stop:
    """The time between the stop request and SIGKILL.

    The stop command comes first, if there is one, and the signals of the schedule in turn. Every process gets each
    signal once: the heads at once, all that is left after a third of its time, and what is adopted from then on when it
    comes.

    Attributes:
        signo: the signal that is being sent.
        kill_at: when SIGKILL comes (monotonic seconds).
        waiting: True while the stop command has its time: nobody is signalled.
        unseen: the PIDs of children that have had the signal, and that nobody has looked at yet.
    """

    def __init__(  # noqa: PLR0913  # what the policy says of a stop
        self,
        roster: Roster,
        schedule: Sequence[tuple[int, float | None]],
        grace_s: float,
        now: float,
        *,
        command: bool = False,
        instead: int | None = None,
        to_main: bool = False,
        pid1: bool = False,
    ) -> None:
        self._roster = roster
        self._to_main = to_main or not roster.main_leads
        self._pid1 = pid1
        self._command = command
        # What a process gets that ignores the signal: background jobs of a script ignore SIGINT and SIGQUIT.
        self._instead = instead
        self._begun = now
        self.kill_at = now + grace_s
        self.signo = schedule[0][0]
        wait_s, *lengths = plan(schedule, grace_s, command=command)
        self._steps = [(signo, length_s) for (signo, _), length_s in zip(schedule, lengths, strict=True)]
        self.waiting = True
        self._next_at = now + wait_s
        self._walk_at = self.kill_at
        self._signalled: set[tuple[int, int]] = set()
        self.unseen: set[int] = set()
        self._group: int | None = None
        self._group_at = 0.0
        self._escalated = False
        self._walking = False
        self._everyone_at: float | None = None
        self._done = False

    @property
    def deadline(self) -> float:
        """When `tick` wants to be called next."""
        due = min(self._next_at, self.kill_at)
        return due if self.waiting else min(due, self._walk_at)

    @property
    def grace_s(self) -> float:
        """The seconds from the beginning of the stop to SIGKILL."""
        return self.kill_at - self._begun

    def next_signal(self, now: float, *, main_ended: bool = False) -> list[Action]:
        """Go on to the next signal of the schedule, and send it to the heads.

        `main_ended`: main is a zombie that has not been reaped, so that the number of its group is still its own.
        """
        first = self.waiting and not self._command
        self.waiting = False
        self.signo, length_s = self._steps.pop(0)
        self._next_at = now + length_s if self._steps else self.kill_at
        self._walk_at = now + length_s * HEADS_ALONE
        self._signalled.clear()
        self.unseen.clear()
        self._group = None
        self._escalated = self._walking = False
        self._everyone_at = None
        heads = [*self.group(now), *self.roots()] if main_ended else self.heads(now)
        left = self._roster.alive
        return heads if first or not left else [self._report(left, now), *heads]

    def command_ended(self, now: float, *, done: bool) -> list[Action]:
        """Signal at once what the stop command leaves behind, unless what it was for may still be on its way out."""
        self._done = done
        if not self.waiting or (done and self._roster.served):
            return []
        return self.next_signal(now)

    def service_ended(self, now: float, *, main_ended: bool) -> list[Action]:
        """Signal at once what is left, when the service has ended after the stop command had done its work.

        `main_ended`: it was main, which is a zombie that has not been reaped.
        """
        if not self.waiting or not self._done or self._roster.served:
            return []
        return self.next_signal(now, main_ended=main_ended)

    def extend(self, asked_s: float, limit_s: float, now: float) -> tuple[float, bool]:
        """Put SIGKILL off, not beyond `limit_s`: return the grace (seconds) that this gives, and if it was limited."""
        wanted = now + asked_s
        limit = self._begun + limit_s
        later_s = max(0.0, min(wanted, limit) - self.kill_at)
        self.kill_at += later_s
        self._next_at += later_s
        return self.grace_s, wanted > limit

    def heads(self, now: float) -> list[Action]:
        """Signal main's group while main lives (or is a zombie that pins the number), else each root."""
        main = self._roster.main
        if self._roster.main_alive and main is not None:
            if self._to_main:
                return [self._signal(main), self._inspect([main])]
            self._signalled.add(main.identity)
            return [*self.group(now), self._inspect([main])]
        return self.roots()

    def group(self, now: float) -> list[Action]:
        """Signal main's process group, once."""
        main = self._roster.main
        if main is None or self._group is not None or self._to_main or self.waiting:
            return []
        self._group = main.pid
        self._group_at = now
        return [SignalGroup(main.pid, self.signo, cont=True)]

    def roots(self) -> list[Action]:
        """Signal each root that has not had the signal, and look which of them ignore it."""
        if self.waiting:
            return []
        left = [process for process in self._roster.alive if process.identity not in self._signalled]
        actions = [self._signal(process) for process in left if not self._has_it(process)]
        if left:
            actions.append(self._inspect(left))
        return actions

    def adopted(self, process: Process) -> list[Action]:
        """Signal a process that came while stopping, and look whether it ignores that."""
        if process.pid in self.unseen:
            self.unseen.discard(process.pid)
            self._signalled.add(process.identity)
            return [self._inspect([process])]
        if self.waiting or self._has_it(process):
            return []
        return [self._signal(process), self._inspect([process])]

    def came(self, children: Sequence[tuple[int, int]]) -> list[Action]:
        """Signal children, (PID, process group), of whom nothing else is known, unless they may have had the signal.

        A crowd of them: most die of it before there is time to look at each.
        """
        if self.waiting or self._everyone_at is not None:
            return []
        had = {pid for pid, _ in self._signalled} | self.unseen
        pids = [pid for pid, pgid in children if pgid != self._group and pid not in had]
        self.unseen.update(pids)
        return [SignalUnseen(pids, self.signo)]

    def forget(self, process: Process) -> None:
        """Forget what is known by its number alone of a process: it has ended."""
        self.unseen.discard(process.pid)
        if not process.start_ticks:
            self._signalled.discard(process.identity)

    def forget_numbers(self, identities: AbstractSet[tuple[int, int]]) -> None:
        """Forget children of whom nothing but the number was known, (PID, 0): they have ended."""
        self.unseen.difference_update(pid for pid, _ in identities)
        self._signalled -= identities

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
            actions.append(self._inspect(deeper))
        return actions

    def walked(self, processes: Iterable[Process], now: float, *, complete: bool = True) -> list[Action]:
        """Signal everybody who is left and has not had the signal, if that is what the walk was for.

        Where not everybody can be seen, the init of a PID namespace signals all of it, once; then whom it sees that has
        been born since.
        """
        if not self._walking:
            return []
        self._walking = False
        chosen = [process for process in processes if process.alive and not self._has_it(process)]
        if self._pid1 and not complete and self._everyone_at is None:
            self._everyone_at = now
            # Nobody knows when one was born who is hidden.
            self._signalled.update(process.identity for process in (*processes, *self._roster.alive))
            told = [] if self._escalated else [self._report(self._roster.alive, now)]
            return [*told, SignalEveryone(self.signo), SignalEveryone(SIGCONT)]
        actions = [self._signal(process) for process in chosen]
        if chosen and not self._escalated:
            actions.insert(0, self._report(chosen, now))
        if chosen and self._instead is not None:
            actions.append(self._inspect(chosen))
        return actions

    def tick(self, now: float) -> list[Action]:
        """Go on to the next signal, or walk the tree, when the time for it has come."""
        if now >= self._next_at and self._steps:
            return self.next_signal(now)
        if self.waiting or now < self._walk_at:
            return []
        self._walk_at = now + WALK_EVERY_S
        self._walking = True
        return [Walk()]

    def _report(self, processes: Sequence[Process], now: float) -> Report:
        self._escalated = True
        facts: dict[str, object] = {
            "signal": self.signo,
            "processes": list(processes[:NAMED]),
            "count": len(processes),
            "after_s": now - self._begun,
        }
        return Report("stop.escalated", facts)

    def _has_it(self, process: Process) -> bool:
        """Say whether the signal has gone to this process already, to itself or with main's group."""
        if process.identity in self._signalled or process.pid in self.unseen:
            return True
        with_group = self._group is not None and process.pgid == self._group and _before(process, self._group_at)
        return with_group or (self._everyone_at is not None and _before(process, self._everyone_at))

    def _inspect(self, processes: Sequence[Process]) -> Inspect:
        return Inspect(processes, self.signo)

    def _signal(self, process: Process, signo: int | None = None) -> Action:
        self._signalled.add(process.identity)
        kind = SignalChild if process.pid in self._roster else SignalDescendant
        return kind(process, signo or self.signo, cont=True)


def _before(process: Process, moment: float) -> bool:
    """Say whether a process was certainly there already at a moment."""
    return 0 <= process.born_s < moment - TICK_S


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
        self._inspecting = False

    def everybody(self) -> list[Action]:
        """Kill everybody that can be reached now."""
        return [SignalEveryone(SIGKILL) if self._pid1 else KillChildren()]

    def ended(self, now: float) -> None:
        """Give the kernel more time: it is getting on."""
        self._inspecting = False
        self.deadline = min(now + KILL_PATIENCE_S, self._limit)

    def undeliverable(self) -> list[Action]:
        """Look below a child that may not be killed: its own descendants may be killed all the same."""
        if self._walking:
            return []
        self._walking = True
        return [Walk()]

    def look_again(self, left: Sequence[Process], now: float) -> list[Action]:
        """Look once more before giving up those who are `left`, less who may not be killed; nothing: it is time to.

        First at what hangs below them, which can be killed; then whether the kernel is still taking them down.
        """
        if not self._looked_deeper:
            self._looked_deeper = True
            self._limit += KILL_PATIENCE_S
            self.deadline += KILL_PATIENCE_S
            return [Walk()]
        if self._inspecting or not left or now >= self._limit:
            return []
        self._inspecting = True
        return [Inspect(left)]

    def inspected(self, views: Iterable[View], roster: Roster, now: float) -> None:
        """Wait on as long as somebody is being taken down: to free many gigabytes of memory takes the kernel seconds.

        That is work, which the D state is not.
        """
        for view in views:
            process, known = view.process, roster.get(view.process.pid)
            if known is None or process.state == "D":
                continue
            if process.state == "R" or process.used_ticks > known.used_ticks:
                known.used_ticks = process.used_ticks
                self.ended(now)

    def walked(self, processes: Iterable[Process], roster: Roster) -> list[Action]:
        """Kill the descendants that hide behind a child that may not be killed."""
        return [SignalDescendant(process, SIGKILL) for process in processes if process.pid not in roster]
