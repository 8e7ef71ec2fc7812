"""Decides what --check says: from the facts about a place to rows that say what they mean and what to do.

Pure: no system call is made here. `pyinit.reports.place` gathers the facts.
"""

from __future__ import annotations

from pyinit import usage
from pyinit.reports.model import DEGRADED, MISSING, OK, Facts, Row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyinit.reports import Page

# Linux with pidfd_open(2); what pyinit needs besides is older.
KERNEL_MIN = (5, 3)
# What waits before it kills: docker stop and podman stop; Kubernetes, unless told otherwise (seconds).
ENGINE_TIMEOUT_S = 10
KUBERNETES_TIMEOUT_S = 30

_SECCOMP = {0: "off", 1: "strict", 2: "a filter"}


def rows(facts: Facts) -> list[Row]:
    """Return a row for each thing that was looked at, in the order of the table."""
    found = [look(facts) for look in _LOOKS]
    return [row for row in found if row is not None]


def status(found: Sequence[Row]) -> int:
    """Return the exit status: 1 where something is missing without which pyinit cannot do its work."""
    return int(any(row.state == MISSING for row in found))


def table(found: Sequence[Row], page: Page) -> str:
    """Return the rows as a table for people, with its last newline."""
    lines = []
    for row in found:
        cells = [(page.coloured(f"{row.state:<10}", row.state), 0), (row.name, 18)]
        text = f"{row.found}: {row.means}" + (f" {row.remedy}" if row.remedy else "")
        first, *more = page.row([("", 10), *cells[1:]], usage.printable(text))
        lines += [cells[0][0] + first[10:], *more]
    lines += ["", *[page.coloured(line, "") for line in page.row([], verdict(found))]]
    return "\n".join(lines) + "\n"


def verdict(found: Sequence[Row]) -> str:
    """Return the last line of the table."""
    missing = [row.name for row in found if row.state == MISSING]
    if missing:
        return f"pyinit cannot do its work here: {', '.join(missing)}."
    degraded = [row.name for row in found if row.state == DEGRADED]
    return "pyinit can do its work here" + (f"; degraded: {', '.join(degraded)}." if degraded else ".")


def _kernel(facts: Facts) -> Row:
    found = f"Linux {facts.kernel}"
    numbers = facts.kernel.replace("-", ".").split(".")[:2]
    if not all(number.isdigit() for number in numbers) or tuple(map(int, numbers)) >= KERNEL_MIN:
        return Row("kernel", OK, found, "it has the system calls that pyinit uses.")
    means = "it is older than 5.3 and has no pidfds."
    return Row("kernel", DEGRADED, found, means, "Run a newer kernel.")


def _role(facts: Facts) -> Row:
    if facts.pid1:
        return Row("role", OK, "PID 1", "every orphan comes to pyinit, and its final kill reaches everybody.")
    if facts.subreaper_problem is None:
        means = "every orphan below pyinit comes to it. SIGKILL to pyinit itself leaves them behind."
        return Row("role", OK, "subreaper", means)
    means = "pyinit cannot become a subreaper, and orphans would get away."
    return Row("role", MISSING, facts.subreaper_problem, means, "Run pyinit as PID 1, or where prctl(2) is allowed.")


def _seccomp(facts: Facts) -> Row | None:
    if facts.seccomp is None:
        return None
    found = _SECCOMP.get(facts.seccomp, f"mode {facts.seccomp}")
    return Row("seccomp", OK, found, "what it takes away from pyinit, other rows say.")


def _new_privileges(facts: Facts) -> Row | None:
    if facts.no_new_privs is None:
        return None
    if facts.no_new_privs:
        means = "no process below pyinit can become another user by a set-user-ID program (sudo, su)."
        return Row("no-new-privileges", OK, "set", means)
    return Row("no-new-privileges", OK, "not set", "set-user-ID programs (sudo, su) work as ever.")


def _proc(facts: Facts) -> Row:
    if not facts.proc:
        means = "processes have no names in the log, and only direct children are signalled before SIGKILL."
        remedy = "Mount the /proc of this PID namespace."
        return Row("/proc", DEGRADED, "not mounted, or of another PID namespace", means, remedy)
    if facts.hidepid and facts.uid:
        means = "pyinit does not see the processes of other users below it."
        return Row("/proc", DEGRADED, "mounted with hidepid", means, "Mount it without hidepid, or run pyinit as root.")
    return Row("/proc", OK, "mounted", "pyinit sees every process below it.")


def _children(facts: Facts) -> Row | None:
    if not facts.proc:
        return None
    if facts.children:
        return Row("children files", OK, "there", "orphans are found by reading one list.")
    means = "all of /proc is scanned to find orphans, which costs time where there are many processes."
    remedy = "Run a kernel with CONFIG_PROC_CHILDREN."
    return Row("children files", DEGRADED, "not in this kernel", means, remedy)


def _marks(facts: Facts) -> Row | None:
    if not facts.pid1 or not facts.proc:
        return None
    if facts.marks:
        return Row("core dump filter", OK, "can be set", "orphans of docker exec are told from main's.")
    means = "orphans of docker exec and of health checks count as the service's own."
    return Row("core dump filter", DEGRADED, "cannot be set", means, "Use --pid-file or --notify to name the service.")


def _pidfd(facts: Facts) -> Row:
    if facts.pidfd_problem is None:
        return Row("pidfd", OK, "usable", "a deeper descendant is signalled without a risk for strangers.")
    means = "pyinit does not signal what it has not been the parent of, before SIGKILL."
    remedy = "Run Linux 5.3 or newer, with a seccomp profile that allows pidfd_open and pidfd_send_signal."
    return Row("pidfd", DEGRADED, facts.pidfd_problem, means, remedy)


def _prctl(facts: Facts) -> Row:
    if facts.prctl_problem is None:
        return Row("prctl", OK, "python-prctl", "pyinit calls prctl(2) through it.")
    means = "prctl(2) is called through ctypes, which takes some milliseconds longer."
    remedy = "Install python-prctl again, built against the headers of this kernel."
    return Row("prctl", DEGRADED, f"ctypes ({facts.prctl_problem})", means, remedy)


def _structlog(facts: Facts) -> Row:
    if facts.structlog_problem is None:
        return Row("structlog", OK, "usable", "records are rendered by it.")
    means = "the same records come out without it."
    return Row("structlog", DEGRADED, facts.structlog_problem, means, "Install structlog again.")


def _terminal(facts: Facts) -> Row:
    if facts.tty is not None:
        return Row("terminal", OK, facts.tty, "main leads a session of its own on it.")
    if facts.terminal == "none":
        stays = facts.own_session is False
        means = "main stays in pyinit's session." if stays else "main leads a session of its own."
        return Row("terminal", OK, "none", means)
    if facts.own_session:
        return Row("terminal", OK, "a controlling terminal", "main leads a session of its own, without a terminal.")
    return Row("terminal", OK, "a controlling terminal", "main becomes its foreground group, and job control works.")


def _log(facts: Facts) -> Row:
    if facts.log_problem is not None and facts.log_option:
        means = f"{facts.log_problem}, and pyinit would start nothing."
        remedy = "Name a file that can be written, or leave --log-file out."
        return Row("log", MISSING, facts.log, means, remedy)
    if facts.log_problem is not None:
        means = f"{facts.log_problem}, so that nobody hears what pyinit has to tell."
        return Row("log", DEGRADED, facts.log, means, "Leave standard error open, or use --log-file.")
    if not facts.log_heard:
        return Row("log", DEGRADED, facts.log, "nobody reads what pyinit has to tell.", "Use --log-file.")
    return Row("log", OK, facts.log, "records can be written, and their reader is never waited for.")


def _termination(facts: Facts) -> Row | None:
    if facts.termination is None:
        return None
    if facts.termination_problem is None:
        return Row("last word", OK, facts.termination, "the last record is left there, too.")
    means = f"{facts.termination_problem}: the last word is in the log alone."
    return Row("last word", DEGRADED, facts.termination, means, "Let pyinit's user write it (terminationMessagePath).")


def _grace(facts: Facts) -> Row:
    found = f"{facts.grace_s:g} s"
    limit_s = KUBERNETES_TIMEOUT_S if facts.kubernetes else ENGINE_TIMEOUT_S
    who = "Kubernetes" if facts.kubernetes else "docker stop"
    if facts.grace_s < limit_s:
        means = f"what is left gets SIGKILL from pyinit before {who} kills pyinit itself after {limit_s} s."
        return Row("grace", OK, found, means)
    means = f"{who} kills pyinit itself after {limit_s} s unless told otherwise, and nobody tells what was left then."
    how = (
        "terminationGracePeriodSeconds: more than the grace"
        if facts.kubernetes
        else "docker stop --time or stop_grace_period: more than the grace; Kubernetes: terminationGracePeriodSeconds"
    )
    return Row("grace", DEGRADED, found, means, f"Tell it ({how}), or write a shorter --grace.")


def _user(facts: Facts) -> Row:
    found = f"uid {facts.uid}, gid {facts.gid}"
    if not _becomes_another(facts):
        return Row("user", OK, found, "main runs as the same.")
    if facts.can_become is False:
        means = f"main is to run as uid {facts.main_uid}, and there is no CAP_SETUID: pyinit would start nothing."
        return Row("user", MISSING, found, means, "Start pyinit as root, or leave --user out.")
    return Row("user", OK, found, f"main runs as uid {facts.main_uid}.")


def _becomes_another(facts: Facts) -> bool:
    return facts.main_uid not in (None, facts.uid)


def _capabilities(facts: Facts) -> Row | None:
    if facts.can_kill is None:
        return None
    if facts.can_kill:
        return Row("capabilities", OK, "CAP_KILL", "pyinit can signal processes of every user.")
    if _becomes_another(facts):
        means = "neither stops nor forwarded signals reach main, which runs as another user."
        remedy = "Add it (docker run --cap-add KILL), or start pyinit as that user."
        return Row("capabilities", DEGRADED, "no CAP_KILL", means, remedy)
    if facts.uid and facts.no_new_privs:
        return Row("capabilities", OK, "no CAP_KILL", "none is needed: all that runs below pyinit is its own user's.")
    means = "what runs as another user gets no signal from pyinit"
    means += ", until the end of PID 1 ends it." if facts.pid1 else ", and may outlive the run."
    if facts.uid:
        remedy = "Set no-new-privileges, so that nothing can run as another user."
        return Row("capabilities", OK, "no CAP_KILL", means, remedy)
    return Row("capabilities", DEGRADED, "no CAP_KILL", means, "Add it (docker run --cap-add KILL).")


def _group(facts: Facts) -> Row:
    found = f"version {facts.cgroup}" if facts.cgroup else "none to be seen"
    if facts.cgroup_kill:
        found += ", cgroup.kill can be written"
    if facts.counts_oom:
        return Row("control group", OK, found, "a SIGKILL for want of memory is told as such.")
    means = "a SIGKILL for want of memory cannot be told from another one."
    return Row("control group", DEGRADED, found, means, "Mount the control groups (/sys/fs/cgroup).")


def _libc(facts: Facts) -> Row:
    if facts.libc:
        return Row("C library", OK, facts.libc, "pyinit is made for it.")
    return Row("C library", DEGRADED, "not glibc", "nobody has tried pyinit with it.", "Use an image with glibc.")


def _python(facts: Facts) -> Row:
    if not facts.isolated:
        means = "PYTHON variables, the working directory and the user's packages can change what pyinit runs."
        return Row("Python", DEGRADED, f"{facts.python}, not isolated", means, "Start it as pyinit, or by python -I.")
    return Row("Python", OK, f"{facts.python}, isolated", "nothing in the container changes what pyinit runs.")


def _launcher(facts: Facts) -> Row:
    if facts.launcher:
        means = "no signal is lost from its first system call on, and main gets back what it was started with."
        return Row("launcher", OK, "used", means)
    means = "a signal that comes while the interpreter starts can be lost, and ignored signals are guessed."
    return Row("launcher", DEGRADED, "not used", means, "Start it as pyinit, and not by python -m pyinit.")


def _signals(facts: Facts) -> Row:
    kinds = (facts.ignored, "ignored"), (facts.blocked, "blocked")
    told = [f"{_and(names)} {how}" for names, how in kinds if names]
    if not told:
        return Row("signals", OK, "as ever", "main starts with those that ask for a stop neither ignored nor blocked.")
    means = "pyinit was started so, and main gets it handed on: it may not hear of a stop."
    return Row("signals", DEGRADED, ", ".join(told), means, "Start pyinit without nohup, and not by a shell's &.")


def _variables(facts: Facts) -> Row:
    if not facts.unknown:
        return Row("variables", OK, "no unknown PYINIT_ variable", "each that is set has a meaning.")
    found = ", ".join([name for name, _ in facts.unknown])
    near = [meant for _, meant in facts.unknown if meant]
    remedy = f"Did you mean {_and(near)}?" if near else "pyinit --help-all lists the options; each has its variable."
    return Row("variables", DEGRADED, found, "nothing is called that, and it does nothing.", remedy)


def _command(facts: Facts) -> Row | None:
    if facts.command is None:
        return None
    if facts.command_problem is None:
        return Row("command", OK, facts.command, "it is there and can be executed.")
    remedy = "Correct the command, or install it."
    return Row("command", MISSING, facts.command, facts.command_problem + ".", remedy)


def _and(names: Sequence[str]) -> str:
    return " and ".join(names)


_LOOKS: tuple[Callable[[Facts], Row | None], ...] = (
    _role,
    _kernel,
    _seccomp,
    _new_privileges,
    _user,
    _capabilities,
    _proc,
    _children,
    _marks,
    _pidfd,
    _prctl,
    _structlog,
    _terminal,
    _signals,
    _log,
    _termination,
    _grace,
    _group,
    _libc,
    _python,
    _launcher,
    _variables,
    _command,
)
