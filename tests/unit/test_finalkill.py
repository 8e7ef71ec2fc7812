"""Whom the final kill of a subreaper reaches, in which order, on a simulated kernel (see core_kernel.py)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from pyinit import finalkill
from pyinit.core.model import EXITED, SIGKILL, End
from pyinit.finalkill import FinalKill
from unit.core_kernel import PAGE, Kernel, Proc, Task

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD = End(EXITED, 0)


class Place:
    """A simulated kernel, and the final kill in it."""

    def __init__(self, *, groups: bool = True) -> None:
        self.kernel = Kernel(pid1=False, ended=lambda _task, _came: None)
        self.proc = Proc(self.kernel)
        self.named: list[int] = []  # by the control group
        self.final_kill = FinalKill(self.proc, lambda: self.named, groups=groups)  # type: ignore[arg-type]  # a stand-in

    def child(self, *, dead: bool = False) -> Task:
        """Make a child of pyinit."""
        task = self.kernel.fork(self.kernel.pyinit)
        if dead:
            self.kernel.exit(task, GOOD)
        return task

    def link(self) -> tuple[Task, Task]:
        """Make a link of a chain in the session of its dead parent, and its child, which waits for its first turn.

        The link has been killed and does not get the turn in which it would die.
        """
        leader = self.child()
        self.kernel.lead_session(leader)
        link = self.kernel.fork(leader)
        self.kernel.exit(leader, GOOD)
        young = self.kernel.fork(link)
        link.stuck = True
        return link, young


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Place]:
    """Give what makes a place."""

    def made(*, groups: bool = True) -> Place:
        place = Place(groups=groups)
        monkeypatch.setattr(finalkill, "kernel", place.kernel.door())
        monkeypatch.setattr(finalkill, "time", SimpleNamespace(monotonic=lambda: place.kernel.now))
        return place

    return made


def test_newest_numbers_come_first(make: Callable[..., Place], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who got his number last is killed before the list of children is looked at, however many dead are on it."""
    place = make()
    for _ in range(3 * PAGE):
        place.child(dead=True)
    newest = place.child()
    tried: list[list[int]] = []
    listed = place.proc.newcomers

    def newcomers(*, from_start: bool) -> list[int]:
        tried.append(list(newest.tried))
        return listed(from_start=from_start)

    monkeypatch.setattr(place.proc, "newcomers", newcomers)
    place.final_kill.kill()
    assert tried[0] == [SIGKILL]


def test_who_comes_while_the_list_is_read(make: Callable[..., Place], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is forked while a page of the list is looked at is killed before the next one is."""
    place = make()
    monkeypatch.setattr(finalkill, "SPAN", 3)
    for _ in range(3 * PAGE):
        place.child(dead=True)
    came: list[Task] = []
    tried: list[list[int]] = []
    listed = place.proc.newcomers

    def newcomers(*, from_start: bool) -> list[int]:
        if came:
            tried.append(list(came[0].tried))
        else:
            came.append(place.child())
        return listed(from_start=from_start)

    monkeypatch.setattr(place.proc, "newcomers", newcomers)
    place.final_kill.kill()
    assert tried[0] == [SIGKILL]


@pytest.mark.parametrize("newest", [[], [PAGE, PAGE - 1]])
def test_old_numbers_are_on_the_list(
    make: Callable[..., Place], monkeypatch: pytest.MonkeyPatch, newest: list[int]
) -> None:
    """Who has an old number is found on the list, and so is everybody where the kernel names no number."""
    place = make()
    old = place.child()
    for _ in range(2 * PAGE):
        place.child(dead=True)
    young = place.child()
    monkeypatch.setattr(place.proc, "newest_pids", lambda _count: newest)
    denied, changed = place.final_kill.kill()
    assert (denied, changed) == ([], True)
    assert old.tried == young.tried == [SIGKILL]
    assert not place.final_kill.came


@pytest.mark.invariant(4)
def test_control_group_names_the_living(make: Callable[..., Place], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those whom the control group names, our children are killed before the list is looked at, and nobody else."""
    place = make()
    old = place.child()
    stranger = place.kernel.fork(None)
    deeper = place.kernel.fork(old)
    old.stuck = True
    for _ in range(3 * PAGE):
        place.child(dead=True)
    place.named = [place.kernel.pyinit.pid, stranger.pid, deeper.pid, old.pid]
    monkeypatch.setattr(finalkill, "SPAN", 0)
    tried: list[list[int]] = []
    listed = place.proc.newcomers

    def newcomers(*, from_start: bool) -> list[int]:
        tried.append(list(old.tried))
        return listed(from_start=from_start)

    monkeypatch.setattr(place.proc, "newcomers", newcomers)
    place.final_kill.kill()
    assert tried[0] == [SIGKILL]
    assert not stranger.tried
    assert not deeper.tried


def look_at_one_page(place: Place, monkeypatch: pytest.MonkeyPatch, *, stuck: bool = False) -> None:
    """Have those killed who have a new number, and the list looked at no further than to its first page."""
    for _ in range(3 * PAGE):
        place.child(dead=True)
    last = [place.child(), place.child()]
    last[0].stuck = stuck
    monkeypatch.setattr(finalkill, "BURST_S", 0.0)
    monkeypatch.setattr(finalkill, "SPAN", 2)
    monkeypatch.setattr(finalkill, "LAST", 2)
    place.named = [place.kernel.pyinit.pid, *(task.pid for task in last)]
    place.final_kill.kill()
    place.named = [place.kernel.pyinit.pid]
    assert [task.tried for task in last] == [[SIGKILL], [SIGKILL]]
    assert place.final_kill.came


def test_dead_are_reaped_where_the_group_names_nobody(
    make: Callable[..., Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the control group names no child of ours any more, the dead need not wait for the end of the list."""
    place = make()
    look_at_one_page(place, monkeypatch)
    assert place.final_kill.holds_the_dead
    assert place.final_kill.kill() == ([], True)
    assert not place.final_kill.came
    assert not place.final_kill.holds_the_dead
    for task in list(place.kernel.pyinit.children):
        place.kernel.bury(task.pid)
        place.final_kill.reaped(task.pid)
    # Nobody is dead any more: now the list is looked at.
    monkeypatch.setattr(finalkill, "LAST", 0)
    monkeypatch.setattr(finalkill, "SPAN", 0)
    elsewhere = place.child()
    place.final_kill.kill()
    assert elsewhere.tried == [SIGKILL]


def test_list_is_looked_at_first_whomever_the_group_names(
    make: Callable[..., Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody may be in another control group than pyinit: nobody is taken for gone before any list was looked at."""
    place = make()
    elsewhere = place.child()
    place.child(dead=True)
    place.named = [place.kernel.pyinit.pid]
    monkeypatch.setattr(finalkill, "SPAN", 0)
    monkeypatch.setattr(finalkill, "LAST", 0)
    place.final_kill.kill()
    assert elsewhere.tried == [SIGKILL]


@pytest.mark.parametrize("who", ["named", "named, and dead since", "not named, but new", "still dying"])
def test_dead_are_held_while_somebody_may_be_left(
    make: Callable[..., Place], monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    """Nobody is reaped when a child that was not known is named, dead or alive, or has one of the last numbers."""
    place = make()
    look_at_one_page(place, monkeypatch, stuck=who == "still dying")
    child = place.child(dead=who in {"named, and dead since", "still dying"})
    place.named += [child.pid] if who.startswith("named") else []
    place.final_kill.kill()
    assert child.tried == ([SIGKILL] if who in {"named", "not named, but new"} else [])
    assert place.final_kill.came
    assert place.final_kill.holds_the_dead


def test_list_is_read_on_from_call_to_call(make: Callable[..., Place], monkeypatch: pytest.MonkeyPatch) -> None:
    """When the time of a call is over the next one goes on behind it; the dead are held until the end is seen."""
    place = make()
    for _ in range(3 * PAGE):
        place.child(dead=True)
    monkeypatch.setattr(finalkill, "BURST_S", 0.0)
    monkeypatch.setattr(finalkill, "SPAN", 0)
    calls = 0
    while not calls or place.final_kill.came:
        place.final_kill.kill()
        calls += 1
        assert place.final_kill.holds_the_dead == place.final_kill.came
    assert calls == 3 + 1


def test_forked_at_that_moment(make: Callable[..., Place]) -> None:
    """The child of a link that has not had its turn to die is none of ours yet, and dies with the link's group."""
    place = make()
    link, hidden = place.link()
    place.final_kill.kill()
    assert link.tried == [SIGKILL, SIGKILL]
    assert not hidden.alive


def test_group_gets_it_once_in_a_call(make: Callable[..., Place]) -> None:
    """However many of a group are killed, the group is killed once: in a large one that would be the square of it."""
    place = make()
    leader = place.child()
    place.kernel.lead_session(leader)
    links = [place.kernel.fork(leader) for _ in range(4)]
    for link in links:
        link.stuck = True
    place.kernel.exit(leader, GOOD)
    place.final_kill.kill()
    assert [len(link.tried) for link in links] == [2, 2, 2, 2]


@pytest.mark.invariant(4)
def test_group_that_others_could_be_in(make: Callable[..., Place]) -> None:
    """Where a child was there before orphans came to us, who has got away from it may be somebody else's now."""
    place = make(groups=False)
    link, hidden = place.link()
    place.final_kill.kill()
    assert link.tried == [SIGKILL]
    assert not hidden.tried


@pytest.mark.invariant(4)
def test_group_of_a_leader_that_was_reaped(make: Callable[..., Place]) -> None:
    """Who has led a group is not known any more once he has been reaped: nobody is signalled by that number."""
    place = make()
    link, hidden = place.link()
    place.kernel.bury(link.pgid)
    place.final_kill.kill()
    assert link.tried == [SIGKILL]
    assert not hidden.tried


@pytest.mark.invariant(4)
def test_group_in_the_session_of_a_stranger(make: Callable[..., Place]) -> None:
    """Into a group of a session that is not its leader's own, others of that session may have come."""
    place = make()
    leader = place.child()
    place.kernel.lead_group(leader)
    beside = place.kernel.fork(None)
    leader.sid = beside.pid
    link = place.kernel.fork(leader)
    beside.pgid = leader.pid
    place.kernel.exit(leader, GOOD)
    place.final_kill.kill()
    assert link.tried == [SIGKILL]
    assert not beside.tried
