"""Every command of docs/how-to is run, and prints what its page says.

A page's files are written to a folder of their own, and its commands are run there, in order. They are what a reader
types; the `docker` that they find is `how_to/docker`. What needs a program that does not answer here (`kubectl`) is not
run: then the page has to say so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema  # type: ignore[import-untyped]
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from markdown_it import MarkdownIt

from container.conftest import is_required
from container.engine import BUILD_LIMIT_S, LIMIT_S, ROOT, docker
from pyinit import options
from support import how_to, procs
from support.turns import one_at_a_time

if TYPE_CHECKING:
    from container.engine import Images

FOLDER = ROOT / "docs" / "how-to"
PAGES = {path.stem: how_to.page(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.md"))}
ANSWERS = {
    "kubectl": ["kubectl", "cluster-info"],
    "podman": ["podman", "info"],
    "compose": [str(ROOT / "tests" / "container" / "how_to" / "docker"), "compose", "version"],
}
# What no machine of ours has, so that its commands need not run; then the page says this.
NOT_HERE = {"kubectl"}
NOT_RUN = "**The commands of this page were not run**"

# Podman beside Docker's runtime and in nobody's way: its images and containers are in a folder of the test.
CONTAINERS_CONF = """\
[containers]
netns = "none"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""
# The oldest and the newest Kubernetes that the manifests are checked for.
KUBERNETES = ("1.29", "1.35")

MANIFESTS = [
    pytest.param(text, id=f"{stem}-{name}")
    for stem, page in PAGES.items()
    for name, text in page.files.items()
    if name.endswith(".yaml") and "apiVersion:" in text
]
COMPOSE_FILES = [
    pytest.param(page.files["compose.yaml"], id=stem) for stem, page in PAGES.items() if "compose.yaml" in page.files
]
COMPOSE_FILES.append(pytest.param((ROOT / "docker" / "compose.yaml").read_text("utf-8"), id="docker"))
# What somebody does with docker/compose.yaml.
COMPOSE_STEPS = """
```sh needs=compose
docker compose up --detach --build
```

```sh needs=compose
docker inspect --format '{{.State.Health.Status}}' "$(docker compose ps --quiet web)"
until docker compose logs --no-color client | grep --only-matching 'web is up'; do sleep 0.1; done
docker compose stop
docker inspect --format 'status {{.State.ExitCode}}' "$(docker compose ps --all --quiet web)"
docker compose down --rmi local
```

```text
healthy
web is up
status 0
```
"""
# Parts of a container's description in other pages: what is YAML there, and begins with a check.
PARTS = [
    pytest.param(token.content, id=path.stem)
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for token in MarkdownIt("commonmark").parse(path.read_text("utf-8"))
    if token.type == "fence" and token.info == "yaml"
]
PROBES = [part for part in PARTS if "Probe:" in str(part.values[0])]
HEALTH_CHECKS = [part for part in PARTS if str(part.values[0]).startswith("healthcheck:")]


class Reader:
    """Somebody who follows a page: a folder with its files, and a shell."""

    def __init__(self, folder: Path, page: how_to.Page) -> None:
        self.folder = folder
        self.label = f"pyinit-how-to={uuid.uuid4().hex}"
        real = shutil.which("docker")
        assert real is not None
        (folder / "here").mkdir()
        (folder / "podman").mkdir()
        self._here = folder / "here"
        self._children = set(procs.children(os.getpid()))
        # A page that fails half-way leaves its volume behind; whose it is, its name says.
        text = "".join(step.commands.text for step in page.steps)
        there = docker("volume", "ls", "--quiet").split()
        self._volumes = {name for name in re.findall(r"--volume ([\w-]+):", text) if name not in there}
        self._environment = os.environ | {
            "PATH": f"{ROOT / 'tests' / 'container' / 'how_to'}:{os.environ['PATH']}",
            "HOW_TO_DOCKER": real,
            "HOW_TO_LABEL": self.label,
            "CONTAINERS_CONF": self._config("containers.conf", CONTAINERS_CONF),
            "CONTAINERS_STORAGE_CONF": self._config("storage.conf", STORAGE_CONF.format(folder=folder / "podman")),
            "COMPOSE_PROJECT_NAME": f"pyinit-{folder.name}",
            "LC_ALL": "C.UTF-8",
        }
        for name, text in page.files.items():
            path = self._here / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            if text.startswith("#!"):
                path.chmod(0o755)
        if "compose.yaml" in page.files:
            (self._here / "compose.override.yaml").write_text(self._override(page.files["compose.yaml"]))

    def _config(self, name: str, text: str) -> str:
        path = self.folder / "podman" / name
        path.write_text(text)
        return str(path)

    def _override(self, text: str) -> str:
        """Give the services of a Compose file what how_to/docker gives to `docker run` and `docker build`.

        And have the first check of their health come soon.
        """
        key, _, value = self.label.partition("=")
        ours = {"network_mode": "none", "labels": {key: value}}
        services = {
            name: ours
            | ({"build": {"network": "host"}} if isinstance(service.get("build"), str) else {})
            | ({"healthcheck": {"interval": "1s"}} if "healthcheck" in service else {})
            for name, service in yaml.safe_load(text)["services"].items()
        }
        return yaml.safe_dump({"services": services})

    def follow(self, step: how_to.Step) -> None:
        """Run commands of the page; fails where they do, or where they print something else than the page says."""
        where = f"line {step.commands.line}"
        try:
            done = self._run(["sh", "-eu", "-c", step.commands.text], BUILD_LIMIT_S)
        except subprocess.TimeoutExpired as error:
            pytest.fail(f"{where}: {error}\n{error.stdout!r}\n{error.stderr!r}", pytrace=False)
        if done.returncode != 0:
            pytest.fail(f"{where}: status {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False)
        if step.output is not None:
            different = how_to.difference(step.output.text, done.stdout)
            if different:
                pytest.fail(f"line {step.output.line}: {different}\nstandard error:\n{done.stderr}", pytrace=False)

    def _run(self, command: list[str], limit_s: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self._here,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )

    def clean(self) -> None:
        """Remove what the page's commands left behind, also where they failed half-way."""
        left = docker("ps", "--all", "--quiet", "--filter", f"label={self.label}").split()
        if left:
            docker("rm", "--force", "--volumes", *left)
        if self._volumes:
            docker("volume", "rm", "--force", *self._volumes)
        if (self.folder / "podman" / "storage").exists():
            self._run(["podman", "pod", "rm", "--all", "--force", "--time", "0"], LIMIT_S)
            self._run(["podman", "rm", "--all", "--force", "--time", "0"], LIMIT_S)
            self._run(["podman", "rmi", "--all", "--force"], LIMIT_S)
        # Podman leaves a monitor beside each container, in the background; its parent is the test by now.
        for pid in set(procs.children(os.getpid())) - self._children:
            os.waitpid(pid, 0)


def answers(program: str) -> bool:
    """Say whether a program that commands need is there and does its work."""
    try:
        environment = os.environ | {"HOW_TO_DOCKER": "docker"}
        done = subprocess.run(
            ANSWERS[program],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def demand(missing: set[str]) -> None:
    """Skip the test where a program is missing; where tests must not be skipped, fail it."""
    if missing:
        why = f"{', '.join(sorted(missing))} does not answer here"
        if is_required():
            pytest.fail(f"{why}; `make container-test` installs it", pytrace=False)
        pytest.skip(why)


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if page.steps])
def test_the_commands_of_a_page(images: Images, tmp_path: Path, name: str) -> None:
    """What a reader copies from the page works, and prints what the page says."""
    images["pyinit"]
    page = PAGES[name]
    needed = {step.commands.needs for step in page.steps} - {""}
    missing = {program for program in needed if not answers(program)}
    said = NOT_RUN in (FOLDER / f"{name}.md").read_text("utf-8")
    assert said == bool(needed & NOT_HERE), f"{name}.md says that its commands were not run, or has to"
    demand(missing - NOT_HERE)
    with one_at_a_time(Path(__file__)):  # pages give their containers the same names
        reader = Reader(tmp_path, page)
        try:
            for step in page.steps:
                if step.commands.needs not in missing:
                    reader.follow(step)
        finally:
            reader.clean()


def test_the_compose_file_of_the_examples(images: Images, tmp_path: Path) -> None:
    """Who waits for a healthy service in docker/compose.yaml begins when it is one, and it stops well."""
    images["pyinit"]
    demand(set() if answers("compose") else {"compose"})
    example = ROOT / "docker"
    files = {name: (example / name).read_text("utf-8") for name in ("compose.yaml", "nginx/Dockerfile")}
    files["nginx/unprivileged.conf"] = (example / "nginx" / "unprivileged.conf").read_text("utf-8")
    steps = how_to.page(COMPOSE_STEPS).steps
    with one_at_a_time(Path(__file__)):
        reader = Reader(tmp_path, how_to.Page(files, steps))
        try:
            for step in steps:
                reader.follow(step)
        finally:
            reader.clean()


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("text", MANIFESTS)
def test_manifests_follow_the_schema_of_kubernetes(text: str, version: str) -> None:
    """Every object is one that this Kubernetes takes, without a key that it does not know."""
    for manifest in yaml.safe_load_all(text):
        assert kubernetes_validate.validate(manifest, version, strict=True) == version


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("text", MANIFESTS)
def test_the_schema_of_kubernetes_refuses_what_is_wrong(text: str, version: str) -> None:
    """A key that is misspelt in a manifest is found: the check is one."""
    manifest = next(yaml.safe_load_all(text.replace("terminationGracePeriodSeconds", "terminationGracePeriod")))
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("text", PROBES)
def test_probes_follow_the_schema_of_kubernetes(text: str, version: str) -> None:
    """What other pages give of a container fits into one, and a misspelt key of it would be found."""
    container = {"name": "web", "image": "web", **yaml.safe_load(text)}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [container]}}
    assert kubernetes_validate.validate(pod, version, strict=True) == version
    next(part for name, part in container.items() if name.endswith("Probe"))["periodSecond"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(pod, version, strict=True)


@pytest.mark.parametrize("text", MANIFESTS)
def test_the_kubelet_gives_a_stop_its_time(text: str) -> None:
    """What the signals of a manifest and its preStop hook take is less than the time before the kubelet's SIGKILL."""
    for manifest in yaml.safe_load_all(text):
        spec = manifest["spec"].get("template", manifest)["spec"]
        for container in spec.get("containers", []):
            variables = {item["name"].encode(): item["value"].encode() for item in container.get("env", [])}
            if b"PYINIT_STOP_SIGNAL" in variables:
                settings = options.parse(["true"], variables)
                hook = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
                assert settings.grace_s + float(hook[1]) < spec["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("text", HEALTH_CHECKS)
def test_health_checks_follow_the_published_schema(text: str) -> None:
    """What other pages give of a service for Compose fits into one."""
    validator = Draft202012Validator(get_builtin_schema("vendor.compose-spec"))
    validator.validate({"services": {"web": {"image": "web", **yaml.safe_load(text)}}})
    assert not validator.is_valid({"services": {"web": yaml.safe_load(text.replace("interval", "intervall"))}})


@pytest.mark.parametrize("text", COMPOSE_FILES)
def test_compose_files_follow_the_published_schema(text: str) -> None:
    """The file is one of the Compose specification, and a misspelt key of it would be found."""
    validator = Draft202012Validator(get_builtin_schema("vendor.compose-spec"))
    validator.validate(yaml.safe_load(text))
    assert not validator.is_valid(yaml.safe_load(text.replace("stop_grace_period", "stop_grace")))
