"""What becomes of a signal that asks for nothing: it is rewritten, and forwarded."""

from __future__ import annotations

from pyinit.core.actions import Report, SignalChild, SignalDescendant, SignalGroup, StopSelf, Walk
from pyinit.core.model import SIGTSTP, SIGTTIN, SIGTTOU, TO_MAIN, TO_ROOTS, TO_TREE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyinit.core.actions import Action
    from pyinit.core.events import Signalled
    from pyinit.core.model import Policy, Process
    from pyinit.core.roster import Roster
    from pyinit.core.service import Service

TERMINAL_STOPS = frozenset((SIGTSTP, SIGTTIN, SIGTTOU))


class Forwarding:
    """Forwards signals in the order in which they came."""

    def __init__(self, policy: Policy, roster: Roster, service: Service) -> None:
        self._policy = policy
        self._roster = roster
        self._service = service
        self._for_the_tree: list[int] = []
        self.count = 0

    def rewrite(self, signo: int) -> int:
        """Return what --rewrite makes of a signal; 0 when it is to be swallowed."""
        return self._policy.rewrite.get(signo, signo)

    def forward(self, event: Signalled, signo: int) -> list[Action]:
        """Forward a signal that came, as `signo`: to main or what --forward-to says, later to the successors."""
        actions, targets = self._aim(signo)
        if signo:
            self.count += 1
        facts: dict[str, object] = {
            "signal": event.signo,
            "sender_pid": event.sender_pid,
            "sender_uid": event.sender_uid,
            "targets": targets,
        }
        actions.append(Report("signal.forwarded", facts))
        if self._policy.self_stop and event.signo in TERMINAL_STOPS:
            actions.append(StopSelf(whole_job=False))
        return actions

    def _aim(self, signo: int) -> tuple[list[Action], list[int]]:
        """Choose the targets: (actions, PIDs for the record; a negative one is a process group)."""
        main = self._roster.main
        if signo == 0:
            return [], []
        if self._policy.forward_to == TO_TREE:
            return self.to_the_tree(signo), []
        if self._policy.forward_to == TO_ROOTS:
            chosen = self._roster.alive
        elif main is None or not self._roster.main_alive:
            deep = self._service.deep
            if deep is not None:
                return [SignalDescendant(deep, signo)], [deep.pid]
            chosen = self._roster.successors
        elif self._policy.forward_to == TO_MAIN or not self._roster.main_leads:
            chosen = [main]
        else:
            return [SignalGroup(main.pid, signo)], [-main.pid]
        return [SignalChild(process, signo) for process in chosen], [process.pid for process in chosen]

    def to_the_tree(self, signo: int) -> list[Action]:
        """Send a signal to every descendant, as soon as the tree is known."""
        self._for_the_tree.append(signo)
        return [Walk()]

    def walked(self, processes: Iterable[Process]) -> list[Action]:
        """Send what was for the whole tree, now that the tree is known."""
        waiting, self._for_the_tree = self._for_the_tree, []
        if not waiting:
            return []
        everybody = [process for process in processes if process.alive]
        return [
            SignalChild(process, signo) if process.pid in self._roster else SignalDescendant(process, signo)
            for signo in waiting
            for process in everybody
        ]
