"""Orders that the bot holds in LIVE, so that no row of the journal tells of them: stops that wait for their
price, exits that wait for their entry. Read from the engine, or from a checkpoint. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from sigma_bot.engine.broker import Broker
from sigma_bot.engine.external import HELD_HERE
from sigma_bot.engine.types import DONE, HELD, Order, OrderType
from sigma_bot.model.conversion import optional_price, side_of
from sigma_bot.model.units import quantity_of


@dataclass(frozen=True, slots=True)
class HeldOrder:
    """One such order. ``state``: held, or waiting for its entry. ``quantity`` is what it would send."""

    order_id: int
    created: int
    symbol: str
    side: str
    order_type: str
    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    state: str

    def __str__(self) -> str:
        prices = [f"{price:f}" for price in (self.stop_price, self.limit_price) if price is not None]
        what = f"{self.order_type} {self.side} {self.quantity:f} {self.symbol}"
        return f"{what} at {'/'.join(prices) or 'market'}"


def held_orders(broker: Broker, symbols: tuple[str, ...]) -> list[HeldOrder]:
    """Those of a LIVE bot, the oldest first."""
    return [_held(broker, o, symbols[o.symbol]) for o in _active(broker) if o.venue_state == HELD_HERE]


def _active(broker: Broker) -> Iterator[Order]:
    for slot in sorted(broker.active[: broker.n_active], key=lambda slot: broker.orders[slot].id):
        if broker.orders[slot].state != DONE:
            yield broker.orders[slot]


def _held(broker: Broker, o: Order, symbol: str) -> HeldOrder:
    waits = o.state == HELD
    return HeldOrder(
        order_id=int(o.id),
        created=int(o.ts),
        symbol=symbol,
        side=side_of(o.side),
        order_type=OrderType(o.order_type).text,
        quantity=quantity_of(broker.markets[o.symbol], int(o.lots if waits else o.remaining)),
        limit_price=optional_price(broker, o.symbol, o.limit),
        stop_price=optional_price(broker, o.symbol, o.stop),
        state="waits for its entry" if waits else "held by the bot",
    )


def asleep(broker: Broker, symbols: tuple[str, ...]) -> str:
    """What does nothing while the bot is down, in words; "" when nothing does."""
    sleeping = [str(order) for order in held_orders(broker, symbols) if order.state == "held by the bot"]
    positions = []
    for k, symbol in enumerate(symbols):
        if broker.markets[k].lots:
            positions.append(f"{quantity_of(broker.markets[k], broker.markets[k].lots):f} {symbol}")
    if not sleeping:
        return ""
    held = f"; {', '.join(positions)} is held without them" if positions else ""
    return f"asleep until the bot runs again: {'; '.join(sleeping)}{held}"
