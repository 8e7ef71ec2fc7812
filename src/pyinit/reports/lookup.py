"""Says what would become of a path, without doing it: whether it would be executed, whether it could be written to.

For --check and --dry-run only. Nothing is executed, created or changed.
"""

from __future__ import annotations

import posix
import stat

from pyinit import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_ENOENT = 2
_ENOEXEC = 8
_EACCES = 13
_EROFS = 30
_ELOOP = 40

_HEAD = 4096
_OFFSET_MAX = 2**63 - 1  # off_t
_INTERPRETERS_MAX = 5  # execve(2): a script whose interpreter is a script, and so on
_ELF = b"\x7fELF"
_PT_INTERP = 3


class Lookup:
    """What would become of a command.

    Attributes:
        path: what would be executed, or None.
        argv: the arguments that it would get; a script without an interpreter line is one for /bin/sh.
        status: the exit status of a run that cannot start it: 126 or 127; 0 where it can.
        reason: why it cannot be started, or None.
    """

    __slots__ = ("argv", "path", "reason", "status")

    def __init__(self, path: bytes | None, argv: Sequence[bytes], status: int = 0, reason: str | None = None) -> None:
        self.path = path
        self.argv = argv
        self.status = status
        self.reason = reason


class _Found(Exception):  # noqa: N818  # what is looked for is no error
    def __init__(self, path: bytes, argv: Sequence[bytes]) -> None:
        super().__init__(path)
        self.path = path
        self.argv = argv


def command(argv: Sequence[bytes], path: bytes) -> Lookup:
    """Look for a command in these folders the way it is looked for when it is started."""
    try:
        spawn.try_each(argv, path, _pretend)
    except _Found as found:
        return Lookup(found.path, found.argv)
    except spawn.SpawnError as error:
        return Lookup(None, (), error.status, error.reason)
    return Lookup(None, (), spawn.NOT_FOUND)  # not reached: one of them is always raised


def _pretend(path: bytes, argv: list[bytes]) -> None:
    """Raise what execve(2) would raise, or that it would succeed."""
    _look(path, _INTERPRETERS_MAX)
    raise _Found(path, argv)


def _look(path: bytes, deep: int) -> None:
    _look_whether_executable(path)
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return  # may be executed, and not be read
    try:
        head = posix.read(fd, _HEAD)
        loader = _elf_interpreter(fd, head) if head.startswith(_ELF) else None
    finally:
        posix.close(fd)
    words = head[2:].partition(b"\n")[0].partition(b"\0")[0].split(None, 1) if head.startswith(b"#!") else []
    if words:
        if not deep:
            raise OSError(_ELOOP, posix.strerror(_ELOOP))
        _look(words[0], deep - 1)
    elif loader is not None:
        _look_whether_executable(loader)  # it is mapped, and not asked for a loader of its own
    elif not head.startswith(_ELF):
        raise OSError(_ENOEXEC, posix.strerror(_ENOEXEC))


def _look_whether_executable(path: bytes) -> None:
    if not stat.S_ISREG(posix.stat(path).st_mode) or not posix.access(path, posix.X_OK, effective_ids=True):
        raise OSError(_EACCES, posix.strerror(_EACCES))


def _elf_interpreter(fd: int, head: bytes) -> bytes | None:
    """Return the dynamic loader that a program asks for (elf(5)), None where it needs none or cannot be read."""
    wide, order = head[4:5] == b"\x02", "little" if head[5:6] == b"\x01" else "big"

    def number(data: bytes, at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]  # one of the two

    table = number(head, 32, 8) if wide else number(head, 28, 4)
    size, count = (number(head, 54, 2), number(head, 56, 2)) if wide else (number(head, 42, 2), number(head, 44, 2))
    for i in range(count):
        row = _read_at(fd, size, table + i * size)
        if number(row, 0, 4) == _PT_INTERP:
            at, length = (number(row, 8, 8), number(row, 32, 8)) if wide else (number(row, 4, 4), number(row, 16, 4))
            return _read_at(fd, min(length, _HEAD), at).partition(b"\0")[0] or None
        if not row:
            break
    return None


def _read_at(fd: int, size: int, at: int) -> bytes:
    """Return what is at an offset; nothing where no file has that one."""
    return posix.pread(fd, size, at) if at <= _OFFSET_MAX else b""


def write_problem(path: str, flags: int = 0) -> str | None:
    """Say why a file could not be opened to add to it, or made, or None; `flags` are more of those of open(2)."""
    flags |= posix.O_WRONLY | posix.O_APPEND | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY
    try:
        posix.close(posix.open(path, flags))
    except FileNotFoundError:
        return _making_problem(path)
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None


def _making_problem(path: str) -> str | None:
    folder = path.rpartition("/")[0] or ("/" if path.startswith("/") else ".")
    if path.endswith("/"):
        return posix.strerror(21)  # EISDIR
    try:
        read_only = posix.statvfs(folder).f_flag & posix.ST_RDONLY
        is_folder = stat.S_ISDIR(posix.stat(folder).st_mode)
    except OSError as error:
        return error.strerror
    if not is_folder:
        return posix.strerror(20)  # ENOTDIR
    if read_only:
        return posix.strerror(_EROFS)
    if not posix.access(folder, posix.W_OK | posix.X_OK, effective_ids=True):
        return posix.strerror(_EACCES)
    return None
