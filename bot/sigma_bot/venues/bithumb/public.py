"""The public stream of Bithumb, second generation."""

from __future__ import annotations

from sigma_bot.venues.korean.public import KoreanPublic

PROTOCOL = KoreanPublic("bithumb", lambda urls: str(urls["ws"]["publicGen2"]), "publicGetV1MarketAll")
