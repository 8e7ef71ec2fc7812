"""Builds the launcher, the bundle of modules, the man page and the completions into the wheel: hatchling calls this."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = ("pyinit.c", "plain.c", "start.c", "oom.c")
HELP = "pyinit's launcher is C: a C compiler is needed to build it (Debian, Ubuntu: apt-get install gcc libc6-dev)."


class LauncherHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's own generic is not needed
    """Compile the launcher into the scripts of the wheel, by both its names; make the bundle, and all of share/.

    A wheel has no links, so that there are two of the launcher.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile and write; raises SystemExit when there is no compiler or it fails."""
        del version
        here = Path(self.root) / "launcher"
        target = Path(self.directory) / "launcher" / "pyinit"
        target.parent.mkdir(parents=True, exist_ok=True)
        compiler = shlex.split(os.environ.get("CC", "cc"))
        if shutil.which(compiler[0]) is None:
            raise SystemExit(HELP)
        flags = ["-O2", "-Wall", "-Wextra", "-Werror=implicit-function-declaration"]
        rows = target.parent / "plain_options.h"
        self._run(here / "plain_options.py", rows)
        sources = [str(here / name) for name in SOURCES]
        common = [*compiler, *flags, "-I", str(rows.parent), *sources, "-o", str(target)]
        # A static program starts faster, and runs where the C library is another one; not every place can link one.
        if subprocess.run([*common, "-static", "-s"], capture_output=True, check=False).returncode != 0:
            subprocess.run([*common, "-s"], check=True)
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = True
        build_data["tag"] = f"py3-none-{platform}"
        control = target.with_name("pyinitctl")
        shutil.copy(target, control)
        made = target.parent / "bundle"
        self._run(here / "bundle.py", made)
        build_data["force_include"] = {str(path): path.relative_to(made).as_posix() for path in made.rglob("*.py")}
        share = target.parent / "documents"
        self._run(here / "documents.py", share)
        files = [path for path in sorted(share.rglob("*")) if path.is_file()]
        build_data["shared_data"] = {str(path): path.relative_to(share).as_posix() for path in files}
        scripts = {str(target): "pyinit", str(control): "pyinitctl", str(here / "pyinit-main"): "pyinit-main"}
        build_data["shared_scripts"] = scripts

    @staticmethod
    def _run(script: Path, target: Path) -> None:
        """Have a script make `target`, in a process of its own: what this one has imported is no business of it."""
        subprocess.run([sys.executable, "-IB", str(script), str(target)], check=True)
