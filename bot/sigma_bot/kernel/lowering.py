"""Structs and functions → Numba. One `World` per compilation; imports Numba, so only a cache miss comes here.

Every Struct class gets a Record type of its own: classes of equal layout stay different, none converts to
another, and methods are found by class. A record is passed as its address, so a method changes it in place.
"""

# ruff: noqa: ARG001 - Numba gives these parameters, used or not

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

from numba import njit, types
from numba.extending import intrinsic, overload_attribute, overload_method, register_model

from sigma_bot.kernel import overloads
from sigma_bot.kernel.call_graph import callables_of, is_foreign, members
from sigma_bot.kernel.errors import CannotCompileError
from sigma_bot.kernel.numba_private import TypingError, cgutils, models
from sigma_bot.kernel.rewrite import constant_of, outside_values, rewrite, super_name
from sigma_bot.kernel.source import owner_of
from sigma_bot.kernel.struct import ArraySpec, Struct, StructMeta, dtype_of
from sigma_bot.kernel.subset import refusal_of
from sigma_bot.kernel.typed_pass import Pipeline

SCALARS: dict[type, Any] = {float: types.float64, int: types.int64, bool: types.boolean}
ENGINE = ("sigma_bot.engine.", "sigma_bot.backtest.", "sigma_bot.indicators.")

_numbers = itertools.count()


class StructType(types.Record):  # type: ignore[misc, unused-ignore]
    """A record type with an identity: each Struct class of a world has a subclass of its own."""

    def __init__(self, cls: StructMeta, name: str, fields: dict[str, Any]) -> None:
        layout = dtype_of(cls)
        places = [
            (n, {"type": t, "offset": layout.fields[n][1], "alignment": layout.fields[n][0].alignment})
            for n, t in fields.items()
        ]
        super().__init__(places, layout.itemsize, True)
        self.name = name
        self.struct = cls

    def can_convert_to(self, typingctx: Any, other: Any) -> None:
        """Never: Numba would convert a record to any whose fields are the first ones of its own."""

    def typeof(self, key: str) -> Any:
        """The type of a field; an unknown one is an error of typing."""
        if key not in self.fields:
            raise TypingError(f"Unknown attribute '{key}' of type {self!r}")
        return super().typeof(key)

    def __repr__(self) -> str:
        return self.struct.__name__


def options(function: Callable[..., Any]) -> dict[str, Any]:
    """How a function is compiled: indices are checked except in the engine and the indicators.

    These keep their own bounds (``indicators.check_windows``), and user code cannot set their fields
    (``typed.ownership``).
    """
    safe = function.__module__.startswith(ENGINE)
    return {
        "pipeline_class": Pipeline,
        "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
        "_nrt": True,  # inner functions may allocate (lists, text), whatever their caller may
        "boundscheck": None if safe else True,
    }


def linked_call(symbol: str, function: Callable[..., Any], restype: Any, argtypes: tuple[Any, ...]) -> Any:
    """A function that is already compiled, called by symbol; an error in it is an error of its caller."""

    def codegen(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        fnty = context.call_conv.get_function_type(restype, argtypes)
        callee = cgutils.get_or_insert_function(builder.module, fnty, symbol)
        status, out = context.call_conv.call_function(builder, callee, restype, argtypes, values)
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return out

    def typing(ctx: Any, *args: Any, **named: Any) -> Any:
        return (restype(*argtypes), codegen) if len(args) + len(named) == len(argtypes) else None

    parameters = [inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    parameters += [p.replace(annotation=p.empty) for p in inspect.signature(function).parameters.values()]
    typing.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    typing.__name__ = function.__name__
    return intrinsic(typing)


class Lowering:
    """The Numba side of one compilation: struct types, and compiled versions of Python functions."""

    def __init__(self, linked: Mapping[Callable[..., Any], tuple[str, tuple[Any, ...]]]) -> None:
        self.number = next(_numbers)
        self.types: dict[StructMeta, StructType] = {}
        self.functions: dict[Callable[..., Any], Any] = {}
        self.building: list[Callable[..., Any]] = []
        for function, (symbol, (returns, *args)) in linked.items():
            argtypes = tuple(self.type_of(a) for a in args)
            self.functions[function] = linked_call(symbol, function, self.type_of(returns), argtypes)

    # --- types
    # ------------------------------------------------------------------------------------------------------

    def type_of(self, t: Any) -> Any:
        """The Numba type of a field, parameter or result."""
        if t is None:
            return types.none
        if isinstance(t, ArraySpec):
            return types.NestedArray(dtype=self.type_of(t.item), shape=(t.n,))
        return SCALARS[t] if t in SCALARS else self.struct(t)

    def struct(self, cls: StructMeta) -> StructType:
        """The record type of a class; its methods and properties are compiled when first used."""
        if cls not in self.types:
            fields = {n: self.type_of(t) for n, t in cls.__fields__.items()}
            kind = type("StructType_" + cls.__name__, (StructType,), {})
            register_model(kind)(models.RecordModel)
            self.types[cls] = kind(cls, f"{cls.__name__}.{len(self.types)}.{self.number}", fields)
            self.attributes(cls, kind)
        return self.types[cls]

    def attributes(self, cls: StructMeta, kind: type) -> None:
        """Register everything a class has besides fields: methods, properties, constants and what super()
        finds."""
        for name in dict.fromkeys(n for k in cls.__mro__ if k not in (object, Struct) for n in k.__dict__):
            if name.startswith("__") or name in cls.__fields__:
                continue
            found = members(cls, name)
            self.attribute(kind, name, found[0])
            for lower, upper in itertools.pairwise(found):
                for function in callables_of(lower):
                    if (owner := owner_of(function)) is not None:
                        self.attribute(kind, super_name(owner, name), upper)

    def attribute(self, kind: type, name: str, member: Any) -> None:
        if isinstance(member, FunctionType):
            overload_method(kind, name, jit_options=options(member))(self.method(member))
        elif isinstance(member, property) and isinstance(member.fget, FunctionType):
            overload_attribute(kind, name, jit_options=options(member.fget))(self.method(member.fget))
        elif isinstance(member, (bool, int, float, str, tuple)):
            overload_attribute(kind, name, jit_options=options(Lowering.attribute))(
                _constant(constant_of(member))
            )

    def method(self, function: FunctionType) -> Callable[..., Any]:
        """What Numba asks for the implementation of a method: the rewritten function, made at the first
        call."""
        signature = inspect.signature(function)

        def implementation(*_args: Any, **_kwargs: Any) -> Any:
            return self.clone(function)

        plain = [
            p.replace(kind=p.POSITIONAL_OR_KEYWORD) if p.kind is p.KEYWORD_ONLY else p
            for p in signature.parameters.values()
        ]
        parameters = [p.replace(annotation=p.empty) for p in plain]
        implementation.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=parameters, return_annotation=signature.empty
        )
        return implementation

    # --- functions
    # --------------------------------------------------------------------------------------------------

    def clone(self, function: FunctionType) -> FunctionType:
        """The rewritten function, its globals replaced by compiled ones."""
        new, helpers = rewrite(function)
        scope = new.__globals__
        scope.update({n: self.convert(v) for n, v in outside_values(function).items()})
        scope.update({n: self.function(f) for n, f in helpers.items() if isinstance(f, FunctionType)})
        scope.update({n: overloads.NAMES[n] for n in new.__code__.co_names if n in overloads.NAMES})
        scope["__name__"] = function.__module__
        return new

    def convert(self, value: Any) -> Any:
        """A global as compiled code sees it."""
        if isinstance(value, FunctionType) and not is_foreign(value):
            return self.function(value)
        return constant_of(value)

    def function(self, function: FunctionType, **chosen: Any) -> Any:
        """The compiled version of a plain function: one for each combination of types, not of written
        numbers."""
        if function in self.building:
            raise CannotCompileError(
                [refusal_of(function, f"{function.__name__} calls itself", "use a loop")]
            )
        if function not in self.functions:
            self.building.append(function)
            dispatcher = njit(**options(function) | chosen)(self.clone(function))
            dispatcher.get_call_template = _by_type(dispatcher.get_call_template)
            self.functions[function] = dispatcher
            self.building.pop()
        return self.functions[function]

    def root(self, function: FunctionType, returns: Any, args: tuple[Any, ...], **chosen: Any) -> Any:
        """Compile a function for given types; Numba's result. Raises TypeError when it returns something
        else."""
        dispatcher = self.function(function, **chosen)
        dispatcher.compile(returns(*args))
        result = dispatcher.overloads[args]
        if result.signature.return_type != returns:
            name, found = function.__qualname__, result.signature.return_type
            raise TypeError(f"{name} is declared to return {returns} and returns {found}")
        return result


def _by_type(resolve: Callable[..., Any]) -> Callable[..., Any]:
    """Numba would compile a function anew for every integer written at a call; take the integer's type
    instead."""

    def kind(t: Any) -> Any:
        return types.unliteral(t) if isinstance(t, (types.IntegerLiteral, types.BooleanLiteral)) else t

    def resolve_by_type(args: Any, kws: Any) -> Any:
        return resolve(tuple(map(kind, args)), {n: kind(t) for n, t in kws.items()})

    return resolve_by_type


def _constant(value: Any) -> Callable[..., Any]:
    def constant(self: Any) -> Any:
        def implementation(self: Any) -> Any:
            return value

        return implementation

    return constant
