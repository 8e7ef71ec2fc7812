"""Who carries the service on when main or a successor has ended; when nobody does, the run is stopped."""

from __future__ import annotations

from pyinit.core.actions import Report, SignalGroup
from pyinit.core.model import REST_SIGNAL, REST_STOP, SIGTERM, UNTIL_ALL, UNTIL_MAIN, UNTIL_SERVICE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.core.actions import Action
    from pyinit.core.commands import Commands
    from pyinit.core.ending import Ending
    from pyinit.core.forwarding import Forwarding
    from pyinit.core.model import End, Policy, Process
    from pyinit.core.roster import Roster
    from pyinit.core.service import Service
    from pyinit.core.verdict import Verdict


class Succession:
    """From main's end to that of the last who carries on.

    Attributes:
        held: what main has left behind is held: the handover has been, or there never was a main.
        leaving: pyinit leaves what main has left behind to itself, and goes.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # all that an end can concern
        self,
        policy: Policy,
        roster: Roster,
        service: Service,
        verdict: Verdict,
        forwarding: Forwarding,
        commands: Commands,
        ending: Ending,
    ) -> None:
        self._policy = policy
        self._roster = roster
        self._service = service
        self._verdict = verdict
        self._forwarding = forwarding
        self._commands = commands
        self._ending = ending
        self._heir_by: float | None = None
        self.held = self.leaving = False

    @property
    def deadline(self) -> float | None:
        """When `tick` wants to be called next (monotonic seconds), or None."""
        return min((at for at in (self._service.deadline, self._heir_due) if at is not None), default=None)

    def tick(self, now: float) -> list[Action]:
        """Look for the service where it is awaited, and stop where nobody has come to carry it on."""
        if self._heir_due is not None and now >= self._heir_due:
            return self._await_heir(now)
        return self._service.tick(now)

    # -- an end -------------------------------------------------------------------------------------------------

    def main_ended(self, main: Process, end: End, now: float) -> list[Action]:
        """Stop if main's end asks for it. Main is a zombie still: its number stands for its group."""
        if self._ending.begun:
            return self._ending.main_ended(now)
        if self._policy.rest != REST_STOP:
            self._verdict.decide("main", main, end)
            self.leaving = True
            last_word = self._forwarding.rewrite(SIGTERM)
            told = self._policy.rest == REST_SIGNAL and self._roster.main_leads and last_word
            return [SignalGroup(main.pid, last_word)] if told else []
        until = self._policy.until
        if until == UNTIL_MAIN or (until == UNTIL_SERVICE and not end.good):
            self._verdict.decide("main", main, end)
            return self.stop("main", now, process=main, end=end)
        # What it leaves is the service from this moment on; the record waits until all that ends with it is told.
        self._roster.promote(self._roster.candidates)
        return self._service.decider_ended(main, now)

    def successor_ended(self, process: Process, end: End, now: float) -> list[Action]:
        """Stop if it ended badly; else whom it leaves behind inherits its role."""
        if self._ending.begun:
            return self._ending.successor_ended(now)
        if not end.good:
            if self._policy.until == UNTIL_ALL:
                return self._service.decider_ended(process, now)
            return self.stop("successor", now, process=process, end=end)
        heirs = self._roster.fresh
        self._roster.promote(heirs)
        actions: list[Action] = []
        if not heirs:
            self._verdict.served(process, end)
        elif self.held:
            actions.append(Report("service.inherited", {"process": process, "successors": heirs}))
        return [*actions, *self._service.decider_ended(process, now)]

    def heirs_of_reload(self, now: float) -> list[Action]:
        """Make a service of what the reload command has left, where it has ended the one that was there."""
        heirs = self._commands.left_by_reload()
        if not self.held or self._roster.succeeded or not heirs:
            return []
        self._roster.promote(heirs)
        self._heir_by = None
        facts: dict[str, object] = {"process": self._verdict.last or self._roster.main, "successors": heirs}
        return [Report("service.inherited", facts), *self._service.handed_over(now)]

    # -- when all ends of a moment are told ------------------------------------------------------------------------

    def settle(self) -> None:
        """Forget until when an heir was awaited, if there is one by now."""
        self._heir_by = self._heir_due

    def settled(self, now: float) -> list[Action]:
        """Hand over, stop when the service is over, or look who it is: main has been reaped, if it has ended."""
        if self._roster.main_end is None:
            return []
        if not self.held:
            return self._hand_over(now)
        if self._policy.until == UNTIL_SERVICE and not self._roster.succeeded:
            return self._await_heir(now)
        return self._service.settled()

    @property
    def _heir_due(self) -> float | None:
        """When somebody has to carry the service on, or None: somebody does, or there is nothing to wait for."""
        return None if self._heir_by is None or self._roster.succeeded else self._heir_by

    def _await_heir(self, now: float) -> list[Action]:
        """Stop, for the service is over; but a reload command that runs has some time to bring another one."""
        if not self._commands.reloading or (self._heir_by is not None and now >= self._heir_by):
            return self.stop("service", now)
        if self._heir_by is None:
            self._heir_by = now + self._policy.pid_file_timeout_s
        return []

    def _hand_over(self, now: float) -> list[Action]:
        """Make what main has left behind the service: main has been reaped, and something is there."""
        successors = self._roster.successors
        self.held = True
        if not successors and self._policy.until == UNTIL_SERVICE:
            return self._await_heir(now)
        facts: dict[str, object] = {
            "main": self._roster.main,
            "successors": successors,
            "until": self._policy.until,
        }
        actions: list[Action] = [Report("service.handover", facts)]
        return [*actions, *self._service.handed_over(now)] if successors else actions

    def stop(self, reason: str, now: float, *, process: Process | None = None, end: End | None = None) -> list[Action]:
        """Begin a stop that nobody asked for: the service is over."""
        return self._ending.begin(reason, self._forwarding.rewrite(SIGTERM) or SIGTERM, now, process=process, end=end)
