"""Stands in for whoever supervises pyinit: the socket that NOTIFY_SOCKET names (sd_notify(3))."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING, Self

from support.waiting import DEADLINE_S

if TYPE_CHECKING:
    from types import TracebackType


class Outer:
    """The socket of whoever supervises pyinit (systemd, Podman), and what has been said there.

    Attributes:
        address: the value of NOTIFY_SOCKET.
        lines: the assignments that have come, in their order.
        senders: the PIDs that they came from, as the kernel says.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.lines: list[str] = []
        self.senders: list[int] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        if address.startswith("/"):
            os.chmod(address, 0o777)  # noqa: PTH101  # it is a string here

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def _take(self) -> None:
        data, extras, _, _ = self._socket.recvmsg(1 << 16, 256)
        self.lines += data.decode().splitlines()
        self.senders += [int.from_bytes(words[:4], "little") for _, _, words in extras]

    def wait(self, line: str) -> None:
        """Wait until this assignment has come."""
        end = time.monotonic() + DEADLINE_S
        while line not in self.lines:
            self._socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                self._take()
            except TimeoutError:
                message = f"waited for {line!r}, but only these have come: {self.lines}"
                raise AssertionError(message) from None

    def all(self) -> list[str]:
        """Return all that has come until now."""
        self._socket.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._take()
        return self.lines


# For a test that is about both kinds of sockets: those without a file, and those with one.
