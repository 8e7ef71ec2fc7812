"""How long a run lives: main, the daemons that carry the service on, and what does not decide."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from support import procs
from support.programs import program
from support.run import ADOPTED, ALL_MODES, EXITED, HANDOVER, INHERITED, REAPED, STOPPING, SUBREAPER, pyinit_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.run import Run

    Start = Callable[..., Run]


def launcher(kind: str, *command: str) -> list[str]:
    """Return a command that starts `command` as a daemon in one of the classic ways and exits 0."""
    words = " ".join(command)
    return {
        "double fork": [program("double_fork"), "after", *command],
        "double fork, launcher gone first": [program("double_fork"), "before", *command],
        "single fork": [program("single_fork"), *command],
        "fork in a thread": [program("thread_fork"), *command],
        "nohup": ["/bin/sh", "-c", f"nohup {words} & exit 0"],
        "background": ["/bin/sh", "-c", f"{words} &"],
        "subshell": ["/bin/sh", "-c", f"( ( {words} ) & )"],
        "setsid": ["/bin/sh", "-c", f"setsid {words} & exit 0"],
        "own group": ["/bin/bash", "-c", f"set -m; {words} & exit 0"],
    }[kind]


LAUNCHERS = (
    "double fork",
    "double fork, launcher gone first",
    "single fork",
    "fork in a thread",
    "nohup",
    "background",
    "subshell",
    "setsid",
    "own group",
)


@pytest.mark.invariant(5)
@pytest.mark.modes(*ALL_MODES)
def test_main_ends_well_and_nothing_is_left(pyinit: Start) -> None:
    """Main exits 0 with nothing left: the run is over at once, status 0, and nothing is stopped."""
    run = pyinit(program("exit_with"), "0")
    assert run.finish() == 0
    assert not run.of(STOPPING)
    assert not run.of(HANDOVER)
    assert run.seconds < 5


def test_quiet_main_ends_at_once(pyinit: Start) -> None:
    """The end of main is an event, not something that a timer notices: pyinit waits without one."""
    run = pyinit(program("until_eof"), "0")
    run.out.wait("ready")
    run.wait_for("pyinit.started")
    procs.wait_until_asleep(run.pid, for_ever=True)
    run.close_input()
    assert run.finish() == 0


@pytest.mark.invariant(5)
@pytest.mark.parametrize("kind", LAUNCHERS)
def test_daemon_is_held_and_its_end_decides(pyinit: Start, kind: str) -> None:
    """A launcher exits 0 and leaves a daemon: the run goes on, says so once, and ends with the daemon's own status."""
    run = pyinit(*launcher(kind, program("serve"), "7", "daemon"))
    daemon = run.out.wait("ready")[0]
    handover = run.wait_for(HANDOVER)
    assert handover["pyinit.until"] == "service"
    assert "--until main" in handover["message"]
    run.kill(daemon, signal.SIGTERM)
    assert run.finish() == 7
    assert len(run.of(HANDOVER)) == 1
    ended = run.one(REAPED, process__pid=int(daemon))
    assert ended["pyinit.role"] == "successor"
    assert ended["process.exit.code"] == 7


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.parametrize("end", [0, 3, 255, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGUSR1])
@pytest.mark.invariant(5)
def test_status_of_a_run_with_a_daemon(pyinit: Start, end: int) -> None:
    """The daemon's end is the run's: N, 128 + S, or 0."""
    command = [program("serve"), str(max(end, 0))] if end >= 0 else ["/bin/sleep", "30"]
    run = pyinit(program("double_fork"), "after", *command)
    run.wait_for(HANDOVER)
    if end >= 0:
        daemon = run.out.wait("ready")[0]
        run.kill(daemon, signal.SIGTERM)
    else:
        daemon = run.of(ADOPTED)[-1]["process.pid"]
        run.kill(daemon, -end)
    assert run.finish() == (end if end >= 0 else 128 - end)


def test_handover_names_the_successors(pyinit: Start) -> None:
    """The handover record names each successor, as it is called by then, and main."""
    serve = [program("serve"), "0"]
    run = pyinit(program("several"), "0", *serve, "one", "--", *serve, "two")
    pids = [run.out.wait("ready", count)[0] for count in (1, 2)]
    handover = run.wait_for(HANDOVER)
    assert handover["process.executable.name"] == "several"
    numbers = sorted(word.partition("[")[2].rstrip("]") for word in handover["pyinit.successors"])
    assert numbers == sorted(pids)
    assert run.stop() == 0


def test_several_daemons_last_one_ends_the_run(pyinit: Start) -> None:
    """Of several successors one ends 0: the others carry on; the last one ends 0: the run ends, status 0."""
    serve = [program("serve"), "0"]
    run = pyinit(program("several"), "0", *serve, "one", "--", *serve, "two")
    pids = [run.out.wait("ready", count)[0] for count in (1, 2)]
    run.wait_for(HANDOVER)
    run.kill(pids[0], signal.SIGTERM)
    run.wait_for(REAPED, process__pid=int(pids[0]))
    assert not run.of(STOPPING)
    run.kill(pids[1], signal.SIGTERM)
    assert run.finish() == 0


@pytest.mark.invariant(5)
def test_half_a_service_is_no_service(pyinit: Start) -> None:
    """One of several successors ends badly: the rest is stopped, and that status is the run's."""
    run = pyinit(program("several"), "0", program("serve"), "9", "bad", "--", program("serve"), "0", "good")
    ready = [run.out.wait("ready", count) for count in (1, 2)]
    run.wait_for(HANDOVER)
    run.kill({name: pid for pid, name in ready}["bad"], signal.SIGTERM)
    assert run.finish() == 9
    assert run.one(STOPPING)["pyinit.stop.reason"] == "successor"
    assert [line for line in run.out.lines if line.startswith("got 15") and line.endswith("good")]


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.invariant(5)
@pytest.mark.invariant(2)
def test_crash_of_the_master_decides(pyinit: Start) -> None:
    """A daemon dies of SIGKILL and leaves its workers.

    137, the workers are stopped, and their ends do not change it.
    """
    run = pyinit(program("double_fork"), "after", program("master"), "4")
    master = run.out.wait("ready")[0]
    run.wait_for(HANDOVER)
    run.kill(master, signal.SIGKILL)
    assert run.finish() == 128 + signal.SIGKILL
    assert len(run.out.all("worker-term")) == 4
    assert run.one(STOPPING)["pyinit.stop.reason"] == "successor"
    assert run.one(STOPPING)["process.pid"] == int(master)


def test_crash_of_main_stops_the_rest(pyinit: Start) -> None:
    """Main dies of SIGKILL and leaves workers: they are stopped, status 137."""
    run = pyinit(program("master"), "4")
    main = run.out.wait("ready")[0]
    run.kill(main, signal.SIGKILL)
    assert run.finish() == 128 + signal.SIGKILL
    assert run.one(STOPPING)["pyinit.stop.reason"] == "main"


@pytest.mark.invariant(5)
def test_failing_main_stops_what_it_left(pyinit: Start) -> None:
    """A launcher that fails after it has started a daemon has not started the service.

    Its status, the daemon is stopped.
    """
    run = pyinit(program("several"), "4", program("serve"), "0")
    assert run.finish() == 4
    assert not run.of(HANDOVER)


def test_successor_hands_over_to_its_child(pyinit: Start) -> None:
    """A successor that exits 0 and leaves a child hands its role on (live binary upgrade.

    Self-restart), again and again.
    """
    run = pyinit(program("double_fork"), "after", program("hand_over"))
    current = run.out.wait("ready")[0]
    run.wait_for(HANDOVER)
    for count in range(1, 5):
        run.kill(current, signal.SIGUSR2)
        inherited = run.wait_for(INHERITED, count)
        assert inherited["process.pid"] == int(current)
        current = run.out.wait("next", count)[0]
        assert [f"[{current}]" in name for name in inherited["pyinit.successors"]] == [True]
    assert not run.of(STOPPING)
    run.kill(current, signal.SIGKILL)
    assert run.finish() == 137


def test_role_goes_on_with_the_inheritor(pyinit: Start) -> None:
    """Whoever has inherited the role decides: its bad end is the run's status."""
    run = pyinit(program("double_fork"), "after", program("hand_over"), program("serve"), "6")
    run.wait_for(HANDOVER)
    run.kill(run.out.wait("ready")[0], signal.SIGUSR2)
    run.wait_for(INHERITED)
    run.kill(run.out.wait("ready", 2)[0], signal.SIGTERM)
    assert run.finish() == 6


def test_stray_does_not_decide_while_main_lives(pyinit: Start) -> None:
    """An orphan that ends badly while main is alive is told, and changes nothing."""
    run = pyinit(program("crash_parent"), program("exit_with"), "5", "50")
    main = run.out.wait("ready")[0]
    run.kill(main, signal.SIGUSR1)
    run.wait_for(REAPED, process__exit__code=5)
    assert not run.of(STOPPING)
    run.close_input()
    assert run.finish() == 0


def test_root_that_turns_up_later_does_not_decide(pyinit: Start) -> None:
    """While successors carry the service on, a root that a crash has left (no successor) ends badly.

    Nothing changes.
    """
    run = pyinit(program("double_fork"), "after", program("crash_parent"), program("serve"), "5", "stray")
    run.wait_for(HANDOVER)
    stray = run.out.wait_until(
        lambda lines: [line.split()[1] for line in lines if line.endswith("stray")], "the stray"
    )[0]
    run.signal(signal.SIGUSR1)
    run.out.wait("crashed")
    run.kill(stray, signal.SIGTERM)
    assert run.wait_for(REAPED, process__pid=int(stray))["pyinit.role"] == "adopted"
    assert not run.of(STOPPING)
    assert run.stop() == 0


def test_stray_left_by_a_launcher_is_explained(pyinit: Start) -> None:
    """A job that hangs on a helper it left behind: the handover record names the helper and --until main."""
    run = pyinit("/bin/sh", "-c", f"{program('serve')} 0 helper & echo job; exit 0")
    helper = run.out.wait("ready")[0]
    handover = run.wait_for(HANDOVER)
    assert f"[{helper}]" in handover["message"]
    assert "--until main" in handover["message"]
    assert run.stop() == 0


@pytest.mark.parametrize("status", [0, 8])
def test_until_main(pyinit: Start, status: int) -> None:
    """--until main: the run ends when main ends, with its status; what is left is stopped and told."""
    run = pyinit(program("several"), str(status), program("serve"), "5", options=["--until", "main"])
    assert run.finish() == status
    assert run.one(STOPPING)["pyinit.stop.reason"] in {"until-main", "main"}
    assert not run.of(HANDOVER)


def test_until_service_is_the_default(pyinit: Start) -> None:
    """--until service says what is the default."""
    run = pyinit(program("double_fork"), "after", program("serve"), "5", options=["--until=service"])
    daemon = run.out.wait("ready")[0]
    run.wait_for(HANDOVER)
    run.kill(daemon, signal.SIGTERM)
    assert run.finish() == 5


def test_until_all(pyinit: Start) -> None:
    """--until all: the run ends when nothing at all is left; the first bad end of a successor is still its status."""
    run = pyinit(
        program("several"),
        "0",
        program("serve"),
        "3",
        "one",
        "--",
        program("serve"),
        "0",
        "two",
        options=["--until", "all"],
    )
    ready = {name: pid for pid, name in (run.out.wait("ready", count) for count in (1, 2))}
    assert run.wait_for(HANDOVER)["pyinit.until"] == "all"
    run.kill(ready["one"], signal.SIGTERM)
    run.wait_for(REAPED, process__pid=int(ready["one"]))
    assert not run.of(STOPPING)
    run.kill(ready["two"], signal.SIGTERM)
    assert run.finish() == 3
    assert not run.of(STOPPING)


def test_until_all_after_a_failing_main(pyinit: Start) -> None:
    """--until all: a main that fails does not stop what it left; its status is the run's."""
    run = pyinit(program("several"), "4", program("serve"), "0", options=["--until", "all"])
    daemon = run.out.wait("ready")[0]
    run.wait_for(HANDOVER)
    run.kill(daemon, signal.SIGTERM)
    assert run.finish() == 4


def test_exit_record_has_the_totals(pyinit: Start) -> None:
    """The last record: status, reason, and how many were reaped, adopted, forwarded to and killed."""
    run = pyinit(program("double_fork"), "after", program("serve"), "0")
    run.out.wait("ready")
    run.wait_for(HANDOVER)
    run.signal(signal.SIGUSR1)
    run.wait_for("signal.forwarded")
    assert run.stop() == 0
    last = run.one(EXITED)
    assert last["pyinit.totals.reaped"] == 2
    assert last["pyinit.totals.adopted"] == 1
    assert last["pyinit.totals.forwarded"] == 1
    assert last["pyinit.totals.killed"] == 0
    assert last["pyinit.totals.dropped"] == 0
    assert last["pyinit.duration_s"] > 0


@pytest.mark.modes(SUBREAPER)
def test_run_inside_a_run(pyinit: Start) -> None:
    """A pyinit below a pyinit keeps its own orphans, and its end is what the outer one sees."""
    inner = [pyinit_command(), "--log-file", "/dev/null", "--"]
    run = pyinit(*inner, program("single_fork"), program("safe_wrapper"), program("exit_with"), "5", "300")
    assert run.finish() == 5
    assert run.one(EXITED)["pyinit.totals.reaped"] == 1
