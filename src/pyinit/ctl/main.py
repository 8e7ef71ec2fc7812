"""pyinitctl: from the command line to the answer."""

from __future__ import annotations

import _signal
import posix
import sys

from pyinit.ctl import words
from pyinit.ctl.connection import AbsentError, Connection, NoAnswerError, find
from pyinit.options import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from pyinit.ctl.words import Words

YES = 0
NO = 1
NOBODY = 3
WRONG = 125
_ENDED_BY_PIPE = 141

# So often `wait` looks whether a pyinit that has just been started listens already (milliseconds).
_TRY_AGAIN_MS = 20


def main() -> NoReturn:
    """Run pyinitctl on what the launcher hands over: a mark, nothing, the name that it was called by, and the rest."""
    run(sys.argv[3:])


def run(argv: list[str]) -> NoReturn:
    """Run pyinitctl on a command line; does not return."""
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    try:
        asked = words.parse(argv, posix.environ)
    except UsageError as error:
        _leave(f"pyinitctl: {error.message.replace('pyinit --help', 'pyinitctl --help')}\n", WRONG)
    if asked.action in {"help", "version"}:
        from pyinit.ctl import texts

        colour = posix.isatty(1) and not posix.environ.get(b"NO_COLOR")
        write(texts.version_text() if asked.action == "version" else texts.help_text(colour))
        posix._exit(YES)  # noqa: SLF001  # there is nothing that the interpreter should do first
    try:
        status = _COMMANDS[asked.action](asked)
    except NoAnswerError as error:
        _leave(f"pyinitctl: {error}\n", NO if asked.action == "health" else NOBODY)
    except TimeoutError:
        _leave("pyinitctl: no answer came in time\n", NO if asked.action in {"health", "wait"} else NOBODY)
    posix._exit(status)  # noqa: SLF001


def write(text: str | bytes, fd: int = 1) -> None:
    """Write all of a text; leave where nobody reads it."""
    data = text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text
    try:
        while data:
            data = data[posix.write(fd, data) :]
    except OSError:
        posix._exit(_ENDED_BY_PIPE)  # noqa: SLF001


def _leave(text: str, status: int) -> NoReturn:
    write(text, 2)
    posix._exit(status)  # noqa: SLF001


# -- asking ------------------------------------------------------------------------------------------------------------


def request(kind: str, **members: object) -> str:
    """Return a request as a line. Its texts come from closed lists."""
    parts = [f'{{"v":1,"request":"{kind}"']
    for name, value in members.items():
        shown = str(value).lower() if isinstance(value, (bool, int)) else f'"{value}"'
        parts.append(f',"{name}":{shown}')
    return "".join(parts) + "}"


def ask(connection: Connection, text: str) -> bytes:
    """Send a request and return its answer; leave where it is refused."""
    connection.send(text)
    answer = connection.line()
    if b'"ok":true' not in answer[:32]:
        import json  # costly, and only needed for a refusal

        told = json.loads(answer)
        if told["error"] == "forbidden":
            message = f"pyinit (PID {connection.pid}) does not answer you: {told['reason']}"
            raise NoAnswerError(message)
        _leave(f"pyinitctl: {told['reason']}\n", NO)
    return answer


def _health(asked: Words) -> int:
    """Succeed while it is ready, or live. The answer is flat and its texts are words: it needs no parser of JSON."""
    kind = asked.operands[0] if asked.operands else "ready"
    answer = ask(find(asked.pid), request("health"))
    return YES if f'"{kind}":true'.encode() in answer else NO


def _change(asked: Words) -> int:
    ask(find(asked.pid), request(asked.action))
    return YES


def _signal_sent(asked: Words) -> int:
    from pyinit import values

    target: object = asked.operands[1] if len(asked.operands) > 1 else "service"
    if isinstance(target, str) and target.isdigit():
        target = int(target)
    ask(find(asked.pid), request("signal", signal=values.signal(asked.operands[0]), target=target))
    return YES


def _log_level(asked: Words) -> int:
    ask(find(asked.pid), request("log-level", level=asked.operands[0]))
    return YES


# -- looking -----------------------------------------------------------------------------------------------------------


def _status(asked: Words) -> int:
    from pyinit.ctl import status

    return status.show(asked, find(asked.pid))


def _events(asked: Words) -> int:
    from pyinit.ctl import events

    return events.show(asked, find(asked.pid))


# -- waiting -----------------------------------------------------------------------------------------------------------


def _wait(asked: Words) -> int:
    import select
    import time

    until = None if asked.timeout_s is None else time.monotonic() + asked.timeout_s
    gone = select.poll()
    held = -1
    if asked.pid:
        try:
            held = posix.pidfd_open(asked.pid)
        except OSError:
            held = -1
    while True:
        left_s = None if until is None else max(0.0, until - time.monotonic())
        try:
            connection = find(asked.pid)
            break
        except AbsentError:
            # One that has just been started opens its socket within some hundredths of a second.
            if held < 0 or left_s == 0:
                if asked.given["until"] == "gone" and asked.pid:
                    return YES
                raise
            gone.register(held, select.POLLIN)
            if gone.poll(_TRY_AGAIN_MS):
                held = -1
    if asked.given["until"] == "gone":
        return _wait_for_end(connection, left_s)
    connection.patience(left_s or 1e-6 if left_s is not None else None)
    try:
        ask(connection, request("wait", until=asked.given["until"]))
    except TimeoutError:
        return _too_late(asked)
    return YES


def _wait_for_end(connection: Connection, left_s: float | None) -> int:
    """Wait until pyinit has ended: a pidfd says so, and where there can be none the end of the connection."""
    import select

    end = select.poll()
    try:
        end.register(posix.pidfd_open(connection.pid), select.POLLIN)
    except OSError:
        end.register(connection.fileno(), select.POLLIN)
    if end.poll(None if left_s is None else left_s * 1000):
        return YES
    write("pyinitctl: the time is up, and pyinit is there still\n", 2)
    return NO


def _too_late(asked: Words) -> int:
    what = "it is not ready" if asked.given["until"] == "ready" else "there was no handover"
    write(f"pyinitctl: the time is up, and {what}\n", 2)
    return NO


_COMMANDS = {
    "status": _status,
    "health": _health,
    "wait": _wait,
    "stop": _change,
    "reload": _change,
    "restart": _change,
    "signal": _signal_sent,
    "log-level": _log_level,
    "events": _events,
}
