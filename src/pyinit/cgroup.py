"""The control group that we are in: where its files are, and who lives in it (cgroups(7))."""

from __future__ import annotations

import posix

from pyinit.procfs import read_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_MOUNT = "/sys/fs/cgroup"
_OWN = "/proc/self/cgroup"


def folders() -> Iterator[tuple[str, str]]:
    """Yield the folders that our control groups may have here, each with its controllers as text; none: version 2.

    That is our own path (/proc/self/cgroup), or the root of the mount: in a container the path may be the one outside,
    and the mount may show our group as its root.
    """
    for line in read_all(_OWN).decode("utf-8", "surrogateescape").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for mount in [f"{_MOUNT}/{controllers}"] if controllers else [_MOUNT, f"{_MOUNT}/unified"]:
            for at in (path.rstrip("/"), ""):
                yield controllers, mount + at


class ControlGroup:
    """Our control group, as far as it can be read here: nothing may depend on it."""

    def __init__(self) -> None:
        self._path: str | None = None

    def living(self) -> list[int]:
        """List the living processes of our control group, ourselves too; none where it does not show them.

        They are numbers of our PID namespace, and anybody's: strangers may be in the same group. Of thousands of
        children that are dead it names none.
        """
        if self._path is None:
            paths = (f"{folder}/cgroup.procs" for _, folder in folders())
            self._path = next((path for path in paths if posix.getpid() in _numbers(path)), "")
        return _numbers(self._path) if self._path else []


def _numbers(path: str) -> list[int]:
    """List the numbers in a file of the group; 0 stands for whoever is outside of our PID namespace."""
    return [number for number in map(int, read_all(path).split()) if number]
