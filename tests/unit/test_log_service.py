"""What the records say of the service and of pyinit's own commands; their texts are other people's."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from pyinit.core.model import EXITED, End
from unit.log_kept import ECS, GOOD, HOSTILE, MAIN, OTEL, SHELL, WORKER, Kept


@pytest.mark.parametrize("how", [{}, {"ecs": True}, {"console": True}, {"console": True, "colours": True}])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text(text: str | bytes, how: dict[str, Any]) -> None:
    """Whatever a service or a command says, the log has it on one line that fits and steers nothing."""
    kept = Kept(**how)
    for event, facts in (
        ("service.refused", {"source": "pid-file", "claim": text, "reason": text}),
        ("service.notified", {"process": WORKER, "notify": {"status": text, "errno": text, "ready": text}}),
        ("command.output", {"kind": "stop", "text": text}),
    ):
        kept.log.report(event, facts)
        line = kept.lines[-1]
        assert len(line) <= 4096
        assert line.count(b"\n") == 1
        if "console" in how:
            shown = re.sub(r"\x1b\[[0-9;]*m", "", line.decode()) if "colours" in how else line.decode()
            assert shown.rstrip("\n").isprintable()
            assert event in shown
        else:
            assert line.isascii()
            record = json.loads(line)
            (ECS if "ecs" in how else OTEL).validate(record)
            assert record["event.action" if "ecs" in how else "event.name"] == event


def test_a_long_line_of_output_is_kept_as_far_as_it_fits() -> None:
    """The sentence and the key share the record: each has a good third of it."""
    record = Kept().report("command.output", {"kind": "stop", "text": "y" * 9000})
    assert len(record["pyinit.command.output"]) > 1500
    assert record["pyinit.command.output"].endswith("y...")


def test_a_refused_claim_keeps_the_advice() -> None:
    """However long the claim is, the sentence still says what becomes of it and which option changes that."""
    facts = {"source": "pid-file", "claim": "/" + "x" * 9000, "reason": "is not there"}
    message = Kept().report("service.refused", facts)["message"]
    assert "x... is not there: " in message
    assert "--pid-file-timeout" in message


def test_who_the_service_is() -> None:
    """The sentence names the service, what it hangs below, who it was before, and the option."""
    kept = Kept()
    facts = {"process": WORKER, "source": "pid-file", "root": MAIN, "previous": SHELL}
    record = kept.report("service.identified", facts)
    assert record["pyinit.root"] == "nginx[7]"
    assert record["pyinit.previous"] == "sh[77]"
    assert record["message"] == (
        "the service is nginx: worker[12] below nginx[7] and no longer sh[77] (--pid-file): "
        "once main has ended, the end of nginx[7] alone decides the run"
    )
    record = kept.report("service.identified", facts | {"root": None, "previous": None})
    assert "pyinit.root" not in record
    assert "pyinit.previous" not in record
    assert "its end alone" in record["message"]


@pytest.mark.parametrize(
    ("said", "keys"),
    [
        ({"ready": "1"}, {"ready": True}),
        ({"ready": "0", "reloading": "yes", "stopping": ""}, {}),
        ({"errno": "2", "exit_status": "0"}, {"errno": 2, "exit_status": 0}),
        ({"errno": "-2", "exit_status": "256", "mainpid": "1e3"}, {}),
        ({"errno": "\u0662", "mainpid": " 7"}, {}),
        (
            {"mainpid": "0", "extend_timeout_usec": "9223372036854775807"},
            {"mainpid": 0, "extend_timeout_usec": 2**63 - 1},
        ),
        ({"extend_timeout_usec": "18446744073709551615"}, {}),
        ({"extend_timeout_usec": "9" * 10_000}, {}),
        ({"status": ""}, {"status": ""}),
        ({"watchdog": "1", "fdname": "x"}, {}),
    ],
)
def test_what_a_service_says(said: dict[str, str], keys: dict[str, Any]) -> None:
    """Known names become keys of their type; what makes no sense is left out."""
    record = Kept().report("service.notified", {"process": WORKER, "notify": said})
    OTEL.validate(record)
    assert {key: value for key, value in record.items() if ".notify." in key} == {
        f"pyinit.notify.{name}": value for name, value in keys.items()
    }


def test_what_a_service_says_for_people() -> None:
    """The sentence has all of it."""
    said = {"ready": "1", "status": "3 sites", "errno": "28", "extend_timeout_usec": "1500000", "mainpid": "41"}
    message = Kept().report("service.notified", {"process": MAIN, "notify": said})["message"]
    assert message == (
        "nginx[7] says: it is ready; its main process is PID 41; error ENOSPC; "
        "it needs 1.5 s more (--grace-max is the most); status: 3 sites"
    )


def test_commands_name_their_option() -> None:
    """A command that failed is told with what follows from it, and the option that names the command."""
    kept = Kept()
    failed = kept.report("command.started", {"kind": "stop", "process": None, "errno": 11}, "warning")
    assert failed["error.type"] == "EAGAIN"
    assert "--stop-command" in failed["message"]
    assert "signal" in failed["message"]
    ended = kept.report("command.ended", {"kind": "reload", "process": SHELL, "end": End(EXITED, 2)}, "warning")
    assert ended["pyinit.exit.status"] == ended["process.exit.code"] == 2
    assert "--reload-command" in ended["message"]
    well = kept.report("command.ended", {"kind": "reload", "process": SHELL, "end": GOOD})
    assert well["message"] == "the reload command sh[77] exited with status 0"


def test_a_stop_that_begins_with_a_command() -> None:
    """The record of the stop says whether a command comes before the signals."""
    kept = Kept()
    facts = {"reason": "signal", "signal": 15, "stop_signal": 15, "grace_s": 8.0, "command": True}
    record = kept.report("stop.begun", facts)
    assert record["pyinit.stop.command"] is True
    assert "--stop-command" in record["message"]
    assert "pyinit.stop.command" not in kept.report("stop.begun", facts | {"command": False})


def test_a_stop_that_takes_longer() -> None:
    """The record says what was asked for, what there is now, and what limits it; no number is beyond JSON."""
    kept = Kept()
    facts = {"asked_s": float("inf"), "until_s": 20.0, "limited": True}
    record = kept.report("stop.extended", facts)
    OTEL.validate(record)
    assert record["pyinit.grace_s"] == 20.0
    assert "--grace-max" in record["message"]
    assert "--grace-max" not in kept.report("stop.extended", facts | {"limited": False})["message"]
