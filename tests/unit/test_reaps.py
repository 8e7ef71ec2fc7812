"""The ends of many, on real processes: a record that comes of a form says what one says that is made by itself."""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyinit import apart
from pyinit.core import events
from pyinit.core.machine import Machine
from pyinit.core.model import Policy, Process
from pyinit.effects import Effects
from pyinit.loop import Loop
from pyinit.procfs import Proc
from pyinit.sources import Sources
from unit.log_kept import OTEL, Kept

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self


# What differs between two processes that are alike, and what each of them has used.
LEADERS = ("process.group_leader.pid", "process.session_leader.pid")
VARIES = ("timestamp", "process.pid", *LEADERS, "process.creation.time")
USED = ("pyinit.usage.user_s", "pyinit.usage.system_s", "pyinit.usage.max_rss_bytes")
NAMES = [b"plain", b"a) Z 1 (b", b"%d%b %s", b"\xff caf\xc3\xa9", b'"\\', b"x y\n"]
# So often a kind of end is there: the form is made at the second time.
TIMES = 5


# So many functions in Python are called for each of many who are reaped, measured: 31 with a record, 9 without.
FUNCTIONS_PER_LOGGED_REAP = 33
FUNCTIONS_PER_REAP = 9.5


class Oom:
    """Stands in for the count of OOM kills."""

    def __init__(self) -> None:
        self.kills = 0

    def any_untold(self) -> bool:
        """Say whether there is one."""
        return self.kills > 0

    def happened(self) -> bool:
        """Take one."""
        there = self.any_untold()
        self.kills -= there
        return there


class Outside(Proc):
    """Shows what /proc shows in a PID namespace whose first process has brought its session from outside."""

    def describe(self, pid: int) -> Process | None:
        """Describe a process."""
        process = super().describe(pid)
        if process is not None:
            process.pgid = process.sid = 0
        return process

    def last_of(self, pid: int) -> tuple[bytes, int, int, int, int] | None:
        """Say of a zombie what is asked first."""
        last = super().last_of(pid)
        return last and (*last[:2], 0, 0, last[4])


class Reaper:
    """The loop and its log, with this process as the parent of main, which only waits, and of those who end."""

    def __init__(self, *, outside: bool = False, **how: Any) -> None:
        """`outside`: those who lead the process groups and the sessions are in no PID namespace that can be seen."""
        self.kept = Kept(**how)
        self.proc = Outside(os.getpid()) if outside else Proc(os.getpid())
        self.machine = Machine(Policy())
        self.effects = Effects(self.machine, self.proc, self.kept.log, None)  # type: ignore[arg-type]  # no terminal
        self.signals, self._writing = os.pipe2(os.O_NONBLOCK)
        self.main = fork(signal.pause)
        sources = Sources()
        self.loop = Loop(
            self.signals, self.machine, self.effects, self.proc, self.kept.log, before=[], jobs=False, sources=sources
        )
        self.loop.take(events.Started(self.proc.child(self.main)))
        self.apart = 0
        self._fill = self.kept.log.fill
        self.kept.log.fill = self._counted  # type: ignore[assignment,method-assign]

    def _counted(self, *what: Any) -> None:
        self.apart += 1
        self._fill(*what)

    def take_all(self) -> None:
        """Take all ends that are there."""
        self.loop.look_soon()
        while self.loop._reaper.more:
            self.loop._step()

    def take(self) -> list[dict[str, Any]]:
        """Take all ends that are there; return their records."""
        self.kept.lines.clear()
        self.take_all()
        records = [json.loads(line) for line in self.kept.lines]
        for record in records:
            OTEL.validate(record)
        return [record for record in records if record["event.name"] == "process.reaped"]

    def __enter__(self) -> Self:
        """Be there."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""
        os.kill(self.main, signal.SIGKILL)
        os.waitpid(self.main, 0)
        os.close(self.signals)
        os.close(self._writing)


def without_children(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test in a process of its own: what is reaped in it are its own children, and all of them."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.setsid()  # in a PID namespace that was entered from outside it would have none that can be seen
                test(*args, **kwargs)
                status = 0
            except BaseException:  # noqa: BLE001  # nothing of pytest may run here
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    return run


def fork(life: Callable[[], object]) -> int:
    """Make a child."""
    pid = os.fork()
    if pid == 0:
        try:
            life()
        finally:
            os._exit(0)
    return pid


def dead(life: Callable[[], object]) -> int:
    """Make a child, and wait until it is a zombie."""
    pid = fork(life)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def named(name: bytes) -> None:
    """Have this name."""
    Path("/proc/self/comm").write_bytes(name)


def die_of(signo: int) -> None:
    """End by a signal."""
    signal.signal(signo, signal.SIG_DFL) if signo != signal.SIGKILL else None
    os.kill(os.getpid(), signo)
    signal.pause()


LIVES: dict[str, Callable[[], object]] = {
    "a good end": lambda: None,
    "a bad end": partial(os._exit, 3),
    "SIGKILL": partial(die_of, signal.SIGKILL),
    "SIGTERM": partial(die_of, signal.SIGTERM),
    "its own session": os.setsid,
    "its own group": partial(os.setpgid, 0, 0),
    **{f"the name {name!r}": partial(named, name) for name in NAMES},
}


@pytest.mark.invariant(1)
@pytest.mark.parametrize("outside", [False, True], ids=["", "leaders are outside"])
@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
@without_children
def test_a_record_by_a_form_is_as_any_other(life: Callable[[], object], *, outside: bool) -> None:
    """Of those who end alike each has one record, in the order in which they were reaped, and all say the same."""
    with Reaper(reaps=True, outside=outside) as reaper:
        pids = [dead(life) for _ in range(TIMES)]
        records = reaper.take()
        assert reaper.apart == TIMES - 2
        assert reaper.machine.totals == {"reaped": TIMES, "adopted": TIMES, "forwarded": 0, "killed": 0}
    assert [record["process.pid"] for record in records] == pids
    for record in records:
        assert all(record[key] >= 0 for key in USED)
        assert f"[{record['process.pid']}]" in record["message"]
        own = record.get("process.group_leader.pid") == record["process.pid"], "session" in record["pyinit.escaped"]
        leads = life in {LIVES["its own session"], LIVES["its own group"]}, life is LIVES["its own session"]
        assert own == ((False, False) if outside else leads)
        assert [key in record for key in LEADERS] == [not outside, not outside]
        for key in (*VARIES, *USED, "message"):
            record.pop(key, None)
    assert all(list(record.items()) == list(records[0].items()) for record in records)


@without_children
def test_at_the_default_level_bad_ends_are_told() -> None:
    """Of the good ends none is told, of the others each, and all of them are counted."""
    with Reaper(level="info") as reaper:
        bad = [dead(life) for _ in range(TIMES) for life in (LIVES["a good end"], LIVES["a bad end"])][1::2]
        assert [record["process.pid"] for record in reaper.take()] == bad
        assert reaper.apart == TIMES - 2
        assert reaper.machine.totals["reaped"] == 2 * TIMES


@without_children
def test_what_the_log_wants_may_change() -> None:
    """A record says what the log wants of it now, whatever was at hand before."""
    with Reaper(reaps=True) as reaper:
        for reaps, level, severity in (
            (True, "debug", "info"),
            (False, "debug", "debug"),
            (False, "info", None),
            (True, "info", "info"),
            (True, "warning", None),
        ):
            reaper.kept.log.reaps, reaper.kept.log.level = reaps, level
            pids = [dead(LIVES["a good end"]) for _ in range(TIMES)]
            told = [(record["process.pid"], record["severity"]) for record in reaper.take()]
            assert told == [(pid, severity) for pid in pids if severity]


@without_children
def test_however_many_names_there_are() -> None:
    """So many forms are at hand and not more; each record has its own name."""
    apart.KEPT, few = 8, 6  # this process is for this test alone
    with Reaper(reaps=True) as reaper:
        for first in range(0, 3 * apart.KEPT, few):
            names = [b"n%d" % number for number in range(first, first + few)]
            for _ in range(3):
                for name in names:
                    dead(partial(named, name))
                told = [record["process.executable.name"] for record in reaper.take()]
                assert told == [name.decode() for name in names]
            assert len(reaper.effects._apart._forms) <= apart.KEPT + few
        assert reaper.apart > apart.KEPT


@without_children
def test_a_kill_for_want_of_memory_is_told() -> None:
    """One of those who died of SIGKILL did so for want of memory: one record says so, also where there is a form."""
    with Reaper(reaps=True) as reaper:
        reaper.effects.oom = oom = Oom()  # type: ignore[assignment]
        for kills in (0, 0, 1):
            oom.kills = kills
            for _ in range(3):
                dead(LIVES["SIGKILL"])
            told = [record.get("pyinit.exit.oom_killed") for record in reaper.take()]
            assert told == [True, None, None] if kills else [None, None, None]


@pytest.mark.parametrize("reason", ["before", "claimed", "known", "a stop has begun"])
@pytest.mark.parametrize("reaps", [True, False])
@without_children
def test_whom_the_core_is_to_hear_of(reason: str, *, reaps: bool) -> None:
    """However many like it were reaped in a row: who is foreign, who is known, and all while everybody is stopped."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # main is to stay
    with Reaper(reaps=reaps, level="info") as reaper:
        for _ in range(TIMES):
            dead(LIVES["a bad end"])
        reaper.take()
        already = reaper.apart
        assert already == TIMES - 2
        pid = dead(LIVES["a bad end"])
        if reason == "before":
            reaper.loop._reaper._before.add(pid)
        elif reason == "claimed":
            reaper.machine.service._claimed = reaper.proc.child(pid)
        elif reason == "known":
            reaper.loop.take(events.Adopted(Process(pid, name="seen before")))
        else:
            reaper.loop.take(events.Signalled(signal.SIGTERM, 0, 0))
        told = [(record["process.pid"], record["pyinit.foreign"]) for record in reaper.take()]
        quiet = not reaps and reason in {"before", "a stop has begun"}
        assert told == ([] if quiet else [(pid, reason == "before")])
        assert reaper.apart == already


@pytest.mark.parametrize("reason", ["console", "level", "no /proc", "tini", "known"])
@without_children
def test_who_goes_the_long_way(reason: str) -> None:
    """Where a record is made otherwise, or more is to be done, each end is told to the core; none is lost."""
    how: dict[str, dict[str, Any]] = {"console": {"console": True}, "level": {"level": "warning"}}
    with Reaper(**how.get(reason, {})) as reaper:
        reaper.proc.usable = reason != "no /proc"
        said: list[int] = []
        if reason == "tini":
            reaper.effects.tell_reaped = lambda pid: said.append(pid) or f"{pid}\n"  # type: ignore[func-returns-value]
        pids = [dead(LIVES["a bad end"]) for _ in range(TIMES)]
        if reason == "known":
            reaper.loop._reaper._before.update(pids)
        if reason in {"console", "level"}:
            reaper.take_all()
        else:
            records = reaper.take()
            assert [record["process.pid"] for record in records] == pids
            assert all(record["pyinit.foreign"] == (reason == "known") for record in records)
        assert said == (pids if reason == "tini" else [])
        assert reaper.apart == 0
        assert reaper.machine.totals["reaped"] == TIMES


def functions_for(count: int, **how: Any) -> int:
    """Return how many functions in Python are called to take the ends of so many."""
    calls = 0

    def counted(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    with Reaper(level="info", **how) as reaper:
        for _ in range(count):
            dead(LIVES["a good end"])
        sys.setprofile(counted)
        reaper.take_all()
        sys.setprofile(None)
        assert reaper.machine.totals["reaped"] == count
    return calls


@pytest.mark.parametrize(
    ("how", "most"),
    [
        pytest.param({}, FUNCTIONS_PER_REAP, id="told not"),
        pytest.param({"reaps": True}, FUNCTIONS_PER_LOGGED_REAP, id="told"),
    ],
)
@without_children
def test_functions_per_reap(how: dict[str, Any], most: float) -> None:
    """A reap takes so many: what is the same with few and with many is not counted."""
    few, many = 20, 120
    functions_for(2, **how)  # what is imported when it is first needed
    assert (functions_for(many, **how) - functions_for(few, **how)) / (many - few) <= most
