"""When the service is ready, and how its PID file is waited for: histories."""

from __future__ import annotations

import itertools

import pytest

from pyinit.core.machine import HOLDING, RUNNING
from pyinit.core.model import Policy
from pyinit.core.service import FIRST_LOOK_S, GROWTH, LONGEST_PAUSE_S
from unit.core_model import EPOCH_S, HELD_TWO, HELD_TWO_UNNAMED, History, describe_all, play

# -- when it is ready --------------------------------------------------------------------------------------------------


def test_ready_at_the_handover() -> None:
    """Without a message or a PID file the handover is readiness, if somebody holds: once, with the seconds."""
    history = History()
    history.tell("started", "adopted 20")
    history.now = 2.5
    history.tell("ended 10 exited 0")
    handover, ready, passed_on = history.actions("settled")
    assert getattr(handover, "event", "") == "service.handover"
    assert getattr(ready, "facts", None) == {"process": history.process("20"), "reason": "handover", "after_s": 2.5}
    assert getattr(passed_on, "fields", None) == {"READY": "1"}
    history.play("""
        adopted 30 -> process.adopted 30 adopted
        ended 20 exited 0 -> service.inherited 20 to 30; reap 20 successor 0
        settled
        is holding
    """)


def test_ready_with_several_successors() -> None:
    """Where several carry the service together, readiness names none of them."""
    play(HELD_TWO_UNNAMED.replace("20 30", "20 30; pyinit.ready handover"))


def test_nobody_is_ready_where_nobody_holds() -> None:
    """A handover to nobody (--until all, only foreign ones left) is no readiness, nor is a main that never ends."""
    play(
        """
        where 20 foreign
        adopted 20 -> process.adopted 20 foreign debug
        ended 10 exited 0 -> reap 10 main 0
        settled -> service.handover
        is holding
        """,
        until="all",
    )
    play("at 1000 settled\n is running")


@pytest.mark.parametrize("until", ["service", "all"])
def test_ready_by_the_file(until: str) -> None:
    """With a PID file it is ready when that is first proven, before or after the handover: once, with the seconds."""
    history = History(Policy(pid_file=True, until=until))
    history.tell("started", "adopted 20")
    history.now = 1.5
    _, ready, passed_on = history.actions("claim", "20")
    facts = getattr(ready, "facts", {})
    assert (facts["process"].pid, facts["reason"], facts["after_s"]) == (20, "pid-file", 1.5)
    assert getattr(passed_on, "fields", None) == {"READY": "1"}
    history.play("""
        ended 10 exited 0 -> locate 20; reap 10 main 0
        located 20
        settled -> service.handover 20
        adopted 30 -> process.adopted 30 adopted
        ended 20 exited 0 -> service.inherited 20 to 30; read file; reap 20 successor 0
        claim 30 -> service.identified 30 pid-file after 20
        settled
        is holding
    """)


def test_handover_is_not_enough_while_the_file_is_awaited() -> None:
    """With a PID file the handover is not readiness as long as the file may still come."""
    play(
        HELD_TWO
        + """
        is holding until 0.05
        at 0.05 time-up -> read file
        claim no is not there
        at 0.1 time-up -> read file
        claim 30 -> service.identified 30 pid-file; pyinit.ready pid-file 30
        """,
        pid_file=True,
    )


def test_ready_when_the_file_is_given_up() -> None:
    """The file has never come right: that is told once, what holds is ready then, and the rule without a file holds."""
    play(
        HELD_TWO
        + """
        claim no is empty
        at 60 time-up -> read file
        claim no holds no process number: 'abc' -> service.refused pid-file holds no process number: 'abc'
                                                -> pyinit.ready handover
        is holding
        ended 20 exited 0 -> read file; reap 20 successor 0
        claim no is empty
        settled
        is holding until 60.05
        ended 30 exited 3 -> stop.begun successor TERM; reap 30 successor 3 warning
        childless -> pyinit.exited successor 3; exit 3
        """,
        pid_file=True,
    )


def test_file_that_is_right_after_all() -> None:
    """A file that is right after it was given up is believed when something ends; readiness is not told twice."""
    play(
        HELD_TWO
        + """
        at 60 time-up -> read file
        claim no is empty -> service.refused pid-file is empty; pyinit.ready handover
        is holding
        at 70 settled -> read file
        claim no is empty
        is holding
        at 80 settled -> read file
        claim 30 -> service.identified 30 pid-file
        settled
        is holding
        """,
        pid_file=True,
    )


def test_ready_by_message() -> None:
    """With --notify it is READY=1 that counts, once; pyinit adds no word of its own to what it passes on."""
    history = History(Policy(notify=True))
    history.tell("started")
    history.now = 0.75
    told, passed_on, ready = history.actions("notify", "10", "READY=1")
    assert getattr(told, "facts", None) == {"process": history.process("10"), "notify": {"ready": "1"}}
    assert getattr(passed_on, "fields", None) == {"READY": "1"}
    assert getattr(ready, "facts", None) == {"process": history.process("10"), "reason": "notify", "after_s": 0.75}
    history.play("""
        notify 10 READY=1 -> service.notified 10 ready=1 debug; pass on READY=1
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 0 -> reap 10 main 0
        settled -> service.handover 20
        is holding
    """)


def test_ready_never_falls_back_from_messages() -> None:
    """Who asks for messages gets no readiness by a handover, a PID file, or a file that was given up."""
    play(
        HELD_TWO
        + """
        claim 20 -> service.identified 20 pid-file
        is holding
        """,
        pid_file=True,
        notify=True,
    )
    play(
        HELD_TWO
        + """
        at 60 time-up -> read file
        claim no is empty -> service.refused pid-file is empty
        is holding
        notify 20 READY=1 -> service.notified 20 ready=1; pass on READY=1; pyinit.ready notify
        """,
        pid_file=True,
        notify=True,
    )
    play(HELD_TWO_UNNAMED + "notify 30 READY=0 -> pass on READY=0\n is holding", notify=True)


def test_ready_names_the_main_pid_of_the_same_message() -> None:
    """READY=1 and MAINPID= come in one message: who is ready is whom it names."""
    play(
        HELD_TWO_UNNAMED
        + """
        notify 20 READY=1 MAINPID=30 claims 30 -> service.notified 20 ready=1 mainpid=30
                  -> service.identified 30 notify; pass on READY=1; pyinit.ready notify 30
        """,
        notify=True,
    )


# -- waiting for the file ----------------------------------------------------------------------------------------------


def looks(history: History, *, seconds: float) -> list[float]:
    """Let time pass, with a file that is never right: return when it was looked at."""
    found: list[float] = []
    until = history.now + seconds
    while history.machine.deadline is not None and history.machine.deadline <= EPOCH_S + until:
        history.now = history.machine.deadline - EPOCH_S
        if describe_all(history.actions("time-up")) == ["read file"]:
            found.append(history.now)
        history.tell("claim no is not there")
    return found


def test_file_is_looked_at_with_growing_pauses() -> None:
    """It is looked at 50 ms after main's start, then with pauses that grow to 1 s, until the time for it is over."""
    history = History(Policy(pid_file=True, pid_file_timeout_s=30.0))
    history.tell("started")
    assert history.machine.deadline == pytest.approx(EPOCH_S + FIRST_LOOK_S)
    found = looks(history, seconds=100.0)
    assert found[0] == pytest.approx(FIRST_LOOK_S)
    pauses = [after - before for before, after in itertools.pairwise(found)]
    expected, pause_s = [], FIRST_LOOK_S
    for _ in pauses[:-1]:
        expected.append(pause_s)
        pause_s = min(pause_s * GROWTH, LONGEST_PAUSE_S)
    assert pauses[:-1] == pytest.approx(expected)
    assert max(pauses) <= LONGEST_PAUSE_S + 1e-6
    assert found[-1] == pytest.approx(30.0)
    assert (history.machine.phase, history.machine.deadline) == (RUNNING, None)


def test_deadline_that_comes_early() -> None:
    """A deadline that is told before its time brings no look."""
    play("at 0.04 time-up\n is running until 0.05", pid_file=True)


def test_file_is_awaited_anew_from_mains_end_on() -> None:
    """Main's end is when a launcher's daemon writes its file: short pauses and the whole time begin again."""
    history = History(Policy(pid_file=True, pid_file_timeout_s=10.0))
    history.tell("started", "adopted 20")
    looks(history, seconds=20.0)
    history.now = 20.0
    assert history.machine.deadline is None
    history.tell("ended 10 exited 0", "claim no is not there", "settled")
    found = looks(history, seconds=100.0)
    assert found[0] == pytest.approx(20.05)
    assert found[-1] == pytest.approx(30.0)
    assert (history.machine.phase, history.machine.deadline) == (HOLDING, None)


def test_no_time_for_the_file() -> None:
    """--pid-file-timeout 0: one look at main's end; a run with nobody left is not ready, one with a successor is."""
    play(
        """
        ended 10 exited 0 -> read file; reap 10 main 0
        claim no is not there -> service.refused pid-file is not there
        childless -> pyinit.exited main 0; exit 0
        """,
        pid_file=True,
        pid_file_timeout_s=0.0,
    )
    play(
        """
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 0 -> read file; reap 10 main 0
        claim no is not there -> service.refused pid-file is not there
        settled -> service.handover 20; pyinit.ready handover 20
        settled -> read file
        """,
        pid_file=True,
        pid_file_timeout_s=0.0,
    )


def test_file_is_given_up_where_nobody_holds() -> None:
    """--until all with foreign ones alone: a file that is given up makes nobody ready."""
    play(
        """
        where 20 foreign
        adopted 20 -> process.adopted 20 foreign debug
        ended 10 exited 0 -> read file; reap 10 main 0
        settled -> service.handover
        at 60 time-up -> read file
        claim no is not there -> service.refused pid-file is not there
        is holding
        """,
        pid_file=True,
        until="all",
    )


def test_file_is_not_looked_at_while_stopping() -> None:
    """A stop waits for no file, believes none, and looks for no service."""
    play(
        """
        adopted 20 -> process.adopted 20 adopted
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        is stopping until 2.666666
        claim 20
        located 20
        gone 20
        ended 10 exited 0 -> child 20 TERM+CONT; inspect 20; reap 10 main 0
        settled
        ended 20 exited 7 -> reap 20 adopted 7
        childless -> pyinit.exited signal 0; exit 0
        """,
        pid_file=True,
    )


def test_file_is_looked_at_after_each_end() -> None:
    """Once nobody waits for the file any longer it is looked at whenever something has ended, until it is believed."""
    play(
        HELD_TWO
        + """
        at 60 time-up -> read file
        claim no is empty -> service.refused pid-file is empty; pyinit.ready handover
        ended 40 exited 0 -> reap 40 adopted 0
        settled -> read file
        claim no is older than this run (stale)
        settled -> read file
        claim 20 -> service.identified 20 pid-file
        settled
        """,
        pid_file=True,
    )


def test_file_that_is_not_asked_for_is_not_looked_at() -> None:
    """Without --pid-file nothing is ever looked at, nor waited for."""
    play(
        HELD_TWO_UNNAMED.replace("20 30", "20 30; pyinit.ready handover")
        + """
        at 100 time-up
        ended 20 exited 0 -> reap 20 successor 0
        settled
        is holding
        """
    )
