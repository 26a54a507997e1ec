"""The same arithmetic as the strategies, written by hand as one Numba loop without an engine: no orders, no
account, no events. What is lost against it is the price of everything a backtest adds."""

from __future__ import annotations

import math

import numpy as np
from numba import njit


def ticks(bid, ask, fast, slow, decay):
    """Two exponential averages and a volatility; how often the fast one was above."""
    fast_alpha, slow_alpha = 2.0 / (fast + 1), 2.0 / (slow + 1)
    quick = slowly = variance = previous = 0.0
    above = 0
    for i in range(len(bid)):
        mid = (bid[i] + ask[i]) * 0.5
        quick += (mid - quick) * (fast_alpha if i >= fast else 1.0 / (i + 1))
        slowly += (mid - slowly) * (slow_alpha if i >= slow else 1.0 / (i + 1))
        if previous > 0.0:
            r = math.log(mid / previous)
            variance += (r * r - variance) * decay
        previous = mid
        if quick > slowly:
            above += 1
    return above, variance


def bars(close, fast, slow):
    """Cross of two simple averages; the profit of one unit, filled at the close."""
    quick = slowly = profit = entry = 0.0
    held = False
    for i in range(len(close)):
        quick += close[i]
        slowly += close[i]
        if i >= fast:
            quick -= close[i - fast]
        if i >= slow:
            slowly -= close[i - slow]
        if i >= slow - 1:
            if quick / fast > slowly / slow and not held:
                held = True
                entry = close[i]
            elif quick / fast < slowly / slow and held:
                held = False
                profit += close[i] - entry
    return profit


compiled_ticks = njit(ticks)
compiled_bars = njit(bars)


def warm_up() -> None:
    """Compile both before they are timed."""
    few = np.ones(4)
    compiled_ticks(few, few, 60, 600, 0.001)
    compiled_bars(few, 2, 3)
