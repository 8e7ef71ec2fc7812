"""`docker run -it image bash` under pyinit feels as it does without pyinit."""

from __future__ import annotations

import os
import subprocess
import uuid
from typing import TYPE_CHECKING

import pytest

from container.engine import LIMIT_S, docker
from support.person import CTRL_C, CTRL_Z, Person

if TYPE_CHECKING:
    from collections.abc import Iterator

    from container.engine import Images

QUIET = ("--env", "PYINIT_LOG_LEVEL=error", "--env", "PS1=ready> ", "--env", "TERM=dumb")
BASH = ("bash", "--norc", "--noprofile")
PROMPT = "ready> "


@pytest.fixture
def name() -> Iterator[str]:
    """Give a name for a container that is gone afterwards."""
    chosen = f"pyinit-test-{uuid.uuid4().hex[:12]}"
    yield chosen
    docker("rm", "--force", "--volumes", chosen, check=False)


def words(name: str, image: str, *options: str) -> list[str]:
    """Return the command line of `docker run` up to the image."""
    return ["docker", "run", "--rm", "--name", name, "--network", "none", *QUIET, *options, image]


def test_job_control(images: Images, name: str) -> None:
    """A shell: Ctrl-Z, `jobs`, `fg`, Ctrl-C, another size of the window, and its status is the container's."""
    env = dict(os.environ)
    with Person([*words(name, images["pyinit"], "-it"), *BASH, "-i"], env) as person:
        person.see(PROMPT, LIMIT_S)
        person.type("sh -c 'echo up-$((1 + 1)); exec cat'\n")
        person.see("^up-2\r")
        person.type(CTRL_Z)
        person.see("Stopped")
        person.see(PROMPT)
        person.type("jobs\n")
        person.see(r"^\[1\]\+ +Stopped .*exec cat")
        person.see(PROMPT)
        person.type("fg\n")
        person.see("^sh -c .*exec cat'\r")
        person.type("ping\n")
        person.see("ping\r\nping\r\n")
        person.type(CTRL_C)
        person.see(PROMPT)
        person.type("sh -c 'echo up-$((1 + 2)); exec sleep 100'\n")
        person.see("^up-3\r")
        person.type(CTRL_C)
        person.see(PROMPT)
        person.type("echo status=$?\n")
        assert person.see(r"^status=(\d+)")[1] == "130"
        person.see(PROMPT)
        person.type("trap 'echo size=$(stty size)' WINCH\n")
        person.see(PROMPT)
        person.resize(31, 97)
        person.type("\n")
        person.see("size=31 97\r")
        person.type("exit 3\n")
        assert person.status() == 3
    assert "job control" not in person.text


def test_ctrl_c_ends_the_command(images: Images, name: str) -> None:
    """Ctrl-C ends a command that is main: 130."""
    command = ["sh", "-c", "echo up-$((1 + 1)); exec sleep 100"]
    with Person([*words(name, images["pyinit"], "-it"), *command], dict(os.environ)) as person:
        person.see("up-2\r", LIMIT_S)
        person.type(CTRL_C)
        assert person.status() == 130


@pytest.mark.parametrize("option", [["-i"], []], ids=["input", "closed"])
def test_without_a_terminal(images: Images, name: str, option: list[str]) -> None:
    """`docker run -i` hands standard input on; without -i a shell sees the end of its input at once."""
    typed = "echo here-$((2 + 3)); exit 4\n"
    done = subprocess.run(
        [*words(name, images["pyinit"], *option), *BASH],
        input=typed,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == ((4, "here-5\n") if option else (0, ""))
    assert not done.stderr
