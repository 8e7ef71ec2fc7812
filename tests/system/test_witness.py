"""The witness itself: it sees every process below another one, and how each ended, without asking anybody there."""

from __future__ import annotations

import subprocess

import pytest

from support import procs, witness
from support.needs import cannot
from support.programs import program
from support.run import plain_environment


@pytest.mark.invariant(1)
def test_sees_every_end_with_its_status() -> None:
    """Five children end as zombies of their parent: the witness has each, its parent and its wait status."""
    if not witness.available():
        cannot("the kernel's proc connector cannot be asked (root in the first PID namespace)")
    watching = witness.Witness()
    try:
        process = subprocess.Popen([program("zombies"), "5"], env=plain_environment(), stdin=subprocess.DEVNULL)
        assert process.wait(20) == 0
        seen, status = watching.below(process.pid)
    finally:
        watching.stop()
        procs.reap_orphans()
    assert status == 0
    assert not watching.lost
    assert sorted(one.status or 0 for one in seen) == [number << 8 for number in range(10, 15)]
    assert {one.parent for one in seen} == {process.pid}
    assert len(witness.owed(seen, process.pid)) == 5
