"""The bot's view of the feed: every batch once, in order. Pub/Sub wakes it, the log is what it reads."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator

from sigma_bot.bus.errors import BusError
from sigma_bot.bus.interface import Bus
from sigma_bot.bus.messages import TickBatch, decode_batch, ticks_log

log = logging.getLogger(__name__)
PAGE = 100


class TickReader:
    """Batches after ``after``, for ever; None begins with the next one, or with the last ``history`` that the
    log still holds. ``holes`` counts batches that no log held any more, ``malformed`` payloads that were no
    batches."""

    def __init__(self, bus: Bus, venue: str, after: int | None, history: int = 0) -> None:
        self.bus, self.log, self.last, self.history = bus, ticks_log(venue), after, history
        self.holes = self.malformed = self.reconnects = 0

    async def batches(self) -> AsyncIterator[TickBatch]:
        """Reconnects by itself; a hole that the log can't fill is counted and passed over."""
        wait = 0.05
        while True:
            try:
                async with self.bus.subscribe(self.log) as messages:
                    async for batch in self._catch_up():
                        yield batch
                    wait = 0.05
                    async for _, payload in messages:
                        newest = self._decode(payload)
                        if newest is None or (self.last is not None and newest.seq <= self.last):
                            continue
                        if self.last is not None and newest.seq > self.last + 1:
                            async for missed in self._catch_up(newest.seq):
                                yield missed
                        yield self._take(newest)
            except BusError as error:
                self.reconnects += 1
                log.warning("ticks: %s", error)
            await asyncio.sleep(wait * random.uniform(0.8, 1.2))
            wait = min(wait * 2, 2.0)

    async def _catch_up(self, until: int | None = None) -> AsyncIterator[TickBatch]:
        """What the log holds after the last batch, up to before ``until``."""
        if self.last is None:
            newest = await self.bus.last(self.log)
            if newest is None:
                return
            begin = max(newest[0] - self.history, 0)
            oldest = await self.bus.read(self.log, begin, 1)
            self.last = oldest[0][0] - 1 if self.history and oldest else newest[0]
        while True:
            page = await self.bus.read(self.log, self.last, PAGE)
            for seq, payload in page:
                if until is not None and seq >= until:
                    return
                batch = self._decode(payload)
                if batch is not None and (self.last is None or batch.seq > self.last):
                    yield self._take(batch)
            if len(page) < PAGE:
                return

    def _take(self, batch: TickBatch) -> TickBatch:
        if self.last is not None and batch.seq > self.last + 1:
            self.holes += batch.seq - self.last - 1
            log.warning("ticks %d to %d are lost", self.last + 1, batch.seq - 1)
        self.last = batch.seq
        return batch

    def _decode(self, payload: bytes) -> TickBatch | None:
        try:
            return decode_batch(payload)
        except ValueError as error:
            self.malformed += 1
            log.warning("ticks: %s", error)
            return None
