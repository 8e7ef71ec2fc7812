"""Limits, CPUs, capabilities and the like: any text gives a value that the kernel can be told, or ValueError."""

from __future__ import annotations

import ctypes
import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyinit.child import capabilities, failures, values
from pyinit.child.step import Step
from pyinit.child.values import ALL, RLIMITS, UNLIMITED

PARTS = st.lists(
    st.sampled_from(
        ["NOFILE", "AS", "=", ":", "unlimited", "0", "5", "99999999999999999999", "K", "T", "-", ",", "all"]
    )
).map("".join)


@given(st.text(max_size=30) | PARTS)
def test_any_text(text: str) -> None:
    """No converter raises anything but ValueError with a reason, and what it returns is in bounds."""
    for kind, convert in values.CONVERTERS.items():
        try:
            value = convert(text)
        except ValueError:
            continue
        if kind == "rlimits":
            assert isinstance(value, tuple)
            name, soft, hard = value
            assert name in RLIMITS
            assert all(limit is None or UNLIMITED <= limit < 2**63 for limit in (soft, hard))
            if soft is not None and hard is not None and hard != UNLIMITED:
                assert soft != UNLIMITED
                assert soft <= hard
        if kind == "cpus":
            assert isinstance(value, frozenset)
            assert value
            assert min(value) >= 0


@given(st.sets(st.integers(0, 8191), min_size=1, max_size=50))
def test_any_list_of_cpus(cpus: set[int]) -> None:
    """What a list says is what comes of it."""
    assert values.cpus(",".join(map(str, cpus))) == cpus


def test_the_numbers_of_limits() -> None:
    """Where Python knows a limit, its number is ours on this machine."""
    for name, number in RLIMITS.items():
        assert getattr(resource, f"RLIMIT_{name}", number) == number


def test_all_capabilities_of_this_kernel_have_a_name() -> None:
    """The kernel has no capability above the last one of our table."""
    libc = ctypes.CDLL(None)
    assert libc.prctl(23, len(values.CAPABILITIES) - 1, 0, 0, 0) >= 0, "PR_CAPBSET_READ"
    assert values.capability("CAP_KILL") == values.capability("kill") == 5
    assert values.capability_name(5) == "KILL"
    assert values.capability_name(63) == "63"
    assert values.capability_name(ALL) == "all"


@pytest.mark.parametrize(
    ("keep", "drop", "left"),
    [
        (None, (), {0, 1, 2}),
        (None, (1,), {0, 2}),
        (None, (ALL,), set()),
        ((1,), (), {1}),
        ((1, 2), (ALL,), {1, 2}),
        ((ALL,), (), {0, 1, 2}),
        ((ALL,), (1,), {0, 2}),
        ((ALL, 1), (2,), {0, 1}),
        ((), (), set()),
        ((5,), (), set()),
    ],
)
def test_what_is_left_of_a_set(keep: tuple[int, ...] | None, drop: tuple[int, ...], left: set[int]) -> None:
    """A name says more than `all`; --cap-keep names all that is left, --cap-drop what is not."""
    wanted = capabilities.Capabilities(keep, drop, forget=False)
    assert wanted.kept(0b111) == sum(1 << number for number in left)


@pytest.mark.parametrize(
    ("option", "value", "errno", "says"),
    [
        ("--nice", "-5", 13, "--nice -5: Permission denied (EACCES); only CAP_SYS_NICE"),
        ("PYINIT_NICE", "-5", 13, "PYINIT_NICE -5: Permission denied (EACCES); only CAP_SYS_NICE"),
        ("PYINIT_CPU_AFFINITY", "9", 22, "not all of these CPUs are there"),
        ("--no-new-privs", "", 1, "--no-new-privs: Operation not permitted (EPERM); the kernel"),
        ("--chdir", "/\udcff\n", 2, "--chdir /\\xff\\n: No such file or directory (ENOENT); write a folder"),
        ("--stdin", "null", 9, "(EBADF); write another value, or leave the option out"),
        ("--umask", "0", 99999, "(99999); write another value"),
    ],
)
def test_what_is_told_of_a_step(option: str, value: str, errno: int, says: str) -> None:
    """One printable line: option, value, what the kernel said, its name, and what to do."""
    told = failures.tell(Step(option, value, lambda: None), errno)
    assert says in told
    assert told.isprintable()
