"""--notify: what the service says by sd_notify(3) is proven, told, obeyed and passed on; nobody else is believed."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.outer import Outer
from support.programs import program
from support.run import (
    ALL_MODES,
    COMMAND_ENDED,
    COMMAND_OUTPUT,
    DEGRADED,
    ERROR,
    ESCALATED,
    EXITED,
    EXTENDED,
    HANDOVER,
    IDENTIFIED,
    KILLING,
    NOTIFIED,
    PID1,
    PID1_USER,
    PLAIN_USER,
    READY,
    REAPED,
    REFUSED,
    STARTED,
    STOPPING,
    SUBREAPER,
)
from support.waiting import pass_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.run import Run

    Start = Callable[..., Run]

# Far behind the end of a test: what happens sooner was not waited for.
LONG_GRACE = ["--grace", "50s"]
# What the kernel may need to kill and a loaded test machine to notice, in seconds.
SLACK_S = 2.5
# Without a line for each message.
QUIET = ("--log-format", "json", "--log-level", "info")


BOTH_KINDS = pytest.mark.parametrize("outer", ["abstract", "path"], indirect=True)


@pytest.fixture
def outer(request: pytest.FixtureRequest, workdir: Path) -> Iterator[Outer]:
    """Make the socket of a supervisor of pyinit."""
    address = {"abstract": f"@{workdir}", "path": f"{workdir}/notify"}[getattr(request, "param", "abstract")]
    with Outer(address) as made:
        yield made


def tell(run: Run, command: str) -> None:
    """Have the notifier carry out a command; see tests/programs/notifier.c."""
    os.write(run.input, command.encode() + b"\n")


def notifier(pyinit: Start, *options: str, **keywords: object) -> tuple[Run, int]:
    """Start a notifier as main: the run, and main's number."""
    run = pyinit(program("notifier"), "main", options=["--notify", *options], **keywords)
    main = int(run.out.wait("ready")[0])
    run.wait_for(STARTED)
    return run, main


def with_helper(pyinit: Start, *options: str, **keywords: object) -> tuple[Run, int, int]:
    """Start a notifier as a daemon (status 3), and a helper beside it (status 5): the run, and their numbers."""
    run = pyinit(
        program("several"),
        "0",
        *(program("notifier"), "daemon", "status 3"),
        "--",
        *(program("serve"), "5", "helper"),
        options=["--notify", *LONG_GRACE, *options],
        **keywords,
    )
    ready = {name: int(pid) for pid, name in (run.out.wait("ready", count) for count in (1, 2))}
    run.wait_for(HANDOVER)
    return run, ready["daemon"], ready["helper"]


def deaf_to_messages(run: Run) -> None:
    """Stop pyinit itself, so that it reads no message until it is continued."""
    os.kill(run.pid, signal.SIGSTOP)


def open_descriptors(run: Run) -> list[str]:
    """Return what pyinit has open."""
    return sorted(str(entry.readlink()) for entry in Path(f"/proc/{run.pid}/fd").iterdir())


def said(run: Run) -> list[dict[str, object]]:
    """Return what the records say of each message."""
    return [
        {key.removeprefix("pyinit.notify."): value for key, value in record.items() if key.startswith("pyinit.notify.")}
        for record in run.of(NOTIFIED)
    ]


# -- what a service says ----------------------------------------------------------------------------------------------


@pytest.mark.modes(*ALL_MODES)
def test_ready(pyinit: Start) -> None:
    """READY=1 makes the run ready, once, however often it is said; the sender is told."""
    run, main = notifier(pyinit)
    assert not run.of(READY)
    tell(run, "send READY=1")
    ready = run.wait_for(READY)
    assert ready["pyinit.reason"] == "notify"
    assert ready["process.pid"] == main
    notified = run.one(NOTIFIED)
    assert notified["pyinit.notify.ready"] is True
    assert notified["process.pid"] == main
    assert notified["severity"] == "info"
    tell(run, "send READY=1")
    run.wait_for(NOTIFIED, 2)
    assert run.stop() == 0
    assert len(run.of(READY)) == 1
    assert not run.of(ERROR)


@pytest.mark.modes(*ALL_MODES)
def test_ready_of_a_daemon(pyinit: Start) -> None:
    """With --notify the handover makes nothing ready: what the daemon says does."""
    run, daemon, _ = with_helper(pyinit)
    assert not run.of(READY)
    tell(run, "send READY=1")
    assert run.wait_for(READY)["pyinit.reason"] == "notify"
    assert run.one(NOTIFIED)["process.pid"] == daemon
    assert run.stop() in {3, 5}, "both decide"
    assert len(run.of(READY)) == 1
    assert len(run.of(STOPPING)) == 1


def test_all_that_can_be_said(pyinit: Start) -> None:
    """Every assignment that pyinit knows is a key of the record; those that make no sense are left out."""
    run, _ = notifier(pyinit)
    tell(run, r"send RELOADING=1\nMONOTONIC_USEC=5\nSTATUS=half way\nERRNO=2\nEXIT_STATUS=7")
    run.wait_for(NOTIFIED, 1)
    tell(run, r"send STOPPING=1\nSTATUS=caf\xc3\xa9 \xff end\nERRNO=much\nEXIT_STATUS=-1\nEXTEND_TIMEOUT_USEC=20")
    run.wait_for(NOTIFIED, 2)
    tell(run, r"send READY=0\nRELOADING=\nSTATUS=")
    run.wait_for(NOTIFIED, 3)
    assert run.stop() == 0
    first, second, third = said(run)
    assert first == {"reloading": True, "status": "half way", "errno": 2, "exit_status": 7}
    assert second["stopping"] is True
    assert second["extend_timeout_usec"] == 20
    assert str(second["status"]).startswith("café ")
    assert not {"errno", "exit_status"} & set(second)
    assert not {"ready", "reloading"} & set(third)
    assert not run.of(READY)


def test_status_alone_is_quiet(pyinit: Start) -> None:
    """A status line that changes every second is for the level debug; anything more is told at info."""
    run, _ = notifier(pyinit)
    tell(run, "send STATUS=1 of 3")
    assert run.wait_for(NOTIFIED, 1)["severity"] == "debug"
    tell(run, r"send STATUS=2 of 3\nRELOADING=1")
    assert run.wait_for(NOTIFIED, 2)["severity"] == "info"
    assert run.stop() == 0


def test_long_status_is_cut(pyinit: Start) -> None:
    """A record is a record: a status of thousands of bytes is cut."""
    run, _ = notifier(pyinit)
    tell(run, "send STATUS=" + "x" * 3800)
    assert run.wait_for(NOTIFIED)["pyinit.notify.status"].startswith("xxxx")
    tell(run, "send STATUS=" + r"\x01" * 3800)
    run.wait_for(NOTIFIED, 2)
    assert run.stop() == 0


def test_barrier(pyinit: Start) -> None:
    """BARRIER=1 (sd_notify_barrier(3)) is answered when all that was said before it has been dealt with."""
    run, _ = notifier(pyinit)
    tell(run, "many 40 STATUS=x")
    tell(run, "barrier")
    run.out.wait("barrier main")
    assert run.wait_for(NOTIFIED, 40)
    assert run.stop() == 0


def test_message_of_a_descendant(pyinit: Start) -> None:
    """Any process of the tree may speak: a child that waits for the answer (systemd-notify), too."""
    run = pyinit(
        program("serve"),
        "0",
        options=["--notify", "--reload-command", f"{program('notifier')} child 'send RELOADING=1' barrier 'exit 0'"],
    )
    run.out.wait("ready")
    run.wait_for(STARTED)
    run.signal(signal.SIGHUP)
    assert run.wait_for(NOTIFIED)["pyinit.notify.reloading"] is True
    run.wait_for(COMMAND_ENDED)
    assert run.stop() == 0
    assert not run.of(REFUSED)


@pytest.mark.modes(SUBREAPER, PLAIN_USER)
def test_message_of_the_dead(pyinit: Start) -> None:
    """A sender that has gone and has been reaped by its parent before its message is read cannot be proven: refused."""
    run, _ = notifier(pyinit)
    deaf_to_messages(run)
    tell(run, "child READY=1")
    run.out.wait("child")
    run.signal(signal.SIGCONT)
    refused = run.wait_for(REFUSED)
    assert refused["pyinit.source"] == "notify"
    assert "READY" in refused["pyinit.claim"]
    assert run.stop() == 0
    assert not run.of(READY)
    assert not run.of(NOTIFIED)


@pytest.mark.modes(PID1, PID1_USER)
def test_message_of_the_dead_in_our_namespace(pyinit: Start) -> None:
    """As PID 1 a sender that has gone was in our PID namespace, as the kernel gave it a number: it is believed."""
    run, _ = notifier(pyinit)
    deaf_to_messages(run)
    tell(run, "child READY=1")
    run.out.wait("child")
    run.signal(signal.SIGCONT)
    assert run.wait_for(READY)["pyinit.reason"] == "notify"
    assert run.stop() == 0
    assert not run.of(REFUSED)


# -- MAINPID ----------------------------------------------------------------------------------------------------------


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.invariant(5)
def test_mainpid(pyinit: Start) -> None:
    """MAINPID= names the service: it alone decides from then on; a helper's bad end does not."""
    run, daemon, helper = with_helper(pyinit)
    tell(run, rf"send MAINPID={daemon}\nREADY=1")
    identified = run.wait_for(IDENTIFIED)
    assert identified["pyinit.source"] == "notify"
    assert identified["process.pid"] == daemon
    assert run.wait_for(READY)["process.pid"] == daemon
    assert run.one(NOTIFIED)["pyinit.notify.mainpid"] == daemon
    run.kill(helper, signal.SIGTERM)
    assert run.wait_for(REAPED, process__pid=helper)["pyinit.role"] == "adopted"
    assert not run.of(STOPPING)
    run.kill(daemon, signal.SIGTERM)
    assert run.finish() == 3


def test_mainpid_of_another_process(pyinit: Start) -> None:
    """The sender may name another process of the tree: the helper is the service then."""
    run, daemon, helper = with_helper(pyinit)
    tell(run, f"send MAINPID={helper}")
    run.wait_for(IDENTIFIED, process__pid=helper)
    run.kill(daemon, signal.SIGTERM)
    run.wait_for(REAPED, process__pid=daemon)
    assert not run.of(STOPPING)
    run.kill(helper, signal.SIGTERM)
    assert run.finish() == 5


def test_mainpid_moves(pyinit: Start) -> None:
    """A second MAINPID= takes the place of the first."""
    run, daemon, helper = with_helper(pyinit)
    tell(run, f"send MAINPID={helper}")
    run.wait_for(IDENTIFIED, process__pid=helper)
    tell(run, f"send MAINPID={daemon}")
    assert run.wait_for(IDENTIFIED, process__pid=daemon)["pyinit.previous"] == f"serve[{helper}]"
    run.kill(helper, signal.SIGTERM)
    run.wait_for(REAPED, process__pid=helper)
    assert not run.of(STOPPING)
    run.kill(daemon, signal.SIGTERM)
    assert run.finish() == 3


def test_mainpid_before_the_handover(pyinit: Start) -> None:
    """Main names its child and exits 0: the child alone carries the service on."""
    run = pyinit(
        program("until_eof"),
        "0",
        *("/bin/sh", "-c", f'exec {program("notifier")} daemon "send MAINPID=$$" "status 3" </dev/null'),
        options=["--notify"],
    )
    daemon = next(int(words[0]) for words in run.out.wait_until(lambda _: _named(run, "daemon"), "the daemon"))
    run.wait_for(IDENTIFIED, process__pid=daemon)
    run.close_input()
    handover = run.wait_for(HANDOVER)
    assert [f"[{daemon}]" in name for name in handover["pyinit.successors"]] == [True]
    run.kill(daemon, signal.SIGTERM)
    assert run.finish() == 3


def _named(run: Run, name: str) -> list[list[str]]:
    return [words for words in run.out.all("ready") if words[1:] == [name]]


@pytest.mark.parametrize("first", ["PID file", "MAINPID"])
def test_mainpid_is_better_than_a_pid_file(pyinit: Start, workdir: Path, first: str) -> None:
    """The PID file names one, MAINPID= another: the latter holds, whichever came first."""
    path = workdir / "service.pid"
    run, daemon, helper = with_helper(pyinit, "--pid-file", str(path), "--reload-command", "echo $MAINPID")
    if first == "PID file":
        path.write_text(f"{helper}\n")
        run.wait_for(IDENTIFIED, process__pid=helper)
    tell(run, f"send MAINPID={daemon}")
    run.wait_for(IDENTIFIED, process__pid=daemon)
    if first == "MAINPID":
        path.write_text(f"{helper}\n")
        # Longer than the longest pause between two looks at the file.
        pass_time(1.5)
    run.signal(signal.SIGHUP)
    assert run.wait_for(COMMAND_OUTPUT)["pyinit.command.output"] == str(daemon)
    run.wait_for(COMMAND_ENDED)
    assert not run.of(READY)
    run.kill(helper, signal.SIGTERM)
    run.wait_for(REAPED, process__pid=helper)
    assert not run.of(STOPPING)
    run.kill(daemon, signal.SIGTERM)
    assert run.finish() == 3


def test_mainpid_of_the_dead(pyinit: Start) -> None:
    """MAINPID= of the sender's own child that has ended, reaped or not, is refused, and nothing changes."""
    run, daemon, _ = with_helper(pyinit)
    for count, kind in enumerate(("dead", "zombie"), 1):
        tell(run, kind)
        dead = run.out.wait("dead", count)[0]
        tell(run, f"send MAINPID={dead}")
        refused = run.wait_for(REFUSED, count)
        assert refused["pyinit.source"] == "notify"
        assert dead in refused["pyinit.claim"]
        assert re.search(rf"\b{dead}\b.* (has ended|no process)", refused["pyinit.reason"]), refused
    assert not run.of(IDENTIFIED)
    run.kill(daemon, signal.SIGTERM)
    assert run.finish(), "both decide"


@pytest.mark.modes(SUBREAPER, PLAIN_USER)
@pytest.mark.invariant(4)
def test_mainpid_of_a_stranger(pyinit: Start) -> None:
    """MAINPID= of a process outside of the tree is refused by name; what else the message says counts."""
    run, _ = notifier(pyinit)
    tell(run, rf"send MAINPID={os.getpid()}\nREADY=1")
    refused = run.wait_for(REFUSED)
    assert f"names PID {os.getpid()}, which is not below pyinit" in refused["pyinit.reason"]
    assert run.wait_for(READY)["pyinit.reason"] == "notify"
    assert run.stop() == 0
    assert not run.of(IDENTIFIED)


@pytest.mark.parametrize("text", ["pyinit", "1", "0", "-1", "x", "", "99999999999999999999", "4294967297"])
def test_mainpid_of_nobody(pyinit: Start, text: str) -> None:
    """MAINPID= of pyinit itself, of another init, or nonsense is refused."""
    run, _ = notifier(pyinit)
    tell(run, f"send MAINPID={run.pid_seen if text == 'pyinit' else text}")
    assert run.wait_for(REFUSED)["pyinit.source"] == "notify"
    assert run.stop() == 0
    assert not run.of(IDENTIFIED)
    assert not run.of(ERROR)


# -- strangers --------------------------------------------------------------------------------------------------------


def inbox(run: Run) -> str:
    """Return the address of pyinit's own socket, as the notifier was given it."""
    tell(run, "address")
    address = run.out.wait("address")[0]
    assert address.startswith("@")
    return address


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.invariant(4)
def test_sender_outside_of_the_tree(pyinit: Start) -> None:
    """A process that is not below pyinit may know the address: it is refused, and changes nothing."""
    run, main = notifier(pyinit)
    address = inbox(run)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.connect(address.replace("@", "\0", 1))
        stranger.send(f"READY=1\nMAINPID={main}\nSTATUS=evil".encode())
        refused = run.wait_for(REFUSED)
        assert refused["pyinit.source"] == "notify"
        for _ in range(100):
            stranger.send(b"STOPPING=1\nEXTEND_TIMEOUT_USEC=99000000")
    tell(run, "send READY=1")
    assert run.wait_for(READY)["process.pid"] == main
    assert run.stop() == 0
    assert len(run.of(NOTIFIED)) == 1
    assert not run.of(IDENTIFIED)
    assert len(run.of(REFUSED)) < 10, "a stranger fills the log"


@pytest.mark.modes(SUBREAPER)
def test_many_senders_outside_of_the_tree(pyinit: Start) -> None:
    """New strangers again and again do not fill the log, either."""
    run, _ = notifier(pyinit)
    environment = {"NOTIFY_SOCKET": inbox(run)}
    for _ in range(60):
        words = [program("notifier"), "stranger", "send READY=1", "barrier", "exit 0"]
        subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    assert run.stop() == 0
    assert 1 <= len(run.of(REFUSED)) <= 40
    assert not run.of(READY)


@pytest.mark.modes(PID1, PID1_USER)
@pytest.mark.invariant(4)
def test_sender_that_was_brought_in(pyinit: Start) -> None:
    """The same for a process of `docker exec`, which lives in the namespace but is not below pyinit."""
    run, _ = notifier(pyinit)
    address = inbox(run)
    run.join(
        *("/usr/bin/env", f"NOTIFY_SOCKET={address}"),
        *(program("notifier"), "stranger", "send READY=1", "barrier", "exit 0"),
    )
    assert run.wait_for(REFUSED)["pyinit.source"] == "notify"
    assert run.stop() == 0
    assert not run.of(READY)
    assert not run.of(NOTIFIED)


# -- EXTEND_TIMEOUT_USEC ----------------------------------------------------------------------------------------------


def stopping(pyinit: Start, text: str, *options: str) -> Run:
    """Start a notifier that says this at SIGTERM and does not end, and begin to stop it."""
    run, _ = notifier(pyinit, *options)
    tell(run, "stay")
    tell(run, f"reply {text}")
    inbox(run)
    run.signal(signal.SIGTERM)
    run.out.wait("got 15")
    return run


@pytest.mark.invariant(3)
def test_extension(pyinit: Start) -> None:
    """EXTEND_TIMEOUT_USEC puts SIGKILL off: the service has the time that it asks for, and ends in order."""
    run = stopping(pyinit, "EXTEND_TIMEOUT_USEC=20000000", "--grace", "1s", "--grace-max", "30s")
    extended = run.wait_for(EXTENDED)
    assert extended["pyinit.asked_s"] == 20
    assert 20 <= extended["pyinit.grace_s"] < 21
    assert extended["pyinit.limited"] is False
    pass_time(1.5)
    tell(run, "exit 4")
    assert run.finish() == 4
    assert run.seconds > 1.4
    assert not run.of(KILLING)


@pytest.mark.invariant(3)
def test_extension_again_and_again(pyinit: Start) -> None:
    """A service that goes on asking for a little has that each time."""
    run = stopping(pyinit, "EXTEND_TIMEOUT_USEC=2000000", "--grace", "1s", "--grace-max", "30s")
    for count in range(1, 6):
        run.wait_for(EXTENDED, count)
        pass_time(0.4)
        tell(run, "send EXTEND_TIMEOUT_USEC=2000000")
    tell(run, "exit 4")
    assert run.finish() == 4
    assert run.seconds > 1.9
    assert not run.of(KILLING)


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.invariant(3)
def test_extension_has_a_limit(pyinit: Start) -> None:
    """--grace-max bounds what is asked for: SIGKILL comes then, and the record said so."""
    run = stopping(pyinit, "EXTEND_TIMEOUT_USEC=600000000", "--grace", "700ms", "--grace-max", "1200ms")
    assert run.finish() == 128 + signal.SIGKILL
    assert 1.2 <= run.seconds < 1.2 + SLACK_S
    extended = run.one(EXTENDED)
    assert extended["pyinit.grace_s"] == 1.2
    assert extended["pyinit.limited"] is True
    assert len(run.of(KILLING)) == 1


@pytest.mark.invariant(3)
def test_no_extension_without_grace_max(pyinit: Start) -> None:
    """Without --grace-max the grace is the grace, whatever is asked for."""
    run = stopping(pyinit, "EXTEND_TIMEOUT_USEC=600000000", "--grace", "1s")
    assert run.finish() == 128 + signal.SIGKILL
    assert 1 <= run.seconds < 1 + SLACK_S
    assert all(record["pyinit.limited"] and record["pyinit.grace_s"] == 1 for record in run.of(EXTENDED))


def test_extension_never_shortens(pyinit: Start) -> None:
    """Less than what is left is no extension: the grace stays what it was."""
    run = stopping(pyinit, "EXTEND_TIMEOUT_USEC=1", "--grace", "1500ms", "--grace-max", "30s")
    assert run.finish() == 128 + signal.SIGKILL
    assert 1.5 <= run.seconds < 1.5 + SLACK_S


def test_extension_before_the_stop(pyinit: Start) -> None:
    """An extension of a start-up, when nothing is being stopped, is told and does nothing."""
    run, _ = notifier(pyinit, "--grace", "500ms", "--grace-max", "30s")
    tell(run, "stay")
    tell(run, "send EXTEND_TIMEOUT_USEC=20000000")
    run.wait_for(NOTIFIED)
    assert run.stop() == 128 + signal.SIGKILL
    assert 0.5 <= run.seconds < 0.5 + SLACK_S
    assert not run.of(EXTENDED)


def test_what_was_not_asked_for_comes_in_time(pyinit: Start) -> None:
    """What else is left gets its signal after a third of the grace, extension or not."""
    command = [
        program("several"),
        "0",
        program("notifier"),
        "daemon",
        "stay",
        "reply EXTEND_TIMEOUT_USEC=2500000",
        "--",
        program("deaf"),
        program("serve"),
    ]
    run = pyinit(*command, "0", "hidden", options=["--notify", "--grace", "1500ms", "--grace-max", "30s"])
    run.out.wait("ready", 3)
    run.wait_for(HANDOVER)
    run.signal(signal.SIGTERM)
    run.wait_for(EXTENDED)
    assert run.wait_for(ESCALATED)["pyinit.after_s"] < 1.5
    tell(run, "exit 0")
    run.finish()
    assert [words for words in run.out.all("got 15 from") if words[1] == "hidden"]


# -- passing on -------------------------------------------------------------------------------------------------------


@BOTH_KINDS
@pytest.mark.modes(*ALL_MODES)
def test_passed_on(pyinit: Start, outer: Outer) -> None:
    """What the service says goes on to pyinit's own NOTIFY_SOCKET, from pyinit; MAINPID and descriptors do not."""
    run, main = notifier(pyinit, extra_env={"NOTIFY_SOCKET": outer.address})
    assert inbox(run) != outer.address
    tell(run, rf"send READY=1\nSTATUS=on its way\nMAINPID={main}")
    outer.wait("STATUS=on its way")
    tell(run, r"fds 2 FDSTORE=1\nFDNAME=x\nWATCHDOG=1")
    outer.wait("WATCHDOG=1")
    tell(run, r"send RELOADING=1\nMONOTONIC_USEC=77")
    outer.wait("MONOTONIC_USEC=77")
    tell(run, r"send X_OF_ITS_OWN=5\nERRNO=2")
    outer.wait("X_OF_ITS_OWN=5")
    tell(run, "barrier")
    run.out.wait("barrier main")
    run.wait_for(READY)
    assert run.stop() == 0
    lines = outer.all()
    assert lines.count("READY=1") == 1
    assert lines.count("STOPPING=1") == 1
    assert not [line for line in lines if line.split("=")[0] in {"MAINPID", "FDSTORE", "FDNAME", "BARRIER"}], lines
    assert set(outer.senders) == {run.pid}
    assert not run.of(DEGRADED)


def test_stop_is_passed_on(pyinit: Start, outer: Outer) -> None:
    """STOPPING=1 goes out when a stop begins, long before the run is over."""
    run, _ = notifier(pyinit, *LONG_GRACE, extra_env={"NOTIFY_SOCKET": outer.address})
    tell(run, "stay")
    tell(run, "send READY=1")
    outer.wait("READY=1")
    assert "STOPPING=1" not in outer.all()
    run.signal(signal.SIGTERM)
    outer.wait("STOPPING=1")
    tell(run, "exit 0")
    assert run.finish() == 0


def test_extension_is_passed_on(pyinit: Start, outer: Outer) -> None:
    """Who supervises pyinit learns that the stop takes longer."""
    run, _ = notifier(pyinit, *LONG_GRACE, extra_env={"NOTIFY_SOCKET": outer.address})
    tell(run, "stay")
    tell(run, "send STATUS=begin")
    outer.wait("STATUS=begin")
    run.signal(signal.SIGTERM)
    run.out.wait("got 15")
    tell(run, "send EXTEND_TIMEOUT_USEC=7000000")
    outer.wait("EXTEND_TIMEOUT_USEC=7000000")
    tell(run, "exit 0")
    assert run.finish() == 0


@BOTH_KINDS
@pytest.mark.modes(*ALL_MODES)
def test_without_the_option_main_has_the_outer_one(pyinit: Start, outer: Outer) -> None:
    """Without --notify main is given pyinit's own NOTIFY_SOCKET, untouched."""
    run = pyinit(program("notifier"), "main", "address", extra_env={"NOTIFY_SOCKET": outer.address})
    assert run.out.wait("address")[0] == outer.address
    run.out.wait("ready")
    tell(run, "send STATUS=from main itself")
    outer.wait("STATUS=from main itself")
    assert run.pid not in outer.senders
    assert run.stop() == 0
    assert not run.of(NOTIFIED)
    assert not run.of(READY)


def test_without_a_socket_there_is_none(pyinit: Start) -> None:
    """With neither --notify nor a NOTIFY_SOCKET of pyinit's main is given none."""
    run = pyinit(program("notifier"), "main", "address", "exit 0")
    assert run.finish() == 0
    assert run.out.all("address") == [["none"]]


@pytest.mark.modes(*ALL_MODES)
def test_readiness_of_a_daemon_is_told_without_the_option(pyinit: Start, outer: Outer) -> None:
    """A daemon knows nothing of sd_notify: pyinit says READY=1 at the handover for it, and STOPPING=1."""
    run = pyinit(program("double_fork"), "after", program("serve"), "0", extra_env={"NOTIFY_SOCKET": outer.address})
    run.out.wait("ready")
    outer.wait("READY=1")
    assert run.wait_for(READY)["pyinit.reason"] == "handover"
    assert run.stop() == 0
    assert outer.all() == ["READY=1", "STOPPING=1"]
    assert set(outer.senders) == {run.pid}


def test_readiness_by_pid_file_is_told(pyinit: Start, outer: Outer, workdir: Path) -> None:
    """The same when a PID file is proven."""
    path = workdir / "service.pid"
    run = pyinit(
        *(program("double_fork"), "after", program("serve"), "0"),
        options=["--pid-file", str(path)],
        extra_env={"NOTIFY_SOCKET": outer.address},
    )
    service = run.out.wait("ready")[0]
    run.wait_for(HANDOVER)
    assert outer.all() == []
    path.write_text(f"{service}\n")
    outer.wait("READY=1")
    assert run.stop() == 0
    assert outer.all() == ["READY=1", "STOPPING=1"]


def test_nothing_is_ready_that_never_said_so(pyinit: Start, outer: Outer) -> None:
    """With --notify nothing but READY=1 of the service makes pyinit say that."""
    run, _, _ = with_helper(pyinit, extra_env={"NOTIFY_SOCKET": outer.address})
    tell(run, "send STATUS=not yet")
    outer.wait("STATUS=not yet")
    assert run.stop()
    assert "READY=1" not in outer.all()
    assert not run.of(READY)


UNREACHABLE = {
    "no such file": "/no/such/socket",
    "no listener": "@pyinit-test-nobody-listens-here",
    "no socket": "/etc/passwd",
    "relative": "notify",
    "vsock": "vsock:2:1234",
    "too long": "/" + "x" * 300,
    "only @": "@",
    "only /": "/",
}


@pytest.mark.invariant(6)
@pytest.mark.parametrize("address", UNREACHABLE.values(), ids=UNREACHABLE)
def test_unreachable(pyinit: Start, address: str) -> None:
    """A NOTIFY_SOCKET of pyinit's that cannot be reached is told once, however much there is to say."""
    run, _ = notifier(pyinit, extra_env={"NOTIFY_SOCKET": address})
    tell(run, "send READY=1")
    run.wait_for(READY)
    tell(run, "many 20 STATUS=x")
    run.wait_for(NOTIFIED, 21)
    assert run.stop() == 0
    assert len(run.of(DEGRADED)) == 1
    assert run.one(DEGRADED)["pyinit.feature"] == "NOTIFY_SOCKET"


def test_unreachable_without_the_option(pyinit: Start) -> None:
    """The same for what pyinit itself has to say."""
    run = pyinit(program("double_fork"), "after", program("serve"), "5", extra_env={"NOTIFY_SOCKET": "/no/such/socket"})
    run.out.wait("ready")
    run.wait_for(READY)
    assert run.stop() == 5
    assert len(run.of(DEGRADED)) == 1
    assert run.one(DEGRADED)["pyinit.feature"] == "NOTIFY_SOCKET"


def test_empty_socket_is_none(pyinit: Start) -> None:
    """NOTIFY_SOCKET set to nothing is as good as not set."""
    run, _ = notifier(pyinit, extra_env={"NOTIFY_SOCKET": ""})
    tell(run, "send READY=1")
    run.wait_for(READY)
    assert run.stop() == 0
    assert not run.of(DEGRADED)


@BOTH_KINDS
@pytest.mark.invariant(6)
def test_supervisor_that_does_not_listen(pyinit: Start, outer: Outer) -> None:
    """Nobody reads pyinit's own socket, and its queue is full: pyinit waits for nobody, and the stop is in time."""
    run, _ = notifier(pyinit, extra_env={"NOTIFY_SOCKET": outer.address})
    tell(run, "many 300 STATUS=x")
    run.wait_for(NOTIFIED, 300)
    assert run.stop() == 0
    assert run.seconds < SLACK_S
    assert len(run.of(DEGRADED)) <= 1


# -- garbage, floods, descriptors -------------------------------------------------------------------------------------

GARBAGE = {
    "nothing": "",
    "no equals sign": "READY",
    "no name": "=1",
    "only newlines": r"\n\n\n",
    "NUL bytes": r"READY\x00=1",
    "NUL in a value": r"STATUS=a\x00b",
    "not UTF-8": r"\xff\xfe\xfd=\xff\nSTATUS=\xff",
    "other case": "ready=1",
    "blanks": " READY=1",
    "escape sequences": r"STATUS=\x1b[2J\x1b]0;evil\x07",
    "a thousand lines": r"A=1\n" * 1000,
    "a name without end": "A" * 4000 + "=1",
    "numbers": r"ERRNO=99999999999999999999\nEXIT_STATUS=99999999999\nEXTEND_TIMEOUT_USEC=99999999999999999999999",
    "negative numbers": r"ERRNO=-1\nEXIT_STATUS=-1\nEXTEND_TIMEOUT_USEC=-1\nMAINPID=-7",
    "number of an error that there is not": "ERRNO=4000",
    "a JSON string": r'STATUS="}],{"event.name":"pyinit.exited"',
}


@pytest.mark.invariant(6)
@pytest.mark.parametrize("text", GARBAGE.values(), ids=GARBAGE)
def test_garbage(pyinit: Start, outer: Outer, text: str) -> None:
    """Whatever bytes are sent, running or stopping: no error, nothing is ready by them, and the next message counts."""
    run, main = notifier(pyinit, extra_env={"NOTIFY_SOCKET": outer.address})
    tell(run, "stay")
    tell(run, f"send {text}")
    tell(run, "send STATUS=after it")
    run.wait_for(NOTIFIED, pyinit__notify__status="after it")
    assert not run.of(READY)
    run.signal(signal.SIGTERM)
    run.out.wait("got 15")
    tell(run, f"send {text}")
    tell(run, "send STATUS=in the stop")
    run.wait_for(NOTIFIED, pyinit__notify__status="in the stop")
    run.kill(main, signal.SIGKILL)
    assert run.finish() == 128 + signal.SIGKILL
    assert not run.of(ERROR)


@pytest.mark.invariant(6)
@pytest.mark.parametrize("size", [0, 1, 4096, 4097, 65536, 150_000])
def test_messages_of_any_size(pyinit: Start, size: int) -> None:
    """An empty message, and those that are longer than any that makes sense."""
    run, _ = notifier(pyinit)
    tell(run, f"size {size}")
    run.out.wait("sent")
    tell(run, "send READY=1")
    run.wait_for(READY)
    assert run.stop() == 0
    assert not run.of(ERROR)


@pytest.mark.invariant(6)
@pytest.mark.modes(*ALL_MODES)
def test_ten_thousand_messages(pyinit: Start) -> None:
    """A flood is taken in, nothing is lost, signals are forwarded meanwhile, and the stop is in time."""
    run, _ = notifier(pyinit, log_options=QUIET)
    tell(run, "many 10000 STATUS=x")
    tell(run, "send READY=1")
    run.signal(signal.SIGUSR1)
    run.wait_for(READY)
    run.out.wait("got 10 from")
    assert run.stop() == 0
    assert run.seconds < SLACK_S
    assert not run.of(ERROR)
    assert run.one(EXITED)["pyinit.totals.forwarded"] == 1


@pytest.mark.invariant(3)
def test_stop_in_a_flood(pyinit: Start) -> None:
    """A service that floods its socket without end is stopped in time all the same."""
    flood = f"while :; do {program('notifier')} flood 'many 500 STATUS=x' 'exit 0' </dev/null; done"
    run = pyinit(
        *("/bin/sh", "-c", f'trap "" TERM; {flood}'), options=["--notify", "--grace", "700ms"], log_options=QUIET
    )
    run.wait_for(STARTED)
    run.out.wait("sent flood", 3)
    assert run.stop() == 128 + signal.SIGKILL
    assert run.seconds < 0.7 + SLACK_S


@pytest.mark.invariant(6)
@pytest.mark.modes(*ALL_MODES)
def test_descriptors_do_not_leak(pyinit: Start) -> None:
    """Descriptors that are sent along are closed: pyinit has none more after a thousand of them than before."""
    run, _ = notifier(pyinit)
    tell(run, "send STATUS=before")
    run.wait_for(NOTIFIED, 1)
    before = open_descriptors(run)
    for count in (1, 3, 253):
        for _ in range(20):
            tell(run, f"fds {count} STATUS=x")
    for count in (1, 253):
        tell(run, f"fds {count} nothing")
        tell(run, rf"fds {count} FDSTORE=1\nFDNAME=kept")
        tell(run, f"fds {count} ")
    tell(run, "send STATUS=after")
    run.wait_for(NOTIFIED, pyinit__notify__status="after")
    assert open_descriptors(run) == before
    assert run.stop() == 0
    assert not run.of(ERROR)


@pytest.mark.invariant(6)
def test_more_descriptors_than_there_is_room_for(pyinit: Start) -> None:
    """Descriptors for which pyinit has no number left cost nothing but themselves."""
    run, _ = notifier(pyinit, stage=["nofile=40"])
    for _ in range(10):
        tell(run, "fds 30 STATUS=x")
    tell(run, "send READY=1")
    run.wait_for(READY)
    assert len(open_descriptors(run)) < 20
    assert run.stop() == 0
    assert not run.of(ERROR)


# -- what it costs, and what may be missing ---------------------------------------------------------------------------


@pytest.mark.invariant(7)
@pytest.mark.modes(SUBREAPER, PID1)
@pytest.mark.parametrize("kind", ["main", "daemon"])
def test_no_wakeup(pyinit: Start, outer: Outer, kind: str) -> None:
    """Between messages nothing wakes pyinit up."""
    environment = {"NOTIFY_SOCKET": outer.address}
    if kind == "main":
        run, service = notifier(pyinit, extra_env=environment)
    else:
        run, service, _ = with_helper(pyinit, extra_env=environment)
    tell(run, rf"send READY=1\nMAINPID={service}")
    run.wait_for(READY)
    run.assert_idle()
    run.stop()


@pytest.mark.invariant(6)
def test_without_proc(pyinit: Start) -> None:
    """Without /proc a message of a child of pyinit is proven, and so is a MAINPID= of one."""
    run, daemon, helper = with_helper(pyinit, stage=["no-proc"], own_children=True)
    tell(run, rf"send READY=1\nMAINPID={daemon}")
    assert run.wait_for(READY)["pyinit.reason"] == "notify"
    run.wait_for(IDENTIFIED, process__pid=daemon)
    run.kill(helper, signal.SIGTERM)
    run.wait_for(REAPED, process__pid=helper)
    assert not run.of(STOPPING)
    run.kill(daemon, signal.SIGTERM)
    assert run.finish() == 3


def test_by_variable(pyinit: Start) -> None:
    """PYINIT_NOTIFY=yes says the same."""
    run = pyinit(program("notifier"), "main", "send READY=1", extra_env={"PYINIT_NOTIFY": "yes"})
    run.wait_for(READY)
    assert run.stop() == 0


def test_foreground_service_without_the_option_is_never_ready(pyinit: Start) -> None:
    """A foreground service that says nothing is not called ready: there is nothing that shows it."""
    run = pyinit(program("serve"), "0")
    run.out.wait("ready")
    run.wait_for(STARTED)
    assert run.stop() == 0
    assert not run.of(READY)


@pytest.mark.modes(*ALL_MODES)
def test_ready_at_the_handover(pyinit: Start) -> None:
    """Without --notify and --pid-file the launcher's exit 0 with a successor is readiness, once."""
    run = pyinit(program("double_fork"), "after", program("hand_over"))
    current = int(run.out.wait("ready")[0])
    ready = run.wait_for(READY)
    assert ready["pyinit.reason"] == "handover"
    assert ready["process.pid"] == current
    run.kill(current, signal.SIGUSR2)
    run.out.wait("next")
    assert run.stop() == 0
    assert len(run.of(READY)) == 1
