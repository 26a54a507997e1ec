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


def append_event(broker, kind, order, lots, price, reason):
    """Append an event about order ``o``; its index, or -1 when the queue is full (the caller drains it
    before that)."""
    index = broker.n_events
    if index >= MAX_EVENTS:
        broker.lost_events += 1
        return -1
    broker.n_events = index + 1
    event = broker.events[index]
    event.ts = broker.ts
    event.kind = kind
    event.id = order.id
    event.symbol = order.symbol
    event.side = order.side
    event.order_type = order.order_type
    event.tif = order.tif
    event.lots = lots
    event.quantity = quantity(broker.markets[order.symbol], lots)
    event.price = price
    event.stop = order.stop
    event.notional = 0
    event.fee = 0
    event.realized = 0
    event.position = broker.markets[order.symbol].lots
    event.maker = 0
    event.reason = reason
    event.parent = order.parent
    event.group = order.group
    event.best = 0.0
    event.worst = 0.0
    return index


def settle(broker, order, lots, price, maker, ts):
    """A fill of ``lots`` at ``price``, with the value and the fee that the market's rules give."""
    market = broker.markets[order.symbol]
    notional = notional_of(market, lots, price)
    book_fill(broker, order, lots, price, maker, ts, notional, fee_of(market, order, lots, notional, maker))


def book_fill(broker, order, lots, price, maker, ts, notional, fee):
    """Book a fill: cash, position, cost basis, realised profit, fee, event.

    Average-cost accounting: a reduction takes its share of the cost, a full close takes all of it, so a
    closed position costs exactly zero.
    """
    market = broker.markets[order.symbol]
    before = market.lots
    held = abs(before)
    position = before + order.side * lots
    best = market.best
    worst = market.worst
    realized = 0
    if before == 0 or (before > 0) == (order.side > 0):
        market.cost += notional
        if before == 0:
            best = price
            worst = price
            market.best = price
            market.worst = price
    else:
        closed_value = notional
        closed_cost = market.cost
        if lots > held:
            closed_value = int(round(float(notional) * (held / lots)))
        elif lots < held:
            closed_cost = int(round(float(market.cost) * (lots / held)))
        realized = closed_value - closed_cost if before > 0 else closed_cost - closed_value
        market.cost -= closed_cost
        if lots > held:
            market.cost = notional - closed_value
            market.best = price
            market.worst = price
    market.lots = position
    market.qty = quantity(market, position)
    market.realized += realized
    broker.cash_quanta -= order.side * notional + fee
    broker.cash = broker.cash_quanta / broker.scale
    broker.fee_quanta += fee
    broker.n_fills += 1
    order.remaining -= lots
    order.filled += lots
    index = append_event(broker, E_FILL, order, lots, price, 0)
    if index >= 0:
        event = broker.events[index]
        event.ts = ts
        event.notional = notional
        event.fee = fee
        event.realized = realized
        event.maker = maker
        event.best = best
        event.worst = worst


def used_margin(broker):
    """Initial margin bound by the open positions, in money."""
    margin = 0.0
    for i in range(broker.n_markets):
        market = broker.markets[i]
        margin += abs(market.qty) * market.mid * market.margin
    return margin


def maintenance(broker):
    """Maintenance margin of the open positions, in money."""
    margin = 0.0
    for i in range(broker.n_markets):
        market = broker.markets[i]
        margin += abs(market.qty) * market.mid * market.maintenance
    return margin


def mark_to_market(broker):
    """Account value at the last marks, in money."""
    equity = broker.cash
    for i in range(broker.n_markets):
        market = broker.markets[i]
        equity += market.qty * market.mid
    return equity


def pay_funding(broker, symbol, rate, ts):
    """Exchange of funding between longs and shorts: a long pays ``rate`` of its value when the rate is
    positive."""
    market = broker.markets[symbol]
    if market.lots == 0:
        return
    value = notional_of(market, abs(market.lots), market.mid)
    paid = int(round(float(value) * rate))
    if market.lots < 0:
        paid = -paid
    broker.cash_quanta -= paid
    broker.cash = broker.cash_quanta / broker.scale
    broker.funding_quanta += paid
    order = broker.scratch
    order.symbol = symbol
    order.side = 1 if market.lots > 0 else -1
    index = append_event(broker, E_FUNDING, order, abs(market.lots), market.mid, 0)
    if index >= 0:
        broker.events[index].ts = ts
        broker.events[index].notional = paid


def liquidate(broker, worse):
    """Close everything at the mark (``worse`` of it against us) when equity no longer covers the maintenance
    margin.

    Every order is cancelled first. The liquidation fee is taken on the closed value besides the taker fee.
    """
    broker.n_liquidations += 1
    for i in range(broker.n_active):
        order = broker.orders[broker.active[i]]
        if order.state != DONE:
            order.state = DONE
            append_event(broker, E_CANCEL, order, order.remaining, order.limit, R_LIQUIDATION)
    for index in range(broker.n_markets):
        market = broker.markets[index]
        if market.lots == 0:
            continue
        order = broker.scratch
        order.id = broker.next_id
        broker.next_id += 1
        order.symbol = index
        order.side = -1 if market.lots > 0 else 1
        order.order_type = MARKET
        order.remaining = abs(market.lots)
        order.filled = 0
        order.fee_base = 0
        order.fee_paid = 0
        append_event(broker, E_LIQUIDATE, order, order.remaining, market.mid, 0)
        price = market.mid * (1.0 + order.side * worse)
        fee = int(round(float(notional_of(market, order.remaining, price)) * broker.liquidation_fee))
        order.fee_base = fee
        settle(broker, order, order.remaining, price, 0, broker.ts)
    broker.needs_matching = 1
