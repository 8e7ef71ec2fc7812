"""The demo on this machine itself: a daemon and a plain init from its packages, in a PID namespace where that goes."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scripts.demo.runs import (
    LIMIT_S,
    REQUESTS,
    DemoError,
    Process,
    Run,
    Summary,
    all_processes,
    check_end,
    descendants,
    milliseconds,
    require,
    say,
    summary,
    which,
)

ROOT = Path(__file__).resolve().parent.parent.parent
PYINIT = Path(sys.executable).with_name("pyinit")

# What a plain init comes down to; used where tini cannot be had.
STAND_IN_INIT = """\
#!{python}
import os, sys
main = os.fork()
if not main:
    os.execvp(sys.argv[1], sys.argv[1:])
while True:
    pid, status = os.wait()
    if pid == main:
        code = os.waitstatus_to_exitcode(status)
        sys.exit(code if code >= 0 else 128 - code)
"""


class Nginx:
    """Debian's nginx with a configuration of its own in a scratch folder, listening on a socket there.

    A launcher forks a master into the background, which forks workers: nginx's default, `daemon on`.
    """

    def __init__(self, path: str, scratch: Path) -> None:
        """Write the configuration."""
        self.socket = scratch / "nginx.socket"
        configuration = scratch / "nginx.conf"
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        folders = "".join(f"{kind}_temp_path {scratch}/{kind};\n" for kind in kinds)
        configuration.write_text(
            f"pid {scratch}/nginx.pid;\nerror_log stderr;\nworker_processes 2;\nevents {{}}\n"
            f'http {{\n{folders}access_log off;\nserver {{ listen unix:{self.socket}; return 200 "nginx\\n"; }}\n}}\n',
            encoding="utf-8",
        )
        usage = subprocess.run([path, "-h"], capture_output=True, text=True, check=False)
        early_log = ["-e", "stderr"] if "-e filename" in usage.stderr + usage.stdout else []
        self.command = [path, *early_log, "-c", str(configuration)]

    def answers(self) -> bool:
        """Ask it for a page."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(LIMIT_S)
            try:
                client.connect(str(self.socket))
                client.sendall(b"GET / HTTP/1.0\r\nHost: demo\r\n\r\n")
                return client.recv(4096).startswith(b"HTTP/1.")
            except OSError:
                return False


class NamespaceWay:
    """True PID 1 without a container engine: unshare(1) makes a PID namespace."""

    title = "PID 1 of a PID namespace"
    fate = "killed by the kernel"
    outlives = False

    def __init__(self, unshare: list[str]) -> None:
        """Take the unshare command that works on this machine."""
        self._unshare = unshare

    @classmethod
    def find(cls) -> NamespaceWay | None:
        """Find out what this machine allows: root, or an ordinary user through a user namespace."""
        tool = which("unshare")
        if tool is None:
            return None
        for options in ([], ["--user", "--map-current-user"]):
            unshare = [tool, *options, "--pid", "--fork", "--kill-child", "--mount-proc"]
            if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0:
                return cls(unshare)
        return None

    def start(self, arguments: list[str]) -> Run:
        """Start a command as PID 1."""
        return Run([*self._unshare, *arguments])

    def init_of(self, run: Run) -> Process:
        """Find the PID 1 of a run."""
        return next(process for process in all_processes() if process.parent == run.pid)

    def sweep(self) -> list[Process]:
        """End what a run has left behind: the kernel has done it."""
        return []


class SubreaperWay:
    """Where not even a PID namespace is allowed, as in an unprivileged container: pyinit as an ordinary process."""

    title = "an ordinary process (no PID namespace can be made here)"
    fate = "left behind: nobody would stop it"
    outlives = True

    def __init__(self) -> None:
        """Become a subreaper, so that we see what a plain init leaves behind."""
        import prctl

        prctl.set_child_subreaper(1)

    def start(self, arguments: list[str]) -> Run:
        """Start a command."""
        return Run(arguments)

    def init_of(self, run: Run) -> Process:
        """Find the init of a run."""
        return Process(run.pid)

    def sweep(self) -> list[Process]:
        """End what a run has left behind, and tell who it was."""
        left: list[Process] = []
        while found := descendants(os.getpid()):
            left += found
            for process in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                for _ in found:
                    os.wait()
        return left


def plain_init(way: NamespaceWay | SubreaperWay, scratch: Path) -> tuple[str, list[str]]:
    """Give a plain init's name and the start of its command line."""
    if tini := which("tini"):
        return "tini", [tini, *(["-s"] if isinstance(way, SubreaperWay) else []), "--"]
    stand_in = scratch / "plain-init"
    stand_in.write_text(STAND_IN_INIT.format(python=sys.executable), encoding="utf-8")
    stand_in.chmod(0o755)
    return "a plain init of 9 lines (tini cannot be had here)", [str(stand_in)]


def prepare(scratch: Path) -> Nginx:
    """Find nginx and a plain init, or install them."""
    nginx = which("nginx")
    wanted = []
    if not nginx:
        wanted.append("nginx: the self-daemonizing program of this demo; it is not started by its package")
    if not which("tini"):
        wanted.append("tini: a plain init, to compare")
    if wanted:
        installed = subprocess.run([ROOT / "scripts" / "apt-install", *wanted], check=False).returncode == 0
        if not nginx and not installed:
            raise DemoError("this demo needs nginx; install it, or start a container engine")
        if not nginx:
            keep_from_boot("nginx")
            nginx = which("nginx")
    require(nginx, "nginx after its installation")
    return Nginx(str(nginx), scratch)


def keep_from_boot(service: str) -> None:
    """Make sure that a package we installed for the demo does not start its service at the next boot either."""
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    subprocess.run([*sudo, "update-rc.d", service, "disable"], capture_output=True, check=False, timeout=LIMIT_S)
    say(f"{service} is installed, not started, and not enabled at boot.")


def shown(arguments: list[str]) -> str:
    """Give a command line as one would type it."""
    return shlex.join([Path(arguments[0]).name, *arguments[1:]])


def demo_on_machine(way: NamespaceWay | SubreaperWay) -> Summary:
    """Show both runs on this machine; give the rows of the summary."""
    with tempfile.TemporaryDirectory(prefix="pyinit-demo-") as folder:
        nginx = prepare(Path(folder))
        init_name, init = plain_init(way, Path(folder))
        try:
            say(f"\n1. nginx puts itself into the background; under {init_name}, {way.title}")
            plain_s, unheld = under_plain_init(way, nginx, init)
            say(f"\n2. The same command under pyinit, {way.title}")
            held, stop_s = under_pyinit(way, nginx)
        finally:
            way.sweep()
    return summary(plain_s, unheld, way.fate, held, stop_s)


def under_plain_init(way: NamespaceWay | SubreaperWay, nginx: Nginx, init: list[str]) -> tuple[float, int]:
    """Show the run that ends too soon; give how long it took, in seconds, and how many requests were answered then."""
    arguments = [*init, *nginx.command]
    say(f"   $ {shown(arguments)}")
    run = way.start(arguments)
    try:
        status = run.wait()
        answered = sum(nginx.answers() for _ in range(REQUESTS))
        left = way.sweep()
        run.log.to_the_end()
    finally:
        run.close()
    require(status == 0, f"status 0 of the plain init, not {status}")
    require(bool(left) == bool(answered) == way.outlives, f"the daemon {way.fate}")
    nginx.socket.unlink(missing_ok=True)
    say(f"   Over after {milliseconds(run.lasted_s)}, status 0: the launcher's end was taken for the service's end.")
    which_ones = f" ({', '.join(map(str, left))}; ended by this demo now)" if left else ""
    say(f"   The daemon was {way.fate}{which_ones}.")
    return run.lasted_s, answered


def under_pyinit(way: NamespaceWay | SubreaperWay, nginx: Nginx) -> tuple[str, float]:
    """Show the run that lasts until it is stopped; give the daemon that was held, and how long the stop took."""
    options = ["--log-format", "console", "--log-reaps", "--"]
    say(f"   $ {shown(['pyinit', *options, *nginx.command])}")
    run = way.start([str(PYINIT), *options, *nginx.command])
    try:
        require(run.log.until("service.handover"), "a handover in pyinit's log")
        answered = sum(nginx.answers() for _ in range(REQUESTS))
        require(run.runs(), "pyinit running after the launcher's end")
        require(answered == REQUESTS, f"{REQUESTS} answered requests, not {answered}")
        init = way.init_of(run)
        members = descendants(init.pid)
        held = [process for process in members if process.parent == init.pid]
        require(held, "the daemon as a child of pyinit")
        say(f"   The launcher has ended. {held[0]} is a child of pyinit now.")
        say(f"   It answered {answered} of {REQUESTS} requests.")
        say(f"   Below pyinit, says /proc: {', '.join(map(str, members))}")
        say(f"   $ kill -TERM {init.inner_pid}        (to pyinit, as a container engine's stop does)")
        stopped = time.monotonic()
        os.kill(init.pid, signal.SIGTERM)
        run.log.to_the_end()
        status = run.wait()
        stop_s = time.monotonic() - stopped
    finally:
        run.close()
    check_end(run.log, status, [str(process) for process in held])
    require(not way.sweep() and not nginx.answers(), "nothing left")
    say(f"   Over {milliseconds(stop_s)} after the stop, with status {status}, nothing left.")
    return str(held[0]), stop_s
