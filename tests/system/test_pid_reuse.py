"""Numbers of processes that come round every few milliseconds: pyinit signals who is below it, and never a stranger.

A PID namespace of its own has so few numbers that a process that pyinit has seen is gone, and its number a stranger's,
before the signal is sent. tests/programs/strangers.c is the init there: what it does stands at its top.
"""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from support import run as runs
from support.needs import cannot
from support.programs import program

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.alone("numbers have to come round fast enough for the race that it is about")
# So many processes may come and go at one time, beside those that stay.
NUMBERS = 40
# Since then a PID namespace has a pid_max of its own; before, the whole machine would be limited.
PER_NAMESPACE = (6, 14)
KILLED = 137


def play(workdir: Path, times: int, signals: int) -> None:
    """Run pyinit among strangers so many times, each with so many signals to its tree and then a stop."""
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if version is None or (int(version[1]), int(version[2])) < PER_NAMESPACE:
        cannot(f"pid_max of one PID namespace alone takes Linux 6.14, this is {os.uname().release}")
    if reason := runs.why_not(runs.PID1):
        cannot(reason)
    board = workdir / "board"
    board.touch()
    report_r, report_w = os.pipe()
    words = [program("stage"), f"report={report_w}", *runs.stage_options(runs.PID1), "--"]
    words += [program("strangers"), str(NUMBERS), str(times), str(signals)]
    words += [runs.pyinit_command(), "--log-format", "json", "--log-level", "error"]
    words += ["--forward-to", "tree", "--grace", "60ms", "--"]
    try:
        done = subprocess.run(
            words,
            env={**runs.plain_environment(), "BOARD": str(board)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            pass_fds=[report_w],
            timeout=60,
            check=False,
        )
    finally:
        os.close(report_r)
        os.close(report_w)
    assert not done.stderr, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    hits = [" ".join(line) for line in lines if line[0] == "hit"]
    assert not hits, f"strangers were signalled {len(hits)} times: {hits}"
    assert [line for line in lines if line[0] == "run"] == [["run", str(KILLED), "0"]] * times, done.stdout
    assert lines[-1][0] == "rounds", done.stdout
    told = dict(zip(lines[-1][::2], map(float, lines[-1][1::2]), strict=True))
    # Else the test proves nothing: numbers came round, went from the tree to strangers, and the tree was signalled.
    assert told["rounds"] > times * (signals + 1), told
    assert told["handed"] > times * (signals + 1), told
    assert told["delivered"] > times * signals / 4, told


@pytest.mark.invariant(4)
def test_strangers_get_no_forwarded_signal(workdir: Path) -> None:
    """--forward-to tree: a hundred signals to a tree whose processes are gone before their turn comes."""
    play(workdir, 2, 50)


@pytest.mark.invariant(4)
def test_strangers_get_nothing_of_a_stop(workdir: Path) -> None:
    """A stop that is handed on to descendants, that walks the tree, and that ends with SIGKILL, again and again."""
    play(workdir, 20, 0)
