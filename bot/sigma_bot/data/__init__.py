"""HistoricalDataLoader: market data from files, a catalogue, a sample or a generator, as streams of columns.

A bot in SIM or LIVE imports only ``data.ticks``, so the rest is imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sigma_bot.data.market import MarketData, open_market

__all__ = ["MarketData", "open_market"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sigma_bot.data import market

    return getattr(market, name)
