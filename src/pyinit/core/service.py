"""Which process is the service, and whether it is ready."""

from __future__ import annotations

from pyinit.core.actions import Follow, Locate, PassOn, ReadPidFile, Report
from pyinit.core.model import (
    COMMAND,
    FOREIGN,
    FROM_NOTIFY,
    FROM_PID_FILE,
    NOT_READY,
    READY,
    READY_UNKNOWN,
    RESTART_NO,
    Claim,
    whole_number,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyinit.core.actions import Action
    from pyinit.core.events import Notified
    from pyinit.core.model import Policy, Process
    from pyinit.core.roster import Roster

# A PID file that is awaited is looked at after this time (seconds), then with pauses that grow by this factor.
FIRST_LOOK_S = 0.05
LONGEST_PAUSE_S = 1.0
GROWTH = 1.25

# What of a message is not for whoever supervises pyinit: it follows pyinit's own PID, and no descriptor is handed on.
_NOT_PASSED_ON = ("MAINPID", "MAINPIDFD", "MAINPIDFDID", "BARRIER", "NOTIFYACCESS")
_DESCRIPTORS = "FD"
# Where another run may follow, the end of the service is not that of pyinit.
_NOT_ITS_END = "STOPPING"
# What of a message is told, by its name in the log. The first three are yes or no.
_TOLD = ("READY", "RELOADING", "STOPPING", "STATUS", "ERRNO", "EXIT_STATUS", "EXTEND_TIMEOUT_USEC", "MAINPID")
_FLAGS = _TOLD[:3]
# What a service may say again and again: a message of nothing else, and of nothing new, is told at debug.
_SMALL_TALK = frozenset(("status", "extend_timeout_usec"))
# Refusals that are told of each source: their reasons hold numbers, and whoever sends messages in vain can go on for
# ever.
_REFUSALS_MAX = 32
# Of EXTEND_TIMEOUT_USEC: 30,000 years.
_DIGITS_MAX = 18


class Service:
    """The process that stands for the service.

    The first that holds: what MAINPID= names, what the PID file names, main while it lives, the only successor. With
    none of these several successors carry the service together.

    Attributes:
        ready: the service has said, or shown, that it is.
    """

    def __init__(self, policy: Policy, roster: Roster) -> None:
        self._policy = policy
        self._roster = roster
        self._claimed: Process | None = None
        self._source = ""
        self._root: Process | None = None
        self._previous: Process | None = None
        self._read_at: float | None = None
        self._wait_until = 0.0
        self._pause_s = FIRST_LOOK_S
        self._held = False
        self._told: set[tuple[str, str]] = set()
        self._started_at = 0.0
        self._said: dict[str, str] = {}
        self.ready = False

    @property
    def process(self) -> Process | None:
        """The one process that is the service, or None."""
        if self._claimed is not None:
            return self._claimed
        if self._roster.main_alive:
            return self._roster.main
        successors = self._roster.successors
        return successors[0] if len(successors) == 1 else None

    @property
    def deep(self) -> Process | None:
        """The service, where it is proven and no child of pyinit."""
        return self._claimed if self._root is not None else None

    @property
    def readiness(self) -> str:
        """Whether the service is ready: READY, NOT_READY, or READY_UNKNOWN where nothing can tell.

        Nothing can while main runs, without --notify and --pid-file: it may be the service, or a launcher.
        """
        if self.ready:
            return READY
        return NOT_READY if self._policy.notify or self._read_at is not None else READY_UNKNOWN

    @property
    def status(self) -> str:
        """What the service last said of itself (STATUS=), or nothing."""
        return self._said.get("status", "")

    @property
    def deadline(self) -> float | None:
        """When `tick` wants to be called next, or None."""
        return self._read_at

    def begin(self, now: float) -> None:
        """Note the start of the run."""
        self._started_at = now
        self._await_file(now)

    def tick(self, now: float) -> list[Action]:
        """Look at the PID file when its time has come."""
        if self._read_at is None or now < self._read_at:
            return []
        return [ReadPidFile()]

    def settled(self) -> list[Action]:
        """Look once more at a PID file that nobody waits for any longer: something has ended."""
        if not self._policy.pid_file or self._claimed is not None or self._read_at is not None:
            return []
        return [ReadPidFile()]

    def rest(self) -> None:
        """Wait for no file any more: the run is being stopped."""
        self._read_at = None

    # -- who it is ----------------------------------------------------------------------------------------------

    def claimed(self, claim: Claim, now: float) -> list[Action]:
        """Take a claim: believe it, or wait for a better one."""
        process = claim.process
        objection = self._objection(claim)
        if process is None or objection:
            return self._not_proven(Claim(claim.source, text=claim.text, reason=claim.reason or objection), now)
        if claim.source == FROM_PID_FILE:
            self._read_at = None
            if self._claimed is not None and self._source == FROM_NOTIFY:
                return self._ready_by_file(now)
        same = self._is(process)
        previous = self._claimed or self._previous
        self._claimed, self._source, self._root = process, claim.source, claim.root
        actions: list[Action] = []
        if not same:
            facts: dict[str, object] = {
                "process": process,
                "source": claim.source,
                "root": claim.root,
                "previous": previous,
            }
            actions.append(Report("service.identified", facts))
            if claim.root is not None:
                actions.append(Follow(process))
        if not self._roster.main_alive:
            self._roster.narrow(claim.root or process)
        if claim.source == FROM_PID_FILE:
            actions += self._ready_by_file(now)
        return actions

    def _objection(self, claim: Claim) -> str:
        """Say why a process below pyinit cannot be the service all the same; empty when it can."""
        process = claim.process
        root = self._roster.get((claim.root or process).pid) if process is not None else None
        role = self._roster.role(root) if root is not None else ""
        if process is None or role not in {COMMAND, FOREIGN}:
            return ""
        what = "belongs to a command of pyinit's own" if role == COMMAND else "never came from main (foreign)"
        return f"names PID {process.pid}, which {what}"

    def located(self, claim: Claim, now: float) -> list[Action]:
        """Take where the service hangs now; look for another when it is gone."""
        if claim.process is not None and not self._objection(claim):
            return self.claimed(claim, now)
        self._forget()
        return self._look_again(now)

    def _not_proven(self, claim: Claim, now: float) -> list[Action]:
        if claim.source == FROM_NOTIFY:
            return self._refuse(claim)
        if self._read_at is None:
            return []
        if now < self._wait_until:
            self._read_at = min(now + self._pause_s, self._wait_until)
            self._pause_s = min(self._pause_s * GROWTH, LONGEST_PAUSE_S)
            return []
        self._read_at = None
        actions = self._refuse(claim)
        if self._held and self._roster.succeeded:
            actions += self.handed_over(now)
        return actions

    def _refuse(self, claim: Claim) -> list[Action]:
        """Tell of what is not believed, once for each reason."""
        word = (claim.source, claim.reason)
        if word in self._told or sum(source == claim.source for source, _ in self._told) >= _REFUSALS_MAX:
            return []
        self._told.add(word)
        return [Report("service.refused", {"source": claim.source, "claim": claim.text, "reason": claim.reason})]

    def decider_ended(self, process: Process, now: float) -> list[Action]:
        """Look again who it is: main or a successor has ended, and what hung below it hangs elsewhere now."""
        if self._is(process):
            self._forget()
        return self._look_again(now)

    def gone(self, process: Process, now: float) -> list[Action]:
        """Look again who it is, if it was this process, which decides nothing and has ended."""
        return self.decider_ended(process, now) if self._is(process) else []

    def ended(self, process: Process) -> None:
        """Note the end of a process: nobody is the service who has ended, also where nobody is to be found for it."""
        if self._is(process):
            self._forget()

    def _look_again(self, now: float) -> list[Action]:
        if self._claimed is not None:
            return [Locate(self._claimed, self._source)]
        self._await_file(now)
        return [ReadPidFile()] if self._policy.pid_file else []

    def _await_file(self, now: float) -> None:
        if self._policy.pid_file:
            self._pause_s = FIRST_LOOK_S
            self._read_at = now + FIRST_LOOK_S
            self._wait_until = now + self._policy.pid_file_timeout_s

    def _forget(self) -> None:
        self._previous, self._claimed, self._root = self._claimed, None, None

    @property
    def claimed_pid(self) -> int | None:
        """The PID of the process that is claimed to be the service."""
        return self._claimed.pid if self._claimed is not None else None

    def _is(self, process: Process) -> bool:
        """Say whether this process is the one that is claimed to be the service."""
        return self._claimed is not None and self._claimed.identity == process.identity

    # -- whether it is ready ------------------------------------------------------------------------------------

    def handed_over(self, now: float) -> list[Action]:
        """Count the handover as readiness, where nothing better is to come."""
        self._held = True
        if self._policy.notify or self._read_at is not None:
            return []
        return self._become_ready("handover", now)

    def _ready_by_file(self, now: float) -> list[Action]:
        return [] if self._policy.notify else self._become_ready("pid-file", now)

    def _become_ready(self, reason: str, now: float) -> list[Action]:
        if self.ready:
            return []
        self.ready = True
        facts: dict[str, object] = {"process": self.process, "reason": reason, "after_s": now - self._started_at}
        actions: list[Action] = [Report("pyinit.ready", facts)]
        if reason != FROM_NOTIFY:
            actions.append(PassOn({"READY": "1"}))
        return actions

    # -- what it says -------------------------------------------------------------------------------------------

    def notified(self, event: Notified, now: float, *, believe: bool) -> list[Action]:
        """Take a message of the service: tell it, pass it on, and believe its claim if that is still of use."""
        fields = event.fields
        if event.reason:
            return self._refuse(Claim(FROM_NOTIFY, text=", ".join(fields), reason=event.reason))
        told = {name.lower(): fields[name] for name in _TOLD if name in fields and _says(name, fields[name])}
        actions: list[Action] = []
        if told:
            news = [name for name in told if name not in _SMALL_TALK and self._said.get(name) != told[name]]
            severity = None if news else "debug"
            actions.append(Report("service.notified", {"process": event.sender, "notify": told}, severity))
        if event.claim is not None and believe:
            actions += self.claimed(event.claim, now)
        passed_on = {
            name: value
            for name, value in fields.items()
            if name not in _NOT_PASSED_ON
            and not name.startswith(_DESCRIPTORS)
            and (name != _NOT_ITS_END or self._policy.restart == RESTART_NO)
        }
        if passed_on:
            actions.append(PassOn(passed_on))
        self._said.update(told)
        for name, other in (("ready", "reloading"), ("reloading", "ready")):
            if name in told and other not in told:
                self._said.pop(other, None)
        if "ready" in told and believe:
            actions += self._become_ready(FROM_NOTIFY, now)
        return actions


def _says(name: str, value: str) -> bool:
    return name not in _FLAGS or value == "1"


def extension_s(fields: Mapping[str, str]) -> float | None:
    """Return the seconds that a message asks for with EXTEND_TIMEOUT_USEC, or None."""
    asked_us = whole_number(fields.get("EXTEND_TIMEOUT_USEC", ""), _DIGITS_MAX)
    return None if asked_us is None else asked_us / 1e6
