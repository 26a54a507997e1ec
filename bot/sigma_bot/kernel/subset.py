"""What compiles to the same result, decided from the syntax tree before anything is compiled.

Everything that would compile to another result, or not at all, becomes a `Refusal` with its place, its
reason and what to write instead. A strategy with refusals still runs: interpreted.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from enum import Enum, EnumMeta
from types import FunctionType, ModuleType
from typing import Any

from sigma_bot.kernel import libm
from sigma_bot.kernel.call_graph import CallGraph, globals_of, is_foreign, members
from sigma_bot.kernel.errors import Refusal
from sigma_bot.kernel.log_statements import is_log_call, self_of, text_parts
from sigma_bot.kernel.source import (
    MISSING,
    SourceError,
    code_objects,
    is_local,
    line_of,
    mangled,
    resolve,
    tree_of,
)
from sigma_bot.kernel.struct import StructMeta

INT_MAX = 2**63 - 1

MATH_NATIVE = frozenset({"fabs", "copysign", "isnan", "isinf", "isfinite", "gcd"})
MATH_REWRITTEN = frozenset(
    {*libm.UNARY, *libm.BINARY, "sqrt", "floor", "ceil", "trunc", "degrees", "radians"}
)
BUILTINS = frozenset(
    {"abs", "bool", "divmod", "enumerate", "float", "int", "isinstance", "len", "list", "max", "min"}
    | {"print", "range", "round", "sum", "super", "tuple", "zip"}
)
INSTEAD = {
    "math.hypot": "math.sqrt(x * x + y * y)",
    "math.fsum": "sum() or a loop",
    "builtins.pow": "x ** y",
    "builtins.sorted": "an array field kept in order",
    "builtins.str": "numbers; text only inside log and print statements",
}
REMEDY_NODE: dict[type[ast.AST], tuple[str, str]] = {
    ast.Try: ("a compiled method cannot catch errors", "test the value first (if y != 0.0: …)"),
    ast.GeneratorExp: ("generator expressions do not compile", "use a list comprehension or a loop"),
    ast.NamedExpr: ("the walrus operator does not compile", "assign on a line of its own"),
    ast.Global: ("a method cannot rebind a global", "keep the value in a field"),
    ast.Nonlocal: ("a nested function cannot rebind a variable around it", "keep the value in a field"),
    ast.With: ("with statements do not compile", "do this outside the strategy"),
    ast.Import: ("imports inside a method do not compile", "import at the top of the file"),
    ast.ImportFrom: ("imports inside a method do not compile", "import at the top of the file"),
    ast.ClassDef: ("classes inside a method do not compile", "define it at the top of the file"),
    ast.Delete: ("del does not compile", "assign a neutral value"),
    ast.Set: ("sets have no fixed order", "use a tuple"),
    ast.SetComp: ("sets have no fixed order", "use a list"),
    ast.Yield: ("generators do not compile", "use a loop"),
    ast.YieldFrom: ("generators do not compile", "use a loop"),
    ast.Await: ("await does not compile", "strategies are synchronous"),
    ast.JoinedStr: (
        "text made from numbers differs when compiled",
        "keep it inside log and print statements",
    ),
}
if hasattr(ast, "TryStar"):
    REMEDY_NODE[ast.TryStar] = REMEDY_NODE[ast.Try]


def refusal_at(file: str, line: int, column: int, reason: str, remedy: str = "") -> Refusal:
    """A refusal with its source line read from the file."""
    return Refusal(file, line, column, line_of(file, line), reason, remedy)


def refusal_of(function: FunctionType, reason: str, remedy: str = "") -> Refusal:
    """A refusal of a whole function, placed at its first line."""
    code = function.__code__
    return refusal_at(code.co_filename, code.co_firstlineno, 1, reason, remedy)


def constant_problem(value: Any) -> str | None:
    """Why a global's value cannot be compiled in, or None."""
    if isinstance(value, (bool, float, str, type(None), Enum, EnumMeta)):
        return None
    if isinstance(value, int):
        return None if -INT_MAX - 1 <= value <= INT_MAX else "an integer beyond 64 bits"
    if isinstance(value, tuple):
        return next((p for p in map(constant_problem, value) if p is not None), None)
    if isinstance(value, (FunctionType, StructMeta, ModuleType)) or callable(value):
        return None
    return f"a {type(value).__name__}, which can change; use a number, a tuple or a field"


class _Lint(ast.NodeVisitor):
    """Walks one function and collects refusals."""

    def __init__(self, function: FunctionType, owner: StructMeta | None) -> None:
        self.function, self.owner = function, owner
        self.me = self_of(function) if owner is not None else ""
        self.found: list[Refusal] = []

    def refuse(self, node: ast.AST, reason: str, remedy: str = "") -> None:
        file = self.function.__code__.co_filename
        line, column = getattr(node, "lineno", 0), getattr(node, "col_offset", -1) + 1
        self.found.append(refusal_at(file, line, column, reason, remedy))

    def resolve(self, node: ast.AST) -> Any:
        return resolve(node, self.function)

    def visit(self, node: ast.AST) -> None:
        if (said := REMEDY_NODE.get(type(node))) is not None:
            self.refuse(node, *said)
            return
        super().visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for default in (*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)):
            self.visit(default)
        if node.args.kwarg is not None:
            self.refuse(node, "**kwargs do not compile", "name the parameters")
        for stmt in node.body:
            self.visit(stmt)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.refuse(node, "async functions do not compile", "strategies are synchronous")

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call) and is_log_call(node.value, self.function):
            for value in (v for a in _arguments(node.value) for v in text_parts(a)):
                self.visit(value)
        else:
            self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        target = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        kind = self.resolve(target) if target is not None else None
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            self.refuse(node, "only `raise SomeError(…)` compiles", "raise an exception class by its name")
        for value in (v for a in _arguments(node.exc) for v in text_parts(a)):
            self.visit(value)

    def visit_Assert(self, node: ast.Assert) -> None:
        self.visit(node.test)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.target)
        if node.value is not None:
            self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, int) and abs(node.value) > INT_MAX:
            self.refuse(node, "an integer beyond 64 bits", "compiled integers are 64 bits")
        elif isinstance(node.value, (complex, bytes)):
            self.refuse(node, f"{type(node.value).__name__} values do not compile")

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.op, ast.Pow) and any(isinstance(n, ast.Call) for n in ast.walk(node.target)):
            self.refuse(
                node, "**= on a place found by a call would call twice", "keep the index in a variable"
            )
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for op, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, (ast.Is, ast.IsNot)) and not (
                isinstance(right, ast.Constant) and right.value is None
            ):
                self.refuse(node, "`is` compares identity, which compiled values do not have", "use ==")
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            value = self.resolve(node)
            if value is MISSING and not is_local(node.id, self.function):
                self.refuse(node, f"{node.id} is not defined")
            self.check_value(node, node.id, value)

    def check_value(self, node: ast.AST, name: str, value: Any) -> None:
        if value is not MISSING and (problem := constant_problem(value)) is not None:
            self.refuse(node, f"{name} is {problem}")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Store) and self.resolve(node.value) is not MISSING:
            self.refuse(node, f"a method cannot set an attribute of {ast.unparse(node.value)}", "use a field")
            return
        mine = isinstance(node.value, ast.Name) and node.value.id == self.me and self.owner is not None
        if mine and isinstance(node.ctx, ast.Store):
            self.store(node, mangled(node.attr, self.function))
        elif mine:
            self.load(node, mangled(node.attr, self.function))
        elif _is_super(node.value):
            return
        else:
            value = self.resolve(node)
            if value is MISSING:
                self.visit(node.value)
            else:
                self.check_value(node, ast.unparse(node), value)

    def store(self, node: ast.Attribute, name: str) -> None:
        assert self.owner is not None
        if name in self.owner.__fields__:
            return
        if any(isinstance(m, property) for m in members(self.owner, name)):
            self.refuse(node, f"property setters do not compile: {name}", "write a method set_…(self, value)")
        else:
            self.refuse(
                node, f"{self.me}.{name} is not a declared field", f"declare it in the class: {name}: float"
            )

    def load(self, node: ast.Attribute, name: str) -> None:
        assert self.owner is not None
        if name in self.owner.__fields__ or not (found := members(self.owner, name)):
            return
        member = found[0]
        if isinstance(member, (staticmethod, classmethod)):
            kind = type(member).__name__
            self.refuse(
                node, f"{name} is a {kind}, which does not compile", "make it a function of the module"
            )
        elif not isinstance(member, (FunctionType, property)):
            self.check_value(node, f"{self.me}.{name}", member)

    def visit_Dict(self, node: ast.Dict) -> None:
        if any(isinstance(key, ast.Constant) and isinstance(key.value, str) for key in node.keys):
            self.refuse(node, "a dict with text keys does not compile", "use fields, or whole numbers")
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.slice, ast.Slice) and not isinstance(node.ctx, ast.Load):
            self.refuse(node, "assigning to a slice does not compile", "assign the items in a loop")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        target = self.resolve(node.func)
        if target is MISSING:
            if isinstance(node.func, ast.Attribute) and node.func.attr == "sort":
                self.refuse(node, "list.sort differs when compiled", f"use {INSTEAD['builtins.sorted']}")
            self.visit(node.func)
        else:
            self.call(node, target)
        for argument in _arguments(node):
            self.visit(argument)

    def call(self, node: ast.Call, target: Any) -> None:
        module, name = getattr(target, "__module__", "") or "", getattr(target, "__name__", str(target))
        known = f"{module}.{name}"
        if known in INSTEAD:
            self.refuse(
                node, f"{known.removeprefix('builtins.')} differs when compiled", f"use {INSTEAD[known]}"
            )
        elif target is round and (len(node.args) != 1 or node.keywords):
            self.refuse(node, "round(x, digits) differs when compiled", "use round(x / step) * step")
        elif target is print:
            self.refuse(node, "print inside an expression does not compile", "print on a line of its own")
        elif module == "builtins":
            if name not in BUILTINS:
                self.refuse(node, f"{name}() does not compile")
        elif module == "math":
            if name not in MATH_NATIVE and name not in MATH_REWRITTEN:
                self.refuse(node, f"math.{name} differs when compiled or does not compile")
        elif isinstance(target, StructMeta):
            self.refuse(node, f"a method cannot create a {name}", "declare it as a field")
        elif isinstance(target, FunctionType) and not is_foreign(target):
            self.positional(node, target)
        elif isinstance(target, type) and issubclass(target, Exception):
            return
        else:
            dotted = ast.unparse(node.func)
            instead = (
                f"use math.{name}" if name in MATH_REWRITTEN | MATH_NATIVE and hasattr(math, name) else ""
            )
            self.refuse(node, f"{dotted}() is outside the compiled subset", instead)

    def positional(self, node: ast.Call, target: FunctionType) -> None:
        """Keyword-only parameters are made ordinary for Numba; giving one by position stays an error."""
        code = target.__code__
        limit = code.co_argcount
        if code.co_kwonlyargcount and not code.co_flags & 0x04 and len(node.args) > limit:
            self.refuse(
                node, f"{target.__name__}() takes {limit} positional arguments, {len(node.args)} are given"
            )


def _arguments(node: ast.AST | None) -> list[ast.expr]:
    return [*node.args, *(k.value for k in node.keywords)] if isinstance(node, ast.Call) else []


def _is_super(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


def lint(function: FunctionType, owner: StructMeta | None) -> list[Refusal]:
    """What of one function is outside the subset."""
    try:
        tree = tree_of(function)
    except SourceError as error:
        return [refusal_of(function, str(error))]
    walker = _Lint(function, owner)
    walker.visit(tree)
    if not walker.found and any(
        _too_large(c) for code in code_objects(function.__code__) for c in code.co_consts
    ):
        walker.refuse(tree, "constants that make an integer beyond 64 bits", "compiled integers are 64 bits")
    args = tree.args
    required = [d is None for d in args.kw_defaults]
    awkward = any(required) and (args.defaults or required != sorted(required, reverse=True))
    if args.kwonlyargs and (args.vararg is not None or awkward):
        reason = (
            "keyword-only parameters after *args, or without a default after ones with it, do not compile"
        )
        walker.refuse(tree, reason, "give them defaults")
    return walker.found


def _too_large(const: object) -> bool:
    return isinstance(const, int) and abs(const) > INT_MAX


def recursion(reached: CallGraph) -> list[Refusal]:
    """Functions and methods that call themselves, directly or through others."""
    graph: dict[tuple[str, int, str], set[tuple[str, int, str]]] = {}
    functions = {_key(f): f for f, _ in reached.functions}
    for function, owner in reached.functions:
        edges = graph.setdefault(_key(function), set())
        edges.update(_key(v) for _, v in globals_of(function) if isinstance(v, FunctionType))
        if owner is not None:
            edges.update(_key(m) for m in _own_calls(function, owner))
    return [
        refusal_of(functions[start], f"{functions[start].__name__} calls itself", "use a loop")
        for start in graph
        if start in functions and _reaches(graph, start)
    ]


def _key(function: FunctionType) -> tuple[str, int, str]:
    return function.__code__.co_filename, function.__code__.co_firstlineno, function.__qualname__


def _own_calls(function: FunctionType, owner: StructMeta) -> Iterator[FunctionType]:
    try:
        tree = tree_of(function)
    except SourceError:
        return
    me = self_of(function)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == me:
            for member in members(owner, node.attr)[:1]:
                if isinstance(member, FunctionType):
                    yield member


def _reaches(
    graph: dict[tuple[str, int, str], set[tuple[str, int, str]]], start: tuple[str, int, str]
) -> bool:
    seen, stack = set(), list(graph[start])
    while stack:
        node = stack.pop()
        if node == start:
            return True
        if node not in seen:
            seen.add(node)
            stack += graph.get(node, ())
    return False


def check(reached: CallGraph) -> list[Refusal]:
    """Every refusal in everything reached, once per place, in order of file and line."""
    found = {r: None for function, owner in reached.functions for r in lint(function, owner)}
    found.update(dict.fromkeys(recursion(reached)))
    return sorted(found, key=lambda r: (r.file, r.line, r.column))


def libm_used(reached: CallGraph) -> list[str]:
    """The libm functions of `libm.INEXACT` that reached code calls: results with them depend on the machine's
    libm."""
    used: set[str] = set()
    for function, _ in reached.functions:
        try:
            tree = tree_of(function)
        except SourceError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Pow):
                used.add("pow")
            elif isinstance(node, ast.Call):
                target = resolve(node.func, function)
                if getattr(target, "__module__", "") == "math":
                    used.add(target.__name__)
    return sorted(used & set(libm.INEXACT))
