"""What a process knows of orders that the venue cannot have."""

from decimal import Decimal

from sigma_bot.engine.types import R_ABSENT, R_VENUE
from sigma_bot.model.orders import OrderRow, State
from sigma_bot.trading.unplaced import UnplacedOrders, UnplacedReason


def row(client_id="sx-1", token=7, state=State.INTENT):
    return OrderRow(
        client_id=client_id,
        order_id=1,
        attempt=1,
        symbol="KRW-BTC",
        side="buy",
        order_type="market",
        tif="gtc",
        quantity=Decimal("0.01"),
        limit_price=None,
        stop_price=None,
        post_only=False,
        reduce_only=False,
        state=state,
        created=0,
        updated=0,
        token=token,
    )


def test_an_order_of_which_nothing_was_written_is_known():
    unsent = UnplacedOrders()
    unsent.add(row())
    known = unsent.reason_for(row())
    assert known is not None
    assert known.code == R_ABSENT


def test_an_order_that_is_about_to_be_written_is_the_venue_s_to_tell():
    unsent = UnplacedOrders()
    unsent.add(row())
    unsent.mark_written(row())
    assert unsent.reason_for(row()) is None
    unsent.mark_written(row())  # a second attempt


def test_a_refusal_is_known_after_it_was_written():
    unsent = UnplacedOrders()
    unsent.mark_written(row())
    unsent.add(row(), UnplacedReason("too small", R_VENUE))
    assert unsent.reason_for(row()) == UnplacedReason("too small", R_VENUE)


def test_another_holder_of_the_lease_may_have_sent_the_same_id():
    unsent = UnplacedOrders()
    unsent.add(row(token=7))
    assert unsent.reason_for(row(token=8)) is None


def test_an_order_of_which_the_journal_holds_more_is_not_judged():
    unsent = UnplacedOrders()
    unsent.add(row())
    assert unsent.reason_for(row(state=State.UNKNOWN)) is None
    assert unsent.reason_for(row(state=State.OPEN)) is None


def test_what_is_stored_is_forgotten():
    unsent = UnplacedOrders()
    for client_id in ("lives", "ended", "never-stored"):
        unsent.add(row(client_id))
    unsent.prune({"lives": row("lives"), "ended": row("ended", state=State.REJECTED)})
    assert len(unsent) == 1
    assert unsent.reason_for(row("lives")) is not None
