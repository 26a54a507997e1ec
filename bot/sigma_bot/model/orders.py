"""What the journal holds: orders with their states, fills, inputs, and the change that one step makes.

Times are int64 nanoseconds since 1970 UTC. Money, prices and quantities are Decimals, never floats.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum


class State(StrEnum):
    """Where an order stands, as far as the venue's own evidence says.

    ``State("refused")`` reads the words of tables 0004 and before as well: they may still come from a person,
    an export, or a bot of the version before.
    """

    INTENT = "intent"  # stored; it may or may not have reached the venue
    UNKNOWN = "unknown"  # sent, and the answer was lost: looked up before anything else happens to it
    OPEN = "open"  # the venue holds it
    PARTIAL = "partial"  # the venue holds it, partly filled
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # ended by the venue: IOC or FOK not filled, good-till date
    REJECTED = "rejected"  # the venue said no; nothing happened
    NOT_FOUND = "not_found"  # never reached the venue, by the venue's own word
    NEEDS_REVIEW = "needs_review"  # can't be settled without a human

    @classmethod
    def _missing_(cls, value: object) -> State | None:
        return cls(FORMER_STATES[value]) if isinstance(value, str) and value in FORMER_STATES else None


FORMER_STATES = {"refused": "rejected", "absent": "not_found", "parked": "needs_review"}
"""What tables 0004 and before called some states. Read for one version, written no more."""

# what can follow on what; everything else is refused and reported
TRANSITIONS: dict[State, frozenset[State]] = {
    State.INTENT: frozenset(State) - {State.INTENT},
    State.UNKNOWN: frozenset(State) - {State.INTENT, State.UNKNOWN},
    State.OPEN: frozenset((State.PARTIAL, State.FILLED, State.CANCELLED, State.EXPIRED)),
    State.PARTIAL: frozenset((State.FILLED, State.CANCELLED, State.EXPIRED)),
    State.FILLED: frozenset(),
    State.CANCELLED: frozenset((State.FILLED,)),  # the last fill may be told after the cancel
    State.EXPIRED: frozenset((State.FILLED,)),
    State.REJECTED: frozenset(),
    # it turned up late after all: adopted and settled
    State.NOT_FOUND: frozenset((State.OPEN, State.PARTIAL, State.FILLED, State.CANCELLED, State.EXPIRED)),
    State.NEEDS_REVIEW: frozenset(State) - {State.INTENT, State.UNKNOWN, State.NEEDS_REVIEW},
}
LIVING = frozenset((State.INTENT, State.UNKNOWN, State.OPEN, State.PARTIAL, State.NEEDS_REVIEW))
"""States in which an order may still fill."""


@dataclass(slots=True)
class OrderRow:
    """One order at the venue. An order of the strategy that was changed has several, by ``attempt``."""

    client_id: str  # deterministic: bot, run, order, attempt; unique
    order_id: int  # the strategy's own number of the order
    attempt: int
    symbol: str
    side: str  # buy, sell
    order_type: str  # market, limit, stop, stop-limit, trailing-stop
    tif: str  # gtc, ioc, fok, gtd
    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    post_only: bool
    reduce_only: bool
    state: State
    created: int
    updated: int
    filled: Decimal = Decimal(0)
    venue_id: str | None = None
    reason: str = ""
    token: int = 0  # fencing token under which it was approved
    tick: int = 0  # sequence number of the tick it was decided on


@dataclass(frozen=True, slots=True)
class FillRow:
    """An execution. ``trade_id`` is the venue's, unique per venue and symbol; in SIM the event's number."""

    trade_id: str
    client_id: str
    order_id: int
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_currency: str
    maker: bool
    ts: int
    notional: Decimal = Decimal(0)
    realized: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class InputRow:
    """Whatever reached the bot's decisions besides ticks, with the tick after which it did."""

    number: int  # 1, 2, 3 ... within the run
    tick: int  # sequence number of the last tick before it
    kind: str  # fill, fee, end, halt, resume, flatten, unflatten, raised, adopt, gap
    payload: dict[str, object]


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """A rejection, an alert, or a change of state, to be stored and told."""

    kind: str  # rejection, alert, state
    code: str
    text: str
    ts: int
    order_id: int = 0
    symbol: str = ""


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """What an account was worth at ``ts`` (ns): money of the bot's currency, at the last marks. ``exposure``
    is the worth of what is held, without its sign."""

    ts: int
    equity: Decimal
    cash: Decimal
    exposure: Decimal


@dataclass(frozen=True, slots=True)
class Usage:
    """What one bot uses of its account's limits: quote money, ns."""

    exposure: Decimal
    open_orders: int
    day: int  # number of the venue's day since 1970
    day_loss: Decimal  # equity at the day's start less equity now
    minute: int  # minute since 1970
    minute_orders: int


@dataclass(slots=True)
class Change:
    """What one step of a bot changes, stored in one transaction or not at all."""

    tick: int  # sequence number of the last tick processed
    ts: int
    state: str | None = None  # the checkpoint as text; None leaves the stored one
    code_digest: str = ""  # the code that wrote ``state``
    orders: list[OrderRow] = field(default_factory=list)  # new, or changed: whole rows
    fills: list[FillRow] = field(default_factory=list)
    inputs: list[InputRow] = field(default_factory=list)
    notices: list[NoticeRow] = field(default_factory=list)
    usage: Usage | None = None
    equity: list[EquityPoint] = field(default_factory=list)  # stored with the rest, never a reason to store

    def __bool__(self) -> bool:
        return bool(self.state or self.orders or self.fills or self.inputs or self.notices)

    def can_wait(self) -> bool:
        """Whether all it tells is that orders rest: nothing follows from it, and after a crash the venue is
        asked for each of them anyhow."""
        told = self.state or self.fills or self.inputs or self.notices
        return bool(self.orders) and not told and all(order.state is State.OPEN for order in self.orders)


@dataclass(slots=True)
class Inputs:
    """Numbers a run's inputs; ``count`` are stored or about to be."""

    count: int

    def add(self, change: Change, kind: str, payload: dict[str, object]) -> None:
        """Record what reached the decisions besides ticks."""
        self.count += 1
        change.inputs.append(InputRow(self.count, change.tick, kind, payload))
