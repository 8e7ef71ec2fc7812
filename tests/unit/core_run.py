"""One run of the shell's own loop and effects around the core, on a kernel, a /proc and a clock that are simulated.

`Run.check` states the invariants of docs/architecture.md. A second, simpler opinion (core_oracle.py) says from what the
kernel did which phase the run must be in, and with which status it must end. What a service brings with it, a PID file,
messages and commands, is simulated in core_serving.py.
"""

from __future__ import annotations

import itertools
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pyinit import apart, claims, effects, finalkill, looks, loop, reaper, respawn, serving, sources
from pyinit.core import actions, events
from pyinit.core.lives import WAITING, Lives
from pyinit.core.machine import DONE, HOLDING, KILLING, RUNNING, STOPPING, Machine
from pyinit.core.model import (
    ASKED_RELOAD,
    ASKED_RESTART,
    ASKED_SIGNAL,
    ASKED_STOP,
    AT_MAIN,
    AT_SERVICE,
    AT_TREE,
    COMMAND,
    FROM_NOTIFY,
    FROM_PID_FILE,
    NO_TERMINAL,
    RESTART_NO,
    SIGCONT,
    SIGHUP,
    SIGKILL,
    SIGTERM,
    STOP_COMMAND,
    Policy,
    Process,
)
from pyinit.core.restart import GROWTH
from pyinit.core.service import LONGEST_PAUSE_S
from pyinit.core.stopping import HEADS_ALONE, KILL_LIMIT_S, KILL_PATIENCE_S, TICK_S, WALK_EVERY_S, plan
from pyinit.kernel import EAGAIN
from pyinit.looks import STOPPING_LOOK_S
from pyinit.spawn import NOT_STARTED, SpawnError
from unit.core_kernel import CALL_S, SIGCHLD, Handle, Kernel, Proc, Task
from unit.core_oracle import SLACK_S, Oracle
from unit.core_serving import Inbox, Outbox, PidFile, Runner

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyinit.core.model import End

# A number of ends that are taken in one go with which the log tells little; and less than this are few: then two who
# come at once are a crowd.
QUIET = 3
MANY = 64
# Of so many names one is unlike those before it.
UNLIKE = 4
# So long no look at the children takes, and no look is too soon after the last (seconds).
PAUSE_S = 0.05
# More than the shell needs to see what there is and to act on it (seconds).
MOMENT_S = 0.005


class Log:
    """Keeps the records. `heard` is called with each; `first` is where those of the last run begin."""

    def __init__(self, heard: Callable[[str, dict[str, object]], None]) -> None:
        self.records: list[tuple[str, dict[str, object], str | None]] = []
        self.dropped = 0
        self.first = 0
        self.tells_reaps = True
        self.waiting = False
        self.formed = True
        self.level, self.reaps = "debug", False
        self.filled = 0  # so many records of reaps came of a form
        self._heard = heard

    def report(self, event: str, facts: dict[str, object], severity: str | None = None) -> None:
        """Take a record."""
        assert event != "pyinit.error", facts
        self.records.append((event, dict(facts), severity))
        self._heard(event, facts)

    def form_of_reap(self, name: bytes, *known: object) -> tuple[object, ...] | None:
        """Take it that there is a form for all but some, who go the way of those that are unlike all before."""
        return (name, *known) if sum(name) % UNLIKE else None

    def fill(self, form: tuple[Any, ...], numbers: tuple[int, int, int, int], usage: object) -> None:
        """Take a record of a reap."""
        (name, (ppid, *_), end, role, escaped, severity), (pid, pgid, sid, ticks) = form, numbers
        process = Process(pid, ppid=ppid, pgid=pgid, sid=sid, start_ticks=ticks, name=name.decode(), alive=False)
        self.filled += 1
        facts = {"process": process, "role": role, "escaped": escaped, "end": end, "usage": usage}
        self.report("process.reaped", facts, severity)

    def pending_fd(self) -> None:
        """Have no reader to wait for."""

    def flush(self) -> None:
        """Have nothing to write."""

    def of(self, event: str) -> list[dict[str, object]]:
        """Return the facts of all records of an event, since the last run began."""
        return [facts for name, facts, _ in self.records[self.first :] if name == event]

    def ever(self, event: str) -> list[dict[str, object]]:
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

    def __init__(self, policy: Policy, *, exact: bool, before: int, batch: int, level: str = "debug") -> None:
        self.policy = policy
        # Exact: the shell comes to rest and looks after everything that happens, so that there is one right answer.
        self.exact = exact
        self.oracle = Oracle(policy, self._monotonic, self._named)
        self.kernel = Kernel(pid1=policy.pid1, ended=self._ended)
        self.log = Log(self._heard)
        # A log that tells of no end that nobody asks about; then nobody looks at who that was.
        self.log.tells_reaps = batch != QUIET and level == "debug"
        self.pid_file = PidFile(self.kernel)
        self.inbox = Inbox(self.kernel)
        self.outbox = Outbox()
        self.runner = Runner(self.kernel, self._command)
        self.patch = pytest.MonkeyPatch()
        self._replace(batch)
        born_with = [self.kernel.fork(self.kernel.pyinit) for _ in range(before)]
        for task in born_with:
            task.foreign = True
        self.proc = proc = Proc(self.kernel)
        self.terminal = Terminal()
        self.machine = Machine(policy) if policy.restart == RESTART_NO else Lives(policy)
        self.effects = effects.Effects(self.machine, proc, self.log, self.terminal)  # type: ignore[arg-type]  # stand-ins
        self.effects.final_kill = finalkill.FinalKill(proc, self._group, groups=not before)  # type: ignore[arg-type]
        watched = sources.Sources()
        self.loop = loop.Loop(
            3,
            self.machine,
            self.effects,
            proc,  # type: ignore[arg-type]
            self.log,  # type: ignore[arg-type]
            before=[task.pid for task in born_with],
            jobs=policy.terminal != NO_TERMINAL,
            sources=watched,
        )
        launch = self._launch(proc)
        hands = serving.Serving(launch, self.log, watched, self.loop.take)  # type: ignore[arg-type]
        self.answers: list[str] = []
        self.effects.add({**hands.calls, actions.Answer: self._answered})
        self.effects.add(respawn.Respawner(launch, self.effects, hands, None, self.loop.take).calls)  # type: ignore[arg-type]
        self.left: list[Task] = []
        self.denied: list[Task] = []  # who may not be signalled, as far as that has been told
        self.stopped_at: float | None = None
        self.begun_at = 0.0
        self.begins_at = 0.0
        self.restarts: list[float] = []  # when those that nobody asked for were decided
        self.delay_s = policy.restart_delay_s
        self.start_main(lambda: None)
        self.loop.take(events.Started(launch.main()))
        self.rest()

    def start_main(self, meanwhile: Callable[[], None]) -> None:
        """Start main, as pyinit.boot.Launch does; nobody of an earlier run may be there any more."""
        meanwhile()
        left = [task for task in self.kernel.pyinit.below() if not task.foreign]
        assert not left, f"{left} are left of the last run"
        assert self.kernel.now >= self.begins_at, "a restart comes too soon"
        assert not self.oracle.stop_asked or not self.exact, "a stop was asked for, and main is started"
        roots = self.roots if self.log.records else []
        if self.runner.fails and self.log.records:
            self.oracle.not_started(NOT_STARTED)
            raise SpawnError(NOT_STARTED, EAGAIN, "no new process")
        self.main = self.kernel.fork(self.kernel.pyinit)
        self.main.pgid = self.main.sid = self.main.pid
        self.begun_at = self.kernel.now
        self.oracle.begin(self.main, roots)

    def _replace(self, batch: int) -> None:
        """Put what is simulated in the place of the system."""
        door = self.kernel.door()
        self._watched: list[object] = []
        poll = SimpleNamespace(
            poll=self._poll, register=lambda fd, _events: self._watched.append(fd), unregister=self._watched.remove
        )
        system = SimpleNamespace(getpid=lambda: self.kernel.pyinit.pid, environ={b"NOTIFY_SOCKET": b"@outside"})
        for module in (apart, looks, loop, reaper, effects, finalkill, serving, claims):
            self.patch.setattr(module, "kernel", door)
        for module in (looks, loop, reaper, effects, finalkill):
            self.patch.setattr(module, "time", SimpleNamespace(monotonic=self._monotonic))
        for module in (loop, serving, claims):
            self.patch.setattr(module, "posix", system)
        self.patch.setattr(respawn, "PidFile", lambda _path: self.pid_file.renew())
        self.patch.setattr(reaper, "BATCH", batch)
        self.patch.setattr(looks, "BATCH", batch)
        self.patch.setattr(reaper, "BURIED", 2 * batch)
        self.patch.setattr(reaper, "ENDS", 1 if batch < MANY else MANY)
        self.patch.setattr(looks, "ASK", 1 if batch < MANY else MANY)
        self.patch.setattr(looks, "CROWD", 1 if batch < MANY else MANY)
        self.patch.setattr(finalkill, "SPAN", 5)
        self.patch.setattr(finalkill, "BURST_S", batch * CALL_S)
        self.patch.setattr(sources, "select", SimpleNamespace(epoll=lambda: poll, EPOLLIN=1, EPOLLOUT=4))
        self.patch.setattr("pyinit.notify.Outbox", lambda _address: self.outbox)
        self.patch.setattr("pyinit.commands.Runner", lambda *_: self.runner)

    def _launch(self, proc: Proc) -> SimpleNamespace:
        """Return what stands in for pyinit.boot.Launch."""
        policy = self.policy
        settings = SimpleNamespace(
            pid_file="/run/x.pid" if policy.pid_file else None,
            clean_pid_file=False,
            stop_command="stop",
            reload_command="reload",
        )
        return SimpleNamespace(
            settings=settings,
            proc=proc,
            pid1=policy.pid1,
            inbox=self.inbox if policy.notify else None,
            pid_file=self.pid_file if policy.pid_file else None,
            changes={},
            inherited=None,
            home=-1,
            passed=[],
            start_main=self.start_main,
            main=lambda: proc.child(self.main.pid),
            plan=SimpleNamespace(child=None),
        )

    def close(self) -> None:
        """Give the modules back what they had."""
        self.patch.undo()

    @property
    def over(self) -> bool:
        """True when the shell has left."""
        return self.effects.status is not None

    def _group(self) -> list[int]:
        """List what the control group names: strangers too."""
        self.kernel.call()
        return [task.pid for task in self.kernel.table.values() if task.alive and not task.hidden]

    def _monotonic(self) -> float:
        return self.kernel.now

    def _poll(self, _timeout: float) -> list[tuple[object, int]]:
        self.kernel.call()
        return [(fd, 1) for fd in self._watched if self._is_ready(fd)]

    def _is_ready(self, fd: object) -> bool:
        if isinstance(fd, Handle):
            return not fd.task.alive
        return fd is self.inbox.fd and bool(self.inbox.waiting)

    def _answered(self, action: actions.Answer, now: float) -> None:
        """Hear the answer to a request: why it is refused, or nothing."""
        del now
        self.answers.append(action.refused)

    def _command(self, kind: str, task: Task | None) -> None:
        self.oracle.command(kind, task)

    def _ended(self, task: Task, came: list[Task]) -> None:
        self.oracle.ended(task, came, self.roots)

    def _named(self) -> Task | None:
        """Return whom the PID file names, if that can be proven."""
        task = self.kernel.table.get(self.pid_file.number) if self.policy.pid_file else None
        known = task is not None and task.alive and task in self.kernel.pyinit.below() and self._is_seen(task)
        return task if known else None

    @property
    def roots(self) -> list[Task]:
        """The living children of pyinit."""
        return [child for child in self.kernel.pyinit.children if child.alive]

    def signal(self, signo: int) -> None:
        """Send pyinit a signal."""
        if signo in self.policy.stop_on:
            self.oracle.stop()
        elif signo == SIGHUP:
            self.oracle.reload(self.roots)
        self.kernel.signals.append((signo, 0, 0))

    def ask(self, kind: str, *, signo: int = 0, target: str = "", task: Task | None = None) -> None:
        """Ask for something through the control socket: there is one answer, and it is the right one."""
        process = claims.locate(self.proc, task.pid).process if task is not None else None  # type: ignore[arg-type]
        if task is not None and process is None:
            assert not self.exact or not task.alive or not self._is_seen(task), f"{task} is not found"
            return
        killing = self.machine.phase == KILLING
        refused = self.oracle.refuses(kind, target) or (killing and kind == ASKED_SIGNAL)
        wanted = self.oracle.meant(target) if target in (AT_MAIN, AT_SERVICE) else [task] if task is not None else []
        if kind == ASKED_STOP:
            self.oracle.stop()
        elif kind == ASKED_RELOAD:
            self.oracle.reload(self.roots)
        elif kind == ASKED_RESTART:
            self.begins_at = self.kernel.now if self.machine.phase == WAITING else self.begins_at
            self.oracle.restart()
        self.answers.clear()
        self.loop.take(events.Asked(kind, 0, 0, signo=signo, target=target, process=process))
        assert len(self.answers) == 1, f"{len(self.answers)} answers to {kind}"
        if not self.exact:
            return
        assert bool(self.answers[0]) == refused, f"{kind} {target}: {self.answers[0] or 'done'}"
        if kind != ASKED_SIGNAL or refused:
            return
        if target == AT_TREE:
            wanted = [task for task in self.kernel.living if self._is_seen(task)]
        for other in wanted:
            assert other.tried[-1:] == [signo], f"{other} was to have the signal"

    def _is_seen(self, task: Task) -> bool:
        """Say whether a process can be found from pyinit on: nobody in its line is hidden; a child always is found."""
        above: Task | None = task if task.parent is not self.kernel.pyinit else task.parent
        while above is not None and not above.hidden:
            above = above.parent
        return above is None

    # -- what the shell says ------------------------------------------------------------------------------------

    def _heard(self, event: str, facts: dict[str, object]) -> None:
        if event == "service.identified":
            self._identified(facts)
        elif event == "stop.begun":
            self.oracle.wait(stopping=True)
        elif event == "service.restarting":
            self._restarting(facts)
        elif event == "service.given_up" and facts["reason"] == "limit":
            limit, window_s = self.policy.restart_limit
            assert self._in_window(self.kernel.now, window_s + SLACK_S) >= limit, "there may be more restarts"
        elif event == "signal.undeliverable":
            self._undeliverable(facts)
        elif event == "process.reaped":
            process = _one(facts)
            tasks = [task for task in self.kernel.reaped if task.identity == process.identity]
            assert (facts["role"] == COMMAND) == (tasks[-1] in self.oracle.commands), f"{tasks[-1]} has the wrong role"

    def _restarting(self, facts: dict[str, object]) -> None:
        """Another run follows, as it should, within the limit and after the right delay; what comes now belongs to it.

        A stop request that the shell has taken wins over it; one that waits to be read, will.
        """
        policy, oracle, now = self.policy, self.oracle, self.kernel.now
        asked, count, delay_s = bool(facts["asked"]), cast("int", facts["count"]), cast("float", facts["delay_s"])
        if self.exact:
            assert oracle.wants_another, "nobody wants another run"
            assert facts["status"] == oracle.status
            assert asked == oracle.restart_asked
        if not asked:
            self.restarts.append(now)
            limit, window_s = policy.restart_limit
            assert count <= limit, "too many restarts"
            assert self._in_window(now, window_s - SLACK_S) <= count <= self._in_window(now, window_s + SLACK_S)
            lasted_s = 0.0 if facts["reason"] == "start" else now - self.begun_at
            allowed = {self.delay_s} if lasted_s < window_s + SLACK_S else set()
            allowed |= {policy.restart_delay_s} if lasted_s > window_s - SLACK_S else set()
            assert delay_s in allowed
            self.delay_s = min(delay_s * GROWTH, policy.restart_delay_max_s)
        else:
            assert delay_s == 0.0
        self.begins_at = now + delay_s - CALL_S
        self.oracle = Oracle(policy, self._monotonic, self._named, cast("int", facts["status"]))
        self.log.first = len(self.log.records)
        self.stopped_at = None
        self.denied.clear()
        self.runner.asked.clear()
        self.runner.read.clear()
        self.outbox.sent.clear()
        self.kernel.to_all.clear()
        for task in self.kernel.table.values():
            task.tried.clear()

    def _in_window(self, now: float, window_s: float) -> int:
        """Count the restarts of the last so many seconds."""
        return sum(at > now - window_s for at in self.restarts)

    def _undeliverable(self, facts: dict[str, object]) -> None:
        """EPERM is told of once per process; of a hidden one nothing but the number is known, which comes round."""
        task = self.kernel.table[_one(facts).pid]
        assert task not in self.denied, f"EPERM is told of twice for {task}"
        self.denied.append(task)

    def _identified(self, facts: dict[str, object]) -> None:
        """Whom the shell takes for the service was named, is below pyinit, came from main, and is no command."""
        process, root = _one(facts), facts["root"]
        tasks = [task for task in self.kernel.ever if task.identity == process.identity]
        assert tasks, f"{process} has never been there"
        task = tasks[-1]
        head = root if isinstance(root, Process) else process
        heads = [other for other in self.kernel.ever if other.identity == head.identity]
        assert not task.foreign or task.hidden, f"{task} never came from main"
        assert not heads[-1].command, f"{task} belongs to a command"
        if self.exact:
            assert task.alive
            assert task in self.kernel.pyinit.below(), f"{task} is not below pyinit"
            assert heads[-1] is task.root
            if facts["source"] == FROM_PID_FILE:
                assert self.pid_file.number == task.pid
        self.oracle.identified(task)

    # -- the shell ----------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Let the shell work until it would wait."""
        while not self.over and (
            self.kernel.signals or self.loop._timeout() == 0 or any(map(self._is_ready, self._watched))
        ):
            self.loop._step()
            if self.stopped_at is None and self.machine.phase in (STOPPING, KILLING, DONE):
                self.stopped_at = self.kernel.now
        self.kernel.rest()
        if self.over:
            self.left = self.kernel.living

    def wait(self, seconds: float) -> None:
        """Let time pass: the shell wakes up when it wants to.

        Exact: nothing is to happen at the very moment at which something is due. When SIGKILL goes out, say, nobody can
        tell whether a process that ends then has ended before those whom it kills.
        """
        until = self.kernel.now + seconds
        latest = until + (MOMENT_S if self.exact else 0.0)
        self.rest()
        while not self.over:
            due = self.loop._timeout()
            if due < 0 or self.kernel.now + due > latest:
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

    @property
    def grace_s(self) -> float:
        """The seconds from the beginning of the stop to SIGKILL, as far as they are known."""
        extended = [cast("float", facts["until_s"]) for facts in self.log.of("stop.extended")]
        assert extended == sorted(extended), "SIGKILL comes earlier than was said"
        return extended[-1] if extended else self.policy.grace_s

    def check(self) -> None:
        """Check what holds whenever the shell is at rest."""
        self.check_reaps()
        self.check_ready()
        self.check_commands()
        assert len(self.kernel.handles) <= 1, "descriptors are left open"
        if self.over:
            self.check_exit()
            return
        if self.machine.phase in (RUNNING, HOLDING):
            self.check_deadline()
        elif self.machine.phase == WAITING:
            assert self.machine.deadline is not None
            assert self.machine.deadline <= self.kernel.now + self.policy.restart_delay_max_s
        zombies = [child for child in self.kernel.pyinit.children if not child.alive]
        # Where somebody does not die the time to hold the dead comes to its end without an event: the loop's next look
        # follows, and not another one.
        held_until = self.effects.final_kill._until + STOPPING_LOOK_S + TICK_S
        assert not zombies or self.kernel.now < held_until, "a zombie is left"
        if self.stopped_at is not None:
            assert self.grace_s <= self.policy.grace_max_s
            limit = self.stopped_at + self.grace_s + KILL_LIMIT_S + SLACK_S
            assert self.kernel.now <= limit, "the stop takes too long"
        if self.exact:
            self.check_phase()
            self.check_stop_signals()

    def check_deadline(self) -> None:
        """Idle means idle: what is waited for is an event, or the next look at a PID file that is awaited."""
        deadline = self.machine.deadline
        reloading = any(task.alive for task in self.oracle.commands)
        if not self.policy.pid_file and not reloading:
            assert deadline is None, "idle means idle"
        elif deadline is not None and not reloading:
            assert deadline <= self.kernel.now + LONGEST_PAUSE_S, "the PID file is looked at too seldom"

    def check_reaps(self) -> None:
        """One reap record for each child of pyinit that ended, with its true end; none twice, none missing."""
        told = [
            (process.pid, str(facts["end"])) for facts in self.log.ever("process.reaped") for process in [_one(facts)]
        ]
        reaped = [
            (task.pid, str(task.end)) for task in self.kernel.dead_children if task not in self.kernel.pyinit.children
        ]
        if self.log.tells_reaps:
            assert not self.kernel.buried, "who reads of every reap is not told of some"
            assert sorted(told) == sorted(reaped)
        else:
            assert not Counter(told) - Counter(reaped)
        assert self.machine.totals["reaped"] == len(reaped)
        assert len(set(map(id, self.kernel.reaped))) == len(self.kernel.reaped)

    def check_ready(self) -> None:
        """Readiness is told once at most, for the reason that was asked for, and whoever supervises pyinit hears it."""
        policy = self.policy
        ready = self.log.of("pyinit.ready")
        assert len(ready) <= 1, "ready twice"
        final = policy.restart == RESTART_NO
        assert self.outbox.count("STOPPING") >= len(self.log.of("stop.begun")) * final
        if not final and self.exact and not self.over:
            assert self.outbox.count("STOPPING") == 0 or self.oracle.stop_asked, "another run may follow"
        if policy.notify:
            assert not ready or ready[0]["reason"] == FROM_NOTIFY
            return
        assert self.outbox.count("READY") == len(ready)
        assert self.outbox.count("STOPPING") == len(self.log.of("stop.begun")) or not final
        if ready:
            assert ready[0]["reason"] in {"handover", FROM_PID_FILE if policy.pid_file else ""}
        elif self.exact and self.machine.phase == HOLDING and not policy.pid_file:
            assert not self.oracle.successors, "a service is held, and nobody says that it is ready"

    def check_commands(self) -> None:
        """Each start and each end of a command is told; the stop command runs once, if it is due."""
        asked = [action.kind for action in self.runner.asked]
        assert asked == [facts["kind"] for facts in self.log.of("command.started")]
        dead = [task for task in self.kernel.reaped if task in self.oracle.commands]
        assert sorted(task.pid for task in dead) == sorted(_one(facts).pid for facts in self.log.of("command.ended"))
        assert self.runner.read == [_one(facts).pid for facts in self.log.of("command.ended")]
        stops = asked.count(STOP_COMMAND)
        assert stops <= 1
        if not self.policy.reload_command:
            assert len(asked) == stops
        begun = self.log.of("stop.begun")
        if begun and self.exact:
            assert begun[0]["command"] == self.oracle.stop_command_due
            assert stops == (self.oracle.stop_command_due and self.policy.grace_s > 0)

    def check_phase(self) -> None:
        """Compare phase and successors with what the oracle says."""
        phase = self.machine.phase
        self.oracle.wait(stopping=phase in (STOPPING, KILLING))
        assert self.oracle.phase == (STOPPING if phase == KILLING else phase)
        if phase == HOLDING:
            assert {task.pid for task in self.oracle.successors} == {p.pid for p in self.machine.roster.successors}

    def check_stop_signals(self) -> None:
        """Check whom a stop signals, and when.

        Nobody is signalled while the stop command has its time. The heads have the signal at once, and after a third of
        its time everybody has it who can be seen.
        """
        if self.policy.grace_s == 0 or self.stopped_at is None:
            return
        (begun,) = self.log.of("stop.begun")
        schedule = self.policy.schedule or ((cast("int", begun["stop_signal"]), None),)
        wait_s, *lengths = plan(schedule, self.policy.grace_s, command=bool(begun["command"]))
        begins = self.stopped_at + wait_s + self.grace_s - self.policy.grace_s
        killing = self.machine.phase == KILLING
        waiting = begun["command"] and not killing and not self.log.of("stop.escalated") and not self._served_out()
        assert not waiting or self.kernel.now < begins + SLACK_S, "the command has too much time"
        signals = {signo for signo, _ in schedule} | {SIGTERM, SIGCONT, SIGKILL}
        for task in self.kernel.living:
            meant = [signo for signo in task.tried if signo in signals]
            self._check_each_once(task, [signo for signo, _ in schedule])
            if waiting:
                assert not meant, f"{task} is signalled while the stop command has its time"
            elif self._is_head(task, str(begun["reason"])):
                assert meant, f"{task} is a head, and has had no signal"
            if killing or (task.hidden and not self.policy.pid1):
                continue
            starts = itertools.accumulate(lengths[:-1], initial=begins)
            for number, ((signo, _), start, length_s) in enumerate(zip(schedule, starts, lengths, strict=True), 1):
                everybody = start + length_s * HEADS_ALONE + WALK_EVERY_S + SLACK_S
                if self.kernel.now > everybody and task.born_s < self.stopped_at:
                    assert signo in meant or SIGTERM in meant, f"{task} was forgotten"
                found = max(everybody, task.born_s + WALK_EVERY_S + SLACK_S)
                # Who is born so late that the next signal comes first has that one, when its turn is everybody's.
                in_time = number == len(schedule) or found < start + length_s
                if self.kernel.now > found and in_time and not task.hidden:
                    assert meant, f"{task} was forgotten"

    def _served_out(self) -> bool:
        """Say whether the stop command has done its work and the service has ended: then the signals come at once."""
        ends = [facts["end"] for facts in self.log.of("command.ended") if facts["kind"] == STOP_COMMAND]
        done = any(cast("End", end).good for end in ends)
        return done and not any(task.alive for task in self.oracle._deciders)

    def _check_each_once(self, task: Task, schedule: list[int]) -> None:
        """Check that a process has each signal once, and SIGCONT behind it.

        Not so who has left main's group or was born about when that had it, who is hidden (so that nobody knows when it
        was born), and what PID 1 sends to everybody because it cannot see all: that comes once more.
        """
        assert self.stopped_at is not None
        fuzzy = task.moved or task.hidden or task.born_s > self.stopped_at - 0.02
        for signo in schedule:
            if signo in task.tried:
                assert SIGCONT in task.tried[task.tried.index(signo) :], f"{task} may be stopped and never see it"
            times = schedule.count(signo) + self.kernel.to_all.count(signo)
            assert fuzzy or task.tried.count(signo) <= times, f"{task} got the signal twice"
            assert self.kernel.to_all.count(signo) <= schedule.count(signo), "everybody got the signal twice"

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
            came = self.kernel.now - task.root.came_s
            if self.policy.pid1 and not self.exact and came < STOPPING_LOOK_S + MOMENT_S:
                continue  # who comes behind the last look ends with the PID namespace: pid_namespaces(7)
            line: Task | None = task
            while line is not None and line.identity not in named:
                line = line.parent
            assert line is not None, f"{task} is left, and nothing says so"
            can_die = not task.denies and not task.stuck and task.born_s < self.kernel.now - KILL_PATIENCE_S - SLACK_S
            can_die = can_die and (self.policy.pid1 or not task.hidden)
            assert not (self.exact and can_die), f"{task} is left, and could have been killed"
        for task in self.kernel.pyinit.children:
            assert task.alive or not self.exact, f"{task} was not reaped"
        self.check_given_up()
        (exited,) = self.log.of("pyinit.exited")
        assert exited["status"] == self.effects.status == self.machine.status
        zombies = [task for task in self.kernel.pyinit.children if not task.alive]
        assert exited["reaped"] == len(self.kernel.dead_children) - len(zombies)
        if self.policy.restart != RESTART_NO:
            assert exited["restarts"] == len(self.log.ever("service.restarted"))
            assert self.outbox.count("STOPPING") > 0
        if self.exact:
            assert self.effects.status == self.oracle.status
        else:
            allowed = {0, 128 + SIGKILL, *(end.status for end in self.oracle.bad), self.oracle.before}
            assert self.effects.status in allowed
            if not self.oracle.bad and not self.left and not self.oracle.before:
                assert self.effects.status == 0
        if not self.left and self.stopped_at is not None:
            assert self.kernel.now <= self.stopped_at + self.grace_s + KILL_LIMIT_S
        decider = exited["process"]
        if isinstance(decider, Process):
            assert decider.identity not in {task.identity for task in self.oracle.commands}, "a command has decided"

    def check_given_up(self) -> None:
        """Whoever leaves although another run was wanted says why: the limit, or somebody who is left."""
        told = [facts["reason"] for facts in self.log.of("service.given_up")]
        if not self.exact:
            return
        due = self.oracle.wants_another
        if self.oracle.main is None:
            due = self.oracle.failed  # whatever was asked for while what is there besides was being stopped
        assert len(told) == due, "it is not told why no run follows" if due else "no run was wanted"
        assert "left" not in told or self.left


def _one(facts: dict[str, object]) -> Process:
    process = facts["process"]
    assert isinstance(process, Process)
    return process
