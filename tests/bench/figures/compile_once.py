"""Print the seconds that compiling takes in a fresh process, from the import of the compiler on: by the wall
clock, and of processors."""

import sys
import time
from pathlib import Path

Clocks = tuple[float, float]


def now() -> Clocks:
    """Both clocks."""
    return time.perf_counter(), time.process_time()


def strategy_compile(file: str, kind: str) -> Clocks:
    """The start; when this returns, the strategy's loop can be called."""
    from sigma_bot.runtime.loader import load_strategy
    from sigma_bot.spec.blocks import StrategyRef

    loaded = load_strategy(StrategyRef(file=file), Path())  # type: ignore[call-arg] # the checker does not see the default
    started = now()
    from sigma_bot.backtest.compiled import entry_for

    compiled = entry_for(loaded.cls, kind)
    assert not compiled.cached
    return started


def raw_compile() -> Clocks:
    """The same for the raw loop of ticks."""
    started = now()
    from numba import float64, int64

    from tests.bench import raw

    raw.compiled_ticks.compile((float64[::1], float64[::1], int64, int64, float64))
    return started


begun = raw_compile() if sys.argv[1] == "raw" else strategy_compile(*sys.argv[1:])
print(*(end - start for start, end in zip(begun, now(), strict=True)))
