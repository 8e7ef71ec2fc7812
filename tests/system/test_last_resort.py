"""What holds main when the rest of pyinit cannot be imported: no memory, no descriptor, a file that is gone."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

import pytest

from support.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_S = 20.0
# Starts the installed pyinit without what comes behind the spawn.
START = f"""
import sys
sys.path.append({sysconfig.get_path("purelib")!r})
sys.modules["pyinit.run"] = None
from pyinit.boot import main
sys.argv = sys.argv[1:]
main()
"""


@contextlib.contextmanager
def on_its_last_resort(*words: str) -> Iterator[subprocess.Popen[str]]:
    """Give a pyinit that runs without what comes behind the spawn, once what it started has said `ready`."""
    with subprocess.Popen(
        [sys.executable, "-IBS", "-Xutf8", "-c", START, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        while "ready" not in (line := process.stdout.readline()):
            assert line, "what it should start has not come up"
        yield process


@pytest.mark.invariant(6)
def test_daemon_is_held_and_stopped() -> None:
    """The daemon lives on without the loop and the log, a stop request ends it, and its status is told."""
    words = ["--grace", "300ms", "--", program("double_fork"), "after", program("serve"), "5"]
    with on_its_last_resort(*words) as held:
        assert held.poll() is None
        held.send_signal(signal.SIGTERM)
        _, told = held.communicate(timeout=LIMIT_S)
        assert held.returncode in {5, 128 + signal.SIGTERM}
        assert "going on without a log" in told


def test_daemon_is_stopped_though_main_lived() -> None:
    """A stop request that came while the launcher lived reaches the daemon too, as soon as the launcher has gone."""
    script = f"trap 'exit 0' TERM; setsid {program('serve')} 5 & wait"
    with on_its_last_resort("--", "sh", "-c", script) as held:
        held.send_signal(signal.SIGTERM)
        held.communicate(timeout=LIMIT_S)
        assert held.returncode in {5, 128 + signal.SIGTERM}


@pytest.mark.invariant(3)
def test_deaf_main_is_killed() -> None:
    """The grace ends on the last resort too: who ignores the stop signal is killed."""
    with on_its_last_resort("--grace", "200ms", "--", program("ignore_term"), "all") as process:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LIMIT_S)
        assert process.returncode == 128 + signal.SIGKILL
