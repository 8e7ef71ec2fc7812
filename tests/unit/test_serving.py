"""The hands of the core for the service, on real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pyinit import serving
from pyinit.core import actions, events
from pyinit.core.model import FROM_NOTIFY, FROM_PID_FILE, RELOAD_COMMAND, SIGHUP, Process
from pyinit.notify import Inbox, Outbox
from pyinit.pidfile import PidFile
from pyinit.procfs import Proc
from pyinit.serving import Serving
from pyinit.sources import Sources
from pyinit.spawn import Inherited
from support.descriptors import descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# Says that the process of a number is the service, and waits until it is heard.
SAY = f"""
import sys, os
sys.path[:] = {sys.path!r}
from pyinit.notify import Outbox
Outbox(os.fsencode(sys.argv[1])).send({{"MAINPID": sys.argv[2]}})
sys.stdin.read()
"""


class Stage:
    """The hands, what they tell the core, and what they tell people."""

    def __init__(self, **launch: object) -> None:
        self.taken: list[Any] = []
        self.told: list[tuple[str, dict[str, object]]] = []
        self.sources = Sources()
        settings = SimpleNamespace(pid_file="/run/x.pid", stop_command="exit 3", reload_command="echo done")
        given: dict[str, object] = {
            "settings": settings,
            "proc": Proc(os.getpid()),
            "inbox": None,
            "pid_file": None,
            "pid1": False,
            "changes": {},
            "inherited": Inherited(mask=0, ignored=0, closed=0, lc_ctype=None),
            "home": -1,
            "plan": SimpleNamespace(child=None),
        }
        log: Any = SimpleNamespace(report=lambda event, facts: self.told.append((event, facts)))
        hands: Any = SimpleNamespace(**given | launch)
        self.serving = Serving(hands, log, self.sources, self.taken.append)

    def do(self, action: object) -> Any:
        """Have an action carried out; return the event that it brings, if any."""
        before = len(self.taken)
        self.serving.calls[type(action)](action, 0.0)
        return self.taken[-1] if len(self.taken) > before else None


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Give a child that lives until its input ends."""
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as process:
        yield process


@pytest.fixture
def grandchild() -> Iterator[tuple[int, int, subprocess.Popen[bytes]]]:
    """Give a child, its child, and the first of them as what its input ends."""
    command = ["/bin/sh", "-c", "exec 3<&0; (echo $$; exec cat <&3 >/dev/null) & echo $!; wait"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        numbers = {int(process.stdout.readline()) for _ in range(2)}
        (below,) = numbers - {process.pid}
        yield process.pid, below, process


def test_pid_file_is_read_and_proven(tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
    """A claim has the file's name, and the process if that is proven, or else the reason; what was proven is kept."""
    path = tmp_path / "x.pid"
    stage = Stage(pid_file=PidFile(str(path)))
    claim = stage.do(actions.ReadPidFile()).claim
    assert (claim.source, claim.process, claim.text, claim.reason) == (
        FROM_PID_FILE,
        None,
        "/run/x.pid",
        "is not there",
    )
    path.write_text("1\n")
    refused = "names pyinit itself" if os.getpid() == 1 else "is not below pyinit"
    assert refused in stage.do(actions.ReadPidFile()).claim.reason
    assert stage.serving.proven == 0
    path.write_text(f"{child.pid}\n")
    claim = stage.do(actions.ReadPidFile()).claim
    assert (claim.process.pid, claim.root, claim.text, claim.reason) == (child.pid, None, "/run/x.pid", "")
    assert stage.serving.proven == child.pid


def test_no_pid_file() -> None:
    """Without a PID file there is nothing to read, and no answer."""
    assert Stage().do(actions.ReadPidFile()) is None


def test_root_above(tmp_path: Path, grandchild: tuple[int, int, subprocess.Popen[bytes]]) -> None:
    """A claim that names no child of pyinit brings the child that it hangs below."""
    top, below, _ = grandchild
    stage = Stage(pid_file=PidFile(str(tmp_path / "x.pid")))
    (tmp_path / "x.pid").write_text(str(below))
    claim = stage.do(actions.ReadPidFile()).claim
    assert (claim.process.pid, claim.root.pid) == (below, top)


def test_locate(child: subprocess.Popen[bytes]) -> None:
    """Where the service is now is proven anew; a number that has been handed on is not it."""
    stage = Stage()
    process = Proc(os.getpid()).child(child.pid)
    claim = stage.do(actions.Locate(process, FROM_NOTIFY)).claim
    assert (claim.source, claim.process.identity, claim.reason) == (FROM_NOTIFY, process.identity, "")
    process.start_ticks -= 1
    claim = stage.do(actions.Locate(process, FROM_NOTIFY)).claim
    assert (claim.process, claim.reason) == (None, "has ended")


def test_end_of_who_is_followed(grandchild: tuple[int, int, subprocess.Popen[bytes]]) -> None:
    """The end of a process that is no child is told once."""
    _, below, process = grandchild
    stage = Stage()
    seen = Proc(os.getpid()).describe(below)
    assert seen is not None
    assert stage.do(actions.Follow(seen)) is None
    assert process.stdin is not None
    process.stdin.close()
    while not stage.taken:
        stage.sources.wait(-1)
    (gone,) = stage.taken
    assert isinstance(gone, events.ServiceGone)
    assert gone.process is seen


def test_one_is_followed_at_a_time(
    child: subprocess.Popen[bytes], grandchild: tuple[int, int, subprocess.Popen[bytes]]
) -> None:
    """However often the service changes, one descriptor is held."""
    stage = Stage()
    proc = Proc(os.getpid())
    before = descriptors()
    for pid in (child.pid, grandchild[1]) * 5:
        seen = proc.describe(pid)
        assert seen is not None
        assert stage.do(actions.Follow(seen)) is None
    assert len(descriptors() - before) == 1


def test_follow_who_has_ended(child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has ended is told to be gone, but for a child, whose end comes from the loop. EMFILE is no failure."""
    stage = Stage()
    process = Proc(os.getpid()).child(child.pid)
    process.start_ticks -= 1
    assert stage.do(actions.Follow(process)) is None
    assert isinstance(stage.do(actions.Follow(Process(2**22 + 1))), events.ServiceGone)

    def fails(_pid: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("pyinit.kernel.pidfd", fails)
    assert stage.do(actions.Follow(process)) is None


def test_message_is_taken_with_its_sender() -> None:
    """A message comes with who sent it, and what its MAINPID comes to; one that is not from below us is refused."""
    inbox = Inbox()
    stage = Stage(inbox=inbox)
    assert Outbox(inbox.address).send({"READY": "1"}) is None
    stage.sources.wait(-1)
    assert (stage.taken[0].sender, stage.taken[0].reason) == (None, "its sender, pyinit itself")
    for named in ("soon", str(os.getpid())):
        with subprocess.Popen([sys.executable, "-c", SAY, inbox.address, named], stdin=subprocess.PIPE) as process:
            stage.sources.wait(-1)
            message = stage.taken[-1]
            assert (message.sender.pid, message.reason, message.fields) == (process.pid, "", {"MAINPID": named})
            assert (message.claim.source, message.claim.process) == (FROM_NOTIFY, None)
            assert message.claim.text == f"MAINPID={named}"
    assert len(stage.taken) == 3
    inbox.close()


def test_who_supervises_pyinit_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be passed on is told once; without a NOTIFY_SOCKET there is nobody to tell."""
    stage = Stage()
    stage.do(actions.PassOn({"READY": "1"}))
    assert stage.told == []
    environment = SimpleNamespace(environ={b"NOTIFY_SOCKET": os.fsencode(tmp_path / "nobody")})
    monkeypatch.setattr(serving, "posix", environment)
    stage = Stage()
    stage.do(actions.PassOn({"READY": "1"}))
    stage.do(actions.PassOn({"STOPPING": "1"}))
    ((event, facts),) = stage.told
    assert (event, facts["feature"]) == ("pyinit.degraded", "NOTIFY_SOCKET")


def test_command_is_run() -> None:
    """A command's process is brought back, and what it has written is told when that is asked for."""
    stage = Stage()
    started = stage.do(actions.RunCommand(RELOAD_COMMAND, None, SIGHUP))
    process = started.process
    assert (started.kind, process.name, process.foreign) == (RELOAD_COMMAND, "reload-command", False)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    stage.do(actions.ReadOutput(process))
    assert stage.told == [("command.output", {"kind": RELOAD_COMMAND, "text": "done"})]
    os.waitpid(process.pid, 0)


def test_command_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no process for a command: the core is told why."""

    def fails() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("posix.fork", fails)
    started = Stage().do(actions.RunCommand(RELOAD_COMMAND, None, SIGHUP))
    assert (started.kind, started.process, started.errno) == (RELOAD_COMMAND, None, 11)
