"""The table of recipes: which daemons are tried, and what each needs."""

from __future__ import annotations

import dataclasses
import pathlib
import tomllib
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
TABLE = HERE / "recipes.toml"


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
    status: int = 0
    crash: int = 137
    note: str = ""


def read(path: pathlib.Path = TABLE) -> tuple[Recipe, ...]:
    """Return the recipes of *path*, in its order.

    Raises TypeError for an unknown or a missing field, ValueError for a name that comes twice or an option that has
    no reason.
    """
    recipes = tuple(map(_recipe, tomllib.loads(path.read_text(encoding="utf-8"))["recipe"]))
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


def _recipe(row: dict[str, Any]) -> Recipe:
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
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
