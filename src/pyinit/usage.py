"""What people read about the command line: --help, --version, errors and suggestions.

Nothing here is loaded on the way to starting a command. The texts are keyed by the names in the
table of `pyinit.options`, and a test holds the two together. The man page and the completions of shells are made of the
same table and texts when the wheel is built (launcher/).
"""

from pyinit import __version__, options, signames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SUMMARY = "Start COMMAND, hold the daemons that come of it, and stop all of it in the end."

GROUPS = {
    "life": "Life",
    "service": "Service",
    "signals": "Signals",
    "command": "The command's environment",
    "log": "Log",
    "about": "About pyinit",
}

# At most 55 characters with the default, so that each is one line of a terminal of 80 columns.
TEXTS = {
    "until": "whose end ends the run: main, service or all",
    "grace": "from the stop signal to SIGKILL: 8, 500ms, 1m30s",
    "ok-exit": "count this exit status as 0; repeatable (Java: 143)",
    "pause": "no command: reap until TERM or INT, then leave with 0",
    "restart": "start main again: no, on-failure or always",
    "restart-limit": "at most so many restarts within this time",
    "restart-delay": "how long the first waits; each further one twice",
    "restart-delay-max": "but none longer than this",
    "control": "open no control socket: pyinitctl gets no answer",
    "pid-file": "the service is what this file names, once proven",
    "pid-file-timeout": "how long the file may take to be there and right",
    "clean-pid-file": "remove it before main starts (PID 1) and at the end",
    "notify": "hear the service through NOTIFY_SOCKET (sd_notify)",
    "reload-command": "run this by sh -c at SIGHUP, instead of forwarding it",
    "stop-command": "run this by sh -c to stop; signals if that fails",
    "grace-max": "the service may lengthen its grace to this [--grace]",
    "stop-on": "what asks for a stop, or none",
    "stop-signal": "QUIT, or QUIT:20s,TERM:5s in turn [what asked, or TERM]",
    "rewrite": "take FROM for TO; TO 0 swallows it; repeatable",
    "forward-to": "who gets signals: main, group (-g), roots, tree",
    "single-child": "--forward-to main, in pyinit's own process group",
    "parent-death-signal": "comes to pyinit when its parent ends",
    "user": "run as this user (name or number), with its groups",
    "group": "run with this primary group (name or number)",
    "chdir": "run in this folder",
    "umask": "with this file mode creation mask, in octal: 027",
    "rlimit": "set a resource limit, soft and hard; repeatable",
    "nice": "with this nice value, -20 to 19",
    "oom-score-adj": "with this OOM score adjustment, -1000 to 1000",
    "cpu-affinity": "on these CPUs only: 0-3,5",
    "ioprio": "best-effort:0 to 7, realtime:0 to 7, idle or none",
    "env": "set a variable; NAME takes pyinit's own; repeatable",
    "env-file": "set the variables of this file; repeatable",
    "clear-env": "set only what the other options give",
    "stdin": "standard input: null (/dev/null) or inherit",
    "close-fds": "close descriptors above 2, but those of --keep-fd",
    "keep-fd": "do not close this descriptor; repeatable",
    "setsid": "in a session of its own; --no-setsid: in pyinit's",
    "tty": "on this terminal, in a session of its own",
    "pdeathsig": "the signal it gets when pyinit ends",
    "no-new-privs": "nothing that it executes gains privileges",
    "cap-drop": "without this capability, or all; repeatable",
    "cap-keep": "with this capability, and no others; repeatable",
    "securebits": "with these: noroot, noroot-locked and so on",
    "log-format": "json, console, or auto: console on a terminal",
    "log-level": "debug (-v), info, warning or error",
    "log-reaps": "tell of each process that ends, not just bad ends",
    "log-args": "tell the arguments of commands; these can hold secrets",
    "log-file": "write the log to this file [standard error]",
    "log-schema": "key names: otel (OpenTelemetry) or ecs (Elastic)",
    "termination-log": "write the last word there [/dev/termination-log]",
    "check": "can pyinit do its work here? a table, or --check=json",
    "dry-run": "show what would run, and all settings; or =json",
    "help-all": "show every option",
}

# The options that --help tells; it only names the others, and --help-all tells them. So a new row of the table makes
# --help no longer than by its name.
EVERYDAY = frozenset(
    (
        *("until", "grace", "ok-exit"),
        *("pid-file", "notify", "reload-command", "stop-command"),
        *("stop-signal", "rewrite", "forward-to"),
        *("log-format", "log-level", "log-reaps", "log-file"),
        *("check", "dry-run", "help-all"),
    )
)

VARIABLES_TEXT = (
    "PYINIT_STOP_SIGNAL does what --stop-signal does, and so on. A flag beats its variable. The command does not "
    "get PYINIT_ variables. Those of tini, dumb-init and catatonit count too; tini's -s is how pyinit is anyway."
)

EXIT_STATUSES = (
    ("N", "main, or the first successor that ended other than 0, exited N"),
    ("128+S", "it was ended by signal S (137: SIGKILL, 143: SIGTERM)"),
    ("0", "main and all successors exited 0, or --ok-exit names the status"),
    ("125", "pyinit could not do its work: a bad option, no subreaper"),
    ("126", "the command was found, but could not be executed"),
    ("127", "the command was not found"),
)

LICENCE = """\
MIT License

Copyright (c) 2026 pyinit contributors

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""

# The names that values of a kind begin with; a kind with choices of its own in the table needs no line here.
_SIGNAL_KINDS = ("signal", "signals", "schedule", "rewrites")
NAMES = dict.fromkeys(_SIGNAL_KINDS, tuple(name for name in signames.NUMBERS if name.isalpha()))
# Those of the options for main's environment, by where `pyinit.child.values` has them.
_OF_COMMAND = {
    "rlimits": "RLIMITS",
    "capabilities": "CAPABILITIES",
    "securebits": "SECUREBITS",
    "ioprio": "IOPRIO_CLASSES",
}

# How much of what somebody wrote is repeated in a message, and compared for a suggestion.
_SHOWN_MAX = 60
_WORD_MAX = 64
_PART_MIN = 3
_EXAMPLES = {
    "signal": "QUIT",
    "schedule": "QUIT:20s,TERM:5s",
    "statuses": "143",
    "limit": "5/5m",
    "rewrites": "TERM:QUIT",
    "path": "/dev/stdout",
    "pid-file": "/run/nginx.pid",
    "reload-command": "'postfix reload'",
    "stop-command": "'postfix stop'",
    "grace-max": "60s",
    "user": "www-data",
    "group": "www-data",
    "chdir": "/srv",
    "umask": "027",
    "rlimits": "NOFILE=65536",
    "nice": "5",
    "oom": "500",
    "cpus": "0-3",
    "ioprio": "best-effort:7",
    "variables": "LANG=C.UTF-8",
    "files": "/etc/default/nginx",
    "descriptors": "3",
    "tty": "/dev/tty1",
    "pdeathsig": "TERM",
    "capabilities": "NET_BIND_SERVICE",
    "securebits": "noroot,noroot-locked",
}


def text_of(action: str) -> str:
    """Return what is shown for an option that ends the parsing: "help", "help-all", "version" or "licence"."""
    if action == "licence":
        return LICENCE
    if action == "version":
        return version_text()
    from pyinit import helptext

    return helptext.help_text(everything=action == "help-all")


def version_text() -> str:
    """Return the text of --version with its last newline."""
    return f"pyinit {__version__}\n"


def invocation(option: options.Option) -> str:
    """Return how an option is written: `-h, --help`, `--grace DURATION`."""
    short = f"-{option.short[0]}, " if option.short else ""
    value = f" {option.metavar}" if option.takes_value else ""
    if option.kind == "report":
        value = "[=" + "|".join(option.choices) + "]"
    return f"{short}--{long_name(option)}{value}"


def long_name(option: options.Option) -> str:
    """Return the name that does something: that of a switch which is on anyway is the one that turns it off."""
    return f"no-{option.name}" if option.kind == "switch" and option.default else option.name


def suggest(word: str, candidates: "Iterable[str]") -> "str | None":
    """Return the one of `candidates` that was perhaps meant by `word`, or None where none is near.

    It is the only one that begins with `word`, else the only one that holds it or is held by it,
    else the one with the most in common. Case, `_` for `-`, and what all names of a kind begin with
    (`--`, `PYINIT_`) count for nothing.
    """
    import difflib  # costly, and only needed when somebody mistyped

    by_key = {_key(name): name for name in candidates}
    key = _key(word[:_WORD_MAX])
    if not key:
        return None
    begun = [known for known in by_key if known.startswith(key)]
    if len(begun) == 1:
        return by_key[begun[0]]
    held = [known for known in by_key if _holds(known, key) or _holds(key, known)]
    if len(held) == 1:
        return by_key[held[0]]
    near = difflib.get_close_matches(key, by_key, n=1)
    return by_key[near[0]] if near else None


def _key(name: str) -> str:
    """Return what of a name is compared."""
    return name.lower().removeprefix("pyinit_").lstrip("-").replace("_", "-")


def _holds(whole: str, part: str) -> bool:
    """Tell whether `part` says enough to be looked for, and is in `whole`."""
    return len(part) >= _PART_MIN and part in whole


def bad_value(option: options.Option, text: str, label: str, reason: str) -> str:
    """Return the message for a value that `label`, a flag or a variable, cannot have."""
    hint = ""
    if option.kind == "variables":  # what stands behind the name may be a secret
        name, equals, _ = text.partition("=")
        return f"{label}: {shown(name + equals + '...' if equals else name)} is {reason}"
    if option.repeatable and "," in text and option.kind != "files":
        hint = f"; for several write {label} again"
    else:
        word, candidates = text, names_for(option)
        if option.kind in _SIGNAL_KINDS:
            word = text.partition(":")[0].upper().removeprefix("SIG")
        elif option.kind in _OF_COMMAND:
            word = _of_command(option.kind, text, candidates)
        elif not option.choices:
            word = text.partition("=")[0]
        near = suggest(word, candidates)
        if near and near != word:
            hint = f" (did you mean {near}?)"
    return f"{label}: {shown(text)} is {reason}{hint}"


def _of_command(kind: str, text: str, names: "Sequence[str]") -> str:
    """Return the word of a value for main's environment that may be mistyped."""
    if kind == "rlimits":
        return text.partition("=")[0].upper().removeprefix("RLIMIT_")
    if kind == "capabilities":
        return text.upper().removeprefix("CAP_")
    if kind == "ioprio":
        return text.partition(":")[0]
    return next((name for name in text.split(",") if name not in names), "")


def names_for(option: options.Option) -> "tuple[str, ...]":
    """Return the names with which a value of this option can begin: for suggestions, and for completions."""
    if option.kind in _OF_COMMAND:
        from pyinit.child import values  # the parser of such a value has it already

        return tuple(getattr(values, _OF_COMMAND[option.kind]))
    return option.choices or NAMES.get(option.kind, ())


def missing_value(option: options.Option, label: str) -> str:
    """Return the message for an option that stands without the value that it needs."""
    example = option.default or _EXAMPLES.get(option.name) or _EXAMPLES.get(option.kind, option.metavar)
    return f"{label} needs a value; write {label} {option.metavar}, for example {label} {example}"


def unknown_option(label: str, word: str, table: "Sequence[options.Option]") -> str:
    """Return the message for an option that is not in `table`; it stands in the argument `word`."""
    names = ["--" + option.name for option in table if option.name]
    names += ["--no-" + option.name for option in table if option.kind == "switch"]
    near = suggest(word, names)
    where = f" in {shown(word)}" if word != label else ""
    hint = f"did you mean {near}?" if near else "pyinit --help lists all of them"
    return f"unknown option {shown(label)}{where}; {hint}"


def shown(text: str) -> str:
    """Return `text` in quotes, short and printable: what is not, is written as an escape."""
    cut = text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 3] + "..."
    return "'" + printable(cut) + "'"


def printable(text: str) -> str:
    """Return `text` on one line that any terminal can show: what it cannot, is written as an escape."""
    return "".join(map(_printable, text))


def _printable(character: str) -> str:
    # A byte that is not UTF-8 arrives as U+DC80 to U+DCFF; it is shown as the byte that it was.
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character if character.isprintable() else repr(character)[1:-1]
