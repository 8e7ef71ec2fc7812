"""The pages of docs/how-to are read by one small parser: what it takes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import how_to

PAGES = sorted(Path(__file__).parents[2].joinpath("docs", "how-to").glob("*.md"))

PAGE = """
# Task

```dockerfile Dockerfile
FROM x
```

Run it:

```sh
docker build .
```

It says:

```text
done 1.5 s
```

```sh needs=kubectl
kubectl apply
```
"""


def test_a_page_is_files_and_steps() -> None:
    """A block with a name is a file, `sh` is run, `text` behind it is what that prints."""
    page = how_to.page(PAGE)
    assert page.files == {"Dockerfile": "FROM x\n"}
    assert [(step.commands.text, step.commands.needs) for step in page.steps] == [
        ("docker build .\n", ""),
        ("kubectl apply\n", "kubectl"),
    ]
    assert [step.output and step.output.text for step in page.steps] == ["done 1.5 s\n", None]
    assert page.steps[0].commands.line == 10


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("```\nx\n```", "neither a file, nor commands"),
        ("```text\nx\n```", "neither a file, nor commands"),
        ("```yaml\nx: 1\n```", "neither a file, nor commands"),
        ("```console\n$ true\n```", "neither a file, nor commands"),
        ("```sh skip\ntrue\n```\n", None),
        ("```sh not run\ntrue\n```", "neither a file, nor commands"),
        ("```sh when=later\ntrue\n```", "neither a file, nor commands"),
        ("```yaml ../x\nx\n```", "not below the page's folder"),
        ("```yaml /etc/x\nx\n```", "not below the page's folder"),
        ("```yaml x\na\n```\n\n```yaml x\nb\n```", "with something else in it"),
        ("```sh\ntrue\n```\n\n## More\n\n```text\nx\n```", "under another heading"),
        ("x\n\n    pyinit -- true\n", "without a fence"),
    ],
)
def test_no_block_goes_unseen(text: str, problem: str | None) -> None:
    """A block that is neither written, nor run, nor compared is an error; `sh NAME` is a script of that name."""
    if problem is None:
        assert how_to.page(text).files == {"skip": "true\n"}
        return
    with pytest.raises(how_to.PageError, match=problem):
        how_to.page(text)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("a\n", "a\n"),
        ("a\n", "a  \n\n"),
        ("a    b\n", "a\tb\n"),
        ("a\n...\nd\n", "a\nb\nc\nd\n"),
        ("a\n...\nd\n", "a\nd\n"),
        ("a ... d\n", "a b c d\n"),
        ("...\n", ""),
        ("2026-11-23T11:58:00.276844Z nginx[7] 0.024 s\n", "2027-01-01T00:00:00.000001Z nginx[123] 11.5 s\n"),
        ("pyinit leaves with status 0 after 1.5 s: done\n", "pyinit leaves with status 0 after 2 s: done\n"),
        ("could not signal PID 12\n", "could not signal PID 7\n"),
        ("0123456789ab\n", "fedcba987654\n"),
    ],
)
def test_same(expected: str, actual: str) -> None:
    """Times, PIDs, durations with a fraction and IDs differ from run to run; dots stand for anything."""
    assert how_to.difference(expected, actual) is None


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("a\n", "b\n"),
        ("a\n", ""),
        ("a\n", "a\nb\n"),
        ("a\n...\nd\n", "a\nb\nc\n"),
        ("a.b\n", "axb\n"),
        ("grace 8 s\n", "grace 9 s\n"),
        ("as PID 1, until service\n", "as PID 7, until service\n"),
        ("status 0\n", "status 137\n"),
        ("a ... d\n", "a\nd\n"),
    ],
)
def test_different(expected: str, actual: str) -> None:
    """What is stable is compared, and the difference shows both."""
    said = how_to.difference(expected, actual)
    assert said is not None
    assert "the page says:" in said
    assert "this was printed:" in said


@pytest.mark.parametrize("path", PAGES, ids=[path.stem for path in PAGES])
def test_every_page_can_be_run(path: Path) -> None:
    """Each block of each page is a file, run, or compared with what a run prints."""
    how_to.page(path.read_text("utf-8"))


def test_the_index_names_each_page() -> None:
    """Who opens the folder finds every page in its index, and the README leads there."""
    index = (PAGES[0].parent / "README.md").read_text("utf-8")
    missing = [path.name for path in PAGES if path.name != "README.md" and f"]({path.name})" not in index]
    assert missing == []
    assert "](docs/how-to/README.md)" in (PAGES[0].parents[2] / "README.md").read_text("utf-8")
