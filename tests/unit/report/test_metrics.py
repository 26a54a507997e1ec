"""Returns of regular periods, and the metrics of whole results."""

from __future__ import annotations

import json
import math
from decimal import Decimal

import empyrical
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bot.errors import BadInputError
from sigma_bot.metrics.definitions import DEFINITIONS, Metric
from sigma_bot.metrics.metrics import Basis, day_offset, metrics_of
from sigma_bot.metrics.returns import Returns, returns_of
from sigma_bot.metrics.tradestats import losing_streak, time_in_market
from sigma_bot.report.reporter import PerformanceReporter
from sigma_bot.results.result import BacktestResult
from sigma_bot.times import MINUTE
from tests.unit.report.result_builder import DAY, HOUR, build, cross, walk

START = 1_704_067_200_000_000_000  # 2024-01-01, a Monday


def series(ts: list[int], values: list[float], end: int, **options: float) -> Returns:
    times, equity = np.array(ts, np.int64), np.array(values, float)
    known = {"start": START, "initial": 100.0} | options
    return returns_of(times, equity, equity / 100, end=end, **known)  # type: ignore[arg-type]


def test_days_are_carried_forward_in_a_365_day_year() -> None:
    ts = [START + HOUR * i for i in range(1, 24 * 30 + 1) if not 48 < i <= 96]
    values = [100.0 + (t - START) / DAY for t in ts]
    found = series(ts, values, ts[-1])
    assert (found.period, found.per_year, len(found.strategy)) == ("1d", 365.0, 30)
    assert found.strategy[2] == found.strategy[3] == 0.0
    assert np.prod(1 + found.strategy) == pytest.approx(values[-1] / 100)
    # A sample at midnight closes the day before: the first day gained one per cent, not the second.
    assert found.strategy[0] == pytest.approx(0.01)
    np.testing.assert_allclose(found.strategy, found.benchmark, atol=1e-15)


def test_days_without_samples_are_skipped_in_a_252_day_year() -> None:
    ts = [START + DAY * (i + 1) for i in range(40) if i % 7 < 5]
    found = series(ts, list(range(101, 101 + len(ts))), ts[-1], annualisation=252)
    assert (found.period, found.per_year, len(found.strategy)) == ("1d", 252.0, len(ts))
    assert np.all(found.strategy > 0)


def test_hours_and_minutes_of_an_exchange_day_count_for_the_year() -> None:
    ts = [START + DAY * day + 14 * HOUR + 30 * MINUTE * i for day in range(5) for i in range(1, 14)]
    found = series(ts, [100.0] * len(ts), ts[-1], annualisation=252)
    assert found.period == "1h"
    assert found.per_year == 252 * 7
    ts = [START + MINUTE * i for i in range(1, 391)]
    found = series(ts, [100.0] * len(ts), ts[-1], annualisation=252)
    assert (found.period, found.per_year) == ("1m", 252 * 390)
    assert series(ts, [100.0] * len(ts), ts[-1]).per_year == 365 * 1440


def test_samples_further_apart_than_a_period_are_not_padded() -> None:
    months = [START + 30 * DAY * i for i in range(1, 25)]
    found = series(months, [100.0 + i for i in range(24)], months[-1])
    assert (found.period, len(found.strategy)) == ("sample", 24)
    assert found.per_year == pytest.approx(365 / 30)
    days = [START + DAY * i for i in range(1, 11)]
    assert series(days, [100.0] * 10, days[-1]).period == "1d"


def test_a_day_begins_where_the_risk_day_begins() -> None:
    ts = [START + HOUR * i for i in range(1, 24 * 25 + 1)]
    values = [100.0 if i <= 15 else 110.0 for i in range(1, len(ts) + 1)]  # 15:00 UTC is midnight in Seoul
    assert series(ts, values, ts[-1]).strategy[0] == pytest.approx(0.1)
    seoul = series(ts, values, ts[-1], day_offset=9 * HOUR)
    assert seoul.strategy[0] == 0.0
    assert seoul.strategy[1] == pytest.approx(0.1)


def test_nothing_is_earned_after_a_total_loss() -> None:
    ts = [START + DAY * i for i in range(1, 31)]
    found = series(ts, [100.0] * 10 + [-5.0] + [50.0] * 19, ts[-1])
    assert len(found.strategy) == 11
    assert found.strategy[-1] == pytest.approx(-1.05)


def test_the_last_of_samples_at_one_instant_counts() -> None:
    ts = [START, START + DAY, START + DAY, START + 2 * DAY]
    found = series(ts, [90.0, 95.0, 110.0, 121.0], START + 2 * DAY)
    np.testing.assert_allclose(found.strategy, [0.1, 0.1])


@pytest.fixture(scope="module")
def result() -> BacktestResult:
    ts, prices = walk(4000, 2, seed=5)
    return build(ts, prices, cross(prices, 12, 26, 20000), symbols=("BTC", "ETH"))


@pytest.fixture(scope="module")
def metrics(result: BacktestResult) -> dict[str, Metric]:
    return PerformanceReporter(result).metrics


def test_every_defined_metric_is_there_in_order(metrics: dict[str, Metric]) -> None:
    assert list(metrics) == list(DEFINITIONS)
    assert all(value is not None for name, value in metrics.items() if name != "max_drawdown_end")


def test_metrics_agree_with_empyrical_on_its_own_daily_returns(
    result: BacktestResult, metrics: dict[str, Metric]
) -> None:
    """The daily closes are picked here by hand: samples are hourly and end at full hours."""
    equity = result.equity["equity"]
    ends = [i for i, t in enumerate(result.equity["ts"].tolist()) if t % DAY == 0]
    ends += [] if ends[-1] == len(equity) - 1 else [len(equity) - 1]
    values = np.concatenate(([10000.0], equity[ends]))
    returns = np.diff(values) / values[:-1]
    assert metrics["returns_count"] == len(returns)
    assert metrics["sharpe"] == pytest.approx(empyrical.sharpe_ratio(returns, annualization=365))
    assert metrics["sortino"] == pytest.approx(empyrical.sortino_ratio(returns, annualization=365))
    assert metrics["volatility"] == pytest.approx(empyrical.annual_volatility(returns, annualization=365))
    assert metrics["omega"] == pytest.approx(empyrical.omega_ratio(returns))
    assert metrics["cvar_95"] == pytest.approx(empyrical.conditional_value_at_risk(returns))
    every = np.diff(np.concatenate(([10000.0], equity))) / np.concatenate(([10000.0], equity[:-1]))
    assert metrics["max_drawdown"] == pytest.approx(empyrical.max_drawdown(every))


def test_money_adds_up(result: BacktestResult, metrics: dict[str, Metric]) -> None:
    trades = PerformanceReporter(result).trades
    closed = trades[~trades["open"]]
    assert metrics["fees"] == result.money(int(result.fills["fee"].sum()))
    assert metrics["net_profit"] == Decimal(str(metrics["final_equity"])) - 10000
    assert metrics["trades"] == len(closed)
    assert metrics["open_trades"] == 2
    assert metrics["expectancy"] == round(Decimal(int(closed["pnl"].sum())).scaleb(-6) / len(closed), 6)
    wins, losses = closed["pnl"][closed["pnl"] > 0], closed["pnl"][closed["pnl"] < 0]
    assert metrics["profit_factor"] == pytest.approx(wins.sum() / -losses.sum())
    assert metrics["payoff_ratio"] == pytest.approx(wins.mean() / -losses.mean())
    assert metrics["win_rate"] == len(wins) / len(closed)
    assert metrics["sqn"] == pytest.approx(
        math.sqrt(len(closed)) * closed["pnl"].mean() / np.std(closed["pnl"], ddof=1)
    )
    assert metrics["turnover"] == pytest.approx(
        result.fills["notional"].sum() / 1e6 / result.equity["equity"].mean()
    )
    assert float(str(metrics["max_drawdown_money"])) == pytest.approx(-result.final["max_drawdown"], abs=1e-6)


def test_a_run_without_trades_has_no_trade_figures() -> None:
    ts, prices = walk(1000)
    metrics = metrics_of(result := build(ts, prices, np.zeros((1000, 1))), PerformanceReporter(result).trades)
    assert metrics["total_return"] == 0.0
    assert metrics["exposure"] == 0.0
    assert metrics["volatility"] == 0.0
    for name in (
        "sharpe",
        "calmar",
        "win_rate",
        "profit_factor",
        "expectancy",
        "average_holding",
        "worst_mae",
    ):
        assert metrics[name] is None, name
    assert metrics["benchmark_return"] is not None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.integers(-50, 50)), max_size=12),
    st.sampled_from([1, HOUR, DAY, 40 * DAY]),
    st.sampled_from([252, 365]),
    st.sampled_from([0, 2, 8]),
)
def test_no_result_makes_invalid_json(
    rows: list[tuple[int, int]], step: int, year: int, precision: int
) -> None:
    """Short, flat, ruined and empty runs included."""
    ts = START + step * np.arange(1, len(rows) + 1)
    prices = np.array([[p / 100] for p, _ in rows]).reshape(len(rows), 1)
    targets = np.array([[t] for _, t in rows]).reshape(len(rows), 1)
    result = build(ts, prices, targets, precision=precision, annualisation=year, lot_size=Decimal(1))
    found = json.loads(PerformanceReporter(result).json(full=True))
    assert list(found["metrics"]) == list(DEFINITIONS)
    assert len(found["fills"]) == len(result.fills)


def test_time_in_market_is_the_union_over_symbols() -> None:
    ts = START + HOUR * np.arange(1, 11)
    targets = np.array([[0, 0], [5, 0], [5, -5], [0, -5], [0, 0], [0, 0], [0, 3], [0, -3], [0, 0], [0, 0]])
    result = build(ts, np.full((10, 2), 10.0), targets, symbols=("A", "B"))
    assert time_in_market(result.fills, int(ts[0]), int(ts[-1])) == pytest.approx(5 / 9)


def test_losing_streak() -> None:
    assert losing_streak(np.array([1, -1, -1, 2, -1, -1, -1])) == 3
    assert losing_streak(np.array([1, 0])) == 0


def test_basis_reads_the_manifest() -> None:
    spec = {"report": {"annualisation": 252, "riskFreeRate": "0.03"}, "risk": {"dayStart": "+09:00"}}
    assert Basis.of({"spec": spec}) == Basis(252.0, 0.03, 9 * HOUR)
    assert Basis.of({}) == Basis()
    assert day_offset("-05:30") == -(5 * HOUR + HOUR // 2)
    with pytest.raises(BadInputError, match="dayStart: 'noon' is no UTC offset"):
        day_offset("noon")
