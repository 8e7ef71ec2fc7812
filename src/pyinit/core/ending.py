"""The last part of a run: a stop from its first word to the last process that SIGKILL leaves."""

from __future__ import annotations

from pyinit.core.actions import PassOn, Report
from pyinit.core.events import Signalled
from pyinit.core.model import ASKED_RESTART, KILLED, RESTART_NO, SIGINT, SIGKILL, SIGTERM, TO_MAIN
from pyinit.core.service import extension_s
from pyinit.core.stopping import NAMED, Kill, Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Set as AbstractSet

    from pyinit.core import events
    from pyinit.core.actions import Action
    from pyinit.core.commands import Commands
    from pyinit.core.model import End, Policy, Process
    from pyinit.core.roster import Roster
    from pyinit.core.service import Service


class Ending:
    """Stops what is left, and kills it when the grace is over.

    Attributes:
        begun: True from the stop request on.
        killing: True when the grace is over.
        killed: how many have died of SIGKILL since then.
    """

    def __init__(self, policy: Policy, roster: Roster, service: Service, commands: Commands) -> None:
        self._policy = policy
        self._roster = roster
        self._service = service
        self._commands = commands
        self._stop: Stop | None = None
        self._kill: Kill | None = None
        self._undeliverable: set[tuple[int, int]] = set()
        self.begun = self.killing = False
        self.killed = 0

    @property
    def signalled(self) -> bool:
        """True when signals have gone out: the stop command, if there is one, has had its time."""
        return self._stop is not None and not self._stop.waiting

    @property
    def deadline(self) -> float | None:
        """When `tick` wants to be called next (monotonic seconds), or None."""
        if self._kill is not None:
            return self._kill.deadline
        return self._stop.deadline if self._stop is not None else None

    @property
    def kill_at(self) -> float | None:
        """When SIGKILL is due (monotonic seconds), or None: no stop has begun, or the kill has."""
        return self._signalling.kill_at if self._signalling is not None else None

    @property
    def _signalling(self) -> Stop | None:
        """The stop, as long as it has not come to SIGKILL."""
        return self._stop if self._kill is None else None

    def begin(  # noqa: PLR0913  # what the record says of it
        self,
        reason: str,
        signo: int,
        now: float,
        *,
        asked: events.Signalled | events.Asked | None = None,
        process: Process | None = None,
        end: End | None = None,
    ) -> list[Action]:
        """Begin to stop: with the stop command if there is one and a service to stop, else with the first signal.

        `signo` is the signal where the policy has no schedule; `asked` asked for it, or the `end` of `process` did.
        """
        policy = self._policy
        schedule = policy.schedule or ((signo, None),)
        command = policy.stop_command and asked is not None and self._roster.served
        service = self._service.process
        asked_signo = asked.signo if isinstance(asked, Signalled) else 0
        self._service.rest()
        self.begun = True
        self._stop = Stop(
            self._roster,
            schedule,
            policy.grace_s,
            now,
            command=command,
            instead=SIGTERM if not policy.schedule and signo != SIGTERM else None,
            to_main=policy.forward_to == TO_MAIN,
            pid1=policy.pid1,
        )
        facts: dict[str, object] = {
            "reason": reason,
            "signal": asked_signo or None,
            "sender_pid": asked.sender_pid if asked is not None else None,
            "sender_uid": asked.sender_uid if asked is not None else None,
            "process": process,
            "end": end,
            "stop_signal": self._stop.signo,
            "grace_s": policy.grace_s,
            "command": command,
        }
        actions: list[Action] = [Report("stop.begun", facts)]
        if policy.restart == RESTART_NO or (asked is not None and reason != ASKED_RESTART):
            actions.append(PassOn({"STOPPING": "1"}))  # else another run may follow, and pyinit goes on
        if policy.grace_s <= 0:
            return actions + self._begin_kill(now)
        if command:
            return [*actions, self._commands.stop(service, asked_signo, policy.grace_s)]
        return [*actions, *self._stop.next_signal(now, main_ended=reason == "main")]

    def again(self, event: events.Signalled, signo: int, first: int, now: float) -> list[Action]:
        """Take one more stop request: a stop asked for twice is one stop, but for who presses Ctrl-C twice.

        `first` is the signal of the first request.
        """
        actions: list[Action] = [Report("stop.repeated", {"signal": event.signo, "sender_pid": event.sender_pid})]
        actions += self.final()
        if signo == SIGINT == first and self._kill is None:
            actions += self._begin_kill(now)
        return actions

    def final(self) -> list[Action]:
        """Say that no run follows, where that was open until now: a stop was asked for in the meantime."""
        return [] if self._policy.restart == RESTART_NO else [PassOn({"STOPPING": "1"})]

    # -- while it lasts -----------------------------------------------------------------------------------------

    def adopted(self, process: Process) -> list[Action]:
        """Signal a process that came while stopping."""
        return self._signalling.adopted(process) if self._signalling is not None else []

    @property
    def unseen(self) -> AbstractSet[int]:
        """The PIDs of children that have had the signal, and that nobody has looked at yet."""
        return self._signalling.unseen if self._signalling is not None else frozenset()

    def came(self, children: Sequence[tuple[int, int]]) -> list[Action]:
        """Signal a crowd that came while stopping."""
        return self._signalling.came(children) if self._signalling is not None else []

    def passed(self, pids: Iterable[int]) -> None:
        """Forget children of whom nothing but the number was known: they have ended."""
        gone = {(pid, 0) for pid in pids}
        self._undeliverable -= gone
        if self._stop is not None:
            self._stop.forget_numbers(gone)

    def dying(self, now: float) -> None:
        """Note that the kill is getting on."""
        if self._kill is not None:
            self._kill.ended(now)

    def ended(self, process: Process, end: End, now: float) -> None:
        """Note that a process has ended."""
        if not process.start_ticks:
            # Nothing but its number was known of it, which may be somebody else's from now on.
            self._undeliverable.discard(process.identity)
        if self._stop is None:
            return
        self.dying(now)
        self._stop.forget(process)
        if self._kill is not None:
            self.killed += end.kind == KILLED and end.value == SIGKILL

    def buried(self, killed: int, now: float) -> None:
        """Note that many have been reaped, and how many of them had died of SIGKILL."""
        self.dying(now)
        self.killed += killed

    def main_ended(self, now: float) -> list[Action]:
        """Signal main's group and what main leaves. Main is a zombie: its number stands for its group."""
        stop = self._signalling
        if stop is None:
            return []
        return [*stop.group(now), *stop.roots(), *stop.service_ended(now, main_ended=True)]

    def successor_ended(self, now: float) -> list[Action]:
        """Go on with signals when this was the service, and the stop command has done its work."""
        return self._signalling.service_ended(now, main_ended=False) if self._signalling is not None else []

    def command_ended(self, now: float, *, done: bool) -> list[Action]:
        """Go on with signals when the stop command has ended, or could not be started."""
        return self._signalling.command_ended(now, done=done) if self._signalling is not None else []

    def notified(self, event: events.Notified, now: float) -> list[Action]:
        """Give the service more time, if it asks for that and may have it."""
        asked_s = None if event.reason else extension_s(event.fields)
        if asked_s is None or self._signalling is None:
            return []
        until_s, limited = self._signalling.extend(asked_s, self._policy.grace_max_s, now)
        return [Report("stop.extended", {"asked_s": asked_s, "until_s": until_s, "limited": limited})]

    def settled(self) -> list[Action]:
        """Kill who has come since the last look."""
        return self._kill.everybody() if self._kill is not None else []

    def tick(self, now: float) -> tuple[list[Action], bool]:
        """Do what is due: (actions, True when all has been tried and the run is to be left)."""
        if self._kill is not None:
            if now < self._kill.deadline:
                return [], False
            may_die = [one for one in self._roster.alive if one.identity not in self._undeliverable]
            looks = self._kill.look_again(may_die, now)
            return (looks, False) if looks else (self._give_up(), True)
        if self._stop is None:
            return [], False
        if now >= self._stop.kill_at:
            return self._begin_kill(now), False
        return self._stop.tick(now), False

    def inspected(self, event: events.Inspected, now: float) -> list[Action]:
        """Hand the signal on where it is ignored; after SIGKILL, wait on for who is being taken down."""
        if self._kill is not None:
            self._kill.inspected(event.views, self._roster, now)
            return []
        return self._stop.inspected(event.views) if self._stop is not None else []

    def walked(self, event: events.Walked, now: float) -> list[Action]:
        """Signal or kill those who were found."""
        if self._kill is not None:
            return self._kill.walked(event.processes, self._roster)
        if self._stop is not None:
            return self._stop.walked(event.processes, now, complete=event.complete)
        return []

    def undeliverable(self, event: events.Undeliverable) -> list[Action]:
        """Tell of a process that may not be signalled, once; when it may not be killed, look below it."""
        actions: list[Action] = []
        if event.process.identity not in self._undeliverable:
            self._undeliverable.add(event.process.identity)
            facts: dict[str, object] = {"process": event.process, "signal": event.signo, "errno": event.errno}
            actions.append(Report("signal.undeliverable", facts))
        if self._kill is not None:
            actions += self._kill.undeliverable()
        return actions

    # -- SIGKILL ------------------------------------------------------------------------------------------------

    def _begin_kill(self, now: float) -> list[Action]:
        left = self._roster.alive
        self.killing = True
        self._kill = Kill(now, pid1=self._policy.pid1)
        facts: dict[str, object] = {
            "processes": left[:NAMED],
            "count": len(left),
            "grace_s": self._stop.grace_s if self._stop is not None else self._policy.grace_s,
        }
        return [Report("stop.killing", facts), *self._kill.everybody()]

    def _give_up(self) -> list[Action]:
        """Name what SIGKILL does not end (D state, EPERM), and leave it."""
        actions: list[Action] = []
        for process in self._roster.alive:
            denied = process.identity in self._undeliverable
            reason = "it may not be signalled (EPERM)" if denied else "it does not die of SIGKILL"
            actions.append(Report("stop.unkillable", {"process": process, "reason": reason}))
        return actions
