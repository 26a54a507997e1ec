"""Numba's pipeline with two changes: a pass over the typed code, and no machine code for inner functions.

The pass sees every operation with its types. It replaces integer operators by checked ones (`overloads`) and
refuses what CPython would compute differently: a float stored in an int field, a whole struct assigned,
arrays used like NumPy's. Only the outermost function is ever called, so inner functions stay LLVM code and
are optimised once, inside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numba import types

from sigma_bot.kernel.call_graph import callables_of, members
from sigma_bot.kernel.errors import CannotCompileError, Refusal
from sigma_bot.kernel.numba_private import (
    AnnotateTypes,
    CompilerBase,
    CPUCodeLibrary,
    DefaultPassBuilder,
    FindLiterallyCalls,
    FunctionPass,
    LiteralPropagationSubPipelinePass,
    LiteralUnroll,
    LoweringPass,
    NativeLowering,
    NopythonRewrites,
    NopythonTypeInference,
    ir,
    register_pass,
    signature,
)
from sigma_bot.kernel.overloads import EXACT_INT, INT_OPERATORS, MIXED_COMPARISONS
from sigma_bot.kernel.subset import refusal_at

INT_NAMES = (types.int64, types.intp)


class InnerLibrary(CPUCodeLibrary):  # type: ignore[misc, unused-ignore]
    """LLVM code of one function, kept as it was made until the outermost library takes it in."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        """Nothing: neither linked, nor optimised, nor compiled by itself."""
        self._finalized = True


@register_pass(mutates_CFG=False, analysis_only=False)
class CheckedTypes(FunctionPass):  # type: ignore[misc, unused-ignore]
    """Replace and refuse by type."""

    _name = "sigma_exact_types"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        _Types(state).run()
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class KeepUncompiled(LoweringPass):  # type: ignore[misc, unused-ignore]
    """Make an uncompiled function known to its callers, under a key that only has to be unique."""

    _name = "sigma_keep_uncompiled"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        key: Any = [].append  # Numba wants a built-in function; this one is new each time and never called
        lowered = state["cr"]
        state.targetctx.insert_user_function(key, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=key)
        return True


# Passes for what the subset does not have: array expressions, literal_unroll, with blocks, drawings of the
# types.
UNNEEDED = (
    NopythonRewrites,
    LiteralUnroll,
    LiteralPropagationSubPipelinePass,
    FindLiterallyCalls,
    AnnotateTypes,
)


class Pipeline(CompilerBase):  # type: ignore[misc, unused-ignore]
    """The compiler used for every function of a strategy and of the engine."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.state.flags.no_compile = True

    def define_pipelines(self) -> list[Any]:
        if self.state.library is None:
            name = self.state.func_id.func_qualname
            self.state.library = InnerLibrary(self.state.targetctx.codegen(), name)
        manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager.passes = [(p, text) for p, text in manager.passes if p not in UNNEEDED]
        manager.add_pass_after(CheckedTypes, NopythonTypeInference)
        manager.add_pass_after(KeepUncompiled, NativeLowering)
        manager.finalize()
        return [manager]


PACKAGE = str(Path(__file__).parents[1])


class _Types:
    """One function's typed code."""

    def __init__(self, state: Any) -> None:
        self.ir, self.typemap, self.calltypes = state.func_ir, state.typemap, state.calltypes
        self.found: list[Refusal] = []

    def run(self) -> None:
        for block in self.ir.blocks.values():
            for stmt in block.body:
                self.statement(stmt)
        if self.found:
            raise CannotCompileError(dict.fromkeys(self.found))

    def refuse(self, at: Any, reason: str, remedy: str = "") -> None:
        column = (at.loc.col or 0) + 1
        self.found.append(refusal_at(at.loc.filename, at.loc.line, column, reason, remedy))

    def type_of(self, var: Any) -> Any:
        return self.typemap[var.name]

    def is_literal(self, var: Any) -> bool:
        """Whether an integer variable holds a written constant that a float holds exactly."""
        kind = self.type_of(var)
        value = kind.literal_value if isinstance(kind, types.IntegerLiteral) else None
        if value is None:
            try:
                definition = self.ir.get_definition(var)
            except KeyError:
                return False
            value = definition.value if isinstance(definition, (ir.Const, ir.Global, ir.FreeVar)) else None
        return isinstance(value, int) and abs(value) <= EXACT_INT

    def statement(self, stmt: Any) -> None:
        if isinstance(stmt, ir.SetAttr):
            target = self.type_of(stmt.target)
            if isinstance(target, types.Record) and stmt.attr in target.fields:
                self.ownership(stmt, target)
                self.store(stmt, stmt.attr, target.typeof(stmt.attr), stmt.value)
        elif isinstance(stmt, (ir.SetItem, ir.StaticSetItem)):
            target = self.type_of(stmt.target)
            if isinstance(target, types.Array):
                self.store(stmt, "the item", target.dtype, stmt.value)
        elif isinstance(stmt, ir.Assign) and isinstance(stmt.value, ir.Expr):
            self.expression(stmt, stmt.value)

    def ownership(self, stmt: Any, target: Any) -> None:
        """Ours are not checked for bounds, so what indexes their buffers must not be set from outside."""
        if stmt.loc.filename.startswith(PACKAGE):
            return
        for cls in target.struct.__mro__:
            if cls.__module__.startswith("sigma_bot.") and stmt.attr in getattr(cls, "__fields__", {}):
                self.refuse(stmt, f"{stmt.attr} belongs to {cls.__name__}", "call its methods: setup(…)")
                return

    def store(self, at: Any, name: str, field: Any, var: Any) -> None:
        value = types.unliteral(self.type_of(var))
        if isinstance(value, types.Optional):
            value = value.type
        if isinstance(field, types.Record):
            self.refuse(
                at,
                f"{name} is a whole struct: assigning it copies when compiled and shares otherwise",
                "assign its fields one by one",
            )
        elif isinstance(field, types.NestedArray):
            self.refuse(at, f"{name} is an array field and keeps its length", "assign its items in a loop")
        elif isinstance(field, types.Integer) and isinstance(value, types.Float):
            self.refuse(at, f"a float is stored in {name}, declared int", "declare it float, or write int(…)")
        elif isinstance(field, types.Boolean) and not isinstance(value, types.Boolean):
            self.refuse(at, f"a number is stored in {name}, declared bool", "write bool(…) or a comparison")
        elif isinstance(field, types.Float) and isinstance(value, types.Integer) and not self.is_literal(var):
            self.refuse(
                at, f"an int is stored in {name}, declared float", "declare it int, or write float(…)"
            )

    def expression(self, stmt: Any, expr: Any) -> None:
        if expr.op == "phi":
            self.merge(stmt, expr)
        elif expr.op == "cast":
            self.mixed(stmt, "the result", [expr.value])
        elif expr.op in ("binop", "inplace_binop"):
            self.operator(stmt, expr)
        elif expr.op in ("getitem", "static_getitem"):
            if isinstance(self.type_of(expr.value), types.Array) and self.is_slice(expr):
                self.refuse(
                    stmt,
                    "a slice of an array field is a view when compiled and a copy otherwise",
                    "loop over a range of indices",
                )
        elif expr.op == "call":
            self.truth(stmt, expr)
            self.mixed_call(stmt, expr)
            self.positional(stmt, expr)

    def is_slice(self, expr: Any) -> bool:
        if expr.op == "static_getitem":
            return isinstance(expr.index, slice)
        return isinstance(self.type_of(expr.index), types.SliceType)

    def merge(self, stmt: Any, expr: Any) -> None:
        """Where branches meet: a variable of this name comes from each of them."""
        name = stmt.target.unversioned_name
        if ir.UNDEFINED in expr.incoming_values:
            self.refuse(stmt, f"{name} may be used before it has a value", "give it one first")
        else:
            self.mixed(stmt, name if name.isidentifier() else "the value", expr.incoming_values)

    def mixed(self, stmt: Any, name: str, values: list[Any]) -> None:
        """Compiled, a variable is a float once it is a float anywhere; a written integer keeps its value."""
        if not isinstance(self.type_of(stmt.target), types.Float):
            return
        if any(isinstance(self.type_of(v), types.Integer) and not self.is_literal(v) for v in values):
            self.refuse(stmt, f"{name} holds an int here and a float elsewhere", "write float(…)")

    def operator(self, stmt: Any, expr: Any) -> None:
        left, right = types.unliteral(self.type_of(expr.lhs)), types.unliteral(self.type_of(expr.rhs))
        if isinstance(left, types.Array) or isinstance(right, types.Array):
            self.refuse(
                stmt,
                "an operator on an array field is NumPy's when compiled and a list's otherwise",
                "work on its items in a loop",
            )
            return
        plain = expr.immutable_fn if expr.op == "inplace_binop" else expr.fn
        sig = self.calltypes[expr]
        if plain in INT_OPERATORS and all(a in INT_NAMES for a in map(types.unliteral, sig.args)):
            self.replace(expr, INT_OPERATORS[plain], signature(sig.return_type, types.int64, types.int64))
        elif plain in MIXED_COMPARISONS:
            mixed = left in INT_NAMES, right in INT_NAMES
            if mixed == (True, False) and isinstance(right, types.Float) and not self.is_literal(expr.lhs):
                self.replace(
                    expr, MIXED_COMPARISONS[plain][0], signature(types.boolean, types.int64, types.float64)
                )
            elif mixed == (False, True) and isinstance(left, types.Float) and not self.is_literal(expr.rhs):
                self.replace(
                    expr, MIXED_COMPARISONS[plain][1], signature(types.boolean, types.float64, types.int64)
                )

    def replace(self, expr: Any, function: Any, sig: Any) -> None:
        if expr.op == "inplace_binop":
            expr.immutable_fn = function
        else:
            expr.fn = function
        del self.calltypes[expr]
        self.calltypes[expr] = sig

    def truth(self, stmt: Any, expr: Any) -> None:
        if getattr(self.type_of(expr.func), "typing_key", None) is bool and len(expr.args) == 1:
            if isinstance(self.type_of(expr.args[0]), types.Array):
                self.refuse(
                    stmt, "an array field is always true, and has no truth when compiled", "use len(…)"
                )

    def mixed_call(self, stmt: Any, expr: Any) -> None:
        """``max`` and ``min`` turn every argument into a float when compiled; a written integer keeps its
        value."""
        function = self.type_of(expr.func)
        if getattr(function, "typing_key", None) not in (max, min) or len(expr.args) < 2:
            return
        kinds = [types.unliteral(self.type_of(a)) for a in expr.args]
        if any(isinstance(k, types.Float) for k in kinds):
            for var, kind in zip(expr.args, kinds, strict=True):
                if isinstance(kind, types.Integer) and not self.is_literal(var):
                    self.refuse(
                        stmt, "min and max of an int and a float differ when compiled", "write float(…)"
                    )

    def positional(self, stmt: Any, expr: Any) -> None:
        """Keyword-only parameters are made ordinary for Numba; giving one by position stays an error."""
        function = self.type_of(expr.func)
        struct: Any = getattr(getattr(function, "this", None), "struct", None)
        definition = self.ir.get_definition(expr.func) if struct is not None else None
        if definition is None or not hasattr(definition, "attr"):
            return
        for method in [f for m in members(struct, definition.attr)[:1] for f in callables_of(m)]:
            limit, given = method.__code__.co_argcount - 1, len(expr.args)
            if given > limit and method.__code__.co_kwonlyargcount:
                self.refuse(
                    stmt,
                    f"{method.__name__}() takes {limit} positional arguments, {given} are given",
                    "name the others",
                )
