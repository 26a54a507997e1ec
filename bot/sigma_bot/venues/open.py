"""From a venue's name to its client."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module

from sigma_bot.venues.ccxt_client import URL_VARIABLE
from sigma_bot.venues.keys import FOLDER_VARIABLE, Keys, load_keys, no_core_dumps
from sigma_bot.venues.limiter import Limiter, LocalLimiter
from sigma_bot.venues.registry import venue_of
from sigma_bot.venues.types import VenueClient


def open_venue(venue: str, keys: Keys, limiter: Limiter, url: str | None = None) -> VenueClient:
    """The client of a venue, not yet opened. ``url``, else ``SIGMA_VENUE_URL``, names another server that
    speaks the venue's protocol. The client closes the limiter. BadInputError for a venue we do not know."""
    module = import_module(f"{__package__}.{venue_of(venue).name}.private")  # its libraries load here
    client: VenueClient = module.CLIENT(keys, limiter, url or os.environ.get(URL_VARIABLE) or None)
    return client


def connector(venue: str, redis_url: str | None) -> Callable[[], VenueClient]:
    """Makes clients of a venue, not yet opened, with the keys that the environment refers to and the limiter
    that all processes on ``redis_url`` share (None: this process alone). Keys in files are read anew each
    time, so that a rotated Secret is followed. From here on this process leaves no core dump. BadInputError
    for a venue we do not know."""
    name = venue_of(venue).name
    no_core_dumps()
    known: list[Keys] = []

    def connect() -> VenueClient:
        if not known or FOLDER_VARIABLE in os.environ:
            known[:] = [load_keys()]
        limiter: Limiter = LocalLimiter(name)
        if redis_url:
            from sigma_bot.venues.limiter_redis import connect as shared

            limiter = shared(name, redis_url, known[0].fingerprint())
        return open_venue(name, known[0], limiter)

    return connect
