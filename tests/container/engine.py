"""Containers and images through the command line of whatever engine answers as `docker`."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import uuid
from pathlib import Path
from typing import IO, TYPE_CHECKING

from support import schema
from support.turns import one_at_a_time
from support.waiting import Lines

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD_LIMIT_S = 400.0
LIMIT_S = 60.0

# Where the images are built from. All others take /opt/pyinit from the image called pyinit, so that one is built first.
FOLDERS = {
    "pyinit": ROOT,
    "pyinit-example-nginx": ROOT / "docker" / "nginx",
    "pyinit-example-apache": ROOT / "docker" / "apache",
    "pyinit-example-postfix-cron": ROOT / "docker" / "postfix-cron",
    "pyinit-example-java": ROOT / "docker" / "java",
    "pyinit-test-hostile": ROOT / "tests" / "container" / "images" / "hostile",
}


class EngineError(Exception):
    """A command of the engine failed: what it said."""


def docker(*words: str, limit_s: float = LIMIT_S, check: bool = True) -> str:
    """Return what `docker WORDS` prints. Raises EngineError when it fails and `check` is set."""
    done = subprocess.run(
        ["docker", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s, check=False
    )
    if check and done.returncode != 0:
        said = done.stdout[-2000:] + done.stderr[-4000:]
        raise EngineError(f"docker {' '.join(words)}: status {done.returncode}\n{said}")
    return done.stdout


def absence() -> str | None:
    """Say why no engine can be used here, or None when one answers."""
    try:
        docker("info", limit_s=20)
    except FileNotFoundError:
        return "there is no docker command"
    except subprocess.TimeoutExpired:
        return "`docker info` gives no answer"
    except EngineError as error:
        return f"no engine answers to `docker info`: {str(error).strip().splitlines()[-1]}"
    return None


class Images:
    """The images of the tests, each built when it is first asked for, and once in a test run."""

    def __init__(self) -> None:
        self._built: set[str] = set()

    def __getitem__(self, name: str) -> str:
        """Return the name again, when the image is there."""
        if name not in self._built:
            if name != "pyinit":
                self["pyinit"]
            # An installation in the build may need the network; a container of the tests never does.
            build(name, FOLDERS[name])
            self._built.add(name)
        return name


def build(name: str, folder: Path) -> None:
    """Build an image from a folder's Dockerfile."""
    with one_at_a_time(folder / "Dockerfile"):
        docker("build", "--network", "host", "--tag", name, str(folder), limit_s=BUILD_LIMIT_S)


class Container:
    """One container, its output as it comes, and the records in it.

    Attributes:
        name: no other container has it.
        out, err: what it wrote so far, line by line.

    """

    def __init__(self, image: str, *command: str, options: tuple[str, ...] = (), network: str = "none") -> None:
        self.name = f"pyinit-test-{uuid.uuid4().hex[:12]}"
        self._follower: subprocess.Popen[bytes] | None = None
        try:
            docker("run", "--detach", "--name", self.name, "--network", network, *options, image, *command)
            self._follower = subprocess.Popen(
                ["docker", "logs", "--follow", self.name],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            self.out, self.err = (_lines(pipe) for pipe in (self._follower.stdout, self._follower.stderr))
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """End it and remove it, whatever state it is in."""
        docker("rm", "--force", "--volumes", self.name, check=False)
        if self._follower is not None:
            try:
                self._follower.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                self._follower.kill()
                self._follower.wait(LIMIT_S)
            self.err.wait_eof(LIMIT_S)
            self.out.wait_eof(LIMIT_S)

    def records(self) -> list[schema.Record]:
        """Return the records so far, each checked against the schema of the log."""
        return [schema.parse(line) for line in list(self.err.lines) if line.startswith('{"timestamp"')]

    def events(self, name: str) -> list[schema.Record]:
        """Return the records of one event so far."""
        return [record for record in self.records() if record["event.name"] == name]

    def wait_for(self, event: str, limit_s: float = LIMIT_S, **keys: object) -> schema.Record:
        """Wait for a record of this event; `keys` are values that it must have (`pyinit_role` for `pyinit.role`)."""
        wanted = {"event.name": event} | {key.replace("_", ".", 1): value for key, value in keys.items()}

        def found(lines: list[str]) -> schema.Record | None:
            for line in lines:
                if line.startswith('{"timestamp"') and event in line:
                    record = schema.parse(line)
                    if wanted.items() <= record.items():
                        return record
            return None

        record = self.err.wait_until(found, f"the record {wanted}", limit_s)
        assert isinstance(record, dict)
        return record

    def execute(self, *words: str, options: tuple[str, ...] = (), limit_s: float = LIMIT_S, check: bool = True) -> str:
        """Run a command in it and return what it prints. Raises EngineError when it fails and `check` is set."""
        return docker("exec", *options, self.name, *words, limit_s=limit_s, check=check)

    def wait_for_health(self, wanted: str) -> None:
        """Wait until the engine tells that the container is "healthy" or "unhealthy"; it tells of the past, too."""
        filters = ("--filter", f"container={self.name}", "--filter", "event=health_status")
        words = ["docker", "events", "--since", "10m", "--format", "{{.Action}}", *filters]
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as told:
            try:
                lines = _lines(told.stdout)
                lines.wait_until(lambda seen: any(line.endswith(f": {wanted}") for line in seen), wanted, LIMIT_S)
            finally:
                told.kill()

    def is_running(self) -> bool:
        """Say whether its first process lives."""
        return docker("inspect", "--format", "{{.State.Running}}", self.name).strip() == "true"

    def wait(self, limit_s: float = LIMIT_S) -> int:
        """Wait for its end and for the end of its output; return its exit status."""
        status = int(docker("wait", self.name, limit_s=limit_s))
        assert self.err.wait_eof(limit_s), "the container has ended, but not its output"
        assert self.out.wait_eof(limit_s), "the container has ended, but not its output"
        return status

    def stop(self) -> tuple[int, float]:
        """Stop it as users do; return its exit status and how long `docker stop` took in seconds."""
        began = time.monotonic()
        docker("stop", self.name)
        took_s = time.monotonic() - began
        return self.wait(), took_s


def _lines(pipe: IO[bytes] | None) -> Lines:
    assert pipe is not None
    lines = Lines(os.dup(pipe.fileno()))
    pipe.close()
    return lines


@contextlib.contextmanager
def running(image: str, *command: str, options: tuple[str, ...] = (), network: str = "none") -> Iterator[Container]:
    """Give a container that is gone afterwards, whatever happens."""
    container = Container(image, *command, options=options, network=network)
    try:
        yield container
    finally:
        container.remove()


# Sends a request in a container that has no client: bash opens the connection. A server that is not up yet is asked
# again: no event tells that a port is open.
ASK = """
for try in $(seq 400); do
    if exec 3<>/dev/tcp/127.0.0.1/$0; then
        printf "$1" >&3
        timeout 20 cat <&3
        exit
    fi
    sleep 0.05
done 2>/dev/null
echo "nothing listens on port $0" >&2
exit 1
"""


def ask(container: Container, port: int, request: str = r"GET / HTTP/1.0\r\n\r\n") -> str:
    """Return what the server on this port of the container answers, once it does."""
    return container.execute("bash", "-c", ASK, str(port), request)
