"""How often a venue may be asked: one arithmetic for all processes of a key and an address.

A bucket allows ``limit`` units in any span of ``window_ms``, wherever the venue's own windows begin. Spans
are counted in slots, and a slot counts until the last moment of it is out of the window, so the count errs on
the careful side. Cancels and look-ups are urgent: a share of every bucket is theirs alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sigma_bot.venues.errors import COUNTS, retry_after
from sigma_bot.venues.registry import venue_of
from sigma_bot.venues.types import TransientError
from sigma_bot.venues.venue import Bucket

PATIENCE_S = 5.0
"""Longest wait inside ``acquire``; beyond it the caller hears when to come back."""


Costs = Mapping[str, int]
"""Units by name of bucket."""


class Limiter(Protocol):
    """Asked before every request, told of every answer."""

    async def acquire(self, costs: Costs, urgent: bool = False, deadline_ns: int | None = None) -> None:
        """Wait until the request may be sent. TransientError (``rate-limit``) when that is after
        ``deadline_ns`` (time.monotonic_ns) or too far off to wait."""

    async def told(self, status: int, headers: Mapping[str, str]) -> None:
        """What the venue said about our use."""

    async def close(self) -> None:
        """Give connections back."""


@dataclass(slots=True)
class Window:
    """The count of one bucket: units by slot number. Pure: the caller gives the time in ms."""

    bucket: Bucket
    slots: dict[int, int] = field(default_factory=dict)

    def used(self, now: int) -> int:
        """Units that may still count at the venue."""
        oldest = (now - self.bucket.window_ms) // self.bucket.slot_ms
        self.slots = {slot: units for slot, units in self.slots.items() if slot >= oldest}
        return sum(self.slots.values())

    def wait(self, now: int, cost: int, allowed: int) -> int:
        """Milliseconds until ``cost`` fits, 0 when it fits now, -1 when it never will."""
        excess = self.used(now) + cost - allowed
        if excess <= 0:
            return 0
        for slot in sorted(self.slots):
            excess -= self.slots[slot]
            if excess <= 0:
                return (slot + 1) * self.bucket.slot_ms + self.bucket.window_ms - now
        return -1

    def add(self, now: int, cost: int) -> None:
        """Count a request."""
        slot = now // self.bucket.slot_ms
        self.slots[slot] = self.slots.get(slot, 0) + cost

    def correct(self, now: int, told: int) -> None:
        """The venue counts ``told`` units: others use the same key or address."""
        missing = min(told, 10 * self.bucket.limit) - self.used(now)
        if missing > 0:
            self.add(now, missing)


def ban_ms(status: int, headers: Mapping[str, str]) -> int:
    """How long the venue shuts us out, 0 when it does not."""
    return int(1000 * retry_after(status, headers)) if status in (418, 429) else 0


async def pause(venue: str, wait_ms: int, deadline_ns: int | None) -> None:
    """Wait, or raise TransientError when waiting makes no sense."""
    after = wait_ms / 1000
    ends = time.monotonic_ns() + wait_ms * 1_000_000
    if wait_ms < 0 or after > PATIENCE_S or (deadline_ns is not None and ends > deadline_ns):
        COUNTS[venue, "held-back"] += 1
        later = after if wait_ms >= 0 else 60.0
        raise TransientError(f"{venue}: our own rate limit; free again in {later:.1f} s", "rate-limit", later)
    await asyncio.sleep(after)


class LocalLimiter:
    """The limiter of a process on its own. ``share``: the part of the venue's limits that is ours."""

    def __init__(self, venue: str, share: float = 1.0) -> None:
        self.venue = venue
        self._windows = {
            b.name: Window(Bucket(b.name, max(1, int(b.limit * share)), b.window_ms, b.per))
            for b in venue_of(venue).buckets
        }
        self._banned_until = 0

    def step(self, now: int, costs: Costs, urgent: bool) -> int:
        """Take the units at ``now`` ms: 0, or nothing taken and the ms to wait (-1: never)."""
        waits = [max(0, self._banned_until - now)]
        for name, cost in costs.items():
            window = self._windows[name]
            waits.append(window.wait(now, cost, window.bucket.allowed(urgent)))
        if -1 in waits:
            return -1
        if not any(waits):
            for name, cost in costs.items():
                self._windows[name].add(now, cost)
        return max(waits)

    async def acquire(self, costs: Costs, urgent: bool = False, deadline_ns: int | None = None) -> None:
        """See `Limiter`."""
        while wait := self.step(time.monotonic_ns() // 1_000_000, costs, urgent):
            await pause(self.venue, wait, deadline_ns)

    async def told(self, status: int, headers: Mapping[str, str]) -> None:
        """See `Limiter`."""
        now = time.monotonic_ns() // 1_000_000
        for name, units in venue_of(self.venue).usage(headers).items():
            self._windows[name].correct(now, units)
        self._banned_until = max(self._banned_until, now + ban_ms(status, headers))

    async def close(self) -> None:
        """Nothing to give back."""
