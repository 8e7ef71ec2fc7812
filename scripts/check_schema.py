"""Check the log schema: it is valid itself, and every record that a document shows is valid by it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = ROOT / "src" / "pyinit" / "log" / "schema"
RECORD = re.compile(r"^\s*(\{.*\"event\.name\".*\})\s*$", re.MULTILINE)


def load_schemas() -> dict[str, jsonschema.Draft202012Validator]:
    """Read the schemas that the package ships, each checked against the standard that it names."""
    validators = {}
    for path in sorted(SCHEMAS.glob("*.json")):
        schema = json.loads(path.read_text("utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        validators[path.name] = jsonschema.Draft202012Validator(schema)
    return validators


def check_page(page: Path, validators: dict[str, jsonschema.Draft202012Validator]) -> tuple[int, list[str]]:
    """Check the records on one page; give how many there are, and what is wrong with them."""
    problems = []
    records = RECORD.findall(page.read_text("utf-8"))
    for text in records:
        where = f"{page.relative_to(ROOT)}: {text[:60]}…"
        try:
            record = json.loads(text)
        except ValueError as error:
            problems.append(f"{where}: {error}")
            continue
        errors = [[error.message for error in validator.iter_errors(record)] for validator in validators.values()]
        if all(errors):  # valid by none of them
            problems.append(f"{where}: {min(errors, key=len)[0]}")
    return len(records), problems


def main() -> int:
    """Check schemas and pages; print the problems; give the exit status."""
    validators = load_schemas()
    problems = [] if validators else [f"there is no schema in {SCHEMAS.relative_to(ROOT)}"]
    shown = 0
    for page in [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("docker/**/*.md"))]:
        count, found = check_page(page, validators)
        shown += count
        problems += found
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"schema: {len(validators)} schemas, {shown} records in documents, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
