"""The answers and events of Upbit, and of Bithumb, which speaks nearly the same. Pure: JSON values in,
records out; what is odd raises MalformedError.

Sources: docs.upbit.com/kr/reference (get-order, list-open-orders, available-order-information,
websocket-myorder); apidocs.bithumb.com/reference (the pages on single orders and on the private stream v2).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, cast

from sigma_bot.venues.fields import Fields, MalformedError, wire
from sigma_bot.venues.korean.bands import Bands, market_buy_limit
from sigma_bot.venues.types import Balance, NewOrder, StreamBreak, VenueFill, VenueOrder

Status = Literal["open", "filled", "cancelled", "expired", "refused"]
STATE: dict[str, str] = {"wait": "open", "watch": "open", "done": "filled", "cancel": "cancelled"}
# `trade` tells of a fill, `prevented` of a self-trade that was not made: the order itself lives on.
STREAM_STATE = STATE | {"trade": "open", "prevented": "open"}
SIDE = {"bid": "buy", "ask": "sell", "BID": "buy", "ASK": "sell", "buy": "buy", "sell": "sell"}
AT_ONCE = ("ioc", "fok")


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where the two differ: names of fields."""

    venue: str
    identifier: str  # our id, in requests and answers
    new_type: str  # kind of order, in a new order
    cancel_id: str  # the venue's id, in a cancel


def new_order(dialect: Dialect, order: NewOrder, bands: Bands) -> dict[str, object]:
    """The parameters of a new order. A market buy goes as a limit order that must fill at once; only it needs
    the price steps."""
    side = "bid" if order.side == "buy" else "ask"
    params: dict[str, object] = {"market": order.symbol, "side": side, "volume": wire(order.quantity)}
    limit, tif = order.limit, order.tif
    if limit is None and order.side == "buy":
        limit, tif = market_buy_limit(bands, order.reference), "ioc"
    if limit is None:
        params[dialect.new_type] = "market"
    else:
        params |= {dialect.new_type: "limit", "price": wire(limit)}
        if order.post_only:
            params["time_in_force"] = "post_only"
        elif tif in AT_ONCE:
            params["time_in_force"] = tif
    return params | {dialect.identifier: order.client_id}


def order(dialect: Dialect, answer: Fields, client_id: str = "") -> VenueOrder:
    """An order of GET /v1/order, of a list, or of Upbit's POST /v1/orders."""
    return _checked(
        VenueOrder(
            client_id=answer.text(dialect.identifier, "") or client_id,
            venue_id=answer.text("uuid"),
            symbol=answer.text("market"),
            side=answer.one_of("side", SIDE),
            status=_status(answer, STATE),
            # A market buy by money (foreign: we send none) has no volume.
            quantity=answer.number("volume", "0"),
            filled=answer.number("executed_volume", "0"),
            limit=answer.number("price", "0") or None,
            ts=answer.iso("created_at"),
            reason=answer.text("cancel_type", ""),
        )
    )


def _status(answer: Fields, states: dict[str, str]) -> Status:
    """An order that had to fill at once, and did not or not wholly, was ended by the venue."""
    status = answer.one_of("state", states)
    if status == "cancelled" and answer.text("time_in_force", "") in AT_ONCE:
        status = "expired"
    return cast(Status, status)


def _checked(found: VenueOrder) -> VenueOrder:
    if not found.venue_id:
        raise MalformedError("order without an id")
    if found.filled > found.quantity > 0:
        raise MalformedError(f"order {found.venue_id}: {found.filled} filled of {found.quantity}")
    return found


def same(found: VenueOrder, client_id: str, symbol: str, venue_id: str | None = None) -> None:
    """MalformedError when the answer is about another order than was asked for."""
    if found.symbol != symbol or found.client_id != client_id or venue_id not in (None, "", found.venue_id):
        raise MalformedError(f"an answer about {found.symbol} {found.client_id} {found.venue_id}")


def placed(dialect: Dialect, answer: Fields, sent: NewOrder, limit: Decimal | None) -> VenueOrder:
    """The answer to a new order. Bithumb's is an id, and no word on what became of it."""
    if "uuid" in answer:
        found = order(dialect, answer, sent.client_id)
    else:
        found = _checked(
            VenueOrder(
                client_id=answer.text(dialect.identifier, sent.client_id),
                venue_id=answer.text("order_id"),
                symbol=answer.text("market"),
                side=answer.one_of("side", SIDE),
                status="open",
                quantity=sent.quantity,
                filled=Decimal(0),
                limit=limit,
                ts=answer.iso("created_at"),
            )
        )
    same(found, sent.client_id, sent.symbol)
    if found.side != sent.side:
        raise MalformedError(f"a {found.side} order for a {sent.side} order")
    return found


def fills(answer: Fields, found: VenueOrder) -> list[VenueFill]:
    """The executions in GET /v1/order. The order tells the fee of all of them together, each is given its
    share by value: the rate is one, so a share does not change when more fills follow."""
    trades = list(answer.items("trades")) if "trades" in answer else []
    if sum((item.number("volume") for item in trades), Decimal(0)) != found.filled:
        raise MalformedError(f"order {found.venue_id}: its trades are not the {found.filled} it has filled")
    worth = [item.positive("price") * item.positive("volume") for item in trades]
    fees = _shares(answer.number("paid_fee", "0"), worth)
    quote = found.symbol.partition("-")[0]
    return [
        VenueFill(
            trade_id=item.text("uuid"),
            client_id=found.client_id,
            venue_id=found.venue_id,
            symbol=found.symbol,
            side=found.side,
            price=item.positive("price"),
            quantity=item.positive("volume"),
            fee=fee,
            fee_currency=quote,
            # REST does not tell; both sides pay the same at these venues.
            maker=item.flag("is_maker", False),
            ts=item.iso("created_at"),
        )
        for item, fee in zip(trades, fees, strict=True)
    ]


_FINE = Decimal("1e-12")


def _shares(fee: Decimal, worth: list[Decimal]) -> list[Decimal]:
    """``fee`` by value; what rounding leaves goes to the last, so the sum is exact."""
    total = sum(worth, Decimal(0))
    if not total:
        return []
    shares = [(fee * part / total).quantize(_FINE).normalize() for part in worth[:-1]]
    return [*shares, fee - sum(shares, Decimal(0))]


def report(dialect: Dialect, event: Fields) -> list[VenueOrder | VenueFill | StreamBreak]:
    """What a myOrder event says: the fill first, then the order. In state ``trade`` Upbit's price and volume
    are those of the fill, so the order's are taken from the sums."""
    told: list[VenueOrder | VenueFill | StreamBreak] = []
    trade = event.text("state") == "trade"
    venue_id, client_id = _first(event, "uuid", "order_id"), event.text(dialect.identifier, "")
    symbol, side = event.text("code"), event.one_of(_named(event, "ask_bid", "side"), SIDE)
    filled = event.number("executed_volume", "0")
    remaining = event.number("remaining_volume", "0")
    quantity = filled + remaining if trade else event.number(_named(event, "volume", "order_quantity"), "0")
    status = _status(event, STREAM_STATE)
    if trade and not remaining and filled:
        status = "filled"
    if trade:
        told.append(_fill(event, venue_id, client_id, symbol, side))
    told.append(
        _checked(
            VenueOrder(
                client_id=client_id,
                venue_id=venue_id,
                symbol=symbol,
                side=side,
                status=status,
                quantity=quantity,
                filled=filled,
                limit=None if trade else event.number(_named(event, "price", "order_price"), "0") or None,
                ts=event.ms(_named(event, "timestamp", "order_timestamp")),
                reason=event.text("cancel_type", ""),
            )
        )
    )
    return told


def _fill(event: Fields, venue_id: str, client_id: str, symbol: str, side: str) -> VenueFill | StreamBreak:
    """The execution of a ``trade`` event. Its own fee is needed: ``paid_fee`` is that of the whole order."""
    trade_id = event.text(_named(event, "trade_uuid", "trade_id"), "")
    if "trade_fee" not in event or not trade_id:
        return StreamBreak(f"order {venue_id}: a fill was told without its fee or id")
    return VenueFill(
        trade_id=trade_id,
        client_id=client_id,
        venue_id=venue_id,
        symbol=symbol,
        side=side,
        price=event.positive(_named(event, "trade_price", "price")),
        quantity=event.positive(_named(event, "trade_quantity", "trade_volume", "volume")),
        fee=event.number("trade_fee"),
        fee_currency=symbol.partition("-")[0],
        maker=event.flag("is_maker", False),
        ts=event.ms(_named(event, "trade_timestamp", "timestamp")),
    )


def _named(event: Fields, *names: str) -> str:
    """The first of several names of a field that is there, else the first."""
    return next((name for name in names if name in event), names[0])


def _first(event: Fields, *names: str) -> str:
    return event.text(_named(event, *names))


def balance(item: Fields) -> Balance:
    """A row of GET /v1/accounts."""
    return Balance(item.text("currency"), item.number("balance"), item.number("locked"))


@dataclass(frozen=True, slots=True)
class Chance:
    """What GET /v1/orders/chance says of a market."""

    base: str
    quote: str
    minimum: Decimal | None
    maximum: Decimal  # most quote money in one order, 0 when it is not told
    active: bool
    maker_fee: Decimal
    taker_fee: Decimal


def chance(answer: Fields, symbol: str) -> Chance:
    """The rules of ``symbol``: the stricter of both sides."""
    market = answer.object("market")
    if market.text("id") != symbol:
        raise MalformedError(f"orders/chance of {market.text('id')} instead of {symbol}")
    quote, _, base = symbol.partition("-")
    sides = [market.object(side) for side in ("bid", "ask") if side in market]
    totals = [side.number("min_total") for side in sides if "min_total" in side]
    takers = {name: answer.number(name) for name in ("bid_fee", "ask_fee")}
    return Chance(
        base=base,
        quote=quote,
        minimum=max(totals, default=None),
        maximum=market.number("max_total", "0"),
        active=market.text("state", "active") == "active",
        maker_fee=max(answer.number(f"maker_{name}", str(taker)) for name, taker in takers.items()),
        taker_fee=max(takers.values()),
    )
