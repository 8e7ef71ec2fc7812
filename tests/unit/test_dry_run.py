"""--dry-run: each setting with where it came from, the command, and its environment; text and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from pyinit import options, reports
from pyinit.option_table import Option
from pyinit.reports import dryrun

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "dry-run-v1.schema.json").read_text())


def told(argv: list[str], environ: dict[bytes, bytes] | None = None) -> dict[str, Any]:
    """Return what --dry-run=json says about a command line."""
    settings = options.parse(["--dry-run=json", *argv], environ or {})
    assert settings.action == "dry-run"
    facts, status = dryrun.facts(settings, dict.fromkeys(settings.own_variables))
    whole = json.loads(reports.as_json("dry-run", facts))
    jsonschema.validate(whole, SCHEMA)
    assert whole["status"] == status
    assert isinstance(whole, dict)
    return whole


def setting(whole: dict[str, Any], option: str) -> tuple[str | None, str, str | None]:
    """Return the value of an option, its source, and how it was given."""
    (row,) = [row for row in whole["settings"] if row["option"] == option]
    return row["value"], row["source"], row["given_as"]


def test_defaults() -> None:
    """Each option with a variable is there, in the order of the table, with its default."""
    whole = told(["true"])
    rows = [row for row in options.OPTIONS if row.variable]
    assert [row["option"] for row in whole["settings"]] == [f"--{row.name}" for row in rows]
    assert [row["variable"] for row in whole["settings"]] == [row.variable for row in rows]
    for row in rows:
        if row.name == "grace-max":
            assert setting(whole, "--grace-max") == ("8s", "rule", None)
        elif row.name == "stop-on":
            assert setting(whole, "--stop-on") == ("INT,QUIT,TERM", "default", None)
        else:
            assert setting(whole, f"--{row.name}") == (
                row.default or "no" if row.kind == "switch" else row.default, "default", None
            )  # fmt: skip
    assert (whole["status"], whole["problem"]) == (0, None)
    assert whole["command"]["argv"] == ["true"]
    assert whole["command"]["executed"] == ["true"]
    assert Path(whole["command"]["path"]).name == "true"


@pytest.mark.parametrize(
    ("argv", "environ", "option", "expected"),
    [
        (["--grace", "1m30s"], {}, "--grace", ("90s", "flag", "--grace")),
        (["--grace=500ms"], {}, "--grace", ("500ms", "flag", "--grace")),
        ([], {b"PYINIT_GRACE": b"5"}, "--grace", ("5s", "variable", "PYINIT_GRACE")),
        (["--grace", "7"], {b"PYINIT_GRACE": b"bad"}, "--grace", ("7s", "flag", "--grace")),
        ([], {b"PYINIT_GRACE": b""}, "--grace", ("8s", "default", None)),
        (["--stop-signal", "QUIT:20s,TERM:5s"], {}, "--grace", ("25s", "rule", None)),
        (["--stop-signal", "sigquit"], {}, "--stop-signal", ("QUIT", "flag", "--stop-signal")),
        (["--stop-signal", "3:1s,RTMIN+3"], {}, "--stop-signal", ("QUIT:1s,RTMIN+3", "flag", "--stop-signal")),
        (["-e143", "-e", "0"], {}, "--ok-exit", ("0,143", "flag", "-e")),
        (["-r15:3", "-r", "HUP:0"], {}, "--rewrite", ("TERM:QUIT,HUP:0", "flag", "-r")),
        (["--stop-on", "none"], {}, "--stop-on", ("none", "flag", "--stop-on")),
        (["-g"], {}, "--forward-to", ("group", "flag", "-g")),
        (["-c"], {}, "--forward-to", ("main", "flag", "-c")),
        ([], {b"DUMB_INIT_SETSID": b"0"}, "--forward-to", ("main", "variable", "DUMB_INIT_SETSID")),
        (["-v"], {}, "--log-level", ("debug", "flag", "-v")),
        (["--no-log-reaps"], {b"PYINIT_LOG_REAPS": b"1"}, "--log-reaps", ("no", "flag", "--no-log-reaps")),
        ([], {b"PYINIT_LOG_ARGS": b"on"}, "--log-args", ("yes", "variable", "PYINIT_LOG_ARGS")),
        (["-p", "9"], {}, "--parent-death-signal", ("KILL", "flag", "-p")),
        (["--pid-file", "/run/\udcff"], {}, "--pid-file", ("/run/\\xff", "flag", "--pid-file")),
        (["--stop-command", "a 'b'\n"], {}, "--stop-command", ("a 'b'\n", "flag", "--stop-command")),
    ],
)
def test_where_a_setting_came_from(
    argv: list[str], environ: dict[bytes, bytes], option: str, expected: tuple[str, str, str]
) -> None:
    """A flag, a variable of ours or of a peer, the default, or what other options make of it."""
    assert setting(told([*argv, "true"], environ), option) == expected


def test_a_relative_path_is_told_as_it_will_be_used() -> None:
    """What the rules between options complete is told as completed."""
    assert setting(told(["--pid-file", "x.pid", "true"]), "--pid-file")[0] == str(Path.cwd() / "x.pid")


def test_without_a_command() -> None:
    """--pause has none."""
    whole = told(["--pause"])
    assert whole["command"] is None
    assert setting(whole, "--stop-on") == ("INT,TERM", "rule", None)


@pytest.mark.parametrize(
    ("argv", "status", "says"),
    [
        (["no-such-command-at-all"], 127, "no-such-command-at-all was not found in PATH"),
        (["/no/such/file"], 127, "/no/such/file is not there"),
        (["/etc/passwd"], 126, "/etc/passwd cannot be executed"),
        (["/"], 126, "/ cannot be executed"),
        (["--log-file", "/no/such/folder/log", "true"], 125, "--log-file /no/such/folder/log: No such file"),
        (["--termination-log", "/", "true"], 125, "--termination-log /: Is a directory"),
        (["--log-file", "/no/such/folder/log", "no-such-command"], 125, "--log-file"),
    ],
)
def test_what_would_not_start(argv: list[str], status: int, says: str) -> None:
    """The status and the reason are those of a real run."""
    whole = told(argv)
    assert whole["status"] == status
    assert says in whole["problem"]
    text = dryrun.text(whole, reports.Page())
    assert f"A run would end with status {status}:" in " ".join(text.split())


@pytest.mark.parametrize(
    ("argv", "environ", "last"),
    [
        ([], {}, "A run would start it."),
        (["--env", "A=1", "--close-fds", "--umask=022", "--no-no-new-privs"], {}, "A run would start it."),
        (
            ["--nice", "-5"],
            {b"PYINIT_CHDIR": b"/srv", b"PYINIT_UMASK": b"022"},
            "A run would start it, if it can have PYINIT_CHDIR and --nice: that is not tried here.",
        ),
    ],
)
def test_what_only_the_kernel_can_say_is_not_promised(argv: list[str], environ: dict[bytes, bytes], last: str) -> None:
    """An option that the kernel, or the user's rights, may refuse to a run is named: nothing was tried."""
    text = dryrun.text(told([*argv, "true"], environ), reports.Page())
    assert " ".join(text.splitlines()[-3:]).endswith(last)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own variables are taken out, what pyinit makes up is told without a value, what it changes with one."""
    import os
    import posix

    environ = {b"PYINIT_GRACE": b"5", b"PYINIT_GRASE": b"6"}
    for name, value in environ.items():
        monkeypatch.setitem(posix.environ, name, value)
    monkeypatch.setitem(posix.environ, b"LISTEN_PID", b"%d" % os.getpid())
    whole = told(["--notify", "true"], environ)
    assert whole["environment"] == {
        "cleared": False,
        "set": {"NOTIFY_SOCKET": None, "LISTEN_PID": None},
        "unset": ["PYINIT_GRACE", "PYINIT_GRASE"],
    }
    assert whole["unknown_variables"] == [{"name": "PYINIT_GRASE", "meant": "PYINIT_GRACE"}]
    assert told(["true"], {b"PYINIT_\xff": b"1"})["unknown_variables"] == [{"name": "PYINIT_\\xff", "meant": None}]
    settings = options.parse(["--dry-run", "true"], {})
    facts, _ = dryrun.facts(settings, {b"LC_CTYPE": b"C", b"NOT_THERE": None})
    assert facts["environment"] == {"cleared": False, "set": {"LC_CTYPE": "C", "LISTEN_PID": None}, "unset": []}
    text = dryrun.text(facts, reports.Page())
    assert "  LC_CTYPE is set to C\n" in text
    assert "  LISTEN_PID is set by pyinit at the start\n" in text


def test_an_environment_of_its_own() -> None:
    """With --clear-env there is what the other options set, and the command is looked for in that PATH."""
    settings = options.parse(["--dry-run", "--clear-env", "--env", "A=b c", "--env", "PATH=/nowhere", "true"], {})
    facts, status = dryrun.facts(settings, {b"A": b"b c", b"PATH": b"/nowhere", b"HOME": None})
    assert facts["environment"] == {"cleared": True, "set": {"A": "b c", "PATH": "/nowhere"}, "unset": []}
    assert (status, facts["command"]["path"]) == (127, None)
    assert "  has nothing but this\n  A is set to 'b c'\n" in dryrun.text(facts, reports.Page())
    (row,) = [row for row in facts["settings"] if row["option"] == "--env"]
    assert row["value"] == "A=b c\nPATH=/nowhere"


@pytest.mark.parametrize("value", [("a", "b"), {"a": 1}, frozenset({3}), 7, "x"])
def test_an_option_of_a_new_kind_is_told_as_it_was_written(value: object) -> None:
    """A row of a kind that nobody has thought of here needs nothing to be told."""
    row = Option("limit", "limit", "of a new kind", "log", "X", "none")
    assert dryrun.spelled(row, value, ["nofile=1024", "nproc=5"]) == "nofile=1024,nproc=5"
    assert dryrun.spelled(row, None, []) == "none"
    assert dryrun.spelled(row, True, ["yes"]) == "yes"  # noqa: FBT003


WORDS = st.one_of(
    st.binary(max_size=12).map(lambda raw: raw.replace(b"\0", b"0").decode("utf-8", "surrogateescape")),
    st.sampled_from(
        [f"--{row.name}" for row in options.OPTIONS]
        + ["--pause", "-r15:3", "-e0", "--grace=5", "--stop-signal=QUIT:1s,TERM", "--pid-file=x", "--notify", "true"]
    ),
)
VALUES = st.binary(max_size=8).map(lambda raw: raw.replace(b"\0", b"0"))
VARIABLES = st.sampled_from([str(row.variable).encode() for row in options.OPTIONS if row.variable] + [b"PYINIT_\xff"])


@examples(max_examples=200, deadline=None)
@given(argv=st.lists(WORDS, max_size=5), environ=st.dictionaries(VARIABLES, VALUES, max_size=2))
def test_whatever_can_be_parsed_can_be_told(argv: list[str], environ: dict[bytes, bytes]) -> None:
    """JSON keeps to its schema; text can be shown on any terminal; each value gives the same setting once more."""
    try:
        settings = options.parse(["--dry-run", *argv], environ)
    except options.UsageError:
        return
    if settings.action != "dry-run":
        return
    facts, _ = dryrun.facts(settings, {})
    jsonschema.validate(json.loads(reports.as_json("dry-run", facts)), SCHEMA)
    text = dryrun.text(facts, reports.Page())
    assert text.encode()
    assert text.replace("\n", "").isprintable()
    for row, told_row in zip([row for row in options.OPTIONS if row.variable], facts["settings"], strict=True):
        value = told_row["value"]
        if value is None or "\\" in value or row.kind not in dryrun.KINDS:
            continue  # none; bytes that are no UTF-8; a kind that is told as it was written
        texts = value.replace(",", " ").split() if row.repeatable else [value]
        assert options.value_of(row, texts) == getattr(settings, row.setting), row.name
