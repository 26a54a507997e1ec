"""The JSON payloads of Binance spot, field by field: answers, events, and an order's parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sigma_bot.emulator.market import Candle, Market
from sigma_bot.emulator.model import ZERO, Fill, Order, OrderEvent, Print, Rules, Side, Status, Ticket
from sigma_bot.emulator.wire import ms, padded

CLIENT_ID = re.compile(r"^[.A-Z:/a-z0-9_-]{1,36}$")
NUMBER = re.compile(r"^([0-9]{1,20})(\.[0-9]{1,20})?$")
WEIGHT_LIMIT, ORDERS_10S, ORDERS_1D = 6000, 100, 200_000
STATUS = {
    Status.FILLED: "FILLED",
    Status.CANCELLED: "CANCELED",
    Status.EXPIRED: "EXPIRED",
}
WORDS = {
    "market": (-1121, "Invalid symbol."),
    "closed": (-2010, "Market is closed."),
    "price": (-1013, "Filter failure: PRICE_FILTER"),
    "percent": (-1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    "quantity": (-1013, "Filter failure: LOT_SIZE"),
    "market_quantity": (-1013, "Filter failure: MARKET_LOT_SIZE"),
    "notional": (-1013, "Filter failure: NOTIONAL"),
    "too_many": (-1013, "Filter failure: MAX_NUM_ORDERS"),
    "balance": (-2010, "Account has insufficient balance for requested action."),
    "duplicate": (-2010, "Duplicate order sent."),
    "would_take": (-2010, "Order would immediately match and take."),
    "gone": (-2011, "Unknown order sent."),
}
"""Our reasons of a refusal in Binance's codes and words."""


class BinanceError(Exception):
    """An error as Binance answers it."""

    def __init__(self, code: int, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.code, self.text, self.status = code, text, status


def needed(params: Mapping[str, str], name: str) -> str:
    """A parameter that must be there."""
    value = params.get(name, "")
    if not value:
        raise BinanceError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return value


def number(params: Mapping[str, str], name: str) -> Decimal:
    """A positive number with at most eight decimals."""
    text = needed(params, name)
    if not NUMBER.match(text):
        raise BinanceError(
            -1100,
            f"Illegal characters found in parameter '{name}'; legal range is '{NUMBER.pattern}'.",
        )
    value = Decimal(text)
    if value != round(value, 8):
        raise BinanceError(-1111, f"Parameter '{name}' has too much precision.")
    return value


def whole(params: Mapping[str, str], name: str, default: int | None = None) -> int | None:
    """An integer, or the default when it was not sent."""
    text = params.get(name, "")
    if not text:
        return default
    if not text.isdecimal():
        raise BinanceError(
            -1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
        )
    return int(text)


def client_id(params: Mapping[str, str], name: str, default: str) -> str:
    """A client order id, or the default when none was sent."""
    text = params.get(name, "")
    if text and not CLIENT_ID.match(text):
        raise BinanceError(
            -1100, f"Illegal characters found in parameter '{name}'; legal range is '{CLIENT_ID.pattern}'."
        )
    return text or default


def ticket(params: Mapping[str, str], default_id: str) -> Ticket:
    """The order that POST /api/v3/order asks for."""
    symbol, side, kind = needed(params, "symbol"), needed(params, "side"), needed(params, "type")
    name = client_id(params, "newClientOrderId", default_id)
    if side not in ("BUY", "SELL"):
        raise BinanceError(-1117, "Invalid side.")
    way: Side = "buy" if side == "BUY" else "sell"
    if kind == "MARKET":
        if "quoteOrderQty" in params:
            money = number(params, "quoteOrderQty")
            if way == "buy":
                return Ticket(symbol, "buy", "market", funds=money, client_id=name, type_name=kind)
            raise BinanceError(-1106, "Parameter 'quoteOrderQty' sent when not required.")
        quantity = number(params, "quantity")
        return Ticket(symbol, way, "market", quantity=quantity, client_id=name, type_name=kind)
    if kind not in ("LIMIT", "LIMIT_MAKER"):
        known = kind in ("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
        words = f"{kind.replace('_', ' ').capitalize()} orders are not supported for this symbol."
        raise BinanceError(-2010, words) if known else BinanceError(-1116, "Invalid orderType.")
    tif = needed(params, "timeInForce") if kind == "LIMIT" else "GTC"
    if tif not in ("GTC", "IOC", "FOK"):
        raise BinanceError(-1115, "Invalid timeInForce.")
    if kind == "LIMIT_MAKER" and params.get("timeInForce"):
        raise BinanceError(-1106, "Parameter 'timeInForce' sent when not required.")
    return Ticket(
        symbol, way, "limit", number(params, "quantity"), None, number(params, "price"),
        "ioc" if tif == "IOC" else "fok" if tif == "FOK" else "gtc",
        kind == "LIMIT_MAKER", name, kind,
    )  # fmt: skip


def status(order: Order) -> str:
    """Binance's word for where an order stands."""
    return STATUS.get(order.status, "PARTIALLY_FILLED" if order.executed else "NEW")


def _common(order: Order) -> dict[str, Any]:
    t = order.ticket
    return {
        "symbol": t.symbol,
        "orderId": order.number,
        "orderListId": -1,
        "clientOrderId": t.client_id,
        "price": padded(t.limit or ZERO),
        "origQty": padded(order.executed if t.quantity is None else t.quantity),
        "executedQty": padded(order.executed),
        "origQuoteOrderQty": padded(t.funds or ZERO),
        "cummulativeQuoteQty": padded(order.funds),
        "status": status(order),
        "timeInForce": t.tif.upper(),
        "type": t.type_name,
        "side": t.side.upper(),
    }


def created(order: Order, kind: str) -> dict[str, Any]:
    """The answer to a new order; ``kind``: ACK, RESULT or FULL."""
    t = order.ticket
    ack = {
        "symbol": t.symbol,
        "orderId": order.number,
        "orderListId": -1,
        "clientOrderId": t.client_id,
        "transactTime": ms(order.updated),
    }
    if kind == "ACK":
        return ack
    result = ack | _common(order) | {"workingTime": ms(order.created), "selfTradePreventionMode": "NONE"}
    if kind == "FULL":
        result["fills"] = [
            {
                "price": padded(f.price),
                "qty": padded(f.quantity),
                "commission": padded(f.fee),
                "commissionAsset": f.fee_currency,
                "tradeId": f.number,
            }
            for f in order.fills
        ]
    return result


def looked_up(order: Order) -> dict[str, Any]:
    """An order as GET /api/v3/order gives it."""
    return _common(order) | {
        "stopPrice": padded(ZERO),
        "icebergQty": padded(ZERO),
        "time": ms(order.created),
        "updateTime": ms(order.updated),
        "isWorking": True,
        "workingTime": ms(order.created),
        "selfTradePreventionMode": "NONE",
    }


def cancelled(order: Order, cancel_id: str) -> dict[str, Any]:
    """The answer to a cancel."""
    common = _common(order)
    return common | {
        "origClientOrderId": common["clientOrderId"],
        "clientOrderId": cancel_id,
        "transactTime": ms(order.updated),
        "selfTradePreventionMode": "NONE",
    }


def my_trade(fill: Fill) -> dict[str, Any]:
    """A fill as GET /api/v3/myTrades gives it."""
    return {
        "symbol": fill.symbol,
        "id": fill.number,
        "orderId": fill.order,
        "orderListId": -1,
        "price": padded(fill.price),
        "qty": padded(fill.quantity),
        "quoteQty": padded(fill.funds),
        "commission": padded(fill.fee),
        "commissionAsset": fill.fee_currency,
        "time": ms(fill.ts),
        "isBuyer": fill.side == "buy",
        "isMaker": fill.maker,
        "isBestMatch": True,
    }


def execution_report(event: OrderEvent, now: int, cancel_id: str = "") -> dict[str, Any]:
    """The private event of an order. A cancel has its own id in ``c`` and the order's in ``C``."""
    order, fill, t = event.order, event.fill, event.order.ticket
    words = {"new": "NEW", "trade": "TRADE", "cancelled": "CANCELED", "expired": "EXPIRED"}
    return {
        "e": "executionReport",
        "E": ms(now),
        "s": t.symbol,
        "c": cancel_id or t.client_id,
        "S": t.side.upper(),
        "o": t.type_name,
        "f": t.tif.upper(),
        "q": padded(order.executed if t.quantity is None else t.quantity),
        "p": padded(t.limit or ZERO),
        "P": padded(ZERO),
        "F": padded(ZERO),
        "g": -1,
        "C": t.client_id if cancel_id else "",
        "x": words[event.what],
        "X": "NEW" if event.what == "new" else status(order),
        "r": "NONE",
        "i": order.number,
        "l": padded(fill.quantity if fill else ZERO),
        "z": padded(order.executed),
        "L": padded(fill.price if fill else ZERO),
        "n": padded(fill.fee) if fill else "0",
        "N": fill.fee_currency if fill else None,
        "T": ms(order.updated),
        "t": fill.number if fill else -1,
        "I": order.number * 2 + len(order.fills),
        "w": order.status is Status.OPEN,
        "m": bool(fill and fill.maker),
        "M": bool(fill),
        "O": ms(order.created),
        "Z": padded(order.funds),
        "Y": padded(fill.funds if fill else ZERO),
        "Q": padded(t.funds or ZERO),
        "W": ms(order.created),
        "V": "NONE",
    }


def public_trade(trade: Print) -> dict[str, Any]:
    """A trade as GET /api/v3/trades gives it."""
    return {
        "id": trade.number,
        "price": padded(trade.price),
        "qty": padded(trade.size),
        "quoteQty": padded(trade.price * trade.size),
        "time": ms(trade.ts),
        "isBuyerMaker": trade.taker == "sell",
        "isBestMatch": True,
    }


def aggregate(trade: Print) -> dict[str, Any]:
    """A trade as GET /api/v3/aggTrades gives it: every trade its own aggregate."""
    return {
        "a": trade.number,
        "p": padded(trade.price),
        "q": padded(trade.size),
        "f": trade.number,
        "l": trade.number,
        "T": ms(trade.ts),
        "m": trade.taker == "sell",
        "M": True,
    }


def kline(candle: Candle, minutes: int) -> list[Any]:
    """A candle as GET /api/v3/klines gives it."""
    return [
        ms(candle.start),
        *(padded(v) for v in (candle.open, candle.high, candle.low, candle.close, candle.volume)),
        ms(candle.start) + minutes * 60_000 - 1,
        padded(candle.money),
        candle.trades,
        padded(candle.bought),
        padded(ZERO),
        "0",
    ]


def best(market: Market) -> tuple[tuple[Decimal, Decimal], tuple[Decimal, Decimal]]:
    """Best bid and best ask; zeros where a side is empty."""
    return market.best("buy") or (ZERO, ZERO), market.best("sell") or (ZERO, ZERO)


def book_ticker(market: Market) -> dict[str, str]:
    """GET /api/v3/ticker/bookTicker."""
    bid, ask = best(market)
    return {
        "symbol": market.rules.symbol,
        "bidPrice": padded(bid[0]),
        "bidQty": padded(bid[1]),
        "askPrice": padded(ask[0]),
        "askQty": padded(ask[1]),
    }


def day_ticker(market: Market, now: int) -> dict[str, Any]:
    """GET /api/v3/ticker/24hr, over the minutes the emulator has kept."""
    day, (bid, ask) = market.day(), best(market)
    opened, close = (day.open, day.close) if day else (ZERO, ZERO)
    volume, money = (day.volume, day.money) if day else (ZERO, ZERO)
    tape = market.tape
    return {
        "symbol": market.rules.symbol,
        "priceChange": padded(close - opened),
        "priceChangePercent": padded(round((close - opened) * 100 / opened, 3) if opened else ZERO, 3),
        "weightedAvgPrice": padded(round(money / volume, 8) if volume else ZERO),
        "prevClosePrice": padded(opened),
        "lastPrice": padded(close),
        "lastQty": padded(tape[-1].size if tape else ZERO),
        "bidPrice": padded(bid[0]),
        "bidQty": padded(bid[1]),
        "askPrice": padded(ask[0]),
        "askQty": padded(ask[1]),
        "openPrice": padded(opened),
        "highPrice": padded(day.high if day else ZERO),
        "lowPrice": padded(day.low if day else ZERO),
        "volume": padded(volume),
        "quoteVolume": padded(money),
        "openTime": ms(now) - 86_400_000,
        "closeTime": ms(now),
        "firstId": tape[0].number if tape else -1,
        "lastId": tape[-1].number if tape else -1,
        "count": day.trades if day else 0,
    }


def symbol_info(market: Market) -> dict[str, Any]:
    """A symbol of GET /api/v3/exchangeInfo, with all its filters."""
    r = market.rules
    return {
        "symbol": r.symbol,
        "status": "TRADING" if market.status == "trading" else "BREAK",
        "baseAsset": r.base,
        "baseAssetPrecision": 8,
        "quoteAsset": r.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": filters(r),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    }


def filters(rules: Rules) -> list[dict[str, Any]]:
    """The filters of a symbol. All that are named are checked, but for the algo orders' that there are none
    of."""
    low, high = rules.percent or (ZERO, ZERO)
    lot = {"minQty": padded(rules.min_quantity), "maxQty": padded(rules.max_quantity)}
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": padded(rules.bands[0][1]),
            "maxPrice": "1000000.00000000",
            "tickSize": padded(rules.bands[0][1]),
        },
        {"filterType": "LOT_SIZE", **lot, "stepSize": padded(rules.lot)},
        {"filterType": "ICEBERG_PARTS", "limit": 10},
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": padded(ZERO),
            "maxQty": padded(rules.market_most),
            "stepSize": padded(ZERO),
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": format(high, "f"),
            "bidMultiplierDown": format(low, "f"),
            "askMultiplierUp": format(high, "f"),
            "askMultiplierDown": format(low, "f"),
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": padded(rules.min_notional),
            "applyMinToMarket": True,
            "maxNotional": padded(rules.max_notional or Decimal(9_000_000)),
            "applyMaxToMarket": rules.max_at_market,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": rules.max_orders},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
    ]


def rate_limits() -> list[dict[str, Any]]:
    """The limits of GET /api/v3/exchangeInfo."""
    return [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_LIMIT},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": ORDERS_10S},
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": ORDERS_1D},
    ]
