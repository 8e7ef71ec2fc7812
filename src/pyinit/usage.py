"""What people read about the command line: --help, --version, errors and suggestions.

Nothing here is loaded on the way to starting a command. The texts are keyed by the names in the
table of `pyinit.options`, and a test holds the two together.
"""

from pyinit import __version__, options, signames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
}

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

_LEFT = 25
_STATUS_LEFT = 9
_COLUMNS_MIN = 60
_COLUMNS_MAX = 100
# How much of what somebody wrote is repeated in a message, and compared for a suggestion.
_SHOWN_MAX = 60
_WORD_MAX = 64
_PART_MIN = 3
_EXAMPLES = {
    "signal": "QUIT",
    "schedule": "QUIT:20s,TERM:5s",
    "statuses": "143",
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


def help_text(columns: int = 80, colour: bool = False) -> str:  # noqa: FBT001, FBT002 - callers name it
    """Return the text of --help with its last newline, for a terminal that is `columns` wide.

    Lines are wrapped at 60 to 100 columns; `colour` makes headings bold with escape sequences.
    """
    import textwrap  # suggestions do without

    width = min(max(columns, _COLUMNS_MIN), _COLUMNS_MAX)

    def row(left: str, right: str, left_width: int) -> list[str]:
        first = f"  {left}  ".ljust(left_width)
        left_out, indent = " " * len(first), " " * left_width
        lines = textwrap.wrap(right, width, initial_indent=left_out, subsequent_indent=indent, break_on_hyphens=False)
        return [first + lines[0][len(first) :], *lines[1:]]

    def heading(title: str) -> list[str]:
        return ["", f"\033[1m{title}\033[0m" if colour else title]

    lines = [
        "Usage: pyinit [OPTIONS] [--] COMMAND [ARG...]",
        *textwrap.wrap("Start COMMAND, hold the daemons that come of it, and stop all of it in the end.", width),
    ]
    for group, title in GROUPS.items():
        lines += heading(title)
        if group == "about":
            about = [invocation(option) for option in options.OPTIONS if option.group == group]
            lines += row("   ".join(about), "show it and leave", _LEFT)
            continue
        for option in options.OPTIONS:
            if option.group == group:
                default = f" [{option.default}]" if option.default else ""
                lines += row(invocation(option), TEXTS[option.name] + default, _LEFT)
    lines += heading("Variables")
    lines += textwrap.wrap(VARIABLES_TEXT, width, initial_indent="  ", subsequent_indent="  ")
    lines += heading("Exit status")
    for status, text in EXIT_STATUSES:
        lines += row(status, text, _STATUS_LEFT)
    return "\n".join(lines) + "\n"


def text_of(action: str) -> str:
    """Return what is shown for an option that ends the parsing: "help", "version" or "licence"."""
    if action == "licence":
        return LICENCE
    return help_text() if action == "help" else version_text()


def version_text() -> str:
    """Return the text of --version with its last newline."""
    return f"pyinit {__version__}\n"


def invocation(option: options.Option) -> str:
    """Return how an option is written: `-h, --help`, `--grace DURATION`."""
    short = f"-{option.short[0]}, " if option.short else ""
    value = f" {option.metavar}" if option.takes_value else ""
    return f"{short}--{option.name}{value}"


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
        word, candidates = text, option.choices
        if option.kind in ("signal", "signals", "schedule"):
            word = text.partition(":")[0].upper().removeprefix("SIG")
            candidates = tuple(name for name in signames.NUMBERS if name.isalpha())
        elif option.kind in ("rlimits", "capabilities", "securebits"):
            word, candidates = _of_command(option.kind, text)
        near = suggest(word, candidates)
        if near and near != word:
            hint = f" (did you mean {near}?)"
    return f"{label}: {shown(text)} is {reason}{hint}"


def _of_command(kind: str, text: str) -> "tuple[str, tuple[str, ...]]":
    """Return the word of a value for main's environment that may be mistyped, and the words that there are."""
    from pyinit.child import values  # the parser has it already

    if kind == "rlimits":
        return text.partition("=")[0].upper().removeprefix("RLIMIT_"), tuple(values.RLIMITS)
    if kind == "capabilities":
        return text.upper().removeprefix("CAP_"), values.CAPABILITIES
    wrong = [name for name in text.split(",") if name not in values.SECUREBITS]
    return wrong[0] if wrong else "", tuple(values.SECUREBITS)


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
    return "'" + "".join(map(_printable, cut)) + "'"


def _printable(character: str) -> str:
    # A byte that is not UTF-8 arrives as U+DC80 to U+DCFF; it is shown as the byte that it was.
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character if character.isprintable() else repr(character)[1:-1]
