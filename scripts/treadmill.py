"""Runs fork treadmills below pyinit and measures how soon after the grace they are gone: `make treadmill RUNS=100`.

64 chains ignore every signal and double-fork for ever, each link in a session of its own. pyinit is an ordinary process
there, a subreaper without any privilege, in a PID namespace for each run: so it takes root, and Linux 6.14, where a
namespace has a limit of its own on numbers. The time is that from SIGTERM to pyinit's end, less the grace: a signal
that is taken late and a SIGKILL that comes late count. It says something on a machine that has nothing else to do.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
UID = "61012"
WIDTH = "64"
GRACE_S = 0.4
GONE_WITHIN_S = 1.0
# The chains run for so long before they are stopped, and end by themselves after so many seconds.
RUN_S = 0.3
CHAINS_END_S = "20"
# So many numbers a namespace has at most, and so many it leaves to the rest of the machine.
NUMBERS = 32_768
LEFT_ALONE = 4_096
PID_MAX = Path("/proc/sys/kernel/pid_max")
# The limits on the processes of the user; without one the numbers of the namespace are the only limit.
UNLIMITED = "none"
LIMITS = ("1500", "25000", UNLIMITED)


def records(fd: int) -> dict[str, Any]:
    """Return the last record of each event that has been written to a file."""
    lines = os.pread(fd, os.fstat(fd).st_size, 0).splitlines(keepends=True)
    read = [json.loads(line) for line in lines if line.endswith(b"\n")]
    return {record["event.name"]: record for record in read}


def play(chain: str, limit: str, numbers: str) -> None:
    """Play one treadmill, as PID 1 of a PID namespace, and print what came of it."""
    PID_MAX.write_text(numbers, encoding="ascii")
    command = ["prlimit", f"--nproc={limit}"] if limit != UNLIMITED else []
    command += ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]
    command += ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", str(ROOT / ".venv/bin/pyinit")]
    command += ["--grace", f"{GRACE_S * 1000:g}ms", "--log-format", "json", "--", chain, "double", WIDTH, CHAINS_END_S]
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as pyinit:
        assert pyinit.stdout is not None
        if not pyinit.stdout.readline().startswith(b"ready"):
            sys.exit(os.pread(log.fileno(), 4096, 0).decode())
        name = Path(f"/proc/{pyinit.pid}/comm")
        while name.read_text(encoding="ascii") != "pyinit\n":
            time.sleep(0.01)  # the interpreter still loads what it needs behind the start of the command
        time.sleep(RUN_S)
        begun = time.monotonic()
        pyinit.send_signal(signal.SIGTERM)
        pyinit.wait()
        gone_s = time.monotonic() - begun - GRACE_S
        left = [path.name for path in Path("/proc").iterdir() if path.name.isdigit() and path.name != "1"]
        over = pyinit.stdout.read().count(b"over") if not left else 0
        reaped = records(log.fileno())["pyinit.exited"]["pyinit.totals.reaped"]
    print(json.dumps({"gone_s": gone_s, "over": over, "left": len(left), "reaped": reaped}))


def main(runs: int) -> bool:
    """Play so many treadmills with each limit, print figures, and say whether all were gone in time."""
    good = True
    numbers = min(NUMBERS, int(PID_MAX.read_text(encoding="ascii")) - LEFT_ALONE)
    print(f"{WIDTH} chains, {numbers} process numbers")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        chain = f"{folder}/chain"
        subprocess.run(["cc", "-O1", "-pthread", "-o", chain, str(ROOT / "tests/programs/chain.c")], check=True)
        for limit in LIMITS:
            command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
            command += [sys.executable, "-m", "scripts.treadmill", chain, limit, str(numbers)]
            done = [subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT).stdout for _ in range(runs)]
            found = [json.loads(line) for line in done]
            times = sorted(one["gone_s"] for one in found)
            in_time = sum(one["gone_s"] < GONE_WITHIN_S and not one["over"] and not one["left"] for one in found)
            print(
                f"limit {limit}: {in_time} of {runs} gone within {GONE_WITHIN_S:g} s after the grace;"
                f" median {statistics.median(times):.2f} s, slowest {times[-1]:.2f} s;"
                f" {min(one['reaped'] for one in found)} to {max(one['reaped'] for one in found)} were reaped",
                flush=True,
            )
            good = good and in_time == runs
    return good


if __name__ == "__main__":
    match sys.argv[1:]:
        case [chain, limit, numbers]:
            play(chain, limit, numbers)
        case [runs]:
            sys.exit(not main(int(runs)))
