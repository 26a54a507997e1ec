"""Matching on bars, where the path inside a bar is unknown. Pessimistic wherever the data cannot tell.

- An order acts from the first bar of its symbol that opens at or after the order's arrival: what a strategy
  sends at a bar's close meets the next bar's open. (With ``fill_at_close`` market orders fill at the close
  that caused them.) A latency shorter than a bar cannot be seen on bars and counts as none.
- At the open: market orders fill at the open, worsened by half the spread and the slippage; stops beyond the
  open fill there as well; limit orders that arrive marketable fill at the open, those that already rested at
  their own limit.
- Then the price runs open → adverse extreme → favourable extreme → close; adverse is down for a long
  position and up for a short one; without a position the extreme nearer to the open comes first. On the way
  the nearest order acts first. Bars in which orders on both sides of the open could act are counted: their
  outcome rests on this rule.
- A resting limit order needs the market to trade strictly beyond it; at most ``volume_limit`` of the bar's
  volume.
- An order woken inside a bar (the exit of a bracket) is filled in that bar only if that is to our
  disadvantage: a stop is held against the whole bar, a limit order waits for the next one.
"""

from __future__ import annotations

from sigma_bot.engine.matching import (
    arrive,
    compact,
    fence,
    fill,
    finish,
    fresh_row,
    leftover,
    new_day,
    trail,
    trigger,
    worse,
)
from sigma_bot.engine.types import (
    E_CANCEL,
    LIMIT,
    MARKET,
    PENDING,
    R_POST_ONLY,
    TRAIL,
    WORKING,
)
from sigma_bot.engine.venue import lots_of, on_grid


def taker_price(b, s, side, price):
    """What a taker pays when the market is at ``price``: half the spread and the slippage against him."""
    return worse(b, s, side, on_grid(s, price * (1.0 + side * b.half_spread)))


def volume_left(b, s, bar, want):
    """Lots that a resting order may still take from the bar's volume."""
    if b.volume_limit <= 0.0:
        return want
    return max(min(want, lots_of(s, bar.volume * b.volume_limit) - s.used_volume), 0)


def at_open(b, s, o, bar, arrived):
    """One live order against the bar's open. True when it acted there."""
    p = bar.open
    if o.kind > LIMIT:
        if (p - o.stop) * o.side < 0.0:
            return False
        trigger(b, o, bar.ts)
        arrived = True
    if o.kind == MARKET:
        fill(b, o, o.left, taker_price(b, s, o.side, p), 0, bar.ts)
        return True
    if (p - o.limit) * o.side > 0.0 or (p == o.limit and not arrived):
        return arrived
    if not arrived:
        n = volume_left(b, s, bar, o.left)
        if n > 0:
            s.used_volume += fill(b, o, n, o.limit, 1, bar.ts)
        return True
    if o.post_only != 0:
        finish(b, o, E_CANCEL, R_POST_ONLY)
        return True
    q = taker_price(b, s, o.side, p)
    if (q - o.limit) * o.side > 0.0:
        q = o.limit
    fill(b, o, o.left, q, 0, bar.ts)
    return True


def level(o):
    """The price at which a working order acts inside a bar."""
    return o.limit if o.kind <= LIMIT else o.stop


def acts_in(o, symbol, direction, end):
    """Whether a move up (1) or down (-1) that ends at ``end`` reaches the order."""
    if o.symbol != symbol or o.state != WORKING or o.left <= 0 or o.kind == MARKET:
        return False
    if o.kind == LIMIT:
        if o.fresh != 0 or o.side == direction:
            return False
        return (end - o.limit) * direction > 0.0
    return o.side == direction and (end - o.stop) * direction >= 0.0


def leg(b, s, bar, start, end):
    """The price moves from ``start`` to ``end``: orders on the way act, nearest first."""
    direction = 1 if end > start else -1
    if end == start:
        return
    while True:
        slot = -1
        near = 0.0
        for j in range(b.n_active):
            o = b.orders[b.active[j]]
            if acts_in(o, bar.symbol, direction, end) and o.acted != b.row:
                d = (level(o) - start) * direction
                if slot < 0 or d < near:
                    slot = b.active[j]
                    near = d
        if slot < 0:
            break
        o = b.orders[slot]
        act_inside(b, s, o, bar, max(start, level(o)) if direction > 0 else min(start, level(o)))
    for j in range(b.n_active):
        o = b.orders[b.active[j]]
        if o.symbol == bar.symbol and o.state == WORKING and o.kind == TRAIL:
            trail(o, s, min(start, end), max(start, end))


def act_inside(b, s, o, bar, price):
    """The market has reached the order at ``price`` inside the bar."""
    o.acted = b.row
    if o.kind > LIMIT:
        trigger(b, o, bar.end)
        if o.kind == LIMIT:
            n = volume_left(b, s, bar, o.left)
            if (price - o.limit) * o.side <= 0.0 and n > 0:
                s.used_volume += fill(b, o, n, price, 0, bar.end)
        else:
            fill(b, o, o.left, taker_price(b, s, o.side, price), 0, bar.end)
    else:
        n = volume_left(b, s, bar, o.left)
        if n > 0:
            s.used_volume += fill(b, o, n, o.limit, 1, bar.end)


def woken_inside(b, s, bar):
    """Stops that a fill inside this bar has woken, against the whole bar."""
    for j in range(b.n_active):
        o = b.orders[b.active[j]]
        if o.fresh == 0 or o.symbol != bar.symbol:
            continue
        o.fresh = 0
        if o.state != WORKING or o.kind <= LIMIT or o.left <= 0:
            continue
        reached = bar.high >= o.stop if o.side > 0 else bar.low <= o.stop
        if reached:
            act_inside(b, s, o, bar, o.stop)


def both_sides(b, bar):
    """Could orders above and orders below the open act in this bar?"""
    up = False
    down = False
    for j in range(b.n_active):
        o = b.orders[b.active[j]]
        up = up or acts_in(o, bar.symbol, 1, bar.high)
        down = down or acts_in(o, bar.symbol, -1, bar.low)
    return up and down


def match_bar(b, bar):
    """Every open order of the bar's symbol against the bar; then new fences."""
    b.dirty = 0
    s = b.markets[bar.symbol]
    fresh_row(b, s)
    new_day(b, bar.ts)
    b.inside = 0
    s.mid = bar.open
    b.ts = bar.ts
    for j in range(b.n_active):
        o = b.orders[b.active[j]]
        if o.symbol != bar.symbol:
            continue
        a = arrive(b, o, bar.ts)
        if a != 0:
            leftover(b, o, at_open(b, s, o, bar, a == 2))
    b.ts = bar.end
    compact(b)
    if b.n_active > 0:
        inside(b, s, bar)
        compact(b)
    fence(b, bar.symbol)


def inside(b, s, bar):
    """The bar after its open: the way to one extreme, to the other, and to the close."""
    b.inside = 1
    if both_sides(b, bar):
        b.n_ambiguous += 1
    down = s.lots > 0 or (s.lots == 0 and bar.open - bar.low <= bar.high - bar.open)
    first = bar.low if down else bar.high
    second = bar.high if down else bar.low
    leg(b, s, bar, bar.open, first)
    leg(b, s, bar, first, second)
    leg(b, s, bar, second, bar.close)
    woken_inside(b, s, bar)
    b.inside = 0


def match_close(b, bar):
    """Market orders sent at this bar's close, filled at that close (``fill_at_close``)."""
    b.dirty = 0
    s = b.markets[bar.symbol]
    for j in range(b.n_active):
        o = b.orders[b.active[j]]
        if o.symbol == bar.symbol and o.kind == MARKET and (o.state == PENDING or o.state == WORKING):
            o.state = WORKING
            fill(b, o, o.left, taker_price(b, s, o.side, bar.close), 0, bar.end)
    compact(b)
    fence(b, bar.symbol)
