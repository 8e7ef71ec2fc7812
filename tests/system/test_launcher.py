"""Who starts main, the launcher or the interpreter: which of them when, and that main cannot tell the difference."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.programs import program
from support.run import ALL_MODES, SPAWN_FAILED, STARTED, plain_environment, pyinit_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.run import Run

    Start = Callable[..., Run]

# The default, said once more by an option that the launcher leaves to the interpreter.
READ_FIRST = ("--stop-on", "TERM,INT,QUIT")
# What is another one in each run.
NUMBERS = ("pid", "ppid", "pgid", "sid")


def started_by_launcher(run: Run) -> int:
    """Return the PID of main that the launcher has handed over, 0: the interpreter had to start it."""
    words = Path(f"/proc/{run.pid}/cmdline").read_bytes().split(b"\0")
    return int(next(word for word in words if word.startswith(b"2:")).split(b":")[6])


def keep_running(pyinit: Start, **keywords: Any) -> tuple[int, int]:
    """Start a service; return the PID of main as the launcher and as the log have it."""
    run = pyinit(program("serve"), **keywords)
    told = run.wait_for(STARTED)["process.pid"]
    handed = started_by_launcher(run)
    run.stop()
    return handed, told


@pytest.mark.modes(*ALL_MODES)
def test_launcher_starts_main(pyinit: Start) -> None:
    """Without options, or with those that say nothing about main's start, the launcher has started main."""
    handed, told = keep_running(pyinit, options=["--grace", "20s", "--until=all", "--stop-signal", "TERM"])
    assert handed == told


@pytest.mark.parametrize("options", [READ_FIRST, ("--umask", "022"), ("-e", "0")], ids=" ".join)
def test_interpreter_starts_main_where_it_has_to_read_first(pyinit: Start, options: list[str]) -> None:
    """What may be wrong, or says something about main, is read before main is started."""
    assert keep_running(pyinit, options=options)[0] == 0


@pytest.mark.parametrize("name", ["PYINIT_GRACE", "TINI_VERBOSITY", "DUMB_INIT_DEBUG", "CATATONIT_DEBUG", "LISTEN_PID",
                                  "LISTEN_FDS", "WATCHDOG_PID", "NOTIFY_SOCKET"])  # fmt: skip
def test_interpreter_starts_main_where_a_variable_asks_for_something(pyinit: Start, name: str) -> None:
    """So are the variables that pyinit reads, and those that have to be changed for main."""
    assert keep_running(pyinit, extra_env={name: "1"})[0] == 0


ODD = {
    "plain": {},
    "masks": {"stage": ["block=10", "block=34", "ignore=1", "ignore=13", "ignore=17", "ignore=25", "ignore=63"]},
    "everything blocked and ignored": {"stage": ["block-all", "ignore=17", "ignore=2", "ignore=13"]},
    "closed": {"stage": ["close=0"]},
    "folder": {"stage": ["cwd=/usr/lib"]},
    "environment": {"stage": ["odd-env"], "extra_env": {"LC_CTYPE": "C", "A": "", "PYTHONHOME": "/nonexistent"}},
}


@pytest.mark.invariant(8)
@pytest.mark.parametrize("keywords", ODD.values(), ids=ODD)
@pytest.mark.modes(*ALL_MODES)
def test_main_cannot_tell_who_has_started_it(pyinit: Start, keywords: dict[str, Any]) -> None:
    """Signals, descriptors, environment, arguments, folder, session, rights: main gets the same from both."""
    said = []
    for options in ((), READ_FIRST):
        run = pyinit("env", program("report"), "a b", "", options=options, **keywords)
        assert run.finish() == 0
        report = json.loads(run.out.lines[-1])
        assert report["pid"] == report["pgid"] == report["sid"]
        # The C library keeps 32 and 33 from the interpreter; the launcher restores those as well.
        report["blocked"] = sorted(set(report["blocked"]) - {32, 33})
        said.append({key: value for key, value in report.items() if key not in NUMBERS})
    # Pipes of their own, but the same descriptors.
    pipes = [report.pop("fds") for report in said]
    assert sorted(pipes[0]) == sorted(pipes[1])
    assert said[0] == said[1]


@pytest.mark.parametrize("options", [(), READ_FIRST], ids=["launcher", "interpreter"])
@pytest.mark.modes(*ALL_MODES)
def test_command_that_is_not_there(pyinit: Start, options: list[str]) -> None:
    """The launcher finds nothing to start, and the interpreter says why: one record, 127."""
    run = pyinit("no-such-command-at-all", options=options)
    assert run.finish() == 127
    assert "no-such-command-at-all was not found in PATH" in run.one(SPAWN_FAILED)["message"]


def installed(folder: Path, interpreter: str) -> Path:
    """Put the launcher into a folder of its own, where it finds this interpreter and no package."""
    place = folder / "bin"
    place.mkdir()
    launcher = Path(shutil.copy(pyinit_command(), place / "pyinit"))
    script = Path(pyinit_command()).with_name("pyinit-main").read_bytes().partition(b"\n")[2]
    (place / "pyinit-main").write_bytes(f"#!{interpreter}\n".encode() + script)
    return launcher


def outcome(launcher: Path, *command: str, **keywords: Any) -> tuple[int, str]:
    """Start a service that lives on by itself; return pyinit's status and complaint once nobody holds its output."""
    words = [str(launcher), "--", *(command or [program("serve")])]
    done = subprocess.run(words, capture_output=True, text=True, env=plain_environment(), check=False, **keywords)
    return done.returncode, done.stderr


def test_interpreter_that_is_not_there(workdir: Path) -> None:
    """Without an interpreter nothing is started: one line, 125."""
    status, said = outcome(installed(workdir, "/nonexistent/python"))
    assert status == 125
    assert said.startswith("pyinit: cannot start the interpreter /nonexistent/python: No such file")
    assert said.count("\n") == 1


def test_interpreter_that_is_none(workdir: Path) -> None:
    """What cannot be executed although it looks like it: one line, 125, and main is gone."""
    fake = workdir / "python"
    fake.write_bytes(b"\0\1\2")
    fake.chmod(0o755)
    status, said = outcome(installed(workdir, str(fake)))
    assert status == 125
    assert said.startswith(f"pyinit: cannot start the interpreter {fake}: Exec format error")
    assert said.count("\n") == 1


def test_package_that_is_not_there(workdir: Path) -> None:
    """An installation without its modules holds nothing: main does not outlive it."""
    status, said = outcome(installed(workdir, interpreter()))
    assert status == 1
    assert "No module named 'pyinit'" in said


DAEMON = ("double_fork", "after", "serve")


def interpreter() -> str:
    """Return the interpreter of the pyinit under test."""
    return Path(pyinit_command()).with_name("pyinit-main").read_bytes().partition(b"\n")[0].decode()[2:]


@pytest.mark.parametrize("python", ["none", "without modules"])
def test_nothing_that_main_has_made_is_left(workdir: Path, python: str) -> None:
    """Where the interpreter cannot take over, a daemon that main has started by then goes as well."""
    fake = workdir / "python"
    fake.write_bytes(b"\0\1\2")
    fake.chmod(0o755)
    launcher = installed(workdir, str(fake) if python == "none" else interpreter())
    status, _ = outcome(launcher, program(DAEMON[0]), DAEMON[1], program(DAEMON[2]))
    assert status == (125 if python == "none" else 1)


def test_interpreter_in_the_second_line(workdir: Path) -> None:
    """A path with a space in it: pip writes a shell into the first line, and the interpreter into the second."""
    folder = workdir / "with a space"
    folder.mkdir()
    launcher = installed(folder, "/bin/sh")
    python = folder / "bin" / "python3"
    python.symlink_to(interpreter())
    script = launcher.with_name("pyinit-main")
    behind = script.read_text().partition("\n")[2]
    quotes = "'" * 3
    second = f'{quotes}exec\' "{python}" "$0" "$@"'
    lines = ["#!/bin/sh", second, f"' {quotes}", behind]
    script.write_text("\n".join(lines))
    status, said = outcome(launcher)
    assert status == 1
    assert "No module named 'pyinit'" in said


def test_script_for_something_else(workdir: Path) -> None:
    """A first line that names no Python is not followed."""
    status, said = outcome(installed(workdir, "/bin/sh"))
    assert status == 125
    assert said.startswith("pyinit: cannot read the interpreter from ")


def test_child_that_is_no_vfork(workdir: Path) -> None:
    """Under an emulator vfork(2) is fork(2): a command that cannot be executed is told all the same."""
    launcher = installed(workdir, interpreter())
    sources = Path(__file__).parent.parent.parent / "launcher"
    rows = str(workdir / "plain_options.h")
    subprocess.run([sys.executable, "-IB", str(sources / "plain_options.py"), rows], check=True)
    words = ["cc", "-Dvfork=fork", "-I", str(workdir), "-o", str(launcher), *map(str, sorted(sources.glob("*.c")))]
    subprocess.run(words, check=True)
    (workdir / "lib").symlink_to(Path(pyinit_command()).parent.parent / "lib")
    assert outcome(launcher, program("exit_with"), "7")[0] == 7
    assert outcome(launcher, "/etc/passwd")[0] == 126
    status, said = outcome(launcher, "no-such-command-at-all")
    assert status == 127
    assert "was not found in PATH" in said


def test_long_command_line(pyinit: Start) -> None:
    """What comes near to the limit of an exec is for the interpreter, which needs a little more than main."""
    run = pyinit(program("serve"), "x" * 100_000)
    run.wait_for(STARTED)
    assert started_by_launcher(run) == 0
    run.stop()


def test_called_by_another_name(workdir: Path) -> None:
    """A link by another name works, and the interpreter starts main."""
    link = workdir / "init"
    link.symlink_to(pyinit_command())
    assert outcome(link, program("exit_with"), "7")[0] == 7


LIMITS = {"AS": resource.RLIMIT_AS, "DATA": resource.RLIMIT_DATA, "STACK": resource.RLIMIT_STACK}


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_too_little_memory_for_the_interpreter(limit: int) -> None:
    """Where the interpreter cannot come up, nothing has been started: the command says nothing."""

    def lower() -> None:
        resource.setrlimit(limit, (size, size))

    size = 16 << 10 if limit == resource.RLIMIT_STACK else 1 << 20
    words = [pyinit_command(), "--", "/bin/echo", "started"]
    done = subprocess.run(words, capture_output=True, env=plain_environment(), check=False, preexec_fn=lower)
    assert done.returncode != 0
    assert done.stdout == b""


def test_children_that_were_there_before() -> None:
    """Who exec'd pyinit may have left it children; then the interpreter looks at them first."""
    script = 'sleep 30 & exec "$0" --log-format json -- "$1"'
    shell = subprocess.Popen(
        ["/bin/sh", "-c", script, pyinit_command(), program("serve")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=plain_environment(),
    )
    assert shell.stdout is not None
    assert shell.stdout.readline()
    words = Path(f"/proc/{shell.pid}/cmdline").read_bytes().split(b"\0")
    assert next(word for word in words if word.startswith(b"2:")).split(b":")[6] == b"0"
    os.kill(shell.pid, 15)
    shell.communicate()
    assert shell.returncode == 0
