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
    NEVER,
    R_LIQUIDATION,
)
from sigma_bot.engine.venue import ROOMY_LOTS, coarser, fee_of, notional_of, position_value, quantity


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
    if broker.n_payments != 0 and order.symbol == broker.symbol:
        broker.held_least = min(broker.held_least, position)
        broker.held_most = max(broker.held_most, position)
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
    """Account value at the last marks, in money; counted in quanta, so a market that stands still moves
    nothing."""
    equity = broker.cash_quanta
    for i in range(broker.n_markets):
        market = broker.markets[i]
        if market.lots != 0:
            equity += position_value(market, market.mid)
    return equity / broker.scale


def survives(broker, market, price):
    """Whether equity covers the maintenance margin with ``market`` at ``price`` and the others at their
    marks."""
    mark = market.mid
    market.mid = price
    covered = mark_to_market(broker) >= maintenance(broker)
    market.mid = mark
    return covered


def liquidate_at(broker, market, price):
    """Liquidate with ``market`` at ``price`` and the others at their marks."""
    mark = market.mid
    market.mid = price
    liquidate(broker, broker.half_spread + broker.slippage)
    market.mid = mark


def count_ambiguous(broker):
    """The outcome of this row rests on an assumption about the order of events: count it once."""
    if broker.ambiguous_row != broker.row:
        broker.ambiguous_row = broker.row
        broker.n_ambiguous += 1


def choose_lot(broker, market):
    """At the first price of a market whose lot nobody gave: a lot so coarse that the account's whole worth is
    at most ROOMY_LOTS of them."""
    lots = broker.peak / market.margin / market.first_price * market.lot_den / market.lot_num
    for _ in range(30):
        if lots > ROOMY_LOTS:
            coarser(market)
            lots /= 10.0


def pay_funding(broker, symbol, rate, ts):
    """Exchange of funding between longs and shorts, between two rows: a long pays ``rate`` of its value when
    the rate is positive."""
    market = broker.markets[symbol]
    paid = funding_of(market, market.lots, rate, market.mid)
    take_cash(broker, paid)
    record_funding(broker, symbol, market.lots, market.mid, ts, paid)


def funding_of(market, lots, rate, mark):
    """What a position of ``lots`` pays at ``rate``, in quanta; negative when it receives."""
    if lots >= 0:
        return int(round(float(notional_of(market, lots, mark)) * rate))
    return -int(round(float(notional_of(market, -lots, mark)) * rate))


def take_cash(broker, amount):
    """Take quanta from the cash as funding."""
    broker.cash_quanta -= amount
    broker.cash = broker.cash_quanta / broker.scale
    broker.funding_quanta += amount


def record_funding(broker, symbol, lots, mark, ts, paid):
    """Tell of a payment on a position of ``lots``."""
    if lots == 0:
        return
    order = broker.scratch
    order.symbol = symbol
    order.side = 1 if lots > 0 else -1
    index = append_event(broker, E_FUNDING, order, abs(lots), mark, 0)
    if index >= 0:
        broker.events[index].ts = ts
        broker.events[index].notional = paid


def announce_payment(broker, symbol, rate, ts):
    """A payment falls inside the next row of ``symbol``: it is made there, see ``open_payments``."""
    broker.payment_rates[broker.n_payments] = rate
    broker.payment_times[broker.n_payments] = ts
    broker.n_payments += 1
    broker.payment_mark = broker.markets[symbol].mid
    broker.next_wake = -NEVER


def open_payments(broker, market, mark):
    """The payments inside this row, by the position it begins with: what costs is paid before anything else
    happens. From here on the least and the most that is held is noted."""
    broker.payment_mark = mark
    broker.payment_lots = market.lots
    broker.held_least = market.lots
    broker.held_most = market.lots
    for k in range(broker.n_payments):
        take_cash(broker, max(funding_of(market, market.lots, broker.payment_rates[k], mark), 0))


def close_payments(broker, symbol):
    """The rest of each payment, so that it is that of the position held in this row which pays most."""
    market = broker.markets[symbol]
    mark = broker.payment_mark
    for k in range(broker.n_payments):
        rate = broker.payment_rates[k]
        least = funding_of(market, broker.held_least, rate, mark)
        most = funding_of(market, broker.held_most, rate, mark)
        paid = max(least, most)
        take_cash(broker, paid - max(funding_of(market, broker.payment_lots, rate, mark), 0))
        lots = broker.held_least if least >= most else broker.held_most
        record_funding(broker, symbol, lots, mark, broker.payment_times[k], paid)
        if least != most:
            count_ambiguous(broker)
    broker.n_payments = 0


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
