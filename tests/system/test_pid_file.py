"""--pid-file: the service is the process that the file names, once that is proven; and nothing else is believed."""

from __future__ import annotations

import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from support.programs import program
from support.run import (
    ADOPTED,
    ALL_MODES,
    DEGRADED,
    ERROR,
    EXITED,
    FORWARDED,
    HANDOVER,
    IDENTIFIED,
    KILLING,
    PID1,
    PID1_USER,
    PLAIN_USER,
    READY,
    REAPED,
    REFUSED,
    STARTED,
    STOPPING,
    SUBREAPER,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.run import Run

    Start = Callable[..., Run]

# Within this time a file that is not believed is refused, in the tests that wait for that.
SOON = ["--pid-file-timeout", "300ms"]
# Far behind the end of a test: what happens sooner was not waited for.
LONG_GRACE = ["--grace", "50s"]
SLACK_S = 5


@pytest.fixture
def path(workdir: Path) -> Path:
    """Return the name of a PID file that is not there, in a folder that everybody may write to."""
    # Not in the sticky folder itself: there the kernel lets nobody, root included, open the file of another user
    # for writing (fs.protected_regular), nor follow a link of another user.
    folder = workdir / "run"
    folder.mkdir()
    folder.chmod(0o777)
    return folder / "service.pid"


def daemon(*command: str) -> list[str]:
    """Return a command that starts `command` as a daemon and exits 0."""
    return [program("double_fork"), "after", *command]


def named(run: Run, count: int = 1) -> dict[str, int]:
    """Wait for the first `count` lines "ready PID NAME"; return the number of each name."""
    return {name: int(pid) for pid, name in (run.out.wait("ready", number + 1) for number in range(count))}


# -- files as daemons write them --------------------------------------------------------------------------------------


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.parametrize("how", ["launcher", "late", "empty", "rename", "twice"])
def test_daemon_writes_its_file(pyinit: Start, path: Path, how: str) -> None:
    """However and whenever a daemon's number gets into the file: the daemon is the service, and its end is the run's.

    By its launcher, late, into an empty file, by rename, over the number of its launcher.
    """
    run = pyinit(program("daemonize"), how, str(path), program("serve"), "7", options=["--pid-file", str(path)])
    service = int(run.out.wait("ready")[0])
    identified = run.wait_for(IDENTIFIED, process__pid=service)
    assert identified["pyinit.source"] == "pid-file"
    assert "pyinit.root" not in identified
    run.wait_for(HANDOVER)
    run.kill(service, signal.SIGTERM)
    assert run.finish() == 7
    assert run.one(REAPED, process__pid=service)["pyinit.role"] == "successor"
    assert run.one(READY)["pyinit.reason"] == "pid-file"
    assert not run.of(REFUSED)
    assert not run.of(ERROR)


def test_ready_is_when_the_file_is_proven(pyinit: Start, path: Path) -> None:
    """With --pid-file the handover alone makes nothing ready: the proof does, and the record names the service."""
    run = pyinit(*daemon(program("serve"), "0"), options=["--pid-file", str(path)])
    service = int(run.out.wait("ready")[0])
    run.wait_for(HANDOVER)
    assert not run.of(READY)
    path.write_text(f"{service}\n")
    ready = run.wait_for(READY)
    assert ready["pyinit.reason"] == "pid-file"
    assert ready["process.pid"] == service
    assert ready["pyinit.after_s"] > 0
    assert run.stop() == 0
    assert len(run.of(READY)) == 1


@pytest.mark.parametrize("text", ["{}", "{}\n", "  {}  \n", "{}\nsecond line\n", "{}\r\n", "0{}\n"], ids=repr)
def test_ways_to_write_a_number(pyinit: Start, path: Path, text: str) -> None:
    """Blanks around the number, a missing newline and further lines (postmaster.pid) change nothing."""
    run = pyinit(*daemon(program("serve"), "0"), options=["--pid-file", str(path)])
    service = int(run.out.wait("ready")[0])
    path.write_text(text.format(service), newline="")
    run.wait_for(IDENTIFIED, process__pid=service)
    assert run.stop() == 0


@pytest.mark.parametrize("first", ["", "nonsense\n", "1\n"], ids=["empty", "nonsense", "a stranger's number"])
def test_file_is_replaced(pyinit: Start, path: Path, first: str) -> None:
    """What is wrong at first, and put right within the time, is believed then, and nobody is warned."""
    path.write_text(first)
    run = pyinit(*daemon(program("serve"), "3"), options=["--pid-file", str(path)])
    service = int(run.out.wait("ready")[0])
    run.wait_for(HANDOVER)
    replacement = path.with_name("new")
    replacement.write_text(f"{service}\n")
    replacement.rename(path)
    run.wait_for(IDENTIFIED, process__pid=service)
    run.kill(service, signal.SIGTERM)
    assert run.finish() == 3
    assert not run.of(REFUSED)


def test_folder_is_made_later(pyinit: Start, path: Path) -> None:
    """The folder of the file (/run/postgresql) may be made by the service itself."""
    path = path.with_name("later") / "service.pid"
    run = pyinit(*daemon(program("serve"), "3"), options=["--pid-file", str(path)])
    service = int(run.out.wait("ready")[0])
    run.wait_for(HANDOVER)
    path.parent.mkdir()
    path.write_text(f"{service}\n")
    run.wait_for(IDENTIFIED, process__pid=service)
    run.kill(service, signal.SIGTERM)
    assert run.finish() == 3


def test_link_is_followed(pyinit: Start, path: Path) -> None:
    """A symbolic link to a regular file, on the path or the file itself, is no reason to refuse it (/var/run)."""
    target = path.with_name("target")
    path.symlink_to(target)
    run = pyinit(*daemon(program("serve"), "3"), options=["--pid-file", str(path)])
    service = int(run.out.wait("ready")[0])
    target.write_text(f"{service}\n")
    run.wait_for(IDENTIFIED, process__pid=service)
    run.kill(service, signal.SIGTERM)
    assert run.finish() == 3


def test_relative_path(pyinit: Start, path: Path) -> None:
    """A relative path is meant from the working directory that pyinit was started in."""
    run = pyinit(*daemon(program("serve"), "3"), options=["--pid-file", path.name], stage=[f"cwd={path.parent}"])
    service = int(run.out.wait("ready")[0])
    path.write_text(f"{service}\n")
    run.wait_for(IDENTIFIED, process__pid=service)
    run.kill(service, signal.SIGTERM)
    assert run.finish() == 3


def test_by_variable(pyinit: Start, path: Path) -> None:
    """PYINIT_PID_FILE says the same."""
    run = pyinit(*daemon(program("serve"), "3"), extra_env={"PYINIT_PID_FILE": str(path)})
    service = int(run.out.wait("ready")[0])
    path.write_text(f"{service}\n")
    run.wait_for(IDENTIFIED, process__pid=service)
    assert run.stop() == 3


# -- while main lives -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 5])
def test_names_main(pyinit: Start, path: Path, status: int) -> None:
    """A service in the foreground writes a PID file too: it is ready then, and its end is the run's."""
    run = pyinit(program("serve"), str(status), options=["--pid-file", str(path)])
    main = int(run.out.wait("ready")[0])
    path.write_text(f"{main}\n")
    assert run.wait_for(READY)["process.pid"] == main
    assert run.one(IDENTIFIED)["process.pid"] == main
    run.kill(main, signal.SIGTERM)
    assert run.finish() == status
    assert len(run.of(READY)) == 1


def test_main_decides_while_it_lives(pyinit: Start, path: Path) -> None:
    """The file names a process below main: main's bad end is the run's all the same."""
    run = pyinit(program("until_eof"), "4", "/usr/bin/setsid", program("serve"), "0", options=["--pid-file", str(path)])
    run.out.wait("ready", 2)
    service = next(int(words[0]) for words in run.out.all("ready") if len(words) > 1)
    path.write_text(f"{service}\n")
    identified = run.wait_for(IDENTIFIED, process__pid=service)
    assert identified["pyinit.root"].startswith("until_eof[")
    run.close_input()
    assert run.finish() == 4
    assert run.one(STOPPING)["pyinit.stop.reason"] == "main"


def test_proven_before_main_ends(pyinit: Start, path: Path) -> None:
    """The file is proven while main lives: main exits 0, and what the file names carries on, alone."""
    command = [program("until_eof"), "0", "/usr/bin/setsid", program("serve"), "7"]
    run = pyinit(*command, options=["--pid-file", str(path)])
    run.out.wait("ready", 2)
    service = next(int(words[0]) for words in run.out.all("ready") if len(words) > 1)
    path.write_text(f"{service}\n")
    run.wait_for(READY)
    run.close_input()
    handover = run.wait_for(HANDOVER)
    assert [f"[{service}]" in name for name in handover["pyinit.successors"]] == [True]
    run.kill(service, signal.SIGTERM)
    assert run.finish() == 7
    assert len(run.of(READY)) == 1


def test_looked_at_again_when_main_ends(pyinit: Start, path: Path) -> None:
    """A file that came after --pid-file-timeout is looked at once more when main exits 0."""
    command = [program("until_eof"), "0", "/usr/bin/setsid", program("serve"), "7"]
    run = pyinit(*command, options=["--pid-file", str(path), *SOON])
    run.out.wait("ready", 2)
    service = next(int(words[0]) for words in run.out.all("ready") if len(words) > 1)
    run.wait_for(REFUSED)
    path.write_text(f"{service}\n")
    run.close_input()
    run.wait_for(IDENTIFIED, process__pid=service)
    run.kill(service, signal.SIGTERM)
    assert run.finish() == 7
    assert len(run.of(REFUSED)) == 1
    assert len(run.of(READY)) == 1


# -- who decides ------------------------------------------------------------------------------------------------------


def daemon_and_helper(pyinit: Start, path: Path, *, daemon_status: int) -> tuple[Run, int, int]:
    """Start a daemon that the PID file names, and a helper beside it that ends with 5: the run and their numbers."""
    run = pyinit(
        program("several"),
        "0",
        *(program("serve"), str(daemon_status), "daemon"),
        "--",
        *(program("serve"), "5", "helper"),
        options=["--pid-file", str(path), *LONG_GRACE],
    )
    ready = named(run, 2)
    path.write_text(f"{ready['daemon']}\n")
    run.wait_for(IDENTIFIED, process__pid=ready["daemon"])
    run.wait_for(HANDOVER)
    return run, ready["daemon"], ready["helper"]


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.invariant(5)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_helpers_bad_end_decides_nothing(pyinit: Start, path: Path, number: int) -> None:
    """A stray helper ends badly: the run goes on, and the daemon's own end is its status."""
    run, service, helper = daemon_and_helper(pyinit, path, daemon_status=3)
    run.kill(helper, number)
    assert run.wait_for(REAPED, process__pid=helper)["pyinit.role"] == "adopted"
    assert not run.of(STOPPING)
    run.kill(service, signal.SIGTERM)
    assert run.finish() == 3
    assert run.one(REAPED, process__pid=service)["pyinit.role"] == "successor"


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.invariant(5)
def test_helper_left_behind_is_stopped(pyinit: Start, path: Path) -> None:
    """The daemon exits 0: the helper that it leaves holds nothing open, is stopped, and its status is not the run's."""
    run, service, helper = daemon_and_helper(pyinit, path, daemon_status=0)
    run.kill(service, signal.SIGTERM)
    assert run.finish() == 0
    assert run.seconds < SLACK_S
    assert run.one(REAPED, process__pid=helper)["process.exit.code"] == 5
    assert run.one(STOPPING)["pyinit.stop.reason"] == "service"


def test_daemons_crash_decides(pyinit: Start, path: Path) -> None:
    """The daemon is killed: 137, whatever lives on beside it."""
    run, service, helper = daemon_and_helper(pyinit, path, daemon_status=0)
    run.kill(service, signal.SIGKILL)
    assert run.finish() == 128 + signal.SIGKILL
    begun = run.one(STOPPING)
    assert begun["pyinit.stop.reason"] == "successor"
    assert begun["process.pid"] == service
    assert run.one(REAPED, process__pid=helper)["process.exit.code"] == 5


def test_stop_reaches_the_helper_too(pyinit: Start, path: Path) -> None:
    """A stop goes to every root at once, as ever; the daemon's status is the run's."""
    run, _, helper = daemon_and_helper(pyinit, path, daemon_status=0)
    assert run.stop() == 0
    assert run.seconds < SLACK_S
    assert run.one(REAPED, process__pid=helper)["process.exit.code"] == 5


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.invariant(5)
def test_worker_below_a_supervisor(pyinit: Start, path: Path) -> None:
    """The file names a process below a supervisor (mysqld_safe and mariadbd): signals go to that process.

    The supervisor decides, which is a child of pyinit.
    """
    run = pyinit(*daemon(program("safe_wrapper"), program("serve"), "5"), options=["--pid-file", str(path)])
    worker = int(run.out.wait("ready")[0])
    path.write_text(f"{worker}\n")
    identified = run.wait_for(IDENTIFIED, process__pid=worker)
    root = re.fullmatch(r"safe_wrapper\[(\d+)\]", identified["pyinit.root"])
    assert root
    run.wait_for(HANDOVER)
    assert run.one(READY)["process.pid"] == worker
    run.signal(signal.SIGHUP)
    assert run.wait_for(FORWARDED)["pyinit.signal.targets"] == [worker]
    run.out.wait("got 1 from")
    run.kill(worker, signal.SIGTERM)
    assert run.finish() == 5
    assert run.one(REAPED, process__pid=int(root[1]))["pyinit.role"] == "successor"
    assert run.one(EXITED)["process.pid"] == int(root[1])


def test_supervisor_restarts_its_worker(pyinit: Start, path: Path) -> None:
    """The end of a worker is its supervisor's affair: the run goes on as long as that does."""
    # Standard error is the log's: what the shell says of a killed child does not belong there.
    supervisor = f"exec 2>/dev/null; echo supervisor $$; while {program('serve')} 0; do :; done; exit 6"
    run = pyinit(*daemon("/bin/sh", "-c", supervisor), options=["--pid-file", str(path)])
    root = int(run.out.wait("supervisor")[0])
    worker = int(run.out.wait("ready")[0])
    path.write_text(f"{worker}\n")
    run.wait_for(IDENTIFIED, process__pid=worker)
    run.wait_for(HANDOVER)
    run.kill(worker, signal.SIGTERM)
    worker = int(run.out.wait("ready", 2)[0])
    path.write_text(f"{worker}\n")
    assert not run.of(STOPPING)
    run.kill(worker, signal.SIGKILL)
    assert run.finish() == 6
    assert run.one(REAPED, process__pid=root)["pyinit.role"] == "successor"


def test_supervisor_leaves_its_worker(pyinit: Start, path: Path) -> None:
    """The supervisor exits 0 and leaves the process that the file names: that decides by itself from then on."""
    worker = [program("until_eof"), "0", "/usr/bin/setsid", program("serve"), "6", "worker"]
    command = [program("several"), "0", *worker, "--", program("serve"), "5", "helper"]
    run = pyinit(*command, options=["--pid-file", str(path), *LONG_GRACE])
    run.out.wait("ready", 3)
    ready = {words[1]: int(words[0]) for words in run.out.all("ready") if len(words) > 1}
    path.write_text(f"{ready['worker']}\n")
    run.wait_for(IDENTIFIED, process__pid=ready["worker"])
    run.wait_for(HANDOVER)
    run.close_input()
    run.wait_for(ADOPTED, process__pid=ready["worker"])
    run.kill(ready["helper"], signal.SIGTERM)
    run.wait_for(REAPED, process__pid=ready["helper"])
    assert not run.of(STOPPING)
    run.kill(ready["worker"], signal.SIGTERM)
    assert run.finish() == 6
    assert run.one(REAPED, process__pid=ready["worker"])["pyinit.role"] == "successor"


@pytest.mark.invariant(5)
def test_until_all(pyinit: Start, path: Path) -> None:
    """--until all: the run ends with the last process, and its status is the service's, not the helper's."""
    serve = [program("serve")]
    command = [program("several"), "0", *serve, "3", "daemon", "--", *serve, "5", "helper"]
    run = pyinit(*command, options=["--pid-file", str(path), "--until", "all"])
    ready = named(run, 2)
    path.write_text(f"{ready['daemon']}\n")
    run.wait_for(IDENTIFIED, process__pid=ready["daemon"])
    run.wait_for(HANDOVER)
    run.kill(ready["daemon"], signal.SIGTERM)
    run.wait_for(REAPED, process__pid=ready["daemon"])
    assert not run.of(STOPPING)
    run.kill(ready["helper"], signal.SIGTERM)
    assert run.finish() == 3
    assert not run.of(STOPPING)


def test_signal_after_the_worker_has_gone(pyinit: Start, path: Path) -> None:
    """The worker that the file named has ended: a signal goes to its supervisor, and to nobody's number."""
    supervisor = f"echo supervisor $$; {program('serve')} 0; exec {program('serve')} 6 heir"
    run = pyinit(*daemon("/bin/sh", "-c", supervisor), options=["--pid-file", str(path)])
    root = int(run.out.wait("supervisor")[0])
    worker = int(run.out.wait("ready")[0])
    path.write_text(f"{worker}\n")
    run.wait_for(IDENTIFIED, process__pid=worker)
    run.wait_for(HANDOVER)
    run.kill(worker, signal.SIGTERM)
    run.out.wait("ready", 2)
    run.signal(signal.SIGHUP)
    assert run.wait_for(FORWARDED)["pyinit.signal.targets"] == [root]
    run.out.wait("got 1 from")
    assert run.stop() == 6


# -- what is refused --------------------------------------------------------------------------------------------------


def refused(pyinit: Start, path: Path, reason: str, **keywords: object) -> None:
    """Run two daemons with this PID file: one warning that says why, and the rule without a PID file."""
    run = pyinit(
        program("several"),
        "0",
        *(program("serve"), "0", "one"),
        "--",
        *(program("serve"), "7", "two"),
        options=["--pid-file", str(path), *SOON],
        **keywords,
    )
    ready = named(run, 2)
    record = run.wait_for(REFUSED)
    assert record["pyinit.source"] == "pid-file"
    assert record["pyinit.claim"] == str(path)
    assert record["severity"] == "warning"
    assert re.search(reason, record["pyinit.reason"]), record["pyinit.reason"]
    assert len(path.name) > 255 or str(path) in record["message"]
    assert "--pid-file-timeout" in record["message"]
    assert run.wait_for(READY)["pyinit.reason"] == "handover"
    run.kill(ready["one"], signal.SIGTERM)
    run.wait_for(REAPED, process__pid=ready["one"])
    assert not run.of(STOPPING)
    run.kill(ready["two"], signal.SIGTERM)
    assert run.finish() == 7
    assert not run.of(IDENTIFIED)
    assert len(run.of(REFUSED)) == 1
    assert len(run.of(READY)) == 1
    assert not run.of(ERROR)


def waiting(pyinit: Start, path: Path, *command: str) -> tuple[Run, int]:
    """Start a main that waits for the test, and `command` below it, which ends with status 5: the run and its number.

    What gets into the file before `not_believed` is newer than the run, and is there when main ends.
    """
    command = ("/bin/sh", "-c", 'exec setsid "$@" </dev/null', "sh", *command)
    run = pyinit(program("until_eof"), "0", *command, options=["--pid-file", str(path), *SOON])
    run.out.wait("ready", 2)
    return run, next(int(words[0]) for words in run.out.all("ready") if len(words) > 1)


def not_believed(run: Run, reason: str, status: int = 5) -> None:
    """Let main end: the file is looked at again then, and refused for this reason; the run ends as without it."""
    run.close_input()

    def found(_: list[str]) -> bool:
        return any(re.search(reason, record["pyinit.reason"]) for record in run.of(REFUSED))

    run.log.wait_until(found, f"a refusal because of {reason!r}")
    assert run.stop() == status
    assert not run.of(IDENTIFIED)
    assert not run.of(ERROR)


@pytest.mark.modes(*ALL_MODES)
def test_never_there(pyinit: Start, path: Path) -> None:
    """No file: one warning when the time is over, and the run goes on as without --pid-file."""
    refused(pyinit, path, "not there")


NONSENSE = {
    "empty": b"",
    "only a newline": b"\n",
    "a word": b"abc\n",
    "a word behind": b"77 httpd\n",
    "a fraction": b"77.5\n",
    "hexadecimal": b"0x4d\n",
    "negative": b"-1\n",
    "plus": b"+77\n",
    "zero": b"0\n",
    "number in the second line": b"\n77\n",
    "too large": b"99999999999999999999\n",
    "just too large": b"2147483648\n",
    "a million digits": b"9" * 1_000_000,
    "a million zeros": b"0" * 1_000_000,
    "not UTF-8": b"\xff\xfe7\x007\x00",
    "NUL bytes": b"\0\0\0\0",
    "other digits": "٣٣\n".encode(),
    "control characters": b"\x1b[31m77\n",
    "with an underscore": b"7_7\n",
}


@pytest.mark.modes(SUBREAPER)
@pytest.mark.parametrize("text", NONSENSE.values(), ids=NONSENSE)
def test_nonsense(pyinit: Start, path: Path, text: bytes) -> None:
    """A first line that is no number of a process is refused, with what stands there."""
    run, _ = waiting(pyinit, path, program("serve"), "5")
    path.write_bytes(text)
    not_believed(run, "empty" if not text.strip() else "number|no process")


SPECIAL = {
    "FIFO": "not a regular file",
    "directory": "not a regular file",
    "socket": "not a regular file|cannot be read",
    "dangling link": "link|not there",
    "looping link": "link|ELOOP|loop",
    "endless device": "not a regular file",
    "link to an endless device": "not a regular file",
    "a file as folder": "not there|ENOTDIR|cannot be read",
    "name too long": "ENAMETOOLONG|cannot be read|not there",
    "proc": "number",
}


@pytest.mark.invariant(6)
@pytest.mark.parametrize("kind", SPECIAL)
def test_special_files(pyinit: Start, path: Path, kind: str) -> None:
    """What is no regular file is refused; pyinit neither waits for a writer, nor reads without end, nor fails."""
    if kind == "FIFO":
        os.mkfifo(path, 0o666)
    elif kind == "directory":
        path.mkdir()
    elif kind == "socket":
        os.mknod(path, 0o140666)
    elif kind == "dangling link":
        path.symlink_to("/no/such/file")
    elif kind == "looping link":
        path.symlink_to(path)
    elif kind == "endless device":
        path = type(path)("/dev/zero")
    elif kind == "link to an endless device":
        path.symlink_to("/dev/zero")
    elif kind == "a file as folder":
        path = type(path)("/etc/passwd/service.pid")
    elif kind == "name too long":
        path = path.with_name("x" * 300)
    else:
        path = type(path)("/proc/self/cmdline")
    # What is there before pyinit starts is old as well, which may be the reason that is told.
    refused(pyinit, path, SPECIAL[kind] + "|older|stale")


@pytest.mark.parametrize("kind", ["FIFO", "directory", "looping link", "endless device"])
def test_special_files_that_come_later(pyinit: Start, path: Path, kind: str) -> None:
    """The same for what is put there while pyinit waits for the file."""
    run, _ = waiting(pyinit, path, program("serve"), "5")
    if kind == "FIFO":
        os.mkfifo(path, 0o666)
    elif kind == "directory":
        path.mkdir()
    elif kind == "looping link":
        path.symlink_to(path)
    else:
        path.symlink_to("/dev/zero")
    not_believed(run, "link|loop|ELOOP" if kind == "looping link" else "not a regular file")


@pytest.mark.modes(PLAIN_USER, PID1_USER)
@pytest.mark.parametrize("closed", ["file", "folder"])
def test_unreadable(pyinit: Start, path: Path, closed: str) -> None:
    """A file that pyinit may not read is refused, and the reason names the error."""
    run, service = waiting(pyinit, path, program("serve"), "5")
    path.touch(0o000)
    path.write_text(f"{service}\n")
    if closed == "folder":
        path.chmod(0o644)
        path.parent.chmod(0)
    not_believed(run, "EACCES")


@pytest.mark.modes(PID1, PID1_USER)
@pytest.mark.parametrize("again", [True, False], ids=["written again", "never written again"])
def test_stale_file_that_names_a_living_descendant(pyinit: Start, path: Path, *, again: bool) -> None:
    """A file of the last run names, by luck, a process of this one: in a container numbers repeat.

    It is not believed, until this run's daemon has written it itself, be it with the same number.
    """
    # main is 2, the middle of its double fork 3: the numbers of a new PID namespace are given out in order.
    path.write_text("4\n")
    timeout = [] if again else SOON
    run = pyinit(*daemon(program("serve"), "5"), options=["--pid-file", str(path), *timeout])
    assert run.out.wait("ready")[0] == "4", "the test must know the daemon's number beforehand"
    run.wait_for(HANDOVER)
    if again:
        path.write_text("4\n")
        run.wait_for(IDENTIFIED, process__pid=4)
    else:
        record = run.wait_for(REFUSED)
        assert re.search("older|stale", record["pyinit.reason"])
        assert not run.of(IDENTIFIED)
    run.kill(4, signal.SIGTERM)
    assert run.finish() == 5
    assert len(run.of(REFUSED)) == (0 if again else 1)


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.invariant(4)
def test_names_pyinit_itself(pyinit: Start, path: Path) -> None:
    """Pyinit is not its own service."""
    run, _ = waiting(pyinit, path, program("serve"), "5")
    path.write_text(f"{run.pid_seen}\n")
    not_believed(run, "pyinit itself")


@pytest.mark.modes(SUBREAPER, PLAIN_USER)
@pytest.mark.invariant(4)
@pytest.mark.parametrize("who", ["init", "the parent of pyinit"])
def test_names_a_process_outside(pyinit: Start, path: Path, who: str) -> None:
    """A number that belongs to somebody outside the tree is refused by name."""
    number = 1 if who == "init" else os.getpid()
    run, _ = waiting(pyinit, path, program("serve"), "5")
    path.write_text(f"{number}\n")
    not_believed(run, rf"\b{number}\b.* not below pyinit")


@pytest.mark.modes(PID1, PID1_USER)
@pytest.mark.invariant(4)
def test_names_a_process_that_was_brought_in(pyinit: Start, path: Path) -> None:
    """A living process of `docker exec` is not below pyinit as long as it is no orphan."""
    run, _ = waiting(pyinit, path, program("serve"), "5")
    begin, end = path.with_name("begin"), path.with_name("end")
    for fifo in (begin, end):
        os.mkfifo(fifo)
        fifo.chmod(0o666)
    stranger = f'echo $$ >"{path}"; echo >"{begin}"; read -r _ <"{end}"'
    with ThreadPoolExecutor(1) as pool:
        brought_in = pool.submit(run.join, "/bin/sh", "-c", stranger)
        begin.read_text()
        run.close_input()
        try:
            run.wait_for(REFUSED, pyinit__reason=f"names PID {path.read_text().strip()}, which is not below pyinit")
        finally:
            end.write_text("now\n")
        brought_in.result()
    assert run.stop() == 5


def test_names_a_thread(pyinit: Start, path: Path) -> None:
    """The number of a thread that is not its process's own is refused."""
    run, _ = waiting(pyinit, path, program("two_threads"), "5")
    thread = run.out.wait("thread")[0]
    path.write_text(f"{thread}\n")
    not_believed(run, rf"thread|\b{thread}\b.* no process")


@pytest.mark.parametrize("kind", ["dead", "zombie"])
def test_names_a_process_that_has_ended(pyinit: Start, path: Path, kind: str) -> None:
    """The number of a descendant that has ended, be it a zombie still, proves nothing."""
    run, _ = waiting(pyinit, path, program("notifier"), "service", kind, "status 5")
    number = run.out.wait("dead")[0]
    path.write_text(f"{number}\n")
    not_believed(run, rf"\b{number}\b.* (has ended|no process)")


def test_refused_while_main_runs(pyinit: Start, path: Path) -> None:
    """A foreground service whose file never comes: one warning, main's end decides, and it is never ready."""
    run = pyinit(program("serve"), "5", options=["--pid-file", str(path), *SOON])
    run.out.wait("ready")
    run.wait_for(REFUSED)
    assert run.stop() == 5
    assert not run.of(READY)
    assert len(run.of(REFUSED)) == 1


def test_run_ends_before_the_time_is_over(pyinit: Start, path: Path) -> None:
    """A run that ends while pyinit still waits for the file ends at once, with its status."""
    run = pyinit(program("until_eof"), "3", options=["--pid-file", str(path)])
    run.out.wait("ready")
    run.wait_for(STARTED)
    run.close_input()
    assert run.finish() == 3
    assert run.seconds < SLACK_S


def test_stop_while_waiting_for_the_file(pyinit: Start, path: Path) -> None:
    """A stop does not wait for the file either."""
    run = pyinit(*daemon(program("serve"), "4"), options=["--pid-file", str(path)])
    run.out.wait("ready")
    run.wait_for(HANDOVER)
    assert run.stop() == 4
    assert run.seconds < SLACK_S
    assert not run.of(READY) or run.one(READY)["pyinit.reason"] == "handover"


# -- the service restarts itself --------------------------------------------------------------------------------------


@pytest.mark.modes(*ALL_MODES)
def test_live_upgrade(pyinit: Start, path: Path) -> None:
    """A live binary upgrade (nginx, USR2 then QUIT), twice: the run goes on, and the role moves to the new master."""
    run = pyinit(*daemon(program("upgrade"), str(path), "0"), options=["--pid-file", str(path)])
    current = int(run.out.wait("ready")[0])
    run.wait_for(IDENTIFIED, process__pid=current)
    run.wait_for(HANDOVER)
    for count in (2, 3):
        run.kill(current, signal.SIGUSR2)
        new = int(run.out.wait("ready", count)[0])
        run.kill(current, signal.SIGQUIT)
        identified = run.wait_for(IDENTIFIED, count)
        assert identified["process.pid"] == new
        assert identified["pyinit.previous"] == f"upgrade[{current}]"
        assert run.wait_for(REAPED, process__pid=current)["pyinit.role"] == "successor"
        current = new
    assert not run.of(STOPPING)
    run.kill(current, signal.SIGKILL)
    assert run.finish() == 128 + signal.SIGKILL
    assert len(run.of(READY)) == 1
    assert not run.of(REFUSED)


def test_live_upgrade_with_a_helper_beside_it(pyinit: Start, path: Path) -> None:
    """The role is one master's alone before and after an upgrade: a helper's bad end decides nothing."""
    upgrade = [program("upgrade"), str(path), "0"]
    command = [program("several"), "0", *upgrade, "--", program("serve"), "5", "helper"]
    run = pyinit(*command, options=["--pid-file", str(path), *LONG_GRACE])
    run.out.wait("ready", 2)
    helper = next(int(words[0]) for words in run.out.all("ready") if len(words) > 1)
    old = next(int(words[0]) for words in run.out.all("ready") if len(words) == 1)
    run.wait_for(IDENTIFIED, process__pid=old)
    run.wait_for(HANDOVER)
    run.kill(old, signal.SIGUSR2)
    new = int(run.out.wait("ready", 3)[0])
    run.kill(old, signal.SIGQUIT)
    run.wait_for(IDENTIFIED, process__pid=new)
    run.kill(helper, signal.SIGTERM)
    run.wait_for(REAPED, process__pid=helper)
    assert not run.of(STOPPING)
    run.kill(new, signal.SIGQUIT)
    assert run.finish() == 0


def test_upgrade_that_fails(pyinit: Start, path: Path) -> None:
    """The new master dies, the old one stays: nothing changes."""
    run = pyinit(*daemon(program("upgrade"), str(path), "3"), options=["--pid-file", str(path)])
    old = int(run.out.wait("ready")[0])
    run.wait_for(IDENTIFIED, process__pid=old)
    run.wait_for(HANDOVER)
    run.kill(old, signal.SIGUSR2)
    new = int(run.out.wait("ready", 2)[0])
    run.kill(new, signal.SIGKILL)
    run.out.wait(f"failed {new}")
    assert not run.of(STOPPING)
    run.kill(old, signal.SIGQUIT)
    assert run.finish() == 3


def test_crash_behind_a_new_pid_file(pyinit: Start, path: Path, workdir: Path) -> None:
    """A service that was found while its launcher lived crashes when the file names its heir: the crash decides."""
    leave, crash = workdir / "leave", workdir / "crash"
    service = f"echo $$ >{path}; while [ ! -e {crash} ]; do sleep 0.02; done; sleep 60 & echo $! >{path}; exit 7"
    launcher = f"setsid sh -c '{service}' & while [ ! -e {leave} ]; do sleep 0.02; done"
    run = pyinit("sh", "-c", launcher, options=["--pid-file", str(path)])
    run.wait_for(IDENTIFIED)
    leave.touch()
    run.wait_for(HANDOVER)
    crash.touch()
    assert run.finish() == 7


def test_upgrade_of_a_main_that_stays(pyinit: Start, path: Path) -> None:
    """The same in the foreground: main hands over to the new master that it leaves."""
    run = pyinit(program("upgrade"), str(path), options=["--pid-file", str(path)])
    main = int(run.out.wait("ready")[0])
    run.wait_for(IDENTIFIED, process__pid=main)
    run.kill(main, signal.SIGUSR2)
    new = int(run.out.wait("ready", 2)[0])
    run.kill(main, signal.SIGQUIT)
    assert run.wait_for(IDENTIFIED, process__pid=new)["pyinit.previous"] == f"upgrade[{main}]"
    run.wait_for(HANDOVER)
    run.kill(new, signal.SIGKILL)
    assert run.finish() == 128 + signal.SIGKILL
    assert len(run.of(READY)) == 1


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.parametrize("when", ["before", "after"])
def test_fork_and_die(pyinit: Start, path: Path, when: str) -> None:
    """A service that restarts itself by fork and die (Jenkins) writes its file before the old one ends, or after that.

    Either way the run goes on, and the new one alone decides.
    """
    reborn = [program("reborn"), str(path), when, program("serve"), "6", "reborn"]
    run = pyinit(
        *(program("several"), "0", *reborn, "--", program("serve"), "5", "helper"),
        options=["--pid-file", str(path), *LONG_GRACE],
    )
    run.out.wait("ready", 2)
    helper = next(int(words[0]) for words in run.out.all("ready") if len(words) > 1)
    old = next(int(words[0]) for words in run.out.all("ready") if len(words) == 1)
    run.wait_for(IDENTIFIED, process__pid=old)
    run.wait_for(HANDOVER)
    run.kill(old, signal.SIGUSR2)
    new = int(run.out.wait("next")[0])
    run.out.wait("ready", 3)
    run.wait_for(REAPED, process__pid=old)
    if when == "before":
        run.wait_for(IDENTIFIED, process__pid=new)
    run.kill(helper, signal.SIGTERM)
    run.wait_for(REAPED, process__pid=helper)
    assert not run.of(STOPPING)
    run.kill(new, signal.SIGTERM)
    assert run.finish() == 6


@pytest.mark.modes(PID1, PID1_USER)
@pytest.mark.invariant(5)
@pytest.mark.parametrize("status", [0, 3])
def test_restart_from_outside_moves_nothing(pyinit: Start, path: Path, status: int) -> None:
    """`docker exec` starts a new daemon, which writes the file; then the old one ends: that is the end of the run.

    The new one never came from main (foreign): it holds nothing open and decides nothing, and is stopped.
    """
    run = pyinit(*daemon(program("upgrade"), str(path), str(status)), options=["--pid-file", str(path)])
    old = int(run.out.wait("ready")[0])
    run.wait_for(IDENTIFIED, process__pid=old)
    run.wait_for(HANDOVER)
    said = run.join(program("double_fork"), "before", program("upgrade"), str(path), "5")
    new = int(said.wait("ready")[0])
    run.kill(old, signal.SIGQUIT)
    assert run.finish() == status
    ended = run.one(REAPED, process__pid=new)
    assert ended["process.exit.code"] == 5
    assert ended["pyinit.role"] == "foreign"
    assert len(run.of(IDENTIFIED)) == 1


@pytest.mark.modes(PID1, PID1_USER)
def test_names_a_foreign_orphan(pyinit: Start, path: Path) -> None:
    """A file that names an orphan of `docker exec` is refused, and the reason says what that is."""
    run, _ = waiting(pyinit, path, program("serve"), "5")
    said = run.join(program("double_fork"), "before", program("serve"), "0", "foreign")
    stranger = said.wait("ready")[0]
    path.write_text(f"{stranger}\n")
    not_believed(run, rf"\b{stranger}\b.* \(foreign\)")


# -- --clean-pid-file -------------------------------------------------------------------------------------------------


def looks_first(path: Path, *command: str) -> list[str]:
    """Return a command that says "there" or "gone" of the file, and then executes `command`."""
    return ["/bin/sh", "-c", f'if test -e "{path}"; then echo there; else echo gone; fi; exec "$@"', "sh", *command]


@pytest.mark.modes(PID1, PID1_USER)
def test_stale_file_is_cleaned(pyinit: Start, path: Path) -> None:
    """As PID 1 what is there before main starts is stale: "httpd (pid 7) already running" never happens.

    The run's own is removed at the end, even after a crash.
    """
    path.write_text("4\n")
    command = looks_first(path, *daemon(program("upgrade"), str(path)))
    run = pyinit(*command, options=["--pid-file", str(path), "--clean-pid-file"])
    run.out.wait("gone")
    service = int(run.out.wait("ready")[0])
    run.wait_for(IDENTIFIED, process__pid=service)
    assert path.exists()
    run.wait_for(HANDOVER)
    run.kill(service, signal.SIGKILL)
    assert run.finish() == 128 + signal.SIGKILL
    assert not path.exists()
    assert not run.of(DEGRADED)


@pytest.mark.modes(PID1, PID1_USER)
def test_number_of_the_cleaned_file_is_believed_again(pyinit: Start, path: Path) -> None:
    """After the cleaning nothing counts as stale: this run's daemon may have the number of the last one's."""
    path.write_text("4\n")
    run = pyinit(
        *(program("daemonize"), "late", str(path), program("serve"), "0"),
        options=["--pid-file", str(path), "--clean-pid-file"],
    )
    service = int(run.out.wait("ready")[0])
    run.wait_for(IDENTIFIED, process__pid=service)
    assert run.stop() == 0
    assert not path.exists()


@pytest.mark.modes(SUBREAPER, PLAIN_USER)
def test_only_pid_1_cleans_before_the_start(pyinit: Start, path: Path) -> None:
    """Outside of a PID namespace of its own a file that is there may be somebody's: it is left, before and after."""
    text = f"{os.getpid()}\n"
    path.write_text(text)
    run = pyinit(
        *looks_first(path, program("serve"), "5"), options=["--pid-file", str(path), "--clean-pid-file", *SOON]
    )
    run.out.wait("there")
    run.out.wait("ready")
    run.wait_for(REFUSED)
    assert run.stop() == 5
    assert path.read_text() == text


@pytest.mark.modes(*ALL_MODES)
def test_own_file_is_removed_at_the_end(pyinit: Start, path: Path) -> None:
    """The file that was proven is removed when its service has crashed, in every mode."""
    run = pyinit(*daemon(program("upgrade"), str(path)), options=["--pid-file", str(path), "--clean-pid-file"])
    service = int(run.out.wait("ready")[0])
    run.wait_for(IDENTIFIED, process__pid=service)
    run.wait_for(HANDOVER)
    run.kill(service, signal.SIGKILL)
    assert run.finish() == 128 + signal.SIGKILL
    assert not path.exists()


def test_daemon_that_cleans_up_itself(pyinit: Start, path: Path) -> None:
    """A file that has gone already needs no cleaning: nothing is told."""
    run = pyinit(*daemon(program("upgrade"), str(path)), options=["--pid-file", str(path), "--clean-pid-file"])
    service = int(run.out.wait("ready")[0])
    run.wait_for(IDENTIFIED, process__pid=service)
    assert run.stop() == 0
    assert not path.exists()
    assert not run.of(DEGRADED)


def test_without_the_option_nothing_is_cleaned(pyinit: Start, path: Path) -> None:
    """Without --clean-pid-file pyinit removes no file, before or after."""
    path.write_text("4\n")
    run = pyinit(*looks_first(path, *daemon(program("upgrade"), str(path))), options=["--pid-file", str(path)])
    run.out.wait("there")
    service = int(run.out.wait("ready")[0])
    run.wait_for(IDENTIFIED, process__pid=service)
    run.wait_for(HANDOVER)
    run.kill(service, signal.SIGKILL)
    run.finish()
    assert path.read_text() == f"{service}\n"


@pytest.mark.modes(PID1_USER)
def test_file_that_cannot_be_cleaned(pyinit: Start, path: Path) -> None:
    """A stale file in a folder that pyinit may not write to: told once, and main starts all the same."""
    path.write_text("4\n")
    path.parent.chmod(0o755)
    run = pyinit(
        *looks_first(path, program("serve"), "5"), options=["--pid-file", str(path), "--clean-pid-file", *SOON]
    )
    run.out.wait("there")
    run.out.wait("ready")
    run.wait_for(DEGRADED, pyinit__feature="--clean-pid-file")
    run.wait_for(REFUSED)
    assert run.stop() == 5
    assert len(run.of(DEGRADED)) == 1


# -- what it costs, and what may be missing ---------------------------------------------------------------------------


@pytest.mark.invariant(7)
@pytest.mark.modes(SUBREAPER, PID1)
@pytest.mark.parametrize("kind", ["proven", "below a supervisor", "while main lives", "refused"])
def test_no_wakeup(pyinit: Start, path: Path, kind: str) -> None:
    """Once the file is proven, or refused, nothing wakes pyinit up: nobody looks at it again and again."""
    command = {
        "proven": daemon(program("serve"), "0"),
        "below a supervisor": daemon(program("safe_wrapper"), program("serve"), "0"),
        "while main lives": [program("serve"), "0"],
        "refused": daemon(program("serve"), "0"),
    }[kind]
    run = pyinit(*command, options=["--pid-file", str(path), *(SOON if kind == "refused" else [])])
    service = run.out.wait("ready")[0]
    if kind == "refused":
        run.wait_for(REFUSED)
    else:
        path.write_text(f"{service}\n")
        run.wait_for(IDENTIFIED)
    run.assert_idle()
    run.stop()


@pytest.mark.invariant(6)
def test_without_proc(pyinit: Start, path: Path) -> None:
    """Without /proc a child of pyinit can still be proven, and nothing else."""
    run = pyinit(
        *(program("several"), "0", program("serve"), "3", "daemon", "--", program("serve"), "5", "helper"),
        options=["--pid-file", str(path), *LONG_GRACE],
        stage=["no-proc"],
        own_children=True,
    )
    ready = named(run, 2)
    run.wait_for(HANDOVER)
    path.write_text(f"{ready['daemon']}\n")
    run.wait_for(IDENTIFIED, process__pid=ready["daemon"])
    os.kill(_outer(run, "helper", ready), signal.SIGTERM)
    run.wait_for(REAPED, process__pid=ready["helper"])
    assert not run.of(STOPPING)
    os.kill(_outer(run, "daemon", ready), signal.SIGTERM)
    assert run.finish() == 3


def _outer(run: Run, name: str, ready: dict[str, int]) -> int:
    return run.outer(ready[name])


def test_hostile_file_changes_all_the_time(pyinit: Start, path: Path) -> None:
    """A file that says something else whenever it is looked at changes neither the status nor the stop."""
    run = pyinit(*daemon(program("serve"), "4"), options=["--pid-file", str(path), "--pid-file-timeout", "1s"])
    service = int(run.out.wait("ready")[0])
    run.wait_for(HANDOVER)
    for number in range(2000):
        new = path.with_name("new")
        if number % 3 == 0:
            new.symlink_to("/dev/zero")
        else:
            new.write_text(f"{number}\n" if number % 3 == 1 else "\0" * number)
        new.rename(path)
    run.kill(service, signal.SIGTERM)
    run.finish()
    assert run.status == 4
    assert not run.of(ERROR)
    assert not run.of(KILLING)
    assert len(run.of(ADOPTED)) == 1
