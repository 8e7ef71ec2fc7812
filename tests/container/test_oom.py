"""A container that is out of memory: the kernel's SIGKILL is told from anybody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from container.engine import running

if TYPE_CHECKING:
    from container.engine import Images

KILLED = 137
MEMORY = ("--memory", "40m", "--memory-swap", "40m")


def test_kill_for_want_of_memory(images: Images) -> None:
    """A main that takes more memory than the container may have ends with 137, and its record says why."""
    with running(images["pyinit"], "tail", "/dev/zero", options=MEMORY) as container:
        assert container.wait() == KILLED
        (record,) = container.events("process.reaped")
    assert record["pyinit.exit.oom_killed"] is True
    assert "for want of memory" in str(record["message"])


def test_any_other_kill(images: Images) -> None:
    """A SIGKILL that somebody sent is no OOM kill."""
    with running(images["pyinit"], "sh", "-c", "kill -KILL $$", options=MEMORY) as container:
        assert container.wait() == KILLED
        (record,) = container.events("process.reaped")
    assert "pyinit.exit.oom_killed" not in record
