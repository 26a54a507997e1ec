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

from sigma_bot.engine.account import (
    close_payments,
    count_ambiguous,
    liquidate_at,
    open_payments,
    survives,
)
from sigma_bot.engine.ending import end_markets, end_order, remove_ended
from sigma_bot.engine.matching import (
    advance_order,
    after_slippage,
    cancel_unfilled,
    drag_trailing_stop,
    fill,
    reset_row_usage,
    roll_risk_day,
    trigger,
    update_wake_prices,
)
from sigma_bot.engine.types import (
    E_CANCEL,
    FOK,
    LIMIT,
    MARKET,
    PENDING,
    R_POST_ONLY,
    TRAIL,
    WORKING,
)
from sigma_bot.engine.venue import lots_shown, on_grid


def taker_price(broker, market, side, price):
    """What a taker pays when the market is at ``price``: half the spread and the slippage against him."""
    return after_slippage(broker, market, side, on_grid(market, price * (1.0 + side * broker.half_spread)))


def remaining_volume(broker, market, bar, want):
    """Lots that a resting order may still take from the bar's volume."""
    if broker.volume_limit <= 0.0:
        return want
    return max(min(want, lots_shown(market, bar.volume * broker.volume_limit) - market.used_volume), 0)


def at_open(broker, market, order, bar, arrived):
    """One live order against the bar's open. True when it acted there."""
    price = bar.open
    if order.order_type > LIMIT:
        if (price - order.stop) * order.side < 0.0:
            return False
        trigger(broker, order, bar.ts)
        arrived = True
    if order.order_type == MARKET:
        fill(broker, order, order.remaining, taker_price(broker, market, order.side, price), 0, bar.ts)
        return True
    if (price - order.limit) * order.side > 0.0 or (price == order.limit and not arrived):
        return arrived
    if not arrived:
        amount = remaining_volume(broker, market, bar, order.remaining)
        if amount > 0:
            market.used_volume += fill(broker, order, amount, order.limit, 1, bar.ts)
        return True
    take_liquidity(broker, market, order, order.remaining, price, bar.ts)
    return True


def take_liquidity(broker, market, order, lots, price, ts):
    """A limit order that arrives marketable at ``price``: worse by spread and slippage, up to its limit.
    Returns what was filled."""
    if order.post_only != 0:
        end_order(broker, order, E_CANCEL, R_POST_ONLY)
        return 0
    fill_price = taker_price(broker, market, order.side, price)
    if (fill_price - order.limit) * order.side > 0.0:
        fill_price = order.limit
    return fill(broker, order, lots, fill_price, 0, ts)


def trigger_price(order):
    """The price at which a working order acts inside a bar."""
    return order.limit if order.order_type <= LIMIT else order.stop


def acts_in(order, symbol, direction, end):
    """Whether a move up (1) or down (-1) that ends at ``end`` reaches the order."""
    if order.symbol != symbol or order.state != WORKING or order.remaining <= 0 or order.order_type == MARKET:
        return False
    if order.order_type == LIMIT:
        if order.woken != 0 or order.side == direction:
            return False
        return (end - order.limit) * direction > 0.0
    return order.side == direction and (end - order.stop) * direction >= 0.0


def move_price(broker, market, bar, start, end):
    """The price moves from ``start`` to ``end``: orders on the way act, nearest first."""
    direction = 1 if end > start else -1
    if end == start:
        return
    while True:
        slot = -1
        nearest = 0.0
        for i in range(broker.n_active):
            order = broker.orders[broker.active[i]]
            if acts_in(order, bar.symbol, direction, end) and order.acted_row != broker.row:
                distance = (trigger_price(order) - start) * direction
                if slot < 0 or distance < nearest:
                    slot = broker.active[i]
                    nearest = distance
        if slot < 0:
            break
        order = broker.orders[slot]
        price = max(start, trigger_price(order)) if direction > 0 else min(start, trigger_price(order))
        if not liquidated_inside(broker, market, bar, direction, price):
            act_inside(broker, market, order, bar, price)
    liquidated_inside(broker, market, bar, direction, end)
    for i in range(broker.n_active):
        order = broker.orders[broker.active[i]]
        if order.symbol == bar.symbol and order.state == WORKING and order.order_type == TRAIL:
            drag_trailing_stop(order, market, min(start, end), max(start, end))


def liquidated_inside(broker, market, bar, direction, price):
    """Whether a move up (1) or down (-1) to ``price`` is more than the account can bear: then it is
    liquidated, at the bar's adverse extreme."""
    if broker.leveraged == 0 or market.lots * direction >= 0 or survives(broker, market, price):
        return False
    liquidate_at(broker, market, bar.low if direction < 0 else bar.high)
    return True


def act_inside(broker, market, order, bar, price):
    """The market has reached the order at ``price`` inside the bar."""
    order.acted_row = broker.row
    if order.order_type > LIMIT:
        trigger(broker, order, bar.end)
        if order.order_type == LIMIT:
            amount = remaining_volume(broker, market, bar, order.remaining)
            if order.tif == FOK and amount < order.remaining:
                amount = 0
            if (price - order.limit) * order.side <= 0.0 and amount > 0:
                market.used_volume += take_liquidity(broker, market, order, amount, price, bar.end)
            cancel_unfilled(broker, order, True)
        else:
            fill(broker, order, order.remaining, taker_price(broker, market, order.side, price), 0, bar.end)
    else:
        amount = remaining_volume(broker, market, bar, order.remaining)
        if amount > 0:
            market.used_volume += fill(broker, order, amount, order.limit, 1, bar.end)


def trigger_woken_stops(broker, market, bar):
    """Stops that a fill inside this bar has woken, against the whole bar."""
    for i in range(broker.n_active):
        order = broker.orders[broker.active[i]]
        if order.woken == 0 or order.symbol != bar.symbol:
            continue
        order.woken = 0
        if order.state != WORKING or order.order_type <= LIMIT or order.remaining <= 0:
            continue
        reached = bar.high >= order.stop if order.side > 0 else bar.low <= order.stop
        if reached and not liquidated_inside(broker, market, bar, order.side, order.stop):
            act_inside(broker, market, order, bar, order.stop)


def is_ambiguous(broker, market, bar):
    """Could orders above and orders below the open act in this bar? A liquidation acts like an order."""
    bound = broker.leveraged != 0 and market.lots != 0
    up = bound and market.lots < 0 and not survives(broker, market, bar.high)
    down = bound and market.lots > 0 and not survives(broker, market, bar.low)
    for i in range(broker.n_active):
        order = broker.orders[broker.active[i]]
        up = up or acts_in(order, bar.symbol, 1, bar.high)
        down = down or acts_in(order, bar.symbol, -1, bar.low)
    return up and down


def match_bar(broker, bar):
    """Every open order of the bar's symbol against the bar; then new fences."""
    broker.needs_matching = 0
    market = broker.markets[bar.symbol]
    reset_row_usage(broker, market)
    roll_risk_day(broker, bar.ts)
    if broker.n_ending > 0:
        end_markets(broker)
    broker.inside_bar = 0
    market.mid = bar.open
    broker.ts = bar.ts
    for i in range(broker.n_active):
        order = broker.orders[broker.active[i]]
        if order.symbol != bar.symbol:
            continue
        status = advance_order(broker, order, bar.ts)
        if status != 0:
            cancel_unfilled(broker, order, at_open(broker, market, order, bar, status == 2))
    broker.ts = bar.end
    remove_ended(broker)
    if broker.n_payments > 0:
        open_payments(broker, market, bar.open)
    if broker.n_active > 0:
        match_inside_bar(broker, market, bar)
        remove_ended(broker)
    if broker.n_payments > 0:
        if broker.leveraged != 0:
            liquidate_at_extreme(broker, market, bar)
        close_payments(broker, bar.symbol)
    update_wake_prices(broker, bar.symbol)


def match_inside_bar(broker, market, bar):
    """The bar after its open: the way to one extreme, to the other, and to the close."""
    broker.inside_bar = 1
    if is_ambiguous(broker, market, bar):
        count_ambiguous(broker)
    down = market.lots > 0 or (market.lots == 0 and bar.open - bar.low <= bar.high - bar.open)
    first = bar.low if down else bar.high
    second = bar.high if down else bar.low
    move_price(broker, market, bar, bar.open, first)
    liquidations = broker.n_liquidations
    move_price(broker, market, bar, first, second)
    move_price(broker, market, bar, second, bar.close)
    trigger_woken_stops(broker, market, bar)
    liquidate_at_extreme(broker, market, bar)
    if broker.n_liquidations > liquidations:
        count_ambiguous(broker)
    broker.inside_bar = 0


def liquidate_at_extreme(broker, market, bar):
    """What is held after the bar is held against all of it: its extreme may have come after the entry."""
    if broker.leveraged == 0 or market.lots == 0:
        return
    extreme = bar.low if market.lots > 0 else bar.high
    if not survives(broker, market, extreme):
        liquidate_at(broker, market, extreme)


def match_close(broker, bar):
    """Market orders sent at this bar's close, filled at that close (``fill_at_close``)."""
    broker.needs_matching = 0
    market = broker.markets[bar.symbol]
    for i in range(broker.n_active):
        order = broker.orders[broker.active[i]]
        if (
            order.symbol == bar.symbol
            and order.order_type == MARKET
            and (order.state == PENDING or order.state == WORKING)
        ):
            order.state = WORKING
            fill(
                broker, order, order.remaining, taker_price(broker, market, order.side, bar.close), 0, bar.end
            )
    remove_ended(broker)
    update_wake_prices(broker, bar.symbol)
