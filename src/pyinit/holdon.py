"""The last resort: holds main and what it leaves with the least that there is, when the rest of pyinit cannot run.

No memory, no descriptor, a file that has gone: whatever kept the log, the loop or the core from being imported must not
end main. Imported before main runs: built-in modules only.
"""

from __future__ import annotations

import _signal
import posix
import time

from pyinit import kernel
from pyinit.core.model import SIGCHLD, SIGINT, SIGKILL, SIGQUIT, SIGTERM

_STOP_ON = frozenset((SIGTERM, SIGINT, SIGQUIT))


def hold_on(main_pid: int, grace_s: float) -> int:
    """Forward signals, reap, and stop when asked to, until no child is left; return main's exit status.

    What main leaves behind is held, and gets a stop request only as the init of a PID namespace, where kill(2) reaches
    all: there is no looking for processes here.
    """
    everybody = posix.getpid() == 1
    status = 128 + SIGKILL
    kill_at: float | None = None
    main_lives = True
    while True:
        try:
            while (seen := kernel.peek()) is not None:
                pid, end = seen
                if pid == main_pid and main_lives:
                    status, main_lives = end.status, False
                kernel.reap(pid)
        except kernel.NoChildren:
            return status
        wait_s = 3600.0 if kill_at is None else max(0.0, kill_at - time.monotonic())
        seen_signal = _signal.sigtimedwait(kernel.ALL_SIGNALS, wait_s)
        if seen_signal is None:
            signo = SIGKILL if kill_at is not None else 0
            kill_at = None if kill_at is None else time.monotonic() + grace_s
        else:
            signo = seen_signal.si_signo
            if signo in _STOP_ON and kill_at is None:
                kill_at = time.monotonic() + grace_s
        if signo in {0, SIGCHLD}:
            continue
        if main_lives:
            kernel.send_group(main_pid, signo)
        if everybody and (signo == SIGKILL or (signo in _STOP_ON and not main_lives)):
            kernel.send_everyone(signo)
