"""Writes whole log records to a descriptor, and never waits for whoever reads them."""

from __future__ import annotations

import fcntl
import posix
import select
from errno import EAGAIN, EDQUOT, EFBIG, EINTR, EIO, EMSGSIZE, ENOSPC, ENOTTY, EPIPE
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections import deque
    from collections.abc import Callable

    Send = Callable[[bytes], int]
else:
    from _collections import deque  # what the module around it adds is made in Python, and not small

# What pipe(7) lets through in one piece, in bytes.
PIPE_BUF = 4096

# How much waits in memory for a reader that is slow, in bytes: some 2,000 reap records.
CAPACITY = 1 << 20

# How long `close` waits for a reader that takes nothing at all, in seconds.
STALL_S = 0.2

# At most this much goes into one write to a regular file or a stream socket, in bytes.
_BIG_BATCH = 65536

# So much is kept for the next `flush`, in bytes; more than that `put` writes out by itself. Only the first of several
# writes in a row wakes a reader that sleeps, and to wake it costs more than the write.
_GROUP = 8 * PIPE_BUF

_OPEN_FLAGS = posix.O_WRONLY | posix.O_APPEND | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC

# The number of the device that a terminal really is, see ioctl_tty(2). Where the number of the call is another
# (MIPS, POWER, SPARC) it is refused.
_TIOCGDEV = 0x80045432

# RWF_NOWAIT of preadv2(2) and SPLICE_F_NONBLOCK of splice(2), which not every libc names.
_RWF_NOWAIT = 8
_SPLICE_F_NONBLOCK = 2

# The file types of fstat(2), see inode(7).
_S_IFMT = 0o170000
_S_IFIFO = 0o010000
_S_IFSOCK = 0o140000

# "Not now" as opposed to "no".
_NOT_NOW = frozenset((EAGAIN, EINTR))

# After these a line of which the first part is out already can still be finished later.
_NO_ROOM = frozenset((ENOSPC, EDQUOT, EFBIG, EIO))


class Notice(bytes):
    """A line that tells of dropped records; `told` is their number. The line itself counts as no record."""

    told = 0


class Writer:
    """Puts lines out in order and whole, to a descriptor that may be slow, full, closed or without a reader.

    Nothing here waits but `close`, and nothing raises OSError. The descriptor that is handed in is shared (descriptor 2
    is main's as well), and O_NONBLOCK is a flag of the open file description, not of the descriptor: to set it would
    make main's own writes fail. So the writer either gets a description of its own or asks for each single write not
    to wait; which of them depends on what the descriptor is (see `_open_send`).

    Attributes:
        dropped: how many lines were lost in all (notices not counted).
        untold: how many of them no notice has told of yet.
        notice: makes the line that tells of so many dropped lines; None: nobody is told.

    """

    def __init__(self, fd: int, *, own_fd: bool = False, capacity: int = CAPACITY) -> None:
        """Look at `fd` and find the way to write to it without waiting.

        Args:
            fd: where the lines go. It may be closed: then every line is dropped and counted.
            own_fd: True when nobody shares the open file description of `fd`; the writer closes it at the end.
            capacity: how many bytes may wait for the reader.

        """
        self.dropped = 0
        self.untold = 0
        self.notice: Callable[[int], Notice] | None = None
        self._capacity = capacity
        self._queue: deque[bytes] = deque()
        self._size = 0  # bytes of the queue that are still to go out
        self._sent = 0  # bytes of its first line that are out already
        self._due = _GROUP  # `put` itself writes before the queue is larger than this
        self._batch = PIPE_BUF  # at most so much in one write, but at least a line
        self._poll_fd = -1
        self._fds: list[int] = []
        self._socket: socket | None = None
        self._send: Send | None = None
        try:
            self._send = self._open_send(fd, own_fd=own_fd)
        except (OSError, ValueError):
            # Closed (or negative), or not ours to look at. PID 1 lives on without a log.
            self._poll_fd = -1

    @property
    def writable(self) -> bool:
        """Whether a way to write has been found."""
        return self._send is not None

    def _open_send(self, fd: int, *, own_fd: bool) -> Send | None:
        """Return the function that writes to `fd` without waiting, or None when it can't be written to.

        - Pipe: opened again through /proc, for a description of our own with O_NONBLOCK. Where that is refused
          (EACCES: the pipe is another uid's; ENOENT: no /proc; ENXIO: no reader), see `_splice_send`.
        - Terminal: opened again likewise, else as /dev/tty. Where it is neither ours nor the controlling one, nothing
          is written: POLLOUT promises room for one byte, and a longer write may wait for ever (Ctrl-S).
        - Socket: can't be opened again, but send(2) takes MSG_DONTWAIT.
        - Regular file: written through the shared description, because that has the offset: from a second description
          we would write over main's output. It waits for no reader.

        Raises:
            OSError: EBADF when `fd` is closed.

        """
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        if own_fd:
            fd = _above_stdio(fd)
            self._fds.append(fd)
        if flags & posix.O_ACCMODE == posix.O_RDONLY:
            # A pipe's reading end could be opened again for writing, but nobody would expect that.
            return None
        kind = posix.fstat(fd).st_mode & _S_IFMT
        if kind == _S_IFSOCK:
            return self._socket_send(fd)
        if kind != _S_IFIFO and not posix.isatty(fd):
            # A regular file, or /dev/null and its like: nobody to wait for.
            self._batch = self._due = _BIG_BATCH
            return _write_send(fd)
        self._poll_fd = fd
        if own_fd:
            fcntl.fcntl(fd, fcntl.F_SETFL, flags | posix.O_NONBLOCK)
            return _write_send(fd)
        try:
            own = _open_again(fd)
        except OSError:
            if kind == _S_IFIFO:
                return self._splice_send(fd)
            own = _open_controlling_terminal(fd)
        self._fds.append(own)
        self._poll_fd = own
        return _write_send(own)

    def _splice_send(self, fd: int) -> Send:
        """Return a send for a pipe that we can't have a description of our own for.

        To ask poll(2) and then write is not enough: main writes to the same pipe and may fill it between the two
        calls; then the write waits, and PID 1 with it. splice(2) takes the wish not to wait for each single call. The
        batch (at most one page) is written to a private empty pipe, where it always fits, and from there that page
        moves as one piece or not at all. Where splice is refused (seccomp, no descriptors left) `_nowait_send` is left.
        """
        nowait = _nowait_send(fd)
        try:
            source, sink = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        except OSError:
            return nowait
        source = _above_stdio(source)
        sink = _above_stdio(sink)
        self._fds += (source, sink)

        def send(data: bytes) -> int:
            size = posix.write(sink, data)
            moved = 0
            try:
                moved = posix.splice(source, fd, size, flags=_SPLICE_F_NONBLOCK)
            except OSError as error:
                if error.errno in _NOT_NOW or error.errno == EPIPE:
                    raise
            finally:
                # What did not move comes from the queue again, maybe in another batch.
                if moved < size:
                    posix.read(source, size)
            return moved or nowait(data)

        return send

    def _socket_send(self, fd: int) -> Send:
        """Return a send for a socket. One message of a datagram socket is one record."""
        import _socket  # a socket as a log is rare, and the module is not small

        if self._fds:
            self._fds.clear()  # the socket object closes it
        else:
            fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
        sock = _socket.socket(fileno=fd)
        self._socket = sock
        self._poll_fd = fd
        self._batch = _BIG_BATCH if sock.type == _socket.SOCK_STREAM else 0
        flags = _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL
        return lambda data: sock.send(data, flags)

    @property
    def waiting(self) -> bool:
        """Whether there is something to write."""
        return bool(self._queue)

    def put(self, line: bytes) -> None:
        """Queue one line (at most 4096 bytes with its newline); write when many wait; drop where is no room.

        Few lines go out with the next `flush` or `pending_fd`, so that a burst costs few writes.
        """
        if self._send is None:
            self.dropped += 1
            self.untold += 1
            return
        if self.untold:
            self._tell()
        size = self._size + len(line)
        if size > self._due or size > self._capacity:
            self.flush(whole=True)
            size = self._size + len(line)
            if size > self._capacity:
                self.dropped += 1
                self.untold += 1
                return
        self._queue.append(line)
        self._size = size

    def flush(self, *, whole: bool = False) -> None:
        """Write as much of the queue as goes without waiting, then the notice of what was dropped, if there is one.

        `whole`: what fills no batch may stay. A pipe has room for so many writes, however small they are.
        """
        if self._drain(whole=whole) and self.untold:
            self._tell()
            self._drain()

    def pending_fd(self) -> int | None:
        """Flush; return the descriptor to watch for POLLOUT when something is left and can be watched, else None."""
        if self._queue:
            self.flush()
            if self._queue and self._poll_fd >= 0:
                return self._poll_fd
        return None

    def close(self, max_wait_s: float) -> None:
        """Flush for at most `max_wait_s` seconds, less when the reader takes nothing for STALL_S, then let go.

        What could not be written is counted in `dropped`. Lines that come later are dropped.
        """
        if self._queue or self.untold:
            self.flush()
            if self._queue and self._poll_fd >= 0:
                self._wait_for_reader(monotonic() + max_wait_s)
            self._lose(keep_first=False)
        self._send = None
        self._poll_fd = -1
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        for fd in self._fds:
            posix.close(fd)
        self._fds.clear()

    def _wait_for_reader(self, deadline_s: float) -> None:
        poller = select.poll()
        poller.register(self._poll_fd, select.POLLOUT)
        now_s = monotonic()
        stalled_s = now_s + STALL_S
        while self._queue and now_s < deadline_s and now_s < stalled_s:
            poller.poll((min(deadline_s, stalled_s) - now_s) * 1000.0)
            size = self._size
            self.flush()
            now_s = monotonic()
            if self._size < size:
                stalled_s = now_s + STALL_S

    def _drain(self, *, whole: bool = False) -> bool:
        """Write until the queue is empty or the descriptor takes no more; return False when lines were lost.

        `whole`: the first batch goes out whatever its size, and further ones as long as they are full.
        """
        queue = self._queue
        send = self._send
        while queue and send is not None:
            data = self._next_batch()
            try:
                size = send(data)
            except OSError as error:
                if error.errno in _NOT_NOW:
                    break
                if error.errno == EMSGSIZE:
                    self._lose_first()
                    continue
                # What can be watched is no file that has room again later: a terminal that has hung up (EIO) stays so,
                # is always ready, and a line that is out in part would be tried again and again.
                self._lose(keep_first=error.errno in _NO_ROOM and self._poll_fd < 0)
                return False
            if not size:
                break
            self._done(size)
            if whole and self._size < self._batch:
                break
        # While the reader is behind, the next try of `put` comes a group of lines later, not with each line.
        self._due = self._size + max(self._batch, _GROUP)
        return True

    def _next_batch(self) -> bytes:
        if self._size + self._sent <= self._batch:
            data = b"".join(self._queue)
        else:
            lines: list[bytes] = []
            size = 0
            for line in self._queue:
                size += len(line)
                if lines and size > self._batch:
                    break
                lines.append(line)
            data = b"".join(lines)
        return data[self._sent :] if self._sent else data

    def _done(self, size: int) -> None:
        """Take `size` bytes off the queue's head."""
        queue = self._queue
        self._size -= size
        if not self._size:
            queue.clear()
            self._sent = 0
            return
        size += self._sent
        while size >= len(queue[0]):
            size -= len(queue.popleft())
        self._sent = size

    def _lose(self, *, keep_first: bool) -> None:
        """Drop the queue and count; a first line that is out in part is kept where it can be finished later."""
        kept = self._queue.popleft() if keep_first and self._sent else None
        while self._queue:
            self._lose_first()
        if kept is not None:
            self._queue.append(kept)
            self._size = len(kept) - self._sent
        else:
            self._size = self._sent = 0

    def _lose_first(self) -> None:
        line = self._queue.popleft()
        self._size -= len(line)
        if isinstance(line, Notice):
            self.untold += line.told
        else:
            self.untold += 1
            self.dropped += 1

    def _tell(self) -> None:
        """Queue the notice of the lines dropped so far, where they are missing, once there is room for more than it."""
        if self.notice is not None and self._size + 2 * PIPE_BUF <= self._capacity:
            line = self.notice(self.untold)
            self.untold = 0
            self._queue.append(line)
            self._size += len(line)


def _above_stdio(fd: int) -> int:
    """Return `fd`, or where it is one of 0 to 2 its copy above them, close-on-exec; nothing of ours lands on those."""
    if fd > 2:  # noqa: PLR2004
        posix.set_inheritable(fd, False)  # noqa: FBT003  (it takes no keyword)
        return fd
    above = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    posix.close(fd)
    return above


def _open_again(fd: int) -> int:
    """Open the pipe or terminal behind `fd` once more, so that O_NONBLOCK is only ours.

    Raises:
        OSError: EACCES, ENOENT, ENXIO (see proc_pid_fd(5)), EMFILE; ENOENT also when /proc shows something else.

    """
    own = posix.open(f"/proc/self/fd/{fd}", _OPEN_FLAGS)
    there = posix.fstat(own)
    here = posix.fstat(fd)
    if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
        posix.close(own)
        raise FileNotFoundError
    return _above_stdio(own)


def _open_controlling_terminal(fd: int) -> int:
    """Open the terminal behind `fd` as /dev/tty, which works whoever owns it (su keeps the terminal's owner).

    Raises:
        OSError: ENXIO, ENOENT; ENOTTY also when the controlling terminal is another one.

    """
    device = fcntl.ioctl(fd, _TIOCGDEV, bytes(4))
    own = _above_stdio(posix.open("/dev/tty", _OPEN_FLAGS))
    if fcntl.ioctl(own, _TIOCGDEV, bytes(4)) == device:
        return own
    posix.close(own)
    raise OSError(ENOTTY, "another terminal")


def _write_send(fd: int) -> Send:
    """Return a send for a descriptor that never waits: non-blocking, or a regular file."""
    write = posix.write
    return lambda data: write(fd, data)


def _nowait_send(fd: int) -> Send:
    """Return a send that asks pwritev2(2) not to wait; pipes know that since Linux 6.4, else it is EOPNOTSUPP."""
    return lambda data: posix.pwritev(fd, [data], -1, _RWF_NOWAIT)
