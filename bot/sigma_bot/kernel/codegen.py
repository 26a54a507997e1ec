"""Reached code → object code, with Numba. The only door to it; a hit in the cache never comes here."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types

from sigma_bot.kernel.cache import Entry
from sigma_bot.kernel.call_graph import CallGraph
from sigma_bot.kernel.errors import CannotCompileError
from sigma_bot.kernel.explain import explain
from sigma_bot.kernel.lowering import Lowering
from sigma_bot.kernel.numba_private import NumbaWarning, cgutils, cpu_target, from_dtype, global_compiler_lock
from sigma_bot.kernel.source import SourceError
from sigma_bot.kernel.subset import check, refusal_of
from sigma_bot.kernel.typed_pass import InnerLibrary

Linked = Mapping[Callable[..., Any], tuple[str, tuple[Any, ...]]]
Root = tuple[Any, Any, tuple[Any, ...]]  # (function, Numba type returned, Numba types taken)
SYMBOL = "sx_entry"


def generate_engine(
    functions: Mapping[str, tuple[Callable[..., Any], tuple[Any, ...]]], reached: CallGraph
) -> Entry:
    """Native functions under the given symbols."""
    lowering = Lowering({})
    roots = {}
    for symbol, (function, (returns, *args)) in functions.items():
        roots[symbol] = function, lowering.type_of(returns), tuple(lowering.type_of(a) for a in args)
    return _generate(lowering, roots, reached)


def generate_entry(
    loop: Callable[..., Any],
    structs: Sequence[Any],
    arguments: Sequence[str],
    linked: Linked,
    reached: CallGraph,
) -> Entry:
    """The loop as one native function that calls the linked ones by symbol."""
    lowering = Lowering(linked)
    args = (*map(lowering.type_of, structs), *map(_argument, arguments))
    # the loop's columns belong to the caller: it counts no references to them
    return _generate(lowering, {SYMBOL: (loop, types.int64, args)}, reached, _nrt=False)


def _argument(kind: str) -> Any:
    if "[]" not in kind:
        return {"int": types.int64, "float": types.float64}[kind]
    dtype = from_dtype(np.dtype(kind.rstrip("[]!")))
    return types.Array(dtype, 1, "C", readonly=not kind.endswith("!"))


def _generate(lowering: Lowering, roots: Mapping[str, Root], reached: CallGraph, **chosen: Any) -> Entry:
    if refusals := check(reached):
        raise CannotCompileError(refusals)
    try:
        with global_compiler_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore", NumbaWarning)
            return _object_code(lowering, roots, chosen)
    except CannotCompileError:
        raise
    except SourceError as error:
        raise CannotCompileError([refusal_of(reached.functions[0][0], str(error))]) from error
    except Exception as error:
        # Numba also raises KeyError, AssertionError and the like; running interpreted is always left
        raise CannotCompileError([explain(error, reached)]) from error


def _object_code(lowering: Lowering, roots: Mapping[str, Root], chosen: Mapping[str, Any]) -> Entry:
    target = cpu_target.target_context
    library = OuterLibrary(target.codegen(), "sigma_x")
    module = target.create_module("sigma_x_roots")
    for symbol, (function, returns, args) in roots.items():
        result = lowering.root(function, returns, args, **chosen)
        library.add_linking_library(result.library)
        _export(target, module, symbol, result.fndesc)
    library.add_ir_module(module)
    return library.entry(list(roots))


def _export(target: Any, module: Any, symbol: str, fndesc: Any) -> None:
    """A function of the given symbol that passes everything on: Numba's own names are no stable interface."""
    kind = target.call_conv.get_function_type(fndesc.restype, fndesc.argtypes)
    inner = cgutils.get_or_insert_function(module, kind, fndesc.llvm_func_name)
    outer = ir.Function(module, kind, symbol)
    builder = ir.IRBuilder(outer.append_basic_block())
    builder.ret(builder.call(inner, outer.args))


class OuterLibrary(InnerLibrary):
    """Everything the roots need in one module, optimised as a whole; only the roots stay visible."""

    def entry(self, exports: Sequence[str]) -> Entry:
        """Object code and symbols."""
        module = self._final_module
        needed = _closure(self)
        inner = [lib for lib in needed if isinstance(lib, InnerLibrary)]
        for part in [lib._final_module for lib in inner]:
            module.link_in(part, preserve=True)
        # what Numba brings is taken in only where something already refers to it, so it comes last
        for part in [lib._get_module_for_linking() for lib in needed if lib not in inner]:
            module.link_in(part, preserve=True)
        for value in (*module.functions, *module.global_variables):
            if not value.is_declaration and value.name not in exports:
                value.linkage = llvm.Linkage.internal
        self._optimize_final_module()
        module.verify()
        missing = [f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")]
        return Entry(list(exports), missing, self.codegen._tm.emit_object(module))


def _closure(library: InnerLibrary) -> list[Any]:
    """Every library that one needs, each once. Numba's own have already taken in what they need."""
    out: dict[Any, None] = {}
    stack = list(library._linking_libraries)
    while stack:
        needed = stack.pop()
        if needed not in out:
            out[needed] = None
            stack += needed._linking_libraries if isinstance(needed, InnerLibrary) else []
    return list(out)
