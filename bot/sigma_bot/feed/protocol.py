"""What each venue's public WebSocket is asked and says, as pure functions: requests out, events in.

ccxt.pro makes the connection and keeps it alive; its own ``watch_*`` are not used. They build whole books
of 15 to 30 levels where a tick needs the best one (what that costs: docs/feed.md), give the time at which a
caller got round to reading rather than that of arrival, and on Bithumb each symbol's request takes the place
of the one before. Sources: the notes of each class.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple, Protocol

from sigma_bot.errors import BadInputError, nearest
from sigma_bot.times import MILLISECOND


class Quote(NamedTuple):
    """Best bid and ask. ``exchange_ts`` ns UTC, 0 where the venue does not say."""

    symbol: str
    bid: float
    ask: float
    bid_size: float
    ask_size: float
    exchange_ts: int


class Trade(NamedTuple):
    """One trade; ``id`` is unique in its market."""

    symbol: str
    price: float
    size: float
    exchange_ts: int
    id: int


class MalformedError(ValueError):
    """A message that cannot be what the venue means. ``symbol`` is empty where it cannot be told."""

    def __init__(self, symbol: str, why: str) -> None:
        super().__init__(f"{symbol or 'message'}: {why}")
        self.symbol = symbol


class RefusalError(Exception):
    """The venue's own error about a request, in its words."""


class Dialect(Protocol):
    """One venue's public stream. Symbols are the venue's own."""

    @property
    def venue(self) -> str:
        """ccxt's name of the venue."""

    @property
    def listing_endpoint(self) -> str:
        """ccxt's method that lists the markets."""

    @property
    def time_endpoint(self) -> str:
        """ccxt's method that tells the venue's time; empty where there is none."""

    def url(self, urls: Any) -> str:
        """The stream's address in ccxt's ``urls['api']``."""

    def requests(self, symbols: Collection[str], before: Collection[str]) -> list[object]:
        """What to send so that exactly ``symbols`` come, ``before`` being asked for already."""

    def read(self, message: object) -> Quote | Trade | None:
        """A message's meaning; None for acknowledgements, pongs and repeats. Raises MalformedError or
        RefusalError."""

    @property
    def quotes_endpoint(self) -> str:
        """ccxt's method for the quotes of now; empty where subscribing brings them."""

    def quotes(self, answer: object) -> list[Quote]:
        """The quotes in the answer of ``quotes_endpoint``; odd rows are left out."""

    def markets(self, listing: object) -> set[str]:
        """The symbols in the answer of ``listing_endpoint``."""


def _object(message: object) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise MalformedError("", f"{type(message).__name__} where an object is expected")
    return message


def _symbol(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 40:
        raise MalformedError("", "no symbol")
    return value


def _number(symbol: str, name: str, value: object) -> float:
    """A finite number, however it is written."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise MalformedError(symbol, f"{name} is {str(value)[:40]!r}")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise MalformedError(symbol, f"{name} is {str(value)[:40]!r}") from None
    if not isfinite(number):
        raise MalformedError(symbol, f"{name} is {number}")
    return number


def _price(symbol: str, name: str, value: object) -> float:
    number = _number(symbol, name, value)
    if number <= 0:
        raise MalformedError(symbol, f"{name} is {number}")
    return number


def _size(symbol: str, name: str, value: object) -> float:
    number = _number(symbol, name, value)
    if number < 0:
        raise MalformedError(symbol, f"{name} is {number}")
    return number


def _time(symbol: str, value: object) -> int:
    """Milliseconds since 1970 as ns."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 10**14:
        raise MalformedError(symbol, f"time is {str(value)[:40]!r}")
    return value * MILLISECOND


def _id(symbol: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise MalformedError(symbol, f"trade id is {str(value)[:40]!r}")
    return value


def _quote(symbol: str, bid: object, ask: object, bid_size: object, ask_size: object, ts: int) -> Quote:
    quote = Quote(
        symbol,
        _price(symbol, "bid", bid),
        _price(symbol, "ask", ask),
        _size(symbol, "bid size", bid_size),
        _size(symbol, "ask size", ask_size),
        ts,
    )
    if quote.bid > quote.ask:
        raise MalformedError(symbol, f"bid {quote.bid} is above ask {quote.ask}")
    return quote


@dataclass(frozen=True)
class _Korean:
    """Upbit, and Bithumb's second generation, which speaks the same.

    docs.upbit.com/kr/reference/websocket-guide: a request names every code and takes the place of the one
    before; an order book is a full snapshot; on subscribing the newest trade is repeated as SNAPSHOT.
    """

    venue: str
    address: Callable[[Any], str]
    listing_endpoint: str
    time_endpoint: str = ""  # neither has one
    quotes_endpoint: str = ""

    def quotes(self, answer: object) -> list[Quote]:
        """See Dialect."""
        del answer
        return []

    def url(self, urls: Any) -> str:
        """See Dialect."""
        return self.address(urls)

    def requests(self, symbols: Collection[str], before: Collection[str]) -> list[object]:
        """See Dialect."""
        del before
        codes = sorted(symbols)
        asked = [{"type": kind, "codes": codes} for kind in ("orderbook", "trade")]
        return [[{"ticket": secrets.token_hex(8)}, *asked]]

    def read(self, message: object) -> Quote | Trade | None:
        """See Dialect."""
        body = _object(message)
        kind = body.get("type")
        if kind == "orderbook":
            return self._book(body)
        if kind == "trade":
            return self._trade(body)
        error = body.get("error")
        if isinstance(error, dict):
            raise RefusalError(f"{str(error.get('name'))[:80]}: {str(error.get('message'))[:200]}")
        if "status" in body:  # the answer to a text ping
            return None
        raise MalformedError("", f"type is {str(kind)[:40]!r}")

    def _book(self, body: dict[str, Any]) -> Quote | None:
        symbol = _symbol(body.get("code"))
        units = body.get("orderbook_units")
        if not isinstance(units, list) or (units and not isinstance(units[0], dict)):
            raise MalformedError(symbol, "no orderbook_units")
        if not units:
            return None  # an empty book has no quote
        best = units[0]
        return _quote(
            symbol,
            best.get("bid_price"),
            best.get("ask_price"),
            best.get("bid_size"),
            best.get("ask_size"),
            _time(symbol, body.get("timestamp")),
        )

    def _trade(self, body: dict[str, Any]) -> Trade | None:
        symbol = _symbol(body.get("code"))
        if body.get("stream_type") == "SNAPSHOT":
            return None
        return Trade(
            symbol,
            _price(symbol, "price", body.get("trade_price")),
            _size(symbol, "size", body.get("trade_volume")),
            _time(symbol, body.get("trade_timestamp")),
            _id(symbol, body.get("sequential_id")),
        )

    def markets(self, listing: object) -> set[str]:
        """See Dialect."""
        rows = listing if isinstance(listing, list) else []
        return {row["market"] for row in rows if isinstance(row, dict) and isinstance(row.get("market"), str)}


@dataclass(frozen=True)
class _Binance:
    """Binance spot. binance-spot-api-docs, web-socket-streams.md: bookTicker (no time) and trade."""

    venue: str = "binance"
    listing_endpoint: str = "publicGetExchangeInfo"
    time_endpoint: str = "publicGetTime"
    quotes_endpoint: str = "publicGetTickerBookTicker"

    def quotes(self, answer: object) -> list[Quote]:
        """See Dialect."""
        found = []
        for row in answer if isinstance(answer, list) else []:
            try:
                symbol = _symbol(row.get("symbol"))
                prices = (row.get("bidPrice"), row.get("askPrice"))
                found.append(_quote(symbol, *prices, row.get("bidQty"), row.get("askQty"), 0))
            except (AttributeError, MalformedError):
                continue  # an empty book, or no row of quotes
        return found

    def url(self, urls: Any) -> str:
        """See Dialect."""
        return str(urls["ws"]["spot"])

    def requests(self, symbols: Collection[str], before: Collection[str]) -> list[object]:
        """See Dialect."""
        wanted, had = set(symbols), set(before)
        changes = (("SUBSCRIBE", wanted - had), ("UNSUBSCRIBE", had - wanted))
        return [
            {"method": method, "params": _streams(some), "id": number}
            for number, (method, some) in enumerate(changes, 1)
            if some
        ]

    def read(self, message: object) -> Quote | Trade | None:
        """See Dialect."""
        body = _object(message)
        if "stream" in body:
            body = _object(body.get("data"))
        kind = body.get("e")
        if kind == "trade":
            symbol = _symbol(body.get("s"))
            return Trade(
                symbol,
                _price(symbol, "price", body.get("p")),
                _size(symbol, "size", body.get("q")),
                _time(symbol, body.get("T")),
                _id(symbol, body.get("t")),
            )
        if kind is None and "A" in body:
            symbol = _symbol(body.get("s"))
            if _number(symbol, "bid", body.get("b")) == 0 or _number(symbol, "ask", body.get("a")) == 0:
                return None  # one side of the book is empty
            return _quote(symbol, body.get("b"), body.get("a"), body.get("B"), body.get("A"), 0)
        error = body.get("error", body)
        if isinstance(error, dict) and "code" in error and "msg" in error:
            raise RefusalError(f"{str(error['code'])[:20]}: {str(error['msg'])[:200]}")
        if "result" in body:  # an acknowledgement
            return None
        raise MalformedError("", f"event is {str(kind)[:40]!r}")

    def markets(self, listing: object) -> set[str]:
        """See Dialect."""
        rows = listing.get("symbols") if isinstance(listing, dict) else None
        return {
            row["symbol"]
            for row in rows or ()
            if isinstance(row, dict) and isinstance(row.get("symbol"), str)
        }


def _streams(symbols: Collection[str]) -> list[str]:
    return [f"{s.lower()}@{kind}" for s in sorted(symbols) for kind in ("bookTicker", "trade")]


DIALECTS: dict[str, Dialect] = {
    "binance": _Binance(),
    "bithumb": _Korean("bithumb", lambda urls: str(urls["ws"]["publicGen2"]), "publicGetV1MarketAll"),
    "upbit": _Korean("upbit", lambda urls: str(urls["ws"]), "publicGetMarketAll"),
}


def dialect(venue: str) -> Dialect:
    """How the venue speaks. BadInputError names the nearest when it is not known."""
    if venue not in DIALECTS:
        raise BadInputError(
            f"venue {venue!r} has no feed{nearest(venue, DIALECTS)}; known: {', '.join(sorted(DIALECTS))}"
        )
    return DIALECTS[venue]
