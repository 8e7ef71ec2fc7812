"""One trial of one recipe: pyinit with the daemon in a container, until it is up, and then its stop or its crash."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import os
import re
import signal
import time
from typing import TYPE_CHECKING

from daemons import containers

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from typing import Any

    from daemons.recipes import Recipe

PID1 = "pid1"
SUBREAPER = "subreaper"
MODES = (PID1, SUBREAPER)

UP_S = 60.0
"""For the launcher to end and the service to be ready."""
STAY_S = 0.3
"""The service is watched for this long before it is stopped: nothing may happen in it."""
END_S = 30.0
"""For pyinit to end once it was asked to: more than any grace here, so that the measured time is the true one."""
NOTICE_S = 1.0
"""A crash is to be noticed within this time."""


class NotUpError(Exception):
    """The service did not come up, or did not stay up."""


@dataclasses.dataclass
class Trial:
    """A daemon that runs under pyinit in a container."""

    recipe: Recipe
    mode: str
    container: containers.Container
    client: subprocess.Popen[bytes]
    output: containers.Output
    namespace: containers.Namespace | None = None
    pyinit_host_pid: int = 0
    launcher_s: float | None = None
    """From pyinit's first record to the handover; None where the command stays in the foreground."""
    ready_s: float = 0.0

    # -- coming up ----------------------------------------------------------------------------------------------------

    def come_up(self) -> None:
        """Wait until the launcher has ended and the service is ready; raises NotUpError when that does not come."""
        if not containers.wait_until(lambda: bool(self.output.events("pyinit.started")), self.output, UP_S):
            self._fail("no pyinit.started record")
        began = time.monotonic()
        try:
            namespace = self.namespace = self.container.namespace()
        except (RuntimeError, OSError) as error:
            self._fail(f"the container is gone: {error}")
        self.pyinit_host_pid = self._find_pyinit(namespace)
        stays = self.recipe.stays and self.mode == PID1
        handovers = self.output.events
        if not stays:
            if not containers.wait_until(lambda: bool(handovers("service.handover")), self.output, UP_S):
                self._fail("the launcher has not ended, or left nothing")
            first, second = handovers("pyinit.started")[0], handovers("service.handover")[0]
            self.launcher_s = told_at(second) - told_at(first)
        if not containers.wait_until(lambda: all(map(namespace.holds, self.recipe.ready)), self.output, UP_S):
            missing = [condition for condition in self.recipe.ready if not namespace.holds(condition)]
            self._fail(f"not ready: {', '.join(missing)}")
        self.ready_s = time.monotonic() - began
        if containers.wait_until(lambda: bool(handovers("stop.begun")), self.output, STAY_S) or self.output.ended:
            self._fail("it did not stay up")

    def _find_pyinit(self, namespace: containers.Namespace) -> int:
        """Return the host PID of pyinit: PID 1, or the process that entered the container from outside."""
        if self.mode == PID1:
            return namespace.init_host_pid
        told = self.output.events("pyinit.started")[0]["pyinit.pid"]
        return next(seen.host_pid for seen in namespace.processes() if seen.pid == told)

    def _fail(self, what: str) -> None:
        said = "\n".join([*self.output.text[-15:], *(record["message"] for record in self.output.records[-10:])])
        msg = f"{self.recipe.name} ({self.mode}): {what}\n{said}"
        raise NotUpError(msg)

    # -- ending -------------------------------------------------------------------------------------------------------

    def stop(self) -> dict[str, Any]:
        """Ask for the stop with SIGTERM; return what came of it."""
        return self._end(self.pyinit_host_pid, signal.SIGTERM)

    def crash(self) -> dict[str, Any]:
        """Kill the daemon with SIGKILL; return what came of it."""
        victim = self._daemon()
        result = self._end(victim.host_pid, signal.SIGKILL)
        result["victim"] = victim.name
        return result

    def _daemon(self) -> containers.Seen:
        """Return the process that is the service: the one that the recipe names, or the first successor, or main."""
        assert self.namespace is not None
        told = [*self.output.events("service.handover"), *self.output.events("service.inherited")]
        names = [name for record in told for name in record["pyinit.successors"]]
        numbers = [int(match[1]) for name in names if (match := re.search(r"\[(\d+)\]$", name))]
        if not told:
            numbers = [self.output.events("pyinit.started")[0]["process.pid"]]
        there = {seen.pid: seen for seen in self.namespace.processes() if seen.state != "Z"}
        daemons = [there[number] for number in numbers if number in there]
        named = [seen for seen in daemons if self.recipe.daemon and seen.name.startswith(self.recipe.daemon)]
        if not daemons:
            self._fail(f"none of the successors {numbers} is there")
        return (named or daemons)[0]

    def _end(self, host_pid: int, signo: signal.Signals) -> dict[str, Any]:
        """Send *signo* to *host_pid*, wait for pyinit's end, and return what was seen and what the log says."""
        assert self.namespace is not None
        namespace = self.namespace
        pidfd = os.pidfd_open(self.pyinit_host_pid)
        try:
            at, began = time.time(), time.monotonic()
            os.kill(host_pid, signo)
            waited = containers.wait_for_end(pidfd, self.output, END_S)
        finally:
            os.close(pidfd)
        seconds = time.monotonic() - began
        left = self._left(namespace) if self.mode == SUBREAPER and waited is not None else []
        if waited is None:
            # Its container is removed by the caller; the client would wait for ever.
            return {"seconds": None, "status": None, "noticed_s": None, "killed": [], "escalated": [], "left": []}
        containers.wait_until(lambda: self.output.ended, self.output, END_S)
        status = self.client.wait(END_S)
        begun, exited = self.output.events("stop.begun"), self.output.events("pyinit.exited")
        return {
            "status": status,
            "noticed_s": round(told_at(begun[0]) - at, 3) if begun else None,
            "seconds": round(told_at(exited[-1]) - at, 3) if exited else round(seconds, 3),
            "reason": begun[0]["pyinit.stop.reason"] if begun else None,
            "escalated": self._named("stop.escalated"),
            "killed": self._named("stop.killing"),
            "left": left,
        }

    def _named(self, event: str) -> list[str]:
        """Return the names of the processes, without their numbers, that the records of *event* list."""
        return [name.partition("[")[0] for record in self.output.events(event) for name in record["pyinit.processes"]]

    def _left(self, namespace: containers.Namespace) -> list[str]:
        """Return who is left in the container besides its idle PID 1, at the moment of pyinit's end."""
        mine = {namespace.init_host_pid, self.pyinit_host_pid}
        return [f"{seen} {seen.state}" for seen in namespace.processes() if seen.host_pid not in mine]

    # -- the log ------------------------------------------------------------------------------------------------------

    def log_problems(self) -> list[str]:
        """Return what is wrong with the log of a run that has ended: not one sentence when all is well."""
        problems = list(self.output.refused)
        records = self.output.records
        names = [record["event.name"] for record in records]
        if names.count("pyinit.exited") != 1 or names[-1] != "pyinit.exited":
            problems.append(f"pyinit.exited is not the one last record: {names}")
            return problems
        ends = [
            (record["process.pid"], record.get("process.creation.time"))
            for record in self.output.events("process.reaped")
        ]
        if len(set(ends)) != len(ends):
            problems.append(f"an end is told twice: {sorted(ends)}")
        if len(ends) != records[-1]["pyinit.totals.reaped"]:
            problems.append(f"{len(ends)} reap records, but pyinit.exited counts {records[-1]['pyinit.totals.reaped']}")
        problems += [
            f"{record['event.name']}: {record['message']}" for record in records if record["severity"] == "error"
        ]
        return problems


def told_at(record: dict[str, Any]) -> float:
    """Return the time of a record in seconds since 1970."""
    return dt.datetime.fromisoformat(record["timestamp"]).timestamp()


@contextlib.contextmanager
def trial(recipe: Recipe, mode: str, image: str, options: tuple[str, ...] = ()) -> Iterator[Trial]:
    """Start *recipe* under pyinit with *options* in a container of *image*, gone afterwards; `come_up` comes next."""
    words = ["pyinit", "--log-format=json", "--log-reaps", *recipe.options, *options, "--", *recipe.command]
    settings = [f"--env={name}={value}" for name, value in recipe.environment.items()]
    settings.append(f"--workdir={recipe.workdir}")
    with contextlib.ExitStack() as stack:
        box = stack.enter_context(containers.container(image))
        if mode == PID1:
            client = box.run(words, tuple(settings))
        else:
            box.run_idle()
            client = box.execute(words, tuple(settings))
        stack.callback(end_client, client)
        assert client.stderr is not None
        yield Trial(recipe, mode, box, client, containers.Output(client.stderr))
        box.remove()


def end_client(client: subprocess.Popen[bytes]) -> None:
    """End a client of the engine whose container has been removed."""
    client.kill()
    client.wait()
    if client.stderr is not None:
        client.stderr.close()
