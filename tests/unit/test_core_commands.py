"""--stop-command: histories (docs/signals.md)."""

from __future__ import annotations

import pytest

from pyinit.core.machine import DONE
from pyinit.core.model import STOP_COMMAND, Policy
from unit.core_model import ASKED, HELD, HELD_AND_ASKED, SIGNALS, History, describe_all, play


def test_command_comes_first() -> None:
    """A stop request runs the stop command, in main's stead or the service's, and signals nobody as long as it runs."""
    play(
        ASKED
        + """
        at 1 adopted 30 -> process.adopted 30 adopted
        walked 10 30
        at 3.9 time-up
        is stopping until 4
        """,
        stop_command=True,
    )


def test_record_of_a_stop_says_that_a_command_runs() -> None:
    """The record of the stop says whether a command is run, and its own record which process it is."""
    for stop_command in (True, False):
        history = History(Policy(stop_command=stop_command))
        history.tell("started")
        assert history.facts("signal", "TERM")["command"] is stop_command
    history = History(Policy(stop_command=True))
    history.tell("started", "signal TERM")
    assert history.facts("command", "stop", "90") == {
        "kind": STOP_COMMAND,
        "process": history.process("90"),
        "errno": 0,
    }


def test_command_that_stops_all() -> None:
    """The command works: main ends, the command ends, nobody was signalled; the status is main's alone."""
    play(
        ASKED
        + """
        at 1 ended 10 exited 0 -> reap 10 main 0
        settled
        is stopping until 4
        ended 90 exited 0 -> command.ended stop 90 0; reap 90 command 0
        childless -> pyinit.exited signal 0; exit 0
        """,
        stop_command=True,
    )


def test_command_that_stops_the_service() -> None:
    """The same while the service is held: its end decides, and the command's does not."""
    play(
        HELD_AND_ASKED
        + """
        at 1 ended 20 exited 0 -> reap 20 successor 0
        ended 90 exited 0 -> command.ended stop 90 0; reap 90 command 0
        childless -> pyinit.exited signal 0; exit 0
        """,
        stop_command=True,
    )
    play(
        HELD_AND_ASKED
        + """
        at 1 ended 20 exited 143 -> reap 20 successor 143
        ended 90 exited 0 -> command.ended stop 90 0; reap 90 command 0
        childless -> pyinit.exited successor 143; exit 143
        """,
        stop_command=True,
    )


@pytest.mark.parametrize(("end", "status"), [("exited 1", 1), ("exited 127", 127), ("killed SEGV", 139)])
def test_command_that_fails(end: str, status: int) -> None:
    """The command fails: the signals come at once, the failure is told, and it does not decide the status."""
    play(
        ASKED
        + f"""
        at 1 ended 90 {end} -> command.ended stop 90 {status} warning; stop.escalated 10; group 10 TERM+CONT; inspect 10
                            -> reap 90 command {status}
        inspected 10
        at 1.5 ended 10 exited 0 -> reap 10 main 0
        childless -> pyinit.exited signal 0; exit 0
        """,
        stop_command=True,
    )


def test_signals_have_the_rest_behind_a_command_that_fails() -> None:
    """The signals come earlier then, and SIGKILL when it would have come anyway."""
    play(
        ASKED
        + """
        at 1 ended 90 exited 1 -> command.ended stop 90 1 warning; stop.escalated 10; group 10 TERM+CONT; inspect 10
                               -> reap 90 command 1
        is stopping until 2.333333
        at 2.4 time-up -> walk
        walked 10 20 -> descendant 20 TERM+CONT
        at 7.9 time-up -> walk
        walked 10 20
        at 8 time-up -> stop.killing 10; kill children
        """,
        stop_command=True,
    )


def test_command_that_cannot_be_started() -> None:
    """There is no process for the command (EAGAIN, EMFILE): that is told, and the signals come at once."""
    play(
        """
        signal TERM -> stop.begun signal TERM command; run stop 10 TERM 8
        command stop fails 11 -> command.started stop 11 warning; stop.escalated 10; group 10 TERM+CONT; inspect 10
        inspected 10
        is stopping until 1.333333
        ended 10 exited 0 -> reap 10 main 0
        childless -> pyinit.exited signal 0; exit 0
        """,
        stop_command=True,
    )


def test_command_that_hangs() -> None:
    """The command's time is over: the signals, for it as for all that is left; that ends it is no news then."""
    play(
        ASKED
        + """
        at 4 time-up -> stop.escalated 10 90; group 10 TERM+CONT; inspect 10
        inspected 10
        is stopping until 5.333333
        at 4.5 ended 10 killed TERM -> child 90 TERM+CONT; inspect 90; reap 10 main 143
        settled
        at 5.4 time-up -> walk
        walked 90 91 -> descendant 91 TERM+CONT
        at 8 time-up -> stop.killing 90; kill children
        ended 90 killed KILL -> command.ended stop 90 137; reap 90 command 137
        childless -> pyinit.exited main 143; exit 143
        """,
        stop_command=True,
    )


def test_command_that_hangs_while_the_service_is_held() -> None:
    """Where main has gone the command is a root among the roots, and gets the signal with them."""
    play(
        HELD_AND_ASKED
        + """
        at 4 time-up -> stop.escalated 20 90; child 20 TERM+CONT; child 90 TERM+CONT; inspect 20 90
        ended 90 killed TERM -> command.ended stop 90 143; reap 90 command 143
        ended 20 killed TERM -> reap 20 successor 143
        childless -> pyinit.exited successor 143; exit 143
        """,
        stop_command=True,
    )


def test_command_is_done_and_the_service_is_not() -> None:
    """The command exits 0 and what it was for still lives: that may be on its way out, and has the command's time."""
    play(
        ASKED
        + """
        at 1 ended 90 exited 0 -> command.ended stop 90 0; reap 90 command 0
        settled
        is stopping until 4
        at 4 time-up -> stop.escalated 10; group 10 TERM+CONT; inspect 10
        """,
        stop_command=True,
    )
    play(
        HELD_AND_ASKED
        + """
        at 1 ended 90 exited 0 -> command.ended stop 90 0; reap 90 command 0
        settled
        is stopping until 4
        at 4 time-up -> stop.escalated 20; child 20 TERM+CONT; inspect 20
        """,
        stop_command=True,
    )


def test_command_is_done_and_leaves_strays() -> None:
    """The command exits 0, the service has gone, and others are left: the signals come to these at once."""
    play(
        HELD
        + """
        adopted 40 -> process.adopted 40 adopted
        settled
        signal TERM -> stop.begun signal TERM command; run stop 20 TERM 8
        command stop 90 -> command.started stop 90
        at 1 ended 20 exited 0 -> reap 20 successor 0
        is stopping until 4
        at 1.5 ended 90 exited 0 -> command.ended stop 90 0; stop.escalated 40; child 40 TERM+CONT; inspect 40
                                 -> reap 90 command 0
        ended 40 killed TERM -> reap 40 adopted 143
        childless -> pyinit.exited signal 0; exit 0
        """,
        stop_command=True,
    )


@pytest.mark.parametrize("served", ["main", "successor"])
def test_service_goes_behind_the_command(served: str) -> None:
    """The same when the service goes after the command: who is left then gets the signal at once."""
    if served == "main":
        before = "adopted 40 -> process.adopted 40 adopted" + ASKED
        signals = "group 10 TERM+CONT; child 40 TERM+CONT; inspect 40"
        last = f"ended 10 exited 0 -> stop.escalated 40; {signals}; reap 10 main 0"
    else:
        before = HELD + "adopted 40 -> process.adopted 40 adopted\n settled\n" + HELD_AND_ASKED.removeprefix(HELD)
        last = "ended 20 exited 0 -> stop.escalated 40; child 40 TERM+CONT; inspect 40; reap 20 successor 0"
    play(
        before
        + f"""
        at 1 ended 90 exited 0 -> command.ended stop 90 0; reap 90 command 0
        settled
        at 2 {last}
        """,
        stop_command=True,
    )


def test_no_process_is_waited_for_behind_the_command() -> None:
    """Nobody is left: the run ends at once, whatever time there was."""
    machine = play(
        ASKED
        + """
        ended 90 exited 0 -> command.ended stop 90 0; reap 90 command 0
        ended 10 exited 0 -> group 10 TERM+CONT; reap 10 main 0
        childless -> pyinit.exited signal 0; exit 0
        """,
        stop_command=True,
    )
    assert (machine.phase, machine.deadline) == (DONE, None)


@pytest.mark.parametrize("stop_on", ["INT", "TERM"])
def test_ctrl_c_twice(stop_on: str) -> None:
    """Ctrl-C pressed twice ends the grace, command or not; any other second request is told and no more."""
    history = History(Policy(stop_command=True))
    history.tell("started", f"signal {stop_on}", "command stop 90")
    history.now = 1.0
    told = describe_all(history.actions("signal", "INT"))
    if stop_on == "INT":
        assert told == ["stop.repeated INT", "stop.killing 10 90", "kill children"]
        history.play("""
            ended 90 killed KILL -> command.ended stop 90 137 warning; reap 90 command 137
            ended 10 killed KILL -> reap 10 main 137
            childless -> pyinit.exited main 137; exit 137
        """)
    else:
        assert told == ["stop.repeated INT"]
        history.play("is stopping until 4")


@pytest.mark.parametrize("stop_on", ["INT", "TERM"])
def test_main_has_its_group_signalled_no_earlier_than_all(stop_on: str) -> None:
    """Main ends while the command runs: its group is not signalled, nor what it leaves."""
    play(
        f"""
        where 20 group=10 born=-5
        adopted 20 -> process.adopted 20 adopted
        signal {stop_on} -> stop.begun signal {stop_on} command; run stop 10 {stop_on} 8
        command stop 90 -> command.started stop 90
        at 1 ended 10 exited 0 -> reap 10 main 0
        settled
        at 4 time-up -> stop.escalated 20 90; child 20 {stop_on}+CONT; child 90 {stop_on}+CONT; inspect 20 90
        """,
        stop_command=True,
    )


def test_grace_0() -> None:
    """A grace of 0 leaves no time for a command: SIGKILL at once."""
    play(
        """
        signal TERM -> stop.begun signal TERM command; stop.killing 10; kill children
        is killing until 1
        """,
        stop_command=True,
        grace_s=0.0,
    )


def test_no_command_where_the_service_has_ended() -> None:
    """An end that stops the run needs no stop command: main's, a successor's, the last one's, that of --until main."""
    play(
        """
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 1 -> stop.begun main TERM; group 10 TERM+CONT; child 20 TERM+CONT; inspect 20
                          -> reap 10 main 1 warning
        signal TERM -> stop.repeated TERM
        """,
        stop_command=True,
    )
    play(
        HELD
        + """
        adopted 30 -> process.adopted 30 adopted
        settled
        ended 20 exited 1 -> stop.begun successor TERM; child 30 TERM+CONT; inspect 30; reap 20 successor 1 warning
        """,
        stop_command=True,
    )
    play(
        HELD
        + """
        adopted 30 -> process.adopted 30 adopted
        settled
        ended 20 exited 0 -> reap 20 successor 0
        settled -> stop.begun service TERM; child 30 TERM+CONT; inspect 30
        """,
        stop_command=True,
    )
    play(
        """
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 0 -> stop.begun main TERM; group 10 TERM+CONT; child 20 TERM+CONT; inspect 20; reap 10 main 0
        """,
        stop_command=True,
        until="main",
    )


def test_no_command_where_nobody_serves() -> None:
    """Neither main nor a successor lives: there is nothing for a stop command to stop."""
    play(
        """
        where 20 foreign
        adopted 20 -> process.adopted 20 foreign debug
        ended 10 exited 0 -> reap 10 main 0
        settled -> service.handover
        signal TERM -> stop.begun signal TERM; child 20 TERM+CONT; inspect 20
        """,
        stop_command=True,
        until="all",
    )
    play("paused -> pyinit.started\n signal TERM -> stop.begun signal TERM", stop_command=True)


def test_command_is_for_the_service_that_is_known() -> None:
    """What MAINPID is: the process that is proven to be the service, or nobody where several carry it together."""
    play(
        """
        adopted 20 -> process.adopted 20 adopted
        adopted 30 -> process.adopted 30 adopted
        ended 10 exited 0 -> reap 10 main 0
        settled -> service.handover 20 30; pyinit.ready handover
        signal QUIT -> stop.begun signal QUIT command; run stop - QUIT 8
        """,
        stop_command=True,
    )
    play(
        """
        adopted 20 -> process.adopted 20 adopted
        claim 40 below 20 -> service.identified 40 pid-file below 20; follow 40; pyinit.ready pid-file 40
        signal QUIT -> stop.begun signal QUIT command; run stop 40 QUIT 8
        """,
        stop_command=True,
        pid_file=True,
    )


def test_signal_that_asked_is_what_came() -> None:
    """The command is told the signal as it came; what the processes get later is what --rewrite made of it."""
    play(
        """
        signal HUP -> stop.begun signal TERM command; run stop 10 HUP 8
        command stop 90 -> command.started stop 90
        at 4 time-up -> stop.escalated 10 90; group 10 TERM+CONT; inspect 10
        """,
        stop_command=True,
        rewrite={SIGNALS["HUP"]: SIGNALS["TERM"]},
    )


def test_signals_are_forwarded_while_the_command_runs() -> None:
    """A signal that asks for nothing is forwarded in a stop, whether a command runs or not."""
    play(ASKED + "signal USR1 -> group 10 USR1; signal.forwarded USR1 -10", stop_command=True)


def test_more_time_for_a_command() -> None:
    """EXTEND_TIMEOUT_USEC while the command runs: it has so much longer, and nothing is waited for in a circle."""
    play(
        ASKED
        + """
        at 1 notify 10 EXTEND_TIMEOUT_USEC=29000000
             -> service.notified 10 extend_timeout_usec=29000000 debug; pass on EXTEND_TIMEOUT_USEC=29000000
             -> stop.extended 29 to 30
        is stopping until 26
        at 26 time-up -> stop.escalated 10 90; group 10 TERM+CONT; inspect 10
        is stopping until 27.333333
        at 30 time-up -> stop.killing 10 90; kill children
        """,
        stop_command=True,
        notify=True,
        grace_max_s=60.0,
    )
