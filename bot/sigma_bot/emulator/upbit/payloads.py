"""The JSON payloads of Upbit, field by field: answers, events, and an order's parameters.

REST writes an order's numbers as strings, everything else are JSON numbers with all their digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from sigma_bot.decimals import trimmed
from sigma_bot.emulator.accounts import Account
from sigma_bot.emulator.market import Candle, Market
from sigma_bot.emulator.model import ZERO, Fill, Order, OrderEvent, Print, Side, Status, Ticket, Tif
from sigma_bot.emulator.wire import KST, kst, ms
from sigma_bot.times import utc

TIFS: dict[str, Tif] = {"ioc": "ioc", "fok": "fok"}
STATE = {
    Status.OPEN: "wait",
    Status.FILLED: "done",
    Status.CANCELLED: "cancel",
    Status.EXPIRED: "cancel",
}
WORDS = {
    "market": (404, "market_does_not_exist", "Market does not exist."),
    "closed": (400, "market_offline", "The market is under maintenance or closed."),
    "price": (400, "invalid_price_{side}", "The order price does not fit the price unit."),
    "quantity": (400, "validation_error", "volume does not have a valid value"),
    "market_quantity": (400, "validation_error", "volume does not have a valid value"),
    "notional": (400, "under_min_total_{side}", "The order is below the minimum order amount."),
    "too_many": (400, "too_many_orders", "There are too many open orders."),
    "balance": (400, "insufficient_funds_{side}", "The available balance is insufficient."),
    "duplicate": (400, "duplicate_identifier", "The identifier was used before."),
    "gone": (404, "order_not_found", "The order was not found."),
}
"""Our reasons of a refusal as Upbit's status, error name and message."""


class UpbitError(Exception):
    """An error as Upbit answers it."""

    def __init__(self, status: int, name: str | int, text: str) -> None:
        super().__init__(text)
        self.status, self.name, self.text = status, name, text


def uuid_of(number: int, kind: int) -> str:
    """The uuid of an order (kind 0) or trade (kind 1)."""
    return str(UUID(int=(0x5157A4B000004000 + kind) << 64 | 0x8 << 60 | number))


def number_of(text: str) -> int:
    """The number in a uuid; -1 when it is no uuid."""
    try:
        return UUID(text).int & ((1 << 60) - 1)
    except ValueError:
        return -1


def _validation(what: str) -> UpbitError:
    return UpbitError(400, "validation_error", f"{what} does not have a valid value")


def _number(fields: Mapping[str, Any], name: str) -> Decimal:
    try:
        value = Decimal(str(fields[name]))
    except (KeyError, InvalidOperation) as error:
        raise _validation(name) from error
    if not value.is_finite() or value <= 0:
        raise _validation(name)
    return value


def ticket(fields: Mapping[str, Any]) -> Ticket:
    """The order that POST /v1/orders asks for. Raises UpbitError."""
    symbol, kind = str(fields.get("market", "")), fields.get("ord_type")
    identifier, tif = str(fields.get("identifier") or ""), fields.get("time_in_force")
    if fields.get("side") not in ("bid", "ask"):
        raise _validation("side")
    side: Side = "buy" if fields["side"] == "bid" else "sell"
    if tif not in (None, "ioc", "fok", "post_only") or (tif == "post_only" and kind != "limit"):
        raise _validation("time_in_force")
    if kind == "limit":
        return Ticket(
            symbol, side, "limit", _number(fields, "volume"), None, _number(fields, "price"),
            TIFS.get(str(tif), "gtc"), tif == "post_only", identifier, "limit",
        )  # fmt: skip
    if kind == "best" and tif not in ("ioc", "fok"):
        raise _validation("time_in_force")
    if kind not in ("price", "market", "best") or (kind != "best" and tif is not None):
        raise _validation("ord_type")
    wrong = {"price": "volume", "market": "price"}.get(str(kind), "")
    only_side = {"price": "buy", "market": "sell"}.get(str(kind), side)
    if fields.get(wrong) is not None or side != only_side:
        name = "create_bid_error" if side == "buy" else "create_ask_error"
        raise UpbitError(400, name, "The order's type, price and volume do not go together.")
    way, name = TIFS.get(str(tif), "gtc"), str(kind)
    if side == "buy":
        money = _number(fields, "price")
        return Ticket(symbol, "buy", "market", None, money, None, way, False, identifier, name)
    volume = _number(fields, "volume")
    return Ticket(symbol, "sell", "market", volume, None, None, way, False, identifier, name)


def order(o: Order, fee_rate: Decimal, trades: bool = False) -> dict[str, Any]:
    """An order as REST gives it; with its trades as GET /v1/order does."""
    t = o.ticket
    price, volume = t.limit if t.funds is None else t.funds, t.quantity
    shape: dict[str, Any] = {
        "uuid": uuid_of(o.number, 0),
        "side": "bid" if t.side == "buy" else "ask",
        "ord_type": t.type_name,
        "price": None if price is None else trimmed(price),
        "state": STATE[o.status],
        "market": t.symbol,
        "created_at": kst(o.created),
        "volume": None if volume is None else trimmed(volume),
        "remaining_volume": None if volume is None else trimmed(o.remaining),
        "reserved_fee": trimmed(o.reserved_fee),
        "remaining_fee": trimmed(_remaining_fee(o, fee_rate)),
        "paid_fee": trimmed(o.paid_fee),
        "locked": trimmed(o.locked),
        "executed_volume": trimmed(o.executed),
        "executed_funds": trimmed(o.funds),
        "trades_count": len(o.fills),
        "prevented_volume": "0",
        "prevented_locked": "0",
    }
    if t.tif != "gtc" or t.post_only:
        shape["time_in_force"] = "post_only" if t.post_only else t.tif
    if t.client_id:
        shape["identifier"] = t.client_id
    if trades:
        shape["trades"] = [_trade(f) for f in o.fills]
    return shape


def _remaining_fee(o: Order, rate: Decimal) -> Decimal:
    return o.locked - o.locked / (1 + rate) if o.ticket.side == "buy" and o.locked else ZERO


def _trade(fill: Fill) -> dict[str, Any]:
    return {
        "market": fill.symbol,
        "uuid": uuid_of(fill.number, 1),
        "price": trimmed(fill.price),
        "volume": trimmed(fill.quantity),
        "funds": trimmed(fill.funds),
        "trend": "up",
        "created_at": utc(fill.ts).astimezone(KST).isoformat(timespec="microseconds"),
        "side": "bid" if fill.side == "buy" else "ask",
    }


def my_order(event: OrderEvent, state: str, fee_rate: Decimal, now: int) -> dict[str, Any]:
    """The private event of an order. In state trade, price and volume are the fill's."""
    o, t, fill = event.order, event.order.ticket, event.fill if state == "trade" else None
    price, volume = (
        (fill.price, fill.quantity) if fill else (t.limit if t.funds is None else t.funds, t.quantity)
    )
    average = o.average
    return {
        "type": "myOrder",
        "code": t.symbol,
        "uuid": uuid_of(o.number, 0),
        "ask_bid": "BID" if t.side == "buy" else "ASK",
        "order_type": t.type_name,
        "state": state,
        "trade_uuid": uuid_of(fill.number, 1) if fill else None,
        "price": price,
        "avg_price": ZERO if average is None else round(average, 8),
        "volume": volume,
        "remaining_volume": None if t.quantity is None else o.remaining,
        "executed_volume": o.executed,
        "trades_count": len(o.fills),
        "reserved_fee": o.reserved_fee,
        "remaining_fee": _remaining_fee(o, fee_rate),
        "paid_fee": o.paid_fee,
        "locked": o.locked,
        "executed_funds": o.funds,
        "time_in_force": "post_only" if t.post_only else None if t.tif == "gtc" else t.tif,
        "trade_fee": fill.fee if fill else None,
        "is_maker": fill.maker if fill else None,
        "identifier": t.client_id or None,
        "smp_type": None,
        "prevented_volume": ZERO,
        "prevented_locked": ZERO,
        "trade_timestamp": ms(fill.ts) if fill else None,
        "order_timestamp": ms(o.created),
        "timestamp": ms(now),
        "stream_type": "REALTIME",
    }


def my_asset(account: Account, currencies: tuple[str, ...], number: int, now: int) -> dict[str, Any]:
    """The private event of changed balances."""
    return {
        "type": "myAsset",
        "asset_uuid": uuid_of(number, 2),
        "assets": [
            {"currency": c, "balance": account.holdings[c].free, "locked": account.holdings[c].locked}
            for c in currencies
        ],
        "asset_timestamp": ms(now),
        "timestamp": ms(now),
        "stream_type": "REALTIME",
    }


def holding(currency: str, account: Account, unit: str = "KRW") -> dict[str, Any]:
    """A currency of GET /v1/accounts."""
    held = account.holding(currency)
    return {
        "currency": currency,
        "balance": trimmed(held.free),
        "locked": trimmed(held.locked),
        "avg_buy_price": "0",
        "avg_buy_price_modified": False,
        "unit_currency": unit,
    }


def chance(market: Market, account: Account) -> dict[str, Any]:
    """GET /v1/orders/chance: fees, minimum and balances for a market."""
    r = market.rules
    types = ["best_fok", "best_ioc", "limit", "limit_fok", "limit_ioc", "limit_post_only"]
    minimum = trimmed(r.min_notional)
    return {
        "bid_fee": trimmed(r.taker),
        "ask_fee": trimmed(r.taker),
        "maker_bid_fee": trimmed(r.maker),
        "maker_ask_fee": trimmed(r.maker),
        "market": {
            "id": r.symbol,
            "name": f"{r.base}/{r.quote}",
            "order_types": ["limit"],
            "order_sides": ["ask", "bid"],
            "bid_types": [*types, "price"],
            "ask_types": [*types, "market"],
            "bid": {"currency": r.quote, "price_unit": None, "min_total": minimum},
            "ask": {"currency": r.base, "price_unit": None, "min_total": minimum},
            "max_total": trimmed(r.max_notional or Decimal(1_000_000_000)),
            "state": "active" if market.status == "trading" else "preview",
        },
        "bid_account": holding(r.quote, account),
        "ask_account": holding(r.base, account),
    }


def book(market: Market, count: int = 30) -> dict[str, Any]:
    """The book's levels in pairs, without the message's own fields."""
    bids, asks = market.levels("buy")[:count], market.levels("sell")[:count]
    rows = max(len(bids), len(asks))
    empty = [(ZERO, ZERO)] * rows
    pairs = list(zip((asks + empty)[:rows], (bids + empty)[:rows], strict=True))
    return {
        "timestamp": ms(market.updated),
        "total_ask_size": sum((q for _, q in asks), ZERO),
        "total_bid_size": sum((q for _, q in bids), ZERO),
        "orderbook_units": [
            {"ask_price": a[0], "bid_price": b[0], "ask_size": a[1], "bid_size": b[1]} for a, b in pairs
        ],
    }


def _change(price: Decimal, previous: Decimal) -> tuple[str, Decimal]:
    word = "RISE" if price > previous else "FALL" if price < previous else "EVEN"
    return word, abs(price - previous)


def tick_trade(market: Market, trade: Print) -> dict[str, Any]:
    """A trade of GET /v1/trades/ticks."""
    day = market.day()
    previous = day.open if day else trade.price
    return {
        "market": market.rules.symbol,
        "trade_date_utc": utc(trade.ts).strftime("%Y-%m-%d"),
        "trade_time_utc": utc(trade.ts).strftime("%H:%M:%S"),
        "timestamp": ms(trade.ts),
        "trade_price": trade.price,
        "trade_volume": trade.size,
        "prev_closing_price": previous,
        "change_price": trade.price - previous,
        "ask_bid": "BID" if trade.taker == "buy" else "ASK",
        "sequential_id": trade.number,
    }


def stream_trade(market: Market, trade: Print, now: int, kind: str) -> dict[str, Any]:
    """A trade as the WebSocket sends it."""
    day = market.day()
    previous = day.open if day else trade.price
    word, moved = _change(trade.price, previous)
    bid, ask = market.best("buy") or (ZERO, ZERO), market.best("sell") or (ZERO, ZERO)
    return {
        "type": "trade",
        "code": market.rules.symbol,
        "timestamp": ms(now),
        "trade_date": utc(trade.ts).strftime("%Y-%m-%d"),
        "trade_time": utc(trade.ts).strftime("%H:%M:%S"),
        "trade_timestamp": ms(trade.ts),
        "trade_price": trade.price,
        "trade_volume": trade.size,
        "ask_bid": "BID" if trade.taker == "buy" else "ASK",
        "prev_closing_price": previous,
        "change": word,
        "change_price": moved,
        "sequential_id": trade.number,
        "best_ask_price": ask[0],
        "best_ask_size": ask[1],
        "best_bid_price": bid[0],
        "best_bid_size": bid[1],
        "stream_type": kind,
    }


def ticker(market: Market, now: int) -> dict[str, Any]:
    """The fields that REST's and the WebSocket's tickers share, over the minutes the emulator has kept."""
    day, tape = market.day(), market.tape
    last = tape[-1] if tape else Print(0, ZERO, ZERO, "buy", now)
    at, price = utc(last.ts), last.price
    opened, high, low = (day.open, day.high, day.low) if day else (price, price, price)
    volume, money, bought = (day.volume, day.money, day.bought) if day else (ZERO, ZERO, ZERO)
    word, moved = _change(price, opened)
    rate = round(moved / opened, 10) if opened else ZERO
    sign = -1 if word == "FALL" else 1
    date = at.strftime("%Y-%m-%d")
    return {
        "trade_date": at.strftime("%Y%m%d"),
        "trade_time": at.strftime("%H%M%S"),
        "trade_timestamp": ms(last.ts),
        "opening_price": opened,
        "high_price": high,
        "low_price": low,
        "trade_price": price,
        "prev_closing_price": opened,
        "change": word,
        "change_price": moved,
        "change_rate": rate,
        "signed_change_price": sign * moved,
        "signed_change_rate": sign * rate,
        "trade_volume": last.size,
        "acc_trade_price": money,
        "acc_trade_price_24h": money,
        "acc_trade_volume": volume,
        "acc_trade_volume_24h": volume,
        "acc_ask_volume": volume - bought,
        "acc_bid_volume": bought,
        "ask_bid": "BID" if last.taker == "buy" else "ASK",
        "highest_52_week_price": high,
        "highest_52_week_date": date,
        "lowest_52_week_price": low,
        "lowest_52_week_date": date,
        "timestamp": ms(now),
    }


def candle(symbol: str, bar: Candle, unit: int) -> dict[str, Any]:
    """A candle of GET /v1/candles/minutes/UNIT."""
    start = utc(bar.start)
    return {
        "market": symbol,
        "candle_date_time_utc": start.strftime("%Y-%m-%dT%H:%M:%S"),
        "candle_date_time_kst": (start + timedelta(hours=9)).strftime("%Y-%m-%dT%H:%M:%S"),
        "opening_price": bar.open,
        "high_price": bar.high,
        "low_price": bar.low,
        "trade_price": bar.close,
        "timestamp": ms(bar.last),
        "candle_acc_trade_price": bar.money,
        "candle_acc_trade_volume": bar.volume,
        "unit": unit,
    }
