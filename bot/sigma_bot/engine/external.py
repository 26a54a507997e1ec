"""LIVE: orders that a venue fills. What is to be sent, and what the venue's answers do to the account.

The account, the brackets and the risk rules are those of SIM; only the matching is the venue's. Stops,
trailing stops and the exits of brackets are held here until they trigger: a venue sees market and limit
orders alone. Interpreted only.
"""

from __future__ import annotations

from sigma_bot.engine.account import book_fill, mark_to_market
from sigma_bot.engine.ending import end_order, remove_ended
from sigma_bot.engine.matching import update_linked_orders, update_wake_prices
from sigma_bot.engine.orders import apply_change
from sigma_bot.engine.types import (
    DONE,
    E_CANCEL,
    E_FILL,
    FREE,
    HELD,
    LIMIT,
    NEVER,
    R_FUNDS,
    R_REDUCE_ONLY,
    R_STRATEGY,
    WORKING,
)
from sigma_bot.engine.venue import notional_of, quantity

# what ``Order.venue_state`` says: held here; at the venue; a cancel is on its way; a cancel that makes room
# for a change
HELD_HERE, SENT, LEAVING, CHANGING = 0, 1, 2, 3
SEND, CANCEL = 1, 2


def due_commands(broker):
    """What must go to the venue now: (SEND or CANCEL, order). Marks each as under way."""
    out = []
    settle_held_orders(broker)
    for i in range(broker.n_active):
        order = broker.orders[broker.active[i]]
        if order.state == DONE or order.state == HELD:
            continue
        if order.venue_state == SENT and (order.cancel_at != NEVER or order.modify_at != NEVER):
            order.venue_state = LEAVING if order.cancel_at != NEVER else CHANGING
            out.append((CANCEL, order))
        elif (
            order.venue_state == HELD_HERE
            and order.order_type <= LIMIT
            and order.remaining > 0
            and is_only_exit_at_venue(broker, order)
            and is_covered(broker, order)
        ):
            order.state = WORKING
            order.venue_state = SENT
            order.attempt += 1
            out.append((SEND, order))
    remove_ended(broker)
    return out


def is_covered(broker, order):
    """Whether a sell can go now. It waits for one that is leaving and binds the holding until then; and it
    sells no more than is held, which a fee in units may have made less than was bought."""
    if order.side > 0 or broker.leveraged != 0:
        return True
    held = max(broker.markets[order.symbol].lots, 0)
    bound, leaving = 0, False
    for i in range(broker.n_active):
        other = broker.orders[broker.active[i]]
        if (
            other.id != order.id
            and other.symbol == order.symbol
            and other.side < 0
            and other.venue_state != HELD_HERE
            and other.state != DONE
        ):
            bound += other.remaining
            leaving = leaving or other.cancel_at != NEVER or other.modify_at != NEVER
    if order.remaining > held - bound and leaving:
        return False
    order.remaining = min(order.remaining, held)
    if order.remaining == 0:
        end_order(broker, order, E_CANCEL, R_REDUCE_ONLY if order.reduce_only != 0 else R_FUNDS)
    return order.remaining > 0


def hold_back(order):
    """It was due and did not go: it is due again at the next step."""
    order.venue_state = HELD_HERE
    order.attempt -= 1


def settle_held_orders(broker):
    """Cancels and changes of orders that never left take effect at once."""
    for i in range(broker.n_active):
        order = broker.orders[broker.active[i]]
        if order.state == DONE or order.venue_state != HELD_HERE:
            continue
        if order.cancel_at != NEVER:
            end_order(broker, order, E_CANCEL, R_STRATEGY)
        elif order.modify_at != NEVER:
            apply_change(broker, order)
    remove_ended(broker)


def is_only_exit_at_venue(broker, order):
    """Whether no other order of its group is at the venue, where it would bind the same holding. One that is
    there is asked to go first."""
    free = True
    if order.group > 0 and order.parent > 0:
        for i in range(broker.n_active):
            other = broker.orders[broker.active[i]]
            if (
                other.id == order.id
                or other.group != order.group
                or other.state == DONE
                or other.venue_state == HELD_HERE
                or other.parent == 0
            ):
                continue
            free = False
            # a stop that has triggered closes the position; a target that waits here does not call it back
            if other.cancel_at == NEVER and (other.stop == 0.0 or order.stop > 0.0):
                other.cancel_at = broker.ts
    return free


def order_of(broker, order_id):
    """The open order, or None."""
    for i in range(broker.n_active):
        order = broker.orders[broker.active[i]]
        if order.id == order_id and order.state != DONE and order.state != FREE:
            return order
    return None


def order_filled(broker, order_id, symbol, side, lots, price, maker, ts, fee):
    """The venue filled ``lots`` of an order at ``price`` for ``fee`` quanta. An order that has ended here is
    booked all the same: it is the account's."""
    order = order_of(broker, order_id)
    known = order is not None
    if order is None:
        order = broker.scratch
        order.id = order_id
        order.symbol = symbol
        order.side = side
        order.remaining = lots
        order.filled = 0
        order.parent = 0
        order.group = 0
    market = broker.markets[symbol]
    book_fill(broker, order, lots, price, maker, ts, notional_of(market, lots, price), fee)
    if known:
        update_linked_orders(broker, order, lots)
        if order.remaining <= 0:
            order.state = DONE
    clean_up(broker, symbol)


def order_ended(broker, order_id, kind, reason):
    """The venue holds the order no longer. One that was to change goes out again with its new terms."""
    order = order_of(broker, order_id)
    if order is None:
        return
    if order.venue_state == CHANGING and order.remaining > 0:
        apply_change(broker, order)
        order.venue_state = HELD_HERE
        return
    end_order(broker, order, kind, reason)
    clean_up(broker, order.symbol)


def part_filled(broker, order_id):
    """What was sent of an order is filled, and there is more of it than the venue takes at once: the next
    part is due."""
    order = order_of(broker, order_id)
    if order is None or order.remaining <= 0:
        return
    if order.cancel_at != NEVER:
        end_order(broker, order, E_CANCEL, R_STRATEGY)
        clean_up(broker, order.symbol)
        return
    if order.modify_at != NEVER:
        apply_change(broker, order)
    order.venue_state = HELD_HERE


def cancel_failed(broker, order_id):
    """A cancel did not succeed and the order is still there: it may be asked again."""
    order = order_of(broker, order_id)
    if order is not None and order.venue_state > SENT:
        order.venue_state = SENT
        order.cancel_at = NEVER
        order.modify_at = NEVER


def received_fee(broker, symbol, lots):
    """The venue kept ``lots`` of what was bought as its fee: the holding is smaller, its cost stays."""
    market = broker.markets[symbol]
    market.lots -= lots
    market.qty = quantity(market, market.lots)


def charge_fee(broker, fee):
    """A fee of ``fee`` quanta that became known after its fill."""
    broker.cash_quanta -= fee
    broker.cash = broker.cash_quanta / broker.scale
    broker.fee_quanta += fee
    broker.equity = mark_to_market(broker)


def clean_up(broker, symbol):
    """Free what has ended, and look at the fences again."""
    remove_ended(broker)
    update_wake_prices(broker, symbol)


def deliver_fills(broker, strategy):
    """Let the strategy know its fills."""
    while broker.delivered < broker.n_events:
        event = broker.events[broker.delivered]
        broker.delivered += 1
        if event.kind == E_FILL:
            strategy.on_fill(event, broker)
