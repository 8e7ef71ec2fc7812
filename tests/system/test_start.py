"""What the command is given at its start, and what happens when it cannot be started."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support import procs
from support.needs import cannot
from support.programs import program
from support.run import ALL_MODES, PID1, SPAWN_FAILED, STARTED, SUBREAPER, plain_environment, pyinit_command

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from support.run import Run

    Start = Callable[..., Run]

# Main is started by the launcher, or by the interpreter where an option has to be read first (this one is the default).
WAYS = {"launcher": (), "interpreter": ("--stop-on", "TERM,INT,QUIT")}

ALL_SIGNALS = sorted(set(range(1, 65)) - {signal.SIGKILL, signal.SIGSTOP, 32, 33})


@pytest.fixture(params=WAYS.values(), ids=list(WAYS))
def pyinit(pyinit: Start, request: pytest.FixtureRequest) -> Start:
    """Start pyinit in each of the two ways."""

    def start(*command: str | bytes, options: Sequence[str] = (), **keywords: Any) -> Run:
        return pyinit(*command, options=[*options, *request.param], **keywords)

    return start


def report(run: Run) -> dict[str, Any]:
    """Return what the program `report` has said."""
    assert run.finish() == 0
    said = json.loads(run.out.lines[-1])
    assert isinstance(said, dict)
    return said


def texts(hexes: list[str]) -> list[bytes]:
    """Return the byte strings that `report` spells in hex."""
    return [bytes.fromhex(one) for one in hexes]


@pytest.mark.invariant(8)
@pytest.mark.modes(*ALL_MODES)
def test_environment_is_the_same_byte_for_byte(pyinit: Start) -> None:
    """The command's environment is pyinit's own.

    Order, odd names and bytes that are no UTF-8 included, nothing added.
    """
    given = {name.encode(): value.encode() for name, value in plain_environment().items()}
    given |= {
        b"a b": b"a name with a blank",
        b"1X": b"a name with a digit first",
        b"X.Y-Z": b"",
        b"EMPTY": b"",
        b"LATIN": b"caf\xe9 \xff\xfe",
        b"\xff\x80": b"bytes",
        b"LINES": b"one\ntwo\n",
        b"LONG": b"x" * 100_000,
        b"BASH_FUNC_x%%": b"() { :; }",
        b"PYTHONUTF8": b"0",
        b"_": b"/usr/bin/env",
    }
    said = report(pyinit(program("report"), env=given))
    assert texts(said["env"]) == [name + b"=" + value for name, value in given.items()]


@pytest.mark.invariant(8)
def test_odd_environment_is_kept(pyinit: Start) -> None:
    """Even entries without "=", without a name, and a name that comes twice reach the command as they were."""
    said = report(pyinit(program("report"), stage=["odd-env"]))
    assert texts(said["env"]) == [b"TWICE=1", b"no equals sign", b"TWICE=2", b"=empty name", b"PATH=/usr/bin:/bin"]


@pytest.mark.invariant(8)
@pytest.mark.parametrize("variable", ["LC_ALL=C", "LC_CTYPE=C", "LC_CTYPE=en_US.ISO-8859-1", "LANG=C", "LC_ALL=POSIX"])
@pytest.mark.modes(SUBREAPER)
def test_locale_is_not_coerced(pyinit: Start, variable: str) -> None:
    """CPython's locale coercion (PEP 538) puts LC_CTYPE into the environment: that never reaches the command."""
    name, _, value = variable.partition("=")
    given = plain_environment() | {name: value}
    said = report(pyinit(program("report"), env=given))
    assert texts(said["env"]) == [f"{name}={value}".encode() for name, value in given.items()]


def test_arguments_are_the_same_byte_for_byte(pyinit: Start) -> None:
    """Arguments reach the command unchanged: empty, options of pyinit's own, "--", bytes that are no UTF-8."""
    words = [b"", b"--grace", b"--", b"-h", b"caf\xe9", b"a\nb", "ü".encode(), b"--until=main"]
    said = report(pyinit(program("report"), *words))
    assert texts(said["argv"])[1:] == words


MASKS = {
    "nothing": [],
    "SIGPIPE ignored": ["ignore=13"],
    "SIGPIPE and SIGXFSZ ignored": ["ignore=13", "ignore=25"],
    "nohup": ["ignore=1"],
    "background job of a script": ["ignore=2", "ignore=3"],
    "SIGCHLD ignored": ["ignore=17"],
    "stop signals ignored": ["ignore=15", "ignore=20", "ignore=21", "ignore=22"],
    "real-time": ["block=34", "block=50", "block=64", "ignore=35", "ignore=63"],
    "some blocked": ["block=10", "block=12", "block=15", "block=17", "block=14"],
    "faults blocked": ["block=4", "block=7", "block=8", "block=11", "block=5"],
    "everything blocked": ["block-all"],
    "everything ignored": [f"ignore={number}" for number in ALL_SIGNALS],
}


@pytest.mark.parametrize("stage", MASKS.values(), ids=MASKS)
def test_mask_and_dispositions_are_inherited_exactly(pyinit: Start, stage: list[str]) -> None:
    """The command has the signal mask and the ignored signals that pyinit was started with.

    Nothing else although CPython ignores SIGPIPE.
    """
    blocked = [int(word.partition("=")[2]) for word in stage if word.startswith("block=")]
    ignored = [int(word.partition("=")[2]) for word in stage if word.startswith("ignore=")]
    said = report(pyinit(program("report"), stage=stage))
    assert sorted(set(said["blocked"]) - {32, 33}) == (ALL_SIGNALS if "block-all" in stage else sorted(blocked))
    assert said["ignored"] == sorted(ignored)


@pytest.mark.parametrize("stage", [[], ["block=32", "block=33"], ["block-all"]], ids=["none", "both", "all"])
def test_the_signals_of_the_c_library_too(pyinit: Start, stage: list[str]) -> None:
    """The mask has 32 and 33 if, and only if, pyinit was started with them, although the C library keeps them back."""
    said = report(pyinit(program("report"), stage=stage))
    assert sorted({32, 33}.intersection(said["blocked"])) == ([32, 33] if stage else [])


@pytest.mark.modes(*ALL_MODES)
def test_process_group_and_session_without_a_terminal(pyinit: Start) -> None:
    """Without a controlling terminal the command leads a session and a process group of its own."""
    said = report(pyinit(program("report")))
    assert said["pgid"] == said["sid"] == said["pid"]
    assert said["terminal"] is False


def test_process_group_with_a_terminal(pyinit: Start) -> None:
    """With a controlling terminal the command keeps it: a process group of its own in pyinit's session."""
    leader, terminal = os.openpty()
    try:
        run = pyinit(program("report"), stage=["terminal"], stdin=terminal)
        said = report(run)
    finally:
        os.close(leader)
        os.close(terminal)
    assert said["terminal"] is True
    assert said["pgid"] == said["pid"] != said["sid"]


def test_other_attributes_are_untouched(pyinit: Start) -> None:
    """Pyinit's being a subreaper, its umask and its own signals at its end are not the command's business."""
    old = os.umask(0o027)
    try:
        run = pyinit(program("report"))
    finally:
        os.umask(old)
    said = report(run)
    assert (said["umask"], said["subreaper"], said["no_new_privs"], said["death_signal"]) == (0o027, 0, 0, 0)
    assert said["ppid"] == run.pid_seen


def test_descriptors_pass_through(pyinit: Start) -> None:
    """What was open when pyinit was started is open in the command under the same number.

    Nothing of pyinit's own is.
    """
    read_end, write_end = os.pipe()
    high = fcntl.fcntl(write_end, fcntl.F_DUPFD, 77)  # the first number from there on that nobody has
    inode = str(Path(f"/proc/self/fd/{write_end}").readlink())
    try:
        said = report(pyinit(program("report"), pass_fds=(read_end, high)))
    finally:
        for fd in (read_end, write_end, high):
            os.close(fd)
    assert sorted(map(int, said["fds"])) == [0, 1, 2, read_end, high]
    assert bytes.fromhex(said["fds"][str(high)]).decode() == inode


@pytest.mark.modes(*ALL_MODES)
def test_pyinit_keeps_no_copy(pyinit: Start) -> None:
    """Pyinit drops its copies above 2 and its working directory: the end of a pipe is the command's, a mount can go."""
    read_end, write_end = os.pipe()
    inode = str(Path(f"/proc/self/fd/{write_end}").readlink())
    try:
        run = pyinit(program("close_all"), program("serve"), pass_fds=(write_end,), stage=["cwd=/usr"])
        run.out.wait("ready")
        run.wait_for(STARTED)
    finally:
        os.close(write_end)
    with os.fdopen(read_end) as end:
        assert end.read() == "", "somebody still holds the pipe"
    try:
        links = {link.name: str(link.readlink()) for link in Path(f"/proc/{run.pid}/fd").iterdir()}
        cwd = str(Path(f"/proc/{run.pid}/cwd").readlink())
    except PermissionError:
        run.stop()
        cannot("the test runner may not look into /proc/PID of another user (CAP_SYS_PTRACE)")
    assert inode not in links.values()
    assert cwd == "/"
    run.stop()


@pytest.mark.modes(*ALL_MODES)
def test_working_directory_is_the_same(pyinit: Start) -> None:
    """The command is in the directory in which pyinit was started."""
    said = report(pyinit(program("report"), stage=["cwd=/usr/lib"]))
    assert bytes.fromhex(said["cwd"]) == b"/usr/lib"


def test_working_directory_that_is_gone(pyinit: Start, workdir: Path) -> None:
    """Pyinit starts in a directory that has been removed."""
    gone = workdir / "gone"
    gone.mkdir()
    run = pyinit(
        "/bin/sh",
        "-c",
        f'cd {gone} && rmdir {gone} && exec "$0" -- {program("exit_with")} 3 2>/dev/null',
        pyinit_command(),
    )
    assert run.finish() == 3


@pytest.mark.parametrize("closed", [[0], [1], [2], [0, 1], [0, 1, 2]], ids=str)
@pytest.mark.invariant(6)
def test_closed_standard_descriptors(pyinit: Start, workdir: Path, closed: list[int]) -> None:
    """Descriptors 0 to 2 that are closed are closed in the command too.

    Nothing of pyinit's lands on their numbers.
    """
    said_file = workdir / "said"
    run = pyinit(
        program("report"),
        stage=[f"close={fd}" for fd in closed],
        extra_env={"REPORT_FILE": str(said_file)},
        json_log=False,
    )
    assert run.finish() == 0
    said = json.loads(said_file.read_text())
    assert sorted(map(int, said["fds"])) == [fd for fd in (0, 1, 2) if fd not in closed]


@pytest.mark.parametrize("closed", [[0], [1], [2], [0, 1], [0, 1, 2]], ids=str)
@pytest.mark.modes(SUBREAPER, PID1)
def test_closed_standard_descriptors_without_dev(pyinit: Start, workdir: Path, closed: list[int]) -> None:
    """The same where there is no /dev/null to hold their places."""
    said_file = workdir / "said"
    run = pyinit(
        program("report"),
        stage=["no-dev", *(f"close={fd}" for fd in closed)],
        extra_env={"REPORT_FILE": str(said_file)},
        json_log=False,
    )
    assert run.finish() == 0
    said = json.loads(said_file.read_text())
    assert sorted(map(int, said["fds"])) == [fd for fd in (0, 1, 2) if fd not in closed]


@pytest.mark.parametrize("number", [0, 1])
def test_folder_for_a_standard_descriptor(number: int) -> None:
    """A folder as standard input or output is one line and 125: the interpreter cannot start with it."""
    folder = os.open("/", os.O_RDONLY)
    streams = [subprocess.DEVNULL, subprocess.DEVNULL]
    streams[number] = folder
    try:
        done = subprocess.run(
            [pyinit_command(), "--", "true"],
            stdin=streams[0],
            stdout=streams[1],
            stderr=subprocess.PIPE,
            env=plain_environment(),
            check=False,
            text=True,
        )
    finally:
        os.close(folder)
    assert done.returncode == 125
    assert done.stderr == f"pyinit: descriptor {number} is a folder. Give a file, a pipe or /dev/null instead.\n"


@pytest.mark.modes(*ALL_MODES)
def test_script_without_interpreter_line(pyinit: Start, workdir: Path) -> None:
    """A script without #! runs under /bin/sh, with its arguments, as in every shell."""
    script = workdir / "script"
    script.write_text('echo "ran $0 $# $2"\nexit 7\n')
    script.chmod(0o755)
    run = pyinit(str(script), "a", "b c")
    assert run.finish() == 7
    assert run.out.lines == [f"ran {script} 2 b c"]


def test_script_without_interpreter_line_on_path(pyinit: Start, workdir: Path) -> None:
    """The same for a script that is found on PATH."""
    script = workdir / "a-script"
    script.write_text('echo "ran $# $1"\n')
    script.chmod(0o755)
    run = pyinit("a-script", "x", env=plain_environment() | {"PATH": f"/nonexistent:{workdir}:/usr/bin:/bin"})
    assert run.finish() == 0
    assert run.out.lines == ["ran 1 x"]


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.parametrize("command", ["no-such-command-at-all", "/no/such/file", "./no-such-file"], ids=repr)
def test_command_not_found(pyinit: Start, command: str) -> None:
    """A command that is not there: status 127, a record that names it and says why."""
    run = pyinit(command)
    assert run.finish() == 127
    failed = run.one(SPAWN_FAILED)
    assert command in failed["message"]


@pytest.mark.parametrize("kind", ["not executable", "a directory", "not executable on PATH"])
@pytest.mark.modes(*ALL_MODES)
def test_command_that_cannot_be_executed(pyinit: Start, workdir: Path, kind: str) -> None:
    """A command that is there but cannot be executed: status 126."""
    target = workdir / "some-file"
    target.write_text("#!/bin/sh\n")
    target.chmod(0o644)
    command, env = str(target), plain_environment()
    if kind == "a directory":
        command = str(workdir)
    elif kind == "not executable on PATH":
        command, env = "some-file", plain_environment() | {"PATH": str(workdir)}
    run = pyinit(command, env=env)
    assert run.finish() == 126
    assert str(command) in run.one(SPAWN_FAILED)["message"]


def test_path_lookup_goes_on_after_a_file_that_cannot_be_executed(pyinit: Start, workdir: Path) -> None:
    """As execvp(3): EACCES in one directory of PATH does not hide the program in a later one."""
    (workdir / "true").write_text("")
    run = pyinit("true", env=plain_environment() | {"PATH": f"{workdir}:/usr/bin:/bin"})
    assert run.finish() == 0


def test_no_path_at_all(pyinit: Start) -> None:
    """Without PATH the system's default path is searched, as execvp(3) does."""
    run = pyinit("true", env={"LIFE": "20"})
    assert run.finish() == 0


def test_start_record_names_main(pyinit: Start) -> None:
    """The first record of a run says who runs what: pyinit's and main's numbers, mode, version, until and grace."""
    run = pyinit(program("serve"), options=["--grace", "3s"])
    pid = int(run.out.wait("ready")[0])
    run.wait_for(STARTED)
    assert run.log.names()[0] == STARTED
    started = run.one(STARTED)
    assert pid in started.values(), started
    assert started["pyinit.mode"] == ("pid1" if run.mode == PID1 else "subreaper")
    assert started["pyinit.until"] == "service"
    assert started["pyinit.grace_s"] == 3
    run.stop()


def wait_until_blocked(pid: int, number: int) -> None:
    """Until `pid` has blocked signal `number`; what is watched is /proc, because the process cannot say so itself."""
    while not int(procs.status_field(pid, "SigBlk") or "0", 16) >> (number - 1) & 1:
        assert procs.stat(pid), "pyinit has ended"


@pytest.mark.parametrize("attempt", range(5))
def test_stop_that_comes_at_once(pyinit: Start, attempt: int) -> None:
    """A stop request that comes while pyinit is starting is not lost: blocked first, taken later."""
    run = pyinit("/bin/sleep", "30")
    wait_until_blocked(run.pid, signal.SIGTERM)
    status = run.stop()
    assert status == 128 + signal.SIGTERM, attempt


def test_stdin_is_passed_on(pyinit: Start) -> None:
    """The command reads what pyinit was given on standard input; pyinit reads none of it."""
    run = pyinit("/bin/cat")
    os.write(run.input, b"one\ntwo\n")
    run.out.wait("two")
    run.close_input()
    assert run.finish() == 0
    assert run.out.lines == ["one", "two"]


def test_version_and_help_start_nothing() -> None:
    """--version and --help answer on standard output with status 0."""
    for option in ("--version", "-V", "--help", "-h"):
        said = subprocess.run(
            [pyinit_command(), option], capture_output=True, text=True, check=True, env=plain_environment()
        )
        assert said.stdout
        assert not said.stderr
