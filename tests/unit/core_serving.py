"""What the shell has for the service, simulated: a PID file, the notify sockets, and pyinit's own commands."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, NoReturn

from pyinit import pidfile
from pyinit.core.model import RELOAD_COMMAND
from pyinit.kernel import EAGAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyinit.core.actions import RunCommand
    from unit.core_kernel import Kernel, Task


class PidFile:
    """Stands in for pyinit.pidfile.PidFile: a file that is there or not, and was written since main's start or not."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.text: str | None = None
        self.stale = False

    def write(self, text: str | None) -> None:
        """Write the file; None: remove it."""
        self.text = text
        self.stale = False

    def renew(self) -> PidFile:
        """Count what is there now as stale: another run begins."""
        self.stale = self.text is not None
        return self

    @property
    def number(self) -> int:
        """The process number that the file holds, or 0 where it is not to be believed."""
        return int(self.text) if self.text and self.text.isdigit() and not self.stale else 0

    def read(self) -> tuple[int, str]:
        """Return the number and "", or 0 and a reason."""
        self._kernel.call()
        if self.text is None:
            return 0, pidfile.MISSING
        if self.stale:
            return 0, pidfile.STALE
        if not self.text:
            return 0, pidfile.EMPTY
        return (self.number, "") if self.number else (0, f"holds no process number: {self.text!r}")


class Inbox:
    """Stands in for pyinit.notify.Inbox: the messages that wait."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.fd = object()
        self.waiting: list[SimpleNamespace] = []

    def send(self, sender: Task, fields: Mapping[str, str]) -> None:
        """Have a process send a message."""
        self.waiting.append(SimpleNamespace(pid=sender.pid, uid=0, fields=dict(fields)))

    def receive(self) -> list[SimpleNamespace]:
        """Take in what has come."""
        self._kernel.call()
        messages, self.waiting = self.waiting, []
        return messages


class Outbox:
    """Stands in for pyinit.notify.Outbox: what whoever supervises pyinit was told."""

    def __init__(self) -> None:
        self.sent: list[dict[str, str]] = []

    def send(self, fields: Mapping[str, str]) -> None:
        """Send one message."""
        self.sent.append(dict(fields))

    def count(self, name: str) -> int:
        """Return how often something was said."""
        return sum(message.get(name) == "1" for message in self.sent)


class Runner:
    """Stands in for pyinit.commands.Runner: a command is a child in a session of its own, and does nothing by itself.

    `started` is called with each command's kind and its process, or None where there can be none.
    """

    def __init__(self, kernel: Kernel, started: Callable[[str, Task | None], None]) -> None:
        self._kernel = kernel
        self._started = started
        self.fails = False
        self.asked: list[RunCommand] = []
        self.read: list[int] = []

    def run(self, action: RunCommand) -> int:
        """Start a command; return its PID."""
        self._kernel.call()
        self.asked.append(action)
        if action.kind == RELOAD_COMMAND:
            running = [task for task in self._kernel.pyinit.children if task.alive and task.command == action.kind]
            assert not running, "one reload at a time"
        if self.fails:
            self._started(action.kind, None)
            self._raise()
        task = self._kernel.fork(self._kernel.pyinit)
        self._kernel.lead_session(task)
        task.moved = False
        task.command = action.kind
        self._started(action.kind, task)
        return task.pid

    def _raise(self) -> NoReturn:
        raise BlockingIOError(EAGAIN, "Resource temporarily unavailable")

    def read_output(self, pid: int) -> None:
        """Read what a command has written."""
        self.read.append(pid)
