"""The final kill of a subreaper: kills its children as fast as they come, and says when the dead may be reaped."""

from __future__ import annotations

import time

from pyinit import kernel
from pyinit.core.model import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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
# So many of the numbers that were given out last are tried, and so many while the dead are reaped.
SPAN = 1024
LAST = 64


class FinalKill:
    """Kills who is there, and who comes in their place.

    Who forks and ends to get away waits for his first turn most of his short life, with a number that has just been
    given out. To try these numbers takes a millisecond, which may be all the time that we have before the others are at
    it again; to look through a list of thousands of dead takes a hundred. So these come first, and again with each page
    of the list. Who was forked at that very moment is in the process group of the one that is killed, and dies with it.
    Where all numbers are taken, who lives can have any of them: the control group, if there is one, names the living.

    A zombie that is not reaped keeps its PID and counts in every limit. Where a limit has been reached, each reap
    gives a survivor the place for one more fork, and nobody would ever be the last: a fork bomb at its limit takes such
    a place within microseconds. So nothing is reaped until everybody who was killed is dead and has brought nobody new.

    To look for him through the whole list takes as long as to reap half of it. So where the control group names nobody
    any more the dead are reaped first, a thousand at a time, as long as this is so; what is left of the list then is
    looked through all the same.

    Attributes:
        came: the last call of `kill` has not come to an end: somebody new was there, or its time was over.
    """

    def __init__(self, proc: Proc, living: Callable[[], list[int]], *, groups: bool = False) -> None:
        """Begin with nobody killed.

        `living` lists the living processes of our control group, or nobody; `groups`: who descends from a child of ours
        is below us, for there was no child before orphans came to us.
        """
        self._proc = proc
        self._living = living
        self._groups = groups
        self._seen: set[int] = set()  # the children that have had SIGKILL, or were dead
        self._struck: set[int] = set()  # the process groups that have had it in this call of `kill`
        self._dying: list[int] = []
        self._denied: list[int] = []
        self._from_start = True
        self._all_seen = False
        self._came_later = 0
        self._over = False
        self.came = False
        self._until = 0.0
        self._limit = 0.0

    def anew(self) -> FinalKill:
        """Return one for the next run: it does not know whom SIGKILL went to in this one."""
        return FinalKill(self._proc, self._living, groups=self._groups)

    def kill(self) -> tuple[list[int], bool]:
        """Send SIGKILL to every child that has not had it, until a look finds no new one or 10 ms are over.

        Returns those that may not be signalled (EPERM), and whether anything has changed since the last call: somebody
        came, or died. Without a list of children a look is dear, and is made when all are dead.
        """
        if self._over and kernel.anyone_dead():
            return [], False
        begun = now = time.monotonic()
        denied_before = len(self._denied)
        changed = self._mourn()
        self.came = False
        self._struck.clear()
        new = 0 if self._limit else self._strike(self._proc.newest_pids(SPAN))
        alone, named = self._strike_named()
        if alone and begun < self._limit and kernel.anyone_dead():
            return [], changed
        new += named
        changed = changed or new > 0
        while self._proc.lists_children or not self._dying or begun >= self._until:
            new += self._strike(self._proc.newest_pids(SPAN))
            found, at_end = self._look()
            new += found
            self._came_later += new if self._all_seen else 0
            self._all_seen = self._all_seen or at_end
            changed = changed or new > 0
            now = time.monotonic()
            self.came = new > 0 or not at_end
            if not self.came:
                # Who lives below us hangs below a living child of ours, or has come to us when that child died. Where
                # there is no list of children a look can miss who came while it was made.
                self._over = self._proc.lists_children and not self._dying and not self._denied
                break
            if now > begun + BURST_S:
                break
            new = 0
        self._limit = self._limit or now + HOLD_LIMIT_S
        if changed:
            self._until = min(now + HOLD_S, self._limit)
        return self._denied[denied_before:], changed

    def _strike_named(self) -> tuple[bool, int]:
        """Kill whom the control group names; say whether nobody seems to be left, and return how many were killed.

        Who lives below us is a child of ours, or hangs below one. So nobody is left in the group if all were dead who
        had had SIGKILL when it was asked, and it names no child of ours whom we did not know: not even one who has died
        since, for he may have left somebody. Who is in another group, and forks, has one of the last numbers.
        """
        all_dead = not self._dying and not self._denied
        known = len(self._seen)
        named = self._living()
        new = self._strike(named)
        if not all_dead or not named or len(self._seen) > known:
            return False, new
        new = self._strike(self._proc.newest_pids(LAST))
        return not new, new

    def _strike(self, numbers: Iterable[int]) -> int:
        """Kill those of our children who have such numbers; return how many there were."""
        struck = 0
        for pid in numbers:
            alive = None if pid in self._seen else kernel.lives(pid)
            if alive is None:
                continue  # no child of ours, which it may be when its parent has died
            self._seen.add(pid)
            if alive:
                self._kill(pid)
                struck += 1
        return struck

    def _look(self) -> tuple[int, bool]:
        """Kill who is on the next page of the list; return how many of them were new, and whether that was its end."""
        listed = self._proc.newcomers(from_start=self._from_start)
        self._from_start = False
        new = [pid for pid in listed if pid not in self._seen]
        self._seen.update(new)
        for pid in new:
            if kernel.lives(pid):
                self._kill(pid)
        return len(new), not (listed and self._proc.lists_children)

    def _kill(self, pid: int) -> None:
        """Kill a child, and with it its process group where nobody but our descendants can be in that."""
        (self._denied if kernel.send(pid, SIGKILL) == kernel.DENIED else self._dying).append(pid)
        group = kernel.group_below(pid) if self._groups else 0
        if group and group not in self._struck:
            self._struck.add(group)
            kernel.send_group(group, SIGKILL)

    def _mourn(self) -> bool:
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

    def reaped(self, *pids: int) -> None:
        """Forget numbers: they may mean somebody else now."""
        self._seen.difference_update(pids)
        self._from_start = True
