"""Reads the small files that say what main is to be: passwd(5), group(5), files of variables."""

import posix

# More than any such file has, in bytes; what is bigger is none.
SIZE_MAX = 1 << 24
_CHUNK = 1 << 16
_EINVAL = 22
# stat.h
_S_IFMT, _S_IFREG, _S_IFCHR = 0o170000, 0o100000, 0o020000
_NULL = (1, 3)  # the numbers of /dev/null, null(4)


def read(path: str) -> bytes:
    """Return what is in an ordinary file, and nothing of /dev/null. Never waits.

    Raises OSError; EINVAL, with a reason, where it is no ordinary file or has more than 16 MiB.
    """
    name = path.encode("utf-8", "surrogateescape")
    fd = posix.open(name, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY)
    try:
        seen = posix.fstat(fd)
        kind = seen.st_mode & _S_IFMT
        null = kind == _S_IFCHR and (posix.major(seen.st_rdev), posix.minor(seen.st_rdev)) == _NULL
        if kind != _S_IFREG and not null:
            raise OSError(_EINVAL, "not an ordinary file")
        parts = []
        size = 0
        while part := posix.read(fd, _CHUNK):
            parts.append(part)
            size += len(part)
            if size > SIZE_MAX:
                raise OSError(_EINVAL, "more than 16 MiB")
    finally:
        posix.close(fd)
    return b"".join(parts)
