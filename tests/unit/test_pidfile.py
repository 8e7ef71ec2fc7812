"""What a PID file says, whatever lies at its path, and how it is removed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyinit
from pyinit import pidfile
from pyinit.pidfile import PidFile
from support.descriptors import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE = str(Path(pyinit.__file__).parent.parent)

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from pyinit.pidfile import PidFile
PidFile("/nowhere").read()
print(*(name for name, module in sys.modules.items() if name not in sys.builtin_module_names))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a PID file that is not there yet."""
    return tmp_path / "service.pid"


def read_new(path: Path, data: bytes) -> tuple[int, str]:
    """Return what is read of a file that has come since the start."""
    found = PidFile(str(path))
    path.write_bytes(data)
    return found.read()


@pytest.mark.parametrize(
    "data",
    [
        b"77",
        b"77\n",
        b"             77\n",  # Postfix
        b"77\n/var/lib/postgresql\n1732000000\n5432\n\n*\nready   \n",  # PostgreSQL
        b"77\r\n",
        b"0000000077\n",
        b"77\n" + b"x" * 10000,
    ],
)
def test_the_first_line_counts(path: Path, data: bytes) -> None:
    """The number in the first line is the one, with or without blanks, an end of line, or more lines."""
    assert read_new(path, data) == (77, "")


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"abc\n", "'abc'"),
        (b"0\n", "'0'"),
        (b"-77\n", "'-77'"),
        (b"+77\n", "'+77'"),
        (b"77 88\n", "'77 88'"),
        (b"12345678901\n", "'12345678901'"),
        ("\u0667\u0667\n".encode(), "'\u0667\u0667'"),
        (b"\n77\n", "''"),
        (b"\xff\x00\x1b\n", r"'\\xff\x00\x1b'"),
        (b"x" * 41, "'" + "x" * 40 + "...'"),
        (b" " * 5000 + b"77\n", None),
    ],
)
def test_nonsense_is_quoted(path: Path, data: bytes, shown: str | None) -> None:
    """What is no process number is told, short and printable."""
    reason = pidfile.EMPTY if shown is None else f"holds no process number: {shown}"
    assert read_new(path, data) == (0, reason)


@pytest.mark.parametrize("data", [b"", b"\n", b" \n\n"])
def test_empty(path: Path, data: bytes) -> None:
    """A file in which nothing has been written yet is empty."""
    assert read_new(path, data) == (0, "is empty")


@given(st.binary(max_size=5000))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever a file holds, there is a number or a reason that can be printed, and never both."""
    number, reason = read_new(tmp_path_factory.mktemp("any") / "pid", data)
    assert bool(number) != bool(reason)
    assert 0 <= number < 10**10
    assert reason.encode().decode().isprintable()
    assert len(reason) < 300


def test_missing(path: Path) -> None:
    """A file that is not there is missing, and one that comes is read."""
    found = PidFile(str(path))
    assert found.read() == (0, "is not there")
    path.write_text("77\n")
    assert found.read() == (77, "")


def test_stale(path: Path) -> None:
    """A file that is as it was at the start is stale."""
    path.write_text("77\n")
    found = PidFile(str(path))
    assert found.read() == (0, "is older than this run (stale)")


def _rewrite(path: Path) -> None:
    before = path.stat()
    path.write_text("88\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


def _replace(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_text("88\n")
    other.rename(path)


def _longer(path: Path) -> None:
    before = path.stat()
    path.write_text(" 88\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [_rewrite, _replace, _longer])
def test_changed_is_not_stale(path: Path, change: Callable[[Path], None]) -> None:
    """A file that was there at the start, and has been written or replaced since, is from this run."""
    path.write_text("77\n")
    found = PidFile(str(path))
    change(path)
    assert found.read() == (88, "")


def test_same_number_again(path: Path) -> None:
    """A daemon may get the PID that it had in the last run: the file counts because it is another."""
    path.write_text("77\n")
    found = PidFile(str(path))
    path.rename(path.with_suffix(".old"))  # so that the new one cannot get its inode
    path.write_text("77\n")
    assert found.read() == (77, "")


def test_link_is_followed(path: Path, tmp_path: Path) -> None:
    """A symbolic link leads to the file, and is as stale as what it leads to."""
    (tmp_path / "target").write_text("77\n")
    path.symlink_to("target")
    assert PidFile(str(path)).read() == (0, pidfile.STALE)
    path.unlink()
    found = PidFile(str(path))
    path.symlink_to("target")
    assert found.read() == (77, "")


def test_link_that_leads_nowhere(path: Path) -> None:
    """A dangling link is told as one, and is read when its target comes."""
    path.symlink_to("target")
    found = PidFile(str(path))
    assert found.read() == (0, "is a symbolic link that leads nowhere")
    path.with_name("target").write_text("77\n")
    assert found.read() == (77, "")


def test_link_in_a_circle(path: Path) -> None:
    """A link to itself is told as one."""
    path.symlink_to(path)
    assert PidFile(str(path)).read() == (0, "is a symbolic link that leads in a circle")


def test_link_out_of_reach(path: Path, tmp_path: Path) -> None:
    """A link to what is no file's place is told with the error's name."""
    (tmp_path / "file").touch()
    path.symlink_to("file/below")
    assert PidFile(str(path)).read() == (0, "is a symbolic link to what cannot be read (ENOTDIR)")


def test_cannot_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that has no words of its own is told by its name."""
    found = PidFile(str(path))
    path.write_text("77\n")

    def refuse(*_: object) -> int:
        raise PermissionError(13, "no")

    monkeypatch.setattr("posix.open", refuse)
    assert found.read() == (0, "cannot be read (EACCES)")
    long = "/" + "x" * 300
    assert PidFile(long).read() == (0, "cannot be read (ENAMETOOLONG)")
    assert PidFile("/a\0b").read() == (0, "has a name that no file can have")


@pytest.mark.timeout_s(20)
def test_what_is_no_file_is_not_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FIFOs, sockets, devices and folders are refused without being opened, and so is a file of /proc."""

    def opened(*_: object) -> int:
        pytest.fail("it was opened")

    monkeypatch.setattr("posix.open", opened)
    found = PidFile(str(path))
    os.mkfifo(path)
    assert found.read() == (0, "is not a regular file")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert found.read() == (0, "is not a regular file")
    assert PidFile("/dev/null").read() == (0, "is not a regular file")
    assert PidFile(str(path.parent)).read() == (0, "is not a regular file")
    kernels = PidFile("/nowhere")
    kernels._path = "/proc/self/stat"  # read as if it had come since
    assert kernels.read() == (0, "is empty")


@pytest.mark.timeout_s(20)
def test_replaced_by_a_fifo_while_looking(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes to be there between the look and the opening holds nobody up, and is not read."""
    found = PidFile(str(path))
    path.write_text("77\n")
    really_open = os.open

    def open_late(name: str, flags: int) -> int:
        path.rename(path.with_suffix(".old"))
        os.mkfifo(path)
        return really_open(name, flags)

    monkeypatch.setattr("posix.open", open_late)
    assert found.read() == (0, pidfile.REPLACED)


def test_no_descriptor_is_left(path: Path) -> None:
    """Each reading closes what it opened."""
    before = descriptors()
    for data in (b"77\n", b"", b"x", b" "):
        read_new(path, data)
        path.unlink()
    assert not descriptors() - before


def test_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path means the directory that was the current one at the start."""
    monkeypatch.chdir(tmp_path)
    found = PidFile("a.pid")
    monkeypatch.chdir("/")
    (tmp_path / "a.pid").write_text("77\n")
    assert found.read() == (77, "")
    assert found.remove(77) is None
    assert not (tmp_path / "a.pid").exists()


def test_name_in_any_bytes(tmp_path: Path) -> None:
    """A name that is no UTF-8 is a name."""
    name = os.fsencode(tmp_path) + b"/\xff\xe9.pid"
    found = PidFile(os.fsdecode(name))
    Path(os.fsdecode(name)).write_text("77\n")
    assert found.read() == (77, "")


def test_clean(path: Path) -> None:
    """What was there at the start is removed, and then nothing counts as stale, not even the same inode."""
    path.write_text("77\n")
    kept = path.with_name("kept")
    os.link(path, kept)
    found = PidFile(str(path))
    assert found.clean() is None
    assert not path.exists()
    assert found.clean() is None
    kept.rename(path)
    assert found.read() == (77, "")


@pytest.mark.parametrize("data", [b"", b"\n"])
def test_clean_takes_an_empty_file(path: Path, data: bytes) -> None:
    """An empty file is worth nothing, and makes some daemons refuse to start."""
    path.write_bytes(data)
    assert PidFile(str(path)).clean() is None
    assert not path.exists()


def test_clean_spares_what_is_no_pid_file(path: Path) -> None:
    """A wrong path does not cost a file: what holds no process number is left, and stays stale."""
    path.write_text("root:x:0:0\n")
    found = PidFile(str(path))
    assert found.clean() == "holds no process number: 'root:x:0:0'"
    assert path.exists()
    assert found.read() == (0, pidfile.STALE)
    assert found.remove(0) is None
    assert path.exists()
    assert PidFile("/dev/null").clean() == "is not a regular file"
    assert PidFile(str(path.parent)).clean() == "is not a regular file"


def test_clean_removes_the_link_alone(path: Path, tmp_path: Path) -> None:
    """A link may have been put there by somebody else: what it leads to is not touched."""
    (tmp_path / "target").write_text("77\n")
    path.symlink_to("target")
    assert PidFile(str(path)).clean() is None
    assert not path.is_symlink()
    assert (tmp_path / "target").exists()
    path.symlink_to("nowhere")
    assert PidFile(str(path)).clean() is None
    assert not path.is_symlink()


def test_clean_fails(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be removed is told, and stays stale."""
    path.write_text("77\n")
    found = PidFile(str(path))

    def refuse(_: str) -> None:
        raise OSError(30, "read-only")

    monkeypatch.setattr("posix.unlink", refuse)
    assert found.clean() == "cannot be removed (EROFS)"
    assert found.read() == (0, pidfile.STALE)


def test_errors_behind_the_opening(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails is told; a file that somebody else removes first is removed."""
    found = PidFile(str(path))
    path.write_text("77\n")

    def fail(*_: object) -> bytes:
        raise OSError(5, "broken")

    def nothing_there(_: str) -> None:
        raise FileNotFoundError(2, "gone")

    monkeypatch.setattr("posix.unlink", nothing_there)
    assert found.remove(77) is None
    monkeypatch.setattr("posix.read", fail)
    assert found.read() == (0, "cannot be read (EIO)")


def test_remove(path: Path) -> None:
    """The run's own file is removed at the end; with another number in it, it is another's."""
    found = PidFile(str(path))
    assert found.remove(77) is None
    path.write_text("77\n")
    assert found.remove(78) is None
    assert path.exists()
    assert found.remove(77) is None
    assert not path.exists()
    path.write_text("78\n")
    assert found.remove(0) is None
    assert not path.exists()


def test_remove_spares_a_stale_file(path: Path) -> None:
    """What was there before the run, and is unchanged, is not the run's own."""
    path.write_text("77\n")
    found = PidFile(str(path))
    assert found.remove(77) is None
    assert found.remove(0) is None
    assert path.exists()


def test_built_in_modules_alone() -> None:
    """Before main runs, a PID file costs one small module of ours."""
    run = subprocess.run([sys.executable, "-IS", "-c", PROGRAM, SOURCE], check=True, capture_output=True, text=True)
    bare = subprocess.run(
        [sys.executable, "-IS", "-c", "import sys; print(*sys.modules)"], check=True, capture_output=True, text=True
    )
    assert set(run.stdout.split()) - set(bare.stdout.split()) == {"__future__", "pyinit", "pyinit.pidfile"}
