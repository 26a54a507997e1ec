"""Binance spot's answers and events as ours. Pure: JSON values in, records out; what is odd raises
MalformedError.

Source: binance/binance-spot-api-docs, rest-api.md and user-data-stream.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal, cast

from sigma_bot.venues.errors import from_answer
from sigma_bot.venues.fields import Fields, MalformedError, rows
from sigma_bot.venues.types import (
    Balance,
    OrderSizes,
    PriceLimits,
    StreamBreak,
    UnknownError,
    VenueFill,
    VenueMarket,
    VenueOrder,
)

Status = Literal["open", "filled", "cancelled", "expired", "refused"]
STATUS: dict[str, str] = {
    "NEW": "open",
    "PENDING_NEW": "open",
    "PARTIALLY_FILLED": "open",
    "PENDING_CANCEL": "open",
    "FILLED": "filled",
    "CANCELED": "cancelled",
    "REJECTED": "refused",
    "EXPIRED": "expired",
    "EXPIRED_IN_MATCH": "expired",
}
SIDE = {"BUY": "buy", "SELL": "sell"}


def order(answer: Fields, client_id: str = "") -> VenueOrder:
    """An order of GET or POST /api/v3/order or openOrders. ``client_id``: whom we asked for, should the venue
    show the id of a cancel instead."""
    return _checked(
        VenueOrder(
            client_id=client_id or answer.text("clientOrderId"),
            venue_id=answer.text("orderId"),
            symbol=answer.text("symbol"),
            side=answer.one_of("side", SIDE),
            status=cast(Status, answer.one_of("status", STATUS)),
            quantity=answer.number("origQty"),
            filled=answer.number("executedQty"),
            limit=answer.number("price") or None,
            ts=answer.ms(next((n for n in ("updateTime", "transactTime") if n in answer), "time")),
        )
    )


def _checked(found: VenueOrder) -> VenueOrder:
    if not found.venue_id:
        raise MalformedError("order without an id")
    if found.filled > found.quantity > 0:
        raise MalformedError(f"order {found.venue_id}: {found.filled} filled of {found.quantity}")
    if found.status == "filled" and found.filled == 0:
        raise MalformedError(f"order {found.venue_id}: filled, and nothing executed")
    return found


def same(found: VenueOrder, client_id: str, symbol: str, venue_id: str | None = None) -> None:
    """MalformedError when the answer is about another order than was asked for."""
    if found.symbol != symbol or found.client_id != client_id or venue_id not in (None, "", found.venue_id):
        raise MalformedError(f"an answer about {found.symbol} {found.client_id} {found.venue_id}")


def fills_of_new(answer: Fields, placed: VenueOrder) -> list[VenueFill]:
    """The executions in the FULL answer to a new order: taken at once, so never as maker."""
    if "fills" not in answer:
        return []
    return [
        VenueFill(
            trade_id=_trade_id(item, "tradeId"),
            client_id=placed.client_id,
            venue_id=placed.venue_id,
            symbol=placed.symbol,
            side=placed.side,
            price=item.positive("price"),
            quantity=item.positive("qty"),
            fee=item.number("commission"),
            fee_currency=item.text("commissionAsset"),
            maker=False,
            ts=answer.ms("transactTime"),
        )
        for item in answer.items("fills")
    ]


def trade(item: Fields, found: VenueOrder) -> VenueFill:
    """A row of GET /api/v3/myTrades."""
    if item.text("orderId") != found.venue_id or item.text("symbol") != found.symbol:
        raise MalformedError(f"trade {item.text('id')} belongs to another order than {found.venue_id}")
    return VenueFill(
        trade_id=_trade_id(item, "id"),
        client_id=found.client_id,
        venue_id=found.venue_id,
        symbol=found.symbol,
        side="buy" if item.flag("isBuyer") else "sell",
        price=item.positive("price"),
        quantity=item.positive("qty"),
        fee=item.number("commission"),
        fee_currency=item.text("commissionAsset"),
        maker=item.flag("isMaker"),
        ts=item.ms("time"),
    )


def report(event: Fields) -> list[VenueOrder | VenueFill]:
    """What an executionReport says: the fill first, then the order. `C` is the order's own id when `c` is
    that of a cancel."""
    execution = event.text("x")
    original = event.text("C", "")
    client_id = event.text("c", "") if original in ("", "null") else original
    told: list[VenueOrder | VenueFill] = []
    found = _checked(
        VenueOrder(
            client_id=client_id,
            venue_id=event.text("i"),
            symbol=event.text("s"),
            side=event.one_of("S", SIDE),
            status=cast(Status, event.one_of("X", STATUS)),
            quantity=event.number("q"),
            filled=event.number("z"),
            limit=event.number("p") or None,
            ts=event.ms("T"),
            reason="" if event.text("r", "NONE") == "NONE" else event.text("r"),
        )
    )
    if execution == "TRADE" and event.number("l") > 0:
        told.append(
            VenueFill(
                trade_id=_trade_id(event, "t"),
                client_id=client_id,
                venue_id=found.venue_id,
                symbol=found.symbol,
                side=found.side,
                price=event.positive("L"),
                quantity=event.positive("l"),
                fee=event.number("n"),
                # Without a fee the venue names no currency.
                fee_currency=event.text("N", "") if event.number("n") == 0 else event.text("N"),
                maker=event.flag("m"),
                ts=found.ts,
            )
        )
    told.append(found)
    return told


def _trade_id(item: Fields, name: str) -> str:
    trade_id = item.text(name)
    if not trade_id.isdecimal():
        raise MalformedError(f"execution without a trade id: {trade_id!r}")
    return trade_id


def balances(answer: Fields) -> dict[str, Balance]:
    """What GET /api/v3/account holds, without the currencies of which there is nothing."""
    held = (
        Balance(item.text("asset"), item.number("free"), item.number("locked"))
        for item in answer.items("balances")
    )
    return {b.currency: b for b in held if b.free or b.locked}


def market(answer: Fields, symbol: str, fees: tuple[Decimal, Decimal]) -> VenueMarket:
    """The rules of ``symbol`` in GET /api/v3/exchangeInfo. A filter's 0 means that it asks nothing."""
    item = next((row for row in answer.items("symbols") if row.text("symbol") == symbol), None)
    if item is None:
        raise MalformedError(f"exchangeInfo without {symbol}")
    filters = {row.text("filterType"): row for row in rows(item.raw("filters"), "filters")}
    lot, at_market = _filter(filters, "LOT_SIZE"), _filter(filters, "MARKET_LOT_SIZE")
    notional = _filter(filters, "NOTIONAL", "MIN_NOTIONAL")
    tick = _filter(filters, "PRICE_FILTER").number("tickSize", "0")
    precision = Decimal(1).scaleb(-int(item.number("baseAssetPrecision", "8")))
    return VenueMarket(
        symbol=symbol,
        base=item.text("baseAsset"),
        quote=item.text("quoteAsset"),
        bands=((Decimal(0), tick.normalize()),) if tick else (),
        # the coarser of both steps, and the greater of both minimums: what is bought can be sold at market
        lot_size=max(lot.number("stepSize", "0"), at_market.number("stepSize", "0")).normalize() or precision,
        min_quantity=max(lot.number("minQty", "0"), at_market.number("minQty", "0")).normalize(),
        min_notional=notional.number("minNotional", "0").normalize(),
        active=item.text("status") == "TRADING" and item.flag("isSpotTradingAllowed", True),
        maker_fee=fees[0],
        taker_fee=fees[1],
        sizes=_sizes(lot, at_market, notional),
        prices=_prices(filters),
        max_position=_filter(filters, "MAX_POSITION").number("maxPosition", "0"),
    )


def _filter(filters: Mapping[str, Fields], *names: str) -> Fields:
    """The first of these filters that a symbol has; an empty one asks nothing."""
    return next((filters[name] for name in names if name in filters), Fields({}, names[0]))


def _sizes(lot: Fields, at_market: Fields, notional: Fields) -> OrderSizes:
    """LOT_SIZE holds for every order, MARKET_LOT_SIZE and its bound besides for those at market."""
    most = notional.number("maxNotional", "0")
    return OrderSizes(
        quantity=lot.number("maxQty", "0"),
        market_quantity=at_market.number("maxQty", "0"),
        notional=most,
        market_notional=most if notional.flag("applyMaxToMarket", False) else Decimal(0),
    )


def _prices(filters: Mapping[str, Fields]) -> PriceLimits:
    """PRICE_FILTER, and PERCENT_PRICE, which is the same for both sides, or PERCENT_PRICE_BY_SIDE."""
    fixed, both = _filter(filters, "PRICE_FILTER"), _filter(filters, "PERCENT_PRICE")
    by_side = _filter(filters, "PERCENT_PRICE_BY_SIDE")

    def parts(side: str) -> tuple[Decimal, Decimal]:
        low, high = (both.number(f"multiplier{way}", "0") for way in ("Down", "Up"))
        return (
            by_side.number(f"{side}MultiplierDown", str(low)),
            by_side.number(f"{side}MultiplierUp", str(high)),
        )

    return PriceLimits(
        fixed.number("minPrice", "0"), fixed.number("maxPrice", "0"), parts("bid"), parts("ask")
    )


def commission(answer: Fields) -> tuple[Decimal, Decimal] | None:
    """Maker's and taker's fee of GET /api/v3/account, None when it does not say."""
    if "commissionRates" not in answer:
        return None
    rates = answer.object("commissionRates")
    return rates.number("maker"), rates.number("taker")


def subscribed(message: object) -> bool:
    """Whether the WebSocket API has taken the subscription. Raises VenueError when it says no."""
    answer = Fields(message, "answer")
    if "id" not in answer:
        return False
    status = int(answer.number("status"))
    if status != 200:
        said = answer.object("error")
        raise from_answer("binance", status, str(said.raw("code"))[:20], said.text("msg", ""))
    return True


def event(message: object) -> list[VenueOrder | VenueFill | StreamBreak]:
    """What a message of the private stream says. Balances and lists of orders say nothing new."""
    envelope = Fields(message, "message")
    told = envelope.object("event") if "event" in envelope else envelope
    kind = told.text("e", "")
    if kind == "executionReport":
        return [*report(told)]
    if kind in ("eventStreamTerminated", "serverShutdown"):
        raise UnknownError(f"binance: {kind}", "closed")
    return []
