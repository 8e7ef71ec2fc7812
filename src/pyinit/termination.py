"""Leaves the last word of a run in a file, for Kubernetes to show: /dev/termination-log.

The kubelet makes that file on the node and mounts it into the container. When the container is over it takes the file's
last 4096 bytes into the state of the pod, and of these only the first where a pod has more than three containers. So
the sentence comes first, and all of it is no longer than that. It has to be that file: one that replaced it would not
be seen. Imported at the end of a run.
"""

from __future__ import annotations

import posix
from errno import EAGAIN, EISDIR, ELOOP, ENOENT, ENXIO, errorcode

from pyinit.log.cut import CUT
from pyinit.log.render import printable

# What Kubernetes takes of the file, in bytes.
SIZE_MAX = 4096

# O_NONBLOCK: a FIFO that nobody reads must not hold up PID 1. O_NOFOLLOW: main may be another uid than pyinit, and may
# have put a link there to a file that is none of its business.
_FLAGS = posix.O_WRONLY | posix.O_TRUNC | posix.O_NONBLOCK | posix.O_NOFOLLOW | posix.O_NOCTTY | posix.O_CLOEXEC

_REASONS = {
    EAGAIN: "takes nothing now",
    EISDIR: "is a directory",
    ELOOP: "is a symbolic link, which pyinit does not follow here",
    ENXIO: "is a FIFO that nobody reads, or a socket",
}


def write(path: str, create: bool, sentence: str, record: bytes) -> str | None:  # noqa: FBT001  (the option is given, or is not)
    """Write the sentence, a newline and the record into the file, which loses what was in it. Never waits or raises.

    Args:
        path: the file. It is written in place; a symbolic link is not followed (its directories may be links).
        create: make the file where it is missing, readable for its owner and group; else there is nothing to do then.
        sentence: for people; control characters are escaped, and it is cut where the two have more than 4096 bytes.
        record: a line of JSON with its newline. It is there as a whole or not at all: with one that leaves no room for
            a sentence, the sentence stands alone.

    Returns:
        None, or why the file was not written, as what is to be said of it: "is a directory".

    """
    data = message(sentence, record)
    try:
        fd = posix.open(path, _FLAGS | (posix.O_CREAT if create else 0), 0o640)
        try:
            done = posix.write(fd, data)
            if done < len(data):
                posix.ftruncate(fd, data.rfind(b"\n", 0, done) + 1)
                return f"has room for {done} of {len(data)} bytes only"
        finally:
            posix.close(fd)
    except OSError as error:
        number = error.errno or 0
        if number == ENOENT and not create:
            return None
        name = errorcode.get(number, f"E{number}")
        return f"{_REASONS.get(number, 'cannot be written')} ({name})"
    except ValueError:
        return "has a name that no file can have"
    return None


def message(sentence: str, record: bytes) -> bytes:
    """Return what is to be written: at most 4096 bytes, UTF-8, the sentence on one line and the record on another."""
    told = printable(sentence).encode()
    room = SIZE_MAX - len(record) - 1
    if room < min(len(told), len(CUT) + 1):
        record, room = b"", SIZE_MAX - 1
    if len(told) > room:
        # A character that was cut in two is left out.
        told = told[: room - len(CUT)].decode(errors="ignore").encode() + CUT.encode()
    return told + b"\n" + record
