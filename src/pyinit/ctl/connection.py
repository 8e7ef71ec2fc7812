"""Finds the pyinit that is to be asked, makes sure that it is the one, and talks to it."""

from __future__ import annotations

import _socket
import posix
import sys

from pyinit.control import peer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# So long an answer may keep us waiting for its next piece (seconds).
PATIENCE_S = 10.0
# The same as a struct timeval of two longs, for SO_SNDTIMEO (socket(7)).
_PATIENCE = int(PATIENCE_S).to_bytes(sys.maxsize.bit_length() // 8 + 1, sys.byteorder) + bytes(
    sys.maxsize.bit_length() // 8 + 1
)
_CHUNK = 1 << 16
_UNIX_SOCKETS = "/proc/net/unix"


class NoAnswerError(Exception):
    """No pyinit answers; the message is one line that says why, and what can be done."""


class AbsentError(NoAnswerError):
    """No control socket is there."""


class Connection:
    """A connection to a pyinit; `pid` is its PID."""

    def __init__(self, pid: int) -> None:
        """Connect to the pyinit with this PID, and make sure that it is that one. Raises NoAnswerError."""
        self.pid = pid
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        self._data = b""
        try:
            # Not by settimeout(): a socket that does not block is turned away where others wait in the queue.
            self._socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, _PATIENCE)
            self._socket.connect(peer.address(pid))
            self._socket.settimeout(PATIENCE_S)
            found, uid = peer.credentials(self._socket)
        except ConnectionRefusedError:
            raise AbsentError(_absent(pid)) from None
        except OSError as error:
            message = f"pyinit (PID {pid}) cannot be reached: {_why(error)}"
            raise NoAnswerError(message) from None
        # Whoever is quick can take a name that is no file. The kernel says who has it.
        if found != pid:
            message = f"PID {pid} is not asked: PID {found}, uid {uid}, has taken the name of its control socket"
            raise NoAnswerError(message)
        own = posix.geteuid()
        if own != 0 and uid not in (0, own):
            message = f"pyinit (PID {pid}) runs as uid {uid}, and answers that uid and uid 0 alone; you are uid {own}"
            raise NoAnswerError(message)

    def fileno(self) -> int:
        """Return the descriptor, which becomes readable when there is more, and at the end."""
        return self._socket.fileno()

    def patience(self, seconds: float | None) -> None:
        """Wait for the next pieces so long (None: for ever)."""
        self._socket.settimeout(seconds)

    def send(self, request: str) -> None:
        """Send a request, a line without its newline. Raises NoAnswerError."""
        try:
            self._socket.sendall(request.encode("ascii") + b"\n", _socket.MSG_NOSIGNAL)
        except (BrokenPipeError, ConnectionResetError):
            return  # it has been turned away: what is there to be read says why
        except OSError as error:
            message = f"pyinit (PID {self.pid}) does not listen: {_why(error)}"
            raise NoAnswerError(message) from None

    def line(self) -> bytes:
        """Return the next line without its newline. Raises NoAnswerError, TimeoutError when patience is at its end."""
        for line in self.lines():
            return line
        message = f"pyinit (PID {self.pid}) has closed the connection: it is ending, or too many clients are there"
        raise NoAnswerError(message)

    def lines(self) -> Iterator[bytes]:
        """Yield lines until pyinit closes the connection. Raises TimeoutError when patience is at its end."""
        parts = [self._data]
        while True:
            *lines, rest = parts[-1].split(b"\n")
            for at, line in enumerate(lines):
                whole = b"".join((*parts[:-1], line))
                parts = [b""]
                self._data = b"\n".join((*lines[at + 1 :], rest))
                yield whole
            parts[-1] = rest
            self._data = b""
            try:
                data = self._socket.recv(_CHUNK)
            except ConnectionResetError:
                return
            if not data:
                return
            parts.append(data)


def find(pid: int) -> Connection:
    """Connect to the pyinit with this PID; 0: to PID 1, else to the only one of our own. Raises NoAnswerError."""
    if pid:
        return Connection(pid)
    try:
        return Connection(1)
    except AbsentError:
        pass
    found = candidates()
    if len(found) == 1:
        return Connection(found[0])
    if found:
        some = ", ".join(map(str, found[:8]))
        message = f"several pyinits run here (PID {some}); say which with --pid"
        raise NoAnswerError(message)
    raise AbsentError(_absent(0))


def candidates() -> list[int]:
    """List the pyinits of our user, or of root's, whose sockets are in our network namespace."""
    name = peer.address(0)[1:-1]
    try:
        fd = posix.open(_UNIX_SOCKETS, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return []
    parts = []
    try:
        while part := posix.read(fd, _CHUNK):
            parts.append(part)
    finally:
        posix.close(fd)
    found = set()
    for line in b"".join(parts).split(b"\n"):
        before, at, number = line.rpartition(b" @" + name)
        # The listening socket alone has SO_ACCEPTCON in its flags, the fourth column.
        if at and number.isdigit() and before.split()[3:4] == [b"00010000"] and _is_ours(int(number)):
            found.add(int(number))
    return sorted(found)


def _is_ours(pid: int) -> bool:
    try:
        return posix.stat(f"/proc/{pid}").st_uid == posix.geteuid()
    except OSError:
        return False


def _absent(pid: int) -> str:
    if not pid:
        return "no pyinit of yours runs here with a control socket; name one with --pid, or run this in its container"
    try:
        posix.stat(f"/proc/{pid}")
    except OSError:
        return f"there is no process {pid} here; ps shows those that there are"
    return f"PID {pid} has no control socket here: it is no pyinit, runs with --no-control, or has another network"


def _why(error: OSError) -> str:
    late = isinstance(error, (TimeoutError, BlockingIOError))
    return "no answer came in time" if late else error.strerror or str(error)
