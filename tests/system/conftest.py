"""Fixtures of the system tests: the mode, and runs of pyinit in it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support import run as runs
from support import witness
from support.needs import IN_CI, cannot

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

RUNS = pytest.StashKey[list[runs.Run]]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that takes `mode` (or `pyinit`) runs in each of its modes.

    Unless it says which, as a subreaper and as PID 1.
    """
    if "mode" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("modes")
        metafunc.parametrize("mode", marker.args if marker else (runs.SUBREAPER, runs.PID1), scope="session")


@pytest.fixture(scope="session", autouse=True)
def _witness_in_ci() -> None:
    if IN_CI and not witness.available():
        pytest.fail("CI must run the system tests where the kernel's proc connector can be asked", pytrace=False)


@pytest.fixture
def workdir() -> Iterator[Path]:
    """Make an empty folder that every user can write to."""
    folder = Path(tempfile.mkdtemp(prefix="pyinit-test-"))
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def pyinit(mode: str, request: pytest.FixtureRequest) -> Iterator[Callable[..., runs.Run]]:
    """Start pyinit with a command in this test's mode; see Run for the keywords.

    What a test has not finished itself is ended, silently where the test has failed already.
    """
    if reason := runs.why_not(mode):
        cannot(f"mode {mode}: {reason}")
    started: list[runs.Run] = request.node.stash.setdefault(RUNS, [])

    def start(*command: str | bytes, **keywords: Any) -> runs.Run:
        run = runs.Run(mode, command, **keywords)
        started.append(run)
        return run

    yield start
    unfinished: Sequence[runs.Run] = [run for run in started if run.status is None]
    for run in unfinished:
        run.abandon()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Show for a failed test what pyinit and the command have written."""
    report = yield
    started: list[runs.Run] = item.stash.get(RUNS, [])
    if report.failed:
        for number, run in enumerate(started, 1):
            lines = run.log.lines
            report.sections.append(
                (f"run {number} ({run.mode}), log", "\n".join(lines[:30] + lines[-30:] if len(lines) > 60 else lines))
            )
            report.sections.append((f"run {number} ({run.mode}), standard output", "\n".join(run.out.lines[-60:])))
    return report
