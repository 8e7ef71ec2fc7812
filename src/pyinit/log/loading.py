"""Loads of structlog the parts that a record goes through, and of what these import nothing that no record touches."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType as _Module
    from typing import Any

    # BoundLoggerBase, JSONRenderer or ConsoleRenderer: structlog moved or retyped each of them between its versions.
    Factory = Callable[..., Any]
else:
    _Module = type(sys)

# What structlog imports from the standard library for parts that none of our records goes through: stand-ins, which
# become the real thing when somebody looks something up in them. asyncio alone is 8 MB of memory and 15 ms (structlog
# before 23.1 imports it in a module that every record needs).
_LATER = ("asyncio", "inspect", "logging", "threading", "traceback", "datetime")

# What else it imports for its types and for other parts than JSON: stand-ins in which everything is there, and nothing
# is anything. With the real ones come regular expressions and more: 2.5 MB and several milliseconds.
_HOLLOW = (
    *_LATER,
    *("collections", "collections.abc", "contextlib", "contextvars", "enum", "json", "operator", "os", "types"),
    *("typing", "typing_extensions", "warnings"),
)


def load_structlog(*, console: bool) -> tuple[Factory, Factory]:
    """Return structlog's BoundLoggerBase and its ConsoleRenderer or JSONRenderer.

    `import structlog` loads all of structlog and, among much else, asyncio: 35 to 50 ms and 10 MB. So only the modules
    that a record goes through are imported; where that fails, because a version of structlog is made otherwise, with
    more of what they import, and in the end all.

    Raises:
        ImportError: structlog is not installed.

    """
    if "structlog" not in sys.modules:
        for stand_ins in (_Later,) if console else (_Hollow, _Later):
            try:
                with _OnlyParts(stand_ins):
                    return _import_parts(console=console)
            except Exception:  # noqa: BLE001, S110  (whatever it is, another way is still to be tried)
                pass
    import structlog
    import structlog.dev
    import structlog.processors

    return structlog.BoundLoggerBase, structlog.dev.ConsoleRenderer if console else structlog.processors.JSONRenderer


def _import_parts(*, console: bool) -> tuple[Factory, Factory]:
    from structlog._base import BoundLoggerBase

    if console:
        from structlog.dev import ConsoleRenderer

        return BoundLoggerBase, ConsoleRenderer
    from structlog.processors import JSONRenderer

    _try(BoundLoggerBase, JSONRenderer)
    return BoundLoggerBase, JSONRenderer


def _try(bound_logger: Factory, make_renderer: Factory) -> None:
    """Render a record, before main's are: what the stand-ins break is to be seen now.

    Raises:
        Exception: whatever comes of it; ValueError when it is another record.

    """
    chain = [make_renderer(serializer=lambda record, **_: str(record), default=repr)]
    made, _ = bound_logger(None, chain, {"a": None, "b": 1})._process_event("info", None, {"a": "x"})  # noqa: SLF001
    if made != (str({"a": "x", "b": 1}),):
        raise ValueError(made)


class _OnlyParts:
    """While this is open, `from structlog.x import y` loads the module x and no more than it needs.

    `structlog` itself is a bare module that only knows where its parts are, and much of what they import are stand-ins.
    Afterwards sys.modules is as it was: whoever imports structlog then gets all of it.
    """

    def __init__(self, stand_ins: type[_Later | _Hollow]) -> None:
        self._stand_ins = stand_ins

    def __enter__(self) -> None:
        spec = None
        for finder in sys.meta_path:
            spec = finder.find_spec("structlog", None)
            if spec is not None:
                break
        if spec is None or spec.submodule_search_locations is None:
            raise ModuleNotFoundError(name="structlog")
        bare = _Module("structlog")
        bare.__path__ = spec.submodule_search_locations
        make = self._stand_ins
        self._set = {name: make(name) for name in make.instead_of if name not in sys.modules}
        tracebacks = _Module("structlog.tracebacks")
        # The renderer of tracebacks, which costs 5 ms (dataclasses, inspect) and prints local variables: not for us.
        tracebacks.ExceptionDictTransformer = _NoTracebacks  # type: ignore[attr-defined]
        sys.modules.update(self._set)
        sys.modules["structlog"] = bare
        sys.modules["structlog.tracebacks"] = tracebacks

    def __exit__(self, *_: object) -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "structlog"]:
            del sys.modules[name]
        for name, stand_in in self._set.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]


class _NoTracebacks:
    """Stands in for structlog's ExceptionDictTransformer."""

    def __init__(self, *_: object, **__: object) -> None:
        pass


class _Later(_Module):
    """Stands in for a module of the standard library until something is looked up in it."""

    instead_of = _LATER

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever the module has)
        own = self.__name__
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(own) is self:
            del sys.modules[own]
        return getattr(__import__(own), name)


class _Hollow(_Module):
    """Stands in for a module of the standard library of which nothing is ever used."""

    instead_of = _HOLLOW

    def __getattr__(self, name: str) -> _Nothing:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing()


class _Members(type):
    """The type of a class that has a hollow base: it may be gone through, as an Enum may, and has no members."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], **_: object) -> _Members:
        return super().__new__(cls, name, bases, body)

    def __init__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], **_: object) -> None:
        super().__init__(name, bases, body)

    def __iter__(cls) -> Any:  # noqa: ANN401  (a type could be imported for its name alone)
        return iter(())


class _Base(metaclass=_Members):
    """The base of a class that has a hollow one."""


class _Nothing:
    """Stands in for what is looked up in a hollow module: a type, a base, a decorator, a constant."""

    def __getattr__(self, name: str) -> _Nothing:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing()

    def __getitem__(self, _: object) -> _Nothing:
        return self

    def __or__(self, _: object) -> _Nothing:
        return self

    __ror__ = __or__

    def __call__(self, *things: Any, **_: object) -> Any:  # noqa: ANN401  (a decorator gives back what it was given)
        return things[-1] if things else self

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type, ...]:
        first = next(base for base in bases if isinstance(base, _Nothing))
        return (_Base,) if first is self else ()
