"""The records of the engine: ticks, bars, orders, fills, account.

Units: times are int64 nanoseconds since 1970 UTC; prices are floats that equal the venue's decimal exactly
(``i * num / den`` on the grid); quantities are integer lots; money (notional, fee, cash, profit) is integer
quanta of ``10 ** -precision`` of the account's currency, so adding it up never rounds.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Self

from sigma_bot.kernel.struct import Struct, array

MAX_SYMBOLS = 16
MAX_TIMEFRAMES = 8
MAX_ORDERS = 128
MAX_BANDS = 24
MAX_SAMPLES = 256
# The event queue holds what happens between two drains: the loop hands it over above DRAIN, one row may send
# orders until BUDGET events have happened in it, and what is left is more than one matching of every open
# order can emit. The budget counts from the row's start, so it does not depend on when the queue was drained.
MAX_EVENTS, DRAIN, BUDGET = 2048, 512, 768
# Funding payments inside one row: hourly ones in a month's bar.
MAX_PAYMENTS = 1024

NEVER = 9_000_000_000_000_000_000
FAR = 1e300


class Coded(IntEnum):
    """A number in the engine's records with the text that people and files have for it."""

    text: str

    def __new__(cls, value: int, text: str = "") -> Self:
        """A member, equal to its number."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.text = text
        return member

    @classmethod
    def texts(cls) -> tuple[str, ...]:
        """The texts by number, empty where there is no member."""
        return tuple(cls(i).text if i in cls._value2member_map_ else "" for i in range(max(cls) + 1))


class OrderType(Coded):
    """How an order acts."""

    MARKET = 0, "market"
    LIMIT = 1, "limit"
    STOP = 2, "stop"
    STOP_LIMIT = 3, "stop-limit"
    TRAIL = 4, "trailing-stop"


class TimeInForce(Coded):
    """How long an order stands."""

    GTC = 0, "gtc"
    IOC = 1, "ioc"
    FOK = 2, "fok"
    GTD = 3, "gtd"


class OrderState(Coded):
    """Where an order is in the engine; FREE is a slot without one, HELD waits for its parent's fill."""

    FREE = 0, "free"
    PENDING = 1, "pending"
    WORKING = 2, "working"
    HELD = 3, "held"
    DONE = 4, "done"


class EventType(Coded):
    """What an event tells of an order, or of the account."""

    NEW = 1, "new"
    REJECT = 2, "reject"
    FILL = 3, "fill"
    CANCEL = 4, "cancel"
    MODIFY = 5, "modify"
    EXPIRE = 6, "expire"
    TRIGGER = 7, "trigger"
    FUNDING = 8, "funding"
    LIQUIDATE = 9, "liquidate"


class Reason(Coded):
    """Why an order was rejected or cancelled."""

    OK = 0, ""
    HALTED = 1, "halted"
    QUANTITY = 2, "quantity is zero or negative"
    POSITION = 3, "maximum position"
    NOTIONAL = 4, "maximum order notional"
    OPEN_ORDERS = 5, "too many open orders"
    RATE = 6, "too many orders a minute"
    COLLAR = 7, "price collar"
    DAILY_LOSS = 8, "daily loss limit"
    DRAWDOWN = 9, "drawdown limit"
    FUNDS = 10, "insufficient funds"
    STALE = 11, "stale quote"
    MIN_QUANTITY = 12, "below the venue's minimum quantity"
    MIN_NOTIONAL = 13, "below the venue's minimum notional"
    NO_PRICE = 14, "no price yet"
    POST_ONLY = 15, "post-only order would take liquidity"
    REDUCE_ONLY = 16, "reduce-only order would not reduce the position"
    WARMUP = 17, "warm-up"
    QUEUE_FULL = 18, "too many events at one instant"
    PRICE = 19, "price is not positive or not finite"
    UNFILLED = 20, "not filled at once (IOC, FOK)"
    OCO = 21, "other order of the group filled"
    PARENT = 22, "parent order did not fill"
    STRATEGY = 23, "cancelled by the strategy"
    LIQUIDATION = 24, "liquidation"
    LEDGER = 25, "amount too large for the account's precision"
    VENUE = 26, "refused by the venue"
    ABSENT = 27, "never reached the venue"
    ACCOUNT = 28, "limit of the account"
    CLOCK = 29, "clock drift"
    SIZE = 30, "quantity is not finite or too large to count"
    ENDED = 31, "the market's data have ended"


# The records hold plain numbers, and the compiled subset compares them with plain numbers: these.
MARKET: Final = int(OrderType.MARKET)
LIMIT: Final = int(OrderType.LIMIT)
STOP: Final = int(OrderType.STOP)
STOP_LIMIT: Final = int(OrderType.STOP_LIMIT)
TRAIL: Final = int(OrderType.TRAIL)
GTC: Final = int(TimeInForce.GTC)
IOC: Final = int(TimeInForce.IOC)
FOK: Final = int(TimeInForce.FOK)
GTD: Final = int(TimeInForce.GTD)
FREE: Final = int(OrderState.FREE)
PENDING: Final = int(OrderState.PENDING)
WORKING: Final = int(OrderState.WORKING)
HELD: Final = int(OrderState.HELD)
DONE: Final = int(OrderState.DONE)
E_NEW: Final = int(EventType.NEW)
E_REJECT: Final = int(EventType.REJECT)
E_FILL: Final = int(EventType.FILL)
E_CANCEL: Final = int(EventType.CANCEL)
E_MODIFY: Final = int(EventType.MODIFY)
E_EXPIRE: Final = int(EventType.EXPIRE)
E_TRIGGER: Final = int(EventType.TRIGGER)
E_FUNDING: Final = int(EventType.FUNDING)
E_LIQUIDATE: Final = int(EventType.LIQUIDATE)
OK: Final = int(Reason.OK)
R_HALTED: Final = int(Reason.HALTED)
R_QUANTITY: Final = int(Reason.QUANTITY)
R_POSITION: Final = int(Reason.POSITION)
R_NOTIONAL: Final = int(Reason.NOTIONAL)
R_OPEN_ORDERS: Final = int(Reason.OPEN_ORDERS)
R_RATE: Final = int(Reason.RATE)
R_COLLAR: Final = int(Reason.COLLAR)
R_DAILY_LOSS: Final = int(Reason.DAILY_LOSS)
R_DRAWDOWN: Final = int(Reason.DRAWDOWN)
R_FUNDS: Final = int(Reason.FUNDS)
R_STALE: Final = int(Reason.STALE)
R_MIN_QUANTITY: Final = int(Reason.MIN_QUANTITY)
R_MIN_NOTIONAL: Final = int(Reason.MIN_NOTIONAL)
R_NO_PRICE: Final = int(Reason.NO_PRICE)
R_POST_ONLY: Final = int(Reason.POST_ONLY)
R_REDUCE_ONLY: Final = int(Reason.REDUCE_ONLY)
R_WARMUP: Final = int(Reason.WARMUP)
R_QUEUE_FULL: Final = int(Reason.QUEUE_FULL)
R_PRICE: Final = int(Reason.PRICE)
R_UNFILLED: Final = int(Reason.UNFILLED)
R_OCO: Final = int(Reason.OCO)
R_PARENT: Final = int(Reason.PARENT)
R_STRATEGY: Final = int(Reason.STRATEGY)
R_LIQUIDATION: Final = int(Reason.LIQUIDATION)
R_LEDGER: Final = int(Reason.LEDGER)
R_VENUE: Final = int(Reason.VENUE)
R_ABSENT: Final = int(Reason.ABSENT)
R_ACCOUNT: Final = int(Reason.ACCOUNT)
R_CLOCK: Final = int(Reason.CLOCK)
R_SIZE: Final = int(Reason.SIZE)
R_ENDED: Final = int(Reason.ENDED)
# What becomes of a position when its market's data end (execution.marketEnd).
END_KEEP, END_CLOSE, END_ZERO = 1, 2, 3


class Tick(Struct):
    """100 ms snapshot of one symbol: best quotes, and the trades since the last snapshot."""

    ts: int
    symbol: int
    bid: float
    ask: float
    bid_size: float
    ask_size: float
    last: float
    volume: float
    low: float
    high: float

    @property
    def mid(self):
        """Middle of bid and ask."""
        return (self.bid + self.ask) * 0.5


class Bar(Struct):
    """OHLCV over ``[ts, end)``; ``timeframe`` in nanoseconds; ``count`` ticks or finer bars went into it."""

    ts: int
    end: int
    timeframe: int
    symbol: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    count: int


class Order(Struct):
    """An order the venue or the simulator holds; ``remaining`` lots are still to fill. ``venue_state``
    and ``attempt`` are for LIVE (see ``external.py``): where it stands with the venue, and how often it went
    out."""

    id: int
    state: int
    symbol: int
    side: int
    order_type: int
    tif: int
    lots: int
    remaining: int
    filled: int
    limit: float
    stop: float
    trail: float
    ts: int
    live_at: int
    expire: int
    cancel_at: int
    modify_at: int
    next_limit: float
    next_stop: float
    next_remaining: int
    post_only: int
    reduce_only: int
    group: int
    parent: int
    woken: int
    acted_row: int
    venue_state: int
    attempt: int
    queue: float
    fee_base: int
    fee_paid: int


class Event(Struct):
    """One thing that happened to an order. For E_FILL ``price, lots, notional, fee`` are the execution's."""

    ts: int
    kind: int
    id: int
    symbol: int
    side: int
    order_type: int
    tif: int
    lots: int
    quantity: float
    price: float
    stop: float
    notional: int
    fee: int
    realized: int
    position: int
    maker: int
    reason: int
    parent: int
    group: int
    best: float
    worst: float


class Sample(Struct):
    """One point of the equity curve. ``benchmark`` is the equal-weight buy-and-hold index, 1 at the first
    prices."""

    ts: int
    equity: float
    gross: float
    benchmark: float
    marks: array(float, MAX_SYMBOLS)


class Band(Struct):
    """Prices from ``start`` up move in steps of ``num / den``; ``num == 0`` means no grid."""

    start: float
    num: int
    den: int


class Market(Struct):
    """One symbol: the venue's rules, the last quote, the position and the bars being built.

    ``wake_below`` and ``wake_above`` are fences: while trades and quotes stay strictly between them no
    resting order can act, so a quiet row costs a few comparisons however many orders rest. ``cost`` is what
    the open position was bought (or sold) for, in quanta, always positive.
    """

    ts: int
    bid: float
    ask: float
    mid: float
    last: float
    first_price: float
    wake_below: float
    wake_above: float
    lots: int
    qty: float
    cost: int
    realized: int
    best: float
    worst: float
    used_row: int
    used_bid: int
    used_ask: int
    used_volume: int
    lot_num: int
    lot_den: int
    unit_num: int
    unit_den: int
    min_lots: int
    min_notional: int
    max_lots: int
    largest: int
    maker_num: int
    maker_den: int
    taker_num: int
    taker_den: int
    per_lot_num: int
    per_lot_den: int
    fee_rate: float
    fee_per_lot: float
    fee_fixed: int
    fee_minimum: int
    margin: float
    maintenance: float
    n_bands: int
    bands: array(Band, MAX_BANDS)
    bars: array(Bar, MAX_TIMEFRAMES)
