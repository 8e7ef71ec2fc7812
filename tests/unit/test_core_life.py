"""The life of a run, from main's start to its exit: histories and what they bring (docs/architecture.md)."""

from __future__ import annotations

import pytest

from pyinit.core import events
from pyinit.core.machine import DONE, HOLDING, RUNNING, STARTING, STOPPING, Machine
from pyinit.core.model import ADOPTED, MAIN, SUCCESSOR, Policy, Process
from pyinit.core.roster import Roster
from unit.core_model import EPOCH_S, History, new_main, play

# A launcher that exits 0 and leaves 20 behind, as most daemons are started.
HELD = """
    adopted 20 -> process.adopted 20 adopted
    ended 10 exited 0 -> reap 10 main 0
    settled -> service.handover 20; pyinit.ready handover 20
    is holding
"""
# The same with two.
HELD_TWO = """
    adopted 20 -> process.adopted 20 adopted
    adopted 30 -> process.adopted 30 adopted
    ended 10 exited 0 -> reap 10 main 0
    settled -> service.handover 20 30; pyinit.ready handover
    is holding
"""


def test_run_begins_when_main_runs() -> None:
    """A run is starting until main runs; then one record says so, and nothing is waited for but events."""
    machine = Machine(Policy())
    assert (machine.phase, machine.deadline, machine.status) == (STARTING, None, None)
    machine.handle(events.Started(new_main()), EPOCH_S)
    assert (machine.phase, machine.deadline, machine.status) == (RUNNING, None, None)
    assert machine.roster.role(new_main()) == MAIN


def test_nothing_ends_a_run_before_main_has_ended() -> None:
    """While main lives, no end of anybody else and no look at the children ends the run."""
    play("""
        adopted 20 -> process.adopted 20 adopted
        settled
        ended 20 exited 1 -> reap 20 adopted 1 info
        childless
        is running
    """)


@pytest.mark.parametrize("until", ["main", "service", "all"])
def test_main_alone_exits_0(until: str) -> None:
    """Status 0 and nothing is left (ECHILD): done, status 0, at once."""
    lines = {
        "main": """ended 10 exited 0 -> stop.begun main TERM; group 10 TERM+CONT; reap 10 main 0
                   childless -> pyinit.exited main 0; exit 0""",
        "service": """ended 10 exited 0 -> reap 10 main 0
                      childless -> pyinit.exited main 0; exit 0""",
    }
    machine = play(lines.get(until, lines["service"]), until=until)
    assert (machine.phase, machine.status, machine.deadline) == (DONE, 0, None)


@pytest.mark.parametrize(
    ("end", "status"),
    [("exited 1", 1), ("exited 255", 255), ("killed KILL", 137), ("killed TERM", 143), ("dumped QUIT", 131)],
)
@pytest.mark.parametrize("until", ["main", "service"])
def test_bad_end_of_main_stops_what_is_left(until: str, end: str, status: int) -> None:
    """Main ends with a status other than 0: stopping, and pyinit's status is main's (N, or 128 + the signal)."""
    machine = play(
        f"""
        adopted 20 -> process.adopted 20 adopted
        ended 10 {end} -> stop.begun main TERM; group 10 TERM+CONT; child 20 TERM+CONT; inspect 20
                       -> reap 10 main {status} warning
        inspected 20
        settled
        ended 20 exited 7 -> reap 20 adopted 7
        childless -> pyinit.exited main {status}; exit {status}
        """,
        until=until,
    )
    assert machine.status == status


def test_what_main_leaves_is_the_service() -> None:
    """Main exits 0 and something is left: its roots are the successors, and one record names them; idle means idle."""
    machine = play(HELD_TWO)
    assert (machine.phase, machine.deadline) == (HOLDING, None)
    assert [machine.roster.role(process) for process in machine.roster.alive] == [SUCCESSOR, SUCCESSOR]


def test_foreign_roots_are_no_successors() -> None:
    """What main leaves behind, less the foreign ones, is the service; a foreign root is told at debug level."""
    play("""
        where 20 foreign
        adopted 20 -> process.adopted 20 foreign debug
        adopted 30 -> process.adopted 30 adopted
        ended 10 exited 0 -> reap 10 main 0
        settled -> service.handover 30; pyinit.ready handover 30
        ended 20 exited 1 -> reap 20 foreign 1
        settled
        is holding
    """)


def test_foreign_roots_alone_are_no_service() -> None:
    """Main exits 0 and only foreign roots are left: there is no service; they are stopped, status 0."""
    play("""
        where 20 foreign
        adopted 20 -> process.adopted 20 foreign debug
        ended 10 exited 0 -> reap 10 main 0
        settled -> stop.begun service TERM; child 20 TERM+CONT; inspect 20
        ended 20 killed TERM -> reap 20 foreign 143
        childless -> pyinit.exited main 0; exit 0
    """)


def test_bad_end_of_a_successor_stops_the_rest() -> None:
    """A successor ends with a status other than 0: stopping; that status is pyinit's. Half a service is no service."""
    play(
        HELD_TWO
        + """
        ended 20 killed KILL -> stop.begun successor TERM; child 30 TERM+CONT; inspect 30; reap 20 successor 137 warning
        settled
        ended 30 exited 0 -> reap 30 successor 0
        childless -> pyinit.exited successor 137; exit 137
        """
    )


def test_first_bad_status_wins() -> None:
    """Whoever ends badly after the first does not change the status any more."""
    play(
        HELD_TWO
        + """
        ended 20 exited 3 -> stop.begun successor TERM; child 30 TERM+CONT; inspect 30; reap 20 successor 3 warning
        ended 30 killed TERM -> reap 30 successor 143
        childless -> pyinit.exited successor 3; exit 3
        """
    )


def test_successors_bad_end_at_the_same_moment_as_mains_end() -> None:
    """What main left behind is the service from main's end on: a bad end told right behind main's decides as well."""
    history = History()
    history.play("""
        adopted 20 -> process.adopted 20 adopted
        adopted 30 -> process.adopted 30 adopted
        ended 10 exited 0 -> reap 10 main 0
    """)
    history.tell("ended 20 exited 4", "settled")
    assert history.machine.phase == STOPPING
    history.tell("ended 30 killed TERM", "childless")
    assert history.machine.status == 4


def test_only_successor_ends_badly_at_the_same_moment_as_main() -> None:
    """A daemon that fails while its launcher exits 0 is not a good run."""
    history = History()
    history.play("""
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 0 -> reap 10 main 0
    """)
    history.tell("ended 20 exited 4", "childless")
    assert history.machine.status == 4


def test_middle_of_a_double_fork_ends_with_main() -> None:
    """The middle of a double fork that ends right behind main hands its role to its child; nothing is stopped."""
    history = History()
    history.play("""
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 0 -> reap 10 main 0
        adopted 30 -> process.adopted 30 adopted
    """)
    history.tell("ended 20 exited 0", "settled")
    assert (history.machine.phase, history.machine.deadline) == (HOLDING, None)
    assert [process.pid for process in history.machine.roster.successors] == [30]


def test_middle_of_a_double_fork_is_watched_from_mains_end_on() -> None:
    """From main's end on the shell is told to look at what main's roots leave behind, before it tells their end."""
    machine = play("""
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 0 -> reap 10 main 0
    """)
    assert list(machine.roster.deciders) == [20]


def test_heirs_of_a_successor_that_exits_0() -> None:
    """A successor ends 0; the children that come to pyinit at that moment inherit its role, and decide from then on."""
    play(
        HELD
        + """
        adopted 30 -> process.adopted 30 adopted
        adopted 40 -> process.adopted 40 adopted
        ended 20 exited 0 -> service.inherited 20 to 30 40; reap 20 successor 0
        settled
        is holding
        ended 30 exited 0 -> reap 30 successor 0
        settled
        is holding
        ended 40 exited 5 -> stop.begun successor TERM; reap 40 successor 5 warning
        childless -> pyinit.exited successor 5; exit 5
        """
    )


def test_heirs_are_told_once() -> None:
    """Two successors that end 0 at the same moment do not hand on the same children twice."""
    play(
        HELD_TWO
        + """
        adopted 40 -> process.adopted 40 adopted
        ended 20 exited 0 -> service.inherited 20 to 40; reap 20 successor 0
        ended 30 exited 0 -> reap 30 successor 0
        settled
        is holding
        ended 40 exited 0 -> reap 40 successor 0
        childless -> pyinit.exited service 0; exit 0
        """
    )


def test_foreign_roots_are_no_heirs() -> None:
    """Who is foreign inherits nothing."""
    play(
        HELD
        + """
        where 30 foreign
        adopted 30 -> process.adopted 30 foreign debug
        ended 20 exited 0 -> reap 20 successor 0
        settled -> stop.begun service TERM; child 30 TERM+CONT; inspect 30
        """
    )


def test_root_that_turns_up_otherwise_does_not_decide() -> None:
    """A root that came at another moment (an ssh session, a crashed worker's child) is tracked, and does not decide."""
    machine = play(
        HELD
        + """
        adopted 30 -> process.adopted 30 adopted
        settled
        ended 30 killed USR1 -> reap 30 adopted 138 info
        settled
        is holding
        adopted 40 -> process.adopted 40 adopted
        settled
        ended 20 exited 0 -> reap 20 successor 0
        settled -> stop.begun service TERM; child 40 TERM+CONT; inspect 40
        ended 40 killed TERM -> reap 40 adopted 143
        childless -> pyinit.exited service 0; exit 0
        """
    )
    assert machine.status == 0


def test_last_successor_exits_0() -> None:
    """The last successor ends 0 and nothing is left: done, status 0."""
    play(
        HELD_TWO
        + """
        ended 20 exited 0 -> reap 20 successor 0
        settled
        is holding
        ended 30 exited 0 -> reap 30 successor 0
        childless -> pyinit.exited service 0; exit 0
        """
    )


def test_came_and_went_between_two_looks() -> None:
    """A root that nobody saw alive has its one reap record all the same, and counts as adopted."""
    machine = play("""
        ended 20 exited 1 -> reap 20 adopted 1 info
        settled
        is running
    """)
    assert (machine.adopted, machine.reaped) == (1, 1)


def test_adopted_is_told_once() -> None:
    """A root that is seen again is no news."""
    play("""
        adopted 20 -> process.adopted 20 adopted
        adopted 20
        adopted 10
    """)


def test_number_of_a_reaped_process_may_come_again() -> None:
    """After a reap the same number is somebody else: it has neither main's nor the successor's role."""
    history = History()
    history.play(HELD)
    history.forget("10")
    history.play("""
        adopted 10 -> process.adopted 10 adopted
        ended 10 exited 1 -> reap 10 adopted 1 info
        settled
        is holding
        ended 20 exited 0 -> reap 20 successor 0
    """)
    history.forget("20")
    history.play("""
        adopted 20 -> process.adopted 20 adopted
        ended 20 exited 1 -> reap 20 adopted 1 info
        childless -> pyinit.exited service 0; exit 0
    """)


def test_until_main() -> None:
    """--until main: the run is over when main ends, also with 0; what is left is stopped; the status is main's."""
    play(
        """
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 0 -> stop.begun main TERM; group 10 TERM+CONT; child 20 TERM+CONT; inspect 20; reap 10 main 0
        settled
        ended 20 killed TERM -> reap 20 adopted 143
        childless -> pyinit.exited main 0; exit 0
        """,
        until="main",
    )


@pytest.mark.parametrize(("end", "status"), [("exited 0", 0), ("exited 2", 2), ("killed KILL", 137)])
def test_until_all(end: str, status: int) -> None:
    """--until all: over when nothing at all is left; no end stops the rest; the first bad status wins."""
    warning = " warning" if status else ""
    history = History(Policy(until="all"))
    history.play("""
        adopted 20 -> process.adopted 20 adopted
        adopted 30 -> process.adopted 30 adopted
        ended 10 exited 0 -> reap 10 main 0
        settled -> service.handover 20 30; pyinit.ready handover
        is holding
    """)
    history.play(f"ended 20 {end} -> reap 20 successor {status}{warning}\n settled\n is holding")
    history.play("ended 30 exited 0 -> reap 30 successor 0\n settled\n is holding")
    history.tell("ended 40 exited 9", "childless")
    assert history.machine.status == status


def test_until_all_waits_after_a_bad_end_of_main() -> None:
    """--until all: main's bad end decides the status, and the run goes on until nothing is left."""
    history = History(Policy(until="all"))
    history.tell("started", "adopted 20", "ended 10 exited 6", "settled")
    assert (history.machine.phase, history.machine.deadline) == (HOLDING, None)
    history.tell("ended 20 exited 7", "childless")
    assert history.machine.status == 6


def test_until_all_waits_for_foreign_roots() -> None:
    """--until all: all is all, foreign roots too; they do not decide the status."""
    history = History(Policy(until="all"))
    history.play("where 20 foreign")
    history.tell("started", "adopted 20", "ended 10 exited 0", "settled")
    assert (history.machine.phase, history.machine.deadline) == (HOLDING, None)
    history.tell("ended 20 exited 7", "childless")
    assert history.machine.status == 0


@pytest.mark.parametrize(("end", "status"), [("exited 143", 143), ("killed TERM", 143), ("exited 7", 7)])
def test_ok_exit(end: str, status: int) -> None:
    """--ok-exit N: pyinit's status N becomes 0, however that status came about; others stay."""
    for ok_exits, expected in (((status, 3), 0), ((3,), status)):
        history = History(Policy(ok_exits=ok_exits))
        history.tell("started", f"ended 10 {end}", "childless")
        assert history.machine.status == expected


def test_forwarded_to_mains_group() -> None:
    """A signal that is no stop request goes to main's process group, real-time signals too; never SIGCHLD."""
    history = History()
    history.play("""
        adopted 20 -> process.adopted 20 adopted
        signal HUP -> group 10 HUP; signal.forwarded HUP -10
        signal RTMIN+3 -> group 10 RTMIN+3; signal.forwarded RTMIN+3 -10
        signal CHLD
        is running
    """)
    history.tell("ended 10 exited 0")
    assert history.facts("childless")["forwarded"] == 2


def test_forwarded_to_the_successors() -> None:
    """In holding a signal goes to the successors, and to no other root."""
    play(
        HELD_TWO
        + """
        adopted 40 -> process.adopted 40 adopted
        settled
        signal HUP -> child 20 HUP; child 30 HUP; signal.forwarded HUP 20 30
        ended 20 exited 0 -> reap 20 successor 0
        settled
        signal USR1 -> child 30 USR1; signal.forwarded USR1 30
        is holding
        """
    )


def test_denied_signal_is_reported_once_per_process() -> None:
    """EPERM from a signal ends nothing, and is reported once per process."""
    play("""
        signal HUP -> group 10 HUP; signal.forwarded HUP -10
        denied 10 HUP -> signal.undeliverable 10 HUP
        denied 10 USR1
        denied 20 USR1 -> signal.undeliverable 20 USR1
        is running
    """)


def test_late_answers_change_nothing() -> None:
    """A deadline, a look or a walk that comes when no stop is on brings nothing; after the exit nothing does."""
    play("""
        time-up
        inspected 10!TERM>20
        walked 10 20
        is running
        ended 10 exited 0 -> reap 10 main 0
        childless -> pyinit.exited main 0; exit 0
        signal TERM
        ended 20 exited 1
        childless
        is done
    """)


def test_ways_of_escape() -> None:
    """Escaped: adopted, out of main's process group, out of main's session; unknown numbers prove nothing."""
    history = History()
    assert history.machine.roster.escaped(history.process("70")) == ()
    history.play("""
        where 20 group=10
        where 30
        where 40 session=40
        where 50 group=0 session=0
        where 60 foreign
        is running
    """)
    ways = {pid: history.machine.roster.escaped(history.process(pid)) for pid in ("10", "20", "30", "40", "50", "60")}
    assert ways == {
        "10": (),
        "20": ("adopted",),
        "30": ("adopted", "group"),
        "40": ("adopted", "group", "session"),
        "50": ("adopted",),
        "60": (),
    }


def test_pause() -> None:
    """--pause: no main, whoever is adopted is reaped, no end decides, and only a stop request ends the run, with 0."""
    history = History()
    history.play("""
        paused -> pyinit.started
        is holding
        childless
        is holding
        adopted 20 -> process.adopted 20 adopted
        settled
        signal HUP -> signal.forwarded HUP
        ended 20 exited 3 -> reap 20 adopted 3 info
        childless
        is holding
        adopted 30 -> process.adopted 30 adopted
        signal TERM -> stop.begun signal TERM; child 30 TERM+CONT; inspect 30
        settled
        ended 30 killed TERM -> reap 30 adopted 143
        childless -> pyinit.exited pause 0; exit 0
    """)
    assert history.machine.roster.escaped(history.process("20")) == ()


def test_pause_with_nobody() -> None:
    """--pause: with nobody there a stop request ends the run at once."""
    play("""
        paused -> pyinit.started
        signal TERM -> stop.begun signal TERM
        childless -> pyinit.exited pause 0; exit 0
    """)


@pytest.mark.parametrize(("end", "status"), [("exited 0", 0), ("exited 3", 3), ("killed TERM", 143)])
def test_rest_is_left(end: str, status: int) -> None:
    """As tini where it adopts nothing: when main ends pyinit leaves with its status, whoever is still there."""
    warning = " warning" if status else ""
    play(
        f"""
        adopted 20 -> process.adopted 20 adopted
        ended 10 {end} -> reap 10 main {status}{warning}
        settled -> pyinit.exited main {status}; exit {status}
        is done
        """,
        rest="leave",
    )


@pytest.mark.parametrize(("rewrite", "sent"), [({}, "TERM"), ({15: 3}, "QUIT")])
def test_rest_gets_a_signal(rewrite: dict[int, int], sent: str) -> None:
    """As dumb-init where it adopts nothing: main's group gets SIGTERM, as rewritten, before main is reaped."""
    play(
        f"""
        ended 10 exited 3 -> group 10 {sent}; reap 10 main 3 warning
        settled -> pyinit.exited main 3; exit 3
        """,
        rest="signal",
        rewrite=rewrite,
    )


def test_rest_in_somebody_elses_group_gets_no_signal() -> None:
    """Main has stayed in pyinit's process group: the group is not main's to be signalled."""
    history = History(Policy(rest="signal"))
    history.process("10").pgid = 5
    history.play("ended 10 exited 0 -> reap 10 main 0\n childless -> pyinit.exited main 0; exit 0")


@pytest.mark.parametrize("rest", ["leave", "signal"])
def test_rest_while_stopping(rest: str) -> None:
    """A stop that was asked for is carried through: it does not leave before everything has gone."""
    play(
        """
        adopted 20 -> process.adopted 20 adopted
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        ended 10 exited 0 -> child 20 TERM+CONT; inspect 20; reap 10 main 0
        settled
        is stopping until 2.666666
        """,
        rest=rest,
    )


@pytest.mark.parametrize("end", ["exited 1", "killed USR1"])
def test_bad_end_of_a_helper_is_told(end: str) -> None:
    """A helper's bad end is told while nothing is stopped; a foreign one's and a good one are not."""
    history = History()
    history.play("where 30 foreign")
    severities = [
        getattr(history.actions("ended", pid, *words.split())[-1], "severity", None)
        for pid, words in (("20", end), ("30", end), ("40", "exited 0"))
    ]
    assert severities == ["info", None, None]
    history.tell("signal TERM")
    assert getattr(history.actions("ended", "50", *end.split())[-1], "severity", "") is None


@pytest.mark.parametrize(("pgid", "sid"), [(10, 20), (20, 10)])
def test_who_is_with_main_is_not_foreign(pgid: int, sid: int) -> None:
    """A process in main's group or session came from main, even if it shows the mark of one that was brought in."""
    roster = Roster()
    roster.start(Process(10, pgid=10, sid=10))
    process = Process(20, pgid=pgid, sid=sid, foreign=True)
    roster.adopt(process)
    assert roster.role(process) == ADOPTED
