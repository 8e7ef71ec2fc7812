"""What people copy from docker/ does what pyinit promises, with the software as Debian ships it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import pytest

from container.engine import ask, running

if TYPE_CHECKING:
    from collections.abc import Callable

    from container.engine import Container, Images
    from support.schema import Record


class Example(NamedTuple):
    """One of the examples.

    Attributes:
        image: its image.
        successors: the names that the processes which main leaves behind may have at that moment: a process that is
            just being started still has the name of what starts it.
        answers: fails unless the service does its work.
        pid_file: where the process that is killed has its PID.
        command: another command than that of the Dockerfile.
        slow: it may take more than a third of the grace to stop, so that all that is left is asked to.

    """

    image: str
    successors: list[set[str]]
    answers: Callable[[Container], None]
    pid_file: str
    command: tuple[str, ...] = ()
    slow: bool = False


def http_answers(port: int, text: str) -> Callable[[Container], None]:
    """Ask a web server for its first page."""

    def answers(container: Container) -> None:
        answer = ask(container, port)
        assert answer.startswith("HTTP/1.1 200"), answer
        assert text in answer

    return answers


def mail_arrives(container: Container) -> None:
    """Wait for the mail that cron sends through Postfix for the job of the example; see that Postfix takes more."""
    wait = 'until grep -qs "cron and Postfix are up" /var/mail/nobody; do sleep 0.05; done'
    container.execute("timeout", "40", "sh", "-c", wait)
    assert ask(container, 25, r"QUIT\r\n").startswith("220 mail.example ESMTP Postfix")


JAVA = [{"java", "nohup", "service.sh", "catalina.sh"}]
# After so long `docker stop` itself kills.
DOCKERS_PATIENCE_S = 10
TOMCAT = http_answers(8080, "Tomcat is up")

EXAMPLES = {
    "nginx": Example("nginx", [{"nginx"}], http_answers(80, "Welcome to nginx"), "/run/nginx.pid"),
    "apache": Example("apache", [{"apache2"}], http_answers(80, "Apache2"), "/run/apache2/apache2.pid"),
    "postfix": Example("postfix-cron", [{"master"}, {"cron"}], mail_arrives, "/var/spool/postfix/pid/master.pid"),
    "cron": Example("postfix-cron", [{"master"}, {"cron"}], mail_arrives, "/run/crond.pid"),
    "java": Example("java", JAVA, TOMCAT, "/tmp/tomcat.pid", slow=True),
    "catalina.sh": Example(
        "java", JAVA, TOMCAT, "/tmp/tomcat.pid", ("/usr/share/tomcat10/bin/catalina.sh", "start"), slow=True
    ),
}
every_example = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)


def seconds_between(earlier: Record, later: Record) -> float:
    """Return the time between two records in seconds."""
    first, second = (datetime.fromisoformat(record["timestamp"]) for record in (earlier, later))
    return (second - first).total_seconds()


def check_handover(container: Container, example: Example) -> None:
    """Wait until main has ended, and check what carries on."""
    handover = container.wait_for("service.handover")
    names = [successor.partition("[")[0] for successor in handover["pyinit.successors"]]
    assert len(names) == len(example.successors)
    for name, possible in zip(names, example.successors, strict=True):
        assert name in possible


@every_example
def test_it_stays_up_answers_and_stops_at_once(images: Images, example: Example) -> None:
    """The container outlives the launcher, serves, and `docker stop` ends all of it with nothing to kill, status 0."""
    with running(images[f"pyinit-example-{example.image}"], *example.command) as container:
        check_handover(container, example)
        example.answers(container)
        assert container.is_running()
        status, took_s = container.stop()
        assert status == 0
        assert took_s < DOCKERS_PATIENCE_S
        (begun,), (exited,) = container.events("stop.begun"), container.events("pyinit.exited")
        assert begun["pyinit.signal.name"] == "SIGTERM"
        assert exited["pyinit.exit.status"] == 0
        assert exited["pyinit.totals.killed"] == 0
        assert example.slow or not container.events("stop.escalated")
        assert container.records()[-1] == exited, "nothing is told after the last word"


@every_example
def test_a_killed_daemon_ends_the_container_with_137(images: Images, example: Example) -> None:
    """SIGKILL to the daemon, from inside, is noticed, and gives 128 + 9.

    What it leaves behind has the grace: Apache's workers do not listen to SIGTERM when their parent is gone.
    """
    grace = ("--env", "PYINIT_GRACE=2s")
    with running(images[f"pyinit-example-{example.image}"], *example.command, options=grace) as container:
        check_handover(container, example)
        # The PID file may come later than the handover. The clock of a container is ours.
        script = 'until [ -s "$0" ]; do sleep 0.05; done; date --utc +%FT%T.%6NZ; kill -KILL "$(cat "$0")"'
        killed = container.execute("timeout", "40", "sh", "-c", script, example.pid_file).strip()
        assert container.wait() == 137
        (begun,), (exited,) = container.events("stop.begun"), container.events("pyinit.exited")
        assert begun["pyinit.exit.signal"] == "SIGKILL"
        assert exited["pyinit.exit.status"] == 137
        assert seconds_between({"timestamp": killed}, begun) >= 0


def test_half_a_service_is_no_service(images: Images) -> None:
    """When cron crashes, Postfix is stopped, and the status is that of the crash."""
    with running(images["pyinit-example-postfix-cron"]) as container:
        check_handover(container, EXAMPLES["cron"])
        container.execute("sh", "-c", "kill -SEGV $(cat /run/crond.pid)")
        assert container.wait() == 139
        (begun,) = container.events("stop.begun")
        assert begun["pyinit.stop.reason"] == "successor"
        assert begun["process.executable.name"] == "cron"
        assert container.events("pyinit.exited")[0]["pyinit.totals.killed"] == 0


def test_as_an_ordinary_user_read_only_and_without_capabilities(images: Images) -> None:
    """Nothing that pyinit does needs root, a capability, or a file that can be written."""
    hardening = ("--user", "1000:1000", "--read-only", "--tmpfs", "/tmp:mode=1777", "--cap-drop", "ALL")
    options = (*hardening, "--security-opt", "no-new-privileges")
    command = ("nginx", "-c", "/etc/nginx/unprivileged.conf")
    with running(images["pyinit-example-nginx"], *command, options=options) as container:
        check_handover(container, EXAMPLES["nginx"])
        http_answers(8080, "Welcome to nginx")(container)
        status = container.execute("cat", "/proc/1/status")
        assert "NoNewPrivs:\t1" in status
        assert "CapBnd:\t0000000000000000" in status
        assert "Seccomp:\t2" in status, "the engine's default seccomp profile is on"
        assert "Uid:\t1000\t1000\t1000\t1000" in status
        assert container.stop()[0] == 0
        assert container.events("pyinit.degraded") == []
        assert container.events("pyinit.exited")[0]["pyinit.totals.killed"] == 0


def foreign(container: Container) -> list[Record]:
    """Return the records of foreign orphans."""
    return [record for record in container.records() if record.get("pyinit.foreign")]


def wait_for_orphan(container: Container) -> None:
    """Wait for a sleep whose parent is PID 1. No event tells of an orphan, pyinit neither: look until it is there."""
    script = 'until grep -qs "(sleep) . 1 " /proc/[0-9]*/stat; do sleep 0.05; done'
    container.execute("timeout", "20", "sh", "-c", script)


def test_what_docker_exec_leaves_behind_is_foreign(images: Images) -> None:
    """An orphan of `docker exec` is told at debug only, does not decide, and does not hold the container open."""
    debug = ("--env", "PYINIT_LOG_LEVEL=debug")
    with running(images["pyinit-example-nginx"], options=debug) as container:
        check_handover(container, EXAMPLES["nginx"])
        container.execute("sh", "-c", "sleep 1000 </dev/null >/dev/null 2>&1 & exit 0")
        wait_for_orphan(container)
        assert container.is_running()
        container.execute("sh", "-c", "kill -QUIT $(cat /run/nginx.pid)")  # nginx ends by itself, with status 0
        assert container.wait() == 0
        (adopted, reaped) = foreign(container)
        assert (adopted["event.name"], reaped["event.name"]) == ("process.adopted", "process.reaped")
        assert adopted["process.pid"] == reaped["process.pid"]
        assert reaped["process.executable.name"] == "sleep"
        assert adopted["pyinit.role"] == reaped["pyinit.role"] == "foreign"
        assert adopted["severity"] == reaped["severity"] == "debug"
        assert reaped["pyinit.exit.signal"] == "SIGTERM"


def test_foreign_orphans_are_not_told_at_the_default_level(images: Images) -> None:
    """A health check that leaves something behind every few seconds does not fill the log."""
    with running(images["pyinit-example-nginx"]) as container:
        check_handover(container, EXAMPLES["nginx"])
        container.execute("sh", "-c", "exec </dev/null >/dev/null 2>&1; sleep 0.01 & sleep 1000 & exit 0")
        wait_for_orphan(container)
        assert container.stop()[0] == 0
        assert foreign(container) == []
        assert container.events("pyinit.exited")[0]["pyinit.totals.reaped"] >= 4
