"""A stop-limit order that triggers takes liquidity, and pays for it as a stop does."""

from __future__ import annotations

import pytest

from sigma_bot.engine.types import FOK, IOC
from tests.unit.engine.world import bars, broker, fills, run, ticks, whys

FLAT = (100.0, 100.0, 100.0, 100.0)
RISE, FALL = (100.0, 112.0, 100.0, 112.0), (100.0, 100.0, 88.0, 88.0)
COSTS = {"spread": "0.002", "slippage": "0.001"}
MARGIN = {"type": "margin", "leverage": "5"}


def both(side, stop, limit):
    def send(b):
        enter = b.buy if side > 0 else b.sell
        enter(1.0, stop=stop)
        enter(1.0, stop=stop, limit=limit)

    return {0: send}


@pytest.mark.parametrize(
    ("side", "stop", "limit", "row", "price"),
    [
        (1, 105.0, 110.0, RISE, [105.21, 105.21]),
        (-1, 95.0, 90.0, FALL, [94.81, 94.81]),
        (1, 105.0, 105.1, RISE, [105.21, 105.1]),
        (-1, 95.0, 94.9, FALL, [94.81, 94.9]),
        (1, 105.0, 110.0, (106.0, 112.0, 106.0, 112.0), [106.22, 106.22]),
    ],
)
def test_it_pays_spread_and_slippage_up_to_its_limit(side, stop, limit, row, price):
    b = broker("bar", execution=COSTS, account=MARGIN)
    got = [f[3] for f in fills(run(b, bars(FLAT, row), both(side, stop, limit)))]
    assert got == pytest.approx(price)


def test_on_ticks_both_take_the_quote():
    b = broker("tick", execution=COSTS, account=MARGIN)
    rows = ticks((100.0, 100.0), (105.5, 105.6, 100.0, 106.0), size=10.0)
    assert [f[3] for f in fills(run(b, rows, both(1, 105.0, 110.0)))] == [105.6, 105.6]


@pytest.mark.parametrize(("tif", "got"), [(IOC, [4.0]), (FOK, [])])
def test_what_its_time_in_force_does_not_allow_is_cancelled_at_the_trigger(tif, got):
    b = broker("bar", execution={"volumeLimit": "0.004"})  # four of the bar's thousand
    order = {0: lambda b: b.buy(10.0, stop=105.0, limit=110.0, tif=tif)}
    events = run(b, bars(FLAT, RISE, RISE), order)
    assert [f[2] for f in fills(events)] == got
    assert whys(events, "cancel") == ["not filled at once (IOC, FOK)"]


def test_post_only_is_cancelled_at_the_trigger():
    b = broker("bar")
    order = {0: lambda b: b.buy(10.0, stop=105.0, limit=110.0, post_only=True)}
    events = run(b, bars(FLAT, RISE, FLAT), order)
    assert fills(events) == []
    assert whys(events, "cancel") == ["post-only order would take liquidity"]
