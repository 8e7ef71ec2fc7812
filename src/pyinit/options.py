"""The command line of pyinit: the parser that reads it by the table of options.

This runs before the command is started, so it imports next to nothing: what people read (the texts
of --help, suggestions) is in `pyinit.usage`, which is loaded only when somebody is to read it.
"""

from pyinit import values
from pyinit.option_table import ONE_A_LINE, OPTIONS, PEERS, SPLIT, WITHOUT_VARIABLE, Option
from pyinit.settings import Settings

__all__ = ["OPTIONS", "PEERS", "Option", "Settings", "UsageError", "fill", "parse", "read_flags"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

_VARIABLE_PREFIX_BYTES = b"PYINIT_"

FLAG = "flag"
VARIABLE = "variable"
DEFAULT = "default"

CHECK = "check"

# Options with rules that have another group than "service" and "command".
_WITH_RULES = ("restart", "restart_limit", "restart_delay_s", "restart_delay_max_s", "termination_log")

_INT = 2
_TERM = 15
# What asks for `-c`: main stays in pyinit's own process group, and so is the only one that can be signalled.
_SINGLE_CHILD = ("-c", "--single-child", "DUMB_INIT_SETSID")


class UsageError(Exception):
    """The command line or a variable is wrong; the message is one printable line that says how."""

    def __init__(self, message: str) -> None:
        """Keep the message; it has neither `pyinit:` in front nor a newline at its end."""
        super().__init__(message)
        self.message = message


def parse(argv: "list[str]", environ: "Mapping[bytes, bytes]") -> Settings:
    """Return the settings that the command line (without the program's name) and environment give.

    A flag beats its variable, which beats what a variable of tini, dumb-init or catatonit asks for,
    which beats the default; a variable is not even looked at where its flag is given. Raises
    UsageError, and nothing else, for what is wrong.
    """
    given, operands = read_flags(argv)
    if operands and operands[0].startswith("--"):
        given, operands = _behind_the_dashes(argv, given, operands)
    action = given.get("action")
    if action is not None:
        from pyinit import usage  # needed for texts only

        return Settings("print", usage.text_of(action[1]))
    settings = Settings()
    fill(settings, given, environ, _asked_by_peers_variables(environ), {})
    if "report" in given:
        _read_report(settings, *given["report"])
    if settings.pause:
        if operands:
            raise UsageError("--pause runs no command; leave out --pause, or the command")
        return settings
    if settings.action == CHECK and not operands:
        return settings
    if not operands or not operands[0]:
        what = "the command is empty" if operands else "no command given"
        message = f"{what}; write pyinit [OPTIONS] [--] COMMAND [ARG...], as in: pyinit -- nginx"
        raise UsageError(message)
    settings.command = operands
    return settings


def _behind_the_dashes(
    argv: "list[str]", given: "dict[str, list[str]]", operands: "list[str]"
) -> "tuple[dict[str, list[str]], list[str]]":
    """Read on where the command would be one of our own options that start nothing.

    `docker run IMAGE --check` comes as `pyinit -- --check`, and no program is called that. What follows it is a command
    line of pyinit's own again.
    """
    name = operands[0].partition("=")[0]
    if any(option.group == "about" and name == "--" + option.name for option in OPTIONS):
        return read_flags([*argv[: len(argv) - len(operands) - 1], *operands])
    return given, operands


def _read_report(settings: Settings, label: str, text: str) -> None:
    """Take in `--check` or `--dry-run`, whichever came last."""
    option = next(option for option in OPTIONS if label == "--" + option.name)
    settings.action = option.name
    settings.report = _convert(option, text, label)


def fill(
    settings: Settings,
    given: "Mapping[str, list[str]]",
    environ: "Mapping[bytes, bytes]",
    asked: "Mapping[str, list[str]]",
    defaults: "Mapping[str, str]",
) -> None:
    """Set all that is an option in `settings`.

    `given` is what the flags say, as read_flags returns it; `asked`, of the same form, is what
    variables without our prefix say; `defaults` are those that differ from the table's, as text.
    Raises UsageError.
    """
    variables = _own_variables(environ, settings)
    for option in OPTIONS:
        if option.kind in WITHOUT_VARIABLE:
            continue
        source = DEFAULT
        default = defaults.get(option.setting, option.default)
        texts = [] if default is None else [default]
        label = ""
        if option.setting in given:
            source = FLAG
            label, *texts = given[option.setting]
        elif variables and option.variable in variables:
            source = VARIABLE
            label = option.variable
            texts = _texts(option, variables[label])
        elif option.setting in asked:
            source = VARIABLE
            label, *texts = asked[option.setting]
        settings.sources[option.setting] = source
        settings.given_as[option.setting] = (label, texts)
        setattr(settings, option.setting, value_of(option, texts, label))
        if option.setting == "forward_to" and label in _SINGLE_CHILD:
            settings.main_group = "same"
            settings.main_session = "keep"
    if settings.pause and settings.sources["stop_on"] == DEFAULT:
        settings.stop_on = frozenset((_INT, _TERM))
    if _has_rules(settings):
        from pyinit import rules  # most command lines do without

        rules.apply(settings)
    if settings.grace_max_s is None:
        settings.grace_max_s = settings.grace_s


def _has_rules(settings: Settings) -> bool:
    """Tell whether an option is given that says something about others, or a path that may be relative."""
    schedule = settings.stop_signal
    if len(schedule) > 1 or (schedule and schedule[0][1] is not None):
        return True
    given = [option for option in OPTIONS if settings.sources.get(option.setting, DEFAULT) != DEFAULT]
    return any(option.group in ("service", "command") or option.setting in _WITH_RULES for option in given)


def _asked_by_peers_variables(environ: "Mapping[bytes, bytes]") -> "dict[str, list[str]]":
    """Return what the variables of tini, dumb-init and catatonit ask for, in the form of read_flags."""
    asked = {}
    if b"TINI_KILL_PROCESS_GROUP" in environ:
        asked["forward_to"] = ["TINI_KILL_PROCESS_GROUP", "group"]
    if environ.get(b"DUMB_INIT_SETSID") == b"0":
        asked["forward_to"] = ["DUMB_INIT_SETSID", "main"]
    if b"TINI_VERBOSITY" in environ:
        verbosity = values.c_int(values.c_long(environ[b"TINI_VERBOSITY"].decode("latin-1"))[0])
        asked["log_level"] = ["TINI_VERBOSITY", values.level(verbosity)]
    if environ.get(b"DUMB_INIT_DEBUG") == b"1":
        asked["log_level"] = ["DUMB_INIT_DEBUG", "debug"]
    if b"CATATONIT_DEBUG" in environ:
        asked["log_level"] = ["CATATONIT_DEBUG", "debug"]
    return asked


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
    if option.kind == "report":
        _give(given, option, label, text if equals else option.choices[0])
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
        if label == "--" + option.name and option.name:
            return option, False
        if option.kind == "switch" and label == "--no-" + option.name:
            return option, True
    from pyinit import usage  # needed for messages only

    raise UsageError(usage.unknown_option(label, label, options))


def _cluster(word: str, arguments: "list[str]", options: "Sequence[Option]", given: "dict[str, list[str]]") -> bool:
    """Take in `-a`, `-abc`, `-p value` or `-pvalue`; true when an action was among them."""
    name = word[1:].partition("=")[0]
    for option in options:
        if option.name == name and (option.kind != "action" or word[1] not in option.short):
            from pyinit import usage  # needed for messages only

            raise UsageError(usage.unknown_option(word, word, options))  # -grace: a dash is missing
    for at in range(1, len(word)):
        for option in options:
            if word[at] in option.short:
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
    return option.gives or ("yes" if option.kind == "switch" else option.name)


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
    if option.kind in ONE_A_LINE:
        return [line for line in text.split("\n") if line]
    if option.repeatable:
        return text.replace(",", " ").split()
    return [text]


def value_of(option: Option, texts: "list[str]", label: str = "") -> object:
    """Turn the texts of one option into its value; `label` is the flag or variable to blame."""
    if option.kind in SPLIT:
        texts = [word for text in texts for word in text.split(",")]
    elif not option.repeatable:
        value = _convert(option, texts[0], label) if texts else None
        return bool(value) if option.kind == "switch" else value
    converted = [_convert(option, text, label) for text in texts]
    if option.kind == "rewrites":
        return dict(converted)
    if option.kind in ("statuses", "signals"):
        return frozenset(converted) - (frozenset((0,)) if option.kind == "signals" else frozenset())
    return tuple(converted)


def _convert(option: Option, text: str, label: str) -> "Any":  # noqa: ANN401  # what its kind says
    """Turn one text into a value, or raise UsageError about `label`."""
    if option.choices:
        if text in option.choices:
            return text
        reason = "none of its values; write " + " or ".join(option.choices)
    else:
        converters = _CONVERTERS
        if option.kind not in converters:
            from pyinit.child import values as child_values  # most command lines do without

            converters = child_values.CONVERTERS
        try:
            return converters[option.kind](text)
        except ValueError as error:
            reason = str(error)
    from pyinit import usage  # needed for messages only

    raise UsageError(usage.bad_value(option, text, label, reason))


_CONVERTERS: "dict[str, Callable[[str], object]]" = {
    "duration": values.duration,
    "limit": values.limit,
    "signal": values.signal,
    "signals": values.stop_request,
    "schedule": values.step,
    "statuses": values.status,
    "rewrites": values.rewrite,
    "path": values.path,
    "text": values.command,
    "switch": values.truth,
}
