"""pyinit under the names of others: what a user of tini, dumb-init or catatonit relies on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from support import procs
from support import run as runs
from support.needs import cannot
from support.person import CTRL_D, CTRL_Z, Person
from support.programs import program
from support.run import EXITED, FORWARDED, PID1, REAPED, STARTED, STOPPING, SUBREAPER, UNDELIVERABLE, plain_environment
from support.waiting import Lines, wait_for_exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from support.run import Run

    Start = Callable[..., Run]

NAMES = ("tini", "docker-init", "dumb-init", "catatonit")
# Records on standard error, and no warning of tini's between them.
LOG = {"PYINIT_LOG_LEVEL": "debug", "PYINIT_LOG_FORMAT": "json", "TINI_VERBOSITY": "0"}
FATAL = [number for number in range(1, 65) if number not in {17, 18, 19, 20, 21, 22, 23, 28, 32, 33}]
# Ends with a status when its parent has gone: before that it would be the parent's to reap.
ORPHAN = "[ $PPID = 1 ] || while kill -0 $PPID 2>/dev/null; do :; done; exit %d"
# Each exit status and each fatal signal, and what does not come out. The signals not in the background, where a shell
# ignores some of them.
STATUSES = """
try() { want=$1; shift; "$@" 2>/dev/null; got=$?; [ $got = $want ] || echo "wanted $want, got $got: $*"; }
ulimit -c 0
for first in 0 1 2; do
    for status in $(seq $first 3 255); do try $status "$PEER" -- "$EXIT" $status; done &
done
for number in %s; do try $((128 + number)) "$PEER" -- "$DIE" $number; done
wait
echo done
"""


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a link of each name to the pyinit that was installed."""
    folder = tmp_path_factory.mktemp("links")
    for name in NAMES:
        (folder / name).symlink_to(runs.pyinit_command())
    return folder


@pytest.fixture
def under(links: Path, pyinit: Start, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start a command under a name, the first argument; its log is as detailed as pyinit's."""

    def start(name: str, *command: str, extra_env: Mapping[str, str] | None = None, **keywords: object) -> Run:
        monkeypatch.setattr(runs, "pyinit_command", lambda: str(links / name))
        return pyinit(*command, log_options=(), extra_env=LOG | dict(extra_env or {}), **keywords)

    return start


def call(link: Path, *words: str, **variables: str) -> tuple[int, str, str]:
    """Run it to its end without a PID namespace; return status, standard output and standard error."""
    done = subprocess.run(
        [link, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=plain_environment() | variables,
        check=False,
        timeout=20,
    )
    return done.returncode, done.stdout, done.stderr


def numbers(run: Run) -> list[int]:
    """Return the signals that somebody got, in order."""
    return [int(words[0]) for words in run.out.all("got")]


@pytest.mark.timeout_s(240)  # 310 runs
@pytest.mark.parametrize("name", NAMES)
def test_statuses(links: Path, name: str) -> None:
    """Exit statuses and all fatal signals come through under each name where it is not PID 1."""
    script = STATUSES % " ".join(map(str, FATAL))
    programs = {"PEER": str(links / name), "EXIT": program("exit_with"), "DIE": program("die_of")}
    done = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, env=plain_environment() | programs, check=False
    )
    assert done.stdout == "done\n"


def test_tini_warns_before_it_fails(links: Path) -> None:
    """That nothing will be reaped is said first, also where the command cannot be started; not at verbosity 0."""
    for verbosity in ("1", "0"):
        status, _, text = call(links / "tini", "/no/such/command", TINI_VERBOSITY=verbosity)
        assert status == 127
        *warning, fatal = text.splitlines()
        assert fatal.startswith("[FATAL tini (")
        assert len(warning) == (3 if verbosity == "1" else 0)
        assert not warning or warning[0].startswith("[WARN  tini (")


@pytest.mark.modes(PID1)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", [0, 1, 127, 200, 255, -2, -9, -11, -15, -34, -64])
def test_status_as_pid_1(under: Start, name: str, number: int) -> None:
    """The same as PID 1."""
    words = [program("exit_with"), str(number)] if number >= 0 else [program("die_of"), str(-number)]
    run = under(name, *words)
    assert run.finish() == (number if number >= 0 else 128 - number)


@pytest.mark.parametrize(
    ("name", "options", "whole_group"),
    [
        ("tini", [], False),
        ("docker-init", [], False),
        ("tini", ["-g"], True),
        ("dumb-init", [], True),
        ("dumb-init", ["-c"], False),
        ("catatonit", [], False),
        ("catatonit", ["-g"], True),
    ],
)
def test_who_gets_signals(under: Start, name: str, options: list[str], *, whole_group: bool) -> None:
    """Main alone, or its process group; SIGTERM is forwarded like any other and is no stop request."""
    script = 'exec 3<&0; "$0" member <&3 & exec "$0" main'
    run = under(name, "/bin/sh", "-c", script, program("take_all"), options=options)
    run.out.wait("ready", 2)
    for number in (signal.SIGTERM, signal.SIGHUP, 40):
        run.signal(number)
        run.out.wait(f"got {int(number)} from", 2 if whole_group else 1)
    for pid, _ in run.out.all("ready"):
        run.kill(pid, 64)
    run.out.wait("got 64 from", 2)
    assert len(run.out.all("got 15 from")) == (2 if whole_group else 1)
    assert {words[-1] for words in run.out.all("got 1 from")} == ({"main", "member"} if whole_group else {"main"})
    assert not run.of(STOPPING)
    member = next(run.outer(pid) for pid, who in run.out.all("ready") if who == "member")
    os.kill(member, signal.SIGKILL)
    assert wait_for_exit(member, 20)
    run.close_input()
    assert run.finish() == 0
    procs.reap_orphans()  # where the peer is no subreaper the member was left to us


@pytest.mark.parametrize(
    ("variables", "name"),
    [({"TINI_KILL_PROCESS_GROUP": ""}, "tini"), ({"DUMB_INIT_SETSID": "1"}, "dumb-init")],
    ids=str,
)
def test_variables_say_whom(under: Start, variables: dict[str, str], name: str) -> None:
    """TINI_KILL_PROCESS_GROUP counts as soon as it is set; DUMB_INIT_SETSID counts as 0 alone."""
    run = under(name, program("take_all"), "main", extra_env=variables)
    main = int(run.out.wait("ready")[0])
    run.signal(signal.SIGHUP)
    assert run.wait_for(FORWARDED)["pyinit.signal.targets"] == [-main]
    run.close_input()
    run.finish()


def test_setsid_0(under: Start) -> None:
    """DUMB_INIT_SETSID=0 is -c: main alone, and it stays in dumb-init's group and session."""
    run = under("dumb-init", program("take_all"), "main", extra_env={"DUMB_INIT_SETSID": "0"})
    main = int(run.out.wait("ready")[0])
    run.signal(signal.SIGHUP)
    assert run.wait_for(FORWARDED)["pyinit.signal.targets"] == [main]
    assert procs.stat(run.outer(main))[2:4] == procs.stat(run.pid)[2:4]
    run.close_input()
    assert run.finish() == 0


def test_dumb_inits_session(under: Start) -> None:
    """dumb-init's main leads a session of its own, and starts with no signal blocked."""
    run = under("dumb-init", program("serve"), "0", stage=["block=1", "block=10"])
    main = run.out.wait("ready")[0]
    run.wait_for(STARTED)
    outer = run.outer(main)
    assert procs.stat(outer)[3] == str(outer)
    run.signal(signal.SIGHUP)
    run.out.wait("got 1 from")
    assert run.stop() == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.modes(PID1)
def test_what_main_leaves_as_pid_1(under: Start, name: str) -> None:
    """Main ends, a daemon is left: it is asked to stop and told, and main's status is the run's."""
    script = '"$0" after "$1" 7 daemon; read line; exit 3'
    run = under(name, "/bin/sh", "-c", script, program("double_fork"), program("serve"))
    run.out.wait("ready")
    run.close_input()
    assert run.finish() == 3
    assert 15 in numbers(run)
    assert run.one(REAPED, pyinit__role="adopted", process__exit__code=7)


@pytest.mark.parametrize(("name", "options"), [("tini", ["-s"]), ("catatonit", [])])
@pytest.mark.modes(SUBREAPER)
def test_what_main_leaves_to_a_subreaper(under: Start, name: str, options: list[str]) -> None:
    """`tini -s` and catatonit are subreapers: what main leaves is stopped and told too."""
    script = '"$0" after "$1" 7 daemon; read line; exit 3'
    run = under(name, "/bin/sh", "-c", script, program("double_fork"), program("serve"), options=options)
    run.out.wait("ready")
    run.close_input()
    assert run.finish() == 3
    assert run.one(REAPED, pyinit__role="adopted", process__exit__code=7)


@pytest.mark.parametrize(
    ("name", "words", "gets_term"),
    [("tini", [], False), ("dumb-init", [], True), ("dumb-init", ["-c"], False), ("dumb-init", ["-r", "15:10"], False)],
)
def test_what_main_leaves_elsewhere(links: Path, name: str, words: list[str], *, gets_term: bool) -> None:
    """Where it is no subreaper, what main leaves lives on, but for dumb-init's SIGTERM (rewritten) to the group."""
    out_r, out_w = os.pipe()
    in_r, in_w = os.pipe()
    script = 'exec 3<&0; trap "exit 3" HUP; "$0" left <&3 & wait'
    started = subprocess.Popen(
        [links / name, *words, "--", "/bin/bash", "-c", script, program("take_all")],
        stdin=in_r,
        stdout=out_w,
        stderr=subprocess.DEVNULL,
        env=plain_environment(),
    )
    for fd in (in_r, out_w):
        os.close(fd)
    lines = Lines(out_r)
    left = int(lines.wait("ready")[0])
    try:
        started.send_signal(signal.SIGHUP)
        assert started.wait(20) == 3
        os.kill(left, 64)
        lines.wait("got 64 from")
        assert bool(lines.all("got 15 from")) is gets_term
        assert bool(lines.all("got 10 from")) is (words == ["-r", "15:10"])
    finally:
        os.close(in_w)
        started.kill()
        started.wait()
        assert wait_for_exit(left, 20)
        procs.reap_orphans()


def test_zombies_are_not_for_tini_without_s(links: Path) -> None:
    """A tini that is neither PID 1 nor a subreaper says so, and goes on; with -s or its variable it is quiet."""
    status, _, error = call(links / "tini", "--", "true")
    assert status == 0
    assert error.startswith("[WARN  tini (")
    assert "zombie reaping won't work" in error
    assert call(links / "tini", "-s", "--", "true") == (0, "", "")
    assert call(links / "tini", "--", "true", TINI_SUBREAPER="") == (0, "", "")
    assert call(links / "tini", "--", "true", TINI_VERBOSITY="0") == (0, "", "")
    for name in ("dumb-init", "catatonit"):
        assert call(links / name, "true") == (0, "", ""), name


@pytest.mark.parametrize(
    ("name", "missing", "denied", "message"),
    [
        ("tini", 127, 126, "[FATAL tini (PID)] exec COMMAND failed: WHY\n"),
        ("docker-init", 127, 126, "[FATAL tini (PID)] exec COMMAND failed: WHY\n"),
        ("dumb-init", 2, 2, "[dumb-init] COMMAND: WHY\n"),
        ("catatonit", 1, 1, "ERROR (catatonit:PID): failed to exec pid1: WHY\n"),
    ],
)
def test_commands_that_cannot_be_run(links: Path, name: str, missing: int, denied: int, message: str) -> None:
    """Statuses and lines on standard error are those of the program."""
    tries = {"/nonexistent": (missing, "No such file or directory"), "/etc": (denied, "Permission denied")}
    for command, (status, why) in tries.items():
        left, output, error = call(links / name, command, TINI_SUBREAPER="")
        assert (left, output) == (status, "")
        before, _, after = message.replace("COMMAND", command).replace("WHY", why).partition("PID")
        assert error.startswith(before)
        assert error.endswith(after)
        assert not after or error[len(before) : len(error) - len(after)].isdigit()


@pytest.mark.parametrize("name", ["tini", "docker-init", "dumb-init", "catatonit"])
@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PYINIT_GRACE", "soon", "PYINIT_GRACE: "),
        ("PYINIT_USER", "nobody-of-that-name", "PYINIT_USER"),
        ("PYINIT_LOG_FILE", "/nonexistent/log", "--log-file /nonexistent/log: "),
        ("PYINIT_TERMINATION_LOG", "/nonexistent/word", "--termination-log /nonexistent/word: "),
    ],
)
def test_wrong_variables(links: Path, name: str, variable: str, value: str, message: str) -> None:
    """One line that begins with the name that pyinit was called by, and the status of that program."""
    status, output, error = call(links / name, "true", **{variable: value})
    assert (status, output) == (1, "")
    assert error.startswith(f"{name}: {message}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "words", "status", "output", "error"),
    [
        ("tini", ["--version"], 0, "tini version 0.19.0\n", ""),
        ("tini", ["-h"], 0, "tini (tini version 0.19.0)\nUsage: tini [OPTIONS]", ""),
        ("docker-init", ["-h"], 0, "docker-init (tini version 0.19.0)\nUsage: docker-init [OPTIONS]", ""),
        ("docker-init", ["--version"], 0, "tini version 0.19.0\n", ""),
        ("tini", [], 1, "", "tini (tini version"),
        ("tini", ["sh", "-c", "exit 3"], 1, "", "{link}: invalid option -- 'c'\ntini (tini version"),
        ("tini", ["-e", "256", "true"], 1, "", "[FATAL tini ("),
        ("tini", ["-p", "TERM", "true"], 1, "", "[FATAL tini ("),
        ("tini", ["-l"], 0, "MIT License", ""),
        ("dumb-init", ["--version"], 0, "", "dumb-init v1.2.5\n"),
        ("dumb-init", ["-V"], 0, "", "dumb-init v1.2.5\n"),
        ("dumb-init", ["-h"], 0, "", "dumb-init v1.2.5\nUsage: {link} [option] command"),
        ("dumb-init", [], 1, "", "Usage: {link} [option] program [args]\nTry {link} --help"),
        ("dumb-init", ["-r", "15:x", "true"], 1, "", "Usage: -r option takes"),
        ("dumb-init", ["--ver"], 1, "", "{link}: option '--ver' is ambiguous"),
        ("catatonit", ["-V"], 0, "tini version 0.2.1_catatonit\n", ""),
        ("catatonit", ["--version"], 0, "tini version 0.2.1_catatonit\n", ""),
        ("catatonit", ["-h"], 0, "", "usage: catatonit [-ghLPV]"),
        ("catatonit", ["-L"], 0, "MIT License", ""),
        ("catatonit", [], 1, "", "ERROR (catatonit:"),
        ("catatonit", ["-x", "true"], 1, "", "{link}: invalid option -- 'x'\nusage: catatonit"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_texts(  # noqa: PLR0917  # all that one call gives
    links: Path, name: str, words: list[str], status: int, output: str, error: str
) -> None:
    """--version, -h, licence and errors: the text, the stream that it goes to, and the status are the program's."""
    link = links / name
    got = call(link, *words)
    assert got[0] == status
    assert got[1].startswith(output) if output else not got[1]
    wanted = error.format(link=link)
    assert got[2].startswith(wanted) if error else not got[2]


def test_tinis_exit_codes(links: Path) -> None:
    """-e N makes N count as 0, glued and repeated too; 128+S can be named."""
    tini = links / "tini"
    assert call(tini, "-s", "-e", "3", "-e143", "--", "sh", "-c", "exit 3")[0] == 0
    assert call(tini, "-s", "-e", "3", "-e143", "--", "sh", "-c", "kill $$")[0] == 0
    assert call(tini, "-s", "-e", "3", "--", "sh", "-c", "exit 4")[0] == 4


def test_tinis_parent_death_signal(links: Path) -> None:
    """-p SIG: the signal comes to tini when its parent ends, and so to main."""
    out_r, out_w = os.pipe()
    in_r, in_w = os.pipe()
    script = '"$0" -s -p SIGUSR1 -- "$1" main <&3 & read line'
    parent = subprocess.Popen(
        ["/bin/bash", "-c", f"exec 3<&0; {script}", links / "tini", program("take_all")],
        stdin=in_r,
        stdout=out_w,
        env=plain_environment(),
    )
    for fd in (in_r, out_w):
        os.close(fd)
    lines = Lines(out_r)
    try:
        lines.wait("ready")
        (tini,) = procs.children(parent.pid)
        parent.kill()
        parent.wait()
        lines.wait(f"got 10 from {tini}")
    finally:
        os.close(in_w)
        parent.kill()
        parent.wait()
        assert lines.wait_eof(20)
        assert wait_for_exit(tini, 20)
        procs.reap_orphans()


@pytest.mark.modes(PID1)
def test_tinis_reaps(under: Start) -> None:
    """-w tells of each process that ends, main aside, in tini's words."""
    script = '"$0" after "$1" 7; exit 0'
    words = ["/bin/sh", "-c", script, program("double_fork"), program("exit_with")]
    env = {"PYINIT_LOG_LEVEL": "", "TINI_VERBOSITY": "1"}
    run = under("tini", *words, options=["-w"], extra_env=env, json_log=False)
    assert run.finish() == 0
    told = [line for line in run.log.lines if line.startswith("[WARN  tini (1)] Reaped zombie process with pid=")]
    assert len(told) == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.modes(PID1)
def test_nothing_is_said(under: Start, name: str) -> None:
    """A healthy run under a name says nothing on standard error."""
    run = under(name, "true", extra_env={"PYINIT_LOG_LEVEL": ""}, quiet=True)
    assert run.finish() == 0
    assert not run.log.lines


@pytest.mark.parametrize("name", NAMES)
def test_a_log_file_talks(under: Start, name: str, workdir: Path) -> None:
    """PYINIT_LOG_FILE gives a log beside a quiet standard error."""
    path = workdir / "log"
    run = under(name, "true", extra_env={"PYINIT_LOG_LEVEL": "", "PYINIT_LOG_FILE": str(path)}, quiet=True)
    assert run.finish() == 0
    assert EXITED in path.read_text()


@pytest.mark.parametrize(
    ("options", "got"), [(["-r", "15:10"], 10), (["--rewrite=15:12"], 12), (["-cr1:2", "-r15:1"], 1)]
)
def test_dumb_inits_rewrite(under: Start, options: list[str], got: int) -> None:
    """-r s:r, its long form, glued and in a cluster."""
    run = under("dumb-init", program("take_all"), "main", options=options)
    run.out.wait("ready")
    run.signal(signal.SIGTERM)
    run.out.wait(f"got {got} from")
    run.close_input()
    assert run.finish() == 0


@pytest.mark.modes(SUBREAPER)
@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU], ids=lambda number: number.name)
def test_dumb_init_stops_itself(under: Start, number: signal.Signals) -> None:
    """SIGTSTP, SIGTTIN and SIGTTOU stop main's group by SIGSTOP and then dumb-init itself; SIGCONT wakes both."""
    run = under("dumb-init", program("serve"), "0", own_session=False)
    run.out.wait("ready")
    run.wait_for(STARTED)
    run.signal(number)
    info = os.waitid(os.P_PID, run.pid, os.WSTOPPED | os.WNOWAIT)
    assert info is not None
    assert info.si_status == signal.SIGSTOP
    run.signal(signal.SIGCONT)
    run.out.wait("got 18 from")
    assert run.stop() == 0
    assert number not in numbers(run)


@pytest.mark.parametrize("name", ["tini", "catatonit"])
def test_terminal_stops_are_swallowed(under: Start, name: str) -> None:
    """SIGTTIN and SIGTTOU reach nobody; catatonit swallows SIGTSTP too, tini forwards it."""
    run = under(name, program("take_all"), "main")
    run.out.wait("ready")
    for number in (signal.SIGTTIN, signal.SIGTTOU, signal.SIGTSTP):
        run.signal(number)
    run.signal(64)
    run.out.wait("got 64 from")
    run.close_input()
    assert run.finish() == 0
    assert sorted(set(numbers(run))) == ([20, 64] if name == "tini" else [64])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_pause(under: Start, number: signal.Signals) -> None:
    """With -P catatonit runs nothing, reaps, and leaves with 0 at SIGTERM or SIGINT; other signals do nothing."""
    run = under("catatonit", options=["-P"], separator=False)
    run.wait_for(STARTED)
    for other in (signal.SIGHUP, signal.SIGUSR1, 40):
        run.signal(other)
    assert run.stop(number) == 0


@pytest.mark.modes(PID1)
def test_pause_reaps(under: Start) -> None:
    """A pod's pause process reaps what comes to it from elsewhere."""
    run = under("catatonit", options=["-P"], separator=False)
    run.wait_for(STARTED)
    run.join(program("double_fork"), "after", "/bin/sh", "-c", ORPHAN % 9)
    run.wait_for(REAPED, process__exit__code=9)
    assert run.stop() == 0


@pytest.mark.parametrize("name", ["tini", "catatonit"])
def test_eperm_ends_nothing(
    links: Path, pyinit: Start, monkeypatch: pytest.MonkeyPatch, name: str, workdir: Path
) -> None:
    """Main has dropped its privileges: a signal that may not be sent ends nothing."""
    if not runs.ROOT or not shutil.which("setpriv"):
        cannot("root and setpriv(1) are needed to drop privileges")
    drop = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", program("take_all"), "main"]
    wrapper = workdir / "wrapper"
    wrapper.write_text(f'#!/bin/sh\nexec setpriv --bounding-set=-kill {links / name} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setattr(runs, "pyinit_command", lambda: str(wrapper))
    run = pyinit(*drop, log_options=(), extra_env=LOG)
    run.out.wait("ready")
    run.signal(signal.SIGHUP)
    run.wait_for(UNDELIVERABLE)
    assert not numbers(run)
    run.close_input()
    assert run.finish() == 0


@pytest.fixture
def shell(links: Path) -> Iterator[Person]:
    """Sit down at a shell with job control, with the links in PATH."""
    env = plain_environment() | {"TERM": "dumb", "PS1": "ready> ", "LANG": "C", "TINI_SUBREAPER": ""}
    env["PATH"] = f"{links}:{env['PATH']}"
    with Person(["bash", "--norc", "--noprofile", "-i"], env) as person:
        person.see("ready> ")
        yield person


@pytest.mark.parametrize("name", ["tini", "dumb-init"])
def test_ctrl_z_in_the_shell(shell: Person, name: str) -> None:
    """Ctrl-Z in the shell that started it stops the job, and `fg` resumes it (tini's shell hangs there).

    Main reads only when it has been resumed: under dumb-init it has a session of its own, and what is typed before the
    stop has caught it could be read by main instead of the shell.
    """
    shell.type(f"{name} -- sh -c 'trap \"exec cat\" CONT; echo up-$((1 + 1)); while :; do :; done'\n")
    shell.see("^up-2\r")
    shell.type(CTRL_Z)
    shell.see("Stopped")
    shell.see("ready> ")
    shell.type("fg\n")
    shell.see(f"{name} -- ")
    shell.type("ping\n")
    shell.see("ping\r\nping\r\n")
    shell.type(CTRL_D)
    shell.see("ready> ")
    shell.type("echo status=$?; exit\n")
    assert int(shell.see(r"status=(\d+)\r")[1]) == 0
