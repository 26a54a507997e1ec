"""Accounts of the emulated exchange: balances with locks, and the keys that open them."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from sigma_bot.emulator.model import ZERO, DeniedError, Fill, Order


@dataclass(slots=True)
class Holding:
    """One currency: what is free and what open orders have locked."""

    free: Decimal = ZERO
    locked: Decimal = ZERO


@dataclass(slots=True)
class Key:
    """An API key. ``address``: the only address it may be used from, None for any."""

    key: str
    secret: str
    account: str
    trade: bool = True
    withdraw: bool = False
    expired: bool = False
    address: str | None = None
    nonces: set[str] = field(default_factory=set, repr=False)


@dataclass(slots=True)
class Account:
    """One customer."""

    name: str
    holdings: dict[str, Holding] = field(default_factory=dict)
    opening: dict[str, Decimal] = field(default_factory=dict)  # everything ever paid in, by currency
    orders: list[Order] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)  # client ids ever sent
    latest: dict[str, Order] = field(default_factory=dict)  # by client id
    fee_currency: str = ""  # pays its fees in this, where it has enough of it; "": as the venue does
    fee_price: Decimal = Decimal(1)  # quote money for one of it

    def holding(self, currency: str) -> Holding:
        """The balance of a currency; zero when never held."""
        return self.holdings.setdefault(currency, Holding())

    def pay_in(self, currency: str, amount: Decimal) -> None:
        """Add money from outside (negative: take out)."""
        self.holding(currency).free += amount
        self.opening[currency] = self.opening.get(currency, ZERO) + amount

    def lock(self, order: Order, currency: str, amount: Decimal) -> None:
        """Set money aside for an order, or refuse for lack of it."""
        holding = self.holding(currency)
        if amount > holding.free:
            raise DeniedError("balance", currency=currency, needed=amount, free=holding.free)
        holding.free -= amount
        holding.locked += amount
        order.locked = amount

    def settle(self, order: Order, fill: Fill, base: str, quote: str, share: Decimal) -> None:
        """Exchange what a fill exchanges. ``share``: what of the order's lock the fill uses up; a better
        price than the lock was made for goes back to free."""
        gain, pay = self.holding(base), self.holding(quote)
        if fill.side == "buy":
            pay.locked -= share
            pay.free += share - fill.funds
            gain.free += fill.quantity
        else:
            gain.locked -= share
            pay.free += fill.funds
        self.holding(fill.fee_currency).free -= fill.fee
        order.locked -= share

    def release(self, order: Order, currency: str) -> None:
        """Give back what an ended order still locks."""
        holding = self.holding(currency)
        holding.locked -= order.locked
        holding.free += order.locked
        order.locked = ZERO

    def fills(self) -> list[Fill]:
        """Every fill, oldest first."""
        return sorted((f for o in self.orders for f in o.fills), key=lambda f: f.number)
