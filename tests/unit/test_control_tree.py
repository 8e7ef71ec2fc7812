"""The walk of the tree for the status: a bounded piece at a time, and nobody is left out for that."""

from __future__ import annotations

import contextlib
import os
import posix
import resource
import signal
import subprocess
import sys
from errno import EACCES, EMFILE, ENOENT, EPERM
from typing import TYPE_CHECKING, Any

import pytest

from pyinit.control import children
from pyinit.control.tree import HIDDEN, NO_PROC, Tree
from pyinit.core.model import EXITED, End, Process
from pyinit.core.roster import Roster
from pyinit.procfs import Proc
from support import procs
from support.descriptors import descriptors
from support.programs import program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Some pieces of a list.
MANY = 1000
# So many of the first piece are reaped behind it.
GONE = 100


@pytest.fixture
def parent() -> Iterator[int]:
    """Start a process with many children, which are reaped as soon as they end."""
    with subprocess.Popen([program("many"), str(MANY)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            end(process.pid, procs.children(process.pid))
            process.kill()


def end(parent: int, pids: list[int]) -> None:
    """Kill children and wait until their parent has none of them any more."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    while set(pids) & set(procs.children(parent)):
        os.sched_yield()


def failing(monkeypatch: pytest.MonkeyPatch, errno: int, *paths: str) -> None:
    """Have the kernel refuse to open these files, whether by their whole path or below /proc, and folders."""
    opened, listed, scanned = posix.open, posix.listdir, posix.scandir

    def refuse(path: object) -> None:
        if str(path).removeprefix("/proc/") in paths or "*" in paths:
            raise OSError(errno, os.strerror(errno))

    def open_file(path: str | bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        refuse(path)
        return opened(path, flags, mode, dir_fd=dir_fd)

    def list_folder(path: str) -> list[str]:
        refuse(path)
        return listed(path)

    def scan_folder(path: str) -> Any:
        refuse(path)
        return scanned(path)

    monkeypatch.setattr(posix, "scandir", scan_folder)
    monkeypatch.setattr(posix, "open", open_file)
    monkeypatch.setattr(posix, "listdir", list_folder)


def knows(*pids: int) -> Roster:
    """Return a roster of children that were looked at before."""
    roster = Roster()
    for pid in pids:
        roster.adopt(Process(pid, name="seen"))
    return roster


def tree(reaped: Callable[[], int] = lambda: 0) -> Tree:
    """Return the tree below the test runner."""
    return Tree(Proc(os.getpid()), Roster(), reaped)


def shown(rows: Iterator[dict[str, Any] | None]) -> list[int]:
    """Return the PIDs of all rows."""
    return [row["pid"] for row in rows if row is not None]


def between(monkeypatch: pytest.MonkeyPatch, which: int, reading: int, what: Callable[[list[int]], None]) -> None:
    """Do something behind the first piece of the list of a process, at its first or a later reading."""
    real = children.pieces
    readings = 0

    def pieces(pid: int, threads: int, at: int | None, unread: Callable[[OSError], object]) -> Iterator[list[int]]:
        nonlocal readings
        readings += pid == which
        for number, piece in enumerate(real(pid, threads, at, unread)):
            yield piece
            if pid == which and number == 0 and readings == reading:
                what(piece)

    monkeypatch.setattr(children, "pieces", pieces)


def test_how_much_a_step_reads(parent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is one piece of a list, or the end of one and a process; everybody is there once, the parent first."""
    real = posix.read
    read: list[bytes] = []

    def counted(fd: int, size: int) -> bytes:
        data = real(fd, size)
        if data:
            read.append(data)
        return data

    monkeypatch.setattr(posix, "read", counted)
    pids: list[int] = []
    for row in tree().rows():
        assert len(read) <= 1, read
        read.clear()
        pids += [row["pid"]] if row is not None else []  # type: ignore[list-item]  # a number
    assert pids[0] == parent
    assert sorted(pids[1:]) == sorted(procs.children(parent))
    assert len(pids) == MANY + 1


def test_who_ends_between_two_pieces_hides_nobody(parent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel counts from the start of the list: with every child that is reaped meanwhile it leaves out another."""
    between(monkeypatch, parent, 1, lambda piece: end(parent, piece[:GONE]))
    walk = tree()
    pids = shown(walk.rows())
    assert not walk.why, "who has gone is not left out"
    living = procs.children(parent)
    assert len(living) == MANY - GONE
    assert sorted(pids) == sorted([parent, *living])


@pytest.mark.parametrize("reading", [1, 2])
def test_our_own_list(monkeypatch: pytest.MonkeyPatch, reading: int) -> None:
    """Whom we reap while our own list is read hides nobody either: nor who comes while it is read again."""
    gone: list[int] = []

    def reap(piece: list[int]) -> None:
        came.append(os.posix_spawn("/bin/sleep", ["sleep", "600"], os.environ))
        gone.extend(piece[:GONE])
        for pid in gone:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    came = orphans()
    try:
        between(monkeypatch, os.getpid(), reading, reap)
        pids = shown(tree(lambda: len(gone)).rows())
        assert len(gone) == GONE
        assert sorted(set(pids) - set(gone)) == sorted(set(came) - set(gone))
        assert len(set(pids)) == len(pids)
    finally:
        for pid in procs.children(os.getpid()):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_who_is_reaped_while_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that was read, and is reaped before that is told, is told of no more: its number may be another's."""
    child = os.posix_spawn("/bin/sleep", ["sleep", "600"], os.environ)
    real = Proc.read
    gone: list[int] = []

    def read(self: Proc, pid: int, at: int | None = None) -> tuple[bytes, int]:
        found = real(self, pid, at)
        if pid == child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            gone.append(child)
        return found

    monkeypatch.setattr(Proc, "read", read)
    walk = tree(lambda: len(gone))
    assert child not in shown(walk.rows())
    assert gone == [child]
    assert (walk.unread, walk.why) == (0, []), "who has gone is not left out"


def test_nothing_stays_open(parent: int) -> None:
    """Whoever asked may go in the midst of the walk."""
    walk = tree()
    before = descriptors()
    rows = walk.rows()
    while next(rows) is None:
        pass
    assert descriptors() - before
    rows.close()  # type: ignore[attr-defined]  # a generator
    assert not descriptors() - before
    assert parent in shown(walk.rows())
    assert not descriptors() - before


def test_a_kernel_without_lists_of_children(parent: int) -> None:
    """Everybody is looked at then, and who is below us told, the parent first."""
    proc = Proc(os.getpid())
    proc.lists_children = False
    pids = shown(Tree(proc, Roster(), lambda: 0).rows())
    assert pids[0] == parent
    assert sorted(pids[1:]) == sorted(procs.children(parent))


def test_without_proc() -> None:
    """Our own children are told then, but those no more that have ended since."""
    proc, roster = Proc(os.getpid()), Roster()
    proc.usable = False
    processes = [Process(pid) for pid in (11, 12, 13)]
    for process in processes:
        roster.adopt(process)
    walk = Tree(proc, roster, lambda: 0)
    rows = walk.rows()
    first = next(rows)
    assert first is not None
    roster.end(processes[1], End(EXITED, 0))
    assert [first["pid"], *shown(rows)] == [11, 13]
    assert walk.why == [NO_PROC]


TOO_MANY = "Too many open files (EMFILE)"


@pytest.mark.parametrize(
    ("errno", "why"),
    [(EMFILE, TOO_MANY), (EACCES, "Permission denied (EACCES)"), (ENOENT, HIDDEN), (EPERM, HIDDEN)],
)
def test_a_process_that_cannot_be_read(parent: int, monkeypatch: pytest.MonkeyPatch, errno: int, why: str) -> None:
    """Whoever is listed again and again, is there, and cannot be read is left out, and that is told."""
    one, *others = procs.children(parent)
    failing(monkeypatch, errno, f"{one}/stat")
    walk = tree()
    assert sorted(shown(walk.rows())) == sorted([parent, *others])
    assert (walk.unread, walk.why) == (1, [why])


def test_one_that_could_not_be_read_once(parent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read when the list is read again, and nobody is missing."""
    one = procs.children(parent)[0]
    real = Proc.read
    failed: list[int] = []

    def read(self: Proc, pid: int, at: int | None = None) -> tuple[bytes, int]:
        if pid == one and not failed:
            failed.append(pid)
            raise OSError(EMFILE, "")
        return real(self, pid, at)

    monkeypatch.setattr(Proc, "read", read)
    walk = tree()
    assert sorted(shown(walk.rows())) == sorted([parent, *procs.children(parent)])
    assert failed
    assert (walk.unread, walk.why) == (0, [])


def test_a_list_that_cannot_be_read(parent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows who is on it; that it is so is told."""
    failing(monkeypatch, EMFILE, f"{parent}/task/{parent}/children")
    walk = tree()
    assert shown(walk.rows()) == [parent]
    assert (walk.unread, walk.why) == (0, [TOO_MANY])


def test_our_own_list_that_cannot_be_read(parent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once: it is read again. For good: those whom we know are told, and that others may be missing."""
    walk = tree()
    real = children.pieces
    fails = [1, 2]

    def pieces(pid: int, *how: Any) -> Iterator[list[int]]:
        if pid == os.getpid() and fails:
            fails.pop()
            how[-1](OSError(EMFILE, os.strerror(EMFILE)))
            return iter(())
        return real(pid, *how)

    monkeypatch.setattr(children, "pieces", pieces)
    fails.pop()
    everybody = sorted([parent, *procs.children(parent)])
    assert sorted(shown(walk.rows())) == everybody
    assert (walk.unread, walk.why) == (0, [])
    fails += [1, 2]
    walk = Tree(Proc(os.getpid()), knows(parent), lambda: 0)
    (row,) = [row for row in walk.rows() if row is not None]
    assert (row["pid"], row["role"], "age_s" in row) == (parent, "adopted", True)
    assert (walk.unread, walk.why) == (0, [TOO_MANY])


def test_one_descriptor_is_left(parent: int) -> None:
    """It is enough to tell of everybody."""
    walk = tree()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.dup(0)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(int(fd) for fd, _ in descriptors()) + 20, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        os.close(taken.pop())
        rows = shown(walk.rows())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for fd in taken:
            os.close(fd)
    assert sorted(rows) == sorted([parent, *procs.children(parent)])
    assert (walk.unread, walk.why) == (0, [])


@pytest.mark.parametrize("lists", [True, False], ids=["lists", "no lists"])
def test_no_descriptor_is_left(parent: int, monkeypatch: pytest.MonkeyPatch, *, lists: bool) -> None:
    """Our own children are known all the same, those that live; of nobody else is known whether there is anybody."""
    ended = os.posix_spawn("/bin/true", ["true"], os.environ)
    os.waitid(os.P_PID, ended, os.WEXITED | os.WNOWAIT)
    proc, roster = Proc(os.getpid()), knows(parent, ended)
    proc.lists_children = lists
    failing(monkeypatch, EMFILE, "*")
    walk = Tree(proc, roster, lambda: 0)
    (row,) = [row for row in walk.rows() if row is not None]
    os.waitpid(ended, 0)
    assert (row["pid"], row["name"], row["role"]) == (parent, "seen", "adopted")
    assert "age_s" not in row
    assert (walk.unread, walk.why) == (1, [TOO_MANY])


@pytest.mark.parametrize("lists", [True, False], ids=["lists", "no lists"])
def test_children_that_proc_hides(parent: int, monkeypatch: pytest.MonkeyPatch, *, lists: bool) -> None:
    """A child whom /proc does not show is told with what was known of it, and that those below it are missing."""
    listed = posix.listdir
    proc, roster = Proc(os.getpid()), knows(parent)
    proc.lists_children = lists
    failing(monkeypatch, ENOENT, f"{parent}/stat")
    monkeypatch.setattr(posix, "listdir", lambda path: [name for name in listed(path) if name != str(parent)])
    walk = Tree(proc, roster, lambda: 0)
    assert shown(walk.rows()) == [parent]
    assert (walk.unread, walk.why) == (1, [HIDDEN])


def test_strangers_that_proc_hides(parent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where everybody has to be looked at, one that cannot be may be below us."""
    one = procs.children(parent)[0]
    proc = Proc(os.getpid())
    proc.lists_children = False
    failing(monkeypatch, EPERM, f"{one}/stat")
    walk = Tree(proc, Roster(), lambda: 0)
    assert one not in shown(walk.rows())
    assert (walk.unread, walk.why) == (0, [HIDDEN])


def orphans() -> list[int]:
    """Have many orphans come to the test runner."""
    with subprocess.Popen([program("many"), str(MANY)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    return procs.children(os.getpid())


def test_a_list_that_nobody_reads_to_its_end(parent: int) -> None:
    """Whoever asked may go in the midst of it: nothing stays open."""
    before = descriptors()
    pieces = children.pieces(parent, 1)
    next(pieces)
    assert descriptors() - before
    pieces.close()  # type: ignore[attr-defined]  # a generator
    assert not descriptors() - before


def test_a_list_that_has_ended_is_asked_for_no_more(parent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind its last piece the kernel would go through all of a long list once more, to find that nobody follows."""
    real = posix.read
    sizes: list[int] = []

    def noted(fd: int, size: int) -> bytes:
        data = real(fd, size)
        sizes.append(len(data))
        return data

    monkeypatch.setattr(posix, "read", noted)
    pieces = list(children.pieces(parent, 1))
    assert sorted(pid for piece in pieces for pid in piece) == sorted(procs.children(parent))
    *full, last = sizes
    assert len(sizes) == len(pieces) > 1
    assert all(children.FULL <= size <= children.PIECE for size in full)
    assert 0 < last < children.FULL


@pytest.mark.parametrize("last", [b"", b"1234567 "])
def test_a_piece_without_room_for_a_number(last: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind it the kernel is asked for the next piece, whether there is one or not."""
    full = b"1234567 " * ((children.PIECE - 1) // 8)
    text = [full, last]
    monkeypatch.setattr(posix, "open", lambda *_, **__: 0)
    monkeypatch.setattr(posix, "close", lambda _: None)
    monkeypatch.setattr(posix, "read", lambda *_: text.pop(0))
    pids = [pid for piece in children.pieces(1, 1) for pid in piece]
    monkeypatch.undo()
    assert pids == [1234567] * ((len(full) + len(last)) // 8)
    assert not text


FORKS_IN_A_THREAD = """
import subprocess, sys, threading
there = []
def fork():
    child = subprocess.Popen([sys.argv[1], "0"], stdout=subprocess.DEVNULL)
    there.append(child)
    print(f"{child.pid}\\n", end="", flush=True)
def stay():
    fork()
    threading.Event().wait()
threading.Thread(target=threading.Event().wait, daemon=True).start()
threading.Thread(target=stay, daemon=True).start()
fork()
threading.Event().wait()
"""


def test_threads() -> None:
    """A child hangs off the thread that forked it. Who is gone has none."""
    words = [sys.executable, "-c", FORKS_IN_A_THREAD, program("serve")]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            forked = {int(process.stdout.readline()) for _ in range(2)}
            lists = list(children.pieces(process.pid))
            assert sorted(len(pids) for pids in lists) == [0, 1, 1], "a step for each thread, the idle one too"
            assert {pid for pids in lists for pid in pids} == forked
            assert shown(tree().rows())[0] == process.pid
        finally:
            process.kill()
    assert list(children.pieces(process.pid)) == list(children.pieces(process.pid, 1)) == []
    for pid in forked:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
