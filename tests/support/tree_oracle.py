"""What must be true after a run of a random tree: who was told, what everybody was to the run, and its exit status.

Written from the words of DESIGN 2 and 3, without a look at what decides in pyinit. The truth is what the kernel told
(tree_life.py). pyinit's log is believed in one thing: the order in which it took the ends, because between two looks
of its there is no order for it. What it says about who was a successor is held against the kernel:

- `must`: at the moment in question the process was pyinit's child and alive, whenever within the possible moments
  pyinit looked;
- `may`: there is a possible moment at which it was.

A moment is possible between the last word of who ended (it lived then) and the record of its reaping (it had been seen
then). Everything between "must" and "may" is a race that the kernel decided and nobody told.
"""

from __future__ import annotations

import datetime as dt
import re
from signal import SIGHUP
from typing import TYPE_CHECKING, NamedTuple

from support import run as runs
from support.tree_life import DIES, EXITS, IGNORES_CHILDREN, STOPS, SUBREAPER, Life, ignores_children

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.schema import Record

# A stop is given so much more than the grace, for the kernel to kill and a loaded machine to notice (seconds).
SLACK_S = 2.5
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Facts(NamedTuple):
    """One run that is over.

    Attributes:
        status: pyinit's exit status.
        records: its log.
        lives: who was below it.
        top: its number in the first PID namespace.
        pid1: it was PID 1 of a namespace.
        until: its --until.
        grace_s: its --grace in seconds.
        ok_exits: its --ok-exit.
        signals: what was sent to it: (when in monotonic nanoseconds, signal number).
        calms: the tree was quiet before the first of these two, and pyinit slept between them (monotonic nanoseconds).
        offset_ns: the wall clock is ahead of the monotonic one by between these two.
    """

    status: int
    records: list[Record]
    lives: list[Life]
    top: int
    pid1: bool
    until: str
    grace_s: float
    ok_exits: tuple[int, ...]
    signals: list[tuple[int, int]]
    calms: list[tuple[int, int]]
    offset_ns: tuple[int, int]


class Told:
    """One reap record: its place in the log, whose end it tells, the role, and when it was written.

    `early_ns` and `late_ns`: it was written between these two (monotonic nanoseconds).
    """

    def __init__(self, place: int, life: Life, role: str, early_ns: int, late_ns: int) -> None:
        self.place = place
        self.life = life
        self.role = role
        self.early_ns = early_ns
        self.late_ns = late_ns

    def __repr__(self) -> str:
        return f"{self.role} {self.life}"

    @property
    def good(self) -> bool:
        """The process exited with status 0."""
        return self.life.status == 0


def number_in(name: str) -> int | None:
    """Return the PID of "name[PID]", as records name processes; None for "and 12 more"."""
    found = re.search(r"\[(\d+)\]$", name)
    return int(found[1]) if found else None


class Oracle:
    """Checks one run; raises AssertionError with what is wrong."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._main = facts.lives[0]
        self._stops = [place for place, record in enumerate(facts.records) if record["event.name"] == runs.STOPPING]
        self._imposed_ns = self._earliest_imposition()
        self._told = self._match()
        self._by_life = {told.life: told for told in self._told}
        self._adopted = self._places_of_adoptions()

    def check(self) -> None:
        """Check everything."""
        self._check_nobody_left()
        self._check_one_record_each()
        self._check_own_deaths()
        self._check_told_at_once()
        self._check_roles()
        self._check_names()
        self._check_stop()
        expected = self.status()
        assert self._facts.status == expected, f"status {self._facts.status}, but it must be {expected}: {self._told}"

    # -- times ----------------------------------------------------------------------------------------------------

    def _span(self, record: Record) -> tuple[int, int]:
        """Return between which monotonic nanoseconds a record was written: its timestamp is cut to microseconds."""
        moment = dt.datetime.fromisoformat(record["timestamp"])
        wall = (moment - _EPOCH) // dt.timedelta(microseconds=1) * 1000
        least, most = self._facts.offset_ns
        return wall - most, wall + 1000 - least

    def _earliest_imposition(self) -> int | None:
        """Return when at the earliest a signal of pyinit's can have reached anybody; None: never."""
        moments = [ns for ns, _ in self._facts.signals]
        moments += [self._span(self._facts.records[place])[0] for place in self._stops]
        return min(moments, default=None)

    def _lives_until(self, life: Life) -> int:
        """Return until when a process has lived at least."""
        if life.last.kind in {EXITS, DIES} or self._killed_by_kernel(life):
            return life.last.ns
        return max(life.last.ns, self._imposed_ns or 0)

    def _killed_by_kernel(self, life: Life) -> bool:
        """Whether it may be that the kernel ended it: SIGHUP goes to a group with a stopped member that is orphaned."""
        return life.status == SIGHUP and any(other.said(STOPS) for other in self._facts.lives)

    @staticmethod
    def _gone_by(life: Life, ns: int) -> bool:
        """Whether a process had ended at this time, for certain."""
        return life.ended_ns is not None and life.ended_ns < ns

    # -- who was pyinit's child when --------------------------------------------------------------------------------

    @staticmethod
    def _holders(life: Life) -> list[Life]:
        """Return everybody who can have been its parent before pyinit: who forked it, and subreapers above."""
        above = list(life.ancestors)
        return above[:1] + [one for one in above[1:] if one.said("p")]

    def _certainly_child(self, life: Life, ns: int, ending: Life) -> bool:
        """Whether it was pyinit's child at this time, or became so by the end of `ending`."""
        return all(holder is ending or self._gone_by(holder, ns) for holder in self._holders(life))

    def _maybe_child(self, life: Life, ns: int) -> bool:
        """Whether it can have been pyinit's child at this time."""
        if life.born_ns > ns:
            return False
        parent = life.parent
        if parent is None:
            return True
        orphaned_ns = self._lives_until(parent)
        keepers = [
            one for one in parent.ancestors if (word := one.said(SUBREAPER)) is not None and word.ns < orphaned_ns
        ]
        return orphaned_ns < ns and all(self._lives_until(keeper) < ns for keeper in keepers)

    # -- one record for each ----------------------------------------------------------------------------------------

    def _match(self) -> list[Told]:
        """Find out whose end each reap record tells."""
        by_number = {life.inner: life for life in self._facts.lives}
        unnamed = [life for life in self._facts.lives if life.inner is None]
        found = []
        for place, record in enumerate(self._facts.records):
            if record["event.name"] != runs.REAPED:
                continue
            status = runs.told_status(record)
            life = by_number.pop(record["process.pid"], None)
            if life is None:
                life = next((one for one in unnamed if one.status == status), None)
                assert life is not None, f"nobody ended like this, or it was told before: {record}"
                unnamed.remove(life)
                life.inner = record["process.pid"]
            assert life.status == status, f"{life} did not end like this: {record}"
            found.append(Told(place, life, record["pyinit.role"], *self._span(record)))
        return found

    def _places_of_adoptions(self) -> dict[Life, int]:
        by_number = {life.inner: life for life in self._facts.lives}
        return {
            by_number[record["process.pid"]]: place
            for place, record in enumerate(self._facts.records)
            if record["event.name"] == runs.ADOPTED
        }

    def _check_nobody_left(self) -> None:
        left = [life for life in self._facts.lives if life.ended_ns is None]
        assert not left, f"these outlived pyinit: {left}"

    def _check_one_record_each(self) -> None:
        for life in self._facts.lives:
            owed = self._owed(life)
            told = life in self._by_life
            assert owed is None or owed == told, f"{life} was {'' if told else 'not '}told (its taker: {life.taker})"

    def _owed(self, life: Life) -> bool | None:
        """Whether pyinit must have reaped it; None: either is right.

        It must, unless somebody else has done so: who says it before and after; the kernel for a parent that ignores
        SIGCHLD; or nobody knows, because who was going to do so was killed before it could say that it had.
        """
        if life.taker is not None:
            return False if life.taken else None
        holders = self._holders(life)
        if not any(map(ignores_children, holders)) or life.exit_parent == self._facts.top:
            return True
        if life.inner is None:
            return None
        parent = holders[0]
        word = parent.said(IGNORES_CHILDREN)
        stays = life.ended_ns is not None and self._lives_until(parent) > life.ended_ns
        return False if stays and word is not None and word.ns < self._lives_until(life) else None

    def _check_own_deaths(self) -> None:
        """Nobody got a signal before there was one to get: who did not end by itself ended after that."""
        for life in self._facts.lives:
            if life.last.kind in {EXITS, DIES} or self._killed_by_kernel(life):
                continue
            assert self._imposed_ns is not None, f"nobody asked for this end: {life}"
            assert life.ended_ns is not None
            assert life.ended_ns >= self._imposed_ns, f"this end came before anybody asked for it: {life}"

    def _check_told_at_once(self) -> None:
        """When pyinit sleeps it has told every end that is there to be told; the final kill may hold on to the dead."""
        killing = [self._span(record)[0] for record in self._facts.records if record["event.name"] == runs.KILLING]
        for told in self._told:
            for quiet_ns, asleep_ns in self._facts.calms:
                if any(ns < asleep_ns for ns in killing):
                    continue
                if all(self._gone_by(one, quiet_ns) for one in (told.life, *self._holders(told.life))):
                    assert told.early_ns <= asleep_ns, (
                        f"pyinit slept ({asleep_ns}) and had not reaped {told.life} ({told.early_ns})"
                    )

    # -- roles ------------------------------------------------------------------------------------------------------

    def _stopping_before(self, place: int) -> bool:
        return any(stop < place for stop in self._stops)

    def _check_roles(self) -> None:
        must: dict[Life, str] = {}
        may: set[Life] = set()
        for told in self._told:
            if told.life is self._main:
                assert told.role == "main", f"{told.life} is main, not {told.role}"
                if self._hands_over(told):
                    self._take_heirs(told, must, may)
                continue
            assert told.role in {"successor", "adopted"}, f"{told.life} is {told.role}"
            if told.role == "successor":
                assert told.life in may, f"{told.life} cannot have been a successor"
                if told.good and not self._stopping_before(told.place):
                    self._take_heirs(told, must, may)
            else:
                assert told.life not in must, f"{told.life} is a successor: {must[told.life]}"

    def _hands_over(self, main: Told) -> bool:
        """Whether what main leaves behind carries the service on."""
        if self._facts.until == "all":
            return not self._stopping_before(main.place)
        return self._facts.until == "service" and main.good and not self._stopping_before(main.place)

    def _take_heirs(self, ending: Told, must: dict[Life, str], may: set[Life]) -> None:
        """Add who takes the role over from main, or from a successor that has exited 0."""
        until_ns = self._lives_until(ending.life)
        for told in self._told:
            life = told.life
            if told.place <= ending.place:
                continue
            known = self._adopted.get(life, told.place)
            is_main = ending.life is self._main
            if self._maybe_child(life, ending.late_ns) and (is_main or not self._settled(known, until_ns)):
                may.add(life)
            there = self._certainly_child(life, until_ns, ending.life) and self._lives_until(life) > ending.late_ns
            if is_main and known < ending.place:
                must[life] = "pyinit knew it when main ended"
            elif there and (is_main or life.parent is ending.life):
                must[life] = f"it was there when {ending.life} ended, and lived when that was told"

    def _settled(self, place: int, ns: int) -> bool:
        """Whether pyinit has rested between a record and a time: then what it told came at another moment."""
        _, late_ns = self._span(self._facts.records[place])
        return any(late_ns < quiet_ns and asleep_ns < ns for quiet_ns, asleep_ns in self._facts.calms)

    def _check_names(self) -> None:
        """Check that handovers and inheritances name the successors, and nobody else."""
        main = self._by_life.get(self._main)
        named: set[int] = set()
        whole = True
        first = len(self._facts.records)
        for place, record in enumerate(self._facts.records):
            if record["event.name"] in {runs.HANDOVER, runs.INHERITED}:
                numbers = {number_in(name) for name in record.get("pyinit.successors", [])}
                whole = whole and None not in numbers
                named |= {number for number in numbers if number is not None}
                first = min(first, place)
        said = {told.life.inner for told in self._told if told.role == "successor" and told.place > first}
        assert main is not None
        assert all(number in said for number in named), f"named as successors {named}, told as such {said}"
        assert not whole or named == said, f"named as successors {named}, told as such {said}"

    # -- the stop and the status --------------------------------------------------------------------------------------

    def _check_stop(self) -> None:
        """Check that a stop begins once, for a reason that there is, where there is one, and ends in time."""
        assert len(self._stops) <= 1, "a stop begins once"
        until = self._facts.until
        main = self._by_life[self._main]
        for told in self._told:
            ends_it = (told is main and until == "main") or (
                until == "service" and told.role in {"main", "successor"} and not told.good
            )
            others_left = told is not self._told[-1]
            assert not ends_it or not others_left or self._stopping_before(told.place), f"no stop at the end of {told}"
        if not self._stops:
            return
        place = self._stops[0]
        record = self._facts.records[place]
        reason = record["pyinit.stop.reason"]
        behind = [told for told in self._told if told.place > place]
        match reason:
            case "signal":
                number = record["pyinit.signal.number"]
                _, late_ns = self._span(record)
                assert any(ns < late_ns and sent == number for ns, sent in self._facts.signals), record
            case "main" | "until-main":
                assert behind[0].life is self._main, f"main had not ended: {behind[:1]}"
                assert until == "main" or (until == "service" and not main.good), record
            case "successor":
                assert until == "service", record
                assert behind[0].role == "successor", f"no successor had ended: {behind[:1]}"
                assert not behind[0].good, f"no successor had ended badly: {behind[:1]}"
            case "service":
                assert until == "service", record
                assert main.good, record
                assert main.place < place, "main had not ended"
                assert not [told for told in behind if told.role == "successor"], f"the service goes on: {behind}"
            case _:
                raise AssertionError(record)
        began_ns, _ = self._span(record)
        _, over_ns = self._span(self._facts.records[-1])
        took_s = (over_ns - began_ns) / 1e9
        assert took_s <= self._facts.grace_s + SLACK_S, f"the stop took {took_s:.3f} s"

    def status(self) -> int:
        """Return the exit status that DESIGN 3.2 gives."""
        deciders = [told for told in self._told if told.role in {"main", "successor"} and not told.good]
        if self._facts.until == "main":
            deciders = [told for told in deciders if told.role == "main"]
        if not deciders:
            return 0
        wait_status = deciders[0].life.status
        signal = wait_status & 0x7F
        status = 128 + signal if signal else wait_status >> 8
        return 0 if status in self._facts.ok_exits else status


def carries_on(records: Sequence[Record], lives: Sequence[Life], until: str) -> bool:
    """Say whether there is a reason for pyinit to be there, when nothing has asked for a stop and all is told."""
    living = {life.inner for life in lives if life.ended_ns is None}
    if lives[0].ended_ns is None:
        return True
    if until == "all":
        return bool(living)
    named = [
        number_in(name)
        for record in records
        if record["event.name"] in {runs.HANDOVER, runs.INHERITED}
        for name in record.get("pyinit.successors", [])
    ]
    return until == "service" and any(number is None or number in living for number in named)
