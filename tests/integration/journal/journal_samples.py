"""Bots and records for the journal's tests."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from sigma_bot.journal import BotIdentity, Journal, Lease
from sigma_bot.model.orders import Change, EquityPoint, FillRow, InputRow, NoticeRow, OrderRow, State, Usage

NOW = 1_790_000_000_000_000_000


def identity(name: str = "ema", **changes: Any) -> BotIdentity:
    """A LIVE bot on Upbit."""
    bot = BotIdentity(name, "live", "upbit", "main", "KRW", "code-1", "manifest-1", {"risk": Decimal("0.10")})
    return replace(bot, **changes)


def order(number: int = 1, state: State = State.INTENT, **changes: Any) -> OrderRow:
    """A limit order to buy."""
    row = OrderRow(
        client_id=f"sx-00000000-1-{number}-0",
        order_id=number,
        attempt=0,
        symbol="KRW-BTC",
        side="buy",
        order_type="limit",
        tif="gtc",
        quantity=Decimal("0.00012345"),
        limit_price=Decimal("91234000.00"),
        stop_price=None,
        post_only=False,
        reduce_only=True,
        state=state,
        created=NOW,
        updated=NOW + number,
    )
    return replace(row, **changes)


def fill(trade: str = "t1", number: int = 1, **changes: Any) -> FillRow:
    """An execution of `order`."""
    row = FillRow(
        trade_id=trade,
        client_id=f"sx-00000000-1-{number}-0",
        order_id=number,
        symbol="KRW-BTC",
        side="buy",
        price=Decimal("91234000.0"),
        quantity=Decimal("0.00002"),
        fee=Decimal("0.91234"),
        fee_currency="KRW",
        maker=True,
        ts=NOW,
        notional=Decimal("1824.68"),
        realized=Decimal("-0.5"),
    )
    return replace(row, **changes)


def whole(tick: int = 7) -> Change:
    """A change that touches every table."""
    return Change(
        tick=tick,
        ts=NOW + tick,
        state='{"cash": 1}',
        code_digest="code-1",
        orders=[order(1), order(2, State.OPEN, venue_id="v-2", reason="", limit_price=None)],
        fills=[fill("t1"), fill("t2", 2)],
        inputs=[InputRow(1, tick, "report", {"price": Decimal("1.50"), "pair": (1, "x")})],
        notices=[NoticeRow("alert", "needs-review", "look at it", NOW, 2, "KRW-BTC")],
        equity=[EquityPoint(NOW + tick, Decimal("1000000.125"), Decimal("998999.625"), Decimal("1000.50"))],
        usage=Usage(Decimal("1000.50"), 2, 20_000, Decimal("-3.25"), 29_000_000, 4),
    )


async def started(journal: Journal, name: str = "ema", ttl_s: float = 60.0, **changes: Any) -> Lease:
    """A registered bot's lease."""
    await journal.register(identity(name, **changes), NOW)
    return await journal.acquire(name, f"holder of {name}", ttl_s)
