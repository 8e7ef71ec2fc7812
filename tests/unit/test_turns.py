"""Tests that run side by side leave those alone that must be."""

from __future__ import annotations

import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from support.turns import Turns

if TYPE_CHECKING:
    from pathlib import Path


def is_shut(folder: Path, name: str) -> bool:
    """Say whether somebody holds this lock for himself, and nobody else gets it."""
    fd = os.open(folder / name, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def test_side_by_side(tmp_path: Path) -> None:
    """Two that mind no neighbour have their turns at the same time, again and again."""
    one, other = Turns(tmp_path), Turns(tmp_path)
    for _ in range(2):
        with one.turn(alone=False), other.turn(alone=False):
            assert not is_shut(tmp_path, "gate")


def test_alone(tmp_path: Path) -> None:
    """Who is to be alone waits for who is there, is then alone, and comes before those that came later."""
    told = []
    there, alone, later = (Turns(tmp_path) for _ in range(3))

    def be_alone() -> None:
        with alone.turn(alone=True):
            told.append("alone")
            assert is_shut(tmp_path, "room")
            told.append("alone no more")

    def come_later() -> None:
        with later.turn(alone=False):
            told.append("later")

    with ThreadPoolExecutor() as pool:
        with there.turn(alone=False):
            first = pool.submit(be_alone)
            while not is_shut(tmp_path, "gate"):
                assert not first.done()
            second = pool.submit(come_later)
            told.append("there no more")
        for future in (first, second):
            future.result()
    assert told == ["there no more", "alone", "alone no more", "later"]


def test_failure_ends_a_turn(tmp_path: Path) -> None:
    """A turn is over when what happened in it failed."""
    with pytest.raises(InterruptedError), Turns(tmp_path).turn(alone=True):
        raise InterruptedError
    with Turns(tmp_path).turn(alone=True):
        assert not is_shut(tmp_path, "gate")
