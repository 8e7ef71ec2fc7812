"""All of it without privileges: uid 1000, no capabilities, no_new_privs, a read-only root file system."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from support.programs import program
from support.run import DEGRADED, HANDOVER, KILLING, PID1_USER, PLAIN_USER, REAPED, STARTED, USER

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.run import Run

    Start = Callable[..., Run]


pytestmark = [pytest.mark.modes(PLAIN_USER, PID1_USER), pytest.mark.invariant(9)]
READ_ONLY = ["read-only"]


def test_the_stage_is_what_it_says(pyinit: Start) -> None:
    """The command runs as uid 1000 with no_new_privs, and so does pyinit; the root file system is read-only."""
    run = pyinit(
        "/bin/sh",
        "-c",
        f"touch /pyinit-test-file 2>/dev/null && echo writable; exec {program('report')}",
        stage=READ_ONLY,
    )
    assert run.finish() == 0
    assert len(run.out.lines) == 1
    said = json.loads(run.out.lines[0])
    assert said["uid"] == USER
    assert said["no_new_privs"] == 1


def test_the_whole_life_of_a_daemon(pyinit: Start) -> None:
    """Start, adoption, handover, forwarded signal, stop: nothing is missing, nothing is degraded."""
    run = pyinit(program("double_fork"), "after", program("serve"), "5", stage=READ_ONLY)
    daemon = run.out.wait("ready")[0]
    run.wait_for(HANDOVER)
    run.signal(signal.SIGHUP)
    run.out.wait("got 1 from")
    assert run.stop() == 5
    assert run.one(REAPED, process__pid=int(daemon))["process.executable.name"] == "serve"
    assert not run.of(DEGRADED)


def test_crash(pyinit: Start) -> None:
    """The daemon's crash: 137, its workers are stopped."""
    run = pyinit(program("double_fork"), "after", program("master"), "3", stage=READ_ONLY)
    master = run.out.wait("ready")[0]
    run.wait_for(HANDOVER)
    run.kill(master, signal.SIGKILL)
    assert run.finish() == 128 + signal.SIGKILL


def test_final_kill(pyinit: Start) -> None:
    """What ignores every signal is killed when the grace is over."""
    run = pyinit(program("hoard"), "8", stage=READ_ONLY, options=["--grace", "300ms"])
    run.out.wait("ready")
    run.wait_for(STARTED)
    assert run.stop() == 128 + signal.SIGKILL
    assert run.of(KILLING)
    assert len(run.of(REAPED)) == 9


def test_exec_errors(pyinit: Start) -> None:
    """126 and 127 as ever."""
    assert pyinit("/no/such/file", stage=READ_ONLY).finish() == 127
    assert pyinit("/etc/passwd", stage=READ_ONLY).finish() == 126
