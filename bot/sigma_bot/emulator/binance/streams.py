"""Binance spot's WebSocket side: market streams with subscriptions, and the WebSocket API's user data."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Protocol
from urllib.parse import parse_qs

from sigma_bot.emulator.accounts import Key
from sigma_bot.emulator.binance import payloads
from sigma_bot.emulator.binance.payloads import BinanceError
from sigma_bot.emulator.exchange import Exchange
from sigma_bot.emulator.http import Answer, Request, WebSocketSession
from sigma_bot.emulator.hub import Hub
from sigma_bot.emulator.limits import Limiter
from sigma_bot.emulator.model import AssetEvent, BookEvent, Event, OrderEvent, Print, TapeEvent
from sigma_bot.emulator.wire import dump, ms, padded

ENVELOPE = "(envelope)"  # a socket whose messages say which stream they are of
USER = "(user)"  # a socket of the WebSocket API, with its subscription's number
"""Marks among a socket's topics that no stream can be called."""


class Depth:
    """Changes of one book since the last depth message."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.last = 0
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}

    def add(self, event: BookEvent) -> None:
        """Count a change in."""
        self.first = event.first if self.first is None else self.first
        self.last = event.last
        self.bids |= event.bids
        self.asks |= event.asks


class BinanceRest(Protocol):
    """What the WebSocket side needs of the REST side."""

    exchange: Exchange
    limiter: Limiter

    def key(self, name: str, address: str) -> Key:
        """The key of this name. Raises BinanceError."""

    def check_signature(self, key: Key, signed: str, signature: str, params: dict[str, str]) -> None:
        """Raises BinanceError unless the signature is the key's."""


class BinanceStreams:
    """See Streams. ``cancel_id``: the id of the cancel that is being carried out."""

    def __init__(self, rest: BinanceRest) -> None:
        self.rest = rest
        self.hub = Hub()
        self.cancel_id = ""
        self._depth: dict[str, Depth] = {}
        self._subscriptions = 0

    # -- clients

    def opened(self, socket: WebSocketSession, request: Request) -> Answer | None:
        """See Streams. Stream names may stand in the address: /ws/NAME, /stream?streams=A/B."""
        kind, _, rest = request.path.lstrip("/").partition("/")
        if kind == "ws-api":
            socket.topics[USER] = None
            return None
        names = rest.split("/") if rest else []
        if kind == "stream":
            socket.topics[ENVELOPE] = True
            names += parse_qs(request.query).get("streams", [""])[0].split("/")
        for name in names:
            if "@" in name:
                socket.topics[name] = True
        return None

    def received(self, socket: WebSocketSession, text: str) -> None:
        """See Streams."""
        try:
            message = json.loads(text)
            if not isinstance(message, dict):
                raise ValueError("no object")
        except ValueError:
            socket.send(
                dump({"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}})
            )
            return
        if USER in socket.topics:
            self._api(socket, message)
        else:
            self._subscribe(socket, message)

    def _subscribe(self, socket: WebSocketSession, message: dict[str, Any]) -> None:
        method, names, number = message.get("method"), message.get("params") or [], message.get("id")
        marks = (ENVELOPE, USER)
        if method == "SUBSCRIBE" and isinstance(names, list):
            socket.topics.update((str(n), True) for n in names)
            socket.send(dump({"result": None, "id": number}))
        elif method == "UNSUBSCRIBE" and isinstance(names, list):
            for name in names:
                socket.topics.pop(str(name), None)
            socket.send(dump({"result": None, "id": number}))
        elif method == "LIST_SUBSCRIPTIONS":
            socket.send(dump({"result": [t for t in socket.topics if t not in marks], "id": number}))
        else:
            text = f"Invalid request: unknown variant `{method}`"
            socket.send(dump({"error": {"code": 2, "msg": text}, "id": number}))

    def _api(self, socket: WebSocketSession, message: dict[str, Any]) -> None:
        number, method, params = message.get("id"), message.get("method"), message.get("params") or {}
        limits = [{**payloads.rate_limits()[0], "count": self.rest.limiter.used("weight")}]
        try:
            result = self._call(socket, str(method), {k: str(v) for k, v in params.items()})
            socket.send(dump({"id": number, "status": 200, "result": result, "rateLimits": limits}))
        except BinanceError as error:
            words = {"code": error.code, "msg": error.text}
            socket.send(dump({"id": number, "status": error.status, "error": words, "rateLimits": limits}))

    def _call(self, socket: WebSocketSession, method: str, params: dict[str, str]) -> Any:
        match method:
            case "ping":
                return {}
            case "time":
                return {"serverTime": ms(self.rest.exchange.now())}
            case "userDataStream.subscribe.signature":
                key = self.rest.key(params.get("apiKey", ""), "")
                signature = params.pop("signature", "")
                signed = "&".join(f"{k}={v}" for k, v in sorted(params.items()))
                self.rest.check_signature(key, signed, signature, params)
                socket.account = key.account
                socket.topics[USER] = self._subscriptions
                self._subscriptions += 1
                return {"subscriptionId": socket.topics[USER]}
            case "userDataStream.unsubscribe":
                socket.account = None
                return {}
        raise BinanceError(-1020, f"Unsupported operation: {method}.")

    # -- events

    def published(self, event: Event) -> None:
        """See Streams."""
        match event:
            case OrderEvent():
                self._order(event)
            case AssetEvent(account, currencies):
                self._private("event.asset", account, self._position(account, currencies))
            case TapeEvent(symbol, trade):
                self._trade(symbol, trade)
            case BookEvent():
                self._depth.setdefault(event.symbol, Depth()).add(event)
                if event.best:
                    self._best(event.symbol)

    def _order(self, event: OrderEvent) -> None:
        cancel_id, self.cancel_id = (
            (self.cancel_id, "") if event.what == "cancelled" else ("", self.cancel_id)
        )
        if event.what == "filled":
            return
        report = payloads.execution_report(event, self.rest.exchange.now(), cancel_id)
        self._private("event.fill" if event.fill else "event.order", event.order.account, report)

    def _position(self, account: str, currencies: Iterable[str]) -> dict[str, Any]:
        now, holdings = ms(self.rest.exchange.now()), self.rest.exchange.accounts[account].holdings
        return {
            "e": "outboundAccountPosition",
            "E": now,
            "u": now,
            "B": [
                {"a": c, "f": padded(holdings[c].free), "l": padded(holdings[c].locked)} for c in currencies
            ],
        }

    def _private(self, name: str, account: str, event: dict[str, Any]) -> None:
        def frame(socket: WebSocketSession) -> str:
            return dump({"subscriptionId": socket.topics[USER], "event": event})

        self.hub.publish(name, lambda s: s.account == account, frame)

    def _public(self, name: str, stream: str, event: dict[str, Any]) -> None:
        text = dump(event)

        def frame(socket: WebSocketSession) -> str:
            return f'{{"stream":"{stream}","data":{text}}}' if ENVELOPE in socket.topics else text

        self.hub.publish(name, lambda s: stream in s.topics, frame)

    def _trade(self, symbol: str, trade: Print) -> None:
        event = {
            "e": "trade",
            "E": ms(self.rest.exchange.now()),
            "s": symbol,
            "t": trade.number,
            "p": padded(trade.price),
            "q": padded(trade.size),
            "T": ms(trade.ts),
            "m": trade.taker == "sell",
            "M": True,
        }
        self._public("public.trade", f"{symbol.lower()}@trade", event)
        aggregate = {"e": "aggTrade", "E": event["E"], "s": symbol, **payloads.aggregate(trade)}
        self._public("public.trade", f"{symbol.lower()}@aggTrade", aggregate)

    def _best(self, symbol: str) -> None:
        market = self.rest.exchange.markets[symbol]
        bid, ask = payloads.best(market)
        event = {"u": market.update_id, "s": symbol, "b": padded(bid[0]), "B": padded(bid[1])}
        event |= {"a": padded(ask[0]), "A": padded(ask[1])}
        self._public("public.ticker", f"{symbol.lower()}@bookTicker", event)

    def tick(self) -> None:
        """See Streams: the depth messages of the last 100 ms."""
        waiting, self._depth = self._depth, {}
        for symbol, depth in waiting.items():
            event = {
                "e": "depthUpdate",
                "E": ms(self.rest.exchange.now()),
                "s": symbol,
                "U": depth.first,
                "u": depth.last,
                "b": [[padded(p), padded(q)] for p, q in sorted(depth.bids.items(), reverse=True)],
                "a": [[padded(p), padded(q)] for p, q in sorted(depth.asks.items())],
            }
            self._public("public.book", f"{symbol.lower()}@depth@100ms", event)
