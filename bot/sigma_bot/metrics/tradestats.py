"""Figures about trades, fills and positions: what the returns alone do not show."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
from numpy.typing import NDArray

from sigma_bot.metrics.definitions import Metric
from sigma_bot.metrics.ratios import finite
from sigma_bot.results.result import BacktestResult

Floats = NDArray[np.float64]

MONEY_NAMES = (
    "expectancy",
    "best_trade",
    "worst_trade",
    "average_mae",
    "worst_mae",
    "average_mfe",
    "best_mfe",
)
OTHER_NAMES = (
    "win_rate",
    "profit_factor",
    "payoff_ratio",
    "sqn",
    "average_trade",
    "longest_losing_streak",
    "average_holding",
    "median_holding",
)


def money_of(value: float | Decimal, precision: int) -> Decimal:
    """An amount rounded half-even to the account's precision."""
    return Decimal(value).quantize(Decimal(1).scaleb(-precision), rounding=ROUND_HALF_EVEN)


def trade_metrics(result: BacktestResult, trades: NDArray[np.void]) -> dict[str, Metric]:
    """Figures of the closed trades, in the order of their exits; all None when there are none.

    A win is a profit above zero after fees, a loss one below zero. Profit factor and payoff ratio are None
    without a loss. Expectancy is the mean profit, SQN (Tharp, *Trade Your Way to Financial Freedom*, 1998)
    ``sqrt(n) * mean(profit) / std(profit, ddof=1)`` with the profit in money for the risked amount R.
    """
    closed = trades[~trades["open"]]
    closed = closed[np.argsort(closed["exit"], kind="stable")]
    counts: dict[str, Metric] = {"trades": len(closed), "open_trades": len(trades) - len(closed)}
    if len(closed) == 0:
        return counts | dict.fromkeys((*OTHER_NAMES, *MONEY_NAMES))
    quanta = closed["pnl"].astype(float)
    wins, losses = quanta[quanta > 0], quanta[quanta < 0]
    lost = -float(losses.sum())
    spread = float(np.std(quanta, ddof=1)) if len(quanta) > 1 else 0.0
    holding = (closed["exit"] - closed["entry"]) / 1e9
    exact = sum(closed["pnl"].tolist())
    scale = result.precision

    def amount(value: float) -> Decimal:
        return money_of(float(value), scale)

    return counts | {
        "win_rate": len(wins) / len(quanta),
        "profit_factor": finite(float(wins.sum()) / lost) if lost > 0 else None,
        "payoff_ratio": finite(float(wins.mean()) * len(losses) / lost) if lost > 0 and len(wins) else None,
        "expectancy": money_of(result.money(exact) / len(closed), scale),
        "sqn": math.sqrt(len(quanta)) * float(quanta.mean()) / spread if spread > 0 else None,
        "average_trade": finite(float(np.mean(trade_returns(result, closed)))),
        "best_trade": result.money(int(closed["pnl"].max())),
        "worst_trade": result.money(int(closed["pnl"].min())),
        "longest_losing_streak": losing_streak(closed["pnl"]),
        "average_holding": float(np.mean(holding)),
        "median_holding": float(np.median(holding)),
        "average_mae": amount(closed["mae"].mean()),
        "worst_mae": amount(closed["mae"].max()),
        "average_mfe": amount(closed["mfe"].mean()),
        "best_mfe": amount(closed["mfe"].max()),
    }


def trade_returns(result: BacktestResult, trades: NDArray[np.void]) -> Floats:
    """Profit after fees over the trade's entry value (average entry price times its largest quantity)."""
    sizes = np.asarray([float(market.lot_size) for market in result.markets])
    value = trades["entry_price"] * trades["lots"] * sizes[trades["symbol"]]
    profit = trades["pnl"] / 10.0**result.precision
    return np.asarray(np.divide(profit, value, out=np.zeros(len(trades)), where=value > 0))


def losing_streak(pnl: NDArray[np.int64]) -> int:
    """Most negative entries in a row."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], pnl < 0, [False])).astype(np.int8)))
    return int(np.max(edges[1::2] - edges[::2], initial=0))


def time_in_market(fills: NDArray[np.void], start: int, end: int) -> float | None:
    """Part of the time from ``start`` to ``end`` (ns) in which at least one symbol had a position."""
    if end <= start:
        return None
    if len(fills) == 0:
        return 0.0
    order = np.argsort(fills["symbol"], kind="stable")
    held = (fills["position"][order] != 0).astype(np.int64)
    change = held.copy()
    same = fills["symbol"][order][1:] == fills["symbol"][order][:-1]
    change[1:] -= np.where(same, held[:-1], 0)
    moves = np.empty_like(change)
    moves[order] = change
    following = np.append(fills["ts"][1:], end)
    open_time = np.maximum(following - fills["ts"], 0)[np.cumsum(moves) > 0]
    return min(float(open_time.sum()) / (end - start), 1.0)


def activity_metrics(result: BacktestResult) -> dict[str, Metric]:
    """Exposure, leverage, turnover and costs.

    Turnover is the traded value (both sides) over the mean of the equity samples; leverage the gross position
    value over equity of a sample with positive equity.
    """
    equity, gross = result.equity["equity"], result.equity["gross"]
    positive = equity > 0
    leverage = gross[positive] / equity[positive]
    average = float(equity.mean()) if len(equity) else 0.0
    traded = float(result.money(sum(result.fills["notional"].tolist())))
    turnover = finite(traded / average) if average > 0 else None
    years = (result.end - result.start) / (365 * 86_400e9)
    return {
        "exposure": time_in_market(result.fills, result.start, result.end),
        "average_leverage": float(leverage.mean()) if len(leverage) else None,
        "max_leverage": float(leverage.max()) if len(leverage) else None,
        "turnover": turnover,
        "turnover_annual": finite(turnover / years) if turnover is not None and years > 0 else None,
        "fees": result.money(result.final["fees"]),
        "funding": result.money(result.final["funding"]),
    }
