"""pyinit's own commands: when the stop command and the reload command run, and what their ends mean."""

from __future__ import annotations

from pyinit.core.actions import ReadOutput, Report, RunCommand
from pyinit.core.model import RELOAD_COMMAND, SIGHUP, STOP_COMMAND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.core.actions import Action
    from pyinit.core.events import CommandStarted
    from pyinit.core.model import End, Process
    from pyinit.core.roster import Roster


class Commands:
    """One reload at a time, one stop for all.

    Attributes:
        reloading: the reload command runs, or is about to.
    """

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._running: dict[int, str] = {}
        self.reloading = False
        self._again = False
        self._there: set[tuple[int, int]] = set()

    def stop(self, service: Process | None, signo: int, grace_s: float) -> Action:
        """Run the stop command; no reload comes after it."""
        self._again = False
        return RunCommand(STOP_COMMAND, service, signo, grace_s)

    def reload(self, service: Process | None) -> list[Action]:
        """Run the reload command, or run it once more when the one that runs has ended."""
        if self.reloading:
            self._again = True
            return []
        self.reloading = True
        self._there = {process.identity for process in self._roster.alive}
        return [RunCommand(RELOAD_COMMAND, service, SIGHUP)]

    def started(self, event: CommandStarted) -> list[Action]:
        """Enter the process of a command, if it has one."""
        facts: dict[str, object] = {"kind": event.kind, "process": event.process, "errno": event.errno}
        if event.process is None:
            if event.kind == RELOAD_COMMAND:
                self.reloading = self._again = False
            return [Report("command.started", facts, "warning")]
        self._running[event.process.pid] = event.kind
        self._roster.enter_command(event.process)
        return [Report("command.started", facts)]

    def ended(self, process: Process, end: End, *, signalled: bool) -> tuple[str, list[Action]]:
        """Tell the end of a command: (which it was, what to do). `signalled`: a stop's signals have gone out."""
        kind = self._running.pop(process.pid)
        facts: dict[str, object] = {"kind": kind, "process": process, "end": end, "signalled": signalled}
        if kind == RELOAD_COMMAND:
            self.reloading = False
        return kind, [ReadOutput(process), Report("command.ended", facts, None if end.good or signalled else "warning")]

    def left_by_reload(self) -> list[Process]:
        """Return the roots that have come since the last reload began."""
        return [process for process in self._roster.candidates if process.identity not in self._there]

    def reload_again(self, service: Process | None) -> list[Action]:
        """Run the reload command once more if that was asked for while it ran."""
        if not self._again or self.reloading:
            return []
        self._again = False
        return self.reload(service)
