"""Signals that are no stop request go to the service, and to nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.programs import program
from support.run import ALL_MODES, FORWARDED, HANDOVER, KILLING, PLAIN_USER, SUBREAPER, plain_environment
from support.waiting import Lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.run import Run

    Start = Callable[..., Run]


PASSED_ON = [
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGURG,
    signal.SIGPIPE,
    signal.SIGCONT,
    34,
    37,
    64,
]


@pytest.mark.parametrize("number", PASSED_ON, ids=str)
def test_forwarded_to_main(pyinit: Start, number: int) -> None:
    """Everything that is no stop request reaches main, real-time signals too.

    Pyinit goes on; the record says who sent it.
    """
    run = pyinit(program("serve"), "0")
    main = int(run.out.wait("ready")[0])
    run.wait_for("pyinit.started")
    run.signal(number)
    sender = int(run.out.wait(f"got {int(number)} from")[0])
    assert sender == run.pid_seen
    told = run.wait_for(FORWARDED, pyinit__signal__number=int(number))
    assert told["pyinit.signal.targets"] == [-main]
    assert told["pyinit.signal.sender.pid"] == (os.getpid() if run.mode == SUBREAPER else 0)
    assert run.stop() == 0


@pytest.mark.modes(*ALL_MODES)
def test_forwarded_to_successors(pyinit: Start) -> None:
    """In holding each successor gets it."""
    run = pyinit(program("several"), "0", program("serve"), "0", "one", "--", program("serve"), "0", "two")
    run.out.wait("ready", 2)
    run.wait_for(HANDOVER)
    run.signal(signal.SIGHUP)
    run.out.wait("got 1 from", 2)
    assert sorted(words[1] for words in run.out.all("got 1 from")) == ["one", "two"]
    assert run.stop() == 0


def test_forwarded_to_mains_group(pyinit: Start) -> None:
    """A shell's foreground child is in main's group, and gets it."""
    run = pyinit(program("until_eof"), "0", program("serve"), "0")
    run.out.wait("ready", 2)
    run.signal(signal.SIGWINCH)
    run.out.wait("got 28 from")
    run.stop()


def test_main_that_dies_of_a_forwarded_signal(pyinit: Start) -> None:
    """SIGHUP ends a main that does not handle it: 129."""
    run = pyinit("/bin/sleep", "30")
    run.wait_for("pyinit.started")
    assert run.stop(signal.SIGHUP) == 128 + signal.SIGHUP


def test_children_that_end_are_no_signal_to_main(pyinit: Start) -> None:
    """SIGCHLD is never forwarded, whoever sends it."""
    run = pyinit(program("serve"), "0")
    run.out.wait("ready")
    run.wait_for("pyinit.started")
    run.signal(signal.SIGCHLD)
    run.signal(signal.SIGUSR1)
    run.out.wait("got 10 from")
    assert not run.of(FORWARDED, pyinit__signal__number=17)
    assert run.stop() == 0


def test_no_real_time_signal_is_lost(pyinit: Start) -> None:
    """Real-time signals queue: as many as were sent arrive."""
    run = pyinit(program("serve"), "0")
    run.out.wait("ready")
    run.wait_for("pyinit.started")
    for _ in range(20):
        run.signal(35)
    run.out.wait("got 35 from", 20)
    assert run.stop() == 0
    assert len(run.out.all("got 35 from")) == 20


@pytest.mark.modes(SUBREAPER, PLAIN_USER)
@pytest.mark.invariant(4)
@pytest.mark.parametrize("kind", ["ignore_term", "many"])
def test_strangers_get_no_signal(pyinit: Start, kind: str) -> None:
    """A bystander in pyinit's own process group and session gets nothing, in a stop, in the final kill.

    Of forwarded signals.
    """
    out_r, out_w = os.pipe()
    bystander = subprocess.Popen(
        [program("serve"), "0", "bystander"], stdout=out_w, stdin=subprocess.DEVNULL, env=plain_environment()
    )
    os.close(out_w)
    said = Lines(out_r)
    try:
        said.wait("ready")
        command = {"ignore_term": ["ignore_term", "all"], "many": ["many", "50"]}[kind]
        options = ["--grace", "300ms"]
        run = pyinit(
            program(command[0]), *command[1:], options=options, own_session=False, log_options=("--log-format", "json")
        )
        run.out.wait("ready")
        run.wait_for("pyinit.started")
        run.signal(signal.SIGUSR1)
        run.signal(signal.SIGTERM)
        run.finish()
        assert run.of(KILLING)
        bystander.terminate()
        assert bystander.wait(10) == 0
        assert said.wait_eof(10)
        assert len(said.all("got")) == 1, said.lines
    finally:
        bystander.kill()
        bystander.wait()
