"""Direction and strength of a trend."""

from __future__ import annotations

from sigma_bot.indicators.volatility import Atr
from sigma_bot.indicators.windows import UNBOUNDED, Highest, Lag, Lowest, check_period, preset
from sigma_bot.kernel.struct import Struct


class Adx(Struct):
    """Average directional index with ``plus_di`` and ``minus_di``, all 0 to 100.

    Directional movement and true range are summed over the first ``period - 1`` changes and then smoothed as
    ``s - s / period + new``; DX is ``100 * |plus - minus| / (plus + minus)``, averaged over ``period``
    values, then Wilder-smoothed (TA-Lib's order of operations). A bar whose DX is undefined leaves the value
    as it is. The DI are settled after ``period + 1`` bars, everything (``ready``) after ``2 * period``.
    Source: Wilder (1978).
    """

    period: int = 14
    count: int
    high: float
    low: float
    close: float
    up: float
    down: float
    total: float
    plus_di: float
    minus_di: float
    strength: float
    value: float

    def setup(self, period=14):
        """Start over with another length. Raises ValueError below 1."""
        check_period("Adx", "period", period, 1, UNBOUNDED)
        self.period = period
        self.count = 0
        self.high = 0.0
        self.low = 0.0
        self.close = 0.0
        self.up = 0.0
        self.down = 0.0
        self.total = 0.0
        self.plus_di = 0.0
        self.minus_di = 0.0
        self.strength = 0.0
        self.value = 0.0

    def update(self, high, low, close):
        """Take one bar; the ADX."""
        if self.count > 0:
            self.move(high, low)
        self.high = high
        self.low = low
        self.close = close
        if self.count < 2 * self.period:
            self.count += 1
        return self.value

    def move(self, high, low):
        """Take the change from the previous bar. ``count`` is the number of bars before this one, up to two
        periods.
        """
        n = self.period
        rise = high - self.high
        fall = self.low - low
        up = rise if rise > 0.0 and rise > fall else 0.0
        down = fall if fall > 0.0 and fall > rise else 0.0
        true_range = max(high - low, abs(high - self.close), abs(low - self.close))
        if self.count >= n:
            self.up -= self.up / n
            self.down -= self.down / n
            self.total -= self.total / n
        self.up += up
        self.down += down
        self.total += true_range
        if self.total <= 0.0:
            self.plus_di = 0.0
            self.minus_di = 0.0
            return
        self.plus_di = 100.0 * (self.up / self.total)
        self.minus_di = 100.0 * (self.down / self.total)
        both = self.plus_di + self.minus_di
        if self.count >= n and both > 0.0:
            dx = 100.0 * (abs(self.plus_di - self.minus_di) / both)
            if self.count < 2 * n:
                self.strength += dx
                self.value = self.strength / n
            else:
                self.value = (self.value * (n - 1) + dx) / n

    def update_bar(self, bar):
        """Take one bar; the ADX."""
        return self.update(bar.high, bar.low, bar.close)

    @property
    def ready(self):
        """After ``2 * period`` bars."""
        return self.count >= 2 * self.period


class Supertrend(Struct):
    """Supertrend: a stop line ``width`` average true ranges from the bar's middle that only moves with the
    trend.

    The lower line rises, the upper falls, each until the close before this bar has crossed it. ``direction``
    is 1 while the close holds above the lower line and -1 while below the upper; ``value`` is the line in
    force, ``lower`` or ``upper``. Before the ATR is settled value and direction are 0; it starts rising.
    Ready after ``period + 1`` bars. Source: O. Seban.
    """

    width: float = 3.0
    upper: float
    lower: float
    direction: int
    close: float
    value: float
    atr: Atr = preset(average=preset(period=10))

    def setup(self, period=10, width=3.0):
        """Start over with another length and width. Raises ValueError for a length below 1."""
        check_period("Supertrend", "period", period, 1, UNBOUNDED)
        self.atr.setup(period)
        self.width = float(width)
        self.upper = 0.0
        self.lower = 0.0
        self.direction = 0
        self.close = 0.0
        self.value = 0.0

    def update(self, high, low, close):
        """Take one bar; the line in force."""
        reach = self.width * self.atr.update(high, low, close)
        if self.atr.ready:
            middle = (high + low) * 0.5
            first = self.direction == 0
            if first or middle + reach < self.upper or self.close > self.upper:
                self.upper = middle + reach
            if first or middle - reach > self.lower or self.close < self.lower:
                self.lower = middle - reach
            if first or close > self.upper:
                self.direction = 1
            if self.direction == 1 and close < self.lower:
                self.direction = -1
            self.value = self.lower if self.direction == 1 else self.upper
        self.close = close
        return self.value

    def update_bar(self, bar):
        """Take one bar; the line in force."""
        return self.update(bar.high, bar.low, bar.close)

    @property
    def ready(self):
        """After ``period + 1`` bars."""
        return self.atr.ready


class Ichimoku(Struct):
    """Ichimoku: middles of the high-low range over three lengths, two of them drawn ``shift`` bars later.

    ``conversion`` and ``base`` are the middles over 9 and 26 bars. ``lead_a`` (their mean) and ``lead_b``
    (the middle over 52) are the cloud drawn ``shift`` bars ahead; ``span_a`` and ``span_b`` are what they
    were ``shift`` bars ago, the cloud over this bar. The lagging line is today's close held against
    ``past_close``, the close ``shift`` bars ago. Ready after ``max(conversion, base, lead) + shift`` bars.
    Source: G. Hosoda; the lengths are his.
    """

    lead_a: float
    lead_b: float
    conversion_high: Highest = preset(period=9)
    conversion_low: Lowest = preset(period=9)
    base_high: Highest = preset(period=26)
    base_low: Lowest = preset(period=26)
    lead_high: Highest = preset(period=52)
    lead_low: Lowest = preset(period=52)
    lag_a: Lag = preset(period=26)
    lag_b: Lag = preset(period=26)
    lag_close: Lag = preset(period=26)

    def setup(self, conversion=9, base=26, lead=52, shift=26):
        """Start over with other lengths. Raises ValueError when one does not fit the window."""
        check_period("Ichimoku", "conversion", conversion, 1, len(self.base_high.ring))
        check_period("Ichimoku", "base", base, 1, len(self.base_high.ring))
        check_period("Ichimoku", "lead", lead, 1, len(self.base_high.ring))
        check_period("Ichimoku", "shift", shift, 1, len(self.base_high.ring))
        self.conversion_high.setup(conversion)
        self.conversion_low.setup(conversion)
        self.base_high.setup(base)
        self.base_low.setup(base)
        self.lead_high.setup(lead)
        self.lead_low.setup(lead)
        self.lag_a.setup(shift)
        self.lag_b.setup(shift)
        self.lag_close.setup(shift)
        self.lead_a = 0.0
        self.lead_b = 0.0

    def update(self, high, low, close):
        """Take one bar; the base line."""
        conversion = (self.conversion_high.update(high) + self.conversion_low.update(low)) * 0.5
        base = (self.base_high.update(high) + self.base_low.update(low)) * 0.5
        self.lead_a = (conversion + base) * 0.5
        self.lead_b = (self.lead_high.update(high) + self.lead_low.update(low)) * 0.5
        if self.conversion_high.ready and self.base_high.ready and self.lead_high.ready:
            self.lag_a.update(self.lead_a)
            self.lag_b.update(self.lead_b)
        self.lag_close.update(close)
        return base

    def update_bar(self, bar):
        """Take one bar; the base line."""
        return self.update(bar.high, bar.low, bar.close)

    @property
    def conversion(self):
        """Tenkan-sen."""
        return (self.conversion_high.value + self.conversion_low.value) * 0.5

    @property
    def base(self):
        """Kijun-sen."""
        return (self.base_high.value + self.base_low.value) * 0.5

    @property
    def value(self):
        """The base line."""
        return (self.base_high.value + self.base_low.value) * 0.5

    @property
    def span_a(self):
        """Senkou span A over this bar."""
        return self.lag_a.value

    @property
    def span_b(self):
        """Senkou span B over this bar."""
        return self.lag_b.value

    @property
    def past_close(self):
        """The close ``shift`` bars ago."""
        return self.lag_close.value

    @property
    def ready(self):
        """After ``max(conversion, base, lead) + shift`` bars."""
        return self.lag_a.ready
