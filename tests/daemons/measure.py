"""Tries every recipe under pyinit, as PID 1 and as a subreaper, and writes what was measured as JSON.

    python tests/daemons/measure.py [--out FILE] [--log] [--built] [NAME ...]

Needs a docker engine on this machine, and root: processes are looked at and signalled from outside of the containers.
What FILE holds of other recipes is kept. table.py makes docs/daemons.md from it.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from daemons import containers, recipes, trials

RESULTS = recipes.HERE / "results.json"


def measure(recipe: recipes.Recipe, mode: str, image: str, *, log: bool) -> dict[str, Any]:
    """Return what a stop, a crash and a reload of *recipe* in *mode* came to; with *log* the messages of the log, too.

    `problem` says what went wrong, "" when nothing did.
    """
    result: dict[str, Any] = {"problem": ""}
    problems = []
    for end in ("stop", "crash", *(["reload"] if recipe.reload else [])):
        with trials.trial(recipe, mode, image) as trial:
            try:
                trial.come_up()
                if end == "reload":
                    result[end] = {**trial.reload(), "stop": trial.stop()}
                else:
                    result[end] = trial.stop() if end == "stop" else trial.crash()
                problems += trial.log_problems()
            except (trials.NotUpError, OSError, subprocess.TimeoutExpired) as error:
                problems.append(f"{end}: {error}")
            handovers = trial.output.events("service.handover")
            result["launcher_s"] = None if trial.launcher_s is None else round(trial.launcher_s, 3)
            result["ready_s"] = round(trial.ready_s, 3)
            result["told"] = trial.told
            result["told_s"] = None if trial.told_s is None else round(trial.told_s, 3)
            result["handover"] = bool(handovers)
            told = handovers[0]["pyinit.successors"] if handovers else []
            result["successors"] = [name.partition("[")[0] for name in told]
            if log:
                result["log_" + end] = [f"{record['severity']}: {record['message']}" for record in trial.output.records]
    result["problem"] = "\n".join(problems)
    return result


def summary(recipe: recipes.Recipe, mode: str, result: dict[str, Any]) -> str:
    """Return one line about a result."""
    stop, crash = result.get("stop", {}), result.get("crash", {})
    return (
        f"{recipe.name:20} {mode:9} launcher {result['launcher_s']} ready {result['ready_s']} "
        f"stop {stop.get('seconds')} s status {stop.get('status')} escalated {stop.get('escalated')} "
        f"killed {stop.get('killed')} left {stop.get('left')} | crash {crash.get('victim')} noticed "
        f"{crash.get('noticed_s')} end {crash.get('seconds')} status {crash.get('status')} "
        f"killed {crash.get('killed')} left {crash.get('left')} | told {result['told']} {result['told_s']} "
        f"command {stop.get('command')} reload {result.get('reload')} {result['problem']}"
    )


def versions(image: str) -> dict[str, str]:
    """Return the version of each package in *image*."""
    lines = containers.docker("run", "--rm", "--network", "none", image, "dpkg-query", "-W").splitlines()
    return {line.split("\t")[0].partition(":")[0]: line.split("\t")[1] for line in lines}


def main() -> int:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    parser.add_argument("--built", action="store_true", help="the images are there: do not build them again")
    parser.add_argument("--log", action="store_true", help="keep the messages of pyinit's log")
    parser.add_argument("names", nargs="*", metavar="NAME", help="recipes, all unless told")
    options = parser.parse_args()
    wanted = [recipe for recipe in recipes.read() if not options.names or recipe.name in options.names]
    if not options.built:
        containers.build_product()
    images = {}
    for image in sorted({recipe.image for recipe in wanted}):
        plain = f"pyinit-daemons:{image}" if options.built else containers.build_daemons(image)
        images[image] = f"{plain}-tried" if options.built else containers.add_product(plain)
    known = {image: versions(tag) for image, tag in images.items()}
    results = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
    failed = 0
    for recipe in wanted:
        row = results[recipe.name] = {"versions": {name: known[recipe.image][name] for name in recipe.packages}}
        for mode in trials.MODES:
            row[mode] = measure(recipe, mode, images[recipe.image], log=options.log)
            failed += bool(row[mode]["problem"])
            print(summary(recipe, mode, row[mode]), flush=True)
        options.out.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{len(wanted)} recipes, {failed} trials with a problem")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
