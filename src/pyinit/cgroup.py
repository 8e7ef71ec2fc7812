"""Asks the control group who lives in it: of thousands of children that are dead it names none (cgroups(7))."""

from __future__ import annotations

import posix

from pyinit.procfs import read_all

_MOUNT = "/sys/fs/cgroup"


class ControlGroup:
    """The control group that we are in, as far as it can be read here: nothing may depend on it."""

    def __init__(self) -> None:
        self._path: str | None = None

    def living(self) -> list[int]:
        """List the living processes of our control group, ourselves too; none where it does not show them.

        They are numbers of our PID namespace, and anybody's: strangers may be in the same group.
        """
        if self._path is None:
            self._path = next((path for path in _candidates() if posix.getpid() in _numbers(path)), "")
        return _numbers(self._path) if self._path else []


def _candidates() -> list[str]:
    """List where our processes may be named: at our own path (/proc/self/cgroup), or at the root of the mount.

    In a container the path may be the one outside, and the mount may show our group as its root.
    """
    found = []
    for line in read_all("/proc/self/cgroup").decode("utf-8", "surrogateescape").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        mounts = [f"{_MOUNT}/{controllers}"] if controllers else [_MOUNT, f"{_MOUNT}/unified"]
        found += [f"{mount}{at}/cgroup.procs" for mount in mounts for at in (path.rstrip("/"), "")]
    return found


def _numbers(path: str) -> list[int]:
    """List the numbers in a file of the group; 0 stands for whoever is outside of our PID namespace."""
    return [number for number in map(int, read_all(path).split()) if number]
