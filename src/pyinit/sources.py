"""What the loop waits for besides signals: descriptors, each with what is to be done when it is ready."""

from __future__ import annotations

import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Sources:
    """The one place where pyinit waits (epoll(7)).

    Attributes:
        before: called before each wait, or None: for what is to be told once all that has happened is dealt with.
    """

    def __init__(self) -> None:
        self._poll = select.epoll()
        self.before: Callable[[], object] | None = None
        self._calls: dict[int, Callable[[], object]] = {}
        self._patient: set[int] = set()
        self._ready: list[int] = []

    def add(self, fd: int, call: Callable[[], object], *, writing: bool = False, patient: bool = False) -> None:
        """Call `call` whenever there is something to read from `fd`; `writing`: whenever there is room to write.

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
