"""What is asked for through the control socket: a stop, a reload, a signal, a restart."""

from __future__ import annotations

from pyinit.core import events
from pyinit.core.actions import Answer, Report, SignalChild, SignalDescendant
from pyinit.core.model import (
    ASKED_RELOAD,
    ASKED_SIGNAL,
    ASKED_STOP,
    AT_MAIN,
    AT_PROCESS,
    AT_SERVICE,
    AT_TREE,
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
    from pyinit.core.model import Policy, Process
    from pyinit.core.roster import Roster
    from pyinit.core.service import Service
    from pyinit.core.verdict import Verdict

# A record names so many of those who get a signal.
_TARGETS_MAX = 20
_STOPPING = "the run is being stopped"
_GONE = {AT_MAIN: "main has ended", AT_SERVICE: "nobody is the service", AT_PROCESS: "it has ended"}


class Requests:
    """Says to each request what comes of it; each has one `Answer`, the last of its actions.

    A stop that is asked for here is a stop request like a signal. A signal goes to whom it is for as it is: --rewrite
    and --stop-on are for what pyinit itself is sent.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # all that a request can concern
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
        self._by_kind: dict[str, Callable[[events.Asked, float], list[Action]]] = {
            ASKED_STOP: self._stop,
            ASKED_RELOAD: self._reload,
            ASKED_SIGNAL: self._signal,
        }

    def asked(self, event: events.Asked, now: float) -> list[Action]:
        """Take a request."""
        handler = self._by_kind.get(event.kind)
        if handler is None:
            return _refuse(event, "there is nothing here that restarts the service")
        return handler(event, now)

    def _stop(self, event: events.Asked, now: float) -> list[Action]:
        if self._ending.begun:
            return [*_accept(event, "a stop is under way"), Answer()]
        self._verdict.asked(0, "request")
        signo = self._forwarding.rewrite(SIGTERM) or SIGTERM
        return [*self._ending.begin("request", signo, now, asked=event), Answer()]

    def _reload(self, event: events.Asked, now: float) -> list[Action]:
        """Do what SIGHUP would do."""
        del now
        if self._ending.begun:
            return _refuse(event, _STOPPING)
        signo = self._forwarding.rewrite(SIGHUP)
        if signo in self._policy.stop_on:
            return _refuse(event, "SIGHUP asks for a stop here (--stop-on, --rewrite)")
        if signo == 0:
            return _refuse(event, "SIGHUP is swallowed here (--rewrite)")
        if signo == SIGHUP and self._policy.reload_command:
            return [*_accept(event), *self._commands.reload(self._service.process), Answer()]
        if not self._roster.served:
            return _refuse(event, "nobody is the service")
        came = events.Signalled(SIGHUP, event.sender_pid, event.sender_uid)
        return [*_accept(event), *self._forwarding.forward(came, signo), Answer()]

    def _signal(self, event: events.Asked, now: float) -> list[Action]:
        del now
        if self._ending.killing:
            return _refuse(event, _STOPPING)
        if event.target == AT_TREE:
            return [*_accept(event), *self._forwarding.to_the_tree(event.signo), Answer()]
        chosen = self._chosen(event)
        if not chosen:
            return _refuse(event, _GONE[event.target])
        actions = _accept(event, targets=[process.pid for process in chosen])
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


def _accept(event: events.Asked, note: str = "", targets: list[int] | None = None) -> list[Action]:
    return [_told(event, accepted=True, reason=note, targets=targets)]


def _refuse(event: events.Asked, reason: str) -> list[Action]:
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
