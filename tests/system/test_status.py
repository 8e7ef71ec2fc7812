"""The exit status of pyinit (docs/exit-status.md), and one true record for every end."""

from __future__ import annotations

import random
import signal
from typing import TYPE_CHECKING

import pytest

from support.programs import program
from support.run import ALL_MODES, HANDOVER, PID1, REAPED, STARTED, pyinit_command, told_status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.run import Run

    Start = Callable[..., Run]


FATAL = [1, 2, 3, 6, 8, 9, 10, 11, 13, 14, 15, 24, 31, 34, 64]


@pytest.mark.invariant(5)
@pytest.mark.parametrize("status", [0, 1, 2, 42, 125, 126, 127, 128, 137, 143, 255])
def test_main_exits(pyinit: Start, status: int) -> None:
    """Main exits N: N."""
    run = pyinit(program("exit_with"), str(status))
    assert run.finish() == status


@pytest.mark.invariant(5)
@pytest.mark.parametrize("number", FATAL)
def test_main_dies_of_a_signal(pyinit: Start, number: int) -> None:
    """Main is ended by signal S: 128 + S."""
    run = pyinit(program("die_of"), str(number))
    assert run.finish() == 128 + number
    assert run.one(REAPED)["pyinit.exit.signal_number"] == number


@pytest.mark.invariant(5)
@pytest.mark.parametrize(
    ("options", "status"),
    [(["--ok-exit", "143"], 0), (["--ok-exit=7", "--ok-exit", "143"], 0), (["--ok-exit", "142"], 143)],
)
def test_ok_exit(pyinit: Start, options: list[str], status: int) -> None:
    """--ok-exit N makes N count as 0: a Java service that was asked to stop."""
    run = pyinit("/bin/sleep", "30", options=options)
    run.wait_for(STARTED)
    assert run.stop() == status


def test_ok_exit_of_a_daemon(pyinit: Start) -> None:
    """--ok-exit holds for the daemon's status too."""
    run = pyinit(program("double_fork"), "after", program("serve"), "9", options=["--ok-exit", "9"])
    run.out.wait("ready")
    run.wait_for(HANDOVER)
    assert run.stop() == 0


def random_statuses(seed: int, count: int) -> list[int]:
    """Exit statuses, and as negative numbers the signals that end a process and leave it no choice."""
    chance = random.Random(seed)
    numbers = [-number for number in FATAL]
    return [chance.choice(numbers) if chance.random() < 0.4 else chance.randrange(256) for _ in range(count)]


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.invariant(1)
def test_every_end_has_one_record_with_its_true_status(pyinit: Start) -> None:
    """300 orphans end in 300 random ways: 300 records with just these, none missing, none twice."""
    wanted = random_statuses(20, 300)
    run = pyinit(program("statuses"), *map(str, wanted))
    run.out.wait("ready")
    run.wait_for(REAPED, 300)
    run.close_input()
    assert run.finish() == 0
    told = sorted(told_status(record) for record in run.of(REAPED) if record["pyinit.role"] != "main")
    assert told == sorted(status << 8 if status >= 0 else -status for status in wanted)


@pytest.mark.invariant(1)
def test_storm_of_orphans(pyinit: Start, workdir: Path) -> None:
    """1000 orphans that end as fast as they come.

    Each has left its number and status with a witness of its own, each has its record.
    """
    run = pyinit(program("storm"), "1000", extra_env={"WITNESS": str(workdir / "witness")})
    run.wait_for(REAPED, 1000)
    run.close_input()
    assert run.finish() == 0
    ends = [tuple(map(int, line.split())) for line in (workdir / "witness").read_text().splitlines()]
    told = sorted((record["process.pid"], record["process.exit.code"]) for record in run.of(REAPED))
    assert len(ends) == 1001
    assert told == sorted(ends)


@pytest.mark.invariant(1)
def test_zombies_that_nobody_saw_alive(pyinit: Start) -> None:
    """A main that never reaps leaves zombies: each is described and told; it was no successor."""
    run = pyinit(program("zombies"), "20")
    assert run.finish() == 0
    told = [record for record in run.of(REAPED) if record["pyinit.role"] != "main"]
    assert sorted(record["process.exit.code"] for record in told) == list(range(10, 30))
    assert {record["process.executable.name"] for record in told} == {"zombies"}
    assert {record["process.group_leader.pid"] for record in told} == {
        run.one(REAPED, pyinit__role="main")["process.pid"]
    }


def test_core_dump_is_told(pyinit: Start) -> None:
    """A process that dumped core is told as such, where the system writes cores; status 128 + S either way."""
    run = pyinit(program("die_of"), "6", "core", stage=["cwd=/tmp"])
    assert run.finish() == 128 + signal.SIGABRT
    assert isinstance(run.one(REAPED)["pyinit.exit.core_dumped"], bool)


def test_usage_is_told(pyinit: Start) -> None:
    """A reap record says what the process used."""
    run = pyinit("/bin/sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
    assert run.finish() == 0
    used = run.one(REAPED)
    assert used["pyinit.usage.user_s"] + used["pyinit.usage.system_s"] > 0
    assert used["pyinit.usage.max_rss_bytes"] > 100_000


@pytest.mark.timeout_s(240)  # 256 runs
@pytest.mark.invariant(5)
@pytest.mark.modes(PID1)
def test_every_status_as_pid_1(pyinit: Start) -> None:
    """Each of 0 to 255 comes through where pyinit is PID 1: main is a shell that starts others, each as PID 1."""
    script = """
        check() {
            for status in $(seq $1 4 255); do
                unshare --pid --fork --kill-child --mount-proc "$2" --log-level error -- "$3" $status
                [ $? = $status ] || echo "wanted $status"
            done 2>/dev/null
        }
        for first in 0 1 2 3; do check $first "$0" "$1" & done
        wait
        echo done
    """
    run = pyinit("/bin/sh", "-c", script, pyinit_command(), program("exit_with"))
    assert run.finish(timeout_s=200) == 0
    assert run.out.lines == ["done"]
