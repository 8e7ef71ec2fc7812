"""What the records say: keys, sentences, severities, limits; checked against the published JSON Schema."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from pyinit.core.model import DUMPED, EXITED, End, Process, Usage
from pyinit.log import records, schema
from pyinit.log.render import ECS_NAMES
from unit.log_kept import BAD, ECS, GOOD, MAIN, OTEL, SHELL, STRANGER, WORKER, Kept

DOCUMENT = Path(__file__).parents[2] / "docs" / "log-schema.md"

# One set of facts, at least, for each event: what the core and the shell report.
FACTS: list[tuple[str, dict[str, Any]]] = [
    (
        "pyinit.started",
        {"pid": 1, "version": "0.1.0", "mode": "pid1", "main": MAIN, "until": "service", "grace_s": 8.0},
    ),
    ("pyinit.degraded", {"feature": "python-prctl", "reason": "no module", "effect": "the name is not set"}),
    ("config.unknown_variable", {"variable": "PYINIT_GRASE", "suggestion": "PYINIT_GRACE"}),
    ("config.unknown_variable", {"variable": "PYINIT_X", "suggestion": None}),
    ("spawn.failed", {"command": "ngnix", "errno": 2, "status": 127, "reason": "not found in PATH"}),
    (
        "spawn.failed",
        {"command": "nginx", "errno": 13, "status": 125, "reason": "no", "option": "--nice", "value": "-5"},
    ),
    ("process.adopted", {"process": WORKER, "escaped": ("adopted", "group", "session"), "role": "adopted"}),
    ("process.adopted", {"process": STRANGER, "escaped": ("adopted",), "role": "foreign"}),
    ("process.reaped", {"process": MAIN, "role": "main", "escaped": (), "end": GOOD, "usage": Usage(0.1, 0.02, 4096)}),
    ("process.reaped", {"process": WORKER, "role": "successor", "escaped": ("adopted",), "end": BAD, "usage": None}),
    ("process.reaped", {"process": STRANGER, "role": "foreign", "escaped": (), "end": End(DUMPED, 11), "usage": None}),
    ("service.handover", {"main": MAIN, "successors": [WORKER], "until": "service"}),
    ("service.handover", {"main": MAIN, "successors": [], "until": "all"}),
    ("service.inherited", {"process": MAIN, "successors": [WORKER, WORKER]}),
    ("service.identified", {"process": WORKER, "source": "notify", "root": None, "previous": None}),
    ("service.identified", {"process": WORKER, "source": "pid-file", "root": MAIN, "previous": MAIN}),
    ("service.refused", {"source": "pid-file", "claim": "/run/x.pid", "reason": "is not there"}),
    ("service.refused", {"source": "notify", "claim": "MAINPID=7", "reason": "names PID 7, which has ended"}),
    ("service.notified", {"process": WORKER, "notify": {"ready": "1", "status": "up", "mainpid": "12"}}),
    ("service.notified", {"process": None, "notify": {"reloading": "1", "watchdog": "1"}}),
    ("service.notified", {"process": None, "notify": {"stopping": "1", "extend_timeout_usec": "30000000"}}),
    ("service.notified", {"process": WORKER, "notify": {"errno": "2", "exit_status": "3"}}),
    ("pyinit.ready", {"process": None, "reason": "notify", "after_s": 0.25}),
    *[("pyinit.ready", {"process": WORKER, "reason": why, "after_s": 1}) for why in ("notify", "pid-file", "handover")],
    (
        "service.restarting",
        {
            "status": 137,
            "reason": "main",
            "process": MAIN,
            "end": BAD,
            "delay_s": 2.0,
            "asked": False,
            "count": 2,
            "limit": 5,
            "window_s": 300.0,
        },
    ),
    ("service.restarting", {"status": 0, "reason": "restart", "delay_s": 0.0, "asked": True, "limit": 5}),
    ("service.restarting", {"status": 127, "reason": "start", "process": None, "end": None, "delay_s": 4.0}),
    ("service.restarted", {"main": MAIN, "restarts": 3}),
    ("service.start_failed", {"status": 127, "errno": 2, "reason": "ngnix was not found in PATH"}),
    ("service.start_failed", {"status": 125, "errno": 0, "reason": "no new process can be made (MemoryError)"}),
    *[
        ("service.given_up", {"status": 137, "reason": reason, "count": 5, "limit": 5, "window_s": 300.0})
        for reason in ("limit", "left")
    ],
    ("signal.forwarded", {"signal": 1, "sender_pid": 0, "sender_uid": 0, "targets": [-7]}),
    ("signal.forwarded", {"signal": 37, "sender_pid": 99, "sender_uid": 0, "targets": list(range(10, 60))}),
    ("signal.undeliverable", {"process": WORKER, "signal": 15, "errno": 1}),
    ("signal.undeliverable", {"process": WORKER, "signal": 15, "errno": 22}),
    (
        "stop.begun",
        {
            "reason": "signal",
            "signal": 15,
            "sender_pid": 0,
            "process": None,
            "end": None,
            "stop_signal": 15,
            "grace_s": 8.0,
        },
    ),
    (
        "stop.begun",
        {
            "reason": "successor",
            "signal": None,
            "sender_pid": None,
            "process": WORKER,
            "end": BAD,
            "stop_signal": 15,
            "grace_s": 8.0,
        },
    ),
    *[
        ("stop.begun", {"reason": reason, "process": MAIN, "end": GOOD, "stop_signal": 3, "grace_s": 0.5})
        for reason in ("main", "service", "until-main", "request", "restart", "start")
    ],
    ("stop.begun", {"reason": "signal", "signal": 15, "stop_signal": 3, "grace_s": 8.0, "command": True}),
    ("stop.repeated", {"signal": 2, "sender_pid": 0}),
    ("stop.extended", {"asked_s": 30.0, "until_s": 12.5, "limited": True}),
    ("stop.extended", {"asked_s": 1.0, "until_s": 9.0, "limited": False}),
    ("stop.escalated", {"signal": 15, "processes": [WORKER], "count": 1, "after_s": 2.6667}),
    ("stop.killing", {"processes": [WORKER] * 10, "count": 1000, "grace_s": 8.0}),
    ("stop.unkillable", {"process": WORKER, "reason": "it does not die of SIGKILL"}),
    ("process.reaped", {"process": SHELL, "role": "command", "escaped": (), "end": GOOD}),
    ("command.started", {"kind": "stop", "process": SHELL, "errno": 0}),
    ("command.started", {"kind": "reload", "process": None, "errno": 11}),
    ("command.output", {"kind": "stop", "text": "stopping"}),
    ("command.output", {"kind": "reload", "text": ""}),
    *[("command.ended", {"kind": "stop", "process": SHELL, "end": end}) for end in (GOOD, BAD, End(EXITED, 3))],
    ("control.request", {"request": "reload", "accepted": True, "reason": "", "sender_pid": 8, "sender_uid": 0}),
    ("control.request", {"request": "restart", "accepted": False, "reason": "no", "sender_pid": 8, "sender_uid": 1}),
    ("control.request", {"request": "log-level", "accepted": True, "level": "debug", "sender_pid": 8, "sender_uid": 0}),
    *[
        (
            "control.request",
            {"request": "signal", "accepted": True, "signal": 1, "target": "service", "targets": list(range(7, 7 + n))},
        )
        for n in (0, 1, 30)
    ],
    ("control.refused", {"reason": "only uid 0 is answered", "sender_pid": 99, "sender_uid": 33}),
    ("log.dropped", {"count": 1}),
    ("log.dropped", {"count": 12}),
    ("pyinit.error", {"where": "loop", "error": "OSError: what"}),
    (
        "pyinit.exited",
        {
            "status": 137,
            "reason": "successor",
            "process": WORKER,
            "end": BAD,
            "reaped": 4,
            "adopted": 3,
            "forwarded": 0,
            "killed": 0,
            "dropped": 0,
            "duration_s": 12.5,
        },
    ),
    ("pyinit.exited", {"status": 0, "reason": "everything has ended", "reaped": 1, "duration_s": 0.25}),
    ("pyinit.exited", {"status": 127, "reason": "start", "reaped": 1, "duration_s": 0.25, "restarts": 4}),
]


@pytest.mark.parametrize("show_args", [False, True])
@pytest.mark.parametrize(("event", "facts"), FACTS)
def test_every_record_validates(event: str, facts: dict[str, Any], *, show_args: bool) -> None:
    """Each event, made from the facts that the core reports, is valid under both schemas, strictly."""
    record = Kept(show_args=show_args).report(event, facts)
    OTEL.validate(record)
    assert record["event.name"] == event
    ECS.validate(Kept(ecs=True, show_args=show_args).report(event, facts))


def test_every_event_is_tried() -> None:
    """The table above has each event of the closed list."""
    assert {event for event, _ in FACTS} == set(records.EVENTS)


def test_records_and_schema_agree() -> None:
    """records.EVENTS and the JSON Schema list the same events with the same keys, required and optional."""
    document = schema.load()
    Draft202012Validator.check_schema(document)
    branches = {
        name.removeprefix("event:"): branch for name, branch in document["$defs"].items() if name.startswith("event:")
    }
    assert list(branches) == list(records.EVENTS)
    assert [ref["$ref"] for ref in document["oneOf"]] == [f"#/$defs/event:{name}" for name in records.EVENTS]
    for name, event in records.EVENTS.items():
        branch = branches[name]
        assert branch["additionalProperties"] is False
        assert branch["properties"]["event.name"] == {"const": name}
        assert branch["required"] == [*records.COMMON, *event.required], name
        assert list(branch["properties"]) == [*records.COMMON, *event.required, *event.optional], name


def test_ecs_schema_is_the_schema_renamed() -> None:
    """The schema for Elastic has the same events; their keys are those of ECS_NAMES, and ecs.version."""
    document, renamed = schema.load(), schema.load("ecs")
    Draft202012Validator.check_schema(renamed)
    for name in records.EVENTS:
        ours = document["$defs"][f"event:{name}"]["properties"]
        theirs = renamed["$defs"][f"event:{name}"]["properties"]
        assert set(theirs) == {ECS_NAMES.get(key, key) for key in ours} | {"ecs.version"}


def test_document_and_records_agree() -> None:
    """docs/log-schema.md has a section for each event that names its keys, and a real example that validates."""
    text = DOCUMENT.read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### `([a-z_.]+)`\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE))
    assert list(sections) == list(records.EVENTS)
    for name, event in records.EVENTS.items():
        always = re.search(r"^Always: (.*?)$", sections[name], re.MULTILINE)
        known = re.search(r"^Where known: (.*?)$", sections[name], re.MULTILINE)
        assert re.findall(r"`([^`]+)`", always[1] if always else "") == list(event.required), name
        assert re.findall(r"`([^`]+)`", known[1] if known else "") == list(event.optional), name
        examples = re.findall(r"```json\n(.*?)```", sections[name], re.DOTALL)
        assert examples, name
        for example in examples:
            OTEL.validate(json.loads(example))
            assert json.loads(example)["event.name"] == name


def test_document_has_every_key() -> None:
    """docs/log-schema.md explains each key, and gives its name in the Elastic Common Schema where that differs."""
    text = DOCUMENT.read_text(encoding="utf-8")
    keys = {key for event in records.EVENTS.values() for key in (*event.required, *event.optional)} | {*records.COMMON}
    table = text[text.index("## Keys") : text.index("## Events")]
    rows = dict(re.findall(r"^\| `([^`]+)` \|([^|]*)\|", table, re.MULTILINE))
    assert set(rows) == keys
    assert {key: name.strip(" `") for key, name in rows.items() if name.strip()} == ECS_NAMES


def test_keys_begin_in_the_same_order() -> None:
    """A person who reads the raw lines finds time, severity, sentence and event at the same place."""
    assert list(Kept().report("log.dropped", {"count": 1}))[:5] == list(records.COMMON)


def test_an_end_is_told_truly() -> None:
    """An exit has a code and no signal; a death by signal has the signal and 128 plus its number, and no exit code."""
    kept = Kept()
    exited = kept.report("process.reaped", {"process": MAIN, "role": "main", "escaped": (), "end": End(EXITED, 3)})
    assert exited["process.exit.code"] == exited["pyinit.exit.status"] == 3
    assert "pyinit.exit.signal" not in exited
    killed = kept.report("process.reaped", {"process": MAIN, "role": "main", "escaped": (), "end": End(DUMPED, 11)})
    assert "process.exit.code" not in killed
    assert killed["pyinit.exit.status"] == 139
    assert killed["pyinit.exit.signal"] == "SIGSEGV"
    assert killed["pyinit.exit.core_dumped"] is True
    assert "main nginx[7] was killed by SIGSEGV, core dumped" in killed["message"]


def test_arguments_only_on_request() -> None:
    """Arguments hold secrets: without --log-args no record has them."""
    facts = {"process": MAIN, "role": "main", "escaped": ()}
    assert "secret" not in json.dumps(Kept().report("process.adopted", facts))
    shown = Kept(show_args=True).report("process.adopted", facts)
    assert shown["process.command_line"] == "nginx -g secret"


def test_creation_time_counts_from_boot() -> None:
    """A start time in ticks after boot becomes wall time."""
    record = Kept().report("process.adopted", {"process": Process(3, start_ticks=175), "role": "adopted"})
    assert record["process.creation.time"] == "2026-09-21T14:13:22.000000Z"


def test_severities() -> None:
    """A foreign orphan is no news; a reap is debug unless --log-reaps; what the caller says goes before all."""
    kept = Kept()
    reaped = {"process": MAIN, "role": "main", "escaped": (), "end": GOOD}
    assert kept.report("process.adopted", {"process": STRANGER, "role": "foreign"})["severity"] == "debug"
    assert kept.report("process.reaped", reaped)["severity"] == "debug"
    assert kept.report("process.reaped", reaped, "warning")["severity"] == "warning"
    kept.log.reaps = True
    assert kept.report("process.reaped", reaped)["severity"] == "info"
    assert kept.report("process.reaped", reaped, "warning")["severity"] == "warning"


def test_level_is_set_at_run_time() -> None:
    """Below the level nothing is rendered; it can change while pyinit runs; a wrong one is refused."""
    kept = Kept(level="warning")
    kept.log.report("stop.repeated", {"signal": 15})
    assert not kept.lines
    assert not kept.log.wants("info")
    assert kept.log.wants("error")
    kept.log.level = "info"
    kept.log.report("stop.repeated", {"signal": 15})
    assert len(kept.lines) == 1
    with pytest.raises(ValueError, match="none of debug, info"):
        kept.log.level = "loud"
    assert kept.log.level == "info"


@pytest.mark.parametrize(
    ("event", "facts"),
    [
        ("no.such", {}),
        ("process.reaped", {}),
        ("process.reaped", {"process": None, "role": "main", "end": GOOD}),
        ("stop.begun", {"grace_s": "soon"}),
    ],
)
def test_nonsense_becomes_an_error_record(event: str, facts: dict[str, Any]) -> None:
    """A report that makes no record never raises: it is told as pyinit.error."""
    record = Kept().report(event, facts)
    OTEL.validate(record)
    assert record["event.name"] == "pyinit.error"
    assert event in record["pyinit.where"]


@pytest.mark.parametrize("event", [event for event in records.EVENTS if event != "process.reaped"])
def test_missing_and_unknown_facts_are_survived(event: str) -> None:
    """With no facts at all, or with facts that nobody knows, each event still gives a record of its own."""
    record = Kept().report(event, {"what": object()})
    assert record["event.name"] == event
    assert "what" not in record


def test_lists_are_cut_visibly() -> None:
    """Of a thousand successors the record names some and says how many more there are."""
    many = [Process(pid, name=f"worker-{pid}") for pid in range(100, 1100)]
    record = Kept().report("service.handover", {"main": MAIN, "successors": many, "until": "service"})
    assert record["pyinit.successors"][0] == "worker-100[100]"
    assert record["pyinit.successors"][-1] == "and 980 more"
    assert "and 995 more" in record["message"]
    killing = Kept().report("stop.killing", {"processes": many[:10], "count": 1000, "grace_s": 8.0})
    assert killing["pyinit.processes"][-1] == "and 990 more"


# A piece of text and how often it is repeated.
TEXTS = st.tuples(
    st.one_of(
        st.text(st.characters(codec=None), max_size=20),
        st.binary(max_size=20).map(lambda data: data.decode("utf-8", "surrogateescape")),
        st.sampled_from(["\udcff", "\x00\x1b", '"\\', "\U0001f600", "\x7f\x9b"]),
    ),
    st.sampled_from([1, 1, 10, 100, 5000]),
)


@pytest.mark.timeout_s(240)  # megabytes of text, character by character
@settings(max_examples=100, deadline=None)
@given(name=TEXTS, other=TEXTS, args=st.lists(TEXTS, max_size=3))
def test_free_text_in_any_encoding(name: tuple[str, int], other: tuple[str, int], args: list[tuple[str, int]]) -> None:
    """Whatever a process is called: one line, at most 4096 bytes, ASCII, valid, and no lone surrogate in it."""
    text, reason = name[0] * name[1], other[0] * other[1] or "?"
    process = Process(9, name=text, args=tuple(piece * times for piece, times in args))
    for kept in (Kept(show_args=True), Kept(show_args=True, ecs=True)):
        for event, facts in (
            ("process.adopted", {"process": process, "escaped": (), "role": "adopted"}),
            ("service.handover", {"main": process, "successors": [process] * 30, "until": "all"}),
            ("stop.unkillable", {"process": process, "reason": reason}),
            ("spawn.failed", {"command": text, "errno": 2, "status": 127, "reason": reason}),
            ("service.refused", {"source": "notify", "claim": text, "reason": reason}),
            ("service.notified", {"process": process, "notify": {"status": text, "ready": reason}}),
            ("service.identified", {"process": process, "source": "notify", "root": process, "previous": process}),
            ("command.output", {"kind": "stop", "text": text}),
            ("command.output", {"kind": "stop", "text": text.encode("utf-8", "surrogatepass")}),
        ):
            record = kept.report(event, facts)
            line = kept.lines[-1]
            assert len(line) <= 4096
            assert line.endswith(b"\n")
            assert line.isascii()
            assert line.count(b"\n") == 1
            json.dumps(record, ensure_ascii=False).encode("utf-8")
            if "ecs.version" not in record:
                OTEL.validate(record)


def test_cut_text_ends_in_dots_and_short_text_is_whole() -> None:
    """What was cut shows it; a record that fits is not touched; bytes that are no UTF-8 stay readable."""
    kept = Kept()
    assert kept.report("pyinit.error", {"where": "x", "error": "y" * 9000})["error.message"].endswith("y...")
    assert kept.report("pyinit.error", {"where": "x", "error": "a\udcffb\ud800c"})["error.message"] == "a\\xffb\ufffdc"
    assert kept.report("pyinit.error", {"where": "x", "error": "\U0001f600" * 9})["error.message"] == "\U0001f600" * 9


def test_console_is_for_people() -> None:
    """Console text has the time, the severity, the sentence and the event; nothing in it can steer a terminal."""
    kept = Kept(console=True)
    kept.log.report("stop.unkillable", {"process": Process(3, name="\x1b[31mred\x9b"), "reason": "why\n\u2028"})
    text = kept.lines[-1].decode()
    assert re.match(
        r"20\d\d-\d\d-\d\dT[\d:.]+Z \[error\s*\] \\x1b\[31mred\\x9b\[3\] is left behind: why\\n\\u2028 ", text
    )
    assert "event.name=stop.unkillable" in text
    assert "\x1b" not in text
    assert text.count("\n") == 1


def test_console_in_colour() -> None:
    """With colours, the severity and the sentence have terminal codes, and they are closed again."""
    kept = Kept(console=True, colours=True)
    kept.log.report("log.dropped", {"count": 3})
    text = kept.lines[-1].decode()
    assert "\x1b[33m" in text
    assert text.rstrip().endswith("\x1b[0m")


def test_console_line_is_cut() -> None:
    """Console lines, too, are at most 4096 bytes, colour codes included."""
    kept = Kept(console=True, colours=True)
    kept.log.report("pyinit.error", {"where": "x", "error": "\xe4" * 9000})
    assert len(kept.lines[-1]) <= 4096


def test_tap_sees_each_line() -> None:
    """The memory of events gets each line that was rendered, also when nobody reads the log."""
    kept = Kept()
    for _ in range(3):
        kept.log.report("stop.repeated", {"signal": 15})
    assert len(kept.lines) == 3
    assert kept.log.dropped == 3


def test_warnings_name_the_option_that_changes_them() -> None:
    """A warning about a process names it, the seconds and the option."""
    kept = Kept()
    assert "--grace" in kept.report("stop.killing", {"processes": [WORKER], "count": 1, "grace_s": 8.0})["message"]
    reaped = {"process": MAIN, "role": "main", "escaped": (), "end": End(EXITED, 143)}
    assert "--ok-exit 143" in kept.report("process.reaped", reaped, "warning")["message"]
    assert "CAP_KILL" in kept.report("signal.undeliverable", {"process": WORKER, "signal": 15, "errno": 1})["message"]
