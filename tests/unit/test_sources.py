"""The one place where pyinit waits, on real pipes (epoll(7))."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pyinit.sources import DENSE_S, STORM, Sources, Storm

if TYPE_CHECKING:
    from collections.abc import Iterator


class Pipe:
    """A pipe, and how often its turn came."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.calls = 0

    def call(self) -> None:
        """Count."""
        self.calls += 1


@pytest.fixture
def pipes() -> Iterator[list[Pipe]]:
    """Give two pipes."""
    pipes = [Pipe(), Pipe()]
    yield pipes
    for pipe in pipes:
        for fd in (pipe.reading, pipe.writing):
            if fd >= 0:
                os.close(fd)


def test_what_is_ready_is_called(pipes: list[Pipe]) -> None:
    """Only what is ready has its turn, once for each wait, as long as there is something to read."""
    sources = Sources()
    for pipe in pipes:
        sources.add(pipe.reading, pipe.call)
    sources.wait(0)
    os.write(pipes[0].writing, b"x")
    sources.wait(-1)
    assert not sources.serve(), "nobody was patient"
    sources.wait(-1)
    assert [pipe.calls for pipe in pipes] == [2, 0]
    os.read(pipes[0].reading, 1)
    sources.wait(0)
    assert [pipe.calls for pipe in pipes] == [2, 0]


def test_what_only_ends_the_wait(pipes: list[Pipe]) -> None:
    """What has no call of its own ends a wait without a limit, and whoever waited looks at it."""
    sources = Sources()
    sources.add(pipes[0].reading, None)
    sources.add(pipes[1].reading, pipes[1].call)
    os.write(pipes[0].writing, b"x")
    sources.wait(-1)
    assert [pipe.calls for pipe in pipes] == [0, 0]


def test_end_of_a_pipe_is_something_to_read(pipes: list[Pipe]) -> None:
    """Who waits to read is told that nobody writes any more."""
    sources = Sources()
    sources.add(pipes[0].reading, pipes[0].call)
    os.close(pipes[0].writing)
    pipes[0].writing = -1
    sources.wait(-1)
    assert pipes[0].calls == 1


def test_room_to_write(pipes: list[Pipe]) -> None:
    """Who waits to write is called as long as there is room."""
    sources = Sources()
    sources.add(pipes[0].writing, pipes[0].call, writing=True)
    sources.wait(-1)
    assert pipes[0].calls == 1
    os.set_blocking(pipes[0].writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipes[0].writing, bytes(4096))
    sources.wait(0)
    assert pipes[0].calls == 1


def test_what_was_removed_is_called_no_more(pipes: list[Pipe]) -> None:
    """A descriptor that an earlier call of the same round has removed has no turn, and may be added again."""
    sources = Sources()
    turns: list[int] = []

    def take(which: int) -> None:
        turns.append(which)
        sources.remove(pipes[1 - which].reading)

    for which, pipe in enumerate(pipes):
        sources.add(pipe.reading, partial(take, which))
        os.write(pipe.writing, b"x")
    sources.wait(-1)
    assert len(turns) == 1
    sources.add(pipes[1 - turns[0]].reading, pipes[0].call)
    sources.remove(pipes[turns[0]].reading)
    sources.wait(-1)
    assert pipes[0].calls == 1


def test_who_is_patient(pipes: list[Pipe]) -> None:
    """What takes its time has its turn when it is served, unless it was removed meanwhile; the others come first."""
    sources = Sources()
    sources.add(pipes[0].reading, pipes[0].call, patient=True)
    sources.add(pipes[1].reading, pipes[1].call)
    for pipe in pipes:
        os.write(pipe.writing, b"x")
    sources.wait(-1)
    assert [pipe.calls for pipe in pipes] == [0, 1]
    assert sources.serve()
    assert [pipe.calls for pipe in pipes] == [1, 1]
    os.read(pipes[1].reading, 1)
    sources.wait(-1)
    sources.wait(-1)
    sources.serve()
    assert [pipe.calls for pipe in pipes] == [2, 1], "once for a wait, however often nobody served it"
    sources.wait(-1)
    sources.remove(pipes[0].reading)
    sources.serve()
    sources.add(pipes[0].reading, pipes[0].call)
    sources.wait(-1)
    assert pipes[0].calls == 3, "it may be added again as one that is called at once"


def test_before_each_wait() -> None:
    """What is to be told once all has been dealt with is called before each wait, and may add what is waited for."""
    sources = Sources()
    told: list[str] = []
    reading, writing = os.pipe()
    os.write(writing, b"x")

    def before() -> None:
        told.append("before")
        if len(told) == 1:
            sources.add(reading, lambda: told.append("ready"))

    sources.before = before
    sources.wait(0)
    sources.wait(0)
    assert told == ["before", "ready", "before", "ready"]
    os.close(reading)
    os.close(writing)


def storm(*ends: tuple[float, int]) -> list[bool]:
    """Say after each of these, so many seconds after the one before so many ends, whether the loop is to pause."""
    watched = Storm()
    now, said = 1000.0, []
    for after_s, count in ends:
        now += after_s
        watched.took(count, now)
        said.append(watched.pauses())
    return said


def test_ends_in_a_storm_are_let_come_together() -> None:
    """A pause is made when ends have come close together so many times in a row, and as long as they do."""
    near = (DENSE_S / 2, 1)
    assert storm((9.0, 1), *[near] * (STORM + 2)) == [False] * STORM + [True] * 3
    assert storm((9.0, 1), *[near] * STORM, (DENSE_S * 3.5, 4), near) == [False] * STORM + [True] * 3


@pytest.mark.parametrize("lull", [(DENSE_S * 1.5, 1), (DENSE_S * 4.5, 4), (DENSE_S / 2, 0)], ids=str)
def test_one_end_alone_is_not_held_up(lull: tuple[float, int]) -> None:
    """Where they come no closer than that, or none is there, nobody waits for more; nor for the first of a storm."""
    near = (DENSE_S / 2, 1)
    assert not any(storm(*[lull] * 50))
    assert storm((9.0, 1), *[near] * STORM, lull, near) == [False] * STORM + [True, False, False]


def test_a_pause_is_made_once_for_what_was_taken() -> None:
    """Who wakes up for something else, or for nothing, does not pause again."""
    watched = Storm()
    for number in range(STORM + 1):
        watched.took(1, 1000.0 + number * DENSE_S / 2)
    assert watched.pauses()
    assert not watched.pauses()
