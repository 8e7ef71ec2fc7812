"""What --dry-run tells: every setting and where it came from, the command as it would be executed, and its environment.

The rows of the table of options are gone through as they come: a new one appears by itself.
"""

from __future__ import annotations

import posix

from pyinit import options, signames, spawn, usage
from pyinit.option_table import ONE_A_LINE
from pyinit.options import DEFAULT, OPTIONS, Option
from pyinit.reports import lookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from pyinit.reports import Page
    from pyinit.settings import Settings

# Where a setting came from when nobody gave it and it is not the default: the other options say it.
RULE = "rule"

# Variables in which a process is named by its number: main's is put in the place of pyinit's.
_NUMBERED = (b"LISTEN_PID", b"WATCHDOG_PID")
_PLAIN = "-_./:=@%+,"
# The options for main's environment that take no privilege, or are looked at before.
_NEVER_REFUSED = (
    *("--umask", "--env", "--env-file", "--clear-env"),
    *("--stdin", "--close-fds", "--keep-fd", "--setsid", "--pdeathsig"),
)


def facts(settings: Settings, changes: Mapping[bytes, bytes | None]) -> tuple[dict[str, Any], int]:
    """Return what is told, as JSON can hold it, and the status with which a run would fail to start; 0 where it starts.

    `changes` is what is different in main's environment, or all of it with --clear-env.
    """
    problem = _files_problem(settings)
    command = None if settings.pause else _command(settings, changes)
    status = settings.error_status if problem else (command["status"] if command else 0)
    return {
        "status": status,
        "problem": problem or (command["reason"] if command else None),
        "command": command,
        "settings": [_setting(settings, option) for option in OPTIONS if option.variable],
        "environment": _environment(settings, changes),
        "unknown_variables": [
            {"name": _text(_bytes(name)), "meant": meant} for name, meant in settings.unknown_variables
        ],
    }, status


def _files_problem(settings: Settings) -> str | None:
    """Return why pyinit would not start because of a file that it is to write, in the words of a real run."""
    from pyinit.boot import file_problem

    for option, path, flags in (
        ("--log-file", settings.log_file, 0),
        ("--termination-log", settings.termination_log, posix.O_NOFOLLOW),
    ):
        why = None if path is None else lookup.write_problem(path, flags)
        if path is not None and why is not None:
            return file_problem(option, path, why)
    return None


def _command(settings: Settings, changes: Mapping[bytes, bytes | None]) -> dict[str, Any]:
    """Return the command: its arguments, what execve(2) would be given, and what would come of it."""
    path = spawn.search_path(changes, clear=settings.clear_env)
    found = lookup.command([_bytes(argument) for argument in settings.command], path)
    return {
        "argv": [_text(_bytes(argument)) for argument in settings.command],
        "path": None if found.path is None else _text(found.path),
        "executed": [_text(argument) for argument in found.argv],
        "status": found.status,
        "reason": found.reason,
    }


def _setting(settings: Settings, option: Option) -> dict[str, Any]:
    """Return one setting: how it would be written, where it came from, and how it was written there."""
    label, texts = settings.given_as[option.setting]
    source = settings.sources[option.setting]
    value = getattr(settings, option.setting)
    if source == DEFAULT and value != options.value_of(option, [] if option.default is None else [option.default]):
        source = RULE
    return {
        "option": f"--{option.name}",
        "variable": option.variable,
        "group": option.group,
        "value": spelled(option, value, texts),
        "source": source,
        "given_as": label or None,
    }


def spelled(option: Option, value: object, texts: Sequence[str]) -> str | None:
    """Return a value as its variable would have it: that text gives the same setting. None is no value.

    For a kind of option that is not known here it is what was given, or the default, as it is.
    """
    if option.kind in _SPELLED:
        if value is None or (not value and option.kind in _MAY_BE_EMPTY):
            return None
        return _text(_bytes(_SPELLED[option.kind](value)))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if texts:
        return _text(_bytes(("\n" if option.kind in ONE_A_LINE else ",").join(texts)))
    return option.default


def _seconds(value: Any) -> str:  # noqa: ANN401  # a number
    ms = round(value * 1000)
    return f"{ms}ms" if ms % 1000 else f"{ms // 1000}s"


def _signal(value: int) -> str:
    return signames.name(value).removeprefix("SIG")


def _signals(value: Any) -> str:  # noqa: ANN401  # numbers
    return ",".join([_signal(signo) for signo in sorted(value)]) or "none"


def _schedule(value: Any) -> str:  # noqa: ANN401  # as Settings has it
    steps = [_signal(signo) + ("" if seconds is None else f":{_seconds(seconds)}") for signo, seconds in value]
    return ",".join(steps)


def _rewrites(value: Any) -> str:  # noqa: ANN401  # as Settings has it
    return ",".join([f"{_signal(before)}:{_signal(after) if after else 0}" for before, after in value.items()])


_MAY_BE_EMPTY = ("schedule", "statuses", "rewrites")
_SPELLED: dict[str, Callable[[Any], Any]] = {
    "choice": str,
    "duration": _seconds,
    "signal": _signal,
    "signals": _signals,
    "schedule": _schedule,
    "statuses": lambda value: ",".join([str(status) for status in sorted(value)]),
    "rewrites": _rewrites,
    "path": str,
    "text": str,
    "switch": lambda value: "yes" if value else "no",
}
# The kinds of options whose values are told as they are; of others, what was given.
KINDS = frozenset(_SPELLED)


def _environment(settings: Settings, changes: Mapping[bytes, bytes | None]) -> dict[str, Any]:
    """Return what main's environment has that pyinit's has not, and the other way round."""
    made: dict[str, str | None] = {_text(name): _text(value) for name, value in changes.items() if value is not None}
    if settings.notify:
        made["NOTIFY_SOCKET"] = None  # its name is made up at the start
    own = b"%d" % posix.getpid()
    present = {} if settings.clear_env else posix.environ
    for name in _NUMBERED:
        if changes.get(name, present.get(name)) == own:
            made[_text(name)] = None
    return {
        "cleared": settings.clear_env,
        "set": made,
        "unset": sorted([_text(name) for name, value in changes.items() if value is None and name in present]),
    }


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def text(told: Mapping[str, Any], page: Page) -> str:
    """Return what is told as text for people, with its last newline."""
    titles = {group: title for group, title in usage.GROUPS.items() if group != "about"}
    groups = dict.fromkeys([*titles, *[row["group"] for row in told["settings"]]])
    parts = [("Command", _command_lines(told["command"]))]
    for group in groups:
        rows = [row for row in told["settings"] if row["group"] == group]
        parts.append((titles.get(group, group), [line for row in rows for line in _setting_lines(row, page)]))
    parts.append(("Environment", _environment_lines(told["environment"], told["unknown_variables"])))
    lines: list[str] = []
    for title, body in parts:
        if body:
            lines += [page.coloured(title, ""), *body, ""]
    verdict, state = _verdict(told)
    lines += [page.coloured(line, state) for line in page.row([], usage.printable(verdict))]
    return "\n".join(lines) + "\n"


def _command_lines(command: Mapping[str, Any] | None) -> list[str]:
    if command is None:
        return ["  none: pyinit itself is the service (--pause)"]
    lines = ["  " + _line(command["argv"])]
    if command["path"] is not None:
        lines.append(f"  is {_quoted(command['path'])}")
    if command["executed"] not in ([], command["argv"]):
        lines.append(f"  and runs as {_line(command['executed'])}")
    return lines


def _setting_lines(row: Mapping[str, Any], page: Page) -> list[str]:
    where = row["given_as"] or {RULE: "from the other options"}.get(row["source"], row["source"])
    value = "-" if row["value"] is None else _quoted(row["value"])
    return page.row([("  " + row["option"], 25), (value + " ", 30)], where)


def _environment_lines(environment: Mapping[str, Any], unknown: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["  has nothing but this"] if environment["cleared"] else []
    for name, value in environment["set"].items():
        what = "by pyinit at the start" if value is None else f"to {_quoted(value)}"
        lines.append(f"  {_quoted(name)} is set {what}")
    lines += [f"  {_quoted(name)} is taken out" for name in environment["unset"]]
    for row in unknown:
        lines.append(f"  {_quoted(row['name'])} means nothing" + (f"; {row['meant']} does" if row["meant"] else ""))
    return lines or ["  is handed on as it is"]


def _verdict(told: Mapping[str, Any]) -> tuple[str, str]:
    if told["problem"] is None:
        untried = [row["given_as"] for row in told["settings"] if _can_be_refused(row)]
        condition = f", if it can have {' and '.join(untried)}: that is not tried here" if untried else ""
        return f"Nothing was started. A run would start it{condition}.", "ok"
    return f"Nothing was started. A run would end with status {told['status']}: {told['problem']}", "missing"


def _can_be_refused(row: Mapping[str, Any]) -> bool:
    """Say whether a setting is an option for main's environment that the kernel may refuse to a run."""
    given = row["source"] != DEFAULT and row["value"] != "no"
    return given and row["group"] == "command" and row["option"] not in _NEVER_REFUSED


def _line(words: Sequence[str]) -> str:
    """Return words as one would type them."""
    return " ".join([_quoted(word) for word in words])


def _quoted(word: str) -> str:
    """Return a word as one would type it in a shell, on one line and printable."""
    if word and all((character.isalnum() and character.isascii()) or character in _PLAIN for character in word):
        return word
    shown = usage.printable(word)
    return "$'" + shown.replace("'", "\\'") + "'" if shown != word else "'" + word.replace("'", "'\\''") + "'"
