"""What /proc says of a process."""

from __future__ import annotations

import os
import subprocess
import sys

from pyinit.procfs import Proc

# Uses two clock ticks of CPU time, says so, and waits for its end.
WORKS = """
import os, sys, time
while sum(os.times()[:2]) < 0.02:
    pass
print("done", flush=True)
sys.stdin.read()
"""


def test_used_cpu_time() -> None:
    """The CPU time that a process has used is that of all its life, of user and system together, in clock ticks."""
    with subprocess.Popen([sys.executable, "-c", WORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seen = Proc(os.getpid()).describe(process.pid)
        assert seen is not None
        assert 2 <= seen.used_ticks < 2000
