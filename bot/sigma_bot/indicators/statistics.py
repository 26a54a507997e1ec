"""Deviation, regression and correlation over a window.

Variances are kept as in ``windows``: each part holds the sum of squares about its own mean, and two parts
are joined by the square of their distance. Only squares are added, never subtracted, so a variance cannot
become negative, and small deviations of large prices keep their digits. Within a part the deviation grows by
Youngs and Cramer's update, the correlation by Welford's. Sources: B. P. Welford, Technometrics 4 (1962); E.
A. Youngs, E. M. Cramer, Technometrics 13 (1971); both judged in T. F. Chan, G. H. Golub, R. J. LeVeque, The
American Statistician 37 (1983).
"""

from __future__ import annotations

import math

from sigma_bot.indicators.windows import Ramp, check_period, preset
from sigma_bot.kernel.struct import Struct, window


class StdDev(Struct):
    """Population standard deviation (divisor ``period``) of the last ``period`` values, and their ``mean``.

    Exactly zero on a flat window. Ready after ``period`` values, until then that of what there is.
    """

    period: int = 20
    at: int
    full: bool
    anchor: float
    share: float
    head: float
    head_square: float
    mean: float
    value: float
    sums: window(float)
    squares: window(float)

    def setup(self, period=20):
        """Start over with another length. Raises ValueError when it does not fit the window."""
        check_period("StdDev", "period", period, 1, len(self.sums))
        self.period = period
        self.at = 0
        self.full = False
        self.anchor = 0.0
        self.share = 0.0
        self.head = 0.0
        self.head_square = 0.0
        self.mean = 0.0
        self.value = 0.0

    def update(self, x):
        """Take one value; the deviation."""
        k = self.at
        if k == 0 and not self.full:
            self.anchor = x
        self.sums[k] = x
        k += 1
        n = float(k)
        d = x - self.anchor
        self.head += d
        if k > 1:
            gap = n * d - self.head
            self.head_square += gap * gap / (n * (n - 1.0))
        total = self.head
        square = self.head_square
        if not self.full:
            self.share = 1.0 / n
        if k == self.period:
            k = 0
            self.turn(x)
            total = self.sums[0]
            square = self.squares[0]
        elif self.full:
            rest = float(self.period - k)
            gap = n * self.sums[k] - rest * total
            total += self.sums[k]
            square += self.squares[k] + gap * gap / (n * rest * (n + rest))
        self.at = k
        self.mean = self.anchor + total * self.share
        self.value = math.sqrt(square * self.share)
        return self.value

    def turn(self, x):
        """Replace the values by sum and squares of their suffixes, relative to the newest value ``x``."""
        total = 0.0
        square = 0.0
        self.sums[self.period - 1] = 0.0
        self.squares[self.period - 1] = 0.0
        for i in range(1, self.period):
            j = self.period - 1 - i
            n = i + 1.0
            d = self.sums[j] - x
            total += d
            gap = n * d - total
            square += gap * gap / (n * (n - 1.0))
            self.sums[j] = total
            self.squares[j] = square
        self.anchor = x
        self.head = 0.0
        self.head_square = 0.0
        self.full = True

    @property
    def variance(self):
        """Population variance."""
        return self.value * self.value

    @property
    def ready(self):
        """After ``period`` values."""
        return self.full


class ZScore(Struct):
    """How many population standard deviations the value stands above the mean of the last ``period`` values.

    The window includes the value itself. Zero where the window is flat. Ready after ``period`` values.
    """

    value: float
    deviation: StdDev

    def setup(self, period=20):
        """Start over with another length. Raises ValueError when it does not fit the window."""
        check_period("ZScore", "period", period, 1, len(self.deviation.sums))
        self.deviation.setup(period)
        self.value = 0.0

    def update(self, x):
        """Take one value; its score."""
        deviation = self.deviation.update(x)
        self.value = (x - self.deviation.mean) / deviation if deviation > 0.0 else 0.0
        return self.value

    @property
    def ready(self):
        """After ``period`` values."""
        return self.deviation.ready


class Slope(Struct):
    """Slope of the least-squares line through the last ``period`` values, in value units per update.

    ``end`` is the line's height at the newest value. Ready after ``period`` values, until then that of what
    there is.
    """

    value: float
    ramp: Ramp = preset(period=14)

    def setup(self, period=14):
        """Start over with another length of at least 2. Raises ValueError when it does not fit the window."""
        check_period("Slope", "period", period, 2, len(self.ramp.sums))
        self.ramp.setup(period)
        self.value = 0.0

    def update(self, x):
        """Take one value; the slope."""
        weighted = self.ramp.update(x)
        n = self.ramp.count
        if n > 1:
            self.value = (weighted - 0.5 * (n + 1) * self.ramp.total) * 12.0 / (n * (n * n - 1))
        return self.value

    @property
    def end(self):
        """Height of the line at the newest value; zero before the first."""
        n = max(self.ramp.count, 1)
        return self.ramp.anchor + self.ramp.total / n + self.value * (0.5 * (n - 1))

    @property
    def ready(self):
        """After ``period`` values."""
        return self.ramp.ready


class Correlation(Struct):
    """Pearson correlation of the last ``period`` pairs, -1 to 1; zero where one of the two is flat.

    Ready after ``period`` pairs, until then that of what there is.
    """

    period: int = 20
    at: int
    full: bool
    anchor_x: float
    anchor_y: float
    head_x: float
    head_y: float
    head_xx: float
    head_yy: float
    head_xy: float
    value: float
    xs: window(float)
    ys: window(float)
    xxs: window(float)
    yys: window(float)
    xys: window(float)

    def setup(self, period=20):
        """Start over with another length of at least 2. Raises ValueError when it does not fit the window."""
        check_period("Correlation", "period", period, 2, len(self.xs))
        self.period = period
        self.at = 0
        self.full = False
        self.anchor_x = 0.0
        self.anchor_y = 0.0
        self.clear()
        self.value = 0.0

    def clear(self):
        """Empty the head."""
        self.head_x = 0.0
        self.head_y = 0.0
        self.head_xx = 0.0
        self.head_yy = 0.0
        self.head_xy = 0.0

    def update(self, x, y):
        """Take one pair; the correlation."""
        k = self.at
        if k == 0 and not self.full:
            self.anchor_x = x
            self.anchor_y = y
        self.xs[k] = x
        self.ys[k] = y
        k += 1
        dx = x - self.anchor_x
        dy = y - self.anchor_y
        gap_x = dx - self.head_x
        gap_y = dy - self.head_y
        self.head_x += gap_x / k
        self.head_y += gap_y / k
        self.head_xx += gap_x * (dx - self.head_x)
        self.head_yy += gap_y * (dy - self.head_y)
        self.head_xy += gap_x * (dy - self.head_y)
        if k == self.period:
            k = 0
            self.turn(x, y)
            self.combine(self.xxs[0], self.yys[0], self.xys[0])
        elif self.full:
            gap_x = self.xs[k] - self.head_x
            gap_y = self.ys[k] - self.head_y
            share = (self.period - k) / self.period * k
            self.combine(
                self.head_xx + self.xxs[k] + gap_x * gap_x * share,
                self.head_yy + self.yys[k] + gap_y * gap_y * share,
                self.head_xy + self.xys[k] + gap_x * gap_y * share,
            )
        else:
            self.combine(self.head_xx, self.head_yy, self.head_xy)
        self.at = k
        return self.value

    def combine(self, xx, yy, xy):
        """The correlation from the sums of squares and products about the means."""
        if xx > 0.0 and yy > 0.0:
            self.value = min(max(xy / (math.sqrt(xx) * math.sqrt(yy)), -1.0), 1.0)
        else:
            self.value = 0.0

    def turn(self, x, y):
        """Replace the pairs by the moments of their suffixes, relative to the newest pair."""
        mean_x = 0.0
        mean_y = 0.0
        xx = 0.0
        yy = 0.0
        xy = 0.0
        for i in range(self.period - 1, -1, -1):
            dx = self.xs[i] - x
            dy = self.ys[i] - y
            gap_x = dx - mean_x
            gap_y = dy - mean_y
            mean_x += gap_x / (self.period - i)
            mean_y += gap_y / (self.period - i)
            xx += gap_x * (dx - mean_x)
            yy += gap_y * (dy - mean_y)
            xy += gap_x * (dy - mean_y)
            self.xs[i] = mean_x
            self.ys[i] = mean_y
            self.xxs[i] = xx
            self.yys[i] = yy
            self.xys[i] = xy
        self.anchor_x = x
        self.anchor_y = y
        self.clear()
        self.full = True

    @property
    def ready(self):
        """After ``period`` pairs."""
        return self.full
