"""Compile small classes from source text and run them beside the interpreted original."""

from __future__ import annotations

import importlib.util
import itertools
import linecache
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from sigma_bot.kernel.cache import Cache
from sigma_bot.kernel.jit import RAISED, compile_entry
from sigma_bot.kernel.struct import Struct, dtype_of, record

HEADER = """
import enum, logging, math, random, time
from datetime import datetime
import numpy as np
from sigma_bot.kernel.struct import Struct, array, window
log = logging.getLogger("test")
"""

_numbers = itertools.count()


class Row(Struct):
    """What the market brings in these tests."""

    x: float
    y: float
    i: int
    j: int


def loop(t, s, xs, ys, first, end):
    k = first
    while k < end:
        t.x = xs[k]
        t.y = ys[k]
        t.i = k
        t.j = k * 7 - 11
        s.step(t)
        k += 1
    return k


COLUMNS = ("f8[]", "f8[]", "int", "int")


def module_of(folder: Path, text: str, name: str | None = None) -> ModuleType:
    """A module made from text, its source in a file."""
    name = name or f"made_{next(_numbers)}"
    path = folder / f"{name}.py"
    path.write_text(HEADER + textwrap.dedent(text))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # not through the loader: its bytecode of another text as long, written in the same second, would count
    exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
    linecache.checkcache(str(path))
    return module


def entry_of(cls: type, folder: Path) -> Callable[..., int]:
    """The compiled loop over ``cls``."""
    return compile_entry(loop, (Row, cls), COLUMNS, cache=Cache(folder / "cache")).call


class Pair:
    """One class, compiled and interpreted, fed with the same rows."""

    def __init__(self, cls: type[Struct], folder: Path, **fields: Any) -> None:
        self.cls, self.fields = cls, fields
        self.call = entry_of(cls, folder)

    def compiled(self, xs: Any, ys: Any) -> tuple[bytes | None, int]:
        """State after the rows (None when it raised) and the loop's result."""
        state, row = record(self.cls(**self.fields)), record(Row())
        n = self.call(row.ctypes.data, state.ctypes.data, xs, ys, 0, len(xs))
        return (None, n) if n == RAISED else (bits(state, self.cls), n)

    def interpreted(self, xs: Any, ys: Any) -> tuple[bytes | None, int]:
        """The same, by CPython."""
        state = self.cls(**self.fields)
        try:
            n = loop(Row(), state, xs.tolist(), ys.tolist(), 0, len(xs))
        except (ArithmeticError, ValueError, IndexError, AssertionError, RuntimeError):
            return None, RAISED
        return bits(record(state), self.cls), n

    def check(self, xs: Any, ys: Any) -> None:
        """Equal to the last bit, or both raise."""
        a, b = self.compiled(xs, ys), self.interpreted(xs, ys)
        if a != b and a[0] is not None and b[0] is not None:
            dtype = dtype_of(self.cls)
            one, two = np.frombuffer(a[0], dtype)[0], np.frombuffer(b[0], dtype)[0]
            differing = [(n, one[n], two[n]) for n in dtype.names if one[n].tobytes() != two[n].tobytes()]
            raise AssertionError(f"compiled and interpreted differ: {differing}")
        assert a == b


def bits(state: Any, cls: type) -> bytes:
    """The bytes of a record, every nan alike and padding zero."""
    out = np.zeros(1, dtype_of(cls))
    _copy(out[0], state[0])
    return out.tobytes()


def _copy(out: Any, state: Any) -> None:
    for name in state.dtype.names:
        value = state[name]
        if getattr(value, "dtype", None) is not None and value.dtype.names:
            if value.shape:
                for k in range(len(value)):
                    _copy(out[name][k], value[k])
            else:
                _copy(out[name], value)
        elif value.dtype.kind == "f":
            out[name] = np.where(np.isnan(value), np.nan, value)
        else:
            out[name] = value
