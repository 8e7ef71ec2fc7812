"""The control socket with its clients, in one process: who asks, and what they are answered."""

from __future__ import annotations

import array
import contextlib
import json
import os
import posix
import random
import resource
import socket
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pyinit import kernel
from pyinit.control import answers, listener, peer, protocol, server, tree
from pyinit.core import events
from pyinit.core.lives import Lives
from pyinit.core.machine import Machine
from pyinit.core.model import EXITED, KILLED, RESTART_ALWAYS, RESTART_NO, End, Policy, Process
from pyinit.procfs import Proc
from pyinit.sources import Sources
from support import procs
from support.control import Talk, parse
from unit.log_kept import Kept

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyinit.core.actions import Action


class Place:
    """A pyinit without its loop: the core, the log and the control socket of this process."""

    def __init__(self, **policy: object) -> None:
        self.kept = Kept()
        told = Policy(**policy)  # type: ignore[arg-type]  # the names of Policy
        self.machine = Machine(told) if told.restart == RESTART_NO else Lives(told)
        self.sources = Sources()
        self.done: list[Action] = []
        self._calls: dict[type, Any] = {}
        settings = SimpleNamespace(until="service", grace_s=8.0)
        launch = SimpleNamespace(settings=settings, proc=Proc(os.getpid()), pid1=False)
        effects = SimpleNamespace(add=self._calls.update)
        loop = SimpleNamespace(take=self.take, look_soon=lambda: None, look_for=lambda _: None)
        self.control = listener.Control(
            launch,  # type: ignore[arg-type]  # stand-ins
            self.machine,
            effects,  # type: ignore[arg-type]
            self.kept.log,
            self.sources,
            loop,  # type: ignore[arg-type]
        )
        self.main = Process(os.getpid(), pgid=1, sid=1, name="main", start_ticks=5)
        self.take(events.Started(self.main))

    def take(self, event: events.Event) -> None:
        """Hand an event to the core."""
        for action in self.machine.handle(event, 1.0):
            self.done.append(action)
            if type(action) in self._calls:
                self._calls[type(action)](action, 1.0)

    def turn(self, count: int = 1) -> None:
        """Let the loop go round so often."""
        for _ in range(count):
            self.sources.wait(0)
            self.sources.serve()

    def line(self, talk: Talk, turns: int = 20_000) -> bytes:
        """Let the loop go round until the client has a line."""
        talk.socket.settimeout(0)
        for _ in range(turns):
            with contextlib.suppress(BlockingIOError):
                return talk.line()
            self.turn()
        pytest.fail("no line has come")

    def ask(self, talk: Talk, kind: str, **members: object) -> dict[str, Any]:
        """Send a request, and return its answer."""
        talk.send(json.dumps({"v": 1, "request": kind, **members}).encode() + b"\n")
        return parse(self.line(talk))

    @property
    def clients(self) -> int:
        """How many are connected, as the server sees it."""
        serving = self.control._server
        return 0 if serving is None else len(serving._clients)

    def close(self) -> None:
        """Let go of everything."""
        serving = self.control._server
        if serving is not None:
            for client in list(serving._clients.values()):
                serving._let_go(client)
            serving._poll.close()
            posix.close(serving._spare)
        self.control._socket.close()
        self.sources._poll.close()


@pytest.fixture
def place() -> Iterator[Place]:
    """Open a control socket for this process."""
    there = Place()
    yield there
    there.close()


@pytest.fixture
def restarting() -> Iterator[Place]:
    """Open one where main is started again."""
    there = Place(restart=RESTART_ALWAYS)
    yield there
    there.close()


@pytest.fixture
def old_place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Open one as on a kernel that cannot keep descriptors away (before 6.16)."""
    monkeypatch.setattr(listener, "_SO_PASSRIGHTS", 9999)
    there = Place()
    assert there.control._rights
    yield there
    there.close()


def test_nothing_is_loaded_before_somebody_comes(place: Place) -> None:
    """What serves clients comes with the first of them."""
    assert place.control._server is None
    with Talk(os.getpid()) as talk:
        assert place.ask(talk, "health")["live"] is True
    assert place.control._server is not None


def test_one_connection_asks_many_things(place: Place) -> None:
    """Requests are answered in their order, also those that come in one piece."""
    with Talk(os.getpid()) as talk:
        assert place.ask(talk, "health")["phase"] == "running"
        assert place.ask(talk, "status")["main"]["alive"] is True
        talk.send(b'{"v":1,"request":"health"}\n' * 3 + b'{"v":1,"requ')
        assert [parse(place.line(talk))["ready"] for _ in range(3)] == [True] * 3
        place.turn(5)
        talk.send(b'est":"health"}\n{"v":1,"request":"nonsense"}\n')
        assert parse(place.line(talk))["ok"] is True
        assert parse(place.line(talk))["error"] == protocol.BAD_REQUEST
        assert place.ask(talk, "log-level", level="debug") == {"v": 1, "ok": True, "log_level": "debug"}
        assert place.kept.log.level == "debug"


def test_what_changes_the_run_goes_to_the_core(place: Place) -> None:
    """The core decides, and its answer is what the client is told."""
    with Talk(os.getpid()) as talk:
        assert place.ask(talk, "restart")["error"] == protocol.REFUSED
        assert place.ask(talk, "signal", signal="HUP", target=os.getpid())["reason"].startswith("pyinit itself")
        assert place.ask(talk, "signal", signal="HUP", target=2**31 - 1)["ok"] is False
        assert place.ask(talk, "stop")["phase"] == "stopping"
        assert place.ask(talk, "status")["kill_in_s"] >= 0
        assert place.ask(talk, "reload")["reason"] == "the run is being stopped"


def test_wait(place: Place) -> None:
    """Who waits is answered when it has come, at once where it has, and told when it will not come any more."""
    with Talk(os.getpid()) as talk, Talk(os.getpid()) as other:
        assert place.ask(talk, "wait", until="ready")["ready"] is True, "as far as anybody can tell"
        talk.send(b'{"v":1,"request":"wait","until":"handover"}\n')
        other.send(b'{"v":1,"request":"wait","until":"handover"}\n{"v":1,"request":"health"}\n')
        place.turn(20)
        with pytest.raises(BlockingIOError):
            talk.line()
        place.take(events.Asked("stop", 1, 0))
        assert parse(place.line(talk))["reason"] == "the run is being stopped"
        assert parse(place.line(other))["ok"] is False
        assert parse(place.line(other))["phase"] == "stopping", "what was asked in the meantime comes then"


def test_events(place: Place) -> None:
    """The last records, and with follow those that come; they are lines of the log."""
    place.kept.log.report("log.dropped", {"count": 1})
    with Talk(os.getpid()) as talk, Talk(os.getpid()) as late:
        assert place.ask(talk, "events", follow=True)["records"] == 1
        assert json.loads(place.line(talk))["event.name"] == "log.dropped"
        place.turn(5)
        place.kept.log.report("log.dropped", {"count": 2})
        assert json.loads(place.line(talk))["pyinit.count"] == 2
        assert place.ask(late, "events") == {"v": 1, "ok": True, "records": 2, "missed": 0, "follow": False}
        assert [json.loads(place.line(late))["pyinit.count"] for _ in range(2)] == [1, 2]
        assert place.ask(late, "health")["ok"] is True, "the connection goes on"


def test_a_follower_that_does_not_read_misses_some(place: Place) -> None:
    """It is told how many, and nothing is kept for it beyond the ring."""
    with Talk(os.getpid()) as talk:
        assert place.ask(talk, "events", follow=True)["records"] == 0
        place.turn(5)
        for count in range(1, 3001):
            place.kept.log.report("log.dropped", {"count": count})
            place.turn()
        seen: list[int] = []
        lost = 0
        while not seen or seen[-1] != 3000:
            line = json.loads(place.line(talk))
            if "lost" in line:
                lost += parse(json.dumps(line))["lost"]
            else:
                seen.append(line["pyinit.count"])
        assert lost
        assert len(seen) + lost == 3000
        assert seen == sorted(seen)


def test_last_words(place: Place) -> None:
    """Followers hear how it ended, as far as they take it at once."""
    with Talk(os.getpid()) as talk:
        place.ask(talk, "events", follow=True)
        place.turn(5)
        place.kept.log.report("log.dropped", {"count": 7})
        place.control.last_words()
        assert json.loads(talk.line())["pyinit.count"] == 7


def test_a_line_that_is_too_long(place: Place) -> None:
    """It is refused once it is longer than a request can be, and the connection is closed; no more of it is read."""
    with Talk(os.getpid()) as talk:
        talk.send(b"x" * 100_000)
        assert parse(place.line(talk))["reason"] == "longer than 4096 bytes"
        assert place.line(talk) == b""
    with Talk(os.getpid()) as talk:
        request = b'{"v":1,"request":"health"}'
        talk.send(request.ljust(4096) + b"\n")
        assert parse(place.line(talk))["ok"] is True, "as long as it may be"


def test_the_first_client_waits_for_one_module_in_a_turn(place: Place) -> None:
    """Between any two that serve it the loop goes round, and takes what signals have come."""
    with Talk(os.getpid()) as talk:
        for left in range(len(listener.MODULES), 0, -1):
            assert len(place.control._missing) == left
            place.turn()
        assert place.control._server is None
        place.turn()
        assert place.control._server is not None
        assert place.ask(talk, "health")["ok"] is True


def test_a_module_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is answered then, the log says so once, and the run goes on."""
    monkeypatch.setattr(listener, "MODULES", ("pyinit.control.protocol", "pyinit.control.nowhere"))
    place = Place()
    with Talk(os.getpid()) as talk:
        place.turn(5)
        assert talk.line() == b""
    (told,) = [json.loads(line) for line in place.kept.lines if b"pyinit.degraded" in line]
    assert "ModuleNotFoundError" in told["pyinit.reason"]
    assert not place.sources._calls
    place.close()


def test_a_newcomer_always_has_a_place(place: Place) -> None:
    """When all places are taken the one goes that has been silent longest; who waits for something goes last."""
    with contextlib.ExitStack() as stack:
        follower = stack.enter_context(Talk(os.getpid()))
        place.ask(follower, "events", follow=True)
        silent = []
        for _ in range(200):
            silent.append(stack.enter_context(Talk(os.getpid())))
            place.turn()
        place.turn(20)
        assert place.clients == server.CLIENTS_MAX
        late = stack.enter_context(Talk(os.getpid()))
        assert place.ask(late, "health")["ok"] is True
        place.kept.log.report("log.dropped", {"count": 1})
        assert json.loads(place.line(follower))["pyinit.count"] == 1
        assert place.line(silent[0]) == b"", "it was let go"
    place.turn(100)
    assert place.clients == 0


def test_a_reader_that_stands_still_costs_one_piece(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an answer that nobody takes no more is made than fits; who takes it later gets all of it."""
    rows = [{"pid": pid, "ppid": 1, "pgid": 1, "sid": 1, "name": "x" * 15, "state": "S", "role": "adopted",
             "escaped": ()} for pid in range(1, 4_001)]  # fmt: skip
    made = 0

    def some(_: object) -> Iterator[dict[str, object] | None]:
        nonlocal made
        for row in rows:
            made += 1
            yield None
            yield row

    monkeypatch.setattr(tree.Tree, "rows", some)
    with Talk(os.getpid()) as talk:
        talk.send(b'{"v":1,"request":"status","tree":true}\n')
        place.turn(3_000)
        assert made < len(rows), "the socket has room for less"
        before = made
        place.turn(100)
        assert made == before
        told = parse(place.line(talk, 200_000))
        assert [row["pid"] for row in told["processes"]] == [row["pid"] for row in rows]


def test_a_status_while_signals_keep_coming(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, the answer comes to its end, all of it."""
    asked = 0

    def always() -> bool:
        nonlocal asked
        asked += 1
        return True

    monkeypatch.setattr(kernel, "signals_wait", always)
    with Talk(os.getpid()) as talk:
        told = place.ask(talk, "status", tree=True)
    assert {row["pid"] for row in told["processes"]} >= set(procs.children(os.getpid()))
    assert asked


def test_an_error_in_an_answer(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asked hears of it, the log too, and everything goes on."""

    def fails(*_: object) -> None:
        message = "broken"
        raise RuntimeError(message)

    with Talk(os.getpid()) as talk:
        monkeypatch.setattr(answers.Answers, "_status", fails)
        assert place.ask(talk, "status")["error"] == protocol.FAILED
        talk.send(b'{"v":1,"request":"status","tree":true}\n')
        assert place.line(talk) == b""
    with Talk(os.getpid()) as talk:
        assert place.ask(talk, "health")["ok"] is True
    assert len([line for line in place.kept.lines if b"pyinit.error" in line]) == 2


def test_who_is_not_answered(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another uid is told why it gets no answer; the log says so once."""
    monkeypatch.setattr(peer, "credentials", lambda _: (os.getpid(), 4711))
    for _ in range(3):
        with Talk(os.getpid()) as talk:
            with contextlib.suppress(BrokenPipeError):
                talk.send(b'{"v":1,"request":"stop"}\n')
            answer = parse(place.line(talk))
            assert answer["error"] == protocol.FORBIDDEN
            assert "only uid 0 and uid" in answer["reason"]
            assert place.line(talk) == b""
    assert place.machine.phase == "running"
    assert len([line for line in place.kept.lines if b"control.refused" in line]) == 1
    monkeypatch.setattr(peer, "credentials", lambda _: (0, 0))
    with Talk(os.getpid()) as talk:
        assert "outside of the PID namespace" in parse(place.line(talk))["reason"]


def test_no_descriptor_is_left(place: Place) -> None:
    """Who comes then is turned away, nothing spins, and the next one is served."""
    with Talk(os.getpid()) as talk:
        place.ask(talk, "health")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        extra = Talk(os.getpid())
        lowest = os.dup(0)
        os.close(lowest)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
            place.turn(10)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert extra.line() == b""
        extra.socket.close()
        assert place.ask(talk, "health")["ok"] is True
    with Talk(os.getpid()) as talk:
        assert place.ask(talk, "health")["ok"] is True


def descriptors() -> list[str]:
    """List our own open descriptors."""
    return [path.name for path in Path("/proc/self/fd").iterdir()]


def send_rights(talk: Talk, data: bytes, fds: list[int]) -> None:
    """Send bytes with descriptors."""
    talk.socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])


def test_descriptors_are_not_taken(old_place: Place) -> None:
    """What somebody sends along is closed, and a socket among it does not make us wait (SO_LINGER)."""
    before = len(descriptors())
    with socket.create_server(("127.0.0.1", 0)) as there:
        lingering = socket.create_connection(there.getsockname())
        lingering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
        lingering.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while lingering.send(bytes(1 << 16)):
                pass
        with Talk(os.getpid()) as talk, Talk(os.getpid()) as closing:
            old_place.turn(10)
            send_rights(talk, b'{"v":1,', [lingering.fileno(), 0, 1])
            send_rights(closing, b"x" * 5000, [lingering.fileno()])
            send_rights(closing, b"x" * 100, [lingering.fileno()])
            lingering.close()
            old_place.turn(10)
            talk.send(b'"request":"health"}\n')
            assert parse(old_place.line(talk))["ok"] is True
    old_place.turn(10)
    left = len(descriptors())
    assert left <= before + 2, "the server's own: where it waits, and the spare one"


def test_descriptors_cannot_be_sent(place: Place) -> None:
    """Where the kernel can refuse them it does (SO_PASSRIGHTS, Linux 6.16)."""
    if place.control._rights:
        return  # the test above is the one for this kernel
    with Talk(os.getpid()) as talk, pytest.raises(PermissionError):
        send_rights(talk, b"x", [0])


def test_random_bytes(place: Place) -> None:
    """Whatever comes, in whatever pieces: each line that is answered is an answer, and the next client is served."""
    chance = random.Random(6)
    words = [
        b'{"v":1,"request":"health"}\n',
        b"\n",
        b"{",
        b"\0",
        b"\xff" * 50,
        b'{"v":1,"request":"status"}',
        b"x" * 5000,
    ]
    for _ in range(150):
        with Talk(os.getpid()) as talk:
            for _ in range(chance.randrange(6)):
                data = chance.choice([*words, chance.randbytes(chance.randrange(300))])
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    talk.send(data)
                place.turn(chance.randrange(4))
            talk.socket.shutdown(socket.SHUT_WR)
            while line := place.line(talk):
                parse(line)
    with Talk(os.getpid()) as talk:
        assert place.ask(talk, "health")["ok"] is True
    place.turn(50)
    assert place.clients == 0


def test_killing_ends_it(place: Place) -> None:
    """From SIGKILL on nobody is answered, and nothing spins."""
    with Talk(os.getpid()) as talk:
        place.ask(talk, "health")
        place.take(events.Signalled(15))
        place.machine.handle(events.TimeUp(), 100.0)
        assert place.machine.killing
        talk.send(b'{"v":1,"request":"health"}\n')
        place.turn(3)
        assert place.sources._poll.poll(0) == []


def test_between_two_runs(restarting: Place) -> None:
    """Between two runs pyinit is live, and not ready; the status says when the next begins; who waits goes on."""
    place = restarting
    with Talk(os.getpid()) as talk, Talk(os.getpid()) as other:
        place.take(events.Ended(place.main, End(EXITED, 1)))
        other.send(b'{"v":1,"request":"wait","until":"ready"}\n')
        place.turn(20)
        place.take(events.Settled(childless=True))
        health = place.ask(talk, "health")
        assert [health[key] for key in ("live", "ready", "readiness", "phase")] == [True, False, "no", "waiting"]
        told = place.ask(talk, "status")
        assert (told["phase"], told["restarts"], told["restart_in_s"] >= 0) == ("waiting", 0, True)
        assert place.ask(talk, "restart")["phase"] == "waiting"
        place.take(events.TimeUp())
        place.take(events.Started(place.main))
        assert parse(place.line(other))["ready"] is True
        told = place.ask(talk, "status")
        assert (told["phase"], told["restarts"], told["counts"]["reaped"]) == ("running", 1, 1)
        assert "restart_in_s" not in told


def test_the_next_run_is_told_of_after_killing(restarting: Place) -> None:
    """SIGKILL goes round at the end of a run: from the delay on who asked meanwhile is answered, and who waited."""
    place = restarting
    with Talk(os.getpid()) as talk, Talk(os.getpid()) as other:
        assert place.ask(talk, "restart")["phase"] == "stopping"
        other.send(b'{"v":1,"request":"wait","until":"ready"}\n')
        place.turn(20)
        for action in place.machine.handle(events.TimeUp(), 100.0):
            place.done.append(action)
        assert place.machine.killing
        talk.send(b'{"v":1,"request":"health"}\n')
        place.turn(3)
        assert place.sources._poll.poll(0) == []
        place.take(events.Ended(place.main, End(KILLED, 9)))
        place.take(events.Settled(childless=True))
        place.control.go_on()
        place.control.go_on()  # as it does at the end of each run
        assert parse(place.line(talk))["phase"] == "waiting"
        place.take(events.TimeUp())
        place.take(events.Started(place.main))
        assert parse(place.line(other))["ready"] is True
        assert place.ask(talk, "status")["counts"]["killed"] == 1
        assert place.ask(talk, "stop")["phase"] == "stopping"
        assert place.ask(talk, "wait", until="ready")["reason"] == "the run is being stopped"


def test_the_name_is_taken() -> None:
    """Who comes second cannot have the name."""
    first = Place()
    try:
        with pytest.raises(OSError, match="in use") as caught:
            Place()
        assert listener.why_not(caught.value) == "somebody else has taken its name"
    finally:
        first.close()
