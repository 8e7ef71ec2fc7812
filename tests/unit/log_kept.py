"""A log whose lines are kept, the schemas to check them by, and processes to tell of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jsonschema_rs import Draft202012Validator

from pyinit.core.model import EXITED, KILLED, End, Process
from pyinit.log import Log, schema
from pyinit.log.parts import Look
from pyinit.log.render import Renderer
from pyinit.log.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Mapping

MAIN = Process(7, ppid=1, pgid=7, sid=7, start_ticks=1234, name="nginx", uid=0, args=("nginx", "-g", "secret"))
WORKER = Process(12, ppid=1, pgid=12, sid=12, start_ticks=1300, name="nginx: worker", uid=33)
STRANGER = Process(40, name="sh", foreign=True)
SHELL = Process(77, ppid=1, pgid=77, sid=77, start_ticks=1500, name="sh", uid=0)
BAD = End(KILLED, 9)
GOOD = End(EXITED, 0)

OTEL = Draft202012Validator(schema.load())
ECS = Draft202012Validator(schema.load("ecs"))


class Kept:
    """A log whose lines are kept."""

    def __init__(self, *, console: bool = False, colours: bool = False, ecs: bool = False, **how: Any) -> None:
        self.lines: list[bytes] = []
        look = Look(1_790_000_000.25, 100, show_args=how.pop("show_args", False))
        how.setdefault("level", "debug")
        self.log = Log(Renderer(console=console, colours=colours, ecs=ecs), Writer(-1), look, **how)
        self.log.tap = self.lines.append

    def report(self, event: str, facts: Mapping[str, Any], severity: str | None = None) -> dict[str, Any]:
        """Report an event; return its record."""
        self.log.report(event, facts, severity)
        record: dict[str, Any] = json.loads(self.lines[-1])
        return record


# What a service or a command may say to do harm: much, lines, terminal codes, no text at all.
HOSTILE: dict[str, str | bytes] = {
    "10 kB": "x" * 10_240,
    "10 kB of bytes": b"\xff" * 10_240,
    "NUL": "a\0b",
    "newlines": "a\r\nb\n",
    "escapes": "\x1b]0;title\x07\x1b[2J\x9b31m",
    "surrogates": "\ud800\udcff\udfff",
    "bidi": "\u202egnp.exe\u2066",
    "quotes": '"\\' * 3000,
    "emoji": "\U0001f600" * 2000,
}
