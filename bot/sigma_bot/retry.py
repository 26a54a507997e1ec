"""How long to wait before trying again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

MAX_EXPONENT = 64
"""Powers beyond are no longer waits; without a bound a float would overflow."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits in seconds: ``initial``, then each ``factor`` times the one before, ``maximum`` at most. Each is
    multiplied by a random number between the two of ``jitter``, so that many clients do not come back at
    once."""

    initial: float
    factor: float = 2.0
    maximum: float = float("inf")
    jitter: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        low, high = self.jitter
        if self.initial <= 0.0 or self.factor < 1.0 or self.maximum < self.initial or not 0.0 <= low <= high:
            raise ValueError(f"no wait can be taken from {self}")

    def delay(self, failures: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
        """The wait after so many failures before this one, from 0 on. ``uniform(low, high)`` draws the
        jitter."""
        wait = min(self.maximum, self.initial * self.factor ** min(failures, MAX_EXPONENT))
        return wait * uniform(*self.jitter)


async def retry_for(
    seconds: float, ask: Callable[[], Awaitable[T]], errors: type[Exception], every: float
) -> T:
    """What ``ask`` gives, asked again ``every`` so many seconds while it raises one of these errors; after
    ``seconds`` the error is raised."""
    end = time.monotonic() + seconds
    while True:
        try:
            return await ask()
        except errors:
            if time.monotonic() >= end:
                raise
        await asyncio.sleep(every)
