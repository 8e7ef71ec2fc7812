"""Reads the command line of pyinitctl."""

from pyinit import options, values
from pyinit.ctl.table import COMMANDS, OPTIONS
from pyinit.options import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyinit.ctl.table import Command

_PID_MAX = 2**31 - 1
_PID_DIGITS = 10
_TARGETS = ("service", "main", "tree")
_VARIABLE = b"PYINITCTL_PID"


class Words:
    """What a command line asks for.

    Attributes:
        action: "help", "version", or the name of the command.
        pid: the pyinit to ask, or 0.
        given: the texts of the command's options by their settings.
        operands: the command's operands.
        timeout_s: how long to wait, or None.
    """

    __slots__ = ("action", "given", "operands", "pid", "timeout_s")

    def __init__(self, action: str) -> None:
        self.action = action
        self.pid = 0
        self.given: dict[str, str] = {}
        self.operands: list[str] = []
        self.timeout_s: float | None = None


def parse(argv: "Sequence[str]", environ: "Mapping[bytes, bytes]") -> Words:
    """Read a command line, without the program's name. Raises UsageError, and nothing else."""
    given, rest = options.read_flags(argv, OPTIONS)
    if "action" in given:
        return Words(given["action"][1])
    if not rest:
        message = "no command given; write for example pyinitctl status, or pyinitctl --help"
        raise UsageError(message)
    command = _command(rest[0])
    words = Words(command.name)
    table = (*OPTIONS, *command.options)
    rest = rest[1:]
    while rest:
        more, rest = options.read_flags(rest, table)
        given.update(more)
        if "action" in given:
            return Words(given["action"][1])
        words.operands += rest[:1]
        rest = rest[1:]
    for option in table:
        if option.setting in given and option.choices and given[option.setting][1] not in option.choices:
            from pyinit import usage  # needed for messages only

            label, text = given[option.setting]
            reason = "none of its values; write " + " or ".join(option.choices)
            raise UsageError(usage.bad_value(option, text, label, reason))
    words.given = {setting: text for setting, (_, text) in given.items()}
    if "timeout_s" in given:
        words.timeout_s = _duration(*given["timeout_s"])
    if "pid" in given:
        words.pid = _pid(*given["pid"])
    elif environ.get(_VARIABLE):
        words.pid = _pid("PYINITCTL_PID", environ[_VARIABLE].decode("utf-8", "surrogateescape"))
    _check(command, words)
    return words


def _command(word: str) -> "Command":
    for command in COMMANDS:
        if command.name == word:
            return command
    from pyinit.ctl import texts  # needed for messages only

    raise UsageError(texts.unknown_command(word))


def _check(command: "Command", words: Words) -> None:
    """Check how many operands there are, and what they say."""
    count = len(words.operands)
    if not command.least <= count <= command.most or (command.name == "wait" and "until" not in words.given):
        from pyinit.ctl import texts  # needed for messages only

        how = "pyinitctl wait --ready, --handover or --gone" if command.name == "wait" else texts.usage_of(command)
        what = "too many operands" if count > command.most else "something is missing"
        message = f"{command.name}: {what}; write {how}"
        raise UsageError(message)
    if command.words and count and words.operands[0] not in command.words:
        from pyinit.ctl import texts  # needed for messages only

        raise UsageError(texts.bad_word(command, words.operands[0]))
    if command.name == "signal":
        try:
            values.signal(words.operands[0])
        except ValueError as error:
            from pyinit import usage  # needed for messages only

            message = f"signal: {usage.shown(words.operands[0])} is {error}"
            raise UsageError(message) from None
        if count > 1 and words.operands[1] not in _TARGETS:
            _pid("signal", words.operands[1], "write service, main, tree or a PID")


def _duration(label: str, text: str) -> float:
    try:
        return values.duration(text)
    except ValueError as error:
        from pyinit import usage  # needed for messages only

        message = f"{label}: {usage.shown(text)} is {error}"
        raise UsageError(message) from None


def _pid(label: str, text: str, hint: str = "write a number, as ps shows it") -> int:
    if text.isascii() and text.isdigit() and len(text) <= _PID_DIGITS and 0 < int(text) <= _PID_MAX:
        return int(text)
    from pyinit import usage  # needed for messages only

    message = f"{label}: {usage.shown(text)} is no PID; {hint}"
    raise UsageError(message)
