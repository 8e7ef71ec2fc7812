"""Hostile clients of the control socket: the run goes on, memory is flat, signals are forwarded at once."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import procs
from support.control import Talk, address, command, ctl
from support.programs import program
from support.run import FORWARDED, STARTED, SUBREAPER

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.run import Run

    Start = Callable[..., Run]

pytestmark = [pytest.mark.modes(SUBREAPER), pytest.mark.invariant(6)]
# What serving costs for good, once: modules that are loaded and buffers; and not with each client.
GROWTH_KIB = 3072


def memory_kib(run: Run) -> int:
    """Return pyinit's own resident memory."""
    return int(procs.status_field(run.pid, "VmRSS").split()[0])


def started(pyinit: Start) -> Run:
    """Start a service, and ask it once, so that all is loaded."""
    run = pyinit(program("serve"), "0")
    run.out.wait("ready")
    run.wait_for(STARTED)
    assert ctl(run, "status").status == 0
    return run


def still_there(run: Run, before_kib: int) -> None:
    """Check that a signal is forwarded, a client is answered, and memory is what it was."""
    count = len(run.of(FORWARDED))
    run.signal(signal.SIGUSR1)
    run.wait_for(FORWARDED, count + 1)
    assert ctl(run, "health").status == 0
    assert memory_kib(run) - before_kib < GROWTH_KIB
    assert not run.of("pyinit.error")


def test_a_thousand_connections(pyinit: Start) -> None:
    """A thousand at once that say nothing, or half of something; the others are served meanwhile."""
    run = started(pyinit)
    before = memory_kib(run)
    with contextlib.ExitStack() as stack:
        for number in range(1000):
            talk = stack.enter_context(Talk(run.pid))
            if number % 2:
                with contextlib.suppress(BrokenPipeError):
                    talk.send(b'{"v":1,"request":"sta')
            if number % 200 == 0:
                still_there(run, before)
        descriptors = len(list(Path(f"/proc/{run.pid}/fd").iterdir()))
        assert descriptors < 40
        still_there(run, before)
    run.stop()


def test_a_gigabyte_in_one_line(pyinit: Start) -> None:
    """Whoever sends more than a request can be is cut off; none of it is kept."""
    run = started(pyinit)
    before = memory_kib(run)
    piece = b"x" * (1 << 20)
    sent = 0
    with Talk(run.pid) as talk, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for _ in range(1024):
            talk.send(piece)
            sent += len(piece)
    assert sent < 1 << 30, "it was cut off"
    still_there(run, before)
    run.stop()


def test_readers_that_stand_still(pyinit: Start) -> None:
    """Clients that ask for everything and read nothing cost a bounded amount, however often they ask."""
    run = started(pyinit)
    before = memory_kib(run)
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            talk = stack.enter_context(Talk(run.pid))
            talk.socket.settimeout(0)
            with contextlib.suppress(OSError):
                for _ in range(2000):
                    talk.send(b'{"v":1,"request":"status","tree":true}\n{"v":1,"request":"events"}\n')
        still_there(run, before)
    run.stop()


def test_random_bytes(pyinit: Start) -> None:
    """Random bytes in random pieces from several at once."""
    run = started(pyinit)
    before = memory_kib(run)
    chance = random.Random(61)
    for _ in range(200):
        with Talk(run.pid) as talk, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(chance.randrange(1, 5)):
                talk.send(chance.choice([b"\n", b"{", b'{"v":1,"request":"status"}\n']) + chance.randbytes(700))
    still_there(run, before)
    run.stop()


def test_killed_in_the_middle(pyinit: Start) -> None:
    """Clients that die of SIGKILL while they are answered leave nothing behind."""
    run = started(pyinit)
    before = memory_kib(run)
    for words in (["status", "--watch"], ["events", "--follow"], ["wait", "--handover"]):
        for _ in range(5):
            client = subprocess.Popen(
                [command(), "--pid", str(run.pid), *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            assert client.stdout is not None
            if words[0] != "wait":
                client.stdout.read(1)
            client.kill()
            client.wait()
            client.stdout.close()
    still_there(run, before)
    run.stop()


def test_strangers_in_a_crowd(pyinit: Start) -> None:
    """Clients of another uid that connect without end neither get in nor keep those out who may."""
    run = started(pyinit)
    before = memory_kib(run)
    flood = f"""
import os, socket
os.setgroups([]); os.setgid(4711); os.setuid(4711)
print("floods", flush=True)
while True:
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect({address(run.pid)!r})
        s.send(b"x" * 9000)
    except OSError:
        pass
    s.close()
"""
    with subprocess.Popen([sys.executable, "-c", flood], stdout=subprocess.PIPE) as strangers:
        assert strangers.stdout is not None
        try:
            strangers.stdout.readline()
            for _ in range(5):
                still_there(run, before)
        finally:
            strangers.kill()
    run.stop()
    assert len(run.of("control.refused")) == 1


@pytest.mark.alone("it measures hundredths of a second")
def test_signals_are_not_late(pyinit: Start) -> None:
    """While status after status of a large tree is made, a signal is on its way within hundredths of a second.

    The bound is generous, for machines that are busy with something else; the benchmark has the true one.
    """
    script = f"{program('many')} 700 term & exec {program('serve')} 0"
    run = pyinit("/bin/sh", "-c", script, log_options=["--log-format", "json"], quiet=True)
    run.wait_for(STARTED)
    run.out.wait("ready", 2)
    over = threading.Event()
    told: list[int] = []

    def ask() -> None:
        while not over.is_set():
            with Talk(run.pid) as talk:
                talk.send(b'{"v":1,"request":"status","tree":true}\n')
                told.append(talk.line().count(b'"role":'))

    clients = [threading.Thread(target=ask) for _ in range(3)]
    for client in clients:
        client.start()
    late = []
    for number in range(1, 21):
        begun = time.monotonic()
        run.signal(signal.SIGWINCH)
        run.out.wait(f"got {signal.SIGWINCH:d}", number)
        late.append(time.monotonic() - begun)
    over.set()
    for client in clients:
        client.join()
    assert set(told) == {702}
    assert sorted(late)[len(late) // 2] < 0.1
    run.stop()
