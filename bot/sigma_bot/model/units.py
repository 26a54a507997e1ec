"""Between the engine's numbers and the journal's Decimals, without a rounding on the way."""

from __future__ import annotations

from decimal import Decimal

from sigma_bot.engine.types import Market
from sigma_bot.engine.venue import band_at


def price_of(market: Market, price: float) -> Decimal:
    """The decimal that a price of the engine stands for; off the grid, its shortest exact form."""
    band = market.bands[band_at(market, price)]
    if band.num == 0:
        return Decimal(repr(price))
    steps: int = round(price * band.den / band.num)
    if steps * band.num / band.den != price:  # a price that the market made, not an order: bars, averages
        return Decimal(repr(price))
    return Decimal(steps * int(band.num)) / int(band.den)


def quantity_of(market: Market, lots: int) -> Decimal:
    """Lots as a quantity."""
    return without_exponent(Decimal(lots * market.lot_num) / market.lot_den)


def money_of(quanta: int, precision: int) -> Decimal:
    """Quanta as money."""
    return without_exponent(Decimal(quanta).scaleb(-precision))


def without_exponent(value: Decimal) -> Decimal:
    """The same number without trailing zeros or an exponent."""
    return Decimal(format(value.normalize(), "f"))
