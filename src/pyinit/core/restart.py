"""Whether a run is followed by another one, and when: restarts are counted within a window, and their delay doubles."""

from __future__ import annotations

from pyinit.core.model import RESTART_ALWAYS, RESTART_ON_FAILURE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.core.model import Policy

GROWTH = 2.0


class Restarts:
    """Counts the restarts that nobody asked for. All times are monotonic seconds.

    Attributes:
        count: how many there were within the window when this was last asked, the one that follows included.
    """

    def __init__(self, policy: Policy) -> None:
        self._kind = policy.restart
        self._limit, self._window_s = policy.restart_limit
        self._first_s = policy.restart_delay_s
        self._longest_s = policy.restart_delay_max_s
        self._delay_s = self._first_s
        self._decided: list[float] = []
        self.count = 0

    def wanted(self, status: int) -> bool:
        """Say whether a run that ended by itself with this status is to be followed by another."""
        return self._kind == RESTART_ALWAYS or (self._kind == RESTART_ON_FAILURE and status != 0)

    def delay_s(self, now: float, lasted_s: float) -> float | None:
        """Return how long the next run waits, which is counted with that; None when the limit is reached.

        A run that lasted longer than the window has been well: the delay begins anew.
        """
        self._decided = [at for at in self._decided if at > now - self._window_s]
        self.count = len(self._decided)
        if self.count >= self._limit:
            return None
        self._decided.append(now)
        self.count += 1
        delay_s = self._first_s if lasted_s > self._window_s else self._delay_s
        self._delay_s = min(delay_s * GROWTH, self._longest_s)
        return delay_s
