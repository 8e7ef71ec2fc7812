"""The descriptors that main gets: standard input, a terminal, and which of those above 2."""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_FD_FIRST = 3
_FDS_MAX = 65536  # without /proc, so many are looked at
_TERMINALS = ("/dev/pts", "/dev")
_TTY = 5  # the major number of /dev/tty, which stands for the controlling terminal
_TIOCSCTTY = 0x540E
_STDERR = 2
_EIO = 5
_ENOTTY = 25


def inherited() -> "list[int]":
    """Return the descriptors above 2 that would come to main; pyinit's own are closed by the exec."""
    try:
        numbers: Iterable[int] = [int(name) for name in posix.listdir("/proc/self/fd")]
    except OSError:
        numbers = range(_FD_FIRST, min(posix.sysconf("SC_OPEN_MAX"), _FDS_MAX))
    return sorted(fd for fd in numbers if fd >= _FD_FIRST and passes(fd))


def passes(fd: int) -> bool:
    """Say whether a descriptor is open and goes through an exec."""
    try:
        return posix.get_inheritable(fd)
    except OSError:
        return False


def close_all(fds: "Iterable[int]") -> None:
    """Close descriptors (close(2)); one that cannot be closed properly is closed all the same."""
    for fd in fds:
        try:
            posix.close(fd)
        except OSError:
            continue


def open_null() -> int:
    """Open /dev/null, for standard input: here, before limits could forbid it. Raises OSError."""
    return posix.open("/dev/null", posix.O_RDONLY | posix.O_CLOEXEC)


def open_terminal(path: str) -> int:
    """Open a terminal, without making it ours and without waiting for its line. Raises OSError (ENOTTY for a file)."""
    name = path.encode("utf-8", "surrogateescape")
    fd = posix.open(name, posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    if not posix.isatty(fd):
        posix.close(fd)
        raise OSError(_ENOTTY, posix.strerror(_ENOTTY))
    posix.set_blocking(fd, True)
    return fd


def is_ours(fd: int) -> bool:
    """Say whether a terminal is the controlling terminal of this process."""
    device = posix.fstat(fd).st_rdev
    return _stands_for_ours(device) or _ours() == (posix.major(device), posix.minor(device))


def name_for_good(fd: int, path: str) -> str:
    """Return a name of a terminal that will still mean it when it is not ours any more, which /dev/tty does not.

    The path itself where there is no other.
    """
    if not _stands_for_ours(posix.fstat(fd).st_rdev):
        return path
    ours = _ours()
    for folder in _TERMINALS:
        try:
            names = posix.listdir(folder)
        except OSError:
            continue
        for name in names:
            try:
                device = posix.stat(f"{folder}/{name}").st_rdev  # 0 for what is no device
            except OSError:
                continue
            if (posix.major(device), posix.minor(device)) == ours:
                return f"{folder}/{name}"
    return path


def _stands_for_ours(device: int) -> bool:
    return (posix.major(device), posix.minor(device)) == (_TTY, 0)


def _ours() -> "tuple[int, int] | None":
    """Return major and minor number of our controlling terminal; None where /proc does not say."""
    try:
        stat = posix.open("/proc/self/stat", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return None
    try:
        ours = int(posix.read(stat, 4096).rpartition(b")")[2].split()[4])  # tty_nr, proc_pid_stat(5)
    finally:
        posix.close(stat)
    return ours >> 8 & 0xFFF, ours & 0xFF | ours >> 12 & 0xFFF00


def control(fd: int, path: str) -> "Callable[[], None]":
    """Return what makes a terminal the controlling one of a new session (TIOCSCTTY), and its descriptors 0 to 2.

    The kernel hangs a line or a console up when the leader of its session ends, and any terminal for vhangup(2): the
    next main needs it to be opened anew.
    """
    import fcntl

    def apply() -> None:
        terminal = fd
        try:
            fcntl.ioctl(terminal, _TIOCSCTTY, 0)
        except OSError as error:
            if error.errno != _EIO:
                raise
            terminal = open_terminal(path)
            fcntl.ioctl(terminal, _TIOCSCTTY, 0)
        for standard in range(_STDERR + 1):
            posix.dup2(terminal, standard)

    return apply
