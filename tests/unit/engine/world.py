"""A small market to trade in: brokers from manifests, hand-made rows, strategies from lists of actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sigma_bot.backtest.session import InterpretedSession
from sigma_bot.engine.broker import Broker
from sigma_bot.engine.types import E_FILL, EventType, Reason
from sigma_bot.runtime.setup import build_broker
from sigma_bot.spec import Backtest, parse_manifest
from sigma_bot.strategy import Strategy
from sigma_bot.times import MINUTE

T0 = 1_700_000_040_000_000_000
TICK_NS = 100_000_000
FREE = {"taker": "0", "maker": "0"}


def manifest(**spec: Any) -> Backtest:
    """One market of 0.01 price steps and 0.001 lots; no fees, spread, latency or volume limit."""
    execution = {"latency": "0ms", "spread": "0", "volumeLimit": "0"} | spec.pop("execution", {})
    market = {"symbol": "X", "tickSize": "0.01", "lotSize": "0.001", "fees": FREE} | spec.pop("market", {})
    account = {"cash": "100000"} | spec.pop("account", {})
    value = {
        "apiVersion": "sigma-x.io/v1alpha1",
        "kind": "Backtest",
        "metadata": {"name": "test"},
        "spec": {
            "strategy": {"code": "x = 1"},
            "data": {"source": "synthetic"},
            "markets": [market],
            "account": account,
            "execution": execution,
        }
        | spec,
    }
    read = parse_manifest(value)
    assert isinstance(read, Backtest)
    return read


def broker(kind: str = "tick", **spec: Any) -> Broker:
    """The broker of such a manifest."""
    b = build_broker(manifest(**spec).spec, kind, MINUTE if kind == "bar" else 0)
    b.sample_every = MINUTE
    b.has_volume = 1
    return b


class Script(Strategy):
    """Calls ``actions[i](broker)`` on row ``i`` (ticks or bars of the data)."""

    row: int

    def __init__(self, actions: dict[int, Callable[[Broker], Any]]) -> None:
        super().__init__()
        SCRIPTS[id(self)] = actions

    def act(self, b: Broker) -> None:
        action = SCRIPTS[id(self)].get(self.row)
        self.row += 1
        if action is not None:
            action(b)

    def on_tick(self, tick: Any, broker: Broker) -> None:
        self.act(broker)

    def on_bar(self, bar: Any, broker: Broker) -> None:
        if bar is not broker.bar:
            self.act(broker)


SCRIPTS: dict[int, dict[int, Callable[[Broker], Any]]] = {}


def ticks(*rows: tuple[float, ...], size: float = 10.0, volume: float = 5.0) -> dict[str, Any]:
    """Ticks from (bid, ask[, low, high]) rows; without low and high nothing traded since the row before."""
    n = len(rows)
    bid, ask = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    last = (rows[0][0] + rows[0][1]) / 2
    lasts, lows, highs = [], [], []
    for r in rows:
        if len(r) > 2:
            last = min(max((r[0] + r[1]) / 2, r[2]), r[3])
        lasts.append(last)
        lows.append(r[2] if len(r) > 2 else last)
        highs.append(r[3] if len(r) > 2 else last)
    return {
        "ts": T0 + np.arange(n, dtype=np.int64) * TICK_NS,
        "symbol": np.zeros(n, np.int32),
        "bid": bid,
        "ask": ask,
        "bid_size": np.full(n, size),
        "ask_size": np.full(n, size),
        "last": np.array(lasts),
        "volume": np.array([volume if len(r) > 2 else 0.0 for r in rows]),
        "low": np.array(lows),
        "high": np.array(highs),
    }


def bars(*rows: tuple[float, float, float, float], volume: float = 1000.0) -> dict[str, Any]:
    """Minute bars from (open, high, low, close) rows."""
    n = len(rows)
    o, h, lo, c = (np.array(x, float) for x in zip(*rows, strict=True))
    ts = T0 + np.arange(n, dtype=np.int64) * MINUTE
    return {
        "ts": ts,
        "end": ts + MINUTE,
        "symbol": np.zeros(n, np.int32),
        "open": o,
        "high": h,
        "low": lo,
        "close": c,
        "volume": np.full(n, volume),
    }


def run(
    b: Broker, columns: dict[str, Any], actions: dict[int, Callable[[Broker], Any]]
) -> list[dict[str, Any]]:
    """Run and return the events as dicts with words for kinds and reasons."""
    kind = "bar" if "open" in columns else "tick"
    session = InterpretedSession(Script(actions), b, kind)
    session.feed(columns, lambda _: None)
    events = session.recorder.all_events()
    out = []
    for row in events:
        e = {name: row[name].item() for name in events.dtype.names}
        e["what"], e["why"] = EventType(e["kind"]).text, Reason(e["reason"]).text
        e["row"] = int(np.searchsorted(columns["end" if kind == "bar" else "ts"], e["ts"]))
        out.append(e)
    return out


def fills(events: list[dict[str, Any]]) -> list[tuple[int, int, float, float]]:
    """(row, side, quantity, price) of every fill."""
    return [(e["row"], e["side"], e["quantity"], e["price"]) for e in events if e["kind"] == E_FILL]


def whys(events: list[dict[str, Any]], what: str) -> list[str]:
    """Reasons of the events of one kind."""
    return [e["why"] for e in events if e["what"] == what]
