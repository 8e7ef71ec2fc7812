"""What pyinit does in the place of tini, dumb-init and catatonit: defaults, options, variables, failures."""

import errno

import pytest

from pyinit import options, peers, peers_texts, values

STOPS = {20: 19, 21: 19, 22: 19}


def parse(name: str, argv: list[str], environ: dict[bytes, bytes] | None = None) -> options.Settings:
    """Return the settings of a command line that runs something."""
    settings = peers.parse(name, argv, environ or {})
    assert settings.action == "run", settings.print_text
    return settings


@pytest.mark.parametrize("name", options.PEERS)
def test_all_of_them_leave_when_main_ends_and_say_little(name: str) -> None:
    """None of the three waits for a daemon, takes a signal as a stop request, or writes anything in a healthy run."""
    settings = parse(name, ["true"])
    assert (settings.until, settings.stop_on, settings.log_level) == ("main", frozenset(), "error")
    assert (settings.ok_exits, settings.pdeathsig, settings.pause) == (frozenset(), None, False)
    assert settings.own_variables == []
    assert (settings.name, settings.error_status) == (name, 1)


# The program, its arguments; what is set.
DEFAULTS: dict[str, dict[str, object]] = {
    "tini": {
        "persona": "tini", "forward_to": "main", "subreaper": False, "rest": "leave", "main_group": "own",
        "main_session": "keep", "unblock_signals": False, "self_stop": False, "verbosity": 1,
        "rewrite": {21: 0, 22: 0},
    },
    "dumb-init": {
        "persona": "dumb-init", "forward_to": "group", "subreaper": False, "rest": "signal", "main_group": "own",
        "main_session": "own", "unblock_signals": True, "self_stop": True, "verbosity": 0,
        "rewrite": STOPS,
    },
    "catatonit": {
        "persona": "catatonit", "forward_to": "main", "subreaper": True, "rest": "stop", "main_group": "own",
        "main_session": "keep", "unblock_signals": False, "self_stop": False, "verbosity": 0,
        "rewrite": {20: 0, 21: 0, 22: 0},
    },
}  # fmt: skip
SINGLE: dict[str, object] = {
    "forward_to": "main",
    "rest": "leave",
    "main_group": "same",
    "main_session": "keep",
    "rewrite": {},
}
CHANGES: list[tuple[str, list[str], dict[bytes, bytes], dict[str, object]]] = [
    ("tini", [], {}, {}),
    ("tini", ["-g"], {}, {"forward_to": "group"}),
    ("tini", [], {b"TINI_KILL_PROCESS_GROUP": b""}, {"forward_to": "group"}),
    ("tini", ["-s"], {}, {"subreaper": True, "rest": "stop"}),
    ("tini", [], {b"TINI_SUBREAPER": b""}, {"subreaper": True, "rest": "stop"}),
    ("tini", ["-v"], {}, {"verbosity": 2, "log_level": "info"}),
    ("tini", ["-vv"], {}, {"verbosity": 3, "log_level": "debug"}),
    ("tini", ["-vvvv"], {}, {"verbosity": 5, "log_level": "debug"}),
    ("tini", ["-vv"], {b"TINI_VERBOSITY": b"1"}, {"verbosity": 1, "log_level": "error"}),
    ("tini", ["-v"], {b"TINI_VERBOSITY": b"0"}, {"verbosity": 0, "log_level": "error"}),
    ("tini", [], {b"TINI_VERBOSITY": b"2"}, {"verbosity": 2, "log_level": "info"}),
    ("tini", [], {b"TINI_VERBOSITY": b" +3x"}, {"verbosity": 3, "log_level": "debug"}),
    ("tini", [], {b"TINI_VERBOSITY": b"-1"}, {"verbosity": 2**32 - 1, "log_level": "debug"}),
    ("tini", [], {b"TINI_VERBOSITY": b""}, {"verbosity": 0, "log_level": "error"}),
    ("tini", ["-w"], {}, {"log_reaps": True, "log_level": "info"}),
    ("tini", ["-w"], {b"TINI_VERBOSITY": b"0"}, {"log_reaps": True, "log_level": "error", "verbosity": 0}),
    ("tini", ["-e143", "-e", "0", "-e", " +7"], {}, {"ok_exits": frozenset({143, 0, 7})}),
    ("tini", ["-e", ""], {}, {"ok_exits": frozenset({0})}),
    ("tini", ["-e", "-0", "-e000000000000000000000000255"], {}, {"ok_exits": frozenset({0, 255})}),
    ("tini", ["-p", "SIGKILL"], {}, {"pdeathsig": 9}),
    ("tini", ["-pSIGTERM", "-p", "SIGSYS"], {}, {"pdeathsig": 31}),
    ("tini", [], {b"DUMB_INIT_SETSID": b"0", b"DUMB_INIT_DEBUG": b"1", b"CATATONIT_DEBUG": b""}, {}),
    ("dumb-init", [], {}, {}),
    ("dumb-init", ["-c"], {}, SINGLE),
    ("dumb-init", ["--single-child"], {}, SINGLE),
    ("dumb-init", [], {b"DUMB_INIT_SETSID": b"0"}, SINGLE),
    ("dumb-init", [], {b"DUMB_INIT_SETSID": b"00"}, {}),
    ("dumb-init", [], {b"DUMB_INIT_SETSID": b"1"}, {}),
    ("dumb-init", ["-v"], {}, {"verbosity": 1, "log_level": "debug"}),
    ("dumb-init", [], {b"DUMB_INIT_DEBUG": b"1"}, {"verbosity": 1, "log_level": "debug"}),
    ("dumb-init", [], {b"DUMB_INIT_DEBUG": b"yes"}, {}),
    ("dumb-init", ["-r", "15:3"], {}, {"rewrite": {15: 3, **STOPS}}),
    ("dumb-init", ["-r15:3", "--rewrite=15:2", "--rew", "1:0"], {}, {"rewrite": {15: 2, 1: 0, **STOPS}}),
    ("dumb-init", ["-r", "20:0", "-r", "21:20"], {}, {"rewrite": {20: 0, 21: 20, 22: 19}}),
    ("dumb-init", ["-c", "-r", "20:0"], {}, {**SINGLE, "rewrite": {20: 0}}),
    ("dumb-init", ["-r", " 15: 3 and more"], {}, {"rewrite": {15: 3, **STOPS}}),
    ("dumb-init", ["-r", "4294967311:3"], {}, {"rewrite": {15: 3, **STOPS}}),
    ("dumb-init", ["-r", "17:1", "-r", "9:31"], {}, {"rewrite": {17: 1, 9: 31, **STOPS}}),
    ("dumb-init", [], {b"TINI_SUBREAPER": b"", b"TINI_VERBOSITY": b"3", b"CATATONIT_DEBUG": b""}, {}),
    ("catatonit", [], {}, {}),
    ("catatonit", ["-g"], {}, {"forward_to": "group"}),
    ("catatonit", ["-P"], {}, {"pause": True, "stop_on": frozenset({2, 15})}),
    ("catatonit", [], {b"CATATONIT_DEBUG": b""}, {"verbosity": 1, "log_level": "debug"}),
    ("catatonit", [], {b"TINI_KILL_PROCESS_GROUP": b"", b"DUMB_INIT_SETSID": b"0"}, {}),
]


@pytest.mark.parametrize(("name", "argv", "environ", "changed"), CHANGES)
def test_each_option_and_variable(
    name: str, argv: list[str], environ: dict[bytes, bytes], changed: dict[str, object]
) -> None:
    """An option or variable of the program sets what it sets there; those of the other programs set nothing."""
    settings = parse(name, [*argv, "true"], environ)
    usual = {**DEFAULTS[name], "log_level": "error", "log_reaps": False, "ok_exits": frozenset(), "pdeathsig": None}
    expected = {**usual, "pause": False, "stop_on": frozenset(), **changed}
    assert {key: getattr(settings, key) for key in expected} == expected


@pytest.mark.parametrize(
    ("name", "argv", "environ", "setting", "value"),
    [
        ("tini", [], {b"PYINIT_UNTIL": b"service"}, "until", "service"),
        ("tini", [], {b"PYINIT_GRACE": b"3s"}, "grace_s", 3.0),
        ("tini", [], {b"PYINIT_STOP_ON": b"TERM"}, "stop_on", frozenset({15})),
        ("tini", [], {b"PYINIT_LOG_LEVEL": b"warning"}, "log_level", "warning"),
        ("tini", ["-v"], {b"PYINIT_LOG_LEVEL": b"warning"}, "log_level", "info"),
        ("tini", [], {b"PYINIT_LOG_LEVEL": b"warning", b"TINI_VERBOSITY": b"3"}, "log_level", "warning"),
        ("tini", [], {b"PYINIT_LOG_FILE": b"/log"}, "log_level", "info"),
        ("tini", [], {b"PYINIT_LOG_FILE": b""}, "log_level", "error"),
        ("tini", [], {b"PYINIT_OK_EXIT": b"143"}, "ok_exits", frozenset({143})),
        ("tini", ["-e7"], {b"PYINIT_OK_EXIT": b"not looked at"}, "ok_exits", frozenset({7})),
        ("tini", [], {b"PYINIT_REWRITE": b"TERM:QUIT"}, "rewrite", {15: 3, 21: 0, 22: 0}),
        ("dumb-init", [], {b"PYINIT_REWRITE": b"TERM:QUIT,TSTP:0"}, "rewrite", {15: 3, 20: 0, 21: 19, 22: 19}),
        ("dumb-init", ["-r1:2"], {b"PYINIT_REWRITE": b"TERM:QUIT"}, "rewrite", {1: 2, **STOPS}),
        ("dumb-init", [], {b"PYINIT_FORWARD_TO": b"tree"}, "forward_to", "tree"),
        ("dumb-init", ["-c"], {b"PYINIT_FORWARD_TO": b"tree"}, "forward_to", "main"),
        ("catatonit", ["-P"], {b"PYINIT_STOP_ON": b"QUIT"}, "stop_on", frozenset({3})),
        ("catatonit", [], {b"PYINIT_LOG_FORMAT": b"console"}, "log_format", "console"),
    ],
)
def test_our_own_variables_count(
    name: str, argv: list[str], environ: dict[bytes, bytes], setting: str, value: object
) -> None:
    """A PYINIT_ variable beats a default and a variable of the program, and is beaten by a flag."""
    settings = parse(name, [*argv, "true"], environ)
    assert getattr(settings, setting) == value
    assert settings.own_variables == [key for key in environ if key.startswith(b"PYINIT_")]


def test_a_wrong_variable_of_ours_is_told() -> None:
    """The line is our own, the status the program's."""
    settings = peers.parse("/sbin/tini", ["true"], {b"PYINIT_GRACE": b"soon"})
    assert (settings.action, settings.print_fd, settings.exit_status) == ("print", 2, 1)
    assert settings.print_text.startswith("tini: PYINIT_GRACE: 'soon' is not a duration; ")
    assert settings.print_text.count("\n") == 1


@pytest.mark.parametrize("name", ["tini", "docker-init", "dumb-init", "catatonit"])
def test_restarts_are_for_pyinit_alone(name: str) -> None:
    """A peer starts nothing again; whoever asks for that under its name is told so."""
    settings = peers.parse(f"/sbin/{name}", ["true"], {b"PYINIT_RESTART": b"always"})
    assert (settings.action, settings.print_fd, settings.exit_status) == ("print", 2, 1)
    assert settings.print_text == (
        f"{name}: PYINIT_RESTART is for pyinit under its own name; leave it out, or start pyinit\n"
    )
    assert parse(name, ["true"], {b"PYINIT_RESTART": b"no"}).restart == "no"


def test_an_unknown_variable_of_ours_is_remembered() -> None:
    """It is warned about as under our own name, and taken out."""
    settings = parse("tini", ["true"], {b"PYINIT_GRCE": b"5"})
    assert settings.unknown_variables == [("PYINIT_GRCE", "PYINIT_GRACE")]
    assert settings.own_variables == [b"PYINIT_GRCE"]


@pytest.mark.parametrize(
    "text",
    [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "SYS",
    ],
)  # fmt: skip
def test_the_signals_that_tini_knows(text: str) -> None:
    """All 28 names of its table are taken by -p."""
    assert parse("tini", ["-pSIG" + text, "true"]).pdeathsig == values.signal(text)


EXEC_FAILURES = [
    ("tini", errno.ENOENT, 127, "[FATAL tini (7)] exec x/y failed: No such file or directory\n"),
    ("docker-init", errno.EACCES, 126, "[FATAL tini (7)] exec x/y failed: Permission denied\n"),
    ("tini", errno.E2BIG, 1, "[FATAL tini (7)] exec x/y failed: Argument list too long\n"),
    ("tini", errno.ENOTDIR, 1, "[FATAL tini (7)] exec x/y failed: Not a directory\n"),
    ("dumb-init", errno.ENOENT, 2, "[dumb-init] x/y: No such file or directory\n"),
    ("dumb-init", errno.EACCES, 2, "[dumb-init] x/y: Permission denied\n"),
    ("catatonit", errno.ENOENT, 1, "ERROR (catatonit:7): failed to exec pid1: No such file or directory\n"),
    ("catatonit", errno.EACCES, 1, "ERROR (catatonit:7): failed to exec pid1: Permission denied\n"),
]


@pytest.mark.parametrize(("name", "number", "status", "text"), EXEC_FAILURES)
def test_a_command_that_cannot_be_executed(name: str, number: int, status: int, text: str) -> None:
    """Status and line are the program's."""
    assert peers_texts.exec_failure(parse(name, ["x/y"]), "x/y", number, 7) == (status, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tini", "[FATAL tini (7)] fork failed: Resource temporarily unavailable\n"),
        ("dumb-init", "[dumb-init] Unable to fork. Exiting.\n"),
        ("catatonit", "ERROR (catatonit:7): failed to spawn pid1: Resource temporarily unavailable\n"),
    ],
)
def test_no_new_process(name: str, text: str) -> None:
    """Where nothing can be started the status is 1, and the line the program's."""
    assert peers_texts.fork_failure(parse(name, ["x"]), errno.EAGAIN, 7) == (1, text)


def test_tini_warns_when_it_reaps_nothing() -> None:
    """Three lines, the first as a warning of tini's."""
    lines = peers_texts.no_reaper(7).splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["[WARN", "Zombie", "To"]
    assert lines[0].startswith("[WARN  tini (7)] Tini is not running as PID 1 and isn't registered as a child ")
    assert lines[1].endswith("so zombie reaping won't work.")


@pytest.mark.parametrize(
    ("text", "number", "rest"),
    [
        ("15", 15, ""), ("15:3", 15, ":3"), (" \t15", 15, ""), ("+15", 15, ""), ("-15", -15, ""), ("015", 15, ""),
        ("", 0, ""), (" ", 0, " "), ("x", 0, "x"), ("+", 0, "+"), ("- 1", 0, "- 1"), ("0x1", 0, "x1"),
        ("9" * 5000, 2**63 - 1, ""), ("-" + "9" * 5000, -(2**63), ""), ("\u0661", 0, "\u0661"),
    ],
)  # fmt: skip
def test_numbers_are_read_as_c_reads_them(text: str, number: int, rest: str) -> None:
    """As strtol(3): space and sign in front, whatever behind, the nearest long when there are too many digits."""
    assert values.c_long(text) == (number, rest)


@pytest.mark.parametrize(
    ("number", "cut"),
    [(0, 0), (-1, -1), (2**31 - 1, 2**31 - 1), (2**31, -(2**31)), (2**32 + 15, 15), (2**63 - 1, -1), (-(2**63), 0)],
)
def test_a_long_is_cut_to_an_int_as_c_does(number: int, cut: int) -> None:
    """The upper half is lost."""
    assert values.c_int(number) == cut
