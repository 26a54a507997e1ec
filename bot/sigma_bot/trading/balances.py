"""What a bot's fills did to the balances of its account. Pure; money and quantities as Decimals."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sigma_bot.model.orders import OrderRow
from sigma_bot.venues.types import VenueFill


class AccountBalances:
    """``currency`` is the account's; ``bases`` names the currency that a symbol's units are; ``stored`` is
    what ``state`` gave. ``opening`` is None until the venue's balances were seen; ``changes`` are those of
    this bot's fills."""

    def __init__(self, currency: str, bases: Mapping[str, str], stored: Mapping[str, Any]) -> None:
        self.currency, self.bases = currency, bases
        self.opening = decimals(stored["opening"]) if "opening" in stored else None
        self.changes = decimals(stored.get("moved", {}))

    def state(self) -> dict[str, Any]:
        """As plain JSON values."""
        out = {"moved": texts(self.changes)}
        return out if self.opening is None else {**out, "opening": texts(self.opening)}

    def apply_fill(self, row: OrderRow, fill: VenueFill) -> None:
        """Count a fill of this bot."""
        sign = 1 if row.side == "buy" else -1
        money = fill.quantity * fill.price
        for currency, amount in (
            (self.bases[row.symbol], sign * fill.quantity),
            (self.currency, -sign * money),
            (fill.fee_currency, -fill.fee),
        ):
            self.changes[currency] = self.changes.get(currency, Decimal(0)) + amount

    def differences(self, balances: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """By currency, what the account holds beyond its opening balance and this bot's fills: other bots of
        the account, deposits, trades by hand. The first balances seen are the opening ones."""
        currencies = {self.currency, *self.bases.values()}
        own = {c: balances.get(c, Decimal(0)) - self.changes.get(c, Decimal(0)) for c in currencies}
        if self.opening is None:
            self.opening = dict(own)
        found = {c: own[c] - self.opening.get(c, Decimal(0)) for c in currencies}
        return {c: value for c, value in found.items() if value}


def decimals(stored: Mapping[str, str]) -> dict[str, Decimal]:
    """Of ``texts``."""
    return {name: Decimal(text) for name, text in stored.items()}


def texts(values: Mapping[str, Decimal]) -> dict[str, str]:
    """As JSON holds them exactly."""
    return {name: str(value) for name, value in values.items()}
