"""Carries out what the core asks for, and brings back what came of it."""

from __future__ import annotations

import posix
import time

from pyinit import claims, kernel
from pyinit.apart import Apart
from pyinit.core import actions, events
from pyinit.core.model import KILLED, MAIN, SIGCONT, SIGKILL
from pyinit.finalkill import FinalKill

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Container, Mapping, Sequence
    from typing import Any

    from pyinit.core.actions import Action
    from pyinit.core.lives import Lives
    from pyinit.core.machine import Machine
    from pyinit.core.model import End, Process
    from pyinit.log import Log
    from pyinit.oom import OomKills
    from pyinit.procfs import Proc
    from pyinit.terminal import Terminal
else:
    from _collections import deque  # what the module around it adds is made in Python, and not small


class Effects:
    """The hands of the core.

    Attributes:
        identity: what `pyinit.started` says of pyinit itself.
        status: the exit status, as soon as the core wants to leave.
        oom: knows of the kills for want of memory, or None.
        final_kill: the end of the grace where pyinit is a subreaper.
        tell_reaped: makes a line of text for each child but main that is reaped, or None.
    """

    def __init__(self, machine: Machine | Lives, proc: Proc, log: Log, terminal: Terminal) -> None:
        self._machine = machine
        self._terminal = terminal
        self._proc = proc
        self._log = log
        self.identity: dict[str, object] = {}
        self.status: int | None = None
        self.tell_reaped: Callable[[int], str] | None = None
        self.final_kill = FinalKill(proc, list)
        self.oom: OomKills | None = None
        self._apart = Apart(machine, proc, log)
        self._todo: deque[Action] = deque()
        self._answers: list[Action] = []
        self._busy = False
        # Each function takes its own type of action, which the type of the table cannot say.
        self._calls: dict[type, Callable[[Any, float], None]] = {
            actions.SignalGroup: self._signal_group,
            actions.SignalChild: self._signal_child,
            actions.SignalDescendant: self._signal_descendant,
            actions.SignalUnseen: self._signal_unseen,
            actions.SignalEveryone: self._signal_everyone,
            actions.KillChildren: self._kill_children,
            actions.GiveTerminal: self._give_terminal,
            actions.TakeTerminal: self._take_terminal,
            actions.StopSelf: self._stop_self,
            actions.Inspect: self._inspect,
            actions.Walk: self._walk,
            actions.Reap: self._reap,
            actions.Report: self._report,
            actions.Exit: self._exit,
        }
        # Where nothing is asked for that concerns the service, nobody is to hear of it either.
        self._calls[actions.PassOn] = self._ignore

    def add(self, calls: Mapping[type, Callable[[Any, float], None]]) -> None:
        """Take in what carries out further types of action."""
        self._calls.update(calls)

    def take(self, event: events.Event, now: float) -> None:
        """Hand an event to the core, and carry out what it answers."""
        self.carry_out(self._machine.handle(event, now), now)

    def carry_out(self, wanted: Sequence[Action], now: float) -> None:
        """Carry out actions in their order; what the core answers to one of them comes before the next.

        Not by recursion: an answer can ask for a look that has an answer, a generation of processes each time. When one
        of them fails the others are carried out all the same, and at once: a number that one of them signals may be
        somebody else's by the next event. Raises the first error.
        """
        self._answers += wanted
        if self._busy:
            return
        self._busy = True
        failed = None
        while self._answers or self._todo:
            self._todo.extendleft(reversed(self._answers))
            self._answers.clear()
            action = self._todo.popleft()
            try:
                self._calls[type(action)](action, now)
            except Exception as error:  # noqa: BLE001  # told by the loop
                failed = failed or error
        self._busy = False
        if failed is not None:
            raise failed

    def _signal_group(self, action: actions.SignalGroup, now: float) -> None:
        result = kernel.send_group(action.pgid, action.signo)
        if result == kernel.GONE:
            result = kernel.send(action.pgid, action.signo)  # the leader itself, which has left its group
        main = self._machine.roster.main
        if result == kernel.DENIED and main is not None:
            self.take(events.Undeliverable(main, action.signo, kernel.EPERM), now)
        if action.cont and kernel.send_group(action.pgid, SIGCONT) == kernel.GONE:
            kernel.send(action.pgid, SIGCONT)

    def _signal_child(self, action: actions.SignalChild, now: float) -> None:
        pid = action.process.pid
        self._delivered(kernel.send(pid, action.signo), action.process, action.signo, now)
        if action.cont:
            kernel.send(pid, SIGCONT)

    def _signal_descendant(self, action: actions.SignalDescendant, now: float) -> None:
        """Signal somebody else's child: open it, look whether it is still the one that was meant, only then send."""
        process = action.process
        try:
            fd = kernel.pidfd(process.pid)
        except OSError as error:
            # ENOSYS, EPERM of an old seccomp profile, EMFILE: without a pidfd the number may mean a stranger.
            self.take(events.Undeliverable(process, action.signo, error.errno or 0), now)
            return
        if fd is None:
            return
        try:
            # Where /proc shows nothing of it, a child's number is certain all the same: only we can give it away.
            if self._ours(process) or (not process.start_ticks and kernel.is_child(process.pid)):
                self._delivered(kernel.send_pidfd(fd, action.signo), process, action.signo, now)
                if action.cont:
                    kernel.send_pidfd(fd, SIGCONT)
        finally:
            kernel.close(fd)

    def _ours(self, process: Process) -> bool:
        """Say whether a PID still means this process, and nobody but a process below us.

        A start time is told in hundredths of a second: where numbers come round faster, a stranger has the same. And
        who was seen as a child of it may have been the child of a stranger who had got its number.
        """
        now = self._proc.describe(process.pid)
        if now is None or now.start_ticks != process.start_ticks:
            return False
        # A child of ours that has not been reaped keeps its number: whoever has it as a parent is below us.
        return now.ppid in self._machine.roster or now.ppid == posix.getpid() or claims.below(self._proc, process.pid)

    def _signal_unseen(self, action: actions.SignalUnseen, now: float) -> None:
        for pid in kernel.send_each(action.pids, action.signo):
            self.take(events.Undeliverable(self._proc.child(pid), action.signo, kernel.EPERM), now)

    def _signal_everyone(self, action: actions.SignalEveryone, now: float) -> None:
        del now
        kernel.send_everyone(action.signo)

    def _kill_children(self, action: actions.KillChildren, now: float) -> None:
        del action
        denied, changed = self.final_kill.kill()
        if changed:
            self.take(events.Dying(), now)
        for pid in denied:
            self.take(events.Undeliverable(self._proc.child(pid), SIGKILL, kernel.EPERM), now)

    def _give_terminal(self, action: actions.GiveTerminal, now: float) -> None:
        del action, now
        main = self._machine.roster.main
        if main is not None:
            self._terminal.give(main.pgid)

    def _take_terminal(self, action: actions.TakeTerminal, now: float) -> None:
        del action, now
        main = self._machine.roster.main
        if main is not None:
            self._terminal.take_back(main.pgid)

    def _stop_self(self, action: actions.StopSelf, now: float) -> None:
        del now
        if action.whole_job:
            kernel.stop_job()
        else:
            kernel.stop_self()

    def _delivered(self, result: str, process: Process, signo: int, now: float) -> None:
        if result == kernel.DENIED:
            self.take(events.Undeliverable(process, signo, kernel.EPERM), now)

    def _inspect(self, action: actions.Inspect, now: float) -> None:
        seen = []
        for process in action.processes:
            if self.late():
                break
            view = self._proc.view(process, action.signo)
            if view is not None:
                seen.append(view)
        self.take(events.Inspected(seen), now)

    def late(self) -> bool:
        """Say whether SIGKILL is due: then nothing else is begun, however much there is to look at."""
        due = self._machine.kill_at
        return due is not None and time.monotonic() >= due

    def _walk(self, action: actions.Walk, now: float) -> None:
        del action
        processes, complete = self._proc.walk(self.late)
        self.take(events.Walked(processes, complete=complete), now)

    def _reap(self, action: actions.Reap, now: float) -> None:
        del now
        process, end = action.process, action.end
        pid = process.pid
        oom_killed = end.kind == KILLED and end.value == SIGKILL and not self._machine.killing and self._died_of_oom()
        if action.severity is None and not self._log.tells_reaps:
            kernel.bury(pid)
        else:
            facts: dict[str, object] = {
                "process": process,
                "role": action.role,
                "escaped": action.escaped,
                "end": end,
                "usage": kernel.reap(pid),
            }
            if oom_killed:
                facts["oom_killed"] = True
            self._log.report("process.reaped", facts, action.severity)
        self.final_kill.reaped(pid)
        if self.tell_reaped is not None and action.role != MAIN:
            self._log.say(self.tell_reaped(pid))

    def reap_apart(self, reaped: list[int], spared: Container[int], limit: int) -> tuple[int, End] | None:
        """Reap those who stand apart, see `Apart.reap`."""
        return self._apart.reap(reaped, spared, limit, self.oom, by_hand=self.tell_reaped is not None)

    @property
    def tells_reaps(self) -> bool:
        """True when something is told of each end, whatever it was."""
        return self._log.tells_reaps or self.tell_reaped is not None

    def _died_of_oom(self) -> bool:
        return self.oom is not None and self.oom.happened()

    def _report(self, action: actions.Report, now: float) -> None:
        del now
        facts = action.facts
        if action.event == "pyinit.started":
            facts.update(self.identity)
        elif action.event == "pyinit.exited":
            facts["dropped"] = self._log.dropped
        self._log.report(action.event, facts, action.severity)

    def _ignore(self, action: object, now: float) -> None:
        pass

    def _exit(self, action: actions.Exit, now: float) -> None:
        del now
        self.status = action.status
