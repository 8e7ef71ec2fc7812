"""The core decides and does nothing else: it imports nothing of the shell, and nothing of the system."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pyinit.core

MODULES = sorted(Path(pyinit.core.__file__).parent.glob("*.py"))
# What a module may import besides its own package; `collections.abc` and `typing` only for who checks types.
ALLOWED = {"__future__"}
FOR_TYPES = {"collections.abc", "typing"}
# What would reach the system without an import.
REACHING = {"open", "input", "print", "eval", "exec", "compile", "breakpoint", "__import__"}


def _imports(tree: ast.AST, *, types: bool = False) -> list[tuple[str, bool]]:
    """List the modules that a tree imports, each with whether only type checkers see it."""
    found: list[tuple[str, bool]] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, types) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            assert node.module is not None
            if node.module == "pyinit.core":
                found += [(f"pyinit.core.{alias.name}", types) for alias in node.names]
            else:
                found.append((node.module, types))
        else:
            only_types = (
                isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            )
            found += _imports(node, types=types or only_types)
    return found


def test_there_is_a_core() -> None:
    """The modules that this file is about are there."""
    ending = "succession ending stopping verdict lives restart"
    names = f"machine {ending} service commands requests forwarding jobs roster events actions model"
    assert {f"{name}.py" for name in names.split()} <= {module.name for module in MODULES}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_core_imports_nothing_of_the_shell(path: Path) -> None:
    """A module of the core imports modules of the core; no system call, no clock, no module of the shell."""
    names = {module.stem for module in MODULES}
    for name, types in _imports(ast.parse(path.read_text(encoding="utf-8"))):
        own = name.startswith("pyinit.core.") and name.removeprefix("pyinit.core.") in names
        assert own or name in ALLOWED or (types and name in FOR_TYPES), f"{path.name} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_core_calls_nothing_that_reaches_out(path: Path) -> None:
    """A module of the core uses no built-in function that opens, prints, imports or evaluates."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not used & REACHING


def test_core_has_no_cycle() -> None:
    """Nobody imports upwards: the modules of the core can be put in an order."""
    wants = {
        path.stem: {
            name.removeprefix("pyinit.core.")
            for name, types in _imports(ast.parse(path.read_text(encoding="utf-8")))
            if name.startswith("pyinit.core.") and not types
        }
        for path in MODULES
    }
    while wants:
        free = {name for name, needed in wants.items() if not needed & wants.keys()}
        assert free, f"a cycle: {wants}"
        wants = {name: needed for name, needed in wants.items() if name not in free}
