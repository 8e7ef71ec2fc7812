"""Idle means idle: no wake-up without an event."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from support import procs
from support.programs import program
from support.run import HANDOVER, PID1, STARTED, SUBREAPER

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.run import Run

    Start = Callable[..., Run]


COMMANDS = {
    "running": [program("serve"), "0"],
    "running with children": [program("master"), "3"],
    "holding": [program("double_fork"), "after", program("serve"), "0"],
    "holding several": [program("several"), "0", program("serve"), "0", "one", "--", program("master"), "3"],
}


@pytest.mark.invariant(7)
@pytest.mark.modes(SUBREAPER, PID1)
@pytest.mark.parametrize("kind", COMMANDS)
def test_no_wakeup(pyinit: Start, kind: str) -> None:
    """While nothing happens, no thread of pyinit is ever scheduled.

    The kernel's count of its context switches stands still.
    """
    run = pyinit(*COMMANDS[kind])
    run.out.wait("ready")
    run.wait_for(HANDOVER if kind.startswith("holding") else STARTED)
    run.assert_idle()
    run.stop()


def test_idle_again_after_events(pyinit: Start) -> None:
    """After signals and adoptions it is idle again."""
    run = pyinit(program("crash_parent"), program("serve"), "0")
    run.out.wait("ready", 2)
    run.wait_for(STARTED)
    main = run.one(STARTED)["process.pid"]
    run.kill(main, signal.SIGUSR1)
    run.out.wait("crashed")
    run.signal(signal.SIGWINCH)
    run.assert_idle()
    run.stop()


@pytest.mark.invariant(7)
def test_one_thread(pyinit: Start) -> None:
    """Pyinit has no second thread."""
    run = pyinit(program("serve"), "0")
    run.out.wait("ready")
    run.wait_for(STARTED)
    assert procs.status_field(run.pid, "Threads") == "1"
    run.stop()
