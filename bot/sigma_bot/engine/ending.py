"""How orders end, and what becomes of a market whose data end."""

from __future__ import annotations

from sigma_bot.engine.account import append_event, settle
from sigma_bot.engine.types import (
    DONE,
    E_CANCEL,
    E_NEW,
    END_CLOSE,
    END_KEEP,
    FREE,
    MARKET,
    R_ENDED,
    R_PARENT,
)


def end_order(broker, order, kind, reason):
    """End an order that has something left."""
    order.state = DONE
    append_event(broker, kind, order, order.remaining, order.limit, reason)


def remove_ended(broker):
    """Free the slots of ended orders; the rest keep their order of arrival. Children of an ended parent
    end."""
    again = True
    while again:
        again = False
        kept = 0
        for i in range(broker.n_active):
            slot = broker.active[i]
            order = broker.orders[slot]
            if (
                order.state != DONE
                and order.parent > 0
                and order.remaining == 0
                and not is_open(broker, order.parent)
            ):
                end_order(broker, order, E_CANCEL, R_PARENT)
                again = True
            if order.state == DONE:
                order.state = FREE
                broker.free[broker.n_free] = slot
                broker.n_free += 1
            else:
                broker.active[kept] = slot
                kept += 1
        broker.n_active = kept


def is_open(broker, order_id):
    """Whether an order of this id still lives."""
    for i in range(broker.n_active):
        order = broker.orders[broker.active[i]]
        if order.id == order_id and order.state != DONE and order.state != FREE:
            return True
    return False


def end_markets(broker):
    """Markets whose data have ended: their orders end, and their positions as the rule says. At zero what is
    held is lost; a short position, which would gain, is closed at the last price."""
    broker.n_ending = 0
    for symbol in range(broker.n_markets):
        rule = broker.ended[symbol]
        if rule <= 0:
            continue
        broker.ended[symbol] = -rule
        market = broker.markets[symbol]
        for i in range(broker.n_active):
            order = broker.orders[broker.active[i]]
            if order.symbol == symbol and order.state != DONE:
                end_order(broker, order, E_CANCEL, R_ENDED)
        if rule != END_KEEP and market.lots != 0:
            price = market.mid if rule == END_CLOSE or market.lots < 0 else 0.0
            close_ended(broker, market, symbol, price)
    remove_ended(broker)


def close_ended(broker, market, symbol, price):
    """Close a position at ``price``, at the time of the market's last row."""
    order = broker.scratch
    order.id = broker.next_id
    broker.next_id += 1
    order.symbol = symbol
    order.side = -1 if market.lots > 0 else 1
    order.order_type = MARKET
    order.tif = 0
    order.limit = 0.0
    order.stop = 0.0
    order.parent = 0
    order.group = 0
    order.lots = abs(market.lots)
    order.remaining = order.lots
    order.filled = 0
    order.fee_base = 0
    order.fee_paid = 0
    index = append_event(broker, E_NEW, order, order.lots, 0.0, 0)
    if index >= 0:
        broker.events[index].ts = market.ts
    settle(broker, order, order.lots, price, 0, market.ts)
