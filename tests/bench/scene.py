"""What is measured on: generated data in memory and as Parquet, manifests, and runs on columns in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sigma_bot.backtest.session import CompiledSession, InterpretedSession
from sigma_bot.backtest.tester import Engine, open_session
from sigma_bot.data.synthetic import bar_blocks, synthetic_bars, synthetic_ticks, tick_blocks
from sigma_bot.runtime.loader import load_strategy
from sigma_bot.runtime.setup import build_broker
from sigma_bot.spec import Backtest
from sigma_bot.times import HOUR, MINUTE

Columns = dict[str, np.ndarray]
STRATEGIES = Path(__file__).with_name("strategies")
SEED = 7
# Averages over powers of two of prices on a grid of quarters are exact in floats, so an engine that sums in
# another order still sees every cross at the same bar.
FAST, SLOW = 16, 64
SPAN = 4.0


@dataclass(frozen=True)
class Scene:
    """Where generated files go, and whether the figures are to be quick rather than steady."""

    folder: Path
    quick: bool

    def rows(self, count: int) -> int:
        """``count``, or a tenth of it."""
        return count // 10 if self.quick else count

    @property
    def rounds(self) -> int:
        """How often a short work is repeated."""
        return 3 if self.quick else 9

    @cached_property
    def million_bars(self) -> Columns:
        """A million minute bars."""
        return bars(self.rows(1_000_000))

    @cached_property
    def million_ticks(self) -> Columns:
        """Five million ticks."""
        return synthetic_ticks(self.rows(5_000_000), SEED)

    def environment(self, cache: str = "cache") -> dict[str, str]:
        """Variables for ``sigma``: its cache and its database lie in the folder."""
        home = self.folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        return {"SIGMA_CACHE": str(self.folder / cache), "HOME": str(home)}

    def parquet(self, kind: str, count: int) -> Path:
        """A file of ``count`` generated rows, made once."""
        path = self.folder / f"{kind}-{count}.parquet"
        if not path.exists():
            blocks: Iterable[Columns] = (
                map(quarters, bar_blocks(count, SEED)) if kind == "bars" else tick_blocks(count, SEED)
            )
            write(path, blocks)
        return path

    def manifest(self, name: str, document: dict[str, Any]) -> Path:
        """A manifest as a file (JSON is YAML)."""
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps(document))
        return path


def quarters(block: Columns) -> Columns:
    """Bars with every hundredth of a price made a quarter."""
    prices = {n: np.rint(block[n] * 100.0) / SPAN for n in ("open", "high", "low", "close")}
    return {**block, **prices}


def bars(count: int) -> Columns:
    """Minute bars in memory."""
    return quarters(synthetic_bars(count, SEED))


def write(path: Path, blocks: Iterable[Columns]) -> None:
    """A Parquet file without the columns that the loader fills in itself."""
    writer = None
    part = path.with_suffix(".part")
    for block in blocks:
        table = pa.table({n: v for n, v in block.items() if n not in ("symbol", "end")})
        if writer is None:
            writer = pq.ParquetWriter(part, table.schema, compression="zstd", use_dictionary=False)
        writer.write_table(table)
    assert writer is not None
    writer.close()
    os.replace(part, path)


def crossing(data: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A Backtest of the cross of two averages on bars, without costs so that every engine can agree on it."""
    market = {"symbol": "TEST", "tickSize": "0.25", "lotSize": "1", "fees": {"taker": "0"}}
    return document("sma_cross.py", market, data, execution={"spread": "0"}, **spec)


def quoting(data: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A Backtest of resting orders around the price on ticks, with fees, margin and risk limits."""
    market = {"symbol": "TEST", "tickSize": "0.01", "lotSize": "0.001"}
    market["fees"] = {"maker": "0.0002", "taker": "0.0005"}  # type: ignore[assignment]
    account = {"cash": "1000000", "type": "margin", "leverage": "3"}
    risk = {"maxPosition": "20", "maxNotional": "100000", "maxOpenOrders": 50, "maxDrawdown": "0.5"}
    return document("quoter.py", market, data, account=account, risk=risk, **spec)


def flipping(data: dict[str, Any]) -> dict[str, Any]:
    """A Backtest of market orders by the clock, without latency."""
    market = {"symbol": "TEST", "tickSize": "0.01", "lotSize": "0.001", "fees": {"taker": "0"}}
    return document("flipper.py", market, data, execution={"latency": "0s"})


def document(
    strategy: str, market: dict[str, Any], data: dict[str, Any] | None, **spec: Any
) -> dict[str, Any]:
    """A Backtest manifest as ``kubectl`` would take it."""
    return {
        "apiVersion": "sigma-x.io/v1alpha1",
        "kind": "Backtest",
        "metadata": {"name": "bench"},
        "spec": {
            "strategy": {"file": str(STRATEGIES / strategy)},
            "markets": [market],
            "data": data or {"source": "synthetic"},
            "account": {"cash": "10000000"},
            **spec,
        },
    }


Session = CompiledSession | InterpretedSession


def session_on(manifest: dict[str, Any], kind: str, engine: Engine) -> Session:
    """A session before its first row."""
    spec = Backtest.model_validate(manifest).spec
    broker = build_broker(spec, kind, MINUTE if kind == "bar" else 0)
    broker.sample_every = HOUR
    broker.has_volume = 1
    return open_session(load_strategy(spec.strategy, Path()), broker, kind, engine)[0]


def feeding(
    manifest: dict[str, Any], kind: str, columns: Columns, engine: Engine = "compiled"
) -> Callable[[], Callable[[], object]]:
    """For ``alternate``: a fresh session, then its run over the columns."""

    def prepare() -> Callable[[], object]:
        session = session_on(manifest, kind, engine)
        return lambda: session.feed(columns, lambda _rows: None)

    return prepare


def counts(manifest: dict[str, Any], kind: str, columns: Columns) -> str:
    """How much trading there is in a run."""
    session = session_on(manifest, kind, "compiled")
    session.feed(columns, lambda _rows: None)
    broker = session.finish()[1]
    return f"{broker.n_orders:,} orders, {broker.n_fills:,} fills"


def first_rows(columns: Columns, count: int) -> Columns:
    """The first rows of every column."""
    return {name: values[:count] for name, values in columns.items()}
