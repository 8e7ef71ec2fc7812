"""pyinitctl where main is started again: a restart that is asked for, between two runs, and a stop that wins."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from support.control import Talk, ctl, parse
from support.programs import program
from support.run import (
    ALL_MODES,
    EXITED,
    HANDOVER,
    KILLING,
    PID1,
    READY,
    REAPED,
    RESTARTED,
    RESTARTING,
    STARTED,
    STOPPING,
    SUBREAPER,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.run import Run

    Start = Callable[..., Run]

REQUEST = "control.request"
ON_FAILURE = ("--restart", "on-failure")
ALWAYS = ("--restart", "always")
AT_ONCE = ("--restart-delay", "0")
# So late that what happens sooner was not waited for.
LATE = ("--restart-delay", "1h", "--restart-delay-max", "1h")
DAEMON = (program("double_fork"), "after", program("serve"), "0")


def status_of(run: Run) -> dict[str, object]:
    """Ask for the status."""
    said = ctl(run, "status", "--json")
    assert said.status == 0, said.err
    return parse(said.out)


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.invariant(2)
def test_restart(pyinit: Start) -> None:
    """The service is stopped and started again, without a delay and without being counted; the status shows it."""
    run = pyinit(*DAEMON, options=[*ON_FAILURE, *LATE], stage=["read-only"])
    run.out.wait("ready")
    run.wait_for(HANDOVER)
    before = status_of(run)
    assert (before["restarts"], before["phase"]) == (0, "holding")
    assert ctl(run, "restart").status == 0
    run.wait_for(RESTARTED)
    assert ctl(run, "wait", "--handover").status == 0
    assert ctl(run, "wait", "--ready").status == 0
    run.out.wait("ready", 2)
    after = status_of(run)
    assert (after["restarts"], after["phase"]) == (1, "holding")
    assert after["service"]["pid"] == run.wait_for(READY, 2)["process.pid"]  # type: ignore[index]
    assert after["service"] != before["service"]
    assert after["counts"]["reaped"] > before["counts"]["reaped"]  # type: ignore[index]
    assert after["pyinit"]["started"] == before["pyinit"]["started"]  # type: ignore[index]
    assert "1 restarts" in ctl(run, "status").out
    assert "pyinit_restarts_total 1" in ctl(run, "status", "--format", "openmetrics").out
    begun = run.one(STOPPING)
    assert (begun["pyinit.stop.reason"], "pyinit.control.client.pid" in begun) == ("restart", True)
    restarting = run.one(RESTARTING)
    assert (restarting["pyinit.restart.asked"], restarting["pyinit.restart.delay_s"]) == (True, 0)
    assert run.of(REAPED)[0]["process.pid"] < run.one(RESTARTED)["process.pid"]
    assert run.stop() == 0
    assert run.one(EXITED)["pyinit.totals.restarts"] == 1


@pytest.mark.modes(PID1, SUBREAPER)
def test_between_two_runs(pyinit: Start) -> None:
    """Main waits to be started again: live and not ready, and nobody to reload; a restart ends that, so does a stop."""
    run = pyinit(program("exit_with"), "3", options=[*ON_FAILURE, *LATE])
    run.wait_for(RESTARTING)
    told = status_of(run)
    assert (told["phase"], told["live"], told["ready"], told["readiness"]) == ("waiting", True, False, "no")
    assert 0 < told["restart_in_s"] <= 3600  # type: ignore[operator]
    assert (told["service"], told["processes"]) == (None, [])
    assert "waiting, main is started again in 59 min" in ctl(run, "status").out
    assert 'pyinit_phase{phase="waiting"} 1' in ctl(run, "status", "--format", "openmetrics").out
    assert ctl(run, "health").status == 1
    assert ctl(run, "health", "live").status == 0
    refused = ctl(run, "reload")
    assert (refused.status, "main is yet to be started again" in refused.err) == (1, True)
    assert ctl(run, "restart").status == 0
    run.wait_for(RESTARTED)
    run.wait_for(RESTARTING, 2)
    assert ctl(run, "stop").status in {0, 128 + signal.SIGKILL if run.mode == PID1 else 0}
    assert run.finish() == 3
    assert run.one(STOPPING, pyinit__stop__reason="request")
    assert run.one(EXITED)["pyinit.totals.restarts"] == 1


@pytest.mark.modes(PID1, SUBREAPER)
def test_stop_wins(pyinit: Start) -> None:
    """A stop that is asked for while the service is stopped for a restart: nothing is started again."""
    run = pyinit(program("ignore_term"), options=[*ALWAYS, *AT_ONCE, "--grace", "1h"])
    deaf = run.out.wait("ready")[0]
    run.wait_for(STARTED)
    assert ctl(run, "restart").status == 0
    again = ctl(run, "restart")
    assert again.status == 0
    run.wait_for(REQUEST)
    assert run.one(REQUEST, pyinit__control__request="restart")["pyinit.reason"].startswith("main is started again")
    assert ctl(run, "stop").status == 0
    refused = ctl(run, "restart")
    assert (refused.status, "a stop was asked for, and that is final" in refused.err) == (1, True)
    assert ctl(run, "stop").status == 0, "a stop that is asked for twice is one stop"
    run.kill(deaf, signal.SIGKILL)
    assert run.finish() == 128 + signal.SIGKILL
    assert not run.of(RESTARTING)


@pytest.mark.modes(SUBREAPER)
def test_answers_go_on_after_sigkill(pyinit: Start) -> None:
    """SIGKILL ends a run, in which nobody is answered any more; in the next who asked before it is answered again."""
    run = pyinit(program("ignore_term"), options=[*ALWAYS, *AT_ONCE, "--grace", "100ms"])
    run.out.wait("ready")
    run.wait_for(STARTED)
    with Talk(run.pid) as talk:
        assert talk.ask("restart")["phase"] == "stopping"
        run.wait_for(KILLING)
        assert talk.ask("wait", until="ready")["ready"] is True
        assert talk.ask("status")["restarts"] == 1
    run.out.wait("ready", 2)
    assert run.stop() == 128 + signal.SIGKILL


@pytest.mark.modes(SUBREAPER)
def test_followers_hear_all_runs(pyinit: Start) -> None:
    """Who follows the log hears of each run, and the end."""
    run = pyinit(program("exit_with"), "3", options=[*ALWAYS, *LATE])
    run.wait_for(RESTARTING)
    with Talk(run.pid) as talk:
        assert talk.ask("events", follow=True)["follow"] is True
        assert ctl(run, "restart").status == 0
        names: list[str] = []
        while names.count(RESTARTING) < 2:
            names.append(json.loads(talk.line())["event.name"])
        assert [name for name in names if name in {STARTED, RESTARTING, RESTARTED}] == [
            STARTED,
            RESTARTING,
            RESTARTED,
            RESTARTING,
        ]
        assert run.stop() == 3
        last = [json.loads(line)["event.name"] for line in iter(talk.line, b"")]
        assert last[-1] == EXITED
