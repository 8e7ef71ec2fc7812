"""Follows a tree of tests/programs/tree.c while it lives, by what the kernel tells of it; asks nobody below pyinit.

The kernel's proc connector (see witness.py) tells each fork, each end and each change of a name. The tree gives its
processes a new name for each thing that they do, so that all of it comes in one stream, with true PIDs.

The order in that stream: a process's own events come in their order, and what somebody does because of an event comes
behind it. One exception: the event of an end is sent after the end itself, so that others may have acted on it before
it is heard of. The event's time is therefore the latest at which the process had ended; its last word is the earliest.
"""

from __future__ import annotations

import ctypes
import re
import select
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from support import witness
from support.waiting import DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

EVENT_COMM = 0x200
_COMM = struct.Struct("=II16s")  # pid, group, name
_WORD = re.compile(rb"#(\d+)([A-Za-z])(\d+)\0")


# The kinds of words; tests/programs/tree.c says what each means.
BORN = "b"
FORKED = "f"
BEFORE_EXEC = "x"
EXECUTED = "X"
BEFORE_VFORK = "V"
IGNORES_CHILDREN = "i"
SUBREAPER = "P"
STOPS = "z"
WAITS = "W"
WILL_REAP = "w"
HAS_REAPED = "r"
BEFORE_ORPHANED = "O"
AT_GATE = "l"
RESTS = "q"
EXITS = "e"
DIES = "y"


class Word(NamedTuple):
    """What a process has said of itself: when (monotonic nanoseconds), a kind, a number."""

    ns: int
    kind: str
    number: int


class Life:
    """One process below pyinit.

    Attributes:
        pid: its number in the first PID namespace.
        inner: its number in pyinit's; None when it ended before anybody said it.
        slot: its number in the script; None when it ended before it said it.
        parent: who forked it; None for main, which pyinit forked.
        holder: whose child it is now; None: pyinit's.
        born_ns: when it was forked (monotonic nanoseconds).
        words: what it said of itself.
        ended_ns: when the last of its threads was told to have ended; None while it lives.
        status: its wait status, once it has ended.
        exit_parent: its parent when its end was told, in the first PID namespace; 0 when it had been reaped already.
        taker: who has said that it is going to reap this process; None: nobody.
        taken: the taker has said that it has done so.
        gone: it is not even a zombie any more, where that is known: its parent has reaped it, or ignores SIGCHLD.
        threads: its threads that live.
    """

    def __init__(self, pid: int, parent: Life | None, born_ns: int) -> None:
        self.pid = pid
        self.inner: int | None = None
        self.slot: int | None = None
        self.parent = parent
        self.holder = parent
        self.born_ns = born_ns
        self.words: list[Word] = []
        self.ended_ns: int | None = None
        self.status = 0
        self.exit_parent = -1
        self.taker: Life | None = None
        self.taken = False
        self.gone = False
        self.threads = 1

    def __repr__(self) -> str:
        said = "".join(f" {word.kind}{word.number}" for word in self.words[-4:])
        end = "lives" if self.ended_ns is None else f"ended with wait status {self.status:#x}"
        return f"<{self.slot}: {self.pid}/{self.inner}, said{said}, {end}>"

    @property
    def ancestors(self) -> Iterator[Life]:
        """Who forked it, who forked that one, and so on; main is the last."""
        parent = self.parent
        while parent is not None:
            yield parent
            parent = parent.parent

    @property
    def last(self) -> Word:
        """Its last word; its birth where it has said nothing."""
        return self.words[-1] if self.words else Word(self.born_ns, "", 0)

    def said(self, kind: str) -> Word | None:
        """Return its first word of this kind."""
        return next((word for word in self.words if word.kind == kind), None)


def _only(*wanted: int) -> tuple[bytes, ctypes.Array[ctypes.c_char]]:
    """Return a socket filter (struct sock_fprog) that lets these events pass; see witness.py."""
    code = [(0x20, 0, 0, witness._OFFSET)]
    for i, what in enumerate(wanted):
        code.append((0x15, len(wanted) - i, 0, socket.htonl(what)))
    code += [(0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in code))
    return struct.pack("@HP", len(code), ctypes.addressof(program)), program


class Watch(witness.Witness):
    """Listens from its creation until `stop`, and can be waited with.

    Attributes:
        lives: every process below pyinit so far, in the order of their births.
        over: pyinit itself has ended.
        count: so many events of the tree have come.
    """

    def __init__(self) -> None:
        self.lives: list[Life] = []
        self.over = False
        self.count = 0
        self._top = 0
        self._pid1 = False
        self._by_pid: dict[int, Life] = {}
        self._by_inner: dict[int, Life] = {}
        self._changed = threading.Condition()
        super().__init__()
        filtering, self._own_program = _only(witness.EVENT_FORK, witness.EVENT_EXIT, EVENT_COMM)
        self._socket.setsockopt(socket.SOL_SOCKET, witness.SO_ATTACH_FILTER, filtering)

    def follow(self, top: int, *, pid1: bool) -> None:
        """Say who pyinit is; what has come before is looked through now."""
        with self._changed:
            self._top = top
            self._pid1 = pid1
            self._take()

    def wait(self, found: Callable[[], bool], what: str, timeout_s: float = DEADLINE_S) -> bool:
        """Wait until `found` is true, or pyinit has ended; return whether it is true. It is asked at each event.

        Raises AssertionError, with who keeps the tree from it, when the time is over.
        """
        end = time.monotonic() + timeout_s
        with self._changed:
            while not (true := found()) and not self.over:
                left_s = end - time.monotonic()
                if left_s <= 0:
                    living = [(life, life.holder) for life in self.lives if life.ended_ns is None]
                    lost = "; events were lost" if self.lost else ""
                    message = f"waited {timeout_s} s for {what}{lost}; alive, with their parents: {living}"
                    raise AssertionError(message)
                self._changed.wait(left_s)
            return true

    def quiet(self, opened: Collection[int]) -> bool:
        """Say whether nobody in the tree will do anything unless somebody outside does; `opened`: the open gates."""
        living = [life for life in self.lives if life.ended_ns is None]
        return bool(self.lives) and all(self._rests(life, opened) for life in living)

    def _rests(self, life: Life, opened: Collection[int]) -> bool:
        kind, number = life.last.kind, life.last.number
        if kind == AT_GATE:
            return number not in opened
        if kind == WAITS:
            own = [other for other in self.lives if other.holder is life and not other.gone]
            return bool(own) and all(other.ended_ns is None for other in own)
        if kind == BEFORE_VFORK:
            child = next((other for other in self.lives if other.parent is life and other.slot == number), None)
            return child is not None and child.ended_ns is None and not child.said(BEFORE_EXEC)
        if kind == BEFORE_ORPHANED:
            return life.parent is not None and life.holder is life.parent
        return kind in {RESTS, STOPS}

    # What the kernel tells.

    def _listen(self) -> None:
        while True:
            ready, _, _ = select.select([self._socket.fileno(), self._stop_r], [], [])
            with self._changed:
                self._drain()
                if self._top:
                    self._take()
                self._changed.notify_all()
            if self._stop_r in ready:
                return

    def _take(self) -> None:
        events, self._events = self._events, []
        for event in events:
            what, _, ns = witness._WHAT.unpack_from(event, witness._OFFSET)
            body = witness._OFFSET + witness._WHAT.size
            if what == witness.EVENT_FORK:
                self._forked(ns, *witness._FORK.unpack_from(event, body))
            elif what == witness.EVENT_EXIT:
                task, pid, status, _, _, parent = witness._EXIT.unpack_from(event, body)
                self._ended(ns, task, pid, status, parent)
            elif what == EVENT_COMM:
                _, pid, name = _COMM.unpack_from(event, body)
                self._said(ns, pid, name)

    def _forked(self, ns: int, _: int, parent: int, task: int, child: int) -> None:
        if task != child:  # a thread
            if child in self._by_pid:
                self._by_pid[child].threads += 1
            return
        if child == self._top and not self.over:  # what its number meant before is of no interest
            self._forget()
        if parent not in self._by_pid and (parent != self._top or self.over):
            return
        self.count += 1
        life = Life(child, self._by_pid.get(parent), ns)
        if not self._pid1:
            life.inner = child
            self._by_inner[child] = life
        self.lives.append(life)
        self._by_pid[child] = life

    def _forget(self) -> None:
        self.lives.clear()
        self._by_pid.clear()
        self._by_inner.clear()
        self.count = 0

    def _said(self, ns: int, pid: int, name: bytes) -> None:
        life = self._by_pid.get(pid)
        word = _WORD.match(name)
        if life is None or word is None:
            return
        self.count += 1
        slot, kind, number = int(word[1]), word[2].decode(), int(word[3])
        life.words.append(Word(ns, kind, number))
        if kind in {BORN, EXECUTED}:
            life.slot = slot
            self._number(life, number)
        elif kind == FORKED:
            # The child may have ended before it could say so.
            newest = [other for other in self.lives if other.parent is life and other.inner is None]
            if newest and number not in self._by_inner:
                self._number(newest[0], number)
        elif kind in {WILL_REAP, HAS_REAPED} and number in self._by_inner:
            taken = self._by_inner[number]
            taken.taker = life
            taken.taken = taken.gone = kind == HAS_REAPED

    def _number(self, life: Life, number: int) -> None:
        if self._pid1:
            life.inner = number
            self._by_inner[number] = life

    def _ended(self, ns: int, task: int, pid: int, status: int, parent: int) -> None:
        if pid == self._top and task == pid:
            self.over = True
        life = self._by_pid.get(pid)
        if life is None:
            return
        self.count += 1
        life.threads -= 1
        if task == pid:
            life.status = status
            life.exit_parent = parent
        if life.threads > 0:
            return
        life.ended_ns = ns
        # Nobody said that they would reap it: if somebody has, it was the kernel. Of several threads the first tells.
        life.gone = life.taker is None and (
            life.exit_parent == 0 or (life.holder is not None and ignores_children(life.holder))
        )
        del self._by_pid[pid]
        heir = life.holder
        while heir is not None and (heir.ended_ns is not None or not heir.said(SUBREAPER)):
            heir = heir.holder
        for other in self.lives:
            if other.holder is life:
                other.holder = heir
                other.gone = other.gone or (other.ended_ns is not None and heir is not None and ignores_children(heir))


def ignores_children(life: Life) -> bool:
    """Say whether a process may ignore SIGCHLD: it said so, or who forked it did, and it inherited that."""
    return any(one.said(IGNORES_CHILDREN) for one in (life, *life.ancestors))


def clock_offset_ns() -> tuple[int, int]:
    """Return by how much the wall clock is ahead of the monotonic one, as (at least, at most) in nanoseconds."""
    best = (0, 1 << 62)
    for _ in range(5):
        before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if after - before < best[1] - best[0]:
            best = (wall - after, wall - before)
    return best
