"""Who is measured, and how each of them is started with a command below it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

PID1 = "pid1"
SUBREAPER = "sub"
MODES = (PID1, SUBREAPER)
REAP_LOG = "pyinit, reap log"
READ_FIRST = "pyinit, option read first"
# Not an init: what the system calls of a reap with its record take by themselves (helper.c).
ALONE = "the system calls alone, in C"
MODE_NAMES = {PID1: "PID 1", SUBREAPER: "subreaper"}

PACKAGES = {
    "tini": ("tini", "tini"),
    "dumb-init": ("dumb-init", "dumb-init"),
    "catatonit": ("catatonit", "catatonit"),
    "supervisord": ("supervisor", "supervisor"),
    "s6-svscan": ("s6", "s6"),
    "runsvdir": ("runit", "runit"),
}


class Init:
    """One program that is measured.

    Attributes:
        name: what it is called in the tables.
        modes: as what it can be measured.
        holds: True for one that stays when its command ends; its own end is no figure then.
        forwards: True when it hands SIGUSR1 on to the command.
        reaps_below: True when orphans come to it although it is not PID 1.
    """

    def __init__(  # noqa: PLR0913  # what there is to know
        self,
        name: str,
        command: Callable[[str, Sequence[str]], list[str]],
        *,
        modes: Sequence[str] = MODES,
        holds: bool = False,
        forwards: bool = True,
        reaps_below: bool = True,
    ) -> None:
        self.name = name
        self.command = command
        self.modes = tuple(modes)
        self.holds = holds
        self.forwards = forwards
        self.reaps_below = reaps_below

    def __repr__(self) -> str:
        return f"Init({self.name!r})"


def plain(program: str, *options: str, as_subreaper: Sequence[str] = ()) -> Callable[[str, Sequence[str]], list[str]]:
    """Return what makes the command line of an init that takes the command's words behind its options."""

    def command(mode: str, words: Sequence[str]) -> list[str]:
        return [program, *options, *(as_subreaper if mode == SUBREAPER else ()), "--", *words]

    return command


def install_peers() -> None:
    """Install the packages of the peers that are missing; scripts/apt-install says which ones first."""
    missing = [f"{package}: one of the programs that pyinit is measured beside" for command, (package, _) in
               PACKAGES.items() if shutil.which(command) is None]  # fmt: skip
    if missing:
        subprocess.run(["scripts/apt-install", *missing], check=True)


def versions() -> dict[str, str]:
    """Return the versions of the peers' packages."""
    asked = [package for package, _ in PACKAGES.values()]
    done = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${Package} ${Version}\\n", *asked],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def _supervisord(scratch: Path) -> Callable[[str, Sequence[str]], list[str]]:
    def command(mode: str, words: Sequence[str]) -> list[str]:
        del mode
        folder = scratch / "supervisord"
        folder.mkdir(exist_ok=True)
        config = folder / "supervisord.conf"
        config.write_text(
            f"[supervisord]\nnodaemon=true\nuser=root\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={folder}/pid\n"
            f"[program:main]\ncommand={shlex.join(words)}\nautorestart=false\nstartsecs=0\n"
            "stdout_logfile=NONE\nstderr_logfile=NONE\n"
        )
        return [_path("supervisord"), "-c", str(config)]

    return command


def _runner(path: Path, words: Sequence[str]) -> None:
    path.write_text("#!/bin/sh\nexec " + shlex.join(words) + "\n")
    path.chmod(0o755)


def _scanned(program: str, folder: Path) -> Callable[[str, Sequence[str]], list[str]]:
    """Return what makes the command line of a supervisor that starts what it finds in a folder."""

    def command(mode: str, words: Sequence[str]) -> list[str]:
        del mode
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "main").mkdir(parents=True)
        _runner(folder / "main" / "run", words)
        return [_path(program), str(folder)]

    return command


def _path(program: str) -> str:
    return shutil.which(program) or f"/usr/bin/{program}"


def direct(mode: str, words: Sequence[str]) -> list[str]:
    """Start the command without an init: what all figures of the start are counted from."""
    del mode
    return list(words)


def all_inits(wheel: Path, folder: Path | None, scratch: Path, helper: str) -> dict[str, Init]:
    """Return everybody who is measured, by name; `folder` is the image's /opt/pyinit, where there is one."""
    inits = [
        Init("tini", plain(_path("tini"), as_subreaper=["-s"])),
        Init("dumb-init", plain(_path("dumb-init")), reaps_below=False),
        Init("catatonit", plain(_path("catatonit")), reaps_below=False),
        Init("pyinit", plain(str(wheel))),
        Init(REAP_LOG, plain(str(wheel), "--log-reaps")),
        Init(READ_FIRST, plain(str(wheel), "--stop-on=TERM,INT,QUIT")),
        Init(ALONE, plain(helper, "alone")),
    ]
    if folder is not None:
        inits.append(Init("pyinit, image", plain(str(folder / "bin" / "pyinit"))))
    inits += [
        Init("supervisord", _supervisord(scratch), modes=[PID1], holds=True, forwards=False),
        Init("s6", _scanned("s6-svscan", scratch / "s6"), modes=[PID1], holds=True, forwards=False),
        Init("runit", _scanned("runsvdir", scratch / "runit"), modes=[PID1], holds=True, forwards=False),
    ]
    return {init.name: init for init in inits}
