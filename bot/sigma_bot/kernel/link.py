"""Object code → callable functions, with llvmlite alone: a process that finds its code in the cache never
imports Numba."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import llvmlite.binding as llvm

from sigma_bot.kernel import libm


class LinkError(Exception):
    """Object code that cannot be loaded here (damaged, or made by another LLVM)."""


_numbers = itertools.count()
_loaded: list[
    Any
] = []  # code stays loaded as long as the process lives: other code may have been linked to it


@lru_cache(1)
def _linker() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.create_lljit_compiler(suppress_errors=True)


def load(
    code: bytes,
    exports: Sequence[str],
    imports: Sequence[str],
    known: Mapping[str, int] = {},
) -> dict[str, int]:
    """Load object code; the addresses of ``exports``. ``imports`` are found in libm, in ``known``, then in
    the process.

    Code that allocates (lists, text) also needs Numba's runtime, which is started on demand. Raises
    LinkError.
    """
    builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
    for name in exports:
        builder.export_symbol(name)
    for name in imports:
        address = libm.addresses().get(name) or known.get(name) or _runtime(name)
        if address:
            builder.import_symbol(name, address)
    try:
        tracker = builder.link(_linker(), f"sigma_x_{next(_numbers)}")
    except RuntimeError as error:
        raise LinkError(f"{error} (needs {', '.join(imports)})") from None
    _loaded.append(tracker)
    return {name: tracker[name] for name in exports}


def _runtime(name: str) -> int:
    """Address of a symbol of Numba's runtime, or 0 for what the process itself has (memcpy and the like)."""
    if not name.startswith(("NRT_", "numba_", "nrt_")):
        return 0
    if llvm.address_of_symbol(name) is None:
        from sigma_bot.kernel.numba_private import cpu_target, rtsys

        rtsys.initialize(cpu_target.target_context)
    return int(llvm.address_of_symbol(name) or 0)


def function(address: int, arguments: Sequence[Any]) -> Any:
    """A foreign function ``status = f(&result, &exception, *arguments)``; the GIL is released while it
    runs."""
    return ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *arguments)(address)
