"""The one door to the kernel: waiting, signalling, and what python-prctl does for us.

ESRCH and ECHILD are results here, not errors; so is EPERM from a signal. Everything else is raised as OSError.
Imported before main runs: built-in modules only.
"""

from __future__ import annotations

import _signal
import posix

from pyinit.core.model import DUMPED, EXITED, KERNEL, KILLED, SIGKILL, End, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable
    from typing import Any

EPERM = 1
ENOENT = 2
ESRCH = 3
EINTR = 4
EAGAIN = 11
ENOMEM = 12

# What waitid(2) says in si_code of a child that has ended.
_CLD_EXITED = 1
_CLD_DUMPED = 3
_CLD_STOPPED = (4, 5)  # trapped by a debugger, stopped
_RSS_UNIT = 1024  # getrusage(2): ru_maxrss is in kibibytes

# The options of prctl(2) that are used here.
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37

# 32 and 33 belong to the C library's threads.
ALL_SIGNALS = frozenset(range(1, 65)) - {32, 33}

SENT = "sent"
GONE = "gone"
DENIED = "denied"

_SIGCONT: int = _signal.SIGCONT
# Nor can the C library wait for 32 and 33: in a storm they come some milliseconds later, through the signal descriptor.
_NOT_OF_A_CHILD = ALL_SIGNALS - {_signal.SIGCHLD}
_SI_KERNEL = 0x80  # sigaction(2), si_code
_PEEK = posix.WEXITED | posix.WNOHANG | posix.WNOWAIT
_P_ALL = posix.P_ALL
_waitid = posix.waitid
# The ends that there have been, by si_code and si_status: at most some hundreds.
_ends: dict[tuple[int, int], End] = {}


class NoChildren(Exception):  # noqa: N818  # ECHILD is a fact, not an error
    """The kernel says that no child is left, dead or alive (ECHILD)."""


def block_signals() -> None:
    """Block every signal (pthread_sigmask(3)).

    The faults too: one that somebody sends is forwarded like any other, and one that pyinit itself commits ends it all
    the same, because the kernel lets nobody block those.
    """
    _signal.pthread_sigmask(_signal.SIG_BLOCK, ALL_SIGNALS)


def peek() -> tuple[int, End] | None:
    """Look at a zombie child without reaping it (waitid(2), WNOWAIT).

    Returns its PID and how it ended, or None when every child lives. Raises NoChildren.
    """
    try:
        seen = _waitid(_P_ALL, 0, _PEEK)
    except ChildProcessError:
        raise NoChildren from None
    if seen is None:
        return None
    how = seen.si_code, seen.si_status
    return seen.si_pid, _ends.get(how) or _end_of(*how)


def peek_at(pid: int) -> End | None:
    """Look at one child without reaping it; None while it lives, and when it is no child of ours."""
    try:
        seen = _waitid(posix.P_PID, pid, _PEEK)
    except ChildProcessError:
        return None
    return _end_of(seen.si_code, seen.si_status) if seen else None


def anyone_dead() -> bool:
    """Say whether any child has ended and not been reaped."""
    try:
        return posix.waitid(posix.P_ALL, 0, _PEEK) is not None
    except ChildProcessError:
        return False


def is_zombie(pid: int) -> bool:
    """Say whether a child has ended and not been reaped."""
    return peek_at(pid) is not None


def _end_of(code: int, status: int) -> End:
    """Return the end that waitid(2) tells of with si_code and si_status: always the same one for the same two."""
    end = _ends.get((code, status))
    if end is None:
        kind = EXITED if code == _CLD_EXITED else DUMPED if code == _CLD_DUMPED else KILLED
        end = _ends[code, status] = End(kind, status)
    return end


def lives(pid: int) -> bool | None:
    """Say whether a child of ours lives, or is a zombie; None when the PID is no child of ours."""
    try:
        return posix.waitid(posix.P_PID, pid, _PEEK) is None
    except ChildProcessError:
        return None


def is_alive(pid: int) -> bool:
    """Say whether a PID is a child of ours that lives."""
    return lives(pid) is True


def is_child(pid: int) -> bool:
    """Say whether a PID is a child of ours that has not been reaped."""
    return lives(pid) is not None


def group_below(pid: int) -> int:
    """Return the process group of a child, if nobody can be in it who does not descend from a child of ours; else 0.

    Its number is that of its session too, and of a child that we have not reaped: then it is this child who has made
    the session, and a session is left, but never joined (credentials(7)).
    """
    try:
        group = posix.getpgid(pid)
        return group if posix.getsid(pid) == group and is_child(group) else 0
    except OSError:
        return 0


def exists(pid: int) -> bool:
    """Say whether any process, dead or alive, has this PID now (kill(2), signal 0)."""
    return _sent(posix.kill, pid, 0) != GONE


def stopped(pid: int) -> int | None:
    """Say which signal has stopped a child since this was last asked, or None (waitid(2), WSTOPPED)."""
    try:
        seen = posix.waitid(posix.P_PID, pid, posix.WSTOPPED | posix.WNOHANG)
    except ChildProcessError:
        return None
    return seen.si_status if seen is not None and seen.si_code in _CLD_STOPPED else None


def stop_self() -> None:
    """Stop this process with SIGSTOP until SIGCONT comes."""
    posix.kill(posix.getpid(), _signal.SIGSTOP)


def stop_job() -> None:
    """Stop the job that we are part of with SIGTSTP, as the terminal would have, until SIGCONT comes (credentials(7)).

    That is our process group, in which main is not: the script or the pipeline that we were started in stops with us,
    or the shell above would never see its job stop. SIGTSTP takes effect through its default action, which the kernel
    withholds from an orphaned process group: there nobody could ever continue us.
    """
    posix.kill(0, _signal.SIGTSTP)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [_signal.SIGTSTP])
    _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGTSTP])


def newest_pid() -> int:
    """Return the PID that the kernel gives out now: that of a child that is made for this and ends at once.

    Its SIGCHLD is taken off the pending signals, so that nobody wakes up for it; one of another child's that came at
    the same time goes with it: look for zombies afterwards. Raises OSError (fork(2): EAGAIN, ENOMEM).
    """
    waiting = _signal.SIGCHLD in _signal.sigpending()
    pid = posix.fork()
    if pid == 0:
        posix._exit(0)  # noqa: SLF001  # in a forked child nothing else is right
    posix.waitpid(pid, 0)
    if not waiting:
        take_pending((_signal.SIGCHLD,))
    return pid


def reap(pid: int) -> Usage | None:
    """Collect the wait status of a zombie child (wait4(2)); return what it used, None when it was no zombie."""
    try:
        done, _, used = posix.wait4(pid, posix.WNOHANG)
    except ChildProcessError:
        return None
    if done == 0:
        return None
    return Usage(used.ru_utime, used.ru_stime, used.ru_maxrss * _RSS_UNIT)


def bury(pid: int) -> bool:
    """Reap a zombie child of which nobody will be told (waitpid(2)); say whether it had died of SIGKILL."""
    try:
        _, status = posix.waitpid(pid, posix.WNOHANG)
    except ChildProcessError:
        return False
    return posix.WIFSIGNALED(status) and posix.WTERMSIG(status) == SIGKILL


def bury_dead(spared: Container[int], limit: int) -> tuple[list[int], int]:
    """Reap zombie children of which nobody will be told, as far as the first that is `spared`, and so many at most.

    Returns their PIDs, and how many of them had died of SIGKILL. For crowds: of what one of them takes most is to be
    the kernel's work.
    """
    waitid, waitpid, of_all = posix.waitid, posix.waitpid, posix.P_ALL
    pids: list[int] = []
    killed = 0
    try:
        while len(pids) < limit:
            seen = waitid(of_all, 0, _PEEK)
            if seen is None or seen.si_pid in spared:
                break
            pid, status = waitpid(seen.si_pid, posix.WNOHANG)
            if not pid:
                break
            pids.append(pid)
            killed += posix.WTERMSIG(status) == SIGKILL
    except ChildProcessError:
        pass  # the last of them
    return pids, killed


def process_group(pid: int) -> int:
    """Return the process group of a child that has not been reaped (getpgid(2)); 0 where it cannot be told."""
    try:
        return posix.getpgid(pid)
    except OSError:
        return 0


def send_each(pids: Iterable[int], signo: int) -> list[int]:
    """Send a signal, and SIGCONT behind it, to children that have not been reaped; return those that deny it (EPERM).

    For crowds: a call for each of thousands would cost more than the signals do (kill(2)).
    """
    kill = posix.kill
    denied = []
    for pid in pids:
        try:
            kill(pid, signo)
            kill(pid, _SIGCONT)
        except ProcessLookupError:
            continue
        except PermissionError:
            denied.append(pid)
    return denied


def send(pid: int, signo: int) -> str:
    """Send a signal to a child that has not been reaped: SENT, GONE or DENIED (kill(2))."""
    return _sent(posix.kill, pid, signo)


def send_group(pgid: int, signo: int) -> str:
    """Send a signal to a process group: SENT, GONE or DENIED (killpg(3)). A group below 2 is refused as GONE."""
    return _sent(posix.killpg, pgid, signo) if pgid > 1 else GONE


def send_everyone(signo: int) -> str:
    """Send a signal to every process of the PID namespace but ourselves (kill(2), -1).

    Raises PermissionError in a process that is not the namespace's init: there it would reach strangers.
    """
    if posix.getpid() != 1:
        raise PermissionError(EPERM, "kill(-1) is for the init of a PID namespace alone")
    return _sent(posix.kill, -1, signo)


def pidfd(pid: int) -> int | None:
    """Open a descriptor that means this process for good (pidfd_open(2)), or None when it is gone."""
    try:
        return posix.pidfd_open(pid, 0)
    except ProcessLookupError:
        return None


def send_pidfd(fd: int, signo: int) -> str:
    """Send a signal through a pidfd: SENT, GONE or DENIED (pidfd_send_signal(2))."""
    return _sent(_signal.pidfd_send_signal, fd, signo)


def _sent(call: object, target: int, signo: int) -> str:
    try:
        call(target, signo)  # type: ignore[operator]
    except ProcessLookupError:
        return GONE
    except PermissionError:
        return DENIED
    return SENT


def become_subreaper() -> None:
    """Have every orphan below come to this process (PR_SET_CHILD_SUBREAPER, prctl(2)). Raises OSError."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def is_subreaper() -> bool:
    """Say whether this process is a subreaper already (PR_GET_CHILD_SUBREAPER, prctl(2))."""
    backend = prctl_backend()
    try:
        return backend is not None and bool(backend.prctl(_PR_GET_CHILD_SUBREAPER))
    except (OSError, ValueError):
        return False


def set_pdeathsig(signo: int) -> None:
    """Have the kernel send this process a signal when its parent ends (PR_SET_PDEATHSIG, prctl(2)). Raises OSError."""
    prctl(_PR_SET_PDEATHSIG, signo)


def yield_turn() -> None:
    """Let whom we have just woken have this processor before us (sched_yield(2)): else it may wait for our slice."""
    posix.sched_yield()


def signals_wait() -> bool:
    """Say whether a signal other than SIGCHLD is pending (sigpending(2))."""
    return not _signal.sigpending() <= {_signal.SIGCHLD}


def gather(timeout_s: float) -> list[tuple[int, int, int]]:
    """Let ends of children come together for so many seconds, or until another signal comes (sigtimedwait(2)).

    Returns that signal as `read_signals` does. SIGCHLD stays pending, and while it is, no further end wakes anybody.
    Where the call is refused nobody waits.
    """
    try:
        seen = _signal.sigtimedwait(_NOT_OF_A_CHILD, timeout_s)
    except OSError:
        return []
    if seen is None:
        return []
    return [(seen.si_signo, KERNEL if seen.si_code == _SI_KERNEL else seen.si_pid, seen.si_uid)]


def take_pending(signals: Iterable[int]) -> None:
    """Take these signals off the pending ones, without waiting (sigtimedwait(2))."""
    for signo in signals:
        _signal.sigtimedwait([signo], 0)


def set_name(name: str) -> None:
    """Set the name that ps shows (PR_SET_NAME: 15 bytes are kept). Raises OSError."""
    prctl(_PR_SET_NAME, name.encode()[:15])


class _Backend:
    """What python-prctl calls the kernel by, imported when it is first needed: `module`, or `error` where that fails.

    Its module in C, `_prctl`, alone: what `prctl` makes of it (a function for each option, an object for each set of
    capabilities) takes five times as long, in front of main, and fails where it was built against newer headers.
    """

    module: Any = None
    error: str | None = None


def prctl_backend() -> Any:  # noqa: ANN401  # a module without types
    """Return the module in C of python-prctl, or None where it cannot be imported: ImportError without libcap."""
    if _Backend.module is None and _Backend.error is None:
        try:
            import _prctl

            _Backend.module = _prctl
        except Exception as error:  # noqa: BLE001  # whatever a broken extension raises: pyinit must come up
            _Backend.error = f"{type(error).__name__}: {error}"
    return _Backend.module


def backend_error() -> str | None:
    """Say why python-prctl could not be imported, or None."""
    return _Backend.error


def prctl(option: int, value: int | bytes) -> None:
    """Set what `option` names (prctl(2)): by python-prctl, where that is there and knows both. Raises OSError."""
    backend = prctl_backend()
    if backend is not None:
        try:
            backend.prctl(option, value.decode() if isinstance(value, bytes) else value)
        except ValueError:
            pass  # it knows no such option, or no such value; the kernel may
        else:
            return
    libc_prctl(option, value)


def libc_prctl(option: int, value: int | bytes, more: int = 0) -> int:
    """Call prctl(2) through the C library: what python-prctl does not offer, or cannot do here. Raises OSError."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    argument = ctypes.c_char_p(value) if isinstance(value, bytes) else ctypes.c_ulong(value)
    zero = ctypes.c_ulong(0)
    result: int = libc.prctl(ctypes.c_int(option), argument, ctypes.c_ulong(more), zero, zero)
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, posix.strerror(errno))
    return result


def open_signalfd(signals: Iterable[int]) -> int:
    """Open a descriptor that reads signals (signalfd(2)), not blocking, closed on exec. Raises OSError.

    The launcher hands one in; this is for who starts pyinit without it.
    """
    import ctypes

    bits = 0
    for signo in signals:
        bits |= 1 << (signo - 1)
    libc = ctypes.CDLL(None, use_errno=True)
    mask = ctypes.create_string_buffer(bits.to_bytes(8, "little"), 128)
    fd: int = libc.signalfd(-1, mask, posix.O_NONBLOCK | posix.O_CLOEXEC)
    if fd < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, posix.strerror(errno))
    return fd


_INFO = 128  # sizeof(struct signalfd_siginfo)


def read_signals(fd: int) -> list[tuple[int, int, int]]:
    """Read the signals that are waiting, at most 32 of them: (signo, sender_pid, sender_uid) each; see signalfd(2).

    The PID is 0 for a sender outside of our PID namespace, and KERNEL where no process sent it (a terminal).
    """
    try:
        data = posix.read(fd, _INFO * 32)
    except BlockingIOError:
        return []
    word = int.from_bytes
    return [
        (
            word(data[at : at + 4], "little"),
            KERNEL if data[at + 8] == _SI_KERNEL else word(data[at + 12 : at + 16], "little"),
            word(data[at + 16 : at + 20], "little"),
        )
        for at in range(0, len(data), _INFO)
    ]


def close(fd: int) -> None:
    """Close a descriptor of ours (close(2))."""
    posix.close(fd)
