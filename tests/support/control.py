"""Talks to pyinit's control socket: by pyinitctl as a person does, and by hand as anybody may."""

from __future__ import annotations

import functools
import importlib.util
import json
import socket
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import jsonschema_rs

from support import procs
from support import run as runs
from support.programs import program
from support.waiting import DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.run import Run

Answer = dict[str, Any]


@functools.cache
def validator() -> jsonschema_rs.Draft202012Validator:
    """Return the validator of the answers, from the installed package."""
    spec = importlib.util.find_spec("pyinit")
    assert spec is not None
    assert spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0], "control", "control-v1.schema.json")
    return jsonschema_rs.Draft202012Validator(json.loads(path.read_text()))


def parse(line: bytes | str) -> Answer:
    """Read one line that pyinit wrote to a client; AssertionError when the schema refuses it."""
    answer: Answer = json.loads(line)
    problems = [error.message for error in validator().iter_errors(answer)]
    assert not problems, f"the schema refuses {line!r}: {problems}"
    return answer


def address(pid: int) -> bytes:
    """Return where the pyinit with this PID listens, as docs/control.md says."""
    number = str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    return f"\0pyinit/{number}/{pid}".encode()


class Talk:
    """A connection to the control socket of a pyinit in the test runner's PID namespace."""

    def __init__(self, pid: int) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Not by settimeout(): a socket that does not block is turned away where others wait in the queue.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(DEADLINE_S), 0))
        try:
            self.socket.connect(address(pid))
            self.socket.settimeout(DEADLINE_S)
        except OSError:
            self.socket.close()
            raise
        self._data = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def line(self) -> bytes:
        """Return the next line; empty at the end."""
        while b"\n" not in self._data:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                return b""
            self._data += data
        line, _, self._data = self._data.partition(b"\n")
        return line

    def ask(self, kind: str, **members: object) -> Answer:
        """Send a request and return its answer, checked by the schema."""
        self.send(json.dumps({"v": 1, "request": kind, **members}).encode() + b"\n")
        return parse(self.line())


def command() -> str:
    """Return the pyinitctl that was installed beside the pyinit under test."""
    return str(Path(runs.pyinit_command()).parent / "pyinitctl")


class Said:
    """What a pyinitctl has written, and how it ended."""

    def __init__(self, status: int, out: str, err: str = "") -> None:
        self.status = status
        self.out = out
        self.err = err


def ctl(run: Run, *words: str, uid: int | None = None, env: Mapping[str, str] | None = None) -> Said:
    """Run pyinitctl for a run: inside its PID namespace as `docker exec` does, or beside it with --pid.

    Inside, the end of pyinit is that of pyinitctl, too: then its status is 137.
    """
    if run.mode in {runs.PID1, runs.PID1_USER}:
        owner = int(procs.status_field(run.pid, "Uid").split()[0]) if uid is None else uid
        return beside(program("join"), str(run.pid), str(owner), command(), *words, env=env)
    return beside(command(), "--pid", str(run.pid), *words, uid=uid, env=env)


def beside(*words: str, uid: int | None = None, env: Mapping[str, str] | None = None) -> Said:
    """Run a command in the test runner's own namespaces."""
    done = subprocess.run(
        words,
        capture_output=True,
        check=False,
        text=True,
        user=uid,
        group=uid,
        extra_groups=[] if uid else None,
        env={**runs.plain_environment(), **(env or {})},
        timeout=DEADLINE_S * 2,
    )
    return Said(done.returncode, done.stdout, done.stderr)
