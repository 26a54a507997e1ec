"""Binance spot's REST interface over an exchange: endpoints, signatures, filters, limits, error codes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from sigma_bot.emulator.accounts import Account, Key
from sigma_bot.emulator.binance import payloads
from sigma_bot.emulator.binance.payloads import BinanceError
from sigma_bot.emulator.binance.streams import BinanceStreams
from sigma_bot.emulator.exchange import Exchange
from sigma_bot.emulator.http import Answer, Request
from sigma_bot.emulator.limits import Limiter
from sigma_bot.emulator.model import DeniedError, Order
from sigma_bot.emulator.wire import dump, ms, padded

INTERVALS = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "1d": 1440}
Params = dict[str, str]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``name``: ours; ``weight``: Binance's; ``signed``: it needs a key and a signature."""

    name: str
    weight: int
    signed: bool
    handle: str  # the method of BinanceFace
    trade: bool = False  # needs the permission to trade


ENDPOINTS = {
    ("GET", "/api/v3/ping"): Endpoint("ping", 1, False, "ping"),
    ("GET", "/api/v3/time"): Endpoint("time", 1, False, "server_time"),
    ("GET", "/api/v3/exchangeInfo"): Endpoint("markets", 20, False, "exchange_info"),
    ("GET", "/api/v3/depth"): Endpoint("book", 5, False, "depth"),
    ("GET", "/api/v3/trades"): Endpoint("trades", 25, False, "trades"),
    ("GET", "/api/v3/aggTrades"): Endpoint("trades", 4, False, "agg_trades"),
    ("GET", "/api/v3/klines"): Endpoint("candles", 2, False, "klines"),
    ("GET", "/api/v3/ticker/bookTicker"): Endpoint("ticker", 2, False, "book_ticker"),
    ("GET", "/api/v3/ticker/24hr"): Endpoint("ticker", 2, False, "day_ticker"),
    ("GET", "/api/v3/ticker/price"): Endpoint("ticker", 2, False, "price"),
    ("GET", "/api/v3/account"): Endpoint("account", 20, True, "account"),
    ("POST", "/api/v3/order"): Endpoint("order.create", 1, True, "create", trade=True),
    ("POST", "/api/v3/order/test"): Endpoint("order.test", 1, True, "test", trade=True),
    ("GET", "/api/v3/order"): Endpoint("order.get", 4, True, "get"),
    ("DELETE", "/api/v3/order"): Endpoint("order.cancel", 1, True, "cancel", trade=True),
    ("POST", "/api/v3/order/cancelReplace"): Endpoint("order.replace", 1, True, "replace", trade=True),
    ("GET", "/api/v3/openOrders"): Endpoint("orders.open", 6, True, "open_orders"),
    ("DELETE", "/api/v3/openOrders"): Endpoint("orders.cancel", 1, True, "cancel_all", trade=True),
    ("GET", "/api/v3/allOrders"): Endpoint("orders.all", 20, True, "all_orders"),
    ("GET", "/api/v3/myTrades"): Endpoint("fills", 20, True, "my_trades"),
    ("GET", "/sapi/v1/account/apiRestrictions"): Endpoint("key", 1, True, "restrictions"),
    ("GET", "/sapi/v1/capital/config/getall"): Endpoint("currencies", 10, True, "nothing"),
    ("GET", "/sapi/v1/margin/allPairs"): Endpoint("margin", 1, True, "nothing"),
    ("GET", "/sapi/v1/margin/isolated/allPairs"): Endpoint("margin", 1, True, "nothing"),
    ("GET", "/sapi/v1/asset/tradeFee"): Endpoint("fees", 1, True, "trade_fee"),
    ("GET", "/sapi/v1/system/status"): Endpoint("status", 1, False, "system_status"),
}


class BinanceProtocol:
    """One Binance. Errors are answers; nothing is raised to the server."""

    def __init__(self, exchange: Exchange, limiter: Limiter) -> None:
        self.exchange, self.limiter = exchange, limiter
        self.streams = BinanceStreams(self)

    def name(self, method: str, path: str) -> str | None:
        """See VenueProtocol."""
        endpoint = ENDPOINTS.get((method, path))
        return endpoint.name if endpoint else None

    def is_socket(self, path: str) -> bool:
        """See VenueProtocol."""
        return path.split("/")[1] in ("ws", "stream", "ws-api")

    def answer(self, request: Request) -> Answer:
        """See VenueProtocol."""
        endpoint = ENDPOINTS.get((request.method, request.path))
        if endpoint is None:
            return Answer(404, "<html><body><h2>404 Not found</h2></body></html>")
        wait = self.limiter.spend("weight", endpoint.weight, payloads.WEIGHT_LIMIT, 60)
        if self.limiter.banned() or wait:
            return self.limited(418 if self.limiter.banned() else 429, self.limiter.banned() or wait)
        return self._handled(endpoint, request)

    def _handled(self, endpoint: Endpoint, request: Request) -> Answer:
        try:
            handler: Callable[..., Any] = getattr(self, endpoint.handle)
            if not endpoint.signed:
                return self._done(handler(dict(request.pairs())))
            key, params = self._signed(request)
            if endpoint.trade and not key.trade:
                raise BinanceError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
            return self._done(handler(params, self.exchange.accounts[key.account], key))
        except BinanceError as error:
            return self._done({"code": error.code, "msg": error.text}, error.status)
        except DeniedError as error:
            code, text = payloads.WORDS[error.reason]
            return self._done({"code": code, "msg": text}, 400)

    def _done(self, value: Any, status: int = 200) -> Answer:
        headers = {
            "x-mbx-used-weight": str(self.limiter.used("weight")),
            "x-mbx-used-weight-1m": str(self.limiter.used("weight")),
        }
        if self.limiter.used("orders-1d"):
            headers["x-mbx-order-count-10s"] = str(self.limiter.used("orders-10s"))
            headers["x-mbx-order-count-1d"] = str(self.limiter.used("orders-1d"))
        return Answer(status, dump(value), headers)

    def limited(self, status: int, retry_after: int) -> Answer:
        """See VenueProtocol."""
        text = (
            f"Way too much request weight used; IP banned until {ms(self.limiter.banned_until)}. "
            "Please use WebSocket Streams for live updates to avoid bans."
            if status == 418
            else "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. Please "
            "use WebSocket Streams for live updates to avoid polling the API."
        )
        done = self._done({"code": -1003, "msg": text}, status)
        return Answer(status, done.body, {**done.headers, "retry-after": str(retry_after)})

    # -- keys

    def _signed(self, request: Request) -> tuple[Key, Params]:
        key = self.key(request.headers.get("x-mbx-apikey", ""), request.address)
        body = request.body.decode("utf-8", "replace")
        head, _, signature = (body or request.query).rpartition("signature=")
        signed = (request.query + head if body else head).removesuffix("&")
        params = dict(parse_qsl(request.query, keep_blank_values=True))
        params |= dict(parse_qsl(body, keep_blank_values=True))
        self.check_signature(key, signed, signature, params)
        return key, params

    def key(self, name: str, address: str) -> Key:
        """The key of a request. Raises BinanceError: unknown, expired, used from elsewhere."""
        if not name:
            raise BinanceError(-2014, "API-key format invalid.", 401)
        key = self.exchange.keys.get(name)
        if key is None or key.expired or (key.address and key.address != address):
            raise BinanceError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return key

    def check_signature(self, key: Key, signed: str, signature: str, params: Params) -> None:
        """Signature, timestamp and window of a signed request."""
        if not signature:
            payloads.needed({}, "signature")
        good = hmac.new(key.secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(good, signature):
            raise BinanceError(-1022, "Signature for this request is not valid.")
        payloads.needed(params, "timestamp")
        stamp, window = (
            payloads.whole(params, "timestamp") or 0,
            payloads.whole(params, "recvWindow", 5000) or 0,
        )
        if window > 60_000:
            raise BinanceError(-1131, "recvWindow must be less than 60000.")
        now = ms(self.exchange.now())
        if stamp >= now + 1000:
            raise BinanceError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if now - stamp > window:
            raise BinanceError(-1021, "Timestamp for this request is outside of the recvWindow.")

    # -- public endpoints

    def ping(self, params: Params) -> Any:
        """GET ping."""
        del params
        return {}

    def server_time(self, params: Params) -> Any:
        """GET time."""
        del params
        return {"serverTime": ms(self.exchange.now())}

    def exchange_info(self, params: Params) -> Any:
        """GET exchangeInfo."""
        wanted = [params["symbol"]] if params.get("symbol") else list(self.exchange.markets)
        listed = [self.exchange.markets[s] for s in wanted if s in self.exchange.markets]
        if params.get("symbol"):
            self.exchange.market(params["symbol"])
        return {
            "timezone": "UTC",
            "serverTime": ms(self.exchange.now()),
            "rateLimits": payloads.rate_limits(),
            "exchangeFilters": [],
            "symbols": [payloads.symbol_info(m) for m in listed if m.status != "delisted"],
        }

    def system_status(self, params: Params) -> Any:
        """GET system/status."""
        del params
        return {"status": 0, "msg": "normal"}

    def depth(self, params: Params) -> Any:
        """GET depth."""
        market = self.exchange.market(payloads.needed(params, "symbol"))
        limit = payloads.whole(params, "limit", 100) or 100
        return {
            "lastUpdateId": market.update_id,
            "bids": [[padded(p), padded(q)] for p, q in market.levels("buy")[:limit]],
            "asks": [[padded(p), padded(q)] for p, q in market.levels("sell")[:limit]],
        }

    def trades(self, params: Params) -> Any:
        """GET trades."""
        market = self.exchange.market(payloads.needed(params, "symbol"))
        return [
            payloads.public_trade(t)
            for t in list(market.tape)[-(payloads.whole(params, "limit", 500) or 500) :]
        ]

    def agg_trades(self, params: Params) -> Any:
        """GET aggTrades."""
        market = self.exchange.market(payloads.needed(params, "symbol"))
        limit, start = payloads.whole(params, "limit", 500) or 500, payloads.whole(params, "startTime")
        first = payloads.whole(params, "fromId")
        end = payloads.whole(params, "endTime")
        found = [
            t
            for t in market.tape
            if (start is None or ms(t.ts) >= start)
            and (end is None or ms(t.ts) <= end)
            and (first is None or t.number >= first)
        ]
        return [
            payloads.aggregate(t)
            for t in (found[-limit:] if start is None and first is None else found[:limit])
        ]

    def klines(self, params: Params) -> Any:
        """GET klines."""
        market = self.exchange.market(payloads.needed(params, "symbol"))
        minutes = INTERVALS.get(payloads.needed(params, "interval"))
        if minutes is None:
            raise BinanceError(-1120, "Invalid interval.")
        limit = payloads.whole(params, "limit", 500) or 500
        start, end = (
            payloads.whole(params, "startTime", 0) or 0,
            payloads.whole(params, "endTime", 1 << 62) or 0,
        )
        bars = [b for b in market.bars(minutes) if start <= ms(b.start) <= end]
        return [payloads.kline(b, minutes) for b in (bars[:limit] if start else bars[-limit:])]

    def _tickers(self, params: Params, make: Callable[[Any], Any]) -> Any:
        if params.get("symbol"):
            return make(self.exchange.market(params["symbol"]))
        return [make(m) for m in self.exchange.markets.values() if m.status != "delisted"]

    def book_ticker(self, params: Params) -> Any:
        """GET ticker/bookTicker."""
        return self._tickers(params, payloads.book_ticker)

    def day_ticker(self, params: Params) -> Any:
        """GET ticker/24hr."""
        return self._tickers(params, lambda m: payloads.day_ticker(m, self.exchange.now()))

    def price(self, params: Params) -> Any:
        """GET ticker/price."""
        return self._tickers(
            params,
            lambda m: {
                "symbol": m.rules.symbol,
                "price": payloads.day_ticker(m, self.exchange.now())["lastPrice"],
            },
        )

    # -- the account

    def nothing(self, *_: Any) -> Any:
        """What this emulator has none of."""
        return []

    def account(self, params: Params, account: Account, key: Key) -> Any:
        """GET account."""
        bare = params.get("omitZeroBalances") == "true"
        rules = next(iter(self.exchange.markets.values())).rules
        return {
            "makerCommission": int(rules.maker * 10_000),
            "takerCommission": int(rules.taker * 10_000),
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": {
                "maker": padded(rules.maker),
                "taker": padded(rules.taker),
                "buyer": padded(0),
                "seller": padded(0),
            },
            "canTrade": key.trade,
            "canWithdraw": True,
            "canDeposit": True,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": ms(self.exchange.now()),
            "accountType": "SPOT",
            "balances": [
                {"asset": c, "free": padded(h.free), "locked": padded(h.locked)}
                for c, h in sorted(account.holdings.items())
                if h.free or h.locked or not bare
            ],
            "permissions": ["SPOT"],
            "uid": 354_937_868,
        }

    def restrictions(self, params: Params, account: Account, key: Key) -> Any:
        """GET apiRestrictions: what the key may do."""
        del params, account
        return {
            "ipRestrict": key.address is not None,
            "createTime": 1_698_645_219_000,
            "enableInternalTransfer": False,
            "enableFutures": False,
            "enablePortfolioMarginTrading": False,
            "enableVanillaOptions": False,
            "permitsUniversalTransfer": False,
            "enableReading": True,
            "enableSpotAndMarginTrading": key.trade,
            "enableWithdrawals": key.withdraw,
            "enableMargin": False,
        }

    def trade_fee(self, params: Params, account: Account, key: Key) -> Any:
        """GET tradeFee."""
        del account, key
        wanted = params.get("symbol")
        return [
            {"symbol": s, "makerCommission": str(m.rules.maker), "takerCommission": str(m.rules.taker)}
            for s, m in self.exchange.markets.items()
            if wanted in (None, s)
        ]

    # -- orders

    def _count_order(self) -> None:
        for name, limit, seconds, words in (
            ("orders-10s", payloads.ORDERS_10S, 10, f"{payloads.ORDERS_10S} orders per 10 SECOND"),
            ("orders-1d", payloads.ORDERS_1D, 86_400, f"{payloads.ORDERS_1D} orders per 1 DAY"),
        ):
            if self.limiter.spend(name, 1, limit, seconds):
                raise BinanceError(-1015, f"Too many new orders; current limit is {words}.", 429)

    def _own_id(self) -> str:
        return f"emu{self.exchange.fresh_number()}"

    def create(self, params: Params, account: Account, key: Key) -> Any:
        """POST order."""
        del key
        self._count_order()
        kind = params.get("newOrderRespType") or (
            "FULL" if params.get("type") in ("MARKET", "LIMIT") else "ACK"
        )
        if kind not in ("ACK", "RESULT", "FULL"):
            raise BinanceError(-1136, "Invalid newOrderRespType.")
        order = self.exchange.place(account.name, payloads.ticket(params, self._own_id()))
        return payloads.created(order, kind)

    def test(self, params: Params, account: Account, key: Key) -> Any:
        """POST order/test."""
        del key
        self.exchange.check(account.name, payloads.ticket(params, "test"))
        return {}

    def find(self, params: Params, account: Account, name: str = "origClientOrderId") -> Order | None:
        """The order that a request means by orderId or by a client id."""
        self.exchange.market(payloads.needed(params, "symbol"))
        wanted = payloads.whole(params, "orderId")
        if wanted is not None:
            order = self.exchange.orders.get(wanted)
        elif params.get(name):
            order = account.latest.get(params[name])
        else:
            raise BinanceError(-1102, f"Param '{name}' or 'orderId' must be sent, but both were empty/null!")
        mine = order is not None and order.account == account.name
        return order if mine and order and order.ticket.symbol == params["symbol"] else None

    def get(self, params: Params, account: Account, key: Key) -> Any:
        """GET order."""
        del key
        order = self.find(params, account)
        if order is None:
            raise BinanceError(-2013, "Order does not exist.")
        return payloads.looked_up(order)

    def cancel(self, params: Params, account: Account, key: Key) -> Any:
        """DELETE order."""
        del key
        return self._cancel(
            self.find(params, account), payloads.client_id(params, "newClientOrderId", self._own_id())
        )

    def _cancel(self, order: Order | None, cancel_id: str) -> dict[str, Any]:
        if order is None:
            raise DeniedError("gone")
        self.streams.cancel_id = cancel_id
        return payloads.cancelled(self.exchange.cancel(order), cancel_id)

    def cancel_all(self, params: Params, account: Account, key: Key) -> Any:
        """DELETE openOrders."""
        del key
        symbol = payloads.needed(params, "symbol")
        self.exchange.market(symbol)
        orders = self.exchange.open_orders(account.name, symbol)
        if not orders:
            raise DeniedError("gone")
        return [self._cancel(o, self._own_id()) for o in orders]

    def replace(self, params: Params, account: Account, key: Key) -> Any:
        """POST order/cancelReplace."""
        del key
        mode = payloads.needed(params, "cancelReplaceMode")
        named = {**params, "orderId": params.get("cancelOrderId", "")}
        order = self.find(named, account, "cancelOrigClientOrderId")
        data: dict[str, Any] = {}
        try:
            cancel_id = payloads.client_id(params, "cancelNewClientOrderId", self._own_id())
            data |= {"cancelResult": "SUCCESS", "cancelResponse": self._cancel(order, cancel_id)}
        except DeniedError as error:
            data |= {"cancelResult": "FAILURE", "cancelResponse": _words(error)}
            if mode == "STOP_ON_FAILURE":
                data |= {"newOrderResult": "NOT_ATTEMPTED", "newOrderResponse": None}
                return {"code": -2022, "msg": "Order cancel-replace failed.", "data": data}
        try:
            new = self.exchange.place(account.name, payloads.ticket(params, self._own_id()))
            data |= {"newOrderResult": "SUCCESS", "newOrderResponse": payloads.created(new, "FULL")}
            return data
        except DeniedError as error:
            data |= {"newOrderResult": "FAILURE", "newOrderResponse": _words(error)}
            return {"code": -2021, "msg": "Order cancel-replace partially failed.", "data": data}

    def open_orders(self, params: Params, account: Account, key: Key) -> Any:
        """GET openOrders."""
        del key
        symbol = params.get("symbol") or None
        if symbol:
            self.exchange.market(symbol)
        return [payloads.looked_up(o) for o in self.exchange.open_orders(account.name, symbol)]

    def all_orders(self, params: Params, account: Account, key: Key) -> Any:
        """GET allOrders."""
        del key
        symbol, limit = payloads.needed(params, "symbol"), payloads.whole(params, "limit", 500) or 500
        first, start = payloads.whole(params, "orderId"), payloads.whole(params, "startTime", 0) or 0
        found = [o for o in account.orders if o.ticket.symbol == symbol and ms(o.created) >= start]
        if first is not None:
            return [payloads.looked_up(o) for o in [o for o in found if o.number >= first][:limit]]
        return [payloads.looked_up(o) for o in (found[:limit] if start else found[-limit:])]

    def my_trades(self, params: Params, account: Account, key: Key) -> Any:
        """GET myTrades: the newest ``limit``, or from ``fromId`` on the oldest."""
        del key
        symbol, limit = payloads.needed(params, "symbol"), payloads.whole(params, "limit", 500) or 500
        self.exchange.market(symbol)
        first, order = payloads.whole(params, "fromId"), payloads.whole(params, "orderId")
        start, end = (
            payloads.whole(params, "startTime", 0) or 0,
            payloads.whole(params, "endTime", 1 << 62) or 0,
        )
        found = [
            f
            for f in account.fills()
            if f.symbol == symbol and order in (None, f.order) and start <= ms(f.ts) <= end
        ]
        if first is not None:
            found = [f for f in found if f.number >= first]
        oldest = first is not None or start
        return [
            payloads.my_trade(f)
            for f in (found[: min(limit, 1000)] if oldest else found[-min(limit, 1000) :])
        ]


def _words(error: DeniedError) -> dict[str, Any]:
    code, text = payloads.WORDS[error.reason]
    return {"code": code, "msg": text}
