"""pyinit at a terminal: it feels as if it were not there.

The outer shell is bash with job control at a pseudo-terminal; what is asserted is what a person sees there.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from support import run as runs
from support.needs import cannot
from support.person import CTRL_C, CTRL_D, CTRL_Z, Person
from support.programs import program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Sit = Callable[..., Person]

PROMPT = "ready> "
BASH = "bash --norc --noprofile -i"
# A command says this when it runs in the foreground; what was typed looks different.
UP = "echo up-$((1 + 1))"
SEEN_UP = r"^up-2\r"
CAT = f"sh -c '{UP}; exec cat'"


def environment() -> dict[str, str]:
    """Return the environment of the outer shell: `P` is pyinit, and its log does not get between the lines."""
    words = {"TERM": "dumb", "PS1": PROMPT, "P": runs.pyinit_command(), "PYINIT_LOG_LEVEL": "error", "LANG": "C"}
    return runs.plain_environment() | words


@pytest.fixture
def sit() -> Iterator[Sit]:
    """Sit down at a terminal with this command."""
    people: list[Person] = []

    def start(*words: str, pid1: bool = False) -> Person:
        if pid1 and (reason := runs.why_not(runs.PID1)):
            cannot(f"mode pid1: {reason}")
        people.append(Person(words, environment(), pid1=pid1))
        return people[-1]

    yield start
    for person in people:
        person.__exit__(None, None, None)


@pytest.fixture
def shell(sit: Sit) -> Person:
    """Sit down at a shell with job control that tells of jobs at once."""
    person = sit(*BASH.split())
    person.see(PROMPT)
    person.type("set -b\n")
    person.see(PROMPT)
    return person


def said_status(shell: Person) -> int:
    """Ask the outer shell for the status of the last command."""
    shell.type("echo status=$?\n")
    return int(shell.see(r"^status=(\d+)")[1])


def leave(shell: Person) -> None:
    """Leave the outer shell."""
    shell.type("exit 0\n")
    assert shell.status() == 0


def answers(person: Person, word: str = "ping") -> None:
    """See that `cat` is in the foreground and runs: what is typed comes twice, as an echo and from cat."""
    person.type(f"{word}\n")
    person.see(rf"{word}\r\n{word}\r\n")


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_exit_status(shell: Person, status: int) -> None:
    """The status of main is what the shell sees."""
    shell.type(f"$P -- sh -c 'exit {status}'\n")
    shell.see(PROMPT)
    assert said_status(shell) == status
    leave(shell)


@pytest.mark.parametrize("redirect", ["", "< /dev/null", "<&-"], ids=["terminal", "null", "closed"])
def test_ctrl_c(shell: Person, redirect: str) -> None:
    """Ctrl-C ends the command (130), with standard input a terminal, /dev/null or closed; the prompt is back."""
    shell.type(f"$P -- sh -c '{UP}; exec sleep 30' {redirect}\n")
    shell.see(SEEN_UP)
    shell.type(CTRL_C)
    shell.see(PROMPT)
    assert said_status(shell) == 130
    leave(shell)


def test_ctrl_backslash(shell: Person) -> None:
    """The quit key ends the command (131)."""
    shell.type(f"ulimit -c 0; $P -- sh -c '{UP}; exec sleep 30'\n")
    shell.see(SEEN_UP)
    shell.type("\x1c")
    shell.see(PROMPT)
    assert said_status(shell) == 131
    leave(shell)


def test_ctrl_z_and_fg(shell: Person) -> None:
    """Ctrl-Z stops the job, twice over; `fg` resumes it with the terminal; Ctrl-C still ends it."""
    shell.type(f"$P -- {CAT}\n")
    shell.see(SEEN_UP)
    for _ in range(2):
        answers(shell)
        shell.type(CTRL_Z)
        shell.see(r"Stopped")
        shell.see(PROMPT)
        shell.type("jobs\n")
        shell.see(r"^\[1\]\+ +Stopped")
        shell.see(PROMPT)
        shell.type("fg\n")
        shell.see(r"^\$P -- ")
    answers(shell, "pong")
    shell.type(CTRL_C)
    shell.see(PROMPT)
    assert said_status(shell) == 130
    leave(shell)


def test_ctrl_z_and_bg(shell: Person) -> None:
    """Ctrl-Z and `bg`: the job goes on in the background, the shell keeps the terminal, `kill %1` ends the job."""
    script = f'trap "echo got-\\$((3 + 3))" USR1; {UP}; sleep 30 & wait; wait; exit 9'
    shell.type(f"$P --forward-to main -- bash -c '{script}'\n")
    shell.see(SEEN_UP)
    shell.type(CTRL_Z)
    shell.see("Stopped")
    shell.see(PROMPT)
    shell.type("bg\n")
    shell.see(PROMPT)
    shell.type("kill -USR1 %1\n")
    shell.see("got-6\r")
    shell.type("echo here-$((4 + 4))\n")
    shell.see("here-8\r")
    shell.type("kill %1; wait %1; echo status=$?\n")
    assert int(shell.see(r"status=(\d+)\r")[1]) == 143
    leave(shell)


# Starts main as pyinit does, and does nothing more before main has said what it found.
START_AND_WAIT = """
import os
from pyinit import kernel, spawn
from pyinit.terminal import Terminal

def main_has_looked():
    group, foreground = os.read(told, 64).split()
    print("foreground: main's" if group == foreground else "foreground: not main's")

told, tell = os.pipe()
os.dup2(tell, 9)
kernel.block_signals()
look = b"read -r pid name state ppid group sid tty foreground rest </proc/self/stat; echo $group $foreground >&9"
inherited = spawn.Inherited(mask=0, ignored=0, closed=0, lc_ctype=None)
main = spawn.spawn([b"sh", b"-c", look], {}, inherited, Terminal(), spawn.Plan(), -1, main_has_looked)
os.waitpid(main, 0)
"""


def test_main_has_the_terminal_from_its_first_instruction(sit: Sit) -> None:
    """However late pyinit's next step comes: main is in the foreground before its exec, and may read what is typed."""
    person = sit(sys.executable, "-I", "-c", START_AND_WAIT)
    person.see("foreground: main's")
    assert person.status() == 0


def test_background_start_does_not_steal_the_terminal(shell: Person) -> None:
    """A job started with & that reads from the terminal is stopped; `fg` gives it the terminal."""
    shell.type("$P -- cat &\n")
    shell.see(r"^\[1\] \d+")
    shell.see(r"\[1\]\+ +Stopped")
    shell.type("echo here-$((4 + 4))\n")
    shell.see("here-8\r")
    shell.type("fg\n")
    shell.see(r"\$P -- cat\r")
    answers(shell)
    shell.type(CTRL_D)
    shell.see(PROMPT)
    assert said_status(shell) == 0
    leave(shell)


def test_background_job_ends_quietly(shell: Person) -> None:
    """A job in the background that needs no terminal runs and ends; nobody takes the terminal meanwhile."""
    shell.type("$P -- sh -c 'exit 5' & wait $!; echo status=$?\n")
    assert int(shell.see(r"status=(\d+)\r")[1]) == 5
    shell.type("$P -- sleep 30 & $P -- true; echo status=$?; kill %1; wait %1; echo status=$?\n")
    assert int(shell.see(r"status=(\d+)\r")[1]) == 0
    assert int(shell.see(r"status=(\d+)\r")[1]) == 143
    leave(shell)


def test_foreground_is_handed_back(shell: Person) -> None:
    """A script without job control that ran pyinit goes on reading from the terminal."""
    shell.type(f"bash -c '$P -- true; {UP}; read line; echo got-$line'\n")
    shell.see(SEEN_UP)
    shell.type("ping\n")
    shell.see("^got-ping\r")
    shell.see(PROMPT)
    assert said_status(shell) == 0
    leave(shell)


def test_foreground_is_handed_back_when_main_is_killed(shell: Person) -> None:
    """The same when main has been ended by a signal."""
    shell.type(f"bash -c '$P -- sh -c \"kill -9 \\$\\$\"; {UP}; read line; echo got-$line'\n")
    shell.see(SEEN_UP)
    shell.type("ping\n")
    shell.see("^got-ping\r")
    leave(shell)


def test_ctrl_c_while_a_daemon_is_held(shell: Person) -> None:
    """Main has ended and left a daemon: Ctrl-C reaches pyinit, which stops the daemon."""
    shell.type(f"$P --log-level info -- {program('double_fork')} after {program('serve')} 0\n")
    shell.see(r"(?s)^ready \d+.*carry on as the service|carry on as the service.*^ready \d+")
    shell.type(CTRL_C)
    shell.see("got 2 from")
    shell.see(PROMPT)
    assert said_status(shell) == 0
    leave(shell)


def test_window_size(shell: Person) -> None:
    """A new size of the window reaches the job as SIGWINCH, and `stty size` tells it."""
    shell.type(f"$P -- bash -c 'trap \"stty size; exit 7\" WINCH; {UP}; sleep 30 & wait'\n")
    shell.see(SEEN_UP)
    shell.resize(31, 97)
    shell.see("^31 97\r")
    shell.see(PROMPT)
    assert said_status(shell) == 7
    leave(shell)


def test_shell_below_shell(shell: Person) -> None:
    """An interactive bash as main has job control of its own; `suspend` stops it and pyinit."""
    shell.type(f"PS1='inner> ' $P -- {BASH}\n")
    shell.see("^inner> ")
    shell.type(f"{CAT}\n")
    shell.see(SEEN_UP)
    shell.type(CTRL_Z)
    shell.see("Stopped")
    shell.see("inner> ")
    shell.type("fg\n")
    shell.see("^sh -c ")
    answers(shell)
    shell.type(CTRL_C)
    shell.see("inner> ")
    assert said_status(shell) == 130
    shell.see("inner> ")
    shell.type("suspend -f\n")
    shell.see("Stopped")
    shell.see(PROMPT)
    shell.type("fg\n")
    shell.see(r"\$P -- ")
    shell.type("echo inner-$((2 + 3))\n")
    shell.see("inner-5\r")
    shell.type("exit 3\n")
    shell.see(PROMPT)
    assert said_status(shell) == 3
    leave(shell)
    assert "no job control" not in shell.text


def test_shell_as_pid_1_at_a_terminal(sit: Sit) -> None:
    """As PID 1 with a terminal: job control, the window size, and the shell's status is the run's."""
    person = sit(runs.pyinit_command(), "--", *BASH.split(), pid1=True)
    person.see(PROMPT)
    person.type(f"{CAT}\n")
    person.see(SEEN_UP)
    person.type(CTRL_Z)
    person.see("Stopped")
    person.see(PROMPT)
    person.type("jobs\n")
    person.see(r"^\[1\]\+ +Stopped")
    person.see(PROMPT)
    person.type("fg\n")
    person.see("^sh -c ")
    answers(person)
    person.type(CTRL_C)
    person.see(PROMPT)
    assert said_status(person) == 130
    person.resize(31, 97)
    person.type("stty size\n")
    person.see("^31 97\r")
    person.type("exit 3\n")
    assert person.status() == 3
    assert "job control" not in person.text


@pytest.mark.parametrize("pid1", [False, True], ids=["leader", "pid1"])
def test_ctrl_z_with_no_shell_above(sit: Sit, pid1: bool) -> None:  # noqa: FBT001
    """As PID 1 or leader of the session nobody could say `fg`: Ctrl-Z does not leave a stopped main behind."""
    person = sit(runs.pyinit_command(), "--", "sh", "-c", f"{UP}; exec cat", pid1=pid1)
    person.see(SEEN_UP)
    person.type(CTRL_Z)
    answers(person)
    person.type(CTRL_D)
    assert person.status() == 0


@pytest.mark.parametrize("pid1", [False, True], ids=["leader", "pid1"])
def test_editor_that_stops_itself(sit: Sit, pid1: bool) -> None:  # noqa: FBT001
    """What vim does at Ctrl-Z, SIGTSTP to its own group, comes back at once where no shell is above."""
    script = f"{UP}; kill -TSTP 0; echo back-$((2 + 3)); exit 4"
    person = sit(runs.pyinit_command(), "--", "bash", "-c", script, pid1=pid1)
    person.see(SEEN_UP)
    person.see("^back-5\r")
    assert person.status() == 4


def test_hang_up(sit: Sit) -> None:
    """The terminal goes away: the kernel tells the leader of the session by SIGHUP, and so main gets it: 129."""
    person = sit(runs.pyinit_command(), "--", "sh", "-c", f"{UP}; exec sleep 30", pid1=True)
    person.see(SEEN_UP)
    person.hang_up()
    assert person.status() == 129
