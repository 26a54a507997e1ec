"""From a loop over structs to a native function, through the cache.

    linked = compile_engine({match_tick: (None, Broker, Tick), submit: (int, Broker, int, float, ...)})
    entry = compile_entry(tick_loop, (Broker, Tick, MyStrategy), ("i8[]", "f8[]", "int", "int"), linked)
    following = entry.call(broker.ctypes.data, row.ctypes.data, strategy.ctypes.data, ts, bid, first, end)

``compile_engine`` compiles functions that every strategy needs once, as native functions of their own;
``compile_entry`` compiles ``loop(*records, *arguments) -> int`` with everything it reaches, and calls the
engine's functions where the loop or the strategy does. An engine function is called with all its arguments,
defaults too.

``entry.call`` takes the address of one record for each class, then the arguments: ``"i8[]"`` is a
contiguous one-dimensional column that is only read (``"f8[]!"`` one that is written), ``"int"`` and
``"float"`` are numbers. It returns the loop's result (0 or more), or `RAISED` (-1) when Python would have
raised, or when a value left what compiled code can hold: an integer beyond 64 bits, a complex number. The
records then hold some point inside the failed row, so the caller replays the row interpreted from a copy
made before it: that raises the real error, or, where only compiled code had to give up, goes on. The GIL is
released during a call; calls on different records may run at once. Arguments of another kind than compiled
for are a TypeError.

Both raise CannotCompileError with every reason found. A hit in the cache needs neither Numba nor a look at
the source.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sigma_bot.kernel.cache import Cache, Entry, default_cache
from sigma_bot.kernel.call_graph import CallGraph, call_graph
from sigma_bot.kernel.digest import NotCacheableError, digest_of, signature_of
from sigma_bot.kernel.errors import CannotCompileError

RAISED = -1
_OK, _NONE = 0, -2  # Numba's statuses of a call that did not fail

Signature = tuple[Any, ...]  # (returns, *parameters): Struct classes, int, float, bool; None returns nothing


@dataclass(frozen=True)
class Linked:
    """Compiled engine functions: symbol and signature of each, their addresses, and the digest of all of
    it."""

    functions: Mapping[Callable[..., Any], tuple[str, Signature]]
    addresses: Mapping[str, int]
    digest: str
    cached: bool
    seconds: float


@dataclass(frozen=True)
class Compiled:
    """A native loop. ``cached``: it was found, not made. ``uncached``: why it cannot be kept ("" when it
    can)."""

    call: Callable[..., int]
    cached: bool
    seconds: float
    uncached: str = ""


NOTHING = Linked({}, {}, "", True, 0.0)


def compile_engine(functions: Mapping[Callable[..., Any], Signature], cache: Cache | None = None) -> Linked:
    """Compile functions to be called by symbol, or load them."""
    started = time.perf_counter()
    cache = cache or default_cache()
    structs = [t for signature in functions.values() for t in signature if isinstance(t, type)]
    reached = call_graph(functions, structs)
    digest = digest_of(reached, ["engine", signature_of(functions.items())])
    symbols = {f: f"sx_{f.__name__}_{digest}" for f in functions}
    entry = cache.read(digest)
    addresses = _load(entry, {})
    cached = addresses is not None
    if addresses is None:
        from sigma_bot.kernel.codegen import generate_engine

        entry = generate_engine({symbols[f]: (f, signature) for f, signature in functions.items()}, reached)
        cache.write(digest, entry)
        addresses = _must_load(entry, {})
    table = {f: (symbols[f], signature) for f, signature in functions.items()}
    return Linked(table, addresses, digest, cached, time.perf_counter() - started)


def compile_entry(
    loop: Callable[..., int],
    structs: Sequence[type],
    arguments: Sequence[str],
    linked: Linked = NOTHING,
    cache: Cache | None = None,
) -> Compiled:
    """Compile ``loop`` for these record classes and arguments, or load it."""
    started = time.perf_counter()
    cache = cache or default_cache()
    reached = call_graph([loop], structs, linked.functions)
    digest, uncached = "", ""
    try:
        extra = ["entry", linked.digest, [s.__qualname__ for s in structs], list(arguments)]
        digest = digest_of(reached, extra)
    except NotCacheableError as error:
        uncached = str(error)
    entry = cache.read(digest) if digest else None
    addresses = _load(entry, linked.addresses)
    cached = addresses is not None
    if addresses is None:
        from sigma_bot.kernel.codegen import generate_entry

        entry = generate_entry(loop, structs, arguments, linked.functions, reached)
        addresses = _fresh(entry, linked.addresses, reached)
        if digest:
            cache.write(digest, entry)
    assert entry is not None
    call = _caller(addresses[entry.exports[0]], len(structs), arguments)
    return Compiled(call, cached, time.perf_counter() - started, uncached)


def libm_functions(loop: Callable[..., Any], structs: Iterable[type], linked: Linked = NOTHING) -> list[str]:
    """The inexact functions of the C library that ``loop`` reaches: its results depend on that library's last
    bits."""
    from sigma_bot.kernel.subset import libm_used

    return libm_used(call_graph([loop], structs, linked.functions))


def refusals_of(loop: Callable[..., Any], structs: Iterable[type], linked: Linked = NOTHING) -> list[Any]:
    """What the syntax tree alone shows to be outside the compiled subset."""
    from sigma_bot.kernel.subset import check

    return check(call_graph([loop], structs, linked.functions))


def _load(entry: Entry | None, known: Mapping[str, int]) -> dict[str, int] | None:
    """Addresses of a cached entry; None when there is none or it does not load (made by another LLVM)."""
    from sigma_bot.kernel.link import LinkError

    try:
        return None if entry is None else _must_load(entry, known)
    except LinkError:
        return None


def _fresh(entry: Entry, known: Mapping[str, int], reached: CallGraph) -> dict[str, int]:
    """Addresses of code just made. What cannot be linked counts as what cannot be compiled."""
    from sigma_bot.kernel.link import LinkError
    from sigma_bot.kernel.subset import refusal_of

    try:
        return _must_load(entry, known)
    except LinkError as error:
        functions = [f for f, _ in reached.functions]
        users = (f for f in functions if not f.__module__.startswith("sigma_bot."))
        text = "it compiles, but needs what this process does not have"
        raise CannotCompileError([refusal_of(next(users, functions[0]), text)]) from error


def _must_load(entry: Entry, known: Mapping[str, int]) -> dict[str, int]:
    from sigma_bot.kernel.link import load

    return load(entry.code, entry.exports, entry.imports, known)


def _caller(address: int, records: int, arguments: Sequence[str]) -> Callable[..., int]:
    """Python's side of the native calling convention: a column is passed as Numba's array structure."""
    from sigma_bot.kernel.link import function

    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    kinds: list[Any] = [pointer] * records
    for kind in arguments:
        column = [pointer, pointer, integer, integer, pointer, integer, integer]
        kinds += column if "[]" in kind else [integer if kind == "int" else ctypes.c_double]
    native = function(address, kinds)
    count = records + len(arguments)

    def call(*args: Any) -> int:
        if len(args) != count:
            raise TypeError(f"the compiled loop takes {count} arguments, {len(args)} are given")
        flat: list[Any] = list(args[:records])
        for kind, value in zip(arguments, args[records:], strict=True):
            flat += _column(kind, value) if "[]" in kind else [value]
        result, error = ctypes.c_int64(), ctypes.c_void_p()
        status = native(ctypes.addressof(result), ctypes.addressof(error), *flat)
        return result.value if status in (_OK, _NONE) else RAISED

    return call


def _column(kind: str, array: Any) -> tuple[Any, ...]:
    dtype, writable = kind.rstrip("[]!"), kind.endswith("!")
    if (
        array.dtype.str[1:] != dtype
        or array.ndim != 1
        or not array.flags.c_contiguous
        or not array.flags.aligned
    ):
        raise TypeError(
            f"the compiled loop takes a contiguous column of {dtype}, not {array.dtype} {array.shape}"
        )
    if writable and not array.flags.writeable:
        raise TypeError("the compiled loop writes a column that is read-only")
    size = array.size
    return None, None, size, array.itemsize, array.ctypes.data, size, array.itemsize


__all__ = [
    "NOTHING",
    "RAISED",
    "CallGraph",
    "CannotCompileError",
    "Compiled",
    "Linked",
    "compile_engine",
    "compile_entry",
    "libm_functions",
    "refusals_of",
]
