"""--stop-command and --reload-command: what they are given, what is told of them, and that none of it decides."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from support import procs
from support.needs import cannot
from support.programs import program
from support.run import (
    ADOPTED,
    ALL_MODES,
    COMMAND_ENDED,
    COMMAND_OUTPUT,
    COMMAND_STARTED,
    DEGRADED,
    ERROR,
    EXITED,
    FORWARDED,
    HANDOVER,
    IDENTIFIED,
    INHERITED,
    KILLING,
    PID1,
    PID1_USER,
    PLAIN_USER,
    REAPED,
    REFUSED,
    REPEATED,
    ROOT,
    STARTED,
    STOPPING,
    SUBREAPER,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.run import Run

    Start = Callable[..., Run]

# Far behind the end of a test: what happens sooner was not waited for.
LONG_GRACE = ["--grace", "50s"]
# What the kernel may need to kill and a loaded test machine to notice, in seconds.
SLACK_S = 2.5
# Without a line for each that is reaped.
QUIET = ("--log-format", "json", "--log-level", "info")


def service(pyinit: Start, *options: str, status: int = 0, **keywords: object) -> tuple[Run, int]:
    """Start a service in the foreground that obeys SIGTERM: the run, and its number."""
    run = pyinit(program("serve"), str(status), options=options, **keywords)
    main = int(run.out.wait("ready")[0])
    run.wait_for(STARTED)
    return run, main


def daemon(pyinit: Start, *options: str, status: int = 0, **keywords: object) -> tuple[Run, int]:
    """Start the same as a daemon."""
    run = pyinit(program("double_fork"), "after", program("serve"), str(status), options=options, **keywords)
    number = int(run.out.wait("ready")[0])
    run.wait_for(HANDOVER)
    return run, number


def report(run: Run, path: Path) -> dict[str, Any]:
    """Return what the program `report` has found itself given, with its environment as a dictionary of bytes."""
    said: dict[str, Any] = json.loads(path.read_text())
    said["env"] = dict(bytes.fromhex(entry).split(b"=", 1) for entry in said["env"])
    said["cwd"] = bytes.fromhex(said["cwd"]).decode()
    said["fds"] = {int(fd): bytes.fromhex(target).decode() for fd, target in said["fds"].items()}
    assert not run.of(ERROR)
    return said


def fifo(path: Path) -> Path:
    """Make a FIFO that everybody may use: who reads it waits for the test."""
    os.mkfifo(path)
    path.chmod(0o666)
    return path


def output(run: Run) -> list[str]:
    """Return the lines of a command that were told."""
    return [record["pyinit.command.output"] for record in run.of(COMMAND_OUTPUT)]


# -- what a command is given ------------------------------------------------------------------------------------------


@pytest.mark.modes(*ALL_MODES)
def test_what_a_stop_command_is_given(pyinit: Start, workdir: Path) -> None:
    """Main's environment and working directory, an own session, no input, and what it needs to know of the stop."""
    path = workdir / "report"
    run, main = service(
        pyinit,
        *("--stop-command", f"REPORT_FILE={path} {program('report')}; kill $MAINPID", *LONG_GRACE),
        stage=[f"cwd={workdir}"],
        extra_env={"spring.datasource.url": "kept", "PYTHONPATH": "/kept/too"},
    )
    assert run.stop() == 0
    started = run.one(COMMAND_STARTED)
    given = report(run, path)
    env = given["env"]
    assert env[b"MAINPID"] == b"%d" % main
    assert env[b"PYINIT_STOP_REASON"] == b"signal"
    assert env[b"PYINIT_STOP_SIGNAL"] == b"SIGTERM"
    assert 0 < float(env[b"PYINIT_GRACE_S"]) <= 50
    assert env[b"PYTHONPATH"] == b"/kept/too"
    assert env[b"PATH"] == b"/usr/local/bin:/usr/bin:/bin"
    assert b"PYINIT_SIGNAL" not in env
    assert given["cwd"] == str(workdir)
    assert given["ppid"] == given["sid"] == given["pgid"] == started["process.pid"]
    assert given["fds"][0] == "/dev/null"
    assert set(given["fds"]) == {0, 1, 2}
    assert given["blocked"] == []
    assert given["ignored"] == []
    assert given["subreaper"] == 0
    assert given["uid"] == int(procs.status_field(os.getpid(), "Uid").split()[0]) or "user" in run.mode


@pytest.mark.modes(*ALL_MODES)
def test_what_a_reload_command_is_given(pyinit: Start, workdir: Path) -> None:
    """The same, with MAINPID of the daemon, and the signal."""
    path = workdir / "report"
    run, number = daemon(
        pyinit,
        *("--reload-command", f"REPORT_FILE={path} {program('report')}"),
        stage=[f"cwd={workdir}"],
    )
    run.signal(signal.SIGHUP)
    ended = run.wait_for(COMMAND_ENDED)
    assert ended["pyinit.command.kind"] == "reload"
    given = report(run, path)
    env = given["env"]
    assert env[b"MAINPID"] == b"%d" % number
    assert env[b"PYINIT_SIGNAL"] == b"SIGHUP"
    assert not [name for name in env if name.startswith(b"PYINIT_STOP") or name == b"PYINIT_GRACE_S"]
    assert given["cwd"] == str(workdir)
    assert given["sid"] == ended["process.pid"]
    assert given["fds"][0] == "/dev/null"
    assert set(given["fds"]) == {0, 1, 2}
    assert run.stop() == 0


def test_main_is_given_none_of_it(pyinit: Start, workdir: Path) -> None:
    """What the commands are told is not in main's environment."""
    path = workdir / "report"
    run = pyinit(
        program("report"),
        options=["--stop-command", "true", "--reload-command", "true"],
        extra_env={"REPORT_FILE": str(path)},
    )
    assert run.finish() == 0
    names = report(run, path)["env"]
    assert b"MAINPID" not in names
    assert not [name for name in names if name.startswith(b"PYINIT_")]


def test_variables_of_a_stop_by_another_signal(pyinit: Start, workdir: Path) -> None:
    """The variables say which signal asked, not which one is going to be sent."""
    path = workdir / "report"
    command = f"REPORT_FILE={path} {program('report')}; kill $MAINPID"
    run, _ = service(pyinit, "--stop-command", command, "--stop-signal", "USR1", *LONG_GRACE)
    assert run.stop(signal.SIGINT) == 0
    assert report(run, path)["env"][b"PYINIT_STOP_SIGNAL"] == b"SIGINT"


def test_mainpid_is_that_of_the_service(pyinit: Start, workdir: Path) -> None:
    """MAINPID names the process of the PID file, also where that hangs below a supervisor."""
    path, said = workdir / "service.pid", workdir / "said"
    run = pyinit(
        *(program("double_fork"), "after", program("safe_wrapper"), program("serve"), "4"),
        options=["--pid-file", str(path), "--stop-command", f"echo $MAINPID >{said}; kill $MAINPID", *LONG_GRACE],
    )
    worker = run.out.wait("ready")[0]
    path.write_text(f"{worker}\n")
    run.wait_for(IDENTIFIED)
    run.wait_for(HANDOVER)
    assert run.stop() == 4
    assert said.read_text() == f"{worker}\n"
    assert len(run.out.all("got 15")) == 1


def test_no_mainpid_where_nobody_is_the_service_alone(pyinit: Start, workdir: Path) -> None:
    """Several daemons are the service together: there is no MAINPID, not even one of pyinit's own environment."""
    said = workdir / "said"
    serve = [program("serve"), "0"]
    run = pyinit(
        *(program("several"), "0", *serve, "one", "--", *serve, "two"),
        options=["--stop-command", f"echo ${{MAINPID-none}} >{said}; exit 1", *LONG_GRACE],
        extra_env={"MAINPID": "1"},
    )
    run.out.wait("ready", 2)
    run.wait_for(HANDOVER)
    assert run.stop() == 0
    assert said.read_text() == "none\n"


def test_bytes_of_the_command(pyinit: Start, workdir: Path) -> None:
    """The command is what was given, byte for byte, quotes and newlines too."""
    said = workdir / "said"
    options = [b"--reload-command", b"printf '%s\n' \"caf\xe9 $((1 + 1))\" 'a  b' >" + os.fsencode(said)]
    run = pyinit(program("serve"), "0", options=options)
    run.out.wait("ready")
    run.wait_for(STARTED)
    run.signal(signal.SIGHUP)
    run.wait_for(COMMAND_ENDED)
    assert said.read_bytes() == b"caf\xe9 2\na  b\n"
    assert run.stop() == 0


# -- the stop command -------------------------------------------------------------------------------------------------


@pytest.mark.modes(*ALL_MODES)
def test_stop_command_that_stops_the_service(pyinit: Start) -> None:
    """A stop command that ends the service has done pyinit's work: no signal is sent, and the run is over at once."""
    run, main = service(pyinit, "--stop-command", "kill -TERM $MAINPID", *LONG_GRACE, status=4)
    assert run.stop() == 4
    assert run.seconds < SLACK_S
    begun = run.one(STOPPING)
    assert begun["pyinit.stop.command"] is True
    assert "--stop-command" in begun["message"]
    started = run.one(COMMAND_STARTED)
    assert started["pyinit.command.kind"] == "stop"
    assert run.out.all("got 15 from") == [[str(started["process.pid"]), "serve"]]
    assert not run.of(KILLING)
    assert run.one(REAPED, process__pid=main)["pyinit.role"] == "main"
    told = run.one(REAPED, process__pid=started["process.pid"])
    assert told["pyinit.role"] == "command"
    assert len(run.of(COMMAND_ENDED)) == 1


@pytest.mark.modes(*ALL_MODES)
def test_stop_command_of_a_daemon(pyinit: Start) -> None:
    """The same while a daemon carries the service."""
    run, number = daemon(pyinit, "--stop-command", "kill -TERM $MAINPID", *LONG_GRACE, status=4)
    assert run.stop() == 4
    assert run.seconds < SLACK_S
    assert run.one(COMMAND_ENDED)["process.exit.code"] == 0
    assert len(run.out.all("got 15 from")) == 1
    assert run.one(EXITED)["process.pid"] == number


def test_stop_without_the_option_says_nothing_of_a_command(pyinit: Start) -> None:
    """Without --stop-command the record of the stop has no such key."""
    run, _ = service(pyinit)
    assert run.stop() == 0
    assert "pyinit.stop.command" not in run.one(STOPPING)
    assert not run.of(COMMAND_STARTED)


@pytest.mark.parametrize("way", ["exit 3", "kill -9 $$", "no-such-program-of-this-machine", "((("])
def test_stop_command_that_fails(pyinit: Start, way: str) -> None:
    """A stop command that fails is told, and the signals come at once; its status is not the run's."""
    run, _ = service(pyinit, "--stop-command", way, *LONG_GRACE)
    assert run.stop() == 0
    assert run.seconds < SLACK_S
    ended = run.one(COMMAND_ENDED)
    assert ended["pyinit.command.kind"] == "stop"
    assert ended["severity"] == "warning"
    if way == "exit 3":
        assert ended["process.exit.code"] == 3
    elif way == "kill -9 $$":
        assert ended["pyinit.exit.signal_number"] == signal.SIGKILL
    else:
        assert ended["process.exit.code"] in {2, 127}
        assert output(run)
    assert run.out.all("got 15 from") == [[str(run.pid_seen), "serve"]]


@pytest.mark.invariant(3)
def test_stop_command_that_does_nothing(pyinit: Start) -> None:
    """A stop command that exits 0 may have told the service to end later: the signals come when its time is over."""
    run, _ = service(pyinit, "--stop-command", "true", "--grace", "3s")
    assert run.stop() == 0
    assert run.seconds >= 1.5
    assert not run.of(KILLING)
    assert run.one(COMMAND_ENDED)["process.exit.code"] == 0
    assert len(run.out.all("got 15 from")) == 1


def test_service_that_ends_after_its_stop_command(pyinit: Start, workdir: Path) -> None:
    """A service that ends by itself some time after the command has exited 0 is not signalled, and not waited for."""
    end = fifo(workdir / "end")
    run = pyinit(
        "/bin/sh", "-c", f"echo ready $$; read -r _ <{end}; exit 6", options=["--stop-command", "true", *LONG_GRACE]
    )
    run.out.wait("ready")
    run.wait_for(STARTED)
    run.signal(signal.SIGTERM)
    run.wait_for(COMMAND_ENDED)
    end.write_text("now\n")
    assert run.finish() == 6
    assert run.seconds < SLACK_S


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.invariant(3)
@pytest.mark.parametrize("command", ["exec sleep 30", "sleep 30; true", 'trap "" TERM; sleep 30; sleep 30'])
def test_stop_command_that_hangs(pyinit: Start, command: str) -> None:
    """A stop command that hangs costs its part of the grace; then come the signals, for itself too."""
    run, _ = service(pyinit, "--stop-command", command, "--grace", "2s", status=4)
    assert run.stop() == 4
    assert 1 <= run.seconds < 2 + SLACK_S
    assert len(run.of(COMMAND_ENDED)) == 1
    assert run.one(COMMAND_ENDED)["pyinit.exit.signal_number"] in {signal.SIGTERM, signal.SIGKILL}
    assert len(run.out.all("got 15 from")) == 1


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.invariant(3)
def test_nothing_obeys(pyinit: Start) -> None:
    """Neither the command nor the service can be had: SIGKILL at the end of the grace, not before, not much later."""
    command = f"exec {program('ignore_term')} all"
    run = pyinit(program("ignore_term"), "all", options=["--stop-command", command, "--grace", "1s"])
    run.out.wait("ready")
    run.wait_for(STARTED)
    assert run.stop() == 128 + signal.SIGKILL
    assert 1 <= run.seconds < 1 + SLACK_S
    assert run.one(COMMAND_ENDED)["pyinit.exit.signal_number"] == signal.SIGKILL


@pytest.mark.invariant(3)
def test_only_strays_are_left(pyinit: Start) -> None:
    """The command has ended the service, and a stray is left: it is signalled at once, not when the time is over."""
    main = f'trap "exit 0" USR1; setsid {program("serve")} 5 stray & echo main $$; while :; do wait; done'
    run = pyinit("/bin/sh", "-c", main, options=["--stop-command", "kill -USR1 $MAINPID", *LONG_GRACE])
    run.out.wait("main")
    stray = int(run.out.wait("ready")[0])
    assert run.stop() == 0
    assert run.seconds < SLACK_S
    assert len(run.out.all("got 15 from")) == 1
    assert run.one(REAPED, process__pid=stray)["process.exit.code"] == 5


@pytest.mark.modes(*ALL_MODES)
def test_children_of_the_stop_command(pyinit: Start) -> None:
    """What a stop command leaves behind, with its output open, is stopped with the rest, and not waited for."""
    command = f"{program('serve')} 7 left & kill -TERM $MAINPID"
    run, _ = service(pyinit, "--stop-command", command, *LONG_GRACE, status=3)
    assert run.stop() == 3
    assert run.seconds < SLACK_S
    assert run.one(COMMAND_ENDED)["process.exit.code"] == 0
    assert run.one(EXITED)["pyinit.reason"] == "main"


def test_stop_command_runs_once(pyinit: Start, workdir: Path) -> None:
    """A stop that is asked for again does not run the command again."""
    end = fifo(workdir / "end")
    run, _ = service(pyinit, "--stop-command", f"read -r _ <{end}; kill $MAINPID", *LONG_GRACE)
    run.signal(signal.SIGTERM)
    run.wait_for(COMMAND_STARTED)
    run.signal(signal.SIGTERM)
    run.wait_for(REPEATED)
    assert not run.out.all("got")
    end.write_text("now\n")
    assert run.finish() == 0
    assert len(run.of(COMMAND_STARTED)) == 1


def test_ctrl_c_twice_does_not_wait_for_the_command(pyinit: Start) -> None:
    """Who presses Ctrl-C a second time wants the end now."""
    run, _ = service(pyinit, "--stop-command", "exec sleep 30", *LONG_GRACE)
    run.signal(signal.SIGINT)
    run.wait_for(COMMAND_STARTED)
    run.signal(signal.SIGINT)
    assert run.finish() == 128 + signal.SIGKILL
    assert run.seconds < SLACK_S


@pytest.mark.parametrize("how", ["main", "daemon", "service", "until-main"])
def test_no_stop_command_where_the_service_has_ended(pyinit: Start, workdir: Path, how: str) -> None:
    """Where the end of the service itself began the stop there is nothing to stop: strays get their signal at once."""
    left = [program("serve"), "0", "left"]
    options = ["--stop-command", "exec sleep 30", *LONG_GRACE]
    expected = {"main": 4, "daemon": 4, "service": 0, "until-main": 0}[how]
    if how == "main":
        run = pyinit(program("several"), "4", *left, options=options)
    elif how == "until-main":
        run = pyinit(program("several"), "0", *left, options=["--until", "main", *options])
    else:
        path = workdir / "service.pid"
        command = [program("several"), "0", program("serve"), str(expected), "daemon", "--", *left]
        run = pyinit(*command, options=["--pid-file", str(path), *options])
        run.out.wait("ready", 2)
        number = next(words[0] for words in run.out.all("ready") if words[1] == "daemon")
        path.write_text(f"{number}\n")
        run.wait_for(IDENTIFIED)
        run.wait_for(HANDOVER)
        run.kill(number, signal.SIGTERM)
    assert run.finish() == expected
    assert run.seconds < SLACK_S
    assert not run.of(COMMAND_STARTED)
    assert "pyinit.stop.command" not in run.one(STOPPING)


@pytest.mark.modes(PLAIN_USER)
@pytest.mark.invariant(6)
def test_stop_command_that_cannot_be_started(pyinit: Start) -> None:
    """No process can be made: the stop command is told as not started, and the signals come at once."""
    run, _ = service(pyinit, "--stop-command", "true", *LONG_GRACE, stage=["uid=61004", "nproc=2"], status=4)
    assert run.stop() == 4
    assert run.seconds < SLACK_S
    started = run.one(COMMAND_STARTED)
    assert started["error.type"] == "EAGAIN"
    assert started["severity"] == "warning"
    assert "process.pid" not in started
    assert not run.of(COMMAND_ENDED)
    assert not run.of(ERROR)


@pytest.mark.modes(PLAIN_USER)
@pytest.mark.invariant(6)
def test_reload_command_that_cannot_be_started(pyinit: Start) -> None:
    """The same for a reload command, again and again; the service goes on."""
    run, _ = service(pyinit, "--reload-command", "true", stage=["uid=61005", "nproc=2"], status=4)
    for count in (1, 2):
        run.signal(signal.SIGHUP)
        assert run.wait_for(COMMAND_STARTED, count)["error.type"] == "EAGAIN"
    assert not run.out.all("got 1 ")
    assert run.stop() == 4
    assert not run.of(ERROR)


def test_no_shell(pyinit: Start) -> None:
    """A root without /bin/sh (an image of one static program): told, and the signals come at once."""
    if not ROOT:
        cannot("only root can mount something over /bin/sh")
    run = pyinit(
        program("serve"),
        "4",
        options=["--stop-command", "true", *LONG_GRACE],
        stage=["--", program("no_shell")],
    )
    run.out.wait("ready")
    run.wait_for(STARTED)
    assert run.stop() == 4
    assert run.seconds < SLACK_S
    assert run.one(COMMAND_ENDED)["process.exit.code"] == 127
    assert any("/bin/sh" in line for line in output(run))
    assert not run.of(ERROR)


def test_command_comes_before_the_schedule(pyinit: Start) -> None:
    """The command has the grace less what the schedule takes; then the signals come in their order."""
    options = ["--stop-command", "true", "--stop-signal", "QUIT:500ms,TERM:3s", "--grace", "5s"]
    run = pyinit(program("outlast"), "15", "main", options=options)
    run.out.wait("ready")
    run.wait_for(STARTED)
    assert run.stop() == 0
    assert [words[0] for words in run.out.all("got") if words[0] != "18"] == ["3", "15"]
    assert 2 <= run.seconds < 2 + SLACK_S


@pytest.mark.invariant(6)
def test_without_proc(pyinit: Start) -> None:
    """Commands need no /proc."""
    run, main = service(
        pyinit, "--stop-command", "kill $MAINPID", *LONG_GRACE, status=4, stage=["no-proc"], own_children=True
    )
    assert run.stop() == 4
    assert run.one(COMMAND_ENDED)["process.exit.code"] == 0
    assert run.one(REAPED, process__pid=main)["pyinit.role"] == "main"


# -- output -----------------------------------------------------------------------------------------------------------

OUTPUT = {
    "lines": ("echo one; echo two >&2; echo three", ["one", "two", "three"]),
    "no newline at the end": ("printf 'one\\ntwo'", ["one", "two"]),
    "in pieces": ("printf o; sleep 0.2; printf 'ne\\ntw'; sleep 0.2; printf o", ["one", "two"]),
    "empty lines": ("echo; echo one; echo; echo", ["one"]),
    "carriage returns": ("printf 'one\\r\\ntwo\\r\\n'", ["one", "two"]),
    "nothing": ("true", []),
    "not UTF-8": ("printf 'caf\\351\\n'", ["caf\\xe9"]),
    "quotes": ("printf '%s\\n' '\"}{\"'", ['"}{"']),
}


@pytest.mark.parametrize("kind", OUTPUT)
def test_output_is_told(pyinit: Start, kind: str) -> None:
    """Each line of a command's output and errors is a record."""
    command, lines = OUTPUT[kind]
    run, _ = service(pyinit, "--reload-command", command)
    run.signal(signal.SIGHUP)
    run.wait_for(COMMAND_ENDED)
    assert run.stop() == 0
    assert output(run) == lines
    assert {record["pyinit.command.kind"] for record in run.of(COMMAND_OUTPUT)} <= {"reload"}
    assert not [line for line in run.out.lines if "one" in line], "a command writes where main does"


HUGE = {
    "a line without end": "head -c 3000000 /dev/zero | tr '\\0' x",
    "NUL bytes": "head -c 300000 /dev/zero",
    "random bytes": "head -c 300000 /dev/urandom",
    "many lines": "seq 1 100000",
    "only newlines": "yes '' | head -n 100000",
    "control characters": "yes \"$(printf '\\033[2J\\007\\001')\" | head -n 3000",
}


@pytest.mark.invariant(6)
@pytest.mark.parametrize("kind", HUGE)
def test_huge_output(pyinit: Start, kind: str) -> None:
    """However much a command writes, of whatever: it does not block, its end is told, and the run goes on."""
    run, _ = service(pyinit, "--reload-command", f"{HUGE[kind]}; echo end >&2; exit 3", log_options=QUIET, status=4)
    run.may_drop = True
    run.signal(signal.SIGHUP)
    assert run.wait_for(COMMAND_ENDED)["process.exit.code"] == 3
    assert run.stop() == 4
    assert not run.of(ERROR)
    assert len(run.of(COMMAND_OUTPUT)) < 1000


@pytest.mark.invariant(3)
def test_stop_command_that_never_stops_writing(pyinit: Start) -> None:
    """A stop command that writes without end is stopped like any that hangs."""
    run, _ = service(pyinit, "--stop-command", "yes", "--grace", "3s", log_options=QUIET, status=4)
    run.may_drop = True
    assert run.stop() == 4
    assert 1.5 <= run.seconds < 3 + SLACK_S
    assert len(run.of(COMMAND_ENDED)) == 1


def test_last_words_of_the_stop_command(pyinit: Start) -> None:
    """What a stop command writes when its service has gone already is told, too."""
    wait = "while kill -0 $MAINPID 2>/dev/null; do :; done"
    run, _ = service(pyinit, "--stop-command", f"kill $MAINPID; {wait}; echo stopped", *LONG_GRACE)
    assert run.stop() == 0
    assert output(run) == ["stopped"]


# -- the reload command -----------------------------------------------------------------------------------------------


@pytest.mark.modes(*ALL_MODES)
def test_reload(pyinit: Start) -> None:
    """SIGHUP runs the command instead of being forwarded, each time, and the service goes on."""
    run, _ = service(pyinit, "--reload-command", "echo reloaded", status=4)
    for count in (1, 2, 3):
        run.signal(signal.SIGHUP)
        assert run.wait_for(COMMAND_STARTED, count)["pyinit.command.kind"] == "reload"
        assert run.wait_for(COMMAND_ENDED, count)["process.exit.code"] == 0
    assert not run.of(STOPPING)
    assert run.stop() == 4
    assert output(run) == ["reloaded"] * 3
    assert not run.out.all("got 1 from")
    assert not run.of(FORWARDED)
    assert len(run.of(REAPED, pyinit__role="command")) == 3


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.invariant(5)
@pytest.mark.parametrize("holding", [False, True], ids=["main", "daemon"])
def test_reload_that_fails_decides_nothing(pyinit: Start, *, holding: bool) -> None:
    """A reload command's bad end is told as a warning; neither the run nor its status knows of it."""
    start = daemon if holding else service
    run, number = start(pyinit, "--reload-command", "exit 9", status=4)
    run.signal(signal.SIGHUP)
    ended = run.wait_for(COMMAND_ENDED)
    assert ended["severity"] == "warning"
    assert ended["process.exit.code"] == 9
    assert run.wait_for(REAPED, process__pid=ended["process.pid"])["pyinit.role"] == "command"
    assert not run.of(STOPPING)
    run.kill(number, signal.SIGTERM)
    assert run.finish() == 4


def test_reload_while_one_runs(pyinit: Start, workdir: Path) -> None:
    """Two SIGHUPs while the command runs run it once more, and one at a time."""
    begin = fifo(workdir / "begin")
    run, _ = service(pyinit, "--reload-command", f"read -r _ <{begin}")
    run.signal(signal.SIGHUP)
    run.wait_for(COMMAND_STARTED)
    for count in (1, 2):
        run.signal(signal.SIGHUP)
        run.signal(signal.SIGUSR1)
        # SIGHUP, the lower number, is taken first: this one says that it has been.
        run.wait_for(FORWARDED, count)
    assert len(run.of(COMMAND_STARTED)) == 1
    begin.write_text("now\n")
    run.wait_for(COMMAND_ENDED, 1)
    run.wait_for(COMMAND_STARTED, 2)
    begin.write_text("now\n")
    run.wait_for(COMMAND_ENDED, 2)
    run.signal(signal.SIGUSR1)
    run.wait_for(FORWARDED, 3)
    assert len(run.of(COMMAND_STARTED)) == 2
    assert run.stop() == 0


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.invariant(2)
def test_stop_during_a_reload(pyinit: Start, workdir: Path) -> None:
    """A stop does not wait for a reload that hangs: it is stopped with the rest, and is not run again."""
    begin = fifo(workdir / "begin")
    run, _ = service(pyinit, "--reload-command", f"read -r _ <{begin}", *LONG_GRACE, status=4)
    run.signal(signal.SIGHUP)
    run.wait_for(COMMAND_STARTED)
    run.signal(signal.SIGHUP)
    run.signal(signal.SIGUSR1)
    run.wait_for(FORWARDED)
    assert run.stop() == 4
    assert run.seconds < SLACK_S
    ended = run.one(COMMAND_ENDED)
    assert ended["pyinit.exit.signal_number"] == signal.SIGTERM
    assert ended["severity"] == "info", "it was stopped, it did not fail"
    assert len(run.of(COMMAND_STARTED)) == 1


def test_stop_command_during_a_reload(pyinit: Start, workdir: Path) -> None:
    """The stop command runs although the reload command still does."""
    begin = fifo(workdir / "begin")
    run, _ = service(
        pyinit,
        *("--reload-command", f"read -r _ <{begin}", "--stop-command", "kill $MAINPID", *LONG_GRACE),
        status=4,
    )
    run.signal(signal.SIGHUP)
    run.wait_for(COMMAND_STARTED, pyinit__command__kind="reload")
    assert run.stop() == 4
    assert run.seconds < SLACK_S
    assert run.one(COMMAND_ENDED, pyinit__command__kind="stop")["process.exit.code"] == 0
    assert run.one(COMMAND_ENDED, pyinit__command__kind="reload")["pyinit.exit.signal_number"] == signal.SIGTERM


def test_main_ends_during_a_reload(pyinit: Start, workdir: Path) -> None:
    """Main exits 0 while its reload command runs, which may bring a new one: the run goes on until that has ended.

    It has brought nobody: the run is over, status 0.
    """
    begin = fifo(workdir / "begin")
    run = pyinit(program("until_eof"), "0", options=["--reload-command", f"read -r _ <{begin}", *LONG_GRACE])
    run.out.wait("ready")
    run.wait_for(STARTED)
    run.signal(signal.SIGHUP)
    run.wait_for(COMMAND_STARTED)
    run.close_input()
    run.wait_for(REAPED, pyinit__role="main")
    assert not run.of(STOPPING)
    begin.write_text("now\n")
    assert run.finish() == 0
    assert run.seconds < SLACK_S


def test_stop_when_only_a_reload_is_left(pyinit: Start, workdir: Path) -> None:
    """The service has ended 0, the reload command hangs: a stop ends that, too."""
    begin = fifo(workdir / "begin")
    run, number = daemon(pyinit, "--reload-command", f"read -r _ <{begin}", *LONG_GRACE)
    run.signal(signal.SIGHUP)
    run.wait_for(COMMAND_STARTED)
    run.kill(number, signal.SIGTERM)
    run.wait_for(REAPED, process__pid=number)
    assert not run.of(STOPPING)
    assert run.stop() == 0
    assert run.seconds < SLACK_S


RESTART = "kill $MAINPID; while kill -0 $MAINPID 2>/dev/null; do sleep 0.02; done; "


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.invariant(5)
@pytest.mark.parametrize("how", ["main", "daemon", "PID file"])
def test_reload_that_restarts_the_service(pyinit: Start, workdir: Path, how: str) -> None:
    """A reload command that stops the service and starts a new one (/etc/init.d/x restart): the run goes on with that.

    The new one inherits the role, as often as that happens, and its end is the run's.
    """
    folder = workdir / "run"
    folder.mkdir()
    folder.chmod(0o777)
    path = folder / "service.pid"
    new = f"exec {program('daemonize')} launcher {path} {program('serve')} 0 new >/dev/null 2>&1"
    options = ["--reload-command", f"{RESTART}{new}", *LONG_GRACE]
    if how == "PID file":
        options += ["--pid-file", str(path)]
    run, number = (service if how == "main" else daemon)(pyinit, *options)
    if how == "PID file":
        path.touch()
        path.chmod(0o666)
        path.write_text(f"{number}\n")
        run.wait_for(IDENTIFIED)
    run.signal(signal.SIGHUP)
    assert run.wait_for(COMMAND_ENDED)["process.exit.code"] == 0
    run.wait_for(INHERITED)
    second = int(path.read_text())
    assert second != number
    if how == "PID file":
        run.wait_for(IDENTIFIED, process__pid=second)
    assert not run.of(STOPPING)
    run.kill(second, signal.SIGKILL)
    assert run.finish() == 128 + signal.SIGKILL
    assert run.one(REAPED, process__pid=second)["pyinit.role"] == "successor"


def test_reload_that_loses_the_service(pyinit: Start) -> None:
    """A reload command that stops the service and fails to start a new one: the run is over when it has ended."""
    run, _ = daemon(pyinit, "--reload-command", f"{RESTART}exit 1", *LONG_GRACE)
    run.signal(signal.SIGHUP)
    assert run.finish() == 0
    assert run.seconds < SLACK_S
    assert run.one(COMMAND_ENDED)["process.exit.code"] == 1


def test_reload_that_hangs_without_a_service(pyinit: Start, workdir: Path) -> None:
    """A reload command has as long as a PID file to bring another service; then the run is over."""
    path, begin = workdir / "service.pid", fifo(workdir / "begin")
    options = ["--pid-file", str(path), "--pid-file-timeout", "1s", "--reload-command", f"read -r _ <{begin}"]
    run, number = daemon(pyinit, *options, *LONG_GRACE)
    path.write_text(f"{number}\n")
    run.signal(signal.SIGHUP)
    run.wait_for(COMMAND_STARTED)
    run.kill(number, signal.SIGTERM)
    assert run.finish() == 0
    assert run.one(COMMAND_ENDED)["pyinit.exit.signal_number"] == signal.SIGTERM
    assert run.one(STOPPING)["pyinit.stop.reason"] == "service"


@pytest.mark.invariant(5)
def test_service_that_ends_badly_during_a_reload(pyinit: Start, workdir: Path) -> None:
    """A bad end of the service is the run's at once, although its reload command still runs."""
    begin = fifo(workdir / "begin")
    run, number = daemon(pyinit, "--reload-command", f"read -r _ <{begin}", *LONG_GRACE, status=4)
    run.signal(signal.SIGHUP)
    run.wait_for(COMMAND_STARTED)
    run.kill(number, signal.SIGTERM)
    assert run.finish() == 4
    assert run.seconds < SLACK_S
    assert run.one(COMMAND_ENDED)["pyinit.exit.signal_number"] == signal.SIGTERM


@pytest.mark.invariant(5)
def test_pid_file_that_names_a_command(pyinit: Start, workdir: Path) -> None:
    """A PID file that names pyinit's own command does not make it the service: its bad end decides nothing."""
    folder = workdir / "run"
    folder.mkdir()
    folder.chmod(0o777)
    path, begin = folder / "service.pid", fifo(workdir / "begin")
    command = f"echo $$ >{path}; read -r _ <{begin}; exit 9"
    options = ["--pid-file", str(path), "--pid-file-timeout", "300ms", "--reload-command", command, *LONG_GRACE]
    run, number = daemon(pyinit, *options, status=4)
    run.signal(signal.SIGHUP)
    run.wait_for(COMMAND_STARTED)
    run.wait_for(REFUSED)
    begin.write_text("now\n")
    assert run.wait_for(COMMAND_ENDED)["process.exit.code"] == 9
    assert not run.of(STOPPING)
    run.kill(number, signal.SIGTERM)
    assert run.finish() == 4
    assert not run.of(IDENTIFIED)


@pytest.mark.invariant(5)
@pytest.mark.parametrize("status", [0, 9])
def test_daemon_that_a_reload_leaves_behind(pyinit: Start, status: int) -> None:
    """What a reload command leaves behind is no successor: its end decides nothing, and it holds nothing open."""
    command = f"setsid {program('serve')} {status} left >/dev/null 2>&1 & echo $!"
    run, number = daemon(pyinit, "--reload-command", command, *LONG_GRACE, status=4)
    run.signal(signal.SIGHUP)
    run.wait_for(COMMAND_ENDED)
    left = int(run.wait_for(COMMAND_OUTPUT)["pyinit.command.output"])
    run.wait_for(ADOPTED, process__pid=left)
    run.kill(left, signal.SIGTERM)
    assert run.wait_for(REAPED, process__pid=left)["pyinit.role"] == "adopted"
    assert not run.of(STOPPING)
    run.signal(signal.SIGHUP)
    run.wait_for(COMMAND_ENDED, 2)
    second = int(run.wait_for(COMMAND_OUTPUT, 2)["pyinit.command.output"])
    run.kill(number, signal.SIGTERM)
    assert run.finish() == 4
    assert run.one(REAPED, process__pid=second)


def test_child_that_holds_the_output_of_a_reload(pyinit: Start) -> None:
    """A process that a reload left behind with its output open does not make the command look as if it ran."""
    run, _ = service(pyinit, "--reload-command", f"{program('serve')} 0 left & exit 0", *LONG_GRACE)
    for count in (1, 2):
        run.signal(signal.SIGHUP)
        run.wait_for(COMMAND_ENDED, count)
        run.wait_for(COMMAND_OUTPUT, count)
    assert run.stop() == 0
    assert run.seconds < SLACK_S


def test_reload_by_a_rewritten_signal(pyinit: Start) -> None:
    """--rewrite comes first: USR1:HUP reloads, HUP:USR2 is forwarded."""
    run, _ = service(pyinit, "--reload-command", "true", "--rewrite", "USR1:HUP", "--rewrite", "HUP:USR2")
    run.signal(signal.SIGHUP)
    run.out.wait("got 12 from")
    run.signal(signal.SIGUSR1)
    run.wait_for(COMMAND_ENDED)
    assert run.stop() == 0
    assert len(run.of(COMMAND_STARTED)) == 1


def test_no_reload_in_a_stop(pyinit: Start) -> None:
    """A SIGHUP that comes while the run is being stopped runs nothing."""
    run = pyinit(program("ignore_term"), options=["--reload-command", "true", "--grace", "700ms"])
    run.out.wait("ready")
    run.wait_for(STARTED)
    run.signal(signal.SIGTERM)
    run.wait_for(STOPPING)
    run.signal(signal.SIGHUP)
    assert run.finish() in {128 + signal.SIGKILL, 128 + signal.SIGHUP}
    assert not run.of(COMMAND_STARTED)


@pytest.mark.invariant(2)
@pytest.mark.modes(*ALL_MODES)
def test_many_reloads(pyinit: Start) -> None:
    """Every command is reaped once and told once, no descriptor stays open, and no process."""
    run, _ = service(pyinit, "--reload-command", "true", status=4)
    run.signal(signal.SIGHUP)
    run.wait_for(COMMAND_ENDED, 1)
    run.signal(signal.SIGUSR1)
    run.wait_for(FORWARDED)
    before = len(os.listdir(f"/proc/{run.pid}/fd"))  # noqa: PTH208  # numbers, which may be gone when they are looked at
    for count in range(2, 31):
        run.signal(signal.SIGHUP)
        run.wait_for(COMMAND_ENDED, count)
    run.signal(signal.SIGUSR1)
    run.wait_for(FORWARDED, 2)
    assert len(os.listdir(f"/proc/{run.pid}/fd")) <= before  # noqa: PTH208
    assert run.stop() == 4
    assert len(run.of(COMMAND_STARTED)) == 30
    assert len(run.of(REAPED, pyinit__role="command")) == 30
    assert not run.of(ADOPTED)
    assert not run.of(DEGRADED)


@pytest.mark.invariant(7)
@pytest.mark.modes(SUBREAPER, PID1)
def test_no_wakeup(pyinit: Start, workdir: Path) -> None:
    """Before, during and after a command nothing wakes pyinit up but what happens."""
    begin = fifo(workdir / "begin")
    run, _ = daemon(pyinit, "--reload-command", f"read -r _ <{begin}", "--stop-command", "kill $MAINPID")
    for step in range(3):
        if step == 1:
            run.signal(signal.SIGHUP)
            run.wait_for(COMMAND_STARTED)
        elif step == 2:
            begin.write_text("now\n")
            run.wait_for(COMMAND_ENDED)
        run.assert_idle()
    assert run.stop() == 0


@pytest.mark.modes(PID1, PID1_USER)
def test_commands_are_not_foreign(pyinit: Start) -> None:
    """As PID 1 pyinit tells its own commands, and what they leave, from what `docker exec` leaves."""
    run, _ = daemon(pyinit, "--reload-command", f"setsid {program('serve')} 0 left >/dev/null 2>&1 & echo $!")
    run.signal(signal.SIGHUP)
    ended = run.wait_for(COMMAND_ENDED)
    left = int(run.wait_for(COMMAND_OUTPUT)["pyinit.command.output"])
    assert run.wait_for(ADOPTED, process__pid=left)["pyinit.foreign"] is False
    assert run.wait_for(REAPED, process__pid=ended["process.pid"])["pyinit.foreign"] is False
    assert run.stop() == 0


def test_by_variable(pyinit: Start) -> None:
    """PYINIT_STOP_COMMAND and PYINIT_RELOAD_COMMAND say the same."""
    environment = {"PYINIT_STOP_COMMAND": "kill $MAINPID", "PYINIT_RELOAD_COMMAND": "echo reloaded"}
    run, _ = service(pyinit, *LONG_GRACE, status=4, extra_env=environment)
    run.signal(signal.SIGHUP)
    run.wait_for(COMMAND_OUTPUT)
    run.wait_for(COMMAND_ENDED)
    assert run.stop() == 4
    assert len(run.of(COMMAND_STARTED)) == 2
