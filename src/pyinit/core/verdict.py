"""What the run comes to: who decided it, and the exit status that this gives."""

from __future__ import annotations

from pyinit.core.model import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.core.model import End, Policy, Process
    from pyinit.core.roster import Roster

    Word = tuple[str, Process | None, End | None]


class Verdict:
    """Collects what may decide the run; the first decision stands.

    Attributes:
        asked_with: the signal of the stop request; 0 while there was none.
    """

    def __init__(self, policy: Policy, roster: Roster) -> None:
        self._policy = policy
        self._roster = roster
        self._decision: Word | None = None
        self._asked: Word | None = None
        self._last: Word | None = None
        self.asked_with = 0

    def decide(self, reason: str, process: Process | None, end: End | None) -> None:
        """Settle what the status comes from: the first that decides it decides it for good."""
        if self._decision is None:
            self._decision = (reason, process, end)

    def asked(self, signo: int, reason: str = "signal") -> None:
        """Note that a stop was asked for: the reason of an end that nobody decides."""
        self._asked = (reason, None, None)
        self.asked_with = signo

    @property
    def last(self) -> Process | None:
        """The successor that ended last, and well, without an heir."""
        return self._last[1] if self._last is not None else None

    def served(self, process: Process, end: End) -> None:
        """Note the end of a successor that leaves no heir."""
        self._last = ("service", process, end)

    def read(self) -> tuple[int, str, Process | None, End | None]:
        """Return the exit status, its reason, and the process and the end that gave it, if any."""
        roster = self._roster
        reason, process, end = self._decision or self._asked or self._last or ("main", roster.main, roster.main_end)
        status = end.status if end is not None else 0
        if self._decision is None and roster.served:
            status = 128 + SIGKILL  # who would have to say that all went well has not ended
        if status in self._policy.ok_exits:
            status = 0
        return status, reason, process, end
