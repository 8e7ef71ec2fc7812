"""Waits in one place, for signals, the log's reader and deadlines, and tells the core what has happened."""

from __future__ import annotations

import posix
import time

from pyinit import kernel
from pyinit.core import events
from pyinit.core.machine import KILLING, STOPPING
from pyinit.sources import GATHER_S, Sources, Storm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyinit.core.lives import Lives
    from pyinit.core.machine import Machine
    from pyinit.core.model import End, Process
    from pyinit.effects import Effects
    from pyinit.log import Log
    from pyinit.procfs import Proc

_SIGCHLD = 17
# So many ends are taken before signals and deadlines are looked at again.
BATCH = 256
# And of those whom nobody is told of so many.
BURIED = 1024
# A look for adopted children that decides nothing is made again at the earliest after this many times its own cost:
# however many children live, the looking takes at most a twentieth of the time.
LOOK_SHARE = 20
# In a storm that is at the earliest after so long (seconds): who is found alive there is about to end, and to get to
# know him costs several times a reap.
STORM_LOOK_S = 0.01
# So often a look is repeated when it finds somebody new.
LOOKS = 8
# While everybody is being stopped, so many who come at once are signalled before anybody looks at one of them.
CROWD = 64
# Who of them is still there is looked at when nobody has ended for so long, and after so long anyway (seconds).
CALM_S = 0.02
CROWD_S = 0.5
# Whether something is more urgent is asked before each of so many ends, and of so many who are looked at.
ENDS = 32
# After an error that nobody foresaw: when to try again (seconds).
RETRY_S = 0.1
# In a storm the log is written once in so long, if not much waits before (seconds): a write wakes its reader, too.
WRITE_S = 0.002
# While stopping orphans may come without a signal: look this often (seconds).
STOPPING_LOOK_S = 0.1


class Loop:
    """The one loop."""

    def __init__(  # noqa: PLR0913  # everything that the loop ties together
        self,
        signals_fd: int,
        machine: Machine | Lives,
        effects: Effects,
        proc: Proc,
        log: Log,
        *,
        before: list[int],
        jobs: bool,
        sources: Sources,
    ) -> None:
        self._pid = posix.getpid()
        self._signals_fd = signals_fd
        self._machine = machine
        self._effects = effects
        self._proc = proc
        self._log = log
        self._before = set(before)
        self._jobs = jobs
        self._sources = sources
        self._sources.add(signals_fd, None)  # they are read at their turn, whatever else there is
        self._storm = Storm()
        self._log_fd: int | None = None
        self._broken_off = False
        self._may_break_off = True
        self._write_again = 0.0
        self._write_at: float | None = None
        self._more = True  # children may have ended or come before we listened
        self._look_at: float | None = None
        self._look_again = 0.0
        self._listing_s = 0.0  # what the last look has spent on listing
        self._calm_at = 0.0
        self._crowd_until = 0.0
        self._passed: list[int] = []  # children that were reaped, and have not been told yet
        self._dead: set[int] = set()  # children that were seen to be zombies, and have not been told yet
        self._covered: set[int] = set()  # deciders that were dead when the last look was made
        self._looked = False  # such a look was made in this batch of ends
        self._taken = 0  # so many ends were taken in it

    def run(self) -> int:
        """Run until the core wants to leave; return the exit status."""
        while self._effects.status is None:
            try:
                self._step()
            except Exception as error:  # noqa: BLE001  # the one guard: nothing ends pyinit but its own rules
                self._log.report("pyinit.error", {"where": "loop", "error": f"{type(error).__name__}: {error}"})
                self._look_at = time.monotonic() + RETRY_S
                self._more = False
        return self._effects.status

    def take(self, event: events.Event) -> None:
        """Tell the core something now."""
        self._effects.take(event, time.monotonic())

    def look_soon(self) -> None:
        """Look who has come before the next wait: somebody asks."""
        self._more = True

    def look_for(self, pids: Iterable[int]) -> None:
        """Do so if any of these children is not known yet: to look at ten thousand at once takes its time."""
        if any(pid not in self._machine.roster and pid not in self._dead for pid in pids):
            self.look_soon()

    @property
    def _stopping(self) -> bool:
        return self._machine.phase in {STOPPING, KILLING}

    def _step(self) -> None:
        stopping = self._stopping
        signalled = self._storm.pauses() and self._gather()
        self._sources.wait(0 if signalled else self._timeout())
        self._take_signals(kernel.read_signals(self._signals_fd))
        if self._sources.serve() and kernel.signals_wait():
            self._take_signals(kernel.read_signals(self._signals_fd))  # who was served has broken off for one
        if not stopping and self._stopping:
            self._more = True  # a stop has begun: look who is there, however dear the last look was
            self._look_again = 0.0
        now = time.monotonic()
        if self._look_at is not None and now >= self._look_at:
            self._look_at = None
            self._more = True
        if self._more:
            self._more = False
            if self._jobs:
                self._stopped()
            self._children()
            if self._effects.status is not None:
                self._log.flush()
                return
        deadline = self._machine.deadline
        if deadline is not None and time.monotonic() >= deadline:
            self.take(events.TimeUp())
        if self._stopping and self._look_at is None:
            self._look_at = time.monotonic() + (CALM_S if self._machine.unseen else STOPPING_LOOK_S)
        self._watch_log()

    def _gather(self) -> bool:
        """In a storm: let ends come together, and take a signal that puts an end to that; say whether one did.

        It is in no queue any more: it is taken before anything else can fail.
        """
        due = self._timeout()
        if self._stopping or not due:
            return False  # how soon a stop is over depends on each end
        signals = kernel.gather(GATHER_S if due < 0 else min(due, GATHER_S))
        self._take_signals(signals)
        return bool(signals)

    def _take_signals(self, signals: Iterable[tuple[int, int, int]]) -> None:
        for signo, sender_pid, sender_uid in signals:
            if signo == _SIGCHLD:
                self._more = True
            elif sender_pid != self._pid:  # a broken pipe is our own SIGPIPE
                self.take(events.Signalled(signo, sender_pid, sender_uid))

    def _timeout(self) -> float:
        """Seconds until something is due; -1 when only an event can bring something new."""
        if self._more:
            return 0
        moments = (self._machine.deadline, self._look_at, self._write_at)
        due = [moment for moment in moments if moment is not None]
        return max(0.0, min(due) - time.monotonic()) if due else -1

    def _watch_log(self) -> None:
        """Write what there is, and watch the log's descriptor while records wait for its reader, and only then."""
        self._write_at = None
        if self._log_fd is None and self._log.waiting:
            now = time.monotonic()
            if now < self._write_again:
                self._write_at = self._write_again
                return
            self._write_again = now + WRITE_S
        wanted = self._log.pending_fd()
        if wanted == self._log_fd:
            return
        if self._log_fd is not None:
            self._sources.remove(self._log_fd)
        self._log_fd = wanted
        if wanted is not None:
            self._sources.add(wanted, self._log.flush, writing=True)

    # -- children -----------------------------------------------------------------------------------------------

    def _stopped(self) -> None:
        """Where there is a terminal: tell whether main has been stopped."""
        main = self._machine.roster.main
        if main is not None and self._machine.roster.main_alive:
            signo = kernel.stopped(main.pid)
            if signo is not None:
                self.take(events.Stopped(signo))

    def _children(self) -> None:
        """Take the ends that are there, look who was adopted, and say that all is told."""
        if self._holds_the_dead():
            return
        self._broken_off = False
        childless = self._take_ends()
        self._tell_passed()
        if not (childless or self._more) and self._look_if_due() and kernel.anyone_dead():
            # What was found may be what it left behind: its end is taken before these count as settled.
            self._more = True
            return
        if self._broken_off:
            return
        self._may_break_off = True
        if not self._proc.usable and not childless and not self._more:
            self._more = kernel.anyone_dead()  # a look without /proc can swallow a SIGCHLD
        self.take(events.Settled(childless=childless))

    def _take_ends(self) -> bool:
        """Take the ends that are there, some hundreds at most; say whether the kernel says that no child is left."""
        buries = self._machine.killing and not self._effects.tells_reaps
        self._taken = asked = buried = 0
        self._looked = False
        try:
            while self._taken < BATCH:
                if self._taken >= asked:
                    if self._breaks_off():
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
                self._calm_at = now + CALM_S
        self._more = True
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
        else:
            self._tell_passed()
            if self._machine.leaves_heirs(pid) and not self._heirs_told(pid):
                return False
            self.take(events.Ended(self._at_its_end(pid, end, tells_reaps=tells_reaps), end))
        self._forget(pid)
        self._taken += 1
        return True

    def _heirs_told(self, pid: int) -> bool:
        """Tell of what a decider that is dead has left behind, if nobody has yet; False: something is more urgent."""
        if pid not in self._covered:
            # Where one of them has ended others may have. To ask of each takes a while: not for one alone.
            covered = self._dead_deciders() if self._looked else {pid}
            self._looked = True
            self._look(whole=True)
            if self._broken_off:
                return False
            self._covered |= covered
        return True

    def _tell_passed(self) -> None:
        """Tell of those that have been reaped without a word to the core, and forget their numbers."""
        if self._passed:
            passed, self._passed = self._passed, []
            self._dead.difference_update(passed)
            self._covered.difference_update(passed)
            self.take(events.Passed(passed))

    def _bury(self, limit: int) -> int:
        """Reap the dead whom nobody knows and of whom no record tells, as far as the first who is known; say how many.

        After the final kill of fork chains there are tens of thousands of them.
        """
        pids, killed = kernel.bury_dead(self._machine.roster.pids, limit)
        if pids:
            self._more = True
            self._effects.final_kill.reaped(*pids)
            for numbers in (self._dead, self._covered, self._before):
                numbers.difference_update(pids)
            self.take(events.Buried(len(pids), killed))
        return len(pids)

    def _forget(self, pid: int) -> None:
        """Forget a number: it may be a later child's as soon as this one has been reaped."""
        self._dead.discard(pid)
        self._covered.discard(pid)
        self._before.discard(pid)

    def _breaks_off(self) -> bool:
        """Say whether something is more urgent than to look on at children: SIGKILL is due, or a signal waits.

        However many signals come, between two of them that do this all ends are taken and all children looked at, or a
        batch of those who are new.
        """
        if not self._broken_off and (self._effects.late() or (self._may_break_off and kernel.signals_wait())):
            self._more = self._broken_off = True
            self._may_break_off = False
        return self._broken_off

    def _holds_the_dead(self) -> bool:
        """In the final kill: kill who has come, and say whether the dead must keep their places still."""
        final_kill = self._effects.final_kill
        if final_kill.holds_the_dead:
            self.take(events.Settled(childless=False))
        self._more = self._more or (final_kill.holds_the_dead and final_kill.came)
        return final_kill.holds_the_dead

    def _at_its_end(self, pid: int, end: End, *, tells_reaps: bool) -> Process:
        """Describe a zombie: /proc still has its last name, its group and its session."""
        roster = self._machine.roster
        known = roster.get(pid)
        if known is not None and not (tells_reaps or roster.decides(pid)) and (end.good or self._stopping):
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

    def _look_if_due(self) -> bool:
        """Look for adopted children, unless the last look was too dear to be made again so soon."""
        now = time.monotonic()
        if now < self._look_again:
            self._look_at = min(self._look_at or self._look_again, self._look_again)
            return False
        found = self._look()
        done = time.monotonic()
        # While stopping, who comes is to be signalled: only what a look costs that finds nobody counts.
        pause = (self._listing_s if self._stopping else done - now) * LOOK_SHARE
        if self._storm.lasts and not self._stopping:
            pause = max(pause, STORM_LOOK_S)
        self._look_again = 0.0 if self._broken_off else done + pause  # that one is made anew at once, and to its end
        return found

    def _look(self, *, whole: bool = False) -> bool:
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
                    self._may_break_off = True
                if not number % ENDS and self._breaks_off():
                    return found
                # To ask the kernel costs a fiftieth of a description, which a zombie gets at its end.
                process = self._proc.child(pid) if kernel.is_alive(pid) else None
                if process is None or not process.alive:
                    self._dead.add(pid)
                    continue
                process.foreign = process.foreign or pid in self._before
                self.take(events.Adopted(process))
                found = True
        return found

    def _newcomers(self) -> list[int]:
        """List the children that the core does not know, and that are to be looked at.

        While stopping, a crowd has its signal first. Who is in it is left alone for a while: most are about to end.
        """
        begun = time.monotonic()
        known, dead = self._machine.roster.pids, self._dead
        new = [pid for pid in self._proc.children(self._breaks_off) if pid not in known and pid not in dead]
        now = time.monotonic()
        self._listing_s += now - begun
        if not self._stopping:
            return new
        unseen = self._machine.unseen
        if len(new) - len(unseen) > CROWD:
            if not unseen:
                self._crowd_until = now + CROWD_S
            self.take(events.Came(self._crowd(pid for pid in new if pid not in unseen)))
            unseen = self._machine.unseen
            self._calm_at = time.monotonic() + CALM_S
        if now >= min(self._calm_at, self._crowd_until):
            return new
        return [pid for pid in new if pid not in unseen and pid not in dead]

    def _crowd(self, pids: Iterable[int]) -> list[tuple[int, int]]:
        """List who of them lives, (PID, process group) each, until something is more urgent."""
        living = []
        for number, pid in enumerate(pids):
            if not number % ENDS and self._breaks_off():
                break
            if kernel.is_alive(pid):
                living.append((pid, kernel.process_group(pid)))
            else:
                self._dead.add(pid)
        return living
