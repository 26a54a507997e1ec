"""100 ms ticks from quotes and trades, event by event: the builder that SIM and LIVE feed.

``data.build.build_ticks`` does the same for whole columns and agrees bit for bit. Only the standard library
is used here, so a bot stays small.

Assumptions: a tick is stamped at the END of its interval, so it holds only what was known then; an interval
without any event gives no tick; an event that comes late counts in the interval being built, since what was
emitted stands.
"""

from __future__ import annotations

from math import inf, nan
from typing import NamedTuple

INTERVAL = 100_000_000
# Venues write sizes with at most eight decimals; rounding the sum to them takes away the dust of binary
# addition.
SIZE_SCALE = 1e8


class TickRow(NamedTuple):
    """One snapshot: ``ts`` ns UTC; prices and sizes as the venue wrote them; the trades since the last
    snapshot."""

    ts: int
    bid: float
    ask: float
    bid_size: float
    ask_size: float
    last: float
    volume: float
    low: float
    high: float


class TickBuilder:
    """Collects one symbol's events; ``quote`` and ``trade`` return the tick of the interval they leave
    behind.

    ``quotes=False`` is for a feed of trades alone: bid and ask are then the last price, with size zero.
    Otherwise the first tick waits for the first quote and carries the trades before it. Before any trade
    ``last`` is the mid.
    """

    __slots__ = (
        "_ask",
        "_ask_size",
        "_bid",
        "_bid_size",
        "_end",
        "_fresh",
        "_high",
        "_interval",
        "_last",
        "_low",
        "_quotes",
        "_volume",
    )

    def __init__(self, interval: int = INTERVAL, quotes: bool = True) -> None:
        if interval < 1:
            raise ValueError(f"interval must be at least 1 ns, got {interval}")
        self._interval = interval
        self._quotes = quotes
        self._bid = self._ask = self._last = nan
        self._bid_size = self._ask_size = 0.0
        self._end = 0
        self._fresh = False
        self._volume, self._low, self._high = 0.0, inf, -inf

    def quote(
        self, ts: int, bid: float, ask: float, bid_size: float = 0.0, ask_size: float = 0.0
    ) -> TickRow | None:
        """Best bid and ask from ``ts`` on."""
        done = self._enter(ts)
        self._bid, self._ask, self._bid_size, self._ask_size = bid, ask, bid_size, ask_size
        return done

    def trade(self, ts: int, price: float, size: float) -> TickRow | None:
        """A trade at ``ts``."""
        done = self._enter(ts)
        self._last = price
        self._volume += size
        self._low, self._high = min(self._low, price), max(self._high, price)
        return done

    def flush(self, now: int) -> TickRow | None:
        """The tick of the interval being built when it has ended by ``now``: the clock calls this between
        events."""
        if not self._fresh or now < self._end:
            return None
        return self._emit()

    def _enter(self, ts: int) -> TickRow | None:
        """Move to the interval of ``ts``."""
        end = ts - ts % self._interval + self._interval
        done = None
        if end > self._end:
            if self._fresh:
                done = self._emit()
            self._end = end
        elif not self._fresh:  # late, and its interval was emitted by the clock
            self._end += self._interval
        self._fresh = True
        return done

    def _emit(self) -> TickRow | None:
        self._fresh = False
        if not self._quotes:
            self._bid = self._ask = self._last
        if self._bid != self._bid:  # no quote yet: keep the trades for the first tick
            return None
        last = self._last if self._last == self._last else (self._bid + self._ask) * 0.5
        low, high, volume = last, last, 0.0
        if self._low <= self._high:
            low, high, volume = self._low, self._high, round(self._volume * SIZE_SCALE) / SIZE_SCALE
        row = TickRow(
            self._end, self._bid, self._ask, self._bid_size, self._ask_size, last, volume, low, high
        )
        self._volume, self._low, self._high = 0.0, inf, -inf
        return row
