"""The markets and house rules that emulated Upbit knows by itself, as the venue had them in 2026."""

from __future__ import annotations

from decimal import Decimal

from sigma_bot.emulator.model import Rules, Style
from sigma_bot.emulator.registry import EmulatedVenue
from sigma_bot.emulator.upbit.protocol import UpbitProtocol
from sigma_bot.errors import BadInputError

D = Decimal
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


VENUE = EmulatedVenue(
    Style("upbit", "quote", ids_for_ever=True, post_only_cancels=True, dust_cancels=True),
    opening={"KRW": D(100_000_000), "BTC": D(1), "ETH": D(10)},
    symbol="KRW-BTC",
    rules=upbit_rules,
    protocol=UpbitProtocol,
)
