"""How main is started again: what it gets, and what becomes of a start that fails."""

from __future__ import annotations

import os
from errno import EMFILE, ENOENT, ENOMEM
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pyinit.core import events
from pyinit.core.actions import CloseRun, Respawn
from pyinit.core.model import Process
from pyinit.finalkill import FinalKill
from pyinit.respawn import Respawner
from pyinit.spawn import SpawnError

if TYPE_CHECKING:
    from collections.abc import Callable


def respawned(start_main: Callable[[Callable[[], None]], None], passed: list[int] | None = None) -> events.Event:
    """Start main again by this function; return what the core is told."""
    told: list[events.Event] = []
    settings = SimpleNamespace(pid_file=None)
    launch: Any = SimpleNamespace(
        settings=settings, passed=passed or [], start_main=start_main, main=lambda: Process(10, name="main")
    )
    effects: Any = SimpleNamespace()
    calls = Respawner(launch, effects, None, None, told.append).calls
    calls[Respawn](Respawn(), 0.0)
    (event,) = told
    return event


def failing(error: BaseException) -> Callable[[Callable[[], None]], None]:
    """Return what cannot start main."""

    def start_main(_meanwhile: Callable[[], None]) -> None:
        raise error

    return start_main


def test_main_runs() -> None:
    """The core is told that main runs, and nothing is asked for while it starts."""
    event = respawned(lambda meanwhile: meanwhile())
    assert isinstance(event, events.Started)
    assert event.main is not None
    assert event.main.pid == 10


@pytest.mark.parametrize(
    ("error", "status", "errno", "reason"),
    [
        (SpawnError(127, ENOENT, "x was not found in PATH"), 127, ENOENT, "x was not found in PATH"),
        (OSError(EMFILE, "Too many open files"), 125, EMFILE, "no new process can be made (Too many open files)"),
        (OSError(), 125, 0, "no new process can be made (Success)"),
        (MemoryError(), 125, ENOMEM, "no new process can be made (Cannot allocate memory)"),
    ],
)
def test_a_start_that_fails_is_told(error: BaseException, status: int, errno: int, reason: str) -> None:
    """Whatever keeps main from being started ends nothing here: the core decides what comes of it."""
    event = respawned(failing(error))
    assert isinstance(event, events.NotStarted)
    assert (event.status, event.errno, event.reason) == (status, errno, reason)


@pytest.mark.parametrize("fails", [False, True])
def test_only_main_gets_what_was_passed(*, fails: bool) -> None:
    """The descriptors that are kept for main are handed on to it, and to nobody before and after, even if it fails."""
    reading, writing = os.pipe()
    seen: list[bool] = []

    def start_main(_meanwhile: Callable[[], None]) -> None:
        seen.append(os.get_inheritable(writing))
        if fails:
            raise SpawnError(126, 13, "no")

    try:
        event = respawned(start_main, [writing])
        assert isinstance(event, events.NotStarted if fails else events.Started)
        assert seen == [True]
        assert not os.get_inheritable(writing)
    finally:
        os.close(reading)
        os.close(writing)


def test_the_next_kill_begins_anew() -> None:
    """When a run is over, whom SIGKILL went to is forgotten: the next kill holds its own dead."""
    proc: Any = SimpleNamespace(lists_children=True)
    begun: list[str] = []
    oom = SimpleNamespace(start_anew=lambda: begun.append("oom"))
    effects: Any = SimpleNamespace(oom=oom, final_kill=FinalKill(proc, list))
    before = effects.final_kill
    launch: Any = SimpleNamespace(proc=proc)
    calls = Respawner(launch, effects, None, None, lambda _event: None).calls
    calls[CloseRun](CloseRun(), 0.0)
    assert effects.final_kill is not before
    assert begun == ["oom"]


def test_the_control_socket_is_served_again() -> None:
    """When a run is over the control socket is served, even if SIGKILL went round in it; so is what serves it."""
    told: list[str] = []
    serving: Any = SimpleNamespace(close_run=lambda: told.append("run closed"))
    control: Any = SimpleNamespace(go_on=lambda: told.append("control goes on"))
    launch: Any = SimpleNamespace(proc=SimpleNamespace(lists_children=True))
    effects: Any = SimpleNamespace(oom=None, final_kill=FinalKill(launch.proc, list))
    calls = Respawner(launch, effects, serving, control, lambda _event: None).calls
    calls[CloseRun](CloseRun(), 0.0)
    assert told == ["run closed", "control goes on"]
