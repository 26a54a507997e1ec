"""The functions of the C library's libm that compiled code calls, under names LLVM does not know.

CPython's ``math`` calls libm. LLVM would fold ``pow(x, 2.0)`` to ``x * x``, merge ``sin`` and ``cos`` or
vectorise ``exp`` if it saw their names, with other last bits; under a private name it calls exactly what
CPython calls.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import struct
from collections.abc import Iterable
from functools import lru_cache

UNARY = (
    *("exp", "expm1", "exp2", "log", "log2", "log10", "log1p", "cbrt", "erf", "erfc"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
)
BINARY = ("pow", "fmod", "atan2")
# fmod is exact by definition; every other result may differ in its last bit between implementations.
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


def fingerprint(functions: Iterable[str]) -> str:
    """Digest of what this machine's libm returns for ``functions`` at the arguments where implementations
    differ.

    Two machines with equal fingerprints agree at every probe; a result that used none of these functions
    does not depend on the machine at all, and the fingerprint of nothing is empty.
    """
    names = sorted(functions)
    if not names:
        return ""
    h = hashlib.sha256()
    for name in names:
        call = getattr(math, name)
        for args in _probes(name):
            try:
                h.update(struct.pack("<d", call(*args)))
            except (ValueError, OverflowError):
                h.update(b"error")
    return h.hexdigest()[:16]


def _probes(name: str) -> Iterable[tuple[float, ...]]:
    """20,000 arguments: a fixed multiplicative sequence over the range a strategy meets."""
    state = 0x9E3779B9
    for _ in range(20_000):
        state = state * 6364136223846793005 + 1442695040888963407 & 0xFFFFFFFFFFFFFFFF
        u = (state >> 11) / 9007199254740992.0
        x = u * 20.0 - 10.0 if name not in ("log", "log2", "log10", "pow") else u * 1000.0
        yield (x, u * 8.0 - 4.0) if name in BINARY else (x,)
