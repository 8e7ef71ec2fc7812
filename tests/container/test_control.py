"""pyinitctl as users call it: by `docker exec`, and as the health check of a container."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from container.engine import EngineError, docker, running
from support.control import parse

if TYPE_CHECKING:
    from container.engine import Images

HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
DAEMON = ("sh", "-c", "setsid sh -c 'echo up; sleep infinity & wait' &")
HEALTH = ("--health-cmd", "pyinitctl health", "--health-interval", "200ms", "--health-timeout", "20s")


@pytest.mark.parametrize("user", [(), ("--user", "1000:1000")], ids=["root", "uid 1000"])
def test_in_a_hardened_container(images: Images, user: tuple[str, ...]) -> None:
    """On a read-only root, without capabilities, as root or as an ordinary user: status, health, control."""
    with running(images["pyinit"], *DAEMON, options=(*HARDENED, *user)) as container:
        container.wait_for("service.handover")
        told = parse(container.execute("pyinitctl", "status", "--json"))
        assert told["pyinit"]["pid"] == 1
        assert told["phase"] == "holding"
        assert [row["role"] for row in told["processes"]] == ["successor", "descendant"]
        assert "● holding, ready" in container.execute("pyinitctl", "status")
        container.execute("pyinitctl", "health")
        container.execute("pyinitctl", "wait", "--ready")
        container.execute("pyinitctl", "log-level", "debug")
        container.execute("pyinitctl", "health", options=("--user", "0"))
        with pytest.raises(EngineError, match="answer"):
            container.execute("pyinitctl", "stop", options=("--user", "33"))
        assert "holding" in container.execute("pyinitctl", "status", options=("--tty",))
        container.execute("pyinitctl", "stop", check=False)
        assert container.wait() == 143
        assert container.events("stop.begun")[0]["pyinit.stop.reason"] == "request"
        assert not container.events("pyinit.degraded")


def test_health_check(images: Images) -> None:
    """The engine's health check is healthy once the service is ready, and not before."""
    prepared = ("--tmpfs", "/tmp:mode=1777", *HEALTH, "--health-retries", "1", "--entrypoint", "pyinit")
    command = ("--pid-file", "/tmp/pid", "--pid-file-timeout", "1h", "--", *DAEMON)
    with running(images["pyinit"], *command, options=prepared) as container:
        daemon = container.wait_for("service.handover")["pyinit.successors"][0]
        container.wait_for_health("unhealthy")
        container.execute("sh", "-c", f"echo {daemon.partition('[')[2].rstrip(']')} >/tmp/pid")
        container.wait_for_health("healthy")
        assert container.stop()[0] == 143


def test_the_example_is_healthy(images: Images) -> None:
    """Nginx from docker/nginx, with the HEALTHCHECK that is in its Dockerfile."""
    with running(images["pyinit-example-nginx"], options=("--health-interval", "200ms")) as container:
        container.wait_for_health("healthy")
        check = json.loads(docker("inspect", "--format", "{{json .Config.Healthcheck.Test}}", container.name))
        assert check == ["CMD", "pyinitctl", "health"]


def test_a_pod(images: Images) -> None:
    """Two containers that share a network each have a pyinit as PID 1: each pyinitctl finds its own, and no other."""
    with running(images["pyinit"], *DAEMON) as first:
        first.wait_for("service.handover")
        with running(images["pyinit"], "sleep", "infinity", network=f"container:{first.name}") as second:
            second.wait_for("pyinit.started")
            here = parse(second.execute("pyinitctl", "status", "--json"))
            there = parse(first.execute("pyinitctl", "status", "--json"))
            assert here["main"]["name"] == "sleep"
            assert there["phase"] == "holding"
            assert not first.events("pyinit.degraded")
            assert not second.events("pyinit.degraded")
