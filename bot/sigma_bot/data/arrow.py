"""Between Arrow and NumPy through their buffers.

Arrow's own ``to_numpy`` and ``pa.array(ndarray)`` import pandas where it is installed, which costs half a
second.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
import pyarrow as pa

_INTEGERS: dict[int, str] = {8: "i1", 16: "i2", 32: "i4", 64: "i8"}
_FLOATS: dict[int, str] = {16: "f2", 32: "f4", 64: "f8"}


def values(array: Any, null: float = np.nan) -> np.ndarray:
    """The values of an integer, floating, boolean or time array, without a copy where there is no null.

    Nulls become ``null``. Times are the integers they are stored as.
    """
    kind = array.type
    if pa.types.is_boolean(kind):
        truth: np.ndarray = values(array.cast(pa.int8()), 0) != 0
        return truth
    dtype = np.dtype((_FLOATS if pa.types.is_floating(kind) else _INTEGERS)[kind.bit_width])
    if not len(array):
        return np.empty(0, dtype)
    result = np.frombuffer(array.buffers()[1], dtype, len(array), array.offset * dtype.itemsize)
    if array.null_count:
        result = result.copy()
        result[values(array.is_null())] = null
    return result


class _Buffers(threading.local):
    """Columns of doubles whose memory is used again once nobody holds them.

    Touching fresh pages costs three times as much as the division that fills them. One set for each thread,
    since only the thread that takes a buffer may find it free.
    """

    def __init__(self) -> None:
        self._all: list[np.ndarray] = []

    def take(self, size: int, capacity: int) -> np.ndarray:
        for buffer in self._all:
            # held by the list, by this loop and by the call: by nobody else, not even through a view
            if sys.getrefcount(buffer) == 3 and len(buffer) >= size:
                return buffer[:size]
        self._all.append(np.empty(max(size, capacity)))
        return self._all[-1][:size]


_buffers = _Buffers()


def divided(integers: np.ndarray, scale: int, capacity: int) -> np.ndarray:
    """``integers / scale`` as doubles. ``capacity``: the largest size that will be asked for."""
    out = _buffers.take(len(integers), capacity)
    np.divide(integers, float(scale), out=out)
    return out


def array_of(column: np.ndarray, kind: Any) -> Any:
    """An Arrow array over a NumPy column of the type's own width."""
    return pa.Array.from_buffers(kind, len(column), [None, pa.py_buffer(np.ascontiguousarray(column))])
