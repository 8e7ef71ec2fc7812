"""Turns a record into one line, with structlog: JSON for machines, text for people."""

from __future__ import annotations

import posix
from time import time_ns

from pyinit.log import records
from pyinit.log.cut import cut
from pyinit.log.loading import load_structlog
from pyinit.log.parts import seconds_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from typing import Any

    EventDict = MutableMapping[str, Any]
    Processor = Callable[[Any, str, EventDict], Any]
    # BoundLoggerBase, JSONRenderer or ConsoleRenderer: structlog moved or retyped each of them between its versions.
    Factory = Callable[..., Any]

# No line is longer than this, newline included, in bytes: then it goes through a pipe in one piece (pipe(7)).
LINE_MAX = 4096

# How many bytes each text of a record may take when the record does not fit: tried one after the other.
_BUDGETS = (4096, 2048, 1536, 1024, 512, 256, 128, 64)

# The order of the keys that every record begins with, and the version of the schema.
_CONTEXT = dict.fromkeys(records.COMMON) | {"pyinit.schema": records.SCHEMA}

# What json.encoder.JSONEncoder hands to its accelerator, behind no memory for cycles, repr for strangers, and ASCII: no
# indent, the separators, and then: keys unsorted, none skipped, NaN allowed.
_ENCODER = (None, ":", ",", False, False, True)

# The names of the Elastic Common Schema; what is not here keeps its name. This is the only place that knows them.
ECS_VERSION = "8.11.0"
ECS_NAMES = {
    "timestamp": "@timestamp",
    "severity": "log.level",
    "event.name": "event.action",
    "process.executable.name": "process.name",
    "process.command": "process.name",
    "process.parent_pid": "process.parent.pid",
    "process.creation.time": "process.start",
    "process.exit.code": "process.exit_code",
}


class Renderer:
    """Renders records as lines of bytes, with their newline at most LINE_MAX long.

    Attributes:
        problem: why structlog could not be loaded, or None; then the same records come out without it.
        console: the lines are text for people.
        stamp: the time of a record.

    """

    def __init__(self, *, console: bool, colours: bool = False, ecs: bool = False) -> None:
        """Load structlog and set up its chain of processors.

        Args:
            console: text for people instead of JSON.
            colours: with the colours of a terminal; only for `console`.
            ecs: JSON with the names of the Elastic Common Schema; with `console` it is only for `as_json`.

        """
        self.problem: str | None = None
        self.console = console
        self._ecs = ecs
        self._as_json: Factory | None = None
        try:
            bound_logger, make_renderer = load_structlog(console=console)
        except Exception as error:  # noqa: BLE001  (not there, no descriptor or memory left: PID 1 keeps its log)
            self.problem = f"{type(error).__name__}: {error}"
            bound_logger, make_renderer = WithoutStructlog, make_without_structlog
        self.stamp = Stamp()
        chain: list[Processor] = [self.stamp]
        if console:
            # The name of the first parameter changed over the years, its place did not: the width of the sentence.
            chain += [for_people, make_renderer(0, colours)]
        elif ecs:
            chain += [to_ecs, make_renderer(serializer=make_encoder(), default=repr)]
        else:
            chain.append(make_renderer(serializer=make_encoder(), default=repr))
        # Bound once: what differs between two records goes in with each call. structlog documents this method for
        # wrappers; the public ones would look up a method of an output logger by name, and we have no output logger.
        self._process = bound_logger(None, chain, _CONTEXT)._process_event  # noqa: SLF001

    def render(self, record: dict[str, Any]) -> bytes:
        """Return the line of a record (`severity`, `message`, `event.name` and its own keys).

        What is too long is cut, visibly; what JSON can't say is replaced, visibly.
        """
        return _fitting(self._process, record, LINE_MAX)

    def as_json(self, record: dict[str, Any], most: int) -> bytes:
        """Return the line of a record as JSON, at most `most` bytes long, also where the log is text for people."""
        if self._as_json is None:
            self._as_json = self._process
            if self.console:
                # To load the other half of structlog for this is not worth it.
                chain: list[Processor] = [Stamp(), *([to_ecs] if self._ecs else ())]
                chain.append(make_without_structlog(serializer=make_encoder()))
                self._as_json = WithoutStructlog(None, chain, _CONTEXT)._process_event  # noqa: SLF001
        return _fitting(self._as_json, record, most)


def _fitting(process: Factory, record: dict[str, Any], most: int) -> bytes:
    """Return the line of a record, its texts cut until it has at most `most` bytes."""
    line = _line(process, record)
    if len(line) > most or b"\\ud" in line:
        for budget in _BUDGETS:
            line = _line(process, cut(record, budget))
            if len(line) <= most:
                break
    return line


def _line(process: Factory, record: dict[str, Any]) -> bytes:
    (line,), _ = process(record["severity"], None, record)
    return (line + "\n").encode("utf-8", "backslashreplace")  # type: ignore[no-any-return]


# -- processors ------------------------------------------------------------------------------------------------------


class Stamp:
    """Adds the time, unless it is there: RFC 3339, UTC, microseconds. structlog's TimeStamper takes five times as long.

    One is there where a form is made (pyinit.log.forms).
    """

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = b""

    def __call__(self, _: object, __: str, event_dict: EventDict) -> EventDict:
        """See structlog's documentation of processors."""
        if event_dict["timestamp"] is None:
            event_dict["timestamp"] = self.now()
        return event_dict

    def now(self) -> str:
        """Return the time."""
        text, micros = self.parts()
        return f"{text.decode()}.{micros:06d}Z"

    def parts(self) -> tuple[bytes, int]:
        """Return the time as the text of its whole seconds, without the zone, and its microseconds."""
        second, nanos = divmod(time_ns(), 1_000_000_000)
        if second != self._second:
            self._text = seconds_text(second).encode()
            self._second = second
        return self._text, nanos // 1000


def to_ecs(_: object, __: str, event_dict: EventDict) -> EventDict:
    """Rename for the Elastic Common Schema."""
    renamed: EventDict = {ECS_NAMES.get(key, key): value for key, value in event_dict.items()}
    renamed["ecs.version"] = ECS_VERSION
    return renamed


def for_people(_: object, __: str, event_dict: EventDict) -> EventDict:
    """Keep what a person reads: time, severity, the sentence, and the event's name to look it up by."""
    return {
        "timestamp": event_dict["timestamp"],
        "level": event_dict["severity"],
        "event": printable(event_dict["message"]),
        "event.name": event_dict["event.name"],
    }


def printable(text: str) -> str:
    """Return the text with everything escaped that could steer a terminal: a process may be called anything."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def make_encoder() -> Callable[..., str]:
    """Return a `json.dumps` that does not set itself up anew with each call: ASCII only, no blanks.

    ASCII, because a raw C1 control character in the name of a process steers some terminals.
    """
    try:
        # The accelerator that JSONEncoder.encode makes for each call; here it is made once. The package around it has a
        # decoder, which loads regular expressions.
        from _json import encode_basestring_ascii
        from _json import make_encoder as accelerator

        chunks = accelerator(None, repr, encode_basestring_ascii, *_ENCODER)
        if "".join(chunks({"a": ["\x7f", 1, 0.5, True, None]}, 0)) == '{"a":["\\u007f",1,0.5,true,null]}':
            return lambda record, **_: "".join(chunks(record, 0))
    except Exception:  # noqa: BLE001, S110  (no accelerator, or another one; nothing but speed is lost)
        pass
    import json.encoder

    encode = json.encoder.JSONEncoder(separators=(",", ":"), default=repr, check_circular=False).encode
    return lambda record, **_: encode(record)


# -- without structlog ----------------------------------------------------------------------------------------------


class WithoutStructlog:
    """Runs the chain of processors where structlog can't be loaded."""

    def __init__(self, logger: None, chain: list[Processor], context: dict[str, Any]) -> None:
        self._logger = logger
        self._chain = chain
        self._context = context

    def _process_event(self, method: str, _: None, record: dict[str, Any]) -> tuple[tuple[str], dict[str, Any]]:
        event_dict: Any = self._context | record
        for processor in self._chain:
            event_dict = processor(self._logger, method, event_dict)
        return (event_dict,), {}


def make_without_structlog(*_: object, serializer: Callable[..., str] | None = None, **__: object) -> Processor:
    """Return what stands in for structlog's JSONRenderer, and without a serializer for its ConsoleRenderer."""
    if serializer is None:
        return lambda _, method, event_dict: f"{event_dict['timestamp']} [{method}] {event_dict['event']}"
    return lambda _, __, event_dict: serializer(event_dict)


# -- terminals -------------------------------------------------------------------------------------------------------


def wants_colours(fd: int) -> bool:
    """Say whether text on this terminal is to be coloured: not with NO_COLOR (no-color.org) or a dumb terminal."""
    environ = posix.environ
    return is_terminal(fd) and not environ.get(b"NO_COLOR") and environ.get(b"TERM") != b"dumb"


def is_terminal(fd: int) -> bool:
    """Say whether `fd` is an open terminal."""
    return fd >= 0 and posix.isatty(fd)
