"""What a run comes to: who decides it, and the exit status that this gives (DESIGN 3.2, docs/exit-status.md)."""

from __future__ import annotations

import pytest

from pyinit.core.model import DUMPED, EXITED, KILLED, End, Policy, Process
from pyinit.core.roster import Roster
from pyinit.core.verdict import Verdict

GOOD = End(EXITED, 0)


class Case:
    """A verdict, and main and a successor that it may be about."""

    def __init__(self, **policy: object) -> None:
        self.roster = Roster()
        self.main = Process(10, pgid=10, start_ticks=1)
        self.daemon = Process(20, pgid=20, start_ticks=2)
        self.roster.start(self.main)
        self.verdict = Verdict(Policy(**policy), self.roster)  # type: ignore[arg-type]  # the names of Policy

    def end(self, process: Process, end: End) -> None:
        """Have a process end, and be reaped."""
        self.roster.end(process, end)
        self.roster.forget(process.pid)


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (End(EXITED, 0), 0),
        (End(EXITED, 1), 1),
        (End(EXITED, 255), 255),
        (End(KILLED, 9), 137),
        (End(KILLED, 15), 143),
        (End(DUMPED, 11), 139),
    ],
)
def test_status_of_who_decides(end: End, status: int) -> None:
    """The process that decides exited N: N; it was ended by signal S: 128 + S."""
    case = Case()
    case.verdict.decide("main", case.main, end)
    assert case.verdict.read() == (status, "main", case.main, end)


def test_first_decision_stands() -> None:
    """The first that decides decides for good."""
    case = Case()
    first = End(EXITED, 3)
    case.verdict.decide("successor", case.daemon, first)
    case.verdict.decide("main", case.main, End(KILLED, 9))
    case.verdict.asked(15)
    assert case.verdict.read() == (3, "successor", case.daemon, first)


def test_nobody_decides() -> None:
    """Main exited 0 and nothing else was: that is what is told."""
    case = Case()
    case.end(case.main, GOOD)
    assert case.verdict.read() == (0, "main", case.main, GOOD)


def test_last_successor() -> None:
    """All exited 0: the last successor's end is why pyinit leaves."""
    case = Case()
    case.end(case.main, GOOD)
    case.verdict.served(case.daemon, GOOD)
    assert case.verdict.read() == (0, "service", case.daemon, GOOD)


def test_stop_that_was_asked_for() -> None:
    """A stop was asked for and nobody ended badly: 0, and it was asked for."""
    case = Case()
    assert case.verdict.asked_with == 0
    case.verdict.asked(2)
    case.end(case.main, GOOD)
    case.verdict.served(case.daemon, GOOD)
    assert case.verdict.read() == (0, "signal", None, None)
    assert case.verdict.asked_with == 2


@pytest.mark.parametrize("who", ["main", "successor"])
def test_who_has_not_ended(who: str) -> None:
    """Who would have to say that all went well has not ended: the status is SIGKILL's."""
    case = Case()
    case.verdict.asked(15)
    if who == "successor":
        case.roster.adopt(case.daemon)
        case.end(case.main, GOOD)
        case.roster.promote([case.daemon])
    assert case.verdict.read() == (137, "signal", None, None)


def test_decision_stands_although_somebody_has_not_ended() -> None:
    """A bad end that has decided is the status, whoever cannot be killed."""
    case = Case()
    case.verdict.decide("successor", case.daemon, End(EXITED, 4))
    assert case.verdict.read()[0] == 4


@pytest.mark.parametrize(("ok", "status"), [(143, 0), (137, 143)])
def test_statuses_that_count_as_good(ok: int, status: int) -> None:
    """--ok-exit N makes N 0, and no other; the reason stays what it was."""
    case = Case(ok_exits=(ok,))
    case.verdict.decide("main", case.main, End(EXITED, 143))
    assert case.verdict.read()[:2] == (status, "main")


def test_killed_counts_as_good_if_that_was_said() -> None:
    """--ok-exit 137 holds for who did not die of SIGKILL as well."""
    case = Case(ok_exits=(137,))
    assert case.verdict.read()[0] == 0


def test_pause_is_over() -> None:
    """--pause is decided from the start: 0, however the processes that came have ended."""
    case = Case()
    case.verdict.decide("pause", None, GOOD)
    case.verdict.decide("successor", case.daemon, End(EXITED, 1))
    assert case.verdict.read() == (0, "pause", None, GOOD)
