"""A second, simpler opinion on what a run must come to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyinit.core.lives import WAITING
from pyinit.core.machine import HOLDING, RUNNING, STOPPING
from pyinit.core.model import (
    ASKED_RELOAD,
    ASKED_RESTART,
    ASKED_SIGNAL,
    AT_MAIN,
    AT_SERVICE,
    RELOAD_COMMAND,
    RESTART_ALWAYS,
    RESTART_NO,
    SIGKILL,
)

# More than the loop's own looks while stopping need (seconds).
SLACK_S = 0.3

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyinit.core.model import End, Policy
    from unit.core_kernel import Task


class Oracle:
    """Says what the run must come to, from what the kernel did, as DESIGN 3.1, 3.2 and 3.4 put it.

    Whom the shell has taken for the service it is told; whether it may is for `core_run.Run` to say.
    """

    def __init__(
        self, policy: Policy, clock: Callable[[], float], named: Callable[[], Task | None], before: int | None = None
    ) -> None:
        """Judge a run, the first or one whose predecessor came to the status `before`.

        `named` says whom the PID file names now.
        """
        self.policy = policy
        self._clock = clock
        self._named = named
        self.before = before
        self.phase = RUNNING if before is None else WAITING
        self.failed = False  # main could not be started, and no further attempt has been told of
        self.strangers: list[Task] = []  # who was there when the run began: nobody of it
        self.stop_asked = self.restart_asked = False
        self.main: Task | None = None
        self.successors: list[Task] = []
        self.service: Task | None = None  # who was found to be it last, dead or alive
        self.commands: dict[Task, str] = {}
        self.decision: End | None = None
        self.bad: list[End] = []
        self.stop_command_due = False
        self._reloading = False
        self._again = False
        self._there: list[Task] = []
        self._heir_by: float | None = None

    def begin(self, main: Task, roots: list[Task]) -> None:
        """Take that main runs, and who is there besides."""
        self.phase = RUNNING
        self.main = main
        self.strangers = roots

    def not_started(self, status: int) -> None:
        """Take that main could not be started: what there is besides is stopped, unless there is another attempt.

        That is told of as the end of a run is, and judged by another oracle.
        """
        self.failed = True
        self.before = status
        self.phase = STOPPING

    def ended(self, task: Task, came: list[Task], roots: list[Task]) -> None:
        """Take the end of a child of pyinit, the living children that came by it, and all that live now."""
        assert task.end is not None
        if not task.end.good and task not in self.commands:
            self.bad.append(task.end)
        if task is self.main:
            self._main_ended(task.end, roots)
        elif task in self.successors:
            self.successors.remove(task)
            self._successor_ended(task.end, came)
        elif self.commands.get(task) == RELOAD_COMMAND:
            self._reload_ended(roots)

    def _main_ended(self, end: End, roots: list[Task]) -> None:
        until = self.policy.until
        if not end.good or (until == "main" and self.phase == RUNNING):
            self.decision = self.decision or end
        if self.phase != RUNNING:
            return
        if until == "main" or (until == "service" and not end.good):
            self.phase = STOPPING
            return
        self.successors = self._may_serve(roots)
        self._service_decides()
        self.phase = HOLDING
        self._look_if_over()

    def _successor_ended(self, end: End, came: list[Task]) -> None:
        if not end.good:
            self.decision = self.decision or end
        if self.phase != HOLDING:
            return
        if end.good:
            self.successors += self._may_serve(came)
        if self.policy.until == "service" and not end.good:
            self.phase = STOPPING
        else:
            self._service_decides()
        self._look_if_over()

    def _reload_ended(self, roots: list[Task]) -> None:
        self._reloading = False
        if self.phase == HOLDING and not self.successors:
            self.successors = [task for task in self._may_serve(roots) if task not in self._there]
        if self._again:
            self.reload(roots)
        self._look_if_over()

    def _look_if_over(self) -> None:
        if self.successors or self.phase != HOLDING or self.policy.until != "service":
            self._heir_by = None
        elif not self._reloading:
            self.phase = STOPPING
        elif self._heir_by is None:
            self._heir_by = self._clock() + self.policy.pid_file_timeout_s

    def wait(self, *, stopping: bool) -> None:
        """Take that time has passed, and whether the run is being stopped now.

        A reload command has some time to bring another service. When exactly that is over depends on when the shell has
        seen that there is none.
        """
        if self.phase == HOLDING and self._heir_by is not None:
            late_s = self._clock() - self._heir_by
            if late_s > SLACK_S or (stopping and late_s >= 0):
                self.phase = STOPPING

    def _may_serve(self, tasks: list[Task]) -> list[Task]:
        """Leave out the foreign ones, as far as that can be seen, and pyinit's own commands."""
        mains = [task for task in tasks if task not in self.strangers and task not in self.commands]
        return [task for task in mains if task.hidden or not task.foreign]

    def _service_decides(self) -> None:
        """Where the service is known it is the only successor, or the root above it.

        Who it is, is looked at again at each end of the current one, and the PID file is believed before the rest.
        """
        if self.service is None or not self.service.alive:
            named = self._named()
            if named is not None and self._may_serve([named.root]):
                self.service = named
        if self.service is not None and self.service.alive:
            self.successors = self._may_serve([self.service.root]) or self.successors

    def identified(self, task: Task) -> None:
        """Take who has been found to be the service."""
        self.service = task
        if self.main is not None and not self.main.alive:
            self._service_decides()
            self._look_if_over()

    def reload(self, roots: list[Task]) -> None:
        """Take a wish for a reload."""
        if not self.policy.reload_command or self.phase in (STOPPING, WAITING):
            return
        self._again = self._reloading
        if not self._reloading:
            self._reloading = True
            self._there = roots

    def command(self, kind: str, task: Task | None) -> None:
        """Take the start of a command, or that it could not be started."""
        if task is not None:
            self.commands[task] = kind
        elif kind == RELOAD_COMMAND:
            self._reloading = self._again = False
            self._look_if_over()

    def stop(self) -> None:
        """Take a stop request."""
        self.stop_asked = True
        self._stop()

    def _stop(self) -> None:
        if self.phase in (RUNNING, HOLDING, WAITING):
            self.phase = STOPPING
            self.stop_command_due = self.policy.stop_command and any(task.alive for task in self._deciders)

    def restart(self) -> None:
        """Take the wish for a restart; between two runs it only ends the delay."""
        if self.policy.restart != RESTART_NO and not self.stop_asked and self.phase != WAITING:
            self.restart_asked = True
            self._stop()

    def refuses(self, kind: str, target: str) -> bool:
        """Say whether a request is refused. A signal is, too, once SIGKILL goes round."""
        if kind == ASKED_RESTART:
            leaving = self.main is None and self.phase == STOPPING
            return self.policy.restart == RESTART_NO or self.stop_asked or leaving
        if kind == ASKED_RELOAD:
            served = self.policy.reload_command or any(task.alive for task in self._deciders)
            return self.phase in (STOPPING, WAITING) or not served
        return kind == ASKED_SIGNAL and target in (AT_MAIN, AT_SERVICE) and not self.meant(target)

    def meant(self, target: str) -> list[Task]:
        """Return who is main, or the service, for a signal."""
        main = [self.main] if self.main is not None and self.main.alive else []
        if target == AT_MAIN:
            return main
        service = [self.service] if self.service is not None and self.service.alive else []
        return service or main or [task for task in self.successors if task.alive]

    @property
    def wants_another(self) -> bool:
        """Whether a run that came to this is to be followed by another, if nobody of it is left."""
        if self.policy.restart == RESTART_NO or self.stop_asked:
            return False
        return self.restart_asked or self.policy.restart == RESTART_ALWAYS or self.status != 0

    @property
    def _deciders(self) -> list[Task]:
        return [task for task in [self.main, *self.successors] if task is not None]

    @property
    def status(self) -> int:
        """The status that the run must end with, if it ended now."""
        if self.main is None and self.before is not None:
            return self.before
        waits = any(task.alive for task in self._deciders)
        status = self.decision.status if self.decision else 128 + SIGKILL if waits else 0
        return 0 if status in self.policy.ok_exits else status
