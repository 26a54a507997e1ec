"""Positions that lose an exit: found from the engine's events, in SIM and in LIVE. Pure.

An exit is a stop, a stop-limit, a trailing stop, or an exit of a bracket. It is lost when it is refused, or
ends without anybody on our side having asked for it, while the position that it was to close is there and no
other of its kind covers it. What follows is the manifest's ``onUnprotected``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sigma_bot.engine.broker import Broker
from sigma_bot.engine.types import (
    DONE,
    E_CANCEL,
    E_EXPIRE,
    E_REJECT,
    NEVER,
    R_LIQUIDATION,
    R_OCO,
    R_PARENT,
    R_STRATEGY,
    Event,
    Order,
    Reason,
)
from sigma_bot.model.conversion import RunContext, side_of
from sigma_bot.model.orders import NoticeRow
from sigma_bot.model.units import price_of, quantity_of

UNPROTECTED = "unprotected"
"""A position has lost its exit."""
_ASKED_FOR = frozenset((R_STRATEGY, R_OCO, R_PARENT, R_LIQUIDATION))
ENDED_ELSEWHERE = "ended at the venue, and nobody here asked for it"


def is_exit(order: Order | Event) -> bool:
    """Whether it is meant to close a position: a stop, triggered or not, or an exit of a bracket."""
    return order.parent > 0 or order.stop > 0.0


def lost_exits(
    broker: Broker, run: RunContext, events: Iterable[Event], unasked: Collection[int]
) -> list[NoticeRow]:
    """An alert for each exit that these events took from a position. ``unasked`` are orders that ended at the
    venue although neither strategy nor bot had asked for it."""
    found = []
    for e in events:
        refused = e.kind == E_REJECT or (e.kind == E_CANCEL and e.reason not in _ASKED_FOR)
        ended = e.kind in (E_CANCEL, E_EXPIRE) and e.id in unasked
        if is_exit(e) and (refused or ended) and uncovered_lots(broker, e) > 0:
            found.append(_alert(broker, run, e, ENDED_ELSEWHERE if ended else Reason(e.reason).text))
    return found


def uncovered_lots(broker: Broker, e: Event) -> int:
    """Lots of the position that no exit of this one's kind (stop or take-profit) closes any more."""
    held = -broker.markets[e.symbol].lots * e.side
    for slot in broker.active[: broker.n_active]:
        o = broker.orders[slot]
        if (
            o.symbol == e.symbol
            and o.side == e.side
            and o.state != DONE
            and o.cancel_at == NEVER
            and is_exit(o)
            and (o.stop > 0.0) == (e.stop > 0.0)
        ):
            held -= o.remaining
    return max(int(held), 0)


def _alert(broker: Broker, run: RunContext, e: Event, why: str) -> NoticeRow:
    market, symbol = broker.markets[e.symbol], run.symbols[e.symbol]
    price = e.stop if e.stop > 0.0 else e.price
    what = "stop" if e.stop > 0.0 else "take-profit"
    at = f" at {price_of(market, price):f}" if price > 0.0 else ""
    held = quantity_of(market, market.lots)
    text = (
        f"{held:f} {symbol} is held without its {what}: "
        f"{side_of(e.side)} {quantity_of(market, e.lots):f}{at}, {why}"
    )
    return NoticeRow("alert", UNPROTECTED, text, broker.ts, e.id, symbol)
