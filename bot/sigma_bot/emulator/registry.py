"""The venues that can be emulated. Each is a folder here, whose ``venue`` says its house rules and markets,
and whose ``protocol`` speaks as the venue does; it is added by its folder and its name below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING

from sigma_bot.errors import BadInputError, nearest

if TYPE_CHECKING:
    from sigma_bot.emulator.exchange import Exchange
    from sigma_bot.emulator.limits import Limiter
    from sigma_bot.emulator.model import Rules, Style
    from sigma_bot.emulator.protocol import VenueProtocol

NAMES = ("upbit", "binance")


@dataclass(frozen=True)
class EmulatedVenue:
    """``opening``: what an account holds at first, by currency. ``symbol``: a market to take when none is
    named. ``rules`` of a symbol; raises BadInputError for one that can't be of this venue."""

    style: Style
    opening: Mapping[str, Decimal]
    symbol: str
    rules: Callable[[str], Rules]
    protocol: Callable[[Exchange, Limiter], VenueProtocol]


def emulated(name: str) -> EmulatedVenue:
    """The emulated venue. BadInputError names those there are."""
    if name not in NAMES:
        there = ", ".join(sorted(NAMES))
        raise BadInputError(f"venue {name!r} has no emulator{nearest(name, NAMES)}; there are {there}")
    venue: EmulatedVenue = import_module(f"{__package__}.{name}.venue").VENUE
    return venue


def rules_for(venue: str, symbols: Iterable[str]) -> list[Rules]:
    """Rules of a venue's symbols. Raises BadInputError for an unknown venue or symbol."""
    return [emulated(venue).rules(symbol) for symbol in symbols]
