"""Sees every process that comes to be and how it ended, from the kernel's proc connector, without asking pyinit.

The kernel tells a listener on netlink about every fork and every exit on the machine
(drivers/connector/cn_proc.c). It needs root in the first PID namespace; `available()` says so. Numbers are those of
the first PID namespace.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import select
import socket
import struct
import threading
from pathlib import Path

FIRST_PID_NAMESPACE = 0xEFFFFFFC  # the number of its file (linux/nsfs.h, PID_NS_INIT_INO)
NETLINK_CONNECTOR = 11
CN_IDX_PROC = 1
PROC_CN_MCAST_LISTEN = 1
NLMSG_DONE = 3
SO_RCVBUFFORCE = 33
SO_ATTACH_FILTER = 26
BUFFER_BYTES = 256 << 20

EVENT_NONE = 0
EVENT_FORK = 1
EVENT_EXIT = 0x80000000

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_MESSAGE = struct.Struct("=IIIIHH")  # struct cn_msg
_WHAT = struct.Struct("=IIQ")  # struct proc_event, up to its union
_OFFSET = _HEADER.size + _MESSAGE.size
_FORK = struct.Struct("=IIII")  # parent, parent's group, child, child's group
_EXIT = struct.Struct("=IIIIII")  # pid, group, wait status, signal to the parent, parent, parent's group


class Seen:
    """One process that the witness saw; `status` is its wait status, None while it lives."""

    __slots__ = ("exit_parent", "parent", "pid", "status")

    def __init__(self, pid: int, parent: int) -> None:
        self.pid = pid
        self.parent = parent
        self.status: int | None = None
        self.exit_parent = -1

    def __repr__(self) -> str:
        return f"Seen({self.pid}, parent {self.parent}, status {self.status}, parent at its end {self.exit_parent})"


def _only_forks_and_exits() -> tuple[bytes, ctypes.Array[ctypes.c_char]]:
    """Return a socket filter (struct sock_fprog), so that the buffer is not filled with what nobody reads."""
    wanted = [EVENT_NONE, EVENT_FORK, EVENT_EXIT]
    code = [(0x20, 0, 0, _OFFSET)]  # load the word at _OFFSET, taken as big-endian
    for i, what in enumerate(wanted):
        code.append((0x15, len(wanted) - i, 0, socket.htonl(what)))  # equal: jump to "accept"
    code += [(0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in code))
    return struct.pack("@HP", len(code), ctypes.addressof(program)), program


class Witness:
    """Listens from its creation until `stop`."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
            filtering, self._program = _only_forks_and_exits()
            self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filtering)
            self._socket.bind((0, CN_IDX_PROC))
            listen = struct.pack("=I", PROC_CN_MCAST_LISTEN)
            body = _MESSAGE.pack(CN_IDX_PROC, 1, 0, 0, len(listen), 0) + listen
            self._socket.send(_HEADER.pack(_HEADER.size + len(body), NLMSG_DONE, 0, 0, 0) + body)
            self._events: list[bytes] = []
            self.lost = False
            self._await_answer()
        except BaseException:
            self._socket.close()
            raise
        self._stop_r, self._stop_w = os.pipe()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _await_answer(self) -> None:
        """Until the kernel has acknowledged: from here on nothing is missed."""
        self._socket.settimeout(5)
        while True:
            event = self._socket.recv(256)
            if _WHAT.unpack_from(event, _OFFSET)[0] == EVENT_NONE:
                break
            self._events.append(event)
        self._socket.settimeout(0)

    def _drain(self) -> None:
        while True:
            try:
                self._events.append(self._socket.recv(256))
            except BlockingIOError:
                return
            except OSError:  # ENOBUFS: the buffer was full, something is missing
                self.lost = True

    def _listen(self) -> None:
        while True:
            ready, _, _ = select.select([self._socket.fileno(), self._stop_r], [], [])
            self._drain()
            if self._stop_r in ready:
                return

    def stop(self) -> None:
        """Take what has come until now, and listen no more."""
        if self._thread.is_alive():
            os.write(self._stop_w, b".")
            self._thread.join()
            os.close(self._stop_r)
            os.close(self._stop_w)
            self._socket.close()

    def below(self, top: int) -> tuple[list[Seen], int | None]:  # noqa: C901  # one story, told event by event
        """Return what came to be below `top` (or came to it at its end), and the wait status of `top`.

        A process that was never below `top` but had it as its parent when it ended is in the list too (foreign).
        """
        self.stop()
        below: dict[int, Seen] = {}  # by number, until the number is somebody else's
        strangers: dict[int, int] = {}
        threads: dict[int, int] = {}  # how many of a process have not ended, the first one included
        found: list[Seen] = []
        statuses: dict[int, int] = {}  # of a thread that just ends it is 0; of the last ones it is that of the process
        top_status = None
        over = False
        for event in self._events:
            what = _WHAT.unpack_from(event, _OFFSET)[0]
            if what == EVENT_FORK:
                _, parent, task, child = _FORK.unpack_from(event, _OFFSET + _WHAT.size)
                if task != child:  # a thread
                    threads[child] = threads.get(child, 1) + 1
                    continue
                threads[child] = 1
                statuses.pop(child, None)
                if child == top:  # the number begins to mean pyinit; or it did, and now means somebody else
                    over = top_status is not None
                    if not over:
                        below.clear()
                        strangers.clear()
                        found.clear()
                    continue
                if (parent == top and not over) or parent in below:
                    below[child] = Seen(child, parent)
                    found.append(below[child])
                else:
                    strangers[child] = parent
                    below.pop(child, None)
            elif what == EVENT_EXIT:
                _, pid, status, _, _, parent = _EXIT.unpack_from(event, _OFFSET + _WHAT.size)
                status = statuses[pid] = statuses.get(pid, 0) or status
                threads[pid] = threads.get(pid, 1) - 1
                if threads[pid] > 0:  # the others go on, and may fork
                    continue
                if pid == top and not over:
                    # No end of the story: a process tells its end after its parent could reap it, so that the last
                    # ends below `top` may be heard after that of `top`.
                    top_status = status
                    continue
                seen = below.get(pid)
                if seen is None and parent == top and not over:
                    seen = Seen(pid, strangers.get(pid, 0))
                    found.append(seen)
                if seen is not None:
                    seen.status = status
                    seen.exit_parent = parent
        return found, top_status


@functools.cache
def available() -> bool:
    """Whether the proc connector can be asked here.

    In another PID namespace it does not answer; but what it tells somebody else on the machine is heard there, too.
    """
    if Path("/proc/self/ns/pid").stat().st_ino != FIRST_PID_NAMESPACE:
        return False
    with contextlib.suppress(OSError):
        Witness().stop()
        return True
    return False


def owed(seen: list[Seen], top: int) -> list[Seen]:
    """Those that `top` must have reaped: it was their parent when they ended.

    Where the parent has reaped the process before the kernel told the event, the kernel names no parent (0): then the
    one that forked it is believed.
    """
    return [one for one in seen if one.exit_parent == top or (one.exit_parent == 0 and one.parent == top)]
