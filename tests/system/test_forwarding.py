"""Forwarding: every signal once, to whom --forward-to says, as what --rewrite says, unless --stop-on names it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from support import run as runs
from support.needs import cannot
from support.programs import program
from support.run import (
    ADOPTED,
    FORWARDED,
    KILLING,
    PID1,
    PLAIN_USER,
    REPEATED,
    STARTED,
    STOPPING,
    SUBREAPER,
    UNDELIVERABLE,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.run import Run

    Start = Callable[..., Run]

RTMIN = 34
ALL_SIGNALS = range(1, 65)
TAKES = [number for number in ALL_SIGNALS if number not in {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}]
# Far behind the end of a test: what ends sooner was not ended by it.
LONG_GRACE = ["--grace", "50s"]


def taker(pyinit: Start, *options: str, **keywords: object) -> Run:
    """Start pyinit with a main that takes every signal and ends with its input."""
    run = pyinit(program("take_all"), "main", options=options, **keywords)
    run.out.wait("ready")
    run.wait_for(STARTED)
    return run


def numbers(run: Run) -> list[int]:
    """Return the signals that somebody below pyinit got, in order."""
    return [int(words[0]) for words in run.out.all("got")]


def leave(run: Run, status: int = 0) -> None:
    """Let main end by itself."""
    run.close_input()
    assert run.finish() == status


@pytest.mark.modes(SUBREAPER, PID1, PLAIN_USER)
def test_every_signal_is_forwarded_once(pyinit: Start) -> None:
    """Each signal from 1 to 64 comes once, with its number, from pyinit; faults sent by kill(2) and 32 and 33 too.

    SIGCHLD is not forwarded; SIGKILL and SIGSTOP cannot be.
    """
    run = taker(pyinit, "--stop-on", "none")
    run.signal(signal.SIGCHLD)
    for number in TAKES:
        run.signal(number)
        run.out.wait(f"got {number} from {run.pid_seen}")
    leave(run)
    assert numbers(run) == TAKES
    assert [record["pyinit.signal.number"] for record in run.of(FORWARDED)] == TAKES


def test_order_is_kept(pyinit: Start) -> None:
    """What is pending is forwarded in the order in which the kernel hands it out."""
    run = taker(pyinit)
    run.signal(signal.SIGSTOP)
    for number in (64, 10, 35, 1, 35, 28):
        run.signal(number)
    run.signal(signal.SIGCONT)
    run.out.wait("got 64 from")
    assert numbers(run) == [1, 10, 18, 28, 35, 35, 64]
    leave(run)


def test_real_time_signals_queue(pyinit: Start) -> None:
    """Each real-time signal arrives as often as it was sent, though pyinit could not take them meanwhile."""
    run = taker(pyinit)
    run.signal(signal.SIGSTOP)
    for _ in range(200):
        for number in (RTMIN, 50, 64):
            run.signal(number)
    run.signal(signal.SIGCONT)
    run.out.wait("got 64 from", 200)
    leave(run)
    assert numbers(run) == [18] + [RTMIN] * 200 + [50] * 200 + [64] * 200


@pytest.mark.parametrize(
    ("options", "sent", "becomes"),
    [
        (["--rewrite", "HUP:USR1"], [1], [10]),
        (["-r", "1:10"], [1], [10]),
        (["--rewrite", "SIGHUP:SIGRTMIN+3"], [1], [37]),
        (["--rewrite", "RTMIN+3:HUP", "--rewrite", "RTMAX:RTMAX-1"], [37, 64], [1, 63]),
        (["--rewrite", "USR1:0"], [10, 12], [0, 12]),
        (["--rewrite", "TERM:HUP"], [15, 12], [1, 12]),
        (["--rewrite", "HUP:USR1", "--rewrite", "HUP:USR2"], [1], [12]),
        (["--rewrite", "HUP:USR1", "--rewrite", "USR1:HUP"], [1, 10], [10, 1]),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_rewrite(pyinit: Start, options: list[str], sent: list[int], becomes: list[int]) -> None:
    """--rewrite FROM:TO changes what is forwarded, once, by name or number; 0 swallows; the last word counts."""
    run = taker(pyinit, *options)
    for count, (number, other) in enumerate(zip(sent, becomes, strict=True), 1):
        run.signal(number)
        run.wait_for(FORWARDED, count)
        if other:  # of two that are pending the kernel delivers the lower one first
            run.out.wait(f"got {other} from")
    leave(run)
    assert numbers(run) == [number for number in becomes if number]
    assert not run.of(STOPPING)


def test_rewrite_by_variable(pyinit: Start) -> None:
    """PYINIT_REWRITE takes several, with commas between."""
    run = taker(pyinit, extra_env={"PYINIT_REWRITE": "HUP:USR1,USR2:0"})
    run.signal(signal.SIGUSR2)
    run.wait_for(FORWARDED)
    run.signal(signal.SIGHUP)
    run.out.wait("got 10 from")
    leave(run)
    assert numbers(run) == [10]


def test_rewritten_into_a_stop_request(pyinit: Start) -> None:
    """A signal that is rewritten to SIGTERM asks for a stop."""
    run = pyinit(program("serve"), "3", options=["--rewrite", "USR1:TERM"])
    run.out.wait("ready")
    run.wait_for(STARTED)
    assert run.stop(signal.SIGUSR1) == 3
    assert run.one(STOPPING)["pyinit.stop.reason"] == "signal"
    assert [number for number in numbers(run) if number != signal.SIGCONT] == [15]


# Four takers: main; one in main's group; one in a session of its own; one that pyinit has adopted.
FOUR = """
exec 3<&0
"$0" member <&3 &
setsid "$0" session <&3 &
(setsid "$0" adopted <&3 &)
exec "$0" main
"""
EVERYBODY = ["adopted", "main", "member", "session"]


@pytest.mark.parametrize(
    ("to", "who"),
    [
        ("main", ["main"]),
        ("group", ["main", "member"]),
        ("roots", ["adopted", "main"]),
        ("tree", EVERYBODY),
    ],
)
def test_forward_to(pyinit: Start, to: str, who: list[str]) -> None:
    """--forward-to: main alone, its process group, all roots, or the whole tree; and nobody else."""
    run = pyinit("/bin/sh", "-c", FOUR, program("take_all"), options=["--forward-to", to])
    run.out.wait("ready", 4)
    run.wait_for(ADOPTED)
    run.signal(signal.SIGHUP)
    run.out.wait("got 1 from", len(who))
    told = run.wait_for(FORWARDED)
    for pid, _ in run.out.all("ready"):
        run.kill(pid, signal.SIGUSR2)
    run.out.wait("got 12 from", 4)
    assert sorted(words[-1] for words in run.out.all("got 1 from")) == who
    pids = {name: int(pid) for pid, name in run.out.all("ready")}
    if to != "tree":  # whom that is, is found out behind the record
        wanted = [-pids["main"]] if to == "group" else sorted(pids[name] for name in who)
        assert sorted(told["pyinit.signal.targets"]) == wanted
    leave(run)


@pytest.mark.parametrize(("option", "who"), [("-g", ["main", "member"]), ("-c", ["main"])])
def test_short_options_say_whom(pyinit: Start, option: str, who: list[str]) -> None:
    """-g and -c are those of the others: the group, main alone."""
    run = pyinit("/bin/sh", "-c", FOUR, program("take_all"), options=[option])
    run.out.wait("ready", 4)
    run.signal(signal.SIGHUP)
    run.out.wait("got 1 from", len(who))
    for pid, _ in run.out.all("ready"):
        run.kill(pid, signal.SIGUSR2)
    run.out.wait("got 12 from", 4)
    assert sorted(words[-1] for words in run.out.all("got 1 from")) == who
    leave(run)


def test_stop_on(pyinit: Start) -> None:
    """--stop-on names what asks for a stop; nothing else does then, SIGTERM is forwarded like any other."""
    run = taker(pyinit, "--stop-on", "USR1,RTMIN+3", *LONG_GRACE)
    run.signal(signal.SIGTERM)
    run.out.wait("got 15 from")
    assert not run.of(STOPPING)
    run.signal(RTMIN + 3)
    begun = run.wait_for(STOPPING)
    assert begun["pyinit.signal.number"] == RTMIN + 3
    leave(run)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda number: number.name)
def test_stop_on_none(pyinit: Start, number: signal.Signals) -> None:
    """--stop-on none: no signal asks for a stop; main that ends of one ends the run all the same."""
    run = taker(pyinit, "--stop-on", "none", "--grace", "100ms")
    for _ in range(2):
        run.signal(number)
        run.out.wait(f"got {int(number)} from")
        run.signal(signal.SIGUSR1)
        run.out.wait("got 10 from")
    assert not run.of(STOPPING)
    leave(run)
    assert not run.of(KILLING)


def test_second_interrupt_kills_at_once(pyinit: Start) -> None:
    """Who presses Ctrl-C twice means it: the grace is over."""
    run = taker(pyinit, *LONG_GRACE)
    run.signal(signal.SIGINT)
    run.out.wait("got 2 from")
    run.wait_for(STOPPING)
    assert run.stop(signal.SIGINT) == 128 + signal.SIGKILL
    assert run.seconds < 10
    assert run.of(KILLING)


@pytest.mark.parametrize(("first", "second"), [(15, 15), (15, 2), (3, 3), (2, 15)])
def test_other_repetitions_are_one_stop(pyinit: Start, first: int, second: int) -> None:
    """A stop that is asked for twice in another way is one stop: nothing is killed before the grace is over."""
    run = taker(pyinit, *LONG_GRACE)
    run.signal(first)
    run.wait_for(STOPPING)
    run.signal(second)
    run.wait_for(REPEATED)
    run.signal(signal.SIGUSR1)
    run.out.wait("got 10 from")
    assert not run.of(KILLING)
    assert len(run.of(STOPPING)) == 1
    leave(run)


@pytest.fixture
def wrapped(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Start pyinit by a line of shell instead, in which PYINIT is pyinit."""

    def wrap(line: str) -> None:
        script = workdir / "wrapper"
        script.write_text(f"#!/bin/sh\nPYINIT={runs.pyinit_command()}\n{line}\n")
        script.chmod(0o755)
        monkeypatch.setattr(runs, "pyinit_command", lambda: str(script))

    return wrap


@pytest.mark.parametrize("to", ["main", "group"])
def test_main_that_has_dropped_its_privileges(pyinit: Start, wrapped: Callable[[str], None], to: str) -> None:
    """A main that pyinit may not signal (EPERM) ends nothing, and is told once."""
    if not runs.ROOT or not shutil.which("setpriv"):
        cannot("root and setpriv(1) are needed to drop privileges")
    wrapped('exec setpriv --bounding-set=-kill "$PYINIT" "$@"')
    drop = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"]
    run = pyinit(*drop, program("take_all"), "main", options=["--forward-to", to])
    main = int(run.out.wait("ready")[0])
    run.wait_for(STARTED)
    run.signal(signal.SIGHUP)
    told = run.wait_for(UNDELIVERABLE)
    assert told["process.pid"] == main
    run.signal(signal.SIGUSR1)
    run.signal(signal.SIGUSR2)
    run.wait_for(FORWARDED, 3)
    leave(run)
    assert len(run.of(UNDELIVERABLE)) == 1
    assert not numbers(run)


def test_passed_descriptors_are_for_main(pyinit: Start, wrapped: Callable[[str], None]) -> None:
    """LISTEN_PID becomes main's PID when it was pyinit's; LISTEN_FDS and the descriptors are as they were."""
    wrapped('exec 3</dev/null; export LISTEN_FDS=1 LISTEN_FDNAMES=web LISTEN_PID=$$; exec "$PYINIT" "$@"')
    run = pyinit(program("report"))
    assert run.finish() == 0
    said = json.loads(run.out.lines[-1])
    environment = dict(bytes.fromhex(entry).decode().split("=", 1) for entry in said["env"])
    assert environment["LISTEN_PID"] == str(said["pid"])
    assert (environment["LISTEN_FDS"], environment["LISTEN_FDNAMES"]) == ("1", "web")
    assert bytes.fromhex(said["fds"]["3"]).decode() == os.devnull


def test_passed_descriptors_for_somebody_else(pyinit: Start) -> None:
    """A LISTEN_PID that is not pyinit's is none of its business."""
    run = pyinit("/usr/bin/printenv", "LISTEN_PID", extra_env={"LISTEN_PID": "999999", "LISTEN_FDS": "1"})
    assert run.finish() == 0
    assert run.out.lines == ["999999"]
