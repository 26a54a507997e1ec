"""Every operation a strategy may use, compiled and by CPython, on generated and on special values."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bot.kernel.jit import RAISED
from sigma_bot.kernel.struct import record
from tests.unit.kernel.harness import Row, entry_of, module_of


def listed(text: str) -> list[str]:
    return [operation.strip() for operation in text.split(";")]


FLOAT_OPERATIONS = listed("""
    x + y; x - y * x; x * y; x / y; x // y; x % y; -x; abs(x); divmod(x, y)[0]; divmod(x, y)[1];
    x ** 2; x ** 3; x ** 4; x ** -1; x ** 0.5; x ** y; 2 ** x; math.pow(x, y); abs(x) ** 2.5;
    math.sqrt(x); math.exp(x); math.expm1(x); math.exp2(x); math.log(x); math.log2(x); math.log10(x);
    math.log1p(x); math.log(x, y); math.cbrt(x); math.sin(x); math.cos(x); math.tan(x); math.asin(x);
    math.acos(x); math.atan(x); math.atan2(x, y); math.sinh(x); math.cosh(x); math.tanh(x); math.asinh(x);
    math.acosh(x); math.atanh(x); math.erf(x); math.erfc(x); math.fmod(x, y); math.fabs(x);
    math.copysign(x, y); math.degrees(x); math.radians(x); float(math.isnan(x)); min(x, y); max(x, y);
    max(0, x); min(x, 1, y); x if x > y else y; float(x <= y); float(x != y); sum([x, y, 0.1, x]);
    min([x, 0.0, y]); max([y, 0.0, x]);
    float(0.0 <= x < y); float(x and y); x or y; float(not x); float(i + 0.5)
""")
INT_OPERATIONS = listed("""
    i + j; i - j; i * j; i // j; i % j; i << (j & 127); i >> (j & 127); i & j; i | j; i ^ j; 1 << (i & 31);
    i ** 2; i ** 3; -i; abs(i); min(i, j); max(i, j); ~i; int(i < j); int(i == j); math.gcd(i, j);
    int(x); round(x); math.floor(x); math.ceil(x); math.trunc(x); int(x / y); int(x > i); int(i > x);
    int(i < x); int(x < i); int(i <= x); int(x <= i); int(i >= x); int(x >= i); int(i == x); int(x == i);
    int(i != x); int(x != i); int(i + x > j); sum([i, j, i]); int(bool(x));
    int((x > y) + (x < y)); int((x > y) & (x < 1.0)); int((x > y) ^ (x < 1.0)); (x > y) * i; int(-(x > y))
""")
MIXED_OPERATIONS = listed("i / j; i ** -2; i + x; x - i; i * x; i / x; x // i; x % i; x ** i; float(i)")


def text() -> str:
    lines = []
    floats = [*FLOAT_OPERATIONS, *MIXED_OPERATIONS]
    for k, (target, operation) in enumerate(
        [*(("f", o) for o in floats), *(("n", o) for o in INT_OPERATIONS)], start=1
    ):
        lines.append(
            f"        {'el' if k > 1 else ''}if self.op == {k}:\n            self.{target} = {operation}"
        )
    fields = "op: int; x: float; y: float; i: int; j: int; f: float; n: int"
    head = f"class Case(Struct):\n    {fields}\n"
    names = "        x = self.x\n        y = self.y\n        i = self.i\n        j = self.j\n"
    return head + "    def step(self, t):\n" + names + "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tuple[type, Any]:
    folder = tmp_path_factory.mktemp("exact")
    cls = module_of(folder, text()).Case
    return cls, entry_of(cls, folder)


def key(value: float) -> Any:
    return "nan" if value != value else struct.pack("<d", value)


def compare(case: tuple[type, Any], x: float, y: float, i: int, j: int) -> None:
    cls, call = case
    state, row, none = record(cls(x=x, y=y, i=i, j=j)), record(Row()), np.zeros(1)
    floats = [*FLOAT_OPERATIONS, *MIXED_OPERATIONS]
    wrong = []
    for k, operation in enumerate([*floats, *INT_OPERATIONS], start=1):
        name = "f" if k <= len(floats) else "n"
        state["op"] = k
        ended = call(row.ctypes.data, state.ctypes.data, none, none, 0, 1)
        compiled = (
            "raised"
            if ended == RAISED
            else (key(float(state[name][0])) if name == "f" else int(state[name][0]))
        )
        try:
            value = eval(operation, {"math": math, "x": x, "y": y, "i": i, "j": j})
            if isinstance(value, complex) or (isinstance(value, int) and not -(2**63) <= value < 2**63):
                expected: Any = "raised"
            else:
                expected = key(float(value)) if name == "f" else int(value)
        except (ArithmeticError, ValueError):
            expected = "raised"
        if compiled != expected:
            wrong.append((operation, compiled, expected))
    assert not wrong, f"x={x!r} y={y!r} i={i} j={j}: {wrong}"


SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    2.5,
    -2.5,
    5e-324,
    1e308,
    -1e308,
    2.0**53 + 2,
    2.0**63,
    -(2.0**63),
    1e22,
]
SPECIAL += [math.inf, -math.inf, math.nan, 709.79, 1e-160, 9007199254740993.0]
EDGES = [
    0,
    1,
    -1,
    2,
    2**31,
    2**53,
    2**53 + 1,
    -(2**53) - 1,
    2**62,
    2**63 - 1,
    -(2**62),
    1_700_000_000_123_456_789,
    10**9,
]


@pytest.mark.parametrize("x", SPECIAL)
def test_special_values(case: tuple[type, Any], x: float) -> None:
    for k, y in enumerate(SPECIAL):
        compare(case, x, y, EDGES[k % len(EDGES)], EDGES[(k * 5 + 3) % len(EDGES)])


@pytest.mark.parametrize("i", EDGES)
def test_integer_edges(case: tuple[type, Any], i: int) -> None:
    for k, j in enumerate(EDGES):
        compare(case, float(i), SPECIAL[k], i, j)


numbers = st.floats() | st.floats(-1e5, 1e5) | st.decimals("0.01", "99999", places=2).map(float)
integers = st.integers(-(2**62), 2**62) | st.integers(-1000, 1000)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(numbers, numbers, integers, integers)
def test_generated_values(case: tuple[type, Any], x: float, y: float, i: int, j: int) -> None:
    compare(case, x, y, i, j)
