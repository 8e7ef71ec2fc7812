"""The command lines for which the launcher starts main by itself: none that pyinit would refuse or start otherwise."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyinit import options, settings, signames

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LAUNCHER = Path(__file__).parent.parent.parent / "launcher"
# Reads command lines, each with its number of words in front, and says of each where the command begins.
ASKING = r"""
#include <stdio.h>
#include <stdlib.h>
#include "plain.h"

static char *word(void)
{
    char *text = NULL;
    size_t size = 0;

    return getdelim(&text, &size, 0, stdin) > 0 ? text : NULL;
}

int main(void)
{
    char *number;

    while ((number = word())) {
        int count = atoi(number);
        char **words = calloc((size_t) count + 1, sizeof *words);

        for (int at = 0; at < count; at++)
            words[at] = word();
        printf("%d\n", plain_command(count, words));
        fflush(stdout);
    }
    return 0;
}
"""
# What main's start does not depend on.
FREE = {"until", "grace_s", "grace_max_s", "ok_exits", "stop_signal", "control", "forward_to"}
FREE |= {"log_format", "log_level", "log_reaps", "log_args", "log_schema"}
# What a line of its own is in.
TOLD = {"command", "sources", "given_as"}
PLAIN = [
    ["true"],
    ["--", "true"],
    ["--", "-odd"],
    ["nginx", "--check"],
    ["--grace", "20s", "--", "nginx", "-g", "daemon on;"],
    ["--grace=500ms", "--ok-exit", "143", "--ok-exit=7", "java"],
    ["--grace", "999m", "--grace", "9999", "--", "a"],
    ["--until", "all", "--log-format", "json", "--log-level=debug", "--log-reaps", "--no-log-args", "--", "a"],
    ["--stop-signal", "QUIT", "--forward-to", "main", "--no-control", "--log-schema", "ecs", "a"],
    ["--stop-signal=SIGUSR1", "a"],
]
NOT_PLAIN = [
    [],
    [""],
    ["--"],
    ["--", ""],
    ["--", "--check"],
    ["--check", "true"],
    ["--help"],
    ["-g", "true"],
    ["-"],
    ["--grace"],
    ["--grace", "", "a"],
    ["--grace", "--", "a"],
    ["--grace", "10000m", "a"],
    ["--grace", "1h", "a"],
    ["--grace", "-1", "a"],
    ["--grace", "8 s", "a"],
    ["--ok-exit", "256", "a"],
    ["--ok-exit", "9999999999", "a"],
    ["--ok-exit", "1,2", "a"],
    ["--log-level", "debug info", "a"],
    ["--log-level", "", "a"],
    ["--log-level", "ebug", "a"],
    ["--log-reaps=yes", "a"],
    ["--no-grace", "a"],
    ["--stop-signal", "KILL", "a"],
    ["--stop-signal", "QUIT:5s", "a"],
    ["--user", "1000", "a"],
    ["--log-file", "/tmp/x", "a"],
    ["--pause"],
    ["--restart", "always", "a"],
    ["--gracefully", "8s", "a"],
]


class Launcher:
    """The launcher's judgement of command lines, asked as often as one likes."""

    def __init__(self, folder: Path) -> None:
        source, program = folder / "asking.c", folder / "asking"
        source.write_text(ASKING)
        rows = str(folder / "plain_options.h")
        subprocess.run([sys.executable, "-IB", str(LAUNCHER / "plain_options.py"), rows], check=True)
        words = ["cc", "-Wall", "-Wextra", "-Werror", "-I", str(folder), "-I", str(LAUNCHER), "-o", str(program)]
        subprocess.run([*words, str(source), str(LAUNCHER / "plain.c")], check=True)
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def command_at(self, arguments: Sequence[str]) -> int:
        """Return where the command begins behind the program's name, counted from 1; 0: that is for the interpreter."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        words = [b"pyinit", *(argument.encode("utf-8", "surrogateescape") for argument in arguments)]
        self._process.stdin.write(b"%d\0" % len(words) + b"".join(word + b"\0" for word in words))
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End the program."""
        self._process.communicate()


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    """Compile what judges command lines, as the build of the wheel does."""
    folder = Path(tempfile.mkdtemp(prefix="pyinit-plain-"))
    made = Launcher(folder)
    yield made
    made.close()
    shutil.rmtree(folder)


def agree(arguments: Sequence[str], at: int) -> None:
    """See that pyinit takes a command line that the launcher takes, and starts the same command in the same way."""
    read = options.parse(list(arguments), {})
    usual = options.parse(["--", "true"], {})
    assert read.action == "run"
    assert read.command == list(arguments[at - 1 :])
    for name in settings.Settings.__slots__:
        if name not in FREE | TOLD and not name.startswith("_"):
            assert getattr(read, name) == getattr(usual, name), name


@pytest.mark.parametrize("arguments", PLAIN, ids=" ".join)
def test_plain(launcher: Launcher, arguments: list[str]) -> None:
    """These start at once."""
    at = launcher.command_at(arguments)
    assert at
    agree(arguments, at)


@pytest.mark.parametrize("arguments", NOT_PLAIN, ids=" ".join)
def test_not_plain(launcher: Launcher, arguments: list[str]) -> None:
    """These are read first: they are wrong, start nothing, or say something about main."""
    assert launcher.command_at(arguments) == 0


def test_which_options_are_plain(launcher: Launcher) -> None:
    """Of all options with all values that could be right, those are plain that main's start does not depend on."""
    values = ["8", "5/5m", "TERM", "TERM:QUIT", "0", "yes", "/tmp", "root", "a=b", "all", "json", "info", "ecs", "main"]
    found = set()
    for option in options.OPTIONS:
        for words in [[f"--{option.name}"], *([f"--{option.name}", value] for value in values)]:
            if option.name and launcher.command_at([*words, "--", "true"]) == len(words) + 2:
                agree([*words, "--", "true"], len(words) + 2)
                found.add(option.setting)
    assert found == FREE - {"grace_max_s"}


NAMED = [option for option in options.OPTIONS if option.name]
VALUES = st.one_of(
    st.sampled_from(["", "8s", "5m", "99999", "143", "256", "QUIT", "TERM,INT", "SIG", "json debug", "ebug"]),
    st.sampled_from([choice for option in NAMED for choice in option.choices]),
    st.sampled_from([prefix + name for name in signames.NUMBERS for prefix in ("", "SIG")]),
    st.from_regex(r"[0-9]{1,6}(ms|s|m|h)?", fullmatch=True),
    st.text(alphabet="0123456789msh .-", max_size=6),
)
WORDS = st.one_of(
    VALUES,
    st.sampled_from(["--", "-", "true", "--no-", "="]),
    st.sampled_from(NAMED).map(lambda option: f"--{option.name}"),
    st.sampled_from([option for option in NAMED if option.kind == "switch"]).map(lambda option: f"--no-{option.name}"),
    st.builds(lambda option, value: f"--{option.name}={value}", st.sampled_from(NAMED), VALUES),
)


@given(st.lists(WORDS, max_size=6))
def test_whatever_starts_at_once_is_right(launcher: Launcher, arguments: list[str]) -> None:
    """Whatever the words: where the launcher starts main, pyinit accepts the line, for the same command."""
    at = launcher.command_at(arguments)
    if at:
        agree(arguments, at)
