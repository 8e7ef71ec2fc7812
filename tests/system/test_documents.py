"""The man page and the completions, as the wheel has installed them, in the programs that they are for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyinit import __version__, usage
from pyinit.option_table import OPTIONS
from support.needs import cannot
from support.person import Person
from support.waiting import DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARE = Path(sys.prefix) / "share"
MANUAL = SHARE / "man/man1/pyinit.1"
BASH = SHARE / "bash-completion/completions/pyinit"
ZSH = SHARE / "zsh/site-functions/_pyinit"
FISH = SHARE / "fish/vendor_completions.d/pyinit.fish"


def output(*words: str | Path, **variables: str) -> str:
    """Return what a program prints; a skip where it is not there. AssertionError where it complains."""
    if shutil.which(words[0]) is None:
        cannot(f"there is no {words[0]}: scripts/test-tools installs it")
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", **variables}
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=environment,
        timeout=DEADLINE_S,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def test_the_man_page_has_no_warning() -> None:
    """Mandoc finds nothing to complain about, not even in style."""
    assert output("mandoc", "-T", "lint", "-W", "style", MANUAL) == ""


def test_the_man_page_tells_each_option() -> None:
    """Every option with all its forms, its text, its choices, default and variable; every status; the version."""
    text = " ".join(re.sub(r".\x08", "", output("mandoc", "-T", "utf8", "-O", "width=900", MANUAL)).split())
    assert f"pyinit {__version__}" in text
    for row in OPTIONS:
        for form in (*(f"-{letter}" for letter in row.short), *([f"--{row.name}"] if row.name else [])):
            assert re.search(rf"(?<!\S){re.escape(form)}(?![\w-])", text), form
        assert (f"--no-{row.name}" in text) == (row.kind == "switch") or not row.name
        told = usage.TEXTS.get(row.name, "")
        assert told[1:] in text
        if row.variable:
            assert f"Variable: {row.variable}." in text
        if row.default:
            assert f"The default is {row.default}." in text
    assert re.search(r" -g The same", text), "an option without a long form has just the short one"
    for status, meaning in usage.EXIT_STATUSES:
        assert f" {status} " in text
        assert meaning[1:] in text


@pytest.mark.parametrize(("shell", "file"), [("bash", BASH), ("zsh", ZSH), ("fish", FISH)])
def test_the_shell_can_read_its_completion(shell: str, file: Path) -> None:
    """No syntax error."""
    output(shell, "-n", file)


def test_the_completion_of_bash_is_clean() -> None:
    """Shellcheck finds nothing to complain about."""
    assert output(str(Path(sys.executable).with_name("shellcheck")), "--shell", "bash", BASH) == ""


# What somebody types, and what it becomes when there is one way to go on.
TYPED = [
    ("pyinit --unt", "pyinit --until"),
    ("pyinit --until=m", "pyinit --until=main"),
    ("pyinit --until serv", "pyinit --until service"),
    ("pyinit --no-log-r", "pyinit --no-log-reaps"),
    ("pyinit --stop-signal WIN", "pyinit --stop-signal WINCH"),
    ("pyinit --stop-signal SIGWIN", "pyinit --stop-signal SIGWINCH"),
    ("pyinit --stop-signal QUIT:5s,VTA", "pyinit --stop-signal QUIT:5s,VTALRM"),
    ("pyinit --stop-signal=QUIT:5s,VTA", "pyinit --stop-signal=QUIT:5s,VTALRM"),
    ("pyinit -r TERM:QUI", "pyinit -r TERM:QUIT"),
    ("pyinit --log-file /etc/hostn", "pyinit --log-file /etc/hostname"),
    ("pyinit --log-file=/etc/hostn", "pyinit --log-file=/etc/hostname"),
    ("pyinit --env-file /etc/hostn", "pyinit --env-file /etc/hostname"),
    ("pyinit --rlimit NOF", "pyinit --rlimit NOFILE"),
    ("pyinit --rlimit=NPR", "pyinit --rlimit=NPROC"),
    ("pyinit --cap-keep NET_BI", "pyinit --cap-keep NET_BIND_SERVICE"),
    ("pyinit --cap-drop=al", "pyinit --cap-drop=all"),
    ("pyinit --securebits no-setuid-fixup-l", "pyinit --securebits no-setuid-fixup-locked"),
    ("pyinit --ioprio best", "pyinit --ioprio best-effort"),
    ("pyinit --check=js", "pyinit --check=json"),
    ("pyinit --grace 5 --unt", "pyinit --grace 5 --until"),
    ("pyinit -e 3 --unt", "pyinit -e 3 --until"),
    ("pyinit -we3 --unt", "pyinit -we3 --until"),
    ("pyinit pyinit-test-comm", "pyinit pyinit-test-command"),
    ("pyinit --grace 5 pyinit-test-comm", "pyinit --grace 5 pyinit-test-command"),
    ("pyinit -- pyinit-test-comm", "pyinit -- pyinit-test-command"),
    ("pyinit cat /etc/hostn", "pyinit cat /etc/hostname"),
    ("pyinit -w -- cat /etc/hostn", "pyinit -w -- cat /etc/hostname"),
]


def with_command(folder: Path) -> str:
    """Return a PATH that has a command of a name that nobody else has, in `folder`."""
    command = folder / "pyinit-test-command"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.parametrize(("typed", "whole"), TYPED)
def test_fish_completes(typed: str, whole: str, tmp_path: Path) -> None:
    """Fish offers the word that the line ends with."""
    script = f"source {FISH}; complete -C '{typed}'"
    said = output("fish", "--no-config", "-c", script, PATH=with_command(tmp_path), HOME=str(tmp_path))
    assert whole.rpartition(" ")[2] in [line.partition("\t")[0].rstrip("=") for line in said.splitlines()]


SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], f"bind 'set bell-style none'; source {BASH}"),
    "zsh": (
        ["zsh", "-f", "-i"],
        f"bindkey -e; fpath=({ZSH.parent} $fpath); autoload -Uz compinit; compinit -u -D; unsetopt beep prompt_cr",
    ),
}


@pytest.fixture(scope="module", params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """Give somebody at the prompt of a bash, and of a zsh, with the completion of pyinit."""
    words, setup = SHELLS[request.param]
    if shutil.which(words[0]) is None:
        cannot(f"there is no {words[0]}: scripts/test-tools installs it")
    home = tmp_path_factory.mktemp("home")
    environment = {"PATH": with_command(home), "HOME": str(home), "TERM": "dumb", "LC_ALL": "C.UTF-8", "LIFE": "300"}
    with Person(words, environment) as person:
        person.resize(50, 200)
        person.type(setup + '; echo is""-ready\n')
        person.see("^is-ready")
        yield person


@pytest.mark.parametrize(("typed", "whole"), TYPED)
def test_bash_and_zsh_complete(shell: Person, typed: str, whole: str) -> None:
    """The tabulator makes the line what was meant."""
    # What stands there after the tabulator is put in quotes (Ctrl-A, Ctrl-E) and printed.
    shell.type(f"{typed}\t\x01printf 'is:%s.\\n' \"\x05\"\n")
    match = shell.see(r"^is:(.*)\.\r?$")
    assert match[1].rstrip(" =") == whole
