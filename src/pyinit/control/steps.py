"""Makes the pieces of a long answer, step by step, and breaks off between two steps as soon as a signal waits."""

from __future__ import annotations

import time

from pyinit import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# What has come together is sent when it has so many bytes: to send it, and to wake its reader, takes as long as a step.
PIECE = 1 << 14
# After so much work the loop goes round, whatever there is (seconds): ends, deadlines and other clients wait, too.
TURN_S = 0.001


def pieces(steps: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what the steps make in pieces; an empty one: the loop is to go round first.

    A signal that comes waits for the rest of one step, and for nothing else. However many come, each turn makes a step,
    or sends a piece that is ready.
    """
    made: list[bytes] = []
    size = 0
    until = time.monotonic() + TURN_S
    for step in steps:
        if step:
            made.append(step)
            size += len(step)
        waits = kernel.signals_wait()
        if waits or time.monotonic() >= until:
            yield b""
            until = time.monotonic() + TURN_S
        if size >= PIECE:
            yield b"".join(made)
            made.clear()
            size = 0
            until = time.monotonic() + TURN_S
    yield b"".join(made)
