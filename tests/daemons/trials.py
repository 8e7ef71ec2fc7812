"""One trial of one recipe: pyinit with the daemon in a container, until it is up, and then its stop or its crash."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import os
import re
import signal
import time
from typing import TYPE_CHECKING, NoReturn

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
    told: str = ""
    """The reason that pyinit.ready gave; "" where nothing tells pyinit that the service is ready."""
    told_s: float | None = None
    """From main's start to that record, as it says."""

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
        if not self.stays:
            if not containers.wait_until(lambda: bool(self.output.events("service.handover")), self.output, UP_S):
                self._fail("the launcher has not ended, or left nothing")
            first, second = self.output.events("pyinit.started")[0], self.output.events("service.handover")[0]
            self.launcher_s = told_at(second) - told_at(first)
        if not containers.wait_until(lambda: all(map(namespace.holds, self.recipe.ready)), self.output, UP_S):
            missing = [condition for condition in self.recipe.ready if not namespace.holds(condition)]
            self._fail(f"not ready: {', '.join(missing)}")
        self.ready_s = time.monotonic() - began
        self._see_it_told()
        if self.recipe.client:
            self.container.execute_detached(self.recipe.client)
            if not containers.wait_until(lambda: namespace.holds("file:/tmp/client"), self.output, UP_S):
                self._fail("the client has not connected")
        self._see_it_stay()

    @property
    def stays(self) -> bool:
        """Whether the command stays in the foreground: main is the service, and there is no handover."""
        return self.recipe.foreground or (self.recipe.stays and self.mode == PID1)

    def _see_it_told(self) -> None:
        """Wait for pyinit.ready, and for the reason that it must have, if it comes at all."""
        self.told = self.recipe.told_ready_by(handover=not self.stays)
        if not self.told:
            return
        if not containers.wait_until(lambda: bool(self.output.events("pyinit.ready")), self.output, UP_S):
            self._fail("ready, and no pyinit.ready record")
        record = self.output.events("pyinit.ready")[0]
        if record["pyinit.reason"] != self.told:
            self._fail(f"{record['message']}: the reason is not {self.told}")
        self.told_s = record["pyinit.after_s"]

    def _see_it_stay(self) -> None:
        """Watch it for a moment: it must not end."""
        if containers.wait_until(lambda: bool(self.output.events("stop.begun")), self.output, STAY_S):
            self._fail("it did not stay up")
        if self.output.ended:
            self._fail("it did not stay up")

    def _find_pyinit(self, namespace: containers.Namespace) -> int:
        """Return the host PID of pyinit: PID 1, or the process that entered the container from outside."""
        if self.mode == PID1:
            return namespace.init_host_pid
        told = self.output.events("pyinit.started")[0]["pyinit.pid"]
        return next(seen.host_pid for seen in namespace.processes() if seen.pid == told)

    def _fail(self, what: str) -> NoReturn:
        said = "\n".join([*self.output.text[-15:], *(record["message"] for record in self.output.records[-10:])])
        msg = f"{self.recipe.name} ({self.mode}): {what}\n{said}"
        raise NotUpError(msg)

    # -- reloading ----------------------------------------------------------------------------------------------------

    def reload(self) -> dict[str, Any]:
        """Ask for a reload with SIGHUP to pyinit; return what came of it. Raises NotUpError when it does not show.

        `seconds` until it shows; `status` of the reload command, None without one; `moved`: another process is the
        service now, as the recipe says; `refused`: the ports that do not take connections.
        """
        assert self.namespace is not None
        namespace, before, service = self.namespace, self.namespace.processes(), self._service()
        moves = self.mode in self.recipe.moves
        commands = bool(self.recipe.option("--reload-command"))
        said = len(self.output.events("service.notified"))

        def shows(condition: str) -> bool:
            kind, _, what = condition.partition(":")
            if kind == "renewed":
                return namespace.renewed(what, before)
            if kind == "told":
                heard = self.output.events("service.notified")[said:]
                return any(record.get(f"pyinit.notify.{what}") for record in heard)
            return namespace.holds(condition)

        def is_over() -> bool:
            now = self._find_service() if moves else None
            moved = now is not None and now.pid != service.pid
            return moved == moves and (not commands or bool(self._ended("reload")))

        if early := [condition for condition in self.recipe.reload if shows(condition)]:
            self._fail(f"would show a reload before there was one: {', '.join(early)}")
        began = time.monotonic()
        os.kill(self.pyinit_host_pid, signal.SIGHUP)
        if not containers.wait_until(lambda: all(map(shows, self.recipe.reload)), self.output, UP_S):
            missing = [condition for condition in self.recipe.reload if not shows(condition)]
            self._fail(f"the reload does not show: {', '.join(missing)}")
        seconds = time.monotonic() - began
        if not containers.wait_until(is_over, self.output, UP_S):
            self._fail("the reload command has not ended, or no other process is the service")
        if not containers.wait_until(lambda: all(map(namespace.holds, self.recipe.ready)), self.output, UP_S):
            self._fail("not ready after the reload")
        refused = [port for port in self._ports() if not self.container.takes_connections(port)]
        self._see_it_stay()
        told, moved = self._ended("reload"), self._service().pid != service.pid
        if moved != moves:
            self._fail(f"the reload has {'' if moved else 'not '}put another process in the place of {service}")
        return {
            "seconds": round(seconds, 3),
            "status": told[-1]["pyinit.exit.status"] if told else None,
            "moved": moved,
            "refused": refused,
        }

    def _ports(self) -> list[int]:
        return [int(what) for kind, _, what in (one.partition(":") for one in self.recipe.ready) if kind == "tcp"]

    def _ended(self, kind: str) -> list[dict[str, Any]]:
        """Return the records of the ends of pyinit's own commands of a *kind*."""
        return [record for record in self.output.events("command.ended") if record["pyinit.command.kind"] == kind]

    # -- ending -------------------------------------------------------------------------------------------------------

    def stop(self) -> dict[str, Any]:
        """Ask for the stop with SIGTERM; return what came of it."""
        return self._end(self.pyinit_host_pid, signal.SIGTERM)

    def crash(self) -> dict[str, Any]:
        """Kill the daemon with SIGKILL; return what came of it."""
        victim = self._service()
        if self.recipe.revives:
            return self._revived(victim)
        result = self._end(victim.host_pid, signal.SIGKILL)
        result["victim"] = victim.name
        return result

    def _revived(self, victim: containers.Seen) -> dict[str, Any]:
        """Kill the *victim*, which somebody starts again; return what came of it, and of a stop after that."""
        assert self.namespace is not None
        namespace, known = self.namespace, len(self.output.events("service.identified"))
        at = time.time()
        os.kill(victim.host_pid, signal.SIGKILL)
        if not containers.wait_until(lambda: len(self.output.events("service.identified")) > known, self.output, UP_S):
            self._fail("no other process became the service after the crash")
        told = self.output.events("service.identified")[-1]
        if told.get("pyinit.previous") != str(victim):
            self._fail(f"{told['message']}: not in the place of {victim}")
        if not containers.wait_until(lambda: all(map(namespace.holds, self.recipe.ready)), self.output, UP_S):
            self._fail("not ready after the crash")
        self._see_it_stay()
        return {**self.stop(), "victim": victim.name, "noticed_s": round(told_at(told) - at, 3), "revived": True}

    def _service(self) -> containers.Seen:
        """Return the process that is the service; raises NotUpError when it is not there."""
        found = self._find_service()
        if found is None:
            self._fail("who is the service is not there")
        return found

    def _find_service(self) -> containers.Seen | None:
        """Return the process that was proven last; else the successor that the recipe names, the first one, or main."""
        assert self.namespace is not None
        there = {seen.pid: seen for seen in self.namespace.processes() if seen.state != "Z"}
        proven = [record["process.pid"] for record in self.output.events("service.identified")]
        told = [*self.output.events("service.handover"), *self.output.events("service.inherited")]
        names = [name for record in told for name in record["pyinit.successors"]]
        numbers = [int(match[1]) for name in names if (match := re.search(r"\[(\d+)\]$", name))]
        if not told:
            numbers = [self.output.events("pyinit.started")[0]["process.pid"]]
        daemons = [there[number] for number in [*proven[-1:], *numbers] if number in there]
        named = [seen for seen in daemons if self.recipe.daemon and seen.name.startswith(self.recipe.daemon)]
        return next(iter(named or daemons), None)

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
            **({"command": self._ended("stop")[-1]["pyinit.exit.status"]} if self._ended("stop") else {}),
        }

    def _named(self, event: str) -> list[str]:
        """Return the names of the processes, without their numbers, that the records of *event* list."""
        return [name.partition("[")[0] for record in self.output.events(event) for name in record["pyinit.processes"]]

    def _left(self, namespace: containers.Namespace) -> list[str]:
        """Return who is left in the container besides its idle PID 1, at the moment of pyinit's end.

        Who has no parent in there was brought by the engine.
        """
        mine = {namespace.init_host_pid, self.pyinit_host_pid}
        there = namespace.processes()
        parents = {seen.host_pid for seen in there}
        left = [seen for seen in there if seen.host_pid not in mine and seen.parent_host_pid in parents]
        return [f"{seen} {seen.state}" for seen in left]

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
        problems += [f"{record['event.name']}: {record['message']}" for record in records if is_a_problem(record)]
        return problems


def is_a_problem(record: dict[str, Any]) -> bool:
    """Tell whether a record says of a run that should go well that something did not."""
    if record["event.name"] == "command.ended":
        return bool(record["pyinit.exit.status"])
    return record["severity"] == "error" or record["event.name"] in {"service.refused", "pyinit.degraded"}


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
