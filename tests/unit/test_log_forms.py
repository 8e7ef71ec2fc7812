"""Records that come by the thousand: a line that a form gives is the line that structlog gives."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyinit.core.model import DUMPED, EXITED, KILLED, End, Process, Usage
from pyinit.log import FORMED
from pyinit.log.forms import KEPT
from unit.log_kept import ECS, OTEL, Kept

NAMES = {
    "plain": "nginx: worker",
    "percent": "%d%%b%s%",
    "quotes": '"\\{}',
    "a mark": "3000000000001",
    "another mark": "time 1",
    "control characters": "\x1b[31m",
    "not ASCII": "café",
    "outside the BMP": "\U0001f600",
}
ENDS = [End(EXITED, 0), End(EXITED, 7), End(KILLED, 9), End(DUMPED, 11)]


def facts(number: int, **changes: Any) -> dict[str, Any]:
    """Return the facts of the end of one of many processes that are alike."""
    name = changes.pop("name", "helper")
    process = Process(100 + number, ppid=1, pgid=200 + number, sid=300 + number, start_ticks=4000 + number, name=name)
    used = Usage(0.001 * number, 0.1 + 0.2, 4096 * number)
    made = {"process": process, "role": "adopted", "escaped": ("adopted",), "end": ENDS[0], "usage": used}
    return made | changes


def both(kept: Kept, event: str, number: int, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Report the same twice, by a form if there is one, and without; return both records, less their times."""
    told = [kept.report(event, facts(number, **changes))]
    forms, kept.log._forms = kept.log._forms, {}
    told.append(kept.report(event, facts(number, **changes)))
    kept.log._forms = forms
    for record in told:
        (OTEL if "timestamp" in record else ECS).validate(record)
        assert record.pop("timestamp", None) or record.pop("@timestamp")
    return told[0], told[1]


@pytest.mark.parametrize("ecs", [False, True], ids=["otel", "ecs"])
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("event", FORMED)
def test_a_form_gives_the_same_record(event: str, name: str, *, ecs: bool) -> None:
    """The keys, their order and their values are those of a record that was made by itself, whatever the name holds."""
    kept = Kept(ecs=ecs)
    for number in range(1, 6):
        one, other = both(kept, event, number, name=name)
        assert list(one.items()) == list(other.items())


@pytest.mark.parametrize("end", ENDS, ids=str)
def test_each_end_has_a_form_of_its_own(end: End) -> None:
    """What differs in more than a number makes another form: the end, the role, how it has escaped, OOM."""
    kept = Kept()
    ways: list[dict[str, Any]] = [
        {"end": end},
        {"end": end, "role": "successor"},
        {"end": end, "escaped": ("adopted", "session")},
        {"end": end, "usage": None},
        {"end": end, "oom_killed": True},
    ]
    for number in range(1, 5):
        for changes in ways:
            one, other = both(kept, "process.reaped", number, **changes)
            assert one == other


def test_a_form_is_used() -> None:
    """From the third record on nothing is rendered, and each line has its own numbers and its own time."""
    kept = Kept()
    for number in range(2):
        kept.report("process.reaped", facts(number))
    kept.log._record = None  # type: ignore[assignment,method-assign]  # it must not be called
    told = [kept.report("process.reaped", facts(number)) for number in range(2, 6)]
    assert [record["process.pid"] for record in told] == [102, 103, 104, 105]
    assert all(f"helper[{record['process.pid']}]" in record["message"] for record in told)
    assert len({record["timestamp"] for record in told}) > 1


def test_forms_are_few() -> None:
    """However many names there are, so many forms are kept and no more."""
    kept = Kept()
    for number in range(KEPT + 20):
        for _ in range(2):
            record = kept.report("process.reaped", facts(1, name=f"n{number}"))
        assert record["process.executable.name"] == f"n{number}"
        assert len(kept.log._forms["process.reaped"]._forms) <= KEPT


@pytest.mark.parametrize("known", [{"pgid": 0}, {"sid": 0}, {"pgid": 0, "sid": 0}], ids=str)
@pytest.mark.parametrize("event", FORMED)
def test_leaders_that_cannot_be_seen_have_no_key(event: str, known: dict[str, int]) -> None:
    """Among those whose leaders can be seen, those of whom one cannot have forms of their own, without that key."""
    kept = Kept()
    for number in range(1, 9):
        told = facts(number)
        for key, value in known.items() if number % 2 else ():
            setattr(told["process"], key, value)
        one, other = both(kept, event, number, process=told["process"])
        assert list(one.items()) == list(other.items())
        assert ("process.group_leader.pid" in one) == (not number % 2 or "pgid" not in known)
        assert ("process.session_leader.pid" in one) == (not number % 2 or "sid" not in known)


@pytest.mark.parametrize("known", [{"start_ticks": 0}, {"args": ("a", "b")}], ids=str)
def test_who_is_known_otherwise_has_no_form(known: dict[str, Any]) -> None:
    """Where a number is not known, or arguments are told, each record is made by itself."""
    kept = Kept(show_args=True)
    for number in range(1, 4):
        told = facts(number)
        for key, value in known.items():
            setattr(told["process"], key, value)
        record = kept.report("process.reaped", told)
        OTEL.validate(record)
        assert ("process.command_line" in record) == ("args" in known)
    assert not kept.log._forms["process.reaped"]._forms


def test_text_for_people_has_no_form() -> None:
    """On a terminal each record is made by itself."""
    kept = Kept(console=True)
    assert not kept.log._forms
    kept.log.keep = kept.lines.append
    kept.log.report("process.reaped", facts(1))
    assert json.loads(kept.lines[-1])["process.pid"] == 101
