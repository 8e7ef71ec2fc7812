"""Finds the modules that pyinit imports, by running it: every feature, every error, every fallback.

The build of the image runs this through assemble.py twice: with all of Debian's Python, to see which modules are
imported, and in the finished folder, to see that it gets the same results there. What a trace could miss (an import
in a branch that no run takes) is caught by `unmet`: pyinit's own sources may only name modules that a run imported.
"""

# ruff: noqa: INP001, S603  (a program of the image build, not a package; it runs pyinit)

from __future__ import annotations

import ast
import contextlib
import os
import re
import subprocess
import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pathlib

# No run may take longer than this, in seconds.
LIMIT_S = 60

# What pyinit's sources name and the folder does without: all of structlog (pyinit loads the parts that a record goes
# through, and says so where that fails), and what reads the JSON Schema, which pyinit itself never does.
DONE_WITHOUT = ("structlog.dev", "structlog.processors", "structlog", "pyinit.log.schema")

# Leaves a daemon behind that ends by itself with a status, after pyinit has reaped main and so knows the daemon.
DAEMON = ("sh", "-c", "setsid sh -c 'while kill -0 $0; do sleep 0.05; done 2>/dev/null; exit 3' $$ & exit 0")
# Asks for a stop, ignores it, and is killed after the grace.
DEAF = ("sh", "-c", "trap '' TERM; kill -TERM $PPID; while :; do sleep 1; done")

# Leaves a daemon behind that writes a PID file, and ends as DAEMON does, a second later.
SERVICE = (
    "sh",
    "-c",
    "setsid sh -c 'echo $$ >/tmp/modules.pid; while kill -0 $0; do sleep 0.05; done 2>/dev/null; sleep 1; exit 3' $$ &",
)
# Asks for a reload and for a stop.
RELOADED = ("sh", "-c", "kill -HUP $PPID; kill -TERM $PPID; sleep 9")


# Asks pyinit everything that pyinitctl can ask, and wrongly, too; ends with 4 where all of that came out as it should.
ASKING = """
trap 'exit 4' TERM; trap '' HUP; export PYINITCTL_PID=$PPID; failed=
yes() { "$PYINITCTL" "$@" >/dev/null || failed="$failed, $*"; }
no() { ! "$PYINITCTL" "$@" >/dev/null || failed="$failed, $*"; }
yes wait --ready --timeout 9s; no wait --gone --timeout 1ms; no wait --handover --timeout 1ms
yes status; yes status --json; yes status --format openmetrics; yes health; yes health live; yes --help; yes --version
yes events --since 1m; yes log-level debug; yes signal WINCH; yes signal WINCH tree; yes signal WINCH $$; yes reload
no restart; no signal WINCH $PPID; no; no statsu; no status --jsn; no status --format xml; no status now; no wait
no wait --ready --timeout soon; no signal TREM; no signal TERM x; no log-level loud; no health redy; no --pid 0 status
no events --since yesterday; PYINITCTL_PID= "$PYINITCTL" status >/dev/null
[ -z "$failed" ] || { echo "not as it should be: $failed"; exit 5; } >&2
yes stop; sleep 9 & wait
"""


class Run(NamedTuple):
    """One way to start pyinit, and what must come of it.

    Attributes:
        arguments: the command line behind the program's name.
        status: the exit status that it must have.
        variables: what is in the environment besides PATH.
        terminal: standard error is a terminal.
        hidden: modules that cannot be imported in this run; then the C launcher is left out, too.
        name: what pyinit is called by, where that is not its own name.

    """

    arguments: tuple[str, ...]
    status: int = 0
    variables: tuple[tuple[str, str], ...] = ()
    terminal: bool = False
    hidden: tuple[str, ...] = ()
    name: str = ""


# Leaves a child behind that is reaped before main ends.
ORPHAN = ("sh", "-c", "(setsid true &); sleep 0.3")
# Sends pyinit a signal, and ends when it comes back as SIGHUP.
HUNG_UP = ("sh", "-c", "trap 'exit 4' HUP; kill -USR1 $PPID; while :; do sleep 0.1; done")

# What main can be: each of these imports something of its own. The build runs as root, in a container.
FOR_MAIN = (
    ("--user=daemon", "--group=1", "--chdir=/", "--umask=027"),
    ("--user=1000:1000", "--cap-keep=CHOWN", "--securebits=noroot"),
    ("--cap-drop=all", "--no-new-privs", "--pdeathsig=TERM"),
    ("--rlimit=CORE=0", "--nice=1", "--ioprio=idle", "--cpu-affinity=0", "--oom-score-adj=500"),
    ("--env=A=1", "--env-file=/etc/os-release", "--clear-env", "--env=PATH"),
    ("--stdin=null", "--close-fds", "--setsid"),
)
WRONG_FOR_MAIN = (
    ("--user=nobdy",),
    ("--rlimit=NOFLE=1",),
    ("--cap-drop=NET_RW",),
    ("--securebits=norot",),
    ("--chdir=/no/such/folder",),
    ("--env-file=/no/such/file",),
    ("--cap-drop=all", "--cap-keep=all"),
)

RUNS = (
    Run(("--", "true")),
    Run(("--log-level=debug", "--log-args", "--log-reaps", "--", *DAEMON), 3),
    Run(("--log-level=debug", "--log-schema=ecs", "--", *DAEMON), 3),
    Run(("--log-level=debug", "--log-format=console", "--", *DAEMON), 3),
    Run(("--log-level=debug", "--", *DAEMON), 3, terminal=True),
    Run(("--", "true"), variables=(("NO_COLOR", "1"), ("LC_ALL", "C")), terminal=True),
    Run(("--log-file=/dev/null", "--", "true")),
    Run(("--until=main", "--", *DAEMON)),
    Run(("--until=all", "--ok-exit=3", "--", *DAEMON)),
    Run(("--grace=200ms", "--", *DEAF), 137),
    Run(("--stop-signal=QUIT", "--", "sh", "-c", "kill -TERM $PPID; sleep 9"), 131),
    Run(("--help",)),
    Run(("--help-all",)),
    Run(("--check",)),
    Run(("--check", "--grace=60s"), terminal=True),
    Run(("--check=json", "--log-file=/dev/null", "--", "true"), variables=(("PYINIT_GRASE", "3"),)),
    Run(("--check", "--log-file=/no/such/folder/log"), 1),
    Run(("--check",), hidden=("_prctl", "structlog")),
    Run(("--", "--check")),
    Run(("--dry-run", "--notify", "--stop-signal=QUIT:1s,TERM", "--", "true")),
    Run(("--dry-run=json", "--pause")),
    Run(("--dry-run", "--", "no-such-command"), 127),
    Run(("--dry-run", "--log-file=/no/such/folder/log", "--", "true"), 125),
    Run(("--version",)),
    Run(("-h",), terminal=True),
    Run((), 125),
    Run(("--grase=3", "--", "true"), 125),
    Run(("--grace=soon", "--", "true"), 125),
    Run(("--stop-signal=TREM", "--", "true"), 125),
    Run(("--until=mian", "--", "true"), 125),
    Run(("--ok-exit=1,b", "--", "true"), 125),
    Run(("--log-file=/no/such/folder/log", "--", "true"), 125),
    Run(("--", "true"), variables=(("PYINIT_GRASE", "3"),)),
    Run(("--", "true"), 125, variables=(("PYINIT_GRACE", "x"),)),
    Run(("--", "no-such-command"), 127),
    Run(("--", "/etc/passwd"), 126),
    Run(("--", "true"), hidden=("_prctl",)),
    Run(("--log-level=debug", "--", *DAEMON), 3, hidden=("structlog",)),
    Run(("--log-format=console", "--", "true"), hidden=("structlog", "_prctl")),
    Run(("--log-level=debug", "--", *DAEMON), 3, hidden=("no_launcher",)),
    Run(("--rewrite=USR1:HUP", "--forward-to=tree", "--", *HUNG_UP), 4),
    Run(("-p", "KILL", "-c", "--stop-on=none", "--", "true")),
    Run(("-g", "-v", "-w", "-e", "3", "-s", "--", *DAEMON)),
    Run(("-l",)),
    Run(("--pid-file=/tmp/modules.pid", "--clean-pid-file", "--", *SERVICE), 3),
    Run(("--notify", "--", "true")),
    Run(("--stop-command=echo x; kill $MAINPID", "--reload-command=:", "--stop-signal=TERM:1s", "--", *RELOADED), 143),
    Run(("--termination-log=/dev/null", "--", "true")),
    Run(("--", "sh", "-c", ASKING), 4),
    Run(("--no-control", "--", "true")),
    Run(("--restart=always", "--restart-limit=1/1m", "--restart-delay=0", "--", "sh", "-c", "exit 4"), 4),
    Run(("--restart=on-failure", "--restart-limit=0/1m", "--", "true"), 125),
    Run(("--restart-delay=1s", "--", "true"), 125),
    Run(("--stop-signal=QUIT,TERM", "--", "true"), 125),
    Run(("--clean-pid-file", "--", "true"), 125),
    *(Run((*options, "--", "true")) for options in FOR_MAIN),
    *(Run((*options, "--", "true"), hidden=("_prctl",)) for options in FOR_MAIN),
    *(Run((*options, "--", "true"), 125) for options in WRONG_FOR_MAIN),
    Run(("--nice=1", "--stop-command=kill $MAINPID", "--", "sh", "-c", "kill -TERM $PPID; sleep 9"), 143),
    Run(("--tty=/dev/stderr", "--log-file=/dev/null", "--", "true"), terminal=True),
    *(Run(("true",), name=name) for name in ("tini", "docker-init", "dumb-init", "catatonit")),
    *(Run(("-h",), name=name) for name in ("tini", "dumb-init", "catatonit")),
    *(Run((option,), name=name) for name, option in (("tini", "--version"), ("dumb-init", "-V"), ("catatonit", "-V"))),
    *(Run(("-Z",), 1, name=name) for name in ("tini", "dumb-init", "catatonit")),
    *(Run((), 1, name=name) for name in ("tini", "dumb-init", "catatonit")),
    *(
        Run(("--", "no-such-command"), status, name=name)
        for name, status in (("tini", 127), ("dumb-init", 2), ("catatonit", 1))
    ),
    Run(("-vvvs", "-w", "-p", "SIGKILL", "-e", "7", "--", *ORPHAN), name="tini"),
    Run(("-v", "-r", "15:2", "--", "true"), name="dumb-init", terminal=True),
)

_STARTED_WITHOUT_LAUNCHER = """
import sys
del sys.argv[0]
sys.path += [{site!r}]
sys.modules.update(dict.fromkeys({hidden!r}))
from pyinit.boot import main
main()
"""

_IMPORTED = re.compile(rb"^import time:\s+\d+ \|\s+\d+ \| *(\S+?)\r?\n", re.MULTILINE)


def outcome(words: list[str], run: Run) -> tuple[int, bytes]:
    """Run a command, by the name that the run says; return its exit status and what it wrote on standard error."""
    environment = {"PATH": os.defpath + ":/usr/sbin:/sbin", **dict(run.variables)}
    environment["PYINITCTL"] = f"{words[0]}ctl"
    ours, theirs = os.openpty() if run.terminal else os.pipe()
    parts: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # EIO: a terminal that nobody has open any more
            while part := os.read(ours, 1 << 16):
                parts.append(part)
        os.close(ours)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        done = subprocess.run(
            [run.name or words[0], *words[1:]],
            executable=words[0],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=theirs,
            timeout=LIMIT_S,
            check=False,
        )
    finally:
        os.close(theirs)
        reader.join(LIMIT_S)
    return done.returncode, b"".join(parts)


def words_of(run: Run, launcher: pathlib.Path, python: str, site: str) -> list[str]:
    """Return the command for a run: through the launcher, or without it where modules are to be hidden."""
    if not run.hidden:
        return [str(launcher), *run.arguments]
    code = _STARTED_WITHOUT_LAUNCHER.format(site=site, hidden=run.hidden)
    return [python, "-IBS", "-Xutf8", "-Ximporttime", "-c", code, *run.arguments]


def imported(launcher: pathlib.Path, python: str, site: str) -> set[str]:
    """Do all runs; return the names of the modules that were imported in any of them.

    `launcher` must start an interpreter that has `-X importtime` on. Raises SystemExit when a run does not end as it
    should.
    """
    found: set[str] = set()
    for run in RUNS:
        status, told = outcome(words_of(run, launcher, python, site), run)
        expect(run, status, told)
        found.update(name.decode() for name in _IMPORTED.findall(told))
    return found


def check(launcher: pathlib.Path, python: str, site: str) -> None:
    """Do all runs in the finished folder. Raises SystemExit when one does not end as it should."""
    for run in RUNS:
        status, told = outcome(words_of(run, launcher, python, site), run)
        expect(run, status, told)


def expect(run: Run, status: int, told: bytes) -> None:
    """Raise SystemExit when a run had another status than it should, or complained of something missing."""
    complaints = [b"Traceback", b"pyinit.error"]
    if not run.hidden:
        complaints += [b"pyinit.degraded", b"No module named"]
    if status != run.status or any(text in told for text in complaints):
        shown = _IMPORTED.sub(b"", told).decode(errors="replace")
        raise SystemExit(f"{run}\nended with status {status}:\n{shown}")


def unmet(package: pathlib.Path, met: set[str]) -> list[str]:
    """Return what the sources of a package import, in any function or branch, that is not among `met`."""
    found = []
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package.parent).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if module in DONE_WITHOUT or module.endswith("__main__"):
            continue
        found += [
            f"{module} imports {name}"
            for name in sorted(_named(ast.parse(file.read_bytes())))
            if name not in met and name not in DONE_WITHOUT
        ]
    return found


def _named(node: ast.AST) -> set[str]:
    """Return the modules that the import statements below `node` name, less those for type checkers."""
    names: set[str] = set()
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            names.update(alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            names.add(child.module or "")
            if child.module == "pyinit":
                names.update(
                    f"pyinit.{alias.name}"
                    for alias in child.names
                    if alias.name.isidentifier() and alias.name[0] != "_"
                )
        elif isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            names.update(*(_named(other) for other in child.orelse), ())
        else:
            names |= _named(child)
    return names
