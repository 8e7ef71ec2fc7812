"""One client of the control socket, and what goes over its connection: nothing here waits."""

from __future__ import annotations

import _socket
import select
from errno import EAGAIN, EINTR

from pyinit.control.protocol import LONGEST
from pyinit.notify import discard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# So many messages of a client that is let go are looked through for descriptors.
DRAINED = 16
NOT_NOW = frozenset((EAGAIN, EINTR))
_ROOM = _socket.CMSG_SPACE(4 * 253)  # SCM_MAX_FD, unix(7)
_FLAGS = _socket.MSG_DONTWAIT | _socket.MSG_CMSG_CLOEXEC


class Client:
    """One connection.

    Attributes:
        pid, uid: who it was that connected.
        data: what has come of requests that are not begun yet, at most one longest request.
        out: what of the answer has not gone out yet: one piece at most.
        job: makes the rest of the answer, or None.
        waits: the job has no more for now.
        until: what the client waits for (WAIT), or empty.
        last: it is let go of when `out` has gone.
        seen: when it was last heard of, as a count of such moments.
    """

    __slots__ = ("data", "job", "last", "mask", "out", "pid", "seen", "sock", "uid", "until", "waits")

    def __init__(self, sock: _socket.socket, pid: int, uid: int, seen: int) -> None:
        self.sock = sock
        self.pid = pid
        self.uid = uid
        self.data = b""
        self.out = b""
        self.job: Iterator[bytes | None] | None = None
        self.waits = False
        self.until = ""
        self.last = False
        self.mask = select.EPOLLIN
        self.seen = seen

    @property
    def busy(self) -> int:
        """How much is lost if it is let go of: 0: nothing, 1: an answer that it may not take, 2: what it waits for."""
        if self.waits:
            return 2
        return 1 if self.job is not None or self.out else 0


def receive(sock: _socket.socket, size: int, *, rights: bool) -> bytes | None:
    """Receive at most so many bytes: none at the end, None where there are none yet.

    `rights`: descriptors may come along, and are closed.
    """
    try:
        data, extras, _, _ = sock.recvmsg(size, _ROOM if rights else 0, _FLAGS)
    except OSError as error:
        return None if error.errno in NOT_NOW else b""
    for level, kind, words in extras:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            discard(_socket, words)
    return data


def close(sock: _socket.socket, *, rights: bool) -> None:
    """Close a connection, first what was sent with it: to close a stranger's socket can take long (SO_LINGER)."""
    if rights:
        try:  # noqa: SIM105  # contextlib takes longer to load than all that serves clients
            sock.shutdown(_socket.SHUT_RD)
        except OSError:
            pass  # it has gone already
        for _ in range(DRAINED):
            if not receive(sock, LONGEST, rights=True):
                break
    sock.close()


def send(sock: _socket.socket, data: bytes) -> int | None:
    """Send as much as goes without waiting: how many bytes, or None when nobody is there any more."""
    if not data:
        return 0
    try:
        return sock.send(data, _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL)
    except OSError as error:
        return 0 if error.errno in NOT_NOW else None
