"""Runs pyinit's own commands (--stop-command, --reload-command), and tells what they write.

Imported when the first one runs.
"""

from __future__ import annotations

import posix

from pyinit import kernel, spawn
from pyinit.core.model import RELOAD_COMMAND
from pyinit.signames import name as signal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyinit.child.plan import Child
    from pyinit.core.actions import RunCommand
    from pyinit.log import Log
    from pyinit.sources import Sources
    from pyinit.spawn import Inherited

_SHELL = b"/bin/sh"
_CHUNK = 1 << 14
_PIPE_CHUNKS = 64  # 1 MiB: no pipe of an ordinary user holds more (pipe(7))
# So much of a line is told, and so many lines of a command.
_LINE_MAX = 1024
_LINES_MAX = 200
# These came with descriptors or a PID that are not the command's.
_NOT_ITS_OWN = (b"LISTEN_FDS", b"LISTEN_FDNAMES", b"LISTEN_PID", b"LISTEN_PIDFDID")


class Runner:
    """Starts commands as main was started: in its environment and its working directory, as its user, with its signals.

    `home` is a descriptor of that directory, or -1 where pyinit could not open it; `child` is what the options make of
    main.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # all that a command gets
        self,
        texts: Mapping[str, str],
        changes: Mapping[bytes, bytes | None],
        inherited: Inherited,
        home: int,
        log: Log,
        sources: Sources,
        child: Child | None = None,
    ) -> None:
        self._child = child
        self._texts = texts
        self._changes = changes
        self._inherited = inherited
        self._home = home
        self._log = log
        self._sources = sources
        self._outputs: dict[int, _Output] = {}

    def run(self, action: RunCommand) -> int:
        """Start a command by the shell, in a session of its own; return its PID.

        Raises OSError when there can be no new process (pipe2(2): EMFILE; fork(2): EAGAIN, ENOMEM).
        """
        reading, writing = posix.pipe2(posix.O_CLOEXEC)
        try:
            pid = posix.fork()
        except OSError:
            posix.close(reading)
            posix.close(writing)
            raise
        if pid == 0:
            self._become(action, writing)
        posix.close(writing)
        posix.set_blocking(reading, False)
        self._outputs[pid] = _Output(action.kind, reading, self._log, self._sources)
        return pid

    def read_output(self, pid: int) -> None:
        """Tell what a command has written up to its end; what it leaves behind may write on."""
        output = self._outputs.pop(pid, None)
        if output is not None:
            output.drain()

    def _become(self, action: RunCommand, output: int) -> None:
        """In the child: turn into the command. Does not return."""
        at = None
        status = spawn.NOT_FOUND
        try:
            posix.setsid()
            if self._home >= 0:
                posix.fchdir(self._home)
            posix.dup2(posix.open("/dev/null", posix.O_RDONLY), 0)
            posix.dup2(output, 1)
            posix.dup2(output, 2)
            child = self._child
            for at in child.command_steps if child is not None else ():
                at.call()
            at = None
            spawn.restore_signals(self._inherited, self._inherited.mask)
            changes = {**dict.fromkeys(_NOT_ITS_OWN), **self._changes, **_variables(action)}
            _, execute = spawn.change_environment(changes, clear=child is not None and child.clear)
            text = self._texts[action.kind].encode("utf-8", "surrogateescape")
            execute(_SHELL, [_SHELL, b"-c", text])
        except (OSError, MemoryError) as error:
            errno = error.errno if isinstance(error, OSError) else kernel.ENOMEM
            what = "/bin/sh"
            if at is not None:
                what = f"{at.option} {at.value}"
                status = spawn.NOT_STARTED
            posix.write(output, f"{what}: {posix.strerror(errno or 0)}\n".encode("utf-8", "backslashreplace"))
        finally:
            posix._exit(status)  # noqa: SLF001  # in a forked child nothing else is right


def _variables(action: RunCommand) -> dict[bytes, bytes | None]:
    """Return what tells a command whom it is for, and why it runs."""
    variables: dict[bytes, bytes | None] = {b"MAINPID": None}
    if action.service is not None:
        variables[b"MAINPID"] = b"%d" % action.service.pid
    signal = signal_name(action.signo).encode() if action.signo else None
    if action.kind == RELOAD_COMMAND:
        variables[b"PYINIT_SIGNAL"] = signal
        return variables
    variables[b"PYINIT_STOP_REASON"] = b"signal" if signal else b"request"
    variables[b"PYINIT_STOP_SIGNAL"] = signal
    variables[b"PYINIT_GRACE_S"] = b"%g" % action.left_s
    return variables


class _Output:
    """What a command writes: a record for each line, up to a limit; the rest is read and not told."""

    def __init__(self, kind: str, fd: int, log: Log, sources: Sources) -> None:
        self._kind = kind
        self._fd = fd
        self._log = log
        self._sources = sources
        self._line = b""
        self._told = 0
        self._open = True
        sources.add(fd, self.read)

    def drain(self) -> None:
        """Take all that is there, up to what a pipe holds."""
        for _ in range(_PIPE_CHUNKS):
            if not self._open or not self.read():
                return

    def read(self) -> bool:
        """Take what is there, once; let go of the pipe at its end. False when nothing was there."""
        try:
            data = posix.read(self._fd, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if self._told >= _LINES_MAX:
            self._line = b""  # nothing more is told: to look for lines would cost more than to write them
        else:
            *lines, rest = (self._line + data).split(b"\n")
            for line in lines:
                self._tell(line)
            self._line = rest[:_LINE_MAX]
        if not data:
            if self._line:
                self._tell(self._line)
            self._open = False
            self._sources.remove(self._fd)
            kernel.close(self._fd)
        return True

    def _tell(self, line: bytes) -> None:
        self._told += 1
        if self._told > _LINES_MAX:
            return
        text = line[:_LINE_MAX].decode("utf-8", "backslashreplace").rstrip("\r")
        if self._told == _LINES_MAX:
            text = "(it writes more; that is not told)"
        if text:
            self._log.report("command.output", {"kind": self._kind, "text": text})
