"""The hands of the core, on real processes: nobody gets a signal that was meant for somebody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pyinit.core.actions import SignalDescendant
from pyinit.core.machine import Machine
from pyinit.core.model import Policy, Process
from pyinit.effects import Effects
from pyinit.procfs import Proc

if TYPE_CHECKING:
    from collections.abc import Iterator

# Says that it is ready, and then what came first: SIGUSR1, or the end of its input.
BYSTANDER = """
import signal, sys
signal.signal(signal.SIGUSR1, lambda *_: (print("hit", flush=True), sys.exit()))
print("ready", flush=True)
sys.stdin.read()
print("spared", flush=True)
"""


class Silent:
    """Stands in for the log and the terminal."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[str]]:
    """Yield a process that says whether it was hit by SIGUSR1."""
    command = [sys.executable, "-c", BYSTANDER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def said(process: subprocess.Popen[str]) -> str:
    """Return what the bystander says when its input ends."""
    return process.communicate()[0]


def send(meant: Process) -> None:
    """Have SIGUSR1 sent to a deeper descendant."""
    silent: Any = Silent()
    effects = Effects(Machine(Policy()), Proc(os.getpid()), silent, silent)
    effects.carry_out([SignalDescendant(meant, signal.SIGUSR1)], 0.0)


@pytest.mark.invariant(4)
def test_descendant_is_signalled(bystander: subprocess.Popen[str]) -> None:
    """A signal reaches the process whose PID and start time are those that were seen."""
    seen = Proc(os.getpid()).describe(bystander.pid)
    assert seen is not None
    send(seen)
    assert said(bystander) == "hit\n"


@pytest.mark.invariant(4)
def test_stranger_with_the_same_number_is_spared(bystander: subprocess.Popen[str]) -> None:
    """A PID that has been handed on since it was seen (another start time) gets nothing."""
    seen = Proc(os.getpid()).describe(bystander.pid)
    assert seen is not None
    seen.start_ticks -= 1
    send(seen)
    assert said(bystander) == "spared\n"


def test_one_that_fails_keeps_nobody_else() -> None:
    """What is asked for besides is carried out at once: later a number may be a stranger's. Then the error is told."""
    done: list[str] = []

    class First:
        """Fails."""

    class Second:
        """Is carried out."""

    def fail(action: object, now: float) -> None:
        done.append("first")
        raise MemoryError(action, now)

    silent: Any = Silent()
    effects = Effects(Machine(Policy()), Proc(os.getpid()), silent, silent)
    effects.add({First: fail, Second: lambda _action, _now: done.append("second")})
    wanted: Any = [First(), Second()]
    with pytest.raises(MemoryError):
        effects.carry_out(wanted, 0.0)
    assert done == ["first", "second"]
    effects.carry_out([], 0.0)
    assert done == ["first", "second"]
