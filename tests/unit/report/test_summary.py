"""The JSON document, the terminal table and the comparison, as their readers meet them."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from sigma_bot.report.compare import compare
from sigma_bot.report.format import clocks, duration, isos, period, price, short, show
from sigma_bot.report.reporter import PerformanceReporter
from sigma_bot.report.summary import to_json
from sigma_bot.results.result import BacktestResult
from sigma_bot.times import iso
from tests.unit.report.result_builder import build, cross, walk


@pytest.fixture(scope="module")
def result() -> BacktestResult:
    ts, prices = walk(600, 2, seed=5)
    return build(ts, prices, cross(prices, 12, 26, 20000), symbols=("BTC", "ETH"))


@pytest.fixture(scope="module")
def full(result: BacktestResult) -> dict[str, Any]:
    found = json.loads(PerformanceReporter(result).json(full=True))
    assert isinstance(found, dict)
    return found


def test_document_has_the_agreed_keys(result: BacktestResult, full: dict[str, Any]) -> None:
    small = json.loads(PerformanceReporter(result).json())
    assert list(small) == ["digest", "engine", "events", "seconds", "metrics", "counts"]
    assert list(full) == [*small, "orders", "fills", "trades", "equity"]
    assert list(small["seconds"]) == ["load", "compile", "run", "report"]


def test_a_nan_never_becomes_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"metrics": {"sharpe": float("nan")}})


def test_money_and_quantities_are_exact_text(result: BacktestResult, full: dict[str, Any]) -> None:
    for row, fill in zip(result.fills, full["fills"], strict=True):
        assert Decimal(fill["fee"]).scaleb(6) == int(row["fee"])
        assert Decimal(fill["notional"]).scaleb(6) == int(row["notional"])
        assert Decimal(fill["quantity"]) == int(row["lots"]) * Decimal("0.001")
        assert float(fill["price"]) == row["price"]
    total = sum(Decimal(trade["profit"]) for trade in full["trades"])
    assert total.scaleb(6) == int(result.fills["realized"].sum() - result.fills["fee"].sum())
    assert all(
        isinstance(full["metrics"][name], str) for name in ("fees", "net_profit", "expectancy", "worst_mae")
    )
    assert all(isinstance(full["metrics"][name], float) for name in ("sharpe", "win_rate", "total_return"))
    assert full["trades"][-1]["open"] is True
    assert full["trades"][-1]["exit"] is None


def test_orders_say_how_they_ended(full: dict[str, Any]) -> None:
    refused = full["orders"][-1]
    assert refused["status"] == "rejected"
    assert refused["reason"] == "maximum position"
    assert (refused["kind"], refused["limit"], refused["stop"]) == ("limit", "1.5", None)
    first = full["orders"][0]
    assert (first["status"], first["reason"], first["limit"], first["parent"]) == ("filled", None, None, None)


def test_times_are_iso_to_the_nanosecond() -> None:
    assert iso(1_704_067_200_000_000_000) == "2024-01-01T00:00:00Z"
    assert iso(1_704_067_200_000_000_001) == "2024-01-01T00:00:00.000000001Z"
    assert isos(np.array([1_704_067_200_100_000_000, 1_704_067_201_000_000_000])) == [
        "2024-01-01T00:00:00.100Z",
        "2024-01-01T00:00:01.000Z",
    ]
    assert isos(np.zeros(0, np.int64)) == []
    assert clocks(np.array([1_704_067_260_000_000_000])) == ["2024-01-01 00:01"]
    assert period(1_704_067_200_000_000_000, 1_704_153_600_000_000_000) == "2024-01-01 → 2024-01-02"


def test_people_read_short_values() -> None:
    assert price(1e-7) == "0.0000001"
    assert price(float("nan")) is None
    assert (short(1234567.891), short(0.000123456789), short(0.0)) == ("1,234,568", "0.000123457", "0")
    assert [duration(x) for x in (0, 0.08, 59.6, 3600, 90061)] == ["0s", "80ms", "1m", "1h", "1d 1h"]
    assert show(Decimal("-1234.5"), "money", "KRW") == "−1,234.50 KRW"  # noqa: RUF001
    assert show(-0.00001, "percent") == "−0.0010 %"  # noqa: RUF001
    assert show(Decimal("-0.001"), "money") == "0.00"
    assert show(None, "ratio") == "–"  # noqa: RUF001


def table_of(result: BacktestResult, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, no_color=True)
    PerformanceReporter(result).show(console)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_table_fits_80_columns_without_colour(result: BacktestResult) -> None:
    lines = table_of(replace(result, warnings=["a gap of two days", "low [bold]volume[/bold]"]))
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "\x1b" not in text
    for part in (
        "EmaCross(fast=12, slow=26)",
        "BTC, ETH · 1h bars",
        "maximum position 1",
        "Ambiguous bars   2",
    ):
        assert part in text
    assert "low [bold]volume[/bold]" in text
    assert result.digest in text
    assert re.search(r"Buy and hold +\S+ %", text)
    assert "…" not in text


def test_table_of_an_empty_run_and_a_hostile_name() -> None:
    ts, prices = walk(50)
    quiet = build(ts, prices, np.zeros((50, 1)), name="[red]x[/red]", rejections={}, counts={})
    text = "\n".join(table_of(quiet))
    assert "[red]x[/red]" in text
    assert "Rejected" not in text


def test_compare_subtracts_what_can_be_subtracted(result: BacktestResult) -> None:
    a = PerformanceReporter(result).metrics
    b = json.loads(PerformanceReporter(result).json())["metrics"] | {"sharpe": None, "later": 2.0}
    b["fees"] = str(Decimal(b["fees"]) + Decimal("0.000001"))
    rows = {row.name: row for row in compare(a, b)}
    assert list(rows) == [*a, "later"]
    assert rows["fees"].difference == Decimal("0.000001")
    assert rows["trades"].difference == 0
    assert rows["sharpe"].difference is None
    assert rows["returns_period"].difference is None
    assert rows["max_drawdown_start"].difference is None
    assert (rows["later"].a, rows["later"].difference, rows["later"].kind) == (None, None, "ratio")
    with pytest.raises(ValueError, match="metric fees: 'much' is no amount"):
        compare(a, {"fees": "much"})
