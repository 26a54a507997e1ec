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

from sigma_bot.engine.account import (
    append_event,
    close_payments,
    count_ambiguous,
    liquidate_at,
    open_payments,
    settle,
    survives,
)
from sigma_bot.engine.ending import end_markets, end_order, remove_ended
from sigma_bot.engine.orders import apply_change
from sigma_bot.engine.types import (
    DONE,
    E_CANCEL,
    E_EXPIRE,
    E_TRIGGER,
    FAR,
    FOK,
    HELD,
    IOC,
    LIMIT,
    MARKET,
    NEVER,
    PENDING,
    R_FUNDS,
    R_OCO,
    R_POST_ONLY,
    R_REDUCE_ONLY,
    R_STRATEGY,
    R_UNFILLED,
    STOP_LIMIT,
    TRAIL,
    WORKING,
)
from sigma_bot.engine.venue import lots_shown, notional_of, on_grid, step_at


def after_slippage(broker, market, side, price):
    """``price`` after slippage against the taker."""
    if broker.slippage == 0.0 and broker.slippage_ticks == 0.0:
        return price
    slipped = price * (1.0 + side * broker.slippage) + side * broker.slippage_ticks * step_at(market, price)
    slipped = on_grid(market, slipped)
    return slipped if slipped > 0.0 else price


def fill(broker, order, lots, price, maker, ts):
    """Fill up to ``lots``, as far as the account allows; returns what was filled.

    Reduce-only orders stop at a flat position, cash accounts stop at the cash (or the holding) they have:
    the rest of the order is cancelled. Then brackets and OCO groups follow.
    """
    market = broker.markets[order.symbol]
    amount = min(lots, order.remaining)
    reason = 0
    if order.reduce_only != 0:
        room = abs(market.lots) if market.lots * order.side < 0 else 0
        if amount > room:
            amount = room
            reason = R_REDUCE_ONLY
    if broker.leveraged == 0:
        room = affordable(broker, market, amount, price) if order.side > 0 else max(market.lots, 0)
        if amount > room:
            amount = room
            reason = R_FUNDS
    if amount > 0:
        settle(broker, order, amount, price, maker, ts)
        update_linked_orders(broker, order, amount)
    if order.remaining == 0:
        order.state = DONE
    elif reason != 0 and order.state != DONE:
        end_order(broker, order, E_CANCEL, reason)
    return amount


def affordable(broker, market, lots, price):
    """As many of ``lots`` as the cash pays at ``price``, the dearer fee included."""
    spare = float(broker.cash_quanta - market.fee_fixed - market.fee_minimum)
    if cost_of(market, lots, price) <= spare:
        return lots
    amount = int(max(spare, 0.0) / cost_of(market, 1_000_000, price) * 1_000_000.0)
    # the division is a float's: step back until it holds to the last quantum
    while amount > 0 and cost_of(market, amount, price) > spare:
        amount -= 1
    return amount


def cost_of(market, lots, price):
    """What buying ``lots`` takes from the cash at most, in quanta."""
    return notional_of(market, lots, price) * (1.0 + market.fee_rate) + lots * market.fee_per_lot + 1.0


def update_linked_orders(broker, order, lots):
    """After a fill: children of a bracket wake with the filled lots, siblings of a group shrink or go."""
    for i in range(broker.n_active):
        other = broker.orders[broker.active[i]]
        if other.state == DONE or other.id == order.id:
            continue
        if other.parent == order.id and order.parent == 0:
            if other.venue_state != 0:
                replace_with_more(broker, other, lots)
                continue
            other.remaining += lots
            if other.state == HELD:
                other.state = WORKING
                other.woken = broker.inside_bar
                if other.order_type == TRAIL:
                    market = broker.markets[other.symbol]
                    other.stop = on_grid(
                        market, market.mid - other.trail if other.side < 0 else market.mid + other.trail
                    )
            broker.needs_matching = 1
        elif order.parent > 0 and other.id == order.parent:
            cancel_linked(broker, other)
        elif order.group > 0 and other.group == order.group:
            if other.parent > 0 and other.venue_state == 0:
                other.remaining -= lots
            if other.parent == 0 or other.remaining <= 0 or other.venue_state != 0:
                cancel_linked(broker, other)
                broker.needs_matching = 1


def cancel_linked(broker, order):
    """End an order whose group has been decided. What a venue holds is only asked to go."""
    if order.venue_state != 0:
        order.cancel_at = broker.ts
    else:
        end_order(broker, order, E_CANCEL, R_OCO)


def drag_trailing_stop(order, market, low, high):
    """Drag a trailing stop behind the best trade."""
    if order.side < 0:
        stop = on_grid(market, high - order.trail)
        if stop > order.stop:
            order.stop = stop
    else:
        stop = on_grid(market, low + order.trail)
        if stop < order.stop:
            order.stop = stop


def trigger(broker, order, ts):
    """A stop becomes a market order, a stop-limit a limit order."""
    index = append_event(broker, E_TRIGGER, order, order.remaining, order.stop, 0)
    if index >= 0:
        broker.events[index].ts = ts
    order.order_type = LIMIT if order.order_type == STOP_LIMIT else MARKET


def advance_order(broker, order, ts):
    """Whether ``o`` can act at ``ts``. Cancels, changes and expiries that have arrived happen here.

    0 = not now, 1 = working, 2 = it arrives just now.
    """
    if order.state == DONE or order.state == HELD:
        return 0
    if ts >= order.expire:
        end_order(broker, order, E_EXPIRE, 0)
        return 0
    if ts >= order.cancel_at:
        end_order(broker, order, E_CANCEL, R_STRATEGY)
        return 0
    status = 1
    if order.state == PENDING:
        if ts < order.live_at:
            return 0
        order.state = WORKING
        status = 2
    if ts >= order.modify_at:
        apply_change(broker, order)
        status = 2
    return status if order.remaining > 0 else 0


def cancel_unfilled(broker, order, at_once):
    """IOC and FOK orders that met the market end; a stop waits for its trigger first."""
    if (
        at_once
        and order.state == WORKING
        and order.order_type <= LIMIT
        and (order.tif == IOC or order.tif == FOK)
    ):
        end_order(broker, order, E_CANCEL, R_UNFILLED)


def match_order(broker, market, order, tick, arrived):
    """One live order against one tick."""
    if order.order_type == TRAIL:
        drag_trailing_stop(order, market, tick.low, tick.high)
    if order.order_type > LIMIT:
        if arrived:
            hit = tick.last >= order.stop if order.side > 0 else tick.last <= order.stop
        else:
            hit = tick.high >= order.stop if order.side > 0 else tick.low <= order.stop
        if not hit:
            return False
        trigger(broker, order, tick.ts)
        arrived = True
    if order.order_type == MARKET:
        fill_market_order(broker, market, order, tick, 0.0)
    elif order.side > 0:
        if tick.ask <= order.limit:
            fill_marketable_limit(broker, market, order, tick, arrived)
        elif not arrived and tick.low <= order.limit:
            fill_resting_limit(
                broker, market, order, tick, tick.low < order.limit, tick.bid == order.limit, tick.bid_size
            )
        elif arrived and order.limit > tick.bid:
            order.queue = 0.0
        elif arrived and order.limit == tick.bid:
            order.queue = tick.bid_size
    elif tick.bid >= order.limit:
        fill_marketable_limit(broker, market, order, tick, arrived)
    elif not arrived and tick.high >= order.limit:
        fill_resting_limit(
            broker, market, order, tick, tick.high > order.limit, tick.ask == order.limit, tick.ask_size
        )
    elif arrived and order.limit < tick.ask:
        order.queue = 0.0
    elif arrived and order.limit == tick.ask:
        order.queue = tick.ask_size
    return True


def taker_quote(broker, market, order, tick):
    """Price a taker meets: the other side's quote, or where the data have none the last price and half the
    spread."""
    price = tick.ask if order.side > 0 else tick.bid
    if tick.bid == tick.ask:
        price = on_grid(market, price * (1.0 + order.side * broker.half_spread))
    return price


def displayed_lots(market, order, tick):
    """Lots at the touch that no other own order has taken in this row."""
    if order.side > 0:
        return max(lots_shown(market, tick.ask_size) - market.used_ask, 0)
    return max(lots_shown(market, tick.bid_size) - market.used_bid, 0)


def record_taken(market, order, lots):
    """Remember what was taken from the displayed size."""
    if order.side > 0:
        market.used_ask += lots
    else:
        market.used_bid += lots


def fill_market_order(broker, market, order, tick, limit):
    """A market order: the displayed size at the touch, the rest one slip beyond. ``limit`` > 0 bounds the
    price."""
    price = taker_quote(broker, market, order, tick)
    amount = min(order.remaining, displayed_lots(market, order, tick))
    if amount > 0:
        record_taken(market, order, fill(broker, order, amount, price, 0, tick.ts))
    if order.remaining > 0 and order.state != DONE:
        slipped = after_slippage(broker, market, order.side, price)
        if limit <= 0.0 or (slipped - limit) * order.side <= 0.0:
            fill(broker, order, order.remaining, slipped, 0, tick.ts)


def fill_marketable_limit(broker, market, order, tick, arrived):
    """A limit order that the quote has reached: as taker on arrival, else at its own price."""
    if arrived and order.post_only != 0:
        end_order(broker, order, E_CANCEL, R_POST_ONLY)
        return
    amount = min(order.remaining, displayed_lots(market, order, tick))
    if order.tif == FOK and amount < order.remaining:
        return
    if amount > 0:
        price = order.limit
        if arrived:
            price = taker_quote(broker, market, order, tick)
            if (price - order.limit) * order.side > 0.0:
                price = order.limit
        record_taken(market, order, fill(broker, order, amount, price, 0 if arrived else 1, tick.ts))


def fill_resting_limit(broker, market, order, tick, through, at_touch, size):
    """A resting limit order whose price was traded at or through. A last price that only stands since an
    earlier tick is no trade."""
    volume = tick.volume
    if volume == 0.0 and (broker.has_volume != 0 or (tick.low == market.last and tick.high == market.last)):
        return
    if not through:
        if broker.queue_model == 0:
            return
        if order.queue < 0.0:
            # how much stood ahead is only known from now on
            order.queue = size if at_touch else tick.volume
            return
        ahead = min(order.queue, volume)
        order.queue -= ahead
        volume -= ahead
    amount = order.remaining
    if broker.volume_limit > 0.0:
        amount = min(amount, lots_shown(market, volume * broker.volume_limit) - market.used_volume)
    if amount > 0:
        market.used_volume += fill(broker, order, amount, order.limit, 1, tick.ts)


def trigger_stops(broker, market, tick):
    """Where a venue fills the orders (LIVE): the tick only triggers the stops that are held here and ends
    what has expired."""
    roll_risk_day(broker, tick.ts)
    for i in range(broker.n_active):
        order = broker.orders[broker.active[i]]
        if order.symbol != tick.symbol or order.state == DONE or order.state == HELD:
            continue
        if order.venue_state != 0:
            if tick.ts >= order.expire and order.cancel_at == NEVER:
                order.cancel_at = tick.ts
            continue
        status = advance_order(broker, order, tick.ts)
        if status == 0 or order.order_type <= LIMIT:
            continue
        if order.order_type == TRAIL:
            drag_trailing_stop(order, market, tick.low, tick.high)
        hit = tick.high >= order.stop if order.side > 0 else tick.low <= order.stop
        if status == 2:
            hit = tick.last >= order.stop if order.side > 0 else tick.last <= order.stop
        if hit:
            trigger(broker, order, tick.ts)
    remove_ended(broker)
    update_wake_prices(broker, tick.symbol)


def replace_with_more(broker, order, lots):
    """The exit of a bracket that a venue holds must cover more: it is replaced."""
    more = order.next_remaining if order.modify_at != NEVER else order.remaining
    if order.modify_at == NEVER:
        order.next_limit = order.limit
        order.next_stop = order.stop
    order.next_remaining = more + lots
    order.modify_at = broker.ts


def reset_row_usage(broker, market):
    """Displayed size and volume are shared among own orders once a row."""
    if market.used_row != broker.row:
        market.used_row = broker.row
        market.used_bid = 0
        market.used_ask = 0
        market.used_volume = 0


def match_tick(broker, tick):
    """Every open order of the tick's symbol against the tick, in order of arrival; then new fences."""
    broker.needs_matching = 0
    market = broker.markets[tick.symbol]
    if broker.external != 0:
        trigger_stops(broker, market, tick)
        return
    reset_row_usage(broker, market)
    roll_risk_day(broker, tick.ts)
    if broker.n_ending > 0:
        end_markets(broker)
    if broker.n_payments > 0:
        open_payments(broker, market, broker.payment_mark)
    if broker.leveraged != 0 and market.lots != 0:
        price = adverse_price(broker, market, tick)
        if not survives(broker, market, price):
            liquidate_first(broker, market, tick, price)
    for i in range(broker.n_active):
        match_one(broker, market, broker.orders[broker.active[i]], tick)
    if broker.n_payments > 0:
        close_payments(broker, tick.symbol)
    remove_ended(broker)
    update_wake_prices(broker, tick.symbol)


def match_one(broker, market, order, tick):
    """One order against the tick, where it is of its symbol and can act."""
    if order.symbol != tick.symbol:
        return
    status = advance_order(broker, order, tick.ts)
    if status != 0:
        acted = match_order(broker, market, order, tick, status == 2)
        cancel_unfilled(broker, order, acted)


def adverse_price(broker, market, tick):
    """The worst the tick was for the position: its mid, or a trade beyond it. A last price that only stands
    since an earlier tick is no trade."""
    price = market.mid
    if tick.volume == 0.0 and (
        broker.has_volume != 0 or (tick.low == market.last and tick.high == market.last)
    ):
        return price
    return min(price, tick.low) if market.lots > 0 else max(price, tick.high)


def liquidate_first(broker, market, tick, price):
    """The tick's worst price is more than the account can bear: only market orders, and stops that it could
    have borne, come before the liquidation. What the market reached on the other side comes too late."""
    for i in range(broker.n_active):
        order = broker.orders[broker.active[i]]
        stops = (
            order.order_type > LIMIT and order.side * market.lots < 0 and survives(broker, market, order.stop)
        )
        if order.order_type == MARKET or stops:
            match_one(broker, market, order, tick)
    if market.lots != 0 and not survives(broker, market, price):
        for i in range(broker.n_active):
            order = broker.orders[broker.active[i]]
            closes = order.symbol == tick.symbol and order.side * market.lots < 0
            if closes and order.state == WORKING and order.order_type == LIMIT and reached(order, tick):
                count_ambiguous(broker)
        liquidate_at(broker, market, price)


def reached(order, tick):
    """Whether the tick quoted or traded at a limit or beyond it."""
    if order.side > 0:
        return min(tick.low, tick.ask) <= order.limit
    return max(tick.high, tick.bid) >= order.limit


def roll_risk_day(broker, ts):
    """Roll the risk day; its equity is the last one of the old day."""
    if ts >= broker.risk.next_day:
        broker.risk.roll_day(ts, broker.equity)


def update_wake_prices(broker, symbol):
    """The nearest prices at which an order of ``symbol`` could act, and the next moment anything becomes
    due."""
    wake_below = -FAR
    wake_above = FAR
    next_wake = broker.risk.next_day
    for i in range(broker.n_active):
        order = broker.orders[broker.active[i]]
        next_wake = min(next_wake, order.expire, order.cancel_at, order.modify_at)
        if order.state == PENDING:
            next_wake = min(next_wake, order.live_at)
        if order.state != WORKING or order.symbol != symbol:
            continue
        if order.order_type == MARKET:
            next_wake = broker.ts
        elif order.order_type == LIMIT:
            if order.side > 0:
                wake_below = max(wake_below, order.limit)
            else:
                wake_above = min(wake_above, order.limit)
        else:
            if order.side > 0:
                wake_above = min(wake_above, order.stop)
            else:
                wake_below = max(wake_below, order.stop)
            if order.order_type == TRAIL:
                if order.side > 0:
                    wake_below = max(wake_below, order.stop - order.trail)
                else:
                    wake_above = min(wake_above, order.stop + order.trail)
    broker.next_wake = min(next_wake, NEVER)
    broker.markets[symbol].wake_below = wake_below
    broker.markets[symbol].wake_above = wake_above
