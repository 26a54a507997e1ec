"""Binance spot, one account: REST through ccxt, the private stream over its WebSocket API."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal

from sigma_bot.times import SECOND
from sigma_bot.venues import error_rows, errors
from sigma_bot.venues.binance import messages
from sigma_bot.venues.binance.rules import VENUE
from sigma_bot.venues.ccxt_client import Wire
from sigma_bot.venues.client import Endpoint, Rest, unknown_market
from sigma_bot.venues.fields import Fields, rows, wire
from sigma_bot.venues.keys import Keys
from sigma_bot.venues.limiter import Limiter
from sigma_bot.venues.stream import StreamSpec, listen
from sigma_bot.venues.types import (
    Balance,
    NewOrder,
    RefusedError,
    StreamBreak,
    VenueError,
    VenueFill,
    VenueMarket,
    VenueOrder,
    nobody,
)

# Weights: rest-api.md of binance/binance-spot-api-docs.
TIME = Endpoint("public_get_time", {"weight": 1})
INFO = Endpoint("public_get_exchangeinfo", {"weight": 20})
PRICES = Endpoint("public_get_ticker_price", {"weight": 4})
PRICE = Endpoint("public_get_ticker_price", {"weight": 2})
ACCOUNT = Endpoint("private_get_account", {"weight": 20})
RESTRICTIONS = Endpoint("sapi_get_account_apirestrictions", {"weight": 1})
CREATE = Endpoint("private_post_order", {"weight": 1, "orders": 1})
CANCEL = Endpoint("private_delete_order", {"weight": 1}, urgent=True)
FIND = Endpoint("private_get_order", {"weight": 4}, urgent=True)
TRADES = Endpoint("private_get_mytrades", {"weight": 20}, urgent=True)
OPEN_ORDERS = Endpoint("private_get_openorders", {"weight": 6}, urgent=True)
PAGE = 1000
"""Most trades in an answer."""
SOCKET = "wss://ws-api.binance.com:443/ws-api/v3"
AHEAD_NS = SECOND
"""Binance refuses timestamps that are further ahead of its clock."""


class BinanceClient:
    """See `VenueClient`. ``url``: another server of the same protocol (an emulator), else Binance itself."""

    capabilities = VENUE.capabilities

    def __init__(self, keys: Keys, limiter: Limiter, url: str | None = None) -> None:
        base = url.rstrip("/") if url else ""
        urls = {"public": f"{base}/api/v3", "private": f"{base}/api/v3", "sapi": f"{base}/sapi/v1"}
        self._keys = keys
        self._socket = "ws" + base.removeprefix("http") + "/ws-api/v3" if url else SOCKET
        self._wire = Wire("binance", keys, urls if url else {}, limiter.told)
        self._rest = Rest(self._wire, limiter)
        preset = VENUE.preset.fee
        self._fees = (preset, preset)

    async def open(self) -> None:
        """See `VenueClient`."""
        await self._wire.open()
        try:
            await self._check_clock()
            await self._check_account()
            await self._check_permissions()
        except BaseException:
            await self._rest.close()
            raise

    async def close(self) -> None:
        """See `VenueClient`."""
        await self._rest.close()

    async def _check_clock(self) -> None:
        offset = await self.clock_offset_ns()
        window = self.capabilities.signed_window_ms * 1_000_000
        if not -AHEAD_NS < offset < window:
            raise RefusedError(
                f"binance: {errors.clocks(offset)}; at most {window / 1e9:.1f} s behind and "
                f"{AHEAD_NS / 1e9:.1f} s ahead will do: let chrony or NTP set it",
                error_rows.CLOCK,
            )

    async def _check_account(self) -> None:
        def read(answer: object) -> bool:
            account = Fields(answer, "account")
            self._fees = messages.commission(account) or self._fees
            return account.flag("canTrade")

        if not await self._rest.ask(ACCOUNT, self._signed(omitZeroBalances="true"), read):
            raise RefusedError("binance: the account may not trade (canTrade is false)", "permission")

    async def _check_permissions(self) -> None:
        def read(answer: object) -> tuple[bool, bool]:
            told = Fields(answer, "apiRestrictions")
            return told.flag("enableSpotAndMarginTrading"), told.flag("enableWithdrawals")

        trade, withdraw = await self._rest.ask(RESTRICTIONS, self._signed(), read)
        if withdraw:
            raise RefusedError(
                "binance: this API key may withdraw money; take that permission away, or make a key that may "
                "only trade",
                "withdrawal",
            )
        if not trade:
            raise RefusedError(
                "binance: this API key may not trade; switch on 'Enable Spot & Margin Trading'", "permission"
            )

    def _signed(self, **params: object) -> dict[str, object]:
        return {**params, "recvWindow": self.capabilities.signed_window_ms}

    async def market(self, symbol: str) -> VenueMarket:
        """See `VenueClient`."""
        try:
            return await self._rest.ask(
                INFO,
                {"symbol": symbol},
                lambda a: messages.market(Fields(a, "exchangeInfo"), symbol, self._fees),
            )
        except RefusedError as refused:
            if refused.code not in (error_rows.UNKNOWN_MARKET, "-1100"):
                raise
        raise unknown_market("binance", symbol, await self._symbols())

    async def _symbols(self) -> list[str]:
        """Every symbol, from the shortest answer that has them; [] when it can't be had, for it is a hint."""
        try:
            return await self._rest.ask(
                PRICES, {}, lambda a: [row.text("symbol") for row in rows(a, "prices")]
            )
        except VenueError:
            return []

    async def price(self, currency: str, quote: str) -> Decimal | None:
        """See `VenueClient`. A market of the two, or one that has them the other way round."""
        straight = await self._last_price(currency + quote)
        if straight is not None:
            return straight
        reverse = await self._last_price(quote + currency)
        return None if reverse is None else 1 / reverse

    async def _last_price(self, symbol: str) -> Decimal | None:
        try:
            return await self._rest.ask(
                PRICE, {"symbol": symbol}, lambda a: Fields(a, "price").number("price") or None
            )
        except RefusedError as refused:
            if refused.code not in (error_rows.UNKNOWN_MARKET, "-1100"):
                raise
        return None

    async def clock_offset_ns(self) -> int:
        """See `VenueClient`."""
        return await self._rest.clock_offset_ns(TIME, lambda a: Fields(a, "time").ms("serverTime"))

    async def balances(self) -> dict[str, Balance]:
        """See `VenueClient`."""
        return await self._rest.ask(
            ACCOUNT, self._signed(omitZeroBalances="true"), lambda a: messages.balances(Fields(a, "account"))
        )

    async def create(
        self, order: NewOrder, deadline_ns: int, writing: Callable[[], None] = nobody
    ) -> tuple[VenueOrder, list[VenueFill]]:
        """See `VenueClient`."""

        def read(answer: object) -> tuple[VenueOrder, list[VenueFill]]:
            fields = Fields(answer, "order")
            placed = messages.order(fields)
            messages.same(placed, order.client_id, order.symbol)
            return placed, messages.fills_of_new(fields, placed)

        return await self._rest.ask(CREATE, self._signed(**new_order(order)), read, deadline_ns, writing)

    async def cancel(self, symbol: str, client_id: str, venue_id: str | None) -> None:
        """See `VenueClient`."""
        await self._rest.ask(CANCEL, self._signed(symbol=symbol, **_which(client_id, venue_id)), _anything)

    async def find(self, symbol: str, client_id: str, venue_id: str | None) -> VenueOrder | None:
        """See `VenueClient`."""

        def read(answer: object) -> VenueOrder:
            found = messages.order(Fields(answer, "order"), client_id)
            messages.same(found, client_id, symbol, venue_id)
            return found

        try:
            return await self._rest.ask(
                FIND, self._signed(symbol=symbol, **_which(client_id, venue_id)), read
            )
        except RefusedError as refused:
            if refused.code != error_rows.ABSENT:
                raise
        return None

    async def fills(self, symbol: str, order: VenueOrder) -> list[VenueFill]:
        """See `VenueClient`."""
        found: dict[str, VenueFill] = {}
        params: dict[str, object] = {"symbol": symbol, "orderId": order.venue_id, "limit": PAGE}
        while True:
            page = await self._rest.ask(
                TRADES,
                self._signed(**params),
                lambda a: [messages.trade(row, order) for row in rows(a, "myTrades")],
            )
            found.update((fill.trade_id, fill) for fill in page)
            if len(page) < PAGE:
                return sorted(found.values(), key=lambda fill: int(fill.trade_id))
            params["fromId"] = max(int(fill.trade_id) for fill in page) + 1

    async def open_orders(self, symbol: str) -> list[VenueOrder]:
        """See `VenueClient`. Binance gives them all in one answer."""
        return await self._rest.ask(
            OPEN_ORDERS,
            self._signed(symbol=symbol),
            lambda a: [messages.order(row) for row in rows(a, "openOrders")],
        )

    async def stream(self) -> AsyncIterator[VenueOrder | VenueFill | StreamBreak]:
        """See `VenueClient`."""
        session = self._wire.session
        if session is None:
            raise RuntimeError("stream() before open()")
        line = StreamSpec("binance", self._socket, dict, self._hello, messages.event, messages.subscribed)
        async for event in listen(session, line):
            yield event

    def _hello(self) -> str:
        """The request for this account's events; the WebSocket API's own, for listen keys are no more."""
        key, secret = self._keys.reveal()
        signed = f"apiKey={key}&timestamp={time.time_ns() // 1_000_000}"
        signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
        params = dict(part.split("=") for part in signed.split("&")) | {"signature": signature}
        method = "userDataStream.subscribe.signature"
        return json.dumps({"id": "events", "method": method, "params": params})


def new_order(order: NewOrder) -> dict[str, object]:
    """The parameters of POST /api/v3/order."""
    params: dict[str, object] = {
        "symbol": order.symbol,
        "side": order.side.upper(),
        "quantity": wire(order.quantity),
        "newClientOrderId": order.client_id,
        "newOrderRespType": "FULL",
    }
    if order.limit is None:
        return {**params, "type": "MARKET"}
    params["price"] = wire(order.limit)
    if order.post_only:
        return {**params, "type": "LIMIT_MAKER"}
    return {**params, "type": "LIMIT", "timeInForce": order.tif.upper()}


def _which(client_id: str, venue_id: str | None) -> dict[str, object]:
    """By the venue's number where it is known: after a cancel the venue may show another client id."""
    return {"orderId": venue_id} if venue_id else {"origClientOrderId": client_id}


def _anything(answer: object) -> None:
    Fields(answer, "answer")


CLIENT = BinanceClient
