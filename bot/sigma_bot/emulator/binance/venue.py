"""The markets and house rules that emulated Binance knows by itself, as the venue had them in 2026."""

from __future__ import annotations

from decimal import Decimal

from sigma_bot.emulator.binance.protocol import BinanceProtocol
from sigma_bot.emulator.model import Rules, Style
from sigma_bot.emulator.registry import EmulatedVenue
from sigma_bot.errors import BadInputError

D = Decimal
QUOTES = ("USDT", "USDC", "FDUSD", "BTC", "ETH", "BNB", "EUR", "TRY")
LOTS = {"BTC": "0.00001", "ETH": "0.0001", "BNB": "0.001", "SOL": "0.001"}


def binance_rules(symbol: str, tick: str = "0.01") -> Rules:
    """Rules of a Binance symbol such as BTCUSDT."""
    for quote in QUOTES:
        if symbol.isalnum() and symbol.endswith(quote) and symbol != quote:
            base = symbol[: -len(quote)]
            return Rules(
                symbol, base, quote, ((D(0), D(tick)),), D(LOTS.get(base, "0.01")),
                min_quantity=D(LOTS.get(base, "0.01")), max_quantity=D(9000),
                min_notional=D(5), max_notional=D(9_000_000), maker=D("0.001"), taker=D("0.001"),
                percent=(D("0.2"), D(5)),
            )  # fmt: skip
    raise BadInputError(f"symbol {symbol!r} is no Binance symbol we know the currencies of; as in BTCUSDT")


VENUE = EmulatedVenue(
    Style("binance", "received", ids_for_ever=False, post_only_cancels=False, dust_cancels=False),
    opening={"USDT": D(100_000), "BTC": D(1), "ETH": D(10), "BNB": D(10)},
    symbol="BTCUSDT",
    rules=binance_rules,
    protocol=BinanceProtocol,
)
