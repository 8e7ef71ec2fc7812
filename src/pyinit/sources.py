"""What the loop waits for besides signals: descriptors, each with what is to be done when it is ready."""

from __future__ import annotations

import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


# Ends come in a storm when each of so many times in a row at least one had come in each span of this length (seconds).
STORM = 4
DENSE_S = 0.001
# So long they are let come together then (seconds).
GATHER_S = 0.002


class Storm:
    """Knows when ends come so close together that it is cheaper to wait a moment, and take several at once.

    To wake up for one costs more than to reap it, and takes a processor from whoever makes the storm. One end alone, or
    a few, are never held up.
    """

    __slots__ = ("_last", "_times")

    def __init__(self) -> None:
        self._last = 0.0
        self._times = 0

    def took(self, count: int, now: float) -> None:
        """Note that so many ends have been taken."""
        self._times = self._times + 1 if now - self._last < count * DENSE_S else 0
        self._last = now

    @property
    def lasts(self) -> bool:
        """True when those that were taken last were part of a storm."""
        return self._times >= STORM

    def pauses(self) -> bool:
        """Say whether to wait for more now; once for each time that some have been taken."""
        if not self.lasts:
            return False
        self._times = STORM - 1
        return True


class Sources:
    """The one place where pyinit waits (epoll(7)).

    Attributes:
        before: called before each wait, or None: for what is to be told once all that has happened is dealt with.
    """

    def __init__(self) -> None:
        self._poll = select.epoll()
        self.before: Callable[[], object] | None = None
        self._calls: dict[int, Callable[[], object] | None] = {}
        self._patient: set[int] = set()
        self._ready: list[int] = []

    def add(self, fd: int, call: Callable[[], object] | None, *, writing: bool = False, patient: bool = False) -> None:
        """Call `call` whenever there is something to read from `fd`; `writing`: whenever there is room to write.

        None: it only ends the wait.
        `patient`: what it does takes its time, and it is called by `serve`.
        """
        self._calls[fd] = call
        if patient:
            self._patient.add(fd)
        self._poll.register(fd, select.EPOLLOUT if writing else select.EPOLLIN)

    def remove(self, fd: int) -> None:
        """Forget a descriptor; to be called before it is closed."""
        del self._calls[fd]
        self._patient.discard(fd)
        self._poll.unregister(fd)

    def wait(self, timeout_s: float) -> None:
        """Wait until something is ready or the time is over (-1: for ever), and call what belongs to what is ready."""
        if self.before is not None:
            self.before()
        self._ready.clear()
        for fd, _ in self._poll.poll(timeout_s):
            if fd in self._patient:
                self._ready.append(fd)
            else:
                self._call(fd)

    def serve(self) -> bool:
        """Call what belongs to those who had to be patient: the signals that came meanwhile are taken by now.

        Says whether there was anybody.
        """
        for fd in self._ready:
            self._call(fd)
        return bool(self._ready)

    def _call(self, fd: int) -> None:
        call = self._calls.get(fd)  # an earlier call of this round may have removed it
        if call is not None:
            call()
