"""What the service says on the notify socket (sd_notify(3)): histories."""

from __future__ import annotations

import pytest

from pyinit.core.model import Policy
from pyinit.core.service import extension_s
from unit.core_model import History, play

# -- what it says ------------------------------------------------------------------------------------------------------

SAID = {
    "READY=1": "ready=1",
    "RELOADING=1": "reloading=1",
    "STOPPING=1": "stopping=1",
    "ERRNO=2": "errno=2",
    "EXIT_STATUS=3": "exit_status=3",
}


@pytest.mark.parametrize("field", [field for field in SAID if field != "READY=1"])
def test_message_is_told_and_passed_on(field: str) -> None:
    """Each field that people want to know is told, and goes on to whoever supervises pyinit."""
    play(f"notify 10 {field} -> service.notified 10 {SAID[field]}; pass on {field}", notify=True)


@pytest.mark.parametrize("field", ["STATUS=up", "EXTEND_TIMEOUT_USEC=1000000"])
def test_message_that_comes_often_is_told_quietly(field: str) -> None:
    """What a busy service says all the time is told at debug level; together with more it is told as that."""
    told = field.lower() if field.startswith("EXTEND") else "status=up"
    play(f"notify 10 {field} -> service.notified 10 {told} debug; pass on {field}", notify=True)
    play(
        f"notify 10 RELOADING=1 {field} -> service.notified 10 reloading=1 {told}; pass on RELOADING=1 {field}",
        notify=True,
    )


def test_ready_that_is_no_news() -> None:
    """A service that says again and again that it is ready is told quietly, until it has reloaded."""
    play(
        """
        notify 10 READY=1 STATUS=up -> service.notified 10 ready=1 status=up; pass on READY=1 STATUS=up
               -> pyinit.ready notify 10
        notify 10 READY=1 STATUS=up -> service.notified 10 ready=1 status=up debug; pass on READY=1 STATUS=up
        notify 10 STATUS=up -> service.notified 10 status=up debug; pass on STATUS=up
        notify 10 RELOADING=1 -> service.notified 10 reloading=1; pass on RELOADING=1
        notify 10 STATUS=up -> service.notified 10 status=up debug; pass on STATUS=up
        notify 10 READY=1 -> service.notified 10 ready=1; pass on READY=1
        notify 10 READY=1 -> service.notified 10 ready=1 debug; pass on READY=1
        notify 10 READY=1 STOPPING=1 -> service.notified 10 ready=1 stopping=1; pass on READY=1 STOPPING=1
        """,
        notify=True,
    )


def test_refusals_have_an_end() -> None:
    """Whoever sends in vain from one process after the other is told so often, and then no more."""
    history = History(Policy(notify=True))
    history.tell("started")
    refused = [history.actions("notify", "-", "READY=1", "refused", f"its sender, PID {pid}") for pid in range(1000)]
    assert [len(actions) for actions in refused] == [1] * 32 + [0] * 968


def test_strangers_do_not_hide_why_a_pid_file_is_refused() -> None:
    """However many strangers have been refused: the one warning that says what is wrong with the PID file comes."""
    history = History(Policy(pid_file=True, pid_file_timeout_s=1.0))
    history.tell("started")
    for pid in range(100):
        history.actions("notify", "-", "READY=1", "refused", f"its sender, PID {pid}")
    history.play("""
        at 1 time-up -> read file
        claim no is empty -> service.refused pid-file is empty
    """)


@pytest.mark.parametrize("field", ["READY=0", "READY=yes", "RELOADING=", "STOPPING=0", "WATCHDOG=1", "X_OWN=1"])
def test_message_that_says_nothing_to_us(field: str) -> None:
    """A flag counts as 1 only, and what means nothing to pyinit is no news; whoever supervises it gets it as it is."""
    play(f"notify 10 {field} -> pass on {field}\n is running", notify=True)


@pytest.mark.parametrize("field", ["BARRIER=1", "FDSTORE=1", "FDSTOREREMOVE=1", "FDNAME=x", "MAINPIDFDID=9"])
def test_message_that_is_not_passed_on(field: str) -> None:
    """No descriptor is handed on, and nothing that would need one."""
    play(f"notify 10 {field}\n is running", notify=True)
    play(f"notify 10 WATCHDOG=1 {field} -> pass on WATCHDOG=1", notify=True)


def test_main_pid_is_not_passed_on() -> None:
    """Whoever supervises pyinit follows pyinit."""
    play(
        """
        adopted 20 -> process.adopted 20 adopted
        notify 20 MAINPID=20 STATUS=up claims 20
               -> service.notified 20 status=up mainpid=20; service.identified 20 notify; pass on STATUS=up
        """,
        notify=True,
    )


def test_sender_that_has_gone_since() -> None:
    """A message whose sender is proven by its number alone counts, and names nobody."""
    play("notify - READY=1 -> service.notified ready=1; pass on READY=1; pyinit.ready notify 10", notify=True)


def test_message_of_a_stranger() -> None:
    """A message whose sender is not below pyinit is refused, once for each reason, and does nothing at all."""
    play(
        """
        notify - READY=1 MAINPID=20 refused its sender, PID 77, is not below pyinit
               -> service.refused notify its sender, PID 77, is not below pyinit
        notify - EXTEND_TIMEOUT_USEC=1 refused its sender, PID 77, is not below pyinit
        notify - READY=1 refused its sender, PID 78, has ended
               -> service.refused notify its sender, PID 78, has ended
        is running
        """,
        notify=True,
    )


def test_message_while_stopping() -> None:
    """In a stop a message is told and passed on; whom it names, and that it is ready, is nobody's matter any more."""
    play(
        """
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        notify 10 READY=1 -> service.notified 10 ready=1; pass on READY=1
        notify 10 STOPPING=1 MAINPID=40 claims 40 below 20 -> service.notified 10 stopping=1 mainpid=40
               -> pass on STOPPING=1
        notify 10 ERRNO=5 STATUS=bye -> service.notified 10 status=bye errno=5; pass on ERRNO=5 STATUS=bye
        is stopping until 2.666666
        """,
        notify=True,
    )


# -- more time ---------------------------------------------------------------------------------------------------------


def test_more_time() -> None:
    """EXTEND_TIMEOUT_USEC in a stop: SIGKILL comes at the earliest so much later, counted from the message."""
    play(
        """
        at 1 signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        at 4 time-up -> walk
        walked 10
        at 5 notify 10 EXTEND_TIMEOUT_USEC=20000000
             -> service.notified 10 extend_timeout_usec=20000000 debug; pass on EXTEND_TIMEOUT_USEC=20000000
             -> stop.extended 20 to 24
        at 9 time-up -> walk
        walked 10
        at 24.9 time-up -> walk
        walked 10
        is stopping until 25
        at 25 time-up -> stop.killing 10; kill children
        """,
        notify=True,
        grace_max_s=60.0,
    )


def test_more_time_is_never_less() -> None:
    """Who asks for less than there is has what there is."""
    play(
        """
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        at 1 notify 10 EXTEND_TIMEOUT_USEC=0
             -> service.notified 10 extend_timeout_usec=0 debug; pass on EXTEND_TIMEOUT_USEC=0; stop.extended 0 to 8
        at 7.9 time-up -> walk
        is stopping until 8
        """,
        notify=True,
        grace_max_s=60.0,
    )


def test_more_time_has_a_limit() -> None:
    """However much is asked for, SIGKILL comes when --grace-max is over, and that is told."""
    play(
        """
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        at 3 time-up -> walk
        at 6 notify 10 EXTEND_TIMEOUT_USEC=999999999999999999
             -> service.notified 10 extend_timeout_usec=999999999999999999 debug
             -> pass on EXTEND_TIMEOUT_USEC=999999999999999999; stop.extended 1e+12 to 20 limited
        at 19 notify 10 EXTEND_TIMEOUT_USEC=5000000
             -> service.notified 10 extend_timeout_usec=5000000 debug; pass on EXTEND_TIMEOUT_USEC=5000000
             -> stop.extended 5 to 20 limited
        at 20 time-up -> stop.killing 10; kill children
        notify 10 EXTEND_TIMEOUT_USEC=5000000
             -> service.notified 10 extend_timeout_usec=5000000 debug; pass on EXTEND_TIMEOUT_USEC=5000000
        is killing until 21
        """,
        notify=True,
        grace_max_s=20.0,
    )


def test_no_more_time_than_the_grace() -> None:
    """Without --grace-max the grace is the limit."""
    play(
        """
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        at 6 notify 10 EXTEND_TIMEOUT_USEC=5000000
             -> service.notified 10 extend_timeout_usec=5000000 debug; pass on EXTEND_TIMEOUT_USEC=5000000
             -> stop.extended 5 to 8 limited
        at 8 time-up -> stop.killing 10; kill children
        """,
        notify=True,
    )


def test_more_time_for_nobody_else() -> None:
    """A stranger gets no more time, nor does who asks before there is a stop."""
    play(
        """
        notify 10 EXTEND_TIMEOUT_USEC=5000000
             -> service.notified 10 extend_timeout_usec=5000000 debug; pass on EXTEND_TIMEOUT_USEC=5000000
        signal TERM -> stop.begun signal TERM; group 10 TERM+CONT; inspect 10
        notify - EXTEND_TIMEOUT_USEC=5000000 refused its sender, PID 7, has ended
             -> service.refused notify its sender, PID 7, has ended
        is stopping until 2.666666
        """,
        notify=True,
        grace_max_s=60.0,
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 1e-6),
        ("1500000", 1.5),
        ("0", 0.0),
        ("9" * 18, 999999999999.999999),
        ("9" * 19, None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("\u0663", None),
        ("infinity", None),
    ],
)
def test_seconds_that_are_asked_for(text: str, seconds: float | None) -> None:
    """EXTEND_TIMEOUT_USEC is a whole number of microseconds; anything else asks for nothing."""
    assert extension_s({"EXTEND_TIMEOUT_USEC": text}) == (pytest.approx(seconds) if seconds is not None else None)
    assert extension_s({"STATUS": text}) is None
