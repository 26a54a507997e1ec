"""Oscillators and rates of change."""

from __future__ import annotations

from sigma_bot.indicators.averages import Ema, Rma, Sma
from sigma_bot.indicators.windows import UNBOUNDED, Highest, Lag, Lowest, check_period, preset, typical
from sigma_bot.kernel.struct import Struct, window


class Rsi(Struct):
    """Relative strength index, 0 to 100: ``100 * gain / (gain + loss)`` of Wilder-smoothed gains and losses.

    Ready after ``period + 1`` values. With no change at all in memory the value is 50, the neutral middle;
    TA-Lib says 0 there, which would read as oversold. Source: Wilder (1978).
    """

    started: bool
    previous: float
    value: float = 50.0
    gain: Rma
    loss: Rma

    def setup(self, period=14):
        """Start over with another length. Raises ValueError below 1."""
        check_period("Rsi", "period", period, 1, UNBOUNDED)
        self.gain.setup(period)
        self.loss.setup(period)
        self.started = False
        self.previous = 0.0
        self.value = 50.0

    def update(self, x):
        """Take one value; the index."""
        if self.started:
            change = x - self.previous
            up = self.gain.update(change if change > 0.0 else 0.0)
            down = self.loss.update(-change if change < 0.0 else 0.0)
            both = up + down
            self.value = 100.0 * (up / both) if both > 0.0 else 50.0
        self.started = True
        self.previous = x
        return self.value

    @property
    def ready(self):
        """After ``period + 1`` values."""
        return self.gain.ready


class Macd(Struct):
    """Moving average convergence divergence: fast EMA minus slow EMA (``value``), its EMA (``signal``), and
    their distance (``histogram``), all in the unit of the values.

    As in TA-Lib both averages are seeded at the same bar: the one with the shorter length starts later, so
    that its first mean covers the last values of the other's. Ready after ``max(fast, slow) + signal - 1``
    values; the main value is zero until both averages are settled. Source: G. Appel.
    """

    count: int
    fast_wait: int = 14
    slow_wait: int
    value: float
    histogram: float
    fast: Ema = preset(period=12, alpha=2.0 / 13.0)
    slow: Ema = preset(period=26, alpha=2.0 / 27.0)
    average: Ema = preset(period=9, alpha=2.0 / 10.0)

    def setup(self, fast=12, slow=26, signal=9):
        """Start over with other lengths. Raises ValueError below 1."""
        check_period("Macd", "fast", fast, 1, UNBOUNDED)
        check_period("Macd", "slow", slow, 1, UNBOUNDED)
        check_period("Macd", "signal", signal, 1, UNBOUNDED)
        self.fast.setup(fast)
        self.slow.setup(slow)
        self.average.setup(signal)
        self.count = 0
        self.fast_wait = max(slow - fast, 0)
        self.slow_wait = max(fast - slow, 0)
        self.value = 0.0
        self.histogram = 0.0

    def update(self, x):
        """Take one value; the main line."""
        if self.count >= self.fast_wait:
            self.fast.update(x)
        if self.count >= self.slow_wait:
            self.slow.update(x)
        self.count += 1
        if self.fast.ready and self.slow.ready:
            self.value = self.fast.value - self.slow.value
            self.histogram = self.value - self.average.update(self.value)
        return self.value

    @property
    def signal(self):
        """EMA of the main line."""
        return self.average.value

    @property
    def ready(self):
        """After ``max(fast, slow) + signal - 1`` values."""
        return self.average.ready


class Stochastic(Struct):
    """Stochastic oscillator, 0 to 100.

    ``fast_k = 100 * (close - lowest low) / (highest high - lowest low)`` over ``period`` bars; ``k`` is its
    SMA over ``smooth`` bars and ``d`` the SMA of ``k`` over ``signal`` bars. The slow stochastic is 14, 3,
    3; with ``smooth=1`` ``k`` and ``d`` are the fast %K and %D. A window without any range gives 50, the
    middle (TA-Lib: 0). Ready after ``period + smooth + signal - 2`` bars. Source: G. Lane.
    """

    fast_k: float = 50.0
    high: Highest = preset(period=14)
    low: Lowest = preset(period=14)
    smoothed: Sma = preset(period=3, value=50.0)
    average: Sma = preset(period=3, value=50.0)

    def setup(self, period=14, smooth=3, signal=3):
        """Start over with other lengths. Raises ValueError when one does not fit the window."""
        check_period("Stochastic", "period", period, 1, len(self.high.ring))
        check_period("Stochastic", "smooth", smooth, 1, len(self.smoothed.ring))
        check_period("Stochastic", "signal", signal, 1, len(self.average.ring))
        self.high.setup(period)
        self.low.setup(period)
        self.smoothed.setup(smooth)
        self.average.setup(signal)
        self.fast_k = 50.0
        self.smoothed.value = 50.0
        self.average.value = 50.0

    def update(self, high, low, close):
        """Take one bar; ``k``."""
        top = self.high.update(high)
        bottom = self.low.update(low)
        self.fast_k = 100.0 * ((close - bottom) / (top - bottom)) if top > bottom else 50.0
        if self.high.ready:
            self.smoothed.update(self.fast_k)
            if self.smoothed.ready:
                self.average.update(self.smoothed.value)
        return self.smoothed.value

    def update_bar(self, bar):
        """Take one bar; ``k``."""
        return self.update(bar.high, bar.low, bar.close)

    @property
    def value(self):
        """The main line, ``k``."""
        return self.smoothed.value

    @property
    def k(self):
        """SMA of ``fast_k`` over ``smooth`` bars."""
        return self.smoothed.value

    @property
    def d(self):
        """SMA of ``k`` over ``signal`` bars."""
        return self.average.value

    @property
    def ready(self):
        """After ``period + smooth + signal - 2`` bars."""
        return self.average.ready


class Cci(Struct):
    """Commodity channel index: distance of the typical price from its mean, in 0.015 mean absolute
    deviations.

    Typical price ``(high + low + close) / 3``. Zero where the window is flat. The deviation is taken from
    the current mean, so each update walks the window (time grows with ``period``). Ready after ``period``
    bars. Source: D. Lambert, Commodities 1980.
    """

    period: int = 20
    at: int
    count: int
    value: float
    ring: window(float)

    def setup(self, period=20):
        """Start over with another length. Raises ValueError when it does not fit the window."""
        check_period("Cci", "period", period, 1, len(self.ring))
        self.period = period
        self.at = 0
        self.count = 0
        self.value = 0.0

    def update(self, high, low, close):
        """Take one bar; the index."""
        x = typical(high, low, close)
        if self.count < self.period:
            self.count += 1
        self.ring[self.at] = x
        self.at += 1
        if self.at == self.period:
            self.at = 0
        total = 0.0
        for i in range(self.count):
            total += self.ring[i] - x
        mean = total / self.count
        total = 0.0
        for i in range(self.count):
            total += abs((self.ring[i] - x) - mean)
        deviation = 0.015 * (total / self.count)
        self.value = -mean / deviation if deviation > 0.0 else 0.0
        return self.value

    def update_bar(self, bar):
        """Take one bar; the index."""
        return self.update(bar.high, bar.low, bar.close)

    @property
    def ready(self):
        """After ``period`` bars."""
        return self.count == self.period


class Roc(Struct):
    """Rate of change in percent: ``100 * (x / x[period ago] - 1)``; zero where the old value is zero.

    Ready after ``period + 1`` values.
    """

    value: float
    past: Lag = preset(period=10)

    def setup(self, period=10):
        """Start over with another distance. Raises ValueError when it does not fit the window."""
        check_period("Roc", "period", period, 1, len(self.past.ring))
        self.past.setup(period)
        self.value = 0.0

    def update(self, x):
        """Take one value; the change in percent."""
        old = self.past.update(x)
        self.value = 100.0 * ((x - old) / old) if old != 0.0 else 0.0
        return self.value

    @property
    def ready(self):
        """After ``period + 1`` values."""
        return self.past.ready
