"""One run of pyinit from start to end, in one of the ways a machine can run it.

What must be true after every run.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import TYPE_CHECKING, Any

from support import procs, schema, witness
from support.programs import program
from support.waiting import DEADLINE_S, Lines, pass_time, wait_for_exit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from support.schema import Record

# How pyinit is run. The *-user modes: uid 1000, no capabilities, no_new_privs.
SUBREAPER = "subreaper"
PID1 = "pid1"
PLAIN_USER = "plain-user"
PID1_USER = "pid1-user"
ALL_MODES = (SUBREAPER, PID1, PLAIN_USER, PID1_USER)

USER = 1000
NOT_STARTED = 125
LOG_OPTIONS = ("--log-format", "json", "--log-level", "debug")
PIPE_BYTES = 1 << 20
# Seconds in which nothing happens.
IDLE_S = 2.0
ROOT = os.geteuid() == 0

# Names of records and of their keys, in one place.
STARTED = "pyinit.started"
EXITED = "pyinit.exited"
REAPED = "process.reaped"
ADOPTED = "process.adopted"
HANDOVER = "service.handover"
INHERITED = "service.inherited"
IDENTIFIED = "service.identified"
REFUSED = "service.refused"
NOTIFIED = "service.notified"
READY = "pyinit.ready"
FORWARDED = "signal.forwarded"
STOPPING = "stop.begun"
REPEATED = "stop.repeated"
ESCALATED = "stop.escalated"
EXTENDED = "stop.extended"
KILLING = "stop.killing"
RESTARTING = "service.restarting"
RESTARTED = "service.restarted"
START_FAILED = "service.start_failed"
GIVEN_UP = "service.given_up"
COMMAND_STARTED = "command.started"
COMMAND_OUTPUT = "command.output"
COMMAND_ENDED = "command.ended"
DEGRADED = "pyinit.degraded"
SPAWN_FAILED = "spawn.failed"
UNKNOWN_VARIABLE = "config.unknown_variable"
DROPPED = "log.dropped"
ERROR = "pyinit.error"
UNDELIVERABLE = "signal.undeliverable"
UNKILLABLE = "stop.unkillable"


@functools.cache
def pyinit_command() -> str:
    """Return the command under test.

    PYINIT_COMMAND, else the one that was installed beside this interpreter; never the sources.
    """
    command = os.environ.get("PYINIT_COMMAND") or str(Path(sys.executable).parent / "pyinit")
    assert Path(command).exists(), f"{command} is not there: install the wheel, or set PYINIT_COMMAND"
    return command


def plain_environment() -> dict[str, str]:
    """Return what every run is given unless it asks for something else: nothing of the test runner's own."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LIFE": "40"}


class Log(Lines):
    """pyinit's log as it arrives; every line of it is checked when it is asked for."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self._parsed: list[Record] = []

    @property
    def records(self) -> list[Record]:
        """Every record so far; AssertionError when a line is none."""
        lines = list(self.lines)
        self._parsed += [schema.parse(line) for line in lines[len(self._parsed) :]]
        return self._parsed

    def of(self, event: str, **facts: object) -> list[Record]:
        """Return the records of one event name so far; facts are keys with "__" for ".", for example process__pid=7."""
        wanted = {key.replace("__", "."): value for key, value in facts.items()}
        fitting = (record for record in self.records if record["event.name"] == event)
        return [record for record in fitting if all(record.get(key) == value for key, value in wanted.items())]

    def wait_for(self, event: str, count: int = 1, timeout_s: float = DEADLINE_S, **facts: object) -> Record:
        """Wait for the `count`-th record of this event with these facts."""

        def found(_: list[str]) -> list[Record] | None:
            fitting = self.of(event, **facts)
            return fitting if len(fitting) >= count else None

        fitting = self.wait_until(found, f"record {count} of {event} with {facts}", timeout_s)
        assert fitting
        return fitting[count - 1]

    def names(self) -> list[str]:
        """Return the event names in the order of the log."""
        return [record["event.name"] for record in self.records]


class Run:
    """pyinit, running. Made by the `pyinit` fixture.

    Attributes:
        pid: pyinit's process number as the test runner sees it.
        out: the lines that the command writes on its standard output.
        log: the records that pyinit writes; the command shares this pipe as its standard error.
        own_children: pyinit may have forked children of its own beside main.
        status: after `finish`: the exit status, or minus the number of the signal that ended pyinit.
        seconds: after `finish`: the time between the last signal that the test sent (or the start) and the end.
    """

    def __init__(
        self,
        mode: str,
        command: Sequence[str | bytes],
        *,
        options: Sequence[str | bytes] = (),
        env: Mapping[str, str] | Mapping[bytes, bytes] | None = None,
        extra_env: Mapping[str, str] | None = None,
        stage: Sequence[str] = (),
        log_options: Sequence[str] = LOG_OPTIONS,
        stderr: int | None = None,
        pass_fds: Sequence[int] = (),
        json_log: bool = True,
        quiet: bool = False,
        own_children: bool = False,
        separator: bool = True,
        own_session: bool = True,
        stdin: int = subprocess.PIPE,
    ) -> None:
        self.mode = mode
        self.status: int | None = None
        self.seconds = 0.0
        self.pid = 0
        self.killed_by_test = False
        self.may_drop = False
        self.hidden_records = quiet or not json_log
        self.own_children = own_children
        self.all_reaps = "debug" in log_options
        self.json_log = json_log
        self._wait_status: int | None = None
        self._witness = witness.Witness() if witness.available() else None
        environment: dict[Any, Any] = {**(plain_environment() if env is None else env), **(extra_env or {})}
        report_r, report_w = os.pipe()
        out_r, out_w = os.pipe()
        log_r, log_w = os.pipe()
        for fd in (out_w, log_w):
            with contextlib.suppress(OSError):
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        words: list[str | bytes] = [program("stage"), f"report={report_w}", *stage_options(mode), *stage, "--"]
        words += [pyinit_command(), *log_options, *options, *(["--"] if separator else []), *command]
        self._since = time.monotonic()
        self._process = subprocess.Popen(
            words,
            stdin=stdin,
            stdout=out_w,
            stderr=log_w if stderr is None else stderr,
            env=environment,
            pass_fds=(report_w, *pass_fds),
            start_new_session=own_session,
            close_fds=True,
        )
        for fd in (report_w, out_w, log_w):
            os.close(fd)
        self.out = Lines(out_r)
        self.log = Log(log_r)
        self._report = Lines(report_r)
        try:
            self.pid = int(self._report.wait("pid")[0])
        except AssertionError:
            self.abandon()
            raise

    @property
    def input(self) -> int:
        """The descriptor of the pipe that leads to the command's standard input."""
        assert self._process.stdin is not None
        return self._process.stdin.fileno()

    def close_input(self) -> None:
        """End of file on the command's standard input."""
        self._since = time.monotonic()
        if self._process.stdin is not None:
            self._process.stdin.close()
            self._process.stdin = None

    def signal(self, number: int) -> None:
        """Send a signal to pyinit itself. It is not reaped before `finish`, so the number is pinned."""
        self._since = time.monotonic()
        os.kill(self.pid, number)

    def outer(self, pid: int | str) -> int:
        """Return the number that the test runner sees for `pid`, a number of pyinit's PID namespace."""
        if self.mode not in {PID1, PID1_USER}:
            return int(pid)
        for candidate in procs.descendants(self.pid):
            if procs.namespace_pid(candidate) == int(pid):
                return candidate
        message = f"no process below pyinit has number {pid} in its namespace"
        raise AssertionError(message)

    def kill(self, pid: int | str, number: int) -> None:
        """Send a signal to the process that has this number in pyinit's namespace."""
        os.kill(self.outer(pid), number)

    def join(self, *command: str, uid: int | None = None) -> Lines:
        """Execute `command` inside pyinit's PID namespace, as `docker exec` does; return what it and its orphans write.

        Only where pyinit is PID 1, and only with privileges. As the user that pyinit runs as, unless `uid` says which.
        """
        out_r, out_w = os.pipe()
        try:
            if uid is None:
                uid = int(procs.status_field(self.pid, "Uid").split()[0])
            words = [program("join"), str(self.pid), str(uid), *command]
            subprocess.run(words, stdin=subprocess.DEVNULL, stdout=out_w, env=plain_environment(), check=True)
        finally:
            os.close(out_w)
        return Lines(out_r)

    @property
    def pid_seen(self) -> int:
        """Pyinit's number as it sees itself."""
        return 1 if self.mode in {PID1, PID1_USER} else self.pid

    def wait_for(self, event: str, count: int = 1, timeout_s: float = DEADLINE_S, **facts: object) -> Record:
        """Wait for a record; see Log.wait_for."""
        return self.log.wait_for(event, count, timeout_s, **facts)

    def of(self, event: str, **facts: object) -> list[Record]:
        """Return the records of one event name; see Log.of."""
        return self.log.of(event, **facts)

    def one(self, event: str, **facts: object) -> Record:
        """Return the only record of its kind."""
        found = self.of(event, **facts)
        assert len(found) == 1, f"{len(found)} records of {event} with {facts}: {self.log.names()}"
        return found[0]

    def assert_idle(self, *, for_ever: bool = True) -> None:
        """Once pyinit waits for nothing but events, let some time pass, and see that it did not wake up in it.

        Not `for_ever`: it has a moment to wait for as well.
        """
        procs.wait_until_asleep(self.pid, for_ever=for_ever)
        before = procs.wakeups(self.pid)
        pass_time(IDLE_S)
        assert procs.wakeups(self.pid) == before

    def stop(self, number: int = SIGTERM, timeout_s: float = DEADLINE_S) -> int:
        """Ask for a stop and wait for the end."""
        self.signal(number)
        return self.finish(timeout_s)

    def finish(self, timeout_s: float = DEADLINE_S) -> int:
        """Wait for pyinit's end, then check what must be true after every run; its exit status."""
        if self.status is not None:
            return self.status
        try:
            if not wait_for_exit(self._process.pid, timeout_s):
                left = ", ".join(map(procs.describe, procs.descendants(self.pid)))
                message = f"pyinit ({procs.describe(self.pid)}) has not ended within {timeout_s} s; below it: {left}"
                raise AssertionError(message)
            self.seconds = time.monotonic() - self._since
            self.close_input()
            self._process.wait()
            if self.mode in {PID1, PID1_USER}:
                wait_status = int(self._report.wait("status")[0])
                self.status = os.waitstatus_to_exitcode(wait_status)
            else:
                self.status = self._process.returncode
            assert self.out.wait_eof(DEADLINE_S), "somebody below pyinit still holds the command's standard output"
            assert self.log.wait_eof(DEADLINE_S), "somebody below pyinit still holds the log"
            self._check()
        finally:
            self.abandon()
        return self.status

    def abandon(self) -> None:
        """End what is left of this run, without a word; the fixture calls it after every test."""
        if self._process.returncode is None:
            # The stage is our child and has not been reaped: its number is pinned, and its end takes pyinit along
            # where pyinit is PID 1; a subreaper's own children come to the test runner, which looks for them.
            if self.pid and self.pid != self._process.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, SIGKILL)
            self._process.kill()
            self._process.wait()
        self.close_input()
        if self._witness is not None:
            self._witness.stop()

    # What must be true after every run.

    def _check(self) -> None:
        if not self.json_log:
            return
        records = self.log.records
        if not self.killed_by_test:
            self._check_last(records)
        ends = Counter(
            (record["process.pid"], record.get("process.creation.time"))
            for record in records
            if record["event.name"] == REAPED
        )
        assert max(ends.values(), default=1) == 1, f"told twice: {ends.most_common(3)}"
        if self._witness is not None and not self.hidden_records:
            self._check_reaps(records)

    def _check_last(self, records: list[Record]) -> None:
        """Check that the exit record is the last one, and that its totals are those of the log."""
        if any(record["event.name"] == SPAWN_FAILED for record in records):
            return
        if not self.hidden_records:
            assert records, "the log is empty"
            assert records[-1]["event.name"] == EXITED, f"the last record is {records[-1]['event.name']}"
            assert records[-1]["pyinit.exit.status"] == self.status, (
                f"status {self.status}, but the log says {records[-1]}"
            )
        if self.hidden_records or self.may_drop or not self.all_reaps:
            return
        assert not [record for record in records if record["event.name"] in {DROPPED, ERROR}], records
        reaped = len([record for record in records if record["event.name"] == REAPED])
        assert records[-1]["pyinit.totals.reaped"] == reaped, (
            f"{reaped} reap records, but the exit record says {records[-1]}"
        )

    def _check_reaps(self, records: list[Record]) -> None:
        """One reap record for each process that ended as pyinit's child, with its true status.

        None for anybody else.
        """
        assert self._witness is not None
        seen, _ = self._witness.below(self.pid)
        assert not self._witness.lost, "the witness lost events; this run proves nothing"
        told = [record for record in records if record["event.name"] == REAPED]
        left = [one for one in seen if one.status is None and Path(f"/proc/{one.pid}").exists()]
        assert not left, f"these outlived pyinit: {[procs.describe(one.pid) for one in left]}"
        if self.killed_by_test or self.may_drop:
            return
        owed = witness.owed(seen, self.pid)
        if self.own_children:  # without /proc pyinit forks to learn numbers; what it forks is not of the command
            owed = [one for one in owed if one.parent != self.pid or one.status]
        if not self.all_reaps:
            total = records[-1]["pyinit.totals.reaped"]
            assert len(owed) <= total <= len(seen), (
                f"pyinit counts {total} ends, the witness between {len(owed)} and {len(seen)}"
            )
            return
        if any(record["event.name"] == SPAWN_FAILED for record in records):
            owed = []  # the child that could not execute the command never was a process of the command
        if self.mode in {PID1, PID1_USER}:

            def of_witness(one: witness.Seen) -> object:
                return one.status

            of_log: Callable[[Record], object] = told_status
        else:

            def of_witness(one: witness.Seen) -> object:
                return (one.pid, one.status)

            def of_log(record: Record) -> object:
                return (record["process.pid"], told_status(record))

        said = Counter(map(of_log, told))
        missing = Counter(map(of_witness, owed)) - said
        missing -= self._not_started(owed, of_witness)
        invented = said - Counter(map(of_witness, seen))
        if self.mode in {PID1, PID1_USER}:  # what pyinit may not kill it names; the kernel ends it with the namespace
            missing -= Counter({9: len([record for record in records if record["event.name"] == UNKILLABLE])})
        assert not missing, f"pyinit reaped these (number, wait status), but did not tell: {dict(missing)}"
        assert not invented, f"nobody ended like this (number, wait status), or not so often: {dict(invented)}"

    def _not_started(self, owed: list[witness.Seen], of_witness: Callable[[witness.Seen], object]) -> Counter[object]:
        """Count those that could not execute the command at a restart: they never were processes of the command."""
        failed = len(self.of(START_FAILED))
        theirs = [one for one in owed if one.parent == self.pid and one.status == NOT_STARTED << 8]
        return Counter(map(of_witness, theirs[:failed]))


def told_status(record: Record) -> int:
    """Return the wait status (wait(2)) that a reap record tells."""
    if "process.exit.code" in record:
        code = record["process.exit.code"]
        assert isinstance(code, int)
        return code << 8
    number = record["pyinit.exit.signal_number"]
    assert isinstance(number, int)
    return number | (0x80 if record.get("pyinit.exit.core_dumped") else 0)


def stage_options(mode: str) -> list[str]:
    """Return the options of the program `stage` that make a mode."""
    options = []
    if mode in {PID1, PID1_USER}:
        options.append("pid1")
        if not ROOT:
            options.append("userns")
    if mode in {PLAIN_USER, PID1_USER} and ROOT:
        options += [f"reveal={path}" for path in _hidden_folders()]
        options.append(f"uid={USER}")
    return options


@functools.cache
def _hidden_folders() -> tuple[str, ...]:
    """Return "CLOSED:FOLDER" for the folders of pyinit that only root can get to; CLOSED is the outermost closed one.

    An interpreter in root's home, say: the stage shows these folders, and nothing else of what is closed, to the user.
    """
    found = {}
    for folder in map(Path, (sys.base_prefix, sys.prefix, pyinit_command())):
        target = folder.resolve().parent if folder.is_file() else folder.resolve()
        closed = [parent for parent in (target, *target.parents) if not parent.stat().st_mode & 0o001]
        if closed:
            found[str(target)] = f"{closed[-1]}:{target}"
    return tuple(found.values())


@functools.cache
def why_not(mode: str) -> str:
    """Why this mode cannot be had here, "" when it can."""
    words = [program("stage"), "report=2", *stage_options(mode), "--", "/bin/true"]
    tried = subprocess.run(words, capture_output=True, text=True, check=False)
    report = tried.stderr + tried.stdout
    if "error" in report or tried.returncode:
        return report.strip() or f"status {tried.returncode}"
    if mode in {PLAIN_USER, PID1_USER} and ROOT:
        words = [program("stage"), *stage_options(PLAIN_USER), "--", pyinit_command(), "--version"]
        tried = subprocess.run(words, capture_output=True, text=True, check=False)
        if tried.returncode:
            return f"uid {USER} cannot execute {pyinit_command()}: {tried.stderr}{tried.stdout}"
    return ""
