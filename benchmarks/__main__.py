"""`make bench`: measures all figures, interleaved, writes build/bench.json and prints the tables.

    python -m benchmarks [--quick] [--figure NAME] [--json FILE]

Needs root (PID namespaces), a C compiler and, for the peers, apt-get. The image's folder is measured where a container
engine has the image `pyinit`, or where --folder names it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import table
from benchmarks.figures import FIGURES, Lab, plan, rounds_of, walk_of
from benchmarks.inits import MODE_NAMES, MODES, Init, all_inits, install_peers, versions

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
BUILD = Path("build/bench")
DIRECT = "direct"
PIN = ("PATH", "HOME", "LANG", "LC_ALL", "TERM")


def build_helper() -> Path:
    """Compile helper.c; return the program."""
    BUILD.mkdir(parents=True, exist_ok=True)
    helper = BUILD / "helper"
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run([*compiler, "-O2", "-Wall", "-Wextra", "-static", "-s", str(HERE / "helper.c"), "-o", str(helper)],
                   check=True)  # fmt: skip
    return helper.resolve()


def quietly(*words: str) -> bool:
    """Run a command that says nothing here; return whether it did its work."""
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def image_folder() -> Path | None:
    """Take /opt/pyinit out of the image `pyinit`, to be run here; None where there is none."""
    if shutil.which("docker") is None:
        return None
    if not quietly("docker", "image", "inspect", "pyinit"):
        return None
    target = (BUILD / "image").resolve()
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(["docker", "create", "pyinit", "true"], stdout=subprocess.PIPE, text=True, check=True)
    container = made.stdout.strip()
    try:
        subprocess.run(["docker", "cp", f"{container}:/opt/pyinit", str(target)], check=True, stdout=subprocess.DEVNULL)
    finally:
        quietly("docker", "rm", container)
    return target


def at_its_place(folder: Path) -> Path:
    """Let a copy of /opt/pyinit know where it is: its script names the interpreter by its full path."""
    folder = folder.resolve()
    script = folder / "bin" / "pyinit-main"
    interpreter = next((folder / "bin").glob("python3*"))
    script.write_bytes(b"#!" + bytes(interpreter) + b"\n" + script.read_bytes().partition(b"\n")[2])
    return folder


def machine() -> dict[str, object]:
    """Say in general terms what this was measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    flags = Path("/proc/cpuinfo").read_text()
    return {
        "processors": os.cpu_count(),
        "memory_gib": round(memory),
        "architecture": platform.machine(),
        "virtual": "hypervisor" in flags,
        "kernel": ".".join(platform.release().split(".")[:2]),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def measure(lab: Lab, inits: dict[str, Init], only: str | None, keep: Callable[[dict[str, object]], None]) -> None:
    """Measure; hand to `keep` what is known after each figure.

    One round goes through all inits, then the next one: figure -> "init | mode" -> value -> samples.
    """
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    failed: list[str] = []
    for figure in FIGURES:
        if only is not None and only not in figure.name:
            continue
        begun = time.monotonic()
        rows = found.setdefault(figure.name, {})
        rounds = figure.quick_rounds if lab.quick else figure.rounds
        for turn in range(rounds):
            for init, mode in plan(figure, list(inits.values())):
                if turn >= rounds_of(figure, init, quick=lab.quick, fewer=lab.fewer):
                    continue
                name = f"{init.name if init else DIRECT} | {mode}"
                try:
                    values = figure.measure(lab, init, mode)
                except (subprocess.SubprocessError, ValueError) as error:
                    failed.append(f"{figure.name}, {name}: {type(error).__name__}")
                    continue
                row = rows.setdefault(name, {})
                for key, value in values.items():
                    row.setdefault(key, []).append(value)
        keep({"figures": summed_up(found), "failed": failed})
        print(f"  {figure.name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)


def summed_up(samples: dict[str, dict[str, dict[str, list[float]]]]) -> dict[str, object]:
    """Return for each value its median, the quartiles and how often it was measured."""
    return {
        figure: {row: {name: spread(values) for name, values in found.items()} for row, found in rows.items()}
        for figure, rows in samples.items()
    }


def spread(values: list[float]) -> dict[str, float]:
    """Return the median, the quartiles (with less than four values the range) and how many values there are."""
    quarters = statistics.quantiles(values, n=4) if len(values) >= 4 else [min(values), 0.0, max(values)]
    low, high = quarters[0], quarters[2]
    return {
        "median": round(statistics.median(values), 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "runs": len(values),
    }


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few and small runs, to see that all of it works")
    parser.add_argument("--fewer", type=int, default=1, help="so many times fewer rounds and orphans [%(default)s]")
    parser.add_argument("--figure", help="only the figures with this in their names")
    parser.add_argument("--json", default="build/bench.json", help="where the results go [%(default)s]")
    parser.add_argument("--folder", type=Path, help="the image's folder /opt/pyinit, or a copy of it")
    parser.add_argument("--without-image", action="store_true", help="leave the image's folder out")
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("make bench: PID namespaces need root; run it as root.")
    for name in set(os.environ) - set(PIN) - {"CC"}:
        del os.environ[name]  # what is in the environment costs each exec
    os.environ["LANG"] = "C.UTF-8"
    install_peers()
    folder = options.folder or (None if options.without_image else image_folder())
    page = Path("/dev/shm", f"pyinit-bench-{os.getpid()}")
    with tempfile.TemporaryDirectory(prefix="pyinit-bench-") as scratch, contextlib.ExitStack() as stack:
        lab = Lab(build_helper(), page, quick=options.quick, fewer=options.fewer)
        stack.callback(page.unlink)
        wheel = Path(sys.prefix, "bin", "pyinit")
        inits = all_inits(wheel, at_its_place(folder) if folder else None, Path(scratch), lab.helper)
        result: dict[str, object] = {"machine": machine(), "packages": versions(), "image": folder is not None}
        begun = time.monotonic()
        result["fewer"] = options.fewer

        def keep(known: dict[str, object]) -> None:
            result.update(known)
            Path(options.json).write_text(json.dumps(result, indent=1) + "\n")

        Path(options.json).parent.mkdir(parents=True, exist_ok=True)
        measure(lab, inits, options.figure, keep)
        if options.figure is None:
            walk = walk_of(sys.executable, 1000 if options.quick else 10_000)
            result["walk_ms"] = round(statistics.median(walk), 2)
        result["took_s"] = round(time.monotonic() - begun)
        machine_after = os.getloadavg()[0]
        result["load_after"] = machine_after
    keep({})
    print(table.everything(result))
    print(f"\n{options.json}; took {result['took_s']} s. Modes: " + ", ".join(MODE_NAMES[mode] for mode in MODES))


main()
