"""The markets and house rules the emulator knows by itself, as the venues had them in 2026."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from sigma_bot.emulator.model import Rules, Style
from sigma_bot.errors import BadInputError

D = Decimal
STYLES = {
    "binance": Style("binance", "received", ids_for_ever=False, post_only_cancels=False, dust_cancels=False),
    "upbit": Style("upbit", "quote", ids_for_ever=True, post_only_cancels=True, dust_cancels=True),
}
# from price, tick size
KRW_BANDS = tuple(
    (D(start), D(step))
    for start, step in (
        ("0", "0.00000001"), ("0.00001", "0.0000001"), ("0.0001", "0.000001"), ("0.001", "0.00001"),
        ("0.01", "0.0001"), ("0.1", "0.001"), ("1", "0.01"), ("10", "0.1"), ("100", "1"), ("1000", "1"),
        ("5000", "5"), ("10000", "10"), ("50000", "50"), ("100000", "100"), ("500000", "500"),
        ("1000000", "1000"),
    )
)  # fmt: skip
QUOTES = ("USDT", "USDC", "FDUSD", "BTC", "ETH", "BNB", "EUR", "TRY")
LOTS = {"BTC": "0.00001", "ETH": "0.0001", "BNB": "0.001", "SOL": "0.001"}
OPENING = {
    "binance": {"USDT": D(100_000), "BTC": D(1), "ETH": D(10), "BNB": D(10)},
    "upbit": {"KRW": D(100_000_000), "BTC": D(1), "ETH": D(10)},
}


def binance_rules(symbol: str, tick: str = "0.01") -> Rules:
    """Rules of a Binance symbol such as BTCUSDT."""
    for quote in QUOTES:
        if symbol.isalnum() and symbol.endswith(quote) and symbol != quote:
            base = symbol[: -len(quote)]
            return Rules(
                symbol, base, quote, ((D(0), D(tick)),), D(LOTS.get(base, "0.01")),
                min_quantity=D(LOTS.get(base, "0.01")), max_quantity=D(9000), min_notional=D(5),
                maker=D("0.001"), taker=D("0.001"), percent=(D("0.2"), D(5)),
            )  # fmt: skip
    raise BadInputError(f"symbol {symbol!r} is no Binance symbol we know the currencies of; as in BTCUSDT")


def upbit_rules(symbol: str) -> Rules:
    """Rules of an Upbit market such as KRW-BTC."""
    quote, _, base = symbol.partition("-")
    if not base or quote not in ("KRW", "BTC", "USDT"):
        raise BadInputError(f"symbol {symbol!r} is no Upbit market; as in KRW-BTC")
    bands = KRW_BANDS if quote == "KRW" else ((D(0), D("0.00000001")),)
    minimum = {"KRW": D(5000), "BTC": D("0.00005"), "USDT": D("0.5")}[quote]
    fee = D("0.0005") if quote == "KRW" else D("0.0025")
    return Rules(
        symbol, base, quote, bands, D("0.00000001"), D("0.00000001"), D(1_000_000_000), minimum, fee, fee,
        max_orders=10_000,
    )  # fmt: skip


def rules_for(venue: str, symbols: Iterable[str]) -> list[Rules]:
    """Rules of a venue's symbols. Raises BadInputError for an unknown venue or symbol."""
    if venue not in STYLES:
        raise BadInputError(f"venue {venue!r} has no emulator; there are {', '.join(STYLES)}")
    make = binance_rules if venue == "binance" else upbit_rules
    return [make(s) for s in symbols]
