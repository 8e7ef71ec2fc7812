"""The requests of the control socket: from a line of JSON to what is asked for. docs/control.md describes them."""

from __future__ import annotations

from pyinit import signames
from pyinit.core.model import (
    ASKED_RELOAD,
    ASKED_RESTART,
    ASKED_SIGNAL,
    ASKED_STOP,
    AT_MAIN,
    AT_PROCESS,
    AT_SERVICE,
    AT_TREE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

VERSION = 1
# The longest request, in bytes, without its newline.
LONGEST = 4096

STATUS = "status"
HEALTH = "health"
WAIT = "wait"
EVENTS = "events"
LOG_LEVEL = "log-level"
# What changes the run, and is decided in the core.
CHANGES = (ASKED_STOP, ASKED_RELOAD, ASKED_SIGNAL, ASKED_RESTART)
REQUESTS = (STATUS, HEALTH, WAIT, EVENTS, LOG_LEVEL, *CHANGES)

UNTIL_READY = "ready"
UNTIL_HANDOVER = "handover"
LEVELS = ("debug", "info", "warning", "error")
_TARGETS = (AT_SERVICE, AT_MAIN, AT_TREE)
_SIGNAL_MAX = 64
_PID_MAX = 2**31 - 1
_SHOWN_MAX = 60
_BLANKS = " \t\n\r"

# What a request may have besides its version and its name.
_MEMBERS: dict[str, tuple[str, ...]] = {
    STATUS: ("tree",),
    WAIT: ("until",),
    EVENTS: ("follow",),
    LOG_LEVEL: ("level",),
    ASKED_SIGNAL: ("signal", "target"),
}

# Why there is no answer but this.
BAD_REQUEST = "bad-request"
BAD_VERSION = "bad-version"
FORBIDDEN = "forbidden"
REFUSED = "refused"
FAILED = "failed"


class RequestError(Exception):
    """The line is no request; `code` is BAD_REQUEST or BAD_VERSION, the message one line that says what to write."""

    def __init__(self, message: str, code: str = BAD_REQUEST) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class Request:
    """One request.

    Attributes:
        kind: one of REQUESTS.
        tree: STATUS: tell every descendant.
        until: WAIT: UNTIL_READY or UNTIL_HANDOVER.
        follow: EVENTS: go on with those that come.
        level: LOG_LEVEL: one of LEVELS.
        signo: ASKED_SIGNAL: the signal's number.
        target: ASKED_SIGNAL: AT_SERVICE, AT_MAIN, AT_TREE or AT_PROCESS.
        pid: the process of AT_PROCESS.
    """

    __slots__ = ("follow", "kind", "level", "pid", "signo", "target", "tree", "until")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.tree = False
        self.until = ""
        self.follow = False
        self.level = ""
        self.signo = 0
        self.target = ""
        self.pid = 0


def make_decoder() -> Callable[[str], Any]:
    """Return what reads JSON as `json.loads` does, and raises ValueError or RecursionError.

    It does without the package json where that has an accelerator: the package loads regular expressions, and with the
    first client that would be four fifths of what is loaded, some 10 ms in which signals wait.
    """
    try:
        from _json import make_scanner as accelerator

        scan = accelerator(_Decoder)  # type: ignore[arg-type]  # it looks at nothing but what that has
        if scan('{"a":["\\u007f",1,0.5,true,null]}', 0)[0] == {"a": ["\x7f", 1, 0.5, True, None]}:
            return lambda text: _decode(scan, text)
    except Exception:  # noqa: BLE001, S110  (no accelerator, or another one; nothing but time is lost)
        pass
    return _decode_slowly


class _Decoder:
    """What the accelerator asks of a json.JSONDecoder that was told nothing."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def _decode(scan: Callable[[str, int], tuple[Any, int]], text: str) -> Any:  # noqa: ANN401  # whatever JSON can say
    text = text.strip(_BLANKS)
    try:
        value, end = scan(text, 0)
    except (StopIteration, SystemError):  # the last one where it looks for json's exception in vain
        end = -1
    if end != len(text):
        message = "not JSON"
        raise ValueError(message)
    return value


def _decode_slowly(text: str) -> Any:  # noqa: ANN401
    from json import loads

    return loads(text)


_loads = make_decoder()


def parse(line: bytes) -> Request:
    """Read a request, a line without its newline. Raises RequestError, and nothing else."""
    try:
        data = _loads(line.decode("utf-8"))
    except (ValueError, RecursionError, MemoryError, ImportError):
        message = 'not a line of JSON; write for example {"v":1,"request":"status"}'
        raise RequestError(message) from None
    if not isinstance(data, dict):
        message = 'not an object; write for example {"v":1,"request":"status"}'
        raise RequestError(message)
    version = data.pop("v", None)
    if isinstance(version, bool) or not isinstance(version, int) or version != VERSION:
        message = f"the version v is {_shown(version)}; this pyinit speaks {VERSION}"
        raise RequestError(message, BAD_VERSION)
    kind = data.pop("request", None)
    if not isinstance(kind, str) or kind not in REQUESTS:
        message = f"the request is {_shown(kind)}; write one of {', '.join(REQUESTS)}"
        raise RequestError(message)
    for name in data:
        if name not in _MEMBERS.get(kind, ()):
            message = f"{kind} has no member {_shown(name)}"
            raise RequestError(message)
    request = Request(kind)
    request.tree = _truth(data, "tree")
    request.follow = _truth(data, "follow")
    if kind == WAIT:
        request.until = _choice(data, "until", (UNTIL_READY, UNTIL_HANDOVER))
    elif kind == LOG_LEVEL:
        request.level = _choice(data, "level", LEVELS)
    elif kind == ASKED_SIGNAL:
        request.signo = _signal(data.get("signal"))
        request.target, request.pid = _target(data.get("target", AT_SERVICE))
    return request


def _truth(data: dict[str, Any], name: str) -> bool:
    value = data.get(name, False)
    if not isinstance(value, bool):
        message = f"{name} is {_shown(value)}; write true or false"
        raise RequestError(message)
    return value


def _choice(data: dict[str, Any], name: str, choices: tuple[str, ...]) -> str:
    value = data.get(name)
    if not isinstance(value, str) or value not in choices:
        message = f"{name} is {_shown(value)}; write one of {', '.join(choices)}"
        raise RequestError(message)
    return value


def _signal(value: object) -> int:
    """Return the number of a signal that is given by its name or its number."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _SIGNAL_MAX:
        return value
    try:
        return signames.number(value if isinstance(value, str) and len(value) <= _SHOWN_MAX else "")
    except ValueError:
        message = f"signal is {_shown(value)}; write a name or a number, for example HUP"
        raise RequestError(message) from None


def _target(value: object) -> tuple[str, int]:
    """Return whom a signal is for, and the PID where it is a process."""
    if isinstance(value, str) and value in _TARGETS:
        return value, 0
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _PID_MAX:
        return AT_PROCESS, value
    message = f"target is {_shown(value)}; write {', '.join(_TARGETS)} or a PID"
    raise RequestError(message)


def _shown(value: object) -> str:
    """Return what somebody wrote, short and printable."""
    text = ascii(value) if isinstance(value, (str, int, float, type(None))) else type(value).__name__
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "..."
