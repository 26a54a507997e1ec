"""Rate limits as venues count them: so much in each interval of the clock, then 429, then a ban (418)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from sigma_bot.times import SECOND


@dataclass(slots=True)
class Window:
    """``limit`` units in each ``seconds`` of the clock."""

    limit: int
    seconds: int
    used: int = 0
    slot: int = -1

    def spend(self, now: int, amount: int) -> int:
        """Count; gives the seconds until the interval ends when the limit is passed, else 0."""
        length = self.seconds * SECOND
        if now // length != self.slot:
            self.slot, self.used = now // length, 0
        self.used += amount
        return math.ceil((length - now % length) / SECOND) if self.used > self.limit else 0


class Limiter:
    """Windows by name. Who goes on ``patience`` times after a 429 within one ban's length is banned."""

    def __init__(self, clock: Callable[[], int], patience: int = 20, ban_s: int = 120) -> None:
        self._clock, self.patience, self.ban_s = clock, patience, ban_s
        self.windows: dict[str, Window] = {}
        self.banned_until = 0
        self._offences: list[int] = []

    def banned(self) -> int:
        """Seconds the ban still lasts, 0 without one."""
        return max(0, math.ceil((self.banned_until - self._clock()) / SECOND))

    def spend(self, name: str, amount: int, limit: int, seconds: int) -> int:
        """Count ``amount`` against a window (made when new). Gives seconds to wait, 0 when all is well."""
        now = self._clock()
        window = self.windows.setdefault(name, Window(limit, seconds))
        wait = window.spend(now, amount)
        if wait:
            self._offences = [t for t in self._offences if now - t < self.ban_s * SECOND] + [now]
            if len(self._offences) > self.patience:
                self.banned_until = now + self.ban_s * SECOND
        return wait

    def used(self, name: str) -> int:
        """What a window has counted in its present interval."""
        window = self.windows.get(name)
        return window.used if window else 0
