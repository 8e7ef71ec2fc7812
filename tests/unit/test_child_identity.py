"""Who main is to be: passwd and group files, names and numbers, and what is wrong with them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyinit import options
from pyinit.child import files, identity, privileges
from pyinit.child.identity import Wrong, find_group, find_user, group_entries, passwd_entries, resolve
from pyinit.child.values import ID_MAX

PASSWD = b"""\
root:x:0:0:root:/root:/bin/bash
# a comment:x:1:1::/:/bin/sh
web:x:33:34:Web Server,,,:/var/www:/usr/sbin/nologin

+nis::::::
-no:x:1:1::/:
bare:x:70:71:::
short:x:72:72:/home
long:x:73:73::/home:/bin/sh:more
bad:x:-1:0::/:/bin/sh
worse:x:99999999999:0::/:/bin/sh
none:x:4294967295:0::/:/bin/sh
42:x:80:81::/forty-two:/bin/sh
caf\xc3\xa9:x:90:90::/caf\xe9:/bin/sh
web:x:34:34:second of its name:/:/bin/sh
twin:x:33:99:second of its number:/:/bin/sh"""
GROUP = b"""\
root:x:0:
www:x:34:
ssl:x:110:web,other
logs:x:111: web ,bare
not:x:x:web
+::
broken:x:112
many:x:113:webmaster,web2
33:x:114:
twice:x:110:web
"""
ENTRIES = passwd_entries(PASSWD)
GROUPS = group_entries(GROUP)


def test_lines_that_are_no_entries_count_for_nothing() -> None:
    """Comments, NIS lines, broken ids and the wrong number of fields are passed over."""
    assert [entry.name for entry in ENTRIES] == [b"root", b"web", b"bare", b"42", b"caf\xc3\xa9", b"web", b"twin"]
    assert [name for name, _, _ in GROUPS] == [b"root", b"www", b"ssl", b"logs", b"many", b"33", b"twice"]


@pytest.mark.parametrize(
    ("user", "group", "uid", "gid", "groups", "home", "name"),
    [
        (("web", None), None, 33, 34, (34, 110, 111), b"/var/www", b"web"),
        (("33", None), None, 33, 34, (34, 110, 111), b"/var/www", b"web"),
        (("web", "www"), None, 33, 34, (34,), b"/var/www", b"web"),
        (("web", "0"), None, 33, 0, (0,), b"/var/www", b"web"),
        (("web", None), "root", 33, 0, (0, 110, 111), b"/var/www", b"web"),
        (("web", "root"), "www", 33, 34, (34,), b"/var/www", b"web"),
        (("bare", None), None, 70, 71, (71, 111), b"/", b"bare"),
        (("80", None), None, 80, 81, (81,), b"/forty-two", b"42"),
        (("42", None), None, 42, 0, (0,), b"/", None),
        (("5000", None), None, 5000, 0, (0,), b"/", None),
        (("5000", "33"), None, 5000, 33, (33,), b"/", None),
        ((str(ID_MAX), None), None, ID_MAX, 0, (0,), b"/", None),
        (("caf\u00e9", None), None, 90, 90, (90,), b"/caf\xe9", b"caf\xc3\xa9"),
    ],
)
def test_resolve(  # noqa: PLR0917  # the columns of the table
    user: tuple[str, str | None],
    group: str | None,
    uid: int,
    gid: int,
    groups: tuple[int, ...],
    home: bytes,
    name: bytes | None,
) -> None:
    """Names by the file, numbers as they are; groups as initgroups(3), or the one that is named."""
    who = resolve(user, group, ENTRIES, GROUPS)
    assert (who.uid, who.gid, who.groups) == (uid, gid, groups)
    assert who.variables[b"HOME"] == home
    assert who.variables[b"USER"] == who.variables[b"LOGNAME"] == name
    assert who.variables[b"SHELL"] in {b"/bin/sh", b"/usr/sbin/nologin"}


def test_group_alone() -> None:
    """--group without --user leaves user, groups and variables as they are."""
    who = resolve(None, "ssl", ENTRIES, GROUPS)
    assert (who.uid, who.gid, who.groups, who.variables) == (None, 110, None, {})


@pytest.mark.parametrize(
    ("user", "group", "setting", "name"),
    [
        (("nobdy", None), None, "user", "nobdy"),
        (("# a comment", None), None, "user", "# a comment"),
        (("+nis", None), None, "user", "+nis"),
        (("web", "nope"), None, "user", "nope"),
        (("web", None), "nope", "group", "nope"),
        (None, "broken", "group", "broken"),
        (("\u0663\u0663", None), None, "user", "\u0663\u0663"),
    ],
)
def test_who_is_not_there(user: tuple[str, str | None] | None, group: str | None, setting: str, name: str) -> None:
    """A name that has no entry is wrong, and the option that names it is known."""
    with pytest.raises(Wrong) as caught:
        resolve(user, group, ENTRIES, GROUPS)
    assert (caught.value.setting, caught.value.name) == (setting, name)
    assert caught.value.near


LINES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.lists(st.sampled_from([b"web", b"x", b"0", b"33", b"-1", b"", b"/", b"+", b"4294967295"]), max_size=9).map(
            b":".join
        ),
    ),
    max_size=12,
).map(b"\n".join)


@given(passwd=LINES, group=LINES, user=st.text(max_size=6), named=st.none() | st.text(max_size=6))
def test_any_files(passwd: bytes, group: bytes, user: str, named: str | None) -> None:
    """Whatever the files hold: an identity whose numbers are ids, or Wrong; nothing else."""
    entries, groups = passwd_entries(passwd), group_entries(group)
    assert all(0 <= entry.uid <= ID_MAX and 0 <= entry.gid <= ID_MAX and entry.home for entry in entries)
    try:
        who = resolve((user, named), named, entries, groups)
    except Wrong:
        return
    assert who.uid is not None
    assert who.groups
    assert all(0 <= number <= ID_MAX for number in (who.uid, who.gid or 0, *who.groups))
    assert all(value is None or b"\0" not in value for value in who.variables.values())


def test_files_that_are_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An image may have neither file: numbers do all the same."""
    monkeypatch.setattr(identity, "PASSWD", str(tmp_path / "passwd"))
    monkeypatch.setattr(identity, "GROUP", str(tmp_path / "group"))
    assert not identity.read_passwd()
    assert not identity.read_group()
    assert find_user("7", []) == (7, None)
    assert find_group("7", []) == 7
    with pytest.raises(Wrong):
        find_user("root", [])


@pytest.mark.parametrize(
    ("argv", "who"),
    [
        (["--user", "1000:7"], (1000, 7, (7,))),
        (["--user", "1000:7", "--group", "8"], (1000, 8, (8,))),
        (["--group", "8"], (None, 8, None)),
    ],
)
def test_numbers_need_no_file_that_can_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, argv: list[str], who: tuple[object, ...]
) -> None:
    """Where the files cannot be read, numbers are as without an entry."""
    monkeypatch.setattr(identity, "PASSWD", str(tmp_path))
    found = privileges.identity(options.parse([*argv, "true"], {}))
    assert found is not None
    assert (found.uid, found.gid, found.groups) == who


@pytest.mark.parametrize("argv", [["--user", "web"], ["--user", "1000"], ["--user", "1000:web"], ["--group", "web"]])
def test_names_need_files_that_can_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, argv: list[str]) -> None:
    """Where they cannot, it is said which, and what does without; so is a number alone: its groups are not known."""
    monkeypatch.setattr(identity, "PASSWD", str(tmp_path))
    with pytest.raises(options.UsageError, match=r"cannot be looked up .*; write numbers, .*, or make both readable"):
        privileges.identity(options.parse([*argv, "true"], {}))


def test_the_null_device_is_an_empty_file() -> None:
    """It stands for no file in many a script, and hides a file from a container."""
    assert files.read(os.devnull) == b""


def test_a_file_that_is_none(tmp_path: Path) -> None:
    """A folder, a device or what is too big is no such file, and nobody waits for it."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (tmp_path, fifo, Path("/dev/zero"), Path("/dev/full")):
        with pytest.raises(OSError, match=r"ordinary file|directory"):
            files.read(str(path))
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(files.SIZE_MAX + 1)
    with pytest.raises(OSError, match="16 MiB"):
        files.read(str(big))
    with pytest.raises(FileNotFoundError):
        files.read(str(tmp_path / "\udcff"))
