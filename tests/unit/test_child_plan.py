"""The steps of the child that no run can be made to take at the right moment."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from pyinit import options
from pyinit.child import plan

if TYPE_CHECKING:
    from collections.abc import Callable


def status_of(child: Callable[[], int]) -> int:
    """Return the exit status of a forked process that calls this."""
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            status = child()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(("between", "status"), [(False, 0), (True, 125)], ids=["parent lives", "parent has gone"])
def test_main_does_not_begin_after_the_end_of_pyinit(between: bool, status: int) -> None:  # noqa: FBT001
    """A parent that is not the one that prepared the start: pyinit has ended, and no signal would ever come."""
    settings = options.parse(["--pdeathsig", "KILL", "true"], {})
    (step,) = plan.prepare(settings, {}).steps

    def take() -> int:
        step.call()
        return 0

    assert (step.option, step.value) == ("--pdeathsig", signal.SIGKILL.name)
    assert status_of((lambda: status_of(take)) if between else take) == status


@pytest.mark.parametrize(
    ("limits", "values"),
    [
        (["NOFILE=100", "NOFILE=200"], ["NOFILE=200"]),
        (["NOFILE=100:400", "CORE=0", "NOFILE=200:"], ["NOFILE=200:400", "CORE=0"]),
        (["NOFILE=100:", "NOFILE=:300"], ["NOFILE=100:300"]),
        (["NOFILE=:300"], ["NOFILE=:300"]),
    ],
)
def test_the_last_of_the_same_limit_wins(limits: list[str], values: list[str]) -> None:
    """Set one after the other, a lower hard limit would stand in the way of the next one."""
    settings = options.parse([*(f"--rlimit={limit}" for limit in limits), "true"], {})
    assert [step.value for step in plan.prepare(settings, {}).steps] == values
