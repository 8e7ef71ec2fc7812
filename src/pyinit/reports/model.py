"""What --check is about: the facts about a place, and the rows that they become."""

from __future__ import annotations

from typing import NamedTuple

OK = "ok"
DEGRADED = "degraded"
MISSING = "missing"


class Facts(NamedTuple):
    """What was found. The defaults describe a container that lacks nothing.

    Attributes:
        pid1: pyinit is the init of its PID namespace.
        kernel: the release that uname(2) tells.
        subreaper_problem: why pyinit cannot become a subreaper, or None.
        seccomp, no_new_privs: as /proc/self/status tells them; None where it does not.
        proc: /proc is mounted, and is that of our PID namespace.
        hidepid: the processes of other users are hidden in it.
        children: it has `children` files.
        marks: the core dump filter can be set, by which orphans from elsewhere are told from main's.
        pidfd_problem: why pidfd_open(2) or pidfd_send_signal(2) cannot be used, or None.
        prctl_problem: why python-prctl cannot be imported, or None.
        structlog_problem: the same for the parts of structlog that the log needs.
        terminal: the kind of the controlling terminal: "none", "own" or "shell".
        tty: the terminal that main is given (--tty), or None.
        own_session: what --setsid, --no-setsid and --tty say; None where none is given.
        log: what the log is written to, in words.
        log_problem: why nothing can be written there, or None.
        log_heard: False where nobody ever reads it (/dev/null).
        log_option: the log is a file of its own (--log-file).
        termination: the path of the last word, or None where there is none to write.
        termination_problem: why it cannot be written, or None.
        grace_s: the longest time between a stop request and SIGKILL (seconds).
        kubernetes: the variables of a pod are there.
        uid, gid: who pyinit is.
        main_uid: the user that main becomes (--user), or None.
        can_become: pyinit has CAP_SETUID; None where that cannot be seen.
        can_kill: pyinit has CAP_KILL; None where that cannot be seen.
        cgroup: the version of the control groups, 0 where none is to be seen.
        counts_oom: OOM kills in our control group are counted where pyinit can read it.
        cgroup_kill: the group has a cgroup.kill that pyinit may write.
        libc: the name and version of the C library, "" where it is not glibc.
        python: the version of the interpreter.
        isolated: the environment of the container cannot change what the interpreter does.
        launcher: the launcher started it.
        ignored, blocked: names of signals that ask for a stop, and that main is to start with ignored or blocked.
        unknown: PYINIT_ variables that mean nothing, each with the one that was perhaps meant.
        command, command_problem: the command, where one was given, and why it cannot be started, or None.
    """

    pid1: bool = True
    kernel: str = "6.18.0"
    subreaper_problem: str | None = None
    seccomp: int | None = 2
    no_new_privs: bool | None = False
    proc: bool = True
    hidepid: bool = False
    children: bool = True
    marks: bool = True
    pidfd_problem: str | None = None
    prctl_problem: str | None = None
    structlog_problem: str | None = None
    terminal: str = "none"
    tty: str | None = None
    own_session: bool | None = None
    log: str = "standard error, a pipe"
    log_problem: str | None = None
    log_heard: bool = True
    log_option: bool = False
    termination: str | None = None
    termination_problem: str | None = None
    grace_s: float = 8.0
    kubernetes: bool = False
    uid: int = 0
    gid: int = 0
    main_uid: int | None = None
    can_become: bool | None = True
    can_kill: bool | None = True
    cgroup: int = 2
    counts_oom: bool = True
    cgroup_kill: bool = False
    libc: str = "glibc 2.36"
    python: str = "3.11.2"
    isolated: bool = True
    launcher: bool = True
    ignored: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    unknown: tuple[tuple[str, str | None], ...] = ()
    command: str | None = None
    command_problem: str | None = None


class Row(NamedTuple):
    """One thing that was looked at.

    Attributes:
        name: what was looked at.
        state: OK, DEGRADED (pyinit does its work, and lacks something) or MISSING (it cannot do its work).
        found: what was found.
        means: what that means.
        remedy: what to do, "" where nothing is to be done.
    """

    name: str
    state: str
    found: str
    means: str
    remedy: str = ""
