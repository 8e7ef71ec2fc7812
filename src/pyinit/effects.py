"""Carries out what the core asks for, and brings back what came of it."""

from __future__ import annotations

import time

from pyinit import kernel
from pyinit.core import actions, events
from pyinit.core.model import KILLED, MAIN, SIGCONT, SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pyinit.core.actions import Action
    from pyinit.core.machine import Machine
    from pyinit.core.model import Process
    from pyinit.log import Log
    from pyinit.oom import OomKills
    from pyinit.procfs import Proc
    from pyinit.terminal import Terminal

# Looks are made in a row for so long before some of the dead are reaped (seconds).
KILL_BURST_S = 0.01


class Effects:
    """The hands of the core.

    Attributes:
        identity: what `pyinit.started` says of pyinit itself.
        status: the exit status, as soon as the core wants to leave.
        oom: knows of the kills for want of memory, or None.
        tell_reaped: makes a line of text for each child but main that is reaped, or None.
    """

    def __init__(self, machine: Machine, proc: Proc, log: Log, terminal: Terminal) -> None:
        self._machine = machine
        self._terminal = terminal
        self._proc = proc
        self._log = log
        self.identity: dict[str, object] = {}
        self.status: int | None = None
        self.tell_reaped: Callable[[int], str] | None = None
        self._killed: set[int] = set()
        self.oom: OomKills | None = None
        # Each function takes its own type of action, which the type of the table cannot say.
        self._calls: dict[type, Callable[[Any, float], None]] = {
            actions.SignalGroup: self._signal_group,
            actions.SignalChild: self._signal_child,
            actions.SignalDescendant: self._signal_descendant,
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

    def take(self, event: events.Event, now: float) -> None:
        """Hand an event to the core, and carry out what it answers."""
        self.carry_out(self._machine.handle(event, now), now)

    def carry_out(self, wanted: Sequence[Action], now: float) -> None:
        """Carry out actions in their order."""
        for action in wanted:
            self._calls[type(action)](action, now)

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
            if self._proc.same(process):
                self._delivered(kernel.send_pidfd(fd, action.signo), process, action.signo, now)
                if action.cont:
                    kernel.send_pidfd(fd, SIGCONT)
        finally:
            kernel.close(fd)

    def _signal_everyone(self, action: actions.SignalEveryone, now: float) -> None:
        del now
        kernel.send_everyone(action.signo)

    def _kill_children(self, action: actions.KillChildren, now: float) -> None:
        """Kill children as fast as they come: no word is said before a look finds no new one.

        A process that forks and ends to get away lives for a tenth of a millisecond; a look and a kill are quicker.
        After a while the loop reaps what has died, so that the list of children stays short and PIDs stay free.
        """
        del action
        denied: list[int] = []
        until = time.monotonic() + KILL_BURST_S
        while new := [pid for pid in self._proc.children() if pid not in self._killed]:
            denied += [pid for pid in new if kernel.send(pid, SIGKILL) == kernel.DENIED]
            self._killed.update(new)
            if time.monotonic() > until:
                break
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
        seen = [view for process in action.processes if (view := self._proc.view(process)) is not None]
        self.take(events.Inspected(seen), now)

    def _walk(self, action: actions.Walk, now: float) -> None:
        del action
        self.take(events.Walked(self._proc.walk()), now)

    def _reap(self, action: actions.Reap, now: float) -> None:
        del now
        facts: dict[str, object] = {
            "process": action.process,
            "role": action.role,
            "escaped": action.escaped,
            "end": action.end,
            "usage": kernel.reap(action.process.pid),
        }
        end = action.end
        if end.kind == KILLED and end.value == SIGKILL and not self._machine.killing and self._died_of_oom():
            facts["oom_killed"] = True
        self._killed.discard(action.process.pid)
        self._log.report("process.reaped", facts, action.severity)
        if self.tell_reaped is not None and action.role != MAIN:
            self._log.say(self.tell_reaped(action.process.pid))

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

    def _exit(self, action: actions.Exit, now: float) -> None:
        del now
        self.status = action.status
