"""The pieces of a long answer: a signal waits for one step of them, and for nothing else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from pyinit import kernel
from pyinit.control import steps

if TYPE_CHECKING:
    from collections.abc import Iterator

ROW = b"x" * 250


class Place:
    """What the pieces ask of the world: whether a signal waits, and the time, in which each step takes some."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waits = False
        self.now = 0.0
        self.made = 0
        monkeypatch.setattr(kernel, "signals_wait", lambda: self.waits)
        monkeypatch.setattr("pyinit.control.steps.time", SimpleNamespace(monotonic=lambda: self.now))

    def rows(self, count: int, step_s: float = 0.0) -> Iterator[bytes]:
        """Make so many rows, with a step before each that brings nothing."""
        for _ in range(count):
            for step in (b"", ROW):
                self.made += 1
                self.now += step_s
                yield step


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Place:
    """Let the test say what the pieces see."""
    return Place(monkeypatch)


def test_pieces_are_sent_when_they_are_large_enough(place: Place) -> None:
    """A send and its reader's waking cost as much as some steps: so there are few of them, each of a bounded size."""
    found = list(steps.pieces(place.rows(1000)))
    assert b"".join(found) == ROW * 1000
    assert all(steps.PIECE <= len(piece) < steps.PIECE + len(ROW) for piece in found[:-1])
    assert list(steps.pieces(iter(()))) == [b""]


def test_it_breaks_off_for_a_signal(place: Place) -> None:
    """When one has come no other step is made, and nothing is sent, before the loop has gone round."""
    turns = steps.pieces(place.rows(1000))
    for _ in range(10):
        before, place.waits = place.made, True
        assert next(turns) == b""
        assert place.made - before == 1
        place.waits = False
        assert len(next(turns)) >= steps.PIECE


def test_each_turn_does_something(place: Place) -> None:
    """If there is always a signal each turn makes a step, or sends what is ready, and all of it comes."""
    place.waits = True
    text = b""
    turns = 0
    made = 0
    for piece in steps.pieces(place.rows(1000)):
        turns += 1
        assert (place.made - made, bool(piece)) in {(1, False), (0, True)}
        made = place.made
        text += piece
    assert text == ROW * 1000
    assert turns <= 2000 + len(text) // steps.PIECE + 1


def test_a_flood_of_signals_leaves_time(place: Place) -> None:
    """Where the loop takes many signals each time, and more are there already, the answer has its part of the time."""
    away_s, step_s = steps.TURN_S * 2, steps.TURN_S / 100

    def work() -> Iterator[bytes]:
        while True:
            place.now += step_s
            yield b""

    place.waits = True
    turns = steps.pieces(work())
    next(turns)
    for _ in range(10):
        place.now += away_s
        back = place.now
        assert next(turns) == b""
        assert away_s / steps.SHARE <= place.now - back <= away_s / steps.SHARE + step_s * 1.5
    place.now += 1000.0
    back = place.now
    next(turns)
    assert steps.TURN_S <= place.now - back <= steps.TURN_S + step_s * 1.5, "and no more than a turn"


def test_a_signal_comes_before_a_piece_that_is_ready(place: Place) -> None:
    """To send takes longer than a step."""
    place.waits = True
    turns = steps.pieces(iter([bytes(steps.PIECE)] * 2))
    assert [len(piece) for piece in turns] == [0, steps.PIECE, 0, steps.PIECE, 0]


def test_the_loop_goes_round(place: Place) -> None:
    """Without a signal, too: after a bounded time."""
    step_s = steps.TURN_S / 4
    before = 0.0
    for _ in steps.pieces(place.rows(100, step_s)):
        assert place.now - before <= steps.TURN_S + step_s
        before = place.now
    assert place.made == 200
