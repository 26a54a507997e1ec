"""What every venue is asked and answers, in one vocabulary. Symbols are the venue's own ("KRW-BTC",
"BTCUSDT"); prices, quantities and money are Decimals; times are int64 nanoseconds since 1970 UTC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol

from sigma_bot.errors import SigmaError


class VenueError(SigmaError):
    """A venue's no, or its silence. ``code`` is the venue's own name or number of the error."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class RefusedError(VenueError):
    """The venue definitely did not do it, and would not the next time either: balance, grid, key, market."""


class TransientError(VenueError):
    """The venue definitely did not do it, but may later (rate limit, maintenance), ``after`` seconds."""

    def __init__(self, text: str, code: str = "", after: float = 1.0) -> None:
        super().__init__(text, code)
        self.after = after


class UnknownError(VenueError):
    """The venue may have done it: no answer, a 5xx, a cut line. To be looked up, never sent again blindly."""


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order as it is sent. A market order has no ``limit``; ``reference`` is the quote it was judged at
    (venues that take market buys by money need it)."""

    client_id: str
    symbol: str
    side: Literal["buy", "sell"]
    kind: Literal["market", "limit"]
    quantity: Decimal
    limit: Decimal | None
    tif: Literal["gtc", "ioc", "fok"]
    post_only: bool
    reference: Decimal


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order as the venue reports it. ``filled`` is what the venue says in total, never to be added up."""

    client_id: str  # "" when the venue does not tell
    venue_id: str
    symbol: str
    side: str
    status: Literal["open", "filled", "cancelled", "expired", "refused"]
    quantity: Decimal
    filled: Decimal
    limit: Decimal | None
    ts: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class VenueFill:
    """One execution, with what it alone cost."""

    trade_id: str
    client_id: str  # "" when the venue does not tell
    venue_id: str  # of the order
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_currency: str
    maker: bool
    ts: int


@dataclass(frozen=True, slots=True)
class StreamBreak:
    """The private stream was lost and is back: whatever happened meanwhile must be asked for."""

    reason: str


@dataclass(frozen=True, slots=True)
class Balance:
    """One currency at the venue."""

    currency: str
    free: Decimal
    locked: Decimal


@dataclass(frozen=True, slots=True)
class PriceLimits:
    """Where an order's limit may lie. Lowest and highest price, and for buys and sells the lowest and highest
    part of the market's price. 0 is no bound."""

    lowest: Decimal = Decimal(0)
    highest: Decimal = Decimal(0)
    buy: tuple[Decimal, Decimal] = (Decimal(0), Decimal(0))
    sell: tuple[Decimal, Decimal] = (Decimal(0), Decimal(0))

    def allows(self, side: str, limit: Decimal, price: Decimal) -> bool:
        """Whether the venue takes a limit while the market is at ``price``."""
        low, high = self.buy if side == "buy" else self.sell
        lowest, highest = max(self.lowest, low * price), high * price
        if self.highest:
            highest = min(highest or self.highest, self.highest)
        return limit >= lowest and (not highest or limit <= highest)


@dataclass(frozen=True, slots=True)
class OrderSizes:
    """The largest order that a venue takes: in units, as a market order and in quote money. 0 is no bound."""

    quantity: Decimal = Decimal(0)
    market_quantity: Decimal = Decimal(0)
    notional: Decimal = Decimal(0)
    market_notional: Decimal = Decimal(0)

    def largest(self, market: bool, price: Decimal) -> Decimal:
        """Most units in one order at ``price``, 0 for as many as one likes."""
        bounds = [self.quantity, self.market_quantity if market else Decimal(0)]
        notional = self.market_notional if market else self.notional
        if notional and price > 0:
            bounds.append(notional / price)
        return min((bound for bound in bounds if bound), default=Decimal(0))


@dataclass(frozen=True, slots=True)
class VenueMarket:
    """The venue's own rules for a symbol, read at run time. ``bands``: (from price, step); ``max_position``:
    most units that may be held and asked for, 0 for no bound."""

    symbol: str
    base: str
    quote: str
    bands: tuple[tuple[Decimal, Decimal], ...]
    lot_size: Decimal
    min_quantity: Decimal
    min_notional: Decimal
    active: bool  # False: suspended or delisted
    maker_fee: Decimal
    taker_fee: Decimal
    sizes: OrderSizes = OrderSizes()
    prices: PriceLimits = PriceLimits()
    max_position: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a venue does with an order that comes late."""

    venue: str
    signed_window_ms: int  # a request older than this is refused by the venue; 0: it has no such window
    late_arrival_s: float  # after this long an order that was not found has not arrived


def nobody() -> None:
    """Hears that a request is about to be written, when nobody else wants to."""


class VenueClient(Protocol):
    """A venue with one account's keys. Every call may raise VenueError of one of the three kinds; anything
    else it raises is a bug."""

    capabilities: Capabilities

    async def open(self) -> None:
        """Connect, read the markets, check the keys: trading permission there, withdrawal permission not."""

    async def close(self) -> None:
        """Give everything back."""

    async def market(self, symbol: str) -> VenueMarket:
        """The rules of a symbol. RefusedError names the nearest symbol when it is unknown."""

    async def price(self, currency: str, quote: str) -> Decimal | None:
        """What one unit of a currency costs in another at the last price; None when no market tells."""

    async def clock_offset_ns(self) -> int:
        """The venue's clock less ours."""

    async def balances(self) -> dict[str, Balance]:
        """What the account holds, by currency."""

    async def create(
        self, order: NewOrder, deadline_ns: int, writing: Callable[[], None] = nobody
    ) -> tuple[VenueOrder, list[VenueFill]]:
        """Send one order. Nothing is written to the socket after ``deadline_ns`` (time.monotonic_ns):
        TransientError then, with code "late". ``writing`` is called right before the first byte is."""

    async def cancel(self, symbol: str, client_id: str, venue_id: str | None) -> None:
        """Ask for a cancel. RefusedError with code "gone" when the order is not open any more."""

    async def find(self, symbol: str, client_id: str, venue_id: str | None) -> VenueOrder | None:
        """Look one order up, None when the venue does not know it."""

    async def fills(self, symbol: str, order: VenueOrder) -> list[VenueFill]:
        """All fills of an order, every page."""

    async def open_orders(self, symbol: str) -> list[VenueOrder]:
        """All open orders of a symbol, foreign ones too, every page."""

    def stream(self) -> AsyncIterator[VenueOrder | VenueFill | StreamBreak]:
        """The private stream, reconnected for ever; every loss gives a StreamBreak."""
