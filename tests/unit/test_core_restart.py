"""One run behind the other: when main is started again, when it is not, and what pyinit leaves with (--restart)."""

from __future__ import annotations

from typing import Any, cast

import pytest

from pyinit.core import events
from pyinit.core.lives import WAITING, Lives
from pyinit.core.machine import DONE, RUNNING, STARTING, STOPPING, Machine
from pyinit.core.model import RESTART_ALWAYS, RESTART_ON_FAILURE, Policy, Process
from pyinit.core.restart import Restarts
from unit.core_model import History, play, play_lives

# Main crashes, and nobody is left.
CRASH = """
    ended 10 exited 1 -> stop.begun main TERM; group 10 TERM+CONT; reap 10 main 1 warning
"""
# The same, and another run follows in 1 s.
CRASHED = (
    CRASH
    + """
    childless -> close run; service.restarting main 1 in 1 as 1/5
    is waiting until 1
"""
)
# And that runs.
AGAIN = (
    CRASHED
    + """
    at 1 time-up -> respawn
    is starting
    started 11 -> service.restarted 11 1
    is running
"""
)


# -- whether another run follows --------------------------------------------------------------------------------------


def test_a_run_follows_when_nobody_is_left() -> None:
    """The delay begins when the last process of the run has gone (ECHILD), and main is started when it is over."""
    play_lives(
        """
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 1 -> stop.begun main TERM; group 10 TERM+CONT; child 20 TERM+CONT; inspect 20
                          -> reap 10 main 1 warning
        inspected 20
        settled
        at 2 ended 20 killed TERM -> reap 20 adopted 143
        settled
        is stopping until 3
        at 2.5 childless -> close run; service.restarting main 1 in 1 as 1/5
        is waiting until 3.5
        at 3 time-up
        is waiting until 3.5
        at 3.5 time-up -> respawn
        started 11 -> service.restarted 11 1
        is running
    """,
        grace_s=9.0,
    )


@pytest.mark.parametrize(
    ("restart", "ok_exits", "end", "follows"),
    [
        (RESTART_ON_FAILURE, (), "exited 1", True),
        (RESTART_ON_FAILURE, (), "killed SEGV", True),
        (RESTART_ON_FAILURE, (), "exited 0", False),
        (RESTART_ON_FAILURE, (143,), "killed TERM", False),
        (RESTART_ON_FAILURE, (3,), "exited 3", False),
        (RESTART_ON_FAILURE, (3,), "exited 4", True),
        (RESTART_ALWAYS, (), "exited 0", True),
        (RESTART_ALWAYS, (), "exited 1", True),
        (RESTART_ALWAYS, (3,), "exited 3", True),
    ],
)
def test_what_is_followed_by_a_run(restart: str, ok_exits: tuple[int, ...], end: str, *, follows: bool) -> None:
    """`on-failure`: when the status, after --ok-exit, is other than 0; `always`: after any end not asked for."""
    history = History(Policy(restart=restart, ok_exits=ok_exits))
    history.tell("started", f"ended 10 {end}", "childless")
    assert history.machine.phase == (WAITING if follows else DONE)


@pytest.mark.parametrize(
    ("until", "ends", "status"),
    [
        ("main", ["adopted 20", "ended 10 exited 0", "ended 20 killed TERM", "childless"], 0),
        ("service", ["adopted 20", "ended 10 exited 0", "settled", "ended 20 exited 0", "childless"], 0),
        ("service", ["adopted 20", "ended 10 exited 0", "settled", "ended 20 exited 5", "childless"], 5),
        ("all", ["adopted 20", "ended 10 exited 3", "settled", "ended 20 exited 0", "childless"], 3),
    ],
)
def test_a_run_is_over_when_until_says_so(until: str, ends: list[str], status: int) -> None:
    """--until says when a run is over, and what it comes to is what it always comes to: a restart changes neither."""
    history = History(Policy(restart=RESTART_ALWAYS, until=until))
    history.tell("started", *ends[:-1])
    assert history.machine.phase != WAITING
    told = history.actions(ends[-1])
    restarting = next(action for action in told if getattr(action, "event", "") == "service.restarting")
    assert cast("Any", restarting).facts["status"] == status
    assert history.machine.phase == WAITING


def test_nobody_who_is_left_gets_a_run_beside_him() -> None:
    """Somebody of the last run cannot be killed: no run follows, pyinit says so and leaves with the last status."""
    play_lives(
        """
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 4 -> stop.begun main TERM; stop.killing 20; kill children; reap 10 main 4 warning
        at 1 time-up -> walk
        walked
        at 2 time-up -> inspect 20
        inspected 20
        time-up -> stop.unkillable 20 it does not die of SIGKILL; service.given_up left 4
                     -> pass on STOPPING=1; pyinit.exited main 4; exit 4
        is done
        """,
        grace_s=0.0,
    )


# -- how often, and when ----------------------------------------------------------------------------------------------


def test_the_limit_ends_pyinit_with_the_last_status() -> None:
    """As many restarts within the window as the limit allows; then pyinit leaves, with what the last run came to."""
    lives = play_lives(
        AGAIN.replace("1/5", "1/2")
        + """
        ended 11 exited 2 -> stop.begun main TERM; group 11 TERM+CONT; reap 11 main 2 warning
        at 5 childless -> close run; service.restarting main 2 in 2 as 2/2
        at 7 time-up -> respawn
        started 12 -> service.restarted 12 2
        ended 12 exited 3 -> stop.begun main TERM; group 12 TERM+CONT; reap 12 main 3 warning
        childless -> service.given_up limit 3; pass on STOPPING=1; pyinit.exited main 3; exit 3
        is done
        signal TERM
        """,
        restart_limit=(2, 60.0),
    )
    assert (lives.status, lives.restarts, lives.deadline) == (3, 2, None)


def test_restarts_long_ago_do_not_count() -> None:
    """The window slides: what was decided longer ago than that is forgotten."""
    restarts = Restarts(Policy(restart=RESTART_ALWAYS, restart_limit=(2, 10.0), restart_delay_s=0.0))
    decided = [(at, restarts.delay_s(at, 0.5), restarts.count) for at in (100.0, 101.0, 109.9, 110.0, 110.5, 111.0)]
    assert decided == [
        (100.0, 0.0, 1),
        (101.0, 0.0, 2),
        (109.9, None, 2),
        (110.0, 0.0, 2),
        (110.5, None, 2),
        (111.0, 0.0, 2),
    ]


def test_the_delay_doubles_up_to_the_longest() -> None:
    """Each restart waits twice as long as the one before, and none longer than --restart-delay-max."""
    policy = Policy(restart=RESTART_ALWAYS, restart_limit=(10, 60.0), restart_delay_s=1.0, restart_delay_max_s=6.0)
    restarts = Restarts(policy)
    assert [restarts.delay_s(float(at), 0.5) for at in range(5)] == [1.0, 2.0, 4.0, 6.0, 6.0]


def test_a_long_run_begins_the_delay_anew() -> None:
    """A run that lasted longer than the window has been well: the next delay is the first one again."""
    restarts = Restarts(Policy(restart=RESTART_ALWAYS, restart_limit=(10, 60.0)))
    lasted = (0.5, 60.0, 60.1, 0.5)
    assert [restarts.delay_s(1000.0 * at, s) for at, s in enumerate(lasted)] == [1.0, 2.0, 1.0, 2.0]


def test_no_delay_still_looks_at_signals_first() -> None:
    """Without a delay the next run is due at once, but not before what has come meanwhile was looked at."""
    play_lives(
        CRASH
        + """
        childless -> close run; service.restarting main 1 in 0 as 1/5
        is waiting until 0
        time-up -> respawn
        """,
        restart_delay_s=0.0,
    )


def test_start_that_fails_is_a_run_that_failed() -> None:
    """Main cannot be started again: that counts in the limit as any failed run does; at the end its status stands."""
    lives = play_lives(
        CRASHED.replace("1/5", "1/2")
        + """
        at 1 time-up -> respawn
        not-started 127 -> service.start_failed 127; close run; service.restarting start 127 in 2 as 2/2
        is waiting until 3
        at 3 time-up -> respawn
        not-started 126 -> service.start_failed 126; service.given_up limit 126; pass on STOPPING=1
                        -> pyinit.exited start 126; exit 126
        is done
        """,
        restart_limit=(2, 60.0),
        ok_exits=(126, 127),
    )
    assert (lives.status, lives.restarts) == (126, 0)


def test_start_that_fails_once_is_followed_by_one_that_does_not() -> None:
    """An attempt that failed changes nothing for the next."""
    lives = play_lives(
        CRASHED
        + """
        at 1 time-up -> respawn
        not-started 125 -> service.start_failed 125; close run; service.restarting start 125 in 2 as 2/5
        at 3 time-up -> respawn
        started 12 -> service.restarted 12 1
        is running
        """
    )
    assert lives.roster.main is not None
    assert lives.roster.main.pid == 12


# -- a stop wins ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restart", [RESTART_ON_FAILURE, RESTART_ALWAYS])
def test_a_stop_request_ends_pyinit(restart: str) -> None:
    """A stop that is asked for in a run is final, whatever that comes to; who supervises pyinit hears so at once."""
    play_lives(
        """
        signal TERM -> stop.begun signal TERM; pass on STOPPING=1; group 10 TERM+CONT; inspect 10
        ended 10 killed TERM -> reap 10 main 143
        childless -> pyinit.exited main 143; exit 143
        """,
        restart=restart,
    )


def test_a_stop_request_while_the_run_is_stopped_for_a_restart() -> None:
    """A stop that is asked for while what a crash has left is being stopped: no run follows."""
    play_lives("""
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 1 -> stop.begun main TERM; group 10 TERM+CONT; child 20 TERM+CONT; inspect 20
                          -> reap 10 main 1 warning
        signal TERM -> stop.repeated TERM; pass on STOPPING=1
        ended 20 killed TERM -> reap 20 adopted 143
        childless -> pyinit.exited main 1; exit 1
    """)


def test_a_stop_request_during_the_delay() -> None:
    """A stop that is asked for between two runs ends pyinit at once, with what the last run came to."""
    lives = play_lives(
        CRASHED
        + """
        at 0.5 signal TERM -> stop.begun signal TERM; pass on STOPPING=1
        is stopping until 3.5
        childless -> pyinit.exited main 1; exit 1
        is done
        """,
        grace_s=9.0,
    )
    assert (lives.status, lives.restarts) == (1, 0)


def test_a_stop_request_at_the_moment_of_the_start() -> None:
    """A signal that came while main was being started stops the run that has just begun."""
    play_lives(
        AGAIN
        + """
        signal TERM -> stop.begun signal TERM; pass on STOPPING=1; group 11 TERM+CONT; inspect 11
        ended 11 exited 7 -> reap 11 main 7
        childless -> pyinit.exited main 7; exit 7
        """
    )


def test_other_signals_during_the_delay_have_nobody_to_go_to() -> None:
    """Between two runs a signal that asks for nothing is told, and forwarded to nobody; no reload command is run."""
    play_lives(
        CRASHED
        + """
        signal USR1 -> signal.forwarded USR1
        signal HUP -> signal.forwarded HUP
        signal CHLD
        childless
        is waiting until 1
        """,
        reload_command=True,
    )


# -- who asks ---------------------------------------------------------------------------------------------------------


def test_a_restart_that_is_asked_for() -> None:
    """It stops the run as a stop request does, and another follows without a delay and without being counted."""
    play_lives("""
        asked restart -> stop.begun restart TERM; group 10 TERM+CONT; inspect 10; answer done
        asked restart -> control.request restart main is started again when all of this run is gone; answer done
        ended 10 killed TERM -> reap 10 main 143
        childless -> close run; service.restarting main 143 in 0 as asked info
        time-up -> respawn
        started 11 -> service.restarted 11 1
        ended 11 exited 1 -> stop.begun main TERM; group 11 TERM+CONT; reap 11 main 1 warning
        childless -> close run; service.restarting main 1 in 1 as 1/5
    """)


def test_a_restart_that_is_asked_for_runs_the_stop_command() -> None:
    """The service is stopped by its own command, as at a stop; its end does not matter, and neither does on-failure."""
    play_lives(
        """
        asked restart -> stop.begun restart TERM command; run stop 10 - 8; answer done
        command stop 90 -> command.started stop 90
        ended 10 exited 0 -> reap 10 main 0
        ended 90 exited 0 -> command.ended stop 90 0; reap 90 command 0
        childless -> close run; service.restarting restart 0 in 0 as asked info
        """,
        stop_command=True,
        restart=RESTART_ON_FAILURE,
    )


def test_a_restart_that_is_asked_for_while_the_run_is_being_stopped() -> None:
    """The service is over, and would not have been started again: it is, because somebody asks for it."""
    play_lives(
        """
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 0 -> stop.begun main TERM; group 10 TERM+CONT; child 20 TERM+CONT; inspect 20; reap 10 main 0
        asked restart -> control.request restart main is started again when all of this run is gone; answer done
        ended 20 killed TERM -> reap 20 adopted 143
        childless -> close run; service.restarting main 0 in 0 as asked info
        """,
        until="main",
        restart=RESTART_ON_FAILURE,
    )


def test_a_restart_that_is_asked_for_ends_the_delay() -> None:
    """Between two runs it makes the next one begin now."""
    play_lives(
        CRASHED
        + """
        at 0.5 asked restart -> control.request restart the delay is over; answer done
        is waiting until 0.5
        time-up -> respawn
        """
    )


@pytest.mark.parametrize("stop", ["signal TERM", "asked stop"])
def test_a_stop_wins_over_a_restart_that_was_asked_for(stop: str) -> None:
    """A stop that is asked for after a restart, or before, is what happens."""
    for first, second in (("asked restart", stop), (stop, "asked restart")):
        history = History(Policy(restart=RESTART_ALWAYS))
        history.tell("started", first, second, "ended 10 exited 0", "childless")
        assert (history.machine.phase, history.machine.status) == (DONE, 0)


def test_a_second_sigint_ends_the_grace_of_a_restart_too() -> None:
    """Who presses Ctrl-C twice while pyinit restarts the service wants it gone."""
    play_lives("""
        asked restart -> stop.begun restart TERM; group 10 TERM+CONT; inspect 10; answer done
        signal INT -> stop.repeated INT; pass on STOPPING=1
        signal INT -> stop.repeated INT; pass on STOPPING=1; stop.killing 10; kill children
    """)


def test_without_restart_a_restart_cannot_be_asked_for() -> None:
    """Without --restart there is no restart, and whoever asks for one is told why."""
    reason = "pyinit was not told to start main again (--restart)"
    machine = play(f"""
        asked restart -> control.request restart refused {reason}; answer {reason}
        is running
    """)
    assert (machine.restarts, machine.restart_at) == (0, None)


def test_a_stop_through_the_control_socket_during_the_delay() -> None:
    """It is as final as a signal is; a restart that is asked for after it is refused."""
    play_lives(
        CRASHED
        + """
        asked stop -> stop.begun request TERM; pass on STOPPING=1; answer done
        asked stop -> control.request stop a stop is under way; pass on STOPPING=1; answer done
        asked restart -> control.request restart refused pyinit is about to leave; answer pyinit is about to leave
        childless -> pyinit.exited main 1; exit 1
        """
    )


def test_a_stop_is_the_reason_of_an_end_that_a_restart_began() -> None:
    """A stop that is asked for while the run is stopped for a restart is final, and the reason of the exit."""
    play_lives(
        """
        asked restart -> stop.begun restart TERM command; run stop 10 - 8; answer done
        command stop 90 -> command.started stop 90
        asked stop -> control.request stop a stop is under way; pass on STOPPING=1; answer done
        asked restart -> control.request restart refused a stop was asked for, and that is final
                      -> answer a stop was asked for, and that is final
        ended 10 exited 0 -> reap 10 main 0
        ended 90 exited 0 -> command.ended stop 90 0; reap 90 command 0
        childless -> pyinit.exited request 0; exit 0
        """,
        stop_command=True,
    )


def test_what_else_can_be_asked_for_during_the_delay() -> None:
    """Between two runs there is no main to reload or to signal, and that is said."""
    yet = "main is yet to be started again"
    play_lives(
        CRASHED
        + f"""
        asked reload -> control.request reload refused {yet}; answer {yet}
        asked signal HUP main -> control.request signal refused main has ended; answer main has ended
        is waiting until 1
        """,
        reload_command=True,
    )


def test_what_the_status_says_of_lives() -> None:
    """The phase between two runs, since when and until when; live it is then, and ready it is not."""
    history = History(Policy(restart=RESTART_ALWAYS))
    lives = history.machine
    history.tell("started")
    assert (lives.live, lives.ready, lives.closing, lives.restart_at) == (True, True, False, None)
    history.now = 2.0
    history.tell("ended 10 exited 1")
    assert (lives.phase, lives.since, lives.live, lives.ready, lives.closing) == (STOPPING, 1002.0, True, False, False)
    history.now = 3.0
    history.tell("childless")
    assert (lives.phase, lives.since, lives.restart_at) == (WAITING, 1003.0, 1004.0)
    assert (lives.live, lives.ready, lives.closing, lives.restarts) == (True, False, False, 0)
    history.now = 4.0
    history.tell("time-up", "started 11")
    assert (lives.phase, lives.since, lives.started_at, lives.restarts) == (RUNNING, 1004.0, 1000.0, 1)
    assert (lives.live, lives.ready, lives.closing) == (True, True, False)
    history.tell("signal TERM")
    assert (lives.live, lives.ready, lives.closing) == (True, False, True)
    history.tell("ended 11 exited 0", "childless")
    assert (lives.live, lives.ready, lives.closing, lives.status) == (False, False, True, 0)


# -- who comes between two runs ---------------------------------------------------------------------------------------


def test_whoever_comes_between_two_runs_is_foreign() -> None:
    """Nobody of the last run was left: an orphan that comes now has no part in the next, and does not hold it up."""
    lives = play_lives(
        CRASHED
        + """
        adopted 40 -> process.adopted 40 foreign debug
        ended 41 exited 1 -> reap 41 foreign 1
        settled
        is waiting until 1
        at 1 time-up -> respawn
        started 11 -> service.restarted 11 1
        ended 11 exited 0 -> reap 11 main 0
        settled -> stop.begun service TERM; child 40 TERM+CONT; inspect 40
        ended 40 killed TERM -> reap 40 foreign 143
        childless -> close run; service.restarting main 0 in 2 as 2/5 info
        """,
        pid1=True,
    )
    assert lives.totals == {"reaped": 4, "adopted": 2, "forwarded": 0, "killed": 0}


def test_a_stop_between_two_runs_stops_who_is_there() -> None:
    """As PID 1 a foreign orphan may be there: it is stopped before pyinit leaves."""
    play_lives(
        CRASHED
        + """
        adopted 40 -> process.adopted 40 foreign debug
        signal TERM -> stop.begun signal TERM; pass on STOPPING=1; child 40 TERM+CONT; inspect 40
        settled
        ended 40 killed TERM -> reap 40 foreign 143
        childless -> pyinit.exited main 1; exit 1
        """,
        pid1=True,
    )


def test_the_limit_is_reached_by_a_start_that_fails_and_a_stranger_is_there() -> None:
    """Whoever is there is stopped before pyinit leaves, with what the start came to."""
    lives = play_lives(
        CRASHED.replace("1/5", "1/1")
        + """
        adopted 40 -> process.adopted 40 foreign debug
        at 1 time-up -> respawn
        not-started 127 -> service.start_failed 127; service.given_up limit 127
                        -> stop.begun start TERM; child 40 TERM+CONT; inspect 40
        asked restart -> control.request restart refused pyinit is about to leave; answer pyinit is about to leave
        ended 40 killed TERM -> reap 40 foreign 143
        childless -> pass on STOPPING=1; pyinit.exited start 127; exit 127
        """,
        restart_limit=(1, 60.0),
        pid1=True,
    )
    assert lives.status == 127


# -- the service, run by run ------------------------------------------------------------------------------------------


def test_each_run_becomes_ready_by_itself() -> None:
    """Who supervises pyinit hears that the service is not ready between two runs, and that it is again."""
    play_lives(
        """
        notify 10 READY=1 -> service.notified 10 ready=1; pass on READY=1; pyinit.ready notify 10
        ended 10 exited 1 -> stop.begun main TERM; group 10 TERM+CONT; reap 10 main 1 warning
        childless -> close run; service.restarting main 1 in 1 as 1/5 reloading
        notify - READY=1
        gone 10
        claim 10
        located 10
        at 1 time-up -> respawn
        started 11 -> service.restarted 11 1
        notify 11 READY=1 -> service.notified 11 ready=1; pass on READY=1; pyinit.ready notify 11
        notify 11 STOPPING=1 -> service.notified 11 stopping=1
        """,
        notify=True,
    )


def test_each_run_waits_for_its_own_pid_file() -> None:
    """The file is awaited anew, and the service of the last run is nobody in the next."""
    lives = play_lives(
        """
        at 0.05 time-up -> read file
        claim 10 -> service.identified 10 pid-file; pyinit.ready pid-file 10
        ended 10 exited 1 -> stop.begun main TERM; group 10 TERM+CONT; reap 10 main 1 warning
        childless -> close run; service.restarting main 1 in 1 as 1/5 reloading
        at 2 time-up -> respawn
        started 11 -> service.restarted 11 1
        is running until 2.05
        """,
        pid_file=True,
    )
    assert lives.service.process is lives.roster.main


def test_the_clock_of_a_restart_is_monotonic() -> None:
    """What a service manager matches RELOADING=1 with: the time on the monotonic clock, in microseconds."""
    history = History(Policy(restart=RESTART_ALWAYS, notify=True))
    history.tell("started", "notify 10 READY=1", "ended 10 exited 1")
    history.now = 2.5
    passed_on = cast("Any", history.actions("childless")[-1]).fields
    assert passed_on == {"RELOADING": "1", "MONOTONIC_USEC": "1002500000", "STATUS": "restarting main in 1 s"}


def test_totals_are_those_of_all_runs() -> None:
    """The record of the exit counts over all runs, and tells the time since the first start."""
    history = History(Policy(restart=RESTART_ALWAYS, restart_limit=(1, 60.0)))
    history.tell("started", "signal USR1", "adopted 20", "ended 10 exited 1", "ended 20 killed TERM", "childless")
    history.now = 1.0
    history.tell("time-up", "started 11", "signal USR1", "ended 11 exited 1")
    history.now = 5.0
    exited = cast("Any", history.actions("childless")[-2])
    assert exited.event == "pyinit.exited"
    told = {name: exited.facts[name] for name in ("reaped", "adopted", "forwarded", "killed", "restarts", "duration_s")}
    assert told == {"reaped": 3, "adopted": 1, "forwarded": 2, "killed": 0, "restarts": 1, "duration_s": 5.0}


def test_it_is_used_as_a_machine_is() -> None:
    """What the loop and the effects ask of a machine it answers for the run that is on."""
    lives = Lives(Policy(restart=RESTART_ALWAYS))
    assert (lives.phase, lives.deadline, lives.kill_at, lives.killing) == (STARTING, None, None, False)
    main = Process(10, pgid=10, sid=10, start_ticks=1)
    lives.handle(events.Started(main), 100.0)
    lives.handle(events.Signalled(15), 101.0)
    assert (lives.phase, lives.kill_at, lives.killing) == (STOPPING, 109.0, False)
    lives.handle(events.TimeUp(), 109.0)
    assert lives.killing
    machine = Machine(Policy())
    public = {name for name in (*vars(Machine), *vars(machine)) if not name.startswith("_")}
    # What `Lives` itself asks of a run, and what the totals tell.
    public -= {"stop_rest", "outcome", "requests", "adopted", "reaped"}
    assert public <= {*vars(Lives), *vars(lives)}
