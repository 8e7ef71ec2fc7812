"""A stop request at any moment, from pyinit's first system call to the end of the daemon's last fork."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from support import procs, schema
from support import run as runs
from support.needs import cannot
from support.programs import program
from support.run import EXITED, HANDOVER, LOG_OPTIONS, PID1, STOPPING, SUBREAPER
from support.waiting import DEADLINE_S, pass_time, wait_for_exit

MOMENTS = 200
# The moments lie in this time at least, and in as much more of it as this machine needs until the daemon is there.
WINDOW_S = 0.1
AT_ONCE = 4
STOPPED = 128 + signal.SIGTERM
COMMAND = ("after", "/bin/sleep", "30")


class Outcome(NamedTuple):
    """What came of a run that was stopped at one moment.

    Attributes:
        moment_s: when, after the start.
        blocked: pyinit had blocked the signal by then.
        status: the exit status, or minus the number of the signal that ended the process.
        events: the names of its records.
        problem: what went wrong, or "".
    """

    moment_s: float
    blocked: bool
    status: int | None = None
    events: tuple[str, ...] = ()
    problem: str = ""


class Start:
    """pyinit, started with a daemon that forks twice; all that runs below it holds the writing end of one pipe."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        report_r, report_w = os.pipe()
        self.told, tell = os.pipe()
        words = [program("stage"), f"report={report_w}", *(["pid1"] if mode == PID1 else []), "--"]
        words += [runs.pyinit_command(), *LOG_OPTIONS, "--", program("double_fork"), *COMMAND]
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=tell,
            stderr=tell,
            pass_fds=(report_w,),
            env=runs.plain_environment(),
        )
        os.close(report_w)
        os.close(tell)
        self._report = os.fdopen(report_r)
        self.pid = int(self._report.readline().split()[1])
        self.since = time.monotonic()

    def has_blocked(self) -> bool:
        """Say whether the process has blocked SIGTERM."""
        blocked = int(procs.status_field(self.pid, "SigBlk") or "0", 16)
        return bool(blocked >> (signal.SIGTERM - 1) & 1)

    def ask_for_a_stop(self) -> None:
        """Send SIGTERM; it is not reaped before `end`, so that the number is pinned."""
        os.kill(self.pid, signal.SIGTERM)

    def end(self) -> tuple[int | None, bytes, str]:
        """Wait for the end; return the status, what was written, and what went wrong, or ""."""
        if not wait_for_exit(self.process.pid, DEADLINE_S):
            return None, b"", f"hangs: {[procs.describe(pid) for pid in (self.pid, *procs.descendants(self.pid))]}"
        status: int = self.process.wait()
        if self.mode == PID1:
            status = os.waitstatus_to_exitcode(int(self._report.readline().split()[1]))
        os.set_blocking(self.told, False)
        parts = []
        try:
            while part := os.read(self.told, 1 << 16):
                parts.append(part)
        except BlockingIOError:  # no end of the pipe: pyinit has gone, and somebody else holds it
            return status, b"".join(parts), "somebody has outlived pyinit"
        return status, b"".join(parts), ""

    def close(self) -> None:
        """End what is left."""
        if self.process.returncode is None:
            os.kill(self.pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait()
        self._report.close()
        os.close(self.told)


def stopped_at(mode: str, moment_s: float) -> Outcome:
    """Start pyinit, ask for a stop at one moment after that, and see what comes of it."""
    start = Start(mode)
    try:
        pass_time(max(0.0, start.since + moment_s - time.monotonic()))
        blocked = start.has_blocked()
        start.ask_for_a_stop()
        if mode == PID1 and not blocked:
            # Before its first system call the kernel drops what is sent to the init of a namespace: nobody could help
            # that. From then on the stop must be heard.
            while not start.has_blocked():
                assert procs.stat(start.pid), "pyinit has ended"
            start.ask_for_a_stop()
        status, written, problem = start.end()
        lines = written.decode().splitlines()
        return Outcome(moment_s, blocked, status, tuple(schema.parse(line)["event.name"] for line in lines), problem)
    finally:
        start.close()


def wrong(outcome: Outcome, mode: str) -> str:
    """Say what is wrong with an outcome, or ""."""
    if outcome.problem:
        return outcome.problem
    if mode == SUBREAPER and not outcome.blocked and outcome.status == -signal.SIGTERM:
        return "" if not outcome.events else "ended by the signal although it had started something"
    # The daemon dies of the signal. Where the stop comes before the handover, main's own end counts (exit-status.md):
    # it has died of the signal, too, or had exited 0 already.
    if outcome.status not in ({STOPPED} if HANDOVER in outcome.events else {STOPPED, 0}):
        return f"status {outcome.status}"
    if STOPPING not in outcome.events or outcome.events[-1] != EXITED:
        return "the stop was not told"
    return ""


def window_s(mode: str) -> float:
    """Return the time that holds the start and the daemonization of an undisturbed run, with a quarter more."""
    start = Start(mode)
    try:
        seen = b""
        while HANDOVER.encode() not in seen:
            part = os.read(start.told, 1 << 16)
            assert part, seen
            seen += part
        needed_s = time.monotonic() - start.since
        start.ask_for_a_stop()
        assert start.end()[2] == ""
    finally:
        start.close()
    return max(WINDOW_S, 1.25 * needed_s)


@pytest.mark.timeout_s(300)
@pytest.mark.invariant(2)
@pytest.mark.invariant(3)
@pytest.mark.modes(SUBREAPER, PID1)
def test_a_stop_at_any_moment_of_the_start(mode: str) -> None:
    """SIGTERM at each of 200 moments of start-up and daemonization: none is lost, nothing is left, nothing hangs."""
    if reason := runs.why_not(mode):
        cannot(f"mode {mode}: {reason}")
    whole_s = window_s(mode)
    moments = [whole_s * number / MOMENTS for number in range(MOMENTS)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(lambda moment_s: stopped_at(mode, moment_s), moments))
    print(f"{whole_s * 1000:.0f} ms; not blocked yet: {sum(not outcome.blocked for outcome in outcomes)}")
    print(f"after the handover: {sum(HANDOVER in outcome.events for outcome in outcomes)}")
    assert [(why, outcome) for outcome in outcomes if (why := wrong(outcome, mode))] == []
