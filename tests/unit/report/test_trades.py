"""Round trips against a plain loop, and the identity that keeps their money honest."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bot.results.result import FILL
from sigma_bot.results.trades import TRADE, trades_of

steps = st.tuples(
    st.integers(0, 2),  # symbol
    st.sampled_from([-1, 1]),
    st.integers(1, 6),  # lots
    st.integers(1, 400),  # price in cents
    st.integers(-5, 10**12),  # fee, rebates included
    st.integers(-(10**12), 10**12),  # realised
)


def fills_of(rows: list[tuple[int, int, int, int, int, int]]) -> np.ndarray:
    held = [0, 0, 0]
    fills = []
    for i, (symbol, side, lots, cents, fee, realized) in enumerate(rows):
        old = held[symbol]
        held[symbol] += side * lots
        price = cents / 100
        gain = realized if old * side < 0 else 0
        fills.append(
            (i + 1, i, symbol, side, lots, price, lots, fee, gain, held[symbol], 0, price + 1, price - 1)
            if old >= 0 and (old > 0 or side > 0)
            else (i + 1, i, symbol, side, lots, price, lots, fee, gain, held[symbol], 0, price - 1, price + 1)
        )
    return np.array(fills, FILL)


def by_hand(fills: np.ndarray) -> list[dict[str, Any]]:
    """The same trades one fill at a time."""
    trades: list[dict[str, Any]] = []
    running: dict[int, dict[str, Any]] = {}
    before: dict[int, int] = {}

    def open_one(fill: Any, lots: int, fee: int) -> None:
        trade = {
            "symbol": int(fill["symbol"]),
            "side": int(fill["side"]),
            "entry": int(fill["ts"]),
            "fees": fee,
        }
        trade |= {
            "pnl": -fee,
            "lots": lots,
            "in": [(float(fill["price"]), lots)],  # type: ignore[dict-item]
            "out": [],  # type: ignore[dict-item]
            "exit": 0,
            "fills": 1,
        }
        trade["marks"] = [float(fill["price"])]  # type: ignore[assignment]
        trades.append(trade)
        running[trade["symbol"]] = trade

    for fill in fills:
        symbol, side, lots = int(fill["symbol"]), int(fill["side"]), int(fill["lots"])
        old = before.get(symbol, 0)
        before[symbol] = old + side * lots
        if old == 0:
            open_one(fill, lots, int(fill["fee"]))
            continue
        trade = running[symbol]
        trade["fills"] += 1
        trade["marks"] += [float(fill["price"]), float(fill["best"]), float(fill["worst"])]
        if old * side > 0:
            trade["in"].append((float(fill["price"]), lots))
            trade["lots"] = max(trade["lots"], abs(before[symbol]))
            trade["fees"] += int(fill["fee"])
            trade["pnl"] -= int(fill["fee"])
            continue
        closing = min(lots, abs(old))
        fee = int(fill["fee"]) * closing // lots
        trade["out"].append((float(fill["price"]), closing))
        trade["fees"] += fee
        trade["pnl"] += int(fill["realized"]) - fee
        if lots >= abs(old):
            trade["exit"] = int(fill["ts"])
        if lots > abs(old):
            open_one(fill, lots - closing, int(fill["fee"]) - fee)
    return trades


def average(parts: list[tuple[float, int]]) -> float:
    return sum(p * n for p, n in parts) / sum(n for _, n in parts) if parts else math.nan


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=25))
def test_trades_equal_a_plain_loop_and_lose_no_money(rows: list[tuple[int, int, int, int, int, int]]) -> None:
    fills = fills_of(rows)
    trades = trades_of(fills, [Decimal("0.5"), Decimal(1), Decimal(2)])
    assert int(trades["pnl"].sum()) == int(fills["realized"].sum()) - int(fills["fee"].sum())
    assert int(trades["fees"].sum()) == int(fills["fee"].sum())
    expected = by_hand(fills)
    for name in ("symbol", "side", "entry", "exit", "lots", "pnl", "fees", "fills"):
        assert trades[name].tolist() == [trade[name] for trade in expected], name
    assert trades["open"].tolist() == [trade["exit"] == 0 for trade in expected]
    np.testing.assert_allclose(trades["entry_price"], [average(t["in"]) for t in expected], rtol=1e-12)
    np.testing.assert_allclose(trades["exit_price"], [average(t["out"]) for t in expected], rtol=1e-12)
    sizes = [0.5, 1, 2]
    for trade, known in zip(trades, expected, strict=True):
        entry, side = average(known["in"]), known["side"]
        size = known["lots"] * sizes[known["symbol"]]
        adverse = max(0.0, *((entry - mark) * side for mark in known["marks"])) * size
        favourable = max(0.0, *((mark - entry) * side for mark in known["marks"])) * size
        assert trade["mae"] == pytest.approx(adverse, abs=1e-9)
        assert trade["mfe"] == pytest.approx(favourable, abs=1e-9)


def test_no_fills_are_no_trades() -> None:
    assert len(trades_of(np.zeros(0, FILL), [Decimal(1)])) == 0
    assert trades_of(np.zeros(0, FILL), [Decimal(1)]).dtype == TRADE


def test_a_single_price_averages_to_itself() -> None:
    fills = fills_of([(0, 1, 3, 10, 0, 0), (0, 1, 4, 10, 0, 0), (0, -1, 7, 30, 0, 0)])
    trade = trades_of(fills, [Decimal(1)] * 3)[0]
    assert (trade["entry_price"], trade["exit_price"]) == (0.1, 0.3)


def test_a_huge_fee_splits_without_overflow() -> None:
    fee, lots = 9 * 10**17, 10**12
    fills = np.array(
        [
            (1, 1, 0, 1, lots, 1.0, 0, 0, 0, lots, 0, 1.0, 1.0),
            (2, 2, 0, -1, 3 * lots, 1.0, 0, fee, 7, -2 * lots, 0, 1, 1),
        ],
        FILL,
    )
    trades = trades_of(fills, [Decimal("1e-8")])
    assert trades["fees"].tolist() == [3 * 10**17, 6 * 10**17]
    assert trades["pnl"].tolist() == [7 - 3 * 10**17, -6 * 10**17]


def test_fills_that_do_not_add_up_are_refused() -> None:
    fills = fills_of([(0, 1, 3, 10, 0, 0), (0, 1, 4, 10, 0, 0)])
    fills["position"][1] = 6
    with pytest.raises(ValueError, match="position 6 does not follow from 3 by 4 lots"):
        trades_of(fills, [Decimal(1)])
