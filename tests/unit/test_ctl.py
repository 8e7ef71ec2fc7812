"""pyinitctl without a pyinit: its command line, and what it makes of an answer."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_prometheus

import pyinit
from pyinit.control import protocol
from pyinit.ctl import events, metrics, screen, table, texts, words
from pyinit.options import UsageError
from support.control import parse as checked

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def process(pid: int, ppid: int, role: str = "descendant", **members: object) -> dict[str, Any]:
    """Return a row of the tree."""
    row: dict[str, Any] = {
        "pid": pid, "ppid": ppid, "pgid": pid, "sid": pid, "name": f"p{pid}", "state": "S", "role": role, "escaped": [],
        "uid": 0, "start_ticks": 100, "age_s": 75.0, "cpu_s": 0.25, "memory_bytes": 3 << 20, "threads": 1,
    }  # fmt: skip
    return row | members


def status(*rows: dict[str, Any], **members: object) -> dict[str, Any]:
    """Return a status that the schema takes."""
    told: dict[str, Any] = {
        "v": 1, "ok": True, "live": True, "ready": True, "readiness": "yes", "phase": "holding",
        "since": "2026-11-27T16:00:00Z", "since_s": 3700.0, "service": {"pid": 9, "name": "nginx", "start_ticks": 5},
        "main": {"pid": 7, "name": "nginx", "start_ticks": 4, "alive": False, "exit_status": 0}, "successors": [],
        "successor_count": 1, "restarts": 0,
        "counts": {"adopted": 1, "reaped": 2, "forwarded": 3, "killed": 4, "dropped_records": 5},
        "pyinit": {
            "pid": 1, "uid": 0, "version": "0.1.0", "mode": "pid1", "until": "service", "grace_s": 8.0,
            "log_level": "info", "started": "2026-11-27T15:00:00Z", "uptime_s": 90061.0, "cpu_s": 0.1,
            "memory_bytes": 13 << 20,
        },
        "processes": list(rows),
    }  # fmt: skip
    return checked(json.dumps(told | members))


TREE = (
    process(9, 1, "successor", escaped=["adopted", "group", "session"]),
    process(10, 9, uid=4711),
    process(12, 10),
    process(11, 9, state="Z"),
    process(30, 1, "foreign"),
)


# -- the command line --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "action", "pid", "given", "operands"),
    [
        ("status", "status", 0, {}, []),
        ("-p 7 status -jw", "status", 7, {"format": "json", "watch": "yes"}, []),
        ("status --pid=8 --format openmetrics", "status", 8, {"format": "openmetrics"}, []),
        ("health", "health", 0, {}, []),
        ("health live --pid 3", "health", 3, {}, ["live"]),
        ("wait --ready --timeout 1m", "wait", 0, {"until": "ready"}, []),
        ("wait --ready --gone", "wait", 0, {"until": "gone"}, []),
        ("signal HUP", "signal", 0, {}, ["HUP"]),
        ("signal --pid 9 RTMIN+3 77", "signal", 9, {}, ["RTMIN+3", "77"]),
        ("log-level debug", "log-level", 0, {}, ["debug"]),
        ("events -f --since 10m", "events", 0, {"follow": "yes", "since": "10m"}, []),
        ("--help", "help", 0, {}, []),
        ("status -h", "help", 0, {}, []),
        ("stop --version", "version", 0, {}, []),
    ],
)
def test_command_lines(line: str, action: str, pid: int, given: dict[str, str], operands: list[str]) -> None:
    """Options may stand before and behind the command, and among its operands."""
    parsed = words.parse(line.split(), {})
    assert (parsed.action, parsed.pid, parsed.operands) == (action, pid, operands)
    assert {name: text for name, text in parsed.given.items() if name not in {"pid", "timeout_s"}} == given
    assert parsed.timeout_s == (60.0 if "1m" in line else None)


def test_the_variable() -> None:
    """PYINITCTL_PID does what --pid does, which beats it; an empty one is none."""
    assert words.parse(["status"], {b"PYINITCTL_PID": b"12"}).pid == 12
    assert words.parse(["status", "--pid", "3"], {b"PYINITCTL_PID": b"x"}).pid == 3
    assert words.parse(["status"], {b"PYINITCTL_PID": b""}).pid == 0
    with pytest.raises(UsageError, match="PYINITCTL_PID: 'x' is no PID"):
        words.parse(["status"], {b"PYINITCTL_PID": b"x"})


WORDS = (
    "status",
    "wait",
    "--ready",
    "--pid",
    "-p",
    "7",
    "signal",
    "HUP",
    "--",
    "-",
    "--json",
    "events",
    "-x",
    "\udcff",
)


@settings(deadline=None)
@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=6))
def test_any_command_line(argv: list[str]) -> None:
    """Whatever the words are: something to do, or one line that can be printed."""
    wrong = None
    try:
        parsed = words.parse(argv, {})
    except UsageError as error:
        wrong = error.message
    if wrong is None:
        assert parsed.action in {"help", "version", *(command.name for command in table.COMMANDS)}
        return
    assert wrong.isprintable()
    assert len(wrong) < 500


def test_the_help_tells_everything() -> None:
    """Each command and each option has its line, of at most 80 columns."""
    text = texts.help_text()
    options = [*table.OPTIONS, *(option for command in table.COMMANDS for option in command.options)]
    assert set(table.TEXTS) == {option.name for option in options if option.kind != "action"}
    assert max(map(len, text.splitlines())) <= 80
    for command in table.COMMANDS:
        assert f"  {command.name}" in text
        assert command.text in text
    for option in options:
        assert f"--{option.name}" in text
    assert ESCAPE.sub("", texts.help_text(colour=True)) == text


def test_commands_and_requests_are_the_same_things() -> None:
    """Each request of the protocol has its command, by the same name."""
    assert {command.name for command in table.COMMANDS} == set(protocol.REQUESTS)


# -- the screen --------------------------------------------------------------------------------------------------------


def test_the_screen() -> None:
    """What the run is at, then the tree."""
    shown = screen.text(status(*TREE, status="all\x1b[2J well"), colours=False, width=0)
    lines = shown.splitlines()
    assert lines[0] == "● holding, ready, for 1 h 1 min (since 2026-11-27T16:00:00Z)"
    assert lines[1:6] == [
        "   service  nginx[9]",
        '      says  "all\\x1b[2J well"',
        "      main  nginx[7], has ended with status 0",
        "    pyinit  0.1.0 as PID 1, up 1 d 1 h, 13.0 MiB, until service, grace 8 s, log level info",
        "    counts  1 adopted, 2 reaped, 3 signals forwarded, 0 restarts, 5 log records dropped",
    ]
    tree = [line.partition("MiB")[2].split(maxsplit=1)[1] for line in lines[8:]]
    assert tree == [
        "p9  successor  adopted, own group, own session",
        "├─ p10",
        "│  └─ p12",
        "└─ p11 (ended)",
        "p30  foreign",
    ]
    assert "4711" in shown


def test_colours_and_width() -> None:
    """Colours change nothing but colours; lines are cut at the width of the terminal, and colours end all the same."""
    told = status(*TREE)
    plain = screen.text(told, colours=False, width=40)
    assert max(map(len, plain.splitlines())) == 40
    coloured = screen.text(told, colours=True, width=40)
    assert ESCAPE.sub("", coloured) == plain
    for line in coloured.splitlines():
        assert len(re.findall(r"\x1b\[[1-9]", line)) == line.count("\x1b[0m")


@pytest.mark.parametrize(
    ("members", "first"),
    [
        ({"phase": "running", "readiness": "no", "ready": False}, "● running, not ready yet, for"),
        ({"phase": "running", "readiness": "unknown"}, "● running, for"),
        ({"phase": "stopping", "ready": False, "kill_in_s": 2.5}, "● stopping, SIGKILL in 2.5 s, for"),
        ({"phase": "killing", "ready": False, "live": False}, "● killing, for"),
    ],
)
def test_the_first_line(members: dict[str, object], first: str) -> None:
    """The phase, and what is to be known of it."""
    assert screen.text(status(**members), colours=False, width=0).startswith(first)


def test_several_successors_and_nobody() -> None:
    """All of them are named, as far as they were told; without any it says nobody."""
    two = [{"pid": pid, "name": "cron", "start_ticks": 1} for pid in (3, 4)]
    shown = screen.text(status(service=None, successors=two, successor_count=25), colours=False, width=0)
    assert "service  cron[3], cron[4], and 23 more\n" in shown
    shown = screen.text(status(service=None, successor_count=0, main=None), colours=False, width=0)
    assert "service  nobody\n" in shown
    assert "main" not in shown
    assert "No process is left." in shown


def test_what_is_not_known() -> None:
    """Without /proc little is known, and that is shown."""
    row = process(9, 1, "successor")
    for key in ("uid", "start_ticks", "age_s", "cpu_s", "memory_bytes", "threads"):
        del row[key]
    assert screen.text(status(row), colours=False, width=0).count(" ?") == 4


@pytest.mark.parametrize(
    ("unread", "shown"),
    [
        (0, "processes may be missing: "),
        (1, "1 process could not be read: "),
        (20, "20 processes could not be read: "),
    ],
)
def test_what_is_missing(unread: int, shown: str) -> None:
    """A picture that is not complete says so, above the tree, to people and to machines."""
    left_out = {"unread": unread, "reason": "no\x1b[2J file"}
    lines = screen.text(status(*TREE, incomplete=left_out), colours=False, width=0).splitlines()
    assert lines[5] == f"incomplete  {shown}no\\x1b[2J file"
    assert "No process is left" not in screen.text(status(incomplete=left_out), colours=False, width=0)
    assert "\npyinit_processes_incomplete 1\n" in metrics.text(status(incomplete=left_out))
    assert "\npyinit_processes_incomplete 0\n" in metrics.text(status(*TREE))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (0.25, "0.25 s"), (9.999, "10 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"),
     (7500, "2 h 5 min"), (86400, "1 d"), (356400, "4 d 3 h")],
)  # fmt: skip
def test_durations(seconds: float, shown: str) -> None:
    """As a person would say it."""
    assert screen.duration(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (102400, "100 KiB"), (3 << 20, "3.0 MiB"), (5 << 40, "5120 GiB")],
)
def test_sizes(count: int, shown: str) -> None:
    """As a person would say it."""
    assert screen.size(count) == shown


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.text(max_size=15)), max_size=30))
def test_any_tree(parents: list[tuple[int, str]]) -> None:
    """Whatever the tree and the names in it: a line for each, that steers nothing."""
    rows = [process(at + 2, parent + 1, name=name) for at, (parent, name) in enumerate(parents)]
    shown = screen.text(status(*rows), colours=False, width=100)
    assert all(line.isprintable() for line in shown.split("\n"))
    assert len(screen.branches(rows)) == len(rows)


# -- the numbers -------------------------------------------------------------------------------------------------------


def families_of(text: str) -> list[Any]:
    """Read OpenMetrics."""
    return list(read_openmetrics(text))  # type: ignore[no-untyped-call]  # the library has no types for it


def test_openmetrics() -> None:
    """The text is OpenMetrics, and the parser of the older format reads the same numbers out of it."""
    text = metrics.text(status(*TREE))
    assert text.endswith("\n# EOF\n")
    families = {family.name: family for family in families_of(text)}
    values = {(sample.name, tuple(sample.labels.items())): sample.value for family in families.values()
              for sample in family.samples}  # fmt: skip
    assert all(family.documentation for family in families.values())
    assert {family.type for family in families.values()} == {"gauge", "counter"}
    assert values["pyinit_phase", (("phase", "holding"),)] == 1
    assert sum(value for (name, _), value in values.items() if name == "pyinit_phase") == 1
    assert values["pyinit_processes", (("role", "descendant"),)] == 3
    assert values["pyinit_zombies", ()] == 1
    assert values["pyinit_tree_resident_memory_bytes", ()] == 5 * (3 << 20)
    assert values["pyinit_tree_cpu_seconds", ()] == 1.25
    assert values["pyinit_processes_adopted_total", ()] == 1
    assert values["pyinit_log_records_dropped_total", ()] == 5
    assert values["pyinit_restarts_total", ()] == 0
    older = {(sample.name, tuple(sample.labels.items())): sample.value for family in read_prometheus(text)
             for sample in family.samples}  # fmt: skip
    assert older == values


def test_labels_are_escaped() -> None:
    """Nothing that a label holds ends it."""
    told = status()
    told["pyinit"]["version"] = 'a"b\\c\nd'
    (run,) = [family for family in families_of(metrics.text(told)) if family.name == "pyinit_run"]
    assert run.samples[0].labels["version"] == 'a"b\\c\nd'


# -- the records -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0", b"2026-11-27T16:00:00"),
        ("1h", b"2026-11-27T15:00:00"),
        ("90", b"2026-11-27T15:58:30"),
        ("2026-11", b"2026-11"),
        ("2026-11-27T16:00", b"2026-11-27T16:00"),
        ("2026-11-27 16:00:00.5Z", b"2026-11-27T16:00:00.5"),
        ("yesterday", None),
        ("2026/11/27", None),
        ("2026-11-27T16:00:00.0000000", None),
        ("\u0662\u0660\u0662\u0666-11", None),
        ("", None),
    ],
)  # fmt: skip
def test_since(text: str, moment: bytes | None) -> None:
    """A duration, or the beginning of a time."""
    assert events.earliest(text, 1795795200.0) == moment


def test_the_stamp_of_a_record() -> None:
    """By both names of the key."""
    for key in ("timestamp", "@timestamp"):
        assert (
            events.stamp_of(b'{"%s":"2026-11-27T16:00:00.123456Z","x":1}' % key.encode())
            == b"2026-11-27T16:00:00.123456Z"
        )


# -- what it loads -----------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
before = set(sys.modules)
sys.path.insert(0, sys.argv[1])
from pyinit.ctl import main
try:
    main.run(["--pid", "2147483647", "health"])
finally:
    pass
"""
CHECK = PROGRAM.replace(
    "finally:\n    pass", "except SystemExit:\n    print(*sorted(set(sys.modules) - before))"
).replace(
    "from pyinit.ctl import main\n",
    "from pyinit.ctl import main\nimport posix\ndef leave(status): raise SystemExit\nposix._exit = leave\n",
)


def test_a_health_check_loads_little() -> None:
    """No json, no re, no socket, no argparse: it runs every few seconds."""
    source = str(Path(pyinit.__file__).parent.parent)
    run = subprocess.run([sys.executable, "-IS", "-c", CHECK, source], check=True, capture_output=True, text=True)
    loaded = set(run.stdout.split())
    assert {"pyinit.ctl.main", "pyinit.ctl.connection"} <= loaded
    heavy = {"argparse", "json", "re", "socket", "select", "subprocess", "typing", "dataclasses", "pwd", "difflib"}
    assert not loaded & heavy
    assert len(loaded) <= 20, loaded
