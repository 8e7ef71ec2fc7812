"""The container's Python is not pyinit's.

Variables, folders and modules that lie about never change what pyinit runs.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from support.programs import program
from support.run import ALL_MODES, EXITED, SUBREAPER, plain_environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.run import Run

    Start = Callable[..., Run]

HOSTILE_VARIABLES = {
    "PYTHONHOME": "/nonexistent",
    "PYTHONPATH": "/nonexistent:{shadow}",
    "PYTHONSTARTUP": "{shadow}/startup.py",
    "PYTHONWARNINGS": "error",
    "PYTHONMALLOC": "no-such-allocator",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDEBUG": "3",
    "PYTHONVERBOSE": "2",
    "PYTHONINSPECT": "1",
    "PYTHONOPTIMIZE": "2",
    "PYTHONDEVMODE": "1",
    "PYTHONUTF8": "nonsense",
    "PYTHONCOERCECLOCALE": "warn",
    "PYTHONIOENCODING": "utf-16",
    "PYTHONHASHSEED": "nonsense",
    "PYTHONBREAKPOINT": "shadow.breakpoint",
    "PYTHONPLATLIBDIR": "nowhere",
    "PYTHONEXECUTABLE": "/nonexistent/python",
    "PYTHONUSERBASE": "{shadow}",
    "PYTHONTRACEMALLOC": "nonsense",
    "PYTHONFAULTHANDLER": "1",
    "PYTHONPROFILEIMPORTTIME": "1",
    "PYTHONPYCACHEPREFIX": "{shadow}",
    "PYTHONCASEOK": "1",
    "PYTHONINTMAXSTRDIGITS": "nonsense",
    "PYTHONNODEBUGRANGES": "1",
    "PYTHONASYNCIODEBUG": "1",
    "PYTHONDONTWRITEBYTECODE": "",
    "PYTHON_GIL": "0",
    "PYTHON_COLORS": "1",
    "PYTHON_CPU_COUNT": "nonsense",
    "PYTHONSAFEPATH": "",
    "LD_BIND_NOW": "1",
    "MALLOC_ARENA_MAX": "1",
}
SHADOWS = [
    "signal",
    "structlog",
    "prctl",
    "_prctl",
    "os",
    "posix",
    "posixpath",
    "codecs",
    "encodings",
    "site",
    "sitecustomize",
    "usercustomize",
    "sys",
    "time",
    "io",
    "abc",
    "enum",
    "re",
    "typing",
    "json",
    "logging",
    "select",
    "errno",
    "types",
    "collections",
    "functools",
    "pyinit",
    "startup",
    "_signal",
    "struct",
    "ctypes",
    "selectors",
    "datetime",
    "traceback",
    "warnings",
    "zipimport",
    "runpy",
]


@pytest.fixture
def shadow(workdir: Path) -> Path:
    """Make a folder full of modules that say that they have been imported, by making a file, and then spoil it."""
    folder = workdir / "shadow"
    folder.mkdir()
    for name in SHADOWS:
        text = f"open({str(workdir / 'imported')!r}, 'a').write({name!r} + chr(10))\nraise SystemExit(99)\n"
        (folder / f"{name}.py").write_text(text)
    (folder / "python").write_text(f"#!/bin/sh\necho python >> {workdir}/imported\nexit 99\n")
    for name in ("python3", "python3.11", "env", "sh"):
        (folder / name).write_text((folder / "python").read_text())
        (folder / name).chmod(0o755)
    site = folder / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    (site / "usercustomize.py").write_text((folder / "usercustomize.py").read_text())
    (site / "spoil.pth").write_text(f"import sys; open({str(workdir / 'imported')!r}, 'a').write('pth')\n")
    (folder / ".local").symlink_to(folder)
    (folder / "pyvenv.cfg").write_text("home = /nonexistent\n")
    return folder


@pytest.mark.invariant(8)
@pytest.mark.modes(*ALL_MODES)
def test_everything_at_once(pyinit: Start, workdir: Path, shadow: Path) -> None:
    """Every variable that CPython knows and a folder of shadowing modules.

    A whole run is as ever, the command gets all of it.
    """
    given = plain_environment() | {name: value.format(shadow=shadow) for name, value in HOSTILE_VARIABLES.items()}
    given |= {"HOME": str(shadow), "PATH": f"{shadow}:{given['PATH']}"}
    run = pyinit(program("single_fork"), program("report"), env=given, stage=[f"cwd={shadow}"])
    assert run.finish() == 0
    said = json.loads(run.out.lines[-1])
    assert [bytes.fromhex(entry).decode() for entry in said["env"]] == [
        f"{name}={value}" for name, value in given.items()
    ]
    assert bytes.fromhex(said["cwd"]).decode() == str(shadow)
    assert not (workdir / "imported").exists(), (workdir / "imported").read_text()
    assert not list(shadow.glob("__pycache__"))
    assert run.of(EXITED)


@pytest.mark.invariant(8)
@pytest.mark.modes(SUBREAPER)
@pytest.mark.parametrize("name", HOSTILE_VARIABLES)
def test_one_variable(pyinit: Start, workdir: Path, shadow: Path, name: str) -> None:
    """Each variable by itself: nothing but pyinit's own lines on standard error, nothing imported from elsewhere."""
    value = HOSTILE_VARIABLES[name].format(shadow=shadow)
    run = pyinit("/usr/bin/printenv", name, extra_env={name: value}, stage=[f"cwd={shadow}"])
    assert run.finish() == 0
    assert run.out.lines == [value]
    assert not (workdir / "imported").exists()


@pytest.mark.invariant(8)
def test_python_as_the_command(pyinit: Start, workdir: Path) -> None:
    """A Python program as the command does get its variables: they are the command's, not pyinit's."""
    (workdir / "of_the_command.py").write_text("print('imported')\n")
    run = pyinit(sys.executable, "-c", "import of_the_command", extra_env={"PYTHONPATH": str(workdir)})
    assert run.finish() == 0
    assert run.out.lines == ["imported"]
