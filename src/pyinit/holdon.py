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
    is held, the first status other than 0 is kept, and a stop reaches main's group, later each child.
    """
    status: int | None = None
    kill_at: float | None = None
    killing = False
    main_lives = True
    while True:
        try:
            while (seen := kernel.peek()) is not None:
                pid, end = seen
                main_lives = main_lives and pid != main_pid
                status = status or end.status
                kernel.reap(pid)
        except kernel.NoChildren:
            return status or 0
        wait_s = HOUR_S if kill_at is None else max(0.0, kill_at - time.monotonic())
        came = _signal.sigtimedwait(kernel.ALL_SIGNALS, wait_s)
        if came is None:
            killing, kill_at = killing or kill_at is not None, None
        elif came.si_signo in _STOP_ON and kill_at is None and not killing:
            kill_at = time.monotonic() + grace_s
        if killing:
            _send_all(children(), SIGKILL)
        elif came is not None and came.si_signo != SIGCHLD:
            if main_lives:
                kernel.send_group(main_pid, came.si_signo)
            else:
                _send_all(children(), came.si_signo)


def _send_all(pids: list[int], signo: int) -> None:
    for pid in pids:
        kernel.send(pid, signo)
