"""Check what the documents say: links lead somewhere, options are real, nobody installs somebody else's program.

Needs no network: an address outside of this repository is checked for its form only.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pyinit import options

ROOT = Path(__file__).resolve().parent.parent

# The name on PyPI without "-container" belongs to somebody else. (Put together here so that this file itself passes.)
WRONG_INSTALL = re.compile(r"pip3?\s+install\s+(?:-\S+\s+)*" + "pyinit" + r"(?![\w.-])", re.IGNORECASE)

LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]*)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^\s{0,3}\[[^\]^]+\]:\s+<?(\S+?)>?\s*$", re.MULTILINE)
FENCE = re.compile(r"^(\s*)(```+|~~~+)[^\n]*\n.*?^\1\2\s*$", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"(`+).*?\1")
HELP = re.compile(r"^```text\n(Usage: pyinit \[OPTIONS\].*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$", re.MULTILINE)
# What people copy: the command line of an image, and a line of a shell.
ENTRYPOINT = re.compile(r"ENTRYPOINT\s+(\[\"pyinit\"[^\]]*\])")
SHELL_LINE = re.compile(r"^(?:    )?pyinit (-.*)$", re.MULTILINE)
EXPLICIT_ANCHOR = re.compile(r"<a\s+(?:id|name)=\"([^\"]+)\"")


def tracked_files() -> list[Path]:
    """List what is, or is about to be, part of the repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    return sorted(path for name in names.split("\0") if name and (path := ROOT / name).is_file())


def anchors_of(text: str) -> set[str]:
    """Give the anchors that a forge makes from the headings of a Markdown text."""
    anchors: set[str] = set(EXPLICIT_ANCHOR.findall(text))
    for heading in HEADING.findall(FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")
        number = 0
        anchor = slug
        while anchor in anchors:
            number += 1
            anchor = f"{slug}-{number}"
        anchors.add(anchor)
    return anchors


def outside_problem(scheme: str, netloc: str) -> str | None:
    """Say what is wrong with an address outside of this repository, or None."""
    if scheme in {"http", "https"}:
        return None if "." in netloc else "not an address"
    return None if scheme == "mailto" else "neither a file of this repository nor an address on the web"


def inside_problem(page: Path, link: str, anchor: str) -> str | None:
    """Say what is wrong with a link to a file of this repository, or None."""
    path = (page.parent / link).resolve() if link else page
    if link.startswith("/") or not path.is_relative_to(ROOT):
        return "leads out of the repository"
    if not path.exists():
        return "there is no such file"
    if anchor and path.suffix == ".md" and anchor not in anchors_of(path.read_text("utf-8")):
        return f"{path.relative_to(ROOT)} has no heading for #{anchor}"
    return None


def check_page(page: Path) -> list[str]:
    """Check every link of one Markdown page."""
    text = CODE_SPAN.sub("", FENCE.sub("", page.read_text("utf-8")))
    problems = []
    for target in [*LINK.findall(text), *REFERENCE.findall(text)]:
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            problem = outside_problem(parts.scheme, parts.netloc)
        else:
            problem = inside_problem(page, unquote(parts.path), parts.fragment)
        if problem:
            problems.append(f"{page.relative_to(ROOT)}: link to {target!r}: {problem}")
    return problems


def check_wording(path: Path) -> list[str]:
    """Check one text file for what must stand nowhere."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        return []
    found = [(text.count("\n", 0, match.start()) + 1, match.group()) for match in WRONG_INSTALL.finditer(text)]
    return [f"{path.relative_to(ROOT)}:{line}: {words!r} is somebody else's program" for line, words in found]


def check_options(page: Path) -> list[str]:
    """Check that a page which shows the options shows what the installed pyinit says about itself."""
    shown = HELP.findall(page.read_text("utf-8"))
    if not shown:
        return []
    command = str(Path(sys.executable).with_name("pyinit"))
    environment = os.environ | {"COLUMNS": "80"}
    said = [
        subprocess.run([command, option], env=environment, check=True, capture_output=True, text=True).stdout
        for option in ("--help", "--help-all")
    ]
    wrong = [text for text in shown if not any(text in whole for whole in said)]
    return [f"{page.relative_to(ROOT)}: the options are not those of pyinit --help or --help-all" for _ in wrong]


def check_command_lines(path: Path) -> list[str]:
    """Check that pyinit takes the options of the command lines that a Dockerfile or a page gives to copy."""
    if path.suffix != ".md" and not path.name.startswith("Dockerfile"):
        return []
    text = path.read_text("utf-8").replace("\\\n", "")
    shown = [json.loads(words)[1:] for words in ENTRYPOINT.findall(text)]
    # One that is said to end with 125 is wrong on purpose.
    shown += [shlex.split(line, comments=True) for line in SHELL_LINE.findall(text) if not line.endswith("# 125")]
    problems = []
    for words in shown:
        try:
            options.parse([*words, "true"], {})
        except options.UsageError as error:
            problems.append(f"{path.relative_to(ROOT)}: pyinit {shlex.join(words)}: {error}")
    return problems


def main() -> int:
    """Check all files; print the problems; give the exit status."""
    files = tracked_files()
    pages = [path for path in files if path.suffix == ".md"]
    problems = [problem for path in files for problem in check_wording(path)]
    problems += [problem for path in files for problem in check_command_lines(path)]
    problems += [problem for page in pages for problem in [*check_page(page), *check_options(page)]]
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"documents: {len(pages)} pages, {len(files)} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
