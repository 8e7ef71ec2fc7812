"""The control socket and pyinitctl, on real runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support import schema
from support.control import Said, Talk, address, beside, command, ctl, parse
from support.programs import program
from support.run import (
    ADOPTED,
    ALL_MODES,
    DEGRADED,
    EXITED,
    FORWARDED,
    HANDOVER,
    PID1,
    PID1_USER,
    PLAIN_USER,
    READY,
    STARTED,
    STOPPING,
    SUBREAPER,
    USER,
)
from support.waiting import DEADLINE_S, Lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.run import Run

    Start = Callable[..., Run]

REQUEST = "control.request"
REFUSED = "control.refused"
STRANGER = 4711


def serving(pyinit: Start, *options: str, **keywords: object) -> Run:
    """Start a daemon that serves; return the run when it has handed over."""
    run = pyinit(program("double_fork"), "after", program("serve"), "0", options=options, **keywords)
    run.out.wait("ready")
    run.wait_for(HANDOVER)
    return run


def status_of(run: Run, **keywords: object) -> dict[str, object]:
    """Ask for the status."""
    said = ctl(run, "status", "--json", **keywords)  # type: ignore[arg-type]
    assert said.status == 0, said.err
    return parse(said.out)


# -- each command, in each way that pyinit runs ----------------------------------------------------------------------


@pytest.mark.modes(*ALL_MODES)
@pytest.mark.invariant(9)
def test_each_command(pyinit: Start) -> None:
    """All of it as PID 1 and as a subreaper, as root and as uid 1000 without capabilities on a read-only root."""
    run = serving(pyinit, "--until", "service", stage=["read-only"])
    daemon = run.wait_for(READY)["process.pid"]
    assert ctl(run, "health").status == 0
    assert ctl(run, "health", "live").status == 0
    assert ctl(run, "wait", "--ready").status == 0
    assert ctl(run, "wait", "--handover", "--timeout", "10s").status == 0
    told = status_of(run)
    assert told["service"]["pid"] == daemon  # type: ignore[index]
    assert told["pyinit"]["pid"] == run.pid_seen  # type: ignore[index]
    shown = ctl(run, "status")
    assert shown.status == 0
    assert f"serve[{daemon}]" in shown.out
    assert "holding, ready" in shown.out
    assert "pyinit_ready 1" in ctl(run, "status", "--format", "openmetrics").out
    assert ctl(run, "signal", "USR1").status == 0
    run.out.wait(f"got {signal.SIGUSR1:d} from")
    assert ctl(run, "signal", "USR2", str(daemon)).status == 0
    run.out.wait(f"got {signal.SIGUSR2:d} from")
    assert ctl(run, "signal", "WINCH", "tree").status == 0
    run.out.wait(f"got {signal.SIGWINCH:d} from")
    assert ctl(run, "reload").status == 0
    run.out.wait("got 1 from")
    refused = ctl(run, "signal", "HUP", "main")
    assert (refused.status, "main has ended" in refused.err) == (1, True)
    refused = ctl(run, "restart")
    assert (refused.status, "was not told to start main again (--restart)" in refused.err) == (1, True)
    assert ctl(run, "log-level", "warning").status == 0
    assert status_of(run)["pyinit"]["log_level"] == "warning"  # type: ignore[index]
    assert ctl(run, "log-level", "debug").status == 0
    records = [schema.parse(line) for line in ctl(run, "events").out.splitlines()]
    assert records[0]["event.name"] == STARTED
    assert run.wait_for(REQUEST, pyinit__control__request="reload")["pyinit.control.accepted"] is True
    # As PID 1, the end of pyinit is that of who asked for it.
    assert ctl(run, "stop").status in {0, 128 + signal.SIGKILL if run.mode in {PID1, PID1_USER} else 0}
    assert run.finish() == 0
    begun = run.one(STOPPING)
    assert begun["pyinit.stop.reason"] == "request"
    assert begun["pyinit.control.client.uid"] == (USER if run.mode == PID1_USER else 0)
    assert run.one(EXITED)["pyinit.reason"] == "request"
    assert not run.of(DEGRADED)


@pytest.mark.modes(SUBREAPER)
def test_gone(pyinit: Start) -> None:
    """`wait --gone` waits for the very end; afterwards nobody answers, and that is an answer of its own."""
    run = serving(pyinit)
    late = ctl(run, "wait", "--gone", "--timeout", "50ms")
    assert (late.status, late.err) == (1, "pyinitctl: the time is up, and pyinit is there still\n")
    waiting = subprocess.Popen([command(), "--pid", str(run.pid), "wait", "--gone"])
    run.stop()
    assert waiting.wait(DEADLINE_S) == 0
    assert beside(command(), "--pid", str(run.pid), "wait", "--gone").status == 0
    gone = beside(command(), "--pid", str(run.pid), "status")
    assert gone.status == 3
    assert gone.err == f"pyinitctl: there is no process {run.pid} here; ps shows those that there are\n"
    assert beside(command(), "--pid", str(run.pid), "health").status == 1


@pytest.mark.modes(SUBREAPER)
def test_wait_from_the_first_moment(pyinit: Start) -> None:
    """`wait` may be called before pyinit has opened its socket, and before there is anything to be ready."""
    run = pyinit(program("double_fork"), "after", program("serve"), "0")
    assert beside(command(), "--pid", str(run.pid), "wait", "--handover", "--timeout", "20s").status == 0
    run.stop()
    assert run.of(HANDOVER)


def test_wait_in_vain(pyinit: Start) -> None:
    """The time is up; or the run is stopped before it comes."""
    run = pyinit(program("notifier"), "x", options=["--notify"])
    run.out.wait("ready")
    run.wait_for(STARTED)
    late = ctl(run, "wait", "--ready", "--timeout", "50ms")
    assert (late.status, late.err.strip()) == (1, "pyinitctl: the time is up, and it is not ready")
    assert ctl(run, "health").status == 1
    assert ctl(run, "health", "live").status == 0
    assert status_of(run)["readiness"] == "no"
    os.write(run.input, b"send READY=1\\nSTATUS=at your service\n")
    run.wait_for(READY)
    assert ctl(run, "health").status == 0
    assert status_of(run)["status"] == "at your service"
    assert '"at your service"' in ctl(run, "status").out
    assert ctl(run, "wait", "--handover", "--timeout", "50ms").status == 1
    run.stop()


@pytest.mark.modes(SUBREAPER)
def test_events_to_the_end(pyinit: Start) -> None:
    """`events --follow` brings what was there, what comes, and the last word of the run."""
    run = serving(pyinit)
    reading, writing = os.pipe()
    follower = subprocess.Popen([command(), "--pid", str(run.pid), "events", "--follow"], stdout=writing)
    os.close(writing)
    lines = Lines(reading)
    lines.wait_until(lambda seen: any(HANDOVER in line for line in seen), "what was there")
    run.signal(signal.SIGUSR1)
    lines.wait_until(lambda seen: any(FORWARDED in line for line in seen), "what comes")
    run.stop()
    assert follower.wait(DEADLINE_S) == 0
    assert lines.wait_eof(DEADLINE_S)
    names = [schema.parse(line)["event.name"] for line in lines.lines]
    assert names == run.log.names(), "all records, each once"
    assert names[-1] == EXITED


@pytest.mark.modes(SUBREAPER)
def test_events_since(pyinit: Start) -> None:
    """`--since` takes a duration or a time; the log may be text for people, the records are JSON all the same."""
    run = pyinit(program("serve"), "0", log_options=["--log-format", "console", "--log-level", "debug"], json_log=False)
    run.out.wait("ready")
    run.signal(signal.SIGUSR1)
    run.out.wait("got")
    records = [schema.parse(line) for line in ctl(run, "events", "--since", "10m").out.splitlines()]
    assert [record["event.name"] for record in records] == [STARTED, FORWARDED]
    since = records[1]["timestamp"]
    assert len(ctl(run, "events", "--since", since).out.splitlines()) == 1
    assert not ctl(run, "events", "--since", "2999-01").out
    assert ctl(run, "events", "--since", "yesterday").status == 125
    run.stop()


def test_log_level_live(pyinit: Start) -> None:
    """From one record to the next the log tells more, or less."""
    run = pyinit(program("serve"), "0", log_options=["--log-format", "json"], quiet=True)
    run.out.wait("ready")
    run.wait_for(STARTED)
    assert ctl(run, "log-level", "debug").status == 0
    run.signal(signal.SIGUSR1)
    run.wait_for(FORWARDED)
    assert ctl(run, "log-level", "error").status == 0
    run.stop()
    assert not run.of(EXITED)


@pytest.mark.modes(SUBREAPER)
def test_watch(pyinit: Start) -> None:
    """`status --watch` ends well when pyinit does."""
    run = serving(pyinit)
    reading, writing = os.pipe()
    watching = subprocess.Popen([command(), "--pid", str(run.pid), "status", "--watch"], stdout=writing)
    os.close(writing)
    Lines(reading).wait_until(lambda seen: any("holding" in line for line in seen), "the status")
    run.stop()
    assert watching.wait(DEADLINE_S) == 0


# -- who is asked, and who may ask -------------------------------------------------------------------------------------


@pytest.mark.modes(PLAIN_USER, SUBREAPER)
def test_who_may_ask(pyinit: Start) -> None:
    """Root and pyinit's own uid are answered; anybody else is told that, and so is the log, once."""
    run = serving(pyinit)
    assert ctl(run, "health").status == 0
    if run.mode == PLAIN_USER:
        assert ctl(run, "health", uid=USER).status == 0
    for _ in range(2):
        refused = ctl(run, "stop", uid=STRANGER)
        assert refused.status == 3
        why = "runs as uid 1000, and answers" if run.mode == PLAIN_USER else "does not answer you: only uid 0 and uid"
        assert f"pyinit (PID {run.pid}) {why}" in refused.err
    run.wait_for(REFUSED)
    assert run.one(REFUSED)["pyinit.control.client.uid"] == STRANGER
    assert not run.of(STOPPING)
    run.stop()


@pytest.mark.modes(PID1)
def test_another_pid_namespace_above(pyinit: Start) -> None:
    """Who shares the network, and not the PID namespace, is not answered, though it is root and knows the name."""
    run = serving(pyinit)
    number = os.readlink(f"/proc/{run.pid}/ns/pid").strip("pid:[]")  # noqa: PTH115  # it is no path
    assert answer_to(f"\0pyinit/{number}/1".encode())["reason"] == "it is outside of the PID namespace"
    run.wait_for(REFUSED)
    assert ctl(run, "health").status == 0
    run.stop()


@pytest.mark.modes(SUBREAPER)
def test_another_pid_namespace_below(pyinit: Start) -> None:
    """Who has a PID namespace of its own below ours is not answered either, and does not find us by itself."""
    run = serving(pyinit)
    nested = ["unshare", "--pid", "--fork", "--mount-proc"]
    hello = f"""
import socket
s = socket.socket(socket.AF_UNIX)
s.connect({address(run.pid)!r})
print(s.recv(4096).decode())
"""
    said = beside(*nested, sys.executable, "-c", hello)
    assert parse(said.out)["reason"] == "it is in a PID namespace of its own"
    absent = beside(*nested, command(), "status")
    assert absent.status == 3
    run.wait_for(REFUSED)
    run.stop()


def answer_to(name: bytes) -> dict[str, object]:
    """Connect to an address; return the answer that comes unasked."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(DEADLINE_S)
        client.connect(name)
        return parse(client.makefile("rb").readline())


@pytest.mark.modes(SUBREAPER)
def test_squatter(mode: str) -> None:
    """Somebody else has the name: the run has one record more, and pyinitctl is not fooled."""
    del mode
    held = f"""
import os, socket
main, ready = os.pipe(), os.pipe()
squatter = os.fork()
if squatter == 0:
    os.setsid()
    s = socket.socket(socket.AF_UNIX)
    number = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    s.bind(f"\\0pyinit/{{number}}/{{os.getppid()}}".encode())
    s.listen()
    print("squats", os.getpid(), flush=True)
    os.write(ready[1], b"x")
    while True:
        try:
            s.accept()[0].send(b'{{"v":1,"ok":true,"live":true,"ready":true}}\\n')
        except OSError:
            pass
os.read(ready[0], 1)
os.execv({command().removesuffix("ctl")!r}, ["pyinit", "--log-format", "json", "--", {program("serve")!r}, "0"])
"""
    (reading, writing), (log_r, log_w) = os.pipe(), os.pipe()
    squatted = subprocess.Popen([sys.executable, "-c", held], stdout=writing, stderr=log_w)
    os.close(writing)
    os.close(log_w)
    out, log = Lines(reading), Lines(log_r)
    squatter = int(out.wait("squats")[0])
    out.wait("ready")
    log.wait_until(lambda lines: any(DEGRADED in line for line in lines), "the record")
    fooled = beside(command(), "--pid", str(squatted.pid), "health")
    squatted.terminate()
    assert squatted.wait(DEADLINE_S) == 0
    assert fooled.status == 1
    assert f"PID {squatted.pid} is not asked: PID {squatter}, uid 0, has taken the name" in fooled.err
    records = [schema.parse(line) for line in log.lines]
    degraded = [record for record in records if record["event.name"] == DEGRADED]
    assert [record["pyinit.reason"] for record in degraded] == ["somebody else has taken its name"]


def test_no_control(pyinit: Start) -> None:
    """With --no-control, or its variable, there is no socket; nothing else is different."""
    run = serving(pyinit, "--no-control")
    absent = ctl(run, "status")
    assert absent.status == 3
    assert "has no control socket here" in absent.err or "no pyinit of yours" in absent.err
    run.stop()
    run = serving(pyinit, extra_env={"PYINIT_CONTROL": "no"})
    assert ctl(run, "health").status == 1
    run.stop()
    assert not run.of(DEGRADED)


@pytest.mark.modes(SUBREAPER)
def test_found_by_itself(pyinit: Start) -> None:
    """Without --pid it is PID 1, else the only one of this user, else a question; PYINITCTL_PID names one, too."""
    run = pyinit(program("serve"), "0", stage=[])
    run.out.wait("ready")
    run.wait_for(STARTED)
    first = beside(command(), "health", env={"PYINITCTL_PID": str(run.pid)})
    assert first.status == 0
    other = pyinit(program("serve"), "0")
    other.out.wait("ready")
    other.wait_for(STARTED)
    asked = beside(command(), "status")
    if asked.status:  # where the test runner itself is not below a pyinit that is PID 1
        assert "say which with --pid" in asked.err
        assert str(run.pid) in asked.err
    run.stop()
    other.stop()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no command given; write for example pyinitctl status, or pyinitctl --help"),
        (["statsu"], "unknown command 'statsu'; did you mean status?"),
        (["status", "--jsn"], "unknown option '--jsn'; did you mean --json?"),
        (["status", "--format", "xml"], "--format: 'xml' is none of its values; write text or json or openmetrics"),
        (["status", "now"], "status: too many operands; write pyinitctl status [OPTIONS]"),
        (["wait"], "wait: something is missing; write pyinitctl wait --ready, --handover or --gone"),
        (["wait", "--ready", "--timeout", "soon"], "--timeout: 'soon' is not a duration; write for example 8, 8s"),
        (["signal"], "signal: something is missing; write pyinitctl signal SIG [service|main|tree|PID]"),
        (["signal", "TREM"], "signal: 'TREM' is not a signal; write a name such as TERM"),
        (["signal", "TERM", "all"], "signal: 'all' is no PID; write service, main, tree or a PID"),
        (["log-level", "loud"], "log-level: 'loud' is none of debug, info, warning, error"),
        (["health", "redy"], "health: 'redy' is none of ready, live (did you mean ready?)"),
        (["--pid", "x", "status"], "--pid: 'x' is no PID; write a number, as ps shows it"),
        (["--pid"], "--pid needs a value; write --pid PID"),
    ],
)
def test_wrong_command_lines(words: list[str], message: str) -> None:
    """One line that says what is wrong and what to write, and status 125."""
    said = beside(command(), *words)
    assert (said.status, said.out) == (125, "")
    assert said.err.startswith(f"pyinitctl: {message}")
    assert said.err.count("\n") == 1


def test_isolated() -> None:
    """The container's PYTHON* variables and modules that lie around change nothing."""
    poisoned = {
        "PYTHONHOME": "/nowhere",
        "PYTHONPATH": "/nowhere",
        "PYTHONSTARTUP": "/nowhere",
        "PYTHONWARNINGS": "error",
    }
    for words in (["--version"], ["--help"]):
        plain: Said = beside(command(), *words)
        assert plain.status == 0
        assert beside(command(), *words, env=poisoned).out == plain.out
    assert beside(command(), "--pid", "1x", env=poisoned).status == 125


@pytest.mark.invariant(7)
@pytest.mark.modes(SUBREAPER)
def test_idle_with_clients(pyinit: Start) -> None:
    """No wake-ups: with the socket open, after clients have come and gone, and while one waits and one is silent."""
    run = serving(pyinit)
    run.wait_for(ADOPTED)
    assert ctl(run, "status").status == 0
    with Talk(run.pid) as silent, Talk(run.pid) as follower:
        assert silent.ask("health")["ok"]
        assert follower.ask("events", follow=True)["ok"]
        silent.send(b'{"v":1,"request":"wait","until":"gone')
        run.assert_idle()
    run.assert_idle()
    run.stop()


def test_stopping_is_seen(pyinit: Start) -> None:
    """While the run is stopped its status says so, and when SIGKILL comes."""
    run = pyinit(program("ignore_term"), options=["--grace", "30s"])
    run.out.wait("ready")
    run.wait_for(STARTED)
    run.signal(signal.SIGTERM)
    run.wait_for(STOPPING)
    told = status_of(run)
    assert (told["phase"], told["live"], told["ready"]) == ("stopping", True, False)
    assert 0 < told["kill_in_s"] <= 30  # type: ignore[operator]
    assert "SIGKILL in" in ctl(run, "status").out
    assert ctl(run, "health").status == 1
    assert ctl(run, "stop").status == 0
    assert len(run.of(STOPPING)) == 1
    ctl(run, "signal", "KILL", "main")
    assert run.finish() == 128 + signal.SIGKILL


def test_json_is_one_line(pyinit: Start) -> None:
    """Names of processes are free text: nothing of them reaches the terminal as it is."""
    run = pyinit(program("rename"), "\x1b[31mred\n", program("serve"), "0")
    run.out.wait("ready")
    run.wait_for(STARTED)
    said = ctl(run, "status", "--json")
    assert said.out.strip().count("\n") == 0
    assert json.loads(said.out)["main"]["alive"] is True
    assert "\x1b" not in ctl(run, "status").out
    run.stop()
