"""Random histories of a simulated kernel against the invariants of docs/architecture.md.

The machine is driven by the shell's own loop and effects, on a kernel, a /proc and a clock that are simulated. A second,
simpler opinion (`Oracle`) says from what the kernel did what phase the run must be in, and what status it must end with.
"""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from unit.core_kernel import SIGCHLD, Kernel, Proc, Task

from pyinit import effects, loop
from pyinit.core import events
from pyinit.core.machine import DONE, HOLDING, KILLING, RUNNING, STOPPING, Machine
from pyinit.core.model import EXITED, KILLED, SIGCONT, SIGKILL, SIGTERM, End, Policy, Process
from pyinit.core.stopping import HEADS_ALONE, KILL_LIMIT_S, WALK_EVERY_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SIGHUP, SIGINT, SIGQUIT = 1, 2, 3
# More than the loop's own looks while stopping need (seconds).
SLACK_S = 0.3
# So long no look at the children takes, and no look is too soon after the last (seconds).
PAUSE_S = 0.05

ENDS = st.one_of(
    st.sampled_from([0, 0, 0, 0, 0, 1, 3, 143]).map(lambda status: End(EXITED, status)),
    st.sampled_from([SIGKILL, SIGTERM, 11]).map(lambda signo: End(KILLED, signo)),
)
PICK = st.integers(0, 63)
POLICIES = st.builds(
    Policy,
    until=st.sampled_from(["service", "service", "main", "all"]),
    grace_s=st.sampled_from([0.0, 0.5, 3.0]),
    stop_signal=st.sampled_from([None, None, SIGQUIT]),
    ok_exits=st.sampled_from([(), (), (3,), (137, 143)]),
    pid1=st.booleans(),
)


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


class Run:
    """One run of the shell and the core on a simulated kernel."""

    def __init__(self, policy: Policy, *, exact: bool, before: int) -> None:
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
        self.patch.setattr(loop, "time", SimpleNamespace(monotonic=self._monotonic))
        self.patch.setattr(loop, "select", SimpleNamespace(epoll=lambda: poll, EPOLLIN=1, EPOLLOUT=4))
        self.patch.setattr(loop, "posix", SimpleNamespace(getpid=lambda: self.kernel.pyinit.pid))
        born_with = [self.kernel.fork(self.kernel.pyinit) for _ in range(before)]
        for task in born_with:
            task.foreign = True
        proc = Proc(self.kernel)
        self.machine = Machine(policy)
        self.effects = effects.Effects(self.machine, proc, self.log)  # type: ignore[arg-type]  # stand-ins
        self.loop = loop.Loop(
            3,
            self.machine,
            self.effects,
            proc,  # type: ignore[arg-type]
            self.log,  # type: ignore[arg-type]
            before=[task.pid for task in born_with],
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
        told = [(process.pid, str(facts["end"])) for facts in self.log.of("process.reaped") for process in [_one(facts)]]
        reaped = [(task.pid, str(task.end)) for task in self.kernel.dead_children if task not in self.kernel.pyinit.children]
        assert sorted(told) == sorted(reaped)
        assert len(set(map(id, self.kernel.reaped))) == len(self.kernel.reaped)

    def check_phase(self) -> None:
        """The phase and the successors are what the oracle says."""
        phase = self.machine.phase
        assert self.oracle.phase == (STOPPING if phase == KILLING else phase)
        if phase == HOLDING:
            assert {task.pid for task in self.oracle.successors} == {p.pid for p in self.machine.roster.successors}

    def check_stop_signals(self) -> None:
        """SIGCONT follows every stop signal; each process has it once; after a third of the grace all have it."""
        (begun,) = self.log.of("stop.begun") or [None]
        if begun is None or self.policy.grace_s == 0 or self.stopped_at is None:
            return
        signo = begun["stop_signal"]
        everybody = self.stopped_at + self.policy.grace_s * HEADS_ALONE + WALK_EVERY_S + SLACK_S
        for task in self.kernel.living:
            meant = [other for other in task.tried if other in (signo, SIGTERM, SIGCONT, SIGKILL)]
            if signo in meant:
                assert SIGCONT in meant[meant.index(signo) :], f"{task} may be stopped and never see the signal"
            fuzzy = task.moved or task.born_s > self.stopped_at - 0.02
            assert fuzzy or meant.count(signo) <= 1, f"{task} got the signal twice"
            if self.kernel.now > max(everybody, task.born_s + WALK_EVERY_S + SLACK_S):
                assert meant, f"{task} was forgotten"

    def check_exit(self) -> None:
        """Nobody is left who is not named; the status is the right one; the totals are true."""
        named = self.log.named("stop.unkillable", "signal.undeliverable")
        for task in self.left:
            line: Task | None = task
            while line is not None and line.identity not in named:
                line = line.parent
            assert line is not None, f"{task} is left, and nothing says so"
        for task in self.kernel.pyinit.children:
            assert task.alive or not self.exact, f"{task} was not reaped"
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


class Histories(RuleBasedStateMachine):
    """What processes, people and time do to a run; the checks come after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.run: Run | None = None
        self.held = 0

    @property
    def going(self) -> Run:
        """The run that is on."""
        assert self.run is not None
        return self.run

    @initialize(policy=POLICIES, exact=st.booleans(), before=st.sampled_from([0, 0, 0, 2]))
    def begin(self, policy: Policy, before: int, *, exact: bool) -> None:
        """Begin the first run."""
        self.run = Run(policy, exact=exact, before=before)

    @precondition(lambda self: self.run.over)
    @rule(policy=POLICIES, exact=st.booleans())
    def begin_again(self, policy: Policy, *, exact: bool) -> None:
        """Begin another run when the last has ended."""
        self.going.close()
        self.held = 0
        self.run = Run(policy, exact=exact, before=0)

    def pick(self, number: int) -> Task:
        """Pick a living process; main only where there is no other."""
        living = [task for task in self.going.kernel.living if task is not self.going.main] or [self.going.main]
        return living[number % len(living)]

    def do(self, what: Callable[[Kernel, Task], None], number: int, race: int = 0) -> None:
        """Have a process do something, now or in the midst of the shell's next system calls."""
        run = self.going

        def act() -> None:
            task = self.pick(number)
            if task.alive and not run.kernel.full:
                what(run.kernel, task)

        if race and not run.exact:
            run.kernel.races.append((race, act))
        else:
            act()
        self.after()

    def after(self) -> None:
        """Let the shell see it, unless more is to happen at the same moment."""
        self.held = max(0, self.held - 1)
        if not self.held:
            self.going.settle()

    # Several things happen at one moment.

    @precondition(lambda self: not self.run.exact and not self.run.over)
    @rule(number=st.integers(2, 5))
    def hold(self, number: int) -> None:
        """Keep the shell from running while the next things happen."""
        self.held = number

    # What processes do.

    @precondition(lambda self: not self.run.over)
    @rule(number=PICK, race=st.integers(0, 40), answer=st.sampled_from(["later", "later", "dies", "exits", "fails"]))
    def fork(self, number: int, race: int, answer: str) -> None:
        """Have a process make a child."""

        def what(kernel: Kernel, task: Task) -> None:
            child = kernel.fork(task)
            child.answer = "later" if self.going.exact else answer

        self.do(what, number, race)

    @precondition(lambda self: not self.run.over)
    @rule(number=PICK, race=st.integers(0, 40), waits=st.booleans(), ignores=st.booleans())
    def daemonize(self, number: int, race: int, *, waits: bool, ignores: bool) -> None:
        """Have a process make a daemon by a double fork; its middle may have been waited for."""

        def what(kernel: Kernel, task: Task) -> None:
            middle = kernel.fork(task)
            kernel.lead_session(middle)
            daemon = kernel.fork(middle)
            daemon.ignored |= {SIGINT, SIGQUIT} if ignores else set()
            kernel.exit(middle, End(EXITED, 0))
            if waits:
                kernel.wait(task)

        self.do(what, number, race)

    @precondition(lambda self: not self.run.over)
    @rule(number=PICK, race=st.integers(0, 40), ends=st.lists(ENDS, min_size=1, max_size=3))
    def chain(self, number: int, race: int, ends: Iterable[End]) -> None:
        """Have a process fork, its child too, and each end behind the other: a daemon's start, and a fork treadmill."""
        if self.going.exact:
            task = self.pick(number)
            for end in ends:
                if not self.going.over and task.alive and not self.going.kernel.full:
                    task = self.link(self.going.kernel, task, end)
                    self.after()
            return

        def what(kernel: Kernel, task: Task) -> None:
            for end in ends:
                task = self.link(kernel, task, end)

        self.do(what, number, race)

    def link(self, kernel: Kernel, task: Task, end: End) -> Task:
        """Have a process fork and end; return the child."""
        child = kernel.fork(task)
        kernel.exit(task, end)
        return child

    @precondition(lambda self: not self.run.over)
    @rule(number=PICK, race=st.integers(0, 40), end=ENDS)
    def end(self, number: int, race: int, end: End) -> None:
        """Have a process end."""
        self.do(lambda kernel, task: kernel.exit(task, end), number, race)

    @precondition(lambda self: not self.run.over and self.run.main.alive)
    @rule(end=ENDS, race=st.integers(0, 40))
    def end_main(self, end: End, race: int) -> None:
        """Have main end."""
        self.do(lambda kernel, _: kernel.exit(self.going.main, end), 0, race)

    @precondition(lambda self: not self.run.over and self.run.main.alive and not self.run.kernel.full)
    @rule(number=st.integers(1, 3), race=st.integers(0, 40), stays=st.booleans())
    def launch(self, number: int, race: int, *, stays: bool) -> None:
        """Have main start daemons, by a fork or a double fork, and exit 0."""
        run = self.going
        for index in range(number):
            child = run.kernel.fork(run.main)
            if (index + number) % 2:
                run.kernel.lead_session(child)
                run.kernel.fork(child)
                run.kernel.fork(child)
            self.after()
        if stays:
            return
        self.do(lambda kernel, _: kernel.exit(run.main, End(EXITED, 0)), 0, race)

    @precondition(lambda self: not self.run.over)
    @rule(number=PICK)
    def wait_for_children(self, number: int) -> None:
        """Have a process wait for its dead children."""
        self.do(lambda kernel, task: kernel.wait(task), number)

    @precondition(lambda self: not self.run.over)
    @rule(number=PICK, session=st.booleans())
    def detach(self, number: int, *, session: bool) -> None:
        """Have a process lead a new session or process group."""
        self.do(lambda kernel, task: (kernel.lead_session if session else kernel.lead_group)(task), number)

    @precondition(lambda self: not self.run.over)
    @rule(number=PICK, what=st.sampled_from(["ignores TERM", "ignores QUIT", "denies", "stuck", "subreaper", "moves"]))
    def change(self, number: int, what: str) -> None:
        """Have a process ignore a signal, become another user, hang in the kernel, or become a subreaper."""
        task = self.pick(number)
        match what:
            case "ignores TERM":
                task.ignored.add(SIGTERM)
            case "ignores QUIT":
                task.ignored |= {SIGQUIT, SIGINT}
            case "denies":
                task.denies = True
            case "stuck":
                task.stuck = True
            case "subreaper":
                task.subreaper = True
        self.after()

    @precondition(lambda self: not self.run.over)
    @rule(number=PICK)
    def come_back(self, number: int) -> None:
        """Have a process come back from the kernel; a SIGKILL that waits for it takes it then."""

        def what(kernel: Kernel, task: Task) -> None:
            task.stuck = False
            if SIGKILL in task.pending:
                kernel.react(task, "dies")

        self.do(what, number)

    @precondition(lambda self: not self.run.over)
    @rule(number=PICK, how=st.sampled_from(["dies", "dies", "exits", "fails", "goes on"]))
    def react(self, number: int, how: str) -> None:
        """Have a process answer a signal that it was sent."""
        waiting = [task for task in self.going.kernel.living if task.pending]
        if waiting:
            self.going.kernel.react(waiting[number % len(waiting)], how)
        self.after()

    @precondition(lambda self: not self.run.over)
    @rule(how=st.sampled_from(["dies", "exits"]))
    def all_react(self, how: str) -> None:
        """Have everybody answer, one behind the other."""
        for task in self.going.kernel.living:
            if task.pending and not self.going.over:
                self.going.kernel.react(task, how)
                self.after()

    # What comes from outside.

    @precondition(lambda self: not self.run.over)
    @rule(number=PICK)
    def stranger(self, number: int) -> None:
        """Have a process appear that is nobody of ours: it may take a number that was ours before."""
        kernel = self.going.kernel
        if not kernel.full:
            task = kernel.fork(None)
            if number % 2 and kernel.pid1:
                kernel.fork(task)
                kernel.exit(task, End(EXITED, 0))  # docker exec has ended and left its child behind
            elif number % 3:
                kernel.exit(task, End(EXITED, 0))
        self.after()

    @precondition(lambda self: not self.run.over)
    @rule(signo=st.sampled_from([SIGTERM, SIGTERM, SIGINT, SIGQUIT]))
    def ask_for_a_stop(self, signo: int) -> None:
        """Ask for a stop."""
        self.oracle_stop()
        self.going.kernel.signals.append((signo, 0, 0))
        self.after()

    def oracle_stop(self) -> None:
        """Tell the oracle of a stop request."""
        self.going.oracle.stop()

    @precondition(lambda self: not self.run.over)
    @rule()
    def forward(self) -> None:
        """Send a signal that is no stop request."""
        self.going.kernel.signals.append((SIGHUP, 0, 0))
        self.after()

    @precondition(lambda self: not self.run.over)
    @rule(seconds=st.sampled_from([0.01, 0.2, 1.0, 3.0]))
    def let_time_pass(self, seconds: float) -> None:
        """Let time pass."""
        self.held = 0
        self.going.wait(seconds)

    @precondition(lambda self: self.run.machine.phase in (RUNNING, HOLDING) and not self.run.over)
    @rule()
    def idle(self) -> None:
        """Idle means idle: some time after the last event nothing is waited for but the next."""
        self.held = 0
        self.going.wait(60.0)
        if self.going.machine.phase in (RUNNING, HOLDING):
            assert self.going.loop._timeout() == -1

    @invariant()
    def holds(self) -> None:
        """Check what must be so."""
        if self.run is not None and not self.held:
            self.going.check()

    def teardown(self) -> None:
        """End the run that is still on: it ends within the grace and what is bounded."""
        if self.run is None:
            return
        try:
            self.held = 0
            self.going.settle()
            if not self.going.over:
                self.oracle_stop()
                self.going.kernel.signals.append((SIGTERM, 0, 0))
                self.going.wait(self.going.policy.grace_s + KILL_LIMIT_S + SLACK_S)
            self.going.check()
            assert self.going.over, "the stop has not ended the run"
        finally:
            self.going.close()


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=int(os.environ.get("EX", "150")),
    phases=[Phase.generate] if os.environ.get("EX") else list(Phase),
    print_blob=False,
    stateful_step_count=40,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
