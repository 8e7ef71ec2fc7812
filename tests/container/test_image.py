"""The folder /opt/pyinit: what is in it, and that it needs nothing of the image that it is copied into."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

from container.engine import ROOT, docker, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from container.engine import Container, Images

FOLDER = "/opt/pyinit"
PYTHON = f"{FOLDER}/bin/python3.11"
PACKAGES = f"{FOLDER}/lib/python3.11/site-packages"
SIZE_LIMIT = 16_000_000

# Imports every module of pyinit in the folder of site-packages that is argv[1], and prints their names. What has the
# others a second time comes last: they are to come from their own files.
IMPORT_ALL = """
import os, sys
site = sys.argv[1]
sys.path.append(site)
bundle = ["pyinit._before", "pyinit._behind"]
modules = []
for folder, _, files in os.walk(site + "/pyinit"):
    for file in files:
        name, _, kind = file.partition(".")
        if kind == "pyc":
            module = os.path.relpath(os.path.join(folder, name), site).replace("/", ".")
            modules.append(module.removesuffix(".__init__"))
for module in sorted(modules, key=bundle.__contains__):
    __import__(module)
    print(module)
"""


def runs_of_the_build() -> ModuleType:
    """Import docker/image/modules.py, which knows the ways to start pyinit."""
    spec = importlib.util.spec_from_file_location("image_modules", ROOT / "docker" / "image" / "modules.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


MODULES = runs_of_the_build()


@pytest.fixture(scope="module")
def plain(images: Images) -> Iterator[Container]:
    """Give an idle container of the image itself, in which there is no Python, as an ordinary user without rights."""
    with running(images["pyinit"], "sleep", "infinity", options=HARDENING) as container:
        yield container


@pytest.fixture(scope="module")
def rooted(images: Images) -> Iterator[Container]:
    """Give the same as root, with the rights that an engine gives."""
    with running(images["pyinit"], "sleep", "infinity") as container:
        yield container


def test_the_image_starts_pyinit(images: Images) -> None:
    """`docker run pyinit COMMAND` runs the command under pyinit as PID 1, by its link on PATH."""
    (config,) = docker("inspect", "--format", "{{json .Config.Entrypoint}}", images["pyinit"]).splitlines()
    assert config == '["pyinit","--"]'
    with running(images["pyinit"], "sh", "-c", "exit 7") as container:
        assert container.wait() == 7
        assert container.events("pyinit.started")[0]["pyinit.mode"] == "pid1"


HARDENING = ("--user", "1000:1000", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


@pytest.mark.parametrize("options", [(), HARDENING], ids=["root", "hardened"])
def test_docker_run_check(images: Images, options: tuple[str, ...]) -> None:
    """`docker run IMAGE --check`: as PID 1, as root and as an ordinary user without rights, nothing is missing."""
    with running(images["pyinit"], "--check=json", options=options) as container:
        assert container.wait() == 0
        told = json.loads("\n".join(container.out.lines))
    rows = {row["name"]: row for row in told["checks"]}
    assert rows["role"]["found"] == "PID 1"
    assert [row for row in told["checks"] if row["state"] != "ok"] == []
    assert rows["user"]["found"] == ("uid 1000, gid 1000" if options else "uid 0, gid 0")


def test_docker_run_dry_run(images: Images) -> None:
    """`docker run IMAGE --dry-run COMMAND` tells what `docker run IMAGE COMMAND` comes to, and runs none of it."""
    with running(images["pyinit"], "--dry-run", "touch", "/tmp/x", options=("--env", "PYINIT_GRACE=9s")) as container:
        assert container.wait() == 0
        assert "  touch /tmp/x" in container.out.lines
        assert [line.split() for line in container.out.lines if "--grace " in line] == [
            ["--grace", "9s", "PYINIT_GRACE"]
        ]


def test_a_terminal_gets_text_for_people(images: Images) -> None:
    """`docker run -t` shows sentences instead of JSON."""
    with running(images["pyinit"], "true", options=("--tty",)) as container:
        assert container.wait() == 0
        text = "\n".join(container.out.lines)
        assert "pyinit leaves with status 0" in text
        assert '{"timestamp"' not in text


def test_it_is_small(plain: Container) -> None:
    """The folder has at most 16 MB."""
    size = int(plain.execute("du", "-sb", FOLDER).split()[0])
    print(f"du -sb {FOLDER}: {size}")
    assert size < SIZE_LIMIT


def test_everybody_may_read_it_and_nobody_but_root_may_write_it(plain: Container) -> None:
    """Any uid can start pyinit; no setuid bit and no file of somebody else is in the folder."""
    unreadable = "! -type l ( ! -perm -0444 -o -perm /7022 -o ! -uid 0 -o ! -gid 0 )"
    assert plain.execute("find", FOLDER, *unreadable.split()) == ""
    assert plain.execute("find", FOLDER, *["-type", "d", "!", "-perm", "-0555"]) == ""
    programs = plain.execute("find", FOLDER, *["-type", "f", "-perm", "/0111"]).split()
    assert sorted(programs) == [f"{FOLDER}/bin/{name}" for name in ("pyinit", "pyinit-main", "python3.11")]


def test_no_tool_of_the_build_is_in_it(plain: Container) -> None:
    """No compiler, no package manager, no header, no source, and nothing that a module is compiled into on the way."""
    files = plain.execute("find", FOLDER, "-type", "f").split()
    tools = re.compile(r"/(pip|ensurepip|setuptools|gcc|cc|__pycache__|include)(/|$)")
    kinds = {re.sub(r"\..*-linux-gnu\.so$", ".so", file).rpartition(".")[2] for file in files if "/lib/python" in file}
    assert kinds == {"pyc", "so", "json"}
    assert [file for file in files if tools.search(file)] == []


def test_the_licence_of_each_part_is_there(plain: Container) -> None:
    """Whoever passes on the folder passes on the licences with it, and the source that python-prctl's asks for."""
    files = set(plain.execute("find", f"{FOLDER}/share/doc", "-type", "f", "-size", "+0").split())
    expected = """
        libc6/copyright libcap2/copyright libexpat1/copyright libffi8/copyright python3.11/copyright zlib1g/copyright
        pyinit-container/LICENSE pyinit-container/NOTICE structlog/LICENSE-MIT structlog/LICENSE-APACHE
        python-prctl/GPL-3 python-prctl/python-prctl-1.8.1.tar.gz
    """
    assert {f"{FOLDER}/share/doc/{name}" for name in expected.split()} <= files


def test_the_libraries_come_from_the_folder_or_from_glibc(plain: Container) -> None:
    """Nothing but the C library is taken from the image, whatever LD_LIBRARY_PATH says."""
    code = f"import sys; sys.path.append({PACKAGES!r}); import _json, _prctl, ctypes"
    code += "; print(open('/proc/self/maps').read())"
    maps = plain.execute(PYTHON, "-IBS", "-c", code)
    libraries = {line.split()[-1] for line in maps.splitlines() if ".so" in line}
    names = {path.rpartition("/")[2].partition(".")[0] for path in libraries if path.startswith(FOLDER)}
    assert {"_ctypes", "_json", "_prctl", "libcap", "libexpat", "libffi", "libz"} <= names
    others = {path.rpartition("/")[2] for path in libraries if not path.startswith(FOLDER)}
    assert all(re.fullmatch(r"lib[cm]\.so\.6|ld-linux-.*", name) for name in others), others


def test_every_module_of_pyinit_can_be_imported(plain: Container) -> None:
    """No module of pyinit is left out, and none lacks another one."""
    printed = plain.execute(PYTHON, "-IBS", "-c", IMPORT_ALL, PACKAGES).split()
    sources = (file.relative_to(ROOT / "src") for file in (ROOT / "src" / "pyinit").rglob("*.py"))
    ours = {file.with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__") for file in sources}
    bundle = {"pyinit._before", "pyinit._behind"}
    assert set(printed) == {name for name in ours if not name.endswith("__main__")} - set(MODULES.DONE_WITHOUT) | bundle


def runs_here() -> list[Any]:
    """Return the runs of the build but that of --tty.

    Here the terminal is that of the session which the engine has made, and pyinit takes none from another session.
    """
    return [run for run in MODULES.RUNS if not any(word.startswith("--tty=") for word in run.arguments)]


@pytest.mark.parametrize("run", runs_here(), ids=lambda run: " ".join([run.name, *run.arguments[:2]]) or "no arguments")
def test_every_feature_finds_its_modules(plain: Container, rooted: Container, run: Any) -> None:
    """Each feature, error and fallback that the build looked at works where the folder is all that there is.

    As an ordinary user without rights, but for what only root may ask for.
    """
    privileged = run.status == 0 and any(word.startswith(("--user=", "--cap-keep=")) for word in run.arguments)
    container = rooted if privileged else plain
    words = MODULES.words_of(run, f"{FOLDER}/bin/pyinit", PYTHON, PACKAGES)
    variables = [f"{name}={value}" for name, value in run.variables]
    variables.append(f"PYINITCTL={FOLDER}/bin/pyinitctl")
    options = ("--tty",) if run.terminal else ()
    script = '(exec -a "$0" "$@") 2>&1 >/dev/null; echo "status $?"'
    told = container.execute("env", *variables, "bash", "-c", script, run.name or words[0], *words, options=options)
    told, _, status = told.rpartition("status ")
    MODULES.expect(run, int(status), told.encode())
