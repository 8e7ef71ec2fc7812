"""The command lines of tini, docker-init, dumb-init and catatonit: what each way of writing them gives or says."""

import getopt
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyinit import options, peers, peers_texts, usage

PROGRAMS = tuple(options.PEERS)
TINI_USAGE = peers_texts.output("tini", "tini", "help")[0]
CATATONIT_USAGE = "usage: catatonit [-ghLPV] [--] <progname> [<arguments>...]\n"
DUMB_INIT_USAGE = "Usage: dumb-init [option] program [args]\nTry dumb-init --help for full usage.\n"
ALL_LONG = "'--help' '--single-child' '--rewrite' '--verbose' '--version'"
AMBIGUOUS = "dumb-init: option '{}' is ambiguous; possibilities: {}\n"
REWRITE_USAGE = (
    "Usage: -r option takes <signum>:<signum>, where <signum> is between 1 and 31.\n"
    "This option can be specified multiple times.\n"
    "Use --help for full usage.\n"
)


def fatal(text: str) -> str:
    """Return a line as tini says it."""
    return f"[FATAL tini ({os.getpid()})] {text}\n"


def shown_by(name: str, argv: list[str], environ: dict[bytes, bytes] | None = None) -> tuple[str, int, int]:
    """Return text, descriptor and status of a command line that runs nothing."""
    settings = peers.parse(name, argv, environ or {})
    assert settings.action == "print"
    return settings.print_text, settings.print_fd, settings.exit_status


def command_of(name: str, argv: list[str], environ: dict[bytes, bytes] | None = None) -> list[str]:
    """Return the command of a command line that runs one."""
    settings = peers.parse(name, argv, environ or {})
    assert settings.action == "run", settings.print_text
    return settings.command


# Command lines that run something: the program, its arguments, the command.
RUNS = [
    ("tini", ["true"], ["true"]),
    ("tini", ["--", "true"], ["true"]),
    ("tini", ["-v", "--", "true", "-v"], ["true", "-v"]),
    ("tini", ["true", "-g", "x", "-v"], ["true", "x"]),
    ("tini", ["true", "-e", "3", "x"], ["true", "x"]),
    ("tini", ["a", "--", "b", "-g", "--"], ["a", "b", "-g", "--"]),
    ("tini", ["--", "--", "true"], ["--", "true"]),
    ("tini", ["-gv", "-", "x"], ["-", "x"]),
    ("tini", ["-e0", "--", "--version"], ["--version"]),
    ("tini", ["-pSIGKILL", "a"], ["a"]),
    ("tini", ["-vgsp", "SIGTERM", "a"], ["a"]),
    ("tini", [""], [""]),
    ("docker-init", ["--", "/entry.sh", "-h"], ["/entry.sh", "-h"]),
    ("docker-init", ["-s", "a"], ["a"]),
    ("dumb-init", ["true"], ["true"]),
    ("dumb-init", ["true", "-c", "--help"], ["true", "-c", "--help"]),
    ("dumb-init", ["-c", "--", "true", "--"], ["true", "--"]),
    ("dumb-init", ["-", "-c"], ["-", "-c"]),
    ("dumb-init", ["--sing", "--verb", "--rew", "1:2", "a"], ["a"]),
    ("dumb-init", ["--s", "--r=1:2", "a"], ["a"]),
    ("dumb-init", ["-cvr15:2", "a"], ["a"]),
    ("dumb-init", ["-r", "15:2", "--rewrite=1:0", "a"], ["a"]),
    ("dumb-init", ["--", "-c"], ["-c"]),
    ("dumb-init", [""], [""]),
    ("catatonit", ["true"], ["true"]),
    ("catatonit", ["--", "true", "-P"], ["true", "-P"]),
    ("catatonit", ["true", "-g", "x"], ["true", "x"]),
    ("catatonit", ["-P"], []),
    ("catatonit", ["-P", "true"], []),
    ("catatonit", ["true", "-gP"], []),
]


@pytest.mark.parametrize(("name", "argv", "command"), RUNS)
def test_the_command_is_found(name: str, argv: list[str], command: list[str]) -> None:
    """Options stand where the program itself takes them: tini and catatonit take them behind the command too."""
    assert command_of(name, argv) == command
    assert command_of("/usr/bin/" + name, argv) == command


@pytest.mark.parametrize("name", ["tini", "docker-init", "catatonit"])
def test_posixly_correct_ends_the_options_at_the_command(name: str) -> None:
    """With POSIXLY_CORRECT, empty or not, what stands behind the command is the command's."""
    for value in (b"", b"1"):
        assert command_of(name, ["-g", "sh", "-c", "x"], {b"POSIXLY_CORRECT": value}) == ["sh", "-c", "x"]


# Command lines that end with a text: the program, its arguments, text, descriptor, status.
SHOWS = [
    ("tini", ["--version"], "tini version 0.19.0\n", 1, 0),
    ("tini", ["-h"], TINI_USAGE, 1, 0),
    ("tini", ["-h", "-Z"], TINI_USAGE, 1, 0),
    ("tini", ["true", "-h"], TINI_USAGE, 1, 0),
    ("tini", ["-gvh"], TINI_USAGE, 1, 0),
    ("tini", ["-l"], usage.LICENCE, 1, 0),
    ("tini", ["-l", "-h"], usage.LICENCE, 1, 0),
    ("tini", [], TINI_USAGE, 2, 1),
    ("tini", ["--"], TINI_USAGE, 2, 1),
    ("tini", ["-v"], TINI_USAGE, 2, 1),
    ("tini", ["-Z"], "tini: invalid option -- 'Z'\n" + TINI_USAGE, 2, 1),
    ("tini", ["-Zh"], "tini: invalid option -- 'Z'\n" + TINI_USAGE, 2, 1),
    ("tini", ["-gZ", "true"], "tini: invalid option -- 'Z'\n" + TINI_USAGE, 2, 1),
    ("tini", ["true", "-c"], "tini: invalid option -- 'c'\n" + TINI_USAGE, 2, 1),
    ("tini", ["--version", "true"], "tini: invalid option -- '-'\n" + TINI_USAGE, 2, 1),
    ("tini", ["-v", "--version"], "tini: invalid option -- '-'\n" + TINI_USAGE, 2, 1),
    ("tini", ["--help"], "tini: invalid option -- '-'\n" + TINI_USAGE, 2, 1),
    ("tini", ["-:"], "tini: invalid option -- ':'\n" + TINI_USAGE, 2, 1),
    ("tini", ["-\u00e9"], "tini: invalid option -- '\udcc3'\n" + TINI_USAGE, 2, 1),
    ("tini", ["-\udcff"], "tini: invalid option -- '\udcff'\n" + TINI_USAGE, 2, 1),
    ("tini", ["-e"], "tini: option requires an argument -- 'e'\n" + TINI_USAGE, 2, 1),
    ("tini", ["true", "-gp"], "tini: option requires an argument -- 'p'\n" + TINI_USAGE, 2, 1),
    ("tini", ["-e", "--", "0"], fatal("Not a valid option for -e: --"), 2, 1),
    ("tini", ["-e", "999", "-h"], fatal("Not a valid option for -e: 999"), 2, 1),
    ("tini", ["-e256", "a"], fatal("Not a valid option for -e: 256"), 2, 1),
    ("tini", ["-e", "-1", "a"], fatal("Not a valid option for -e: -1"), 2, 1),
    ("tini", ["-e", "1x", "a"], fatal("Not a valid option for -e: 1x"), 2, 1),
    ("tini", ["-e", " ", "a"], fatal("Not a valid option for -e:  "), 2, 1),
    ("tini", ["-e", "4294967299", "a"], fatal("Not a valid option for -e: 4294967299"), 2, 1),
    ("tini", ["-e", "9" * 5000, "a"], fatal("Not a valid option for -e: " + "9" * 5000), 2, 1),
    ("tini", ["-p", "TERM", "a"], fatal("Not a valid option for -p: TERM"), 2, 1),
    ("tini", ["-p15", "a"], fatal("Not a valid option for -p: 15"), 2, 1),
    ("tini", ["-p", "SIGRTMIN", "a"], fatal("Not a valid option for -p: SIGRTMIN"), 2, 1),
    ("tini", ["-p", "SIGIO", "a"], fatal("Not a valid option for -p: SIGIO"), 2, 1),
    ("tini", ["-p", "sigterm", "a"], fatal("Not a valid option for -p: sigterm"), 2, 1),
    ("tini", ["-p", "", "a"], fatal("Not a valid option for -p: "), 2, 1),
    ("docker-init", ["--version"], "tini version 0.19.0\n", 1, 0),
    ("docker-init", ["-Z"], "docker-init: invalid option -- 'Z'\n" + TINI_USAGE, 2, 1),
    ("docker-init", ["-e", "999"], fatal("Not a valid option for -e: 999"), 2, 1),
    ("dumb-init", ["-V"], "dumb-init v1.2.5\n", 2, 0),
    ("dumb-init", ["--version", "--yolo"], "dumb-init v1.2.5\n", 2, 0),
    ("dumb-init", ["--vers"], "dumb-init v1.2.5\n", 2, 0),
    ("dumb-init", ["-cV", "true"], "dumb-init v1.2.5\n", 2, 0),
    ("dumb-init", [], DUMB_INIT_USAGE, 2, 1),
    ("dumb-init", ["-c", "--"], DUMB_INIT_USAGE, 2, 1),
    ("dumb-init", ["-Z"], "dumb-init: invalid option -- 'Z'\n", 2, 1),
    ("dumb-init", ["-cZ", "-h"], "dumb-init: invalid option -- 'Z'\n", 2, 1),
    ("dumb-init", ["--yolo", "/bin/true"], "dumb-init: unrecognized option '--yolo'\n", 2, 1),
    ("dumb-init", ["--yolo=1"], "dumb-init: unrecognized option '--yolo=1'\n", 2, 1),
    ("dumb-init", ["--Help"], "dumb-init: unrecognized option '--Help'\n", 2, 1),
    ("dumb-init", ["--help=1"], "dumb-init: option '--help' doesn't allow an argument\n", 2, 1),
    ("dumb-init", ["--sing="], "dumb-init: option '--single-child' doesn't allow an argument\n", 2, 1),
    ("dumb-init", ["--rew"], "dumb-init: option '--rewrite' requires an argument\n", 2, 1),
    ("dumb-init", ["--ver", "-h"], AMBIGUOUS.format("--ver", "'--verbose' '--version'"), 2, 1),
    ("dumb-init", ["--v=1"], AMBIGUOUS.format("--v=1", "'--verbose' '--version'"), 2, 1),
    ("dumb-init", ["--=x"], AMBIGUOUS.format("--=x", ALL_LONG), 2, 1),
    ("dumb-init", ["-r"], "dumb-init: option requires an argument -- 'r'\n", 2, 1),
    *[
        ("dumb-init", [*argv, "echo", "hi"], REWRITE_USAGE, 2, 1)
        for argv in (
            ["-r"], ["-r", ""], ["-r", "herp"], ["-r", "herp:derp"], ["-r", "15"], ["-r", "15::12"], ["-r", "15:derp"],
            ["-r", "15:12", "-r"], ["-r", "15:12", "-r", "0"], ["-r", "15:12", "-r", "1:32"], ["-r", "0:1"],
            ["-r", "32:1"], ["-r", "1:-1"], ["-r", "15 :2"], ["-r:2"], ["-r15:"], ["-r15:+"], ["-r0x1:2"],
            ["-r", "TERM:QUIT"], ["-r", "9" * 5000 + ":1"], ["-r=15:2"],
        )
    ],
    ("catatonit", ["-V"], "tini version 0.2.1_catatonit\n", 1, 0),
    ("catatonit", ["--version"], "tini version 0.2.1_catatonit\n", 1, 0),
    ("catatonit", ["--v"], "tini version 0.2.1_catatonit\n", 1, 0),
    ("catatonit", ["true", "-gV"], "tini version 0.2.1_catatonit\n", 1, 0),
    ("catatonit", ["-L"], usage.LICENCE, 1, 0),
    ("catatonit", ["-LZ"], usage.LICENCE, 1, 0),
    ("catatonit", [], f"ERROR (catatonit:{os.getpid()}): missing program name\n" + CATATONIT_USAGE, 2, 1),
    ("catatonit", ["-g", "--"], f"ERROR (catatonit:{os.getpid()}): missing program name\n" + CATATONIT_USAGE, 2, 1),
    ("catatonit", ["-Z"], "catatonit: invalid option -- 'Z'\n" + CATATONIT_USAGE, 2, 1),
    ("catatonit", ["sh", "-c", "x"], "catatonit: invalid option -- 'c'\n" + CATATONIT_USAGE, 2, 1),
    ("catatonit", ["--yolo"], "catatonit: unrecognized option '--yolo'\n" + CATATONIT_USAGE, 2, 1),
    ("catatonit", ["--help"], "catatonit: unrecognized option '--help'\n" + CATATONIT_USAGE, 2, 1),
    ("catatonit", ["--rewrite", "1:2"], "catatonit: unrecognized option '--rewrite'\n" + CATATONIT_USAGE, 2, 1),
    ("catatonit", ["--v=1"], "catatonit: option '--version' doesn't allow an argument\n" + CATATONIT_USAGE, 2, 1),
]  # fmt: skip


# The texts have our PID in them: they would give a test another name in each process.
@pytest.mark.parametrize(
    ("name", "argv", "text", "fd", "status"), SHOWS, ids=[f"{name} {argv}" for name, argv, *_ in SHOWS]
)
def test_what_is_said(name: str, argv: list[str], text: str, fd: int, status: int) -> None:
    """The text is the program's to the letter, on its descriptor, with its status, at the first reason for one."""
    if text.endswith(TINI_USAGE):
        text = text.removesuffix(TINI_USAGE) + peers_texts.output("tini", name, "help")[0]
    assert shown_by(name, argv) == (text, fd, status)


def test_there_are_enough_cases() -> None:
    """Both tables together have at least 120 rows with the ones on settings in test_peers_settings.py."""
    assert len(RUNS) + len(SHOWS) >= 110


def test_the_help_of_tini_has_its_name() -> None:
    """The usage names the program as it was called, without folders, and the version that scripts look for."""
    text, fd, status = shown_by("/usr/bin/docker-init", ["-h"])
    lines = text.splitlines()
    assert (fd, status) == (1, 0)
    assert lines[:2] == [
        "docker-init (tini version 0.19.0)",
        "Usage: docker-init [OPTIONS] PROGRAM -- [ARGS] | --version",
    ]
    assert "Execute a program under the supervision of a valid init process (docker-init)" in lines
    assert [line.split(":")[0] for line in lines if line.startswith("  -")] == [
        "  --version", "  -h", "  -s", "  -p SIGNAL", "  -v", "  -w", "  -g", "  -e EXIT_CODE", "  -l",
    ]  # fmt: skip
    assert [line.split(":")[0] for line in lines if line.startswith("  TINI_")] == [
        "  TINI_SUBREAPER", "  TINI_VERBOSITY", "  TINI_KILL_PROCESS_GROUP",
    ]  # fmt: skip
    assert text.endswith(".\n\n")


@pytest.mark.parametrize("argv", [["-h"], ["--help"], ["--he", "-Z"], ["-cvh"]])
def test_the_help_of_dumb_init_has_its_path(argv: list[str]) -> None:
    """The usage names the program exactly as it was called, on standard error."""
    text, fd, status = shown_by("./bin/dumb-init", argv)
    assert (fd, status) == (2, 0)
    assert text.startswith("dumb-init v1.2.5\nUsage: ./bin/dumb-init [option] command [[arg] ...]\n\n")
    assert [line[3:5] for line in text.splitlines() if line.startswith("   -")] == ["-c", "-r", "-v", "-h", "-V"]


def test_the_help_of_catatonit_is_on_standard_error() -> None:
    """The usage line, each option, and where to read on."""
    text, fd, status = shown_by("/usr/libexec/podman/catatonit", ["-h", "-Z"])
    assert (fd, status) == (2, 0)
    assert text.startswith(CATATONIT_USAGE + "\noptions:\n")
    assert [line[2:4] for line in text.splitlines() if line.startswith("  -")] == ["-g", "-h", "-L", "-P", "-V"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_getopt_complains_with_the_whole_name(name: str) -> None:
    """The complaint begins with what the program was called by, folders and all."""
    assert shown_by("/opt/x/" + name, ["-Z"])[0].startswith(f"/opt/x/{name}: invalid option -- 'Z'\n")


def test_only_catatonit_reserves_a_variable() -> None:
    """CATATONIT_LOG is refused before anything else is looked at, also when empty; the others do not know it."""
    text = f"ERROR (catatonit:{os.getpid()}): CATATONIT_LOG is reserved for future use\n"
    assert shown_by("catatonit", ["-V"], {b"CATATONIT_LOG": b""}) == (text, 2, 1)
    assert command_of("tini", ["true"], {b"CATATONIT_LOG": b""}) == ["true"]


SYNTAX = {
    "tini": ("p:hvwgle:s", {}, True),
    "dumb-init": ("hvVcr:", {"help": "h", "single-child": "c", "rewrite": "r", "verbose": "v", "version": "V"}, False),
    "catatonit": ("ghLPV", {"version": "V"}, True),
}
WORDS = st.one_of(
    st.sampled_from(
        ["", "-", "--", "a", "-a", "15:3", "1", "SIGTERM", "--=", "--=x", "-=", "-:", "--x", "-\u00e9", "-\udcff"]
        + ["-" + letter for letter in "pvhwglesVcrLPZ"]
        + ["--help", "--version", "--ver", "--verb", "--rewrite", "--rewrite=1:2", "--r", "--s", "--v=", "--help=1"]
    ),
    st.text("-vgcrepP=: a1", max_size=6),
)


@pytest.mark.parametrize("name", SYNTAX)
@given(argv=st.lists(WORDS, max_size=6), posixly_correct=st.booleans())
def test_flags_are_read_as_another_getopt_reads_them(name: str, argv: list[str], posixly_correct: bool) -> None:  # noqa: FBT001
    """The standard library's own getopt, which has the same rules, comes to the same flags and operands."""
    short, long, permute = SYNTAX[name]
    permute = permute and not posixly_correct
    names = [word + "=" if letter + ":" in short else word for word, letter in long.items()]
    try:
        found, operands = (getopt.gnu_getopt if permute else getopt.getopt)(argv, short, names)
    except getopt.GetoptError:
        with pytest.raises(peers._Show):
            peers._read(argv, lambda _letter, _text: None, short, long, permute=permute)
        return
    expected = [(long[flag[2:]] if flag.startswith("--") else flag[1], text) for flag, text in found]
    read = peers._read(argv, lambda _letter, _text: None, short, long, permute=permute)
    assert read == (expected, operands)


BYTES = st.binary(max_size=12).map(lambda raw: raw.replace(b"\0", b"0"))
NAMES = st.one_of(
    st.sampled_from(
        [
            b"TINI_SUBREAPER",
            b"TINI_VERBOSITY",
            b"TINI_KILL_PROCESS_GROUP",
            b"DUMB_INIT_DEBUG",
            b"DUMB_INIT_SETSID",
            b"CATATONIT_DEBUG",
            b"POSIXLY_CORRECT",
            b"PYINIT_GRACE",
            b"PYINIT_STOP_ON",
            b"PYINIT_REWRITE",
        ]
    ),
    BYTES,
)


@given(
    name=st.sampled_from(PROGRAMS),
    argv=st.lists(st.one_of(WORDS, BYTES.map(os.fsdecode)), max_size=8),
    environ=st.dictionaries(NAMES, st.one_of(BYTES, st.sampled_from([b"0", b"1", b"3"])), max_size=4),
)
def test_nothing_is_raised(name: str, argv: list[str], environ: dict[bytes, bytes]) -> None:
    """Whatever the arguments and variables are, there is something to run or something to say."""
    settings = peers.parse(name, argv, environ)
    assert settings.persona == options.PEERS[name]
    assert settings.name == name
    assert settings.error_status == 1
    if settings.action == "print":
        assert settings.print_text.endswith("\n")
        assert settings.print_text.encode("utf-8", "surrogateescape")
        assert settings.print_fd in {1, 2}
        assert settings.exit_status in {0, 1}
        return
    assert settings.action == "run"
    assert settings.pause == (not settings.command)
    behind = iter(argv)
    assert all(word in behind for word in settings.command)
    assert {*settings.rewrite, *settings.rewrite.values()} <= set(range(65))
