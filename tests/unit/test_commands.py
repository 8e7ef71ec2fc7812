"""pyinit's own commands, on real processes: what they get, and what is told of what they write."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING, Any

import pytest

from pyinit.child.plan import Child
from pyinit.child.step import Step
from pyinit.commands import Runner
from pyinit.core.actions import RunCommand
from pyinit.core.model import RELOAD_COMMAND, SIGHUP, SIGTERM, STOP_COMMAND, Process
from pyinit.sources import Sources
from pyinit.spawn import Inherited
from support.descriptors import descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Records:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, object]] = []

    def report(self, event: str, facts: dict[str, object]) -> None:
        """Take a record."""
        assert event == "command.output"
        self.told.append(facts)

    @property
    def lines(self) -> list[object]:
        """What was told, a line each."""
        return [facts["text"] for facts in self.told]


class Stage:
    """A runner of one command, and what comes of it."""

    def __init__(self, home: int) -> None:
        self.records = Records()
        self.sources = Sources()
        self.texts = {STOP_COMMAND: "", RELOAD_COMMAND: ""}
        self.changes: dict[bytes, bytes | None] = {}
        inherited = Inherited(mask=0, ignored=0, closed=0, lc_ctype=None)
        log: Any = self.records
        self.runner = Runner(self.texts, self.changes, inherited, home, log, self.sources)

    def run(self, text: str, action: RunCommand | None = None) -> int:
        """Run a command to its end, as the loop does it; return its exit status."""
        action = action or RunCommand(STOP_COMMAND, None, SIGTERM, 8.0)
        self.texts[action.kind] = text
        pid = self.runner.run(action)
        ended = os.pidfd_open(pid)
        self.sources.add(ended, lambda: self.sources.remove(ended))
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            self.sources.wait(-1)
        os.close(ended)
        self.runner.read_output(pid)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Give a runner whose commands run in a directory of their own."""
    home = os.open(tmp_path, os.O_RDONLY)
    stage = Stage(home)
    before = descriptors()
    yield stage
    assert not descriptors() - before, "a pipe that is read to its end is closed"
    os.close(home)


@pytest.mark.parametrize("status", [0, 3, 127])
def test_command_is_the_shells(stage: Stage, status: int) -> None:
    """A command is a line for the shell; its end is the shell's."""
    assert stage.run(f"exit {status}") == status


def test_output_is_told_line_by_line(stage: Stage) -> None:
    """Each line of both outputs is a record, also one without an end, and none that is empty."""
    stage.run("echo one; echo; printf 'two\\r\\n' >&2; printf three")
    assert stage.records.told == [{"kind": STOP_COMMAND, "text": text} for text in ("one", "two", "three")]


def test_bytes_that_are_no_text(stage: Stage) -> None:
    """What is no UTF-8 is told as it can be told."""
    stage.run("printf 'a\\377b\\n'")
    assert stage.records.lines == ["a\\xffb"]


def test_long_lines_are_cut(stage: Stage) -> None:
    """A line is told up to 1024 bytes, whether it ends or not."""
    stage.run("head -c 100000 /dev/zero | tr '\\0' x; echo; head -c 5000 /dev/zero | tr '\\0' y")
    assert stage.records.lines == ["x" * 1024, "y" * 1024]


def test_chatter_has_an_end(stage: Stage) -> None:
    """Who writes thousands of lines is read to the end, and told to a limit."""
    assert stage.run("i=0; while [ $i -lt 1000 ]; do echo $i; i=$((i+1)); done") == 0
    assert stage.records.lines == [*map(str, range(199)), "(it writes more; that is not told)"]


def test_who_is_left_behind_may_write_on(stage: Stage, tmp_path: Path) -> None:
    """What a daemon of the command's writes later is told when it comes; the command's end waits for nobody."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    stage.run("echo first; (read line < gate; echo $line) & exit 0")
    assert stage.records.lines == ["first"]
    gate.write_text("second\n")
    while len(stage.records.lines) < 2:
        stage.sources.wait(-1)
    assert stage.records.lines == ["first", "second"]
    os.wait()  # the test runner is a subreaper
    stage.sources.wait(-1)


def test_directory_session_and_input(stage: Stage, tmp_path: Path) -> None:
    """A command runs in main's directory, leads a session of its own, and has nothing to read."""
    stage.run("pwd; cat; cut -d' ' -f1,5,6 /proc/$$/stat")
    where, numbers = stage.records.lines
    assert where == str(tmp_path)
    pid, group, session = str(numbers).split()
    assert pid == group == session


def test_stop_command_is_told_why() -> None:
    """A stop command gets whom it is for, why it runs, and how long it has; a reload command the signal."""
    stage = Stage(-1)
    names = "$MAINPID-$PYINIT_STOP_REASON-$PYINIT_STOP_SIGNAL-$PYINIT_GRACE_S-$PYINIT_SIGNAL"
    stage.run(f"echo {names}", RunCommand(STOP_COMMAND, Process(77), SIGTERM, 7.5))
    stage.run(f"echo {names}", RunCommand(RELOAD_COMMAND, None, SIGHUP))
    assert stage.records.lines == ["77-signal-SIGTERM-7.5-", "----SIGHUP"]


def test_environment_is_mains(stage: Stage) -> None:
    """A command has main's environment: what pyinit changes there is changed, and what came with sockets is not its."""
    stage.changes.update({b"GIVEN": b"a b", b"TAKEN": None})
    stage.run("echo ${GIVEN}/${TAKEN-none}/${LISTEN_FDS-none}/${MAINPID-none}")
    assert stage.records.lines == ["a b/none/none/none"]


def test_no_process_is_left(stage: Stage) -> None:
    """There is no process, or no descriptor, for a command: an error, and nothing stays open."""
    before = descriptors()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            stage.runner.run(RunCommand(STOP_COMMAND, None, SIGTERM))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert not descriptors() - before


def test_fork_fails(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of processes is reached (EAGAIN): the pipe is closed again."""

    def fails() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    before = descriptors()
    monkeypatch.setattr("posix.fork", fails)
    with pytest.raises(BlockingIOError):
        stage.runner.run(RunCommand(STOP_COMMAND, None, SIGTERM))
    assert not descriptors() - before


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PermissionError(1, "Operation not permitted"), "--rlimit NOFILE=9: Operation not permitted"),
        (MemoryError(), "--rlimit NOFILE=9: Cannot allocate memory"),
    ],
)
def test_step_fails(stage: Stage, error: Exception, told: str) -> None:
    """A command that cannot be as the options want it says which of them, ends with 125, and does not run."""

    def fails() -> None:
        raise error

    child = Child()
    child.command_steps.append(Step("--rlimit", "NOFILE=9", fails))
    stage.runner._child = child
    assert stage.run("echo it runs") == 125
    assert stage.records.lines == [told]


def test_output_of_nobody(stage: Stage) -> None:
    """A number that is no command's has written nothing."""
    stage.runner.read_output(12345)
    assert stage.records.told == []
