"""The log: structured records, rendered by structlog, written without ever waiting for a reader.

Import this after main was started: structlog comes with it.
"""

from __future__ import annotations

import posix

from pyinit.log import records, render
from pyinit.log.forms import Forms
from pyinit.log.parts import Look
from pyinit.log.writer import Notice, Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Literal

    from pyinit.core.model import End, Usage

__all__ = ["Log", "open_log"]

# The JSON of the last word has at most so many bytes: a sentence fits beside it into the 4096 of Kubernetes.
_LAST_WORD_MAX = 3072
# The kinds of which thousands may come at once.
FORMED = ("process.adopted", "process.reaped")


def open_log(  # noqa: PLR0913  (one for each option of the command line)
    fd: int = 2,
    path: str | None = None,
    *,
    format: Literal["auto", "json", "console"] = "auto",  # noqa: A002  (named as the option is)
    level: str = "info",
    schema: Literal["otel", "ecs"] = "otel",
    reaps: bool = False,
    show_args: bool = False,
    no_color: bool = False,
    boot: tuple[float, int] = (0.0, 0),
    own_fd: bool = False,
) -> Log:
    """Return the log that writes to `fd`, or to the file `path`.

    Args:
        fd: an open descriptor; closed or negative: every record is dropped and counted.
        path: a file to append to instead; it is made where it is missing, readable for its owner and group.
        format: "auto" is "console" on a terminal and "json" elsewhere.
        level: records below this severity are not written: debug, info, warning or error.
        schema: the names of the keys, OpenTelemetry's or those of the Elastic Common Schema.
        reaps: write every reap at `info` instead of `debug`.
        show_args: tell the arguments of commands.
        no_color: no colours on a terminal (NO_COLOR in the environment says so, too).
        boot: the time of boot in seconds since 1970 and the clock ticks per second, for start times; (0, 0): unknown.
        own_fd: nobody shares the open file description of `fd`; the log closes it at the end.

    Raises:
        OSError: `path` can't be opened.
        ValueError: `level` is none of the four.

    """
    if path is not None:
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
        fd, own_fd = posix.open(path, flags, 0o640), True
    console = format == "console" or (format == "auto" and render.is_terminal(fd))
    colours = console and not no_color and render.wants_colours(fd)
    renderer = render.Renderer(console=console, colours=colours, ecs=schema == "ecs")
    look = Look(*boot, show_args=show_args)
    log = Log(renderer, Writer(fd, own_fd=own_fd), look, level=level, reaps=reaps)
    if renderer.problem is not None:
        effect = "records are the same, and rendered without structlog"
        log.report("pyinit.degraded", {"feature": "structlog", "reason": renderer.problem, "effect": effect})
    return log


class Log:
    """Takes what is reported, and writes a line for it.

    Attributes:
        reaps: every reap is written at `info` instead of `debug`.
        tap: called with each line that was rendered, written or not (bytes, with the newline); None: nobody.
        keep: the same, but always with the record as JSON.
        last_word: how the run came out (`pyinit.exited` or `spawn.failed`), as a sentence and as the line of JSON that
            says it, at most 3072 bytes with its newline; also where the level hides that record or the log is text for
            people. None before.

    """

    def __init__(
        self, renderer: render.Renderer, writer: Writer, look: Look, *, level: str = "info", reaps: bool = False
    ) -> None:
        self._renderer = renderer
        self._writer = writer
        self._look = look
        self.level = level
        self.reaps = reaps
        self.tap: Callable[[bytes], None] | None = None
        self.keep: Callable[[bytes], None] | None = None
        self.last_word: tuple[str, bytes] | None = None
        # Text for people is made one by one: a terminal takes no thousand lines a second.
        self._forms: dict[str, Forms] = {}
        if not renderer.console:
            self._forms = {event: Forms(self._maker(event), look, render.LINE_MAX) for event in FORMED}
        writer.notice = self._notice

    @property
    def level(self) -> str:
        """The least severity that is written: debug, info, warning or error. Setting another raises ValueError."""
        return self._level

    @level.setter
    def level(self, level: str) -> None:
        if level not in records.SEVERITIES:
            message = f"the log level {level!r} is none of {', '.join(records.SEVERITIES)}"
            raise ValueError(message)
        self._level = level
        self._threshold = records.SEVERITIES[level]

    @property
    def dropped(self) -> int:
        """How many records were dropped so far."""
        return self._writer.dropped

    @property
    def tells_reaps(self) -> bool:
        """Whether every reap is written, and not those alone that are told with a severity of their own."""
        return records.SEVERITIES["info" if self.reaps else "debug"] >= self._threshold

    def wants(self, severity: str) -> bool:
        """Say whether a record of this severity is written."""
        return records.SEVERITIES.get(severity, 0) >= self._threshold

    def report(self, event: str, facts: Mapping[str, Any], severity: str | None = None) -> None:
        """Queue the record of an event; see records.EVENTS for the events and docs/log-schema.md for the records.

        Never waits and never raises: what can't be made into a record becomes one of `pyinit.error`.

        Args:
            event: one of records.EVENTS.
            facts: what is known of it; missing ones are left out or "?", those that it does not know are ignored.
            severity: instead of the event's own.

        """
        try:
            self._report(event, facts, severity)
        except Exception as error:  # noqa: BLE001  (a record is not worth the life of PID 1)
            self._failed(event, error)

    def _report(self, event: str, facts: Mapping[str, Any], severity: str | None) -> None:
        severities = records.SEVERITIES
        if severity is None:
            severity = records.severity_of(event, facts)
        if severity == "debug" and self.reaps and event == "process.reaped":
            severity = "info"
        shown = severities[severity] >= self._threshold
        if event in records.LAST:
            self._end(self._record(event, facts, severity), shown=shown)
        elif shown:
            form = self._forms.get(event)
            line = form.line(facts, severity, self._renderer.stamp) if form is not None else None
            if line is None:
                self._write(self._record(event, facts, severity))
            else:
                self._put(line)

    @property
    def formed(self) -> bool:
        """Whether there are lines that only want their numbers: then `form_of_reap` may have one."""
        return bool(self._forms)

    def form_of_reap(  # noqa: PLR0913, PLR0917  # what there is to know
        self,
        name: bytes,
        numbers: tuple[int, int, int],
        end: End,
        role: str,
        escaped: tuple[str, ...],
        severity: str | None,
    ) -> bytes | None:
        """Return the form of the record of an end, for `fill`; None where it has to go to `report`.

        So it is where none like it has been written yet, or where none is to be. Of the process nothing is known but
        `numbers`, its ppid, pgid and sid: 0 or not is what a form depends on.
        """
        if severity is None:
            severity = "info" if self.reaps else "debug"
        if not self.wants(severity):
            return None
        return self._forms["process.reaped"].of_reap(name, numbers, end, role, escaped, severity)

    def fill(self, form: bytes, numbers: tuple[int, int, int, int], usage: Usage) -> None:
        """Queue the record of an end: `numbers` are pid, pgid, sid and start_ticks, not 0. Never raises."""
        try:
            self._put(self._forms["process.reaped"].filled(form, numbers, usage, self._renderer.stamp))
        except Exception as error:  # noqa: BLE001  (a record is not worth the life of PID 1)
            self._failed("process.reaped", error)

    def _maker(self, event: str) -> Callable[[Mapping[str, Any], str, str], bytes]:
        """Return what renders records of an event with a time that is given."""

        def make(facts: Mapping[str, Any], severity: str, stamp: str) -> bytes:
            return self._renderer.render({**self._record(event, facts, severity), "timestamp": stamp})

        return make

    def _end(self, record: dict[str, Any], *, shown: bool) -> None:
        """Write the record that tells how the run came out, and keep it as the last word."""
        line = b""
        if shown:
            line = self._write(record)
        if not line or self._renderer.console or len(line) > _LAST_WORD_MAX:
            line = self._renderer.as_json(record, _LAST_WORD_MAX)
        self.last_word = (record["message"], line)

    def _record(self, event: str, facts: Mapping[str, Any], severity: str) -> dict[str, Any]:
        message, record = records.EVENTS[event].build(facts, self._look)
        record["severity"] = severity
        record["message"] = message
        record["event.name"] = event
        return record

    def _write(self, record: dict[str, Any]) -> bytes:
        line = self._renderer.render(record)
        self._writer.put(line)
        self._tell(record, line)
        return line

    def _put(self, line: bytes) -> None:
        """Write a line of JSON that came of a form."""
        self._writer.put(line)
        if self.tap is not None:
            self.tap(line)
        if self.keep is not None:
            self.keep(line)

    def _tell(self, record: dict[str, Any], line: bytes) -> None:
        if self.tap is not None:
            self.tap(line)
        if self.keep is not None:
            self.keep(self._renderer.as_json(record, render.LINE_MAX) if self._renderer.console else line)

    def say(self, text: str) -> None:
        """Write a line of text that is no record, as the programs say it whose place pyinit takes. Never raises."""
        self._writer.put(text.encode("utf-8", "surrogateescape"))

    def _failed(self, event: str, error: Exception) -> None:
        """Write that a record could not be made. When even this fails (no memory), it counts as dropped."""
        try:
            facts = {"where": f"log: {event}", "error": f"{type(error).__name__}: {error}"}
            self._write(self._record("pyinit.error", facts, "error"))
        except Exception:  # noqa: BLE001
            self._writer.dropped += 1
            self._writer.untold += 1

    def _notice(self, count: int) -> Notice:
        record = self._record("log.dropped", {"count": count}, "warning")
        notice = Notice(self._renderer.render(record))
        notice.told = count
        self._tell(record, notice)
        return notice

    @property
    def waiting(self) -> bool:
        """Whether there is something to write, for want of a full batch or of a reader."""
        return self._writer.waiting

    def pending_fd(self) -> int | None:
        """Write what is queued; return the descriptor to watch for POLLOUT while something is left, else None.

        To be called before each wait of the loop. Never waits.
        """
        return self._writer.pending_fd()

    def flush(self) -> None:
        """Write what is queued, as far as it goes without waiting."""
        self._writer.flush()

    def close(self, max_wait_s: float) -> None:
        """Write what is queued, waiting for at most so many seconds, and only while the reader takes something."""
        self._writer.close(max_wait_s)
