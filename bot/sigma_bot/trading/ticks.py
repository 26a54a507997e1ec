"""The bot's view of the feed: every batch once, in order. Pub/Sub wakes it, the log is what it reads, and the
feed's recording what is older than the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from sigma_bot.bus.errors import BusError
from sigma_bot.bus.interface import Bus
from sigma_bot.model.messages import TickBatch, decode_batch, ticks_log
from sigma_bot.model.ticks import INTERVAL
from sigma_bot.retry import Backoff
from sigma_bot.times import DAY
from sigma_bot.trading.history import HistoryClient

log = logging.getLogger(__name__)
PAGE_SIZE = 100
RECONNECT_BACKOFF = Backoff(0.05, maximum=2.0, jitter=(0.8, 1.2))
MAX_CATCH_UP = DAY
"""A bot that was away is given its recorded ticks from a day before its warm-up on, ns; what is older would
only keep it from trading."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Batches that nobody has any more: both ends included."""

    first: int
    last: int


class TickReader:
    """Batches after ``after``, for ever; None begins ``warmup`` (ns) before the newest one, or where log and
    recording begin, with 0 behind it. ``lost_batches`` counts those that nobody had any more, ``malformed``
    entries that were no batches of this venue under their own number.

    What is heard is a bell, which anybody may ring: batches come from the log, where only the feed writes."""

    def __init__(
        self, bus: Bus, venue: str, after: int | None, warmup: int = 0, history: HistoryClient | None = None
    ) -> None:
        self.bus, self.log, self.last, self.warmup = bus, ticks_log(venue), after, warmup
        self.history = history
        self.lost_batches = self.malformed = self.reconnects = 0
        self._venue = venue
        self.log_was_empty = False  # what comes is our first

    async def batches(self) -> AsyncIterator[TickBatch | Gap]:
        """Reconnects by itself; batches that can't be had any more are a Gap before the next one."""
        failures = 0
        while True:
            try:
                async with self.bus.subscribe(self.log) as messages:
                    async for item in self._catch_up():
                        yield item
                    failures = 0
                    async for _ in messages:
                        async for item in self._catch_up():
                            yield item
            except BusError as error:
                self.reconnects += 1
                log.warning("ticks: %s", error)
            await asyncio.sleep(RECONNECT_BACKOFF.delay(failures))
            failures += 1

    async def _catch_up(self) -> AsyncIterator[TickBatch | Gap]:
        """What the recording and the log hold after the last batch."""
        if self.last is None:
            async for item in self._begin():
                yield item
        asked = None  # the last batch when what is missing behind it was asked for
        while self.last is not None:
            page = await self.bus.read(self.log, self.last, PAGE_SIZE)
            if page and page[0][0] > self.last + 1 and self.last != asked:
                asked = self.last
                since = self._stamp(page[0]) - self.warmup - MAX_CATCH_UP
                async for item in self._recorded(self.last, since, page[0][0]):
                    yield item
                continue  # the log may have moved on meanwhile
            for seq, payload in page:
                batch = self._decode(payload, seq)
                if batch is None:
                    yield self._gap(self.last + 1, seq)
                    self.last = seq
                    continue
                for item in self._take(batch):
                    yield item
            if len(page) < PAGE_SIZE:
                return

    async def _begin(self) -> AsyncIterator[TickBatch | Gap]:
        """Find where a fresh run begins, and what is recorded before the log. An empty log, or a feed that is
        still to come, leaves that for its first batch."""
        newest = await self.bus.last(self.log)
        if newest is None:
            self.log_was_empty = True
            return
        if self.log_was_empty:
            [newest] = await self.bus.read(self.log, -1, 1)  # more may have come since
        if not self.warmup:
            self.last = newest[0] - 1 if self.log_was_empty else newest[0]
            return
        behind = newest[0] - self.warmup // INTERVAL
        found = await self.bus.read(self.log, max(behind, 0), 1)
        oldest = found[0] if found else newest
        since = self._stamp(newest) - self.warmup
        if oldest[0] > max(behind, 0) + 1 and self._stamp(oldest) > since:
            async for item in self._recorded(-1, since, oldest[0]):
                yield item
            if self.last is None and self.history is not None and self.history.feed_absent:
                return
        if self.last is None:
            self.last = oldest[0] - 1

    async def _recorded(self, after: int, since: int, until: int) -> AsyncIterator[TickBatch | Gap]:
        """What is recorded of our symbols; batches without them, which change nothing, are passed over."""
        if self.history is None:
            return
        async for page in self.history.pages(after, since, until):
            missing = list(page.missing)
            for batch in filter(None, map(self._decode, page.batches)):
                if not (self.last or 0) < batch.seq <= page.upto:
                    self._refuse(f"recorded batch {batch.seq} is none of those asked for")
                    continue
                while missing and missing[0][0] < batch.seq:
                    yield self._gap(*missing.pop(0))
                self.last = batch.seq
                yield batch
            for first, last in missing:
                yield self._gap(first, last)
            self.last = page.upto

    def _take(self, batch: TickBatch) -> Iterator[TickBatch | Gap]:
        if self.last is not None and batch.seq > self.last + 1:
            yield self._gap(self.last + 1, batch.seq - 1)
        self.last = batch.seq
        yield batch

    def _gap(self, first: int, last: int) -> Gap:
        self.lost_batches += last - first + 1
        log.warning("ticks %d to %d are lost", first, last)
        return Gap(first, last)

    def _stamp(self, entry: tuple[int, bytes]) -> int:
        """When a batch was closed; 0 when it is none."""
        batch = self._decode(entry[1], entry[0])
        return 0 if batch is None else batch.ts

    def _decode(self, payload: bytes, seq: int | None = None) -> TickBatch | None:
        """The batch; None, counted, for what is none of this venue or not of the number it lies under."""
        try:
            batch = decode_batch(payload)
        except ValueError as error:
            self._refuse(str(error))
            return None
        if batch.venue != self._venue or (seq is not None and batch.seq != seq):
            self._refuse(f"batch {batch.seq} of {batch.venue} lies under number {seq} of {self._venue}")
            return None
        return batch

    def _refuse(self, why: str) -> None:
        self.malformed += 1
        log.warning("ticks: %s", why)
