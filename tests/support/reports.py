"""Runs pyinit for a report (--check, --dry-run) on a stage, to its end."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

from support import run as runs
from support.programs import program
from support.run import PID1, PID1_USER, plain_environment, pyinit_command
from support.waiting import DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def reported(  # all that a report can depend on
    mode: str,
    *arguments: str,
    stage: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    stderr: int = subprocess.PIPE,
    command: Sequence[str] | None = None,
) -> tuple[int, str]:
    """Run pyinit with these arguments in a mode; return its status, and what it wrote on standard output.

    `stage` are more options of the stage, `env` more variables, `command` is what starts pyinit. AssertionError where
    it wrote on standard error.
    """
    report_r, report_w = os.pipe()
    words = [program("stage"), f"report={report_w}", *runs.stage_options(mode), *stage, "--"]
    words += [*(command or [pyinit_command()]), *arguments]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**plain_environment(), **(env or {})},
            pass_fds=(report_w,),
            timeout=DEADLINE_S,
            check=False,
        )
    finally:
        os.close(report_w)
    with os.fdopen(report_r) as report:
        said = dict(line.split() for line in report)
    assert not done.stderr, done.stderr
    status = os.waitstatus_to_exitcode(int(said["status"])) if mode in {PID1, PID1_USER} else done.returncode
    return status, done.stdout.decode()


def checks(*arguments: Any, **keywords: Any) -> tuple[int, dict[str, dict[str, str]]]:
    """Run --check=json as `reported` does; return the status and the rows by their names."""
    mode, *rest = arguments
    status, out = reported(mode, "--check=json", *rest, **keywords)
    whole = json.loads(out)
    assert whole["status"] == status
    return status, {row["name"]: row for row in whole["checks"]}
