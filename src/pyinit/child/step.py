"""One step on the way from the forked child to main: what option asks for it, and the call that does it."""

from pyinit.options import FLAG, OPTIONS, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from pyinit.settings import Settings


class Step:
    """One step of the child. It is made before the fork; `call` is called behind it, and raises OSError.

    `option` is how the option was given, `--nice` or `PYINIT_NICE`, and `value` its text: what a failure is told with.
    """

    __slots__ = ("call", "option", "value")

    def __init__(self, option: str, value: str, call: "Callable[[], object]") -> None:
        self.option = option
        self.value = value
        self.call = call


def written(settings: "Settings", setting: str) -> str:
    """Return how an option was given: as a flag, `--nice`, or as a variable, `PYINIT_NICE`."""
    option = next(option for option in OPTIONS if option.setting == setting and option.variable)
    return f"--{option.name}" if settings.sources[setting] == FLAG else str(option.variable)


def step(settings: "Settings", setting: str, value: object, call: "Callable[[], object]") -> Step:
    """Return a step that the option `setting` asks for."""
    return Step(written(settings, setting), str(value), call)


def refuse(option: str, value: str, reason: str) -> "NoReturn":
    """Raise UsageError: the value of an option cannot be used here, for a reason that also says what to do."""
    from pyinit import usage  # needed for messages only

    message = f"{option}: {usage.shown(value)} {reason}"
    raise UsageError(message)
