"""The controlling terminal: who is in the foreground (tcsetpgrp(3), credentials(7)).

Imported before main runs: built-in modules only.
"""

from __future__ import annotations

import posix

from pyinit.core.model import NO_TERMINAL, OWN_TERMINAL, SHELL_TERMINAL


class Terminal:
    """pyinit's controlling terminal, if it has one.

    Nothing here raises: ENOTTY, ENXIO, EIO (the terminal has gone), EPERM and ESRCH (the group has) stop no run.

    Attributes:
        fd: a descriptor of /dev/tty, or -1 without a controlling terminal.
        kind: NO_TERMINAL; OWN_TERMINAL where pyinit leads the session, so that no shell above could ever continue a
            stopped job; SHELL_TERMINAL elsewhere.
    """

    __slots__ = ("_own", "fd", "kind")

    def __init__(self) -> None:
        self.kind = NO_TERMINAL
        self._own = posix.getpgrp()  # now: main gives itself the terminal when it has left this group, before its exec
        try:
            self.fd = posix.open("/dev/tty", posix.O_RDWR | posix.O_CLOEXEC | posix.O_NOCTTY)
        except OSError:  # ENXIO: no controlling terminal; ENOENT: no /dev
            self.fd = -1
            return
        pid = posix.getpid()
        self.kind = OWN_TERMINAL if pid in (1, posix.getsid(0)) else SHELL_TERMINAL

    def give(self, pgid: int) -> None:
        """Make a process group the foreground group, if the foreground is ours to give."""
        self._hand_over(self._own, pgid)

    def take_back(self, pgid: int) -> None:
        """Make our own process group the foreground group again, if the foreground is that group's."""
        self._hand_over(pgid, self._own)

    def _hand_over(self, holder: int, receiver: int) -> None:
        if self.fd < 0:
            return
        try:
            if posix.tcgetpgrp(self.fd) == holder:
                posix.tcsetpgrp(self.fd, receiver)
        except OSError:
            return
