"""Kills for want of memory, as the files of both versions of control groups tell them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyinit import oom

if TYPE_CHECKING:
    from collections.abc import Callable

V1 = {
    "/proc/self/cgroup": "9:name=systemd:/a\n4:memory:/docker/x\n0::/\n",
    "/sys/fs/cgroup/memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
}
V2 = {
    "/proc/self/cgroup": "0::/\n",
    "/sys/fs/cgroup/memory.events": "low 0\nhigh 0\nmax 3\noom 2\noom_kill 2\noom_group_kill 0\n",
}
V2_BELOW = {
    "/proc/self/cgroup": "0::/system.slice/x.service\n",
    "/sys/fs/cgroup/system.slice/x.service/memory.events": "oom_kill 2\n",
    "/sys/fs/cgroup/memory.events": "oom_kill 900\n",
}
Files = dict[str, str]


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Callable[[Files], Files]:
    """Return what makes a set of files the ones that are read."""

    def use(given: Files) -> Files:
        present = dict(given)
        monkeypatch.setattr(oom, "_read", lambda path: present.get(path, ""))
        return present

    return use


@pytest.mark.parametrize("given", [V1, V2, V2_BELOW], ids=["v1", "v2", "v2 below the root"])
def test_each_kill_is_told_once(files: Callable[[Files], Files], given: Files) -> None:
    """Kills before the start are none of ours; each one after it is told once."""
    present = files(given)
    kills = oom.OomKills()
    assert not kills.happened()
    for path in present:
        present[path] = present[path].replace("oom_kill 2", "oom_kill 4")
    assert kills.happened()
    assert kills.happened()
    assert not kills.happened()


def test_a_kill_before_the_first_look_is_told(files: Callable[[Files], Files]) -> None:
    """Where the launcher has counted before main was started, a kill since then counts."""
    files(V2)
    kills = oom.OomKills(1)
    assert kills.happened()
    assert not kills.happened()


def test_kills_of_the_run_before_are_forgotten(files: Callable[[Files], Files]) -> None:
    """Another run counts from where it begins."""
    present = files(V2)
    kills = oom.OomKills(0)
    kills.start_anew()
    assert not kills.happened()
    for path in present:
        present[path] = ""
    kills.start_anew()
    assert not kills.happened()


@pytest.mark.parametrize("text", ["", "oom_kill\n", "oom_kill many\n", "garbage"])
def test_without_a_count_nothing_was_killed(files: Callable[[Files], Files], text: str) -> None:
    """No file, or one in another form, explains no end."""
    files({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.events": text})
    assert not oom.OomKills().happened()
