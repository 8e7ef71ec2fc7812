"""Checks lines of pyinit's log against the JSON Schema that is part of the installed package."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import re
from pathlib import Path
from typing import Any

import jsonschema_rs

Record = dict[str, Any]

MAX_RECORD_BYTES = 4096
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@functools.cache
def validator() -> jsonschema_rs.Draft202012Validator:
    """Return the validator of log-v1; PYINIT_SCHEMA names another file than that of the installed package.

    A record takes the one in Python 10 ms and more, for its long list of events: half of the time of all system tests.
    """
    path = os.environ.get("PYINIT_SCHEMA")
    if path is None:
        spec = importlib.util.find_spec("pyinit")
        assert spec is not None, "pyinit is not installed beside the test runner"
        assert spec.submodule_search_locations
        path = str(Path(spec.submodule_search_locations[0], "log", "schema", "log-v1.schema.json"))
    return jsonschema_rs.Draft202012Validator(json.loads(Path(path).read_text()))


def parse(line: str) -> Record:
    """One line of the log as a record; AssertionError when it is not one, with every reason."""
    assert len(line.encode(errors="surrogateescape")) < MAX_RECORD_BYTES, f"a record is longer than PIPE_BUF: {line}"
    line.encode()  # UTF-8, whatever the names of processes are
    try:
        record = json.loads(line)
    except ValueError as error:
        message = f"not a line of JSON ({error}): {line!r}"
        raise AssertionError(message) from None
    problems = [
        f"{'.'.join(map(str, error.instance_path))}: {error.message}" for error in validator().iter_errors(record)
    ]
    assert not problems, f"the schema refuses {line}:\n" + "\n".join(problems)
    assert TIMESTAMP.fullmatch(record["timestamp"]), f"not RFC 3339 in UTC with microseconds: {record['timestamp']}"
    assert isinstance(record, dict)
    return record
