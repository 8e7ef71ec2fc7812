"""The walk of the tree for the status: a bounded piece at a time, and nobody is left out for that."""

from __future__ import annotations

import os
import posix
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pyinit.control import children
from pyinit.control.tree import Tree
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

    def pieces(pid: int, threads: int, at: int | None) -> Iterator[list[int]]:
        nonlocal readings
        readings += pid == which
        for number, piece in enumerate(real(pid, threads, at)):
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
    pids = shown(tree().rows())
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

    def read(self: Proc, pid: int, at: int | None = None) -> tuple[bytes, int] | None:
        found = real(self, pid, at)
        if pid == child and found is not None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            gone.append(child)
        return found

    monkeypatch.setattr(Proc, "read", read)
    assert child not in shown(tree(lambda: len(gone)).rows())
    assert gone == [child]


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
    rows = Tree(proc, roster, lambda: 0).rows()
    first = next(rows)
    assert first is not None
    roster.end(processes[1], End(EXITED, 0))
    assert [first["pid"], *shown(rows)] == [11, 13]


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
