"""The run behind the spawn: puts core, effects, log and loop together, and makes pyinit small and quiet."""

from __future__ import annotations

import gc
import posix
import resource  # noqa: F401  # wait4 imports it when it is first called, and then there may be no descriptor left
import time

from pyinit import __version__, kernel
from pyinit.cgroup import ControlGroup
from pyinit.core import events
from pyinit.core.machine import Machine
from pyinit.core.model import REST_STOP, RESTART_NO, Policy
from pyinit.effects import Effects
from pyinit.finalkill import FinalKill
from pyinit.log import open_log
from pyinit.loop import Loop
from pyinit.sources import Sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyinit.boot import Launch
    from pyinit.control.listener import Control
    from pyinit.core.lives import Lives
    from pyinit.log import Log
    from pyinit.serving import Serving
    from pyinit.spawn import SpawnError

# How long the last records may wait for their reader, as long as it reads on (seconds).
LAST_FLUSH_S = 0.5
STDERR = 2
# Where Kubernetes has a container leave its last word (a file that is there already).
TERMINATION_LOG = "/dev/termination-log"
# Without /proc, descriptors up to this number are let go of.
MAX_FDS = 1024


def run(launch: Launch) -> int:
    """Hold what main leaves behind until the run is over; return pyinit's exit status."""
    settings, proc = launch.settings, launch.proc
    _let_go(launch)
    policy = Policy(
        until=settings.until,
        grace_s=settings.grace_s,
        grace_max_s=settings.grace_max_s,
        schedule=settings.stop_signal,
        ok_exits=settings.ok_exits,
        pid1=launch.pid1,
        stop_on=settings.stop_on,
        rewrite=settings.rewrite,
        forward_to=settings.forward_to,
        terminal=launch.terminal.kind,
        rest=REST_STOP if launch.pid1 or settings.subreaper else settings.rest,
        self_stop=settings.self_stop,
        pid_file=settings.pid_file is not None,
        pid_file_timeout_s=settings.pid_file_timeout_s,
        notify=settings.notify,
        stop_command=settings.stop_command is not None,
        reload_command=settings.reload_command is not None,
        restart=settings.restart,
        restart_limit=settings.restart_limit,
        restart_delay_s=settings.restart_delay_s,
        restart_delay_max_s=settings.restart_delay_max_s,
    )
    machine = _core(policy)
    main = launch.main() if launch.main_pid else None
    if launch.signals_fd < 0:
        launch.signals_fd = kernel.open_signalfd(kernel.ALL_SIGNALS)
    log = _open_log(launch)
    effects = Effects(machine, proc, log, launch.terminal)
    effects.oom = launch.oom
    effects.final_kill = FinalKill(proc, ControlGroup().living, groups=settings.subreaper and not launch.before)
    _warn_as_tini(launch, log)
    if settings.persona == "tini" and settings.log_reaps:
        from functools import partial

        from pyinit import peers_texts

        effects.tell_reaped = partial(peers_texts.reaped, posix.getpid())
    effects.identity = {
        "pid": posix.getpid(),
        "version": __version__,
        "mode": "pid1" if launch.pid1 else "subreaper",
    }
    sources = Sources()
    jobs = launch.terminal.fd >= 0
    loop = Loop(launch.signals_fd, machine, effects, proc, log, before=launch.before, jobs=jobs, sources=sources)
    serving = _serve(launch, effects, log, sources, loop.take)
    control, why = _control(launch, machine, effects, log, sources, loop)
    if settings.restart != RESTART_NO:
        from pyinit.respawn import Respawner

        effects.add(Respawner(launch, effects, serving, control, loop.take).calls)
    effects.take(events.Started(main), launch.started_at)
    if why:
        log.report("pyinit.degraded", why)
    _say_what_is_missing(launch, log)
    termination_log = _termination_log(launch)
    gc.freeze()  # all of this stays: no search for garbage is to go through it while a signal waits
    gc.enable()  # off since the interpreter's start: see pyinit-main
    status = loop.run()
    if jobs and machine.roster.main is not None:
        launch.terminal.take_back(machine.roster.main.pgid)
    if serving is not None:
        serving.clean()
    if termination_log is not None:
        _last_word(termination_log, launch, log)
    if control is not None:
        control.last_words()
    log.close(LAST_FLUSH_S)
    return status


def _control(  # noqa: PLR0913, PLR0917  # all that can be asked about
    launch: Launch,
    machine: Machine | Lives,
    effects: Effects,
    log: Log,
    sources: Sources,
    loop: Loop,
) -> tuple[Control | None, dict[str, str]]:
    """Open the control socket, unless it is not wanted; with it come the facts of why it cannot be, or none."""
    if not launch.settings.control:
        return None, {}
    from pyinit.control import listener

    try:
        return listener.Control(launch, machine, effects, log, sources, loop), {}
    except OSError as error:
        return None, listener.lack(listener.why_not(error))


def _core(policy: Policy) -> Machine | Lives:
    """Return the core: the machine of one run, or what has one for each run."""
    if policy.restart == RESTART_NO:
        return Machine(policy)
    from pyinit.core.lives import Lives

    return Lives(policy)


def _serve(
    launch: Launch, effects: Effects, log: Log, sources: Sources, take: Callable[[events.Event], None]
) -> Serving | None:
    """Add the hands for the service, where anything is asked for that needs them."""
    settings = launch.settings
    asked = settings.pid_file or settings.notify or settings.stop_command or settings.reload_command
    if not asked and not posix.environ.get(b"NOTIFY_SOCKET"):
        return None
    from pyinit.serving import Serving

    serving = Serving(launch, log, sources, take)
    effects.add(serving.calls)
    return serving


def _termination_log(launch: Launch) -> str | None:
    """Return where the last record is to be left: as --termination-log says, or where Kubernetes has put a file."""
    if launch.settings.termination_log is not None:
        return launch.settings.termination_log
    return TERMINATION_LOG if launch.pid1 and posix.access(TERMINATION_LOG, posix.F_OK) else None


def _last_word(path: str, launch: Launch, log: Log) -> None:
    """Leave the last record there, where main has left none of its own in the file of Kubernetes."""
    asked = launch.settings.termination_log is not None
    if log.last_word is None or not (asked or _is_empty(path)):
        return
    from pyinit import termination

    # Nobody hears of it when this fails: the last record has been written. Whether it can be was seen at the start.
    termination.write(path, asked, *log.last_word)


def _is_empty(path: str) -> bool:
    """Say whether a file is there, and holds nothing: main has left no last word of its own."""
    try:
        return posix.stat(path).st_size == 0
    except OSError:
        return False


def _warn_as_tini(launch: Launch, log: Log) -> None:
    """Say what tini says before all else: that it cannot reap, where it cannot."""
    settings = launch.settings
    if settings.persona == "tini" and settings.verbosity and not launch.pid1 and not settings.subreaper:
        from pyinit import peers_texts

        log.say(peers_texts.no_reaper(posix.getpid()))


def refuse(launch: Launch, error: SpawnError) -> int:
    """Tell why main could not be started; return the status. Under a peer's name in its words, and with its status."""
    settings = launch.settings
    step = error.step
    if settings.persona != "pyinit" and step is None:
        from pyinit import peers_texts

        if error.pid:
            status, text = peers_texts.exec_failure(settings, settings.command[0], error.errno, error.pid)
        else:
            status, text = peers_texts.fork_failure(settings, error.errno, posix.getpid())
        log = _open_log(launch)
        _warn_as_tini(launch, log)
        log.say(text)
        log.close(LAST_FLUSH_S)
        return status
    status = error.status if settings.persona == "pyinit" else settings.error_status
    log = _open_log(launch)
    facts: dict[str, object] = {
        "command": settings.command[0],
        "errno": error.errno,
        "status": status,
        "reason": error.reason,
        "option": step.option if step is not None else None,
        "value": step.value if step is not None else None,
    }
    log.report("spawn.failed", facts)
    termination_log = _termination_log(launch)
    if termination_log is not None:
        _last_word(termination_log, launch, log)
    log.close(LAST_FLUSH_S)
    return status


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
    if launch.plan.child is not None and launch.plan.child.uid is not None:
        _say_who_is_out_of_reach(launch.plan.child.uid, log)
    if not proc.usable:
        effect = "processes have no names in the log, and only direct children are signalled at a stop"
        log.report("pyinit.degraded", _lack("/proc", "not mounted, or of another PID namespace", effect))
    elif not proc.lists_children:
        log.report("pyinit.degraded", _lack("/proc children files", "not in this kernel", "all of /proc is scanned"))
    if launch.uncleaned is not None:
        effect = "main may take the PID file of an earlier run for its own"
        log.report("pyinit.degraded", _lack("--clean-pid-file", launch.uncleaned, effect))
    if launch.pid1 and posix.access(TERMINATION_LOG, posix.F_OK) and not posix.access(TERMINATION_LOG, posix.W_OK):
        reason = f"{TERMINATION_LOG} may not be written"
        log.report("pyinit.degraded", _lack("--termination-log", reason, "the last word is in the log alone"))
    if launch.pid1 and not launch.marked and proc.usable:
        effect = "orphans of docker exec and of health checks count as the service's own"
        log.report("pyinit.degraded", _lack("/proc/self/coredump_filter", "cannot be set", effect))


def _say_who_is_out_of_reach(uid: int, log: Log) -> None:
    from pyinit.child import capabilities

    try:
        reached = capabilities.may_signal(uid)
    except OSError:
        return  # no answer is no reason to warn
    if not reached:
        reason = f"main runs as uid {uid}, and pyinit, uid {posix.geteuid()}, has no CAP_KILL"
        effect = "pyinit cannot stop it, nor forward signals to it: give pyinit CAP_KILL, or start it as that user"
        log.report("pyinit.degraded", _lack("--user", reason, effect))


def _lack(feature: str, reason: object, effect: str) -> dict[str, object]:
    return {"feature": feature, "reason": str(reason), "effect": effect}


def _let_go(launch: Launch) -> None:
    """Let go of every descriptor above 2 that is not our own: they were for main.

    Where another main may be started, what was passed on to the first is kept for it, and for nobody else.
    """
    again = launch.settings.restart != RESTART_NO
    keep = {launch.signals_fd, launch.log_fd, launch.proc.fd, launch.terminal.fd}
    if again or launch.settings.stop_command or launch.settings.reload_command:
        keep.add(launch.home)
    if again and launch.plan.child is not None:
        keep.update(launch.plan.child.held)
    if launch.inbox is not None:
        keep.add(launch.inbox.fd)
    try:
        held = [int(name) for name in posix.listdir("/proc/self/fd")] if launch.proc.usable else range(3, MAX_FDS)
    except OSError:
        held = range(3, MAX_FDS)
    for fd in held:
        if fd > STDERR and fd not in keep:
            try:
                if again and posix.get_inheritable(fd):
                    posix.set_inheritable(fd, False)  # noqa: FBT003  # the only way to say it
                    launch.passed.append(fd)
                else:
                    posix.close(fd)
            except OSError:
                continue
