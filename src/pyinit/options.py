"""The command line of pyinit: one table of options, and the parser that reads it.

This runs before the command is started, so it imports next to nothing: what people read (the texts
of --help, suggestions) is in `pyinit.usage`, which is loaded only when somebody is to read it.
"""

from pyinit import values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

VARIABLE_PREFIX = "PYINIT_"
_VARIABLE_PREFIX_BYTES = b"PYINIT_"

FLAG = "flag"
VARIABLE = "variable"
DEFAULT = "default"


class UsageError(Exception):
    """The command line or a variable is wrong; the message is one printable line that says how."""

    def __init__(self, message: str) -> None:
        """Keep the message; it has neither `pyinit:` in front nor a newline at its end."""
        super().__init__(message)
        self.message = message


class Option:
    """One row of the table.

    `name` is the long option without dashes, `setting` the attribute of Settings that it sets.
    `kind` says how its text becomes a value: "choice", "duration", "signal", "statuses", "path",
    "switch" (takes no value, has a --no- form) or "action" (takes no value, ends the parsing, has
    no variable). `default` is text as one would write it; None is no value.
    """

    __slots__ = ("choices", "default", "group", "kind", "metavar", "name", "setting", "short")

    def __init__(  # noqa: PLR0913, PLR0917 - a row of a table
        self,
        name: str,
        setting: str,
        kind: str,
        group: str,
        metavar: str = "",
        default: "str | None" = None,
        choices: "tuple[str, ...]" = (),
        short: str = "",
    ) -> None:
        """Fill the row; `metavar` stands for the value in texts."""
        self.name = name
        self.setting = setting
        self.kind = kind
        self.group = group
        self.metavar = metavar
        self.default = default
        self.choices = choices
        self.short = short

    @property
    def takes_value(self) -> bool:
        """Whether a value follows the option."""
        return self.kind not in ("switch", "action")

    @property
    def repeatable(self) -> bool:
        """Whether values add up when the option is given again; otherwise the last one wins."""
        return self.kind == "statuses"

    @property
    def variable(self) -> "str | None":
        """The name of the variable that sets the same, `PYINIT_STOP_SIGNAL`, where there is one."""
        if self.kind == "action":
            return None
        return VARIABLE_PREFIX + self.name.upper().replace("-", "_")


_ENDS = ("main", "service", "all")
_FORMATS = ("auto", "json", "console")
_LEVELS = ("debug", "info", "warning", "error")

OPTIONS = (
    Option("until", "until", "choice", "life", "END", "service", _ENDS),
    Option("grace", "grace_s", "duration", "life", "DURATION", "8s"),
    Option("stop-signal", "stop_signal", "signal", "life", "SIG"),
    Option("ok-exit", "ok_exits", "statuses", "life", "N"),
    Option("log-format", "log_format", "choice", "log", "FORMAT", "auto", _FORMATS),
    Option("log-level", "log_level", "choice", "log", "LEVEL", "info", _LEVELS),
    Option("log-reaps", "log_reaps", "switch", "log"),
    Option("log-args", "log_args", "switch", "log"),
    Option("log-file", "log_file", "path", "log", "PATH"),
    Option("log-schema", "log_schema", "choice", "log", "SCHEMA", "otel", ("otel", "ecs")),
    Option("help", "action", "action", "about", short="h"),
    Option("version", "action", "action", "about", short="V"),
)


class Settings:
    """What one run is asked to do.

    `sources` maps each setting to "flag", "variable" or "default". `own_variables` are the names of
    all PYINIT_ variables that are present: they are ours, and the command does not get them.
    """

    __slots__ = (
        "_unknown",
        "action",
        "command",
        "grace_s",
        "log_args",
        "log_file",
        "log_format",
        "log_level",
        "log_reaps",
        "log_schema",
        "ok_exits",
        "own_variables",
        "sources",
        "stop_signal",
        "until",
    )

    action: str
    command: "list[str]"
    until: str
    grace_s: float
    stop_signal: "int | None"
    ok_exits: "frozenset[int]"
    log_format: str
    log_level: str
    log_reaps: bool
    log_args: bool
    log_file: "str | None"
    log_schema: str
    sources: "dict[str, str]"
    own_variables: "list[bytes]"

    def __init__(self, action: str) -> None:
        """Start with `action`: "run", "help" or "version"; `parse` sets the rest for "run" only."""
        self.action = action
        self.command = []
        self.sources = {}
        self.own_variables = []
        self._unknown: list[str] = []

    @property
    def unknown_variables(self) -> "list[tuple[str, str | None]]":
        """The PYINIT_ variables that mean nothing to us, each with the nearest name that does.

        Computed when asked for, because the search is slow; the loop tells it after the spawn.
        """
        if not self._unknown:
            return []
        from pyinit import usage  # needed for messages only

        known = [option.variable for option in OPTIONS if option.variable]
        return [(name, usage.suggest(name, known)) for name in self._unknown]


def parse(argv: "list[str]", environ: "Mapping[bytes, bytes]") -> Settings:
    """Return the settings that the command line (without the program's name) and environment give.

    A flag beats its variable, which beats the default; a variable is not even looked at where its
    flag is given. Raises UsageError, and nothing else, for what is wrong.
    """
    given, operands = read_flags(argv)
    action = given.get("action")
    if action is not None:
        return Settings(action[1])
    settings = Settings("run")
    variables = _own_variables(environ, settings)
    for option in OPTIONS:
        if option.kind == "action":
            continue
        source = DEFAULT
        texts = [] if option.default is None else [option.default]
        label = ""
        if option.setting in given:
            source = FLAG
            label, *texts = given[option.setting]
        elif variables and option.variable in variables:
            source = VARIABLE
            label = option.variable
            texts = _texts(option, variables[label])
        settings.sources[option.setting] = source
        setattr(settings, option.setting, _value(option, texts, label))
    if not operands or not operands[0]:
        what = "the command is empty" if operands else "no command given"
        message = f"{what}; write pyinit [OPTIONS] [--] COMMAND [ARG...], as in: pyinit -- nginx"
        raise UsageError(message)
    settings.command = operands
    return settings


def read_flags(
    argv: "Sequence[str]", options: "Sequence[Option]" = OPTIONS
) -> "tuple[dict[str, list[str]], list[str]]":
    """Split a command line into flags and operands; the texts of the flags are not looked at.

    The flags come as setting -> [how the flag was written, text, text, ...], with one text unless
    the option is repeatable. An action (--help) ends the parsing: its text is its own name.
    """
    given: dict[str, list[str]] = {}
    arguments = list(argv)
    arguments.reverse()
    while arguments:
        word = arguments[-1]
        if word == "--":
            arguments.pop()
            break
        if word == "-" or word[:1] != "-":
            break
        arguments.pop()
        if word.startswith("--"):
            done = _long(word, arguments, options, given)
        else:
            done = _cluster(word, arguments, options, given)
        if done:
            break
    arguments.reverse()
    return given, arguments


def _long(word: str, arguments: "list[str]", options: "Sequence[Option]", given: "dict[str, list[str]]") -> bool:
    """Take in `--opt`, `--opt value`, `--opt=value` or `--no-opt`; true when it was an action."""
    label, equals, text = word.partition("=")
    option, negative = _by_name(label, options)
    if option.takes_value:
        _give(given, option, label, text if equals else _following(option, label, arguments))
        return False
    if equals:
        other = f" or --no-{option.name}" if option.kind == "switch" and not negative else ""
        message = f"{label} takes no value; write {label}{other}"
        raise UsageError(message)
    _give(given, option, label, "no" if negative else _own_text(option))
    return option.kind == "action"


def _by_name(label: str, options: "Sequence[Option]") -> "tuple[Option, bool]":
    """Return the option that `label` is the long form of, and whether it is the --no- form."""
    for option in options:
        if label == "--" + option.name:
            return option, False
        if option.kind == "switch" and label == "--no-" + option.name:
            return option, True
    from pyinit import usage  # needed for messages only

    raise UsageError(usage.unknown_option(label, label, options))


def _cluster(word: str, arguments: "list[str]", options: "Sequence[Option]", given: "dict[str, list[str]]") -> bool:
    """Take in `-a`, `-abc`, `-p value` or `-pvalue`; true when an action was among them."""
    for at in range(1, len(word)):
        for option in options:
            if option.short == word[at]:
                break
        else:
            from pyinit import usage  # needed for messages only

            raise UsageError(usage.unknown_option("-" + word[at], word, options))
        label = "-" + word[at]
        if option.takes_value:
            _give(given, option, label, word[at + 1 :] or _following(option, label, arguments))
            return False
        _give(given, option, label, _own_text(option))
        if option.kind == "action":
            return True
    return False


def _own_text(option: Option) -> str:
    """Return the text of an option that takes no value."""
    return "yes" if option.kind == "switch" else option.name


def _give(given: "dict[str, list[str]]", option: Option, label: str, text: str) -> None:
    """Note that a flag was given: the last one wins, unless it is repeatable."""
    if option.repeatable and option.setting in given:
        given[option.setting].append(text)
    else:
        given[option.setting] = [label, text]


def _following(option: Option, label: str, arguments: "list[str]") -> str:
    """Take the next argument as the value; one that begins with `--` is the next option instead."""
    if not arguments or arguments[-1].startswith("--"):
        from pyinit import usage  # needed for messages only

        raise UsageError(usage.missing_value(option, label))
    return arguments.pop()


def _own_variables(environ: "Mapping[bytes, bytes]", settings: Settings) -> "dict[str, str]":
    """Return our variables that have a value; the names of all of them go into `settings`."""
    names = [name for name in environ if name.startswith(_VARIABLE_PREFIX_BYTES)]
    if not names:
        return {}
    known = {option.variable for option in OPTIONS}
    variables = {}
    for name in names:
        text = name.decode("utf-8", "surrogateescape")
        if text not in known:
            settings._unknown.append(text)  # noqa: SLF001 - this module's own class
        elif environ[name]:
            variables[text] = environ[name].decode("utf-8", "surrogateescape")
    settings.own_variables = names
    return variables


def _texts(option: Option, text: str) -> "list[str]":
    """Return the texts in a variable: several where the option is repeatable, else the one."""
    if option.repeatable:
        return text.replace(",", " ").split()
    return [text]


def _value(option: Option, texts: "list[str]", label: str) -> object:
    """Turn the texts of one option into its value; `label` is the flag or variable to blame."""
    if option.kind == "statuses":
        return frozenset([_convert(option, text, label) for text in texts])
    if option.kind == "switch":
        return bool(texts) and _convert(option, texts[0], label)
    return _convert(option, texts[0], label) if texts else None


def _convert(option: Option, text: str, label: str) -> object:
    """Turn one text into a value, or raise UsageError about `label`."""
    if option.choices:
        if text in option.choices:
            return text
        reason = "none of its values; write " + " or ".join(option.choices)
    else:
        try:
            return _CONVERTERS[option.kind](text)
        except ValueError as error:
            reason = str(error)
    from pyinit import usage  # needed for messages only

    raise UsageError(usage.bad_value(option, text, label, reason))


_CONVERTERS: "dict[str, Callable[[str], object]]" = {
    "duration": values.duration,
    "signal": values.signal,
    "statuses": values.status,
    "path": values.path,
    "switch": values.truth,
}
