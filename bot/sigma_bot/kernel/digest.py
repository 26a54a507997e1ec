"""The digest of everything compiled code depends on: the key of the cache. Needs neither Numba nor a
compilation.

It covers the bytecode of every reached function with its constants, defaults and the values of the globals
it names, recursively; the fields and constants of the reached classes; this machine and the versions of
what generates code. Line numbers, file names and parameter defaults (they are data in the record) are left
out: moving a strategy, editing a comment or changing a default finds the old code.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import platform
import sys
from collections.abc import Callable, Iterable
from enum import Enum, EnumMeta
from functools import lru_cache
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

from sigma_bot.kernel.call_graph import CallGraph, globals_of, is_foreign, members
from sigma_bot.kernel.source import names_of, owner_of
from sigma_bot.kernel.struct import ArraySpec, StructMeta


class NotCacheableError(Exception):
    """A global of a kind whose value cannot be told apart from another."""


@lru_cache(1)
def machine() -> str:
    """What the generated code depends on besides the program: processor, versions, and our own generator."""
    import llvmlite.binding as llvm

    features = ",".join(sorted(k for k, on in llvm.get_host_cpu_features().items() if on))
    versions = [importlib.metadata.version(name) for name in ("numba", "llvmlite", "numpy")]
    facts = [
        sys.version,
        platform.machine(),
        sys.platform,
        *platform.libc_ver(),
        llvm.get_host_cpu_name(),
        features,
    ]
    settings = sorted((k, v) for k, v in os.environ.items() if k.startswith("NUMBA_"))
    texts = [p.read_text() for p in sorted(Path(__file__).parent.glob("*.py"))]
    return hashlib.sha256(repr((facts, versions, settings, texts)).encode()).hexdigest()


def _home(thing: FunctionType | type) -> str:
    """The module's name; a strategy's file gets one from its path, which must not count."""
    module = thing.__module__
    return "sigma_strategy" if module.startswith("sigma_strategy_") else module


def digest_of(reached: CallGraph, extra: Iterable[object] = ()) -> str:
    """Hex digest of reached code; ``extra`` are further facts, told apart by their repr. Raises
    NotCacheableError."""
    walker = _Walker(reached)
    walker.put(machine(), *extra)
    walker.run()
    return walker.hash.hexdigest()[:32]


class _Walker:
    def __init__(self, reached: CallGraph) -> None:
        self.hash = hashlib.sha256()
        self.reached = reached
        self.classes: dict[type, int] = {cls: i for i, cls in enumerate(reached.classes)}
        self.functions: dict[FunctionType, int] = {}

    def put(self, *facts: object) -> None:
        for fact in facts:
            self.hash.update(repr(fact).encode() + b"\0")

    def run(self) -> None:
        names: set[str] = set()
        for function, owner in self.reached.functions:
            self.put("on", -1 if owner is None else self.classes[owner])
            self.function(function)
            names.update(names_of(function))
        for cls in self.reached.classes:
            self.struct(cls, names)

    def function(self, function: FunctionType) -> None:
        if function in self.functions:
            self.put("again", self.functions[function])
            return
        self.functions[function] = len(self.functions)
        self.put("def", _home(function), function.__qualname__)
        self.code(function.__code__)
        self.value(function.__defaults__ or (), function.__qualname__)
        self.value(tuple(sorted((function.__kwdefaults__ or {}).items())), function.__qualname__)
        for name, value in globals_of(function):
            self.put(name)
            self.value(value, f"{function.__qualname__} uses {name}")

    def code(self, code: CodeType) -> None:
        self.put(code.co_name, code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_flags)
        self.put(code.co_argcount, code.co_kwonlyargcount, code.co_exceptiontable)
        for const in code.co_consts:
            if isinstance(const, CodeType):
                self.code(const)
            elif isinstance(const, frozenset):
                self.put(sorted(map(repr, const)))
            else:
                self.put(type(const).__name__, const)

    def value(self, value: Any, where: str) -> None:
        """A global's value. What it is, when it is compiled in; only that it is there, when it is never used
        as data."""
        if isinstance(value, Enum):
            self.put("member", type(value).__qualname__, value.name, value.value)
        elif isinstance(value, (int, float, str, bytes, complex, type(None))):
            self.put(type(value).__name__, value)
        elif isinstance(value, tuple):
            self.put("tuple", len(value))
            for item in value:
                self.value(item, where)
        elif isinstance(value, FunctionType):
            if is_foreign(value):
                self.put("foreign", value.__module__, value.__qualname__)
            else:
                self.function(value)
        elif isinstance(value, EnumMeta):
            self.put("enum", value.__qualname__, [(m.name, m.value) for m in value])  # type: ignore[var-annotated]
        elif isinstance(value, (type, BuiltinFunctionType)):
            self.put("builtin", value.__module__, value.__qualname__)
        elif isinstance(value, (ModuleType, logging.Logger)):
            self.put(type(value).__name__, getattr(value, "__name__", ""))
        else:
            raise NotCacheableError(f"{where}, a {type(value).__name__}")

    def struct(self, cls: StructMeta, names: set[str]) -> None:
        self.put("class", _home(cls), cls.__qualname__, [k.__qualname__ for k in cls.__mro__])
        for name, t in cls.__fields__.items():
            self.put(name)
            self.field(t)
        for name in sorted(names - cls.__fields__.keys()):
            for member in members(cls, name):
                getter = member.fget if isinstance(member, property) else member
                self.put(name, type(member).__name__)
                if isinstance(getter, FunctionType):
                    owner = owner_of(getter)
                    self.put(getter.__qualname__, "" if owner is None else owner.__qualname__)
                elif not callable(getter):
                    self.value(getter, f"{cls.__qualname__}.{name}")

    def field(self, t: Any) -> None:
        if isinstance(t, ArraySpec):
            self.put("array", t.n)
            self.field(t.item)
        else:
            self.put(t.__name__, self.classes.get(t, -1))


def signature_of(signatures: Iterable[tuple[Callable[..., Any], tuple[Any, ...]]]) -> list[object]:
    """Signature descriptions as facts for a digest."""
    return [(f.__qualname__, [getattr(t, "__qualname__", t) for t in ts]) for f, ts in signatures]
