"""The log: what a healthy life says, where it goes, and that no reader of it ever holds pyinit up."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
from typing import TYPE_CHECKING

import pytest

from support import schema
from support.control import Talk, ctl
from support.programs import program
from support.run import ADOPTED, DROPPED, EXITED, HANDOVER, KILLING, READY, REAPED, STARTED, STOPPING, SUBREAPER
from support.waiting import Lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.run import Run

    Start = Callable[..., Run]


INFO = ("--log-format", "json")
SERVE = ("serve", "0")


def test_healthy_life_is_a_handful_of_lines(pyinit: Start) -> None:
    """At the default level: start, adoption, handover, readiness, stop, exit; no line for a good end."""
    run = pyinit(program("double_fork"), "after", program("serve"), "0", log_options=INFO)
    run.out.wait("ready")
    run.wait_for(READY)
    run.stop()
    assert set(run.log.names()) == {STARTED, ADOPTED, HANDOVER, READY, STOPPING, EXITED}
    assert len(run.log.names()) == 6


def test_log_reaps(pyinit: Start) -> None:
    """--log-reaps makes every reap a record at the default level."""
    run = pyinit(program("zombies"), "5", log_options=INFO, options=["--log-reaps"])
    assert run.finish() == 0
    reaps = run.of(REAPED)
    assert len(reaps) == 6
    assert {record["severity"] for record in reaps} == {"info"}


def test_bad_end_of_main_is_a_warning(pyinit: Start) -> None:
    """A bad end that decides is told at the default level, with the option that would make it good."""
    run = pyinit(program("exit_with"), "3", log_options=INFO)
    assert run.finish() == 3
    assert run.one(REAPED)["severity"] == "warning"
    assert "--ok-exit" in run.one(REAPED)["message"]


@pytest.mark.parametrize(("level", "wanted"), [("error", set()), ("warning", {KILLING})])
def test_log_level(pyinit: Start, level: str, wanted: set[str]) -> None:
    """--log-level leaves out what is less severe."""
    run = pyinit(
        program("ignore_term"),
        log_options=("--log-format", "json", "--log-level", level),
        options=["--grace", "100ms"],
        quiet=True,
    )
    run.out.wait("ready")
    run.stop()
    assert set(run.log.names()) == wanted


def test_log_file(pyinit: Start, workdir: Path) -> None:
    """--log-file: the records go there, one line each, behind what is there already; nothing goes to standard error."""
    path = workdir / "log"
    path.write_text("before\n")
    run = pyinit(program("exit_with"), "0", options=["--log-file", str(path)], json_log=False)
    assert run.finish() == 0
    assert run.log.lines == []
    first, *lines = path.read_text().splitlines()
    assert first == "before"
    assert [schema.parse(line)["event.name"] for line in lines] == [STARTED, REAPED, EXITED]


def test_log_file_that_cannot_be_opened(pyinit: Start) -> None:
    """A log that cannot be written to is an error before anything has been started: 125."""
    run = pyinit("/bin/echo", "started", options=["--log-file", "/nonexistent/folder/log"], json_log=False)
    assert run.finish() == 125
    assert run.out.lines == []
    assert run.log.lines[0].startswith("pyinit: ")


@pytest.mark.invariant(6)
def test_full_disk(pyinit: Start) -> None:
    """A log on a full disk changes nothing but the log."""
    run = pyinit(program("serve"), "5", options=["--log-file", "/dev/full"], json_log=False)
    run.out.wait("ready")
    run.signal(signal.SIGUSR1)
    run.out.wait("got 10 from")
    assert run.stop() == 5


def full_pipe() -> tuple[int, int]:
    """Return a pipe of one page that is full, with its reading end."""
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    os.write(write_end, b"x" * 4095 + b"\n")
    return read_end, write_end


@pytest.mark.invariant(6)
@pytest.mark.invariant(3)
def test_reader_that_hangs(pyinit: Start) -> None:
    """Nobody reads the log and its pipe is full.

    The command runs, is signalled, stops in time; later the log says what it lost.
    """
    read_end, write_end = full_pipe()
    try:
        run = pyinit(program("serve"), "5", stderr=write_end, json_log=False)
        run.out.wait("ready")
        for _ in range(3):
            run.signal(signal.SIGUSR1)
            run.out.wait("got 10 from")
        run.signal(signal.SIGTERM)
        assert run.finish() == 5
        assert run.seconds < 3
    finally:
        os.close(read_end)
        os.close(write_end)


@pytest.mark.modes(SUBREAPER)
def test_reader_that_comes_back(pyinit: Start) -> None:
    """Once the log is read again it goes on, with a record that says how many were dropped; every line is whole."""
    read_end, write_end = full_pipe()
    run = pyinit(program("storm"), "2600", stderr=write_end, json_log=False)
    os.close(write_end)
    run.out.wait("ready")
    late = Lines(read_end)
    late.wait_until(lambda lines: [line for line in lines if f'"{DROPPED}"' in line], "the count of dropped records")
    run.close_input()
    assert run.finish() == 0
    assert late.wait_eof(10)
    records = [schema.parse(line) for line in late.lines[1:]]
    dropped = sum(record["pyinit.count"] for record in records if record["event.name"] == DROPPED)
    assert records[-1]["event.name"] == EXITED
    assert records[-1]["pyinit.totals.reaped"] == 2601
    assert records[-1]["pyinit.totals.dropped"] == dropped > 0
    told = [record for record in records if record["event.name"] != DROPPED]
    assert len(told) + dropped >= 2601 + 2


@pytest.mark.invariant(6)
def test_reader_that_goes_away(pyinit: Start) -> None:
    """The reader of the log closes its end: pyinit goes on, and so does the command."""
    read_end, write_end = os.pipe()
    run = pyinit(program("serve"), "5", stderr=write_end, json_log=False)
    os.close(write_end)
    os.close(read_end)
    run.out.wait("ready")
    run.signal(signal.SIGUSR1)
    run.out.wait("got 10 from")
    assert run.stop() == 5


@pytest.mark.invariant(6)
@pytest.mark.invariant(7)
@pytest.mark.modes(SUBREAPER)
def test_terminal_that_hangs_up(pyinit: Start) -> None:
    """The log's terminal goes away while records wait: the run goes on, idle, and who asks still gets the records."""
    screen, terminal = os.openpty()
    run = pyinit(program("serve"), "5", stderr=terminal, log_options=["--log-format", "json"], json_log=False)
    run.out.wait("ready")
    shown = b""
    while STARTED.encode() not in shown:
        shown += os.read(screen, 4096)
    with Talk(run.pid) as talk:
        room = select.poll()
        room.register(terminal, select.POLLOUT)
        while room.poll(0):  # nobody reads any more
            talk.ask("log-level", level="debug")
        talk.ask("log-level", level="debug")
    os.close(terminal)
    os.close(screen)
    run.signal(signal.SIGUSR1)
    run.out.wait("got 10 from")
    run.assert_idle()
    assert "signal.forwarded" in ctl(run, "events").out
    assert run.stop() == 5


def test_shared_description_stays_blocking(pyinit: Start) -> None:
    """Pyinit never sets O_NONBLOCK on a description that it shares with the command."""
    read_end, write_end = os.pipe()
    try:
        run = pyinit(program("zombies"), "30", stderr=write_end, json_log=False)
        assert run.finish() == 0
        assert not fcntl.fcntl(write_end, fcntl.F_GETFL) & os.O_NONBLOCK
    finally:
        os.close(read_end)
        os.close(write_end)


@pytest.mark.invariant(6)
def test_closed_standard_error(pyinit: Start) -> None:
    """Without a standard error there is no log; nothing of it lands in a file of the command."""
    run = pyinit(program("serve"), "5", stage=["close=2"], json_log=False)
    run.out.wait("ready")
    run.signal(signal.SIGUSR1)
    run.out.wait("got 10 from")
    assert run.stop() == 5
    assert run.log.lines == []


def on_terminal(pyinit: Start, *options: str, **env: str) -> str:
    """Run something with standard error on a terminal; what it shows there."""
    leader, terminal = os.openpty()
    run = pyinit(program("exit_with"), "3", stderr=terminal, json_log=False, log_options=options, extra_env=env)
    os.close(terminal)
    shown = b""
    try:
        while data := os.read(leader, 4096):
            shown += data
    except OSError:  # EIO: the last one has closed the terminal
        pass
    os.close(leader)
    assert run.finish() == 3
    return shown.decode()


def test_terminal_gets_text_in_colour(pyinit: Start) -> None:
    """On a terminal the log is coloured text for people."""
    shown = on_terminal(pyinit)
    assert "exited with status 3" in shown
    assert "\x1b[" in shown
    assert not shown.startswith("{")


def test_no_color(pyinit: Start) -> None:
    """NO_COLOR is honoured."""
    shown = on_terminal(pyinit, NO_COLOR="1")
    assert "exited with status 3" in shown
    assert "\x1b" not in shown


def test_json_on_a_terminal(pyinit: Start) -> None:
    """--log-format json holds on a terminal too."""
    shown = on_terminal(pyinit, "--log-format", "json")
    assert [schema.parse(line)["event.name"] for line in shown.split("\r\n") if line] == [
        STARTED,
        STOPPING,
        REAPED,
        EXITED,
    ]


def test_json_without_a_terminal_is_the_default(pyinit: Start) -> None:
    """--log-format auto: JSON lines where standard error is no terminal."""
    run = pyinit(program("exit_with"), "0", log_options=())
    assert run.finish() == 0
    assert run.log.names() == [STARTED, EXITED]


def test_console_without_a_terminal(pyinit: Start) -> None:
    """--log-format console.

    Text, without colour where there is no terminal; a hostile name shows no control characters.
    """
    name = b"\x1b[31mx\ny".hex()
    run = pyinit(program("rename"), name, "3", log_options=("--log-format", "console"), json_log=False)
    assert run.finish() == 3
    text = "\n".join(run.log.lines)
    assert "exited with status 3" in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text)


@pytest.mark.modes(SUBREAPER)
def test_ecs(pyinit: Start) -> None:
    """--log-schema ecs renames for Elastic: still one JSON object a line."""
    run = pyinit(program("exit_with"), "0", options=["--log-schema", "ecs"], json_log=False)
    assert run.finish() == 0
    assert all(line.startswith('{"@timestamp"') for line in run.log.lines), run.log.lines
