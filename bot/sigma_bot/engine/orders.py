"""The life of an order before it meets the market: submit, cancel, modify, link."""

from __future__ import annotations

import math

from sigma_bot.engine.account import append_event
from sigma_bot.engine.types import (
    DONE,
    E_CANCEL,
    E_MODIFY,
    E_NEW,
    E_REJECT,
    GTD,
    HELD,
    LIMIT,
    MARKET,
    MAX_ORDERS,
    NEVER,
    OK,
    PENDING,
    R_ENDED,
    R_OPEN_ORDERS,
    R_PRICE,
    R_QUEUE_FULL,
    R_SIZE,
    R_STRATEGY,
    STOP,
    STOP_LIMIT,
    TRAIL,
)
from sigma_bot.engine.venue import UNCOUNTABLE, on_grid


def is_valid_price(price):
    """A price that can be sent: positive and finite."""
    return price > 0.0 and price < math.inf


def submit(
    broker,
    symbol,
    side,
    lots,
    order_type,
    limit,
    stop,
    trail,
    tif,
    expire,
    post_only,
    reduce_only,
    parent,
    group,
):
    """Check an order and rest it. Returns its id, or 0 when it was rejected; either way an event tells.

    Prices are moved to the venue's grid first. The order acts from ``ts + latency``; a child of a bracket
    (``parent > 0``) waits for its parent's fill.
    """
    market = broker.markets[symbol]
    reason = OK
    needs_limit = order_type == LIMIT or order_type == STOP_LIMIT
    needs_stop = order_type == STOP or order_type == STOP_LIMIT
    if (needs_limit and not is_valid_price(limit)) or (needs_stop and not is_valid_price(stop)):
        reason = R_PRICE
        limit = 0.0
        stop = 0.0
    if order_type == TRAIL and not is_valid_price(trail):
        reason = R_PRICE
        trail = 0.0
    if lots == UNCOUNTABLE:
        lots = 0
        reason = R_SIZE
    if broker.ended[symbol] != 0:
        reason = R_ENDED
    if limit > 0.0:
        limit = on_grid(market, limit)
    if stop > 0.0:
        stop = on_grid(market, stop)
    reference = market.ask if side > 0 else market.bid
    if needs_limit:
        reference = limit
    elif order_type == STOP:
        reference = stop
    if reason == OK:
        reason = broker.risk.check(broker, symbol, side, lots, reference, reduce_only, 1 if parent > 0 else 0)
    if reason == OK and broker.n_active >= MAX_ORDERS:
        reason = R_OPEN_ORDERS
    if broker.n_events > broker.event_budget:
        reason = R_QUEUE_FULL
    order = (
        broker.orders[broker.free[broker.n_free - 1]]
        if broker.n_free > 0 and reason == OK
        else broker.scratch
    )
    order.id = broker.next_id
    broker.next_id += 1
    order.symbol = symbol
    order.side = side
    order.order_type = order_type
    order.tif = tif
    order.lots = lots
    order.remaining = lots
    order.filled = 0
    order.limit = limit
    order.stop = stop
    order.trail = trail
    order.ts = broker.ts
    order.live_at = broker.ts + broker.latency
    order.expire = expire if tif == GTD else NEVER
    order.cancel_at = NEVER
    order.modify_at = NEVER
    order.post_only = post_only
    order.reduce_only = reduce_only
    order.group = group
    order.parent = parent
    order.woken = 0
    order.acted_row = -1
    order.venue_state = 0
    order.attempt = 0
    order.queue = -1.0
    order.fee_base = 0
    order.fee_paid = 0
    if reason != OK:
        broker.rejected[reason] += 1
        broker.n_rejected += 1
        if broker.n_events <= broker.event_budget:
            append_event(broker, E_REJECT, order, lots, limit, reason)
        return 0
    if order_type == TRAIL:
        order.stop = on_grid(market, market.bid - trail if side < 0 else market.ask + trail)
    broker.n_free -= 1
    broker.active[broker.n_active] = broker.free[broker.n_free]
    broker.n_active += 1
    broker.n_orders += 1
    order.state = PENDING
    if parent > 0:
        order.state = HELD
        order.remaining = 0
        order.live_at = NEVER
    wake_no_later_than(broker, order.live_at)
    wake_no_later_than(broker, order.expire)
    if broker.latency == 0:
        broker.needs_matching = 1
    append_event(broker, E_NEW, order, lots, order.limit, 0)
    return order.id


def wake_no_later_than(broker, ts):
    """The next matching must happen at ``ts`` at the latest."""
    if ts < broker.next_wake:
        broker.next_wake = ts


def find_slot(broker, order_id):
    """Slot of the open order ``oid``, or -1."""
    if order_id <= 0:
        return -1
    for i in range(broker.n_active):
        order = broker.orders[broker.active[i]]
        if order.id == order_id and order.state != DONE:
            return broker.active[i]
    return -1


def takes_effect_at_once(broker, order):
    """Whether a cancel or a change needs no time to arrive.

    On bars, the bar of another symbol that closes now may still be to come: what happened inside it happened
    before this moment, and cannot be undone.
    """
    if order.state == HELD:
        return True
    return broker.latency == 0 and (broker.on_bars == 0 or broker.markets[order.symbol].ts == broker.ts)


def cancel(broker, order_id):
    """Ask for a cancel: it takes the latency too, and the order may fill before it arrives. 1 if the order
    was open."""
    slot = find_slot(broker, order_id)
    if slot < 0 or broker.n_events > broker.event_budget:
        return 0
    order = broker.orders[slot]
    if takes_effect_at_once(broker, order):
        order.state = DONE
        broker.needs_matching = 1
        append_event(broker, E_CANCEL, order, order.remaining, order.limit, R_STRATEGY)
    elif order.cancel_at == NEVER:
        order.cancel_at = broker.ts + broker.latency
        wake_no_later_than(broker, order.cancel_at)
    return 1


def modify(broker, order_id, limit, stop, lots):
    """Ask for new prices (0 keeps the old one) or a new remaining quantity (0 keeps it). Loses its place in
    the queue.

    The order works at its old terms until the change arrives. 1 if the order was open and the terms can be
    sent.
    """
    slot = find_slot(broker, order_id)
    if slot < 0 or broker.n_events > broker.event_budget or lots < 0:
        return 0
    order = broker.orders[slot]
    market = broker.markets[order.symbol]
    limited = order.order_type == LIMIT or order.order_type == STOP_LIMIT
    stopped = order.order_type == STOP or order.order_type == STOP_LIMIT
    if (limit != 0.0 and not (limited and is_valid_price(limit))) or (
        stop != 0.0 and not (stopped and is_valid_price(stop))
    ):
        return 0
    order.next_limit = on_grid(market, limit) if limit > 0.0 else order.limit
    order.next_stop = on_grid(market, stop) if stop > 0.0 else order.stop
    order.next_remaining = lots if lots > 0 and order.state != HELD else order.remaining
    if takes_effect_at_once(broker, order):
        apply_change(broker, order)
        broker.needs_matching = 1
    else:
        order.modify_at = broker.ts + broker.latency
        wake_no_later_than(broker, order.modify_at)
    return 1


def apply_change(broker, order):
    """A modification arrives at the venue. More than before needs the account's means like a new order."""
    if order.next_remaining > order.remaining and order.state != HELD:
        grown = order.next_remaining - order.remaining
        reference = order.next_limit if order.next_limit > 0.0 else broker.markets[order.symbol].mid
        if broker.risk.check(broker, order.symbol, order.side, grown, reference, order.reduce_only, 0) != OK:
            order.next_remaining = order.remaining
    order.limit = order.next_limit
    order.stop = order.next_stop
    order.lots += order.next_remaining - order.remaining
    order.remaining = order.next_remaining
    order.modify_at = NEVER
    order.queue = -1.0
    append_event(broker, E_MODIFY, order, order.lots, order.limit, 0)


def link(broker, first, second):
    """Make two open orders one-cancels-other: any fill of one cancels the other. 1 if both were open."""
    first_slot = find_slot(broker, first)
    second_slot = find_slot(broker, second)
    if first_slot < 0 or second_slot < 0 or first_slot == second_slot:
        return 0
    broker.orders[first_slot].group = first
    broker.orders[second_slot].group = first
    return 1


def order_type_of(limit, stop, trail):
    """The order kind that these prices ask for; 0 leaves a price out."""
    if trail != 0.0:
        return TRAIL
    if stop != 0.0:
        return STOP_LIMIT if limit != 0.0 else STOP
    return LIMIT if limit != 0.0 else MARKET
