"""LIVE: orders that a venue fills. What is to be sent, and what the venue's answers do to the account.

The account, the brackets and the risk rules are those of SIM; only the matching is the venue's. Stops,
trailing stops and the exits of brackets are held here until they trigger: a venue sees market and limit
orders alone. Interpreted only.
"""

from __future__ import annotations

from sigma_bot.engine.account import book
from sigma_bot.engine.matching import compact, fence, finish, follow
from sigma_bot.engine.orders import change
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

# what ``Order.sent`` says: held here; at the venue; a cancel is on its way; a cancel that makes room for a
# change
HELD_HERE, SENT, LEAVING, CHANGING = 0, 1, 2, 3
SEND, CANCEL = 1, 2


def due(b):
    """What must go to the venue now: (SEND or CANCEL, order). Marks each as under way."""
    out = []
    settle_unsent(b)
    for j in range(b.n_active):
        o = b.orders[b.active[j]]
        if o.state == DONE or o.state == HELD:
            continue
        if o.sent == SENT and (o.cancel_at != NEVER or o.modify_at != NEVER):
            o.sent = LEAVING if o.cancel_at != NEVER else CHANGING
            out.append((CANCEL, o))
        elif o.sent == HELD_HERE and o.kind <= LIMIT and o.left > 0 and alone(b, o) and covered(b, o):
            o.state = WORKING
            o.sent = SENT
            o.leg += 1
            out.append((SEND, o))
    compact(b)
    return out


def covered(b, o):
    """Whether a sell can go now. It waits for one that is leaving and binds the holding until then; and it
    sells no more than is held, which a fee in units may have made less than was bought."""
    if o.side > 0 or b.leveraged != 0:
        return True
    held = max(b.markets[o.symbol].lots, 0)
    bound, leaving = 0, False
    for j in range(b.n_active):
        q = b.orders[b.active[j]]
        if q.id != o.id and q.symbol == o.symbol and q.side < 0 and q.sent != HELD_HERE and q.state != DONE:
            bound += q.left
            leaving = leaving or q.cancel_at != NEVER or q.modify_at != NEVER
    if o.left > held - bound and leaving:
        return False
    o.left = min(o.left, held)
    if o.left == 0:
        finish(b, o, E_CANCEL, R_REDUCE_ONLY if o.reduce_only != 0 else R_FUNDS)
    return o.left > 0


def hold(o):
    """It was due and did not go: it is due again at the next step."""
    o.sent = HELD_HERE
    o.leg -= 1


def settle_unsent(b):
    """Cancels and changes of orders that never left take effect at once."""
    for j in range(b.n_active):
        o = b.orders[b.active[j]]
        if o.state == DONE or o.sent != HELD_HERE:
            continue
        if o.cancel_at != NEVER:
            finish(b, o, E_CANCEL, R_STRATEGY)
        elif o.modify_at != NEVER:
            change(b, o)
    compact(b)


def alone(b, o):
    """Whether no other order of its group is at the venue, where it would bind the same holding. One that is
    there is asked to go first."""
    free = True
    if o.group > 0 and o.parent > 0:
        for j in range(b.n_active):
            q = b.orders[b.active[j]]
            if q.id == o.id or q.group != o.group or q.state == DONE or q.sent == HELD_HERE or q.parent == 0:
                continue
            free = False
            if q.cancel_at == NEVER:
                q.cancel_at = b.ts
    return free


def order_of(b, oid):
    """The open order, or None."""
    for j in range(b.n_active):
        o = b.orders[b.active[j]]
        if o.id == oid and o.state != DONE and o.state != FREE:
            return o
    return None


def filled(b, oid, symbol, side, lots, price, maker, ts, fee):
    """The venue filled ``lots`` of an order at ``price`` for ``fee`` quanta. An order that has ended here is
    booked all the same: it is the account's."""
    o = order_of(b, oid)
    known = o is not None
    if o is None:
        o = b.scratch
        o.id = oid
        o.symbol = symbol
        o.side = side
        o.left = lots
        o.filled = 0
        o.parent = 0
        o.group = 0
    s = b.markets[symbol]
    book(b, o, lots, price, maker, ts, notional_of(s, lots, price), fee)
    if known:
        follow(b, o, lots)
        if o.left <= 0:
            o.state = DONE
    tidy(b, symbol)


def ended(b, oid, kind, reason):
    """The venue holds the order no longer. One that was to change goes out again with its new terms."""
    o = order_of(b, oid)
    if o is None:
        return
    if o.sent == CHANGING and o.left > 0:
        change(b, o)
        o.sent = HELD_HERE
        return
    finish(b, o, kind, reason)
    tidy(b, o.symbol)


def kept(b, oid):
    """A cancel did not succeed and the order is still there: it may be asked again."""
    o = order_of(b, oid)
    if o is not None and o.sent > SENT:
        o.sent = SENT
        o.cancel_at = NEVER
        o.modify_at = NEVER


def received_fee(b, symbol, lots):
    """The venue kept ``lots`` of what was bought as its fee: the holding is smaller, its cost stays."""
    s = b.markets[symbol]
    s.lots -= lots
    s.qty = quantity(s, s.lots)


def tidy(b, symbol):
    """Free what has ended, and look at the fences again."""
    compact(b)
    fence(b, symbol)


def tell(b, strategy):
    """Let the strategy know its fills."""
    while b.seen < b.n_events:
        e = b.events[b.seen]
        b.seen += 1
        if e.kind == E_FILL:
            strategy.on_fill(e, b)
