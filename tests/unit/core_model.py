"""Histories as text: what happens to a run, line by line, and what the core is expected to answer.

A line is an event, then `->` and the actions that it must bring, in their order, with `;` between them:

    adopted 20 -> process.adopted 20 adopted
    ended 10 exited 3 -> stop.begun main TERM; group 10 TERM+CONT; child 20 TERM+CONT; inspect 20
                      -> reap 10 main 3 warning

A line that begins with `->` goes on with the actions of the line before. `at 8` sets the clock to 8 s. `is holding`
checks the phase, and that no deadline is set; `is stopping until 2.5` checks both. `where 20 group=10` describes
process 20 before it is first named. `signal TSTP typed` comes from the kernel, other signals come
from process 7. Main is process 10, leader of its group and session; the first history that a machine is given begins
with its start, or with `paused`: then there is no main.

Who is the service:

    claim 40 below 20        the PID file names 40, which hangs below the root 20; without `below` a child of pyinit
    claim no is empty        the PID file is not believed, and why
    located 40 below 30      the answer to `locate`; `located no has ended`, and `by notify` where MAINPID= named it
    notify 20 READY=1 STATUS=up claims 40 below 20
                             a message of 20, and what its MAINPID comes to; `claims no has ended`
    notify - READY=1 refused its sender has ended
    gone 40                  the service, which is no child, has ended
    command stop 90          a command runs as 90; `command stop fails 11`: there is none, for an errno
    asked stop               a request of process 8 came through the control socket
    asked signal HUP main    one to send a signal: `service`, `main`, `tree`, or `process 20`
    asked restart            one to start main again

Where another run may follow (a policy with `restart`):

    started 11               main has been started again, as 11
    not-started 127          it could not be started again

`service.restarting main 1 in 2 as 1/5` tells what the run came to, the delay, and the count of the limit; `reloading`
behind it: who supervises pyinit is told that the service is not ready for a while. There STOPPING=1 is written, for it
comes only when no run follows.

A stop that begins is passed on (STOPPING=1), and so is readiness that the service has not told by itself (READY=1).
What a command has written is read before its end is told. All that is checked each time and not written.
"""

from __future__ import annotations

import itertools
from copy import copy
from typing import TYPE_CHECKING, cast

import pytest

from pyinit.core import actions, events
from pyinit.core.actions import PassOn, ReadOutput, Report
from pyinit.core.lives import Lives
from pyinit.core.machine import STARTING, Machine
from pyinit.core.model import (
    DUMPED,
    EXITED,
    FROM_NOTIFY,
    FROM_PID_FILE,
    KERNEL,
    KILLED,
    RESTART_ALWAYS,
    RESTART_NO,
    Claim,
    End,
    Policy,
    Process,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyinit.core.actions import Action

SIGNALS = {
    "HUP": 1,
    "INT": 2,
    "QUIT": 3,
    "KILL": 9,
    "USR1": 10,
    "USR2": 12,
    "TERM": 15,
    "SEGV": 11,
    "CHLD": 17,
    "CONT": 18,
    "STOP": 19,
    "TSTP": 20,
    "TTIN": 21,
    "TTOU": 22,
    "WINCH": 28,
    "RTMIN+3": 37,
}
NAMES = {number: name for name, number in SIGNALS.items()}
MAIN = 10
# What the log calls a claim of the PID file.
PID_FILE = "/run/x.pid"
# What is passed on with a record, each time.
PASSED_ON = {"stop.begun": {"STOPPING": "1"}, "pyinit.ready": {"READY": "1"}}
# Histories count seconds from here: a time of 0 means nothing to the core.
EPOCH_S = 1000.0

# Beginnings that several tables share.
# A launcher that exits 0 and leaves 20 behind.
HELD = """
    adopted 20 -> process.adopted 20 adopted
    ended 10 exited 0 -> reap 10 main 0
    settled -> service.handover 20; pyinit.ready handover 20
"""
# A stop that a command begins; half of the grace of 8 s is its own.
ASKED = """
    signal TERM -> stop.begun signal TERM command; run stop 10 TERM 8
    command stop 90 -> command.started stop 90
    is stopping until 4
"""
HELD_AND_ASKED = (
    HELD
    + """
    signal TERM -> stop.begun signal TERM command; run stop 20 TERM 8
    command stop 90 -> command.started stop 90
    is stopping until 4
    """
)
# A launcher that leaves two roots behind, and whose PID file is awaited.
HELD_TWO = """
    adopted 20 -> process.adopted 20 adopted
    adopted 30 -> process.adopted 30 adopted
    ended 10 exited 0 -> read file; reap 10 main 0
    settled -> service.handover 20 30
"""
# The same without a PID file.
HELD_TWO_UNNAMED = """
    adopted 20 -> process.adopted 20 adopted
    adopted 30 -> process.adopted 30 adopted
    ended 10 exited 0 -> reap 10 main 0
    settled -> service.handover 20 30
"""


def new_main() -> Process:
    """Return main as it is when it has just been started."""
    return Process(MAIN, pgid=MAIN, sid=MAIN, start_ticks=1, born_s=EPOCH_S - 10, name="main")


class History:
    """A machine that is taken through a history, line by line."""

    def __init__(self, policy: Policy | None = None, *, grace_s: float = 8.0) -> None:
        policy = policy or Policy(grace_s=grace_s)
        self.machine: Machine | Lives = Machine(policy) if policy.restart == RESTART_NO else Lives(policy)
        self.now = 0.0
        self._known: dict[int, Process] = {MAIN: new_main()}
        self._given: dict[int, list[str]] = {}

    def play(self, text: str) -> None:
        """Play the lines of a history; fail at the first that does not bring what it says."""
        __tracebackhide__ = True
        lines = [line.strip() for line in text.strip().splitlines()]
        if self.machine.phase == STARTING and not lines[0].startswith("paused"):
            lines.insert(0, "started -> pyinit.started")
        while lines:
            line = lines.pop(0)
            while lines and lines[0].startswith("->"):
                line += (" ; " if "->" in line else " -> ") + lines.pop(0)[2:]
            self._line(line)

    def tell(self, *lines: str) -> None:
        """Tell events whose actions do not matter here."""
        for line in lines:
            self.actions(*line.split())

    def actions(self, *words: str) -> list[Action]:
        """Tell an event; return the actions."""
        return self.machine.handle(self.event(*words), EPOCH_S + self.now)

    def facts(self, *words: str) -> dict[str, object]:
        """Tell an event whose first action is a record; return its facts."""
        record = self.actions(*words)[0]
        assert isinstance(record, Report)
        return record.facts

    def _line(self, line: str) -> None:
        __tracebackhide__ = True
        words, _, expected = line.partition("->")
        match words.split():
            case ["at", seconds, *words_left]:
                self.now = float(seconds)
                event_words = words_left
            case ["is", phase, *until]:
                assert self.machine.phase == phase, f"phase is {self.machine.phase}, not {phase}"
                wanted = pytest.approx(EPOCH_S + float(until[1])) if until else None
                assert self.machine.deadline == wanted, f"{line}: deadline {self.machine.deadline}"
                return
            case ["where", number, *given]:
                self._given[int(number)] = given
                return
            case ["#", *_]:
                return
            case event_words:
                pass
        if not event_words:
            return
        told = describe_all(self.actions(*event_words), restarts=isinstance(self.machine, Lives))
        wanted_actions = [action.strip() for action in expected.split(";") if action.strip()]
        assert told == wanted_actions, f"{line}\n  told   {'; '.join(told)}\n  wanted {'; '.join(wanted_actions)}"

    def process(self, word: str) -> Process:
        """Return the process that a word names, the same one each time."""
        pid = int(word)
        if pid not in self._known:
            self._known[pid] = describe_process(pid, self._given.get(pid, []))
        return self._known[pid]

    def forget(self, word: str) -> None:
        """Let a number mean a new process from now on."""
        self._known.pop(int(word))

    def event(self, *words: str) -> events.Event:
        """Make an event from words."""
        kind, *rest = words
        make: dict[str, Callable[[], events.Event]] = {
            "started": lambda: events.Started(self._main(rest[0]) if rest else self.process(str(MAIN))),
            "not-started": lambda: events.NotStarted(int(rest[0]), 2, "is not there"),
            "paused": lambda: events.Started(None),
            "stopped": lambda: events.Stopped(SIGNALS[rest[0]]),
            "signal": lambda: events.Signalled(SIGNALS[rest[0]], KERNEL if rest[1:] == ["typed"] else 7, 1000),
            "adopted": lambda: events.Adopted(self.process(rest[0])),
            "ended": lambda: events.Ended(self.process(rest[0]), end(*rest[1:])),
            "passed": lambda: events.Passed([int(word) for word in rest]),
            "came": lambda: events.Came([_pair(word) for word in rest]),
            "settled": lambda: events.Settled(childless=False),
            "childless": lambda: events.Settled(childless=True),
            "time-up": events.TimeUp,
            "inspected": lambda: events.Inspected([self._view(word) for word in rest]),
            "walked": lambda: events.Walked(
                [self.process(word) for word in rest if word != "hidden"], complete="hidden" not in rest
            ),
            "denied": lambda: events.Undeliverable(self.process(rest[0]), SIGNALS[rest[1]], 1),
            "claim": lambda: events.Claimed(self._claim(FROM_PID_FILE, rest, PID_FILE)),
            "located": lambda: events.Located(self._located(rest)),
            "notify": lambda: self._notified(rest),
            "gone": lambda: events.ServiceGone(self.process(rest[0])),
            "command": lambda: self._command(*rest),
            "asked": lambda: self._asked(*rest),
        }
        return make[kind]()

    def _main(self, word: str) -> Process:
        """Return a main that was started again: it leads a group and a session."""
        process = self.process(word)
        process.sid = process.pgid = process.pid
        return process

    def _claim(self, source: str, words: Sequence[str], text: str) -> Claim:
        """Make a claim of `40`, `40 below 20` or `no is empty`; like the shell's, it brings descriptions of its own."""
        match words:
            case ["no", *reason]:
                return Claim(source, text=text, reason=" ".join(reason))
            case [pid, "below", root]:
                return Claim(source, self._again(pid), root=self._again(root), text=text)
            case [pid]:
                return Claim(source, self._again(pid), text=text)
        pytest.fail(f"no claim: {words}")

    def _again(self, word: str) -> Process:
        """Describe a process once more."""
        return copy(self.process(word))

    def _located(self, words: Sequence[str]) -> Claim:
        source = FROM_NOTIFY if list(words[-2:]) == ["by", "notify"] else FROM_PID_FILE
        return self._claim(source, [*words[:-2]] if source == FROM_NOTIFY else words, "")

    def _notified(self, words: Sequence[str]) -> events.Notified:
        sender, *rest = words
        said = list(itertools.takewhile(lambda word: "=" in word, rest))
        rest = rest[len(said) :]
        fields = dict(word.split("=", 1) for word in said)
        process = None if sender == "-" else self.process(sender)
        match rest:
            case ["claims", *claim]:
                text = f"MAINPID={fields.get('MAINPID', '')}"
                return events.Notified(process, fields, claim=self._claim(FROM_NOTIFY, claim, text))
            case ["refused", *reason]:
                return events.Notified(process, fields, reason=" ".join(reason))
        assert not rest, f"no message: {words}"
        return events.Notified(process, fields)

    def _command(self, kind: str, *rest: str) -> events.CommandStarted:
        match rest:
            case ["fails", errno]:
                return events.CommandStarted(kind, None, int(errno))
            case [pid]:
                process = self.process(pid)
                process.sid = process.pgid = process.pid
                return events.CommandStarted(kind, process)
        pytest.fail(f"no start of a command: {rest}")

    def _asked(self, kind: str, *rest: str) -> events.Asked:
        """Make a request of process 8, uid 0: `asked stop`, `asked signal HUP main`, `asked signal HUP process 20`."""
        match rest:
            case []:
                return events.Asked(kind, 8, 0)
            case [signal, target]:
                return events.Asked(kind, 8, 0, signo=SIGNALS[signal], target=target)
            case [signal, target, pid]:
                return events.Asked(kind, 8, 0, signo=SIGNALS[signal], target=target, process=self._again(pid))
        pytest.fail(f"no request: {rest}")

    def _view(self, word: str) -> events.View:
        """Make a view of `20`, `20!INT,TERM` (it ignores these), `20!TERM>30,31` (and has these children).

        Or of `20@D+5`: it is in the D state by now, and has used 5 ticks of CPU time.
        """
        rest, _, children = word.partition(">")
        rest, _, ignored = rest.partition("!")
        rest, _, used = rest.partition("+")
        number, _, state = rest.partition("@")
        process = self._again(number)
        process.state = state or process.state
        process.used_ticks = int(used or 0)
        bits = sum(1 << (SIGNALS[name] - 1) for name in ignored.split(",") if name)
        return events.View(process, bits, [self.process(child) for child in children.split(",") if child])


def _pair(word: str) -> tuple[int, int]:
    """Return the PID and the process group of `20=10`."""
    pid, _, pgid = word.partition("=")
    return int(pid), int(pgid)


def end(kind: str, value: str = "0") -> End:
    """Return an end from words: `exited 3`, `killed KILL`, `dumped QUIT`."""
    if kind == "exited":
        return End(EXITED, int(value))
    return End({"killed": KILLED, "dumped": DUMPED}[kind], SIGNALS[value])


def describe_process(pid: int, given: Sequence[str]) -> Process:
    """Return a process with its own group in main's session, or what words make of it: `group=10 born=2.5 foreign`."""
    process = Process(pid, pgid=pid, sid=MAIN, start_ticks=pid * 100, name=f"p{pid}", state="S")
    for word in given:
        name, _, value = word.partition("=")
        match name:
            case "group":
                process.pgid = int(value)
            case "session":
                process.sid = int(value)
            case "born":
                process.born_s = EPOCH_S + float(value)
            case "foreign":
                process.foreign = True
                process.sid = pid  # a runtime that brings a process in gives it a session of its own
            case "dead":
                process.state = "Z"
                process.alive = False
            case _:
                pytest.fail(f"unknown word {word}")
    return process


def describe_all(wanted: Sequence[Action], *, restarts: bool = False) -> list[str]:
    """Say in words what actions ask for; check what belongs to a record and is not written."""
    told: list[str] = []
    left = list(wanted)
    output: Process | None = None
    while left:
        action = left.pop(0)
        if isinstance(action, ReadOutput):
            output = action.process
            continue
        told.append(describe(action))
        if isinstance(action, Report) and action.event == "command.ended":
            assert output is action.facts["process"], "a command's end is told before what it has written"
            output = None
        if isinstance(action, Report) and action.event == "service.restarting":
            passed_on = left.pop(0)
            assert isinstance(passed_on, PassOn)
            assert passed_on.fields["STATUS"] == f"restarting main in {action.facts['delay_s']:g} s"
            told[-1] += " reloading" if "RELOADING" in passed_on.fields else ""
            continue
        if restarts and isinstance(action, Report) and action.event == "stop.begun":
            continue
        if isinstance(action, Report) and action.facts.get("reason") != FROM_NOTIFY and action.event in PASSED_ON:
            behind = left.pop(0) if left else None
            assert isinstance(behind, PassOn), f"{told[-1]} is not passed on"
            assert behind.fields == PASSED_ON[action.event]
    assert output is None, "output is read that no end follows"
    return told


def describe(action: actions.Action) -> str:  # noqa: C901, PLR0911, PLR0912  # a line for each kind
    """Say in words what an action asks for."""
    match action:
        case actions.SignalGroup():
            return f"group {action.pgid} {_signal(action.signo, cont=action.cont)}"
        case actions.SignalChild():
            return f"child {action.process.pid} {_signal(action.signo, cont=action.cont)}"
        case actions.SignalDescendant():
            return f"descendant {action.process.pid} {_signal(action.signo, cont=action.cont)}"
        case actions.SignalUnseen():
            return _join("unseen", *map(str, action.pids), _signal(action.signo, cont=True))
        case actions.SignalEveryone():
            return f"everyone {_signal(action.signo, cont=False)}"
        case actions.KillChildren():
            return "kill children"
        case actions.GiveTerminal():
            return "give terminal"
        case actions.TakeTerminal():
            return "take terminal"
        case actions.StopSelf():
            return "stop job" if action.whole_job else "stop self"
        case actions.Inspect():
            return f"inspect {_pids(action.processes)}"
        case actions.Walk():
            return "walk"
        case actions.ReadPidFile():
            return "read file"
        case actions.Locate():
            return _join("locate", action.process.pid, "by notify" if action.source == FROM_NOTIFY else "")
        case actions.Follow():
            return f"follow {action.process.pid}"
        case actions.PassOn():
            return _join("pass on", *_assignments(action.fields))
        case actions.ReadOutput():
            return f"read output {action.process.pid}"
        case actions.RunCommand():
            signal = NAMES.get(action.signo, "-")
            return _join("run", action.kind, _pid(action.service) or "-", signal, f"{action.left_s:g}")
        case actions.Reap():
            return _join("reap", action.process.pid, action.role, action.end.status, action.severity)
        case actions.Report():
            return _join(action.event, *_facts(action.event, action.facts), action.severity)
        case actions.Answer():
            return _join("answer", action.refused or "done")
        case actions.CloseRun():
            return "close run"
        case actions.Respawn():
            return "respawn"
        case actions.Exit():
            return f"exit {action.status}"


def _signal(signo: int, *, cont: bool) -> str:
    return NAMES[signo] + ("+CONT" if cont else "")


def _join(*words: object) -> str:
    return " ".join(str(word) for word in words if word not in (None, ""))


def _pids(processes: object) -> str:
    return " ".join(str(process.pid) for process in cast("Sequence[Process]", processes))


def _pid(process: object) -> int | None:
    return process.pid if isinstance(process, Process) else None


def _assignments(fields: object) -> list[str]:
    return [f"{name}={value}" for name, value in cast("Mapping[str, str]", fields).items()]


def _with(word: str, process: object) -> str:
    """Return `below 20`, or nothing without a process."""
    return f"{word} {process.pid}" if isinstance(process, Process) else ""


def _facts(event: str, facts: dict[str, object]) -> list[object]:  # noqa: C901, PLR0911, PLR0912  # a line for each event
    """Pick the facts of a record that a history states."""
    match event:
        case "process.adopted":
            return [_pid(facts["process"]), facts["role"]]
        case "service.handover":
            return [_pids(facts["successors"])]
        case "service.inherited":
            return [_pid(facts["process"]), "to", _pids(facts["successors"])]
        case "signal.forwarded":
            targets = cast("list[int]", facts["targets"])
            return [NAMES[cast("int", facts["signal"])], *targets]
        case "signal.undeliverable":
            return [_pid(facts["process"]), NAMES[cast("int", facts["signal"])]]
        case "stop.begun":
            command = "command" if facts["command"] else ""
            return [facts["reason"], NAMES[cast("int", facts["stop_signal"])], command]
        case "stop.repeated":
            return [NAMES[cast("int", facts["signal"])]]
        case "stop.escalated" | "stop.killing":
            return [_pids(facts["processes"])]
        case "stop.unkillable":
            return [_pid(facts["process"]), facts["reason"]]
        case "stop.extended":
            limited = "limited" if facts["limited"] else ""
            return [f"{facts['asked_s']:g}", "to", f"{facts['until_s']:g}", limited]
        case "pyinit.ready":
            return [facts["reason"], _pid(facts["process"])]
        case "service.identified":
            ties = _with("below", facts["root"]), _with("after", facts["previous"])
            return [_pid(facts["process"]), facts["source"], *ties]
        case "service.refused":
            return [facts["source"], facts["reason"]]
        case "service.notified":
            return [_pid(facts["process"]), *_assignments(facts["notify"])]
        case "command.started":
            return [facts["kind"], _pid(facts["process"]), facts["errno"] or ""]
        case "command.ended":
            return [facts["kind"], _pid(facts["process"]), cast("End", facts["end"]).status]
        case "control.request":
            assert (facts["sender_pid"], facts["sender_uid"]) == (8, 0)
            outcome = "" if facts["accepted"] else "refused"
            return [facts["request"], *cast("list[int]", facts["targets"]), outcome, facts["reason"]]
        case "service.restarting":
            count = "asked" if facts["asked"] else f"{facts['count']}/{facts['limit']}"
            return [facts["reason"], facts["status"], "in", f"{facts['delay_s']:g}", "as", count]
        case "service.restarted":
            return [_pid(facts["main"]), facts["restarts"]]
        case "service.start_failed":
            return [facts["status"]]
        case "service.given_up":
            return [facts["reason"], facts["status"]]
        case "pyinit.exited":
            return [facts["reason"], facts["status"]]
        case _:
            return []


def play(text: str, **policy: object) -> Machine:
    """Play a history from main's start; return the machine as it stands then."""
    machine = _played(text, policy)
    assert isinstance(machine, Machine)
    return machine


def play_lives(text: str, **policy: object) -> Lives:
    """Play a history of several runs; return the core as it stands then. `always` unless the policy says otherwise."""
    lives = _played(text, {"restart": RESTART_ALWAYS, **policy})
    assert isinstance(lives, Lives)
    return lives


def _played(text: str, policy: Mapping[str, object]) -> Machine | Lives:
    __tracebackhide__ = True
    history = History(Policy(**policy))  # type: ignore[arg-type]  # the names of Policy
    history.play(text)
    return history.machine
