"""The feed of one venue: its events in, one batch of ticks every 100 ms out, to the bus and to the recording.

Runs as a process (``sigma feed``) or as a task beside a bot (``sigma run``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection
from dataclasses import asdict, replace
from functools import partial
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING

from sigma_bot.bus import Bus, BusError
from sigma_bot.errors import BadInputError, nearest
from sigma_bot.feed.assembler import Assembler
from sigma_bot.feed.clock import Clock
from sigma_bot.feed.connection import MarketDataClient, NoAnswerError
from sigma_bot.feed.connection_manager import ConnectionManager, ReconnectPolicy
from sigma_bot.feed.counters import Counters
from sigma_bot.feed.history_server import SYMBOL, HistoryServer
from sigma_bot.feed.publisher import FeedConflictError, Publisher
from sigma_bot.feed.recorder import Recorder
from sigma_bot.health.heartbeat import Heartbeat
from sigma_bot.health.server import NOT_CONNECTED, Readiness
from sigma_bot.model.messages import TickBatch, decode_batch, ticks_log, trouble_topic, wants_topic
from sigma_bot.model.ticks import INTERVAL
from sigma_bot.times import SECOND
from sigma_bot.venues.registry import public_protocol

if TYPE_CHECKING:
    from sigma_bot.health.metrics import FeedMetrics

log = logging.getLogger("sigma.feed")

WANTS_S = 1.0
"""Seconds between two looks at what bots want."""
LINGER_S = 30.0
"""Seconds a symbol stays after the last bot left: a bot that restarts finds no hole."""
OFFSET_S = 300.0
LISTING_S = 3600.0
ASLEEP_NS = 5 * SECOND
"""Intervals missed by more than this were not late, the machine slept: they are skipped, behind a hole."""
AHEAD_NS = 5 * SECOND
TROUBLE_S = 15.0
"""Seconds for which bots are told of a trouble without hearing of it again."""
GIVE_BACK = 600
"""Recorded batches that an empty log is given back at the start: a minute."""
FLUSH_S = 5.0
STUCK_BATCHES = 30
"""Batches that wait for the bus before the feed counts as not ready: three seconds."""


class Feed:
    """``run`` until cancelled. ``symbols`` are fed always, others while a bot wants them.

    ``out`` is the folder of the recording, None for none; ``metrics`` are told what happens. Raises
    BadInputError for a venue or symbol that does not exist.
    """

    def __init__(
        self,
        venue: str,
        bus: Bus,
        symbols: Collection[str] = (),
        out: Path | None = None,
        policy: ReconnectPolicy | None = None,
        metrics: FeedMetrics | None = None,
    ) -> None:
        self.venue, self._bus = venue, bus
        self._protocol = public_protocol(venue)
        self._fixed = frozenset(symbols)
        for symbol in self._fixed:
            if not SYMBOL.fullmatch(symbol):
                raise BadInputError(f"symbols: {symbol!r} is no symbol of a venue; write it as {venue} does")
        self._out, self._metrics = out, metrics
        self.pulse = Heartbeat()
        self.counters = Counters()
        self.clock = Clock()
        self._policy = policy or ReconnectPolicy()
        self._assembler = Assembler()
        self._publisher = Publisher(bus, venue, self.counters, metrics)
        self._historian = HistoryServer(bus, venue, out)
        self._recorder: Recorder | None = None
        self._venue: MarketDataClient | None = None
        self._lines: ConnectionManager | None = None
        self._listed: set[str] = set()
        self._refused: set[str] = set()
        self._told_trouble = False
        self._left: dict[str, float] = {}  # symbols nobody wants any more, and since when
        self._wanted: frozenset[str] = frozenset()
        self._seq = 0
        self._resumed = False  # there are ticks from before
        self._end = 0
        self.ready = asyncio.Event()
        """Set when the first batch is on the bus."""

    @property
    def symbols(self) -> frozenset[str]:
        """What is fed now."""
        return self._wanted

    async def run(self) -> None:
        """Feed until cancelled; then publish and record what is there, and close."""
        self._venue = MarketDataClient(self._protocol)
        try:
            self._lines = ConnectionManager(
                self._venue, self.clock, self._assembler, self.counters, self._policy, self._metrics
            )
            await self._list_markets(self._fixed)
            if self._out is not None:
                self._recorder = await asyncio.to_thread(Recorder, self._out, self.venue)
            await self._resume()
            self._set_wanted(self._fixed)
            await self._work()
        finally:
            await self._venue.close()
            if self._recorder is not None:
                self._recorder.close()

    async def _work(self) -> None:
        """All tasks, the publisher last to end."""
        publisher = asyncio.create_task(self._publisher.run(self.ready.set))
        others = [
            asyncio.create_task(job)
            for job in (
                self._run_connections(),
                self._tick(),
                self._follow_wants(),
                self._housekeeping(),
                self._historian.run(),
            )
        ]
        try:
            done, _ = await asyncio.wait({publisher, *others}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # none of them ends but by an error
        finally:
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await self._flush(publisher)

    async def _run_connections(self) -> None:
        assert self._lines is not None
        await self._lines.run()

    async def _flush(self, publisher: asyncio.Task[None]) -> None:
        """Give the bus and the recording what they have not got yet."""
        if not publisher.done():
            try:
                async with asyncio.timeout(FLUSH_S):
                    await self._publisher.drained()
            except TimeoutError:
                log.warning("the bus did not take the last %d batches", self.counters.waiting)
        publisher.cancel()
        await asyncio.gather(publisher, return_exceptions=True)
        if self._recorder is not None:
            await self._recorder.roll(self.clock(), finish=True)

    # The log, and where it goes on

    async def _resume(self) -> None:
        """Find the last number, and make log and recording agree."""
        newest = await self._sole_writer()
        now, recorder = self.clock(), self._recorder
        last_seq, last_ts = (newest.seq, newest.ts) if newest is not None else (0, 0)
        if newest is None and (recorder is None or recorder.last < 0):
            # Log and recording may be lost, and bots wait for numbers beyond those they have seen. A number
            # rises by one in an interval at most, so the time's own is beyond any.
            last_seq = now // INTERVAL
        else:
            self._resumed = True
        if recorder is not None and recorder.last > last_seq:
            after = last_seq if newest is not None else recorder.last - GIVE_BACK
            for seq, payload in recorder.tail(after):
                self._publisher.put(seq, payload)
                last_seq, last_ts = seq, decode_batch(payload).ts
            last_seq = recorder.last
        elif recorder is not None and 0 <= recorder.last < last_seq:
            await recorder.catch_up(self._bus)
        if last_ts > now + AHEAD_NS:
            raise BadInputError(
                f"the newest ticks of {self.venue} are {(last_ts - now) / 1e9:.0f} s ahead of this machine's "
                "clock; set the clock"
            )
        self._seq = last_seq
        self._end = max(last_ts, now - now % INTERVAL)

    async def _sole_writer(self) -> TickBatch | None:
        """The log's newest batch. Raises FeedConflictError when the log grows: another feed runs."""
        name = ticks_log(self.venue)
        newest = await self._bus.last(name)
        if newest is None:
            return None
        batch = decode_batch(newest[1])
        if abs(time.time_ns() - batch.ts) < ASLEEP_NS:
            await asyncio.sleep(10 * INTERVAL / 1e9)
            now = await self._bus.last(name)
            if now is not None and now[0] > batch.seq:
                raise FeedConflictError(
                    f"another feed of {self.venue} writes to this bus already; one is enough for all bots"
                )
        return batch

    # The clock

    async def _tick(self) -> None:
        """At every interval's end, one batch."""
        while True:
            await asyncio.sleep(max(0.0, (self._end + INTERVAL - self.clock()) / 1e9))
            now = self.clock()
            if now - self._end > ASLEEP_NS:
                self._skip(now)
            while self._end + INTERVAL <= now:
                self._end += INTERVAL
                self._close(self._end)
            self.counters.late_ns = now - self._end
            self.pulse.beat()

    def _skip(self, now: int) -> None:
        """The machine slept: go on behind a hole."""
        for symbol in self._assembler.symbols:
            self._assembler.hole(symbol)
        self._end = now - now % INTERVAL - INTERVAL
        log.warning("the machine slept; ticks go on behind a gap")

    def _close(self, end: int) -> None:
        gaps, ticks = self._assembler.close(end)
        counters = self.counters
        if self._publisher.full:
            # The bus has been away for minutes. Numbers stay without holes, so these ticks are given up.
            counters.lost_batches += 1
            for symbol in self._assembler.symbols:
                self._assembler.hole(symbol)
            return
        self._seq += 1
        payload = TickBatch(self.venue, self._seq, end, gaps, ticks).encode()
        if self._recorder is not None:
            self._recorder.write(self._seq, end, payload)
        self._publisher.put(self._seq, payload, len(ticks))
        counters.batches += 1
        counters.ticks += len(ticks)
        counters.gaps += len(gaps)
        counters.last_seq, counters.last_ts = self._seq, end
        for tick in ticks:
            counters.symbols[tick.symbol].ticks += 1
        for symbol in gaps:
            counters.symbols[symbol].gaps += 1
            if self._metrics is not None:
                self._metrics.gap(symbol)
        if self._metrics is not None and self._recorder is not None and not self._recorder.behind:
            self._metrics.recorded(len(ticks))

    # What bots want

    async def _follow_wants(self) -> None:
        while True:
            try:
                wants = await self._bus.wanted(wants_topic(self.venue))
            except BusError as error:
                self.counters.bus_errors += 1
                self.counters.last_error = str(error)
            else:
                await self._tell_trouble()
                asked = {symbol for symbols in wants.values() for symbol in symbols}
                await self._follow(asked | self._fixed)
            await asyncio.sleep(WANTS_S)

    async def _tell_trouble(self) -> None:
        """Say to bots in other processes why no tick comes, as long as none does."""
        state = self.readiness()
        trouble = [state.message] if state.reason == NOT_CONNECTED else []
        if trouble or self._told_trouble:
            self._told_trouble = bool(trouble)
            with contextlib.suppress(BusError):
                await self._bus.want(trouble_topic(self.venue), "feed", trouble, TROUBLE_S)

    async def _follow(self, asked: set[str]) -> None:
        fresh = {symbol for symbol in asked - self._wanted - self._refused if SYMBOL.fullmatch(symbol)}
        if fresh - self._listed:
            await self._ask_markets()
        accepted = {symbol for symbol in fresh if symbol in self._listed or not self._listed}
        for symbol in sorted(asked - self._wanted - self._refused - accepted):
            self._refused.add(symbol)
            log.warning("%s has no market %s%s", self.venue, symbol, nearest(symbol, self._listed))
        now = time.monotonic()
        self._left = {symbol: self._left.get(symbol, now) for symbol in self._wanted - asked}
        over = {symbol for symbol, since in self._left.items() if now - since >= LINGER_S}
        self._set_wanted((self._wanted | accepted) - over)

    def _set_wanted(self, symbols: frozenset[str]) -> None:
        if symbols == self._wanted:
            return
        for word, some in (
            ("feeding", symbols - self._wanted),
            ("no longer feeding", self._wanted - symbols),
        ):
            if some:
                log.info("%s %s", word, ", ".join(sorted(some)))
        self._wanted = symbols
        assert self._lines is not None
        self._lines.set_symbols(symbols, resumed=self._resumed)
        if self._metrics is not None:
            self._metrics.subscribed({symbol: partial(self._silent_for, symbol) for symbol in symbols})

    def _silent_for(self, symbol: str) -> float:
        """Seconds since a symbol's last event, NaN before the first."""
        held = self.counters.symbols.get(symbol)
        return (self.clock() - held.received_ts) / 1e9 if held is not None and held.received_ts else nan

    def facts(self) -> dict[str, object]:
        """The counters, for another thread."""
        return asdict(replace(self.counters, symbols=dict(self.counters.symbols)))

    def readiness(self) -> Readiness:
        """Whether ticks flow."""
        counters = self.counters
        if counters.waiting > STUCK_BATCHES:
            return Readiness(False, "BusAway", f"{counters.waiting} batches wait: {counters.last_error}")
        if not counters.batches:
            return Readiness(False, "Starting", "no batch yet")
        if self._wanted and not counters.connected:
            return Readiness(False, NOT_CONNECTED, f"{self.venue}: {counters.last_error or 'connecting'}")
        return Readiness(True, "Feeding", f"{len(self._wanted)} symbols of {self.venue}")

    async def _list_markets(self, needed: Collection[str]) -> None:
        """Refuse symbols the venue does not list. A venue that does not answer refuses none."""
        await self._ask_markets()
        for symbol in sorted(needed):
            if self._listed and symbol not in self._listed:
                raise BadInputError(
                    f"symbols: {self.venue} has no market {symbol!r}{nearest(symbol, self._listed)}"
                )

    async def _ask_markets(self) -> None:
        assert self._venue is not None
        try:
            self._listed = await self._venue.markets() or self._listed
        except NoAnswerError as error:  # the stream may work all the same
            self.counters.last_error = f"list of markets: {error}"

    # From time to time

    async def _housekeeping(self) -> None:
        next_offset = next_listing = 0.0
        while True:
            now = time.monotonic()
            if now >= next_offset:
                await self._measure_clock()
                next_offset = now + OFFSET_S
            if now >= next_listing:
                self._refused.clear()  # a market may have been listed since
                next_listing = now + LISTING_S
            self.clock.correct()
            await self._keep_recording()
            await asyncio.sleep(1.0)

    async def _measure_clock(self) -> None:
        assert self._venue is not None
        try:
            offset, accuracy = await self._venue.clock()
        except NoAnswerError as error:
            self.counters.last_error = f"the venue's clock: {error}"
            return
        self.counters.clock_offset_ns, self.counters.clock_accuracy_ns = offset, accuracy
        if self._metrics is not None:
            self._metrics.clock_offset(offset / 1e9)

    async def _keep_recording(self) -> None:
        recorder = self._recorder
        if recorder is None:
            return
        try:
            if recorder.behind:
                await recorder.catch_up(self._bus)
            await recorder.roll(self.clock())
        except (OSError, BusError) as error:
            recorder.failure = str(error)
        if recorder.failure:
            self.counters.last_error = f"recording: {recorder.failure}"
