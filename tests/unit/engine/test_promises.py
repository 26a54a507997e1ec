"""What must hold for any strategy on any market: the accounts add up, and no fill beats the market."""

from __future__ import annotations

from collections import defaultdict
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from sigma_bot.backtest.ledger import fills_of, orders_of
from sigma_bot.backtest.session import InterpretedSession
from sigma_bot.engine.account import mark_to_market, pay_funding
from sigma_bot.engine.broker import Broker
from sigma_bot.engine.step import record_equity
from sigma_bot.engine.types import E_FUNDING, LIMIT, STOP_LIMIT
from sigma_bot.times import MINUTE
from tests.support.fuzz import Fuzz, bar_market, tick_market
from tests.unit.engine.world import broker as make_broker

# no shrinking: every example runs a market
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
QUANTUM = Decimal("1e-8")
LOT = Decimal("0.001")

specs = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["tick", "bar"]),
        "seed": st.integers(1, 10**6),
        "symbols": st.integers(1, 3),
        "margin": st.booleans(),
        "latency": st.sampled_from(["0ms", "150ms"]),
        "queue": st.booleans(),
        "volume": st.sampled_from(["0", "0.1", "1"]),
        "slippage": st.sampled_from(["0", "0.0003"]),
        "ticks": st.integers(0, 2),
        "maker": st.sampled_from(["-0.0001", "0.0002"]),
        "minimum": st.sampled_from(["0", "0.05"]),
        "close": st.booleans(),
    }
)


def simulate(c: dict[str, Any], rows: int = 800) -> tuple[Broker, InterpretedSession, dict[str, Any]]:
    fees = {"taker": "0.0005", "maker": c["maker"], "minimum": c["minimum"]}
    b = make_broker(
        c["kind"],
        markets=[
            {"symbol": f"S{i}", "tickSize": "0.01", "lotSize": "0.001", "fees": fees}
            for i in range(c["symbols"])
        ],
        account={
            "cash": "1000",
            "type": "margin" if c["margin"] else "cash",
            "leverage": "5" if c["margin"] else "1",
        },
        execution={
            "latency": c["latency"],
            "queue": c["queue"],
            "volumeLimit": c["volume"],
            "slippage": c["slippage"],
            "slippageTicks": c["ticks"],
            "fillAt": "close" if c["close"] else "next-open",
        },
        risk={"maxPosition": "50", "maxDailyLoss": "500"},
        timeframes=["5m"] if c["kind"] == "tick" else ["1m", "5m"],
    )
    columns = (tick_market if c["kind"] == "tick" else bar_market)(rows, c["seed"], c["symbols"])
    strategy = Fuzz(seed=c["seed"], every=5)
    strategy.on_start()
    session = InterpretedSession(strategy, b, c["kind"])
    half = len(columns["ts"]) // 2
    session.feed({k: v[:half] for k, v in columns.items()}, lambda _: None)
    pay_funding(b, 0, 0.0001, b.ts)
    session.feed({k: v[half:] for k, v in columns.items()}, lambda _: None)
    session.drain()
    record_equity(b, mark_to_market(b))
    return b, session, columns


@settings(max_examples=40, deadline=None, phases=PHASES)
@given(specs)
def test_the_account_equals_an_exact_recomputation_from_the_fills(c):
    b, session, _ = simulate(c)
    events = session.recorder.all_events()
    fills = fills_of(events)
    cash = Decimal(1000)
    held: dict[int, Decimal] = defaultdict(Decimal)
    for f in fills:
        exact = Decimal(repr(float(f["price"]))) * int(f["lots"]) * LOT
        notional = exact.quantize(QUANTUM, ROUND_HALF_EVEN)
        assert notional == int(f["notional"]) * QUANTUM
        cash -= int(f["side"]) * notional + int(f["fee"]) * QUANTUM
        held[int(f["symbol"])] += int(f["side"]) * int(f["lots"]) * LOT
        assert held[int(f["symbol"])] == int(f["position"]) * LOT
    cash -= sum((int(e["notional"]) * QUANTUM for e in events if e["kind"] == E_FUNDING), Decimal(0))
    assert cash == b.cash_quanta * QUANTUM
    equity = cash + sum(q * Decimal(repr(b.markets[k].mid)) for k, q in held.items())
    assert float(equity) == pytest.approx(b.equity, rel=1e-12)
    for k in range(b.n_markets):
        s = b.markets[k]
        assert s.lots * LOT == held[k]
        flat = [int(f["realized"]) for f in fills if f["symbol"] == k]
        assert sum(flat) == s.realized
        assert s.cost >= 0
        assert s.lots != 0 or s.cost == 0
    # profit that was realised and profit that still stands make up every change of the account
    standing = sum(
        (held[k] * Decimal(repr(b.markets[k].mid)) - (1 if held[k] > 0 else -1) * b.markets[k].cost * QUANTUM)
        for k in held
        if held[k] != 0
    )
    realized = sum(s.realized for s in b.markets) * QUANTUM
    paid = (b.fee_quanta + b.funding_quanta) * QUANTUM
    assert Decimal(1000) + realized + standing - paid == equity
    if not c["margin"]:
        assert b.cash_quanta >= 0
        assert all(s.lots >= 0 for s in b.markets)


@settings(max_examples=30, deadline=None, phases=PHASES)
@given(specs)
def test_no_fill_is_better_than_the_market_or_than_its_order_allowed(c):
    b, session, columns = simulate(c)
    events = session.recorder.all_events()
    orders, fills = orders_of(events, b), fills_of(events)
    by_id = {int(o["id"]): o for o in orders}
    ends = columns["ts" if c["kind"] == "tick" else "end"]
    for f in fills:
        order = by_id[int(f["order"])]
        side, price = int(f["side"]), float(f["price"])
        if (
            order["kind"] in (LIMIT, STOP_LIMIT)
            and order["limit"] > 0
            and "modify" not in str(order["reason"])
        ):
            changed = [
                e["price"]
                for e in events
                if e["id"] == f["order"] and e["kind"] in (1, 5) and e["ts"] <= f["ts"]
            ]
            assert any((price - x) * side <= 0 for x in changed), "a limit order fills at its limit or better"
        mine = np.flatnonzero((columns["symbol"] == f["symbol"]) & (ends >= f["ts"]))
        if len(mine) == 0:
            continue
        i = mine[0]
        if c["kind"] == "tick":
            best = (
                min(columns["ask"][i], columns["low"][i])
                if side > 0
                else max(columns["bid"][i], columns["high"][i])
            )
        else:
            # a fill at an open carries the time at which the bar before it closed
            near = mine[:2]
            best = columns["low"][near].min() if side > 0 else columns["high"][near].max()
        assert (price - best) * side >= -1e-9


@settings(max_examples=25, deadline=None, phases=PHASES)
@given(specs)
def test_fills_never_exceed_orders_nor_the_traded_volume(c):
    b, session, columns = simulate(c)
    events = session.recorder.all_events()
    orders, fills = orders_of(events, b), fills_of(events)
    assert (orders["filled"] <= orders["lots"]).all()
    assert orders["filled"].sum() == fills["lots"].sum()
    assert set(fills["order"]) <= set(orders["id"])
    assert b.n_orders == (orders["status"] != 4).sum() - b.n_liquidations
    if c["volume"] != "0" and c["kind"] == "bar":
        resting = fills[(fills["maker"] == 1)]
        share = float(c["volume"])
        taken: dict[tuple[int, int], int] = defaultdict(int)
        for f in resting:
            taken[int(f["ts"]), int(f["symbol"])] += int(f["lots"])
        for (ts, symbol), lots in taken.items():
            near = (columns["symbol"] == symbol) & (np.abs(columns["end"] - ts) <= MINUTE)
            assert lots <= columns["volume"][near].sum() * 1000 * share + 1e-6


def test_the_specs_reach_what_matters():
    """The markets above do produce every kind of event: nothing is proved by silence."""
    kinds: set[int] = set()
    for kind in ("tick", "bar"):
        for margin in (False, True):
            c = dict.fromkeys(("queue", "close"), False) | {
                "kind": kind,
                "seed": 7,
                "symbols": 2,
                "margin": margin,
                "latency": "0ms",
                "volume": "1",
                "slippage": "0",
                "ticks": 1,
                "maker": "0.0002",
                "minimum": "0",
            }
            _, session, _ = simulate(c)
            kinds |= set(session.recorder.all_events()["kind"].tolist())
    assert kinds >= {1, 2, 3, 4, 5, 6, 7, 8}


def test_liquidation_closes_everything_and_costs_its_fee():
    from tests.unit.engine.world import fills as seen
    from tests.unit.engine.world import run, ticks

    b = make_broker(
        account={"type": "margin", "leverage": "10", "maintenanceMargin": "0.05", "liquidationFee": "0.01"}
    )
    rows = ticks((99.99, 100.01), (99.99, 100.01), (94.99, 95.01), (90.0, 90.02), (90.0, 90.02))
    events = run(b, rows, {0: lambda b: b.buy(9000.0), 1: lambda b: b.buy(1.0, limit=50.0)})
    assert b.n_liquidations == 1
    assert b.markets[0].lots == 0
    assert b.open_orders == 0
    assert [e["what"] for e in events if e["row"] == 3] == ["cancel", "liquidate", "fill"]
    assert seen(events)[-1][:3] == (3, -1, 9000.0)
    price = seen(events)[-1][3]
    assert b.cash_quanta == 10**13 - 9000 * 10**8 * 100 - 9 * 10**9 + round(price * 0.99 * 9000 * 10**8)
