"""Containers for the daemon trials: built, started, looked at from outside through the host's /proc, and removed."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time
import uuid
from typing import IO, TYPE_CHECKING, Any

from daemons import recipes
from support import schema
from support.turns import one_at_a_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PROC = pathlib.Path("/proc")
REPOSITORY = recipes.HERE.parent.parent
PRODUCT_IMAGE = "pyinit"
LISTENING = {"tcp": "0A", "udp": "07"}
LOOK_S = 0.02
"""Between two looks at what sends no event (a port, a file): at most this many seconds."""


def docker(*arguments: str, timeout_s: float = 180) -> str:
    """Return what `docker` with *arguments* prints; raises RuntimeError with its complaint when it fails."""
    done = subprocess.run(
        ["docker", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        msg = f"docker {' '.join(arguments)}: status {done.returncode}: {done.stderr.strip()[-2000:]}"
        raise RuntimeError(msg)
    return done.stdout.strip()


def build_product() -> None:
    """Build the image of the repository's own Dockerfile, from which /opt/pyinit is taken."""
    with one_at_a_time(REPOSITORY / "Dockerfile"):
        docker("build", "--network", "host", "--tag", PRODUCT_IMAGE, str(REPOSITORY), timeout_s=900)


def build_daemons(image: str) -> str:
    """Build the packages of the recipes of *image* with their preparation; return the name of the result."""
    rows = recipes.read()
    packages = " ".join(recipes.packages_of(image, rows))
    tag = f"pyinit-daemons:{image}"
    with tempfile.TemporaryDirectory(prefix="pyinit-daemons-") as folder:
        context = pathlib.Path(folder)
        shutil.copy(recipes.HERE / "Dockerfile", context)
        (context / "prepare.sh").write_text(recipes.preparation_of(image, rows), encoding="utf-8")
        words = ("--network", "host", "--build-arg", f"PACKAGES={packages}", "--tag", tag, folder)
        with one_at_a_time(recipes.HERE / "Dockerfile"):
            docker("build", *words, timeout_s=1800)
    return tag


def add_product(daemons: str) -> str:
    """Put pyinit on top of the image *daemons*; return the name of the result."""
    tag = f"{daemons}-tried"
    recipe = recipes.HERE / "tried.Dockerfile"
    words = ("--build-arg", f"PRODUCT={PRODUCT_IMAGE}", "--build-arg", f"DAEMONS={daemons}", "--tag", tag)
    with one_at_a_time(recipe):
        docker("build", *words, "--file", str(recipe), str(recipe.parent), timeout_s=600)
    return tag


@dataclasses.dataclass(frozen=True)
class Seen:
    """A process as the host's /proc shows it."""

    host_pid: int
    parent_host_pid: int
    pid: int
    """Its number inside the container."""
    name: str
    state: str

    def __str__(self) -> str:
        """Return it as people write it."""
        return f"{self.name}[{self.pid}]"


def look(host_pid: int) -> Seen | None:
    """Return the process *host_pid* as it is now, None when it has gone."""
    try:
        stat = (PROC / str(host_pid) / "stat").read_text(errors="replace")
        status = (PROC / str(host_pid) / "status").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    head, _, rest = stat.rpartition(")")
    fields = rest.split()
    numbers = [line.split() for line in status.splitlines() if line.startswith("NSpid:")]
    return Seen(host_pid, int(fields[1]), int(numbers[0][-1]), head.partition("(")[2], fields[0])


class Namespace:
    """The PID namespace of a container, seen from the host; nothing is run inside it for that."""

    def __init__(self, init_host_pid: int) -> None:
        """Take the container's first process by its *init_host_pid*."""
        self.init_host_pid = init_host_pid
        self.inode = (PROC / str(init_host_pid) / "ns" / "pid").readlink()

    def processes(self) -> list[Seen]:
        """Return every process in the namespace, zombies too."""
        found = []
        for entry in PROC.iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                if (entry / "ns" / "pid").readlink() == self.inode and (seen := look(int(entry.name))):
                    found.append(seen)
        return sorted(found, key=lambda seen: seen.pid)

    def children(self, host_pid: int) -> list[Seen]:
        """Return the direct children of *host_pid*."""
        return [seen for seen in self.processes() if seen.parent_host_pid == host_pid]

    def holds(self, condition: str) -> bool:
        """Tell whether a readiness *condition* of a recipe (`tcp:80`, `process:cron`, …) holds now."""
        kind, _, what = condition.partition(":")
        root = PROC / str(self.init_host_pid) / "root"
        try:
            if kind in LISTENING:
                return self._listens(kind, int(what))
            if kind == "unix":
                lines = (PROC / str(self.init_host_pid) / "net" / "unix").read_text(errors="replace").splitlines()
                return any(line.split()[-1].removeprefix("/var") == what.removeprefix("/var") for line in lines)
            if kind == "file":
                return (root / what.lstrip("/")).stat().st_size > 0
            if kind == "log":
                path, _, text = what.partition(":")
                return text in (root / path.lstrip("/")).read_text(errors="replace")
        except OSError:
            return False
        if kind == "process":
            others = (seen for seen in self.processes() if seen.host_pid != self.init_host_pid)
            return any(seen.name.startswith(what) and seen.state != "Z" for seen in others)
        msg = f"unknown readiness condition {condition!r}"
        raise ValueError(msg)

    def renewed(self, name: str, before: list[Seen]) -> bool:
        """Tell whether a process called *name* that was there *before* has gone, and another has come."""
        old, now = (
            {seen.host_pid for seen in found if seen.name.startswith(name) and seen.state != "Z"}
            for found in (before, self.processes())
        )
        return bool(old - now) and bool(now - old)

    def _listens(self, kind: str, port: int) -> bool:
        for table in (kind, kind + "6"):
            for line in (PROC / str(self.init_host_pid) / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING[kind] and int(fields[1].rpartition(":")[2], 16) == port:
                    return True
        return False


class Output:
    """What a started container writes on its standard error: pyinit's records, and the rest."""

    def __init__(self, pipe: IO[bytes]) -> None:
        """Read from *pipe*, which is never waited for longer than asked."""
        self._pipe = pipe
        self._rest = b""
        self.records: list[dict[str, Any]] = []
        self.text: list[str] = []
        self.refused: list[str] = []
        """Records that are not what the schema says, each with the reason."""
        self.ended = False

    def pump(self, timeout_s: float) -> None:
        """Take in what is there, after at most *timeout_s* seconds of waiting for it."""
        ready, _, _ = select.select([] if self.ended else [self._pipe], [], [], timeout_s)
        if not ready:
            return
        data = os.read(self._pipe.fileno(), 65536)
        self.ended = not data
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line)

    def _take(self, line: bytes) -> None:
        """Sort one *line*; what a daemon wrote before a record without ending its line is cut off."""
        text = line.decode(errors="surrogateescape")
        start = text.find('{"timestamp"')
        if start < 0:
            self.text.append(text)
            return
        if start:
            self.text.append(text[:start])
        try:
            self.records.append(schema.parse(text[start:]))
        except AssertionError as error:
            self.refused.append(str(error))

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the records of the event *name*."""
        return [record for record in self.records if record["event.name"] == name]


class Container:
    """One container and the command in it whose standard error is read."""

    def __init__(self, image: str) -> None:
        """Name it; nothing is started."""
        self.image = image
        self.name = f"pyinit-daemons-{uuid.uuid4().hex[:12]}"

    def run(self, arguments: list[str], options: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start it with *arguments* as its PID 1; return the attached client, whose status is the container's."""
        return self._attached(["docker", "run", *self._words(), *options, self.image, *arguments])

    def run_idle(self) -> None:
        """Start it with a PID 1 that does nothing."""
        docker("run", "--detach", *self._words(), self.image, "sleep", "infinity")

    def _words(self) -> list[str]:
        host = ("--hostname", "daemons.test", "--add-host", "daemons.test:127.0.0.1")
        return ["--name", self.name, "--network", "none", *host]

    def execute(self, arguments: list[str], options: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start *arguments* in the running container; return the attached client, whose status is theirs."""
        return self._attached(["docker", "exec", *options, self.name, *arguments])

    def execute_detached(self, arguments: Sequence[str]) -> None:
        """Start *arguments* in the running container, and let them run."""
        docker("exec", "--detach", self.name, *arguments)

    def takes_connections(self, port: int) -> bool:
        """Connect to the TCP *port* of the container from inside; return whether that is taken."""
        try:
            docker("exec", self.name, "bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}")
        except RuntimeError:
            return False
        return True

    @staticmethod
    def _attached(words: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def namespace(self) -> Namespace:
        """Return the namespace of the container, which must be running."""
        return Namespace(int(docker("inspect", "--format", "{{.State.Pid}}", self.name)))

    def remove(self) -> None:
        """End and remove it; no error where there is none."""
        with contextlib.suppress(RuntimeError):
            docker("rm", "--force", "--volumes", self.name)


@contextlib.contextmanager
def container(image: str) -> Iterator[Container]:
    """Give a container that is gone afterwards, whatever happened."""
    it = Container(image)
    try:
        yield it
    finally:
        it.remove()


def wait_until(condition: Callable[[], bool], output: Output, seconds: float) -> bool:
    """Wait until *condition* holds, taking in *output*; False when it does not within *seconds* or the output ends."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline or output.ended:
            return condition()
        output.pump(LOOK_S)
    return True


def wait_for_end(pidfd: int, output: Output, seconds: float) -> float | None:
    """Wait for the end of the process of *pidfd*, taking in *output*; return the seconds it took, None for too many."""
    began = time.monotonic()
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    while time.monotonic() - began < seconds:
        output.pump(0)
        if poll.poll(5):
            return time.monotonic() - began
    return None
