"""Tests that run side by side, in several processes, and leave those alone that must be."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Turns:
    """The turns of the test runners that share a folder: any number of tests at once, or one that is alone.

    Two locks (flock(2)), which the kernel releases should a runner die. Who comes goes through the gate; who is to be
    alone keeps it shut while the others leave the room, and so does not wait for ever.
    """

    def __init__(self, folder: Path) -> None:
        self._gate, self._room = (os.open(folder / name, os.O_RDWR | os.O_CREAT) for name in ("gate", "room"))

    @contextlib.contextmanager
    def turn(self, *, alone: bool) -> Iterator[None]:
        """Wait for a turn, and have it for the time of a test."""
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(self._gate, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Let one test runner after another do what this file is for: an image is built once, and is there for the next."""
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
