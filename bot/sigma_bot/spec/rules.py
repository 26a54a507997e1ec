"""What a venue asks of an order: price steps, lots, minimums, fees; presets, resolved for a market.

Presets are a convenience for backtests; in LIVE the venue itself is asked. Venues change their tables: each
says when and where it was read. They apply to the whole period of a backtest, also to years in which another
table ruled."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sigma_bot.spec.blocks import Fees, Market
from sigma_bot.spec.units import plain


@dataclass(frozen=True)
class Band:
    """From price ``start`` on, prices are whole multiples of ``num / den`` (lowest terms)."""

    start: Decimal
    num: int
    den: int


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
            "priceBands": [{"from": plain(b.start), "tick": f"{b.num}/{b.den}"} for b in self.bands],
            "lotSize": plain(self.lot_size),
            "minQuantity": plain(self.min_quantity),
            "minNotional": plain(self.min_notional),
            "fees": {name: plain(getattr(self.fees, name)) for name in FeeRules.__dataclass_fields__},
        }


@dataclass(frozen=True)
class _Preset:
    bands: tuple[Band, ...]
    min_notional: Decimal
    fee: Decimal


def band(start: Decimal | str, tick: Decimal | str) -> Band:
    """A band with its step as an integer fraction in lowest terms."""
    num, den = Decimal(tick).as_integer_ratio()
    return Band(Decimal(start), num, den)


def _table(*rows: tuple[str, str]) -> tuple[Band, ...]:
    return tuple(band(start, tick) for start, tick in rows)


_ABOVE_100_WON = (
    ("100", "1"),
    ("5000", "5"),
    ("10000", "10"),
    ("50000", "50"),
    ("100000", "100"),
    ("500000", "500"),
    ("1000000", "1000"),
)
# docs.upbit.com/kr/docs/krw-market-info, table in force since 2025-07-31, read in its version of 2026-05-04;
# below 100 won as others read the same page. USDT/KRW and USDC/KRW have their own steps: give priceBands.
# Fee of won markets 0.05 %, least order 5,000 won.
UPBIT = _Preset(
    _table(
        ("0", "0.00000001"),
        ("0.00001", "0.0000001"),
        ("0.0001", "0.000001"),
        ("0.001", "0.00001"),
        ("0.01", "0.0001"),
        ("0.1", "0.001"),
        ("1", "0.01"),
        ("10", "0.1"),
        *_ABOVE_100_WON,
    ),
    Decimal("5000"),
    Decimal("0.0005"),
)
# Bithumb's help page on price steps as others read it (not seen itself). Fee without a coupon 0.25 %, least
# order 5,000 won.
BITHUMB = _Preset(
    _table(("0", "0.0001"), ("1", "0.01"), *_ABOVE_100_WON),
    Decimal("5000"),
    Decimal("0.0025"),
)
# Binance spot: steps differ by symbol and must be given. Fee of an ordinary account 0.1 %, least order 5 of
# the quote currency in most markets (filter NOTIONAL).
BINANCE = _Preset((), Decimal("5"), Decimal("0.001"))
_NONE = _Preset((), Decimal("0"), Decimal("0.001"))
PRESETS = {"upbit": UPBIT, "bithumb": BITHUMB, "binance": BINANCE, None: _NONE}
DEFAULT_LOT = Decimal("0.00000001")


def market_rules(market: Market) -> MarketRules:
    """The rules of one market: what it says itself, else what its preset says, else the defaults."""
    preset = PRESETS[market.rules]
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
