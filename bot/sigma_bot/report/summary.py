"""The JSON document of a backtest, and the sentences that describe what was run.

Money, prices and quantities are decimal strings, times ISO 8601 UTC, ratios numbers, an undefined value null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigma_bot.decimals import fixed_point
from sigma_bot.engine.types import LIMIT, STOP, STOP_LIMIT, TRAIL, OrderType, Reason, TimeInForce
from sigma_bot.metrics.definitions import Metric
from sigma_bot.report.format import duration, isos, price
from sigma_bot.results.result import ORDER_STATUS, BacktestResult

Row = dict[str, Any]


def document(result: BacktestResult, metrics: Mapping[str, Metric]) -> Row:
    """What ``--output json`` prints: digest, engine, events, seconds, metrics and counts."""
    return {
        "digest": result.digest,
        "engine": result.engine,
        "events": result.events,
        "seconds": {name: round(value, 6) for name, value in result.seconds.items()},
        "metrics": {name: fixed_point(x) if isinstance(x, Decimal) else x for name, x in metrics.items()},
        "counts": dict(result.counts),
    }


def full_document(result: BacktestResult, metrics: Mapping[str, Metric], trades: NDArray[np.void]) -> Row:
    """What ``--output full`` prints: the document with every order, fill, trade and equity sample."""
    return document(result, metrics) | {
        "orders": order_rows(result),
        "fills": fill_rows(result),
        "trades": trade_rows(result, trades),
        "equity": equity_rows(result),
    }


def to_json(content: Row) -> str:
    """One JSON document; a NaN that slipped through is an error here, never invalid JSON."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def order_rows(result: BacktestResult) -> list[Row]:
    """Orders as they were submitted, each with how it ended and why."""
    orders = result.orders
    limited = np.isin(orders["kind"], (LIMIT, STOP_LIMIT))
    stopped = np.isin(orders["kind"], (STOP, STOP_LIMIT, TRAIL))
    return _rows(
        {
            "id": orders["id"].tolist(),
            "time": isos(orders["ts"]),
            "symbol": _symbols(result, orders),
            "side": _named(orders["side"], {1: "buy", -1: "sell"}),
            "kind": [OrderType(i).text for i in orders["kind"].tolist()],
            "tif": [TimeInForce(i).text for i in orders["tif"].tolist()],
            "quantity": quantities(result, orders, "lots"),
            "filled": quantities(result, orders, "filled"),
            "limit": [
                price(x) if used else None for x, used in zip(orders["limit"].tolist(), limited, strict=True)
            ],
            "stop": [
                price(x) if used else None for x, used in zip(orders["stop"].tolist(), stopped, strict=True)
            ],
            "status": [ORDER_STATUS[i] for i in orders["status"].tolist()],
            "reason": [Reason(i).text or None for i in orders["reason"].tolist()],
            "closed": _closings(orders["closed"]),
            "parent": [i or None for i in orders["parent"].tolist()],
            "group": [i or None for i in orders["group"].tolist()],
        }
    )


def fill_rows(result: BacktestResult) -> list[Row]:
    """Executions; ``position`` is the quantity held after each."""
    fills = result.fills
    return _rows(
        {
            "time": isos(fills["ts"]),
            "order": fills["order"].tolist(),
            "symbol": _symbols(result, fills),
            "side": _named(fills["side"], {1: "buy", -1: "sell"}),
            "quantity": quantities(result, fills, "lots"),
            "price": [price(x) for x in fills["price"].tolist()],
            "notional": amounts(result, fills["notional"]),
            "fee": amounts(result, fills["fee"]),
            "realized": amounts(result, fills["realized"]),
            "position": quantities(result, fills, "position"),
            "liquidity": _named(fills["maker"], {1: "maker", 0: "taker"}),
        }
    )


def trade_rows(result: BacktestResult, trades: NDArray[np.void]) -> list[Row]:
    """Round trips; ``exit`` is null while a trade is open."""
    return _rows(
        {
            "symbol": _symbols(result, trades),
            "side": _named(trades["side"], {1: "long", -1: "short"}),
            "entry": isos(trades["entry"]),
            "exit": _closings(trades["exit"]),
            "quantity": quantities(result, trades, "lots"),
            "entry_price": [price(x) for x in trades["entry_price"].tolist()],
            "exit_price": [price(x) for x in trades["exit_price"].tolist()],
            "profit": amounts(result, trades["pnl"]),
            "fees": amounts(result, trades["fees"]),
            "mae": moneys(trades["mae"], result.precision),
            "mfe": moneys(trades["mfe"], result.precision),
            "fills": trades["fills"].tolist(),
            "open": trades["open"].tolist(),
        }
    )


def equity_rows(result: BacktestResult) -> list[Row]:
    """Equity samples with each symbol's mark."""
    samples = result.equity
    names = [market.symbol for market in result.markets]
    marks = [dict(zip(names, map(price, row), strict=True)) for row in samples["marks"].tolist()]
    return _rows(
        {
            "time": isos(samples["ts"]),
            "equity": moneys(samples["equity"], result.precision),
            "gross": moneys(samples["gross"], result.precision),
            "benchmark": [x if math.isfinite(x) else None for x in samples["benchmark"].tolist()],
            "marks": marks,
        }
    )


def quantities(result: BacktestResult, rows: NDArray[np.void], name: str) -> list[str]:
    """Exact quantities of a column of lots."""
    sizes = [market.lot_size for market in result.markets]
    return [
        fixed_point(lots * sizes[s])
        for lots, s in zip(rows[name].tolist(), rows["symbol"].tolist(), strict=True)
    ]


def amounts(result: BacktestResult, quanta: NDArray[np.int64]) -> list[str]:
    """Exact money of a column of quanta."""
    return [fixed_point(result.money(x)) for x in quanta.tolist()]


def moneys(values: NDArray[np.float64], precision: int) -> list[str | None]:
    """Money kept as a float (marks to market), rounded to the account's precision."""
    return [f"{x:.{precision}f}" if math.isfinite(x) else None for x in values.tolist()]


def describe_strategy(result: BacktestResult) -> str:
    """``EmaCross(fast=12, slow=26)``."""
    return f"{result.strategy}({', '.join(f'{name}={value:g}' for name, value in result.params.items())})"


def describe_market(result: BacktestResult, most: int = 6) -> str:
    """Symbols and what they were replayed from: ``BTC-USDT · 1h bars``."""
    names = [market.symbol for market in result.markets]
    shown = ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
    return f"{shown} · {'ticks' if result.kind == 'tick' else f'{timeframe(result.timeframe)} bars'}"


def timeframe(ns: int) -> str:
    """A bar's length as in a manifest."""
    return duration(ns / 1e9).replace(" ", "") if ns > 0 else "uneven"


def _rows(columns: Mapping[str, Iterable[Any]]) -> list[Row]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _symbols(result: BacktestResult, rows: NDArray[np.void]) -> list[str]:
    names = [market.symbol for market in result.markets]
    return [names[i] for i in rows["symbol"].tolist()]


def _named(values: NDArray[np.int64], names: Mapping[int, str]) -> list[str]:
    return [names[i] for i in values.tolist()]


def _closings(times: NDArray[np.int64]) -> list[str | None]:
    """Times of which 0 says "not yet"."""
    return [text if time else None for text, time in zip(isos(times), times.tolist(), strict=True)]
