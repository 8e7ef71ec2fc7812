"""The command line and its variables, as they reach a real run."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.programs import program
from support.run import STARTED, SUBREAPER, UNKNOWN_VARIABLE, plain_environment, pyinit_command

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from support.run import Run

    Start = Callable[..., Run]


BAD = {
    "no command": [],
    "only --": ["--"],
    "unknown option": ["--gracee", "3s", "true"],
    "bad duration": ["--grace", "soon", "true"],
    "negative duration": ["--grace", "-3s", "true"],
    "bad until": ["--until", "never", "true"],
    "bad signal": ["--stop-signal", "NOSUCH", "true"],
    "signal out of range": ["--stop-signal", "65", "true"],
    "bad status": ["--ok-exit", "256", "true"],
    "no value": ["--grace"],
    "bad level": ["--log-level", "loud", "true"],
    "bytes": [b"--until=\xff\xfe", "true"],
    "newline": ["--until=a\nb", "true"],
    "empty command": [""],
}


@pytest.mark.parametrize("words", BAD.values(), ids=BAD)
def test_bad_input(words: list[str | bytes]) -> None:
    """One line on standard error that says what is wrong and what to write instead, status 125, nothing started."""
    said = subprocess.run([pyinit_command(), *words], capture_output=True, check=False, env=plain_environment())
    assert said.returncode == 125
    assert said.stdout == b""
    text = said.stderr.decode()
    assert text.startswith("pyinit: ")
    assert text.count("\n") == 1
    assert text.endswith("\n")


@pytest.mark.parametrize(
    "variable", ["PYINIT_GRACE=soon", "PYINIT_UNTIL=never", "PYINIT_LOG_REAPS=perhaps", "PYINIT_OK_EXIT=1,x"]
)
def test_bad_variable(variable: str) -> None:
    """A variable with a bad value is named in the error."""
    name, _, value = variable.partition("=")
    environment = plain_environment() | {name: value}
    said = subprocess.run([pyinit_command(), "true"], capture_output=True, text=True, check=False, env=environment)
    assert said.returncode == 125
    assert name in said.stderr
    assert said.stderr.count("\n") == 1


def wrong_lists() -> ModuleType:
    """Import the lists of wrong command lines and variables of the unit tests."""
    path = Path(__file__).parents[1] / "unit" / "test_options_wrong.py"
    spec = importlib.util.spec_from_file_location("options_wrong", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WRONG = wrong_lists()
EVERY = 12  # of so many one is tried here; the unit tests try all
SAMPLE: list[tuple[list[str], dict[bytes, bytes]]] = [
    *(([f"{flag}={text}", "true"], {}) for flag, texts in WRONG.WRONG_VALUES.items() for text in texts),
    *((argv, {}) for argv, _ in WRONG.WRONG_LINES),
    *((["true"], {variable: text}) for variable, text in WRONG.WRONG_VARIABLES),
    *((flags, environ) for flags, environ, _ in WRONG.WRONG_TOGETHER),
]


def can_be_given(argv: list[str]) -> bool:
    """Say whether a command line can be handed to a program at all: no NUL, no lone half of a character."""
    try:
        return not any(b"\0" in os.fsencode(word) or len(word) > ARGUMENT_MAX for word in argv)
    except UnicodeEncodeError:
        return False


ARGUMENT_MAX = 100_000  # execve(2): MAX_ARG_STRLEN, with room


def test_the_lists_are_long() -> None:
    """At least 100 wrong command lines and variables are tried, all different."""
    assert len({(tuple(argv), tuple(environ.items())) for argv, environ in SAMPLE}) >= 100


@pytest.mark.parametrize(("argv", "environ"), [row for row in SAMPLE if can_be_given(row[0])][::EVERY])
def test_one_line_and_125(argv: list[str], environ: dict[bytes, bytes]) -> None:
    """What the unit tests know as wrong: one printable line, status 125, nothing on standard output, no traceback."""
    given = {name.encode(): value.encode() for name, value in plain_environment().items()} | environ
    said = subprocess.run([pyinit_command(), *argv], capture_output=True, check=False, env=given)
    assert (said.returncode, said.stdout) == (125, b"")
    text = said.stderr.decode()
    assert text.startswith("pyinit: ")
    assert text.endswith("\n")
    assert text[:-1].isprintable()


BAD_FILES = {
    "/no/such/folder/log": "No such file or directory",
    "/etc/passwd/log": "Not a directory",
    "/": "Is a directory",
    "/proc/self/exe": "",  # busy, or not for everybody: which of them is the kernel's to say
    "/" + "x" * 300: "File name too long",
    "loop": "Too many levels of symbolic links",
}


@pytest.mark.parametrize("option", ["--log-file", "--termination-log"])
@pytest.mark.parametrize("path", BAD_FILES)
def test_a_file_that_cannot_be_written(workdir: Path, option: str, path: str) -> None:
    """One line that names the option, the file and why; --dry-run says the same, with the same status."""
    (workdir / "loop").symlink_to("loop")
    for more in ([], ["--dry-run"]):
        said = subprocess.run(
            [pyinit_command(), option, path, *more, "--", "touch", "started"],
            capture_output=True,
            text=True,
            check=False,
            env=plain_environment(),
            cwd=workdir,
        )
        assert said.returncode == 125
        text = " ".join((said.stdout if more else said.stderr).split())
        assert f"{option} " in text
        assert BAD_FILES[path] in text
        assert f"{Path(path).name[:40]}" in text
        assert more or said.stderr.count("\n") == 1
    assert not (workdir / "started").exists()


@pytest.mark.modes(SUBREAPER)
def test_options_end_at_the_first_operand(pyinit: Start) -> None:
    """What follows the command belongs to it, with or without "--"."""
    for separator in (True, False):
        run = pyinit("/bin/echo", "--grace", "--", "-V", separator=separator)
        assert run.finish() == 0
        assert run.out.lines == ["--grace -- -V"]


@pytest.mark.modes(SUBREAPER)
def test_variables_are_not_handed_to_the_command(pyinit: Start) -> None:
    """PYINIT_… variables are pyinit's own: the command does not see them, and they count."""
    run = pyinit("/usr/bin/env", extra_env={"PYINIT_GRACE": "1m30s", "PYINIT_UNTIL": "main", "PYINIT_LOG_REAPS": ""})
    assert run.finish() == 0
    assert not [line for line in run.out.lines if line.startswith("PYINIT")]
    assert run.one(STARTED)["pyinit.grace_s"] == 90
    assert run.one(STARTED)["pyinit.until"] == "main"


@pytest.mark.modes(SUBREAPER)
def test_flag_beats_variable(pyinit: Start) -> None:
    """A flag wins over its variable."""
    run = pyinit(program("exit_with"), extra_env={"PYINIT_GRACE": "1m"}, options=["--grace", "500ms"])
    assert run.finish() == 0
    assert run.one(STARTED)["pyinit.grace_s"] == 0.5


@pytest.mark.modes(SUBREAPER)
def test_unknown_variable(pyinit: Start) -> None:
    """An unknown PYINIT_… variable is warned about, with the nearest name."""
    run = pyinit(program("exit_with"), extra_env={"PYINIT_GRASE": "3s"})
    assert run.finish() == 0
    warned = run.one(UNKNOWN_VARIABLE)
    assert warned["pyinit.variable"] == "PYINIT_GRASE"
    assert warned["pyinit.suggestion"] == "PYINIT_GRACE"


@pytest.mark.modes(SUBREAPER)
def test_ok_exit_variable(pyinit: Start) -> None:
    """PYINIT_OK_EXIT takes several statuses."""
    run = pyinit(program("exit_with"), "7", extra_env={"PYINIT_OK_EXIT": "3,7 143"})
    assert run.finish() == 0


def test_help_fits_on_a_screen() -> None:
    """--help: at most 80 columns wide, with how variables are named, and the statuses."""
    said = subprocess.run(
        [pyinit_command(), "--help"], capture_output=True, text=True, check=True, env=plain_environment()
    )
    assert max(map(len, said.stdout.splitlines())) <= 80
    for word in ("--until", "--grace", "--stop-signal", "--ok-exit", "PYINIT_", "125", "126", "127"):
        assert word in said.stdout
