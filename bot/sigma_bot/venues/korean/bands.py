"""Rules of won markets that ccxt does not know: price steps by price, least order. The venue itself is asked;
the presets of each venue's rules are what is left when it does not tell."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from sigma_bot.venues.registry import venue_of

Bands = tuple[tuple[Decimal, Decimal], ...]
"""(from price, step), by rising price."""
LOT = Decimal("0.00000001")
"""Upbit and Bithumb take eight decimals of a coin in every market."""
COLLAR = Decimal("0.02")
"""How far above the quote a market buy may pay; see `market_buy_limit`."""


def preset_bands(venue: str) -> Bands:
    """The price steps of a venue's won markets as last read by us."""
    return tuple((b.start, Decimal(b.num) / b.den) for b in venue_of(venue).preset.bands)


def preset_minimum(venue: str, quote: str) -> Decimal:
    """The least value of an order in markets of this quote currency."""
    rules = venue_of(venue)
    return Decimal(rules.minimums.get(quote, rules.preset.min_notional))


def step_at(bands: Bands, price: Decimal) -> Decimal:
    """The price step at a price."""
    return next((step for start, step in reversed(bands) if price >= start), bands[0][1])


def bands_told(venue: str, quote: str, tick: Decimal | None, price: Decimal | None) -> Bands:
    """The price steps, given the step that the venue tells for the market's present price.

    The step agrees with the preset table: the whole table holds. It does not (KRW-USDT, or a table that was
    changed since): the told step alone, which holds around the present price."""
    if quote != "KRW":
        return ((Decimal(0), tick or LOT),)
    table = preset_bands(venue)
    if tick is None or (price is None and tick in {step for _, step in table}):
        return table
    if price is not None and step_at(table, price) == tick:
        return table
    return ((Decimal(0), tick),)


def market_buy_limit(bands: Bands, reference: Decimal) -> Decimal:
    """The price of the limit order that stands for a market buy.

    These venues take market buys by money only: the quantity comes out more or less than was asked for, and
    what is left over is too small to sell. A limit order above the quote that must fill at once (IOC) buys
    the exact quantity, and pays at most the collar."""
    price = reference * (1 + COLLAR)
    step = step_at(bands, price)
    return (price / step).to_integral_value(ROUND_CEILING) * step
