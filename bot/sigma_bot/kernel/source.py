"""From a function to its syntax tree, and from a name in that tree to the object it stands for."""

from __future__ import annotations

import ast
import builtins
import linecache
from collections import ChainMap
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from opcode import opmap
from types import CodeType, FunctionType, ModuleType
from typing import Any

MISSING: Any = object()


class SourceError(Exception):
    """The text of a function cannot be had, or is not what was imported."""


@dataclass(frozen=True)
class _File:
    """One parsed file: its functions by (name, first line), as tree and as code."""

    trees: dict[tuple[str, int], list[ast.FunctionDef | ast.Lambda]]
    codes: dict[tuple[str, int], CodeType]


@lru_cache(maxsize=256)
def _parse(filename: str, text: str) -> _File:
    tree = ast.parse(text, filename)
    trees: dict[tuple[str, int], list[ast.FunctionDef | ast.Lambda]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            trees.setdefault((node.name, first), []).append(node)
        elif isinstance(node, ast.Lambda):
            trees.setdefault(("<lambda>", node.lineno), []).append(node)
    codes: dict[tuple[str, int], CodeType] = {}
    stack = [compile(tree, filename, "exec", dont_inherit=True)]
    while stack:
        code = stack.pop()
        codes[code.co_name, code.co_firstlineno] = code
        stack += [c for c in code.co_consts if isinstance(c, CodeType)]
    return _File(trees, codes)


def _file_of(function: FunctionType) -> _File:
    filename = function.__code__.co_filename
    linecache.checkcache(filename)
    lines = linecache.getlines(filename, function.__globals__)
    if not lines:
        raise SourceError(f"the source of {function.__qualname__} cannot be read")
    return _parse(filename, "".join(lines))


def tree_of(function: FunctionType) -> ast.FunctionDef | ast.Lambda:
    """The syntax tree of ``function``, lines and columns those of its file. The caller must not change it.

    Raises SourceError when there is no source, or when the file is no longer the one that was imported.
    """
    file = _file_of(function)
    key = function.__code__.co_name, function.__code__.co_firstlineno
    found = file.trees.get(key, [])
    if len(found) > 1:
        raise SourceError("two lambdas start on one line; give one of them a line, or a name, of its own")
    if not found or not _same(file.codes[key], function.__code__):
        raise SourceError(f"the source of {function.__qualname__} has changed since it was imported")
    return found[0]


def line_of(filename: str, line: int) -> str:
    """One line of a source file, stripped; empty when it cannot be read."""
    return linecache.getline(filename, line).strip()


def _same(a: CodeType, b: CodeType) -> bool:
    if a.co_code != b.co_code or a.co_names != b.co_names or len(a.co_consts) != len(b.co_consts):
        return False
    for x, y in zip(a.co_consts, b.co_consts, strict=True):
        if isinstance(x, CodeType) and isinstance(y, CodeType):
            if not _same(x, y):
                return False
        elif repr(x) != repr(y) and not isinstance(x, frozenset):
            return False
    return True


def code_objects(code: CodeType) -> list[CodeType]:
    """``code`` and every code object inside it (lambdas, comprehensions, nested functions)."""
    out = [code]
    for const in code.co_consts:
        if isinstance(const, CodeType):
            out += code_objects(const)
    return out


def names_of(function: FunctionType) -> list[str]:
    """Every global and attribute name ``function`` mentions, in order of first mention."""
    return list(dict.fromkeys(n for c in code_objects(function.__code__) for n in c.co_names))


@lru_cache(maxsize=4096)
def _global_names(code: CodeType) -> list[str]:
    """The names ``code`` loads as globals, and not only as attributes. From Python 3.11 on an index is
    doubled."""
    out: dict[str, None] = {}
    argument = 0
    for at in range(0, len(code.co_code), 2):
        argument = argument << 8 | code.co_code[at + 1]
        if code.co_code[at] == opmap["LOAD_GLOBAL"]:
            out[code.co_names[argument >> 1]] = None
        if code.co_code[at] != opmap["EXTENDED_ARG"]:
            argument = 0
    return list(out)


def global_names_of(function: FunctionType) -> list[str]:
    """Every name ``function`` looks up as a global, in order of first use."""
    return list(dict.fromkeys(n for c in code_objects(function.__code__) for n in _global_names(c)))


def closure_of(function: FunctionType) -> dict[str, Any]:
    """Names a nested function takes from the function around it, with their values."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return {name: cell.cell_contents for name, cell in cells}


def is_local(name: str, function: FunctionType) -> bool:
    """Whether ``name`` is a variable of ``function`` or of a function inside it."""
    return any(name in c.co_varnames or name in c.co_cellvars for c in code_objects(function.__code__))


def resolve(node: ast.AST, function: FunctionType) -> Any:
    """The object a name or dotted name stands for outside the function's own variables, or MISSING."""
    if isinstance(node, ast.Name) and not is_local(node.id, function):
        outside = ChainMap(closure_of(function), function.__globals__, vars(builtins))
        return outside.get(node.id, MISSING)
    if isinstance(node, ast.Attribute):
        base = resolve(node.value, function)
        if isinstance(base, (ModuleType, type)):
            return getattr(base, node.attr, MISSING)
        if isinstance(base, Enum) and node.attr in ("value", "name"):
            return getattr(base, node.attr)
    return MISSING


def owner_of(function: FunctionType) -> type | None:
    """The class whose body holds ``function`` and whose ``super()`` it calls (None without a ``super()``)."""
    owner = closure_of(function).get("__class__")
    return owner if isinstance(owner, type) else None


def class_name_of(function: FunctionType) -> str:
    """Name of the class whose body holds ``function``, or "" for a plain function."""
    parts = function.__qualname__.split(".")
    return parts[-2] if len(parts) > 1 and parts[-2] != "<locals>" else ""


def mangled(name: str, function: FunctionType) -> str:
    """An attribute name as Python stores it: ``__x`` inside ``class C`` is ``_C__x``."""
    owner = class_name_of(function).lstrip("_")
    return f"_{owner}{name}" if owner and name.startswith("__") and not name.endswith("__") else name
