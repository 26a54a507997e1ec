"""Which currency a market is quoted in, as far as its symbol says so.

An account counts in one currency. Prices of BTC-ETH (in BTC) booked as if they were won give a plausible and
wrong result, so markets of two quote currencies are refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# Of two known currencies in a symbol prices are in the one that stands first here: KRW-BTC, BTC-KRW.
RANKED = (
    "KRW", "USDT", "USDC", "FDUSD", "BUSD", "TUSD", "DAI", "USD", "EUR", "GBP", "TRY", "BRL", "AUD", "CAD",
    "CHF", "JPY", "BTC", "ETH", "BNB",
)  # fmt: skip
MONEY = frozenset(("USD", "EUR", "GBP", "AUD", "CAD", "CHF", "JPY", "TRY", "BRL"))
DOLLARS = frozenset(("USD", "USDT", "USDC", "FDUSD", "BUSD", "TUSD", "DAI"))
# BTC-PERP names a contract, not a currency.
CONTRACTS = frozenset(("PERP", "SWAP", "FUT", "FUTURES", "SPOT", "INDEX", "Q", "P", "C"))
# Binance's symbols have no separator; other names (shares) may end like a currency by chance.
JOINED = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "KRW", "BTC", "ETH", "BNB", *sorted(MONEY))


def quote_of(symbol: str, currency: str | None = None) -> str | None:
    """The quote currency of a symbol, None where its name does not tell. ``currency``, the account's where it
    was given, is known besides the usual ones."""
    plain = symbol.partition(":")[0]
    if "/" in plain:
        return plain.rpartition("/")[2] or None
    parts = re.split(r"[-_]", plain)
    if len(parts) == 2 and not any(part in CONTRACTS or any(c.isdigit() for c in part) for part in parts):
        if all(part in MONEY for part in parts):
            return parts[1]  # EUR-USD: pairs of money are written base first
        known = [name for name in RANKED if name in parts]
        if known:
            return known[0]
        return currency if currency in parts else None
    if len(parts) == 1 and len(plain) >= 6 and plain.isupper() and plain.isalnum():
        return next((name for name in JOINED if plain.endswith(name) and len(plain) >= len(name) + 2), None)
    return None


def same_money(one: str, other: str) -> bool:
    """Whether an account in one may count prices in the other: dollars and their tokens are taken as one."""
    return one == other or (one in DOLLARS and other in DOLLARS)


def strangers(symbols: Sequence[str], currency: str | None) -> list[tuple[int, str]]:
    """Places of symbols whose quote currency is not the account's, or not that of the first market, each with
    what is wrong. ``currency`` is the account's, None where it was left out."""
    found = []
    first: tuple[str, str] | None = None
    for i, symbol in enumerate(symbols):
        quote = quote_of(symbol, currency)
        if quote is None:
            continue
        if currency is not None and not same_money(quote, currency):
            text = f'"{symbol}" is quoted in {quote} and the account counts in {currency}'
            found.append((i, f"{text}: its prices are not converted; run it with an account in {quote}"))
        elif first is not None and quote != first[1]:
            text = f'"{symbol}" is quoted in {quote} and "{first[0]}" in {first[1]}'
            found.append((i, f"{text}: an account counts in one currency; run them apart"))
        first = first or (symbol, quote)
    return found
