"""The final kill of a subreaper: kills its children as fast as they come, and says when the dead may be reaped."""

from __future__ import annotations

import time

from pyinit import kernel
from pyinit.core.model import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.procfs import Proc

# Looks are made in a row for so long before signals and deadlines are looked at (seconds).
BURST_S = 0.01
# The dead keep their places for at most so long without anybody who comes or dies, and for so long in all (seconds):
# then somebody does not die of SIGKILL, and the ends of the others are told.
HOLD_S = 0.3
HOLD_LIMIT_S = 5.0
# And at most so many beside those that were there at first: without a limit on processes, chains that fork for ever
# would fill the machine.
HELD = 4096


class FinalKill:
    """Kills who is there, and who comes in their place.

    A zombie that is not reaped keeps its PID and counts in every limit. Where a limit has been reached, each reap
    gives a survivor the place for one more fork, and nobody would ever be the last: a fork bomb at its limit takes such
    a place within microseconds. So nothing is reaped until everybody who was killed is dead and has brought nobody new.

    Attributes:
        came: somebody new was there at the last call of `kill`: more may have come since.
    """

    def __init__(self, proc: Proc) -> None:
        self._proc = proc
        self._killed: set[int] = set()
        self._denied: set[int] = set()
        self._dying: list[int] = []
        self._from_start = True
        self._came_later = 0
        self._over = False
        self.came = False
        self._until = 0.0
        self._limit = 0.0

    def kill(self) -> tuple[list[int], bool]:
        """Send SIGKILL to every child that has not had it, until a look finds no new one or 10 ms are over.

        Returns those that may not be signalled (EPERM), and whether anything has changed since the last call: somebody
        came, or died. A process that forks and ends to get away lives for a tenth of a millisecond; a look and a kill
        are quicker: only who has come since the last look is looked at, and the youngest, who may still live, is killed
        first. Where they are not, because there is no list of children, a look is made when all are dead.
        """
        denied: list[int] = []
        if self._over and kernel.anyone_dead():
            return denied, False
        begun = time.monotonic()
        changed = self._bury()
        self.came = False
        while self._proc.lists_children or not self._dying or begun >= self._until:
            listed = self._proc.newcomers(from_start=self._from_start)
            self._from_start = False
            new = [pid for pid in reversed(listed) if pid not in self._killed]
            if not new:
                # Who lives below us hangs below a living child of ours, or has come to us when that child died. Where
                # there is no list of children a look can miss who came while it was made.
                self._over = self._proc.lists_children and not self._dying and not self._denied
                break
            self.came = changed = True
            for pid in new:
                (denied if kernel.send(pid, SIGKILL) == kernel.DENIED else self._dying).append(pid)
            self._came_later += len(new) if self._killed else 0
            self._killed.update(new)
            self._denied.update(denied)
            if time.monotonic() > begun + BURST_S:
                break
        now = time.monotonic()
        self._limit = self._limit or now + HOLD_LIMIT_S
        if changed:
            self._until = min(now + HOLD_S, self._limit)
        return denied, changed

    def _bury(self) -> bool:
        """Take the dead off the dying, as far as the first that lives; say whether there were any."""
        before = len(self._dying)
        while self._dying and not kernel.is_alive(self._dying[-1]):
            self._dying.pop()
        return len(self._dying) < before

    @property
    def holds_the_dead(self) -> bool:
        """True while nothing must be reaped."""
        wanted = (self.came or self._dying) and self._came_later < HELD
        return bool(wanted) and time.monotonic() < self._until

    def reaped(self, pid: int) -> None:
        """Forget a number: it may mean somebody else now."""
        self._killed.discard(pid)
        self._from_start = True
