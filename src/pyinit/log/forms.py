"""Lines of the records that come by the thousand: structlog makes what they have in common once, and it is kept."""

from __future__ import annotations

from pyinit.core.model import Process, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from typing import Any

    from pyinit.core.model import End
    from pyinit.log.parts import Facts, Look

    Make = Callable[[Mapping[str, Any], str, str], bytes]

# So many forms are kept; then all are forgotten: names are free text, and whoever has brought so many brings more.
KEPT = 256
# And the texts of so many times that processes have used: those of a storm are a few hundred microseconds.
_TIMES = 512
# The numbers of one line may have so many digits more than those of another.
_ROOM = 128


class Forms:
    """Renders records of one kind, process.adopted or process.reaped, that differ in a few numbers and times.

    A form is a line as structlog has made it, with places for what differs. The places are found by marks in the facts
    that it was made of. It is made twice, of different marks, and used only where both times the same comes out: then
    nothing else in the line, a name say, can have been taken for a mark. It is made when a second record wants it.
    """

    def __init__(self, make: Make, look: Look, most: int) -> None:
        """Keep forms of lines of at most `most` bytes; `make` renders facts with a severity and a time."""
        self._make = make
        self._look = look
        self._most = most - _ROOM
        self._forms: dict[Hashable, bytes | None] = {}
        self._times: dict[float, bytes] = {}
        self._ticks = 0
        self._created = b""

    def line(self, facts: Facts, severity: str, stamp: bytes) -> bytes | None:
        """Return the line of a record at the time `stamp`, or None: then it is to be rendered as all others are."""
        process, usage = facts.get("process"), facts.get("usage")
        if process is None:
            return None
        pid, pgid, sid, ticks = process.pid, process.pgid, process.sid, process.start_ticks
        if not (pgid and sid and ticks) or (process.args and self._look.show_args):
            return None
        end = facts.get("end")
        key = (
            severity,
            facts.get("role"),
            facts.get("escaped"),
            process.name,
            process.foreign,
            process.uid,
            process.ppid,
            usage is None,
            end is not None and (end.kind, end.value, facts.get("oom_killed")),
        )
        form = self._forms.get(key)
        if form is None:
            form = self._new(key, facts, severity)
            if form is None:
                return None
        if usage is not None:
            return self.filled(form, (pid, pgid, sid, ticks), usage, stamp)
        return form % (stamp, pid, pid, pgid, sid, self._born(ticks))

    def of_reap(  # noqa: PLR0913, PLR0917  # what there is to know
        self, name: bytes, ppid: int, end: End, role: str, escaped: tuple[str, ...], severity: str
    ) -> bytes | None:
        """Return the form of such a record of a reap if there is one already: of somebody of whom no more is known."""
        text = name.decode("utf-8", "backslashreplace")
        return self._forms.get((severity, role, escaped, text, False, -1, ppid, False, (end.kind, end.value, None)))

    def filled(self, form: bytes, numbers: tuple[int, int, int, int], usage: Usage, stamp: bytes) -> bytes:
        """Return the line of a record of a reap; `numbers` are pid, pgid, sid and start_ticks, none of them 0."""
        pid, pgid, sid, ticks = numbers
        user, system = self._seconds(usage.user_s), self._seconds(usage.system_s)
        return form % (stamp, pid, pid, pgid, sid, self._born(ticks), user, system, usage.max_rss_bytes)

    def _born(self, ticks: int) -> bytes:
        if ticks != self._ticks:
            # Those that a storm brings start by the dozen within one tick.
            self._ticks, self._created = ticks, self._look.creation_time(ticks).encode()
        return self._created

    def _seconds(self, seconds: float) -> bytes:
        text = self._times.get(seconds)
        if text is None:
            if len(self._times) >= _TIMES:
                self._times.clear()
            text = self._times[seconds] = b"%a" % (seconds and round(seconds, 6))
        return text

    def _new(self, key: Hashable, facts: Facts, severity: str) -> bytes | None:
        """Make a form, when it is wanted for the second time; None where there can be none."""
        if key not in self._forms:
            if len(self._forms) >= KEPT:
                self._forms.clear()
            self._forms[key] = None
            return None
        form = self._marked(facts, severity, 1)
        if form != self._marked(facts, severity, 2):
            form = None
        self._forms[key] = form
        return form

    def _marked(self, facts: Facts, severity: str, mark: int) -> bytes | None:
        """Make a line of facts with marks in the place of what differs, and the form of it; None where it has none."""
        known = facts["process"]
        # No two marks have as many digits and begin alike, so that none is found in another.
        pid, pgid, sid, rss = (number * 10**12 + mark for number in (3, 4, 5, 6))
        user_s, system_s = mark + 7e6 + 0.5, mark + 8e6 + 0.5
        ticks, stamp = 10**9 + mark, f"time {mark}"
        process = Process(pid, ppid=known.ppid, pgid=pgid, sid=sid, start_ticks=ticks, name=known.name, uid=known.uid)
        process.foreign = known.foreign
        marked = {**facts, "process": process}
        places: list[tuple[object, bytes]] = [(stamp, b"%b"), (pid, b"%d"), (pid, b"%d"), (pgid, b"%d"), (sid, b"%d")]
        places.append((self._look.creation_time(ticks), b"%b"))
        if facts.get("usage") is not None:
            marked["usage"] = Usage(user_s, system_s, rss)
            places += [(user_s, b"%b"), (system_s, b"%b"), (rss, b"%d")]
        rest = self._make(marked, severity, stamp).replace(b"%", b"%%")
        if len(rest) > self._most:
            return None
        form = b""
        for text, place in places:
            before, found, rest = rest.partition(str(text).encode())
            if not found:
                return None
            form += before + place
        return form + rest
