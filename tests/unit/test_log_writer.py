"""The writer of the log: whole lines, in order, and never a wait for whoever reads them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import posix
import resource
import select
import signal
import socket
import sys
import termios
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyinit.log import open_log, writer
from pyinit.log.writer import CAPACITY, PIPE_BUF, Notice, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LINE = b"%07d" + b"." * 92 + b"\n"
LINE_BYTES = 100


def lines(count: int, start: int = 0) -> Iterator[bytes]:
    """Numbered lines of 100 bytes."""
    for number in range(start, start + count):
        yield LINE % number


def told(count: int) -> Notice:
    """Make the line that tells of dropped lines in these tests."""
    notice = Notice(b"dropped %d\n" % count)
    notice.told = count
    return notice


def refuse(error: int) -> Callable[..., Any]:
    """Return a system call that is refused."""

    def call(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    return call


def in_child(body: Callable[[], None]) -> None:
    """Run `body` in a child process; fail when it fails there."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            body()
            status = 0
        except BaseException:  # noqa: BLE001  (nothing of pytest may run in the child)
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


class Pipe:
    """A pipe; what is written is read without waiting for more than there is."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.other = os.dup(self.writer)  # another holder of the description, as main is

    def read_now(self) -> bytes:
        """All that is in the pipe."""
        os.set_blocking(self.reader, False)
        parts = []
        try:
            while part := os.read(self.reader, 1 << 16):
                parts.append(part)
        except BlockingIOError:
            pass
        return b"".join(parts)

    def shared_flags(self) -> int:
        """Look at the flags of the description that main and pyinit share."""
        return fcntl.fcntl(self.other, fcntl.F_GETFL)

    def close(self) -> None:
        """Close what is open."""
        for fd in (self.reader, self.writer, self.other):
            with contextlib.suppress(OSError):
                os.close(fd)


@pytest.fixture(name="pipe")
def _pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture(params=["own description", "splice", "nowait", "no descriptors left"], name="way")
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way to write to a pipe: that of the normal case, and those that are left where it is refused."""
    way: str = request.param
    if way != "own description":
        monkeypatch.setattr(writer, "_open_again", refuse(errno.EACCES))
    if way == "nowait":
        monkeypatch.setattr(posix, "splice", refuse(errno.EPERM))
    if way == "no descriptors left":
        monkeypatch.setattr(posix, "pipe2", refuse(errno.EMFILE))
    return way


@pytest.mark.invariant(6)
def test_full_pipe(pipe: Pipe, way: str) -> None:
    """A pipe that nobody empties takes what fits; the rest waits in memory and comes later, in order, all of it."""
    out = Writer(pipe.writer)
    for line in lines(5000):
        out.put(line)
    watched = out.pending_fd()
    assert watched is not None, way
    assert not select.select([], [watched], [], 0)[1], "the pipe is full"
    assert out.dropped == 0
    received = b""
    while out.pending_fd() is not None:
        received += pipe.read_now()
    received += pipe.read_now()
    assert received == b"".join(lines(5000))
    assert not pipe.shared_flags() & os.O_NONBLOCK
    out.close(0)


@pytest.mark.invariant(6)
def test_hung_reader_and_a_bounded_queue(pipe: Pipe, way: str) -> None:
    """With a reader that hangs, memory stays bounded; what was dropped is counted, told in its place, and no more."""
    out = Writer(pipe.writer)
    out.notice = told
    count = 20_000
    for line in lines(count):
        out.put(line)
    assert out.dropped > 0, way
    assert out._size <= CAPACITY
    first = out.dropped
    received = b""
    while out.pending_fd() is not None:
        received += pipe.read_now()
    for line in lines(10, count):
        out.put(line)
    out.flush()
    received += pipe.read_now()
    got = received.splitlines(keepends=True)
    assert out.dropped == first
    notices = [line for line in got if line.startswith(b"dropped")]
    assert notices == [b"dropped %d\n" % first]
    assert len(got) - len(notices) + out.dropped == count + 10
    # The notice stands where the lines are missing.
    place = got.index(notices[0])
    assert got[:place] == list(lines(place))
    assert got[place + 1 :] == list(lines(10, count))
    out.close(0)


@pytest.mark.parametrize("refused", [False, True])
def test_burst_with_a_slow_reader(pipe: Pipe, monkeypatch: pytest.MonkeyPatch, *, refused: bool) -> None:
    """Of 20,000 records into a slow reader none is out of order, and those read and those dropped are all of them."""
    if refused:
        monkeypatch.setattr(writer, "_open_again", refuse(errno.EACCES))
    result_reader, result_writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(pipe.writer)
        os.close(pipe.other)
        data = bytearray()
        while part := os.read(pipe.reader, 3000):
            data += part
            os.sched_yield()
        numbers = [json.loads(line) for line in data.splitlines()]
        records = [record["pyinit.after_s"] for record in numbers if record["event.name"] == "stop.escalated"]
        dropped = sum(record["pyinit.count"] for record in numbers if record["event.name"] == "log.dropped")
        answer = {"sorted": records == sorted(set(records)), "count": len(records), "dropped": dropped}
        os.write(result_writer, json.dumps(answer).encode())
        os._exit(0)
    log = open_log(pipe.writer)
    for number in range(20_000):
        log.report("stop.escalated", {"signal": 15, "processes": [], "count": 0, "after_s": float(number)})
        if number % 50 == 0:
            log.pending_fd()
    poller = select.poll()
    while (fd := log.pending_fd()) is not None:
        poller.register(fd, select.POLLOUT)
        poller.poll()
    log.close(5)
    for fd in (pipe.writer, pipe.other):
        os.close(fd)
    answer = json.loads(os.read(result_reader, 1000))
    os.waitpid(pid, 0)
    os.close(result_reader)
    os.close(result_writer)
    assert answer["sorted"]
    assert answer["count"] + log.dropped == 20_000
    assert answer["dropped"] == log.dropped


def test_burst_of_reaps_is_kept(pipe: Pipe) -> None:
    """5,000 records in one go, with a reader that is alive, all arrive."""
    pid = os.fork()
    if pid == 0:
        os.close(pipe.writer)
        os.close(pipe.other)
        count = 0
        while part := os.read(pipe.reader, 1 << 16):
            count += part.count(b"\n")
        os._exit(0 if count == 5000 else 1)
    out = Writer(pipe.writer)
    for line in lines(5000):
        out.put(line * 4 if len(line) > PIPE_BUF else line)
    out.close(5)
    for fd in (pipe.writer, pipe.other):
        os.close(fd)
    assert out.dropped == 0
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def write_as_main(fd: int, count: int) -> int:
    """Write numbered lines of up to 3,000 bytes, waiting as any program does; return 0 when that went well."""
    try:
        for number in range(count):
            line = b"main %06d " % number + b"m" * (number % 3000) + b"\n"
            if os.write(fd, line) != len(line):
                return 2
    except OSError:
        return 3
    return 0


def write_and_read(pipe: Pipe, waiting: list[bytes]) -> bytes:
    """Put lines through a writer while reading the pipe, until nobody writes to it any more; return what came."""
    out = Writer(pipe.writer)
    data = bytearray()
    while True:
        if out.pending_fd() is None and pipe.writer >= 0:
            for line in waiting[:10]:
                out.put(line)
            del waiting[:10]
            if not waiting and out.pending_fd() is None:
                out.close(0)
                os.close(pipe.writer)
                pipe.writer = -1
        select.select([pipe.reader], [], [])
        part = os.read(pipe.reader, 5000)
        if not part:
            assert out.dropped == 0
            return bytes(data)
        data += part


@pytest.mark.parametrize("refused", [False, True])
def test_lines_never_tear(pipe: Pipe, monkeypatch: pytest.MonkeyPatch, *, refused: bool) -> None:
    """While main writes its own lines into the same pipe, each line of both arrives whole, and main gets no EAGAIN."""
    if refused:
        monkeypatch.setattr(writer, "_open_again", refuse(errno.EACCES))
    count = 3000
    pid = os.fork()
    if pid == 0:
        os.close(pipe.reader)
        os._exit(write_as_main(pipe.other, count))
    os.close(pipe.other)
    data = write_and_read(
        pipe, [b"init %06d " % number + b"i" * (number * 7 % 4000) + b"\n" for number in range(count)]
    )
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    for who, filler in ((b"main", b"m"), (b"init", b"i")):
        own = [line for line in data.splitlines() if line.startswith(who)]
        assert [int(line[5:11]) for line in own] == list(range(count))
        assert all(set(line[12:]) <= set(filler) for line in own)
    assert data.count(b"\n") == 2 * count


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to become somebody else")
def test_pipe_of_another_uid(pipe: Pipe) -> None:
    """As uid 65534, on a pipe that root made (docker run -u), pyinit can't open it again and still never waits."""

    def as_nobody() -> None:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        with pytest.raises(PermissionError):
            os.open(f"/proc/self/fd/{pipe.writer}", os.O_WRONLY)
        out = Writer(pipe.writer)
        for line in lines(2000):
            out.put(line)
        assert out.pending_fd() is not None
        assert out.dropped == 0
        assert pipe.read_now() == b"".join(lines(16 * (PIPE_BUF // LINE_BYTES)))
        out.close(0)

    in_child(as_nobody)
    assert not pipe.shared_flags() & os.O_NONBLOCK


def test_no_flag_is_set_on_a_shared_description(pipe: Pipe) -> None:
    """Whatever the descriptor is, its shared description has the same flags as before, also while it is in use."""
    ours, theirs = socket.socketpair()
    terminal, keyboard = os.openpty()
    null = os.open("/dev/null", os.O_WRONLY)
    for fd in (pipe.writer, ours.fileno(), keyboard, null):
        before = fcntl.fcntl(fd, fcntl.F_GETFL)
        out = Writer(fd)
        out.put(b"x\n")
        out.flush()
        assert fcntl.fcntl(fd, fcntl.F_GETFL) == before
        out.close(0)
        assert fcntl.fcntl(fd, fcntl.F_GETFL) == before
    for fd in (terminal, keyboard, null):
        os.close(fd)
    ours.close()
    theirs.close()


def test_own_descriptors_are_above_2_and_close_on_exec(pipe: Pipe) -> None:
    """Nothing of ours lands on descriptor 0, 1 or 2 when those are closed, and no command inherits ours."""

    def body() -> None:
        fd = fcntl.fcntl(pipe.writer, fcntl.F_DUPFD, 100)
        ours, theirs = socket.socketpair()
        sock = fcntl.fcntl(ours.fileno(), fcntl.F_DUPFD, 100)
        ours.close()
        os.closerange(0, 3)
        made = [Writer(fd), Writer(sock), Writer(os.dup(fd), own_fd=True)]
        for number in range(3):
            with pytest.raises(OSError, match="Bad file"):
                os.fstat(number)
        for out in made:
            assert out._fds or out._socket is not None
            assert all(own > 2 and not os.get_inheritable(own) for own in out._fds)
            assert out._poll_fd > 2
            assert not os.get_inheritable(out._poll_fd)
            out.put(b"x\n")
            out.close(0)
            assert out.dropped == 0
        theirs.close()

    in_child(body)


@pytest.mark.invariant(6)
@pytest.mark.parametrize("fd", [-1, 9999])
def test_closed_descriptor(fd: int) -> None:
    """With descriptor 2 closed, pyinit lives without a log, and counts."""
    log = open_log(fd)
    for _ in range(3):
        log.report("stop.repeated", {"signal": 15})
    assert log.dropped == 3
    assert log.pending_fd() is None
    log.flush()
    log.close(1)


def test_read_only_descriptor(pipe: Pipe) -> None:
    """A descriptor that was opened for reading is not written to by a detour."""
    out = Writer(pipe.reader)
    out.put(b"x\n")
    assert out.dropped == 1
    assert pipe.read_now() == b""


@pytest.mark.invariant(6)
def test_reader_gone(pipe: Pipe, way: str) -> None:
    """Without a reader (EPIPE) lines are dropped and counted, nothing is left to watch, and nothing is raised."""
    out = Writer(pipe.writer)
    out.notice = told
    os.close(pipe.reader)
    for line in lines(100):
        out.put(line)
    assert out.pending_fd() is None, way
    for line in lines(100):
        out.put(line)
    out.close(1)
    assert out.dropped == 200


@pytest.mark.invariant(6)
def test_full_disk() -> None:
    """ENOSPC drops and counts."""
    fd = os.open("/dev/full", os.O_WRONLY)
    out = Writer(fd)
    for line in lines(100):
        out.put(line)
    assert out.pending_fd() is None
    assert out.dropped == 100
    out.close(0)
    os.close(fd)


def test_file_with_no_more_room(tmp_path: Path) -> None:
    """A line that a full disk cut is finished when there is room again; those in between are dropped, and told."""
    path = tmp_path / "log"

    def body() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        soft = 1050
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))
        out = Writer(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), own_fd=True)
        out.notice = told
        for line in lines(15):
            out.put(line)
        out.flush()
        assert out.pending_fd() is None
        assert path.stat().st_size == soft
        assert out.dropped == 4
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        out.put(LINE % 99)
        out.close(0)
        assert out.dropped == 4

    in_child(body)
    assert path.read_bytes() == b"".join(lines(11)) + b"dropped 4\n" + LINE % 99


def test_shared_file_keeps_its_offset(tmp_path: Path) -> None:
    """On `2>file` without O_APPEND, pyinit and main write one after the other, not over each other."""
    path = tmp_path / "log"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    out = Writer(fd)
    os.write(fd, b"main 1\n")
    out.put(b"init 1\n")
    out.flush()
    os.write(fd, b"main 2\n")
    out.put(b"init 2\n")
    out.close(0)
    os.close(fd)
    assert path.read_bytes() == b"main 1\ninit 1\nmain 2\ninit 2\n"


def test_stream_socket() -> None:
    """A stream socket takes part of a batch; the rest goes first next time, and no line is torn or lost."""
    ours, theirs = socket.socketpair()
    out = Writer(ours.fileno())
    for line in lines(9000):
        out.put(line)
    assert out.pending_fd() is not None
    data = b""
    theirs.settimeout(0)
    while out.pending_fd() is not None:
        data += theirs.recv(7777)
    out.close(0)
    ours.close()
    theirs.settimeout(None)
    while part := theirs.recv(1 << 16):
        data += part
    theirs.close()
    assert data == b"".join(lines(9000))
    assert out.dropped == 0


def test_datagram_socket() -> None:
    """One message on a datagram socket is one record; when it is full the rest waits."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    out = Writer(ours.fileno())
    for line in lines(1000):
        out.put(line)
    theirs.settimeout(0)
    got: list[bytes] = []
    while out.pending_fd() is not None or len(got) < 1000:
        got.append(theirs.recv(1 << 16))
    assert got == list(lines(1000))
    out.close(0)
    ours.close()
    theirs.close()


@pytest.mark.invariant(6)
@pytest.mark.parametrize("way", ["own description", "controlling terminal"])
def test_terminal(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """A terminal that nobody reads takes what it takes; the rest comes later, complete, also under su (EACCES)."""
    reader, terminal = os.openpty()
    os.set_blocking(reader, False)

    def body() -> None:
        if way == "controlling terminal":
            monkeypatch.setattr(writer, "_open_again", refuse(errno.EACCES))
            os.setsid()
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        out = Writer(terminal)
        for line in lines(3000):
            out.put(line)
        data = b""
        poller = select.poll()
        poller.register(reader, select.POLLIN)
        while data.count(b"\n") < 3000 and poller.poll(20_000):
            data += os.read(reader, 4096)
            out.flush()
        assert out.dropped == 0
        assert data.replace(b"\r\n", b"\n") == b"".join(lines(3000))
        out.close(0)

    before = fcntl.fcntl(terminal, fcntl.F_GETFL)
    in_child(body)
    assert fcntl.fcntl(terminal, fcntl.F_GETFL) == before
    os.close(reader)
    os.close(terminal)


@pytest.mark.invariant(6)
def test_terminal_that_hangs_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes no more and is always ready: nothing waits for it, not even the rest of a line; all is counted."""
    reader, terminal = os.openpty()
    out = Writer(terminal)
    out.notice = told
    line = b"%04000d\n" % 0
    while out.pending_fd() is None:
        out.put(line)
    assert out._sent, "a line is out in part"
    os.close(reader)
    waiting = len(out._queue)
    for _ in range(2):
        assert out.pending_fd() is None
    out.put(line)
    assert out.pending_fd() is None
    assert out.dropped == waiting + 1
    monkeypatch.setattr(writer.Writer, "_wait_for_reader", None)  # nobody is waited for
    out.close(60)
    os.close(terminal)


@pytest.mark.invariant(6)
def test_terminal_of_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that is not ours in any way is not written to: there is no way to do so that never waits."""
    monkeypatch.setattr(writer, "_open_again", refuse(errno.EACCES))
    reader, terminal = os.openpty()

    def body() -> None:
        os.setsid()
        out = Writer(terminal)
        out.put(LINE % 1)
        assert out.pending_fd() is None
        out.close(0)
        assert out.dropped == 1

    in_child(body)
    os.close(reader)
    os.close(terminal)


def test_close_waits_only_for_a_reader_that_reads(pipe: Pipe) -> None:
    """At the end a reader that hangs is given up soon, long before the time that it may take at most."""
    out = Writer(pipe.writer)
    for line in lines(3000):
        out.put(line)
    begun = time.monotonic()
    out.close(30)
    assert time.monotonic() - begun < 10
    assert out.dropped == 3000 - pipe.read_now().count(b"\n")
    out.put(b"late\n")
    assert out.pending_fd() is None


def test_close_has_a_last_moment(pipe: Pipe) -> None:
    """With no time to wait, close does not wait at all."""
    out = Writer(pipe.writer)
    for line in lines(3000):
        out.put(line)
    out.close(0)
    assert out.dropped == 3000 - pipe.read_now().count(b"\n")


@pytest.mark.parametrize("own", [False, True])
def test_batches(pipe: Pipe, monkeypatch: pytest.MonkeyPatch, *, own: bool) -> None:
    """Several records go out with one write: a storm costs one system call for forty lines, not for each."""
    writes = []
    real = posix.write

    def counted(fd: int, data: bytes) -> int:
        writes.append(len(data))
        return real(fd, data)

    monkeypatch.setattr(posix, "write", counted)
    out = Writer(os.dup(pipe.writer), own_fd=own)
    for line in lines(400):
        out.put(line)
    assert out.pending_fd() is None
    assert len(writes) == 10
    assert max(writes) <= PIPE_BUF
    out.close(0)
    assert pipe.read_now() == b"".join(lines(400))


class Erratic:
    """A descriptor that takes part of a write, or nothing, or fails, as a list says; it checks what arrives."""

    def __init__(self, moods: list[int], *, whole: bool) -> None:
        self.moods = moods
        self.whole = whole
        self.data = bytearray()

    def __call__(self, data: bytes) -> int:
        """Take some of it."""
        mood = self.moods.pop() if self.moods else len(data)
        if mood < 0:
            raise OSError(-mood, os.strerror(-mood))
        size = len(data) if mood and self.whole else min(mood, len(data))
        self.data += data[:size]
        return size


MOODS = st.one_of(
    st.integers(0, 500),
    st.sampled_from([-errno.EAGAIN, -errno.ENOSPC, -errno.EIO, -errno.EMSGSIZE]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(MOODS, max_size=60), st.lists(st.integers(0, 3), min_size=1, max_size=60), st.sampled_from([0, 4096]))
def test_whatever_the_descriptor_does(moods: list[int], steps: list[int], batch: int) -> None:
    """Lines that arrive are whole and in order; those that arrived and those dropped are all; notices tell exactly."""
    out = Writer(-1, capacity=5 * PIPE_BUF)
    # Without batches it is a datagram socket: it takes all or nothing, and has messages that are too long.
    sink = Erratic([mood for mood in moods if mood != -errno.EMSGSIZE or not batch], whole=not batch)
    out._send = sink
    out._batch = batch
    out.notice = told
    number = 0
    for step in steps:
        if step == 0:
            out.flush()
        for _ in range(step * 20):
            out.put(LINE % number)
            number += 1
    sink.moods.clear()
    out.flush()
    out.put(LINE % number)
    out.close(0)
    got = bytes(sink.data).splitlines(keepends=True)
    counted = [int(line.split()[1]) for line in got if line.startswith(b"dropped")]
    numbers = [int(line[:7]) for line in got if not line.startswith(b"dropped")]
    assert all(line == LINE % int(line[:7]) for line in got if not line.startswith(b"dropped"))
    assert numbers == sorted(set(numbers))
    assert len(numbers) + out.dropped == number + 1
    assert sum(counted) == out.dropped
    assert out.untold == 0


def test_log_file(tmp_path: Path) -> None:
    """--log-file appends, is not for everybody to read, and says by OSError when it can't be opened."""
    path = tmp_path / "log"
    for _ in range(2):
        log = open_log(path=str(path))
        log.report("stop.repeated", {"signal": 15})
        log.close(0)
    assert len(path.read_text().splitlines()) == 2
    assert path.stat().st_mode & 0o007 == 0
    with pytest.raises(FileNotFoundError):
        open_log(path=str(tmp_path / "no" / "log"))


@pytest.mark.parametrize(
    ("no_color", "variable", "coloured"), [(False, "", True), (True, "", False), (False, "1", False)]
)
def test_terminal_gets_text_in_colour(
    monkeypatch: pytest.MonkeyPatch, *, no_color: bool, variable: str, coloured: bool
) -> None:
    """With --log-format auto a terminal gets text, in colour unless NO_COLOR is set and not empty."""
    monkeypatch.setitem(posix.environ, b"NO_COLOR", variable.encode())
    monkeypatch.setitem(posix.environ, b"TERM", b"xterm")
    reader, terminal = os.openpty()
    log = open_log(terminal, no_color=no_color)
    log.report("stop.repeated", {"signal": 15})
    log.close(1)
    text = os.read(reader, 4096)
    os.close(reader)
    os.close(terminal)
    assert b"SIGTERM asks for a stop again" in text
    assert (b"\x1b[" in text) is coloured


def test_console_without_a_terminal_has_no_colours(pipe: Pipe) -> None:
    """--log-format console into a pipe is plain text."""
    log = open_log(pipe.writer, format="console")
    log.report("stop.repeated", {"signal": 15})
    log.close(1)
    assert b"\x1b[" not in pipe.read_now()


@pytest.mark.invariant(6)
def test_no_memory_for_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """When even the record of an error can't be made, it counts as dropped, and nothing is raised."""
    log = open_log(-1)

    def fails(*_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(log, "_record", fails)
    log.report("stop.repeated", {"signal": 15})
    assert log.dropped == 1
