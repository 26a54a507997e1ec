"""The public stream of Binance spot."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sigma_bot.venues.public import (
    MalformedError,
    Quote,
    RefusalError,
    Trade,
    json_object,
    milliseconds,
    number,
    positive,
    quote,
    size,
    symbol_of,
    trade_id,
)


@dataclass(frozen=True)
class BinancePublic:
    """Binance spot. binance-spot-api-docs, web-socket-streams.md: bookTicker (no time) and trade."""

    venue: str = "binance"
    listing_endpoint: str = "publicGetExchangeInfo"
    time_endpoint: str = "publicGetTime"
    quotes_endpoint: str = "publicGetTickerBookTicker"

    def quotes(self, answer: object) -> list[Quote]:
        """See PublicProtocol."""
        found = []
        for row in answer if isinstance(answer, list) else []:
            try:
                symbol = symbol_of(row.get("symbol"))
                prices = (row.get("bidPrice"), row.get("askPrice"))
                found.append(quote(symbol, *prices, row.get("bidQty"), row.get("askQty"), 0))
            except (AttributeError, MalformedError):
                continue  # an empty book, or no row of quotes
        return found

    def url(self, urls: Any) -> str:
        """See PublicProtocol."""
        return str(urls["ws"]["spot"])

    def requests(self, symbols: Collection[str], before: Collection[str]) -> list[object]:
        """See PublicProtocol."""
        wanted, had = set(symbols), set(before)
        changes = (("SUBSCRIBE", wanted - had), ("UNSUBSCRIBE", had - wanted))
        return [
            {"method": method, "params": _streams(some), "id": number}
            for number, (method, some) in enumerate(changes, 1)
            if some
        ]

    def read(self, message: object) -> Quote | Trade | None:
        """See PublicProtocol."""
        body = json_object(message)
        if "stream" in body:
            body = json_object(body.get("data"))
        kind = body.get("e")
        if kind == "trade":
            symbol = symbol_of(body.get("s"))
            return Trade(
                symbol,
                positive(symbol, "price", body.get("p")),
                size(symbol, "size", body.get("q")),
                milliseconds(symbol, body.get("T")),
                trade_id(symbol, body.get("t")),
            )
        if kind is None and "A" in body:
            symbol = symbol_of(body.get("s"))
            if number(symbol, "bid", body.get("b")) == 0 or number(symbol, "ask", body.get("a")) == 0:
                return None  # one side of the book is empty
            return quote(symbol, body.get("b"), body.get("a"), body.get("B"), body.get("A"), 0)
        error = body.get("error", body)
        if isinstance(error, dict) and "code" in error and "msg" in error:
            raise RefusalError(f"{str(error['code'])[:20]}: {str(error['msg'])[:200]}")
        if "result" in body:  # an acknowledgement
            return None
        raise MalformedError("", f"event is {str(kind)[:40]!r}")

    def markets(self, listing: object) -> set[str]:
        """See PublicProtocol."""
        rows = listing.get("symbols") if isinstance(listing, dict) else None
        return {
            row["symbol"]
            for row in rows or ()
            if isinstance(row, dict) and isinstance(row.get("symbol"), str)
        }


def _streams(symbols: Collection[str]) -> list[str]:
    return [f"{s.lower()}@{kind}" for s in sorted(symbols) for kind in ("bookTicker", "trade")]


PROTOCOL = BinancePublic()
