"""Print the seconds that compiling takes in a fresh process, from the import of the compiler on."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))


def strategy_compile(file: str, kind: str) -> float:
    """Seconds until the strategy's loop can be called."""
    from sigma_bot.spec.blocks import StrategyRef
    from sigma_bot.strategy_file import load_strategy

    loaded = load_strategy(StrategyRef(file=file), Path())
    started = time.perf_counter()
    from sigma_bot.backtest.compiled import entry_for

    compiled = entry_for(loaded.cls, kind)
    assert not compiled.cached
    return time.perf_counter() - started


def raw_compile() -> float:
    """Seconds until the raw loop of ticks can be called."""
    started = time.perf_counter()
    import raw
    from numba import float64, int64

    raw.compiled_ticks.compile((float64[::1], float64[::1], int64, int64, float64))
    return time.perf_counter() - started


print(raw_compile() if sys.argv[1] == "raw" else strategy_compile(*sys.argv[1:]))
