"""What reaches a bot besides ticks: what the venue said of its orders, and what its own tasks found out."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sigma_bot.engine.types import R_VENUE
from sigma_bot.journal.types import Controls
from sigma_bot.model.orders import State
from sigma_bot.venues.types import VenueFill, VenueOrder


@dataclass(frozen=True, slots=True)
class OrderReport:
    """What the venue says of an order: its state, executions, or both."""

    client_id: str
    order: VenueOrder | None
    fills: tuple[VenueFill, ...]


@dataclass(frozen=True, slots=True)
class SendResult:
    """How a send ended that the venue did not accept: rejected, not sent, or without an answer."""

    client_id: str
    state: State
    reason: str
    code: int = R_VENUE  # the engine's reason, when the order ended
    short: bool = False  # the venue holds less than was to be sold or paid


@dataclass(frozen=True, slots=True)
class CancelFailed:
    """The order is still open."""

    client_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class UntrackedOrder:
    """The venue holds an order with one of our ids that is not in memory."""

    order: VenueOrder


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Every open order was asked for; ``foreign`` orders at the venue are not ours."""

    foreign: int


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """A task of the execution path raised something that is no venue's error: the bot stops."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Alert:
    """Something a human should look at."""

    code: str
    text: str
    symbol: str


@dataclass(frozen=True, slots=True)
class CurrencyPriced:
    """What one unit of a currency costs in the account's; None: no market of the venue tells."""

    currency: str
    price: Decimal | None


@dataclass(frozen=True, slots=True)
class BalanceTold:
    """How much of a symbol's units the account has free."""

    symbol: str
    free: Decimal


@dataclass(frozen=True, slots=True)
class ControlsPolled:
    """The controls were read; ``controls`` as they stand now."""

    controls: Controls


ExecutionEvent = (
    OrderReport
    | SendResult
    | CancelFailed
    | UntrackedOrder
    | Reconciled
    | TaskFailed
    | Alert
    | CurrencyPriced
    | BalanceTold
)
"""What an ExecutionAdapter handles."""
