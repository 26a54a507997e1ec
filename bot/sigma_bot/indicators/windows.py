"""Sliding windows over a ring, in constant time and without drift.

A sum kept by adding the newest value and subtracting the oldest collects rounding errors for ever, and after
one huge value it never recovers. Here the window of ``n`` values is seen as two parts instead::

    ring   [ x x x x | s s s s s ]      at = 4, n = 9
             newest      oldest

The first ``at`` places hold the newest values as they came, their aggregate is ``head``. Each place from
``at`` on holds the aggregate of an older value and all values after it up to the last turn (a suffix). The
window is ``head`` and the suffix at ``at`` taken together: nothing is ever subtracted. After ``n`` values
the ring turns: one loop replaces the values by their suffixes, ``head`` starts anew. That is about two
additions a value, whatever ``n`` is; errors never outlive a window; and sums, extremes, moments and weighted
sums all follow the same scheme.

Sums are taken over ``x - anchor``, where the anchor is the value at the last turn. Prices far from zero then
cost no digits, and a flat market gives exactly its price as the mean and exactly zero as the deviation.

The loop of a turn counts upwards and computes its index from that: compiled code then needs no test for
negative indices, which is worth a tenth of the speed.

All methods compute with ``+ - * /``, comparisons and ``sqrt`` only, in one fixed order, so that CPython and
compiled code agree to the last bit on every machine.
"""

from __future__ import annotations

from typing import Any

from sigma_bot.errors import BadInputError
from sigma_bot.kernel.struct import DEFAULT_WINDOW, ArraySpec, Struct, StructMeta, window

UNBOUNDED = 1 << 62


class PeriodError(ValueError):
    """A period that an indicator cannot take: below the least, or longer than its window. The text says what
    to declare instead. Built from plain values, so that compiled code raises it without formatting.
    """

    def __init__(self, name: str, what: str, period: int, least: int, capacity: int) -> None:
        super().__init__(name, what, period, least, capacity)

    def __str__(self) -> str:
        name, what, period, least, capacity = self.args
        if period < least:
            return f"{name}: {what} {period} must be at least {least}"
        room = DEFAULT_WINDOW
        while room < period:
            room *= 2
        return (
            f"{name}: {what} {period} exceeds the window of {capacity}; declare the field as {name}[{room}]"
        )


def check_period(name, what, period, least, capacity):
    """Raise PeriodError unless ``least <= period <= capacity``."""
    if period < least or period > capacity:
        raise PeriodError(name, what, period, least, capacity)


def check_windows(struct: Struct, place: str) -> None:
    """Raise BadInputError where a nested indicator's period exceeds its window; compiled code does not look.

    It happens when a window smaller than the default period is declared and ``setup`` is not called, or when
    ``period`` is assigned by hand. ``place`` names the owner in the message.
    """
    fields = type(struct).__fields__
    for name, t in fields.items():
        value = getattr(struct, name)
        if isinstance(t, StructMeta):
            check_windows(value, f"{place}.{name}")
        elif isinstance(t, ArraySpec) and isinstance(t.item, StructMeta):
            for i, item in enumerate(value):
                check_windows(item, f"{place}.{name}[{i}]")
        elif isinstance(t, ArraySpec) and t.sized and "period" in fields:
            period = struct.period  # type: ignore[attr-defined]
            if not 1 <= period <= t.n:
                raise BadInputError(
                    f"{place}: period {period} does not fit its window of {t.n}; call setup in on_start "
                    f"or declare a larger window"
                )


def preset(**values: Any) -> Any:
    """Default of a nested indicator's fields: ``slow: Ema = preset(period=26, alpha=2.0 / 27.0)``."""
    return values


def typical(high, low, close):
    """Typical price ``(high + low + close) / 3``, computed from the low so that a bar without range gives
    its price.
    """
    return low + ((high - low) + (close - low)) / 3.0


class WindowSum(Struct):
    """Sum of the last ``period`` values. Zeros sum to exactly zero; values of one sign never cancel."""

    period: int = 20
    at: int
    full: bool
    head: float
    value: float
    ring: window(float)

    def setup(self, period=20):
        """Start over with another length. Raises ValueError when it does not fit the window."""
        check_period("WindowSum", "period", period, 1, len(self.ring))
        self.period = period
        self.at = 0
        self.full = False
        self.head = 0.0
        self.value = 0.0
        for i in range(period):
            self.ring[i] = 0.0

    def update(self, x):
        """Take one value; the sum of what the window holds."""
        k = self.at
        self.ring[k] = x
        self.head += x
        k += 1
        if k == self.period:
            k = 0
            s = 0.0
            for i in range(self.period):
                j = self.period - 1 - i
                s += self.ring[j]
                self.ring[j] = s
            self.head = 0.0
            self.full = True
        self.at = k
        self.value = self.head + self.ring[k]
        return self.value

    @property
    def ready(self):
        """After ``period`` values."""
        return self.full


class Highest(Struct):
    """Greatest of the last ``period`` values, the newest included; exact."""

    period: int = 20
    at: int
    full: bool
    head: float
    value: float
    ring: window(float)

    def setup(self, period=20):
        """Start over with another length. Raises ValueError when it does not fit the window."""
        check_period("Highest", "period", period, 1, len(self.ring))
        self.period = period
        self.at = 0
        self.full = False
        self.head = 0.0
        self.value = 0.0

    def update(self, x):
        """Take one value; the greatest of what the window holds."""
        k = self.at
        self.ring[k] = x
        if k == 0 or x > self.head:
            self.head = x
        best = self.head
        k += 1
        if k == self.period:
            k = 0
            best = x
            for i in range(1, self.period):
                j = self.period - 1 - i
                best = max(best, self.ring[j])
                self.ring[j] = best
            self.full = True
        elif self.full and self.ring[k] > best:
            best = self.ring[k]
        self.at = k
        self.value = best
        return best

    @property
    def ready(self):
        """After ``period`` values."""
        return self.full


class Lowest(Struct):
    """Least of the last ``period`` values, the newest included; exact."""

    period: int = 20
    at: int
    full: bool
    head: float
    value: float
    ring: window(float)

    def setup(self, period=20):
        """Start over with another length. Raises ValueError when it does not fit the window."""
        check_period("Lowest", "period", period, 1, len(self.ring))
        self.period = period
        self.at = 0
        self.full = False
        self.head = 0.0
        self.value = 0.0

    def update(self, x):
        """Take one value; the least of what the window holds."""
        k = self.at
        self.ring[k] = x
        if k == 0 or x < self.head:
            self.head = x
        best = self.head
        k += 1
        if k == self.period:
            k = 0
            best = x
            for i in range(1, self.period):
                j = self.period - 1 - i
                best = min(best, self.ring[j])
                self.ring[j] = best
            self.full = True
        elif self.full and self.ring[k] < best:
            best = self.ring[k]
        self.at = k
        self.value = best
        return best

    @property
    def ready(self):
        """After ``period`` values."""
        return self.full


class Lag(Struct):
    """The value ``period`` updates ago; until there is one, the first value seen."""

    period: int = 1
    at: int
    full: bool
    ready: bool
    value: float
    ring: window(float)

    def setup(self, period=1):
        """Start over with another distance. Raises ValueError when it does not fit the window."""
        check_period("Lag", "period", period, 1, len(self.ring))
        self.period = period
        self.at = 0
        self.full = False
        self.ready = False
        self.value = 0.0

    def update(self, x):
        """Take one value; the value ``period`` updates before it (ready after ``period + 1`` values)."""
        k = self.at
        if self.full:
            self.value = self.ring[k]
            self.ready = True
        elif k == 0:
            self.value = x
        self.ring[k] = x
        k += 1
        if k == self.period:
            k = 0
            self.full = True
        self.at = k
        return self.value


class Ramp(Struct):
    """Sum and linearly weighted sum (oldest 1, newest ``count``) of ``x - anchor`` over the last ``period``
    values.

    The weighted sum of the two parts: suffixes carry weights counted from their own oldest value; the head's
    weights count from 1 too and rise by the length of the suffix, which adds that length times the head's
    plain sum.
    """

    period: int = 20
    at: int
    count: int
    anchor: float
    head: float
    head_weighted: float
    total: float
    weighted: float
    sums: window(float)
    ramps: window(float)

    def setup(self, period=20):
        """Start over with another length. Raises ValueError when it does not fit the window."""
        check_period("Ramp", "period", period, 1, len(self.sums))
        self.period = period
        self.at = 0
        self.count = 0
        self.anchor = 0.0
        self.head = 0.0
        self.head_weighted = 0.0
        self.total = 0.0
        self.weighted = 0.0
        for i in range(period):
            self.sums[i] = 0.0
            self.ramps[i] = 0.0

    def update(self, x):
        """Take one value; the weighted sum relative to ``anchor``."""
        if self.count < self.period:
            if self.count == 0:
                self.anchor = x
            self.count += 1
        k = self.at
        d = x - self.anchor
        self.sums[k] = x
        k += 1
        self.head += d
        self.head_weighted += k * d
        if k == self.period:
            k = 0
            s = 0.0
            w = 0.0
            for i in range(self.period):
                j = self.period - 1 - i
                s += self.sums[j] - x
                w += s
                self.sums[j] = s
                self.ramps[j] = w
            self.anchor = x
            self.head = 0.0
            self.head_weighted = 0.0
        self.at = k
        self.total = self.head + self.sums[k]
        self.weighted = self.head_weighted + (self.count - k) * self.head + self.ramps[k]
        return self.weighted

    @property
    def ready(self):
        """After ``period`` values."""
        return self.count == self.period


class WeightedMean(Struct):
    """Mean of the last ``period`` values, each with its own weight of zero or more (prices weighted by
    volume).
    """

    period: int = 20
    at: int
    full: bool
    started: bool
    anchor: float
    head: float
    head_weight: float
    value: float
    sums: window(float)
    weights: window(float)

    def setup(self, period=20):
        """Start over with another length. Raises ValueError when it does not fit the window."""
        check_period("WeightedMean", "period", period, 1, len(self.sums))
        self.period = period
        self.at = 0
        self.full = False
        self.started = False
        self.anchor = 0.0
        self.head = 0.0
        self.head_weight = 0.0
        self.value = 0.0
        for i in range(period):
            self.sums[i] = 0.0
            self.weights[i] = 0.0

    def update(self, x, weight):
        """Take one value and its weight; the mean, or ``x`` itself while all weights held are zero."""
        if not self.started:
            self.started = True
            self.anchor = x
        k = self.at
        self.sums[k] = x
        self.weights[k] = weight
        self.head += (x - self.anchor) * weight
        self.head_weight += weight
        k += 1
        if k == self.period:
            k = 0
            s = 0.0
            w = 0.0
            for i in range(self.period):
                j = self.period - 1 - i
                s += (self.sums[j] - x) * self.weights[j]
                w += self.weights[j]
                self.sums[j] = s
                self.weights[j] = w
            self.anchor = x
            self.head = 0.0
            self.head_weight = 0.0
            self.full = True
        self.at = k
        w = self.head_weight + self.weights[k]
        self.value = self.anchor + (self.head + self.sums[k]) / w if w > 0.0 else x
        return self.value

    @property
    def ready(self):
        """After ``period`` values."""
        return self.full
