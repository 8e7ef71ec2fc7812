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
# Behind a signal it works for this part of the time that the signal took before another breaks it off.
SHARE = 5


def pieces(steps: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what the steps make in pieces; an empty one: the loop is to go round first.

    A signal waits for the rest of one step, and for nothing else; where they come so fast that the next one is there
    already, a sixth of the time goes into the answer. However many there are, each turn makes a step, or sends a piece.
    """
    made: list[bytes] = []
    size = 0
    owed = 0.0
    until = time.monotonic() + TURN_S
    for step in steps:
        if step:
            made.append(step)
            size += len(step)
        now = time.monotonic()
        waits = now >= owed and kernel.signals_wait()
        if waits or now >= until:
            yield b""
            back = time.monotonic()
            owed = back + (back - now) / SHARE if waits else 0.0
            until = back + TURN_S
        if size >= PIECE:
            yield b"".join(made)
            made.clear()
            size = 0
            until = time.monotonic() + TURN_S
    yield b"".join(made)
