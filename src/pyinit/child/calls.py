"""The calls that only main's environment needs: capabilities, secure bits, no_new_privs, I/O priority.

python-prctl makes those of prctl(2) that it knows. It knows neither the ambient set nor what is newer than itself, and
so it cannot set all capabilities at once: these go through the C library. The parent calls `load` before the fork, so
that nothing is imported in the child.
"""

import posix
import sys

from pyinit import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_KEEPCAPS = 8
_PR_SET_SECUREBITS = 28
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_AMBIENT_RAISE = 2
_AMBIENT_CLEAR_ALL = 4

_CAPABILITIES_MAX = 64
_VERSION_3 = 0x20080522  # _LINUX_CAPABILITY_VERSION_3, capget(2)
_HALF = 32
_MASK = 2**_HALF - 1

# ioprio_set(2) has no function in the C library; its number by machine (uname(2)). All newer ones share arm64's. The
# machine is the kernel's, or a smaller one that somebody wished for (personality(2)): how wide the program is decides.
_IOPRIO_SET = {"x86_64": 251, "i686": 289, "s390x": 282, "ppc64le": 273, "ppc64": 273, "arm": 314}
_IOPRIO_SET_GENERIC = 30
_WITH_32_BITS = {"x86_64": "i686", "i386": "i686", "i486": "i686", "i586": "i686", "aarch64": "arm"}
_WITH_64_BITS = {"i386": "x86_64", "i486": "x86_64", "i586": "x86_64", "i686": "x86_64", "ppcle": "ppc64le"}
_SAME_FOR_BOTH = {"ppc": "ppc64", "s390": "s390x"}
_IOPRIO_WHO_PROCESS = 1
_CLASS_SHIFT = 13


class _Libc:
    """The C library, loaded when it is first needed."""

    module: "Any" = None


def _libc() -> "Any":  # noqa: ANN401  # functions without types
    if _Libc.module is None:
        import ctypes

        _Libc.module = ctypes.CDLL(None, use_errno=True)
    return _Libc.module


def load() -> None:
    """Import what the calls below need."""
    kernel.prctl_backend()
    _libc()


def load_prctl() -> None:
    """Import what those of prctl(2) need; where python-prctl is missing, the C library does all of it."""
    if kernel.prctl_backend() is None:
        _libc()


def bounding() -> "list[int]":
    """Return the capabilities of the bounding set, of all that this kernel has."""
    found = []
    for capability in range(_CAPABILITIES_MAX):
        try:
            if kernel.libc_prctl(_PR_CAPBSET_READ, capability):
                found.append(capability)
        except OSError:  # EINVAL: the last one was the last one
            break
    return found


def drop_bounding(capability: int) -> None:
    """Take a capability out of the bounding set (PR_CAPBSET_DROP). Raises OSError (EPERM)."""
    kernel.prctl(_PR_CAPBSET_DROP, capability)


def keep_capabilities() -> None:
    """Have a change of user keep the permitted set, until the exec (PR_SET_KEEPCAPS). Raises OSError (EPERM)."""
    kernel.prctl(_PR_SET_KEEPCAPS, 1)


def set_securebits(bits: int) -> None:
    """Set the secure bits, all of them (PR_SET_SECUREBITS). Raises OSError (EPERM)."""
    kernel.prctl(_PR_SET_SECUREBITS, bits)


def set_no_new_privs() -> None:
    """Have no exec give privileges, for good (PR_SET_NO_NEW_PRIVS). Raises OSError."""
    kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1)


def clear_ambient() -> None:
    """Empty the ambient set (PR_CAP_AMBIENT_CLEAR_ALL). Raises OSError."""
    kernel.libc_prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)


def raise_ambient(capability: int) -> None:
    """Put a permitted and inheritable capability into the ambient set. Raises OSError (EPERM)."""
    kernel.libc_prctl(_PR_CAP_AMBIENT, _AMBIENT_RAISE, capability)


def capabilities() -> "tuple[int, int, int]":
    """Return the effective, permitted and inheritable set of this process as bits (capget(2)). Raises OSError."""
    import ctypes

    header, data = _header(), (ctypes.c_uint32 * 6)()
    if _libc().capget(header, data) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, posix.strerror(errno))
    effective, permitted, inheritable = (data[at] | data[at + 3] << _HALF for at in range(3))
    return effective, permitted, inheritable


def set_capabilities(effective: int, permitted: int, inheritable: int) -> None:
    """Set all three sets at once (capset(2)). Raises OSError (EPERM)."""
    import ctypes

    sets = (effective, permitted, inheritable)
    data = (ctypes.c_uint32 * 6)(*[bits & _MASK for bits in sets], *[bits >> _HALF for bits in sets])
    if _libc().capset(_header(), data) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, posix.strerror(errno))


def _header() -> "Any":  # noqa: ANN401  # an array of ctypes
    import ctypes

    return (ctypes.c_uint32 * 2)(_VERSION_3, 0)


def set_ioprio(of: int, level: int) -> None:
    """Set class and level of the I/O priority (ioprio_set(2)). Raises OSError."""
    import ctypes

    number = number_of_ioprio_set(posix.uname().machine, wide=sys.maxsize > _MASK)
    if _libc().syscall(number, _IOPRIO_WHO_PROCESS, 0, of << _CLASS_SHIFT | level) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, posix.strerror(errno))


def number_of_ioprio_set(machine: str, *, wide: bool) -> int:
    """Return the system call's number on this machine, for a program of 64 bits (`wide`) or of 32."""
    machine = _SAME_FOR_BOTH.get(machine, machine)
    if machine.startswith("arm"):
        machine = "aarch64" if wide else "arm"
    machine = (_WITH_64_BITS if wide else _WITH_32_BITS).get(machine, machine)
    return _IOPRIO_SET.get(machine, _IOPRIO_SET_GENERIC)
