"""The run behind the spawn: puts core, effects, log and loop together, and makes pyinit small and quiet."""

from __future__ import annotations

import posix
import resource  # noqa: F401  # wait4 imports it when it is first called, and then there may be no descriptor left
import time

from pyinit import __version__, kernel
from pyinit.core import events
from pyinit.core.machine import Machine
from pyinit.core.model import REST_STOP, Policy
from pyinit.effects import Effects
from pyinit.log import open_log
from pyinit.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.boot import Launch
    from pyinit.log import Log
    from pyinit.spawn import SpawnError

# How long the last records may wait for their reader, as long as it reads on (seconds).
LAST_FLUSH_S = 0.5
STDERR = 2
# Without /proc, descriptors up to this number are let go of.
MAX_FDS = 1024


def run(launch: Launch) -> int:
    """Hold what main leaves behind until the run is over; return pyinit's exit status."""
    settings, proc = launch.settings, launch.proc
    _let_go(launch)
    policy = Policy(
        until=settings.until,
        grace_s=settings.grace_s,
        stop_signal=settings.stop_signal,
        ok_exits=settings.ok_exits,
        pid1=launch.pid1,
        stop_on=settings.stop_on,
        rewrite=settings.rewrite,
        forward_to=settings.forward_to,
        terminal=launch.terminal.kind,
        rest=REST_STOP if launch.pid1 or settings.subreaper else settings.rest,
        self_stop=settings.self_stop,
    )
    machine = Machine(policy)
    main = None
    if launch.main_pid:
        main = proc.child(launch.main_pid)
        main.foreign = False
    if launch.signals_fd < 0:
        launch.signals_fd = kernel.open_signalfd(kernel.ALL_SIGNALS)
    log = _open_log(launch)
    effects = Effects(machine, proc, log, launch.terminal)
    effects.oom = launch.oom
    if settings.persona == "tini":
        _speak_as_tini(launch, log, effects)
    effects.identity = {
        "pid": posix.getpid(),
        "version": __version__,
        "mode": "pid1" if launch.pid1 else "subreaper",
    }
    loop = Loop(launch.signals_fd, machine, effects, proc, log, before=launch.before, jobs=launch.terminal.fd >= 0)
    loop.take(events.Started(main))
    _say_what_is_missing(launch, log)
    status = loop.run()
    if main is not None:
        launch.terminal.take_back(main.pgid)
    log.close(LAST_FLUSH_S)
    return status


def _speak_as_tini(launch: Launch, log: Log, effects: Effects) -> None:
    """Say what tini says besides its own log: that it cannot reap, and with -w what it reaps."""
    from functools import partial

    from pyinit import peers_texts

    settings = launch.settings
    if not launch.pid1 and not settings.subreaper and settings.verbosity:
        log.say(peers_texts.no_reaper(posix.getpid()))
    if settings.log_reaps:
        effects.tell_reaped = partial(peers_texts.reaped, posix.getpid())


def refuse(launch: Launch, error: SpawnError) -> int:
    """Tell why main could not be started; return the status. Under a peer's name in its words, and with its status."""
    settings = launch.settings
    if settings.persona != "pyinit":
        from pyinit import peers_texts

        if error.pid:
            status, text = peers_texts.exec_failure(settings, settings.command[0], error.errno, error.pid)
        else:
            status, text = peers_texts.fork_failure(settings, error.errno, posix.getpid())
        log = _open_log(launch)
        log.say(text)
        log.close(LAST_FLUSH_S)
        return status
    log = _open_log(launch)
    facts: dict[str, object] = {
        "command": settings.command[0],
        "errno": error.errno,
        "status": error.status,
        "reason": error.reason,
    }
    log.report("spawn.failed", facts)
    log.close(LAST_FLUSH_S)
    return error.status


def _open_log(launch: Launch) -> Log:
    settings = launch.settings
    own = launch.log_fd >= 0
    return open_log(
        fd=launch.log_fd if own else 2,
        own_fd=own,
        format=settings.log_format,  # type: ignore[arg-type]  # one of the option's choices
        level=settings.log_level,
        schema=settings.log_schema,  # type: ignore[arg-type]  # one of the option's choices
        reaps=settings.log_reaps,
        show_args=settings.log_args,
        no_color=bool(posix.environ.get(b"NO_COLOR")),
        boot=(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME), posix.sysconf("SC_CLK_TCK")),
    )


def _say_what_is_missing(launch: Launch, log: Log) -> None:
    """One record for each thing that this place lacks, and what that means."""
    proc = launch.proc
    for name, suggestion in launch.settings.unknown_variables:
        log.report("config.unknown_variable", {"variable": name, "suggestion": suggestion})
    try:
        kernel.set_name("pyinit")
    except OSError as error:
        log.report("pyinit.degraded", _lack("process name", error.strerror, "ps shows the interpreter's name"))
    if kernel.backend_error() is not None:
        log.report(
            "pyinit.degraded", _lack("python-prctl", kernel.backend_error(), "prctl(2) is called through ctypes")
        )
    if not proc.usable:
        effect = "processes have no names in the log, and only direct children are signalled at a stop"
        log.report("pyinit.degraded", _lack("/proc", "not mounted, or of another PID namespace", effect))
    elif not proc.lists_children:
        log.report("pyinit.degraded", _lack("/proc children files", "not in this kernel", "all of /proc is scanned"))
    if launch.pid1 and not launch.marked and proc.usable:
        effect = "orphans of docker exec and of health checks count as the service's own"
        log.report("pyinit.degraded", _lack("/proc/self/coredump_filter", "cannot be set", effect))


def _lack(feature: str, reason: object, effect: str) -> dict[str, object]:
    return {"feature": feature, "reason": str(reason), "effect": effect}


def _let_go(launch: Launch) -> None:
    """Let go of every descriptor above 2 that is not our own: they were for main."""
    keep = {launch.signals_fd, launch.log_fd, launch.proc.fd, launch.terminal.fd}
    try:
        held = [int(name) for name in posix.listdir("/proc/self/fd")] if launch.proc.usable else range(3, MAX_FDS)
    except OSError:
        held = range(3, MAX_FDS)
    for fd in held:
        if fd > STDERR and fd not in keep:
            try:
                posix.close(fd)
            except OSError:
                continue
