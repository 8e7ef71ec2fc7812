"""The messages of sd_notify(3): whatever is sent, something sensible or nothing comes of it."""

from __future__ import annotations

import _socket
import contextlib
import os
import resource
import select
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyinit
from pyinit import notify
from pyinit.notify import Inbox, Outbox, parse
from support.descriptors import descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = str(Path(pyinit.__file__).parent.parent)

SAY = """
import os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
    sender.sendto(b"MAINPID=%d" % os.getpid(), sys.argv[1].replace("@", chr(0)))
print(os.getpid())
"""

IMPORTS = """
import sys
sys.path.insert(0, sys.argv[1])
from pyinit.notify import Inbox, Outbox
assert "_socket" not in sys.modules
inbox = Inbox()
print(Outbox(inbox.address).send({"READY": "1"}), inbox.receive()[0].fields)
print(*sys.modules)
"""


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """Yield an inbox."""
    opened = Inbox()
    yield opened
    opened.close()


@pytest.fixture
def sender(inbox: Inbox) -> Iterator[socket.socket]:
    """Yield a socket that is connected to the inbox, and does not wait."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as opened:
        opened.connect(b"\0" + inbox.address[1:])
        yield opened


@contextlib.contextmanager
def receiver(name: bytes) -> Iterator[socket.socket]:
    """Yield a service manager's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as opened:
        opened.bind(name)
        yield opened


def fields_of(inbox: Inbox) -> list[dict[str, str]]:
    """Return the fields of the messages that are waiting."""
    return [message.fields for message in inbox.receive()]


def has_hung_up(fd: int) -> bool:
    """Say whether the other end of a pipe has been closed by everybody."""
    poll = select.poll()
    poll.register(fd, 0)
    return bool(poll.poll(0))


# -- parsing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (b"READY=1", {"READY": "1"}),
        (b"READY=1\n", {"READY": "1"}),
        (b"READY=1\0", {"READY": "1"}),
        (b"READY=1\nSTATUS=Up, and = so\nMAINPID=77", {"READY": "1", "STATUS": "Up, and = so", "MAINPID": "77"}),
        (b"STATUS=", {"STATUS": ""}),
        (b"X_MINE_2=a", {"X_MINE_2": "a"}),
        ("STATUS=\u00fc".encode(), {"STATUS": "\u00fc"}),
        (b"STATUS=\xff\xfe", {"STATUS": r"\xff\xfe"}),
        (b"MAINPID=1\nMAINPID=2", {"MAINPID": "1"}),
        (b"BARRIER=1", {"BARRIER": "1"}),
        (b"READY=1\nBARRIER=1", {}),
        (b"", {}),
        (b"\n\n=\n=x\nREADY\n READY=1\nRE ADY=1\n\xffREADY=1\n\xc3\x84=1\n_=1", {}),
        (b"A\0B=1\nSTATUS=a\0b\nERRNO=2", {"ERRNO": "2"}),
        (b"N" * 65 + b"=1\nERRNO=2", {"ERRNO": "2"}),
    ],
)
def test_parse(data: bytes, fields: dict[str, str]) -> None:
    """Assignments are taken, and other lines are left out without harm to the rest."""
    assert parse(data) == fields


LINES = st.one_of(
    st.binary(max_size=80),
    st.tuples(st.sampled_from([b"READY", b"STATUS", b"MAINPID", b"BARRIER", b"\xff"]), st.binary(max_size=40)).map(
        b"=".join
    ),
)


@given(st.lists(LINES).map(b"\n".join))
def test_parse_takes_anything(data: bytes) -> None:
    """No bytes raise, and what is taken can be written, logged and sent on."""
    for name, value in parse(data).items():
        assert name.replace("_", "a").isalnum()
        assert name.isascii()
        assert "\n" not in value
        assert "\0" not in value
        assert len(value.encode()) <= 4 * len(data)


@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z_]{0,20}", fullmatch=True), st.text(max_size=50), max_size=8))
def test_what_is_sent_is_what_is_received(fields: dict[str, str]) -> None:
    """What an outbox sends an inbox takes in, but for line breaks and bytes 0."""
    inbox = Inbox()
    try:
        assert Outbox(inbox.address).send(fields) is None
        lines = {name: value.replace("\n", " ") for name, value in fields.items()}
        *_, last = [None, *lines]
        if last is not None:
            lines[last] = lines[last].rstrip("\0")
        expected = {
            name: value.encode("utf-8", "backslashreplace").decode()
            for name, value in lines.items()
            if "\0" not in value
        }
        if "BARRIER" in expected and len(expected) > 1:
            expected = {}
        assert fields_of(inbox) == ([expected] if expected else [])
    finally:
        inbox.close()


# -- the inbox --------------------------------------------------------------------------------------------------


def test_address(inbox: Inbox) -> None:
    """The address is one for NOTIFY_SOCKET; the descriptor is not inherited, and not blocking."""
    assert inbox.address.startswith(b"@")
    assert len(inbox.address) > 1
    assert b"\0" not in inbox.address
    assert not os.get_inheritable(inbox.fd)
    assert not os.get_blocking(inbox.fd)
    assert inbox.receive() == []


def test_sender_is_known(inbox: Inbox) -> None:
    """The kernel says who sent a message, also when the sender has gone."""
    command = [sys.executable, "-c", SAY, inbox.address.decode()]
    pid = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    (message,) = inbox.receive()
    assert (message.pid, message.uid, message.fields) == (pid, os.getuid(), {"MAINPID": str(pid)})


def test_messages_come_in_order(inbox: Inbox, sender: socket.socket) -> None:
    """One datagram is one message, and they come as they were sent."""
    sender.send(b"READY=1")
    sender.send(b"junk")
    sender.send(b"")
    sender.send(b"STATUS=a\nERRNO=2")
    assert fields_of(inbox) == [{"READY": "1"}, {"STATUS": "a", "ERRNO": "2"}]
    assert fields_of(inbox) == []


def test_a_flood_is_taken_in_by_parts(inbox: Inbox, monkeypatch: pytest.MonkeyPatch, sender: socket.socket) -> None:
    """One call takes in so many datagrams at most, whatever they hold."""
    monkeypatch.setattr(notify, "BATCH", 3)
    for data in (b"A=1", b"junk", b"A=2", b"A=3"):
        sender.send(data)
    assert fields_of(inbox) == [{"A": "1"}, {"A": "2"}]
    assert fields_of(inbox) == [{"A": "3"}]


def test_long_messages(inbox: Inbox, sender: socket.socket) -> None:
    """4096 bytes are taken; one more, and the message is dropped, and what it brought is closed."""
    sender.send(b"STATUS=" + b"x" * 4089)
    (fields,) = fields_of(inbox)
    assert len(fields["STATUS"]) == 4089
    ours, theirs = os.pipe()
    socket.send_fds(sender, [b"READY=1\nSTATUS=" + b"x" * 4082], [theirs])
    os.close(theirs)
    assert fields_of(inbox) == []
    assert has_hung_up(ours)
    os.close(ours)


@pytest.mark.parametrize("count", [1, 2, 253])
def test_descriptors_are_closed(inbox: Inbox, sender: socket.socket, count: int) -> None:
    """No descriptor that is sent stays, however many (FDSTORE=1, BARRIER=1 with too many)."""
    before = descriptors()
    with Path("/dev/null").open("rb") as null:
        socket.send_fds(sender, [b"FDSTORE=1"], [null.fileno()] * count)
    assert fields_of(inbox) == [{"FDSTORE": "1"}]
    assert not descriptors() - before


def test_descriptors_with_nothing_said(inbox: Inbox, sender: socket.socket) -> None:
    """An empty datagram with a descriptor is no message, and the descriptor is closed."""
    ours, theirs = os.pipe()
    socket.send_fds(sender, [b""], [theirs])
    os.close(theirs)
    assert fields_of(inbox) == []
    assert has_hung_up(ours)
    os.close(ours)


@pytest.mark.parametrize("left", [0, 1, 3])
def test_no_number_left_for_descriptors(inbox: Inbox, sender: socket.socket, left: int) -> None:
    """Where we have no number left (EMFILE), descriptors are closed all the same, and the message is heard."""
    ours, theirs = os.pipe()
    socket.send_fds(sender, [b"READY=1"], [theirs] * 100)
    before = descriptors()
    os.close(theirs)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + left, hard))
    try:
        (message,) = inbox.receive()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (message.pid, message.fields) == (os.getpid(), {"READY": "1"})
    assert not descriptors() - before
    assert has_hung_up(ours)
    os.close(ours)


@pytest.mark.timeout_s(30)
def test_socket_that_lingers(inbox: Inbox, sender: socket.socket) -> None:
    """Who sends us a socket that waits for its reader when it is closed (SO_LINGER) does not make us wait."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        slow = socket.create_connection(server.getsockname())
        reader, _ = server.accept()
        slow.setblocking(False)  # noqa: FBT003  # the name of the method says it
        with contextlib.suppress(BlockingIOError):
            while True:  # until it is full
                slow.send(bytes(1 << 16))
        slow.setblocking(True)  # noqa: FBT003  # as above; a socket that does not wait does not linger
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1000))
        socket.send_fds(sender, [b"FDSTORE=1"], [slow.fileno()])
        slow.close()
        assert fields_of(inbox) == [{"FDSTORE": "1"}]
        reader.close()


def test_barrier(inbox: Inbox, sender: socket.socket) -> None:
    """A barrier falls when what was sent before it has been dealt with: with the next call, and not before."""
    ours, theirs = os.pipe()
    sender.send(b"READY=1")
    socket.send_fds(sender, [b"BARRIER=1"], [theirs])
    sender.send(b"STATUS=after")
    os.close(theirs)
    assert fields_of(inbox) == [{"READY": "1"}]
    assert not has_hung_up(ours)
    assert select.select([inbox.fd], [], [], 0)[0], "the loop has a reason to call again"
    assert fields_of(inbox) == [{"STATUS": "after"}]
    assert has_hung_up(ours)
    os.close(ours)


def test_no_address_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the socket gets no name, that is an OSError, and nothing stays open."""

    class Nameless(_socket.socket):
        def bind(self, _: object, /) -> None:
            raise OSError(28, "no name is free")

    before = descriptors()
    monkeypatch.setattr(_socket, "socket", Nameless)
    with pytest.raises(OSError, match="no name is free"):
        Inbox()
    assert not descriptors() - before


def test_closed(inbox: Inbox) -> None:
    """A closed inbox has nothing, and raises nothing."""
    inbox.close()
    assert inbox.receive() == []


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_inbox_takes_anything(datagrams: list[bytes]) -> None:
    """Whatever is sent, each datagram with an assignment is a message, and none is left."""
    inbox = Inbox()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            for data in datagrams:
                sender.sendto(data, b"\0" + inbox.address[1:])
        assert fields_of(inbox) + fields_of(inbox) == [fields for data in datagrams if (fields := parse(data))]
    finally:
        inbox.close()


# -- the outbox -------------------------------------------------------------------------------------------------


def test_send_to_an_abstract_name() -> None:
    """`@name` is the abstract socket of that name."""
    name = b"\0pyinit-test-%d" % os.getpid()
    with receiver(name) as manager:
        assert Outbox(b"@" + name[1:]).send({"READY": "1", "STATUS": "a\nb"}) is None
        assert manager.recv(100) == b"READY=1\nSTATUS=a b"


def test_send_to_a_path(tmp_path: Path) -> None:
    """`/path` is the socket there; a name in any bytes is one."""
    name = os.fsencode(tmp_path) + b"/\xffnotify"
    with receiver(name) as manager:
        assert Outbox(name).send({"STATUS": "\udcff\u00fc"}) is None
        assert manager.recv(100) == "STATUS=\\udcff\u00fc".encode()


def test_longest_addresses(tmp_path: Path) -> None:
    """An address is used up to the length that the kernel takes, and refused above it."""
    start = os.fsencode(tmp_path) + b"/"
    path = start + b"x" * (107 - len(start))
    for name in (path, b"\0" + b"y" * 107):
        address = name.replace(b"\0", b"@")
        with receiver(name) as manager:
            assert Outbox(address).send({"A": "1"}) is None
            assert manager.recv(100) == b"A=1"
        reason = Outbox(address + b"z").send({"A": "1"})
        assert reason == f"is too long for a socket's address ({len(address) + 1} bytes)"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (b"vsock:2:1234", "is a vsock address"),
        (b"vsock-stream:2:1234", "is a vsock address"),
        (b"", "is neither a path nor"),
        (b"@", "is neither a path nor"),
        (b"/", "is neither a path nor"),
        (b"run/notify", "is neither a path nor"),
        (b"/run/a\0b", "holds a byte 0"),
        (b"/nowhere/notify", "cannot be reached (ENOENT)"),
        (b"@pyinit-nobody", "cannot be reached (ECONNREFUSED)"),
        (b"/dev/null", "cannot be reached (ECONNREFUSED)"),
    ],
)
def test_addresses_that_lead_nowhere(address: bytes, reason: str) -> None:
    """An address that nothing can be sent to is told by its reason."""
    said = Outbox(address).send({"READY": "1"})
    assert said is not None
    assert said.startswith(reason)


def test_manager_that_does_not_read() -> None:
    """A full queue is a reason, and nobody waits."""
    name = b"\0pyinit-test-full-%d" % os.getpid()
    with receiver(name) as manager:
        outbox = Outbox(b"@" + name[1:])
        while (reason := outbox.send({"STATUS": "x"})) is None:
            pass
        assert reason == "does not keep up (EAGAIN)"
        manager.recv(100)
        assert outbox.send({"STATUS": "x"}) is None


def test_message_that_is_too_long() -> None:
    """What the manager would not read is not sent."""
    assert Outbox(b"@x").send({"STATUS": "x" * 4090}) == "takes messages of 4096 bytes, not of 4097"


def test_no_descriptor_is_kept() -> None:
    """Sending leaves nothing open, whatever comes of it."""
    before = descriptors()
    for address in (b"@pyinit-nobody", b"/nowhere", b"vsock:1:1"):
        Outbox(address).send({"READY": "1"})
    assert not descriptors() - before


def test_imports() -> None:
    """The socket module of the standard library is not loaded, and the one below it only when it is needed."""
    run = subprocess.run([sys.executable, "-IS", "-c", IMPORTS, SOURCE], check=True, capture_output=True, text=True)
    said, modules = run.stdout.splitlines()
    assert said == "None {'READY': '1'}"
    assert not {"socket", "selectors", "enum", "struct"} & set(modules.split())
