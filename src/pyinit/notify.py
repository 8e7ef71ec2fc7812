"""Speaks the protocol of sd_notify(3): takes a service's messages in, and sends messages on."""

from __future__ import annotations

import posix
import sys
from errno import EAGAIN, errorcode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket  # noqa: N812  # it is a class
    from collections.abc import Mapping
    from types import ModuleType

LONGEST = 4096  # bytes of a message: systemd takes no longer ones either
# Each is proven before the next signal is looked at, and proving a process deep below takes milliseconds.
BATCH = 4
_NAME = 64  # bytes of a field's name
_MAX_FDS = 253  # SCM_MAX_FD, unix(7): one message carries no more
_CREDENTIALS = 12  # sizeof(struct ucred): pid, uid, gid
_ADDRESS = 108  # sizeof(sun_path), unix(7)
_BARRIER = b"BARRIER=1"
_NO_LINGER = bytes(8)  # struct linger, socket(7)


class Message:
    r"""One message. The descriptors that came with it are closed already.

    Attributes:
        pid: who sent it, as the kernel says; 0 where unknown, or outside of our PID namespace.
        uid: the sender's user, -1 where unknown.
        fields: the assignments, names as they were sent; what is no UTF-8 in a value is written as `\xNN`.
    """

    __slots__ = ("fields", "pid", "uid")

    def __init__(self, pid: int, uid: int, fields: dict[str, str]) -> None:
        self.pid = pid
        self.uid = uid
        self.fields = fields


class Inbox:
    """The socket that a service sends its messages to: in the abstract namespace, with a name from the kernel.

    Raises OSError where it cannot be made. SO_RCVBUF is left alone: it has no effect on such sockets (unix(7)). The
    queue has net.unix.max_dgram_qlen places, and who finds it full waits.

    Attributes:
        address: the value for NOTIFY_SOCKET, `@` and the name.
        fd: becomes readable when there is a message; not blocking, closed on exec.
    """

    def __init__(self) -> None:
        import _socket

        self._lib = _socket
        self._room = _socket.CMSG_SPACE(_CREDENTIALS) + _socket.CMSG_SPACE(4 * _MAX_FDS)
        kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        self._socket: Socket = _socket.socket(_socket.AF_UNIX, kind)
        try:
            # Before there is a name: no message is to come without its sender.
            self._socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
            self._socket.bind(b"")
            self.address: bytes = b"@" + self._socket.getsockname()[1:]
        except OSError:
            self._socket.close()
            raise
        self.fd: int = self._socket.fileno()

    def receive(self) -> list[Message]:
        """Take in what has come, at most 4 datagrams; never blocks, never raises.

        Left out are datagrams longer than 4096 bytes, those that hold no assignment, and barriers. A barrier
        (sd_notify(3), BARRIER=1) is taken in only at the head of a call: its descriptor is closed when all that was
        sent before it has been dealt with, and so its sender, who waits for that, can still be looked at.
        """
        messages: list[Message] = []
        for _ in range(BATCH):
            try:
                # Without room for them, descriptors are not received by a look.
                if messages and self._socket.recv(len(_BARRIER), self._lib.MSG_PEEK) == _BARRIER:
                    break
                data, extras, flags, _ = self._socket.recvmsg(LONGEST, self._room, self._lib.MSG_CMSG_CLOEXEC)
            except OSError:  # EAGAIN: there is no more
                break
            pid, uid = self._take_extras(extras)
            fields = {} if flags & self._lib.MSG_TRUNC else parse(data)
            if fields and "BARRIER" not in fields:  # its descriptor is closed: it has had its answer
                messages.append(Message(pid, uid, fields))
        return messages

    def close(self) -> None:
        """Close the socket: whoever sends from now on is refused."""
        self._socket.close()

    def _take_extras(self, extras: list[tuple[int, int, bytes]]) -> tuple[int, int]:
        """Close the descriptors that came with a message; return its sender's PID and user.

        Those that we had no number left for (EMFILE: MSG_CTRUNC) the kernel has closed.
        """
        pid, uid = 0, -1
        for level, kind, data in extras:
            if level != self._lib.SOL_SOCKET:
                continue
            words = [int.from_bytes(data[at : at + 4], sys.byteorder) for at in range(0, len(data) & ~3, 4)]
            if kind == self._lib.SCM_CREDENTIALS and len(data) == _CREDENTIALS:
                pid, uid, _ = words
            elif kind == self._lib.SCM_RIGHTS:
                discard(self._lib, data)
        return pid, uid


class Outbox:
    """A NOTIFY_SOCKET of somebody else's: `@name` or `/path`. No descriptor is kept.

    Attributes:
        reason: why nothing can be sent to such an address, or None.
    """

    def __init__(self, address: bytes) -> None:
        self.reason = _unusable(address)
        self._address = b"\0" + address[1:] if address.startswith(b"@") else address

    def send(self, fields: Mapping[str, str]) -> str | None:
        """Send one message; None when it is sent, else the reason. Never blocks, never raises.

        A line break in a value becomes a blank.
        """
        if self.reason is not None:
            return self.reason
        lines = (f"{name}={value}".replace("\n", " ") for name, value in fields.items())
        data = "\n".join(lines).encode("utf-8", "backslashreplace")
        if len(data) > LONGEST:
            return f"takes messages of {LONGEST} bytes, not of {len(data)}"
        try:
            import _socket

            sender = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
            try:
                sender.sendto(data, _socket.MSG_NOSIGNAL, self._address)
            finally:
                sender.close()
        except OSError as error:
            if error.errno == EAGAIN:
                return "does not keep up (EAGAIN)"
            return f"cannot be reached ({errorcode.get(error.errno or 0, str(error))})"
        return None


def discard(lib: ModuleType, data: bytes) -> None:
    """Close descriptors from somebody we don't trust (SCM_RIGHTS); `lib` is _socket.

    A socket could be set to make us wait (SO_LINGER, socket(7)).
    """
    for at in range(0, len(data) & ~3, 4):
        fd = int.from_bytes(data[at : at + 4], sys.byteorder)
        try:
            sent = lib.socket(fileno=fd)
        except OSError:  # ENOTSOCK
            sent = None
        try:
            if sent is None:
                posix.close(fd)
                continue
            try:
                sent.setsockopt(lib.SOL_SOCKET, lib.SO_LINGER, _NO_LINGER)
            finally:
                sent.close()
        except OSError:
            continue  # what close(2) says then is for who wrote; the descriptor is gone all the same


def parse(data: bytes) -> dict[str, str]:
    """Read a message: lines of NAME=VALUE (sd_notify(3)); other lines count for nothing. Never raises.

    A name is made of letters, digits and `_`. Of two lines with one name the first counts. A barrier that does not
    come alone makes the whole message void.
    """
    fields: dict[str, str] = {}
    for line in data.rstrip(b"\0").split(b"\n"):
        name, equals, value = line.partition(b"=")
        if equals and len(name) <= _NAME and name.replace(b"_", b"").isalnum() and b"\0" not in value:
            fields.setdefault(name.decode("ascii"), value.decode("utf-8", "backslashreplace"))
    return {} if "BARRIER" in fields and len(fields) > 1 else fields


def _unusable(address: bytes) -> str | None:
    if address.startswith(b"vsock"):
        return "is a vsock address, which pyinit does not speak; name a path or an abstract socket"
    if address[:1] not in (b"@", b"/") or len(address) == 1:
        return "is neither a path nor an abstract socket"
    if b"\0" in address:
        return "holds a byte 0"
    # A path needs room for the byte 0 at its end.
    if len(address) > _ADDRESS - address.startswith(b"/"):
        return f"is too long for a socket's address ({len(address)} bytes)"
    return None
