"""Every reason for which RiskManager refuses an order, and that reducing orders still pass."""

from __future__ import annotations

import pytest

from tests.unit.engine.world import broker, run, ticks, whys

FLAT = (99.99, 100.01)
MARGIN = {"type": "margin", "leverage": "10"}


def refused(b, rows, action):
    return whys(run(b, rows, {len(rows["ts"]) - 1: action}), "reject")


@pytest.mark.parametrize(
    ("spec", "action", "why"),
    [
        ({}, lambda b: b.buy(0.0), "quantity is zero or negative"),
        ({}, lambda b: b.buy(-1.0), "quantity is zero or negative"),
        ({}, lambda b: b.buy(0.0004), "quantity is zero or negative"),
        ({}, lambda b: b.buy(float("nan")), "quantity is not finite or too large to count"),
        ({}, lambda b: b.buy(float("inf")), "quantity is not finite or too large to count"),
        ({"market": {"minQuantity": "0.01"}}, lambda b: b.buy(0.009), "below the venue's minimum quantity"),
        ({"market": {"minNotional": "10"}}, lambda b: b.buy(0.099), "below the venue's minimum notional"),
        ({"risk": {"maxPosition": "1"}}, lambda b: b.buy(1.001), "maximum position"),
        ({"risk": {"maxNotional": "100"}}, lambda b: b.buy(1.0), "maximum order notional"),
        ({"risk": {"priceCollar": "0.05"}}, lambda b: b.buy(1.0, limit=94.9), "price collar"),
        ({"warmup": "1h"}, lambda b: b.buy(1.0), "warm-up"),
        ({}, lambda b: b.buy(1001.0), "insufficient funds"),
        ({}, lambda b: b.sell(1.0), "insufficient funds"),
        ({"account": MARGIN}, lambda b: b.sell(10_002.0), "insufficient funds"),
        ({}, lambda b: b.sell(1.0, reduce_only=True), "reduce-only order would not reduce the position"),
        ({}, lambda b: b.buy(1.0, limit=float("nan")), "price is not positive or not finite"),
        ({}, lambda b: b.buy(1.0, limit=-5.0), "price is not positive or not finite"),
        ({}, lambda b: b.buy(1.0, stop=float("inf")), "price is not positive or not finite"),
        ({}, lambda b: b.buy(1e11), "amount too large for the account's precision"),
    ],
)
def test_refusals(spec, action, why):
    b = broker(**spec)
    b.risk.trading_from = 2**62 if "warmup" in spec else 0
    assert refused(b, ticks(FLAT), action) == [why]
    assert (b.n_rejected, b.n_orders) == (1, 0)


def test_open_orders_and_rate():
    b = broker(risk={"maxOpenOrders": 2})
    assert refused(b, ticks(FLAT), lambda b: [b.buy(1.0, limit=99.0) for _ in range(3)]) == [
        "too many open orders"
    ]
    b = broker(risk={"maxOrdersPerMinute": 2})
    assert refused(b, ticks(FLAT), lambda b: [b.buy(1.0) for _ in range(3)]) == ["too many orders a minute"]


def test_position_limit_counts_resting_orders():
    b = broker(risk={"maxPosition": "1"})
    assert refused(b, ticks(FLAT), lambda b: [b.buy(0.6, limit=99.0) for _ in range(2)]) == [
        "maximum position"
    ]


def test_loss_limits_stop_new_exposure_but_let_the_position_go():
    for risk, why in (
        ({"maxDailyLoss": "100"}, "daily loss limit"),
        ({"maxDrawdown": "0.001"}, "drawdown limit"),
    ):
        b = broker(risk=risk)
        rows = ticks(FLAT, (98.0, 98.02), (98.0, 98.02), (98.0, 98.02))
        actions = {0: lambda b: b.buy(100.0), 2: lambda b: b.buy(1.0), 3: lambda b: b.sell(100.0)}
        events = run(b, rows, actions)
        assert whys(events, "reject") == [why]
        assert b.markets[0].lots == 0


def test_daily_loss_starts_anew_with_the_venues_day():
    b = broker(risk={"maxDailyLoss": "100", "dayStart": "+09:00"})
    rows = ticks(FLAT, (98.0, 98.02), (98.0, 98.02), (98.0, 98.02))
    day = 86_400_000_000_000
    rows["ts"][3] = rows["ts"][0] - (rows["ts"][0] + 9 * 3_600_000_000_000) % day + day
    actions = {0: lambda b: b.buy(100.0), 2: lambda b: b.buy(1.0), 3: lambda b: b.buy(1.0)}
    events = run(b, rows, actions)
    assert whys(events, "reject") == ["daily loss limit"]
    assert b.markets[0].lots == 101_000


def test_halted():
    b = broker()
    b.risk.halted = 1
    assert refused(b, ticks(FLAT), lambda b: b.buy(1.0)) == ["halted"]


def test_stale_quote_of_another_symbol():
    b = broker(
        risk={"staleAfter": "1s"},
        markets=[{"symbol": "X", "lotSize": "1"}, {"symbol": "Y", "lotSize": "1"}],
    )
    rows = ticks(FLAT, FLAT)
    rows["symbol"][0] = 1
    rows["ts"][1] += 2_000_000_000
    assert refused(b, rows, lambda b: b.buy(1.0, symbol=1)) == ["stale quote"]


def test_symbol_without_a_price():
    b = broker(markets=[{"symbol": "X"}, {"symbol": "Y"}])
    assert refused(b, ticks(FLAT), lambda b: b.buy(1.0, symbol=1)) == ["no price yet"]


def test_flood_of_orders_within_one_row_is_refused_and_nothing_is_lost():
    b = broker(account=MARGIN)

    def flood(b):
        for _ in range(3000):
            b.buy(0.001)
            b.cancel_all()

    events = run(b, ticks(FLAT, FLAT), {0: flood})
    assert b.lost_events == 0
    assert b.rejected.count(0) < len(b.rejected)
    bought = sum(e["lots"] for e in events if e["what"] == "fill")
    assert bought == b.markets[0].lots


@pytest.mark.parametrize(
    "call", [lambda b: b.buy(1.0, symbol=1), lambda b: b.position_of(1), lambda b: b.close(1)]
)
def test_symbol_that_the_manifest_does_not_name(call):
    from sigma_bot.errors import StrategyError

    with pytest.raises(StrategyError, match="there is no such symbol"):
        run(broker(), ticks(FLAT), {0: call})
