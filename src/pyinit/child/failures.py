"""What people read when a step of the child fails: option, value, errno, and what to do. Imported where one has."""

import posix
from errno import errorcode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.child.step import Step

_EPERM, _EACCES, _EINVAL, _ENOENT, _EBUSY = 1, 13, 22, 2, 16
_ROOT = "start pyinit as root with {}, or leave the option out"
# What to do, by option and errno; the first one that fits. None fits any.
_HINTS: "tuple[tuple[str, int | None, str], ...]" = (
    ("user", _EPERM, _ROOT.format("CAP_SETUID and CAP_SETGID") + "; where setgroups(2) is forbidden, so is this"),
    ("user", _EINVAL, "this user namespace has no such id; write one that it has (/proc/self/uid_map, gid_map)"),
    ("group", _EPERM, _ROOT.format("CAP_SETGID")),
    ("group", _EINVAL, "this user namespace has no such id; write one that it has (/proc/self/gid_map)"),
    (
        "rlimit",
        _EPERM,
        "only CAP_SYS_RESOURCE raises a hard limit, NOFILE ends at /proc/sys/fs/nr_open; write less",
    ),
    ("rlimit", _EINVAL, "the soft limit would be above the hard one; write both, as in NOFILE=1024:4096"),
    ("nice", _EACCES, "only CAP_SYS_NICE or a higher limit NICE allows it; write a higher value"),
    ("nice", _EPERM, "only CAP_SYS_NICE or a higher limit NICE allows it; write a higher value"),
    ("ioprio", _EPERM, "only CAP_SYS_ADMIN or CAP_SYS_NICE allows it; write best-effort or idle"),
    ("cpu-affinity", _EINVAL, "not all of these CPUs are there for us; see Cpus_allowed_list in /proc/self/status"),
    ("oom-score-adj", _EACCES, "only CAP_SYS_RESOURCE lowers it; write a higher value"),
    ("oom-score-adj", _ENOENT, "that takes a /proc of this PID namespace; mount one, or leave the option out"),
    ("chdir", None, "write a folder that is there, and that main's user can enter"),
    ("tty", _EPERM, "another session has it; give it a terminal of its own"),
    ("cap-keep", _EPERM, "pyinit has not all of these, or not CAP_SETPCAP, itself; give it these, or leave them out"),
    ("cap-drop", _EPERM, "the bounding set takes CAP_SETPCAP; give it to pyinit, or use --no-new-privs instead"),
    ("securebits", _EPERM, "it takes CAP_SETPCAP, and locked bits stay as they are; give that to pyinit"),
    ("no-new-privs", None, "the kernel or a filter of system calls forbids it; leave the option out"),
)


def tell(step: "Step", errno: int) -> str:
    """Return one line: `--nice -5: Permission denied (EACCES); ...`."""
    from pyinit import usage

    name = errorcode.get(errno, str(errno))
    option = step.option.removeprefix("PYINIT_").removeprefix("--").lower().replace("_", "-")
    hint = next((text for of, number, text in _HINTS if of == option and number in (None, errno)), "")
    value = usage.shown(step.value)[1:-1]
    what = f"{step.option} {value}" if value else step.option
    return f"{what}: {posix.strerror(errno)} ({name}); {hint or 'write another value, or leave the option out'}"
