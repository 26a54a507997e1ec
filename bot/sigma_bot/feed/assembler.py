"""From events to the ticks of one venue: one builder a symbol, one clock for all of them. No I/O.

Two marks keep the data honest. After a hole a symbol begins anew: no tick until a fresh quote, and the first
one says that there was a hole. And a trade that comes twice (another connection, a repeat after subscribing)
counts once.
"""

from __future__ import annotations

from collections import deque

from sigma_bot.model.messages import TickMessage
from sigma_bot.model.ticks import INTERVAL, TickBuilder, TickRow
from sigma_bot.venues.public import Quote, Trade

REMEMBERED = 1000
"""Trade ids a symbol remembers to tell repeats."""


class _Symbol:
    __slots__ = ("builder", "exchange_ts", "gap", "known", "order", "ready", "received_ts")

    def __init__(self, interval: int, gap: bool) -> None:
        self.builder = TickBuilder(interval)
        self.gap = gap
        self.exchange_ts = self.received_ts = 0
        # finished before the clock asked, by their interval's end, and whether a hole comes before
        self.ready: dict[int, tuple[TickMessage, bool]] = {}
        self.known: set[int] = set()
        self.order: deque[int] = deque()

    def repeated(self, trade: int) -> bool:
        if trade in self.known:
            return True
        self.known.add(trade)
        self.order.append(trade)
        if len(self.order) > REMEMBERED:
            self.known.discard(self.order.popleft())
        return False


class Assembler:
    """Collects events of any number of symbols; ``close`` gives an interval's ticks.

    Events come in the order of their receive times, and no event is older than the last interval closed.
    """

    def __init__(self, interval: int = INTERVAL) -> None:
        self.interval = interval
        self._symbols: dict[str, _Symbol] = {}

    @property
    def symbols(self) -> set[str]:
        """What is collected."""
        return set(self._symbols)

    def add(self, symbol: str, gap: bool) -> None:
        """Begin a symbol. ``gap``: there were ticks of it before, so its first one comes after a hole."""
        if symbol not in self._symbols:
            self._symbols[symbol] = _Symbol(self.interval, gap)

    def drop(self, symbol: str) -> None:
        """End a symbol; what was not closed yet is left out."""
        self._symbols.pop(symbol, None)

    def hole(self, symbol: str) -> None:
        """The symbol's events were interrupted: begin anew."""
        held = self._symbols.get(symbol)
        if held is None:
            return
        self._keep(symbol, held, held.builder.flush(1 << 62))
        held.builder = TickBuilder(self.interval)
        held.gap = True

    def event(self, event: Quote | Trade, received: int) -> bool:
        """Count an event in. False for a symbol that is not collected, and for a trade that came before."""
        held = self._symbols.get(event.symbol)
        if held is None:
            return False
        if isinstance(event, Trade):
            if held.repeated(event.id):
                return False
            done = held.builder.trade(received, event.price, event.size)
        else:
            done = held.builder.quote(received, event.bid, event.ask, event.bid_size, event.ask_size)
        self._keep(event.symbol, held, done)  # with the stamps of its own events
        held.exchange_ts = max(held.exchange_ts, event.exchange_ts)
        held.received_ts = received
        return True

    def close(self, end: int) -> tuple[tuple[str, ...], tuple[TickMessage, ...]]:
        """(symbols with a hole before, ticks by symbol) of the interval that ended at ``end``."""
        gaps, ticks = [], []
        for symbol in sorted(self._symbols):
            held = self._symbols[symbol]
            self._keep(symbol, held, held.builder.flush(end))
            if end in held.ready:
                tick, gap = held.ready.pop(end)
                ticks.append(tick)
                if gap:
                    gaps.append(symbol)
        return tuple(gaps), tuple(ticks)

    @staticmethod
    def _keep(symbol: str, held: _Symbol, row: TickRow | None) -> None:
        """Should a hole end within the interval it began in, the newer tick takes the place of the older."""
        if row is not None:
            tick = TickMessage(symbol, *row[1:], held.exchange_ts, held.received_ts)
            held.ready[row.ts] = (tick, held.gap)
            held.gap = False
            held.exchange_ts = 0
