"""The end of the grace: SIGKILL, as PID 1 and as subreaper, and what does not die of it: histories."""

from __future__ import annotations

import pytest

from pyinit.core.commands import Commands
from pyinit.core.ending import Ending
from pyinit.core.events import Buried
from pyinit.core.machine import KILLING
from pyinit.core.model import Policy
from pyinit.core.roster import Roster
from pyinit.core.service import Service
from unit.core_model import EPOCH_S, History, play

# What reaches everybody: kill(-1) for the init of a PID namespace, each child for a subreaper.
EVERYBODY = {True: "everyone KILL", False: "kill children"}

both = pytest.mark.parametrize("pid1", [True, False], ids=["pid1", "subreaper"])


@both
def test_grace_is_over(pid1: bool) -> None:  # noqa: FBT001  # a parameter of pytest
    """The grace is over: SIGKILL to all; a look that finds more brings it again; the last reap ends the run."""
    play(
        f"""
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        at 2.7 time-up -> walk
        walked 10
        at 7.9 time-up -> walk
        at 8 time-up -> stop.killing 10; {EVERYBODY[pid1]}
        is killing until 9
        adopted 20 -> process.adopted 20 adopted
        at 8.5 ended 10 killed KILL -> reap 10 main 137
        is killing until 9.5
        settled -> {EVERYBODY[pid1]}
        ended 20 killed KILL -> reap 20 adopted 137
        childless -> pyinit.exited main 137; exit 137
        """,
        pid1=pid1,
    )


@both
def test_deadline_is_the_end_of_the_grace(pid1: bool) -> None:  # noqa: FBT001
    """However often the tree is walked, SIGKILL comes when the grace is over, not later."""
    history = History(Policy(grace_s=1.0, pid1=pid1))
    history.tell("started", "signal TERM")
    for _ in range(10):
        history.now = (history.machine.deadline or 0.0) - EPOCH_S
        history.tell("time-up")
        if history.machine.phase == KILLING:
            break
    assert history.machine.phase == KILLING
    assert history.now == pytest.approx(1.0)


@both
@pytest.mark.parametrize("grace_s", [0.0, 0])
def test_grace_0(pid1: bool, grace_s: float) -> None:  # noqa: FBT001
    """A grace of 0 means SIGKILL at once."""
    play(
        f"""
        adopted 20 -> process.adopted 20 adopted
        at 1 signal TERM -> stop.begun signal TERM; stop.killing 10 20; {EVERYBODY[pid1]}
        is killing until 2
        ended 10 killed KILL -> reap 10 main 137
        ended 20 killed KILL -> reap 20 adopted 137
        childless -> pyinit.exited main 137; exit 137
        """,
        pid1=pid1,
        grace_s=grace_s,
    )


@both
def test_grace_0_at_mains_end(pid1: bool) -> None:  # noqa: FBT001
    """A grace of 0 and a bad end: the rest is killed, and the status is the bad end's."""
    play(
        f"""
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 3 -> stop.begun main TERM; stop.killing 20; {EVERYBODY[pid1]}; reap 10 main 3 warning
        settled -> {EVERYBODY[pid1]}
        ended 20 killed KILL -> reap 20 adopted 137
        childless -> pyinit.exited main 3; exit 3
        """,
        pid1=pid1,
        grace_s=0,
    )


def test_kernel_gets_more_time_while_it_gets_on() -> None:
    """Each end gives the kernel a second more, but ten in all: a stop ends within the grace and what is bounded."""
    history = History(Policy(grace_s=1.0))
    history.tell("started", "signal TERM")
    history.now = 1.0
    history.tell("time-up")
    for number in range(100, 130):
        history.now += 0.5
        history.tell(f"ended {number} killed KILL", "settled")
    assert history.machine.deadline == pytest.approx(EPOCH_S + 11)
    history.play("""
        at 11 time-up -> walk
        is killing until 12
        walked 10
        at 12 time-up -> stop.unkillable 10 it does not die of SIGKILL; pyinit.exited signal 137; exit 137
    """)


@both
@pytest.mark.parametrize("seen", ["@R", "@S+{}", "@Z+{}"], ids=["runs", "has run", "its last thread has run"])
def test_who_is_being_taken_down_is_waited_for(pid1: bool, seen: str) -> None:  # noqa: FBT001
    """A process with much memory takes seconds to die: as long as it uses CPU time it is none that does not die."""
    begin = 9 if pid1 else 10
    history = History(Policy(pid1=pid1))
    history.play(f"""
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        at 8 time-up -> stop.killing 10; {EVERYBODY[pid1]}
    """)
    if not pid1:
        history.play("""
            at 9 time-up -> walk
            walked 10
        """)
    for second in range(3):
        history.play(f"""
            at {begin + second} time-up -> inspect 10
            inspected 10{seen.format(second + 1)}
            is killing until {begin + second + 1}
        """)
    history.play(f"""
        at {begin + 2.5} ended 10 killed KILL -> reap 10 main 137
        childless -> pyinit.exited main 137; exit 137
    """)


@both
@pytest.mark.parametrize("seen", ["@D+9", "@S", "@Z", ""], ids=["D state", "sleeps", "zombie", "not seen"])
def test_who_does_not_get_on_is_not_waited_for(pid1: bool, seen: str) -> None:  # noqa: FBT001
    """Who sleeps on with SIGKILL pending, in the D state above all, is named at once."""
    begin = 9 if pid1 else 10
    history = History(Policy(pid1=pid1))
    history.tell("started", "signal TERM")
    history.now = 8
    history.tell("time-up")
    if not pid1:
        history.play("""
            at 9 time-up -> walk
            walked 10
        """)
    history.play(f"""
        at {begin} time-up -> inspect 10
        inspected {"10" + seen if seen else ""}
        is killing until {begin}
        time-up -> stop.unkillable 10 it does not die of SIGKILL; pyinit.exited signal 137; exit 137
    """)


def test_who_stops_using_cpu_time_is_given_up() -> None:
    """What was used is compared with the last look: who has not got on since then is given up."""
    play(
        """
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        at 8 time-up -> stop.killing 10; everyone KILL
        at 9 time-up -> inspect 10
        inspected 10@Z+7
        at 10 time-up -> inspect 10
        inspected 10@Z+7
        time-up -> stop.unkillable 10 it does not die of SIGKILL; pyinit.exited signal 137; exit 137
    """,
        pid1=True,
    )


def test_another_end_brings_another_look() -> None:
    """Somebody else has died since the last look, which has found nobody: there is one more."""
    play(
        """
        adopted 20 -> process.adopted 20 adopted
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        at 8 time-up -> stop.killing 10 20; everyone KILL
        at 9 time-up -> inspect 10 20
        inspected 10@D 20@D
        ended 20 killed KILL -> reap 20 adopted 137
        is killing until 10
        at 10 time-up -> inspect 10
        inspected 10@R
        is killing until 11
    """,
        pid1=True,
    )


def test_dying_has_a_limit() -> None:
    """Who is being taken down for ever is left after ten seconds."""
    history = History(Policy(grace_s=1.0, pid1=True))
    history.tell("started", "signal TERM")
    history.now = 1.0
    history.tell("time-up")
    for second in range(2, 11):
        history.play(f"""
            at {second} time-up -> inspect 10
            inspected 10@R
        """)
    history.play("""
        is killing until 11
        at 11 time-up -> stop.unkillable 10 it does not die of SIGKILL; pyinit.exited signal 137; exit 137
    """)


def test_what_does_not_die_is_named() -> None:
    """What SIGKILL and a last look do not end is named, each root with the reason, and pyinit leaves all the same."""
    play("""
        adopted 20 -> process.adopted 20 adopted
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        ended 10 exited 0 -> child 20 TERM+CONT; inspect 20; reap 10 main 0
        denied 20 TERM -> signal.undeliverable 20 TERM
        adopted 30 -> process.adopted 30 adopted; child 30 TERM+CONT; inspect 30
        settled
        at 8 time-up -> stop.killing 20 30; kill children
        denied 20 KILL -> walk
        at 8.9 time-up
        at 9 time-up -> walk
        is killing until 10
        walked 20 30
        at 9.9 time-up
        at 10 time-up -> inspect 30
        inspected 30@D
        time-up -> stop.unkillable 20 it may not be signalled (EPERM)
                      -> stop.unkillable 30 it does not die of SIGKILL; pyinit.exited signal 0; exit 0
        is done
    """)


def test_main_that_does_not_die() -> None:
    """Main was killed and did not die: the status is SIGKILL's."""
    machine = play("""
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        at 8 time-up -> stop.killing 10; kill children
        at 9 time-up -> walk
        walked 10
        at 10 time-up -> inspect 10
        inspected 10@D
        time-up -> stop.unkillable 10 it does not die of SIGKILL; pyinit.exited signal 137; exit 137
    """)
    assert machine.status == 137


def test_below_what_does_not_die() -> None:
    """A child in the D state hides no one: before it is given up its descendants are killed, and have their time."""
    play("""
        adopted 20 -> process.adopted 20 adopted
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        at 8 time-up -> stop.killing 10 20; kill children
        ended 10 killed KILL -> reap 10 main 137
        settled -> kill children
        at 9 time-up -> walk
        walked 20 30 40 -> descendant 30 KILL; descendant 40 KILL
        at 9.5 time-up
        is killing until 10
        at 9.9 ended 30 killed KILL -> reap 30 adopted 137
        is killing until 10.9
        at 10.9 time-up -> inspect 20
        inspected 20@D
        time-up -> stop.unkillable 20 it does not die of SIGKILL; pyinit.exited main 137; exit 137
    """)


def test_init_of_a_namespace_looks_no_deeper() -> None:
    """kill(-1) has reached all: the init of a PID namespace gives up after a second, without a walk."""
    play(
        """
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        at 8 time-up -> stop.killing 10; everyone KILL
        at 9 time-up -> inspect 10
        inspected 10@D
        time-up -> stop.unkillable 10 it does not die of SIGKILL; pyinit.exited signal 137; exit 137
        """,
        pid1=True,
    )


def test_successor_that_does_not_die() -> None:
    """A successor was killed and did not die: not all have exited 0, and the status is SIGKILL's."""
    history = History()
    history.play("""
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 0 -> reap 10 main 0
        settled -> service.handover 20; pyinit.ready handover 20
        signal TERM -> stop.begun signal TERM; child 20 TERM+CONT; inspect 20
        at 8 time-up -> stop.killing 20; kill children
    """)
    for history.now in (9.0, 10.0, 10.0):
        history.tell("time-up")
    assert history.machine.status == 137


def test_below_what_may_not_be_killed() -> None:
    """A child that may not be killed hides no one: its descendants are killed one by one; the walk is made once."""
    play("""
        adopted 20 -> process.adopted 20 adopted
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        at 8 time-up -> stop.killing 10 20; kill children
        denied 20 KILL -> signal.undeliverable 20 KILL; walk
        walked 10 20 30 40 -> descendant 30 KILL; descendant 40 KILL
        denied 40 KILL -> signal.undeliverable 40 KILL
        denied 40 KILL
        inspected 10!TERM>20
    """)


def test_killed_are_counted() -> None:
    """The last record counts the ends by SIGKILL after the grace, and no others."""
    history = History()
    history.play("""
        ended 20 killed KILL -> reap 20 adopted 137 info
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        ended 30 killed KILL -> reap 30 adopted 137
        at 8 time-up -> stop.killing 10; kill children
        ended 40 killed KILL -> reap 40 adopted 137
        ended 50 killed TERM -> reap 50 adopted 143
        ended 60 exited 9 -> reap 60 adopted 9
        ended 10 killed KILL -> reap 10 main 137
    """)
    facts = history.facts("childless")
    assert (facts["status"], facts["reason"]) == (137, "main")
    assert (facts["reaped"], facts["adopted"], facts["killed"]) == (6, 5, 2)


def test_last_record_has_the_totals() -> None:
    """The last record says the status, why, whose end it was, and counts and seconds of the whole run."""
    history = History()
    history.tell("started", "adopted 20", "signal HUP")
    history.now = 2.5
    history.tell("ended 20 exited 0", "ended 10 exited 4")
    facts = history.facts("childless")
    assert facts.pop("process") is history.process("10")
    assert repr(facts.pop("end")) == "End('exited', 4)"
    assert facts == {
        "status": 4,
        "reason": "main",
        "reaped": 2,
        "adopted": 1,
        "forwarded": 1,
        "killed": 0,
        "duration_s": 2.5,
    }
    assert history.machine.status == 4


def test_nothing_is_due_before_a_stop() -> None:
    """Before a stop has begun there is no deadline of it, and a time that is told brings nothing."""
    policy, roster = Policy(), Roster()
    ending = Ending(policy, roster, Service(policy, roster), Commands(roster))
    assert (ending.begun, ending.killing, ending.deadline) == (False, False, None)
    assert ending.tick(EPOCH_S) == ([], False)


def test_dead_of_whom_no_record_tells() -> None:
    """Who was buried in the final kill counts as adopted and reaped, and the kernel is seen to be getting on."""
    history = History(Policy(grace_s=1.0))
    history.tell("started", "signal TERM")
    history.now = 1.0
    history.tell("time-up")
    assert history.machine.handle(Buried(7, 5), EPOCH_S + 1.5) == []
    assert history.machine.totals == {"reaped": 7, "adopted": 7, "forwarded": 0, "killed": 5}
    assert history.machine.deadline == pytest.approx(EPOCH_S + 2.5)


def test_nobody_looks_for_heirs_after_sigkill() -> None:
    """What main leaves behind is looked for at a stop, and not after SIGKILL: it is killed with the rest."""
    history = History(Policy(grace_s=1.0))
    history.tell("started", "signal TERM")
    assert history.machine.leaves_heirs(10)
    history.now = 1.0
    history.tell("time-up")
    assert not history.machine.leaves_heirs(10)
