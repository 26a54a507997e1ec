"""The records of the engine: ticks, bars, orders, fills, account.

Units: times are int64 nanoseconds since 1970 UTC; prices are floats that equal the venue's decimal exactly
(``i * num / den`` on the grid); quantities are integer lots; money (notional, fee, cash, profit) is integer
quanta of ``10 ** -precision`` of the account's currency, so adding it up never rounds.
"""

from __future__ import annotations

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

NEVER = 9_000_000_000_000_000_000
FAR = 1e300
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# order kinds
MARKET, LIMIT, STOP, STOP_LIMIT, TRAIL = 0, 1, 2, 3, 4
KINDS = ("market", "limit", "stop", "stop-limit", "trailing-stop")
# time in force
GTC, IOC, FOK, GTD = 0, 1, 2, 3
TIFS = ("gtc", "ioc", "fok", "gtd")
# states of an order; HELD waits for its parent's fill
FREE, PENDING, WORKING, HELD, DONE = 0, 1, 2, 3, 4
# events
E_NEW, E_REJECT, E_FILL, E_CANCEL, E_MODIFY, E_EXPIRE, E_TRIGGER, E_FUNDING, E_LIQUIDATE = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
)
EVENTS = ("", "new", "reject", "fill", "cancel", "modify", "expire", "trigger", "funding", "liquidate")

# reasons of a rejection (E_REJECT) or of a cancel (E_CANCEL)
(
    OK,
    R_HALTED,
    R_QUANTITY,
    R_POSITION,
    R_NOTIONAL,
    R_OPEN_ORDERS,
    R_RATE,
    R_COLLAR,
    R_DAILY_LOSS,
    R_DRAWDOWN,
    R_FUNDS,
    R_STALE,
    R_MIN_QUANTITY,
    R_MIN_NOTIONAL,
    R_NO_PRICE,
    R_POST_ONLY,
    R_REDUCE_ONLY,
    R_WARMUP,
    R_QUEUE_FULL,
    R_PRICE,
    R_UNFILLED,
    R_OCO,
    R_PARENT,
    R_STRATEGY,
    R_LIQUIDATION,
    R_LEDGER,
    R_VENUE,
    R_ABSENT,
    R_ACCOUNT,
    R_CLOCK,
) = range(30)
REASONS = (
    "",
    "halted",
    "quantity is zero or negative",
    "maximum position",
    "maximum order notional",
    "too many open orders",
    "too many orders a minute",
    "price collar",
    "daily loss limit",
    "drawdown limit",
    "insufficient funds",
    "stale quote",
    "below the venue's minimum quantity",
    "below the venue's minimum notional",
    "no price yet",
    "post-only order would take liquidity",
    "reduce-only order would not reduce the position",
    "warm-up",
    "too many events at one instant",
    "price is not positive or not finite",
    "not filled at once (IOC, FOK)",
    "other order of the group filled",
    "parent order did not fill",
    "cancelled by the strategy",
    "liquidation",
    "amount too large for the account's precision",
    "refused by the venue",
    "never reached the venue",
    "limit of the account",
    "clock drift",
)


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
    """An order the venue or the simulator holds; ``left`` lots are still to fill. ``sent`` and
    ``leg`` are for LIVE (see ``external.py``): where it stands with the venue, and how often it went out."""

    id: int
    state: int
    symbol: int
    side: int
    kind: int
    tif: int
    lots: int
    left: int
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
    next_left: int
    post_only: int
    reduce_only: int
    group: int
    parent: int
    fresh: int
    acted: int
    sent: int
    leg: int
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
    order_kind: int
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

    ``lo`` and ``hi`` are fences: while trades and quotes stay strictly between them no resting order can
    act, so a quiet row costs a few comparisons however many orders rest. ``cost`` is what the open position
    was bought (or sold) for, in quanta, always positive.
    """

    ts: int
    bid: float
    ask: float
    mid: float
    last: float
    first: float
    lo: float
    hi: float
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
