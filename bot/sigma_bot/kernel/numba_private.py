"""What the kernel uses of Numba beside its public interface. Such names may change with any release: they
stand here alone, the requirement has an upper bound, and a test tells which of them is gone.
"""

from __future__ import annotations

from numba.core import cgutils, ir
from numba.core.codegen import CPUCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import FunctionPass, LoweringPass, register_pass
from numba.core.datamodel import models
from numba.core.errors import NumbaWarning, TypingError
from numba.core.imputils import lower_builtin
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys
from numba.core.typed_passes import AnnotateTypes, NativeLowering, NopythonRewrites, NopythonTypeInference
from numba.core.typing import signature
from numba.core.typing.templates import ConcreteTemplate, infer_global
from numba.core.untyped_passes import FindLiterallyCalls, LiteralPropagationSubPipelinePass, LiteralUnroll
from numba.np.numpy_support import from_dtype

__all__ = [
    "AnnotateTypes",
    "CPUCodeLibrary",
    "CompilerBase",
    "ConcreteTemplate",
    "DefaultPassBuilder",
    "FindLiterallyCalls",
    "FunctionPass",
    "LiteralPropagationSubPipelinePass",
    "LiteralUnroll",
    "LoweringPass",
    "NativeLowering",
    "NopythonRewrites",
    "NopythonTypeInference",
    "NumbaWarning",
    "TypingError",
    "cgutils",
    "cpu_target",
    "from_dtype",
    "global_compiler_lock",
    "infer_global",
    "ir",
    "lower_builtin",
    "models",
    "register_pass",
    "rtsys",
    "signature",
]
