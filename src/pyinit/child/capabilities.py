"""What main may do besides what its user may: capabilities(7) and secure bits.

--cap-keep names all that main has: the bounding set becomes these, and so do the permitted, effective, inheritable and
ambient set, so that they outlive a change of user and the exec. --cap-drop takes capabilities out of all five. `all`
in one of them gives way to a name in the other.
"""

import posix

from pyinit.child import calls
from pyinit.child.values import ALL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_EPERM = 1
_CAP_KILL = 5
_STATUS = "/proc/self/status"
_STATUS_MAX = 16384


class Capabilities:
    """The capabilities of main: before the change of user, while pyinit's own count, and behind it.

    `keep` and `drop` are what the options name, ALL among them; keep is None where --cap-keep was not given. With
    `forget` main becomes somebody else who is not root: then it has none but those of `keep`.
    """

    def __init__(self, keep: "Iterable[int] | None", drop: "Iterable[int]", *, forget: bool) -> None:
        self.keep = None if keep is None else frozenset(keep)
        self.drop = frozenset(drop)
        self._forget = forget
        self._permitted = self._inheritable = 0

    def keeps(self, capability: int) -> bool:
        """Say whether main may have a capability: a name says more than `all`."""
        if capability in self.drop or self.keep is None or capability in self.keep:
            return capability not in self.drop and (self.keep is not None or ALL not in self.drop)
        return ALL in self.keep

    def kept(self, have: int) -> int:
        """Return what main may have of a set, given and returned as bits."""
        return _bits([number for number in range(have.bit_length()) if have >> number & 1 and self.keeps(number)])

    def limit(self) -> None:
        """Take out of the bounding set what main is not to get by any exec. Needs CAP_SETPCAP. Raises OSError."""
        for capability in calls.bounding():
            if not self.keeps(capability):
                calls.drop_bounding(capability)

    def select(self) -> None:
        """Behind the change of user: have what was asked for, and CAP_SETPCAP until `settle`. Raises OSError."""
        _, have, inheritable = calls.capabilities()
        if self.keep is not None:
            if _bits(self.keep) & ~have:
                raise OSError(_EPERM, posix.strerror(_EPERM))  # pyinit itself has not all that was asked for
            self._permitted = self._inheritable = self.kept(have)
        elif not self._forget:
            self._permitted, self._inheritable = self.kept(have), self.kept(inheritable)
        calls.set_capabilities(have, have, self._inheritable)
        if self.keep is not None or self._forget:
            calls.clear_ambient()
        if self.keep is not None:
            for capability in range(self._permitted.bit_length()):
                if self._permitted >> capability & 1:
                    calls.raise_ambient(capability)

    def settle(self) -> None:
        """Let go of what `select` has left for the secure bits. Raises OSError."""
        calls.set_capabilities(self._permitted, self._permitted, self._inheritable)


class Emptied:
    """Sees to it that a change of user has left no capability, which the kernel does by itself where root goes.

    It does not where a secure bit forbids it. The file is opened before limits could forbid another descriptor.
    """

    def __init__(self, forgetful: Capabilities) -> None:
        self._forgetful = forgetful
        self._fd = -1

    def open(self) -> None:
        """Open what tells the capabilities of this process. Raises OSError."""
        self._fd = posix.open(_STATUS, posix.O_RDONLY | posix.O_CLOEXEC)

    def check(self) -> None:
        """Take what is left of them. Raises OSError."""
        status = posix.read(self._fd, _STATUS_MAX)
        posix.close(self._fd)
        if not all(_is_empty(status, name) for name in (b"CapInh", b"CapPrm", b"CapEff", b"CapAmb")):
            self._forgetful.select()
            self._forgetful.settle()


def root_forgets() -> bool:
    """Say whether the kernel is expected to leave no capability when this process stops being root."""
    try:
        fd = posix.open(_STATUS, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return False
    try:
        return 0 in posix.getresuid() and _is_empty(posix.read(fd, _STATUS_MAX), b"CapInh")
    finally:
        posix.close(fd)


def may_signal(uid: int) -> bool:
    """Say whether this process may signal those of a user: as the same user, or with CAP_KILL (kill(2))."""
    return uid in (posix.getuid(), posix.geteuid()) or bool(calls.capabilities()[0] >> _CAP_KILL & 1)


def _is_empty(status: bytes, name: bytes) -> bool:
    """Say whether a set of capabilities in /proc/PID/status is empty; false where it is not told."""
    text = status.partition(name + b":")[2].split(maxsplit=1)
    return bool(text) and not text[0].strip(b"0")


def _bits(capabilities: "Iterable[int]") -> int:
    """Return the bits of the capabilities that are named; ALL names none by itself."""
    bits = 0
    for capability in capabilities:
        if capability != ALL:
            bits |= 1 << capability
    return bits
