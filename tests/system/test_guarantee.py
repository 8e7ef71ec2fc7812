"""The guarantee: whoever holds out against every signal, and however he does it, is gone soon after the grace."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from support import procs
from support.needs import cannot
from support.programs import program
from support.run import (
    ALL_MODES,
    EXITED,
    HANDOVER,
    KILLING,
    LOG_OPTIONS,
    PID1,
    PID1_USER,
    PLAIN_USER,
    REAPED,
    ROOT,
    SUBREAPER,
    UNKILLABLE,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from support.run import Run

    Start = Callable[..., Run]

pytestmark = [pytest.mark.invariant(2), pytest.mark.invariant(3)]
# Two of these users are one to the kernel, and who forks without end leaves nothing of the processors to a neighbour.
ALONE = pytest.mark.alone("it takes all the processes or all the processors that it can get, and has to end in time")

# What the kernel may need to kill and a loaded test machine to notice, in seconds.
SLACK_S = 2.5
# pyinit waits so long for what does not die of SIGKILL before it kills what is below that, and as long again before it
# leaves (seconds).
PATIENCE_S = 1.0
GRACE_S = 0.4
GRACE = ("--grace", "400ms")
CROWD = 10_001  # with the one that has started them
MANY = 300  # fewer than the limits of `crowded` leave room for
KILLED = 128 + signal.SIGKILL
# Without a line for each of thousands of processes; the totals are told all the same.
QUIET = ("--log-format", "json", "--log-level", "info")


def needs_root() -> None:
    """Skip where the stage cannot be set without root."""
    if not ROOT:
        cannot("only root can do this")


def needs_pid_max() -> None:
    """Skip where a PID namespace has no limit of its own: before Linux 6.14."""
    needs_root()
    words = [program("stage"), "report=1", "pid1", "pid_max=400", "--", "/bin/true"]
    tried = subprocess.run(words, capture_output=True, text=True, check=True)
    if "status 0" not in tried.stdout:
        cannot(f"kernel.pid_max is not one of the PID namespace: {tried.stdout}")


def crowded(run_as: str) -> list[str]:
    """Return the stage on which at most some hundreds of processes can be, so that it is not the machine that starves.

    As a user it is his RLIMIT_NPROC; as root, for whom there is none, the numbers of the PID namespace.
    """
    if run_as in {PLAIN_USER, PID1_USER}:
        return ["uid=61010", "nproc=400"]
    needs_pid_max()
    return ["pid_max=450"]


def needs_namespaces() -> None:
    """Skip where no PID namespace can be made."""
    if subprocess.run([program("inner"), "probe"], check=False, capture_output=True).returncode:
        cannot("no PID namespace can be made")


def in_time(run: Run, more_s: float = 0.0) -> bool:
    """Say whether the run ended when it should: not before the grace, and not much later."""
    return GRACE_S <= run.seconds < GRACE_S + SLACK_S + more_s


def after_the_grace(run: Run) -> dt.timedelta:
    """Return the time between the first SIGKILL and pyinit's last record."""
    begun, over = (dt.datetime.fromisoformat(run.one(event)["timestamp"]) for event in (KILLING, EXITED))
    return over - begun


HOSTILE = {
    "a subreaper keeps a subreaper": [program("keep"), "reap", program("hoard"), "10"],
    "a daemon keeps a subreaper": [program("double_fork"), "after", program("keep"), program("hoard"), "10"],
    "a job that stops again and again": [program("stop_again"), "5"],
    "a stopped daemon": [program("double_fork"), "after", program("stop_again"), "5"],
    "traced by a sibling": [program("traced"), "sibling"],
    "a traced daemon": [program("double_fork"), "after", program("traced"), "sibling"],
    "held at its end by its own child": [program("traced"), "hostage"],
    "in vfork": [program("vfork_parent"), "1"],
    "a daemon in vfork in vfork": [program("double_fork"), "after", program("vfork_parent"), "5"],
}


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.parametrize("command", HOSTILE.values(), ids=HOSTILE)
def test_nobody_holds_out(pyinit: Start, command: list[str]) -> None:
    """Who ignores every signal is killed when the grace is over, wherever he hides and whoever holds him."""
    run = pyinit(*command, options=GRACE)
    run.out.wait("ready")
    if "double_fork" in command[0]:
        run.wait_for(HANDOVER)
    assert run.stop() == KILLED
    assert in_time(run, 2 * PATIENCE_S if "hostage" in command else 0), run.seconds
    assert len(run.of(KILLING)) == 1
    assert run.one(EXITED)["pyinit.totals.killed"] >= 1


@ALONE
@pytest.mark.modes(PID1, PLAIN_USER, PID1_USER)
@pytest.mark.parametrize("width", [1, 8, 64])
@pytest.mark.parametrize("kind", ["double", "sibling", "thread"])
def test_fork_chain(pyinit: Start, mode: str, kind: str, width: int) -> None:
    """Chains that fork for ever, each in a way of its own, and ignore every signal."""
    run = pyinit(program("chain"), kind, str(width), "20", options=GRACE, log_options=QUIET, stage=crowded(mode))
    run.out.wait("ready")
    run.stop()
    assert in_time(run), run.seconds
    assert not run.out.all("over"), "a chain has ended by itself"


@ALONE
@pytest.mark.modes(PLAIN_USER)
@pytest.mark.parametrize("_again", range(5))
def test_treadmill_is_gone_in_under_a_second(pyinit: Start, _again: int) -> None:
    """A fork treadmill 64 wide, as a subreaper without privileges: gone in under a second after the grace."""
    run = pyinit(program("treadmill"), "64", "10", options=GRACE, log_options=QUIET, stage=["uid=61010", "nproc=1500"])
    run.out.wait("ready")
    run.stop()
    assert run.seconds >= GRACE_S, run.seconds
    # Not by the clock of the test, which waits for its turn on a loaded machine.
    assert after_the_grace(run) < dt.timedelta(seconds=1)
    assert not run.out.all("over"), "a chain has ended by itself"


@ALONE
@pytest.mark.modes(PLAIN_USER)
def test_treadmill_that_nothing_limits(pyinit: Start) -> None:
    """The same where there may be thousands of dead: who comes is found behind them, and all are gone soon."""
    stage = ["uid=61013", "nproc=18000"]
    run = pyinit(program("treadmill"), "64", "20", options=GRACE, log_options=QUIET, stage=stage)
    run.out.wait("ready")
    run.stop()
    assert not run.of(UNKILLABLE)
    assert not run.out.all("over"), "a chain has ended by itself"
    assert after_the_grace(run) < dt.timedelta(seconds=8)


KEPT = {
    "below a subreaper that reaps": ["keep", "reap"],
    "below a subreaper that does not reap": ["keep"],
    "in a PID namespace": ["inner"],
}


@ALONE
@pytest.mark.modes(PID1, PLAIN_USER, PID1_USER)
@pytest.mark.parametrize("keeper", KEPT.values(), ids=KEPT)
def test_fork_chain_that_somebody_keeps(pyinit: Start, mode: str, keeper: list[str]) -> None:
    """The same below somebody who keeps the orphans from pyinit."""
    if keeper == ["inner"]:
        needs_namespaces()
    command = [program(keeper[0]), *keeper[1:], program("chain"), "double", "8", "20"]
    run = pyinit(*command, options=GRACE, log_options=QUIET, stage=crowded(mode))
    run.out.wait("ready")
    assert run.stop() == KILLED
    assert in_time(run), run.seconds
    assert not run.out.all("over"), "a chain has ended by itself"


@pytest.mark.modes(*ALL_MODES)
def test_nested_pid_namespace(pyinit: Start) -> None:
    """The init of a PID namespace below us is a descendant like any other, and ends with all that it holds."""
    needs_namespaces()
    run = pyinit(program("nested"), "3", options=GRACE)
    run.out.wait("ready")
    run.out.wait("nested init")
    assert run.stop() == KILLED
    assert in_time(run), run.seconds


@ALONE
@pytest.mark.modes(PID1, PLAIN_USER, PID1_USER)
@pytest.mark.parametrize("heads", ["1", "3"])
@pytest.mark.parametrize("after", ["stay", "die"])
def test_forks_while_dying(pyinit: Start, mode: str, after: str, heads: str) -> None:
    """A process that forks at every stop signal, and what it forks does so, too: as many as there may be."""
    run = pyinit(program("hydra"), after, heads, options=GRACE, log_options=QUIET, stage=crowded(mode))
    run.out.wait("ready")
    run.signal(signal.SIGTERM)
    run.out.wait("head")
    run.finish()
    assert run.seconds < GRACE_S + SLACK_S, run.seconds
    assert after == "die" or run.status == KILLED


@ALONE
@pytest.mark.modes(PID1, PLAIN_USER, PID1_USER)
@pytest.mark.parametrize("pause_ms", ["100", "25"])
def test_limit_of_processes_is_reached(pyinit: Start, mode: str, pause_ms: str) -> None:
    """Nobody can fork any more, pyinit neither, and whoever ends gives the place to somebody new (a fork bomb)."""
    run = pyinit(program("fill"), pause_ms, options=GRACE, log_options=QUIET, stage=crowded(mode))
    run.out.wait("ready")
    # How many of them pyinit reaps is chance: the kernel buries whose parent ignores SIGCHLD and is still there.
    assert len(procs.descendants(run.pid)) > MANY
    assert run.stop() == KILLED
    assert in_time(run), run.seconds


def crowd(pyinit: Start, *, obey: bool, log_options: Sequence[str]) -> Run:
    """Stop 10,000 processes in 1,000 sessions; return the run."""
    words = [program("crowd"), "10000", "1000", *(["term"] if obey else [])]
    grace = ["--grace", "30s"] if obey else GRACE
    run = pyinit(*words, options=grace, log_options=log_options, extra_env={"LIFE": "90"})
    run.out.wait("ready", timeout_s=40)
    assert run.stop(timeout_s=60) == (128 + signal.SIGTERM if obey else KILLED)
    assert run.one(EXITED)["pyinit.totals.reaped"] == CROWD
    return run


@ALONE
@pytest.mark.modes(*ALL_MODES)
@pytest.mark.timeout_s(150)
def test_ten_thousand_processes_in_a_thousand_sessions(pyinit: Start) -> None:
    """10,000 processes in 1,000 sessions that ignore every signal are gone 15 s after the grace."""
    run = crowd(pyinit, obey=False, log_options=QUIET)
    assert GRACE_S <= run.seconds < GRACE_S + 15, run.seconds


@ALONE
@pytest.mark.modes(PLAIN_USER, PID1)
@pytest.mark.timeout_s(150)
def test_ten_thousand_processes_that_obey(pyinit: Start) -> None:
    """The same when they obey: before the grace is over, without SIGKILL."""
    run = crowd(pyinit, obey=True, log_options=QUIET)
    assert run.seconds < 30, run.seconds
    assert not run.of(KILLING)


@ALONE
@pytest.mark.modes(SUBREAPER)
@pytest.mark.invariant(1)
@pytest.mark.timeout_s(150)
def test_ten_thousand_ends_are_told(pyinit: Start) -> None:
    """Each of the 10,000 ends has its record."""
    run = crowd(pyinit, obey=False, log_options=LOG_OPTIONS)
    assert len(run.of(REAPED)) == CROWD
