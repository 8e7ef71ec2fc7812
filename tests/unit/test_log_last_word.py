"""The last word of a run: the record that tells how it came out, for whoever wants it besides the log."""

from __future__ import annotations

import json

import pytest

from pyinit.core.model import Process
from pyinit.termination import message
from unit.log_kept import BAD, ECS, HOSTILE, OTEL, WORKER, Kept

EXITED_FACTS = {"status": 137, "reason": "successor", "process": WORKER, "end": BAD, "reaped": 4, "duration_s": 12.5}


def test_the_last_word_is_the_last_record() -> None:
    """Sentence and line are those of the log; nothing else is a last word."""
    kept = Kept()
    assert kept.log.last_word is None
    kept.report("pyinit.error", {"where": "x", "error": "y"})
    assert kept.log.last_word is None
    record = kept.report("pyinit.exited", EXITED_FACTS)
    assert kept.log.last_word == (record["message"], kept.lines[-1])
    record = kept.report("spawn.failed", {"command": "ngnix", "errno": 2, "status": 127, "reason": "not found"})
    assert kept.log.last_word == (record["message"], kept.lines[-1])


@pytest.mark.parametrize("ecs", [False, True])
@pytest.mark.parametrize("console", [False, True])
@pytest.mark.parametrize("level", ["error", "info"])
def test_the_last_word_is_json_whatever_the_log_is(level: str, *, console: bool, ecs: bool) -> None:
    """Neither the level nor the format of the log hides it, and its keys are those of --log-schema."""
    kept = Kept(level=level, console=console, ecs=ecs)
    kept.log.report("pyinit.exited", EXITED_FACTS)
    assert len(kept.lines) == (level == "info")
    assert kept.log.last_word is not None
    sentence, line = kept.log.last_word
    record = json.loads(line)
    (ECS if ecs else OTEL).validate(record)
    assert record["message"] == sentence
    assert record["pyinit.exit.status"] == 137
    assert line.endswith(b"}\n")


@pytest.mark.parametrize("console", [False, True])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_the_last_word_leaves_room_for_its_sentence(text: str | bytes, *, console: bool) -> None:
    """However long names and arguments are, the JSON is whole, and the message to Kubernetes has both."""
    name = text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text
    process = Process(9, name=name, args=(name, name))
    kept = Kept(console=console, show_args=True)
    kept.log.report("pyinit.exited", EXITED_FACTS | {"process": process, "reason": name})
    assert kept.log.last_word is not None
    sentence, line = kept.log.last_word
    assert len(line) <= 3072
    OTEL.validate(json.loads(line))
    data = message(sentence, line)
    assert len(data) <= 4096
    first, second = data.decode().splitlines()
    assert first.isprintable()
    assert first.startswith("pyinit leaves with status 137")
    assert second.encode() + b"\n" == line
