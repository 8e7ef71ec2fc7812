"""Who main is: user, groups, and the variables that go with them, from /etc/passwd and /etc/group.

They are read as files. The C library's own way (nsswitch.conf(5)) may ask a network, loads plug-ins into PID 1, and has
an answer that depends on what else is installed in an image. A number is always a number, and needs no entry.
"""

import posix

from pyinit.child import files
from pyinit.child.values import ID_MAX

PASSWD = "/etc/passwd"  # noqa: S105  # the name of a file
GROUP = "/etc/group"
_PASSWD_FIELDS = 7
_GROUP_FIELDS = 4
_GROUPS_MAX = 65536  # NGROUPS_MAX, limits.h
_DIGITS_MAX = 10
_SHELL = b"/bin/sh"
_HOME = b"/"


class Wrong(Exception):  # noqa: N818  # the user is wrong, not the program
    """There is no such user or group: `name`, of the option `setting`; `near` are the names that there are."""

    def __init__(self, setting: str, name: str, reason: str, near: "list[str]") -> None:
        super().__init__(reason)
        self.setting = setting
        self.name = name
        self.near = near


class Entry:
    """One line of passwd(5), as far as it matters."""

    __slots__ = ("gid", "home", "name", "shell", "uid")

    def __init__(self, name: bytes, uid: int, gid: int, home: bytes, shell: bytes) -> None:
        self.name = name
        self.uid = uid
        self.gid = gid
        self.home = home
        self.shell = shell


class Identity:
    """Who main is to be.

    Attributes:
        uid: its user, or None where that stays as it is.
        gid: its primary group, or None.
        groups: all its groups (setgroups(2)), or None where they stay as they are.
        variables: HOME, USER, LOGNAME and SHELL to match; None is one that there must not be.
    """

    __slots__ = ("gid", "groups", "uid", "variables")

    def __init__(
        self,
        uid: "int | None",
        gid: "int | None",
        groups: "tuple[int, ...] | None",
        variables: "dict[bytes, bytes | None]",
    ) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.variables = variables


def passwd_entries(data: bytes) -> "list[Entry]":
    """Return the entries of a passwd file; lines that are none (comments, NIS, broken ones) count for nothing."""
    found = []
    for line in data.split(b"\n"):
        fields = line.split(b":")
        if len(fields) != _PASSWD_FIELDS or not fields[0] or fields[0][:1] in b"+-#":
            continue
        uid, gid = _id(fields[2]), _id(fields[3])
        if uid is not None and gid is not None and b"\0" not in line:
            found.append(Entry(fields[0], uid, gid, fields[5] or _HOME, fields[6].rstrip(b"\r") or _SHELL))
    return found


def group_entries(data: bytes) -> "list[tuple[bytes, int, list[bytes]]]":
    """Return name, number and members of each line of a group file, as passwd_entries does."""
    found = []
    for line in data.split(b"\n"):
        fields = line.split(b":")
        if len(fields) != _GROUP_FIELDS or not fields[0] or fields[0][:1] in b"+-#":
            continue
        gid = _id(fields[2])
        if gid is not None:
            members = [member.strip() for member in fields[3].split(b",")]
            found.append((fields[0], gid, [member for member in members if member]))
    return found


def _id(text: bytes) -> "int | None":
    if not text.isdigit() or len(text) > _DIGITS_MAX or int(text) > ID_MAX:
        return None
    return int(text)


def find_user(text: str, entries: "list[Entry]") -> "tuple[int, Entry | None]":
    """Return the number of a user, and its entry where it has one. Raises Wrong for a name without."""
    number = _id(text.encode("utf-8", "surrogateescape")) if text.isascii() else None
    name = text.encode("utf-8", "surrogateescape")
    for entry in entries:
        if (entry.uid == number) if number is not None else (entry.name == name):
            return entry.uid, entry
    if number is not None:
        return number, None
    raise Wrong("user", text, f"is no user in {PASSWD}", [entry.name.decode("utf-8", "replace") for entry in entries])


def find_group(text: str, entries: "list[tuple[bytes, int, list[bytes]]]", setting: str = "group") -> int:
    """Return the number of a group, which the option `setting` names. Raises Wrong for a name that has none."""
    number = _id(text.encode("utf-8", "surrogateescape")) if text.isascii() else None
    if number is not None:
        return number
    name = text.encode("utf-8", "surrogateescape")
    for group, gid, _ in entries:
        if group == name:
            return gid
    raise Wrong(setting, text, f"is no group in {GROUP}", [group.decode("utf-8", "replace") for group, _, _ in entries])


def resolve(
    user: "tuple[str, str | None] | None",
    group: "str | None",
    entries: "list[Entry]",
    groups: "list[tuple[bytes, int, list[bytes]]]",
) -> Identity:
    """Return who `--user` and `--group` mean. Raises Wrong.

    USER has the groups that initgroups(3) would give it; `USER:GROUP` has that one group and no others, as with `docker
    run --user`; `--group` replaces the primary group alone. A number without an entry has group 0, as there.
    """
    if user is None:
        return Identity(None, find_group(group, groups) if group is not None else None, None, {})
    uid, entry = find_user(user[0], entries)
    gid = entry.gid if entry is not None else 0
    mine = [] if entry is None else [number for _, number, members in groups if entry.name in members]
    if user[1] is not None:
        gid = find_group(user[1], groups, "user")
        mine = []
    if group is not None:
        gid = find_group(group, groups)
    return Identity(uid, gid, tuple(dict.fromkeys([gid, *mine]))[:_GROUPS_MAX], _variables(entry))


def _variables(entry: "Entry | None") -> "dict[bytes, bytes | None]":
    if entry is None:
        return {b"HOME": _HOME, b"SHELL": _SHELL, b"USER": None, b"LOGNAME": None}
    return {b"HOME": entry.home, b"SHELL": entry.shell, b"USER": entry.name, b"LOGNAME": entry.name}


def read_passwd() -> "list[Entry]":
    """Return the users of this place; none where there is no such file. Raises OSError where it cannot be read."""
    try:
        return passwd_entries(files.read(PASSWD))
    except FileNotFoundError:
        return []


def read_group() -> "list[tuple[bytes, int, list[bytes]]]":
    """Return the groups of this place, as read_passwd does."""
    try:
        return group_entries(files.read(GROUP))
    except FileNotFoundError:
        return []


def set_groups(groups: "tuple[int, ...]", gid: int) -> None:
    """Have these groups and no others (setgroups(2)). Raises OSError.

    Who may not set groups has what was asked for all the same, if but for the primary group it is so already.
    """
    now = set(posix.getgroups())
    if now == set(groups):
        return
    try:
        posix.setgroups(list(groups))
    except PermissionError:
        if now | {gid} != set(groups) | {gid}:
            raise


def set_gid(gid: int) -> None:
    """Have this primary group, for good (setresgid(2)). Raises OSError."""
    if posix.getresgid() != (gid, gid, gid):
        posix.setresgid(gid, gid, gid)


def set_uid(uid: int) -> None:
    """Be this user, for good (setresuid(2)). Raises OSError."""
    if posix.getresuid() != (uid, uid, uid):
        posix.setresuid(uid, uid, uid)
