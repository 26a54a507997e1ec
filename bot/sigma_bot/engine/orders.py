"""The life of an order before it meets the market: submit, cancel, modify, link."""

from __future__ import annotations

import math

from sigma_bot.engine.account import emit
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
    R_OPEN_ORDERS,
    R_PRICE,
    R_QUEUE_FULL,
    R_STRATEGY,
    STOP,
    STOP_LIMIT,
    TRAIL,
)
from sigma_bot.engine.venue import on_grid


def price_ok(x):
    """A price that can be sent: positive and finite."""
    return x > 0.0 and x < math.inf


def submit(
    b, symbol, side, lots, kind, limit, stop, trail, tif, expire, post_only, reduce_only, parent, group
):
    """Check an order and rest it. Returns its id, or 0 when it was rejected; either way an event tells.

    Prices are moved to the venue's grid first. The order acts from ``ts + latency``; a child of a bracket
    (``parent > 0``) waits for its parent's fill.
    """
    s = b.markets[symbol]
    reason = OK
    needs_limit = kind == LIMIT or kind == STOP_LIMIT
    needs_stop = kind == STOP or kind == STOP_LIMIT
    if (needs_limit and not price_ok(limit)) or (needs_stop and not price_ok(stop)):
        reason = R_PRICE
        limit = 0.0
        stop = 0.0
    if kind == TRAIL and not price_ok(trail):
        reason = R_PRICE
        trail = 0.0
    if limit > 0.0:
        limit = on_grid(s, limit)
    if stop > 0.0:
        stop = on_grid(s, stop)
    ref = s.ask if side > 0 else s.bid
    if needs_limit:
        ref = limit
    elif kind == STOP:
        ref = stop
    if reason == OK:
        reason = b.risk.check(b, symbol, side, lots, ref, reduce_only, 1 if parent > 0 else 0)
    if reason == OK and b.n_active >= MAX_ORDERS:
        reason = R_OPEN_ORDERS
    if b.n_events > b.busy:
        reason = R_QUEUE_FULL
    o = b.orders[b.free[b.n_free - 1]] if b.n_free > 0 and reason == OK else b.scratch
    o.id = b.next_id
    b.next_id += 1
    o.symbol = symbol
    o.side = side
    o.kind = kind
    o.tif = tif
    o.lots = lots
    o.left = lots
    o.filled = 0
    o.limit = limit
    o.stop = stop
    o.trail = trail
    o.ts = b.ts
    o.live_at = b.ts + b.latency
    o.expire = expire if tif == GTD else NEVER
    o.cancel_at = NEVER
    o.modify_at = NEVER
    o.post_only = post_only
    o.reduce_only = reduce_only
    o.group = group
    o.parent = parent
    o.fresh = 0
    o.acted = -1
    o.sent = 0
    o.leg = 0
    o.queue = -1.0
    o.fee_base = 0
    o.fee_paid = 0
    if reason != OK:
        b.rejected[reason] += 1
        b.n_rejected += 1
        if b.n_events <= b.busy:
            emit(b, E_REJECT, o, lots, limit, reason)
        return 0
    if kind == TRAIL:
        o.stop = on_grid(s, s.bid - trail if side < 0 else s.ask + trail)
    b.n_free -= 1
    b.active[b.n_active] = b.free[b.n_free]
    b.n_active += 1
    b.n_orders += 1
    o.state = PENDING
    if parent > 0:
        o.state = HELD
        o.left = 0
        o.live_at = NEVER
    wake_at(b, o.live_at)
    wake_at(b, o.expire)
    if b.latency == 0:
        b.dirty = 1
    emit(b, E_NEW, o, lots, o.limit, 0)
    return o.id


def wake_at(b, ts):
    """The next matching must happen at ``ts`` at the latest."""
    if ts < b.wake:
        b.wake = ts


def find(b, oid):
    """Slot of the open order ``oid``, or -1."""
    if oid <= 0:
        return -1
    for j in range(b.n_active):
        o = b.orders[b.active[j]]
        if o.id == oid and o.state != DONE:
            return b.active[j]
    return -1


def at_once(b, o):
    """Whether a cancel or a change needs no time to arrive.

    On bars, the bar of another symbol that closes now may still be to come: what happened inside it happened
    before this moment, and cannot be undone.
    """
    if o.state == HELD:
        return True
    return b.latency == 0 and (b.on_bars == 0 or b.markets[o.symbol].ts == b.ts)


def cancel(b, oid):
    """Ask for a cancel: it takes the latency too, and the order may fill before it arrives. 1 if the order
    was open."""
    k = find(b, oid)
    if k < 0 or b.n_events > b.busy:
        return 0
    o = b.orders[k]
    if at_once(b, o):
        o.state = DONE
        b.dirty = 1
        emit(b, E_CANCEL, o, o.left, o.limit, R_STRATEGY)
    elif o.cancel_at == NEVER:
        o.cancel_at = b.ts + b.latency
        wake_at(b, o.cancel_at)
    return 1


def modify(b, oid, limit, stop, lots):
    """Ask for new prices (0 keeps the old one) or a new remaining quantity (0 keeps it). Loses its place in
    the queue.

    The order works at its old terms until the change arrives. 1 if the order was open and the terms can be
    sent.
    """
    k = find(b, oid)
    if k < 0 or b.n_events > b.busy or lots < 0:
        return 0
    o = b.orders[k]
    s = b.markets[o.symbol]
    limited = o.kind == LIMIT or o.kind == STOP_LIMIT
    stopped = o.kind == STOP or o.kind == STOP_LIMIT
    if (limit != 0.0 and not (limited and price_ok(limit))) or (
        stop != 0.0 and not (stopped and price_ok(stop))
    ):
        return 0
    o.next_limit = on_grid(s, limit) if limit > 0.0 else o.limit
    o.next_stop = on_grid(s, stop) if stop > 0.0 else o.stop
    o.next_left = lots if lots > 0 and o.state != HELD else o.left
    if at_once(b, o):
        change(b, o)
        b.dirty = 1
    else:
        o.modify_at = b.ts + b.latency
        wake_at(b, o.modify_at)
    return 1


def change(b, o):
    """A modification arrives at the venue. More than before needs the account's means like a new order."""
    if o.next_left > o.left and o.state != HELD:
        grown = o.next_left - o.left
        ref = o.next_limit if o.next_limit > 0.0 else b.markets[o.symbol].mid
        if b.risk.check(b, o.symbol, o.side, grown, ref, o.reduce_only, 0) != OK:
            o.next_left = o.left
    o.limit = o.next_limit
    o.stop = o.next_stop
    o.lots += o.next_left - o.left
    o.left = o.next_left
    o.modify_at = NEVER
    o.queue = -1.0
    emit(b, E_MODIFY, o, o.lots, o.limit, 0)


def link(b, first, second):
    """Make two open orders one-cancels-other: any fill of one cancels the other. 1 if both were open."""
    i = find(b, first)
    j = find(b, second)
    if i < 0 or j < 0 or i == j:
        return 0
    b.orders[i].group = first
    b.orders[j].group = first
    return 1


def kind_of(limit, stop, trail):
    """The order kind that these prices ask for; 0 leaves a price out."""
    if trail != 0.0:
        return TRAIL
    if stop != 0.0:
        return STOP_LIMIT if limit != 0.0 else STOP
    return LIMIT if limit != 0.0 else MARKET
