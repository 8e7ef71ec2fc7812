"""Nothing that a test started outlives it, no test waits for ever, and some run alone."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import select
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from support import procs
from support.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 60
FOLDER = pytest.StashKey[str]()
TURNS = pytest.StashKey[Turns]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; become a subreaper, so that nothing that a test starts gets away."""
    config.addinivalue_line("markers", "invariant(n): this test holds invariant n of docs/architecture.md")
    config.addinivalue_line(
        "markers", "modes(*names): run the test in these modes (subreaper, pid1, plain-user, pid1-user)"
    )
    config.addinivalue_line("markers", f"timeout_s(n): the last resort for this test, instead of {TIMEOUT_S} s")
    # How long an example takes says how busy the machine is, and nothing about pyinit.
    hypothesis.settings.register_profile("pyinit", parent=hypothesis.settings(), deadline=None)
    hypothesis.settings.load_profile("pyinit")
    config.addinivalue_line("markers", "alone(why): where tests run side by side, none runs beside this one")
    procs.become_subreaper()
    if folder := getattr(config, "workerinput", {}).get("turns"):
        config.stash[TURNS] = Turns(Path(folder))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell each of the processes in which tests run side by side (pytest-xdist) where they take turns."""
    stash = node.config.stash
    if FOLDER not in stash:
        stash[FOLDER] = tempfile.mkdtemp(prefix="pyinit-turns-")
    node.workerinput["turns"] = stash[FOLDER]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what the test run has made for itself."""
    if FOLDER in config.stash:
        shutil.rmtree(config.stash[FOLDER], ignore_errors=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put those that run alone at the end, so that the others wait for them only there."""
    items.sort(key=is_alone)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    """Wait for the test's turn, where tests run side by side, and see to it that it ends."""
    turns = item.config.stash.get(TURNS, None)
    with turns.turn(alone=is_alone(item)) if turns else contextlib.nullcontext(), guarded(item):
        return (yield)


def is_alone(item: pytest.Item) -> bool:
    """Say whether the test is to run alone."""
    return item.get_closest_marker("alone") is not None


@contextlib.contextmanager
def guarded(item: pytest.Item) -> Iterator[None]:
    """Guard against a test that hangs: first an exception where it stands, later the end of the test run."""
    marker = item.get_closest_marker("timeout_s")
    seconds = marker.args[0] if marker else TIMEOUT_S

    def too_long(_number: int, _frame: object) -> None:
        pytest.fail(f"the test has taken longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    with contextlib.suppress(RuntimeError):  # no thread can be started: a test has filled the table of processes
        faulthandler.dump_traceback_later(seconds + 30, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """End everything that the test left running, and fail it when there was anything."""
    before = set(procs.descendants(os.getpid()))
    yield
    left = [pid for pid in procs.descendants(os.getpid()) if pid not in before]
    if not left:
        return
    told = ", ".join(map(procs.describe, left))
    for _ in range(1000):
        living = [pid for pid in procs.descendants(os.getpid()) if pid not in before]
        if not living:
            break
        for pid in living:
            end(pid)
        procs.reap_orphans()
    pytest.fail(f"the test left processes behind: {told}", pytrace=False)


def end(pid: int) -> None:
    """Kill one process below the test runner and wait a moment for it, by descriptor, so that it is no stranger."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(fd, signal.SIGKILL)
        select.select([fd], [], [], 0.1)
    except ProcessLookupError:
        pass
    finally:
        os.close(fd)
