"""From a venue's name to its client."""

from __future__ import annotations

import os

from sigma_bot.venues.capabilities import capabilities
from sigma_bot.venues.ccxt_client import URL_VARIABLE
from sigma_bot.venues.keys import Keys, load_keys, no_core_dumps
from sigma_bot.venues.limiter import Limiter, LocalLimiter
from sigma_bot.venues.types import VenueClient


def open_venue(venue: str, keys: Keys, limiter: Limiter, url: str | None = None) -> VenueClient:
    """The client of a venue, not yet opened. ``url``, else ``SIGMA_VENUE_URL``, names another server that
    speaks the venue's protocol. The client closes the limiter. BadInputError for a venue we do not know."""
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


async def open_venue_from_environment(venue: str) -> VenueClient:
    """The client of a venue, opened, with keys, limiter and address from the environment: ``SIGMA_KEYS_DIR``
    or ``SIGMA_API_KEY`` and ``SIGMA_API_SECRET``; ``SIGMA_REDIS_URL``; ``SIGMA_VENUE_URL``. From here on this
    process leaves no core dump. BadInputError without keys, VenueError when the venue refuses them."""
    name = capabilities(venue).venue
    no_core_dumps()
    keys = load_keys()
    redis_url = os.environ.get("SIGMA_REDIS_URL")
    limiter: Limiter = LocalLimiter(name)
    if redis_url:
        from sigma_bot.venues.limiter_redis import connect

        limiter = connect(name, redis_url, keys.fingerprint())
    client = open_venue(name, keys, limiter)
    await client.open()
    return client
