"""The lives of a service, one run behind the other: a `Machine` for each, and the time between two (--restart)."""

from __future__ import annotations

from pyinit.core import events
from pyinit.core.actions import Answer, CloseRun, Exit, PassOn, Report, Respawn
from pyinit.core.machine import DONE, STARTING, Machine
from pyinit.core.model import ASKED_RELOAD, ASKED_RESTART
from pyinit.core.requests import accept, refuse
from pyinit.core.restart import Restarts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from typing import Any

    from pyinit.core.actions import Action
    from pyinit.core.model import End, Policy
    from pyinit.core.roster import Roster
    from pyinit.core.service import Service

WAITING = "waiting"

# What concerns the service: between two runs there is none, and these come from the last one.
_OF_THE_SERVICE = (events.Notified, events.Claimed, events.Located, events.ServiceGone)


class Lives:
    """The state of a service that is started again. To be used as a `Machine` is.

    The machine of the next run is there as soon as the last one is over. Until main is started it is in its first
    phase, and takes what comes: as PID 1 there may be foreign orphans, and a stop request ends it as it ends a run.

    Attributes:
        restarts: how often main has been started again.
        started_at: when main was started first (monotonic seconds).
        since: when the phase began (monotonic seconds).
        status: the exit status, once phase is DONE.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._run = Machine(policy)
        self._counted = Restarts(policy)
        self._due: float | None = None
        self.started_at = self.since = self._run_begun_at = 0.0
        self._outcome: dict[str, Any] = {}
        self._before = dict.fromkeys(self._run.totals, 0)
        self.restarts = 0
        self.status: int | None = None

    @property
    def roster(self) -> Roster:
        """Who is there."""
        return self._run.roster

    @property
    def service(self) -> Service:
        """Which process is the service."""
        return self._run.service

    @property
    def totals(self) -> dict[str, int]:
        """What the record of the exit and the status count, over all runs."""
        return {name: self._before[name] + number for name, number in self._run.totals.items()}

    @property
    def phase(self) -> str:
        """Where the run is: one of a machine's phases, or WAITING between two runs."""
        if self.status is not None:
            return DONE
        return WAITING if self._waits_until is not None else self._run.phase

    @property
    def deadline(self) -> float | None:
        """When `TimeUp` is wanted (monotonic seconds), or None."""
        return self._run.deadline if self._waits_until is None else self._waits_until

    @property
    def kill_at(self) -> float | None:
        """When SIGKILL is due (monotonic seconds), or None: nothing is being stopped, or it has begun."""
        return self._run.kill_at

    @property
    def killing(self) -> bool:
        """True when a SIGKILL may be our own."""
        return self._run.killing

    @property
    def unseen(self) -> AbstractSet[int]:
        """The PIDs of children that a stop has signalled, and that were not told as `Adopted` yet."""
        return self._run.unseen

    def leaves_heirs(self, pid: int) -> bool:
        """Say whether what a child leaves behind is to be told before its end: it may carry on what the child was."""
        return self._run.leaves_heirs(pid)

    def passes(self, pid: int, end: End) -> bool:
        """Say whether this end of a child decides nothing and is told at debug alone: who it was need not be known."""
        return self._run.passes(pid, end)

    @property
    def followed(self) -> tuple[AbstractSet[int], int | None] | None:
        """The PIDs of children from whose ends more may follow than a record; None between two runs: all matter."""
        return None if self._waits_until is not None else self._run.followed

    def told_of(self, pgid: int, sid: int, end: End) -> tuple[str, tuple[str, ...], str | None]:
        """Say what the record tells of the end of one who stands apart."""
        return self._run.told_of(pgid, sid, end)

    @property
    def live(self) -> bool:
        """True until SIGKILL is due, and between two runs."""
        return self._waits_until is not None or self._run.live

    @property
    def ready(self) -> bool:
        """True while the service can be used, as far as anybody can tell."""
        return self._run.ready

    @property
    def closing(self) -> bool:
        """True when no other run follows, as far as that is decided."""
        return self.status is not None or self._run.requests.stop_asked or self._last

    @property
    def restart_at(self) -> float | None:
        """When main is started again, between two runs (monotonic seconds)."""
        return self._waits_until

    @property
    def _waits_until(self) -> float | None:
        """When the next run begins, between two runs; None in a run, and when a stop has begun."""
        return self._due if self._run.phase == STARTING else None

    @property
    def _last(self) -> bool:
        """True when a stop has begun between two runs: the next one will not be."""
        return self._due is not None and self._run.phase != STARTING

    def handle(self, event: events.Event, now: float) -> list[Action]:
        """Take an event at a time in monotonic seconds; return the actions to carry out, in order."""
        phase = self.phase
        if phase == DONE:
            return []
        actions = self._take(event, now)
        if self.phase != phase:
            self.since = now
        return actions

    def _take(self, event: events.Event, now: float) -> list[Action]:
        due = self._waits_until
        if due is not None:
            return self._between(event, due, now)
        if isinstance(event, events.NotStarted):
            return self._not_started(event, now)
        if isinstance(event, events.Started):
            self._started(now)
        if isinstance(event, events.Asked) and event.kind == ASKED_RESTART and self._last:
            return refuse(event, "pyinit is about to leave")
        return self._tell(event, now)

    def _tell(self, event: events.Event, now: float) -> list[Action]:
        """Tell the run; see what follows when it is over."""
        actions = self._run.handle(event, now)
        if self._run.phase != DONE:
            return actions
        gone = isinstance(event, events.Settled) and event.childless
        return [*actions[:-2], *self._run_over(now, gone=gone)]  # instead of the record of the exit, and the exit

    # -- from one run to the next -------------------------------------------------------------------------------

    def _started(self, now: float) -> None:
        self._run_begun_at = now
        if self._outcome:
            self.restarts += 1
        else:
            self.started_at = now

    def _run_over(self, now: float, *, gone: bool) -> list[Action]:
        """Leave, or have another run begin; `gone`: the kernel says that nobody is left."""
        run = self._run
        if self._due is not None:
            return self._leave(now)  # main was not there: what the last run came to stands
        self._outcome = run.outcome
        if run.requests.stop_asked or not (run.requests.restart_asked or self._counted.wanted(run.outcome["status"])):
            return self._leave(now)
        if not gone:
            return [self._given_up("left"), *self._leave(now)]
        delay_s = 0.0 if run.requests.restart_asked else self._counted.delay_s(now, now - self._run_begun_at)
        if delay_s is None:
            return [self._given_up("limit"), *self._leave(now)]
        actions = self._wait(delay_s, now, asked=run.requests.restart_asked)
        self._before = self.totals
        self._run = Machine(self._policy, self.restarts + 1)
        return actions

    def _wait(self, delay_s: float, now: float, *, asked: bool) -> list[Action]:
        """Wait for the next run, and say so; who supervises pyinit hears that there is no service meanwhile."""
        self._due = now + delay_s
        facts = {**self._outcome, **self._facts, "delay_s": delay_s, "asked": asked}
        fields = {"STATUS": f"restarting main in {delay_s:g} s"}
        if self._run.service.ready:
            fields = {"RELOADING": "1", "MONOTONIC_USEC": str(int(now * 1e6)), **fields}
        severity = "info" if asked or not self._outcome["status"] else None
        return [CloseRun(), Report("service.restarting", facts, severity), PassOn(fields)]

    def _between(self, event: events.Event, due: float, now: float) -> list[Action]:
        """Take what happens between two runs. Whoever comes now is foreign: nobody of the last run was left."""
        if isinstance(event, events.TimeUp):
            if now < due:
                return []
            self._due = None
            return [Respawn()]
        if isinstance(event, events.Asked) and event.kind == ASKED_RESTART:
            self._due = now
            return [*accept(event, "the delay is over"), Answer()]
        if isinstance(event, events.Asked) and event.kind == ASKED_RELOAD:
            return refuse(event, "main is yet to be started again")
        if isinstance(event, _OF_THE_SERVICE):
            return []
        if isinstance(event, (events.Adopted, events.Ended)):
            event.process.foreign = True
        return self._tell(event, now)

    def _not_started(self, event: events.NotStarted, now: float) -> list[Action]:
        """Count a main that could not be started as a run that failed."""
        self._outcome = {"status": event.status, "reason": "start", "process": None, "end": None}
        facts: dict[str, object] = {"status": event.status, "errno": event.errno, "reason": event.reason}
        failed = Report("service.start_failed", facts)
        delay_s = self._counted.delay_s(now, 0.0)
        if delay_s is not None:
            return [failed, *self._wait(delay_s, now, asked=False)]
        actions: list[Action] = [failed, self._given_up("limit")]
        if not self.roster.alive:
            return [*actions, *self._leave(now)]
        self._due = now
        return [*actions, *self._run.stop_rest(now)]

    # -- how it ends --------------------------------------------------------------------------------------------

    @property
    def _facts(self) -> dict[str, object]:
        """What the records of a restart say of the limit."""
        limit, window_s = self._policy.restart_limit
        return {"count": self._counted.count, "limit": limit, "window_s": window_s}

    def _given_up(self, reason: str) -> Report:
        return Report("service.given_up", {**self._facts, "status": self._outcome["status"], "reason": reason})

    def _leave(self, now: float) -> list[Action]:
        """Leave with what the last run came to."""
        self.status = status = self._outcome["status"]
        final = [] if self._run.requests.stop_asked else [PassOn({"STOPPING": "1"})]
        duration_s = now - self.started_at
        facts = {**self._outcome, **self.totals, "restarts": self.restarts, "duration_s": duration_s}
        return [*final, Report("pyinit.exited", facts), Exit(status)]
