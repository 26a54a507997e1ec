"""The account: fills, funding, margin and liquidation. Money is integer quanta, so nothing is ever lost to
rounding."""

from __future__ import annotations

from sigma_bot.engine.types import (
    DONE,
    E_CANCEL,
    E_FILL,
    E_FUNDING,
    E_LIQUIDATE,
    MARKET,
    MAX_EVENTS,
    R_LIQUIDATION,
)
from sigma_bot.engine.venue import fee_of, notional_of, quantity


def emit(b, kind, o, lots, price, reason):
    """Append an event about order ``o``; its index, or -1 when the queue is full (the caller drains it
    before that)."""
    n = b.n_events
    if n >= MAX_EVENTS:
        b.lost += 1
        return -1
    b.n_events = n + 1
    e = b.events[n]
    e.ts = b.ts
    e.kind = kind
    e.id = o.id
    e.symbol = o.symbol
    e.side = o.side
    e.order_kind = o.kind
    e.tif = o.tif
    e.lots = lots
    e.quantity = quantity(b.markets[o.symbol], lots)
    e.price = price
    e.stop = o.stop
    e.notional = 0
    e.fee = 0
    e.realized = 0
    e.position = b.markets[o.symbol].lots
    e.maker = 0
    e.reason = reason
    e.parent = o.parent
    e.group = o.group
    e.best = 0.0
    e.worst = 0.0
    return n


def settle(b, o, lots, price, maker, ts):
    """A fill of ``lots`` at ``price``, with the value and the fee that the market's rules give."""
    s = b.markets[o.symbol]
    notional = notional_of(s, lots, price)
    book(b, o, lots, price, maker, ts, notional, fee_of(s, o, lots, notional, maker))


def book(b, o, lots, price, maker, ts, notional, fee):
    """Book a fill: cash, position, cost basis, realised profit, fee, event.

    Average-cost accounting: a reduction takes its share of the cost, a full close takes all of it, so a
    closed position costs exactly zero.
    """
    s = b.markets[o.symbol]
    old = s.lots
    held = abs(old)
    new = old + o.side * lots
    best = s.best
    worst = s.worst
    realized = 0
    if old == 0 or (old > 0) == (o.side > 0):
        s.cost += notional
        if old == 0:
            best = price
            worst = price
            s.best = price
            s.worst = price
    else:
        part = notional
        basis = s.cost
        if lots > held:
            part = int(round(float(notional) * (held / lots)))
        elif lots < held:
            basis = int(round(float(s.cost) * (lots / held)))
        realized = part - basis if old > 0 else basis - part
        s.cost -= basis
        if lots > held:
            s.cost = notional - part
            s.best = price
            s.worst = price
    s.lots = new
    s.qty = quantity(s, new)
    s.realized += realized
    b.cash_quanta -= o.side * notional + fee
    b.cash = b.cash_quanta / b.scale
    b.fee_quanta += fee
    b.n_fills += 1
    o.left -= lots
    o.filled += lots
    k = emit(b, E_FILL, o, lots, price, 0)
    if k >= 0:
        e = b.events[k]
        e.ts = ts
        e.notional = notional
        e.fee = fee
        e.realized = realized
        e.maker = maker
        e.best = best
        e.worst = worst


def used_margin(b):
    """Initial margin bound by the open positions, in money."""
    m = 0.0
    for k in range(b.n_markets):
        s = b.markets[k]
        m += abs(s.qty) * s.mid * s.margin
    return m


def maintenance(b):
    """Maintenance margin of the open positions, in money."""
    m = 0.0
    for k in range(b.n_markets):
        s = b.markets[k]
        m += abs(s.qty) * s.mid * s.maintenance
    return m


def mark(b):
    """Account value at the last marks, in money."""
    eq = b.cash
    for k in range(b.n_markets):
        s = b.markets[k]
        eq += s.qty * s.mid
    return eq


def fund(b, symbol, rate, ts):
    """Exchange of funding between longs and shorts: a long pays ``rate`` of its value when the rate is
    positive."""
    s = b.markets[symbol]
    if s.lots == 0:
        return
    value = notional_of(s, abs(s.lots), s.mid)
    paid = int(round(float(value) * rate))
    if s.lots < 0:
        paid = -paid
    b.cash_quanta -= paid
    b.cash = b.cash_quanta / b.scale
    b.funding_quanta += paid
    o = b.scratch
    o.symbol = symbol
    o.side = 1 if s.lots > 0 else -1
    k = emit(b, E_FUNDING, o, abs(s.lots), s.mid, 0)
    if k >= 0:
        b.events[k].ts = ts
        b.events[k].notional = paid


def liquidate(b, worse):
    """Close everything at the mark (``worse`` of it against us) when equity no longer covers the maintenance
    margin.

    Every order is cancelled first. The liquidation fee is taken on the closed value besides the taker fee.
    """
    b.n_liquidations += 1
    for j in range(b.n_active):
        o = b.orders[b.active[j]]
        if o.state != DONE:
            o.state = DONE
            emit(b, E_CANCEL, o, o.left, o.limit, R_LIQUIDATION)
    for k in range(b.n_markets):
        s = b.markets[k]
        if s.lots == 0:
            continue
        o = b.scratch
        o.id = b.next_id
        b.next_id += 1
        o.symbol = k
        o.side = -1 if s.lots > 0 else 1
        o.kind = MARKET
        o.left = abs(s.lots)
        o.filled = 0
        o.fee_base = 0
        o.fee_paid = 0
        emit(b, E_LIQUIDATE, o, o.left, s.mid, 0)
        price = s.mid * (1.0 + o.side * worse)
        fee = int(round(float(notional_of(s, o.left, price)) * b.liquidation_fee))
        o.fee_base = fee
        settle(b, o, o.left, price, 0, b.ts)
    b.dirty = 1
