"""Errors of Bithumb alone."""

from __future__ import annotations

from sigma_bot.venues.error_rows import (
    CLOCK,
    CLOCKS_DIFFER,
    REFUSED,
    TRANSIENT,
    UNKNOWN,
    WRONG_ADDRESS,
    Row,
)

ROWS: tuple[Row, ...] = (
    Row(None, "expired_jwt", "", TRANSIENT, CLOCK, CLOCKS_DIFFER),
    Row(None, "NotAllowIP", "", REFUSED, "address", WRONG_ADDRESS),
    Row(None, "blocked_member_id", "", REFUSED, "permission", "the account is blocked"),
    # Accepted, and still being processed: it may come to life any moment.
    Row(None, "order_not_ready", "", UNKNOWN),
    Row(None, "under_price_limit*", "", REFUSED, "minimum", "the order is below the venue's minimum"),
    Row(None, "cross_trading", "", REFUSED, "self-trade", "it would have met an own order"),
)
