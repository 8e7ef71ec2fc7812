"""Writes those modules of pyinit that every run imports into two files: what stands before main's start, and behind it.

    python -IB bundle.py FOLDER

Fifty modules in files of their own are fifty times a look at a folder, at a source's times and into a file of bytecode,
and each has the strings once more that others have, too. pip makes bytecode of the modules that it finds in a wheel,
and of nothing else. So each of the two files is a module, in which a module of pyinit is a function whose names are all
global: run in that module's namespace, its code does what the module's own would have done. Annotations and docstrings,
which nobody reads there, are left out. The build of the wheel runs this; it needs nothing but the sources beside it.
"""

from __future__ import annotations

import ast
import subprocess
import symtable
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parent / "src"
BEFORE = ("pyinit.boot", "pyinit.oom")
BEHIND = ("pyinit.run", "pyinit.control.listener")

_TRACE = """
import sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    __import__(name)
print(*(name for name in sys.modules if name.startswith("pyinit.")))
"""


def imported(*names: str) -> list[str]:
    """Return the modules of pyinit that are there when these have been imported, in the order of the imports."""
    words = [sys.executable, "-ISB", "-c", _TRACE, str(SOURCES), *names]
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout.split()


def source_of(name: str) -> Path:
    """Return the file of a module."""
    path = SOURCES.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


class _Bare(ast.NodeTransformer):
    """Takes out annotations, docstrings, and what is imported from __future__ for the sake of annotations."""

    def _without_docstring(self, node: ast.Module | ast.ClassDef | ast.FunctionDef) -> ast.AST:
        if ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    visit_Module = visit_ClassDef = _without_docstring  # noqa: N815  # the names that ast asks for

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self._without_docstring(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        self.generic_visit(node)
        return None if node.value is None else ast.Assign([node.target], node.value)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if node.module == "__future__" else node


def as_function(source: str, where: str) -> str:
    """Return a module as the text of a function `module`. Raises SystemExit where it would not be the same."""
    tree = ast.fix_missing_locations(_Bare().visit(ast.parse(source)))
    bare = ast.unparse(tree)
    symbols = symtable.symtable(bare, where, "exec").get_symbols()
    assigned = {
        symbol.get_name()
        for symbol in symbols
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_declared_global()
    }
    # What `:=` sets in a comprehension is the module's; whoever else sets such a name in a function of his keeps it.
    names = sorted(assigned | {node.target.id for node in ast.walk(tree) if isinstance(node, ast.NamedExpr)})
    # From 3.12 on a comprehension is part of the code around it (PEP 709): its names, also that of a `:=`, are listed
    # with those of the code, and its own still are nobody else's.
    comprehended = {
        name.id
        for node in ast.walk(tree)
        if isinstance(node, ast.comprehension)
        for name in ast.walk(node.target)
        if isinstance(name, ast.Name)
    }
    made = ast.parse("def module():\n    pass")
    function = made.body[0]
    assert isinstance(function, ast.FunctionDef)  # noqa: S101  # for the type checker
    function.body = [*([ast.Global(names)] if names else []), *ast.parse(bare).body]
    text = ast.unparse(ast.fix_missing_locations(made))
    scope: dict[str, object] = {}
    exec(compile(text, where, "exec", dont_inherit=True), scope)  # noqa: S102  # it defines a function of ours
    code = scope["module"].__code__  # type: ignore[attr-defined]
    local = {*code.co_varnames, *code.co_cellvars, *code.co_freevars} - comprehended - set(names)
    if local:
        raise SystemExit(f"{where}: a name of the module is not global: {sorted(local)}")
    return text


def bundle(head: str, names: list[str]) -> str:
    """Return the text of one of the two files: the head, and a function for each module."""
    parts = [head]
    for name in names:
        source = source_of(name)
        parts += [f"\n\n{as_function(source.read_text(encoding='utf-8'), str(source))}\n\nMODULES[{name!r}] = module\n"]
    return "".join(parts) + "del module\n"


def files() -> dict[str, str]:
    """Return the text of each file by its place in the wheel."""
    before = imported(*BEFORE)
    behind = [name for name in imported(*BEFORE, *BEHIND) if name not in before]
    packages = [name for name in before + behind if source_of(name).name == "__init__.py"]
    head = (HERE / "bundled.py").read_text(encoding="utf-8")
    lists = f"\nBEHIND.update({sorted(behind)!r})\nPACKAGES.update({sorted(packages)!r})\n"
    return {
        "pyinit/_before.py": bundle(head + lists, before),
        "pyinit/_behind.py": bundle(
            '"""What is needed when main is running: see _before."""\n\nMODULES = {}\n', behind
        ),
    }


def main() -> None:
    """Write them below the folder that is named on the command line."""
    for place, text in files().items():
        file = Path(sys.argv[1], place)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
