"""The client of Upbit and Bithumb: one account, REST through ccxt, the private stream beside it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from sigma_bot.venues import error_rows, errors
from sigma_bot.venues.ccxt_client import Wire
from sigma_bot.venues.client import Endpoint, Rest, unknown_market
from sigma_bot.venues.fields import UNREADABLE, Fields, MalformedError, rows
from sigma_bot.venues.keys import Keys
from sigma_bot.venues.korean import bands as rules
from sigma_bot.venues.korean import messages
from sigma_bot.venues.korean.messages import Dialect
from sigma_bot.venues.limiter import Limiter
from sigma_bot.venues.stream import Event, StreamSpec, listen
from sigma_bot.venues.types import (
    Balance,
    Capabilities,
    NewOrder,
    OrderSizes,
    RefusedError,
    StreamBreak,
    TransientError,
    UnknownError,
    VenueError,
    VenueFill,
    VenueMarket,
    VenueOrder,
    nobody,
)

PAGE = 100
"""Most orders in an answer."""
NO_KEY = ("key", "permission", "address")
"""Codes of refusals that no other request would escape."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """A venue's endpoints as ccxt names them. None: the venue has no such thing."""

    accounts: Endpoint
    chance: Endpoint
    create: Endpoint
    cancel: Endpoint
    find: Endpoint
    open_orders: Endpoint
    markets: Endpoint
    ticker: Endpoint
    instruments: Endpoint | None
    test: Endpoint | None
    open_params: Mapping[str, object]


class KoreaClient:
    """See `VenueClient`."""

    capabilities: Capabilities
    _dialect: Dialect
    _paths: Endpoints
    _socket: str  # address of the venue's own private stream
    _socket_path: str

    def __init__(self, keys: Keys, limiter: Limiter, url: str | None = None) -> None:
        base = url.rstrip("/") if url else ""
        urls = {"public": base, "private": base} if url else {}
        self._wire = Wire(self._dialect.venue, keys, urls, limiter.told)
        self._rest = Rest(self._wire, limiter)
        self._keys = keys
        if url:
            self._socket = "ws" + base.removeprefix("http") + self._socket_path
        self._markets: dict[str, VenueMarket] = {}

    async def open(self) -> None:
        """See `VenueClient`."""
        await self._wire.open()
        try:
            await self.balances()
            await self._check_trading()
        except BaseException:
            await self._rest.close()
            raise

    async def close(self) -> None:
        """See `VenueClient`."""
        await self._rest.close()

    async def _check_trading(self) -> None:
        """Neither venue lists a key's permissions. Upbit has an order that is only tested: of what it answers
        only a no to the key itself matters."""
        if self._paths.test is None:
            return
        test = {"market": "KRW-BTC", "side": "bid", "volume": "1", "price": "10000", "ord_type": "limit"}
        try:
            await self._rest.ask(self._paths.test, test, _anything)
        except RefusedError as refused:
            if refused.code in NO_KEY:
                raise
        except VenueError:
            return  # the first order will tell

    async def market(self, symbol: str) -> VenueMarket:
        """See `VenueClient`."""
        quote, _, base = symbol.partition("-")
        if not quote or not base:
            raise unknown_market(self._dialect.venue, symbol, await self._symbols())
        try:
            told = await self._rest.ask(
                self._paths.chance, {"market": symbol}, lambda a: messages.chance(Fields(a, "chance"), symbol)
            )
        except RefusedError as refused:
            if refused.code in NO_KEY:
                raise
            symbols = await self._symbols()
            if symbol in symbols:
                raise
            raise unknown_market(self._dialect.venue, symbol, symbols) from None
        tick, price = await self._tick(symbol), await self._price(symbol)
        minimum = told.minimum
        if minimum is None:
            minimum = rules.preset_minimum(self._dialect.venue, told.quote)
        self._markets[symbol] = VenueMarket(
            symbol=symbol,
            base=told.base,
            quote=told.quote,
            bands=rules.bands_told(self._dialect.venue, told.quote, tick, price),
            lot_size=rules.LOT,
            min_quantity=rules.LOT,
            min_notional=minimum,
            active=told.active,
            maker_fee=told.maker_fee,
            taker_fee=told.taker_fee,
            sizes=OrderSizes(notional=told.maximum, market_notional=told.maximum),
        )
        return self._markets[symbol]

    async def _symbols(self) -> list[str]:
        """Every market, for a hint; [] when it can't be had."""
        try:
            return await self._rest.ask(
                self._paths.markets, {}, lambda a: [row.text("market") for row in rows(a, "markets")]
            )
        except VenueError:
            return []

    async def _tick(self, symbol: str) -> Decimal | None:
        """The venue's price step at the present price, None when it does not tell."""
        if self._paths.instruments is None:
            return None

        return await self._hint(self._paths.instruments, symbol, "tick_size")

    async def _price(self, symbol: str) -> Decimal | None:
        """The last price, None when it can't be had."""
        return await self._hint(self._paths.ticker, symbol, "trade_price")

    async def _hint(self, endpoint: Endpoint, symbol: str, name: str) -> Decimal | None:
        """A number of a market from a public list, None when it can't be had."""

        def read(answer: object) -> Decimal | None:
            for row in rows(answer, name):
                if row.text("market") == symbol:
                    return row.number(name).normalize() or None  # a new market has no price yet
            raise MalformedError(f"{name} without {symbol}")

        try:
            return await self._rest.ask(endpoint, {"markets": symbol}, read)
        except VenueError:
            return None

    async def price(self, currency: str, quote: str) -> Decimal | None:
        """See `VenueClient`."""
        return await self._price(f"{quote}-{currency}")

    async def clock_offset_ns(self) -> int:
        """See `VenueClient`. These venues tell their time in the Date header only: exact to half a second."""
        with contextlib.suppress(RefusedError):  # which has a date too
            await self._rest.ask(self._paths.ticker, {"markets": "KRW-BTC"}, _anything_at_all)
        offset = self._wire.date_offset_ns
        if offset is None:
            raise errors.malformed(self._dialect.venue, MalformedError("an answer without a Date"))
        return offset

    async def balances(self) -> dict[str, Balance]:
        """See `VenueClient`."""
        held = await self._rest.ask(
            self._paths.accounts, {}, lambda a: [messages.balance(row) for row in rows(a, "accounts")]
        )
        return {b.currency: b for b in held if b.free or b.locked}

    async def create(
        self, order: NewOrder, deadline_ns: int, writing: Callable[[], None] = nobody
    ) -> tuple[VenueOrder, list[VenueFill]]:
        """See `VenueClient`. The answer tells that it was taken, not how it fills."""
        bands: rules.Bands = ()
        if order.limit is None and order.side == "buy":
            bands = await self._bands(order.symbol)
        params = messages.new_order(self._dialect, order, bands)

        limit = Decimal(str(params["price"])) if "price" in params else None

        def read(answer: object) -> VenueOrder:
            return messages.placed(self._dialect, Fields(answer, "order"), order, limit)

        return await self._rest.ask(self._paths.create, params, read, deadline_ns, writing), []

    async def _bands(self, symbol: str) -> rules.Bands:
        """The price steps of a market, as last read. Should they have to be asked for and not be told,
        nothing of the order has been sent yet."""
        known = self._markets.get(symbol)
        if known is None:
            try:
                known = await self.market(symbol)
            except UnknownError as error:
                raise TransientError(str(error), error_rows.UNSENT) from None
        return known.bands

    async def cancel(self, symbol: str, client_id: str, venue_id: str | None) -> None:  # noqa: ARG002
        """See `VenueClient`."""
        which = {self._dialect.cancel_id: venue_id} if venue_id else {self._dialect.identifier: client_id}
        try:
            await self._rest.ask(self._paths.cancel, which, _anything)
        except RefusedError as refused:
            if refused.code == error_rows.ABSENT:
                raise RefusedError(str(refused), error_rows.GONE) from None
            raise

    async def find(self, symbol: str, client_id: str, venue_id: str | None) -> VenueOrder | None:
        """See `VenueClient`."""
        found = await self._lookup(symbol, client_id, venue_id)
        return None if found is None else found[0]

    async def _lookup(
        self, symbol: str, client_id: str, venue_id: str | None
    ) -> tuple[VenueOrder, Fields] | None:
        """The order, and the answer it was read from."""

        def read(answer: object) -> tuple[VenueOrder, Fields]:
            fields = Fields(answer, "order")
            found = messages.order(self._dialect, fields, client_id)
            messages.same(found, client_id, symbol, venue_id)
            return found, fields

        which = {"uuid": venue_id} if venue_id else {self._dialect.identifier: client_id}
        try:
            return await self._rest.ask(self._paths.find, which, read)
        except RefusedError as refused:
            if refused.code != error_rows.ABSENT:
                raise
        return None

    async def fills(self, symbol: str, order: VenueOrder) -> list[VenueFill]:
        """See `VenueClient`. The order itself holds all of them."""
        found = await self._lookup(symbol, order.client_id, order.venue_id)
        if found is None:
            return []
        try:
            return messages.fills(found[1], found[0])
        except UNREADABLE as odd:
            raise errors.malformed(self._dialect.venue, odd) from None

    async def open_orders(self, symbol: str) -> list[VenueOrder]:
        """See `VenueClient`. Read until a page is not full."""
        found: dict[str, VenueOrder] = {}
        page = 1
        while True:
            params = {"market": symbol, "page": page, "limit": PAGE, **self._paths.open_params}
            rows_read = await self._rest.ask(
                self._paths.open_orders,
                params,
                lambda a: [messages.order(self._dialect, row) for row in rows(a, "open orders")],
            )
            found.update((order.venue_id, order) for order in rows_read)
            if len(rows_read) < PAGE:
                return list(found.values())
            page += 1

    async def stream(self) -> AsyncIterator[VenueOrder | VenueFill | StreamBreak]:
        """See `VenueClient`."""
        session = self._wire.session
        if session is None:
            raise RuntimeError("stream() before open()")
        line = StreamSpec(self._dialect.venue, self._socket, self._token, _subscribe, self._event)
        async for event in listen(session, line):
            yield event

    def _token(self) -> dict[str, str]:
        """A fresh token for each connection."""
        ccxt = self._wire.ccxt
        key, secret = self._keys.reveal()
        claims = {"access_key": key, "nonce": ccxt.uuid(), **self._claims()}
        return {"Authorization": "Bearer " + ccxt.jwt(claims, secret.encode(), "sha256")}

    def _claims(self) -> dict[str, object]:
        """What else the venue's token holds."""
        return {}

    def _event(self, message: object) -> list[Event]:
        fields = Fields(message, "message")
        if "error" in fields:
            error = fields.object("error")
            raise errors.from_answer(
                self._dialect.venue, 0, error.text("name", ""), error.text("message", "")
            )
        if fields.text("type", "") != "myOrder":
            return []  # the answer to a ping, or another stream
        return messages.report(self._dialect, fields)


def _subscribe() -> str:
    import json
    import uuid

    return json.dumps([{"ticket": str(uuid.uuid4())}, {"type": "myOrder"}, {"format": "DEFAULT"}])


def _anything(answer: object) -> None:
    Fields(answer, "answer")


def _anything_at_all(answer: object) -> None:
    """Only that there was an answer counts."""
