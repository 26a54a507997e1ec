"""Ticks and bars from whole columns. ``build_ticks`` equals ``ticks.TickBuilder`` bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from sigma_bot.data.rules import Columns
from sigma_bot.model.ticks import INTERVAL, SIZE_SCALE

TICK_FIELDS = ("ts", "bid", "ask", "bid_size", "ask_size", "last", "volume", "low", "high")
BAR_FIELDS = ("ts", "open", "high", "low", "close", "volume")
_QUOTE = ("bid", "ask", "bid_size", "ask_size")


def _no_trades() -> Columns:
    return {"ts": np.empty(0, np.int64), "price": np.empty(0), "size": np.empty(0)}


@dataclass
class TickState:
    """What carries over from one call to the next: the standing quote, the last price, trades before any
    quote."""

    quotes: bool = True
    quote: tuple[float, ...] | None = None
    last: float = np.nan
    waiting: Columns = field(default_factory=_no_trades)


def build_ticks(quotes: Columns, trades: Columns, state: TickState, interval: int = INTERVAL) -> Columns:
    """Tick columns of the intervals in which anything happened.

    ``quotes`` has ts, bid, ask, bid_size, ask_size; ``trades`` ts, price, size; both sorted by ts, either
    may be empty. All events of an interval must come in one call. The volume is added in the order of the
    trades.
    """
    trades = {name: np.concatenate([state.waiting[name], trades[name]]) for name in state.waiting}
    state.waiting = _no_trades()
    slot_q, slot_t = quotes["ts"] // interval, trades["ts"] // interval
    if state.quotes and state.quote is None:
        if not len(slot_q):
            state.waiting = _compressed(trades)
            return {name: np.empty(0, np.int64 if name == "ts" else np.float64) for name in TICK_FIELDS}
        slot_t = np.maximum(slot_t, slot_q[0])
    ends_q, ends_t = _ends(slot_q), _ends(slot_t)
    slots = np.union1d(slot_q[ends_q], slot_t[ends_t])
    ticks = _traded(trades, slot_t, ends_t, slots, state)
    _quoted(ticks, quotes, slot_q[ends_q], ends_q, slots, state)
    quiet = np.isnan(ticks["last"])  # before any trade
    ticks["last"][quiet] = (ticks["bid"][quiet] + ticks["ask"][quiet]) * 0.5
    for name in ("low", "high"):
        ticks[name] = np.where(np.isnan(ticks[name]), ticks["last"], ticks[name])
    ticks["ts"] = (slots + 1) * interval
    return {name: ticks[name] for name in TICK_FIELDS}


def _ends(slots: np.ndarray) -> np.ndarray:
    """Position of the last event of each slot."""
    return np.flatnonzero(np.append(slots[1:] != slots[:-1], True)) if len(slots) else np.empty(0, np.int64)


def _compressed(trades: Columns) -> Columns:
    """At most three trades with the same first slot, sum, extremes and last price."""
    if not len(trades["ts"]):
        return trades
    price, total = trades["price"], np.bincount(np.zeros(len(trades["ts"]), np.int64), trades["size"])[0]
    return {
        "ts": np.full(3, trades["ts"][-1]),
        "price": np.array([price.min(), price.max(), price[-1]]),
        "size": np.array([total, 0.0, 0.0]),
    }


def _traded(
    trades: Columns, slot: np.ndarray, ends: np.ndarray, slots: np.ndarray, state: TickState
) -> Columns:
    """last, volume, low and high of each slot; low and high are NaN where nothing traded."""
    result = {name: np.full(len(slots), np.nan) for name in ("last", "low", "high")}
    result["volume"] = np.zeros(len(slots))
    result["last"][:] = state.last
    if not len(ends):
        return result
    starts = np.append(0, ends[:-1] + 1)
    at = np.searchsorted(slots, slot[ends])
    run = np.repeat(np.arange(len(ends)), ends - starts + 1)
    result["volume"][at] = np.rint(np.bincount(run, trades["size"]) * SIZE_SCALE) / SIZE_SCALE
    result["low"][at] = np.minimum.reduceat(trades["price"], starts)
    result["high"][at] = np.maximum.reduceat(trades["price"], starts)
    latest = np.searchsorted(slot[ends], slots, "right") - 1
    known = latest >= 0
    result["last"][known] = trades["price"][ends[latest[known]]]
    state.last = float(trades["price"][-1])
    return result


def _quoted(
    ticks: Columns, quotes: Columns, slot: np.ndarray, ends: np.ndarray, slots: np.ndarray, state: TickState
) -> None:
    """The standing quote at the end of each slot."""
    if not state.quotes:
        ticks["bid"], ticks["ask"] = ticks["last"].copy(), ticks["last"].copy()
        ticks["bid_size"], ticks["ask_size"] = np.zeros(len(slots)), np.zeros(len(slots))
        return
    latest = np.searchsorted(slot, slots, "right") - 1
    known = latest >= 0
    for number, name in enumerate(_QUOTE):
        ticks[name] = np.full(len(slots), state.quote[number] if state.quote is not None else np.nan)
        ticks[name][known] = quotes[name][ends[latest[known]]]
    if len(ends):
        state.quote = tuple(float(quotes[name][-1]) for name in _QUOTE)


def stream_ticks(
    quotes: Iterator[Columns] | None, trades: Iterator[Columns] | None, interval: int = INTERVAL
) -> Iterator[Columns]:
    """``build_ticks`` over two streams of chunks. Memory: about one chunk of each."""
    state = TickState(quotes=quotes is not None)
    sides = [_Side(quotes, ("ts", *_QUOTE)), _Side(trades, ("ts", "price", "size"))]
    while True:
        limits = [side.horizon(interval) for side in sides]
        open_limits = [limit for limit in limits if limit is not None]
        limit = min(open_limits) if open_limits else None
        ticks = build_ticks(
            sides[0].before(limit, interval), sides[1].before(limit, interval), state, interval
        )
        if len(ticks["ts"]):
            yield ticks
        if limit is None:
            return
        for side, own in zip(sides, limits, strict=True):
            if own == limit:
                side.grow()


class _Side:
    """A buffered stream: gives out rows whose interval is surely complete."""

    def __init__(self, chunks: Iterator[Columns] | None, names: tuple[str, ...]) -> None:
        self._chunks = chunks
        self._rows: Columns = {n: np.empty(0, np.int64 if n == "ts" else np.float64) for n in names}
        self.grow()

    def grow(self) -> None:
        chunk = next(self._chunks, None) if self._chunks is not None else None
        if chunk is None:
            self._chunks = None
            return
        self._rows = {n: np.concatenate([v, chunk[n]]) for n, v in self._rows.items()}

    def horizon(self, interval: int) -> int | None:
        """First interval that may still get events; None when the stream has ended."""
        return int(self._rows["ts"][-1]) // interval if self._chunks is not None else None

    def before(self, limit: int | None, interval: int) -> Columns:
        cut = (
            len(self._rows["ts"])
            if limit is None
            else int(np.searchsorted(self._rows["ts"], limit * interval))
        )
        out = {n: v[:cut] for n, v in self._rows.items()}
        self._rows = {n: v[cut:] for n, v in self._rows.items()}
        return out


def bars_from_trades(trades: Columns, timeframe: int) -> Columns:
    """Bars (``ts`` = open time) of the intervals with trades; volume rounded to eight decimals."""
    bars = _bars(trades["ts"], [trades["price"]] * 4, trades["size"], timeframe)
    bars["volume"] = np.rint(bars["volume"] * SIZE_SCALE) / SIZE_SCALE
    return bars


def bars_from_bars(bars: Columns, timeframe: int) -> Columns:
    """Coarser bars from finer ones (``ts`` = open time). The volume is added in order, as the engine adds
    it."""
    return _bars(bars["ts"], [bars[n] for n in ("open", "high", "low", "close")], bars["volume"], timeframe)


def _bars(ts: np.ndarray, prices: list[np.ndarray], volume: np.ndarray, timeframe: int) -> Columns:
    slot = ts // timeframe
    ends = _ends(slot)
    starts = np.append(0, ends[:-1] + 1) if len(ends) else ends
    if not len(ends):
        return {name: np.empty(0, np.int64 if name == "ts" else np.float64) for name in BAR_FIELDS}
    run = np.repeat(np.arange(len(ends)), ends - starts + 1)
    return {
        "ts": slot[ends] * timeframe,
        "open": prices[0][starts],
        "high": np.maximum.reduceat(prices[1], starts),
        "low": np.minimum.reduceat(prices[2], starts),
        "close": prices[3][ends],
        "volume": np.bincount(run, volume),
    }
