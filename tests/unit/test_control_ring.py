"""The last records, kept for who comes late."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pyinit.control.ring import Ring


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), max_size=60), st.integers(0, 70), st.integers(0, 100))
def test_against_a_list(sizes: list[int], number: int, piece: int) -> None:
    """It holds the newest that fit, by count and by size, and says how many older ones are lost."""
    heard: list[int] = []
    ring = Ring(10, 200)
    ring.heard = lambda: heard.append(ring.end)
    everything = [bytes([at]) * size for at, size in enumerate(sizes)]
    for line in everything:
        ring.put(line)
    kept = everything
    while len(kept) > 10 or sum(map(len, kept)) > 200:
        kept = kept[1:]
    assert ring.end == len(everything)
    assert ring.first == len(everything) - len(kept)
    assert heard == list(range(1, len(everything) + 1))
    number = min(number, ring.end)
    lines, lost = ring.since(number, piece)
    assert lost == max(0, ring.first - number)
    at = number + lost
    assert lines == everything[at : at + len(lines)]
    if at < ring.end:
        assert lines, "at least one"
        assert sum(map(len, lines[:-1])) < piece or len(lines) == 1


def test_a_record_that_is_too_long_for_it() -> None:
    """What has no room at all is counted and not kept."""
    ring = Ring(10, 5)
    ring.put(b"abc")
    ring.put(b"0123456789")
    assert (ring.first, ring.end) == (2, 2)
    assert ring.since(0, 100) == ([], 2)
