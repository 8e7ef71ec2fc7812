"""What comes of a request through the control socket (core/requests.py): histories."""

from __future__ import annotations

import pytest

from pyinit.core import events
from pyinit.core.actions import Answer, Report
from pyinit.core.machine import HOLDING, KILLING, RUNNING, STOPPING
from pyinit.core.model import NOT_READY, READY, READY_UNKNOWN, SIGTERM, TO_MAIN, TO_TREE, Policy
from unit.core_model import HELD, HELD_TWO_UNNAMED, SIGNALS, History, play


def test_stop() -> None:
    """A stop that is asked for is a stop request: the record says why, and the status is that of an asked stop."""
    machine = play("""
        asked stop -> stop.begun request TERM; group 10 TERM+CONT; inspect 10; answer done
        is stopping until 2.666666
        ended 10 exited 0 -> reap 10 main 0
        childless -> pyinit.exited request 0; exit 0
    """)
    assert machine.status == 0


def test_stop_says_who_asked() -> None:
    """The record of the stop names the process that asked, and no signal."""
    history = History(Policy())
    history.tell("started")
    facts = history.facts("asked", "stop")
    assert (facts["reason"], facts["signal"], facts["sender_pid"], facts["sender_uid"]) == ("request", None, 8, 0)


def test_stop_with_a_schedule_and_a_command() -> None:
    """The options of a stop count for it: the command first, then the schedule."""
    play(
        """
        asked stop -> stop.begun request QUIT command; run stop 10 - 8; answer done
        command stop fails 11 -> command.started stop 11 warning; stop.escalated 10; group 10 QUIT+CONT; inspect 10
        """,
        stop_command=True,
        schedule=((SIGNALS["QUIT"], None),),
    )
    play(
        "asked stop -> stop.begun request INT; group 10 INT+CONT; inspect 10; answer done",
        rewrite={SIGTERM: SIGNALS["INT"]},
    )
    play(
        "asked stop -> stop.begun request TERM; group 10 TERM+CONT; inspect 10; answer done",
        rewrite={SIGTERM: 0},
    )


def test_a_stop_asked_for_twice_is_one_stop() -> None:
    """The second request is told and done already; Ctrl-C after it does not end the grace."""
    play("""
        asked stop -> stop.begun request TERM; group 10 TERM+CONT; inspect 10; answer done
        asked stop -> control.request stop a stop is under way; answer done
        at 1 signal INT -> stop.repeated INT
        is stopping until 2.666666
    """)


def test_stop_without_grace() -> None:
    """Without any grace SIGKILL comes at once, and the request is answered all the same."""
    machine = play("asked stop -> stop.begun request TERM; stop.killing 10; kill children; answer done", grace_s=0.0)
    assert machine.phase == KILLING
    assert not machine.live


def test_reload_is_sighup() -> None:
    """A reload does what SIGHUP does: forwarded, rewritten, to the successors later."""
    play("asked reload -> control.request reload; group 10 HUP; signal.forwarded HUP -10; answer done")
    play(
        "asked reload -> control.request reload; child 10 HUP; signal.forwarded HUP 10; answer done", forward_to=TO_MAIN
    )
    play(HELD + "asked reload -> control.request reload; child 20 HUP; signal.forwarded HUP 20; answer done")
    play(
        "asked reload -> control.request reload; group 10 USR1; signal.forwarded HUP -10; answer done",
        rewrite={SIGNALS["HUP"]: SIGNALS["USR1"]},
    )


def test_reload_command() -> None:
    """With --reload-command that runs; a second request while it does has it run once more."""
    play(
        """
        asked reload -> control.request reload; run reload 10 HUP 0; answer done
        command reload 90 -> command.started reload 90
        asked reload -> control.request reload; answer done
        ended 90 exited 0 -> command.ended reload 90 0; run reload 10 HUP 0; reap 90 command 0
        """,
        reload_command=True,
    )


@pytest.mark.parametrize(
    ("before", "reason", "policy"),
    [
        ("signal TERM", "the run is being stopped", {}),
        ("", "SIGHUP asks for a stop here (--stop-on, --rewrite)", {"stop_on": (1,)}),
        ("", "SIGHUP asks for a stop here (--stop-on, --rewrite)", {"rewrite": {1: 15}}),
        ("", "SIGHUP is swallowed here (--rewrite)", {"rewrite": {1: 0}}),
    ],
)
def test_reload_is_refused(before: str, reason: str, policy: dict[str, object]) -> None:
    """What cannot be done is refused with the reason, told, and changes nothing."""
    history = History(Policy(**policy))  # type: ignore[arg-type]  # the names of Policy
    history.tell("started", *([before] if before else []))
    phase = history.machine.phase
    history.play(f"asked reload -> control.request reload refused {reason}; answer {reason}")
    assert history.machine.phase == phase


def test_reload_of_nobody() -> None:
    """Where main has gone and nobody stands for the service there is nobody to reload it."""
    play(
        """
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 3 -> reap 10 main 3 warning
        settled -> service.handover 20; pyinit.ready handover 20
        ended 20 exited 0 -> reap 20 successor 0
        adopted 30 -> process.adopted 30 adopted
        asked reload -> control.request reload refused nobody is the service; answer nobody is the service
        asked signal USR1 service -> control.request signal refused nobody is the service; answer nobody is the service
        """,
        until="all",
    )


def test_signal_the_service() -> None:
    """The service is main, the only successor, a proven process deeper down, or all successors."""
    play("asked signal TERM service -> control.request signal 10; child 10 TERM; answer done")
    play(HELD + "asked signal USR1 service -> control.request signal 20; child 20 USR1; answer done")
    play(
        HELD_TWO_UNNAMED
        + "asked signal USR1 service -> control.request signal 20 30; child 20 USR1; child 30 USR1; answer done",
        notify=True,
    )
    play(
        """
        claim 40 below 20 -> process.adopted 20 adopted; service.identified 40 pid-file below 20; follow 40
                          -> pyinit.ready pid-file 40
        asked signal USR1 service -> control.request signal 40; descendant 40 USR1; answer done
        """,
        pid_file=True,
    )


def test_signal_main() -> None:
    """Main alone, while it lives; a signal that is sent is no stop request, whatever it is."""
    machine = play("asked signal TERM main -> control.request signal 10; child 10 TERM; answer done")
    assert machine.phase == RUNNING
    play(HELD + "asked signal TERM main -> control.request signal refused main has ended; answer main has ended")


def test_signal_one_process() -> None:
    """A child by its number, which is pinned; any other process only as the one that was proven."""
    play("""
        adopted 20 -> process.adopted 20 adopted
        asked signal KILL process 20 -> control.request signal 20; child 20 KILL; answer done
        asked signal KILL process 40 -> control.request signal 40; descendant 40 KILL; answer done
        asked signal KILL process -> control.request signal refused it has ended; answer it has ended
    """)


@pytest.mark.parametrize("forward_to", [TO_MAIN, TO_TREE])
def test_signal_the_tree(forward_to: str) -> None:
    """Every process gets it, once the tree is known; no rewriting."""
    play(
        """
        asked signal HUP tree -> control.request signal; walk; answer done
        walked 10 20 -> child 10 HUP; descendant 20 HUP
        walked 10 20
        """,
        forward_to=forward_to,
        rewrite={1: 15},
    )


def test_signal_while_stopping() -> None:
    """During the grace signals can be sent, afterwards not."""
    play(
        """
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        asked signal USR1 main -> control.request signal 10; child 10 USR1; answer done
        at 8 time-up -> stop.killing 10; kill children
        asked signal USR1 main -> control.request signal refused the run is being stopped
                               -> answer the run is being stopped
        """
    )


def test_long_lists_of_targets_are_cut() -> None:
    """A record names the first of those who get a signal."""
    history = History()
    history.tell("started", *(f"adopted {pid}" for pid in range(20, 60)), "ended 10 exited 0", "settled")
    actions = history.actions("asked", "signal", "USR1", "service")
    record = actions[0]
    assert isinstance(record, Report)
    assert record.facts["targets"] == list(range(20, 40))
    assert len(actions) == 42
    assert isinstance(actions[-1], Answer)


def test_what_the_status_says() -> None:
    """Phase and since when, readiness, and the counts."""
    history = History()
    machine = history.machine
    history.tell("started")
    assert (machine.started_at, machine.since, machine.service.readiness) == (1000.0, 1000.0, READY_UNKNOWN)
    assert machine.live
    assert machine.ready, "main runs, and nothing could say more"
    history.now = 2.0
    history.tell("adopted 20", "signal USR1", "ended 10 exited 0", "settled")
    assert (machine.phase, machine.since, machine.totals["forwarded"]) == (HOLDING, 1002.0, 1)
    assert (machine.service.readiness, machine.ready) == (READY, True)
    history.now = 3.0
    history.tell("signal TERM")
    assert (machine.phase, machine.since, machine.live, machine.ready) == (STOPPING, 1003.0, True, False)
    history.now = 11.0
    history.tell("time-up", "ended 20 killed KILL")
    assert (machine.phase, machine.live, machine.totals["killed"]) == (KILLING, False, 1)


def test_readiness_that_is_awaited() -> None:
    """With --notify or --pid-file it is not ready until that is heard; what it says of itself is kept."""
    history = History(Policy(notify=True))
    machine = history.machine
    history.tell("started")
    assert (machine.service.readiness, machine.ready, machine.service.status) == (NOT_READY, False, "")
    history.tell("notify 10 READY=1 STATUS=up")
    assert (machine.service.readiness, machine.ready, machine.service.status) == (READY, True, "up")
    history = History(Policy(pid_file=True))
    history.tell("started")
    assert history.machine.service.readiness == NOT_READY
    history.tell("claim 10")
    assert history.machine.service.readiness == READY


def test_asked_of_a_run_that_is_over() -> None:
    """When the run is over nothing is answered any more."""
    history = History()
    history.tell("started", "ended 10 exited 0", "childless")
    assert history.machine.handle(events.Asked("stop", 8, 0), 1001.0) == []


@pytest.mark.parametrize(
    ("claim", "identified", "ends"),
    [
        ("30", "30 pid-file", ["ended 30 killed TERM -> reap 30 successor 143"]),
        ("40 below 30", "40 pid-file below 30; follow 40", ["gone 40", "ended 30 exited 0 -> reap 30 successor 0"]),
    ],
)
def test_signal_for_a_service_that_a_stop_has_ended(claim: str, identified: str, ends: list[str]) -> None:
    """Who was the service and has ended while stopping is nobody to signal, wherever it hung."""
    history = History(Policy(pid_file=True, pid_file_timeout_s=60.0))
    history.play(f"""
        adopted 30 -> process.adopted 30 adopted
        adopted 20 -> process.adopted 20 adopted
        ended 10 exited 0 -> read file; reap 10 main 0
        settled -> service.handover 30 20
        claim {claim} -> service.identified {identified}; pyinit.ready pid-file {claim.split(maxsplit=1)[0]}
        asked stop -> stop.begun request TERM; child 30 TERM+CONT; child 20 TERM+CONT; inspect 30 20; answer done
    """)
    history.play("\n".join(ends))
    history.play("""
        asked signal HUP service -> control.request signal refused nobody is the service
                                 -> answer nobody is the service
    """)


def test_service_that_has_crashed_is_nobody() -> None:
    """A crash of the service begins a stop; whoever asks for a signal meanwhile hears that nobody is the service."""
    play(
        """
        adopted 20 -> process.adopted 20 adopted
        adopted 30 -> process.adopted 30 adopted
        ended 10 exited 0 -> read file; reap 10 main 0
        settled -> service.handover 20 30
        claim 20 -> service.identified 20 pid-file; pyinit.ready pid-file 20
        ended 20 exited 3 -> stop.begun successor TERM; child 30 TERM+CONT; inspect 30; reap 20 successor 3 warning
        asked signal HUP service -> control.request signal refused nobody is the service
                                 -> answer nobody is the service
        """,
        pid_file=True,
        pid_file_timeout_s=60.0,
    )
