"""Makes the man page pyinit(1) from the table of options and the texts of --help."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from pyinit import usage
from pyinit.option_table import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyinit.option_table import Option

# The day of the last change of the texts below (man-pages(7): not the day of the build, so that builds are the same).
DATE = "2026-11-27"

DESCRIPTION = """
pyinit starts COMMAND as its child and is the parent that every orphan below it comes to: as PID 1 of a container, or as
a subreaper (PR_SET_CHILD_SUBREAPER, prctl(2)) anywhere else. A command that puts itself into the background and exits 0
does not end the run: what it leaves behind is the service, and the run lasts until that ends.

A stop request (SIGTERM, SIGINT or SIGQUIT, unless --stop-on says otherwise) is sent on to main, and once main has gone
to what it left behind; after a third of the grace to every process that is left. Who is left at the end of the grace
gets SIGKILL. All other signals are forwarded.

What happens is told in records on standard error: as JSON lines, or as text on a terminal.

Options end at the first word that is none, or at --. A value can be written --option VALUE or --option=VALUE.
"""
FIRST_WORD = """
With ENTRYPOINT ["pyinit", "--"] in an image, docker run IMAGE --check comes as pyinit -- --check. So one of these
options is taken as such also where the command would be, and what follows it is read as options.
"""
MORE_VARIABLES = """
Repeatable options take several values there, separated by commas or blanks. A switch takes 1, true, yes or on, and 0,
false, no or off.
"""
VARIABLES = (
    ("NO_COLOR", "If set and not empty, text on a terminal has no colours."),
    ("NOTIFY_SOCKET", "If set, pyinit tells that socket what it knows of the service (sd_notify(3))."),
    ("KUBERNETES_SERVICE_HOST", "If set, --check measures the grace by the 30 s of Kubernetes."),
)
TERMINATION_LOG = """
PID 1 leaves its last record there, where this file exists and is empty: Kubernetes shows it as the reason of the end.
"""
CHECK_STATUS = "Of --check: something is missing without which pyinit cannot do its work."
EXAMPLES = (
    ("Hold nginx, which puts itself into the background:", "pyinit -- nginx"),
    ("The same in an image:", 'ENTRYPOINT ["pyinit", "--"]\nCMD ["nginx"]'),
    (
        "Stop with SIGQUIT, SIGTERM 20 s later and SIGKILL after 5 more:",
        "pyinit --stop-signal QUIT:20s,TERM:5s -- nginx",
    ),
    ("See whether pyinit can do its work in an image:", "docker run --rm IMAGE --check"),
)
SEE_ALSO = "docker-run(1), podman-run(1), prctl(2), sd_notify(3), pid_namespaces(7), signal(7)"

# Characters of a line, before escapes make it longer: of interest to whoever reads the source.
LINE_MAX = 72

_HEAD = r"""
.\" Made when the wheel is built, from the table of options in pyinit/option_table.py.
.TH PYINIT 1 "@DATE@" "pyinit @VERSION@" "User Commands"
.SH NAME
pyinit \- start a command, hold the daemons that come of it, and stop all of it
.SH SYNOPSIS
.B pyinit
[\fIOPTIONS\fR] [\fB\-\-\fR] \fICOMMAND\fR [\fIARG\fR...]
.br
.B pyinit
[\fIOPTIONS\fR] \fB\-\-pause\fR
.br
.B pyinit
[\fIOPTIONS\fR] \fB\-\-check\fR[=\fBtext\fR|\fBjson\fR]
.br
.B pyinit
[\fIOPTIONS\fR] \fB\-\-dry\-run\fR[=\fBtext\fR|\fBjson\fR]
[\fB\-\-\fR] \fICOMMAND\fR [\fIARG\fR...]
"""


def page(table: Sequence[Option], version: str) -> str:
    """Return the man page in man(7)."""
    lines = _HEAD.strip().replace("@DATE@", DATE).replace("@VERSION@", version).splitlines()
    lines += [".SH DESCRIPTION", *_paragraphs(DESCRIPTION)]
    lines += [".SH OPTIONS", *_options(table)]
    lines.append(".SH EXIT STATUS")
    for status, text in (*usage.EXIT_STATUSES, ("1", CHECK_STATUS.rstrip("."))):
        lines += _tagged(status, _sentence(text))
    lines += [".SH ENVIRONMENT", *_paragraphs(usage.VARIABLES_TEXT + "\n\n" + MORE_VARIABLES)]
    for name, text in VARIABLES:
        lines += _tagged(name, text)
    lines += [".SH FILES", *_tagged("/dev/termination-log", " ".join(TERMINATION_LOG.split()))]
    lines += [".SH EXAMPLES", *_examples()]
    lines += [".SH SEE ALSO", _references(SEE_ALSO)]
    return "\n".join(lines) + "\n"


def _paragraphs(text: str) -> list[str]:
    parts = [_text(" ".join(part.split())) for part in text.strip().split("\n\n")]
    return "\n.PP\n".join(parts).split("\n")


def _options(table: Sequence[Option]) -> list[str]:
    lines = []
    for group, title in usage.GROUPS.items():
        lines.append(f".SS {_text(title)}")
        for option in table:
            if option.group == group:
                lines += _option(option)
        if group == "about":
            lines += [".PP", *_paragraphs(FIRST_WORD)]
    lines.append(".SS Short forms of options above")
    for option in table:
        if not option.group:
            lines += [".TP", _names(option), _text(_sentence(meaning(option, table)))]
    return lines


def _examples() -> list[str]:
    lines = []
    for number, (text, example) in enumerate(EXAMPLES):
        lines += [".PP"] * bool(number) + [_text(text), ".PP", ".RS 4", ".EX"]
        lines += [_text(line) for line in example.splitlines()] + [".EE", ".RE"]
    return lines


def _option(option: Option) -> list[str]:
    """Return the entry of one option: all its forms, its text, its default, its variable."""
    text = _sentence(usage.TEXTS.get(option.name, f"show the {option.name} and leave"))
    more = []
    if option.choices:
        more.append(f"One of {', '.join(option.choices)}.")
    if option.default:
        more.append(f"The default is {option.default}.")
    if option.repeatable and "repeatable" not in text:
        more.append("It can be given several times.")
    if option.variable:
        more.append(f"Variable: {option.variable}.")
    return [".TP", _names(option), _text(" ".join([text, *more]))]


def _names(option: Option) -> str:
    names = [f"\\fB\\-{letter}\\fR" for letter in option.short]
    long = [option.name] if option.name else []
    long += [f"no-{option.name}"] if option.kind == "switch" else []
    # The text says what the first of them does.
    names += [f"\\fB\\-\\-{_text(name)}\\fR" for name in sorted(long, key=usage.long_name(option).__ne__)]
    value = f" \\fI{_text(option.metavar)}\\fR" if option.takes_value else ""
    if option.kind == "report":
        value = "[=" + "|".join([f"\\fB{choice}\\fR" for choice in option.choices]) + "]"
    return ", ".join(names) + value


def meaning(option: Option, table: Sequence[Option]) -> str:
    """Return what an option says that stands for another one."""
    for other in table:
        if other.setting == option.setting and other.takes_value:
            return f"the same as --{other.name} {option.gives}"
    return "changes nothing: where it is not PID 1 pyinit is a subreaper anyway (tini's -s)"


def _tagged(tag: str, text: str) -> list[str]:
    return [".TP", f".B {_text(tag)}", _text(text)]


def _sentence(text: str) -> str:
    """Return a text of --help as a sentence; a name that it begins with keeps its case."""
    first = text.partition(",")[0].partition(" ")[0]
    begun = text if any(first in option.choices for option in OPTIONS) else text[0].upper() + text[1:]
    return begun + "."


def _text(text: str) -> str:
    """Return text for roff: nothing in it is a request or an escape, and a minus is one that can be copied."""
    if len(text) > LINE_MAX:
        return "\n".join([_text(line) for line in textwrap.wrap(text, LINE_MAX, break_on_hyphens=False)])
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti").replace("^", "\\(ha")
    return re.sub(r"^(?=[.'])", "\\&", escaped)


def _references(text: str) -> str:
    """Return `name(section), name(section)` with the names in bold, a line each."""
    return "\n".join([f".BR {_text(name)} ({rest}" for name, _, rest in (part.partition("(") for part in text.split())])
