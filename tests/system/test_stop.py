"""How a run is stopped: who gets which signal when, and that nothing holds out against the grace."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from support.programs import program
from support.run import (
    ADOPTED,
    ALL_MODES,
    ESCALATED,
    EXITED,
    HANDOVER,
    KILLING,
    PID1_USER,
    PLAIN_USER,
    REAPED,
    REPEATED,
    STOPPING,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.run import Run

    Start = Callable[..., Run]


# What the kernel may need to kill and a loaded test machine to notice, in seconds.
SLACK_S = 2.5
# Without a line for each of thousands of processes; the totals are told all the same.
QUIET = ("--log-format", "json", "--log-level", "info")


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda number: number.name)
def test_stop_request_reaches_main(pyinit: Start, number: signal.Signals) -> None:
    """SIGTERM, SIGINT and SIGQUIT ask for a stop: main gets the very signal, once, and its status is the run's."""
    run = pyinit(program("serve"), "4")
    run.out.wait("ready")
    assert run.stop(number) == 4
    got = [words[0] for words in run.out.all("got") if words[0] != str(int(signal.SIGCONT))]
    assert got == [str(int(number))]
    begun = run.one(STOPPING)
    assert begun["pyinit.stop.reason"] == "signal"
    assert begun["pyinit.signal.number"] == number
    assert not run.of(KILLING)


def test_stop_signal_option(pyinit: Start) -> None:
    """--stop-signal replaces the signal, whichever asked for the stop."""
    run = pyinit(program("serve"), "0", options=["--stop-signal", "QUIT"])
    run.out.wait("ready")
    assert run.stop(signal.SIGTERM) == 0
    assert run.out.all("got 3 from")
    assert not run.out.all("got 15 from")
    assert run.one(STOPPING)["pyinit.stop.signal.number"] == signal.SIGQUIT


def test_stop_signal_can_be_a_real_time_signal(pyinit: Start) -> None:
    """--stop-signal RTMIN+3 (systemd as a payload): sent, waited for, and the grace ends it."""
    run = pyinit(program("serve"), "0", options=["--stop-signal", "RTMIN+3", "--grace", "300ms"])
    run.out.wait("ready")
    assert run.stop() == 128 + signal.SIGKILL
    assert run.out.all("got 37 from")


def test_main_that_dies_of_the_stop_signal(pyinit: Start) -> None:
    """Main dies of SIGTERM: 143."""
    run = pyinit("/bin/sleep", "30")
    run.wait_for("pyinit.started")
    assert run.stop() == 128 + signal.SIGTERM


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.invariant(2)
def test_stop_while_holding(pyinit: Start) -> None:
    """In holding each successor gets the stop signal, and the run ends with their status."""
    run = pyinit(program("several"), "0", program("serve"), "0", "one", "--", program("serve"), "0", "two")
    run.out.wait("ready", 2)
    run.wait_for(HANDOVER)
    assert run.stop() == 0
    assert len(run.out.all("got 15 from")) == 2
    assert run.seconds < SLACK_S


def test_stop_signal_goes_to_mains_group(pyinit: Start) -> None:
    """While main lives the signal goes to its process group: a shell's child gets it too."""
    run = pyinit("/bin/sh", "-c", f'trap "exit 3" TERM; {program("serve")} 0 & wait; wait')
    run.out.wait("ready")
    assert run.stop() == 3
    assert len(run.out.all("got 15 from")) == 1


def test_managers_stop_their_own_workers(pyinit: Start) -> None:
    """In holding the root alone gets the signal, not its group: the workers' signal comes from their master."""
    run = pyinit(program("double_fork"), "after", program("master"), "5")
    master = run.out.wait("ready")[0]
    run.wait_for(HANDOVER)
    assert run.stop() == 0
    stopped = [line.split() for line in run.out.lines if line.startswith("worker-term")]
    assert len(stopped) == 5
    assert {words[3] for words in stopped} == {master}


def test_root_that_ignores_the_signal_hands_it_to_its_children(pyinit: Start) -> None:
    """mysqld_safe ignores SIGTERM, mysqld does not: it gets it at once, long before a third of the grace."""
    run = pyinit(
        program("double_fork"), "after", program("safe_wrapper"), program("serve"), "0", options=["--grace", "30s"]
    )
    run.out.wait("ready")
    run.wait_for(HANDOVER)
    assert run.stop() == 0
    assert run.seconds < 5
    assert run.out.all("got 15 from")


def test_main_that_ignores_the_signal_hands_it_to_its_children(pyinit: Start) -> None:
    """The same for a main whose child has a session of its own."""
    run = pyinit(program("safe_wrapper"), "/usr/bin/setsid", program("serve"), "0", options=["--grace", "30s"])
    run.out.wait("ready")
    assert run.stop() == 0
    assert run.seconds < 5


def test_chain_that_ignores_the_signal(pyinit: Start) -> None:
    """Several wrappers in a row ignore the signal: it goes on until somebody takes it."""
    wrapper = program("safe_wrapper")
    run = pyinit(
        program("double_fork"), "after", wrapper, wrapper, wrapper, program("serve"), "0", options=["--grace", "30s"]
    )
    run.out.wait("ready")
    run.wait_for(HANDOVER)
    assert run.stop() == 0
    assert run.seconds < 5


def test_blocked_is_not_ignored(pyinit: Start) -> None:
    """A daemon that takes SIGTERM with sigwait gets it once, and ends in order."""
    run = pyinit(program("double_fork"), "after", program("sigwait_term"))
    run.out.wait("ready")
    run.wait_for(HANDOVER)
    assert run.stop() == 0
    assert not run.of(KILLING)


def test_background_job_ignores_int_and_quit(pyinit: Start) -> None:
    """A background job of a script has SIGINT and SIGQUIT ignored: a stop by SIGINT ends it all the same, in time."""
    run = pyinit("/bin/sh", "-c", "/bin/sleep 35 & exit 0", options=["--grace", "20s"])
    run.wait_for(HANDOVER)
    run.stop(signal.SIGINT)
    assert not run.of(KILLING)
    assert run.seconds < 10


def test_everybody_after_a_third_of_the_grace(pyinit: Start) -> None:
    """What nobody has passed the signal on to gets it after a third of the grace, and has the rest of it to end."""
    run = pyinit(program("deaf"), program("serve"), "0", "hidden", options=["--grace", "1500ms"])
    run.out.wait("ready", 2)
    assert run.stop() == 128 + signal.SIGKILL
    escalated = run.one(ESCALATED)
    assert 0.4 < escalated["pyinit.after_s"] < 1.2
    assert len(run.out.all("got 15 from")) == 1
    assert run.one(KILLING)["pyinit.count"] == 1


def test_adopted_while_stopping_gets_the_signal_on_arrival(pyinit: Start) -> None:
    """Processes that are born and orphaned after the stop signal get it when they come to pyinit."""
    run = pyinit(program("fork_after_term"), "5", options=["--grace", "30s"])
    run.out.wait("ready")
    assert run.stop() == 0
    assert len(run.out.all("late")) == 5
    assert run.seconds < 5
    assert not run.of(KILLING)


def test_stopped_process_is_continued(pyinit: Start) -> None:
    """SIGCONT follows every stop signal: a process that is stopped gets to its SIGTERM."""
    run = pyinit(program("stopped"), options=["--grace", "30s"])
    run.out.wait("ready")
    assert run.stop() == 128 + signal.SIGTERM
    assert run.seconds < 5


def test_stopped_daemon_is_continued(pyinit: Start) -> None:
    """The same for a daemon."""
    run = pyinit(program("double_fork"), "after", program("stopped"), options=["--grace", "30s"])
    run.out.wait("ready")
    run.wait_for(HANDOVER)
    assert run.stop() == 128 + signal.SIGTERM
    assert run.seconds < 5


def test_stop_asked_for_twice_is_one_stop(pyinit: Start) -> None:
    """A second request is told, and changes neither the signal nor the grace."""
    run = pyinit(program("ignore_term"), options=["--grace", "1s"])
    run.out.wait("ready")
    run.signal(signal.SIGTERM)
    run.wait_for(STOPPING)
    run.signal(signal.SIGTERM)
    run.wait_for(REPEATED)
    run.signal(signal.SIGINT)
    run.wait_for(REPEATED, 2)
    assert run.finish() == 128 + signal.SIGKILL
    assert len(run.of(STOPPING)) == 1
    assert run.seconds < 1 + SLACK_S


def test_group_suicide(pyinit: Start) -> None:
    """A daemon that answers SIGTERM with kill(0, SIGTERM) does not hit pyinit: one stop, its own status."""
    for command in ([program("group_suicide"), "6"], [program("single_fork"), program("group_suicide"), "6"]):
        run = pyinit(*command)
        run.out.wait("ready")
        run.wait_for(HANDOVER if len(command) > 2 else "pyinit.started")
        assert run.stop() == 6
        assert not run.of(REPEATED)


HOSTILE = {
    "main ignores everything": [program("ignore_term"), "all"],
    "daemon ignores everything": [program("double_fork"), "after", program("ignore_term"), "all"],
    "300 sessions that ignore everything": [program("many"), "300"],
    "subreaper that hoards orphans": [program("hoard"), "10"],
    "daemon that hoards orphans": [program("double_fork"), "after", program("hoard"), "10"],
    "stopped, and SIGTERM ignored": ["/bin/sh", "-c", 'trap "" TERM; echo ready $$; kill -STOP $$; sleep 40'],
}


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.parametrize("command", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.invariant(2)
@pytest.mark.invariant(3)
def test_nothing_holds_out(pyinit: Start, command: list[str]) -> None:
    """What ignores every signal is killed when the grace is over: not before, and not much later."""
    run = pyinit(*command, options=["--grace", "400ms"])
    run.out.wait("ready")
    if "double_fork" in command[0]:
        run.wait_for(HANDOVER)
    assert run.stop() == 128 + signal.SIGKILL
    assert 0.4 <= run.seconds < 0.4 + SLACK_S
    assert len(run.of(KILLING)) == 1
    assert run.one(EXITED)["pyinit.totals.killed"] >= 1


@pytest.mark.alone("it forks without end, and has to end in time")
@pytest.mark.modes(PLAIN_USER, PID1_USER)
@pytest.mark.parametrize(("width", "limit"), [(1, 400), (8, 400), (64, 400), (64, 1500)])
@pytest.mark.invariant(2)
@pytest.mark.invariant(3)
def test_fork_treadmill(pyinit: Start, width: int, limit: int) -> None:
    """Chains that fork for ever and ignore every signal are gone within the grace and a second or two.

    They run as a user who may have so many processes only, so that it is not the machine that starves.
    """
    run = pyinit(
        program("treadmill"),
        str(width),
        "10",
        options=["--grace", "300ms"],
        log_options=QUIET,
        stage=["uid=61001", f"nproc={limit}"],
    )
    run.out.wait("ready")
    run.signal(signal.SIGTERM)
    run.finish()
    assert run.seconds < 0.3 + SLACK_S
    assert not run.out.all("over"), "a chain has ended by itself"


def test_many_that_obey_end_at_once(pyinit: Start) -> None:
    """300 processes in 300 sessions that nobody stops: each gets the signal after a third of the grace; no SIGKILL."""
    run = pyinit(program("many"), "300", "term", options=["--grace", "6s"])
    run.out.wait("ready")
    run.stop()
    assert not run.of(KILLING)
    assert run.seconds < 6
    assert len(run.of(REAPED)) == 301


def test_grace_of_zero_kills_at_once(pyinit: Start) -> None:
    """--grace 0: SIGKILL without a word."""
    run = pyinit(program("ignore_term"), options=["--grace", "0"])
    run.out.wait("ready")
    assert run.stop() == 128 + signal.SIGKILL
    assert run.seconds < SLACK_S


@pytest.mark.invariant(3)
def test_default_grace_is_under_the_engines_ten_seconds(pyinit: Start) -> None:
    """Without --grace SIGKILL comes after 8 s: under the 10 s of Docker and Podman."""
    run = pyinit(program("ignore_term"))
    run.out.wait("ready")
    run.signal(signal.SIGTERM)
    assert run.wait_for(STOPPING)["pyinit.grace_s"] == 8
    assert run.finish() == 128 + signal.SIGKILL
    assert 8 <= run.seconds < 8 + SLACK_S


def test_end_of_all_ends_the_grace(pyinit: Start) -> None:
    """Everything gone before the grace is over: pyinit leaves at once."""
    run = pyinit(program("serve"), "0", options=["--grace", "50s"])
    run.out.wait("ready")
    assert run.stop() == 0
    assert run.seconds < SLACK_S


def test_main_ends_in_the_stop_and_leaves_a_session(pyinit: Start) -> None:
    """Main ends at the stop signal and leaves a child in another session: it is adopted and gets the signal then."""
    run = pyinit(program("until_eof"), "0", "/usr/bin/setsid", program("serve"), "0", options=["--grace", "30s"])
    run.out.wait("ready", 2)
    assert run.stop() == 128 + signal.SIGTERM
    assert run.seconds < 5
    assert len(run.out.all("got 15 from")) == 1
    assert run.of(ADOPTED)


def test_leaders_group_is_signalled_although_the_leader_is_dead(pyinit: Start) -> None:
    """Main crashes and leaves a process in its group, below another one that is deaf.

    The group gets the signal while its number is pinned.
    """
    run = pyinit(program("until_eof"), "5", program("serve"), "0", "in-the-group", options=["--grace", "30s"])
    run.out.wait("ready", 2)
    run.close_input()
    assert run.finish() == 5
    assert run.seconds < 5
    assert len(run.out.all("got 15 from")) == 1


@pytest.mark.alone("it forks without end, and has to end in time")
@pytest.mark.invariant(3)
@pytest.mark.parametrize("load", ["storm"])
def test_stop_in_a_storm_of_orphans(pyinit: Start, load: str) -> None:
    """A stop is not late when orphans end by the hundred."""
    run = pyinit(program(load), "2000", "5", options=["--grace", "500ms"], log_options=QUIET)
    run.wait_for("pyinit.started")
    run.wait_for(ADOPTED, 5)
    run.stop()
    assert run.seconds < 0.5 + SLACK_S
