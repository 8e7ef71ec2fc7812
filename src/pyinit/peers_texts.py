"""What tini, dumb-init and catatonit say on their command lines, for when pyinit stands in the place of one.

People, scripts and test suites read these texts, so they are to the letter what the named versions say. The licence
is pyinit's own. Nothing here is loaded on the way to starting a command.
"""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyinit.options import Settings

# What is promised to people and to `docker info`: the versions whose behaviour was taken over.
TINI_VERSION = "0.19.0"
DUMB_INIT_VERSION = "1.2.5"
CATATONIT_VERSION = "0.2.1"

_STDOUT, _STDERR = 1, 2
_ENOENT, _EACCES = 2, 13

_TINI_USAGE = f"""\
{{0}} (tini version {TINI_VERSION})
Usage: {{0}} [OPTIONS] PROGRAM -- [ARGS] | --version

Execute a program under the supervision of a valid init process ({{0}})

Command line options:

  --version: Show version and exit.
  -h: Show this help message and exit.
  -s: Register as a process subreaper (requires Linux >= 3.4).
  -p SIGNAL: Trigger SIGNAL when parent dies, e.g. "-p SIGKILL".
  -v: Generate more verbose output. Repeat up to 3 times.
  -w: Print a warning when processes are getting reaped.
  -g: Send signals to the child's process group.
  -e EXIT_CODE: Remap EXIT_CODE (from 0 to 255) to 0.
  -l: Show license and exit.

Environment variables:

  TINI_SUBREAPER: Register as a process subreaper (requires Linux >= 3.4).
  TINI_VERBOSITY: Set the verbosity level (default: 1).
  TINI_KILL_PROCESS_GROUP: Send signals to the child's process group.

"""
_TINI_NO_REAPER = """\
[WARN  tini ({})] Tini is not running as PID 1 and isn't registered as a child subreaper.
Zombie processes will not be re-parented to Tini, so zombie reaping won't work.
To fix the problem, use the -s option or set the environment variable TINI_SUBREAPER to register Tini as a child \
subreaper, or run Tini as PID 1.
"""

_DUMB_INIT_HELP = f"""\
dumb-init v{DUMB_INIT_VERSION}
Usage: {{}} [option] command [[arg] ...]

dumb-init is a simple process supervisor that forwards signals to children.
It is designed to run as PID1 in minimal container environments.

Optional arguments:
   -c, --single-child   Run in single-child mode.
                        In this mode, signals are only proxied to the
                        direct child and not any of its descendants.
   -r, --rewrite s:r    Rewrite received signal s to new signal r before proxying.
                        To ignore (not proxy) a signal, rewrite it to 0.
                        This option can be specified multiple times.
   -v, --verbose        Print debugging information to stderr.
   -h, --help           Print this help message and exit.
   -V, --version        Print the current version and exit.

Full help is available online at https://github.com/Yelp/dumb-init
"""
_DUMB_INIT_USAGE = """\
Usage: {0} [option] program [args]
Try {0} --help for full usage.
"""
_DUMB_INIT_REWRITE = """\
Usage: -r option takes <signum>:<signum>, where <signum> is between 1 and 31.
This option can be specified multiple times.
Use --help for full usage.
"""

_CATATONIT_USAGE = "usage: catatonit [-ghLPV] [--] <progname> [<arguments>...]\n"
_CATATONIT_HELP = f"""\
{_CATATONIT_USAGE}
options:
  -g              Forward signals to pid1's process group.
  -h              Print this help page.
  -L              Print license information.
  -P              Run in pause mode (no program is run and quit on SIGINT).
  -V, --version   Print version information.

The source code can be found at <https://github.com/openSUSE/catatonit/>.
For bug reporting instructions, please see: <https://bugs.opensuse.org/>.
"""


def output(persona: str, program: str, what: str, detail: str = "") -> "tuple[str, int, int]":
    """Return a text, the descriptor that it goes to, and the status to leave with.

    `program` is argv[0] as it was given. `what` is "help", "version", "licence", "syntax" (getopt's complaint, in
    `detail`), "value" (of the option, in `detail`, is none), "no command" or "reserved".
    """
    if what == "licence":
        from pyinit import usage

        return usage.LICENCE, _STDOUT, 0
    if what == "syntax":
        detail = f"{program}: {detail}\n"
    return _OUTPUTS[persona](program, what, detail)


def _tini(program: str, what: str, detail: str) -> "tuple[str, int, int]":
    if what == "version":
        return f"tini version {TINI_VERSION}\n", _STDOUT, 0
    if what == "value":
        return _tini_fatal(posix.getpid(), f"Not a valid option for {detail}"), _STDERR, 1
    text = _TINI_USAGE.format(program.rpartition("/")[2])
    return (text, _STDOUT, 0) if what == "help" else (detail + text, _STDERR, 1)


def _dumb_init(program: str, what: str, detail: str) -> "tuple[str, int, int]":
    if what == "help":
        return _DUMB_INIT_HELP.format(program), _STDERR, 0
    if what == "version":
        return f"dumb-init v{DUMB_INIT_VERSION}\n", _STDERR, 0
    if what == "value":
        return _DUMB_INIT_REWRITE, _STDERR, 1
    return detail or _DUMB_INIT_USAGE.format(program), _STDERR, 1


def _catatonit(_program: str, what: str, detail: str) -> "tuple[str, int, int]":
    if what == "help":
        return _CATATONIT_HELP, _STDERR, 0
    if what == "version":
        return f"tini version {CATATONIT_VERSION}_catatonit\n", _STDOUT, 0
    if what == "reserved":
        return _catatonit_error(posix.getpid(), "CATATONIT_LOG is reserved for future use"), _STDERR, 1
    return (detail or _catatonit_error(posix.getpid(), "missing program name")) + _CATATONIT_USAGE, _STDERR, 1


_OUTPUTS = {"tini": _tini, "dumb-init": _dumb_init, "catatonit": _catatonit}


def no_reaper(pid: int) -> str:
    """Return tini's warning that it is neither PID 1 nor a subreaper; it says so from verbosity 1 on."""
    return _TINI_NO_REAPER.format(pid)


def reaped(own_pid: int, pid: int) -> str:
    """Return tini's line for a child that is not main and has been reaped; it says so with -w."""
    return f"[WARN  tini ({own_pid})] Reaped zombie process with pid={pid}\n"


def exec_failure(settings: "Settings", program: str, errno: int, pid: int) -> "tuple[int, str]":
    """Return status and line for a command that could not be executed (execve(2)): `pid` is the child's."""
    why = posix.strerror(errno)
    if settings.persona == "tini":
        status = {_ENOENT: 127, _EACCES: 126}.get(errno, 1)
        return status, _tini_fatal(pid, f"exec {program} failed: {why}")
    if settings.persona == "dumb-init":
        return 2, f"[dumb-init] {program}: {why}\n"
    return 1, _catatonit_error(pid, f"failed to exec pid1: {why}")


def fork_failure(settings: "Settings", errno: int, pid: int) -> "tuple[int, str]":
    """Return status and line for when there can be no new process (fork(2)): `pid` is our own."""
    why = posix.strerror(errno)
    if settings.persona == "tini":
        return 1, _tini_fatal(pid, f"fork failed: {why}")
    if settings.persona == "dumb-init":
        return 1, "[dumb-init] Unable to fork. Exiting.\n"
    return 1, _catatonit_error(pid, f"failed to spawn pid1: {why}")


def _tini_fatal(pid: int, text: str) -> str:
    return f"[FATAL tini ({pid})] {text}\n"


def _catatonit_error(pid: int, text: str) -> str:
    return f"ERROR (catatonit:{pid}): {text}\n"
