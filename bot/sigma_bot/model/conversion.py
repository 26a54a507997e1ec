"""What a run is called, and how its engine's numbers read in the journal."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sigma_bot.engine.broker import Broker
from sigma_bot.engine.types import NEVER, Event, Order, OrderType, Reason, TimeInForce
from sigma_bot.model import ids
from sigma_bot.model.orders import NoticeRow, OrderRow, State
from sigma_bot.model.units import price_of, quantity_of
from sigma_bot.times import MILLISECOND


@dataclass(frozen=True)
class RunContext:
    """One run of a bot: from a fresh account until it is reset. ``started`` (ns) tells its ids from those of
    another journal that knew a bot of this name."""

    bot: str
    number: int
    started: int
    symbols: tuple[str, ...]
    currency: str
    precision: int

    @property
    def tag(self) -> str:
        """Eight hex digits that stand for the bot."""
        return ids.tag_of(self.bot)

    def client_id(self, order_id: int, attempt: int) -> str:
        """The id of an order at the venue."""
        return ids.make(self.tag, self.started // MILLISECOND, order_id, attempt)


def side_of(side: int) -> str:
    """buy or sell."""
    return "buy" if side > 0 else "sell"


def optional_price(broker: Broker, symbol: int, price: float) -> Decimal | None:
    """A price that may be left out (0)."""
    return price_of(broker.markets[symbol], price) if price > 0.0 else None


def row_of_event(run: RunContext, broker: Broker, e: Event, tick: int) -> OrderRow:
    """A new order of the simulator."""
    return OrderRow(
        client_id=run.client_id(e.id, 0),
        order_id=e.id,
        attempt=0,
        symbol=run.symbols[e.symbol],
        side=side_of(e.side),
        order_type=OrderType(e.order_type).text,
        tif=TimeInForce(e.tif).text,
        quantity=quantity_of(broker.markets[e.symbol], e.lots),
        limit_price=optional_price(broker, e.symbol, e.price),
        stop_price=optional_price(broker, e.symbol, e.stop),
        post_only=False,
        reduce_only=False,
        state=State.OPEN,
        created=e.ts,
        updated=e.ts,
        tick=tick,
    )


def row_of_order(
    run: RunContext, broker: Broker, o: Order, lots: int, tick: int, now: int, token: int
) -> OrderRow:
    """An order on its way to the venue: ``lots`` of what is left of it, as a market or limit order."""
    return OrderRow(
        client_id=run.client_id(o.id, o.attempt),
        order_id=o.id,
        attempt=o.attempt,
        symbol=run.symbols[o.symbol],
        side=side_of(o.side),
        order_type=OrderType(o.order_type).text,
        tif=TimeInForce(o.tif).text if o.expire == NEVER else "gtc",
        quantity=quantity_of(broker.markets[o.symbol], lots),
        limit_price=optional_price(broker, o.symbol, o.limit),
        stop_price=None,
        post_only=o.post_only != 0,
        reduce_only=o.reduce_only != 0,
        state=State.INTENT,
        created=now,
        updated=now,
        token=token,
        tick=tick,
    )


def rejection_of(run: RunContext, e: Event) -> NoticeRow:
    """An order that risk, the rules or the account refused."""
    symbol = run.symbols[e.symbol]
    text = f"{side_of(e.side)} {e.quantity:.8f} {symbol}: {Reason(e.reason).text}"
    return NoticeRow("rejection", Reason(e.reason).text, text, e.ts, e.id, symbol)
