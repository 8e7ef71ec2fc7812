"""The tree that the status shows, against an independent witness: all of it, and right.

PYINIT_TREE says how many processes (1,000).
"""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyinit.control.tree import HIDDEN
from support import procs
from support.control import Talk, ctl, parse
from support.needs import cannot
from support.programs import program
from support.run import ADOPTED, HANDOVER, PID1, PID1_USER, ROOT, STARTED, SUBREAPER

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.run import Run

    Start = Callable[..., Run]

COUNT = int(os.environ.get("PYINIT_TREE", "1000"))
SESSIONS = 20
OTHER_USER = 61013
QUIET = ["--log-format", "json", "--log-level", "info"]


def witnessed(run: Run) -> dict[int, dict[str, Any]]:
    """Describe everybody below pyinit, from outside: by the numbers of its own PID namespace."""
    found: dict[int, dict[str, Any]] = {}
    for pid in procs.descendants(run.pid):
        fields = procs.stat(pid)
        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
        )
        found[int(status["NSpid"].split()[-1])] = {
            "pgid": int(status["NSpgid"].split()[-1]),
            "sid": int(status["NSsid"].split()[-1]),
            "name": status["Name"],
            "state": fields[0],
            "start_ticks": int(fields[19]),
            "uid": int(status["Uid"].split()[1]),
            "threads": int(status["Threads"]),
            "parent": int(fields[1]),
            "outer": pid,
        }
    inner = {row["outer"]: number for number, row in found.items()}
    for row in found.values():
        row["ppid"] = run.pid_seen if row["parent"] == run.pid else inner[row["parent"]]
    return found


def compare(run: Run, told: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Check the status against the witness; return what it says of each process."""
    rows = {row["pid"]: row for row in told["processes"]}
    assert len(rows) == len(told["processes"]), "nobody twice"
    seen = witnessed(run)
    assert rows.keys() == seen.keys()
    main = told["main"]["pid"]
    for pid, row in rows.items():
        for key in ("ppid", "pgid", "sid", "name", "state", "start_ticks", "uid", "threads"):
            assert row[key] == seen[pid][key], (key, row, seen[pid])
        ways = (["group"] if row["pgid"] != main else []) + (["session"] if row["sid"] != main else [])
        ours = row["ppid"] == run.pid_seen
        assert row["escaped"] == ([] if pid == main else (["adopted"] if ours else []) + ways)
        assert (row["role"] == "descendant") == (not ours)
        assert row["memory_bytes"] >= 0
        assert row["cpu_s"] < 20
        assert row["age_s"] < 120
    order = [row["pid"] for row in told["processes"]]
    assert all(
        row["ppid"] in order[:at] or row["ppid"] == run.pid_seen for at, row in enumerate(told["processes"][:500])
    )
    return rows


@pytest.mark.modes(SUBREAPER, PID1)
@pytest.mark.timeout_s(60 + COUNT // 20)
def test_a_large_tree(pyinit: Start) -> None:
    """Thousands of processes in many sessions, orphans and children: each is there once, with all that it is."""
    run = pyinit(
        program("crowd"), str(COUNT), str(SESSIONS), "term", log_options=QUIET, quiet=True, options=["--grace", "60s"]
    )
    run.wait_for(STARTED)
    run.out.wait("ready", timeout_s=60)
    said = ctl(run, "status", "--json")
    assert said.status == 0, said.err
    told = parse(said.out)
    rows = compare(run, told)
    assert len(rows) == COUNT + 1
    assert "incomplete" not in told
    assert told["counts"]["adopted"] == SESSIONS
    shown = ctl(run, "status").out.splitlines()
    assert len(shown) >= COUNT
    metrics = ctl(run, "status", "--format", "openmetrics").out
    assert f'pyinit_processes{{role="descendant"}} {COUNT - SESSIONS}\n' in metrics
    run.stop(timeout_s=60)


@pytest.mark.modes(SUBREAPER, PID1)
def test_all_kinds_of_processes(pyinit: Start) -> None:
    """Threads, zombies, stopped processes, those in main's group and those that left it; main has gone."""
    script = (
        f"{program('two_threads')} & {program('stopped')} & {program('zombies')} 3 & "
        f"setsid {program('serve')} 0 & setsid sh -c '{program('keep')} & exec {program('serve')} 0' & sleep 0.2"
    )
    run = pyinit("/bin/sh", "-c", script)
    run.wait_for(HANDOVER)
    run.wait_for(ADOPTED)
    said = ctl(run, "status", "--json")
    rows = compare(run, parse(said.out))
    roles = {row["role"] for row in rows.values()}
    assert roles >= {"successor"}
    run.stop()
    assert run.of(STARTED)


@pytest.mark.modes(PID1_USER)
def test_hidepid(pyinit: Start, workdir: Path) -> None:
    """What an ordinary user's /proc hides is missing, and the status says so."""
    if not ROOT:
        cannot("only root can set this stage")
    become = workdir / "become"
    shutil.copy(program("become"), become)
    os.chown(become, OTHER_USER, OTHER_USER)
    become.chmod(0o4755)
    run = pyinit(program("until_eof"), "0", str(become), program("until_eof"), "0", stage=["new-privs", "hidepid"])
    run.wait_for(STARTED)  # the command starts first
    for _ in range(2):
        run.out.wait("ready")
    told = parse(ctl(run, "status", "--json").out)
    assert [row["pid"] for row in told["processes"]] == [told["main"]["pid"]]
    assert told["incomplete"] == {"unread": 1, "reason": HIDDEN}
    shown = ctl(run, "status").out
    assert f"incomplete  1 process could not be read: {HIDDEN}\n" in shown
    assert "pyinit_processes_incomplete 1\n" in ctl(run, "status", "--format", "openmetrics").out
    run.close_input()
    assert run.finish() == 0


@pytest.mark.modes(SUBREAPER)
def test_no_descriptor_is_left(pyinit: Start) -> None:
    """With none for /proc, pyinit's child is told all the same, and that more may be missing."""
    run = pyinit(program("until_eof"), "0", program("until_eof"), "0")
    run.wait_for(STARTED)
    for _ in range(2):
        run.out.wait("ready")
    with Talk(run.pid) as talk:
        whole = talk.ask("status", tree=True)
        limits = resource.prlimit(run.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(run.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        told = talk.ask("status", tree=True)
        resource.prlimit(run.pid, resource.RLIMIT_NOFILE, limits)
        again = talk.ask("status", tree=True)
    for answer in (whole, again):
        assert len(answer["processes"]) == 2
        assert "incomplete" not in answer
    assert [(row["pid"], row["role"]) for row in told["processes"]] == [(whole["main"]["pid"], "main")]
    assert told["incomplete"] == {"unread": 1, "reason": "Too many open files (EMFILE)"}
    run.close_input()
    assert run.finish() == 0


@pytest.mark.modes(PID1)
def test_foreign(pyinit: Start) -> None:
    """An orphan of `docker exec` is foreign, and so is what hangs below it: it has not escaped from anybody."""
    run = pyinit(program("serve"), "0")
    run.out.wait("ready")
    run.wait_for(STARTED)
    lines = run.join("/bin/sh", "-c", f"setsid sh -c '{program('serve')} 0 & wait' & sleep 0.1")
    lines.wait("ready")
    told = parse(ctl(run, "status", "--json").out)
    run.wait_for(ADOPTED, pyinit__role="foreign")
    foreign = [row for row in told["processes"] if row["role"] == "foreign"]
    assert len(foreign) == 1
    below = [row for row in told["processes"] if row["ppid"] == foreign[0]["pid"]]
    assert [row["escaped"] for row in (*foreign, *below)] == [[], []]
    run.stop()
