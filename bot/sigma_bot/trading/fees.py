"""Fees in a currency that is neither the account's nor that of a position: BNB for a trade of BTCUSDT.

They are counted at the market, since equity and the limits on losses must know them. What one unit costs is
told by a market of the bot's own, else by the venue; a fee whose currency has no price yet is owed until it
has one. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sigma_bot.model.conversion import RunContext
from sigma_bot.model.units import without_exponent
from sigma_bot.runtime.decision_engine import DecisionEngine
from sigma_bot.trading.balances import decimals, texts


class ForeignFees:
    """``bases`` names the currency that a symbol's units are; ``stored`` is what ``state`` gave. ``owed`` are
    the fees that are not counted yet, by currency; ``prices`` what the venue told of one unit."""

    def __init__(
        self, decisions: DecisionEngine, run: RunContext, bases: Mapping[str, str], stored: Mapping[str, Any]
    ) -> None:
        self.decisions, self.run, self.bases = decisions, run, bases
        self.owed = decimals(stored.get("feesOwed", {}))
        self.prices: dict[str, Decimal] = {}
        self.met: set[str] = set(self.owed)

    def state(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {"feesOwed": texts(self.owed)} if self.owed else {}

    def quanta(self, currency: str, amount: Decimal) -> int:
        """A fee in quanta of the account; 0 while its currency has no price: it is owed then."""
        if not amount:
            return 0
        self.met.add(currency)
        price = self._price(currency)
        if price is None:
            self.owed[currency] = self.owed.get(currency, Decimal(0)) + amount
            return 0
        return self._in_quanta(amount * price)

    def settle(self, currency: str, price: Decimal) -> tuple[Decimal, int]:
        """The venue told a price: what was owed in this currency, and as quanta."""
        self.prices[currency] = price
        amount = self.owed.pop(currency, Decimal(0))
        return amount, self._in_quanta(amount * price)

    def _price(self, currency: str) -> Decimal | None:
        for symbol, k in self.decisions.symbols.items():
            market = self.decisions.broker.markets[k]
            if self.bases[symbol] == currency and market.mid > 0.0:
                return Decimal(repr(market.mid))
        return self.prices.get(currency)

    def _in_quanta(self, money: Decimal) -> int:
        return int(money.scaleb(self.run.precision).to_integral_value())

    def told(self) -> dict[str, Decimal]:
        """What is owed, for people."""
        return {currency: without_exponent(amount) for currency, amount in self.owed.items()}
