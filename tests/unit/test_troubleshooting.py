"""The page about log lines forgets none: events and features are held against what the log can say."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "troubleshooting.md").read_text("utf-8")
SOURCES = ROOT / "src" / "pyinit"
ROW = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)


def rows(first: str) -> set[str]:
    """Return the first cells of the tables whose first column has this head."""
    tables = re.findall(rf"^\| {re.escape(first)} \|.*\n(?:\|.*\n)+", PAGE, re.MULTILINE)
    assert tables
    return {cell for table in tables for cell in ROW.findall(table)} - {first.strip("`")}


def features() -> set[str]:
    """Return what `pyinit.degraded` can name, from the places that report it."""
    found = set()
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_lack":
                found.add(_constant(node.args[0]))
            if isinstance(node, ast.Dict):
                keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
                if "feature" in keys and {"reason", "effect"} <= set(keys):
                    found.add(_constant(node.values[keys.index("feature")]))
    return found - {""}


def _constant(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    # `_lack` itself passes on what it is given; anything else could not be held against the page.
    assert isinstance(node, ast.Name), f"the name of a feature is put together: {ast.dump(node)}"
    assert node.id == "feature", f"the name of a feature is {node.id}"
    return ""


def test_every_event_is_explained() -> None:
    """The page has a row for each event of the schema, and for nothing else."""
    schema = json.loads((SOURCES / "log" / "schema" / "log-v1.schema.json").read_text("utf-8"))
    events = {branch["$ref"].partition("event:")[2] for branch in schema["oneOf"]}
    assert rows("event") == events


def test_every_missing_feature_is_explained() -> None:
    """The page has a row for each thing that pyinit can do without, and for nothing else."""
    assert rows("`pyinit.feature`") == features()


def test_every_status_of_pyinits_own_is_explained() -> None:
    """The page has rows for 125, 126 and 127."""
    assert set(re.findall(r"^\| (12\d) \|", PAGE, re.MULTILINE)) == {"125", "126", "127"}
