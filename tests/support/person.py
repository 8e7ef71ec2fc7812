"""A person at a terminal: types, looks at what appears, makes the window bigger. Nothing here sleeps."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING

from support.programs import program
from support.waiting import DEADLINE_S, Lines, wait_for_exit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

CTRL_C = "\x03"
CTRL_D = "\x04"
CTRL_Z = "\x1a"


class Person:
    """Sits at a new pseudo-terminal, at which a command runs as the leader of its session.

    Ends what runs there when it leaves (a context manager).

    Attributes:
        text: all that has appeared so far.

    """

    def __init__(self, words: Sequence[str], env: Mapping[str, str], *, pid1: bool = False) -> None:
        self.text = ""
        self._seen = 0
        self._pid1 = pid1
        self._screen, terminal = os.openpty()
        report_r, report_w = os.pipe()
        self.resize(24, 80)
        stage = [program("stage"), f"report={report_w}", *(["pid1"] if pid1 else []), "terminal", "--"]
        self._process = subprocess.Popen(
            [*stage, *words], stdin=terminal, stdout=terminal, stderr=terminal, env=env, pass_fds=(report_w,)
        )
        os.close(terminal)
        os.close(report_w)
        self._report = Lines(report_r)
        self.pid = int(self._report.wait("pid")[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"on the screen:\n{self.text}")
        self._process.kill()
        self._process.wait()
        self.hang_up()

    def hang_up(self) -> None:
        """Take the terminal away: who is left there gets SIGHUP."""
        if self._screen >= 0:
            os.close(self._screen)
            self._screen = -1

    def resize(self, rows: int, columns: int) -> None:
        """Give the window another size (TIOCSWINSZ, ioctl_tty(2))."""
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        """Press these keys; a newline is the enter key."""
        os.write(self._screen, keys.replace("\n", "\r").encode())

    def see(self, pattern: str, timeout_s: float = DEADLINE_S) -> re.Match[str]:
        """Wait until `pattern` (a regular expression) appears behind what was seen before."""
        end = time.monotonic() + timeout_s
        while not (match := re.compile(pattern, re.MULTILINE).search(self.text, self._seen)):
            if not self._look(end - time.monotonic()):
                message = f"waited for {pattern!r} behind {self.text[: self._seen][-60:]!r}"
                raise AssertionError(message)
        self._seen = match.end()
        return match

    def _look(self, timeout_s: float) -> bool:
        if self._screen < 0 or timeout_s <= 0 or not select.select([self._screen], [], [], timeout_s)[0]:
            return False
        data = b""
        with contextlib.suppress(OSError):  # EIO: nobody holds the terminal any more
            data = os.read(self._screen, 1 << 16)
        self.text += data.decode(errors="replace")
        return bool(data)

    def status(self) -> int:
        """Wait for the end of the command; its exit status, or minus the number of the signal that ended it."""
        end = time.monotonic() + DEADLINE_S
        while self._look(end - time.monotonic()):
            pass
        assert wait_for_exit(self._process.pid, DEADLINE_S), "the command has not ended"
        self._process.wait()
        if self._pid1:
            return os.waitstatus_to_exitcode(int(self._report.wait("status")[0]))
        return self._process.returncode
