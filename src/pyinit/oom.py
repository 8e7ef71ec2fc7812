"""Asks the control group whether the kernel has killed somebody in it for want of memory (cgroup v1 and v2)."""

from __future__ import annotations

import posix
from time import monotonic

from pyinit.cgroup import folders
from pyinit.procfs import read_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# Who is killed for want of memory is counted first, and then dies. When this has been known for so long (seconds),
# whoever it was has gone: pyinit waits as long for what does not die of its own SIGKILL.
DEATH_S = 10.0

_CHUNK = 4096


class OomKills:
    """The counter of OOM kills of our control group: `oom_kill` of memory.events (v2) or memory.oom_control (v1).

    Read at the start, and again when a process has ended by a SIGKILL that was not ours: thousands may at once, and
    from the first on its descriptor is kept. Without such a file, or where it cannot be read, nothing was ever killed
    for want of memory. `before` is what it was at the start, where that has been read already; -1: it is read now.

    The control group counts whom its other processes reap, too, and does not say who it was. A kill that was known for
    DEATH_S and explained no end was one of those, and explains none that comes later.
    """

    def __init__(self, before: int = -1) -> None:
        self._path: str | None = None
        self._fd = -1
        self._told = b""  # what the file said last, and the count in it
        self._count = 0
        self._seen = 0
        self._known: list[tuple[float, int]] = []  # until when what is counted so far may explain an end
        for path in _candidates():
            count = _count_in(read_all(path))
            if count is not None:
                self._path, self._seen = path, count if before < 0 else before
                break

    @property
    def counts(self) -> bool:
        """Whether there is such a counter."""
        return self._path is not None

    def start_anew(self) -> None:
        """Count on from here: kills until now are none of those that come."""
        self._seen += self._untold()

    def happened(self) -> bool:
        """Say whether there was one more kill since this was last asked; each is told once."""
        if not self.any_untold():
            return False
        self._seen += 1
        return True

    def any_untold(self) -> bool:
        """Say whether `happened` is true now."""
        return self._untold() > 0

    def note(self) -> None:
        """Read the count, for what it is worth later: pyinit is awake for something that does not come often."""
        self._untold()

    def _untold(self) -> int:
        """Return how many kills there were that may explain an end now; 0 where the count cannot be read."""
        if self._path is None:
            return 0
        now = monotonic()
        while self._known and self._known[0][0] <= now:
            self._seen = max(self._seen, self._known.pop(0)[1])
        try:
            if self._fd < 0:
                self._fd = posix.open(self._path, posix.O_RDONLY | posix.O_CLOEXEC)
            told = posix.pread(self._fd, _CHUNK, 0)
        except OSError:
            if self._fd >= 0:
                posix.close(self._fd)
                self._fd = -1
            return 0
        if told != self._told:
            count = _count_in(told)
            if count is None:
                return 0
            self._told = told
            if count > self._count:
                self._known.append((now + DEATH_S, count))
            self._count = count
        return self._count - self._seen


def _candidates() -> Iterator[str]:
    """Yield the files that may have the counter."""
    for controllers, folder in folders():
        if not controllers:
            yield f"{folder}/memory.events"
        elif "memory" in controllers.split(","):
            yield f"{folder}/memory.oom_control"


def _count_in(data: bytes) -> int | None:
    for line in data.splitlines():
        name, _, value = line.partition(b" ")
        if name == b"oom_kill" and value.isdigit():
            return int(value)
    return None
