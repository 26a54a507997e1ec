"""Plotly figures of a backtest as plain data. ``"@name"`` is a colour of the page's theme, see ``page.js``.

Times are milliseconds since 1970, which plotly shows as UTC. Its texts are a small HTML of its own, hence the
escapes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigma_bot.metrics.drawdown import underwater
from sigma_bot.metrics.returns import Returns
from sigma_bot.metrics.sampling import keep_extremes
from sigma_bot.metrics.tradestats import trade_returns
from sigma_bot.report.format import show
from sigma_bot.report.page import Figure, escape
from sigma_bot.report.summary import amounts
from sigma_bot.results.result import BacktestResult
from sigma_bot.times import DAY

MOST_MARKED = 2000
Trace = dict[str, Any]


def milliseconds(ts: NDArray[np.int64]) -> list[float]:
    """Times for an axis."""
    return np.round(ts / 1e6, 3).tolist()  # type: ignore[no-any-return]


def digits(values: NDArray[np.float64], places: int = 7) -> list[float]:
    """Values for an axis, rounded to ``places`` significant digits of the largest: finer is not visible."""
    largest = float(np.max(np.abs(values), initial=0.0))
    scale = places - 1 - int(np.floor(np.log10(largest))) if largest > 0 else 0
    return np.round(values, scale).tolist()  # type: ignore[no-any-return]


def equity_figure(result: BacktestResult) -> Figure:
    """Equity and buy-and-hold over the distance from the peak, on one time axis."""
    samples = result.equity
    ts, equity, index = samples["ts"], samples["equity"], samples["benchmark"]
    initial = float(result.money(result.initial_cash))
    water = underwater(np.concatenate(([initial], equity)))[1:] * 100
    unit = escape(result.currency)
    traces = [
        _line(ts, equity, "Equity", "@accent", 1.8, f"%{{y:,.2f}} {unit}"),
        _line(ts, water, "Drawdown", "@loss", 1.0, "%{y:.2f} %")
        | {"fill": "tozeroy", "fillcolor": "@loss/22", "yaxis": "y2", "showlegend": False},
    ]
    if len(index) and np.all(np.isfinite(index)):
        hold = _line(ts, index * initial, "Buy and hold", "@bench", 1.2, f"%{{y:,.2f}} {unit}")
        traces.insert(0, hold)
    layout: dict[str, Any] = {
        "hovermode": "x unified",
        "xaxis": _time_axis(result) | {"anchor": "y2"},
        "yaxis": {"domain": [0.3, 1.0], "title": {"text": unit}},
        "yaxis2": {"domain": [0.0, 0.25], "ticksuffix": " %", "rangemode": "tozero"},
    }
    return {"data": traces, "layout": layout}


def price_figure(result: BacktestResult, trades: NDArray[np.void]) -> Figure:
    """One chart a symbol: its marks, and at most :data:`MOST_MARKED` trades, those with the largest profit or
    loss.
    """
    choices = []
    for number in range(len(result.markets)):
        marks = result.equity["marks"][:, number]
        known = np.isfinite(marks) & (marks > 0)
        line = _line(result.equity["ts"][known], marks[known], "Price", "@price", 1.2, "%{y}")
        own = trades[trades["symbol"] == number]
        if len(own) > MOST_MARKED:
            own = own[np.sort(np.argsort(-np.abs(own["pnl"]), kind="stable")[:MOST_MARKED])]
        choices.append({"data": [line, *_trade_traces(result, own)]})
    layout = {"xaxis": _time_axis(result), "yaxis": {"title": {"text": "Price"}}}
    return {"choices": choices, "layout": layout}


def returns_figure(returns: Returns) -> Figure:
    """How often a period returned how much, in per cent. Periods without a change would dwarf all others."""
    values = returns.strategy[returns.strategy != 0] * 100
    if len(values) == 0:
        return {"data": [], "layout": {}}
    count, edges = np.histogram(values, bins=min(60, max(10, int(np.sqrt(len(values)) * 2))))
    middle = (edges[1:] + edges[:-1]) / 2
    bars = {
        "type": "bar",
        "x": digits(middle),
        "y": count.tolist(),
        "width": float(edges[1] - edges[0]) * 0.92,
        "marker": {"color": ["@gain" if x > 0 else "@loss" for x in middle]},
        "hovertemplate": "%{x:.2f} %: %{y} periods<extra></extra>",
    }
    layout = {"xaxis": {"ticksuffix": " %"}, "yaxis": {"title": {"text": "periods"}}, "showlegend": False}
    return {"data": [bars], "layout": layout}


def excursion_figure(result: BacktestResult, trades: NDArray[np.void]) -> Figure:
    """Profit of each closed trade over how far it ran against its entry: where a stop would have helped."""
    closed = trades[~trades["open"]]
    if len(closed) > MOST_MARKED:
        closed = closed[np.sort(np.argsort(-np.abs(closed["pnl"]), kind="stable")[:MOST_MARKED])]
    profit = closed["pnl"] / 10.0**result.precision
    traces = []
    for name, chosen, colour in (("Profit", profit > 0, "@gain"), ("Loss", profit <= 0, "@loss")):
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": digits(closed["mae"][chosen]),
                "y": digits(profit[chosen]),
                "marker": {"color": colour, "size": 6, "opacity": 0.65},
                "hovertemplate": "MAE %{x:,.2f}, profit %{y:,.2f}<extra></extra>",
            }
        )
    unit = escape(result.currency)
    layout = {
        "xaxis": {"title": {"text": f"MAE, {unit}"}},
        "yaxis": {"title": {"text": f"Profit, {unit}"}},
        "showlegend": False,
    }
    return {"data": traces, "layout": layout}


def _line(
    ts: NDArray[np.int64], values: NDArray[np.float64], name: str, colour: str, width: float, hover: str
) -> Trace:
    kept = keep_extremes(values)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": milliseconds(ts[kept]),
        "y": digits(values[kept]),
        "line": {"color": colour, "width": width},
        "hovertemplate": hover + f"<extra>{name}</extra>",
    }


def _time_axis(result: BacktestResult) -> dict[str, Any]:
    axis: dict[str, Any] = {"type": "date"}
    if result.end - result.start > 90 * DAY:
        steps = [{"count": n, "label": label, "step": step} for n, label, step in _STEPS]
        buttons = [*steps, {"label": "all", "step": "all"}]
        axis["rangeselector"] = {
            "buttons": buttons,
            "bgcolor": "@soft",
            "activecolor": "@line",
            "x": 1,
            "xanchor": "right",
        }
    return axis


_STEPS = ((1, "1m", "month"), (6, "6m", "month"), (1, "1y", "year"))


def _trade_traces(result: BacktestResult, trades: NDArray[np.void]) -> list[Trace]:
    """Entries as triangles that point where the trade bets, exits as rings, a line between, by outcome."""
    long, gain, closed = trades["side"] > 0, trades["pnl"] > 0, ~trades["open"]
    share = trade_returns(result, trades)
    profits = amounts(result, trades["pnl"])
    pairs = zip(profits, share.tolist(), strict=True)
    text = np.array(
        [f"{profit} {escape(result.currency)} ({show(part, 'percent')})" for profit, part in pairs]
    )
    traces = [
        _link(trades[closed & gain], "@gain"),
        _link(trades[closed & ~gain], "@loss"),
    ]
    kinds = (
        ("Long entry", "entry", long, "triangle-up", "@gain"),
        ("Short entry", "entry", ~long, "triangle-down", "@loss"),
        ("Exit with profit", "exit", closed & gain, "circle-open", "@gain"),
        ("Exit with loss", "exit", closed & ~gain, "circle-open", "@loss"),
    )
    for name, end, chosen, symbol, colour in kinds:
        if not np.any(chosen):
            continue
        hollow = symbol.endswith("open")
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": milliseconds(trades[end][chosen]),
                "y": trades[f"{end}_price"][chosen].tolist(),
                "customdata": text[chosen].tolist(),
                "marker": {
                    "symbol": symbol,
                    "size": 10 if hollow else 7,
                    "color": colour,
                    "line": {"color": colour if hollow else "@card", "width": 1.8 if hollow else 0.8},
                },
                "hovertemplate": "%{y}<br>%{customdata}<extra>" + name + "</extra>",
            }
        )
    return traces


def _link(trades: NDArray[np.void], colour: str) -> Trace:
    """Entry to exit of each trade as one broken line."""
    x: list[Any] = []
    y: list[Any] = []
    ends = zip(milliseconds(trades["entry"]), milliseconds(trades["exit"]), strict=True)
    prices = zip(trades["entry_price"].tolist(), trades["exit_price"].tolist(), strict=True)
    for (start, stop), (bought, sold) in zip(ends, prices, strict=True):
        x += [start, stop, None]
        y += [bought, sold, None]
    line = {"color": colour, "width": 1.4, "dash": "dot"}
    silent = {"hoverinfo": "skip", "showlegend": False}
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": line} | silent
