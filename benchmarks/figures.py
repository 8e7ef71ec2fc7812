"""The figures: how each of them is measured once, for one init in one mode."""

from __future__ import annotations

import statistics
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.inits import ALONE, MODES, PID1, READ_FIRST, REAP_LOG, Init, direct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PAGE_BYTES = 4096
LIMIT_S = 120
# Orphans of a storm; fewer for those that take milliseconds for each, or reap none before it is over.
STORM = 20_000
STORMS = {"catatonit": 2000, "supervisord": 1000, "runit": 5000}
MS, US = 1e6, 1e3  # in nanoseconds


class Lab:
    """What all measurements need: the helper, the page that its two ends share, and the sizes."""

    def __init__(self, helper: Path, page: Path, *, quick: bool, fewer: int = 1) -> None:
        self.helper = str(helper)
        self.page = str(page)
        self.quick = quick
        self.fewer = fewer
        page.write_bytes(bytes(PAGE_BYTES))

    def outer(
        self, what: str, mode: str, options: Sequence[object], init: Init | None, inner: Sequence[object]
    ) -> list[str]:
        """Return the command line of a measurement."""
        name, *rest = (str(word) for word in inner)
        words = [self.helper, name, self.page, *rest]
        command = direct(mode, words) if init is None else init.command(mode, words)
        return [self.helper, what, mode, self.page, *(str(option) for option in options), "--", *command]

    def numbers(self, *arguments: object) -> list[list[int]]:
        """Run a measurement (see `outer`); return the numbers that it printed, by line."""
        done = subprocess.run(
            self.outer(*arguments),  # type: ignore[arg-type]
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=LIMIT_S,
        )
        return [[int(word) for word in line.split()] for line in done.stdout.splitlines()]


def start(lab: Lab, init: Init | None, mode: str) -> dict[str, float]:
    """Exec of the init to the first instruction of a command that ends at once, and its whole life."""
    stays = init is not None and init.holds
    options = [1] if stays else []
    ((first, life, *_),) = lab.numbers("run", mode, options, init, ["now"])
    found = {"start_ms": first / MS}
    if not stays:
        found["life_ms"] = life / MS
    return found


def exit_latency(lab: Lab, init: Init | None, mode: str) -> dict[str, float]:
    """Measure the time from the command's end to the init's, when the init had the time to become idle before."""
    ((_, _, after, *_),) = lab.numbers("run", mode, [], init, ["now", 150])
    return {"exit_ms": after / MS}


def signals(lab: Lab, init: Init | None, mode: str) -> dict[str, float]:
    """Send the init a signal each millisecond, and wait until the command has it."""
    count = 200 if lab.quick else 1000
    *latencies, (cpu,) = lab.numbers("signal", mode, [count, 1000], init, ["echo"])
    values = sorted(ns for (ns,) in latencies)
    return {
        "p50_us": statistics.median(values) / US,
        "p99_us": statistics.quantiles(values, n=100)[98] / US,
        "cpu_us": cpu / US,
    }


def status(lab: Lab, init: Init | None, mode: str) -> dict[str, float]:
    """Ask pyinit for the status of 10,000 children of one process, and send it a signal each millisecond meanwhile.

    Under another init, which cannot be asked, the one who asks reads /proc by himself, as ps(1) does.
    """
    count = 1000 if lab.quick else 10_000
    *latencies, (took, rows) = lab.numbers("status", mode, [0, 1000], init, ["asked", count])
    values = sorted(ns for (ns,) in latencies)
    below = count + 2  # and their parent, and who asks; /proc has whatever else there is
    if rows < below or (rows > below and init is not None and init.name == "pyinit"):
        message = f"the status tells of {rows} processes, and there are {below}"
        raise ValueError(message)
    return {
        "answer_ms": took / MS,
        "p50_us": statistics.median(values) / US,
        "p99_us": statistics.quantiles(values, n=100)[98] / US,
    }


def storm(lab: Lab, init: Init | None, mode: str, *, delay_ms: int = 400, live: int = 0) -> dict[str, float]:
    """20,000 orphans that end at once, from 8 processes that each make the next when the last one has ended."""
    count = 2000 if lab.quick or live else STORMS.get(init.name if init is not None else "", STORM) // lab.fewer
    stays = live > 0 or (init is not None and init.holds)
    numbers = lab.numbers("run", mode, [1] if stays else [], init, ["storm", count, 8, delay_ms, live])
    ((_, _, _, wall, cpu, peak, reaped, _),) = numbers
    found = {"wall_us": wall / US / count, "zombies": float(peak), "cpu_us": cpu / US / count}
    if init is not None and init.name == REAP_LOG:
        # Where it stays it is killed soon after the command's end: that one may have been told of as well.
        found["records_missing"] = max(0.0, float(count + (not stays) - reaped))
    return found


def early_storm(lab: Lab, init: Init | None, mode: str) -> dict[str, float]:
    """Make the same storm at once: pyinit is still about to import its log."""
    return storm(lab, init, mode, delay_ms=0)


def crowded_storm(lab: Lab, init: Init | None, mode: str) -> dict[str, float]:
    """Make a storm of 2,000 while 10,000 other orphans live."""
    return storm(lab, init, mode, delay_ms=1500, live=1000 if lab.quick else 10_000)


def mass_end(lab: Lab, init: Init | None, mode: str) -> dict[str, float]:
    """5,000 orphans killed by one call, until the last one is reaped."""
    count = 500 if lab.quick else 5000
    (_, _, _, wall, cpu, *_), = lab.numbers("run", mode, [1] if init is not None and init.holds else [], init,
                                            ["mass", count])  # fmt: skip
    return {"wall_ms": wall / MS, "cpu_us": cpu / US / count}


def stop(lab: Lab, init: Init | None, mode: str, *, count: int) -> dict[str, float]:
    """SIGTERM to the init's end, with so many descendants that each have a session of their own."""
    ((took, left),) = lab.numbers("stop", mode, [], init, ["family", count])
    return {"wall_ms": took / MS, "left": float(left)}


def stop_1000(lab: Lab, init: Init | None, mode: str) -> dict[str, float]:
    """See `stop`."""
    return stop(lab, init, mode, count=100 if lab.quick else 1000)


def stop_5000(lab: Lab, init: Init | None, mode: str) -> dict[str, float]:
    """See `stop`."""
    return stop(lab, init, mode, count=500 if lab.quick else 5000)


# -- idle ----------------------------------------------------------------------------------------------------------


def _field(pid: int, file: str, name: str) -> int:
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0


def _below(pid: int) -> list[int]:
    found = [pid]
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            found += _below(int(child))
    return found


def _switches(pids: Sequence[int]) -> int:
    names = ("voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")
    return sum(_field(pid, "status", name) for pid in pids for name in names)


def _cpu_ns(pids: Sequence[int]) -> int:
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids)


def idle(lab: Lab, init: Init | None, mode: str) -> dict[str, float]:
    """Memory of the init and of what it has started besides the command, and what they do while nothing happens."""
    holder = subprocess.Popen(
        lab.outer("hold", mode, [], init, ["idle"]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        top = int(holder.stdout.readline())
        time.sleep(0.7)
        pids = [pid for pid in _below(top) if Path(f"/proc/{pid}/exe").resolve() != Path(lab.helper).resolve()]
        memory = {
            "pss_mb": sum(_field(pid, "smaps_rollup", "Pss") for pid in pids) / 1024,
            "uss_mb": sum(
                _field(pid, "smaps_rollup", name) for pid in pids for name in ("Private_Clean", "Private_Dirty")
            ) / 1024,
            "rss_mb": sum(_field(pid, "smaps_rollup", "Rss") for pid in pids) / 1024,
        }  # fmt: skip
        span_s = 1.0 if lab.quick else 4.0
        switches, cpu = _switches(pids), _cpu_ns(pids)
        time.sleep(span_s)
        per_minute = 60 / span_s
        return memory | {
            "wakeups_per_min": (_switches(pids) - switches) * per_minute,
            "cpu_us_per_min": (_cpu_ns(pids) - cpu) / US * per_minute,
        }
    finally:
        holder.communicate()


# -- all of them -----------------------------------------------------------------------------------------------------


class Figure(NamedTuple):
    """One figure.

    Attributes:
        name: its name in the JSON.
        measure: measures it once.
        rounds, quick_rounds: how often for each init.
        who: for which inits and modes it makes sense.
        baseline: the same is measured without an init, too.
        shrinks: with fewer rounds wanted it is the one round that has less to do, and there are as many.
    """

    name: str
    measure: Callable[[Lab, Init | None, str], dict[str, float]]
    rounds: int
    quick_rounds: int
    who: Callable[[Init, str], bool]
    baseline: bool = False
    shrinks: bool = False


def _starts(init: Init, mode: str) -> bool:
    return mode in init.modes and init.name not in {REAP_LOG, ALONE}


def _everybody(init: Init, mode: str) -> bool:
    return _starts(init, mode) and init.name != READ_FIRST


def _ends_with_main(init: Init, mode: str) -> bool:
    return _everybody(init, mode) and not init.holds


def _forwards(init: Init, mode: str) -> bool:
    return _everybody(init, mode) and init.forwards


def _reaps(init: Init, mode: str) -> bool:
    return mode in init.modes and (mode == PID1 or init.reaps_below) and init.name not in {"pyinit, image", READ_FIRST}


def _logs_or_is_tini(init: Init, mode: str) -> bool:
    return _reaps(init, mode) and mode == PID1 and init.name in {"tini", REAP_LOG}


def _answers(init: Init, mode: str) -> bool:
    return mode in init.modes and init.name in {"pyinit", "tini"}


def _stops(init: Init, mode: str) -> bool:
    return _everybody(init, mode) and init.name not in {"s6", "runit", "pyinit, image"}


FIGURES = (
    Figure("start", start, 41, 5, _starts, baseline=True),
    Figure("exit", exit_latency, 31, 3, _ends_with_main, baseline=True),
    Figure("idle", idle, 1, 1, _everybody),
    Figure("signal", signals, 3, 1, _forwards, baseline=True),
    Figure("status of 10,000", status, 3, 1, _answers),
    Figure("storm", storm, 3, 1, _reaps, shrinks=True),
    Figure("storm, at once", early_storm, 3, 1, _logs_or_is_tini, shrinks=True),
    Figure("storm, 10,000 live", crowded_storm, 2, 1, _logs_or_is_tini),
    Figure("mass end", mass_end, 3, 1, _reaps),
    Figure("stop of 1,000", stop_1000, 3, 1, _stops),
    Figure("stop of 5,000", stop_5000, 3, 1, _stops),
)


def plan(figure: Figure, inits: Sequence[Init]) -> list[tuple[Init | None, str]]:
    """Return who is measured in one round, in order."""
    wanted: list[tuple[Init | None, str]] = []
    for mode in MODES:
        if figure.baseline:
            wanted.append((None, mode))
        wanted += [(init, mode) for init in inits if figure.who(init, mode)]
    return wanted


def rounds_of(figure: Figure, init: Init | None, *, quick: bool, fewer: int = 1) -> int:
    """Return how often an init is measured: those that take a second for it less often."""
    if quick:
        return figure.quick_rounds
    if figure.rounds < 4:
        all_of_them = (fewer == 1 or figure.shrinks) and (init is None or not init.holds)
        return figure.rounds if all_of_them else 1
    if fewer > 1:
        return max(3, figure.rounds // fewer)
    if init is not None and init.holds:
        return min(figure.rounds, 7) if figure.name == "start" else 1
    return figure.rounds


def walk_of(pyinit_python: str, count: int) -> list[float]:
    """Return the milliseconds that pyinit's walk of a tree of `count` processes takes, five times over."""
    program = f"""
import posix, signal, time
from pyinit.procfs import Proc
told, tell = posix.pipe()
manager = posix.fork()
if manager == 0:
    posix.setpgid(0, 0)
    for _ in range(100):
        if posix.fork() == 0:
            for _ in range({count} // 100 - 1):
                if posix.fork() == 0:
                    signal.pause()
            posix.write(tell, b"x")
            signal.pause()
    signal.pause()
got = 0
while got < 100:
    got += len(posix.read(told, 100))
proc = Proc(posix.getpid())
for _ in range(5):
    begun = time.monotonic()
    found, complete = proc.walk(lambda: False)
    print((time.monotonic() - begun) * 1e3, len(found), complete)
posix.killpg(manager, 9)
posix.waitpid(manager, 0)
"""
    done = subprocess.run(
        [pyinit_python, "-c", program], stdout=subprocess.PIPE, text=True, check=True, timeout=LIMIT_S
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    if any(int(found) < count or complete != "True" for _, found, complete in lines):
        message = f"the walk did not find everybody: {lines}"
        raise RuntimeError(message)
    return [float(took) for took, _, _ in lines]
