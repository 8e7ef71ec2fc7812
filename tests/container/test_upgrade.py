"""nginx is replaced by a new nginx while it serves, as its administrators do it, and nobody's request fails."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from container.engine import LIMIT_S, ROOT, build, docker, running
from support.waiting import Lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from container.engine import Container, Images

IMAGE = "pyinit-test-upgrade"
PID_FILE = "/run/nginx.pid"
OLD_PID_FILE = "/run/nginx.pid.oldbin"
LARGE = 32 << 20
ENTRYPOINT = ("--entrypoint", "pyinit")
COMMAND = (
    *("--log-format=json", "--log-reaps", f"--pid-file={PID_FILE}", "--stop-signal=QUIT:5s,TERM:2s", "--"),
    *("/usr/sbin/nginx", "-c", "/etc/nginx/upgrade.conf"),  # its full path: nginx starts its successor by that
)

# No event tells of a file. It is moved or replaced at once, so what is in it is complete.
AWAIT_MASTERS = 'until [ -s "$0" ] && [ -s "$1" ]; do sleep 0.02; done; cat "$0" "$1"'
AWAIT_RETURN = 'until [ ! -e "$0" ] && [ "$(cat "$1")" = "$2" ]; do sleep 0.02; done'


@pytest.fixture(scope="module")
def image(images: Images) -> str:
    """Build the image with nginx and what asks it for pages."""
    images["pyinit-example-nginx"]
    build(IMAGE, ROOT / "tests" / "container" / "images" / "upgrade")
    return IMAGE


class Load:
    """The clients in the container: what they say, and what is said to them."""

    def __init__(self, container: Container) -> None:
        self._process = subprocess.Popen(
            ["docker", "exec", "--interactive", container.name, "python3", "-IS", "/load.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._lines = Lines(os.dup(self._process.stdout.fileno()))
        self._process.stdout.close()

    def wait_for_more(self, count: int = 200) -> None:
        """Wait until there are at least so many further answers."""
        seen = len(self._lines.all("answered"))
        self._lines.wait("answered", seen + count // 100 + 1, LIMIT_S)

    def wait_for_worker_above(self, pid: int) -> None:
        """Wait for the first answer of a worker that was started after this process."""

        def found(lines: list[str]) -> bool:
            split = map(str.split, lines)
            return any(words[0] == "worker" and int(words[1]) > pid for words in split if words)

        self._lines.wait_until(found, f"an answer of a worker younger than {pid}", LIMIT_S)

    def wait_for_download(self) -> None:
        """Wait until the download of the large file has begun."""
        self._lines.wait("downloading", timeout_s=LIMIT_S)

    def finish_download(self) -> int:
        """Let the download go on; return the number of bytes that have come in the end."""
        self._write(b"go on\n")
        return int(self._lines.wait("downloaded", timeout_s=LIMIT_S)[0])

    def end(self) -> tuple[int, list[list[str]]]:
        """End it; return the number of requests, and the failures."""
        self._close()
        requests, failed, _repeated = map(int, self._lines.wait("over", timeout_s=LIMIT_S))
        failures = self._lines.all("failed")
        assert failed == len(failures)
        assert self._process.wait(LIMIT_S) == 0
        return requests, failures

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def _close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def remove(self) -> None:
        """Take away what is left of it; its container has gone."""
        with contextlib.suppress(OSError):
            self._close()
        self._process.kill()
        self._process.wait(LIMIT_S)
        self._lines.wait_eof(LIMIT_S)


@contextlib.contextmanager
def served(image: str) -> Iterator[tuple[Container, Load, int]]:
    """Give a container with nginx, the clients that it answers, and its master's PID."""
    with contextlib.ExitStack() as stack:
        container = stack.enter_context(running(image, *COMMAND, options=ENTRYPOINT))
        ready = container.wait_for("pyinit.ready")
        assert ready["pyinit.reason"] == "pid-file"
        load = Load(container)
        stack.callback(load.remove)
        stack.callback(container.remove)
        load.wait_for_download()
        load.wait_for_more()
        yield container, load, identified(container)[-1]["process.pid"]


def identified(container: Container) -> list[dict[str, Any]]:
    """Return the records that say which process is the service."""
    return container.events("service.identified")


def start_upgrade(container: Container, master: int) -> int:
    """Ask pyinit for the upgrade, which forwards that; return the PID of the second master."""
    docker("kill", "--signal", "USR2", container.name)
    old, new = map(int, container.execute("sh", "-c", AWAIT_MASTERS, OLD_PID_FILE, PID_FILE).split())
    assert old == master
    assert new != master
    return new


def check_stop(container: Container) -> None:
    """`docker stop` ends all of it with status 0, and nobody is killed."""
    status, _ = container.stop()
    assert status == 0
    assert container.events("pyinit.exited")[0]["pyinit.totals.killed"] == 0


def test_live_upgrade_under_load(image: str) -> None:
    """A new master takes over while requests come all the time: none fails, the run goes on, the role moves.

    The old master goes when its last client has been served, with status 0; from then on the new one is the service.
    """
    with served(image) as (container, load, old):
        new = start_upgrade(container, old)
        load.wait_for_worker_above(new)
        container.execute("sh", "-c", f"kill -QUIT $(cat {OLD_PID_FILE})")
        load.wait_for_more()
        assert len(container.events("process.reaped")) == 1, "only main: the old master still serves the download"

        assert load.finish_download() == LARGE

        end = container.wait_for("process.reaped", process_pid=old)
        assert end["pyinit.exit.status"] == 0
        moved = container.wait_for("service.identified", process_pid=new)
        assert moved["pyinit.previous"] == f"nginx[{old}]"
        assert moved["pyinit.source"] == "pid-file"
        load.wait_for_more()
        requests, failures = load.end()
        assert failures == []
        assert requests > 400
        assert container.is_running()
        check_stop(container)


def test_upgrade_that_is_taken_back(image: str) -> None:
    """The second master is sent away again: the first is the service all the time, and no request fails."""
    with served(image) as (container, load, master):
        new = start_upgrade(container, master)
        load.wait_for_worker_above(new)
        container.execute("sh", "-c", f"kill -QUIT {new}")
        container.execute("timeout", "40", "sh", "-c", AWAIT_RETURN, OLD_PID_FILE, PID_FILE, str(master))
        load.wait_for_more()
        assert load.finish_download() == LARGE
        _, failures = load.end()
        assert failures == []
        assert [record["process.pid"] for record in identified(container)] == [master]
        check_stop(container)
