"""Results with made-up content, every field used, for storage tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigma_bot.results.result import FILL, ORDER, BacktestResult, ResultMarket, equity_dtype
from sigma_bot.results.trades import TRADE

MARKETS = (
    ResultMarket("BTCUSDT", Decimal("0.01"), Decimal("0.00001")),
    ResultMarket("KRW-XRP", None, Decimal("0.25")),
    ResultMarket("005930", Decimal(100), Decimal(10)),
)
START = 1_700_000_000_123_456_789


def result(count: int = 5, seed: int = 1, **changes: Any) -> BacktestResult:
    """A result with ``count`` random orders, fills and equity samples, the same for the same seed."""
    draw = np.random.default_rng(seed)
    markets = changes.get("markets", MARKETS)
    values: dict[str, Any] = {
        "name": "sample",
        "digest": f"{seed:064x}",
        "digests": {"code": "c" * 64, "manifest": "m" * 64, "data": "d" * 64, "libm": "l" * 64},
        "engine": "compiled",
        "engine_reason": "",
        "strategy": "EmaCross",
        "params": {"fast": 12, "slow": 26, "threshold": 0.1, "on": True},
        "kind": "tick",
        "timeframe": 0,
        "markets": markets,
        "currency": "USDT",
        "precision": 8,
        "initial_cash": 1_000_000_000_001,
        "start": START,
        "end": START + 10**15 + 1,
        "events": 123_456,
        "seconds": {"load": 0.1, "compile": 1.25, "run": 0.003, "report": 0.2},
        "orders": orders(count, draw),
        "fills": fills_of(count, draw),
        "equity": equity(count, draw, len(markets)),
        "counts": {"orders": count, "fills": count, "rejected": 3},
        "rejections": {"price collar": 2, "insufficient funds": 1},
        "final": {
            "cash": 999_999_999_999,
            "equity": 10_000.1,
            "fees": 123,
            "funding": -5,
            "realized": -7,
            "max_drawdown": 0.30000000000000004,
            "peak": 12_345.678,
        },
        "assumptions": [("latency", "orders arrive 50 ms later"), ("spread", "as quoted")],
        "warnings": ["2 gaps"],
        "manifest": {"kind": "Backtest", "spec": {"account": {"cash": "10000"}, "timeframes": ["1m"]}},
    }
    return BacktestResult(**{**values, **changes})


def orders(count: int, draw: np.random.Generator) -> NDArray[np.void]:
    """Orders of every kind."""
    rows = np.zeros(count, ORDER)
    rows["id"] = np.arange(1, count + 1)
    rows["ts"] = START + np.arange(count) * 100
    rows["symbol"] = draw.integers(0, 3, count)
    rows["side"] = draw.choice([1, -1], count)
    rows["kind"] = draw.integers(0, 5, count)
    rows["tif"] = draw.integers(0, 4, count)
    rows["lots"] = draw.integers(1, 10**12, count)
    rows["filled"] = rows["lots"] // 2
    rows["limit"] = np.where(rows["kind"] == 1, draw.uniform(1, 1e5, count).round(2), np.nan)
    rows["stop"] = np.where(rows["kind"] == 2, draw.uniform(1, 1e5, count), 0.0)
    rows["status"] = draw.integers(0, 5, count)
    rows["reason"] = draw.integers(0, 26, count)
    rows["closed"] = np.where(rows["status"] == 0, 0, rows["ts"] + 1)
    rows["parent"] = draw.integers(0, 3, count)
    rows["group"] = draw.integers(-1, 3, count)
    return rows


def fills_of(count: int, draw: np.random.Generator) -> NDArray[np.void]:
    """Fills with amounts up to the edge of 64 bits."""
    rows = np.zeros(count, FILL)
    rows["ts"] = START + np.arange(count) * 100
    rows["order"] = np.arange(1, count + 1)
    rows["symbol"] = draw.integers(0, 3, count)
    rows["side"] = draw.choice([1, -1], count)
    rows["lots"] = draw.integers(1, 10**12, count)
    rows["price"] = draw.uniform(1, 1e5, count)
    rows["notional"] = draw.integers(0, 2**62, count)
    rows["fee"] = draw.integers(-(10**6), 10**9, count)
    rows["realized"] = draw.integers(-(2**62), 2**62, count)
    rows["position"] = draw.integers(-(10**12), 10**12, count)
    rows["maker"] = draw.integers(0, 2, count)
    rows["best"] = rows["price"] * 1.01
    rows["worst"] = rows["price"] * 0.99
    return rows


def equity(count: int, draw: np.random.Generator, symbols: int) -> NDArray[np.void]:
    """Equity samples; the last symbol has no mark yet in the first one."""
    rows = np.zeros(count, equity_dtype(symbols))
    rows["ts"] = START + np.arange(count) * 1000
    rows["equity"] = draw.uniform(9e3, 1.1e4, count)
    rows["gross"] = draw.uniform(0, 1e4, count)
    rows["benchmark"] = draw.uniform(0.5, 2, count)
    rows["marks"] = draw.uniform(1, 1e5, (count, symbols))
    rows["marks"][:1, -1] = np.nan
    return rows


def trades(count: int = 3, seed: int = 2) -> NDArray[np.void]:
    """Trades; the last one still open."""
    draw = np.random.default_rng(seed)
    rows = np.zeros(count, TRADE)
    rows["symbol"] = draw.integers(0, 3, count)
    rows["side"] = draw.choice([1, -1], count)
    rows["entry"] = START + np.arange(count)
    rows["exit"] = rows["entry"] + 10**9
    rows["lots"] = draw.integers(1, 10**12, count)
    for name in ("entry_price", "exit_price", "mae", "mfe"):
        rows[name] = draw.uniform(0, 1e5, count)
    rows["pnl"] = draw.integers(-(10**12), 10**12, count)
    rows["fees"] = draw.integers(0, 10**9, count)
    rows["fills"] = draw.integers(2, 9, count)
    if count:
        rows["exit"][-1], rows["exit_price"][-1], rows["open"][-1] = 0, np.nan, True
    return rows


METRICS = {"sharpe": 1.2345678901234567, "calmar": float("inf"), "omega": None, "trades": 3}
