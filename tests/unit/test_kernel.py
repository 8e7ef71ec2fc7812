"""The door to the kernel, on real processes: what is asked of it in the final kill."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from pyinit import kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SLEEP = ["/bin/sleep", "60"]


@pytest.fixture
def start() -> Iterator[Callable[..., int]]:
    """Give what starts a child that sleeps, and end it afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def begun(*, session: bool = False, group: int | None = None) -> int:
        started.append(subprocess.Popen(SLEEP, start_new_session=session, process_group=group))
        return started[-1].pid

    yield begun
    for process in started:
        process.kill()
        process.wait()


def died(pid: int) -> None:
    """Kill a child, and wait until it is a zombie."""
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


@pytest.mark.invariant(4)
def test_group_of_who_has_made_its_session(start: Callable[..., int]) -> None:
    """The process group of a child that leads its session is below us, as long as it is not reaped."""
    pid = start(session=True)
    assert kernel.group_below(pid) == pid
    died(pid)
    assert kernel.group_below(pid) == pid
    kernel.bury(pid)
    assert kernel.group_below(pid) == 0


@pytest.mark.invariant(4)
def test_group_in_a_session_of_others(start: Callable[..., int]) -> None:
    """Nobody knows who else is in a group of a session that no child of ours has made: ours, or one beside it."""
    assert kernel.group_below(start()) == 0
    assert kernel.group_below(start(group=0)) == 0
    assert kernel.group_below(os.getppid()) == 0


def test_who_lives(start: Callable[..., int]) -> None:
    """A child lives, is a zombie, or is none of ours."""
    pid = start()
    assert kernel.lives(pid) is True
    died(pid)
    assert kernel.lives(pid) is False
    assert kernel.lives(os.getpid()) is None


@pytest.mark.parametrize(("signo", "killed"), [(signal.SIGKILL, True), (signal.SIGTERM, False)])
def test_burial(start: Callable[..., int], signo: int, killed: bool) -> None:  # noqa: FBT001  # a parameter of pytest
    """A zombie is reaped, and whether SIGKILL had ended it is all that is known of it; whoever lives is left alone."""
    pid = start()
    assert not kernel.bury(pid)
    assert kernel.lives(pid)
    os.kill(pid, signo)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert kernel.bury(pid) is killed
    assert kernel.lives(pid) is None
    assert not kernel.bury(pid)


def test_burial_of_many(start: Callable[..., int]) -> None:
    """Zombies are reaped in a row, as many as may be, as far as the first that is spared; it is told who they were."""
    pids = [start() for _ in range(5)]
    for pid, signo in zip(pids[:4], [signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGKILL], strict=True):
        os.kill(pid, signo)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert kernel.bury_dead([pids[0]], 9) == ([], 0)
    assert kernel.bury_dead([pids[3]], 2) == (pids[:2], 1)
    assert kernel.bury_dead([pids[3]], 9) == ([pids[2]], 1)
    assert kernel.bury_dead([], 9) == ([pids[3]], 1)
    assert kernel.bury_dead([], 9) == ([], 0)
    assert kernel.is_alive(pids[4])
    os.kill(pids[4], signal.SIGKILL)
    os.waitid(os.P_PID, pids[4], os.WEXITED | os.WNOWAIT)
    assert kernel.bury_dead([], 9) == ([pids[4]], 1)
    assert kernel.bury_dead([], 9) == ([], 0)


def test_waiting_signal() -> None:
    """A signal that is blocked and has come waits; that a child has ended is none of those that are meant."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGCHLD})
    try:
        signal.raise_signal(signal.SIGCHLD)
        assert not kernel.signals_wait()
        signal.raise_signal(signal.SIGUSR1)
        assert kernel.signals_wait()
        kernel.take_pending([signal.SIGUSR1, signal.SIGCHLD])
        assert not kernel.signals_wait()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_gathering() -> None:
    """Ends of children do not end the wait, and stay pending; another signal does at once, with its sender."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGCHLD})
    try:
        signal.raise_signal(signal.SIGCHLD)
        assert kernel.gather(0.001) == []
        signal.raise_signal(signal.SIGUSR1)
        assert kernel.gather(3600) == [(signal.SIGUSR1, os.getpid(), os.getuid())]
        assert signal.sigpending() == {signal.SIGCHLD}
        kernel.take_pending([signal.SIGCHLD])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
