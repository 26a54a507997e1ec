"""Upbit's REST interface over an exchange: endpoints, JWT with query hash, limits by second, error names."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from sigma_bot.emulator.accounts import Account, Key
from sigma_bot.emulator.exchange import Exchange
from sigma_bot.emulator.http import Answer, Request
from sigma_bot.emulator.limits import Limiter
from sigma_bot.emulator.model import DeniedError, Order, Status
from sigma_bot.emulator.upbit import payloads
from sigma_bot.emulator.upbit.payloads import UpbitError
from sigma_bot.emulator.upbit.streams import UpbitStreams
from sigma_bot.emulator.wire import dump

ALGORITHMS = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
PER_SECOND = {
    "market": 10, "candle": 10, "trade": 10, "ticker": 10, "orderbook": 10, "default": 30, "order": 12,
    "order-cancel-all": 1,
}  # fmt: skip
Params = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``name``: ours; ``group``: of the rate limit; ``trade``: it needs the permission to trade."""

    name: str
    group: str
    handle: str  # the method of UpbitFace
    private: bool = False
    trade: bool = False


ENDPOINTS = {
    ("GET", "/v1/market/all"): Endpoint("markets", "market", "markets"),
    ("GET", "/v1/orderbook/instruments"): Endpoint("instruments", "orderbook", "instruments"),
    ("GET", "/v1/orderbook"): Endpoint("book", "orderbook", "orderbook"),
    ("GET", "/v1/ticker"): Endpoint("ticker", "ticker", "ticker"),
    ("GET", "/v1/ticker/all"): Endpoint("ticker", "ticker", "ticker_all"),
    ("GET", "/v1/trades/ticks"): Endpoint("trades", "trade", "trades"),
    ("GET", "/v1/accounts"): Endpoint("account", "default", "accounts", True),
    ("GET", "/v1/api_keys"): Endpoint("key", "default", "api_keys", True),
    ("GET", "/v1/orders/chance"): Endpoint("chance", "default", "chance", True),
    ("POST", "/v1/orders"): Endpoint("order.create", "order", "create", True, True),
    ("POST", "/v1/orders/test"): Endpoint("order.test", "order", "test", True, True),
    ("POST", "/v1/orders/cancel_and_new"): Endpoint("order.replace", "order", "replace", True, True),
    ("GET", "/v1/order"): Endpoint("order.get", "default", "get", True),
    ("DELETE", "/v1/order"): Endpoint("order.cancel", "default", "cancel", True, True),
    ("GET", "/v1/orders/open"): Endpoint("orders.open", "default", "open_orders", True),
    ("DELETE", "/v1/orders/open"): Endpoint("orders.cancel", "order-cancel-all", "cancel_all", True, True),
    ("GET", "/v1/orders/closed"): Endpoint("orders.all", "default", "closed_orders", True),
    ("GET", "/v1/orders/uuids"): Endpoint("orders.list", "default", "listed_orders", True),
}


class UpbitProtocol:
    """One Upbit. Errors are answers; nothing is raised to the server."""

    def __init__(self, exchange: Exchange, limiter: Limiter) -> None:
        self.exchange, self.limiter = exchange, limiter
        self.streams = UpbitStreams(self)

    def _endpoint(self, method: str, path: str) -> tuple[Endpoint | None, str]:
        if method == "GET" and path.startswith("/v1/candles/"):
            return Endpoint("candles", "candle", "candles"), path.removeprefix("/v1/candles/")
        return ENDPOINTS.get((method, path)), ""

    def name(self, method: str, path: str) -> str | None:
        """See VenueProtocol."""
        endpoint, _ = self._endpoint(method, path)
        return endpoint.name if endpoint else None

    def is_socket(self, path: str) -> bool:
        """See VenueProtocol."""
        return path.startswith("/websocket/v1")

    def answer(self, request: Request) -> Answer:
        """See VenueProtocol."""
        endpoint, rest = self._endpoint(request.method, request.path)
        if endpoint is None:
            return _error(404, 404, "Not Found")
        try:
            limit = PER_SECOND[endpoint.group]
            seconds = 2 if endpoint.group == "order-cancel-all" else 1
            wait = self.limiter.spend(endpoint.group, 1, limit, seconds)
            if self.limiter.banned() or wait:
                return self.limited(418 if self.limiter.banned() else 429, self.limiter.banned() or wait)
            return self._handled(endpoint, rest, request)
        except UpbitError as error:
            return _error(error.status, error.name, error.text)

    def _handled(self, endpoint: Endpoint, rest: str, request: Request) -> Answer:
        params: Params = {}
        for name, value in request.pairs():
            params.setdefault(name, []).append(value)
        handler: Callable[..., Any] = getattr(self, endpoint.handle)
        try:
            if endpoint.private:
                fields = _fields(request) if request.method == "POST" else {}
                key = self._authorised(request, fields)
                if endpoint.trade and not key.trade:
                    raise UpbitError(401, "out_of_scope", "The key has no permission for this.")
                value = handler(fields or params, self.exchange.accounts[key.account])
            else:
                value = handler(params, rest) if endpoint.name == "candles" else handler(params)
        except DeniedError as error:
            status, name, text = payloads.WORDS[error.reason]
            if not endpoint.private:
                raise UpbitError(404, 404, "Code not found") from error
            raise UpbitError(status, name.format(side=error.facts.get("side", "bid")), text) from error
        left = max(PER_SECOND[endpoint.group] - self.limiter.used(endpoint.group), 0)
        headers = {"remaining-req": f"group={endpoint.group}; min=1800; sec={left}"}
        return Answer(201 if request.method == "POST" else 200, dump(value), headers)

    def limited(self, status: int, retry_after: int) -> Answer:
        """See VenueProtocol. A ban says how long it lasts."""
        if status == 429:
            return _error(429, "too_many_requests", "Too many API requests.")
        return _error(418, "too_many_requests", f"Blocked for {retry_after} seconds.")

    # -- keys

    def _authorised(self, request: Request, fields: dict[str, Any]) -> Key:
        key, claims = self.claims(request.headers.get("authorization", ""), request.address)
        nonce = str(claims.get("nonce", ""))
        if not nonce or nonce in key.nonces:
            raise UpbitError(401, "nonce_used", "The nonce was used before.")
        key.nonces.add(nonce)
        queries = {request.query, unquote_plus(request.query)}
        if request.method == "POST":
            queries = {"&".join(f"{k}={_text(v)}" for k, v in fields.items())}
        if not any(queries):
            return key
        hashes = {hashlib.sha512(q.encode()).hexdigest() for q in queries}
        if claims.get("query_hash") not in hashes or claims.get("query_hash_alg", "SHA512") != "SHA512":
            raise UpbitError(401, "invalid_query_payload", "The query_hash does not fit the request.")
        return key

    def claims(self, authorization: str, address: str) -> tuple[Key, dict[str, Any]]:
        """Key and content of a token. Raises UpbitError for one that is not good."""
        bad = UpbitError(401, "jwt_verification", "The JWT could not be verified.")
        parts = authorization.removeprefix("Bearer ").split(".")
        if len(parts) != 3:
            raise bad
        try:
            header, claims = (json.loads(_unpacked(p)) for p in parts[:2])
            signature, algorithm = _unpacked(parts[2]), ALGORITHMS[header["alg"]]
            name = str(claims["access_key"])
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise bad from error
        key = self.exchange.keys.get(name)
        if key is None:
            raise UpbitError(401, "invalid_access_key", "The access key is not known.")
        good = hmac.new(key.secret.encode(), f"{parts[0]}.{parts[1]}".encode(), algorithm).digest()
        if not hmac.compare_digest(good, signature):
            raise bad
        if key.expired:
            raise UpbitError(401, "expired_access_key", "The access key has expired.")
        if key.address and key.address != address:
            raise UpbitError(401, "no_authorization_i_p", "This address is not allowed for the key.")
        return key, claims

    # -- public endpoints

    def _wanted(self, params: Params, name: str = "markets") -> list[Any]:
        codes = [c for text in params.get(name, []) for c in text.split(",") if c]
        if not codes:
            raise UpbitError(400, 400, "Missing request parameter error. Check the required parameters!")
        return [self.exchange.market(c) for c in codes]

    def markets(self, params: Params) -> Any:
        """GET market/all."""
        events = {"warning": False, "caution": {}}
        details = params.get("is_details") == ["true"]
        return [
            {"market": s, "korean_name": m.rules.base, "english_name": m.rules.base}
            | ({"market_event": events} if details else {})
            for s, m in self.exchange.markets.items()
            if m.status != "delisted"
        ]

    def instruments(self, params: Params) -> Any:
        """GET orderbook/instruments: the tick size at the market's present price."""
        found = []
        for market in self._wanted(params):
            best = market.best("sell") or market.best("buy")
            price = best[0] if best else market.rules.bands[-1][0]
            found.append(
                {
                    "market": market.rules.symbol,
                    "quote_currency": market.rules.quote,
                    "tick_size": market.rules.tick(price),
                    "supported_levels": ["0"],
                }
            )
        return found

    def orderbook(self, params: Params) -> Any:
        """GET orderbook."""
        count = _whole(params, "count", 30)
        return [
            {"market": m.rules.symbol, **payloads.book(m, count), "level": 0} for m in self._wanted(params)
        ]

    def ticker(self, params: Params) -> Any:
        """GET ticker."""
        now = self.exchange.now()
        return [{"market": m.rules.symbol, **payloads.ticker(m, now)} for m in self._wanted(params)]

    def ticker_all(self, params: Params) -> Any:
        """GET ticker/all."""
        quotes = [c for text in params.get("quote_currencies", []) for c in text.split(",")]
        symbols = [s for s, m in self.exchange.markets.items() if m.rules.quote in quotes]
        return self.ticker({"markets": symbols}) if symbols else []

    def trades(self, params: Params) -> Any:
        """GET trades/ticks, newest first."""
        market = self._wanted(params, "market")[0]
        count = _whole(params, "count", 1)
        return [payloads.tick_trade(market, t) for t in list(market.tape)[: -count - 1 : -1]]

    def candles(self, params: Params, unit: str) -> Any:
        """GET candles/minutes/UNIT and candles/days, newest first."""
        market = self._wanted(params, "market")[0]
        minutes = 1440 if unit == "days" else _whole({"unit": [unit.removeprefix("minutes/")]}, "unit", 1)
        count = _whole(params, "count", 1)
        bars = market.bars(minutes)
        until = params.get("to", [""])[0].replace("Z", "")[:19]
        shaped = [payloads.candle(market.rules.symbol, b, minutes) for b in reversed(bars)]
        return [c for c in shaped if not until or c["candle_date_time_utc"] < until][:count]

    # -- the account

    def accounts(self, params: Params, account: Account) -> Any:
        """GET accounts."""
        del params
        held = [c for c, h in sorted(account.holdings.items()) if h.free or h.locked]
        return [payloads.holding(c, account) for c in held]

    def api_keys(self, params: Params, account: Account) -> Any:
        """GET api_keys."""
        del params
        return [
            {"access_key": k.key, "expire_at": "2036-01-01T00:00:00+09:00"}
            for k in self.exchange.keys.values()
            if k.account == account.name
        ]

    def chance(self, params: Params, account: Account) -> Any:
        """GET orders/chance."""
        return payloads.chance(self._wanted(params, "market")[0], account)

    # -- orders

    def _shape(self, order: Order, trades: bool = False) -> dict[str, Any]:
        rules = self.exchange.markets[order.ticket.symbol].rules
        return payloads.order(order, max(rules.maker, rules.taker), trades)

    def create(self, fields: dict[str, Any], account: Account) -> Any:
        """POST orders. The answer is the order as it was accepted, before anything traded."""
        answer: dict[str, Any] = {}
        self._place(fields, account, lambda order: answer.update(self._shape(order)))
        return answer

    def _place(
        self, fields: dict[str, Any], account: Account, accepted: Callable[[Order], None] | None = None
    ) -> Order:
        try:
            return self.exchange.place(account.name, payloads.ticket(fields), accepted)
        except UpbitError:
            if fields.get("identifier"):
                account.seen.add(str(fields["identifier"]))
            raise
        except DeniedError as error:
            error.facts["side"] = fields["side"]
            raise

    def test(self, fields: dict[str, Any], account: Account) -> Any:
        """POST orders/test."""
        ticket = payloads.ticket(fields)
        self.exchange.check(account.name, ticket)
        now = self.exchange.now()
        return self._shape(Order(self.exchange.fresh_number(), account.name, ticket, now, now))

    def _find(self, params: Any, account: Account, prefix: str = "") -> Order:
        def text(name: str) -> str:
            value = params.get(prefix + name, "")
            return value[0] if isinstance(value, list) else str(value)

        if text("uuid" if not prefix else "order_uuid"):
            order = self.exchange.orders.get(payloads.number_of(text("uuid" if not prefix else "order_uuid")))
        else:
            order = account.latest.get(text("identifier" if not prefix else "order_identifier"))
        if order is None or order.account != account.name:
            raise DeniedError("gone")
        return order

    def get(self, params: Params, account: Account) -> Any:
        """GET order, by uuid or identifier, with its trades."""
        return self._shape(self._find(params, account), trades=True)

    def cancel(self, params: Params, account: Account) -> Any:
        """DELETE order. The answer is the order as it was when the request came."""
        order = self._find(params, account)
        shape = self._shape(order)
        self.exchange.cancel(order)
        return shape

    def cancel_all(self, params: Params, account: Account) -> Any:
        """DELETE orders/open."""
        pairs = [c for text in params.get("pairs", []) for c in text.split(",")]
        done = []
        for order in self.exchange.open_orders(account.name):
            if not pairs or order.ticket.symbol in pairs:
                self.exchange.cancel(order)
                done.append({"uuid": payloads.uuid_of(order.number, 0), "market": order.ticket.symbol})
        return {"success": {"count": len(done), "orders": done}, "failed": {"count": 0, "orders": []}}

    def replace(self, fields: dict[str, Any], account: Account) -> Any:
        """POST orders/cancel_and_new."""
        order = self._find(fields, account, "prev_")
        new = {"market": order.ticket.symbol, "side": "bid" if order.ticket.side == "buy" else "ask"}
        new |= {k.removeprefix("new_"): v for k, v in fields.items() if k.startswith("new_")}
        if new.get("volume") == "remain_only":
            new["volume"] = str(order.remaining)
        shape = self.cancel({"uuid": [payloads.uuid_of(order.number, 0)]}, account)
        placed = self._place(new, account)
        return shape | {
            "new_order_uuid": payloads.uuid_of(placed.number, 0),
            "new_order_identifier": placed.ticket.client_id or None,
        }

    def open_orders(self, params: Params, account: Account) -> Any:
        """GET orders/open, page by page, newest first."""
        return self._page(params, self.exchange.open_orders(account.name), 100)

    def closed_orders(self, params: Params, account: Account) -> Any:
        """GET orders/closed."""
        states = params.get("states[]") or params.get("state") or ["done", "cancel"]
        done = [o for o in account.orders if o.status is not Status.OPEN]
        return self._page(params, [o for o in done if payloads.STATE[o.status] in states], 1000)

    def listed_orders(self, params: Params, account: Account) -> Any:
        """GET orders/uuids: orders by uuids[] or identifiers[]."""
        uuids, names = set(params.get("uuids[]", [])), set(params.get("identifiers[]", []))
        found = [
            o
            for o in account.orders
            if payloads.uuid_of(o.number, 0) in uuids or (o.ticket.client_id and o.ticket.client_id in names)
        ]
        return self._page(params, found, 100)

    def _page(self, params: Params, orders: list[Order], most: int) -> list[dict[str, Any]]:
        market = params.get("market", [None])[0]
        found = [o for o in orders if market in (None, o.ticket.symbol)]
        if params.get("order_by") != ["asc"]:
            found.reverse()
        limit = min(_whole(params, "limit", 100), most)
        first = (_whole(params, "page", 1) - 1) * limit
        return [self._shape(o) for o in found[first : first + limit]]


def _fields(request: Request) -> dict[str, Any]:
    try:
        return request.fields()
    except ValueError as error:
        raise UpbitError(400, "invalid_parameter", "The body is not a JSON object.") from error


def _error(status: int, name: str | int, text: str) -> Answer:
    return Answer(status, dump({"error": {"name": name, "message": text}}))


def _whole(params: Params, name: str, default: int) -> int:
    text = params.get(name, [str(default)])[0]
    if not text.isdecimal() or not int(text):
        raise UpbitError(400, "validation_error", f"{name} does not have a valid value")
    return int(text)


def _unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
