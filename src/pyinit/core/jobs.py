"""Job control: what a person at the terminal expects when main stops and goes on."""

from __future__ import annotations

from pyinit.core.actions import GiveTerminal, SignalGroup, StopSelf, TakeTerminal
from pyinit.core.model import KERNEL, NO_TERMINAL, OWN_TERMINAL, SHELL_TERMINAL, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.core.actions import Action
    from pyinit.core.model import Policy
    from pyinit.core.roster import Roster

# Main asked for the terminal in vain so short a time ago (seconds) that asking again would spin.
AGAIN_S = 1.0


class Jobs:
    """The terminal is main's while main is in the foreground, and pyinit stops and goes on with main.

    Under a shell with job control pyinit stops when main does, so that the shell sees its job stop; SIGCONT wakes both,
    and gives main the terminal back if the shell has put the job into the foreground. Where no shell is above
    (a session leader, PID 1) nobody could ever say `fg`: there main goes on at once, as it would without pyinit, whose
    process group the kernel would take for orphaned, and not stop.
    """

    def __init__(self, policy: Policy, roster: Roster) -> None:
        self._policy = policy
        self._roster = roster
        self._given_at: float | None = None

    def stopped(self, signo: int, now: float) -> list[Action]:
        """Stop with main, or let it go on: it has been stopped by a signal."""
        main = self._roster.main
        if main is None or self._policy.terminal == NO_TERMINAL:
            return []
        if self._policy.terminal != OWN_TERMINAL:
            return [TakeTerminal(), StopSelf(whole_job=True)]
        if signo == SIGTSTP:
            return [SignalGroup(main.pid, SIGCONT)]
        if signo in (SIGTTIN, SIGTTOU) and (self._given_at is None or now - self._given_at > AGAIN_S):
            self._given_at = now
            return [GiveTerminal(), SignalGroup(main.pid, SIGCONT)]
        return []

    def stopped_while_holding(self, sender_pid: int) -> tuple[bool, list[Action]]:
        """Say what a terminal stop signal does when main has gone: (whether it is forwarded, what comes then).

        Under a shell the successors stop, and pyinit with them. What was typed where no shell is above stops nobody.
        """
        if self._policy.terminal == SHELL_TERMINAL:
            return True, [StopSelf(whole_job=True)]
        return self._policy.terminal == NO_TERMINAL or sender_pid != KERNEL, []

    def continued(self) -> list[Action]:
        """Hand over the terminal at SIGCONT, before the signal is forwarded like any other."""
        if self._policy.terminal == NO_TERMINAL or not self._roster.main_alive:
            return []
        return [GiveTerminal()]

    def main_ended(self) -> list[Action]:
        """Take the terminal: main has ended, and what is typed now is for pyinit, or for whoever started it."""
        return [] if self._policy.terminal == NO_TERMINAL else [TakeTerminal()]
