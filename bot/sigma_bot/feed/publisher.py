"""From finished batches to the bus: in order, none twice, none left out, whatever Redis does meanwhile."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

from sigma_bot.bus import Bus, BusError, GapError
from sigma_bot.errors import SigmaError
from sigma_bot.feed.counters import Counters
from sigma_bot.model.messages import ticks_log
from sigma_bot.retry import Backoff

if TYPE_CHECKING:
    from sigma_bot.health.metrics import FeedMetrics

WAITING = 3000
"""Batches that wait while the bus is away: five minutes. More would only age."""
REMEMBERED = 3000
"""Published batches kept in memory to give back what Redis loses when it dies."""
BACKOFF = Backoff(0.1, maximum=2.0)
CHECK = 100
"""Batches between two looks at whether the log is still ours."""


class FeedConflictError(SigmaError):
    """Two feeds write one log, or the log lost what nobody has any more."""


class Publisher:
    """A queue before ``Bus.append``. Its ``run`` ends only by cancellation or FeedConflictError."""

    def __init__(self, bus: Bus, venue: str, counters: Counters, metrics: FeedMetrics | None = None) -> None:
        self._bus, self._log, self._counters, self._metrics = bus, ticks_log(venue), counters, metrics
        self._waiting: deque[tuple[int, bytes, int]] = deque()
        self._known: deque[tuple[int, bytes]] = deque(maxlen=REMEMBERED)
        self._bell, self._empty = asyncio.Event(), asyncio.Event()
        self._empty.set()

    @property
    def full(self) -> bool:
        """Whether no more may wait."""
        return len(self._waiting) >= WAITING

    def put(self, seq: int, payload: bytes, ticks: int = 0) -> None:
        """Queue a batch of so many ticks."""
        self._waiting.append((seq, payload, ticks))
        self._counters.waiting = len(self._waiting)
        self._empty.clear()
        self._bell.set()

    async def drained(self) -> None:
        """Wait until the bus has everything."""
        await self._empty.wait()

    async def run(self, on_first: Callable[[], None]) -> None:
        """Publish what is queued. ``on_first`` is called once, after the first batch."""
        while True:
            while self._waiting:
                seq, payload, ticks = self._waiting[0]
                began = perf_counter()
                await self._deliver(seq, payload)
                self._waiting.popleft()
                if self._metrics is not None:
                    self._metrics.batch(ticks, perf_counter() - began)
                self._known.append((seq, payload))
                self._counters.waiting = len(self._waiting)
                on_first()
                if seq % CHECK == 0:
                    await self._check(seq, payload)
            self._empty.set()
            self._bell.clear()
            await self._bell.wait()

    async def _deliver(self, seq: int, payload: bytes) -> None:
        """Append, however long it takes."""
        tries, mend = 0, False
        while True:
            try:
                if mend:
                    await self._repair(seq)
                await self._bus.append(self._log, seq, payload)
                return
            except GapError as hole:
                if mend:
                    raise self._conflict(hole) from hole
                mend = True
            except BusError as error:
                self._failed(error)
                mend = True  # who died may have forgotten
                await asyncio.sleep(BACKOFF.delay(tries))
                tries += 1

    async def _repair(self, seq: int) -> None:
        """Give back what the log lost: after its newest entry, or all we know when it has none."""
        newest = await self._bus.last(self._log)
        last = newest[0] if newest is not None else -1
        for known, payload in list(self._known):
            if last < known < seq:
                await self._bus.append(self._log, known, payload)
                self._counters.republished += 1

    async def _check(self, seq: int, payload: bytes) -> None:
        """An append that is there already is ignored: see that what is there is ours."""
        try:
            found = await self._bus.read(self._log, seq - 1, 1)
        except BusError as error:
            self._failed(error)
            return
        if found and found[0] != (seq, payload):
            raise FeedConflictError(
                f"{self._log}: another feed of this venue writes the same log; stop one of them"
            )

    def _failed(self, error: BusError) -> None:
        self._counters.bus_errors += 1
        self._counters.last_error = str(error)

    def _conflict(self, hole: GapError) -> FeedConflictError:
        return FeedConflictError(
            f"{hole}. The log went back by more than this feed remembers ({REMEMBERED} batches): it was "
            "restored from an old copy, or another feed writes it. Delete the log, and start the feed again"
        )
