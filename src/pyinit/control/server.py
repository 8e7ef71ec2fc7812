"""Serves the clients of the control socket: a bounded number of them, each a bounded piece of work at a time.

Imported when the first client comes.
"""

from __future__ import annotations

import _socket
import posix
import select

from pyinit.control import peer, protocol
from pyinit.control.answers import Answers, refusal
from pyinit.control.client import NOT_NOW, Client, close, receive, send
from pyinit.control.protocol import RequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.control.ring import Ring
    from pyinit.log import Log

# So many clients are served at a time.
CLIENTS_MAX = 16
# Each refused uid is told once, and so many of them.
TOLD_MAX = 32
_GONE = select.EPOLLHUP | select.EPOLLERR
_WAITS = 0  # epoll_ctl(2): hang-ups are told all the same


class Server:
    """Serves clients.

    All of them wait in a place of their own, which the loop watches as one source: whatever they do, one of them has
    one piece of work done, then signals and deadlines are looked at again. The kernel takes them in turn (epoll(7)).

    Attributes:
        fd: becomes readable when there is something to do.
    """

    def __init__(self, listener: _socket.socket, ring: Ring, answers: Answers, log: Log, *, rights: bool) -> None:
        self._listener = listener
        self._answers = answers
        self._log = log
        self._rights = rights
        self._clients: dict[int, Client] = {}
        self._moment = 0
        self._told: set[int] = set()
        self._poll = select.epoll()
        self.fd = self._poll.fileno()
        self._poll.register(listener.fileno(), select.EPOLLIN)
        # Given up for the moment in which a client is turned away when no other descriptor is left.
        self._spare = posix.open("/", posix.O_PATH | posix.O_CLOEXEC)
        ring.heard = self._wake_followers

    def turn(self) -> None:
        """Do one piece of work for one of those who are ready."""
        for fd, happened in self._poll.poll(0, 1):
            client = self._clients.get(fd)
            if client is None:
                self._accept()
            elif happened & _GONE and (client.busy or not happened & select.EPOLLIN):
                self._let_go(client)
            elif happened & select.EPOLLIN and not client.busy:
                self._read(client)
            else:
                self._go_on(client)

    def before_wait(self) -> None:
        """Wake those who wait for what has happened by now."""
        for client in list(self._clients.values()):
            if client.waits and client.until and self._answers.waits_for(client.until) is not None:
                self._wake(client)

    def last_words(self) -> None:
        """Tell followers the end of the log, as far as they take it at once, and who waits that it is in vain."""
        for client in list(self._clients.values()):
            for _ in range(TOLD_MAX):
                if client.out or client.job is None or not self._go_on(client):
                    break

    # -- who comes ----------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            fd, _ = self._listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001  # what socket.accept calls
        except OSError as error:
            if error.errno not in NOT_NOW:
                self._turn_away()
            return
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, fd)
        sock.setblocking(False)  # noqa: FBT003  # it takes no keyword
        try:
            pid, uid = peer.credentials(sock)
        except OSError:
            close(sock, rights=self._rights)
            return
        reason = peer.objection(pid, uid)
        if reason:
            self._refuse(sock, pid, uid, reason)
            return
        if len(self._clients) >= CLIENTS_MAX:
            self._let_go(min(self._clients.values(), key=lambda client: (client.busy, client.seen)))
        self._moment += 1
        self._clients[fd] = Client(sock, pid, uid, self._moment)
        self._poll.register(fd, select.EPOLLIN)

    def _turn_away(self) -> None:
        """Take a client off the queue when there is no descriptor for it (EMFILE, ENFILE): else it stays there."""
        posix.close(self._spare)
        try:
            fd, _ = self._listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001
            posix.close(fd)
        except OSError:
            pass  # somebody else has taken the place, or the client has gone
        try:
            self._spare = posix.open("/", posix.O_PATH | posix.O_CLOEXEC)
        except OSError:
            self._poll.unregister(self._listener.fileno())
            facts = {
                "feature": "control socket",
                "reason": "no descriptor is left",
                "effect": "pyinitctl gets no answer any more",
            }
            self._log.report("pyinit.degraded", facts)

    def _refuse(self, sock: _socket.socket, pid: int, uid: int, reason: str) -> None:
        if uid not in self._told and len(self._told) < TOLD_MAX:
            self._told.add(uid)
            self._log.report("control.refused", {"sender_pid": pid, "sender_uid": uid, "reason": reason})
        send(sock, refusal(protocol.FORBIDDEN, reason))
        close(sock, rights=self._rights)

    # -- one client ---------------------------------------------------------------------------------------------

    def _read(self, client: Client) -> None:
        """Take what has come, once, and begin the answer if that is a whole request."""
        data = receive(client.sock, protocol.LONGEST + 1 - len(client.data), rights=self._rights)
        if data is None:
            return
        if not data:
            self._let_go(client)
            return
        self._heard(client)
        client.data += data
        self._begin(client)

    def _begin(self, client: Client) -> None:
        """Begin to answer the next request that has come whole; say so where it is too long."""
        text, newline, rest = client.data.partition(b"\n")
        if not newline and len(text) <= protocol.LONGEST:
            self._watch(client, select.EPOLLIN)
            return
        if not newline:
            client.data, client.last = b"", True
            client.out = refusal(protocol.BAD_REQUEST, f"longer than {protocol.LONGEST} bytes")
        else:
            client.data = rest
            self._answer(client, text)
        self._go_on(client)

    def _answer(self, client: Client, text: bytes) -> None:
        try:
            request = protocol.parse(text)
            answer = self._answers.answer(request, client.pid, client.uid)
        except RequestError as error:
            answer = refusal(error.code, error.message)
        except Exception as error:  # noqa: BLE001  # who asked is to hear it, and the log
            self._log.report("pyinit.error", {"where": "control", "error": f"{type(error).__name__}: {error}"})
            answer = refusal(protocol.FAILED, f"{type(error).__name__}: {error}")
        else:
            client.until = request.until
        if isinstance(answer, bytes):
            client.out = answer
        else:
            client.job = answer

    def _go_on(self, client: Client) -> bool:
        """Send what there is, or make the next piece and send that; False when nothing has come of it."""
        if not client.out and client.job is None:
            if client.data:
                self._begin(client)
            return False
        client.waits = False
        if not client.out and client.job is not None and not self._make(client):
            return False
        sent = send(client.sock, client.out)
        if sent is None:
            self._let_go(client)
            return False
        if sent:
            self._heard(client)
            client.out = client.out[sent:]
        if client.last and not client.out:
            self._let_go(client)
            return False
        more = client.out or client.job is not None or b"\n" in client.data
        self._watch(client, select.EPOLLOUT if more else select.EPOLLIN)
        return True

    def _make(self, client: Client) -> bool:
        """Make the next piece of an answer; False when there is none to send now."""
        job = client.job
        if job is None:
            return False
        try:
            piece = next(job)
        except StopIteration:
            client.job, client.until = None, ""
            return True
        except Exception as error:  # noqa: BLE001  # the answer is broken off in the middle, and pyinit goes on
            self._log.report("pyinit.error", {"where": "control", "error": f"{type(error).__name__}: {error}"})
            self._let_go(client)
            return False
        if piece is None:
            client.waits = True
            self._watch(client, _WAITS)
            return False
        client.out = piece
        return True

    def _heard(self, client: Client) -> None:
        self._moment += 1
        client.seen = self._moment

    def _wake(self, client: Client) -> None:
        self._watch(client, select.EPOLLOUT)

    def _wake_followers(self) -> None:
        """Have the new record sent to those who follow the log."""
        for client in self._clients.values():
            if client.waits and not client.until:
                self._watch(client, select.EPOLLOUT)

    def _watch(self, client: Client, mask: int) -> None:
        if client.mask != mask:
            client.mask = mask
            self._poll.modify(client.sock.fileno(), mask)

    def _let_go(self, client: Client) -> None:
        fd = client.sock.fileno()
        del self._clients[fd]
        self._poll.unregister(fd)
        if client.job is not None:
            client.job.close()  # type: ignore[attr-defined]  # a generator
        close(client.sock, rights=self._rights)
