"""A number is believed only when it is a living process below us: tried on real processes."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from pyinit import claims, kernel
from pyinit.claims import locate
from pyinit.procfs import Proc
from support.descriptors import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyinit.core.model import Process

# Forks a line of children, each of which names itself and ends when its input does.
LINE = """
import os, sys
for _ in range(int(sys.argv[1])):
    child = os.fork()
    if child:
        sys.stdin.read()
        os.waitpid(child, 0)
        os._exit(0)
    os.write(1, b"%d\\n" % os.getpid())
sys.stdin.read()
"""

# Names a thread of its own.
THREAD = """
import sys, threading
def run():
    print(threading.get_native_id(), flush=True)
    sys.stdin.read()
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""

# Says why a number is not believed.
ASK = """
import os, sys
sys.path[:] = sys.argv[2:]
from pyinit.claims import locate
from pyinit.procfs import Proc
found = locate(Proc(os.getpid()), int(sys.argv[1]))
print(found.root, found.process, found.reason)
"""


@contextmanager
def started(program: str, *arguments: str, lines: int) -> Iterator[list[int]]:
    """Run a program; yield its PID and the numbers that it prints."""
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield [process.pid, *(int(process.stdout.readline()) for _ in range(lines))]


@contextmanager
def line_of(depth: int) -> Iterator[list[int]]:
    """Yield the PIDs of a line of processes, each the parent of the next."""
    with started(LINE, str(depth), lines=depth) as pids:
        yield pids


@pytest.fixture
def proc() -> Proc:
    """Return /proc as we see it."""
    return Proc(os.getpid())


def end(pid: int) -> None:
    """Kill a process, and wait until it has ended."""
    fd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([fd], [], [])
    os.close(fd)


class Meddled(Proc):
    """/proc where something happens before the n-th look."""

    def __init__(self) -> None:
        super().__init__(os.getpid())
        self.before: dict[int, Callable[[], object]] = {}
        self.looks = 0

    def describe(self, pid: int) -> Process | None:
        """Describe a process when what was to happen has happened."""
        self.looks += 1
        if self.looks in self.before:
            self.before[self.looks]()
        return super().describe(pid)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_every_descendant_is_proven(proc: Proc, depth: int) -> None:
    """A child is its own root; whoever is deeper hangs below that child."""
    with line_of(depth) as pids:
        for pid in pids:
            found = locate(proc, pid)
            assert found.process is not None
            assert (found.process.pid, found.root, found.reason) == (pid, pids[0], "")
            seen = proc.describe(pid)
            assert seen is not None
            assert found.process.identity == seen.identity


def test_orphan_that_came_to_us(proc: Proc) -> None:
    """Whoever lost its parent is our child from then on, and proven as one."""
    with line_of(2) as pids:
        end(pids[1])
        found = locate(proc, pids[2])
        assert found.process is not None
        assert found.root == pids[2]
    os.waitpid(pids[2], 0)


def test_ourselves(proc: Proc) -> None:
    """Our own number is told as ours."""
    assert locate(proc, os.getpid()).reason == "names pyinit itself"


@pytest.mark.parametrize("pid", [0, -1, -(2**70), 2**22 + 1, 2**31 - 1, 2**31, 9_999_999_999])
def test_number_that_no_process_has(proc: Proc, pid: int) -> None:
    """What is no PID, or no process's, is told and raises nothing."""
    found = locate(proc, pid)
    assert (found.process, found.root) == (None, 0)
    assert found.reason == f"names PID {pid}, which no process has"


def test_reaped(proc: Proc) -> None:
    """A number that was a child's is no process's once the child has been reaped."""
    with line_of(0) as (pid,):
        pass
    assert locate(proc, pid).reason == f"names PID {pid}, which no process has"


def test_zombies(proc: Proc) -> None:
    """A child or a deeper descendant that has ended is not alive, reaped or not."""
    with line_of(1) as pids:
        for pid in reversed(pids):
            end(pid)
            found = locate(proc, pid)
            assert (found.process, found.reason) == (None, f"names PID {pid}, which has ended")
    os.waitpid(pids[1], 0)


def test_not_below() -> None:
    """Parents, siblings and their children are strangers."""
    with line_of(1) as pids:
        for pid in [*pids, os.getpid()]:
            command = [sys.executable, "-c", ASK, str(pid), *sys.path]
            run = subprocess.run(command, check=True, capture_output=True, text=True)
            assert run.stdout == f"0 None names PID {pid}, which is not below pyinit\n"


def test_thread(proc: Proc) -> None:
    """The number of a thread is not a process's."""
    with started(THREAD, lines=1) as (_, tid):
        assert locate(proc, tid).reason == "names a thread"


def test_thread_on_older_kernels(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Linux 6.15 the kernel says EINVAL of a thread; of a process that goes it may say so, too."""

    def refuse(_: int) -> int:
        raise OSError(22, "invalid")

    monkeypatch.setattr(kernel, "pidfd", refuse)
    with line_of(1) as (_, pid):
        assert locate(proc, pid).reason == "names a thread"
        monkeypatch.setattr(proc, "describe", lambda _: None)
        assert locate(proc, pid).reason == f"names PID {pid}, which has ended"


def test_without_pidfd(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no descriptor can be had (an old seccomp profile: EPERM) a child is proven, and nobody else."""

    def refuse(_: int) -> int:
        raise PermissionError(1, "no")

    monkeypatch.setattr(kernel, "pidfd", refuse)
    with line_of(1) as (child, deeper):
        assert locate(proc, child).process is not None
        assert locate(proc, deeper).reason == f"names PID {deeper}, which cannot be held on to (EPERM)"


def test_without_proc(proc: Proc) -> None:
    """Without /proc a child is proven by the kernel, alive or not, and nobody else."""
    proc.usable = False
    with line_of(1) as (child, deeper):
        found = locate(proc, child)
        assert found.process is not None
        assert found.root == child
        assert "without /proc" in locate(proc, deeper).reason
        end(deeper)
        end(child)
        assert locate(proc, child).reason == f"names PID {child}, which has ended"
    os.waitpid(deeper, 0)


def test_hidden(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    """With hidepid a process of somebody else is there, and cannot be seen; nor can its parents."""
    describe = proc.describe
    with line_of(2) as (_, middle, deepest):
        monkeypatch.setattr(proc, "describe", lambda pid: None if pid == deepest else describe(pid))
        assert locate(proc, deepest).reason == f"names PID {deepest}, which /proc does not show"
        monkeypatch.setattr(proc, "describe", lambda pid: None if pid == middle else describe(pid))
        expected = f"names PID {deepest}, whose parents cannot be followed up to pyinit"
        assert locate(proc, deepest).reason == expected


@pytest.mark.parametrize("look", range(1, 7))
def test_parent_ends_during_the_climb(look: int) -> None:
    """Whenever a parent ends while it is climbed, the orphan that came to us is proven all the same."""
    with line_of(2) as pids:
        proc = Meddled()
        proc.before[look] = lambda: end(pids[1])
        found = locate(proc, pids[2])
        assert found.process is not None
        assert (found.process.pid, found.root) == (pids[2], pids[2])
        assert proc.looks >= look
    os.waitpid(pids[2], 0)


@pytest.mark.parametrize("look", range(1, 7))
def test_parent_is_reaped_during_the_climb(look: int) -> None:
    """The same where the parent is gone for good before it is looked at."""
    with line_of(2) as pids:
        proc = Meddled()

        def gone() -> None:
            end(pids[0])
            os.waitpid(pids[0], 0)
            end(pids[1])
            os.waitpid(pids[1], 0)

        proc.before[look] = gone
        found = locate(proc, pids[2])
        assert found.process is not None
        assert found.process.pid == pids[2]
    os.waitpid(pids[2], 0)


@pytest.mark.parametrize("look", range(1, 5))
def test_number_handed_on_during_the_climb(look: int) -> None:
    """A process that ends and is reaped while it is looked at is not believed: its number may be anybody's."""
    with line_of(1) as pids:
        proc = Meddled()

        def gone() -> None:
            end(pids[0])
            end(pids[1])
            os.waitpid(pids[1], 0)

        proc.before[look] = gone
        found = locate(proc, pids[1])
        assert (found.process, found.reason) == (None, f"names PID {pids[1]}, which has ended")


def test_stranger_with_the_number_of_a_parent() -> None:
    """A parent whose number is a stranger's when it is looked at leads nowhere.

    The stranger is below us, and the process that is asked for is not: its parent ends behind the first look.
    """
    with ExitStack() as stack:
        (ours,) = stack.enter_context(line_of(0))
        _, real, asked = stack.enter_context(line_of(2))
        proc = Meddled()
        describe = proc.describe

        def reused(pid: int) -> Process | None:
            found = describe(ours if pid == real else pid)
            if found is not None and pid == real:
                found.pid = real
            elif found is not None and pid == asked and proc.looks > 1:
                found.ppid = 0  # what became of the orphan: somebody else's
            return found

        proc.describe = reused  # type: ignore[method-assign]
        found = locate(proc, asked)
        assert (found.process, found.reason) == (None, f"names PID {asked}, which is not below pyinit")


def test_the_climb_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a line of parents is, or however often it changes, the work ends."""
    with line_of(3) as pids:
        proc = Meddled()
        monkeypatch.setattr(claims, "GENERATIONS", 2)
        expected = f"names PID {pids[3]}, whose parents cannot be followed up to pyinit"
        assert locate(proc, pids[3]).reason == expected
        assert proc.looks <= claims.ATTEMPTS * 4


def test_no_descriptor_is_left(proc: Proc) -> None:
    """Whatever comes of it, the descriptor is closed."""
    before = descriptors()
    with line_of(2) as pids, started(THREAD, lines=1) as more:
        during = descriptors()
        for pid in [*pids, *more, 1, os.getppid(), 0]:
            locate(proc, pid)
        assert not descriptors() - during
    assert not descriptors() - before
