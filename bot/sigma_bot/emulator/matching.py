"""Who trades with whom: pure functions over a displayed book, a tape and our customers' resting orders.

Our customers' orders are not displayed and do not meet each other; the market they trade against is the
recording. What the recording can't tell is decided against the customer: displayed size at an order's price
stood there first, and a trade at that price fills what was ahead before it fills the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_DOWN, Decimal

from sigma_bot.emulator.model import ZERO, Order, Side

Piece = tuple[Decimal, Decimal]  # price, quantity


def acceptable(side: Side, limit: Decimal | None, price: Decimal) -> bool:
    """Whether an order of ``side`` with this limit may trade at a price."""
    return limit is None or (price <= limit if side == "buy" else price >= limit)


def sweep(
    levels: Iterable[Piece],
    side: Side,
    limit: Decimal | None,
    quantity: Decimal | None = None,
    funds: Decimal | None = None,
    lot: Decimal = ZERO,
) -> list[Piece]:
    """What a taking order gets from the other side's ``levels`` (best first): by quantity, or by money in
    whole lots."""
    pieces: list[Piece] = []
    for price, size in levels:
        if not acceptable(side, limit, price):
            break
        if quantity is not None:
            take = min(size, quantity)
            quantity -= take
        elif funds is not None:
            take = min(size, (funds / price / lot).to_integral_value(ROUND_DOWN) * lot)
            funds -= take * price
        else:
            raise ValueError("a sweep needs a quantity or funds")
        if take <= 0:
            break
        pieces.append((price, take))
    return pieces


def in_turn(orders: Iterable[Order], side: Side) -> list[Order]:
    """Resting orders of a side in the order they are served: best price, then time."""
    mine = [o for o in orders if o.ticket.side == side]
    return sorted(mine, key=lambda o: (_rank(o), o.number))


def _rank(order: Order) -> Decimal:
    limit = order.ticket.limit or ZERO
    return -limit if order.ticket.side == "buy" else limit


def crossed(orders: Sequence[Order], levels: Iterable[Piece]) -> list[tuple[Order, list[Piece]]]:
    """The book has moved onto or through resting orders of one side (``orders`` in turn): each fills at its
    own price, by what is displayed there. Gives each order the pieces of ``levels`` it takes."""
    left = [list(level) for level in levels]
    found: list[tuple[Order, list[Piece]]] = []
    for order in orders:
        wanted = order.remaining
        pieces: list[Piece] = []
        for level in left:
            if not acceptable(order.ticket.side, order.ticket.limit, level[0]) or not wanted:
                break
            take = min(level[1], wanted)
            if take:
                pieces.append((level[0], take))
            level[1] -= take
            wanted -= take
        if not pieces:
            break
        found.append((order, pieces))
    return found


def hit(orders: Sequence[Order], price: Decimal, size: Decimal) -> list[tuple[Order, Decimal]]:
    """A trade of ``size`` at ``price`` against resting orders of one side (``orders`` in turn). Orders with a
    better price fill first; at the price itself what stood ahead is used up first (``ahead`` is lowered)."""
    found: list[tuple[Order, Decimal]] = []
    left = size
    for order in orders:
        limit = order.ticket.limit
        if left <= 0 or limit is None or not acceptable(order.ticket.side, limit, price):
            break
        can = left
        if limit == price:
            passed = min(order.ahead, left)
            order.ahead -= passed
            can = left - passed
        take = min(order.remaining, can)
        if take > 0:
            found.append((order, take))
            left -= take
    return found


def shrink_queues(orders: Iterable[Order], displayed: dict[Decimal, Decimal]) -> None:
    """No more can stand ahead of an order than is displayed at its price."""
    for order in orders:
        limit = order.ticket.limit
        if limit is not None and order.ahead:
            order.ahead = min(order.ahead, displayed.get(limit, ZERO))
