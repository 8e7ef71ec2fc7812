"""The life of one run: takes what happened, returns what to do."""

from __future__ import annotations

from pyinit.core import events
from pyinit.core.actions import Exit, Reap, Report, SignalGroup
from pyinit.core.forwarding import TERMINAL_STOPS, Forwarding
from pyinit.core.jobs import Jobs
from pyinit.core.model import (
    ADOPTED,
    EXITED,
    KILLED,
    MAIN,
    REST_SIGNAL,
    REST_STOP,
    SIGCHLD,
    SIGCONT,
    SIGINT,
    SIGKILL,
    SIGTERM,
    SUCCESSOR,
    TO_MAIN,
    UNTIL_ALL,
    UNTIL_MAIN,
    UNTIL_SERVICE,
    End,
)
from pyinit.core.roster import Roster
from pyinit.core.stopping import NAMED, Kill, Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyinit.core.actions import Action
    from pyinit.core.model import Policy, Process

STARTING = "starting"
RUNNING = "running"
HOLDING = "holding"
STOPPING = "stopping"
KILLING = "killing"
DONE = "done"


class Machine:
    """The state of one run.

    Call `handle` with each event and the time (monotonic seconds), carry out the actions that it returns in their
    order, and call it with `TimeUp` when `deadline` is reached. Nothing else goes in or comes out.

    Attributes:
        phase: one of the phases above.
        deadline: when `TimeUp` is wanted next, or None.
        status: the exit status, once phase is DONE.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.phase = STARTING
        self.roster = Roster()
        self.status: int | None = None
        self.reaped = 0
        self.adopted = 0
        self.killed = 0
        self._started_at = 0.0
        self._decision: tuple[str, Process | None, End | None] | None = None
        self._asked: tuple[str, Process | None, End | None] | None = None
        self._asked_with = 0
        self._last: tuple[str, Process | None, End | None] | None = None
        self._leaving = False
        self._stop: Stop | None = None
        self._kill: Kill | None = None
        self._forwarding = Forwarding(policy, self.roster)
        self._jobs = Jobs(policy, self.roster)
        self._undeliverable: set[tuple[int, int]] = set()
        # Each handler takes its own type of event, which the type of the table cannot say.
        self._handlers: dict[type, Callable[[Any, float], list[Action]]] = {
            events.Started: self._on_started,
            events.Stopped: self._on_stopped,
            events.Signalled: self._on_signalled,
            events.Adopted: self._on_adopted,
            events.Ended: self._on_ended,
            events.Settled: self._on_settled,
            events.TimeUp: self._on_time_up,
            events.Inspected: self._on_inspected,
            events.Walked: self._on_walked,
            events.Undeliverable: self._on_undeliverable,
        }

    @property
    def deadline(self) -> float | None:
        """When `TimeUp` is wanted (monotonic seconds), or None: then the run waits for events alone."""
        if self.phase == KILLING and self._kill is not None:
            return self._kill.deadline
        if self.phase == STOPPING and self._stop is not None:
            return self._stop.deadline
        return None

    @property
    def killing(self) -> bool:
        """True when a SIGKILL may be our own."""
        return self.phase == KILLING

    def handle(self, event: events.Event, now: float) -> list[Action]:
        """Take an event at a time in monotonic seconds; return the actions to carry out, in order."""
        if self.phase == DONE:
            return []
        return self._handlers[type(event)](event, now)

    # -- what happened ------------------------------------------------------------------------------------------

    def _on_started(self, event: events.Started, now: float) -> list[Action]:
        self._started_at = now
        self.phase = RUNNING
        if event.main is None:
            self.phase = HOLDING
            self._decide("pause", None, End(EXITED, 0))
        else:
            self.roster.start(event.main)
        policy = self._policy
        facts: dict[str, object] = {"main": event.main, "until": policy.until, "grace_s": policy.grace_s}
        return [Report("pyinit.started", facts)]

    def _on_signalled(self, event: events.Signalled, now: float) -> list[Action]:
        if event.signo == SIGCHLD:
            return []
        signo = self._forwarding.rewrite(event.signo)
        if signo in self._policy.stop_on:
            return self._asked_to_stop(event, signo, now)
        if self.phase == KILLING:
            return []
        if signo in TERMINAL_STOPS and not self.roster.main_alive:
            forward, then = self._jobs.stopped_while_holding(event.sender_pid)
            return [*self._forwarding.forward(event, signo if forward else 0), *then]
        first = self._jobs.continued() if signo == SIGCONT else []
        return [*first, *self._forwarding.forward(event, signo)]

    def _asked_to_stop(self, event: events.Signalled, signo: int, now: float) -> list[Action]:
        """Begin to stop; a stop asked for twice is one stop, but for who presses Ctrl-C twice."""
        if self._stop is None:
            self._asked = ("signal", None, None)
            self._asked_with = signo
            return self._begin_stop("signal", now, asked=event, signo=signo)
        actions: list[Action] = [Report("stop.repeated", {"signal": event.signo, "sender_pid": event.sender_pid})]
        if signo == SIGINT == self._asked_with and self._kill is None:
            actions += self._begin_kill(now)
        return actions

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
        if self._stop is not None and self._kill is None:
            actions += self._stop.adopted(process)
        return actions

    def _on_ended(self, event: events.Ended, now: float) -> list[Action]:
        process, end = event.process, event.end
        role, escaped = self.roster.role(process), self.roster.escaped(process)
        if process.pid not in self.roster:
            self.adopted += 1  # it came and ended between two looks
        self.roster.end(process, end)
        if self._kill is not None:
            self._kill.ended(now)
            self.killed += end.kind == KILLED and end.value == SIGKILL
        bad = not end.good and role in {MAIN, SUCCESSOR}
        severity = None
        if self._stop is None and not end.good:
            # A bad end is told: a decider's with emphasis, that of a helper which got away for who looks for it.
            severity = {MAIN: "warning", SUCCESSOR: "warning", ADOPTED: "info"}.get(role)
        actions: list[Action] = []
        if bad:
            self._decide(role, process, end)
        if role == MAIN:
            actions += self._main_ended(process, end, now)
        elif role == SUCCESSOR and self.phase in {RUNNING, HOLDING}:
            actions += self._successor_ended(process, end, now)
        self.roster.forget(process.pid)
        self.reaped += 1
        actions.append(Reap(process, end, role, escaped, severity))
        return actions

    def _main_ended(self, main: Process, end: End, now: float) -> list[Action]:
        """Stop if main's end asks for it. Main is a zombie still: its number stands for its group."""
        actions = self._jobs.main_ended()
        if self._stop is not None and self._kill is None:
            return [*actions, *self._stop.group(now), *self._stop.roots()]
        if self.phase != RUNNING:
            return actions
        if self._policy.rest != REST_STOP:
            self._decide("main", main, end)
            self._leaving = True
            last_word = self._forwarding.rewrite(SIGTERM)
            if self._policy.rest == REST_SIGNAL and self.roster.main_leads and last_word:
                actions.append(SignalGroup(main.pid, last_word))
            return actions
        until = self._policy.until
        if until == UNTIL_MAIN or (until == UNTIL_SERVICE and not end.good):
            self._decide("main", main, end)
            return [*actions, *self._begin_stop("main", now, process=main, end=end)]
        # What it leaves is the service from this moment on; the record waits until all that ends with it is told.
        self.roster.promote(self.roster.candidates)
        return actions

    def _successor_ended(self, process: Process, end: End, now: float) -> list[Action]:
        if not end.good:
            if self._policy.until == UNTIL_ALL:
                return []
            return self._begin_stop("successor", now, process=process, end=end)
        heirs = self.roster.fresh
        if not heirs:
            self._last = ("service", process, end)
            return []
        self.roster.promote(heirs)
        if self.phase == RUNNING:
            return []
        return [Report("service.inherited", {"process": process, "successors": heirs})]

    def _on_settled(self, event: events.Settled, now: float) -> list[Action]:
        self.roster.settle()
        over = self.roster.main_end is not None or (self.roster.main is None and self._stop is not None)
        if over and (event.childless or self._leaving):
            return self._leave(now)
        if self._kill is not None:
            return self._kill.everybody()
        if self.roster.main_end is None:
            return []
        if self.phase == RUNNING:
            return self._hand_over(now)
        if self.phase == HOLDING and self._policy.until == UNTIL_SERVICE and not self.roster.successors:
            return self._begin_stop("service", now)
        return []

    def _hand_over(self, now: float) -> list[Action]:
        """Make what main has left behind the service: main has been reaped, and something is there."""
        successors = self.roster.successors
        if not successors and self._policy.until == UNTIL_SERVICE:
            return self._begin_stop("service", now)
        self.phase = HOLDING
        facts: dict[str, object] = {
            "main": self.roster.main,
            "successors": successors,
            "until": self._policy.until,
        }
        return [Report("service.handover", facts)]

    def _on_time_up(self, event: events.TimeUp, now: float) -> list[Action]:
        del event
        if self._kill is not None:
            if now < self._kill.deadline:
                return []
            return self._kill.look_deeper() or self._give_up(now)
        if self._stop is None:
            return []
        if now >= self._stop.kill_at:
            return self._begin_kill(now)
        return self._stop.tick(now)

    def _on_inspected(self, event: events.Inspected, now: float) -> list[Action]:
        del now
        if self._stop is None or self._kill is not None:
            return []
        return self._stop.inspected(event.views)

    def _on_walked(self, event: events.Walked, now: float) -> list[Action]:
        if self._kill is not None:
            return self._kill.walked(event.processes, self.roster)
        actions = self._forwarding.walked(event.processes)
        if self._stop is not None:
            actions += self._stop.walked(event.processes, now)
        return actions

    def _on_undeliverable(self, event: events.Undeliverable, now: float) -> list[Action]:
        del now
        actions: list[Action] = []
        if event.process.identity not in self._undeliverable:
            self._undeliverable.add(event.process.identity)
            facts: dict[str, object] = {"process": event.process, "signal": event.signo, "errno": event.errno}
            actions.append(Report("signal.undeliverable", facts))
        if self._kill is not None:
            actions += self._kill.undeliverable()
        return actions

    # -- what to do ---------------------------------------------------------------------------------------------

    def _decide(self, reason: str, process: Process | None, end: End | None) -> None:
        """Settle what the status comes from: the first that decides it decides it for good."""
        if self._decision is None:
            self._decision = (reason, process, end)

    def _begin_stop(  # noqa: PLR0913  # what the record says of it
        self,
        reason: str,
        now: float,
        *,
        asked: events.Signalled | None = None,
        signo: int | None = None,
        process: Process | None = None,
        end: End | None = None,
    ) -> list[Action]:
        policy = self._policy
        signo = policy.stop_signal or signo or self._forwarding.rewrite(SIGTERM) or SIGTERM
        self.phase = STOPPING
        instead = SIGTERM if policy.stop_signal is None and signo != SIGTERM else None
        self._stop = Stop(
            self.roster, signo, policy.grace_s, now, instead=instead, to_main=policy.forward_to == TO_MAIN
        )
        facts: dict[str, object] = {
            "reason": reason,
            "signal": asked.signo if asked is not None else None,
            "sender_pid": asked.sender_pid if asked is not None else None,
            "process": process,
            "end": end,
            "stop_signal": signo,
            "grace_s": policy.grace_s,
        }
        actions: list[Action] = [Report("stop.begun", facts)]
        if policy.grace_s <= 0:
            return actions + self._begin_kill(now)
        if reason == "main":
            # Main is a zombie that has not been reaped: the number of its group is still its own.
            actions += self._stop.group(now)
        return actions + self._stop.heads(now)

    def _begin_kill(self, now: float) -> list[Action]:
        left = self.roster.alive
        self.phase = KILLING
        self._kill = Kill(now, pid1=self._policy.pid1)
        facts: dict[str, object] = {
            "processes": left[:NAMED],
            "count": len(left),
            "grace_s": self._policy.grace_s,
        }
        return [Report("stop.killing", facts), *self._kill.everybody()]

    def _give_up(self, now: float) -> list[Action]:
        """Name what SIGKILL does not end (D state, EPERM), and leave it."""
        actions: list[Action] = []
        for process in self.roster.alive:
            denied = process.identity in self._undeliverable
            reason = "it may not be signalled (EPERM)" if denied else "it does not die of SIGKILL"
            actions.append(Report("stop.unkillable", {"process": process, "reason": reason}))
        return [*actions, *self._leave(now)]

    def _leave(self, now: float) -> list[Action]:
        self.phase = DONE
        reason, process, end = (
            self._decision or self._asked or self._last or ("main", self.roster.main, self.roster.main_end)
        )
        status = end.status if end is not None else 0
        if self._decision is None and (self.roster.main_alive or self.roster.successors):
            status = 128 + SIGKILL  # who would have to say that all went well has not ended
        if status in self._policy.ok_exits:
            status = 0
        self.status = status
        facts: dict[str, object] = {
            "status": status,
            "reason": reason,
            "process": process,
            "end": end,
            "reaped": self.reaped,
            "adopted": self.adopted,
            "forwarded": self._forwarding.count,
            "killed": self.killed,
            "duration_s": now - self._started_at,
        }
        return [Report("pyinit.exited", facts), Exit(status)]
