"""The last records of the log, for who comes late."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
else:
    from _collections import deque  # what the module around it adds is made in Python, and not small

RECORDS_MAX = 500
BYTES_MAX = 1 << 18


class Ring:
    """Keeps the last records, at most 500 and at most 256 KiB of them. Each has a number: the first is 0.

    Attributes:
        end: the number that the next record gets.
        heard: called after each record, or None.
    """

    def __init__(self, records: int = RECORDS_MAX, size: int = BYTES_MAX) -> None:
        self._records_max = records
        self._bytes_max = size
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self.end = 0
        self.heard: Callable[[], object] | None = None

    @property
    def first(self) -> int:
        """The number of the oldest record that is kept."""
        return self.end - len(self._lines)

    def put(self, line: bytes) -> None:
        """Keep a record, a line with its newline; the oldest go where there is no room."""
        self._lines.append(line)
        self._bytes += len(line)
        self.end += 1
        while len(self._lines) > self._records_max or self._bytes > self._bytes_max:
            self._bytes -= len(self._lines.popleft())
        if self.heard is not None:
            self.heard()

    def since(self, number: int, size: int) -> tuple[list[bytes], int]:
        """Return the records from a number on, at least one and then up to `size` bytes, and how many are lost.

        The number is not beyond the end; what is older than the oldest record is lost.
        """
        first = self.first
        at = max(number, first) - first
        lines: list[bytes] = []
        while at < len(self._lines) and (not lines or size > 0):
            lines.append(self._lines[at])
            size -= len(self._lines[at])
            at += 1
        return lines, max(0, first - number)
