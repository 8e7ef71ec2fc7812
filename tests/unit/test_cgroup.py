"""Who lives in our control group, as far as it says."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from pyinit import cgroup
from pyinit.cgroup import ControlGroup

if TYPE_CHECKING:
    from pathlib import Path

OWN = str(os.getpid())
LAYOUTS = {
    "v2": ("0::/app\n", "app/cgroup.procs"),
    "v2, the root": ("0::/\n", "cgroup.procs"),
    "v2, the path outside": ("0::/docker/123\n", "cgroup.procs"),
    "v2 beside v1": ("4:pids:/gone\n0::/app\n", "unified/app/cgroup.procs"),
    "v1": ("3:cpu,cpuacct:/app\n", "cpu,cpuacct/app/cgroup.procs"),
    "v1, the path outside": ("3:memory:/docker/123\n", "memory/cgroup.procs"),
}


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder in the place of /sys/fs/cgroup."""
    folder = tmp_path / "cgroup"
    folder.mkdir()
    monkeypatch.setattr(cgroup, "_MOUNT", str(folder))
    return folder


@pytest.mark.parametrize(("own", "file"), LAYOUTS.values(), ids=LAYOUTS)
def test_where_it_is(mount: Path, monkeypatch: pytest.MonkeyPatch, own: str, file: str) -> None:
    """Our group is found where it is mounted: the file that names us."""
    (mount.parent / "own").write_text(own)
    monkeypatch.setattr(cgroup, "_OWN", str(mount.parent / "own"))
    (mount / file).parent.mkdir(parents=True, exist_ok=True)
    (mount / file).write_text(f"0\n1\n{OWN}\n77\n0\n", encoding="ascii")
    assert ControlGroup().living() == [1, int(OWN), 77]


def test_group_without_us(mount: Path) -> None:
    """A group that does not name us is another one's, or of another PID namespace: nobody."""
    (mount / "cgroup.procs").write_text(f"{os.getpid() + 1}\n0\n", encoding="ascii")
    (mount / "unified").mkdir()
    assert ControlGroup().living() == []


@pytest.mark.skipif(not ControlGroup().living(), reason="no control group can be read here")
def test_the_dead_are_not_named() -> None:
    """A child that lives is named, and one that is dead and has not been reaped is not."""
    group = ControlGroup()
    process = subprocess.Popen(["/bin/sleep", "60"])
    try:
        assert process.pid in group.living()
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert process.pid not in group.living()
    finally:
        process.kill()
        process.wait()
