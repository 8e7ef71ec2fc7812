"""How a run is stopped, from the stop request to the end of the grace (docs/architecture.md): histories."""

from __future__ import annotations

import pytest

from pyinit.core import events
from pyinit.core.machine import DONE, KILLING, STOPPING
from pyinit.core.model import Policy, Process
from unit.core_model import SIGNALS, History, describe, end, play

HELD_TWO = """
    adopted 20 -> process.adopted 20 adopted
    adopted 30 -> process.adopted 30 adopted
    ended 10 exited 0 -> reap 10 main 0
    settled -> service.handover 20 30; pyinit.ready handover
"""
# A stop that was asked for while main runs; a third of 9 s is 3 s.
ASKED = """
    signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
    inspected 10
"""


@pytest.mark.parametrize("signal", ["TERM", "INT", "QUIT"])
def test_stop_request(signal: str) -> None:
    """SIGTERM, SIGINT and SIGQUIT are stop requests, and what was asked with is what the heads get."""
    machine = play(f"""
        signal {signal} -> stop.begun signal {signal}; group 10 {signal}+CONT; inspect 10
        is stopping until 2.666666
    """)
    assert machine.phase == STOPPING


def test_other_signals_are_no_stop_request() -> None:
    """What asks for a stop is a matter of policy: with another set SIGTERM is forwarded like any signal."""
    play(
        """
        signal TERM -> group 10 TERM; signal.forwarded TERM -10
        is running
        signal HUP -> stop.begun signal HUP; group 10 HUP+CONT; inspect 10
        """,
        stop_on=(SIGNALS["HUP"],),
    )


def test_stop_signal_replaces_the_signal() -> None:
    """--stop-signal is sent, whatever the stop was asked with, and where an end stops the run as well."""
    play(
        "signal TERM -> stop.begun signal QUIT; group 10 QUIT+CONT; inspect 10",
        schedule=((SIGNALS["QUIT"], None),),
    )
    play(
        """
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 1 -> stop.begun main QUIT; group 10 QUIT+CONT; child 20 QUIT+CONT; inspect 20
                          -> reap 10 main 1 warning
        """,
        schedule=((SIGNALS["QUIT"], None),),
    )


def test_heads_first_while_main_lives() -> None:
    """While main lives, its process group is the head: no other root gets the signal yet."""
    play(
        "adopted 20 -> process.adopted 20 adopted" + ASKED + "is stopping until 3",
        grace_s=9.0,
    )


def test_heads_are_the_roots_once_main_has_gone() -> None:
    """Once main has gone the heads are the roots, each itself and not its group; foreign and stray ones too."""
    play(
        HELD_TWO
        + """
        where 40 foreign
        adopted 40 -> process.adopted 40 foreign debug
        adopted 50 -> process.adopted 50 adopted
        settled
        signal TERM -> stop.begun signal TERM; child 20 TERM+CONT; child 30 TERM+CONT; child 40 TERM+CONT
                    -> child 50 TERM+CONT; inspect 20 30 40 50
        """
    )


def test_main_goes_while_stopping() -> None:
    """Main ends while the run is stopped: then the roots are the heads, those that have had no signal."""
    play(
        """
        where 20 group=10 born=-5
        adopted 20 -> process.adopted 20 adopted
        adopted 30 -> process.adopted 30 adopted
        """
        + ASKED
        + """
        ended 10 killed TERM -> child 30 TERM+CONT; inspect 20 30; reap 10 main 143
        inspected 20 30
        settled
        ended 20 killed TERM -> reap 20 adopted 143
        ended 30 exited 0 -> reap 30 adopted 0
        childless -> pyinit.exited main 143; exit 143
        """
    )


def test_crowd_comes_while_stopping() -> None:
    """A crowd that comes at once gets the signal before anybody looks at it, less who had it with main's group.

    Who is still there then is looked at, and has it no second time; who has ended is counted.
    """
    history = History()
    history.play(
        """
        came 20=20
        """
        + ASKED
        + """
        came 20=20 30=10 40=40 50=50 -> unseen 20 40 50 TERM+CONT
        came 60=60 20=20 -> unseen 60 TERM+CONT
        adopted 20 -> process.adopted 20 adopted; inspect 20
        inspected 20!TERM>60,21 -> descendant 21 TERM+CONT; inspect 60 21
        passed 40 50
        walked 20 40 60
        came 40=40 20=20 -> unseen 40 TERM+CONT
        ended 60 exited 1 -> reap 60 adopted 1
        """
    )
    assert history.machine.unseen == {40}
    assert history.machine.totals["reaped"] == 3


def test_crowd_when_everybody_has_had_the_signal() -> None:
    """Where PID 1 has sent the signal to all, or SIGKILL, a crowd is looked at first: who was there has had it."""
    history = History(Policy(pid1=True, grace_s=9.0))
    history.play(ASKED)
    history.now = 3.0
    history.tell("time-up", "walked hidden")
    assert not history.actions("came", "20=20", "30=30")
    history.now = 9.0
    history.tell("time-up")
    assert not history.actions("came", "20=20", "30=30")
    assert not history.machine.unseen


def test_who_is_known_by_his_number_alone() -> None:
    """Without /proc a process is a number, which may be somebody else's when it has ended: he gets the signal, too."""
    history = History()
    history.play(ASKED)
    for _ in range(2):
        told = history.machine.handle(events.Adopted(Process(30)), history.now)
        assert [describe(action) for action in told][1:] == ["child 30 TERM+CONT", "inspect 30"]
        history.machine.handle(events.Ended(Process(30), end("exited", "0")), history.now)


@pytest.mark.parametrize("policy", [Policy(), Policy(restart="always")], ids=["once", "again"])
def test_whose_end_passes(policy: Policy) -> None:
    """An end needs no look at who it was if nobody knew it and it was good, or all is being stopped; none in a kill."""
    history = History(policy)
    history.play("adopted 20 -> process.adopted 20 adopted")
    good, bad = end("exited", "0"), end("exited", "1")
    machine = history.machine
    assert machine.passes(30, good)
    assert not machine.passes(30, bad)
    assert not machine.passes(20, good)
    assert machine.leaves_heirs(10)
    assert list(machine.roster.deciders) == [10]
    assert not machine.leaves_heirs(20)
    history.tell("signal TERM", "signal TERM")
    assert machine.leaves_heirs(10)
    assert machine.passes(30, bad)
    assert not machine.passes(30, end("killed", "KILL"))
    assert not machine.passes(20, bad)
    history.tell("signal INT")
    assert machine.unseen == set()


def test_root_that_left_mains_group_after_it_was_adopted() -> None:
    """A daemon is adopted before its setsid(2): that main's group has had the signal says nothing about it."""
    history = History()
    history.play("where 20 group=10 born=-5")
    history.tell("adopted 20", "signal TERM")
    told = [describe(action) for action in history.actions("ended", "10", "exited", "0")]
    assert any(action.startswith(("child 20", "inspect")) and "20" in action.split() for action in told)
    history.forget("20")
    history.play("where 20 group=20 born=-5")
    told += [describe(action) for action in history.actions("inspected", "20")]
    assert told.count("child 20 TERM+CONT") == 1


def test_status_of_a_stop_while_running() -> None:
    """In a stop main decides alone: 0 when it exits 0, whatever the signal does to those that it leaves."""
    machine = play(
        ASKED
        + """
        adopted 20 -> process.adopted 20 adopted; child 20 TERM+CONT; inspect 20
        ended 10 exited 0 -> reap 10 main 0
        settled
        ended 20 killed TERM -> reap 20 adopted 143
        childless -> pyinit.exited signal 0; exit 0
        """
    )
    assert machine.status == 0


def test_status_of_a_stop_while_holding() -> None:
    """In a stop the first successor that ends other than with 0 decides; an heir of that moment does not."""
    play(
        HELD_TWO
        + """
        signal TERM -> stop.begun signal TERM; child 20 TERM+CONT; child 30 TERM+CONT; inspect 20 30
        adopted 40 -> process.adopted 40 adopted; child 40 TERM+CONT; inspect 40
        ended 20 exited 0 -> reap 20 successor 0
        ended 40 exited 7 -> reap 40 adopted 7
        ended 30 killed TERM -> reap 30 successor 143
        childless -> pyinit.exited successor 143; exit 143
        """
    )


def test_everything_gone_before_the_grace_is_over() -> None:
    """Nothing left: leave at once, without a deadline more."""
    machine = play(ASKED + "at 0.1 ended 10 exited 0 -> reap 10 main 0\n childless -> pyinit.exited signal 0; exit 0")
    assert (machine.phase, machine.deadline) == (DONE, None)


def test_group_of_a_dead_leader() -> None:
    """Main's end stops the run: its group is signalled while main's zombie pins the number, before the reap."""
    play(
        """
        where 20 group=10 born=-5
        adopted 20 -> process.adopted 20 adopted
        adopted 30 -> process.adopted 30 adopted
        at 1 ended 10 killed KILL -> stop.begun main TERM; group 10 TERM+CONT; child 30 TERM+CONT; inspect 20 30
                                  -> reap 10 main 137 warning
        inspected 20 30
        """
    )


def test_group_is_not_signalled_after_the_reap() -> None:
    """Main has been reaped: the number of its group may be somebody else's, and no stop uses it."""
    play(
        HELD_TWO
        + "signal HUP -> child 20 HUP; child 30 HUP; signal.forwarded HUP 20 30\n"
        + """
        ended 20 exited 1 -> stop.begun successor TERM; child 30 TERM+CONT; inspect 30; reap 20 successor 1 warning
    """
    )


def test_all_the_rest_after_a_third_of_the_grace() -> None:
    """After a third of the grace every process that is left gets the signal, each once; one record says so."""
    play(
        """
        where 20 group=10 born=-5
        where 40 group=10 born=0.5
        where 50 dead
        adopted 30 -> process.adopted 30 adopted
        """
        + ASKED
        + """
        at 2.9 time-up
        is stopping until 3
        at 3 time-up -> walk
        is stopping until 3.25
        walked 10 20 30 40 50 -> stop.escalated 30 40; child 30 TERM+CONT; descendant 40 TERM+CONT
        """,
        grace_s=9.0,
    )


def test_born_after_a_third_of_the_grace() -> None:
    """Those that are born from then on get the signal too, once: the tree is walked until the grace is over."""
    play(
        ASKED
        + """
        at 3 time-up -> walk
        walked 10
        at 3.25 time-up -> walk
        walked 10 20 -> stop.escalated 20; descendant 20 TERM+CONT
        at 3.5 time-up -> walk
        walked 10 20 30 -> descendant 30 TERM+CONT
        adopted 30 -> process.adopted 30 adopted
        adopted 40 -> process.adopted 40 adopted; child 40 TERM+CONT; inspect 40
        at 3.6 time-up
        """,
        grace_s=9.0,
    )


def test_born_with_the_signal_on_its_way() -> None:
    """A start time is known to a tick only: who may have been born after the group had the signal gets it again."""
    play(
        """
        where 20 group=10 born=0.995
        where 30 group=10 born=0.9
        where 40 group=10
        """
        "at 1 signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10\n"
        """
        adopted 20 -> process.adopted 20 adopted; child 20 TERM+CONT; inspect 20
        adopted 30 -> process.adopted 30 adopted
        adopted 40 -> process.adopted 40 adopted; child 40 TERM+CONT; inspect 40
        """
    )


def test_adopted_while_stopping() -> None:
    """A root that is adopted while stopping gets the signal on arrival; a foreign one as well."""
    play(
        """
        where 30 foreign
        """
        + ASKED
        + """
        adopted 20 -> process.adopted 20 adopted; child 20 TERM+CONT; inspect 20
        adopted 30 -> process.adopted 30 foreign debug; child 30 TERM+CONT; inspect 30
        """
    )


def test_ignoring_root_hands_the_signal_on() -> None:
    """A root that ignores the signal hands it to its children at once, and these to theirs; each gets it once."""
    play(
        HELD_TWO
        + """
        signal TERM -> stop.begun signal TERM; child 20 TERM+CONT; child 30 TERM+CONT; inspect 20 30
        inspected 20!TERM>40,50 30!HUP>60 -> descendant 40 TERM+CONT; descendant 50 TERM+CONT; inspect 40 50
        inspected 40!TERM>70 50>80 -> descendant 70 TERM+CONT; inspect 70
        inspected 70!TERM
        at 2.7 time-up -> walk
        walked 20 30 40 50 60 70 80 -> stop.escalated 60 80; descendant 60 TERM+CONT; descendant 80 TERM+CONT
        """
    )


def test_ignoring_main_hands_the_signal_on() -> None:
    """A shell as main that ignores the signal: its children in its group have it, those that left the group get it."""
    play("""
        where 20 group=10 born=-5
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        inspected 10!TERM>20,30 -> descendant 30 TERM+CONT; inspect 20 30
        inspected 20!TERM>40 30 -> descendant 40 TERM+CONT; inspect 40
        inspected
    """)


def test_instead_of_an_ignored_interrupt() -> None:
    """A script's background jobs ignore SIGINT: a stop that was asked for with it gives them SIGTERM instead."""
    play(
        HELD_TWO
        + """
        signal INT -> stop.begun signal INT; child 20 INT+CONT; child 30 INT+CONT; inspect 20 30
        inspected 20!INT 30!INT,TERM -> child 20 TERM+CONT
        at 2.7 time-up -> walk
        walked 20 30 40 -> stop.escalated 40; descendant 40 INT+CONT; inspect 40
        inspected 40!INT -> descendant 40 TERM+CONT
        """
    )


def test_stop_signal_has_no_other_instead() -> None:
    """Who sets --stop-signal gets that signal and no other."""
    play(
        HELD_TWO
        + """
        signal INT -> stop.begun signal QUIT; child 20 QUIT+CONT; child 30 QUIT+CONT; inspect 20 30
        inspected 20!QUIT 30
        at 2.7 time-up -> walk
        walked 20 30 40 -> stop.escalated 40; descendant 40 QUIT+CONT
        """,
        schedule=((SIGNALS["QUIT"], None),),
    )


def test_second_stop_request() -> None:
    """A stop asked for twice is one stop: the second is told, and changes neither signal nor deadline."""
    play(
        ASKED
        + """
        at 1 signal INT -> stop.repeated INT
        is stopping until 2.666666
        at 8 time-up -> stop.killing 10; kill children
        signal TERM -> stop.repeated TERM
        is killing until 9
        """
    )


def test_signals_are_forwarded_while_stopping() -> None:
    """A signal that is no stop request is forwarded in a stop too: to main's group, later to the successors."""
    play(
        ASKED
        + """
        signal HUP -> group 10 HUP; signal.forwarded HUP -10
        ended 10 exited 0 -> reap 10 main 0
        settled
        signal HUP -> signal.forwarded HUP
        at 8 time-up -> stop.killing; kill children
        signal HUP
        """
    )


def test_stop_record_says_who_asked() -> None:
    """The record of a stop names who asked and with what, or whose end began it, and how long is left."""
    history = History(Policy(grace_s=4.0))
    history.tell("started")
    assert history.facts("signal", "INT") == {
        "reason": "signal",
        "signal": SIGNALS["INT"],
        "sender_pid": 7,
        "sender_uid": 1000,
        "process": None,
        "end": None,
        "stop_signal": SIGNALS["INT"],
        "grace_s": 4.0,
        "command": False,
    }
    history = History(Policy(grace_s=4.0))
    history.tell("started")
    facts = history.facts("ended", "10", "exited", "3")
    assert (facts["reason"], facts["signal"], facts["sender_pid"]) == ("main", None, None)
    assert facts["process"] is history.process("10")
    assert repr(facts["end"]) == "End('exited', 3)"


def test_long_lists_are_cut() -> None:
    """A record names the first processes, and says how many there are."""
    history = History()
    pids = [str(pid) for pid in range(20, 45)]
    history.tell("started", "signal TERM")
    history.now = 3.0
    history.tell("time-up")
    facts = history.facts("walked", *pids)
    assert (facts["processes"], facts["count"]) == ([history.process(pid) for pid in pids[:10]], 25)
    assert (facts["signal"], facts["after_s"]) == (SIGNALS["TERM"], 3.0)
    history.tell(*(f"adopted {pid}" for pid in pids))
    history.now = 8.0
    facts = history.facts("time-up")
    assert (facts["processes"], facts["count"]) == ([history.process(pid) for pid in ("10", *pids[:9])], 26)
    assert facts["grace_s"] == 8.0


def test_second_sigint() -> None:
    """Ctrl-C pressed twice is meant: a second SIGINT in a stop that SIGINT began ends the grace, a third nothing."""
    play("""
        adopted 20 -> process.adopted 20 adopted
        signal INT -> stop.begun signal INT; group 10 INT+CONT; inspect 10
        at 1 signal INT -> stop.repeated INT; stop.killing 10 20; kill children
        is killing until 2
        signal INT -> stop.repeated INT
        is killing until 2
        ended 20 killed KILL -> reap 20 adopted 137
        ended 10 killed KILL -> reap 10 main 137
        childless -> pyinit.exited main 137; exit 137
    """)


@pytest.mark.parametrize(("sent", "asked", "phase"), [(3, "INT", KILLING), (2, "TERM", STOPPING)])
def test_second_sigint_counts_what_asked(sent: int, asked: str, phase: str) -> None:
    """It is Ctrl-C pressed twice that ends the grace, whatever --stop-signal has the stop send."""
    history = History(Policy(schedule=((sent, None),)))
    history.tell("started")
    history.actions("signal", asked)
    history.actions("signal", "INT")
    assert history.machine.phase == phase


@pytest.mark.parametrize(("first", "second"), [("TERM", "TERM"), ("TERM", "INT"), ("INT", "TERM"), ("QUIT", "QUIT")])
def test_other_second_requests(first: str, second: str) -> None:
    """Supervisors repeat themselves: no second request but SIGINT behind SIGINT shortens the grace."""
    play(f"""
        signal {first} -> stop.begun signal {first}; group 10 {first}+CONT; inspect 10
        at 1 signal {second} -> stop.repeated {second}
        is stopping until 2.666666
    """)


def test_sigint_behind_a_stop_that_an_end_began() -> None:
    """One Ctrl-C is not two: a stop that an end began goes on as it is."""
    play("""
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 1 -> stop.begun main TERM; group 10 TERM+CONT; child 20 TERM+CONT; inspect 20
                          -> reap 10 main 1 warning
        signal INT -> stop.repeated INT
        is stopping until 2.666666
    """)


def test_reason_of_a_run_that_was_stopped() -> None:
    """When a stop was asked for and no end decided, that is why pyinit leaves, whoever ended last; bad ends decide."""
    stopped = (
        HELD_TWO
        + """
        ended 20 exited 0 -> reap 20 successor 0
        settled
        signal TERM -> stop.begun signal TERM; child 30 TERM+CONT; inspect 30
        """
    )
    play(stopped + "ended 30 exited 0 -> reap 30 successor 0\n childless -> pyinit.exited signal 0; exit 0")
    play(stopped + "ended 30 killed TERM -> reap 30 successor 143\n childless -> pyinit.exited successor 143; exit 143")
