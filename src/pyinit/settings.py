"""What one run is asked to do: the outcome of a command line and its environment.

Imported before the command is started, so it imports next to nothing.
"""

from pyinit.option_table import OPTIONS


class Settings:
    """What one run is asked to do.

    Attributes:
        action: "run", or "print": write `print_text` to `print_fd` and leave with `exit_status`; or "check" or
            "dry-run": start nothing, and tell what each of them does, in the form `report`, "text" or "json".
        command: the command and its arguments; empty when `pause` is set.
        sources: maps each setting that is an option to "flag", "variable" or "default".
        given_as: maps each setting that is an option to the flag or variable that gave it ("" for none), and to the
            texts that it was made of.
        own_variables: the names of all PYINIT_ variables that are present: they are ours, and the command does
            not get them.
        pid_file, termination_log: absolute paths, or None.
        restart_limit: how many restarts there may be, and in how many seconds.
        grace_max_s: how far a service may lengthen the grace: not less than `grace_s`.
        stop_signal: what a stop sends, each signal with the seconds until the next one: a schedule. Only the last one
            may have None there: until the end of the grace. Empty where none was asked for.
        rewrite: maps a signal to the one that is taken in its place; 0 swallows it.
        stop_on: the signals that are a stop request.
        pdeathsig: the signal that pyinit itself gets when its parent ends, or None.
        user, group: names or numbers as they were written; whether there are such is not looked at here.
        rlimits: (name, soft, hard) each; -1 is unlimited, None stays as it is.
        env: NAME=VALUE each, or NAME alone, which takes the value of pyinit's own variable.
        cap_drop, cap_keep: numbers of capabilities; ALL of `pyinit.child.values` is all of them.
        main_pdeathsig: the signal that main gets when pyinit ends, or None.
        persona: whose place is taken: "pyinit", "tini" (docker-init too), "dumb-init" or "catatonit".
        name: what pyinit was started as, without folders.
        verbosity: how much a peer's own messages say, counted as that peer does (tini: 1 unless asked for more).
        subreaper: False where the peer is no subreaper either; matters when pyinit is not PID 1.
        rest: what happens to what is left when main ends, not as PID 1 and not as a subreaper: "stop" it, "signal"
            it once (SIGTERM, rewritten, to main's group), or "leave" it.
        main_group: "own", or "same" when main stays in pyinit's process group.
        main_session: "auto" is an own session where there is no controlling terminal, "own" an own session that
            takes the terminal of descriptor 0 along, "keep" is pyinit's session.
        unblock_signals: True when main starts with no signal blocked, whatever pyinit was started with.
        self_stop: True when pyinit stops itself after it has forwarded one of those three.
        error_status: the status when pyinit cannot do its work.
    """

    __slots__ = (
        "_unknown",
        "action",
        "cap_drop",
        "cap_keep",
        "chdir",
        "clean_pid_file",
        "clear_env",
        "close_fds",
        "command",
        "control",
        "cpu_affinity",
        "env",
        "env_files",
        "error_status",
        "exit_status",
        "forward_to",
        "given_as",
        "grace_max_s",
        "grace_s",
        "group",
        "ioprio",
        "keep_fds",
        "log_args",
        "log_file",
        "log_format",
        "log_level",
        "log_reaps",
        "log_schema",
        "main_group",
        "main_pdeathsig",
        "main_session",
        "name",
        "nice",
        "no_new_privs",
        "notify",
        "ok_exits",
        "oom_score_adj",
        "own_variables",
        "pause",
        "pdeathsig",
        "persona",
        "pid_file",
        "pid_file_timeout_s",
        "print_fd",
        "print_text",
        "reload_command",
        "report",
        "rest",
        "restart",
        "restart_delay_max_s",
        "restart_delay_s",
        "restart_limit",
        "rewrite",
        "rlimits",
        "securebits",
        "self_stop",
        "setsid",
        "sources",
        "stdin",
        "stop_command",
        "stop_on",
        "stop_signal",
        "subreaper",
        "termination_log",
        "tty",
        "umask",
        "unblock_signals",
        "until",
        "user",
        "verbosity",
    )

    until: str
    grace_s: float
    ok_exits: "frozenset[int]"
    pause: bool
    restart: str
    restart_limit: "tuple[int, float]"
    restart_delay_s: float
    restart_delay_max_s: float
    pid_file: "str | None"
    pid_file_timeout_s: float
    clean_pid_file: bool
    notify: bool
    reload_command: "str | None"
    stop_command: "str | None"
    grace_max_s: "float | None"
    control: bool
    stop_on: "frozenset[int]"
    stop_signal: "tuple[tuple[int, float | None], ...]"
    rewrite: "dict[int, int]"
    forward_to: str
    pdeathsig: "int | None"
    user: "tuple[str, str | None] | None"
    group: "str | None"
    chdir: "str | None"
    umask: "int | None"
    rlimits: "tuple[tuple[str, int | None, int | None], ...]"
    nice: "int | None"
    oom_score_adj: "int | None"
    cpu_affinity: "frozenset[int] | None"
    ioprio: "tuple[int, int] | None"
    env: "tuple[str, ...]"
    env_files: "tuple[str, ...]"
    clear_env: bool
    stdin: str
    close_fds: bool
    keep_fds: "tuple[int, ...]"
    setsid: bool
    tty: "str | None"
    main_pdeathsig: "int | None"
    no_new_privs: bool
    cap_drop: "tuple[int, ...]"
    cap_keep: "tuple[int, ...]"
    securebits: "int | None"
    log_format: str
    log_level: str
    log_reaps: bool
    log_args: bool
    log_file: "str | None"
    log_schema: str
    termination_log: "str | None"

    def __init__(self, action: str = "run", text: str = "", fd: int = 1, status: int = 0) -> None:
        """Start with `action`, and what is printed where; `fill` sets what is an option for "run" only."""
        self.action = action
        self.print_text = text
        self.print_fd = fd
        self.exit_status = status
        self.command: list[str] = []
        self.sources: dict[str, str] = {}
        self.given_as: dict[str, tuple[str, list[str]]] = {}
        self.report = ""
        self.own_variables: list[bytes] = []
        self._unknown: list[str] = []
        self.persona = self.name = "pyinit"
        self.verbosity = 1
        self.subreaper = True
        self.rest = "stop"
        self.main_group = "own"
        self.main_session = "auto"
        self.unblock_signals = self.self_stop = False
        self.error_status = 125

    @property
    def for_command(self) -> bool:
        """Whether an option says something about main's environment: `pyinit.child` does what they say."""
        given = [option for option in OPTIONS if option.group == "command"]
        return any(self.sources.get(option.setting, "default") != "default" for option in given)

    @property
    def unknown_variables(self) -> "list[tuple[str, str | None]]":
        """The PYINIT_ variables that mean nothing to us, each with the nearest name that does.

        Computed when asked for, because the search is slow; the loop tells it after the spawn.
        """
        if not self._unknown:
            return []
        from pyinit import usage  # needed for messages only

        known = [option.variable for option in OPTIONS if option.variable]
        return [(name, usage.suggest(name, known)) for name in self._unknown]
