"""The command line: what each way of writing an option gives, and where it came from."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyinit import options, signames, usage, values

DEFAULTS = {
    "until": "service",
    "grace_s": 8.0,
    "stop_signal": (),
    "ok_exits": frozenset(),
    "pause": False,
    "control": True,
    "restart": "no",
    "restart_limit": (5, 300.0),
    "restart_delay_s": 1.0,
    "restart_delay_max_s": 60.0,
    "pid_file": None,
    "pid_file_timeout_s": 60.0,
    "clean_pid_file": False,
    "notify": False,
    "reload_command": None,
    "stop_command": None,
    "grace_max_s": 8.0,
    "stop_on": frozenset({2, 3, 15}),
    "rewrite": {},
    "forward_to": "group",
    "pdeathsig": None,
    "user": None,
    "group": None,
    "chdir": None,
    "umask": None,
    "rlimits": (),
    "nice": None,
    "oom_score_adj": None,
    "cpu_affinity": None,
    "ioprio": None,
    "env": (),
    "env_files": (),
    "clear_env": False,
    "stdin": "inherit",
    "close_fds": False,
    "keep_fds": (),
    "setsid": False,
    "tty": None,
    "main_pdeathsig": None,
    "no_new_privs": False,
    "cap_drop": (),
    "cap_keep": (),
    "securebits": None,
    "log_format": "auto",
    "log_level": "info",
    "log_reaps": False,
    "log_args": False,
    "log_file": None,
    "log_schema": "otel",
    "termination_log": None,
}


def settings_of(settings: options.Settings) -> dict[str, object]:
    """Return what is set, without where it came from."""
    return {name: getattr(settings, name) for name in DEFAULTS}


def changed(setting: str, value: object) -> dict[str, object]:
    """Return the defaults with one setting changed; the longest grace is the grace unless it is set."""
    longest = {"grace_max_s": value} if setting == "grace_s" else {}
    return {**DEFAULTS, setting: value, **longest}


def test_a_command_alone_gets_the_defaults() -> None:
    """Without flags and variables each setting has its default, and says so."""
    settings = options.parse(["nginx"], {b"PATH": b"/bin"})

    assert settings.action == "run"
    assert settings.command == ["nginx"]
    assert settings_of(settings) == DEFAULTS
    assert settings.sources == dict.fromkeys(DEFAULTS, "default")
    assert settings.own_variables == []
    assert settings.unknown_variables == []


def test_the_table_and_the_settings_agree() -> None:
    """Each row of the table sets an attribute of Settings, and no name, short or variable is there twice."""
    rows = options.OPTIONS
    assert {row.setting for row in rows if row.variable} == set(DEFAULTS)
    assert {row.setting for row in rows} <= set(options.Settings.__slots__)
    assert all(bool(row.gives) == (row.kind == "preset") for row in rows)
    for names in (
        [row.name for row in rows],
        [letter for row in rows for letter in row.short],
        [row.variable for row in rows if row.variable],
    ):
        assert len(names) == len(set(names))
    assert all(row.metavar for row in rows if row.takes_value)
    assert all(not row.metavar for row in rows if not row.takes_value)
    assert all(bool(row.choices) == (row.kind in ("choice", "report")) for row in rows)


FLAGS = [
    (["--until", "main"], "until", "main"),
    (["--until=all"], "until", "all"),
    (["--grace", "5"], "grace_s", 5.0),
    (["--grace=1m30s"], "grace_s", 90.0),
    (["--grace", "0"], "grace_s", 0.0),
    (["--grace", "24h"], "grace_s", 86400.0),
    (["--stop-signal", "QUIT"], "stop_signal", ((3, None),)),
    (["--stop-signal=RTMIN+3"], "stop_signal", ((37, None),)),
    (["--stop-signal", "64"], "stop_signal", ((64, None),)),
    (["--stop-signal", "WINCH"], "stop_signal", ((28, None),)),
    (["--stop-signal", "QUIT:5s,TERM"], "stop_signal", ((3, 5.0), (15, None))),
    (["--stop-signal", "QUIT:7s,TERM:1"], "stop_signal", ((3, 7.0), (15, 1.0))),
    (["--stop-signal=sigrtmin+3:500ms,15:4500ms,INT:3s"], "stop_signal", ((37, 0.5), (15, 4.5), (2, 3.0))),
    (["--stop-signal", "QUIT:5s", "--stop-signal", "INT"], "stop_signal", ((2, None),)),
    (["--restart", "always"], "restart", "always"),
    (["--restart=on-failure", "--restart=no"], "restart", "no"),
    (["--pid-file", "/run/nginx.pid"], "pid_file", "/run/nginx.pid"),
    (["--pid-file=/run/a=b"], "pid_file", "/run/a=b"),
    (["--pid-file", "/run/\udcff"], "pid_file", "/run/\udcff"),
    (["--notify"], "notify", True),
    (["--notify", "--no-notify"], "notify", False),
    (["--no-clean-pid-file"], "clean_pid_file", False),
    (["--reload-command", "postfix reload"], "reload_command", "postfix reload"),
    (["--reload-command=-x --y=z"], "reload_command", "-x --y=z"),
    (["--stop-command", "postfix stop"], "stop_command", "postfix stop"),
    (["--stop-command", " exec \n\udcff "], "stop_command", " exec \n\udcff "),
    (["--termination-log", "/dev/null"], "termination_log", "/dev/null"),
    (["--ok-exit", "143"], "ok_exits", frozenset({143})),
    (["--ok-exit=143", "--ok-exit", "0"], "ok_exits", frozenset({0, 143})),
    (["-e143", "-e", "0"], "ok_exits", frozenset({0, 143})),
    (["--stop-on", "USR1"], "stop_on", frozenset({10})),
    (["--stop-on", "USR1,term", "--stop-on=RTMIN+3"], "stop_on", frozenset({10, 15, 37})),
    (["--stop-on", "none"], "stop_on", frozenset()),
    (["--stop-on", "none", "--stop-on", "HUP"], "stop_on", frozenset({1})),
    (["--rewrite", "TERM:QUIT"], "rewrite", {15: 3}),
    (["--rewrite=15:3", "-r", "SIGHUP:0", "-rRTMIN+1:usr2"], "rewrite", {15: 3, 1: 0, 35: 12}),
    (["-r15:2", "-r", "15:3"], "rewrite", {15: 3}),
    (["-r", "TERM:KILL"], "rewrite", {15: 9}),
    (["--forward-to", "tree"], "forward_to", "tree"),
    (["--forward-to=main"], "forward_to", "main"),
    (["--forward-to", "roots", "-g"], "forward_to", "group"),
    (["-g", "--forward-to", "roots"], "forward_to", "roots"),
    (["--user", "www-data"], "user", ("www-data", None)),
    (["--user=1000:4294967294"], "user", ("1000", "4294967294")),
    (["--user", "caf\u00e9:users"], "user", ("caf\u00e9", "users")),
    (["--group", "adm"], "group", "adm"),
    (["--chdir", "srv/www"], "chdir", "srv/www"),
    (["--umask", "27"], "umask", 0o027),
    (["--umask=00777"], "umask", 0o777),
    (["--umask", "0"], "umask", 0),
    (["--rlimit", "NOFILE=1024"], "rlimits", (("NOFILE", 1024, 1024),)),
    (["--rlimit", "rlimit_core=0:unlimited", "--rlimit=as=4G"], "rlimits", (("CORE", 0, -1), ("AS", 2**32, 2**32))),
    (["--rlimit", "STACK=8m:", "--rlimit", "nproc=:77"], "rlimits", (("STACK", 2**23, None), ("NPROC", None, 77))),
    (["--rlimit", "CPU=infinity"], "rlimits", (("CPU", -1, -1),)),
    (["--nice", "-20"], "nice", -20),
    (["--nice=+19"], "nice", 19),
    (["--oom-score-adj", "-1000"], "oom_score_adj", -1000),
    (["--cpu-affinity", "0-3,5"], "cpu_affinity", frozenset({0, 1, 2, 3, 5})),
    (["--cpu-affinity=7,7,8191"], "cpu_affinity", frozenset({7, 8191})),
    (["--ioprio", "idle"], "ioprio", (3, 0)),
    (["--ioprio", "best-effort"], "ioprio", (2, 4)),
    (["--ioprio=realtime:7"], "ioprio", (1, 7)),
    (["--env", "A=1,2 =3", "--env", "B"], "env", ("A=1,2 =3", "B")),
    (["--env", "\udcff=\udcfe"], "env", ("\udcff=\udcfe",)),
    (["--env-file", "a,b", "--env-file=c d"], "env_files", ("a,b", "c d")),
    (["--clear-env"], "clear_env", True),
    (["--stdin", "null"], "stdin", "null"),
    (["--close-fds"], "close_fds", True),
    (["--setsid"], "setsid", True),
    (["--no-setsid"], "setsid", False),
    (["--tty", "/dev/tty9"], "tty", "/dev/tty9"),
    (["--pdeathsig", "TERM"], "main_pdeathsig", 15),
    (["--no-new-privs"], "no_new_privs", True),
    (["--cap-drop", "all", "--cap-drop=net_raw,CAP_KILL"], "cap_drop", (-1, 13, 5)),
    (["--cap-keep", "Net-Bind-Service"], "cap_keep", (10,)),
    (["--securebits", "noroot,noroot_locked"], "securebits", 3),
    (["--securebits", "none"], "securebits", 0),
    (["--parent-death-signal", "KILL"], "pdeathsig", 9),
    (["-p", "SIGTERM"], "pdeathsig", 15),
    (["-p15"], "pdeathsig", 15),
    (["--no-pause"], "pause", False),
    (["-v"], "log_level", "debug"),
    (["-vvv"], "log_level", "debug"),
    (["--verbose"], "log_level", "debug"),
    (["-v", "--log-level", "error"], "log_level", "error"),
    (["-w"], "log_reaps", True),
    (["-svw", "--log-level=info"], "log_reaps", True),
    (["--log-format", "json"], "log_format", "json"),
    (["--log-level=error"], "log_level", "error"),
    (["--log-reaps"], "log_reaps", True),
    (["--log-reaps", "--no-log-reaps"], "log_reaps", False),
    (["--no-log-args", "--log-args"], "log_args", True),
    (["--log-file", "/log/pyinit=1.json"], "log_file", "/log/pyinit=1.json"),
    (["--log-file=/log/a=b"], "log_file", "/log/a=b"),
    (["--log-file", "\udcff"], "log_file", "\udcff"),
    (["--log-file=--odd"], "log_file", "--odd"),
    (["--log-schema", "ecs"], "log_schema", "ecs"),
    (["--grace", "5", "--grace", "7"], "grace_s", 7.0),
    (["--until", "main", "--until=service"], "until", "service"),
]


@pytest.mark.parametrize(("argv", "setting", "value"), FLAGS)
@pytest.mark.parametrize("end", [[], ["--"]])
def test_a_flag_sets_its_setting(argv: list[str], setting: str, value: object, end: list[str]) -> None:
    """`--opt value` and `--opt=value` are the same; of a repeated flag the last one counts."""
    settings = options.parse([*argv, *end, "true"], {})

    assert settings_of(settings) == changed(setting, value)
    assert settings.sources[setting] == "flag"
    assert settings.command == ["true"]
    assert settings.main_group == "own"


@pytest.mark.parametrize("argv", [["-s"], ["--subreaper"], ["-sss"]])
def test_a_subreaper_it_is_anyway(argv: list[str]) -> None:
    """The -s of tini is taken, and changes nothing."""
    settings = options.parse([*argv, "true"], {})
    assert settings_of(settings) == DEFAULTS
    assert settings.subreaper


def test_under_its_own_name_pyinit_takes_nobodys_place() -> None:
    """What only the peers' names change is pyinit's own without them."""
    settings = options.parse(["true"], {})
    assert (settings.persona, settings.name, settings.subreaper, settings.rest) == ("pyinit", "pyinit", True, "stop")
    assert (settings.main_group, settings.main_session, settings.error_status) == ("own", "auto", 125)
    assert not settings.unblock_signals
    assert not settings.self_stop


@pytest.mark.parametrize(
    ("argv", "environ", "alone", "whom"),
    [
        (["-c"], {}, True, "main"),
        (["--single-child"], {}, True, "main"),
        (["-cv"], {}, True, "main"),
        (["-g", "-c"], {}, True, "main"),
        (["-c", "-g"], {}, False, "group"),
        (["-c", "--forward-to", "tree"], {}, False, "tree"),
        (["--forward-to", "main"], {}, False, "main"),
        ([], {b"DUMB_INIT_SETSID": b"0"}, True, "main"),
        ([], {b"DUMB_INIT_SETSID": b"0", b"TINI_KILL_PROCESS_GROUP": b""}, True, "main"),
        ([], {b"DUMB_INIT_SETSID": b"00"}, False, "group"),
        ([], {b"DUMB_INIT_SETSID": b""}, False, "group"),
        ([], {b"DUMB_INIT_SETSID": b"0", b"PYINIT_FORWARD_TO": b"roots"}, False, "roots"),
        (["-g"], {b"DUMB_INIT_SETSID": b"0"}, False, "group"),
    ],
)
def test_a_single_child_stays_in_our_group(
    argv: list[str],
    environ: dict[bytes, bytes],
    alone: bool,  # noqa: FBT001
    whom: str,
) -> None:
    """With dumb-init's -c main stays in pyinit's process group and session, unless a later flag says otherwise."""
    settings = options.parse([*argv, "true"], environ)
    assert settings.forward_to == whom
    assert (settings.main_group, settings.main_session) == (("same", "keep") if alone else ("own", "auto"))


@pytest.mark.parametrize(
    ("environ", "level"),
    [
        ({b"TINI_VERBOSITY": b"0"}, "error"),
        ({b"TINI_VERBOSITY": b"1"}, "warning"),
        ({b"TINI_VERBOSITY": b"2"}, "info"),
        ({b"TINI_VERBOSITY": b"3"}, "debug"),
        ({b"TINI_VERBOSITY": b"99999999999999999999"}, "error"),
        ({b"TINI_VERBOSITY": b"\xff"}, "error"),
        ({b"TINI_VERBOSITY": b"0", b"DUMB_INIT_DEBUG": b"1"}, "debug"),
        ({b"DUMB_INIT_DEBUG": b"1"}, "debug"),
        ({b"DUMB_INIT_DEBUG": b"yes"}, "info"),
        ({b"CATATONIT_DEBUG": b""}, "debug"),
        ({b"CATATONIT_DEBUG": b"", b"PYINIT_LOG_LEVEL": b"warning"}, "warning"),
        ({b"CATATONIT_DEBUG": b"", b"PYINIT_LOG_LEVEL": b""}, "debug"),
        ({b"CATATONIT_LOG": b"", b"TINI_SUBREAPER": b""}, "info"),
    ],
)
def test_the_variables_of_the_peers_count(environ: dict[bytes, bytes], level: str) -> None:
    """What asks tini, dumb-init or catatonit to talk, makes pyinit talk; the command still gets these variables."""
    settings = options.parse(["true"], environ)
    assert settings.log_level == level
    assert settings.own_variables == [name for name in environ if name.startswith(b"PYINIT_")]
    assert options.parse(["--log-level=error", "true"], environ).log_level == "error"


@pytest.mark.parametrize(
    ("argv", "environ", "asks"),
    [
        (["-P"], {}, {2, 15}),
        (["--pause"], {}, {2, 15}),
        ([], {b"PYINIT_PAUSE": b"1"}, {2, 15}),
        (["-P", "--stop-on", "QUIT"], {}, {3}),
        (["-P"], {b"PYINIT_STOP_ON": b"USR1 none"}, {10}),
    ],
)
def test_a_pause_needs_no_command(argv: list[str], environ: dict[bytes, bytes], asks: set[int]) -> None:
    """A pause runs nothing, and ends at SIGTERM and SIGINT unless told otherwise."""
    settings = options.parse(argv, environ)
    assert settings.action == "run"
    assert settings.pause
    assert settings.command == []
    assert settings.stop_on == asks


@pytest.mark.parametrize("argv", [["-P", "true"], ["--pause", "--", ""]])
def test_a_pause_takes_no_command(argv: list[str]) -> None:
    """A command that would never be run is an error, not a silence."""
    with pytest.raises(options.UsageError, match="--pause runs no command"):
        options.parse(argv, {})


VARIABLES = [
    (b"PYINIT_UNTIL", b"main", "until", "main"),
    (b"PYINIT_GRACE", b"500ms", "grace_s", 0.5),
    (b"PYINIT_STOP_SIGNAL", b"sigquit", "stop_signal", ((3, None),)),
    (b"PYINIT_STOP_SIGNAL", b"QUIT:6s,TERM:2s", "stop_signal", ((3, 6.0), (15, 2.0))),
    (b"PYINIT_RESTART", b"on-failure", "restart", "on-failure"),
    (b"PYINIT_PID_FILE", b"/run/\xff.pid", "pid_file", "/run/\udcff.pid"),
    (b"PYINIT_CLEAN_PID_FILE", b"0", "clean_pid_file", False),
    (b"PYINIT_NOTIFY", b"on", "notify", True),
    (b"PYINIT_CONTROL", b"no", "control", False),
    (b"PYINIT_RELOAD_COMMAND", b"postfix reload", "reload_command", "postfix reload"),
    (b"PYINIT_STOP_COMMAND", b'kill -INT "$MAINPID"; \xff', "stop_command", 'kill -INT "$MAINPID"; \udcff'),
    (b"PYINIT_TERMINATION_LOG", b"/tmp/last", "termination_log", "/tmp/last"),
    (b"PYINIT_OK_EXIT", b"143", "ok_exits", frozenset({143})),
    (b"PYINIT_OK_EXIT", b"1,2 3, 4\t5\n", "ok_exits", frozenset({1, 2, 3, 4, 5})),
    (b"PYINIT_PAUSE", b"no", "pause", False),
    (b"PYINIT_STOP_ON", b"HUP", "stop_on", frozenset({1})),
    (b"PYINIT_STOP_ON", b"HUP,RTMIN 15", "stop_on", frozenset({1, 15, 34})),
    (b"PYINIT_STOP_ON", b"none", "stop_on", frozenset()),
    (b"PYINIT_REWRITE", b"TERM:QUIT", "rewrite", {15: 3}),
    (b"PYINIT_REWRITE", b"TERM:QUIT, HUP:0 10:12", "rewrite", {15: 3, 1: 0, 10: 12}),
    (b"PYINIT_FORWARD_TO", b"main", "forward_to", "main"),
    (b"PYINIT_PARENT_DEATH_SIGNAL", b"TERM", "pdeathsig", 15),
    (b"PYINIT_LOG_FORMAT", b"console", "log_format", "console"),
    (b"PYINIT_LOG_LEVEL", b"debug", "log_level", "debug"),
    (b"PYINIT_LOG_FILE", b"/dev/stdout", "log_file", "/dev/stdout"),
    (b"PYINIT_LOG_FILE", b"/log/\xff", "log_file", "/log/\udcff"),
    (b"PYINIT_LOG_SCHEMA", b"ecs", "log_schema", "ecs"),
    (b"PYINIT_USER", b"1000:users", "user", ("1000", "users")),
    (b"PYINIT_GROUP", b"7", "group", "7"),
    (b"PYINIT_CHDIR", b"/srv/\xff", "chdir", "/srv/\udcff"),
    (b"PYINIT_UMASK", b"077", "umask", 0o077),
    (b"PYINIT_RLIMIT", b"NOFILE=5:6, CORE=0", "rlimits", (("NOFILE", 5, 6), ("CORE", 0, 0))),
    (b"PYINIT_NICE", b"-5", "nice", -5),
    (b"PYINIT_OOM_SCORE_ADJ", b"500", "oom_score_adj", 500),
    (b"PYINIT_CPU_AFFINITY", b"0,2-3", "cpu_affinity", frozenset({0, 2, 3})),
    (b"PYINIT_IOPRIO", b"none", "ioprio", (0, 0)),
    (b"PYINIT_ENV", b"A=1, 2\n\nB=x=y\n", "env", ("A=1, 2", "B=x=y")),
    (b"PYINIT_ENV_FILE", b"/a b\n/c,d", "env_files", ("/a b", "/c,d")),
    (b"PYINIT_CLEAR_ENV", b"1", "clear_env", True),
    (b"PYINIT_STDIN", b"null", "stdin", "null"),
    (b"PYINIT_CLOSE_FDS", b"yes", "close_fds", True),
    (b"PYINIT_SETSID", b"off", "setsid", False),
    (b"PYINIT_TTY", b"/dev/tty1", "tty", "/dev/tty1"),
    (b"PYINIT_PDEATHSIG", b"INT", "main_pdeathsig", 2),
    (b"PYINIT_NO_NEW_PRIVS", b"true", "no_new_privs", True),
    (b"PYINIT_CAP_DROP", b"ALL", "cap_drop", (-1,)),
    (b"PYINIT_CAP_KEEP", b"kill, chown 	setuid,", "cap_keep", (5, 0, 7)),
    (b"PYINIT_SECUREBITS", b"noroot", "securebits", 1),
    *[(b"PYINIT_LOG_REAPS", text, "log_reaps", True) for text in (b"1", b"true", b"yes", b"on", b"True", b"YES")],
    *[(b"PYINIT_LOG_ARGS", text, "log_args", False) for text in (b"0", b"false", b"no", b"off", b"False", b"OFF")],
]


# These do nothing without another option: the flags that go with each.
WITH_OTHERS = [
    (b"PYINIT_PID_FILE_TIMEOUT", b"1m30s", "pid_file_timeout_s", 90.0, ["--pid-file", "/x"]),
    (b"PYINIT_PID_FILE_TIMEOUT", b"0", "pid_file_timeout_s", 0.0, ["--pid-file", "/x"]),
    (b"PYINIT_CLEAN_PID_FILE", b"1", "clean_pid_file", True, ["--pid-file", "/x"]),
    (b"PYINIT_KEEP_FD", b"1000", "keep_fds", (1000,), ["--close-fds"]),
    (b"PYINIT_GRACE_MAX", b"5m", "grace_max_s", 300.0, ["--notify"]),
    (b"PYINIT_RESTART_LIMIT", b"1/1ms", "restart_limit", (1, 0.001), ["--restart", "always"]),
    (b"PYINIT_RESTART_LIMIT", b"1000/24h", "restart_limit", (1000, 86400.0), ["--restart", "on-failure"]),
    (b"PYINIT_RESTART_DELAY", b"0", "restart_delay_s", 0.0, ["--restart", "always"]),
    (b"PYINIT_RESTART_DELAY", b"2m", "restart_delay_s", 120.0, ["--restart", "always"]),
    (b"PYINIT_RESTART_DELAY_MAX", b"1s", "restart_delay_max_s", 1.0, ["--restart", "always"]),
    (b"PYINIT_GRACE_MAX", b"8s", "grace_max_s", 8.0, ["--notify"]),
]


@pytest.mark.parametrize(("variable", "text", "setting", "value", "others"), WITH_OTHERS)
def test_some_need_another(variable: bytes, text: bytes, setting: str, value: object, others: list[str]) -> None:
    """With what they need, flag and variable say the same; where the needed one comes from does not matter."""
    name = variable.decode().removeprefix("PYINIT_").lower().replace("_", "-")
    flag = [f"--{name}"] if isinstance(value, bool) else [f"--{name}", text.decode()]
    other = others[0].removeprefix("--").upper().replace("-", "_").encode()
    for argv, environ, source in (
        ([*others, "x"], {variable: text}, "variable"),
        ([*flag, *others, "x"], {}, "flag"),
        ([*flag, "x"], {b"PYINIT_" + other: others[1].encode() if others[1:] else b"1"}, "flag"),
    ):
        settings = options.parse(argv, environ)
        assert getattr(settings, setting) == value
        assert settings.sources[setting] == source


@pytest.mark.parametrize(("variable", "text", "setting", "value"), VARIABLES)
def test_a_variable_sets_its_setting(variable: bytes, text: bytes, setting: str, value: object) -> None:
    """Each long option has a variable; it is taken out of the command's environment."""
    settings = options.parse(["true"], {b"HOME": b"/", variable: text, b"XPYINIT_GRACE": b"1"})

    assert settings_of(settings) == changed(setting, value)
    assert settings.sources[setting] == "variable"
    assert settings.own_variables == [variable]
    assert settings.unknown_variables == []


def test_each_option_but_the_actions_has_a_tested_variable() -> None:
    """No option is left without a variable; what ends the parsing or stands for another option has none."""
    tested = {variable.decode() for variable, *_ in VARIABLES} | {variable.decode() for variable, *_ in WITH_OTHERS}
    assert {row.variable for row in options.OPTIONS if row.variable} == tested
    assert {row.kind for row in options.OPTIONS if not row.variable} == {"action", "preset", "report"}


@pytest.mark.parametrize("row", [row for row in options.OPTIONS if row.variable], ids=lambda row: row.name)
def test_an_empty_variable_is_an_unset_one(row: options.Option) -> None:
    """An empty variable (Compose writes `${X:-}`) leaves the default, and is still taken out."""
    name = str(row.variable).encode()
    settings = options.parse(["true"], {name: b""})

    assert settings_of(settings) == DEFAULTS
    assert settings.sources[row.setting] == "default"
    assert settings.own_variables == [name]


@pytest.mark.parametrize(
    ("argv", "variable", "setting", "value"),
    [
        (["--grace", "5"], b"PYINIT_GRACE", "grace_s", 5.0),
        (["--until", "all"], b"PYINIT_UNTIL", "until", "all"),
        (["--no-log-reaps"], b"PYINIT_LOG_REAPS", "log_reaps", False),
        (["--ok-exit", "7"], b"PYINIT_OK_EXIT", "ok_exits", frozenset({7})),
    ],
)
@pytest.mark.parametrize("text", [b"1", b"\xff nonsense", b"main"])
def test_a_flag_beats_its_variable(argv: list[str], variable: bytes, setting: str, value: object, text: bytes) -> None:
    """A variable is not even looked at where its flag is given, so that a bad one does no harm there."""
    settings = options.parse([*argv, "true"], {variable: text})

    assert getattr(settings, setting) == value
    assert settings.sources[setting] == "flag"
    assert settings.own_variables == [variable]


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["true"], ["true"]),
        (["--", "true"], ["true"]),
        (["true", "--"], ["true", "--"]),
        (["--", "true", "--", "x"], ["true", "--", "x"]),
        (["--", "--", "x"], ["--", "x"]),
        (["--", "--grace"], ["--grace"]),
        (["--grace", "5", "sh", "-c", "x"], ["sh", "-c", "x"]),
        (["sh", "--grace", "5", "--help"], ["sh", "--grace", "5", "--help"]),
        (["--log-reaps", "nginx", "-g", "daemon off;"], ["nginx", "-g", "daemon off;"]),
        (["-", "x"], ["-", "x"]),
        (["true", ""], ["true", ""]),
        (["caf\u00e9", "\udcff"], ["caf\u00e9", "\udcff"]),
    ],
)
def test_options_end_at_the_first_operand(argv: list[str], command: list[str]) -> None:
    """What follows the first operand, or `--`, is the command's, to the letter."""
    assert options.parse(argv, {}).command == command


@pytest.mark.parametrize(
    ("argv", "action"),
    [
        (["-l"], "licence"),
        (["-L"], "licence"),
        (["--licence"], "licence"),
        (["-gVz"], "version"),
        (["-vh"], "help"),
        (["-help"], "help"),
        (["-h"], "help"),
        (["--help"], "help"),
        (["--help-all"], "help-all"),
        (["-V"], "version"),
        (["--version"], "version"),
        (["--", "--help"], "help"),
        (["--grace", "bad", "--", "--version", "--no-such-option"], "version"),
        (["-hV"], "help"),
        (["-Vh"], "version"),
        (["--help", "--no-such-option"], "help"),
        (["--grace", "bad", "--help"], "help"),
        (["--log-reaps", "-V", "nginx"], "version"),
    ],
)
def test_help_and_version_end_the_parsing(argv: list[str], action: str) -> None:
    """Who asks for help gets it, whatever else is wrong with values, variables or what follows."""
    settings = options.parse(argv, {b"PYINIT_GRACE": b"bad"})

    assert settings.action == "print"
    assert settings.print_text == usage.text_of(action)
    assert (settings.print_fd, settings.exit_status) == (1, 0)
    assert settings.command == []


@pytest.mark.parametrize(
    ("argv", "action", "report", "command"),
    [
        (["--check"], "check", "text", []),
        (["--check=text"], "check", "text", []),
        (["--check=json"], "check", "json", []),
        (["--check", "--grace", "60s"], "check", "text", []),
        (["--check", "nginx", "--check=json"], "check", "text", ["nginx", "--check=json"]),
        (["--pause", "--check"], "check", "text", []),
        (["--dry-run", "nginx"], "dry-run", "text", ["nginx"]),
        (["--dry-run=json", "--", "nginx"], "dry-run", "json", ["nginx"]),
        (["--dry-run", "--pause"], "dry-run", "text", []),
        (["--dry-run", "--check=json"], "check", "json", []),
        (["--check=json", "--dry-run", "x"], "dry-run", "text", ["x"]),
        (["--", "--check"], "check", "text", []),
        (["--", "--check=json", "--grace", "60s"], "check", "json", []),
        (["--grace", "60s", "--", "--dry-run", "--", "nginx", "-g"], "dry-run", "text", ["nginx", "-g"]),
        (["--", "--dry-run", "--", "--check"], "dry-run", "text", ["--check"]),
        (["--", "./--check"], "run", "", ["./--check"]),
        (["--", "--", "--check"], "run", "", ["--", "--check"]),
        (["true", "--check"], "run", "", ["true", "--check"]),
    ],
)
def test_check_and_dry_run(argv: list[str], action: str, report: str, command: list[str]) -> None:
    """Both start nothing and take the options beside them; an image's `pyinit --` in front of them does no harm."""
    settings = options.parse(argv, {b"PYINIT_LOG_LEVEL": b"debug"})

    assert (settings.action, settings.report, settings.command) == (action, report, command)
    assert settings.grace_s == (60.0 if "60s" in argv else 8.0)
    assert settings.log_level == "debug"
    assert settings.given_as["log_level"] == ("PYINIT_LOG_LEVEL", ["debug"])


def test_unknown_variables_come_with_the_nearest_name() -> None:
    """A PYINIT_ variable that means nothing is told, with what was perhaps meant, and taken out."""
    environ = {
        b"PYINIT_GRCE": b"5",
        b"PYINIT_log_level": b"debug",
        b"PYINIT_PORT_8080_TCP": b"tcp://10.0.0.1:8080",
        b"PYINIT_\xff": b"",
        b"PYINIT_": b"x",
        b"PYINIT": b"not ours",
        b"PYINIT_GRACE": b"4",
    }
    settings = options.parse(["true"], environ)

    assert settings.unknown_variables == [
        ("PYINIT_GRCE", "PYINIT_GRACE"),
        ("PYINIT_log_level", "PYINIT_LOG_LEVEL"),
        ("PYINIT_PORT_8080_TCP", None),
        ("PYINIT_\udcff", None),
        ("PYINIT_", None),
    ]
    assert settings.own_variables == [name for name in environ if name != b"PYINIT"]
    assert settings.grace_s == 4.0


TABLE = (
    options.Option("quick", "quick", "switch", "x", short="q"),
    options.Option("pdeathsig", "pdeathsig", "signal", "x", "SIG", short="p"),
    options.Option("ok-exit", "ok_exits", "statuses", "x", "N", short="e"),
    options.Option("help", "action", "action", "x", short="h"),
)


@pytest.mark.parametrize(
    ("argv", "given", "rest"),
    [
        (["-q", "x"], {"quick": ["-q", "yes"]}, ["x"]),
        (["-qpTERM", "x"], {"quick": ["-q", "yes"], "pdeathsig": ["-p", "TERM"]}, ["x"]),
        (["-p", "TERM", "x"], {"pdeathsig": ["-p", "TERM"]}, ["x"]),
        (["-p", "-5", "x"], {"pdeathsig": ["-p", "-5"]}, ["x"]),
        (["-qp", "TERM", "-q", "x"], {"quick": ["-q", "yes"], "pdeathsig": ["-p", "TERM"]}, ["x"]),
        (["-e1", "-e", "2", "--ok-exit=3", "x"], {"ok_exits": ["-e", "1", "2", "3"]}, ["x"]),
        (["-qh", "-z"], {"quick": ["-q", "yes"], "action": ["-h", "help"]}, ["-z"]),
        (["-q", "--no-quick", "--", "-q"], {"quick": ["--no-quick", "no"]}, ["-q"]),
    ],
)
def test_short_flags_cluster(argv: list[str], given: dict[str, list[str]], rest: list[str]) -> None:
    """Short flags may share a dash; one that takes a value takes the rest of the word, or the next."""
    assert options.read_flags(argv, TABLE) == (given, rest)


def test_parse_leaves_its_input_alone() -> None:
    """The caller's list is not changed; boot may still need it."""
    argv = ["--grace", "5", "--", "true"]
    options.parse(argv, {})
    assert argv == ["--grace", "5", "--", "true"]


# Text as it can reach us: any bytes without NUL, decoded as the interpreter does it.
BYTES = st.binary(max_size=30).map(lambda raw: raw.replace(b"\0", b"0"))
WORDS = st.one_of(
    BYTES.map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    st.text(max_size=20),
    st.sampled_from(
        ["-", "--", "-h", "-V", "-hV", "", "=", "8s", "TERM", "143", "1e3", "inf", "nan", "\x1b[31m", "\n", "\u2028"]
        + ["--" + row.name for row in options.OPTIONS]
        + ["--" + row.name + "=" for row in options.OPTIONS]
        + ["--no-" + row.name for row in options.OPTIONS]
        + [f"--{row.name}={row.default}" for row in options.OPTIONS]
        + ["QUIT:1s,TERM", "QUIT:20s,TERM:5s", "--stop-signal=TERM:5s", "--pid-file=x", "--grace-max=60", "--notify"]
    ),
)
NAMES = st.one_of(
    st.sampled_from([str(row.variable).encode() for row in options.OPTIONS if row.variable]),
    BYTES.map(lambda raw: b"PYINIT_" + raw),
    BYTES,
)


@settings(max_examples=400, deadline=None)
@given(argv=st.lists(WORDS, max_size=8), environ=st.dictionaries(NAMES, BYTES, max_size=4))
def test_nothing_but_a_usage_error_comes_out(argv: list[str], environ: dict[bytes, bytes]) -> None:
    """Whatever the arguments and variables are, there are settings, or one line that can be printed."""
    message = ""
    try:
        settings = options.parse(argv, environ)
    except options.UsageError as error:
        message = error.message
    if message:
        assert message.isprintable()
        assert message.encode()
        assert len(message) < 1000
        return
    if settings.action == "run" and not settings.pause:
        assert settings.command
        assert settings.command[0]
        assert argv[len(argv) - len(settings.command) :] == settings.command
        assert set(settings.sources) == set(DEFAULTS)
        assert 0 <= settings.grace_s <= values.DURATION_MAX_S
        assert all(1 <= signo <= signames.RTMAX for signo, _ in settings.stop_signal)
        assert all(seconds for _, seconds in settings.stop_signal[:-1])
        assert settings.grace_max_s is not None
        assert settings.grace_max_s >= settings.grace_s >= sum(seconds or 0 for _, seconds in settings.stop_signal)
    assert all(isinstance(name, str) for name, _ in settings.unknown_variables)


@given(
    grace_ms=st.integers(0, values.DURATION_MAX_S * 1000),
    number=st.integers(1, signames.RTMAX).filter(lambda number: number not in values.NEVER_STOPS),
    statuses=st.sets(st.integers(0, 255), max_size=5),
    as_variables=st.booleans(),
)
def test_what_is_written_is_what_is_set(
    grace_ms: int,
    number: int,
    statuses: set[int],
    as_variables: bool,  # noqa: FBT001
) -> None:
    """A flag and a variable with the same text give the same setting."""
    grace, signal = f"{grace_ms}ms", signames.name(number)
    argv = ["--grace", grace, "--stop-signal", signal]
    environ = {}
    if as_variables:
        argv = []
        environ = {b"PYINIT_GRACE": grace.encode(), b"PYINIT_STOP_SIGNAL": signal.encode()}
        environ[b"PYINIT_OK_EXIT"] = ",".join(map(str, statuses)).encode()
    else:
        argv += [f"--ok-exit={status}" for status in statuses]
    settings = options.parse([*argv, "true"], environ)

    assert settings.grace_s == grace_ms / 1000
    assert settings.stop_signal == ((number, None),)
    assert settings.ok_exits == statuses


@pytest.mark.parametrize(
    ("argv", "environ", "grace_s"),
    [
        (["--stop-signal", "QUIT:20s,TERM:5s"], {}, 25.0),
        (["--stop-signal", "QUIT:20s"], {}, 20.0),
        (["--stop-signal", "QUIT:300ms,TERM:200ms"], {}, 0.5),
        ([], {b"PYINIT_STOP_SIGNAL": b"QUIT:20s,TERM:5s"}, 25.0),
        (["--stop-signal", "QUIT:20s,TERM:5s"], {b"PYINIT_GRACE": b""}, 25.0),
        (["--stop-signal", "QUIT:20s,TERM:5s", "--stop-command", "x"], {}, 33.0),
        (["--stop-signal", "QUIT:20s,TERM:5s", "--grace", "60"], {}, 60.0),
        (["--stop-signal", "QUIT:20s,TERM:5s", "--grace", "25"], {}, 25.0),
        (["--stop-signal", "QUIT:20s,TERM:5s"], {b"PYINIT_GRACE": b"30"}, 30.0),
        (["--stop-signal", "QUIT:20s,TERM:5s", "--stop-command", "x", "--grace", "26"], {}, 26.0),
        (["--stop-signal", "QUIT:20s,TERM", "--grace", "21"], {}, 21.0),
        (["--stop-signal", "QUIT:2s,TERM"], {}, 8.0),
        (["--stop-signal", "QUIT:2s,TERM", "--stop-command", "x"], {}, 8.0),
        (["--stop-signal", "QUIT", "--stop-command", "x"], {}, 8.0),
        (["--stop-command", "x", "--grace", "1ms"], {}, 0.001),
        (["--stop-signal", "1:3h,1:3h,1:3h,1:3h,1:3h,1:3h,1:3h,1:3h"], {}, 86400.0),
        (["--stop-signal", "1:24h", "--grace", "24h"], {}, 86400.0),
    ],
)
def test_a_schedule_adds_up_to_the_grace(argv: list[str], environ: dict[bytes, bytes], grace_s: float) -> None:
    """A schedule that times every signal is the grace unless one is set; a stop command gets the default on top."""
    settings = options.parse([*argv, "true"], environ)
    assert settings.grace_s == grace_s
    assert settings.grace_max_s == grace_s


def test_the_longest_grace_is_measured_at_the_whole_grace() -> None:
    """--grace-max may be as long as the schedule, and no shorter."""
    argv = ["--notify", "--stop-signal", "QUIT:20s,TERM:5s", "--grace-max"]
    assert options.parse([*argv, "25s", "true"], {}).grace_max_s == 25.0
    with pytest.raises(options.UsageError, match="--grace-max is less than the grace of 25 s"):
        options.parse([*argv, "24s", "true"], {})


@pytest.mark.parametrize("setting", ["pid_file", "termination_log"])
@pytest.mark.parametrize("path", ["run/x.pid", "./x", "..", "\udcff", "~"])
def test_a_relative_path_begins_where_pyinit_was_started(
    setting: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pyinit leaves its working directory, so a path that is used later is made a whole one first."""
    monkeypatch.chdir(tmp_path)
    argv = [f"--{setting.replace('_', '-')}", path, "true"]
    assert getattr(options.parse(argv, {}), setting) == f"{tmp_path}/{path}"
    monkeypatch.chdir("/")
    assert getattr(options.parse(argv, {}), setting) == f"/{path}"


def test_a_relative_path_needs_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the working directory has been removed, a relative path is an error that says so; a whole one is none."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(options.UsageError, match="--pid-file: the working directory is not there"):
        options.parse(["--pid-file", "x", "true"], {})
    with pytest.raises(options.UsageError, match="PYINIT_TERMINATION_LOG: the working directory"):
        options.parse(["true"], {b"PYINIT_TERMINATION_LOG": b"x"})
    assert options.parse(["--pid-file", "/x", "true"], {}).pid_file == "/x"


@pytest.mark.parametrize(
    ("argv", "environ"),
    [
        (["-P", "--termination-log", "/x"], {}),
        (["-P", "--no-notify"], {}),
        (["-P"], {b"PYINIT_NOTIFY": b"0", b"PYINIT_STOP_COMMAND": b""}),
        (["-P", "--stop-signal", "QUIT:20s,TERM:5s"], {}),
        (["--no-notify", "--no-clean-pid-file", "true"], {}),
        (["--reload-command", "x", "--stop-on", "USR1", "true"], {}),
        (["--reload-command", "x", "--no-pause", "true"], {}),
    ],
)
def test_what_goes_together(argv: list[str], environ: dict[bytes, bytes]) -> None:
    """A no is no request, and needs nothing."""
    assert options.parse(argv, environ).action == "run"


def test_a_long_first_delay_is_no_longer_than_the_longest() -> None:
    """A longest delay that nobody has set gives way to the first one."""
    settings = options.parse(["--restart", "always", "--restart-delay", "2m", "x"], {})
    assert (settings.restart_delay_s, settings.restart_delay_max_s) == (120.0, 120.0)


def test_a_pause_may_say_that_nothing_is_started_again() -> None:
    """`--restart no` is what a pause is anyway."""
    assert options.parse(["--pause", "--restart", "no"], {}).pause
