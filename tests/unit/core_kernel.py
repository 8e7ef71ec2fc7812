"""A kernel in memory: processes that fork, detach, end and are signalled, and the doors by which the shell sees them.

It fails the test at once when a signal goes where none may go: to a number that is nobody's, to a stranger, to a
process group whose leader has been reaped, or to everybody from a process that is not the init of its PID namespace.
"""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import TYPE_CHECKING

from pyinit.core.events import View
from pyinit.core.model import EXITED, KILLED, SIGCONT, SIGKILL, End, Process, Usage
from pyinit.kernel import DENIED, EAGAIN, EPERM, GONE, SENT, NoChildren

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

SIGCHLD = 17
# So long a system call takes (seconds), and so many there may be in one go before the shell is taken to be spinning.
CALL_S = 20e-6
CALLS = 20_000
TICKS_PER_S = 100
# So many entries a list of children has on a page.
PAGE = 3
# PIDs are 2 to this; when half of them are taken no more processes should be made.
MOST_PIDS = 28


class Task:
    """One process of the simulated kernel."""

    def __init__(self, pid: int, parent: Task | None, now: float) -> None:
        self.pid = pid
        self.parent = parent
        self.pgid: int = parent.pgid if parent else pid
        self.sid: int = parent.sid if parent else pid
        self.ticks = int(now * TICKS_PER_S)
        self.born_s = now
        self.came_s = now  # when it has come to its parent
        self.foreign: bool = parent.foreign if parent else True
        self.denies: bool = parent.denies if parent else False  # another user's: a signal gives EPERM
        self.ignored: set[int] = set(parent.ignored) if parent else set()
        self.hidden: bool = parent.hidden if parent else False  # /proc does not show it (hidepid=)
        self.stuck = False  # in the D state: SIGKILL waits
        self.subreaper = False
        self.command = ""  # which of pyinit's own commands it is
        self.moved = False  # has changed its process group
        self.answer = "later"  # to a stop signal that it does not ignore: "later", "dies" or "exits"
        self.end: End | None = None
        self.children: list[Task] = []
        self.pending: list[int] = []
        self.tried: list[int] = []  # the signals that were meant for it, in their order
        if parent is not None:
            parent.children.append(self)

    @property
    def alive(self) -> bool:
        """True until it is a zombie."""
        return self.end is None

    @property
    def runs(self) -> bool:
        """True while it can do anything at all: who is in the D state neither does anything nor ends."""
        return self.alive and not self.stuck

    @property
    def identity(self) -> tuple[int, int]:
        """What the core knows it by."""
        return (self.pid, 0 if self.hidden else self.ticks)

    @property
    def root(self) -> Task:
        """The one of its line that is a child of pyinit; the eldest of a stranger's line."""
        task = self
        while task.parent is not None and task.parent.parent is not None:
            task = task.parent
        return task

    def below(self) -> Iterator[Task]:
        """Yield every descendant."""
        for child in self.children:
            yield child
            yield from child.below()

    def __repr__(self) -> str:
        return f"Task({self.pid}, {self.end or 'alive'})"


class Handle:
    """A descriptor that means one process for good."""

    def __init__(self, task: Task) -> None:
        self.task = task


class Kernel:
    """The simulated kernel. `now` is its clock in seconds.

    `ended` is called with each child of pyinit that ends and the living children that this brings to pyinit.
    """

    def __init__(self, *, pid1: bool, ended: Callable[[Task, list[Task]], None]) -> None:
        self.pid1 = pid1
        self.now = 1000.0
        self.table: dict[int, Task] = {}
        self.signals: list[tuple[int, int, int]] = []
        self.races: list[tuple[int, Callable[[], None]]] = []
        self.dead_children: list[Task] = []
        self.reaped: list[Task] = []
        self.buried: list[Task] = []  # those of them of which nobody is told
        self.ever: list[Task] = []  # all that there have been
        self.to_all: list[int] = []  # the signals that went to everybody in the namespace
        self.stops: list[str] = []  # what pyinit has stopped: "self" or its "job"
        self.handles: set[Handle] = set()
        self.stopped_children: dict[int, int] = {}  # by PID: the signal that has stopped a child, until it is asked for
        self._numbers = itertools.cycle(range(2, MOST_PIDS))
        self._ended = ended
        self._calls = 0
        self.pyinit = Task(1 if pid1 else next(self._numbers), None, self.now)
        self.pyinit.foreign = False
        self.table[self.pyinit.pid] = self.pyinit

    # -- what processes do --------------------------------------------------------------------------------------

    @property
    def living(self) -> list[Task]:
        """Every living process below pyinit, the oldest first."""
        return sorted((task for task in self.pyinit.below() if task.alive), key=lambda task: task.born_s)

    @property
    def full(self) -> bool:
        """True when no more processes should be made."""
        return len(self._taken) > MOST_PIDS // 2

    @property
    def _taken(self) -> set[int]:
        """The numbers that mean a process, a process group or a session."""
        return {number for task in self.table.values() for number in (task.pid, task.pgid, task.sid)}

    def fork(self, parent: Task | None) -> Task:
        """Make a child; without a parent, a process that comes from outside."""
        assert parent is None or parent.runs, f"{parent} cannot fork"
        taken = self._taken
        pid = next(number for number in itertools.islice(self._numbers, MOST_PIDS) if number not in taken)
        last = [task.ticks for task in self.reaped if task.pid == pid]
        if last and last[-1] >= int(self.now * TICKS_PER_S):
            self.now += 1 / TICKS_PER_S  # no kernel goes through all numbers within a tick
        task = Task(pid, parent, self.now)
        self.table[pid] = task
        self.ever.append(task)
        self.now += CALL_S
        return task

    def lead_session(self, task: Task) -> None:
        """Do what setsid(2) does; a process group leader may not."""
        if not any(other.pgid == task.pid for other in self.table.values()):
            task.pgid = task.sid = task.pid
            task.moved = True

    def lead_group(self, task: Task) -> None:
        """Do what setpgid(2) with zeros does; a session leader may not."""
        if task.sid != task.pid:
            task.pgid = task.pid
            task.moved = True

    def exit(self, task: Task, end: End) -> None:
        """End a process, if it can: its children go to the nearest subreaper above, or to pyinit."""
        if not task.runs:
            return
        task.end = end
        heir = self._heir(task)
        came = [child for child in task.children if child.alive]
        for child in task.children:
            child.parent = heir
            child.came_s = self.now
            if heir is not None:
                heir.children.append(child)
                if not child.alive and heir is self.pyinit:
                    self._zombie_of_pyinit(child)
            elif not child.alive:
                del self.table[child.pid]
        task.children = []
        if task.parent is None:
            del self.table[task.pid]
        elif task.parent is self.pyinit:
            self._zombie_of_pyinit(task)
            self._ended(task, came if heir is self.pyinit else [])

    def _zombie_of_pyinit(self, task: Task) -> None:
        self.dead_children.append(task)
        self.signals.append((SIGCHLD, 0, 0))

    def _heir(self, task: Task) -> Task | None:
        above = task.parent
        while above is not None and not (above.alive and (above.subreaper or above is self.pyinit)):
            above = above.parent
        return above if above is not None or not self.pid1 else self.pyinit

    def wait(self, task: Task) -> None:
        """Have a process reap its own dead children."""
        for child in [child for child in task.children if not child.alive]:
            task.children.remove(child)
            self.reaped.append(child)
            del self.table[child.pid]

    def react(self, task: Task, how: str) -> None:
        """Have a process answer the signal that has waited longest for it."""
        if task.runs and task.pending:
            signo = task.pending.pop(0)
            if signo == SIGKILL or how == "dies":
                self.exit(task, End(KILLED, signo))
            elif how == "exits":
                self.exit(task, End(EXITED, 0))
            elif how == "fails":
                self.exit(task, End(EXITED, 3))

    def _deliver(self, task: Task, signo: int) -> str:
        task.tried.append(signo)
        if task.denies:
            return DENIED
        if not task.alive or signo == SIGCONT or (signo in task.ignored and signo != SIGKILL):
            return SENT
        if signo == SIGKILL:
            task.pending.insert(0, signo)
            self.react(task, "dies")
        else:
            task.pending.append(signo)
            if task.answer != "later":
                self.react(task, task.answer)
        return SENT

    # -- the door that pyinit.kernel is -------------------------------------------------------------------------

    def door(self) -> SimpleNamespace:
        """Return what stands in for the module pyinit.kernel."""
        return SimpleNamespace(
            DENIED=DENIED,
            EAGAIN=EAGAIN,
            EPERM=EPERM,
            GONE=GONE,
            SENT=SENT,
            NoChildren=NoChildren,
            close=self.handles.remove,
            exists=self.exists,
            is_child=self.is_child,
            lives=self.lives,
            bury=self.bury,
            bury_dead=self.bury_dead,
            signals_wait=self.signals_wait,
            gather=self.gather,
            group_below=self.group_below,
            is_alive=self.is_alive,
            anyone_dead=self.anyone_dead,
            is_zombie=lambda pid: self.peek_at(pid) is not None,
            process_group=self.process_group,
            send_each=self.send_each,
            peek=self.peek,
            peek_at=self.peek_at,
            pidfd=self.pidfd,
            read_signals=self.read_signals,
            reap=self.reap,
            send=self.send,
            send_everyone=self.send_everyone,
            send_group=self.send_group,
            send_pidfd=self.send_pidfd,
            stop_job=lambda: self.stops.append("job"),
            stop_self=lambda: self.stops.append("self"),
            stopped=self.stopped,
            yield_turn=self.call,
        )

    def call(self) -> None:
        """Let a system call's time pass, in which others may do something."""
        self._calls += 1
        assert self._calls < CALLS, "the shell does not come to rest"
        self.now += CALL_S
        due = [race for race in self.races if race[0] <= 1]
        self.races = [(left - 1, what) for left, what in self.races if left > 1]
        for _, what in due:
            what()

    def rest(self) -> None:
        """Say that the shell has come to rest."""
        self._calls = 0

    def read_signals(self, _fd: int) -> list[tuple[int, int, int]]:
        """Read what is pending: each signal once."""
        self.call()
        signals, self.signals = list(dict.fromkeys(self.signals)), []
        return signals

    def peek(self) -> tuple[int, End] | None:
        """Do what waitid(2) does with P_ALL and WNOWAIT: the first zombie in the list of children."""
        self.call()
        if not self.pyinit.children:
            raise NoChildren
        return next(((child.pid, child.end) for child in self.pyinit.children if child.end), None)

    def anyone_dead(self) -> bool:
        """Say whether any child of pyinit is a zombie."""
        self.call()
        return any(not child.alive for child in self.pyinit.children)

    def lives(self, pid: int) -> bool | None:
        """Say whether a child of pyinit lives; None when this is none."""
        self.call()
        task = self.table.get(pid)
        return task.alive if task is not None and task.parent is self.pyinit else None

    def is_alive(self, pid: int) -> bool:
        """Say whether this is a child of pyinit that lives."""
        return self.lives(pid) is True

    def group_below(self, pid: int) -> int:
        """Return the process group of a child of pyinit whose leader is one too, and has made its session."""
        self.call()
        task = self.table[pid]
        return task.pgid if task.pgid == task.sid and self.is_child(task.sid) else 0

    def signals_wait(self) -> bool:
        """Say whether anything but SIGCHLD is pending."""
        self.call()
        return any(signo != SIGCHLD for signo, _, _ in self.signals)

    def gather(self, timeout_s: float) -> list[tuple[int, int, int]]:
        """Let time pass in which children may end, until a signal comes of anybody else."""
        until = self.now + timeout_s
        while self.now < until:
            self.call()
            for signal in self.signals:
                if signal[0] != SIGCHLD:
                    self.signals.remove(signal)
                    return [signal]
        return []

    def peek_at(self, pid: int) -> End | None:
        """Do the same for one child."""
        self.call()
        task = self.table.get(pid)
        return task.end if task is not None and task.parent is self.pyinit else None

    def exists(self, pid: int) -> bool:
        """Say whether any process has this PID."""
        self.call()
        return pid in self.table

    def is_child(self, pid: int) -> bool:
        """Say whether a PID is a child of pyinit that has not been reaped."""
        self.call()
        task = self.table.get(pid)
        return task is not None and task.parent is self.pyinit

    def stopped(self, pid: int) -> int | None:
        """Do what waitid(2) does with WSTOPPED: the signal that has stopped a child, once."""
        self.call()
        return self.stopped_children.pop(pid, None)

    def reap(self, pid: int) -> Usage:
        """Collect a zombie."""
        self.call()
        task = self.table[pid]
        assert task.parent is self.pyinit, f"{task} is no child"
        assert not task.alive, f"{task} is no zombie"
        self.pyinit.children.remove(task)
        del self.table[pid]
        self.reaped.append(task)
        return Usage(0.0, 0.0, 0)

    def bury(self, pid: int) -> bool:
        """Collect a zombie of which nobody is told; say whether it had died of SIGKILL."""
        self.reap(pid)
        self.buried.append(self.reaped[-1])
        return str(self.reaped[-1].end) == str(End(KILLED, SIGKILL))

    def bury_dead(self, spared: Container[int], limit: int) -> tuple[list[int], int]:
        """Collect zombies in a row, as far as the first that is spared."""
        pids: list[int] = []
        killed = 0
        while len(pids) < limit and self.pyinit.children:
            seen = self.peek()
            if seen is None or seen[0] in spared:
                break
            killed += self.bury(seen[0])
            pids.append(seen[0])
        return pids, killed

    def send(self, pid: int, signo: int) -> str:
        """Do what kill(2) does; the target must be an unreaped child."""
        self.call()
        task = self.table.get(pid)
        if task is None or task.parent is not self.pyinit:
            assert signo == SIGCONT, f"signal {signo} goes to {pid}, which is no unreaped child"
            return GONE
        return self._deliver(task, signo)

    def send_each(self, pids: list[int], signo: int) -> list[int]:
        """Do what kill(2) does, for each; SIGCONT comes behind it."""
        denied = [pid for pid in pids if self.send(pid, signo) == DENIED]
        for pid in pids:
            self.send(pid, SIGCONT)
        return denied

    def process_group(self, pid: int) -> int:
        """Do what getpgid(2) does for a child."""
        self.call()
        return self.table[pid].pgid

    def send_group(self, pgid: int, signo: int) -> str:
        """Do what killpg(3) does; the leader must be an unreaped child."""
        self.call()
        leader = self.table.get(pgid)
        assert leader is not None, f"signal {signo} goes to group {pgid}, whose leader has been reaped"
        assert leader.parent is self.pyinit, f"signal {signo} goes to group {pgid}, which is no child's"
        members = [task for task in self.table.values() if task.pgid == pgid]
        assert set(members) <= set(self.pyinit.below())
        if not members:
            return GONE
        results = [self._deliver(task, signo) for task in members]
        return DENIED if all(result == DENIED for result in results) else SENT

    def send_everyone(self, signo: int) -> str:
        """Do what kill(2) does with -1: nobody is left out but who may not be signalled."""
        self.call()
        assert self.pid1, "kill(-1) by a process that is not the init of its PID namespace"
        self.to_all.append(signo)
        for task in [task for task in self.table.values() if task is not self.pyinit]:
            self._deliver(task, signo)
        return SENT

    def pidfd(self, pid: int) -> Handle | None:
        """Do what pidfd_open(2) does."""
        self.call()
        task = self.table.get(pid)
        if task is None:
            return None
        handle = Handle(task)
        self.handles.add(handle)
        return handle

    def send_pidfd(self, handle: Handle, signo: int) -> str:
        """Do what pidfd_send_signal(2) does; the target must be below pyinit, unless it is only looked for."""
        self.call()
        task = handle.task
        if self.table.get(task.pid) is not task:
            return GONE
        if signo == 0:
            return DENIED if task.denies else SENT
        assert task in self.pyinit.below(), f"signal {signo} goes to {task}, a stranger"
        return self._deliver(task, signo)


class Proc:
    """What stands in for pyinit.procfs.Proc."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.usable = True
        self.lists_children = True
        self._read = 0

    def children(self, late: Callable[[], bool] | None = None) -> list[int]:
        """List the children of pyinit, dead ones too, a page of two at a time until it is `late`."""
        listed: list[int] = []
        while part := self._kernel.pyinit.children[len(listed) : len(listed) + PAGE]:
            self._kernel.call()
            listed += [task.pid for task in part]
            if late is not None and late():
                break
        return listed

    def newcomers(self, *, from_start: bool) -> list[int]:
        """List the next children, or the first of them; none at the end."""
        self._kernel.call()
        if from_start:
            self._read = 0
        new = [task.pid for task in self._kernel.pyinit.children[self._read : self._read + PAGE]]
        self._read += len(new)
        return new

    def newest_pids(self, count: int) -> Iterable[int]:
        """List the numbers that were given out last."""
        self._kernel.call()
        newest = self._kernel.ever[-1].pid
        return range(newest, max(1, newest - count), -1)

    def describe(self, pid: int) -> Process | None:
        """Describe a process, a zombie too; None when it is gone or hidden."""
        self._kernel.call()
        task = self._kernel.table.get(pid)
        return None if task is None or task.hidden else self._describe(task)

    def last_of(self, pid: int) -> tuple[bytes, int, int, int, int] | None:
        """Say the same of a zombie in numbers."""
        self._kernel.call()
        task = self._kernel.table.get(pid)
        if task is None or task.hidden:
            return None
        assert not task.alive, f"{pid} is no zombie"
        known = self._describe(task)
        return known.name.encode(), known.ppid, known.pgid, known.sid, known.start_ticks

    def child(self, pid: int) -> Process:
        """Describe a child of pyinit."""
        process = self.describe(pid)
        task = self._kernel.table.get(pid)
        assert task is not None, f"{pid} has been reaped"
        assert task.parent is self._kernel.pyinit, f"{task} is no child"
        if process is None:
            return Process(pid, ppid=self._kernel.pyinit.pid, pgid=task.pgid, sid=task.sid, alive=task.alive)
        if process.alive:
            process.foreign = task.foreign
        return process

    def same(self, process: Process) -> bool:
        """Say whether the PID still means this very process."""
        now = self.describe(process.pid)
        return now is not None and now.start_ticks == process.start_ticks

    def view(self, process: Process, signo: int) -> View | None:
        """Look at what a process ignores, and at its children where it ignores this signal."""
        if not self.same(process):
            return None
        task = self._kernel.table[process.pid]
        bits = sum(1 << (signo - 1) for signo in task.ignored)
        below = task.children if signo in task.ignored else []
        return View(self._describe(task), bits, [self._describe(child) for child in below if not child.hidden])

    def walk(self, late: Callable[[], bool]) -> tuple[list[Process], bool]:
        """List every descendant that is not hidden, and say whether nobody can be."""
        self._kernel.call()
        found: list[Process] = []
        complete = True
        tasks = [] if late() else list(self._kernel.pyinit.children)
        for task in tasks:
            if not task.hidden:
                found.append(self._describe(task))
                tasks += task.children
            else:
                complete = False
                if task.parent is self._kernel.pyinit:
                    found.append(self.child(task.pid))
        return found, complete

    def _describe(self, task: Task) -> Process:
        return Process(
            task.pid,
            ppid=task.parent.pid if task.parent else 0,
            pgid=task.pgid,
            sid=task.sid,
            start_ticks=task.ticks,
            born_s=task.ticks / TICKS_PER_S,
            name=f"t{task.pid}",
            state="S" if task.alive else "Z",
            alive=task.alive,
        )
