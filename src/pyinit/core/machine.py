"""The life of one run: takes what happened, returns what to do."""

from __future__ import annotations

from pyinit.core import events
from pyinit.core.actions import Exit, Reap, Report
from pyinit.core.commands import Commands
from pyinit.core.ending import Ending
from pyinit.core.forwarding import Forwarding
from pyinit.core.jobs import Jobs
from pyinit.core.model import (
    ADOPTED,
    COMMAND,
    EXITED,
    KILLED,
    MAIN,
    NOT_READY,
    SIGKILL,
    STOP_COMMAND,
    SUCCESSOR,
    End,
)
from pyinit.core.requests import Requests
from pyinit.core.roster import Roster
from pyinit.core.service import Service
from pyinit.core.succession import Succession
from pyinit.core.verdict import Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet
    from typing import Any

    from pyinit.core.actions import Action
    from pyinit.core.model import Claim, Policy, Process

STARTING = "starting"
RUNNING = "running"
HOLDING = "holding"
STOPPING = "stopping"
KILLING = "killing"
DONE = "done"

# A bad end is told: a decider's with emphasis, that of a helper which got away for who looks for it.
_OF_BAD_ENDS = {MAIN: "warning", SUCCESSOR: "warning", ADOPTED: "info"}


class Machine:
    """The state of one run.

    Call `handle` with each event and the time (monotonic seconds), carry out the actions that it returns in their
    order, and call it with `TimeUp` when `deadline` is reached. Nothing else goes in or comes out.

    Attributes:
        roster: who is there.
        service: which process is the service.
        requests: what is asked for.
        restarts: how often main was started again.
        reaped, adopted: how many were, so far.
        started_at: when main was started (monotonic seconds).
        since: when the phase began (monotonic seconds).
        status: the exit status, once phase is DONE.
        outcome: that status, why, and the process and the end that gave it, if any.
    """

    def __init__(self, policy: Policy, restarts: int = 0) -> None:
        """Begin a run, which is the first or follows that many others."""
        self._policy = policy
        self._life = STARTING
        self.roster = Roster()
        self.status: int | None = None
        self.restarts = restarts
        self.reaped = 0
        self.adopted = 0
        self.outcome: dict[str, Any] = {}
        self.started_at = 0.0
        self.since = 0.0
        self.service = Service(policy, self.roster)
        self._verdict = Verdict(policy, self.roster)
        self._commands = Commands(self.roster)
        self._ending = Ending(policy, self.roster, self.service, self._commands)
        self._forwarding = Forwarding(policy, self.roster, self.service)
        self._jobs = Jobs(policy, self.roster)
        self._succession = Succession(
            policy, self.roster, self.service, self._verdict, self._forwarding, self._commands, self._ending
        )
        self.requests = Requests(
            policy, self.roster, self.service, self._verdict, self._forwarding, self._jobs, self._commands, self._ending
        )
        # Each handler takes its own type of event, which the type of the table cannot say.
        self._handlers: dict[type, Callable[[Any, float], list[Action]]] = {
            events.Started: self._on_started,
            events.Stopped: self._on_stopped,
            events.Signalled: self._on_signalled,
            events.Adopted: self._on_adopted,
            events.Ended: self._on_ended,
            events.Passed: self._on_passed,
            events.Came: self._on_came,
            events.Settled: self._on_settled,
            events.TimeUp: self._on_time_up,
            events.Dying: self._on_dying,
            events.Buried: self._on_buried,
            events.Inspected: self._on_inspected,
            events.Walked: self._on_walked,
            events.Undeliverable: self._on_undeliverable,
            events.Claimed: self._on_claimed,
            events.Located: self._on_located,
            events.Notified: self._on_notified,
            events.ServiceGone: self._on_service_gone,
            events.CommandStarted: self._on_command_started,
            events.Asked: self.requests.asked,
        }

    @property
    def phase(self) -> str:
        """Where the run is: one of the phases above."""
        if self._ending.begun and self._life != DONE:
            return KILLING if self._ending.killing else STOPPING
        return HOLDING if self._life == RUNNING and self._succession.held else self._life

    @property
    def totals(self) -> dict[str, int]:
        """What the record of the exit counts."""
        forwarded, killed = self._forwarding.count, self._ending.killed
        return {"reaped": self.reaped, "adopted": self.adopted, "forwarded": forwarded, "killed": killed}

    @property
    def deadline(self) -> float | None:
        """When `TimeUp` is wanted (monotonic seconds), or None: then the run waits for events alone."""
        if self._life == DONE:
            return None
        if self._ending.begun:
            return self._ending.deadline
        return self._succession.deadline

    @property
    def restart_at(self) -> float | None:
        """When main is started again: never."""
        return None

    @property
    def kill_at(self) -> float | None:
        """When SIGKILL is due (monotonic seconds), or None: nothing is being stopped, or it has begun."""
        return self._ending.kill_at

    @property
    def killing(self) -> bool:
        """True when a SIGKILL may be our own."""
        return self._ending.killing

    @property
    def live(self) -> bool:
        """True until SIGKILL is due: pyinit holds what it was given, or stops it in order."""
        return self.phase in {RUNNING, HOLDING, STOPPING}

    @property
    def ready(self) -> bool:
        """True while the service can be used, as far as anybody can tell."""
        return self.phase in {RUNNING, HOLDING} and self.service.readiness != NOT_READY

    @property
    def closing(self) -> bool:
        """True when the run is being stopped, or is over, and no other follows."""
        return self.phase not in {STARTING, RUNNING, HOLDING}

    @property
    def unseen(self) -> AbstractSet[int]:
        """The PIDs of children that a stop has signalled, and that were not told as `Adopted` yet."""
        return self._ending.unseen

    def leaves_heirs(self, pid: int) -> bool:
        """Say whether what a child leaves behind is to be told before its end: it may carry on what the child was.

        Nobody carries on what is being stopped; but main's end may end the time of the stop command. After SIGKILL
        nobody is looked for but to be killed.
        """
        if self._ending.killing:
            return False
        return self.roster.decides(pid) and not (self._ending.begun and self.roster.succeeds(pid))

    def passes(self, pid: int, end: End) -> bool:
        """Say whether this end of a child decides nothing and is told at debug alone: who it was need not be known.

        That is the end of one whom nobody knew, if it is a good one, or while everybody is being stopped. A SIGKILL is
        always looked into: it may be the kernel's, for want of memory, and that is counted.
        """
        if pid in self.roster or self._ending.killing or pid == self.service.claimed_pid:
            return False
        return end.good or (self._ending.begun and not (end.kind == KILLED and end.value == SIGKILL))

    @property
    def followed(self) -> tuple[AbstractSet[int], int | None] | None:
        """The PIDs of children from whose ends more may follow than a record: those whom it knows, and one besides.

        That is who is claimed to be the service. All others stand apart. None: nobody does, because a stop has begun.
        """
        return None if self._ending.begun else (self.roster.pids, self.service.claimed_pid)

    def told_of(self, pgid: int, sid: int, end: End) -> tuple[str, tuple[str, ...], str | None]:
        """Say what the record tells of the end of one who stands apart, and is not proven to be foreign.

        Returns its role, how it has escaped, and the severity if that is not the record's own. What its process group
        and its session were is known; when it has been reaped it is to be told as `Passed`.
        """
        return ADOPTED, self.roster.escaped_to(pgid, sid), None if end.good else _OF_BAD_ENDS[ADOPTED]

    def handle(self, event: events.Event, now: float) -> list[Action]:
        """Take an event at a time in monotonic seconds; return the actions to carry out, in order."""
        phase = self.phase
        if phase == DONE:
            return []
        actions = self._handlers[type(event)](event, now)
        if self.phase != phase:
            self.since = now
        return actions

    # -- what happened ------------------------------------------------------------------------------------------

    def _on_started(self, event: events.Started, now: float) -> list[Action]:
        self.started_at = now
        self._life = RUNNING
        if event.main is None:
            self._succession.held = True
            self._verdict.decide("pause", None, End(EXITED, 0))
        else:
            self.roster.start(event.main)
            self.service.begin(now)
        policy = self._policy
        facts: dict[str, object] = {"main": event.main, "until": policy.until, "grace_s": policy.grace_s}
        if self.restarts:
            return [Report("service.restarted", {"main": event.main, "restarts": self.restarts})]
        return [Report("pyinit.started", facts)]

    def _on_signalled(self, event: events.Signalled, now: float) -> list[Action]:
        return self.requests.signalled(event, now, running=self.phase in {RUNNING, HOLDING})

    def _on_stopped(self, event: events.Stopped, now: float) -> list[Action]:
        return self._jobs.stopped(event.signo, now)

    def _on_adopted(self, event: events.Adopted, now: float) -> list[Action]:
        del now
        process = event.process
        if not self.roster.adopt(process):
            return []
        self.adopted += 1
        facts: dict[str, object] = {
            "process": process,
            "escaped": self.roster.escaped(process),
            "role": self.roster.role(process),
        }
        actions: list[Action] = [Report("process.adopted", facts, "debug" if process.foreign else None)]
        return [*actions, *self._ending.adopted(process)]

    def _on_ended(self, event: events.Ended, now: float) -> list[Action]:
        process, end = event.process, event.end
        role, escaped = self.roster.role(process), self.roster.escaped(process)
        if process.pid not in self.roster:
            self.adopted += 1  # it came and ended between two looks
        self.roster.end(process, end)
        self._ending.ended(process, end, now)
        bad = not end.good and role in {MAIN, SUCCESSOR}
        severity = None
        if not self._ending.begun and not end.good:
            severity = _OF_BAD_ENDS.get(role)
        actions: list[Action] = []
        if bad:
            self._verdict.decide(role, process, end)
        if role == MAIN:
            actions += self._jobs.main_ended()
            actions += self._succession.main_ended(process, end, now)
        elif role == SUCCESSOR:
            actions += self._succession.successor_ended(process, end, now)
        elif role == ADOPTED and not self._ending.begun:
            actions += self.service.gone(process, now)
        elif role == COMMAND:
            actions += self._command_ended(process, end, now)
        self.service.ended(process)
        self.roster.forget(process.pid)
        self.reaped += 1
        actions.append(Reap(process, end, role, escaped, severity))
        return actions

    def _on_passed(self, event: events.Passed, now: float) -> list[Action]:
        del now
        self.adopted += len(event.pids)
        self.reaped += len(event.pids)
        self._ending.passed(event.pids)
        return []

    def _on_came(self, event: events.Came, now: float) -> list[Action]:
        del now
        return self._ending.came(event.children)

    def _command_ended(self, process: Process, end: End, now: float) -> list[Action]:
        kind, actions = self._commands.ended(process, end, signalled=self._ending.signalled)
        if kind == STOP_COMMAND:
            actions += self._ending.command_ended(now, done=end.good)
        elif not self._ending.begun:
            actions += self._succession.heirs_of_reload(now)
            actions += self._commands.reload_again(self.service.process)
        return actions

    def _on_settled(self, event: events.Settled, now: float) -> list[Action]:
        self.roster.settle()
        self._succession.settle()
        over = self.roster.main_end is not None or (self.roster.main is None and self._ending.begun)
        if over and (event.childless or self._succession.leaving):
            return self._leave(now)
        return self._ending.settled() if self._ending.begun else self._succession.settled(now)

    def _on_time_up(self, event: events.TimeUp, now: float) -> list[Action]:
        del event
        if not self._ending.begun:
            return self._succession.tick(now)
        actions, all_tried = self._ending.tick(now)
        return [*actions, *self._leave(now)] if all_tried else actions

    def _on_dying(self, event: events.Dying, now: float) -> list[Action]:
        del event
        self._ending.dying(now)
        return []

    def _on_buried(self, event: events.Buried, now: float) -> list[Action]:
        self.adopted += event.count
        self.reaped += event.count
        self._ending.buried(event.killed, now)
        return []

    def _on_inspected(self, event: events.Inspected, now: float) -> list[Action]:
        return self._ending.inspected(event, now)

    def _on_walked(self, event: events.Walked, now: float) -> list[Action]:
        forwarded = [] if self._ending.killing else self._forwarding.walked(event.processes)
        return [*forwarded, *self._ending.walked(event, now)]

    def _on_undeliverable(self, event: events.Undeliverable, now: float) -> list[Action]:
        del now
        return self._ending.undeliverable(event)

    # -- who is the service -------------------------------------------------------------------------------------

    def _on_claimed(self, event: events.Claimed, now: float) -> list[Action]:
        if self._ending.begun:
            return []
        return [*self._arrived(event.claim, now), *self.service.claimed(event.claim, now)]

    def _on_located(self, event: events.Located, now: float) -> list[Action]:
        if self._ending.begun:
            return []
        return [*self._arrived(event.claim, now), *self.service.located(event.claim, now)]

    def _arrived(self, claim: Claim, now: float) -> list[Action]:
        """Enter the root that carries a claim, if the loop has not come across it yet."""
        root = claim.root or claim.process
        if root is None or root.pid in self.roster:
            return []
        return self._on_adopted(events.Adopted(root), now)

    def _on_notified(self, event: events.Notified, now: float) -> list[Action]:
        begun = self._ending.begun
        arrived = self._arrived(event.claim, now) if event.claim is not None and not begun else []
        told = self.service.notified(event, now, believe=not begun)
        return [*arrived, *told, *self._ending.notified(event, now)]

    def _on_service_gone(self, event: events.ServiceGone, now: float) -> list[Action]:
        if self._ending.begun:
            self.service.ended(event.process)
            return []
        return self.service.gone(event.process, now)

    def _on_command_started(self, event: events.CommandStarted, now: float) -> list[Action]:
        actions = self._commands.started(event)
        if event.process is None and event.kind == STOP_COMMAND:
            actions += self._ending.command_ended(now, done=False)
        return actions

    def stop_rest(self, now: float) -> list[Action]:
        """Stop what there is without a main, which could not be started again."""
        return self._succession.stop("start", now)

    # -- how it ends --------------------------------------------------------------------------------------------

    def _leave(self, now: float) -> list[Action]:
        self._life = DONE
        status, reason, process, end = self._verdict.read()
        self.status = status
        self.outcome = {"status": status, "reason": reason, "process": process, "end": end}
        facts = {**self.outcome, **self.totals, "duration_s": now - self.started_at}
        return [Report("pyinit.exited", facts), Exit(status)]
