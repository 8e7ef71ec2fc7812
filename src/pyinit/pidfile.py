"""Reads the PID file of a service, and removes it.

A PID file is hearsay: this says what it holds and whether it is from this run; `pyinit.claims` proves the number.
Imported before main runs: built-in modules only.
"""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from posix import stat_result

_SIZE = 4096  # bytes of the file that are looked at
_DIGITS = 10  # no PID has more
_SHOWN = 40  # bytes of nonsense that a reason quotes
# O_NONBLOCK: a lease or a FIFO put there since we looked must not hold us up (open(2)).
_FLAGS = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC

_ENOENT = 2
_ELOOP = 40
_TYPE = 0o170000  # inode(7): S_IFMT, S_IFREG, S_IFLNK
_REGULAR = 0o100000
_LINK = 0o120000

MISSING = "is not there"
EMPTY = "is empty"
STALE = "is older than this run (stale)"
NOWHERE = "is a symbolic link that leads nowhere"
CIRCLE = "is a symbolic link that leads in a circle"
NOT_REGULAR = "is not a regular file"
REPLACED = "was replaced while it was read"

# What may be removed although it holds no number: nobody keeps anything in it.
_WORTHLESS = (EMPTY, NOWHERE, CIRCLE)


class PidFile:
    """The file that a service writes its PID into. Remembers what is there now: unchanged, it is stale.

    A relative path means the directory that is the current one now. Nothing here raises, and nothing is opened but
    regular files that are not empty: not a device, a FIFO or a file that the kernel makes while it is read.
    """

    __slots__ = ("_before", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        self._before: tuple[int, ...] | None = None
        try:
            if not path.startswith("/"):
                self._path = f"{posix.getcwd()}/{path}"  # pyinit leaves this directory
            self._before = _identity(posix.stat(self._path))
        except (OSError, ValueError):
            return  # missing, or out of reach: whatever is read there later is new

    def read(self) -> tuple[int, str]:
        """Return the number in the file's first line and "", or 0 and a reason such as "is empty".

        The number has at most 10 digits and is not 0; blanks around it count for nothing. A file that is as it was
        when this object was made is refused as stale.
        """
        return self._read(self._before)

    def clean(self) -> str | None:
        """Remove the file that is there before main starts; from then on nothing counts as stale.

        A symbolic link is removed, and not what it leads to. Returns None, also when nothing is there, or the reason
        why the file is left: it cannot be removed, or it holds something else than a process number.
        """
        number, reason = self._read(None)
        failure = self._unlink(reason if number == 0 else "")
        if failure is None:
            self._before = None
        return failure

    def remove(self, pid: int) -> str | None:
        """Remove the file that this run wrote, if its number is still `pid` (0: whatever number it holds).

        A file from before this run, or with another number in it, is somebody else's and stays. Returns None, or the
        reason why the run's own cannot be removed.
        """
        number, reason = self._read(self._before)
        if reason == STALE or (pid and number != pid):
            return None
        return self._unlink(reason)

    def _unlink(self, reason: str) -> str | None:
        if reason == MISSING:
            return None
        if reason and reason not in _WORTHLESS:
            return reason
        try:
            posix.unlink(self._path)
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"cannot be removed ({_name(error)})"
        return None

    def _read(self, before: tuple[int, ...] | None) -> tuple[int, str]:
        try:
            found = posix.stat(self._path)
            reason = _refused(found, before)
            if reason:
                return 0, reason
            fd = posix.open(self._path, _FLAGS)
        except (OSError, ValueError) as error:
            return 0, self._out_of_reach(error)
        try:
            opened = posix.fstat(fd)
            if (opened.st_dev, opened.st_ino) != (found.st_dev, found.st_ino):
                return 0, REPLACED
            reason = _refused(opened, before)
            return (0, reason) if reason else _number(posix.read(fd, _SIZE))
        except OSError as error:
            return 0, f"cannot be read ({_name(error)})"
        finally:
            posix.close(fd)

    def _out_of_reach(self, error: OSError | ValueError) -> str:
        if not isinstance(error, OSError):
            return "has a name that no file can have"
        try:
            link = posix.lstat(self._path).st_mode & _TYPE == _LINK
        except OSError:
            link = False
        if error.errno == _ENOENT:
            return NOWHERE if link else MISSING
        if error.errno == _ELOOP and link:
            return CIRCLE
        return f"{'is a symbolic link to what' if link else ''} cannot be read ({_name(error)})".lstrip()


def _identity(status: stat_result) -> tuple[int, ...]:
    """Return what changes whenever a file is replaced, written or touched (inode(7))."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _refused(status: stat_result, before: tuple[int, ...] | None) -> str:
    if status.st_mode & _TYPE != _REGULAR:
        return NOT_REGULAR
    if _identity(status) == before:
        return STALE
    return "" if status.st_size else EMPTY


def _number(data: bytes) -> tuple[int, str]:
    line = data.split(b"\n", 1)[0].strip()
    if line.isdigit() and len(line) <= _DIGITS and int(line):
        return int(line), ""
    if not data.strip():
        return 0, EMPTY
    more = "..." if len(line) > _SHOWN else ""
    return 0, f"holds no process number: {line[:_SHOWN].decode('utf-8', 'backslashreplace') + more!r}"


def _name(error: OSError) -> str:
    from errno import errorcode

    return errorcode.get(error.errno or 0, f"E{error.errno}")
