"""Wrong command lines and variables: each gets one clear line that names what is wrong."""

import pytest

from pyinit import options, peers

# Each row: the wrong arguments (a command follows), and what the message must say.
LONG = "9" * 5000
WRONG_VALUES = {
    "--grace": [
        "", " ", "x", "s", "ms", "-1", "-0", "+1", "1.5", "1,5", ".5", "5.", "1e3", "inf", "-inf", "nan", "infinity",
        "0x10", "1_000", "8S", "8 s", " 8", "8 ", "8s ", "8\n", "1m1m", "1s1m", "1ms1s", "1m30", "30 1m", "1d", "1w",
        "1min", "8sec", "25h", "86401", "24h1ms", "1h1h", "\u0665", "\u00b2", "8\u200b", "\udcff", "8\x00", LONG,
        LONG + "s", "never", "None", "true",
    ],
    "--stop-signal": [
        "", "0", "65", "-15", "+15", "1.0", "015", "TERMINATE", "SIG", "SIGSIGTERM", "SIG15", "RTMIN+", "RTMIN-1",
        "RTMIN+31", "RTMAX+1", "RTMAX-31", "RTMIN+-1", "RTMIN + 3", "RTMIN+003", "RTMIN+\u0663", "\u0661", "TERM ",
        " TERM", "TERM,QUIT", "TERM\n", "\u017fIGTERM", "\udc80", LONG, "NSIG", "SIGRT3", "KILL", "9", "CHLD", "CONT",
        "STOP", "TSTP", "TTIN", "22", "TERM:", ":", ":5s", "TERM:0", "TERM:0ms,QUIT", "TERM:-1", "TERM:5x",
        "TERM:5s:6s", "TERM: 5s", "TERM :5s", "TERM:5 s", "TERM:1.5", "TERM:25h", "TERM=5s", "TERM:5s,", ",TERM:5s",
        "TERM:5s,,QUIT", "TERM:5s, QUIT", "TERM:5s QUIT", "TERM:5s;QUIT", "QUIT,TERM:5s", "QUIT,TERM",
        "QUIT:5s,TERM,INT", "QUIT:5s,KILL", "QUIT:5s,KILL:1s", "STOP:1s,TERM", "TERM:\u0665", "TERM:5s,\udcff",
        "TERM:" + LONG, "5s", "5s:TERM",
    ],
    "--ok-exit": [
        "", "-1", "256", "1.0", "143,130", "143 130", "0x8f", "1e2", "SIGTERM", "all", "\u0661", "\udcff", LONG, "\t",
    ],
    "--stop-on": [
        "", ",", "TERM,", ",TERM", "TERM,,INT", "TERM, INT", "TERM INT", "0", "65", "KILL", "9", "TERM,SIGSTOP", "CHLD",
        "none,KILL", "nobody", "all", "-15", "\u0661", "\udcff", LONG,
    ],
    "--rewrite": [
        "", ":", "TERM", "TERM:", ":TERM", "TERM:QUIT:INT", "TERM::QUIT", "TERM=QUIT", "TERM:QUIT,HUP:0", "0:TERM",
        "TERM:65", "TERM:00", "TERM:none", "TERM:-1", "KILL:TERM", "STOP:0", "CHLD:0", "17:15", "9:9", "TERM :QUIT",
        "TERM: QUIT", "x:y", "\u0661:1", "\udcff:1", LONG + ":1", "1:" + LONG,
    ],
    "--forward-to": ["", "Main", "all", "main,group", "children", "0", "\udcff"],
    "--parent-death-signal": ["", "0", "65", "none", "-9", "SIG", "KILL,TERM", "\udcff"],
    "--until": ["", "Main", "main ", "services", "main|all", "any", "\udcff", "0"],
    "--log-format": ["", "JSON", "yaml", "text", "json,console"],
    "--log-level": ["", "INFO", "warn", "trace", "1", "\x1b[31minfo"],
    "--log-schema": ["", "opentelemetry", "OTEL", "elastic"],
    "--log-file": ["", "-", "a\x00b", "x" * 4096],
    "--pid-file": ["", "-", "/run/\x00", "/" + "x" * 4096],
    "--pid-file-timeout": ["", "-1", "1.5", "never", "inf", "25h", "60 s"],
    "--reload-command": ["", " ", "\t\n", "a\x00b"],
    "--stop-command": ["", " ", "\u2003", "\x00", "postfix stop\x00"],
    "--grace-max": ["", "x", "-1", "infinity", "86401", "none"],
    "--user": [
        "", ":", "a:", ":a", "a:b:c", "a b", "-1", "+1", "-", "a,b", "a/b", "4294967295", "99999999999", LONG, "a\n",
        "a\x00", "\udcff", "a:4294967295", "1000:-1", "root:", "\t", "a:b ",
    ],
    "--group": ["", "a:b", "-1", "4294967295", "a b", "\x00", "a/b", LONG],
    "--chdir": ["", "-", "a\x00", "/" + "x" * 4096],
    "--umask": ["", "8", "0o22", "-1", "1000", "u=rwx", "0x1f", "000022", " 22", "\u0660", "\udcff", LONG],
    "--rlimit": [
        "", "=", "NOFILE", "NOFILE=", "NOFILE=:", "=5", "NOFLE=5", "NOFILE=x", "NOFILE=-1", "NOFILE=5:4",
        "NOFILE=unlimited:5", "NOFILE=5:6:7", "NOFILE=1K", "AS=1.5G", "AS=G", "AS=9223372036854775808", "AS=8388608T",
        "NOFILE= 5", "NOFILE=\u0665", "CORE=0,AS=1", "\udcff=1", "NOFILE=" + LONG, "RLIMIT_=1", "FILES=3",
    ],
    "--nice": ["", "-21", "20", "x", "1.5", "5-", "+", "-", "\u0661", "\udcff", LONG, "nice"],
    "--oom-score-adj": ["", "-1001", "1001", "x", "1e3", "never", "-", LONG],
    "--cpu-affinity": ["", ",", "0,", "-1", "3-1", "0-", "a", "0-3-5", "0x1", "8192", "0 1", "0..3", "\udcff", LONG],
    "--ioprio": ["", "idle:1", "none:0", "best-effort:8", "best-effort:", "be:4", "realtime:-1", "2:4", "\udcff"],
    "--env": ["", "=", "=x", "A\x00=1", "A=\x00"],
    "--env-file": ["", "-", "a\x00", "x" * 4096],
    "--stdin": ["", "Null", "/dev/null", "close", "\udcff"],
    "--keep-fd": ["", "-1", "0", "1", "2", "x", "3,4", "1.0", "1048577", "\u0663", LONG],
    "--tty": ["", "-", "\x00", "/" + "x" * 4096],
    "--pdeathsig": ["", "0", "65", "none", "KILL,TERM", "TREM", "\udcff"],
    "--cap-drop": ["", "none", "NET_RW", "CAP_", "CAP_CAP_KILL", "+kill", "41", "all,", ",all", "a b", "\udcff", LONG],
    "--cap-keep": ["", "no", "CAP_ALLE", "SETUID,,KILL", "\u0131pc_lock", LONG],
    "--securebits": [
        "", "noroot,", "root", "keep-caps", "keep_caps,noroot", "0x2f", "none,noroot", "\u212aeep-caps-locked",
        "\udcff", LONG,
    ],
    "--termination-log": ["", "-", "\x00", "/" + "x" * 5000],
    "--restart": ["", "yes", "Always", "on_failure", "always:5", "unless-stopped", "\udcff"],
    "--restart-limit": [
        "", "5", "/", "5/", "/5m", "0/5m", "1001/5m", "-1/5m", "5/0", "5/25h", "5/5x", "5/5m/1", " 5/5m", "5 /5m",
        "5:5m", "none", "\u0665/5m", "5/\u0665", LONG + "/5m", "5/" + LONG, "\udcff",
    ],
    "--restart-delay": ["", "-1", "1.5", "never", "25h"],
    "--restart-delay-max": ["", "-1", "x", "inf", "25h"],
}  # fmt: skip
WRONG_LINES = [
    ([], "no command"),
    (["--"], "no command"),
    (["--grace", "5"], "no command"),
    (["--grace", "5", "--"], "no command"),
    (["--log-reaps"], "no command"),
    ([""], "command is empty"),
    (["--", ""], "command is empty"),
    (["", "x"], "command is empty"),
    (["--grace"], "--grace needs a value"),
    (["--until"], "--until needs a value"),
    (["--stop-signal"], "--stop-signal needs a value"),
    (["--ok-exit"], "--ok-exit needs a value"),
    (["--log-file"], "--log-file needs a value"),
    (["--log-file", "--log-reaps", "x"], "--log-file needs a value"),
    (["--grace", "--", "x"], "--grace needs a value"),
    (["--grace", "--until=main", "x"], "--grace needs a value"),
    (["--check=yaml"], "--check: 'yaml' is none of its values; write text or json"),
    (["--check=", "x"], "--check: '' is none of its values; write text or json"),
    (["--check=jsno"], "(did you mean json?)"),
    (["--dry-run=JSON", "x"], "--dry-run: 'JSON' is none of its values; write text or json"),
    (["--dry-run"], "no command given"),
    (["--dry-run=json", "--"], "no command given"),
    (["--dry-run", "--pause", "x"], "--pause runs no command"),
    (["--check", "--pause", "x"], "--pause runs no command"),
    (["--check", ""], "command is empty"),
    (["--check", "--grace", "x"], "--grace: 'x'"),
    (["--", "--check", "--grace"], "--grace needs a value"),
    (["--", "--check", "--grce=5"], "did you mean --grace?"),
    (["--", "--dry-run"], "no command given"),
    (["--", "--help=x"], "--help takes no value"),
    (["--no-check"], "'--no-check'"),
    (["--no-dry-run", "x"], "did you mean --dry-run?"),
    (["--dryrun", "x"], "did you mean --dry-run?"),
    (["-check"], "did you mean --check?"),
    (["-dry-run", "x"], "did you mean --dry-run?"),
    (["--test", "x"], "'--test'"),
    (["--help-al"], "did you mean --help-all?"),
    (["--help-all=x"], "--help-all takes no value"),
    (["--log-reaps=yes", "x"], "--log-reaps takes no value"),
    (["--log-reaps=", "x"], "--log-reaps takes no value"),
    (["--no-log-reaps=1", "x"], "--no-log-reaps takes no value"),
    (["--help=me"], "--help takes no value"),
    (["--version=", "x"], "--version takes no value"),
    (["--gracee", "5", "x"], "did you mean --grace?"),
    (["--gra", "5", "x"], "did you mean --grace?"),
    (["--grace-period=5", "x"], "did you mean --grace?"),
    (["-grace", "5", "x"], "did you mean --grace?"),
    (["-grace=5", "x"], "did you mean --grace?"),
    (["-version"], "did you mean --version?"),
    (["-log-level", "x"], "did you mean --log-level?"),
    (["-gz", "x"], "'-z' in '-gz'"),
    (["-gr", "x"], "-r: 'x'"),
    (["-r"], "-r needs a value; write -r FROM:TO, for example -r TERM:QUIT"),
    (["-r", "--", "x"], "-r needs a value"),
    (["-e", "x"], "-e: 'x'"),
    (["-ve"], "-e needs a value"),
    (["-p"], "-p needs a value"),
    (["-pNOPE", "x"], "-p: 'NOPE'"),
    (["--stop-on"], "--stop-on needs a value; write --stop-on SIG, for example --stop-on TERM,INT,QUIT"),
    (["--forward-to"], "--forward-to needs a value"),
    (["--group", "--"], "--group needs a value; write --group GROUP, for example --group www-data"),
    (["-g=x", "x"], "'-=' in '-g=x'"),
    (["--user"], "--user needs a value; write --user USER[:GROUP], for example --user www-data"),
    (["--rlimit"], "for example --rlimit NOFILE=65536"),
    (["--rlimit", "NOFLE=3", "x"], "(did you mean NOFILE?)"),
    (["--rlimit", "FILES=3", "x"], "write one of AS CORE CPU"),
    (["--cap-drop", "NET_RW", "x"], "(did you mean NET_RAW?)"),
    (["--cap-keep", "setuid,net_bind", "x"], "'net_bind' is not a capability"),
    (["--cap-keep", "setuid,net_bind", "x"], "(did you mean NET_BIND_SERVICE?)"),
    (["--securebits", "noroot,norot-locked", "x"], "(did you mean noroot-locked?)"),
    (["--securebits", "keepcaps", "x"], "exec clears keep-caps; --cap-keep keeps capabilities"),
    (["--pdeathsig", "TREM", "x"], "(did you mean TERM?)"),
    (["--env"], "--env needs a value; write --env NAME=VALUE, for example --env LANG=C.UTF-8"),
    (["--keep-fd", "3", "x"], "--keep-fd does nothing without --close-fds"),
    (["--pause", "--user", "x"], "--pause runs no command; leave out --user"),
    (["--pause", "--nice", "0"], "--pause runs no command; leave out --nice"),
    (["--pause", "--clear-env"], "--pause runs no command; leave out --clear-env"),
    (["--tty", "/dev/tty", "--no-setsid", "x"], "leave out --no-setsid, or the terminal"),
    (["--tty", "/dev/tty", "--stdin", "null", "x"], "--tty is main's standard input; leave out --stdin"),
    (["-c", "--setsid", "x"], "--setsid takes a session of its own; leave out -c (--single-child), or --setsid"),
    (["-c", "--tty", "/dev/tty", "x"], "--tty takes a session of its own; leave out -c"),
    (["--cap-drop", "kill,all", "--cap-keep", "KILL", "x"], "both name KILL; leave it out in one of them"),
    (["--cap-drop", "all", "--cap-keep", "all", "x"], "both name all"),
    (["--close_fds", "x"], "did you mean --close-fds?"),
    (["--capdrop", "all", "x"], "did you mean --cap-drop?"),
    (["--uid", "1", "x"], "unknown option '--uid'"),
    (["--single-child=1", "x"], "--single-child takes no value"),
    (["--no-verbose", "x"], "'--no-verbose'"),
    (["--license"], "did you mean --licence?"),
    (["--rewrit", "1:2", "x"], "did you mean --rewrite?"),
    (["-s"], "no command"),
    (["--no-pause"], "no command"),
    (["--pause=yes"], "--pause takes no value"),
    (["--Grace", "5", "x"], "did you mean --grace?"),
    (["--stop_signal", "x"], "did you mean --stop-signal?"),
    (["--signal", "x"], "did you mean --stop-signal?"),
    (["--ok-exits=1", "x"], "did you mean --ok-exit?"),
    (["--log-reap", "x"], "did you mean --log-reaps?"),
    (["--no-log-reap", "x"], "did you mean --no-log-reaps?"),
    (["--no-grace", "x"], "did you mean --grace?"),
    (["--no-until", "x"], "did you mean --until?"),
    (["--no-help"], "'--no-help'"),
    (["--loglevel=debug", "x"], "did you mean --log-level?"),
    (["--hlep"], "did you mean --help?"),
    (["--versoin"], "did you mean --version?"),
    (["--pid-file"], "--pid-file needs a value; write --pid-file PATH, for example --pid-file /run/nginx.pid"),
    (["--pid-file", "--", "x"], "--pid-file needs a value"),
    (["--pid-file-timeout"], "--pid-file-timeout needs a value; write --pid-file-timeout D, for example"),
    (["--stop-command"], "for example --stop-command 'postfix stop'"),
    (["--reload-command"], "for example --reload-command 'postfix reload'"),
    (["--grace-max"], "for example --grace-max 60s"),
    (["--stop-signal"], "for example --stop-signal QUIT:20s,TERM:5s"),
    (["--termination-log"], "--termination-log needs a value"),
    (["--notify=1", "x"], "--notify takes no value; write --notify or --no-notify"),
    (["--clean-pid-file=yes", "x"], "--clean-pid-file takes no value"),
    (["--no-pid-file", "x"], "'--no-pid-file'"),
    (["--no-stop-command", "x"], "did you mean --stop-command?"),
    (["--pidfile", "/x", "x"], "did you mean --pid-file?"),
    (["--pid_file_timeout=5", "x"], "did you mean --pid-file-timeout?"),
    (["--clean-pidfile", "x"], "did you mean --clean-pid-file?"),
    (["--sd-notify", "x"], "did you mean --notify?"),
    (["--nofity", "x"], "did you mean --notify?"),
    (["--stop-cmd", "x", "x"], "did you mean --stop-command?"),
    (["--reload", "x", "x"], "did you mean --reload-command?"),
    (["--max-grace", "x", "x"], "did you mean --grace?"),
    (["--termination-message", "x", "x"], "did you mean --termination-log?"),
    (["--zzz", "x"], "pyinit --help lists all of them"),
    (["---", "x"], "'---'"),
    (["--=", "x"], "'--'"),
    (["--=5", "x"], "'--'"),
    (["-z", "x"], "'-z'"),
    (["-zV", "x"], "'-z' in '-zV'"),
    (["-=", "x"], "'-='"),
    (["--\udcff\udcfe", "x"], "'--\\xff\\xfe'"),
    (["-\udcff", "x"], "'-\\xff'"),
    (["--\n", "x"], "'--\\n'"),
    (["--\x1b[2J", "x"], "'--\\x1b[2J'"),
    (["--\u202egrace", "x"], "\\u202e"),
    (["-\u2028", "x"], "'-\\u2028'"),
    (["--" + "x" * 100_000, "x"], "xxx..."),
]
WRONG_VARIABLES = [
    (b"PYINIT_UNTIL", b"forever"),
    (b"PYINIT_UNTIL", b" "),
    (b"PYINIT_GRACE", b"8 s"),
    (b"PYINIT_GRACE", b"8s\r"),
    (b"PYINIT_GRACE", b"\xff\xfe"),
    (b"PYINIT_GRACE", b"-1"),
    (b"PYINIT_GRACE", b"1e3"),
    (b"PYINIT_STOP_SIGNAL", b"SIGTERN"),
    (b"PYINIT_STOP_SIGNAL", b"TERM QUIT"),
    (b"PYINIT_OK_EXIT", b"143;130"),
    (b"PYINIT_OK_EXIT", b"143,x"),
    (b"PYINIT_OK_EXIT", b"0,256"),
    (b"PYINIT_STOP_ON", b"TERM,KILL"),
    (b"PYINIT_STOP_ON", b"TERM;INT"),
    (b"PYINIT_REWRITE", b"TERM"),
    (b"PYINIT_REWRITE", b"TERM:QUIT;HUP:0"),
    (b"PYINIT_REWRITE", b"TERM:QUIT KILL:TERM"),
    (b"PYINIT_FORWARD_TO", b"everybody"),
    (b"PYINIT_PAUSE", b"always"),
    (b"PYINIT_PARENT_DEATH_SIGNAL", b"none"),
    (b"PYINIT_LOG_FORMAT", b"jsno"),
    (b"PYINIT_USER", b"a b"),
    (b"PYINIT_GROUP", b":"),
    (b"PYINIT_CHDIR", b"-"),
    (b"PYINIT_UMASK", b"999"),
    (b"PYINIT_RLIMIT", b"NOFILE=1 FILES=2"),
    (b"PYINIT_NICE", b"50"),
    (b"PYINIT_OOM_SCORE_ADJ", b"max"),
    (b"PYINIT_CPU_AFFINITY", b"all"),
    (b"PYINIT_IOPRIO", b"idle:0"),
    (b"PYINIT_ENV", b"A=1\n=2"),
    (b"PYINIT_ENV_FILE", b"/a\n-"),
    (b"PYINIT_CLEAR_ENV", b"all"),
    (b"PYINIT_STDIN", b"/dev/null"),
    (b"PYINIT_CLOSE_FDS", b"3"),
    (b"PYINIT_KEEP_FD", b"3,2"),
    (b"PYINIT_SETSID", b"new"),
    (b"PYINIT_TTY", b"-"),
    (b"PYINIT_PDEATHSIG", b"0"),
    (b"PYINIT_NO_NEW_PRIVS", b"2"),
    (b"PYINIT_CAP_DROP", b"all nobody"),
    (b"PYINIT_CAP_KEEP", b"KILL;CHOWN"),
    (b"PYINIT_SECUREBITS", b"noroot locked"),
    (b"PYINIT_LOG_LEVEL", b"verbose"),
    (b"PYINIT_LOG_REAPS", b"2"),
    (b"PYINIT_LOG_REAPS", b"y"),
    (b"PYINIT_LOG_ARGS", b"maybe"),
    (b"PYINIT_LOG_ARGS", b"true "),
    (b"PYINIT_LOG_ARGS", b"\xc3\x28"),
    (b"PYINIT_LOG_FILE", b"-"),
    (b"PYINIT_LOG_FILE", b"/" + b"x" * 5000),
    (b"PYINIT_LOG_SCHEMA", b"otlp"),
    (b"PYINIT_STOP_SIGNAL", b"QUIT:20s;TERM:5s"),
    (b"PYINIT_STOP_SIGNAL", b"QUIT,TERM"),
    (b"PYINIT_STOP_SIGNAL", b"SIGKILL"),
    (b"PYINIT_PID_FILE", b"-"),
    (b"PYINIT_PID_FILE_TIMEOUT", b"forever"),
    (b"PYINIT_CLEAN_PID_FILE", b"please"),
    (b"PYINIT_NOTIFY", b"all"),
    (b"PYINIT_RELOAD_COMMAND", b" "),
    (b"PYINIT_STOP_COMMAND", b"\t"),
    (b"PYINIT_GRACE_MAX", b"\xff"),
    (b"PYINIT_TERMINATION_LOG", b"-"),
]
REMEDY = "write a longer grace or shorter durations"
# Each row: flags (a command follows where there is no --pause), variables, and the whole message.
WRONG_TOGETHER: list[tuple[list[str], dict[bytes, bytes], str]] = [
    (
        ["--clean-pid-file"],
        {},
        "--clean-pid-file does nothing without --pid-file; give both, or leave out --clean-pid-file",
    ),
    (
        [],
        {b"PYINIT_CLEAN_PID_FILE": b"1"},
        "PYINIT_CLEAN_PID_FILE does nothing without PYINIT_PID_FILE; give both, or leave out PYINIT_CLEAN_PID_FILE",
    ),
    (
        ["--clean-pid-file"],
        {b"PYINIT_PID_FILE": b""},
        "--clean-pid-file does nothing without --pid-file; give both, or leave out --clean-pid-file",
    ),
    (
        ["--pid-file-timeout", "60s"],
        {},
        "--pid-file-timeout does nothing without --pid-file; give both, or leave out --pid-file-timeout",
    ),
    (
        [],
        {b"PYINIT_PID_FILE_TIMEOUT": b"60s"},
        "PYINIT_PID_FILE_TIMEOUT does nothing without PYINIT_PID_FILE; give both, or leave out PYINIT_PID_FILE_TIMEOUT",
    ),
    (["--grace-max", "60"], {}, "--grace-max does nothing without --notify; give both, or leave out --grace-max"),
    (
        ["--grace-max", "60", "--no-notify"],
        {b"PYINIT_NOTIFY": b"1"},
        "--grace-max does nothing without --notify; give both, or leave out --grace-max",
    ),
    (["--notify", "--grace-max", "7"], {}, "--grace-max is less than the grace of 8 s; write that or more"),
    (
        ["--notify", "--grace", "1m30s"],
        {b"PYINIT_GRACE_MAX": b"89s"},
        "PYINIT_GRACE_MAX is less than the grace of 90 s; write that or more",
    ),
    (
        ["--restart-limit", "5/5m"],
        {},
        "--restart-limit does nothing without --restart; give both, or leave out --restart-limit",
    ),
    (
        ["--restart", "no", "--restart-delay", "1s"],
        {b"PYINIT_RESTART": b"always"},
        "--restart-delay does nothing without --restart; give both, or leave out --restart-delay",
    ),
    (
        [],
        {b"PYINIT_RESTART_DELAY_MAX": b"60s"},
        (
            "PYINIT_RESTART_DELAY_MAX does nothing without PYINIT_RESTART;"
            " give both, or leave out PYINIT_RESTART_DELAY_MAX"
        ),
    ),
    (
        ["--restart", "always", "--restart-delay-max", "500ms"],
        {},
        "--restart-delay-max is less than the 1 s of --restart-delay; write that or more",
    ),
    (
        ["--restart=always"],
        {b"PYINIT_RESTART_DELAY_MAX": b"1s", b"PYINIT_RESTART_DELAY": b"1m30s"},
        "PYINIT_RESTART_DELAY_MAX is less than the 90 s of PYINIT_RESTART_DELAY; write that or more",
    ),
    (["--pause", "--restart", "always"], {}, "--pause runs no command; leave out --restart"),
    (["-P"], {b"PYINIT_RESTART": b"on-failure"}, "--pause runs no command; leave out PYINIT_RESTART"),
    (["--pause", "--notify"], {}, "--pause runs no command; leave out --notify"),
    (["-P", "--stop-command", "x"], {}, "--pause runs no command; leave out --stop-command"),
    (["-P", "--reload-command", "x"], {}, "--pause runs no command; leave out --reload-command"),
    (["-P", "--grace-max", "9"], {}, "--pause runs no command; leave out --grace-max"),
    (["-P", "--pid-file", "/x"], {}, "--pause runs no command; leave out --pid-file"),
    (["-P", "--clean-pid-file", "--pid-file", "/x"], {}, "--pause runs no command; leave out --pid-file"),
    (["-P"], {b"PYINIT_PID_FILE": b"/x"}, "--pause runs no command; leave out PYINIT_PID_FILE"),
    (["-P"], {b"PYINIT_NOTIFY": b"1"}, "--pause runs no command; leave out PYINIT_NOTIFY"),
    (["-P"], {b"PYINIT_STOP_COMMAND": b"x"}, "--pause runs no command; leave out PYINIT_STOP_COMMAND"),
    (
        ["--stop-signal", "QUIT,TERM:5s"],
        {},
        "--stop-signal: 'SIGQUIT' needs a duration, as another one follows; write for example QUIT:20s,TERM:5s",
    ),
    (["--stop-signal", ",".join(["1:1"] * 9)], {}, "--stop-signal has 9 signals; write at most 8"),
    ([], {b"PYINIT_STOP_SIGNAL": b"1:1," * 999 + b"1"}, "PYINIT_STOP_SIGNAL has 1000 signals; write at most 8"),
    (
        ["--stop-signal", "QUIT:20s,TERM:5s", "--grace", "24s"],
        {},
        "--stop-signal takes 25 s in all, and --grace gives 24 s; " + REMEDY,
    ),
    (
        ["--stop-signal", "QUIT:2500ms"],
        {b"PYINIT_GRACE": b"2s"},
        "--stop-signal takes 2.5 s in all, and PYINIT_GRACE gives 2 s; " + REMEDY,
    ),
    (
        ["--grace", "0"],
        {b"PYINIT_STOP_SIGNAL": b"QUIT:1ms"},
        "PYINIT_STOP_SIGNAL takes 0.001 s in all, and --grace gives 0 s; " + REMEDY,
    ),
    (
        ["--stop-signal", "QUIT:20s,TERM"],
        {},
        "--stop-signal takes 20 s before its last signal, and --grace gives 8 s; " + REMEDY,
    ),
    (
        ["--stop-signal", "QUIT:20s,TERM", "--grace", "20"],
        {},
        "--stop-signal takes 20 s before its last signal, and --grace gives 20 s; " + REMEDY,
    ),
    (
        ["--stop-signal", "QUIT:20s", "--stop-command", "x", "--grace", "20"],
        {},
        "--stop-signal takes 20 s in all, and --grace gives 20 s; " + REMEDY,
    ),
    (["--stop-signal", "1:24h,2:1ms"], {}, "--stop-signal takes 86400.001 s in all; the longest grace is 24h"),
    (
        ["--stop-signal", "1:24h", "--stop-command", "x"],
        {},
        "--stop-signal takes 86408 s in all; the longest grace is 24h",
    ),
    (
        ["--stop-command", "x", "--grace", "0"],
        {},
        "--stop-command has no time in a grace of 0 s; leave it out, or write a longer grace",
    ),
    (
        [],
        {b"PYINIT_STOP_COMMAND": b"x", b"PYINIT_GRACE": b"0ms"},
        "PYINIT_STOP_COMMAND has no time in a grace of 0 s; leave it out, or write a longer grace",
    ),
    (
        ["--reload-command", "x", "--stop-on", "TERM,HUP"],
        {},
        "--reload-command runs at SIGHUP, but --stop-on makes that ask for a stop; leave out one of them",
    ),
    (
        [],
        {b"PYINIT_RELOAD_COMMAND": b"x", b"PYINIT_STOP_ON": b"1"},
        "PYINIT_RELOAD_COMMAND runs at SIGHUP, but PYINIT_STOP_ON makes that ask for a stop; leave out one of them",
    ),
]


def message_of(argv: list[str], environ: dict[bytes, bytes]) -> str:
    """Return the message that a wrong command line gets; it is one line that any terminal can show."""
    with pytest.raises(options.UsageError) as caught:
        options.parse(argv, environ)
    message = caught.value.message
    assert str(caught.value) == message
    assert message.isprintable()
    assert message.encode()
    assert 20 < len(message) < 400
    return message


def test_there_are_enough_wrong_ones() -> None:
    """At least 350 wrong inputs are tried."""
    wrong = sum(map(len, WRONG_VALUES.values())) + len(WRONG_LINES) + len(WRONG_VARIABLES) + len(WRONG_TOGETHER)
    assert wrong >= 350


@pytest.mark.parametrize("flag", WRONG_VALUES)
def test_each_option_with_values_has_wrong_ones(flag: str) -> None:
    """No option that takes a value is left out."""
    assert {"--" + row.name for row in options.OPTIONS if row.takes_value} == set(WRONG_VALUES)
    assert WRONG_VALUES[flag]


@pytest.mark.parametrize(("flag", "text"), [(flag, text) for flag, texts in WRONG_VALUES.items() for text in texts])
def test_a_wrong_value_names_its_flag(flag: str, text: str) -> None:
    """The message begins with the flag, repeats the value printably, and says what to write instead."""
    for argv in ([f"{flag}={text}", "true"], [flag, text, "true"]):
        message = message_of(argv, {})
        assert message.startswith(flag + ": '")
        assert "; " in message


@pytest.mark.parametrize(("argv", "says"), WRONG_LINES)
def test_a_wrong_line_says_what_is_wrong(argv: list[str], says: str) -> None:
    """The message says which argument is wrong, and the nearest right one where one is near."""
    assert says in message_of(argv, {})


@pytest.mark.parametrize(("variable", "text"), WRONG_VARIABLES)
def test_a_wrong_variable_is_named(variable: bytes, text: bytes) -> None:
    """The message names the variable, not an option that nobody wrote."""
    message = message_of(["true"], {variable: text})
    assert message.startswith(variable.decode() + ": '")
    assert "--" not in message


@pytest.mark.parametrize(("flags", "environ", "message"), WRONG_TOGETHER)
def test_what_does_not_go_together(flags: list[str], environ: dict[bytes, bytes], message: str) -> None:
    """Options that are right by themselves, and wrong together: each is named as it was written."""
    pause = "-P" in flags or "--pause" in flags
    assert message_of(flags if pause else [*flags, "true"], environ) == message


def test_rules_hold_under_the_names_of_peers() -> None:
    """A variable that needs another one is told there, too, in one line and with that program's status."""
    for name, argv in (("tini", ["true"]), ("dumb-init", ["true"]), ("catatonit", ["-P"])):
        settings = peers.parse(name, argv, {b"PYINIT_CLEAN_PID_FILE": b"1"})
        assert (settings.action, settings.print_fd, settings.exit_status) == ("print", 2, 1)
        assert settings.print_text.startswith(f"{name}: PYINIT_CLEAN_PID_FILE does nothing without PYINIT_PID_FILE; ")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--stop-signal", "TREM:5s", "x"], "(did you mean TERM?)"),
        (["--stop-signal", "QUIT:5s,sigtrem", "x"], "'sigtrem' is not a signal"),
        (["--stop-signal", "QUIT:5s,sigtrem", "x"], "(did you mean TERM?)"),
        (["--stop-signal", "QUIT:5s TERM", "x"], "write for example QUIT:20s,TERM:5s"),
        (
            ["--stop-signal", "QUIT:5s,KILL", "x"],
            "comes by itself at the end of the grace; write another one, or a shorter grace",
        ),
        (["--stop-signal", "CONT", "x"], "not a signal that ends anything; write another one"),
        (["--stop-signal", "QUIT:0,TERM", "x"], "no time at all"),
        (["--stop-command", " ", "x"], "write what sh -c can run"),
        (["--pid-file", "-", "x"], "write the whole name of a file"),
        (["--stop-signal", "TREM", "x"], "(did you mean TERM?)"),
        (["--stop-signal", "sigquti", "x"], "(did you mean QUIT?)"),
        (["--until", "servce", "x"], "(did you mean service?)"),
        (["--stop-on", "TERM,sigquti", "x"], "'sigquti' is not a signal"),
        (["--stop-on", "TERM,sigquti", "x"], "(did you mean QUIT?)"),
        (["--stop-on", "KILL", "x"], "SIGKILL cannot be caught; write another signal"),
        (["--rewrite", "CHLD:TERM", "x"], "SIGCHLD tells pyinit of ends; write another signal"),
        (["--rewrite", "TERM:QUIT,HUP:0", "x"], "for several write --rewrite again"),
        (["--rewrite", "TREM:QUIT", "x"], "write FROM:TO, for example TERM:QUIT"),
        (["--forward-to", "grp", "x"], "(did you mean group?)"),
        (["--log-level", "warn", "x"], "(did you mean warning?)"),
        (["--ok-exit", "143,130", "x"], "for several write --ok-exit again"),
        (["--grace", "25h", "x"], "the longest duration is 24h"),
        (["--log-file", "-", "x"], "write the whole name of a file, such as /dev/stdout"),
    ],
)
def test_a_wrong_value_gets_a_hint(argv: list[str], says: str) -> None:
    """Where it can be guessed what was meant, the message says so."""
    assert says in message_of(argv, {})


def test_an_error_of_the_first_wrong_flag_is_told() -> None:
    """Unknown options come before wrong values: what follows an unknown option cannot be read."""
    assert "--zzz" in message_of(["--grace", "bad", "--zzz", "x"], {})
