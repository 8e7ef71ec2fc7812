"""One run under an init, and what can be seen of it: its log as it comes, and /proc as the witness."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import subprocess
import time
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SYSTEM_PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"

# How long anything in here may take before the demo gives up on it. Nothing is waited for by the clock otherwise.
LIMIT_S = 60.0

REQUESTS = 20


# The rows of the last table: what, under a plain init, under pyinit.
Summary = list[tuple[str, str, str]]


class DemoError(Exception):
    """Something is not as the demo says, or cannot be had on this machine."""


def say(text: str = "") -> None:
    """Print one line of narration."""
    print(text, flush=True)


def require(holds: object, claim: str) -> None:
    """Make sure that what the demo is about to say is true."""
    if not holds:
        message = f"expected, and not seen: {claim}"
        raise DemoError(message)


def which(name: str) -> str | None:
    """Find a program, also where daemons live."""
    return shutil.which(name, path=SYSTEM_PATH)


class Log:
    """What a run writes to its standard error: shown as it comes."""

    def __init__(self, descriptor: int) -> None:
        """Take the reading end of a pipe."""
        self._descriptor = descriptor
        self._rest = b""
        self.lines: list[str] = []
        self.ended = False

    def _read(self, deadline: float) -> Iterator[str]:
        ready, _, _ = select.select([self._descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            message = "the run writes nothing more to its log, and does not end"
            raise DemoError(message)
        chunk = os.read(self._descriptor, 65536)
        self.ended = not chunk
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if self.ended and self._rest:
            whole.append(self._rest)
        for line in whole:
            text = line.decode("utf-8", "replace")
            self.lines.append(text)
            say(f"    | {text}")
            yield text

    def until(self, pattern: str) -> bool:
        """Show lines up to the batch in which one matches; False when the log ends before."""
        deadline = time.monotonic() + LIMIT_S
        found = False
        while not found and not self.ended:
            for line in self._read(deadline):
                found = found or re.search(pattern, line) is not None
        return found

    def to_the_end(self) -> None:
        """Show all that is still to come."""
        deadline = time.monotonic() + LIMIT_S
        while not self.ended:
            for _ in self._read(deadline):
                pass


class Process:
    """One process as the witness, /proc, sees it from outside."""

    def __init__(self, pid: int) -> None:
        """Read it; raises OSError when it is gone."""
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        self.pid = pid
        self.name = stat[stat.index(b"(") + 1 : stat.rindex(b")")].decode("utf-8", "replace")
        fields = stat[stat.rindex(b")") + 2 :].split()
        self.state = fields[0].decode()
        self.parent = int(fields[1])
        status = Path(f"/proc/{pid}/status").read_text("utf-8", "replace")
        found = re.search(r"^NSpid:.*?(\d+)$", status, re.MULTILINE)
        self.inner_pid = int(found.group(1)) if found else pid

    def __str__(self) -> str:
        """Give it as pyinit's log does: name[pid], the PID being that of its own namespace."""
        return f"{self.name}[{self.inner_pid}]"


def all_processes() -> Iterator[Process]:
    """Read every process that /proc shows."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield Process(int(entry.name))


def descendants(ancestor: int) -> list[Process]:
    """Find the live processes below one."""
    everyone = list(all_processes())
    found: list[Process] = []
    parents = {ancestor}
    while parents:
        children = [process for process in everyone if process.parent in parents]
        found += children
        parents = {child.pid for child in children}
    return [process for process in found if process.state != "Z"]


class Run:
    """One run of an init with a command below it, in a way that is the subclasses' business."""

    def __init__(self, arguments: list[str]) -> None:
        """Start it."""
        self.began = time.monotonic()
        # Of a web server: the log of requests is on standard output, what we read is on standard error.
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=environment(),
        )
        assert self._process.stderr is not None  # that is what PIPE means
        self._stderr = self._process.stderr
        self.log = Log(self._stderr.fileno())

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self._process.pid

    def wait(self) -> int:
        """Wait for the end of the run; give its exit status as a shell would."""
        status = self._process.wait(LIMIT_S)
        self.lasted_s = time.monotonic() - self.began
        return status if status >= 0 else 128 - status

    def runs(self) -> bool:
        """Look whether it still runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it by force if something went wrong, and let go of it."""
        if self.runs():
            self._process.kill()
            self._process.wait()
        self._stderr.close()


def environment() -> dict[str, str]:
    """Give our environment without what would speak to pyinit."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYINIT_")}


def check_end(log: Log, status: int, held: list[str]) -> None:
    """Check pyinit's last words: status 0, a reap of each process that it held (as the log names it), the exit."""
    require(status == 0, f"status 0 of pyinit, not {status}")
    reaps = [line for line in log.lines if "process.reaped" in line]
    for name in held:
        require(any(name in line for line in reaps), f"the reap of {name} in the log")
    require(any("pyinit.exited" in line for line in log.lines), "the exit with its totals in the log")


def summary(plain_s: float, unheld: int, fate: str, held: str, stop_s: float) -> Summary:
    """Give the rows of the last table; what they say has been checked."""
    return [
        ("when the launcher ends", f"the run ends ({milliseconds(plain_s)})", f"{held} is held"),
        ("requests answered then", f"{unheld} of {REQUESTS}", f"{REQUESTS} of {REQUESTS}"),
        ("the daemon's end", fate, f"SIGTERM, {milliseconds(stop_s)}, in the log"),
        ("exit status", "0, as if all were well", "0, the daemon's own"),
    ]


def milliseconds(seconds: float) -> str:
    """Give a duration for people."""
    return f"{seconds * 1000:.0f} ms"
