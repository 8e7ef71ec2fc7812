"""Adversity: no descriptors left, no /proc, hidden /proc, closed descriptors.

Nothing of it ends pyinit while main or a successor lives.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from support.programs import program
from support.run import ADOPTED, ALL_MODES, DEGRADED, ERROR, HANDOVER, PID1, PLAIN_USER, REAPED, STARTED, SUBREAPER

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.run import Run

    Start = Callable[..., Run]


@pytest.mark.invariant(6)
@pytest.mark.parametrize("limit", [3, 4, 5, 6, 7, 8, 9, 10, 12, 16])
def test_no_descriptors_left(pyinit: Start, limit: int) -> None:
    """EMFILE: with too few descriptors pyinit says so and starts nothing (125), or does its whole work."""
    run = pyinit(program("double_fork"), "after", program("serve"), "5", stage=[f"nofile={limit}"], json_log=False)
    status_or_ready = run.out
    if not status_or_ready.wait_eof(1.0) and not run.out.all("ready"):
        run.out.wait("ready")
    if run.out.all("ready"):
        run.signal(signal.SIGUSR1)
        run.out.wait("got 10 from")
        assert run.stop() in {5, 128 + signal.SIGTERM}
    else:
        assert run.finish() == 125
        assert len([line for line in run.log.lines if "Traceback" in line]) == 0, run.log.lines
        assert run.log.lines


@pytest.mark.invariant(6)
@pytest.mark.modes(*ALL_MODES)
def test_table_of_descriptors_is_full(pyinit: Start) -> None:
    """Every number below the limit is taken by what the command is given.

    Pyinit drops its copies, and the command has them all.
    """
    inherited = [os.open("/dev/null", os.O_RDONLY) for _ in range(40)]
    try:
        run = pyinit(program("serve"), "5", stage=["nofile=64"], pass_fds=inherited)
    finally:
        for fd in inherited:
            os.close(fd)
    run.out.wait("ready")
    run.wait_for(STARTED)
    assert run.stop() == 5


@pytest.mark.modes(SUBREAPER, PID1)
@pytest.mark.invariant(6)
class TestWithoutProc:
    """No /proc at all: one record says what is missing, and the work is done by waiting alone."""

    def test_daemon_is_held(self, pyinit: Start) -> None:
        """A daemon is held, its end decides."""
        run = pyinit(program("double_fork"), "after", program("serve"), "5", stage=["no-proc"], own_children=True)
        run.out.wait("ready")
        run.wait_for(HANDOVER)
        assert len([record for record in run.of(DEGRADED) if "/proc" in record["message"]]) == 1
        assert run.stop() == 5

    def test_every_end_is_told(self, pyinit: Start) -> None:
        """One record for each end, with its status."""
        run = pyinit(program("storm"), "100", stage=["no-proc"], own_children=True)
        run.out.wait("ready")
        run.wait_for(REAPED, 100)
        run.close_input()
        assert run.finish() == 0

    def test_stop_is_a_guarantee(self, pyinit: Start) -> None:
        """What ignores every signal is killed, and what was below it."""
        run = pyinit(program("hoard"), "5", stage=["no-proc"], own_children=True, options=["--grace", "300ms"])
        run.out.wait("ready")
        assert run.stop() == 128 + signal.SIGKILL
        assert len(run.of(REAPED)) == 6

    def test_crash_of_the_daemon(self, pyinit: Start) -> None:
        """A daemon's crash ends the run with its status, its workers are stopped."""
        run = pyinit(
            program("double_fork"),
            "after",
            program("master"),
            "3",
            stage=["no-proc"],
            own_children=True,
            options=["--grace", "2s"],
        )
        run.out.wait("ready")
        run.wait_for(HANDOVER)
        run.kill(run.out.all("ready")[0][0], signal.SIGKILL)
        assert run.finish() == 128 + signal.SIGKILL


@pytest.mark.modes(*ALL_MODES)
def test_no_error_of_its_own(pyinit: Start) -> None:
    """A whole life in each mode leaves no record of an error in pyinit."""
    run = pyinit(
        program("several"), "0", program("master"), "3", "--", program("hoard"), "3", options=["--grace", "400ms"]
    )
    run.out.wait("ready", 2)
    run.wait_for(HANDOVER)
    run.signal(signal.SIGHUP)
    run.stop()
    assert not run.of(ERROR)


@pytest.mark.modes(PLAIN_USER)
@pytest.mark.invariant(6)
def test_process_limit_of_the_user(pyinit: Start) -> None:
    """The user may have no more processes: pyinit needs none of its own to hold, signal, stop and kill."""
    run = pyinit(program("many"), "60", options=["--grace", "300ms"], stage=["uid=61002", "nproc=63"])
    run.out.wait("ready")
    run.signal(signal.SIGUSR1)
    assert run.stop() == 128 + signal.SIGKILL
    assert len(run.of(REAPED)) == 61


@pytest.mark.modes(PLAIN_USER)
def test_no_process_can_be_made(pyinit: Start) -> None:
    """Fork fails for main itself: 125, and a record that says why."""
    run = pyinit(program("serve"), "0", stage=["uid=61003", "nproc=1"], json_log=False)
    assert run.finish() == 125
    assert run.log.lines


@pytest.mark.invariant(6)
def test_signals_in_a_storm(pyinit: Start) -> None:
    """Forwarded signals and orphans that end by the hundred at the same time: nobody is lost, nothing ends early."""
    run = pyinit(program("storm"), "600", "2")
    run.wait_for(STARTED)
    for _ in range(50):
        run.signal(signal.SIGWINCH)
    run.out.wait("ready")
    run.wait_for(REAPED, 600)
    run.close_input()
    assert run.finish() == 0
    assert not run.of(ERROR)
    assert len(run.of(ADOPTED)) <= 600
