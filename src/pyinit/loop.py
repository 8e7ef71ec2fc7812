"""Waits in one place, for signals, the log's reader and deadlines, and tells the core what has happened."""

from __future__ import annotations

import posix
import time

from pyinit import kernel
from pyinit.core import events
from pyinit.reaper import Reaper
from pyinit.sources import GATHER_S, Sources, Storm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyinit.core.lives import Lives
    from pyinit.core.machine import Machine
    from pyinit.effects import Effects
    from pyinit.log import Log
    from pyinit.procfs import Proc

_SIGCHLD = 17
# After an error that nobody foresaw: when to try again (seconds).
RETRY_S = 0.1
# In a storm the log is written once in so long, if not much waits before (seconds): a write wakes its reader, too.
WRITE_S = 0.002


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
        self._log = log
        self._jobs = jobs
        self._sources = sources
        self._sources.add(signals_fd, None)  # they are read at their turn, whatever else there is
        self._storm = Storm()
        self._reaper = Reaper(machine, effects, proc, before=before, storm=self._storm)
        self._looks = self._reaper.looks
        self._log_fd: int | None = None
        self._write_again = 0.0
        self._write_at: float | None = None

    def run(self) -> int:
        """Run until the core wants to leave; return the exit status."""
        while self._effects.status is None:
            try:
                self._step()
            except Exception as error:  # noqa: BLE001  # the one guard: nothing ends pyinit but its own rules
                self._log.report("pyinit.error", {"where": "loop", "error": f"{type(error).__name__}: {error}"})
                self._looks.at = time.monotonic() + RETRY_S
                self._reaper.more = False
        return self._effects.status

    def take(self, event: events.Event) -> None:
        """Tell the core something now."""
        self._effects.take(event, time.monotonic())

    def look_soon(self) -> None:
        """Look who has come before the next wait, however dear the last look was: somebody asks, or a stop begins."""
        self._reaper.more = True
        self._looks.anew()

    def look_for(self, pids: Iterable[int]) -> None:
        """Do so if any of these children is not known yet: to look at ten thousand at once takes its time."""
        if not self._looks.know(pids):
            self.look_soon()

    def _step(self) -> None:
        stopping = self._looks.stopping
        if self._storm.pauses():
            self._gather()
        self._sources.wait(self._timeout())
        self._take_signals(kernel.read_signals(self._signals_fd))
        if self._sources.serve():
            self._take_what_broke_off()
        if not stopping and self._looks.stopping:
            self.look_soon()
        if self._looks.due() or self._reaper.more:
            if self._jobs:
                self._stopped()
            self._reaper.children()
            if self._effects.status is not None:
                self._log.flush()
                return
        deadline = self._machine.deadline
        if deadline is not None and time.monotonic() >= deadline:
            self.take(events.TimeUp())
        if self._looks.stopping:
            self._looks.go_on()
        self._watch_log()

    def _gather(self) -> None:
        """In a storm: let ends come together, and take a signal that puts an end to that.

        It is in no queue any more: it is taken before anything else can fail.
        """
        due = self._timeout()
        if not due or self._looks.stopping:
            return  # how soon a stop is over depends on each end
        signals = kernel.gather(GATHER_S if due < 0 else min(due, GATHER_S))
        if signals:
            self._reaper.more = True  # go round at once
        self._take_signals(signals)

    def _take_what_broke_off(self) -> None:
        """Take the signals for which who was served may have broken off, and let those go first who get them."""
        came = kernel.read_signals(self._signals_fd)
        self._take_signals(came)
        if any(signo != _SIGCHLD for signo, _, _ in came):
            kernel.yield_turn()  # a long answer keeps the processor for as long as the kernel lets us

    def _take_signals(self, signals: Iterable[tuple[int, int, int]]) -> None:
        """Tell the core of signals, of all of them: they are in no queue any more. Raises the first error."""
        failed = None
        for signo, sender_pid, sender_uid in signals:
            if signo == _SIGCHLD:
                self._reaper.more = True
            elif sender_pid != self._pid:  # a broken pipe is our own SIGPIPE
                try:
                    self.take(events.Signalled(signo, sender_pid, sender_uid))
                except Exception as error:  # noqa: BLE001  # told by the guard
                    failed = failed or error
        if failed is not None:
            raise failed

    def _timeout(self) -> float:
        """Seconds until something is due; -1 when only an event can bring something new."""
        if self._reaper.more:
            return 0
        moments = (self._machine.deadline, self._looks.at, self._write_at)
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

    def _stopped(self) -> None:
        """Where there is a terminal: tell whether main has been stopped."""
        main = self._machine.roster.main
        if main is not None and self._machine.roster.main_alive:
            signo = kernel.stopped(main.pid)
            if signo is not None:
                self.take(events.Stopped(signo))
