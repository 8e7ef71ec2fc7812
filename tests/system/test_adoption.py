"""Finding and describing what comes to pyinit: whatever it is called, whatever it has done to itself."""

from __future__ import annotations

import datetime as dt
import signal
import time
from typing import TYPE_CHECKING

import pytest

from support import procs
from support.programs import program
from support.run import ADOPTED, ALL_MODES, HANDOVER, PID1, REAPED, STARTED, SUBREAPER

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.run import Run

    Start = Callable[..., Run]


NAMES = {
    "parenthesis": b"a) b",
    "a whole stat line": b") Z 1 1 1 0 ((",
    "newline": b"two\nlines",
    "not UTF-8": b"caf\xe9\xff\xfe",
    "half a character": "ünüüüüüü".encode()[:14],
    "control characters": b"\x01\x1b[31m\x7f",
    "quotes": b'"\\",{}',
    "empty": b"",
    "blanks": b"   ",
    "15 bytes": b"x" * 15,
}


@pytest.mark.invariant(6)
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.modes(SUBREAPER, PID1)
def test_names_are_free_text(pyinit: Start, name: bytes) -> None:
    """A process may call itself anything in 15 bytes: it is adopted, described, stopped and told like any other."""
    run = pyinit(program("double_fork"), "after", program("rename"), name.hex(), "4", "wait")
    daemon = int(run.out.wait("ready")[0])
    run.wait_for(HANDOVER)
    run.kill(daemon, signal.SIGTERM)
    assert run.finish() == 4
    ended = run.one(REAPED, process__pid=daemon)
    told = ended["process.executable.name"]
    if name.isascii() and name.decode().isprintable() and name.strip():
        assert told == name.decode()
    assert ended["process.group_leader.pid"] == ended["process.session_leader.pid"] != daemon


def test_name_at_the_end_is_the_last_one(pyinit: Start) -> None:
    """What was read at the fork is the launcher's name: the record of the end has the last one."""
    run = pyinit(program("double_fork"), "after", program("serve"), "0")
    daemon = int(run.out.wait("ready")[0])
    run.wait_for(HANDOVER)
    assert run.stop() == 0
    assert run.one(REAPED, process__pid=daemon)["process.executable.name"] == "serve"


@pytest.mark.parametrize(
    ("command", "escaped"),
    [
        (["double_fork", "after", "serve"], ["adopted", "group", "session"]),
        (["single_fork", "serve"], ["adopted"]),
        (["thread_fork", "serve"], ["adopted", "group", "session"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_escaped_says_how(pyinit: Start, command: list[str], escaped: list[str]) -> None:
    """The record of an adoption says whether the process has left main's group or session too."""
    words = [program(word) if word != "after" else word for word in command]
    run = pyinit(*words, "0")
    daemon = int(run.out.wait("ready")[0])
    run.wait_for(HANDOVER)
    run.stop()
    assert sorted(run.one(ADOPTED, process__pid=daemon)["pyinit.escaped"]) == escaped
    assert sorted(run.one(REAPED, process__pid=daemon)["pyinit.escaped"]) == escaped


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.invariant(2)
def test_daemon_without_descriptors(pyinit: Start) -> None:
    """A daemon that has closed every descriptor is known all the same, and is gone at the end."""
    run = pyinit(program("double_fork"), "after", program("close_all"))
    daemon = run.out.wait("ready")[0]
    run.wait_for(HANDOVER)
    outer = run.outer(daemon)
    assert run.stop() == 128 + signal.SIGTERM
    assert not procs.stat(outer)


def test_hoarded_orphans_come_when_the_hoarder_dies(pyinit: Start) -> None:
    """What a subreaper below us keeps is its own business until it dies: then it comes to us, and is told."""
    run = pyinit(program("hoard"), "4")
    hoarder = run.out.wait("ready")[0]
    run.wait_for(STARTED)
    hoarded = [int(words[0]) for words in run.out.all("hoarded")]
    assert not run.of(ADOPTED)
    run.kill(hoarder, signal.SIGKILL)
    for pid in hoarded:
        run.wait_for(ADOPTED, process__pid=pid)
    for pid in hoarded:
        run.kill(pid, signal.SIGKILL)
    assert run.finish() == 128 + signal.SIGKILL
    assert len(run.of(REAPED)) == 5


def test_children_of_a_thread(pyinit: Start) -> None:
    """A daemon that a thread of the launcher has forked is found like any other."""
    run = pyinit(program("thread_fork"), program("serve"), "6")
    daemon = run.out.wait("ready")[0]
    assert f"[{daemon}]" in run.wait_for(HANDOVER)["message"]
    assert run.stop() == 6


def test_creation_time_is_told(pyinit: Start) -> None:
    """The start time of a process in its records is that of the wall clock, to about a clock tick."""
    before = time.time()
    run = pyinit(program("exit_with"), "0")
    run.finish()
    after = time.time()
    told = run.one(REAPED)["process.creation.time"]

    moment = dt.datetime.fromisoformat(told).timestamp()
    assert before - 0.2 <= moment <= after + 0.2


def test_arguments_are_told_only_on_request(pyinit: Start) -> None:
    """Arguments hold secrets: no record has them unless --log-args asks."""
    secret = "--password=secret-word"
    run = pyinit("/bin/sh", "-c", "sleep 0 & wait; exit 0", secret)
    assert run.finish() == 0
    assert not any("secret-word" in line for line in run.log.lines)
    run = pyinit(program("double_fork"), "after", program("serve"), "0", "secret-word", options=["--log-args"])
    run.out.wait("ready")
    run.wait_for(HANDOVER)
    run.stop()
    assert any("secret-word" in record.get("process.command_line", "") for record in run.log.records)
