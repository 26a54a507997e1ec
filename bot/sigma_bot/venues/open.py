"""From a venue's name to its client."""

from __future__ import annotations

import os

from sigma_bot.venues.capabilities import capabilities
from sigma_bot.venues.ccxt_client import URL_VARIABLE
from sigma_bot.venues.keys import Keys
from sigma_bot.venues.limiter import Limiter
from sigma_bot.venues.types import VenueClient


def open_venue(venue: str, keys: Keys, limiter: Limiter, url: str | None = None) -> VenueClient:
    """The client of a venue, not yet opened. ``url``, else ``SIGMA_VENUE_URL``, names another server that
    speaks the venue's protocol. BadInputError for a venue we do not know."""
    name = capabilities(venue).venue
    address = url or os.environ.get(URL_VARIABLE) or None
    if name == "binance":
        from sigma_bot.venues.binance import BinanceClient

        return BinanceClient(keys, limiter, address)
    if name == "upbit":
        from sigma_bot.venues.upbit import UpbitClient

        return UpbitClient(keys, limiter, address)
    from sigma_bot.venues.bithumb import BithumbClient

    return BithumbClient(keys, limiter, address)
