"""Keeping a venue's connection: back-off, renewal before the venue cuts it, and a watch for silence."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sigma_bot.feed.assembler import Assembler
from sigma_bot.feed.clock import Clock
from sigma_bot.feed.connection import Connection, ConnectionLostError, MarketDataClient, NoAnswerError
from sigma_bot.feed.counters import Counters, SymbolCounters
from sigma_bot.retry import Backoff
from sigma_bot.venues.public import MalformedError, Quote, RefusalError, Trade

if TYPE_CHECKING:
    from sigma_bot.health.metrics import FeedMetrics

TURN_S = 0.25
"""How often the watch looks."""
SILENCE = "nothing was heard"
BACKOFF = Backoff(0.25, maximum=30.0, jitter=(0.5, 1.0))


@dataclass(frozen=True)
class ReconnectPolicy:
    """Seconds. ``silent``: nothing at all was heard. ``quiet``: one symbol was not, while others were. Both
    grow to three times the longest pause of late, so that a thin market is left in peace, and double (to
    ``most``) when asking again did not help. ``answer``: what comes so soon after asking is the answer, a
    snapshot, and says nothing of the market's pace. ``renew``: age of a connection at which the next one is
    made, before the venue's cut at 24 h; ``overlap``: how long both then run. ``backoff``: before connecting
    again; after ``settled`` the next wait is a first one."""

    silent: float = 15.0
    quiet: float = 120.0
    most: float = 1800.0
    answer: float = 5.0
    renew: float = 23 * 3600.0
    overlap: float = 10.0
    settled: float = 30.0
    backoff: Backoff = BACKOFF


class SilenceTimeout:
    """How long something was not heard, and how long it may be."""

    __slots__ = ("_allowed", "_least", "_longest", "_most", "_since")

    def __init__(self, least: float, most: float) -> None:
        self._least, self._most = least, most
        self._allowed, self._longest = least, 0.0
        self._since = time.monotonic()

    def begin(self, now: float) -> None:
        self._since = now

    def heard(self, now: float, natural: bool) -> None:
        if natural:
            self._longest = max(now - self._since, 0.9 * self._longest)
            self._allowed = min(max(self._least, 3 * self._longest), self._most)
        self._since = now

    def over(self, now: float) -> bool:
        return now - self._since > self._allowed

    def double(self, now: float) -> None:
        self._allowed = min(2 * self._allowed, self._most)
        self._since = now


class ConnectionManager:
    """Brings the events of ``wanted`` symbols into the assembler, whatever the venue does meanwhile.

    Whenever events may have been missed the symbol's hole is marked: when a connection is lost, and when a
    silent one is given up. A planned renewal overlaps, so it leaves none.
    """

    def __init__(
        self,
        venue: MarketDataClient,
        clock: Clock,
        assembler: Assembler,
        counters: Counters,
        policy: ReconnectPolicy,
        metrics: FeedMetrics | None = None,
    ) -> None:
        self._metrics = metrics
        self._venue, self._clock, self._assembler = venue, clock, assembler
        self._counters, self._policy = counters, policy
        self._line: Connection | None = None
        self._next: Connection | None = None
        self._switched: set[str] = set()  # symbols whose quotes come from the next line already
        self._overlap_ends = 0.0
        self._renew_at = 0.0
        self._failures = 0
        self._asked = 0.0
        self._all = SilenceTimeout(policy.silent, policy.most)
        self._each: dict[str, SilenceTimeout] = {}
        self._unquoted: frozenset[str] = frozenset()  # no quote came since they were asked for
        self._questions: set[asyncio.Task[None]] = set()
        self.changed = asyncio.Event()
        self.wanted: frozenset[str] = frozenset()

    def set_symbols(self, symbols: frozenset[str], resumed: bool) -> None:
        """Have exactly these symbols. ``resumed``: the log holds ticks from before, so new ones begin behind
        a hole."""
        for symbol in self._assembler.symbols - symbols:
            self._assembler.drop(symbol)
            self._counters.symbols.pop(symbol, None)
            self._each.pop(symbol, None)
        for symbol in symbols - self._assembler.symbols:
            self._assembler.add(symbol, resumed)
            self._counters.symbols[symbol] = SymbolCounters()
            self._each[symbol] = SilenceTimeout(self._policy.quiet, self._policy.most)
        if symbols != self.wanted:
            self.wanted = symbols
            self.changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                try:
                    await self._step()
                except ConnectionLostError as error:
                    await self._connection_lost(str(error))
        finally:
            await self._close_all()

    async def _step(self) -> None:
        """One look at everything."""
        if not self.wanted:
            await self._close_all()
            self.changed.clear()
            if not self.wanted:
                await self.changed.wait()
            return
        if self._line is None:
            await self._connect()
        line = self._line
        assert line is not None
        if self.changed.is_set():
            self.changed.clear()
            fresh = self.wanted - line.symbols
            await self._ask(line)
            self._ask_quotes(fresh)
            if self._next is not None:
                await self._next.subscribe(self.wanted)
        await self._wait(line)
        if line.lost.is_set():
            raise ConnectionLostError(line.why)
        await self._replace_connection(line)
        await self._watch(line)

    async def _wait(self, line: Connection) -> None:
        """Until a turn is over, or something happens."""
        tasks = {asyncio.ensure_future(line.lost.wait()), asyncio.ensure_future(self.changed.wait())}
        try:
            await asyncio.wait(tasks, timeout=TURN_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _connect(self) -> None:
        line = self._new_connection()
        self._line = line
        await line.open(self.wanted)
        self._counters.connections += 1
        self._counters.connected = True
        self._renew_at = line.opened + self._policy.renew * random.uniform(0.97, 1.0)
        self._asked = line.opened
        self._ask_quotes(self.wanted)
        for pause in (self._all, *self._each.values()):
            pause.begin(line.opened)

    async def _ask(self, line: Connection, again: bool = False) -> None:
        self._asked = time.monotonic()
        await line.subscribe(self.wanted, again)

    def _ask_quotes(self, symbols: frozenset[str]) -> None:
        """Where a stream brings changes only, begin with the quotes of now."""
        if symbols and self._venue.protocol.quotes_endpoint:
            self._unquoted |= symbols
            task = asyncio.create_task(self._first_quotes(symbols))
            self._questions.add(task)
            task.add_done_callback(self._questions.discard)

    async def _first_quotes(self, symbols: frozenset[str]) -> None:
        try:
            quotes = await self._venue.quotes(symbols)
        except NoAnswerError as error:  # the first change brings one
            self._counters.last_error = f"quotes: {error}"
            return
        received = self._clock()
        for quote in quotes:
            if quote.symbol in self._unquoted and self._counters.connected:
                self._unquoted -= {quote.symbol}
                self._assembler.event(quote, received)

    async def _connection_lost(self, why: str) -> None:
        """Mark the holes, wait a little longer each time, and let the next turn connect."""
        line = self._line
        counters = self._counters
        if line is not None and line.opened and time.monotonic() - line.opened > self._policy.settled:
            self._failures = 0
        counters.last_error = why
        if counters.connected:
            counters.reconnects += 1
            if self._metrics is not None:
                self._metrics.reconnect("silence" if why == SILENCE else "cut")
        if self._next is not None and not self._next.lost.is_set() and self._switched >= self.wanted:
            await self._switch()  # the new one has everything already: nothing was missed
            return
        await self._close_all()
        for symbol in self.wanted:
            self._assembler.hole(symbol)
        self._failures += 1
        await asyncio.sleep(self._policy.backoff.delay(self._failures - 1))

    async def _close_all(self) -> None:
        lines, self._line, self._next = [self._line, self._next], None, None
        for task in self._questions:
            task.cancel()
        self._counters.connected = False
        for line in lines:
            if line is not None:
                await line.close()

    async def _replace_connection(self, line: Connection) -> None:
        """Make the next connection before breaking this one."""
        now = time.monotonic()
        if self._next is not None:
            if self._next.lost.is_set():
                await self._next.close()
                self._next = None
                self._renew_at = now + self._policy.backoff.maximum
            elif self._switched >= self.wanted or now >= self._overlap_ends:
                await self._switch()
            return
        if now < self._renew_at:
            return
        following = self._new_connection()
        try:
            await following.open(line.symbols)
        except ConnectionLostError as error:
            self._counters.last_error = str(error)
            self._renew_at = now + self._policy.backoff.maximum
            return
        self._next, self._switched = following, set()
        self._overlap_ends = time.monotonic() + self._policy.overlap

    async def _switch(self) -> None:
        """The next connection takes over. A symbol that it has not brought yet is quiet, not missed: both
        were subscribed all the while."""
        old, self._line, self._next = self._line, self._next, None
        self._counters.connections += 1
        self._counters.renewals += 1
        if self._metrics is not None:
            self._metrics.reconnect("renewal")
        self._counters.connected = True
        self._renew_at = time.monotonic() + self._policy.renew * random.uniform(0.97, 1.0)
        if old is not None:
            await old.close()

    async def _watch(self, line: Connection) -> None:
        """Give up a line on which nothing comes; ask again for a symbol that does not come."""
        if self._line is not line:
            return
        now = time.monotonic()
        if self._all.over(now):
            self._all.double(now)
            raise ConnectionLostError(SILENCE)
        quiet = [symbol for symbol in self.wanted if self._each[symbol].over(now)]
        for symbol in quiet:
            self._each[symbol].double(now)
            self._assembler.hole(symbol)
            self._counters.symbols[symbol].silences += 1
        if quiet:
            await self._ask(line, again=True)
            self._ask_quotes(frozenset(quiet))

    def _new_connection(self) -> Connection:
        return Connection(self._venue, self._clock, self._on_event, self._on_fault)

    def _on_event(self, line: Connection, event: Quote | Trade, received: int) -> None:
        self._counters.messages += 1
        if self._metrics is not None:
            delay = (received - event.exchange_ts) / 1e9 if event.exchange_ts else None
            self._metrics.message("trade" if isinstance(event, Trade) else "book", delay)
        symbol = event.symbol
        counters = self._counters.symbols.get(symbol)
        if counters is None:
            return  # dropped, and still on its way
        counters.messages += 1
        counters.received_ts = received
        now = time.monotonic()
        natural = now - self._asked > self._policy.answer
        self._all.heard(now, natural)
        self._each[symbol].heard(now, natural)
        if self._unquoted and isinstance(event, Quote):
            self._unquoted -= {symbol}
        if self._next is not None and isinstance(event, Quote):
            if line is self._next:
                self._switched.add(symbol)
            elif symbol in self._switched:
                return  # the older line may lag: its quote could be the older one
        if not self._assembler.event(event, received):
            counters.repeats += 1

    def _on_fault(self, fault: MalformedError | RefusalError) -> None:
        self._counters.last_error = str(fault)
        if isinstance(fault, RefusalError):
            self._counters.refusals += 1
            return
        if self._metrics is not None:
            self._metrics.malformed(self._venue.protocol.venue)
        counters = self._counters.symbols.get(fault.symbol)
        if counters is None:
            self._counters.malformed += 1
        else:
            counters.malformed += 1
