"""What the emulated exchange deals in: rules of a market, orders, fills, and what it tells about them.

Prices, quantities and money are Decimals; times are int64 nanoseconds since 1970 UTC by the exchange's clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Literal

Side = Literal["buy", "sell"]
Tif = Literal["gtc", "ioc", "fok"]
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Style:
    """How a venue's house rules differ."""

    venue: str
    fee_in: Literal["quote", "received"]  # currency in which a fill is charged
    ids_for_ever: bool  # a client id is refused for good once it was seen; else only while its order is open
    post_only_cancels: bool  # an order that would take is accepted and cancelled; else refused
    dust_cancels: bool  # an order by money with money left over ends as cancelled; else as filled


@dataclass(frozen=True, slots=True)
class Rules:
    """A market's rules. ``bands``: (from price, tick size), rising. ``fees``: maker and taker rates."""

    symbol: str
    base: str
    quote: str
    bands: tuple[tuple[Decimal, Decimal], ...]
    lot: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    min_notional: Decimal
    maker: Decimal
    taker: Decimal
    max_orders: int = 200
    percent: tuple[Decimal, Decimal] | None = None  # lowest and highest limit, as parts of the market's price
    market_max_quantity: Decimal | None = None  # of an order at market, where it is less than max_quantity
    max_notional: Decimal | None = None  # most quote money in an order, None for no bound
    max_at_market: bool = False  # whether max_notional holds for orders at market too

    @property
    def market_most(self) -> Decimal:
        """Largest quantity of an order at market."""
        return self.max_quantity if self.market_max_quantity is None else self.market_max_quantity

    def tick(self, price: Decimal) -> Decimal:
        """The price step at a price."""
        step = self.bands[0][1]
        for start, size in self.bands:
            if price >= start:
                step = size
        return step


class Status(StrEnum):
    """Where an order stands at the exchange."""

    OPEN = "open"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # ended by the exchange: IOC, FOK, nothing left to match


@dataclass(frozen=True, slots=True)
class Ticket:
    """A request for an order. A market order gives ``quantity`` or ``funds`` (quote money), a limit order
    ``quantity`` and ``limit``."""

    symbol: str
    side: Side
    kind: Literal["limit", "market"]
    quantity: Decimal | None = None
    funds: Decimal | None = None
    limit: Decimal | None = None
    tif: Tif = "gtc"
    post_only: bool = False
    client_id: str = ""
    type_name: str = ""  # the venue's own word for the order's type


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution of one order."""

    number: int  # unique at this exchange
    symbol: str
    order: int
    side: Side
    price: Decimal
    quantity: Decimal
    funds: Decimal  # price times quantity
    fee: Decimal
    fee_currency: str
    maker: bool
    ts: int


@dataclass(slots=True)
class Order:
    """An order the exchange accepted."""

    number: int
    account: str
    ticket: Ticket
    created: int
    updated: int
    status: Status = Status.OPEN
    executed: Decimal = ZERO
    funds: Decimal = ZERO  # quote money of all fills
    paid_fee: Decimal = ZERO  # in the currency of the last fill's fee
    reserved_fee: Decimal = ZERO
    locked: Decimal = ZERO  # still locked for it, in the currency it would pay with
    ahead: Decimal = ZERO  # displayed size at its price that was there before it
    fills: list[Fill] = field(default_factory=list)

    @property
    def remaining(self) -> Decimal:
        """Quantity that can still fill; zero for an order by money."""
        return ZERO if self.ticket.quantity is None else self.ticket.quantity - self.executed

    @property
    def average(self) -> Decimal | None:
        """Average price of the fills."""
        return self.funds / self.executed if self.executed else None


@dataclass(frozen=True, slots=True)
class Print:
    """A trade on the public tape."""

    number: int
    price: Decimal
    size: Decimal
    taker: Side
    ts: int


class DeniedError(Exception):
    """The exchange says no; nothing has happened. ``reason`` is ours, each protocol has its own."""

    def __init__(self, reason: str, **facts: object) -> None:
        super().__init__(f"{reason} {facts}" if facts else reason)
        self.reason, self.facts = reason, facts


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """Something happened to an order. ``what``: new, trade, cancelled, expired."""

    order: Order
    what: str
    fill: Fill | None = None


@dataclass(frozen=True, slots=True)
class AssetEvent:
    """An account's balances changed in these currencies."""

    account: str
    currencies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BookEvent:
    """A market's book changed, ``best`` when its best bid or ask did: levels by price, and the numbers of the
    first and last of the changes."""

    symbol: str
    best: bool
    bids: dict[Decimal, Decimal]
    asks: dict[Decimal, Decimal]
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class TapeEvent:
    """A trade was printed."""

    symbol: str
    trade: Print


Event = OrderEvent | AssetEvent | BookEvent | TapeEvent
