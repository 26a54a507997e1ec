"""Indicators of traded volume."""

from __future__ import annotations

from sigma_bot.indicators.windows import WeightedMean, WindowSum, check_period, preset, typical
from sigma_bot.kernel.struct import Struct

DAY = 86_400_000_000_000
# Two sums of three decimal prices that are equal as decimals may differ by some roundings of a float.
TIE = 1e-12


class Obv(Struct):
    """On-balance volume: the running sum of volume, added on a rise of the close and subtracted on a fall.

    Starts with the first bar's volume (TA-Lib's rule); only its changes mean anything. Ready after one bar.
    Source: J. Granville.
    """

    ready: bool
    close: float
    value: float

    def setup(self):
        """Start over."""
        self.ready = False
        self.close = 0.0
        self.value = 0.0

    def update(self, close, volume):
        """Take one bar; the sum."""
        if not self.ready or close > self.close:
            self.value += volume
        elif close < self.close:
            self.value -= volume
        self.ready = True
        self.close = close
        return self.value

    def update_bar(self, bar):
        """Take one bar; the sum."""
        return self.update(bar.close, bar.volume)


class Mfi(Struct):
    """Money flow index, 0 to 100: share of the money that moved on rises of the typical price, over
    ``period`` changes.

    Money is typical price ``(high + low + close) / 3`` times volume. A typical price within 1e-12 of the
    last one (equal but for rounding) is no change. Where no money moved the value is 50, the middle (TA-Lib
    says 0 whenever less than 1.0 of it moved). Ready after ``period + 1`` bars. Source: G. Quong, A. Soudack.
    """

    started: bool
    price: float
    value: float = 50.0
    rises: WindowSum = preset(period=14)
    falls: WindowSum = preset(period=14)

    def setup(self, period=14):
        """Start over with another length. Raises ValueError when it does not fit the window."""
        check_period("Mfi", "period", period, 1, len(self.rises.ring))
        self.rises.setup(period)
        self.falls.setup(period)
        self.started = False
        self.price = 0.0
        self.value = 50.0

    def update(self, high, low, close, volume):
        """Take one bar; the index."""
        price = typical(high, low, close)
        if self.started:
            money = price * volume
            change = price - self.price
            tie = abs(price) * TIE
            up = self.rises.update(money if change > tie else 0.0)
            down = self.falls.update(money if change < -tie else 0.0)
            both = up + down
            self.value = 100.0 * (up / both) if both > 0.0 else 50.0
        self.started = True
        self.price = price
        return self.value

    def update_bar(self, bar):
        """Take one bar; the index."""
        return self.update(bar.high, bar.low, bar.close, bar.volume)

    @property
    def ready(self):
        """After ``period + 1`` bars."""
        return self.rises.ready


class Vwap(Struct):
    """Volume-weighted mean of the typical price ``(high + low + close) / 3``.

    With ``period=0`` it covers the session: it starts over when the day of ``ts`` changes, days being
    counted in UTC shifted by ``utc_offset`` nanoseconds (``9 * HOUR``: midnight in Seoul). Without times the
    session never ends. With a ``period`` it rolls over that many bars. Without any volume yet it is the
    typical price. Ready after one bar, rolling after ``period`` bars.
    """

    period: int
    utc_offset: int
    day: int
    started: bool
    anchor: float
    money: float
    volume: float
    value: float
    rolling: WeightedMean

    def setup(self, period=0, utc_offset=0):
        """Start over: session (``period=0``) or rolling. Raises ValueError when the length does not fit the
        window.
        """
        check_period("Vwap", "period", period, 0, len(self.rolling.sums))
        if period > 0:
            self.rolling.setup(period)
        self.period = period
        self.utc_offset = utc_offset
        self.day = 0
        self.started = False
        self.anchor = 0.0
        self.money = 0.0
        self.volume = 0.0
        self.value = 0.0

    def update(self, high, low, close, volume, ts=0):
        """Take one bar that opened at ``ts`` (int64 nanoseconds UTC); the mean."""
        price = typical(high, low, close)
        if self.period > 0:
            self.value = self.rolling.update(price, volume)
            return self.value
        day = (ts + self.utc_offset) // DAY
        if not self.started or day != self.day:
            self.started = True
            self.day = day
            self.anchor = price
            self.money = 0.0
            self.volume = 0.0
        self.money += (price - self.anchor) * volume
        self.volume += volume
        self.value = self.anchor + self.money / self.volume if self.volume > 0.0 else price
        return self.value

    def update_bar(self, bar):
        """Take one bar; the mean."""
        return self.update(bar.high, bar.low, bar.close, bar.volume, bar.ts)

    @property
    def ready(self):
        """After one bar, rolling after ``period`` bars."""
        return self.rolling.ready if self.period > 0 else self.started
