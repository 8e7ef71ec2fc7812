"""Random hostile process trees: what hypothesis can think up, and one run of pyinit with such a tree."""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import hypothesis.strategies as st

from support import procs, tree_life, tree_oracle
from support import run as runs
from support.programs import program

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

MAX_PROCESSES = 40
GATES = 3
_BOARD_BYTES = 64
_SYS_FUTEX = {"x86_64": 202, "aarch64": 98}[os.uname().machine]
_FUTEX_WAKE = 1

Operation = str | tuple[str, "Script"]
Script = list[Operation]


class Step(NamedTuple):
    """One thing that is done to a run from outside.

    `when`: "at" event number `event` of the tree (or when the tree is quiet before that), when the tree is "quiet", or
    when it is quiet and pyinit sleeps ("calm"). `what`: "open" gate `number`, or send pyinit "signal" `number`.
    """

    when: str
    event: int
    what: str
    number: int


class Example(NamedTuple):
    """One run: the script of tests/programs/tree.c, pyinit's options, and what is done to it."""

    script: str
    until: str
    grace_ms: int
    options: tuple[str, ...]
    steps: tuple[Step, ...]

    @classmethod
    def load(cls, text: str) -> Example:
        """Return the example that `save` wrote."""
        script, until, grace_ms, options, steps = json.loads(text)
        return cls(script, until, grace_ms, tuple(options), tuple(Step(*step) for step in steps))

    def save(self) -> str:
        """Return it as a line of JSON."""
        return json.dumps(self)

    @property
    def ok_exits(self) -> tuple[int, ...]:
        """What its options say with --ok-exit."""
        return tuple(int(option.partition("=")[2]) for option in self.options if option.startswith("--ok-exit="))


# -- examples -----------------------------------------------------------------------------------------------------

# What a process does to itself.
_MANNERS = ["s", "g", "c0", "c3", "h", "p", "i1", "d", "D", "j", "k0", "k5", "x"]
# What makes a stop wait for the end of the grace.
_DEAF = ["i15", "i0", "b"]
# How a process comes to be: fork, fork and setsid, a double fork, one that is waited for, vfork, vfork and exec, a fork
# in a thread, a fork when SIGTERM comes.
_BIRTHS = ["f", "fs", "ff", "ffw", "v", "vx", "t", "T", "a"]
_LIVES = ["q", "q", "l", "l", "", "w", "lw", "z", "o"]
_ENDS = ["e0", "e0", "e0", "e0", "e1", "e3", "y9", "y15", "y11", "y6"]
# What main is: mostly a launcher that leaves daemons behind and exits 0.
_MAINS = ["launcher"] * 4 + ["managers"] * 3 + ["gated", "waits", "any"]
_UNTILS = ["service"] * 3 + ["main", "all"]
_STOPS = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT]
_FORWARDED = [signal.SIGHUP, signal.SIGUSR1, signal.SIGCONT, signal.SIGWINCH]
_OPTIONS = ["--forward-to=tree", "--forward-to=roots", "--ok-exit=3", "--ok-exit=143", "--stop-signal=INT"]


class _Author:
    """Writes one script of at most `left` processes."""

    def __init__(self, random: Random, left: int) -> None:
        self._random = random
        self._left = left

    def pick(self, choices: list[str]) -> str:
        return self._random.choice(choices)

    def main(self) -> Script:
        kind = self.pick(_MAINS)
        self._left -= 1
        if kind == "any":
            return self.process(0)
        if kind == "managers":
            return [*self.repeat(1, 2, self.manager), "e0"]
        script = [*self.manners(2), *self.repeat(1, 6, lambda: self.child(1))]
        if kind == "launcher":
            return [*script, "e0"]
        if kind == "gated":
            return [*script, self.gate(), "e0"]
        return [*script, "w0", self.end()]

    def repeat(self, least: int, most: int, write: Callable[[], Script]) -> Script:
        return [part for _ in range(self._random.randint(least, most)) for part in write()]

    def gate(self) -> str:
        return f"l{self._random.randint(1, GATES)}"

    def end(self) -> str:
        return self.pick(_ENDS)

    def manners(self, most: int) -> Script:
        manners = self._random.sample(_MANNERS, self._random.randint(0, most))
        return [*manners, self.pick(_DEAF)] if self._random.randrange(8) == 0 else [*manners]

    def manager(self) -> Script:
        """Write a daemon whose workers leave helpers behind, and which ends behind them, well as a rule."""

        def script() -> Script:
            life = [self.pick(["l3", "l3", "l3", "l3", "l2", "w0"]), self.pick(["e0", "e0", "e0", "e0", "e3"])]
            return ["s", *self.repeat(1, 2, self.worker), *life]

        return self.born("f", script)

    def worker(self) -> Script:
        def helper() -> Script:
            return self.born("f", lambda: [*self.manners(1), self.pick(["q", "q", "l2", "l2", "l3"]), self.end()])

        life = [self.pick(["l1", "l1", "l1", "l2"]), self.end()]
        return self.born(self.pick(["f", "T"]), lambda: [*self.repeat(2, 3, helper), *life])

    def child(self, depth: int) -> Script:
        return self.born(self.pick(_BIRTHS), lambda: self.process(depth))

    def born(self, birth: str, write: Callable[[], Script]) -> Script:
        """Write how a child comes to be, and what it plays; nothing where there are enough."""
        cost = 2 if birth.startswith("ff") else 1
        if self._left < cost:
            return []
        self._left -= cost
        script = write()
        if birth == "v":
            # Without exec it shares the memory with its parent: nothing there that the C library would mind.
            script = [one for one in script if not isinstance(one, tuple) or one[0] in "fv"]
        double: Script = [("f", ["s", ("f", script), "e0"])]
        ways: dict[str, Script] = {
            "fs": [("f", ["s", *script])],
            "ff": double,
            "ffw": [*double, "w1"],
            "vx": [("v", ["x", *script])],
        }
        return ways.get(birth, [(birth, script)])

    def process(self, depth: int) -> Script:
        script = [*self.manners(3), *self.repeat(0, [6, 3, 2, 1, 0][depth], lambda: self.child(depth + 1))]
        life = [self.gate() if letter == "l" else "w0" if letter == "w" else letter for letter in self.pick(_LIVES)]
        return [*script, *life, self.end()]


def _text(script: Script, slots: list[int]) -> str:
    """Write a script as tree.c reads it; x takes what follows along."""
    text = ""
    for place, one in enumerate(script):
        if isinstance(one, tuple):
            slots[0] += 1
            text += f"{one[0]}{slots[0]}({_text(one[1], slots)})"
        elif one == "x":
            return f"{text}x({_text(script[place + 1 :], slots)})"
        else:
            text += one
    return text


@st.composite
def examples(draw: st.DrawFn) -> Example:
    """Examples of at most MAX_PROCESSES processes.

    hypothesis chooses a number, and everything follows from that: left to itself it writes variations of a few trees.
    """
    random = draw(st.randoms(use_true_random=True))
    script = _text(_Author(random, random.choice([5, 8, 12, 20, MAX_PROCESSES])).main(), [0])
    gates = list(range(1, GATES + 1))
    if random.randrange(3) == 0:
        random.shuffle(gates)

    def step(what: str, number: int, *anchors: str) -> Step:
        return Step(random.choice(anchors), random.randint(1, 60), what, number)

    anchors = random.choice([["calm"], ["calm", "quiet", "at"]])
    steps = [step("open", gate, *anchors) for gate in gates if f"l{gate}" in script]
    for signals, often in ((_FORWARDED, 5), (_STOPS, 3)):
        if random.randrange(often) == 0:
            place = random.randint(0, len(steps))
            steps.insert(place, step("signal", random.choice(signals), "calm", "quiet", "at"))
            if signals is _STOPS and random.randrange(2):  # once more, often the same
                steps.append(step("signal", random.choice([steps[place].number, *_STOPS]), "at"))
    options = {option.partition("=")[0]: option for option in random.sample(_OPTIONS, random.randint(0, 2))}
    return Example(
        script,
        random.choice(_UNTILS),
        random.choice([0, 50, 100, 300]),
        tuple(options.values()),
        tuple(steps),
    )


# -- runs ---------------------------------------------------------------------------------------------------------


class Board:
    """The gates of one tree: a file that its processes map, and that outlives the closing of all descriptors."""

    def __init__(self, folder: Path) -> None:
        fd, self.path = tempfile.mkstemp(dir=folder)
        os.fchmod(fd, 0o666)
        os.ftruncate(fd, _BOARD_BYTES)
        self._map = mmap.mmap(fd, _BOARD_BYTES)
        os.close(fd)
        self._words = (ctypes.c_int * (_BOARD_BYTES // 4)).from_buffer(self._map)
        self._libc = ctypes.CDLL(None, use_errno=True)

    def open(self, gate: int) -> None:
        """Open a gate, and wake who waits there (futex(2))."""
        self._words[gate] = 1
        address = ctypes.byref(self._words, gate * 4)
        woken = self._libc.syscall(_SYS_FUTEX, address, _FUTEX_WAKE, ctypes.c_int(1 << 30), None, None, 0)
        assert woken >= 0, os.strerror(ctypes.get_errno())

    def close(self) -> None:
        """Remove the file."""
        Path(self.path).unlink()
        del self._words
        self._map.close()


class Play:
    """One run of pyinit with one example, from its start to what the oracle says of it."""

    def __init__(self, mode: str, folder: Path, example: Example) -> None:
        self._mode = mode
        self._example = example
        self._opened: set[int] = set()
        self._signals: list[tuple[int, int]] = []
        self._calms: list[tuple[int, int]] = []
        offset = tree_life.clock_offset_ns()
        self._board = Board(folder)
        self._watch = tree_life.Watch()
        try:
            options = [f"--until={example.until}", f"--grace={example.grace_ms}ms", *example.options]
            command = [program("tree"), example.script]
            self._run = runs.Run(mode, command, options=options, extra_env={"BOARD": self._board.path})
            try:
                self._play(offset)
            except BaseException as error:
                error.add_note("\n".join([f"{example}, opened {self._opened}", "log:", *self._run.log.lines]))
                error.add_note("\n".join(["tree:", *map(repr, self._watch.lives)]))
                raise
            finally:
                self._run.abandon()
        finally:
            self._watch.stop()
            self._board.close()

    @property
    def _pid1(self) -> bool:
        return self._mode in {runs.PID1, runs.PID1_USER}

    def _play(self, offset: tuple[int, int]) -> None:
        self._watch.follow(self._run.pid, pid1=self._pid1)
        with contextlib.ExitStack() as stack:
            try:
                # Where pyinit is PID 1 it is not our child: only a descriptor means nobody else once it has ended.
                pidfd = os.pidfd_open(self._run.pid)
                stack.callback(os.close, pidfd)
            except ProcessLookupError:
                pidfd = -1
            for step in self._example.steps:
                if not self._await(step):
                    break
                self._do(step, pidfd)
            if self._become_calm():
                self._run.log.wait_until(self._has_a_reason, "a reason for pyinit to be there")
                if not self._run.of(runs.STOPPING):
                    self._send(signal.SIGTERM, pidfd)
        status = self._run.finish()
        self._watch.wait(self._all_ended, "the end of everybody")
        self._watch.stop()
        assert not self._watch.lost, "the witness lost events; this run proves nothing"
        assert not self._run.out.lines, self._run.out.lines
        late = tree_life.clock_offset_ns()
        facts = tree_oracle.Facts(
            status=status,
            records=self._run.log.records,
            lives=self._watch.lives,
            top=self._run.pid,
            pid1=self._pid1,
            until=self._example.until,
            grace_s=self._example.grace_ms / 1000,
            ok_exits=self._example.ok_exits,
            signals=self._signals,
            calms=self._calms,
            offset_ns=(min(offset[0], late[0]), max(offset[1], late[1])),
        )
        tree_oracle.Oracle(facts).check()

    def _has_a_reason(self, _: list[str]) -> bool:
        """Say whether pyinit has ended, stops, or has somebody to wait for, as far as its log has come."""
        records, until = self._run.log.records, self._example.until
        return (
            self._run.log.eof
            or bool(self._run.of(runs.STOPPING))
            or tree_oracle.carries_on(records, self._watch.lives, until)
        )

    def _all_ended(self) -> bool:
        return all(life.ended_ns is not None for life in self._watch.lives)

    def _quiet(self) -> bool:
        return self._watch.quiet(self._opened)

    def _await(self, step: Step) -> bool:
        """Wait for the moment of a step; False when pyinit has ended before it."""
        if step.when == "at":
            return self._watch.wait(lambda: self._watch.count >= step.event or self._quiet(), f"event {step.event}")
        if step.when == "quiet":
            return self._watch.wait(self._quiet, "a quiet tree")
        return self._become_calm()

    def _become_calm(self) -> bool:
        """Wait until the tree is quiet and pyinit sleeps, having told all; False when pyinit has ended before."""
        started = self._run.log.wait_until(
            lambda lines: self._run.log.eof or any(runs.STARTED in line for line in lines), runs.STARTED
        )
        while started and self._watch.wait(self._quiet, "a quiet tree"):
            quiet_ns = time.monotonic_ns()
            procs.wait_until_asleep(self._run.pid, lambda: self._watch.over)
            if self._watch.over:
                return False
            asleep_ns = time.monotonic_ns()
            if self._watch.wait(self._quiet, "a quiet tree"):
                self._calms.append((quiet_ns, asleep_ns))
                return True
        return False

    def _do(self, step: Step, pidfd: int) -> None:
        if step.what == "open":
            self._opened.add(step.number)
            self._board.open(step.number)
        else:
            self._send(step.number, pidfd)

    def _send(self, number: int, pidfd: int) -> None:
        self._signals.append((time.monotonic_ns(), number))
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, number)
