"""OrderManager: whatever the order, repetition or lateness of reports, the account comes out the same."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bot.model.conversion import RunContext
from sigma_bot.model.messages import TickBatch, TickMessage
from sigma_bot.model.orders import LIVING, Change, Inputs, State
from sigma_bot.runtime import checkpoint
from sigma_bot.runtime.callbacks import start
from sigma_bot.runtime.decision_engine import DecisionEngine
from sigma_bot.runtime.loader import load_strategy
from sigma_bot.spec import parse_manifest
from sigma_bot.trading.order_manager import FillsMissing, OrderManager
from sigma_bot.venues.types import VenueFill, VenueOrder

D = Decimal
NOW = 1_700_000_000_000_000_000
CODE = """
from sigma_bot import Strategy

class Told(Strategy):
    what: int
    fills: int
    lots: int

    def on_tick(self, tick, broker):
        if self.what == 1:
            broker.buy(1.0)
        elif self.what == 2:
            broker.buy(1.0, limit=tick.bid)
        elif self.what == 3:
            broker.buy(1.0, stop_loss=tick.bid - 10.0, take_profit=tick.bid + 10.0)
        elif self.what == 4:
            broker.cancel_all()
        self.what = 0

    def on_fill(self, fill, broker):
        self.fills += 1
"""
MANIFEST = {
    "apiVersion": "sigma-x.io/v1alpha1",
    "kind": "Strategy",
    "metadata": {"name": "told"},
    "spec": {
        "mode": "live",
        "strategy": {"code": CODE},
        "markets": [{"symbol": "AAABBB", "tickSize": "0.01", "lotSize": "0.001", "fees": {"taker": "0"}}],
        "account": {
            "venue": "binance",
            "name": "main",
            "currency": "BBB",
            "cash": "10000",
            "secretRef": {"name": "keys"},
            "confirm": {"account": "main", "maxLoss": "1000"},
        },
        "risk": {"maxPosition": "100", "maxNotional": "10000", "maxDailyLoss": "1000", "staleAfter": "30s"},
    },
}


class Bench:
    """A live decision engine and order manager, and the reports a venue makes."""

    def __init__(self, text: str | None = None) -> None:
        spec = parse_manifest(MANIFEST).spec
        code = load_strategy(spec.strategy, Path())
        start(code.instance)
        self.decisions = DecisionEngine(spec, code.instance)  # type: ignore[arg-type]
        run = RunContext("told", 1, NOW, ("AAABBB",), "BBB", 8)
        stored = {} if text is None else checkpoint.load(text, self.decisions.broker, self.decisions.strategy)
        self.orders = OrderManager(self.decisions, run, Inputs(0), stored, 1, {"AAABBB": "AAA"})
        self.seq = 0
        self.changes: list[Change] = []

    def tick(self, what: int, price: float = 100.0):
        """One tick; the rows to send and to cancel."""
        self.decisions.strategy.what = what  # type: ignore[attr-defined]
        self.seq += 1
        message = TickMessage("AAABBB", price - 0.01, price + 0.01, 9.0, 9.0, price, 1.0, price, price, 0, 0)
        self.decisions.handle(TickBatch("binance", self.seq, NOW + self.seq * 10**8, (), (message,)))
        change = self.change()
        return self.orders.collect(change, NOW, lambda _: 0)

    def change(self) -> Change:
        change = Change(self.seq, NOW)
        self.changes.append(change)
        return change

    def settle(self, row, order, fills):
        found = self.orders.apply_report(self.change(), row, order, fills, NOW)
        self.decisions.deliver_fills()
        return found

    def text(self) -> str:
        return checkpoint.dump(self.decisions.broker, self.decisions.strategy, self.orders.state())

    @property
    def market(self):
        return self.decisions.broker.markets[0]


def report(row, status: str, filled: Decimal) -> VenueOrder:
    return VenueOrder(
        row.client_id,
        "v1",
        row.symbol,
        row.side,
        status,  # type: ignore[arg-type]
        row.quantity,
        filled,
        row.limit_price,
        NOW,
    )


def execution(row, number: int, quantity: Decimal, fee: str = "0", currency: str = "BBB") -> VenueFill:
    return VenueFill(
        f"t{number}",
        row.client_id,
        "v1",
        row.symbol,
        row.side,
        D("100.01"),
        quantity,
        D(fee),
        currency,
        False,
        NOW,
    )


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_order_of_reports_gives_the_same_account(data):
    bench = Bench()
    (row,), _ = bench.tick(2)
    parts = data.draw(st.lists(st.integers(1, 400), min_size=1, max_size=4).filter(lambda p: sum(p) <= 1000))
    fills = [execution(row, i, D(n) / 1000, "0.05") for i, n in enumerate(parts)]
    total = sum(parts)
    ended = "filled" if total == 1000 else data.draw(st.sampled_from(["open", "cancelled", "expired"]))
    so_far = D(0)
    said: list[tuple[Any, list[Any]]] = [(report(row, "open", D(0)), [])]
    for fill in fills:
        so_far += fill.quantity
        said += [(None, [fill]), (report(row, "open", so_far), [])]
    said.append((report(row, ended, so_far), []))
    told = [item for item in said for _ in range(data.draw(st.integers(1, 2)))]
    data.draw(st.randoms(use_true_random=False)).shuffle(told)
    for order, news in told:
        if isinstance(bench.settle(row, order, news), FillsMissing):
            bench.settle(row, order, fills)  # as the executor does: it asks for all fills
    bench.settle(row, report(row, ended, so_far), fills)
    assert row.filled == so_far
    assert row.state == {"open": State.PARTIAL}.get(ended, State(ended))
    assert bench.market.lots == total
    spent = sum(int(f.quantity * f.price * 10**8 + f.fee * 10**8) for f in fills)
    assert bench.decisions.broker.cash_quanta == 10_000 * 10**8 - spent
    assert bench.decisions.strategy.fills == len(fills)  # type: ignore[attr-defined]
    booked = [f.trade_id for change in bench.changes for f in change.fills]
    assert sorted(booked) == sorted(f.trade_id for f in fills)
    assert bench.decisions.broker.n_active == (1 if ended == "open" else 0)


def test_a_refused_order_is_gone_for_the_strategy():
    bench = Bench()
    (row,), _ = bench.tick(2)
    change = bench.change()
    bench.orders.end(change, row, State.REJECTED, "no money", NOW)
    bench.orders.collect_rejections(change)
    assert row.state is State.REJECTED
    assert bench.decisions.broker.n_active == 0
    assert [n.code for n in change.notices] == ["refused by the venue"]


def test_an_absent_order_that_turns_up_is_tracked_and_booked():
    bench = Bench()
    (row,), _ = bench.tick(2)
    bench.orders.end(bench.change(), row, State.NOT_FOUND, "not found", NOW)
    assert bench.decisions.broker.n_active == 0
    bench.settle(row, report(row, "filled", D(1)), [execution(row, 1, D(1))])
    assert row.state is State.FILLED
    assert bench.market.lots == 1000


def test_an_impossible_report_is_refused_and_told():
    bench = Bench()
    (row,), _ = bench.tick(1)
    bench.orders.end(bench.change(), row, State.REJECTED, "no", NOW)
    bench.settle(row, report(row, "cancelled", D(0)), [])
    assert row.state is State.REJECTED
    (notice,) = [n for change in bench.changes for n in change.notices if n.kind == "alert"]
    assert notice.code == "illegal-transition"


def test_exits_of_a_bracket_wait_and_go_one_at_a_time():
    bench = Bench()
    (entry,), _ = bench.tick(3)
    assert entry.order_type == "market"
    bench.settle(entry, report(entry, "filled", D(1)), [execution(entry, 1, D(1))])
    (target,), _ = bench.tick(0)  # the limit exit goes to the venue, the stop is held here
    assert (target.order_type, target.side, target.quantity) == ("limit", "sell", D(1))
    bench.settle(target, report(target, "open", D(0)), [])
    sends, cancels = bench.tick(0, price=80.0)  # the stop triggers: the limit order must go first
    assert (sends, cancels) == ([], []) or cancels == [target]
    if not cancels:
        sends, cancels = bench.tick(0, price=80.0)
    assert cancels == [target]
    bench.settle(target, report(target, "cancelled", D(0)), [])
    (stop,), _ = bench.tick(0, price=80.0)
    assert (stop.order_type, stop.side, stop.quantity) == ("market", "sell", D(1))
    bench.settle(stop, report(stop, "filled", D(1)), [execution(stop, 2, D(1))])
    assert bench.market.lots == 0
    assert bench.decisions.broker.n_active == 0


def test_a_fee_in_units_makes_the_holding_smaller():
    bench = Bench()
    (row,), _ = bench.tick(1)
    bench.settle(row, report(row, "filled", D(1)), [execution(row, 1, D(1), "0.0015", "AAA")])
    assert bench.market.lots == 998  # 0.9985 are held: 998 whole lots, half a lot of dust
    assert bench.orders.residual["AAABBB"] == D("-0.0005")
    assert bench.orders.position_shortfalls({"AAA": D("0.9985")}) == {}
    assert bench.orders.position_shortfalls({"AAA": D("0.9")}) == {"AAABBB": D("0.098")}


@pytest.mark.parametrize("seed", range(20))
def test_a_checkpoint_goes_on_where_it_was(seed):
    """State as text between any two steps: the restored bot does what the other does."""
    rng = random.Random(seed)
    one = Bench()
    steps = [(rng.choice((0, 0, 1, 2, 3, 4)), 100.0 + rng.randint(-15, 15)) for _ in range(30)]
    for k, (what, price) in enumerate(steps):
        two = Bench(one.text())
        two.seq = one.seq
        for row in one.orders.rows.values():
            two.orders.track(replace(row), one.orders.booked_trades[row.client_id])
        for bench in (one, two):
            sends, cancels = bench.tick(what, price)
            for row in sends:
                full = k % 3 == 0
                number = row.order_id * 10 + row.attempt
                bench.settle(
                    row,
                    report(row, "filled" if full else "open", row.quantity if full else D(0)),
                    [execution(row, number, row.quantity)] if full else [],
                )
            for row in cancels:
                bench.settle(row, report(row, "cancelled", row.filled), [])
            bench.tick(0, price)
        assert one.text() == two.text()
        living = [[r.client_id for r in b.orders.rows.values() if r.state in LIVING] for b in (one, two)]
        assert living[0] == living[1]


def test_an_order_of_an_earlier_run_is_not_taken_for_ours():
    """Its number is that of an order of this run; it turned up late, or filled after its cancel."""
    bench = Bench()
    [row], _ = bench.tick(2)
    bench.settle(row, report(row, "open", D(0)), ())
    old = replace(row, client_id=f"{row.client_id[:12]}-zz-1-1", state=State.NOT_FOUND, quantity=D(3))
    bench.orders.track(old, ())
    assert bench.settle(old, report(old, "filled", D(2)), ()) == FillsMissing(report(old, "filled", D(2)))
    bench.settle(old, report(old, "cancelled", D(2)), [execution(old, 7, D(2))])
    assert (old.state, old.filled) == (State.CANCELLED, D(2))
    assert bench.market.lots == 0
    assert bench.decisions.strategy.fills == 0  # type: ignore[attr-defined]
    assert bench.decisions.broker.n_active == 1, "ours rests still"
    change = bench.changes[-1]
    assert [(f.trade_id, f.notional, f.realized) for f in change.fills] == [("t7", D("200.02"), D(0))]
    assert [n.code for n in change.notices] == ["earlier-run"]
    assert change.inputs == [], "what the decisions heard nothing of"
    bench.settle(row, report(row, "filled", D(1)), [execution(row, 8, D(1))])
    assert bench.market.lots == 1000


def test_what_a_checkpoint_holds():
    bench = Bench()
    assert not checkpoint.holds_position(bench.text())
    [row], _ = bench.tick(1)
    bench.settle(row, report(row, "filled", D(1)), [execution(row, 1, D(1))])
    assert checkpoint.holds_position(bench.text())
    bench.market.min_notional = 101 * 10**8
    assert not checkpoint.holds_position(bench.text()), "too small to be sold"


def test_a_checkpoint_of_an_earlier_version_is_read():
    """Its keys were others; nothing of what it holds is lost."""
    bench = Bench()
    [row], _ = bench.tick(1)
    bench.settle(row, report(row, "filled", D(1)), [execution(row, 1, D(1), "0.0004", "AAA")])
    bench.orders.balances.differences({"AAA": D(3), "BBB": D(5)})
    stored = json.loads(bench.text())
    assert set(stored["adapter"]) == {"residual", "moved", "opening"}
    assert bench.orders.residual == {"AAABBB": D("-0.0006")}
    old = {name: value for name, value in stored.items() if name != "adapter"}
    old["desk"] = {name: value for name, value in stored["adapter"].items() if name != "residual"}
    old["desk"]["dust"] = stored["adapter"]["residual"]
    again = Bench(json.dumps(old))
    assert again.text() == bench.text()
