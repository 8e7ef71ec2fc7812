"""One run of the shell's own loop and effects around the core, on a kernel, a /proc and a clock that are simulated.

`Run.check` states the invariants of docs/architecture.md. A second, simpler opinion (`Oracle`) says from what the
kernel did which phase the run must be in, and with which status it must end.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pyinit import effects, loop
from pyinit.core import events
from pyinit.core.machine import DONE, HOLDING, KILLING, RUNNING, STOPPING, Machine
from pyinit.core.model import NO_TERMINAL, SIGCONT, SIGKILL, SIGTERM, End, Policy, Process
from pyinit.core.stopping import HEADS_ALONE, KILL_LIMIT_S, KILL_PATIENCE_S, WALK_EVERY_S
from unit.core_kernel import CALL_S, SIGCHLD, Kernel, Proc, Task

# More than the loop's own looks while stopping need (seconds).
SLACK_S = 0.3
# So long no look at the children takes, and no look is too soon after the last (seconds).
PAUSE_S = 0.05


class Oracle:
    """Says what the run must come to, from what the kernel did, as DESIGN 3.1 and 3.2 put it."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.phase = RUNNING
        self.main: Task | None = None
        self.successors: list[Task] = []
        self.decision: End | None = None
        self.bad: list[End] = []

    def ended(self, task: Task, came: list[Task], roots: list[Task]) -> None:
        """Take the end of a child of pyinit, the living children that came by it, and all that live now."""
        assert task.end is not None
        if not task.end.good:
            self.bad.append(task.end)
        if task is self.main:
            self._main_ended(task.end, roots)
        elif task in self.successors:
            self.successors.remove(task)
            self._successor_ended(task.end, came)

    def _main_ended(self, end: End, roots: list[Task]) -> None:
        until = self.policy.until
        if not end.good or (until == "main" and self.phase == RUNNING):
            self.decision = self.decision or end
        if self.phase != RUNNING:
            return
        if until == "main" or (until == "service" and not end.good):
            self.phase = STOPPING
            return
        self.successors = [root for root in roots if not root.foreign]
        self.phase = HOLDING if self.successors or until == "all" else STOPPING

    def _successor_ended(self, end: End, came: list[Task]) -> None:
        if not end.good:
            self.decision = self.decision or end
        if self.phase != HOLDING:
            return
        if end.good:
            self.successors += [root for root in came if not root.foreign]
        if self.policy.until == "service" and not (end.good and self.successors):
            self.phase = STOPPING

    def stop(self) -> None:
        """Take a stop request."""
        if self.phase in (RUNNING, HOLDING):
            self.phase = STOPPING

    @property
    def status(self) -> int:
        """The status that the run must end with, if it ended now."""
        waits = [task for task in [self.main, *self.successors] if task is not None and task.alive]
        status = self.decision.status if self.decision else 128 + SIGKILL if waits else 0
        return 0 if status in self.policy.ok_exits else status


class Log:
    """Keeps the records."""

    def __init__(self) -> None:
        self.records: list[tuple[str, dict[str, object], str | None]] = []
        self.dropped = 0

    def report(self, event: str, facts: dict[str, object], severity: str | None = None) -> None:
        """Take a record."""
        assert event != "pyinit.error", facts
        self.records.append((event, dict(facts), severity))

    def pending_fd(self) -> None:
        """Have no reader to wait for."""

    def of(self, event: str) -> list[dict[str, object]]:
        """Return the facts of all records of an event."""
        return [facts for name, facts, _ in self.records if name == event]

    def named(self, *names: str) -> set[tuple[int, int]]:
        """Return the identities of the processes that records of these events name."""
        return {
            process.identity
            for name in names
            for facts in self.of(name)
            if isinstance(process := facts["process"], Process)
        }


class Terminal:
    """Stands in for the controlling terminal: who is in the foreground, None for pyinit."""

    def __init__(self) -> None:
        self.foreground: int | None = None

    def give(self, pgid: int) -> None:
        """Put a process group into the foreground."""
        self.foreground = pgid

    def take_back(self, pgid: int) -> None:
        """Put pyinit into the foreground, if that group is there."""
        if self.foreground == pgid:
            self.foreground = None


class Run:
    """One run of the shell and the core on a simulated kernel."""

    def __init__(self, policy: Policy, *, exact: bool, before: int, batch: int) -> None:
        self.policy = policy
        # Exact: the shell comes to rest and looks after everything that happens, so that there is one right answer.
        self.exact = exact
        self.oracle = Oracle(policy)
        self.kernel = Kernel(pid1=policy.pid1, ended=self._ended)
        self.log = Log()
        self.patch = pytest.MonkeyPatch()
        door = self.kernel.door()
        poll = SimpleNamespace(poll=self._poll, register=lambda _fd, _events: None)
        for module in (loop, effects):
            self.patch.setattr(module, "kernel", door)
            self.patch.setattr(module, "time", SimpleNamespace(monotonic=self._monotonic))
        self.patch.setattr(loop, "BATCH", batch)
        self.patch.setattr(effects, "KILL_BURST_S", batch * CALL_S)
        self.patch.setattr(loop, "select", SimpleNamespace(epoll=lambda: poll, EPOLLIN=1, EPOLLOUT=4))
        self.patch.setattr(loop, "posix", SimpleNamespace(getpid=lambda: self.kernel.pyinit.pid))
        born_with = [self.kernel.fork(self.kernel.pyinit) for _ in range(before)]
        for task in born_with:
            task.foreign = True
        proc = Proc(self.kernel)
        self.terminal = Terminal()
        self.machine = Machine(policy)
        self.effects = effects.Effects(self.machine, proc, self.log, self.terminal)  # type: ignore[arg-type]  # stand-ins
        self.loop = loop.Loop(
            3,
            self.machine,
            self.effects,
            proc,  # type: ignore[arg-type]
            self.log,  # type: ignore[arg-type]
            before=[task.pid for task in born_with],
            jobs=policy.terminal != NO_TERMINAL,
        )
        self.main = self.kernel.fork(self.kernel.pyinit)
        self.main.pgid = self.main.sid = self.main.pid
        self.oracle.main = self.main
        self.loop.take(events.Started(proc.child(self.main.pid)))
        self.left: list[Task] = []
        self.stopped_at: float | None = None
        self.rest()

    def close(self) -> None:
        """Give the modules back what they had."""
        self.patch.undo()

    @property
    def over(self) -> bool:
        """True when the shell has left."""
        return self.effects.status is not None

    def _monotonic(self) -> float:
        return self.kernel.now

    def _poll(self, _timeout: float) -> list[tuple[int, int]]:
        self.kernel.call()
        return []

    def _ended(self, task: Task, came: list[Task]) -> None:
        self.oracle.ended(task, came, [child for child in self.kernel.pyinit.children if child.alive])

    # -- the shell ----------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Let the shell work until it would wait."""
        while not self.over and (self.kernel.signals or self.loop._timeout() == 0):
            self.loop._step()
            if self.stopped_at is None and self.machine.phase in (STOPPING, KILLING, DONE):
                self.stopped_at = self.kernel.now
        self.kernel.rest()
        if self.over:
            self.left = self.kernel.living

    def wait(self, seconds: float) -> None:
        """Let time pass: the shell wakes up when it wants to."""
        until = self.kernel.now + seconds
        self.rest()
        while not self.over:
            due = self.loop._timeout()
            if due < 0 or self.kernel.now + due > until:
                self.kernel.now = max(self.kernel.now, until)
                return
            self.kernel.now += due + 1e-9
            self.rest()

    def settle(self) -> None:
        """Let the shell see all that has happened."""
        if self.exact:
            self.kernel.signals.append((SIGCHLD, 0, 0))
            self.wait(PAUSE_S)
        self.rest()

    # -- what must be so ----------------------------------------------------------------------------------------

    def check(self) -> None:
        """Check what holds whenever the shell is at rest."""
        self.check_reaps()
        if self.over:
            self.check_exit()
            return
        if self.machine.phase in (RUNNING, HOLDING):
            assert self.machine.deadline is None, "idle means idle"
        assert not [child for child in self.kernel.pyinit.children if not child.alive], "a zombie is left"
        if self.stopped_at is not None:
            limit = self.stopped_at + self.policy.grace_s + KILL_LIMIT_S + SLACK_S
            assert self.kernel.now <= limit, "the stop takes too long"
        if self.exact:
            self.check_phase()
            self.check_stop_signals()

    def check_reaps(self) -> None:
        """One reap record for each child of pyinit that ended, with its true end; none twice, none missing."""
        told = [
            (process.pid, str(facts["end"])) for facts in self.log.of("process.reaped") for process in [_one(facts)]
        ]
        reaped = [
            (task.pid, str(task.end)) for task in self.kernel.dead_children if task not in self.kernel.pyinit.children
        ]
        assert sorted(told) == sorted(reaped)
        assert len(set(map(id, self.kernel.reaped))) == len(self.kernel.reaped)

    def check_phase(self) -> None:
        """Compare phase and successors with what the oracle says."""
        phase = self.machine.phase
        assert self.oracle.phase == (STOPPING if phase == KILLING else phase)
        if phase == HOLDING:
            assert {task.pid for task in self.oracle.successors} == {p.pid for p in self.machine.roster.successors}

    def check_stop_signals(self) -> None:
        """SIGCONT follows every stop signal; each process has it once; after a third of the grace all have it."""
        if self.policy.grace_s == 0 or self.stopped_at is None:
            return
        (begun,) = self.log.of("stop.begun")
        signo = begun["stop_signal"]
        assert isinstance(signo, int)
        everybody = self.stopped_at + self.policy.grace_s * HEADS_ALONE + WALK_EVERY_S + SLACK_S
        for task in self.kernel.living:
            meant = [other for other in task.tried if other in (signo, SIGTERM, SIGCONT, SIGKILL)]
            if signo in meant:
                assert SIGCONT in meant[meant.index(signo) :], f"{task} may be stopped and never see the signal"
            fuzzy = task.moved or task.born_s > self.stopped_at - 0.02
            assert fuzzy or meant.count(signo) <= 1, f"{task} got the signal twice"
            if self._is_head(task, str(begun["reason"])):
                assert meant, f"{task} is a head, and has had no signal"
            if self.kernel.now > max(everybody, task.born_s + WALK_EVERY_S + SLACK_S):
                assert meant, f"{task} was forgotten"

    def _is_head(self, task: Task, reason: str) -> bool:
        """Say whether a process is one of those that get the signal first, or when they come."""
        if self.main.alive:
            return task is self.main
        mains = task.pgid == self.main.pgid and not task.moved and self.stopped_at is not None
        old = mains and task.born_s < (self.stopped_at or 0.0) - PAUSE_S
        return task.parent is self.kernel.pyinit or (old and reason == "main")

    def check_exit(self) -> None:
        """Nobody is left who is not named; the status is the right one; the totals are true."""
        named = self.log.named("stop.unkillable", "signal.undeliverable")
        for task in self.left:
            line: Task | None = task
            while line is not None and line.identity not in named:
                line = line.parent
            assert line is not None, f"{task} is left, and nothing says so"
            can_die = not task.denies and not task.stuck and task.born_s < self.kernel.now - KILL_PATIENCE_S - SLACK_S
            assert not (self.exact and can_die), f"{task} is left, and could have been killed"
        for task in self.kernel.pyinit.children:
            assert task.alive or not self.exact, f"{task} was not reaped"
        denied = [_one(facts).identity for facts in self.log.of("signal.undeliverable")]
        assert len(denied) == len(set(denied)), "EPERM is reported once per process"
        (exited,) = self.log.of("pyinit.exited")
        assert exited["status"] == self.effects.status == self.machine.status
        assert exited["reaped"] == len(self.log.of("process.reaped"))
        if self.exact:
            assert self.effects.status == self.oracle.status
        else:
            allowed = {0, 128 + SIGKILL, *(end.status for end in self.oracle.bad)}
            assert self.effects.status in allowed
            if not self.oracle.bad and not self.left:
                assert self.effects.status == 0
        if not self.left and self.stopped_at is not None:
            assert self.kernel.now <= self.stopped_at + self.policy.grace_s + KILL_LIMIT_S


def _one(facts: dict[str, object]) -> Process:
    process = facts["process"]
    assert isinstance(process, Process)
    return process
