"""What would become of a path: the same as when it is really executed, or written to."""

from __future__ import annotations

import os
import posix
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyinit import spawn
from pyinit.reports import lookup

LIMIT_S = 20


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with commands of all kinds, first in PATH, and go there."""
    texts = {
        "script": "#!/bin/sh\nexit 0\n",
        "no-line": "exit 0\n",
        "empty": "",
        "no-interpreter": "#!/no/such/interpreter\n",
        "blank-line": "#! \n",
        "of-a-script": f"#!{tmp_path}/script\n",
        "not-executable": "#!/bin/sh\n",
        "of-no-program": f"#!{tmp_path}/not-executable\n",
        "binary": "\x00\x01\x02",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644 if name == "not-executable" else 0o755)
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "link").symlink_to("script")
    program = bytearray(Path(shutil.which("true") or "").read_bytes())
    at = program.find(b"/lib64/ld-linux")
    if at >= 0:
        program[at : at + 6] = b"/lib65"
    (tmp_path / "other-loader").write_bytes(bytes(program))
    (tmp_path / "other-loader").chmod(0o755)
    # posix.environ is what pyinit reads; os.environ does not change it.
    path = f"{tmp_path}:/no/such/folder:{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    monkeypatch.setitem(posix.environ, b"PATH", path.encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


NAMES = (
    "script", "no-line", "empty", "no-interpreter", "of-a-script", "not-executable", "of-no-program",
    "other-loader", "folder", "loop", "dangling", "link", "true", "no-such-command",
    "./script", "./folder", "./nothing", "./not-executable", "script/x", "/etc/passwd", "/", ".", "..",
)  # fmt: skip


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", NAMES)
def test_it_is_what_a_run_comes_to(name: str) -> None:
    """Status and reason are those of the run itself; where it starts, the path is the one that was executed."""
    found = lookup.command([name.encode(), b"--help"], spawn.search_path({}))
    pyinit = Path(sys.executable).with_name("pyinit")
    run = subprocess.run(
        [pyinit, "--log-format", "json", "--", name, "--help"],
        capture_output=True, text=True, timeout=LIMIT_S, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if found.status:
        assert run.returncode == found.status
        assert found.path is None
        assert found.reason
        assert found.reason in run.stderr
    else:
        assert run.returncode not in {126, 127}
        assert found.path is not None
        assert os.access(found.path, os.X_OK)
        assert list(found.argv)[-1] == b"--help"


def test_a_script_without_an_interpreter_line_is_one_for_the_shell(folder: Path) -> None:
    """What execve(2) would be given is told, not what was written."""
    found = lookup.command([b"no-line", b"a b"], spawn.search_path({}))
    assert (found.path, list(found.argv)) == (b"/bin/sh", [b"/bin/sh", bytes(folder / "no-line"), b"a b"])


def elf(interpreter: bytes, *, table: int = 64, length: int | None = None) -> bytes:
    """Return the head of a program of 64 bits that asks for a loader."""
    size = len(interpreter) + 1 if length is None else length
    header = b"\x7fELF\x02\x01\x01".ljust(32, b"\0") + table.to_bytes(8, "little") + bytes(14)
    header += (56).to_bytes(2, "little") + (1).to_bytes(2, "little")
    row = (3).to_bytes(4, "little") + bytes(4) + (120).to_bytes(8, "little") + bytes(16) + size.to_bytes(8, "little")
    return header.ljust(64, b"\0") + row.ljust(56, b"\0") + interpreter + b"\0"


def made(folder: Path, data: bytes) -> lookup.Lookup:
    """Look for a program with this in it."""
    program = folder / "program"
    program.write_bytes(data)
    program.chmod(0o755)
    return lookup.command([bytes(program)], b"")


def test_a_loader_that_is_missing_or_there(tmp_path: Path) -> None:
    """The loader of a program is looked for, and nothing else about it: the kernel does not ask for its loader."""
    assert made(tmp_path, elf(b"/no/such/loader")).status == 127
    assert made(tmp_path, elf(bytes(tmp_path / "program"))).status == 0


@pytest.mark.parametrize(
    "data",
    [elf(b"/bin/sh", table=2**63), elf(b"/bin/sh", length=2**64 - 1), elf(b"/b\0in"), b"#!/bin/sh\0x\n", b"#!\0\n"],
)
def test_a_damaged_program_is_no_problem_of_ours(tmp_path: Path, data: bytes) -> None:
    """Offsets beyond any file and NUL bytes in a path: something is said of it."""
    assert made(tmp_path, data).status in {0, 126, 127}


DAMAGED = st.builds(
    lambda data, at, new: data[:at] + new + data[at + len(new) :],
    st.just(elf(b"/bin/sh")),
    st.integers(0, 130),
    st.binary(),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.one_of(st.binary(), st.binary().map(b"#!".__add__), DAMAGED))
def test_any_program_can_be_looked_at(tmp_path: Path, data: bytes) -> None:
    """Whatever is in a file that may be executed, --dry-run has an answer."""
    assert made(tmp_path, data).status in {0, 126, 127}


def test_nothing_is_made(tmp_path: Path) -> None:
    """A file that could be written is not there afterwards, and one that is there is as it was."""
    new, old = tmp_path / "new", tmp_path / "old"
    old.write_text("text")
    before = old.stat()
    assert lookup.write_problem(str(new)) is None
    assert lookup.write_problem(str(old)) is None
    assert not new.exists()
    assert (old.read_text(), old.stat().st_mtime_ns) == ("text", before.st_mtime_ns)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/no/such/folder/log", "No such file or directory"),
        ("/etc/passwd/log", "Not a directory"),
        ("/tmp", "Is a directory"),
        ("/tmp/new/", "Is a directory"),
        ("/proc/pyinit-test", "No such file or directory"),
        ("/dev/null", None),
        ("x" * 300, "File name too long"),
        ("log", None),
    ],
)
def test_why_a_file_cannot_be_written(
    path: str, problem: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is the one that open(2) would give."""
    monkeypatch.chdir(tmp_path)
    if path.startswith("/proc/"):
        assert lookup.write_problem(path) in {problem, None}  # root may write to the folder, and no file can be made
    else:
        assert lookup.write_problem(path) == problem
