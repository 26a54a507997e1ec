"""The source of a function → source that compiles and computes the same.

File and lines stay. CPython runs the original.

| written | compiled |
|---|---|
| ``x ** y``, ``math.log(x)``, ``int(x)``, ``round(x)``, ``sum(xs)`` | checked functions (`overloads`) |
| ``math.log(x, base)`` | ``math.log(x) / math.log(base)``, as CPython computes it |
| ``super().m(x)``, ``super().p`` | ``self.super_<n>_m(x)``: the next one over the MRO (`world`) |
| ``Base.m(self, x)``, ``Class.CONST``, ``module.CONST`` | the function, the constant |
| ``def f(a, *, b=1)`` | ``def f(a, b=1)``: Numba cannot bind keyword-only parameters |
| log and print statements | the values they mention, computed and dropped (an error in them stays an error) |
| ``raise E(text)``, ``assert x, text`` | without the text: the interpreted replay shows it |
"""

from __future__ import annotations

import ast
import builtins
import copy
import math
from collections.abc import Callable
from enum import IntEnum
from types import FunctionType
from typing import Any

from sigma_bot.kernel.log_statements import is_log_call, self_of, text_parts
from sigma_bot.kernel.source import (
    MISSING,
    class_name_of,
    closure_of,
    code_objects,
    global_names_of,
    owner_of,
    resolve,
    tree_of,
)
from sigma_bot.kernel.subset import MATH_REWRITTEN

EXACT = "sx_"
REPLACED: dict[Any, str] = {getattr(math, n): EXACT + n for n in MATH_REWRITTEN if hasattr(math, n)}
REPLACED |= {
    builtins.int: "sx_int",
    builtins.float: "sx_float",
    builtins.round: "sx_round",
    builtins.sum: "sx_sum",
}

_OWNERS: dict[type, str] = {}


def super_name(owner: type, attribute: str) -> str:
    """The attribute under which ``super().attribute`` inside ``owner`` is registered on every class derived
    from it."""
    token = _OWNERS.setdefault(owner, str(len(_OWNERS)))
    return f"super_{token}_{attribute}"


def constant_of(value: Any) -> Any:
    """A constant as compiled code holds it: the member of an IntEnum is its integer."""
    return int(value) if isinstance(value, IntEnum) else value


class _Rewriter(ast.NodeTransformer):
    def __init__(self, function: FunctionType) -> None:
        self.function = function
        self.functions: dict[str, Callable[..., Any]] = {}

    def resolve(self, node: ast.AST) -> Any:
        return resolve(node, self.function)

    def exact(self, name: str, at: ast.AST, *args: ast.expr) -> ast.expr:
        call = ast.Call(ast.Name(name, ast.Load()), list(args), [])
        return ast.copy_location(call, at)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        return self.exact("sx_pow", node, node.left, node.right) if isinstance(node.op, ast.Pow) else node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Pow):
            return node
        read: Any = copy.deepcopy(node.target)
        read.ctx = ast.Load()
        value = self.exact("sx_pow", node, read, node.value)
        return ast.copy_location(ast.Assign([node.target], value), node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return self.visit(ast.copy_location(ast.Assign([node.target], node.value), node))  # type: ignore[no-any-return]

    def visit_Expr(self, node: ast.Expr) -> Any:
        if is_log_call(node.value, self.function):
            return self.drop([*node.value.args, *(k.value for k in node.value.keywords)], node)  # type: ignore[attr-defined]
        return self.generic_visit(node)

    def drop(self, said: list[ast.expr], at: ast.AST) -> list[ast.stmt]:
        """Statements that compute what ``said`` mentions and forget it."""
        values = [self.visit(v) for a in said for v in text_parts(a)]
        out: list[ast.stmt] = [ast.copy_location(ast.Expr(v), at) for v in values]
        return out or [ast.copy_location(ast.Pass(), at)]

    def visit_Raise(self, node: ast.Raise) -> Any:
        said = (
            [*node.exc.args, *(k.value for k in node.exc.keywords)] if isinstance(node.exc, ast.Call) else []
        )
        bare = ast.copy_location(ast.Raise(ast.Name("RuntimeError", ast.Load()), None), node)
        return [*self.drop(said, node), bare]

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        return ast.copy_location(ast.Assert(self.visit(node.test), None), node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Call) and self.is_super(node.value):
            owner = owner_of(self.function)
            assert owner is not None
            me = ast.copy_location(ast.Name(self_of(self.function), ast.Load()), node.value)
            return ast.copy_location(ast.Attribute(me, super_name(owner, node.attr), node.ctx), node)
        value = self.resolve(node)
        if isinstance(value, FunctionType):
            name = f"{EXACT}f{len(self.functions)}_{node.attr}"
            self.functions[name] = value
            return ast.copy_location(ast.Name(name, ast.Load()), node)
        if value is not MISSING and isinstance(constant_of(value), (bool, int, float, str)):
            return ast.copy_location(ast.Constant(constant_of(value)), node)
        return self.generic_visit(node)

    @staticmethod
    def is_super(node: ast.Call) -> bool:
        return isinstance(node.func, ast.Name) and node.func.id == "super"

    def visit_Call(self, node: ast.Call) -> ast.AST:
        target = self.resolve(node.func)
        name = REPLACED.get(target) if callable(target) and getattr(target, "__hash__", None) else None
        if target is float and len(node.args) == 1 and isinstance(node.args[0], ast.Constant):
            return ast.copy_location(ast.Constant(float(node.args[0].value)), node)  # type: ignore[arg-type]
        self.generic_visit(node)
        if name == "sx_log" and len(node.args) == 2:
            logs = [self.exact("sx_log", node, arg) for arg in node.args]
            return ast.copy_location(ast.BinOp(logs[0], ast.Div(), logs[1]), node)
        if name is not None:
            node.func = ast.copy_location(ast.Name(name, ast.Load()), node.func)
        return node


def rewrite(function: FunctionType) -> tuple[FunctionType, dict[str, Callable[..., Any]]]:
    """A new function with the rewritten code and no globals yet, and the Python functions its new names
    stand for.

    The caller fills ``__globals__``: the exact functions (names starting with ``sx_``), the returned
    functions, and what the original names. Closure variables became globals. Raises SourceError.
    """
    tree = copy.deepcopy(tree_of(function))
    if isinstance(tree, ast.Lambda):
        body: list[ast.stmt] = [ast.copy_location(ast.Return(tree.body), tree.body)]
        tree = ast.copy_location(ast.FunctionDef("_lambda", tree.args, body, [], None), tree)
    _strip_annotations(tree)
    walker = _Rewriter(function)
    tree.body = [s for stmt in tree.body for s in _as_list(walker.visit(stmt))]
    outer = class_name_of(function)  # private names (__x) are mangled by the class around the method
    body = [ast.ClassDef(outer, [], [], [tree], [])] if outer else [tree]
    module = ast.fix_missing_locations(ast.Module(body, []))
    code = compile(module, function.__code__.co_filename, "exec", dont_inherit=True)
    name = tree.name
    inner = next(c for c in code_objects(code) if c.co_name == name and c.co_firstlineno == tree.lineno)
    new = FunctionType(inner, {"__builtins__": builtins}, function.__name__, _defaults(function))
    new.__qualname__, new.__module__ = function.__qualname__, function.__module__
    return new, walker.functions


def _as_list(node: Any) -> list[ast.stmt]:
    return node if isinstance(node, list) else [node]


def _strip_annotations(tree: ast.FunctionDef) -> None:
    """No decorators, no annotations, keyword-only parameters made ordinary."""
    tree.decorator_list, tree.returns = [], None
    for arg in ast.walk(tree.args):
        if isinstance(arg, ast.arg):
            arg.annotation = None
    args = tree.args
    if args.kwonlyargs:
        args.args = args.args + args.kwonlyargs
        args.defaults = args.defaults + [d for d in args.kw_defaults if d is not None]
        args.kwonlyargs, args.kw_defaults = [], []


def _defaults(function: FunctionType) -> tuple[Any, ...]:
    keyword_only = function.__kwdefaults__ or {}
    count = function.__code__.co_argcount
    names = function.__code__.co_varnames[count : count + function.__code__.co_kwonlyargcount]
    return (function.__defaults__ or ()) + tuple(keyword_only[n] for n in names if n in keyword_only)


def outside_values(function: FunctionType) -> dict[str, Any]:
    """Every global and closure variable ``function`` names, with its value."""
    names = global_names_of(function)
    out = {n: function.__globals__[n] for n in names if n in function.__globals__}
    return out | {n: v for n, v in closure_of(function).items() if n != "__class__"}
