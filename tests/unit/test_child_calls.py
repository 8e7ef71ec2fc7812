"""System calls that the C library has no function for: their numbers."""

from __future__ import annotations

import pytest

from pyinit.child.calls import number_of_ioprio_set


@pytest.mark.parametrize(
    ("machine", "wide", "number"),
    [
        ("x86_64", True, 251),
        ("x86_64", False, 289),
        ("i386", False, 289),
        ("i686", False, 289),
        ("aarch64", True, 30),
        ("aarch64", False, 314),
        ("armv7l", False, 314),
        ("armv8l", False, 314),
        ("i686", True, 251),
        ("i486", False, 289),
        ("armv8l", True, 30),
        ("ppc", True, 273),
        ("ppc", False, 273),
        ("ppcle", True, 273),
        ("s390", True, 282),
        ("ppc64le", True, 273),
        ("s390x", True, 282),
        ("riscv64", True, 30),
        ("loongarch64", True, 30),
    ],
)
def test_ioprio_set(machine: str, number: int, *, wide: bool) -> None:
    """It depends on the machine and on how wide the program is, which need not be as wide as the kernel."""
    assert number_of_ioprio_set(machine, wide=wide) == number
