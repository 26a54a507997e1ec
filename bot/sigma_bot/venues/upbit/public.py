"""The public stream of Upbit."""

from __future__ import annotations

from sigma_bot.venues.korean.public import KoreanPublic

PROTOCOL = KoreanPublic("upbit", lambda urls: str(urls["ws"]), "publicGetMarketAll")
