"""What people read: help, version, suggestions."""

import re
from pathlib import Path

import pytest

import pyinit
from pyinit import options, usage

DOCUMENT = Path(__file__).parents[2] / "docs" / "exit-status.md"


def test_help_fits_on_a_screen() -> None:
    """At most 40 lines of at most 80 columns."""
    lines = usage.help_text().splitlines()
    assert 24 <= len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert not any(line.endswith(" ") for line in lines)
    assert usage.help_text().endswith("\n")
    assert usage.help_text().isascii()


@pytest.mark.parametrize("columns", [-1, 0, 1, 40, 60, 72, 80, 100, 132, 100_000])
def test_help_fits_the_terminal(columns: int) -> None:
    """Lines are as wide as the terminal where that makes sense, and lose nothing by it."""
    text = usage.help_text(columns)
    assert max(map(len, text.splitlines())) <= min(max(columns, 60), 100)
    assert text.split() == usage.help_text().split()


def test_help_tells_each_option() -> None:
    """Each row of the table is there once, with its text, value and default; and no text without a row."""
    assert set(usage.TEXTS) == {row.name for row in options.OPTIONS}
    assert set(usage.GROUPS) == {row.group for row in options.OPTIONS}
    text = usage.help_text()
    for row in options.OPTIONS:
        line = next(line for line in text.splitlines() if line.startswith(f"  {usage.invocation(row)}  "))
        assert usage.TEXTS[row.name] in line
        assert all(choice in line for choice in row.choices)
        if row.default:
            assert line.endswith(f"[{row.default}]")


def test_help_tells_variables_and_statuses() -> None:
    """How a variable is named, which one wins, and the table of exit statuses."""
    text = usage.help_text()
    assert "PYINIT_STOP_SIGNAL" in text
    for status, meaning in usage.EXIT_STATUSES:
        assert re.search(rf"^  {re.escape(status)} +{re.escape(meaning)}$", text, re.MULTILINE)


def test_the_last_two_options_have_no_variable() -> None:
    """The sentence in the help about variables stays true."""
    assert "all but the last two options" in " ".join(usage.help_text().split())
    assert [row.variable is None for row in options.OPTIONS[-3:]] == [False, True, True]


def test_help_in_colour_is_the_same_text() -> None:
    """Colour adds escape sequences around headings, and nothing else."""
    coloured = usage.help_text(colour=True)
    assert "\033[1mExit status\033[0m" in coloured
    assert re.sub(r"\033\[[01]m", "", coloured) == usage.help_text()
    assert "\033" not in usage.help_text()


def test_the_document_has_the_same_statuses() -> None:
    """docs/exit-status.md has a row for each status that the help knows."""
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    documented = {row.replace("`", "").replace(" ", "") for row in rows}
    assert {status for status, _ in usage.EXIT_STATUSES} <= documented


def test_version() -> None:
    """The version is the package's."""
    assert usage.version_text() == f"pyinit {pyinit.__version__}\n"


@pytest.mark.parametrize(
    ("word", "candidates", "near"),
    [
        ("--grce", ["--grace", "--until"], "--grace"),
        ("--gr", ["--grace", "--until"], "--grace"),
        ("--u", ["--until", "--user"], None),
        ("--log", ["--log-file", "--log-args"], None),
        ("PYINIT_GARCE", ["PYINIT_GRACE", "PYINIT_UNTIL"], "PYINIT_GRACE"),
        ("PYINIT_ZZZ", ["PYINIT_GRACE", "PYINIT_UNTIL"], None),
        ("PYINIT_", ["PYINIT_GRACE"], None),
        ("trm", ["TERM", "QUIT"], "TERM"),
        ("--signal", ["--stop-signal", "--until"], "--stop-signal"),
        ("--grace-period", ["--grace", "--until"], "--grace"),
        ("--reaps", ["--log-reaps", "--no-log-reaps"], "--log-reaps"),
        ("", ["a", "b"], None),
        ("--", ["--grace"], None),
        ("x", [], None),
        ("\udcff\udcff", ["--grace"], None),
        ("x" * 100_000, ["grace"], None),
    ],
)
def test_suggestions(word: str, candidates: list[str], near: str | None) -> None:
    """What is near is found; what all names begin with makes nothing near."""
    assert usage.suggest(word, candidates) == near


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("8x", "'8x'"),
        ("caf\u00e9", "'caf\u00e9'"),
        ("\udcff", "'\\xff'"),
        ("\x00\n\x1b", "'\\x00\\n\\x1b'"),
        ("\u202e\u200b", "'\\u202e\\u200b'"),
        ("\ud800", "'\\ud800'"),
        ("x" * 61, "'" + "x" * 57 + "...'"),
        ("x" * 60, "'" + "x" * 60 + "'"),
    ],
)
def test_shown(text: str, shown: str) -> None:
    """What somebody wrote is repeated so that it can be seen, and does nothing to the terminal."""
    assert usage.shown(text) == shown
