"""--reload-command, and what pyinit's own commands never are: histories (docs/signals.md)."""

from __future__ import annotations

import pytest

from pyinit.core.model import RELOAD_COMMAND, Policy
from unit.core_model import ASKED, HELD, SIGNALS, History, describe_all, play

# -- the reload command ------------------------------------------------------------------------------------------------


def test_reload() -> None:
    """--reload-command: SIGHUP runs it, and is not forwarded; its end is told, and decides nothing."""
    play(
        """
        signal HUP -> run reload 10 HUP 0
        command reload 90 -> command.started reload 90
        is running
        ended 90 exited 0 -> command.ended reload 90 0; reap 90 command 0
        settled
        is running
        signal HUP -> run reload 10 HUP 0
        """,
        reload_command=True,
    )
    play(
        HELD
        + """
        signal HUP -> run reload 20 HUP 0
        command reload 90 -> command.started reload 90
        settled
        is holding
        ended 90 exited 1 -> command.ended reload 90 1 warning; reap 90 command 1
        settled
        is holding
        ended 20 exited 0 -> reap 20 successor 0
        childless -> pyinit.exited service 0; exit 0
        """,
        reload_command=True,
    )


def test_reload_is_told() -> None:
    """The records of a reload say that it is one, which process it is, and how it ended."""
    history = History(Policy(reload_command=True))
    history.tell("started", "signal HUP")
    assert history.facts("command", "reload", "90") == {
        "kind": RELOAD_COMMAND,
        "process": history.process("90"),
        "errno": 0,
    }
    output, record, _ = history.actions("ended", "90", "exited", "3")
    assert getattr(output, "process", None) is history.process("90")
    facts = getattr(record, "facts", {})
    assert (facts["kind"], facts["process"]) == (RELOAD_COMMAND, history.process("90"))
    assert repr(facts["end"]) == "End('exited', 3)"


def test_no_reload_without_a_command() -> None:
    """Without --reload-command SIGHUP is a signal like any other."""
    play("signal HUP -> group 10 HUP; signal.forwarded HUP -10")


def test_reload_comes_after_rewriting() -> None:
    """What becomes SIGHUP reloads; what SIGHUP becomes is forwarded, or is nothing."""
    play(
        """
        signal USR1 -> run reload 10 HUP 0
        signal HUP -> group 10 QUIT; signal.forwarded HUP -10
        """,
        reload_command=True,
        rewrite={SIGNALS["USR1"]: SIGNALS["HUP"], SIGNALS["HUP"]: SIGNALS["QUIT"]},
        stop_on=(),
    )


def test_one_reload_at_a_time() -> None:
    """Any number of SIGHUPs while it runs make it run once more when it has ended, and then no more."""
    play(
        """
        signal HUP -> run reload 10 HUP 0
        signal HUP
        command reload 90 -> command.started reload 90
        signal HUP
        signal HUP
        ended 90 exited 0 -> command.ended reload 90 0; run reload 10 HUP 0; reap 90 command 0
        command reload 91 -> command.started reload 91
        ended 91 exited 0 -> command.ended reload 91 0; reap 91 command 0
        settled
        is running
        """,
        reload_command=True,
    )


def test_reload_that_fails_is_run_once_more_all_the_same() -> None:
    """A reload that was asked for comes, however the one before it has ended."""
    play(
        """
        signal HUP -> run reload 10 HUP 0
        command reload 90 -> command.started reload 90
        signal HUP
        ended 90 exited 1 -> command.ended reload 90 1 warning; run reload 10 HUP 0; reap 90 command 1
        """,
        reload_command=True,
    )


def test_reload_that_cannot_be_started() -> None:
    """There is no process for it: that is told, nothing is decided, and the next SIGHUP tries again."""
    play(
        """
        signal HUP -> run reload 10 HUP 0
        signal HUP
        command reload fails 11 -> command.started reload 11 warning
        is running
        signal HUP -> run reload 10 HUP 0
        command reload 90 -> command.started reload 90
        ended 90 exited 0 -> command.ended reload 90 0; reap 90 command 0
        """,
        reload_command=True,
    )


def test_stop_while_a_reload_runs() -> None:
    """A stop waits for no reload, and lets none begin: the one that runs is stopped with the rest."""
    play(
        """
        signal HUP -> run reload 10 HUP 0
        command reload 90 -> command.started reload 90
        signal HUP
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        signal HUP -> group 10 HUP; signal.forwarded HUP -10
        ended 10 exited 0 -> child 90 TERM+CONT; inspect 90; reap 10 main 0
        ended 90 killed TERM -> command.ended reload 90 143; reap 90 command 143
        childless -> pyinit.exited signal 0; exit 0
        """,
        reload_command=True,
    )


def test_stop_command_while_a_reload_runs() -> None:
    """The end of a reload is not the end of the stop command, and does not bring another reload."""
    play(
        """
        signal HUP -> run reload 10 HUP 0
        command reload 80 -> command.started reload 80
        signal HUP
        """
        + ASKED
        + """
        ended 80 exited 1 -> command.ended reload 80 1 warning; reap 80 command 1
        settled
        is stopping until 4
        ended 10 exited 0 -> reap 10 main 0
        ended 90 exited 0 -> command.ended stop 90 0; reap 90 command 0
        childless -> pyinit.exited signal 0; exit 0
        """,
        reload_command=True,
        stop_command=True,
    )


def test_no_reload_once_it_is_killed() -> None:
    """The grace is over: a SIGHUP does nothing at all."""
    play(
        """
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        at 8 time-up -> stop.killing 10; kill children
        signal HUP
        is killing until 9
        """,
        reload_command=True,
    )


def test_reload_with_nobody_to_reload() -> None:
    """--pause: the command is run, and is for nobody."""
    play("paused -> pyinit.started\n signal HUP -> run reload - HUP 0", reload_command=True)


# -- a reload that starts the service anew -----------------------------------------------------------------------------

RESTARTING = (
    HELD
    + """
    adopted 40 -> process.adopted 40 adopted
    settled
    signal HUP -> run reload 20 HUP 0
    command reload 90 -> command.started reload 90
    ended 20 exited 0 -> reap 20 successor 0
    settled
    is holding until 60
    """
)
# The same where the service has not said that it is ready.
RESTARTING_UNREADY = RESTARTING.replace("; pyinit.ready handover 20", "")


def test_restart() -> None:
    """The reload command ends the service and starts another: what it has left when it ends inherits the role."""
    play(
        RESTARTING
        + """
        adopted 95 -> process.adopted 95 adopted
        settled
        is holding until 60
        adopted 96 -> process.adopted 96 adopted
        ended 90 exited 0 -> command.ended reload 90 0; service.inherited 20 to 95 96; reap 90 command 0
        settled
        is holding
        ended 40 exited 1 -> reap 40 adopted 1 info
        ended 96 exited 0 -> reap 96 successor 0
        settled
        is holding
        ended 95 exited 3 -> stop.begun successor TERM; reap 95 successor 3 warning
        childless -> pyinit.exited successor 3; exit 3
        """,
        reload_command=True,
    )


def test_restart_that_fails() -> None:
    """However the command ends, its own status decides nothing: what it has left is the service."""
    play(
        RESTARTING
        + """
        adopted 95 -> process.adopted 95 adopted
        ended 90 exited 5 -> command.ended reload 90 5 warning; service.inherited 20 to 95; reap 90 command 5
        settled
        is holding
        ended 95 exited 0 -> reap 95 successor 0
        settled -> stop.begun service TERM; child 40 TERM+CONT; inspect 40
        ended 40 exited 0 -> reap 40 adopted 0
        childless -> pyinit.exited service 0; exit 0
        """,
        reload_command=True,
    )


def test_restart_that_leaves_nobody() -> None:
    """The reload command ends and nobody has come since it began: the service has ended, and the run is over."""
    play(
        RESTARTING
        + """
        where 97 foreign
        adopted 97 -> process.adopted 97 foreign debug
        ended 90 exited 0 -> command.ended reload 90 0; reap 90 command 0
        settled -> stop.begun service TERM; child 40 TERM+CONT; child 97 TERM+CONT; inspect 40 97
        ended 40 exited 0 -> reap 40 adopted 0
        ended 97 exited 0 -> reap 97 foreign 0
        childless -> pyinit.exited service 0; exit 0
        """,
        reload_command=True,
    )


def test_restart_that_leaves_nothing_at_all() -> None:
    """The same where nothing is left: done at once, with 0."""
    play(
        HELD
        + """
        signal HUP -> run reload 20 HUP 0
        command reload 90 -> command.started reload 90
        ended 20 exited 0 -> reap 20 successor 0
        settled
        ended 90 exited 1 -> command.ended reload 90 1 warning; reap 90 command 1
        childless -> pyinit.exited service 0; exit 0
        """,
        reload_command=True,
    )


def test_service_that_fails_while_it_is_reloaded() -> None:
    """Half a service is no service, a reload or not: a bad end stops the run, and the command with it."""
    play(
        HELD
        + """
        signal HUP -> run reload 20 HUP 0
        command reload 90 -> command.started reload 90
        ended 20 exited 3 -> stop.begun successor TERM; child 90 TERM+CONT; inspect 90; reap 20 successor 3 warning
        ended 90 killed TERM -> command.ended reload 90 143; reap 90 command 143
        childless -> pyinit.exited successor 3; exit 3
        """,
        reload_command=True,
    )


def test_restart_once_more() -> None:
    """A SIGHUP meanwhile runs the command again, for the service that is there then."""
    play(
        RESTARTING
        + """
        signal HUP
        adopted 95 -> process.adopted 95 adopted
        ended 90 exited 0 -> command.ended reload 90 0; service.inherited 20 to 95; run reload 95 HUP 0
                          -> reap 90 command 0
        command reload 91 -> command.started reload 91
        ended 95 exited 0 -> reap 95 successor 0
        settled
        adopted 98 -> process.adopted 98 adopted
        ended 91 exited 0 -> command.ended reload 91 0; service.inherited 95 to 98; reap 91 command 0
        settled
        is holding
        """,
        reload_command=True,
    )


def test_stop_of_a_restart() -> None:
    """A stop request in the midst of a restart stops everything: there is no service that a stop command could stop."""
    play(
        RESTARTING
        + """
        signal TERM -> stop.begun signal TERM; child 40 TERM+CONT; child 90 TERM+CONT; inspect 40 90
        adopted 95 -> process.adopted 95 adopted; child 95 TERM+CONT; inspect 95
        ended 90 killed TERM -> command.ended reload 90 143; reap 90 command 143
        ended 95 killed TERM -> reap 95 adopted 143
        ended 40 killed TERM -> reap 40 adopted 143
        childless -> pyinit.exited signal 0; exit 0
        """,
        reload_command=True,
        stop_command=True,
    )


def test_reload_of_a_service_that_stays() -> None:
    """A reload that leaves helpers behind makes none of them the service, as long as that is there."""
    play(
        HELD
        + """
        signal HUP -> run reload 20 HUP 0
        command reload 90 -> command.started reload 90
        adopted 95 -> process.adopted 95 adopted
        ended 90 exited 0 -> command.ended reload 90 0; reap 90 command 0
        settled
        ended 95 exited 1 -> reap 95 adopted 1 info
        settled
        is holding
        """,
        reload_command=True,
    )


def test_restart_of_a_service_with_a_file() -> None:
    """The PID file names one of those that the reload has left: that one alone decides."""
    play(
        """
        adopted 20 -> process.adopted 20 adopted
        claim 20 -> service.identified 20 pid-file; pyinit.ready pid-file 20
        ended 10 exited 0 -> locate 20; reap 10 main 0
        located 20
        settled -> service.handover 20
        signal HUP -> run reload 20 HUP 0
        command reload 90 -> command.started reload 90
        at 1 ended 20 exited 0 -> read file; reap 20 successor 0
        claim no names PID 20, which has ended
        settled
        is holding until 1.05
        at 1.05 time-up -> read file
        claim 96 below 90
        is holding until 1.1125
        adopted 95 -> process.adopted 95 adopted
        adopted 96 -> process.adopted 96 adopted
        ended 90 exited 0 -> command.ended reload 90 0; service.inherited 20 to 95 96; reap 90 command 0
        at 1.2 time-up -> read file
        claim 96 -> service.identified 96 pid-file after 20
        ended 95 exited 1 -> reap 95 adopted 1 info
        settled
        is holding
        """,
        reload_command=True,
        pid_file=True,
    )


def test_restart_of_main() -> None:
    """Main is the service, and its good end under a reload is no end of the run: what the reload leaves is held."""
    play(
        """
        adopted 40 -> process.adopted 40 adopted
        signal HUP -> run reload 10 HUP 0
        command reload 90 -> command.started reload 90
        ended 40 exited 0 -> reap 40 adopted 0
        at 2 ended 10 exited 0 -> reap 10 main 0
        settled
        is holding until 62
        adopted 95 -> process.adopted 95 adopted
        ended 90 exited 0 -> command.ended reload 90 0; service.inherited 10 to 95; pyinit.ready handover 95
                          -> reap 90 command 0
        settled
        is holding
        """,
        reload_command=True,
    )


def test_restart_that_takes_too_long() -> None:
    """A reload has as long to bring another service as a PID file to be right; then the run is over, and it too."""
    play(
        RESTARTING.replace("until 60", "until 5")
        + """
        settled
        at 4.9 time-up
        is holding until 5
        at 5 time-up -> stop.begun service TERM; child 40 TERM+CONT; child 90 TERM+CONT; inspect 40 90
        """,
        reload_command=True,
        pid_file_timeout_s=5.0,
    )


def test_restart_that_takes_too_long_twice() -> None:
    """A reload that is asked for once more has no more time for that."""
    play(
        RESTARTING
        + """
        signal HUP
        at 50 ended 90 exited 0 -> command.ended reload 90 0; run reload - HUP 0; reap 90 command 0
        command reload 91 -> command.started reload 91
        settled
        is holding until 60
        at 60 settled -> stop.begun service TERM; child 40 TERM+CONT; child 91 TERM+CONT; inspect 40 91
        """,
        reload_command=True,
    )


def test_restart_that_names_itself() -> None:
    """The daemon of a restart says that it is the service before the command ends: it is, and nobody waits any more."""
    play(
        RESTARTING_UNREADY
        + """
        adopted 95 -> process.adopted 95 adopted
        at 1 notify 95 MAINPID=95 claims 95 -> service.notified 95 mainpid=95; service.identified 95 notify
        is holding
        settled
        ended 90 exited 0 -> command.ended reload 90 0; reap 90 command 0
        settled
        at 60 time-up
        is holding
        ended 95 exited 0 -> reap 95 successor 0
        settled -> stop.begun service TERM; child 40 TERM+CONT; inspect 40
        """,
        reload_command=True,
        notify=True,
    )


def test_time_for_a_second_restart() -> None:
    """Each restart has its own time."""
    play(
        RESTARTING_UNREADY
        + """
        adopted 95 -> process.adopted 95 adopted
        notify 95 MAINPID=95 claims 95 -> service.notified 95 mainpid=95; service.identified 95 notify
        ended 90 exited 0 -> command.ended reload 90 0; reap 90 command 0
        settled
        at 59 signal HUP -> run reload 95 HUP 0
        command reload 91 -> command.started reload 91
        ended 95 exited 0 -> reap 95 successor 0
        settled
        is holding until 119
        """,
        reload_command=True,
        notify=True,
    )


def test_restart_under_until_all() -> None:
    """--until all: the run goes on anyway; what a restart leaves decides the status as the service did."""
    play(
        HELD
        + """
        signal HUP -> run reload 20 HUP 0
        command reload 90 -> command.started reload 90
        ended 20 exited 0 -> reap 20 successor 0
        adopted 95 -> process.adopted 95 adopted
        ended 90 exited 0 -> command.ended reload 90 0; service.inherited 20 to 95; reap 90 command 0
        settled
        ended 95 exited 3 -> reap 95 successor 3 warning
        childless -> pyinit.exited successor 3; exit 3
        """,
        reload_command=True,
        until="all",
    )


# -- what they are not -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["exited 0", "exited 1", "killed KILL"])
def test_command_is_no_successor(end: str) -> None:
    """Main exits 0 while a reload runs: the command is no service, and its end decides nothing."""
    status = {"exited 0": "0", "exited 1": "1 warning", "killed KILL": "137 warning"}[end]
    history = History(Policy(reload_command=True))
    history.play(f"""
        signal HUP -> run reload 10 HUP 0
        command reload 90 -> command.started reload 90
        ended 10 exited 0 -> reap 10 main 0
        settled
        is holding until 60
        ended 90 {end} -> command.ended reload 90 {status}; reap 90 command {status.split()[0]}
        childless -> pyinit.exited main 0; exit 0
    """)


def test_command_is_no_heir() -> None:
    """A successor ends with 0 at the moment at which a reload begins: the command inherits nothing."""
    history = History(Policy(reload_command=True))
    history.play(
        HELD
        + """
        signal HUP -> run reload 20 HUP 0
        command reload 90 -> command.started reload 90
        ended 20 exited 0 -> reap 20 successor 0
        settled
        """
    )
    assert history.machine.roster.successors == []


def test_command_is_no_target() -> None:
    """In holding a signal goes to the successors, and not to a command that runs beside them."""
    play(
        HELD
        + """
        signal HUP -> run reload 20 HUP 0
        command reload 90 -> command.started reload 90
        signal USR1 -> child 20 USR1; signal.forwarded USR1 20
        """,
        reload_command=True,
    )


def test_command_has_not_escaped() -> None:
    """A command is in no group or session of main's, and has not got away: pyinit has started it."""
    history = History(Policy(reload_command=True))
    history.tell("started", "signal HUP", "command reload 90")
    assert history.machine.roster.escaped(history.process("90")) == ()
    reap = history.actions("ended", "90", "exited", "1")[-1]
    assert getattr(reap, "escaped", None) == ()
    assert history.machine.totals["adopted"] == 0


def test_number_of_a_command_may_come_again() -> None:
    """After its reap a command's number is somebody else's: an adopted process like any other."""
    history = History(Policy(reload_command=True))
    history.tell("started", "signal HUP", "command reload 90", "ended 90 exited 0", "settled")
    history.forget("90")
    history.play("""
        adopted 90 -> process.adopted 90 adopted
        ended 90 exited 1 -> reap 90 adopted 1 info
        is running
    """)


@pytest.mark.parametrize("claim", ["90", "95 below 90"])
@pytest.mark.parametrize("end", ["exited 0", "exited 3"])
def test_command_is_claimed(claim: str, end: str) -> None:
    """A PID file that names a command, or who hangs below it, does not make it the service: it never decides."""
    history = History(Policy(reload_command=True, pid_file=True))
    history.tell("started", "adopted 20", "ended 10 exited 0", "settled", "signal HUP", "command reload 90")
    history.tell(f"claim {claim}")
    assert [process.pid for process in history.machine.roster.successors] == [20]
    severity = "" if end == "exited 0" else " warning"
    told = describe_all(history.actions("ended", "90", *end.split()))
    assert told[0] == f"command.ended reload 90 {end[-1]}{severity}"
    assert told[-1] == f"reap 90 command {end[-1]}"
    history.play("""
        is holding until 0.05
        signal HUP -> run reload 20 HUP 0
        ended 20 exited 4 -> stop.begun successor TERM; reap 20 successor 4 warning
        childless -> pyinit.exited successor 4; exit 4
    """)


def test_daemon_that_a_reload_leaves_behind() -> None:
    """A reload that starts the service anew: once the command has ended, a message may name the daemon."""
    history = History(Policy(reload_command=True, pid_file=True))
    history.tell("started", "adopted 20", "ended 10 exited 0", "settled", "claim 20", "signal HUP", "command reload 90")
    history.play("""
        adopted 95 -> process.adopted 95 adopted
        ended 90 exited 0 -> command.ended reload 90 0; reap 90 command 0
        settled
        is holding
        notify 95 MAINPID=95 claims 95 -> service.notified 95 mainpid=95; service.identified 95 notify after 20
        ended 20 exited 1 -> reap 20 adopted 1 info
        settled
        is holding
    """)
