"""The JSON Schema files of the log records, and where they are. pyinit itself never reads them."""

from __future__ import annotations

import json
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FILES = {"otel": "log-v1.schema.json", "ecs": "log-ecs-v1.schema.json"}


def path(names: str = "otel") -> Path:
    """Return the path of the schema of the records with the names "otel" or "ecs" (as `--log-schema`)."""
    return Path(__file__).with_name(_FILES[names])


def load(names: str = "otel") -> dict[str, Any]:
    """Return that schema, parsed."""
    schema: dict[str, Any] = json.loads(path(names).read_text(encoding="utf-8"))
    return schema
