"""Who is there: pyinit's children, the roots, and what each of them is to the run."""

from __future__ import annotations

from pyinit.core.model import ADOPTED, COMMAND, FOREIGN, MAIN, SUCCESSOR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, KeysView

    from pyinit.core.model import End, Process


# Whether a process is in another group than main, and whether in another session.
_WAYS: dict[tuple[bool, bool], tuple[str, ...]] = {
    (False, False): (),
    (True, False): ("group",),
    (False, True): ("session",),
    (True, True): ("group", "session"),
}


class Roster:
    """The unreaped children of pyinit by PID, with their roles.

    A PID is safe as a key here: a child that has not been reaped keeps its number.
    """

    def __init__(self) -> None:
        self.main: Process | None = None
        self.main_end: End | None = None
        self._roots: dict[int, Process] = {}
        self._successors: set[int] = set()
        self._commands: set[int] = set()
        self._fresh: dict[int, None] = {}
        self._main_reaped = False

    def start(self, main: Process) -> None:
        """Enter main."""
        self.main = main
        self._roots[main.pid] = main

    def enter_command(self, process: Process) -> None:
        """Enter a process that pyinit has started beside main."""
        self._commands.add(process.pid)
        self._roots[process.pid] = process

    def adopt(self, process: Process) -> bool:
        """Enter an adopted process; False when it was there already."""
        if process.pid in self._roots:
            return False
        if process.foreign and self._near_main(process):
            process.foreign = False
        self._roots[process.pid] = process
        self._fresh[process.pid] = None
        return True

    def end(self, process: Process, end: End) -> None:
        """Take a root off the living: it is a zombie from now until it is reaped."""
        self._roots.pop(process.pid, None)
        self._fresh.pop(process.pid, None)
        if self.main is not None and self._is_main(process):
            self.main.name = process.name  # it may have executed something else since it was started
            self.main_end = end

    def forget(self, pid: int) -> None:
        """Take out a process that is being reaped: from now on its number may mean somebody else."""
        self._successors.discard(pid)
        self._commands.discard(pid)
        if self.main is not None and pid == self.main.pid:
            self._main_reaped = True

    def settle(self) -> None:
        """Forget which roots were new: whoever comes from now on comes at another moment."""
        self._fresh.clear()

    def promote(self, processes: Iterable[Process]) -> None:
        """Make these roots successors."""
        self._successors.update(process.pid for process in processes)

    def narrow(self, process: Process) -> None:
        """Make this root the only successor."""
        self._successors = {process.pid}

    @property
    def main_alive(self) -> bool:
        """True while main has started and not ended."""
        return self.main is not None and self.main_end is None

    @property
    def served(self) -> bool:
        """True while somebody is the service, or stands for it: main or a successor lives."""
        return self.main_alive or self.succeeded

    @property
    def main_leads(self) -> bool:
        """True when main has a process group of its own: only then is the group nobody else's."""
        return self.main is not None and self.main.pgid in {0, self.main.pid}

    @property
    def alive(self) -> list[Process]:
        """The roots that have not ended, oldest acquaintance first."""
        return list(self._roots.values())

    @property
    def succeeded(self) -> bool:
        """True while a successor lives."""
        return any(pid in self._roots for pid in self._successors)

    @property
    def successors(self) -> list[Process]:
        """The successors that have not ended."""
        return [process for process in self._roots.values() if process.pid in self._successors]

    @property
    def candidates(self) -> list[Process]:
        """The roots that main left behind: all but main, pyinit's own commands and the foreign ones."""
        return [
            process
            for process in self._roots.values()
            if not process.foreign and self.role(process) not in {MAIN, COMMAND}
        ]

    @property
    def fresh(self) -> list[Process]:
        """The roots that came since the last `settle`, without the foreign ones."""
        return [
            process
            for process in map(self._roots.__getitem__, self._fresh)
            if self.role(process) == ADOPTED  # neither main nor a command, neither foreign nor promoted already
        ]

    @property
    def deciders(self) -> Iterator[int]:
        """The PIDs whose end may decide the run or leave heirs: main, the successors and pyinit's own commands."""
        if self.main is not None and self.main_end is None:
            yield self.main.pid
        yield from self._successors
        yield from self._commands

    def decides(self, pid: int) -> bool:
        """Say whether this is one of the deciders."""
        if pid in self._successors or pid in self._commands:
            return True
        return self.main is not None and self.main.pid == pid and self.main_end is None

    def succeeds(self, pid: int) -> bool:
        """Say whether this is one of the successors."""
        return pid in self._successors

    @property
    def pids(self) -> KeysView[int]:
        """The PIDs of the roots that have not ended."""
        return self._roots.keys()

    def __contains__(self, pid: int) -> bool:
        return pid in self._roots

    def get(self, pid: int) -> Process | None:
        """Return what is known of a root that has not ended."""
        return self._roots.get(pid)

    def role(self, process: Process) -> str:
        """Say what a root is to the run: MAIN, SUCCESSOR, COMMAND, FOREIGN or ADOPTED."""
        if self._is_main(process):
            return MAIN
        if process.pid in self._commands:
            return COMMAND
        if process.pid in self._successors:
            return SUCCESSOR
        return FOREIGN if process.foreign else ADOPTED

    def escaped(self, process: Process) -> tuple[str, ...]:
        """Say how a root has escaped from main: adopted, and out of its process group, and out of its session."""
        main = self.main
        if main is None or process.foreign or self._is_main(process) or process.pid in self._commands:
            return ()
        return self.escaped_to(process.pgid, process.sid)

    def escaped_to(self, pgid: int, sid: int) -> tuple[str, ...]:
        """Say the same of an orphan of which it is known that it came from main; 0: not known."""
        return () if self.main is None else ("adopted", *self._strayed(pgid, sid))

    def strayed(self, process: Process) -> tuple[str, ...]:
        """Say what of main's a process below us has left: its process group, its session."""
        return self._strayed(process.pgid, process.sid)

    def _strayed(self, pgid: int, sid: int) -> tuple[str, ...]:
        main = self.main
        if main is None:
            return ()
        return _WAYS[bool(pgid) and pgid != main.pgid, bool(sid) and sid != main.sid]

    def _near_main(self, process: Process) -> bool:
        """Say whether a process is in main's group or session: then it came from main, whatever it shows."""
        main = self.main
        return main is not None and (process.pgid == main.pid or 0 < process.sid == main.sid)

    def _is_main(self, process: Process) -> bool:
        return self.main is not None and process.pid == self.main.pid and not self._main_reaped
