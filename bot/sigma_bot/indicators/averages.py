"""Moving averages."""

from __future__ import annotations

import math

from sigma_bot.indicators.windows import UNBOUNDED, Lag, Ramp, WindowSum, check_period, preset
from sigma_bot.kernel.struct import Struct, window


class Sma(Struct):
    """Simple moving average: the mean of the last ``period`` values. Ready after ``period`` values, until
    then the mean of what there is. The sum does not drift, and a flat market gives exactly its price.
    """

    period: int = 20
    at: int
    count: int
    share: float
    anchor: float
    head: float
    value: float
    ring: window(float)

    def setup(self, period=20):
        """Start over with another length. Raises ValueError when it does not fit the window."""
        check_period("Sma", "period", period, 1, len(self.ring))
        self.period = period
        self.at = 0
        self.count = 0
        self.share = 0.0
        self.anchor = 0.0
        self.head = 0.0
        self.value = 0.0
        for i in range(period):
            self.ring[i] = 0.0

    def update(self, x):
        """Take one value; the mean."""
        if self.count < self.period:
            if self.count == 0:
                self.anchor = x
            self.count += 1
            self.share = 1.0 / self.count
        k = self.at
        self.ring[k] = x
        self.head += x - self.anchor
        k += 1
        if k == self.period:
            k = 0
            s = 0.0
            for i in range(self.period):
                j = self.period - 1 - i
                s += self.ring[j] - x
                self.ring[j] = s
            self.anchor = x
            self.head = 0.0
        self.at = k
        self.value = self.anchor + (self.head + self.ring[k]) * self.share
        return self.value

    @property
    def ready(self):
        """After ``period`` values."""
        return self.count == self.period


class Ema(Struct):
    """Exponential moving average, ``alpha = 2 / (period + 1)``, seeded with the mean of the first ``period``
    values.

    The seed is TA-Lib's rule, and the recursion ``value += (x - value) * alpha`` is its order of operations.
    Ready after ``period`` values, until then the mean of what there is. The seed's weight fades by ``1 -
    alpha`` a value: about 13.5 % is left ``period`` values later, below 0.1 % after 3.5 periods.
    """

    period: int = 20
    count: int
    alpha: float = 2.0 / 21.0
    total: float
    value: float

    def setup(self, period=20):
        """Start over with another length. Raises ValueError below 1."""
        check_period("Ema", "period", period, 1, UNBOUNDED)
        self.period = period
        self.count = 0
        self.alpha = 2.0 / (period + 1)
        self.total = 0.0
        self.value = 0.0

    def update(self, x):
        """Take one value; the average."""
        if self.count < self.period:
            self.count += 1
            self.total += x
            self.value = self.total / self.count
        else:
            self.value += (x - self.value) * self.alpha
        return self.value

    @property
    def ready(self):
        """After ``period`` values."""
        return self.count == self.period


class Rma(Struct):
    """Wilder's smoothing (``alpha = 1 / period``), seeded with the mean of the first ``period`` values.

    Source: J. W. Wilder, New Concepts in Technical Trading Systems (1978). Ready after ``period`` values.
    """

    period: int = 14
    count: int
    total: float
    value: float

    def setup(self, period=14):
        """Start over with another length. Raises ValueError below 1."""
        check_period("Rma", "period", period, 1, UNBOUNDED)
        self.period = period
        self.count = 0
        self.total = 0.0
        self.value = 0.0

    def update(self, x):
        """Take one value; the average."""
        if self.count < self.period:
            self.count += 1
            self.total += x
            self.value = self.total / self.count
        else:
            self.value = (self.value * (self.period - 1) + x) / self.period
        return self.value

    @property
    def ready(self):
        """After ``period`` values."""
        return self.count == self.period


class Wma(Struct):
    """Linearly weighted moving average: the oldest value weighs 1, the newest ``period``. Ready after
    ``period``.
    """

    value: float
    ramp: Ramp

    def setup(self, period=20):
        """Start over with another length. Raises ValueError when it does not fit the window."""
        check_period("Wma", "period", period, 1, len(self.ramp.sums))
        self.ramp.setup(period)
        self.value = 0.0

    def update(self, x):
        """Take one value; the average."""
        weighted = self.ramp.update(x)
        n = self.ramp.count
        self.value = self.ramp.anchor + weighted / (n * (n + 1) // 2)
        return self.value

    @property
    def ready(self):
        """After ``period`` values."""
        return self.ramp.ready


class Hma(Struct):
    """Hull moving average: ``Wma(2 * Wma(x, n / 2) - Wma(x, n), sqrt(n))``, half and root rounded down.

    Source: A. Hull, alanhull.com/hull-moving-average. Ready after ``n + floor(sqrt(n)) - 1`` values; until
    the longest average is settled the value is the inner difference.
    """

    value: float
    half: Wma = preset(ramp=preset(period=8))
    full: Wma = preset(ramp=preset(period=16))
    root: Wma = preset(ramp=preset(period=4))

    def setup(self, period=16):
        """Start over with another length of at least 2. Raises ValueError when it does not fit the window."""
        check_period("Hma", "period", period, 2, len(self.full.ramp.sums))
        self.half.setup(period // 2)
        self.full.setup(period)
        self.root.setup(int(math.sqrt(period)))
        self.value = 0.0

    def update(self, x):
        """Take one value; the average."""
        raw = 2.0 * self.half.update(x) - self.full.update(x)
        self.value = self.root.update(raw) if self.full.ready else raw
        return self.value

    @property
    def ready(self):
        """After ``period + floor(sqrt(period)) - 1`` values."""
        return self.root.ready


class Kama(Struct):
    """Kaufman's adaptive average: fast in a trend, slow in noise.

    Efficiency ``e = |x - x[n ago]| / sum of |changes| over n`` (1 when nothing moved, as in TA-Lib) gives
    the factor ``(e * (2/(fast+1) - 2/(slow+1)) + 2/(slow+1))`` squared. Seeded with the price before the
    first full window. Source: P. J. Kaufman, Trading Systems and Methods. Ready after ``period + 1`` values,
    until then the price.
    """

    started: bool
    previous: float
    fast_alpha: float = 2.0 / 3.0
    slow_alpha: float = 2.0 / 31.0
    value: float
    past: Lag = preset(period=10)
    path: WindowSum = preset(period=10)

    def setup(self, period=10, fast=2, slow=30):
        """Start over with other lengths. Raises ValueError when one does not fit."""
        check_period("Kama", "period", period, 1, len(self.past.ring))
        check_period("Kama", "fast", fast, 1, UNBOUNDED)
        check_period("Kama", "slow", slow, 1, UNBOUNDED)
        self.past.setup(period)
        self.path.setup(period)
        self.started = False
        self.previous = 0.0
        self.fast_alpha = 2.0 / (fast + 1)
        self.slow_alpha = 2.0 / (slow + 1)
        self.value = 0.0

    def update(self, x):
        """Take one value; the average."""
        old = self.past.update(x)
        if self.started:
            self.path.update(abs(x - self.previous))
        self.started = True
        self.previous = x
        if not self.past.ready:
            self.value = x
            return x
        way = abs(x - old)
        efficiency = way / self.path.value if self.path.value > way else 1.0
        factor = efficiency * (self.fast_alpha - self.slow_alpha) + self.slow_alpha
        self.value += (x - self.value) * (factor * factor)
        return self.value

    @property
    def ready(self):
        """After ``period + 1`` values."""
        return self.past.ready
