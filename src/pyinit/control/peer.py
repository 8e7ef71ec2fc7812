"""Where the control socket is, and who is at its other end. Both sides use this."""

from __future__ import annotations

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket  # noqa: N812  # it is a class

PREFIX = b"\0pyinit/"
_CREDENTIALS = 12  # sizeof(struct ucred): pid, uid, gid


def address(pid: int) -> bytes:
    """Return the address of the pyinit that has this PID in our PID namespace (unix(7), abstract).

    The namespace's own number is part of it, because namespaces of PIDs can share one of networks: the containers of a
    pod do, and in each of them pyinit is PID 1.
    """
    return PREFIX + b"%s/%d" % (namespace().encode(), pid)


def namespace() -> str:
    """Return the number of our PID namespace (namespaces(7)), "0" where /proc does not say."""
    try:
        return posix.readlink("/proc/self/ns/pid").removeprefix("pid:[").removesuffix("]")
    except OSError:
        return "0"


def credentials(sock: Socket) -> tuple[int, int]:
    """Return the PID and the uid of the other end, as of its connect(2) or listen(2) (SO_PEERCRED, unix(7)).

    The PID is 0 where it is outside of our PID namespace. Raises OSError.
    """
    from _socket import SO_PEERCRED, SOL_SOCKET

    data = sock.getsockopt(SOL_SOCKET, SO_PEERCRED, _CREDENTIALS)
    return int.from_bytes(data[:4], sys.byteorder, signed=True), int.from_bytes(data[4:8], sys.byteorder)


def objection(pid: int, uid: int) -> str:
    """Say why pyinit does not answer somebody; empty when it does: uid 0 and our own, of our PID namespace."""
    if pid <= 0:
        return "it is outside of the PID namespace"
    if uid not in (0, posix.geteuid()):
        return f"only uid 0 and uid {posix.geteuid()} are answered"
    if _is_nested(pid):
        return "it is in a PID namespace of its own"
    return ""


def _is_nested(pid: int) -> bool:
    """Say whether /proc shows that a process has a number in a PID namespace below ours, too (NSpid)."""
    try:
        fd = posix.open(f"/proc/{pid}/status", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return False  # gone, hidden, or no /proc: the kernel has told its number here, and its user
    try:
        data = posix.read(fd, 4096)
    except OSError:
        return False
    finally:
        posix.close(fd)
    for line in data.split(b"\n"):
        if line.startswith(b"NSpid:"):
            return len(line.split()) > 2  # noqa: PLR2004  # the word, and one number
    return False
