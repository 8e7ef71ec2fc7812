"""The schedule of a stop: one signal behind the other, each to the heads and then to all; PID 1 that cannot see all."""

from __future__ import annotations

import pytest

from pyinit.core.machine import KILLING
from pyinit.core.model import Policy
from pyinit.core.stopping import plan
from unit.core_model import EPOCH_S, SIGNALS, History, describe_all, play

INT, QUIT, TERM = SIGNALS["INT"], SIGNALS["QUIT"], SIGNALS["TERM"]
# 6 s for SIGQUIT, what is left of the grace for SIGTERM.
QUIT_TERM = ((QUIT, 6.0), (TERM, None))
HELD_TWO = """
    adopted 20 -> process.adopted 20 adopted
    adopted 30 -> process.adopted 30 adopted
    ended 10 exited 0 -> reap 10 main 0
    settled -> service.handover 20 30; pyinit.ready handover
"""


@pytest.mark.parametrize(
    ("schedule", "grace_s", "command", "shares"),
    [
        (((TERM, None),), 8.0, False, [0.0, 8.0]),
        (((TERM, None),), 8.0, True, [4.0, 4.0]),
        (((TERM, 5.0),), 8.0, False, [0.0, 8.0]),
        (((TERM, 5.0),), 8.0, True, [3.0, 5.0]),
        (((TERM, 8.0),), 8.0, True, [0.0, 8.0]),
        (((QUIT, 20.0), (TERM, None)), 30.0, False, [0.0, 20.0, 10.0]),
        (((QUIT, 20.0), (TERM, None)), 30.0, True, [5.0, 20.0, 5.0]),
        (((QUIT, 20.0), (TERM, 5.0)), 33.0, False, [0.0, 20.0, 13.0]),
        (((QUIT, 20.0), (TERM, 5.0)), 33.0, True, [8.0, 20.0, 5.0]),
        (((QUIT, 20.0), (TERM, None)), 20.0, False, [0.0, 20.0, 0.0]),
        (((QUIT, 20.0), (TERM, None)), 20.0, True, [0.0, 20.0, 0.0]),
        (((INT, 1.0), (QUIT, 2.0), (TERM, 3.0)), 6.0, False, [0.0, 1.0, 2.0, 3.0]),
        (((TERM, None),), 0.0, False, [0.0, 0.0]),
    ],
)
def test_shares_of_the_grace(
    schedule: tuple[tuple[int, float | None], ...],
    grace_s: float,
    command: bool,  # noqa: FBT001  # a parameter of pytest
    shares: list[float],
) -> None:
    """The command's share, then each signal's: together the grace, however it is divided."""
    assert plan(schedule, grace_s, command=command) == shares
    assert sum(shares) == grace_s


def test_each_signal_in_its_turn() -> None:
    """Each signal goes to the heads, after a third of its time to all that is left; then the next one, then SIGKILL."""
    play(
        """
        adopted 20 -> process.adopted 20 adopted
        signal TERM -> stop.begun signal QUIT; group 10 QUIT+CONT; inspect 10
        inspected 10
        is stopping until 2
        at 2 time-up -> walk
        walked 10 20 30 -> stop.escalated 20 30; child 20 QUIT+CONT; descendant 30 QUIT+CONT
        is stopping until 2.25
        at 5.99 time-up -> walk
        walked 10 20 30
        is stopping until 6
        at 6 time-up -> stop.escalated 10 20; group 10 TERM+CONT; inspect 10
        inspected 10
        is stopping until 6.666666
        at 6.7 time-up -> walk
        walked 10 20 30 -> child 20 TERM+CONT; descendant 30 TERM+CONT
        at 7.9 time-up -> walk
        walked 10 20 30
        is stopping until 8
        at 8 time-up -> stop.killing 10 20; kill children
        """,
        schedule=QUIT_TERM,
    )


def test_heads_are_the_roots_once_main_has_gone() -> None:
    """Main has gone: each signal goes to each root, once; who comes meanwhile gets the one that is being sent."""
    play(
        HELD_TWO
        + """
        signal TERM -> stop.begun signal QUIT; child 20 QUIT+CONT; child 30 QUIT+CONT; inspect 20 30
        at 1 adopted 40 -> process.adopted 40 adopted; child 40 QUIT+CONT; inspect 40
        at 3 time-up -> walk
        walked 20 30 40
        at 6 time-up -> stop.escalated 20 30 40; child 20 TERM+CONT; child 30 TERM+CONT; child 40 TERM+CONT
                     -> inspect 20 30 40
        ended 20 killed TERM -> reap 20 successor 143
        adopted 50 -> process.adopted 50 adopted; child 50 TERM+CONT; inspect 50
        at 7 time-up -> walk
        walked 30 40 50 60 -> descendant 60 TERM+CONT
        """,
        schedule=QUIT_TERM,
    )


def test_main_goes_between_two_signals() -> None:
    """Main ends under the first signal: the roots that it leaves get that one, and the next in its turn."""
    play(
        """
        where 20 group=10 born=-5
        adopted 20 -> process.adopted 20 adopted
        adopted 30 -> process.adopted 30 adopted
        signal TERM -> stop.begun signal QUIT; group 10 QUIT+CONT; inspect 10
        at 1 ended 10 exited 0 -> child 30 QUIT+CONT; inspect 20 30; reap 10 main 0
        inspected 20 30
        settled
        at 6 time-up -> stop.escalated 20 30; child 20 TERM+CONT; child 30 TERM+CONT; inspect 20 30
        at 8 time-up -> stop.killing 20 30; kill children
        """,
        schedule=QUIT_TERM,
    )


def test_main_goes_under_the_second_signal() -> None:
    """Main's group has had the second signal when main goes: its members do not get it again."""
    play(
        """
        where 20 group=10 born=-5
        adopted 20 -> process.adopted 20 adopted
        adopted 30 -> process.adopted 30 adopted
        signal TERM -> stop.begun signal QUIT; group 10 QUIT+CONT; inspect 10
        at 6 time-up -> stop.escalated 10 20 30; group 10 TERM+CONT; inspect 10
        at 6.1 ended 10 killed TERM -> child 30 TERM+CONT; inspect 20 30; reap 10 main 143
        at 6.7 time-up -> walk
        walked 20 30 40 -> descendant 40 TERM+CONT
        """,
        schedule=QUIT_TERM,
    )


def test_end_of_main_begins_a_schedule() -> None:
    """Main's bad end: its group gets the first signal while its zombie pins the number, and not the second."""
    play(
        """
        where 20 group=10 born=-5
        adopted 20 -> process.adopted 20 adopted
        at 1 ended 10 exited 3 -> stop.begun main QUIT; group 10 QUIT+CONT; inspect 20; reap 10 main 3 warning
        inspected 20
        at 7 time-up -> stop.escalated 20; child 20 TERM+CONT; inspect 20
        """,
        schedule=QUIT_TERM,
    )


def test_ignored_signal_of_a_schedule() -> None:
    """Who ignores a signal hands it to its children; nobody gets another one in its stead before its turn."""
    play(
        """
        signal INT -> stop.begun signal QUIT; group 10 QUIT+CONT; inspect 10
        inspected 10!QUIT>20 -> descendant 20 QUIT+CONT; inspect 20
        inspected 20!QUIT
        at 6 time-up -> stop.escalated 10; group 10 TERM+CONT; inspect 10
        inspected 10!QUIT>20
        at 6.7 time-up -> walk
        walked 10 20 -> descendant 20 TERM+CONT
        """,
        schedule=QUIT_TERM,
    )


def test_signal_whose_time_is_shorter_than_a_look() -> None:
    """A signal that has less than the time between two walks is walked for once, and the next comes in time."""
    play(
        """
        signal TERM -> stop.begun signal INT; group 10 INT+CONT; inspect 10
        at 0.1 time-up -> walk
        walked 10 20 -> stop.escalated 20; descendant 20 INT+CONT
        is stopping until 0.2
        at 0.2 time-up -> stop.escalated 10; group 10 TERM+CONT; inspect 10
        at 3 time-up -> walk
        walked 10 20 -> descendant 20 TERM+CONT
        """,
        schedule=((INT, 0.2), (TERM, None)),
    )


def test_walk_that_is_answered_too_late() -> None:
    """A walk that was asked for under one signal does not hand out the next."""
    play(
        """
        signal TERM -> stop.begun signal QUIT; group 10 QUIT+CONT; inspect 10
        at 2 time-up -> walk
        at 6 time-up -> stop.escalated 10; group 10 TERM+CONT; inspect 10
        walked 10 20
        is stopping until 6.666666
        """,
        schedule=QUIT_TERM,
    )


def test_no_time_for_the_last_signal() -> None:
    """A schedule that has the whole grace leaves nothing for a last signal without a time of its own: SIGKILL."""
    play(
        """
        signal TERM -> stop.begun signal QUIT; group 10 QUIT+CONT; inspect 10
        at 8 time-up -> stop.killing 10; kill children
        """,
        schedule=((QUIT, 8.0), (TERM, None)),
    )


def test_grace_is_the_end_of_every_schedule() -> None:
    """However many signals there are, SIGKILL comes when the grace is over, not later."""
    history = History(Policy(schedule=tuple((signo, 1.0) for signo in (INT, QUIT, TERM)) * 2, grace_s=6.0))
    history.tell("started", "signal TERM")
    signals = [history.machine.deadline]
    for _ in range(100):
        assert history.machine.deadline is not None
        history.now = history.machine.deadline - EPOCH_S
        told = describe_all(history.actions("time-up"))
        if told[0].startswith("stop."):
            signals.append(history.machine.deadline)
        if history.machine.phase == KILLING:
            break
        history.tell("walked 10")
    assert history.now == pytest.approx(6.0)
    assert len(signals) == 7


def test_to_main_alone() -> None:
    """--forward-to main: the heads of each signal are main alone."""
    play(
        """
        signal TERM -> stop.begun signal QUIT; child 10 QUIT+CONT; inspect 10
        at 6 time-up -> stop.escalated 10; child 10 TERM+CONT; inspect 10
        """,
        schedule=QUIT_TERM,
        forward_to="main",
    )


def test_more_time_in_a_schedule() -> None:
    """EXTEND_TIMEOUT_USEC lengthens the time of the signal that is being sent; the next ones come so much later."""
    play(
        """
        signal TERM -> stop.begun signal QUIT; group 10 QUIT+CONT; inspect 10
        at 2 time-up -> walk
        walked 10
        at 3 notify 10 EXTEND_TIMEOUT_USEC=15000000
             -> service.notified 10 extend_timeout_usec=15000000 debug; pass on EXTEND_TIMEOUT_USEC=15000000
             -> stop.extended 15 to 18
        at 15.9 time-up -> walk
        walked 10
        is stopping until 16
        at 16 time-up -> stop.escalated 10; group 10 TERM+CONT; inspect 10
        at 18 time-up -> stop.killing 10; kill children
        """,
        schedule=QUIT_TERM,
        notify=True,
        grace_max_s=60.0,
    )


def test_grace_that_was_lengthened_is_told() -> None:
    """The record of SIGKILL says how long the grace has been in the end."""
    history = History(Policy(notify=True, grace_max_s=60.0))
    history.tell("started", "signal TERM", "notify 10 EXTEND_TIMEOUT_USEC=15000000")
    history.now = 15.0
    assert history.facts("time-up")["grace_s"] == pytest.approx(15.0)


def test_records_of_a_schedule() -> None:
    """A record says that the next signal comes: which, to whom, and how long after the beginning."""
    history = History(Policy(schedule=QUIT_TERM))
    history.tell("started", "adopted 20", "signal TERM")
    history.now = 6.0
    assert history.facts("time-up") == {
        "signal": TERM,
        "processes": [history.process("10"), history.process("20")],
        "count": 2,
        "after_s": 6.0,
    }


# -- the command and the schedule -------------------------------------------------------------------------------------


def test_schedule_behind_a_command() -> None:
    """The command has what the schedule leaves of the grace; then each signal has its own time."""
    play(
        """
        signal TERM -> stop.begun signal QUIT command; run stop 10 TERM 8
        command stop 90 -> command.started stop 90
        is stopping until 1.5
        at 1.5 time-up -> stop.escalated 10 90; group 10 QUIT+CONT; inspect 10
        is stopping until 3.166666
        at 6.5 time-up -> stop.escalated 10 90; group 10 TERM+CONT; inspect 10
        is stopping until 7
        at 8 time-up -> stop.killing 10 90; kill children
        """,
        schedule=((QUIT, 5.0), (TERM, 1.5)),
        stop_command=True,
    )


def test_command_ends_under_a_signal() -> None:
    """The command's time is over and it ends later, well or not: the schedule goes on as it is."""
    play(
        """
        signal TERM -> stop.begun signal QUIT command; run stop 10 TERM 8
        command stop 90 -> command.started stop 90
        at 1.5 time-up -> stop.escalated 10 90; group 10 QUIT+CONT; inspect 10
        at 2 ended 90 exited 1 -> command.ended stop 90 1; reap 90 command 1
        is stopping until 3.166666
        """,
        schedule=((QUIT, 5.0), (TERM, 1.5)),
        stop_command=True,
    )


# -- PID 1 that cannot see everybody ----------------------------------------------------------------------------------


def test_init_that_cannot_see_everybody() -> None:
    """Where processes may be hidden, PID 1 signals its whole namespace instead of those it sees, once.

    Who is born behind that gets it like everybody else, as far as it is seen.
    """
    play(
        """
        where 30 born=2.8
        where 40 born=3.1
        adopted 15 -> process.adopted 15 adopted
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        at 2.7 time-up -> walk
        walked 10 20 hidden -> stop.escalated 10 15; everyone TERM; everyone CONT
        at 3 time-up -> walk
        walked 10 15 20 30 hidden -> descendant 30 TERM+CONT
        at 3.25 time-up -> walk
        walked 10 15 20 30 40 hidden -> descendant 40 TERM+CONT
        is stopping until 3.5
        """,
        pid1=True,
    )


def test_once_for_each_signal() -> None:
    """Each signal of a schedule goes to the whole namespace once; that the next one comes is told once."""
    play(
        """
        signal TERM -> stop.begun signal QUIT; group 10 QUIT+CONT; inspect 10
        at 2 time-up -> walk
        walked 10 hidden -> stop.escalated 10; everyone QUIT; everyone CONT
        at 2.25 time-up -> walk
        walked 10 hidden
        at 6 time-up -> stop.escalated 10; group 10 TERM+CONT; inspect 10
        at 6.7 time-up -> walk
        walked 10 hidden -> everyone TERM; everyone CONT
        at 7 time-up -> walk
        walked 10 hidden
        """,
        pid1=True,
        schedule=QUIT_TERM,
    )


def test_who_has_had_the_signal_with_everybody() -> None:
    """Who was there when the whole namespace had the signal does not get it again; who came later gets it."""
    play(
        """
        where 20 born=1
        where 30 born=2.8
        where 40
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        at 2.7 time-up -> walk
        walked 10 hidden -> stop.escalated 10; everyone TERM; everyone CONT
        at 2.9 adopted 20 -> process.adopted 20 adopted
        adopted 30 -> process.adopted 30 adopted; child 30 TERM+CONT; inspect 30
        adopted 40 -> process.adopted 40 adopted; child 40 TERM+CONT; inspect 40
        """,
        pid1=True,
    )


def test_who_is_seen_again() -> None:
    """A later walk that sees everybody signals those who have come since, and those alone."""
    play(
        """
        where 20 born=1
        where 30 born=2.8
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        at 2.7 time-up -> walk
        walked 10 hidden -> stop.escalated 10; everyone TERM; everyone CONT
        at 3 time-up -> walk
        walked 10 20 30 -> descendant 30 TERM+CONT
        """,
        pid1=True,
    )


def test_subreaper_that_cannot_see_everybody() -> None:
    """A subreaper never signals everybody: there is the rest of the machine. It signals those it sees."""
    play(
        """
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        at 2.7 time-up -> walk
        walked 10 20 hidden -> stop.escalated 20; descendant 20 TERM+CONT
        """
    )


def test_walk_for_a_signal_that_is_forwarded() -> None:
    """A look that was made to forward a signal brings the stop signal to nobody, hidden or not."""
    play(
        """
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        signal HUP -> walk; signal.forwarded HUP
        walked 10 20 hidden -> child 10 HUP; descendant 20 HUP
        """,
        pid1=True,
        forward_to="tree",
    )
