"""The variables that main gets: pyinit's own or none, the user's, those of files, those of the command line."""

from pyinit.child import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Changes = dict[bytes, bytes | None]

_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\v\f"
_FD_FIRST = 3  # SD_LISTEN_FDS_START, sd_listen_fds(3)
_COUNT_DIGITS_MAX = 6
# Who gives a process descriptors tells it so (sd_listen_fds(3)).
_LISTEN = (b"LISTEN_FDS", b"LISTEN_FDNAMES", b"LISTEN_PID", b"LISTEN_PIDFDID")


class WrongLine(Exception):  # noqa: N818  # the line is wrong, not the program
    """A line of a file of variables is none; the text says which and why."""


def read_file(path: str, environ: "Mapping[bytes, bytes]") -> "Changes":
    """Return the variables of a file as `docker run --env-file` reads it. Raises OSError and WrongLine."""
    return parse_file(files.read(path), environ)


def parse_file(data: bytes, environ: "Mapping[bytes, bytes]") -> "Changes":
    """Return the variables that a file sets.

    One `NAME=VALUE` a line. What is blank, and what begins with `#`, counts for nothing. The value is all that stands
    behind the first `=`: no quotes, no escapes, no comments in it. `NAME` alone takes the value from `environ`, and
    is left out where that has none. Raises WrongLine.
    """
    found: Changes = {}
    for number, whole in enumerate(data.removeprefix(_BOM).split(b"\n"), 1):
        line = whole.removesuffix(b"\r").lstrip(_BLANK)
        if not line or line.startswith(b"#"):
            continue
        name, equals, value = line.partition(b"=")
        if not name:
            raise WrongLine(f"line {number} has no name in front of its =; write NAME=VALUE")
        if any(blank in name for blank in _BLANK):
            raise WrongLine(f"line {number} has a blank in the name of its variable; write NAME=VALUE")
        if b"\0" in line:
            raise WrongLine(f"line {number} holds a NUL byte, which no variable can have; take it out")
        _set(found, name, value if equals else None, environ)
    return found


def _set(changes: "Changes", name: bytes, value: "bytes | None", environ: "Mapping[bytes, bytes]") -> None:
    """Note a variable; None stands for the value that pyinit has itself."""
    changes[name] = environ.get(name) if value is None else value


def given(texts: "Iterable[str]", environ: "Mapping[bytes, bytes]") -> "Changes":
    """Return what `--env` sets: NAME=VALUE, or NAME with the value that pyinit has itself."""
    found: Changes = {}
    for text in texts:
        name, equals, value = text.encode("utf-8", "surrogateescape").partition(b"=")
        _set(found, name, value if equals else None, environ)
    return found


def without_descriptors(kept: "Iterable[int]", environ: "Mapping[bytes, bytes]") -> "Changes":
    """Return what takes LISTEN_FDS and its kin out, where not all of the descriptors that it counts are kept."""
    count = environ.get(_LISTEN[0], b"")
    if count.isdigit() and len(count) <= _COUNT_DIGITS_MAX:
        listened = range(_FD_FIRST, _FD_FIRST + int(count))
        if listened and set(listened) <= set(kept):
            return {}
    return {name: None for name in _LISTEN if name in environ}
