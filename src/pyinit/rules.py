"""The rules between options: which one needs another, which ones exclude each other, what the grace adds up to.

Imported before the command is started, but only where an option is given that has such rules; so it imports next to
nothing. The texts of its errors follow how the option was given: as a flag or as a variable.
"""

import posix

from pyinit import values
from pyinit.options import DEFAULT, FLAG, OPTIONS, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.settings import Settings

SIGNALS_MAX = 8
_HUP = 1

# What does nothing without the other one, and what it needs.
_NEEDS = (
    ("keep_fds", "close_fds"),
    ("clean_pid_file", "pid_file"),
    ("pid_file_timeout_s", "pid_file"),
    ("grace_max_s", "notify"),
)
_NOT_IN_A_PAUSE = ("pid_file", "notify", "reload_command", "stop_command", "grace_max_s")
# What says how main is started again, if it is.
_OF_RESTARTS = ("restart_limit", "restart_delay_s", "restart_delay_max_s")
_NO_RESTART = "no"


def apply(settings: "Settings") -> None:
    """Check what the options say together, and complete it: `grace_s`, and relative paths.

    Raises UsageError with what is wrong and what to write instead.
    """
    if settings.pause:
        for setting in (*_NOT_IN_A_PAUSE, *[option.setting for option in OPTIONS if option.group == "command"]):
            if _asked(settings, setting):
                message = f"--pause runs no command; leave out {_written(settings, setting)}"
                raise UsageError(message)
    for setting, needed in _NEEDS:
        if _asked(settings, setting) and not getattr(settings, needed):
            written = _written(settings, setting)
            other = _written(settings, needed, settings.sources[setting])
            message = f"{written} does nothing without {other}; give both, or leave out {written}"
            raise UsageError(message)
    if settings.reload_command is not None and _HUP in settings.stop_on:
        command, stop_on = _written(settings, "reload_command"), _written(settings, "stop_on")
        message = f"{command} runs at SIGHUP, but {stop_on} makes that ask for a stop; leave out one of them"
        raise UsageError(message)
    _restarts(settings)
    if settings.for_command:
        _agree(settings)
    _add_up(settings)
    if settings.grace_max_s is not None and settings.grace_max_s < settings.grace_s:
        written = _written(settings, "grace_max_s")
        message = f"{written} is less than the grace of {_s(settings.grace_s)}; write that or more"
        raise UsageError(message)
    settings.pid_file = _absolute(settings, "pid_file")
    settings.termination_log = _absolute(settings, "termination_log")


def _restarts(settings: "Settings") -> None:
    """Check what is said of restarts; a longest delay that nobody has set is not less than the first one."""
    if settings.pause and settings.restart != _NO_RESTART:
        message = f"--pause runs no command; leave out {_written(settings, 'restart')}"
        raise UsageError(message)
    for setting in _OF_RESTARTS:
        if settings.restart == _NO_RESTART and _asked(settings, setting):
            written = _written(settings, setting)
            other = _written(settings, "restart", settings.sources[setting])
            message = f"{written} does nothing without {other}; give both, or leave out {written}"
            raise UsageError(message)
    if settings.restart_delay_s > settings.restart_delay_max_s:
        if settings.sources["restart_delay_max_s"] != DEFAULT:
            longest, first = _written(settings, "restart_delay_max_s"), _written(settings, "restart_delay_s")
            message = f"{longest} is less than the {_s(settings.restart_delay_s)} of {first}; write that or more"
            raise UsageError(message)
        settings.restart_delay_max_s = settings.restart_delay_s


def _agree(settings: "Settings") -> None:
    """Check what the options for main's environment say together."""
    if settings.sources["setsid"] != DEFAULT and not settings.setsid and settings.tty is not None:
        written = "--no-setsid" if settings.sources["setsid"] == FLAG else "PYINIT_SETSID"
        message = f"{_written(settings, 'tty')} takes a session of its own; leave out {written}, or the terminal"
        raise UsageError(message)
    if settings.main_group == "same" and (settings.tty is not None or settings.setsid):
        written = _written(settings, "tty" if settings.tty is not None else "setsid")
        message = f"{written} takes a session of its own; leave out -c (--single-child), or {written}"
        raise UsageError(message)
    if settings.tty is not None and settings.sources["stdin"] != DEFAULT:
        written = _written(settings, "stdin")
        message = f"{_written(settings, 'tty')} is main's standard input; leave out {written}, or the terminal"
        raise UsageError(message)
    both = set(settings.cap_drop) & set(settings.cap_keep)
    if both:
        from pyinit.child import values as child_values  # there already: it has read these

        names = [child_values.capability_name(number) for number in sorted(both)]
        drop, keep = _written(settings, "cap_drop"), _written(settings, "cap_keep")
        message = f"{drop} and {keep} both name {', '.join(names)}; leave it out in one of them"
        raise UsageError(message)


def _add_up(settings: "Settings") -> None:
    """Check the schedule of a stop against the grace; a grace that nobody has set is what the schedule takes."""
    schedule = settings.stop_signal
    written = _written(settings, "stop_signal")
    for signo, seconds in schedule[:-1]:
        if seconds is None:
            from pyinit import signames, usage  # needed for messages only

            shown = usage.shown(signames.name(signo))
            message = f"{written}: {shown} needs a duration, as another one follows; write for example QUIT:20s,TERM:5s"
            raise UsageError(message)
    if len(schedule) > SIGNALS_MAX:
        message = f"{written} has {len(schedule)} signals; write at most {SIGNALS_MAX}"
        raise UsageError(message)
    total_s = sum([seconds or 0.0 for _, seconds in schedule])
    open_end = not schedule or schedule[-1][1] is None
    more = settings.stop_command is not None or open_end  # what wants some of the grace besides
    if not open_end and settings.sources["grace_s"] == DEFAULT:
        settings.grace_s = total_s + (settings.grace_s if settings.stop_command is not None else 0.0)
        if settings.grace_s > values.DURATION_MAX_S:
            message = f"{written} takes {_s(settings.grace_s)} in all; the longest grace is 24h"
            raise UsageError(message)
    elif total_s > settings.grace_s or (more and total_s and total_s == settings.grace_s):
        for_what = " before its last signal" if open_end else " in all"
        grace = f"{_written(settings, 'grace_s')} gives {_s(settings.grace_s)}"
        message = f"{written} takes {_s(total_s)}{for_what}, and {grace}; write a longer grace or shorter durations"
        raise UsageError(message)
    elif settings.stop_command is not None and not settings.grace_s:
        written = _written(settings, "stop_command")
        message = f"{written} has no time in a grace of 0 s; leave it out, or write a longer grace"
        raise UsageError(message)


def _absolute(settings: "Settings", setting: str) -> "str | None":
    """Return a path as one from the root: pyinit leaves its working directory."""
    path: str | None = getattr(settings, setting)
    if path is None or path.startswith("/"):
        return path
    try:
        return posix.getcwd().rstrip("/") + "/" + path
    except OSError as error:
        written = _written(settings, setting)
        message = f"{written}: the working directory is not there ({error.strerror}); write a path that begins with /"
        raise UsageError(message) from None


def _asked(settings: "Settings", setting: str) -> bool:
    """Tell whether somebody asked for it: given, and not as a no, nor as what is so anyway."""
    value = getattr(settings, setting)
    return settings.sources[setting] != DEFAULT and value is not False and value != "inherit"


def _written(settings: "Settings", setting: str, source: str = "") -> str:
    """Return how an option is written where it was given, or where `source` says: `--notify`, `PYINIT_NOTIFY`."""
    option = next(option for option in OPTIONS if option.setting == setting and option.variable)
    source = source or settings.sources[setting]
    return f"--{option.name}" if source in (FLAG, DEFAULT) else str(option.variable)


def _s(seconds: float) -> str:
    """Return seconds as a person would write them."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + " s"
