"""Waits for events: lines from a pipe, the end of a process. Nothing here sleeps or polls."""

from __future__ import annotations

import os
import select
import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_S = 20.0

T = TypeVar("T")


class Lines:
    """Everything that is written into a pipe, line by line, read by a thread so that the writer never waits.

    Lines keep their bytes: what is not UTF-8 is decoded with surrogateescape.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._changed = threading.Condition()
        self.lines: list[str] = []
        self.eof = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        rest = b""
        while data := os.read(self._fd, 1 << 16):
            *whole, rest = (rest + data).split(b"\n")
            if whole:
                with self._changed:
                    self.lines += [line.decode(errors="surrogateescape") for line in whole]
                    self._changed.notify_all()
        os.close(self._fd)
        with self._changed:
            if rest:
                self.lines.append(rest.decode(errors="surrogateescape"))
            self.eof = True
            self._changed.notify_all()

    def wait_until(self, found: Callable[[list[str]], T], what: str, timeout_s: float = DEADLINE_S) -> T:
        """Return what `found` returns for the lines so far, once it is true.

        Raises AssertionError when the pipe has ended or the time is over without it.
        """
        end = time.monotonic() + timeout_s
        with self._changed:
            while not (value := found(self.lines)):
                left_s = end - time.monotonic()
                if self.eof or left_s <= 0:
                    why = "the pipe has ended" if self.eof else f"{timeout_s} s are over"
                    shown = "\n".join(self.lines[-40:])
                    message = f"waited for {what}, but {why}; the last lines are:\n{shown}"
                    raise AssertionError(message)
                self._changed.wait(left_s)
            return value

    def wait(self, start: str, count: int = 1, timeout_s: float = DEADLINE_S) -> list[str]:
        """Return the `count`-th line whose words begin with those of `start`, as a list of the words after them."""
        words = start.split()

        def found(lines: list[str]) -> list[str] | None:
            split = (line.split() for line in lines)
            fitting = [line for line in split if line[: len(words)] == words]
            return ["", *fitting[count - 1][len(words) :]] if len(fitting) >= count else None

        value = self.wait_until(found, f"line {count} that begins with {start!r}", timeout_s)
        assert value
        return value[1:]

    def wait_eof(self, timeout_s: float) -> bool:
        """Return True once the last writer has closed its end, False when the time is over."""
        end = time.monotonic() + timeout_s
        with self._changed:
            while not self.eof and (left_s := end - time.monotonic()) > 0:
                self._changed.wait(left_s)
            return self.eof

    def all(self, start: str) -> list[list[str]]:
        """Return the words after `start` of every line so far that begins with it."""
        words = start.split()
        split = (line.split() for line in list(self.lines))
        return [line[len(words) :] for line in split if line[: len(words)] == words]


def wait_for_exit(pid: int, timeout_s: float) -> bool:
    """Return True once the process has ended (it may be a zombie still), False when the time is over."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], timeout_s)[0])
    finally:
        os.close(fd)


def pass_time(seconds: float) -> None:
    """Let time go by, for the few tests whose subject is that nothing happens in it."""
    select.select([], [], [], seconds)
