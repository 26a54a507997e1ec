"""The functions of the C library's libm that compiled code calls, under names LLVM does not know.

CPython's ``math`` calls libm. LLVM would fold ``pow(x, 2.0)`` to ``x * x``, merge ``sin`` and ``cos`` or
vectorise ``exp`` if it saw their names, with other last bits; under a private name it calls exactly what
CPython calls.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache

UNARY = (
    *("exp", "expm1", "exp2", "log", "log2", "log10", "log1p", "cbrt", "erf", "erfc"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
)
BINARY = ("pow", "fmod", "atan2")
# fmod is exact by definition. Every other result may differ in its last bits between libraries, and inside
# glibc between processors with and without FMA.
INEXACT = tuple(n for n in (*UNARY, *BINARY) if n != "fmod")
PREFIX = "sx_libm_"


@lru_cache(1)
def addresses() -> dict[str, int]:
    """Private symbol → address, for every function above."""
    process = ctypes.CDLL(None)
    out = {}
    for name in (*UNARY, *BINARY):
        address = ctypes.cast(getattr(process, name), ctypes.c_void_p).value
        assert address is not None
        out[PREFIX + name] = address
    return out
