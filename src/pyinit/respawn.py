"""Starts main again, exactly as it was started first. Imported where --restart asks for it."""

from __future__ import annotations

import posix

from pyinit.core import actions, events
from pyinit.kernel import ENOMEM
from pyinit.pidfile import PidFile
from pyinit.spawn import NOT_STARTED, SpawnError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyinit.boot import Launch
    from pyinit.control.listener import Control
    from pyinit.effects import Effects
    from pyinit.serving import Serving


class Respawner:
    """The hands of the core between two runs."""

    def __init__(
        self,
        launch: Launch,
        effects: Effects,
        serving: Serving | None,
        control: Control | None,
        take: Callable[[events.Event], None],
    ) -> None:
        self._launch = launch
        self._effects = effects
        self._serving = serving
        self._control = control
        self._take = take

    @property
    def calls(self) -> dict[type, Callable[[Any, float], None]]:
        """What carries out each type of action."""
        return {actions.CloseRun: self._close_run, actions.Respawn: self._respawn}

    def _close_run(self, action: actions.CloseRun, now: float) -> None:
        """Forget whom SIGKILL went to, and what the last run has said or left of itself."""
        del action, now
        self._effects.final_kill = self._effects.final_kill.anew()
        if self._effects.oom is not None:
            self._effects.oom.start_anew()  # those that SIGKILL was due for were not asked about
        if self._serving is not None:
            self._serving.close_run()
        if self._control is not None:
            self._control.go_on()

    def _respawn(self, action: actions.Respawn, now: float) -> None:
        del action, now
        launch = self._launch
        if launch.settings.pid_file is not None:
            launch.pid_file = PidFile(launch.settings.pid_file)  # what is there now is not from the run that begins
        try:
            self._spawn()
        except SpawnError as error:
            self._take(events.NotStarted(error.status, error.errno, error.reason))
        except (OSError, MemoryError) as error:  # EMFILE, say: an attempt that failed, and the next may do
            errno = error.errno if isinstance(error, OSError) else ENOMEM
            reason = f"no new process can be made ({posix.strerror(errno or 0)})"
            self._take(events.NotStarted(NOT_STARTED, errno or 0, reason))
        else:
            self._take(events.Started(launch.main()))

    def _spawn(self) -> None:
        """Start main with the descriptors that were passed on to it at the first start: nobody else is to have them."""
        passed = self._launch.passed
        try:
            for fd in passed:
                posix.set_inheritable(fd, True)  # noqa: FBT003  # the only way to say it
            self._launch.start_main(_nothing)
        finally:
            for fd in passed:
                posix.set_inheritable(fd, False)  # noqa: FBT003


def _nothing() -> None:
    """Have nothing to do while main starts."""
