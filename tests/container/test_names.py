"""The image under the names of other inits: a link takes their place, with all that the image needs for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from container.engine import docker

if TYPE_CHECKING:
    from container.engine import Images


def as_main(image: str, name: str, *words: str) -> str:
    """Run the image with a link of that name as PID 1; return what it writes on standard output."""
    script = f'ln -s /opt/pyinit/bin/pyinit /tmp/{name} && exec /tmp/{name} "$@"'
    return docker("run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", script, "sh", *words)


@pytest.mark.parametrize("name", ["tini", "docker-init", "dumb-init", "catatonit"])
def test_runs_a_command(images: Images, name: str) -> None:
    """Under each name a command runs, with its output and nothing of pyinit's own."""
    assert as_main(images["pyinit"], name, "--", "echo", "here") == "here\n"


@pytest.mark.parametrize(
    ("name", "version"), [("tini", "tini version 0.19.0"), ("catatonit", "tini version 0.2.1_catatonit")]
)
def test_version_for_the_engine(images: Images, name: str, version: str) -> None:
    """`--version` says what an engine reads to find out which init it has."""
    assert as_main(images["pyinit"], name, "--version") == version + "\n"
