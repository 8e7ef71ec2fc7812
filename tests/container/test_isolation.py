"""Nothing in an image or its environment gets between pyinit and its interpreter, and all of it reaches the command."""

from __future__ import annotations

import pytest

from container.engine import Images, running

# What a container may say about Python and libraries; each of these stops or changes an interpreter that listens to it.
HOSTILE = {
    "PYTHONHOME": "/nonexistent",
    "PYTHONPATH": "/hostile",
    "PYTHONSTARTUP": "/hostile/os.py",
    "PYTHONWARNINGS": "error",
    "PYTHONMALLOC": "debug",
    "PYTHONUNBUFFERED": "1",
    "PYTHONINSPECT": "1",
    "PYTHONVERBOSE": "2",
    "PYTHONIOENCODING": "no-such-codec",
    "PYTHONUTF8": "nonsense",
    "PYTHONHASHSEED": "nonsense",
    "PYTHONCOERCECLOCALE": "warn",
    "PYTHONPLATLIBDIR": "nowhere",
    "PYTHONEXECUTABLE": "/nonexistent",
    "PYTHONBREAKPOINT": "os.abort",
    "LC_ALL": "xx_YY.nonsense",
    "LD_LIBRARY_PATH": "/hostile/libraries",
}
ENVIRONMENT = tuple(f"--env={name}={value}" for name, value in HOSTILE.items())


def test_variables_and_modules_of_the_container_do_not_reach_pyinit(images: Images) -> None:
    """With hostile variables, libraries and modules pyinit runs as ever, and the command sees every variable."""
    with running(images["pyinit-test-hostile"], "env", options=ENVIRONMENT) as container:
        assert container.wait() == 0
        seen = dict(line.partition("=")[::2] for line in container.out.lines)
        assert HOSTILE.items() <= seen.items()
        assert [record["event.name"] for record in container.records()] == ["pyinit.started", "pyinit.exited"]
        assert len(container.err.lines) == 2, container.err.lines


def test_the_command_starts_in_the_working_directory(images: Images) -> None:
    """The folder of the image's WORKDIR is the command's, although pyinit lets go of it."""
    with running(images["pyinit-test-hostile"], "pwd", options=ENVIRONMENT) as container:
        assert container.wait() == 0
        assert container.out.lines == ["/hostile"]


def test_the_image_keeps_its_own_python(images: Images) -> None:
    """A Python of the image is neither used nor changed: the command gets that one."""
    code = "import sys; print(sys.prefix, [path for path in sys.path if 'pyinit' in path])"
    with running(images["pyinit-test-hostile"], "python3", "-IS", "-c", code) as container:
        assert container.wait() == 0
        assert container.out.lines == ["/usr []"]


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_texts_come_under_hostile_variables_too(images: Images, option: str) -> None:
    """--help and --version import more than a run does, and get it from the folder."""
    options = (*ENVIRONMENT, "--entrypoint", "pyinit")
    with running(images["pyinit-test-hostile"], option, options=options) as container:
        assert container.wait() == 0
        assert "pyinit" in container.out.lines[0]
        assert container.err.lines == []
