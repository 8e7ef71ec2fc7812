"""How much main may use, and when it has its turn: limits, nice value, I/O priority, CPUs, OOM score."""

import posix

from pyinit.child.values import RLIMITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_EPERM, _EINVAL = 1, 22
_OOM_SCORE_ADJ = "/proc/self/oom_score_adj"


def rlimit(name: str, soft: "int | None", hard: "int | None") -> "Callable[[], None]":
    """Return what sets a limit (setrlimit(2)); -1 is unlimited, None stays as it is. It raises OSError."""
    import resource

    number = getattr(resource, f"RLIMIT_{name}", RLIMITS[name])

    def apply() -> None:
        now = resource.getrlimit(number)
        limits = (now[0] if soft is None else soft, now[1] if hard is None else hard)
        try:
            resource.setrlimit(number, limits)
        except ValueError as error:  # how this module says EINVAL, and EPERM for a higher hard limit
            raise OSError(_EPERM if "not allowed" in str(error) else _EINVAL, str(error)) from None

    return apply


def nice(value: int) -> None:
    """Set the nice value itself, not a difference (setpriority(2)). Raises OSError."""
    posix.setpriority(posix.PRIO_PROCESS, 0, value)


def cpus(numbers: "frozenset[int]") -> None:
    """Run on these CPUs only, and on all of them (sched_setaffinity(2)). Raises OSError."""
    posix.sched_setaffinity(0, numbers)
    if posix.sched_getaffinity(0) != numbers:  # the kernel leaves out those that are not there, and says nothing
        raise OSError(_EINVAL, posix.strerror(_EINVAL))


class OomScore:
    """Writes the OOM score adjustment; opened before limits could forbid another descriptor."""

    def __init__(self, value: int) -> None:
        self._value = value
        self._fd = -1

    def open(self) -> None:
        """Open the file of this process. Raises OSError."""
        self._fd = posix.open(_OOM_SCORE_ADJ, posix.O_WRONLY | posix.O_CLOEXEC)

    def write(self) -> None:
        """Write it (proc_pid_oom_score_adj(5)). Raises OSError."""
        posix.write(self._fd, b"%d" % self._value)
        posix.close(self._fd)
