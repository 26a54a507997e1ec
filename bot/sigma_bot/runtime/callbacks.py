"""Calling a user's code: its errors come with the user's own file and line."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

from sigma_bot.engine.broker import Broker
from sigma_bot.errors import BadInputError, StrategyError
from sigma_bot.indicators.windows import check_windows
from sigma_bot.strategy import Strategy
from sigma_bot.times import iso_ns

FIRST_FRAMES, LAST_FRAMES = 2, 8
# what a callback may throw; sys.exit() in it is an error like any other, Ctrl-C is not
RAISES = (Exception, SystemExit)


def strategy_error(error: BaseException, broker: Broker | None = None) -> StrategyError:
    """The error of a user's callback with his file, line and the market's time; our own frames are left out.

    Without ``broker`` it happened in on_start, before the first row. An error that has no frame of the user's
    is a bug of ours and raised as it is.
    """
    ours = str(Path(__file__).parents[1])
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(ours)]
    if not frames:
        raise error
    lines = [f"  {f.filename}:{f.lineno} in {f.name}\n    {f.line}" for f in frames]
    if len(lines) > FIRST_FRAMES + LAST_FRAMES:
        left_out = f"  ... {len(lines) - FIRST_FRAMES - LAST_FRAMES} more calls ..."
        lines[FIRST_FRAMES:-LAST_FRAMES] = [left_out]
    where = "\n".join(lines)
    when = "before the first row"
    if broker is not None:
        when = f"at {iso_ns(broker.ts)} in the market, row {broker.row}"
    return StrategyError(f"the strategy raised {type(error).__name__}: {error}\n{where}\n  {when}")


def check_called(name: str, cls: type[Strategy], kind: str, timeframes: Sequence[object]) -> None:
    """A strategy that would never be called on rows of ``kind`` (tick, bar) is a mistake worth stopping for.

    Raises BadInputError; ``name`` is the file as messages show it.
    """
    ticks, bars = cls.on_tick is not Strategy.on_tick, cls.on_bar is not Strategy.on_bar
    if kind == "bar" and not bars:
        raise BadInputError(
            f"{name}: the data are bars, but {cls.__name__} has no on_bar(self, bar, broker); "
            "add one, or give ticks, quotes or trades"
        )
    if not ticks and not bars:
        raise BadInputError(
            f"{name}: {cls.__name__} has neither on_tick(self, tick, broker) nor on_bar(self, bar, broker)"
        )
    if kind == "tick" and not ticks and not timeframes:
        raise BadInputError(
            f"{name}: the data are ticks, but {cls.__name__} has no on_tick(self, tick, broker); add one, or "
            "name the bars it wants in spec.timeframes, like [1m]"
        )


def start(strategy: Strategy) -> None:
    """Run on_start and check what it set up. Raises StrategyError with the user's line, or BadInputError."""
    try:
        strategy.on_start()
    except RAISES as error:
        raise strategy_error(error) from error
    check_windows(strategy, type(strategy).__name__)


def stop(strategy: Strategy, broker: Broker) -> None:
    """Run on_stop."""
    try:
        strategy.on_stop(broker)
    except RAISES as error:
        raise strategy_error(error, broker) from error
