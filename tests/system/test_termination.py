"""The termination message: how the run came out, as a sentence and as a record, where Kubernetes looks for it."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.needs import cannot
from support.programs import program
from support.run import (
    ALL_MODES,
    DEGRADED,
    ERROR,
    EXITED,
    HANDOVER,
    LOG_OPTIONS,
    PID1,
    SPAWN_FAILED,
    STARTED,
    SUBREAPER,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.run import Run

    Start = Callable[..., Run]

DEFAULT = Path("/dev/termination-log")
SIZE_MAX = 4096
# What Kubernetes tells of a run in which nobody asked for a stop.
SLACK_S = 2.5


def read(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the sentence and the record of a termination message."""
    data = path.read_bytes()
    assert len(data) <= SIZE_MAX
    sentence, record, rest = data.decode().split("\n")
    assert rest == ""
    return sentence, json.loads(record)


@pytest.fixture
def path(workdir: Path) -> Path:
    """Return the name of a termination log that is not there, in a folder that everybody may write to."""
    folder = workdir / "last"
    folder.mkdir()
    folder.chmod(0o777)
    return folder / "word"


# -- --termination-log PATH -------------------------------------------------------------------------------------------


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.parametrize("status", [0, 3])
def test_last_word_of_main(pyinit: Start, path: Path, status: int) -> None:
    """The file is made: the sentence that tells the end, and the record that pyinit leaves in its log."""
    run = pyinit(program("exit_with"), str(status), options=["--termination-log", str(path)])
    assert run.finish() == status
    last = run.one(EXITED)
    sentence, record = read(path)
    assert sentence == last["message"]
    assert record == last
    assert not run.of(DEGRADED)


@pytest.mark.modes(*ALL_MODES)
def test_last_word_of_a_daemon(pyinit: Start, path: Path) -> None:
    """A daemon's crash is named there, with the daemon's number and the signal."""
    command = [program("double_fork"), "after", program("serve"), "0"]
    run = pyinit(*command, options=["--termination-log", str(path)])
    daemon = run.out.wait("ready")[0]
    run.wait_for(HANDOVER)
    run.kill(daemon, signal.SIGKILL)
    assert run.finish() == 128 + signal.SIGKILL
    sentence, record = read(path)
    assert f"serve[{daemon}]" in sentence
    assert "SIGKILL" in sentence
    assert record["pyinit.exit.status"] == 128 + signal.SIGKILL
    assert record["process.pid"] == int(daemon)


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.parametrize(("command", "status"), [("/no/such/file", 127), ("/etc/passwd", 126)])
def test_last_word_of_a_command_that_could_not_be_started(pyinit: Start, path: Path, command: str, status: int) -> None:
    """The typo in the command of a pod is what its termination message says."""
    run = pyinit(command, options=["--termination-log", str(path)])
    assert run.finish() == status
    sentence, record = read(path)
    assert command in sentence
    assert record == run.one(SPAWN_FAILED)


def test_no_longer_than_kubernetes_reads(pyinit: Start, path: Path) -> None:
    """With a command's name of thousands of bytes the message has 4096 at most; the record is whole, or not there."""
    run = pyinit("/no/such/" + "ü" * 3000, options=["--termination-log", str(path)], json_log=False)
    assert run.finish() in {126, 127}
    data = path.read_bytes()
    assert len(data) <= SIZE_MAX
    sentence, _, rest = data.decode().partition("\n")
    assert sentence
    if rest:
        assert json.loads(rest)["event.name"] == SPAWN_FAILED


@pytest.mark.parametrize("level", ["warning", "error"])
def test_although_the_log_hides_it(pyinit: Start, path: Path, level: str) -> None:
    """A log that shows errors alone does not show the end; the termination message does."""
    options = ("--log-format", "json", "--log-level", level)
    run = pyinit(
        program("exit_with"), "3", options=["--termination-log", str(path)], log_options=options, json_log=False
    )
    assert run.finish() == 3
    assert not [line for line in run.log.lines if EXITED in line]
    assert read(path)[1]["pyinit.exit.status"] == 3


@pytest.mark.parametrize(
    "log_options",
    [("--log-format", "console"), ("--log-format", "json", "--log-file", "/dev/null")],
    ids=["console", "somewhere else"],
)
def test_is_json_all_the_same(pyinit: Start, path: Path, log_options: tuple[str, ...]) -> None:
    """A log for people, or one that goes elsewhere: the record is JSON, and the sentence has no colours."""
    run = pyinit(
        program("exit_with"), "3", options=["--termination-log", str(path)], log_options=log_options, json_log=False
    )
    assert run.finish() == 3
    sentence, record = read(path)
    assert record["event.name"] == EXITED
    assert record["message"] == sentence
    assert "\x1b" not in sentence


def test_is_the_line_of_the_log(pyinit: Start, path: Path) -> None:
    """With another schema (ecs) the record is in that one: the very line of the log."""
    log_options = (*LOG_OPTIONS, "--log-schema", "ecs")
    run = pyinit(
        program("exit_with"), "3", options=["--termination-log", str(path)], log_options=log_options, json_log=False
    )
    assert run.finish() == 3
    assert path.read_text().split("\n")[1] == run.log.lines[-1]


def test_without_standard_error(pyinit: Start, path: Path) -> None:
    """Where there is no log at all there is a last word."""
    run = pyinit(program("exit_with"), "3", options=["--termination-log", str(path)], stage=["close=2"], json_log=False)
    assert run.finish() == 3
    assert read(path)[1]["pyinit.exit.status"] == 3


def test_log_that_nobody_reads(pyinit: Start, path: Path, workdir: Path) -> None:
    """A log file on a full disk, so to speak: the last word does not depend on it."""
    del workdir
    log_options = ("--log-format", "json", "--log-file", "/dev/full")
    run = pyinit(
        program("exit_with"), "3", options=["--termination-log", str(path)], log_options=log_options, json_log=False
    )
    assert run.finish() == 3
    assert read(path)[1]["pyinit.exit.status"] == 3


def test_names_do_not_break_it(pyinit: Start, path: Path) -> None:
    """A process whose name holds newlines and escape sequences: still one sentence, one record."""
    name = b"a\nb\x1b[31m\xff".hex()
    run = pyinit(program("rename"), name, "3", options=["--termination-log", str(path)])
    assert run.finish() == 3
    sentence, record = read(path)
    assert "\x1b" not in sentence
    assert record == run.one(EXITED)


def test_what_was_there_is_replaced(pyinit: Start, path: Path) -> None:
    """A longer message of an earlier run does not show through."""
    path.write_text("x" * 9000)
    path.chmod(0o666)
    run = pyinit(program("exit_with"), "3", options=["--termination-log", str(path)])
    assert run.finish() == 3
    assert read(path)[1] == run.one(EXITED)


def test_relative_path(pyinit: Start, path: Path) -> None:
    """A relative path is meant from the working directory that pyinit was started in."""
    run = pyinit(program("exit_with"), "3", options=["--termination-log", path.name], stage=[f"cwd={path.parent}"])
    assert run.finish() == 3
    assert read(path)[1] == run.one(EXITED)


def test_by_variable(pyinit: Start, path: Path) -> None:
    """PYINIT_TERMINATION_LOG says the same."""
    run = pyinit(program("exit_with"), "3", extra_env={"PYINIT_TERMINATION_LOG": str(path)})
    assert run.finish() == 3
    assert read(path)[1] == run.one(EXITED)


UNWRITABLE = {
    "folder": "/etc",
    "missing folder": "/no/such/folder/word",
    "a file as folder": "/etc/passwd/word",
    "empty": "",
}


@pytest.mark.parametrize("target", UNWRITABLE.values(), ids=UNWRITABLE)
def test_that_cannot_be_written(pyinit: Start, target: str) -> None:
    """A path that cannot be written is an error of the command line: one line that names it, and nothing is started."""
    run = pyinit(program("serve"), "0", options=["--termination-log", target], json_log=False)
    assert run.finish() == 125
    assert not run.out.lines
    assert "--termination-log" in run.log.lines[0]
    assert target in run.log.lines[0]
    assert "Traceback" not in "".join(run.log.lines)


@pytest.mark.modes(*ALL_MODES)
def test_on_a_read_only_file_system(pyinit: Start) -> None:
    """The same where the root file system is read-only."""
    run = pyinit(program("serve"), "0", options=["--termination-log", "/word"], stage=["read-only"], json_log=False)
    assert run.finish() == 125
    assert "/word" in run.log.lines[0]


HOSTILE = {
    "link": 'rm -f "$1"; ln -s "$2" "$1"',
    "FIFO": 'rm -f "$1"; mkfifo "$1"',
    "folder": 'rm -f "$1"; mkdir "$1"',
    "nothing": 'rm -f "$1"',
    "no folder": 'rm -rf "${1%/*}"',
    "full": 'rm -f "$1"; ln -s /dev/full "$1"',
}


@pytest.mark.invariant(6)
@pytest.mark.parametrize("kind", HOSTILE)
def test_that_main_has_put_something_there(pyinit: Start, path: Path, workdir: Path, kind: str) -> None:
    """Whatever main makes of the file: no link is followed, nobody is waited for, and the status is what it was."""
    other = workdir / "other"
    other.write_text("untouched")
    other.chmod(0o666)
    script = f"{HOSTILE[kind]}; exit 3"
    run = pyinit(*("/bin/sh", "-c", script, "sh", str(path), str(other)), options=["--termination-log", str(path)])
    assert run.finish() == 3
    assert run.seconds < SLACK_S
    assert other.read_text() == "untouched"
    assert not run.of(ERROR)
    if kind == "nothing":
        assert read(path)[1] == run.one(EXITED)


def test_device_that_is_full(pyinit: Start) -> None:
    """A disk that is full when the last word is written costs that word, and nothing else."""
    run = pyinit(program("exit_with"), "3", options=["--termination-log", "/dev/full"])
    assert run.finish() == 3
    assert not run.of(ERROR)


# -- /dev/termination-log ---------------------------------------------------------------------------------------------


def own_dev(*file: str) -> list[str]:
    """Return the stage with a /dev of its own, and this file as its termination log."""
    if subprocess.run([program("own_dev"), "probe"], check=False).returncode:
        cannot("no file systems can be mounted")
    return ["--", program("own_dev"), *file]


def test_default_is_never_made(pyinit: Start) -> None:
    """Where nobody has made /dev/termination-log pyinit does not either."""
    if DEFAULT.exists():
        cannot(f"{DEFAULT} is there on this machine")
    run = pyinit(program("exit_with"), "3")
    assert run.finish() == 3
    assert not DEFAULT.exists()
    assert not run.of(DEGRADED)


@pytest.mark.modes(PID1)
def test_default_is_written_where_it_is(pyinit: Start, path: Path) -> None:
    """Kubernetes mounts a file of the node there: it is written in place."""
    path.touch()
    run = pyinit(program("exit_with"), "3", stage=own_dev(str(path)))
    assert run.finish() == 3
    assert read(path)[1] == run.one(EXITED)
    assert not run.of(DEGRADED)


@pytest.mark.modes(SUBREAPER)
def test_default_is_the_containers(pyinit: Start, path: Path) -> None:
    """A pyinit below the container's own, in a script, leaves the container's last word to that one."""
    path.touch()
    run = pyinit(program("exit_with"), "3", stage=own_dev(str(path)))
    assert run.finish() == 3
    assert path.read_text() == ""


@pytest.mark.modes(PID1)
def test_default_when_nothing_could_be_started(pyinit: Start, path: Path) -> None:
    """The same for a command that is not there."""
    path.touch()
    run = pyinit("/no/such/file", stage=own_dev(str(path)))
    assert run.finish() == 127
    assert read(path)[1] == run.one(SPAWN_FAILED)


@pytest.mark.modes(SUBREAPER, PID1)
def test_mains_own_last_word_stays(pyinit: Start, path: Path) -> None:
    """A program that knows Kubernetes and has written its own message there knows more than pyinit does."""
    path.touch()
    run = pyinit("/bin/sh", "-c", f"echo mine >{DEFAULT}; exit 3", stage=own_dev(str(path)))
    assert run.finish() == 3
    assert path.read_text() == "mine\n"


@pytest.mark.modes(SUBREAPER, PID1)
def test_another_path_leaves_the_default_alone(pyinit: Start, path: Path, workdir: Path) -> None:
    """--termination-log names another file: that one, and not the default."""
    other = workdir / "other"
    path.touch()
    run = pyinit(program("exit_with"), "3", options=["--termination-log", str(other)], stage=own_dev(str(path)))
    assert run.finish() == 3
    assert path.read_text() == ""
    assert read(other)[1] == run.one(EXITED)


@pytest.mark.modes(PID1)
def test_default_that_cannot_be_written(pyinit: Start, path: Path) -> None:
    """Nobody asked for the default: where it cannot be written one record says so, and main runs."""
    path.touch()
    run = pyinit(program("serve"), "3", stage=own_dev("read-only", str(path)))
    run.out.wait("ready")
    run.wait_for(STARTED)
    assert run.stop() == 3
    assert run.one(DEGRADED)["pyinit.feature"] == "--termination-log"
    assert path.read_text() == ""
