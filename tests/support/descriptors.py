"""Which descriptors this process has open: for tests that nothing stays open."""

from __future__ import annotations

import contextlib
import gc
from pathlib import Path


def descriptors() -> set[tuple[str, str]]:
    """Return the open descriptors, each with what it is open on.

    What earlier tests have left in cycles is closed first. Compare with `descriptors() - before`, not for equality:
    what is still held elsewhere, by a traceback say, may close at any moment.
    """
    gc.collect()
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            found.add((entry.name, str(entry.readlink())))
    return found
