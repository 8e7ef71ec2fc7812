"""The options of pyinit: one table, which parser, help, man page and completions are made from.

Imported before the command is started, so it imports nothing.
"""

VARIABLE_PREFIX = "PYINIT_"

# The names under which pyinit takes another program's place (`pyinit.peers`), and that program.
PEERS = {"tini": "tini", "docker-init": "tini", "dumb-init": "dumb-init", "catatonit": "catatonit"}

WITHOUT_VARIABLE = ("preset", "action", "report")
WITHOUT_VALUE = ("switch", "preset", "action", "report")
REPEATABLE = (
    "statuses", "signals", "rewrites", "rlimits", "descriptors", "capabilities", "variables", "files",
)  # fmt: skip
# Several of their values may stand together, with commas between them.
SPLIT = ("signals", "schedule", "capabilities")
# Their values may hold commas and spaces: in a variable each stands on a line of its own.
ONE_A_LINE = ("variables", "files")


class Option:
    """One row of the table.

    `name` is the long option without dashes, `setting` the attribute of Settings that it sets.
    `kind` says how its text becomes a value: "choice", "duration", "limit", "signal", "signals", "schedule",
    "statuses", "rewrites", "path", "text", "switch" (takes no value, has a --no- form), "preset" (takes
    no value: stands for another option with the value `gives`), "action" (takes no value, ends the
    parsing) or "report" (starts nothing and tells something, in the form that may stand behind a `=`).
    The last three have no variable. The kinds of the group "command" are those of `pyinit.child.values`.
    `group` is where --help has its line, and empty where other lines tell it. `default` is text as one would write
    it; None is no value. Each letter of `short` is a short form; a preset without a name has no other.
    """

    __slots__ = ("choices", "default", "gives", "group", "kind", "metavar", "name", "setting", "short")

    def __init__(  # noqa: PLR0913, PLR0917 - a row of a table
        self,
        name: str,
        setting: str,
        kind: str,
        group: str,
        metavar: str = "",
        default: "str | None" = None,
        choices: "tuple[str, ...]" = (),
        short: str = "",
        gives: str = "",
    ) -> None:
        """Fill the row; `metavar` stands for the value in texts."""
        self.name = name
        self.setting = setting
        self.kind = kind
        self.group = group
        self.metavar = metavar
        self.default = default
        self.choices = choices
        self.short = short
        self.gives = gives

    @property
    def takes_value(self) -> bool:
        """Whether a value follows the option."""
        return self.kind not in WITHOUT_VALUE

    @property
    def repeatable(self) -> bool:
        """Whether values add up when the option is given again; otherwise the last one wins."""
        return self.kind in REPEATABLE

    @property
    def variable(self) -> "str | None":
        """The name of the variable that sets the same, `PYINIT_STOP_SIGNAL`, where there is one."""
        if self.kind in WITHOUT_VARIABLE:
            return None
        return VARIABLE_PREFIX + self.name.upper().replace("-", "_")


_ENDS = ("main", "service", "all")
_TARGETS = ("main", "group", "roots", "tree")
_FORMATS = ("auto", "json", "console")
_RESTARTS = ("no", "on-failure", "always")
_LEVELS = ("debug", "info", "warning", "error")
_REPORTS = ("text", "json")

OPTIONS = (
    Option("until", "until", "choice", "life", "END", "service", _ENDS),
    Option("grace", "grace_s", "duration", "life", "DURATION", "8s"),
    Option("ok-exit", "ok_exits", "statuses", "life", "N", short="e"),
    Option("pause", "pause", "switch", "life", short="P"),
    Option("restart", "restart", "choice", "life", "WHEN", "no", _RESTARTS),
    Option("restart-limit", "restart_limit", "limit", "life", "N/D", "5/5m"),
    Option("restart-delay", "restart_delay_s", "duration", "life", "D", "1s"),
    Option("restart-delay-max", "restart_delay_max_s", "duration", "life", "D", "60s"),
    Option("control", "control", "switch", "life", default="yes"),
    Option("pid-file", "pid_file", "path", "service", "PATH"),
    Option("pid-file-timeout", "pid_file_timeout_s", "duration", "service", "D", "60s"),
    Option("clean-pid-file", "clean_pid_file", "switch", "service"),
    Option("notify", "notify", "switch", "service"),
    Option("reload-command", "reload_command", "text", "service", "CMD"),
    Option("stop-command", "stop_command", "text", "service", "CMD"),
    Option("grace-max", "grace_max_s", "duration", "service", "DURATION"),
    Option("stop-on", "stop_on", "signals", "signals", "SIG", "TERM,INT,QUIT"),
    Option("stop-signal", "stop_signal", "schedule", "signals", "SIG[:D]"),
    Option("rewrite", "rewrite", "rewrites", "signals", "FROM:TO", short="r"),
    Option("forward-to", "forward_to", "choice", "signals", "WHOM", "group", _TARGETS),
    Option("", "forward_to", "preset", "", short="g", gives="group"),
    Option("single-child", "forward_to", "preset", "signals", short="c", gives="main"),
    Option("parent-death-signal", "pdeathsig", "signal", "signals", "SIG", short="p"),
    Option("subreaper", "subreaper", "preset", "", short="s", gives="yes"),
    Option("user", "user", "user", "command", "USER[:GROUP]"),
    Option("group", "group", "group", "command", "GROUP"),
    Option("chdir", "chdir", "path", "command", "PATH"),
    Option("umask", "umask", "umask", "command", "MODE"),
    Option("rlimit", "rlimits", "rlimits", "command", "NAME=N[:N]"),
    Option("nice", "nice", "nice", "command", "N"),
    Option("oom-score-adj", "oom_score_adj", "oom", "command", "N"),
    Option("cpu-affinity", "cpu_affinity", "cpus", "command", "LIST"),
    Option("ioprio", "ioprio", "ioprio", "command", "CLASS[:N]"),
    Option("env", "env", "variables", "command", "NAME=VALUE"),
    Option("env-file", "env_files", "files", "command", "PATH"),
    Option("clear-env", "clear_env", "switch", "command"),
    Option("stdin", "stdin", "choice", "command", "WHAT", "inherit", ("null", "inherit")),
    Option("close-fds", "close_fds", "switch", "command"),
    Option("keep-fd", "keep_fds", "descriptors", "command", "N"),
    Option("setsid", "setsid", "switch", "command"),
    Option("tty", "tty", "path", "command", "PATH"),
    Option("pdeathsig", "main_pdeathsig", "signal", "command", "SIG"),
    Option("no-new-privs", "no_new_privs", "switch", "command"),
    Option("cap-drop", "cap_drop", "capabilities", "command", "NAME"),
    Option("cap-keep", "cap_keep", "capabilities", "command", "NAME"),
    Option("securebits", "securebits", "securebits", "command", "NAME"),
    Option("log-format", "log_format", "choice", "log", "FORMAT", "auto", _FORMATS),
    Option("log-level", "log_level", "choice", "log", "LEVEL", "info", _LEVELS),
    Option("verbose", "log_level", "preset", "", short="v", gives="debug"),
    Option("log-reaps", "log_reaps", "switch", "log", short="w"),
    Option("log-args", "log_args", "switch", "log"),
    Option("log-file", "log_file", "path", "log", "PATH"),
    Option("log-schema", "log_schema", "choice", "log", "SCHEMA", "otel", ("otel", "ecs")),
    Option("termination-log", "termination_log", "path", "log", "PATH"),
    Option("check", "report", "report", "about", default="text", choices=_REPORTS),
    Option("dry-run", "report", "report", "about", default="text", choices=_REPORTS),
    Option("help-all", "action", "action", "about"),
    Option("help", "action", "action", "about", short="h"),
    Option("version", "action", "action", "about", short="V"),
    Option("licence", "action", "action", "about", short="lL"),
)
