"""Lists the children of a process a piece at a time: ten thousand of them in one go would keep signals waiting."""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# So many bytes one read(2) asks for, about 700 children; the kernel gives no more at a time. To find them it goes
# through all that it has told before: behind ten thousand that takes 0.3 ms by itself, as long as to tell of so many.
# In smaller pieces one would wait a little less for it, but twice as often.
PIECE = 4096
# Where a piece has room for another number, blank included, there was none: to ask for the next piece would take the
# kernel through all of the list once more.
FULL = PIECE - 12


def pieces(pid: int, threads: int = 0, at: int | None = None) -> Iterator[list[int]]:
    """Yield the children of all threads of a process, a piece of one thread's list at a time, an empty one too.

    Between two pieces of a list (proc_pid_children, proc(5)) the kernel only remembers how many it has told. Each child
    that was told and is reaped before the next piece makes it leave out another one, who lives: where somebody who was
    listed is gone, the list has to be read again. One thread has the PID of the process. `at`: /proc as a descriptor.
    """
    proc = "/proc/" if at is None else ""
    for thread in [pid] if threads == 1 else _threads(pid):
        told = False
        try:
            fd = posix.open(f"{proc}{pid}/task/{thread}/children", posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=at)
        except OSError:
            continue  # it has gone
        try:
            rest = b""
            while piece := posix.read(fd, PIECE):
                whole, _, rest = (rest + piece).rpartition(b" ")
                told = True
                yield [int(child) for child in whole.split()]
                if len(piece) < FULL:
                    break
        except OSError:
            pass  # the process has gone while we read: what was read is what there is
        finally:
            posix.close(fd)
        if not told:
            yield []  # of some thousand threads most have none


def _threads(pid: int) -> list[str]:
    try:
        return posix.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
