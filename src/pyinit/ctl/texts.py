"""What people read about pyinitctl: --help, --version, what is wrong with a command line. Loaded only to be read."""

from pyinit import __version__, usage
from pyinit.ctl.table import COMMANDS, EXIT_STATUSES, OPTIONS, TEXTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.ctl.table import Command
    from pyinit.option_table import Option

_LEFT = 25
_STATUS_LEFT = 9
_VARIABLE = "PYINITCTL_PID does what --pid does. NO_COLOR keeps colours away."


def version_text() -> str:
    """Return the text of --version with its last newline."""
    return f"pyinitctl {__version__}\n"


def help_text(colour: bool = False) -> str:  # noqa: FBT001, FBT002 - callers name it
    """Return the text of --help with its last newline; `colour` makes headings bold."""

    def heading(title: str) -> list[str]:
        return ["", f"\033[1m{title}\033[0m" if colour else title]

    lines = [
        "Usage: pyinitctl [--pid PID] COMMAND [OPTIONS]",
        "Ask the pyinit of this container what runs, and have it do something.",
        *heading("Commands"),
    ]
    for command in COMMANDS:
        lines += row(f"{command.name} {command.operands}".rstrip(), command.text)
        lines += [line for option in command.options for line in row("  " + usage.invocation(option), _text_of(option))]
    lines += heading("Options")
    for option in OPTIONS:
        if option.kind != "action":
            lines += row(usage.invocation(option), _text_of(option))
    about = [usage.invocation(option) for option in OPTIONS if option.kind == "action"]
    lines += row("   ".join(about), "show it and leave")
    lines += [*heading("Variables"), "  " + _VARIABLE, *heading("Exit status")]
    lines += [f"  {status.ljust(_STATUS_LEFT - 2)}{text}" for status, text in EXIT_STATUSES]
    return "\n".join(lines) + "\n"


def row(left: str, right: str) -> list[str]:
    """Return the line, or the two lines, of one thing and what it is."""
    first = f"  {left}"
    if len(first) + 2 > _LEFT:
        return [first, " " * _LEFT + right]
    return [first.ljust(_LEFT) + right]


def _text_of(option: "Option") -> str:
    default = f" [{option.default}]" if option.default else ""
    return TEXTS[option.name] + default


def unknown_command(word: str) -> str:
    """Return the message for a command that there is not."""
    names = [command.name for command in COMMANDS]
    near = usage.suggest(word, names)
    hint = f"did you mean {near}?" if near else f"write one of {', '.join(names)}"
    return f"unknown command {usage.shown(word)}; {hint}"


def usage_of(command: "Command") -> str:
    """Return how a command is written."""
    options = " [OPTIONS]" if command.options else ""
    operands = f" {command.operands}" if command.operands else ""
    return f"pyinitctl {command.name}{options}{operands}"


def bad_word(command: "Command", word: str) -> str:
    """Return the message for an operand that is none of those that there are."""
    near = usage.suggest(word, command.words)
    hint = f" (did you mean {near}?)" if near else ""
    return f"{command.name}: {usage.shown(word)} is none of {', '.join(command.words)}{hint}"
