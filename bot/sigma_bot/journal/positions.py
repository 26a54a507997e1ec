"""Positions from fills, in exact decimals, at average cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, localcontext

from sigma_bot.model.orders import FillRow

ZERO = Decimal(0)


@dataclass(slots=True)
class Position:
    """What the fills of one symbol add up to. Money is in the bot's currency.

    ``quantity`` is negative for a short position; ``realized`` is without fees, which stand in ``fees`` by
    currency. A fee taken in the coin itself lessens the quantity, as it does at the venue.
    """

    symbol: str
    quantity: Decimal = ZERO
    cost: Decimal = ZERO  # of what is held: quantity times average price, its sign included
    realized: Decimal = ZERO
    fees: dict[str, Decimal] = field(default_factory=dict)
    fills: int = 0

    @property
    def average(self) -> Decimal | None:
        """Average price of what is held, None when nothing is."""
        with localcontext(prec=40):
            return self.cost / self.quantity if self.quantity else None

    def add(self, fill: FillRow, currency: str) -> None:
        """Take another fill of this symbol, later than those before."""
        with localcontext(prec=40):
            signed = fill.quantity if fill.side == "buy" else -fill.quantity
            if self.quantity * signed < 0:
                signed = self._reduce(signed, fill.price)
            self.quantity += signed
            self.cost += signed * fill.price
            self.fees[fill.fee_currency] = self.fees.get(fill.fee_currency, ZERO) + fill.fee
            if _in_coin(fill, currency):
                # The coin paid for keeps its cost: what is left of it cost that much.
                self.quantity -= fill.fee
            self.fills += 1

    def _reduce(self, signed: Decimal, price: Decimal) -> Decimal:
        """Close with an opposite fill; what is left of the fill."""
        closed = min(abs(signed), abs(self.quantity))
        share = self.cost * closed / abs(self.quantity)
        way = 1 if self.quantity > 0 else -1
        self.realized += way * closed * price - share
        self.quantity -= way * closed
        self.cost = self.cost - share if self.quantity else ZERO
        return signed + way * closed


def _in_coin(fill: FillRow, currency: str) -> bool:
    """Whether the fee was taken from what was traded: BTC of KRW-BTC or BTCUSDT; not BNB of BTCUSDT."""
    fee, symbol = fill.fee_currency, fill.symbol
    return fee not in (currency, "") and (symbol.startswith(fee) or symbol.endswith(f"-{fee}"))


def positions(fills: Iterable[FillRow], currency: str) -> list[Position]:
    """A position for every symbol that was ever traded, by symbol; ``fills`` the oldest first."""
    held: dict[str, Position] = {}
    for fill in fills:
        held.setdefault(fill.symbol, Position(fill.symbol)).add(fill, currency)
    return [held[symbol] for symbol in sorted(held)]
