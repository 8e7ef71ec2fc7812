"""What the command line costs before the command is started."""

import subprocess
import sys
from pathlib import Path

import pyinit

SOURCE = str(Path(pyinit.__file__).parent.parent)

PROGRAM = """
import sys
before = set(sys.modules)
sys.path.insert(0, sys.argv[1])
from pyinit import options
import posix
try:
    if sys.argv[2] in options.PEERS:
        from pyinit import peers
        settings = peers.parse(sys.argv[2], sys.argv[3:], posix.environ)
    else:
        settings = options.parse(sys.argv[2:], posix.environ)
    settings.unknown_variables
except options.UsageError:
    pass
print(*sorted(set(sys.modules) - before))
"""


def imported_by(*argv: str) -> set[str]:
    """Return the modules that a parse imports in an interpreter that has nothing else loaded."""
    run = subprocess.run(
        [sys.executable, "-IS", "-c", PROGRAM, SOURCE, *argv],
        check=True,
        capture_output=True,
        text=True,
        env={"PYINIT_LOG_LEVEL": "debug"},
        timeout=60,
    )
    return set(run.stdout.split())


OURS = {
    "pyinit",
    "pyinit.option_table",
    "pyinit.options",
    "pyinit.settings",
    "pyinit.signames",
    "pyinit.values",
}


def test_a_parse_imports_nothing_but_our_own() -> None:
    """Starting a command loads five small modules of ours and no module of the standard library."""
    assert imported_by("--grace", "5", "--stop-signal=QUIT", "--ok-exit", "143", "--log-reaps", "--", "true") == OURS
    assert imported_by("-gvr15:3", "--stop-on", "TERM,HUP", "--", "true") == OURS


def test_rules_are_loaded_where_there_are_some() -> None:
    """What only some command lines need is a module of its own, and loads nothing more."""
    for argv in (
        ["--pid-file", "/x"], ["--notify"], ["--stop-command", "x"], ["--stop-signal=QUIT:1s,TERM"],
        ["--stop-signal=QUIT:1s"], ["--termination-log", "x"],
    ):  # fmt: skip
        assert imported_by(*argv, "--", "true") == OURS | {"pyinit.rules"}


def test_values_for_main_are_loaded_where_there_are_some() -> None:
    """An option for main's environment loads what reads its value, and nothing of what does it."""
    for argv in (["--user", "x"], ["--rlimit", "NOFILE=5"], ["--nice=5"], ["--env", "A=1"], ["--cap-drop", "all"]):
        child = {"pyinit.child", "pyinit.child.values", "pyinit.rules"}
        assert imported_by(*argv, "--", "true") == OURS | child
    assert imported_by("--no-new-privs", "--chdir", "/", "--", "true") == OURS | {"pyinit.rules"}


def test_a_parse_under_another_name_imports_one_more() -> None:
    """The command lines of all peers are one small module; their texts are loaded only to be shown."""
    ours = OURS | {"pyinit.peers"}
    assert imported_by("tini", "-gve3", "-p", "SIGKILL", "true") == ours
    assert imported_by("docker-init", "--", "true") == ours
    assert imported_by("dumb-init", "-c", "--rewrite=15:3", "true") == ours
    assert imported_by("catatonit", "-P") == ours
    assert imported_by("tini", "-h") == {*ours, "pyinit.peers_texts"}


def test_the_texts_are_loaded_for_messages_only() -> None:
    """The proof that the test above can fail: an error does load what it needs."""
    assert {"pyinit.usage", "difflib"} <= imported_by("--gracee")
