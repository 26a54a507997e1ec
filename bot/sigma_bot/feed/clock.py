"""A clock that never runs backwards: the wall's time, carried on by the monotonic clock in between."""

from __future__ import annotations

import time
from collections.abc import Callable

from sigma_bot.times import SECOND

SLEW = 200
"""The most it is corrected by: one part in so many, so that NTP's steps become a slightly longer second."""
JUMP = SECOND
"""Ahead of us by more than this (ns), the wall's time is taken at once: the machine slept."""


class Clock:
    """Call it for ns since 1970 UTC. Never goes back; follows the wall clock within a few minutes."""

    def __init__(
        self, wall: Callable[[], int] = time.time_ns, steady: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall, self._steady = wall, steady
        self._base = wall() - steady()
        self._corrected = steady()
        self._last = 0

    def __call__(self) -> int:
        """Now."""
        self._last = max(self._last, self._steady() + self._base)
        return self._last

    def correct(self) -> int:
        """Move towards the wall's time; call it about once a second. Returns what is still missing (ns)."""
        steady = self._steady()
        most = (steady - self._corrected) // SLEW
        self._corrected = steady
        off = self._wall() - (steady + self._base)
        step = off if off > JUMP else max(-most, min(most, off))
        self._base += step
        return off - step
