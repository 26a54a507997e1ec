"""SIGMA-X: the trading engine. `from sigma_bot import Strategy, param, Ema` is all a strategy file needs.

What may be imported: `docs/api/index.md`. Names come in on first use, so `import sigma_bot` is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sigma_bot.version import VERSION

if TYPE_CHECKING:
    from sigma_bot.engine.types import FOK, GTC, GTD, IOC
    from sigma_bot.indicators import *  # noqa: F403
    from sigma_bot.kernel.struct import Struct, array, param, window
    from sigma_bot.strategy import Strategy
    from sigma_bot.times import DAY, HOUR, MINUTE, SECOND

__version__ = VERSION
__all__ = [
    "DAY",
    "FOK",
    "GTC",
    "GTD",
    "HOUR",
    "IOC",
    "MINUTE",
    "SECOND",
    "Strategy",
    "Struct",
    "__version__",
    "array",
    "param",
    "window",
]

_HOMES = (
    "sigma_bot.strategy",
    "sigma_bot.kernel.struct",
    "sigma_bot.engine.types",
    "sigma_bot.indicators",
    "sigma_bot.times",
)


def __dir__() -> list[str]:
    names = set(__all__)
    names.update(importlib.import_module("sigma_bot.indicators").__all__)
    return sorted(names)


def __getattr__(name: str) -> Any:
    # Looked up on first use, so that a command that needs no strategy imports none.
    if not name.startswith("_"):
        for home in _HOMES:
            module = importlib.import_module(home)
            if name in __all__ or name in getattr(module, "__all__", ()):
                if hasattr(module, name):
                    return getattr(module, name)
    raise AttributeError(f"module 'sigma_bot' has no attribute {name!r}")
