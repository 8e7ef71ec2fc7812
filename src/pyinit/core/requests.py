"""What is asked for: by a signal to pyinit, and through the control socket: a stop, a restart, a reload, a signal."""

from __future__ import annotations

from pyinit.core import events
from pyinit.core.actions import Answer, Report, SignalChild, SignalDescendant
from pyinit.core.forwarding import TERMINAL_STOPS
from pyinit.core.model import (
    ASKED_RELOAD,
    ASKED_RESTART,
    ASKED_SIGNAL,
    ASKED_STOP,
    AT_MAIN,
    AT_PROCESS,
    AT_SERVICE,
    AT_TREE,
    RESTART_NO,
    SIGCHLD,
    SIGCONT,
    SIGHUP,
    SIGTERM,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyinit.core.actions import Action
    from pyinit.core.commands import Commands
    from pyinit.core.ending import Ending
    from pyinit.core.forwarding import Forwarding
    from pyinit.core.jobs import Jobs
    from pyinit.core.model import Policy, Process
    from pyinit.core.roster import Roster
    from pyinit.core.service import Service
    from pyinit.core.verdict import Verdict

# A record names so many of those who get a signal.
_TARGETS_MAX = 20
_STOPPING = "the run is being stopped"
_GONE = {AT_MAIN: "main has ended", AT_SERVICE: "nobody is the service", AT_PROCESS: "it has ended"}


class Requests:
    """Says to each request what comes of it; each but a signal has one `Answer`, the last of its actions.

    A stop is one, however it is asked for. What is asked to be sent goes to whom it is for as it is: --rewrite and
    --stop-on are for what pyinit itself is sent.

    Attributes:
        stop_asked, restart_asked: whether somebody has asked for a stop, or for a restart.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # all that a request can concern
        self,
        policy: Policy,
        roster: Roster,
        service: Service,
        verdict: Verdict,
        forwarding: Forwarding,
        jobs: Jobs,
        commands: Commands,
        ending: Ending,
    ) -> None:
        self._policy = policy
        self._roster = roster
        self._service = service
        self._verdict = verdict
        self._forwarding = forwarding
        self._jobs = jobs
        self._commands = commands
        self._ending = ending
        self.stop_asked = self.restart_asked = False
        self._by_kind: dict[str, Callable[[events.Asked, float], list[Action]]] = {
            ASKED_STOP: self._stop,
            ASKED_RESTART: self._restart,
            ASKED_RELOAD: self._reload,
            ASKED_SIGNAL: self._signal,
        }

    def asked(self, event: events.Asked, now: float) -> list[Action]:
        """Take a request."""
        return self._by_kind[event.kind](event, now)

    def signalled(self, event: events.Signalled, now: float, *, running: bool) -> list[Action]:
        """Take a signal: it asks for a stop, or a reload, or for nothing, and is forwarded. `running`: no stop yet."""
        if event.signo == SIGCHLD:
            return []
        signo = self._forwarding.rewrite(event.signo)
        if signo in self._policy.stop_on:
            return self._stop_by_signal(event, signo, now)
        if self._ending.killing:
            return []
        if signo == SIGHUP and self._policy.reload_command and running:
            return self._commands.reload(self._service.process)
        if signo in TERMINAL_STOPS and not self._roster.main_alive:
            forward, then = self._jobs.stopped_while_holding(event.sender_pid)
            return [*self._forwarding.forward(event, signo if forward else 0), *then]
        first = self._jobs.continued() if signo == SIGCONT else []
        return [*first, *self._forwarding.forward(event, signo)]

    def _stop_by_signal(self, event: events.Signalled, signo: int, now: float) -> list[Action]:
        """Take a signal that asks for a stop; `signo` is what it stands for."""
        first = self._verdict.asked_with
        begun = self._note_stop(signo, "signal")
        if begun:
            return self._ending.again(event, signo, first, now)
        return self._ending.begin("signal", signo, now, asked=event)

    def _note_stop(self, signo: int, reason: str) -> bool:
        """Note that a stop is asked for, which wins over a restart; say whether the run is being stopped already."""
        begun = self._ending.begun
        if not begun or (self.restart_asked and not self.stop_asked):
            self._verdict.asked(signo, reason)
        self.stop_asked = True
        return begun

    def _stop(self, event: events.Asked, now: float) -> list[Action]:
        begun = self._note_stop(0, "request")
        if begun:
            return [*accept(event, "a stop is under way"), *self._ending.final(), Answer()]
        signo = self._forwarding.rewrite(SIGTERM) or SIGTERM
        return [*self._ending.begin("request", signo, now, asked=event), Answer()]

    def _restart(self, event: events.Asked, now: float) -> list[Action]:
        """Stop the run, and have another one follow; nothing but a stop that is asked for is in the way of that."""
        if self._policy.restart == RESTART_NO:
            return refuse(event, "pyinit was not told to start main again (--restart)")
        if self.stop_asked:
            return refuse(event, "a stop was asked for, and that is final")
        self.restart_asked = True
        if self._ending.begun:
            return [*accept(event, "main is started again when all of this run is gone"), Answer()]
        self._verdict.asked(0, ASKED_RESTART)
        signo = self._forwarding.rewrite(SIGTERM) or SIGTERM
        return [*self._ending.begin(ASKED_RESTART, signo, now, asked=event), Answer()]

    def _reload(self, event: events.Asked, now: float) -> list[Action]:
        """Do what SIGHUP would do."""
        del now
        if self._ending.begun:
            return refuse(event, _STOPPING)
        signo = self._forwarding.rewrite(SIGHUP)
        if signo in self._policy.stop_on:
            return refuse(event, "SIGHUP asks for a stop here (--stop-on, --rewrite)")
        if signo == 0:
            return refuse(event, "SIGHUP is swallowed here (--rewrite)")
        if signo == SIGHUP and self._policy.reload_command:
            return [*accept(event), *self._commands.reload(self._service.process), Answer()]
        if not self._roster.served:
            return refuse(event, "nobody is the service")
        came = events.Signalled(SIGHUP, event.sender_pid, event.sender_uid)
        return [*accept(event), *self._forwarding.forward(came, signo), Answer()]

    def _signal(self, event: events.Asked, now: float) -> list[Action]:
        del now
        if self._ending.killing:
            return refuse(event, _STOPPING)
        if event.target == AT_TREE:
            return [*accept(event), *self._forwarding.to_the_tree(event.signo), Answer()]
        chosen = self._chosen(event)
        if not chosen:
            return refuse(event, _GONE[event.target])
        actions = accept(event, targets=[process.pid for process in chosen])
        for process in chosen:
            kind = SignalChild if process.pid in self._roster else SignalDescendant
            actions.append(kind(process, event.signo))
        return [*actions, Answer()]

    def _chosen(self, event: events.Asked) -> list[Process]:
        """Choose who gets a signal: nobody where nobody is what was asked for."""
        if event.target == AT_PROCESS:
            return [event.process] if event.process is not None else []
        if event.target == AT_SERVICE:
            one = self._service.process
            return [one] if one is not None else self._roster.successors
        main = self._roster.main
        return [main] if main is not None and self._roster.main_alive else []


def accept(event: events.Asked, note: str = "", targets: list[int] | None = None) -> list[Action]:
    """Return the record of a request that something comes of."""
    return [_told(event, accepted=True, reason=note, targets=targets)]


def refuse(event: events.Asked, reason: str) -> list[Action]:
    """Return the record of a request that nothing comes of, and the answer."""
    return [_told(event, accepted=False, reason=reason), Answer(reason)]


def _told(event: events.Asked, *, accepted: bool, reason: str, targets: list[int] | None = None) -> Report:
    facts: dict[str, object] = {
        "request": event.kind,
        "accepted": accepted,
        "reason": reason,
        "signal": event.signo,
        "target": event.target,
        "targets": (targets or [])[:_TARGETS_MAX],
        "sender_pid": event.sender_pid,
        "sender_uid": event.sender_uid,
    }
    return Report("control.request", facts)
