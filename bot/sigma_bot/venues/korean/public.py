"""The public stream of Upbit, and of Bithumb's second generation, which speaks the same."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from sigma_bot.venues.public import (
    MalformedError,
    Quote,
    RefusalError,
    Trade,
    json_object,
    milliseconds,
    positive,
    quote,
    size,
    symbol_of,
    trade_id,
)


@dataclass(frozen=True)
class KoreanPublic:
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
        """See PublicProtocol."""
        del answer
        return []

    def url(self, urls: Any) -> str:
        """See PublicProtocol."""
        return self.address(urls)

    def requests(self, symbols: Collection[str], before: Collection[str]) -> list[object]:
        """See PublicProtocol."""
        del before
        codes = sorted(symbols)
        asked = [{"type": kind, "codes": codes} for kind in ("orderbook", "trade")]
        return [[{"ticket": secrets.token_hex(8)}, *asked]]

    def read(self, message: object) -> Quote | Trade | None:
        """See PublicProtocol."""
        body = json_object(message)
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
        symbol = symbol_of(body.get("code"))
        units = body.get("orderbook_units")
        if not isinstance(units, list) or (units and not isinstance(units[0], dict)):
            raise MalformedError(symbol, "no orderbook_units")
        if not units:
            return None  # an empty book has no quote
        best = units[0]
        return quote(
            symbol,
            best.get("bid_price"),
            best.get("ask_price"),
            best.get("bid_size"),
            best.get("ask_size"),
            milliseconds(symbol, body.get("timestamp")),
        )

    def _trade(self, body: dict[str, Any]) -> Trade | None:
        symbol = symbol_of(body.get("code"))
        if body.get("stream_type") == "SNAPSHOT":
            return None
        return Trade(
            symbol,
            positive(symbol, "price", body.get("trade_price")),
            size(symbol, "size", body.get("trade_volume")),
            milliseconds(symbol, body.get("trade_timestamp")),
            trade_id(symbol, body.get("sequential_id")),
        )

    def markets(self, listing: object) -> set[str]:
        """See PublicProtocol."""
        rows = listing if isinstance(listing, list) else []
        return {row["market"] for row in rows if isinstance(row, dict) and isinstance(row.get("market"), str)}
