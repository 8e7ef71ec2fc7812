"""Whole runs on a simulated kernel that random histories come upon too seldom (see core_run.py)."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from pyinit import looks, loop, reaper, sources
from pyinit.core import events
from pyinit.core.machine import HOLDING
from pyinit.core.model import EXITED, KILLED, SIGCONT, SIGHUP, SIGKILL, SIGQUIT, SIGTERM, End, Policy
from unit.core_kernel import SIGCHLD
from unit.core_run import Run

if TYPE_CHECKING:
    from collections.abc import Iterator

GOOD = End(EXITED, 0)
COMERS = 16


@pytest.fixture(params=["subreaper", "pid1"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Give a run with the default policy and a grace of 3 s."""
    run = Run(Policy(grace_s=3.0, pid1=request.param == "pid1"), exact=True, before=0, batch=256)
    yield run
    run.close()


def test_daemon_that_detaches_after_it_was_adopted(run: Run) -> None:
    """A daemon is adopted in main's process group and leaves it a moment later: it gets the signal when main goes."""
    kernel = run.kernel
    middle = kernel.fork(run.main)
    daemon = kernel.fork(middle)
    kernel.exit(middle, GOOD)
    kernel.wait(run.main)
    run.settle()
    kernel.now += 1.0
    kernel.lead_session(daemon)
    kernel.signals.append((SIGTERM, 0, 0))
    run.settle()
    kernel.exit(run.main, GOOD)
    run.settle()
    assert SIGTERM in daemon.tried


def test_below_a_process_that_hangs_in_the_kernel(run: Run) -> None:
    """SIGKILL waits for a process in the D state; those below it are gone before pyinit leaves all the same."""
    kernel = run.kernel
    stuck = kernel.fork(run.main)
    below = kernel.fork(stuck)
    stuck.stuck = True
    kernel.exit(run.main, GOOD)
    run.settle()
    assert run.machine.phase == HOLDING
    kernel.signals.append((SIGTERM, 0, 0))
    run.wait(20.0)
    assert run.over
    assert not below.alive
    assert run.log.named("stop.unkillable") == {stuck.identity}
    assert run.effects.status == 128 + SIGKILL


@pytest.mark.parametrize("calls", range(1, 16))
def test_middle_of_a_double_fork_ends_while_no_look_is_due(run: Run, calls: int) -> None:
    """The middle of a double fork ends some system calls behind main: the daemon is held, however close the two are."""
    kernel = run.kernel
    kernel.signals.append((SIGCHLD, 0, 0))
    run.rest()  # a look has just been made, and the next is not due
    middle = kernel.fork(run.main)
    kernel.exit(run.main, GOOD)
    daemons = []

    def fork_and_exit() -> None:
        daemons.append(kernel.fork(middle).pid)
        kernel.exit(middle, GOOD)

    kernel.races.append((calls, fork_and_exit))
    run.wait(1.0)
    assert run.machine.phase == HOLDING
    held = daemons or [middle.pid]  # the shell may need fewer calls than that
    assert [process.pid for process in run.machine.roster.successors] == held


def test_crash_of_the_daemon(run: Run) -> None:
    """A launcher exits 0, its daemon is held; the daemon's crash ends the run with 128 + the signal."""
    kernel = run.kernel
    daemon = kernel.fork(run.main)
    kernel.exit(run.main, GOOD)
    run.settle()
    assert run.machine.phase == HOLDING
    kernel.exit(daemon, End(KILLED, SIGKILL))
    run.settle()
    assert (run.over, run.effects.status) == (True, 137)
    run.check()


def test_born_behind_the_signal_to_everybody() -> None:
    """PID 1 cannot see everybody and signals all of its namespace; a child that is born later has the signal, too."""
    run = Run(Policy(grace_s=3.0, pid1=True), exact=True, before=0, batch=256)
    kernel = run.kernel
    kernel.fork(run.main).hidden = True
    kernel.fork(kernel.fork(run.main))
    run.settle()
    run.signal(SIGTERM)
    run.wait(1.5)
    assert kernel.to_all == [SIGTERM, SIGCONT]
    late = kernel.fork(run.main)
    run.wait(0.5)
    assert late.tried == [SIGTERM, SIGCONT]
    run.check()
    run.close()


def test_born_before_the_next_signal_of_a_schedule() -> None:
    """A child that is born just before the next signal has that one, when its turn is everybody's; not both."""
    run = Run(Policy(grace_s=6.0, schedule=((SIGQUIT, 3.0), (SIGTERM, None))), exact=True, before=0, batch=256)
    kernel = run.kernel
    run.settle()
    run.signal(SIGTERM)
    run.wait(2.9)
    late = kernel.fork(run.main)
    kernel.lead_session(late)
    run.wait(0.9)
    assert late.tried == []
    run.check()
    run.wait(0.5)
    assert late.tried == [SIGTERM, SIGCONT]
    run.check()
    run.close()


def test_pid_file_names_an_adopted_process_as_a_successor_ends() -> None:
    """Who is the service is looked at again when a successor ends: whom the file names by then carries it on."""
    run = Run(Policy(pid_file=True, pid_file_timeout_s=60.0), exact=True, before=0, batch=256)
    kernel = run.kernel
    daemon = kernel.fork(run.main)
    kernel.exit(run.main, GOOD)
    run.settle()
    middle = kernel.fork(daemon)
    other = kernel.fork(middle)
    kernel.exit(middle, GOOD)
    kernel.wait(daemon)
    run.settle()
    assert [process.pid for process in run.machine.roster.successors] == [daemon.pid]
    run.pid_file.write(str(other.pid))
    kernel.exit(daemon, GOOD)
    run.settle()
    assert run.machine.phase == HOLDING
    assert [process.pid for process in run.machine.roster.successors] == [other.pid]
    run.check()
    run.close()


def test_look_for_who_has_been_seen(run: Run) -> None:
    """Somebody has read the list of our children: there is a look only where it names one who is not known yet."""
    kernel = run.kernel
    run.settle()
    run.wait(1.0)
    middle = kernel.fork(run.main)
    orphan = kernel.fork(middle)
    kernel.exit(middle, GOOD)
    run.loop.look_for([run.main.pid])
    assert run.loop._timeout() != 0
    run.loop._looks._again = kernel.now + 2.0  # the last look was a dear one
    run.loop.look_for([run.main.pid, orphan.pid])
    assert run.loop._timeout() == 0
    run.loop._step()
    assert orphan.identity in run.log.named("process.adopted")
    run.loop.look_for([run.main.pid, orphan.pid])
    assert run.loop._timeout() != 0


def test_stop_request_comes_before_the_dead(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many dead there are to tell of, a stop request that comes is taken before the next ones of them."""
    monkeypatch.setattr(reaper, "ENDS", 2)
    kernel = run.kernel
    parent = kernel.fork(run.main)
    for _ in range(6):
        kernel.exit(kernel.fork(parent), GOOD)
    kernel.exit(parent, GOOD)
    kernel.wait(run.main)
    kernel.races.append((12, lambda: kernel.signals.append((SIGTERM, 0, 0))))
    run.settle()
    names = [name for name, _, _ in run.log.records]
    assert 0 < names[: names.index("stop.begun")].count("process.reaped") < 6
    assert names.count("process.reaped") == 6


def test_signals_do_not_keep_from_ends(run: Run) -> None:
    """Signals that come all the time break off what is looked at, but not twice in a row: all ends are told."""
    kernel = run.kernel
    left = 40

    def again() -> None:
        nonlocal left
        left -= 1
        kernel.signals.append((SIGHUP, 0, 0))
        if left:
            kernel.races.append((2, again))

    for _ in range(3):
        child = kernel.fork(run.main)
        kernel.exit(kernel.fork(child), GOOD)
        kernel.exit(child, GOOD)
    kernel.wait(run.main)
    kernel.races.append((2, again))
    run.settle()
    assert len(run.log.of("process.reaped")) == 3


def test_signals_do_not_wait_for_a_crowd(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where very many have come, signals are taken between batches of them that are looked at, and all are."""
    monkeypatch.setattr(looks, "BATCH", 4)
    monkeypatch.setattr(reaper, "BATCH", 4)
    monkeypatch.setattr(looks, "ASK", 1)
    kernel = run.kernel
    middle = kernel.fork(run.main)
    for _ in range(COMERS):
        kernel.fork(middle)
    kernel.exit(middle, GOOD)
    kernel.wait(run.main)

    def again() -> None:
        kernel.signals.append((SIGHUP, 0, 0))
        if len(run.log.named("process.adopted")) < COMERS:
            kernel.races.append((2, again))

    kernel.races.append((2, again))
    run.loop.look_soon()
    run.settle()
    names = [name for name, _, _ in run.log.records if name in {"process.adopted", "signal.forwarded"}]
    assert names.count("process.adopted") == COMERS
    batches = [len(list(group)) for name, group in itertools.groupby(names) if name == "process.adopted"]
    assert max(batches) <= 5


@pytest.fixture
def counts(run: Run, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what the shell asks of the kernel and of /proc, by name; its log tells of no end that nobody asks about."""
    counted: Counter[str] = Counter()

    def count(owner: object, name: str) -> None:
        call = getattr(owner, name)

        def counting(*arguments: object) -> object:
            counted[name] += 1
            return call(*arguments)

        monkeypatch.setattr(owner, name, counting)

    for name in ("peek", "bury", "reap", "is_zombie", "process_group", "send", "send_each"):
        count(vars(loop)["kernel"], name)
    for name in ("describe", "last_of", "child", "children", "view"):
        count(run.proc, name)
    run.log.tells_reaps = False
    return counted


def test_an_orphan_that_nobody_asks_about_costs_two_calls(run: Run, counts: Counter[str]) -> None:
    """Orphans that ended well before anybody saw them are reaped and counted, and not looked at; a bad end is told."""
    kernel = run.kernel
    middle = kernel.fork(run.main)
    orphans = [kernel.fork(middle) for _ in range(8)]
    for orphan in orphans[1:]:
        kernel.exit(orphan, GOOD)
    kernel.exit(orphans[0], End(EXITED, 3))
    kernel.exit(middle, GOOD)
    kernel.wait(run.main)
    run.settle()
    assert run.machine.totals["reaped"] == run.machine.totals["adopted"] == 8
    assert [facts["end"] for facts in run.log.of("process.reaped")] == [orphans[0].end]
    assert (counts["bury"], counts["reap"], counts["last_of"]) == (7, 1, 1)
    assert counts["describe"] == 1 - run.log.filled  # once more, where there is no other record like it
    assert counts["peek"] <= 10


def test_a_crowd_is_signalled_before_it_is_looked_at(
    run: Run, counts: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a stop thousands may come at once: a call for the group of each and one for the signals, and none is read."""
    monkeypatch.setattr(looks, "CROWD", 4)
    kernel = run.kernel
    children = [kernel.fork(run.main) for _ in range(8)]
    for child in children:
        kernel.lead_session(child)
        child.answer = "dies"
    children[0].answer = "later"
    kernel.signals.append((SIGTERM, 0, 0))
    run.rest()
    counts.clear()
    kernel.react(run.main, "dies")
    run.rest()
    assert all(child.tried[0] == SIGTERM for child in children)
    assert run.machine.totals["reaped"] == 8
    assert (counts["process_group"], counts["send_each"], counts["send"]) == (8, 1, 0)
    assert (counts["child"], counts["view"]) == (0, 0)
    run.wait(0.1)
    # Who is still there is looked at soon: he may ignore the signal.
    assert (counts["child"], counts["view"]) == (1, 1)
    assert children[0].tried.count(SIGTERM) == 1
    run.wait(5.0)
    assert run.over


def test_the_dead_of_a_crowd_are_not_signalled(run: Run, counts: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of those who come at once may be dead already: they cost a look at whether they live, and no signal."""
    monkeypatch.setattr(looks, "CROWD", 4)
    kernel = run.kernel
    alive = kernel.fork(run.main)
    dead = [kernel.fork(run.main) for _ in range(8)]
    kernel.signals.append((SIGTERM, 0, 0))
    run.rest()
    for child in (alive, *dead):
        kernel.lead_session(child)
        child.tried.clear()
    counts.clear()
    for child in dead:
        kernel.exit(child, GOOD)
    kernel.react(run.main, "dies")
    run.rest()
    assert alive.tried[0] == SIGTERM
    assert not any(child.tried for child in dead)
    assert counts["process_group"] == 1
    assert run.machine.totals["reaped"] == 8 + 1


def test_a_signal_does_not_wait_for_a_crowd(run: Run, counts: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that comes while a crowd is looked through is taken at once; then all the others have theirs."""
    monkeypatch.setattr(looks, "CROWD", 4)
    monkeypatch.setattr(looks, "ASK", 1)
    kernel = run.kernel
    children = [kernel.fork(run.main) for _ in range(8)]
    for child in children:
        kernel.lead_session(child)
    kernel.signals.append((SIGTERM, 0, 0))
    run.rest()
    counts.clear()
    asked: list[int] = []
    read: list[int] = []
    door = vars(loop)["kernel"]

    def process_group(pid: int) -> int:
        asked.append(pid)
        if len(asked) == 3:
            kernel.signals.append((SIGTERM, 0, 0))
        return kernel.process_group(pid)

    def read_signals(fd: int) -> list[tuple[int, int, int]]:
        if kernel.signals:
            read.append(len(asked))
        return kernel.read_signals(fd)

    monkeypatch.setattr(door, "process_group", process_group)
    monkeypatch.setattr(door, "read_signals", read_signals)
    kernel.react(run.main, "dies")
    run.rest()
    assert 3 in read
    assert len(asked) == 8
    assert all(child.tried.count(SIGTERM) == 1 for child in children)


def test_who_is_served_breaks_off_for_a_signal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that comes while a client is served is forwarded in the same turn, and nobody asks again whether it waits.

    Behind it pyinit yields its turn, once, so that who gets it need not wait for that to be over; behind SIGCHLD not.
    """
    client, kernel, door = 99, run.kernel, vars(loop)["kernel"]
    yielded: list[list[int]] = []
    tried: list[list[int]] = []
    asked: list[int] = []

    def serve() -> None:
        tried.append(list(run.main.tried))
        if len(tried) == 1:
            kernel.signals.append((SIGHUP, 0, 0))
        if len(tried) == 2:
            kernel.signals.append((SIGCHLD, 0, 0))

    monkeypatch.setattr(door, "yield_turn", lambda: yielded.append(list(run.main.tried)))
    monkeypatch.setattr(run, "_is_ready", lambda fd: fd == client)
    monkeypatch.setattr(door, "signals_wait", lambda: asked.append(client))
    run.loop._sources.add(client, serve, patient=True)
    run.loop._step()
    assert (run.main.tried, tried) == ([SIGHUP], [[]])
    assert not asked
    run.loop._step()
    run.loop._step()
    assert (run.main.tried, tried) == ([SIGHUP], [[], [SIGHUP], [SIGHUP]])
    assert yielded == [[SIGHUP]]


def test_the_dead_of_a_final_kill_are_not_looked_at(run: Run, counts: Counter[str]) -> None:
    """Whom SIGKILL has reached and nobody knew is reaped and counted, wherever he stands among those who are known."""
    kernel = run.kernel
    middle = kernel.fork(run.main)
    known = kernel.fork(middle)
    for parent in (run.main, known):
        for _ in range(8):
            kernel.fork(parent)
    kernel.exit(middle, GOOD)
    run.settle()
    assert known.pid in run.machine.roster
    kernel.signals.append((SIGTERM, 0, 0))
    run.rest()
    counts.clear()
    run.wait(5.0)
    assert run.over
    assert run.machine.totals["reaped"] == 2 + 1 + 16
    assert run.machine.totals["killed"] == 1 + 1 + 16
    assert (counts["describe"], counts["bury"], counts["reap"]) == (1, 2, 0)


def test_one_end_among_many_successors_is_cheap(run: Run, counts: Counter[str]) -> None:
    """Each of several successors may decide; when one of them ends nobody asks after all of them, however many."""
    kernel = run.kernel
    daemons = [kernel.fork(run.main) for _ in range(9)]
    kernel.exit(run.main, GOOD)
    run.settle()
    assert len(run.machine.roster.successors) == 9
    counts.clear()
    kernel.exit(daemons[4], GOOD)
    run.settle()
    assert len(run.machine.roster.successors) == 8
    assert counts["is_zombie"] == 0
    assert counts["children"] <= 2
    counts.clear()
    for daemon in daemons[:4] + daemons[5:]:
        kernel.exit(daemon, GOOD)
    run.settle()
    assert run.over
    # Once for all of them, and not for each.
    assert counts["is_zombie"] <= 9
    assert counts["children"] <= 4


def test_a_signal_that_was_gathered_is_not_lost(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a storm a signal is taken off its queue before the wait: it counts, whatever fails in the wait."""
    door = vars(loop)["kernel"]
    run.settle()
    for count in range(1, 6):
        run.loop._storm.took(count, run.kernel.now)

    def gather(timeout_s: float) -> list[tuple[int, int, int]]:
        assert timeout_s <= sources.GATHER_S
        return [(SIGHUP, 0, 0)]

    def wait(timeout_s: float) -> None:
        raise MemoryError(timeout_s)

    monkeypatch.setattr(door, "gather", gather)
    monkeypatch.setattr(run.loop._sources, "wait", wait)
    with pytest.raises(MemoryError):
        run.loop._step()
    assert run.log.of("signal.forwarded")


def test_in_a_stop_nothing_is_gathered(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """How soon it is over depends on each end."""
    kernel = run.kernel
    run.settle()
    gathered: list[float] = []

    def gather(timeout_s: float) -> list[tuple[int, int, int]]:
        gathered.append(timeout_s)
        return []

    monkeypatch.setattr(vars(loop)["kernel"], "gather", gather)
    for signals in ([], [(SIGTERM, 0, 0)]):
        kernel.signals += signals
        run.rest()
        for count in range(1, 6):
            run.loop._storm.took(count, kernel.now)
        run.loop._step()
        assert len(gathered) == 1, "before the stop, and not in it"


def test_no_signal_is_lost_when_one_cannot_be_taken(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have been read together; what fails with the first is told, and the others count."""
    run.settle()
    take = run.effects.take

    def taken(event: events.Event, now: float) -> None:
        if isinstance(event, events.Signalled) and event.signo == SIGQUIT:
            raise MemoryError
        take(event, now)

    monkeypatch.setattr(run.effects, "take", taken)
    run.kernel.signals += [(SIGQUIT, 0, 0), (SIGHUP, 0, 0)]
    with pytest.raises(MemoryError):
        run.loop._step()
    assert [facts["signal"] for facts in run.log.of("signal.forwarded")] == [SIGHUP]


def test_a_number_is_forgotten_with_who_had_it(run: Run) -> None:
    """Who was seen to be dead is looked for no more; the number may be that of somebody who lives, later."""
    kernel = run.kernel
    middle = kernel.fork(run.main)
    orphan = kernel.fork(middle)
    kernel.exit(middle, GOOD)
    kernel.wait(run.main)
    kernel.exit(orphan, GOOD)
    run.loop._looks.look()
    assert run.loop._looks.dead == {orphan.pid}
    run.settle()
    assert not run.loop._looks.dead


def test_a_stop_looks_at_once_who_is_there(run: Run) -> None:
    """However dear the last look was, and however long there was to be none after it."""
    kernel = run.kernel
    middle = kernel.fork(run.main)
    orphan = kernel.fork(middle)
    kernel.lead_session(orphan)
    run.settle()
    run.loop._looks._again = kernel.now + 2.0
    kernel.exit(middle, GOOD)
    kernel.wait(run.main)
    kernel.signals.append((SIGTERM, 0, 0))
    run.rest()
    assert SIGTERM in orphan.tried


def test_a_look_that_was_broken_off_is_made_anew_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal in the midst of a look at many does not count as its end: the others need not wait for the next look."""
    monkeypatch.setattr(looks, "ASK", 1)
    monkeypatch.setattr(looks, "LOOK_SHARE", 1_000_000)
    kernel = run.kernel
    run.settle()
    run.loop._looks._again = 0.0
    middle = kernel.fork(run.main)
    for _ in range(COMERS):
        kernel.fork(middle)
    kernel.exit(middle, GOOD)
    kernel.wait(run.main)
    kernel.races.append((8, lambda: kernel.signals.append((SIGHUP, 0, 0))))
    run.loop.look_soon()
    run.rest()
    assert len(run.log.named("process.adopted")) == COMERS
    assert run.log.of("signal.forwarded")
