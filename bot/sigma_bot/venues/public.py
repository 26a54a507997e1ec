"""What a venue's public WebSocket is asked and says, as pure functions: requests out, events in. Each venue
has its `PublicProtocol` in a file of its own; here is what they share.

ccxt.pro makes the connection and keeps it alive; its own ``watch_*`` are not used. They build whole books
of 15 to 30 levels where a tick needs the best one (what that costs: docs/feed.md), give the time at which a
caller got round to reading rather than that of arrival, and on Bithumb each symbol's request takes the place
of the one before.
"""

from __future__ import annotations

from collections.abc import Collection
from math import isfinite
from typing import Any, NamedTuple, Protocol

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


class PublicProtocol(Protocol):
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


def json_object(message: object) -> dict[str, Any]:
    """A message that must be a JSON object. Raises MalformedError."""
    if not isinstance(message, dict):
        raise MalformedError("", f"{type(message).__name__} where an object is expected")
    return message


def symbol_of(value: object) -> str:
    """A symbol of at most 40 characters. Raises MalformedError."""
    if not isinstance(value, str) or not 0 < len(value) <= 40:
        raise MalformedError("", "no symbol")
    return value


def number(symbol: str, name: str, value: object) -> float:
    """A finite number, however it is written."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise MalformedError(symbol, f"{name} is {str(value)[:40]!r}")
    try:
        found = float(value)
    except (ValueError, OverflowError):
        raise MalformedError(symbol, f"{name} is {str(value)[:40]!r}") from None
    if not isfinite(found):
        raise MalformedError(symbol, f"{name} is {found}")
    return found


def positive(symbol: str, name: str, value: object) -> float:
    """A finite number above zero. Raises MalformedError."""
    found = number(symbol, name, value)
    if found <= 0:
        raise MalformedError(symbol, f"{name} is {found}")
    return found


def size(symbol: str, name: str, value: object) -> float:
    """A finite number of zero or more. Raises MalformedError."""
    found = number(symbol, name, value)
    if found < 0:
        raise MalformedError(symbol, f"{name} is {found}")
    return found


def milliseconds(symbol: str, value: object) -> int:
    """Milliseconds since 1970 as ns."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 10**14:
        raise MalformedError(symbol, f"time is {str(value)[:40]!r}")
    return value * MILLISECOND


def trade_id(symbol: str, value: object) -> int:
    """A whole number of 63 bits. Raises MalformedError."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise MalformedError(symbol, f"trade id is {str(value)[:40]!r}")
    return value


def quote(symbol: str, bid: object, ask: object, bid_size: object, ask_size: object, ts: int) -> Quote:
    """A quote whose bid is not above its ask. Raises MalformedError."""
    found = Quote(
        symbol,
        positive(symbol, "bid", bid),
        positive(symbol, "ask", ask),
        size(symbol, "bid size", bid_size),
        size(symbol, "ask size", ask_size),
        ts,
    )
    if found.bid > found.ask:
        raise MalformedError(symbol, f"bid {found.bid} is above ask {found.ask}")
    return found
