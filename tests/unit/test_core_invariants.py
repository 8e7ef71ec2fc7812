"""Random histories of a simulated kernel against the invariants of docs/architecture.md.

What is checked after each step stands in core_run.py, what is simulated in core_kernel.py.

Each run of the tests plays some hundreds of them, always the same. `make histories` plays PYINIT_HISTORIES of them,
chosen by PYINIT_HISTORIES_SEED: the same number and seed play the same ones again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pyinit.core.lives import WAITING
from pyinit.core.machine import HOLDING, RUNNING
from pyinit.core.model import (
    ASKED_RELOAD,
    ASKED_RESTART,
    ASKED_SIGNAL,
    ASKED_STOP,
    AT_MAIN,
    AT_PROCESS,
    AT_SERVICE,
    AT_TREE,
    EXITED,
    KILLED,
    RESTART_ALWAYS,
    RESTART_NO,
    SIGHUP,
    SIGINT,
    SIGKILL,
    SIGQUIT,
    SIGTERM,
    End,
    Policy,
)
from pyinit.core.service import LONGEST_PAUSE_S
from pyinit.core.stopping import KILL_LIMIT_S
from unit.core_oracle import SLACK_S
from unit.core_run import QUIET, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from unit.core_kernel import Kernel, Task

MORE = int(os.environ.get("PYINIT_HISTORIES") or 0)
SEED = int(os.environ.get("PYINIT_HISTORIES_SEED") or 0)
MACHINES = 2
IN_A_BLOCK = 500
BLOCKS = max(1, -(-MORE // (IN_A_BLOCK * MACHINES)))

SIGUSR1 = 10
ENDS = st.one_of(
    st.sampled_from([0, 0, 0, 0, 0, 1, 3, 143]).map(lambda status: End(EXITED, status)),
    st.sampled_from([SIGKILL, SIGTERM, 11]).map(lambda signo: End(KILLED, signo)),
)
PICK = st.integers(0, 63)
# So many ends, and so many rounds of SIGKILL, the shell takes in one go.
BATCHES = st.sampled_from([2, QUIET, 256])
RARELY = st.sampled_from([False, False, True])
# The signals of a stop, each with its part of the grace.
SCHEDULES = st.sampled_from(
    [(), (), ((SIGQUIT, None),), ((SIGQUIT, 0.4), (SIGTERM, None)), ((SIGINT, 0.1), (SIGQUIT, 0.2), (SIGTERM, 0.3))]
)


def make_policy(grace_s: float, schedule: Iterable[tuple[int, float | None]], **rest: object) -> Policy:
    """Make a policy; the schedule's times are parts of the grace."""
    times = tuple((signo, part and part * grace_s) for signo, part in schedule)
    return Policy(grace_s=grace_s, schedule=times, **rest)  # type: ignore[arg-type]  # the names of Policy


POLICIES = st.builds(
    make_policy,
    until=st.sampled_from(["service", "service", "main", "all"]),
    grace_s=st.sampled_from([0.0, 0.5, 3.0]),
    grace_max_s=st.sampled_from([None, 6.0]),
    schedule=SCHEDULES,
    ok_exits=st.sampled_from([(), (), (3,), (137, 143)]),
    pid1=st.booleans(),
    pid_file=st.booleans(),
    pid_file_timeout_s=st.sampled_from([0.0, 2.0, 60.0]),
    notify=st.booleans(),
    stop_command=st.booleans(),
    reload_command=st.booleans(),
    restart=st.sampled_from(["no", "no", "on-failure", "always"]),
    restart_limit=st.sampled_from([(1, 60.0), (3, 10.0), (1000, 1.0)]),
    restart_delay_s=st.sampled_from([0.0, 0.5, 2.0]),
    restart_delay_max_s=st.sampled_from([2.0, 3.0]),
)
LEVELS = st.sampled_from(["debug", "info"])
MESSAGES = st.sampled_from(
    [
        {"READY": "1"},
        {"READY": "1", "STATUS": "up"},
        {"STOPPING": "1"},
        {"EXTEND_TIMEOUT_USEC": "2000000"},
        {"EXTEND_TIMEOUT_USEC": "100000000"},
        {"STATUS": "busy", "EXTEND_TIMEOUT_USEC": "0"},
    ]
)


class Histories(RuleBasedStateMachine):
    """What processes, people and time do to a run; the checks come after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.run: Run | None = None
        self.held = 0  # so many things happen before the shell runs again
        self.polite = False  # whether everybody answers the last stop request

    @property
    def going(self) -> Run:
        """The run that is on."""
        assert self.run is not None
        return self.run

    @initialize(
        policy=POLICIES,
        exact=st.booleans(),
        before=st.sampled_from([0, 0, 0, 2]),
        daemons=st.integers(0, 3),
        batch=BATCHES,
        level=LEVELS,
    )
    def begin(self, policy: Policy, before: int, daemons: int, batch: int, level: str, *, exact: bool) -> None:
        """Begin a run; most are of a main that starts daemons and exits 0."""
        self.held = 0
        self.polite = daemons % 2 == 0
        self.run = Run(self.adapt(policy), exact=exact, before=before, batch=batch, level=level)
        if daemons:
            self.launch(daemons, 0, stays=False)

    @precondition(lambda self: self.run.over)
    @rule(policy=POLICIES, exact=st.booleans(), daemons=st.integers(0, 3), batch=BATCHES, level=LEVELS)
    def begin_again(self, policy: Policy, daemons: int, batch: int, level: str, *, exact: bool) -> None:
        """Begin another run when the last has ended."""
        self.going.close()
        self.begin(policy, 0, daemons, batch, level, exact=exact)

    def adapt(self, policy: Policy) -> Policy:
        """Return the policy of the run that begins."""
        return policy

    def pick(self, number: int) -> Task:
        """Pick a living process; main only where there is no other."""
        living = [task for task in self.going.kernel.living if task is not self.going.main] or [self.going.main]
        return living[number % len(living)]

    def do(self, what: Callable[[Kernel, Task], None], number: int, race: int = 0, chosen: Task | None = None) -> None:
        """Have a process do something, now or in the midst of the shell's next system calls."""
        run = self.going

        def act() -> None:
            task = chosen or self.pick(number)
            if task.runs and not run.kernel.full:
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
                if not self.going.over and task.runs and not self.going.kernel.full:
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

    @precondition(lambda self: not self.run.over and self.run.main.runs)
    @rule(end=ENDS, race=st.integers(0, 40))
    def end_main(self, end: End, race: int) -> None:
        """Have main end."""
        self.do(lambda kernel, main: kernel.exit(main, end), 0, race, self.going.main)

    @precondition(lambda self: not self.run.over and self.run.main.runs and not self.run.kernel.full)
    @rule(number=st.integers(1, 3), race=st.integers(0, 40), stays=st.booleans())
    def launch(self, number: int, race: int, *, stays: bool) -> None:
        """Have main start daemons, by a fork or a double fork, and exit 0."""
        run = self.going
        for index in range(number):
            if not run.main.runs:
                return  # SIGKILL has come in between
            child = run.kernel.fork(run.main)
            if (index + number) % 2:
                run.kernel.lead_session(child)
                run.kernel.fork(child)
                run.kernel.fork(child)
            self.after()
        if stays:
            return
        self.do(lambda kernel, main: kernel.exit(main, End(EXITED, 0)), 0, race, run.main)

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
        task = self.pick(number)
        task.stuck = False
        if SIGKILL in task.pending:
            self.going.kernel.react(task, "dies")
        self.after()

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

    @precondition(lambda self: not self.run.over)
    @rule(number=PICK, race=st.integers(0, 40))
    def fork_and_hide(self, number: int, race: int) -> None:
        """Have a process make a child that /proc does not show."""

        def what(kernel: Kernel, task: Task) -> None:
            kernel.fork(task).hidden = True

        self.do(what, number, race)

    # What a service says, and what is done to it.

    @precondition(lambda self: self.run.policy.pid_file and not self.run.over)
    @rule(
        number=PICK,
        race=st.integers(0, 40),
        whose=st.sampled_from(["a process", "a process", "a process", "the dead", "pyinit", "nonsense", "", None]),
    )
    def write_pid_file(self, number: int, race: int, whose: str | None) -> None:
        """Have a process write its number into the PID file, or somebody else's, or nonsense; or remove the file."""

        def what(kernel: Kernel, task: Task) -> None:
            numbers = {
                "a process": task.pid,
                "the dead": next(iter(kernel.reaped), task).pid,
                "pyinit": kernel.pyinit.pid,
            }
            self.going.pid_file.write(str(numbers[whose]) if whose in numbers else whose)

        self.do(what, number, race)

    @precondition(lambda self: self.run.policy.pid_file and not self.run.over)
    @rule(number=PICK)
    def name_a_stranger(self, number: int) -> None:
        """Have the PID file name a process that is not below pyinit, if there is one."""
        run = self.going
        below = set(run.kernel.pyinit.below())
        strangers = [task for task in run.kernel.table.values() if task not in below]
        run.pid_file.write(str(strangers[number % len(strangers)].pid))
        self.after()

    @precondition(lambda self: self.run.policy.pid_file and self.run.exact and self.run.machine.phase == HOLDING)
    @rule(number=PICK)
    def name_the_service(self, number: int) -> None:
        """Have the PID file name a process of main's: it is believed at the next look, or at an end."""
        run = self.going
        task = self.pick(number)
        known = run.oracle.service
        may_be = not task.foreign and not task.hidden and not task.root.command
        if run.over or not may_be or (known is not None and known.alive):
            return
        run.pid_file.write(str(task.pid))
        run.wait(LONGEST_PAUSE_S + SLACK_S)
        run.settle()
        assert run.oracle.service is task
        assert run.machine.service.process is not None
        assert run.machine.service.process.identity == task.identity

    @precondition(lambda self: self.run.policy.notify and not self.run.over)
    @rule(number=PICK, race=st.integers(0, 40), fields=MESSAGES)
    def say(self, number: int, race: int, fields: Mapping[str, str]) -> None:
        """Have a process send a message."""
        self.do(lambda _, task: self.going.inbox.send(task, fields), number, race)

    @precondition(lambda self: self.run.policy.notify and not self.run.over)
    @rule(number=PICK, other=PICK, race=st.integers(0, 40), ready=st.booleans())
    def say_who_is_the_service(self, number: int, other: int, race: int, *, ready: bool) -> None:
        """Have a process name itself or another one."""
        run = self.going

        def what(_kernel: Kernel, task: Task) -> None:
            named = task if other % 2 else self.pick(other)
            run.inbox.send(task, {"MAINPID": str(named.pid), **({"READY": "1"} if ready else {})})

        named = None
        if run.exact and run.machine.phase in (RUNNING, HOLDING) and not run.kernel.full:
            sender = self.pick(number)
            named = sender if other % 2 else self.pick(other)
        self.do(what, number, race)
        if named is None or sender.stuck or sender.hidden or sender.root.foreign or named.foreign or named.root.command:
            return
        if not named.hidden or named.parent is run.kernel.pyinit:
            assert run.oracle.service is named

    @precondition(lambda self: self.run.policy.notify and not self.run.over)
    @rule(number=PICK)
    def stranger_says(self, number: int) -> None:
        """Have a process that is not below pyinit say that it is ready, and the service: nobody believes that."""
        run = self.going
        below = set(run.kernel.pyinit.below())
        strangers = [task for task in run.kernel.table.values() if task not in below and task is not run.kernel.pyinit]
        if strangers and run.exact and run.machine.phase != WAITING:
            before = run.outbox.count("READY"), len(run.log.of("service.notified"))
            sender = strangers[number % len(strangers)]
            run.inbox.send(sender, {"READY": "1", "MAINPID": str(sender.pid)})
            self.after()
            assert (run.outbox.count("READY"), len(run.log.of("service.notified"))) == before

    @precondition(lambda self: not self.run.over)
    @rule(fails=RARELY)
    def starve(self, *, fails: bool) -> None:
        """Have no process left for a command; or have some again."""
        self.going.runner.fails = fails

    @precondition(lambda self: self.run.policy.reload_command and not self.run.over)
    @rule(number=PICK, answer=st.booleans(), end=ENDS, race=st.integers(0, 40))
    def reload(self, number: int, end: End, race: int, *, answer: bool) -> None:
        """Send SIGHUP, and have somebody end while the command runs, perhaps."""
        self.going.signal(SIGHUP)
        self.after()
        if answer and not self.going.over:
            self.do(lambda kernel, task: None if task.command else kernel.exit(task, end), number, race)

    @precondition(lambda self: not self.run.over and any(task.runs for task in self.run.oracle.commands))
    @rule(end=ENDS, race=st.integers(0, 40), daemons=st.integers(0, 2))
    def end_command(self, end: End, race: int, daemons: int) -> None:
        """Have one of pyinit's own commands end, and leave daemons behind."""
        run = self.going

        def what(kernel: Kernel, task: Task) -> None:
            for _ in range(daemons):
                kernel.lead_session(kernel.fork(task))
            kernel.exit(task, end)

        self.do(what, 0, race, next(task for task in run.oracle.commands if task.runs))

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
    @rule(signo=st.sampled_from([SIGHUP, SIGHUP, SIGHUP, SIGHUP, SIGTERM, SIGINT, SIGQUIT]))
    def signal(self, signo: int) -> None:
        """Send pyinit a signal: a stop request, or one that it forwards."""
        self.going.signal(signo)
        self.after()

    @precondition(lambda self: not self.run.over)
    @rule(race=st.booleans())
    def ask_for_restart(self, *, race: bool) -> None:
        """Ask for a restart, and for a stop at the same moment, perhaps."""
        self.going.ask(ASKED_RESTART)
        if race:
            self.going.signal(SIGTERM)
        self.after()

    @precondition(lambda self: not self.run.over)
    @rule(kind=st.sampled_from([ASKED_RELOAD, ASKED_RELOAD, ASKED_RELOAD, ASKED_STOP]), race=st.booleans())
    def ask(self, kind: str, *, race: bool) -> None:
        """Ask for a reload or a stop, and send the signal that means the same at that moment, perhaps."""
        self.going.ask(kind)
        if race and not self.going.over:
            self.going.signal(SIGTERM if kind == ASKED_STOP else SIGHUP)
        self.after()

    @precondition(lambda self: not self.run.over)
    @rule(
        number=PICK,
        signo=st.sampled_from([SIGHUP, SIGUSR1]),
        to=st.sampled_from([AT_SERVICE, AT_MAIN, AT_TREE, AT_PROCESS]),
    )
    def ask_for_signal(self, number: int, signo: int, to: str) -> None:
        """Ask for a signal, which goes to whom it is for, whatever it would mean to pyinit."""
        task = self.pick(number) if to == AT_PROCESS else None
        self.going.ask(ASKED_SIGNAL, signo=signo, target=to, task=task)
        self.after()

    @precondition(lambda self: self.run.machine.phase == WAITING and not self.run.over)
    @rule()
    def wait_for_restart(self) -> None:
        """Let time pass until another run begins."""
        self.held = 0
        self.going.wait(self.going.policy.restart_delay_max_s + SLACK_S)

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
        told = -1
        while told != len(self.going.log.records):
            told = len(self.going.log.records)
            self.going.wait(60.0 + LONGEST_PAUSE_S)
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
                self.going.signal(SIGTERM)
                self.going.settle()
                if self.polite:
                    self.all_react("dies")
                self.going.wait(self.going.policy.grace_max_s + KILL_LIMIT_S + SLACK_S)
            self.going.check()
            assert self.going.over, "the stop has not ended the run"
        finally:
            self.going.close()


class Restarts(Histories):
    """The same where main is always to be started again, and crashes more often."""

    def adapt(self, policy: Policy) -> Policy:
        """Have another run follow."""
        policy.restart = RESTART_ALWAYS if policy.restart == RESTART_NO else policy.restart
        return policy

    @precondition(lambda self: self.run.machine.phase in (RUNNING, HOLDING) and not self.run.over)
    @rule(number=PICK, all_die=st.booleans(), signo=st.sampled_from([0, SIGHUP, SIGTERM]))
    def crash(self, number: int, signo: int, *, all_die: bool) -> None:
        """Have main or what carries on crash, all the others with it, perhaps, and a signal come meanwhile."""
        run = self.going
        run.kernel.exit(run.main if run.main.alive else self.pick(number), End(KILLED, 11))
        if run.exact:
            self.after()  # of two things at one moment nobody knows which the shell sees first
        if signo and not run.over:
            run.signal(signo)
        self.after()
        for task in run.kernel.living if all_die else []:
            if not run.over and not task.stuck and not task.foreign:
                run.kernel.exit(task, End(KILLED, SIGKILL))
                self.after()


@pytest.mark.timeout_s(1200 if MORE else 240)
@pytest.mark.parametrize("block", range(BLOCKS))
@pytest.mark.parametrize(("histories", "examples"), [(Histories, 250), (Restarts, 100)], ids=["histories", "restarts"])
def test_random_histories(histories: type[Histories], examples: int, block: int) -> None:
    """What docs/architecture.md calls invariants holds in each history, and its end is the one that was promised."""
    chosen = settings(
        max_examples=IN_A_BLOCK if MORE else examples,
        stateful_step_count=40,
        deadline=None,
        database=None,
        derandomize=not MORE,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(SEED + block)(histories) if MORE else histories, settings=chosen)
