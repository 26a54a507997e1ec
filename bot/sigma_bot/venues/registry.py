"""The venues there are. Each is a folder here: ``rules`` says what is known of it beforehand, ``public`` how
its market data are asked for and read, ``private`` is the client of an account. A venue is added by its
folder and its name below.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from sigma_bot.errors import BadInputError, nearest
from sigma_bot.venues.public import PublicProtocol
from sigma_bot.venues.venue import Venue

NAMES = (
    "upbit",
    "bithumb",
    "binance",
)
VENUES: Mapping[str, Venue] = {name: import_module(f"{__package__}.{name}.rules").VENUE for name in NAMES}


def venue_of(name: str) -> Venue:
    """What is known of a venue. BadInputError names the nearest when there is none."""
    found = VENUES.get(name)
    if found is None:
        known = ", ".join(sorted(VENUES))
        raise BadInputError(f"venue {name!r} is not known{nearest(name, VENUES)}; known: {known}")
    return found


def public_protocol(name: str) -> PublicProtocol:
    """How a venue's market data are asked for. BadInputError names the nearest when there is no such
    venue."""
    protocol: PublicProtocol = import_module(f"{__package__}.{venue_of(name).name}.public").PROTOCOL
    return protocol
