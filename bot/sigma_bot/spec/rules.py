"""What a market asks of an order: price steps, lots, minimums, fees, from the manifest and its venue's
preset."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sigma_bot.decimals import fixed_point
from sigma_bot.spec.blocks import Fees, Market
from sigma_bot.venues.registry import venue_of
from sigma_bot.venues.venue import Band, Preset, band


@dataclass(frozen=True)
class FeeRules:
    """Fractions of a fill's value, and money per unit and order."""

    maker: Decimal
    taker: Decimal
    per_unit: Decimal
    minimum: Decimal
    fixed: Decimal


@dataclass(frozen=True)
class MarketRules:
    """The rules one market is run with. No bands: prices are on no grid."""

    symbol: str
    bands: tuple[Band, ...]
    lot_size: Decimal
    min_quantity: Decimal
    min_notional: Decimal
    fees: FeeRules

    @property
    def tick_size(self) -> Decimal | None:
        """The price step where there is just one."""
        return Decimal(self.bands[0].num) / self.bands[0].den if len(self.bands) == 1 else None

    def describe(self) -> dict[str, object]:
        """The rules as plain JSON values, for reports and digests."""
        return {
            "symbol": self.symbol,
            "priceBands": [{"from": fixed_point(b.start), "tick": f"{b.num}/{b.den}"} for b in self.bands],
            "lotSize": fixed_point(self.lot_size),
            "minQuantity": fixed_point(self.min_quantity),
            "minNotional": fixed_point(self.min_notional),
            "fees": {name: fixed_point(getattr(self.fees, name)) for name in FeeRules.__dataclass_fields__},
        }


NO_PRESET = Preset((), Decimal("0"), Decimal("0.001"))
DEFAULT_LOT = Decimal("0.00000001")


def market_rules(market: Market) -> MarketRules:
    """The rules of one market: what it says itself, else what its preset says, else the defaults."""
    preset = NO_PRESET if market.rules is None else venue_of(market.rules).preset
    lot = market.lot_size if market.lot_size is not None else DEFAULT_LOT
    return MarketRules(
        symbol=market.symbol,
        bands=_bands(market) or preset.bands,
        lot_size=lot,
        min_quantity=max(lot, market.min_quantity or Decimal(0)),
        min_notional=preset.min_notional if market.min_notional is None else market.min_notional,
        fees=_fees(market.fees if market.fees is not None else Fees(taker=preset.fee)),
    )


def _bands(market: Market) -> tuple[Band, ...]:
    if market.tick_size is not None:
        return (band("0", market.tick_size),)
    return tuple(band(b.start, b.tick) for b in market.price_bands)


def _fees(fees: Fees) -> FeeRules:
    maker = fees.taker if fees.maker is None else fees.maker
    return FeeRules(maker, fees.taker, fees.per_unit, fees.minimum, fees.fixed)
