"""Whole runs on small files, compiled and interpreted: what a position meets inside a bar, between bars, and
when its market's data end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sigma_bot.backtest.replay import open_replay
from sigma_bot.backtest.tester import run_backtest
from sigma_bot.metrics.metrics import metrics_of
from sigma_bot.results.result import BacktestResult
from sigma_bot.results.trades import trades_of
from sigma_bot.spec import parse_manifest

CODE = '''
from sigma_bot import Strategy, param


class Once(Strategy):
    """Enters after a bar of the first symbol, leaves after another."""

    enter: int = param(1)
    leave: int = param(0)
    units: float = param(0.0)
    fraction: float = param(0.0)
    stop: float = param(0.0)
    profit: float = param(0.0)
    rest: float = param(0.0)
    n: int
    told: int

    def on_bar(self, bar, broker):
        if bar.symbol != 0 and self.leave < 100:
            return
        self.n += 1
        if self.n == self.enter:
            if self.fraction != 0.0:
                broker.target_fraction(self.fraction, 0)
            elif self.units > 0.0:
                broker.buy(self.units, stop=self.rest, stop_loss=self.stop, take_profit=self.profit)
            else:
                broker.sell(-self.units, stop=self.rest, stop_loss=self.stop, take_profit=self.profit)
        if self.n == self.leave or self.n + 100 == self.leave:
            broker.close(0)

    def on_fill(self, fill, broker):
        self.told += 1
'''
ENGINES = ["interpreted", "compiled"]
FLAT = (100.0, 100.0, 100.0, 100.0)


def write(folder: Path, name: str, rows: Sequence[tuple[float, ...]], step: str = "D") -> None:
    """Daily bars from 2024-01-01 (or hourly ones) with much volume."""
    head = "time,open,high,low,close,volume"
    times = [f"2024-01-{i + 1:02}T00:00:00Z" for i in range(len(rows))]
    if step == "h":
        times = [f"2024-01-{i // 24 + 1:02}T{i % 24:02}:00:00Z" for i in range(len(rows))]
    lines = [f"{t},{','.join(map(str, row))},1000000000" for t, row in zip(times, rows, strict=True)]
    (folder / name).write_text("\n".join([head, *lines]) + "\n")


def manifest_of(folder: Path, params: dict[str, Any], **spec: Any) -> Any:
    """One market of whole lots without costs, on the file X.csv."""
    (folder / "once.py").write_text(CODE)
    market = {"symbol": "X", "lotSize": "1", "fees": {"taker": "0"}} | spec.pop("market", {})
    return parse_manifest(
        {
            "apiVersion": "sigma-x.io/v1alpha1",
            "kind": "Backtest",
            "metadata": {"name": "once"},
            "spec": {
                "strategy": {"file": "once.py", "params": params},
                "data": {"path": "X.csv", "stamps": "open"} | spec.pop("data", {}),
                "markets": [market],
                "execution": {"spread": "0"} | spec.pop("execution", {}),
            }
            | spec,
        }
    )


def run(folder: Path, engine: Any, params: dict[str, Any], **spec: Any) -> BacktestResult:
    return run_backtest(manifest_of(folder, params, **spec), folder, engine)


def margin(leverage: str = "9") -> dict[str, str]:
    return {"type": "margin", "leverage": leverage, "cash": "10000"}


# --- liquidation

MIRROR = [(100.0, 100.0, 100.0, 100.0), (100.0, 120.0, 80.0, 95.0)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("params", "liquidated", "ambiguous"),
    [
        ({"units": 890.0, "profit": 115.0}, 1, 1),  # the profit came after the fall that ended it
        ({"units": -890.0, "profit": 85.0}, 1, 1),
        ({"units": 890.0, "stop": 95.0, "profit": 115.0}, 0, 1),  # the stop stands before the liquidation
        ({"units": -890.0, "stop": 105.0, "profit": 85.0}, 0, 1),
        ({"units": 890.0, "stop": 85.0}, 1, 0),  # and this one behind it
        ({"units": -890.0, "stop": 115.0}, 1, 0),
        (
            {"units": 850.0, "rest": 105.0, "stop": 85.0},
            1,
            1,
        ),  # entered on the way up: the fall may come later
        ({"units": -890.0, "rest": 95.0, "stop": 115.0}, 1, 1),
    ],
)
def test_the_adverse_extreme_liquidates_before_anything_later_in_the_bar(
    params, liquidated, ambiguous, engine, tmp_path
):
    write(tmp_path, "X.csv", [FLAT, FLAT, *([FLAT] if "rest" not in params else []), MIRROR[1], FLAT])
    result = run(tmp_path, engine, params, account=margin())
    assert result.counts["liquidations"] == liquidated
    assert result.counts["ambiguous_bars"] == ambiguous
    assert result.final["positions"] == [0]
    if liquidated:
        last = result.fills[-1]["price"]
        assert last == (80.0 if params["units"] > 0 else 120.0)
        assert result.final["equity"] < 0


# --- funding


def funding(folder: Path, *times: str, rate: str = "0.01") -> dict[str, str]:
    (folder / "funding.csv").write_text("time,rate\n" + "".join(f"{t},{rate}\n" for t in times))
    return {"funding": "funding.csv"}


DAY2 = ("2024-01-02T08:00:00Z", "2024-01-02T16:00:00Z")
DAY3 = ("2024-01-03T08:00:00Z", "2024-01-03T16:00:00Z")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("units", "times", "rate", "paid"),
    [
        (10.0, DAY2, "0.01", 20),
        (10.0, DAY3, "0.01", 0),
        (-10.0, DAY2, "0.01", -20),
        (-10.0, DAY3, "0.01", 0),
        (10.0, ("2024-01-02T00:00:00Z",), "0.01", 0),  # it fills just after
        (10.0, ("2024-01-03T00:00:00Z",), "0.01", 10),  # it is closed just after
        (10.0, ("2024-01-03T00:00:00.005Z",), "0.01", 0),
    ],
)
def test_funding_is_paid_by_the_position_at_its_instant(units, times, rate, paid, engine, tmp_path):
    write(tmp_path, "X.csv", [FLAT] * 5)
    data = funding(tmp_path, *times, rate=rate)
    result = run(tmp_path, engine, {"units": units, "leave": 2}, account=margin(), data=data)
    assert result.final["funding"] == paid * 10**8
    assert result.counts["ambiguous_bars"] == 0


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("rate", "paid"), [("0.01", 10), ("-0.01", 0)])
@pytest.mark.parametrize("way", ["entered inside", "left inside"])
def test_where_the_bar_cannot_tell_the_worse_payment_is_made_and_counted(way, rate, paid, engine, tmp_path):
    write(tmp_path, "X.csv", [FLAT, FLAT, (100.0, 106.0, 100.0, 106.0), (106.0, 106.0, 106.0, 106.0)])
    data = funding(tmp_path, "2024-01-03T08:00:00Z", rate=rate)
    params = {"units": 10.0, "rest": 105.0} if way == "entered inside" else {"units": 10.0, "profit": 105.0}
    result = run(tmp_path, engine, params, account=margin(), data=data)
    assert result.counts["fills"] == (1 if way == "entered inside" else 2)
    assert result.final["funding"] == paid * 10**8
    assert result.counts["ambiguous_bars"] == 1
    assert any("funding payment" in w for w in result.warnings)


def test_finer_bars_pay_what_coarse_ones_do(tmp_path):
    write(tmp_path, "X.csv", [FLAT] * 96, "h")
    data = funding(tmp_path, *DAY2)
    result = run(
        tmp_path, "interpreted", {"units": 10.0, "enter": 24, "leave": 48}, account=margin(), data=data
    )
    assert result.final["funding"] == 20 * 10**8


# --- the market of a held position ends


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("rule", "units", "equity", "left"),
    [
        ("keep", 10.0, 9900, 10),
        ("close", 10.0, 9900, 0),
        ("zero", 10.0, 9000, 0),
        ("close", -10.0, 10100, 0),
        ("zero", -10.0, 10100, 0),  # a short position would gain by it: the last price
    ],
)
def test_a_market_that_ends_is_named_and_treated_as_chosen(rule, units, equity, left, engine, tmp_path):
    write(tmp_path, "X.csv", [FLAT] * 9 + [(90.0, 90.0, 90.0, 90.0)])
    write(tmp_path, "Y.csv", [FLAT] * 30)
    fees = {"taker": "0"}
    markets = [
        {"symbol": "X", "lotSize": "1", "fees": fees},
        {"symbol": "Y", "lotSize": "1", "fees": fees, "data": "Y.csv"},
    ]
    params = {"units": units, "leave": 130}
    manifest = manifest_of(tmp_path, params, account=margin(), execution={"marketEnd": rule}, markets=markets)
    result = run_backtest(manifest, tmp_path, engine)
    assert result.final["positions"][0] == left
    assert result.final["equity"] == equity
    assert result.counts["ended_markets"] == 1
    (warning,) = [w for w in result.warnings if "data end at" in w and "were held" in w]
    assert warning.startswith("X: the data end at 2024-01-11")
    assert f"marketEnd: {rule}" in warning
    if rule == "keep":
        assert result.rejections == {"the market's data have ended": 1}
    assert open_replay(manifest, tmp_path, engine).trial({}).digest == result.digest


def test_what_is_not_held_is_not_named(tmp_path):
    write(tmp_path, "X.csv", [FLAT] * 10)
    write(tmp_path, "Y.csv", [FLAT] * 30)
    markets = [{"symbol": "X"}, {"symbol": "Y", "data": "Y.csv"}]
    manifest = manifest_of(tmp_path, {"units": 10.0, "leave": 3}, markets=markets)
    result = run_backtest(manifest, tmp_path, "interpreted")
    assert result.counts["ended_markets"] == 0
    assert not any("were held" in w for w in result.warnings)


# --- quantities and money


@pytest.mark.parametrize("engine", ENGINES)
def test_a_cheap_market_is_bought_as_asked(engine, tmp_path):
    price = 0.0182
    write(tmp_path, "X.csv", [(price,) * 4] * 4)
    spec = {
        "market": {"symbol": "KRW-SHIB", "rules": "upbit", "lotSize": None, "data": "X.csv"},
        "account": {"currency": "KRW", "cash": "10000000"},
    }
    for fraction in (0.1, 0.2, 1.0):
        result = run(tmp_path, engine, {"fraction": fraction}, **spec)
        (order,) = result.orders
        worth = float(result.quantity(int(order["lots"]), 0)) * price
        assert worth == pytest.approx(fraction * 10_000_000, rel=1e-9)
        assert worth <= fraction * 10_000_000
        assert abs(int(order["lots"])) <= 10**15
        assert result.counts["rejected"] == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_market_that_stands_still_moves_no_money(engine, tmp_path):
    write(tmp_path, "X.csv", [FLAT] * 30)
    spec = {"market": {"lotSize": "0.000000001"}, "account": {"cash": "1000000"}}
    result = run(tmp_path, engine, {"units": 9999.999999998}, **spec)
    assert result.counts["fills"] == 1
    assert set(result.equity["equity"].tolist()) == {1_000_000.0}
    assert result.final["max_drawdown"] == 0
    figures = metrics_of(result, trades_of(result.fills, [0.000000001]))
    assert figures["sharpe"] is None
    assert figures["calmar"] is None
    assert figures["max_drawdown"] == 0
