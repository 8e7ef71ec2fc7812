"""What main is: each option for its environment, asked from outside, and what happens where it cannot be had."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import struct
import subprocess
import termios
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import procs
from support import run as runs
from support.needs import cannot
from support.outside import capabilities, look
from support.person import CTRL_C, Person
from support.programs import program
from support.run import (
    COMMAND_ENDED,
    COMMAND_OUTPUT,
    DEGRADED,
    PID1,
    PID1_USER,
    PLAIN_USER,
    SPAWN_FAILED,
    STARTED,
    SUBREAPER,
    USER,
)
from support.waiting import DEADLINE_S, wait_for_exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from support.outside import Outside
    from support.run import Run

    Start = Callable[..., Run]

SERVICE = (program("serve"), "0")
ROOTS = pytest.mark.modes(SUBREAPER, PID1)
USERS = pytest.mark.modes(PLAIN_USER, PID1_USER)
ALL = pytest.mark.modes(SUBREAPER, PID1, PLAIN_USER, PID1_USER)
CHOWN, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, SYS_ADMIN = 0, 5, 6, 7, 8, 10, 21
SYS_NICE, SYS_RESOURCE = 23, 24


@contextmanager
def held(pyinit: Start, options: Sequence[str], **keywords: object) -> Iterator[tuple[Run, Outside, Outside]]:
    """Start the service with these options; give the run, what main is and what pyinit is; then stop it."""
    run = pyinit(*SERVICE, options=options, **keywords)
    main = run.outer(run.out.wait("ready")[0])
    run.wait_for(STARTED)
    yield run, look(main), look(run.pid)
    assert run.stop() == 0


def need_root() -> None:
    """Skip, and fail in CI, without the privileges to become somebody else."""
    if not runs.ROOT:
        cannot("root is needed to become somebody else")


# Each row: the options, and what must be true of main. One run has all of them: none may disturb another one.
TURNS: dict[str, Callable[[Outside], bool]] = {
    "--umask 027": lambda now: now.status["Umask"] == "0027",
    "--nice 19": lambda now: now.nice == 19,  # no privilege takes that, whatever the tests have themselves
    "--oom-score-adj 321": lambda now: now.oom_score_adj == 321,
    "--ioprio best-effort:6": lambda now: now.ioprio == (2, 6),
    "--cpu-affinity 0": lambda now: now.status["Cpus_allowed_list"] == "0",
    "--chdir /usr/bin": lambda now: now.cwd == "/usr/bin",
    "--no-new-privs": lambda now: now.status["NoNewPrivs"] == "1",
    "--stdin null": lambda now: now.fds[0] == os.devnull,
    "--rlimit NOFILE=100:200": lambda now: now.limits["Max open files"] == ("100", "200"),
    "--rlimit CORE=0": lambda now: now.limits["Max core file size"] == ("0", "0"),
    "--rlimit AS=4G": lambda now: now.limits["Max address space"] == (str(2**32), str(2**32)),
    "--rlimit CPU=999": lambda now: now.limits["Max cpu time"] == ("999", "999"),
    "--rlimit DATA=1T": lambda now: now.limits["Max data size"] == (str(2**40), str(2**40)),
    "--rlimit FSIZE=5M:": lambda now: now.limits["Max file size"] == (str(5 * 2**20), "unlimited"),
    "--rlimit LOCKS=11": lambda now: now.limits["Max file locks"] == ("11", "11"),
    "--rlimit MEMLOCK=4K": lambda now: now.limits["Max locked memory"] == ("4096", "4096"),
    "--rlimit MSGQUEUE=12": lambda now: now.limits["Max msgqueue size"] == ("12", "12"),
    "--rlimit NICE=0": lambda now: now.limits["Max nice priority"] == ("0", "0"),
    "--rlimit NPROC=555": lambda now: now.limits["Max processes"] == ("555", "555"),
    "--rlimit RSS=1G:2G": lambda now: now.limits["Max resident set"] == (str(2**30), str(2**31)),
    "--rlimit RTPRIO=0": lambda now: now.limits["Max realtime priority"] == ("0", "0"),
    "--rlimit RTTIME=1000000": lambda now: now.limits["Max realtime timeout"] == ("1000000", "1000000"),
    "--rlimit SIGPENDING=99": lambda now: now.limits["Max pending signals"] == ("99", "99"),
    "--rlimit STACK=1M:2M": lambda now: now.limits["Max stack size"] == (str(2**20), str(2**21)),
    "--env A=1=2,3": lambda now: b"A=1=2,3" in now.environ,
}  # fmt: skip


@ALL
def test_what_needs_no_privileges(pyinit: Start) -> None:
    """Each of these is as asked, for root and for an ordinary user without capabilities; pyinit itself is as it was."""
    with held(pyinit, []) as (_, _, before):
        pass
    options = [word for row in TURNS for word in row.split(" ", 1)]
    with held(pyinit, options) as (_, now, itself):
        wrong = [row for row, holds in TURNS.items() if not holds(now)]
        assert not wrong, now
        assert itself.limits == before.limits
        for field in ("Uid", "Gid", "Groups", "CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb", "NoNewPrivs", "Umask"):
            assert itself.status[field] == before.status[field]
        assert (itself.nice, itself.ioprio, itself.oom_score_adj) == (before.nice, before.ioprio, before.oom_score_adj)
        assert itself.status["Cpus_allowed_list"] == before.status["Cpus_allowed_list"]
        assert itself.status["Name"] == "pyinit"


@pytest.mark.modes(PID1)
def test_the_variables_do_the_same(pyinit: Start) -> None:
    """Each row of the table above, said by a variable."""
    variables: dict[str, str] = {}
    for row in TURNS:
        option, _, value = row.removeprefix("--").partition(" ")
        name = "PYINIT_" + option.upper().replace("-", "_")
        variables[name] = f"{variables[name]} {value}" if name in variables else value or "yes"
    with held(pyinit, [], extra_env=variables) as (_, now, _):
        assert not [row for row, holds in TURNS.items() if not holds(now)], now


# What takes a privilege: the row, the capability that it takes, what must be true with it, and the errno without.
PRIVILEGED: tuple[tuple[str, int, Callable[[Outside], bool], str], ...] = (
    ("--nice -5", SYS_NICE, lambda now: now.nice == -5, "EACCES"),
    ("--ioprio realtime:3", SYS_ADMIN, lambda now: now.ioprio == (1, 3), "EPERM"),
    ("--oom-score-adj -7", SYS_RESOURCE, lambda now: now.oom_score_adj == -7, "EACCES"),
    ("--rlimit NOFILE=2500:3000", SYS_RESOURCE, lambda now: now.limits["Max open files"] == ("2500", "3000"), "EPERM"),
)


@ROOTS
@pytest.mark.parametrize("drop", [(), (SYS_NICE, SYS_ADMIN, SYS_RESOURCE)], ids=["privileged", "without"])
def test_what_needs_privileges(pyinit: Start, drop: tuple[int, ...]) -> None:
    """A better turn and a higher limit: as asked with the privilege, refused without it, and then nothing starts."""
    need_root()
    stage = ["nofile=2000", *[f"drop={capability}" for capability in drop]]
    have = capabilities(procs.status_field(os.getpid(), "CapEff")) - set(drop)  # a test runner may lack some itself
    granted = [row for row in PRIVILEGED if row[1] in have]
    with held(pyinit, [word for row in granted for word in row[0].split()], stage=stage) as (_, now, _):
        assert not [row for row, _, holds, _ in granted if not holds(now)], now
    for row, capability, _, errno in PRIVILEGED:
        if capability not in have:
            refused(pyinit, row, errno, stage=stage)


def refused(pyinit: Start, row: str, errno: str, **keywords: object) -> None:
    """See that option, value and errno are told in one record, that the status is 125, and that nothing was started."""
    run = pyinit("/bin/echo", "started", options=row.split(), **keywords)
    assert run.finish() == 125
    assert run.out.lines == []
    option, _, value = row.partition(" ")
    told = run.one(SPAWN_FAILED)
    assert len(run.log.records) == 1
    assert (told["pyinit.option"], told["error.type"]) == (option, errno)
    assert told["pyinit.value"] == value
    assert told["pyinit.exit.status"] == 125
    message = told["error.message"]
    assert message.startswith(f"{row}: ")
    assert f"({errno}); " in message


@pytest.mark.modes(PLAIN_USER)
@pytest.mark.parametrize(
    ("row", "errno"),
    [
        ("--user 65534", "EPERM"),
        ("--user 1000:7", "EPERM"),
        ("--group 7", "EPERM"),
        ("--nice -1", "EACCES"),
        ("--oom-score-adj -1000", "EACCES"),
        ("--ioprio realtime:1", "EPERM"),
        ("--cap-keep NET_BIND_SERVICE", "EPERM"),
        ("--securebits noroot", "EPERM"),
        ("--chdir /no/such/folder", "ENOENT"),
        ("--chdir /etc/passwd", "ENOTDIR"),
        ("--cpu-affinity 8000", "EINVAL"),
    ],
)
def test_what_an_ordinary_user_cannot_have(pyinit: Start, row: str, errno: str) -> None:
    """What the kernel refuses is told with option, value and errno, and nothing is started."""
    refused(pyinit, row, errno)


WRONG = {
    "--user nobdy": "'nobdy' is no user in /etc/passwd; did you mean nobody?",
    "--user zzzzzz": "'zzzzzz' is no user in /etc/passwd; write a name that is there, or a number",
    "--user root:nogrp": "'nogrp' is no group in /etc/group; did you mean nogroup?",
    "--user 0 --group nogrp": "--group: 'nogrp' is no group",
    "--env-file /no/such": "--env-file: '/no/such' cannot be read (No such file or directory); write",
    "--env-file /etc": "cannot be read (not an ordinary file); write",
    "--env-file /dev/zero": "cannot be read (not an ordinary file); write",
    "--env-file ./wrong": "'./wrong' is no such file: line 2 has a blank in the name of its variable; write NAME=VALUE",
    "--close-fds --keep-fd 77": "--keep-fd: '77' is not open",
    "--close-fds --keep-fd 1048576": "--keep-fd: '1048576' is not open",
    "--tty /etc/passwd": "--tty: '/etc/passwd' cannot be had (Inappropriate ioctl for device); write",
    "--tty /dev/null": "cannot be had (Inappropriate ioctl for device)",
    "--tty /no/such": "cannot be had (No such file or directory)",
    "--tty /": "cannot be had (Is a directory)",
    "-p KILL --rlimit NOFLE=5": "did you mean NOFILE?",
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_before_anything_starts(line: str, workdir: Path) -> None:
    """What can be looked at before the start is: one line that says what to write instead, status 125, no traceback."""
    (workdir / "wrong").write_bytes(b"A=1\nexport B=secret\n")
    words = [runs.pyinit_command(), *line.split(), "--", "/bin/echo", "started"]
    environment = runs.plain_environment()
    said = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, cwd=workdir)
    assert (said.returncode, said.stdout) == (125, "")
    assert said.stderr.startswith("pyinit: --")
    assert said.stderr.count("\n") == 1
    assert WRONG[line] in said.stderr
    assert "secret" not in said.stderr


@ROOTS
def test_user_with_an_entry(pyinit: Start) -> None:
    """A name: its ids, its groups as initgroups(3) gives them, HOME and its kin; no capability; pyinit stays root."""
    need_root()
    with held(pyinit, ["--user", "games"], extra_env={"HOME": "/root", "USER": "root"}) as (run, now, itself):
        name, uid, gid, home, shell = _games()
        assert now.status["Uid"] == " ".join([uid] * 4)
        assert now.status["Gid"] == " ".join([gid] * 4)
        assert set(now.status["Groups"].split()) == {gid, *_groups_of(name)}
        assert {f"HOME={home}", f"SHELL={shell}", f"USER={name}", f"LOGNAME={name}"} <= _texts(now)
        assert all(not capabilities(now.status[field]) for field in ("CapInh", "CapPrm", "CapEff", "CapAmb"))
        assert itself.status["Uid"].split()[0] == "0"
        assert capabilities(itself.status["CapEff"])
        assert not run.of(DEGRADED)


def _games() -> list[str]:
    line = next(line for line in Path("/etc/passwd").read_text().splitlines() if line.startswith("games:"))
    name, _, uid, gid, _, home, shell = line.split(":")
    return [name, uid, gid, home, shell]


def _groups_of(name: str) -> set[str]:
    lines = [line.split(":") for line in Path("/etc/group").read_text().splitlines()]
    return {gid for _, _, gid, members in lines if name in members.split(",")}


def _texts(now: Outside) -> set[str]:
    return {entry.decode() for entry in now.environ}


@ROOTS
@pytest.mark.parametrize(
    ("options", "gid", "groups"),
    [
        (["--user", "54321"], 0, {0}),
        (["--user", "54321:54322"], 54322, {54322}),
        (["--user", "54321", "--group", "daemon"], 1, {1}),
        (["--user", "54321:daemon"], 1, {1}),
    ],
)
def test_user_without_an_entry(pyinit: Start, options: list[str], gid: int, groups: set[int]) -> None:
    """A number needs no entry: group 0 unless one is named, HOME / and no USER, as with `docker run --user`."""
    need_root()
    with held(pyinit, options, extra_env={"USER": "root", "LOGNAME": "root"}) as (_, now, _):
        assert now.status["Uid"] == " ".join(["54321"] * 4)
        assert now.status["Gid"] == " ".join([str(gid)] * 4)
        assert {int(group) for group in now.status["Groups"].split()} == groups
        assert {"HOME=/", "SHELL=/bin/sh"} <= _texts(now)
        assert not [entry for entry in _texts(now) if entry.startswith(("USER=", "LOGNAME="))]


@ROOTS
def test_group_alone(pyinit: Start) -> None:
    """--group changes the primary group, and nothing else."""
    need_root()
    with held(pyinit, []) as (_, before, _):
        pass
    with held(pyinit, ["--group", "7"]) as (_, now, _):
        assert now.status["Gid"] == "7 7 7 7"
        for field in ("Uid", "Groups", "CapEff"):
            assert now.status[field] == before.status[field]


@USERS
def test_user_that_it_is_already(pyinit: Start) -> None:
    """Without any privilege, --user may name who pyinit is anyway: variables are set, and nothing is refused."""
    own = str(USER if runs.ROOT else os.getuid())
    with held(pyinit, ["--user", f"{own}:{own}", "--env", "B=2"]) as (_, now, _):
        assert now.status["Uid"].split()[0] == own
        assert "B=2" in _texts(now)


@ROOTS
@pytest.mark.parametrize(
    ("options", "bounding", "others"),
    [
        (["--user", "1000", "--cap-keep", "net_bind_service,CAP_KILL"], {KILL, NET_BIND_SERVICE}, None),
        (["--cap-keep", "CHOWN"], {CHOWN}, None),
        (["--user", "1000", "--cap-drop", "all"], set(), None),
        (["--cap-drop", "all"], set(), None),
        (["--cap-drop", "all", "--cap-keep", "KILL", "--user", "1000"], {KILL}, None),
    ],
)
def test_capabilities(pyinit: Start, options: list[str], bounding: set[int], others: set[int] | None) -> None:
    """--cap-keep: these in all five sets, also as another user; --cap-drop all: none in any."""
    need_root()
    with held(pyinit, options) as (_, now, itself):
        kept = bounding if others is None else others
        assert capabilities(now.status["CapBnd"]) == bounding
        for field in ("CapPrm", "CapEff"):
            assert capabilities(now.status[field]) == kept
        if "--cap-keep" in options:
            assert capabilities(now.status["CapInh"]) == capabilities(now.status["CapAmb"]) == kept
        assert {KILL, SETUID} <= capabilities(itself.status["CapEff"])


@ROOTS
def test_capability_dropped_and_the_rest_kept(pyinit: Start) -> None:
    """One is taken out of all sets of root; with --cap-keep all another user has all but that one."""
    need_root()
    with held(pyinit, []) as (_, before, _):
        have, bound = capabilities(before.status["CapPrm"]), capabilities(before.status["CapBnd"])
    with held(pyinit, ["--cap-drop", "CHOWN"]) as (_, now, _):
        assert capabilities(now.status["CapBnd"]) == bound - {CHOWN}
        assert capabilities(now.status["CapPrm"]) == (have | bound) - {CHOWN}
    with held(pyinit, ["--user", "1000", "--cap-keep", "all", "--cap-drop", "CHOWN"]) as (_, now, _):
        assert capabilities(now.status["CapEff"]) == capabilities(now.status["CapAmb"]) == have - {CHOWN}
        assert now.status["Uid"].split()[0] == "1000"


@ROOTS
@pytest.mark.parametrize("user", [[], ["--user", "1000"]], ids=["root", "user"])
def test_securebits(pyinit: Start, user: list[str]) -> None:
    """The secure bits are those that were asked for; with noroot, root has only what --cap-keep says."""
    need_root()
    bits = "noroot,noroot-locked,no-setuid-fixup,no-cap-ambient-raise-locked"
    run = pyinit(program("report"), options=["--securebits", bits, "--cap-keep", "KILL", *user])
    assert run.finish() == 0
    said = json.loads(run.out.lines[0])
    assert said["securebits"] == 1 | 2 | 4 | 128
    with held(pyinit, ["--securebits", bits, "--cap-keep", "KILL", *user]) as (_, now, _):
        assert capabilities(now.status["CapEff"]) == {KILL}


@ROOTS
def test_securebits_alone(pyinit: Start) -> None:
    """Secure bits leave another user without any capability, though they need one to be set."""
    need_root()
    with held(pyinit, ["--securebits", "no-setuid-fixup", "--user", "1000"]) as (_, now, _):
        assert all(not capabilities(now.status[field]) for field in ("CapInh", "CapPrm", "CapEff", "CapAmb"))


@ALL
def test_clear_environment(pyinit: Start, workdir: Path) -> None:
    """Nothing but what the options give, entry by entry, also where entries are odd; files first, the last one wins."""
    file = workdir / "variables"
    file.write_bytes(b'\xef\xbb\xbf# comment\n\n  A=from the file \r\nB="quoted" # no comment\nLIFE\nNOT_THERE\nC=\n')
    options = ["--clear-env", "--env-file", str(file), "--env", "A=2", "--env", "D=x y,z", "--env", "TWICE"]
    with held(pyinit, options, extra_env={"TWICE": "3"}) as (_, now, _):
        assert sorted(now.environ) == [b"A=2", b'B="quoted" # no comment', b"C=", b"D=x y,z", b"LIFE=40", b"TWICE=3"]
    run = pyinit(program("report"), options=["--clear-env"], stage=["odd-env"])
    assert run.finish() == 0
    assert json.loads(run.out.lines[0])["env"] == []


@ALL
def test_path_of_the_command(pyinit: Start, workdir: Path) -> None:
    """The command is looked for in the PATH that main gets."""
    place = workdir / "here"
    place.symlink_to("/bin/echo")
    run = pyinit("here", "found", options=["--env", f"PATH={workdir}"])
    assert run.finish() == 0
    assert run.out.lines == ["found"]
    assert pyinit("here", "found", options=["--clear-env"]).finish() == 127


@ROOTS
def test_descriptors(pyinit: Start) -> None:
    """--close-fds closes what is above 2, but for --keep-fd; without it all of it comes through."""
    reading, writing = os.pipe()
    try:
        fds = (reading, writing)
        with held(pyinit, [], pass_fds=fds) as (_, now, _):
            assert {0, 1, 2, reading, writing} <= set(now.fds)
        keep = ["--close-fds", "--keep-fd", str(writing)]
        listen = {"LISTEN_FDS": "1", "LISTEN_PID": "1"}
        with held(pyinit, keep, pass_fds=fds, extra_env=listen) as (_, now, _):
            assert set(now.fds) == {0, 1, 2, writing}
            assert not [entry for entry in now.environ if entry.startswith(b"LISTEN_")]
        with held(pyinit, ["--close-fds", "--stdin", "null"], pass_fds=fds) as (_, now, _):
            assert set(now.fds) == {0, 1, 2}
            assert now.fds[0] == os.devnull
    finally:
        os.close(reading)
        os.close(writing)


@ROOTS
def test_low_limits_stop_no_option(pyinit: Start) -> None:
    """A limit on descriptors that leaves no room for another one does not stop the options that need one."""
    need_root()
    options = ["--rlimit", "NOFILE=4", "--oom-score-adj", "5", "--stdin", "null", "--user", "1000", "--close-fds"]
    run = pyinit("/bin/sleep", "9", options=options)
    run.wait_for(STARTED)
    main = procs.children(run.pid)[0]
    now = look(main)
    assert (now.oom_score_adj, now.limits["Max open files"][0]) == (5, "4")
    assert now.status["Uid"].split()[0] == "1000"
    assert run.stop() == 128 + signal.SIGTERM


@ROOTS
def test_a_limit_that_pyinit_does_not_fit_in(pyinit: Start) -> None:
    """No memory in the child is told as well, or the exec fails: nothing hangs, nothing is started."""
    run = pyinit("/bin/echo", "started", options=["--rlimit", "AS=0"])
    assert run.finish() in {125, 126, 137, 139}
    assert run.out.lines == []


@ROOTS
@pytest.mark.parametrize("options", [[], ["--setsid"], ["--no-setsid"]])
def test_session(pyinit: Start, options: list[str]) -> None:
    """A session of its own, or pyinit's, with a process group of its own in any case."""
    with held(pyinit, options) as (run, now, itself):
        main = procs.children(run.pid)[0]
        assert now.group == main
        assert now.session == (itself.session if options == ["--no-setsid"] else main)


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """Open a new terminal that is nobody's controlling terminal; give its other end, and its name."""
    screen, line = os.openpty()
    name = os.ttyname(line)
    Path(name).chmod(0o666)
    os.close(line)
    yield screen, name
    os.close(screen)


@pytest.mark.modes(SUBREAPER, PID1, PLAIN_USER)
def test_terminal(pyinit: Start, terminal: tuple[int, str]) -> None:
    """Main leads a session on the terminal, in the foreground, and has it as its standard descriptors."""
    screen, name = terminal
    run = pyinit("/bin/sleep", "60", options=["--tty", name])
    run.wait_for(STARTED)
    main = procs.children(run.pid)[0]
    now = look(main)
    assert now.session == now.group == main
    assert now.terminal == os.stat(name).st_rdev  # noqa: PTH116
    assert {now.fds[fd] for fd in (0, 1, 2)} == {name}
    assert struct.unpack("i", fcntl.ioctl(screen, termios.TIOCGPGRP, b"1234"))[0] == main
    os.write(screen, b"\x03")
    assert run.finish() == 128 + signal.SIGINT


@pytest.mark.parametrize("pid1", [False, True], ids=["subreaper", "pid1"])
def test_own_terminal(pid1: bool) -> None:  # noqa: FBT001  # a column of the table
    """Pyinit lets go of its own terminal, so that main leads a session there and has its keys."""
    if pid1 and (reason := runs.why_not(PID1)):
        cannot(f"mode {PID1}: {reason}")
    line = "trap 'echo it is $((6 * 7)); exit 3' INT; read word </dev/tty && echo got $word; read word"
    words = [runs.pyinit_command(), "--tty", "/dev/tty", "--log-level=error", "--", "/bin/sh", "-c", line]
    with Person(words, runs.plain_environment(), pid1=pid1) as person:
        person.type("hello\n")
        person.see("got hello")
        person.type(CTRL_C)
        person.see("it is 42")
        assert person.status() == 3


@pytest.mark.modes(SUBREAPER)
def test_terminal_of_somebody_else(pyinit: Start, terminal: tuple[int, str]) -> None:
    """A terminal that another session has is not taken away from it."""
    _, name = terminal
    with held_terminal(pyinit, name):
        refused(pyinit, f"--tty {name}", "EPERM", stage=[f"drop={SYS_ADMIN}"])


@contextmanager
def held_terminal(pyinit: Start, name: str) -> Iterator[None]:
    """Have a service on a terminal."""
    run = pyinit("/bin/sleep", "60", options=["--tty", name])
    run.wait_for(STARTED)
    yield
    assert run.stop() == 128 + signal.SIGTERM


@pytest.mark.modes(SUBREAPER, PLAIN_USER)
def test_parent_death_signal(pyinit: Start) -> None:
    """Main gets the signal when pyinit is killed; also as another user, whose change would have cleared it."""
    options = ["--pdeathsig", "USR1"]
    if runs.ROOT:
        options += ["--user", str(USER)]
    run = pyinit(*SERVICE, options=options)
    main = int(run.out.wait("ready")[0])
    run.killed_by_test = True
    run.signal(signal.SIGKILL)
    run.out.wait(f"got {int(signal.SIGUSR1)} from")
    os.kill(main, signal.SIGTERM)
    assert wait_for_exit(main, DEADLINE_S)
    assert run.finish() == -signal.SIGKILL
    procs.reap_orphans()


@ROOTS
def test_user_out_of_reach(pyinit: Start) -> None:
    """Without CAP_KILL pyinit says at the start that it cannot stop who runs as somebody else."""
    need_root()
    run = pyinit("/bin/true", options=["--user", "1000"], stage=[f"drop={KILL}"])
    assert run.finish() == 0
    told = run.one(DEGRADED)
    assert told["pyinit.feature"] == "--user"
    assert "CAP_KILL" in told["pyinit.reason"]


@ROOTS
@pytest.mark.parametrize("drop", [SETUID, SETGID], ids=["CAP_SETUID", "CAP_SETGID"])
def test_root_that_may_not_change_the_user(pyinit: Start, drop: int) -> None:
    """Root without the capability: refused, with what it takes."""
    need_root()
    refused(pyinit, "--user 1000:1000", "EPERM", stage=[f"drop={drop}"])


@ROOTS
def test_capabilities_that_pyinit_has_not(pyinit: Start) -> None:
    """What pyinit has not, it cannot keep for main; what it may not drop, it does not pretend to drop."""
    need_root()
    refused(pyinit, "--cap-keep NET_BIND_SERVICE", "EPERM", stage=[f"drop={NET_BIND_SERVICE}"])
    refused(pyinit, "--cap-drop CHOWN", "EPERM", stage=[f"drop={SETPCAP}"])


@ROOTS
def test_too_many_processes_of_the_user(pyinit: Start) -> None:
    """The kernel counts the new user's processes at the exec: told as a limit, status 125."""
    need_root()
    with held(pyinit, ["--user", "54399"]):
        run = pyinit("/bin/echo", options=["--user", "54399", "--rlimit", "NPROC=0"])
        assert run.finish() == 125
        told = run.one(SPAWN_FAILED)
        assert told["error.type"] == "EAGAIN"
        assert "NPROC" in told["error.message"]


@ROOTS
def test_folder_that_only_the_user_can_enter(pyinit: Start, workdir: Path) -> None:
    """Where root may not go (it has not CAP_DAC_OVERRIDE here), the user may: tried again as that user."""
    need_root()
    folder = workdir / "mine"
    folder.mkdir()
    os.chown(folder, 1000, 1000)
    folder.chmod(0o700)
    with held(pyinit, ["--user", "1000", "--chdir", str(folder)], stage=["drop=1", "drop=2"]) as (_, now, _):
        assert now.cwd == str(folder)
    refused(pyinit, f"--chdir {folder}", "EACCES", stage=["drop=1", "drop=2"])


@ROOTS
def test_commands_run_as_main_does(pyinit: Start) -> None:
    """--stop-command is the same user in the same folder with the same limits and variables."""
    need_root()
    options = ["--user", "54321:54321", "--chdir", "/usr", "--umask", "077", "--nice", "3", "--rlimit", "NOFILE=77"]
    options += ["--env", "A=5", "--no-new-privs", "--cap-drop", "all", "--oom-score-adj", "9"]
    command = "id -u; id -G; pwd; umask; nice; ulimit -n; echo $A $HOME; cat /proc/self/oom_score_adj; kill $MAINPID"
    run = pyinit(*SERVICE, options=[*options, "--stop-command", command])
    run.out.wait("ready")
    run.wait_for(STARTED)
    assert run.stop() == 0
    assert run.one(COMMAND_ENDED)["process.exit.code"] == 0
    lines = [record["pyinit.command.output"] for record in run.of(COMMAND_OUTPUT)]
    assert lines == ["54321", "54321", "/usr", "0077", "3", "77", "5 /", "9"]


@ROOTS
def test_command_that_cannot_have_it(pyinit: Start, workdir: Path) -> None:
    """Where an option fails for a command that did not fail for main, the command says so, and the signals come."""
    folder = workdir / "here"
    folder.mkdir()
    run = pyinit(*SERVICE, options=["--chdir", str(folder), "--stop-command", "kill $MAINPID"])
    run.out.wait("ready")
    run.wait_for(STARTED)
    folder.rmdir()
    assert run.stop() == 0
    assert run.one(COMMAND_ENDED)["process.exit.code"] == 125
    assert run.one(COMMAND_OUTPUT)["pyinit.command.output"] == f"--chdir {folder}: No such file or directory"


@ROOTS
def test_without_python_prctl(pyinit: Start, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What python-prctl does, the C library does where that cannot be imported; the log says so."""
    need_root()
    script = workdir / "pyinit"
    site = Path(runs.pyinit_command()).parent / "python"
    code = 'import sys; del sys.argv[0]; sys.modules["_prctl"] = None; from pyinit.boot import main; main()'
    script.write_text(f"#!/bin/sh\nexec {site} -IB -Xutf8 -c '{code}' \"$@\"\n")
    script.chmod(0o755)
    monkeypatch.setattr(runs, "pyinit_command", lambda: str(script))
    options = ["--no-new-privs", "--cap-keep", "KILL,CHOWN", "--user", "54321", "--pdeathsig", "USR1"]
    run = pyinit(program("report"), options=[*options, "--securebits", "noroot,no-cap-ambient-raise"])
    assert run.finish() == 0
    said = json.loads(run.out.lines[0])
    assert (said["securebits"], said["no_new_privs"], said["death_signal"], said["uid"]) == (1 | 64, 1, 10, 54321)
    assert run.one(DEGRADED, pyinit__feature="python-prctl")
    with held(pyinit, options) as (_, now, _):
        assert capabilities(now.status["CapBnd"]) == capabilities(now.status["CapEff"]) == {CHOWN, KILL}


@pytest.mark.modes(PLAIN_USER)
def test_under_another_name(pyinit: Start, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables count under a peer's name as well; what cannot be had is told, with the status of that peer."""
    link = workdir / "tini"
    link.symlink_to(runs.pyinit_command())
    monkeypatch.setattr(runs, "pyinit_command", lambda: str(link))
    run = pyinit(program("report"), log_options=[], extra_env={"PYINIT_UMASK": "012"}, json_log=False)
    assert run.finish() == 0
    assert json.loads(run.out.lines[0])["umask"] == 0o012
    run = pyinit(program("report"), log_options=[], extra_env={"PYINIT_NICE": "-5"}, json_log=False)
    assert run.finish() == 1
    assert json.loads(run.log.lines[0])["pyinit.option"] == "PYINIT_NICE"
