"""--stop-signal QUIT:20s,TERM:5s: one signal after the other, each to everybody once, and SIGKILL at the end."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from support.programs import program
from support.run import (
    ADOPTED,
    ALL_MODES,
    ESCALATED,
    HANDOVER,
    KILLING,
    REAPED,
    REPEATED,
    STARTED,
    STOPPING,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.run import Run

    Start = Callable[..., Run]

# What the kernel may need to kill and a loaded test machine to notice, in seconds.
SLACK_S = 2.5
QUIT = int(signal.SIGQUIT)
TERM = int(signal.SIGTERM)
INT = int(signal.SIGINT)


def got(run: Run, name: str) -> list[int]:
    """Return the signals that the process of this name got, in their order; SIGCONT, which follows each, left out."""
    told = (words for words in run.out.all("got") if words[-1] == name)
    return [number for words in told if (number := int(words[0])) != signal.SIGCONT]


def start(pyinit: Start, schedule: str, *options: str, last: int = 0, hidden: int = 0, **keywords: object) -> Run:
    """Start a main that ends at the signal `last`, and below it one in another session that ends at `hidden`.

    0 is never. Main passes nothing on.
    """
    run = pyinit(
        *(program("outlast"), str(last), "main", program("outlast"), str(hidden), "hidden"),
        options=["--stop-signal", schedule, *options],
        **keywords,
    )
    run.out.wait("ready", 2)
    run.wait_for(STARTED)
    return run


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.invariant(3)
def test_one_after_the_other(pyinit: Start) -> None:
    """Who obeys none gets each signal of the schedule once, in its order, and SIGKILL when all the time is over."""
    run = start(pyinit, "QUIT:800ms,TERM:800ms")
    assert run.stop() == 128 + signal.SIGKILL
    assert got(run, "main") == [QUIT, TERM]
    assert got(run, "hidden") == [QUIT, TERM]
    assert 1.6 <= run.seconds < 1.6 + SLACK_S
    begun = run.one(STOPPING)
    assert begun["pyinit.grace_s"] == 1.6
    assert begun["pyinit.stop.signal.number"] == QUIT
    assert run.one(KILLING)["pyinit.count"] == 1, "main is the only child of pyinit"


@pytest.mark.invariant(3)
def test_times_of_the_steps(pyinit: Start) -> None:
    """A signal goes to the heads when its time comes, and to everybody else after a third of that."""
    run = start(pyinit, "QUIT:900ms,TERM:900ms")
    assert run.stop() == 128 + signal.SIGKILL
    first, second = run.of(ESCALATED)[:2]
    assert first["pyinit.signal.number"] == QUIT
    assert 0.3 <= first["pyinit.after_s"] < 0.9
    assert second["pyinit.signal.number"] == TERM
    assert 0.9 <= second["pyinit.after_s"] < 1.8


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda number: number.name)
def test_whatever_asked_for_the_stop(pyinit: Start, number: signal.Signals) -> None:
    """The schedule is what is sent, whichever signal asked for the stop."""
    run = start(pyinit, "QUIT:300ms,TERM:300ms")
    assert run.stop(number) == 128 + signal.SIGKILL
    assert got(run, "main") == [QUIT, TERM]


@pytest.mark.modes(*ALL_MODES)
def test_first_signal_is_enough(pyinit: Start) -> None:
    """Who obeys the first signal never sees the second: the run is over at once."""
    run = start(pyinit, "QUIT:20s,TERM:20s", last=QUIT, hidden=QUIT)
    assert run.stop() == 0
    assert run.seconds < SLACK_S
    assert got(run, "main") == [QUIT]
    assert got(run, "hidden") == [QUIT]
    assert not run.of(KILLING)


@pytest.mark.modes(*ALL_MODES)
def test_second_signal_is_needed(pyinit: Start) -> None:
    """Who obeys the second one only ends then, and not by SIGKILL."""
    run = start(pyinit, "QUIT:500ms,TERM:20s", last=TERM, hidden=TERM)
    assert run.stop() == 0
    assert 0.5 <= run.seconds < 0.5 + SLACK_S
    assert got(run, "main") == [QUIT, TERM]
    assert got(run, "hidden") == [QUIT, TERM]
    assert not run.of(KILLING)


def test_last_without_a_duration_has_the_rest(pyinit: Start) -> None:
    """QUIT:500ms,TERM with --grace 1500ms: SIGTERM has one second of it."""
    run = start(pyinit, "QUIT:500ms,TERM", "--grace", "1500ms")
    assert run.stop() == 128 + signal.SIGKILL
    assert got(run, "main") == [QUIT, TERM]
    assert 1.5 <= run.seconds < 1.5 + SLACK_S
    assert run.one(STOPPING)["pyinit.grace_s"] == 1.5


def test_grace_is_longer_than_the_schedule(pyinit: Start) -> None:
    """With a longer --grace SIGKILL comes at its end: the last signal has what is left."""
    run = start(pyinit, "QUIT:300ms,TERM:300ms", "--grace", "1500ms")
    assert run.stop() == 128 + signal.SIGKILL
    assert got(run, "main") == [QUIT, TERM]
    assert 1.5 <= run.seconds < 1.5 + SLACK_S


def test_one_signal_with_a_duration(pyinit: Start) -> None:
    """QUIT:1s is a schedule too: SIGKILL after one second."""
    run = start(pyinit, "QUIT:1s")
    assert run.stop() == 128 + signal.SIGKILL
    assert got(run, "main") == [QUIT]
    assert 1 <= run.seconds < 1 + SLACK_S


def test_eight_signals(pyinit: Start) -> None:
    """As many as there may be, real-time signals among them, the same one twice."""
    names = ["USR1", "RTMIN+3", "HUP", "INT", "USR1", "WINCH", "QUIT", "TERM"]
    run = start(pyinit, ",".join(f"{name}:300ms" for name in names))
    assert run.stop() == 128 + signal.SIGKILL
    expected = [10, 37, 1, INT, 10, 28, QUIT, TERM]
    assert got(run, "main") == expected


@pytest.mark.modes(*ALL_MODES)
def test_every_root_in_holding(pyinit: Start) -> None:
    """In holding each root is a head; a worker below a root gets its signals after a third of each step."""
    one = [program("outlast"), "0", "one", program("outlast"), "0", "worker"]
    run = pyinit(
        *(program("several"), "0", *one, "--", program("outlast"), str(TERM), "two"),
        options=["--stop-signal", "QUIT:800ms,TERM:800ms"],
    )
    run.out.wait("ready", 3)
    run.wait_for(HANDOVER)
    assert run.stop() == 128 + signal.SIGKILL
    assert got(run, "one") == [QUIT, TERM]
    assert got(run, "two") == [QUIT, TERM]
    assert got(run, "worker") == [QUIT, TERM]


def test_head_that_ignores_one_of_them(pyinit: Start) -> None:
    """A root that ignores a signal hands it to its children at once; the next signal is for itself again."""
    run = pyinit(
        *(program("double_fork"), "after", program("safe_wrapper"), program("outlast"), str(TERM), "worker"),
        options=["--stop-signal", "TERM:20s,QUIT:20s"],
    )
    run.out.wait("ready")
    run.wait_for(HANDOVER)
    assert run.stop() == 0
    assert run.seconds < SLACK_S
    assert got(run, "worker") == [TERM]


def test_adopted_in_the_second_step(pyinit: Start) -> None:
    """Who is born and adopted while the second signal has its time gets that one alone, on arrival."""
    run = pyinit(program("fork_after_term"), "3", options=["--stop-signal", "WINCH:500ms,TERM:20s"])
    run.out.wait("ready")
    run.wait_for(STARTED)
    assert run.stop() == 0
    assert run.seconds < 0.5 + SLACK_S
    assert len(run.out.all("late")) == 3
    assert len(run.of(ADOPTED)) == 3
    assert not run.of(KILLING)


def test_main_ends_in_the_first_step(pyinit: Start) -> None:
    """Main obeys the first signal, and leaves one that obeys the second only: it gets both, and its own time."""
    run = start(pyinit, "QUIT:700ms,TERM:20s", last=QUIT, hidden=TERM)
    assert run.stop() == 0
    assert got(run, "main") == [QUIT]
    assert got(run, "hidden") == [QUIT, TERM]
    assert 0.7 <= run.seconds < 0.7 + SLACK_S


def test_stop_that_a_bad_end_began(pyinit: Start) -> None:
    """The schedule holds for what is left when a crash began the stop."""
    run = pyinit(
        *(program("until_eof"), "4", "/usr/bin/setsid", program("outlast"), str(TERM), "left"),
        options=["--stop-signal", "QUIT:500ms,TERM:20s"],
    )
    run.out.wait("ready", 2)
    run.close_input()
    assert run.finish() == 4
    assert got(run, "left") == [QUIT, TERM]
    assert 0.5 <= run.seconds < 0.5 + SLACK_S


def test_asked_twice(pyinit: Start) -> None:
    """A second request changes nothing of the schedule."""
    run = start(pyinit, "QUIT:600ms,TERM:600ms")
    run.signal(signal.SIGTERM)
    run.wait_for(STOPPING)
    run.signal(signal.SIGTERM)
    run.wait_for(REPEATED)
    assert run.finish() == 128 + signal.SIGKILL
    assert got(run, "main") == [QUIT, TERM]
    assert len(run.of(STOPPING)) == 1


def test_stopped_process_is_continued_at_each_step(pyinit: Start) -> None:
    """SIGCONT follows each signal: a process that is stopped gets to it."""
    run = pyinit(program("stopped"), options=["--stop-signal", "WINCH:300ms,TERM:20s"])
    run.out.wait("ready")
    assert run.stop() == 128 + signal.SIGTERM
    assert run.seconds < 0.3 + SLACK_S


def test_without_proc(pyinit: Start) -> None:
    """Without /proc the schedule reaches the children, and as PID 1 everybody."""
    run = start(pyinit, "QUIT:600ms,TERM:600ms", stage=["no-proc"], own_children=True)
    assert run.stop() == 128 + signal.SIGKILL
    assert got(run, "main")[0] == QUIT
    assert sorted(set(got(run, "main"))) == [QUIT, TERM]


def test_by_variable(pyinit: Start) -> None:
    """PYINIT_STOP_SIGNAL says the same."""
    run = pyinit(program("outlast"), str(TERM), "main", extra_env={"PYINIT_STOP_SIGNAL": "QUIT:300ms,TERM:20s"})
    run.out.wait("ready")
    run.wait_for(STARTED)
    assert run.stop() == 0
    assert got(run, "main") == [QUIT, TERM]
    assert len(run.of(REAPED)) == 1
