"""What records are made of: a process, an end, a signal, an error; each as keys for machines and words for people."""

from __future__ import annotations

import time
from errno import errorcode

from pyinit.core.model import KERNEL, whole_number
from pyinit.log.cut import CUT
from pyinit.signames import name as signal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from pyinit.core.model import End, Process

    Facts = Mapping[str, Any]
    Keys = dict[str, Any]

# More of a text than this, in characters, has no room in any record.
_TEXT_MAX = 4000
# A sentence quotes this much of a text that is there in full under a key.
_QUOTED_MAX = 300

# Lists of processes name this many; their last item says how many more there are.
LISTED = 20
# A sentence names this many of them.
TOLD = 5

# No number that we take has more digits.
_DIGITS_MAX = 20


class Look:
    """How processes are shown: where their start time counts from, and whether their arguments may be told.

    boot_unix_s is the time of boot in seconds since 1970, ticks_per_s the unit of start times, 0 where unknown.
    """

    __slots__ = ("boot_unix_s", "second", "show_args", "ticks_per_s", "written")

    def __init__(self, boot_unix_s: float, ticks_per_s: int, *, show_args: bool) -> None:
        self.boot_unix_s = boot_unix_s
        self.ticks_per_s = ticks_per_s
        self.show_args = show_args
        self.second = -1
        self.written = ""

    def creation_time(self, start_ticks: int) -> str:
        """Return the start time of a process as RFC 3339 text, UTC. Its resolution is one clock tick, often 10 ms."""
        micros = int((self.boot_unix_s + start_ticks / self.ticks_per_s) * 1e6)
        second = micros // 1_000_000
        if second != self.second:
            # Most processes of a storm start in the same second.
            self.written = seconds_text(second)
            self.second = second
        return f"{self.written}.{micros - second * 1_000_000:06d}Z"


def seconds_text(second: int) -> str:
    """Return whole seconds since 1970 as RFC 3339 text in UTC, without the zone."""
    year, month, day, hour, minute, second = time.gmtime(second)[:6]
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}"


def name_of(process: Process | None) -> str:
    """Return `name[pid]`."""
    return "an unknown process" if process is None else f"{process.name}[{process.pid}]"


def list_of(processes: Iterable[Process], count: int = 0, most: int = LISTED) -> list[str]:
    """Return `name[pid]` of the first processes, and how many more there are when `count` says so."""
    shown = [name_of(process) for process in processes]
    more = max(len(shown), count) - most
    if len(shown) > most:
        del shown[most:]
    else:
        more = count - len(shown)
    if more > 0:
        shown.append(f"and {more} more")
    return shown


def names_of(processes: Sequence[Process], count: int = 0) -> str:
    """Return the names of the first few processes, for a sentence."""
    return ", ".join(list_of(processes, count, TOLD))


def add_process(keys: Keys, process: Process | None, look: Look) -> None:
    """Add who the record is about, as far as it is known."""
    if process is None:
        return
    keys["process.pid"] = process.pid
    keys["process.executable.name"] = process.name
    if process.ppid:
        keys["process.parent_pid"] = process.ppid
    if process.pgid:
        keys["process.group_leader.pid"] = process.pgid
    if process.sid:
        keys["process.session_leader.pid"] = process.sid
    if process.start_ticks and look.ticks_per_s:
        keys["process.creation.time"] = look.creation_time(process.start_ticks)
    if process.uid >= 0:
        keys["process.user.id"] = process.uid
    if look.show_args and process.args:
        keys["process.command_line"] = text_of(" ".join(process.args))


def add_end(keys: Keys, end: End | None) -> str:
    """Add the keys of an end; return what happened, to follow the name of the process."""
    if end is None:
        return "ended"
    value = end.value
    if end.kind == "exited":
        keys["process.exit.code"] = value
        keys["pyinit.exit.status"] = value
        return f"exited with status {value}"
    keys["pyinit.exit.status"] = end.status
    keys["pyinit.exit.signal"] = text = signal_name(value)
    keys["pyinit.exit.signal_number"] = value
    keys["pyinit.exit.core_dumped"] = dumped = end.kind == "dumped"
    return f"was killed by {text}, core dumped" if dumped else f"was killed by {text}"


def add_signal(keys: Keys, signo: int) -> str:
    """Add a signal; return its name."""
    keys["pyinit.signal.name"] = text = signal_name(signo)
    keys["pyinit.signal.number"] = signo
    return text


def add_sender(keys: Keys, facts: Facts) -> str:
    """Add who sent a signal; return it for the sentence, with " from " before it."""
    pid = facts.get("sender_pid")
    uid = facts.get("sender_uid")
    if pid is None:
        return ""
    if pid == KERNEL:
        return " from the kernel (a terminal, or the end of a parent)"
    if uid is not None:
        keys["pyinit.signal.sender.uid"] = uid
    keys["pyinit.signal.sender.pid"] = pid
    # si_pid of a sender that our PID namespace does not contain, see sigaction(2).
    return f" from PID {pid}" if pid else " from outside of the PID namespace"


def add_client(keys: Keys, facts: Facts) -> str:
    """Add who asked through the control socket; return it for the sentence, with " by " before it."""
    pid, uid = facts.get("sender_pid", 0), facts.get("sender_uid", 0)
    keys["pyinit.control.client.pid"] = pid
    keys["pyinit.control.client.uid"] = uid
    return f" by PID {pid}, uid {uid}"


def add_errno(keys: Keys, number: int) -> str:
    """Add an error number; return its name."""
    keys["pyinit.errno"] = number
    keys["error.type"] = text = errno_name(number)
    return text


def errno_name(number: int) -> str:
    """Return the name of an error number, as errno(3) has it; `E9999` for what is none."""
    return errorcode.get(number, f"E{number}")


def text_of(value: object) -> str:
    """Return free text as it came from elsewhere, cut to what a record can hold. Bytes are taken as UTF-8."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    text = str(value)
    return text if len(text) <= _TEXT_MAX else text[:_TEXT_MAX] + CUT


def shown(text: str) -> str:
    """Return what a sentence quotes of a text, so that what the sentence says of it is not cut off."""
    return text if len(text) <= _QUOTED_MAX else text[:_QUOTED_MAX] + CUT


def number_of(value: object, most: int) -> int | None:
    """Return the whole number from 0 to `most` that a text is, or None where it is none."""
    number = whole_number(str(value), _DIGITS_MAX)
    return number if number is not None and number <= most else None


def in_seconds(value_s: float) -> str:
    """Return seconds as text, to the millisecond."""
    return f"{round(value_s, 3):g} s"
