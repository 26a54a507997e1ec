"""From the engine's events to the order list, the fills and the equity curve."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigma_bot.backtest.rows import Rows, pick
from sigma_bot.engine.broker import Broker
from sigma_bot.engine.types import (
    DONE,
    E_CANCEL,
    E_EXPIRE,
    E_FILL,
    E_LIQUIDATE,
    E_MODIFY,
    E_NEW,
    E_REJECT,
    R_LIQUIDATION,
)
from sigma_bot.results.result import CANCELLED, EXPIRED, FILL, FILLED, OPEN, ORDER, REJECTED, equity_dtype


def orders_of(events: Rows, broker: Broker) -> Rows:
    """The order list: one row an order, in order of submission. ``broker`` says which are still open."""
    new = pick(events, np.isin(events["kind"], (E_NEW, E_REJECT, E_LIQUIDATE)))
    out = np.zeros(len(new), ORDER)
    for name in ("id", "ts", "symbol", "side", "tif", "lots", "stop", "parent", "group"):
        out[name] = new[name]
    out["kind"] = new["order_type"]
    out["limit"] = np.where(new["kind"] == E_LIQUIDATE, 0.0, new["price"])
    refused = new["kind"] == E_REJECT
    out["reason"] = np.where(new["kind"] == E_LIQUIDATE, R_LIQUIDATION, new["reason"])
    out["closed"][refused] = new["ts"][refused]

    def rows(kind: int) -> tuple[Rows, NDArray[np.intp]]:
        part = pick(events, events["kind"] == kind)
        return part, np.searchsorted(out["id"], part["id"])

    fills, at = rows(E_FILL)
    np.add.at(out["filled"], at, fills["lots"])
    out["closed"][at] = fills["ts"]
    changes, at = rows(E_MODIFY)
    out["limit"][at] = changes["price"]
    out["stop"][at] = changes["stop"]
    out["lots"][at] = changes["lots"]
    status = np.where(refused, REJECTED, FILLED)
    for kind, word in ((E_CANCEL, CANCELLED), (E_EXPIRE, EXPIRED)):
        ends, at = rows(kind)
        status[at] = word
        out["reason"][at] = ends["reason"]
        out["closed"][at] = ends["ts"]
    still = [o.id for o in (broker.orders[k] for k in broker.active[: broker.n_active]) if o.state != DONE]
    at = np.searchsorted(out["id"], still)
    status[at] = OPEN
    out["closed"][at] = 0
    out["status"] = status
    # the exit of a bracket grows with its entry, when that is made larger
    out["lots"] = np.maximum(out["lots"], out["filled"])
    return out


def fills_of(events: Rows) -> Rows:
    """The executions, in order."""
    part = pick(events, events["kind"] == E_FILL)
    out = np.zeros(len(part), FILL)
    for name in FILL.names or ():
        out[name] = part["id" if name == "order" else name]
    return out


def equity_of(samples: Rows, broker: Broker) -> Rows:
    """The equity curve; the state after the last row is its last point."""
    n = broker.n_markets
    out = np.zeros(len(samples) + 1, equity_dtype(n))
    for name in ("ts", "equity", "gross", "benchmark"):
        out[name][:-1] = samples[name]
    out["marks"][:-1] = samples["marks"][:, :n]
    markets = broker.markets[:n]
    gross = sum(abs(s.qty) * s.mid for s in markets)
    index = sum(s.mid / s.first_price if s.first_price > 0.0 else 1.0 for s in markets) / n
    out[-1] = (broker.ts, broker.equity, gross, index, [s.mid for s in markets])
    return out


def digest_of(digests: Mapping[str, str], orders: Rows, fills: Rows, final: Mapping[str, Any]) -> str:
    """sha256 over code, manifest and data, the order list, the fills and the account they left.

    Numbers enter as their little-endian bytes, so the digest is the same on every machine that computes the
    same.
    """
    h = hashlib.sha256()
    h.update(json.dumps({k: digests[k] for k in ("code", "manifest", "data")}, sort_keys=True).encode())
    for table in (orders, fills):
        h.update(table.astype(table.dtype.newbyteorder("<")).tobytes())
    h.update(repr(sorted(final.items())).encode())
    return h.hexdigest()
