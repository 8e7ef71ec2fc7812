"""The table of recipes: which daemons are tried, and what each needs."""

from __future__ import annotations

import dataclasses
import pathlib
import tomllib
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
TABLE = HERE / "recipes.toml"

STEERING = ("--pid-file", "--notify", "--stop-command", "--reload-command")
"""The options by which pyinit is told about the service, besides a `--stop-signal` that is a schedule."""
TAKEN_OVER = ("family", "packages", "image", "environment", "workdir", "command", "ready")
"""What a recipe takes over from the one that it says it is like, unless it says otherwise."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One daemon of recipes.toml, whose head explains each field."""

    name: str
    family: str
    packages: tuple[str, ...]
    image: str
    command: tuple[str, ...]
    ready: tuple[str, ...]
    prepare: str = ""
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    workdir: str = "/"
    daemon: str = ""
    options: tuple[str, ...] = ()
    why: str = ""
    stays: bool = False
    foreground: bool = False
    client: tuple[str, ...] = ()
    reload: tuple[str, ...] = ()
    moves: tuple[str, ...] = ()
    revives: bool = False
    status: int = 0
    crash: int = 137
    ci: tuple[str, ...] = ("stop", "crash", "reload")
    note: str = ""

    @property
    def steered(self) -> bool:
        """Whether pyinit is told which process is the service, or how it is stopped, or is asked to reload it."""
        schedule = self.option("--stop-signal")
        return any(map(self.option, STEERING)) or ":" in schedule or "," in schedule or bool(self.reload)

    def option(self, name: str) -> str:
        """Return the value of pyinit's option *name*, its name for a switch, "" where it is not given."""
        if name not in self.options:
            return ""
        rest = self.options[self.options.index(name) + 1 :]
        return rest[0] if rest and not rest[0].startswith("--") else name

    def told_ready_by(self, *, handover: bool) -> str:
        """Return the reason that pyinit.ready gives, "" where it never comes; *handover*: the command ends."""
        if self.option("--notify"):
            return "notify"
        if self.option("--pid-file"):
            return "pid-file"
        return "handover" if handover else ""


def read(path: pathlib.Path = TABLE) -> tuple[Recipe, ...]:
    """Return the recipes of *path*, in its order.

    Raises TypeError for an unknown or a missing field, KeyError for a recipe that is like one that is not there,
    ValueError for a name that comes twice or an option that has no reason.
    """
    known: dict[str, dict[str, Any]] = {}
    recipes = tuple(_recipe(row, known) for row in tomllib.loads(path.read_text(encoding="utf-8"))["recipe"])
    names = [recipe.name for recipe in recipes]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        msg = f"{path}: more than one recipe for {', '.join(twice)}"
        raise ValueError(msg)
    for recipe in recipes:
        if recipe.options and not recipe.why:
            msg = f"{path}: {recipe.name} has options and no reason for them"
            raise ValueError(msg)
    return recipes


def _recipe(row: dict[str, Any], known: dict[str, dict[str, Any]]) -> Recipe:
    """Make a recipe of *row* and of the one among *known* that it says it is like; enter it there."""
    like = known[row["like"]] if "like" in row else {}
    row = {name: like[name] for name in TAKEN_OVER if name in like} | row
    known[row["name"]] = row
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    fields.pop("like", None)
    return Recipe(**fields)


def packages_of(image: str, recipes: tuple[Recipe, ...]) -> list[str]:
    """Return the packages, sorted, that the recipes of *image* need."""
    return sorted({package for recipe in recipes if recipe.image == image for package in recipe.packages})


def preparation_of(image: str, recipes: tuple[Recipe, ...]) -> str:
    """Return the shell commands that the recipes of *image* need when it is built."""
    parts = (
        f"# {recipe.name}\n{recipe.prepare.strip()}\n" for recipe in recipes if recipe.image == image and recipe.prepare
    )
    return "\n".join(parts)
