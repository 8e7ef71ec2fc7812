"""What each request of the control socket is answered."""

from __future__ import annotations

import posix
import time

from pyinit import __version__, claims
from pyinit.control import children, protocol, steps
from pyinit.control.tree import Tree
from pyinit.core import actions, events
from pyinit.core.machine import HOLDING
from pyinit.core.model import AT_PROCESS, NOT_READY
from pyinit.log.parts import seconds_text
from pyinit.log.render import make_encoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from pyinit.boot import Launch
    from pyinit.control.protocol import Request
    from pyinit.control.ring import Ring
    from pyinit.core.lives import Lives
    from pyinit.core.machine import Machine
    from pyinit.core.model import Process
    from pyinit.log import Log
    from pyinit.loop import Loop

    Answer = dict[str, Any]
    # Each item is a piece of the answer, or None: there is no more until the client is woken.
    Pieces = Iterator[bytes | None]

# So many successors are named.
NAMED = 20
# Records are sent in pieces of about this size (bytes).
PIECE = 1 << 15

_encode: Callable[..., str] = make_encoder()


def line(answer: Answer) -> bytes:
    """Return an answer as a line."""
    return (_encode(answer) + "\n").encode("ascii")


def refusal(code: str, reason: str) -> bytes:
    """Return the answer that says why there is no other."""
    return line({"v": protocol.VERSION, "ok": False, "error": code, "reason": reason})


def _done(**members: object) -> Answer:
    return {"v": protocol.VERSION, "ok": True, **members}


class Answers:
    """Answers requests from what the core knows, and hands to it what changes the run."""

    def __init__(self, launch: Launch, machine: Machine | Lives, log: Log, ring: Ring, loop: Loop) -> None:
        self._launch = launch
        self._machine = machine
        self._log = log
        self._ring = ring
        self._loop = loop
        self._refused: str | None = None

    def answered(self, action: actions.Answer, now: float) -> None:
        """Take the core's answer to a request."""
        del now
        self._refused = action.refused

    def answer(self, request: Request, pid: int, uid: int) -> bytes | Pieces:
        """Answer a request of this process: the whole line, or what makes it piece by piece."""
        kind = request.kind
        if kind == protocol.HEALTH:
            return line(self._health())
        if kind == protocol.STATUS:
            return self._with_tree() if request.tree else line(self._status())
        if kind == protocol.WAIT:
            return self._wait(request.until)
        if kind == protocol.EVENTS:
            return self._events(follow=request.follow)
        if kind == protocol.LOG_LEVEL:
            return self._log_level(request.level, pid, uid)
        return self._change(request, pid, uid)

    # -- what there is ------------------------------------------------------------------------------------------

    def _health(self) -> Answer:
        machine = self._machine
        readiness = NOT_READY if machine.restart_at is not None else machine.service.readiness
        return _done(live=machine.live, ready=machine.ready, readiness=readiness, phase=machine.phase)

    def _status(self) -> Answer:
        machine, now = self._machine, time.monotonic()
        roster, service = machine.roster, machine.service
        successors = roster.successors
        answer = self._health()
        answer["since"] = _moment(machine.since, now)
        answer["since_s"] = round(now - machine.since, 3)
        if service.status:
            answer["status"] = service.status[: protocol.LONGEST]
        answer["service"] = _named(service.process)
        main = _named(roster.main)
        if main is not None:
            main["alive"] = roster.main_alive
            if roster.main_end is not None:
                main["exit_status"] = roster.main_end.status
        answer["main"] = main
        answer["successors"] = [_named(process) for process in successors[:NAMED]]
        answer["successor_count"] = len(successors)
        if machine.kill_at is not None:
            answer["kill_in_s"] = round(max(0.0, machine.kill_at - now), 3)
        if machine.restart_at is not None:
            answer["restart_in_s"] = round(max(0.0, machine.restart_at - now), 3)
        answer["restarts"] = machine.restarts
        answer["counts"] = {**machine.totals, "dropped_records": self._log.dropped}
        answer["pyinit"] = self._pyinit(now)
        return answer

    def _pyinit(self, now: float) -> Answer:
        settings, pid = self._launch.settings, posix.getpid()
        answer: Answer = {
            "pid": pid,
            "uid": posix.geteuid(),
            "version": __version__,
            "mode": "pid1" if self._launch.pid1 else "subreaper",
            "until": settings.until,
            "grace_s": settings.grace_s,
            "log_level": self._log.level,
            "started": _moment(self._machine.started_at, now),
            "uptime_s": round(now - self._machine.started_at, 3),
        }
        found = self._launch.proc.measure(pid)
        if found is not None:
            answer["cpu_s"] = round(found[1].cpu_s, 2)
            answer["memory_bytes"] = found[1].rss_bytes
        return answer

    def _with_tree(self) -> Pieces:
        """Yield the status with every descendant, a piece at a time; no more is held in memory."""
        yield from steps.pieces(self._look())  # the last one is empty, and by the next turn whoever has come is known
        yield from steps.pieces(self._status_and_tree())

    def _look(self) -> Iterator[bytes]:
        """Look, step by step, whether anybody has come whom the loop has to look at."""
        if self._launch.proc.lists_children:
            for piece in children.pieces(posix.getpid(), threads=1):
                yield b""
                self._loop.look_for(piece)
                yield b""
        else:
            self._loop.look_soon()

    def _status_and_tree(self) -> Iterator[bytes]:
        """Yield the text of the status, a process at a time, and nothing behind each other step."""
        yield (_encode(self._status())[:-1] + ',"processes":[').encode("ascii")
        comma = ""
        tree = Tree(self._launch.proc, self._machine.roster, lambda: self._machine.totals["reaped"])
        for row in tree.rows():
            yield b""
            if row is not None:
                yield (comma + _encode(row)).encode("ascii")
                comma = ","
        yield b"]}\n"

    # -- what comes ---------------------------------------------------------------------------------------------

    def _wait(self, until: str) -> Pieces:
        while (reason := self.waits_for(until)) is None:
            yield None
        if reason:
            yield refusal(protocol.REFUSED, reason)
        else:
            yield line(self._health())

    def waits_for(self, until: str) -> str | None:
        """Say whether what somebody waits for has come: None: not yet; else why it will not, empty when it has."""
        machine = self._machine
        if until == protocol.UNTIL_READY:
            if machine.ready:
                return ""
        elif machine.phase == HOLDING:
            return ""
        return "the run is being stopped" if machine.closing else None

    def _events(self, *, follow: bool) -> Pieces:
        """Yield the records that are kept, and with `follow` those that come; who is too slow for that misses some."""
        ring = self._ring
        at, end = ring.first, ring.end
        yield line(_done(records=end - at, missed=at, follow=follow))
        while True:
            while at < end:
                lines, lost = ring.since(at, PIECE)
                if lost:
                    yield line({"v": protocol.VERSION, "lost": lost})
                at += lost
                taken = lines[: max(0, end - at)] if not follow else lines
                at += len(taken)
                yield b"".join(taken)
            if not follow:
                return
            if at >= ring.end:  # nothing has come while the last piece went out
                yield None
            end = ring.end

    # -- what changes something ---------------------------------------------------------------------------------

    def _log_level(self, level: str, pid: int, uid: int) -> bytes:
        facts = {"request": "log-level", "accepted": True, "level": level, "sender_pid": pid, "sender_uid": uid}
        self._log.report("control.request", facts)
        self._log.level = level
        return line(_done(log_level=level))

    def _change(self, request: Request, pid: int, uid: int) -> bytes:
        process = None
        if request.target == AT_PROCESS:
            found = claims.locate(self._launch.proc, request.pid)
            if found.process is None:
                return refusal(protocol.REFUSED, found.reason.replace("names ", "", 1))
            process = found.process
        self._refused = "there was no answer"
        self._loop.take(
            events.Asked(request.kind, pid, uid, signo=request.signo, target=request.target, process=process)
        )
        return refusal(protocol.REFUSED, self._refused) if self._refused else line(_done(phase=self._machine.phase))


def _named(process: Process | None) -> Answer | None:
    return None if process is None else {"pid": process.pid, "name": process.name, "start_ticks": process.start_ticks}


def _moment(at: float, now: float) -> str:
    """Return a moment of the monotonic clock as RFC 3339 text, UTC, by what the wall clock says now."""
    return seconds_text(int(time.time() - (now - at))) + "Z"
