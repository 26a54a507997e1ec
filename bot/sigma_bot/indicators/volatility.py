"""Ranges, bands and channels."""

from __future__ import annotations

from sigma_bot.indicators.averages import Ema, Rma
from sigma_bot.indicators.statistics import StdDev
from sigma_bot.indicators.windows import UNBOUNDED, Highest, Lowest, check_period, preset
from sigma_bot.kernel.struct import Struct


class Atr(Struct):
    """Average true range: Wilder-smoothed ``max(high - low, |high - previous close|, |low - previous
    close|)``.

    The first bar has no previous close and does not count (TA-Lib's rule): ready after ``period + 1`` bars.
    ``true_range`` is that of the last bar. Source: Wilder (1978).
    """

    started: bool
    close: float
    true_range: float
    average: Rma

    def setup(self, period=14):
        """Start over with another length. Raises ValueError below 1."""
        check_period("Atr", "period", period, 1, UNBOUNDED)
        self.average.setup(period)
        self.started = False
        self.close = 0.0
        self.true_range = 0.0

    def update(self, high, low, close):
        """Take one bar; the average."""
        self.true_range = high - low
        if self.started:
            self.true_range = max(self.true_range, abs(high - self.close), abs(low - self.close))
            self.average.update(self.true_range)
        self.started = True
        self.close = close
        return self.average.value

    def update_bar(self, bar):
        """Take one bar; the average."""
        return self.update(bar.high, bar.low, bar.close)

    @property
    def value(self):
        """The average true range, in price units."""
        return self.average.value

    @property
    def ready(self):
        """After ``period + 1`` bars."""
        return self.average.ready


class Bollinger(Struct):
    """Bollinger bands: the mean of ``period`` values and ``width`` population standard deviations around it.

    ``upper``, ``middle`` and ``lower`` are in the unit of the values. Ready after ``period`` values.
    Source: J. Bollinger, Bollinger on Bollinger Bands (20 values, 2 deviations).
    """

    width: float = 2.0
    upper: float
    middle: float
    lower: float
    deviation: StdDev

    def setup(self, period=20, width=2.0):
        """Start over with another length and width. Raises ValueError when the length does not fit the
        window.
        """
        check_period("Bollinger", "period", period, 1, len(self.deviation.sums))
        self.deviation.setup(period)
        self.width = float(width)
        self.upper = 0.0
        self.middle = 0.0
        self.lower = 0.0

    def update(self, x):
        """Take one value; the middle."""
        reach = self.width * self.deviation.update(x)
        self.middle = self.deviation.mean
        self.upper = self.middle + reach
        self.lower = self.middle - reach
        return self.middle

    @property
    def value(self):
        """The middle band."""
        return self.middle

    @property
    def ready(self):
        """After ``period`` values."""
        return self.deviation.ready


class Donchian(Struct):
    """Donchian channel: highest high, lowest low and their middle over ``period`` bars, the current bar
    included.

    A breakout test compares with the channel before the bar: read ``upper`` first, then update. Ready after
    ``period`` bars.
    """

    high: Highest
    low: Lowest

    def setup(self, period=20):
        """Start over with another length. Raises ValueError when it does not fit the window."""
        check_period("Donchian", "period", period, 1, len(self.high.ring))
        self.high.setup(period)
        self.low.setup(period)

    def update(self, high, low):
        """Take one bar; the middle."""
        return (self.high.update(high) + self.low.update(low)) * 0.5

    def update_bar(self, bar):
        """Take one bar; the middle."""
        return self.update(bar.high, bar.low)

    @property
    def upper(self):
        """Highest high."""
        return self.high.value

    @property
    def lower(self):
        """Lowest low."""
        return self.low.value

    @property
    def middle(self):
        """Half way between the two."""
        return (self.high.value + self.low.value) * 0.5

    @property
    def value(self):
        """The middle."""
        return (self.high.value + self.low.value) * 0.5

    @property
    def ready(self):
        """After ``period`` bars."""
        return self.high.ready


class Keltner(Struct):
    """Keltner channel: EMA of the close and ``width`` average true ranges around it.

    The form of L. Bradford Raschke: 20 bars, ATR over 10, twice. ``upper``, ``middle`` and ``lower`` are
    prices. Ready after ``max(period, atr_period + 1)``
    bars.
    """

    width: float = 2.0
    upper: float
    lower: float
    average: Ema
    atr: Atr = preset(average=preset(period=10))

    def setup(self, period=20, atr_period=10, width=2.0):
        """Start over with other lengths and width. Raises ValueError for a length below 1."""
        check_period("Keltner", "period", period, 1, UNBOUNDED)
        check_period("Keltner", "atr_period", atr_period, 1, UNBOUNDED)
        self.average.setup(period)
        self.atr.setup(atr_period)
        self.width = float(width)
        self.upper = 0.0
        self.lower = 0.0

    def update(self, high, low, close):
        """Take one bar; the middle."""
        middle = self.average.update(close)
        reach = self.width * self.atr.update(high, low, close)
        self.upper = middle + reach
        self.lower = middle - reach
        return middle

    def update_bar(self, bar):
        """Take one bar; the middle."""
        return self.update(bar.high, bar.low, bar.close)

    @property
    def middle(self):
        """EMA of the close."""
        return self.average.value

    @property
    def value(self):
        """The middle."""
        return self.average.value

    @property
    def ready(self):
        """After ``max(period, atr_period + 1)`` bars."""
        return self.average.ready and self.atr.ready
