"""The controlling terminal: who is in the foreground (tcsetpgrp(3), credentials(7)).

Imported before main runs: built-in modules only.
"""

from __future__ import annotations

import posix

from pyinit.core.model import NO_TERMINAL, OWN_TERMINAL, SHELL_TERMINAL

_TIOCNOTTY = 0x5422
_TIOCSCTTY = 0x540E


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


def own_terminal() -> None:
    """Make the terminal of descriptor 0 the controlling terminal of our new session, if it is one and is free."""
    import fcntl

    try:
        fcntl.ioctl(0, _TIOCSCTTY, 0)
    except OSError:
        return  # no terminal, or another session's: then there is none


def let_go_of_terminal(fd: int) -> bool:
    """Give up our controlling terminal, so that main's session can have it (TIOCNOTTY); False when `fd` was not that.

    If we lead the session the kernel sends SIGHUP and SIGCONT to the foreground group.
    """
    import fcntl

    try:
        fcntl.ioctl(fd, _TIOCNOTTY)
    except OSError:
        return False
    return True
