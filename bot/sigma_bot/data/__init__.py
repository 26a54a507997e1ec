"""HistoricalDataLoader: market data from files, a catalogue, a sample or a generator, as streams of columns.

A bot in SIM or LIVE imports only ``data.ticks``, so nothing heavy is imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sigma_bot.data.market import MarketData
    from sigma_bot.spec import BacktestSpec

__all__ = ["open_market"]


def open_market(spec: BacktestSpec, base: Path, **options: Any) -> MarketData:
    """The market data that a Backtest names; ``base`` is the folder its relative paths start from."""
    from sigma_bot.data.market import open_market as door

    return door(spec, base, **options)
