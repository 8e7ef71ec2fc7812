"""--check: what is found becomes rows that say what it means and what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyinit import reports
from pyinit.reports import checkup
from pyinit.reports.model import DEGRADED, MISSING, OK, Facts, Row

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = json.loads((DOCS / "check-v1.schema.json").read_text())
ALL = Facts(termination="/dev/termination-log", command="/usr/sbin/nginx")


def row(facts: Facts, name: str) -> Row:
    """Return the row of that name."""
    (found,) = [one for one in checkup.rows(facts) if one.name == name]
    return found


def test_a_container_that_lacks_nothing() -> None:
    """Every row is ok, has no remedy, and the verdict says so."""
    rows = checkup.rows(ALL)
    assert {one.state for one in rows} == {OK}
    assert {one.remedy for one in rows} == {""}
    assert checkup.status(rows) == 0
    assert checkup.verdict(rows) == "pyinit can do its work here."


# What is different from a container that lacks nothing; the row that tells it; its state; words of the row.
LACKS: list[tuple[dict[str, object], str, str, str]] = [
    ({"pid1": False}, "role", OK, "subreaper"),
    ({"pid1": False, "subreaper_problem": "PR_SET_CHILD_SUBREAPER: EPERM"}, "role", MISSING, "Run pyinit as PID 1"),
    ({"pid1": True, "subreaper_problem": "PR_SET_CHILD_SUBREAPER: EPERM"}, "role", OK, "PID 1"),
    ({"kernel": "5.2.1-generic"}, "kernel", DEGRADED, "Run a newer kernel."),
    ({"kernel": "5.3.0"}, "kernel", OK, "Linux 5.3.0"),
    ({"kernel": "5.3-rc1"}, "kernel", OK, "Linux 5.3-rc1"),
    ({"kernel": "4.19"}, "kernel", DEGRADED, "no pidfds"),
    ({"kernel": "somebody's"}, "kernel", OK, "Linux somebody's"),
    ({"seccomp": 0}, "seccomp", OK, "off"),
    ({"seccomp": 7}, "seccomp", OK, "mode 7"),
    ({"no_new_privs": True}, "no-new-privileges", OK, "can become another user"),
    ({"uid": 1000, "gid": 100}, "user", OK, "uid 1000, gid 100"),
    ({"can_kill": False}, "capabilities", DEGRADED, "--cap-add KILL"),
    ({"can_kill": False, "pid1": False}, "capabilities", DEGRADED, "may outlive the run"),
    ({"can_kill": False, "uid": 1000, "no_new_privs": True}, "capabilities", OK, "none is needed"),
    ({"can_kill": False, "uid": 1000}, "capabilities", OK, "Set no-new-privileges"),
    ({"main_uid": 33}, "user", OK, "uid 0, gid 0: main runs as uid 33."),
    ({"uid": 33, "main_uid": 33}, "user", OK, "main runs as the same."),
    ({"uid": 1000, "main_uid": 33, "can_become": False}, "user", MISSING, "no CAP_SETUID: pyinit would start nothing"),
    ({"main_uid": 33, "can_become": None}, "user", OK, "main runs as uid 33."),
    ({"can_kill": False, "main_uid": 33}, "capabilities", DEGRADED, "neither stops nor forwarded signals reach main"),
    ({"can_kill": False, "uid": 33, "main_uid": 33}, "capabilities", OK, "Set no-new-privileges"),
    ({"can_kill": False, "uid": 9, "no_new_privs": True, "main_uid": 3}, "capabilities", DEGRADED, "--cap-add KILL"),
    ({"proc": False}, "/proc", DEGRADED, "Mount the /proc of this PID namespace."),
    ({"hidepid": True, "uid": 1000}, "/proc", DEGRADED, "hidepid"),
    ({"hidepid": True}, "/proc", OK, "mounted"),
    ({"children": False}, "children files", DEGRADED, "CONFIG_PROC_CHILDREN"),
    ({"marks": False}, "core dump filter", DEGRADED, "--pid-file or --notify"),
    ({"pidfd_problem": "Function not implemented"}, "pidfd", DEGRADED, "Function not implemented"),
    ({"prctl_problem": "ImportError: libcap"}, "prctl", DEGRADED, "ctypes (ImportError: libcap)"),
    ({"structlog_problem": "ModuleNotFoundError"}, "structlog", DEGRADED, "Install structlog again."),
    ({"terminal": "there"}, "terminal", OK, "job control"),
    ({"terminal": "there", "own_session": True}, "terminal", OK, "a session of its own, without a terminal."),
    ({"terminal": "there", "own_session": False}, "terminal", OK, "job control"),
    ({"own_session": True}, "terminal", OK, "none: main leads a session of its own."),
    ({"own_session": False}, "terminal", OK, "none: main stays in pyinit's session."),
    ({"tty": "/dev/pts/7", "own_session": True}, "terminal", OK, "/dev/pts/7: main leads a session of its own on it."),
    ({"ignored": ("SIGINT", "SIGTERM")}, "signals", DEGRADED, "SIGINT and SIGTERM ignored"),
    ({"ignored": ("SIGINT",), "blocked": ("SIGTERM",)}, "signals", DEGRADED, "SIGINT ignored, SIGTERM blocked"),
    ({"log_problem": "it is closed"}, "log", DEGRADED, "Leave standard error open"),
    ({"log_heard": False}, "log", DEGRADED, "nobody reads"),
    ({"log": "/x/y", "log_problem": "No such file or directory", "log_option": True}, "log", MISSING, "start nothing"),
    ({"termination_problem": "Permission denied"}, "last word", DEGRADED, "Permission denied: the last word"),
    ({"grace_s": 9.999}, "grace", OK, "docker stop"),
    ({"grace_s": 10.0}, "grace", DEGRADED, "stop_grace_period"),
    ({"grace_s": 60.0}, "grace", DEGRADED, "60 s"),
    ({"grace_s": 29.5, "kubernetes": True}, "grace", OK, "before Kubernetes kills pyinit itself after 30 s"),
    ({"grace_s": 30.0, "kubernetes": True}, "grace", DEGRADED, "terminationGracePeriodSeconds"),
    ({"cgroup": 0, "counts_oom": False}, "control group", DEGRADED, "none to be seen"),
    ({"cgroup_kill": True}, "control group", OK, "version 2, cgroup.kill can be written"),
    ({"libc": ""}, "C library", DEGRADED, "not glibc"),
    ({"isolated": False}, "Python", DEGRADED, "python -I"),
    ({"launcher": False}, "launcher", DEGRADED, "not by python -m pyinit"),
    ({"unknown": (("PYINIT_GRASE", "PYINIT_GRACE"),)}, "variables", DEGRADED, "Did you mean PYINIT_GRACE?"),
    ({"unknown": (("PYINIT_X", None),)}, "variables", DEGRADED, "--help-all"),
    ({"command_problem": "nginx was not found in PATH"}, "command", MISSING, "was not found in PATH."),
]


@pytest.mark.parametrize(("difference", "name", "state", "says"), LACKS)
def test_a_lack_is_told(difference: dict[str, object], name: str, state: str, says: str) -> None:
    """The row has its state, says what it means and what to do; no other row is worse for it, but for the cause's."""
    facts = ALL._replace(**difference)  # type: ignore[arg-type]  # names of its fields
    found = row(facts, name)
    assert found.state == state
    assert says in f"{found.found}: {found.means} {found.remedy}"
    assert bool(found.remedy) or state == OK
    assert [one.name for one in checkup.rows(facts) if one.state != OK] == ([name] if state != OK else [])
    assert checkup.status(checkup.rows(facts)) == int(state == MISSING)
    assert (name in checkup.verdict(checkup.rows(facts))) == (state != OK)


@pytest.mark.parametrize(
    ("difference", "absent"),
    [
        ({"proc": False}, {"children files", "core dump filter"}),
        ({"pid1": False}, {"core dump filter"}),
        ({"seccomp": None, "no_new_privs": None, "can_kill": None}, {"seccomp", "no-new-privileges", "capabilities"}),
        ({"termination": None, "command": None}, {"last word", "command"}),
    ],
)
def test_what_cannot_be_said_has_no_row(difference: dict[str, object], absent: set[str]) -> None:
    """What is not there to be looked at is left out."""
    names = {one.name for one in checkup.rows(ALL)}
    left = {one.name for one in checkup.rows(ALL._replace(**difference))}  # type: ignore[arg-type]  # as above
    assert names - left == absent


FACTS = st.builds(
    Facts,
    **{
        name: st.sampled_from([before, *{fields[name]: None for fields, *_ in LACKS if name in fields}])
        for name, before in ALL._asdict().items()
    },
)


@settings(deadline=None)
@given(facts=FACTS, columns=st.integers(0, 300), colours=st.booleans())
def test_every_place_has_a_table_and_json(facts: Facts, columns: int, colours: bool) -> None:  # noqa: FBT001
    """Whatever was found: the JSON keeps to its schema, the table loses nothing, and fits the terminal."""
    rows = checkup.rows(facts)
    text = reports.as_json("check", {"status": checkup.status(rows), "checks": [one._asdict() for one in rows]})
    jsonschema.validate(json.loads(text), SCHEMA)
    assert len({one.name for one in rows}) == len(rows)
    table = checkup.table(rows, reports.Page(columns, colours=colours))
    assert ("\033" in table) == colours
    plain = re.sub(r"\033\[[0-9]*m", "", table)
    assert max(map(len, plain.splitlines())) <= max(60, min(columns, 120))
    words = plain.split()
    for one in rows:
        assert all(word in words or word + ":" in words for word in f"{one.state} {one.found} {one.means}".split())


def test_what_somebody_wrote_does_nothing_to_the_terminal() -> None:
    """A command, a path and a variable are shown so that they can be seen."""
    odd = "a\x1b[2J\n\udcff"
    facts = ALL._replace(
        command=odd, command_problem=f"{odd} was not found", log=odd, unknown=((f"PYINIT_{odd}", None),)
    )
    table = checkup.table(checkup.rows(facts), reports.Page())
    assert table.replace("\n", "").isprintable()
    assert table.count("a\\x1b[2J\\n\\xff") == 4
    assert table.encode()


def test_colours_are_those_of_the_states() -> None:
    """Green, yellow and red on a terminal."""
    page = reports.Page(colours=True)
    rows = [Row("a", OK, "f", "m"), Row("b", DEGRADED, "f", "m", "r"), Row("c", MISSING, "f", "m", "r")]
    table = checkup.table(rows, page)
    for colour, state in (("32", OK), ("33", DEGRADED), ("31", MISSING)):
        assert re.search(rf"^\033\[{colour}m{state} *\033\[0m", table, re.MULTILINE)


def test_the_document_has_each_row() -> None:
    """docs/check.md tells each row by its name."""
    cells = re.findall(r"^\| (`.*?) \|", (DOCS / "check.md").read_text(), re.MULTILINE)
    names = {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    assert {one.name for one in checkup.rows(ALL)} <= names
