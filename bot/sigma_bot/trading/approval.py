"""RiskGate: the last checks before an order leaves, and the only maker of ``Approved``.

The strategy's own limits were checked by the RiskManager when it sent the order. What remains is what the
engine cannot know: the clock on the wall, the lease, a halt, and the account's limits over all its bots.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from sigma_bot.engine.types import OK, R_ABSENT, R_CLOCK, R_HALTED, R_STALE
from sigma_bot.model.orders import OrderRow, State
from sigma_bot.venues.types import NewOrder

_KEY = object()
RECHECK_AFTER_S = 0.1
"""After so long the controls are read once more before a send: a callback may have kept a halt away."""


@dataclass(frozen=True, slots=True)
class Approved:
    """An order that may be sent: risk passed it, the journal holds it. Made by ``RiskGate.approve`` alone."""

    row: OrderRow
    order: NewOrder
    key: object
    at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.key is not _KEY:
            raise TypeError("only RiskGate.approve makes an Approved")


@dataclass(frozen=True, slots=True)
class Denied:
    """Why an order that was stored is not sent; ``code`` is the engine's reason."""

    text: str
    code: int


class RiskGate:
    """Decides whether an order may go now. ``stale_after`` and ``max_drift`` in ns, 0 is off for the first;
    ``now`` gives ns UTC."""

    def __init__(
        self, stale_after: int, max_drift: int, now: Callable[[], int], closed_reason: str = ""
    ) -> None:
        self.stale_after, self.max_drift, self.now = stale_after, max_drift, now
        self.halted = False
        self.closed_reason = closed_reason  # why nothing may go: not reconciled yet
        self.drift = 0  # the venue's clock less ours, ns
        self.tick_ts = 0  # time of the newest tick

    def open(self) -> None:
        """Everything is reconciled: orders may go."""
        self.closed_reason = ""

    def denial_reason(self, reduces: bool) -> int:
        """0, or the reason why an order may not go now. One that reduces may on stale prices too: its risk is
        to stay."""
        if self.closed_reason or (self.halted and not reduces):
            return R_HALTED
        if self.drifted:
            return R_CLOCK
        late = self.now() - self.tick_ts > self.stale_after > 0
        return R_STALE if late and not reduces else OK

    @property
    def drifted(self) -> bool:
        """Whether the venue's clock and ours are too far apart to judge how old anything is."""
        return abs(self.drift) > self.max_drift

    def approve(
        self, row: OrderRow, reference: Decimal, reduces: bool, lease_alive: bool
    ) -> Approved | Denied:
        """The order as it is sent, or why it must not be: checked once more after it was stored."""
        if row.state is not State.INTENT:
            return Denied(f"the order is {row.state}", R_ABSENT)
        if not lease_alive:
            return Denied("the lease ran out before it was sent", R_ABSENT)
        if self.halted and not reduces:
            return Denied("halted before it was sent", R_HALTED)
        order = NewOrder(
            client_id=row.client_id,
            symbol=row.symbol,
            side="buy" if row.side == "buy" else "sell",
            kind="market" if row.order_type == "market" else "limit",
            quantity=row.quantity,
            limit=row.limit_price,
            tif="ioc" if row.tif == "ioc" else "fok" if row.tif == "fok" else "gtc",
            post_only=row.post_only,
            reference=reference,
        )
        return Approved(row, order, _KEY)
