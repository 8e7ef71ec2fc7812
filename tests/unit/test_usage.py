"""What people read: help, version, suggestions."""

import re
from pathlib import Path

import pytest

import pyinit
from pyinit import helptext, options, usage
from pyinit.option_table import Option

SWITCHING = Path(__file__).parents[2] / "docs" / "switching.md"
DOCUMENT = Path(__file__).parents[2] / "docs" / "exit-status.md"


SCREEN = 52


def test_help_fits_on_a_screen() -> None:
    """At most 52 lines of at most 80 columns."""
    lines = helptext.help_text().splitlines()
    assert 24 <= len(lines) <= SCREEN
    assert max(map(len, lines)) <= 80
    assert not any(line.endswith(" ") for line in lines)
    assert helptext.help_text().endswith("\n")
    assert helptext.help_text().isascii()
    assert max(map(len, helptext.help_text(everything=True).splitlines())) <= 80


def test_help_fits_on_a_screen_with_five_more_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """New rows, in whatever group, are named in one paragraph: --help stays on the screen, --help-all tells them."""
    more = [Option(f"some-name-{number}", "x", "text", "log", "TEXT") for number in range(5)]
    for row in more:
        monkeypatch.setitem(usage.TEXTS, row.name, f"does {row.name}")
    table = [*options.OPTIONS, *more]
    lines = helptext.help_text(table=table).splitlines()
    assert len(lines) <= SCREEN
    assert max(map(len, lines)) <= 80
    for row in more:
        assert sum(line.split().count(f"--{row.name}") for line in lines) == 1
        assert f"  --{row.name} TEXT" in helptext.help_text(table=table, everything=True)


@pytest.mark.parametrize("columns", [-1, 0, 1, 40, 60, 72, 80, 100, 132, 100_000])
def test_help_fits_the_terminal(columns: int) -> None:
    """Lines are as wide as the terminal where that makes sense, and lose nothing by it."""
    text = helptext.help_text(columns)
    assert max(map(len, text.splitlines())) <= min(max(columns, 60), 100)
    assert text.split() == helptext.help_text().split()


def test_help_tells_each_option() -> None:
    """Each row of the table is there once, with its text, value and default; and no text without a row."""
    shown = [row for row in options.OPTIONS if row.group]
    alone = {"help", "version", "licence"}
    assert set(usage.TEXTS) == {row.name for row in shown} - alone
    assert list(usage.GROUPS) == list(dict.fromkeys(row.group for row in shown)), "in the order of the table"
    text = helptext.help_text(everything=True)
    for row in shown:
        if row.name in alone:
            assert f"  {usage.invocation(row)}  " in text
            continue
        line = next(line for line in text.splitlines() if line.startswith(f"  {usage.invocation(row)}  "))
        assert usage.TEXTS[row.name] in line
        assert all(choice in line for choice in row.choices)
        if row.default and row.takes_value:
            assert line.endswith(f"[{row.default}]")


def test_the_short_help_tells_the_everyday_options_and_names_the_others() -> None:
    """--help has the very lines of --help-all for the options of every day, and the names of all others."""
    assert {row.name for row in options.OPTIONS} >= usage.EVERYDAY
    short, long = helptext.help_text(), helptext.help_text(everything=True)
    for row in options.OPTIONS:
        if row.name in usage.EVERYDAY:
            line = next(line for line in long.splitlines() if line.startswith(f"  {usage.invocation(row)}  "))
            assert line in short.splitlines()
        elif row.group:
            assert f"--{usage.long_name(row)}" in short.split() or row.group == "about"
    assert "--help-all" in short


def test_help_tells_what_has_no_line_of_its_own() -> None:
    """An option that stands for another one is told there; -s, which changes nothing, in a sentence."""
    lines = helptext.help_text(everything=True).splitlines()
    hidden = [row for row in options.OPTIONS if not row.group]
    assert {row.short for row in hidden} == {"g", "s", "v"}
    for row in hidden:
        meant = [option.name for option in options.OPTIONS if option.setting == row.setting and option.variable]
        if meant:
            assert [line for line in lines if f"--{meant[0]} " in line and f"{row.gives} (-{row.short})" in line]
        else:
            assert f"tini's -{row.short} is how pyinit is anyway" in helptext.help_text()


def test_help_tells_variables_and_statuses() -> None:
    """How a variable is named, which one wins, and the exit statuses: a table in --help-all, a sentence in --help."""
    text = helptext.help_text(everything=True)
    assert "PYINIT_STOP_SIGNAL" in text
    for status, meaning in usage.EXIT_STATUSES:
        assert re.search(rf"^  {re.escape(status)} +{re.escape(meaning)}$", text, re.MULTILINE)
        assert status in {"N", "0"} or status in helptext.help_text()


def test_help_in_colour_is_the_same_text() -> None:
    """Colour adds escape sequences around headings, and nothing else."""
    coloured = helptext.help_text(colour=True)
    assert "\033[1mExit status\033[0m" in coloured
    assert re.sub(r"\033\[[01]m", "", coloured) == helptext.help_text()
    assert "\033" not in helptext.help_text()


def test_the_document_has_the_same_statuses() -> None:
    """docs/exit-status.md has a row for each status that the help knows."""
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    documented = {row.replace("`", "").replace(" ", "") for row in rows}
    assert {status for status, _ in usage.EXIT_STATUSES} <= documented


def test_the_document_tells_each_short_option() -> None:
    """docs/switching.md has a row for each letter, with the long option that it stands for."""
    rows = re.findall(r"^\| (`-[^|]+`) \| [^|]+ \| `--([a-z-]+)", SWITCHING.read_text(), re.MULTILINE)
    documented = {letter: name for cell, name in rows for letter in re.findall(r"`-([a-zA-Z])[ `]", cell)}
    names = {option.setting: option.name for option in options.OPTIONS if option.variable}
    expected = {letter: row.name or names[row.setting] for row in options.OPTIONS for letter in row.short}
    assert documented == expected


def test_the_licence_is_the_one_of_the_repository() -> None:
    """What --licence shows is the file that is shipped."""
    assert usage.text_of("licence") == (Path(__file__).parents[2] / "LICENSE").read_text()


def test_version() -> None:
    """The version is the package's."""
    assert usage.text_of("help") == helptext.help_text()
    assert usage.text_of("help-all") == helptext.help_text(everything=True)
    assert usage.text_of("version") == usage.version_text() == f"pyinit {pyinit.__version__}\n"


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
        ("nofle", ["nofile", "nproc", "fsize", "memlock"], "nofile"),
        ("RLIMIT_STACK", ["nofile", "stack"], "stack"),
    ],
)
def test_suggestions(word: str, candidates: list[str], near: str | None) -> None:
    """What is near is found; what all names begin with makes nothing near."""
    assert usage.suggest(word, candidates) == near


def test_a_value_that_begins_with_a_name_gets_a_suggestion(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind of option whose values are NAME=VALUE needs one line of names, for messages and completions alike."""
    monkeypatch.setitem(usage.NAMES, "limits", ("nofile", "nproc"))
    row = Option("limit", "x", "limits", "log", "NAME=SOFT")
    assert usage.names_for(row) == ("nofile", "nproc")
    assert "(did you mean nofile?)" in usage.bad_value(row, "nofle=1024", "--limit", "no limit")


@pytest.mark.parametrize(
    ("name", "text", "near"),
    [
        ("rlimit", "NOFLE=5", "NOFILE"),
        ("cap-drop", "NET_RW", "NET_RAW"),
        ("cap-keep", "CAP_SYS_ADMN", "SYS_ADMIN"),
        ("securebits", "noroot,norot-locked", "noroot-locked"),
        ("ioprio", "best-efort:4", "best-effort"),
    ],
)
def test_the_names_of_the_options_for_the_command_are_known(name: str, text: str, near: str) -> None:
    """Completions offer them, and one that is misspelt gets a suggestion."""
    (row,) = [row for row in options.OPTIONS if row.name == name]
    assert near in usage.names_for(row)
    assert usage.bad_value(row, text, f"--{name}", "none").endswith(f"(did you mean {near}?)")


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
