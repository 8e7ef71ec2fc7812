"""What a start, a reap, an idle second and the end cost, in counts that no other load on the machine changes.

Modules are counted by the interpreter, system calls by strace(1). A bound that is exceeded names what has grown; one
that has become too high is to be lowered with the change that made it so.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from support.needs import cannot
from support.programs import program
from support.run import IDLE_S, plain_environment, pyinit_command
from support.waiting import DEADLINE_S, pass_time

# With a variable of ours the interpreter has to read what is asked for before main can be started.
ASKED = {"PYINIT_GRACE": "3s"}

# Modules that are there when main is started and not in a bare interpreter, nor built into it: pyinit's, and
# python-prctl's in C.
MODULES_BEFORE_SPAWN = {
    *("_prctl", "pyinit", "pyinit._before", "pyinit.boot", "pyinit.core", "pyinit.core.events", "pyinit.core.model"),
    *("pyinit.holdon", "pyinit.kernel", "pyinit.option_table", "pyinit.options", "pyinit.procfs", "pyinit.settings"),
    *("pyinit.signames", "pyinit.spawn", "pyinit.terminal", "pyinit.values"),
}
# How many there are when the loop begins to wait, besides the parts of structlog, whose number is its own affair:
# pyinit's, exactly, and the others: __future__, _json, resource, _prctl.
PYINIT_MODULES_BEFORE_LOOP = 59
OTHER_MODULES_BEFORE_LOOP = 4

# System calls beyond those of a bare interpreter, less those for memory, in which interpreters and C libraries differ.
# Measured: 103 and 287 with Python 3.11. A folder of many packages takes a few more to read.
CALLS_BEFORE_SPAWN = 108
CALLS_BEFORE_LOOP = 297
# System calls for each of many orphans that end at once, measured: 3.07 and 6.08. One sees that he is dead,
# one finds him, one reaps him; with a record three describe him. One write takes the records of many.
CALLS_PER_REAP = 3.15
CALLS_PER_LOGGED_REAP = 6.15
# System calls from what wakes pyinit when main ends, and is the last, to its own exit; the wait is none of them. The
# signal; is SIGKILL due; who has died; who was left behind, to the end of the list, and is SIGKILL due meanwhile; who
# main was (three); the reap; that nobody is left; the record; the log is closed; the exit.
CALLS_AT_THE_END = 14

WAITS = ("epoll_wait", "epoll_pwait", "epoll_pwait2")
MEMORY = ("brk", "mmap", "munmap", "mprotect", "mremap", "madvise", "futex")
_CALL = re.compile(r"(\w+)\(")
_RECORD = re.compile(r'write\(\d+, "\{')

# What runs in the interpreter: pyinit-main, in which fork, or the wait of an epoll, tells which modules there are.
_TELL = """
import posix, sys
def tell(*_):
    posix.write(1, " ".join(map(str, what())).encode())
    while True:
        try:
            posix.wait()
        except ChildProcessError:
            posix._exit(0)
"""
_MODULES = "what = lambda: sys.modules\n"
_COLLECTOR = "import gc\nwhat = lambda: [gc.isenabled(), gc.get_freeze_count(), len(gc.get_objects())]\n"
_AT_SPAWN = _TELL + "posix.fork = tell\n"
_AT_LOOP = (
    _TELL
    + """
import select
class Epoll:
    def __init__(self, *given): self._epoll = real(*given)
    def __getattr__(self, name): return tell if name == "poll" else getattr(self._epoll, name)
real, select.epoll = select.epoll, Epoll
"""
)
_RUN = "sys.argv[:] = sys.argv[1:]\nexec(compile(open(sys.argv[0]).read(), sys.argv[0], 'exec'))"


class Call(NamedTuple):
    """One line of a trace."""

    name: str
    line: str


@pytest.fixture(autouse=True)
def _needs_strace() -> None:
    if shutil.which("strace") is None:
        cannot("there is no strace: scripts/test-tools installs it")


def script() -> Path:
    """Return what the launcher has the interpreter run."""
    return Path(pyinit_command()).resolve().with_name("pyinit-main")


def interpreter() -> list[str]:
    """Return the interpreter of the installed pyinit as the launcher starts it."""
    return [script().read_text().partition("\n")[0].removeprefix("#!"), "-IBS", "-Xutf8"]


def modules_at(hook: str, workdir: Path) -> set[str]:
    """Return the modules that the interpreter has loaded for pyinit when the hook is reached."""
    return set(told_at(hook + _MODULES, workdir))


def told_at(hook: str, workdir: Path) -> list[str]:
    """Return what the hook tells when it is reached."""
    launcher, python = workdir / "pyinit", workdir / "python"
    shutil.copy(pyinit_command(), launcher)
    launcher.with_name("pyinit-main").write_text(f"#!{python}\n")
    words = shlex.join([*interpreter(), "-c", hook + _RUN, str(script())])
    python.write_text(f'#!/bin/sh\nshift 3\nexec {words} "$@"\n')
    python.chmod(0o755)
    told = subprocess.run(
        [str(launcher), "--", "true"],
        env=plain_environment() | ASKED,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=DEADLINE_S,
    )
    return told.stdout.split()


def bare_modules() -> set[str]:
    """Return those of an interpreter that has loaded nothing, and those that are built into it."""
    words = [*interpreter(), "-c", "import sys; print(*sys.modules, *sys.builtin_module_names)"]
    return set(subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, timeout=DEADLINE_S).stdout.split())


def traced(workdir: Path, *words: str, env: dict[str, str] | None = None) -> list[Call]:
    """Run a command under strace; return the system calls of its own process, less those for memory."""
    trace = workdir / "trace"
    subprocess.run(
        ["strace", "-qq", "-o", str(trace), *words],
        env=plain_environment() | (env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
        timeout=2 * DEADLINE_S,
    )
    return calls_of(trace)


def calls_of(trace: Path) -> list[Call]:
    """Return the calls in a trace that are not for memory, from the last exec on."""
    calls = [Call(found[1], line) for line in trace.read_text().splitlines() if (found := _CALL.match(line))]
    last = max(number for number, call in enumerate(calls) if call.name == "execve")
    return [call for call in calls[last:] if call.name not in MEMORY]


def index_of(calls: list[Call], *names: str) -> int:
    """Return how many calls were made before the first of these."""
    return next(number for number, call in enumerate(calls) if call.name in names)


def bare_calls(workdir: Path) -> int:
    """Return how many calls an interpreter makes that does nothing."""
    empty = workdir / "empty.py"
    empty.write_text("import posix\nposix._exit(0)\n")
    return len(traced(workdir, *interpreter(), str(empty)))


def test_modules_before_spawn(workdir: Path) -> None:
    """What main has to wait for is these modules, and none of the standard library that the interpreter lacks."""
    assert modules_at(_AT_SPAWN, workdir) - bare_modules() == MODULES_BEFORE_SPAWN


def test_modules_before_loop(workdir: Path) -> None:
    """Signals wait, and zombies pile up, until so many modules are there."""
    found = {name for name in modules_at(_AT_LOOP, workdir) - bare_modules() if name.partition(".")[0] != "structlog"}
    ours = {name for name in found if name.partition(".")[0] == "pyinit"}
    assert len(ours) == PYINIT_MODULES_BEFORE_LOOP, sorted(ours)
    assert len(found - ours) <= OTHER_MODULES_BEFORE_LOOP, sorted(found - ours)


def test_collector(workdir: Path) -> None:
    """No search for garbage delays the start, and none goes through what was made there afterwards."""
    assert told_at(_AT_SPAWN + _COLLECTOR, workdir)[:2] == ["False", "0"]
    enabled, frozen, others = told_at(_AT_LOOP + _COLLECTOR, workdir)
    assert enabled == "True"
    assert int(frozen) > 20 * int(others)


def test_calls_before_spawn(workdir: Path) -> None:
    """So many system calls stand between the interpreter's start and main's."""
    calls = traced(workdir, pyinit_command(), "--", "true", env=ASKED)
    assert index_of(calls, "clone", "clone3", "fork", "vfork") - bare_calls(workdir) <= CALLS_BEFORE_SPAWN


def test_calls_before_loop(workdir: Path) -> None:
    """So many stand between the interpreter's start and the first wait of the loop."""
    calls = traced(workdir, pyinit_command(), "--", "true", env=ASKED)
    assert index_of(calls, *WAITS) - bare_calls(workdir) <= CALLS_BEFORE_LOOP


def calls_for(workdir: Path, orphans: int, *options: str) -> int:
    """Return the calls of a run in which so many orphans end while pyinit stands still."""
    # cat ends when the last orphan has closed its standard output, and some are not dead yet. pyinit goes on when all
    # of them are, and main as well: what it looks at depends on who is dead by then.
    dead = "until read -r stat </proc/$pid/stat && case $stat in *') Z '*) ;; *) false ;; esac; do :; done"
    wait = f"for pid in $(cat /proc/$PPID/task/$PPID/children); do [ $pid = $$ ] || {dead}; done"
    storm = f"kill -STOP $PPID; {program('storm')} {orphans} </dev/null | cat >/dev/null"
    script = f"{storm}; {wait}; pid=$$; ({dead}; kill -CONT $PPID) &"
    return len(traced(workdir, pyinit_command(), "--until=main", *options, "--", "sh", "-c", script))


@pytest.mark.parametrize(
    ("options", "most"),
    [pytest.param((), CALLS_PER_REAP, id="told not"), pytest.param(("--log-reaps",), CALLS_PER_LOGGED_REAP, id="told")],
)
def test_calls_per_reap(workdir: Path, options: tuple[str, ...], most: float) -> None:
    """A reap takes so many calls: what is the same in a run with few and one with many orphans is not counted."""
    few, many = 100, 700
    assert (calls_for(workdir, many, *options) - calls_for(workdir, few, *options)) / (many - few) <= most


def quiet_run(workdir: Path, idle_s: float) -> list[Call]:
    """Return the calls of a run whose main ends so long after the first record was read, with its standard input."""
    trace = workdir / "trace"
    words = ["strace", "-qq", "-o", str(trace), pyinit_command(), "--", program("until_eof")]
    pipe = subprocess.PIPE
    environ = plain_environment()
    # In a session of its own there is no terminal, which takes calls of its own.
    with subprocess.Popen(words, env=environ, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as process:
        assert process.stderr is not None
        assert b"pyinit.started" in process.stderr.readline()
        pass_time(idle_s)
        _, log = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0
        assert b"pyinit.exited" in log
    return calls_of(trace)


def test_calls_at_the_end(workdir: Path) -> None:
    """Whoever waits for the end of pyinit waits for so many calls after main's."""
    calls = quiet_run(workdir, 0)
    last_wait = max(number for number, call in enumerate(calls) if call.name in WAITS)
    assert len(calls) - last_wait - 1 <= CALLS_AT_THE_END, calls[last_wait:]
    assert calls[-1].name == "exit_group"


def test_no_calls_when_idle(workdir: Path) -> None:
    """Between the first record and the end of main there is one call: the wait."""
    calls = quiet_run(workdir, IDLE_S)
    told = next(number for number, call in enumerate(calls) if _RECORD.match(call.line))
    meanwhile = calls[told + 1 : told + 1 + index_of(calls[told + 1 :], "read")]
    assert [call.name for call in meanwhile] == [calls[told + 1].name], meanwhile
    assert calls[told + 1].name in WAITS
