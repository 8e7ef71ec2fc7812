"""Random hostile process trees, as hypothesis thinks them up; after each an independent witness says what is true.

What is played: tests/programs/tree.c. How a run goes: support/trees.py. What must be true: support/tree_oracle.py.

Each run of the tests plays some hundreds of them, in CI always the same. `make soak` plays PYINIT_SOAK of them, chosen
by PYINIT_SOAK_SEED; there a tree that fails is written to a file, and PYINIT_TREE=FILE plays that one alone, again and
again.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from support import run as runs
from support import trees, witness
from support.needs import IN_CI, cannot

SOAK = int(os.environ.get("PYINIT_SOAK") or 0)
SEED = int(os.environ.get("PYINIT_SOAK_SEED") or 0)
AGAIN = os.environ.get("PYINIT_TREE")
FAILURES = Path(os.environ.get("PYINIT_SOAK_FAILURES") or "build/soak")

MODES = (runs.SUBREAPER, runs.PID1, runs.PLAIN_USER)
TREES_IN_A_TEST = 120
TREES_IN_A_BLOCK = 500
BLOCKS = max(1, -(-SOAK // (TREES_IN_A_BLOCK * len(MODES))))
TIMES_AGAIN = 200


@pytest.mark.modes(*MODES)
@pytest.mark.invariant(1)
@pytest.mark.invariant(2)
@pytest.mark.invariant(3)
@pytest.mark.invariant(5)
@pytest.mark.timeout_s(900)
@pytest.mark.alone("it follows each event of a tree, and the kernel drops some where others have thousands")
@pytest.mark.parametrize("block", range(BLOCKS))
def test_random_tree(mode: str, workdir: Path, block: int) -> None:
    """Nobody is left, each end has one record with its true status, and the exit status is that of docs/exit-status.md.

    And who was a successor was one, and a stop began for a reason, and ended in time.
    """
    if not witness.available():
        cannot("the kernel's proc connector cannot be asked (root in the first PID namespace)")
    if reason := runs.why_not(mode):
        cannot(f"mode {mode}: {reason}")
    if AGAIN:
        example = trees.Example.load(Path(AGAIN).read_text())
        for _ in range(TIMES_AGAIN):
            trees.Play(mode, workdir, example)
        return

    def play(example: trees.Example) -> None:
        try:
            trees.Play(mode, workdir, example)
        except AssertionError as error:
            where = keep(example, mode) if SOAK else example.save()
            error.add_note(f"for PYINIT_TREE: {where}")
            raise

    chosen = settings(
        max_examples=TREES_IN_A_BLOCK if SOAK else TREES_IN_A_TEST,
        derandomize=IN_CI and not SOAK,
        deadline=None,
        database=None,
        # A race does not fail each time: to make such an example smaller only says that it was flaky.
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    test = chosen(given(trees.examples())(play))
    if SOAK:
        test = seed(SEED + block)(test)
    test()


def keep(example: trees.Example, mode: str) -> Path:
    """Write an example that failed into a file; return its path."""
    FAILURES.mkdir(parents=True, exist_ok=True)
    path = FAILURES / f"{mode}-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}-{time.monotonic_ns()}.json"
    path.write_text(example.save() + "\n")
    return path
