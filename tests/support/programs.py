"""Compiles the programs of tests/programs when a test first asks for one."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCES = Path(__file__).parent.parent / "programs"


@functools.cache
def _folder() -> Path:
    """Make a folder that every user can read, for the time of the test run."""
    folder = Path(tempfile.mkdtemp(prefix="pyinit-programs-"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def program(name: str) -> str:
    """Return the path of the compiled program `name`; a compiler error is the error of the test that asked."""
    target = _folder() / name
    source = SOURCES / f"{name}.c"
    command = ["cc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", str(target), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        message = f"{source.name} does not compile:\n{built.stderr}"
        raise RuntimeError(message)
    target.chmod(0o755)
    return str(target)
