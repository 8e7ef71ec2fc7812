"""The commands of pyinitctl and their options: one table, for the parser, help, man page and completions."""

from pyinit.option_table import Option

LEVELS = ("debug", "info", "warning", "error")


class Command:
    """One command.

    `operands` is how its operands are written, `least` and `most` how many there must and may be; `words` are those
    that the first of them can be, where it is one of few. `text` is its line in the help, at most 55 characters.
    """

    __slots__ = ("least", "most", "name", "operands", "options", "text", "words")

    def __init__(  # noqa: PLR0913, PLR0917 - a row of a table
        self,
        name: str,
        text: str,
        operands: str = "",
        least: int = 0,
        most: int = 0,
        options: "tuple[Option, ...]" = (),
        words: "tuple[str, ...]" = (),
    ) -> None:
        """Fill the row."""
        self.name = name
        self.text = text
        self.operands = operands
        self.least = least
        self.most = most
        self.options = options
        self.words = words


OPTIONS = (
    Option("pid", "pid", "number", "all", "PID", short="p"),
    Option("help", "action", "action", "all", short="h"),
    Option("version", "action", "action", "all", short="V"),
)

COMMANDS = (
    Command(
        "status",
        "show the run and every process of it",
        options=(
            Option("format", "format", "choice", "status", "FORMAT", "text", ("text", "json", "openmetrics")),
            Option("json", "format", "preset", "status", short="j", gives="json"),
            Option("watch", "watch", "switch", "status", short="w"),
        ),
    ),
    Command("health", "succeed while it is ready, or live", "[ready|live]", 0, 1, words=("ready", "live")),
    Command(
        "wait",
        "wait until it is ready, handed over, or gone",
        options=(
            Option("ready", "until", "preset", "wait", gives="ready"),
            Option("handover", "until", "preset", "wait", gives="handover"),
            Option("gone", "until", "preset", "wait", gives="gone"),
            Option("timeout", "timeout_s", "duration", "wait", "DURATION", short="t"),
        ),
    ),
    Command("stop", "stop all of it, as SIGTERM to pyinit does"),
    Command("reload", "reload the service, as SIGHUP to pyinit does"),
    Command("restart", "restart the service, where --restart was given"),
    Command("signal", "send a signal [service]", "SIG [service|main|tree|PID]", 1, 2),
    Command("log-level", "set what pyinit logs", "LEVEL", 1, 1, words=LEVELS),
    Command(
        "events",
        "show the last records of the log as JSON",
        options=(
            Option("follow", "follow", "switch", "events", short="f"),
            Option("since", "since", "since", "events", "WHEN"),
        ),
    ),
)

# What an option says in the help, by its name.
TEXTS = {
    "pid": "ask this pyinit [PID 1, or the only one that there is]",
    "format": "text, json, or openmetrics for monitoring",
    "json": "--format json",
    "watch": "show it again every two seconds",
    "ready": "until the service is ready",
    "handover": "until main has ended and successors carry on",
    "gone": "until pyinit has ended",
    "timeout": "at most so long: 8, 500ms, 1m30s",
    "follow": "go on with the records that come",
    "since": "only those since then: 10m, or 2026-11-27T16:00",
}

EXIT_STATUSES = (
    ("0", "yes, or done"),
    ("1", "no: not healthy, refused, or the time was up"),
    ("3", "no pyinit has answered (health: 1)"),
    ("125", "the command line is wrong"),
)
