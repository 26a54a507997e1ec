"""The loops over rows. The compiled ones run over columns, the interpreted ones over the same columns as
lists; both call the same steps. All state lives in the records, so a loop can stop after any row and go on
later.

A loop returns the index of the next row: the end, or earlier when the caller must drain the event or sample
queue.
"""

from __future__ import annotations

from sigma_bot.engine.account import fund
from sigma_bot.engine.step import sample, step_bar, step_tick
from sigma_bot.engine.types import DRAIN, MAX_SAMPLES

TICK_COLUMNS = ("ts", "symbol", "bid", "ask", "bid_size", "ask_size", "last", "volume", "low", "high")
BAR_COLUMNS = ("ts", "end", "symbol", "open", "high", "low", "close", "volume")


def sample_before(b, ts):
    """The row at ``ts`` crosses a sampling boundary: keep the state that stood before it."""
    if b.row >= 0:
        sample(b)
    b.next_sample = -(-ts // b.sample_every) * b.sample_every


def tick_loop(b, t, s, ts, symbol, bid, ask, bid_size, ask_size, last, volume, low, high, first, end):
    """Run ticks ``first`` to ``end`` of the columns."""
    i = max(first, 0)  # said so that the compiler need not look for negative indices
    while i < end:
        t.ts = ts[i]
        t.symbol = symbol[i]
        t.bid = bid[i]
        t.ask = ask[i]
        t.bid_size = bid_size[i]
        t.ask_size = ask_size[i]
        t.last = last[i]
        t.volume = volume[i]
        t.low = low[i]
        t.high = high[i]
        if t.ts > b.next_sample:
            sample_before(b, t.ts)
        b.row += 1
        step_tick(b, t, s)
        i += 1
        if b.n_events > DRAIN or b.n_samples >= MAX_SAMPLES - 1:
            break
    return i


def bar_loop(b, t, s, ts, close_ts, symbol, open_, high, low, close, volume, first, end):
    """Run bars ``first`` to ``end`` of the columns."""
    t.timeframe = b.data_timeframe
    t.count = 1
    i = max(first, 0)  # said so that the compiler need not look for negative indices
    while i < end:
        t.ts = ts[i]
        t.end = close_ts[i]
        t.symbol = symbol[i]
        t.open = open_[i]
        t.high = high[i]
        t.low = low[i]
        t.close = close[i]
        t.volume = volume[i]
        if t.end > b.next_sample:
            sample_before(b, t.end)
        b.row += 1
        step_bar(b, t, s)
        i += 1
        if b.n_events > DRAIN or b.n_samples >= MAX_SAMPLES - 1:
            break
    return i


def fund_loop(b, symbol, rate, ts):
    """One funding payment, between two rows."""
    fund(b, symbol, rate, ts)
    return 0


def interpret_ticks(b, t, s, rows, first):
    """``tick_loop`` over an iterator of rows."""
    i = first
    most = MAX_SAMPLES - 1
    for t.ts, t.symbol, t.bid, t.ask, t.bid_size, t.ask_size, t.last, t.volume, t.low, t.high in rows:
        if t.ts > b.next_sample:
            sample_before(b, t.ts)
        b.row += 1
        step_tick(b, t, s)
        i += 1
        if b.n_events > DRAIN or b.n_samples >= most:
            break
    return i


def interpret_bars(b, t, s, rows, first):
    """``bar_loop`` over an iterator of rows."""
    t.timeframe = b.data_timeframe
    t.count = 1
    i = first
    most = MAX_SAMPLES - 1
    for t.ts, t.end, t.symbol, t.open, t.high, t.low, t.close, t.volume in rows:
        if t.end > b.next_sample:
            sample_before(b, t.end)
        b.row += 1
        step_bar(b, t, s)
        i += 1
        if b.n_events > DRAIN or b.n_samples >= most:
            break
    return i
