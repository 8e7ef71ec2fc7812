"""The values of the options for main's environment: from the text that a person writes to what the kernel is told.

As in `pyinit.values`, each function raises ValueError with what the text is not and what to write instead. Whether
there is such a user or file is not looked at here: `pyinit.child.plan` does that.
"""

from pyinit import values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

UNLIMITED = -1  # RLIM_INFINITY
ALL = -1  # every capability that there is
ID_MAX = 2**32 - 2  # the highest user or group id: 2**32 - 1 means "leave it as it is" to the kernel
_UMASK_MAX = 0o777
_FD_FIRST, _FD_MAX = 3, 2**20
_CPU_MAX = 8191  # what a kernel can be built for, less one
_NICE = (-20, 19)
_OOM = (-1000, 1000)
_LEVEL_MAX = 7
_LEVEL = 4  # what the kernel takes for a process of nice value 0
_DIGITS_MAX = 20

# getrlimit(2): the names of prlimit(1), and their numbers (other ones on MIPS, SPARC and Alpha).
RLIMITS = {
    "CPU": 0, "FSIZE": 1, "DATA": 2, "STACK": 3, "CORE": 4, "RSS": 5, "NPROC": 6, "NOFILE": 7, "MEMLOCK": 8, "AS": 9,
    "LOCKS": 10, "SIGPENDING": 11, "MSGQUEUE": 12, "NICE": 13, "RTPRIO": 14, "RTTIME": 15,
}  # fmt: skip
_IN_BYTES = ("AS", "CORE", "DATA", "FSIZE", "MEMLOCK", "MSGQUEUE", "RSS", "STACK")
_SIZES = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_LIMIT_MAX = 2**63 - 1  # eight exbibytes; Python's own calls take no more

# capability.h, in the order of their numbers.
CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip

# securebits.h. KEEP_CAPS itself is not among them: exec clears it.
SECUREBITS = {
    "noroot": 1 << 0,
    "noroot-locked": 1 << 1,
    "no-setuid-fixup": 1 << 2,
    "no-setuid-fixup-locked": 1 << 3,
    "keep-caps-locked": 1 << 5,
    "no-cap-ambient-raise": 1 << 6,
    "no-cap-ambient-raise-locked": 1 << 7,
}

# I/O priorities: ioprio_set(2), the names of ionice(1).
IOPRIO_CLASSES = {"none": 0, "realtime": 1, "best-effort": 2, "idle": 3}
_WITH_LEVEL = ("realtime", "best-effort")

_NO_USER = "not a user; write NAME or UID, or with a group NAME:GROUP, for example www-data or 1000:1000"
_NO_GROUP = "not a group; write its name or its number"
_NO_ID = f"not a number that an id can have; the highest is {ID_MAX}"
_NO_UMASK = "not a mask; write it in octal, for example 027"
_NO_RLIMIT = "not a limit; write NAME=SOFT or NAME=SOFT:HARD, for example NOFILE=65536 or CORE=0:unlimited"
_NO_SIZE = "not a limit that can be set; write whole numbers, or unlimited"
_ABOVE = "no limit: the soft one is above the hard one; write the smaller one first"
_NO_IOPRIO = "not an I/O priority; write best-effort:0 to best-effort:7, realtime:0 to realtime:7, idle or none"
_NO_CPUS = "not a list of CPUs; write for example 0-3,5"
_NO_VARIABLE = "not a variable; write NAME=VALUE, or NAME to pass on pyinit's own"


def number(text: str, lowest: int, highest: int, reason: str) -> int:
    """Return a whole number in decimal, which may have a sign where there is something below 0."""
    digits = text[1:] if lowest < 0 and text[:1] in ("-", "+") else text
    if digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX:
        value = int(text)
        if lowest <= value <= highest:
            return value
    raise ValueError(reason)


def user(text: str) -> "tuple[str, str | None]":
    """Return the user and the group (None where there is none) of `USER[:GROUP]`, names or numbers."""
    who, colon, of = text.partition(":")
    _check_name(who, _NO_USER)
    if not colon:
        return who, None
    _check_name(of, _NO_USER)
    return who, of


def group(text: str) -> str:
    """Return the name or number of a group."""
    _check_name(text, _NO_GROUP)
    return text


def _check_name(text: str, reason: str) -> None:
    """Refuse what no line of passwd(5) or group(5) can begin with, and a number that no id can have."""
    if not text or text[0] in "-+" or not text.isprintable() or any(sign in text for sign in ":,/ "):
        raise ValueError(reason)
    if text.isascii() and text.isdigit():
        number(text, 0, ID_MAX, _NO_ID)


def umask(text: str) -> int:
    """Return a mask, 0 to 0777, that is written in octal."""
    if not text or len(text) > len("00777") or any(digit not in "01234567" for digit in text):
        raise ValueError(_NO_UMASK)
    mask = int(text, 8)
    if mask > _UMASK_MAX:
        raise ValueError(_NO_UMASK)
    return mask


def _upper(text: str) -> str:
    """Return a name in capitals; what is no ASCII stays as it is, for there are letters whose capital is."""
    return text.upper() if text.isascii() else text


def rlimit(text: str) -> "tuple[str, int | None, int | None]":
    """Return name, soft and hard limit of `NAME=SOFT[:HARD]`: -1 is unlimited, None is left as it is.

    One number is both, as with prlimit(1); `SOFT:` and `:HARD` leave the other one as it is. What counts bytes may
    have K, M, G or T behind it, each 1024 times the one before.
    """
    name, equals, limits = text.partition("=")
    name = _upper(name).removeprefix("RLIMIT_")
    if not equals or not limits:
        raise ValueError(_NO_RLIMIT)
    if name not in RLIMITS:
        raise ValueError("none that there is; write one of " + " ".join(sorted(RLIMITS)))
    soft_text, colon, hard_text = limits.partition(":")
    if not colon:
        both = _limit(name, soft_text)
        return name, both, both
    if not soft_text and not hard_text:
        raise ValueError(_NO_RLIMIT)
    soft = _limit(name, soft_text) if soft_text else None
    hard = _limit(name, hard_text) if hard_text else None
    if soft is not None and hard is not None and hard != UNLIMITED and (soft == UNLIMITED or soft > hard):
        raise ValueError(_ABOVE)
    return name, soft, hard


def _limit(name: str, text: str) -> int:
    if text.lower() in ("unlimited", "infinity"):
        return UNLIMITED
    size = 1
    if name in _IN_BYTES and text[-1:].upper() in _SIZES:
        size = _SIZES[text[-1].upper()]
        text = text[:-1]
    return number(text, 0, _LIMIT_MAX // size, _NO_SIZE) * size


def nice(text: str) -> int:
    """Return a nice value, -20 (first) to 19 (last)."""
    return number(text, *_NICE, "not a nice value; write a number from -20 to 19")


def oom_score_adj(text: str) -> int:
    """Return an adjustment of the OOM score, -1000 (never killed) to 1000 (killed first)."""
    return number(text, *_OOM, "not an OOM score adjustment; write a number from -1000 to 1000")


def cpus(text: str) -> "frozenset[int]":
    """Return the numbers of a list of CPUs such as `0-3,5`, from 0 to 8191."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        low = number(first, 0, _CPU_MAX, _NO_CPUS)
        high = number(last, 0, _CPU_MAX, _NO_CPUS) if dash else low
        if high < low:
            raise ValueError(_NO_CPUS)
        found.update(range(low, high + 1))
    return frozenset(found)


def ioprio(text: str) -> "tuple[int, int]":
    """Return class and level of an I/O priority; classes without levels have level 0."""
    name, colon, level = text.partition(":")
    if name not in IOPRIO_CLASSES or (colon and name not in _WITH_LEVEL):
        raise ValueError(_NO_IOPRIO)
    if name not in _WITH_LEVEL:
        return IOPRIO_CLASSES[name], 0
    return IOPRIO_CLASSES[name], number(level, 0, _LEVEL_MAX, _NO_IOPRIO) if colon else _LEVEL


def descriptor(text: str) -> int:
    """Return the number of a descriptor above 2: those up to 2 are never closed."""
    if text in ("0", "1", "2"):
        message = "kept anyway; write a number from 3 on, or leave it out"
        raise ValueError(message)
    return number(text, _FD_FIRST, _FD_MAX, "not a descriptor; write a number from 3 on")


def capability(text: str) -> int:
    """Return the number of a capability, with or without CAP_ in front; ALL for `all`."""
    name = _upper(text).replace("-", "_")
    if name == "ALL":
        return ALL
    name = name.removeprefix("CAP_")
    if name not in CAPABILITIES:
        message = "not a capability; write a name from capabilities(7) such as NET_BIND_SERVICE, or all"
        raise ValueError(message)
    return CAPABILITIES.index(name)


def capability_name(number: int) -> str:
    """Return the name of a capability, or `all`; a number that has none yet is its own name."""
    if number == ALL:
        return "all"
    return CAPABILITIES[number] if number < len(CAPABILITIES) else str(number)


def securebits(text: str) -> int:
    """Return the bits that a list of names stands for: `noroot,noroot-locked`; `none` is none of them."""
    if text == "none":
        return 0
    bits = 0
    lower = text.lower() if text.isascii() else text
    for name in lower.replace("_", "-").split(","):
        if name in ("keep-caps", "keepcaps"):
            message = "not possible: exec clears keep-caps; --cap-keep keeps capabilities"
            raise ValueError(message)
        if name not in SECUREBITS:
            raise ValueError("not a list of secure bits; write some of " + ",".join(SECUREBITS) + ", or none")
        bits |= SECUREBITS[name]
    return bits


def variable(text: str) -> str:
    """Return `NAME=VALUE` or `NAME` where that can be a variable."""
    name = text.partition("=")[0]
    if not name or "\0" in text:
        raise ValueError(_NO_VARIABLE)
    return text


CONVERTERS: "dict[str, Callable[[str], object]]" = {
    "user": user,
    "group": group,
    "umask": umask,
    "rlimits": rlimit,
    "nice": nice,
    "oom": oom_score_adj,
    "cpus": cpus,
    "ioprio": ioprio,
    "descriptors": descriptor,
    "capabilities": capability,
    "securebits": securebits,
    "variables": variable,
    "files": values.path,
}
