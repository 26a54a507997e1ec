"""Indicators for strategies: declare one as a field, ``setup`` it in ``on_start``, ``update`` it, read its
outputs.

Every class runs compiled and interpreted with the same bits. ``docs/indicators.md`` lists calls, outputs and
warm-ups.
"""

from sigma_bot.indicators.averages import Ema, Hma, Kama, Rma, Sma, Wma
from sigma_bot.indicators.momentum import Cci, Macd, Roc, Rsi, Stochastic
from sigma_bot.indicators.statistics import Correlation, Slope, StdDev, ZScore
from sigma_bot.indicators.trend import Adx, Ichimoku, Supertrend
from sigma_bot.indicators.volatility import Atr, Bollinger, Donchian, Keltner
from sigma_bot.indicators.volume import Mfi, Obv, Vwap
from sigma_bot.indicators.windows import (
    Highest,
    Lag,
    Lowest,
    PeriodError,
    Ramp,
    WeightedMean,
    WindowSum,
    check_windows,
)

__all__ = [
    "Adx",
    "Atr",
    "Bollinger",
    "Cci",
    "Correlation",
    "Donchian",
    "Ema",
    "Highest",
    "Hma",
    "Ichimoku",
    "Kama",
    "Keltner",
    "Lag",
    "Lowest",
    "Macd",
    "Mfi",
    "Obv",
    "PeriodError",
    "Ramp",
    "Rma",
    "Roc",
    "Rsi",
    "Slope",
    "Sma",
    "StdDev",
    "Stochastic",
    "Supertrend",
    "Vwap",
    "WeightedMean",
    "WindowSum",
    "Wma",
    "ZScore",
    "check_windows",
]
