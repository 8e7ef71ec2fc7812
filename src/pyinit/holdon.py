"""The last resort: holds main and what it leaves with the least that there is, when the rest of pyinit cannot run.

No memory, no descriptor, a file that has gone: whatever kept the log, the loop or the core from being imported must not
end main. Imported before main runs: built-in modules only.
"""

from __future__ import annotations

import _signal
import time

from pyinit import kernel
from pyinit.core.model import SIGCHLD, SIGINT, SIGKILL, SIGQUIT, SIGTERM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

HOUR_S = 3600.0
_STOP_ON = frozenset((SIGTERM, SIGINT, SIGQUIT))


class _Stop:
    """A stop that is under way: the signal (None: not asked for yet), who has had it, and when SIGKILL comes."""

    __slots__ = ("kill_at", "signo", "told")

    def __init__(self) -> None:
        self.signo: int | None = None
        self.told: set[int] = set()
        self.kill_at: float | None = None

    def tell(self, children: list[int]) -> None:
        """Send the signal to those that have not had it."""
        if self.signo is not None:
            fresh = [pid for pid in children if pid not in self.told]
            self.told.update(fresh)
            _send_all(fresh, self.signo)

    def kill(self) -> None:
        """Go on to SIGKILL, for everybody."""
        self.signo, self.told, self.kill_at = SIGKILL, set(), None


def hold_on(main_pid: int, grace_s: float, children: Callable[[], list[int]], stop_signal: int | None = None) -> int:
    """Forward signals, reap, and stop when asked to, until no child is left; return the exit status.

    `children` lists the PIDs of our children; `stop_signal` is what a stop sends, None: what asked for it. There is no
    service here and no looking deeper: what main leaves behind is held, the first status other than 0 is kept, and a
    stop reaches main's group, then, once main has gone, each child once, also those that come later.
    """
    import gc

    gc.enable()  # it is off since the interpreter's start: see pyinit-main
    status: int | None = None
    stop = _Stop()
    main_lives = True
    while True:
        try:
            while (seen := kernel.peek()) is not None:
                pid, end = seen
                main_lives = main_lives and pid != main_pid
                status = status or end.status
                stop.told.discard(pid)
                kernel.reap(pid)
        except kernel.NoChildren:
            return status or 0
        if stop.signo is not None and (stop.signo == SIGKILL or not main_lives):
            stop.tell(children())
        wait_s = HOUR_S if stop.kill_at is None else max(0.0, stop.kill_at - time.monotonic())
        came = _signal.sigtimedwait(kernel.ALL_SIGNALS, wait_s)
        if came is None and stop.kill_at is not None:
            stop.kill()
        elif came is not None and came.si_signo != SIGCHLD:
            signo = came.si_signo
            if signo in _STOP_ON and stop.signo is None:
                signo = stop_signal or signo
                stop.signo, stop.kill_at = signo, time.monotonic() + grace_s
                if not main_lives:
                    continue
            _send(signo, main_pid if main_lives else 0, children)


def _send(signo: int, main_pid: int, children: Callable[[], list[int]]) -> None:
    """Send a signal to main's group, or to each child when main has gone (0)."""
    if main_pid:
        kernel.send_group(main_pid, signo)
    else:
        _send_all(children(), signo)


def _send_all(pids: list[int], signo: int) -> None:
    for pid in pids:
        kernel.send(pid, signo)
