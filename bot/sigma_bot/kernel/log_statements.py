"""Log and print statements, f-strings and error texts: what they compute stays, their text goes."""

from __future__ import annotations

import ast
import logging
from collections.abc import Iterator
from types import FunctionType

from sigma_bot.kernel.source import resolve


def is_log_call(node: ast.AST, function: FunctionType) -> bool:
    """Whether an expression only reports: print(), a logging call, self.log(...) or a method of it."""
    if not isinstance(node, ast.Call):
        return False
    target = resolve(node.func, function)
    if target is print or (isinstance(target, FunctionType) and target.__module__ == "logging"):
        return True
    root: ast.AST = node.func
    while isinstance(root, ast.Attribute):
        below = root.value
        if isinstance(below, ast.Name) and below.id == self_of(function) and root.attr == "log":
            return True
        root = below
    return isinstance(resolve(root, function), logging.Logger)


def self_of(function: FunctionType) -> str:
    """The name a method gives its first parameter (usually ``self``)."""
    code = function.__code__
    return code.co_varnames[0] if code.co_argcount else ""


def text_parts(node: ast.AST) -> Iterator[ast.expr]:
    """The values inside the arguments of a log call, an f-string or a formatting: what is computed, not its
    text."""
    if isinstance(node, ast.JoinedStr):
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                yield from text_parts(part.value)
                yield from text_parts(part.format_spec) if part.format_spec is not None else ()
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant):
        yield from text_parts(node.right)
    elif isinstance(node, ast.Tuple):
        for item in node.elts:
            yield from text_parts(item)
    elif isinstance(node, ast.Call) and _is_text_call(node):
        for item in (*node.args, *(k.value for k in node.keywords)):
            yield from text_parts(item)
    elif isinstance(node, ast.expr) and not isinstance(node, (ast.Constant, ast.Name)):
        yield node


def _is_text_call(node: ast.Call) -> bool:
    if isinstance(node.func, ast.Name):
        return node.func.id in ("str", "repr", "format")
    return isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Constant)
