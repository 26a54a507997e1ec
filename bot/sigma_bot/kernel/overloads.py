"""Compiled stand-ins that equal CPython bit for bit, or raise where they cannot.

An error here has no text: compiled code only reports that something was raised, and the caller replays the
last rows interpreted. So one error stands for all: CPython's ValueError, OverflowError and
ZeroDivisionError, and what leaves the compiled world, an integer beyond 64 bits or a complex number, where
the replay does not fail but carries on.

Imports Numba; only compilation comes here.
"""

# ruff: noqa: ARG001, ARG005 - Numba gives these parameters, used or not

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from sigma_bot.kernel import libm
from sigma_bot.kernel.numba_private import ConcreteTemplate, TypingError, cgutils, infer_global, lower_builtin

Codegen = Callable[..., Any]
DOUBLE = ir.DoubleType()
INT = ir.IntType(64)
INF = ir.Constant(DOUBLE, float("inf"))
EXACT_INT = 2**53


def _raise_if(context: Any, builder: Any, wrong: Any) -> None:
    with cgutils.if_unlikely(builder, wrong):
        context.call_conv.return_user_exc(builder, ArithmeticError, ())


def _call(builder: Any, name: str, *args: Any) -> Any:
    """Call a function of floats by symbol: a libm function under its private name, or an LLVM intrinsic."""
    fnty = ir.FunctionType(DOUBLE, [DOUBLE] * len(args))
    return builder.call(cgutils.get_or_insert_function(builder.module, fnty, name), args)


def _is_nan(builder: Any, x: Any) -> Any:
    return builder.fcmp_unordered("uno", x, x)


def _is_finite(builder: Any, x: Any) -> Any:
    return builder.fcmp_ordered("olt", _call(builder, "llvm.fabs.f64", x), INF)


def _any(builder: Any, values: list[Any]) -> Any:
    out = values[0]
    for v in values[1:]:
        out = builder.or_(out, v)
    return out


def _invalid(builder: Any, result: Any, args: Any) -> Any:
    """CPython's rule for errors of libm: a nan from no nan, or an infinity from finite numbers."""
    some_nan = _any(builder, [_is_nan(builder, a) for a in args])
    some_infinite = _any(builder, [builder.not_(_is_finite(builder, a)) for a in args])
    new_nan = builder.and_(_is_nan(builder, result), builder.not_(some_nan))
    new_infinity = builder.and_(builder.not_(_is_finite(builder, result)), builder.not_(some_infinite))
    return builder.or_(new_nan, new_infinity)


def _checked(symbol: str) -> Codegen:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        result = _call(builder, symbol, *args)
        _raise_if(context, builder, _invalid(builder, result, args))
        return result

    return codegen


def _scaled(factor: float) -> Codegen:
    return lambda context, builder, sig, args: builder.fmul(args[0], ir.Constant(DOUBLE, factor))


def _numeric(*kinds: Any) -> None:
    for kind in kinds:
        if not isinstance(kind, (types.Integer, types.Float, types.Boolean)):
            raise TypingError(f"a number is needed here, not {kind}")


def _is_int(kind: Any) -> bool:
    return isinstance(kind, (types.Integer, types.Boolean))


def _unary(name: str, codegen: Codegen) -> Any:
    def typing(ctx: Any, x: Any) -> Any:
        _numeric(x)
        return types.float64(types.float64), codegen

    typing.__name__ = name
    return intrinsic(typing)


def _binary(name: str, codegen: Codegen) -> Any:
    def typing(ctx: Any, x: Any, y: Any) -> Any:
        _numeric(x, y)
        return types.float64(types.float64, types.float64), codegen

    typing.__name__ = name
    return intrinsic(typing)


def _to_int(name: str, rounding: str) -> Any:
    """``int``, ``math.floor``, ``math.ceil`` and ``round`` of a float, raising for nan and beyond 64 bits."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x = _call(builder, rounding, args[0])
        low, high = ir.Constant(DOUBLE, -(2.0**63)), ir.Constant(DOUBLE, 2.0**63)
        inside = builder.and_(builder.fcmp_ordered(">=", x, low), builder.fcmp_ordered("<", x, high))
        _raise_if(context, builder, builder.not_(inside))
        return builder.fptosi(x, INT)

    def typing(ctx: Any, x: Any) -> Any:
        _numeric(x)
        if _is_int(x):
            return types.int64(types.int64), lambda context, builder, sig, args: args[0]
        return types.int64(types.float64), codegen

    typing.__name__ = name
    return intrinsic(typing)


def _overflowing(operation: str) -> Codegen:
    """+, - or * of two integers, raising where 64 bits do not hold the result."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pair = getattr(builder, f"s{operation}_with_overflow")(*args)
        _raise_if(context, builder, builder.extract_value(pair, 1))
        return builder.extract_value(pair, 0)

    return codegen


_mul = _overflowing("mul")


def _power(ctx: Any, x: Any, y: Any) -> Any:
    """``x ** y``: libm's pow for floats, repeated multiplication for an integer to a constant power."""
    _numeric(x, y)
    if not (_is_int(x) and _is_int(y)):
        return types.float64(types.float64, types.float64), _checked(libm.PREFIX + "pow")
    if not isinstance(y, types.IntegerLiteral):
        raise TypingError("an integer to the power of an integer variable may be an int or a float")
    if y.literal_value < 0:
        return types.float64(types.float64, types.float64), _checked(libm.PREFIX + "pow")
    exponent = int(y.literal_value)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        result = ir.Constant(INT, 1)
        for _ in range(exponent):
            result = _mul(context, builder, sig, (result, args[0]))
        return result

    if exponent > 62:
        raise TypingError("an integer power above 62 does not fit 64 bits")
    return types.int64(types.int64, y), codegen  # the exponent's own type: Numba finds the code by the types


_power.__name__ = "sx_pow"


def _sum_placeholder(values: Any) -> Any:
    raise NotImplementedError


@overload(_sum_placeholder)  # type: ignore[untyped-decorator, unused-ignore]
def _sum(values: Any) -> Any:
    """``sum``: from Python 3.12 on, floats are added with Neumaier's compensation, as CPython does."""
    item = getattr(values, "dtype", None)
    if item == types.int64:

        def of_ints(values: Any) -> Any:
            total = 0
            for v in values:
                total = _add_ints(total, v)
            return total

        return of_ints
    if item != types.float64:
        raise TypingError("sum() compiles for an array or list of one kind of number")
    if sys.version_info < (3, 12):

        def plain(values: Any) -> Any:
            total = 0.0
            for v in values:
                total += v
            return total

        return plain

    def compensated(values: Any) -> Any:
        total = 0.0
        lost = 0.0
        for v in values:
            t = total + v
            lost += (total - t) + v if abs(total) >= abs(v) else (v - t) + total
            total = t
        return total + lost if lost != 0.0 and abs(lost) < float("inf") else total

    return compensated


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def _add_ints(ctx: Any, x: Any, y: Any) -> Any:
    return types.int64(types.int64, types.int64), _overflowing("add")


def _names() -> dict[str, Any]:
    out = {n: _unary(n, _checked(libm.PREFIX + n)) for n in libm.UNARY}
    out |= {n: _binary(n, _checked(libm.PREFIX + n)) for n in ("atan2", "fmod")}
    out |= {"pow": intrinsic(prefer_literal=True)(_power), "sum": _sum_placeholder}
    out |= {"float": _unary("float", lambda context, builder, sig, args: args[0])}
    out |= {"sqrt": _unary("sqrt", _checked("llvm.sqrt.f64"))}
    pi = 3.141592653589793
    out |= {
        "degrees": _unary("degrees", _scaled(180.0 / pi)),
        "radians": _unary("radians", _scaled(pi / 180.0)),
    }
    rounding = {"int": "trunc", "trunc": "trunc", "floor": "floor", "ceil": "ceil", "round": "rint"}
    out |= {name: _to_int(name, f"llvm.{how}.f64") for name, how in rounding.items()}
    return {f"sx_{name}": function for name, function in out.items()}


NAMES = _names()


# --- integer operators, put in place of the plain ones after type inference (`typed`)
# --------------------------------


def _divide(a: int, b: int) -> float:
    """``a / b`` of integers, correctly rounded as CPython's, also beyond 2**53 (a nanosecond time is)."""
    if -EXACT_INT <= a <= EXACT_INT and -EXACT_INT <= b <= EXACT_INT:
        return float(a) / float(b)
    if b == 0:
        raise ZeroDivisionError
    n = abs(a)
    d = abs(b)
    if n < 0 or d < 0:
        raise OverflowError
    q = n // d
    r = n - q * d
    scale = 1.0
    while q < TOP and n != 0:  # append bits until q holds 56: 53, a rounding bit and two more
        bit = r >= d - r
        q += q
        if bit:
            q += 1
            r -= d - r
        else:
            r += r
        scale *= 0.5
    while q >= 2 * TOP:  # or shorten it to 56; a lost bit joins the remainder, which only says "above"
        r |= q & 1
        q >>= 1
        scale *= 2.0
    low = q & 7
    q >>= 3
    if low > 4 or (low == 4 and (r != 0 or q & 1 == 1)):
        q += 1
    x = float(q) * 8.0 * scale
    return -x if (a < 0) != (b < 0) else x


def _lt(i: int, f: float) -> bool:
    if -EXACT_INT <= i <= EXACT_INT or math.isnan(f):
        return float(i) < f
    return f >= LIMIT or (f > -LIMIT and i < int(f))


def _le(i: int, f: float) -> bool:
    if -EXACT_INT <= i <= EXACT_INT or math.isnan(f):
        return float(i) <= f
    return f >= LIMIT or (f >= -LIMIT and i <= int(f))


def _eq(i: int, f: float) -> bool:
    if -EXACT_INT <= i <= EXACT_INT or math.isnan(f):
        return float(i) == f
    return -LIMIT <= f < LIMIT and i == int(f)


TOP = 2**55
LIMIT = 2.0**63


def _shift_left(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    x, n = args
    zero, most = ir.Constant(INT, 0), ir.Constant(INT, 63)
    far = builder.icmp_signed(">", n, most)
    lost = builder.and_(far, builder.icmp_signed("!=", x, zero))
    _raise_if(context, builder, builder.or_(builder.icmp_signed("<", n, zero), lost))
    result = builder.shl(x, builder.select(far, zero, n))
    back = builder.ashr(result, builder.select(far, zero, n))
    _raise_if(context, builder, builder.icmp_signed("!=", back, x))
    return result


def _shift_right(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    x, n = args
    most = ir.Constant(INT, 63)
    _raise_if(context, builder, builder.icmp_signed("<", n, ir.Constant(INT, 0)))
    return builder.ashr(x, builder.select(builder.icmp_signed(">", n, most), most, n))


def _compiled(function: Callable[..., Any], flip: bool = False, negate: bool = False) -> Codegen:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        order = (1, 0) if flip else (0, 1)
        inner = sig.return_type(*(sig.args[k] for k in order))
        result = context.compile_internal(builder, function, inner, [args[k] for k in order])
        return builder.not_(result) if negate else result

    return codegen


def _above(function: Callable[..., Any], flip: bool) -> Codegen:
    """``i > f`` from ``i <= f``: its negation, except that every comparison with a nan is false."""
    negated = _compiled(function, flip, negate=True)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.and_(
            negated(context, builder, sig, args), builder.not_(_is_nan(builder, args[0 if flip else 1]))
        )

    return codegen


def _register(codegen: Codegen, returns: Any, *kinds: Any) -> Callable[..., Any]:
    """A new operator that Numba can lower; no source can name it."""

    def key() -> None:
        raise NotImplementedError

    class Template(ConcreteTemplate):  # type: ignore[misc, unused-ignore]
        cases = (returns(*kinds),)

    Template.key = key
    infer_global(key, types.Function(Template))
    lower_builtin(key, *kinds)(codegen)
    return key


_II = (types.int64, types.int64, types.int64)
_IF = (types.boolean, types.int64, types.float64)
_FI = (types.boolean, types.float64, types.int64)
# operator of two integers → its checked replacement
INT_OPERATORS = {
    operator.add: _register(_overflowing("add"), *_II),
    operator.sub: _register(_overflowing("sub"), *_II),
    operator.mul: _register(_mul, *_II),
    operator.truediv: _register(_compiled(_divide), types.float64, types.int64, types.int64),
    operator.lshift: _register(_shift_left, *_II),
    operator.rshift: _register(_shift_right, *_II),
}
# comparison → (integer with float, float with integer)
MIXED_COMPARISONS = {
    operator.lt: (_register(_compiled(_lt), *_IF), _register(_above(_le, True), *_FI)),
    operator.le: (_register(_compiled(_le), *_IF), _register(_above(_lt, True), *_FI)),
    operator.gt: (_register(_above(_le, False), *_IF), _register(_compiled(_lt, True), *_FI)),
    operator.ge: (_register(_above(_lt, False), *_IF), _register(_compiled(_le, True), *_FI)),
    operator.eq: (_register(_compiled(_eq), *_IF), _register(_compiled(_eq, True), *_FI)),
    operator.ne: (_register(_compiled(_eq, False, True), *_IF), _register(_compiled(_eq, True, True), *_FI)),
}
