"""Lines of the records that come by the thousand: structlog makes what they have in common once, and it is kept."""

from __future__ import annotations

from pyinit.core.model import Process, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from typing import Any

    from pyinit.core.model import End
    from pyinit.log.parts import Facts, Look
    from pyinit.log.render import Stamp

    Make = Callable[[Mapping[str, Any], str, str], bytes]

# So many forms are kept; then all are forgotten: names are free text, and whoever has brought so many brings more.
KEPT = 256
# And the texts of so many times that processes have used: those of a storm are a few hundred microseconds.
_TIMES = 512
# The time of a record: whole seconds as text, and microseconds.
_TIME = b"%b.%06dZ"
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

    def line(self, facts: Facts, severity: str, stamp: Stamp) -> bytes | None:
        """Return the line of a record of now, or None: then it is to be rendered as all others are."""
        process, usage = facts.get("process"), facts.get("usage")
        if process is None:
            return None
        pid, pgid, sid, ticks = process.pid, process.pgid, process.sid, process.start_ticks
        if not ticks or (process.args and self._look.show_args):
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
            not pgid,
            not sid,
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
        return form % (*stamp.parts(), pid, pid, pgid, sid, self._born(ticks))

    def of_reap(  # noqa: PLR0913, PLR0917  # what there is to know
        self,
        name: bytes,
        numbers: tuple[int, int, int],
        end: End,
        role: str,
        escaped: tuple[str, ...],
        severity: str,
    ) -> bytes | None:
        """Return the form of such a record of a reap if there is one already: of somebody of whom no more is known.

        `numbers` are ppid, pgid and sid.
        """
        text = name.decode("utf-8", "backslashreplace")
        ppid, pgid, sid = numbers
        how = end.kind, end.value, None
        return self._forms.get((severity, role, escaped, text, False, -1, ppid, not pgid, not sid, False, how))

    def filled(self, form: bytes, numbers: tuple[int, int, int, int], usage: Usage, stamp: Stamp) -> bytes:
        """Return the line of a record of a reap of now; `numbers` are pid, pgid, sid and start_ticks, not 0.

        A form that was made without a process group or a session shows none.
        """
        pid, pgid, sid, ticks = numbers
        # Without calls where it goes: a storm comes through here for each of thousands.
        times = self._times
        user = times.get(usage.user_s) or self._seconds(usage.user_s)
        system = times.get(usage.system_s) or self._seconds(usage.system_s)
        created = self._created if ticks == self._ticks else self._born(ticks)
        return form % (*stamp.parts(), pid, pid, pgid, sid, created, user, system, usage.max_rss_bytes)

    def _born(self, ticks: int) -> bytes:
        if ticks != self._ticks:
            # Those that a storm brings start by the dozen within one tick.
            self._ticks, self._created = ticks, self._look.creation_time(ticks).encode()
        return self._created

    def _seconds(self, seconds: float) -> bytes:
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
        pgid, sid = known.pgid and pgid, known.sid and sid
        user_s, system_s = mark + 7e6 + 0.5, mark + 8e6 + 0.5
        ticks, stamp = 10**9 + mark, f"time {mark}"
        process = Process(pid, ppid=known.ppid, pgid=pgid, sid=sid, start_ticks=ticks, name=known.name, uid=known.uid)
        process.foreign = known.foreign
        marked = {**facts, "process": process}
        places: list[tuple[object, bytes]] = [(stamp, _TIME), (pid, b"%d"), (pid, b"%d")]
        # Where there is none (0: the leader is in no PID namespace that we see) no key is there, and nothing is shown.
        places += [(number or None, b"%d" if number else b"%.0a") for number in (pgid, sid)]
        places.append((self._look.creation_time(ticks), b"%b"))
        if facts.get("usage") is not None:
            marked["usage"] = Usage(user_s, system_s, rss)
            places += [(user_s, b"%b"), (system_s, b"%b"), (rss, b"%d")]
        rest = self._make(marked, severity, stamp).replace(b"%", b"%%")
        if len(rest) > self._most:
            return None
        form = b""
        for text, place in places:
            if text is not None:
                before, found, rest = rest.partition(str(text).encode())
                if not found:
                    return None
                form += before
            form += place
        return form + rest
