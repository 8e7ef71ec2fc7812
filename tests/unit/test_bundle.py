"""The modules that the wheel has in two files besides their own: they are what the sources say."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "launcher"))
import bundle  # type: ignore[import-not-found]

sys.path.pop(0)

SITE = sysconfig.get_path("purelib")
MODULES = bundle.imported(*bundle.BEFORE, *bundle.BEHIND)

# Tells of each module where it is said to be, which names it has, and where its functions and classes come from.
TELL = """
import sys
sys.path.append(sys.argv[1])
if sys.argv[2] == "bundled":
    import pyinit._before
import json
from types import FunctionType
def tell(module):
    spec = module.__spec__
    made = {name: [value.__module__, value.__qualname__] for name, value in vars(module).items()
            if isinstance(value, (FunctionType, type))}
    return {
        "names": sorted(set(vars(module)) - {"__annotations__", "annotations", "__doc__"}),
        "made": made,
        "own": [vars(module).get(name) for name in ("__name__", "__file__", "__cached__", "__package__", "__path__")],
        "spec": [spec.name, spec.origin, spec.cached, spec.parent, spec.submodule_search_locations, spec.has_location],
        "source": module.__loader__.get_source(spec.name),
    }
for name in sys.argv[3:]:
    __import__(name)
if sys.argv[2] == "bundled":
    from pyinit import _behind
    assert not pyinit._before.MODULES and not _behind.MODULES
print(json.dumps({name: tell(sys.modules[name]) for name in sys.argv[3:]}))
"""


def told(how: str) -> dict[str, dict[str, object]]:
    """Return what an interpreter tells of the installed modules."""
    words = [sys.executable, "-IBS", "-c", TELL, SITE, how, *MODULES]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    found: dict[str, dict[str, object]] = json.loads(done.stdout)
    return found


def run(source: str) -> dict[str, object]:
    """Run a module as the bundle runs it; return its namespace."""
    scope: dict[str, object] = {}
    exec(bundle.as_function(source, "here"), scope)
    module = ModuleType("here")
    exec(scope["module"].__code__, module.__dict__)  # type: ignore[attr-defined]
    return module.__dict__


def test_modules_are_the_same() -> None:
    """A module from the bundle has the names, the file and the spec that it has from its own; none is left over."""
    bundled, plain = told("bundled"), told("plain")
    assert len(bundled) > 40
    for name in MODULES:
        assert bundled[name] == plain[name], name


@pytest.mark.parametrize(
    ("source", "name", "expected"),
    [
        ("from __future__ import annotations\nx: Missing = 1\ny: Missing", "x", 1),
        ('"""Doc."""\n', "__doc__", None),
        ("def f(a: Missing = 2) -> Missing:\n    'Doc.'\n    b: Missing = a\n    return b\nx = f()", "x", 2),
        ("def f():\n    global g\n    g = 3\nf()", "g", 3),
        ("x = [y := n for n in range(5)]", "y", 4),
        ("try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    x = str(error)", "x", "division by zero"),
        ("class C:\n    'Doc.'\n    a: Missing\n    def f(self): return __class__.__qualname__\nx = C().f()", "x", "C"),
        ("import os.path as p, sys\nfrom math import pi as x", "x", 3.141592653589793),
        ("for x in range(3):\n    def f(): return x", "x", 2),
        ("a = 5\nclass C:\n    b = a\nx = (lambda: C.b)()", "x", 5),
        ("text = '''a\n  b'''", "text", "a\n  b"),
    ],
)
def test_function_does_what_the_module_does(source: str, name: str, expected: object) -> None:
    """Run as a function, a module ends with the names that it ends with otherwise, all of them its own."""
    found = run(source)
    assert found[name] == expected
    functions = [value for value in found.values() if callable(value) and hasattr(value, "__globals__")]
    assert all(function.__globals__ is found for function in functions)


def test_bundle_is_reproducible() -> None:
    """Two builds make the same files."""
    assert bundle.files() == bundle.files()
