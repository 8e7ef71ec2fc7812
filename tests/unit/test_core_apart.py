"""The ends of orphans that nobody knew: what the core says of them at once is what it says of each by itself."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pyinit.core import events
from pyinit.core.actions import Reap
from pyinit.core.model import DUMPED, EXITED, KILLED, End, Policy, Process
from unit.core_model import History

# What has been before; main is 10, in a group and a session of that number.
BEFORE = {
    "main runs": ["settled"],
    "another orphan lives": ["adopted 20"],
    "main has handed over": ["adopted 20", "ended 10 exited 0", "settled"],
}
ENDS = [End(EXITED, 0), End(EXITED, 3), End(KILLED, 9), End(KILLED, 15), End(DUMPED, 11)]
# Unknown, main's, and somebody else's.
NUMBERS = st.sampled_from([0, 10, 30, 31])
ORPHANS = st.lists(st.tuples(st.integers(30, 33), NUMBERS, NUMBERS, st.sampled_from(ENDS)), max_size=6)


def stands_apart(history: History, pid: int) -> bool:
    """Say whether nothing follows from the end of a child but its record."""
    followed = history.machine.followed
    return followed is not None and pid not in followed[0] and pid != followed[1]


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@given(orphans=ORPHANS, again=st.booleans())
def test_it_is_told_as_any_end(before: list[str], orphans: list[tuple[int, int, int, End]], *, again: bool) -> None:
    """Role, escape and severity of the record are the same, and so are the totals and all that comes afterwards."""
    policy = Policy(restart="always") if again else Policy()
    one, other = History(policy), History(policy)
    for history in (one, other):
        history.tell("started", *before)
    for pid, pgid, sid, end in orphans:
        assert stands_apart(one, pid)
        actions = other.machine.handle(events.Ended(Process(pid, pgid=pgid, sid=sid, start_ticks=7), end), other.now)
        (reap,) = actions
        assert isinstance(reap, Reap)
        assert one.machine.told_of(pgid, sid, end) == (reap.role, reap.escaped, reap.severity)
    assert one.machine.handle(events.Passed([pid for pid, *_ in orphans]), one.now) == []
    for history in (one, other):
        history.tell("settled")
    assert one.machine.totals == other.machine.totals
    assert (one.machine.phase, one.machine.deadline) == (other.machine.phase, other.machine.deadline)
    assert [process.pid for process in one.machine.roster.alive] == [
        process.pid for process in other.machine.roster.alive
    ]


def test_without_a_main_nobody_has_escaped() -> None:
    """With --pause there is nothing that an orphan could have left."""
    history = History()
    history.play("paused -> pyinit.started")
    assert history.machine.told_of(30, 30, ENDS[1]) == ("adopted", (), "info")
    assert history.machine.roster.strayed(Process(30, pgid=30, sid=30)) == ()


def test_who_does_not_stand_apart() -> None:
    """Who is known or claimed to be the service, and whoever ends while all is being stopped, is told by himself."""
    history = History(Policy(pid_file=True))
    history.play("adopted 20 -> process.adopted 20 adopted")
    assert stands_apart(history, 30)
    assert not stands_apart(history, 10)
    assert not stands_apart(history, 20)
    history.tell("claim 40 below 20")
    assert not stands_apart(history, 40)
    history.tell("signal TERM")
    assert not stands_apart(history, 30)


def test_between_two_runs_nobody_stands_apart() -> None:
    """Whoever comes then is foreign."""
    history = History(Policy(restart="always"))
    history.tell("started", "ended 10 exited 1", "childless")
    assert history.machine.restart_at is not None
    assert not stands_apart(history, 30)
