"""The termination message: what is in it, and what becomes of it where the file is none."""

from __future__ import annotations

import json
import os
import resource
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyinit.termination import SIZE_MAX, message, write
from support.descriptors import descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORD = b'{"event.name":"pyinit.exited","pyinit.exit.status":137}\n'
SENTENCE = "pyinit leaves with status 137"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a path in an empty directory."""
    return tmp_path / "termination-log"


@pytest.fixture
def read_only() -> Iterator[Path]:
    """Return a file that we may not write, also where we are root: then we are somebody else meanwhile."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    path = folder / "termination-log"
    path.write_text("mine")
    path.chmod(0o444)
    uid = os.geteuid()
    if uid == 0:
        os.seteuid(65534)
    try:
        yield path
    finally:
        os.seteuid(uid)
        shutil.rmtree(folder)


def put(path: str | Path, *, create: bool) -> str | None:
    """Write the message that most tests write."""
    return write(str(path), create, SENTENCE, RECORD)


# -- what is in it ---------------------------------------------------------------------------------------------------


def test_a_sentence_and_the_record(file: Path) -> None:
    """The first line is for people, the second is the record."""
    file.touch()
    assert put(file, create=False) is None
    first, second = file.read_text().splitlines()
    assert first == SENTENCE
    assert json.loads(second)["pyinit.exit.status"] == 137


def test_what_was_there_is_gone(file: Path) -> None:
    """A longer text of before leaves nothing behind the message."""
    file.write_text("x" * 9000)
    assert put(file, create=False) is None
    assert file.read_bytes() == SENTENCE.encode() + b"\n" + RECORD


def test_the_sentence_is_cut_first() -> None:
    """Too much of both: the sentence ends in dots, the record is whole, and all of it has 4096 bytes."""
    data = message("s" * 9000, RECORD)
    assert len(data) == SIZE_MAX
    assert data.endswith(b"s...\n" + RECORD)


@pytest.mark.parametrize("size", [SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 4, SIZE_MAX + 1, 100_000])
def test_a_record_without_room_beside_it_is_left_out(size: int) -> None:
    """The record is never cut: where it leaves no room for a sentence, the sentence stands alone."""
    record = b"{" + b" " * (size - 3) + b"}\n"
    assert message(SENTENCE, record) == SENTENCE.encode() + b"\n"
    assert len(message("s" * 9000, record)) == SIZE_MAX


def test_a_record_that_just_leaves_room_is_kept() -> None:
    """One character and the dots are a sentence still."""
    record = b"{" + b" " * (SIZE_MAX - 8) + b"}\n"
    assert message(SENTENCE, record) == b"p...\n" + record


@pytest.mark.parametrize("char", ["\xe4", "\u20ac", "\U0001f600"])
@pytest.mark.parametrize("before", range(5))
def test_a_character_is_never_cut_in_two(char: str, before: int) -> None:
    """The sentence is UTF-8 wherever the cut falls: Kubernetes refuses a pod's state that is not."""
    data = message("a" * before + char * 5000, RECORD)
    assert SIZE_MAX - len(char.encode()) < len(data) <= SIZE_MAX
    assert data.decode().startswith("a" * before + char)


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("a\nb\0c", b"a\\nb\\x00c"),
        ("\x1b[31mred\x9b", b"\\x1b[31mred\\x9b"),
        ("no UTF-8: \udcff, half a pair: \ud800", b"no UTF-8: \\udcff, half a pair: \\ud800"),
        ("", b""),
    ],
)
def test_the_sentence_is_one_line_for_any_terminal(sentence: str, shown: bytes) -> None:
    """What a process is called steers no terminal, and makes no second line."""
    assert message(sentence, RECORD) == shown + b"\n" + RECORD


@given(sentence=st.text(st.characters(codec=None)), times=st.sampled_from([1, 300, 9000]), size=st.integers(0, 5000))
def test_it_fits_whatever_it_is(sentence: str, times: int, size: int) -> None:
    """At most 4096 bytes of UTF-8; the record is whole, or it is not there."""
    record = b"r" * size + b"\n"
    data = message(sentence * times, record)
    assert len(data) <= SIZE_MAX
    data.decode()
    first, _, rest = data.partition(b"\n")
    assert first or not sentence
    assert rest in (record, b"")
    assert rest or len(record) > SIZE_MAX - 5


# -- where it goes ---------------------------------------------------------------------------------------------------


def test_a_file_that_is_missing(file: Path) -> None:
    """It is made where somebody has asked for it; else there is nothing to do, and nothing to complain of."""
    assert put(file, create=False) is None
    assert not file.exists()
    before = os.umask(0o022)
    try:
        assert put(file, create=True) is None
    finally:
        os.umask(before)
    assert file.read_bytes().endswith(RECORD)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_directory_that_is_missing(file: Path) -> None:
    """No directory is made."""
    assert put(file / "log", create=True) == "cannot be written (ENOENT)"
    file.touch()
    assert put(file / "log", create=True) == "cannot be written (ENOTDIR)"


def test_a_directory(file: Path) -> None:
    """A directory is told as what it is."""
    file.mkdir()
    assert put(file, create=False) == "is a directory (EISDIR)"
    assert put(file, create=True) == "is a directory (EISDIR)"


@pytest.mark.parametrize("create", [False, True])
def test_a_symbolic_link_is_not_followed(file: Path, *, create: bool) -> None:
    """Main cannot make pyinit write where main itself may not."""
    target = file.with_name("passwd")
    target.write_text("root")
    file.symlink_to(target)
    reason = put(file, create=create)
    assert reason == "is a symbolic link, which pyinit does not follow here (ELOOP)"
    assert target.read_text() == "root"
    target.unlink()
    assert put(file, create=create) == reason
    assert not target.exists()


def test_a_linked_directory_is_fine(file: Path) -> None:
    """Only the file itself must be no link: /dev or /var/run may be one."""
    folder = file.with_name("folder")
    folder.mkdir()
    file.symlink_to(folder)
    assert put(f"{file}/log", create=True) is None
    assert (folder / "log").read_bytes().endswith(RECORD)


def test_a_fifo_that_nobody_reads(file: Path) -> None:
    """Nobody waits for a reader."""
    os.mkfifo(file)
    assert put(file, create=True) == "is a FIFO that nobody reads, or a socket (ENXIO)"


def test_a_fifo_with_a_reader(file: Path) -> None:
    """A reader gets the message in one piece, and while the FIFO is full nothing of it."""
    os.mkfifo(file)
    reader = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert put(file, create=False) is None
        size = len(message(SENTENCE, RECORD))
        assert os.read(reader, 1 << 20) == message(SENTENCE, RECORD)
        for _ in range(1 << 20):
            reason = put(file, create=False)
            if reason:
                break
        assert reason == "takes nothing now (EAGAIN)"
        assert len(os.read(reader, 1 << 20)) % size == 0
    finally:
        os.close(reader)


def test_a_device() -> None:
    """/dev/null takes it, /dev/full says so."""
    assert put("/dev/null", create=False) is None
    assert put("/dev/full", create=False) == "cannot be written (ENOSPC)"


def test_a_file_that_may_not_be_written(read_only: Path) -> None:
    """A read-only file stays as it is, and the reason is told."""
    assert put(read_only, create=True) == "cannot be written (EACCES)"
    assert read_only.read_text() == "mine"


def test_a_full_disk_leaves_no_half_record(file: Path) -> None:
    """Where only the beginning fits, the sentence stays, and no record that nobody can parse."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = len(SENTENCE) + 9
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        reason = put(file, create=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert reason == f"has room for {room} of {len(SENTENCE) + 1 + len(RECORD)} bytes only"
    assert file.read_text() == SENTENCE + "\n"


@pytest.mark.parametrize("path", ["a\0b", "\ud800"])
def test_a_name_that_no_file_can_have(path: str) -> None:
    """A path that the kernel could not even be asked for is a reason, too, and no exception."""
    assert put(path, create=True) == "has a name that no file can have"


def test_no_descriptor_is_left(file: Path) -> None:
    """Whatever happens, the file is closed again."""
    before = descriptors()
    put(file, create=True)
    put("/dev/full", create=False)
    assert not descriptors() - before
