"""Opens the control socket behind the spawn, and keeps the last records; the rest comes with the first client."""

from __future__ import annotations

import _socket
import posix
from errno import EADDRINUSE

from pyinit.control import peer
from pyinit.control.ring import Ring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.boot import Launch
    from pyinit.control.server import Server
    from pyinit.core.lives import Lives
    from pyinit.core.machine import Machine
    from pyinit.effects import Effects
    from pyinit.log import Log
    from pyinit.loop import Loop
    from pyinit.sources import Sources

BACKLOG = 64
# What serves clients, each behind those that it needs.
MODULES = (
    "pyinit.control.protocol",
    "pyinit.control.children",
    "pyinit.control.steps",
    "pyinit.control.tree",
    "pyinit.control.answers",
    "pyinit.notify",
    "pyinit.control.client",
    "pyinit.control.server",
)
_SO_PASSRIGHTS = 83  # since Linux 6.16: whoever tries to send descriptors gets EPERM


class Control:
    """The control socket: an abstract one (unix(7)), which needs no file and is gone when pyinit is.

    Raises OSError where it cannot be had.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # all that an answer can be about
        self,
        launch: Launch,
        machine: Machine | Lives,
        effects: Effects,
        log: Log,
        sources: Sources,
        loop: Loop,
    ) -> None:
        self._launch = launch
        self._machine = machine
        self._effects = effects
        self._log = log
        self._sources = sources
        self._loop = loop
        self._server: Server | None = None
        self._missing = list(MODULES)
        self._rights = True
        self._turns = False
        kind = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        self._socket = _socket.socket(_socket.AF_UNIX, kind)
        try:
            self._socket.setsockopt(_socket.SOL_SOCKET, _SO_PASSRIGHTS, 0)
            self._rights = False
        except OSError:
            pass  # an older kernel: what is sent is closed
        try:
            self._socket.bind(peer.address(posix.getpid()))
            self._socket.listen(BACKLOG)
        except OSError:
            self._socket.close()
            raise
        self.ring = Ring()
        log.keep = self.ring.put
        sources.add(self._socket.fileno(), self._first_client, patient=True)

    def _first_client(self) -> None:
        """Load what serves clients, a module in a turn, because signals wait for that; then hand over to it."""
        try:
            if self._missing:
                __import__(self._missing.pop(0))
                return
            from pyinit.control.answers import Answers
            from pyinit.control.server import Server
            from pyinit.core import actions

            answers = Answers(self._launch, self._machine, self._log, self.ring, self._loop)
            self._server = Server(self._socket, self.ring, answers, self._log, rights=self._rights)
        except Exception as error:  # noqa: BLE001  # no memory, no descriptor, a file gone: the run goes on without it
            self._sources.remove(self._socket.fileno())
            self._socket.close()
            self._log.report("pyinit.degraded", lack(f"{type(error).__name__}: {error}"))
            return
        self._sources.remove(self._socket.fileno())
        self._effects.add({actions.Answer: answers.answered})
        self.go_on()

    def go_on(self) -> None:
        """Serve clients, again where SIGKILL has gone round since, and the run that this was for is over."""
        if self._server is None or self._turns:
            return
        self._turns = True
        self._sources.add(self._server.fd, self._turn, patient=True)
        self._sources.before = self._server.before_wait

    def _turn(self) -> None:
        """Do a piece of work, unless SIGKILL is going round: then nobody is answered any more in this run."""
        if self._server is None:
            return
        if self._machine.killing:
            self._turns = False
            self._sources.remove(self._server.fd)
            self._sources.before = None
            return
        self._server.turn()

    def last_words(self) -> None:
        """Tell those who follow the log how it ended."""
        if self._server is not None:
            self._server.last_words()


def lack(reason: str) -> dict[str, str]:
    """Return the facts of the record that says that there is no control socket."""
    return {"feature": "control socket", "reason": reason, "effect": "pyinitctl gets no answer (--no-control)"}


def why_not(error: OSError) -> str:
    """Say why the socket cannot be had."""
    if error.errno == EADDRINUSE:
        return "somebody else has taken its name"
    return error.strerror or str(error)
