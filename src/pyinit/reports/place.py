"""Gathers the facts for --check. What it tries on itself ends with this process: nothing stays changed or running.

`pyinit.reports.checkup` decides what the facts mean.
"""

from __future__ import annotations

import posix
import sys

from pyinit import cgroup, kernel, oom, signames, spawn
from pyinit.options import DEFAULT
from pyinit.procfs import Proc
from pyinit.reports import lookup
from pyinit.reports.model import Facts
from pyinit.run import TERMINATION_LOG
from pyinit.terminal import Terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyinit.settings import Settings
    from pyinit.spawn import Inherited

_STDERR = 2
_CAP_KILL = 5
_CAP_SETUID = 7
_CHUNK = 1 << 16


def gathered(
    settings: Settings,
    inherited: Inherited,
    changes: Mapping[bytes, bytes | None],
    main_uid: int | None,
    *,
    launcher: bool,
) -> Facts:
    """Look at this place, and return what was found.

    `changes` is what is different in main's environment, `main_uid` the user that main becomes, or None.
    """
    pid = posix.getpid()
    proc = Proc(pid)
    status = _status() if proc.usable else {}
    effective = int(status["CapEff"], 16) if "CapEff" in status else None
    subreaper_problem = _subreaper_problem()
    log, log_problem, log_heard = _log(settings, inherited)
    termination = settings.termination_log
    if termination is None and pid == 1 and posix.access(TERMINATION_LOG, posix.F_OK):
        termination = TERMINATION_LOG
    cgroup_version, cgroup_kill = _control_group()
    libc = posix.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in posix.confstr_names else None
    path = spawn.search_path(changes, clear=settings.clear_env)
    found = lookup.command(list(map(_bytes, settings.command)), path) if settings.command else None
    return Facts(
        pid1=pid == 1,
        kernel=posix.uname().release,
        subreaper_problem=subreaper_problem,
        seccomp=int(status["Seccomp"]) if "Seccomp" in status else None,
        no_new_privs=status["NoNewPrivs"] == "1" if "NoNewPrivs" in status else None,
        proc=proc.usable,
        hidepid=proc.usable and _hides_processes(),
        children=proc.lists_children,
        marks=pid == 1 and proc.mark_descendants(),
        pidfd_problem=_pidfd_problem(pid),
        prctl_problem=kernel.backend_error(),
        structlog_problem=_structlog_problem(),
        terminal="none" if Terminal().fd < 0 else "there",
        tty=None if settings.tty is None else _text(_bytes(settings.tty)),
        own_session=settings.setsid if settings.sources["setsid"] != DEFAULT else None,
        log=log,
        log_problem=log_problem,
        log_heard=log_heard,
        log_option=settings.log_file is not None,
        termination=termination,
        termination_problem=lookup.write_problem(termination, posix.O_NOFOLLOW) if termination else None,
        grace_s=max(settings.grace_s, settings.grace_max_s or 0.0),
        kubernetes=b"KUBERNETES_SERVICE_HOST" in posix.environ,
        uid=posix.geteuid(),
        gid=posix.getegid(),
        main_uid=main_uid,
        can_become=None if effective is None else bool(effective >> _CAP_SETUID & 1),
        can_kill=None if effective is None else bool(effective >> _CAP_KILL & 1),
        cgroup=cgroup_version,
        counts_oom=oom.OomKills().counts,
        cgroup_kill=cgroup_kill,
        libc=libc or "",
        python=sys.version.partition(" ")[0],
        isolated=bool(sys.flags.isolated),
        launcher=launcher,
        ignored=_names(signo for signo in settings.stop_on if inherited.ignored >> (signo - 1) & 1),
        blocked=_names(signo for signo in settings.stop_on if inherited.mask >> (signo - 1) & 1),
        unknown=tuple([(_text(_bytes(name)), meant) for name, meant in settings.unknown_variables]),
        command=None if found is None else _text(found.path or _bytes(settings.command[0])),
        command_problem=None if found is None else found.reason,
    )


def _names(signals: Iterable[int]) -> tuple[str, ...]:
    return tuple(map(signames.name, sorted(signals)))


def _bytes(argument: str) -> bytes:
    return argument.encode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _read(path: str) -> str:
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return ""
    parts = []
    try:
        while part := posix.read(fd, _CHUNK):
            parts.append(part)
    except OSError:
        pass  # what was read is what there is
    finally:
        posix.close(fd)
    return b"".join(parts).decode("utf-8", "backslashreplace")


def _status() -> dict[str, str]:
    """Return what /proc/self/status tells (proc_pid_status(5))."""
    lines = [line.partition(":") for line in _read("/proc/self/status").splitlines()]
    return {name: value.strip() for name, _, value in lines}


def _hides_processes() -> bool:
    """Say whether /proc is mounted with hidepid (proc(5)), as proc_pid_mountinfo(5) tells."""
    hides = False
    for line in _read("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[4:5] == ["/proc"]:  # the last one lies on top
            options = after.split()[-1].split(",")
            hides = any(option.startswith("hidepid=") and option[8:] not in ("0", "off") for option in options)
    return hides


def _subreaper_problem() -> str | None:
    """Try to become a subreaper: this process ends soon, and has no children."""
    try:
        kernel.become_subreaper()
    except OSError as error:
        return f"PR_SET_CHILD_SUBREAPER: {error.strerror}"
    return None


def _pidfd_problem(pid: int) -> str | None:
    """Open ourselves, and send the signal that is none."""
    try:
        fd = kernel.pidfd(pid)
        if fd is None:
            return "pidfd_open: no such process"
        kernel.send_pidfd(fd, 0)
        posix.close(fd)
    except (AttributeError, OSError) as error:
        return f"{getattr(error, 'strerror', None) or error}"
    return None


def _structlog_problem() -> str | None:
    from pyinit.log.render import Renderer

    return Renderer(console=False).problem


def _log(settings: Settings, inherited: Inherited) -> tuple[str, str | None, bool]:
    """Return what the log is written to, why nothing can be written there, and whether anybody reads it."""
    if settings.log_file is not None:
        shown = _text(_bytes(settings.log_file))
        return shown, lookup.write_problem(settings.log_file), settings.log_file != "/dev/null"
    if inherited.closed >> _STDERR & 1:
        return "standard error", "it is closed", True
    from pyinit.log.writer import Writer

    kind, heard = _kind(_STDERR)
    problem = None if Writer(_STDERR).writable else "there is no way to write to it without waiting"
    return f"standard error, {kind}", problem, heard


def _kind(fd: int) -> tuple[str, bool]:
    """Return what a descriptor is, in words, and whether what is written there is kept or read."""
    import stat

    seen = posix.fstat(fd)
    if stat.S_ISCHR(seen.st_mode):
        if posix.isatty(fd):
            return "a terminal", True
        null = posix.stat("/dev/null") if posix.access("/dev/null", posix.F_OK) else None
        is_null = null is not None and null.st_rdev == seen.st_rdev
        return ("/dev/null", False) if is_null else ("a device", True)
    for test, kind in ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISREG, "a file")):
        if test(seen.st_mode):
            return kind, True
    return "something else", True


def _control_group() -> tuple[int, bool]:
    """Return the version of the control groups, 0 where none is to be seen, and whether cgroup.kill can be written."""
    version, kill = 0, False
    for controllers, folder in cgroup.folders():
        version = max(version, 1 if controllers else 2)
        kill = kill or (not controllers and posix.access(f"{folder}/cgroup.kill", posix.W_OK, effective_ids=True))
    return version, kill
