"""Answers bots that ask for ticks of the recording: they warm up, or were away for longer than the log
reaches. One page at a time, read by a process that ends when nobody has asked for a while."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from sigma_bot.bus import Bus, BusError
from sigma_bot.feed.history_reader import LENGTH
from sigma_bot.model.messages import (
    HistoryPage,
    HistoryRequest,
    decode_history_request,
    history_answers,
    history_channel,
)

log = logging.getLogger("sigma.feed")
IDLE_S = 30.0
"""The reading process takes 130 MiB: so long it waits for another request."""
AGAIN_S = 1.0
KEPT_S = 10.0
"""So long an answer lies in its box."""
MAX_ASKED = 1000
"""Requests that wait; anybody on the bus can ask."""
SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
"""What a symbol of a venue may look like; it names a folder too."""


class HistoryServer:
    """``run`` until cancelled. ``out`` is the folder of the recording, None when there is none. A request
    that can't be answered now is not: who asks, asks again."""

    def __init__(self, bus: Bus, venue: str, out: Path | None) -> None:
        self._bus, self._venue, self._out = bus, venue, out
        self._asked: dict[str, HistoryRequest] = {}  # by box, in the order of their coming
        self._bell = asyncio.Event()
        self._reader: Process | None = None

    async def run(self) -> None:
        """Listen and answer."""
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._listen())
                both.create_task(self._answer())
        finally:
            await self._end_reader()

    async def _listen(self) -> None:
        while True:
            try:
                async with self._bus.subscribe(history_channel(self._venue)) as heard:
                    async for _, payload in heard:
                        await self._take(payload)
            except BusError as error:
                log.warning("requests for recorded ticks: %s", error)
            await asyncio.sleep(AGAIN_S)

    async def _take(self, payload: bytes) -> None:
        """Queue a request, and say at once that it was heard: reading may take its time."""
        try:
            request = decode_history_request(payload)
        except ValueError as error:
            log.warning("requests for recorded ticks: %s", error)
            return
        if not request.symbols or not all(SYMBOL.fullmatch(symbol) for symbol in request.symbols):
            log.warning("requests for recorded ticks: %s asks for no symbols of a venue", request.bot)
            return
        if len(self._asked) >= MAX_ASKED:
            return  # who asks, asks again
        self._asked[request.box(self._venue)] = request
        self._bell.set()
        await self._leave(request, HistoryPage(request.after, request.until, request.after).encode())

    async def _leave(self, request: HistoryRequest, page: bytes) -> None:
        await self._bus.leave(request.box(self._venue), page, KEPT_S)
        # Bots of the version before read what is told; those of this one are only woken by it.
        await self._bus.publish(history_answers(self._venue, request.bot), page)

    async def _answer(self) -> None:
        while True:
            try:
                async with asyncio.timeout(IDLE_S if self._reader is not None else None):
                    await self._bell.wait()
            except TimeoutError:
                await self._end_reader()
                continue
            self._bell.clear()
            while self._asked:
                request = self._asked.pop(next(iter(self._asked)))
                try:
                    await self._leave(request, await self._page(request))
                except (OSError, EOFError, BusError) as error:
                    await self._end_reader()
                    log.error("%s gets no recorded ticks now: %s", request.bot, error)

    async def _page(self, request: HistoryRequest) -> bytes:
        """Raises OSError and EOFError when the reading process can't be started, or has ended."""
        if self._out is None:
            why = "the feed keeps no recording (--out)"
            return HistoryPage(request.after, request.until, request.after, why=why).encode()
        if self._reader is None:
            self._reader = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "sigma_bot.feed.history_reader", str(self._out), self._venue,
                stdin=PIPE, stdout=PIPE, limit=1 << 20,
                start_new_session=True,  # Ctrl-C is the feed's to handle
            )  # fmt: skip
        writer, reader = self._reader.stdin, self._reader.stdout
        assert writer is not None
        assert reader is not None
        payload = request.encode()
        writer.write(LENGTH.pack(len(payload)) + payload)
        await writer.drain()
        head = await reader.readexactly(LENGTH.size)
        return await reader.readexactly(LENGTH.unpack(head)[0])

    async def _end_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            with contextlib.suppress(ProcessLookupError):
                reader.kill()
            await reader.wait()
