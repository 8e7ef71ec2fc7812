"""The status as numbers for machines: OpenMetrics that the parsers of the older Prometheus text format read, too."""

from __future__ import annotations

from pyinit.core.lives import WAITING
from pyinit.core.machine import HOLDING, KILLING, RUNNING, STARTING, STOPPING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Samples = Iterable[tuple[dict[str, str], float]]

_PHASES = (STARTING, RUNNING, HOLDING, STOPPING, KILLING, WAITING)
_ROLES = ("main", "successor", "adopted", "foreign", "command", "descendant")
# Types that both formats know are used alone: an "info" or a "stateset" makes node_exporter's textfile collector refuse
# the whole file.
_COUNTERS = {
    "adopted": ("pyinit_processes_adopted", "Processes that came to pyinit because their parent ended."),
    "reaped": ("pyinit_processes_reaped", "Children of pyinit that ended and were reaped."),
    "killed": ("pyinit_processes_killed", "Processes that died of pyinit's SIGKILL."),
    "forwarded": ("pyinit_signals_forwarded", "Signals that pyinit forwarded."),
    "dropped_records": ("pyinit_log_records_dropped", "Log records that nobody took in time."),
}


def text(told: dict[str, Any]) -> str:
    """Return a status, as the control socket tells it, as OpenMetrics text."""
    own, processes = told["pyinit"], told["processes"]
    lines: list[str] = []

    def gauge(name: str, about: str, samples: Samples, unit: str = "") -> None:
        lines.append(f"# TYPE {name} gauge")
        if unit:
            lines.append(f"# UNIT {name} {unit}")
        lines.append(f"# HELP {name} {about}")
        lines.extend(f"{name}{_labels(labels)} {value:.10g}" for labels, value in samples)

    labels = {"version": own["version"], "mode": own["mode"], "until": own["until"]}
    gauge("pyinit_run", "The run that pyinit holds; always 1.", [(labels, 1)])
    phases: Samples = [({"phase": phase}, phase == told["phase"]) for phase in _PHASES]
    gauge("pyinit_phase", "1 for the phase that the run is in.", phases)
    gauge("pyinit_live", "1 until SIGKILL is due.", [({}, told["live"])])
    gauge("pyinit_ready", "1 while the service is ready, as far as anybody can tell.", [({}, told["ready"])])
    gauge("pyinit_uptime_seconds", "Seconds since main was started.", [({}, own["uptime_s"])], "seconds")
    if "memory_bytes" in own:
        name, memory = "pyinit_resident_memory_bytes", own["memory_bytes"]
        gauge(name, "Memory of pyinit itself (RSS).", [({}, memory)], "bytes")
    roles: Samples = [({"role": role}, sum(row["role"] == role for row in processes)) for role in _ROLES]
    gauge("pyinit_processes", "Processes below pyinit, by what they are to the run.", roles)
    about = "1 where processes are missing here, because pyinit could not read them."
    gauge("pyinit_processes_incomplete", about, [({}, "incomplete" in told)])
    zombies = sum(row["state"] == "Z" for row in processes)
    gauge("pyinit_zombies", "Processes below pyinit that have ended and wait for their parent.", [({}, zombies)])
    memory = sum(row.get("memory_bytes", 0) for row in processes)
    name = "pyinit_tree_resident_memory_bytes"
    gauge(name, "Memory of all processes below pyinit (RSS; what is shared counts for each).", [({}, memory)], "bytes")
    cpu = sum(row.get("cpu_s", 0.0) for row in processes)
    gauge("pyinit_tree_cpu_seconds", "CPU time of the processes that live.", [({}, cpu)], "seconds")
    for key, (name, what) in (*_COUNTERS.items(), ("restarts", ("pyinit_restarts", "Restarts of the service."))):
        value = told["restarts"] if key == "restarts" else told["counts"][key]
        # The older format takes the name of a counter as it is written.
        lines += [f"# TYPE {name} counter", f"# HELP {name} {what}", f"{name}_total {value}"]
    return "\n".join(lines) + "\n# EOF\n"


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
