"""One row of the market: match → mark → bars → strategy → accept. The same code in every mode."""

from __future__ import annotations

from sigma_bot.engine.account import liquidate, maintenance, mark
from sigma_bot.engine.bars import match_bar, match_close
from sigma_bot.engine.matching import match_tick
from sigma_bot.engine.types import BUDGET, E_FILL


def close_bar(b, symbol, f):
    """Copy the finished bar into ``b.bar`` for the strategy."""
    r = b.markets[symbol].bars[f]
    c = b.bar
    c.ts = r.ts
    c.end = r.end
    c.timeframe = b.timeframes[f]
    c.symbol = symbol
    c.open = r.open
    c.high = r.high
    c.low = r.low
    c.close = r.close
    c.volume = r.volume
    c.count = r.count
    r.count = 0


def open_bar(r, start, width, price):
    """Begin the bar that holds ``start``."""
    r.ts = start - start % width
    r.end = r.ts + width
    r.open = price
    r.high = price
    r.low = price
    r.close = price
    r.volume = 0.0
    r.count = 0


def drawdown(b, equity):
    """Book the equity of this row: peak and deepest fall from it."""
    b.equity = equity
    if equity > b.peak:
        b.peak = equity
    elif b.peak - equity > b.max_drawdown:
        b.max_drawdown = b.peak - equity


def sample(b):
    """Keep a point of the equity curve: the state after the row before the one that crossed the interval."""
    p = b.samples[b.n_samples]
    b.n_samples += 1
    p.ts = b.ts
    p.equity = b.equity
    gross = 0.0
    index = 0.0
    for k in range(b.n_markets):
        s = b.markets[k]
        gross += abs(s.qty) * s.mid
        index += s.mid / s.first if s.first > 0.0 else 1.0
        p.marks[k] = s.mid
    p.gross = gross
    p.benchmark = index / b.n_markets


def after_tick(b, t, s):
    """After the strategy: fill what it sent without latency, tell it every fill, also those that this
    causes."""
    if b.dirty != 0:
        match_tick(b, t)
    while b.seen < b.n_events:
        e = b.events[b.seen]
        b.seen += 1
        if e.kind == E_FILL:
            s.on_fill(e, b)
            if b.dirty != 0:
                match_tick(b, t)


def after_bar(b, bar, s):
    """After the strategy: with ``fill_at_close`` fill its market orders; tell it every fill."""
    if b.dirty != 0 and b.fill_at_close != 0:
        match_close(b, bar)
    while b.seen < b.n_events:
        e = b.events[b.seen]
        b.seen += 1
        if e.kind == E_FILL:
            s.on_fill(e, b)
            if b.dirty != 0 and b.fill_at_close != 0:
                match_close(b, bar)


def step_tick(b, t, s):
    """One tick. Ticks are stamped at the end of their interval, so a tick at a bar's end still belongs to
    that bar."""
    b.busy = b.n_events + BUDGET
    b.ts = t.ts
    b.symbol = t.symbol
    q = b.markets[t.symbol]
    q.ts = t.ts
    q.bid = t.bid
    q.ask = t.ask
    mid = (t.bid + t.ask) * 0.5
    q.mid = mid
    if q.first == 0.0:
        q.first = mid
    if t.ts >= b.wake or t.ask <= q.lo or t.low <= q.lo or t.bid >= q.hi or t.high >= q.hi:
        match_tick(b, t)
    if b.n_markets == 1:
        equity = b.cash + q.qty * mid
    else:
        equity = mark(b)
    if q.lots > 0:
        if mid > q.best:
            q.best = mid
        elif mid < q.worst:
            q.worst = mid
    elif q.lots < 0:
        if mid < q.best:
            q.best = mid
        elif mid > q.worst:
            q.worst = mid
    b.equity = equity
    if equity > b.peak or b.peak - equity > b.max_drawdown:
        drawdown(b, equity)
    if b.leveraged != 0 and equity < maintenance(b):
        liquidate(b, b.half_spread + b.slippage)
        drawdown(b, mark(b))
    if b.n_timeframes != 0:
        for f in range(b.n_timeframes):
            grow(b, q.bars[f], t, s, f)
    s.on_tick(t, b)
    if b.dirty != 0 or b.seen != b.n_events:
        after_tick(b, t, s)
    q.last = t.last


def grow(b, r, t, s, f):
    """Grow the bar of a timeframe by a tick; deliver it when it is complete."""
    if t.ts > r.end:
        if r.count > 0:
            close_bar(b, t.symbol, f)
            s.on_bar(b.bar, b)
        open_bar(r, t.ts - 1, b.timeframes[f], t.last)
    if t.high > r.high:
        r.high = t.high
    if t.low < r.low:
        r.low = t.low
    r.close = t.last
    r.volume += t.volume
    r.count += 1
    if t.ts == r.end:
        close_bar(b, t.symbol, f)
        s.on_bar(b.bar, b)


def step_bar(b, bar, s):
    """One bar of the data, at its close."""
    # read once: CPython looks an attribute up each time, and compiled code would read memory again
    end = bar.end
    close = bar.close
    symbol = bar.symbol
    b.busy = b.n_events + BUDGET
    b.ts = end
    b.symbol = symbol
    q = b.markets[symbol]
    if q.first == 0.0:
        q.first = bar.open
    if end > b.wake or bar.low <= q.lo or bar.high >= q.hi:
        match_bar(b, bar)
    q.ts = end
    q.bid = close
    q.ask = close
    q.mid = close
    if q.lots != 0:
        watermarks(b, q, bar)
    if b.n_markets == 1:
        equity = b.cash + q.qty * close
    else:
        equity = mark(b)
    b.equity = equity
    if equity > b.peak or b.peak - equity > b.max_drawdown:
        drawdown(b, equity)
    if b.own_bars != 0:
        s.on_bar(bar, b)
    if b.n_timeframes != 0:
        for f in range(b.n_timeframes):
            build(b, bar, s, f)
    if b.dirty != 0 or b.seen != b.n_events:
        after_bar(b, bar, s)


def watermarks(b, q, bar):
    """Best and worst marks of the open position; on margin the adverse extreme decides about liquidation."""
    high = bar.high
    low = bar.low
    if q.lots > 0:
        extreme = low
        if high > q.best:
            q.best = high
        if low < q.worst:
            q.worst = low
    else:
        extreme = high
        if low < q.best:
            q.best = low
        if high > q.worst:
            q.worst = high
    if b.leveraged != 0:
        q.mid = extreme
        if mark(b) < maintenance(b):
            liquidate(b, b.half_spread + b.slippage)
        q.mid = bar.close


def build(b, bar, s, f):
    """Grow the bar of a longer timeframe by a bar of the data; deliver it when it is complete."""
    r = b.markets[bar.symbol].bars[f]
    if bar.ts >= r.end:
        if r.count > 0:
            # its last piece is missing in the data
            close_bar(b, bar.symbol, f)
            s.on_bar(b.bar, b)
        open_bar(r, bar.ts, b.timeframes[f], bar.open)
    r.high = max(r.high, bar.high)
    r.low = min(r.low, bar.low)
    r.close = bar.close
    r.volume += bar.volume
    r.count += 1
    if bar.end >= r.end:
        close_bar(b, bar.symbol, f)
        s.on_bar(b.bar, b)
