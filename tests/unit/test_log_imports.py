"""What the log loads: the parts of structlog that a record needs, and no more."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from pyinit import log
from pyinit.log import loading, render

PROGRAM = """
import sys
sys.path[:] = {path!r}
from pyinit.log import open_log
log = open_log(1, format={format!r}, level="debug")
loaded = sorted(sys.modules)
log.report("log.dropped", {{"count": 1}})
log.close(1)
import structlog, structlog.dev, structlog.tracebacks
assert structlog.get_logger and structlog.tracebacks.ExceptionDictTransformer()
import logging, traceback
assert logging.getLogger and traceback.print_exc
print(loaded)
"""

# Each of these costs a millisecond or more, or memory for as long as pyinit lives.
LIGHT = {
    "collections",
    "contextlib",
    "enum",
    "functools",
    "json",
    "operator",
    "os",
    "re",
    "types",
    "typing",
    "warnings",
}
HEAVY = {
    "asyncio",
    "ast",
    "dataclasses",
    "datetime",
    "inspect",
    "logging",
    "pathlib",
    "shutil",
    "socket",
    "subprocess",
    "threading",
    "tokenize",
    "traceback",
}


def run(how: str) -> tuple[str, set[str]]:
    """Open a log in a fresh interpreter; return its first line and the modules that were loaded for it."""
    program = PROGRAM.format(path=sys.path, format=how)
    done = subprocess.run([sys.executable, "-ISc", program], capture_output=True, text=True, check=True)
    line, _, loaded = done.stdout.partition("\n")
    return line, set(json.loads(loaded.replace("'", '"')))


def test_only_the_parts_that_a_record_needs() -> None:
    """A JSON log loads no asyncio, logging, dataclasses and so on; who imports structlog later gets all of it."""
    line, loaded = run("json")
    assert json.loads(line)["event.name"] == "log.dropped"
    assert not (HEAVY | LIGHT) & loaded
    assert "structlog" not in loaded


def test_console_needs_little_more() -> None:
    """structlog.dev comes with the console only, and asyncio not even then."""
    line, loaded = run("console")
    assert "log.dropped" in line
    assert not {"asyncio", "socket", "subprocess"} & loaded


def test_a_structlog_that_needs_what_is_hollow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is what it seems in a part of structlog, that part is loaded with what it imports."""
    stand_ins = []

    def fails(*_: Any) -> Any:
        raise ValueError

    class Parts(loading._OnlyParts):
        def __init__(self, kind: Any) -> None:
            stand_ins.append(kind)
            super().__init__(kind)
            if kind is loading._Later:
                monkeypatch.undo()

    for name in [name for name in sys.modules if name.partition(".")[0] == "structlog"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(loading, "_try", fails)
    monkeypatch.setattr(loading, "_OnlyParts", Parts)
    bound_logger, make_renderer = loading.load_structlog(console=False)
    assert stand_ins == [loading._Hollow, loading._Later]
    assert (bound_logger.__name__, make_renderer.__name__) == ("BoundLoggerBase", "JSONRenderer")


def test_a_structlog_of_another_make(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the parts can't be imported one by one, all of structlog is, and renders the same records."""

    def fails(**_: Any) -> Any:
        raise AttributeError

    monkeypatch.setattr(loading, "_import_parts", fails)
    renderer = render.Renderer(console=False)
    assert renderer.problem is None
    record = json.loads(renderer.render({"severity": "info", "message": "x", "event.name": "y"}))
    assert list(record) == ["timestamp", "severity", "message", "event.name", "pyinit.schema"]


@pytest.mark.invariant(6)
@pytest.mark.parametrize("how", ["json", "console"])
def test_without_structlog(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, how: Any) -> None:
    """Where structlog can't be loaded at all, pyinit still has a log, and says so in it."""

    def fails(**_: Any) -> Any:
        raise ModuleNotFoundError(name="structlog")

    monkeypatch.setattr(render, "load_structlog", fails)
    opened = log.open_log(path=str(tmp_path / "log"), format=how)
    opened.report("stop.repeated", {"signal": 15})
    opened.close(0)
    first, second = (tmp_path / "log").read_text().splitlines()
    assert "structlog does not work here" in first
    assert "SIGTERM asks for a stop again" in second
    if how == "json":
        assert json.loads(first)["event.name"] == "pyinit.degraded"


def test_an_encoder_of_another_make(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the accelerator of the json module the lines are the same."""
    record = {"a": ["\xe9\x7f\x1b", 1, 0.5, None, True]}
    fast = render.make_encoder()(record)
    monkeypatch.setattr("_json.make_encoder", None)
    assert render.make_encoder()(record) == fast == '{"a":["\\u00e9\\u007f\\u001b",1,0.5,null,true]}'
