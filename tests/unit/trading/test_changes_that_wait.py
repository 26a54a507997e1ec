"""What may be stored a batch later: the word that orders rest, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from sigma_bot.model.orders import Change, InputRow, NoticeRow, OrderRow, State

ORDER = OrderRow(
    client_id="sx-1-1-1-1",
    order_id=1,
    attempt=1,
    symbol="BTCUSDT",
    side="buy",
    order_type="limit",
    quantity=Decimal(1),
    limit_price=Decimal(100),
    stop_price=None,
    tif="gtc",
    post_only=False,
    reduce_only=False,
    state=State.OPEN,
    venue_id="7",
    filled=Decimal(0),
    reason="",
    tick=1,
    created=1,
    updated=1,
    token=1,
)


def test_orders_that_rest_can_wait() -> None:
    assert Change(1, 1, orders=[ORDER, replace(ORDER, client_id="sx-1-1-2-1")]).can_wait()
    assert not Change(1, 1).can_wait(), "there is nothing to wait for"


@pytest.mark.parametrize("state", [state for state in State if state is not State.OPEN])
def test_another_state_of_an_order_can_not(state: State) -> None:
    assert not Change(1, 1, orders=[ORDER, replace(ORDER, state=state)]).can_wait()


def test_an_input_or_a_notice_can_not() -> None:
    assert not Change(1, 1, orders=[ORDER], inputs=[InputRow(1, 1, "end", {})]).can_wait()
    assert not Change(1, 1, orders=[ORDER], notices=[NoticeRow("alert", "x", "y", 1)]).can_wait()
