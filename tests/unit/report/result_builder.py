"""A small, slow account in plain Python that makes results for the report's tests."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from sigma_bot.results.result import FILL, FILLED, ORDER, REJECTED, BacktestResult, ResultMarket, equity_dtype

DAY = 86_400_000_000_000
HOUR = 3_600_000_000_000


def build(
    ts: Sequence[int] | np.ndarray,
    prices: np.ndarray,
    targets: np.ndarray,
    *,
    symbols: Sequence[str] = ("BTC",),
    lot_size: Decimal = Decimal("0.001"),
    initial: str = "10000",
    precision: int = 6,
    fee: float = 0.001,
    annualisation: int = 365,
    **changes: Any,
) -> BacktestResult:
    """Trade to ``targets`` (lots, rows x symbols) at each row's ``prices`` (same shape), mark every row."""
    scale = 10**precision
    size = float(lot_size)
    cash = int(Decimal(initial) * scale)
    start_cash = cash
    count = len(symbols)
    lots, cost, best, worst = [0] * count, [0] * count, [0.0] * count, [0.0] * count
    fees = realized_total = 0
    orders, fills, samples = list[Any](), list[Any](), list[Any]()
    for row, now in enumerate(ts):
        for s in range(count):
            p = float(prices[row, s])
            best[s], worst[s] = (
                (max(best[s], p), min(worst[s], p)) if lots[s] > 0 else (min(best[s], p), max(worst[s], p))
            )
            change = int(targets[row, s]) - lots[s]
            if change == 0:
                continue
            side, size_lots = (1, change) if change > 0 else (-1, -change)
            notional = round(p * size_lots * size * scale)
            paid = round(notional * fee)
            held, realized = abs(lots[s]), 0
            seen = (best[s], worst[s])
            if held == 0 or (lots[s] > 0) == (side > 0):
                cost[s] += notional
                if held == 0:
                    best[s] = worst[s] = p
                    seen = (p, p)
            else:
                part = notional * held // size_lots if size_lots > held else notional
                basis = cost[s] * size_lots // held if size_lots < held else cost[s]
                realized = part - basis if lots[s] > 0 else basis - part
                cost[s] = notional - part if size_lots > held else cost[s] - basis
                if size_lots >= held:
                    best[s] = worst[s] = p
            lots[s] += side * size_lots
            cash -= side * notional + paid
            fees += paid
            realized_total += realized
            orders.append(
                (len(orders) + 1, now, s, side, 0, 0, size_lots, size_lots, 0.0, 0.0, FILLED, 0, now, 0, 0)
            )
            fills.append(
                (now, len(orders), s, side, size_lots, p, notional, paid, realized, lots[s], 0, *seen)
            )
        values = [lots[s] * size * float(prices[row, s]) for s in range(count)]
        index = float(np.mean(prices[row] / prices[0]))
        samples.append((now, cash / scale + sum(values), sum(map(abs, values)), index, tuple(prices[row])))
    if len(ts):
        orders.append((len(orders) + 1, ts[0], 0, 1, 1, 0, 10, 0, 1.5, 0.0, REJECTED, 3, ts[0], 0, 0))
    equity = np.array(samples, equity_dtype(count))
    values = equity["equity"]  # type: ignore[assignment]
    peak = np.maximum.accumulate(np.append(start_cash / scale, values))
    content: dict[str, Any] = {
        "name": "ema-cross",
        "digest": "5e" * 32,
        "digests": {"code": "aa" * 32, "manifest": "bb" * 32, "data": "cc" * 32, "libm": "dd" * 32},
        "engine": "compiled",
        "engine_reason": "",
        "strategy": "EmaCross",
        "params": {"fast": 12, "slow": 26},
        "kind": "bar",
        "timeframe": int(np.median(np.diff(ts))) if len(ts) > 1 else DAY,
        "markets": tuple(ResultMarket(name, Decimal("0.01"), lot_size) for name in symbols),
        "currency": "USDT",
        "precision": precision,
        "initial_cash": start_cash,
        "start": int(ts[0]) - (int(ts[1] - ts[0]) if len(ts) > 1 else 0) if len(ts) else 0,
        "end": int(ts[-1]) if len(ts) else 0,
        "events": len(ts),
        "seconds": {"load": 0.1, "compile": 0.2, "run": 0.01, "report": 0.05},
        "orders": np.array(orders, ORDER),
        "fills": np.array(fills, FILL),
        "equity": equity,
        "counts": {
            "orders": len(orders),
            "fills": len(fills),
            "rejected": 1,
            "cancelled": 0,
            "ambiguous_bars": 2,
        },
        "rejections": {"maximum position": 1},
        "final": {
            "cash": cash,
            "equity": float(values[-1]) if len(values) else start_cash / scale,
            "fees": fees,
            "funding": 0,
            "realized": realized_total,
            "max_drawdown": float(np.max(peak - np.append(start_cash / scale, values))),
            "peak": float(peak[-1]),
        },
        "assumptions": [("fill", "Orders fill at the next bar's open."), ("spread", "0.01 % of the price.")],
        "warnings": [],
        "manifest": {
            "kind": "Backtest",
            "spec": {
                "report": {"annualisation": annualisation, "riskFreeRate": "0"},
                "risk": {"dayStart": "+00:00"},
            },
        },
    }
    return BacktestResult(**(content | changes))


def cross(closes: np.ndarray, fast: int, slow: int, lots: int) -> np.ndarray:
    """Targets of a moving-average cross, long and short, shape rows x symbols."""

    def mean(values: np.ndarray, length: int) -> np.ndarray:
        total = np.cumsum(np.concatenate((np.zeros((1, values.shape[1])), values)), axis=0)
        out = np.full(values.shape, np.nan)
        out[length - 1 :] = (total[length:] - total[:-length]) / length
        return out

    quick, late = mean(closes, fast), mean(closes, slow)
    known = np.isfinite(quick) & np.isfinite(late)
    return np.where(known, np.where(quick > late, lots, -lots), 0)


def walk(rows: int, symbols: int = 1, seed: int = 1, step: int = HOUR) -> tuple[np.ndarray, np.ndarray]:
    """Times (ns, from 2024) and a geometric random walk, shape rows x symbols."""
    random = np.random.default_rng(seed)
    ts = 1_704_067_200_000_000_000 + step * np.arange(1, rows + 1)
    return ts, 100 * np.exp(np.cumsum(random.normal(0.0001, 0.01, (rows, symbols)), axis=0))
