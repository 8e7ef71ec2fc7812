"""Orphans that never came from main: those of `docker exec`, of health checks, of sidecars (foreign)."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from support.programs import program
from support.run import (
    ADOPTED,
    HANDOVER,
    KILLING,
    PID1,
    PID1_USER,
    REAPED,
    STARTED,
    STOPPING,
    UNDELIVERABLE,
    UNKILLABLE,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.run import Run

    Start = Callable[..., Run]


pytestmark = pytest.mark.modes(PID1, PID1_USER)


def foreign_orphan(run: Run, *command: str) -> int:
    """Leave `command` behind as an orphan that came into the namespace from outside; its number there."""
    said = run.join(program("double_fork"), "before", *command)
    return int(said.wait("ready")[0])


def test_told_as_foreign(pyinit: Start) -> None:
    """A foreign orphan is told as one, quietly, and its end too."""
    run = pyinit(program("serve"), "0")
    run.out.wait("ready")
    run.wait_for(STARTED)
    stranger = foreign_orphan(run, program("serve"), "5", "foreign")
    run.wait_for(ADOPTED, process__pid=stranger)
    run.kill(stranger, signal.SIGTERM)
    ended = run.wait_for(REAPED, process__pid=stranger)
    assert ended["pyinit.foreign"] is True
    assert ended["pyinit.role"] == "foreign"
    assert ended["severity"] == "debug"
    for adopted in run.of(ADOPTED, process__pid=stranger):
        assert adopted["pyinit.foreign"] is True
        assert adopted["severity"] == "debug"
    assert not run.of(STOPPING)
    assert run.stop() == 0


def test_health_checks_are_reaped(pyinit: Start) -> None:
    """What a probe leaves behind every few seconds is reaped, and changes nothing.

    It ends when its parent has gone: before that it would be the parent's to reap, and the witness right to say so.
    """
    orphan = "[ $PPID = 1 ] || while kill -0 $PPID 2>/dev/null; do :; done; exit "
    run = pyinit(program("serve"), "0")
    run.out.wait("ready")
    for status in range(10, 15):
        run.join(program("double_fork"), "before", "/bin/sh", "-c", f"{orphan}{status}")
        run.wait_for(REAPED, process__exit__code=status)
    assert not run.of(STOPPING)
    assert run.stop() == 0


def test_does_not_hold_the_run_open(pyinit: Start) -> None:
    """Main exits 0 and leaves nothing: a foreign orphan is no service; it is stopped, status 0."""
    run = pyinit(program("until_eof"), "0")
    run.out.wait("ready")
    run.wait_for(STARTED)
    stranger = foreign_orphan(run, program("serve"), "5", "foreign")
    run.close_input()
    assert run.finish() == 0
    assert not run.of(HANDOVER)
    assert run.one(REAPED, process__pid=stranger)["process.exit.code"] == 5


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_does_not_decide_while_holding(pyinit: Start, number: int) -> None:
    """A foreign orphan that ends badly beside a daemon changes nothing; nor is it named as a successor."""
    run = pyinit(program("until_eof"), "0", "/usr/bin/setsid", program("serve"), "3", "service")
    run.out.wait("ready", 2)
    stranger = foreign_orphan(run, program("serve"), "5", "foreign")
    run.close_input()
    handover = run.wait_for(HANDOVER)
    assert len(handover["pyinit.successors"]) == 1
    assert f"[{stranger}]" not in handover["pyinit.successors"][0]
    run.kill(stranger, number)
    run.wait_for(REAPED, process__pid=stranger)
    assert not run.of(STOPPING)
    assert run.stop() == 3


def test_that_comes_while_holding_is_no_successor(pyinit: Start) -> None:
    """The daemon ends 0: the run is over, although a foreign orphan that came later still lives."""
    run = pyinit(program("double_fork"), "after", program("serve"), "0", "service")
    service = run.out.wait("ready")[0]
    run.wait_for(HANDOVER)
    stranger = foreign_orphan(run, program("serve"), "5", "foreign")
    run.kill(service, signal.SIGTERM)
    assert run.finish() == 0
    assert run.one(REAPED, process__pid=stranger)["pyinit.role"] == "foreign"


def test_stopped_with_the_rest(pyinit: Start) -> None:
    """A stop reaches foreign orphans too, those that ignore it included."""
    run = pyinit(program("serve"), "0", options=["--grace", "500ms"])
    run.out.wait("ready")
    run.wait_for(STARTED)
    polite = foreign_orphan(run, program("serve"), "0", "polite")
    rude = foreign_orphan(run, program("ignore_term"), "all")
    assert run.stop() == 0
    assert run.one(REAPED, process__pid=polite)["process.exit.code"] == 0
    assert run.one(REAPED, process__pid=rude)["pyinit.exit.signal_number"] == signal.SIGKILL
    assert run.of(KILLING)


@pytest.mark.modes(PID1_USER)
def test_of_another_user(pyinit: Start) -> None:
    """`docker exec -u root` leaves an orphan that pyinit may not signal.

    Told once, and the run ends in time all the same.
    """
    run = pyinit(program("serve"), "0", options=["--grace", "500ms"])
    run.out.wait("ready")
    run.wait_for(STARTED)
    said = run.join(program("double_fork"), "before", program("ignore_term"), "all", uid=0)
    stranger = int(said.wait("ready")[0])
    assert run.stop() == 0
    assert run.seconds < 5
    assert len(run.of(UNDELIVERABLE, process__pid=stranger)) == 1
    assert run.one(UNKILLABLE, process__pid=stranger)
