"""The variables that main gets: files of them, --env, descriptors that were passed."""

from __future__ import annotations

import pytest
from hypothesis import given as given_
from hypothesis import strategies as st

from pyinit.child import environ

OWN = {b"LANG": b"C", b"EMPTY": b""}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", {}),
        (b"\n\n \t\n# A=1\n  # B=2\n", {}),
        (b"A=1", {b"A": b"1"}),
        (b"\xef\xbb\xbfA=1\r\nB=2\r\n", {b"A": b"1", b"B": b"2"}),
        (b"A=1 # no comment\n", {b"A": b"1 # no comment"}),
        (b"A='x' \n", {b"A": b"'x' "}),
        (b'A="x\\n"\n', {b"A": b'"x\\n"'}),
        (b"A=\nB==\n", {b"A": b"", b"B": b"="}),
        (b"\t A=1\n", {b"A": b"1"}),
        (b"A=1\nA=2\n", {b"A": b"2"}),
        (b"LANG\nEMPTY\nNOT_THERE\n", {b"LANG": b"C", b"EMPTY": b"", b"NOT_THERE": None}),
        (b"a.b-c=\xff\n", {b"a.b-c": b"\xff"}),
        (b"A=$LANG ${B}\n", {b"A": b"$LANG ${B}"}),
    ],
)
def test_files_of_variables(data: bytes, found: dict[bytes, bytes | None]) -> None:
    """As `docker run --env-file` reads them: no quotes, no escapes, no comments behind a value."""
    assert environ.parse_file(data, OWN) == found


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"A=1\n=2\n", "line 2 has no name"),
        (b"=", "line 1 has no name"),
        (b"export A=1\n", "line 1 has a blank in the name"),
        (b"A =1\n", "line 1 has a blank in the name"),
        (b"# x\n\nA B\n", "line 3 has a blank in the name"),
        (b"A=\0\n", "line 1 holds a NUL byte"),
        (b"\0\n", "line 1 holds a NUL byte"),
        (b"A\tB=1", "line 1 has a blank in the name"),
    ],
)
def test_lines_that_are_none(data: bytes, says: str) -> None:
    """The number of the line is told, what is wrong and what to write; never the value, which may be a secret."""
    with pytest.raises(environ.WrongLine, match=says) as caught:
        environ.parse_file(data, OWN)
    assert "; " in str(caught.value)


@given_(
    st.binary(max_size=200) | st.lists(st.sampled_from([b"A", b"=", b"\n", b" ", b"#", b"\r", b"\0"])).map(b"".join)
)
def test_any_file(data: bytes) -> None:
    """Whatever the file holds: variables that an environment can hold, or WrongLine; nothing else."""
    try:
        found = environ.parse_file(data, OWN)
    except environ.WrongLine:
        return
    for name, value in found.items():
        assert name
        assert b"=" not in name
        assert b"\0" not in name + (value or b"")
        assert b"\n" not in name + (value or b"")


def test_env() -> None:
    """NAME=VALUE is taken as it is; NAME takes pyinit's own value; the last one wins."""
    texts = ("A=1", "A=2,3 =4", "LANG", "EMPTY", "NOT_THERE", "\udcff=\udcfe")
    expected = {b"A": b"2,3 =4", b"LANG": b"C", b"EMPTY": b"", b"NOT_THERE": None, b"\xff": b"\xfe"}
    assert environ.given(texts, OWN) == expected


@pytest.mark.parametrize(
    ("count", "kept", "stays"),
    [
        (b"1", (3,), True),
        (b"2", (4, 3, 9), True),
        (b"2", (3,), False),
        (b"1", (), False),
        (b"0", (), False),
        (b"", (3,), False),
        (b"x", (3,), False),
        (b"9999999", (3,), False),
    ],
)
def test_passed_descriptors(count: bytes, kept: tuple[int, ...], stays: bool) -> None:  # noqa: FBT001
    """LISTEN_FDS stays where all that it counts is kept, and goes with its kin otherwise."""
    own = {b"LISTEN_FDS": count, b"LISTEN_PID": b"1", b"A": b"1"}
    expected = {} if stays else {b"LISTEN_FDS": None, b"LISTEN_PID": None}
    assert environ.without_descriptors(kept, own) == expected
