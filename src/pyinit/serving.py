"""Carries out what concerns the service: its PID file, its messages, its commands. Imported where one is asked for."""

from __future__ import annotations

import posix
from functools import partial

from pyinit import claims, kernel
from pyinit.core import actions, events
from pyinit.core.model import FROM_NOTIFY, FROM_PID_FILE, RELOAD_COMMAND, STOP_COMMAND, Claim, whole_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyinit.boot import Launch
    from pyinit.commands import Runner
    from pyinit.core.model import Process
    from pyinit.log import Log
    from pyinit.notify import Inbox, Message, Outbox
    from pyinit.procfs import Proc
    from pyinit.sources import Sources

_OUTER = b"NOTIFY_SOCKET"
# What is believed of nobody but a process that is proven to be below us.
_PROVEN_ONLY = ("MAINPID", "EXTEND_TIMEOUT_USEC")
_DIGITS_MAX = 10  # no PID has more
# So often messages of a run that is over are taken off the socket, some at a time.
_ROUNDS = 256


class Serving:
    """The hands of the core for the service.

    Attributes:
        proven: the PID that the PID file named when it was last believed; 0 where it never was.
    """

    def __init__(self, launch: Launch, log: Log, sources: Sources, take: Callable[[events.Event], None]) -> None:
        self._launch = launch
        self._proc: Proc = launch.proc
        self._log = log
        self._sources = sources
        self._take = take
        self._outbox: Outbox | None = None
        self._unheard = False
        self._followed: tuple[int, Process] | None = None
        self._runner: Runner | None = None
        self.proven = 0
        if launch.inbox is not None:
            sources.add(launch.inbox.fd, partial(self._receive, launch.inbox))
        if outer := posix.environ.get(_OUTER):
            from pyinit.notify import Outbox

            self._outbox = Outbox(outer)

    @property
    def calls(self) -> dict[type, Callable[[Any, float], None]]:
        """What carries out each type of action."""
        return {
            actions.ReadPidFile: self._read_pid_file,
            actions.Locate: self._locate,
            actions.Follow: self._follow,
            actions.PassOn: self._pass_on,
            actions.RunCommand: self._run_command,
            actions.ReadOutput: self._read_output,
        }

    def close_run(self) -> None:
        """Put away what a run leaves of itself, of which nobody is left: its PID file, and what it has said."""
        self._let_go()
        self.clean()
        self.proven = 0
        inbox = self._launch.inbox
        for _ in range(_ROUNDS):
            if inbox is None or not inbox.receive():
                break

    def clean(self) -> None:
        """Remove the PID file where that is asked for, if it is the run's own."""
        launch = self._launch
        if launch.settings.clean_pid_file and launch.pid_file is not None:
            launch.pid_file.remove(0 if launch.pid1 else self.proven or -1)

    # -- which process ------------------------------------------------------------------------------------------

    def _claim(self, source: str, pid: int, text: str) -> Claim:
        """Prove that a PID is below us."""
        found = claims.locate(self._proc, pid)
        if found.process is None:
            return Claim(source, text=text, reason=found.reason)
        root = None if found.root == pid else self._proc.child(found.root)
        return Claim(source, found.process, root=root, text=text)

    def _read_pid_file(self, action: actions.ReadPidFile, now: float) -> None:
        del action, now
        file = self._launch.pid_file
        if file is None:
            return
        path = self._launch.settings.pid_file or ""
        pid, reason = file.read()
        claim = Claim(FROM_PID_FILE, text=path, reason=reason) if reason else self._claim(FROM_PID_FILE, pid, path)
        if claim.process is not None:
            self.proven = pid
        self._take(events.Claimed(claim))

    def _locate(self, action: actions.Locate, now: float) -> None:
        del now
        process = action.process
        claim = self._claim(action.source, process.pid, str(process.pid))
        if claim.process is not None and claim.process.identity != process.identity:
            claim = Claim(action.source, text=claim.text, reason="has ended")
        self._take(events.Located(claim))

    def _follow(self, action: actions.Follow, now: float) -> None:
        del now
        process = action.process
        if self._followed is not None:
            self._let_go()
        try:
            fd = kernel.pidfd(process.pid)
        except OSError:
            return  # no descriptor left: its end is noticed when something else ends
        if fd is None or not self._proc.same(process):
            if fd is not None:
                kernel.close(fd)
            if not kernel.is_child(process.pid):
                self._take(events.ServiceGone(process))
            return
        self._followed = (fd, process)
        self._sources.add(fd, self._gone)

    def _gone(self) -> None:
        process = self._let_go()
        if process is not None and not kernel.is_child(process.pid):  # the end of a child comes from the loop
            self._take(events.ServiceGone(process))

    def _let_go(self) -> Process | None:
        """Follow nobody any more; return who was followed."""
        if self._followed is None:
            return None
        fd, process = self._followed
        self._followed = None
        self._sources.remove(fd)
        kernel.close(fd)
        return process

    # -- what it says -------------------------------------------------------------------------------------------

    def _receive(self, inbox: Inbox) -> None:
        """Take the messages that are there."""
        for message in inbox.receive():
            self._take(self._read(message))

    def _read(self, message: Message) -> events.Notified:
        sender, reason = self._sender(message)
        fields = message.fields
        if not reason and sender is None:
            # Nobody can say any more who it was: it may tell how the service is, and decide nothing.
            fields = {name: value for name, value in fields.items() if name not in _PROVEN_ONLY}
        claim = None
        if not reason and "MAINPID" in fields:
            text = fields["MAINPID"]
            claim = self._claim(FROM_NOTIFY, whole_number(text, _DIGITS_MAX) or 0, f"MAINPID={text}")
        return events.Notified(sender, fields, claim=claim, reason=reason)

    def _sender(self, message: Message) -> tuple[Process | None, str]:
        """Prove who has sent a message: (the process, why not).

        A child that has not been reaped is proven, dead or alive. As PID 1 everybody whom the kernel gives a number is
        in our PID namespace, also who has gone since: then there is no process, and no reason against it.
        """
        pid = message.pid
        if not pid:
            return None, "its sender is outside of the PID namespace"
        root = pid if kernel.is_child(pid) else 0
        process = self._proc.child(pid) if root else None
        if process is None:
            found = claims.locate(self._proc, pid)
            process, root = found.process, found.root
            if process is None:
                gone = self._launch.pid1 and not kernel.exists(pid)
                return None, "" if gone else _of_sender(found.reason)
        if (process if root == pid else self._proc.child(root)).foreign:
            return None, f"its sender, PID {pid}, never came from main (foreign)"
        return process, ""

    def _pass_on(self, action: actions.PassOn, now: float) -> None:
        del now
        if self._outbox is None:
            return
        reason = self._outbox.send(action.fields)
        if reason and not self._unheard:
            self._unheard = True
            facts = {"feature": "NOTIFY_SOCKET", "reason": reason, "effect": "who supervises pyinit is not told of it"}
            self._log.report("pyinit.degraded", facts)

    # -- its commands -------------------------------------------------------------------------------------------

    def _run_command(self, action: actions.RunCommand, now: float) -> None:
        del now
        try:
            process = self._proc.child(self._commands().run(action))
        except OSError as error:
            self._take(events.CommandStarted(action.kind, None, error.errno or kernel.EAGAIN))
            return
        process.name = f"{action.kind}-command"  # it has not become the shell yet
        process.foreign = False
        self._take(events.CommandStarted(action.kind, process))

    def _commands(self) -> Runner:
        if self._runner is None:
            from pyinit.commands import Runner

            launch, settings = self._launch, self._launch.settings
            texts = {STOP_COMMAND: settings.stop_command or "", RELOAD_COMMAND: settings.reload_command or ""}
            self._runner = Runner(
                texts, launch.changes, launch.inherited, launch.home, self._log, self._sources, launch.plan.child
            )
        return self._runner

    def _read_output(self, action: actions.ReadOutput, now: float) -> None:
        del now
        self._commands().read_output(action.process.pid)


def _of_sender(reason: str) -> str:
    """Turn what is wrong with a number that is named into what is wrong with a sender."""
    reason = reason.replace("which no process has", "which is gone", 1)
    return reason.replace("names", "its sender,", 1).replace(", which", ",", 1)
