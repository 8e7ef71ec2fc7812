"""Reads the how-to pages: which blocks are files, which are run, and what these are to print.

A page's fenced blocks say by their info string what they are; a person sees no more of it than the colours:

    ```yaml compose.yaml       the file of that name, beside the page's other files
    ```sh                      commands, run by `sh -eu` in the folder of those files, in the page's order
    ```sh needs=kubectl        the same, where `kubectl` answers
    ```text                    right behind commands: what they print; three dots stand for anything

Pure: runs nothing, reads no file.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from markdown_it import MarkdownIt

FILE = "file"
COMMANDS = "commands"
OUTPUT = "output"

SHELL = "sh"
OUTPUT_LANGUAGES = {"text", "json"}
ANYTHING = "..."

# What differs from run to run, and what is compared instead.
CHANGING = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"), "<time>"),
    (re.compile(r"\[\d+\]"), "[<pid>]"),
    (re.compile(r"(?<!as )\bPID \d+"), "PID <pid>"),  # "as PID 1" is no accident
    (re.compile(r"(ready|leaves with status \d+) after [\d.]+ s\b"), r"\1 after <seconds> s"),
    (re.compile(r"\d+\.\d+ s\b"), "<seconds> s"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,64}\b"), "<id>"),
)


class PageError(Exception):
    """A page has a block that is neither a file, nor run, nor compared."""


class Block(NamedTuple):
    """A fenced block of a page.

    Attributes:
        kind: FILE, COMMANDS or OUTPUT.
        line: where it begins in the page, from 1.
        text: what is in it, with its last newline.
        name: of a file: its name, below the page's folder.
        needs: of commands: the program that has to answer.

    """

    kind: str
    line: int
    text: str
    name: str = ""
    needs: str = ""


class Step(NamedTuple):
    """Commands of a page, and what they are to print; None: that is not compared."""

    commands: Block
    output: Block | None


class Page(NamedTuple):
    """What a page gives to copy."""

    files: dict[str, str]
    steps: list[Step]


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page of Markdown, in order. Raises PageError for one that is of no kind."""
    found: list[Block] = []
    lines = text.splitlines()
    for token in MarkdownIt("commonmark").parse(text):
        if token.type == "code_block":
            raise PageError(f"line {_line(token.map)}: a block without a fence is not run")
        if token.type == "fence":
            found.append(_block(token.info, token.content, _line(token.map), found, lines))
    return found


def page(text: str) -> Page:
    """Return what a page gives to copy. Raises PageError."""
    files: dict[str, str] = {}
    steps: list[Step] = []
    for block in blocks(text):
        if block.kind == FILE:
            if files.setdefault(block.name, block.text) != block.text:
                raise PageError(f"line {block.line}: {block.name} is there already, with something else in it")
        elif block.kind == COMMANDS:
            steps.append(Step(block, None))
        else:
            steps[-1] = Step(steps[-1].commands, block)
    return Page(files, steps)


def difference(expected: str, actual: str) -> str | None:
    """Say how what was printed differs from what the page says, or None. What changes with each run is left out."""
    wanted, got = stable(expected), stable(actual)
    pattern = "".join(map(_pattern, wanted.splitlines()))
    if re.fullmatch(pattern, got, re.DOTALL):
        return None
    return f"the page says:\n{_indented(wanted)}\nand this was printed:\n{_indented(got)}"


def stable(text: str) -> str:
    """Return a text with what changes from run to run replaced, and with one blank for any number of them."""
    for changing, instead in CHANGING:
        text = changing.sub(instead, text)
    text = re.sub(r"[ \t]+", " ", text)
    return "".join(f"{line.rstrip()}\n" for line in text.strip("\n").splitlines())


def _pattern(line: str) -> str:
    if line.strip() == ANYTHING:
        return r"(?:[^\n]*\n)*?"
    return r"[^\n]*?".join(map(re.escape, line.split(ANYTHING))) + r"\n"


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def _line(lines: list[int] | None) -> int:
    return lines[0] + 1 if lines else 0


def _block(info: str, content: str, line: int, before: list[Block], lines: list[str]) -> Block:
    language, *words = info.split() or [""]
    if language in OUTPUT_LANGUAGES and not words and before and before[-1].kind == COMMANDS:
        _must_follow(before[-1], line, lines)
        return Block(OUTPUT, line, content)
    if language == SHELL and not words:
        return Block(COMMANDS, line, content)
    if language == SHELL and len(words) == 1 and words[0].startswith("needs="):
        return Block(COMMANDS, line, content, needs=words[0].removeprefix("needs="))
    if language and len(words) == 1 and "=" not in words[0]:
        if words[0].startswith("/") or ".." in words[0].split("/"):
            raise PageError(f"line {line}: {words[0]} is not below the page's folder")
        return Block(FILE, line, content, name=words[0])
    raise PageError(f"line {line}: ```{info} is neither a file, nor commands, nor their output")


def _must_follow(commands: Block, line: int, lines: list[str]) -> None:
    """Refuse an output whose commands are so far above that a reader would not see what printed it."""
    between = lines[commands.line + commands.text.count("\n") + 1 : line - 1]
    if any(text.startswith("#") for text in between):
        raise PageError(f"line {line}: an output under another heading than its commands")
