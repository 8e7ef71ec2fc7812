"""The guarantee where pyinit cannot do all: what no signal reaches, what no signal ends, a /proc that shows little."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.needs import cannot
from support.programs import program
from support.run import (
    ALL_MODES,
    ERROR,
    EXITED,
    KILLING,
    PID1,
    PID1_USER,
    PLAIN_USER,
    ROOT,
    SUBREAPER,
    UNKILLABLE,
)
from support.waiting import wait_for_exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.run import Run

    Start = Callable[..., Run]

pytestmark = [pytest.mark.invariant(2), pytest.mark.invariant(3)]
ALONE = pytest.mark.alone("some take all the processes that the user may have, and have to end in time")

# What the kernel may need to kill and a loaded test machine to notice, in seconds.
SLACK_S = 2.5
# pyinit waits so long for what does not die of SIGKILL, kills what is below that, and waits as long again (seconds).
PATIENCE_S = 1.0
GRACE_S = 0.4
GRACE = ("--grace", "400ms")
KILLED = 128 + signal.SIGKILL
QUIET = ("--log-format", "json", "--log-level", "info")
CAP_KILL = 5
OTHER_USER = 61011


@pytest.fixture(autouse=True)
def _needs_root() -> None:
    if not ROOT:
        cannot("only root can set these stages")


def await_record(run: Run, event: str) -> float:
    """Wait for a record; return the seconds from now."""
    begun = time.monotonic()
    run.wait_for(event)
    return time.monotonic() - begun


def end_leftover(pid: int) -> None:
    """Kill a process that pyinit had to leave, and reap it: it has come to the test runner."""
    os.kill(pid, signal.SIGKILL)
    assert wait_for_exit(pid, 20), f"{pid} does not die"
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


class FrozenFuse:
    """A FUSE that answers nothing but the greeting: who looks into it sleeps, and SIGKILL does not end that.

    The kernel lets a process that has been killed wait for the answer to a request that the server has read
    (fs/fuse/dev.c, request_wait_answer). Closing the descriptor aborts the connection and ends the wait.
    """

    # struct fuse_in_header; struct fuse_out_header and struct fuse_init_out (linux/fuse.h)
    _REQUEST = struct.Struct("=IIQQIIIHH")
    _GREETING = struct.Struct("=IiQ IIIIHHIIHHI7I")
    _INIT = 26

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        self.stage = f"fuse={self.fd}:{path}"

    def _take(self) -> tuple[int, int]:
        """Wait for a request: its kind and its number."""
        assert select.select([self.fd], [], [], 20)[0], "nobody asks the FUSE for anything"
        _, kind, unique, *_ = self._REQUEST.unpack_from(os.read(self.fd, 1 << 18))
        return kind, unique

    def await_victim(self) -> None:
        """Wait until a process asks for something, and leave it without an answer."""
        kind, unique = self._take()
        assert kind == self._INIT
        size = self._GREETING.size
        os.write(
            self.fd, self._GREETING.pack(size, 0, unique, 7, 31, 1 << 16, 0, 16, 12, 1 << 16, 1, 0, 0, 0, *[0] * 7)
        )
        self._take()

    def close(self) -> None:
        """Abort the connection: everybody who waits gets an error."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


@pytest.fixture
def frozen(workdir: Path) -> Iterator[FrozenFuse]:
    """Yield a frozen FUSE that can be mounted on a stage."""
    if not Path("/dev/fuse").exists():
        cannot("there is no /dev/fuse")
    fuse = FrozenFuse(workdir)
    yield fuse
    fuse.close()


@pytest.mark.modes(*ALL_MODES)
def test_uninterruptible_sleep(pyinit: Start, frozen: FrozenFuse) -> None:
    """What SIGKILL does not end is named, and pyinit leaves; what hangs below it is killed all the same.

    As PID 1 too it says its last word and exits; the kernel keeps the namespace until the sleeper has woken up.
    """
    run = pyinit(program("stuck"), f"{frozen.path}/file", options=GRACE, stage=[frozen.stage], pass_fds=[frozen.fd])
    stuck = int(run.out.wait("ready")[0])
    frozen.await_victim()
    outer = run.outer(stuck)
    run.signal(signal.SIGTERM)
    assert await_record(run, EXITED) < GRACE_S + 2 * PATIENCE_S + SLACK_S
    record = run.one(UNKILLABLE)
    assert record["process.pid"] == stuck
    assert record["process.executable.name"] == "stuck"
    assert len(run.of(KILLING)) == 1
    assert os.access(f"/proc/{outer}", os.F_OK), "it was not stuck"
    if run.mode in {SUBREAPER, PLAIN_USER}:
        assert wait_for_exit(run.pid, 20)
    frozen.close()
    assert wait_for_exit(outer, 20)
    if run.mode in {SUBREAPER, PLAIN_USER}:
        os.waitpid(outer, 0)
    assert run.finish() == KILLED


@pytest.mark.modes(SUBREAPER, PID1)
def test_without_the_right_to_kill(pyinit: Start) -> None:
    """Root without CAP_KILL and a process of another user: pyinit leaves in time, and names it.

    As PID 1 it dies with the namespace.
    """
    run = pyinit(
        "/usr/bin/setpriv",
        f"--reuid={OTHER_USER}",
        "--clear-groups",
        program("ignore_term"),
        "all",
        options=GRACE,
        stage=[f"drop={CAP_KILL}"],
    )
    check_leaves_behind(run)


@pytest.mark.modes(PLAIN_USER, PID1_USER)
def test_set_user_id(pyinit: Start, workdir: Path) -> None:
    """A set-user-ID program of another user below pyinit without privileges: the same."""
    become = workdir / "become"
    shutil.copy(program("become"), become)
    os.chown(become, OTHER_USER, OTHER_USER)
    become.chmod(0o4755)
    run = pyinit(str(become), program("ignore_term"), "all", options=GRACE, stage=["new-privs"])
    check_leaves_behind(run)


def check_leaves_behind(run: Run) -> None:
    """Check that the run ends although its main may not be signalled, and end that."""
    main = int(run.out.wait("ready")[0])
    outer = run.outer(main)
    run.signal(signal.SIGTERM)
    assert await_record(run, EXITED) < GRACE_S + 2 * PATIENCE_S + SLACK_S
    record = run.one(UNKILLABLE)
    assert record["process.pid"] == main
    assert "EPERM" in record["message"]
    if run.mode in {SUBREAPER, PLAIN_USER}:
        assert wait_for_exit(run.pid, 20)
        end_leftover(outer)
    assert run.finish() == KILLED


HOSTILE = {
    "a subreaper keeps a subreaper": [program("keep"), "reap", program("hoard"), "10"],
    "a job that stops again and again": [program("stop_again"), "5"],
    "in vfork in vfork": [program("vfork_parent"), "3"],
    "chains": [program("chain"), "double", "8", "20"],
    "the limit is reached": [program("fill")],
    "a head at every signal": [program("hydra"), "die", "1"],
}


@ALONE
@pytest.mark.modes(PLAIN_USER, PID1_USER)
@pytest.mark.parametrize("command", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("proc", ["hidepid", "no-proc"])
def test_proc_that_shows_little(pyinit: Start, proc: str, command: list[str]) -> None:
    """With hidepid=2, and with no /proc at all: the stop is in time, nobody is left, no error of our own."""
    check_stop(pyinit, proc, command)


@ALONE
@pytest.mark.modes(PID1_USER)
@pytest.mark.parametrize("command", HOSTILE.values(), ids=HOSTILE)
def test_proc_of_the_outer_namespace(pyinit: Start, command: list[str]) -> None:
    """The same where /proc shows another PID namespace, in which our numbers mean strangers."""
    check_stop(pyinit, "outer-proc", command)


def check_stop(pyinit: Start, proc: str, command: list[str]) -> None:
    """Stop a hostile tree on a stage with this /proc."""
    run = pyinit(
        *command,
        options=GRACE,
        log_options=QUIET,
        stage=["uid=61012", "nproc=400", proc],
        own_children=proc != "hidepid",
    )
    run.out.wait("ready")
    run.stop()
    assert run.seconds < GRACE_S + SLACK_S, run.seconds
    assert not run.of(ERROR)
    assert not run.of(UNKILLABLE)


@pytest.mark.modes(PLAIN_USER)
def test_without_proc_a_tracer_below_is_out_of_reach(pyinit: Start) -> None:
    """The one thing that cannot be done without /proc, as a subreaper: find who holds a dead child from below it.

    Pyinit names the child, and leaves in time.
    """
    run = pyinit(program("traced"), "hostage", options=GRACE, stage=["no-proc"], own_children=True)
    run.out.wait("ready")
    main, tracer = int(run.out.wait("traced")[0]), int(run.out.wait("tracer")[0])
    run.signal(signal.SIGTERM)
    assert await_record(run, EXITED) < GRACE_S + 2 * PATIENCE_S + SLACK_S
    assert run.one(UNKILLABLE)["process.pid"] == main
    assert wait_for_exit(run.pid, 20)
    end_leftover(tracer)
    assert wait_for_exit(main, 20)
    for pid in (main, tracer):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
    assert run.finish() == KILLED
