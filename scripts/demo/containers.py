"""The demo in containers: pyinit's image, and the nginx example on top of it."""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
import textwrap
import time
from pathlib import Path

from scripts.demo.runs import (
    LIMIT_S,
    REQUESTS,
    DemoError,
    Run,
    Summary,
    check_end,
    milliseconds,
    require,
    say,
    summary,
    which,
)

ROOT = Path(__file__).resolve().parent.parent.parent


class Engine:
    """A container engine that answers to the `docker` command."""

    def __init__(self) -> None:
        """Choose names: that of pyinit's image is the one that the example copies from."""
        self.image = "pyinit"
        self.name = f"pyinit-demo-{secrets.token_hex(4)}"
        self.example = "pyinit-demo-nginx"

    @staticmethod
    def answers() -> bool:
        """Look whether there is an engine."""
        if which("docker") is None:
            return False
        return subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=LIMIT_S).returncode == 0

    def build(self) -> None:
        """Build pyinit's image and the nginx example on top of it; raises DemoError with the log when that fails."""
        for name, folder in ((self.image, ROOT), (self.example, ROOT / "docker" / "nginx")):
            command = ["docker", "build", "--network", "host", "--tag", name, str(folder)]
            say(f"   $ {shlex.join([*command[:-1], os.path.relpath(folder)])}")
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            if done.returncode:
                say(textwrap.indent(done.stdout[-4000:], "    | "))
                message = f"the image {name} could not be built"
                raise DemoError(message)

    def start(self, name: str, *options: str, arguments: tuple[str, ...] = ()) -> Run:
        """Start a container from the example."""
        command = ["docker", "run", "--rm", "--name", name, "--network", "none", *options, self.example, *arguments]
        say(f"   $ {shlex.join(command)}")
        return Run(command)

    def inside(self, name: str, script: str) -> str:
        """Run a shell script in a container; give what it prints."""
        done = subprocess.run(
            ["docker", "exec", name, "bash", "-c", script], capture_output=True, text=True, check=False, timeout=LIMIT_S
        )
        return done.stdout

    def processes(self, name: str) -> list[tuple[int, int, str]]:
        """Ask the engine who runs in a container: PID and parent's PID on the engine's machine, and name."""
        done = subprocess.run(
            ["docker", "top", name, "-eo", "pid,ppid,comm"], capture_output=True, text=True, check=True, timeout=LIMIT_S
        )
        rows = [line.split(None, 2) for line in done.stdout.splitlines()[1:]]
        return [(int(pid), int(parent), comm) for pid, parent, comm in rows]

    def exists(self, name: str) -> bool:
        """Look whether a container is there, running or not."""
        done = subprocess.run(["docker", "inspect", name], capture_output=True, check=False, timeout=LIMIT_S)
        return done.returncode == 0

    def remove(self, name: str) -> None:
        """Remove a container, whatever state it is in."""
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False, timeout=LIMIT_S)


def demo_in_container(engine: Engine) -> Summary:
    """Show both runs in real containers; give the rows of the summary."""
    say("\n1. Debian's nginx in a container puts itself into the background; PID 1 is docker's own --init, tini")
    plain_name = f"{engine.name}-plain"
    run = engine.start(plain_name, "--init", "--entrypoint", "nginx")
    try:
        run.log.to_the_end()
        plain_status = run.wait()
        plain_s = run.lasted_s
    finally:
        engine.remove(plain_name)
        run.close()
    require(plain_status == 0, f"status 0 of the plain init, not {plain_status}")
    require(not engine.exists(plain_name), "the container gone")
    say("   The container has ended at once, status 0: the launcher's end was taken for the service's end.")
    say("   The daemon was killed by the kernel, and nothing tells of it.")

    say("\n2. The same image as it is meant, pyinit as PID 1")
    name = f"{engine.name}-pyinit"
    run = engine.start(name, "--env", "PYINIT_LOG_FORMAT=console", "--env", "PYINIT_LOG_REAPS=1")
    try:
        require(run.log.until("service.handover"), "a handover in pyinit's log")
        script = (
            f"for i in {{1..{REQUESTS}}}; do exec 3<>/dev/tcp/127.0.0.1/80 && "
            r'printf "GET / HTTP/1.0\r\n\r\n" >&3 && read -r line <&3 && echo "$line"; done'
        )
        answered = engine.inside(name, script).count("HTTP/1.")
        require(run.runs(), "the container running after the launcher's end")
        require(answered == REQUESTS, f"{REQUESTS} answered requests, not {answered}")
        members = engine.processes(name)
        inside = {pid for pid, _, _ in members}
        [init] = [pid for pid, parent, _ in members if parent not in inside]
        held = [comm for _, parent, comm in members if parent == init]
        require(held, "the daemon as a child of pyinit")
        say(f"   The launcher has ended. {held[0]} is a child of pyinit now.")
        say(f"   It answered {answered} of {REQUESTS} requests.")
        say(f"   In the container, says the engine: {', '.join(comm for _, _, comm in members)}")
        say(f"   $ docker stop {name}")
        stopped = time.monotonic()
        subprocess.run(["docker", "stop", name], capture_output=True, check=True, timeout=LIMIT_S)
        run.log.to_the_end()
        status = run.wait()
        stop_s = time.monotonic() - stopped
    finally:
        engine.remove(name)
        run.close()
    check_end(run.log, status, [f"successor {name}[" for name in held])
    require(not engine.exists(name), "the container gone")
    say(f"   Over {milliseconds(stop_s)} after the stop, with status {status}.")
    return summary(plain_s, 0, "killed by the kernel", held[0], stop_s)
