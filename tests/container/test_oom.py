"""A container that is out of memory: the kernel's SIGKILL is told from anybody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from container.engine import running

if TYPE_CHECKING:
    from container.engine import Container, Images

KILLED = 137
MEMORY = ("--memory", "40m", "--memory-swap", "40m")


def once_told(command: str) -> tuple[str, ...]:
    """Return a main that waits for a word before it becomes the command, so that the log is being followed by then."""
    return ("sh", "-c", f"mkfifo /tmp/word; read word < /tmp/word; {command}")


def tell(container: Container) -> None:
    """Give main the word. The shell that does it may be killed with the container before it has ended itself."""
    container.wait_for("pyinit.started")
    container.execute("sh", "-c", "until test -p /tmp/word; do :; done; echo go > /tmp/word", check=False)


def test_kill_for_want_of_memory(images: Images) -> None:
    """A main that takes more memory than the container may have ends with 137, and its record says why."""
    with running(images["pyinit"], *once_told("exec tail /dev/zero"), options=MEMORY) as container:
        tell(container)
        record = container.wait_for("process.reaped", pyinit_role="main")
        assert container.wait() == KILLED
    assert record["pyinit.exit.oom_killed"] is True
    assert "for want of memory" in str(record["message"])


def test_any_other_kill(images: Images) -> None:
    """A SIGKILL that somebody sent is no OOM kill."""
    with running(images["pyinit"], *once_told("kill -KILL $$"), options=MEMORY) as container:
        tell(container)
        record = container.wait_for("process.reaped", pyinit_role="main")
        assert container.wait() == KILLED
    assert "pyinit.exit.oom_killed" not in record
