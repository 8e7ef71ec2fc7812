"""--restart: main is started again when all of the last run is gone; a limit ends that, and a stop request wins."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from support.outer import Outer
from support.person import CTRL_C, Person
from support.programs import program
from support.run import (
    ADOPTED,
    ALL_MODES,
    EXITED,
    GIVEN_UP,
    HANDOVER,
    IDENTIFIED,
    KILLING,
    PID1,
    READY,
    REAPED,
    REFUSED,
    REPEATED,
    RESTARTED,
    RESTARTING,
    SPAWN_FAILED,
    START_FAILED,
    STARTED,
    STOPPING,
    SUBREAPER,
    plain_environment,
    pyinit_command,
)
from support.waiting import Lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.run import Run

    Start = Callable[..., Run]

ON_FAILURE = ("--restart", "on-failure")
ALWAYS = ("--restart", "always")
# So soon that nobody waits for it, and so late that what happens sooner was not waited for.
AT_ONCE = ("--restart-delay", "0")
LATE = ("--restart-delay", "1h", "--restart-delay-max", "1h")
NOT_EXECUTABLE = 126
NOT_FOUND = 127
CRASH = (program("exit_with"), "3")


def tell(run: Run) -> None:
    """Write a line to main's standard input."""
    os.write(run.input, b"go on\n")


# -- whether main is started again ------------------------------------------------------------------------------------


@pytest.mark.modes(*ALL_MODES)
def test_crash_loop_ends_with_the_last_status(pyinit: Start) -> None:
    """Main crashes again and again: it is started as often as the limit allows, then pyinit leaves with its status."""
    run = pyinit(*CRASH, options=[*ON_FAILURE, "--restart-limit", "3/1h", "--restart-delay", "10ms"])
    assert run.finish() == 3
    assert [record["pyinit.restart.delay_s"] for record in run.of(RESTARTING)] == [0.01, 0.02, 0.04]
    assert [record["pyinit.restart.number"] for record in run.of(RESTARTED)] == [1, 2, 3]
    assert run.one(STARTED)
    given_up = run.one(GIVEN_UP)
    assert (given_up["pyinit.reason"], given_up["pyinit.restart.count"]) == ("limit", 3)
    exited = run.one(EXITED)
    assert (exited["pyinit.totals.restarts"], exited["pyinit.totals.reaped"]) == (3, 4)


@pytest.mark.parametrize(
    ("options", "status"), [([], 0), (["--ok-exit", "3"], 3)], ids=["main exits 0", "--ok-exit names its status"]
)
def test_on_failure_leaves_a_success_alone(pyinit: Start, options: list[str], status: int) -> None:
    """`on-failure` looks at the status that pyinit would leave with: 0 ends the run for good."""
    run = pyinit(program("exit_with"), str(status), options=[*ON_FAILURE, *options])
    assert run.finish() == 0
    assert not run.of(RESTARTING)
    assert run.one(EXITED)["pyinit.totals.restarts"] == 0


def test_always_starts_main_again_until_it_is_asked_to_stop(pyinit: Start) -> None:
    """`always`: a service that ends with 0 by itself is started again; the one that is asked to stop is not."""
    run = pyinit(program("serve"), "0", options=[*ALWAYS, *AT_ONCE])
    for number in (1, 2):
        service = run.out.wait("ready", number)[0]
        run.wait_for(STARTED if number == 1 else RESTARTED)
        run.kill(service, signal.SIGTERM)
        assert run.wait_for(RESTARTING, number)["severity"] == "info"
    run.out.wait("ready", 3)
    run.wait_for(RESTARTED, 2)
    assert run.stop() == 0
    assert len(run.of(RESTARTING)) == 2


def test_daemon_that_crashes_is_started_again(pyinit: Start) -> None:
    """The run ends with the daemon, not with its launcher: the launcher is started again."""
    run = pyinit(program("double_fork"), "after", program("serve"), "0", options=[*ON_FAILURE, *AT_ONCE])
    daemon = run.out.wait("ready")[0]
    run.wait_for(HANDOVER)
    run.kill(daemon, signal.SIGKILL)
    restarting = run.wait_for(RESTARTING)
    assert (restarting["pyinit.reason"], restarting["pyinit.exit.status"]) == ("successor", 137)
    run.out.wait("ready", 2)
    run.wait_for(HANDOVER, 2)
    assert run.stop() == 0
    assert len(run.of(READY)) == 2


# -- all of the last run is gone --------------------------------------------------------------------------------------


@pytest.mark.invariant(2)
@pytest.mark.modes(*ALL_MODES)
def test_main_begins_alone(pyinit: Start) -> None:
    """Main leaves daemons that ignore SIGTERM, and their detached children: all are gone before main starts again.

    The new main looks for itself: below pyinit there is nobody besides, dead or alive.
    """
    serve = (program("serve"), "0")
    left = [program("ignore_term"), "--", program("deaf"), *serve, "--", program("master"), "3", "--", *serve]
    script = '"$@"; read go; exit 7'
    run = pyinit(
        *(program("alone"), "/bin/sh", "-c", script, "sh", program("several"), "0", *left),
        options=[*ON_FAILURE, "--restart-limit", "1/1h", *AT_ONCE, "--grace", "300ms"],
    )
    for number in (1, 2):
        run.out.wait("ready", 5 * number)
        tell(run)
    assert run.finish() == 7
    assert run.out.all("alone") == [["0"], ["0"]], run.out.lines
    assert len(run.out.all("start")) == 2
    assert len(run.of(KILLING)) == 2


@pytest.mark.modes(SUBREAPER)
def test_fork_chains_do_not_outlive_a_run(pyinit: Start) -> None:
    """Chains that fork and end for ever are killed before main starts again, each time anew."""
    command = [program("treadmill"), "4", "30"]
    script = '"$@" & read ready; exit 5'
    run = pyinit(
        *(program("alone"), "/bin/sh", "-c", script, "sh", *command),
        options=[*ON_FAILURE, "--restart-limit", "1/1h", *AT_ONCE, "--grace", "200ms"],
        stage=["uid=61006", "nproc=60"],
        log_options=("--log-format", "json", "--log-level", "info"),
    )
    for number in (1, 2):
        run.out.wait("ready", number)  # and not for a record: thousands of others are to be read before it
        tell(run)
    assert run.finish() == 5
    assert run.out.all("alone") == [["0"], ["0"]], run.out.lines
    assert not run.out.all("over")


@pytest.mark.modes(PID1)
def test_foreign_orphans_are_stopped_with_a_run_and_left_between_two(pyinit: Start, workdir: Path) -> None:
    """An orphan of `docker exec` is stopped as at any stop; one that comes between two runs is left with the next."""
    first = workdir / "first"
    script = f"mkdir {first} 2>/dev/null && read x && exit 3; exec {program('serve')} 0"
    run = pyinit("/bin/sh", "-c", script, options=[*ON_FAILURE, "--restart-delay", "300ms"])
    run.wait_for(STARTED)
    stranger = run.join(program("double_fork"), "before", program("serve"), "0", "first").wait("ready")[0]
    run.wait_for(ADOPTED, process__pid=int(stranger))
    tell(run)
    run.wait_for(RESTARTING)
    assert run.one(REAPED, process__pid=int(stranger))["pyinit.role"] == "foreign"
    other = run.join(program("double_fork"), "before", program("serve"), "0", "second").wait("ready")[0]
    run.out.wait("ready")
    run.wait_for(RESTARTED)
    assert run.wait_for(ADOPTED, process__pid=int(other))["pyinit.foreign"] is True
    assert not run.of(REAPED, process__pid=int(other))
    assert run.stop() == 0
    assert run.one(REAPED, process__pid=int(other))["pyinit.role"] == "foreign"


# -- a stop wins ------------------------------------------------------------------------------------------------------


@pytest.mark.invariant(7)
def test_delay_is_idle_and_a_stop_ends_it_at_once(pyinit: Start) -> None:
    """While pyinit waits for the next run it does not wake up; a stop request ends it, with the last run's status."""
    run = pyinit(*CRASH, options=[*ON_FAILURE, *LATE])
    assert run.wait_for(RESTARTING)["pyinit.restart.delay_s"] == 3600
    run.assert_idle(for_ever=False)
    run.signal(signal.SIGUSR1)
    assert run.stop() == 3
    assert run.seconds < 5
    assert run.one(EXITED)["pyinit.exit.status"] == 3
    assert not run.of(RESTARTED)


def test_stop_while_the_last_run_is_being_stopped(pyinit: Start) -> None:
    """A stop request that comes while what a crash has left is being stopped: nothing is started again."""
    script = '"$@"; read go; exit 3'
    run = pyinit(
        *("/bin/sh", "-c", script, "sh", program("several"), "0", program("ignore_term")),
        options=[*ALWAYS, *AT_ONCE, "--grace", "30s"],
    )
    deaf = run.out.wait("ready")[0]
    tell(run)
    run.wait_for(STOPPING)
    run.signal(signal.SIGTERM)
    run.wait_for(REPEATED)
    run.kill(deaf, signal.SIGKILL)
    assert run.finish() == 3
    assert not run.of(RESTARTING)


@pytest.mark.parametrize("moment", range(4))
def test_stop_at_the_moment_of_the_start(pyinit: Start, moment: int) -> None:
    """A stop request that comes about when main is started again ends pyinit, whichever of the two is first."""
    run = pyinit(*CRASH, options=[*ALWAYS, "--restart-delay", "20ms", "--restart-limit", "1000/1h"])
    run.wait_for(RESTARTING, 1 + moment % 2)
    if moment > 1:
        run.wait_for(RESTARTED, 1 + moment % 2)
    assert run.stop() in {3, 128 + signal.SIGTERM}  # the stop may catch main before its end
    assert run.seconds < 5
    names = run.log.names()
    stops = [at for at, record in enumerate(run.log.records) if record.get("pyinit.signal.name") == "SIGTERM"]
    assert not {RESTARTING, RESTARTED} & {*names[stops[0] :]}


def test_stop_that_main_asks_for_as_it_starts(pyinit: Start, workdir: Path) -> None:
    """Main is started again and asks for a stop before anything else: it was the last."""
    script = f"echo start; mkdir {workdir}/first 2>/dev/null && exit 1; kill -TERM $PPID; read forever"
    run = pyinit("/bin/sh", "-c", script, options=[*ALWAYS, *AT_ONCE])
    assert run.finish() == 143
    assert len(run.out.all("start")) == 2
    assert len(run.of(RESTARTING)) == 1


# -- a start that fails -----------------------------------------------------------------------------------------------


def test_first_start_that_fails_is_final(pyinit: Start) -> None:
    """A command that is not there at the first start is a mistake: 127 at once, and no restart."""
    run = pyinit("/no/such/command", options=[*ALWAYS, *AT_ONCE])
    assert run.finish() == 127
    assert run.one(SPAWN_FAILED)
    assert not run.of(RESTARTING)


@pytest.mark.parametrize("status", [NOT_EXECUTABLE, NOT_FOUND])
def test_later_start_that_fails_counts(pyinit: Start, workdir: Path, status: int) -> None:
    """A command that has gone, or cannot be executed any more, is a failed run: counted, and its status in the end."""
    command = workdir / "command"
    shutil.copy(program("serve"), command)
    run = pyinit(str(command), "1", options=[*ON_FAILURE, "--restart-limit", "2/1h", *AT_ONCE])
    service = run.out.wait("ready")[0]
    run.wait_for(STARTED)
    if status == NOT_FOUND:
        command.unlink()
    else:
        command.chmod(0)
    run.kill(service, signal.SIGTERM)
    assert run.finish() == status
    assert [record["pyinit.exit.status"] for record in run.of(START_FAILED)] == [status, status]
    assert run.one(EXITED)["pyinit.reason"] == "start"


def test_command_that_comes_back(pyinit: Start, workdir: Path) -> None:
    """A start that fails is tried again: the command may be there again, after an upgrade, say."""
    command, away = workdir / "command", workdir / "away"
    shutil.copy(program("serve"), command)
    often = ("--restart-limit", "1000/1h", "--restart-delay", "50ms", "--restart-delay-max", "50ms")
    run = pyinit(str(command), "1", options=[*ON_FAILURE, *often])
    service = run.out.wait("ready")[0]
    run.wait_for(STARTED)
    command.rename(away)
    run.kill(service, signal.SIGTERM)
    run.wait_for(START_FAILED)
    away.rename(command)
    run.out.wait("ready", 2)
    assert run.stop() == 1


# -- as at the first start --------------------------------------------------------------------------------------------


def test_main_gets_what_the_first_one_got(pyinit: Start, workdir: Path) -> None:
    """Signals, descriptors, environment, working directory: main is started again with all that it had at first.

    A descriptor above 2 and LISTEN_FDS included: a socket that was passed to pyinit is kept for the next main.
    """
    reading, writing = os.pipe()
    try:
        run = pyinit(
            program("report"),
            "an argument",
            options=[*ALWAYS, *AT_ONCE, "--restart-limit", "2/1h"],
            stage=[f"cwd={workdir}", "block=10", "ignore=12", "ignore=13", "ignore=17", "close=0"],
            extra_env={"LISTEN_PID": "1", "LISTEN_FDS": "1", "LC_ALL": "C", "PYINIT_LOG_ARGS": "no"},
            pass_fds=[writing],
        )
        assert run.finish() == 0
    finally:
        os.close(reading)
        os.close(writing)
    reports = [json.loads(line) for line in run.out.lines]
    assert str(writing) in reports[0]["fds"]
    listen = [bytes.fromhex(entry).decode() for entry in reports[0]["env"]]
    assert (f"LISTEN_PID={reports[0]['pid']}" in listen) == (run.mode == PID1)
    assert_three_alike(reports)


def assert_three_alike(reports: list[dict[str, Any]]) -> None:
    """See that three mains found the same, but for their PIDs."""
    assert len(reports) == 3
    for report in reports:
        assert report["pid"] == report["pgid"] == report["sid"]
        own = b"LISTEN_PID=%d" % report["pid"]
        report["env"] = [entry for entry in report["env"] if bytes.fromhex(entry) != own]
        for name in ("pid", "pgid", "sid"):
            del report[name]
    assert reports[0] == reports[1] == reports[2]


def test_main_is_what_the_options_make_of_it_each_time(pyinit: Start) -> None:
    """Standard input, limits, folder, variables, descriptors: what options ask for is done at each start."""
    reading, writing = os.pipe()
    asked = [
        "--stdin",
        "null",
        "--rlimit",
        "NOFILE=64",
        "--chdir",
        "/",
        "--umask",
        "027",
        "--close-fds",
        "--env",
        "A=b",
    ]
    try:
        run = pyinit(
            program("report"), options=[*ALWAYS, *AT_ONCE, "--restart-limit", "2/1h", *asked], pass_fds=[writing]
        )
        assert run.finish() == 0
    finally:
        os.close(reading)
        os.close(writing)
    reports = [json.loads(line) for line in run.out.lines]
    assert sorted(reports[0]["fds"], key=int) == ["0", "1", "2"]
    assert bytes.fromhex(reports[0]["fds"]["0"]) == b"/dev/null"
    assert_three_alike(reports)


def test_terminal_of_main_is_opened_anew(pyinit: Start) -> None:
    """The kernel hangs the terminal of --tty up when main ends: the next main has it, and its keys, all the same."""
    screen, line = os.openpty()
    name = os.ttyname(line)
    os.chmod(name, 0o666)  # noqa: PTH101  # a path as text
    os.close(line)
    try:
        run = pyinit("/bin/sleep", "60", options=[*ALWAYS, *AT_ONCE, "--tty", name])
        run.wait_for(STARTED)
        for number in (1, 2):
            os.write(screen, CTRL_C.encode())
            assert run.wait_for(RESTARTING, number)["pyinit.exit.signal"] == "SIGINT"
            run.wait_for(RESTARTED, number)
        assert run.stop() == 128 + signal.SIGTERM
    finally:
        os.close(screen)


def test_commands_do_not_get_what_is_kept_for_main(pyinit: Start) -> None:
    """What is kept for the next main is nobody else's: a stop command has its own three descriptors."""
    reading, writing = os.pipe()
    try:
        run = pyinit(
            *(program("serve"), "0"),
            options=[*ALWAYS, *AT_ONCE, "--stop-command", "ls /proc/self/fd >&2; kill $MAINPID"],
            pass_fds=[writing],
        )
        os.close(writing)
        run.out.wait("ready")
        run.wait_for(STARTED)
        assert run.stop() == 0
        told = {record["pyinit.command.output"] for record in run.of("command.output")}
        assert told <= {"0", "1", "2", "3"}
        assert len(told) == 4  # the last is the folder that ls reads
        assert os.read(reading, 1) == b""
    finally:
        os.close(reading)


def test_terminal_is_mains_again() -> None:
    """At a terminal each main is in the foreground: it reads what is typed."""
    with tempfile.TemporaryDirectory(prefix="pyinit-test-") as folder:
        first = f"mkdir {folder}/first 2>/dev/null && read x && exit 3"
        script = f"echo up-$((1 + 1)); {first}; read y && echo got-$y"
        words = [pyinit_command(), *ON_FAILURE, *AT_ONCE, "--log-level", "error", "--", "/bin/sh", "-c", script]
        with Person(words, plain_environment() | {"TERM": "dumb"}) as person:
            person.see(r"^up-2\r")
            person.type("one\n")
            person.see(r"^up-2\r")
            person.type("two\n")
            person.see(r"^got-two\r")
            assert person.status() == 0


@pytest.mark.parametrize("hung_up", [False, True])
def test_own_terminal_is_mains_again(*, hung_up: bool) -> None:
    """With --tty /dev/tty each main leads a session on what was pyinit's terminal, also behind one that hung it up.

    The kernel does that when a session's leader ends on a line or a console, and getty asks for it (vhangup(2)): then
    nobody has a descriptor of the terminal any more, and /dev/tty stands for none.
    """
    with tempfile.TemporaryDirectory(prefix="pyinit-test-") as folder:
        os.mkfifo(f"{folder}/told")
        told = Lines(os.open(f"{folder}/told", os.O_RDWR))
        leave = f"exec {sys.executable} -c 'import ctypes; ctypes.CDLL(None).vhangup()'" if hung_up else "exit 3"
        script = (
            f"exec 9>{folder}/told; echo up >&9; read x; echo got $x >&9; "
            f"if mkdir {folder}/first 2>/dev/null; then {leave}; fi; read -r pid name state ppid group session rest "
            "</proc/self/stat; echo at $$ $session $(ps -o tty= -o tpgid= -p $$) >&9"
        )
        words = [pyinit_command(), *ON_FAILURE, *AT_ONCE, "--log-level", "error", "--tty", "/dev/tty", "--"]
        with Person([*words, "/bin/sh", "-c", script], plain_environment() | {"TERM": "dumb"}) as person:
            told.wait("up")
            person.type("one\n")
            told.wait("got one")
            told.wait("up", 2)
            person.type("two\n")
            told.wait("got two")
            pid, session, tty, foreground = told.wait("at")
            assert person.status() == 0
            assert pid == session == foreground
            assert tty.startswith("pts/")


# -- the service, run by run ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clean", [False, True])
def test_pid_file_of_the_last_run(pyinit: Start, workdir: Path, *, clean: bool) -> None:
    """The file that the last run has left is not believed in the next; with --clean-pid-file it is gone by then."""
    path = workdir / "x.pid"
    script = (
        f"if mkdir {workdir}/first 2>/dev/null; then echo $$ >{path}; read x; exit 3; fi; "
        f"test -e {path} && echo there || echo gone; exec {program('serve')} 0"
    )
    options = ["--pid-file", str(path), *(["--clean-pid-file"] if clean else ["--pid-file-timeout", "2s"])]
    run = pyinit("/bin/sh", "-c", script, options=[*ON_FAILURE, *AT_ONCE, *options])
    run.wait_for(IDENTIFIED)
    tell(run)
    run.out.wait("gone" if clean else "there")
    run.out.wait("ready")
    if not clean:
        assert run.wait_for(REFUSED)["pyinit.reason"] == "is older than this run (stale)"
    assert run.stop() == 0
    assert len(run.of(IDENTIFIED)) == 1


def test_ready_run_by_run(pyinit: Start, workdir: Path) -> None:
    """Each run says READY=1; who supervises pyinit hears in between that it is not ready, and STOPPING=1 at the end."""
    with Outer(str(workdir / "outer")) as outer:
        run = pyinit(
            *(program("notifier"), "main", "send READY=1"),
            options=[*ALWAYS, *AT_ONCE, "--notify"],
            extra_env={"NOTIFY_SOCKET": outer.address},
        )
        first = run.out.wait("ready")[0]
        run.wait_for(READY)
        run.kill(first, signal.SIGTERM)
        run.out.wait("ready", 2)
        run.wait_for(READY, 2)
        run.stop()
        heard = [line for line in outer.all() if line in {"READY=1", "RELOADING=1", "STOPPING=1"}]
    assert heard == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]
