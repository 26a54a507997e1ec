"""The bot's side of a recording: it asks its feed over the bus, page by page."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sigma_bot.bus.errors import BusError
from sigma_bot.bus.interface import Bus
from sigma_bot.model.messages import (
    HistoryPage,
    HistoryRequest,
    decode_history_page,
    history_answers,
    history_channel,
    ticks_log,
)
from sigma_bot.trading.tasks import cancel_tasks

log = logging.getLogger(__name__)
REPEAT_S = 2.0
"""Seconds after which a request is repeated: Pub/Sub may lose it, and a feed that dies its answer."""
NO_HISTORY_S = 5.0
"""A feed that publishes ticks and has not acknowledged a request by then is of a version without this."""
NO_FEED_S = 60.0
"""One that publishes none may be starting."""
BUSY_S = 120.0
"""One that has acknowledged it reads for other bots first, or the machine is busy."""
RETRY_AFTER_S = 300.0
"""So long it is not asked again when it did not answer."""


class HistoryClient:
    """Recorded ticks of a bot's symbols. ``reason`` says in words why the last reading ended early;
    ``feed_absent`` whether that was since no feed runs, ``reading`` whether it reads now."""

    def __init__(self, bus: Bus, venue: str, bot: str, symbols: Sequence[str]) -> None:
        self._bus, self._venue, self._bot, self._symbols = bus, venue, bot, tuple(symbols)
        self._not_before = 0.0
        self.reason, self.feed_absent, self.reading = "", False, False

    async def pages(self, after: int, since: int, until: int) -> AsyncIterator[HistoryPage]:
        """What is recorded behind number ``after`` (-1: any), from ``since`` on (ns UTC), before ``until``.
        Each page begins where the one before ended. Raises BusError."""
        if time.monotonic() < self._not_before:
            return
        self.reason, self.feed_absent, self.reading = "", False, True
        try:
            async for page in self._pages(after, since, until):
                yield page
        finally:
            self.reading = False

    async def _pages(self, after: int, since: int, until: int) -> AsyncIterator[HistoryPage]:
        async with self._bells() as bell:
            request = HistoryRequest(self._bot, self._symbols, after, since, until)
            await self._ask(request)
            while request.after + 1 < until:
                page = await self._wait(bell, request)
                if page is None or page.why or not request.after < page.upto < until:
                    self._give_up(page, until)
                    return
                # the next one is read while this one is handled
                request = HistoryRequest(self._bot, self._symbols, page.upto, 0, until)
                if page.upto + 1 < until:
                    await self._ask(request)
                yield page

    async def _ask(self, request: HistoryRequest) -> None:
        await self._bus.publish(history_channel(self._venue), request.encode())

    async def _wait(self, bell: _Bell, request: HistoryRequest) -> HistoryPage | None:
        """The page that was asked for; None when there is no answer."""
        began, newest, acknowledged = time.monotonic(), await self._newest(), False
        while True:
            answer = await self._collect(request)
            if answer is not None:
                acknowledged = True
                if answer.upto != answer.after or answer.why:  # else it was acknowledged, no more
                    return answer
            if await bell.rung(REPEAT_S):
                continue
            self.feed_absent = await self._newest() == newest
            limit = BUSY_S if acknowledged else NO_FEED_S if self.feed_absent else NO_HISTORY_S
            if time.monotonic() - began > limit:
                return None
            await self._ask(request)

    async def _collect(self, request: HistoryRequest) -> HistoryPage | None:
        """What the feed has left for this request."""
        payload = await self._bus.collect(request.box(self._venue))
        try:
            return None if payload is None else decode_history_page(payload)
        except ValueError as error:
            log.warning("recorded ticks: %s", error)
            return None

    async def _newest(self) -> int:
        newest = await self._bus.last(ticks_log(self._venue))
        return -1 if newest is None else newest[0]

    def _give_up(self, page: HistoryPage | None, until: int) -> None:
        if page is None:
            self.reason = "no feed runs" if self.feed_absent else "the feed does not answer"
            self._not_before = 0.0 if self.feed_absent else time.monotonic() + RETRY_AFTER_S
        else:
            self.reason = page.why or "the feed's answer makes no sense"
        log.warning("no recorded ticks before number %d: %s", until, self.reason)

    @asynccontextmanager
    async def _bells(self) -> AsyncIterator[_Bell]:
        """Rung when the feed has left something for us, and by whoever likes to."""
        async with self._bus.subscribe(history_answers(self._venue, self._bot)) as messages:
            bell = _Bell()
            listening = asyncio.create_task(bell.listen(messages))
            try:
                yield bell
            finally:
                await cancel_tasks([listening])


class _Bell:
    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._lost: BusError | None = None

    async def listen(self, messages: AsyncIterator[tuple[str, bytes]]) -> None:
        try:
            async for _ in messages:
                self._event.set()
        except BusError as error:
            self._lost = error
            self._event.set()

    async def rung(self, timeout_s: float) -> bool:
        """Wait for it; whether it rang in time. Raises BusError when the line is lost."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return False
        if self._lost is not None:
            raise self._lost
        self._event.clear()
        return True
