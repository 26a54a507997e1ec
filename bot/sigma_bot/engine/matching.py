"""Matching: what each order does when it meets the market. One implementation for BACKTEST and SIM.

This file holds what ticks and bars share and the tick rules; ``bars.py`` holds the bar rules. Assumptions:

- a market order takes the displayed size at the touch, the rest fills ``slippage`` worse, never refused for
  depth;
- several own orders in one row share the displayed size and the traded volume: what one took, another cannot;
- a resting limit order fills at its own price, as maker, when the market trades *through* it (strictly
  beyond), at most ``volume_limit`` of what was traded; with the queue model also *at* it, once the size
  ahead has traded;
- a limit order that arrives marketable takes the displayed size as taker, the rest rests at its limit;
- stops and trailing stops trigger on trades, not on quotes, and then act as market or limit orders at once.
"""

from __future__ import annotations

from sigma_bot.engine.account import emit, settle
from sigma_bot.engine.orders import change
from sigma_bot.engine.types import (
    DONE,
    E_CANCEL,
    E_EXPIRE,
    E_TRIGGER,
    FAR,
    FOK,
    FREE,
    HELD,
    IOC,
    LIMIT,
    MARKET,
    NEVER,
    PENDING,
    R_FUNDS,
    R_OCO,
    R_PARENT,
    R_POST_ONLY,
    R_REDUCE_ONLY,
    R_STRATEGY,
    R_UNFILLED,
    STOP_LIMIT,
    TRAIL,
    WORKING,
)
from sigma_bot.engine.venue import lots_of, notional_of, on_grid, step_at


def finish(b, o, kind, reason):
    """End an order that has something left."""
    o.state = DONE
    emit(b, kind, o, o.left, o.limit, reason)


def worse(b, s, side, price):
    """``price`` after slippage against the taker."""
    if b.slippage == 0.0 and b.slippage_ticks == 0.0:
        return price
    p = price * (1.0 + side * b.slippage) + side * b.slippage_ticks * step_at(s, price)
    p = on_grid(s, p)
    return p if p > 0.0 else price


def fill(b, o, lots, price, maker, ts):
    """Fill up to ``lots``, as far as the account allows; returns what was filled.

    Reduce-only orders stop at a flat position, cash accounts stop at the cash (or the holding) they have:
    the rest of the order is cancelled. Then brackets and OCO groups follow.
    """
    s = b.markets[o.symbol]
    n = min(lots, o.left)
    reason = 0
    if o.reduce_only != 0:
        room = abs(s.lots) if s.lots * o.side < 0 else 0
        if n > room:
            n = room
            reason = R_REDUCE_ONLY
    if b.leveraged == 0:
        room = affordable(b, s, n, price) if o.side > 0 else max(s.lots, 0)
        if n > room:
            n = room
            reason = R_FUNDS
    if n > 0:
        settle(b, o, n, price, maker, ts)
        follow(b, o, n)
    if o.left == 0:
        o.state = DONE
    elif reason != 0 and o.state != DONE:
        finish(b, o, E_CANCEL, reason)
    return n


def affordable(b, s, lots, price):
    """As many of ``lots`` as the cash pays at ``price``, the dearer fee included."""
    spare = float(b.cash_quanta - s.fee_fixed - s.fee_minimum)
    if cost_of(s, lots, price) <= spare:
        return lots
    n = int(max(spare, 0.0) / cost_of(s, 1_000_000, price) * 1_000_000.0)
    # the division is a float's: step back until it holds to the last quantum
    while n > 0 and cost_of(s, n, price) > spare:
        n -= 1
    return n


def cost_of(s, lots, price):
    """What buying ``lots`` takes from the cash at most, in quanta."""
    return notional_of(s, lots, price) * (1.0 + s.fee_rate) + lots * s.fee_per_lot + 1.0


def follow(b, o, lots):
    """After a fill: children of a bracket wake with the filled lots, siblings of a group shrink or go."""
    for j in range(b.n_active):
        q = b.orders[b.active[j]]
        if q.state == DONE or q.id == o.id:
            continue
        if q.parent == o.id and o.parent == 0:
            if q.sent != 0:
                enlarge(b, q, lots)
                continue
            q.left += lots
            if q.state == HELD:
                q.state = WORKING
                q.fresh = b.inside
                if q.kind == TRAIL:
                    s = b.markets[q.symbol]
                    q.stop = on_grid(s, s.mid - q.trail if q.side < 0 else s.mid + q.trail)
            b.dirty = 1
        elif o.parent > 0 and q.id == o.parent:
            drop(b, q)
        elif o.group > 0 and q.group == o.group:
            if q.parent > 0 and q.sent == 0:
                q.left -= lots
            if q.parent == 0 or q.left <= 0 or q.sent != 0:
                drop(b, q)
                b.dirty = 1


def drop(b, o):
    """End an order whose group has been decided. What a venue holds is only asked to go."""
    if o.sent != 0:
        o.cancel_at = b.ts
    else:
        finish(b, o, E_CANCEL, R_OCO)


def trail(o, s, low, high):
    """Drag a trailing stop behind the best trade."""
    if o.side < 0:
        p = on_grid(s, high - o.trail)
        if p > o.stop:
            o.stop = p
    else:
        p = on_grid(s, low + o.trail)
        if p < o.stop:
            o.stop = p


def trigger(b, o, ts):
    """A stop becomes a market order, a stop-limit a limit order."""
    k = emit(b, E_TRIGGER, o, o.left, o.stop, 0)
    if k >= 0:
        b.events[k].ts = ts
    o.kind = LIMIT if o.kind == STOP_LIMIT else MARKET


def arrive(b, o, ts):
    """Whether ``o`` can act at ``ts``. Cancels, changes and expiries that have arrived happen here.

    0 = not now, 1 = working, 2 = it arrives just now.
    """
    if o.state == DONE or o.state == HELD:
        return 0
    if ts >= o.expire:
        finish(b, o, E_EXPIRE, 0)
        return 0
    if ts >= o.cancel_at:
        finish(b, o, E_CANCEL, R_STRATEGY)
        return 0
    new = 1
    if o.state == PENDING:
        if ts < o.live_at:
            return 0
        o.state = WORKING
        new = 2
    if ts >= o.modify_at:
        change(b, o)
        new = 2
    return new if o.left > 0 else 0


def leftover(b, o, at_once):
    """IOC and FOK orders that met the market end; a stop waits for its trigger first."""
    if at_once and o.state == WORKING and o.kind <= LIMIT and (o.tif == IOC or o.tif == FOK):
        finish(b, o, E_CANCEL, R_UNFILLED)


def meet_tick(b, s, o, t, arrived):
    """One live order against one tick."""
    if o.kind == TRAIL:
        trail(o, s, t.low, t.high)
    if o.kind > LIMIT:
        if arrived:
            hit = t.last >= o.stop if o.side > 0 else t.last <= o.stop
        else:
            hit = t.high >= o.stop if o.side > 0 else t.low <= o.stop
        if not hit:
            return False
        trigger(b, o, t.ts)
        arrived = True
    if o.kind == MARKET:
        take(b, s, o, t, 0.0)
    elif o.side > 0:
        if t.ask <= o.limit:
            cross(b, s, o, t, arrived)
        elif not arrived and t.low <= o.limit:
            rest(b, s, o, t, t.low < o.limit, t.bid == o.limit, t.bid_size)
        elif arrived and o.limit > t.bid:
            o.queue = 0.0
        elif arrived and o.limit == t.bid:
            o.queue = t.bid_size
    elif t.bid >= o.limit:
        cross(b, s, o, t, arrived)
    elif not arrived and t.high >= o.limit:
        rest(b, s, o, t, t.high > o.limit, t.ask == o.limit, t.ask_size)
    elif arrived and o.limit < t.ask:
        o.queue = 0.0
    elif arrived and o.limit == t.ask:
        o.queue = t.ask_size
    return True


def touch(b, s, o, t):
    """Price a taker meets: the other side's quote, or where the data have none the last price and half the
    spread."""
    p = t.ask if o.side > 0 else t.bid
    if t.bid == t.ask:
        p = on_grid(s, p * (1.0 + o.side * b.half_spread))
    return p


def displayed(s, o, t):
    """Lots at the touch that no other own order has taken in this row."""
    if o.side > 0:
        return max(lots_of(s, t.ask_size) - s.used_ask, 0)
    return max(lots_of(s, t.bid_size) - s.used_bid, 0)


def took(s, o, n):
    """Remember what was taken from the displayed size."""
    if o.side > 0:
        s.used_ask += n
    else:
        s.used_bid += n


def take(b, s, o, t, limit):
    """A market order: the displayed size at the touch, the rest one slip beyond. ``limit`` > 0 bounds the
    price."""
    p = touch(b, s, o, t)
    n = min(o.left, displayed(s, o, t))
    if n > 0:
        took(s, o, fill(b, o, n, p, 0, t.ts))
    if o.left > 0 and o.state != DONE:
        q = worse(b, s, o.side, p)
        if limit <= 0.0 or (q - limit) * o.side <= 0.0:
            fill(b, o, o.left, q, 0, t.ts)


def cross(b, s, o, t, arrived):
    """A limit order that the quote has reached: as taker on arrival, else at its own price."""
    if arrived and o.post_only != 0:
        finish(b, o, E_CANCEL, R_POST_ONLY)
        return
    n = min(o.left, displayed(s, o, t))
    if o.tif == FOK and n < o.left:
        return
    if n > 0:
        p = o.limit
        if arrived:
            p = touch(b, s, o, t)
            if (p - o.limit) * o.side > 0.0:
                p = o.limit
        took(s, o, fill(b, o, n, p, 0 if arrived else 1, t.ts))


def rest(b, s, o, t, through, at_touch, size):
    """A resting limit order whose price was traded at or through. A last price that only stands since an
    earlier tick is no trade."""
    volume = t.volume
    if volume == 0.0 and (b.has_volume != 0 or (t.low == s.last and t.high == s.last)):
        return
    if not through:
        if b.queue == 0:
            return
        if o.queue < 0.0:
            # how much stood ahead is only known from now on
            o.queue = size if at_touch else t.volume
            return
        ahead = min(o.queue, volume)
        o.queue -= ahead
        volume -= ahead
    n = o.left
    if b.volume_limit > 0.0:
        n = min(n, lots_of(s, volume * b.volume_limit) - s.used_volume)
    if n > 0:
        s.used_volume += fill(b, o, n, o.limit, 1, t.ts)


def watch_tick(b, s, t):
    """Where a venue fills the orders (LIVE): the tick only triggers the stops that are held here and ends
    what has expired."""
    new_day(b, t.ts)
    for j in range(b.n_active):
        o = b.orders[b.active[j]]
        if o.symbol != t.symbol or o.state == DONE or o.state == HELD:
            continue
        if o.sent != 0:
            if t.ts >= o.expire and o.cancel_at == NEVER:
                o.cancel_at = t.ts
            continue
        new = arrive(b, o, t.ts)
        if new == 0 or o.kind <= LIMIT:
            continue
        if o.kind == TRAIL:
            trail(o, s, t.low, t.high)
        hit = t.high >= o.stop if o.side > 0 else t.low <= o.stop
        if new == 2:
            hit = t.last >= o.stop if o.side > 0 else t.last <= o.stop
        if hit:
            trigger(b, o, t.ts)
    compact(b)
    fence(b, t.symbol)


def enlarge(b, o, lots):
    """The exit of a bracket that a venue holds must cover more: it is replaced."""
    more = o.next_left if o.modify_at != NEVER else o.left
    if o.modify_at == NEVER:
        o.next_limit = o.limit
        o.next_stop = o.stop
    o.next_left = more + lots
    o.modify_at = b.ts


def fresh_row(b, s):
    """Displayed size and volume are shared among own orders once a row."""
    if s.used_row != b.row:
        s.used_row = b.row
        s.used_bid = 0
        s.used_ask = 0
        s.used_volume = 0


def match_tick(b, t):
    """Every open order of the tick's symbol against the tick, in order of arrival; then new fences."""
    b.dirty = 0
    s = b.markets[t.symbol]
    if b.external != 0:
        watch_tick(b, s, t)
        return
    fresh_row(b, s)
    new_day(b, t.ts)
    for j in range(b.n_active):
        o = b.orders[b.active[j]]
        if o.symbol != t.symbol:
            continue
        a = arrive(b, o, t.ts)
        if a != 0:
            acted = meet_tick(b, s, o, t, a == 2)
            leftover(b, o, acted)
    compact(b)
    fence(b, t.symbol)


def new_day(b, ts):
    """Roll the risk day; its equity is the last one of the old day."""
    if ts >= b.risk.next_day:
        b.risk.roll_day(ts, b.equity)


def compact(b):
    """Free the slots of ended orders; the rest keep their order of arrival. Children of an ended parent
    end."""
    again = True
    while again:
        again = False
        n = 0
        for j in range(b.n_active):
            slot = b.active[j]
            o = b.orders[slot]
            if o.state != DONE and o.parent > 0 and o.left == 0 and not is_open(b, o.parent):
                finish(b, o, E_CANCEL, R_PARENT)
                again = True
            if o.state == DONE:
                o.state = FREE
                b.free[b.n_free] = slot
                b.n_free += 1
            else:
                b.active[n] = slot
                n += 1
        b.n_active = n


def is_open(b, oid):
    """Whether an order of this id still lives."""
    for j in range(b.n_active):
        o = b.orders[b.active[j]]
        if o.id == oid and o.state != DONE and o.state != FREE:
            return True
    return False


def fence(b, symbol):
    """The nearest prices at which an order of ``symbol`` could act, and the next moment anything becomes
    due."""
    lo = -FAR
    hi = FAR
    wake = b.risk.next_day
    for j in range(b.n_active):
        o = b.orders[b.active[j]]
        wake = min(wake, o.expire, o.cancel_at, o.modify_at)
        if o.state == PENDING:
            wake = min(wake, o.live_at)
        if o.state != WORKING or o.symbol != symbol:
            continue
        if o.kind == MARKET:
            wake = b.ts
        elif o.kind == LIMIT:
            if o.side > 0:
                lo = max(lo, o.limit)
            else:
                hi = min(hi, o.limit)
        else:
            if o.side > 0:
                hi = min(hi, o.stop)
            else:
                lo = max(lo, o.stop)
            if o.kind == TRAIL:
                if o.side > 0:
                    lo = max(lo, o.stop - o.trail)
                else:
                    hi = min(hi, o.stop + o.trail)
    b.wake = min(wake, NEVER)
    b.markets[symbol].lo = lo
    b.markets[symbol].hi = hi
