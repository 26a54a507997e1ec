"""All metrics of one backtest, by name, in the order of :data:`sigma_bot.metrics.definitions.DEFINITIONS`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigma_bot.errors import BadInputError
from sigma_bot.metrics import ratios
from sigma_bot.metrics.definitions import DEFINITIONS, Metric
from sigma_bot.metrics.drawdown import drawdown_of
from sigma_bot.metrics.returns import YEAR, Returns, returns_of
from sigma_bot.metrics.tradestats import activity_metrics, money_of, trade_metrics
from sigma_bot.results.result import BacktestResult
from sigma_bot.times import SECOND, iso


@dataclass(frozen=True)
class Basis:
    """What the figures are measured with: days a year, risk-free return a year, where a day begins (ns east
    of UTC)."""

    annualisation: float = 365.0
    risk_free: float = 0.0
    day_offset: int = 0

    @staticmethod
    def of(manifest: Mapping[str, Any]) -> Basis:
        """Read ``spec.report.annualisation``, ``spec.report.riskFreeRate`` and ``spec.risk.dayStart``."""
        spec = manifest.get("spec", manifest)
        report, risk = spec.get("report") or {}, spec.get("risk") or {}
        return Basis(
            annualisation=float(report.get("annualisation", 365)),
            risk_free=float(report.get("riskFreeRate", 0)),
            day_offset=day_offset(str(risk.get("dayStart") or "+00:00")),
        )


def day_offset(text: str) -> int:
    """Nanoseconds east of UTC of an offset such as ``+09:00``."""
    found = re.fullmatch(r"([+-])(\d{2}):(\d{2})", text)
    if text in ("Z", "UTC"):
        return 0
    if found is None:
        raise BadInputError(f"risk.dayStart: {text!r} is no UTC offset; write it like '+09:00'")
    seconds = int(found[2]) * 3600 + int(found[3]) * 60
    return (seconds if found[1] == "+" else -seconds) * SECOND


def returns_for(result: BacktestResult, basis: Basis) -> Returns:
    """Regular returns of a result."""
    samples = result.equity
    return returns_of(
        samples["ts"],
        samples["equity"],
        samples["benchmark"],
        start=result.start,
        end=result.end,
        initial=float(result.money(result.initial_cash)),
        annualisation=basis.annualisation,
        day_offset=basis.day_offset,
    )


def metrics_of(result: BacktestResult, trades: NDArray[np.void]) -> dict[str, Metric]:
    """Every metric; undefined ones are None, never NaN or infinite."""
    basis = Basis.of(result.manifest)
    returns = returns_for(result, basis)
    found: dict[str, Metric] = {}
    found |= _growth(result)
    found |= _drawdowns(result)
    found |= _ratios(returns, basis)
    depth, growth = found["max_drawdown"], found["cagr"]
    found["calmar"] = ratios.calmar(_number(growth), _number(depth) or 0.0)
    found |= trade_metrics(result, trades)
    found |= activity_metrics(result)
    return {name: found[name] for name in DEFINITIONS}


def _number(value: Metric) -> float | None:
    return None if value is None or isinstance(value, str) else float(value)


def _growth(result: BacktestResult) -> dict[str, Metric]:
    initial = result.money(result.initial_cash)
    start, final = float(initial), float(result.final["equity"])
    whole = ratios.finite(final / start - 1.0) if start > 0 else None
    index = result.equity["benchmark"]
    held = ratios.finite(float(index[-1]) - 1.0) if len(index) else None
    equity = money_of(final, result.precision) if math.isfinite(final) else None
    return {
        "initial_cash": initial,
        "final_equity": equity,
        "net_profit": None if equity is None else equity - initial,
        "total_return": whole,
        "cagr": ratios.cagr(start, final, (result.end - result.start) / YEAR),
        "benchmark_return": held,
        "excess_return": None if whole is None or held is None else whole - held,
    }


def _drawdowns(result: BacktestResult) -> dict[str, Metric]:
    """From the samples, with the initial cash in front of them; the kernel's exact one stands beside them in
    money."""
    samples = result.equity
    ts = np.concatenate(([result.start], samples["ts"]))
    found = drawdown_of(ts, np.concatenate(([float(result.money(result.initial_cash))], samples["equity"])))
    index = samples["benchmark"]
    held = drawdown_of(samples["ts"], index).depth if len(index) and np.all(index > 0) else None
    exact = -abs(float(result.final["max_drawdown"]))
    return {
        "max_drawdown": found.depth,
        "max_drawdown_money": money_of(exact, result.precision) if exact else money_of(0.0, result.precision),
        "max_drawdown_duration": found.longest / 1e9,
        "max_drawdown_start": None if found.peak is None else iso(found.peak),
        "max_drawdown_trough": None if found.trough is None else iso(found.trough),
        "max_drawdown_end": None if found.recovered is None else iso(found.recovered),
        "benchmark_max_drawdown": held,
    }


def _ratios(returns: Returns, basis: Basis) -> dict[str, Metric]:
    series, index, year = returns.strategy, returns.benchmark, returns.per_year
    free = ratios.per_period(basis.risk_free, year)
    return {
        "volatility": ratios.volatility(series, year),
        "var_95": ratios.value_at_risk(series),
        "cvar_95": ratios.conditional_value_at_risk(series),
        "sharpe": ratios.sharpe(series, year, free),
        "sortino": ratios.sortino(series, year, free),
        "omega": ratios.omega(series, free),
        "probabilistic_sharpe": ratios.probabilistic_sharpe(series, risk_free=free),
        "alpha": ratios.alpha(series, index, year, free),
        "beta": ratios.beta(series, index, free),
        "correlation": ratios.correlation(series, index),
        "skew": ratios.skew(series),
        "kurtosis": ratios.kurtosis(series),
        "returns_period": returns.period,
        "returns_count": len(series),
        "periods_per_year": returns.per_year,
    }
