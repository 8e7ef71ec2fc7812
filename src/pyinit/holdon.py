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


def hold_on(main_pid: int, grace_s: float, children: Callable[[], list[int]]) -> int:
    """Forward signals, reap, and stop when asked to, until no child is left; return the exit status.

    `children` lists the PIDs of our children. There is no service here and no looking deeper: what main leaves behind
    is held, the first status other than 0 is kept, and a stop reaches main's group, then, once main has gone, each
    child once, also those that come later.
    """
    status: int | None = None
    stop_signo: int | None = None
    stopped: set[int] = set()
    kill_at: float | None = None
    main_lives = True
    while True:
        try:
            while (seen := kernel.peek()) is not None:
                pid, end = seen
                main_lives = main_lives and pid != main_pid
                status = status or end.status
                stopped.discard(pid)
                kernel.reap(pid)
        except kernel.NoChildren:
            return status or 0
        if stop_signo is not None and not main_lives:
            fresh = [pid for pid in children() if pid not in stopped]
            stopped.update(fresh)
            _send_all(fresh, stop_signo)
        wait_s = HOUR_S if kill_at is None else max(0.0, kill_at - time.monotonic())
        came = _signal.sigtimedwait(kernel.ALL_SIGNALS, wait_s)
        if came is None:
            if kill_at is not None:
                stop_signo, stopped, kill_at, main_lives = SIGKILL, set(), None, False
        elif came.si_signo in _STOP_ON and stop_signo is None:
            stop_signo, kill_at = came.si_signo, time.monotonic() + grace_s
            if main_lives:
                kernel.send_group(main_pid, stop_signo)
        elif came.si_signo != SIGCHLD:
            if main_lives:
                kernel.send_group(main_pid, came.si_signo)
            else:
                _send_all(children(), came.si_signo)


def _send_all(pids: list[int], signo: int) -> None:
    for pid in pids:
        kernel.send(pid, signo)
