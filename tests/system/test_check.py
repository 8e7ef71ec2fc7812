"""--check where pyinit really is: what is missing is found, and nothing stays behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema  # type: ignore[import-untyped]
import pytest

from support import run as runs
from support.needs import cannot
from support.programs import program
from support.reports import checks, reported
from support.run import ALL_MODES, PID1, PID1_USER, PLAIN_USER, SUBREAPER, USER, plain_environment, pyinit_command
from support.waiting import DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = json.loads((DOCS / "check-v1.schema.json").read_text())


@pytest.fixture(autouse=True)
def _can(mode: str) -> None:
    if reason := runs.why_not(mode):
        cannot(f"mode {mode}: {reason}")


def states(rows: Mapping[str, Mapping[str, str]], *but: str) -> set[str]:
    """Return the states of all rows but those."""
    return {row["state"] for name, row in rows.items() if name not in but}


@pytest.mark.modes(*ALL_MODES)
def test_a_place_that_lacks_nothing(mode: str) -> None:
    """Status 0 and every row ok, as PID 1 and not, as root and as an ordinary user; the JSON keeps to its schema."""
    status, out = reported(mode, "--check=json")
    jsonschema.validate(json.loads(out), SCHEMA)
    _, rows = checks(mode)
    assert status == 0
    # Whether the root of a machine's control groups counts OOM kills is the machine's business.
    assert states(rows, "control group") == {"ok"}, rows
    assert rows["role"]["found"] == ("PID 1" if mode in {PID1, PID1_USER} else "subreaper")
    uid = USER if mode in {PLAIN_USER, PID1_USER} else os.getuid()
    assert rows["user"]["found"].startswith(f"uid {uid},")
    assert rows["log"]["found"] == "standard error, a pipe"


@pytest.mark.modes(PLAIN_USER, PID1_USER)
def test_without_privileges_on_a_read_only_root(mode: str) -> None:
    """The same as uid 1000, without capabilities, with no-new-privileges, where nothing can be written."""
    status, rows = checks(mode, stage=["read-only"])
    assert status == 0
    assert states(rows, "control group") == {"ok"}, rows
    assert rows["no-new-privileges"]["found"] == "set"
    assert rows["capabilities"]["found"] == "no CAP_KILL"


@pytest.mark.modes(SUBREAPER, PID1)
def test_another_user_for_main(mode: str) -> None:
    """--user counts: as root main can become it; without CAP_KILL pyinit could not stop it, and that is told."""
    if not runs.ROOT:
        cannot("root is needed to become somebody else")
    _, rows = checks(mode, "--user", "54321")
    assert (rows["user"]["state"], rows["user"]["means"]) == ("ok", "main runs as uid 54321.")
    status, rows = checks(mode, "--user", "54321", stage=["drop=5"])
    assert (status, rows["capabilities"]["state"]) == (0, "degraded")


@pytest.mark.modes(SUBREAPER, PID1)
def test_what_is_said_of_the_session(mode: str) -> None:
    """--no-setsid counts."""
    assert checks(mode, "--no-setsid")[1]["terminal"]["means"] == "main stays in pyinit's session."


@pytest.mark.modes(PLAIN_USER, PID1_USER)
def test_another_user_that_main_cannot_become(mode: str) -> None:
    """Where a run would end with 125, the check is not content."""
    status, rows = checks(mode, "--user", "54321")
    assert (status, rows["user"]["state"]) == (1, "missing")


@pytest.mark.modes(PID1)
def test_as_docker_run_gives_it(mode: str) -> None:
    """`docker run IMAGE --check` with the entry point `pyinit --`: text, and the options behind it count."""
    status, out = reported(mode, "--", "--check", "--grace", "60s")
    assert status == 0
    assert "\033" not in out
    assert out.splitlines()[-1].startswith("pyinit can do its work here; degraded: ")
    (line,) = [line for line in out.splitlines() if line.startswith("degraded  grace")]
    assert "60 s" in line


@pytest.mark.modes(PID1, PID1_USER)
def test_without_proc(mode: str) -> None:
    """No /proc: that is told, and what cannot be seen without it has no row."""
    status, rows = checks(mode, stage=["no-proc"])
    assert status == 0
    assert rows["/proc"]["state"] == "degraded"
    assert "children files" not in rows


@pytest.mark.modes(PID1)
def test_proc_of_another_namespace(mode: str) -> None:
    """A /proc that shows other processes' numbers is as good as none."""
    assert checks(mode, stage=["outer-proc"])[1]["/proc"]["state"] == "degraded"


@pytest.mark.modes(PLAIN_USER)
def test_hidepid(mode: str) -> None:
    """Mounted with hidepid=2, /proc hides the processes of other users from an ordinary one."""
    if not runs.ROOT:
        cannot("mounting /proc with hidepid needs root")
    row = checks(mode, stage=["hidepid"])[1]["/proc"]
    assert (row["state"], row["found"]) == ("degraded", "mounted with hidepid")


@pytest.mark.modes(SUBREAPER, PID1)
def test_what_is_not_there_is_found(mode: str) -> None:
    """Closed standard error, ignored and blocked stop signals, a variable that means nothing."""
    stage = ["close=2", "ignore=15", "block=2"]
    status, rows = checks(mode, stage=stage, env={"PYINIT_GRASE": "3"})
    assert status == 0
    assert rows["log"]["state"] == "degraded"
    assert rows["signals"]["found"] == "SIGTERM ignored, SIGINT blocked"
    assert rows["variables"]["remedy"] == "Did you mean PYINIT_GRACE?"


@pytest.mark.modes(SUBREAPER)
def test_missing_is_status_1(mode: str) -> None:
    """A log file that cannot be opened and a command that is not there: the run would not start."""
    status, rows = checks(mode, "--log-file", "/no/such/folder/log", "--", "no-such-command")
    assert status == 1
    assert {name for name, row in rows.items() if row["state"] == "missing"} == {"log", "command"}
    assert checks(mode, "--", "true")[1]["command"]["state"] == "ok"


@pytest.mark.modes(SUBREAPER)
def test_nobody_reads_dev_null(mode: str) -> None:
    """A log that nobody can read is told."""
    with Path("/dev/null").open("wb") as null:
        assert checks(mode, stderr=null.fileno())[1]["log"]["found"] == "standard error, /dev/null"
    assert checks(mode, stderr=subprocess.DEVNULL)[1]["log"]["state"] == "degraded"


@pytest.mark.modes(SUBREAPER)
def test_no_launcher_and_no_isolation(mode: str) -> None:
    """`python -m pyinit` is told from the launcher, and an isolated interpreter from one that is not."""
    _, rows = checks(mode, command=[sys.executable, "-I", "-m", "pyinit"])
    assert rows["launcher"]["state"] == "degraded"
    assert rows["Python"]["state"] == "ok"
    assert checks(mode, command=[sys.executable, "-m", "pyinit"])[1]["Python"]["state"] == "degraded"


@pytest.mark.modes(SUBREAPER)
def test_nothing_is_made_or_started(mode: str, workdir: Path) -> None:
    """No file is made, no process is started, no signal disposition stays changed: who asks may go on as before."""
    status, rows = checks(
        mode, "--log-file", f"{workdir}/log", "--termination-log", f"{workdir}/last", "--pid-file", "/x"
    )
    assert status == 0
    assert rows["log"]["state"] == rows["last word"]["state"] == "ok"
    assert list(workdir.iterdir()) == []
    # It replaces the shell, as pyinit does, and may not fork: with a limit of 0 processes to come it does its work.
    script = f"ulimit -f 0; exec {pyinit_command()} --check=json"
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True, env=plain_environment())
    assert json.loads(done.stdout)["status"] == 0


@pytest.mark.modes(SUBREAPER)
def test_colours_on_a_terminal(mode: str) -> None:
    """On a terminal states have colours and lines its width; NO_COLOR takes the colours away."""
    del mode
    for variables, coloured in ({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True):
        ours, theirs = os.openpty()
        done = subprocess.run(
            [pyinit_command(), "--check"],
            stdout=theirs,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**plain_environment(), **variables},
            timeout=DEADLINE_S,
            check=False,
        )
        os.close(theirs)
        with os.fdopen(ours, "rb") as terminal:
            text = terminal.read1(1 << 16)
        assert done.returncode == 0
        assert (b"\033[32mok" in text) == coloured


@pytest.mark.modes(SUBREAPER)
def test_a_reader_that_leaves(mode: str) -> None:
    """`pyinit --check | head -1` ends quietly."""
    del mode
    done = subprocess.run(
        ["/bin/sh", "-c", f"{pyinit_command()} --check | head -n 1"],
        capture_output=True,
        check=True,
        env=plain_environment(),
        timeout=DEADLINE_S,
    )
    assert done.stdout.startswith(b"ok ")
    assert done.stderr == b""


DRY_RUN_SCHEMA = json.loads((DOCS / "dry-run-v1.schema.json").read_text())


@pytest.mark.modes(SUBREAPER, PID1)
def test_dry_run_starts_nothing(mode: str, workdir: Path) -> None:
    """The command is found, its arguments and the settings are told, and nothing runs or is made."""
    trace = workdir / "trace"
    status, out = reported(
        mode, "--dry-run=json", "--log-file", f"{workdir}/log", "--", "touch", str(trace), env={"PYINIT_GRACE": "3s"}
    )
    told = json.loads(out)
    jsonschema.validate(told, DRY_RUN_SCHEMA)
    assert status == 0
    assert told["command"]["argv"] == ["touch", str(trace)]
    assert Path(told["command"]["path"]).name == "touch"
    assert told["environment"] == {"cleared": False, "set": {}, "unset": ["PYINIT_GRACE"]}
    (grace,) = [row for row in told["settings"] if row["option"] == "--grace"]
    assert (grace["value"], grace["source"], grace["given_as"]) == ("3s", "variable", "PYINIT_GRACE")
    assert list(workdir.iterdir()) == []


@pytest.mark.modes(SUBREAPER)
def test_dry_run_ends_as_the_run_would(mode: str) -> None:
    """126 and 127 as the run; as text, the last line says why."""
    for command, status in (("/etc/passwd", 126), ("no-such-command", 127), (program("exit_with"), 0)):
        ended, out = reported(mode, "--dry-run", command)
        assert ended == status
        assert "Nothing was started." in out
        assert (f"status {status}" in out) == bool(status)


@pytest.mark.modes(SUBREAPER)
@pytest.mark.parametrize("variables", [{}, {"LC_CTYPE": "C"}, {"LC_ALL": "C"}], ids=str)
def test_locale_is_no_change(mode: str, variables: dict[str, str]) -> None:
    """What the interpreter puts into its own environment (PEP 538) never reaches the command, and is not told."""
    _, out = reported(mode, "--dry-run=json", "true", env=variables)
    assert json.loads(out)["environment"] == {"cleared": False, "set": {}, "unset": []}
