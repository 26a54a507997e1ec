"""The loops over rows. The compiled ones run over columns, the interpreted ones over the same columns as
lists; both call the same steps. All state lives in the records, so a loop can stop after any row and go on
later.

A loop returns the index of the next row: the end, or earlier when the caller must drain the event or sample
queue.
"""

from __future__ import annotations

from sigma_bot.engine.account import announce_payment, pay_funding
from sigma_bot.engine.step import step_bar, step_tick, take_sample
from sigma_bot.engine.types import DRAIN, MAX_SAMPLES, NEVER

TICK_COLUMNS = ("ts", "symbol", "bid", "ask", "bid_size", "ask_size", "last", "volume", "low", "high")
BAR_COLUMNS = ("ts", "end", "symbol", "open", "high", "low", "close", "volume")


def sample_before(broker, ts):
    """The row at ``ts`` crosses a sampling boundary: keep the state that stood before it."""
    if broker.row >= 0:
        take_sample(broker)
    broker.next_sample = -(-ts // broker.sample_every) * broker.sample_every


def tick_loop(
    broker, tick, strategy, ts, symbol, bid, ask, bid_size, ask_size, last, volume, low, high, first, end
):
    """Run ticks ``first`` to ``end`` of the columns."""
    i = max(first, 0)  # said so that the compiler need not look for negative indices
    while i < end:
        tick.ts = ts[i]
        tick.symbol = symbol[i]
        tick.bid = bid[i]
        tick.ask = ask[i]
        tick.bid_size = bid_size[i]
        tick.ask_size = ask_size[i]
        tick.last = last[i]
        tick.volume = volume[i]
        tick.low = low[i]
        tick.high = high[i]
        if tick.ts > broker.next_sample:
            sample_before(broker, tick.ts)
        broker.row += 1
        step_tick(broker, tick, strategy)
        i += 1
        if broker.n_events > DRAIN or broker.n_samples >= MAX_SAMPLES - 1:
            break
    return i


def bar_loop(broker, bar, strategy, ts, close_ts, symbol, open_, high, low, close, volume, first, end):
    """Run bars ``first`` to ``end`` of the columns."""
    bar.timeframe = broker.data_timeframe
    bar.count = 1
    i = max(first, 0)  # said so that the compiler need not look for negative indices
    while i < end:
        bar.ts = ts[i]
        bar.end = close_ts[i]
        bar.symbol = symbol[i]
        bar.open = open_[i]
        bar.high = high[i]
        bar.low = low[i]
        bar.close = close[i]
        bar.volume = volume[i]
        if bar.end > broker.next_sample:
            sample_before(broker, bar.end)
        broker.row += 1
        step_bar(broker, bar, strategy)
        i += 1
        if broker.n_events > DRAIN or broker.n_samples >= MAX_SAMPLES - 1:
            break
    return i


def fund_loop(broker, symbol, rate, ts, inside):
    """One funding payment: now, between two rows, or ``inside`` the symbol's next row."""
    if inside != 0:
        announce_payment(broker, symbol, rate, ts)
    else:
        pay_funding(broker, symbol, rate, ts)
    return 0


def market_ends(broker, symbol, rule):
    """The last row of ``symbol`` has been run: the next row does what ``rule`` (END_KEEP …) says. Returns the
    lots that are held."""
    broker.ended[symbol] = rule
    broker.n_ending += 1
    broker.next_wake = -NEVER
    return broker.markets[symbol].lots


def interpret_ticks(broker, tick, strategy, rows, first):
    """``tick_loop`` over an iterator of rows."""
    i = first
    most = MAX_SAMPLES - 1
    for (
        tick.ts,
        tick.symbol,
        tick.bid,
        tick.ask,
        tick.bid_size,
        tick.ask_size,
        tick.last,
        tick.volume,
        tick.low,
        tick.high,
    ) in rows:
        if tick.ts > broker.next_sample:
            sample_before(broker, tick.ts)
        broker.row += 1
        step_tick(broker, tick, strategy)
        i += 1
        if broker.n_events > DRAIN or broker.n_samples >= most:
            break
    return i


def interpret_bars(broker, bar, strategy, rows, first):
    """``bar_loop`` over an iterator of rows."""
    bar.timeframe = broker.data_timeframe
    bar.count = 1
    i = first
    most = MAX_SAMPLES - 1
    for bar.ts, bar.end, bar.symbol, bar.open, bar.high, bar.low, bar.close, bar.volume in rows:
        if bar.end > broker.next_sample:
            sample_before(broker, bar.end)
        broker.row += 1
        step_bar(broker, bar, strategy)
        i += 1
        if broker.n_events > DRAIN or broker.n_samples >= most:
            break
    return i
