"""A flood of signals: nothing that may not coalesce is lost, nothing hangs, memory stays flat."""

from __future__ import annotations

import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from support import procs
from support.programs import program
from support.run import ADOPTED, STARTED, plain_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.run import Run

    Start = Callable[..., Run]

SENDERS = 4
SIGNALS = 100_000
SIGRTMIN = 34
# The last that the kernel hands out: when it has arrived, all that was pending before it has.
SIGRTMAX = 64
# What the interpreter's arenas may come and go by.
SLACK_KB = 2048


def rss_kb(pid: int) -> int:
    """Return the resident memory of a process."""
    return int(procs.status_field(pid, "VmRSS").split()[0])


def flood(pid: int, count: int) -> Counter[int]:
    """Send `count` signals from several processes at once; how many there were of each kind."""
    senders = [
        subprocess.Popen(
            [program("flood"), str(pid), str(count // SENDERS), str(seed)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=plain_environment(),
        )
        for seed in range(SENDERS)
    ]
    sent: Counter[int] = Counter()
    try:
        for sender in senders:
            for line in sender.communicate()[0].splitlines():
                what, number, times = line.split()
                assert what == "sent", line
                sent[int(number)] += int(times)
    finally:
        for sender in senders:
            sender.kill()
            sender.wait()
    return sent


@pytest.mark.invariant(1)
def test_flood(pyinit: Start) -> None:
    """100,000 signals from four senders, while children fork and end: each real-time signal arrives.

    Of the others at least one of each kind. pyinit needs no more memory behind it than before, and ends as ever.
    """
    run = pyinit(program("take_all"), "main", "count", log_options=("--log-format", "json", "--log-level", "info"))
    run.out.wait("ready")
    run.wait_for(STARTED)
    sent = flood(run.pid, SIGNALS // 10)
    before_kb = rss_kb(run.pid)
    sent += flood(run.pid, SIGNALS)
    after_kb = rss_kb(run.pid)
    run.signal(SIGRTMAX)
    run.out.wait(f"got {SIGRTMAX} from")
    sent[SIGRTMAX] = 1
    run.close_input()
    assert run.finish() == 0
    got = Counter({int(number): int(times) for number, times in run.out.all("count")})
    real_time = {number: times for number, times in sent.items() if number >= SIGRTMIN}
    assert sum(real_time.values()) == (SIGNALS + SIGNALS // 10) // 2 + 1
    assert {number: got[number] for number in real_time} == real_time
    assert set(got) == set(sent)
    assert all(1 <= got[number] <= times for number, times in sent.items())
    assert run.of(ADOPTED)
    assert after_kb <= before_kb + SLACK_KB, f"{before_kb} kB before the flood, {after_kb} kB after it"
