"""Kills for want of memory, as the files of both versions of control groups tell them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyinit import cgroup, oom
from support.descriptors import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

V1 = {
    "/proc/self/cgroup": "9:name=systemd:/a\n4:memory:/docker/x\n0::/\n",
    "/sys/fs/cgroup/memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
}
V1_TOGETHER = {
    "/proc/self/cgroup": "4:cpu,memory:/\n0::/\n",
    "/sys/fs/cgroup/cpu,memory/memory.oom_control": "oom_kill 2\n",
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
ROOT = "/sys/fs/cgroup"


class Files:
    """Files that stand in for those of the kernel, below a folder."""

    def __init__(self, folder: Path, given: Mapping[str, str]) -> None:
        self._paths = {folder / path[1:]: text for path, text in given.items()}
        for path, text in self._paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def count(self, kills: str) -> None:
        """Have so many kills counted, or something else said; as in a file of the kernel, in the same file."""
        for path, text in self._paths.items():
            path.write_text(text.replace("oom_kill 2\n", kills))


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Mapping[str, str]], Files]:
    """Return what makes a set of files the ones that are read."""
    monkeypatch.setattr(cgroup, "_MOUNT", str(tmp_path) + ROOT)
    monkeypatch.setattr(cgroup, "_OWN", f"{tmp_path}/proc/self/cgroup")
    return lambda given: Files(tmp_path, given)


@pytest.mark.parametrize("given", [V1, V1_TOGETHER, V2, V2_BELOW], ids=["v1", "v1 together", "v2", "v2 below"])
def test_each_kill_is_told_once(files: Callable[[Mapping[str, str]], Files], given: Mapping[str, str]) -> None:
    """Kills before the start are none of ours; each one after it is told once, and to ask for them tells of none."""
    there = files(given)
    kills = oom.OomKills()
    assert not kills.happened()
    there.count("oom_kill 4\n")
    assert kills.any_untold()
    assert kills.happened()
    assert kills.any_untold()
    assert kills.happened()
    assert not kills.any_untold()
    assert not kills.happened()


def test_the_counter_is_opened_once(files: Callable[[Mapping[str, str]], Files]) -> None:
    """However often it is asked, one descriptor is kept, and none that a child would get; another when that fails."""
    there = files(V2)
    before = descriptors()
    kills = oom.OomKills()
    assert not descriptors() - before
    for number in range(3, 6):
        there.count(f"oom_kill {number}\n")
        assert kills.happened()
    ((fd, _),) = descriptors() - before
    assert not os.get_inheritable(int(fd))
    nothing_to_read = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing_to_read, int(fd))
    os.close(nothing_to_read)
    there.count("oom_kill 6\n")
    assert not kills.happened()
    assert kills.happened()
    os.close(kills._fd)


def test_a_kill_before_the_first_look_is_told(files: Callable[[Mapping[str, str]], Files]) -> None:
    """Where the launcher has counted before main was started, a kill since then counts."""
    files(V2)
    kills = oom.OomKills(1)
    assert kills.happened()
    assert not kills.happened()


def test_kills_of_the_run_before_are_forgotten(files: Callable[[Mapping[str, str]], Files]) -> None:
    """Another run counts from where it begins."""
    there = files(V2)
    kills = oom.OomKills(0)
    kills.start_anew()
    assert not kills.happened()
    there.count("")
    kills.start_anew()
    assert not kills.happened()
    there.count("oom_kill 3\n")
    assert kills.happened()


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Say what time it is."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Have it look at such a clock."""
    clock = Clock()
    monkeypatch.setattr(oom, "monotonic", clock)
    return clock


def test_a_kill_of_somebody_elses_process(files: Callable[[Mapping[str, str]], Files], clock: Clock) -> None:
    """What the count has told long ago, and explained no end then, explains none that comes later."""
    there = files(V2)
    kills = oom.OomKills()
    there.count("oom_kill 3\n")
    kills.note()
    clock.now += oom.DEATH_S
    assert not kills.any_untold()
    assert not kills.happened()
    there.count("oom_kill 4\n")
    assert kills.happened()
    assert not kills.happened()


def test_kills_are_forgotten_one_after_the_other(files: Callable[[Mapping[str, str]], Files], clock: Clock) -> None:
    """Each has its own time, from when it was known first; those that are told are not forgotten once more."""
    there = files(V2)
    kills = oom.OomKills()
    there.count("oom_kill 4\n")
    kills.note()
    clock.now += oom.DEATH_S / 2
    there.count("oom_kill 7\n")
    assert kills.happened()
    clock.now += oom.DEATH_S / 2
    assert [kills.happened() for _ in range(4)] == [True, True, True, False]
    clock.now += oom.DEATH_S
    there.count("oom_kill 8\n")
    assert kills.happened()
    assert not kills.any_untold()


@pytest.mark.parametrize("text", ["", "oom_kill\n", "oom_kill many\n", "garbage"])
def test_without_a_count_nothing_was_killed(files: Callable[[Mapping[str, str]], Files], text: str) -> None:
    """No file, or one in another form, explains no end."""
    files({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.events": text})
    assert not oom.OomKills().happened()


def test_a_counter_that_goes_away(files: Callable[[Mapping[str, str]], Files], tmp_path: Path) -> None:
    """Where it cannot be opened any more nothing was killed, as far as anybody can tell."""
    files(V2)
    kills = oom.OomKills(0)
    Path(f"{tmp_path}{ROOT}/memory.events").unlink()
    assert not kills.happened()
