"""What a compilation can reach: the functions, methods and classes a loop over some structs may call.

Found by name: a method counts as reached when any reached function mentions its name. That takes in a
little more than is called, never less, and needs no types.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any

from sigma_bot.kernel.source import MISSING, closure_of, global_names_of, names_of
from sigma_bot.kernel.struct import ArraySpec, Struct, StructMeta

STDLIB = sysconfig.get_paths()["stdlib"]
PACKAGES = frozenset({"numpy", "pandas", "scipy", "numba", "polars", "talib", "torch", "sklearn"})


def is_foreign(function: FunctionType) -> bool:
    """Whether a function comes from the standard library or a numeric package: never looked into, never
    compiled."""
    file = function.__code__.co_filename
    standard = file.startswith((STDLIB, "<frozen")) and "site-packages" not in file
    return standard or (function.__module__ or "").partition(".")[0] in PACKAGES


@dataclass
class CallGraph:
    """``functions`` in the order found, each with the class it is called on (None for a plain function)."""

    functions: list[tuple[FunctionType, StructMeta | None]] = field(default_factory=list)
    classes: list[StructMeta] = field(default_factory=list)


def struct_of(t: Any) -> StructMeta | None:
    """The Struct class inside a field type, or None for scalars."""
    while isinstance(t, ArraySpec):
        t = t.item
    return t if isinstance(t, StructMeta) else None


def members(cls: type, name: str) -> list[Any]:
    """Every definition of ``name`` over the MRO, the most derived first (``super()`` reaches the others)."""
    return [k.__dict__[name] for k in cls.__mro__ if name in k.__dict__ and k not in (object, Struct)]


def callables_of(member: Any) -> list[FunctionType]:
    """The functions behind a class attribute: a method, or a property's getter."""
    if isinstance(member, FunctionType):
        return [member]
    if isinstance(member, property) and isinstance(member.fget, FunctionType):
        return [member.fget]
    return []


def globals_of(function: FunctionType) -> Iterable[tuple[str, Any]]:
    """(name, value) of every global, closure variable and module attribute ``function`` mentions."""
    names = names_of(function)
    for name in global_names_of(function):
        value = function.__globals__.get(name, MISSING)
        if value is MISSING:
            continue
        yield name, value
        if isinstance(value, ModuleType):
            yield from ((f"{name}.{n}", getattr(value, n)) for n in names if hasattr(value, n))
    for name, value in closure_of(function).items():
        if name != "__class__":
            yield name, value


class _Search:
    def __init__(self, linked: Collection[Callable[..., Any]]) -> None:
        self.out = CallGraph()
        self.linked = set(linked)
        self.names: set[str] = set()
        self.seen: set[tuple[FunctionType, StructMeta | None]] = set()

    def klass(self, cls: StructMeta) -> None:
        if cls in self.out.classes or cls is Struct:
            return
        self.out.classes.append(cls)
        for t in cls.__fields__.values():
            if (inner := struct_of(t)) is not None:
                self.klass(inner)

    def function(self, function: FunctionType, owner: StructMeta | None) -> None:
        if (function, owner) in self.seen or function in self.linked:
            return
        self.seen.add((function, owner))
        self.out.functions.append((function, owner))
        self.names.update(names_of(function))
        for value in (value for _, value in globals_of(function)):
            if isinstance(value, FunctionType):
                if not is_foreign(value):
                    self.function(value, None)
            elif isinstance(value, StructMeta):
                self.klass(value)

    def methods(self) -> None:
        """Add methods until a round over all classes finds nothing new."""
        before = -1
        while before != len(self.seen):
            before = len(self.seen)
            for cls in list(self.out.classes):
                for name in sorted(self.names):
                    if name in cls.__fields__ or name.startswith("__"):
                        continue
                    for function in (f for m in members(cls, name) for f in callables_of(m)):
                        self.function(function, cls)


def call_graph(
    functions: Iterable[Callable[..., Any]],
    structs: Iterable[type],
    linked: Mapping[Callable[..., Any], Any] | Collection[Callable[..., Any]] = (),
) -> CallGraph:
    """Everything ``functions`` may call on ``structs``, not looking into the ``linked`` functions."""
    search = _Search(linked)
    for cls in structs:
        if isinstance(cls, StructMeta):
            search.klass(cls)
    for function in functions:
        assert isinstance(function, FunctionType)
        search.function(function, None)
    search.methods()
    return search.out
