"""From the options for main's environment to the steps of the child.

All that can be looked at before anything is started, is: users, files, descriptors, terminals. What only the kernel can
refuse is a step. The order of the steps is the order in which the kernel lets them be done:

1. session and terminal: the rest of them belongs to what is in it (`pyinit.spawn`, then the first step here)
2. limits, nice value, I/O priority, CPUs, OOM score: what pyinit's privileges allow, before they go
3. umask and working directory
4. groups, then the user: the other way round it could not change its groups; the bounding set just before, because a
   change of user takes CAP_SETPCAP away
5. capabilities and secure bits, because a change of user changes them
6. no_new_privs and the parent-death signal, which a change of user or of capabilities clears
7. descriptors: whatever needed one is done
"""

import posix

from pyinit import kernel
from pyinit.child import environ as variables
from pyinit.child import privileges
from pyinit.child.step import Step, refuse, step, written
from pyinit.child.values import UNLIMITED
from pyinit.core.model import RESTART_NO
from pyinit.options import DEFAULT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyinit.settings import Settings

_NOT_STARTED = 125
_CLASSES = ("none", "realtime", "best-effort", "idle")


class Child:
    """What main is to be.

    Attributes:
        steps: what main does between fork and exec, in this order.
        command_steps: what pyinit's own commands do: the same, but for session, terminal, descriptors and pdeathsig.
        changes: what is different in its environment; None is a variable that there must not be.
        clear: True: there is nothing else in it.
        own_session: True or False where it is to have a session of its own, or to stay in pyinit's; None: as it comes.
        replaced: the standard descriptors that the steps open (bit N for descriptor N).
        terminal: a descriptor of the terminal that it gets where pyinit must let go of that first; else -1.
        held: descriptors that the steps need: open as long as main can be started again.
        uid: the user that it becomes, or None.
    """

    __slots__ = ("changes", "clear", "command_steps", "held", "own_session", "replaced", "steps", "terminal", "uid")

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.command_steps: list[Step] = []
        self.changes: dict[bytes, bytes | None] = {}
        self.clear = False
        self.own_session: bool | None = None
        self.replaced = 0
        self.held: list[int] = []
        self.terminal = -1
        self.uid: int | None = None


def prepare(settings: "Settings", environ: "Mapping[bytes, bytes]") -> Child:
    """Return what the options make of main; `environ` is what it would get without them. Raises UsageError."""
    child = Child()
    before: list[Step] = []  # what takes a descriptor of its own, before there is a limit on these
    shared: list[Step] = []
    last: list[Step] = []
    _session(settings, child)
    _limits(settings, shared)
    _turns(settings, before, shared)
    who = privileges.identity(settings)
    folder = _place(settings, shared)
    privileges.add(settings, who, before, shared)
    if folder is not None and settings.user is not None:
        shared.append(step(settings, "chdir", settings.chdir, folder.enter_again))
    if settings.no_new_privs:
        shared.append(privileges.no_new_privs(settings))
    if settings.main_pdeathsig is not None:
        last.append(_pdeathsig(settings, settings.main_pdeathsig))
    _descriptors(settings, child, last)
    child.steps += before + shared + last
    child.command_steps = before + shared
    child.clear = settings.clear_env
    if settings.close_fds:
        child.changes.update(variables.without_descriptors(settings.keep_fds, environ))
    if who is not None:
        child.uid = who.uid
        child.changes.update(who.variables)
    _environment(settings, child, environ)
    return child


def _session(settings: "Settings", child: Child) -> None:
    if settings.sources["setsid"] != DEFAULT:
        child.own_session = settings.setsid
    if settings.tty is None:
        return
    from pyinit.child import descriptors

    try:
        fd = descriptors.open_terminal(settings.tty)
    except OSError as error:
        reason = f"cannot be had ({error.strerror}); write the name of a terminal, or leave the option out"
        refuse(written(settings, "tty"), settings.tty, reason)
    child.own_session = True
    if descriptors.is_ours(fd):
        child.terminal = fd
    child.replaced = 0b111
    child.held.append(fd)
    path = settings.tty if settings.restart == RESTART_NO else descriptors.name_for_good(fd, settings.tty)
    child.steps.append(step(settings, "tty", settings.tty, descriptors.control(fd, path)))


def _limits(settings: "Settings", steps: "list[Step]") -> None:
    if not settings.rlimits:
        return
    from pyinit.child import scheduling

    wanted: dict[str, tuple[int | None, int | None]] = {}
    for name, soft, hard in settings.rlimits:  # the last one wins: a lower hard limit before it could not be taken back
        before = wanted.get(name, (None, None))
        wanted[name] = (before[0] if soft is None else soft, before[1] if hard is None else hard)
    for name, (soft, hard) in wanted.items():
        texts = ["" if limit is None else "unlimited" if limit == UNLIMITED else str(limit) for limit in (soft, hard)]
        value = f"{name}={texts[0]}" if soft == hard else f"{name}={':'.join(texts)}"
        steps.append(step(settings, "rlimits", value, scheduling.rlimit(name, soft, hard)))


def _turns(settings: "Settings", before: "list[Step]", steps: "list[Step]") -> None:
    nice, cpus = settings.nice, settings.cpu_affinity
    if nice is not None:
        from pyinit.child import scheduling

        steps.append(step(settings, "nice", nice, lambda: scheduling.nice(nice)))
    if settings.ioprio is not None:
        from pyinit.child import calls

        calls.load()
        of, level = settings.ioprio
        value = f"{_CLASSES[of]}:{level}" if of in (1, 2) else _CLASSES[of]
        steps.append(step(settings, "ioprio", value, lambda: calls.set_ioprio(of, level)))
    if cpus is not None:
        from pyinit.child import scheduling

        value = ",".join(map(str, sorted(cpus)))
        steps.append(step(settings, "cpu_affinity", value, lambda: scheduling.cpus(cpus)))
    if settings.oom_score_adj is not None:
        from pyinit.child import scheduling

        score = scheduling.OomScore(settings.oom_score_adj)
        before.append(step(settings, "oom_score_adj", settings.oom_score_adj, score.open))
        steps.append(step(settings, "oom_score_adj", settings.oom_score_adj, score.write))


def _place(settings: "Settings", steps: "list[Step]") -> "_Folder | None":
    mask = settings.umask
    if mask is not None:
        steps.append(step(settings, "umask", f"{mask:03o}", lambda: posix.umask(mask)))
    if settings.chdir is not None:
        folder = _Folder(settings.chdir, again=settings.user is not None)
        steps.append(step(settings, "chdir", settings.chdir, folder.enter))
        return folder
    return None


class _Folder:
    """A working directory; it may be closed to pyinit, and open to the user that main becomes (a network's, say)."""

    def __init__(self, path: str, *, again: bool) -> None:
        self._path = path.encode("utf-8", "surrogateescape")
        self._again = again
        self._closed = False

    def enter(self) -> None:
        """Go there; where that is not permitted, `enter_again` decides. Raises OSError."""
        try:
            posix.chdir(self._path)
        except PermissionError:
            if not self._again:
                raise
            self._closed = True

    def enter_again(self) -> None:
        """Behind the change of user: go there, if that could not be before. Raises OSError."""
        if self._closed:
            posix.chdir(self._path)


def _pdeathsig(settings: "Settings", signo: int) -> Step:
    from pyinit import signames
    from pyinit.child import calls

    calls.load_prctl()
    return step(settings, "main_pdeathsig", signames.name(signo), _ParentDeathSignal(signo).set)


class _ParentDeathSignal:
    """Has the kernel signal main when pyinit ends, also where pyinit has ended before it could be asked to."""

    def __init__(self, signo: int) -> None:
        self._signo = signo
        self._parent = posix.getpid()

    def set(self) -> None:
        """Ask the kernel (PR_SET_PDEATHSIG), and see that the parent is the one that it was. Raises OSError."""
        kernel.set_pdeathsig(self._signo)
        if posix.getppid() != self._parent:
            posix._exit(_NOT_STARTED)  # noqa: SLF001  # what was to end with pyinit does not begin after its end


def _descriptors(settings: "Settings", child: Child, steps: "list[Step]") -> None:
    if not settings.close_fds and settings.stdin == "inherit":
        return
    from pyinit.child import descriptors

    if settings.stdin == "null":
        try:
            fd = descriptors.open_null()
        except OSError as error:
            reason = f"cannot be had (/dev/null: {error.strerror}); leave the option out"
            refuse(written(settings, "stdin"), "null", reason)
        child.held.append(fd)
        steps.append(step(settings, "stdin", "null", lambda: posix.dup2(fd, 0)))
        child.replaced |= 1
    for fd in settings.keep_fds:
        if not descriptors.passes(fd):
            reason = "is not open, so that there is nothing to keep; write one that pyinit was started with"
            refuse(written(settings, "keep_fds"), str(fd), reason)
    if settings.close_fds:
        fds = [fd for fd in descriptors.inherited() if fd not in settings.keep_fds]
        steps.append(step(settings, "close_fds", "", lambda: descriptors.close_all(fds)))


def _environment(settings: "Settings", child: Child, environ: "Mapping[bytes, bytes]") -> None:
    for path in settings.env_files:
        try:
            child.changes.update(variables.read_file(path, environ))
        except OSError as error:
            reason = f"cannot be read ({error.strerror}); write the name of a file of NAME=VALUE lines"
            refuse(written(settings, "env_files"), path, reason)
        except variables.WrongLine as wrong:
            refuse(written(settings, "env_files"), path, f"is no such file: {wrong}")
    child.changes.update(variables.given(settings.env, environ))
