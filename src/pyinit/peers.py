"""The command lines of tini (docker-init), dumb-init and catatonit, for when pyinit stands in the place of one.

Under such a name the syntax, the defaults, the output and the statuses are that program's; PYINIT_ variables count for
what its command line and its own variables leave open. This is imported before main runs, as `pyinit.options` is: all
texts are in `pyinit.peers_texts`, which is loaded only to show one.
"""

from pyinit import options, signames, values
from pyinit.options import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Environment = Mapping[bytes, bytes]
    Given = dict[str, list[str]]
    LookAt = Callable[[str, str], None]

_STATUS_MAX = 255
_UINT = 2**32
_CHATTY = 2  # tini's verbosity from which on it tells what it does

# dumb-init knows no signal above this one.
_SIGNAL_MAX = 31
_STOP, _TSTP, _TTIN, _TTOU = 19, 20, 21, 22

# What tini's -p takes: these very names. It lacks SIGSTKFLT, SIGIO and SIGPWR.
_TINI_SIGNALS = frozenset(signames.name(number) for number in range(1, _SIGNAL_MAX + 1) if number not in (16, 29, 30))

_DUMB_INIT_LONG = {"help": "h", "single-child": "c", "rewrite": "r", "verbose": "v", "version": "V"}


class _Show(Exception):  # noqa: N818  # -h is no error
    """The command line ends here with a text: `what` and `detail` are for `pyinit.peers_texts`."""

    def __init__(self, what: str, detail: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.detail = detail


def parse(name: str, argv: "Sequence[str]", environ: "Environment") -> Settings:
    """Return the settings for the arguments `argv` under `name`, which is argv[0] as it was given.

    Its last part is a key of options.PEERS. Nothing is raised: what is wrong is a "print" action too.
    """
    base = name.rpartition("/")[2]
    persona = options.PEERS[base]
    try:
        settings = _PARSERS[persona](argv, environ)
    except _Show as show:
        from pyinit import peers_texts  # needed for texts only

        text, fd, status = peers_texts.output(persona, name, show.what, show.detail)
        settings = Settings("print", text, fd, status)
    except options.UsageError as error:
        settings = Settings("print", f"{base}: {error.message}\n", 2, 1)
    settings.persona = persona
    settings.name = base
    settings.error_status = 1
    return settings


def _tini(argv: "Sequence[str]", environ: "Environment") -> Settings:
    if list(argv) == ["--version"]:
        raise _Show("version")
    flags, command = _read(argv, _look_at_tini, "p:hvwgle:s", {}, permute=b"POSIXLY_CORRECT" not in environ)
    if not command:
        raise _Show("no command")
    letters = [letter for letter, _ in flags]
    given = _given_to_tini(flags)
    asked: Given = {}
    if b"TINI_KILL_PROCESS_GROUP" in environ:
        asked["forward_to"] = ["TINI_KILL_PROCESS_GROUP", "group"]
    verbosity = 1 + letters.count("v")
    source = given
    if b"TINI_VERBOSITY" in environ:
        verbosity = values.c_int(values.c_long(environ[b"TINI_VERBOSITY"].decode("latin-1"))[0]) % _UINT
        source = asked
    if verbosity >= _CHATTY:
        source["log_level"] = ["-v", values.level(verbosity)]
    defaults = {"forward_to": "main"}
    if "w" in letters and verbosity:
        defaults["log_level"] = "info"  # each end is told at that level
    settings = _settings(given, environ, asked, defaults)
    settings.command = command
    settings.verbosity = verbosity
    settings.subreaper = "s" in letters or b"TINI_SUBREAPER" in environ
    settings.rest = "stop" if settings.subreaper else "leave"
    settings.main_session = "keep"
    for signal in (_TTIN, _TTOU):
        settings.rewrite.setdefault(signal, 0)
    return settings


def _given_to_tini(flags: "Sequence[tuple[str, str]]") -> "Given":
    """Return what the flags set that are options of ours, in the form of options.read_flags."""
    given: Given = {}
    for letter, text in flags:
        if letter == "p":
            given["pdeathsig"] = ["-p", text]
        elif letter == "e":
            given.setdefault("ok_exits", ["-e"]).append(str(values.c_long(text)[0]))
        elif letter == "w":
            given["log_reaps"] = ["-w", "yes"]
        elif letter == "g":
            given["forward_to"] = ["-g", "group"]
    return given


def _look_at_tini(letter: str, text: str) -> None:
    if letter == "h":
        raise _Show("help")
    if letter == "l":
        raise _Show("licence")
    if letter == "p" and text not in _TINI_SIGNALS:
        raise _Show("value", "-p: " + text)
    if letter == "e":
        status, rest = values.c_long(text)
        if rest or not 0 <= status <= _STATUS_MAX:
            raise _Show("value", "-e: " + text)


def _dumb_init(argv: "Sequence[str]", environ: "Environment") -> Settings:
    flags, command = _read(argv, _look_at_dumb_init, "hvVcr:", _DUMB_INIT_LONG, permute=False)
    if not command:
        raise _Show("no command")
    letters = [letter for letter, _ in flags]
    given: Given = {}
    asked: Given = {}
    if "v" in letters:
        given["log_level"] = ["-v", "debug"]
    elif environ.get(b"DUMB_INIT_DEBUG") == b"1":
        asked["log_level"] = ["DUMB_INIT_DEBUG", "debug"]
    if "c" in letters:
        given["forward_to"] = ["-c", "main"]
    elif environ.get(b"DUMB_INIT_SETSID") == b"0":
        asked["forward_to"] = ["DUMB_INIT_SETSID", "main"]
    if "r" in letters:
        given["rewrite"] = ["-r"]  # the flags beat the variable; what they say is not in our form
    settings = _settings(given, environ, asked, {})
    settings.command = command
    settings.rewrite.update([_rewrite(text) for letter, text in flags if letter == "r"])
    settings.verbosity = int("log_level" in given or "log_level" in asked)
    settings.subreaper = False
    settings.unblock_signals = settings.self_stop = True
    if settings.main_group == "same":
        settings.rest = "leave"
    else:
        settings.rest = "signal"
        settings.main_session = "own"
        for signal in (_TSTP, _TTIN, _TTOU):
            settings.rewrite.setdefault(signal, _STOP)
    return settings


def _look_at_dumb_init(letter: str, text: str) -> None:
    if letter == "h":
        raise _Show("help")
    if letter == "V":
        raise _Show("version")
    if letter == "r":
        _rewrite(text)


def _rewrite(text: str) -> "tuple[int, int]":
    """Read the two numbers of dumb-init's -r, as sscanf(3) does: what stands behind them is not looked at."""
    signal, rest = values.c_long(text)
    if rest != text and rest.startswith(":"):
        replacement, end = values.c_long(rest[1:])
        signal, replacement = values.c_int(signal), values.c_int(replacement)
        if end != rest[1:] and 1 <= signal <= _SIGNAL_MAX and 0 <= replacement <= _SIGNAL_MAX:
            return signal, replacement
    raise _Show("value")


def _catatonit(argv: "Sequence[str]", environ: "Environment") -> Settings:
    if b"CATATONIT_LOG" in environ:
        raise _Show("reserved")
    flags, command = _read(
        argv, _look_at_catatonit, "ghLPV", {"version": "V"}, permute=b"POSIXLY_CORRECT" not in environ
    )
    letters = [letter for letter, _ in flags]
    if not command and "P" not in letters:
        raise _Show("no command")
    given: Given = {}
    if "g" in letters:
        given["forward_to"] = ["-g", "group"]
    if "P" in letters:
        given["pause"] = ["-P", "yes"]
    asked: Given = {}
    if b"CATATONIT_DEBUG" in environ:
        asked["log_level"] = ["CATATONIT_DEBUG", "debug"]
    settings = _settings(given, environ, asked, {"forward_to": "main"})
    settings.command = [] if settings.pause else command
    settings.verbosity = int("log_level" in asked)
    settings.main_session = "keep"
    for signal in (_TSTP, _TTIN, _TTOU):
        settings.rewrite.setdefault(signal, 0)
    return settings


def _look_at_catatonit(letter: str, _text: str) -> None:
    if letter == "h":
        raise _Show("help")
    if letter == "L":
        raise _Show("licence")
    if letter == "V":
        raise _Show("version")


_PARSERS = {"tini": _tini, "dumb-init": _dumb_init, "catatonit": _catatonit}


def _settings(given: "Given", environ: "Environment", asked: "Given", defaults: "dict[str, str]") -> Settings:
    """Return settings with what the three have in common: they leave when main ends, and say little.

    A log file is not the standard error that their names promise to keep quiet: there the log has its usual level.
    """
    settings = Settings()
    common = {"until": "main", "stop_on": "none"}
    if not environ.get(b"PYINIT_LOG_FILE"):
        common["log_level"] = "error"
    options.fill(settings, given, environ, asked, {**common, **defaults})
    if settings.restart != "no":
        raise options.UsageError("PYINIT_RESTART is for pyinit under its own name; leave it out, or start pyinit")
    return settings


def _read(
    argv: "Sequence[str]", look_at: "LookAt", short: str, long: "Mapping[str, str]", *, permute: bool
) -> "tuple[list[tuple[str, str]], list[str]]":
    """Read flags as getopt(3) and getopt_long(3) of glibc do; return each with its text, and the operands.

    `look_at` sees the letter and the text of each flag as soon as it is read, before what follows. `short` has a colon
    behind each letter that takes a value; `long` maps long flags to their letters, in the order of the program's own
    table. With `permute` flags may stand behind operands. Raises _Show for what is no flag.
    """
    flags: list[tuple[str, str]] = []
    operands: list[str] = []
    arguments = list(argv)
    arguments.reverse()
    while arguments:
        word = arguments.pop()
        if word == "--":
            break
        if word == "-" or word[:1] != "-":
            operands.append(word)
            if not permute:
                break
            continue
        read = _long(word, arguments, short, long) if long and word[:2] == "--" else _cluster(word, arguments, short)
        for letter, text in read:
            look_at(letter, text)
            flags.append((letter, text))
    arguments.reverse()
    return flags, operands + arguments


def _cluster(word: str, arguments: "list[str]", short: str) -> "Iterator[tuple[str, str]]":
    """Yield the letters of one word; the last one may have its value behind it, or in the next argument."""
    for at in range(1, len(word)):
        letter = word[at]
        place = short.find(letter)
        if place < 0 or letter == ":":
            raise _Show("syntax", f"invalid option -- '{_first_byte(letter)}'")
        if short[place + 1 : place + 2] != ":":
            yield letter, ""
            continue
        text = word[at + 1 :]
        if not text:
            if not arguments:
                raise _Show("syntax", f"option requires an argument -- '{letter}'")
            text = arguments.pop()
        yield letter, text
        return


def _first_byte(letter: str) -> str:
    """Return what C sees of a letter that is more than one byte long."""
    return letter.encode("utf-8", "surrogateescape")[:1].decode("utf-8", "surrogateescape")


def _long(word: str, arguments: "list[str]", short: str, long: "Mapping[str, str]") -> "Iterator[tuple[str, str]]":
    """Yield `--name`, `--name value` or `--name=value`; the name may be cut where only one begins so."""
    begun, equals, text = word[2:].partition("=")
    names = [begun] if begun in long else [name for name in long if name.startswith(begun)]
    if not names:
        raise _Show("syntax", f"unrecognized option '{word}'")
    if len(names) > 1:
        possible = "".join([f" '--{name}'" for name in names])
        raise _Show("syntax", f"option '{word}' is ambiguous; possibilities:{possible}")
    name = names[0]
    letter = long[name]
    if letter + ":" in short:
        if not equals:
            if not arguments:
                raise _Show("syntax", f"option '--{name}' requires an argument")
            text = arguments.pop()
    elif equals:
        raise _Show("syntax", f"option '--{name}' doesn't allow an argument")
    yield letter, text
