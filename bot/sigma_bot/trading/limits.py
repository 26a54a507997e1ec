"""Limits of an account over all its bots. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sigma_bot.model.orders import Usage


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """None is off. Money in the account's currency."""

    max_exposure: Decimal | None = None
    max_open_orders: int | None = None
    max_orders_per_minute: int | None = None
    max_daily_loss: Decimal | None = None

    def __bool__(self) -> bool:
        limits = (self.max_exposure, self.max_open_orders, self.max_orders_per_minute, self.max_daily_loss)
        return any(limit is not None for limit in limits)

    def violation(self, own: Usage, others: Sequence[Usage]) -> str:
        """Why the orders counted in ``own`` may not go, "" when they may."""
        bots = [own, *others]
        exposure = sum((u.exposure for u in bots), Decimal(0))
        if self.max_exposure is not None and exposure > self.max_exposure:
            return f"account limit: exposure {exposure:.2f} of all its bots above {self.max_exposure}"
        count = sum(u.open_orders for u in bots)
        if self.max_open_orders is not None and count > self.max_open_orders:
            return f"account limit: {count} open orders of all its bots, at most {self.max_open_orders}"
        count = sum(u.minute_orders for u in bots if u.minute == own.minute)
        if self.max_orders_per_minute is not None and count > self.max_orders_per_minute:
            return f"account limit: {count} orders this minute, at most {self.max_orders_per_minute}"
        loss = sum((u.day_loss for u in bots if u.day == own.day), Decimal(0))
        if self.max_daily_loss is not None and loss > self.max_daily_loss:
            return f"account limit: loss of {loss:.2f} today above {self.max_daily_loss}"
        return ""
