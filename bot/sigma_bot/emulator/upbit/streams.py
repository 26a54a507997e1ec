"""Upbit's WebSocket side: ticker, trade and orderbook for everybody, myOrder and myAsset with a token.

Data come as binary frames. A new request takes the place of the one before it.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

from sigma_bot.emulator.accounts import Key
from sigma_bot.emulator.exchange import Exchange
from sigma_bot.emulator.http import Answer, Request, WebSocketSession
from sigma_bot.emulator.hub import Hub
from sigma_bot.emulator.market import Market
from sigma_bot.emulator.model import AssetEvent, BookEvent, Event, OrderEvent, TapeEvent
from sigma_bot.emulator.upbit import payloads
from sigma_bot.emulator.upbit.payloads import UpbitError
from sigma_bot.emulator.wire import dump

PRIVATE = "(private)"
PUBLIC_TYPES, PRIVATE_TYPES = ("ticker", "trade", "orderbook"), ("myOrder", "myAsset")
FORMATS = ("DEFAULT", "SIMPLE", "JSON_LIST", "SIMPLE_LIST")
SIMPLE = {
    "type": "ty", "code": "cd", "timestamp": "tms", "trade_date": "td", "trade_time": "ttm",
    "trade_timestamp": "ttms", "trade_price": "tp", "trade_volume": "tv", "ask_bid": "ab",
    "prev_closing_price": "pcp", "change": "c", "change_price": "cp", "sequential_id": "sid",
    "best_ask_price": "bap", "best_ask_size": "bas", "best_bid_price": "bbp", "best_bid_size": "bbs",
    "stream_type": "st", "total_ask_size": "tas", "total_bid_size": "tbs", "orderbook_units": "obu",
    "ask_price": "ap", "bid_price": "bp", "ask_size": "as", "bid_size": "bs",
}  # fmt: skip
"""Short names of trade's and orderbook's fields."""


class Wish:
    """One type of a request: the codes wanted (None: all), and whether realtime messages are."""

    def __init__(self, codes: dict[str, int] | None, snapshot: bool, realtime: bool, form: str) -> None:
        self.codes, self.snapshot, self.realtime, self.form = codes, snapshot, realtime, form

    def wants(self, code: str) -> bool:
        """Whether a code is among those asked for."""
        return self.codes is None or code in self.codes


class UpbitRest(Protocol):
    """What the WebSocket side needs of the REST side."""

    exchange: Exchange

    def claims(self, header: str, address: str) -> tuple[Key, dict[str, Any]]:
        """Key and claims of an authorization header. Raises UpbitError."""


class UpbitStreams:
    """See Streams."""

    def __init__(self, rest: UpbitRest) -> None:
        self.rest = rest
        self.hub = Hub()

    # -- clients

    def opened(self, socket: WebSocketSession, request: Request) -> Answer | None:
        """See Streams."""
        if not request.path.endswith("/private"):
            return None
        try:
            key, _ = self.rest.claims(request.headers.get("authorization", ""), request.address)
        except UpbitError as error:
            return Answer(error.status, dump({"error": {"name": error.name, "message": error.text}}))
        socket.account = key.account
        socket.topics[PRIVATE] = True
        return None

    def received(self, socket: WebSocketSession, text: str) -> None:
        """See Streams."""
        if text == "PING":
            socket.send(dump({"status": "UP"}))
            return
        try:
            wishes = self._wishes(text, PRIVATE in socket.topics)
        except UpbitError as error:
            socket.send(dump({"error": {"name": error.name, "message": error.text}}).encode())
            return
        for kind in PUBLIC_TYPES + PRIVATE_TYPES:
            socket.topics.pop(kind, None)
        socket.topics.update(wishes)
        for kind, wish in wishes.items():
            if wish.snapshot and kind in PUBLIC_TYPES:
                self._snapshots(socket, kind, wish)

    def _wishes(self, text: str, private: bool) -> dict[str, Wish]:
        try:
            parts = json.loads(text)
        except ValueError as error:
            raise UpbitError(400, "WRONG_FORMAT", "Format is wrong.") from error
        if not isinstance(parts, list) or not all(isinstance(p, dict) for p in parts):
            raise UpbitError(400, "WRONG_FORMAT", "Format is wrong.")
        if not any("ticket" in p for p in parts):
            raise UpbitError(400, "NO_TICKET", "Ticket is required.")
        form = next((p["format"] for p in parts if "format" in p), "DEFAULT")
        if form not in FORMATS:
            raise UpbitError(400, "WRONG_FORMAT", "Format is wrong.")
        wishes: dict[str, Wish] = {}
        for part in (p for p in parts if "type" in p):
            kind, wish = self._wish(part, form, private)
            if kind in wishes and wish.codes is not None:
                wish.codes = {**(wishes[kind].codes or {}), **wish.codes}
            wishes[kind] = wish
        if not wishes:
            raise UpbitError(400, "NO_TYPE", "Type is required.")
        return wishes

    @staticmethod
    def _wish(part: dict[str, Any], form: str, private: bool) -> tuple[str, Wish]:
        kind, codes = part["type"], part.get("codes")
        if kind in PRIVATE_TYPES and not private:
            raise UpbitError(401, "INVALID_AUTH", "Authentication is required.")
        if kind not in PUBLIC_TYPES + PRIVATE_TYPES:
            raise UpbitError(400, "INVALID_PARAM", f"{kind} is no type there is.")
        if kind == "myAsset" and codes is not None:
            raise UpbitError(400, "WRONG_FORMAT", "myAsset takes no codes.")
        if kind in PUBLIC_TYPES and not codes:
            raise UpbitError(400, "NO_CODES", "Codes are required.")
        wanted: dict[str, int] | None = None
        if codes:
            pairs = (str(c).partition(".") for c in codes)
            wanted = {code: int(count) if count.isdecimal() else 30 for code, _, count in pairs}
        only_now = bool(part.get("is_only_snapshot") or part.get("isOnlySnapshot"))
        only_new = bool(part.get("is_only_realtime") or part.get("isOnlyRealtime"))
        return kind, Wish(wanted, not only_new, not only_now, form)

    def _snapshots(self, socket: WebSocketSession, kind: str, wish: Wish) -> None:
        for code in wish.codes or ():
            market = self.rest.exchange.markets.get(code)
            message = self._message(kind, market, "SNAPSHOT", wish) if market else None
            if message:
                socket.send(_frame(message, wish.form))

    def _message(self, kind: str, market: Market, way: str, wish: Wish) -> dict[str, Any] | None:
        now, code = self.rest.exchange.now(), market.rules.symbol
        if kind == "orderbook":
            if not market.bids and not market.asks:
                return None
            count = (wish.codes or {}).get(code, 30)
            return {"type": kind, "code": code, **payloads.book(market, count), "stream_type": way}
        if not market.tape:
            return None
        if kind == "trade":
            return payloads.stream_trade(market, market.tape[-1], now, way)
        states = {
            "market_state": "ACTIVE",
            "is_trading_suspended": market.status != "trading",
            "delisting_date": None,
            "market_warning": "NONE",
        }
        return {"type": kind, "code": code, **payloads.ticker(market, now), **states, "stream_type": way}

    # -- events

    def published(self, event: Event) -> None:
        """See Streams."""
        match event:
            case OrderEvent():
                self._order(event)
            case AssetEvent(account, currencies):
                exchange = self.rest.exchange
                asset = payloads.my_asset(
                    exchange.accounts[account], currencies, exchange.fresh_number(), exchange.now()
                )
                self._private("event.asset", "myAsset", account, None, asset)
            case TapeEvent(symbol=symbol):
                self._public("public.trade", "trade", symbol)
                self._public("public.ticker", "ticker", symbol)
            case BookEvent(symbol=symbol):
                self._public("public.book", "orderbook", symbol)

    def _order(self, event: OrderEvent) -> None:
        states = {"new": ["wait"], "trade": ["trade"]}.get(event.what, ["cancel"])
        if event.fill and payloads.STATE[event.order.status] == "done":
            states.append("done")
        rules = self.rest.exchange.markets[event.order.ticket.symbol].rules
        for state in states:
            message = payloads.my_order(event, state, max(rules.maker, rules.taker), self.rest.exchange.now())
            name = "event.fill" if state == "trade" else "event.order"
            self._private(name, "myOrder", event.order.account, event.order.ticket.symbol, message)

    def _private(self, name: str, kind: str, account: str, code: str | None, message: dict[str, Any]) -> None:
        def wants(socket: WebSocketSession) -> bool:
            wish = socket.topics.get(kind)
            return socket.account == account and bool(wish and (code is None or wish.wants(code)))

        self.hub.publish(name, wants, lambda s: _frame(message, s.topics[kind].form))

    def _public(self, name: str, kind: str, symbol: str) -> None:
        market = self.rest.exchange.markets[symbol]

        def wants(socket: WebSocketSession) -> bool:
            wish = socket.topics.get(kind)
            return bool(wish and wish.realtime and wish.wants(symbol))

        def frame(socket: WebSocketSession) -> bytes:
            wish = socket.topics[kind]
            return _frame(self._message(kind, market, "REALTIME", wish) or {}, wish.form)

        self.hub.publish(name, wants, frame)

    def tick(self) -> None:
        """See Streams: Upbit sends nothing in intervals."""


def _frame(message: dict[str, Any], form: str) -> bytes:
    value: Any = _simple(message) if form.startswith("SIMPLE") else message
    return dump([value] if form.endswith("LIST") else value).encode()


def _simple(value: Any) -> Any:
    if isinstance(value, dict):
        return {SIMPLE.get(k, k): _simple(v) for k, v in value.items()}
    return [_simple(v) for v in value] if isinstance(value, list) else value
